"""An answer that broke off and was continued by another target is one answer to the client.

The property: whatever the first target's dialect, wherever its stream was cut, and whichever dialect goes on, all bytes
that the client got are one stream that a strict reader takes, and its text is what was said and what was continued.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import assume, given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, MalformedAnswer, UnsupportedFeature
from trimaran.types import Capabilities, Target, Usage
from trimaran.wire import DIALECTS, ChatDialect, Envelope, StreamRelay, Transcript, continue_translation, translate
from trimaran.wire.continuation import MAX_TEXT_BYTES
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import (
    Answer,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.fold import fold
from trimaran.wire.refusals import Refusals
from trimaran.wire.sse import parse_event

sys.path.insert(0, str(Path(__file__).parent))
from bedrock_judge import events_of_boto
from conversations import answers, blocks_of, events_of, read_request, usages

CHAT = {name: dialect for name, dialect in DIALECTS.items() if isinstance(dialect, ChatDialect) and dialect.shown_path}
GOING_ON = ("anthropic.messages", "bedrock.converse", "gemini.generate", "openai.chat")
PAIRS = [(client, other) for client in CHAT for other in GOING_ON]
clients = pytest.mark.parametrize("client", CHAT)
pairs = pytest.mark.parametrize(("client", "other"), PAIRS, ids=[" ".join(each) for each in PAIRS])

BODIES: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100},
    "openai.responses": {"input": "hi", "max_output_tokens": 100},
    "anthropic.messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100},
    "bedrock.converse": {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 100},
    },
    "gemini.generate": {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"maxOutputTokens": 100},
    },
}


def envelope_of(client: str, **members: Any) -> Envelope:
    named = {} if client in ("bedrock.converse", "gemini.generate") else {"model": "m", "stream": True}
    body = named | BODIES[client] | members
    if client == "openai.chat":
        body.setdefault("stream_options", {"include_usage": True})
    return read_request(CHAT[client], json.dumps(body).encode(), stream=True)


def said_and_limit(body: dict[str, Any]) -> tuple[str, int]:
    """How the assistant's turn was begun, and how long it may become."""
    if "contents" in body:
        assert body["contents"][-1]["role"] == "model"
        (part,) = body["contents"][-1]["parts"]
        return part["text"], body["generationConfig"]["maxOutputTokens"]
    last = body["messages"][-1]
    assert last["role"] == "assistant"
    if "inferenceConfig" in body:
        (block,) = last["content"]
        return block["text"], body["inferenceConfig"]["maxTokens"]
    return last["content"], body["max_tokens"]


def target(dialect: str, has: str = "prefill", provider: str = "compatible", lacks: str = "") -> Target:
    known = Capabilities(family="m", has=frozenset(has.split()), lacks=frozenset(lacks.split()))
    return Target("t/m", provider, "m", (dialect,), "https://t.example", capabilities=known)


def stream_of(dialect: str, events: Iterable[Any]) -> list[bytes]:
    """The stream of a target that says these events, one element for each of its own events."""
    encoder = CHAT[dialect].stream_encoder(envelope_of(dialect), 7)
    written = [*map(encoder.encode, events), encoder.end()]
    return CHAT[dialect].framing.framer().push(b"".join(written))


