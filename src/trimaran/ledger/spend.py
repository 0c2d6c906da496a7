"""What was spent, by whom and where.

A request that failed over has attempts at several targets, so by provider or target it counts in each group; the total
counts it once. Percentiles are exact (nearest rank) and cover attempts that ended ``ok``: a failure is neither fast nor
slow. An attempt belongs to the moment it started; capacity belongs to the time it stood. A cost that is not known is
``None``, never 0; what is simulated has rows of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from trimaran.ledger.database import Cursor
from trimaran.ledger.dimensions import Context, Filters, Grouping, PoolKind, period_unit
from trimaran.ledger.periods import FOREVER_NS
from trimaran.ledger.pools import Pool, first_id, read_contexts, read_pools
from trimaran.ledger.records import decode_tags
from trimaran.ledger.spend_rows import Report, SpendRow
from trimaran.ledger.store import Store

__all__ = ["spend", "spend_report"]


def spend(
    store: Store,
    by: str = "provider",
    since_ns: int | None = None,
    until_ns: int | None = None,
    filters: Filters | None = None,
    *,
    latencies: bool | None = None,
) -> list[SpendRow]:
    """The rows of :func:`spend_report`."""
    return spend_report(store, by, since_ns, until_ns, filters, latencies=latencies).rows


def spend_report(
    store: Store,
    by: str = "provider",
    since_ns: int | None = None,
    until_ns: int | None = None,
    filters: Filters | None = None,
    *,
    latencies: bool | None = None,
) -> Report:
    """Spend of the attempts that started in ``[since_ns, until_ns)`` and of the capacity that stood then.

    ``latencies``: whether percentiles are computed, which reads each attempt on its own. By default they are where there
    is one dimension that is no period.

    Raises:
        ConfigError: ``by`` names something that spend cannot be grouped by.
        LedgerError: the ledger cannot be read now.
    """
    grouping = Grouping(by)
    if latencies is None:
        latencies = len(grouping.names) == 1 and not period_unit(grouping)
    bound_ns = FOREVER_NS if until_ns is None else until_ns
    question = _Question(store, grouping, since_ns or 0, bound_ns, filters or Filters(), latencies)
    with store.errors():
        # One transaction: all answers are about the same rows, whatever is taken in meanwhile.
        store.connection.execute("BEGIN")
        try:
            question.ask()
        finally:
            store.connection.execute("COMMIT")
    rows, totals = (
        [tally.row(each.names, *identity) for identity, tally in tallies.items()] for each, tallies in question.found
    )
    return Report(grouping.names, sorted(rows, key=_order(grouping)), sorted(totals, key=lambda row: row.simulated))


def _order(grouping: Grouping) -> Any:
    if grouping.names[0] in ("hour", "day", "week", "month"):
        return lambda row: (row.simulated, row.group)
    return lambda row: (row.simulated, -(row.total_nanos or 0), -row.attempts, row.group)


class _Tally:
    """One group while it is being added up."""

    __slots__ = ("latencies_us", "sums", "ttfts_us")

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.latencies_us = array("q")
        self.ttfts_us = array("q")

    def add(self, name: str, amount: int) -> None:
        self.sums[name] = self.sums.get(name, 0) + amount

    def row(self, names: tuple[str, ...], values: tuple[str, ...], simulated: bool) -> SpendRow:
        sums = {name: amount for name, amount in self.sums.items() if name != "unpriced_replica_ns"}
        known = [sums[name] for name in ("cost_nanos", "capacity_nanos", "idle_nanos") if name in sums]
        latencies, ttfts = sorted(self.latencies_us), sorted(self.ttfts_us)
        return SpendRow(
            group=", ".join(values),
            groups=dict(zip(names, values, strict=True)),
            simulated=simulated,
            total_nanos=sum(known) if known else None,
            unpriced_replica_s=self.sums.get("unpriced_replica_ns", 0) // 10**9,
            simulated_attempts=sums.get("attempts", 0) if simulated else 0,
            p50_latency_ms=_rank(latencies, 50),
            p95_latency_ms=_rank(latencies, 95),
            p50_ttft_ms=_rank(ttfts, 50),
            p95_ttft_ms=_rank(ttfts, 95),
            **sums,
        )


def _rank(ordered_us: list[int], percent: int) -> int | None:
    """The nearest rank, in milliseconds."""
    if not ordered_us:
        return None
    return (ordered_us[(len(ordered_us) * percent + 99) // 100 - 1] + 500) // 1000


_TOKENS = (
    "input_tokens",
    "output_tokens",
    "cached_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
)
_CELLS = f"""
SELECT {{columns}}, r.outcome, COUNT(*), {", ".join(f"SUM(r.{name})" for name in _TOKENS)}, SUM(r.cost_nanos),
    COUNT(r.cost_nanos)
