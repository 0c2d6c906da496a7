"""A connection to PostgreSQL that takes what a connection to SQLite takes.

Parameters are written ``?`` or ``:name``. Values are sent as SQLite's strict tables would take them: integers as
``bigint``, flags as 0 and 1, a float is refused. What PostgreSQL counts in ``numeric`` comes back as ``int``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from trimaran.ledger.database import Cursor

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresConnection"]

_PARAMETER = re.compile(r"'(?:[^']|'')*'|--[^\n]*|::|(\?)|:([a-z_][a-z0-9_]*)|(%)", re.IGNORECASE)


class PostgresConnection:
    """See :class:`~trimaran.ledger.database.Connection`."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        _adapt(connection)
        self._connection = connection

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        cursor: Cursor = self._connection.execute(_translated(sql), parameters or None)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> None:
        """In a pipeline: the rows follow each other without waiting for answers."""
        rows = parameters if isinstance(parameters, list) else list(parameters)
        if rows:
            self._connection.cursor().executemany(_translated(sql), rows)

    def script(self, statements: str) -> None:
        """Several statements without parameters, in the transaction that is open."""
        self._connection.execute(statements.encode())

    def close(self) -> None:
        self._connection.close()


@lru_cache(512)
def _translated(sql: str) -> bytes:
    """``?`` and ``:name`` as the driver writes them; text, comments and casts stay."""

    def driver_s(found: re.Match[str]) -> str:
        if found[1]:
            return "%s"
        if found[2]:
            return f"%({found[2]})s"
        return found[0].replace("%", "%%")

    return _PARAMETER.sub(driver_s, sql).encode()


def _adapt(connection: psycopg.Connection[Any]) -> None:
    from psycopg.adapt import Dumper, Loader
    from psycopg.types.numeric import Int8Dumper
    from psycopg.types.string import StrDumperUnknown

    class Flag(Int8Dumper):
        def dump(self, obj: Any) -> bytes:
            return b"1" if obj else b"0"

    class NoFloat(Dumper):
        def dump(self, obj: Any) -> bytes:
            raise TypeError("the ledger takes no float")

    class Text(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            # The one character that PostgreSQL cannot keep.
            return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)

    class Whole(Loader):
        def load(self, data: Any) -> int:
            whole, _, _ = bytes(data).partition(b".")
            return int(whole)

    adapters = connection.adapters
    # One type for all integers: otherwise each mixture of small and large ones is another statement to prepare.
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(bool, Flag)
    adapters.register_dumper(float, NoFloat)
    adapters.register_dumper(str, Text)
    adapters.register_loader("numeric", Whole)
