"""What openai.chat says comes back the same, in a stated normal form, or is refused or noted by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.types import Capabilities, Target
from trimaran.wire import DIALECTS
from trimaran.wire.conversation import (
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from trimaran.wire.dialect import ChatDialect
from trimaran.wire.effort import effort_of
from trimaran.wire.events import Answer, Event, Finished, PartStarted, Started, TextDelta
from trimaran.wire.fold import fold
from trimaran.wire.refusals import Refusals
from trimaran.wire.sse import EventFramer, parse_event
from trimaran.wire.state import wrap_state

sys.path.insert(0, str(Path(__file__).parent))
from conversations import answers, bare, chat_requests, events_of, usages

CHAT = DIALECTS["openai.chat"]
assert isinstance(CHAT, ChatDialect)
GPT = Target(id="o/gpt", provider="openai", upstream_model="m", dialects=("openai.chat",), base_url="http://t")
VLLM = Target(id="v/m", provider="vllm", upstream_model="m", dialects=("openai.chat",), base_url="http://t")
ROUTER = Target(
    id="r/m",
    provider="openrouter",
    upstream_model="m",
    dialects=("openai.chat",),
    base_url="http://t",
    capabilities=Capabilities(family="claude", has=frozenset({"caching"})),
)


class Normal:
    """The normal form of a request for a target, computed from the request alone, with what the encoder has to say."""

    def __init__(self, request: ChatRequest, target: Target) -> None:
        self.own = target is GPT
        self.marks = target is ROUTER
        self.omitted: set[str] = set()
        self.emulated = False
        self.refused: set[str] = set()
        replace = msgspec.structs.replace
        request = replace(request, system=[self.part(part) for part in request.system])
        request.tools = [replace(tool, cache=self.cache(tool.cache)) for tool in request.tools]
        turns: list[Message] = []
        for message in request.messages:
            self.turn(message, request.system, turns)
        request.messages = turns
        self.options(request)
        self.request = request

    def cache(self, mark: str) -> str:
        if mark and not self.marks:
            self.omitted.add("cache_control")
            return ""
        return mark

    def part(self, part: Part) -> Part:
        if isinstance(part, Document):
            if part.url:
                self.refused.add("a document by its URL")
            elif part.text:
                self.emulated = True
            elif not part.name:
                part = msgspec.structs.replace(part, name="document.pdf")
        if isinstance(part, Text | Image | Document):
            part = msgspec.structs.replace(part, cache=self.cache(part.cache))
        return part

    def turn(self, message: Message, system: list[Part], turns: list[Message]) -> None:
        if message.role == "assistant":
            parts = self.assistant(message.parts)
        else:
            parts = [self.result(part) if isinstance(part, ToolResult) else self.part(part) for part in message.parts]
        if not parts:
            return
        last = turns[-1] if turns else None
        if message.role == "system" and last is None:
            system += parts
        elif (
            message.role == "user"
            and last is not None
            and last.role == "user"
            and all(isinstance(part, ToolResult) for part in last.parts)
        ):
            last.parts = last.parts + parts
        else:
            turns.append(Message(message.role, parts))

    def result(self, result: ToolResult) -> ToolResult:
        parts = [self.part(part) for part in result.parts]
        if result.is_error and result.is_blank:
            self.emulated = True
            marks = [part.cache for part in parts if isinstance(part, Text) and part.cache]
            parts = [Text("error", marks[0] if marks else "")]
        elif result.is_error:
            self.omitted.add("is_error")
        if any(not isinstance(part, Text) for part in parts):
            self.emulated = True
        return ToolResult(result.call_id, [] if parts == [Text("")] else parts, cache=self.cache(result.cache))

    def assistant(self, parts: list[Part]) -> list[Part]:
        thoughts: list[Reasoning] = []
        for part in parts:
            if isinstance(part, Reasoning):
                if part.origin == CHAT.name and not self.own:
                    thoughts.append(part)
                else:
                    self.omitted.add("reasoning")
        said = [self.part(part) for part in parts if isinstance(part, Text)]
        refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
        calls = [part for part in parts if isinstance(part, ToolCall)]
        for call in calls:
            if call.cache:
                self.omitted.add("cache_control")
        out: list[Part] = [*merged(thoughts)]
        others = bool(out or refusal or calls)
        out += [part for part in said if part != Text("")] or said[: not others]
        out += [Refusal(refusal)] if refusal else []
        out += [ToolCall(call.id, call.name, call.arguments or "{}") for call in calls]
        return out

    def options(self, request: ChatRequest) -> None:
        if request.tool_choice is not None and request.tool_choice.mode == "auto":
            request.tool_choice = None
        request.parallel_tool_calls = None if request.parallel_tool_calls is not False else False
        request.frequency_penalty = request.frequency_penalty or None
        request.presence_penalty = request.presence_penalty or None
        request.verbosity = "" if request.verbosity == "medium" else request.verbosity
        if request.service_tier == "standard" and not self.own:
            self.omitted.add("service_tier")
            request.service_tier = ""
        if request.service_tier == "auto":
            request.service_tier = ""
        self.drop(request, "metadata", {})
        if request.cache:
            self.omitted.add("cache_control")
            request.cache = ""
        if not self.own:
            self.drop(request, "cache_key", "", "prompt_cache_key")
            self.drop(request, "cache_retention", "", "prompt_cache_retention")
        elif request.top_k is not None:
            self.refused.add("top_k")
        if len(request.stop) > 4:
            self.refused.add("stop")
        if request.response_format is not None and request.response_format.kind == "json_schema":
            name = request.response_format.name or "output"
            request.response_format = msgspec.structs.replace(request.response_format, name=name)
        self.reasoning(request)

    def drop(self, request: ChatRequest, field: str, empty: Any, name: str = "") -> None:
        if getattr(request, field):
            self.omitted.add(name or field)
            setattr(request, field, empty)

    def reasoning(self, request: ChatRequest) -> None:
        wanted = request.reasoning
        if wanted is None:
            return
        effort = wanted.effort
        if wanted.budget_tokens is not None:
            self.emulated = True
            effort = effort_of(wanted.budget_tokens)
        if wanted.show not in ("", "auto"):
            self.omitted.add("reasoning_effort")
        request.reasoning = msgspec.structs.replace(wanted, effort=effort, budget_tokens=None, adaptive=False, show="")
        if not effort:
            request.reasoning = None


def merged(thoughts: list[Reasoning]) -> list[Reasoning]:
    """Reasoning of this dialect in one message is one part."""
    text = "".join(part.text for part in thoughts)
    details = [detail for part in thoughts if part.state for detail in json.loads(part.state)]
    state = msgspec.json.encode(details).decode() if details else ""
    return [Reasoning(text, state, CHAT.name, hidden=not text)] if text or state else []


@given(chat_requests(), st.sampled_from([GPT, VLLM, ROUTER]))
def test_requests_come_back_in_their_normal_form(request_: ChatRequest, target: Target) -> None:
    refusals, notes = Refusals(CHAT.name, target, CHAT.field_names), Notes()
    normal = Normal(msgspec.convert(msgspec.to_builtins(request_), ChatRequest), target)
    body = CHAT.encode_request(request_, target, refusals, notes)
    assert bool(refusals) == bool(normal.refused)
    if normal.refused:
        return
    assert set(notes.omitted) == normal.omitted
    assert bool(notes.emulated) == normal.emulated
    again = Refusals(CHAT.name, target, CHAT.field_names)
    back = CHAT.decode_request(body, again)
    again.check()
    assert not again.omitted
    assert CHAT.read(body).stream is request_.stream
    assert CHAT.read(body).max_output_tokens == request_.max_output_tokens
    shape = msgspec.structs.replace
    assert shape(back, messages=[]) == shape(normal.request, messages=[])
    if set(notes.emulated) - {"reasoning_effort"}:
        # Pictures of results and documents stand elsewhere now.
        return
    assert bare(back.messages) == normal.request.messages


@given(chat_requests(), st.sampled_from([VLLM, ROUTER]))
def test_what_was_written_once_is_written_the_same_again(request_: ChatRequest, target: Target) -> None:
    refusals = Refusals(CHAT.name, target, CHAT.field_names)
    first = CHAT.encode_request(request_, target, refusals, Notes())
    if refusals:
        return
    back = CHAT.decode_request(first, Refusals(CHAT.name, target, CHAT.field_names))
    notes = Notes()
    assert json.loads(CHAT.encode_request(back, target, refusals, notes)) == json.loads(first)
    assert not notes.count


# Answers


def details(parts: list[Reasoning]) -> list[Any]:
    """What stands in ``reasoning_details`` for the reasoning of one answer, all of one origin."""
    out: list[Any] = []
    for part in parts:
        if part.origin == CHAT.name:
            out += json.loads(part.state) if part.state else []
            continue
        place, state = len(out), wrap_state(part)
        if part.hidden:
            out.append({"type": "reasoning.encrypted", "data": state, "index": place})
        elif part.summary:
            out.append({"type": "reasoning.summary", "summary": part.text, "signature": state, "index": place})
        else:
            out.append({"type": "reasoning.text", "text": part.text, "signature": state, "index": place})
    return out


def normal_answer(answer: Answer) -> Answer:
    """Parts in this API's order: all reasoning as one part, one text, one refusal, the calls."""
    thoughts = [part for part in answer.parts if isinstance(part, Reasoning)]
    text, held = "".join(part.text for part in thoughts), details(thoughts)
    parts: list[Part] = []
    if thoughts:
        state = msgspec.json.encode(held).decode() if held else ""
        parts.append(Reasoning(text, state, CHAT.name, hidden=not text))
    if text := "".join(part.text for part in answer.parts if isinstance(part, Text)):
        parts.append(Text(text))
    parts += [part for part in answer.parts if isinstance(part, Refusal | ToolCall)]
    reason = "length" if answer.finish_reason == "context_window" else answer.finish_reason
    return msgspec.structs.replace(answer, parts=parts, finish_reason=reason)


