"""What gemini.generate says comes back the same, in a stated normal form; a signature comes home through any client."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.types import Target
from trimaran.wire import DIALECTS, ChatDialect, translate
from trimaran.wire.conversation import ChatRequest, Message, Notes, Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import Answer
from trimaran.wire.fold import fold
from trimaran.wire.gemini_generate import GeminiGenerate
from trimaran.wire.gemini_generate.signatures import EMPTY_TEXT, ON_TEXT, is_placed, on_call, placed
from trimaran.wire.refusals import Refusals

sys.path.insert(0, str(Path(__file__).parent))
from conversations import answers, base64s, blocks_of, chat_requests, events_of, read_request, usages

GEMINI = GeminiGenerate()
OWN = GEMINI.name
TARGET = Target("g/m", "gemini", "gemini-3.8-flash", (OWN,), "https://g.example")
ENVELOPE = GEMINI.read(b'{"contents":[{"parts":[{"text":"hi"}]}]}', b"/v1beta/models/m:streamGenerateContent")
CLIENTS = [dialect for dialect in DIALECTS.values() if isinstance(dialect, ChatDialect) and dialect.shown_path]
USER = Message("user", [Text("hi")])


def written(request: ChatRequest, source: str = OWN) -> tuple[bytes, Refusals]:
    refusals = Refusals(source, TARGET, GEMINI.field_names)
    return GEMINI.encode_request(request, TARGET, refusals, Notes()), refusals


@given(chat_requests())
def test_what_was_written_is_read_and_written_again(request: ChatRequest) -> None:
    body, refusals = written(request)
    if refusals:
        return
    again = Refusals(OWN, TARGET, GEMINI.field_names)
    read = GEMINI.decode_request(body, again)
    again.check()
    second, refusals = written(read)
    refusals.check()
    assert json.loads(second) == json.loads(body)


def spoken(parts: list[Part]) -> list[Any]:
    """In the form in which two answers are compared: neighbouring texts are one, and an empty one says nothing."""
    out: list[Any] = []
    for part in parts:
        if isinstance(part, Text | Refusal):
            if out and out[-1][0] == "text":
                out[-1] = ("text", out[-1][1] + part.text)
            elif part.text:
                out.append(("text", part.text))
        elif isinstance(part, ToolCall):
            out.append(("call", part.id, part.name, json.loads(part.arguments)))
        elif isinstance(part, Reasoning):
            out.append(("thought", part.text, part.state, part.id))
    return out


def own(answer: Answer) -> Answer:
    """``answer`` as this API may give it."""
    kept = [part for part in answer.parts if not isinstance(part, Reasoning) or part.origin == OWN]
    return msgspec.structs.replace(answer, parts=kept)


_REASONS = {"context_window": "length", "stop_sequence": "stop"}


def compared(answer: Answer) -> Any:
    usage = answer.usage
    assert usage is not None
    counted = msgspec.structs.replace(usage, cache_write_tokens=0, cache_write_1h_tokens=0)
    reason = _REASONS.get(answer.finish_reason, answer.finish_reason)
    return (answer.id, answer.model, spoken(answer.parts), reason, counted, answer.logprobs, answer.service_tier)


@given(answers(usage=usages(audio=True), logprobs=True))
def test_an_answer_comes_back(answer: Answer) -> None:
    answer = own(answer)
    assert compared(GEMINI.decode_answer(GEMINI.encode_answer(answer, 0))) == compared(answer)


@given(st.data())
def test_a_stream_comes_back(data: st.DataObject) -> None:
    answer = own(data.draw(answers(usage=usages(audio=True), logprobs=True)))
    encoder = GEMINI.stream_encoder(ENVELOPE, 0)
    stream = b"".join([*map(encoder.encode, data.draw(events_of(answer))), encoder.end()])
    decoder = GEMINI.stream_decoder()
    events = [event for name, value in blocks_of(GEMINI, stream) for event in decoder.decode(name, value)]
    assert compared(fold([*events, *decoder.ended()])) == compared(answer)


# Signatures


@st.composite
def signed_parts(draw: st.DrawFn) -> list[Any]:
    """The parts of a whole answer of Gemini's, some of them signed."""
    parts: list[dict[str, Any]] = []
    if draw(st.booleans()):
        parts.append({"text": "I think", "thought": True})
    if draw(st.booleans()):
        parts.append({"text": "Let me see."})
    if draw(st.booleans()):
        parts.append(
            {"text": "Here: "} if not parts or "thought" in parts[-1] else {"text": "", "thoughtSignature": "ZQ=="}
        )
    for number in range(draw(st.integers(0 if parts else 1, 3))):
        parts.append({"functionCall": {"id": f"c{number}", "name": "f", "args": {"n": number}}})
    for part in parts:
        if "thoughtSignature" not in part and draw(st.booleans()):
            part["thoughtSignature"] = draw(base64s)
    return parts


