"""The ledger in a PostgreSQL database, in a schema of its own: ``SELECT … FROM trimaran.attempts``.

Writers take turns by an advisory lock that ends with their transaction, so any number of gateways may share a database.
A server that is away, restarts or is cut off shows as :class:`~trimaran.errors.LedgerError` within seconds; the
connection is not used after that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from trimaran.errors import ConfigError, LedgerError
from trimaran.ledger.postgres_connection import PostgresConnection
from trimaran.ledger.schema import POSTGRES_MIGRATIONS

__all__ = ["SCHEMA", "PostgresLedger", "load_driver", "without_password"]

SCHEMA = "trimaran"
_NEWEST = max(POSTGRES_MIGRATIONS)
_LOCK = 0x5452494D
"""Of the advisory locks: ``TRIM``."""
_CONNECT_S = 5
_WAIT_MS = 10_000
"""For a lock that another writer holds, and for a server that does not answer."""
_SESSION = (
    f"SET search_path = {SCHEMA}, pg_catalog",
    f"SET lock_timeout = {_WAIT_MS}",
    "SET client_min_messages = warning",
    "SET standard_conforming_strings = on",
)
_BEGIN = f"""SELECT pg_advisory_xact_lock({_LOCK}),
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END"""
"""A segment is removed after its commit, so that commit must be on disk, whatever the server's setting."""

_BAD_RECORD_CLASSES = ("22", "23", "42", "54")
"""SQLSTATE classes of errors that are about values: data, constraints, their types, their size."""


class PostgresLedger:
    """See :class:`~trimaran.ledger.database.Database`."""

    shared = True

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._psycopg = psycopg = load_driver()
        self._where = without_password(url)
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # What the driver says about it may quote the password.
            raise ConfigError(
                "the driver cannot read this URL",
                where="ledger.url",
                hint="postgresql://user:password@host:port/database, with special characters as %XX",
            ) from None
        with self.errors():
            connection = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=_CONNECT_S,
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=_WAIT_MS,
                application_name="trimaran",
            )
        self.connection = PostgresConnection(connection)
        try:
            with self.errors():
                for statement in _SESSION:
                    self.connection.execute(statement)
                self._check_version(read_only)
                if not read_only:
                    self._migrate()
                else:
                    # All answers of one report are about the same rows.
                    self.connection.execute(
                        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                    )
        except BaseException:
            self.connection.close()
            raise

    @property
    def where(self) -> str:
        return self._where

    def close(self) -> None:
        self.connection.close()

    def is_bad_record(self, error: Exception) -> bool:
        if not isinstance(error, self._psycopg.Error):
            return False
        # What the driver itself cannot send has no SQLSTATE; nor has a broken connection, which is operational.
        if error.sqlstate is None:
            return not isinstance(error, self._psycopg.OperationalError)
        return error.sqlstate[:2] in _BAD_RECORD_CLASSES

    def intern(self, table: str, columns: str, values: tuple[Any, ...]) -> int:
        digest = hashlib.blake2b(repr(values).encode(), digest_size=16).hexdigest()
        select, insert = _interning(table, columns)
        row = self.connection.execute(select, (digest,)).fetchone()
        if row is None:
            row = self.connection.execute(insert, (*values, digest)).fetchone()
        identity: int = row[0]
        return identity

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        try:
            self.connection.execute(_BEGIN)
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            with suppress(self._psycopg.Error):
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except self._psycopg.Error as error:
            message, hint = _plainly(error.sqlstate, _one_line(error))
            raise LedgerError(message, where=self.where, hint=hint) from error

    def _check_version(self, read_only: bool) -> None:
        version, tables = self._version()
        if tables and not version:
            raise LedgerError(
                f"the schema {SCHEMA} of this database holds something else",
                where=self.where,
                hint="name another database in ledger.url",
            )
        if version > _NEWEST:
            raise LedgerError(
                f"the ledger has version {version}; this program knows versions up to {_NEWEST}",
                where=self.where,
                hint="run the newer Trimaran that wrote it, or name another database in ledger.url",
            )
        if read_only and version < _NEWEST:
            raise LedgerError(
                f"the ledger has version {version} and must be brought to {_NEWEST} first"
                if version
                else "there is no ledger in this database",
                where=self.where,
                hint="start the gateway once; it does so" if version else "start the gateway once; it makes the ledger",
            )

    def _version(self) -> tuple[int, int]:
        """Version, 0 for none, and how many tables and views there are."""
        names = {
            name
            for (name,) in self.connection.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = ? AND c.relkind IN ('r', 'v', 'm', 'p')",
                (SCHEMA,),
            )
        }
        if "ledger_version" not in names:
            return 0, len(names)
        row = self.connection.execute(f"SELECT MAX(version) FROM {SCHEMA}.ledger_version").fetchone()
        return row[0] or 0, len(names)

    def _migrate(self) -> None:
        if self._version()[0] == _NEWEST:
            return
        with self.transaction():
            # Asked again under the lock: another process may have migrated meanwhile.
            version, tables = self._version()
            if not tables:
                exists = self.connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (SCHEMA,)).fetchone()
                if exists is None:
                    self.connection.execute(f"CREATE SCHEMA {SCHEMA}")
                self.connection.execute("CREATE TABLE ledger_version (version BIGINT PRIMARY KEY)")
            for number, script in sorted(POSTGRES_MIGRATIONS.items()):
                if number > version:
                    self.connection.script(script)
                    self.connection.execute("INSERT INTO ledger_version VALUES (?)", (number,))


@cache
def _interning(table: str, columns: str) -> tuple[str, str]:
    names = f"{columns}, digest"
    marks = ", ".join("?" * len(names.split(", ")))
    return f"SELECT id FROM {table} WHERE digest = ?", f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id"


def load_driver() -> Any:
    """The module ``psycopg``. Raises :class:`~trimaran.errors.ConfigError` when it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "the ledger is in a PostgreSQL database, and the driver for it is not installed",
            where="ledger.url",
            hint='pip install "trimaran[postgres]"',
        ) from error
    return psycopg


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    # The query may hold a password, too.
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{user}{host}{parts.path}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


_KEPT = "the records wait in the journal and are taken in later"
_PLAINLY = {
    "28": ("the database refuses this user or password", f"check ledger.url; {_KEPT}"),
    "3D": ("there is no such database on the server", f"create it, or check ledger.url; {_KEPT}"),
    "53": ("the database has no room or no connection left", _KEPT),
    "55": ("the ledger is locked by another process", _KEPT),
    "57": ("the database is shutting down or not ready", _KEPT),
    "25": ("the database is read-only", f"name the primary server in ledger.url; {_KEPT}"),
    "42": ("the ledger in this database cannot be used", f"check the user's rights; {_KEPT}"),
    "XX": ("the database is corrupt or failed", f"see its log; {_KEPT}"),
}


def _plainly(sqlstate: str | None, detail: str) -> tuple[str, str]:
    message, hint = _PLAINLY.get(
        (sqlstate or "")[:2], ("the database cannot be used now", f"check the server and ledger.url; {_KEPT}")
    )
    if sqlstate and sqlstate[:2] not in _PLAINLY:
        message = "the ledger failed"
    return f"{message}: {detail}", hint