@given(answers(logprobs=True, usage=st.none() | usages(audio=True)), st.integers(0, 10**9))
def test_answers_come_back_in_their_normal_form(answer: Answer, created_s: int) -> None:
    body = CHAT.encode_answer(answer, created_s)
    assert CHAT.decode_answer(body) == normal_answer(answer)
    normal = normal_answer(answer)
    assert CHAT.inspect(body) == (answer.usage, normal.finish_reason, normal.service_tier)


@given(answers())
def test_what_a_client_repeats_of_an_answer_is_what_was_said(answer: Answer) -> None:
    message = json.loads(CHAT.encode_answer(answer, 0))["choices"][0]["message"]
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    results = [{"role": "tool", "tool_call_id": call.id, "content": ""} for call in calls]
    turns = [{"role": "user", "content": "?"}, message, *results]
    refusals = Refusals(CHAT.name, VLLM, CHAT.field_names)
    said = CHAT.decode_request(json.dumps({"model": "m", "messages": turns}).encode(), refusals).messages[1].parts
    assert not refusals
    thoughts = [part for part in answer.parts if isinstance(part, Reasoning)]
    if all(part.origin == CHAT.name for part in thoughts):
        thoughts = merged(thoughts)
    others = [part for part in normal_answer(answer).parts if not isinstance(part, Reasoning)]
    assert said == ([*thoughts, *others] or [Text("")])


