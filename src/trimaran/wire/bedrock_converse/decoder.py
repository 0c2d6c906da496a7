"""Streams of ConverseStream as neutral events.

Blocks are numbered. Only a tool call is announced by a start; text and reasoning begin with their first delta. Event types
that are not known here are skipped, unless they bring a message: an error of the service's that has no shape of its own
comes so. What no other dialect can carry (citations, pictures, results of the service's own tools) is told as such.

There is no end marker. ``messageStop`` says why the model stopped; ``metadata`` follows it and has the usage. A stream with
both is complete, in whichever order they come, and one that ends after ``messageStop`` lacks only its usage.

A stream does not say its id: one is made up. Redacted reasoning may come in pieces, which are bytes and not parts of one
base64 text, so it is told when it is whole.
"""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.wire.aws_failures import aws_error
from trimaran.wire.bedrock_converse.answer import broken, stop_sequence
from trimaran.wire.bedrock_converse.usage import (
    BROKEN,
    ORIGIN,
    WirePerformance,
    WireTier,
    WireUsage,
    neutral_finish,
    neutral_tier,
    neutral_usage,
)
from trimaran.wire.conversation import Part, Reasoning, Text, ToolCall
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
from trimaran.wire.streams import StreamDecoder

__all__ = ["ConverseDecoder"]

_WHAT = "an event of the stream"
_OTHERS = ("citation", "image", "toolResult")


class _ToolStart(msgspec.Struct, gc=False):
    toolUseId: str = ""
    name: str = ""
    type: str | None = None


class _Start(msgspec.Struct, gc=False):
    toolUse: _ToolStart | None = None
    toolResult: Any = None
    image: Any = None


class _StartEvent(msgspec.Struct, gc=False):
    contentBlockIndex: int = 0
    start: _Start | None = None


class _ToolDelta(msgspec.Struct, gc=False):
    input: str = ""


class _ReasoningPiece(msgspec.Struct, gc=False):
    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    toolUse: _ToolDelta | None = None
    reasoningContent: _ReasoningPiece | None = None
    citation: Any = None
    image: Any = None
    toolResult: Any = None


class _DeltaEvent(msgspec.Struct, gc=False):
    contentBlockIndex: int = 0
    delta: _Delta | None = None


class _StopEvent(msgspec.Struct, gc=False):
    contentBlockIndex: int = 0


class _MessageStop(msgspec.Struct, gc=False):
    stopReason: str | None = None
    additionalModelResponseFields: msgspec.Raw = msgspec.Raw(b"null")


class _Metadata(msgspec.Struct, gc=False):
    usage: WireUsage | None = None
    serviceTier: WireTier | None = None
    performanceConfig: WirePerformance | None = None


class _Told(msgspec.Struct, gc=False):
    message: Any = None


class _Open(msgspec.Struct, gc=False):
    """A block that has not ended. ``index`` is the part's; -1 where only this dialect can carry it."""

    index: int
    silent_call: bool = False
    """A call of which no arguments have come."""
    redacted: bytearray | None = None


_decode_start = msgspec.json.Decoder(_StartEvent).decode
_decode_delta = msgspec.json.Decoder(_DeltaEvent).decode
_decode_stop = msgspec.json.Decoder(_StopEvent).decode
_decode_message_stop = msgspec.json.Decoder(_MessageStop).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode
_decode_told = msgspec.json.Decoder(_Told).decode


