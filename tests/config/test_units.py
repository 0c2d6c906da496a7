"""Durations, sizes, amounts and prices: exact, with a unit, never through a float where money is meant."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.config.units import (
    duration_text,
    parse_duration,
    parse_money,
    parse_size,
    parse_token_price,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("1s", 1.0), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("1 d", 86400.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["30", "s", "-1s", "1e3s", "1 s ", "1µs", "٣s", "1s2m", "", "0x1s", "1_0s", "inf s"])
def test_a_duration_needs_a_plain_number_and_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "size"), [("10MiB", 10485760), ("64 KiB", 65536), ("1MB", 10**6), ("0.5KiB", 512)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["10", "10mb", "0.3B", "1TiB", "-1KiB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "nanos"), [("0.05 USD", 50_000_000), ("$2", 2 * 10**9), ("0.000000001USD", 1)])
def test_amounts_are_nano_dollars(text: str, nanos: int) -> None:
    assert parse_money(text) == nanos


@pytest.mark.parametrize("text", ["0.05", "0.05 EUR", "500 USD/month", "0.0000000001 USD", "$-1", "$ 1", "1e-3 USD"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_money(text)


@pytest.mark.parametrize(
    ("text", "picos"),
    [("0.15 USD/1M", 150_000), ("$0.6/1M", 600_000), ("0.0006 USD/1K", 600_000), ("0.000001 USD/token", 1_000_000)],
)
def test_prices_are_pico_dollars_for_one_token(text: str, picos: int) -> None:
    assert parse_token_price(text) == picos


@pytest.mark.parametrize("text", ["0.15", "0.15 USD", "0.15 USD/1B", "0.0000001 USD/1M"])
def test_prices_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        parse_token_price(text)


@given(st.integers(0, 10**9), st.sampled_from([0, 1, 2, 3, 6, 9]))
def test_amounts_are_exact(units: int, decimals: int) -> None:
    whole, rest = divmod(units, 10**decimals)
    text = f"{whole}.{rest:0{decimals}d} USD" if decimals else f"{whole} USD"
    assert Fraction(parse_money(text), 10**9) == Fraction(units, 10**decimals)


@given(st.integers(1, 86_400_000))
def test_durations_are_written_as_they_are_read(millis: int) -> None:
    assert parse_duration(duration_text(millis / 1000)) == millis / 1000


@given(st.integers(0, 2**40))
def test_sizes_are_written_as_they_are_read(size: int) -> None:
    assert parse_size(size_text(size)) == size
