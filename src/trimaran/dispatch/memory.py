"""What the library remembers of its own attempts: enough for ``stats()``, bounded, gone with the process."""

from __future__ import annotations

from collections import deque

from trimaran.dispatch.ports import Journal
from trimaran.ledger.records import FAILED, OK, REJECTED, Record, Settled, Started

__all__ = ["MemoryJournal", "NoMetrics"]

KEPT = 1000
"""Attempts for each provider that the percentiles look back on."""


class _Provider:
    __slots__ = ("attempts", "cost_nanos", "errors", "last_error", "latencies_us", "ttfts_us", "unknown_cost")

    def __init__(self) -> None:
        self.attempts = 0
        self.errors: dict[str, int] = {}
        self.last_error = ""
        self.latencies_us: deque[int] = deque(maxlen=KEPT)
        self.ttfts_us: deque[int] = deque(maxlen=KEPT)
        self.cost_nanos = 0
        self.unknown_cost = 0


class MemoryJournal:
    """A :class:`~trimaran.dispatch.ports.Journal` that keeps figures by provider and passes records on."""

    __slots__ = ("_forward", "_open", "_providers")

    def __init__(self, forward: Journal | None = None) -> None:
        self._forward = forward
        self._open: dict[tuple[str, int], str] = {}
        self._providers: dict[str, _Provider] = {}

    @property
    def healthy(self) -> bool:
        """As what records are passed on to; memory alone does not fail."""
        return self._forward is None or self._forward.healthy

    def append(self, record: Record) -> None:
        """Count one record."""
        if self._forward is not None:
            self._forward.append(record)
        if isinstance(record, Started):
            self._open[record.request_id, record.attempt] = record.provider
            self._providers.setdefault(record.provider, _Provider())
        elif isinstance(record, Settled):
            provider = self._open.pop((record.request_id, record.attempt), None)
            if provider is not None:
                self._settle(self._providers[provider], record)

    def stats(self) -> dict[str, dict[str, object]]:
        """Figures by provider; latencies in milliseconds over the last attempts that answered."""
        return {name: _figures(row) for name, row in self._providers.items()}

    def _settle(self, row: _Provider, record: Settled) -> None:
        row.attempts += 1
        if record.status in (FAILED, REJECTED):
            row.errors[record.error_code] = row.errors.get(record.error_code, 0) + 1
            row.last_error = record.reason
        elif record.status == OK:
            row.latencies_us.append(record.latency_us)
            if record.ttft_us:
                row.ttfts_us.append(record.ttft_us)
        if record.cost_nanos is None:
            row.unknown_cost += 1
        else:
            row.cost_nanos += record.cost_nanos


def _figures(row: _Provider) -> dict[str, object]:
    return {
        "attempts": row.attempts,
        "errors": dict(row.errors),
        "last_error": row.last_error or None,
        "error_count": sum(row.errors.values()),
        "p50_ms": _percentile_ms(row.latencies_us, 0.5),
        "p95_ms": _percentile_ms(row.latencies_us, 0.95),
        "ttft_p50_ms": _percentile_ms(row.ttfts_us, 0.5),
        "cost_usd": row.cost_nanos / 1e9,
        "unknown_cost_attempts": row.unknown_cost,
    }


def _percentile_ms(values_us: deque[int], share: float) -> float | None:
    if not values_us:
        return None
    ordered = sorted(values_us)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000, 3)


class NoMetrics:
    """A :class:`~trimaran.dispatch.ports.Metrics` that counts nothing: the library has nobody to scrape it."""

    def attempt(self, target: str, outcome: str) -> None:
        """Nothing."""

    def observe(
        self,
        model: str,
        target: str,
        status: str | int,
        stream: bool,
        ttft_s: float | None,
        latency_s: float,
        input_tokens: int,
        output_tokens: int,
        cost_nanos: int | None,
        attempts: int = 1,
    ) -> None:
        """Nothing."""
