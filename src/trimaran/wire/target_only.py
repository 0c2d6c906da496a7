"""Dialects that targets speak and clients do not: one half of a :class:`~trimaran.wire.dialect.ChatDialect`.

A container that takes one prompt, or a model with a body of its own behind a cloud's door, is reached by translation and
never served: nobody sends such a body to this gateway under a path of ours. So the client's half of the dialect is closed
here, once. Errors of clients are written in the client's dialect, therefore none is written in these.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

from trimaran.errors import InvalidRequest, TrimaranError
from trimaran.wire.conversation import ChatRequest
from trimaran.wire.dialect import ChatDialect, Envelope
from trimaran.wire.events import Answer
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay
from trimaran.wire.streams import StreamEncoder, StreamPosition

__all__ = ["TargetOnly"]


class TargetOnly(ChatDialect):
    """A dialect without the client's half. A subclass gives ``name``, ``encode_request``, ``inspect``, ``decode_answer``
    and ``stream_decoder``, and ``framing`` where it is not that of server-sent events."""

    path = b""
    field_names: ClassVar = {}

    def serves(self, path: bytes) -> bool:
        return False

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raise InvalidRequest(
            f"{self.name} is spoken to targets only; send the request in a dialect that is served here"
        )

    def _closed(self) -> NoReturn:
        raise NotImplementedError(f"no client speaks {self.name}")

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        self._closed()

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        self._closed()

    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        self._closed()

    def stream_encoder(self, envelope: Envelope, created_s: int) -> StreamEncoder:
        self._closed()

    def stream_position(self, envelope: Envelope) -> StreamPosition:
        self._closed()

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        self._closed()

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        self._closed()
