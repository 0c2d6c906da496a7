"""HTTP/1.1 towards clients.

One :class:`Connection` for each client connection; it is at once the parser's callback object, the admission of a
request and the sink of its answer, because requests on one connection are answered one after the other. A request that
arrives before the last is answered waits in a short queue.

llhttp refuses what makes smuggling possible (Content-Length beside Transfer-Encoding, repeated Content-Length, bare LF,
folded headers). What the parser cannot know is limited here: header bytes, body bytes, bytes of all bodies under way,
requests waiting on one connection, and how long a client may take to send one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools
import msgspec

from trimaran.dispatch.call import Call
from trimaran.dispatch.inbound import Inbound
from trimaran.errors import (
    BodyTooLarge,
    InvalidRequest,
    LimitExceeded,
    PermissionDenied,
    TrimaranError,
    Unavailable,
)
from trimaran.gateway import headers as wire_headers
from trimaran.gateway.admission import (
    check_content_encoding,
    check_content_type,
    check_origin,
    check_page,
    client_limits,
)
from trimaran.gateway.pages import page
from trimaran.types import ServerLimits
from trimaran.wire import DIALECTS, Dialect, Streaming, named_body, surface

if TYPE_CHECKING:
    from trimaran.gateway.server import HttpServer

__all__ = ["Connection"]

_LOG = logging.getLogger("trimaran.gateway")

MAX_WAITING = 16
"""Requests that may wait on one connection behind the one being answered."""

WRITE_HIGH = 256 * 1024
"""Bytes that may wait for a slow client before the target is no longer read."""

_JSON = b"application/json"

_OPENAI = DIALECTS["openai.chat"]
_ANTHROPIC = DIALECTS["anthropic.messages"]
_HOMES = tuple((dialect.home, dialect) for dialect in DIALECTS.values() if dialect.home)


class _Request(msgspec.Struct, eq=False, gc=False):
    """A request that is complete."""

    method: bytes
    path: bytes
    headers: dict[bytes, bytes]
    """Those that matter, by lower-case name."""
    body: bytes
    keep_alive: bool
    size: int
    chunks: bool
    """The client understands chunks: it speaks HTTP/1.1."""
    query: bytes = b""


class Connection(asyncio.Protocol):
    """One client connection. Implements :class:`~trimaran.dispatch.ports.Sink`."""

    __slots__ = (
        "_busy",
        "_call",
        "_chunked",
        "_close",
        "_counted",
        "_dialect",
        "_headers",
        "_headers_done",
        "_known",
        "_parser",
        "_parts",
        "_paused",
        "_received",
        "_refused",
        "_request",
        "_server",
        "_streaming",
        "_transport",
        "_urls",
        "_waiting",
        "on_body",
        "on_header",
        "on_url",
        "since",
    )

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._headers: dict[bytes, bytes] = {}
        self._known: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._urls: list[bytes] = []
        self.on_header = self._headers.__setitem__
        self.on_body = self._parts.append
        self.on_url = self._urls.append
        self._parser = httptools.HttpRequestParser(self)
        self._received = 0
        self._counted = 0
        self._paused = False
        self._headers_done = False
        self._waiting: deque[_Request] = deque()
        self._request: _Request | None = None
        self._busy = False
        self._close = False
        self._refused = False
        self._streaming = False
        self._chunked = True
        self._call: Call | None = None
        self._dialect = _OPENAI
        self.since = server.seconds

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        server = self._server
        if not self._received:
            self.since = server.seconds
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(InvalidRequest("protocol upgrades are not offered here; use plain HTTP/1.1", field="Upgrade"))
        except httptools.HttpParserError as error:
            # What a callback raised arrives wrapped.
            cause = error.__context__
            if not isinstance(cause, TrimaranError):
                cause = InvalidRequest(f"this is not valid HTTP/1.1: {error}")
            self._refuse(cause)
        else:
            limits = server.limits
            received = self._received
            if not self._headers_done and received > limits.max_header_bytes:
                self._refuse(BodyTooLarge(f"the request's head is larger than {limits.max_header_bytes} bytes"), 431)
            elif received > limits.max_body_bytes + limits.max_header_bytes:
                self._refuse(_too_large(limits))
            elif received:
                # Not complete yet: what is held of it counts all the same.
                server.memory += received - self._counted
                self._counted = received
                if server.memory > limits.max_memory_bytes:
                    self._refuse(_too_much())

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        server = self._server
        server.connections.discard(self)
        server.memory -= self._counted
        self._counted = 0
        self._forget_waiting()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        self._finish()

    def pause_writing(self) -> None:
        # Whoever does not read answers gets no further requests in: they could be answered only into our memory.
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()
        if self._call is not None:
            self._call.pause()

    def resume_writing(self) -> None:
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        if self._call is not None:
            self._call.resume()

    # httptools

    def on_headers_complete(self) -> None:
        self._headers_done = True
        self._known = known = wire_headers.read(self._headers)
        length = known.get(b"content-length")
        if length is not None and int(length) > self._server.limits.max_body_bytes:
            raise _too_large(self._server.limits)
        if b"expect" in known and known[b"expect"].lower() == b"100-continue" and not self._busy:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_message_complete(self) -> None:
        body = _take_all(self._parts)
        url = _take_all(self._urls)
        # Here and not with the head, so that trailers go with their request instead of joining the next one's head.
        self._headers.clear()
        parser = self._parser
        size = self._received
        path, _, query = url.partition(b"?")
        request = _Request(
            parser.get_method(),
            path,
            self._known,
            body,
            parser.should_keep_alive(),
            size,
            parser.get_http_version() != "1.0",
            query,
        )
        self._received = 0
        self._headers_done = False
        self._server.memory += size - self._counted
        self._counted = 0
        if self._busy:
            self._waiting.append(request)
            if len(self._waiting) > MAX_WAITING:
                raise LimitExceeded(f"more than {MAX_WAITING} requests are waiting on this connection")
        else:
            self._handle(request)

    # Sink

    def answer(self, call: Call, body: bytes) -> None:
        self._write(wire_headers.unary_head(call, len(body), self._closing()) + body)
        self._next()

    def begin(self, call: Call) -> None:
        self._streaming = True
        if self._paused:
            call.pause()
        if not self._chunked:
            # Then the end of the connection is the end of the answer.
            self._close = True
        self._write(wire_headers.stream_head(call, self._closing(), self._chunked))

    def data(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self, call: Call) -> None:
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._next()

    def fail(self, call: Call, error: TrimaranError) -> None:
        request_id = call.inbound.request_id
        if self._streaming:
            # Head and content are out: an error event in place of the end marker, then nothing more on this connection.
            assert isinstance(self._dialect, Streaming)
            event = self._dialect.write_stream_error(error, request_id)
            self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event) if self._chunked else event)
            self._close = True
            self._next()
        else:
            target = call.attempt.runtime.id if call.attempt is not None else ""
            self._reply_error(error, request_id, target=target, attempts=call.attempts)

    # requests

    def _handle(self, request: _Request) -> None:
        self._busy = True
        self._request = request
        self._close = not request.keep_alive
        self._chunked = request.chunks
        dialect = surface(request.path)
        try:
            if dialect is not None and request.method == b"POST":
                self._dialect = dialect
                self._ask(dialect, request)
            else:
                self._dialect = dialect or _dialect_of(request)
                self._page(request)
        except TrimaranError as error:
            self._server.count_refusal(error)
            self._reply_error(error, self._server.new_id())
        except Exception:
            # A mistake of ours must cost this request only, and not leave its connection waiting for ever.
            _LOG.exception("a request could not be handled")
            failure = TrimaranError("something went wrong inside the gateway; its log has the details")
            self._server.count_refusal(failure)
            self._reply_error(failure, self._server.new_id())

    def _ask(self, dialect: Dialect, request: _Request) -> None:
        server = self._server
        headers = request.headers
        if dialect.heeds_query:
            dialect.check_query(request.path, request.query)
            wire_headers.take_key(headers, request.query)
        key = server.keyring.check(headers)
        if key.anonymous:
            check_origin(headers)
            if dialect.any_content:
                check_page(headers)
        if server.draining:
            raise Unavailable("this gateway is shutting down; send the request again")
        if server.memory > server.limits.max_memory_bytes:
            raise _too_much()
        if headers.get(b"content-type") != _JSON and not dialect.any_content:
            check_content_type(headers)
        envelope = dialect.read(named_body(request.body, request.path), request.path)
        dispatcher = server.dispatcher
        route = dispatcher.route(envelope.model)
        if dialect.operation != "chat":
            route = route.of_operation(dialect.operation)
        if key.models and envelope.model not in key.models:
            raise PermissionDenied(f"this key may not call model {envelope.model!r}", field="model")
        limits = route.limits
        forwarded = b""
        if not headers.keys().isdisjoint(wire_headers.RARE):
            check_content_encoding(headers)
            limits = client_limits(limits, headers)
            for name in dialect.refuses.keys() & headers.keys():
                raise InvalidRequest(dialect.refuses[name], field=name.decode())
            forwarded = wire_headers.forwarded(headers, dialect)
        elif dialect.carries:
            forwarded = wire_headers.forwarded(headers, dialect)
        inbound = Inbound(
            server.new_id(),
            dialect,
            envelope,
            route,
            limits,
            key.tenant,
            key.key_id,
            key.tags,
            forwarded,
            key.allowances,
        )
        call = dispatcher.submit(inbound, self)
        if not call.done:
            self._call = call

    def _page(self, request: _Request) -> None:
        server = self._server
        snapshot, draining = server.dispatcher.snapshot, server.draining
        status, body = page(
            request.method,
            request.path,
            lambda: server.keyring.check(request.headers),
            self._dialect,
            snapshot,
            draining,
        )
        self._reply(status, _JSON, body)

    # answers

    def _reply(self, status: int, content_type: bytes, body: bytes, extra: bytes = b"") -> None:
        head = wire_headers.plain_head(status, content_type, len(body), extra, self._closing())
        request = self._request
        self._write(head if request is not None and request.method == b"HEAD" else head + body)
        self._next()

    def _reply_error(self, error: TrimaranError, request_id: str, *, target: str = "", attempts: int = 0) -> None:
        dialect = self._dialect
        status, body = dialect.error_status(error), dialect.write_error(error, request_id)
        extra = (
            b"x-trimaran-request-id: %b\r\nx-request-id: %b\r\nrequest-id: %b\r\nx-trimaran-attempts: %d\r\n%b%b"
            % (
                *(request_id.encode(),) * 3,
                attempts,
                dialect.answer_head(request_id),
                dialect.error_head(error),
            )
        )
        if target:
            extra += b"x-trimaran-target: %b\r\n" % target.encode("ascii", "replace")
        retry_after = getattr(error, "retry_after_s", None)
        if retry_after is not None:
            extra += b"retry-after: %d\r\n" % max(1, round(retry_after))
        self._reply(status, _JSON, body, extra)

    def _refuse(self, error: TrimaranError, status: int | None = None) -> None:
        """Answer a request that cannot be read any further, and close. Nothing is said after the last answer."""
        if self._refused:
            return
        self._server.count_refusal(error)
        self._refused = True
        if self._busy:
            # An earlier request is still being answered: its answer must not be mixed with this refusal.
            self._close = True
            self._forget_waiting()
            return
        path = b"".join(self._urls).partition(b"?")[0]
        dialect = surface(path) or _OPENAI
        request_id = self._server.new_id()
        code, body = dialect.error_status(error), dialect.write_error(error, request_id)
        self._write(wire_headers.plain_head(status or code, _JSON, len(body), dialect.error_head(error), True) + body)
        self._shut()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _closing(self) -> bool:
        if self._server.draining:
            self._close = True
        return self._close

    def _next(self) -> None:
        """The current request is answered: close, or take the next one."""
        self._finish()
        if self._close or (self._refused and not self._waiting):
            self._shut()
        elif self._waiting:
            # Not from inside this call: answers that follow each other at once would nest without end.
            self._busy = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        if self._transport is None:
            return
        if self._waiting:
            self._handle(self._waiting.popleft())
        else:
            # What waited was dropped with a refusal in between.
            self._next()

    def _finish(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            self._server.memory -= request.size
        self._call = None
        self._busy = False
        self._streaming = False
        self.since = self._server.seconds

    def _forget_waiting(self) -> None:
        for request in self._waiting:
            self._server.memory -= request.size
        self._waiting.clear()

    def _shut(self) -> None:
        self._refused = True
        if self._transport is not None:
            self._transport.close()

    # the server's side

    def check(self, seconds: int, limits: ServerLimits) -> None:
        """Close a connection that has been idle, or has been sending one request, for too long."""
        if self._busy:
            return
        age = seconds - self.since
        if self._refused:
            # Closed, and whoever should read the last answer does not.
            if age > limits.keep_alive_s and self._transport is not None:
                self._transport.abort()
        elif self._received and age > limits.receive_s:
            self._refuse(LimitExceeded(f"the request did not arrive within {limits.receive_s:g} s"), 408)
        elif not self._received and age > limits.keep_alive_s:
            self._shut()

    def drain(self) -> None:
        """Close now when idle, otherwise after the answer under way."""
        self._close = True
        if not self._busy and not self._received:
            self._shut()

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self._busy


def _too_large(limits: ServerLimits) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limits.max_body_bytes} bytes (server.max_body)")


def _too_much() -> LimitExceeded:
    return LimitExceeded("too many request bytes are under way here; send the request again", retry_after_s=1.0)


def _take_all(parts: list[bytes]) -> bytes:
    """The pieces as one, and the list emptied."""
    whole = parts[0] if len(parts) == 1 else b"".join(parts)
    parts.clear()
    return whole


def _dialect_of(request: _Request) -> Dialect:
    """The dialect to answer in where nothing is served at the path."""
    for home, dialect in _HOMES:
        if request.path.startswith(home):
            return dialect
    anthropic = b"anthropic-version" in request.headers or request.path.startswith(_ANTHROPIC.path)
    return _ANTHROPIC if anthropic else _OPENAI
