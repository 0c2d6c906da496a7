"""The main of one road worker: sockets and plane from the supervisor, requests until it says to drain.

The worker listens on a socket that the supervisor bound and keeps, and takes its snapshot over the plane. Three beats
run on its loop: limits ten times a second, a report to the supervisor four times a second, housekeeping once a second.
What budgets leave to it, it asks of the supervisor over the same plane.
When the plane closes the supervisor is gone, and the worker drains and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from trimaran.dispatch.dispatcher import TICK_S, Dispatcher
from trimaran.dispatch.http1 import HttpUpstream
from trimaran.dispatch.plane import (
    REPORT_INTERVAL_S,
    Apply,
    Conditions,
    Denied,
    Drain,
    Drained,
    Grant,
    Hello,
    Message,
    PlaneProtocol,
    Ready,
    Recall,
    Refused,
    Renew,
    Renewed,
    Report,
    Shared,
)
from trimaran.dispatch.purse import Purse
from trimaran.errors import TrimaranError
from trimaran.gateway.server import HttpServer
from trimaran.ledger.ids import IdSource
from trimaran.ledger.journal import JournalWriter
from trimaran.ledger.journal_watch import JournalWatch
from trimaran.routing import Shared as SharedState
from trimaran.routing import export_shared, learn
from trimaran.telemetry import RoadMetrics
from trimaran.types import Snapshot

__all__ = ["Worker", "main"]

ORPHAN_GRACE_S = 10.0
"""How long answers may run on after the supervisor is gone."""

BACKLOG = 2048


class Worker:
    """One road worker on one event loop."""

    def __init__(self, index: int, listener: socket.socket, journal_dir: Path) -> None:
        self._index = index
        self._listener = listener
        self._journal = JournalWriter(journal_dir, f"worker-{index}", patient=True)
        self._journal_watch = JournalWatch(self._journal)
        self._metrics = RoadMetrics()
        self._plane = PlaneProtocol(self._on_message, self._on_closed)
        self._ids = IdSource(index)
        self._purse = Purse(time.time_ns, self._plane.send)
        self._server: HttpServer | None = None
        self._upstream: HttpUpstream | None = None
        self._accepting: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._drain_by: float | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beats = 0

    async def run(self, plane: socket.socket) -> None:
        """Serve until drained."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._plane, sock=plane)
        # The first id is given away: all later ones of this life are greater, whatever the wall clock does.
        life = self._ids.next(time.time_ns() // 1_000_000)
        self._plane.send(Hello(self._index, os.getpid(), life, self._journal.life))
        loop.call_later(TICK_S, self._beat)
        try:
            await self._ended
        finally:
            self._close()

    # the plane

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Apply):
            self._apply(message.snapshot)
        elif isinstance(message, Shared):
            if self._server is not None:
                state = self._server.dispatcher.state
                now = self._server.dispatcher.now()
                learn(
                    state,
                    msgspec.convert({"targets": {}, **message.payload, "worker": message.worker}, SharedState),
                    now,
                )
        elif isinstance(message, Renewed | Conditions):
            self._on_upkeep(message)
        elif isinstance(message, Grant | Denied | Recall):
            self._purse.on_message(message)
        elif isinstance(message, Drain):
            self._drain(message.grace_s)

    def _on_upkeep(self, message: Renewed | Conditions) -> None:
        if self._server is None:
            return
        renewals, now = self._server.dispatcher.renewals, self._server.dispatcher.now()
        if isinstance(message, Renewed):
            renewals.on_credential(message.name, message.credential, now)
            return
        for condition in message.conditions:
            renewals.on_condition(condition, now)

    def _on_closed(self, error: Exception | None) -> None:
        self._purse.on_closed()
        self._drain(ORPHAN_GRACE_S)

    def _apply(self, snapshot: Snapshot) -> None:
        try:
            if self._server is None:
                self._start(snapshot)
                return
            self._server.apply(snapshot)
        except TrimaranError as error:
            self._plane.send(Refused(snapshot.version, error.message))
            return
        self._metrics.follow(snapshot)
        self._plane.send(Ready(snapshot.version))

    def _start(self, snapshot: Snapshot) -> None:
        self._upstream = upstream = HttpUpstream(asyncio.get_running_loop().time)
        dispatcher = Dispatcher(
            snapshot,
            upstream=upstream,
            journal=self._journal,
            metrics=self._metrics,
            worker=self._index,
            purse=self._purse,
            renew=lambda name: self._plane.send(Renew(name)),
        )
        self._metrics.follow(snapshot)
        self._server = HttpServer(dispatcher, self._ids, self._count_refusal)
        self._starting = asyncio.get_running_loop().create_task(self._listen(snapshot.version))

    async def _listen(self, version: int) -> None:
        assert self._server is not None
        loop = asyncio.get_running_loop()
        self._accepting = await loop.create_server(self._server, sock=self._listener, backlog=BACKLOG)
        # What exists now lives as long as the process: no collection needs to look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        self._plane.send(Ready(version))

    def _count_refusal(self, error: TrimaranError) -> None:
        self._metrics.observe("", "", error.status, False, None, 0.0, 0, 0, 0, 0)

    # beats

    def _beat(self) -> None:
        if self._ended.done():
            return
        loop = asyncio.get_running_loop()
        loop.call_later(TICK_S, self._beat)
        self._beats += 1
        server = self._server
        self._purse.tick(loop.time())
        if server is None:
            return
        if server.dispatcher.active or server.dispatcher.lingering:
            server.dispatcher.tick()
        if self._beats % round(REPORT_INTERVAL_S / TICK_S) == 0:
            self._report(server)
        if self._beats % round(1.0 / TICK_S) == 0:
            server.second()
            self._journal_watch.prepare()
            assert self._upstream is not None
            self._upstream.prune()
        if self._drain_by is not None and (not server.in_flight or loop.time() >= self._drain_by):
            self._end()

    def _report(self, server: HttpServer) -> None:
        plane = self._plane
        if not plane.open or plane.congested:
            return
        dispatcher = server.dispatcher
        self._metrics.in_flight = len(dispatcher.active)
        shared = export_shared(dispatcher.state, dispatcher.now())
        # What waits in memory is lost if this process dies now.
        used, lost = self._purse.report(), self._journal.lost + self._journal.backlog
        plane.send(Report(self._index, self._metrics.export(), shared, len(dispatcher.active), used, lost))

    # the end

    def _drain(self, grace_s: float) -> None:
        if self._drain_by is not None:
            self._drain_by = min(self._drain_by, asyncio.get_running_loop().time() + grace_s)
            return
        self._drain_by = asyncio.get_running_loop().time() + grace_s
        if self._accepting is not None:
            self._accepting.close()
        if self._server is None:
            self._end()
        else:
            self._server.drain()

    def _end(self) -> None:
        if self._ended.done():
            return
        if self._server is not None:
            self._server.dispatcher.abort()
            self._report(self._server)
        if self._plane.open:
            self._purse.close()
            self._plane.send(Drained())
            self._plane.close()
        self._ended.set_result(None)

    def _close(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        self._journal.close()


async def _run(index: int, listen_fd: int, plane_fd: int, journal_dir: Path) -> None:
    loop = asyncio.get_running_loop()
    worker = Worker(index, socket.socket(fileno=listen_fd), journal_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker._drain, ORPHAN_GRACE_S)
    await worker.run(socket.socket(fileno=plane_fd))


def main(argv: Sequence[str]) -> int:
    """Run one worker. Its arguments come from the supervisor, not from people."""
    parser = argparse.ArgumentParser(prog="trimaran-worker")
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--plane-fd", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    args = parser.parse_args(argv)
    uvloop.run(_run(args.worker, args.listen_fd, args.plane_fd, args.journal))
    return 0
