"""Prices that are stated: versions with the days from which they hold, tiers, fees, and when to read them again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trimaran.catalog import next_price_change, token_price
from trimaran.config import Config, load_text
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.prices import next_change_ns
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.types import PriceTier, TokenPrice

KEYS = {"OPENAI_API_KEY": "sk-" + "k" * 20, "HOME": "/nowhere"}
VERSIONS = """
providers:
  openai:
    prices:
      gpt-4o-mini:
        - {from: 2027-03-01, input: 3 USD/1M, output: 6 USD/1M}
        - {from: 2027-01-01, input: 2 USD/1M, output: 4 USD/1M, source: contract 7}
"""


def config(text: str) -> Config:
    return load_text(text, "t.yaml", KEYS)


def price(text: str, day: str, model: str = "openai/gpt-4o-mini") -> TokenPrice | None:
    snapshot = build_snapshot(config(text), KEYS, 1, day=day)
    assert snapshot.day == day
    return resolve(snapshot, model)[1][0].price


@pytest.mark.parametrize(
    ("day", "picos"),
    [("2026-12-31", 150_000), ("2027-01-01", 2_000_000), ("2027-02-28", 2_000_000), ("2027-03-01", 3_000_000)],
)
def test_the_version_that_has_begun_last_holds_and_the_catalogue_until_then(day: str, picos: int) -> None:
    found = price(VERSIONS, day)
    assert found is not None
    *head, later, sooner = VERSIONS.splitlines()
    other = price("\n".join([*head, sooner, later]), day)
    assert other is not None
    assert other.tiers == found.tiers
    assert found.tiers[0].input == picos
    if day == "2027-01-01":
        assert (found.valid_from, found.as_of, found.source) == ("2027-01-01", "2027-01-01", "contract 7 (t.yaml:5)")


def test_each_version_has_a_version_of_its_own() -> None:
    same = VERSIONS.replace("3 USD", "2 USD").replace("6 USD", "4 USD")
    versions = {found.version for day in ("2027-01-01", "2027-03-01") if (found := price(same, day)) is not None}
    assert len(versions) == 2


def test_a_single_version_needs_no_list_and_no_day() -> None:
    one = "providers: {openai: {prices: {gpt-4o-mini: {input: 2 USD/1M, output: 4 USD/1M}}}}"
    found = price(one, "2020-01-01")
    assert found is not None
    assert (found.tiers, found.valid_from, found.services) == ((PriceTier(0, 2_000_000, 4_000_000),), "", {})


def test_tiers_and_fees_are_stated() -> None:
    text = """
providers:
  openai:
    prices:
      gpt-4o-mini:
        input: 2 USD/1M
        output: 4 USD/1M
        flex: {input: 1 USD/1M, output: 2 USD/1M, cached_read: 0.1 USD/1M}
        fast: {input: 9 USD/1M, output: 9 USD/1M}
        web_search: 10 USD/1K
        file_search: 0.0025 USD/call
"""
    found = price(text, "2027-01-01")
    assert found is not None
    assert found.services == {
        "flex": (PriceTier(0, 1_000_000, 2_000_000, 100_000),),
        "fast": (PriceTier(0, 9_000_000, 9_000_000),),
    }
    assert (found.web_search, found.file_search) == (10_000_000_000, 2_500_000_000)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[{input: 1 USD/1M, output: 1 USD/1M}, {input: 2 USD/1M, output: 1 USD/1M}]", "the same day as another"),
        ("{from: 2027-02-30, input: 1 USD/1M, output: 1 USD/1M}", "a date such as 2026-01-31"),
        ("{input: 1 USD/1M, output: 1 USD/1M, web_search: 10 USD}", "a price in USD for a thousand calls"),
        ("{input: 1 USD/1M, output: 1 USD/1M, web_search: 11 USD/call}", "at most 10 USD for one call"),
        ("{input: 1 USD/1M, output: 1 USD/1M, flex: {input: 1 USD/1M}}", "flex.output is missing"),
        ("[]", "an empty list"),
    ],
)
def test_what_cannot_be_meant_is_refused(written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(f"providers: {{openai: {{prices: {{m: {written}}}}}}}")


def test_the_catalogue_is_asked_for_the_prices_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str | None]] = []

    def recorded(provider: str, model: str, on: str | None = None) -> TokenPrice | None:
        asked.append((provider, model, on))
        return token_price(provider, model, on)

    monkeypatch.setattr("trimaran.providers.kind.token_price", recorded)
    configured = "models: {chat: {targets: [openai/gpt-5]}}\nproviders: {openai: {capabilities: {gpt-4o: {}}}}"
    assert price(configured, "2026-12-31", "chat") is not None
    # Behind a wildcard a worker asks, long after the snapshot was built.
    assert price("{}", "2027-01-01", "openai/gpt-4o") is not None
    assert {(model, day) for _, model, day in asked} == {
        ("gpt-5", "2026-12-31"),
        ("gpt-4o", "2026-12-31"),
        ("gpt-4o-mini", "2027-01-01"),
        ("gpt-4o", "2027-01-01"),
    }


def midnight_ns(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


def test_the_next_change_is_the_nearest_of_all() -> None:
    announced = next_price_change("2026-11-24")
    assert announced is not None
    assert next_change_ns(config("{}"), "2026-11-24") == midnight_ns(announced)
    sooner = VERSIONS.replace("2027-03-01", "2026-11-25")
    assert next_change_ns(config(sooner), "2026-11-24") == midnight_ns("2026-11-25")
    assert next_change_ns(config(VERSIONS), "2027-01-01") == midnight_ns("2027-03-01")
    assert next_change_ns(config(VERSIONS), "2027-03-01") is None
