"""Walks a reply's parts while its pieces are written one by one: what every streaming writer shares.

:class:`~trimaran.testing.answer.Answer` knows only pieces. A part is opened as soon as what precedes it is written, and
closed when the next piece belongs to another part; parts without pieces are opened and closed on the way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from trimaran.testing.exchange import Part, Reply

__all__ = ["PartWriter"]


class PartWriter(ABC):
    """Base of a dialect's writer; subclasses say what opening, a piece and closing are in bytes (perhaps none)."""

    __slots__ = ("_left", "_open", "_place", "_reply", "part")

    content_type = b"application/json"

    part: Part
    """The part that the next piece belongs to, or the last one."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._place = -1
        self._left = 0
        self._open = False

    def lines(self, took_ms: int) -> bytes:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`; none by default."""
        return b""

    @abstractmethod
    def open_part(self, part: Part) -> bytes:
        """Events before a part's first piece."""

    @abstractmethod
    def delta(self, piece: str) -> bytes:
        """The event of one piece of the open part."""

    @abstractmethod
    def close_part(self, part: Part) -> bytes:
        """Events after a part's last piece."""

    def piece(self, piece: str) -> bytes:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        if self._left:
            self._left -= 1
            return self.delta(piece)
        events = self.advance()
        self._left -= 1
        return events + self.delta(piece)

    def advance(self) -> bytes:
        """Close the open part, then open parts until one has pieces or none is left."""
        events = []
        parts = self._reply.parts
        while True:
            if self._open:
                events.append(self.close_part(self.part))
                self._open = False
            if self._place + 1 == len(parts):
                return b"".join(events)
            self._place += 1
            self.part = part = parts[self._place]
            events.append(self.open_part(part))
            self._open = True
            if part.pieces:
                self._left = len(part.pieces)
                return b"".join(events)
