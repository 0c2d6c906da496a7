"""One request through its attempts: what is tried, when, what the client sees and what is written down."""

from __future__ import annotations

import json

import msgspec
import pytest
from road import PRICE, Road, Sent, Sink, chat_answer, chat_chunk

from trimaran import routing
from trimaran.dispatch.call import LINGER_S
from trimaran.errors import (
    AllAttemptsFailed,
    ConnectFailed,
    ConnectionReset,
    CostCapExceeded,
    DeadlineExceeded,
    NoFirstToken,
    RateLimited,
    Rejected,
    StreamCut,
    StreamStalled,
    Unavailable,
    UnsupportedFeature,
)
from trimaran.routing import Choice
from trimaran.types import Limits, PriceTier
from trimaran.wire import DIALECTS

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def test_the_answer_passes_and_is_recorded_with_its_cost() -> None:
    road = Road()
    call, sink = road.ask()
    road.clock.now += 0.25
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    assert json.loads(sink.body) == chat_answer()
    assert call.done and not road.dispatcher.active
    (started,), (settled,) = road.journal.started, road.journal.settled
    assert (started.request_id, started.attempt, started.tenant, started.target) == ("r1", 1, "default", "openai/a")
    assert (settled.status, settled.latency_us, settled.ttft_us) == ("ok", 250_000, None)
    # 7 input tokens at 1,000,000 and 3 output tokens at 2,000,000 pico-dollars
    assert settled.cost_nanos == call.cost_nanos == 13_000
    assert started.bound_nanos is not None and started.bound_nanos >= settled.cost_nanos


def test_the_upstream_model_is_named_and_nothing_else_changes() -> None:
    road = Road()
    road.ask(seed=7, unknown={"kept": [1.0]})
    body = json.loads(road.sent().payload.partition(b"\r\n\r\n")[2])
    assert body == {
        "model": "a",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 10,
        "seed": 7,
        "unknown": {"kept": [1.0]},
    }


def test_a_server_fault_is_tried_once_more_there_then_elsewhere() -> None:
    road = Road()
    _, sink = road.ask()
    road.sent().whole({"error": {"message": "boom"}}, 500)
    assert road.tried == ["a"]
    road.after(0.2)
    road.sent().whole({"error": {"message": "boom"}}, 500)
    assert road.tried == ["a", "a", "b"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    assert [each.status for each in road.journal.settled] == ["failed", "failed", "ok"]
    assert [each.cost_nanos for each in road.journal.settled][:2] == [0, 0]


@pytest.mark.parametrize("status", [429, 503, 529, 401, 403, 404])
def test_what_another_target_may_mend_goes_elsewhere_at_once(status: int) -> None:
    road = Road()
    _, sink = road.ask()
    road.sent().whole({"error": {"message": "no"}}, status)
    assert road.tried == ["a", "b"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_clients_own_mistake_is_not_retried(status: int) -> None:
    road = Road()
    _, sink = road.ask()
    road.sent().whole({"error": {"message": "messages: bad", "code": None}}, status)
    assert road.tried == ["a"]
    assert isinstance(sink.error, Rejected)
    assert b"messages: bad" in sink.error.body
    assert road.journal.settled[0].status == "rejected"


def test_a_lone_rate_limited_target_is_waited_for_when_the_deadline_allows() -> None:
    road = Road(targets=1)
    _, sink = road.ask()
    road.sent().whole({"error": {"message": "slow down"}}, 429, retry_after="3")
    assert road.tried == ["a"] and not sink.log
    road.after(2.9)
    assert road.tried == ["a"]
    road.after(0.2)
    assert road.tried == ["a", "a"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_a_lone_rate_limited_target_is_not_waited_for_beyond_the_deadline() -> None:
    road = Road(targets=1)
    _, sink = road.ask(limits=Limits(deadline_s=2.0))
    road.sent().whole({"error": {"message": "slow down"}}, 429, retry_after="3")
    assert isinstance(sink.error, RateLimited)
    assert sink.error.retry_after_s == 3


def test_a_silent_target_is_left_after_the_ttft_limit_and_not_asked_again() -> None:
    road = Road()
    _, sink = road.ask(stream=True, limits=Limits(ttft_s=5.0))
    road.after(4.9)
    assert road.tried == ["a"]
    road.after(0.2)
    assert road.sent(0).aborted
    assert road.tried == ["a", "b"]
    road.after(5.1)
    assert isinstance(sink.error, AllAttemptsFailed)
    assert [type(error) for _, error in sink.error.attempts] == [NoFirstToken, NoFirstToken]
    assert isinstance(sink.error, RuntimeError)


def test_headers_and_a_role_are_not_content() -> None:
    road = Road()
    _, sink = road.ask(stream=True, limits=Limits(ttft_s=5.0))
    road.sent().head()
    road.sent().event(chat_chunk({"role": "assistant", "content": ""}))
    road.after(5.1)
    assert sink.log == [] and sink.body == b""
    assert road.tried == ["a", "b"]


def test_a_stream_passes_and_is_settled_with_its_own_usage() -> None:
    road = Road()
    call, sink = road.ask(stream=True)
    sent = road.sent()
    assert json.loads(sent.payload.partition(b"\r\n\r\n")[2])["stream_options"] == {"include_usage": True}
    road.clock.now += 0.1
    sent.head()
    sent.event(chat_chunk({"role": "assistant", "content": ""}))
    assert sink.log == []
    sent.event(chat_chunk({"content": "he"}))
    assert sink.log == ["begin"]
    assert sink.body.count(b"data: ") == 2
    road.clock.now += 0.1
    sent.event(chat_chunk({}, "stop"))
    sent.event(chat_chunk(None, usage=USAGE))
    sent.exchange.on_data(b"data: [DONE]\n\n")
    assert sink.log == ["begin", "end"]
    assert sink.body.endswith(b"data: [DONE]\n\n")
    assert b"prompt_tokens" not in sink.body
    sent.exchange.on_end()
    (settled,) = road.journal.settled
    assert (settled.status, settled.ttft_us, settled.latency_us, settled.estimated) == ("ok", 100_000, 200_000, False)
    assert settled.cost_nanos == call.cost_nanos == 11_000


def test_a_connection_that_does_not_end_after_the_end_marker_is_dropped() -> None:
    road = Road()
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "he"}, "stop"))
    sent.exchange.on_data(b"data: [DONE]\n\n")
    assert sink.log == ["begin", "end"] and not sent.aborted
    road.after(1.1)
    assert sent.aborted and not road.dispatcher.lingering


