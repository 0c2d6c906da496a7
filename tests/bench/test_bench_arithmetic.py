from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arithmetic import Limit, cpu_per_answer_us, judge, median_of, percentile, ratio, spread
from bench.limits import LIMITS
from bench.scenarios import SCENARIOS


def test_percentile_is_the_nearest_rank() -> None:
    values = list(range(100, 0, -1))
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 100) == 100
    assert percentile([7], 1) == 7
    assert percentile([], 50) == 0.0


@given(st.lists(st.integers(0, 1000), min_size=1), st.sampled_from([1, 50, 90, 99, 100]))
def test_percentile_has_enough_below_it_and_the_next_smaller_has_not(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert sum(v <= found for v in values) * 100 >= percent * len(values)
    assert sum(v < found for v in values) * 100 < percent * len(values)


def test_median_and_spread_leave_out_what_is_missing() -> None:
    assert median_of([3.0, None, 1.0, 2.0]) == 2.0
    assert median_of([None]) is None
    assert spread([3.0, None, 1.0]) == (1.0, 3.0)
    assert spread([]) is None


def test_ratio_needs_both_sides() -> None:
    assert ratio(30.0, 20.0) == 1.5
    assert ratio(None, 20.0) is None
    assert ratio(30.0, None) is None
    assert ratio(30.0, 0.0) is None


def test_cpu_is_charged_to_correct_answers_only() -> None:
    assert cpu_per_answer_us(2_000_000_000, 100_000) == 20.0
    assert cpu_per_answer_us(2_000_000_000, 0) is None


@pytest.mark.parametrize(
    ("ours", "met", "text"),
    [(30.0, True, "met"), (44.0, True, "met"), (66.0, False, "missed by 50.0 %"), (None, None, "no figure of us")],
)
def test_a_limit_on_a_ratio(ours: float | None, met: bool | None, text: str) -> None:
    verdict = judge(Limit("closed", 2.2, "x", "nginx"), {"closed": {"us": ours, "nginx": 20.0}}, "us")
    assert verdict.met is met
    assert text in verdict.text


def test_a_limit_on_a_figure_and_a_missing_peer() -> None:
    assert judge(Limit("startup", 0.5, "s"), {"startup": {"us": 0.4}}, "us").met is True
    verdict = judge(Limit("closed", 2.2, "x", "nginx"), {"closed": {"us": 30.0}}, "us")
    assert verdict.met is None
    assert verdict.text == "not judged: no figure of nginx"


def test_each_limit_names_a_figure_that_is_measured() -> None:
    measured = {scenario.name for scenario in SCENARIOS} | {
        "startup",
        "worker_rss",
        "tree_pss",
        "import",
        "import_router",
    }
    assert {limit.scenario for limit in LIMITS} <= measured
