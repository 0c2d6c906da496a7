"""The road workers together: started, told, listened to, restarted, drained.

The fleet is the only writer of its workers' state. It decides nothing about configuration: it is handed a snapshot and
sees that every worker, also one started later, gets it.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from trimaran.control.road_worker import RoadWorker, WorkerCommand, WorkerState
from trimaran.dispatch.plane import (
    REPORT_INTERVAL_S,
    Apply,
    Ask,
    Drain,
    Drained,
    Hello,
    Message,
    Ready,
    Refused,
    Renew,
    Report,
    Returned,
    Shared,
    encode,
)
from trimaran.telemetry.metrics import Totals, merge
from trimaran.types import Snapshot

__all__ = ["START_LIMIT_S", "Fleet", "FleetEvents"]

START_LIMIT_S = 30.0
"""A worker that is not ready by then hangs; an import from a cold disk takes a few seconds at most."""

_SILENCE_S = 20 * REPORT_INTERVAL_S
_DRAIN_SLACK_S = 2.0


class FleetEvents:
    """What the owner wants to hear; override what matters."""

    def on_hello(self, worker: RoadWorker, message: Hello) -> None:
        """A worker's process is up."""

    def on_report(self, worker: RoadWorker, message: Report) -> None:
        """What a worker says four times a second."""

    def on_lease(self, worker: RoadWorker, message: Ask | Returned) -> None:
        """A worker wants to use more of a budget or limit, or needs less."""

    def on_renew(self, worker: RoadWorker, message: Renew) -> None:
        """A target has refused a worker's credential."""

    def on_gone(self, worker: RoadWorker, drained: bool) -> None:
        """A worker has returned all it had, or its plane closed. After an orderly end it comes twice."""

    def on_ready(self, worker: RoadWorker) -> None:
        """A worker serves with the version it now shows."""

    def on_refused(self, worker: RoadWorker, message: Refused) -> None:
        """A worker cannot use a snapshot. Its ``snapshot_version`` is 0 when it has none to go on with."""

    def on_hopeless(self, worker: RoadWorker) -> None:
        """A worker died too often before it was ready; it is not started again."""

    def on_all_down(self) -> None:
        """After :meth:`Fleet.drain` or :meth:`Fleet.kill`: the last process is gone."""

    def log(self, line: str) -> None:
        """One line for people."""


