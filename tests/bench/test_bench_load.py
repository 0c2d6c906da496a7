"""The load generator against the benchmark's own upstream, and against answers that are wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from bench.load import Connection, Job, Run
from bench.upstream import PERIOD_MS, Pacer, Upstream
from bench.wire import ANSWER_BYTES, answer_body, answer_head, chat_request, stream_events

HEADERS = (("content-type", "application/json"),)


class StubTransport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def job(**changes: Any) -> Job:
    return Job(**({"host": "127.0.0.1", "port": 1, "request": b"r", "connections": 1} | changes))


async def one_connection(**changes: Any) -> tuple[Run, Connection, StubTransport]:
    run = Run(job(**changes))
    run.begin(warm=False)
    connection, transport = Connection(run), StubTransport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    connection.send()
    return run, connection, transport


def unary(body: bytes = answer_body(), status: bytes = b"200 OK") -> bytes:
    return answer_head("application/json", len(body)).replace(b"200 OK", status, 1) + body


def stream(chunks: int, end: bool = True) -> bytes:
    role, content, last = stream_events(include_usage=False)
    closing = last if end else b"0\r\n\r\n"
    return answer_head("text/event-stream", None) + role + content * chunks + closing


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_an_answer_in_pieces_of_any_size_is_one_answer(size: int) -> None:
    run, connection, _ = await one_connection(exact=answer_body())
    answer = unary()
    for start in range(0, len(answer), size):
        connection.data_received(answer[start : start + size])
    assert (run.tally.completed, run.tally.failed) == (1, 0)
    assert not connection.busy


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (unary(status=b"503 Service Unavailable"), "status 503"),
        (unary(answer_body(ANSWER_BYTES - 1)), "other body"),
        (b"HTTP/1.1 200 OK\r\nno-colon\r\n\r\n", "unreadable answer"),
    ],
)
async def test_a_wrong_unary_answer_is_a_failure(answer: bytes, reason: str) -> None:
    run, connection, _ = await one_connection(exact=answer_body())
    connection.data_received(answer)
    assert run.tally.completed == 0
    assert reason in next(iter(run.tally.reasons))


async def test_a_rewritten_answer_must_still_hold_the_content() -> None:
    run, connection, _ = await one_connection()
    connection.data_received(unary(b'{"choices":[]}'))
    assert "content missing" in next(iter(run.tally.reasons))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(stream(4), "4 of 5 chunks"), (stream(6), "6 of 5 chunks"), (stream(5, end=False), "no end marker")],
)
async def test_a_stream_that_lost_something_is_a_failure(answer: bytes, reason: str) -> None:
    run, connection, _ = await one_connection(chunks=5)
    connection.data_received(answer)
    assert run.tally.chunks == 0
    assert reason in next(iter(run.tally.reasons))


async def test_a_whole_stream_counts_its_chunks() -> None:
    run, connection, _ = await one_connection(chunks=5)
    connection.data_received(stream(5))
    assert (run.tally.completed, run.tally.chunks, run.tally.failed) == (1, 5, 0)


async def test_a_connection_lost_while_waiting_is_a_failure() -> None:
    run, connection, _ = await one_connection()
    connection.connection_lost(None)
    assert "connection lost" in next(iter(run.tally.reasons))


async def test_the_connection_is_closed_when_the_server_says_so() -> None:
    run, connection, transport = await one_connection()
    connection.data_received(unary().replace(b"Connection: keep-alive", b"Connection: close"))
    assert run.tally.completed == 1
    assert transport.closed


@pytest.mark.parametrize("kind", ["", "burst"])
async def test_generator_and_upstream_agree(kind: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(Pacer(loop)), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = chat_request(HEADERS, kind, 5 if kind else 0).render("127.0.0.1", port)
    exact = b"" if kind else answer_body()
    run = Run(job(port=port, request=request, connections=3, exact=exact, chunks=5 if kind else 0, per_connection=4))
    await run.connect()
    result = await run.measure()
    run.close()
    server.close()
    await server.wait_closed()
    assert (result.completed, result.failed, result.resent, result.reasons) == (12, 0, 0, {})
    assert result.chunks == (60 if kind else 0)
    assert 0 < result.first_us["p50"] <= result.latency_us["p50"] <= result.latency_us["p99"]


def test_a_job_survives_its_trip() -> None:
    sent = job(request=b"\x00\xff\r\n", exact=answer_body(), rate=100.0)
    assert msgspec.json.decode(msgspec.json.encode(sent), type=Job) == sent


class VirtualLoop:
    """Just enough of a loop for the pacer: its time moves when we say so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> None:
        self.due.append((self.now + delay, callback))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        ready, self.due = self.due, []
        for _when, callback in ready:
            callback()


class StubStream:
    def __init__(self) -> None:
        self.chunks = 0
        self.ended = False

    def send_chunk(self) -> None:
        self.chunks += 1

    def send_end(self) -> None:
        self.ended = True


def test_each_stream_gets_one_chunk_in_each_period_and_then_its_end() -> None:
    loop = VirtualLoop()
    pacer = Pacer(loop)  # type: ignore[arg-type]
    streams = [StubStream() for _ in range(2 * PERIOD_MS)]
    for each in streams:
        pacer.add(each, 3)  # type: ignore[arg-type]
    for period in range(1, 4):
        for _ in range(PERIOD_MS):
            loop.advance(0.001)
        # The first of a slot may be served once more: slots begin at different milliseconds.
        assert all(each.chunks in (period, min(3, period + 1)) for each in streams)
        assert not any(each.ended for each in streams) or period == 3
    for _ in range(PERIOD_MS + 1):
        loop.advance(0.001)
    assert all(each.ended and each.chunks == 3 for each in streams)
    loop.advance(0.001)
    assert not loop.due, "the ticker runs on without streams"


def test_a_late_ticker_catches_up() -> None:
    loop = VirtualLoop()
    pacer = Pacer(loop)  # type: ignore[arg-type]
    late = StubStream()
    pacer.add(late, 100)  # type: ignore[arg-type]
    loop.advance(0.0505)
    assert late.chunks in (5, 6)


async def test_a_server_that_is_behind_leaves_requests_unsent_and_not_wrong() -> None:
    run, connection, transport = await one_connection(rate=1000.0, seconds=0.002)
    connection.data_received(unary())
    run.adopt(connection)
    measuring = asyncio.create_task(run.measure())
    while len(transport.written) < 2:
        await asyncio.sleep(0)
    await asyncio.sleep(0.003)
    connection.data_received(unary())
    result = await measuring
    assert (result.completed, result.unsent, result.failed) == (1, 1, 0)
