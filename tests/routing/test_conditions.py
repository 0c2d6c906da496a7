"""What is told about a target from outside: it is not asked, or asked last, and everything learnt stays as it is."""

from __future__ import annotations

import itertools
from math import inf

import pytest

from trimaran.routing import STRATEGIES, Condition, Policy, RouteRequest, State, build_policy, learn, order
from trimaran.routing.conditions import MAX_CONDITIONS
from trimaran.types import ModelPolicy, Target

NAMES = ("a/x", "b/x", "c/x")


def setting(strategy: str = "ordered") -> tuple[Policy, State]:
    targets = [Target(name, name[0], "x", ("openai.chat",), "https://x.example", credential=name[0]) for name in NAMES]
    return build_policy(ModelPolicy("m", strategy, NAMES), targets), State()


def shown(policy: Policy, state: State, u: float = 0.5) -> list[tuple[str, bool, str]]:
    choices = order(RouteRequest(10), policy, state, 1.0, u)
    return [(choice.target, choice.admitted, choice.reason) for choice in choices]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_down_is_not_asked_and_says_why(strategy: str) -> None:
    policy, state = setting(strategy)
    before = shown(policy, state)
    learn(state, Condition("b/x", "down", "its endpoint is being created"), 0.0)
    told = shown(policy, state)
    assert told[-1] == ("b/x", False, "its endpoint is being created")
    assert {name for name, admitted, _ in told if admitted} == {"a/x", "c/x"}
    learn(state, Condition("b/x", "up"), 0.0)
    assert shown(policy, state) == before
    assert not state.conditions


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("u", [0.0, 0.05, 0.5, 0.99])
def test_a_last_resort_stands_behind_all_others_that_may_be_asked(strategy: str, u: float) -> None:
    policy, state = setting(strategy)
    learn(state, Condition("a/x", "last_resort", "scaled to zero"), 0.0)
    learn(state, Condition("c/x", "down", "it failed"), 0.0)
    told = shown(policy, state, u)
    assert [name for name, _, _ in told] == ["b/x", "a/x", "c/x"]
    assert told[1] == ("a/x", True, "scaled to zero")


def test_the_only_target_is_asked_although_it_is_a_last_resort() -> None:
    policy, state = setting()
    for name in NAMES[1:]:
        learn(state, Condition(name, "down", "it failed"), 0.0)
    learn(state, Condition("a/x", "last_resort", "scaled to zero"), 0.0)
    first = order(RouteRequest(10), policy, state, 1.0, 0.5)[0]
    assert first.target == "a/x"
    assert first.admitted


def test_an_account_that_is_down_takes_all_of_its_targets_with_it() -> None:
    policy, state = setting()
    learn(state, Condition("credential:a", "down", "the credential has expired"), 0.0)
    assert ("a/x", False, "the credential has expired") in shown(policy, state)


def test_the_worse_of_two_conditions_counts() -> None:
    for pair in itertools.permutations(("a/x", "credential:a")):
        policy, state = setting()
        learn(state, Condition(pair[0], "last_resort", "slow"), 0.0)
        learn(state, Condition(pair[1], "down", "gone"), 0.0)
        assert ("a/x", False, "gone") in shown(policy, state)


def test_when_all_are_down_each_is_in_the_answer_and_none_is_waited_for() -> None:
    policy, state = setting()
    for name in NAMES:
        learn(state, Condition(name, "down", f"{name} is gone"), 0.0)
    choices = order(RouteRequest(10), policy, state, 1.0, 0.5)
    assert [choice.reason for choice in choices] == [f"{name} is gone" for name in NAMES]
    assert all(not choice.admitted and not choice.retry_at and choice.score == inf for choice in choices)
    # No 429: nothing here rests for a while and comes back by itself.
    assert all(choice.circuit == "down" for choice in choices)


def test_conditions_are_bounded_and_their_levels_known() -> None:
    _, state = setting()
    for number in range(MAX_CONDITIONS + 10):
        learn(state, Condition(f"t{number}", "down"), 0.0)
    assert len(state.conditions) == MAX_CONDITIONS
    with pytest.raises(ValueError, match="last_resort"):
        learn(state, Condition("a/x", "asleep"), 0.0)