FROM attempt_rows r JOIN contexts c ON c.id = r.context WHERE {{where}} GROUP BY {{columns}}, r.outcome
"""
_OPEN = """
SELECT {columns}, CASE WHEN SUBSTR(r.request_id, 13, 12) IN (SELECT lane FROM writers) THEN 0 ELSE 1 END, r.bound_nanos
FROM attempt_rows r WHERE {where} AND r.outcome IS NULL
"""
_AGAIN = """
SELECT {columns}, r.request_id FROM attempt_rows r
WHERE {where} AND r.request_id IN (SELECT request_id FROM attempt_rows r WHERE r.attempt > 1 AND {where})
"""
_TIMES = """
SELECT {columns}, r.latency_us, r.ttft_us FROM attempt_rows r
WHERE {where} AND r.outcome IN (SELECT id FROM outcomes WHERE status = 'ok')
"""
_STATUS_COUNT = {"failed": "failures", "rejected": "rejected", "cancelled": "cancelled"}

_Tallies = dict[tuple[tuple[str, ...], bool], _Tally]
_CONTEXT_FIELDS = ("key_id", "tags", "model", "target", "provider")


class _Question:
    """One report in the making.

    Sums are grouped by SQL, by what was asked for and nothing else: few groups. What needs each attempt on its own is
    read with the id of its context.
    """

    def __init__(
        self, store: Store, grouping: Grouping, since_ns: int, until_ns: int, filters: Filters, latencies: bool
    ) -> None:
        self._store = store
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._filters = filters
        self._latencies = latencies
        self.found: list[tuple[Grouping, _Tallies]] = [(grouping, {}), (Grouping("total"), {})]
        self._unit = period_unit(grouping)
        self._row_columns = {
            name: column
            for name, column, wanted in (
                ("tenant", "r.tenant", "tenant" in grouping.names or filters.tenant is not None),
                ("tier", "r.service_tier", "service_tier" in grouping.names),
                ("period", f"r.started_ns / {self._unit}", self._unit),
            )
            if wanted
        }
        self._fields = [field for field in _CONTEXT_FIELDS if field in grouping.needs or field in filters.needs]
        conditions, self._bounds = ["r.started_ns < :until"], dict[str, Any](until=until_ns)
        if since_ns:
            conditions += ["r.request_id >= :first", "r.started_ns >= :since"]
            self._bounds |= {"first": first_id(since_ns), "since": since_ns}
        self._where = " AND ".join(conditions)
        self._places = dict[tuple[Any, ...], list[_Tally]]()

    def ask(self) -> None:
        """Read everything and add it up."""
        self._contexts = read_contexts(self._store)
        pools = read_pools(self._store, self._contexts, self._since_ns, self._until_ns)
        self._kinds: dict[tuple[str, bool], PoolKind] = {identity: pool.kind for identity, pool in pools.items()}
        self._cells()
        self._open()
        self._requests()
        if self._latencies:
            self._times()
        for pool in pools.values():
            self._shares(pool)
            if not self._filters.any:
                self._idle(pool)

    def _read(self, sql: str, *columns: str) -> Cursor:
        listed = ", ".join([*columns, *self._row_columns.values()])
        return self._store.connection.execute(sql.format(columns=listed, where=self._where), self._bounds)

    def _at(self, context: Context, values: Sequence[Any]) -> list[_Tally]:
        """Where attempts of ``context`` with these values of the row's columns count; empty: they are not meant."""
        row = dict(zip(self._row_columns, values, strict=True))
        tenant = row.get("tenant", "")
        if not self._filters.admits(tenant, context):
            return []
        kind = self._kinds.get((context.target, context.simulated)) or self._kinds.get(
            (context.provider, context.simulated)
        )
        period_ns = row.get("period", 0) * self._unit
        return [
            self._tally(
                tallies, each.of_attempt(tenant, context, row.get("tier", ""), period_ns, kind), context.simulated
            )
            for each, tallies in self.found
        ]

    def _of(self, keys: tuple[Any, ...]) -> list[_Tally]:
        """The same by the id of a context and the row's values."""
        found = self._places.get(keys)
        if found is None:
            found = self._places[keys] = self._at(self._contexts[keys[0]], keys[1:])
        return found

    @staticmethod
    def _tally(tallies: _Tallies, group: tuple[str, ...], simulated: bool) -> _Tally:
        found = tallies.get((group, simulated))
        if found is None:
            found = tallies[group, simulated] = _Tally()
        return found

    def _cells(self) -> None:
        outcomes: dict[int, tuple[str, int]] = {
            identity: (status, estimated)
            for identity, status, estimated in self._store.connection.execute(
                "SELECT id, status, estimated FROM outcomes"
            )
        }
        tags: dict[str, tuple[tuple[str, str], ...]] = {}
        first = 1 + len(self._fields)
        after = first + len(self._row_columns)
        for cell in self._read(_CELLS, "c.simulated", *(f"c.{name}" for name in self._fields)):
            fields = dict(zip(self._fields, cell[1:first], strict=True))
            if "tags" in fields:
                text = fields["tags"]
                fields["tags"] = tags[text] = tags.get(text) or tuple(decode_tags(text).items())
            tallies = self._at(Context(simulated=bool(cell[0]), **fields), cell[first:after])
            if not tallies:
                continue
            outcome, attempts, *tokens, cost, priced = cell[after:]
            amounts = {name: amount for name, amount in zip(_TOKENS, tokens, strict=True) if amount}
            amounts["cached_tokens"] = amounts.pop("cached_read_tokens", 0)
            amounts |= {"attempts": attempts, "requests": attempts}
            if outcome is not None:
                amounts |= _settled(*outcomes[outcome], attempts, cost, priced)
            for tally in tallies:
                for name, amount in amounts.items():
                    tally.add(name, amount)

    def _open(self) -> None:
        for row in self._read(_OPEN, "r.context"):
            *keys, cut_off, bound = row
            for tally in self._of(tuple(keys)):
                tally.add("open_attempts", 1)
                tally.add("cut_off_attempts", cut_off)
                tally.add("open_bound_nanos", bound or 0)
                tally.add("cut_off_bound_nanos", (bound or 0) * cut_off)
                tally.add("unknown_cost_attempts", int(bound is None))

    def _requests(self) -> None:
        """Take back what counted a request more than once in a group: all that have more than one attempt."""
        seen = set[tuple[str, int]]()
        for row in self._read(_AGAIN, "r.context"):
            for tally in self._of(row[:-1]):
                here = (row[-1], id(tally))
                if here in seen:
                    tally.add("requests", -1)
                seen.add(here)

    def _times(self) -> None:
        for row in self._read(_TIMES, "r.context"):
            for tally in self._of(row[:-2]):
                if row[-2] is not None:
                    tally.latencies_us.append(row[-2])
                if row[-1] is not None:
                    tally.ttfts_us.append(row[-1])

    def _shares(self, pool: Pool) -> None:
        for lot, service, nanos, amortised in pool.allocations:
            served = pool.served[service.id]
            if not lot.known or not self._filters.admits(served.tenant, served.context):
                continue
            for each, tallies in self.found:
                group = each.of_share(served.tenant, served.context, served.service_tier, lot.hour, pool.name, lot.kind)
                tally = self._tally(tallies, group, pool.simulated)
                tally.add("capacity_nanos", nanos)
                tally.add("amortised_nanos", amortised)
                tally.add("failed_nanos", 0 if served.ok else nanos)
        for identity in pool.covered():
            served = pool.served[identity]
            if served.started_ns < self._since_ns or not self._filters.admits(served.tenant, served.context):
                continue
            for each, tallies in self.found:
                group = each.of_attempt(
                    served.tenant, served.context, served.service_tier, served.started_ns, pool.kind
                )
                self._tally(tallies, group, pool.simulated).add("unknown_cost_attempts", -1)

    def _idle(self, pool: Pool) -> None:
        for lot in pool.lots:
            for each, tallies in self.found:
                tally = self._tally(tallies, each.of_idle(lot.hour, pool.name, lot.kind), pool.simulated)
                if lot.known:
                    tally.add("idle_nanos", lot.idle_nanos)
                    tally.add("amortised_nanos", lot.amortised_nanos - lot.busy_amortised_nanos)
                else:
                    tally.add("unpriced_replica_ns", lot.replica_ns)


def _settled(status: str, estimated: int, attempts: int, cost: int | None, priced: int) -> dict[str, int]:
    """Sums of attempts that have ended in one way. ``priced`` of them have a cost."""
    amounts = {"unknown_cost_attempts": attempts - priced}
    if cost is not None:
        amounts["cost_nanos"] = cost
        amounts["failed_nanos"] = cost if status != "ok" else 0
    if estimated:
        amounts |= {"estimated_attempts": attempts, "estimated_nanos": cost or 0}
    if status in _STATUS_COUNT:
        amounts[_STATUS_COUNT[status]] = attempts
    return amounts
