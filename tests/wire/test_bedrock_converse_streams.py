"""Streams of ConverseStream: boto3 reads what is written, and what Bedrock writes is understood."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import EventStreamError
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    DeadlineExceeded,
    InvalidRequest,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
    TrimaranError,
)
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS, StreamRelay, translate
from trimaran.wire.bedrock_converse import BedrockConverse
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.event_stream import event, exception, message
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
from trimaran.wire.state import wrap_state

sys.path.insert(0, str(Path(__file__).parent))
from bedrock_judge import events_of_boto, messages_of
from conversations import answers, blocks_of, events_of, usages

CONVERSE = BedrockConverse()
ORIGIN = CONVERSE.name
ASKED = CONVERSE.read(
    b'{"messages":[{"role":"user","content":[{"text":"hi"}]}],"additionalModelResponseFieldPaths":["/stop_sequence"]}',
    b"/model/m/converse-stream",
)


def frame(name: str, **members: Any) -> bytes:
    return event(name, json.dumps(members | {"p": "abcdefgh"}).encode())


def delta(block: int, **inner: Any) -> bytes:
    return frame("contentBlockDelta", contentBlockIndex=block, delta=inner)


START = frame("messageStart", role="assistant")
STOP = frame("messageStop", stopReason="end_turn")
USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 9, "cacheReadInputTokens": 2}
METADATA = frame("metadata", usage=USAGE, metrics={"latencyMs": 7}, serviceTier={"type": "flex"})


def ended(block: int) -> bytes:
    return frame("contentBlockStop", contentBlockIndex=block)


def read(*frames: bytes) -> list[Event]:
    decoder = CONVERSE.stream_decoder()
    return [each for name, data in blocks_of(CONVERSE, b"".join(frames)) for each in decoder.decode(name, data)]


def relay() -> StreamRelay:
    return CONVERSE.pass_relay(ASKED)


# Read


def test_a_stream() -> None:
    tool = {"toolUse": {"toolUseId": "t", "name": "f"}}
    events = read(
        START,
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"signature": "s"}),
        ended(0),
        delta(1, text="So"),
        delta(1, text="."),
        ended(1),
        frame("contentBlockStart", contentBlockIndex=2, start=tool),
        delta(2, toolUse={"input": '{"a":'}),
        delta(2, toolUse={"input": "1}"}),
        ended(2),
        frame("messageStop", stopReason="stop_sequence", additionalModelResponseFields={"stop_sequence": "END"}),
        METADATA,
    )
    started = events[0]
    assert isinstance(started, Started)
    assert started.id.startswith("msg_")
    assert events[1:] == [
        PartStarted(0, Reasoning(origin=ORIGIN)),
        ReasoningDelta("hm", 0),
        ReasoningState("s", 0),
        PartEnded(0),
        PartStarted(1, Text("")),
        TextDelta("So", 1),
        TextDelta(".", 1),
        PartEnded(1),
        PartStarted(2, ToolCall("t", "f", "")),
        ArgumentsDelta('{"a":', 2),
        ArgumentsDelta("1}", 2),
        PartEnded(2),
        Finished("stop_sequence", "END"),
        ServiceTier("flex"),
        UsageReport(Usage(5, 4, 2), alone=True),
    ]


def test_every_stream_has_an_id_of_its_own() -> None:
    assert read(START) != read(START)


def test_redacted_thoughts_in_pieces_are_one_blob() -> None:
    pieces = [
        delta(0, reasoningContent={"redactedContent": base64.b64encode(piece).decode()}) for piece in (b"ab", b"c")
    ]
    assert read(START, *pieces, ended(0))[1:] == [
        PartStarted(0, Reasoning(origin=ORIGIN, hidden=True)),
        ReasoningState(base64.b64encode(b"abc").decode(), 0),
        PartEnded(0),
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    start = frame("contentBlockStart", contentBlockIndex=0, start={"toolUse": {"toolUseId": "t", "name": "f"}})
    assert read(START, start, delta(0, toolUse={"input": ""}), ended(0))[2:] == [ArgumentsDelta("{}", 0), PartEnded(0)]


def test_blocks_that_are_open_end_with_the_message() -> None:
    assert read(START, delta(0, text="a"), STOP)[-2:] == [PartEnded(0), Finished("stop")]


@pytest.mark.parametrize(
    "frames",
    [
        [delta(0, citation={"title": "a"})],
        [frame("contentBlockStart", contentBlockIndex=0, start={"image": {"format": "png"}}), delta(0, image={})],
        [frame("contentBlockStart", contentBlockIndex=0, start={"toolUse": {"toolUseId": "a", "name": "b", "type": "server_tool_use"}})],
        [delta(0, toolUse={"input": "{}"})],
    ],
)  # fmt: skip
def test_what_only_this_api_has(frames: list[bytes]) -> None:
    assert all(isinstance(each, OtherDelta) for each in read(START, *frames)[1:])


def test_starts_and_events_that_say_nothing() -> None:
    start = frame("contentBlockStart", contentBlockIndex=0, start={})
    assert read(START, start, delta(0, text="a"), frame("somethingNew", a=1))[1:] == [
        PartStarted(0, Text("")),
        TextDelta("a", 0),
    ]


@pytest.mark.parametrize("frames", [[delta(0, text="a")], [STOP], [ended(0)], [event("messageStop", b"{")]])
def test_streams_that_are_none(frames: list[bytes]) -> None:
    with pytest.raises(MalformedAnswer):
        read(*frames)


@pytest.mark.parametrize(
    ("block", "kind", "words"),
    [
        (exception("throttlingException", b'{"message":"slow"}'), RateLimited, "slow"),
        (exception("serviceUnavailableException", b'{"message":"later"}'), Overloaded, "later"),
        (exception("internalServerException", b'{"message":"oh"}'), ServerFault, "oh"),
        (exception("validationException", b'{"message":"odd"}'), Rejected, "odd"),
        (
            exception("modelStreamErrorException", b'{"message":"a","originalMessage":"b","originalStatusCode":503}'),
            Overloaded,
            "a: b",
        ),
        (exception("modelStreamErrorException", b""), ServerFault, ""),
        (
            message({":message-type": "error", ":error-code": "internalFailure", ":error-message": "deep"}, b""),
            ServerFault,
            "deep",
        ),
    ],
)
def test_exceptions_in_a_stream(block: bytes, kind: type[AttemptError], words: str) -> None:
    for frames in ((block,), (START, delta(0, text="a"), block)):
        with pytest.raises(AttemptError) as caught:
            read(*frames)
        assert type(caught.value) is kind
        assert words in caught.value.message


def test_a_broken_model_is_told_to_its_own_client_only() -> None:
    broken = frame("messageStop", stopReason="malformed_tool_use")
    with pytest.raises(MalformedAnswer, match="malformed_tool_use"):
        read(START, delta(0, text="a"), broken)
    passing = relay()
    assert passing.feed(START + delta(0, text="a") + broken).endswith(broken)
    assert passing.finish_reason == "malformed_tool_use"


# Where a stream ends


def test_it_is_complete_with_its_metadata() -> None:
    passing = relay()
    passing.feed(START + delta(0, text="a") + ended(0))
    assert not passing.may_end
    passing.feed(STOP)
    assert passing.may_end and passing.owes_usage
    assert not passing.complete
    passing.feed(METADATA)
    assert passing.complete and not passing.owes_usage
    assert passing.usage == Usage(5, 4, 2)
    assert (passing.finish_reason, passing.service_tier) == ("stop", "flex")
    assert passing.feed(b"anything") == b""


def test_metadata_may_come_first() -> None:
    passing = relay()
    passing.feed(START + delta(0, text="a") + METADATA)
    assert not passing.complete
    passing.feed(STOP)
    assert passing.complete


def test_only_the_metadata_may_be_missing() -> None:
    passing = relay()
    passing.feed(START + delta(0, text="a") + ended(0) + STOP)
    assert passing.finish() == b""
    assert passing.complete


@pytest.mark.parametrize("cut", [0, 7])
def test_a_stream_that_is_cut(cut: int) -> None:
    passing = relay()
    passing.feed(START + delta(0, text="a") + ended(0) + STOP[:cut])
    with pytest.raises(StreamCut):
        passing.finish()


@given(st.data())
def test_frames_pass_untouched_however_they_arrive(data: st.DataObject) -> None:
    whole = START + delta(0, text="a") + delta(0, text="é") + frame("new", a=1) + ended(0) + STOP + METADATA
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    passing = relay()
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(map(passing.feed, pieces)) + passing.finish() == whole
    assert passing.complete
    assert passing.content_events == 2


# Written


def written(events: list[Event]) -> bytes:
    encoder = CONVERSE.stream_encoder(ASKED, 0)
    return b"".join([encoder.encode(each) for each in events]) + encoder.end()


def normal(answer: Answer) -> Answer:
    """See the whole answers' normal form."""
    parts: list[Part] = []
    for part in answer.parts:
        if isinstance(part, Reasoning) and part.origin != ORIGIN:
            part = Reasoning(part.text, wrap_state(part), ORIGIN)
        elif isinstance(part, Refusal):
            part = Text(part.text)
        if not (isinstance(part, Text) and not part.text):
            parts.append(part)
    assert answer.usage is not None
    usage = msgspec.structs.replace(answer.usage, reasoning_tokens=0)
    return msgspec.structs.replace(answer, id="", model="", parts=parts, usage=usage)


