"""The lines of a cost are the cost: they add up to what the catalogue's arithmetic says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import cost_nanos
from trimaran.ledger.charges import charges
from trimaran.types import PriceTier, TokenPrice, Usage

picos = st.integers(0, 10**8)
maybe = st.one_of(st.none(), picos)
tiers = st.builds(PriceTier, st.just(0), picos, picos, maybe, maybe, maybe, maybe, maybe, maybe)
steps = st.tuples(tiers, st.builds(PriceTier, st.just(500), picos, picos, maybe, maybe, maybe, maybe, maybe, maybe))
prices = st.builds(
    lambda standard, flex, request, web, files: TokenPrice(
        "v", "s", "2026-01-01", standard, request, {"flex": flex}, web, files
    ),
    steps,
    steps,
    picos,
    maybe,
    maybe,
)
counts = st.integers(0, 1_000)
usages = st.builds(Usage, *[counts] * 8, st.integers(0, 3), st.integers(0, 3))


@given(prices, usages, st.sampled_from(["", "standard", "flex", "priority"]))
def test_lines_add_up_to_the_cost(price: TokenPrice, usage: Usage, service_tier: str) -> None:
    lines = charges(price, usage, service_tier)
    cost = cost_nanos(price, usage, service_tier)
    assert all(line.quantity > 0 for line in lines)
    if cost is not None:
        assert -(-sum(line.amount_picos for line in lines) // 1000) == cost


def test_each_kind_has_its_line() -> None:
    price = TokenPrice(
        "v", "s", "2026-01-01", (PriceTier(0, 10, 20, 1, 12, 14, 30, 40, 50),), 5, web_search=60, file_search=70
    )
    usage = Usage(1_000, 100, 200, 50, 20, 10, 300, 30, 2, 3)
    assert [(line.kind, line.quantity, line.picos) for line in charges(price, usage)] == [
        ("input", 450, 10),
        ("cached_input", 200, 1),
        ("cache_write", 30, 12),
        ("cache_write_1h", 20, 14),
        ("audio_input", 300, 40),
        ("output", 60, 20),
        ("reasoning", 10, 30),
        ("audio_output", 30, 50),
        ("web_search", 2, 60),
        ("file_search", 3, 70),
        ("request", 1, 5),
    ]


def test_without_a_price_of_its_own_a_kind_is_charged_as_its_whole() -> None:
    price = TokenPrice("v", "s", "2026-01-01", (PriceTier(0, 10, 20),))
    lines = charges(price, Usage(100, 50, 30, 0, 0, 20, 10, 5))
    assert [(line.kind, line.quantity, line.picos) for line in lines] == [
        ("input", 70, 10),
        ("cached_input", 30, 10),
        ("output", 50, 20),
    ]


def test_a_tier_without_a_price_has_no_lines() -> None:
    price = TokenPrice("v", "s", "2026-01-01", (PriceTier(0, 10, 20),))
    assert charges(price, Usage(1, 1), "priority") == []
