"""A worker that speaks the plane and a few words of HTTP, as small as the supervisor's tests allow.

``GET /``         its pid and snapshot version          ``GET /crash``   the process dies
``GET /slow/N``   answers after N milliseconds          ``GET /shared``  what it heard from other workers, as JSON
``GET /renew/N``  asks for the credential N             ``GET /told``    credentials and conditions it was told, as JSON

``FAKE_WORKER`` in the environment makes it misbehave: ``dies`` before it is ready, ``refuses`` every snapshot, ``picky``
refuses all but version 1, ``noise`` writes garbage on its plane.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

from trimaran.dispatch.plane import (
    Apply,
    Conditions,
    Drain,
    Drained,
    Hello,
    Message,
    PlaneProtocol,
    Ready,
    Refused,
    Renew,
    Renewed,
    Report,
    Shared,
    attach,
)
from trimaran.telemetry.metrics import RoadMetrics

BEHAVIOUR = os.environ.get("FAKE_WORKER", "")


class FakeWorker:
    def __init__(self, index: int, listener: socket.socket) -> None:
        self.index = index
        self.listener = listener
        self.metrics = RoadMetrics()
        self.version = 0
        self.heard: dict[str, Any] = {}
        self.told: list[list[str]] = []
        self.running = 0
        self.draining = False
        self.server: asyncio.Server | None = None
        self.plane = PlaneProtocol(self.on_message, lambda _: self.drain())
        self.ended = asyncio.Event()

    async def run(self, plane_fd: int) -> None:
        await attach(socket.socket(fileno=plane_fd), self.plane)
        if BEHAVIOUR == "dies":
            os._exit(1)
        if BEHAVIOUR == "noise":
            self.plane.send_frame(b"\x00\x00\x00\x01\xc1")
        self.plane.send(Hello(self.index, os.getpid()))
        self.server = await asyncio.start_server(self.serve, sock=self.listener)
        reports = asyncio.create_task(self.report_often())
        await self.ended.wait()
        reports.cancel()
        self.report()
        self.plane.send(Drained())
        self.plane.close()
        await asyncio.sleep(0)

    def on_message(self, message: Message) -> None:
        if isinstance(message, Apply):
            self.take(message)
        elif isinstance(message, Shared):
            self.heard[str(message.worker)] = message.payload
        elif isinstance(message, Renewed):
            self.told.append([message.name, *message.credential.parts])
        elif isinstance(message, Conditions):
            self.told += [[each.key, each.level, each.reason] for each in message.conditions]
        elif isinstance(message, Drain):
            self.drain()

    def take(self, message: Apply) -> None:
        version = message.snapshot.version
        if BEHAVIOUR == "refuses" or (BEHAVIOUR == "picky" and version > 1):
            self.plane.send(Refused(version, f"version {version} is not to my taste"))
            return
        self.version = version
        self.metrics.follow(message.snapshot)
        self.plane.send(Ready(version))

    def drain(self) -> None:
        self.draining = True
        if self.server is not None:
            self.server.close()
        if not self.running:
            self.ended.set()

    async def report_often(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.report()

    def report(self) -> None:
        seen = [0, 2, 1, 0.0, 0, False, 0.0, -1.0, 0, 0.0, 0, 0.0]  # an open circuit, as routing exports it
        shared = {"worker": self.index, "targets": {"openai/a": seen}, "pid": os.getpid()}
        self.plane.send(Report(self.index, self.metrics.export(), shared, self.running))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.running += 1
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if path == "/crash":
            os._exit(3)
        if path.startswith("/slow/"):
            await asyncio.sleep(int(path.rpartition("/")[2]) / 1000)
        if path.startswith("/renew/"):
            self.plane.send(Renew(path.rpartition("/")[2]))
        answer = {"pid": os.getpid(), "version": self.version, "heard": self.heard, "told": self.told}
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        self.metrics.observe("chat", "openai/a", 200, False, None, 0.01, 1, 1, 1)
        await writer.drain()
        writer.close()
        self.running -= 1
        if self.draining and not self.running:
            self.ended.set()


async def main() -> None:
    worker, listen_fd, plane_fd = (int(each) for each in sys.argv[1:4])
    await FakeWorker(worker, socket.socket(fileno=listen_fd)).run(plane_fd)


asyncio.run(main())
