"""The load generator: ``python -m bench.load``, a process of its own, told what to do by one JSON line on stdin.

Raw protocol, request bytes made beforehand, and the ordinary answer recognised by one comparison of its whole body; the
parser comes in only when an answer arrives in pieces or differs. Each answer is checked: status, body, and for a stream
the number of content chunks, the end marker and the end of the body. What is wrong is counted, never averaged away.

Dialogue with the harness: it says ``ready`` after warming up and waits for a line, so that the harness can read the
proxy's CPU clock between the two; then it works and prints its result as JSON. At the end of the time no new request
is sent and those on their way are awaited: what was counted is what the CPU was spent on.
"""

from __future__ import annotations

import asyncio
import sys
import time

import httptools
import msgspec
import uvloop

from bench.arithmetic import percentile
from bench.wire import CHUNK_WORD, CONTENT_MARK

__all__ = ["Connection", "Job", "Result", "Run", "Tally", "main"]

_WORD = CHUNK_WORD.encode()
_DRAIN_S = 60.0
"""How long the answers on their way are awaited: a server far behind must still answer them."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one run does. ``rate`` 0 is a closed loop; ``per_connection`` 0 means by time only.

    ``exact`` is the body every unary answer must have, byte for byte; empty where a proxy writes its own JSON, and then
    the content must be found in it. ``chunks`` > 0 means that answers are streams of so many content chunks.
    """

    host: str
    port: int
    request: bytes
    connections: int
    warm_request: bytes = b""
    exact: bytes = b""
    chunks: int = 0
    warm_chunks: int = 0
    seconds: float = 0.0
    warm_seconds: float = 0.5
    rate: float = 0.0
    per_connection: int = 0


class Result(msgspec.Struct, frozen=True):
    """What came back in one phase. Latencies in microseconds: of whole answers, and of their first byte.

    ``unsent``: at a fixed rate, requests for which no connection was free because the server was behind.
    """

    completed: int
    chunks: int
    failed: int
    resent: int
    unsent: int
    reasons: dict[str, int]
    elapsed_s: float
    latency_us: dict[str, float]
    first_us: dict[str, float]


class Tally:
    """Counts while a phase runs. Times in nanoseconds."""

    def __init__(self) -> None:
        self.completed = 0
        self.chunks = 0
        self.failed = 0
        self.resent = 0
        self.unsent = 0
        self.reasons: dict[str, int] = {}
        self.latency_ns: list[int] = []
        self.first_ns: list[int] = []

    def fail(self, reason: str) -> None:
        self.failed += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def result(self, elapsed_s: float) -> Result:
        return Result(
            self.completed,
            self.chunks,
            self.failed,
            self.resent,
            self.unsent,
            self.reasons,
            elapsed_s,
            {f"p{p}": percentile(self.latency_ns, p) / 1000 for p in (50, 99)},
            {f"p{p}": percentile(self.first_ns, p) / 1000 for p in (50, 99)},
        )


