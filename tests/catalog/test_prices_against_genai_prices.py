"""genai-prices is the judge: the same row for the same name, the same amount for the same usage.

The only allowed differences: our amount is rounded up once to a nano-dollar, a row marked ``rounded`` is dearer by less
than a pico-dollar per token, and a row marked ``time_of_day`` charges its dearest hour.
"""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import bound_nanos, cost_nanos, dearest_rates, model_facts, price_table_version, token_price
from trimaran.types import Usage

ROOT = Path(__file__).parents[2]
AS_OF = price_table_version().split("@")[1]
CONTEXTS: dict[str, dict[str, str] | None] = {
    "": None,
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"},
    "fast": {"speed": "fast"},
}
"""Our service tiers in the judge's words."""
DAY = datetime.combine(datetime.fromisoformat(AS_OF).date(), time(12), UTC)


def spellings(match: object) -> list[str]:
    """Names that a match clause is about."""
    match match:
        case genai.ClauseEquals():
            return [match.equals]
        case genai.ClauseStartsWith():
            return [match.starts_with, match.starts_with + "-20260115", match.starts_with + "-x"]
        case genai.ClauseEndsWith():
            return [match.ends_with, "vendor/" + match.ends_with]
        case genai.ClauseContains():
            return [match.contains, "us." + match.contains + "-v1:0"]
        case genai.ClauseOr():
            return [name for part in match.or_ for name in spellings(part)]
        case genai.ClauseAnd():
            return [name for part in match.and_ for name in spellings(part)]
    return []


@cache
def names(provider_id: str) -> list[str]:
    """Every name the table speaks of for this provider and those it resells, and some it never heard of."""
    provider = next(p for p in genai_providers if p.id == provider_id)
    sources = [provider, *(p for p in genai_providers if p.id in (provider.fallback_model_providers or ()))]
    found = {name for p in sources for m in p.models for name in [m.id, m.id.upper(), *spellings(m.match)]}
    return sorted(found | {"no-such-model", "gpt-5.2-20251211", "gpt-5.2-20251399", ""})


def judge(provider: str, name: str) -> tuple[str, str] | None:
    """Owner and id of the row genai-prices takes."""
    try:
        _, model = get_snapshot().find_provider_model(name, None, provider, None)
    except LookupError:
        return None
    owner = next(p.id for p in genai_providers if any(m is model for m in p.models))
    return owner, model.id


@pytest.mark.parametrize("provider", [p.id for p in genai_providers])
def test_a_name_means_the_row_that_genai_prices_takes(provider: str) -> None:
    for name in names(provider):
        facts = model_facts(provider, name)
        assert (None if facts is None else (facts.provider, facts.id)) == judge(provider, name), name


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    total = draw(
        st.one_of(st.integers(0, 3_000), st.sampled_from([100_000, 128_001, 200_000, 200_001, 272_001, 900_000]))
    )
    cached = draw(st.integers(0, total))
    written = draw(st.integers(0, total - cached))
    output = draw(st.integers(0, 200_000))
    thought = draw(st.integers(0, output))
    heard = draw(st.one_of(st.just(0), st.integers(0, total - cached - written)))
    spoken = draw(st.one_of(st.just(0), st.integers(0, output - thought)))
    return Usage(total, output, cached, written, draw(st.integers(0, written)), thought, heard, spoken)


def judged_usd(
    provider: str, name: str, usage: Usage, when: datetime, both: int = 0, service: str = "", fees: bool = False
) -> Decimal:
    """``both``: how many of the cached tokens are audio. ``fees``: its searches count."""
    return calc_price(
        GenaiUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            output_reasoning_tokens=usage.reasoning_tokens,
            input_audio_tokens=usage.audio_input_tokens,
            output_audio_tokens=usage.audio_output_tokens,
            cache_audio_read_tokens=both,
            **({"web_searches": usage.web_searches, "storage_searches": usage.file_searches} if fees else {}),
        ),
        name,
        provider_id=provider,
        genai_request_timestamp=when,
        price_context=CONTEXTS[service],
    ).total_price


MODELS = [(p.id, m.id) for p in genai_providers for m in p.models if judge(p.id, m.id) is not None]


def assert_same_amount(provider: str, name: str, usage: Usage, when: datetime, on: str | None) -> None:
    price = token_price(provider, name, on)
    facts = model_facts(provider, name)
    assert facts is not None
    if price is None:
        assert judged_usd(provider, name, usage, when) == 0, "unknown here, but priced there"
        return
    hours = range(24) if "time_of_day" in facts.caveats else [12]
    exact = max(judged_usd(provider, name, usage, when.replace(hour=hour)) for hour in hours) * 10**9
    slack = Decimal(usage.input_tokens + usage.output_tokens) / 1000 if "rounded" in facts.caveats else Decimal("1e-6")
    cost = cost_nanos(price, usage)
    assert cost is not None
    assert math.ceil(exact - Decimal("1e-6")) <= cost <= math.ceil(exact + slack)


SERVED = [
    (*model, service) for model in MODELS if (price := token_price(*model)) is not None for service in price.services
]


@given(st.sampled_from(SERVED), usages())
def test_a_service_tier_costs_what_genai_prices_computes(model: tuple[str, str, str], usage: Usage) -> None:
    provider, name, service = model
    price, facts = token_price(provider, name), model_facts(provider, name)
    assert price is not None
    assert facts is not None
    exact = judged_usd(provider, name, usage, DAY, service=service) * 10**9
    slack = Decimal(usage.input_tokens + usage.output_tokens) / 1000 if "rounded" in facts.caveats else Decimal("1e-6")
    cost = cost_nanos(price, usage, service)
    assert cost is not None
    assert math.ceil(exact - Decimal("1e-6")) <= cost <= math.ceil(exact + slack)


