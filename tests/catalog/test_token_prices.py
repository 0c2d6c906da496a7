"""The table's integrity, what names mean, and prices that the operator states."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import (
    bound_nanos,
    cost_nanos,
    dearest_rates,
    format_usd,
    known_providers_of,
    model_facts,
    next_price_change,
    price_from_usd,
    stated_price,
    token_price,
    tokens_nanos,
)
from trimaran.catalog.token_prices import _Provider, _Row
from trimaran.errors import ConfigError
from trimaran.types import PriceTier, TokenPrice, Usage

FILE: dict[str, Any] = msgspec.json.decode((files("trimaran.catalog") / "token_prices.json").read_bytes())
ROWS = [(provider, row) for provider, table in FILE["providers"].items() for row in table["models"]]


def tables(row: list[Any]) -> list[list[list[int | None]]]:
    """All tier tables of a row, those of announced changes included."""
    later = row[6] if len(row) > 6 else []
    return [table for table in [row[2], *(change[1] for change in later)] if table is not None]


def test_every_row_has_a_source_and_a_date() -> None:
    date.fromisoformat(FILE["as_of"])
    for provider, table in FILE["providers"].items():
        assert table["source"].startswith("http"), provider
    for provider, row in ROWS:
        price = token_price(provider, row[0])
        assert price is None or (price.source and date.fromisoformat(price.as_of) and price.version), row[0]


def test_no_price_is_negative_or_zero_and_tiers_rise_from_zero() -> None:
    for provider, row in ROWS:
        for table in tables(row):
            above = [cells[0] for cells in table]
            assert above == sorted(set(above)), row[0]
            assert above[0] == 0, row[0]
            for cells in table:
                known = [cell for cell in cells[1:] if cell is not None]
                # genai-prices states no price of zero today; a free model would have to be listed here by name.
                assert all(cell > 0 for cell in known), (provider, row[0])


def test_a_row_without_an_output_price_is_no_chat_model() -> None:
    silent = {row[0] for _, row in ROWS for table in tables(row) for cells in table if len(cells) == 2 or not cells[2]}
    assert "text-embedding-3-small" in silent
    assert not [name for name in silent if name.startswith(("gpt-4", "gpt-5", "claude", "gemini-2", "gemini-3"))]


def test_audio_has_its_own_price_and_only_cached_audio_stays_a_caveat() -> None:
    price, facts = token_price("openai", "gpt-realtime"), model_facts("openai", "gpt-realtime")
    assert price is not None
    assert facts is not None
    assert (price.tiers[0].audio_input, price.tiers[0].audio_output) == (32_000_000, 64_000_000)
    assert "cache_audio_read_mtok" in facts.caveats
    assert not [row[0] for _, row in ROWS if len(row) > 5 and {"input_audio_mtok", "output_audio_mtok"} & {*row[5]}]


def test_a_matched_row_without_a_price_is_unknown_and_not_free() -> None:
    assert model_facts("cerebras", "qwen-3-coder-480b") is not None
    assert token_price("cerebras", "qwen-3-coder-480b") is None


@pytest.mark.parametrize(
    ("provider", "name", "row"),
    [
        ("openai", "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"),
        ("openai", "GPT-4o-mini", "openai/gpt-4o-mini"),
        ("anthropic", "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("bedrock", "us.amazon.nova-pro-v1:0", "aws/amazon.nova-pro-v1:0"),
        ("vertex", "gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("azure_openai", "gpt-4o-mini", "openai/gpt-4o-mini"),
    ],
)
def test_names_resolve(provider: str, name: str, row: str) -> None:
    price = token_price(provider, name)
    assert price is not None
    assert price.source.startswith(f"{row}: http")


def test_the_first_row_in_order_wins_whichever_way_it_matches() -> None:
    table = _Provider("https://x", [], [], [_Row(str(n), [], None) for n in range(4)])
    table.exact = {"gpt-exact": 1, "gpt-both": 3}
    table.patterns = [(0, "*zero"), (2, "^gpt-")]
    found = {name: table.find(name) for name in ("gpt-exact", "gpt-both", "gpt-zero", "gpt-x", "other")}
    assert {name: row.id for name, row in found.items() if row} == {
        "gpt-exact": "1",
        "gpt-both": "2",
        "gpt-zero": "0",
        "gpt-x": "2",
    }


@pytest.mark.parametrize("provider", ["my-openai-proxy", "vllm", "", "openai2", "OPENAI "])
def test_a_provider_that_is_not_in_the_table_has_no_price(provider: str) -> None:
    assert token_price(provider, "gpt-4o-mini") is None
    assert model_facts(provider, "gpt-4o-mini") is None


def test_an_endless_name_has_no_price() -> None:
    assert token_price("openai", "gpt-5-nano-" + "x" * 300) is None


def test_known_providers_name_the_home_first() -> None:
    assert known_providers_of("gpt-4o-mini")[0] == "openai"
    assert known_providers_of("claude-haiku-4-5-20251001")[0] == "anthropic"
    assert "google" in known_providers_of("claude-haiku-4-5-20251001")
    assert known_providers_of("never-heard-of-it") == ()


TIERED = TokenPrice(
    version="v",
    source="s",
    as_of="2026-01-01",
    tiers=(PriceTier(0, 1_000, 2_000, 100), PriceTier(200_000, 3_000, 4_000, 300, 5_000, 9_000, 6_000)),
    request=7_000,
)


SPOKEN = TokenPrice(
    version="v",
    source="s",
    as_of="2026-01-01",
    tiers=(PriceTier(0, 1_000, 2_000, 100, 5_000, 9_000, 6_000, 30_000, 40_000),),
)


@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        (Usage(10, 7, audio_input_tokens=4, audio_output_tokens=5), 6 * 1_000 + 4 * 30_000 + 2 * 2_000 + 5 * 40_000),
        (Usage(10, 0, cached_read_tokens=6, audio_input_tokens=4), 6 * 100 + 4 * 30_000),
        # Three are both: charged as audio, once.
        (Usage(10, 0, cached_read_tokens=9, audio_input_tokens=4), 6 * 100 + 4 * 30_000),
        (Usage(10, 0, cached_read_tokens=10, audio_input_tokens=10), 10 * 30_000),
        (Usage(10, 0, 3, 6, 2, audio_input_tokens=4), 2 * 9_000 + 4 * 5_000 + 4 * 30_000),
        (Usage(10, 0, 0, 10, 5, audio_input_tokens=8), 2 * 9_000 + 8 * 30_000),
        (Usage(0, 9, reasoning_tokens=3, audio_output_tokens=5), 3 * 6_000 + 5 * 40_000 + 2_000),
        # A provider that reports the parts apart from the whole.
        (Usage(5, 1, cached_read_tokens=9, audio_input_tokens=4), 9 * 100 + 4 * 30_000 + 2_000),
        (Usage(3, 2, cached_read_tokens=1, audio_input_tokens=4, audio_output_tokens=6), 100 + 120_000 + 240_000),
    ],
)
def test_audio_is_charged_by_hand(usage: Usage, pico: int) -> None:
    assert cost_nanos(SPOKEN, usage) == -(-pico // 1000)


def test_audio_without_a_price_of_its_own_is_charged_as_text() -> None:
    spoken = Usage(200_001, 5, 1, 3, 2, 2, audio_input_tokens=100_000, audio_output_tokens=3)
    assert cost_nanos(TIERED, spoken) == cost_nanos(TIERED, Usage(200_001, 5, 1, 3, 2, 2))


def bound(price: TokenPrice, inputs: int, outputs: int, *, audio: bool = True, **searches: int) -> int:
    """Over all services."""
    found = bound_nanos(price, dearest_rates(price, price.services, audio=audio), inputs, outputs, **searches)
    assert found is not None
    return found


def test_the_bound_reckons_with_audio() -> None:
    assert bound(SPOKEN, 10, 3) == 10 * 30 + 3 * 40
    assert bound(SPOKEN, 10, 3, audio=False) == 10 * 9 + 3 * 6


SERVED = TokenPrice(
    version="v",
    source="s",
    as_of="2026-01-01",
    tiers=(PriceTier(0, 1_000, 2_000, 100),),
    request=3_000,
    services={
        "flex": (PriceTier(0, 500, 1_000, 50),),
        "priority": (PriceTier(0, 2_000, 4_000, 200), PriceTier(100, 9_000, 1_000)),
    },
    web_search=10_000_000,
    file_search=2_500_000,
)


@pytest.mark.parametrize(
    ("tier", "nanos"),
    [
        ("", 3 + 6 + 4 * 0.1 + 3 * 2),
        ("standard", 3 + 6 + 4 * 0.1 + 3 * 2),
        ("default", 3 + 6 + 4 * 0.1 + 3 * 2),
        ("flex", 3 + 6 * 0.5 + 4 * 0.05 + 3),
        ("priority", 3 + 6 * 2 + 4 * 0.2 + 3 * 4),
    ],
)
def test_the_tier_that_served_it_has_its_own_prices(tier: str, nanos: float) -> None:
    assert cost_nanos(SERVED, Usage(10, 3, 4), tier) == -(-int(nanos * 1000) // 1000)


@pytest.mark.parametrize("tier", ["batch", "scale", "us", "whatever"])
def test_a_tier_without_a_known_price_makes_the_cost_unknown(tier: str) -> None:
    assert cost_nanos(SERVED, Usage(10, 3), tier) is None


def test_searches_are_charged_one_by_one() -> None:
    plain = cost_nanos(SERVED, Usage(10, 3))
    assert plain is not None
    assert cost_nanos(SERVED, Usage(10, 3, web_searches=2, file_searches=1)) == plain + 2 * 10_000 + 2_500
    assert cost_nanos(SERVED, Usage(10, 3, web_searches=1), "flex") == 3 + 5 + 3 + 10_000
    assert tokens_nanos(SERVED, Usage(10, 3, web_searches=2)) == plain
    assert cost_nanos(TIERED, Usage(10, 3, web_searches=1)) is None
    assert cost_nanos(TIERED, Usage(10, 3, file_searches=1)) is None


def test_the_bound_takes_the_dearest_service_and_the_searches() -> None:
    assert bound(SERVED, 100, 5) == 3 + 100 * 2 + 5 * 4
    assert bound(SERVED, 101, 5) == 3 + 101 * 9 + 5
    assert bound(SERVED, 101, 5, web_searches=2, file_searches=3) == 3 + 101 * 9 + 5 + 20_000 + 7_500
    only = dearest_rates(SERVED, ("flex", "unheard of"), audio=False)
    assert bound_nanos(SERVED, only, 101, 5) == 3 + 101 + 10
    assert bound_nanos(TIERED, only, 1, 1, web_searches=1) is None
    assert bound_nanos(TIERED, only, 1, 1, file_searches=1) is None


def test_the_table_has_service_tiers_batches_and_fees() -> None:
    price = token_price("openai", "gpt-5")
    assert price is not None
    rates = {name: (tiers[0].input, tiers[0].output) for name, tiers in price.services.items()}
    assert rates == {"flex": (625_000, 5_000_000), "priority": (2_500_000, 20_000_000), "batch": (625_000, 5_000_000)}
    assert (price.web_search, price.file_search) == (10_000_000_000, 2_500_000_000)
    reseller = token_price("azure", "gpt-5")
    assert reseller is not None
    assert (reseller.tiers, reseller.services) == (price.tiers, {})
    claude = token_price("anthropic", "claude-fable-5-2")
    assert claude is not None
    assert (claude.services["fast"][0].input, claude.services["batch"][0].input) == (16_000_000, 4_000_000)
    assert claude.web_search == 10_000_000_000


def test_flex_and_batches_are_never_dearer_than_the_standard() -> None:
    # What a request with service_tier flex is bounded by, where the table has no price for it.
    for provider, row in ROWS:
        price = token_price(provider, row[0])
        for name in ("flex", "batch") if price is not None else ():
            assert price is not None
            for cheap, plain in zip(price.services.get(name, ()), price.tiers, strict=False):
                assert (cheap.input, cheap.output) <= (plain.input, plain.output), (provider, row[0], name)


def test_announced_changes_have_their_days() -> None:
    assert next_price_change(FILE["as_of"]) == FILE["changes"][0]
    assert next_price_change(FILE["changes"][-1]) is None
    days = {change[0] for _, row in ROWS if len(row) > 6 for change in row[6]}
    assert sorted(days) == FILE["changes"]
    assert all(FILE["as_of"] < day for day in days)


def test_a_dated_price_says_since_when_it_holds() -> None:
    now, then = token_price("google", "gemini-3.6-flash"), token_price("google", "gemini-3.6-flash", "2027-01-01")
    assert now is not None
    assert then is not None
    assert (then.valid_from, then.tiers[0].input) == ("2027-01-01", 2 * now.tiers[0].input)
    assert now.valid_from < FILE["as_of"]
    assert then.services["batch"][0].input == 2 * now.services["batch"][0].input


@given(st.tuples(*[st.integers(0, 40)] * 8))
def test_no_usage_costs_more_than_its_bound(counts: tuple[int, ...]) -> None:
    total, output, cached, written, written_1h, thought, heard, spoken = counts
    cached = min(cached, total)
    written = min(written, total - cached)
    thought = min(thought, output)
    usage = Usage(
        total,
        output,
        cached,
        written,
        min(written_1h, written),
        thought,
        min(heard, total),
        min(spoken, output - thought),
    )
    cost = cost_nanos(SPOKEN, usage)
    assert cost is not None
    assert cost <= bound(SPOKEN, total, output)


@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        (Usage(0, 0), 7_000),
        (Usage(10, 3), 7_000 + 10_000 + 6_000),
        (Usage(10, 3, cached_read_tokens=4), 7_000 + 6_000 + 400 + 6_000),
        (Usage(10, 0, cache_write_tokens=4, cache_write_1h_tokens=1), 7_000 + 10_000),
        (Usage(200_000, 1), 7_000 + 200_000_000 + 2_000),
        (Usage(200_001, 1), 7_000 + 600_003_000 + 4_000),
        (Usage(200_001, 5, 1, 3, 2, 2), 7_000 + 199_997 * 3_000 + 300 + 5_000 + 18_000 + 3 * 4_000 + 2 * 6_000),
        (Usage(5, 0, cached_read_tokens=9), 7_000 + 900),
    ],
)
def test_cost_by_hand(usage: Usage, pico: int) -> None:
    assert cost_nanos(TIERED, usage) == -(-pico // 1000)


def test_a_fraction_of_a_nano_dollar_is_rounded_up_once() -> None:
    price = TokenPrice("v", "s", "2026-01-01", (PriceTier(0, 1, 1),))
    assert cost_nanos(price, Usage(1, 1)) == 1
    assert cost_nanos(price, Usage(999, 1)) == 1
    assert cost_nanos(price, Usage(1000, 1)) == 2
    assert bound(price, 0, 0) == 0


def test_the_bound_leaves_out_a_tier_that_cannot_be_reached() -> None:
    assert bound(TIERED, 200_000, 10) == -(-(7_000 + 200_000 * 1_000 + 10 * 2_000) // 1000)
    assert bound(TIERED, 200_001, 10) == -(-(7_000 + 200_001 * 9_000 + 10 * 6_000) // 1000)


def test_a_stated_price_is_exact() -> None:
    price = price_from_usd(
        0.15,
        "0.60",
        cached_read_usd_per_mtok="0.075",
        usd_per_request="0.005",
        source="trimaran.yaml:7",
        as_of="2026-02-03",
    )
    assert price.tiers == (PriceTier(0, 150_000, 600_000, 75_000),)
    assert price.request == 5_000_000_000
    spoken = price_from_usd(
        1, 2, audio_input_usd_per_mtok=32, audio_output_usd_per_mtok="64", source="s", as_of="2026-01-01"
    )
    assert (spoken.tiers[0].audio_input, spoken.tiers[0].audio_output) == (32_000_000, 64_000_000)
    assert (price.source, price.as_of) == ("trimaran.yaml:7", "2026-02-03")


@given(st.decimals(0, 1000, places=6, allow_nan=False), st.decimals(0, 1000, places=6, allow_nan=False))
def test_six_decimals_of_a_dollar_per_million_tokens_survive(read: Decimal, write: Decimal) -> None:
    tier = price_from_usd(str(read), write, source="s", as_of="2026-01-01").tiers[0]
    assert (Decimal(tier.input), Decimal(tier.output)) == (read * 10**6, write * 10**6)


def test_finer_than_a_pico_dollar_is_rounded_up() -> None:
    assert price_from_usd("0.0000001", 0, source="s", as_of="2026-01-01").tiers[0].input == 1


def test_a_changed_price_is_a_new_version() -> None:
    versions = {price_from_usd(usd, 1, source="s", as_of="2026-01-01").version for usd in (1, "1.0", "1.1")}
    assert len(versions) == 2
    heard = {
        price_from_usd(1, 1, audio_input_usd_per_mtok=usd, source="s", as_of="2026-01-01").version
        for usd in (None, 1, 2)
    }
    assert len(versions | heard) == 4


def test_a_changed_service_fee_or_day_is_a_new_version_too() -> None:
    tier, at = PriceTier(0, 1, 2), {"source": "s", "as_of": "2026-01-01"}
    others: list[dict[str, Any]] = [
        {}, {"services": {"flex": tier}}, {"services": {"priority": tier}}, {"services": {"flex": PriceTier(0, 1, 3)}},
        {"web_search": 1}, {"file_search": 1}, {"web_search": 2}, {"valid_from": "2026-02-01"}, {"request": 1},
    ]  # fmt: skip
    versions = [stated_price(tier, **at, **other).version for other in others]
    assert len(set(versions)) == len(others)
    assert versions[0] == price_from_usd("0.000001", "0.000002", source="s", as_of="2026-01-01").version


@pytest.mark.parametrize("usd", ["", "free", "-1", -0.1, float("nan"), "inf", 10**9, True, None, [1]])
def test_a_price_that_is_none_is_refused_with_field_and_hint(usd: Any) -> None:
    with pytest.raises(ConfigError, match=r"trimaran.yaml:7: output_usd_per_mtok.*\n.*0\.15"):
        price_from_usd(1, usd, source="trimaran.yaml:7", as_of="2026-01-01")


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (7_350, "$0.00000735"),
        (12_500_000_000, "$12.50"),
        (-1, "-$0.000000001"),
        (10**15, "$1,000,000.00"),
    ],
)
def test_dollars_are_written_in_full(nanos: int, text: str) -> None:
    assert format_usd(nanos) == text


def test_importing_the_catalogue_reads_no_table_and_never_imports_genai_prices() -> None:
    code = (
        "import sys; from trimaran import catalog; from trimaran.catalog import token_prices as t;"
        "assert t._file.cache_info().currsize == 0; catalog.token_price('openai', 'gpt-4o-mini');"
        "assert t._provider.cache_info().currsize == 1; assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
