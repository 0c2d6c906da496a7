"""Spend as a table for people and as plain data for programs. Nothing is printed here."""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.catalog import format_usd
from trimaran.ledger.spend import AttemptRow, SpendRow

__all__ = ["attempts_table", "cost_text", "spend_table", "to_dict"]

Table = tuple[list[str], list[list[str]]]
"""Headers and rows of cells, all text."""


def to_dict(row: SpendRow | AttemptRow) -> dict[str, Any]:
    """Names and JSON values; money in integer nano-dollars, unknown is null."""
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain


def cost_text(row: SpendRow) -> str:
    """The cost in words that do not say more than is known: ``$0.0125``, ``≥ $0.0125 (3 unknown)``, ``unknown``."""
    if row.cost_nanos is None:
        return "unknown"
    if row.unknown_cost_attempts:
        return f"≥ {format_usd(row.cost_nanos)} ({row.unknown_cost_attempts} unknown)"
    return format_usd(row.cost_nanos)


def spend_table(rows: list[SpendRow], by: str) -> Table:
    """What ``trimaran spend`` shows. Rows of simulated providers say so."""
    headers = [
        by,
        "requests",
        "attempts",
        "failed",
        "input",
        "cached",
        "output",
        "cost",
        "p50",
        "p95",
        "ttft p50",
        "p95",
    ]
    return headers, [
        [
            _group_text(row),
            f"{row.requests:,}",
            f"{row.attempts:,}",
            f"{row.failures:,}",
            f"{row.input_tokens:,}",
            f"{row.cached_tokens:,}",
            f"{row.output_tokens:,}",
            cost_text(row),
            *(_ms_text(ms) for ms in (row.p50_latency_ms, row.p95_latency_ms, row.p50_ttft_ms, row.p95_ttft_ms)),
        ]
        for row in rows
    ]


def attempts_table(rows: list[AttemptRow]) -> Table:
    """One request's attempts, first to last."""
    headers = [
        "attempt",
        "target",
        "why",
        "status",
        "http",
        "error",
        "ttft",
        "latency",
        "input",
        "output",
        "cost",
        "reason",
    ]
    return headers, [
        [
            str(row.attempt),
            row.target,
            row.why,
            row.status,
            str(row.http_status or ""),
            row.error_code or "",
            _ms_text(None if row.ttft_us is None else (row.ttft_us + 500) // 1000),
            _ms_text(None if row.latency_us is None else (row.latency_us + 500) // 1000),
            _count_text(row.input_tokens),
            _count_text(row.output_tokens),
            "unknown" if row.cost_nanos is None else format_usd(row.cost_nanos),
            row.reason,
        ]
        for row in rows
    ]


def _group_text(row: SpendRow) -> str:
    name = row.group or "(none)"
    return f"{name} (simulated)" if row.simulated_attempts else name


def _ms_text(ms: int | None) -> str:
    return "" if ms is None else f"{ms:,} ms"


def _count_text(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
