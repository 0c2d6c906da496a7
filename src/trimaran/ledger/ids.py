"""Request ids: 32 lower-case hex digits, sortable by time, unique without a system call.

    012345678901 234567890123 45678901
    milliseconds lane         count

``lane`` is the worker's number (12 bits) and 36 bits drawn once at start, so that neither two workers nor two lives of
one worker share it; ``count`` tells the ids of one lane apart. The form is that of a W3C trace id, so one name serves
both. A wall clock that steps back does not disturb the order: the last millisecond is kept until it has caught up.
"""

from __future__ import annotations

import os

__all__ = ["IdSource", "attempt_id"]

_COUNTS = 1 << 32
_WORKERS = 1 << 12
_ENTROPY_BITS = 36


class IdSource:
    """One lane of ids. One owner; not shared between threads or processes (a forked child needs its own)."""

    __slots__ = ("_count", "_lane", "_ms", "_prefix")

    def __init__(self, worker: int = 0, entropy: int | None = None) -> None:
        """``worker`` from 0 to 4095; ``entropy`` is given by tests only, otherwise the system's randomness."""
        if not 0 <= worker < _WORKERS:
            raise ValueError(f"worker must be from 0 to {_WORKERS - 1}, not {worker}")
        if entropy is None:
            entropy = int.from_bytes(os.urandom(8), "big")
        self._lane = f"{worker:03x}{entropy % (1 << _ENTROPY_BITS):09x}"
        self._count = 0
        self._ms = -1
        self._prefix = ""

    def next(self, now_ms: int) -> str:
        """The next id. ``now_ms`` is the wall clock in milliseconds since 1970; a coarse one is good enough."""
        if now_ms > self._ms:
            self._ms = now_ms
            self._prefix = f"{now_ms:012x}{self._lane}"
        count = self._count
        self._count = (count + 1) % _COUNTS
        return f"{self._prefix}{count:08x}"


def attempt_id(request_id: str, attempt: int) -> str:
    """Name of one attempt, for people, logs and response headers."""
    return f"{request_id}-{attempt}"
