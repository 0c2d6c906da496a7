"""What anthropic.messages says comes back the same, in a stated normal form, or is refused or noted by name; and the
strict peer of the test suite takes what is written for a target."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, InvalidRequest
from trimaran.testing.anthropic_messages import AnthropicMessages as Peer
from trimaran.testing.dialect import Request
from trimaran.types import Capabilities, Target
from trimaran.wire.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    ReasoningControl,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimaran.wire.effort import budget_of, effort_of
from trimaran.wire.events import Answer, Event
from trimaran.wire.fold import fold
from trimaran.wire.refusals import Refusals
from trimaran.wire.sse import EventFramer, parse_event
from trimaran.wire.state import unwrap_state, wrap_state

sys.path.insert(0, str(Path(__file__).parent))
from conversations import answers, bare, chat_requests, events_of, usages

MESSAGES = AnthropicMessages()
COUNT = AnthropicCountTokens()
ORIGIN = "anthropic.messages"
ENVELOPE = MESSAGES.read(b'{"model":"m","max_tokens":5,"messages":[],"stream":true}')


def claude(way: str, output: int | None) -> Target:
    known = Capabilities(family="c", reasoning_control=way, max_output_tokens=output)
    return Target("a/c", "anthropic", "m", (MESSAGES.name,), "http://t", capabilities=known)


OLDER, NEWER = claude("budget", None), claude("adaptive", 64_000)
targets = st.sampled_from([OLDER, NEWER])


def copied(request: ChatRequest) -> ChatRequest:
    return msgspec.convert(msgspec.to_builtins(request), ChatRequest)


def said(parts: list[Part]) -> list[Part]:
    """The parts that stay of a turn, in the form in which they come back."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and not part.text:
            continue
        if isinstance(part, Reasoning) and not (part.origin == ORIGIN and part.state):
            continue
        if isinstance(part, Refusal):
            part = Text(part.text)
        elif isinstance(part, Image):
            part = msgspec.structs.replace(part, detail="")
        elif isinstance(part, ToolCall):
            part = msgspec.structs.replace(part, id=fitting_id(part.id), arguments=plain(part.arguments))
        elif isinstance(part, ToolResult):
            part = msgspec.structs.replace(part, call_id=fitting_id(part.call_id), parts=said(part.parts))
        out.append(part)
    if not "".join(part.text for part in out if isinstance(part, Text)).strip():
        out = [part for part in out if not isinstance(part, Text)]
    return out


def plain(arguments: str) -> str:
    return msgspec.json.encode(json.loads(arguments or "{}")).decode()


def turns_of(messages: list[Message]) -> list[Message]:
    turns: list[Message] = []
    kept = [Message(message.role, parts) for message in messages if (parts := said(message.parts))]
    for role, run in itertools.groupby(kept, lambda message: message.role):
        turns_ = list(run)
        parts = [part for message in turns_ for part in message.parts]
        if any(isinstance(part, ToolCall | ToolResult) for part in parts):
            turns_ = [Message(role, sorted(parts, key=lambda part: not isinstance(part, ToolResult)))]
        turns += turns_
    return turns