def test_every_tier_of_genai_prices_is_in_the_table_or_named() -> None:
    for provider in genai_providers:
        for model in provider.models:
            if judge(provider.id, model.id) != (provider.id, model.id):
                continue
            price, facts = token_price(provider.id, model.id), model_facts(provider.id, model.id)
            assert facts is not None
            for variant in model.price_variants or ():
                began = variant.constraint is None or variant.constraint.start_date <= DAY.date()  # type: ignore[union-attr]
                service = next((s for s, context in CONTEXTS.items() if context == variant.when), None)
                if service is None or not began or price is None:
                    continue
                assert service in price.services or f"by_{service}" in facts.caveats, (provider.id, model.id, service)


def test_a_search_costs_what_genai_prices_computes() -> None:
    searched = Usage(1_234, 567, web_searches=3)
    filed = Usage(1_234, 567, file_searches=2)
    priced = 0
    for provider, name in MODELS:
        price = token_price(provider, name)
        for usage, fee in ((searched, "web_search"), (filed, "file_search")):
            if price is None or getattr(price, fee) is None:
                continue
            priced += 1
            cost = cost_nanos(price, usage)
            plain = cost_nanos(price, Usage(1_234, 567))
            assert cost is not None
            assert plain is not None
            more = judged_usd(provider, name, usage, DAY, fees=True) - judged_usd(provider, name, usage, DAY)
            assert abs(cost - plain - more * 10**9) <= 1
    assert priced > 50


@given(st.sampled_from(MODELS), usages())
def test_an_attempt_costs_what_genai_prices_computes(model: tuple[str, str], usage: Usage) -> None:
    assert_same_amount(*model, usage, DAY, None)


def test_every_single_model_costs_what_genai_prices_computes() -> None:
    short, long = Usage(1_234, 567, 300, 200, 100, 50), Usage(900_001, 77, 5_000, 2_000, 1_000, 7)
    spoken = Usage(1_234, 567, 300, 0, 0, 50, 600, 400)
    for provider, name in MODELS:
        for usage in (short, long, spoken):
            assert_same_amount(provider, name, usage, DAY, None)


AUDIO = sorted({m for m in MODELS if (p := token_price(*m)) is not None and p.tiers[0].audio_input is not None})


@given(st.sampled_from(AUDIO), usages(), st.data())
def test_audio_that_is_cached_is_never_charged_at_less(
    model: tuple[str, str], usage: Usage, data: st.DataObject
) -> None:
    usage.cache_write_tokens = usage.cache_write_1h_tokens = 0
    total, cached = usage.input_tokens, usage.cached_read_tokens
    heard = usage.audio_input_tokens = data.draw(st.integers(0, total), "audio")
    both = data.draw(st.integers(max(cached + heard - total, 0), min(cached, heard)), "cached audio")
    price, facts = token_price(*model), model_facts(*model)
    assert price is not None
    assert facts is not None
    ours, theirs = cost_nanos(price, usage) or 0, judged_usd(*model, usage, DAY, both) * 10**9
    assert ours >= theirs
    if "cache_audio_read_mtok" not in facts.caveats and price.tiers[0].cached_read is None:
        assert ours == math.ceil(theirs - Decimal("1e-6")), "no discount on cached tokens: exact"


def test_an_announced_price_holds_from_its_day() -> None:
    changing = [
        (p.id, m.id, entry.constraint.start_date)
        for p in genai_providers
        for m in p.models
        if isinstance(m.prices, list)
        for entry in m.prices
        if isinstance(entry.constraint, genai.StartDateConstraint) and entry.constraint.start_date.isoformat() > AS_OF
    ]
    for provider, name, start in changing:
        when = datetime.combine(start, time(12), UTC)
        usage = Usage(10_000, 1_000, 100)
        assert_same_amount(provider, name, usage, when, start.isoformat())
        before, after = token_price(provider, name), token_price(provider, name, start.isoformat())
        assert before is not None
        assert after is not None
        assert after.version.endswith(start.isoformat())
        assert before.version == price_table_version()


@given(st.sampled_from(MODELS), usages(), st.integers(0, 50_000), st.integers(0, 50_000))
def test_the_bound_is_never_below_the_cost(model: tuple[str, str], usage: Usage, more_in: int, more_out: int) -> None:
    price = token_price(*model)
    if price is None:
        return
    searches = (2 if price.web_search is not None else 0), (3 if price.file_search is not None else 0)
    usage.web_searches, usage.file_searches = searches
    limits = usage.input_tokens + more_in, usage.output_tokens + more_out
    for services in ((), *((name,) for name in price.services), tuple(price.services)):
        bound = bound_nanos(price, dearest_rates(price, services, audio=True), *limits, *searches)
        assert bound is not None
        for service in ("", *services):
            cost = cost_nanos(price, usage, service)
            assert cost is not None
            assert cost <= bound


def test_the_committed_table_is_what_the_script_derives_from_the_pinned_package() -> None:
    script = ROOT / "scripts" / "derive_token_prices.py"
    run = subprocess.run([sys.executable, str(script), "--date", AS_OF, "--check"], capture_output=True, text=True)
    assert run.returncode == 0, f"run: python scripts/derive_token_prices.py --date <today>\n{run.stderr}"
