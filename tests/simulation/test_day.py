"""A day of three workers on the virtual clock: outages, a target that comes and goes, hours of limits, a worker that starts again.

Everything passes through ``order``, ``learn`` and the exchange that real workers use. The promises are asserted over the whole day.
"""

from __future__ import annotations

from random import Random

import pytest

from trimaran.routing import Completed, Failed, FirstToken, Sent, State
from trimaran.routing.circuit import OPEN_CAP_S, Circuit
from trimaran.simulation import Fault, RateLimit, Result, TargetModel, simulate, steady
from trimaran.simulation.policies import AttemptEvent, Plan, Routing
from trimaran.simulation.workload import Arrival

HOUR = 3600.0
DAY = 24 * HOUR
WORKERS = 3
NAMES = ["broken", "flapping", "limited"]
RESTART = 10.25 * HOUR
FLAPPING = (9 * HOUR, 10.5 * HOUR)
LIMITED = (13 * HOUR, 15 * HOUR)
PER_MINUTE = 20.0
MINUTES = 240.0


def outages(seed: int) -> list[Fault]:
    """One in each second hour, from seconds to a quarter of an hour, of each kind."""
    random = Random(seed)
    found = []
    for number, kind in enumerate(["error", "refuse", "silent"] * 4):
        start = 2 * HOUR * number + random.uniform(0.0, 0.7 * HOUR)
        found.append(Fault(start, start + random.choice([20.0, 60.0, 200.0, 900.0]), kind))
    return found


def flaps() -> list[Fault]:
    """Down for 20 s, up for 20 s."""
    start, end = FLAPPING
    return [Fault(start + 40.0 * n, start + 40.0 * n + 20.0, "error") for n in range(int((end - start) / 40.0))]


class Watched(Routing):
    """Routing whose promises are looked at while it runs."""

    def __init__(self) -> None:
        super().__init__(NAMES, WORKERS)
        self.admitted_open = 0
        self.sent_open = 0
        self.trials: list[tuple[float, str]] = []
        self.shut: dict[tuple[int, str], list[tuple[float, float]]] = {}
        self.low_since: float | None = None
        self.longest_low_s = 0.0
        self.restarted = False
        self.news = False

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        plan = super().plan(arrival, worker, now)
        for choice in plan.choices or []:
            target = self.states[worker].targets.get(choice.target)
            if target is not None and target.breaker.circuit is not Circuit.CLOSED:
                self.admitted_open += max(target.breaker.until, target.breaker.trial_until) > now
        return plan

    def tell(self, event: AttemptEvent, target: int, worker: int, now: float) -> None:
        if self.restarted and worker == 1 and now - took_s(event) < RESTART:
            return
        self.news = True
        if isinstance(event, Sent):
            known = self.states[worker].targets.get(event.target)
            if known is not None and known.breaker.circuit is not Circuit.CLOSED:
                self.trials.append((now, event.target))
                self.sent_open += known.breaker.until > now
        super().tell(event, target, worker, now)

    def exchange(self, now: float) -> None:
        # Seconds without news are not exchanged, which saves half of the test's time; so that workers do not seem gone, one in four is.
        if not self.news and now % 4.0 >= 1.0:
            return
        self.news = False
        if not self.restarted and now >= RESTART:
            self.restarted = True
            self.states[1] = State(worker=1)
        super().exchange(now)
        for worker, state in enumerate(self.states):
            for name, target in state.targets.items():
                spans = self.shut.setdefault((worker, name), [])
                if target.breaker.circuit is not Circuit.CLOSED:
                    if spans and spans[-1][1] >= now - 4.5:
                        spans[-1] = (spans[-1][0], now)
                    else:
                        spans.append((now, now))
        self._look_at_ceiling(now)

    def _look_at_ceiling(self, now: float) -> None:
        target = self.states[0].targets.get("limited")
        ceiling = target.ceiling if target is not None else None
        rate = ceiling.requests.rate if ceiling is not None and ceiling.requests is not None else None
        if rate is None or rate >= 0.85 * PER_MINUTE / 60.0 or not LIMITED[0] <= now < LIMITED[1]:
            self.low_since = None
        else:
            self.low_since = self.low_since or now
            self.longest_low_s = max(self.longest_low_s, now - self.low_since)


def took_s(event: AttemptEvent) -> float:
    if isinstance(event, Completed):
        return event.total_s
    if isinstance(event, FirstToken):
        return event.ttft_s
    return event.elapsed_s if isinstance(event, Failed) else 0.0


