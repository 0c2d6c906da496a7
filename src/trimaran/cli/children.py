"""Processes that a command starts beside itself, each ended with the command, however that ends.

A child hears of its parent's end by its standard input: the pipe's other end closes even when the parent is killed. It
runs in a process group of its own, so that Ctrl-C reaches the command alone, which then ends its children in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from trimaran.errors import StartError

__all__ = ["Child", "end_with_parent", "interruptible"]

START_S = 15.0
"""An interpreter's start on a machine that is busy with something else takes a few seconds at most."""
_POLL_S = 0.01


class Child:
    """``trimaran ARGUMENTS`` as a child process. Use it as a context manager."""

    def __init__(
        self, *arguments: str, what: str, environ: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        """``what`` names it in messages; its output goes to ``log``, or is kept only to read the address from it."""
        self._arguments = arguments
        self._what = what
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Child:
        self._output = tempfile.TemporaryFile() if self._log is None else self._log.open("w+b")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trimaran.cli", *self._arguments, "--with-parent"],
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env=self._environ,
                process_group=0,
            )
        except BaseException:
            self._output.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def end(self, grace_s: float = 3.0) -> None:
        """Ask it to stop, and kill it when it has not after ``grace_s`` seconds. Harmless when it has ended."""
        try:
            self._process.terminate()
            self._process.wait(grace_s)
        except BaseException as error:
            # A second Ctrl-C ends the patience, never the order.
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
            self._output.close()

    def addresses(self) -> list[str]:
        """The addresses that it announces, in their order; waits for its first line with one.

        Raises :class:`~trimaran.errors.StartError`, with its last words, when it ends or stays silent.
        """
        deadline = time.monotonic() + START_S
        while True:
            ended = not self.running
            for line in self._said().split("\n")[:-1]:
                if found := [word for word in line.split() if word.startswith("http://")]:
                    return found
            if ended or time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        said = [line.strip() for line in self._said().splitlines() if line.strip()]
        why = f": {said[-1]}" if said else ""
        raise StartError(f"{self._what} did not start{why}", hint=f"run 'trimaran {self._arguments[0]}' to see more")

    def _said(self) -> str:
        # The child shares the file's position, so it must not be moved here.
        return os.pread(self._output.fileno(), 65536, 0).decode(errors="replace")


def end_with_parent() -> None:
    """In a child: stop, as if by SIGTERM, once the parent has gone."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(sys.stdin.fileno(), 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it SIGTERM is an exception like Ctrl-C, so that what was started gets ended. Main thread only."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
