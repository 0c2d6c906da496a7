"""Spend as a table for people, for spreadsheets and as plain data for programs. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trimaran.catalog import format_usd
from trimaran.ledger.explanation import AttemptRow, Explanation
from trimaran.ledger.spend_rows import Report, SpendRow
from trimaran.ledger.status import LedgerStatus

__all__ = ["cost_text", "report_dict", "spend_csv", "spend_table", "to_dict"]

Table = tuple[list[str], list[list[str]]]
"""Headers and rows of cells, all text."""


def to_dict(row: SpendRow | AttemptRow | Explanation | LedgerStatus) -> dict[str, Any]:
    """Names and JSON values; money in integer nano-dollars, unknown is null."""
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain


def report_dict(report: Report) -> dict[str, Any]:
    """``by``, ``rows`` and ``totals`` for programs."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


def cost_text(row: SpendRow) -> str:
    """The cost in words that do not say more than is known: ``$0.0125``, ``≥ $0.0125 (3 unknown)``, ``unknown``."""
    if row.total_nanos is None:
        return "unknown" if row.unknown_cost_attempts or row.unpriced_replica_s else format_usd(0)
    unknown = [f"{row.unknown_cost_attempts} unknown"] if row.unknown_cost_attempts else []
    if row.unpriced_replica_s:
        unknown.append(f"{_hours_text(row.unpriced_replica_s)} of replicas unknown")
    return f"≥ {format_usd(row.total_nanos)} ({', '.join(unknown)})" if unknown else format_usd(row.total_nanos)


def _under_way_text(row: SpendRow) -> str:
    attempts, bound = row.open_attempts - row.cut_off_attempts, row.open_bound_nanos - row.cut_off_bound_nanos
    return f"≤ {format_usd(bound)} ({attempts:,})" if attempts else ""


def _cut_off_text(row: SpendRow) -> str:
    return f"≤ {format_usd(row.cut_off_bound_nanos)} ({row.cut_off_attempts:,})" if row.cut_off_attempts else ""


def _money_text(nanos: int | None) -> str:
    return "" if not nanos else format_usd(nanos)


_OPTIONAL: tuple[tuple[str, Callable[[SpendRow], str]], ...] = (
    ("by tokens", lambda row: "" if row.cost_nanos is None else format_usd(row.cost_nanos)),
    ("capacity", lambda row: _money_text(row.capacity_nanos)),
    ("idle", lambda row: _money_text(row.idle_nanos)),
    ("amortised", lambda row: _money_text(row.amortised_nanos)),
)
"""Shown where pools are part of the answer."""


def spend_table(report: Report) -> Table:
    """What ``trimaran spend`` shows, the total last. Rows of simulated providers say so; a column that would be empty is
    left out."""
    rows = [*report.rows, *report.totals] if len(report.rows) > 1 else report.rows
    columns: list[tuple[str, Callable[[SpendRow], str]]] = [
        ("requests", lambda row: f"{row.requests:,}"),
        ("attempts", lambda row: f"{row.attempts:,}"),
        ("failed", lambda row: f"{row.failures:,}"),
        ("input", lambda row: f"{row.input_tokens:,}"),
        ("cached", lambda row: f"{row.cached_tokens:,}"),
        ("output", lambda row: f"{row.output_tokens:,}"),
        ("cost", cost_text),
    ]
    if any(row.capacity_nanos is not None or row.idle_nanos or row.unpriced_replica_s for row in rows):
        columns += [column for column in _OPTIONAL if any(column[1](row) for row in rows)]
    rest: list[tuple[str, Callable[[SpendRow], str]]] = [
        ("estimated", lambda row: _money_text(row.estimated_nanos)),
        ("of failures", lambda row: _money_text(row.failed_nanos)),
        ("under way", _under_way_text),
        ("cut off", _cut_off_text),
        ("p50", lambda row: _ms_text(row.p50_latency_ms)),
        ("p95", lambda row: _ms_text(row.p95_latency_ms)),
        ("ttft p50", lambda row: _ms_text(row.p50_ttft_ms)),
        ("p95", lambda row: _ms_text(row.p95_ttft_ms)),
    ]
    columns += [(name, text) for name, text in rest if any(text(row) for row in rows)]
    headers = [*report.by, *(name for name, _ in columns)]
    places = len(report.rows)
    return headers, [
        [*_group_cells(row, report.by, total=place >= places), *(text(row) for _, text in columns)]
        for place, row in enumerate(rows)
    ]


def _group_cells(row: SpendRow, by: Sequence[str], *, total: bool) -> list[str]:
    cells = ["total", *[""] * (len(by) - 1)] if total else [row.groups[name] or "(none)" for name in by]
    if row.simulated:
        cells[0] += " (simulated)"
    return cells


def spend_csv(report: Report) -> list[list[str]]:
    """Header and rows for spreadsheets: dimensions first, figures as in JSON, unknown is empty. Without the total."""
    fields = [name for name in SpendRow.__struct_fields__ if name not in ("group", "groups")]
    return [[*report.by, *fields]] + [
        [*(row.groups[name] for name in report.by), *(_csv_text(getattr(row, name)) for name in fields)]
        for row in report.rows
    ]


def _csv_text(value: int | bool | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ms_text(ms: int | None) -> str:
    return "" if ms is None else f"{ms:,} ms"


def _hours_text(seconds: int) -> str:
    return f"{seconds // 3600:,} h" if seconds >= 3600 else f"{-(-seconds // 60)} min"
