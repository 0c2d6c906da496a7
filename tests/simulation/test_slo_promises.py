"""What ``cheapest`` with an SLO promises, on a virtual clock: it keeps what is asked, for less than the dear target alone."""

from __future__ import annotations

import pytest

from trimaran.simulation import percentile, simulate
from trimaran.simulation.policies import Routing
from trimaran.simulation.slo_report import FIRST_SEED, PRICES, QUANTILE, SCENARIOS, Kept, kept, main, table
from trimaran.simulation.workload import cheap_and_dear
from trimaran.types import Slo

SEEDS = range(FIRST_SEED, FIRST_SEED + 20)


def by_policy(found: list[Kept]) -> dict[str, Kept]:
    return {each.policy: each for each in found}


def test_the_slo_is_kept_for_less_than_the_dear_target_costs_when_load_comes_and_goes() -> None:
    found = by_policy(kept(SEEDS, "load"))
    aware, dear, cheap = found["cheapest with slo"], found["always dear"], found["always cheap"]
    assert percentile(cheap.shares, 0.5) < 0.6, "the cheap one alone misses it by far"
    assert min(dear.shares) > QUANTILE
    assert min(aware.shares) >= QUANTILE
    assert percentile(aware.costs, 0.5) <= 0.68
    assert percentile(aware.costs, 0.95) <= 0.78
    assert percentile(aware.to_cheap, 0.5) >= 0.5
    assert max(aware.probing) <= 0.03


def test_a_cheap_target_that_slows_down_is_left_and_found_again() -> None:
    found = by_policy(kept(SEEDS[:8], "load and slowing"))
    aware = found["cheapest with slo"]
    assert min(aware.shares) >= QUANTILE
    assert percentile(aware.costs, 0.5) <= 0.88
    run = cheap_and_dear(FIRST_SEED, slowed=3.0)
    result = simulate(run, Routing(["cheap", "dear"], strategy="cheapest", prices=PRICES, slo=Slo(ttft=((0.95, 1.0),))))
    slow, fast = run.changes
    during = [target for at, target, _ in result.sent_to if slow + 20.0 <= at < fast]
    after = [target for at, target, _ in result.sent_to if at >= fast]
    assert during.count(0) <= 0.05 * len(during)
    assert after.count(0) >= 0.15 * len(after)


def test_four_workers_together_keep_it_too() -> None:
    aware = by_policy(kept(SEEDS[:4], "load", workers=4))["cheapest with slo"]
    assert min(aware.shares) >= QUANTILE
    assert percentile(aware.costs, 0.5) <= 0.75


def test_without_an_slo_the_cheapest_is_always_the_cheap_one() -> None:
    run = cheap_and_dear(FIRST_SEED, requests=600)
    result = simulate(run, Routing(["dear", "cheap"][::-1], strategy="cheapest", prices=PRICES))
    assert {target for _, target, _ in result.sent_to} == {0}
    assert len(result.ttfts) == len(result.answered_by) == len(result.latencies) == 600
    assert all(ttft_s <= latency_s for ttft_s, latency_s in zip(result.ttfts, result.latencies, strict=True))


def test_the_report_prints_a_line_for_each_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "1 seeds, 1 worker(s), first token within 1 s asked for 95%"
    assert len(out) == 2 + 4 * len(SCENARIOS)
    row = table([Kept("load", "p", [0.9], [0.5], [0.25], [0.01])]).splitlines()[1]
    assert "90.0%" in row and "50%" in row and "25%" in row and "1.0%" in row
