"""HTTP from clients, through the gateway's own connection, in process.

Two connections take turns on one server, so that bytes of one could end up at the other. Each request holds a marker that
the target repeats in its answer, with a number for the answer. An answer may only hold markers of the very request that it
answers, numbers come in order on their connection and nowhere else, and where nothing was bent each request has its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from random import Random

import httptools

from fuzz.loop import wait_for
from fuzz.mutate import bend_bytes, pieces
from fuzz.seeds import REQUESTS
from trimaran.dispatch.dispatcher import Dispatcher
from trimaran.dispatch.memory import MemoryJournal, NoMetrics
from trimaran.dispatch.ports import Exchange
from trimaran.dispatch.runtime import TargetRuntime
from trimaran.gateway.connection import Connection
from trimaran.gateway.server import HttpServer
from trimaran.ledger.ids import IdSource
from trimaran.types import ModelPolicy, ServerLimits, Snapshot, Target
from trimaran.wire import DIALECTS

__all__ = ["Clients"]

_MARKER = re.compile(rb"mark[0-9a-f]{12}")
_NUMBER = re.compile(rb"answer(\d{6})")
_CHATS = ("openai.chat", "openai.responses", "anthropic.messages")
_STATUSES = {200, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 502, 503, 504}
"""What a client may be told. 500 is none of them: it would be a mistake of ours."""


class _Handle:
    def abort(self) -> None:
        """The exchange is dropped."""

    def pause(self) -> None:
        """The client is slow."""

    def resume(self) -> None:
        """The client has caught up."""


class _Upstream:
    """Targets that wait to be told to answer."""

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, Exchange]] = []
        self.asked: dict[int, set[bytes]] = {}
        """The markers of the request that each answer is for."""

    def send(self, target: TargetRuntime, payload: bytes, exchange: Exchange, connect_s: float) -> _Handle:
        self.waiting.append((payload, exchange))
        exchange.on_sent()
        return _Handle()

    def answer(self) -> bool:
        """Let the oldest request be answered with the markers that stand in it."""
        if not self.waiting:
            return False
        payload, exchange = self.waiting.pop(0)
        number = len(self.asked) + 1
        self.asked[number] = set(_MARKER.findall(payload))
        text = b" ".join((*dict.fromkeys(_MARKER.findall(payload)), b"answer%06d" % number)).decode()
        exchange.on_head(200, {b"Content-Type": b"application/json"})
        if b'"stream":true' in payload or b'"stream": true' in payload:
            for delta, finish in (({"content": text}, None), ({}, "stop")):
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                choice = {"index": 0, "delta": delta, "finish_reason": finish}
                exchange.on_data(b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n")
            exchange.on_data(b"data: [DONE]\n\n")
        else:
            message = {"role": "assistant", "content": text}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            exchange.on_data(json.dumps({**whole, "choices": choices}).encode())
        exchange.on_end()
        return True


class _Transport:
    """What the connection writes, and whether it wrote after it closed."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after the end"
        self.out.append(data)

    def set_write_buffer_limits(self, high: int) -> None:
        """No buffer here."""

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Everything was read."""

    resume_reading = pause_reading


class _Judge:
    """Reads what a client got, as an HTTP client does."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.bodies: list[bytes] = []
        self._parts: list[bytes] = []
        self._open = False
        self._parser = httptools.HttpResponseParser(self)

    def read(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self) -> None:
        """The connection was closed in order: an answer without a length ends here."""
        if self._open:
            self.on_message_complete()

    def on_headers_complete(self) -> None:
        self._open = self._parser.get_status_code() >= 200

    def on_message_complete(self) -> None:
        self._open = False
        status = self._parser.get_status_code()
        if status >= 200:
            self.statuses.append(status)
            self.bodies.append(b"".join(self._parts))
        self._parts.clear()


