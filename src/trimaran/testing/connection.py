"""One HTTP/1.1 connection of a simulated provider: requests in, raw control of the transport out.

Written on ``asyncio.Protocol`` because faults need the transport itself (a reset is ``SO_LINGER`` 0, a cut is a close
in the middle of a body) and because the same server is the upstream of benchmarks: no task, no stream object per
request. Pipelined requests wait for their turn. A request's owner is told when the client leaves.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Protocol, cast

import httptools

from trimaran.testing.dialect import Headers, Request

__all__ = ["Connection", "Exchange", "Host"]

MAX_BODY_BYTES = 64 * 1024 * 1024
_BAD_REQUEST = b"HTTP/1.1 %b\r\nx-simulated: trimaran\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LINGER_0 = struct.pack("ii", 1, 0)


class Exchange(Protocol):
    """Whoever answers the current request."""

    def client_left(self) -> None:
        """The connection is gone. Nothing may be written any more."""

    def pause(self) -> None:
        """The client reads more slowly than the answer is written."""

    def resume(self) -> None:
        """The client caught up."""


class Host(Protocol):
    """What a connection needs from the provider that owns it."""

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def closed(self, connection: Connection) -> None:
        """The connection is gone."""

    def receive(self, connection: Connection, request: Request) -> Exchange | None:
        """Begin to answer. ``None`` when nobody needs to hear more about this request."""


class Connection(asyncio.Protocol):
    """Parses requests, hands them to the host one at a time, and offers the ways to end an answer."""

    __slots__ = (
        "_body",
        "_busy",
        "_exchange",
        "_headers",
        "_host",
        "_parser",
        "_size",
        "_target",
        "_waiting",
        "transport",
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._headers: Headers = []
        self._body: list[bytes] = []
        self._size = 0
        self._target = b""
        self._busy = False
        self._exchange: Exchange | None = None
        self._waiting: deque[Request] = deque()
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)

    # How an answer ends. The host calls exactly one of the first three for each request, or none (silence).

    def done(self, keep_alive: bool) -> None:
        """The answer is complete; the next request may come."""
        self._busy, self._exchange = False, None
        if not keep_alive:
            self.transport.close()
            return
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)

    def cut(self) -> None:
        """Close as a dying server does: what was written arrives, then the stream ends."""
        self._exchange = None
        self.transport.close()

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        self._exchange = None
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()

    @property
    def idle(self) -> bool:
        """No request is being answered."""
        return not self._busy

    @property
    def loopback(self) -> bool:
        """The client is on this machine."""
        peer = self.transport.get_extra_info("peername")
        return bool(peer) and (peer[0].startswith("127.") or peer[0] == "::1")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        self._waiting.clear()
        if exchange is not None:
            exchange.client_left()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # A defect of the simulation itself, wrapped by the parser: it must be seen, not pass for a bad request.
            context = {"message": "simulated provider failed", "exception": error.__context__ or error}
            asyncio.get_running_loop().call_exception_handler(context)
            self._refuse(b"500 Internal Server Error")
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            self._refuse(b"400 Bad Request")

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.resume()

    # httptools

    def on_message_begin(self) -> None:
        self._headers = []
        self._body = []
        self._size = 0
        self._target = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if name == b"expect":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= MAX_BODY_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._size > MAX_BODY_BYTES:
            self._refuse(b"413 Payload Too Large")
            return
        parser = self._parser
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(parser.get_method(), self._target, self._headers, body, parser.should_keep_alive())
        if self._busy or self._waiting:
            self._waiting.append(request)
        else:
            self._serve(request)

    def _next(self) -> None:
        if self._waiting and not self._busy:
            self._serve(self._waiting.popleft())

    def _serve(self, request: Request) -> None:
        if self.transport.is_closing():
            return
        self._busy = True
        exchange = self._host.receive(self, request)
        if self._busy:
            self._exchange = exchange

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(_BAD_REQUEST % status)
            self.transport.close()
