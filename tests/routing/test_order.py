"""What ``order`` answers: every target with a reason, by the prediction for this very request, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import inf, isfinite

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import (
    CredentialRejected,
    NoFirstToken,
    RateLimited,
    Rejected,
    ServerFault,
)
from trimaran.routing import (
    STRATEGIES,
    Abandoned,
    Completed,
    Failed,
    FirstToken,
    RouteRequest,
    Sent,
    Shared,
    State,
    appraise,
    build_policy,
    explain,
    export_shared,
    learn,
    order,
)
from trimaran.types import Capabilities, ModelPolicy, PriceTier, Slo, Target, TokenPrice, feature_mask

NAMES = ("a", "b", "c")
ERRORS = (ServerFault, NoFirstToken, RateLimited, CredentialRejected, Rejected)

steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["answer", "whole", "fail", "abandon", "send", "hear"]),
        st.floats(0.0, 90.0),
        st.floats(0.0, 20.0),
        st.integers(0, 4),
    ),
    max_size=25,
)


def live(history: list[tuple[str, str, float, float, int]]) -> tuple[State, float]:
    """A state after that history, and the time."""
    state, peer, now = State(1), State(0), 1000.0
    for name, what, wait_s, took_s, number in history:
        now += wait_s
        if what == "hear":
            learn(peer, Sent(name, 10), now)
            learn(peer, Failed(name, ERRORS[number], took_s), now + took_s)
            learn(state, msgspec.convert(export_shared(peer, now), Shared), now)
            continue
        learn(state, Sent(name, 10 * number, number == 1), now)
        if what == "send":
            continue
        now += took_s
        if what == "answer":
            learn(state, FirstToken(name, took_s / 2, 10 * number, number, number == 1), now)
            learn(state, Completed(name, took_s / 2, took_s, 30 * number, 10 * number, number, number == 1), now)
        elif what == "whole":
            cache = (number, 10 * number, tuple(range(1, number)))
            learn(state, Completed(name, None, took_s, 30 * number, 10 * number, number, number == 1, *cache), now)
        elif what == "abandon":
            learn(state, Abandoned(name, took_s, None, 10 * number, number, number == 1), now)
        else:
            learn(state, Failed(name, ERRORS[number], took_s, None, None, 10, number, number == 1), now)
    return state, now


FACTS = (
    Target(
        "a",
        "p",
        "a",
        ("openai.chat",),
        "http://p",
        price=TokenPrice("v", "s", "d", (PriceTier(0, 150_000, 600_000, 75_000),)),
        capabilities=Capabilities(family="a", lacks=frozenset({"vision"}), max_output_tokens=300),
    ),
    Target(
        "b",
        "p",
        "b",
        ("openai.chat",),
        "http://p",
        price=TokenPrice("v", "s", "d", (PriceTier(0, 100_000, 800_000),)),
        capabilities=Capabilities(family="b", lacks=frozenset({"tools", "vision"}), context_tokens=600),
    ),
)
requests = st.builds(
    RouteRequest,
    st.just(700),
    st.sampled_from([None, 200, 400]),
    st.booleans(),
    st.sampled_from([0, feature_mask("tools"), feature_mask("vision"), feature_mask("tools", "audio")]),
    st.sampled_from([0, 650]),
    prefixes=st.sampled_from([(), (1,), (1, 2), (1, 5)]),
)
slos = st.sampled_from([Slo(), Slo(ttft=((0.95, 1.0),)), Slo(tpot=((0.5, 0.01),), e2e=((0.9, 4.0),))])


@given(steps, st.floats(0.0, 200.0), st.floats(0.0, 0.999), st.sampled_from(sorted(STRATEGIES)), requests, slos)
def test_order_writes_nothing_and_names_every_target_once(history, later_s, u, strategy, request, slo):
    state, now = live(history)
    before = deepcopy(state)
    policy = build_policy(ModelPolicy("m", strategy, NAMES, slo=slo), FACTS)

    choices = order(request, policy, state, now + later_s, u)

    assert state == before
    assert order(request, policy, state, now + later_s, u) == choices
    assert sorted(choice.target for choice in choices) == sorted(NAMES)
    admitted = [choice.admitted for choice in choices]
    assert admitted == sorted(admitted, reverse=True), "rejected ones come last"
    unfit = [choice.unfit for choice in choices]
    assert unfit == sorted(unfit), "and those that never can at the end"
    for choice in choices:
        assert choice.reason
        if choice.unfit:
            assert not choice.admitted and choice.score == inf and choice.retry_at == 0.0 and not choice.probe
            continue
        assert isfinite(choice.predicted_ttft_s) and choice.predicted_ttft_s > 0.0
        assert choice.predicted_total_s >= choice.predicted_ttft_s
        if choice.admitted:
            assert isfinite(choice.score) and choice.retry_at == 0.0
        else:
            assert choice.score == inf and choice.retry_at > now + later_s and not choice.probe
    waits = [choice.retry_at for choice in choices if not choice.admitted and not choice.unfit]
    assert waits == sorted(waits)
    assert sum(choice.patience_s is not None for choice in choices) <= 1
    assert len(explain(appraise(choices, request, policy, state, now + later_s))) == len(NAMES)
    assert state == before


@given(steps)
def test_counts_never_drift(history):
    state, _ = live(history)
    sends = {name: sum(step[0] == name and step[1] == "send" for step in history) for name in NAMES}
    for name, target in state.targets.items():
        assert target.in_flight == target.waiting == sends[name]
        assert target.waiting or target.waiting_since == 0.0
    assert state.probing == sum(step[1] == "send" and step[4] == 1 for step in history)
    assert state.probed_s <= state.spent_s


def test_the_faster_goes_first_and_says_so(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.9, "b": 0.3})
    first, second = w.order()
    assert (first.target, first.reason) == ("b", "fastest")
    assert (second.target, second.reason) == ("a", "next fastest")
    assert first.score < second.score


def test_predictions_come_close_to_what_was_seen(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.9}, 40)
    for name, ttft_s in (("a", 0.3), ("b", 0.9)):
        seen = w.choice(name)
        assert seen.predicted_ttft_s == pytest.approx(ttft_s, rel=0.1)
        assert seen.predicted_total_s == pytest.approx(ttft_s + 1.0, rel=0.1)


def test_a_short_answer_goes_to_the_quick_starter_and_a_long_one_to_the_quick_writer(world: Callable) -> None:
    w = world("starter", "writer")
    for _ in range(20):
        w.answer("starter", 0.2, 0.2 + 100 * 0.03)
        w.answer("writer", 0.8, 0.8 + 100 * 0.01)
    assert w.first(max_output_tokens=8).target == "starter"
    assert w.first(max_output_tokens=2000).target == "writer"


def test_a_long_prompt_avoids_the_slow_reader(world: Callable) -> None:
    w = world("reader", "other")
    for tokens in (50, 12_000, 200, 6_000, 1_000, 20_000) * 12:
        w.answer("reader", 0.2 + tokens * 1e-3, 1.2 + tokens * 1e-3, input_tokens=tokens)
        w.answer("other", 1.0, 2.0, input_tokens=tokens)
    assert w.first(input_tokens=50).target == "reader"
    assert w.first(input_tokens=20_000).target == "other"


def test_a_burst_spreads_over_equal_targets(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.3, "b": 0.3}, 40)
    for _ in range(40):
        w.send(w.first().target)
    assert min(w.target("a").in_flight, w.target("b").in_flight) >= 12


def test_failures_cost_a_target_its_place(world: Callable) -> None:
    w = world("a", "b")
    w.warm({"a": 0.30, "b": 0.34}, 20)
    w.without_probes()
    assert w.first().target == "a"
    for _ in range(5):
        w.fail("a")
        w.answer("a", 0.30, 1.30)
    assert w.choice("a").circuit == "closed"
    assert w.first().target == "b"
    assert w.choice("a").score > w.choice("a").predicted_total_s


def test_nothing_known_keeps_the_configured_order(world: Callable) -> None:
    assert [choice.target for choice in world("b", "a", "c").order()] == ["b", "a", "c"]


def test_ordered_keeps_the_order_whatever_the_speeds(world: Callable) -> None:
    w = world("slow", "fast", strategy="ordered")
    w.warm({"slow": 5.0, "fast": 0.1}, 20)
    assert [choice.target for choice in w.order()] == ["slow", "fast"]
    assert w.first().reason == "as configured"


def test_ordered_steps_past_what_is_broken_and_comes_back(world: Callable) -> None:
    w = world("main", "spare", strategy="ordered")
    w.warm({"main": 0.3, "spare": 0.3})
    w.break_down("main")
    assert [(c.target, c.admitted) for c in w.order()] == [("spare", True), ("main", False)]
    w.now = w.target("main").breaker.until
    trial = w.first()
    assert (trial.target, trial.circuit, trial.probe) == ("main", "open", True)
    w.answer("main", probe=True)
    assert w.first().target == "main"


def test_ordered_steps_past_what_rests(world: Callable) -> None:
    w = world("main", "spare", strategy="ordered")
    w.warm({"main": 0.3, "spare": 0.3})
    w.fail("main", RateLimited, retry_after_s=5.0)
    assert w.first().target == "spare"
    w.now += 5.1
    assert w.first().target == "main"


def test_a_strategy_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        order(RouteRequest(1), build_policy(ModelPolicy("m", "hopeful", ("a",)), ()), State(), 0.0, 0.5)


def test_explain_gives_a_row_for_each_target_in_order(world: Callable) -> None:
    w = world("a", "b", "c")
    w.warm({"a": 0.3, "b": 0.6, "c": 0.9})
    w.break_down("a")
    choices = w.without_probes().order()
    rows = explain(choices)
    assert [(row.place, row.target) for row in rows] == [(1, "b"), (2, "c"), (0, "a")]
    assert rows[0].ttft_s == pytest.approx(choices[0].predicted_ttft_s, abs=1e-4)
    assert rows[0].total_s == pytest.approx(choices[0].predicted_total_s, abs=1e-4)
    assert rows[0].reason == "fastest"
    assert rows[2].circuit == "open" and rows[2].reason.startswith("circuit open")
    assert msgspec.json.decode(msgspec.json.encode(rows))[1]["target"] == "c"
