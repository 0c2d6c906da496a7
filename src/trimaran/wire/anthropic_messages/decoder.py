"""Streams of the Messages API as neutral events.

Content comes in blocks that are numbered and start and end by themselves. Usage is cumulative: ``message_start`` has the
input side, ``message_delta`` overwrites what it repeats. Event types that are not known here are skipped, because the
API reserves the right to add some; a *block* or *delta* of an unknown type is content that only this dialect can carry.

The same decoder watches streams that pass, so it takes what clients take: a delta of a block that never started starts
it, and blocks still open at the stop reason end there. A call without arguments has an empty input here; the neutral
one is ``{}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.wire.anthropic_messages.answer import StopDetails
from trimaran.wire.anthropic_messages.usage import ORIGIN, WireUsage, neutral_finish, neutral_tier, neutral_usage
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import Dialect, decode_json
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
from trimaran.wire.streams import StreamDecoder

__all__ = ["MessagesDecoder"]

_KINDS = frozenset({"content_block_start", "content_block_stop", "message_delta", "message_stop"})
_EMPTY = (b"", b"{}", b"null")


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    index: int = 0
    delta: _Delta | None = None
    message: _Message | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    usage: WireUsage | None = None
    error: Any = None


class _Kind(msgspec.Struct, gc=False):
    type: str | None = None


class _Start(msgspec.Struct, gc=False):
    """What a block of a known type begins with."""

    text: str | None = None
    citations: list[Any] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw()


class _Open(msgspec.Struct, gc=False):
    """A block that has not ended. ``index`` is the part's; -1 where only this dialect can carry it. ``input`` is what a
    call must still say, where no piece of its arguments comes."""

    index: int
    input: bytes = b""


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_start = msgspec.json.Decoder(_Start).decode


class MessagesDecoder(StreamDecoder):
    """Events of one answer."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._started = False
        self._usage = WireUsage()
        self._tier = ""
        self._blocks: dict[int, _Open] = {}
        self._parts = 0
        self._words: list[str] = []
        """Of the latest text block."""

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        event: _Event = decode_json(_decode_event, data, "an event of the stream")
        kind = event.type or name.decode("latin-1")
        if kind == "content_block_delta" and self._started:
            return self._delta(event)
        if kind == "error":
            raise self._dialect.error_in_answer(event.error)
        if kind == "message_start":
            self._started = True
            message = event.message or _Message()
            return [Started(message.id or "", message.model or ""), *self._report(message.usage)]
        if kind not in _KINDS and kind != "content_block_delta":
            return ()
        if not self._started:
            raise MalformedAnswer(f"the stream has a {kind} before its message_start")
        if kind == "content_block_start":
            return self._start(event)
        if kind == "content_block_stop":
            return self._stop(event.index)
        if kind == "message_delta":
            return self._finish(event)
        self.complete = True
        return ()

    def _delta(self, event: _Event) -> Sequence[Event]:
        delta = event.delta or _Delta()
        block = self._blocks.get(event.index)
        if block is None:
            return self._unannounced(event, delta)
        if block.index < 0:
            return (OtherDelta("part that only this API has"),)
        if delta.type == "text_delta":
            text = delta.text or ""
            self._words.append(text)
            return (TextDelta(text, block.index),)
        if delta.type == "input_json_delta":
            if delta.partial_json:
                block.input = b""
            return (ArgumentsDelta(delta.partial_json or "", block.index),)
        if delta.type == "thinking_delta":
            return (ReasoningDelta(delta.thinking or "", block.index),)
        if delta.type == "signature_delta":
            return (ReasoningState(delta.signature or "", block.index),)
        return (OtherDelta("citation" if delta.type == "citations_delta" else f"delta of type {delta.type!r}"),)

    def _unannounced(self, event: _Event, delta: _Delta) -> Sequence[Event]:
        if delta.type == "text_delta":
            part: Part = Text("")
        elif delta.type in ("thinking_delta", "signature_delta"):
            part = Reasoning(origin=ORIGIN)
        else:
            return (OtherDelta("delta of a block that never started"),)
        return (self._open(event.index, part), *self._delta(event))

    def _open(self, index: int, part: Part, input: bytes = b"") -> Event:
        if isinstance(part, Text):
            self._words = []
        self._blocks[index] = _Open(self._parts, input)
        self._parts += 1
        return PartStarted(self._parts - 1, part)

    def _start(self, event: _Event) -> Sequence[Event]:
        kind = decode_json(_decode_kind, event.content_block or b"{}", "a block of the stream").type
        if kind not in ("text", "thinking", "redacted_thinking", "tool_use"):
            self._blocks[event.index] = _Open(-1)
            return (OtherDelta(f"block of type {kind!r}"),)
        start: _Start = decode_json(_decode_start, event.content_block, f"a {kind} block of the stream")
        at = self._parts
        if kind == "tool_use":
            value = bytes(start.input).strip()
            given = b"{}" if value in _EMPTY else value
            return (self._open(event.index, ToolCall(start.id, start.name, ""), given),)
        if kind == "text":
            events = [self._open(event.index, Text(""))]
            if start.text:
                self._words.append(start.text)
                events.append(TextDelta(start.text, at))
            if start.citations:
                events.append(OtherDelta("citation"))
            return events
        hidden = kind == "redacted_thinking"
        events = [self._open(event.index, Reasoning(origin=ORIGIN, hidden=hidden))]
        if start.thinking:
            events.append(ReasoningDelta(start.thinking, at))
        if state := start.data if hidden else start.signature:
            events.append(ReasoningState(state, at))
        return events

    def _stop(self, index: int) -> Sequence[Event]:
        block = self._blocks.pop(index, None)
        if block is None or block.index < 0:
            return ()
        if block.input:
            return (
                ArgumentsDelta(decode_json(bytes.decode, block.input, "a tool call's input"), block.index),
                PartEnded(block.index),
            )
        return (PartEnded(block.index),)

    def _finish(self, event: _Event) -> Sequence[Event]:
        delta = event.delta or _Delta()
        events = self._report(event.usage)
        if not delta.stop_reason:
            return events
        self.may_end = True
        for index in list(self._blocks):
            events += self._stop(index)
        explanation = delta.stop_details.explanation if delta.stop_details is not None else None
        if explanation and explanation != "".join(self._words):
            # Unless the answer has already said so.
            at = self._parts
            self._parts += 1
            events += (PartStarted(at, Refusal("")), TextDelta(explanation, at), PartEnded(at))
        events.append(Finished(neutral_finish(delta.stop_reason), delta.stop_sequence))
        return events

    def _report(self, usage: WireUsage | None) -> list[Event]:
        if usage is None:
            return []
        known = self._usage
        for field in WireUsage.__struct_fields__:
            value = getattr(usage, field)
            if value is not None:
                setattr(known, field, value)
        events: list[Event] = [UsageReport(neutral_usage(known))]
        tier = neutral_tier(known)
        if tier and tier != self._tier:
            self._tier = tier
            events.append(ServiceTier(tier))
        return events