class ConverseDecoder(StreamDecoder):
    """Events of one answer. ``passing``: the client reads the same events, so that it may be told also that the model's
    output was broken."""

    tells_usage_last: ClassVar[bool] = True

    def __init__(self, *, passing: bool = False) -> None:
        self._passing = passing
        self._started = False
        self._metadata = False
        self._blocks: dict[int, _Open] = {}
        self._parts = 0

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        if name == b"contentBlockDelta":
            self._check_started(name)
            return self._delta(decode_json(_decode_delta, data, _WHAT))
        if name == b"messageStart":
            self._started = True
            return (Started(f"msg_{secrets.token_hex(12)}", ""),)
        if name == b"contentBlockStart":
            self._check_started(name)
            return self._start(decode_json(_decode_start, data, _WHAT))
        if name == b"contentBlockStop":
            self._check_started(name)
            return self._stop(decode_json(_decode_stop, data, _WHAT).contentBlockIndex)
        if name == b"messageStop":
            self._check_started(name)
            return self._finish(decode_json(_decode_message_stop, data, _WHAT))
        if name == b"metadata":
            return self._report(decode_json(_decode_metadata, data, _WHAT))
        self._unknown(name.decode("latin-1"), data)
        return ()

    def _check_started(self, name: bytes) -> None:
        if not self._started:
            raise MalformedAnswer(f"the stream has a {name.decode()} before its messageStart")

    def _unknown(self, name: str, data: bytes) -> None:
        """Raise what an exception means."""
        if name.endswith("Exception") or decode_json(_decode_told, data or b"{}", _WHAT).message is not None:
            raise aws_error(name, data, dialect=ORIGIN)

    def _open(self, block: int, part: Part) -> Event:
        self._blocks[block] = _Open(self._parts, isinstance(part, ToolCall))
        self._parts += 1
        return PartStarted(self._parts - 1, part)

    def _start(self, event: _StartEvent) -> Sequence[Event]:
        start = event.start or _Start()
        if (call := start.toolUse) is not None and call.type is None:
            return (self._open(event.contentBlockIndex, ToolCall(call.toolUseId, call.name, "")),)
        if call is None and start.toolResult is None and start.image is None:
            # Some write a start before a text, too; the delta says what it is.
            return ()
        self._blocks[event.contentBlockIndex] = _Open(-1)
        return (OtherDelta("part that only this API has"),)

    def _delta(self, event: _DeltaEvent) -> Sequence[Event]:
        delta = event.delta or _Delta()
        block = self._blocks.get(event.contentBlockIndex)
        if block is not None and block.index < 0:
            return (OtherDelta("part that only this API has"),)
        for other in _OTHERS:
            if getattr(delta, other) is not None:
                return (OtherDelta(other),)
        if delta.text is not None:
            first, index = self._begun(event.contentBlockIndex, block, Text(""))
            return (*first, TextDelta(delta.text, index)) if delta.text else first
        if delta.reasoningContent is not None:
            return self._thought(event.contentBlockIndex, block, delta.reasoningContent)
        if delta.toolUse is not None and delta.toolUse.input:
            if block is None:
                return (OtherDelta("delta of a tool call that never started"),)
            block.silent_call = False
            return (ArgumentsDelta(delta.toolUse.input, block.index),)
        return ()

    def _begun(self, block: int, known: _Open | None, part: Part) -> tuple[tuple[Event, ...], int]:
        """The start of a block's part, where this is its first delta, and the part's index."""
        if known is not None:
            return (), known.index
        return (self._open(block, part),), self._parts - 1

    def _thought(self, block: int, known: _Open | None, piece: _ReasoningPiece) -> Sequence[Event]:
        hidden = piece.redactedContent is not None
        first, index = self._begun(block, known, Reasoning(origin=ORIGIN, hidden=hidden))
        if piece.redactedContent is not None:
            opened = self._blocks[block]
            if opened.redacted is None:
                opened.redacted = bytearray()
            try:
                opened.redacted += binascii.a2b_base64(piece.redactedContent)
            except ValueError as error:
                raise MalformedAnswer("redacted reasoning in the stream is not base64") from error
        events: list[Event] = [*first]
        if piece.text:
            events.append(ReasoningDelta(piece.text, index))
        if piece.signature:
            events.append(ReasoningState(piece.signature, index))
        return events

    def _stop(self, index: int) -> Sequence[Event]:
        block = self._blocks.pop(index, None)
        if block is None or block.index < 0:
            return ()
        ended = PartEnded(block.index)
        if block.redacted:
            state = binascii.b2a_base64(block.redacted, newline=False).decode()
            return (ReasoningState(state, block.index), ended)
        return (ArgumentsDelta("{}", block.index), ended) if block.silent_call else (ended,)

    def _finish(self, event: _MessageStop) -> Sequence[Event]:
        word = event.stopReason or ""
        if word in BROKEN and not self._passing:
            raise broken(word)
        events = [each for index in list(self._blocks) for each in self._stop(index)]
        self.may_end = True
        self.complete = self._metadata
        return [*events, Finished(neutral_finish(word), stop_sequence(event.additionalModelResponseFields))]

    def _report(self, event: _Metadata) -> Sequence[Event]:
        self._metadata = True
        self.complete = self.may_end
        events: list[Event] = []
        if tier := neutral_tier(event.serviceTier, event.performanceConfig):
            events.append(ServiceTier(tier))
        if event.usage is not None:
            events.append(UsageReport(neutral_usage(event.usage), alone=True))
        return events
