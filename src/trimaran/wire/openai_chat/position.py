"""Where a client's stream of chunks stands: chunks repeat who answers, and know no parts."""

from __future__ import annotations

import time

import msgspec

from trimaran.wire.conversation import Text
from trimaran.wire.events import PartStarted, ServiceTier, Started
from trimaran.wire.openai_chat.stream_writer import ChatEncoder
from trimaran.wire.streams import Resumed, StreamPosition

__all__ = ["ChatPosition"]


class _Head(msgspec.Struct, gc=False):
    id: str | None = None
    created: float | None = None
    model: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


class ChatPosition(StreamPosition):
    """Keeps what the first chunk said of itself."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: _Head | None = None

    def see(self, name: bytes, data: bytes) -> None:
        if self._head is None and data.startswith(b"{"):
            self._head = _decode_head(data)

    def resume(self, tier: str) -> Resumed:
        head = self._head or _Head()
        created_s = int(time.time()) if head.created is None else int(head.created)
        encoder = ChatEncoder(created_s, include_usage=self._include_usage)
        encoder.encode(Started(head.id or "", head.model or ""))
        if tier:
            encoder.encode(ServiceTier(tier))
        # The client has had its first chunk, with the role: another one is not written.
        encoder.encode(PartStarted(0, Text("")))
        return Resumed(encoder, 0, 1)
