"""Takes the journal into the store, off the road: a thread with its own connection, or single calls.

Trouble with the store (locked, full, corrupt, away) stops nothing else and loses nothing: the records wait in the
journal, however large it grows, and every interval tries again. It is logged once when it begins or changes, and once
when it is over.

What is taken in is on disk within the interval, because the store's commits are. While nothing can be taken in, the
segments themselves are synced instead, once for each interval: so a power cut costs at most the last one, and a worker
never waits for a disk.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trimaran.errors import ConfigError
from trimaran.ledger.database import Place
from trimaran.ledger.segments import sync_segments
from trimaran.ledger.store import IngestResult, Store

__all__ = ["Ingestor"]

_SLOW_S = 30.0
"""Far longer than a run of everyday, and shorter than anybody should be left without a word."""

_LOG = logging.getLogger("trimaran.ledger")


class Ingestor:
    """Ingests ``journal_dir`` into the ledger at ``place`` (a file or a database's URL) every ``interval_s`` seconds."""

    def __init__(
        self,
        place: Place,
        journal_dir: str | os.PathLike[str],
        interval_s: float = 1.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._journal_dir = Path(journal_dir)
        self._interval_s = interval_s
        self._store: Store | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._synced: set[str] = set()
        self._monotonic = monotonic
        self._began: float | None = None
        self._problem = ""
        self.records = 0
        """Taken in since the start."""
        self.lag_records = 0
        """Found waiting by the last run: what two runs lie apart."""
        self.damaged = 0
        self.journal_bytes = 0
        """Of the journal's files, which wait to be taken in; 0 while all is well."""
        self.newest_ns = 0
        """Wall time of the newest record taken in; with the clock it gives the lag."""

    @property
    def problem(self) -> str:
        """Why the last run failed, or that this one takes long; empty when all is well. For any thread."""
        began = self._began
        if not self._problem and began is not None and (seconds := self._monotonic() - began) > _SLOW_S:
            return f"the ledger has been busy for {seconds:.0f} s: it catches up, or its database hangs"
        return self._problem

    def start(self) -> None:
        """Run in a thread until :meth:`stop`. It is a daemon: a process that ends without stopping loses nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trimaran-ledger", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Take in the rest and end the thread. Close the journal writers first, so that their segments are finished."""
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def run_once(self) -> IngestResult | None:
        """One ingest, in the calling thread. ``None``: it failed, and ``problem`` says why; nothing is raised."""
        self._began = self._monotonic()
        try:
            if self._store is None:
                self._store = Store(self._place)
            result = self._store.ingest(self._journal_dir)
        except ConfigError as error:
            self._failed(error)
            return None
        finally:
            self._began = None
        if self._problem:
            _LOG.warning("the ledger works again; %d records of the journal were taken in", result.records)
            self._problem = ""
            self.journal_bytes = 0
        if result.damaged:
            _LOG.error(
                "%d places of the journal could not be read; see %s/*.damaged", result.damaged, self._journal_dir
            )
        self.records += result.records
        self.lag_records = result.records
        self.damaged += result.damaged
        self.newest_ns = max(self.newest_ns, result.newest_ns)
        return result

    def close(self) -> None:
        """Close the connection that :meth:`run_once` opened, in the same thread."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _run(self) -> None:
        try:
            while not self._wake.wait(self._interval_s):
                self.run_once()
            self.run_once()
        finally:
            self.close()

    def _failed(self, error: ConfigError) -> None:
        # A new connection next time: a replaced file, a mended disk or a new server is then seen.
        self.close()
        self.journal_bytes = sync_segments(self._journal_dir, self._synced)
        if str(error) != self._problem:
            self._problem = str(error)
            _LOG.error(
                "the ledger cannot take in the journal; trying again every %g s, and meanwhile it grows in %s (%.1f MB now): "
                "%s",
                self._interval_s,
                self._journal_dir,
                self.journal_bytes / 1e6,
                error,
            )
