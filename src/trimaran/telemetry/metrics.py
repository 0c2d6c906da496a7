"""Counters of the road: plain integers that one method call moves, turned into text only when somebody scrapes.

A worker owns one :class:`RoadMetrics` and sends :meth:`RoadMetrics.export` to the supervisor; the supervisor adds the
exports of all workers, dead ones included, with :func:`merge`. Counters count since the process's start and never go
down.

Label values come from the snapshot only (:meth:`RoadMetrics.follow`): a client that invents model names moves
``unknown``, and a name under a wildcard counts as the wildcard (``openai/*``), so no client can make series.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from trimaran.types import Snapshot

__all__ = ["NO_TARGET", "REQUEST_SECONDS", "TTFT_SECONDS", "UNKNOWN", "RoadMetrics", "Series", "Totals", "merge"]

REQUEST_SECONDS = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    *(163.84, 327.68, 655.36),
)
"""Upper bounds in seconds: OpenTelemetry's for ``gen_ai.client.operation.duration``, on to the default deadline."""

TTFT_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 60.0),
)
"""Upper bounds in seconds: OpenTelemetry's for ``gen_ai.server.time_to_first_token``, on to the default TTFT limit."""

UNKNOWN = "unknown"
NO_TARGET = "none"
"""The target label of a request that was refused before any attempt."""


class Series(msgspec.Struct, array_like=True):
    """All counters of one model at one target. Histogram lists have one entry per bound and a last one for the rest."""

    model: str
    target: str
    statuses: dict[str | int, int] = {}
    seconds: list[int] = []
    seconds_sum: float = 0.0
    ttft: list[int] = []
    ttft_sum: float = 0.0
    streams: int = 0
    failovers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    unpriced: int = 0


class Totals(msgspec.Struct, array_like=True):
    """What one worker, or all of them together, counted."""

    series: list[Series] = []
    attempts: list[tuple[str, str, int]] = []
    """Target, outcome, how many."""


class RoadMetrics:
    """The counters of one worker. Not thread-safe: its one writer is the worker's loop."""

    __slots__ = ("_attempts", "_models", "_series", "_targets", "_wildcards", "in_flight")

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.in_flight = 0
        """Requests accepted and not yet finished; the worker moves it directly."""
        self._series: dict[tuple[str, str], Series] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._models: frozenset[str] = frozenset()
        self._targets: frozenset[str] = frozenset()
        self._wildcards: frozenset[str] = frozenset()
        if snapshot is not None:
            self.follow(snapshot)

    def follow(self, snapshot: Snapshot) -> None:
        """Take label values from ``snapshot`` from now on. What was counted stays, under the names it was counted."""
        self._models = frozenset(snapshot.models)
        self._targets = frozenset(snapshot.targets)
        self._wildcards = frozenset(snapshot.wildcards)

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
        """One request finished, well or not.

        ``target`` is the one that answered or failed last, empty where none was tried. ``status`` is a word or HTTP
        status of ours, never a client's or provider's text. ``ttft_s`` is 0 or ``None`` where no content came;
        ``cost_nanos`` is ``None`` where the price is unknown.
        """
        series = self._series.get((model, target))
        if series is None:
            series = self._admit(model, target)
        statuses = series.statuses
        statuses[status] = statuses.get(status, 0) + 1
        series.seconds[bisect_left(REQUEST_SECONDS, latency_s)] += 1
        series.seconds_sum += latency_s
        if ttft_s:
            series.ttft[bisect_left(TTFT_SECONDS, ttft_s)] += 1
            series.ttft_sum += ttft_s
        if attempts > 1:
            series.failovers += 1
        if stream:
            series.streams += 1
        series.input_tokens += input_tokens
        series.output_tokens += output_tokens
        if cost_nanos is None:
            series.unpriced += 1
        else:
            series.cost_nanos += cost_nanos

    def attempt(self, target: str, outcome: str) -> None:
        """One attempt ended: ``outcome`` is ``ok`` or the ``code`` of its error."""
        key = (target, outcome)
        counts = self._attempts
        if key in counts:
            counts[key] += 1
            return
        key = (self._target_label(target), outcome)
        counts[key] = counts.get(key, 0) + 1

    def export(self) -> Totals:
        """A view for encoding at once; it is not a copy."""
        return Totals(list(self._series.values()), [(*key, count) for key, count in self._attempts.items()])

    def _admit(self, model: str, target: str) -> Series:
        target_label = self._target_label(target)
        model_label = self._model_label(model, target_label)
        key = (model_label, target_label)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _empty(model_label, target_label)
        return series

    def _target_label(self, target: str) -> str:
        if not target:
            return NO_TARGET
        return target if target in self._targets else self._wildcard(target)

    def _model_label(self, model: str, target_label: str) -> str:
        if model in self._models:
            return model
        wildcard = self._wildcard(model)
        # A bare name (``gpt-4o-mini``) that a wildcard's provider answered belongs to that wildcard.
        return target_label if wildcard == UNKNOWN and target_label.endswith("/*") else wildcard

    def _wildcard(self, name: str) -> str:
        prefix = name.partition("/")[0]
        return f"{prefix}/*" if prefix in self._wildcards else UNKNOWN


def merge(parts: Iterable[Totals]) -> Totals:
    """The sum of ``parts``; they stay as they were."""
    series: dict[tuple[str, str], Series] = {}
    attempts: dict[tuple[str, str], int] = {}
    for part in parts:
        for each in part.series:
            key = (each.model, each.target)
            if key not in series:
                series[key] = _empty(*key)
            _add(series[key], each)
        for target, outcome, count in part.attempts:
            attempts[target, outcome] = attempts.get((target, outcome), 0) + count
    ordered = sorted(attempts.items())
    return Totals([series[key] for key in sorted(series)], [(*key, count) for key, count in ordered])


def _empty(model: str, target: str) -> Series:
    return Series(
        model, target, statuses={}, seconds=[0] * (len(REQUEST_SECONDS) + 1), ttft=[0] * (len(TTFT_SECONDS) + 1)
    )


def _add(into: Series, other: Series) -> None:
    for status, count in other.statuses.items():
        into.statuses[status] = into.statuses.get(status, 0) + count
    into.seconds = [a + b for a, b in zip(into.seconds, other.seconds, strict=True)]
    into.ttft = [a + b for a, b in zip(into.ttft, other.ttft, strict=True)]
    into.seconds_sum += other.seconds_sum
    into.ttft_sum += other.ttft_sum
    into.streams += other.streams
    into.failovers += other.failovers
    into.input_tokens += other.input_tokens
    into.output_tokens += other.output_tokens
    into.cost_nanos += other.cost_nanos
    into.unpriced += other.unpriced
