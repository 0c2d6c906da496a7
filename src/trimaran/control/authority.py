"""The book of budgets on an event loop: rows to disk in a thread, messages to workers after them, the truth from the ledger.

Batches are written one after the other; what is decided while one is on its way to the disk goes into the next. So a
hundred asks at once cost two syncs, and no message is sent before its batch is on disk. When the file cannot be written
nothing is granted: workers use up what they have and then say so, and every second it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trimaran.control.budgets import Batch, Book, OnThreshold
from trimaran.control.log import log as log_to_stderr
from trimaran.control.log import one_line
from trimaran.dispatch.plane import Ask, Denied, Grant, Recall, Report, Returned
from trimaran.errors import LedgerError
from trimaran.ledger.leases import AccountRow, LeaseRow, LeaseStore
from trimaran.ledger.lives import is_taken_in, used_by
from trimaran.ledger.store import Store
from trimaran.types import Allowance

__all__ = ["Authority"]

BEAT_S = 1.0
_LAST_WORDS_S = 5.0
"""How long the last batch may take when the gateway ends."""


class Authority:
    """Owner of all accounts of one gateway. Everything is called on one running loop."""

    def __init__(
        self,
        path: Path,
        journal_dir: Path,
        open_ledger: Callable[[], Store],
        *,
        thresholds: Iterable[int] = (),
        on_threshold: OnThreshold = lambda *_: None,
        log: Callable[[str], None] = log_to_stderr,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``path`` is the budgets' file, made when the first allowance is applied. ``open_ledger`` gives a new connection to
        the ledger for the thread that calls it; ``thresholds`` are in percent."""
        self.problem = ""
        """Why nothing can be granted now; empty when it can."""
        self.on_threshold = on_threshold
        self._path = path
        self._journal_dir = journal_dir
        self._open_ledger = open_ledger
        self.thresholds = tuple(thresholds)
        """In percent; what is set later holds from the next :meth:`apply` on."""
        self._log = log
        self._wall_ns = wall_ns
        self._allowances: tuple[Allowance, ...] = ()
        self._workers = 1
        self._book: Book | None = None
        self._store: LeaseStore | None = None
        self._thread = ThreadPoolExecutor(1, "trimaran-budgets")
        self._lives: dict[int, str] = {}
        self._senders: dict[str, tuple[str, Callable[[Grant | Denied | Recall], None]]] = {}
        """By life: its journal, and the way to it."""
        self._early: list[tuple[str, Ask]] = []
        """Asked before the book was open."""
        self._opening: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None

    # The life of it

    def start(self) -> None:
        """Begin to beat."""
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """Write what is left and close the file. Every worker is gone."""
        for task in (self._beating, self._opening):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._pump()
        # What cannot be written counts as used, until the ledger tells otherwise.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                while self._writing is not None:
                    await self._writing
        if self._store is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=True)

    def apply(self, allowances: Iterable[Allowance], workers: int) -> None:
        """Grant by these limits from now on."""
        self._allowances, self._workers = tuple(allowances), workers
        if self._book is not None:
            self._book.thresholds = self.thresholds
            self._book.apply(self._allowances, workers)
            self._pump()
        elif self._allowances and self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())

    # Workers

    def join(self, worker: int, life: str, journal: str, send: Callable[[Grant | Denied | Recall], None]) -> None:
        """A worker is up; ``send`` reaches it as long as it lives."""
        self._lives[worker] = life
        self._senders[life] = journal, send
        if self._book is not None:
            self._book.join(life, journal)

    def leave(self, worker: int, *, drained: bool) -> None:
        """A worker has returned everything, or its plane closed. A second call for the same life changes nothing."""
        life = self._lives.pop(worker, None)
        if life is None:
            return
        del self._senders[life]
        if self._book is not None:
            self._book.leave(life, drained=drained, now_s=time.monotonic())
            self._pump()

    def on_message(self, worker: int, message: Ask | Returned) -> None:
        """What a worker wants or gives back."""
        life = self._lives.get(worker)
        if life is None:
            return
        if self._book is None:
            if isinstance(message, Ask):
                self._early.append((life, message))
            return
        self._take(life, message)
        self._pump()

    def on_report(self, worker: int, report: Report) -> None:
        """What a worker has used."""
        life = self._lives.get(worker)
        if life is None or self._book is None:
            return
        if report.lost:
            self._book.unrecorded(life)
        if report.used:
            self._book.report(life, report.used)
        self._pump()

    def state(self) -> dict[str, Any]:
        """For people: whether it works, and every account of now."""
        accounts = self._book.state(self._wall_ns()) if self._book is not None else []
        return {"problem": self.problem or None, "accounts": accounts}

    # inside

    def _take(self, life: str, message: Ask | Returned) -> None:
        assert self._book is not None
        if isinstance(message, Ask):
            self._book.ask(life, message, time.monotonic())
        else:
            self._book.returned(life, message, time.monotonic())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accounts, leases = await loop.run_in_executor(self._thread, self._load)
                break
            except LedgerError as error:
                self._failed(error)
                # Whoever asked stops waiting, and asks again.
                self._early.clear()
                await asyncio.sleep(BEAT_S)
        self._works()
        self._book = book = Book(accounts, leases, self.thresholds)
        for life, (journal, _) in self._senders.items():
            book.join(life, journal)
        book.apply(self._allowances, self._workers)
        for life, message in self._early:
            self._take(life, message)
        self._early.clear()
        self._pump()

    def _load(self) -> tuple[list[AccountRow], list[LeaseRow]]:
        self._store = LeaseStore(self._path)
        try:
            return self._store.load()
        except LedgerError:
            self._store.close()
            self._store = None
            raise

    def _pump(self) -> None:
        """Send what needs no disk; begin to write the rest, unless something is being written."""
        if self._writing is not None or self._book is None:
            return
        batch = self._book.take()
        if batch.to_write:
            self._writing = asyncio.get_running_loop().create_task(self._write(batch))
        else:
            self._tell(batch)

    async def _write(self, batch: Batch) -> None:
        store, loop = self._store, asyncio.get_running_loop()
        assert store is not None
        while True:
            try:
                await loop.run_in_executor(
                    self._thread, store.write, batch.accounts, batch.leases, batch.closed, batch.forgotten
                )
                break
            except LedgerError as error:
                self._failed(error)
                await asyncio.sleep(BEAT_S)
        self._works()
        self._tell(batch)
        self._writing = None
        self._pump()

    def _tell(self, batch: Batch) -> None:
        for life, message in batch.messages:
            sender = self._senders.get(life)
            if sender is not None:
                sender[1](message)
        for passed in batch.passed:
            try:
                self.on_threshold(*passed)
            except Exception as error:
                # An alert must not be able to stop the granting.
                self._log(f"an alert about {passed[0].id} failed: {type(error).__name__}: {one_line(error)}")

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_S)
            book = self._book
            if book is None:
                continue
            book.tick(time.monotonic(), self._wall_ns())
            unsettled = book.unsettled()
            if unsettled:
                # The ledger being away is its own affair, and said there: until it is back the leases count as used.
                with contextlib.suppress(LedgerError):
                    for row, life, used in await loop.run_in_executor(None, self._look_up, unsettled):
                        book.reconciled(row, life, used)
            self._pump()

    def _look_up(self, unsettled: list[tuple[AccountRow, LeaseRow]]) -> list[tuple[AccountRow, str, int | None]]:
        journals = {lease.journal for _, lease in unsettled}
        complete = {journal for journal in journals if is_taken_in(self._journal_dir, journal)}
        if not complete:
            return []
        with self._open_ledger() as store:
            return [
                (row, lease.life, used_by(store, lease.life, row))
                for row, lease in unsettled
                if lease.journal in complete
            ]

    def _failed(self, error: LedgerError) -> None:
        if str(error) != self.problem:
            self.problem = str(error)
            self._log(f"budgets and limits cannot be granted; trying again every {BEAT_S:g} s: {one_line(error)}")

    def _works(self) -> None:
        if self.problem:
            self.problem = ""
            self._log("budgets and limits are granted again")
