"""One request explained: its attempts, what each cost line by line, and what of a pool it bears."""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.ledger.capacity import HOUR_NS
from trimaran.ledger.charges import Charge, charges
from trimaran.ledger.pools import Pool, read_contexts, read_pools
from trimaran.ledger.records import OPEN, decode_tags
from trimaran.ledger.store import Store
from trimaran.types import TokenPrice, Usage

__all__ = ["AttemptRow", "CapacityShare", "CostLine", "Explanation", "explain", "explanation"]


class AttemptRow(msgspec.Struct):
    """All that the ledger knows about one attempt. Units as in :mod:`.records`; ``price`` is what it was priced by."""

    request_id: str
    attempt: int
    tenant: str
    key_id: str
    tags: dict[str, str]
    model: str
    target: str
    provider: str
    upstream_model: str
    dialect_in: str
    dialect_out: str
    stream: bool
    simulated: bool
    started_ns: int
    settled_ns: int | None
    snapshot: int
    worker: int
    why: str
    bound_nanos: int | None
    input_tokens_estimate: int
    max_output_tokens: int | None
    status: str
    http_status: int | None
    error_code: str | None
    finish_reason: str | None
    reason: str
    ttft_us: int | None
    latency_us: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    cost_nanos: int | None
    price_version: str | None
    estimated: bool | None
    fallback_model: str = ""
    web_searches: int | None = None
    file_searches: int | None = None
    service_tier: str = ""
    price: TokenPrice | None = None

    @property
    def usage(self) -> Usage | None:
        """Its usage; a kind that was not counted is 0."""
        if self.input_tokens is None:
            return None
        return Usage(*(getattr(self, name) or 0 for name in Usage.__struct_fields__))


class CostLine(msgspec.Struct):
    """Part of a cost by tokens: ``quantity`` x ``picos`` = ``amount_picos``, in pico-dollars."""

    kind: str
    quantity: int
    picos: int
    amount_picos: int


class CapacityShare(msgspec.Struct):
    """What an attempt bears of its pool in one hour."""

    pool: str
    from_ns: int
    """Start of the hour."""
    platform: str
    region: str
    purchase_option: str
    offer: str
    hourly_nanos: int | None
    """For one replica; ``None`` is unknown."""
    source: str
    as_of: str
    tokens: int
    service_ns: int
    """How long it was in service within the hour."""
    nanos: int | None
    """``None``: the pool has no price."""
    amortised_nanos: int
    pool_nanos: int
    """What the pool cost in this hour, at this price; ``idle_nanos`` of it is borne by nobody."""
    idle_nanos: int


class Explanation(msgspec.Struct):
    """One attempt with what it cost and why."""

    attempt: AttemptRow
    waited_us: int | None
    """From the end of the attempt before it; ``None`` for the first. 0 where it began while that one ran."""
    lines: list[CostLine]
    rounding_picos: int | None
    """What the rounding up to a nano-dollar added; ``None`` where the lines do not tell the whole cost."""
    capacity: list[CapacityShare]
    cut_off: bool = False
    """It is open, and its process died: it never settles, and cost its bound at most."""


def explain(store: Store, request_id: str) -> list[AttemptRow]:
    """All attempts of a request, first to last, each with the price it was charged by. Empty: the ledger knows none.

    Raises :class:`~trimaran.errors.LedgerError`.
    """
    with store.errors():
        cursor = store.connection.execute("SELECT * FROM attempts WHERE request_id = ? ORDER BY attempt", (request_id,))
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, values, strict=True)) for values in cursor]
        return [_attempt(store, fields) for fields in found]


def explanation(store: Store, request_id: str) -> list[Explanation]:
    """All attempts of a request with their costs explained. Raises :class:`~trimaran.errors.LedgerError`."""
    rows = explain(store, request_id)
    if not rows:
        return []
    with store.errors():
        shares = _shares(store, rows)
        lane = store.connection.execute("SELECT lane FROM writers WHERE lane = ?", (request_id[12:24],)).fetchone()
    found = []
    ended_ns: int | None = None
    for row in rows:
        waited = None if ended_ns is None else max(row.started_ns - ended_ns, 0) // 1000
        lines, rounding = _lines(row)
        cut_off = row.status == OPEN and lane is None
        found.append(Explanation(row, waited, lines, rounding, shares.get(row.attempt, []), cut_off))
        ended_ns = row.started_ns + (row.latency_us or 0) * 1000
    return found


def _lines(row: AttemptRow) -> tuple[list[CostLine], int | None]:
    usage = row.usage
    if row.price is None or usage is None or row.cost_nanos is None:
        return [], None
    found: list[Charge] = charges(row.price, usage, row.service_tier)
    rounding = row.cost_nanos * 1000 - sum(each.amount_picos for each in found)
    lines = [CostLine(each.kind, each.quantity, each.picos, each.amount_picos) for each in found]
    return lines, rounding if 0 <= rounding < 1000 else None


def _shares(store: Store, rows: list[AttemptRow]) -> dict[int, list[CapacityShare]]:
    ended = [row for row in rows if row.status != OPEN]
    if not ended:
        return {}
    # Whole hours, because an attempt's share is decided by all that ran in them.
    first = min(row.started_ns for row in ended) // HOUR_NS * HOUR_NS
    last = max(row.started_ns + (row.latency_us or 0) * 1000 for row in ended) // HOUR_NS * HOUR_NS + HOUR_NS
    providers = {(row.provider, row.simulated) for row in ended}
    found: dict[int, list[CapacityShare]] = {}
    for identity, pool in read_pools(store, read_contexts(store), first, last).items():
        if identity in providers:
            for share in _of_pool(pool, rows[0].request_id):
                found.setdefault(share[0], []).append(share[1])
    return found


def _of_pool(pool: Pool, request_id: str) -> list[tuple[int, CapacityShare]]:
    return [
        (
            service.id[1],
            CapacityShare(
                pool.name,
                lot.hour * HOUR_NS,
                lot.kind.platform,
                lot.kind.region,
                lot.kind.purchase_option,
                lot.kind.offer,
                lot.kind.hourly_nanos,
                lot.kind.source,
                lot.kind.as_of,
                service.tokens,
                service.end_ns - service.start_ns,
                nanos if lot.known else None,
                amortised,
                lot.total_nanos,
                lot.idle_nanos,
            ),
        )
        for lot, service, nanos, amortised in pool.allocations
        if service.id[0] == request_id
    ]


def _attempt(store: Store, fields: dict[str, Any]) -> AttemptRow:
    prices = store.connection.execute(
        "SELECT price FROM price_versions WHERE target = ? AND version = ?", (fields["target"], fields["price_version"])
    ).fetchone()
    price = msgspec.json.decode(prices[0], type=TokenPrice) if prices else None
    flags = {
        name: fields[name] if fields[name] is None else bool(fields[name])
        for name in ("stream", "simulated", "estimated")
    }
    return AttemptRow(**{**fields, **flags, "tags": decode_tags(fields["tags"]), "price": price})
