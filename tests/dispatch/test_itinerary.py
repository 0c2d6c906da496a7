"""Where a request goes after each kind of failure: waits, fallbacks, refusals that are taken elsewhere."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from road import Road, chat_answer, chat_chunk

from trimaran.dispatch.call import Call
from trimaran.errors import (
    AllAttemptsFailed,
    BudgetExceeded,
    ContentRefused,
    ContextTooLong,
    CostCapExceeded,
    LimitExceeded,
    RateLimited,
    StreamCut,
    Unavailable,
)
from trimaran.routing import Condition, learn
from trimaran.types import Allowance, Capabilities, Limits, ModelPolicy, PriceTier, TokenPrice

TOO_LONG = {"error": {"message": "maximum context length is 8", "code": "context_length_exceeded"}}
POLICY = {"error": {"message": "no", "code": "content_policy_violation"}}
BUSY = {"error": {"message": "slow down"}}


def road_with(targets: int = 3, models: dict[str, ModelPolicy] | None = None, **changes: object) -> Road:
    """``changes`` go into the policy of the model ``chat``, or, with ``contexts``, into its targets."""
    road = Road(targets=targets)
    contexts = changes.pop("contexts", None)
    snapshot = road.snapshot
    found = dict(snapshot.targets)
    if contexts is not None:
        for name, tokens in zip(found, contexts, strict=True):
            known = None if tokens is None else Capabilities(family=name, context_tokens=tokens)
            found[name] = msgspec.structs.replace(found[name], capabilities=known)
    policies = {"chat": msgspec.structs.replace(snapshot.models["chat"], **changes), **(models or {})}
    road.snapshot = msgspec.structs.replace(snapshot, targets=found, models=policies)
    road.dispatcher.apply(road.snapshot)
    return road


# Refusals of the request itself


def test_a_prompt_that_is_too_long_goes_to_the_target_that_is_known_to_hold_more() -> None:
    road = road_with(contexts=(8_000, 8_000, 32_000))
    _, sink = road.ask()
    road.sent().whole(TOO_LONG, 400)
    assert road.tried == ["a", "c"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    assert [each.status for each in road.journal.settled] == ["rejected", "ok"]


@pytest.mark.parametrize("contexts", [(8_000, 8_000, 8_000), (8_000, None, 4_000), (None, None, None)])
def test_a_prompt_that_is_too_long_is_refused_where_nothing_larger_is_known(contexts: tuple[int | None, ...]) -> None:
    road = road_with(contexts=contexts)
    _, sink = road.ask()
    road.sent().whole(TOO_LONG, 400)
    assert road.tried == ["a"]
    assert isinstance(sink.error, ContextTooLong)


def test_an_unknown_context_is_tried_where_that_is_asked_for_but_never_the_same_model() -> None:
    road = road_with(contexts=(8_000, None, None), failover_on=("context_too_long",))
    same = msgspec.structs.replace(road.snapshot.targets["openai/b"], upstream_model="a")
    road.dispatcher.apply(msgspec.structs.replace(road.snapshot, targets={**road.snapshot.targets, "openai/b": same}))
    _, sink = road.ask()
    road.sent().whole(TOO_LONG, 400)
    assert road.tried == ["a", "c"]
    road.sent().whole(BUSY, 503)
    # The first refusal is about the request; that another target was busy, too, is no news to the client.
    assert isinstance(sink.error, ContextTooLong)


def test_a_refused_content_is_passed_on_unless_another_opinion_is_asked_for() -> None:
    road = road_with()
    _, sink = road.ask()
    road.sent().whole(POLICY, 400)
    assert road.tried == ["a"] and isinstance(sink.error, ContentRefused)
    road = road_with(failover_on=("content_refused",))
    _, sink = road.ask()
    road.sent().whole(POLICY, 400)
    assert road.tried == ["a", "b"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


# Pauses


def test_a_429_without_a_time_is_backed_off_from_and_never_looped_on() -> None:
    road = Road(targets=1)
    _, sink = road.ask()
    times = [road.clock.now]
    for _ in range(200):
        if sink.log:
            break
        if len(road.upstream.sent) == len(times):
            road.sent().whole(BUSY, 429)
            times.append(0.0)
        road.after(0.1)
        if len(road.upstream.sent) == len(times):
            times[-1] = road.clock.now
    assert len(road.tried) == 4
    pauses = [later - earlier for earlier, later in pairwise(times[:4])]
    assert all(pause >= 0.25 for pause in pauses)
    assert pauses[2] > pauses[0]
    assert isinstance(sink.error, RateLimited)


def test_all_targets_rest_and_the_first_to_be_back_is_waited_for() -> None:
    road = Road(targets=2)
    _, sink = road.ask()
    road.sent().whole(BUSY, 429, retry_after="9")
    road.sent().whole(BUSY, 429, retry_after="4")
    assert road.tried == ["a", "b"]
    road.after(3.8)
    assert road.tried == ["a", "b"]
    road.after(0.4)
    assert road.tried == ["a", "b", "b"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_a_request_that_finds_every_target_resting_waits_too() -> None:
    road = Road(targets=1)
    road.ask()
    road.sent().whole(BUSY, 429, retry_after="5")
    _, sink = road.ask()
    assert road.tried == ["a"] and sink.log == []
    road.after(2.0)
    assert road.tried == ["a"]
    road.after(4.0)
    assert len(road.tried) >= 2


def test_a_pause_beyond_patience_is_told_to_the_client() -> None:
    road = Road(targets=1)
    road.ask()
    road.sent().whole(BUSY, 429, retry_after="120")
    _, sink = road.ask()
    assert isinstance(sink.error, LimitExceeded)
    assert sink.error.retry_after_s == pytest.approx(120, abs=1)


def test_a_client_that_leaves_while_it_waits_is_not_asked_for() -> None:
    road = Road(targets=1)
    call, _ = road.ask()
    road.sent().whole(BUSY, 429, retry_after="2")
    call.cancel()
    road.after(5.0)
    assert road.tried == ["a"] and not road.dispatcher.active


# Fallback models


def fallback_road() -> Road:
    road = Road(targets=3)
    snapshot = road.snapshot
    models = {
        "chat": ModelPolicy("chat", "ordered", ("openai/a",), fallbacks=("spare", "last")),
        "spare": ModelPolicy("spare", "ordered", ("openai/a", "openai/b")),
        "last": ModelPolicy("last", "ordered", ("openai/c",)),
    }
    road.snapshot = msgspec.structs.replace(snapshot, models=models)
    road.dispatcher.apply(road.snapshot)
    return road


def test_the_models_that_stand_in_are_asked_in_order_within_one_budget() -> None:
    road = fallback_road()
    call, sink = road.ask()
    for _ in range(2):
        road.sent().whole(BUSY, 503)
    assert road.tried == ["a", "b", "c"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    assert call.route.policy.name == "last"
    assert [each.fallback_model for each in road.journal.started] == ["", "spare", "last"]
    assert {each.model for each in road.journal.started} == {"chat"}


def test_the_attempt_budget_spans_fallbacks() -> None:
    road = fallback_road()
    _, sink = road.ask(limits=Limits(max_attempts=2))
    for _ in range(2):
        road.sent().whole(BUSY, 503)
    assert road.tried == ["a", "b"]
    assert isinstance(sink.error, AllAttemptsFailed)


def test_a_resting_target_is_not_waited_for_while_a_fallback_is_free() -> None:
    road = fallback_road()
    road.ask()
    road.sent().whole(BUSY, 429, retry_after="2")
    assert road.tried == ["a", "b"]


# Caps


def test_a_cap_that_one_target_breaks_leaves_the_cheaper_ones() -> None:
    road = road_with(targets=2)
    dear = TokenPrice("dear@2026", "test", "2026-01-01", (PriceTier(0, 10**9, 10**9),))
    dearer = msgspec.structs.replace(road.snapshot.targets["openai/a"], price=dear)
    road.dispatcher.apply(msgspec.structs.replace(road.snapshot, targets={**road.snapshot.targets, "openai/a": dearer}))
    _, sink = road.ask(limits=Limits(max_cost_nanos=5_000_000))
    assert road.tried == ["b"]
    road.sent().whole(BUSY, 503)
    assert isinstance(sink.error, CostCapExceeded)


def test_what_cannot_be_recorded_is_not_sent_where_that_is_the_policy() -> None:
    for policy, tried in (("serve", ["a"]), ("refuse", [])):
        road = Road(targets=1)
        road.journal.healthy = False
        road.dispatcher.apply(msgspec.structs.replace(road.snapshot, on_ledger_failure=policy))
        _, sink = road.ask()
        assert road.tried == tried
        assert isinstance(sink.error, Unavailable) == (not tried)


# Held back


def cut_after(road: Road, *texts: str) -> None:
    sent = road.sent()
    sent.head()
    for text in texts:
        sent.event(chat_chunk({"content": text}))
    sent.exchange.on_error(StreamCut("cut"))


def test_an_answer_that_is_held_back_is_asked_for_again_whole() -> None:
    road = road_with(targets=2, on_cut="restart")
    call, sink = road.ask(stream=True)
    cut_after(road, "half", " of it")
    assert sink.log == [] and sink.body == b""
    road.after(0.0)
    cut_after(road, "half")
    assert road.tried == ["a", "a", "b"]
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "whole"}, "stop"))
    assert sink.log == []
    sent.exchange.on_data(b"data: [DONE]\n\n")
    assert sink.log == ["begin", "end"]
    assert b"whole" in sink.body and b"half" not in sink.body
    assert isinstance(call, Call) and call.attempts == 3
    cut, again, ok = road.journal.settled
    assert (cut.status, again.status, ok.status) == ("failed", "failed", "ok")
    # What was said before the cut is billed, and by our own count.
    assert cut.usage is not None and cut.usage.output_tokens == 2 and cut.estimated
    assert cut.ttft_us is not None


def test_an_answer_larger_than_what_is_held_is_let_go_and_then_breaks_openly() -> None:
    road = road_with(targets=2, on_cut="restart", hold_bytes=1024)
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "x" * 2000}))
    assert sink.log == ["begin"] and b"xxx" in sink.body
    sent.event(chat_chunk({"content": "more"}))
    assert b"more" in sink.body
    sent.exchange.on_error(StreamCut("cut"))
    assert sink.log == ["begin", "fail"]
    assert road.tried == ["a"]


# Ends


def test_a_whole_stream_without_its_end_marker_is_finished_at_once_though_the_connection_stays() -> None:
    road = Road()
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "hi"}, "stop"))
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    sent.event(chat_chunk(None, usage=usage))
    road.after(0.1)
    assert sink.log == ["begin"]
    road.after(1.0)
    assert sink.log == ["begin", "end"] and sink.body.endswith(b"data: [DONE]\n\n")
    (settled,) = road.journal.settled
    assert settled.status == "ok" and settled.usage is not None and settled.usage.output_tokens == 1
    road.after(1.1)
    assert sent.aborted and not road.dispatcher.lingering


def test_a_silent_target_is_settled_with_the_prompt_it_has_read() -> None:
    road = Road(targets=1)
    road.ask(stream=True, limits=Limits(ttft_s=2.0))
    road.after(2.1)
    (settled,) = road.journal.settled
    assert settled.status == "failed" and settled.estimated
    assert settled.usage is not None and settled.usage.input_tokens > 0 and settled.usage.output_tokens == 0
    assert settled.cost_nanos == settled.usage.input_tokens * 1000


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_refusal_costs_nothing(status: int) -> None:
    road = Road(targets=1)
    road.ask(limits=Limits(max_attempts=1))
    road.sent().whole(BUSY, status)
    assert [(each.cost_nanos, each.usage) for each in road.journal.settled] == [(0, None)]


def test_a_model_that_may_think_first_gets_more_time() -> None:
    road = Road(targets=2)
    thinks = Capabilities(family="a", has=frozenset({"reasoning"}))
    slow = msgspec.structs.replace(road.snapshot.targets["openai/a"], capabilities=thinks)
    road.dispatcher.apply(msgspec.structs.replace(road.snapshot, targets={**road.snapshot.targets, "openai/a": slow}))
    road.ask(stream=True, limits=Limits(ttft_s=5.0))
    road.after(19.9)
    assert road.tried == ["a"]
    road.after(0.2)
    assert road.tried == ["a", "b"]
    road.after(5.1)
    assert len(road.tried) == 2 and not road.dispatcher.active


def test_our_credential_does_not_reach_a_client_in_a_provider_s_words() -> None:
    road = Road(targets=1)
    secret = "sk-very-secret"
    snapshot = road.snapshot
    target = msgspec.structs.replace(snapshot.targets["openai/a"], credential="key")
    road.dispatcher.apply(msgspec.structs.replace(snapshot, targets={"openai/a": target}, secrets={"key": secret}))
    _, sink = road.ask(stream=True, limits=Limits(max_attempts=1))
    sent = road.sent()
    sent.head()
    sent.event({"error": {"message": f"bad things happened with {secret}", "code": "server_error"}})
    assert sink.error is not None and secret not in sink.error.message
    assert secret not in road.journal.settled[0].reason


# Continued


def continuing_road(prefill: str = "b", **changes: object) -> Road:
    """``prefill``: the letters of the targets that are known to go on with an answer that was begun."""
    road = road_with(targets=3, on_cut="continue", **changes)
    able = Capabilities(family="c", has=frozenset({"prefill"}))
    targets = {
        name: msgspec.structs.replace(
            target,
            capabilities=able if name[-1] in prefill else None,
            dialects=("anthropic.messages",) if name[-1] in prefill else target.dialects,
        )
        for name, target in road.snapshot.targets.items()
    }
    road.snapshot = msgspec.structs.replace(road.snapshot, targets=targets)
    road.dispatcher.apply(road.snapshot)
    return road


def anthropic_stream(road: Road, *texts: str, whole: bool = True) -> None:
    sent = road.sent()
    sent.head()
    start = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "b",
        "content": [],
        "usage": {"input_tokens": 9},
    }
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    if whole:
        events += [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ]
    for event in events:
        sent.event(event)


def said(body: bytes) -> str:
    """The text of a chat stream, as its client reads it."""
    chunks = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


def test_a_cut_answer_is_continued_by_a_target_that_is_known_to_go_on() -> None:
    road = continuing_road("c")
    _, sink = road.ask(stream=True)
    cut_after(road, "The sea", " is")
    # Not by the same one, and not by the next: nobody knows whether they would.
    assert road.tried == ["a", "c"]
    request = json.loads(road.sent().payload.partition(b"\r\n\r\n")[2])
    assert request["messages"][-1]["role"] == "assistant"
    assert "The sea is" in json.dumps(request["messages"][-1])
    anthropic_stream(road, " blue", ".")
    assert sink.log == ["begin", "end"]
    assert said(sink.body) == "The sea is blue."
    assert sink.body.count(b"[DONE]") == 1 and b'"role"' not in sink.body
    cut, ok = road.journal.settled
    assert (cut.status, ok.status) == ("failed", "ok")
    assert cut.usage is not None and cut.usage.output_tokens == 2
    assert ok.usage is not None and ok.usage.output_tokens == 2


def test_a_rejected_continuation_does_not_mask_the_first_error() -> None:
    road = continuing_road("bc")
    _, sink = road.ask(stream=True)
    cut_after(road, "The sea")
    road.sent().whole({"type": "error", "error": {"type": "invalid_request_error", "message": "no prefill"}}, 400)
    assert road.tried == ["a", "b", "c"]
    road.sent().whole({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, 529)
    assert sink.log == ["begin", "fail"]
    assert isinstance(sink.error, StreamCut)
    assert [each.status for each in road.journal.settled] == ["failed", "rejected", "failed"]


def test_a_continuation_that_breaks_is_continued_in_turn_within_the_attempts() -> None:
    road = continuing_road("bc")
    _, sink = road.ask(stream=True, limits=Limits(max_attempts=3))
    cut_after(road, "one")
    anthropic_stream(road, " two", whole=False)
    road.sent().exchange.on_error(StreamCut("cut again"))
    road.after(0.0)
    assert len(road.tried) == 3
    anthropic_stream(road, " three")
    assert sink.log == ["begin", "end"] and said(sink.body) == "one two three"


@pytest.mark.parametrize(
    "delta", [{"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}]
)
def test_what_may_have_been_acted_upon_is_not_continued(delta: dict[str, object]) -> None:
    road = continuing_road("bc")
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk(delta))
    sent.exchange.on_error(StreamCut("cut"))
    assert road.tried == ["a"] and isinstance(sink.error, StreamCut)


def test_nobody_is_asked_to_go_on_who_is_not_known_to() -> None:
    road = continuing_road("")
    _, sink = road.ask(stream=True)
    cut_after(road, "The sea")
    assert road.tried == ["a"]
    assert isinstance(sink.error, StreamCut) and sink.log == ["begin", "fail"]


# Budgets


def budget_road(limit: int = 10_000_000) -> Road:
    road = Road(targets=1)
    allowance = Allowance("key:k:usd/month", "key", "k", "usd", limit, "month")
    road.dispatcher.apply(msgspec.structs.replace(road.snapshot, allowances=(allowance,)))
    return road


def left(road: Road) -> int:
    """What the budget has for one more attempt, found by asking for it."""
    purse = road.dispatcher.purse
    low, high = 0, 10_000_000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            hold = purse.reserve(("key:k:usd/month",), middle, 0, 0, lambda: None)
        except BudgetExceeded:
            high = middle - 1
        else:
            assert hold is not None
            purse.cancel(hold)
            low = middle
    return low


def test_what_was_given_up_unseen_is_charged_at_its_bound_and_what_was_seen_at_its_cost() -> None:
    road = budget_road()
    ask = {"allowances": ("key:k:usd/month",)}
    _, sink = road.ask(**ask)
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    spent = road.journal.settled[-1].cost_nanos
    assert spent is not None and left(road) == 10_000_000 - spent
    call, _ = road.ask(**ask)
    call.cancel()
    bound = road.journal.started[-1].bound_nanos
    assert bound is not None and left(road) == 10_000_000 - spent - bound
    # The ledger says what it probably cost; the budget counts on the worst.
    assert 0 < (road.journal.settled[-1].cost_nanos or 0) < bound
    call, _ = road.ask(stream=True, **ask)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "seen"}))
    call.cancel()
    seen = road.journal.settled[-1].cost_nanos
    assert seen is not None and left(road) == 10_000_000 - spent - bound - seen


def test_a_refusal_of_a_budget_is_told_and_gives_everything_back() -> None:
    road = budget_road(limit=1_000)
    _, sink = road.ask(allowances=("key:k:usd/month",))
    assert isinstance(sink.error, BudgetExceeded) and sink.error.status == 402
    assert road.tried == [] and road.journal.records == []


def test_a_whole_answer_that_was_cut_has_been_made_and_is_settled() -> None:
    road = Road(targets=1)
    road.ask(limits=Limits(max_attempts=1))
    road.sent().head()
    road.sent().exchange.on_data(b'{"id": "c1", "object": "chat')
    road.sent().exchange.on_error(StreamCut("cut"))
    (settled,) = road.journal.settled
    assert settled.status == "failed" and settled.estimated and (settled.cost_nanos or 0) > 0


def test_a_deadline_that_passes_while_targets_rest_is_told_as_their_limit() -> None:
    road = Road(targets=1)
    _, sink = road.ask(limits=Limits(deadline_s=4.0))
    road.sent().whole(BUSY, 429, retry_after="3.5")
    road.clock.now += 4.5
    road.dispatcher.tick()
    assert isinstance(sink.error, RateLimited)
    road = Road(targets=1)
    road.ask()
    road.sent().whole(BUSY, 429, retry_after="3.5")
    _, sink = road.ask(limits=Limits(deadline_s=4.0))
    assert sink.error is None
    road.clock.now += 4.5
    road.dispatcher.tick()
    assert sink.error is not None and sink.error.status in (429, 503)


# Last resorts: a sleeping endpoint is asked when nothing else is left


def road_asleep(*asleep: str, **changes: object) -> Road:
    """``chat`` has the targets ``a`` and ``b``, its fallback ``spare`` has ``c``."""
    road = road_with(models={"spare": ModelPolicy("spare", "ordered", ("openai/c",))}, **changes)
    chat = msgspec.structs.replace(road.snapshot.models["chat"], targets=("openai/a", "openai/b"), fallbacks=("spare",))
    road.dispatcher.apply(msgspec.structs.replace(road.snapshot, models={**road.snapshot.models, "chat": chat}))
    for name in asleep:
        learn(road.dispatcher.state, Condition(f"openai/{name}", "last_resort", "scaled to zero"), road.clock.now)
    return road


def test_a_fallback_is_asked_before_a_last_resort() -> None:
    road = road_asleep("a", "b")
    _, sink = road.ask()
    assert road.tried == ["c"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"] and road.journal.started[0].fallback_model == "spare"


def test_when_nothing_else_is_left_last_resorts_are_asked_in_order_and_once() -> None:
    road = road_asleep("a", "c")
    _, sink = road.ask()
    for _ in range(3):
        road.sent().whole({}, 503)
    assert road.tried == ["b", "a", "c"]
    assert isinstance(sink.error, AllAttemptsFailed)
    assert [each.fallback_model for each in road.journal.started] == ["", "", "spare"]


def test_last_resorts_answer_where_there_is_nothing_else() -> None:
    road = road_asleep("a", "b", "c")
    _, sink = road.ask()
    assert road.tried == ["a"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_a_last_resort_is_asked_before_anything_is_waited_for() -> None:
    road = road_asleep("a")
    road.ask()
    road.sent().whole(BUSY, 429, retry_after="3")
    assert road.tried == ["b", "c"]
    road.sent().whole(BUSY, 429, retry_after="3")
    assert road.tried == ["b", "c", "a"]


def test_a_prompt_that_is_too_long_reaches_a_larger_last_resort_that_was_passed_over() -> None:
    road = road_asleep("a", "b", contexts=(32_000, 32_000, 8_000))
    _, sink = road.ask()
    road.sent().whole(TOO_LONG, 400)
    assert road.tried == ["c", "a"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]