def test_a_cut_before_content_is_invisible() -> None:
    road = Road()
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"role": "assistant", "content": ""}))
    sent.exchange.on_error(StreamCut("cut"))
    road.after(0.0)
    assert road.tried == ["a", "a"]
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "whole"}, "stop"))
    sent.exchange.on_data(b"data: [DONE]\n\n")
    assert sink.log == ["begin", "end"]
    assert b"whole" in sink.body and sink.body.count(b"data: ") == 2


def test_a_cut_after_content_is_reported_and_never_retried() -> None:
    road = Road()
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "ha"}))
    sent.event(chat_chunk({"content": "lf"}))
    sent.exchange.on_error(StreamCut("cut"))
    assert sink.log == ["begin", "fail"]
    assert isinstance(sink.error, StreamCut)
    assert b"[DONE]" not in sink.body
    assert road.tried == ["a"]
    (settled,) = road.journal.settled
    assert settled.status == "failed" and settled.estimated
    assert settled.usage is not None and settled.usage.output_tokens == 2
    assert settled.cost_nanos is not None and settled.cost_nanos > 0


def test_a_stall_after_content_ends_at_the_idle_limit() -> None:
    road = Road()
    _, sink = road.ask(stream=True, limits=Limits(idle_s=5.0))
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "ha"}))
    for _ in range(3):
        road.after(4.0)
        sent.event(chat_chunk({"content": "."}))
    road.after(0.1)
    road.after(4.8)
    assert sink.log == ["begin"]
    road.after(0.3)
    assert isinstance(sink.error, StreamStalled) and sent.aborted


def test_a_slow_client_is_not_a_stalled_target() -> None:
    road = Road()
    call, sink = road.ask(stream=True, limits=Limits(idle_s=5.0))
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "ha"}))
    call.pause()
    assert sent.paused
    for _ in range(10):
        road.after(4.0)
    assert sink.log == ["begin"]
    call.resume()
    assert not sent.paused


def test_one_deadline_over_all_attempts() -> None:
    road = Road()
    _, sink = road.ask(limits=Limits(deadline_s=8.0, ttft_s=5.0))
    road.after(5.6)
    assert road.tried == ["a", "b"]
    road.after(2.5)
    assert isinstance(sink.error, DeadlineExceeded)
    assert road.sent().aborted
    assert [each.status for each in road.journal.settled] == ["failed", "failed"]


def test_one_attempt_budget_over_all_targets() -> None:
    road = Road(targets=5)
    _, sink = road.ask(limits=Limits(max_attempts=3))
    for _ in range(3):
        road.sent().exchange.on_error(ConnectFailed("refused"))
    assert road.tried == ["a", "b", "c"]
    assert isinstance(sink.error, AllAttemptsFailed)
    assert "openai/b: refused" in str(sink.error)


def test_a_cost_cap_is_kept_by_the_bound_not_by_hope() -> None:
    road = Road()
    _, sink = road.ask(limits=Limits(max_cost_nanos=10_000))
    assert isinstance(sink.error, CostCapExceeded)
    assert road.upstream.sent == [] and road.journal.records == []


