"""No attempt costs more than its bound: what is billed and does not stand in the body, limits that nobody gave, and what has
no limit at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.catalog import cost_nanos, families, picture_tokens, token_price
from trimaran.dispatch.bounds import (
    DEFAULT_OUTPUT_TOKENS,
    LONGEST_CONTEXT,
    TEMPLATE_TOKENS,
    TOOLS_TOKENS,
    UNBOUNDED_TOKENS,
    Bounds,
)
from trimaran.types import Capabilities, PriceTier, Target, TokenPrice, Usage
from trimaran.wire import DIALECTS, Envelope, translate

PICTURE = {"type": "image_url", "image_url": {"url": "https://p.example/a.png"}}
KNOWN = Capabilities(
    family="gpt-4x", has=frozenset({"vision", "documents"}), max_output_tokens=64_000, context_tokens=200_000
)
PRICE = TokenPrice(
    version="v",
    source="s",
    as_of="2026-01-01",
    tiers=(PriceTier(0, 1_000, 2_000),),
    services={
        "flex": (PriceTier(0, 500, 1_000),),
        "priority": (PriceTier(0, 3_000, 6_000),),
        "batch": (PriceTier(0, 500, 1_000),),
        "fast": (PriceTier(0, 9_000, 9_000),),
    },
    web_search=10_000_000,
    file_search=2_500_000,
)


def target(
    dialect: str = "openai.chat",
    known: Capabilities | None = None,
    limit: int | None = None,
    price: TokenPrice | None = PRICE,
    model: str = "m",
) -> Target:
    return Target("t/m", "t", model, (dialect,), "https://t", max_output_tokens=limit, capabilities=known, price=price)


def read(dialect: str, **fields: Any) -> Envelope:
    return DIALECTS[dialect].read(json.dumps({"model": "chat", **fields}).encode())


def chat(*content: Any, **fields: Any) -> Envelope:
    return read("openai.chat", messages=[{"role": "user", "content": list(content) or "hi"}], **fields)


def messages(*content: Any, **fields: Any) -> Envelope:
    return read(
        "anthropic.messages",
        **{"max_tokens": 10, "messages": [{"role": "user", "content": list(content) or "hi"}]} | fields,
    )


def responses(*items: Any, **fields: Any) -> Envelope:
    return read("openai.responses", input=list(items) or "hi", max_output_tokens=10, **fields)


def inputs(asked: Envelope, at: Target) -> int:
    """Input tokens of the bound."""
    bounds = Bounds(at)
    return bounds.tokens(asked, asked.body) - bounds.output(asked)


def nanos(asked: Envelope, at: Target) -> int | None:
    return Bounds(at).nanos(asked, asked.body)


@pytest.mark.parametrize(
    ("at", "tokens"),
    [
        (target(), DEFAULT_OUTPUT_TOKENS),
        (target(known=KNOWN), 64_000),
        (target(known=KNOWN, limit=9), 9),
    ],
)
def test_an_answer_without_a_limit_is_as_long_as_the_model_gives(at: Target, tokens: int) -> None:
    assert Bounds(at).output(chat()) == tokens
    assert Bounds(at).output(chat(n=3)) == 3 * tokens


def test_the_clients_limit_is_over_all_answers() -> None:
    assert Bounds(target()).output(chat(n=3, max_tokens=5)) == 15


def test_no_family_gives_more_than_the_default_without_saying_so() -> None:
    longer = [known.family for known in families() if (known.max_output_tokens or 0) > DEFAULT_OUTPUT_TOKENS]
    assert longer == ["gpt-5-pro"]


@pytest.mark.parametrize("effort", ["low", "high", "max"])
def test_what_a_translation_asks_for_is_within_the_bound(effort: str) -> None:
    asked, at = chat(reasoning_effort=effort), target("anthropic.messages")
    body = json.loads(translate(DIALECTS["openai.chat"], asked, at).body)
    assert body["max_tokens"] <= Bounds(at).output(asked)


def test_a_text_is_at_most_as_many_tokens_as_bytes_and_what_its_template_adds() -> None:
    asked = chat(max_tokens=7)
    assert inputs(asked, target(known=KNOWN)) == len(asked.body)
    assert inputs(asked, target()) == len(asked.body) + TEMPLATE_TOKENS
    assert nanos(asked, target(known=KNOWN)) == len(asked.body) * 3 + 7 * 6
    assert nanos(asked, target(price=None)) is None


def test_a_longer_translation_counts() -> None:
    assert Bounds(target(known=KNOWN)).tokens(chat(max_tokens=1), b"x" * 5000) == 5001


def test_tools_are_explained_to_the_model() -> None:
    asked = chat(tools=[{"type": "function", "function": {"name": "f"}}])
    assert inputs(asked, target(known=KNOWN)) == len(asked.body) + TOOLS_TOKENS
    typed = messages(tools=[{"type": "bash_20250124", "name": "bash"}, {"name": "f", "input_schema": {}}])
    assert inputs(typed, target("anthropic.messages", KNOWN)) == len(typed.body) + 2 * TOOLS_TOKENS


# Pictures and documents


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-mini-2024-07-18", 48_169),
        ("gpt-4o", 1_445),
        ("gpt-4.1-mini", 2_489),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_640),
        ("claude-opus-4-8", 4_784),
        ("qwen3-vl-32b", 16_384),
        ("my-deployment", 48_169),
    ],
)
def test_each_picture_counts_as_what_the_model_makes_of_one(model: str, tokens: int) -> None:
    assert picture_tokens(model) == tokens
    asked = chat(PICTURE, {"type": "text", "text": 'no "image_url"'}, PICTURE)
    assert inputs(asked, target(known=KNOWN, model=model)) == len(asked.body) + 2 * tokens


DATA = "data:image/png;base64," + "A" * 100_000
INLINE = [
    chat({"type": "image_url", "image_url": {"url": DATA, "detail": "high"}}),
    responses({"role": "user", "content": [{"type": "input_image", "image_url": DATA}]}),
    responses({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": DATA}]}),
    messages({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}),
    messages(
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}],
        }
    ),
]


@pytest.mark.parametrize("asked", INLINE)
def test_the_bytes_of_a_picture_are_no_text(asked: Envelope) -> None:
    at = target(asked.dialect, KNOWN, model="gpt-4o")
    assert 1_445 <= inputs(asked, at) < 1_445 + 400
    # A server may show them as text to a model that sees nothing.
    blind = target(asked.dialect, Capabilities(family="gpt-4x"), model="gpt-4o")
    assert inputs(asked, blind) >= 1_445 + 100_000


def test_what_only_looks_like_a_picture_is_text() -> None:
    at = target("anthropic.messages", KNOWN)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    hidden = {"type": "image", "source": {"type": "base64", "data": "x" * 50_000}}
    for block in (
        {"type": "text", "text": DATA},
        {"type": "tool_use", "id": "t", "name": "f", "input": hidden},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x" * 50_000}},
    ):
        asked = messages(image, block)
        assert inputs(asked, at) > 50_000 + picture_tokens("m")
    quoted = chat(PICTURE, tools=[{"type": "function", "function": {"name": "f", "parameters": hidden}}])
    assert inputs(quoted, target(known=KNOWN)) > 50_000


def test_a_translated_picture_counts_once_and_what_was_written_beside_it_counts() -> None:
    asked = INLINE[0]
    at = target("anthropic.messages", KNOWN, model="gpt-4o")
    sent = translate(DIALECTS["openai.chat"], asked, at).body
    got = Bounds(at).tokens(asked, sent) - Bounds(at).output(asked)
    assert 1_445 <= got < 1_445 + 400
    longer = sent.replace(b'"messages"', b'"system":"%b","messages"' % (b"x" * 7_000), 1)
    assert Bounds(at).tokens(asked, longer) - Bounds(at).output(asked) >= 1_445 + 7_000
    # The picture was left out, and as much was written.
    text = json.dumps({"messages": [{"role": "user", "content": "x" * 100_000}]}).encode()
    assert Bounds(at).tokens(asked, text) - Bounds(at).output(asked) >= 100_000


def test_a_form_that_is_unknown_counts_every_word_for_a_picture() -> None:
    asked = chat(PICTURE)
    asked.body = asked.body.replace(b'"role": "user"', b'"role": "user", "output": 7')
    assert inputs(asked, target(known=KNOWN)) == len(asked.body) + picture_tokens("m")


def test_what_is_only_referred_to_may_fill_the_context() -> None:
    asked = responses(previous_response_id="resp_1")
    assert inputs(asked, target("openai.responses", KNOWN)) == 200_000
    assert inputs(asked, target("openai.responses")) == LONGEST_CONTEXT
    pdf = messages(
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 90_000}}
    )
    assert inputs(pdf, target("anthropic.messages", KNOWN)) == 200_000


# Service tiers


@pytest.mark.parametrize(
    ("fields", "per_token"),
    [
        ({}, 3),
        ({"service_tier": None}, 3),
        ({"service_tier": "auto"}, 3),
        ({"service_tier": "default"}, 1),
        ({"service_tier": "flex"}, 1),
        ({"service_tier": "priority"}, 3),
        ({"service_tier": "fast"}, 3),
        ({"service_tier": "scale"}, None),
        ({"service_tier": 7}, None),
    ],
)
def test_the_dearest_tier_that_may_serve_it_counts(fields: dict[str, Any], per_token: int | None) -> None:
    asked = chat(max_tokens=0, **fields)
    assert nanos(asked, target(known=KNOWN)) == (None if per_token is None else len(asked.body) * per_token)


@pytest.mark.parametrize(
    ("tier", "fields", "per_token"),
    [
        ("priority", {}, 3),
        ("priority", {"service_tier": "default"}, 3),
        ("flex", {"service_tier": "default"}, 1),
        ("default", {"service_tier": "default"}, 1),
        ("reserved", {}, None),
    ],
)
def test_a_tier_of_the_provider_counts_as_asked_for(tier: str, fields: dict[str, Any], per_token: int | None) -> None:
    asked = chat(max_tokens=0, **fields)
    found = Bounds(target(), tier).nanos(asked, asked.body)
    if per_token is None:
        assert found is None
    else:
        assert found == Bounds(target()).tokens(asked, asked.body) * per_token


def test_a_tier_that_was_asked_for_and_has_no_price_has_no_bound() -> None:
    plain = TokenPrice("v", "s", "2026-01-01", PRICE.tiers)
    at = target(known=KNOWN, price=plain)
    assert nanos(chat(max_tokens=1, service_tier="priority"), at) is None
    flex = chat(max_tokens=0, service_tier="flex")
    assert nanos(flex, at) == len(flex.body)


@pytest.mark.parametrize(
    ("fields", "per_token"),
    [
        ({"service_tier": "standard_only"}, 1),
        ({"service_tier": "standard_only", "speed": "standard"}, 1),
        ({"service_tier": "standard_only", "speed": "fast"}, 9),
        ({"speed": "warp"}, None),
        ({"service_tier": "standard_only", "inference_geo": "global"}, 1),
        ({"inference_geo": "us"}, None),
    ],
)
def test_the_ways_to_be_served_of_anthropic(fields: dict[str, Any], per_token: int | None) -> None:
    asked = messages(max_tokens=0, **fields)
    found = nanos(asked, target("anthropic.messages", KNOWN))
    assert found == (None if per_token is None else len(asked.body) * per_token)


# What the provider does by itself

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


def test_a_search_is_charged_and_the_prompt_is_read_again_after_it() -> None:
    asked = messages(tools=[SEARCH], service_tier="standard_only")
    at = target("anthropic.messages", KNOWN)
    assert Bounds(at).tokens(asked, asked.body) == 10 * 200_000 + 10 * 10
    assert nanos(asked, at) == 10 * 200_000 + 10 * 10 * 2 + 3 * 10_000
    fetch = messages(tools=[SEARCH | {"type": "web_fetch_20250910"}], service_tier="standard_only")
    assert nanos(fetch, at) == 10 * 200_000 + 10 * 10 * 2
    many = messages(tools=[SEARCH | {"max_uses": 20}], service_tier="standard_only")
    assert nanos(many, at) == 21 * 200_000 + 21 * 10 * 2 + 20 * 10_000
    assert nanos(asked, target("anthropic.messages", KNOWN, price=TokenPrice("v", "s", "d", PRICE.tiers))) is None


def test_the_limit_on_calls_bounds_the_tools_of_responses() -> None:
    at = target("openai.responses", KNOWN)
    tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["v"]}]
    asked = responses(tools=tools, max_tool_calls=2, service_tier="default")
    assert nanos(asked, at) == 3 * 200_000 + 10 * 2 + 2 * 10_000 + 2 * 2_500
    assert nanos(responses(tools=tools[1:], max_tool_calls=2, service_tier="default"), at) == 3 * 200_000 + 20 + 5_000


@pytest.mark.parametrize(
    "asked",
    [
        messages(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        messages(tools=[SEARCH | {"type": "web_search_20260209"}]),
        messages(tools=[SEARCH | {"max_uses": 10**6}]),
        messages(tools=[{"type": "code_execution_20250825", "name": "code_execution"}]),
        messages(tools=[{"type": "mcp_toolset", "mcp_server_name": "x"}]),
        messages(mcp_servers=[{"type": "url", "url": "https://x", "name": "x"}]),
        messages(context_management={"edits": [{"type": "compact_20260112"}]}),
        messages(never_heard_of=True),
        responses(tools=[{"type": "web_search"}]),
        responses(
            tools=[{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}],
            max_tool_calls=1,
        ),
        responses(tools=[{"type": "web_search_preview"}], max_tool_calls=1),
        responses(tools=[{"type": "mcp", "server_label": "x"}], max_tool_calls=1),
        responses(tools=[{"type": "image_generation"}], max_tool_calls=1),
        responses(tools="all"),
        responses(tools=[{"type": "file_search"}, SEARCH], max_tool_calls=1),
        responses(prompt={"id": "pmpt_1"}),
        chat(web_search_options={}),
        chat(tools=[{"type": "browser_search"}]),
        chat(plugins=[{"id": "web"}]),
        chat(best_of=4),
    ],
    ids=lambda asked: asked.body[-60:].decode(),
)
def test_what_has_no_limit_has_no_bound(asked: Envelope) -> None:
    at = target(asked.dialect, KNOWN)
    assert nanos(asked, at) is None
    assert Bounds(at).tokens(asked, asked.body) == UNBOUNDED_TOKENS


def test_what_changes_nothing_keeps_its_bound() -> None:
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    for asked in (messages(context_management=edits), messages(mcp_servers=[]), chat(plugins=None), chat(tools=[])):
        assert nanos(asked, target(asked.dialect, KNOWN)) is not None


def test_the_older_search_has_one_fee_where_the_model_reasons() -> None:
    reasons = Capabilities(family="gpt-4x", has=frozenset({"reasoning"}), context_tokens=1_000)
    asked = responses(tools=[{"type": "web_search_preview"}], max_tool_calls=1)
    assert nanos(asked, target("openai.responses", reasons)) is not None


def test_a_model_that_always_searches_is_charged_for_it() -> None:
    at = target(known=KNOWN, model="gpt-4o-search-preview")
    asked = chat(max_tokens=1, service_tier="default", web_search_options={})
    assert nanos(asked, at) == len(asked.body) + 200_000 + 2 + 10_000


def test_a_prediction_that_is_wrong_is_billed_as_output() -> None:
    prediction = {"type": "content", "content": "x" * 900}
    asked = chat(max_tokens=10, prediction=prediction, n=2)
    tokens = Bounds(target(known=KNOWN)).tokens(asked, asked.body)
    assert tokens == len(asked.body) + 20 + 2 * len(json.dumps(prediction))


def test_the_same_tools_are_found_again_and_others_are_not_taken_for_them() -> None:
    bounds = Bounds(target("anthropic.messages", KNOWN))
    free, bounded = messages(tools=[SEARCH | {"max_uses": None}]), messages(tools=[SEARCH])
    for asked, known in ((bounded, True), (bounded, True), (free, False), (free, False), (bounded, True)):
        assert (bounds.nanos(asked, asked.body) is not None) == known


MODELS = [("openai", "gpt-5"), ("openai", "gpt-4o"), ("anthropic", "claude-fable-5-2"), ("google", "gemini-2.5-pro")]


@given(st.sampled_from(MODELS), st.sampled_from(["auto", "default", "flex", "priority"]), st.data())
def test_no_answer_costs_more_than_its_bound(model: tuple[str, str], asked_tier: str, data: st.DataObject) -> None:
    price = token_price(*model)
    assert price is not None
    asked = chat(max_tokens=data.draw(st.integers(0, 5_000)), service_tier=asked_tier)
    bounds = Bounds(target(known=KNOWN, price=price))
    bound = bounds.nanos(asked, asked.body)
    if bound is None:
        assert asked_tier == "priority"
        return
    served = [""] + [name for name in ("flex", "priority") if name in price.services and asked_tier in ("auto", name)]
    total, output = len(asked.body), bounds.output(asked)
    inputs_used, outputs_used = data.draw(st.integers(0, total)), data.draw(st.integers(0, output))
    cached = data.draw(st.integers(0, inputs_used))
    written = data.draw(st.integers(0, inputs_used - cached))
    usage = Usage(
        inputs_used,
        outputs_used,
        cached,
        written,
        data.draw(st.integers(0, written)),
        data.draw(st.integers(0, outputs_used)),
    )
    cost = cost_nanos(price, usage, data.draw(st.sampled_from(served)))
    assert cost is not None
    assert cost <= bound


def untold() -> Envelope:
    """A request of which nobody can say how many tokens it is."""
    return DIALECTS["sagemaker.invocations"].read(b"anything", b"/endpoints/m/invocations")


def test_what_counts_no_tokens_has_no_bound() -> None:
    at = target(price=PRICE)
    assert nanos(untold(), at) is None
    assert Bounds(at).tokens(untold(), b"anything") == UNBOUNDED_TOKENS


def test_what_costs_the_same_for_every_request_has_one_without_a_count() -> None:
    flat = msgspec.structs.replace(PRICE, tiers=(PriceTier(0, 0, 0),), services={}, request=5_000)
    assert nanos(untold(), target(price=flat)) == 5
