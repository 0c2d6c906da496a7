"""The store: taking in the journal exactly once, into whichever database.

A batch of records and the journal offset behind it are one transaction, and every row is keyed by request and attempt.
So a crash anywhere repeats at most work, never a row; and several processes may take in journals at once. A commit is
synced to disk before a segment is removed. Segments have names that are never used twice (see :mod:`.journal`), so the
offsets of many machines fit in one table.

A store belongs to the thread that opened it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from trimaran.errors import LedgerError
from trimaran.ledger.database import Connection, Place, open_database
from trimaran.ledger.rows import RowWriter
from trimaran.ledger.segments import SegmentReader, segment_paths
from trimaran.ledger.writers import Writers, installation

__all__ = ["IngestResult", "Store"]


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
    """One connection to the ledger at ``place``: the path of a SQLite file, or the URL of a PostgreSQL database.

    ``read_only`` neither creates nor migrates: for reports beside a running gateway.
    """

    def __init__(self, place: Place, *, read_only: bool = False) -> None:
        """Open, create and migrate.

        Raises:
            ConfigError: the database's driver is not installed.
            LedgerError: not there (read-only), not a ledger, corrupt, of a newer version, locked, away, not writable.
        """
        self._database = open_database(place, read_only=read_only)
        self._rows = RowWriter(self._database)
        self._writers = Writers(self._database)

    @property
    def where(self) -> str:
        """For people: the file's path, or the database's URL without its password."""
        return self._database.where

    @property
    def path(self) -> Path | None:
        """The file; ``None`` for a database on a server."""
        return None if self._database.shared else Path(self._database.where)

    @property
    def connection(self) -> Connection:
        """For questions in portable SQL (see :mod:`.database`), within :meth:`errors`."""
        return self._database.connection

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def errors(self) -> AbstractContextManager[None]:
        """Turns the database's errors into :class:`~trimaran.errors.LedgerError`, said plainly."""
        return self._database.errors()

    def ingest(self, directory: str | Path) -> IngestResult:
        """Take in what all journals in ``directory`` hold, and remove the segments that are finished.

        Raises:
            LedgerError: the store is locked, full, away or broken now. What was not taken in stays in the journal.
        """
        result = IngestResult()
        directory = Path(directory)
        if not directory.is_dir():
            return result
        with self.errors(), _said_plainly(directory):
            place = installation(directory) if self._database.shared else ""
            for path in segment_paths(directory):
                with suppress(FileNotFoundError), SegmentReader(path) as reader:
                    result.segments += 1
                    self._ingest_segment(path, reader, place, result)
            self._writers.retire(directory, place)
        return result

    def _ingest_segment(self, path: Path, reader: SegmentReader, place: str, result: IngestResult) -> None:
        offset = self._offset(path)[0]
        while True:
            payloads, end = reader.read(offset)
            damage = reader.damaged
            if payloads or damage:
                reader.damaged = 0
                with self._transaction():
                    if self._offset(path)[0] == offset:
                        damage += self._rows.write(payloads)
                        self._writers.register(path.name, self._rows.lanes, place)
                        self.connection.execute(
                            'INSERT INTO journal_offsets VALUES (?, ?, ?) ON CONFLICT (segment) DO UPDATE SET "offset" = '
                            'excluded."offset", damaged = journal_offsets.damaged + excluded.damaged',
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
            'SELECT "offset", damaged FROM journal_offsets WHERE segment = ?', (path.name,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._database.transaction():
                yield
        except BaseException:
            self._rows.forget()
            self._writers.forget()
            raise


@contextmanager
def _said_plainly(journal: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"the journal cannot be read or cleared: {error.strerror or error}",
            where=str(error.filename or journal),
            hint="check owner and mode of the journal's folder and files",
        ) from error
