"""The gateway's processes: started, looked at, killed, started again on the same ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

__all__ = ["ORPHANS_S", "Gateway", "anonymous_bytes", "is_alive"]

START_S = 60.0
ORPHANS_S = 13.0
"""Workers whose supervisor is gone end within their grace of 10 s; the rest is a slow machine's."""


class Gateway:
    """``trimaran serve`` on a port that stays the same through all restarts."""

    def __init__(self, config: Path, environ: dict[str, str], output: Path) -> None:
        self.port, self._admin_port = _free_port(), _free_port()
        self._output = output
        self._command = [sys.executable, "-m", "trimaran.cli", "serve", f"--config={config}", f"--port={self.port}"]
        self._command += [f"--admin-port={self._admin_port}"]
        self._environ = {**os.environ, **environ}
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self.process is not None
        return self.process.pid

    def workers(self) -> list[int]:
        """Process ids of the workers that are alive."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    async def start(self) -> None:
        """Start it and wait until it serves. Tries again while its port is still held by workers that are ending."""
        end = asyncio.get_running_loop().time() + START_S
        while True:
            with open(self._output, "ab") as output:
                self.process = subprocess.Popen(
                    self._command, env=self._environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            self.starts += 1
            while self.process.poll() is None and asyncio.get_running_loop().time() < end:
                if await asyncio.to_thread(_ready, self.port):
                    return
                await asyncio.sleep(0.05)
            if asyncio.get_running_loop().time() >= end:
                raise RuntimeError(f"the gateway did not become ready within {START_S:g} s; see {self._output}")
            await asyncio.sleep(0.2)

    def kill(self) -> list[int]:
        """SIGKILL to the supervisor alone; its workers, orphans from now on."""
        orphans = self.workers()
        os.kill(self.pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()
        return orphans

    async def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 30)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def anonymous_bytes(pid: int) -> int:
    """Memory of its own, without mapped files (journal segments are such); 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