class Connection(asyncio.Protocol):
    """One client connection: at most one request on its way."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._ok_end = b"\r\n\r\n" + run.job.exact
        self._parser: httptools.HttpResponseParser | None = None
        self._body = bytearray()
        self._sent_ns = 0
        self._first_ns = 0
        self._served = 0
        self._done = False
        self._keep = True
        self.busy = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it, once it is not busy."""
        return self.transport is not None and not self.transport.is_closing()

    def send(self) -> None:
        """Send the phase's request; the connection must not be busy."""
        self.busy = True
        self._first_ns = 0
        self._sent_ns = time.perf_counter_ns()
        self.transport.write(self._run.request)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        exact = self._run.exact
        if exact and self._parser is None and data.startswith(b"HTTP/1.1 200 ") and data.endswith(self._ok_end):
            self._first_ns = time.perf_counter_ns()
            self._finish("")
            return
        if not self._first_ns:
            self._first_ns = time.perf_counter_ns()
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
            self._body.clear()
            self._done = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._finish(f"unreadable answer: {error}")
            self.transport.abort()  # type: ignore[union-attr]
            return
        if self._done:
            self._judge()

    def on_headers_complete(self) -> None:
        # Asked now: after the end of the message the parser has forgotten it.
        self._keep = self._parser.should_keep_alive()  # type: ignore[union-attr]

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._done = True

    def _judge(self) -> None:
        parser, body = self._parser, self._body
        status = parser.get_status_code()  # type: ignore[union-attr]
        self._parser = None
        chunks = self._run.chunks
        wrong = ""
        if status != 200:
            wrong = f"status {status}: {bytes(body[:160])!r}"
        elif chunks:
            found = body.count(_WORD)
            if found != chunks:
                wrong = f"{found} of {chunks} chunks"
            elif not body.rstrip().endswith(b"data: [DONE]"):
                wrong = "no end marker"
        elif self._run.exact and bytes(body) != self._run.exact:
            wrong = f"other body: {bytes(body[:160])!r}"
        elif CONTENT_MARK not in body:
            wrong = f"content missing: {bytes(body[:160])!r}"
        if not self._keep:
            self.transport.close()  # type: ignore[union-attr]
        self._finish(wrong)

    def _finish(self, wrong: str) -> None:
        self.busy = False
        self._served += 1
        tally = self._run.tally
        if wrong:
            tally.fail(wrong)
        else:
            tally.completed += 1
            tally.chunks += self._run.chunks
            tally.latency_ns.append(time.perf_counter_ns() - self._sent_ns)
            tally.first_ns.append(self._first_ns - self._sent_ns)
        self._run.finished(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.busy:
            self.busy = False
            # A kept-alive connection may be closed just as we write: clients send again, and so do we.
            if self._served and not self._first_ns:
                self._run.tally.resent += 1
                self._run.reconnect(again=True)
                return
            self._run.tally.fail(f"connection lost: {exc!r}")
        self._run.reconnect(again=False)


class Run:
    """All connections of one job, through its phases: warm up, wait for the word, measure."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._loop = asyncio.get_running_loop()
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = False
        self._closed_loop = True
        self._rounds: dict[Connection, int] = {}
        self._idle = asyncio.Event()
        self._next = 0
        self.begin(warm=True)

    def begin(self, warm: bool) -> None:
        """Start counting anew, for the warm-up or for the run that counts."""
        self.tally = Tally()
        self.request = (self.job.warm_request if warm else b"") or self.job.request
        self.chunks = self.job.warm_chunks if warm else self.job.chunks
        self.exact = b"" if self.chunks else self.job.exact
        self._limit = 0 if warm else self.job.per_connection
        self._rounds = dict.fromkeys(self._connections, 0)

    async def connect(self) -> None:
        for _ in range(self.job.connections):
            self.adopt(await self._open())

    def adopt(self, connection: Connection) -> None:
        """Let ``connection`` take part."""
        self._connections.append(connection)

    def close(self) -> None:
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.abort()
        self._connections.clear()

    async def _open(self) -> Connection:
        _transport, connection = await self._loop.create_connection(
            lambda: Connection(self), self.job.host, self.job.port
        )
        return connection

    def reconnect(self, again: bool) -> None:
        """Replace the connections that are gone; with ``again`` the new one repeats the request that was lost."""
        for gone in [c for c in self._connections if c.transport is None]:
            self._connections.remove(gone)
            task = self._loop.create_task(self._replace(self._rounds.pop(gone, 0), again))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._check_idle()

    async def _replace(self, done: int, again: bool) -> None:
        try:
            connection = await self._open()
        except OSError as error:
            self.tally.fail(f"no connection: {error}")
            return
        self._connections.append(connection)
        self._rounds[connection] = done
        wanted = self._sending and self._closed_loop and (not self._limit or done < self._limit)
        if again or wanted:
            connection.send()

    def finished(self, connection: Connection) -> None:
        """Called after each answer: the closed loop's next request, or the end."""
        if self._sending and self._closed_loop:
            done = self._rounds[connection] = self._rounds.get(connection, 0) + 1
            if connection.usable and (not self._limit or done < self._limit):
                connection.send()
                return
        self._check_idle()

    def _check_idle(self) -> None:
        if not any(c.busy for c in self._connections):
            self._idle.set()

    async def _drain(self) -> None:
        self._idle.clear()
        self._check_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), _DRAIN_S)
        except TimeoutError:
            for connection in self._connections:
                if connection.busy:
                    self.tally.fail("no answer in time")

    async def warm(self) -> None:
        await self._closed(self.job.warm_seconds)

    async def measure(self) -> Result:
        self.begin(warm=False)
        start = time.perf_counter()
        if self.job.rate:
            await self._fixed_rate()
        else:
            await self._closed(self.job.seconds)
        return self.tally.result(time.perf_counter() - start)

    async def _closed(self, seconds: float) -> None:
        self._sending, self._closed_loop = True, True
        self._idle.clear()
        for connection in self._connections:
            connection.send()
        if not self._limit:
            await asyncio.sleep(seconds)
            self._sending = False
        await self._drain()
        self._sending = False

    async def _fixed_rate(self) -> None:
        self._sending, self._closed_loop = True, False
        period = 1 / self.job.rate
        start = self._loop.time()
        for number in range(int(self.job.rate * self.job.seconds)):
            delay = start + number * period - self._loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            self._send_next()
        self._sending = False
        await self._drain()

    def _send_next(self) -> None:
        for _ in self._connections:
            self._next = (self._next + 1) % len(self._connections)
            connection = self._connections[self._next]
            if connection.usable and not connection.busy:
                connection.send()
                return
        self.tally.unsent += 1


async def _work(job: Job) -> None:
    loop = asyncio.get_running_loop()
    run = Run(job)
    await run.connect()
    await run.warm()
    print("ready", flush=True)
    if await loop.run_in_executor(None, sys.stdin.readline):
        print(msgspec.json.encode(await run.measure()).decode(), flush=True)


def main() -> None:
    uvloop.run(_work(msgspec.json.decode(sys.stdin.readline(), type=Job)))


if __name__ == "__main__":
    main()
