"""What strikes, and when: drawn from a seeded generator, carried out on the gateway's processes."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from chaos.database import Database
from chaos.gateway import ORPHANS_S, Gateway, is_alive

__all__ = ["Killer"]

FILE_BYTES = 8 * 1024 * 1024
"""No file of a worker grows beyond it while the disk is "full": half of a journal segment, so that none can be made."""
DATABASE_BYTES = 256 * 1024
"""The same for the supervisor, whose database and log are smaller."""
_NOTICED_S = 0.5
"""A client on a busy machine hears of its worker's death by then."""


class Killer:
    """Strikes until it is told to stop. ``struck`` counts, ``problems`` holds what did not come back."""

    def __init__(self, gateway: Gateway, database: Database | None, seed: int, longest_s: float, diary: Path) -> None:
        """``longest_s``: for so long at most the disk is full or the database away. ``diary``: what was done when."""
        self.struck: Counter[str] = Counter()
        self.problems: list[str] = []
        self.breaking: list[tuple[float, float]] = []
        """From when to when, in the loop's time, a connection may break because of a strike."""
        self._gateway = gateway
        self._database = database
        self._random = random.Random(f"{seed}/killer")
        self.restart_s = 0.0
        """The longest time from the supervisor's death until a new one served."""
        self._diary = diary
        self._begun_s = asyncio.get_running_loop().time()
        self._longest_s = longest_s
        self._stop = asyncio.Event()
        self._orphans: list[tuple[float, list[int]]] = []
        """When their supervisor was killed, and who they are."""

    def stop(self) -> None:
        """No further strike; the one under way is undone first."""
        self._stop.set()

    async def run(self, between_s: tuple[float, float]) -> None:
        """Strike once in a while. What was taken away is given back before the next strike."""
        strikes: list[Callable[[], Awaitable[None]]] = [self._worker, self._worker, self._supervisor, self._disk]
        if self._database is not None:
            strikes.append(self._database_away)
        # Each kind once, in a random order, then at random: a short run has them all.
        waiting = self._random.sample(strikes, len(strikes))
        while not await self._pause(self._random.uniform(*between_s)):
            await (waiting.pop() if waiting else self._random.choice(strikes))()
            self.check_orphans()

    def check_orphans(self) -> bool:
        """Whether all workers of killed supervisors are gone; it is a problem when they are not in time."""
        now = asyncio.get_running_loop().time()
        for killed_at, pids in [*self._orphans]:
            living = [pid for pid in pids if is_alive(pid)]
            if not living or now > killed_at + ORPHANS_S:
                self._orphans.remove((killed_at, pids))
            if living and now > killed_at + ORPHANS_S:
                self.problems.append(f"workers outlived their supervisor by {now - killed_at:.1f} s: {living}")
        return not self._orphans

    def _strike(self, kind: str, whom: object = "") -> None:
        self.struck[kind] += 1
        with open(self._diary, "a") as diary:
            diary.write(f"{asyncio.get_running_loop().time() - self._begun_s:.2f} s: {kind} {whom}\n")

    async def _pause(self, seconds: float) -> bool:
        """Whether it is time to stop."""
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _worker(self) -> None:
        if workers := self._gateway.workers():
            pid = self._random.choice(workers)
            self._strike("worker killed", pid)
            now = asyncio.get_running_loop().time()
            self.breaking.append((now, now + _NOTICED_S))
            os.kill(pid, signal.SIGKILL)

    async def _supervisor(self) -> None:
        self._strike("supervisor killed", self._gateway.pid)
        now = asyncio.get_running_loop().time()
        # Idle connections close at once; an answer under way comes to its end.
        self.breaking.append((now, now + _NOTICED_S))
        self._orphans.append((now, self._gateway.kill()))
        await self._gateway.start()
        self.restart_s = max(self.restart_s, asyncio.get_running_loop().time() - now)

    async def _disk(self) -> None:
        self._strike("disk full")
        for pid in self._gateway.workers():
            self._limit(pid, FILE_BYTES)
        self._limit(self._gateway.pid, DATABASE_BYTES)
        await self._pause(self._random.uniform(0.3, 1.0) * self._longest_s)
        for pid in (self._gateway.pid, *self._gateway.workers()):
            self._limit(pid, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(pid: int, size: int) -> None:
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        except ProcessLookupError:
            # It died meanwhile; its successor has the limit of everybody.
            return

    async def _database_away(self) -> None:
        assert self._database is not None
        self._strike("database away")
        await self._database.stop()
        await self._pause(self._random.uniform(0.3, 1.0) * self._longest_s)
        await self._database.start()
