"""How a stream is cut into events: what relays and transcripts need of a framing, whichever it is.

A framing cuts bytes into *blocks*, each one event, such that all blocks joined again are the stream byte for byte. A
block is parsed into a name and its data. Server-sent events (:mod:`trimaran.wire.sse`) are one framing, AWS's event
stream (:mod:`trimaran.wire.event_stream`) is the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

__all__ = ["MAX_EVENT_BYTES", "Framer", "Framing"]

MAX_EVENT_BYTES = 4 * 2**20
"""An event above this is refused: it has to be held whole before it can be judged. A base64 image fits."""


class Framer(Protocol):
    """Cuts one stream into blocks."""

    @property
    def pending(self) -> bool:
        """Whether an event has begun that is not yet whole."""

    def push(self, data: bytes) -> list[bytes]:
        """The blocks that are whole now. Raises :class:`~trimaran.errors.MalformedAnswer` for what is no event, and for
        one above :data:`MAX_EVENT_BYTES`."""

    def rest(self) -> bytes:
        """What has arrived of an event that is not whole; the framer is empty afterwards."""


class Framing(ABC):
    """One way of framing. Instances hold no state."""

    content_type: ClassVar[bytes]
    """Of an answer that is streamed so."""

    @abstractmethod
    def framer(self) -> Framer:
        """For one stream."""

    @abstractmethod
    def parse(self, block: bytes) -> tuple[bytes, bytes | None]:
        """Name and data of one block, ``b""`` and ``None`` where it has none: a block without data says nothing and may
        be dropped. Raises what an error means that the framing itself knows."""

    @abstractmethod
    def last(self, rest: bytes) -> bytes:
        """The block that ``rest`` is, where only its end is missing when the stream ends; ``b""`` where it is nothing.
        Raises :class:`~trimaran.errors.StreamCut` where more is missing."""
