"""``cheapest``: by what this very request is predicted to cost, caches included."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimaran.catalog import cost_nanos
from trimaran.errors import RateLimited, ServerFault
from trimaran.routing import prefix_hashes
from trimaran.routing.prefixes import CACHE_TTL_S
from trimaran.types import Capabilities, PriceTier, Slo, TokenPrice, Usage

TURN = bytes(range(256)) * 256
"""64 KiB of a conversation: 16,384 tokens."""


def test_the_cheapest_for_this_request_goes_first_and_says_so(world: Callable, usd: Callable) -> None:
    w = world("reads", "writes", strategy="cheapest", prices={"reads": usd(0.1, 4.0), "writes": usd(1.0, 1.0)})
    w.warm({"reads": 0.3, "writes": 0.3})
    first, second = w.order(input_tokens=10_000, max_output_tokens=50)
    assert (first.target, first.reason, second.reason) == ("reads", "cheapest", "next cheapest")
    assert first.predicted_cost_nanos == cost_nanos(usd(0.1, 4.0), Usage(10_000, 50))
    assert w.first(input_tokens=100, max_output_tokens=1000).target == "writes"


def test_speed_does_not_matter_where_costs_differ_and_decides_where_they_are_equal(
    world: Callable, usd: Callable
) -> None:
    w = world("slow", "fast", "dear", strategy="cheapest", prices=dict.fromkeys(["slow", "fast"], usd(1, 2)))
    w.warm({"slow": 2.0, "fast": 0.2, "dear": 0.1})
    # What each of the two wrote so far is chance: they are one model in two places.
    w.answer("fast", tokens=400)
    assert [choice.target for choice in w.order()] == ["fast", "slow", "dear"]
    w = world("slow", "fast", strategy="cheapest", prices={"slow": usd(1, 2), "fast": usd(1, 2.1)})
    w.warm({"slow": 2.0, "fast": 0.2})
    assert w.first().target == "slow"


def test_an_unknown_price_comes_after_every_known_one(world: Callable, usd: Callable) -> None:
    w = world("own", "dear", strategy="cheapest", prices={"dear": usd(100, 500)})
    w.warm({"own": 0.1, "dear": 3.0})
    first, last = w.order()
    assert (first.target, last.target, last.reason) == ("dear", "own", "price unknown: after every known one")
    assert (last.admitted, last.predicted_cost_nanos) == (True, None)
    w.fail("dear", RateLimited, retry_after_s=9.0)
    assert w.first().target == "own"


def test_the_output_is_learnt_for_each_target_and_bounded_by_the_client(world: Callable, usd: Callable) -> None:
    w = world("terse", "wordy", strategy="cheapest", prices={"terse": usd(0, 1.2), "wordy": usd(0, 1.0)})
    for _ in range(30):
        w.answer("terse", tokens=100)
        w.answer("wordy", tokens=300)
    assert w.first().target == "terse"
    assert w.choice("wordy").predicted_cost_nanos == pytest.approx(300_000, rel=0.01)
    assert w.first(max_output_tokens=80).target == "wordy"


def test_the_tier_is_that_of_the_whole_prompt_and_a_request_has_its_price(world: Callable, usd: Callable) -> None:
    tiered = TokenPrice("v", "s", "d", (PriceTier(0, 1_000_000, 0), PriceTier(200_000, 3_000_000, 0)))
    w = world("tiered", "flat", strategy="cheapest", prices={"tiered": tiered, "flat": usd(2.0, 0.0)})
    assert w.first(input_tokens=200_000).target == "tiered"
    assert w.first(input_tokens=200_001).target == "flat"
    w = world("a", "b", strategy="cheapest", prices={"a": usd(1, 1, request=2_000_000_000), "b": usd(2, 2)})
    assert [w.first(input_tokens=n, max_output_tokens=1).target for n in (100, 5000)] == ["b", "a"]


def test_failures_cost_what_the_request_costs_elsewhere(world: Callable, usd: Callable) -> None:
    w = world("flaky", "steady", strategy="cheapest", prices={"flaky": usd(0.9, 0.9), "steady": usd(1, 1)})
    w.warm({"flaky": 0.3, "steady": 0.3})
    assert w.first().target == "flaky"
    for _ in range(4):
        w.fail("flaky")
        w.answer("flaky")
    assert w.choice("flaky").circuit == "closed"
    assert w.first().target == "steady"
    assert w.choice("flaky").predicted_cost_nanos < w.choice("steady").predicted_cost_nanos
    w.now += 3600.0
    assert w.first().target == "flaky", "old failures are forgotten"


def test_a_broken_target_steps_back_and_its_trial_goes_first_where_it_is_the_cheapest(
    world: Callable, usd: Callable
) -> None:
    for names, first in ((("cheap", "dear"), "cheap"), (("dear", "cheap"), "cheap")):
        w = world(*names, strategy="cheapest", prices={"cheap": usd(1, 1), "dear": usd(2, 2)})
        w.warm({"cheap": 0.3, "dear": 0.3})
        w.break_down(names[0], ServerFault)
        assert w.first().target == names[1]
        w.now = w.target(names[0]).breaker.until
        trial = w.first()
        assert (trial.target, trial.probe) == (first, names[0] == "cheap")
        if names[0] == "dear":
            assert [(c.target, c.admitted) for c in w.order()] == [("cheap", True), ("dear", True)]


def test_a_target_never_seen_is_used_for_its_price_at_once(world: Callable, usd: Callable) -> None:
    w = world("dear", "cheap", strategy="cheapest", prices={"dear": usd(2, 2), "cheap": usd(1, 1)})
    w.warm({"dear": 0.3})
    for _ in range(5):
        assert w.first().target == "cheap"
        w.send("cheap")


# Caches

CACHED = {"home": (1.0, 1.0, 0.1), "cheap": (0.7, 1.0, None)}


def conversation(world: Callable, usd: Callable, **more: object) -> object:
    """The first turn was answered at ``home``, because ``cheap`` rested."""
    w = world("home", "cheap", strategy="cheapest", prices={n: usd(*p) for n, p in CACHED.items()}, **more)
    w.warm({"home": 0.3, "cheap": 0.3})
    assert w.policy.wants_prefixes
    w.fail("cheap", RateLimited, retry_after_s=5.0)
    turn = prefix_hashes(TURN)
    first = w.first(input_tokens=16_384, prefixes=turn)
    assert (first.target, first.predicted_cached_tokens) == ("home", 0)
    w.answer("home", prefixes=turn, cached_read_tokens=0, predicted_cached_tokens=0)
    w.now += 6.0
    return w


def second(w: object, body: bytes = TURN + b"and then" * 500) -> object:
    return w.first(input_tokens=len(body) // 4, prefixes=prefix_hashes(body))  # type: ignore[attr-defined]


def test_the_second_turn_goes_where_its_beginning_is_cached(world: Callable, usd: Callable) -> None:
    w = conversation(world, usd)
    choice = second(w)
    assert (choice.target, choice.reason) == ("home", "cheapest")
    assert choice.predicted_cached_tokens == 16_384
    assert second(w, bytes(TURN[::-1]) + b"x" * 4000).target == "cheap", "another conversation has nothing there"


def test_a_cache_is_worth_what_was_reported_of_it(world: Callable, usd: Callable) -> None:
    w = conversation(world, usd)
    before = second(w).predicted_cost_nanos
    w.answer("home", prefixes=prefix_hashes(TURN), cached_read_tokens=16_000, predicted_cached_tokens=16_384)
    assert second(w).target == "home" and second(w).predicted_cost_nanos < before
    w = conversation(world, usd)
    w.answer("home", prefixes=prefix_hashes(TURN), cached_read_tokens=0, predicted_cached_tokens=16_384)
    assert second(w).target == "cheap", "the client does not mark its prompts, say"


def test_a_cache_forgets(world: Callable, usd: Callable) -> None:
    w = conversation(world, usd)
    w.now += CACHE_TTL_S
    assert second(w).target == "cheap"


def test_a_prefix_shorter_than_the_cache_keeps_is_not_counted(world: Callable, usd: Callable) -> None:
    long = Capabilities(family="f", cache_min_tokens=20_000)
    assert second(conversation(world, usd, capabilities={"home": long})).target == "cheap"
    short = Capabilities(family="f", cache_min_tokens=16_384)
    assert second(conversation(world, usd, capabilities={"home": short})).target == "home"


def test_the_cached_part_is_never_more_than_the_prompt(world: Callable, usd: Callable) -> None:
    w = conversation(world, usd)
    for _ in range(30):
        w.answer("home", prefixes=prefix_hashes(TURN), cached_read_tokens=90_000, predicted_cached_tokens=16_384)
    price = usd(*CACHED["home"])
    choice = w.first(input_tokens=16_384, max_output_tokens=1, prefixes=prefix_hashes(TURN))
    assert choice.predicted_cost_nanos == cost_nanos(price, Usage(16_384, 1, 16_384))


@pytest.mark.parametrize(
    ("strategy", "prices", "wanted"),
    [
        ("cheapest", {"a": (1, 1, 0.1)}, True),
        ("cheapest", {"a": (1, 1), "b": (1, 1)}, False),
        ("fastest", {"a": (1, 1, 0.1), "b": (1, 1, 0.1)}, False),
    ],
)
def test_prefixes_are_only_wanted_where_a_cache_has_its_price(
    world: Callable, usd: Callable, strategy: str, prices: dict[str, tuple[float, ...]], wanted: bool
) -> None:
    w = world("a", "b", strategy=strategy, prices={name: usd(*p) for name, p in prices.items()}, slo=Slo())
    assert w.policy.wants_prefixes is wanted
