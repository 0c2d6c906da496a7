"""What openai.responses says comes back the same, in a stated normal form, or is refused or noted by name."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, MalformedAnswer, UnsupportedFeature
from trimaran.types import Target
from trimaran.wire import DIALECTS
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Message,
    Notes,
    Part,
    Reasoning,
    ReasoningControl,
    Text,
    ToolCall,
    ToolResult,
)
from trimaran.wire.effort import effort_of
from trimaran.wire.events import Answer, Event
from trimaran.wire.fold import fold
from trimaran.wire.openai_responses import OpenAIResponses
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import TranslatingRelay
from trimaran.wire.sse import EventFramer, parse_event
from trimaran.wire.state import wrap_state

sys.path.insert(0, str(Path(__file__).parent))
from conversations import answers, bare, chat_requests, events_of, usages

RESPONSES = DIALECTS["openai.responses"]
assert isinstance(RESPONSES, OpenAIResponses)
OWN = "openai.responses"
GPT = Target(id="o/gpt", provider="openai", upstream_model="m", dialects=(OWN,), base_url="http://t")
ENVELOPE = RESPONSES.read(b'{"model":"m","input":"hi","stream":true}')


class Normal:
    """The normal form of a request, computed from the request alone, with what the encoder has to say."""

    def __init__(self) -> None:
        self.omitted: set[str] = set()
        self.emulated: set[str] = set()
        self.refused: set[str] = set()

    def request(self, request: ChatRequest) -> ChatRequest:
        for field in ("stop", "top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias"):
            value = getattr(request, field)
            # A seed of nothing is a seed, a penalty of nothing is none.
            if value not in (None, [], {}) and not (value == 0.0 and field.endswith("penalty")):
                self.refused.add(field)
        if request.cache or any(tool.cache for tool in request.tools):
            self.omitted.add("cache")
        turns = [turn for message in request.messages if (turn := self._turn(message)).parts]
        system = self._parts(request.system)
        control, wanted = request.reasoning, request.response_format
        return msgspec.structs.replace(
            request,
            system=[] if system == [Text("")] else system,
            messages=bare(_joined(turns)),
            frequency_penalty=None,
            presence_penalty=None,
            cache="",
            user=request.user or None,
            tools=[msgspec.structs.replace(tool, cache="", strict=bool(tool.strict)) for tool in request.tools],
            reasoning=None if control is None else _control(control),
            response_format=(
                wanted
                if wanted is None or wanted.kind == "json_object"
                else msgspec.structs.replace(wanted, name=wanted.name or "output")
            ),
        )

    def _turn(self, message: Message) -> Message:
        return Message(message.role, self._parts(message.parts))

    def _parts(self, parts: list[Part]) -> list[Part]:
        return [kept for part in parts if (kept := self._part(part)) is not None]

    def _part(self, part: Part) -> Part | None:
        if isinstance(part, Audio):
            self.refused.add("audio")
        if getattr(part, "cache", ""):
            self.omitted.add("cache")
            part = msgspec.structs.replace(part, cache="")  # type: ignore[call-arg]
        if isinstance(part, Reasoning) and (part.origin != OWN or not part.state):
            self.omitted.add("reasoning")
            return None
        if isinstance(part, Document) and not part.url and not part.name:
            return msgspec.structs.replace(part, name="document.txt" if part.text else "document.pdf")
        if isinstance(part, ToolCall):
            return msgspec.structs.replace(part, id=fitting_id(part.id, 40))
        if isinstance(part, ToolResult):
            if part.is_error and part.is_blank:
                self.emulated.add("")
                self._parts(part.parts)
                return ToolResult(fitting_id(part.call_id, 40), [Text("error")])
            if part.is_error:
                self.omitted.add(".is_error")
            return ToolResult(fitting_id(part.call_id, 40), self._parts(part.parts) or [Text("")])
        return part


def _control(control: ReasoningControl) -> ReasoningControl | None:
    effort = control.effort or (effort_of(control.budget_tokens) if control.budget_tokens is not None else "")
    show = "" if control.show == "none" else control.show
    if not control.show and control.budget_tokens is not None:
        show = "auto"
    return ReasoningControl(effort=effort, show=show) if effort or show else None


def _joined(turns: list[Message]) -> list[Message]:
    """Items of the assistant that follow each other are one turn; so are results and what the user says after them."""
    out: list[Message] = []
    for turn in turns:
        last = out[-1] if out else None
        if last is not None and last.role == turn.role:
            results = all(isinstance(part, ToolResult) for part in last.parts)
            if turn.role == "assistant" or (turn.role == "user" and results):
                last.parts = last.parts + turn.parts
                continue
        out.append(Message(turn.role, list(turn.parts)))
    return out


@given(chat_requests())
def test_a_request_comes_back(request: ChatRequest) -> None:
    normal = Normal()
    expected = normal.request(request)
    refusals, notes = Refusals("openai.chat", GPT), Notes()
    body = RESPONSES.encode_request(request, GPT, refusals, notes)
    assert bool(refusals) == bool(normal.refused)
    if refusals:
        with pytest.raises(UnsupportedFeature) as caught:
            refusals.check()
        assert all(name in str(caught.value) for name in normal.refused)
        return
    assert set(notes.omitted) == normal.omitted
    budget = request.reasoning is not None and not request.reasoning.effort and request.reasoning.budget_tokens
    assert set(notes.emulated) == normal.emulated | ({"reasoning"} if budget else set())
    again = RESPONSES.decode_request(body, refusals)
    refusals.check()
    assert msgspec.structs.replace(again, messages=bare(again.messages)) == expected
    assert RESPONSES.read(body).stateful is False
    assert refusals.omitted == []


def _as_told(answer: Answer) -> Answer:
    """An answer as a client of this dialect hears it."""
    base = fitting_id(answer.id.removeprefix("msg_").removeprefix("msg-"), 48)
    parts: list[Part] = []
    for index, part in enumerate(answer.parts):
        if isinstance(part, Reasoning) and part.origin != OWN:
            id, state, shown = f"rs_{base}_{index}", wrap_state(part), not part.hidden
            part = msgspec.structs.replace(part, origin=OWN, id=id, state=state, summary=shown)
        parts.append(part)
    reason = {"stop_sequence": "stop", "context_window": "length"}.get(answer.finish_reason, answer.finish_reason)
    return msgspec.structs.replace(answer, id=f"resp_{base}", parts=parts, finish_reason=reason, stop_sequence=None)


whole_answers = answers(logprobs=True, usage=usages(audio=True))


@given(whole_answers)
def test_an_answer_comes_back(answer: Answer) -> None:
    body = RESPONSES.encode_answer(answer, 5, ENVELOPE)
    told = _as_told(answer)
    assert RESPONSES.decode_answer(body) == told
    assert RESPONSES.inspect(body) == (told.usage, told.finish_reason, told.service_tier)


def _stream(events: list[Event]) -> bytes:
    encoder = RESPONSES.stream_encoder(ENVELOPE, 5)
    return b"".join([encoder.encode(event) for event in events]) + encoder.end()


def _heard(stream: bytes) -> Answer:
    decoder = RESPONSES.stream_decoder()
    events: list[Event] = []
    for block in EventFramer().push(stream):
        name, data = parse_event(block)
        events += decoder.decode(name, data or b"")
    assert decoder.complete
    return fold(events)


@given(st.data())
def test_a_stream_comes_back_as_the_whole_answer(data: st.DataObject) -> None:
    answer = data.draw(whole_answers)
    assert _heard(_stream(data.draw(events_of(answer)))) == _as_told(answer)


@given(st.data())
def test_where_bytes_are_split_makes_no_difference(data: st.DataObject) -> None:
    stream = _stream(data.draw(events_of(data.draw(whole_answers))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    passing = RESPONSES.pass_relay(ENVELOPE)
    assert b"".join([passing.feed(piece) for piece in pieces]) + passing.finish() == stream
    translating = TranslatingRelay(RESPONSES, RESPONSES.stream_encoder(ENVELOPE, 5))
    out = b"".join([translating.feed(piece) for piece in pieces]) + translating.finish()
    assert translating.complete
    assert (passing.usage, passing.finish_reason) == (translating.usage, translating.finish_reason)
    assert _heard(out).text == _heard(stream).text


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_but_our_own_errors_comes_of_noise(noise: bytes) -> None:
    with pytest.raises((InvalidRequest, UnsupportedFeature)):
        RESPONSES.decode_request(noise, Refusals("test", GPT))
    with pytest.raises((InvalidRequest, UnsupportedFeature)):
        RESPONSES.read(noise)
    with pytest.raises(MalformedAnswer):
        RESPONSES.decode_answer(noise)