def test_an_unknown_price_is_refused_under_a_cost_cap() -> None:
    road = Road(price=None)
    _, sink = road.ask(limits=Limits(max_cost_nanos=10**12))
    assert isinstance(sink.error, CostCapExceeded)
    assert "unknown" in sink.error.message


def test_an_unknown_price_is_unknown_in_the_record() -> None:
    road = Road(price=None)
    call, _ = road.ask()
    road.sent().whole(chat_answer())
    assert call.cost_nanos is None and road.journal.settled[0].cost_nanos is None


def test_a_client_that_leaves_takes_the_exchange_with_it() -> None:
    road = Road()
    call, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "ha"}))
    call.cancel()
    call.cancel()
    assert sent.aborted and not road.dispatcher.active
    (settled,) = road.journal.settled
    assert settled.status == "cancelled" and settled.estimated and (settled.cost_nanos or 0) > 0
    sent.event(chat_chunk({"content": "late"}))
    assert sink.log == ["begin"] and b"late" not in sink.body


def test_a_client_that_leaves_between_attempts_gets_no_further_one() -> None:
    road = Road()
    call, _ = road.ask()
    road.sent().whole({"error": {"message": "boom"}}, 500)
    call.cancel()
    road.after(1.0)
    assert road.tried == ["a"] and len(road.journal.settled) == 1


def test_a_target_of_another_dialect_gets_a_translation() -> None:
    road = Road(dialect="anthropic.messages")
    _, sink = road.ask()
    head, _, body = road.sent().payload.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert json.loads(body)["messages"] == [{"role": "user", "content": "hello"}]
    road.sent().whole(
        {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "a",
            "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 3},
        }
    )
    answer = json.loads(sink.body)
    assert answer["choices"][0]["message"]["content"] == "hi"
    assert answer["usage"]["completion_tokens"] == 3


def test_what_no_target_can_take_is_refused_before_anything_is_sent() -> None:
    road = Road(dialect="anthropic.messages")
    _, sink = road.ask(seed=7)
    assert isinstance(sink.error, UnsupportedFeature)
    assert "seed" in sink.error.message
    assert road.journal.records == []


def test_a_reset_is_tried_once_more_there() -> None:
    road = Road()
    _, sink = road.ask()
    road.sent().exchange.on_error(ConnectionReset("closed"))
    assert road.tried == ["a", "a"]
    road.sent().exchange.on_error(ConnectionReset("closed"))
    assert road.tried == ["a", "a", "b"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_a_malformed_answer_goes_elsewhere() -> None:
    road = Road()
    _, sink = road.ask()
    road.sent().head()
    road.sent().exchange.on_data(b"<html>")
    road.sent().exchange.on_end()
    assert road.tried == ["a", "b"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_every_started_attempt_is_settled_once() -> None:
    road = Road(targets=4)
    road.ask()
    for _ in range(3):
        road.sent().exchange.on_error(ConnectFailed("refused"))
    road.sent().whole(chat_answer())
    started = [(each.request_id, each.attempt) for each in road.journal.started]
    settled = [(each.request_id, each.attempt) for each in road.journal.settled]
    assert started == settled == [("r1", 1), ("r1", 2), ("r1", 3), ("r1", 4)]


def test_the_price_is_written_once_before_the_attempts_it_is_for() -> None:
    road = Road()
    for _ in range(2):
        road.ask()
        road.sent().whole(chat_answer())
    kinds = [type(record).__name__ for record in road.journal.records]
    assert kinds == ["PriceUsed", "Started", "Settled", "Started", "Settled"]


def whole_but_for_its_end(road: Road, *, usage: bool) -> Sink:
    _, sink = road.ask(stream=True, stream_options={"include_usage": True})
    road.sent().head()
    road.sent().event(chat_chunk({"content": "hi"}))
    road.sent().event(chat_chunk({}, "stop"))
    if usage:
        road.sent().event(chat_chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}))
    road.after(0.1)
    return sink


def test_where_only_the_end_marker_is_missing_a_stream_is_soon_finished_without() -> None:
    road = Road()
    sink = whole_but_for_its_end(road, usage=True)
    road.after(1.1)
    assert sink.log[-1] == "end"
    assert [(each.usage.output_tokens, each.estimated) for each in road.journal.settled if each.usage] == [(5, False)]


def test_usage_that_comes_late_is_waited_for() -> None:
    road = Road()
    sink = whole_but_for_its_end(road, usage=False)
    for _ in range(3):
        road.after(1.1)
    assert "end" not in sink.log
    road.sent().event(chat_chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}))
    road.sent().exchange.on_data(b"data: [DONE]\n\n")
    assert sink.log[-1] == "end"
    assert [(each.usage.output_tokens, each.estimated) for each in road.journal.settled if each.usage] == [(5, False)]