def normal(request: ChatRequest, target: Target, chain: bool) -> ChatRequest:
    """The normal form. ``chain``: thinking was left out in the middle of a chain of calls."""
    request = copied(request)
    request.messages, request.system = turns_of(request.messages), said(request.system)
    while request.messages and request.messages[0].role == "system":
        request.system += request.messages.pop(0).parts
    request.metadata, request.cache_key, request.cache_retention = {}, "", ""
    request.service_tier = "" if request.service_tier == "auto" else request.service_tier
    if request.tool_choice == ToolChoice("auto") or not request.tools:
        request.tool_choice = None
    single = request.parallel_tool_calls is False and request.tool_choice != ToolChoice("none")
    request.parallel_tool_calls = False if single and request.tools else None
    called = [part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    if called and not request.tools:
        request.tools = [Tool(name, parameters={"type": "object"}) for name in dict.fromkeys(called)]
        request.tool_choice = ToolChoice("none")
    request.tools = [
        msgspec.structs.replace(tool, parameters=tool.parameters or {"type": "object", "properties": {}})
        for tool in request.tools
    ]
    if request.temperature == 1 and request.top_p not in (None, 1):
        request.temperature = None
    if request.top_p == 1 and request.temperature is not None:
        request.top_p = None
    if request.response_format is not None:
        wanted = request.response_format
        request.response_format = msgspec.structs.replace(wanted, name="", description="", strict=True)
    limit = request.max_output_tokens
    if limit is None and target is NEWER:
        limit = 64_000
    request.reasoning = None if chain else thought(request.reasoning, target, limit)
    budget = request.reasoning.budget_tokens or 0 if request.reasoning is not None else 0
    request.max_output_tokens = 4096 + budget if limit is None else limit
    return request


def thought(control: ReasoningControl | None, target: Target, limit: int | None) -> ReasoningControl | None:
    if control is None or control.effort == "none":
        return None if control is None else ReasoningControl("none")
    if not control.effort and control.budget_tokens is None:
        return None
    show = "auto" if control.show in ("concise", "detailed") else control.show
    if target is OLDER:
        return ReasoningControl(budget_tokens=control.budget_tokens or budget_of(control.effort, limit), show=show)
    effort = control.effort or effort_of(control.budget_tokens or 0)
    return ReasoningControl("low" if effort == "minimal" else effort, adaptive=True, show=show)


def native(request: ChatRequest) -> ChatRequest:
    """Without what this API has no words for."""
    nothing = ChatRequest(model="m", messages=[])
    for field in ("seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "verbosity"):
        setattr(request, field, getattr(nothing, field))
    if request.service_tier in ("flex", "priority"):
        request.service_tier = ""
    request.stop = [text for text in request.stop if text.strip()]
    for message in request.messages:
        message.parts = [part for part in message.parts if not isinstance(part, Audio)]
    for tool in request.tools:
        tool.strict = tool.strict or None
        if tool.strict:
            tool.parameters = (tool.parameters or {"type": "object"}) | {"additionalProperties": False}
    return request


natives = chat_requests().map(native)


def encoded(request: ChatRequest, target: Target, source: str = ORIGIN) -> tuple[bytes, Refusals, Notes]:
    refusals, notes = Refusals(source, target, MESSAGES.field_names), Notes()
    return MESSAGES.encode_request(request, target, refusals, notes), refusals, notes


@given(natives, targets)
def test_requests_come_back_in_their_normal_form(request: ChatRequest, target: Target) -> None:
    body, refusals, notes = encoded(copied(request), target)
    if refusals or not turns_of(request.messages):
        return
    back = MESSAGES.decode_request(body, again := Refusals(ORIGIN, target, MESSAGES.field_names))
    assert not again
    assert not again.omitted
    wanted = normal(request, target, chain="thinking" in notes.omitted and b'"thinking":{' not in body)
    assert msgspec.structs.replace(back, messages=bare(back.messages)) == wanted


@given(natives, targets)
def test_what_was_written_once_is_written_the_same_again(request: ChatRequest, target: Target) -> None:
    first, refusals, _ = encoded(request, target)
    kept = turns_of(request.messages)
    if refusals or not kept or kept[0].role == "system":
        return
    back = MESSAGES.decode_request(first, Refusals(ORIGIN, target))
    second, refusals, notes = encoded(back, target)
    assert not refusals
    assert json.loads(second) == json.loads(first)
    assert not notes.count


@given(chat_requests(), targets)
def test_the_notes_name_all_that_was_left_out(request: ChatRequest, target: Target) -> None:
    _, refusals, notes = encoded(copied(request), target, "openai.chat")
    if refusals:
        return
    parts = [part for message in request.messages for part in message.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.parts]
    thoughts = [part for part in parts if isinstance(part, Reasoning) and (part.text or part.state)]
    wanted = {name for name in ("metadata", "cache_key", "cache_retention") if getattr(request, name)}
    if any(part.origin != ORIGIN or not part.state for part in thoughts):
        wanted.add("reasoning")
    if any(isinstance(part, Image) and part.detail for part in parts):
        wanted.add("detail")
    if request.response_format is not None and request.response_format.description:
        wanted.add("output_config.format.description")
    assert set(notes.omitted) - {"thinking"} == wanted
    assert ("refusal" in notes.emulated) == any(isinstance(part, Refusal) for part in parts)


def judged(request: ChatRequest) -> ChatRequest:
    """Without what the peer holds against a client and not against its translator: signatures that it never gave, a
    budget of the client's above its limit; and without blank text beside other text, where the peer is stricter than
    the API."""
    for message in request.messages:
        message.parts = [part for part in message.parts if not isinstance(part, Reasoning) or part.origin != ORIGIN]
        for result in (part for part in message.parts if isinstance(part, ToolResult)):
            result.parts = [part for part in result.parts if not isinstance(part, Text) or part.text.strip()]
        message.parts = [part for part in message.parts if not isinstance(part, Text) or part.text.strip()]
    request.system = [part for part in request.system if not isinstance(part, Text) or part.text.strip()]
    if request.reasoning is not None and request.reasoning.budget_tokens is not None:
        request.reasoning = None
    if request.max_output_tokens is not None:
        request.max_output_tokens = max(1, request.max_output_tokens)
    return request


@given(natives.map(judged), targets)
def test_the_peer_takes_what_is_written(request: ChatRequest, target: Target) -> None:
    body, refusals, _ = encoded(request, target, "openai.chat")
    if refusals or request.messages[0].role != "user" or not said(request.messages[0].parts):
        return
    headers = [(b"anthropic-version", b"2023-06-01")]
    prompt = Peer().read(Request(b"POST", b"/v1/messages", headers, body, True))
    assert prompt.stream is request.stream
    assert prompt.max_output_tokens is not None


@given(natives, targets)
def test_a_count_reads_what_a_message_reads(request: ChatRequest, target: Target) -> None:
    whole, refusals, _ = encoded(copied(request), target)
    counted = json.loads(COUNT.encode_request(request, target, doubts := Refusals(COUNT.name, target), Notes()))
    if refusals or doubts:
        return
    message = json.loads(whole)
    for key in ("model", "messages", "system", "tools", "tool_choice"):
        assert counted.get(key) == message.get(key)
    assert not {"max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "metadata"} & counted.keys()


# Answers


def normal_answer(answer: Answer) -> Answer:
    """Foreign reasoning is this API's now, with its state in the signature; empty text is nothing."""
    parts: list[Part] = []
    for part in answer.parts:
        if isinstance(part, Reasoning) and part.origin != ORIGIN:
            part = Reasoning(part.text, wrap_state(part), ORIGIN, hidden=part.hidden)
        elif isinstance(part, ToolCall):
            part = ToolCall(fitting_id(part.id), part.name, part.arguments)
        if not (isinstance(part, Text) and not part.text):
            parts.append(part)
    reason = answer.finish_reason
    if any(isinstance(part, ToolCall) for part in parts) and reason == "stop":
        reason = "tool_calls"
    tier = "" if answer.service_tier == "flex" else answer.service_tier
    return msgspec.structs.replace(answer, parts=parts, finish_reason=reason, service_tier=tier)


@given(answers(usage=usages(hour=True)))
def test_answers_come_back_in_their_normal_form(answer: Answer) -> None:
    body = MESSAGES.encode_answer(answer, 0)
    wanted = normal_answer(answer)
    assert MESSAGES.decode_answer(body) == wanted
    assert MESSAGES.inspect(body) == (answer.usage, wanted.finish_reason, wanted.service_tier)


@given(answers())
def test_what_a_client_repeats_of_an_answer_is_what_was_said(answer: Answer) -> None:
    content = json.loads(MESSAGES.encode_answer(answer, 0))["content"]
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    turns: list[Any] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": content}]
    turns.append({"role": "user", "content": [*[result(call) for call in calls], {"type": "text", "text": "!"}]})
    if not content:
        return
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": turns}).encode()
    repeated = MESSAGES.decode_request(body, Refusals(ORIGIN, OLDER)).messages[1].parts
    wanted: list[Part] = []
    for part in answer.parts:
        if isinstance(part, Refusal):
            part = Text(part.text)
        elif isinstance(part, Reasoning) and part.origin == ORIGIN:
            part = msgspec.structs.replace(part, summary=False)
        elif isinstance(part, ToolCall):
            part = ToolCall(part.id, part.name, plain(part.arguments))
        if not (isinstance(part, Text) and not part.text):
            wanted.append(part)
    assert repeated == wanted


def result(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call.id}


# Streams


def written(events: list[Event]) -> bytes:
    encoder = MESSAGES.stream_encoder(ENVELOPE, 0)
    return b"".join([encoder.encode(event) for event in events]) + encoder.end()


def read(body: bytes) -> list[Event]:
    decoder = MESSAGES.stream_decoder()
    events: list[Event] = []
    for block in EventFramer().push(body):
        name, data = parse_event(block)
        assert data is not None
        events += decoder.decode(name, data)
    assert decoder.complete
    assert decoder.may_end
    return events


@given(st.data(), answers(usage=usages(hour=True)))
def test_streams_fold_to_the_same_answer(data: st.DataObject, answer: Answer) -> None:
    folded = fold(read(written(data.draw(events_of(answer)))))
    wanted = normal_answer(answer)
    # A refusal is told as text while it comes; that it was one stands in the stop reason.
    parts = [Text(part.text) if isinstance(part, Refusal) else part for part in wanted.parts]
    tier = folded.service_tier
    assert msgspec.structs.replace(folded, service_tier="") == msgspec.structs.replace(
        wanted, parts=parts, service_tier=""
    )
    assert tier in ("", wanted.service_tier)


@given(st.data(), answers())
def test_blocks_of_a_stream_stand_in_order(data: st.DataObject, answer: Answer) -> None:
    at, open_ = -1, False
    for block in EventFramer().push(written(data.draw(events_of(answer)))):
        event = json.loads(parse_event(block)[1] or b"")
        if event["type"] == "content_block_start":
            assert not open_
            at, open_ = at + 1, True
        if event["type"].startswith("content_block"):
            assert open_
            assert event["index"] == at
        if event["type"] == "content_block_stop":
            open_ = False
    assert not open_


# Whatever comes in

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "x", "user", "assistant", "text", "tool_use"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "source", "id", "input", "name", "data", "tool_use_id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
kinds = ["text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "other"]
blocks = st.tuples(
    st.sampled_from(kinds),
    st.dictionaries(
        st.sampled_from(["text", "source", "id", "input", "name", "data", "tool_use_id", "content", "cache_control"]),
        junk,
        max_size=4,
    ),
).map(lambda pair: {"type": pair[0]} | pair[1])
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": junk | st.lists(blocks, max_size=3)}
    ),
    max_size=3,
)
members = st.dictionaries(
    st.sampled_from(["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "cache_control", "x"]),
    junk,
    max_size=3,
)


@given(turns, members)
def test_a_request_is_read_or_refused_and_nothing_else(messages: list[Any], fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": messages} | fields).encode()
    refusals = Refusals(ORIGIN, OLDER)
    MESSAGES.read(body)
    try:
        request = MESSAGES.decode_request(body, refusals)
        MESSAGES.encode_request(request, OLDER, refusals, Notes())
    except InvalidRequest as error:
        named = error.field
    else:
        named = "nothing"
    assert named


@given(junk, st.lists(junk | blocks, max_size=3))
def test_an_answer_is_read_or_malformed_and_nothing_else(whole: Any, content: list[Any]) -> None:
    for body in (json.dumps(whole).encode(), json.dumps({"id": "x", "content": content}).encode()):
        for look in (MESSAGES.decode_answer, MESSAGES.inspect, COUNT.decode_count):
            try:
                look(body)
            except AttemptError:
                continue


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["message_start", "content_block_start", "content_block_delta", "message_delta"]), junk
        )
    )
)
def test_a_stream_is_read_or_malformed_and_nothing_else(pieces: list[tuple[str, Any]]) -> None:
    relay = MESSAGES.pass_relay(ENVELOPE)
    try:
        for kind, value in pieces:
            event = {"type": kind, "content_block": value, "delta": value, "message": value}
            relay.feed(b"data: %b\n\n" % json.dumps(event).encode())
        relay.finish()
    except AttemptError:
        return


@pytest.mark.parametrize("origin", ["openai.chat", "openai.responses"])
def test_a_wrapped_state_is_unwrapped_where_it_was_issued(origin: str) -> None:
    foreign = Reasoning("Hm.", "s:t", origin, "rs")
    body = MESSAGES.encode_answer(Answer("i", "m", [foreign], "stop"), 0)
    (block,) = json.loads(body)["content"]
    assert unwrap_state(block["signature"], "Hm.") == foreign
