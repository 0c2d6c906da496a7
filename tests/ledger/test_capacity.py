"""Allocation of own capacity: nothing is lost, nothing is invented, and who is asked first does not matter."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.ledger.capacity import HOUR_NS, Allocation, Block, Kind, Lot, Service, allocate, apportion

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
USD = 10**9
ON_DEMAND = Kind("eks", "us-east-1", "on_demand", "p5.48xlarge", 36 * USD)
"""One cent for a replica and second."""
CENT = USD // 100
COMMITTED = ON_DEMAND._replace(purchase_option="committed_1y", amortised_hourly_nanos=9 * USD)
NO_PRICE = ON_DEMAND._replace(hourly_nanos=None)


def block(start_s: int, end_s: int, replicas: int = 1, kind: Kind = ON_DEMAND) -> Block:
    return Block(start_s * SECOND_NS, end_s * SECOND_NS, replicas, kind)


def service(name: str, start_s: int, end_s: int, tokens: int = 1) -> Service:
    return Service((name, 1), start_s * SECOND_NS, end_s * SECOND_NS, tokens)


def borne(allocations: list[Allocation]) -> dict[str, int]:
    found = defaultdict[str, int](int)
    for each in allocations:
        found[each.service.id[0]] += each.nanos
    return dict(found)


def only(lots: list[Lot]) -> Lot:
    (lot,) = lots
    return lot


def test_the_busy_share_is_borne_and_the_idle_share_stays_apart() -> None:
    lots, allocations = allocate([block(0, 60)], [service("a", 10, 20)])
    lot = only(lots)
    assert (lot.total_nanos, lot.busy_nanos, lot.idle_nanos) == (60 * CENT, 10 * CENT, 50 * CENT)
    assert lot.replica_ns == 60 * SECOND_NS
    assert borne(allocations) == {"a": 10 * CENT}


def test_as_many_replicas_are_busy_as_attempts_are_in_flight() -> None:
    services = [service("a", 0, 30), service("b", 10, 20), service("c", 10, 20)]
    lot = only(allocate([block(0, 60, replicas=2)], services)[0])
    assert lot.total_nanos == 120 * CENT
    assert lot.busy_nanos == (10 + 2 * 10 + 10) * CENT, "one, then two of two although three are in flight, then one"


def test_an_attempt_bears_by_its_token_seconds() -> None:
    services = [service("a", 0, 60, tokens=100), service("b", 0, 30, tokens=400)]
    _, allocations = allocate([block(0, 60)], services)
    assert borne(allocations) == {"a": 20 * CENT, "b": 40 * CENT}, "6,000 and 12,000 token-seconds"


def test_an_attempt_over_the_border_of_an_hour_bears_in_both() -> None:
    services = [service("over", 3_590, 3_620, tokens=10), service("after", 3_600, 3_620, tokens=30)]
    lots, allocations = allocate([block(3_540, 3_660)], services)
    assert [(lot.hour, lot.busy_nanos) for lot in lots] == [(0, 10 * CENT), (1, 20 * CENT)]
    assert borne(allocations) == {"over": 15 * CENT, "after": 15 * CENT}


def test_each_kind_of_a_mixed_pool_is_busy_in_the_same_measure() -> None:
    spot = ON_DEMAND._replace(purchase_option="spot", hourly_nanos=12 * USD)
    lots, allocations = allocate([block(0, 60), block(0, 60, 3, spot)], [service("a", 0, 60)])
    by_option = {lot.kind.purchase_option: lot for lot in lots}
    assert (by_option["on_demand"].total_nanos, by_option["on_demand"].busy_nanos) == (60 * CENT, 15 * CENT)
    assert (by_option["spot"].total_nanos, by_option["spot"].busy_nanos) == (60 * CENT, 15 * CENT)
    assert borne(allocations) == {"a": 30 * CENT}


def test_an_amortised_commitment_is_told_beside_the_rest() -> None:
    lots, allocations = allocate([block(0, 60, kind=COMMITTED)], [service("a", 0, 20)])
    lot = only(lots)
    assert (lot.total_nanos, lot.amortised_nanos) == (60 * CENT, 15 * CENT)
    assert (lot.busy_nanos, lot.busy_amortised_nanos) == (20 * CENT, 5 * CENT)
    assert [(each.nanos, each.amortised_nanos) for each in allocations] == [(20 * CENT, 5 * CENT)]


def test_without_a_price_the_lot_is_unknown_and_not_free() -> None:
    lots, allocations = allocate([block(0, 60, kind=NO_PRICE)], [service("a", 0, 60)])
    assert not only(lots).known
    assert only(lots).replica_ns == 60 * SECOND_NS
    assert [each.lot.known for each in allocations] == [False]


def test_what_is_told_twice_counts_once() -> None:
    once = only(allocate([block(0, 60)], [])[0])
    again = only(allocate([block(0, 60), block(0, 60), block(30, 60)], [])[0])
    assert (once.total_nanos, once.replica_ns) == (again.total_nanos, again.replica_ns)
    assert only(allocate([block(0, 40), block(30, 60)], [])[0]).replica_ns == 60 * SECOND_NS


def test_a_window_cuts_capacity_and_service() -> None:
    lots, allocations = allocate(
        [block(0, 60)], [service("a", 0, 20), service("b", 40, 60)], 10 * SECOND_NS, 30 * SECOND_NS
    )
    assert (only(lots).total_nanos, borne(allocations)) == (20 * CENT, {"a": 10 * CENT})


def test_service_outside_of_recorded_capacity_bears_nothing() -> None:
    assert allocate([], [service("a", 0, 20)]) == ([], [])
    assert allocate([block(0, 60)], [service("a", 7_200, 7_300)])[1] == []


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (10, [0, 1, 2], [0, 3, 7]),
        (2, [1, 1, 1], [1, 1, 0]),
        (0, [], []),
        (0, [0, 0], [0, 0]),
        (7, [10**30, 10**30 + 1], [3, 4]),
    ],
)
def test_the_last_nano_dollars_go_to_the_largest_remainders(amount: int, weights: list[int], shares: list[int]) -> None:
    assert apportion(amount, weights) == shares


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), min_size=1, max_size=20).filter(any))
def test_shares_add_up_and_are_as_near_as_whole_numbers_can_be(amount: int, weights: list[int]) -> None:
    shares = apportion(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * sum(weights) - amount * weight) < sum(weights)


kinds = st.builds(
    lambda option, hourly, amortised: Kind("eks", "r", option, "o", hourly, min(amortised, hourly or 0)),
    st.sampled_from(["on_demand", "spot", "committed_1y"]),
    st.one_of(st.none(), st.integers(0, 10**12)),
    st.integers(0, 10**11),
)
moments = st.integers(0, 3 * HOUR_NS)
lengths = st.integers(1, 2 * HOUR_NS)
blocks = st.builds(
    lambda at, long, replicas, kind: Block(at, at + long, replicas, kind), moments, lengths, st.integers(0, 4), kinds
)
services = st.builds(lambda at, long, tokens: (at, at + long, tokens), moments, lengths, st.integers(1, 10**6))


@given(
    st.lists(blocks, max_size=6),
    st.lists(services, max_size=8),
    st.randoms(use_true_random=False),
    st.tuples(moments, moments).map(sorted),
)
def test_allocated_and_idle_are_the_cost_in_whatever_order(
    stood: list[Block], served: list[tuple[int, int, int]], shuffler: Any, window: list[int]
) -> None:
    listed = [Service((f"{number:02d}", 1), *each) for number, each in enumerate(served)]
    lots, allocations = allocate(stood, listed, *window)
    for lot in lots:
        mine = [each for each in allocations if each.lot is lot]
        assert sum(each.nanos for each in mine) == lot.busy_nanos
        assert sum(each.amortised_nanos for each in mine) == lot.busy_amortised_nanos
        assert all(0 <= each.amortised_nanos <= each.nanos for each in mine)
        assert 0 <= lot.busy_amortised_nanos <= lot.busy_nanos
        assert 0 <= lot.busy_nanos - lot.busy_amortised_nanos <= lot.total_nanos - lot.amortised_nanos
        assert lot.busy_amortised_nanos <= lot.amortised_nanos
        assert lot.known or lot.total_nanos == 0
    shuffler.shuffle(listed)
    again_lots, again = allocate(stood, listed, *window)
    assert again_lots == lots
    assert again == allocations


@given(blocks, st.lists(moments, max_size=5))
def test_the_parts_of_a_block_cost_what_the_block_costs(whole: Block, cuts: list[int]) -> None:
    borders = sorted({whole.from_ns, whole.until_ns, *(cut for cut in cuts if whole.from_ns < cut < whole.until_ns)})
    parts = [whole.cost(start, end) for start, end in pairwise(borders)]
    cost = whole.cost(whole.from_ns, whole.until_ns)
    assert tuple(map(sum, zip(*parts, strict=True))) == cost
    exact = whole.replicas * (whole.until_ns - whole.from_ns) * (whole.kind.hourly_nanos or 0)
    assert 0 <= cost[0] * HOUR_NS - exact < HOUR_NS, "rounded up once"
    assert all(0 <= amortised <= total for total, amortised in parts)


def test_minutes_add_up_to_their_hour() -> None:
    minutes = [Block(at, at + MINUTE_NS, 1, ON_DEMAND) for at in range(0, HOUR_NS, MINUTE_NS)]
    assert only(allocate(minutes, [])[0]).total_nanos == 36 * USD
