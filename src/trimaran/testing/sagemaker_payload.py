"""Puts a container's answer into InvokeEndpointWithResponseStream's parts, or joins it for InvokeEndpoint.

A part is a message ``PayloadPart`` of AWS's event stream whose payload is the bytes themselves (``eventpayload`` of type blob in
botocore's model). The service cuts the container's bytes as they come off a socket: a part may hold half an event of the
container's or several, and may cut a character.
"""

from __future__ import annotations

import random

from trimaran.testing import event_stream
from trimaran.testing.dialect import AnswerWriter
from trimaran.testing.exchange import Refusal, Reply
from trimaran.testing.openai_common import encode

__all__ = ["PayloadWriter"]

_STREAM_CODES = ("ModelInvocationTimeExceeded", "StreamBroken")


class PayloadWriter:
    """See :class:`~trimaran.testing.dialect.AnswerWriter`.

    ``container_streams``: whether the container streams, ``streamed``: whether the service was asked to.
    ``part_bytes``: see :class:`~trimaran.testing.sagemaker.Container`.
    """

    def __init__(
        self,
        inner: AnswerWriter,
        reply: Reply,
        serial: int,
        *,
        container_streams: bool,
        container_type: bytes,
        streamed: bool,
        part_bytes: int | None,
        lines: bytes,
    ) -> None:
        self._inner = inner
        self._reply = reply
        self._streams = container_streams
        self._part_bytes = part_bytes
        self._cuts = random.Random(serial)
        self._size = 0
        self._held = b""
        container = container_type if container_streams else inner.content_type
        self.content_type = container
        self._lines = lines
        if streamed:
            self._lines += b"\r\nX-Amzn-SageMaker-Content-Type: " + container

    def lines(self, took_ms: int) -> bytes:
        """Variant, custom attributes, session, and a stream's own content type."""
        return self._lines

    def unary(self) -> bytes:
        """The container's whole answer, a stream included."""
        if not self._streams:
            return self._inner.unary()
        opening = self._inner.opening()
        pieces = [self._inner.piece(piece) for piece in self._reply.pieces]
        return b"".join((opening, *pieces, self._inner.closing(end_marker=True)))

    def unary_error(self, refusal: Refusal) -> bytes:
        """The container's."""
        return self._inner.unary_error(refusal)

    def opening(self) -> bytes:
        """Parts before the first content."""
        return self._parts(self._inner.opening()) if self._streams else b""

    def piece(self, piece: str) -> bytes:
        """Parts of one token. None of an answer that the container does not stream."""
        return self._parts(self._inner.piece(piece)) if self._streams else b""

    def closing(self, *, end_marker: bool) -> bytes:
        """The last parts."""
        last = self._inner.closing(end_marker=end_marker) if self._streams else self._inner.unary()
        return self._parts(last) + self._rest()

    def malformed(self) -> bytes:
        """A sound part with a damaged event of the container's in it."""
        return self._parts(self._inner.malformed())

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """``ModelStreamError`` or ``InternalStreamFailure``; ``bare``: the container's own words in a part."""
        if bare:
            return self._parts(self._inner.error(refusal)) + self._rest()
        rest = self._rest()
        if refusal.kind == "InternalStreamFailure":
            return rest + event_stream.exception(refusal.kind, encode({"Message": refusal.message}))
        code = refusal.kind if refusal.kind in _STREAM_CODES else "StreamBroken"
        body = encode({"ErrorCode": code, "Message": refusal.message})
        return rest + event_stream.exception("ModelStreamError", body)

    def _parts(self, data: bytes) -> bytes:
        if self._part_bytes is None:
            return _part(data) if data else b""
        held = self._held + data
        parts = []
        while True:
            self._size = self._size or self._cuts.randint(1, self._part_bytes)
            if len(held) < self._size:
                break
            parts.append(_part(held[: self._size]))
            held, self._size = held[self._size :], 0
        self._held = held
        return b"".join(parts)

    def _rest(self) -> bytes:
        held, self._held = self._held, b""
        return _part(held) if held else b""


def _part(data: bytes) -> bytes:
    return event_stream.event("PayloadPart", data, "application/octet-stream")