def spoken(text: str, *, id: str = "a1", usage: Usage | None = None, pieces: int = 2) -> list[Any]:
    size = max(1, -(-len(text) // pieces))
    deltas = [TextDelta(text[at : at + size], 0) for at in range(0, len(text), size)]
    report = [] if usage is None else [UsageReport(usage, alone=True)]
    return [Started(id, "model-a"), PartStarted(0, Text("")), *deltas, PartEnded(0), Finished("stop"), *report]


class Client:
    """One client's stream: the relay of a first target, and those that go on."""

    def __init__(self, client: str, first: str, **members: Any) -> None:
        self.dialect = CHAT[client]
        self.envelope = envelope_of(client, **members)
        self.transcript = Transcript(self.dialect, self.envelope)
        self.got: list[bytes] = []
        self.relay = translate(self.dialect, self.envelope, target(first)).relay(created_s=7)

    def feed(self, pieces: Iterable[bytes]) -> None:
        """More of the target's stream."""
        for piece in pieces:
            self.hand(self.relay.feed(piece))

    def hand(self, data: bytes) -> None:
        if data:
            self.got.append(data)
            self.transcript.hear(data)

    def go_on(self, at: Target) -> bytes:
        """The stream has broken; the body of the request to go on."""
        self.transcript.cut(self.relay.usage)
        made = continue_translation(self.dialect, self.envelope, at, self.transcript)
        self.relay = made.relay()
        return made.body

    def whole(self, pieces: Iterable[bytes]) -> Answer:
        """The rest, and all that the client got as one answer."""
        self.feed(pieces)
        self.hand(self.relay.finish())
        assert self.relay.complete
        return strict(self.dialect, b"".join(self.got))


# A client that forgives nothing


def strict(dialect: ChatDialect, stream: bytes) -> Answer:
    """The answer; every rule of its dialect that a client may rely on is checked."""
    blocks = dialect.framing.framer().push(stream)
    assert b"".join(blocks) == stream
    events = [dialect.framing.parse(block) for block in blocks]
    values = [json.loads(data) for _, data in events if data is not None and data != b"[DONE]"]
    if dialect.name == "bedrock.converse":
        _converse([(name.decode(), value) for (name, _), value in zip(events, values, strict=True)])
    else:
        {
            "openai.chat": _chat,
            "openai.responses": _responses,
            "anthropic.messages": _messages,
            "gemini.generate": _gemini,
        }[dialect.name](values)
    if dialect.name == "openai.chat":
        assert events[-1][1] == b"[DONE]"
    decoder = dialect.stream_decoder()
    neutral = [event for name, data in events if data is not None for event in decoder.decode(name, data)]
    # A stream of Gemini's has no end marker.
    assert decoder.complete or (decoder.may_end and dialect.name == "gemini.generate")
    return fold([*neutral, *decoder.ended()])


def _chat(chunks: list[dict[str, Any]]) -> None:
    for key in ("id", "created", "model", "object"):
        assert len({chunk[key] for chunk in chunks}) == 1, key
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices].count("assistant") <= 1
    assert [bool(choice["finish_reason"]) for choice in choices] == [False] * (len(choices) - 1) + [True]


def _gemini(chunks: list[dict[str, Any]]) -> None:
    assert len({(chunk["responseId"], chunk["modelVersion"]) for chunk in chunks}) == 1
    for chunk in chunks:
        types.GenerateContentResponse.model_validate(chunk)
    assert ["finishReason" in chunk["candidates"][0] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def _converse(events: list[tuple[str, dict[str, Any]]]) -> None:
    names = [name for name, _ in events]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]
    following, open_ = 0, ""
    for name, event in events[1:-2]:
        assert event["contentBlockIndex"] == following
        if name == "contentBlockStart":
            assert not open_
            open_ = "toolUse"
        elif name == "contentBlockStop":
            assert open_
            following, open_ = following + 1, ""
        else:
            assert name == "contentBlockDelta"
            (kind,) = event["delta"]
            assert open_ in ("", kind)
            assert open_ or kind != "toolUse"
            open_ = kind
    assert not open_


def _messages(events: list[dict[str, Any]]) -> None:
    events = [event for event in events if event["type"] != "ping"]
    assert [event["type"] for event in events].count("message_start") == 1
    assert events[0]["type"] == "message_start"
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    open_, following, kind = -1, 0, ""
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert (open_, event["index"]) == (-1, following)
            open_, following, kind = following, following + 1, event["content_block"]["type"]
            continue
        assert event["index"] == open_
        if event["type"] == "content_block_stop":
            open_ = -1
        else:
            assert event["type"] == "content_block_delta"
            wanted = {"text": ["text_delta"], "tool_use": ["input_json_delta"]}
            assert event["delta"]["type"] in wanted.get(kind, ["thinking_delta", "signature_delta"])
    assert open_ == -1


def _responses(events: list[dict[str, Any]]) -> None:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]["response"]
    assert last["id"] == events[0]["response"]["id"]
    assert last["created_at"] == events[0]["response"]["created_at"]
    said: dict[int, str] = {}
    parts: set[int] = set()
    ids: dict[int, str] = {}
    done: dict[int, Any] = {}
    for event in events[2:-1]:
        kind, index = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert index == len(ids)
            ids[index] = event["item"]["id"]
            said[index] = ""
            continue
        assert index in ids
        assert index not in done
        if kind == "response.output_item.done":
            done[index] = event["item"]
            assert event["item"]["id"] == ids[index]
            assert index not in parts
            continue
        assert event["item_id"] == ids[index]
        if kind == "response.content_part.added":
            assert index not in parts
            parts.add(index)
        elif kind == "response.output_text.delta":
            assert index in parts
            said[index] += event["delta"]
        elif kind == "response.output_text.done":
            assert event["text"] == said[index]
        elif kind == "response.content_part.done":
            parts.remove(index)
            if event["part"]["type"] == "output_text":
                assert event["part"]["text"] == said[index]
    assert [done[index] for index in sorted(done)] == last["output"]
    assert done.keys() == ids.keys()
    assert len(set(ids.values())) == len(ids)


