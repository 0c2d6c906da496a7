"""The answer to a question about spend."""

from __future__ import annotations

import msgspec

__all__ = ["Report", "SpendRow"]


class SpendRow(msgspec.Struct, kw_only=True):
    """One group. Tokens are sums of what is known; milliseconds are rounded to the nearest; money is nano-dollars."""

    group: str
    """Its values, with commas between them; empty for attempts that have none (no such tag, no key)."""
    groups: dict[str, str]
    """Its value of each dimension that was asked for."""
    simulated: bool = False
    requests: int = 0
    attempts: int = 0
    failures: int = 0
    """Ended ``failed``: the target's or the network's fault."""
    rejected: int = 0
    cancelled: int = 0
    open_attempts: int = 0
    """Started and not settled: under way, or cut off by a crash."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Part of ``input_tokens`` that was read from the provider's cache."""
    cache_write_tokens: int = 0
    """Part of ``input_tokens``."""
    reasoning_tokens: int = 0
    """Part of ``output_tokens``."""
    audio_input_tokens: int = 0
    """Part of ``input_tokens``."""
    audio_output_tokens: int = 0
    """Part of ``output_tokens``."""
    total_nanos: int | None = None
    """``cost_nanos``, ``capacity_nanos`` and ``idle_nanos`` together; ``None`` when none of them is known. A lower limit
    where something is unknown."""
    cost_nanos: int | None = None
    """By tokens: sum of the known costs of attempts that have ended; ``None`` when none is known."""
    estimated_nanos: int = 0
    """Part of ``cost_nanos`` that rests on our own count of tokens instead of the provider's report."""
    failed_nanos: int = 0
    """Part of ``cost_nanos`` and ``capacity_nanos`` that went to attempts that failed, were rejected or cancelled."""
    capacity_nanos: int | None = None
    """The share of pools that the attempts bear; ``None``: of no pool with a price."""
    idle_nanos: int = 0
    """The cost of pools while nothing was in flight; nobody bears it."""
    amortised_nanos: int = 0
    """Part of ``capacity_nanos`` and ``idle_nanos`` that is an earlier payment spread over its term."""
    unknown_cost_attempts: int = 0
    """Attempts whose cost is not known and not paid for as capacity; open ones without a bound among them."""
    unpriced_replica_s: int = 0
    """Seconds for which replicas without a known price stood."""
    estimated_attempts: int = 0
    open_bound_nanos: int = 0
    """The most that the open attempts can cost, as far as it can be bounded. Not part of ``total_nanos``."""
    cut_off_attempts: int = 0
    """Part of ``open_attempts``: their process died, so they never settle."""
    cut_off_bound_nanos: int = 0
    """Part of ``open_bound_nanos``."""
    simulated_attempts: int = 0
    """0, or all of them."""
    p50_latency_ms: int | None = None
    p95_latency_ms: int | None = None
    p50_ttft_ms: int | None = None
    p95_ttft_ms: int | None = None


class Report(msgspec.Struct):
    """The answer to one question, read in one transaction."""

    by: tuple[str, ...]
    rows: list[SpendRow]
    """Dearest first; in order of time where the first dimension is a period."""
    totals: list[SpendRow]
    """Of what is real and of what is simulated, as far as there is any."""