@pytest.fixture(scope="module", params=[1])
def day(request: pytest.FixtureRequest) -> tuple[Watched, Result, list[Fault]]:
    broken = outages(request.param)
    unlimited = RateLimit(LIMITED[1])
    targets = [
        # Each is the fastest in its hours, or nobody would notice what it does.
        TargetModel(NAMES[0], [(0.0, 0.5)], slots=200, faults=broken),
        TargetModel(NAMES[1], [(0.0, 1.0), (FLAPPING[0], 0.2), (FLAPPING[1], 1.0)], slots=200, faults=flaps()),
        TargetModel(NAMES[2], [(0.0, 0.9), (LIMITED[0], 0.2), (LIMITED[1], 0.9)], slots=200),
    ]
    targets[2].limits = [RateLimit(LIMITED[0], requests=PER_MINUTE, burst_s=60.0, retry_after=False), unlimited]
    phases = [(HOUR, 0.12 if hour < 7 or hour > 20 else 0.45) for hour in range(24)]
    # While it is limited there is more traffic than it takes.
    phases[13] = phases[14] = (HOUR, 0.7)
    phases[9] = (HOUR, 1.0)
    run = steady(request.param, targets, phases, wait_s=5.0, ttft_limit_s=5.0)
    watched = Watched()
    return watched, simulate(run, watched, WORKERS), broken


Day = tuple[Watched, Result, list[Fault]]


def test_every_request_was_answered(day: Day) -> None:
    _, result, _ = day
    assert len(result.latencies) > 25_000
    assert result.unanswered == 0


def test_nothing_but_trials_goes_to_an_open_circuit(day: Day) -> None:
    watched, result, broken = day
    assert watched.admitted_open == 0
    assert watched.sent_open <= 5, "those sent on from an attempt that began before the circuit opened"
    for fault in broken:
        sent = [at for at, target, _ in result.sent_to if target == 0 and fault.start_s + 20.0 <= at < fault.end_s]
        assert len(sent) <= 6 + (fault.end_s - fault.start_s) / 15.0


def test_a_recovery_is_seen_within_the_cap(day: Day) -> None:
    watched, _, broken = day
    for worker in range(WORKERS):
        for start, end in watched.shut.get((worker, "broken"), []):
            outage = max((f for f in broken if f.start_s <= start), key=lambda f: f.start_s)
            assert start <= outage.end_s + 1.0, "it opens while there is an outage"
            assert end <= outage.end_s + OPEN_CAP_S


def test_all_workers_see_all_outages(day: Day) -> None:
    watched, _, broken = day
    for worker in range(WORKERS):
        spans = watched.shut[worker, "broken"]
        long = [f for f in broken if f.end_s - f.start_s >= 200.0 and not FLAPPING[0] <= f.start_s < LIMITED[1]]
        assert long
        assert all(any(f.start_s <= start < f.end_s for start, _ in spans) for f in long)


def test_a_target_that_comes_and_goes_gets_few_trials_and_is_used_while_it_is_there(day: Day) -> None:
    watched, result, _ = day
    count = int((FLAPPING[1] - FLAPPING[0]) / 40.0)
    trials = [at for at, name in watched.trials if name == "flapping"]
    assert len(trials) <= 7 * count
    assert result.failures < 0.05 * result.attempts


def test_what_is_in_flight_comes_back_to_zero(day: Day) -> None:
    watched, _, _ = day
    assert watched.restarted
    for state in watched.states:
        assert state.probing == 0
        assert all((t.in_flight, t.waiting) == (0, 0) for t in state.targets.values())


def test_limits_are_kept_and_used(day: Day) -> None:
    watched, result, _ = day
    start, end = LIMITED
    sent = [at for at, target, _ in result.sent_to if target == 2 and start + 600.0 <= at < end]
    refused = [at for at, target in result.limited if start + 600.0 <= at < end]
    whole = (end - start - 600.0) / 60.0 * PER_MINUTE
    assert len(sent) - len(refused) >= 0.8 * whole
    assert len(refused) <= 0.02 * len(sent)
    assert sum(start <= at < end for at, _ in result.limited) >= 2, "it was found by being hit"
    assert watched.longest_low_s <= MINUTES


def test_a_limit_that_is_gone_is_forgotten(day: Day) -> None:
    watched, result, _ = day
    assert not any(at > LIMITED[1] + 60.0 for at, _ in result.limited)
    for state in watched.states:
        assert not state.targets["limited"].breaker.limited
