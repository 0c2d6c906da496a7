"""What every SQLite file of ours needs: one transaction, and errors that say plainly what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from trimaran.errors import LedgerError

__all__ = ["pragma", "said_plainly", "transaction"]


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The value of a numeric pragma."""
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the write lock is taken at the beginning."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # The first error is the one to report; a full disk may have rolled back already.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def said_plainly(
    known: Mapping[int, tuple[str, str]], *, failed: str, unusable: str, where: str, hint: str = ""
) -> Iterator[None]:
    """SQLite's and the system's errors as :class:`LedgerError`.

    ``known`` has message and hint by SQLite's primary code; ``failed`` stands before the words of any other one, and
    ``unusable`` before the system's, whose ``hint`` it is.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        message, what_to_do = known.get(code, (f"{failed}: {error}", ""))
        raise LedgerError(message, where=where, hint=what_to_do) from error
    except OSError as error:
        raise LedgerError(
            f"{unusable}: {error.strerror or error}", where=str(error.filename or where), hint=hint
        ) from error
