"""What stands between a target's stream and the client's: one object for one attempt's answer.

``feed`` takes bytes as they arrive and gives what may go to the client now. Events before the first content are held,
so that an attempt that fails early leaves no trace; the first content event commits, and releases what was held. After
the end marker everything is ignored.

When ``feed`` raises, the bytes of that call are lost, also those of whole events before the bad one: an attempt that
breaks in the same breath as its first content can so be tried elsewhere. What earlier calls returned is whole events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trimaran.errors import MalformedAnswer, StreamCut
from trimaran.types import Usage
from trimaran.wire.conversation import ToolCall
from trimaran.wire.events import (
    ArgumentsDelta,
    Event,
    Finished,
    OtherDelta,
    PartStarted,
    ReasoningDelta,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.framing import Framing

if TYPE_CHECKING:
    from trimaran.wire.dialect import ChatDialect
    from trimaran.wire.json_tool import ToolToText
    from trimaran.wire.streams import StreamDecoder, StreamEncoder

__all__ = ["MAX_HELD_BYTES", "PassRelay", "StreamRelay", "TranslatingRelay"]

_CONTENT = (TextDelta, ArgumentsDelta, ReasoningDelta, OtherDelta)
"""A reasoning part's state is none: no client shows it, and without an answer it is worth nothing."""

MAX_HELD_BYTES = 2**20
"""Before the first content there are a few events and keep-alive comments; more than this is not an answer."""


class StreamRelay(ABC):
    """Common part of both relays. Callers use the two methods and read the public attributes."""

    __slots__ = (
        "_decoder",
        "_framer",
        "_framing",
        "_held",
        "_held_bytes",
        "_parse",
        "_plain",
        "complete",
        "content_events",
        "content_seen",
        "finish_reason",
        "service_tier",
        "usage",
    )

    def __init__(self, decoder: StreamDecoder, framing: Framing) -> None:
        self.content_seen = False
        """The first content event has arrived, so the answer is committed."""
        self.complete = False
        """The whole answer has arrived. Nothing that follows is looked at."""
        self.usage: Usage | None = None
        """The latest report of the target."""
        self.finish_reason = ""
        """Neutral; that of the first choice that finished."""
        self.service_tier = ""
        """Neutral; the one that serves the answer, as far as the target has told it."""
        self.content_events = 0
        """Events that carried content so far, about one for each token."""
        self._decoder = decoder
        self._framing = framing
        self._framer = framing.framer()
        self._parse = framing.parse
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._plain = False

    @property
    def may_end(self) -> bool:
        """The answer is whole, and only its end is missing: the end marker, or the usage before it (:attr:`owes_usage`)."""
        return self.content_seen and self._decoder.may_end and not self._framer.pending

    @property
    def owes_usage(self) -> bool:
        """What the answer used is still to be told."""
        return self.usage is None and self._decoder.tells_usage_last

    def feed(self, data: bytes) -> bytes:
        """What may go to the client now, in whole events; ``b""`` while nothing may. Raises the :class:`AttemptError`
        that an error event stands for, or :class:`MalformedAnswer`."""
        if self.complete:
            return b""
        out = [self._admit(block) for block in self._framer.push(data)]
        self._plain = self.content_seen and not self.complete and not self._framer.pending
        return b"".join(out)

    def finish(self) -> bytes:
        """The target's body has ended, by its own framing. Gives what is left, with the end marker if only that was
        missing. Raises :class:`StreamCut` when the answer is not whole."""
        if self.complete:
            return b""
        out = self._last_event(self._framer.rest())
        if not self.complete:
            if not self._decoder.may_end:
                raise StreamCut("the stream ended before its end marker and before a finish reason")
            self.complete = True
            end = self._end()
            if not self.content_seen:
                raise MalformedAnswer("the stream ended without any content")
            out += b"".join(self._held) + end
            self._held.clear()
        self._plain = False
        return out

    def _last_event(self, rest: bytes) -> bytes:
        """An event of which nothing but its end is missing counts when it is readable."""
        if rest.lstrip().startswith(b"{") and not self.content_seen:
            raise MalformedAnswer("the answer is a JSON body where a stream of events was asked for")
        block = self._framing.last(rest)
        if not block:
            return b""
        try:
            return self._admit(block)
        except MalformedAnswer as error:
            raise StreamCut("the stream ended in the middle of an event") from error

    def _admit(self, block: bytes) -> bytes:
        if self.complete:
            return b""
        piece = self._take(block)
        if not self.content_seen:
            if self.complete:
                raise MalformedAnswer("the stream ended without any content")
            self._hold(piece)
            return b""
        if self._held:
            piece = b"".join(self._held) + piece
            self._held.clear()
        return piece

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes > MAX_HELD_BYTES:
            raise MalformedAnswer(f"more than {MAX_HELD_BYTES // 2**20} MiB of events came before any content")
        self._held.append(piece)

    def _note(self, event: Event) -> bool:
        """Learn from ``event``; whether it was content."""
        if isinstance(event, _CONTENT) or (type(event) is PartStarted and type(event.part) is ToolCall):
            self.content_seen = True
            return True
        if isinstance(event, Finished):
            self.content_seen = True
            self.finish_reason = self.finish_reason or event.reason
        elif isinstance(event, UsageReport):
            self.usage = event.usage
        elif isinstance(event, ServiceTier):
            self.service_tier = event.tier
        return False

    @abstractmethod
    def _take(self, block: bytes) -> bytes:
        """What goes to the client for one event."""

    @abstractmethod
    def _end(self) -> bytes:
        """The client's end marker."""


