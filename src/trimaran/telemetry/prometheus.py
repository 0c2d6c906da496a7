"""The page Prometheus reads, built at scrape from :class:`Totals` of the road and :class:`Facts` of the supervisor.

``prometheus_client`` writes the text; it is imported at the first scrape, so that start-up does not pay for it.
``docs/metrics.md`` describes each name; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.telemetry.metrics import REQUEST_SECONDS, TTFT_SECONDS, Series, Totals

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["CIRCUIT_STATES", "CONTENT_TYPE", "Facts", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CIRCUIT_STATES = {"closed": 0, "half_open": 1, "open": 2}
"""Value of ``trimaran_circuit_state`` by state."""


class Facts(msgspec.Struct, frozen=True):
    """What only the supervisor knows, at the moment of a scrape."""

    snapshot_version: int = 0
    worker_up: dict[int, bool] = {}
    worker_restarts: int = 0
    in_flight: int = 0
    circuits: dict[str, str] = {}
    """State by target id, a key of :data:`CIRCUIT_STATES`."""
    ledger_lag_records: int = 0
    ledger_ok: bool = True
    ledger_waiting_bytes: int = 0
    reloads_ok: int = 0
    reloads_failed: int = 0
    config_ok: bool = True
    """Whether the newest configuration is the one in use."""


def render(totals: Totals, facts: Facts | None = None) -> bytes:
    """The whole page in :data:`CONTENT_TYPE`."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Page(Collector):
        def collect(self) -> Iterable[Metric]:
            yield from _road(totals)
            yield from _control(facts if facts is not None else Facts())

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Page())
    return generate_latest(registry)


def _road(totals: Totals) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    requests = CounterMetricFamily(
        "trimaran_requests",
        "Requests finished, by what the client got.",
        labels=["model", "target", "status"],
    )
    for each in totals.series:
        for status, count in sorted(each.statuses.items(), key=lambda item: str(item[0])):
            requests.add_metric([each.model, each.target, str(status)], count)
    yield requests
    attempts = CounterMetricFamily(
        "trimaran_attempts", "Attempts at targets, by outcome.", labels=["target", "outcome"]
    )
    for target, outcome, count in totals.attempts:
        attempts.add_metric([target, outcome], count)
    yield attempts
    yield from _by_model(totals.series)
    yield from _by_target(totals.series)


def _by_model(series: Sequence[Series]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    labels = ["model", "target"]
    seconds = HistogramMetricFamily(
        "trimaran_request_seconds", "Whole time of a request through all of its attempts.", labels=labels
    )
    ttft = HistogramMetricFamily(
        "trimaran_ttft_seconds", "Time to the first content byte sent to the client.", labels=labels
    )
    streams = CounterMetricFamily("trimaran_streamed_requests", "Requests that asked for a stream.", labels=labels)
    failovers = CounterMetricFamily(
        "trimaran_failovers", "Requests that took more than one attempt, by where they ended.", labels=labels
    )
    for each in series:
        names = [each.model, each.target]
        seconds.add_metric(names, _buckets(REQUEST_SECONDS, each.seconds), each.seconds_sum)
        ttft.add_metric(names, _buckets(TTFT_SECONDS, each.ttft), each.ttft_sum)
        streams.add_metric(names, each.streams)
        failovers.add_metric(names, each.failovers)
    yield from (seconds, ttft, streams, failovers)


def _by_target(series: Sequence[Series]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    tokens = CounterMetricFamily("trimaran_tokens", "Tokens of finished requests.", labels=["target", "kind"])
    cost = CounterMetricFamily(
        "trimaran_cost_usd", "Cost of finished requests; the ledger is the exact record.", labels=["target"]
    )
    unpriced = CounterMetricFamily(
        "trimaran_unpriced_requests", "Finished requests whose cost is unknown (not zero).", labels=["target"]
    )
    for target in sorted({each.target for each in series}):
        rows = [each for each in series if each.target == target]
        tokens.add_metric([target, "input"], sum(each.input_tokens for each in rows))
        tokens.add_metric([target, "output"], sum(each.output_tokens for each in rows))
        cost.add_metric([target], sum(each.cost_nanos for each in rows) / 1e9)
        unpriced.add_metric([target], sum(each.unpriced for each in rows))
    yield from (tokens, cost, unpriced)


def _control(facts: Facts) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"trimaran_{name}", text, value=value)

    yield gauge("in_flight", "Requests running now, all workers.", facts.in_flight)
    yield gauge("snapshot_version", "Version of the configuration in use.", facts.snapshot_version)
    yield gauge("config_ok", "1 while the newest configuration is the one in use.", int(facts.config_ok))
    yield gauge("ledger_lag_records", "Journal records not yet in the ledger.", facts.ledger_lag_records)
    yield gauge("ledger_ok", "1 while the ledger takes in the journal.", int(facts.ledger_ok))
    yield gauge(
        "ledger_waiting_bytes", "Size of the journal while the ledger does not take it in.", facts.ledger_waiting_bytes
    )
    up = GaugeMetricFamily("trimaran_worker_up", "1 while the worker serves.", labels=["worker"])
    for worker, is_up in sorted(facts.worker_up.items()):
        up.add_metric([str(worker)], int(is_up))
    yield up
    circuits = GaugeMetricFamily(
        "trimaran_circuit_state", "0 closed, 1 half open, 2 open; the worst of all workers.", labels=["target"]
    )
    for target, state in sorted(facts.circuits.items()):
        circuits.add_metric([target], CIRCUIT_STATES[state])
    yield circuits
    yield CounterMetricFamily(
        "trimaran_worker_restarts", "Workers that died and were started again.", value=facts.worker_restarts
    )
    reloads = CounterMetricFamily("trimaran_config_reloads", "Reloads of the configuration.", labels=["result"])
    reloads.add_metric(["ok"], facts.reloads_ok)
    reloads.add_metric(["failed"], facts.reloads_failed)
    yield reloads


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[Any]:
    """Cumulative, as the format wants them; the last one is ``+Inf`` and also the count."""
    names = [*(repr(bound) for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))
