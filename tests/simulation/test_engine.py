"""The simulator itself: a virtual clock, the same arrivals for every policy, queues and faults as documented."""

from __future__ import annotations

from math import inf

import pytest

from trimaran.simulation import POLICIES, Fault, Run, TargetModel, adaptation, percentile, regret, simulate, two_targets
from trimaran.simulation.engine import Decision, Result
from trimaran.simulation.policies import Plan, RoundRobin, Routing
from trimaran.simulation.workload import Arrival


def one_target(
    *, slots: int = 1, speeds: tuple[tuple[float, float], ...] = ((0.0, 1.0),), **more: object
) -> TargetModel:
    return TargetModel("t", list(speeds), ttft_s=1.0, ttft_per_token_s=0.0, tpot_s=0.1, slots=slots, **more)


def arrivals(*times: float, tokens: int = 11) -> list[Arrival]:
    return [Arrival(at, 100, tokens, [(1.0, 1.0, 0.5)], 0.5, 0.0) for at in times]


class Only:
    """Sends everything to the first target and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        return Plan([0])

    def tell(self, event: object, target: int, worker: int, now: float) -> None:
        self.told.append((type(event).__name__, round(now, 6)))

    def exchange(self, now: float) -> None:
        self.told.append(("exchange", now))


def test_a_request_takes_its_time_to_the_first_token_and_for_each_further_one() -> None:
    policy = Only()
    result = simulate(Run([one_target()], arrivals(0.5), 11.0), policy)
    assert result.latencies == pytest.approx([2.0])
    assert policy.told == [("Sent", 0.5), ("FirstToken", 1.5), ("Completed", 2.5)]


def test_requests_wait_for_a_slot_in_the_order_they_came() -> None:
    result = simulate(Run([one_target()], arrivals(0.0, 0.5, 1.0), 11.0), Only())
    assert result.latencies == pytest.approx([2.0, 3.5, 5.0])
    result = simulate(Run([one_target(slots=3)], arrivals(0.0, 0.5, 1.0), 11.0), Only())
    assert result.latencies == pytest.approx([2.0, 2.0, 2.0])


def test_a_changed_speed_holds_for_what_begins_after_it() -> None:
    run = Run([one_target(slots=9, speeds=((0.0, 1.0), (10.0, 3.0)))], arrivals(9.9, 10.1), 11.0)
    assert simulate(run, Only()).latencies == pytest.approx([2.0, 6.0])


def test_a_shared_batch_slows_decoding() -> None:
    run = Run([one_target(slots=2, batch_slope=0.5)], arrivals(0.0, 0.5), 11.0)
    assert simulate(run, Only()).latencies == pytest.approx([2.0, 2.5])


def test_workers_exchange_each_second() -> None:
    policy = Only()
    simulate(Run([one_target(slots=9)], arrivals(0.5, 3.2), 11.0), policy, 4)
    assert [at for what, at in policy.told if what == "exchange"] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("kind", "took_s"), [("error", 0.05), ("refuse", 0.002), ("limit", 0.03), ("silent", 7.0)])
def test_a_fault_ends_the_attempt_and_the_next_target_is_tried(kind: str, took_s: float) -> None:
    broken = one_target(faults=[Fault(0.0, 100.0, kind)])
    spare = one_target()
    spare.name = "spare"
    draws = [(1.0, 1.0, 0.5)] * 2
    run = Run([broken, spare], [Arrival(0.0, 100, 11, draws, 0.5, 0.0)], 11.0, ttft_limit_s=7.0)

    class Both(Only):
        def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
            return Plan([0, 1])

    policy = Both()
    result = simulate(run, policy)
    assert (result.attempts, result.failures) == (2, 1)
    assert result.latencies == pytest.approx([took_s + 2.0])
    assert [what for what, _ in policy.told] == ["Sent", "Failed", "Sent", "FirstToken", "Completed"]


def test_every_policy_meets_the_same_run_and_a_run_repeats() -> None:
    run = two_targets(5, 3.0, 0.7, requests=300)
    for policy in POLICIES:
        first, again = simulate(run, policy), simulate(run, policy)
        assert first.latencies == again.latencies
        assert [d.at for d in first.decisions] == [arrival.at for arrival in run.arrivals]
    assert two_targets(5, 3.0, 0.7, requests=300) == run
    assert two_targets(6, 3.0, 0.7, requests=300) != run


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", ["error", "refuse", "silent", "limit"])
def test_each_request_is_answered_or_counted_as_not(policy: str, kind: str) -> None:
    run = two_targets(3, 1.5, 0.5, requests=400)
    for target in run.targets:
        target.faults = [Fault(20.0, 40.0, kind, 0.7, 2.0)]
    run.ttft_limit_s = 5.0
    result = simulate(run, policy)
    assert len(result.latencies) + result.unanswered == 400
    assert result.attempts == len(result.latencies) + result.failures == len(result.sent_to)
    assert result.probe_s <= result.attempt_s


@pytest.mark.parametrize("workers", [1, 4])
def test_routing_is_told_of_every_end(workers: int) -> None:
    run = two_targets(3, 3.0, 0.7, requests=400)
    run.targets[0].faults = [Fault(20.0, 30.0, "silent")]
    run.ttft_limit_s = 5.0
    policy = Routing(["t0", "t1"], workers)
    simulate(run, policy, workers)
    for state in policy.states:
        assert state.probing == 0
        assert all((t.in_flight, t.waiting) == (0, 0) for t in state.targets.values())


def test_the_load_is_the_share_of_all_capacity() -> None:
    for load in (0.3, 0.7):
        run = two_targets(1, 3.0, load, requests=3000, swaps=0)
        span_s = run.arrivals[-1].at
        work_s = simulate(run, RoundRobin(2)).attempt_s
        fast = min(t.speeds[0][1] for t in run.targets)
        assert fast == 1.0
        unit_s = sum(0.25 + 0.0001 * a.input_tokens + 0.01 * (a.output_tokens - 1) for a in run.arrivals) / len(
            run.arrivals
        )
        capacity = 8 / unit_s * (1 + 1 / 3)
        assert len(run.arrivals) / span_s == pytest.approx(load * capacity, rel=0.05)
        assert work_s > 0.0


def test_speeds_swap_at_the_changes() -> None:
    run = two_targets(1, 3.0, 0.3, swaps=2)
    assert len(run.changes) == 2
    for at in run.changes:
        before = [t.speed(at - 1e-6) for t in run.targets]
        after = [t.speed(at) for t in run.targets]
        assert sorted(before) == [1.0, 3.0]
        assert after == before[::-1]


def test_the_oracle_beats_those_who_cannot_see() -> None:
    run = two_targets(2, 3.0, 0.3, requests=800)
    oracle = simulate(run, "oracle")
    for policy in ("round-robin", "random", "mean-of-5"):
        assert regret(simulate(run, policy), oracle) > 0.0
    assert all(decision.excess == 0.0 for decision in oracle.decisions)


def test_regret_is_the_share_of_mean_latency_above_the_oracles() -> None:
    assert regret(Result(latencies=[1.0, 1.4]), Result(latencies=[1.0, 1.0])) == pytest.approx(0.2)
    assert regret(Result(), Result(latencies=[1.0])) == inf


def test_adaptation_counts_first_tokens_from_the_change_to_good_decisions() -> None:
    run = Run([], [], 1.0, changes=[100.0])

    def decision(number: int, excess: float) -> Decision:
        return Decision(float(number), 0, 0, excess, number, False)

    good_from = [decision(n, 0.0 if n < 100 or n >= 107 else 2.0) for n in range(200)]
    assert adaptation(run, Result(decisions=good_from)) == [7]
    never = [decision(n, 0.0 if n < 100 else 2.0) for n in range(200)]
    assert adaptation(run, Result(decisions=never)) == [None]
    at_once = [decision(n, 0.0) for n in range(200)]
    assert adaptation(run, Result(decisions=at_once)) == [0]
    lucky = [decision(n, 0.0 if n < 100 or n == 101 or n >= 130 else 2.0) for n in range(200)]
    assert adaptation(run, Result(decisions=lucky))[0] > 25, "one good decision among bad ones is luck"


def test_percentiles_are_of_the_values() -> None:
    values = list(range(200))
    assert percentile(values, 0.5) == 100
    assert percentile(values, 0.95) == 190
    assert percentile([3.0], 0.95) == 3.0
