"""Bedrock's names: the ids, profiles and ARNs that its own pattern takes, told apart as AWS means them."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import (
    bedrock_capabilities,
    bedrock_name,
    betas_taken,
    capabilities,
    cut_from_messages,
    geographies_of,
    known_profiles,
    needs_profile,
    takes_instructions,
)

ACCOUNT = "123456789012"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def arn(kind: str, rest: str, region: str = "us-east-1", account: str = ACCOUNT, partition: str = "aws") -> str:
    return f"arn:{partition}:bedrock:{region}:{account}:{kind}/{rest}"


@pytest.mark.parametrize(
    ("text", "kind", "geography", "model"),
    [
        (HAIKU, "model", "", HAIKU),
        (f"us.{SONNET}", "profile", "us", SONNET),
        (f"us-gov.{SONNET}", "profile", "us-gov", SONNET),
        (f"global.{SONNET}", "profile", "global", SONNET),
        (f"apac.{SONNET}", "profile", "apac", SONNET),
        ("in.moonshotai.kimi-k3", "profile", "in", "moonshotai.kimi-k3"),
        ("ca.amazon.nova-lite-v1:0", "profile", "ca", "amazon.nova-lite-v1:0"),
        # A dot may stand in a model's own name.
        ("moonshotai.kimi-k2.5", "model", "", "moonshotai.kimi-k2.5"),
        ("deepseek.v3.2", "model", "", "deepseek.v3.2"),
        ("us.deepseek.v3.2", "profile", "us", "deepseek.v3.2"),
        ("ai21.jamba-1-5-large-v1:0", "model", "", "ai21.jamba-1-5-large-v1:0"),
        ("openai.gpt-oss-120b-1:0", "model", "", "openai.gpt-oss-120b-1:0"),
        ("amazon.nova-lite-v1:0:300k", "model", "", "amazon.nova-lite-v1:0:300k"),
    ],
)
def test_an_id_tells_model_and_geography(text: str, kind: str, geography: str, model: str) -> None:
    name = bedrock_name(text)
    assert (name.kind, name.geography, name.model) == (kind, geography, model)
    assert name.profile == text
    assert f"{name.vendor}.{name.base}" == model


@pytest.mark.parametrize(
    ("text", "kind", "geography", "model", "region"),
    [
        (arn("foundation-model", HAIKU, account=""), "model", "", HAIKU, "us-east-1"),
        (arn("inference-profile", f"eu.{SONNET}", "eu-west-1"), "profile", "eu", SONNET, "eu-west-1"),
        (arn("application-inference-profile", "abcdefghijkl"), "application profile", "", "", "us-east-1"),
        (arn("provisioned-model", "abcdefghijkl"), "provisioned throughput", "", "", "us-east-1"),
        (arn("imported-model", "abcdefghijkl"), "imported model", "", "", "us-east-1"),
        (arn("custom-model-deployment", "abcdefghijkl"), "deployment of a custom model", "", "", "us-east-1"),
        (
            arn("custom-model", "meta.llama3-1-8b-instruct-v1:0:128k/abcdefghijkl"),
            "custom model", "", "meta.llama3-1-8b-instruct-v1:0:128k", "us-east-1",
        ),
        (arn("default-prompt-router", "anthropic.claude:1"), "prompt router", "", "", "us-east-1"),
        (
            arn("inference-profile", f"us-gov.{SONNET}", "us-gov-west-1", partition="aws-us-gov"),
            "profile", "us-gov", SONNET, "us-gov-west-1",
        ),
        (f"arn:aws:sagemaker:us-west-2:{ACCOUNT}:endpoint/mine", "marketplace endpoint", "", "", "us-west-2"),
    ],
)  # fmt: skip
def test_an_arn_tells_region_and_perhaps_the_model(
    text: str, kind: str, geography: str, model: str, region: str
) -> None:
    name = bedrock_name(text)
    assert (name.kind, name.geography, name.model, name.region) == (kind, geography, model, region)
    assert name.opaque == (not model)


@pytest.mark.parametrize(
    "text",
    [
        "gpt-4o",
        "",
        "claude-3-haiku",
        "arn:aws:s3:::bucket",
        arn("guardrail", "abc"),
        "us.",
        "anthropic.",
        "a b.c",
        "ANTHROPIC.X",
    ],
)
def test_what_is_no_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"us\.anthropic\.claude|arn:aws:bedrock"):
        bedrock_name(text)


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = bedrock_name(text)
    except ValueError:
        return
    assert name.text == text
    assert name.kind


def test_botocores_own_pattern_takes_every_id_of_the_table() -> None:
    """What the table of prices calls a model is what Bedrock's API would take."""
    import gzip
    import re
    from pathlib import Path

    botocore = pytest.importorskip("botocore")
    path = Path(botocore.__file__).parent / "data/bedrock-runtime/2023-09-30/service-2.json.gz"
    pattern = json.loads(gzip.decompress(path.read_bytes()))["shapes"]["InvokeModelIdentifier"]["pattern"]
    table = json.loads((files("trimaran.catalog") / "bedrock_prices.json").read_text())
    for model, geographies in table["profiles"].items():
        for geography in geographies:
            assert re.fullmatch(pattern, f"{geography}.{model}")
            assert bedrock_name(f"{geography}.{model}").model == model


