"""Whether memory comes back to its level after the load."""

from __future__ import annotations

import asyncio
from statistics import median

import msgspec

from chaos.gateway import Gateway, anonymous_bytes
from chaos.judge import Books

__all__ = ["WORKER_MARGIN", "Memory"]

WORKER_MARGIN = 24 * 2**20
SUPERVISOR_MARGIN = 48 * 2**20
"""What an allocator keeps after a load, and tables that have grown to their bounds; the supervisor keeps SQLite's cache
and the admin application, too."""
_MIB = 2**20


class Memory(msgspec.Struct):
    """The level before the load, the peak under it, and the level after."""

    before_worker: float = 0.0
    before_supervisor: float = 0.0
    peak_worker: int = 0
    peak_supervisor: int = 0

    def begin(self, gateway: Gateway) -> None:
        """Before the load, when all processes serve."""
        self.before_worker = median(map(anonymous_bytes, gateway.workers()))
        self.before_supervisor = anonymous_bytes(gateway.pid)

    def look(self, gateway: Gateway) -> None:
        """Under load."""
        self.peak_worker = max(self.peak_worker, *map(anonymous_bytes, gateway.workers()), 0)
        self.peak_supervisor = max(self.peak_supervisor, anonymous_bytes(gateway.pid))

    async def check(self, gateway: Gateway, books: Books, settle_s: float) -> None:
        """(e) After the load: the least over so many seconds counts."""
        workers, supervisors = [], []
        for _ in range(10):
            workers.append(max(map(anonymous_bytes, gateway.workers()), default=0))
            supervisors.append(anonymous_bytes(gateway.pid))
            await asyncio.sleep(settle_s / 10)
        self._judge(books, "worker", self.before_worker, self.peak_worker, min(workers), WORKER_MARGIN)
        self._judge(
            books, "supervisor", self.before_supervisor, self.peak_supervisor, min(supervisors), SUPERVISOR_MARGIN
        )

    @staticmethod
    def _judge(books: Books, who: str, before: float, peak: int, after: int, margin: int) -> None:
        figures = f"{before / _MIB:.0f} MiB before, {peak / _MIB:.0f} at most, {after / _MIB:.0f} after"
        books.figures.append((f"memory of a {who}", f"{figures} (margin {margin // _MIB})"))
        books.violated(f"memory of a {who} did not come back", [figures] if after > before + margin else [])
