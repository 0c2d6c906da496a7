"""Streams of this API, read. ``stream_writer`` writes them, ``passing`` is for those that pass.

A chunk holds a delta; the API does not say where a part begins or ends. Text, refusal and reasoning end where another
kind begins. Tool calls are told apart by an index (some servers give none, or the same one with another id) and might
come in turns: a call has ended when the next one begins and its arguments are whole JSON, or with the answer. Usage
comes in a last chunk without choices (other servers put it beside the finish reason, or into every chunk), and
``data: [DONE]`` ends the stream. Servers forget that marker often enough: once the finish reason is there nothing but
the marker can be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer
from trimaran.wire.conversation import Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import decode_json
from trimaran.wire.events import (
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
from trimaran.wire.members import BAD_JSON
from trimaran.wire.openai_chat.answer import WireCall, arguments_text, call_id, entries, settled_reason
from trimaran.wire.openai_chat.reasoning import ORIGIN, StreamedDetails, own_state
from trimaran.wire.openai_chat.usage import (
    WireUsage,
    neutral_finish,
    neutral_tier,
    neutral_usage,
)
from trimaran.wire.streams import StreamDecoder

__all__ = ["ChatDecoder"]


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[WireCall] | None = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    logprobs: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None


class _TextDelta(msgspec.Struct, gc=False):
    content: str
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None
    reasoning_details: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None


class _TextChoice(msgspec.Struct, gc=False):
    delta: _TextDelta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None


class _TextChunk(msgspec.Struct, gc=False):
    """A chunk that is nothing but more text. Most are, and any other one is read in full."""

    choices: tuple[_TextChoice]
    usage: None = None
    error: None = None
    service_tier: str | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_text = msgspec.json.Decoder(_TextChunk).decode


class _Call:
    """A tool call that has begun. Without a name it has not been told of yet."""

    __slots__ = ("ended", "id", "index", "name", "pieces")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.index = -1
        self.pieces: list[str] = []
        self.ended = False

    @property
    def whole(self) -> bool:
        try:
            return isinstance(msgspec.json.decode("".join(self.pieces)), dict)
        except BAD_JSON:
            return False


class ChatDecoder(StreamDecoder):
    """Chunks to neutral events, for an answer with one choice. ``error_of`` says what an error in a chunk means."""

    tells_usage_last: ClassVar[bool] = True
    """It is always asked for."""

    def __init__(self, error_of: Callable[[Any], AttemptError]) -> None:
        self._error_of = error_of
        self._started = False
        self._id = ""
        self._tier: str | None = None
        self._parts = 0
        self._kind: type[Text | Refusal | Reasoning] | None = None
        """What the open part is, if it is no tool call; ``_open`` is its index."""
        self._open = 0
        self._details: StreamedDetails | None = None
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._refused = False

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        if self._kind is Text:
            # In the middle of a text the next chunk is most likely more of it.
            try:
                text = _decode_text(data)
            except BAD_JSON:
                pass
            else:
                choice = text.choices[0]
                if choice.index == 0 and choice.delta.content and text.service_tier == self._tier:
                    return (TextDelta(choice.delta.content, self._open),)
        if not data.startswith(b"{") and data.strip() == b"[DONE]":
            self.complete = True
            return self._end_all(cut=True)
        chunk = decode_json(_decode_chunk, data, "an event of the stream")
        if chunk.error is not None:
            raise self._error_of(chunk.error)
        events: list[Event] = []
        if not self._started:
            self._started = True
            self._id = chunk.id or ""
            events.append(Started(self._id, chunk.model or ""))
        if chunk.service_tier != self._tier and chunk.service_tier is not None:
            self._tier = chunk.service_tier
            if tier := neutral_tier(self._tier):
                events.append(ServiceTier(tier))
        for choice in chunk.choices or ():
            if choice.index != 0:
                events.append(OtherDelta("second choice"))
            else:
                self._choice(choice, events)
        if chunk.usage is not None:
            events.append(UsageReport(neutral_usage(chunk.usage, chunk.model), alone=not chunk.choices))
        return events

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        if choice.delta is not None:
            before = len(events)
            self._content(choice.delta, entries(choice.logprobs), events)
            if self.may_end and len(events) > before:
                raise MalformedAnswer("the answer goes on after its finish reason")
        if choice.finish_reason and not self.may_end:
            self.may_end = True
            word, stop_sequence = neutral_finish(choice.finish_reason, choice.stop_reason)
            events += self._end_all(cut=word == "length")
            reason = settled_reason(word, refused=self._refused, called=bool(self._calls))
            events.append(Finished(reason, stop_sequence))

    def _content(self, delta: _Delta, logprobs: list[Any] | None, events: list[Event]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            self._switch(Reasoning, events)
            events.append(ReasoningDelta(thought, self._open))
        if delta.reasoning_details:
            self._switch(Reasoning, events)
            if self._details is None:
                self._details = StreamedDetails()
            self._details.add(delta.reasoning_details)
        refusal = delta.refusal
        if isinstance(delta.content, str | None):
            if delta.content or (logprobs and not refusal):
                self._switch(Text, events)
                events.append(TextDelta(delta.content or "", self._open, None if refusal else logprobs))
        elif delta.content:
            events.append(OtherDelta("list of content parts"))
        if refusal:
            self._refused = True
            self._switch(Refusal, events)
            events.append(TextDelta(refusal, self._open, logprobs))
        for wire in delta.tool_calls or ():
            self._call(wire, events)
        if delta.function_call:
            events.append(OtherDelta("legacy function call"))
        if delta.audio:
            events.append(OtherDelta("sound"))

    # Text, refusal, reasoning

    def _switch(self, kind: type[Text | Refusal | Reasoning], events: list[Event]) -> None:
        """Make ``kind`` the open part."""
        if self._kind is kind:
            return
        self._end_open(events)
        self._end_whole_calls(events)
        self._kind = kind
        self._open = self._next()
        part = Reasoning(origin=ORIGIN) if kind is Reasoning else Text("") if kind is Text else Refusal("")
        events.append(PartStarted(self._open, part))

    def _end_open(self, events: list[Event]) -> None:
        if self._kind is None:
            return
        if self._kind is Reasoning and self._details is not None:
            if state := own_state(self._details.whole()):
                events.append(ReasoningState(state, self._open))
            self._details = None
        self._kind = None
        events.append(PartEnded(self._open))

    def _next(self) -> int:
        self._parts += 1
        return self._parts - 1

    # Tool calls

    def _call(self, wire: WireCall, events: list[Event]) -> None:
        if wire.custom is not None or wire.type not in (None, "", "function"):
            events.append(OtherDelta(f"call of type {wire.type!r}"))
            return
        name = wire.function.name if wire.function is not None else None
        call = self._known(wire, name)
        if call is None:
            self._end_open(events)
            self._end_whole_calls(events)
            call = _Call()
            self._calls.append(call)
            self._by_index[len(self._calls) - 1 if wire.index is None else wire.index] = call
        if call.index < 0:
            call.id = call.id or wire.id or ""
            call.name = name or ""
        piece = arguments_text(wire.function.arguments) if wire.function is not None else ""
        if call.ended:
            if piece.strip():
                raise MalformedAnswer(f"the call {call.id!r} goes on after its arguments were whole")
            return
        if call.name and call.index < 0:
            call.index = self._next()
            call.id = call.id or call_id(self._id, len(self._calls) - 1)
            events.append(PartStarted(call.index, ToolCall(call.id, call.name, "")))
            if call.pieces:
                events.append(ArgumentsDelta("".join(call.pieces), call.index))
        if piece:
            call.pieces.append(piece)
            if call.index >= 0:
                events.append(ArgumentsDelta(piece, call.index))

    def _known(self, wire: WireCall, name: str | None) -> _Call | None:
        """The call that ``wire`` continues."""
        if wire.index is None:
            if wire.id:
                return next((call for call in self._calls if call.id == wire.id), None)
            return self._calls[-1] if self._calls and not name else None
        call = self._by_index.get(wire.index)
        if call is not None and name and wire.id and call.id and wire.id != call.id:
            return None
        return call

    def _end_whole_calls(self, events: list[Event]) -> None:
        for call in self._calls:
            if not call.ended and call.index >= 0 and call.whole:
                call.ended = True
                events.append(PartEnded(call.index))

    def _end_all(self, *, cut: bool) -> list[Event]:
        events: list[Event] = []
        self._end_open(events)
        for call in self._calls:
            if call.ended:
                continue
            if call.index < 0:
                raise MalformedAnswer("the answer holds a tool call without a name")
            call.ended = True
            if not cut and not "".join(call.pieces).strip():
                events.append(ArgumentsDelta("{}", call.index))
            events.append(PartEnded(call.index))
        return events
