"""What is promised of targets that limit, come and go, or are alone: on the virtual clock, against a provider that counts."""

from __future__ import annotations

from functools import cache

import pytest

from trimaran.routing.circuit import Circuit
from trimaran.simulation import Fault, RateLimit, Result, Run, TargetModel, simulate, steady
from trimaran.simulation.limits import Gate
from trimaran.simulation.policies import Routing

SPAN_S = 600.0
LEARNT_S = 200.0
WAIT_S = 5.0
KINDS = {
    "bucket": (10.0, False, True),
    "bucket, no Retry-After": (10.0, False, False),
    "minutes": (60.0, True, True),
    "minutes, no Retry-After": (60.0, True, False),
}
"""Seconds' worth at once, windows of the clock, Retry-After."""


def target(name: str, *limits: RateLimit, speed: float = 1.0, faults: list[Fault] | None = None) -> TargetModel:
    return TargetModel(name, [(0.0, speed)], slots=500, limits=list(limits), faults=faults or [])


@cache
def lone(kind: str, per_minute: float, workers: int, tokens: bool = False, overload: float = 1.5) -> Result:
    """A limited target alone under more than it takes. A request is 940 tokens in the mean."""
    burst_s, windows, retry_after = KINDS[kind]
    limit = RateLimit(
        0.0,
        None if tokens else per_minute,
        per_minute * 940.0 if tokens else None,
        burst_s=burst_s,
        windows=windows,
        retry_after=retry_after,
    )
    run = steady(1, [target("lone", limit)], [(SPAN_S, overload * per_minute / 60.0)], wait_s=WAIT_S)
    return simulate(run, Routing(["lone"], workers), workers)


def refused_share(result: Result, since: float = 0.0, number: int | None = None) -> float:
    sent = sum(at >= since for at, which, _ in result.sent_to if number in (None, which))
    return sum(at >= since for at, which in result.limited if number in (None, which)) / max(1, sent)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokens", [False, True], ids=["requests", "tokens"])
def test_a_lone_target_under_overload_serves_its_limit_and_refuses_little(
    kind: str, tokens: bool, workers: int
) -> None:
    result = lone(kind, 300.0, workers, tokens)
    assert refused_share(result) < 0.05
    served = sum(LEARNT_S <= at < SPAN_S for at, _ in result.answered_at)
    assert served >= 0.85 * 300.0 * (SPAN_S - LEARNT_S) / 60.0


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", ["bucket", "bucket, no Retry-After", "minutes"])
def test_so_does_one_that_takes_a_request_a_second(kind: str, workers: int) -> None:
    result = lone(kind, 60.0, workers)
    assert refused_share(result) < 0.05
    served = sum(LEARNT_S <= at < SPAN_S for at, _ in result.answered_at)
    assert served >= 0.85 * 60.0 * (SPAN_S - LEARNT_S) / 60.0


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_beside_an_unlimited_target_hardly_anything_is_refused(kind: str, workers: int) -> None:
    burst_s, windows, retry_after = KINDS[kind]
    limit = RateLimit(requests=120.0, burst_s=burst_s, windows=windows, retry_after=retry_after)
    run = steady(2, [target("limited", limit), target("free", speed=2.0)], [(SPAN_S, 3.0)], wait_s=WAIT_S)
    result = simulate(run, Routing(["limited", "free"], workers), workers)
    assert result.unanswered == 0
    assert refused_share(result, LEARNT_S) < 0.02
    taken = sum(LEARNT_S <= at < SPAN_S and which == 0 for at, which in result.answered_at)
    assert taken >= 0.75 * 120.0 * (SPAN_S - LEARNT_S) / 60.0, "the faster one is used as far as it goes"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("before", "after"), [(120.0, 240.0), (240.0, 120.0)], ids=["doubled", "halved"])
def test_a_limit_that_changes_is_found_within_minutes(before: float, after: float, workers: int) -> None:
    limits = [RateLimit(0.0, before), RateLimit(300.0, after)]
    run = steady(3, [target("lone", *limits)], [(780.0, 6.0)], wait_s=WAIT_S)
    result = simulate(run, Routing(["lone"], workers), workers)
    served = sum(600.0 <= at < 780.0 for at, _ in result.answered_at)
    assert 0.85 * after * 3.0 <= served <= 1.1 * after * 3.0
    assert refused_share(result) < 0.05


class Views(Routing):
    """Keeps the seconds in which a worker thought that the first target's circuit is not closed."""

    def __init__(self, names: list[str], workers: int) -> None:
        super().__init__(names, workers)
        self.shut: list[float] = []

    def exchange(self, now: float) -> None:
        super().exchange(now)
        known = [state.targets.get(self.policy.targets[0]) for state in self.states]
        if any(each is not None and each.breaker.circuit is not Circuit.CLOSED for each in known):
            self.shut.append(now)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_target_that_comes_and_goes_costs_a_few_trials_and_is_back_within_seconds(workers: int) -> None:
    outages = [Fault(40.0 * n + 20.0, 40.0 * n + 40.0, "error") for n in range(15)]
    run = steady(4, [target("flapping", faults=outages), target("steady", speed=1.5)], [(600.0, 5.0)])
    views = Views(["flapping", "steady"], workers)
    result = simulate(run, views, workers)
    assert result.unanswered == 0
    at = [when for when, which, _ in result.sent_to if which == 0]
    for outage in outages:
        assert sum(outage.start_s + 3.0 <= when < outage.end_s for when in at) <= 7
    # Closed within 5 s where it was tried; the others hear of it with the next exchange.
    late = [when for outage in outages for when in views.shut if outage.end_s + 6.0 <= when < outage.end_s + 20.0]
    assert late == []
    good = [when for when, which in result.answered_at if which == 0]
    used = [sum(o.end_s <= when < o.end_s + 20.0 for when in good) for o in outages[:-1]]
    assert sum(count >= 20 for count in used) >= 11, "some hundred requests come in each of those times"


@pytest.mark.parametrize("kind", ["error", "refuse"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_lone_target_that_is_down_for_a_minute_is_not_hammered(kind: str, workers: int) -> None:
    run = steady(5, [target("lone", faults=[Fault(60.0, 120.0, kind)])], [(240.0, 10.0)], wait_s=WAIT_S)
    result = simulate(run, Routing(["lone"], workers), workers)
    at = [when for when, _, _ in result.sent_to]
    assert sum(62.0 <= when < 120.0 for when in at) <= 40, "600 came"
    back = min(when for when, _ in result.answered_at if when >= 120.0)
    assert back <= 125.0
    assert sum(back <= when < back + 0.1 for when in at) <= 4, "no flood"
    assert sum(back + 15.0 <= when for when, _ in result.answered_at) >= 0.9 * 10.0 * (240.0 - back - 15.0)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_retry_after_is_kept_by_all_workers(workers: int) -> None:
    limit = Fault(60.0, 61.0, "limit", retry_after_s=30.0)
    run = steady(6, [target("lone", faults=[limit])], [(120.0, 10.0)], wait_s=WAIT_S)
    result = simulate(run, Routing(["lone"], workers), workers)
    first = min(at for at, _ in result.limited)
    sent = [at for at, _, _ in result.sent_to]
    assert not [at for at in sent if first + 1.1 < at < first + 29.9], "an exchange is a second"
    after = [at for at in sent if first + 29.9 <= at < first + 30.5]
    assert 1 <= len(after) <= 12
    assert sum(first + 40.0 <= at < 120.0 for at, _ in result.answered_at) >= 0.8 * 10.0 * (120.0 - first - 40.0)


def gate(limit: RateLimit, times: list[float], tokens: int = 100) -> list[float | None]:
    provider = Gate([limit])
    return [provider.refuses(tokens, at) for at in times]


def test_the_simulated_provider_takes_what_its_bucket_holds() -> None:
    limit = RateLimit(requests=60.0, burst_s=2.0)
    assert gate(limit, [0.0, 0.0, 0.0, 0.5, 1.0]) == [None, None, pytest.approx(1.0), pytest.approx(0.5), None]


def test_the_simulated_provider_counts_anew_in_each_window() -> None:
    limit = RateLimit(requests=2.0, burst_s=60.0, windows=True)
    assert gate(limit, [50.0, 51.0, 52.0, 60.0]) == [None, None, pytest.approx(8.0), None]


def test_the_simulated_provider_counts_tokens() -> None:
    limit = RateLimit(tokens=6000.0, burst_s=10.0)
    assert gate(limit, [0.0, 0.0, 2.0], 600) == [None, pytest.approx(2.0), None]


def test_a_request_that_may_wait_comes_back_when_routing_said() -> None:
    limit = Fault(0.0, 0.5, "limit", retry_after_s=3.0)
    model = target("lone", faults=[limit])

    def answered(wait_s: float) -> Result:
        run: Run = steady(7, [model], [(0.4, 10.0)], wait_s=wait_s)
        return simulate(run, Routing(["lone"]))

    assert answered(0.0).latencies == []
    waited = answered(10.0)
    assert waited.unanswered == 0
    assert min(waited.latencies) > 3.0
