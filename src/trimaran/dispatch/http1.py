"""HTTP/1.1 towards targets: kept-alive connections, one exchange at a time on each.

Parsing is llhttp's (through httptools). Callbacks that only collect are bound to C functions (``dict.__setitem__``,
``list.append``), because each Python frame on this path is paid for every header of every answer.

A connection goes back to its pool only after a complete answer with nothing surplus behind it. A connection that closes
while idle leaves the pool quietly; one that closes under an exchange is that exchange's error, and whether to try again
is decided above, where attempts are counted.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import httptools

from trimaran.dispatch.ports import Exchange
from trimaran.errors import AttemptError, ConnectFailed, ConnectionReset, MalformedAnswer, StreamCut

if TYPE_CHECKING:
    from trimaran.dispatch.runtime import TargetRuntime

__all__ = ["HttpUpstream", "Origin"]

Origin = tuple[str, str, int]
"""Scheme, host, port."""

IDLE_S = 30.0
"""How long an unused connection is kept: below the 60 s after which common load balancers close theirs, so that a
request seldom meets a connection that is just being closed."""

MAX_IDLE = 256
"""Unused connections kept for one origin; more are closed when they become free."""


_INTERIM = (100, 102, 103)
"""Statuses that an answer follows. 101 is none of them: nothing here asks to change the protocol."""

_FRAMED = frozenset((b"content-length", b"transfer-encoding"))


class _Connection(asyncio.Protocol):
    """One connection to one origin."""

    __slots__ = (
        "_answered",
        "_close_after",
        "_done",
        "_exchange",
        "_headers",
        "_parser",
        "_parts",
        "_pool",
        "_surplus",
        "_until_close",
        "on_body",
        "on_header",
        "since",
        "transport",
    )

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._exchange: Exchange | None = None
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._answered = False
        self._done = False
        self._surplus = False
        self._close_after = False
        self._until_close = False
        self.since = 0.0
        self.transport: asyncio.Transport | None = None
        self.on_header = self._headers.__setitem__
        self.on_body = self._parts.append
        self._parser = httptools.HttpResponseParser(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self._drop()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._done:
                self._fail(MalformedAnswer(f"the target's answer is not valid HTTP: {error}"))
                return
            self._surplus = True
        parts = self._parts
        if parts and self._exchange is exchange:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            exchange.on_data(body)
        if self._done and self._exchange is exchange:
            self._finish(exchange)

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._pool.forget(self)
        exchange = self._exchange
        if exchange is None:
            return
        self._exchange = None
        if not self._answered:
            exchange.on_error(ConnectionReset("the target closed the connection before answering"))
        elif self._until_close and exc is None:
            exchange.on_end()
        else:
            exchange.on_error(StreamCut("the target closed the connection in the middle of its answer"))

    # httptools

    def on_message_begin(self) -> None:
        if self._done:
            # Ends the parsing: what follows a complete answer belongs to no request and must not be taken for its body.
            raise ValueError("surplus bytes behind the answer")

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        status = self._parser.get_status_code()
        if status < 200 and status not in _INTERIM:
            raise ValueError(f"no answer has status {status}")
        if status < 200 or exchange is None:
            return
        self._answered = True
        self._close_after = self._until_close = not self._parser.should_keep_alive()
        if self._close_after:
            # An answer that says where it ends is cut when the connection closes before that.
            self._until_close = _FRAMED.isdisjoint(name.lower() for name in self._headers)
        exchange.on_head(status, self._headers)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            self._headers.clear()
        else:
            self._done = True

    # Handle

    def abort(self) -> None:
        self._exchange = None
        self._drop()

    def pause(self) -> None:
        if self.transport is not None and self.transport.is_reading():
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and not self.transport.is_reading():
            self.transport.resume_reading()

    # the pool's side

    def carry(self, payload: bytes, exchange: Exchange) -> None:
        """Send a request; the connection must be free and open."""
        transport = self.transport
        assert transport is not None
        self._headers.clear()
        self._answered = False
        self._done = False
        self._exchange = exchange
        transport.write(payload)
        exchange.on_sent()

    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _finish(self, exchange: Exchange) -> None:
        # Reported before the connection is free again: the headers stay the exchange's until it has used them.
        self._exchange = None
        exchange.on_end()
        if self._surplus or self._close_after or not self.is_open():
            self._drop()
        else:
            # A client that fell behind on the last bytes has paused it, and the next exchange is not that client's.
            self.resume()
            self._pool.release(self)

    def _fail(self, error: AttemptError) -> None:
        exchange, self._exchange = self._exchange, None
        self._drop()
        if exchange is not None:
            exchange.on_error(error)

    def _drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Connecting:
    """The handle of an exchange whose connection is still being made."""

    __slots__ = ("_aborted", "_connection", "_paused", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._connection: _Connection | None = None
        self._aborted = False
        self._paused = False

    def connected(self, connection: _Connection, payload: bytes, exchange: Exchange) -> bool:
        """Hand the exchange to its connection; false when nobody wants it any more. Neither is kept here: the exchange
        holds this handle, and the circle would keep both and the payload until the garbage collector comes."""
        if self._aborted:
            return False
        self._connection = connection
        connection.carry(payload, exchange)
        if self._paused:
            connection.pause()
        return True

    def failed(self, exchange: Exchange, error: AttemptError) -> None:
        if not self._aborted:
            self._aborted = True
            exchange.on_error(error)

    def abort(self) -> None:
        if self._aborted:
            return
        self._aborted = True
        if self._connection is not None:
            self._connection.abort()
        elif self.task is not None:
            self.task.cancel()

    def pause(self) -> None:
        self._paused = True
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._connection.resume()


class _Pool:
    """Connections to one origin. The one freed last is used first, so that the rest can grow old and close."""

    __slots__ = ("_free", "_loop", "_now", "_open", "_tls", "origin")

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None, now: Callable[[], float]) -> None:
        self.origin = origin
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._now = now
        self._free: list[_Connection] = []
        self._open: set[_Connection] = set()

    def send(self, payload: bytes, exchange: Exchange, connect_s: float) -> _Connection | _Connecting:
        free = self._free
        while free:
            connection = free.pop()
            if connection.is_open():
                connection.carry(payload, exchange)
                return connection
        waiting = _Connecting()
        waiting.task = self._loop.create_task(self._connect(waiting, payload, exchange, connect_s))
        return waiting

    async def _connect(self, waiting: _Connecting, payload: bytes, exchange: Exchange, connect_s: float) -> None:
        scheme, host, port = self.origin
        where = f"{scheme}://{host}:{port}"
        try:
            async with asyncio.timeout(connect_s):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self), host, port, ssl=self._tls, server_hostname=host if self._tls else None
                )
        except TimeoutError:
            waiting.failed(exchange, ConnectFailed(f"no connection to {where} within {connect_s:g} s"))
        except ssl.SSLError as error:
            waiting.failed(exchange, ConnectFailed(f"TLS with {where} failed: {error.reason or error}"))
        except OSError as error:
            waiting.failed(exchange, ConnectFailed(f"cannot connect to {where}: {error.strerror or error}"))
        except ValueError as error:
            # A host that no name can be, found only when it is encoded for the resolver.
            waiting.failed(exchange, ConnectFailed(f"cannot connect to {where}: {error}"))
        else:
            if connection.transport is None:
                waiting.failed(exchange, ConnectFailed(f"{where} closed the connection as soon as it was made"))
                return
            self._open.add(connection)
            if not waiting.connected(connection, payload, exchange):
                self.release(connection)

    def release(self, connection: _Connection) -> None:
        if len(self._free) >= MAX_IDLE:
            connection.abort()
            return
        connection.since = self._now()
        self._free.append(connection)

    def forget(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)

    def prune(self, now: float) -> None:
        """Close what has been unused for too long; the oldest stand first."""
        old = now - IDLE_S
        while self._free and self._free[0].since < old:
            self._free.pop(0).abort()

    def close(self) -> None:
        for connection in tuple(self._open):
            connection.abort()
        self._free.clear()


class HttpUpstream:
    """The real :class:`~trimaran.dispatch.ports.Upstream`: one pool for each origin, made when first needed.

    Needs a running event loop. TLS trusts the system's store (and ``SSL_CERT_FILE``), checks host names, and follows no
    redirect.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pools: dict[Origin, _Pool] = {}
        self._tls: ssl.SSLContext | None = None

    def send(
        self, target: TargetRuntime, payload: bytes, exchange: Exchange, connect_s: float
    ) -> _Connection | _Connecting:
        pool = self._pools.get(target.origin)
        if pool is None:
            pool = self._pools[target.origin] = _Pool(target.origin, self._context(target.origin[0]), self._now)
        return pool.send(payload, exchange, connect_s)

    def prune(self) -> None:
        """Close connections that have been idle too long. Call it about once a second."""
        now = self._now()
        for pool in self._pools.values():
            pool.prune(now)

    def close(self) -> None:
        """Close every connection; exchanges under way report nothing."""
        for pool in self._pools.values():
            pool.close()

    def _context(self, scheme: str) -> ssl.SSLContext | None:
        if scheme != "https":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls
