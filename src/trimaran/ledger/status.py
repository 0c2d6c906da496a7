"""How the ledger itself is: what it holds, and what still waits in the journal."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from trimaran.ledger.schema import MIGRATIONS
from trimaran.ledger.segments import SegmentReader, segment_paths
from trimaran.ledger.store import Store
from trimaran.ledger.writers import DIED

__all__ = ["LedgerStatus", "journal_status", "ledger_status"]


class LedgerStatus(msgspec.Struct, kw_only=True):
    """What ``trimaran ledger status`` tells. ``None``: not known, because the store cannot be read."""

    store: str
    problem: str = ""
    """Why the store cannot be read."""
    version: int | None = None
    """Of its tables."""
    size_bytes: int | None = None
    """Of its files here; ``None`` for one on a server."""
    attempts: int | None = None
    open_attempts: int | None = None
    """Under way, or cut off by a crash."""
    cut_off_attempts: int | None = None
    """Part of them: their process died."""
    capacity_records: int | None = None
    newest_ns: int | None = None
    """Wall time of the newest attempt."""
    segments: int = 0
    """Files of the journal; a running worker always has one."""
    waiting_records: int | None = None
    """In the journal and not yet in the store."""
    damaged_segments: int = 0
    """Files that were set aside, because part of them cannot be read."""


def journal_status(store: str, journal_dir: Path, problem: str = "") -> LedgerStatus:
    """What can be told without the store."""
    return LedgerStatus(
        store=store,
        problem=problem,
        segments=len(segment_paths(journal_dir)),
        damaged_segments=len(list(journal_dir.glob("*.damaged"))),
    )


def ledger_status(store: Store, journal_dir: Path) -> LedgerStatus:
    """Everything. Raises :class:`~trimaran.errors.LedgerError`."""
    status = journal_status(store.where, journal_dir)
    with store.errors():
        ask = store.connection.execute
        status.version = len(MIGRATIONS)
        status.attempts, settled = ask("SELECT COUNT(*), COUNT(settled_ns) FROM attempt_rows").fetchone()
        status.open_attempts = (status.attempts or 0) - settled
        (status.cut_off_attempts,) = ask(f"SELECT COUNT(*) FROM attempts WHERE {DIED}").fetchone()
        (status.capacity_records,) = ask("SELECT COUNT(*) FROM capacity").fetchone()
        newest = ask("SELECT started_ns FROM attempt_rows ORDER BY request_id DESC, attempt DESC LIMIT 1").fetchone()
        offsets = dict(ask('SELECT segment, "offset" FROM journal_offsets').fetchall())
    status.newest_ns = newest[0] if newest else None
    status.waiting_records = sum(_waiting(path, offsets.get(path.name, 0)) for path in segment_paths(journal_dir))
    if store.path is not None:
        # With its side files.
        files = store.path.parent.glob(f"{store.path.name}*")
        status.size_bytes = sum(path.stat().st_size for path in files if path.is_file())
    return status


def _waiting(path: Path, offset: int) -> int:
    count = 0
    with suppress(FileNotFoundError), SegmentReader(path) as reader:
        while True:
            payloads, offset = reader.read(offset)
            if not payloads:
                break
            count += len(payloads)
    return count
