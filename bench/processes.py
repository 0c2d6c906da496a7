"""Starting and ending the processes of a run: pinned, on loopback, ended by pid whatever happens to the harness."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bench.procfs import tree

__all__ = ["HOST", "NotReady", "Running", "child_setup", "free_port", "get_status"]

HOST = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_GRACE_S = 8.0


class NotReady(Exception):
    """A server did not answer 200 in time, or ended; the text says which and shows the end of its log."""


def free_port() -> int:
    """A loopback port that is free now. Another process may take it before ours does: then the server says so."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def child_setup(cpu: int | None) -> Callable[[], None]:
    """What a child does before exec: go to its core, and end when we do."""
    libc = ctypes.CDLL(None)

    def setup() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    return setup


def get_status(port: int, path: str) -> int:
    """Status of ``GET path``; 0 when nobody answers."""
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(request)
            head = connection.recv(64)
    except OSError:
        return 0
    parts = head.split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[1][:3].isdigit() else 0


class Running:
    """One server, from exec to the end of its whole tree.

    ``startup_s`` is the time from exec to the first 200 on ``ready_path``.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], directory: Path, port: int, ready_path: str, cpu: int | None
    ) -> None:
        self.port = port
        self._log = directory / f"log-{port}.txt"
        started = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=child_setup(cpu),
            )
        try:
            self._wait(argv[0], ready_path)
        except BaseException:
            self.close()
            raise
        self.startup_s = time.perf_counter() - started

    @property
    def pid(self) -> int:
        return self._process.pid

    def _wait(self, name: str, ready_path: str, timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while get_status(self.port, ready_path) != 200:
            if self._process.poll() is not None:
                raise NotReady(f"{name} ended with {self._process.returncode}: {self.log_end()}")
            if time.monotonic() > deadline:
                raise NotReady(f"{name} did not answer 200 on {ready_path} in {timeout_s:.0f} s: {self.log_end()}")
            time.sleep(0.002)

    def log_end(self) -> str:
        """The last of what it printed."""
        text = self._log.read_text(errors="replace").strip()
        return text[-1500:] or "(it printed nothing)"

    def close(self) -> None:
        """End the tree: SIGTERM to the root, and SIGKILL to whatever is left of it after a while."""
        pids = tree(self.pid)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pid in pids[1:]:
            # Same session, so it is ours and not a stranger that got the number since.
            if _session(pid) == self.pid:
                os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
