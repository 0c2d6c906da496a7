"""Spend in the columns of FOCUS 1.2, the FinOps open cost and usage specification: rows that billing tools read.

One row for each day, payer, target and kind of token or other charge, at one price; and for each day and kind of a pool's
capacity what each payer bears and what was idle. Source of columns and rules: github.com/FinOps-Open-Cost-and-Usage-Spec/
FOCUS_Spec, tag v1.2.

A charge is quantity x unit price, exactly, as the specification demands. Ledgers round each attempt up to a nano-dollar,
so a row ``Adjustment`` of each day, payer and target holds what that added: the effective costs add up to the ledger's
known cost to the nano-dollar. The billed costs add up to the same without what is amortised, which was billed earlier.
What has no known cost has no row. Money is written as exact decimals; ``None`` becomes an empty cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from trimaran.ledger.capacity import HOUR_NS, Kind
from trimaran.ledger.charges import charges
from trimaran.ledger.database import Cursor
from trimaran.ledger.dimensions import Context, Filters, provider_of
from trimaran.ledger.focus_columns import (
    ADJUSTED,
    FOCUS_COLUMNS,
    PICO,
    Line,
    Payer,
    Row,
    adjustment_of,
    base_of,
    capacity_of,
    usage_of,
)
from trimaran.ledger.moments import DAY_NS
from trimaran.ledger.periods import FOREVER_NS
from trimaran.ledger.pools import first_id, read_contexts, read_pools
from trimaran.ledger.store import Store
from trimaran.types import TokenPrice, Usage

__all__ = ["focus_rows"]


def focus_rows(
    store: Store,
    since_ns: int | None = None,
    until_ns: int | None = None,
    filters: Filters | None = None,
    *,
    simulated: bool = False,
) -> Iterator[list[str]]:
    """The header and the rows. What is simulated costs nobody anything: it is left out, or given alone.

    Raises :class:`~trimaran.errors.LedgerError`.
    """
    yield list(FOCUS_COLUMNS)
    export = _Export(
        store, since_ns or 0, FOREVER_NS if until_ns is None else until_ns, filters or Filters(), simulated
    )
    with store.errors():
        store.connection.execute("BEGIN")
        try:
            export.read()
        finally:
            store.connection.execute("COMMIT")
    for row in export.rows():
        yield [row.get(name) or "" for name in FOCUS_COLUMNS]


class _Export:
    """One export in the making: sums first, while the store is read, and then rows from them."""

    def __init__(self, store: Store, since_ns: int, until_ns: int, filters: Filters, simulated: bool) -> None:
        self._store = store
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._filters = filters
        self._simulated = simulated
        self._prices: dict[tuple[str, str], TokenPrice] = {}
        self._lines = defaultdict[Payer, dict[Line, int]](dict)
        """Quantities."""
        self._rest = defaultdict[Payer, int](int)
        """Pico-dollars that no line tells."""
        self._shares = defaultdict[Payer, dict[tuple[str, Kind, bool], list[int]]](dict)
        """Nano-dollars of a pool's capacity, used or idle: all and what of it is amortised."""

    def read(self) -> None:
        """Add up all that is meant."""
        rows = self._store.connection.execute("SELECT target, version, price FROM price_versions")
        self._prices = {
            (target, version): msgspec.json.decode(price, type=TokenPrice) for target, version, price in rows
        }
        contexts = read_contexts(self._store)
        self._read_attempts(contexts)
        self._read_pools(contexts)

    def rows(self) -> Iterator[Row]:
        """By day and provider."""
        for payer in sorted({*self._rest, *self._shares}):
            base = base_of(payer)
            for line, quantity in self._lines.get(payer, {}).items():
                yield base | usage_of(payer, line, quantity, self._prices[payer.target, line.version])
            if rest := self._rest.get(payer):
                yield base | adjustment_of(payer, ADJUSTED, rest * PICO)
            for (pool, kind, used), (nanos, amortised) in self._shares.get(payer, {}).items():
                for each in capacity_of(payer, pool, kind, used, nanos, amortised):
                    yield base | each

    def _read_attempts(self, contexts: dict[int, Context]) -> None:
        names = Usage.__struct_fields__
        for context_id, tenant, started_ns, cost, tier, version, estimated, *counts in self._costs():
            context = contexts[context_id]
            if context.simulated is not self._simulated or not self._filters.admits(tenant, context):
                continue
            payer = _payer(started_ns, tenant, context, bool(estimated))
            self._rest[payer] += cost * 1000
            price = self._prices.get((context.target, version))
            if price is None or counts[0] is None:
                continue
            usage = Usage(**{name: count or 0 for name, count in zip(names, counts, strict=True)})
            mine = self._lines[payer]
            for charge in charges(price, usage, tier):
                line = Line(charge.kind, charge.picos, version, tier, charge.above_input_tokens)
                mine[line] = mine.get(line, 0) + charge.quantity
                self._rest[payer] -= charge.amount_picos

    def _read_pools(self, contexts: dict[int, Context]) -> None:
        for pool in read_pools(self._store, contexts, self._since_ns, self._until_ns).values():
            if pool.simulated is not self._simulated:
                continue
            for lot, service, nanos, amortised in pool.allocations:
                served = pool.served[service.id]
                if self._filters.admits(served.tenant, served.context):
                    payer = _payer(lot.hour * HOUR_NS, served.tenant, served.context, False)
                    self._share(payer, pool.name, lot.kind, True, nanos, amortised)
            if not self._filters.any:
                nobody = Context(
                    provider=provider_of(pool.name), target=_only_target(pool.name), simulated=self._simulated
                )
                for lot in pool.lots:
                    amortised = lot.amortised_nanos - lot.busy_amortised_nanos
                    payer = _payer(lot.hour * HOUR_NS, "", nobody, False)
                    self._share(payer, pool.name, lot.kind, False, lot.idle_nanos, amortised)

    def _share(self, payer: Payer, pool: str, kind: Kind, used: bool, nanos: int, amortised: int) -> None:
        if nanos:
            sums = self._shares[payer].setdefault((pool, kind, used), [0, 0])
            sums[0] += nanos
            sums[1] += amortised

    def _costs(self) -> Cursor:
        counts = ", ".join(f"r.{name}" for name in Usage.__struct_fields__)
        return self._store.connection.execute(
            "SELECT r.context, r.tenant, r.started_ns, r.cost_nanos, r.service_tier, o.price_version, o.estimated, "
            f"{counts} FROM attempt_rows r JOIN outcomes o ON o.id = r.outcome "
            "WHERE r.cost_nanos > 0 AND r.request_id >= ? AND r.started_ns >= ? AND r.started_ns < ?",
            (first_id(self._since_ns), self._since_ns, self._until_ns),
        )


def _only_target(pool: str) -> str:
    """The target that a pool is called by; empty where it serves all of a provider's."""
    return pool if "/" in pool else ""


def _payer(at_ns: int, tenant: str, context: Context, estimated: bool) -> Payer:
    return Payer(
        at_ns // DAY_NS,
        context.provider,
        context.target,
        tenant,
        context.key_id,
        context.tags,
        estimated,
        context.simulated,
    )
