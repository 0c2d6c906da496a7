"""The learned ceiling: set by a 429 at the rate of that moment, kept, grown, joined among workers, forgotten."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import msgspec
import pytest

from trimaran.errors import RateLimited
from trimaran.routing import Sent, Shared, export_shared, learn
from trimaran.routing import ceiling as rules
from trimaran.routing.ceiling import Bucket, Ceiling, Meter
from trimaran.routing.circuit import RAMP_DONE


def traffic(world: object, name: str, per_s: float, seconds: float) -> None:
    """Answered requests, evenly spaced."""
    for _ in range(int(per_s * seconds)):
        world.answer(name, 0.01, 0.02)
        world.now += 1.0 / per_s - 0.02


def limited(world: Callable, *names: str, per_s: float = 4.0) -> object:
    """A world whose first target has met a 429 at ``per_s``, some seconds ago."""
    w = world(*names)
    w.warm(dict.fromkeys(names, 0.3), 8)
    traffic(w, names[0], per_s, 30.0)
    w.fail(names[0], RateLimited, 0.01, retry_after_s=1.0)
    w.now += 1.1
    w.target(names[0]).breaker.ramp = RAMP_DONE
    return w


def admitted(w: object, name: str, seconds: float, step_s: float = 0.01) -> int:
    """How many go there in that time if there are always some waiting; each is answered at once."""
    count = 0
    until = w.now + seconds
    while w.now < until:
        if w.choice(name).admitted:
            count += 1
            w.answer(name, 0.001, 0.002)
        w.now += step_s
    return count


def test_the_ceiling_is_below_the_rate_that_was_hit(world: Callable) -> None:
    w = limited(world, "a")
    ceiling = w.target("a").ceiling
    assert ceiling.requests.rate == pytest.approx(4.0 * rules.CUT, rel=0.15)
    assert ceiling.tokens.rate >= ceiling.requests.rate * 600 * 0.9
    assert admitted(w, "a", 10.0) == pytest.approx(10.0 * ceiling.requests.rate, rel=0.2)


def test_a_target_without_a_429_has_none_and_stays_on_the_short_way(world: Callable) -> None:
    w = world("a")
    w.warm({"a": 0.3}, 8)
    traffic(w, "a", 20.0, 10.0)
    assert w.target("a").ceiling is None
    assert w.target("a").breaker.quiet


def test_a_429_without_traffic_says_nothing_about_a_rate(world: Callable) -> None:
    w = world("a")
    w.fail("a", RateLimited)
    assert w.target("a").ceiling is None


def test_at_the_ceiling_others_come_first_and_the_reason_says_when(world: Callable) -> None:
    w = limited(world, "a", "b").without_probes()
    while w.choice("a").admitted:
        w.send("a")
    before = deepcopy(w.state)
    last = w.order()[-1]
    assert w.state == before
    assert (last.target, w.first().target) == ("a", "b")
    assert last.reason.startswith("at its learned ceiling of 3.") and last.reason.endswith("requests/s, hit 1 s ago")
    assert w.now < last.retry_at < w.now + 1.0
    w.now = last.retry_at
    assert w.choice("a").admitted


def test_those_that_wait_for_a_slot_do_not_all_come_at_once(world: Callable) -> None:
    w = limited(world, "a")
    while w.choice("a").admitted:
        w.send("a")
    times = [w.order(u=n / 100)[0].retry_at for n in range(100)]
    assert len(set(times)) == 100
    w.now = max(times)
    sent = 0
    for number in range(100):
        if w.order(u=number / 100)[0].admitted:
            sent += 1
            w.send("a")
    assert 1 <= sent <= 3


def test_a_lone_target_after_its_rest_is_not_flooded_and_not_starved(world: Callable) -> None:
    w = world("a")
    for _ in range(6):
        w.send("a")
    w.fail("a", RateLimited, retry_after_s=2.0)
    w.now += 2.1
    choice = w.first()
    assert not choice.admitted and choice.circuit == "closed"
    assert w.now + 0.05 < choice.retry_at < w.now + 0.35
    w.now += 20.0
    assert w.first().admitted


def test_it_returns_to_its_peak_soon_stays_there_and_then_looks_for_more() -> None:
    bucket = Bucket(10.0)

    def rate(t: float) -> float:
        bucket.grown_s = t
        bucket.grow(60.0)
        return bucket.rate

    assert rate(0.0) == pytest.approx(9.0)
    assert rate(30.0) > 9.8
    assert rate(60.0) == pytest.approx(10.0)
    assert rate(90.0) < 10.5
    assert rate(150.0) > 20.0
    rates = [rate(float(t)) for t in range(300)]
    assert rates == sorted(rates)


def test_it_grows_only_while_it_holds_traffic_back(world: Callable) -> None:
    w = limited(world, "a")
    grown = w.target("a").ceiling.requests.grown_s
    traffic(w, "a", 1.0, 30.0)
    assert w.target("a").ceiling.requests.grown_s <= grown + 3.0
    admitted(w, "a", 10.0)
    assert w.target("a").ceiling.requests.grown_s > grown + 5.0


def test_what_was_sent_before_a_hit_is_the_same_hit(world: Callable) -> None:
    w = world("a")
    w.warm({"a": 0.3}, 8)
    traffic(w, "a", 4.0, 30.0)
    for _ in range(5):
        w.send("a")
    w.now += 0.05
    for _ in range(5):
        w.fail("a", RateLimited, 0.05, sent=True)
        w.now -= 0.05
    ceiling = w.target("a").ceiling
    assert ceiling.epoch == 1
    w.now += 40.0
    w.fail("a", RateLimited, 0.05)
    assert ceiling.epoch == 1, "nothing was taken since"


def test_each_hit_lowers_it_until_there_are_none(world: Callable) -> None:
    w = limited(world, "a")
    rates = [w.target("a").ceiling.requests.rate]
    for _ in range(5):
        admitted(w, "a", 3.0)
        w.fail("a", RateLimited, 0.01, retry_after_s=1.0)
        w.now += 1.1
        rates.append(w.target("a").ceiling.requests.rate)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.75 * rates[0]


def test_it_is_forgotten_when_traffic_stayed_far_below(world: Callable) -> None:
    w = limited(world, "a")
    traffic(w, "a", 0.5, rules.FORGET_S + 120.0)
    assert not w.target("a").breaker.limited
    assert w.target("a").breaker.quiet
    assert w.choice("a").admitted


def test_the_meter_knows_the_rate_of_the_last_seconds() -> None:
    meter = Meter()
    now = 1000.0
    for _ in range(400):
        if now >= meter.until:
            meter.roll(now)
        meter.requests += 1.0
        meter.tokens += 700.0
        now += 0.2
    count, requests, tokens = meter.taken(now)
    assert requests == pytest.approx(5.0, rel=0.1)
    assert tokens == pytest.approx(3500.0, rel=0.1)
    assert count >= 5.0 * rules.WINDOW_S * 0.9
    assert meter.taken(now + 3 * rules.WINDOW_S) == (0.0, 0.0, 0.0)


def exchange(workers: list, now: float) -> None:
    sent = [msgspec.msgpack.encode(export_shared(w.state, now)) for w in workers]
    for w in workers:
        w.now = now
        for message in sent:
            learn(w.state, msgspec.msgpack.decode(message, type=Shared), now)


def test_workers_share_one_ceiling_and_its_rate(world: Callable) -> None:
    workers = [world("a", worker=n) for n in range(3)]
    for w in workers:
        w.warm({"a": 0.3}, 8)
    now = max(w.now for w in workers)
    for w in workers:
        w.now = now
    for _ in range(30):
        exchange(workers, workers[0].now)
        for w in workers:
            traffic(w, "a", 2.0, 1.0)
    exchange(workers, workers[0].now)
    workers[1].fail("a", RateLimited, 0.01, retry_after_s=1.0)
    assert workers[1].target("a").ceiling.requests.peak == pytest.approx(6.0, rel=0.2), "rates add up"
    exchange(workers, workers[1].now)
    peaks = {w.target("a").ceiling.requests.peak for w in workers}
    assert len(peaks) == 1
    now = workers[1].now + 1.1
    count = 0
    for second in range(10):
        for w in workers:
            w.now = now + second
            count += admitted(w, "a", 1.0)
        exchange(workers, now + second + 1.0)
    assert count == pytest.approx(10.0 * peaks.pop(), rel=0.2)


def test_a_worker_takes_what_the_others_leave() -> None:
    meter = Meter(others_requests=1.0, others_tokens=100.0)
    ceiling = Ceiling(requests=Bucket(9.0, rate=9.0), tokens=Bucket(9000.0, rate=9000.0))
    rules.share(ceiling, meter, 3, True)
    assert (ceiling.requests.own, ceiling.tokens.own) == (8.0, 8900.0)
    meter.others_requests = 8.0
    rules.share(ceiling, meter, 3, True)
    assert ceiling.requests.own == 3.0
    rules.share(ceiling, meter, 3, False)
    assert ceiling.requests.own == 9.0


def test_joining_depends_on_neither_order_nor_repetition() -> None:
    def views() -> list[Ceiling]:
        return [
            Ceiling(3, hit_at=90.0, requests=Bucket(5.0, 20.0), tokens=Bucket(500.0, 1.0)),
            Ceiling(3, hit_at=91.0, requests=Bucket(4.0, 10.0), tokens=Bucket(600.0, 9.0)),
            Ceiling(2, hit_at=99.0, requests=Bucket(1.0, 0.0), tokens=Bucket(100.0, 0.0)),
        ]

    def joined(those: list[Ceiling]) -> tuple[object, ...]:
        mine = None
        for view in those:
            mine = rules.join(mine, view)
        return (
            mine.epoch,
            mine.hit_at,
            mine.requests.peak,
            mine.requests.grown_s,
            mine.tokens.peak,
            mine.tokens.grown_s,
        )

    expected = (3, 91.0, 4.0, 20.0, 500.0, 9.0)
    assert joined(views()) == joined(views()[::-1]) == joined(views() + views()) == expected


def test_a_retry_after_is_kept_by_all_workers_and_none_floods_it_afterwards(world: Callable) -> None:
    workers = [world("a", worker=n) for n in range(3)]
    for w in workers:
        w.warm({"a": 0.3}, 8)
    now = max(w.now for w in workers)
    exchange(workers, now)
    for w in workers:
        for _ in range(4):
            w.send("a")
    exchange(workers, now)
    workers[0].fail("a", RateLimited, 0.01, retry_after_s=30.0, sent=True)
    hit = workers[0].now
    for second in range(1, 30):
        exchange(workers, hit + second)
        assert all(not w.choice("a").admitted for w in workers)
        assert all(w.choice("a").retry_at == pytest.approx(hit + 30.0, abs=0.1) for w in workers)
    exchange(workers, hit + 30.1)
    sent = 0
    for w in workers:
        while w.choice("a").admitted and sent < 50:
            learn(w.state, Sent("a", 500), w.now)
            sent += 1
    assert sent <= 6
