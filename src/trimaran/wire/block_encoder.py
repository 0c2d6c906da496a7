"""For dialects whose streams are made of blocks that follow each other, while neutral parts may overlap.

Two tool calls that arrive in turns become two blocks: the events of the later one are kept back until the earlier one has
ended.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from trimaran.wire.conversation import Part
from trimaran.wire.events import Event, PartEnded
from trimaran.wire.streams import StreamEncoder

__all__ = ["BlockEncoder"]


class BlockEncoder(StreamEncoder):
    """Hands each part's events to :meth:`_write` in one piece."""

    def __init__(self) -> None:
        self._part: Part | None = None
        """The part whose block is under way."""
        self._at = -1
        """Its number, also once it has ended."""
        self._waiting: dict[int, list[Event]] = {}
        """Events of parts that began while another one was under way."""

    @abstractmethod
    def _write(self, event: Any) -> bytes:
        """One event of the part under way, or of the next one: a start, a delta or an end."""

    @abstractmethod
    def _close(self) -> bytes:
        """The end of the block under way; ``b""`` where there is none."""

    def _content(self, event: Any) -> bytes:
        """One event of a part: written, or kept back while another part is under way."""
        if event.index != self._at:
            waiting = self._waiting.get(event.index)
            if waiting is not None:
                waiting.append(event)
                return b""
            if type(event) is PartEnded:
                return b""
            if self._part is not None:
                self._waiting[event.index] = [event]
                return b""
        if type(event) is not PartEnded:
            return self._write(event)
        return self._close() + self._next()

    def _next(self) -> bytes:
        """What was kept back for the part just ended."""
        out: list[bytes] = []
        while self._waiting and self._part is None:
            events = self._waiting.pop(next(iter(self._waiting)))
            out += map(self._write, events)
        return b"".join(out)

    def _last(self) -> list[bytes]:
        """At the end of the stream: the block under way closed, and what was kept back, block by block."""
        out = [self._close()]
        for events in self._waiting.values():
            out += (*map(self._write, events), self._close())
        self._waiting.clear()
        return out
