"""Questions to the ledger: what was spent, by whom and where, and what became of one request.

A request that failed over has attempts at several targets, so by provider or target it counts in each group; the
``total`` counts it once. Percentiles are exact (nearest rank) and cover attempts that ended ``ok``: a failure is
neither fast nor slow. Days are UTC; an attempt belongs to the moment it started. A cost that is not known is ``None``,
never 0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from trimaran.errors import ConfigError
from trimaran.ledger.records import decode_tags
from trimaran.ledger.store import Store
from trimaran.types import TokenPrice

__all__ = ["GROUPS", "AttemptRow", "SpendRow", "explain", "parse_when", "spend"]

GROUPS = {
    "total": "'total'",
    "provider": "provider",
    "model": "model",
    "key": "key_id",
    "tenant": "tenant",
    "target": "target",
    "day": "date(started_ns / 1000000000, 'unixepoch')",
}
"""What spend can be grouped by, besides ``tag:NAME``."""

_DAY_NS = 86_400 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SpendRow(msgspec.Struct):
    """One group. Tokens are sums of what is known; milliseconds are rounded to the nearest."""

    group: str
    """Its name; empty for attempts that have none (no such tag, no key)."""
    requests: int
    attempts: int
    failures: int
    """Ended ``failed``: the target's or the network's fault."""
    rejected: int
    cancelled: int
    open_attempts: int
    """Started and not settled: under way, or cut off by a crash."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    """Part of ``input_tokens`` that was read from the provider's cache."""
    audio_input_tokens: int
    """Part of ``input_tokens``."""
    audio_output_tokens: int
    """Part of ``output_tokens``."""
    cost_nanos: int | None
    """Sum of the known costs; ``None`` when none is known. A lower limit when ``unknown_cost_attempts`` is not 0."""
    unknown_cost_attempts: int
    """Without a known cost; open ones included."""
    estimated_attempts: int
    """Priced by our own count of tokens instead of the provider's report."""
    open_bound_nanos: int
    """The most that the open attempts can cost, as far as it can be bounded."""
    simulated_attempts: int
    """0, or all of them: what is simulated has rows of its own and never mixes with what cost real money."""
    p50_latency_ms: int | None
    p95_latency_ms: int | None
    p50_ttft_ms: int | None
    p95_ttft_ms: int | None


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


_SUMS = """
SELECT {group} AS grp,
    COUNT(DISTINCT request_id), COUNT(*),
    SUM(status = 'failed'), SUM(status = 'rejected'), SUM(status = 'cancelled'), SUM(status = 'open'),
    COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cached_read_tokens), 0),
    COALESCE(SUM(audio_input_tokens), 0), COALESCE(SUM(audio_output_tokens), 0),
    SUM(cost_nanos), SUM(cost_nanos IS NULL), COALESCE(SUM(estimated), 0),
    COALESCE(SUM(CASE WHEN status = 'open' THEN bound_nanos END), 0), SUM(simulated)
FROM attempts {joined} WHERE {where} GROUP BY grp, simulated
"""

_PERCENTILES = """
WITH ranked AS (
    SELECT {group} AS grp, simulated, {value} AS value,
        ROW_NUMBER() OVER (PARTITION BY {group}, simulated ORDER BY {value}) AS place,
        COUNT(*) OVER (PARTITION BY {group}, simulated) AS total
    FROM attempts {joined} WHERE {where} AND status = 'ok' AND {value} IS NOT NULL
)
SELECT grp, simulated, MAX(CASE WHEN place = (total * 50 + 99) / 100 THEN value END),
    MAX(CASE WHEN place = (total * 95 + 99) / 100 THEN value END)
FROM ranked GROUP BY grp, simulated
"""


