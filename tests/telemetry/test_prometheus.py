"""The exposition, judged by prometheus_client's own parser, and its documentation."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from trimaran.telemetry.metrics import RoadMetrics, merge
from trimaran.telemetry.prometheus import CIRCUIT_STATES, CONTENT_TYPE, Facts, render
from trimaran.types import ModelPolicy, Snapshot, Target

SNAPSHOT = Snapshot(
    version=1,
    targets={"openai/a": Target("openai/a", "openai", "a", ("openai.chat",), "http://127.0.0.1:1")},
    models={"chat": ModelPolicy("chat", "fastest", ("openai/a",))},
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: bytes) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} stands twice on the page"
            found[key] = sample.value
    return found


def busy() -> RoadMetrics:
    metrics = RoadMetrics(SNAPSHOT)
    metrics.observe("chat", "openai/a", 200, True, 0.3, 1.2, 10, 20, 1_500_000_000)
    metrics.observe("chat", "openai/a", 200, True, 0.002, 0.02, 10, 20, None, 2)
    metrics.observe("nope", "", 404, False, None, 0.0, 0, 0, 0)
    metrics.attempt("openai/a", "ok")
    metrics.attempt("openai/a", "target_overloaded")
    return metrics


def test_the_parser_reads_what_was_counted() -> None:
    page = samples(render(busy().export()))
    at = (("model", "chat"), ("target", "openai/a"))
    assert page["trimaran_requests_total", (*at[:1], ("status", "200"), *at[1:])] == 2
    assert page["trimaran_requests_total", (("model", "unknown"), ("status", "404"), ("target", "none"))] == 1
    assert page["trimaran_attempts_total", (("outcome", "target_overloaded"), ("target", "openai/a"))] == 1
    assert page["trimaran_tokens_total", (("kind", "output"), ("target", "openai/a"))] == 40
    assert page["trimaran_cost_usd_total", (("target", "openai/a"),)] == 1.5
    assert page["trimaran_unpriced_requests_total", (("target", "openai/a"),)] == 1
    assert page["trimaran_failovers_total", at] == 1
    assert page["trimaran_streamed_requests_total", at] == 2


def test_histograms_are_cumulative_and_end_with_the_count() -> None:
    page = samples(render(busy().export()))
    at = (("model", "chat"), ("target", "openai/a"))

    def bucket(name: str, le: str) -> float:
        return page[f"{name}_bucket", (("le", le), *at)]

    assert [bucket("trimaran_request_seconds", le) for le in ("0.01", "0.02", "0.64", "1.28", "+Inf")] == [
        0,
        1,
        1,
        2,
        2,
    ]
    assert [bucket("trimaran_ttft_seconds", le) for le in ("0.001", "0.005", "0.5", "+Inf")] == [0, 1, 2, 2]
    assert page["trimaran_request_seconds_count", at] == 2
    assert abs(page["trimaran_request_seconds_sum", at] - 1.22) < 1e-9


def test_the_supervisors_facts() -> None:
    facts = Facts(
        snapshot_version=7,
        worker_up={0: True, 1: False},
        worker_restarts=3,
        in_flight=4,
        circuits={"openai/a": "open"},
        ledger_lag_records=9,
        reloads_ok=1,
        reloads_failed=2,
        config_ok=False,
    )
    page = samples(render(merge([]), facts))
    assert page["trimaran_snapshot_version", ()] == 7
    assert page["trimaran_worker_up", (("worker", "0"),)] == 1
    assert page["trimaran_worker_up", (("worker", "1"),)] == 0
    assert page["trimaran_worker_restarts_total", ()] == 3
    assert page["trimaran_in_flight", ()] == 4
    assert page["trimaran_circuit_state", (("target", "openai/a"),)] == CIRCUIT_STATES["open"]
    assert page["trimaran_ledger_lag_records", ()] == 9
    assert page["trimaran_config_reloads_total", (("result", "failed"),)] == 2
    assert page["trimaran_config_ok", ()] == 0


def test_labels_with_awkward_characters_survive() -> None:
    name = 'we"ird\\na\nme'
    snapshot = Snapshot(version=1, models={name: ModelPolicy(name, "ordered", ())})
    metrics = RoadMetrics(snapshot)
    metrics.observe(name, "", 503, False, None, 0.0, 0, 0, 0)
    page = samples(render(metrics.export()))
    assert page["trimaran_requests_total", (("model", name), ("status", "503"), ("target", "none"))] == 1


def test_the_content_type_is_the_one_of_the_text_format() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    page = render(busy().export(), Facts(worker_up={0: True}, circuits={"openai/a": "closed"})).decode()
    shown = set(re.findall(r"^# TYPE (\S+) ", page, re.M))
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(trimaran_\w+)`", text, re.M))
    assert shown == documented
