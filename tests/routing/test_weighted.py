"""``weighted``: shares are the weights, also among those that are left, and broken targets step back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

import pytest

from trimaran.errors import RateLimited

CRITICAL = {1: 10.83, 2: 13.82, 3: 16.27}
"""Chi-square that chance alone passes once in a thousand times, by degrees of freedom (NIST/SEMATECH e-handbook, 1.3.6.7.4)."""
DRAWS = 6000


def chi_square(seen: Counter[str], weights: dict[str, float]) -> float:
    count, total = sum(seen.values()), sum(weights.values())
    return sum((seen[name] - count * w / total) ** 2 / (count * w / total) for name, w in weights.items())


def draws(world: object, place: int = 0) -> Iterable[list[str]]:
    random = Random(11)
    for _ in range(DRAWS):
        yield [choice.target for choice in world.order(u=random.random())]  # type: ignore[attr-defined]


@pytest.mark.parametrize("weights", [(3.0, 1.0), (1.0, 1.0, 1.0), (0.5, 8.0, 2.5, 1.0)])
def test_shares_are_the_weights(world: Callable, weights: tuple[float, ...]) -> None:
    names = "abcd"[: len(weights)]
    w = world(*names, strategy="weighted", weights=weights)
    seen = Counter(order[0] for order in draws(w))
    assert chi_square(seen, dict(zip(names, weights, strict=True))) < CRITICAL[len(weights) - 1]


def test_the_rest_fails_over_in_proportion(world: Callable) -> None:
    w = world("a", "b", "c", "d", strategy="weighted", weights=(5.0, 3.0, 2.0, 1.0))
    orders = list(draws(w))
    second = Counter(order[1] for order in orders if order[0] == "a")
    assert chi_square(second, {"b": 3.0, "c": 2.0, "d": 1.0}) < CRITICAL[2]
    third = Counter(order[2] for order in orders if order[:2] == ["a", "b"])
    assert chi_square(third, {"c": 2.0, "d": 1.0}) < CRITICAL[1]


def test_a_broken_target_leaves_its_share_to_the_others_in_proportion(world: Callable) -> None:
    w = world("a", "b", "c", strategy="weighted", weights=(5.0, 3.0, 1.0))
    w.warm({"a": 0.3, "b": 0.3, "c": 0.3})
    w.fail("a", RateLimited, retry_after_s=30.0)
    orders = list(draws(w))
    assert {order[-1] for order in orders} == {"a"}
    assert chi_square(Counter(order[0] for order in orders), {"b": 3.0, "c": 1.0}) < CRITICAL[1]


def test_a_weight_of_nothing_is_for_when_nobody_else_can(world: Callable) -> None:
    w = world("spare", "a", "b", strategy="weighted", weights=(0.0, 1.0, 1.0))
    w.warm({"spare": 0.1, "a": 0.3, "b": 0.3})
    assert {order[2] for order in draws(w)} == {"spare"}
    for name in ("a", "b"):
        w.fail(name, RateLimited, retry_after_s=30.0)
    first = w.first()
    assert (first.target, first.reason) == ("spare", "weight 0: only where no other can answer")


def test_several_without_weight_keep_their_order(world: Callable) -> None:
    w = world("s1", "s2", "a", "b", strategy="weighted", weights=(0.0, 0.0, 1.0, 1.0))
    assert {tuple(order[2:]) for order in draws(w)} == {("s1", "s2")}


def test_the_reason_says_the_weight(world: Callable) -> None:
    w = world("a", "b", strategy="weighted", weights=(3.0, 0.5))
    assert w.first(u=0.0).reason == "drawn: weight 3 of 3.5"
    assert w.first(u=0.999).reason == "drawn: weight 0.5 of 3.5"


def test_a_target_never_seen_has_its_share_at_once_and_a_recovered_one_ramps_up(world: Callable) -> None:
    w = world("a", "b", strategy="weighted")
    w.warm({"a": 0.3})
    for _ in range(3):
        w.send("b")
    assert w.first(u=0.9).target == "b"
    w = world("a", "b", strategy="weighted")
    w.warm({"a": 0.3, "b": 0.3})
    w.break_down("b")
    w.now = w.target("b").breaker.until
    trial = w.first(u=0.9)
    assert (trial.target, trial.probe) == ("b", True) and trial.patience_s is not None
    w.answer("b", probe=True)
    for _ in range(4):
        w.send("b")
    assert {order[0] for order in draws(w)} == {"a"}


def test_many_targets_are_drawn_without_a_gap(world: Callable) -> None:
    names = [f"t{i}" for i in range(40)]
    w = world(*names, strategy="weighted")
    for u in (0.0, 0.5, 0.999999, 1.0 - 2**-53):
        assert sorted(choice.target for choice in w.order(u=u)) == sorted(names)