def spend(
    store: Store, by: str = "provider", since_ns: int | None = None, until_ns: int | None = None
) -> list[SpendRow]:
    """Spend of the attempts that started in ``[since_ns, until_ns)``, dearest group first (days in order).

    Raises:
        ConfigError: ``by`` is not one of :data:`GROUPS` or ``tag:NAME``.
        LedgerError: the ledger cannot be read now.
    """
    with store.errors():
        where, bounds = _period(since_ns, until_ns)
        ask = store.connection.execute
        # One transaction: all answers are about the same rows, whatever is taken in meanwhile.
        ask("BEGIN")
        try:
            group, joined = _grouping(store, by)
            sums = ask(_SUMS.format(group=group, joined=joined, where=where), bounds).fetchall()
            percentiles = [
                {
                    row[:2]: row[2:]
                    for row in ask(_PERCENTILES.format(group=group, joined=joined, where=where, value=value), bounds)
                }
                for value in ("latency_us", "ttft_us")
            ]
        finally:
            ask("COMMIT")
    none = (None, None)
    rows = [
        SpendRow(*row, *(_ms(us) for found in percentiles for us in found.get((row[0], int(row[-1] > 0)), none)))
        for row in sums
    ]
    if by == "day":
        return sorted(rows, key=lambda row: (row.group, row.simulated_attempts > 0))
    return sorted(rows, key=lambda row: (row.simulated_attempts > 0, -(row.cost_nanos or 0), -row.attempts, row.group))


def explain(store: Store, request_id: str) -> list[AttemptRow]:
    """All attempts of a request, first to last, each with the price it was charged by. Empty: the ledger knows none."""
    with store.errors():
        cursor = store.connection.execute("SELECT * FROM attempts WHERE request_id = ? ORDER BY attempt", (request_id,))
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, values, strict=True)) for values in cursor]
        return [_attempt(store, fields) for fields in found]


def parse_when(text: str, now: datetime) -> int:
    """A moment in nanoseconds since 1970 UTC: ``2026-11-24``, ``2026-11-24T12:30``, ``today``, ``yesterday``, or a time
    back from ``now``: ``90m``, ``24h``, ``7d``. What has no time zone is UTC.

    Raises:
        ConfigError: none of these.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    moment = words.get(text.strip().lower()) or _back_from(text, now)
    if moment is None:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ConfigError(
                f"{text!r} is no date or span", hint="write 2026-11-24, 2026-11-24T12:30, today, yesterday, 24h or 7d"
            ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - _EPOCH) // timedelta(microseconds=1), 0) * 1000


def _back_from(text: str, now: datetime) -> datetime | None:
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    number, unit = text.strip()[:-1], text.strip()[-1:]
    if unit not in units or not number.isascii() or not number.isdigit() or len(number) > 5:
        return None
    try:
        return now - timedelta(**{units[unit]: int(number)})
    except OverflowError:
        return _EPOCH


def _grouping(store: Store, by: str) -> tuple[str, str]:
    """The SQL expression of the group, and what must be joined for it."""
    if by in GROUPS:
        return GROUPS[by], ""
    if not by.startswith("tag:") or by == "tag:":
        raise ConfigError(f"spend cannot be grouped by {by!r}", hint=f"use one of {', '.join(GROUPS)} or tag:NAME")
    # Tag names are the users': read as JSON here, instead of built into a JSON path.
    ask = store.connection.execute
    ask("CREATE TEMP TABLE IF NOT EXISTS tag_values (tags TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    ask("DELETE FROM tag_values")
    name = by.removeprefix("tag:")
    values = [(tags, decode_tags(tags).get(name, "")) for (tags,) in ask("SELECT DISTINCT tags FROM contexts")]
    store.connection.executemany("INSERT INTO tag_values VALUES (?, ?)", values)
    return "COALESCE(tag_values.value, '')", "LEFT JOIN tag_values USING (tags)"


def _period(since_ns: int | None, until_ns: int | None) -> tuple[str, dict[str, Any]]:
    conditions, bounds = ["1"], dict[str, Any]()
    if since_ns is not None:
        # A request id begins with its milliseconds, so the primary key finds the place to start from. A day is ample
        # for the time from the request's arrival to its last attempt.
        conditions += ["request_id >= :first", "started_ns >= :since"]
        bounds |= {"first": f"{max(since_ns - _DAY_NS, 0) // 10**6:012x}", "since": since_ns}
    if until_ns is not None:
        conditions.append("started_ns < :until")
        bounds["until"] = until_ns
    return " AND ".join(conditions), bounds


def _ms(us: int | None) -> int | None:
    return None if us is None else (us + 500) // 1000


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