# The property


def continued(said: str, more: str) -> str:
    """What the client shall read: white space at the seam stands once."""
    space, at = said[len(said.rstrip()) :], 0
    while at < min(len(space), len(more)) and more[at] == space[at]:
        at += 1
    return said + more[at:]


def text_of(parts: list[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


@st.composite
def cut_answers(draw: st.DrawFn, origin: str) -> list[Any]:
    """Answers of text, after reasoning or not; some have white space where they may be cut."""
    answer = draw(answers(usage=usages()))
    answer.parts = [part for part in answer.parts if not isinstance(part, Reasoning) or part.origin == origin]
    if draw(st.integers(0, 3)):
        answer.parts = [part for part in answer.parts if isinstance(part, Reasoning)]
        answer.parts.append(Text(draw(st.text("ab \n", min_size=1, max_size=12))))
        answer.finish_reason = "stop"
    return draw(events_of(answer))


@st.composite
def rests(draw: st.DrawFn, origin: str) -> tuple[list[Any], Answer]:
    answer = draw(answers(usage=usages()))
    answer.parts = [part for part in answer.parts if not isinstance(part, Reasoning) or part.origin == origin]
    if any(isinstance(part, Refusal) for part in answer.parts):
        answer.parts = [part for part in answer.parts if not isinstance(part, ToolCall)]
    if draw(st.booleans()):
        answer.parts.insert(0, Text(draw(st.text("ab \n", max_size=6))))
    return draw(events_of(answer)), answer


@clients
@given(first=st.sampled_from(sorted(CHAT)), other=st.sampled_from(GOING_ON), data=st.data())
def test_the_client_gets_one_answer(client: str, first: str, other: str, data: st.DataObject) -> None:
    subject = Client(client, first)
    blocks = stream_of(first, data.draw(cut_answers(first)))
    cut = data.draw(st.integers(0, len(blocks)))
    try:
        subject.feed(blocks[:cut])
    except MalformedAnswer:
        assume(False)
    transcript = subject.transcript
    if not transcript.possible:
        assert transcript.why_not
        with pytest.raises(UnsupportedFeature, match="broke off"):
            subject.go_on(target(other))
        return
    said = transcript.text
    body = json.loads(subject.go_on(target(other)))
    assert said_and_limit(body) == (said.rstrip(), max(1, 100 - transcript.output_tokens_estimate))
    tokens = transcript.output_tokens_estimate
    events, rest = data.draw(rests(other))
    answer = subject.whole([b"".join(stream_of(other, events))])
    # Round trips of the target's own stream are judged elsewhere: here the answer as its own decoder tells it counts.
    source = strict_source(other, events)
    assert answer.text == continued(said, source.text)
    calls = [(part.id, part.name, part.arguments) for part in answer.parts if isinstance(part, ToolCall)]
    assert calls == [(part.id, part.name, part.arguments) for part in source.parts if isinstance(part, ToolCall)]
    assert rest.usage is not None
    assert source.usage is not None
    assert answer.usage is not None
    assert answer.usage.output_tokens == tokens + rest.usage.output_tokens
    assert subject.relay.usage == source.usage


def strict_source(dialect: str, events: list[Any]) -> Answer:
    decoder = CHAT[dialect].stream_decoder()
    neutral: list[Any] = []
    for name, value in blocks_of(CHAT[dialect], b"".join(stream_of(dialect, events))):
        neutral += decoder.decode(name, value)
    return fold([*neutral, *decoder.ended()])


@clients
@given(other=st.sampled_from(GOING_ON), data=st.data())
def test_a_continuation_is_continued(client: str, other: str, data: st.DataObject) -> None:
    texts = [data.draw(st.text("xyz .\n", min_size=1, max_size=8).filter(str.strip)) for _ in range(3)]
    first = data.draw(st.sampled_from(sorted(CHAT)))
    subject = Client(client, first)
    subject.feed(until_text(stream_of(first, spoken(texts[0], usage=Usage(5, 3)))))
    expected = texts[0]
    for text in texts[1:]:
        subject.go_on(target(other))
        subject.feed(until_text(stream_of(other, spoken(text))))
        expected = continued(expected, text)
        assert subject.transcript.text == expected
    subject.go_on(target(other))
    answer = subject.whole(stream_of(other, spoken("!", usage=Usage(9, 1))))
    assert text_of(answer.parts) == continued(expected, "!")


def until_text(blocks: list[bytes]) -> list[bytes]:
    """All of a stream up to its last piece of text."""
    marks = (b'"content":"', b'"text_delta"', b"response.output_text.delta", b'"delta":{"text":', b'"parts":[{"text":"')
    last = max(
        at for at, block in enumerate(blocks) if any(mark in block for mark in marks) and b'"finishReason"' not in block
    )
    return blocks[: last + 1]


# The vendors' own clients


@pytest.mark.parametrize("first", CHAT)
@pytest.mark.parametrize("other", GOING_ON)
def test_openai_reads_chunks(openai_sdk: Any, first: str, other: str) -> None:
    stream = told("openai.chat", first, other)
    with openai_sdk(stream).chat.completions.stream(model="m", messages=[]) as events:
        final = events.get_final_completion()
    assert final.choices[0].message.content == "one two three"
    assert final.choices[0].finish_reason == "stop"
    assert final.usage.prompt_tokens == 9
    named(first, final.id, final.model)


@pytest.mark.parametrize("first", CHAT)
@pytest.mark.parametrize("other", GOING_ON)
def test_openai_reads_a_response(openai_sdk: Any, first: str, other: str) -> None:
    stream = told("openai.responses", first, other)
    with openai_sdk(stream).responses.stream(model="m", input="hi") as events:
        final = events.get_final_response()
    assert final.output_text == "one two three"
    assert (len(final.output), final.status) == (1, "completed")
    named(first, final.id, final.model)


@pytest.mark.parametrize("first", CHAT)
@pytest.mark.parametrize("other", GOING_ON)
def test_anthropic_reads_a_message(anthropic_sdk: Any, first: str, other: str) -> None:
    stream = told("anthropic.messages", first, other)
    with anthropic_sdk(stream).messages.stream(model="m", max_tokens=9, messages=[]) as events:
        final = events.get_final_message()
    assert [block.text for block in final.content] == ["one two three"]
    assert final.stop_reason == "end_turn"
    named(first, final.id, final.model)


@pytest.mark.parametrize("first", CHAT)
@pytest.mark.parametrize("other", GOING_ON)
def test_boto3_reads_events(first: str, other: str) -> None:
    events = events_of_boto(told("bedrock.converse", first, other))
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert "".join(deltas) == "one two three"
    assert events[-2] == {"messageStop": {"stopReason": "end_turn"}}
    assert events[-1]["metadata"]["usage"]["inputTokens"] == 9


def named(first: str, id: str, model: str) -> None:
    """The answer is the first target's. A stream of Converse names neither."""
    if first == "bedrock.converse":
        assert len(id) > 20
        assert model == "m"
    else:
        assert (id.removeprefix("resp_"), model) == ("a1", "model-a")


def told(client: str, first: str, other: str) -> bytes:
    subject = Client(client, first)
    subject.feed(until_text(stream_of(first, spoken("one two "))))
    subject.go_on(target(other))
    subject.whole(stream_of(other, spoken(" three", usage=Usage(9, 2))))
    return b"".join(subject.got)


# What a stream of another hand leaves open


RESPONSE = {"id": "resp_" + "6" * 60, "object": "response", "created_at": 3, "model": "gpt", "status": "in_progress"}


def vendor(*, until: str) -> list[bytes]:
    """A stream as OpenAI writes it, up to the first event of that type."""
    item = {"id": "msg_0", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    place = {"item_id": "msg_0", "output_index": 0, "content_index": 0}
    whole = part | {"text": "one"}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": RESPONSE | {"output": [], "store": True}},
        {"type": "response.in_progress", "response": RESPONSE | {"output": [], "store": True}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        {"type": "response.output_text.delta", **place, "delta": "one", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "one", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": whole},
        {"type": "response.output_item.done", "output_index": 0, "item": item | {"content": [whole]}},
    ]
    out = []
    for number, event in enumerate(events):
        out.append(f"event: {event['type']}\ndata: {json.dumps(event | {'sequence_number': number})}\n\n".encode())
        if event["type"] == until:
            break
    return out


@pytest.mark.parametrize(
    ("until", "texts"),
    [
        ("response.output_text.delta", ["one two"]),
        ("response.output_text.done", ["one", " two"]),
        ("response.content_part.done", ["one", " two"]),
        ("response.output_item.done", ["one", " two"]),
    ],
)
def test_a_response_of_openai_is_gone_on_with(until: str, texts: list[str]) -> None:
    subject = Client("openai.responses", "openai.responses")
    subject.feed(vendor(until=until))
    subject.go_on(target("anthropic.messages"))
    answer = subject.whole(stream_of("anthropic.messages", spoken(" two", usage=Usage(4, 1))))
    assert [part.text for part in answer.parts if isinstance(part, Text)] == texts
    last = json.loads(parse_event(subject.got[-1])[1] or b"")["response"]
    assert (last["id"], last["store"], last["status"]) == (RESPONSE["id"], True, "completed")


def test_an_empty_block_keeps_its_number() -> None:
    def event(kind: str, **members: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind} | members)}\n\n".encode()

    subject = Client("anthropic.messages", "anthropic.messages")
    message = {"id": "a1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}}
    text = {"type": "text", "text": ""}
    subject.feed(
        [
            event("message_start", message=message),
            event("content_block_start", index=0, content_block=text),
            event("content_block_stop", index=0),
            event("content_block_start", index=1, content_block=text),
            event("content_block_delta", index=1, delta={"type": "text_delta", "text": "one"}),
        ]
    )
    subject.go_on(target("openai.chat"))
    answer = subject.whole(stream_of("openai.chat", spoken(" two")))
    assert text_of(answer.parts) == "one two"


@clients
def test_what_was_lost_in_the_last_breath_is_not_said(client: str) -> None:
    """A relay that fails loses the bytes of that call, and its encoder is ahead of the client."""
    first = "anthropic.messages" if client != "anthropic.messages" else "openai.chat"
    subject = Client(client, first)
    blocks = until_text(stream_of(first, spoken("one two")))
    subject.feed(blocks[:-1])
    with pytest.raises(AttemptError):
        subject.relay.feed(blocks[-1] + b"data: {broken\n\n")
    assert subject.transcript.text == "one "
    subject.go_on(target("anthropic.messages"))
    answer = subject.whole(stream_of("anthropic.messages", spoken("and two")))
    assert text_of(answer.parts) == "one and two"


# Calls and thoughts


@pairs
def test_calls_after_the_text(client: str, other: str) -> None:
    subject = Client(client, client)
    subject.feed(until_text(stream_of(client, spoken("one"))))
    subject.go_on(target(other))
    events = [
        Started("b", "m"),
        PartStarted(0, ToolCall("call_1", "f", "")),
        PartEnded(0),
        PartStarted(1, ToolCall("call_2", "g", "")),
        PartEnded(1),
        Finished("tool_calls"),
    ]
    blocks = stream_of(other, events)
    called = next(place for place, block in enumerate(blocks) if b'"f"' in block) + 1
    subject.feed(blocks[:called])
    # A call is whole in Gemini's.
    assert b'"f"' in b"".join(subject.got) or client == "gemini.generate", "the call waits for the end of the answer"
    answer = subject.whole(blocks[called:])
    assert [part.name for part in answer.parts if isinstance(part, ToolCall)] == ["f", "g"]
    assert text_of(answer.parts) == "one"
    assert answer.finish_reason == "tool_calls"


@clients
def test_thoughts_before_the_text_are_not_shown(client: str) -> None:
    subject = Client(client, client)
    subject.feed(until_text(stream_of(client, spoken("one"))))
    subject.go_on(target("anthropic.messages"))
    thought = PartStarted(0, Reasoning("hm", "c2ln", "anthropic.messages"))
    events = [Started("b", "m"), thought, PartEnded(0), PartStarted(1, Text("")), TextDelta(" two", 1), PartEnded(1)]
    answer = subject.whole(stream_of("anthropic.messages", [*events, Finished("stop")]))
    assert [type(part) for part in answer.parts] == [Text]
    assert text_of(answer.parts) == "one two"


# Usage


@pairs
def test_usage_is_that_of_both(client: str, other: str) -> None:
    subject = Client(client, "openai.chat")
    chunks = until_text(stream_of("openai.chat", spoken("one two")))
    reported = chunks[-1].replace(b'"usage":null', b'"usage":{"prompt_tokens":11,"completion_tokens":40}')
    assert reported != chunks[-1]
    subject.feed([*chunks[:-1], reported])
    subject.go_on(target(other))
    assert subject.transcript.output_tokens_estimate == 40
    answer = subject.whole(stream_of(other, spoken(" three", usage=Usage(30, 2))))
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 42)
    assert subject.relay.usage == Usage(30, 2)


def test_usage_that_the_client_did_not_ask_for_is_not_shown() -> None:
    subject = Client("openai.chat", "openai.chat", stream_options=None)
    subject.feed(until_text(stream_of("openai.chat", spoken("one"))))
    subject.go_on(target("openai.chat"))
    subject.whole(stream_of("openai.chat", spoken("two", usage=Usage(30, 2))))
    assert b"usage" not in b"".join(subject.got[-3:])
    assert subject.relay.usage == Usage(30, 2)


# When it is not possible


def begun(client: str = "openai.chat", **members: Any) -> Client:
    subject = Client(client, client, **members)
    subject.feed(until_text(stream_of(client, spoken("one two"))))
    return subject


@pytest.mark.parametrize(
    "known", [None, Capabilities(family="m"), Capabilities(family="m", lacks=frozenset({"prefill"}))]
)
def test_only_targets_that_are_known_to_go_on_are_asked(known: Capabilities | None) -> None:
    subject = begun()
    at = msgspec.structs.replace(target("anthropic.messages"), capabilities=known)
    with pytest.raises(UnsupportedFeature, match="not known to go on"):
        subject.go_on(at)


def test_responses_has_no_prefill() -> None:
    with pytest.raises(UnsupportedFeature):
        begun().go_on(target("openai.responses"))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"response_format": {"type": "json_object"}}, "held to a format"),
        (
            {
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
                "tool_choice": "required",
            },
            "has to call a tool",
        ),
        ({"n": 2}, "several answers"),
    ],
)
def test_requests_that_cannot_be_continued(members: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedFeature, match=why):
        begun(**members).go_on(target("openai.chat"))


