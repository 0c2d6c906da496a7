"""The ledger in a SQLite file: opening, migrating, transactions, and its errors in plain words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from trimaran.errors import LedgerError
from trimaran.ledger.folders import make_private
from trimaran.ledger.schema import APPLICATION_ID, MIGRATIONS
from trimaran.ledger.sqlite_care import pragma, said_plainly, transaction

__all__ = ["SqliteLedger"]

_BUSY_S = 5.0
_OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""

_BAD_RECORD = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""How SQLite refuses values. Everything else is trouble with the file."""


class SqliteLedger:
    """See :class:`~trimaran.ledger.database.Database`."""

    connection: sqlite3.Connection
    shared = False

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise LedgerError(f"SQLite {sqlite3.sqlite_version} is too old; the ledger needs 3.37", where=self.where)
        with self.errors():
            if read_only:
                uri = path.absolute().as_uri() + "?mode=ro"
                self.connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
            else:
                make_private(path.parent)
                # SQLite gives its side files the mode of the main one, so that one must be right from the first moment.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                self.connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
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

    @property
    def where(self) -> str:
        return str(self._path)

    def close(self) -> None:
        self.connection.close()

    def is_bad_record(self, error: Exception) -> bool:
        return isinstance(error, _BAD_RECORD)

    def intern(self, table: str, columns: str, values: tuple[Any, ...]) -> int:
        select, insert = _interning(table, columns)
        row = self.connection.execute(select, values).fetchone()
        identity: int | None = row[0] if row else self.connection.execute(insert, values).lastrowid
        assert identity is not None
        return identity

    def transaction(self) -> AbstractContextManager[None]:
        return transaction(self.connection)

    def errors(self) -> AbstractContextManager[None]:
        return said_plainly(
            _PLAINLY,
            failed="the ledger failed",
            unusable="the ledger cannot be used",
            where=self.where,
            hint="check ledger.dir and the folder's owner and mode",
        )

    def _check_version(self, read_only: bool) -> None:
        version = pragma(self.connection, "user_version")
        tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if pragma(self.connection, "application_id") != APPLICATION_ID and (tables or version or read_only):
            raise LedgerError(
                "this is not a Trimaran ledger",
                where=self.where,
                hint="set ledger.dir to a folder of its own"
                if tables
                else "start the gateway once; it makes the ledger",
            )
        if version > len(MIGRATIONS):
            raise LedgerError(
                f"the ledger has version {version}; this program knows versions up to {len(MIGRATIONS)}",
                where=self.where,
                hint="run the newer Trimaran that wrote it, or set ledger.dir to another folder",
            )
        if read_only and version < len(MIGRATIONS):
            raise LedgerError(
                f"the ledger has version {version} and must be brought to {len(MIGRATIONS)} first",
                where=self.where,
                hint="start the gateway once; it does so",
            )

    def _migrate(self) -> None:
        if pragma(self.connection, "user_version") == len(MIGRATIONS):
            return
        with self.transaction():
            # Asked again under the lock: another process may have migrated meanwhile.
            done = pragma(self.connection, "user_version")
            for number, script in enumerate(MIGRATIONS[done:], done + 1):
                for statement in _statements(script):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version = {number}")
            self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@cache
def _interning(table: str, columns: str) -> tuple[str, str]:
    names = columns.split(", ")
    where = " AND ".join(f"{name} = ?" for name in names)
    insert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"
    return f"SELECT id FROM {table} WHERE {where}", insert


def _statements(script: str) -> Iterator[str]:
    """Single statements: ``executescript`` would commit the transaction that a migration runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


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
        "move it away; the gateway then makes a new ledger",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the ledger is corrupt",
        "save what can be read with `sqlite3 FILE .recover`, then move it away; the gateway then makes a new one",
    ),
}
