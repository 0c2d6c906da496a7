"""What a client or a provider may send to break a translation: each is answered or refused, and in time that grows with
its length and not with its square."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from trimaran.errors import InvalidRequest, MalformedAnswer
from trimaran.types import Target
from trimaran.wire import DIALECTS, StreamRelay, Translation, translate
from trimaran.wire.conversation import MAX_NOTED, Notes
from trimaran.wire.openai_chat.reasoning import StreamedDetails


def translated(client: str, to: str, body: bytes) -> Translation:
    target = Target("t/m", "compatible", "m", (to,), "https://t.example")
    dialect = DIALECTS[client]
    return translate(dialect, dialect.read(body, dialect.upstream_path("m", False)), target)


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def relay(client: str, to: str) -> StreamRelay:
    bodies = {"openai.chat": chat(stream=True), "openai.responses": b'{"model":"m","input":"hi","stream":true}'}
    return translated(client, to, bodies[client]).relay(created_s=1)


def event(body: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(body).encode()


@pytest.mark.parametrize("to", ["openai.responses", "anthropic.messages"])
@pytest.mark.parametrize("detail", [["low"], {"a": 1}, 3])
def test_a_detail_that_is_no_text(to: str, detail: Any) -> None:
    content = [{"type": "image_url", "image_url": {"url": "https://p", "detail": detail}}]
    with pytest.raises(InvalidRequest, match="detail"):
        translated("openai.chat", to, chat(messages=[{"role": "user", "content": content}]))


def test_a_number_that_no_float_holds() -> None:
    body = chat(temperature=0).replace(b'"temperature": 0', b'"temperature": ' + b"9" * 400)
    with pytest.raises(InvalidRequest, match="temperature"):
        translated("openai.chat", "anthropic.messages", body)


def test_a_schema_deeper_than_the_stack() -> None:
    deep = (
        b'{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":' * 400 + b"{}" + b"}}" * 400
    )
    body = b'{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":%b}]}' % deep
    with pytest.raises(InvalidRequest, match="nested"):
        translated("openai.responses", "openai.chat", body)


STARTED = event({"type": "message_start", "message": {"id": "m", "model": "m"}})
TEXT = event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}})
THOUGHT = event({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "b"}})
SIGNED = event({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "b"}})
ARGUMENTS = event(
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}}
)


@pytest.mark.parametrize(
    ("client", "delta"),
    [
        ("openai.chat", THOUGHT),
        ("openai.chat", SIGNED),
        ("openai.chat", ARGUMENTS),
        ("openai.responses", THOUGHT),
    ],
)
def test_a_stream_that_mixes_up_its_parts(client: str, delta: bytes) -> None:
    stream = relay(client, "anthropic.messages")
    stream.feed(STARTED + TEXT)
    with pytest.raises(MalformedAnswer, match="part"):
        stream.feed(delta)


def test_log_probabilities_of_odd_types() -> None:
    choice = {
        "message": {"role": "assistant", "content": "hi"},
        "finish_reason": "stop",
        "logprobs": {"content": [{"token": True}, {"token": None}]},
    }
    body = json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
    answer, *_ = translated("openai.responses", "openai.chat", b'{"model":"m","input":"hi"}').answer(body, created_s=1)
    assert b'"hi"' in answer


def test_there_are_not_more_notes_than_can_be_looked_up() -> None:
    notes = Notes()
    for place in range(MAX_NOTED + 50):
        notes.omit(f"messages[{place % (MAX_NOTED + 20)}].annotations")
    assert len(set(notes.omitted)) == len(notes.omitted) == MAX_NOTED


def test_details_without_an_index_stand_alone() -> None:
    details = StreamedDetails()
    for text in ("a", "b"):
        details.add([{"type": "reasoning.text", "text": text, "index": 0}, {"type": "reasoning.text", "text": text}])
    details.add([{"type": "reasoning.text", "text": None, "signature": "s", "index": 0}, "no object"])
    assert details.whole() == [
        {"type": "reasoning.text", "text": "ab", "index": 0, "signature": "s"},
        {"type": "reasoning.text", "text": "a"},
        {"type": "reasoning.text", "text": "b"},
    ]


def results(count: int) -> bytes:
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": "{}"} for n in range(count)]
    outputs = [{"type": "function_call_output", "call_id": f"c{n}", "output": "r"} for n in range(count)]
    return json.dumps({"model": "m", "input": [*calls, *outputs, {"role": "user", "content": "go"}]}).encode()


def pictures(count: int) -> bytes:
    shown = [{"type": "image", "source": {"type": "url", "url": "https://p"}}]
    calls = [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}} for n in range(count)]
    outputs = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": shown} for n in range(count)]
    turns = [("user", "hi"), ("assistant", calls), ("user", outputs)]
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()


def documents(count: int) -> bytes:
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="}
    return chat(messages=[{"role": "user", "content": [{"type": "file", "file": file}] * count}])


def blanks(count: int) -> bytes:
    return chat(
        messages=[{"role": "user", "content": [{"type": "text", "text": text} for text in ["a", *" " * count]]}]
    )


def cache_points(count: int) -> bytes:
    blocks = [{"text": "a"}, {"cachePoint": {"type": "default"}}]
    return json.dumps({"messages": [{"role": "user", "content": blocks * count}]}).encode()


def pieces(count: int) -> bytes:
    parts = [{"text": "a", "thought": True}, {"text": "a"}, {"text": "a", "thoughtSignature": "AA=="}]
    turns = [{"role": "model", "parts": [part]} for part in parts for _ in range(count)]
    return json.dumps(
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}, *turns, {"parts": [{"text": "go"}]}]}
    ).encode()


def calls(count: int) -> bytes:
    turns = [
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"parts": [{"functionResponse": {"name": "f"}}]},
    ]
    return json.dumps({"contents": turns * count}).encode()


@pytest.mark.parametrize(
    ("client", "to", "make"),
    [
        ("gemini.generate", "openai.chat", pieces),
        ("gemini.generate", "openai.chat", calls),
        ("openai.responses", "gemini.generate", results),
        ("openai.responses", "openai.chat", results),
        ("anthropic.messages", "openai.chat", pictures),
        ("openai.chat", "bedrock.converse", documents),
        ("openai.chat", "bedrock.converse", blanks),
        ("bedrock.converse", "anthropic.messages", cache_points),
    ],
)
def test_the_work_grows_with_the_length(client: str, to: str, make: Callable[[int], bytes]) -> None:
    """Counted in lines of Python and not in seconds, so that a busy machine changes nothing."""
    small, large = make(200), make(1600)
    assert steps(lambda: translated(client, to, large)) < 12 * steps(lambda: translated(client, to, small))


def steps(work: Callable[[], object]) -> int:
    """How many lines and calls of Python ``work`` takes."""
    count = 0

    def trace(frame: Any, kind: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