def next_request(client: ChatDialect, answer: dict[str, Any], calls: list[str]) -> bytes:
    """The client's next request: what it was answered, and results for the calls or one more question."""
    if client.name == "openai.chat":
        results: list[Any] = [{"role": "tool", "tool_call_id": id, "content": "ok"} for id in calls]
        turns = [{"role": "user", "content": "hi"}, answer["choices"][0]["message"]]
        return json.dumps(
            {"model": "m", "messages": turns + (results or [{"role": "user", "content": "and?"}])}
        ).encode()
    if client.name == "openai.responses":
        results = [{"type": "function_call_output", "call_id": id, "output": "ok"} for id in calls]
        items = [{"role": "user", "content": "hi"}, *answer["output"]]
        return json.dumps({"model": "m", "input": items + (results or [{"role": "user", "content": "and?"}])}).encode()
    if client.name == "anthropic.messages":
        results = [{"type": "tool_result", "tool_use_id": id, "content": "ok"} for id in calls]
        turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": answer["content"]}]
        turns.append({"role": "user", "content": results or "and?"})
        return json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode()
    if client.name == "bedrock.converse":
        results = [{"toolResult": {"toolUseId": id, "content": [{"text": "ok"}]}} for id in calls]
        turns = [{"role": "user", "content": [{"text": "hi"}]}, answer["output"]["message"]]
        turns.append({"role": "user", "content": results or [{"text": "and?"}]})
        return json.dumps({"messages": turns}).encode()
    results = [{"functionResponse": {"id": id, "name": "f", "response": {"output": "ok"}}} for id in calls]
    contents = [{"role": "user", "parts": [{"text": "hi"}]}, answer["candidates"][0]["content"]]
    contents.append({"role": "user", "parts": results or [{"text": "and?"}]})
    return json.dumps({"contents": contents}).encode()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@given(data=st.data())
def test_signatures_come_home_through_any_client(client: ChatDialect, data: st.DataObject) -> None:
    parts = data.draw(signed_parts())
    body = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "responseId": "r"}
    answer = GEMINI.decode_answer(json.dumps(body).encode())
    told = json.loads(client.encode_answer(answer, 0))
    calls = [part.id for part in answer.parts if isinstance(part, ToolCall)]
    asked = read_request(client, next_request(client, told, calls))
    # Not as what passes: through the neutral model also where the client speaks this dialect.
    refusals, notes = Refusals(client.name, TARGET, client.field_names), Notes()
    request = client.decode_request(asked.body, refusals)
    refusals.check()
    home = json.loads(GEMINI.encode_request(request, TARGET, refusals, notes))["contents"][1]["parts"]
    wanted = _signatures(parts)
    # A call without any signature gets the stand-in: it is the turn under way.
    first = next((place for place, part in enumerate(home) if "functionCall" in part), None)
    if first is not None and home[first].get("thoughtSignature", "").startswith("skip_"):
        del home[first]["thoughtSignature"]
    assert _signatures(home) == wanted
    assert "reasoning" not in notes.omitted


def _signatures(parts: list[Any]) -> list[Any]:
    """What is signed, with what; of texts in any order, since some clients put them together."""
    found = []
    for part in parts:
        if "thoughtSignature" in part:
            kind = "thought" if part.get("thought") else part.get("functionCall", {}).get("id", "text")
            found.append((kind, part["thoughtSignature"]))
    return sorted(found)


def test_where_signatures_stand() -> None:
    call = ToolCall("a.b", "f", "{}")
    on = Reasoning("", "1", OWN, on_call("a.b"), hidden=True)
    text = Reasoning("", "2", OWN, ON_TEXT, hidden=True)
    empty = Reasoning("", "3", OWN, EMPTY_TEXT, hidden=True)
    assert all(map(is_placed, (on, text, empty)))
    assert not is_placed(Reasoning("hm", "4", OWN))
    assert not is_placed(Reasoning("", "1", "openai.responses", "c-x", hidden=True))
    pairs, lost = placed([on, Text("x"), text, Text("y"), empty, call])
    assert not lost
    assert pairs == [(Text("x"), "2"), (Text("y"), ""), (Text(""), "3"), (call, "1")]
    # The id was made to fit another dialect.
    renamed = msgspec.structs.replace(call, id=on.id.removeprefix("c-"))
    assert placed([on, renamed]) == ([(renamed, "1")], False)
    assert placed([on, Text("x")]) == ([(Text("x"), "")], True)


def test_an_answer_passes_between_speakers_of_the_dialect() -> None:
    envelope = GEMINI.read(b'{"contents":[{"parts":[{"text":"hi"}]}]}', b"/v1beta/models/m:generateContent")
    made = translate(GEMINI, envelope, TARGET)
    assert made.body is envelope.body
    assert made.notes is None
