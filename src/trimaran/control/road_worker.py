"""One road worker as the supervisor sees it: a process, a plane, and what it last said.

The end of the plane is the sign of death: the kernel closes it whatever the process died of, on every platform, and no
signal handler is needed. A worker that closes its plane and lingers is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from trimaran.control.restart import RestartPolicy
from trimaran.dispatch.plane import Message, PlaneProtocol, Report, attach

__all__ = ["RoadWorker", "WorkerCommand", "WorkerState"]

WorkerCommand = Callable[[int, int, int], Sequence[str]]
"""``(worker, listen_fd, plane_fd)`` to the argument vector of a worker process."""

_LINGER_S = 5.0
"""How long a process may live on after its plane closed."""


class WorkerState(enum.Enum):
    """Where a worker stands."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    DOWN = "down"


class RoadWorker:
    """A numbered place for a worker; the process in it may be replaced, the listening socket stays."""

    def __init__(self, index: int, listener: socket.socket, environ: Mapping[str, str] | None = None) -> None:
        self.index = index
        self.listener = listener
        self.state = WorkerState.DOWN
        self.policy = RestartPolicy()
        self.snapshot_version = 0
        self.report: Report | None = None
        self.restarts = 0
        self.started_s = 0.0
        self.reported_s = 0.0
        self.exit_code: int | None = None
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._plane: PlaneProtocol | None = None

    @property
    def pid(self) -> int | None:
        """The process id, ``None`` while there is no process."""
        return self._process.pid if self._process is not None else None

    @property
    def plane(self) -> PlaneProtocol | None:
        """The way to talk to it, ``None`` while it is down."""
        return self._plane

    async def start(
        self,
        command: WorkerCommand,
        on_message: Callable[[RoadWorker, Message], None],
        on_closed: Callable[[RoadWorker, Exception | None], None],
    ) -> None:
        """Spawn the process and attach to its plane. Raises ``OSError`` when the command cannot be run."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.state = WorkerState.STARTING
        self.started_s = time.monotonic()
        self.snapshot_version = 0
        self.exit_code = None
        try:
            self._process = self._spawn(command, theirs)
        except OSError:
            ours.close()
            self.state = WorkerState.DOWN
            raise
        finally:
            theirs.close()
        # Known before the first message can arrive, so that the answer to it has a way out.
        self._plane = PlaneProtocol(lambda message: on_message(self, message), lambda error: on_closed(self, error))
        await attach(ours, self._plane)

    def _spawn(self, command: WorkerCommand, plane: socket.socket) -> subprocess.Popen[bytes]:
        listen_fd, plane_fd = self.listener.fileno(), plane.fileno()
        return subprocess.Popen(
            command(self.index, listen_fd, plane_fd),
            pass_fds=(listen_fd, plane_fd),
            stdin=subprocess.DEVNULL,
            env=self._environ,
            # A group of its own: Ctrl-C in a terminal reaches the supervisor only, which then drains the workers.
            process_group=0,
        )

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def reap(self) -> int:
        """Wait for the process to be gone after its plane closed; kill it when it lingers. Its exit code."""
        process = self._process
        self._plane = None
        if process is None:
            return 0
        deadline = time.monotonic() + _LINGER_S
        pause = 0.001
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
            await asyncio.sleep(pause)
            pause = min(0.1, pause * 2)
        self.exit_code = process.returncode
        self._process = None
        self.state = WorkerState.DOWN
        return process.returncode

    def take(self, report: Report) -> None:
        """Keep a report; counters that did not change were left out of it."""
        if report.metrics is None and self.report is not None:
            report = Report(report.worker, self.report.metrics, report.shared, report.in_flight)
        self.report = report
        self.reported_s = time.monotonic()
