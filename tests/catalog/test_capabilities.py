"""The table of capabilities: its integrity, what names mean, and what the operator states over it."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import capabilities, families, overridden
from trimaran.catalog.capabilities import _Row, _Table, plain_name
from trimaran.catalog.clauses import Clause, matches
from trimaran.types import FEATURES, Capabilities

TABLE = msgspec.json.decode((files("trimaran.catalog") / "capabilities.json").read_bytes(), type=_Table)
KNOWN = [row for row in TABLE.families if row.family]
PRICES: dict[str, Any] = msgspec.json.decode((files("trimaran.catalog") / "token_prices.json").read_bytes())
CONTROLS = {"", "effort", "budget", "adaptive"}


def names_in(clause: Clause) -> list[str]:
    """A name that each part of a clause is about."""
    if isinstance(clause, str):
        return [] if clause[0] == "~" else [clause[1:]]
    if clause[0] == "|":
        return [name for part in clause[1:] for name in names_in(part)]
    # All parts must hold: the first one begins the name, the last one ends it.
    return [first + last for first in names_in(clause[1]) for last in names_in(clause[-1])]


def row_of(name: str) -> _Row | None:
    plain = plain_name(name)
    return next((row for row in TABLE.families if any(matches(clause, plain) for clause in row.match)), None)


# Integrity


def test_every_row_has_a_source_and_a_date() -> None:
    date.fromisoformat(TABLE.as_of)
    used = set()
    for row in KNOWN:
        assert row.source.split(), row.family
        used |= set(row.source.split())
        assert date.fromisoformat(row.as_of) <= date.fromisoformat(TABLE.as_of), row.family
    assert used == set(TABLE.sources)


def test_a_row_without_a_family_says_why_and_nothing_else() -> None:
    for row in TABLE.families:
        assert bool(row.why) != bool(row.family), row
        assert row.family or not (row.has or row.lacks or row.context_tokens or row.max_output_tokens), row


def test_features_exist_and_none_is_both_had_and_lacking() -> None:
    for row in KNOWN:
        has, lacks = row.has.split(), row.lacks.split()
        assert set(has) | set(lacks) <= set(FEATURES), row.family
        assert len(has + lacks) == len(set(has + lacks)), row.family
        assert "chat" in has or "embeddings" in has, row.family


def test_figures_fit_each_other() -> None:
    for row in KNOWN:
        assert row.reasoning_control in CONTROLS, row.family
        assert not row.reasoning_control or "reasoning" in row.has.split(), row.family
        assert not row.cache_min_tokens or "caching" in row.has.split(), row.family
        assert not row.embedding_dimensions or "embeddings" in row.has.split(), row.family
        if row.context_tokens and row.max_output_tokens:
            assert row.max_output_tokens <= row.context_tokens, row.family
        figures = (row.context_tokens, row.max_output_tokens, row.cache_min_tokens, row.embedding_dimensions)
        assert all(figure is None or figure > 0 for figure in figures), row.family


def test_each_family_stands_once() -> None:
    names = [row.family for row in KNOWN]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.family)
def test_every_clause_of_a_family_is_reached(row: _Row) -> None:
    # A row further up that takes its names would silently give them other facts.
    for clause in row.match:
        assert names_in(clause)
        for name in names_in(clause):
            found = capabilities(name)
            assert found is not None, name
            assert found.family == row.family, name


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_every_priced_model_has_a_family_or_is_left_out_on_purpose(provider: str) -> None:
    for model in PRICES["providers"][provider]["models"]:
        whole = [clause[1:] for clause in model[1] if isinstance(clause, str) and clause[0] == "="]
        for name in (model[0], *whole):
            # The id of one row is the beginning of a name, not a name.
            if name != "ft:gpt-4-0":
                assert row_of(name) is not None, f"{name}: add a row, with a family or with a reason for none"


def test_every_claude_model_knows_what_its_dialect_demands() -> None:
    # anthropic.messages demands max_tokens; a Claude model without its figure would be cut off at 4096.
    for row in KNOWN:
        if row.family.startswith("claude-"):
            assert row.max_output_tokens, row.family
            assert row.context_tokens, row.family


# What names mean


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("GPT-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("ft:gpt-4o-mini-2024-07-18:org::id", "gpt-4o-mini"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),
        ("gpt-4-1106-preview", "gpt-4-turbo-preview"),
        ("gpt-5-mini-2025-08-07", "gpt-5"),
        ("gpt-5-1-codex", "gpt-5.1"),
        ("gpt-5.2-chat-latest", "gpt-chat"),
        ("o3-mini-high", "o3-mini"),
        ("openai/gpt-oss-120b", "gpt-oss"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss"),
        ("databricks-gpt-oss-20b", "gpt-oss"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-opus-4@20250514", "claude-opus-4"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-5-latest", "claude-opus-5"),
        ("anthropic.claude-v2:1", "claude-2"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3"),
        ("Meta-Llama-3.1-70B-Instruct", "llama-3.1"),
        ("meta.llama3-1-8b-instruct-v1:0", "llama-3.1"),
        ("accounts/fireworks/models/llama-v3p1-70b-instruct", "llama-3.1"),
        ("@cf/meta/llama-3.1-8b-instruct", "llama-3.1"),
        ("llama3.1:8b", "llama-3.1"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "llama-3.2-vision"),
        ("Qwen/Qwen3-1.7B", "qwen3"),
        ("qwen2.5:7b", "qwen2.5"),
        ("Qwen/Qwen2.5-7B-Instruct-1M", "qwen2.5-1m"),
        ("accounts/fireworks/models/qwen2p5-vl-72b-instruct", "qwen2.5-vl"),
        ("deepseek.r1-v1:0", "deepseek-r1"),
        ("deepseek-r1-distill-llama-70b", "deepseek-r1-distill"),
        ("zai-glm-4.7", "glm-4.6"),
        ("grok-4.20-0309-reasoning", "grok-4.20"),
        ("gemini-3.5-flash-lite", "gemini-3.5-flash-lite"),
        ("google/gemini-3.5-flash", "gemini-3.5-flash"),
        ("gemma3:27b", "gemma-3"),
        ("us.amazon.nova-2-lite-v1:0", "nova-2-lite"),
        ("cohere.embed-v4:0", "embed-v4.0"),
        ("BAAI/bge-m3", "bge-m3"),
        ("databricks-gte-large-en", "gte-large"),
    ],
)
def test_names_resolve_whatever_stands_around_them(name: str, family: str) -> None:
    found = capabilities(name)
    assert found is not None
    assert found.family == family


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "my-model",
        # A version that the table does not know is another model.
        "gpt-5.9",
        "gpt-7",
        "claude-opus-5-6",
        "claude-sonnet-9",
        "gemini-3.9-flash",
        "llama-3.7-8b",
        # It only looks like the model whose name it bears.
        "gpt-50",
        "gpt-4o-realtime-preview",
        "gpt-4o-mini-transcribe",
        "gemini-2.5-flash-image",
        "llama-guard-3-8b",
        "nvidia/Llama-3.1-Nemotron-Nano-VL-8B-V1",
        "phi-4-multimodal-instruct",
        "llava-llama-3-8b",
        "gemma-3-1b-it",
        "Qwen/Qwen3-Reranker-8B",
        "gpt-3.5-turbo-instruct",
        "gpt-4o" + "-x" * 200,
    ],
)
def test_nothing_is_assumed_of_a_name_that_the_table_does_not_know(name: str) -> None:
    assert capabilities(name) is None


def test_versions_dates_and_sizes_are_told_apart() -> None:
    assert matches("@gpt-5", "gpt-5")
    assert matches("@gpt-5", "gpt-5-2025-08-07")
    assert matches("@gpt-4", "gpt-4-0613")
    assert matches("@gemma-3", "gemma-3-27b-it")
    assert not matches("@gpt-5", "gpt-5-1")
    assert not matches("@gpt-4", "gpt-4o")
    assert not matches("@grok-4", "grok-4-20-reasoning")


@pytest.mark.parametrize(
    ("clause", "yes", "no"),
    [
        ("=abc", "abc", "abcd"),
        ("^ab", "abc", "cab"),
        ("$bc", "abc", "bcd"),
        ("*b", "abc", "ac"),
        ("~^a.c$", "abc", "abcd"),
        (["&", "^a", "$c"], "abc", "abd"),
        (["|", "=x", ["&", "^a", "*b"]], "ab", "ac"),
    ],
)
def test_each_clause_means_what_its_sign_says(clause: Clause, yes: str, no: str) -> None:
    assert matches(clause, yes)
    assert not matches(clause, no)


@given(st.text(max_size=300))
def test_any_text_is_a_name(name: str) -> None:
    found = capabilities(name)
    assert found is None or found.family


@given(
    st.sampled_from([name for row in KNOWN for clause in row.match for name in names_in(clause)]),
    st.sampled_from(["openai/", "accounts/x/models/", "us.anthropic.", "eu.meta.", "databricks-", "@cf/meta/"]),
    st.booleans(),
)
def test_a_prefix_and_case_change_nothing(name: str, prefix: str, upper: bool) -> None:
    decorated = prefix + name
    if prefix.endswith(".") and not name[:2].isalpha():
        return
    assert capabilities(decorated.upper() if upper else decorated) == capabilities(name)


# Facts that requests depend on


def have(name: str, feature: str) -> bool | None:
    found = capabilities(name)
    assert found is not None
    return True if feature in found.has else False if feature in found.lacks else None


@pytest.mark.parametrize(
    ("name", "feature", "has"),
    [
        ("gpt-4o", "vision", True),
        ("gpt-4", "vision", False),
        ("gpt-4o", "prefill", False),
        ("gpt-4o", "sampling", True),
        ("o3", "sampling", False),
        ("gpt-5", "sampling", False),
        # These take a temperature while their reasoning is off.
        ("gpt-5.1", "sampling", None),
        ("gpt-6-sol", "sampling", None),
        # These cannot turn it off.
        ("gpt-6-astra", "sampling", False),
        ("gpt-6.1-sol", "sampling", False),
        ("gpt-4-turbo", "json_schema", False),
        ("claude-3-5-sonnet-20241022", "json_schema", False),
        ("claude-sonnet-4-5", "json_schema", True),
        ("claude-opus-4-5", "prefill", True),
        ("claude-opus-4-6", "prefill", False),
        ("claude-opus-4-6", "sampling", True),
        ("claude-opus-4-7", "sampling", False),
        ("claude-haiku-4-5", "sampling", True),
        ("claude-sonnet-5", "logprobs", False),
        ("gemini-3.6-flash", "prefill", False),
        ("gemini-2.5-pro", "audio", True),
        ("llama-3.3-70b", "vision", False),
        ("llama-3.3-70b", "json_schema", None),
        ("text-embedding-3-small", "chat", False),
        ("text-embedding-3-small", "embeddings", True),
    ],
)
def test_what_models_can_do(name: str, feature: str, has: bool | None) -> None:
    assert have(name, feature) is has


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("o3", "effort"),
        ("gpt-oss-20b", "effort"),
        ("claude-3-7-sonnet", "budget"),
        ("claude-haiku-4-5", "budget"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-fable-5-2", "adaptive"),
        ("gpt-4o", ""),
    ],
)
def test_how_reasoning_is_set(name: str, control: str) -> None:
    found = capabilities(name)
    assert found is not None
    assert found.reasoning_control == control


def test_a_model_that_embeds_says_how_long_its_vectors_are() -> None:
    lengths = {family.family: family.embedding_dimensions for family in families() if "embeddings" in family.has}
    assert lengths["text-embedding-3-large"] == 3072
    assert [name for name, length in lengths.items() if length is None] == ["gte-qwen2-1.5b"]


# What the operator states


def test_a_stated_fact_replaces_only_itself() -> None:
    known = capabilities("gpt-4o")
    assert known is not None
    changed = overridden(known, family="x", source="t.yaml:3", lacks=["vision"], has=["audio"], context_tokens=9)
    assert (changed.family, changed.context_tokens, changed.max_output_tokens) == ("gpt-4o", 9, 16384)
    assert changed.has == known.has - {"vision"} | {"audio"}
    assert changed.lacks == known.lacks - {"audio"} | {"vision"}
    assert changed.source == f"t.yaml:3; {known.source}"


def test_a_model_of_ones_own() -> None:
    mine = overridden(None, family="mine", source="t.yaml:3", has=["tools"], reasoning_control="effort")
    assert mine == Capabilities(
        family="mine", has=frozenset({"tools", "reasoning"}), reasoning_control="effort", source="t.yaml:3"
    )


def test_a_model_said_not_to_reason_has_no_way_to_set_it() -> None:
    known = overridden(capabilities("o3"), family="x", source="s", lacks=["reasoning"])
    assert known.reasoning_control == ""
    assert "reasoning" in known.lacks - known.has


# Cost


def test_importing_reads_nothing_and_the_first_question_is_quick() -> None:
    code = (
        "import time; from trimaran.catalog import capabilities; from trimaran.catalog.capabilities import _table;"
        "assert _table.cache_info().currsize == 0; start = time.process_time(); capabilities('no-such-model');"
        "print(time.process_time() - start)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    # It takes 3 ms here; machines differ.
    assert float(out) < 0.05


def test_a_name_is_looked_up_once() -> None:
    capabilities.cache_clear()
    capabilities("gpt-4o")
    start = time.process_time()
    for _ in range(1000):
        capabilities("gpt-4o")
    assert time.process_time() - start < 0.05
    assert capabilities.cache_info().misses == 1


# The page


def test_the_page_names_every_family() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "capabilities.md").read_text(encoding="utf-8")
    cells = {
        name for line in page.splitlines() if line.startswith("| ") for name in line.split(" | ")[0][2:].split(", ")
    }
    assert {family.family for family in families()} <= cells