@given(st.data(), answers(usage=usages(hour=True)))
def test_streams_fold_to_the_same_answer(data: st.DataObject, answer: Answer) -> None:
    folded = fold(read(written(data.draw(events_of(answer)))))
    assert msgspec.structs.replace(folded, id="") == normal(answer)


@given(st.data(), answers(usage=usages(hour=True)))
def test_boto3_reads_it(data: st.DataObject, answer: Answer) -> None:
    stream = written(data.draw(events_of(answer)))
    seen = events_of_boto(stream)
    assert [next(iter(each)) for each in seen] == [headers[":event-type"] for headers, _ in messages_of(stream)]
    for headers, _ in messages_of(stream):
        assert headers[":message-type"] == "event"
        assert headers[":content-type"] == "application/json"
    kinds = [next(iter(each)) for each in seen]
    assert kinds[0] == "messageStart"
    assert kinds[-2:] == ["messageStop", "metadata"]
    following, open_, tool = 0, False, False
    for each in seen[1:-2]:
        ((kind, inner),) = each.items()
        assert inner["contentBlockIndex"] == following
        if kind == "contentBlockStart":
            assert not open_
            open_ = tool = True
        elif kind == "contentBlockStop":
            assert open_
            following, open_, tool = following + 1, False, False
        else:
            assert ("toolUse" in inner["delta"]) == tool
            open_ = True
    assert not open_
    assert (
        "".join(each["contentBlockDelta"]["delta"].get("text", "") for each in seen if "contentBlockDelta" in each)
        == answer.text
    )


