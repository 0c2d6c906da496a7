"""A stream of this API that goes to a client of this API: looked at, and passed on as it is.

Content is a delta with text, a refusal, reasoning, audio or a piece of a tool call; a finish reason commits too. A chunk
that only names the role is no content. Nothing of it has to be right beyond that, and several choices may run side by
side: the client reads what its provider wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer
from trimaran.wire.dialect import decode_json
from trimaran.wire.events import (
    Event,
    Finished,
    OtherDelta,
    ReasoningDelta,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.members import BAD_JSON
from trimaran.wire.openai_chat.usage import WireUsage, neutral_finish, neutral_tier, neutral_usage
from trimaran.wire.relay import PassRelay
from trimaran.wire.streams import StreamDecoder

if TYPE_CHECKING:
    from trimaran.wire.dialect import ChatDialect

__all__ = ["ChatPassRelay"]


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None


class _PlainDelta(msgspec.Struct, gc=False):
    content: Any = None


class _PlainChoice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _PlainDelta | None = None
    finish_reason: str | None = None


class _PlainChunk(msgspec.Struct, gc=False):
    """What has to be seen of a chunk that is probably just more text."""

    choices: list[_PlainChoice] | None = None
    usage: Any = None
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_plain = msgspec.json.Decoder(_PlainChunk).decode


class _PassDecoder(StreamDecoder):
    """What the road has to know of a passing stream. With several choices the events of all are given, in order of
    arrival; parts are not told apart."""

    tells_usage_last: ClassVar[bool] = True

    def __init__(self, error_of: Callable[[Any], AttemptError]) -> None:
        self._error_of = error_of
        self._started = False
        self._tier = ""
        self._open: set[int] = set()
        self._finished: set[int] = set()

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        if not data.startswith(b"{") and data.strip() == b"[DONE]":
            self.complete = True
            return ()
        chunk = decode_json(_decode_chunk, data, "an event of the stream")
        if chunk.error is not None:
            raise self._error_of(chunk.error)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started(chunk.id or "", chunk.model or ""))
        if chunk.service_tier != self._tier and chunk.service_tier is not None:
            self._tier = chunk.service_tier
            events.append(ServiceTier(neutral_tier(self._tier)))
        for choice in chunk.choices or ():
            self._choice(choice, events)
        if chunk.usage is not None:
            events.append(UsageReport(neutral_usage(chunk.usage, chunk.model), alone=not chunk.choices))
        return events

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        if choice.index not in self._finished:
            self._open.add(choice.index)
        if choice.delta is not None:
            _content(choice.delta, events)
        if choice.finish_reason:
            self._open.discard(choice.index)
            self._finished.add(choice.index)
            events.append(Finished(*neutral_finish(choice.finish_reason, choice.stop_reason)))
        self.may_end = bool(self._finished) and not self._open


def _content(delta: _Delta, events: list[Event]) -> None:
    if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
        events.append(ReasoningDelta())
    if delta.content:
        events.append(TextDelta(delta.content) if isinstance(delta.content, str) else OtherDelta("content parts"))
    if delta.refusal:
        events.append(OtherDelta("refusal"))
    if delta.tool_calls or delta.function_call:
        events.append(OtherDelta("tool call"))
    if delta.audio:
        events.append(OtherDelta("audio"))


class ChatPassRelay(PassRelay):
    """Passes chunks on; the usage chunk only to a client that asked for it."""

    __slots__ = ()

    def __init__(self, dialect: ChatDialect, *, drop_usage: bool) -> None:
        super().__init__(dialect, drop_usage=drop_usage)
        self._decoder = _PassDecoder(dialect.error_in_answer)

    def feed(self, data: bytes) -> bytes:
        # Whole events with nothing in them but more text of the first choice: look, count, pass the same bytes.
        if self._plain and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            events = data[:-2].split(b"\n\n")
            for event in events:
                if not event.startswith(b"data: {") or event.find(b"\n") >= 0:
                    break
                try:
                    chunk = _decode_plain(event[6:])
                except BAD_JSON as error:
                    raise MalformedAnswer(
                        f"an event of the stream is not what the dialect promises: {error}"
                    ) from error
                choices = chunk.choices
                if not choices or len(choices) != 1 or chunk.usage is not None or chunk.error is not None:
                    break
                choice = choices[0]
                delta = choice.delta
                if choice.index != 0 or choice.finish_reason or delta is None or not delta.content:
                    break
            else:
                self.content_events += len(events)
                return data
        return super().feed(data)