# Streams


def written(events: list[Event]) -> bytes:
    envelope = CHAT.read(b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}')
    encoder = CHAT.stream_encoder(envelope, 0)
    return b"".join([encoder.encode(event) for event in events]) + encoder.end()


def read(body: bytes) -> list[Event]:
    decoder = CHAT.stream_decoder()
    events: list[Event] = []
    for block in EventFramer().push(body):
        name, data = parse_event(block)
        assert data is not None
        events += decoder.decode(name, data)
    assert decoder.complete
    assert decoder.may_end
    return events


def hidden(answer: Answer) -> Answer:
    """A stream does not say at its start that a part will have no text."""
    parts = [
        msgspec.structs.replace(part, hidden=not part.text) if isinstance(part, Reasoning) else part
        for part in answer.parts
    ]
    return msgspec.structs.replace(answer, parts=parts)


@given(st.data(), answers(logprobs=True, usage=st.none() | usages(audio=True)))
def test_streams_fold_to_the_same_answer(data: st.DataObject, answer: Answer) -> None:
    events = data.draw(events_of(answer))
    assert fold(events) == answer
    assert hidden(fold(read(written(events)))) == normal_answer(answer)


@given(st.data(), answers())
def test_a_stream_and_the_whole_answer_say_the_same(data: st.DataObject, answer: Answer) -> None:
    streamed = hidden(fold(read(written(data.draw(events_of(answer))))))
    assert streamed == CHAT.decode_answer(CHAT.encode_answer(answer, 0))


@pytest.mark.parametrize(
    "events",
    [
        [TextDelta("x")],
        [PartStarted(0, Text("")), PartStarted(0, Text(""))],
        [Started("", ""), PartStarted(0, Text("")), Finished("stop")],
        [PartStarted(0, Reasoning()), TextDelta("x")],
    ],
)
def test_a_stream_out_of_order_does_not_fold(events: list[Event]) -> None:
    with pytest.raises(ValueError, match=r"part|TextDelta"):
        fold(events)