class Fleet:
    """All workers of one gateway on one machine. Use it on one running loop."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        command: WorkerCommand,
        events: FleetEvents,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.workers = [RoadWorker(index, listener, environ) for index, listener in enumerate(listeners)]
        self._command = command
        self._events = events
        self._snapshot_frame = b""
        self._standing: dict[str, bytes] = {}
        self._retired = Totals()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Orders

    async def start(self, snapshot: Snapshot) -> None:
        """Start every worker with ``snapshot``."""
        self._snapshot_frame = encode(Apply(snapshot))
        for worker in self.workers:
            await self._start(worker)

    def apply(self, snapshot: Snapshot) -> None:
        """Send ``snapshot`` to every worker; later ones get it too."""
        self._snapshot_frame = encode(Apply(snapshot))
        for worker in self.workers:
            if worker.plane is not None and worker.state is not WorkerState.DRAINING:
                worker.plane.send_frame(self._snapshot_frame)

    def tell(self, key: str, message: Message) -> None:
        """Send ``message`` to every worker, and to later ones after their snapshot, until another one has its ``key``."""
        self._standing[key] = frame = encode(message)
        for worker in self.workers:
            if worker.plane is not None:
                worker.plane.send_frame(frame)

    def forget(self, key: str) -> None:
        """Later workers do not get the message of this ``key`` any more."""
        self._standing.pop(key, None)

    def drain(self, grace_s: float) -> None:
        """Let every worker finish what is running within ``grace_s`` seconds, then end them, for good."""
        self._stopping = True
        for worker in self.workers:
            if worker.state is WorkerState.READY and worker.plane is not None:
                worker.state = WorkerState.DRAINING
                worker.plane.send(Drain(grace_s))
            else:
                worker.kill()
            worker.listener.close()
        asyncio.get_running_loop().call_later(grace_s + _DRAIN_SLACK_S, self.kill)
        self._check_all_down()

    def kill(self) -> None:
        """End every worker at once."""
        self._stopping = True
        for worker in self.workers:
            worker.kill()
            worker.listener.close()
        self._check_all_down()

    # What they say

    def totals(self) -> Totals:
        """The counters of all workers since the gateway's start, those that died included."""
        live = [each.report.metrics for each in self.workers if each.report and each.report.metrics]
        return merge([self._retired, *live])

    def shared(self) -> list[dict[str, Any]]:
        """What each worker last shared about circuits and loads, in ``routing``'s form."""
        return [each.report.shared for each in self.workers if each.report and each.report.shared]

    def in_flight(self) -> int:
        """Requests running now."""
        return sum(each.report.in_flight for each in self.workers if each.report)

    def up(self, worker: RoadWorker) -> bool:
        """Whether it serves and was heard of lately."""
        return worker.state is WorkerState.READY and time.monotonic() - worker.reported_s < _SILENCE_S

    @property
    def ready(self) -> bool:
        """Whether every worker serves."""
        return all(worker.state is WorkerState.READY for worker in self.workers)

    # Events

    async def _start(self, worker: RoadWorker) -> None:
        try:
            await worker.start(self._command, self._on_message, self._on_closed)
        except OSError as error:
            self._events.log(f"worker {worker.index} cannot be started: {error.strerror or error}")
            worker.policy.failed_starts += 1
            self._events.on_hopeless(worker)
            return
        # Not on Hello: it lies ready when the worker comes up, whatever keeps this loop busy then.
        if worker.plane is not None:
            worker.plane.send_frame(self._snapshot_frame)
            for frame in self._standing.values():
                worker.plane.send_frame(frame)
        asyncio.get_running_loop().call_later(START_LIMIT_S, self._check_started, worker, worker.pid)

    def _check_started(self, worker: RoadWorker, pid: int | None) -> None:
        if worker.state is WorkerState.STARTING and worker.pid == pid:
            self._events.log(f"worker {worker.index} was not ready within {START_LIMIT_S:.0f} s; it is killed")
            worker.kill()

    def _on_message(self, worker: RoadWorker, message: Message) -> None:
        match message:
            case Report():
                self._on_report(worker, message)
            case Ask() | Returned():
                self._events.on_lease(worker, message)
            case Renew():
                self._events.on_renew(worker, message)
            case Hello():
                self._events.on_hello(worker, message)
                self._greet(worker)
            case Ready():
                worker.snapshot_version = message.snapshot_version
                worker.reported_s = time.monotonic()
                if worker.state is WorkerState.STARTING:
                    worker.state = WorkerState.READY
                self._events.on_ready(worker)
            case Refused():
                self._events.on_refused(worker, message)
            case Drained():
                worker.state = WorkerState.DRAINING
                self._events.on_gone(worker, True)
            case _:
                self._events.log(f"worker {worker.index} is killed: it sent a {type(message).__name__}")
                worker.kill()

    def _on_report(self, worker: RoadWorker, report: Report) -> None:
        before = worker.report.shared if worker.report is not None else {}
        worker.take(report)
        self._events.on_report(worker, report)
        if report.shared != before:
            self._broadcast(worker, report.shared)

    def _greet(self, worker: RoadWorker) -> None:
        for other in self.workers:
            if worker.plane is not None and other is not worker and other.report is not None and other.report.shared:
                worker.plane.send(Shared(other.index, other.report.shared))

    def _broadcast(self, origin: RoadWorker, payload: dict[str, Any]) -> None:
        others = [each.plane for each in self.workers if each is not origin and each.plane is not None]
        if not others:
            return
        frame = encode(Shared(origin.index, payload))
        for plane in others:
            if not plane.congested:
                plane.send_frame(frame)

    def _on_closed(self, worker: RoadWorker, error: Exception | None) -> None:
        was_ready = worker.state is WorkerState.READY
        self._events.on_gone(worker, False)
        if error is not None and not isinstance(error, OSError):
            self._events.log(f"worker {worker.index} broke the plane: {error}")
            worker.kill()
        if worker.report is not None:
            if worker.report.metrics is not None:
                self._retired = merge([self._retired, worker.report.metrics])
            if worker.report.shared:
                self._broadcast(worker, {})
            worker.report = None
        self._spawn_task(self._after_death(worker, was_ready, time.monotonic() - worker.started_s))

    async def _after_death(self, worker: RoadWorker, was_ready: bool, lived_s: float) -> None:
        code = await worker.reap()
        if self._stopping:
            self._check_all_down()
            return
        delay_s = worker.policy.on_death(was_ready, lived_s)
        if delay_s is None:
            self._events.on_hopeless(worker)
            return
        again = f"in {delay_s:.1f} s" if delay_s else "now"
        self._events.log(f"worker {worker.index} died ({_cause(code)}); it is started again {again}")
        worker.restarts += 1
        await asyncio.sleep(delay_s)
        if not self._stopping:
            await self._start(worker)

    def _check_all_down(self) -> None:
        if self._stopping and all(worker.pid is None for worker in self.workers):
            self._events.on_all_down()

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
