"""The purse of one worker: what it reserves, when it asks, what it says when there is no room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimaran.dispatch.plane import Ask, Denied, Grant, Recall, Returned
from trimaran.dispatch.purse import ANSWER_TICKS, DENIED_S, IDLE_S, Purse
from trimaran.errors import BudgetExceeded, LimitExceeded, Unavailable
from trimaran.ledger.periods import window
from trimaran.types import Allowance

USD = 1_000_000_000
NOW_NS = 1_795_516_290 * USD
"""2026-11-24 10:31:30 UTC."""
MONTH_NS = window("month", NOW_NS)[0]
MINUTE_NS = window("minute", NOW_NS)[0]
BUDGET = Allowance("key:team-a:usd/month", "key", "team-a", "usd", 500 * USD, "month")
RATE = Allowance("key:team-a:requests/minute", "key", "team-a", "requests", 3, "minute")
TOKENS = Allowance("tenant:acme:tokens/minute", "tenant", "acme", "tokens", 10_000, "minute")


def never() -> None:
    raise AssertionError("nobody waits")


class Worker:
    """A purse whose messages are kept, on a clock that the test moves."""

    def __init__(self, *allowances: Allowance, alone: bool = False) -> None:
        self.wall_ns = NOW_NS
        self.now_s = 100.0
        self.sent: list[Ask | Returned] = []
        self.called = 0
        self.purse = Purse(lambda: self.wall_ns, None if alone else self.sent.append)
        self.purse.apply(allowances)
        self.purse.tick(self.now_s)

    def later(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            self.wall_ns += USD // 10
            self.purse.tick(self.now_s)

    def wake(self) -> None:
        self.called += 1

    def take(self) -> list[Ask | Returned]:
        taken, self.sent[:] = [*self.sent], []
        return taken


def test_it_asks_once_for_what_it_lacks_and_calls_who_waited_once() -> None:
    worker = Worker(BUDGET)
    ids = (BUDGET.id,)
    for _ in range(3):
        assert worker.purse.reserve(ids, 4 * USD, 0, 1, worker.wake) is None
    assert worker.take() == [Ask(BUDGET.id, MONTH_NS, 4 * USD, 4 * USD)]
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 5 * USD))
    assert worker.called == 3
    assert worker.purse.reserve(ids, 4 * USD, 0, 1, never) is not None
    assert worker.purse.reserve(ids, 4 * USD, 0, 1, worker.wake) is None
    assert worker.take() == [Ask(BUDGET.id, MONTH_NS, 3 * USD, 3 * USD)]
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 5 * USD))
    assert worker.called == 4


def test_those_who_do_not_fit_wait_again_and_are_asked_for_together() -> None:
    worker = Worker(BUDGET)
    holds = []

    def attempt() -> None:
        hold = worker.purse.reserve((BUDGET.id,), 4 * USD, 0, 1, attempt)
        if hold is not None:
            holds.append(hold)

    for _ in range(5):
        attempt()
    assert worker.take() == [Ask(BUDGET.id, MONTH_NS, 4 * USD, 4 * USD)]
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 5 * USD))
    assert len(holds) == 1
    assert worker.take() == [Ask(BUDGET.id, MONTH_NS, 3 * USD, 15 * USD)]
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 15 * USD))
    assert len(holds) == 5
    assert worker.take() == []


def test_it_asks_ahead_of_need_so_that_nobody_waits() -> None:
    worker = Worker(BUDGET)
    assert worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake) is None
    worker.take()
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 11 * USD, 10 * USD))
    waited = 0
    for _ in range(200):
        hold = worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake)
        waited += hold is None
        if hold is not None:
            worker.purse.settle(hold, USD, 0)
        for message in worker.take():
            assert isinstance(message, Ask)
            worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 10 * USD, 10 * USD))
    assert not waited


def test_one_allowance_without_room_leaves_the_others_untouched() -> None:
    worker = Worker(BUDGET, RATE)
    ids = (BUDGET.id, RATE.id)
    assert worker.purse.reserve(ids, USD, 0, 1, worker.wake) is None
    assert worker.take() == [Ask(BUDGET.id, MONTH_NS, USD, USD), Ask(RATE.id, MINUTE_NS, 1, 1)]
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, USD))
    assert worker.called == 1
    assert worker.purse.reserve(ids, USD, 0, 1, worker.wake) is None
    worker.purse.on_message(Denied(RATE.id, MINUTE_NS, 0))
    assert worker.called == 2
    with pytest.raises(LimitExceeded):
        worker.purse.reserve(ids, USD, 0, 1, worker.wake)
    assert worker.purse.reserve((BUDGET.id,), USD, 0, 1, never) is not None


def test_a_refusal_says_what_is_left_and_is_remembered_for_a_moment() -> None:
    worker = Worker(BUDGET)
    reserve = worker.purse.reserve
    assert reserve((BUDGET.id,), 310_000_000, 0, 1, worker.wake) is None
    worker.take()
    worker.purse.on_message(Denied(BUDGET.id, MONTH_NS, 120_000_000))
    for _ in range(5):
        with pytest.raises(BudgetExceeded) as caught:
            reserve((BUDGET.id,), 310_000_000, 0, 1, worker.wake)
    assert caught.value.message == (
        "the budget key team-a of $500.00 a month has $0.12 left ($499.88 used or reserved), and this request may cost up to "
        "$0.31; it begins anew on 2026-12-01"
    )
    assert worker.take() == []
    assert reserve((BUDGET.id,), 100_000_000, 0, 1, worker.wake) is None, "what is left may suffice for less"
    worker.purse.on_message(Denied(BUDGET.id, MONTH_NS, 0))
    worker.take()
    worker.later(DENIED_S + 0.1)
    assert reserve((BUDGET.id,), 310_000_000, 0, 1, worker.wake) is None
    assert len(worker.take()) == 1


def test_what_is_settled_makes_room_in_spite_of_a_refusal() -> None:
    worker = Worker(BUDGET)
    assert worker.purse.reserve((BUDGET.id,), 4 * USD, 0, 1, worker.wake) is None
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 4 * USD))
    hold = worker.purse.reserve((BUDGET.id,), 4 * USD, 0, 1, never)
    assert hold is not None
    assert worker.purse.reserve((BUDGET.id,), 3 * USD, 0, 1, worker.wake) is None
    worker.purse.on_message(Denied(BUDGET.id, MONTH_NS, 0))
    worker.purse.settle(hold, USD, 0)
    assert worker.purse.reserve((BUDGET.id,), 3 * USD, 0, 1, never) is not None


def test_limits_answer_with_the_time_until_the_window_ends() -> None:
    worker = Worker(RATE, TOKENS, alone=True)
    reserve = worker.purse.reserve
    for _ in range(3):
        assert reserve((RATE.id,), None, 0, 1, never) is not None
    with pytest.raises(
        LimitExceeded, match="the limit key team-a of 3 requests a minute has 0 requests left"
    ) as caught:
        reserve((RATE.id,), None, 0, 1, never)
    assert caught.value.retry_after_s == 30.0
    assert reserve((RATE.id,), None, 0, 0, never) is not None, "a further attempt of a request is no further request"
    assert reserve((TOKENS.id,), None, 9_000, 1, never) is not None
    with pytest.raises(LimitExceeded, match=r"has 1,000 tokens left .* and this request may take up to 1,001"):
        reserve((TOKENS.id,), None, 1_001, 1, never)
    worker.later(31.0)
    assert reserve((RATE.id, TOKENS.id), None, 9_000, 1, never) is not None


def test_what_is_larger_than_the_whole_limit_is_never_asked_for() -> None:
    worker = Worker(BUDGET, TOKENS)
    with pytest.raises(
        LimitExceeded, match=r"up to 10,001 tokens, more than the whole limit tenant acme of 10,000"
    ) as caught:
        worker.purse.reserve((TOKENS.id,), None, 10_001, 1, never)
    assert caught.value.retry_after_s is None
    with pytest.raises(BudgetExceeded, match=r"up to \$500.000000001, more than the whole budget key team-a"):
        worker.purse.reserve((BUDGET.id,), 500 * USD + 1, 0, 1, never)
    assert worker.take() == []


def test_a_cost_without_bound_is_refused_under_a_budget_only() -> None:
    worker = Worker(BUDGET, RATE, alone=True)
    with pytest.raises(BudgetExceeded, match=r"cannot be bounded.*state the model's price"):
        worker.purse.reserve((BUDGET.id,), None, 0, 1, never)
    hold = worker.purse.reserve((RATE.id,), None, 0, 1, never)
    assert hold is not None
    worker.purse.settle(hold, None, 0)


def test_an_unknown_cost_is_charged_at_its_reservation_and_a_request_stays_counted() -> None:
    worker = Worker(BUDGET, RATE, TOKENS, alone=True)
    ids = (BUDGET.id, RATE.id, TOKENS.id)
    hold = worker.purse.reserve(ids, 7 * USD, 5_000, 1, never)
    assert hold is not None
    for _ in range(2):
        worker.purse.settle(hold, None, 123)
    assert sorted(worker.purse.report()) == sorted(
        [(BUDGET.id, MONTH_NS, 7 * USD), (RATE.id, MINUTE_NS, 1), (TOKENS.id, MINUTE_NS, 123)]
    )
    assert worker.purse.report() == []


def test_what_was_never_sent_comes_back_whole() -> None:
    worker = Worker(RATE, alone=True)
    for _ in range(5):
        hold = worker.purse.reserve((RATE.id,), None, 0, 1, never)
        assert hold is not None
        worker.purse.cancel(hold)
        worker.purse.cancel(hold)
    assert worker.purse.report() == []


def test_more_than_was_reserved_is_charged_and_told() -> None:
    worker = Worker(BUDGET)
    assert worker.purse.reserve((BUDGET.id,), 4 * USD, 0, 1, worker.wake) is None
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 5 * USD))
    hold = worker.purse.reserve((BUDGET.id,), 4 * USD, 0, 1, never)
    assert hold is not None
    worker.take()
    worker.purse.settle(hold, 9 * USD, 0)
    assert worker.take() == [Returned(BUDGET.id, MONTH_NS, -4 * USD, 9 * USD)]
    assert worker.purse.reserve((BUDGET.id,), 1, 0, 1, worker.wake) is None
    assert worker.take() == [Ask(BUDGET.id, MONTH_NS, 1, 1)]


def test_a_silent_authority_is_said_after_a_while_and_asked_again() -> None:
    worker = Worker(BUDGET)
    assert worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake) is None
    worker.later((ANSWER_TICKS - 1) / 10)
    assert worker.called == 0
    worker.later(0.1)
    assert worker.called == 1
    with pytest.raises(Unavailable, match="what is left of the budget key team-a"):
        worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake)
    worker.take()
    worker.later(DENIED_S + 0.1)
    assert worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake) is None
    assert len(worker.take()) == 1
    worker.purse.on_closed()
    assert worker.called == 2
    with pytest.raises(Unavailable):
        worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake)


@pytest.mark.parametrize("when", ["idle", "recalled", "closed"])
def test_what_is_not_reserved_is_returned(when: str) -> None:
    worker = Worker(BUDGET)
    assert worker.purse.reserve((BUDGET.id,), USD, 0, 1, worker.wake) is None
    worker.purse.on_message(Grant(BUDGET.id, MONTH_NS, 5 * USD))
    assert worker.purse.reserve((BUDGET.id,), USD, 0, 1, never) is not None
    worker.take()
    todo: dict[str, Callable[[], None]] = {
        "idle": lambda: worker.later(IDLE_S + 1.0),
        "recalled": lambda: worker.purse.on_message(Recall(BUDGET.id, MONTH_NS, 7)),
        "closed": worker.purse.close,
    }
    todo[when]()
    assert worker.take() == [Returned(BUDGET.id, MONTH_NS, 4 * USD, 0, 7 if when == "recalled" else 0)]


def test_a_recall_is_answered_also_where_nothing_is_known_of_it() -> None:
    worker = Worker(BUDGET)
    worker.purse.on_message(Recall(BUDGET.id, MONTH_NS, 7))
    worker.purse.on_message(Grant(BUDGET.id, 0, 5))
    assert worker.take() == [Returned(BUDGET.id, MONTH_NS, 0, 0, 7), Returned(BUDGET.id, 0, 5, 0)]


def test_a_hold_belongs_to_the_window_in_which_it_was_reserved() -> None:
    worker = Worker(RATE)
    assert worker.purse.reserve((RATE.id,), None, 0, 1, worker.wake) is None
    worker.purse.on_message(Grant(RATE.id, MINUTE_NS, 3))
    hold = worker.purse.reserve((RATE.id,), None, 0, 1, never)
    assert hold is not None
    assert hold.at_ns == worker.wall_ns
    worker.take()
    worker.later(40.0)
    assert worker.take() == [Returned(RATE.id, MINUTE_NS, 2, 0)]
    assert worker.purse.reserve((RATE.id,), None, 0, 1, worker.wake) is None
    assert worker.take() == [Ask(RATE.id, MINUTE_NS + 60 * USD, 1, 1)]
    worker.purse.settle(hold, None, 0)
    assert worker.purse.report() == [(RATE.id, MINUTE_NS, 1)]


def test_when_the_clock_steps_back_the_later_window_stays() -> None:
    worker = Worker(RATE, alone=True)
    for _ in range(3):
        assert worker.purse.reserve((RATE.id,), None, 0, 1, never) is not None
    worker.wall_ns -= 120 * USD
    with pytest.raises(LimitExceeded):
        worker.purse.reserve((RATE.id,), None, 0, 1, never)
    worker.wall_ns += 200 * USD
    hold = worker.purse.reserve((RATE.id,), None, 0, 1, never)
    worker.wall_ns -= 100 * USD
    second = worker.purse.reserve((RATE.id,), None, 0, 1, never)
    assert hold is not None and second is not None
    assert window("minute", second.at_ns) == window("minute", hold.at_ns)


def test_a_new_limit_holds_at_once_and_keeps_what_was_used() -> None:
    worker = Worker(RATE, alone=True)
    for _ in range(2):
        assert worker.purse.reserve((RATE.id,), None, 0, 1, never) is not None
    worker.purse.apply([Allowance(RATE.id, "key", "team-a", "requests", 2, "minute")])
    with pytest.raises(LimitExceeded):
        worker.purse.reserve((RATE.id,), None, 0, 1, never)
    worker.purse.apply([Allowance(RATE.id, "key", "team-a", "requests", 4, "minute")])
    for _ in range(2):
        assert worker.purse.reserve((RATE.id,), None, 0, 1, never) is not None
    worker.purse.apply([])
    for _ in range(9):
        assert worker.purse.reserve((RATE.id,), None, 0, 1, never) is not None
    worker.purse.apply([Allowance(RATE.id, "key", "team-a", "requests", 4, "minute")])
    with pytest.raises(LimitExceeded):
        worker.purse.reserve((RATE.id,), None, 0, 1, never)
