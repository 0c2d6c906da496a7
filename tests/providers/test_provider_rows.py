"""The rows: complete, sourced, and consistent with what the rest of the house knows."""

from __future__ import annotations

import re

import pytest

from trimaran.catalog import capabilities, token_price
from trimaran.providers import NOT_YET, PROVIDERS, ProviderRow, discover, output_limit
from trimaran.providers.clouds import CLOUDS
from trimaran.providers.doors import DOORS
from trimaran.types import Capabilities
from trimaran.wire import DIALECTS

ROWS = list(PROVIDERS.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_complete_and_says_where_it_comes_from(row: ProviderRow) -> None:
    assert re.search(r", 20\d\d-\d\d-\d\d$", row.source), "a fact about a vendor needs its source and date"
    assert set(row.dialects) <= DIALECTS.keys()
    assert row.base_url.startswith("https://")
    # The dialect's path begins with /v1; a base URL with it would double it.
    assert not row.base_url.endswith(("/", "/v1"))
    if row.cloud:
        # Signed in, asked in a place of its own, and without a key with no look-up at the same address.
        assert row.cloud in CLOUDS
        assert "{" in row.base_url
        assert row.door in DOORS
        assert row.check_path == "" or row.key_env
    else:
        assert row.check_path.startswith(("/v1/", "/v1beta/"))
        assert row.key_env
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+_API_KEY|AWS_BEARER_TOKEN_[A-Z]+", name) for name in row.key_env)
    assert row.auth in ("bearer", "x-api-key", "x-goog-api-key", "api-key")


@pytest.mark.parametrize("row", [row for row in ROWS if row.default_model], ids=lambda row: row.name)
def test_a_default_model_has_a_price(row: ProviderRow) -> None:
    # `auto` under a cost limit would otherwise refuse it.
    assert token_price(row.price_provider, row.default_model) is not None


def test_the_defaults_of_the_library() -> None:
    assert PROVIDERS["openai"].default_model == "gpt-4o-mini"
    assert PROVIDERS["anthropic"].default_model == "claude-haiku-4-5-20251001"
    assert list(PROVIDERS)[:2] == ["openai", "anthropic"]


def test_the_names_are_unique_and_none_is_promised_for_later() -> None:
    assert all(name == row.name for name, row in PROVIDERS.items())
    assert not NOT_YET & set(PROVIDERS)
    variables = [name for row in ROWS for name in row.key_env]
    assert len(variables) == len(set(variables))


def test_discovery_follows_the_rows_order() -> None:
    found = discover({"GROQ_API_KEY": "x", "OPENAI_API_KEY": "y", "ANTHROPIC_API_KEY": " ", "OTHER_API_KEY": "z"})
    assert [row.name for row in found] == ["openai", "groq"]
    assert discover({}) == []


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-haiku-4-5-20251001", 64000),
        ("claude-opus-4-1-20250805", 32000),
        ("claude-opus-4-20250514", 32000),
        ("claude-opus-4-6", 128000),
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-sonnet-20241022", 8192),
        ("claude-of-the-future", 4096),
    ],
)
def test_the_longest_answer_of_claude_models(model: str, limit: int) -> None:
    assert output_limit(("anthropic.messages",), capabilities(model)) == limit


def test_only_a_dialect_that_demands_a_limit_gets_one() -> None:
    assert output_limit(("openai.chat",), capabilities("gpt-4o-mini")) is None
    assert output_limit(("openai.chat", "anthropic.messages"), capabilities("claude-opus-5")) is None
    assert output_limit(("anthropic.messages",), None) == 4096
    assert output_limit(("anthropic.messages",), Capabilities(family="x")) == 4096
