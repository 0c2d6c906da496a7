"""Streams of ``anthropic.messages``: decoded, written, and passed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import MalformedAnswer, Overloaded, StreamCut
from trimaran.types import Usage
from trimaran.wire.anthropic_messages import AnthropicMessages
from trimaran.wire.conversation import Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import (
    Answer,
    ArgumentsDelta,
    Event,
    Finished,
    OtherDelta,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.fold import fold
from trimaran.wire.relay import StreamRelay, TranslatingRelay
from trimaran.wire.sse import EventFramer, parse_event
from trimaran.wire.state import wrap_state

MESSAGES = AnthropicMessages()
ORIGIN = "anthropic.messages"
SDK = Callable[..., anthropic.Anthropic]
ENVELOPE = MESSAGES.read(b'{"model":"chat","max_tokens":5,"messages":[],"stream":true}')


def sse(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind} | members).encode())


def opening(**usage: Any) -> bytes:
    counts = {"input_tokens": 9, "output_tokens": 1} | usage
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": counts}
    return sse("message_start", message=message)


def start(index: int, **block: Any) -> bytes:
    return sse("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **members: Any) -> bytes:
    return sse("content_block_delta", index=index, delta={"type": kind} | members)


def text(index: int, words: str) -> bytes:
    return delta(index, "text_delta", text=words)


def stop(index: int) -> bytes:
    return sse("content_block_stop", index=index)


def closing(reason: str = "end_turn", **members: Any) -> bytes:
    given_up = {"stop_reason": reason, "stop_sequence": None} | members
    return sse("message_delta", delta=given_up, usage={"output_tokens": 7}) + sse("message_stop")


def decoded(stream: bytes) -> list[Event]:
    decoder = MESSAGES.stream_decoder()
    events: list[Event] = []
    for block in EventFramer().push(stream):
        name, data = parse_event(block)
        if data is not None:
            events += decoder.decode(name, data)
    assert decoder.complete
    return events


def written(*events: Event) -> bytes:
    encoder = MESSAGES.stream_encoder(ENVELOPE, 0)
    return b"".join([encoder.encode(event) for event in events]) + encoder.end()


def blocks_in(stream: bytes) -> Iterator[dict[str, Any]]:
    for block in EventFramer().push(stream):
        _, data = parse_event(block)
        yield json.loads(data or b"")


WHOLE = b"".join(
    [
        opening(cache_read_input_tokens=3, service_tier="priority"),
        sse("ping"),
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="H", estimated_tokens=1),
        delta(0, "thinking_delta", thinking="m."),
        delta(0, "signature_delta", signature="s1"),
        stop(0),
        start(1, type="redacted_thinking", data="d1"),
        stop(1),
        start(2, type="text", text=""),
        text(2, "I "),
        text(2, "call."),
        stop(2),
        start(3, type="tool_use", id="t1", name="f", input={}),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"a":'),
        delta(3, "input_json_delta", partial_json="1}"),
        stop(3),
        start(4, type="tool_use", id="t2", name="g", input={}),
        delta(4, "input_json_delta", partial_json=""),
        stop(4),
        start(5, type="tool_use", id="t3", name="h", input={"b": 2}),
        stop(5),
        closing("tool_use"),
    ]
)


# Decoding


def test_every_kind_of_block_is_decoded() -> None:
    events = decoded(WHOLE)
    assert events[:4] == [
        Started("msg_1", "claude"),
        UsageReport(Usage(12, 1, 3)),
        ServiceTier("priority"),
        PartStarted(0, Reasoning(origin=ORIGIN)),
    ]
    assert fold(events) == Answer(
        "msg_1",
        "claude",
        [
            Reasoning("Hm.", "s1", ORIGIN),
            Reasoning("", "d1", ORIGIN, hidden=True),
            Text("I call."),
            ToolCall("t1", "f", '{"a":1}'),
            ToolCall("t2", "g", "{}"),
            ToolCall("t3", "h", '{"b": 2}'),
        ],
        "tool_calls",
        None,
        Usage(12, 7, 3),
        service_tier="priority",
    )


def test_text_is_told_as_it_comes() -> None:
    decoder = MESSAGES.stream_decoder()
    for piece in (opening(), start(0, type="text", text="")):
        decoder.decode(*parse_event(piece))  # type: ignore[arg-type]
    assert decoder.decode(*parse_event(text(0, "Hi"))) == (TextDelta("Hi", 0),)  # type: ignore[arg-type]
    assert decoder.decode(b"", parse_event(text(0, "Hi"))[1] or b"") == (TextDelta("Hi", 0),)


def test_usage_is_cumulative() -> None:
    stream = b"".join(
        [
            opening(cache_creation_input_tokens=4, cache_creation={"ephemeral_1h_input_tokens": 4}),
            sse("message_delta", delta={}, usage={"output_tokens": 3}),
            sse(
                "message_delta",
                delta={"stop_reason": "max_tokens"},
                usage={"output_tokens": 5, "input_tokens": 10, "output_tokens_details": {"thinking_tokens": 2}},
            ),
            sse("message_stop"),
        ]
    )
    reports = [event.usage for event in decoded(stream) if isinstance(event, UsageReport)]
    assert reports == [Usage(13, 1, 0, 4, 4), Usage(13, 3, 0, 4, 4), Usage(14, 5, 0, 4, 4, 2)]


def test_a_refusal_is_explained_by_a_part() -> None:
    details = {"type": "refusal", "category": None, "explanation": "Not that."}
    said = opening() + start(0, type="text", text="") + text(0, "So") + closing("refusal", stop_details=details)
    answer = fold(decoded(said))
    assert answer.parts == [Text("So"), Refusal("Not that.")]
    assert answer.finish_reason == "content_filter"


def test_blocks_that_are_open_at_the_stop_reason_end_there() -> None:
    stream = opening() + start(0, type="text", text="A") + start(1, type="tool_use", id="t", name="f") + closing()
    assert fold(decoded(stream)).parts == [Text("A"), ToolCall("t", "f", "{}")]


def test_a_delta_of_a_block_that_never_started_starts_it() -> None:
    stream = opening() + delta(0, "thinking_delta", thinking="Hm.") + stop(0) + text(1, "A") + text(1, "B") + closing()
    assert fold(decoded(stream)).parts == [Reasoning("Hm.", "", ORIGIN), Text("AB")]


@pytest.mark.parametrize(
    "piece",
    [
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        start(0, type="web_search_tool_result", tool_use_id="s", content=[{"type": "x"}]),
        start(0, type="a_new_one", text=5, data={"x": 1}),
        start(0, type="text", text="", citations=[{"type": "x"}]),
        start(0, type="text", text="") + delta(0, "citations_delta", citation={"type": "x"}),
        start(0, type="text", text="") + delta(0, "a_new_delta"),
        delta(0, "input_json_delta", partial_json="{}"),
    ],
)
def test_content_that_only_this_dialect_can_carry(piece: bytes) -> None:
    stream = opening() + piece + closing()
    assert any(isinstance(event, OtherDelta) for event in decoded(stream))
    relay = MESSAGES.pass_relay(ENVELOPE)
    assert relay.feed(stream) == stream
    with pytest.raises(MalformedAnswer, match="cannot carry"):
        translating().feed(stream)


def test_what_follows_such_content_stays_out_of_the_parts() -> None:
    stream = opening() + start(0, type="server_tool_use", id="s", name="x", input={})
    stream += delta(0, "input_json_delta", partial_json="{}") + stop(0) + start(1, type="text", text="A") + closing()
    parts = [event for event in decoded(stream) if not isinstance(event, OtherDelta)]
    assert fold(parts).parts == [Text("A")]


def test_unknown_events_are_skipped_and_pass() -> None:
    unknown = sse("a_new_event", payload={"delta": 1}) + b": a comment\n\n"
    stream = opening() + unknown + start(0, type="text", text="") + unknown + text(0, "A") + unknown + closing()
    assert fold(decoded(stream)).parts == [Text("A")]
    assert MESSAGES.pass_relay(ENVELOPE).feed(stream) == stream
    assert b"a_new_event" not in translating().feed(stream)


@pytest.mark.parametrize(
    "piece",
    [
        b"event: content_block_delta\ndata: {\n\n",
        b"event: content_block_delta\ndata: []\n\n",
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":5}}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":"0"}\n\n',
        b"event: content_block_delta\ndata: \xff\n\n",
        sse("content_block_start", index=0, content_block="text"),
        start(0, type="tool_use", id=5),
        sse("message_delta", delta={"stop_reason": 5}),
        sse("message_delta", delta={}, usage={"output_tokens": "7"}),
    ],
)
def test_what_is_no_event_is_malformed(piece: bytes) -> None:
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        relay.feed(opening())
        with pytest.raises(MalformedAnswer):
            relay.feed(piece)


@pytest.mark.parametrize("piece", [text(0, "A"), start(0, type="text"), stop(0), closing(), sse("message_stop")])
def test_a_stream_begins_with_its_start(piece: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="before its message_start"):
        MESSAGES.pass_relay(ENVELOPE).feed(piece)


def test_an_error_event_means_what_it_says() -> None:
    error = sse("error", error={"type": "overloaded_error", "message": "Overloaded"})
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        relay.feed(opening() + start(0, type="text") + text(0, "A"))
        with pytest.raises(Overloaded):
            relay.feed(error)


# Encoding


def test_the_sdk_puts_a_stream_together(anthropic_sdk: SDK) -> None:
    stream = written(
        Started("id", "gpt"),
        PartStarted(0, Reasoning(origin=ORIGIN)),
        ReasoningDelta("Mine.", 0),
        ReasoningState("s", 0),
        ReasoningState("1", 0),
        PartEnded(0),
        PartStarted(1, Reasoning(origin="openai.responses", id="rs_1", hidden=True)),
        ReasoningState("enc", 1),
        PartEnded(1),
        PartStarted(2, Text("")),
        TextDelta("I ", 2),
        TextDelta("call.", 2),
        PartEnded(2),
        PartStarted(3, ToolCall("call|1", "f", "")),
        ArgumentsDelta('{"a":', 3),
        ArgumentsDelta("1}", 3),
        PartEnded(3),
        Finished("tool_calls"),
        UsageReport(Usage(20, 20, 3, 7, 2, 4), alone=True),
        ServiceTier("priority"),
    )
    with anthropic_sdk(stream).messages.stream(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
    ) as seen:
        message = seen.get_final_message()
    mine, secret, words, call = message.content
    assert isinstance(mine, anthropic.types.ThinkingBlock)
    assert (mine.thinking, mine.signature) == ("Mine.", "s1")
    assert isinstance(secret, anthropic.types.RedactedThinkingBlock)
    assert secret.data == wrap_state(Reasoning("", "enc", "openai.responses", "rs_1", hidden=True))
    assert words.type == "text"
    assert words.text == "I call."
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("f", {"a": 1})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 20)
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (3, 7)
    final = list(blocks_in(stream))[-2]
    assert final["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 3,
        "output_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 2},
        "output_tokens_details": {"thinking_tokens": 4},
        "service_tier": "priority",
    }


def test_text_goes_out_at_once() -> None:
    encoder = MESSAGES.stream_encoder(ENVELOPE, 0)
    encoder.encode(Started("id", "gpt"))
    assert encoder.encode(PartStarted(0, Text(""))) == b""
    assert list(blocks_in(encoder.encode(TextDelta("A", 0)))) == [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "A"}},
    ]
    assert encoder.encode(TextDelta("\n", 0)) == (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\n"}}\n\n'
    )
    assert list(blocks_in(encoder.encode(PartEnded(0)))) == [{"type": "content_block_stop", "index": 0}]


def test_calls_in_turns_are_written_one_after_the_other() -> None:
    encoder = MESSAGES.stream_encoder(ENVELOPE, 0)
    encoder.encode(Started("id", "gpt"))
    first = encoder.encode(PartStarted(0, ToolCall("a", "f", "")))
    assert b'"name":"f"' in first
    assert encoder.encode(PartStarted(1, ToolCall("b", "g", ""))) == b""
    assert encoder.encode(ArgumentsDelta("[1", 1)) == b""
    assert b"[0" in encoder.encode(ArgumentsDelta("[0", 0))
    assert encoder.encode(PartStarted(2, Text(""))) == b""
    assert encoder.encode(TextDelta("End.", 2)) == b""
    assert encoder.encode(PartEnded(2)) == b""
    freed = list(blocks_in(encoder.encode(PartEnded(0))))
    assert [event["type"] for event in freed] == ["content_block_stop", "content_block_start", "content_block_delta"]
    assert freed[1]["index"] == 1
    assert b"]" in encoder.encode(ArgumentsDelta("]", 1))
    freed = list(blocks_in(encoder.encode(PartEnded(1))))
    assert [event["type"] for event in freed][-1] == "content_block_stop"
    assert [event["index"] for event in freed] == [1, 2, 2, 2]


def test_what_was_kept_back_is_written_at_the_end_at_last() -> None:
    stream = written(
        Started("id", "gpt"),
        PartStarted(0, ToolCall("a", "f", "")),
        PartStarted(1, ToolCall("b", "g", "")),
        ArgumentsDelta("{}", 1),
        PartStarted(2, ToolCall("c", "h", "")),
        Finished("tool_calls"),
    )
    kinds = [event["type"] for event in blocks_in(stream)]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3
    assert fold(decoded(stream)).parts == [
        ToolCall("a", "f", "{}"),
        ToolCall("b", "g", "{}"),
        ToolCall("c", "h", "{}"),
    ]


def test_empty_parts_are_not_written() -> None:
    stream = written(
        Started("id", "gpt"),
        PartStarted(0, Text("")),
        TextDelta("", 0),
        PartEnded(0),
        PartStarted(1, Reasoning(origin="openai.chat")),
        ReasoningDelta("", 1),
        PartEnded(1),
        PartStarted(2, Refusal("")),
        PartEnded(2),
        Finished("stop"),
    )
    kinds = [event["type"] for event in blocks_in(stream)]
    assert kinds == ["message_start", "message_delta", "message_stop"]


def test_a_signature_comes_before_its_block_stops() -> None:
    foreign = Reasoning(origin="openai.responses", id="rs_1")
    stream = written(
        Started("id", "gpt"),
        PartStarted(0, foreign),
        ReasoningDelta("Hm.", 0),
        ReasoningState("en", 0),
        ReasoningState("c", 0),
        PartEnded(0),
        Finished("stop"),
    )
    kinds = [event.get("delta", event).get("type") for event in blocks_in(stream)]
    assert kinds[1:5] == ["content_block_start", "thinking_delta", "signature_delta", "content_block_stop"]
    (signed,) = [
        event["delta"] for event in blocks_in(stream) if event.get("delta", {}).get("type") == "signature_delta"
    ]
    assert signed["signature"] == wrap_state(Reasoning("Hm.", "enc", "openai.responses", "rs_1"))


def test_thoughts_that_are_all_state_are_a_block_with_a_signature() -> None:
    stream = written(
        Started("id", "c"),
        PartStarted(0, Reasoning(origin=ORIGIN)),
        ReasoningState("s", 0),
        PartEnded(0),
        Finished("stop"),
    )
    assert fold(decoded(stream)).parts == [Reasoning("", "s", ORIGIN)]


def test_a_refusal_is_text_and_a_stop_reason() -> None:
    stream = written(
        Started("id", "gpt"),
        PartStarted(0, Refusal("")),
        TextDelta("I will ", 0),
        TextDelta("not.", 0),
        PartEnded(0),
        Finished("stop"),
    )
    final = list(blocks_in(stream))[-2]["delta"]
    assert final["stop_reason"] == "refusal"
    assert final["stop_details"]["explanation"] == "I will not."
    assert b"not." in stream.split(b"message_delta")[0]


def test_a_call_is_a_reason_to_stop() -> None:
    call = [PartStarted(0, ToolCall("a", "f", "")), ArgumentsDelta("{}", 0), PartEnded(0)]
    for reason, word in (("stop", "tool_use"), ("length", "max_tokens"), ("", "tool_use")):
        stream = written(Started("id", "gpt"), *call, Finished(reason))
        assert list(blocks_in(stream))[-2]["delta"]["stop_reason"] == word


def test_a_stop_sequence_is_named() -> None:
    stream = written(
        Started("id", "gpt"), PartStarted(0, Text("")), TextDelta("A", 0), Finished("stop_sequence", "END")
    )
    assert list(blocks_in(stream))[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


# Relays


def translating() -> StreamRelay:
    return TranslatingRelay(MESSAGES, MESSAGES.stream_encoder(ENVELOPE, 0))


def test_nothing_of_a_start_is_told_before_content() -> None:
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        assert relay.feed(opening() + sse("ping") + start(0, type="text", text="")) == b""
        assert not relay.content_seen
        out = relay.feed(text(0, "A"))
        assert out.startswith(b"event: message_start")
        assert b'"A"' in out


def test_the_start_of_a_call_is_content() -> None:
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        assert relay.feed(opening() + start(0, type="tool_use", id="t", name="f", input={}))
        assert relay.content_seen


def test_a_stream_that_only_lacks_its_end_marker_is_whole() -> None:
    body = opening() + start(0, type="text", text="") + text(0, "A") + stop(0)
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        relay.feed(body + closing().split(b"event: message_stop")[0])
        assert b"message_stop" in relay.finish()
        assert relay.complete
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        relay.feed(body)
        with pytest.raises(StreamCut):
            relay.finish()


def test_the_relays_learn_the_same() -> None:
    for relay in (MESSAGES.pass_relay(ENVELOPE), translating()):
        relay.feed(WHOLE)
        assert relay.complete
        assert (relay.usage, relay.finish_reason) == (Usage(12, 7, 3), "tool_calls")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6), st.booleans())
def test_how_the_bytes_arrive_makes_no_difference(cuts: list[int], passing: bool) -> None:
    relay = MESSAGES.pass_relay(ENVELOPE) if passing else translating()
    edges = [0, *sorted(cuts), len(WHOLE)]
    out = b"".join(relay.feed(WHOLE[low:high]) for low, high in itertools.pairwise(edges))
    assert out == (WHOLE if passing else translating().feed(WHOLE))


def test_a_translated_stream_says_the_same() -> None:
    assert fold(decoded(translating().feed(WHOLE))) == fold(decoded(WHOLE))
