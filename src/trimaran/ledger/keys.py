"""The file of client keys that ``trimaran keys`` makes: digests, and the history of who made, rotated and revoked them.

A row is one secret; its name can have several, because a rotated secret stays valid for its grace time. A row is never
deleted and a name is never given to another tenant: the ledger's rows name keys, and what they mean must not change. One
secret of a name is *current*: neither rotated nor revoked; the database itself allows no second one.

Every change is one transaction, synced to disk. Whoever holds no connection open leaves one file behind, so that looking at
it and at its ``-wal`` tells whether it changed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trimaran.errors import ConfigError, LedgerError
from trimaran.ledger.folders import make_private
from trimaran.ledger.sqlite_care import pragma, said_plainly, transaction

__all__ = ["KeyRow", "KeyStore", "read_keys"]

_APPLICATION_ID = 0x5452494B
"""``TRIK``, in the file's header."""

_BUSY_S = 5.0

_V1 = (
    """CREATE TABLE keys (
        number INTEGER PRIMARY KEY,      -- in the order in which they were made
        name TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE,     -- SHA-256 of the secret
        prefix TEXT NOT NULL,            -- the secret's first characters, to recognise it
        tenant TEXT NOT NULL,
        tags TEXT NOT NULL,              -- JSON object
        models TEXT NOT NULL,            -- JSON list; empty: all
        budget TEXT NOT NULL,            -- JSON list of texts: 500 USD/month
        rpm INTEGER,
        tpm INTEGER,
        expires_ns INTEGER,              -- wall clock; null: never
        created_ns INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        rotated_ns INTEGER,              -- another secret took its place
        rotated_by TEXT,
        valid_until_ns INTEGER,          -- end of its grace time
        revoked_ns INTEGER,
        revoked_by TEXT
    ) STRICT""",
    "CREATE UNIQUE INDEX one_current_secret ON keys (name) WHERE rotated_ns IS NULL AND revoked_ns IS NULL",
)
MIGRATIONS = (_V1,)
"""Statements that lead from each version to the next. One that has been released is never edited."""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of one key. Times are wall clock, nanoseconds since 1970."""

    number: int = 0
    """Given by the store."""
    name: str
    digest: bytes
    """SHA-256 of the secret."""
    prefix: str
    """Its first characters."""
    tenant: str
    tags: dict[str, str] = {}
    models: tuple[str, ...] = ()
    """Empty: all."""
    budget: tuple[str, ...] = ()
    """As ``config.parse_budget`` reads them."""
    rpm: int | None = None
    tpm: int | None = None
    expires_ns: int | None = None
    created_ns: int
    created_by: str
    """User of the operating system."""
    rotated_ns: int | None = None
    rotated_by: str | None = None
    valid_until_ns: int | None = None
    """End of the grace time of a secret that was rotated."""
    revoked_ns: int | None = None
    revoked_by: str | None = None

    def __repr__(self) -> str:
        return f"KeyRow(name={self.name!r}, tenant={self.tenant!r}, prefix={self.prefix!r})"

    @property
    def ends_ns(self) -> int | None:
        """From when on the secret is refused; ``None``: never. Revocation aside."""
        ends = [each for each in (self.expires_ns, self.valid_until_ns) if each is not None]
        return min(ends, default=None)

    def state(self, now_ns: int) -> str:
        """``active``; ``grace`` (rotated and still valid); ``rotated``, ``expired`` or ``revoked`` (refused)."""
        if self.revoked_ns is not None:
            return "revoked"
        if self.expires_ns is not None and now_ns >= self.expires_ns:
            return "expired"
        if self.rotated_ns is None:
            return "active"
        return "grace" if self.valid_until_ns is not None and now_ns < self.valid_until_ns else "rotated"


_COLUMNS = KeyRow.__struct_fields__
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM keys"
_INSERT = f"INSERT INTO keys ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_JSON = ("tags", "models", "budget")


def read_keys(path: str | os.PathLike[str]) -> tuple[KeyRow, ...]:
    """All rows in the order in which they were made, revoked ones too; none where there is no file.

    Raises:
        LedgerError: the file cannot be read, is none of keys, or a newer version wrote it.
    """
    if not os.path.lexists(path):
        return ()
    with KeyStore(path, create=False) as store:
        return store.rows()


class KeyStore:
    """One connection to the keys at ``path``; it belongs to the thread that opened it."""

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        """Open and migrate; with ``create`` also make it, for its owner only.

        Raises:
            LedgerError: not such a file, corrupt, of a newer version, or not accessible.
        """
        self.path = Path(path)
        with self._errors():
            if create:
                make_private(self.path.parent)
                # SQLite gives its side files the mode of the main one, so that one must be right from the first moment.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            uri = f"{self.path.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
        try:
            with self._errors():
                self._prepare(create)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> KeyStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def rows(self, name: str = "") -> tuple[KeyRow, ...]:
        """All secrets, or those of one key, in the order in which they were made."""
        with self._errors():
            where = " WHERE name = ?" if name else ""
            found = self._connection.execute(f"{_SELECT}{where} ORDER BY number", (name,) if name else ()).fetchall()
            return tuple(map(_row, found))

    def create(self, row: KeyRow) -> None:
        """Keep a new key. Raises :class:`ConfigError` when its name is in use, or was another tenant's."""
        with self._errors(), transaction(self._connection):
            for other in self.rows(row.name):
                if other.tenant != row.tenant:
                    raise ConfigError(
                        f"the name {row.name} was given to the tenant {other.tenant}, and the ledger knows it as that",
                        hint="choose another name",
                    )
                if other.revoked_ns is None:
                    raise ConfigError(
                        f"there is a key {row.name} already",
                        hint=f"choose another name, or give it a new secret: trimaran keys rotate {row.name}",
                    )
            self._connection.execute(_INSERT, _values(row))

    def rotate(self, name: str, secret: KeyRow, valid_until_ns: int) -> KeyRow:
        """Give a key a new secret; earlier ones are valid until ``valid_until_ns`` at most. The new row.

        Of ``secret`` count digest, prefix, creation and, where it is set, the expiry; the rest is taken over.
        Raises :class:`ConfigError` when there is no such key, or it has expired and would stay so.
        """
        now_ns = secret.created_ns
        with self._errors(), transaction(self._connection):
            current = self._current(name)
            if secret.expires_ns is None and current.state(now_ns) == "expired":
                raise ConfigError(f"the key {name} has expired", hint="give the new secret a time: --expires 90d")
            row = msgspec.structs.replace(
                current,
                number=0,
                digest=secret.digest,
                prefix=secret.prefix,
                created_ns=now_ns,
                created_by=secret.created_by,
                expires_ns=current.expires_ns if secret.expires_ns is None else secret.expires_ns,
            )
            self._connection.execute(
                "UPDATE keys SET rotated_ns = coalesce(rotated_ns, ?), rotated_by = coalesce(rotated_by, ?), "
                "valid_until_ns = min(coalesce(valid_until_ns, ?), ?) WHERE name = ? AND revoked_ns IS NULL",
                (now_ns, secret.created_by, valid_until_ns, valid_until_ns, name),
            )
            self._connection.execute(_INSERT, _values(row))
        return row

    def revoke(self, name: str, now_ns: int, by: str) -> None:
        """Refuse every secret of a key from now on. Raises :class:`ConfigError` when there is no such key."""
        with self._errors(), transaction(self._connection):
            self._current(name)
            self._connection.execute(
                "UPDATE keys SET revoked_ns = ?, revoked_by = ? WHERE name = ? AND revoked_ns IS NULL",
                (now_ns, by, name),
            )

    def _current(self, name: str) -> KeyRow:
        rows = self.rows(name)
        for row in rows:
            if row.rotated_ns is None and row.revoked_ns is None:
                return row
        if rows:
            raise ConfigError(f"the key {name} is revoked", hint=f"make a new one: trimaran keys create {name}")
        raise ConfigError(f"there is no key {name} in {self.path}", hint="trimaran keys list shows those that are")

    def _prepare(self, create: bool) -> None:
        version, application = pragma(self._connection, "user_version"), pragma(self._connection, "application_id")
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if (version or tables) and application != _APPLICATION_ID:
            raise LedgerError(
                "this is not a file of keys",
                where=str(self.path),
                hint="move it away, or set ledger.dir to a folder of its own",
            )
        if version > len(MIGRATIONS):
            raise LedgerError(
                f"the keys have version {version}; this program knows versions up to {len(MIGRATIONS)}",
                where=str(self.path),
                hint="run the newer Trimaran that wrote them, or set ledger.dir to another folder",
            )
        if version == 0 and not create:
            # Perhaps it held keys: taking it for none would serve without.
            raise LedgerError(
                "the file of keys is empty",
                where=str(self.path),
                hint="put a copy in its place, or make a key in it: trimaran keys create NAME",
            )
        self._connection.execute("PRAGMA synchronous = FULL")
        if version < len(MIGRATIONS):
            self._connection.execute("PRAGMA journal_mode = WAL")
            with transaction(self._connection):
                # Asked again under the lock: another process may have migrated meanwhile.
                for statements in MIGRATIONS[pragma(self._connection, "user_version") :]:
                    for statement in statements:
                        self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        unusable = "the keys cannot be kept"
        try:
            with said_plainly(
                _PLAINLY, failed="the keys cannot be read or kept", unusable=unusable, where=str(self.path)
            ):
                yield
        except msgspec.ValidationError as error:
            raise LedgerError(f"the keys hold a row that means nothing: {error}", where=str(self.path)) from error


