"""Several workers: one view of circuits and loads after one exchange, and no hearsay."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import msgspec
import pytest

from trimaran.errors import NoFirstToken, RateLimited, ServerFault
from trimaran.routing import Sent, Shared, SharedTarget, export_shared, learn
from trimaran.routing.circuit import Circuit
from trimaran.routing.ordering import NEWS_S
from trimaran.routing.sharing import PEER_FRESH_S
from trimaran.routing.state import MAX_TARGETS


@pytest.fixture
def workers(world: Callable) -> list:
    return [world("a", "b", worker=number) for number in range(4)]


def exchange(workers: list, now: float) -> None:
    """All export, through the bytes of the plane, then all hear all."""
    sent = [msgspec.msgpack.encode(export_shared(w.state, now)) for w in workers]
    for w in workers:
        w.now = now
        for message in sent:
            learn(w.state, msgspec.msgpack.decode(message, type=Shared), now)


def pass_time(workers: list, now: float, until: float) -> float:
    """Nothing but exchanges, each second."""
    while now < until:
        now += 1.0
        exchange(workers, now)
    return now


def warm(workers: list, speeds: dict[str, float], rounds: int = 12) -> float:
    for w in workers:
        w.warm(speeds, rounds)
    now = max(w.now for w in workers)
    exchange(workers, now)
    return now


def test_exporting_writes_nothing_and_is_plain_data(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    before = deepcopy(workers[0].state)
    exported = export_shared(workers[0].state, now)
    assert workers[0].state == before
    assert msgspec.convert(exported, Shared) == Shared(
        worker=0, targets={k: msgspec.convert(v, SharedTarget) for k, v in exported["targets"].items()}
    )
    assert msgspec.json.decode(msgspec.json.encode(exported)) == exported


def test_all_agree_on_an_open_circuit_after_one_exchange(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    workers[2].break_down("a")
    now = workers[2].now
    exchange(workers, now)
    assert {w.target("a").breaker.circuit for w in workers} == {Circuit.OPEN}
    assert {w.target("a").breaker.epoch for w in workers} == {1}
    retry_at = [w.choice("a").retry_at for w in workers]
    assert retry_at == pytest.approx([retry_at[0]] * 4)
    assert all(w.first().target == "b" for w in workers)


def test_all_agree_on_its_recovery_after_one_exchange(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    workers[2].break_down("a")
    exchange(workers, workers[2].now)
    tryer = next(w for w in workers if w.state.turn == 0)
    for w in workers:
        w.now = tryer.target("a").breaker.until + 10.0
    assert tryer.choice("a").admitted
    tryer.answer("a", probe=True)
    now = tryer.now
    exchange(workers, now)
    assert {w.target("a").breaker.circuit for w in workers} == {Circuit.CLOSED}
    assert {w.target("a").breaker.epoch for w in workers} == {2}


def test_one_worker_tries_and_the_others_wait_for_it(workers: list) -> None:
    warm(workers, {"a": 0.3, "b": 0.9})
    workers[2].break_down("a")
    exchange(workers, workers[2].now)
    due = workers[0].target("a").breaker.until
    for w in workers:
        w.now = due + 0.01
    trying = [w for w in workers if w.first().target == "a"]
    assert len(trying) == 1, "it is one worker's turn"
    trying[0].send("a", probe=True)
    exchange(workers, due + 0.2)
    assert all(not w.choice("a").admitted for w in workers)


def test_a_rest_asked_of_one_worker_is_kept_by_all(workers: list) -> None:
    warm(workers, {"a": 0.3, "b": 0.9})
    workers[1].fail("a", RateLimited, retry_after_s=20.0)
    now = workers[1].now
    exchange(workers, now)
    assert all(w.choice("a").retry_at == pytest.approx(now + 20.0) for w in workers)


def test_loads_add_up_and_replace_what_was_said_before(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    for number, w in enumerate(workers):
        for _ in range(number):
            w.send("a")
    exchange(workers, now)
    assert {w.choice("a").in_flight for w in workers} == {6}
    exchange(workers, now)
    assert {w.choice("a").in_flight for w in workers} == {6}
    workers[3].answer("a", sent=True)
    exchange(workers, workers[3].now)
    assert {w.choice("a").in_flight for w in workers} == {5}


def test_the_load_of_a_worker_that_fell_silent_is_forgotten(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    for _ in range(8):
        workers[3].send("a")
    exchange(workers, now)
    assert workers[0].choice("a").in_flight == 8
    exchange(workers[:3], now + PEER_FRESH_S + 0.1)
    assert workers[0].choice("a").in_flight == 0
    assert workers[0].state.workers == 3


def test_loads_are_not_believed_for_ever_when_nobody_is_heard(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    for _ in range(8):
        workers[3].send("a")
    exchange(workers, now)
    workers[0].now = now + PEER_FRESH_S + 0.1
    assert workers[0].choice("a").in_flight == 0


def test_what_one_worker_saw_the_others_know(workers: list) -> None:
    workers[0].warm({"a": 0.3, "b": 2.0}, 20)
    exchange(workers, workers[0].now)
    for w in workers[1:]:
        for name in "ab":
            heard, seen = w.choice(name), workers[0].choice(name)
            assert heard.samples
            assert heard.predicted_ttft_s == pytest.approx(seen.predicted_ttft_s, rel=0.25)
            assert heard.predicted_tpot_s == pytest.approx(seen.predicted_tpot_s, rel=0.25)


def test_hearing_the_same_again_changes_no_estimate(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    before = [(w.target("a").level, w.target("a").samples, w.target("a").tpot_level) for w in workers]
    for _ in range(5):
        exchange(workers, now)
    assert [(w.target("a").level, w.target("a").samples, w.target("a").tpot_level) for w in workers] == before


def test_what_was_heard_is_not_passed_on(workers: list) -> None:
    workers[0].warm({"a": 0.3})
    exchange(workers, workers[0].now)
    assert workers[1].target("a").samples
    exported = export_shared(workers[1].state, workers[1].now)["targets"].get("a")
    assert exported is None or msgspec.convert(exported, SharedTarget).ttft_n == 0


def test_a_worker_that_started_again_is_heard_from_zero(world: Callable) -> None:
    listener, first = world("a", worker=0), world("a", worker=1)
    first.warm({"a": 0.3}, 20)
    exchange([listener, first], first.now)
    second = world("a", worker=1)
    second.now = first.now
    for _ in range(3):
        second.answer("a", 3.0, 4.0)
    exchange([listener, second], second.now)
    assert listener.choice("a").predicted_ttft_s > 0.6


def test_the_life_story_of_a_worker_that_was_silent_is_no_news(world: Callable) -> None:
    listener, other, third = (world("a", worker=number) for number in range(3))
    other.warm({"a": 3.0}, 50)
    exchange([listener, other], other.now)
    for w in (listener, other):
        w.now = other.now
    listener.warm({"a": 0.3}, 30)
    listener.now = max(listener.now, other.now + 2 * PEER_FRESH_S)
    before = (listener.target("a").level, listener.target("a").variance)
    exchange([listener, third], listener.now)
    assert listener.state.workers == 2
    exchange([listener, other], listener.now)
    exchange([listener, other], listener.now)
    assert (listener.target("a").level, listener.target("a").variance) == before


def test_a_worker_that_is_new_starts_from_what_the_others_know_and_learns_fast(world: Callable) -> None:
    new, other = world("a", "b", worker=0), world("a", "b", worker=1)
    other.warm({"a": 0.3, "b": 0.9}, 50)
    exchange([new, other], other.now)
    assert new.without_probes().first().target == "a"
    assert all(choice.reason != "new: ramping up" for choice in new.order())
    for _ in range(2):
        new.answer("a", 3.0, 13.0)
    assert new.first().target == "b"


def test_a_worker_does_not_hear_itself(world: Callable) -> None:
    w = world("a")
    w.warm({"a": 0.3})
    before = deepcopy(w.state)
    exchange([w], w.now)
    assert w.state == before


def test_a_change_that_others_saw_moves_traffic_here(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    for w in workers[1:]:
        w.now = now
        for _ in range(3):
            w.answer("a", 3.0, 13.0)
    exchange(workers, workers[1].now)
    assert workers[0].without_probes().first().target == "b"


def test_others_cannot_fill_this_workers_memory(world: Callable) -> None:
    w = world("a")
    row = SharedTarget(0, 2, 1, 2.0, 1, False, 0.0, -1.0, 0, 0.0, 0, 0.0)
    learn(w.state, Shared(1, {f"openai/{n}": row for n in range(2 * MAX_TARGETS)}), w.now)
    assert len(w.state.targets) <= MAX_TARGETS
    learn(w.state, Sent("a"), w.now)
    assert "a" in w.state.targets


def silent_outage(workers: list):
    """Silence that all workers met, an open circuit that all know of, and one worker's trial that was answered."""
    now = warm(workers, {"a": 0.3, "b": 0.9})
    for w in workers:
        w.now = now
        for _ in range(2):
            w.fail("a", NoFirstToken, 30.0)
    exchange(workers, workers[0].now)
    workers[2].break_down("a")
    exchange(workers, workers[2].now)
    tryer = workers[2]
    pass_time(workers, tryer.now, tryer.target("a").breaker.until)
    tryer.answer("a", probe=True)
    exchange(workers, tryer.now)
    return tryer


