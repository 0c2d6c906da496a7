"""The upstream that every proxy is measured against: ``python -m bench.upstream``.

It answers from bytes made at start and parses with httptools without header callbacks, so that on a shared machine it
takes as little as it can. Two plain ports (two targets) and, given a certificate, two TLS ports. The ports it got are
its first line on stdout, as JSON.

Paced streams of all connections hang on one ticker with ten slots, one for each millisecond of the 10 ms period: they
are spread over the period as real ones are, and 128 of them cost one timer and not 128.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import sys
from collections.abc import Callable

import httptools
import uvloop

from bench.wire import answer_body, answer_head, message_body, message_events, stream_events

__all__ = ["PERIOD_MS", "Pacer", "Upstream", "main"]

PERIOD_MS = 10
"""One chunk in each period: 100 chunks/s for each stream."""

_ORDER = re.compile(rb"bench:(paced|burst):(\d+)")
_UNARY = answer_head("application/json", len(answer_body())) + answer_body()
_MESSAGE = answer_head("application/json", len(message_body())) + message_body()
_STREAM_HEAD = answer_head("text/event-stream; charset=utf-8", None)
_EVENTS = {include: stream_events(include) for include in (False, True)}
_MESSAGE_EVENTS = message_events()

_MODELS = b'{"object":"list","data":[{"id":"bench-model","object":"model","created":1793620800,"owned_by":"bench"}]}'
# What sglang-router asks of a worker. No model or tokenizer path: it would try to fetch that from a hub.
_ABOUT = (
    b'{"status":"ok","served_model_name":"bench-model","model_id":"bench-model","is_generation":true,"version":"0"}'
)


class Pacer:
    """Sends one chunk to each stream in each period, a tenth of the streams in each millisecond."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: list[dict[Upstream, int]] = [{} for _ in range(PERIOD_MS)]
        self._next_ms = 0
        self._origin_s = 0.0
        self._running = False

    def add(self, stream: Upstream, chunks: int) -> None:
        min(self._slots, key=len)[stream] = chunks
        if not self._running:
            self._running = True
            self._origin_s = self._loop.time()
            self._next_ms = 0
            self._loop.call_later(0.001, self._tick)

    def remove(self, stream: Upstream) -> None:
        for slot in self._slots:
            slot.pop(stream, None)

    def _tick(self) -> None:
        now_ms = int((self._loop.time() - self._origin_s) * 1000)
        while self._next_ms <= now_ms:
            self._serve(self._slots[self._next_ms % PERIOD_MS])
            self._next_ms += 1
        if any(self._slots):
            self._loop.call_later(0.001, self._tick)
        else:
            self._running = False

    def _serve(self, slot: dict[Upstream, int]) -> None:
        for stream, left in list(slot.items()):
            if left:
                slot[stream] = left - 1
                stream.send_chunk()
            else:
                del slot[stream]
                stream.send_end()


class Upstream(asyncio.Protocol):
    """One connection. Requests on it come one after the other; none of the peers pipelines."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._url = b""
        self._events = _EVENTS[False]
        self._write: Callable[[bytes], None] = lambda data: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._write = transport.write  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self._pacer.remove(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        messages = self._url.endswith(b"/messages")
        if not messages and not self._url.endswith(b"/chat/completions"):
            self._write_facts()
            return
        order = _ORDER.search(body)
        if order is None:
            self._write(_MESSAGE if messages else _UNARY)
        else:
            self._start_stream(body, order[1] == b"paced", int(order[2]))

    def _write_facts(self) -> None:
        body = _MODELS if self._url.endswith(b"/models") else _ABOUT
        self._write(answer_head("application/json", len(body)) + body)

    def _start_stream(self, body: bytes, paced: bool, chunks: int) -> None:
        include_usage = re.search(rb'"include_usage"\s*:\s*true', body) is not None
        self._events = _MESSAGE_EVENTS if self._url.endswith(b"/messages") else _EVENTS[include_usage]
        role, content, end = self._events
        if paced:
            self._write(_STREAM_HEAD + role)
            self._pacer.add(self, chunks)
        else:
            self._write(_STREAM_HEAD + role + content * chunks + end)

    def send_chunk(self) -> None:
        self._write(self._events[1])

    def send_end(self) -> None:
        self._write(self._events[2])


async def _serve(host: str, certificate: str, key: str) -> None:
    loop = asyncio.get_running_loop()
    pacer = Pacer(loop)
    tls: list[ssl.SSLContext | None] = [None, None]
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        tls += [context, context]
    servers = [await loop.create_server(lambda: Upstream(pacer), host, 0, ssl=context, backlog=512) for context in tls]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps({"plain": ports[:2], "tls": ports[2:]}), flush=True)
    # The parent holds our stdin: when it dies, however it dies, we end too.
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description="The benchmark's upstream. Ends when its stdin closes.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--certificate", default="", help="PEM file; adds two TLS ports")
    parser.add_argument("--key", default="", help="PEM file")
    options = parser.parse_args()
    uvloop.run(_serve(options.host, options.certificate, options.key))


if __name__ == "__main__":
    main()
