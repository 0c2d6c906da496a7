"""Looking at targets in order to know: when, how many at once, paid from what; and what is new or back is not stampeded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimaran.errors import ConnectFailed, CredentialRejected, NoFirstToken, RateLimited, ServerFault
from trimaran.routing.circuit import OPEN_BASE_S, OPEN_CAP_S
from trimaran.routing.ordering import DEAREST, PROBES_AT_ONCE, RESERVE_SHARE

CHANCES = [number / 100 for number in range(100)]


def test_a_target_never_seen_is_looked_at_by_one_request_at_a_time(world: Callable) -> None:
    w = world("known", "new")
    w.warm({"known": 0.3})
    looks = [u for u in CHANCES if w.first(u).target == "new"]
    assert 0 < len(looks) < 50, "some requests, not most"
    look = w.first(looks[0])
    assert (look.probe, look.reason) == (True, "probe: never seen")
    w.send("new", probe=True)
    assert all(w.first(u).target == "known" for u in CHANCES)


def test_a_target_never_seen_is_taken_to_be_like_the_others(world: Callable) -> None:
    w = world("known", "new")
    w.warm({"known": 2.0}, 30)
    known, new = w.order(0.99)
    assert (known.target, new.target) == ("known", "new")
    assert new.predicted_ttft_s == pytest.approx(known.predicted_ttft_s, rel=0.2)


def test_a_burst_at_a_cold_start_does_not_pile_up_on_the_first_target(world: Callable) -> None:
    w = world("a", "b", "c")
    for _ in range(30):
        w.send(w.first().target)
    loads = [w.target(name).in_flight for name in "abc"]
    assert max(loads) - min(loads) <= 2


def test_a_target_that_was_just_seen_for_the_first_time_is_not_stampeded(world: Callable) -> None:
    w = world("old", "quick")
    w.warm({"old": 3.0}, 30)
    w.answer("quick", 0.1, 1.1, probe=True)
    assert w.first().target == "quick", "it is the faster one"
    sent = []
    for _ in range(20):
        sent.append(w.first().target)
        w.send(sent[-1])
    assert 1 <= sent.count("quick") <= 3
    for _ in range(7):
        w.answer("quick", 0.1, 1.1)
    w.now += 1.0
    assert w.choice("quick").admitted


def test_a_recovered_target_is_not_stampeded(world: Callable) -> None:
    w = world("best", "other")
    w.warm({"best": 0.2, "other": 1.5}, 20)
    w.break_down("best", ConnectFailed)
    w.now = w.target("best").breaker.until
    w.answer("best", 0.2, 1.2, probe=True)
    assert w.choice("best").circuit == "closed"
    sent = []
    for _ in range(20):
        sent.append(w.first().target)
        w.send(sent[-1])
    assert 1 <= sent.count("best") <= 2


def test_a_half_open_circuit_admits_one_request(world: Callable) -> None:
    w = world("best", "other")
    w.warm({"best": 0.2, "other": 1.5}, 20)
    w.break_down("best")
    assert all(w.first(u).target == "other" for u in CHANCES)
    w.now = w.target("best").breaker.until
    trial = w.first()
    assert (trial.target, trial.probe) == ("best", True)
    w.send("best", probe=True)
    assert w.choice("best").circuit == "half_open"
    assert not w.choice("best").admitted
    assert all(w.first(u).target == "other" for u in CHANCES)


def test_a_trial_costs_the_user_who_makes_it_little(world: Callable) -> None:
    w = world("best", "other")
    w.warm({"best": 0.2, "other": 0.5}, 20)
    w.break_down("best")
    w.now = w.target("best").breaker.until
    trial = w.first()
    assert trial.patience_s is not None
    assert trial.patience_s <= max(1.0, 6.0 * w.choice("other").predicted_ttft_s)
    assert w.first(stream=False).patience_s > w.choice("other", stream=False).predicted_total_s
    assert all(choice.patience_s is None for choice in w.order()[1:])


def test_a_lone_target_is_asked_whatever_is_known_of_it(world: Callable) -> None:
    w = world("lone")
    assert w.first().admitted, "never seen"
    for _ in range(50):
        w.send("lone")
    assert w.first().admitted, "more in flight than its ramp allows"
    w = world("lone")
    w.warm({"lone": 0.3})
    w.fail("lone", ServerFault)
    assert w.first().admitted, "a failure"


def test_a_lone_target_that_is_broken_is_not_hammered(world: Callable) -> None:
    w = world("lone")
    w.warm({"lone": 0.3})
    w.break_down("lone", ConnectFailed)
    refused = w.first()
    assert not refused.admitted
    assert refused.reason.startswith("circuit open for")
    assert refused.retry_at > w.now
    w.now = refused.retry_at
    trial = w.first()
    assert trial.admitted
    assert trial.patience_s is None, "there is nothing faster to go to"
    w.send("lone", probe=True)
    assert not w.first().admitted, "one trial at a time"
    w.answer("lone", sent=True, probe=True)
    assert w.first().admitted


def test_a_slow_target_passes_its_trial_beside_a_fast_one(world: Callable) -> None:
    w = world("slow", "fast", strategy="ordered")
    w.warm({"slow": 4.0, "fast": 0.2}, 20)
    w.break_down("slow")
    w.now = w.target("slow").breaker.until
    trial = w.first()
    assert trial.target == "slow"
    assert trial.patience_s > 6.0, "what it usually takes, with room"


def test_the_patience_of_a_trial_is_by_what_a_target_took_before_it_fell_silent(world: Callable) -> None:
    w = world("silent", "fast")
    w.warm({"silent": 0.3, "fast": 0.4}, 20)
    for _ in range(3):
        w.fail("silent", NoFirstToken, 60.0)
    w.now = w.target("silent").breaker.until
    trial = w.first()
    assert trial.target == "silent" and trial.predicted_ttft_s > 3.0
    assert trial.patience_s < 3.0


def test_with_nobody_else_a_trial_comes_soon_however_often_it_failed_before(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.3})
    for name in "ab":
        w.break_down(name, ConnectFailed)
    for _ in range(40):
        w.now = max(w.target(name).breaker.until for name in "ab")
        for name in "ab":
            w.fail(name, ConnectFailed)
    assert min(w.target(name).breaker.until for name in "ab") > w.now + OPEN_CAP_S / 2
    refused = w.order()
    assert not any(choice.admitted for choice in refused)
    assert refused[0].retry_at <= w.now + OPEN_BASE_S
    w.now = refused[0].retry_at
    trial, other = w.order()
    assert trial.admitted and not trial.probe and trial.patience_s is None
    assert "no other target" in trial.reason
    assert not other.admitted
    w.send(trial.target)
    w.answer(trial.target, sent=True)
    assert w.choice(trial.target).circuit == "closed"


def test_a_rest_is_kept_even_with_nobody_else(world: Callable) -> None:
    w = world("lone")
    w.warm({"lone": 0.3})
    w.fail("lone", RateLimited, retry_after_s=20.0)
    w.break_down("lone")
    w.now += 10.0
    assert not w.first().admitted


def test_a_lone_target_that_asked_for_a_pause_gets_it(world: Callable) -> None:
    w = world("lone")
    w.warm({"lone": 0.3})
    w.fail("lone", RateLimited, retry_after_s=3.0)
    assert not w.first().admitted
    assert w.first().retry_at == pytest.approx(w.now + 3.0)
    w.now += 3.1
    assert w.first().admitted


def test_what_only_an_operator_mends_is_left_alone_for_long(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9})
    w.fail("a", CredentialRejected)
    assert w.choice("a").retry_at >= w.now + 25.0


def test_a_slow_target_is_looked_at_again_and_its_recovery_noticed(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 3.0}, 20)
    for number in range(2000):
        choice = w.first(number * 0.6180339887 % 1.0)
        ttft_s = {"a": 0.3, "b": 0.1}[choice.target]
        w.answer(choice.target, ttft_s, ttft_s + 1.0, probe=choice.probe)
        w.now += 0.2
        if choice.target == "b":
            break
    assert choice.reason.startswith("probe")
    assert w.choice("b").predicted_ttft_s < 1.0, "one fast answer is proof"


@pytest.mark.parametrize("ratio", [1.5, 3.0, 10.0, 100.0])
def test_probes_stay_within_their_account(world: Callable, ratio: float) -> None:
    w = world("fast", "slow")
    w.warm({"fast": 0.3})
    spent = probed = 0.0
    for number in range(3000):
        choice = w.first(number * 0.6180339887 % 1.0)
        total_s = {"fast": 1.3, "slow": 1.3 * ratio}[choice.target]
        w.answer(choice.target, 0.23 * total_s, total_s, probe=choice.probe)
        spent += total_s
        probed += total_s if choice.probe else 0.0
        w.now += 0.5
    assert probed > 0.0
    allowed = RESERVE_SHARE * spent + max(0.0, ratio - DEAREST) * 1.3 + 1.3 * ratio
    assert probed <= allowed


def test_an_empty_account_stops_probes(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.34}, 20)
    w.now += 60.0
    assert any(w.first(u).probe for u in CHANCES)
    w.without_probes()
    assert not any(w.first(u).probe for u in CHANCES)


def test_only_few_probes_are_in_flight_at_once(world: Callable) -> None:
    w = world("a", "b", "c", "d", "e")
    w.warm({"a": 0.3})
    for _ in range(40):
        choice = w.first(0.01)
        w.send(choice.target, probe=choice.probe)
        assert w.state.probing <= PROBES_AT_ONCE


def test_a_target_heard_from_just_now_needs_no_probe(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 3.0}, 20)
    w.answer("b", 3.0, 4.0)
    assert not any(w.first(u).probe for u in CHANCES)
