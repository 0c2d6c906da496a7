"""What each event teaches: speed, load, silence, and whose fault a failure is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimaran.errors import ContextTooLong, NoFirstToken, RateLimited, Rejected, ServerFault
from trimaran.routing import Completed, Failed, FirstToken, Sent, State, learn
from trimaran.routing.circuit import QUIET_RATE, RATE_GAIN, Circuit
from trimaran.routing.state import MAX_TARGETS


def test_a_slower_speed_is_followed_within_a_few_answers(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.5}, 30)
    answers = 0
    while w.first().target == "a":
        w.answer("a", 0.9, 3.9)
        answers += 1
    assert answers <= 4


def test_a_faster_answer_is_believed_at_once(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 3.0}, 30)
    w.answer("b", 0.1, 0.43)
    assert w.choice("b").predicted_ttft_s < 0.6


def test_one_slow_answer_does_not_condemn_a_fast_target(world: Callable) -> None:
    w = world("a", "b")
    for number in range(60):
        for name, ttft_s in (("a", 0.3), ("b", 0.45)):
            stray = (0.7, 1.4, 1.0)[number % 3]
            w.answer(name, ttft_s * stray, (ttft_s + 1.0) * stray)
    w.answer("a", 0.7, 1.7)
    assert w.without_probes().first().target == "a"


def test_a_timeout_raises_the_estimate(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9}, 20)
    before = w.choice("a").predicted_ttft_s
    w.fail("a", NoFirstToken, 10.0)
    assert w.choice("a").predicted_ttft_s > 1.3 * before


def test_a_target_that_only_times_out_never_looks_fast(world: Callable) -> None:
    w = world("silent", "b")
    w.warm({"b": 0.9})
    for _ in range(2):
        w.fail("silent", NoFirstToken, 30.0)
    assert w.choice("silent").predicted_ttft_s > 5.0
    assert w.first().target == "b"


def test_an_abandoned_wait_raises_the_estimate_and_breaks_nothing(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9}, 20)
    before = w.choice("a").predicted_ttft_s
    for _ in range(5):
        w.abandon("a", 4.0)
    assert w.choice("a").predicted_ttft_s > 1.3 * before
    assert w.target("a").breaker.rate < QUIET_RATE
    assert w.target("a").breaker.circuit is Circuit.CLOSED


@pytest.mark.parametrize("ending", ["abandon", "fail"])
def test_an_end_sooner_than_expected_says_nothing_of_the_speed(world: Callable, ending: str) -> None:
    w = world("a")
    w.warm({"a": 0.9}, 20)
    before = w.target("a").level
    if ending == "abandon":
        w.abandon("a", 0.05)
    else:
        w.fail("a", ServerFault, 0.05)
    assert w.target("a").level == before


def test_silence_is_seen_before_it_ends(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 1.2}, 30)
    w.without_probes()
    for _ in range(3):
        w.send("a")
    assert w.first().target == "a"
    w.now += 5.0
    assert w.first().target == "b"
    assert w.choice("a").reason == "its first tokens are overdue"


def test_whole_answers_are_not_overdue_for_want_of_a_first_token(world: Callable) -> None:
    w = world("a", "b")
    for _ in range(30):
        w.answer_whole("a", 1.3)
        w.answer_whole("b", 2.6)
    w.without_probes()
    for _ in range(3):
        w.send("a")
    w.now += 0.9
    assert w.first(stream=False).reason == "fastest"
    w.now += 6.0
    assert w.first(stream=False).target == "b"
    assert w.choice("a").reason == "its first tokens are overdue"


def test_a_client_that_takes_up_streaming_is_judged_by_first_tokens_again(world: Callable) -> None:
    w = world("a", "b")
    for _ in range(20):
        w.answer_whole("a", 10.3, tokens=1001)
        w.answer("b", 0.9, 10.9, tokens=1001)
    for _ in range(25):
        w.answer("a", 0.3, 10.3, tokens=1001)
    assert w.target("a").whole == 0.0
    w.without_probes()
    for _ in range(4):
        w.send("a")
    w.now += 4.0
    assert w.first().target == "b"


@pytest.mark.parametrize("error", [Rejected, ContextTooLong])
def test_the_clients_fault_does_not_count_against_the_target(world: Callable, error: type[Rejected]) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9}, 20)
    before = w.choice("a")
    for _ in range(20):
        w.fail("a", error)
    after = w.choice("a")
    assert (after.circuit, after.admitted, after.predicted_ttft_s) == ("closed", True, before.predicted_ttft_s)
    assert w.target("a").breaker.rate < QUIET_RATE
    assert w.first().target == "a"


def test_a_clients_fault_shows_that_a_broken_target_is_back(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9})
    w.break_down("a")
    w.now = w.target("a").breaker.until
    w.fail("a", Rejected)
    assert w.target("a").breaker.circuit is Circuit.CLOSED


def test_a_rate_limit_rests_the_target_and_leaves_circuit_and_failure_rate(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9}, 20)
    w.fail("a", RateLimited, retry_after_s=12.0)
    resting = w.choice("a")
    assert not resting.admitted
    assert resting.circuit == "closed"
    assert resting.retry_at == pytest.approx(w.now + 12.0)
    assert "resting" in resting.reason
    assert w.target("a").breaker.rate < QUIET_RATE
    w.now += 12.1
    assert w.choice("a").admitted


def test_retry_after_of_a_server_fault_is_obeyed_too(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9})
    w.fail("a", ServerFault, retry_after_s=8.0)
    assert w.choice("a").retry_at == pytest.approx(w.now + 8.0)
    assert w.target("a").breaker.rate == pytest.approx(RATE_GAIN, abs=0.01)


def test_traffic_without_streams_learns_both_times(world: Callable) -> None:
    w = world("quick", "slow")
    for tokens in (20, 200, 60, 400) * 12:
        w.answer_whole("quick", 0.3 + tokens * 0.01, tokens=tokens)
        w.answer_whole("slow", 0.9 + tokens * 0.03, tokens=tokens)
    first, second = w.order(stream=False)
    assert first.target == "quick"
    assert first.predicted_total_s == pytest.approx(0.3 + 170 * 0.01, rel=0.25)
    assert second.predicted_total_s == pytest.approx(0.9 + 170 * 0.03, rel=0.25)


def test_expected_output_is_what_targets_gave_within_the_clients_limit(world: Callable) -> None:
    w = world("a")
    for _ in range(60):
        w.answer("a", 0.3, 0.3 + 400 * 0.01, tokens=401)
    free = w.first()
    limited = w.first(max_output_tokens=11)
    assert free.predicted_total_s - free.predicted_ttft_s == pytest.approx(4.0, rel=0.1)
    assert limited.predicted_total_s - limited.predicted_ttft_s == pytest.approx(0.1, rel=0.1)
    assert w.first(max_output_tokens=9999).predicted_total_s == pytest.approx(free.predicted_total_s)


def test_an_answer_without_a_token_count_leaves_tpot_and_length(world: Callable) -> None:
    w = world("a")
    w.warm({"a": 0.3})
    before = (w.target("a").tpot_level, w.target("a").output_tokens)
    w.answer("a", 0.3, 9.0, tokens=0)
    assert (w.target("a").tpot_level, w.target("a").output_tokens) == before


def test_a_queue_under_load_is_not_taken_for_a_slower_target(world: Callable) -> None:
    w = world("a")
    w.warm({"a": 0.3}, 30)
    for _ in range(30):
        for in_flight in range(0, 24, 3):
            ttft_s = 0.3 + 0.1 * in_flight
            learn(w.state, Sent("a", 500), w.now)
            w.now += ttft_s
            learn(w.state, FirstToken("a", ttft_s, 500, in_flight), w.now)
            learn(w.state, Completed("a", ttft_s, ttft_s, 0, 500, in_flight), w.now)
    assert w.choice("a").predicted_ttft_s < 0.6
    for _ in range(21):
        w.send("a")
    assert w.choice("a").predicted_ttft_s == pytest.approx(2.4, rel=0.3)


@pytest.mark.parametrize(
    "times",
    [
        ((0.0, 0.0), (0.0, 1e-9), (1e-12, 3600.0), (3000.0, 3600.0)),
        ((0.3, 0.3 + 1e-12), (0.3, 30.0)),
        ((1e-9, 1.0), (600.0, 601.0)),
    ],
)
def test_absurd_times_leave_the_prediction_within_reach(
    world: Callable, times: tuple[tuple[float, float], ...]
) -> None:
    w = world("a")
    for ttft_s, total_s in times * 100:
        w.answer("a", ttft_s, total_s, tokens=101)
        assert 0.0 < w.first().predicted_total_s < 20_000.0


def test_what_is_known_stays_bounded_however_many_targets_clients_name() -> None:
    state = State()
    learn(state, Sent("busy"), 0.5)
    for number in range(2 * MAX_TARGETS):
        now = 1.0 + number
        name = f"openai/{number}"
        learn(state, Sent(name), now)
        learn(state, Failed(name, ServerFault, 0.1), now + 0.1)
        assert len(state.targets) <= MAX_TARGETS
    assert "busy" in state.targets, "a target with something in flight is kept"
    assert f"openai/{2 * MAX_TARGETS - 1}" in state.targets
