"""Where a client's stream of blocks stands."""

from __future__ import annotations

import msgspec

from trimaran.wire.anthropic_messages.encoder import MessagesEncoder
from trimaran.wire.streams import Resumed, StreamPosition

__all__ = ["MessagesPosition"]


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    index: int = 0


_decode_event = msgspec.json.Decoder(_Event).decode


class MessagesPosition(StreamPosition):
    """Follows which block is open."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._next = 0

    def see(self, name: bytes, data: bytes) -> None:
        event = _decode_event(data)
        kind = event.type or name.decode("latin-1")
        if kind == "content_block_start":
            self._open.add(event.index)
            self._next = max(self._next, event.index + 1)
        elif kind == "content_block_stop":
            self._open.discard(event.index)
        elif kind == "content_block_delta" and event.index not in self._open:
            self.impossible = "a block of the answer was not announced"
        if len(self._open) > 1:
            self.impossible = "several blocks of the answer are under way at once"

    def resume(self, tier: str) -> Resumed:
        encoder = MessagesEncoder()
        if self._open:
            (block,) = self._open
            encoder.go_on(block, open=True)
            return Resumed(encoder, 0, 1)
        encoder.go_on(self._next, open=False)
        return Resumed(encoder, None, 1)