@pytest.mark.parametrize(
    ("region", "geographies"),
    [
        ("us-east-1", ("us", "global")),
        ("us-gov-west-1", ("us-gov",)),
        ("eu-central-1", ("eu", "global")),
        ("ap-southeast-2", ("au", "apac", "global")),
        ("ap-northeast-1", ("jp", "apac", "global")),
        ("ap-northeast-2", ("apac", "global")),
        ("ap-south-1", ("in", "apac", "global")),
        ("ca-central-1", ("ca", "us", "global")),
        ("sa-east-1", ("global",)),
        ("cn-north-1", ()),
    ],
)
def test_a_region_has_its_geographies(region: str, geographies: tuple[str, ...]) -> None:
    assert geographies_of(region) == geographies


def test_every_commercial_region_of_botocore_has_the_global_profiles() -> None:
    from pathlib import Path

    botocore = pytest.importorskip("botocore")
    partitions = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())["partitions"]
    commercial = next(each for each in partitions if each["id"] == "aws")
    for region in commercial["regions"]:
        if region != "aws-global":
            assert geographies_of(region)[-1] == "global"


@pytest.mark.parametrize(
    "model", [SONNET, "anthropic.claude-opus-5-5", "meta.llama4-scout-17b-instruct-v1:0", "deepseek.r1-v1:0"]
)
def test_a_model_behind_profiles_only_says_where_that_was_read(model: str) -> None:
    source = needs_profile(bedrock_name(model))
    assert "2026-11-30" in source
    assert "Bedrock" in source or "list-foundation-models" in source
    assert needs_profile(bedrock_name(f"us.{model}")) == ""
    assert "us" in known_profiles(model)


def test_a_model_that_can_be_asked_by_its_id_needs_no_profile() -> None:
    for model in (HAIKU, "meta.llama3-8b-instruct-v1:0", "mistral.mistral-7b-instruct-v0:2", "amazon.nova-lite-v1:0"):
        assert needs_profile(bedrock_name(model)) == ""


def test_capabilities_are_the_base_models_whatever_the_name() -> None:
    expected = capabilities("claude-sonnet-4-5")
    for text in (SONNET, f"eu.{SONNET}", arn("inference-profile", f"us.{SONNET}")):
        assert bedrock_capabilities(text) == expected
    opaque = arn("application-inference-profile", "abcdefghijkl")
    assert bedrock_capabilities(opaque) is None
    assert bedrock_capabilities(opaque, f"us.{SONNET}") == expected


def test_what_bedrock_cuts_off_is_lacking_there() -> None:
    titan = bedrock_capabilities("amazon.titan-text-express-v1")
    assert titan is not None
    assert {"tools", "vision"} <= titan.lacks
    assert not takes_instructions("amazon.titan-text-express-v1")
    assert takes_instructions(SONNET)


def test_every_priced_model_has_a_family() -> None:
    table = json.loads((files("trimaran.catalog") / "token_prices.json").read_text())
    unknown = []
    for row in table["providers"]["aws"]["models"]:
        text = row[0].replace("regional.", "us.")
        if bedrock_capabilities(text) is None:
            unknown.append(text)
    # Speech in and out, and derivatives of which nothing is assumed.
    assert [each for each in unknown if "sonic" not in each and "nemotron" not in each] == []


def test_beta_flags_are_bedrocks() -> None:
    asked = [
        "claude-code-20250219",
        "context-1m-2025-08-07",
        "advanced-tool-use-2025-11-20",
        "tool-search-tool-2025-10-19",
    ]
    assert betas_taken(asked) == ["context-1m-2025-08-07", "tool-search-tool-2025-10-19"]


def test_what_bedrock_lacks_of_anthropics_api_is_named() -> None:
    found = cut_from_messages(["model", "mcp_servers"], ["web_search_20250305", "bash_20250124"])
    assert [name for name, _ in found] == ["mcp_servers", "web_search_20250305"]
    assert all(why for _, why in found)