class PassRelay(StreamRelay):
    """The same dialect on both sides: events pass as they are."""

    __slots__ = ("_drop_usage", "_end_marker")

    def __init__(self, dialect: ChatDialect, *, drop_usage: bool = False) -> None:
        super().__init__(dialect.stream_decoder(), dialect.framing)
        self._end_marker = dialect.end_marker
        self._drop_usage = drop_usage

    def _take(self, block: bytes) -> bytes:
        name, data = self._parse(block)
        if data is None:
            return block
        content = False
        keep = True
        for event in self._decoder.decode(name, data):
            content = self._note(event) or content
            if self._drop_usage and isinstance(event, UsageReport) and event.alone:
                keep = False
        self.content_events += content
        self.complete = self._decoder.complete
        return block if keep else b""

    def _end(self) -> bytes:
        return self._end_marker


class TranslatingRelay(StreamRelay):
    """The target's dialect in, the client's out."""

    __slots__ = ("_encoder", "_model", "_tool")

    def __init__(
        self, dialect: ChatDialect, encoder: StreamEncoder, tool: ToolToText | None = None, model: str = ""
    ) -> None:
        super().__init__(dialect.stream_decoder(), dialect.framing)
        self._encoder = encoder
        self._tool = tool
        self._model = model
        """Told where the target's dialect does not name the model."""

    def _take(self, block: bytes) -> bytes:
        name, data = self._parse(block)
        if data is None:
            return b""
        out = self._encoded(self._decoder.decode(name, data))
        if self._decoder.complete:
            self.complete = True
            out += self._encoder.end()
        return out

    def _encoded(self, events: Sequence[Event]) -> bytes:
        content = False
        out: list[bytes] = []
        tool = self._tool
        for event in events:
            for seen in (event,) if tool is None else tool.events(event):
                if type(seen) is OtherDelta:
                    raise MalformedAnswer(f"the answer holds a {seen.kind}, which the client's dialect cannot carry")
                if type(seen) is Started and not seen.model:
                    seen = Started(seen.id, self._model)
                content = self._note(seen) or content
                if type(seen) is PartStarted and type(seen.part) is ToolCall and not seen.part.name:
                    raise MalformedAnswer("the answer calls a tool without a name")
                try:
                    out.append(self._encoder.encode(seen))
                except LookupError as error:
                    # Thoughts in the place of a call, text after its end: the target mixed up its own parts.
                    why = f"the stream has a {type(seen).__name__} where its part is none that takes it, or has ended"
                    raise MalformedAnswer(why) from error
        self.content_events += content
        return out[0] if len(out) == 1 else b"".join(out)

    def _end(self) -> bytes:
        return self._encoded(self._decoder.ended()) + self._encoder.end()
