"""The writer of an answer that is one JSON value: counts and vectors. It is never streamed."""

from __future__ import annotations

from typing import Protocol

from trimaran.testing.exchange import Refusal

__all__ = ["WholeWriter", "Worded"]


class Worded(Protocol):
    """Who words an error."""

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON error body."""


class WholeWriter:
    """See :class:`~trimaran.testing.dialect.AnswerWriter`."""

    __slots__ = ("_body", "_serial", "_worded")

    content_type = b"application/json"

    def __init__(self, body: bytes, worded: Worded, serial: int) -> None:
        self._body = body
        self._worded = worded
        self._serial = serial

    def lines(self, took_ms: int) -> bytes:
        """None."""
        return b""

    def unary(self) -> bytes:
        """The value."""
        return self._body

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return self._worded.refusal(refusal, f"req_simulated{self._serial:08d}")

    def opening(self) -> bytes:
        """Not streamed."""
        return b""

    def piece(self, piece: str) -> bytes:
        """Not streamed."""
        return b""

    def closing(self, *, end_marker: bool) -> bytes:
        """Not streamed."""
        return b""

    def malformed(self) -> bytes:
        """Not streamed."""
        return b""

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """Not streamed."""
        return b""
