"""Streams of ``anthropic.messages``: decoding, encoding, and the relay that passes them.

Every ``content_block_delta`` is content; what comes before the first one (``message_start``, ``ping``,
``content_block_start``) is not. A ``message_delta`` with a stop reason commits too and leaves only ``message_stop`` to
come. Usage is cumulative: ``message_start`` has the input side, ``message_delta`` overwrites what it repeats. Event
types that are not known here pass, and are skipped in translation, because the API reserves the right to add some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.dialect import StreamDecoder, StreamEncoder, TokenCount, decode_json
from trimaran.wire.events import Event, Finished, OtherDelta, ReasoningDelta, Started, TextDelta, UsageReport
from trimaran.wire.members import BAD_JSON
from trimaran.wire.relay import PassRelay

if TYPE_CHECKING:
    from trimaran.wire.anthropic_messages import AnthropicMessages

__all__ = [
    "END_MARKER",
    "MessagesDecoder",
    "MessagesEncoder",
    "MessagesPassRelay",
    "WireUsage",
    "neutral_finish",
    "neutral_usage",
    "stop_reason",
    "usage_json",
]

END_MARKER = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
_BLOCK_START = (
    b"event: content_block_start\n"
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
)
_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%b}}\n\n'
)
_PLAIN = b"event: content_block_delta\ndata: "

_NEUTRAL_REASON = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "refusal": "content_filter",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
}
_STOP_REASON = {neutral: word for word, neutral in _NEUTRAL_REASON.items()} | {"pause_turn": "pause_turn"}


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: TokenCount | None = None
    ephemeral_1h_input_tokens: TokenCount | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None
    cache_read_input_tokens: TokenCount | None = None
    cache_creation_input_tokens: TokenCount | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    delta: _Delta | None = None
    message: _Message | None = None
    usage: WireUsage | None = None
    error: Any = None


class _Type(msgspec.Struct, gc=False):
    type: str


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_type = msgspec.json.Decoder(_Type).decode
_encode = msgspec.json.encode


def neutral_usage(wire: WireUsage) -> Usage:
    """Usage by kind. This API counts cached tokens beside ``input_tokens``; the neutral count includes them."""
    read = max(0, wire.cache_read_input_tokens or 0)
    written = max(0, wire.cache_creation_input_tokens or 0)
    hour = 0
    if wire.cache_creation is not None:
        hour = max(0, wire.cache_creation.ephemeral_1h_input_tokens or 0)
        written = max(written, hour + max(0, wire.cache_creation.ephemeral_5m_input_tokens or 0))
    details = wire.output_tokens_details
    return Usage(
        max(0, wire.input_tokens or 0) + read + written,
        max(0, wire.output_tokens or 0),
        read,
        written,
        hour,
        max(0, details.thinking_tokens or 0) if details is not None else 0,
    )


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as this API writes it, all kinds, in the form that whole answers and ``message_delta`` share."""
    uncached = usage.input_tokens - usage.cached_read_tokens - usage.cache_write_tokens
    body: dict[str, Any] = {
        "input_tokens": max(0, uncached),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_read_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return body


def neutral_finish(word: str) -> str:
    """The neutral reason for a stop reason of this API."""
    return _NEUTRAL_REASON.get(word, word)


def stop_reason(reason: str) -> str:
    """The stop reason of this API for a neutral reason."""
    return _STOP_REASON.get(reason, "end_turn")


class MessagesDecoder(StreamDecoder):
    """Events of the API to neutral events."""

    def __init__(self, dialect: AnthropicMessages) -> None:
        self._dialect = dialect
        self._started = False
        self._usage = WireUsage()

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        event = decode_json(_decode_event, data, "an event of the stream")
        kind = event.type or name.decode("latin-1")
        if kind == "error":
            raise self._dialect.error_in_answer(event.error)
        if kind == "message_start":
            self._started = True
            message = event.message or _Message()
            return [Started(message.id or "", message.model or ""), *self._report(message.usage)]
        if kind not in ("content_block_delta", "message_delta", "message_stop"):
            return ()
        if not self._started:
            raise MalformedAnswer(f"the stream has a {kind} before its message_start")
        if kind == "message_stop":
            self.complete = True
            return ()
        delta = event.delta or _Delta()
        if kind == "content_block_delta":
            return (_content(delta),)
        events = self._report(event.usage)
        if delta.stop_reason:
            self.may_end = True
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
        return [UsageReport(neutral_usage(known))]


def _content(delta: _Delta) -> Event:
    if delta.type == "text_delta":
        return TextDelta(delta.text or "")
    if delta.type == "input_json_delta":
        return OtherDelta("tool call")
    if delta.type == "citations_delta":
        return OtherDelta("citation")
    return ReasoningDelta()


class MessagesEncoder(StreamEncoder):
    """Neutral events to events of the API: at most one block of text. The stop reason waits for the end, because usage
    goes into the same event and other dialects report it later."""

    def __init__(self) -> None:
        self._block = False
        self._finished = Finished("stop")
        self._usage = Usage()

    def encode(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            delta = _DELTA % _encode(event.text)
            if self._block:
                return delta
            self._block = True
            return _BLOCK_START + delta
        if isinstance(event, Started):
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
        if isinstance(event, UsageReport):
            self._usage = event.usage
        elif isinstance(event, Finished):
            self._finished = event
        return b""

    def end(self) -> bytes:
        delta = {
            "type": "message_delta",
            "delta": {
                "stop_reason": stop_reason(self._finished.reason),
                "stop_sequence": self._finished.stop_sequence,
            },
            "usage": usage_json(self._usage),
        }
        block = _BLOCK_STOP if self._block else b""
        return b"%bevent: message_delta\ndata: %b\n\n%b" % (block, _encode(delta), END_MARKER)


class MessagesPassRelay(PassRelay):
    """Passes events on."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        # Whole events that are all content: look, count, pass the same bytes.
        if self._plain and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            events = data[:-2].split(b"\n\n")
            for event in events:
                if not event.startswith(_PLAIN) or event.find(b"\n", len(_PLAIN)) >= 0:
                    break
                try:
                    kind = _decode_type(event[len(_PLAIN) :]).type
                except BAD_JSON as error:
                    raise MalformedAnswer(
                        f"an event of the stream is not what the dialect promises: {error}"
                    ) from error
                if kind != "content_block_delta":
                    break
            else:
                self.content_events += len(events)
                return data
        return super().feed(data)
