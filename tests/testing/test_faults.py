"""Each fault, in each streaming dialect, streamed and not: what is on the wire, and what the log says about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimaran.testing import FAULTS, Behaviour, SimulatedProvider

DIALECTS = ("openai.chat", "openai.responses", "anthropic.messages")
END = {"openai.chat": "", "openai.responses": "response.completed", "anthropic.messages": "message_stop"}
DELTA = {"openai.responses": "response.output_text.delta", "anthropic.messages": "content_block_delta"}
DONE = ('finish_reason":"stop', "response.output_item.done", "end_turn")
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
both_kinds = pytest.mark.parametrize("stream", [False, True])


def content(dialect, raw):
    """The content tokens of a streamed answer; ``None`` for a broken one."""
    found = []
    for name, data in raw.events():
        if data == "[DONE]" or name != DELTA.get(dialect, ""):
            continue
        try:
            event = json.loads(data)
        except ValueError:
            found.append(None)
            continue
        if dialect == "openai.responses":
            found.append(event["delta"])
        elif dialect == "anthropic.messages":
            found.append(event["delta"]["text"])
        elif event.get("choices") and event["choices"][0]["delta"].get("content"):
            found.append(event["choices"][0]["delta"]["content"])
    return found


def ended(dialect, raw):
    """Whether the end marker is there, as the last event."""
    name, data = raw.events()[-1]
    return name == END[dialect] and (dialect != "openai.chat" or data == "[DONE]")


async def fail(ask, dialect, stream, fault, **more):
    behaviour = Behaviour(fault=fault, text="one two three four five", after_tokens=2, **more)
    async with SimulatedProvider(behaviour) as provider:
        raw = await ask(provider, dialect, **({} if stream is None else {"stream": stream}))
        if raw.end == "open":
            assert provider.log[-1].outcome == "open"
        await provider.until(lambda p: p.log[-1].outcome != "open")
        return raw, provider.log[-1]


@each_dialect
@both_kinds
async def test_none(ask, dialect, stream):
    raw, row = await fail(ask, dialect, stream, "none")
    assert (raw.end, raw.status, row.outcome, row.tokens_sent) == ("complete", 200, "completed", 5)
    if stream:
        assert "".join(content(dialect, raw)) == "one two three four five"
        assert ended(dialect, raw)


@each_dialect
@both_kinds
@pytest.mark.parametrize(
    ("status", "retry_after_s", "sent"), [(429, 7, "7"), (429, None, None), (503, 0.5, "0.5"), (500, None, None)]
)
async def test_status(ask, dialect, stream, status, retry_after_s, sent):
    raw, row = await fail(ask, dialect, stream, "status", status=status, retry_after_s=retry_after_s)
    assert (raw.end, raw.status, raw.header("retry-after")) == ("complete", status, sent)
    assert raw.json()["error"]["message"]
    assert (row.status, row.outcome, row.tokens_sent) == (status, "faulted", 0)


@each_dialect
@both_kinds
async def test_reset(ask, dialect, stream):
    raw, row = await fail(ask, dialect, stream, "reset")
    assert (raw.end, raw.body, raw.status, row.outcome) == ("reset", b"", 0, "faulted")


@each_dialect
@both_kinds
async def test_silence(ask, dialect, stream):
    raw, row = await fail(ask, dialect, stream, "silence")
    assert (raw.end, raw.headers) == ("open", [])
    assert (row.outcome, row.fault, row.status) == ("cancelled", "silence", 0)


@each_dialect
@both_kinds
async def test_headers_then_silence(ask, dialect, stream):
    raw, row = await fail(ask, dialect, stream, "headers_then_silence")
    assert (raw.end, raw.status, raw.body) == ("open", 200, b"")
    assert (row.outcome, row.tokens_sent) == ("cancelled", 0)


@each_dialect
async def test_slow_first_token_of_a_stream_sends_what_precedes_content(ask, dialect):
    raw, row = await fail(ask, dialect, True, "slow_first_token")
    assert (raw.end, raw.status, content(dialect, raw)) == ("open", 200, [])
    assert raw.events()
    assert (row.outcome, row.first_token_at_s) == ("cancelled", None)


@each_dialect
@both_kinds
async def test_slow_first_token_comes_in_the_end(ask, dialect, stream):
    raw, row = await fail(ask, dialect, stream, "slow_first_token", fault_delay_s=0.01)
    assert (raw.end, row.outcome) == ("complete", "completed")
    assert row.first_token_at_s - row.received_at_s >= 0.009


@each_dialect
async def test_cut_stream(ask, dialect):
    raw, row = await fail(ask, dialect, True, "cut")
    assert (raw.end, content(dialect, raw)) == ("cut", ["one", " two"])
    assert (row.outcome, row.tokens_sent) == ("faulted", 2)


@each_dialect
async def test_cut_unary_promises_more_than_it_sends(ask, dialect):
    raw, row = await fail(ask, dialect, False, "cut")
    assert raw.end == "cut"
    assert 0 < len(raw.body) < int(raw.header("content-length"))
    assert row.outcome == "faulted"


@each_dialect
async def test_stalled_stream(ask, dialect):
    raw, row = await fail(ask, dialect, True, "stall")
    assert (raw.end, content(dialect, raw)) == ("open", ["one", " two"])
    assert (row.outcome, row.tokens_sent) == ("cancelled", 2)


@each_dialect
async def test_stalled_unary(ask, dialect):
    raw, row = await fail(ask, dialect, False, "stall")
    assert raw.end == "open"
    assert 0 < len(raw.body) < int(raw.header("content-length"))
    assert row.outcome == "cancelled"


@each_dialect
async def test_malformed_chunk_in_a_stream_that_goes_on(ask, dialect):
    raw, row = await fail(ask, dialect, True, "malformed_chunk")
    assert content(dialect, raw) == ["one", " two", None, " three", " four", " five"]
    assert (raw.end, ended(dialect, raw), row.outcome) == ("complete", True, "faulted")


@each_dialect
async def test_malformed_unary(ask, dialect):
    raw, row = await fail(ask, dialect, False, "malformed_chunk")
    assert (raw.end, row.outcome) == ("complete", "faulted")
    with pytest.raises(json.JSONDecodeError):
        raw.json()


@each_dialect
async def test_missing_end_marker(ask, dialect):
    raw, row = await fail(ask, dialect, True, "missing_end_marker")
    assert (raw.end, row.outcome) == ("complete", "faulted")
    assert not ended(dialect, raw)
    assert "".join(content(dialect, raw)) == "one two three four five"
    assert any(sign in raw.body.decode() for sign in DONE)


@each_dialect
async def test_open_end_holds_back_the_end_marker_and_the_end(ask, dialect):
    raw, row = await fail(ask, dialect, True, "open_end")
    assert (raw.end, row.outcome, row.tokens_sent) == ("open", "cancelled", 5)
    assert not ended(dialect, raw)
    assert "".join(content(dialect, raw)) == "one two three four five"
    assert any(sign in raw.body.decode() for sign in DONE)


@each_dialect
async def test_missing_end_marker_is_no_fault_of_a_unary_answer(ask, dialect):
    raw, row = await fail(ask, dialect, False, "missing_end_marker")
    assert (raw.end, row.outcome) == ("complete", "completed")


@each_dialect
async def test_in_band_error(ask, dialect):
    raw, row = await fail(ask, dialect, True, "in_band_error", error_message="boom", error_code="custom")
    name, data = raw.events()[-1]
    assert (raw.end, raw.status, row.outcome, row.tokens_sent) == ("complete", 200, "faulted", 2)
    event = json.loads(data)
    error = event["response"]["error"] if dialect == "openai.responses" else event["error"]
    assert name == {"openai.chat": "", "openai.responses": "response.failed"}.get(dialect, "error")
    assert (error["message"], error.get("code") or error["type"]) == ("boom", "custom")


async def test_in_band_error_of_responses_may_be_an_error_event(ask):
    raw, _ = await fail(ask, "openai.responses", True, "in_band_error", error_message="boom", bare_error_event=True)
    name, data = raw.events()[-1]
    event = json.loads(data)
    assert (name, event["type"], event["message"], event["code"]) == ("error", "error", "boom", "server_error")
    assert event["sequence_number"] == len(raw.events()) - 1


@each_dialect
async def test_in_band_error_of_a_unary_answer_is_a_200_with_an_error(ask, dialect):
    raw, _ = await fail(ask, dialect, False, "in_band_error")
    assert (raw.end, raw.status, "error" in raw.json()) == ("complete", 200, True)


@each_dialect
@pytest.mark.parametrize("fault", ["cut", "stall", "malformed_chunk", "in_band_error"])
@pytest.mark.parametrize("after", [0, 5, 99])
async def test_a_placed_fault_happens_before_the_end_wherever_it_is_placed(ask, dialect, fault, after):
    behaviour = Behaviour(fault=fault, text="one two three four five", after_tokens=after)
    async with SimulatedProvider(behaviour) as provider:
        raw = await ask(provider, dialect, stream=True)
    sent = [token for token in content(dialect, raw) if token is not None] if fault != "in_band_error" else None
    assert sent is None or len(sent) == (5 if fault == "malformed_chunk" else min(after, 5))
    events = raw.events()
    assert bool(events and ended(dialect, raw)) == (fault == "malformed_chunk")


async def test_a_fault_heals_after_so_many_requests(ask):
    async with SimulatedProvider(Behaviour(fault="status", fault_count=2)) as provider:
        assert [(await ask(provider)).status for _ in range(4)] == [503, 503, 200, 200]
        provider.behaviour = provider.behaviour.but(status=500)
        assert [(await ask(provider)).status for _ in range(3)] == [500, 500, 200]


async def test_chance_is_seeded_and_has_the_rate_asked_for(ask):
    async def statuses(seed):
        async with SimulatedProvider(Behaviour(fault="status", fault_probability=0.5), seed=seed) as provider:
            return [(await ask(provider)).status for _ in range(60)]

    first = await statuses(1)
    assert first == await statuses(1)
    assert first != await statuses(2)
    assert 15 <= first.count(503) <= 45


async def test_a_status_may_come_late(ask):
    async with SimulatedProvider(Behaviour(fault="status", fault_delay_s=0.01)) as provider:
        assert (await ask(provider)).status == 503
        row = provider.log[-1]
        assert row.ended_at_s - row.received_at_s >= 0.009


def test_every_fault_has_a_test_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [fault for fault in FAULTS if f'"{fault}"' not in source] == []


@pytest.mark.parametrize("dialect", ["openai.embeddings", "openai.input_tokens", "anthropic.count_tokens"])
async def test_faults_reach_what_is_never_streamed(ask, dialect):
    seen = {}
    for fault in ("status", "reset", "silence", "cut", "malformed_chunk", "in_band_error"):
        raw, row = await fail(ask, dialect, None, fault)
        seen[fault] = (raw.end, raw.status, row.dialect)
    assert seen == {
        "status": ("complete", 503, dialect),
        "reset": ("reset", 0, dialect),
        "silence": ("open", 0, dialect),
        "cut": ("cut", 200, dialect),
        "malformed_chunk": ("complete", 200, dialect),
        "in_band_error": ("complete", 200, dialect),
    }
