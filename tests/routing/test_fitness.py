"""The filter: a target that is known not to be able to answer is rejected for this request, whatever its circuit says."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from trimaran.routing import RouteRequest, build_policy
from trimaran.routing.policy import NO_LIMIT
from trimaran.types import FEATURES, Capabilities, ModelPolicy, Target, feature_mask

PLAIN = Capabilities(family="plain", lacks=frozenset({"vision", "tools"}), context_tokens=8192, max_output_tokens=4096)
LARGE = Capabilities(family="large", has=frozenset(FEATURES), context_tokens=128_000, max_output_tokens=16_384)


@pytest.fixture
def mixed(world: Callable) -> Callable:
    return world("plain", "large", "other", capabilities={"plain": PLAIN, "large": LARGE}, strategy="ordered")


@pytest.mark.parametrize("strategy", ["fastest", "ordered", "cheapest", "weighted"])
def test_what_lacks_a_need_is_rejected_and_says_so(world: Callable, strategy: str) -> None:
    w = world("plain", "large", capabilities={"plain": PLAIN, "large": LARGE}, strategy=strategy)
    first, last = w.order(needs=feature_mask("vision", "json_schema"))
    assert (first.target, first.admitted, first.unfit) == ("large", True, False)
    assert (last.target, last.admitted, last.unfit, last.score, last.retry_at) == ("plain", False, True, inf, 0.0)
    assert last.reason == "lacks images as input"


def test_the_reason_names_everything_it_lacks(mixed: Callable) -> None:
    last = mixed.order(needs=feature_mask("vision", "tools"), certain_input_tokens=9000, max_output_tokens=16_000)[-1]
    assert last.reason == (
        "lacks tool calls and images as input; context 8192 tokens, at least 9000 sent; "
        "longest answer 4096 tokens, 16000 asked for"
    )


@pytest.mark.parametrize(
    ("request_", "fit"),
    [
        ({"certain_input_tokens": 8192}, ["plain", "large", "other"]),
        ({"certain_input_tokens": 8193}, ["large", "other"]),
        ({"certain_input_tokens": 128_001}, ["other"]),
        ({"input_tokens": 500_000}, ["plain", "large", "other"]),
        ({"max_output_tokens": 4096}, ["plain", "large", "other"]),
        ({"max_output_tokens": 4097}, ["large", "other"]),
        ({"max_output_tokens": 16_384}, ["large", "other"]),
        ({"max_output_tokens": 8000, "answers": 2}, ["plain", "large", "other"]),
        ({"max_output_tokens": 1_000_000}, ["other"]),
        ({"needs": feature_mask("logprobs")}, ["plain", "large", "other"]),
    ],
    ids=str,
)
def test_limits_are_met_exactly_and_what_is_unknown_refuses_nothing(
    mixed: Callable, request_: dict[str, int], fit: list[str]
) -> None:
    assert [choice.target for choice in mixed.order(**request_) if choice.admitted] == fit


def test_unfit_targets_are_left_out_of_what_is_done_with_the_others(mixed: Callable) -> None:
    """The lone fit target is the lone target: it gets its trial, as if nobody else were there."""
    mixed.policy = build_policy(
        ModelPolicy("m", "fastest", ("plain", "large")),
        [Target(n, "p", n, ("d",), "", capabilities=c) for n, c in (("plain", PLAIN), ("large", LARGE))],
    )
    mixed.warm({"plain": 0.3, "large": 0.3})
    mixed.break_down("large")
    mixed.now = mixed.target("large").breaker.until
    mixed.fail("large")
    needs = feature_mask("tools")
    wait = mixed.order(needs=needs)[0]
    assert (wait.target, wait.admitted) == ("large", False) and "no other target to go to" in wait.reason
    mixed.now = wait.retry_at
    assert mixed.first(needs=needs).admitted


def test_the_circuit_of_an_unfit_target_is_shown_and_not_asked(mixed: Callable) -> None:
    mixed.warm({"plain": 0.3})
    mixed.break_down("plain")
    mixed.now = mixed.target("plain").breaker.until + 1.0
    last = mixed.order(needs=feature_mask("tools"))[-1]
    assert (last.target, last.unfit, last.circuit, last.patience_s) == ("plain", True, "open", None)
    assert mixed.first().target == "plain", "its trial is due for requests that it can answer"


def test_nobody_fit_is_an_answer_too(world: Callable) -> None:
    w = world("a", "b", capabilities={"a": PLAIN, "b": PLAIN})
    choices = w.order(needs=feature_mask("tools"))
    assert [(choice.target, choice.unfit) for choice in choices] == [("a", True), ("b", True)]


def test_a_policy_knows_what_any_of_its_targets_lacks(mixed: Callable) -> None:
    policy = mixed.policy
    assert policy.lacks == feature_mask("vision", "tools")
    assert (policy.shortest_context, policy.shortest_answer) == (8192, 4096)
    nothing = build_policy(ModelPolicy("m", "fastest", ("a",)), ())
    assert (nothing.lacks, nothing.shortest_context, nothing.shortest_answer) == (0, NO_LIMIT, NO_LIMIT)


def test_a_safe_value_to_ask_for_is_not_a_limit() -> None:
    """``Target.max_output_tokens`` is also filled where nothing is known of the model."""
    target = Target("a", "p", "a", ("anthropic.messages",), "", max_output_tokens=4096)
    assert build_policy(ModelPolicy("m", "fastest", ("a",)), [target]).candidates["a"].max_output_tokens is None


def test_every_feature_has_its_bit_and_its_words(world: Callable) -> None:
    for name, words in FEATURES.items():
        # A tool stands in for a schema where there are tools.
        lacks = frozenset({name, "tools"} if name == "json_schema" else {name})
        w = world("a", capabilities={"a": Capabilities(family="f", lacks=lacks)})
        assert w.first(needs=feature_mask(name)).reason == f"lacks {words}"
        assert not w.first(needs=feature_mask(*(other for other in FEATURES if other not in lacks))).unfit
    assert RouteRequest(1).needs == 0