def test_traffic_comes_back_in_all_workers_after_one_of_them_saw_the_recovery(workers: list) -> None:
    tryer = silent_outage(workers)
    for w in workers:
        back = w.choice("a")
        assert back.predicted_ttft_s < 1.0
        assert back.score - back.predicted_total_s < 1.0, "how long its failures took is from before"
        if w is not tryer:
            w.answer("b", 0.9, 1.9)
            assert w.without_probes().first().target == "a"


def test_a_recovery_is_worth_a_look_by_each_worker_even_if_it_seems_slower(workers: list) -> None:
    for stray in (0.5, 1.7, 0.8, 1.2) * 6:
        now = warm(workers, {"a": 1.6 * stray, "b": 0.9 * stray}, 1)
    workers[2].break_down("a")
    exchange(workers, workers[2].now)
    tryer = workers[2]
    pass_time(workers, tryer.now, tryer.target("a").breaker.until)
    tryer.answer("a", 1.6, 2.6, probe=True)
    exchange(workers, tryer.now)
    now = tryer.now
    for w in workers:
        w.now = now
        w.state.spent_s, w.state.probed_s = 1000.0, 0.0
        w.answer("b", 0.9, 1.9)
        look = w.first()
        assert (look.target, look.probe) == ("a", True)
        w.now += NEWS_S
        assert not w.first().probe


