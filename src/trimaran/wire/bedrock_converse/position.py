"""Where a client's stream of blocks stands."""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.wire.bedrock_converse.encoder import ConverseEncoder
from trimaran.wire.streams import Resumed, StreamPosition

__all__ = ["ConversePosition"]


class _Delta(msgspec.Struct, gc=False):
    text: Any = None


class _Event(msgspec.Struct, gc=False):
    contentBlockIndex: int = 0
    delta: _Delta | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class ConversePosition(StreamPosition):
    """Follows which block is open."""

    def __init__(self, *, names_stop: bool) -> None:
        self._names_stop = names_stop
        self._open: dict[int, bool] = {}
        """By block, whether it is text."""
        self._next = 0

    def see(self, name: bytes, data: bytes) -> None:
        if not name.startswith(b"contentBlock"):
            return
        event = _decode_event(data)
        block = event.contentBlockIndex
        if name == b"contentBlockStop":
            self._open.pop(block, None)
            return
        self._open.setdefault(block, event.delta is not None and event.delta.text is not None)
        self._next = max(self._next, block + 1)
        if len(self._open) > 1:
            self.impossible = "several blocks of the answer are under way at once"

    @property
    def why_not(self) -> str:
        return self.impossible or ("" if all(self._open.values()) else "the model was not speaking")

    def resume(self, tier: str) -> Resumed:
        encoder = ConverseEncoder(names_stop=self._names_stop)
        for block in self._open:
            encoder.go_on(block, open=True, tier=tier)
            return Resumed(encoder, 0, 1)
        encoder.go_on(self._next, open=False, tier=tier)
        return Resumed(encoder, None, 1)
