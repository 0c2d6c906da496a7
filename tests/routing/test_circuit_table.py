"""The circuit: each transition, what counts as a failure, how long it stays open, and who may try."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from trimaran.errors import (
    AttemptError,
    ConnectFailed,
    ConnectionReset,
    ContentRefused,
    ContextTooLong,
    CredentialRejected,
    MalformedAnswer,
    NoFirstToken,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
    StreamStalled,
    TargetNotFound,
)
from trimaran.routing import circuit as rules
from trimaran.routing.circuit import TRANSITIONS, Breaker, Circuit, Signal, Verdict, admission

CLOSED, HALF_OPEN, OPEN = Circuit.CLOSED, Circuit.HALF_OPEN, Circuit.OPEN
NOW = 100.0


def closed() -> Breaker:
    return Breaker(circuit=CLOSED, changed_at=0.0)


def opened() -> Breaker:
    breaker = closed()
    for _ in range(rules.TRIP_CONSECUTIVE):
        rules.failed(breaker, NOW, NOW)
    return breaker


def half_open() -> Breaker:
    breaker = opened()
    rules.trial_sent(breaker, breaker.until)
    return breaker


def answer(breaker: Breaker) -> None:
    rules.began(breaker, NOW + 50.0, NOW + 50.5)


def fail(breaker: Breaker) -> None:
    rules.failed(breaker, NOW + 50.0, NOW + 50.5)


def trip(breaker: Breaker) -> None:
    rules.refused(breaker, NOW + 50.0, NOW + 50.5)


def send(breaker: Breaker) -> None:
    if breaker.circuit is not CLOSED:
        rules.trial_sent(breaker, NOW + 50.0)


def absolve(breaker: Breaker) -> None:
    rules.absolved(breaker, NOW + 50.0)


@pytest.mark.parametrize(
    ("start", "act", "end"),
    [
        (closed, answer, CLOSED),
        (closed, fail, CLOSED),
        (closed, trip, OPEN),
        (closed, send, CLOSED),
        (closed, absolve, CLOSED),
        (opened, answer, CLOSED),
        (opened, fail, OPEN),
        (opened, trip, OPEN),
        (opened, send, HALF_OPEN),
        (opened, absolve, CLOSED),
        (half_open, answer, CLOSED),
        (half_open, fail, OPEN),
        (half_open, trip, OPEN),
        (half_open, send, HALF_OPEN),
        (half_open, absolve, CLOSED),
    ],
)
def test_each_transition(start: Callable[[], Breaker], act: Callable[[Breaker], None], end: Circuit) -> None:
    breaker = start()
    act(breaker)
    assert breaker.circuit is end


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == set(product(Circuit, Signal))


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    breaker = closed()
    for _ in range(rules.TRIP_CONSECUTIVE - 1):
        rules.failed(breaker, NOW, NOW)
    rules.ended(breaker, NOW, NOW)
    for _ in range(rules.TRIP_CONSECUTIVE - 1):
        rules.failed(breaker, NOW, NOW)
    assert breaker.circuit is CLOSED
    rules.failed(breaker, NOW, NOW)
    assert breaker.circuit is OPEN


def test_a_stream_that_only_begins_does_not_end_a_row_of_failures() -> None:
    breaker = closed()
    for _ in range(rules.TRIP_CONSECUTIVE):
        rules.began(breaker, NOW, NOW)
        rules.failed(breaker, NOW, NOW)
    assert breaker.circuit is OPEN


def test_a_high_rate_opens_it_without_a_row() -> None:
    breaker = closed()
    for number in range(60):
        if number % 3 == 2:
            rules.ended(breaker, NOW, NOW)
        else:
            rules.failed(breaker, NOW, NOW)
        if breaker.circuit is OPEN:
            break
    assert breaker.circuit is OPEN
    assert number + 1 >= rules.TRIP_RATE_EVENTS


def test_one_failure_in_five_does_not_open_it() -> None:
    breaker = closed()
    for number in range(500):
        (rules.failed if number % 5 == 0 else rules.ended)(breaker, NOW, NOW)
    assert breaker.circuit is CLOSED


def open_times(breaker: Breaker, count: int) -> list[float]:
    found = [breaker.until - NOW]
    for _ in range(count):
        at = breaker.until
        rules.trial_sent(breaker, at)
        rules.failed(breaker, at, at)
        found.append(breaker.until - at)
    return found


def test_it_stays_open_for_longer_the_longer_the_outage_up_to_a_cap() -> None:
    open_s = open_times(opened(), 40)
    assert open_s[:2] == pytest.approx([rules.OPEN_BASE_S, rules.OPEN_SHORT_S])
    outage_s = 0.0
    for each in open_s:
        assert each <= max(rules.OPEN_SHORT_S, rules.OUTAGE_SHARE * (outage_s - rules.OUTAGE_SHORT_S)) + 1e-6
        outage_s += each
    assert open_s == sorted(open_s)
    assert open_s[-1] == rules.OPEN_CAP_S
    assert sum(1 for at in open_s if at < rules.OPEN_CAP_S) <= 30, "a few trials on the way there"


def test_what_only_an_operator_mends_stays_open_twice_as_long_each_time() -> None:
    breaker = closed()
    at, found = NOW, []
    for _ in range(7):
        rules.refused(breaker, at, at)
        found.append(breaker.until - at)
        at = breaker.until
        rules.trial_sent(breaker, at)
    doubled = [rules.OPERATOR_BASE_S * 2.0**n for n in range(7)]
    assert found == pytest.approx([min(each, rules.OPERATOR_CAP_S) for each in doubled])


@pytest.mark.parametrize(("held_s", "again"), [(rules.HELD_S + 1.0, True), (rules.HELD_S - 1.0, False)])
def test_an_outage_goes_on_unless_the_target_held_for_a_while(held_s: float, again: bool) -> None:
    breaker = opened()
    open_times(breaker, 12)
    back = breaker.until
    rules.trial_sent(breaker, back)
    rules.began(breaker, back, back)
    down = back + held_s
    for _ in range(rules.TRIP_CONSECUTIVE):
        rules.failed(breaker, down, down)
    assert breaker.circuit is OPEN
    assert (breaker.until - down <= rules.OPEN_SHORT_S) == again


def test_a_target_that_holds_lives_down_its_openings() -> None:
    breaker = half_open()
    closed_at = breaker.until + 1.0
    rules.began(breaker, closed_at, closed_at)
    rules.ended(breaker, closed_at, closed_at)
    assert breaker.openings == 1
    later = closed_at + rules.FORGET_S + 1.0
    rules.ended(breaker, later, later)
    assert breaker.openings == 0


def test_a_straggler_sent_before_it_opened_does_not_close_it() -> None:
    breaker = opened()
    assert not rules.began(breaker, NOW - 5.0, NOW + 1.0)
    assert breaker.circuit is OPEN


def test_a_straggler_sent_before_it_closed_does_not_count_against_it() -> None:
    breaker = half_open()
    rules.began(breaker, NOW + 50.0, NOW + 50.5)
    before = (breaker.rate, breaker.consecutive)
    rules.failed(breaker, NOW + 1.0, NOW + 51.0)
    assert (breaker.rate, breaker.consecutive) == before


def test_half_open_admits_one_trial_until_it_has_ended() -> None:
    breaker = opened()
    assert admission(breaker, 0, breaker.until - 0.1)[0] is Verdict.REJECTED
    assert admission(breaker, 0, breaker.until)[0] is Verdict.TRIAL
    rules.trial_sent(breaker, breaker.until)
    verdict, reason, retry_at = admission(breaker, 1, breaker.until + 0.1)
    assert verdict is Verdict.REJECTED
    assert "trial" in reason
    assert retry_at > breaker.until
    rules.trial_lost(breaker)
    assert admission(breaker, 0, breaker.until + 0.2)[0] is Verdict.TRIAL


def test_a_trial_whose_end_was_never_told_does_not_block_for_ever() -> None:
    breaker = half_open()
    assert admission(breaker, 1, breaker.until + rules.TRIAL_LOST_S - 1.0)[0] is Verdict.REJECTED
    assert admission(breaker, 1, breaker.until + rules.TRIAL_LOST_S + 1.0)[0] is Verdict.TRIAL


def test_workers_take_turns_at_the_trial() -> None:
    breaker = opened()
    for turn in range(3):
        before = breaker.until + turn * rules.TURN_S - 0.01
        assert admission(breaker, 0, before, turn)[0] is (Verdict.LATE_TRIAL if turn else Verdict.REJECTED)
        assert admission(breaker, 0, before + 0.02, turn)[0] is Verdict.TRIAL


def test_a_cold_or_recovered_target_ramps_up_by_doubling() -> None:
    breaker = closed()
    for step in range(7):
        allowed = 2**step
        assert breaker.ramp == allowed
        if allowed < rules.RAMP_DONE:
            assert admission(breaker, allowed - 1, NOW)[0] is Verdict.READY
            assert admission(breaker, allowed, NOW)[0] not in (Verdict.READY, Verdict.REJECTED)
        rules.began(breaker, NOW, NOW)
    assert admission(breaker, 10_000, NOW)[0] is Verdict.READY


def test_rest_lasts_as_long_as_the_target_asked_and_leaves_the_circuit() -> None:
    breaker = closed()
    rules.rest(breaker, 7.0, 4, NOW)
    assert breaker.circuit is CLOSED
    assert admission(breaker, 0, NOW + 6.9)[0] is Verdict.REJECTED
    assert admission(breaker, 0, NOW + 7.1)[0] is not Verdict.REJECTED


def test_rest_without_a_time_doubles_and_ends_with_an_answer() -> None:
    breaker = closed()
    waits = []
    now = NOW
    for _ in range(7):
        rules.rest(breaker, None, 0, now)
        waits.append(breaker.rest_until - now)
        now = breaker.rest_until
    assert waits == pytest.approx([min(rules.REST_BASE_S * 2.0**n, rules.REST_CAP_S) for n in range(7)])
    rules.ended(breaker, now, now)
    rules.rest(breaker, None, 0, now)
    assert breaker.rest_until - now == pytest.approx(rules.REST_BASE_S)


def test_rest_without_a_time_is_spread_by_chance_and_a_stated_one_is_not() -> None:
    spread = []
    for u in (0.0, 0.5, 0.999):
        breaker = closed()
        rules.rest(breaker, None, 0, NOW, u)
        spread.append(breaker.rest_until - NOW)
        stated = closed()
        rules.rest(stated, 7.0, 0, NOW, u)
        assert stated.rest_until == NOW + 7.0
    assert spread == pytest.approx([0.5, 1.0, 1.499])


def test_an_answer_to_what_was_sent_before_a_rest_does_not_end_the_row() -> None:
    breaker = closed()
    rules.rest(breaker, None, 0, NOW)
    rules.ended(breaker, NOW - 1.0, NOW + 0.5)
    assert breaker.rests == 1
    rules.ended(breaker, NOW + 1.0, NOW + 1.5)
    assert breaker.rests == 0


def test_after_a_rest_a_lone_target_takes_what_its_ramp_allows_and_soon_more() -> None:
    breaker = closed()
    breaker.ramp = rules.RAMP_DONE
    rules.rest(breaker, 5.0, 8, NOW)
    after = NOW + 5.0
    assert rules.held_back(breaker, 3, after, 0.5) == 0.0
    assert after < rules.held_back(breaker, 4, after, 0.5) <= after + 0.3
    assert rules.held_back(breaker, 4, after + rules.RAMP_STEP_S, 0.5) == 0.0
    assert rules.held_back(breaker, 200, after + 10 * rules.RAMP_STEP_S, 0.5) == 0.0, "nobody waits for ever"
    assert rules.held_back(closed(), 200, NOW, 0.5) == 0.0, "a new target takes all that comes"


def test_no_target_can_silence_itself_for_a_day() -> None:
    breaker = closed()
    rules.rest(breaker, 86_400.0, 0, NOW)
    assert breaker.rest_until == NOW + rules.RETRY_AFTER_CAP_S


def test_a_shorter_retry_after_does_not_cut_a_longer_one() -> None:
    breaker = closed()
    rules.rest(breaker, 30.0, 0, NOW)
    rules.rest(breaker, 1.0, 0, NOW)
    assert breaker.rest_until == NOW + 30.0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Rejected, "client"),
        (ContextTooLong, "client"),
        (ContentRefused, "client"),
        (RateLimited, "rest"),
        (CredentialRejected, "operator"),
        (TargetNotFound, "operator"),
        (ConnectFailed, "failure"),
        (ConnectionReset, "failure"),
        (NoFirstToken, "failure"),
        (StreamStalled, "failure"),
        (StreamCut, "failure"),
        (MalformedAnswer, "failure"),
        (Overloaded, "failure"),
        (ServerFault, "failure"),
    ],
)
def test_how_each_error_counts(error: type[AttemptError], kind: str) -> None:
    assert rules.verdict_of(error) == kind


def test_every_error_of_an_attempt_is_classified_above() -> None:
    def leaves(error: type[AttemptError]) -> set[type[AttemptError]]:
        below = error.__subclasses__()
        return {error, *(leaf for each in below for leaf in leaves(each))}

    mark = next(m for m in test_how_each_error_counts.pytestmark if m.name == "parametrize")
    named = {row[0] for row in mark.args[1]}
    assert {each for each in leaves(AttemptError) - {AttemptError} if each.__module__ == "trimaran.errors"} == named


def joined(*views: Breaker) -> Breaker:
    mine = Breaker()
    for view in views:
        rules.merge(mine, view, NOW)
    return mine


def test_joining_views_depends_on_neither_order_nor_repetition() -> None:
    views = [
        Breaker(circuit=OPEN, epoch=3, until=NOW + 4.0, openings=2),
        Breaker(circuit=OPEN, epoch=3, until=NOW + 6.0, openings=1),
        Breaker(circuit=CLOSED, epoch=2, rest_until=NOW + 3.0),
    ]

    def seen(breaker: Breaker) -> tuple[object, ...]:
        return breaker.circuit, breaker.epoch, breaker.until, breaker.openings, breaker.rest_until

    expected = (OPEN, 3, NOW + 6.0, 2, NOW + 3.0)
    assert seen(joined(*views)) == expected
    assert seen(joined(*reversed(views))) == expected
    assert seen(joined(*views, *views)) == expected


def test_a_later_closing_wins_over_an_earlier_opening() -> None:
    mine = Breaker(circuit=OPEN, epoch=3, until=NOW + 4.0)
    assert rules.merge(mine, Breaker(circuit=CLOSED, epoch=4), NOW)
    assert mine.circuit is CLOSED
    assert mine.ramp == 1, "what another worker saw recover is ramped up here, too"
    assert not rules.merge(mine, Breaker(circuit=OPEN, epoch=3, until=NOW + 4.0), NOW)
    assert mine.circuit is CLOSED


def test_a_stale_view_of_an_earlier_opening_does_not_prolong_a_later_one() -> None:
    mine = Breaker(circuit=OPEN, epoch=5, until=NOW + 4.0, openings=1)
    rules.merge(mine, Breaker(circuit=OPEN, epoch=3, until=NOW + 60.0, openings=6), NOW)
    assert (mine.until, mine.openings) == (NOW + 4.0, 1)


def test_another_workers_trial_holds_ours_back() -> None:
    mine = Breaker(circuit=OPEN, epoch=3, until=NOW - 1.0)
    rules.merge(mine, Breaker(circuit=HALF_OPEN, epoch=3, until=NOW - 1.0, own_trial=True), NOW)
    assert admission(mine, 0, NOW)[0] is Verdict.REJECTED
    assert admission(mine, 0, NOW + rules.PEER_TRIAL_S + 0.1)[0] is Verdict.TRIAL


def test_exchanges_do_not_put_off_a_trial_that_is_due() -> None:
    mine = Breaker(circuit=OPEN, epoch=3, until=NOW)
    for second in range(1, 6):
        now = NOW + second
        rules.merge(mine, Breaker(circuit=OPEN, epoch=3, until=now), now)
    assert admission(mine, 0, NOW + 5.0, turn=2)[0] is Verdict.TRIAL
