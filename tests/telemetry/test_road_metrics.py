"""Counters of the road: what moves, under which bounded labels, and how exports add up."""

from __future__ import annotations

import msgspec
import pytest

from trimaran.telemetry.metrics import REQUEST_SECONDS, TTFT_SECONDS, RoadMetrics, Series, Totals, merge
from trimaran.types import ModelPolicy, Snapshot, Target


def target(name: str, upstream: str = "m") -> Target:
    return Target(name, name.partition("/")[0], upstream, ("openai.chat",), "http://127.0.0.1:1")


SNAPSHOT = Snapshot(
    version=1,
    targets={"openai/a": target("openai/a"), "anthropic/b": target("anthropic/b")},
    models={"chat": ModelPolicy("chat", "fastest", ("openai/a", "anthropic/b"))},
    wildcards={"groq": target("groq/*", "*")},
)


def only(totals: Totals) -> Series:
    (series,) = totals.series
    return series


def observe(metrics: RoadMetrics, model: str = "chat", target: str = "openai/a", **changes: object) -> None:
    values: dict[str, object] = {
        "status": 200,
        "stream": True,
        "ttft_s": 0.3,
        "latency_s": 1.2,
        "input_tokens": 10,
        "output_tokens": 20,
        "cost_nanos": 300,
        **changes,
    }
    metrics.observe(model=model, target=target, **values)  # type: ignore[arg-type]


def test_a_finished_request_moves_every_counter_it_should() -> None:
    metrics = RoadMetrics(SNAPSHOT)
    observe(metrics)
    observe(metrics, status=502, stream=False, ttft_s=None, latency_s=0.5, cost_nanos=None, attempts=2)
    series = only(metrics.export())
    assert series.statuses == {200: 1, 502: 1}
    assert (series.streams, series.failovers, series.unpriced) == (1, 1, 1)
    assert (series.input_tokens, series.output_tokens, series.cost_nanos) == (20, 40, 300)
    assert series.seconds_sum == pytest.approx(1.7)
    assert (sum(series.seconds), sum(series.ttft)) == (2, 1)


@pytest.mark.parametrize(
    ("latency_s", "bucket"),
    [(0.0, 0), (0.01, 0), (0.0101, 1), (655.36, len(REQUEST_SECONDS) - 1), (9999.0, len(REQUEST_SECONDS))],
)
def test_a_bucket_holds_values_up_to_and_including_its_bound(latency_s: float, bucket: int) -> None:
    metrics = RoadMetrics(SNAPSHOT)
    observe(metrics, latency_s=latency_s)
    assert only(metrics.export()).seconds[bucket] == 1


def test_bounds_rise() -> None:
    assert list(REQUEST_SECONDS) == sorted(set(REQUEST_SECONDS))
    assert list(TTFT_SECONDS) == sorted(set(TTFT_SECONDS))


def test_names_that_clients_invent_make_no_series() -> None:
    metrics = RoadMetrics(SNAPSHOT)
    for n in range(1000):
        observe(metrics, model=f"invented-{n}", target="")
        observe(metrics, model=f"groq/invented-{n}", target=f"groq/invented-{n}")
        observe(metrics, model=f"bare-{n}", target=f"groq/bare-{n}")
        metrics.attempt(f"groq/invented-{n}", "ok")
        metrics.attempt(f"nobody/invented-{n}", "ok")
    totals = metrics.export()
    assert {(each.model, each.target): sum(each.statuses.values()) for each in totals.series} == {
        ("unknown", "none"): 1000,
        ("groq/*", "groq/*"): 2000,
    }
    assert sorted(totals.attempts) == [("groq/*", "ok", 1000), ("unknown", "ok", 1000)]


def test_a_new_snapshot_brings_new_names_and_loses_no_count() -> None:
    metrics = RoadMetrics(SNAPSHOT)
    observe(metrics)
    metrics.follow(
        Snapshot(version=2, targets={"x/y": target("x/y")}, models={"new": ModelPolicy("new", "ordered", ("x/y",))})
    )
    observe(metrics, model="new", target="x/y")
    names = {(each.model, each.target) for each in metrics.export().series}
    assert names == {("chat", "openai/a"), ("new", "x/y")}


def test_attempts_count_by_outcome() -> None:
    metrics = RoadMetrics(SNAPSHOT)
    for outcome in ("ok", "ok", "connect_failed"):
        metrics.attempt("openai/a", outcome)
    assert sorted(metrics.export().attempts) == [("openai/a", "connect_failed", 1), ("openai/a", "ok", 2)]


def test_exports_travel_as_msgpack() -> None:
    metrics = RoadMetrics(SNAPSHOT)
    observe(metrics)
    metrics.attempt("openai/a", "ok")
    export = metrics.export()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(export), type=Totals) == export


def test_merging_adds_and_leaves_its_parts_alone() -> None:
    first, second = RoadMetrics(SNAPSHOT), RoadMetrics(SNAPSHOT)
    observe(first)
    observe(second, status=429)
    observe(second, target="anthropic/b")
    first.attempt("openai/a", "ok")
    second.attempt("openai/a", "ok")
    parts = [first.export(), second.export()]
    before = msgspec.msgpack.encode(parts)
    total = merge(parts)
    by_target = {each.target: each for each in total.series}
    assert by_target["openai/a"].statuses == {200: 1, 429: 1}
    assert by_target["openai/a"].cost_nanos == 600
    assert sum(by_target["openai/a"].seconds) == 2
    assert by_target["anthropic/b"].statuses == {200: 1}
    assert total.attempts == [("openai/a", "ok", 2)]
    assert msgspec.msgpack.encode(parts) == before


def test_merging_in_steps_equals_merging_at_once() -> None:
    parts = []
    for status in (200, 502, 200):
        metrics = RoadMetrics(SNAPSHOT)
        observe(metrics, status=status, latency_s=0.5, ttft_s=0.25)
        parts.append(metrics.export())
    assert merge([merge(parts[:2]), parts[2]]) == merge(parts)
    assert merge([]) == Totals()
