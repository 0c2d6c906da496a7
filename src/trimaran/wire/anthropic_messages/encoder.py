"""Neutral events as a stream of the Messages API, and the relay for streams that pass.

Blocks come strictly one after the other here. A part that starts before the one under way has ended is kept back until
then; text that came first is on its way at once. A block is opened by its first content, so an empty one is never
written: the API would refuse it in the next request. Thinking ends with its signature, which needs the whole state;
thinking that is all state is written when it is whole.

The stop reason waits for the end, because usage goes into the same event and other dialects report it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.anthropic_messages.answer import signature
from trimaran.wire.anthropic_messages.usage import ORIGIN, stop_members, usage_json
from trimaran.wire.block_encoder import BlockEncoder
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import (
    ArgumentsDelta,
    Event,
    Finished,
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
from trimaran.wire.relay import PassRelay

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["END_MARKER", "MessagesEncoder", "MessagesPassRelay"]

END_MARKER = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_DELTA_END = b"}}\n\n"
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_PLAIN = b"event: content_block_delta\ndata: "

_encode = msgspec.json.encode


class _Type(msgspec.Struct, gc=False):
    type: str


_decode_type = msgspec.json.Decoder(_Type).decode


class MessagesEncoder(BlockEncoder):
    """Writes one answer."""

    def __init__(self) -> None:
        super().__init__()
        self._head = b""
        self._state: list[str] = []
        self._blocks = 0
        self._called = False
        self._refusal: list[str] = []
        self._finished = Finished("")
        self._usage = Usage()
        self._tier = ""

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta and event.index == self._at and self._head and not self._refusal:
            return b"%b%b}}\n\n" % (self._head, _encode(event.text))
        if isinstance(event, PartStarted | PartEnded | TextDelta | ReasoningDelta | ReasoningState | ArgumentsDelta):
            return self._content(event)
        if isinstance(event, Started):
            return self._message(event)
        if isinstance(event, UsageReport):
            self._usage = event.usage
        elif isinstance(event, ServiceTier):
            self._tier = event.tier
        elif isinstance(event, Finished):
            self._finished = event
        return b""

    def go_on(self, block: int, *, open: bool) -> None:
        """Begin in the middle of a message whose next block is ``block``, or whose text block ``block`` is open and is
        part 0."""
        self._blocks = block
        if open:
            self._part, self._at, self._head = Text(""), 0, _DELTA % (block, b"text_delta", b"text")

    def end(self) -> bytes:
        out = self._last()
        stop, refusal = self._finished, "".join(self._refusal)
        delta = {
            "type": "message_delta",
            "delta": stop_members(stop.reason, stop.stop_sequence, called=self._called, refusal=refusal),
            "usage": usage_json(self._usage, self._tier),
        }
        out.append(b"event: message_delta\ndata: %b\n\n%b" % (_encode(delta), END_MARKER))
        return b"".join(out)

    def _message(self, event: Started) -> bytes:
        message: dict[str, Any] = {
            "id": event.id,
            "type": "message",
            "role": "assistant",
            "model": event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_json(self._usage),
        }
        return b"event: message_start\ndata: %b\n\n" % _encode({"type": "message_start", "message": message})

    def _write(self, event: Any) -> bytes:
        """One event of the part under way, or of the next one."""
        kind = type(event)
        if kind is PartStarted:
            self._begin(event.part, event.index)
            return self._open_call(event.part) if isinstance(event.part, ToolCall) else b""
        if kind is PartEnded:
            return self._close()
        if self._part is None:
            self._begin(Text("") if kind is TextDelta else Reasoning(origin=ORIGIN), event.index)
        if kind is TextDelta:
            return self._piece("text", "text_delta", event.text)
        if kind is ReasoningDelta:
            return self._piece("thinking", "thinking_delta", event.text)
        if kind is ArgumentsDelta:
            return self._head + _encode(event.json) + _DELTA_END if self._head and event.json else b""
        self._state.append(event.state)
        return b""

    def _begin(self, part: Part, index: int) -> None:
        self._part, self._at, self._head = part, index, b""
        self._state = [part.state] if isinstance(part, Reasoning) and part.state else []

    def _open(self, block: dict[str, Any], delta: bytes, member: bytes) -> bytes:
        self._head = _DELTA % (self._blocks, delta, member)
        return _START % (self._blocks, _encode(block))

    def _open_call(self, call: ToolCall) -> bytes:
        self._called = True
        block = {"type": "tool_use", "id": fitting_id(call.id), "name": call.name, "input": {}}
        return self._open(block, b"input_json_delta", b"partial_json")

    def _piece(self, kind: str, delta: str, text: str) -> bytes:
        if not text:
            return b""
        start = b""
        if isinstance(self._part, Refusal):
            self._refusal.append(text)
        if not self._head:
            block = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            start = self._open(block, delta.encode(), kind.encode())
        return start + self._head + _encode(text) + _DELTA_END

    def _close(self) -> bytes:
        """The end of the part under way."""
        part, self._part, self._at = self._part, None, -1
        out = b""
        if isinstance(part, Reasoning):
            out = self._close_thinking(part)
        if self._head:
            out += _STOP % self._blocks
            self._blocks += 1
        self._head = b""
        return out

    def _close_thinking(self, part: Reasoning) -> bytes:
        part.state = "".join(self._state)
        if not self._head and not part.state:
            return b""
        if self._head:
            # It was said piece by piece; a wrapped state tells whether there was any.
            part.text = "."
        if part.hidden:
            return self._open({"type": "redacted_thinking", "data": signature(part)}, b"", b"")
        start = b""
        if not self._head:
            start = self._open({"type": "thinking", "thinking": "", "signature": ""}, b"", b"")
        signed = signature(part)
        if not signed:
            return start
        return start + _DELTA % (self._blocks, b"signature_delta", b"signature") + _encode(signed) + _DELTA_END


class MessagesPassRelay(PassRelay):
    """Passes events on."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        # Whole events that are all content: look, count, pass the same bytes.
        if self._plain and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            events = data[:-2].split(b"\n\n")
            if self._all_content(events):
                self.content_events += len(events)
                return data
        return super().feed(data)

    def _all_content(self, events: Iterable[bytes]) -> bool:
        for event in events:
            if not event.startswith(_PLAIN) or event.find(b"\n", len(_PLAIN)) >= 0:
                return False
            try:
                kind = _decode_type(event[len(_PLAIN) :]).type
            except BAD_JSON as error:
                raise MalformedAnswer(f"an event of the stream is not what the dialect promises: {error}") from error
            if kind != "content_block_delta":
                return False
        return True
