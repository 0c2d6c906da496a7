"""What a simulated dialect must offer, and the response heads they share.

A :class:`Dialect` reads requests and words refusals; for each answer it makes an :class:`AnswerWriter`, which knows the
bytes of the whole answer and of every stream event, but nothing of time, sockets or faults. A :class:`LookUp` answers
what is not generated: lists and descriptions, which no behaviour slows or breaks. Real providers send about twenty
response headers; so do these, because each one costs a gateway something. They include a cookie, which a gateway must
not pass on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple, Protocol

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.exchange import Prompt, Refusal, Reply

__all__ = ["AnswerWriter", "Dialect", "HeadWriter", "Headers", "LookUp", "Request", "bearer", "frame", "header"]

Headers = list[tuple[bytes, bytes]]
"""Request headers in order, names in lower case."""


class Request(NamedTuple):
    """A whole HTTP request."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    keep_alive: bool


class AnswerWriter(Protocol):
    """Bytes of one answer. Stream events are whole blocks of the dialect's framing (server-sent events, or messages of
    AWS's event stream) without transfer coding. A writer of a stream keeps state: its pieces are asked for once each, in
    order."""

    content_type: bytes
    """Of the whole answer. A stream's belongs to the dialect's head."""

    def lines(self, took_ms: int) -> bytes:
        """Further header lines of a good answer, each begun by CRLF; ``took_ms``: how long the model took."""

    def unary(self) -> bytes:
        """The whole JSON body."""

    def unary_error(self, refusal: Refusal) -> bytes:
        """The JSON body of an answer that says 200 and means an error."""

    def opening(self) -> bytes:
        """Events before the first content."""

    def piece(self, piece: str) -> bytes:
        """The event of one content token, and of what begins with it; empty where the dialect does not show it."""

    def closing(self, *, end_marker: bool) -> bytes:
        """Finish reason, usage and, if wanted, the end marker."""

    def malformed(self) -> bytes:
        """A damaged event: broken JSON, or a wrong checksum."""

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An error inside a stream. ``bare``: see :class:`~trimaran.testing.behaviour.Behaviour`."""


class Dialect(Protocol):
    """One wire API of a simulated provider."""

    name: str
    path: bytes
    """Empty where the path holds the model; then :meth:`serves` is asked."""
    head: HeadWriter

    def serves(self, method: bytes, path: bytes) -> bool:
        """Whether a request without a fixed path is this dialect's."""

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """Raises :class:`Refusal` (401, 403, 400) on missing or wrong credentials. ``keys`` None: any key will do."""

    def read(self, request: Request) -> Prompt:
        """Raises :class:`Refusal` (400)."""

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Raises :class:`Refusal` for an unknown model (404) or a prompt over the context (400)."""

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """What the provider called ``name`` answers. May raise :class:`Refusal` (400)."""

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON error body."""

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The refusal that an injected HTTP status stands for."""

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """``serial`` numbers the answers of one provider; ids are made of it."""

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """The list of models, or one of them; ``None`` when there is no such model."""


class LookUp(Protocol):
    """A part of a provider that tells what it has: models, endpoints."""

    name: str
    head: HeadWriter

    def serves(self, method: bytes, path: bytes) -> bool:
        """Whether a request is for it."""

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """See :class:`Dialect`."""

    def look_up(self, request: Request) -> bytes:
        """The JSON answer. Raises :class:`Refusal`."""

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON error body."""


class HeadWriter:
    """Writes status line and headers; everything that does not change is joined once a second.

    ``lines`` are headers on lines of their own, ``identify`` gives a request id the vendor's form.
    """

    def __init__(
        self,
        dialect: str,
        id_header: str,
        processing_header: str | None,
        lines: str,
        *,
        stream_type: str = "text/event-stream; charset=utf-8",
        identify: Callable[[str], str] = str,
    ) -> None:
        self._dialect = dialect
        self._stream_type = stream_type.encode()
        self._identify = identify
        self._id = f"\r\n{id_header}: ".encode()
        self._processing = f"\r\n{processing_header}: ".encode() if processing_header else None
        self._lines = lines
        self._second = 0
        self._common = b""

    def write(
        self,
        status: int,
        request_id: str,
        *,
        length: int | None,
        stream: bool = False,
        processing_ms: int = 0,
        retry_after_s: float | None = None,
        content_type: bytes = b"application/json",
        lines: bytes = b"",
    ) -> bytes:
        """``length`` None means chunked; ``lines`` are further header lines, each begun by CRLF. Ends with the empty
        line."""
        second = int(time.time())
        if second != self._second:
            self._second, self._common = second, self._join(second)
        parts = [
            _STATUS_LINES.get(status) or b"HTTP/1.1 %d Simulated" % status,
            self._common,
            b"\r\ncontent-type: ",
            self._stream_type if stream else content_type,
            b"\r\ntransfer-encoding: chunked" if length is None else b"\r\ncontent-length: %d" % length,
            self._id,
            self._identify(request_id).encode(),
            lines,
        ]
        if self._processing:
            parts.append(self._processing + b"%d" % processing_ms)
        if retry_after_s is not None:
            parts.append(f"\r\nretry-after: {retry_after_s:g}".encode())
        parts.append(b"\r\n\r\n")
        return b"".join(parts)

    def _join(self, second: int) -> bytes:
        reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second + 60))
        lines = [f"date: {formatdate(second, usegmt=True)}", *self._lines.format(reset=reset).splitlines()]
        lines.append(f"x-simulated: trimaran {self._dialect}")
        return "".join(f"\r\n{line}" for line in lines).encode()


_STATUS_LINES = {code.value: f"HTTP/1.1 {code.value} {code.phrase}".encode() for code in HTTPStatus}


def header(headers: Headers, name: bytes) -> bytes | None:
    """The first value of a header; ``name`` in lower case."""
    for key, value in headers:
        if key == name:
            return value
    return None


def bearer(headers: Headers) -> bytes | None:
    """The bearer token of the Authorization header."""
    value = header(headers, b"authorization")
    return value[7:].strip() if value is not None and value[:7].lower() == b"bearer " else None


def frame(data: bytes) -> bytes:
    """One chunk of the chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)