@pytest.mark.parametrize(
    ("client", "part", "why"),
    [
        *((client, ToolCall("c", "f", ""), "tool call") for client in CHAT),
        # Elsewhere refusals are texts until the answer ends.
        *((client, Refusal(""), "refusal") for client in CHAT if client.startswith("openai.")),
    ],
)
def test_only_text_is_continued(client: str, part: Part, why: str) -> None:
    subject = Client(client, client)
    said = [TextDelta("no", 1)] if isinstance(part, Refusal) else []
    events = [*spoken("one")[:5], PartStarted(1, part), *said, PartEnded(1)]
    encoder = CHAT[client].stream_encoder(subject.envelope, 7)
    subject.feed([written for event in events if (written := encoder.encode(event))])
    assert subject.transcript.why_not == f"the answer holds a {why}"
    assert subject.transcript.text == ""


@clients
def test_there_must_be_something_to_continue(client: str) -> None:
    subject = Client(client, client)
    blocks = stream_of(client, spoken(" one", pieces=4))
    assert subject.transcript.why_not == "nothing was said yet"
    marks = (b'"content":" "', b'"text":" "', b'"delta":" "')
    at = next(place for place, block in enumerate(blocks) if any(mark in block for mark in marks))
    subject.feed(blocks[: at + 1])
    assert not subject.transcript.possible
    subject.feed(blocks[at + 1 : at + 2])
    assert subject.transcript.possible


