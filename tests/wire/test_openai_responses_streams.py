"""Streams of Responses: what passes, what is read of them, and what the vendor's SDK reads of ours."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable
from typing import Any

import openai
import pytest
from openai.types.responses import response_stream_event

from trimaran.errors import (
    AttemptError,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
)
from trimaran.types import Usage
from trimaran.wire import DIALECTS
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
from trimaran.wire.openai_responses import OpenAIResponses
from trimaran.wire.relay import TranslatingRelay
from trimaran.wire.sse import EventFramer, parse_event

RESPONSES = DIALECTS["openai.responses"]
assert isinstance(RESPONSES, OpenAIResponses)
ENVELOPE = RESPONSES.read(b'{"model":"m","input":"hi","stream":true,"instructions":"be kind"}')
WIRE_USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 34,
}
USAGE = Usage(30, 4, 8, 0, 0, 1)


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind} | fields).encode())


def response(status: str = "in_progress", **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "model": "gpt-2026", "status": status, "output": [], "usage": None} | fields


def item(moment: str, value: dict[str, Any], index: int = 0) -> bytes:
    return event(f"response.output_item.{moment}", output_index=index, item=value)


def text(words: str, index: int = 0, content: int = 0, **fields: Any) -> bytes:
    place = {"item_id": "msg_1", "output_index": index, "content_index": content, "logprobs": []}
    return event("response.output_text.delta", **place | {"delta": words} | fields)


def part(moment: str, kind: str, index: int = 0, content: int = 0) -> bytes:
    place = {"output_index": index, "content_index": content}
    return event(f"response.content_part.{moment}", **place, part={"type": kind, "text": ""})


def arguments(piece: str, index: int = 0) -> bytes:
    return event("response.function_call_arguments.delta", output_index=index, delta=piece)


def end(status: str = "completed", **fields: Any) -> bytes:
    return event(f"response.{status}", response=response(status, **{"usage": WIRE_USAGE} | fields))


CREATED = event("response.created", response=response())
PROGRESS = event("response.in_progress", response=response())
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
ADDED, PART = item("added", MESSAGE), part("added", "output_text")
HELLO, THERE = text("Hello "), text("there")
PART_DONE = part("done", "output_text")
DONE = item("done", MESSAGE | {"content": [{"type": "output_text", "text": "Hello there", "annotations": []}]})
END = end()
STREAM = [CREATED, PROGRESS, ADDED, PART, HELLO, THERE, PART_DONE, DONE, END]
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": "", "status": "in_progress"}


# The same dialect


def relay() -> Any:
    return RESPONSES.pass_relay(ENVELOPE)


def run(subject: Any, pieces: Iterable[bytes]) -> bytes:
    return b"".join([subject.feed(piece) for piece in pieces]) + subject.finish()


def test_events_pass_as_they_are() -> None:
    subject = relay()
    assert subject.feed(CREATED + PROGRESS) == subject.feed(ADDED) == subject.feed(PART) == b""
    assert not subject.content_seen
    assert subject.feed(HELLO) == CREATED + PROGRESS + ADDED + PART + HELLO
    assert subject.feed(THERE) is THERE
    assert subject.feed(PART_DONE + DONE) == PART_DONE + DONE
    assert (subject.usage, subject.complete) == (None, False)
    assert subject.feed(END + b"data: [DONE]\n\n") == END
    assert (subject.usage, subject.finish_reason, subject.complete) == (USAGE, "stop", True)
    assert subject.content_events == 2
    assert subject.feed(HELLO) == subject.finish() == b""


@pytest.mark.parametrize(
    "piece",
    [
        text("x"),
        arguments("{"),
        event("response.refusal.delta", delta="no"),
        event("response.reasoning_text.delta", delta="hm"),
        event("response.reasoning_summary_text.delta", delta="hm"),
        event("response.audio.delta", delta="UklG"),
        event("response.shell_call_output_content.delta", delta={"stdout": "x"}),
        event("response.brand_new.delta", whatever=[1]),
        event("response.image_generation_call.partial_image", partial_image_b64="aGk="),
        item("added", CALL),
        item("added", {"type": "web_search_call", "id": "w"}),
        b'event: response.output_text.delta\ndata: {"delta":"x"}\n\n',
    ],
)
def test_what_is_content(piece: bytes) -> None:
    subject = relay()
    assert subject.feed(CREATED) == b""
    assert subject.feed(piece) == CREATED + piece
    assert (subject.content_seen, subject.content_events) == (True, 1)
    assert subject.feed(piece) == piece
    assert subject.content_events == 2


@pytest.mark.parametrize(
    "piece",
    [
        PROGRESS,
        event("response.queued", response=response("queued")),
        ADDED,
        PART,
        item("added", {"id": "rs_1", "type": "reasoning", "summary": []}),
        event("response.output_item.added", output_index=0, item=None),
        event("response.brand_new", data=[1]),
        event("keepalive", sequence_number=3),
        b": comment\n\n",
        b"data: [DONE]\n\n",
        b"event: other\n\n",
        b"data: {}\n\n",
    ],
)
def test_what_is_no_content(piece: bytes) -> None:
    subject = relay()
    assert subject.feed(piece) == b""
    assert (subject.content_seen, subject.content_events) == (False, 0)
    assert subject.feed(HELLO) == piece + HELLO


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (end(output=[CALL]), "tool_calls"),
        (end("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (end("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (end(usage=None), "stop"),
        (b"event: response.incomplete\ndata: {}\n\n", "length"),
    ],
)
def test_how_an_answer_ends(last: bytes, reason: str) -> None:
    subject = relay()
    assert run(subject, [CREATED, last]) == CREATED + last
    assert (subject.complete, subject.finish_reason) == (True, reason)


def flowing() -> Any:
    subject = relay()
    subject.feed(CREATED + HELLO)
    return subject


def test_several_events_at_once() -> None:
    subject = flowing()
    many = THERE * 3 + arguments("{", 1)
    assert subject.feed(many) is many
    assert subject.content_events == 5
    assert subject.feed(THERE + PART_DONE + END) == THERE + PART_DONE + END
    assert (subject.content_events, subject.complete) == (6, True)


def test_events_without_a_name_take_the_short_cut_too() -> None:
    subject = flowing()
    bare = b"data: " + THERE.partition(b"data: ")[2]
    assert subject.feed(bare) is bare
    assert subject.content_events == 2


def test_the_type_counts_and_not_the_name() -> None:
    subject = flowing()
    subject.feed(END.replace(b"event: response.completed", b"event: response.output_text.delta"))
    assert subject.complete
    subject = flowing()
    with pytest.raises(ServerFault):
        subject.feed(
            event("response.failed", response=response("failed")).replace(b"event: response.failed", b"event: x.delta")
        )


@pytest.mark.parametrize(
    "pieces", [[], [CREATED], [CREATED, HELLO], STREAM[:-1], [CREATED, HELLO, b"data: [DONE]\n\n"]]
)
def test_a_stream_that_ends_early_is_cut(pieces: list[bytes]) -> None:
    subject = relay()
    subject.feed(b"".join(pieces))
    with pytest.raises(StreamCut):
        subject.finish()


def test_a_last_event_without_its_blank_line_counts() -> None:
    subject = flowing()
    subject.feed(END[:-2])
    assert subject.finish() == END
    assert subject.complete


@pytest.mark.parametrize("end_of_line", [b"\r\n", b"\r"])
def test_other_line_ends_pass(end_of_line: bytes) -> None:
    pieces = [piece.replace(b"\n", end_of_line) for piece in STREAM]
    subject = relay()
    assert run(subject, pieces).rstrip() == b"".join(pieces).rstrip()
    assert subject.complete


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        b"data: {broken\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        b"event: response.output_text.delta\ndata: {broken\n\n",
        b'data: {"type":5}\n\n',
        b'data: {"type":"response.completed","response":5}\n\n',
        b'data: {"type":"response.completed","response":{"status":"completed","usage":5}}\n\n',
    ],
)
def test_malformed_events(late: bool, bad: bytes) -> None:
    for subject in (relay(), translating()):
        if late:
            subject.feed(b"".join(STREAM[:5]))
        with pytest.raises(MalformedAnswer):
            subject.feed(bad)


FLAT = {"code": "rate_limit_exceeded", "message": "slow down", "param": None, "sequence_number": 3}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("bad", "kind", "told"),
    [
        (event("error", **FLAT), RateLimited, "slow down"),
        (event("error", code=None, message="m"), ServerFault, "m"),
        (event("error", error={"code": "server_error", "message": "m", "type": "server_error"}), ServerFault, "m"),
        (event("error", status=503, error={"code": "x", "message": "m", "type": "t"}), Overloaded, "m"),
        (event("error", status=400, error={"message": "m", "type": "invalid_request_error"}), Rejected, "m"),
        (
            event("response.failed", response=response("failed", error={"code": "server_error", "message": "m"})),
            ServerFault,
            "m",
        ),
        (
            event("response.failed", response=response("failed", error={"code": "invalid_prompt", "message": "m"})),
            Rejected,
            "m",
        ),
        (event("response.failed", response=response("failed")), ServerFault, "500"),
        (event("response.failed"), ServerFault, "500"),
    ],
)
def test_error_events_are_the_errors_they_stand_for(
    late: bool, bad: bytes, kind: type[AttemptError], told: str
) -> None:
    for subject in (relay(), translating()):
        if late:
            subject.feed(b"".join(STREAM[:5]))
            assert subject.content_seen
        with pytest.raises(kind, match=told) as caught:
            subject.feed(bad)
        assert type(caught.value) is kind


def test_an_error_after_content_is_told_in_the_stream(openai_sdk: Any) -> None:
    told = RESPONSES.write_stream_error(ServerFault("it broke"), "req")
    name, data = parse_event(told)
    assert (name, json.loads(data or b"")["message"]) == (b"error", "it broke")
    stream = iter(openai_sdk(CREATED + HELLO + told).responses.create(model="m", input="hi", stream=True))
    seen = [next(stream).type, next(stream).type]
    with pytest.raises(openai.APIError, match="it broke"):
        next(stream)
    assert seen == ["response.created", "response.output_text.delta"]


# Reading


def decode(*pieces: bytes) -> list[Event]:
    decoder = RESPONSES.stream_decoder()
    out: list[Event] = []
    for block in EventFramer().push(b"".join(pieces)):
        name, data = parse_event(block)
        assert data is not None
        out += decoder.decode(name, data)
    return out


START = Started("resp_1", "gpt-2026")
CLOSE = [UsageReport(USAGE), Finished("stop")]


def test_a_text() -> None:
    assert decode(*STREAM) == [
        START,
        PartStarted(0, Text("")),
        TextDelta("Hello ", 0),
        TextDelta("there", 0),
        PartEnded(0),
        *CLOSE,
    ]


def test_every_kind_of_part_at_once() -> None:
    logprobs = [{"token": "x", "logprob": -1.0}]
    stream = [
        CREATED,
        item("added", {"id": "rs_1", "type": "reasoning", "summary": []}),
        event(
            "response.reasoning_summary_part.added",
            output_index=0,
            summary_index=0,
            part={"type": "summary_text", "text": ""},
        ),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="one"),
        event("response.reasoning_summary_text.done", output_index=0, summary_index=0, text="one"),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="two"),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="!"),
        item(
            "done",
            {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "one"}],
                "encrypted_content": "e",
            },
        ),
        item("added", MESSAGE, 1),
        part("added", "output_text", 1),
        text("x", 1, logprobs=logprobs),
        part("done", "output_text", 1),
        part("added", "refusal", 1, 1),
        event("response.refusal.delta", output_index=1, content_index=1, delta="no"),
        part("done", "refusal", 1, 1),
        item(
            "done",
            MESSAGE | {"content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "no"}]},
            1,
        ),
        item("added", CALL, 2),
        item("added", CALL | {"call_id": "d", "name": "g"}, 3),
        arguments("{", 2),
        arguments('{"a"', 3),
        arguments("}", 2),
        event("response.function_call_arguments.done", output_index=2, arguments="{}"),
        item("done", CALL | {"arguments": "{}"}, 2),
        arguments(":1}", 3),
        item("done", CALL | {"call_id": "d", "name": "g", "arguments": '{"a":1}'}, 3),
        end(output=[CALL], service_tier="flex"),
    ]
    assert decode(*stream) == [
        START,
        PartStarted(0, Reasoning(origin="openai.responses", id="rs_1", summary=True)),
        ReasoningDelta("one", 0),
        ReasoningDelta("\n\ntwo", 0),
        ReasoningDelta("!", 0),
        ReasoningState("e", 0),
        PartEnded(0),
        PartStarted(1, Text("")),
        TextDelta("x", 1, logprobs),
        PartEnded(1),
        PartStarted(2, Refusal("")),
        TextDelta("no", 2),
        PartEnded(2),
        PartStarted(3, ToolCall("c", "f", "")),
        PartStarted(4, ToolCall("d", "g", "")),
        ArgumentsDelta("{", 3),
        ArgumentsDelta('{"a"', 4),
        ArgumentsDelta("}", 3),
        PartEnded(3),
        ArgumentsDelta(":1}", 4),
        PartEnded(4),
        UsageReport(USAGE),
        ServiceTier("flex"),
        Finished("tool_calls"),
    ]


def test_thoughts_in_full() -> None:
    stream = [
        CREATED,
        item("added", {"id": "rs_1", "type": "reasoning", "summary": []}),
        part("added", "reasoning_text"),
        event("response.reasoning_text.delta", output_index=0, content_index=0, delta="hm"),
        item(
            "done",
            {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        ),
        END,
    ]
    assert decode(*stream) == [
        START,
        PartStarted(0, Reasoning(origin="openai.responses", id="rs_1")),
        ReasoningDelta("hm", 0),
        PartEnded(0),
        *CLOSE,
    ]


def test_hidden_reasoning_is_known_at_its_end() -> None:
    stream = [
        CREATED,
        item("added", {"id": "rs_1", "type": "reasoning", "summary": []}),
        item("done", {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "e"}),
        item("added", {"id": "rs_2", "type": "reasoning", "summary": []}, 1),
        item("done", {"id": "rs_2", "type": "reasoning", "summary": []}, 1),
        END,
    ]
    assert decode(*stream) == [
        START,
        PartStarted(0, Reasoning(origin="openai.responses", id="rs_1", hidden=True)),
        ReasoningState("e", 0),
        PartEnded(0),
        *CLOSE,
    ]


def test_what_is_told_only_at_the_end_is_heard() -> None:
    spoken = MESSAGE | {"content": [{"type": "output_text", "text": "late"}]}
    called = CALL | {"arguments": '{"x":1}'}
    thought = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]}
    expected = [
        START,
        PartStarted(0, Reasoning(origin="openai.responses", id="rs_1", summary=True)),
        ReasoningDelta("s", 0),
        PartEnded(0),
        PartStarted(1, Text("")),
        TextDelta("late", 1),
        PartEnded(1),
        PartStarted(2, ToolCall("c", "f", "")),
        ArgumentsDelta('{"x":1}', 2),
        PartEnded(2),
        UsageReport(USAGE),
        Finished("tool_calls"),
    ]
    assert decode(CREATED, item("done", thought), item("done", spoken, 1), item("done", called, 2), END) == expected
    assert decode(CREATED, end(output=[thought, spoken, called])) == expected
    done = event("response.output_text.done", output_index=1, content_index=0, text="late")
    wire = [
        CREATED,
        item("done", thought),
        item("added", MESSAGE, 1),
        done,
        item("done", spoken, 1),
        item("added", CALL, 2),
    ]
    assert decode(*wire, item("done", called, 2), END) == expected


def test_parts_left_open_are_closed() -> None:
    assert decode(CREATED, HELLO, end("incomplete"))[1:] == [
        PartStarted(0, Text("")),
        TextDelta("Hello ", 0),
        PartEnded(0),
        UsageReport(USAGE),
        Finished("length"),
    ]


def test_events_before_the_first_one_start_the_answer() -> None:
    assert decode(HELLO)[0] == Started("", "")


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        (item("added", {"type": "web_search_call", "id": "w"}), "web_search_call"),
        (item("added", {"type": "custom_tool_call", "name": "c", "input": ""}), "custom_tool_call"),
        (event("response.output_text.annotation.added", annotation={"type": "url_citation"}), "citation"),
        (event("response.audio.delta", delta="x"), "response.audio.delta"),
        (event("response.brand_new.delta", delta="x"), "response.brand_new.delta"),
    ],
)
def test_what_only_this_dialect_carries(piece: bytes, kind: str) -> None:
    assert decode(CREATED, piece)[-1] == OtherDelta(kind)
    with pytest.raises(MalformedAnswer, match=kind):
        translating().feed(CREATED + piece)


@pytest.mark.parametrize(
    "bad",
    [
        arguments("{"),
        item("added", CALL | {"name": None}),
        event("response.output_text.delta", delta=5),
        event("response.output_text.delta", delta=None),
        event("response.refusal.delta", delta=5),
        item("done", MESSAGE | {"content": 5}),
        item("done", MESSAGE | {"content": [{"type": "output_text", "text": "x", "annotations": [1]}]}),
    ],
)
def test_events_that_break_the_dialect(bad: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        decode(CREATED, bad)


CARRIED = {
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.refusal.delta",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
}


def _vendor_events() -> list[str]:
    union = typing.get_args(response_stream_event.ResponseStreamEvent)[0]
    return sorted(typing.get_args(kind.model_fields["type"].annotation)[0] for kind in typing.get_args(union))


@pytest.mark.parametrize("kind", sorted(set(_vendor_events()) - CARRIED))
def test_every_other_event_that_the_vendor_knows(kind: str) -> None:
    # Those of the vendor's own tools follow an item that was refused; what speaks is never skipped.
    speaks = kind.endswith((".delta", ".partial_image"))
    cites = kind.endswith(".annotation.added")
    assert [type(seen) for seen in decode(CREATED, event(kind))[1:]] == ([OtherDelta] if speaks or cites else [])
    subject = relay()
    subject.feed(CREATED)
    subject.feed(event(kind))
    assert subject.content_seen is speaks


def test_the_vendor_knows_the_events_that_are_carried() -> None:
    assert set(_vendor_events()) > CARRIED


# Writing


def translating() -> TranslatingRelay:
    assert isinstance(RESPONSES, OpenAIResponses)
    return TranslatingRelay(RESPONSES, RESPONSES.stream_encoder(ENVELOPE, 1700000000))


def written(events: Iterable[Event]) -> bytes:
    encoder = RESPONSES.stream_encoder(ENVELOPE, 1700000000)
    return b"".join([encoder.encode(one) for one in events]) + encoder.end()


def names(stream: bytes) -> list[str]:
    return [parse_event(block)[0].decode() for block in EventFramer().push(stream)]


LOGPROBS = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
EVENTS: list[Event] = [
    Started("chatcmpl-7", "claude"),
    PartStarted(0, Reasoning(origin="anthropic.messages")),
    ReasoningDelta("hm ", 0),
    ReasoningDelta("hm", 0),
    ReasoningState("si", 0),
    ReasoningState("g", 0),
    PartEnded(0),
    PartStarted(1, Reasoning(origin="openai.responses", id="rs_5", summary=True)),
    ReasoningDelta("short", 1),
    ReasoningState("enc", 1),
    PartEnded(1),
    PartStarted(2, Reasoning(origin="anthropic.messages", hidden=True)),
    ReasoningState("blob", 2),
    PartEnded(2),
    PartStarted(3, Text("")),
    TextDelta("Hi", 3, LOGPROBS),
    TextDelta(' "there"\n', 3),
    PartEnded(3),
    PartStarted(4, Refusal("")),
    TextDelta("no", 4),
    PartEnded(4),
    PartStarted(5, ToolCall("a", "f", "")),
    PartStarted(6, ToolCall("b", "g", "")),
    ArgumentsDelta('{"x"', 5),
    ArgumentsDelta("{", 6),
    ArgumentsDelta(":1}", 5),
    PartEnded(5),
    ArgumentsDelta("}", 6),
    PartEnded(6),
    PartStarted(7, ToolCall("c", "h", "")),
    PartEnded(7),
    ServiceTier("standard"),
    Finished("tool_calls"),
    UsageReport(USAGE),
]
ANSWER = Answer(
    id="chatcmpl-7",
    model="claude",
    parts=[
        Reasoning("hm hm", "sig", "anthropic.messages"),
        Reasoning("short", "enc", "openai.responses", "rs_5", summary=True),
        Reasoning("", "blob", "anthropic.messages", hidden=True),
        Text('Hi "there"\n'),
        Refusal("no"),
        ToolCall("a", "f", '{"x":1}'),
        ToolCall("b", "g", "{}"),
        ToolCall("c", "h", ""),
    ],
    finish_reason="tool_calls",
    usage=USAGE,
    logprobs=LOGPROBS,
    service_tier="standard",
)


def test_a_stream_accumulates_to_the_whole_answer(openai_sdk: Any) -> None:
    whole = openai_sdk(RESPONSES.encode_answer(ANSWER, 1700000000, ENVELOPE)).responses.create(model="m", input="hi")
    with openai_sdk(written(EVENTS)).responses.stream(model="m", input="hi") as stream:
        seen = list(stream)
        final = stream.get_final_response()
    assert final.to_dict() | {"output": None} == whole.to_dict() | {"output": None}
    assert [one.to_dict(exclude_none=True) for one in final.output] == [
        one.to_dict(exclude_none=True) for one in whole.output
    ]
    assert [one.sequence_number for one in seen] == list(range(len(seen)))
    assert final.output_text == 'Hi "there"\n'
    assert seen[0].response.instructions == "be kind"


def test_every_event_is_one_that_the_vendor_knows() -> None:
    known = set(_vendor_events())
    for block in EventFramer().push(written(EVENTS)):
        name, data = parse_event(block)
        value = json.loads(data or b"")
        assert value["type"].encode() == name
        assert value["type"] in known


def test_the_official_sequence() -> None:
    assert names(
        written([*EVENTS[:1], PartStarted(0, Text("")), TextDelta("x", 0), PartEnded(0), Finished("stop")])
    ) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_the_thoughts_of_another_provider_are_a_summary() -> None:
    """Clients of this API show summaries and keep them."""
    thought = Reasoning(origin="anthropic.messages")
    start, state, close = [*EVENTS[:1], PartStarted(0, thought)], ReasoningState("sig", 0), [PartEnded(0), Finished("")]
    stream = written([*start, ReasoningDelta("", 0), ReasoningDelta("h", 0), ReasoningDelta("m", 0), state, *close])
    assert names(stream)[2:-1] == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ]
    silent = written([*start, ReasoningDelta("", 0), state, *close])
    assert names(silent)[2:-1] == ["response.output_item.added", "response.output_item.done"]
    assert b'"summary":[],"encrypted_content":"tmrn1:anthropic.messages-::sig"' in silent


def test_deltas_go_out_at_once() -> None:
    encoder = RESPONSES.stream_encoder(ENVELOPE, 0)
    for one in EVENTS:
        out = encoder.encode(one)
        if isinstance(one, TextDelta | ArgumentsDelta | ReasoningDelta):
            said = getattr(one, "text", "") or getattr(one, "json", "")
            deltas = [json.loads(parse_event(block)[1] or b"").get("delta") for block in EventFramer().push(out)]
            assert said in deltas


def test_what_was_cut_off_is_incomplete(openai_sdk: Any) -> None:
    cut: list[Event] = [
        Started("x", "y"),
        PartStarted(0, Text("")),
        TextDelta("a", 0),
        PartEnded(0),
        PartStarted(1, ToolCall("c", "f", "")),
        PartEnded(1),
        UsageReport(USAGE),
        Finished("length"),
    ]
    *_, last = openai_sdk(written(cut)).responses.create(model="m", input="hi", stream=True)
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert [one.status for one in last.response.output] == ["completed", "incomplete"]
    assert last.response.output[1].arguments == ""
    # Open parts are ended, too.
    del cut[5]
    assert written(cut).count(b"event: response.output_item.done") == 2


def test_deltas_add_up_to_what_the_end_repeats() -> None:
    said: dict[str, str] = {}
    for block in EventFramer().push(written(EVENTS)):
        value = json.loads(parse_event(block)[1] or b"")
        if value["type"].endswith(".delta"):
            said[value["item_id"]] = said.get(value["item_id"], "") + value["delta"]
        elif value["type"] == "response.function_call_arguments.done":
            assert said[value["item_id"]] == value["arguments"]
    assert said["fc_7_7"] == "{}"


def test_a_stream_without_a_finish_reason_is_ended_all_the_same() -> None:
    stream = written([Started("x", "y"), PartStarted(0, Text("")), TextDelta("a", 0)])
    last = json.loads(parse_event(EventFramer().push(stream)[-1])[1] or b"")
    assert (last["type"], last["response"]["output"][0]["status"]) == ("response.completed", "completed")


def test_a_delta_while_another_items_end_waits() -> None:
    stream = written(
        [
            Started("x", "y"),
            PartStarted(0, Text("")),
            PartStarted(1, Text("")),
            TextDelta("a", 0),
            PartEnded(0),
            TextDelta("b", 1),
            PartEnded(1),
            Finished("stop"),
        ]
    )
    values = [json.loads(parse_event(block)[1] or b"") for block in EventFramer().push(stream)]
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    output = values[-1]["response"]["output"]
    assert [one["content"][0]["text"] for one in output] == ["a", "b"]


def test_a_settings_line_end_breaks_no_event() -> None:
    envelope = RESPONSES.read(b'{"model":"m","input":"hi","tools":[\n{"type":"function",\r\n"name":"f"}]}')
    encoder = RESPONSES.stream_encoder(envelope, 0)
    for block in EventFramer().push(encoder.encode(Started("x", "y"))):
        assert json.loads(parse_event(block)[1] or b"")["response"]["tools"] == [{"type": "function", "name": "f"}]


def test_through_both_halves() -> None:
    subject = translating()
    out = run(subject, STREAM)
    assert (subject.usage, subject.finish_reason, subject.complete) == (USAGE, "stop", True)
    assert subject.content_events == 2
    assert json.loads(parse_event(EventFramer().push(out)[-1])[1] or b"")["response"]["output"][0]["content"][0][
        "text"
    ] == ("Hello there")
