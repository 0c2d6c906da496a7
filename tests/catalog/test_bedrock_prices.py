"""What Bedrock charges, by where it is computed. Each claim of ``docs/bedrock.md`` about prices has its test here."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from trimaran.catalog import bedrock_name, bedrock_price, cost_nanos, token_price
from trimaran.types import TokenPrice, Usage

ACCOUNT = "123456789012"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abcdefghijkl"


def price(text: str, region: str = "us-east-1", base_model: str = "") -> TokenPrice:
    found = bedrock_price(text, region, base_model)
    assert found is not None
    return found


def rates(text: str, region: str = "us-east-1", base_model: str = "") -> tuple[int, int]:
    tier = price(text, region, base_model).tiers[0]
    return tier.input, tier.output


@pytest.mark.parametrize(
    "model",
    [
        SONNET,
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic.claude-opus-4-8",
        "anthropic.claude-sonnet-5-5",
        "anthropic.claude-opus-5-5",
        "openai.gpt-6-sol",
    ],
)
def test_a_regional_profile_costs_a_tenth_more_than_the_global_one(model: str) -> None:
    everywhere = price(f"global.{model}").tiers[0]
    here = price(f"us.{model}").tiers[0]
    for kind in ("input", "output", "cached_read", "cache_write"):
        globally, regionally = getattr(everywhere, kind), getattr(here, kind)
        assert globally is not None
        assert regionally * 10 == globally * 11


def test_claude_costs_the_same_in_every_commercial_geography() -> None:
    for geography, region in (
        ("us", "us-east-1"),
        ("eu", "eu-west-1"),
        ("jp", "ap-northeast-1"),
        ("au", "ap-southeast-2"),
    ):
        assert rates(f"{geography}.{SONNET}", region) == (3_300_000, 16_500_000)
    assert rates(SONNET, "eu-central-1") == (3_300_000, 16_500_000)
    # Before 4.5 there was one price.
    old = "anthropic.claude-sonnet-4-20250514-v1:0"
    assert (
        rates(f"global.{old}")
        == rates(f"us.{old}")
        == rates(f"apac.{old}", "ap-northeast-2")
        == (3_000_000, 15_000_000)
    )


def test_govcloud_costs_a_fifth_more_than_the_global_price() -> None:
    assert rates(f"us-gov.{SONNET}", "us-gov-west-1") == (3_600_000, 18_000_000)
    assert rates("us-gov.openai.gpt-oss-120b-1:0", "us-gov-west-1") == (180_000, 720_000)
    # Known in GovCloud for one of its Regions: not taken for the other.
    assert rates("amazon.nova-lite-v1:0", "us-gov-west-1") == (72_000, 288_000)
    assert bedrock_price("amazon.nova-lite-v1:0", "us-gov-east-1") is None


def test_prices_differ_by_region_and_are_unknown_where_nobody_wrote_them_down() -> None:
    model = "minimax.minimax-m2.5"
    assert rates(model, "us-east-1") == (300_000, 1_200_000)
    assert rates(model, "eu-west-2") == (470_000, 1_860_000)
    assert bedrock_price(model, "me-central-1") is None
    assert rates("eu.amazon.nova-lite-v1:0", "eu-west-1") == (78_000, 312_000)
    assert rates("apac.amazon.nova-lite-v1:0", "ap-south-1") == (63_000, 252_000)
    assert rates("us.amazon.nova-lite-v1:0", "us-west-2") == (60_000, 240_000)
    # The general table takes the first for the American price.
    assert token_price("aws", "eu.amazon.nova-lite-v1:0") == token_price("aws", "us.amazon.nova-lite-v1:0")
    assert bedrock_price("amazon.nova-lite-v1:0", "ap-northeast-1") is None
    assert bedrock_price("ca.amazon.nova-lite-v1:0", "ca-central-1") is None


def test_an_arn_costs_what_its_id_does() -> None:
    for kind, text in (("foundation-model", "amazon.nova-pro-v1:0"), ("inference-profile", f"us.{SONNET}")):
        owner = "" if kind == "foundation-model" else ACCOUNT
        written = f"arn:aws:bedrock:us-east-1:{owner}:{kind}/{text}"
        assert bedrock_price(written, "us-east-1") == bedrock_price(text, "us-east-1")


def test_an_application_profile_costs_what_its_base_model_does_where_told() -> None:
    assert bedrock_price(PROFILE, "us-east-1") is None
    assert price(PROFILE, base_model=f"us.{SONNET}") == price(f"us.{SONNET}")
    assert price(PROFILE, base_model=f"global.{SONNET}") == price(f"global.{SONNET}")


@pytest.mark.parametrize(
    "kind", ["provisioned-model", "imported-model", "custom-model-deployment", "prompt-router", "custom-model"]
)
def test_what_is_not_paid_by_a_models_tokens_is_unknown_whatever_is_told(kind: str) -> None:
    rest = "meta.llama3-8b-instruct-v1:0/abcdefghijkl" if kind == "custom-model" else "abcdefghijkl"
    text = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:{kind}/{rest}"
    assert bedrock_price(text, "us-east-1", "meta.llama3-8b-instruct-v1:0") is None


def test_a_model_that_nobody_priced_is_unknown() -> None:
    for text in ("vendor.model-v1:0", "us.anthropic.claude-sonnet-99-v1:0", "meta.llama9-8b-instruct-v1:0"):
        assert bedrock_price(text, "us-east-1") is None


def test_partitions_of_their_own_have_no_commercial_price() -> None:
    for region in ("cn-north-1", "us-iso-east-1", "eusc-de-east-1", ""):
        assert bedrock_price("anthropic.claude-3-haiku-20240307-v1:0", region) is None


def test_service_tiers_have_published_prices_and_no_others() -> None:
    oss = price("openai.gpt-oss-120b-1:0")
    assert {name: tiers[0].input for name, tiers in oss.services.items()} == {
        "priority": 262_500, "flex": 75_000, "batch": 75_000,
    }  # fmt: skip
    claude = price(f"us.{SONNET}")
    assert set(claude.services) == {"batch"}
    usage = Usage(1_000_000, 0)
    assert cost_nanos(oss, usage, "priority") == 262_500_000
    assert cost_nanos(claude, usage, "priority") is None


def test_priority_costs_three_quarters_more_and_flex_and_batch_half_up_to_rounding() -> None:
    table = json.loads((files("trimaran.catalog") / "bedrock_prices.json").read_text())
    factors: dict[str, list[float]] = {"priority": [], "flex": [], "batch": []}
    for scopes in table["models"].values():
        for standard, *services in scopes.values():
            for name, tiers in (services[0] if services else {}).items():
                factors[name].append(tiers[0][1] / standard[0][1])
    for name, expected in (("priority", 1.75), ("flex", 0.5), ("batch", 0.5)):
        assert len(factors[name]) > 20
        exact = [factor for factor in factors[name] if abs(factor - expected) < 0.001]
        assert len(exact) > len(factors[name]) / 2
        # AWS rounds to whole cents for a million, which is much where the price is a few cents.
        assert all(abs(factor - expected) < 0.11 for factor in factors[name])


def test_one_hour_writes_have_a_price_where_aws_offers_them() -> None:
    assert price(f"us.{SONNET}").tiers[0].cache_write_1h == 6_600_000
    assert price("us.amazon.nova-lite-v1:0").tiers[0].cache_write_1h is None


def test_a_long_prompt_costs_more_where_it_does() -> None:
    tiers = price(f"us.{SONNET}").tiers
    assert [(tier.above_input_tokens, tier.input, tier.output) for tier in tiers] == [
        (0, 3_300_000, 16_500_000), (200_000, 6_600_000, 24_750_000),
    ]  # fmt: skip


def test_the_two_tables_agree_where_both_know_a_scope() -> None:
    """A difference is a price that changed, or a mistake: it has to be looked at."""
    table = json.loads((files("trimaran.catalog") / "bedrock_prices.json").read_text())
    different = []
    for model, scopes in table["models"].items():
        for scope in scopes.keys() & {"us", "global"}:
            text = f"{scope}.{model}" if scope in table["profiles"].get(model, ()) else model
            general = token_price("aws", text)
            if general is not None and (general.tiers[0].input, general.tiers[0].output) != tuple(
                scopes[scope][0][0][1:3]
            ):
                different.append(text)
    assert different == []


def test_every_row_is_a_model_that_can_be_asked_for() -> None:
    table = json.loads((files("trimaran.catalog") / "bedrock_prices.json").read_text())
    for model, scopes in table["models"].items():
        assert bedrock_name(model).model == model
        for scope, (standard, *_) in scopes.items():
            assert standard[0][0] == 0
            region = {"us": "us-east-1", "us-gov": "us-gov-west-1"}.get(scope, scope)
            text = f"{scope}.{model}" if scope in table["profiles"].get(model, ()) else model
            assert bedrock_price(text, region) is not None


def test_a_version_names_the_table_and_its_day() -> None:
    assert price(f"us.{SONNET}").version == "litellm-1.110.2@2026-11-30"
    assert price("anthropic.claude-3-haiku-20240307-v1:0").version.startswith("genai-prices-")
    assert "bedrock/us/" in price(f"us.{SONNET}").source
