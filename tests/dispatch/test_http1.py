"""Connections to targets over loopback sockets: what is reported, and when a connection may be used again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from trimaran.dispatch.http1 import IDLE_S, HttpUpstream
from trimaran.errors import AttemptError, ConnectFailed, ConnectionReset, MalformedAnswer, StreamCut

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Exchange:
    """Collects what is reported."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.error: AttemptError | None = None
        self.over = asyncio.Event()

    def on_sent(self) -> None:
        self.log.append("sent")

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.log.append("head")
        self.status, self.headers = status, dict(headers)

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.log.append("end")
        self.over.set()

    def on_error(self, error: AttemptError) -> None:
        self.log.append("error")
        self.error = error
        self.over.set()


class Target:
    """A server that answers each request with the next of its answers; ``None`` closes the connection."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.connections = 0
        self.closing_after: set[int] = set()
        self.writers: list[asyncio.StreamWriter] = []
        self.now = 0.0
        self.upstream = HttpUpstream(lambda: self.now)
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while self.answers:
                await reader.readuntil(b"\r\n\r\n")
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                if answer.startswith(b"CLOSE "):
                    break
                await writer.drain()
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    def send(self, scheme: str = "http", connect_s: float = 2.0) -> tuple[Exchange, Any]:
        exchange = Exchange()
        target: Any = SimpleNamespace(origin=(scheme, "127.0.0.1", self.port))
        handle = self.upstream.send(target, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", exchange, connect_s)
        return exchange, handle

    async def ask(self, scheme: str = "http") -> Exchange:
        exchange, _ = self.send(scheme)
        await asyncio.wait_for(exchange.over.wait(), 5)
        await asyncio.sleep(0)
        return exchange


@asynccontextmanager
async def target(*answers: bytes | None) -> AsyncIterator[Target]:
    it = Target()
    it.answers = list(answers)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        it.upstream.close()
        for writer in it.writers:
            writer.close()
        server.close()
        await asyncio.sleep(0.01)


async def test_a_complete_answer_frees_its_connection() -> None:
    async with target(OK, OK, OK) as it:
        for _ in range(3):
            exchange = await it.ask()
            assert exchange.log == ["sent", "head", "end"]
            assert (exchange.status, exchange.body) == (200, b"ok")
        assert it.connections == 1


async def test_two_at_once_take_two_connections() -> None:
    async with target(OK, OK, OK, OK) as it:
        await asyncio.gather(it.ask(), it.ask())
        await asyncio.gather(it.ask(), it.ask())
        assert it.connections == 2


@pytest.mark.parametrize(
    "surplus",
    [OK + b"HTTP/1.1 200 OK\r\n", OK + OK, OK + b"x"],
    ids=["the start of an answer", "a whole answer", "rubbish"],
)
async def test_a_connection_with_surplus_bytes_is_never_used_again(surplus: bytes) -> None:
    async with target(surplus, OK) as it:
        first = await it.ask()
        assert first.body == b"ok" or isinstance(first.error, MalformedAnswer)
        second = await it.ask()
        assert second.body == b"ok"
        assert it.connections == 2


async def test_bytes_on_an_idle_connection_end_it() -> None:
    async with target(OK, OK) as it:
        await it.ask()
        it.writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await it.writers[0].drain()
        await asyncio.sleep(0.02)
        assert (await it.ask()).body == b"ok"
        assert it.connections == 2


async def test_a_connection_the_target_wants_closed_is_not_kept() -> None:
    async with target(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", OK) as it:
        await it.ask()
        await it.ask()
        assert it.connections == 2


async def test_a_declared_length_that_is_not_reached_is_a_cut_whatever_the_target_wants_of_the_connection() -> None:
    async with target(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\nhalf", None) as it:
        exchange, _ = it.send()
        await asyncio.sleep(0.02)
        it.writers[0].close()
        await asyncio.wait_for(exchange.over.wait(), 5)
        assert isinstance(exchange.error, StreamCut) and exchange.log[-1] == "error"


async def test_an_idle_connection_grows_old() -> None:
    async with target(OK, OK) as it:
        await it.ask()
        it.now += IDLE_S + 1
        it.upstream.prune()
        await asyncio.sleep(0.02)
        await it.ask()
        assert it.connections == 2


async def test_a_body_until_the_connection_closes_is_whole() -> None:
    async with target(b"HTTP/1.1 200 OK\r\n\r\nall of it", None) as it:
        it.answers.append(None)
        exchange, _ = it.send()
        await asyncio.sleep(0.02)
        it.writers[0].close()
        await asyncio.wait_for(exchange.over.wait(), 5)
        assert exchange.log[-1] == "end" and exchange.body == b"all of it"


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_a_body_that_breaks_off_is_cut(cut: bytes) -> None:
    async with target(cut) as it:
        exchange, _ = it.send()
        await asyncio.sleep(0.02)
        it.writers[0].close()
        await asyncio.wait_for(exchange.over.wait(), 5)
        assert exchange.body == b"half"
        assert isinstance(exchange.error, StreamCut)


async def test_a_close_before_the_head_is_a_reset() -> None:
    async with target(None) as it:
        exchange = await it.ask()
        assert exchange.log == ["sent", "error"]
        assert isinstance(exchange.error, ConnectionReset)


async def test_an_interim_answer_is_not_the_answer() -> None:
    async with target(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, OK) as it:
        exchange = await it.ask()
        assert (exchange.status, exchange.body, exchange.log) == (200, b"ok", ["sent", "head", "end"])
        assert b"Link" not in exchange.headers
        await it.ask()
        assert it.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_malformed(answer: bytes) -> None:
    async with target(answer, OK) as it:
        exchange = await it.ask()
        assert isinstance(exchange.error, MalformedAnswer)
        assert (await it.ask()).body == b"ok"


async def test_nobody_listening_means_nothing_was_sent() -> None:
    it = Target()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        it.port = unused.getsockname()[1]
        exchange = await it.ask()
    assert exchange.log == ["error"]
    assert isinstance(exchange.error, ConnectFailed) and not exchange.error.sent


async def test_plain_http_behind_https_fails_as_a_connection() -> None:
    async with target(b"HTTP/1.1 400 Bad Request\r\n\r\n") as it:
        exchange = await it.ask("https")
        assert isinstance(exchange.error, ConnectFailed)


async def test_an_aborted_exchange_reports_nothing_more() -> None:
    async with target(OK, OK) as it:
        exchange, handle = it.send()
        handle.abort()
        handle.abort()
        await asyncio.sleep(0.02)
        assert exchange.log == []
        exchange, handle = it.send()
        await asyncio.sleep(0)
        await asyncio.wait_for(exchange.over.wait(), 5)
        handle.abort()


async def test_an_exchange_aborted_under_way_takes_its_connection_along() -> None:
    async with target(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", OK) as it:
        exchange, handle = it.send()
        for _ in range(100):
            await asyncio.sleep(0.005)
            if exchange.body:
                break
        handle.abort()
        await asyncio.sleep(0.02)
        assert exchange.log == ["sent", "head"]
        assert (await it.ask()).body == b"ok"
        assert it.connections == 2


async def test_a_paused_exchange_reads_nothing_until_resumed() -> None:
    async with target(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none") as it:
        exchange, handle = it.send()
        for _ in range(100):
            await asyncio.sleep(0.005)
            if exchange.body:
                break
        handle.pause()
        it.writers[0].write(b"two")
        await asyncio.sleep(0.02)
        assert exchange.body == b"one"
        handle.resume()
        await asyncio.wait_for(exchange.over.wait(), 5)
        assert exchange.body == b"onetwo"


async def test_a_connection_paused_at_the_end_of_an_answer_reads_the_next_one() -> None:
    async with target(OK, OK) as it:
        exchange, handle = it.send()
        exchange.on_data = lambda data: handle.pause()  # type: ignore[method-assign]
        await asyncio.wait_for(exchange.over.wait(), 5)
        assert (await it.ask()).body == b"ok"
        assert it.connections == 1


async def test_a_host_that_no_name_can_be_fails_as_a_connection() -> None:
    upstream = HttpUpstream(lambda: 0.0)
    exchange = Exchange()
    nowhere: Any = SimpleNamespace(origin=("http", "a..b", 80))
    upstream.send(nowhere, b"", exchange, 2.0)
    await asyncio.wait_for(exchange.over.wait(), 5)
    assert isinstance(exchange.error, ConnectFailed)
    upstream.close()
