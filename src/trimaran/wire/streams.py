"""The stream of one answer: read into neutral events, written from them, and followed so that it can be gone on with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from trimaran.wire.events import Event

__all__ = ["Resumed", "StreamDecoder", "StreamEncoder", "StreamPosition"]


class StreamDecoder(ABC):
    """Turns the events of one answer's stream into neutral events."""

    complete = False
    """The end marker was seen."""
    may_end = False
    """A finish reason was seen for every choice: if the stream ends now, only its end is missing."""
    tells_usage_last: ClassVar[bool] = False
    """Usage comes in an event of its own that may follow the finish reason late."""

    @abstractmethod
    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        """The neutral events of one event. Raises the :class:`AttemptError` that an error event stands for, or
        :class:`MalformedAnswer`."""

    def ended(self) -> Sequence[Event]:
        """The neutral events still due when the stream ends where it may (:attr:`may_end`)."""
        return ()


class StreamEncoder(ABC):
    """Writes neutral events as a stream of its dialect."""

    @abstractmethod
    def encode(self, event: Event) -> bytes:
        """Whole events for ``event``; empty where it is held back or has no counterpart."""

    @abstractmethod
    def end(self) -> bytes:
        """What follows the last event of a complete stream, with the end marker."""


class StreamPosition(ABC):
    """Where the stream of one client stands, read from the events that it was sent, so that an encoder can go on there.

    It sees every event in turn, after the dialect's decoder has taken it.
    """

    impossible = ""
    """Why no encoder can go on from here, nor from anywhere later."""

    @property
    def why_not(self) -> str:
        """Why no encoder can go on from here; empty where one can."""
        return self.impossible

    @abstractmethod
    def see(self, name: bytes, data: bytes) -> None:
        """The client was sent this event. Raises what msgspec does for one of another form."""

    @abstractmethod
    def resume(self, tier: str) -> Resumed:
        """An encoder for what follows; ``tier`` is the neutral service tier that the client was told."""


class Resumed(msgspec.Struct, gc=False):
    """A stream that can be gone on with."""

    encoder: StreamEncoder
    open: int | None
    """The text part that is open at the client."""
    next: int
    """The number of the next part."""
    first: bytes = b""
    """Events that are due before anything else."""