class Clients:
    """A server on virtual ports, and connections to it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._upstream = _Upstream()
        target = Target("t/m", "t", "m", ("openai.chat", "openai.embeddings"), "http://127.0.0.1:1")
        snapshot = Snapshot(
            version=1,
            targets={"t/m": target},
            models={"chat": ModelPolicy("chat", "ordered", ("t/m",))},
            server=ServerLimits(max_body_bytes=20_000, max_header_bytes=8_000),
        )
        self._dispatcher = Dispatcher(
            snapshot, upstream=self._upstream, journal=MemoryJournal(), metrics=NoMetrics(), random=lambda: 0.5
        )
        self._server = HttpServer(self._dispatcher, IdSource(0, 1), lambda error: None)

    def run(self, random: Random) -> str:
        """Two connections with up to four requests each, bent; the statuses that the first one got."""
        try:
            return wait_for(self._run(random))
        except BaseException:
            # What it left behind would break the next one, too.
            self._start()
            raise

    async def _run(self, random: Random) -> str:
        server = self._server
        sides = [_Side(random, server) for _ in range(2)]
        while any(side.pending for side in sides):
            side = random.choice([side for side in sides if side.pending])
            side.send()
            if random.random() < 0.4:
                self._upstream.answer()
            if random.random() < 0.3:
                await asyncio.sleep(0)
        idle = 0
        while idle < 4:
            # A request behind another one is read a turn after that one's answer.
            idle = 0 if self._upstream.answer() else idle + 1
            await asyncio.sleep(0)
        seen = [side.end(random, self._upstream.asked) for side in sides]
        self._upstream.waiting.clear()
        self._upstream.asked.clear()
        self._dispatcher.lingering.clear()
        assert server.memory == 0, f"{server.memory} bytes are still counted"
        assert not server.connections and not self._dispatcher.active
        for own, other in (sides, sides[::-1]):
            assert not own.got & other.markers, "an answer holds another connection's bytes"
            assert not set(own.numbers) & set(other.numbers), "one answer went to two connections"
        return " ".join(map(str, seen[0])) or "nothing"


class _Side:
    """One client."""

    def __init__(self, random: Random, server: HttpServer) -> None:
        self.markers: set[bytes] = set()
        self.chats: list[bytes] = []
        """The marker of each request that a target answers."""
        self.numbers: list[int] = []
        self.got: set[bytes] = set()
        self._transport = _Transport()
        self._connection: Connection = server()
        self._connection.connection_made(self._transport)  # type: ignore[arg-type]
        data = b"".join(self._request(random) for _ in range(random.randrange(1, 5)))
        self.plain = random.random() < 0.15
        if not self.plain:
            data = bend_bytes(random, data, http=True)
        self.pending = pieces(random, data)

    def _request(self, random: Random) -> bytes:
        marker = f"mark{random.getrandbits(48):012x}"
        self.markers.add(marker.encode())
        if random.random() < 0.15:
            path = random.choice(("/healthz", "/v1/models", "/nothing"))
            return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Mark: {marker}\r\n\r\n".encode()
        self.chats.append(marker.encode())
        name = random.choice(_CHATS)
        seed = dict(REQUESTS[name][0], stream=random.random() < 0.5)
        text = json.dumps(seed).replace("hello", marker).encode()
        dialect = DIALECTS[name]
        head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % dialect.path
        if random.random() < 0.3:
            cut = random.randrange(len(text))
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (text[:cut], text[cut:]) if part)
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(text), text)

    def send(self) -> None:
        """The next piece, unless the server has hung up."""
        data = self.pending.pop(0)
        if not self._transport.closed:
            self._connection.data_received(data)

    def end(self, random: Random, asked: dict[int, set[bytes]]) -> list[int]:
        """Hang up, and judge what came: whole answers with known statuses, one after the other."""
        cut_short = not self._transport.closed and self._connection.busy
        self._connection.connection_lost(None if random.random() < 0.5 else ConnectionResetError())
        out = b"".join(self._transport.out)
        judge = _Judge()
        if out:
            judge.read(out)
        if self._transport.closed and b"\r\nTransfer-Encoding" not in out:
            judge.end()
        assert set(judge.statuses) <= _STATUSES, f"statuses {judge.statuses}"
        assert cut_short or not out or judge.statuses or out.startswith(b"HTTP/1.1 100"), f"no whole answer in {out!r}"
        self.got = set(_MARKER.findall(out))
        answered: list[set[bytes]] = []
        for body in judge.bodies:
            numbers = {int(number) for number in _NUMBER.findall(body)}
            assert len(numbers) <= 1, "an answer holds two answers of targets"
            for number in numbers:
                assert number > max(self.numbers, default=0), "answers came out of order, or one of them twice"
                self.numbers.append(number)
                answered.append(set(_MARKER.findall(body)))
                assert answered[-1] <= asked[number], "an answer holds what its request did not say"
        if self.plain:
            assert answered == [{marker} for marker in self.chats], "requests were mixed up"
        return judge.statuses