_PLAINLY = {
    sqlite3.SQLITE_BUSY: ("the keys are locked by another process", "try again in a moment"),
    sqlite3.SQLITE_FULL: ("the disk of the keys is full", "free some space"),
    sqlite3.SQLITE_READONLY: ("the keys are not writable", "check owner and mode of the file"),
    sqlite3.SQLITE_CANTOPEN: ("the keys cannot be opened", "check ledger.dir, and owner and mode of folder and file"),
    sqlite3.SQLITE_NOTADB: (
        "this file is no SQLite database; it is damaged or something else",
        "put a copy of keys.sqlite3 in its place; moving it away makes its keys unknown",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the file of keys is corrupt",
        "put a copy of keys.sqlite3 in its place, or save what can be read with `sqlite3 FILE .recover`",
    ),
}


def _values(row: KeyRow) -> tuple[object, ...]:
    values = msgspec.structs.asdict(row) | {"number": None}
    for column in _JSON:
        values[column] = json.dumps(values[column], ensure_ascii=False, sort_keys=True)
    return tuple(values[column] for column in _COLUMNS)


def _row(values: tuple[object, ...]) -> KeyRow:
    found = dict(zip(_COLUMNS, values, strict=True))
    for column in _JSON:
        try:
            found[column] = json.loads(str(found[column]))
        except ValueError:
            raise msgspec.ValidationError(f"{column} is no JSON") from None
    return msgspec.convert(found, KeyRow)
