"""Where a client's stream of chunks stands: chunks repeat who answers, and know no parts."""

from __future__ import annotations

import msgspec

from trimaran.wire.gemini_generate.encoder import GeminiEncoder
from trimaran.wire.streams import Resumed, StreamPosition

__all__ = ["GeminiPosition"]


class _Candidate(msgspec.Struct, gc=False):
    finishReason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    responseId: str | None = None
    modelVersion: str | None = None
    candidates: list[_Candidate] | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class GeminiPosition(StreamPosition):
    """Keeps what the first chunk said of itself."""

    def __init__(self) -> None:
        self._head: _Chunk | None = None

    def see(self, name: bytes, data: bytes) -> None:
        chunk = _decode_chunk(data)
        self._head = self._head or chunk
        if any(candidate.finishReason for candidate in chunk.candidates or ()):
            self.impossible = "the answer was finished"

    def resume(self, tier: str) -> Resumed:
        head = self._head or _Chunk()
        encoder = GeminiEncoder()
        encoder.begin(head.responseId or "", head.modelVersion or "")
        encoder.go_on(tier)
        return Resumed(encoder, 0, 1)