@clients
def test_thoughts_are_not_continued(client: str) -> None:
    subject = Client(client, client)
    encoder = CHAT[client].stream_encoder(subject.envelope, 7)
    events = [*spoken("one")[:5], PartStarted(1, Reasoning(origin=client)), ReasoningDelta("hm", 1)]
    subject.feed([written for event in events if (written := encoder.encode(event))])
    assert subject.transcript.why_not == "the model was not speaking"


@clients
def test_a_finished_answer_is_not_continued(client: str) -> None:
    subject = Client(client, client)
    subject.feed(stream_of(client, spoken("one")))
    assert subject.transcript.why_not == "the answer was finished"


def test_several_choices_are_not_continued() -> None:
    subject = begun()
    subject.hand(b'data: {"choices":[{"index":1,"delta":{"content":"x"}}]}\n\n')
    assert subject.transcript.why_not == "the answer holds a second choice"


def test_what_the_transcript_keeps_is_bounded() -> None:
    subject = begun()
    subject.feed(stream_of("openai.chat", spoken("x" * MAX_TEXT_BYTES))[1:3])
    assert subject.transcript.why_not == "the answer is too long to be continued"
    assert subject.transcript.text == ""


def test_a_stream_that_cannot_be_followed_ends_it() -> None:
    subject = begun()
    subject.transcript.hear(b"data: {broken\n\n")
    assert subject.transcript.why_not.startswith("the answer could not be followed")
    subject.transcript.hear(b"data: {broken\n\n")