def test_usage_that_never_comes_is_waited_for_until_the_idle_limit() -> None:
    road = Road()
    sink = whole_but_for_its_end(road, usage=False)
    road.after(Limits().idle_s + 0.1)
    assert sink.log[-1] == "end" and road.journal.settled[0].estimated


def test_a_whole_answer_that_waits_for_its_usage_is_no_failure_at_the_deadline() -> None:
    road = Road()
    _, sink = road.ask(stream=True, limits=Limits(deadline_s=3.0))
    road.sent().head()
    road.sent().event(chat_chunk({"content": "hi"}, "stop"))
    road.after(0.1)
    road.after(3.0)
    assert sink.error is None and sink.log[-1] == "end"
    assert [each.status for each in road.journal.settled] == ["ok"]


def test_a_stream_whose_end_marker_was_missing_lets_go_of_its_connection() -> None:
    road = Road()
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "hi"}))
    sent.event(chat_chunk({}, "stop"))
    sent.exchange.on_end()
    assert sink.log == ["begin", "end"]
    # The connection has another request by now, which must not be dropped with this one.
    road.after(LINGER_S + 1.0)
    assert not sent.aborted
    assert not road.dispatcher.lingering


def test_a_refusal_that_is_complete_leaves_its_connection_usable() -> None:
    road = Road()
    road.ask()
    road.sent(0).whole({"error": {"message": "slow down"}}, status=429)
    assert road.tried == ["a", "b"]
    assert not road.sent(0).aborted


def test_a_client_that_leaves_before_anything_was_sent_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    road = Road()
    monkeypatch.setattr(road.upstream, "send", lambda target, payload, exchange, _: Sent(target, payload, exchange))
    call, _ = road.ask()
    call.cancel()
    (settled,) = road.journal.settled
    assert (settled.status, settled.cost_nanos, settled.usage) == ("cancelled", 0, None)


def test_dropping_everything_with_an_error_tells_the_callers() -> None:
    road = Road()
    _, sink = road.ask()
    road.dispatcher.abort(Unavailable("closed"))
    assert sink.log == ["fail"]
    assert isinstance(sink.error, Unavailable)
    assert [each.status for each in road.journal.settled] == ["cancelled"]
    assert not road.dispatcher.active


def test_a_lone_rate_limited_target_is_not_waited_for_too_long() -> None:
    road = Road(targets=1)
    _, sink = road.ask()
    road.sent().whole({"error": {"message": "slow down"}}, 429, retry_after="25")
    assert isinstance(sink.error, RateLimited)
    assert sink.error.retry_after_s == 25


def test_a_trial_of_a_broken_target_has_little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    road = Road()

    def order(request: object, policy: object, state: object, now: float, u: float) -> list[Choice]:
        choices = routing.order(request, policy, state, now, u)  # type: ignore[arg-type]
        choices[0].patience_s = 1.0
        return choices

    monkeypatch.setattr("trimaran.dispatch.call.order", order)
    _, sink = road.ask(stream=True)
    road.after(0.9)
    assert road.tried == ["a"]
    road.after(0.2)
    assert road.tried == ["a", "b"]
    assert sink.log == []


@pytest.mark.parametrize(
    ("forwarded", "versions"),
    [(b"", [b"2023-06-01"]), (b"anthropic-version: 2026-10-21\r\n", [b"2026-10-21"])],
)
def test_a_demanded_header_stands_once_and_the_clients_own_wins(forwarded: bytes, versions: list[bytes]) -> None:
    road = Road(dialect="anthropic.messages")
    payload = (
        road.dispatcher.route("chat")
        .targets["openai/a"]
        .payload(DIALECTS["anthropic.messages"], False, forwarded, b"{}")
    )
    lines = payload.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line.partition(b": ")[2] for line in lines if line.startswith(b"anthropic-version")] == versions


def test_the_tier_that_served_an_answer_decides_its_price_and_is_recorded() -> None:
    tier = PriceTier(0, 500_000, 1_000_000)
    road = Road(targets=1, price=msgspec.structs.replace(PRICE, services={"flex": (tier,)}))
    road.ask(service_tier="flex")
    road.sent().whole({**chat_answer(), "service_tier": "flex"})
    road.ask(service_tier="flex")
    road.sent().whole({**chat_answer(), "service_tier": "priority"})
    flex, priority = road.journal.settled
    assert (flex.service_tier, flex.cost_nanos) == ("flex", 7 * 500 + 3 * 1000)
    # Its price is not known, and that is not the same as the standard one.
    assert (priority.service_tier, priority.cost_nanos) == ("priority", None)
