"""What a name of Vertex AI's means: publisher, dialects, price, abilities; and names that cannot be right."""

from __future__ import annotations

from typing import Any

import pytest

from trimaran.catalog import token_price
from trimaran.config import load_mapping, load_text
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.providers.google.vertex_target import published, vertex_price
from trimaran.types import Snapshot, Target

ENV = {"HOME": "/nowhere", "GOOGLE_CLOUD_PROJECT": "my-project-1"}


def snapshot(targets: list[str], location: str = "us-east5", **settings: Any) -> Snapshot:
    data = {
        "models": {"m": {"targets": targets}},
        "providers": {"vertex": {"location": location, **settings}},
    }
    return build_snapshot(load_mapping(data, ENV), ENV, 1, day="2026-11-30")


def target(name: str, location: str = "us-east5") -> Target:
    return snapshot([f"vertex/{name}"], location).targets[f"vertex/{name}"]


@pytest.mark.parametrize(
    ("name", "publisher", "model"),
    [
        ("gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("google/gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("claude-sonnet-4-5@20250929", "anthropic", "claude-sonnet-4-5@20250929"),
        ("llama-3.3-70b-instruct-maas", "meta", "llama-3.3-70b-instruct-maas"),
        ("meta/llama-3.3-70b-instruct-maas", "meta", "llama-3.3-70b-instruct-maas"),
        ("codestral-2", "mistralai", "codestral-2"),
        ("gpt-oss-120b-maas", "openai", "gpt-oss-120b-maas"),
        ("gemma-3-27b-it", "google", "gemma-3-27b-it"),
    ],
)
def test_the_publisher_stands_in_the_name_or_follows_from_it(name: str, publisher: str, model: str) -> None:
    assert published(name) == (publisher, model)


@pytest.mark.parametrize(
    ("name", "dialects"),
    [
        ("gemini-2.5-pro", ("gemini.generate", "gemini.count_tokens")),
        ("claude-opus-4-6", ("anthropic.messages", "anthropic.count_tokens")),
        ("meta/llama-3.3-70b-instruct-maas", ("openai.chat",)),
        ("qwen/qwen3-235b-a22b-instruct-2507-maas", ("openai.chat",)),
        ("endpoints/123", ("openai.chat", "vertex.predict")),
    ],
)
def test_the_publisher_decides_what_is_spoken(name: str, dialects: tuple[str, ...]) -> None:
    assert target(name).dialects == dialects


def input_price(name: str, location: str) -> int | None:
    price = target(name, location).price
    return None if price is None else price.tiers[0].input


@pytest.mark.parametrize(
    ("name", "world", "region"),
    [
        # Pico-dollars for an input token. Claude costs a tenth more in a region from 4.5 on.
        ("gemini-2.5-flash", 300_000, 300_000),
        ("gemini-2.5-pro", 1_250_000, 1_250_000),
        ("claude-sonnet-4-5@20250929", 3_000_000, 3_300_000),
        ("claude-haiku-4-5@20251001", 1_000_000, 1_100_000),
        ("claude-opus-4-6", 5_000_000, 5_500_000),
        ("claude-opus-4-1@20250805", 15_000_000, 15_000_000),
        ("claude-opus-4@20250514", 15_000_000, 15_000_000),
        ("claude-3-5-haiku@20241022", 800_000, 800_000),
        ("claude-sonnet-5-5", 2_000_000, 2_200_000),
        ("claude-of-the-future", None, None),
        ("meta/llama-3.3-70b-instruct-maas", None, None),
        ("mistral-medium-3", None, None),
        ("openai/gpt-oss-120b-maas", None, None),
        ("endpoints/123", None, None),
    ],
)
def test_prices(name: str, world: int | None, region: int | None) -> None:
    if not name.startswith("endpoints/"):
        assert input_price(name, "global") == world
    assert input_price(name, "us-east5") == region
    if world != region:
        assert input_price(name, "eu") == region


def test_the_premium_is_on_every_kind_of_token_and_tier() -> None:
    world, region = (
        vertex_price("anthropic", "claude-sonnet-4-5@20250929", where, None) for where in ("global", "us-east5")
    )
    assert world is not None and region is not None
    assert [tier.above_input_tokens for tier in region.tiers] == [0, 200_000]
    for plain, dear in zip(world.tiers, region.tiers, strict=True):
        for field in ("input", "output", "cached_read", "cache_write", "cache_write_1h"):
            assert getattr(dear, field) * 10 == getattr(plain, field) * 11
    assert "10 %" in region.source


def test_long_prompts_of_gemini_have_a_tier() -> None:
    price = target("gemini-2.5-pro").price
    assert price is not None
    assert [(tier.above_input_tokens, tier.input) for tier in price.tiers] == [(0, 1_250_000), (200_000, 2_500_000)]


def test_what_google_sells_only_by_another_row_is_unknown() -> None:
    # The table falls back to Anthropic's row, which is not what Google takes.
    assert token_price("google", "claude-sonnet-5") is not None
    assert target("claude-sonnet-5").price is None


def test_abilities_are_those_of_the_model() -> None:
    known = target("claude-sonnet-4-5@20250929").capabilities
    assert known is not None and known.family == "claude-sonnet-4-5"
    assert target("claude-sonnet-4-5@20250929").max_output_tokens == 64_000
    llama = target("meta/llama-3.3-70b-instruct-maas").capabilities
    assert llama is not None and llama.family == "llama-3.3"
    assert target("endpoints/123").capabilities is None


def test_a_wildcard_finds_them_all() -> None:
    data = {
        "models": {"vertex/*": {"targets": ["vertex/*"]}},
        "providers": {"vertex": {"endpoints": {"mine": {}}, "location": "us-east5"}},
    }
    served = build_snapshot(load_mapping(data, ENV), ENV, 1)
    assert resolve(served, "vertex/claude-opus-4-6")[1][0].dialects[0] == "anthropic.messages"
    assert (
        resolve(served, "vertex/meta/llama-3.3-70b-instruct-maas")[1][0].upstream_model
        == "meta/llama-3.3-70b-instruct-maas"
    )
    assert resolve(served, "vertex/mine")[1][0].facts["endpoint"] == "mine"


def test_a_bare_name_finds_who_sells_it() -> None:
    environ = ENV | {"GEMINI_API_KEY": "x", "GOOGLE_GENAI_USE_VERTEXAI": "1"}
    both = build_snapshot(load_mapping({}, environ), environ, 1)
    assert resolve(both, "gemini-2.5-flash")[1][0].id == "gemini/gemini-2.5-flash"
    assert resolve(both, "claude-opus-4-6")[1][0].id == "vertex/claude-opus-4-6"


def test_listed_endpoints() -> None:
    endpoints = {
        "a": {"endpoint": "123", "base_model": "llama-3.1-8b", "model": "served"},
        "b": {"container": "triton", "dedicated_dns": "1.us-east5-1.prediction.vertexai.goog"},
    }
    served = snapshot(["vertex/a", "vertex/b"], endpoints=endpoints)
    a, b = served.targets["vertex/a"], served.targets["vertex/b"]
    assert a.facts["endpoint"] == "123" and a.capabilities is not None
    assert b.dialects == ("kserve.v2", "vertex.predict")
    assert b.base_url == "https://1.us-east5-1.prediction.vertexai.goog"


def problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        build_snapshot(load_text(text, "trimaran.yaml", ENV), ENV, 1)
    return caught.value


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("claude-sonnet-4-5-20250929", "write vertex/claude-sonnet-4-5@20250929"),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", "Bedrock"),
        ("projects/p/locations/l", "publisher/model"),
    ],
)
def test_names_of_other_clouds_are_refused_with_their_line(name: str, mend: str) -> None:
    error = problem(f"models:\n  m:\n    targets: ['vertex/{name}']\n")
    assert error.where.startswith("trimaran.yaml:3")
    assert mend in f"{error.message} {error.hint}"