# The request


def test_an_answer_begun_by_the_client_grows() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "So: "}]
    for other in GOING_ON:
        subject = begun("anthropic.messages", messages=turns)
        body = json.loads(subject.go_on(target(other)))
        assert said_and_limit(body)[0] == "So: one two"


@pytest.mark.parametrize(("provider", "marked"), [("mistral", True), ("deepseek", True), ("compatible", False)])
def test_providers_that_want_it_said(provider: str, marked: bool) -> None:
    body = json.loads(begun().go_on(target("openai.chat", provider=provider)))
    assert body["messages"][-1].get("prefix", False) is marked


def test_nothing_is_thought_about_again() -> None:
    subject = begun("anthropic.messages", thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000)
    body = json.loads(subject.go_on(target("anthropic.messages", "prefill reasoning")))
    assert "thinking" not in body


def test_the_limit_is_never_below_one() -> None:
    body = json.loads(begun(max_tokens=1).go_on(target("openai.chat")))
    assert body["max_tokens"] == 1


def test_a_plain_request_of_another_dialect_may_not_end_with_an_answer() -> None:
    """What the client wrote itself is still judged as before."""
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "So"}]
    envelope = envelope_of("anthropic.messages", messages=turns)
    with pytest.raises(UnsupportedFeature, match="continues"):
        translate(CHAT["anthropic.messages"], envelope, target("openai.chat"))
    refusals = Refusals("openai.chat", target("openai.chat"))
    request = CHAT["openai.chat"].decode_request(envelope_of("openai.chat").body, refusals)
    assert not request.begun


def test_relays_are_plain() -> None:
    subject = begun()
    subject.go_on(target("anthropic.messages"))
    assert isinstance(subject.relay, StreamRelay)
    assert subject.relay.feed(stream_of("anthropic.messages", spoken("x"))[0]) == b""
