"""What the ledger needs of a database, whichever it is: SQLite by default, PostgreSQL where it is configured.

SQL is written once, in the part of the language that both understand, with ``?`` or ``:name`` for parameters. Numbers
come back as ``int``, text as ``str``. Statements outside a :meth:`Database.transaction` or a ``BEGIN`` commit at once.
What differs is behind :class:`Database`; foreign errors become :class:`~trimaran.errors.LedgerError` there and nowhere
else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from trimaran.types import Secret

__all__ = ["Connection", "Cursor", "Database", "Place", "check_driver", "described", "is_url", "open_database"]

Place = str | os.PathLike[str] | Secret
"""Where a ledger is: the path of a file, or the URL ``postgresql://…`` of a database."""

Parameters = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """The answer to one statement."""

    @property
    def description(self) -> Any:
        """For each column a sequence whose first item is its name."""

    def fetchone(self) -> Any:
        """The next row as a tuple, or ``None``."""

    def fetchall(self) -> list[Any]:
        """All further rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """One connection, used by one thread. ``sqlite3.Connection`` is one as it stands."""

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Run one statement once for each row of parameters."""

    def close(self) -> None:
        """Close; an open transaction is rolled back."""


class Database(Protocol):
    """An open ledger, its schema as new as this program's."""

    @property
    def where(self) -> str:
        """For people: the path, or the URL without its password."""

    @property
    def shared(self) -> bool:
        """Whether other installations may keep their ledger in it, too."""

    @property
    def connection(self) -> Connection: ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, alone among writers, and on disk when it ends. May wait for another writer."""

    def intern(self, table: str, columns: str, values: tuple[Any, ...]) -> int:
        """Id of the row of ``contexts`` or ``outcomes`` with these values; made if there is none. In a transaction."""

    def is_bad_record(self, error: Exception) -> bool:
        """Whether ``error`` is about the values that were to be stored, and not about the database."""

    def errors(self) -> AbstractContextManager[None]:
        """Turns the driver's errors into :class:`~trimaran.errors.LedgerError`, said plainly."""

    def close(self) -> None: ...


def is_url(place: Place) -> bool:
    """Whether it names a database server and not a file."""
    return isinstance(place, Secret) or str(place).startswith(("postgresql://", "postgres://"))


def described(place: Place) -> str:
    """For people: the path, or the URL without its password."""
    if not is_url(place):
        return str(place)
    from trimaran.ledger.postgres import without_password

    return without_password(place.reveal() if isinstance(place, Secret) else str(place))


def check_driver(place: Place) -> None:
    """Raise :class:`~trimaran.errors.ConfigError` when what ``place`` needs is not installed."""
    if is_url(place):
        from trimaran.ledger.postgres import load_driver

        load_driver()


def open_database(place: Place, *, read_only: bool = False) -> Database:
    """Open, make or migrate the ledger at ``place``; ``read_only`` does neither of the latter.

    Raises:
        ConfigError: the driver that it needs is not installed.
        LedgerError: it cannot be used now; the message says why and what to do.
    """
    if is_url(place):
        from trimaran.ledger.postgres import PostgresLedger

        return PostgresLedger(place.reveal() if isinstance(place, Secret) else str(place), read_only=read_only)
    from trimaran.ledger.sqlite import SqliteLedger

    assert not isinstance(place, Secret)
    return SqliteLedger(Path(place), read_only=read_only)
