"""Server-sent events: framing only.

A stream is cut into *blocks*, each one event with the blank line that ends it, and blocks joined again are the stream
byte for byte. The three line ends of the standard are taken, mixed too. A carriage return at the very end of what has
arrived is undecided, because a line feed may belong to it, so its block waits for the next byte. Where the bytes were
split on their way makes no difference to the blocks.
"""

from __future__ import annotations

import re
from typing import ClassVar

from trimaran.errors import MalformedAnswer
from trimaran.wire.framing import MAX_EVENT_BYTES, Framing

__all__ = ["SSE", "EventFramer", "ServerSentEvents", "parse_event"]

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?=[^\n])){2}")


class EventFramer:
    """Cuts a byte stream into event blocks."""

    __slots__ = ("_buffer", "_returns", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._returns = False

    @property
    def pending(self) -> bool:
        """Whether an event has begun that is not yet whole."""
        return bool(self._buffer)

    def push(self, data: bytes) -> list[bytes]:
        """The blocks that are whole now. Raises :class:`MalformedAnswer` when one grows above the limit."""
        buffer = self._buffer
        self._returns = self._returns or data.find(b"\r") >= 0
        if not buffer and not self._returns and 0 <= data.find(b"\n\n") == len(data) - 2 <= MAX_EVENT_BYTES:
            return [data]
        buffer += data
        blocks: list[bytes] = []
        start, at = 0, self._searched
        while (end := self._boundary(at)) > 0:
            blocks.append(bytes(buffer[start:end]))
            start = at = end
        if start:
            del buffer[:start]
        if len(buffer) > MAX_EVENT_BYTES:
            raise MalformedAnswer(f"an event of the stream is larger than {MAX_EVENT_BYTES // 2**20} MiB")
        # The longest blank line is four bytes, of which the last one is new.
        self._searched = max(0, len(buffer) - 3)
        return blocks

    def rest(self) -> bytes:
        """What has arrived of an event that is not whole; the framer is empty afterwards."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest

    def _boundary(self, at: int) -> int:
        if self._returns:
            match = _BLANK_LINE.search(self._buffer, at)
            return match.end() if match is not None else -1
        found = self._buffer.find(b"\n\n", at)
        return found + 2 if found >= 0 else -1


def parse_event(block: bytes) -> tuple[bytes, bytes | None]:
    """Name and data of one block, ``b""`` and ``None`` where it has none. Data lines are joined by line feeds."""
    if block.startswith(b"data: ") and block.find(b"\n") == len(block) - 2 and block.find(b"\r") < 0:
        return b"", block[6:-2]
    if block.startswith(b"event: ") and block.find(b"\r") < 0:
        first = block.find(b"\n")
        if block.startswith(b"data: ", first + 1) and block.find(b"\n", first + 1) == len(block) - 2:
            return block[7:first], block[first + 7 : -2]
    name = b""
    data: list[bytes] = []
    for line in block.splitlines():
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name, b"\n".join(data) if data else None


class ServerSentEvents(Framing):
    """The framing of nearly every provider's streams."""

    content_type: ClassVar[bytes] = b"text/event-stream; charset=utf-8"

    def framer(self) -> EventFramer:
        return EventFramer()

    def parse(self, block: bytes) -> tuple[bytes, bytes | None]:
        return parse_event(block)

    def last(self, rest: bytes) -> bytes:
        return rest.rstrip(b"\r\n") + b"\n\n" if rest.strip() else b""


SSE = ServerSentEvents()
