"""Journal records to rows: ``Started`` and ``Settled`` of one attempt become one row, in one statement where possible.

Most attempts begin and end within one batch, so their two records are joined here before the database sees them. The others
are two upserts that meet in the row, in whichever order they come. Repeating any of it changes nothing.

Records are taken as the plain lists that MessagePack decodes to (their checksum vouches for them); the slices below
follow the field order in :mod:`.records`, and a test holds both together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trimaran.ledger.database import Database
from trimaran.ledger.records import PriceUsed, Settled, Started
from trimaran.types import Usage

__all__ = ["RowWriter"]

_NOT_A_RECORD = (msgspec.MsgspecError, OverflowError, TypeError, ValueError, LookupError)
"""How a record that is not what it should be shows itself before the database sees it."""

Row = list[Any]
Values = Sequence[Any]

_LANE = slice(12, 24)
_STARTED, _SETTLED, _PRICE_USED, _CAPACITY_USED = 1, 2, 3, 4


def _blank(kind: type[Started | Settled]) -> Row:
    blank: Row = msgspec.msgpack.decode(msgspec.msgpack.encode(kind("", 1, 0)))
    return blank


_BLANK = {_STARTED: _blank(Started), _SETTLED: _blank(Settled)}
_STARTED_LENGTH, _SETTLED_LENGTH = len(_BLANK[_STARTED]), len(_BLANK[_SETTLED])
_USAGE_LENGTH = len(Usage.__struct_fields__)
_NO_USAGE = [None] * _USAGE_LENGTH
_UNKNOWN = tuple(_BLANK[_STARTED][5:15])
"""The context of an attempt whose ``Started`` is not known."""

_CONTEXT = "key_id, tags, model, target, provider, upstream_model, dialect_in, dialect_out, stream, simulated"
_OUTCOME = "status, http_status, error_code, finish_reason, price_version, estimated"
_START = "bound_nanos, input_tokens_estimate, max_output_tokens, why, snapshot, worker, fallback_model"
_END = (
    "settled_ns, outcome, reason, ttft_us, latency_us, input_tokens, output_tokens, cached_read_tokens, "
    "cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, web_searches, "
    "file_searches, cost_nanos, service_tier"
)
_KEY = "request_id, attempt, tenant, context, started_ns"


def _insert(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(', ')))})"


def _upsert(columns: str, update: str) -> str:
    assignments = ", ".join(f"{name} = excluded.{name}" for name in update.split(", "))
    return f"{_insert('attempt_rows', columns)} ON CONFLICT (request_id, attempt) DO UPDATE SET {assignments}"


def _once(table: str, columns: str) -> str:
    return f"{_insert(table, columns)} ON CONFLICT DO NOTHING"


_WHOLE = _upsert(f"{_KEY}, {_START}, {_END}", f"tenant, context, started_ns, {_START}, {_END}")
_OPENED = _upsert(f"{_KEY}, {_START}", f"tenant, context, started_ns, {_START}")
_CLOSED = _upsert(f"{_KEY}, {_END}", _END)
_PRICE = _once("price_versions", "target, version, source, as_of, price, valid_from")
_CAPACITY = _once(
    "capacity",
    "pool, from_ns, until_ns, replicas, offer, platform, region, purchase_option, hourly_nanos, amortised_hourly_nanos, "
    "source, as_of, simulated",
)
_CAPACITY_LENGTH = 14


class RowWriter:
    """Writes batches of payloads through one connection, within the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        self._decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode
        self._contexts = _Interned(database, "contexts", _CONTEXT)
        self._outcomes = _Interned(database, "outcomes", _OUTCOME)
        self.newest_ns = 0
        """Wall time of the newest record written so far."""
        self.lanes: set[str] = set()
        """Lanes of the request ids (see :mod:`.ids`) in the last :meth:`write`."""

    def forget(self) -> None:
        """The transaction was rolled back: what was interned in it does not exist."""
        self._contexts.clear()
        self._outcomes.clear()

    def write(self, payloads: Sequence[bytes]) -> int:
        """Write all; returns how many of them could not be understood or stored."""
        self.lanes.clear()
        self._connection.execute("SAVEPOINT batch")
        try:
            bad = self._write(payloads)
        except Exception as error:
            if not self._is_bad_record(error):
                raise
            # One of them is not what it should be. It must not hold up the others: write each on its own.
            self._connection.execute("ROLLBACK TO batch")
            self.forget()
            bad = sum(self._write_alone(payload) for payload in payloads)
        self._connection.execute("RELEASE batch")
        return bad

    def _write_alone(self, payload: bytes) -> int:
        self._connection.execute("SAVEPOINT record")
        try:
            bad = self._write([payload])
        except Exception as error:
            if not self._is_bad_record(error):
                raise
            self._connection.execute("ROLLBACK TO record")
            self.forget()
            bad = 1
        self._connection.execute("RELEASE record")
        return bad

    def _is_bad_record(self, error: Exception) -> bool:
        return isinstance(error, _NOT_A_RECORD) or self._database.is_bad_record(error)

    def _write(self, payloads: Sequence[bytes]) -> int:
        decode, contexts, outcomes = self._decode, self._contexts, self._outcomes
        started: dict[tuple[str, int], Row] = {}
        whole: list[Values] = []
        closed: list[Values] = []
        prices: list[Values] = []
        capacity: list[Values] = []
        bad = 0
        newest = self.newest_ns
        for payload in payloads:
            row = decode(payload)
            kind = row[0]
            if kind == _STARTED:
                started[row[1], row[2]] = row if len(row) >= _STARTED_LENGTH else _padded(row)
            elif kind == _SETTLED:
                if len(row) < _SETTLED_LENGTH:
                    row = _padded(row)
                end = (row[3], outcomes[tuple(row[5:11])], *row[11:14], *_usage(row[14]), row[15], row[16])
                begin = started.pop((row[1], row[2]), None)
                if begin is None:
                    # Its Started is in another batch, whose values the upsert keeps; or it is lost, and then this is
                    # the best estimate.
                    begin_ns = row[3] - row[13] * 1000
                    closed.append((row[1], row[2], row[4], contexts[_UNKNOWN], begin_ns, *end))
                else:
                    whole.append((*_key(begin, contexts), *begin[15:_STARTED_LENGTH], *end))
            elif kind == _PRICE_USED:
                prices.append(_price(payload))
                continue
            elif kind == _CAPACITY_USED:
                capacity.append(row[1:_CAPACITY_LENGTH])
                continue
            else:
                bad += 1
                continue
            if row[3] > newest:
                newest = row[3]
        execute = self._connection.executemany
        execute(_WHOLE, whole)
        execute(_OPENED, [(*_key(row, contexts), *row[15:_STARTED_LENGTH]) for row in started.values()])
        execute(_CLOSED, closed)
        execute(_PRICE, prices)
        execute(_CAPACITY, capacity)
        self.newest_ns = newest
        for rows in (whole, closed, started):
            self.lanes.update([row[0][_LANE] for row in rows])
        return bad


