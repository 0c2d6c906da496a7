"""The ledger's SQLite file: opening, migrating, and taking in the journal exactly once.

A batch of records and the journal offset behind it are one transaction, and every row is keyed by request and attempt.
So a crash anywhere repeats at most work, never a row; and two processes may take in the same journal at once. A commit
is synced to disk before a segment is removed.

A store belongs to the thread that opened it. Foreign errors become :class:`LedgerError` here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from trimaran.errors import LedgerError
from trimaran.ledger.folders import make_private
from trimaran.ledger.rows import RowWriter
from trimaran.ledger.schema import APPLICATION_ID, MIGRATIONS
from trimaran.ledger.segments import SegmentReader, segment_paths

__all__ = ["IngestResult", "Store"]

_BUSY_S = 5.0
_OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""


class IngestResult(msgspec.Struct):
    """What one :meth:`Store.ingest` did."""

    records: int = 0
    segments: int = 0
    """Segments seen; those of living writers among them."""
    removed: int = 0
    """Segments finished and deleted."""
    damaged: int = 0
    """Places that were not readable. Their segments are kept beside the others, as ``*.damaged``."""
    newest_ns: int = 0
    """Wall time of the newest record taken in; 0 when there was none."""


class Store:
    """One connection to the ledger at ``path``.

    ``read_only`` neither creates nor migrates: for reports beside a running gateway.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        """Open, create and migrate.

        Raises:
            LedgerError: not there (read-only), not a ledger, corrupt, of a newer version, locked, or not writable.
        """
        self.path = Path(path)
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise LedgerError(
                f"SQLite {sqlite3.sqlite_version} is too old; the ledger needs 3.37", where=str(self.path)
            )
        with self.errors():
            if read_only:
                uri = self.path.absolute().as_uri() + "?mode=ro"
                self.connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
            else:
                make_private(self.path.parent)
                # SQLite gives its side files the mode of the main one, so that one must be right from the first moment.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                self.connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        try:
            with self.errors():
                self._check_version(read_only)
                if not read_only:
                    self.connection.execute("PRAGMA journal_mode = WAL")
                    self.connection.execute("PRAGMA synchronous = FULL")
                    self._migrate()
        except BaseException:
            self.connection.close()
            raise
        self._rows = RowWriter(self.connection)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ingest(self, directory: str | os.PathLike[str]) -> IngestResult:
        """Take in what all journals in ``directory`` hold, and remove the segments that are finished.

        Raises:
            LedgerError: the store is locked, full or broken now. What was not taken in stays in the journal.
        """
        result = IngestResult()
        with self.errors():
            for path in segment_paths(Path(directory)):
                with suppress(FileNotFoundError), SegmentReader(path) as reader:
                    result.segments += 1
                    self._ingest_segment(path, reader, result)
        return result

    def _ingest_segment(self, path: Path, reader: SegmentReader, result: IngestResult) -> None:
        offset = self._offset(path)[0]
        while True:
            payloads, end = reader.read(offset)
            damage = reader.damaged
            if payloads or damage:
                reader.damaged = 0
                with self._transaction():
                    if self._offset(path)[0] == offset:
                        damage += self._rows.write(payloads)
                        self.connection.execute(
                            "INSERT INTO journal_offsets VALUES (?, ?, ?) ON CONFLICT (segment) DO UPDATE SET "
                            "offset = excluded.offset, damaged = damaged + excluded.damaged",
                            (path.name, end, damage),
                        )
                        result.records += len(payloads)
                        result.damaged += damage
                        result.newest_ns = max(result.newest_ns, self._rows.newest_ns)
            if not payloads:
                break
            # Read anew: another process may have come first, with other batch limits.
            offset = self._offset(path)[0]
        if reader.sealed:
            self._remove(path, damaged=self._offset(path)[1])
            result.removed += 1

    def _remove(self, path: Path, damaged: int) -> None:
        """The segment is finished. Its offset is forgotten only when its file is gone, never the other way round."""
        with suppress(FileNotFoundError):
            if damaged:
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink()
        self.connection.execute("DELETE FROM journal_offsets WHERE segment = ?", (path.name,))

    def _offset(self, path: Path) -> tuple[int, int]:
        row = self.connection.execute(
            "SELECT offset, damaged FROM journal_offsets WHERE segment = ?", (path.name,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self._rows.forget()
            # The first error is the one to report; a full disk may have rolled back already.
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def _check_version(self, read_only: bool) -> None:
        version = self._pragma("user_version")
        tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if self._pragma("application_id") != APPLICATION_ID and (tables or version or read_only):
            raise LedgerError(
                "this is not a Trimaran ledger",
                where=str(self.path),
                hint="set ledger.dir to a folder of its own"
                if tables
                else "start the gateway once; it makes the ledger",
            )
        if version > len(MIGRATIONS):
            raise LedgerError(
                f"the ledger has version {version}; this program knows versions up to {len(MIGRATIONS)}",
                where=str(self.path),
                hint="run the newer Trimaran that wrote it, or set ledger.dir to another folder",
            )
        if read_only and version < len(MIGRATIONS):
            raise LedgerError(
                f"the ledger has version {version} and must be brought to {len(MIGRATIONS)} first",
                where=str(self.path),
                hint="start the gateway once; it does so",
            )

    def _migrate(self) -> None:
        if self._pragma("user_version") == len(MIGRATIONS):
            return
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again under the lock: another process may have migrated meanwhile.
            for number, script in enumerate(
                MIGRATIONS[self._pragma("user_version") :], self._pragma("user_version") + 1
            ):
                for statement in _statements(script):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version = {number}")
            self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def _pragma(self, name: str) -> int:
        value: int = self.connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's and the system's errors into :class:`LedgerError`, said plainly."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            message, hint = _PLAINLY.get(code, (f"the ledger failed: {error}", ""))
            raise LedgerError(message, where=str(self.path), hint=hint) from error
        except OSError as error:
            raise LedgerError(
                f"the ledger cannot be used: {error.strerror or error}", where=str(error.filename or self.path)
            ) from error


_KEPT = "the records wait in the journal and are taken in later"
_PLAINLY = {
    sqlite3.SQLITE_BUSY: ("the ledger is locked by another process", _KEPT),
    sqlite3.SQLITE_LOCKED: ("the ledger is locked by another process", _KEPT),
    sqlite3.SQLITE_FULL: ("the disk of the ledger is full", f"free some space; {_KEPT}"),
    sqlite3.SQLITE_READONLY: ("the ledger is not writable", f"check owner and mode of the file; {_KEPT}"),
    sqlite3.SQLITE_PERM: ("the ledger is not writable", f"check owner and mode of the file; {_KEPT}"),
    sqlite3.SQLITE_CANTOPEN: (
        "there is no ledger here, or it cannot be opened",
        "start the gateway once, or check ledger.dir and the folder's owner and mode",
    ),
    sqlite3.SQLITE_NOTADB: (
        "this file is no SQLite database; it is damaged or something else",
        "move it away; a new ledger is made at the next start",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the ledger is corrupt",
        "save what can be read with `sqlite3 FILE .recover`, then move it away; a new one is made at the next start",
    ),
}


def _statements(script: str) -> Iterator[str]:
    """Single statements: ``executescript`` would commit the transaction that a migration runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