def test_a_call_without_arguments_is_an_object_to_the_client() -> None:
    events: list[Event] = [
        Started("i", "m"),
        PartStarted(0, ToolCall("t", "f", "")),
        PartEnded(0),
        Finished("tool_calls"),
    ]
    deltas = [
        each["contentBlockDelta"]["delta"] for each in events_of_boto(written(events)) if "contentBlockDelta" in each
    ]
    assert deltas == [{"toolUse": {"input": "{}"}}]


@pytest.mark.parametrize("odd", [ReasoningDelta("a", 0), ReasoningState("a", 0), ArgumentsDelta("a", 0)])
def test_a_target_that_mixes_up_its_parts(odd: Event) -> None:
    encoder = CONVERSE.stream_encoder(ASKED, 0)
    encoder.encode(PartStarted(0, Text("")))
    with pytest.raises(LookupError):
        encoder.encode(odd)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (RateLimited("no", upstream_status=429), "throttlingException"),
        (Overloaded("no", upstream_status=503), "serviceUnavailableException"),
        (InvalidRequest("no"), "validationException"),
        (StreamCut("no"), "modelStreamErrorException"),
        (ServerFault("no", upstream_status=502), "modelStreamErrorException"),
        (AllAttemptsFailed([("a", StreamCut("no"))]), "internalServerException"),
        (DeadlineExceeded("no"), "internalServerException"),
    ],
)
def test_boto3_raises_the_error_of_a_stream(error: TrimaranError, name: str) -> None:
    block = CONVERSE.write_stream_error(error, "r")
    with pytest.raises(EventStreamError) as caught:
        events_of_boto(START + block)
    assert caught.value.response["Error"]["Code"] == name
    assert "no" in caught.value.response["Error"]["Message"]
    with pytest.raises(AttemptError):
        read(START, block)


# Translated


def test_the_model_is_named_by_the_request() -> None:
    chat = DIALECTS["openai.chat"]
    asked = chat.read(b'{"model":"public","messages":[{"role":"user","content":"hi"}],"stream":true}')
    target = Target("b/m", "bedrock", "anthropic.claude-m", (ORIGIN,), "https://b.example")
    made = translate(chat, asked, target)
    out = made.relay(created_s=1).feed(START + delta(0, text="a"))
    first = json.loads(out.split(b"\n\n")[0].removeprefix(b"data: "))
    assert first["model"] == "public"
    assert first["id"].startswith("msg_")


def test_a_stream_is_asked_for_by_the_path() -> None:
    target = Target("o/m", "compatible", "m", ("openai.chat",), "https://o.example")
    assert json.loads(translate(CONVERSE, ASKED, target).body)["stream"] is True


keys = st.sampled_from(["text", "toolUse", "input", "start", "delta", "usage"])
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "YQ=="]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "x"]
)


@given(st.lists(st.tuples(names, junk), max_size=6))
def test_a_stream_is_read_or_malformed_and_nothing_else(pieces: list[tuple[str, Any]]) -> None:
    passing = relay()
    try:
        for name, value in pieces:
            passing.feed(event(name, json.dumps({"delta": value, "start": value, "usage": value}).encode()))
        passing.finish()
    except AttemptError:
        return
