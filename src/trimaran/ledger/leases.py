"""The budgets' own file: what each account has used, and what is leased to workers, before any of it may be used.

An *account* is an allowance in one window of its period. A *lease* is what one life of one worker may use of it in all:
its amount grows with each grant and shrinks with what is returned. A lease that is in the file counts as used, until its
life's true use is known; then it is closed, which adds its use to the account and removes the lease.

Rows are written with absolute values, so writing a batch twice changes nothing. A batch is one transaction, synced to
disk. The file belongs to one process: it is locked for as long as it is open, because two authorities would each grant
the whole limit. A store belongs to the thread that opened it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from trimaran.errors import LedgerError
from trimaran.ledger.folders import make_private
from trimaran.ledger.sqlite_care import pragma, said_plainly, transaction

__all__ = ["AccountRow", "LeaseRow", "LeaseStore"]

_APPLICATION_ID = 0x54524942
"""``TRIB``, in the file's header."""

_VERSION = 1
_SCHEMA = (
    """CREATE TABLE accounts (
        allowance TEXT NOT NULL,
        start_ns INTEGER NOT NULL,       -- of the window, wall clock
        end_ns INTEGER NOT NULL,
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        unit TEXT NOT NULL,
        period TEXT NOT NULL,
        used INTEGER NOT NULL,           -- by leases that are closed: nano-dollars, tokens or requests
        alerted INTEGER NOT NULL,        -- the highest threshold that was told, in percent
        PRIMARY KEY (allowance, start_ns)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE leases (
        allowance TEXT NOT NULL,
        start_ns INTEGER NOT NULL,
        life TEXT NOT NULL,              -- first request id of the worker's life
        journal TEXT NOT NULL,           -- of that life; '': the ledger does not know all that it used
        amount INTEGER NOT NULL,
        used INTEGER NOT NULL,           -- as the worker last told; the truth is between this and the amount
        PRIMARY KEY (allowance, start_ns, life)
    ) STRICT, WITHOUT ROWID""",
)


class AccountRow(msgspec.Struct, array_like=True):
    """One allowance in one window. Amounts in its unit; times are wall clock, nanoseconds since 1970."""

    allowance: str
    start_ns: int
    end_ns: int
    scope: str
    name: str
    unit: str
    period: str
    used: int = 0
    """By leases that are closed."""
    alerted: int = 0
    """The highest threshold that was told, in percent."""


class LeaseRow(msgspec.Struct, array_like=True):
    """What one life of one worker may use of an account."""

    allowance: str
    start_ns: int
    life: str
    """First request id of that life: begins with its time, holds its lane."""
    journal: str
    """Name of its journal's segments (``worker-0.<boot>``); empty where the ledger does not know all that it used."""
    amount: int = 0
    used: int = 0
    """As the worker last told."""


class LeaseStore:
    """One connection to the budgets' file at ``path`` (``:memory:`` for none)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open, create and lock.

        Raises:
            LedgerError: held by another process, not such a file, corrupt, of a newer version, or not writable.
        """
        self.path = Path(path)
        with self._errors():
            if path != ":memory:":
                make_private(self.path.parent)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        try:
            with self._errors():
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                with transaction(self._connection):
                    self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close and unlock."""
        self._connection.close()

    def load(self) -> tuple[list[AccountRow], list[LeaseRow]]:
        """Everything, in the order of allowance and window. Raises :class:`LedgerError`."""
        with self._errors():
            accounts = self._connection.execute("SELECT * FROM accounts ORDER BY 1, 2").fetchall()
            leases = self._connection.execute("SELECT * FROM leases ORDER BY 1, 2, 3").fetchall()
        return [AccountRow(*row) for row in accounts], [LeaseRow(*row) for row in leases]

    def write(
        self,
        accounts: Iterable[AccountRow] = (),
        leases: Iterable[LeaseRow] = (),
        closed: Iterable[tuple[str, int, str]] = (),
        forgotten: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Write rows as they are now, remove leases that are ``closed`` and accounts that are ``forgotten``: all or
        nothing. Idempotent. Once it returns it survives even a power cut. Raises :class:`LedgerError`.
        """
        execute = self._connection.executemany
        with self._errors(), transaction(self._connection):
            execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_values, accounts))
            execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)", map(_values, leases))
            execute("DELETE FROM leases WHERE allowance = ? AND start_ns = ? AND life = ?", closed)
            execute("DELETE FROM accounts WHERE allowance = ? AND start_ns = ?", forgotten)

    def _prepare(self) -> None:
        version, application = pragma(self._connection, "user_version"), pragma(self._connection, "application_id")
        if (version or self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]) and (
            application != _APPLICATION_ID
        ):
            raise LedgerError(
                "this is not a file of budgets",
                where=str(self.path),
                hint="move it away, or set ledger.dir to a folder of its own",
            )
        if version > _VERSION:
            raise LedgerError(
                f"the budgets have version {version}; this program knows versions up to {_VERSION}",
                where=str(self.path),
                hint="run the newer Trimaran that wrote them, or set ledger.dir to another folder",
            )
        if version == 0:
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")

    def _errors(self) -> AbstractContextManager[None]:
        unusable = "the budgets cannot be kept"
        return said_plainly(_PLAINLY, failed=unusable, unusable=unusable, where=str(self.path))


_PLAINLY = {
    sqlite3.SQLITE_BUSY: (
        "another gateway keeps its budgets in this folder",
        "stop it, or set ledger.dir to a folder of its own",
    ),
    sqlite3.SQLITE_FULL: ("the disk of the budgets is full", "free some space"),
    sqlite3.SQLITE_READONLY: ("the budgets are not writable", "check owner and mode of the file"),
    sqlite3.SQLITE_CANTOPEN: ("the budgets cannot be opened", "check ledger.dir and the folder's owner and mode"),
    sqlite3.SQLITE_NOTADB: (
        "this file is no SQLite database; it is damaged or something else",
        "put back a copy, or move it away: what was used of the limits is then forgotten, and they begin anew",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the budgets are corrupt",
        "move the file away; what was used in the periods that run now is forgotten by that",
    ),
}


def _values(row: AccountRow | LeaseRow) -> tuple[object, ...]:
    return msgspec.structs.astuple(row)