class _Interned(dict[tuple[Any, ...], int]):
    """Ids of rows that are written once: looked up in memory, then in the table, else inserted."""

    def __init__(self, database: Database, table: str, columns: str) -> None:
        super().__init__()
        self._database, self._table, self._columns = database, table, columns

    def __missing__(self, values: tuple[Any, ...]) -> int:
        if len(self) >= _MOST_INTERNED:
            self.clear()
        self[values] = identity = self._database.intern(self._table, self._columns, values)
        return identity


_MOST_INTERNED = 50_000
"""Names can come from clients, so the memory for them is limited."""


def _padded(row: Row) -> Row:
    """A record of an older writer: the fields that it did not know get their defaults."""
    return row + _BLANK[row[0]][len(row) :]


def _key(row: Row, contexts: _Interned) -> Values:
    """Values of ``_KEY`` from a ``Started``."""
    return (row[1], row[2], row[4], contexts[tuple(row[5:15])], row[3])


def _usage(usage: list[int] | None) -> Sequence[int | None]:
    if usage is None:
        return _NO_USAGE
    if len(usage) == _USAGE_LENGTH:
        return usage
    # A kind that an older writer did not know was not counted: that is not the same as none.
    return [*usage[:_USAGE_LENGTH], *_NO_USAGE[len(usage) :]]


def _price(payload: bytes) -> Values:
    record = msgspec.msgpack.decode(payload, type=PriceUsed)
    price = record.price
    return (
        record.target,
        price.version,
        price.source,
        price.as_of,
        msgspec.json.encode(price).decode(),
        price.valid_from,
    )
