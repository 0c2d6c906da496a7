"""HTTP from targets, through the connection that reads it: one end for each exchange, and nobody else's bytes."""

from __future__ import annotations

import asyncio
from random import Random

from fuzz.loop import wait_for
from fuzz.mutate import bend_bytes, pieces
from trimaran.dispatch.http1 import _Connection, _Pool
from trimaran.errors import AttemptError

__all__ = ["run"]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_ANSWERS = (
    _HEAD + b"Content-Length: 5\r\n\r\nhello",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n",
    _HEAD + b"Connection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\n" + _HEAD + b"Content-Length: 2\r\n\r\nok",
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\n\r\n",
)


_MARKERS = (b"alpha", b"bravo", b"gamma")
"""One for each exchange, in place of ``hello``."""


class _Exchange:
    def __init__(self) -> None:
        self.ends = 0
        self.heads = 0
        self.body = b""

    def on_sent(self) -> None:
        """It is on its way."""

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        assert not self.ends
        self.heads += 1

    def on_data(self, data: bytes) -> None:
        assert self.heads == 1 and not self.ends
        self.body += data

    def on_end(self) -> None:
        self.ends += 1

    def on_error(self, error: AttemptError) -> None:
        self.ends += 1


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The request goes nowhere."""

    def abort(self) -> None:
        self.closed = True

    close = abort

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return True


def run(random: Random) -> str:
    """Up to three exchanges on one connection; how many of them had an answer's head."""
    return wait_for(_run(random))


async def _run(random: Random) -> str:
    pool = _Pool(("http", "127.0.0.1", 1), None, lambda: 0.0)
    connection = _Connection(pool)
    transport = _Transport()
    connection.connection_made(transport)
    pool.release(connection)
    exchanges: list[_Exchange] = []
    for number in range(random.randrange(1, 4)):
        if not connection.is_open() or connection not in pool._free:
            break
        exchange = _Exchange()
        exchanges.append(exchange)
        pool.send(b"", exchange, 1.0)
        data = random.choice(_ANSWERS).replace(b"hello", _MARKERS[number])
        if random.random() < 0.7:
            data = bend_bytes(random, data, http=True)
        for piece in pieces(random, data):
            if transport.closed or not piece:
                break
            connection.data_received(piece)
        if not exchange.ends:
            break
    if connection.transport is not None:
        connection.connection_lost(None if random.random() < 0.5 else ConnectionResetError())
    for number, exchange in enumerate(exchanges):
        assert exchange.ends == 1, f"exchange {number} ended {exchange.ends} times"
        others = [marker for marker in _MARKERS if marker != _MARKERS[number]]
        assert not any(other in exchange.body for other in others), "an exchange got another one's bytes"
    return str(sum(exchange.heads for exchange in exchanges))