def test_answers_and_failures_that_others_saw_move_the_failure_rate(world: Callable) -> None:
    idle, busy = world("a", "b", worker=0), world("a", "b", worker=1)
    for w in (idle, busy):
        w.warm({"a": 0.3, "b": 0.32})
    exchange([idle, busy], busy.now)
    for _ in range(8):
        for _ in range(2):
            busy.answer("a")
        busy.fail("a")
    exchange([idle, busy], busy.now)
    assert idle.target("a").breaker.rate == pytest.approx(1 / 3, abs=0.1)
    assert idle.choice("a").circuit == "closed"
    assert idle.without_probes().first().target == "b"
    for _ in range(60):
        busy.answer("a")
    exchange([idle, busy], busy.now)
    assert idle.target("a").breaker.rate < 0.01


def test_what_others_saw_fail_is_taken_once(workers: list) -> None:
    now = warm(workers, {"a": 0.3, "b": 0.9})
    workers[3].now = now
    workers[3].fail("a")
    exchange(workers, workers[3].now)
    before = [w.target("a").breaker.rate for w in workers]
    assert before == pytest.approx([before[3]] * 4, abs=0.02)
    exchange(workers, workers[3].now)
    assert [w.target("a").breaker.rate for w in workers] == before


def test_a_failure_rate_fades_while_nobody_sends(world: Callable) -> None:
    w = world("a")
    w.warm({"a": 0.3})
    for _ in range(2):
        w.fail("a")
    held_back = w.choice("a").score - w.choice("a").predicted_total_s
    w.now += 30.0
    assert w.choice("a").score - w.choice("a").predicted_total_s == pytest.approx(0.5 * held_back, rel=0.05)


def test_an_untouched_target_is_not_told(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3})
    w.order()
    assert set(export_shared(w.state, w.now)["targets"]) == {"a"}


def test_failures_here_and_answers_there_end_in_one_view(workers: list) -> None:
    warm(workers, {"a": 0.3, "b": 0.9})
    workers[0].break_down("a")
    workers[1].now = workers[0].now
    workers[1].fail("a", ServerFault)
    workers[1].answer("a")
    now = workers[1].now
    exchange(workers, now)
    exchange(workers, now + 0.5)
    assert len({w.target("a").breaker.circuit for w in workers}) == 1