def test_endpoints_stand_in_a_region() -> None:
    error = problem("models:\n  m: {targets: [vertex/endpoints/123]}\n")
    assert "global" in error.message and "gcloud ai endpoints list" in error.hint


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{container: lmi}", "lmi is SageMaker's"),
        ("{variant: AllTraffic}", "only SageMaker has it"),
        ("{container: jumpstart}", "needs it to tell turns apart"),
    ],
)
def test_what_an_endpoint_cannot_have_is_told_with_its_line(written: str, message: str) -> None:
    text = f"models:\n  m: {{targets: [vertex/a]}}\nproviders:\n  vertex:\n    location: us-east5\n    endpoints:\n      a: {written}\n"
    error = problem(text)
    assert "trimaran.yaml:7" in f"{error.where} {error}"
    assert message in str(error)


def test_settings_of_vertex_are_not_sagemakers() -> None:
    text = "models:\n  m: {targets: [sagemaker/a]}\nproviders:\n  sagemaker:\n    region: us-east-1\n    endpoints: {a: {container: garden}}\n"
    assert "only Vertex AI has it" in str(problem(text))


def test_a_misspelt_endpoint_is_asked_about() -> None:
    served = snapshot(["vertex/my-lama"], endpoints={"my-llama": {}})
    assert any("did you mean my-llama?" in warning for warning in served.warnings)
