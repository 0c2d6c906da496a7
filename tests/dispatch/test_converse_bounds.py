"""A request in Converse has a bound where everything it holds has one; what it cannot bound, no budget lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.catalog import picture_tokens
from trimaran.dispatch.attachments import attachments
from trimaran.dispatch.bounds import TOOLS_TOKENS, Bounds
from trimaran.types import Capabilities, PriceTier, Target, TokenPrice
from trimaran.wire import DIALECTS, Envelope

TIERS = {"flex": (PriceTier(0, 500, 1_000),), "priority": (PriceTier(0, 3_000, 6_000),)}
PRICE = TokenPrice(version="v", source="s", as_of="2026-01-01", tiers=(PriceTier(0, 1_000, 2_000),), services=TIERS)
CLAUDE = Capabilities(family="claude-x", has=frozenset({"vision", "documents"}), context_tokens=200_000)


def target(kind: str = "bedrock") -> Target:
    known = ("bedrock.converse",)
    return Target("b/m", "b", "m", known, "https://b", capabilities=CLAUDE, price=PRICE, kind=kind)


def asked(*content: Any, **members: Any) -> Envelope:
    turn = {"role": "user", "content": [{"text": "hi"}, *content]}
    body = {"messages": [turn], "inferenceConfig": {"maxTokens": 10}, **members}
    return DIALECTS["bedrock.converse"].read(json.dumps(body).encode(), b"/model/chat/converse")


def nanos(envelope: Envelope, kind: str = "bedrock") -> int | None:
    return Bounds(target(kind)).nanos(envelope, envelope.body)


def tokens(envelope: Envelope) -> int:
    return Bounds(target()).tokens(envelope, envelope.body)


def test_a_plain_request_costs_at_most_its_bytes_and_its_limit() -> None:
    envelope = asked(requestMetadata={"team": "a"}, additionalModelResponseFieldPaths=["/stop_sequence"])
    size = len(envelope.body)
    assert nanos(envelope) == -(-(size * 1_000 + 10 * 2_000) // 1_000)
    assert tokens(envelope) == size + 10


def test_tools_of_the_client_add_what_the_provider_says_of_them() -> None:
    spec = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
    envelope = asked(toolConfig={"tools": [spec, {"cachePoint": {"type": "default"}}]})
    assert tokens(envelope) == len(envelope.body) + 10 + TOOLS_TOKENS


@pytest.mark.parametrize(
    "members",
    [
        {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}},
        {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
        {"promptVariables": {"name": {"text": "x"}}},
        {"performanceConfig": {"latency": "optimized"}},
        {"additionalModelRequestFields": {"unheard_of": 1}},
        {"serviceTier": {"type": "reserved"}},
        {"unheard_of": 1},
        {"toolConfig": []},
    ],
    ids=lambda members: next(iter(members)) if isinstance(members, dict) else "",
)
def test_what_may_cost_more_than_anybody_knows_has_no_bound(members: dict[str, Any]) -> None:
    assert nanos(asked(**members)) is None


@pytest.mark.parametrize(
    "members",
    [
        {"performanceConfig": {"latency": "standard"}},
        {"additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 5}}},
        {"serviceTier": {"type": "default"}},
        {"serviceTier": {"type": "flex"}},
        {"toolConfig": None},
    ],
)
def test_what_changes_nothing_keeps_the_bound_of_the_standard_tier(members: dict[str, Any]) -> None:
    envelope = asked(**members)
    bound = nanos(envelope)
    assert bound is not None
    rate = 500 if members.get("serviceTier") == {"type": "flex"} else 1_000
    assert bound >= (len(envelope.body) * rate + 10 * 2 * rate) // 1_000
    assert bound < 3 * (len(envelope.body) + 2 * TOOLS_TOKENS)


def test_a_dearer_tier_costs_what_it_costs_and_none_is_given_to_who_asks_for_none() -> None:
    plain, priority = nanos(asked()), nanos(asked(serviceTier={"type": "priority"}))
    assert plain is not None and priority is not None
    assert priority > 2.5 * plain
    # Of an account elsewhere nobody knows what its default is.
    assert nanos(asked(), kind="openai") > 2.5 * plain  # type: ignore[operator]


def test_pictures_count_by_themselves_and_their_bytes_do_not() -> None:
    picture = {"image": {"format": "png", "source": {"bytes": "QUJD" * 1000}}}
    envelope = asked(picture, {"toolResult": {"toolUseId": "1", "content": [picture]}})
    found = attachments(envelope.body)
    assert (found.pictures, found.picture_bytes) == (2, 2 * 4002)
    assert tokens(envelope) == len(envelope.body) + 10 + 2 * picture_tokens("m") - 2 * 4002


def test_a_document_or_a_video_may_fill_the_context() -> None:
    document = {"document": {"format": "pdf", "name": "d", "source": {"bytes": "QUJD"}}}
    video = {"video": {"format": "mp4", "source": {"bytes": "QUJD"}}}
    for held in (document, video):
        assert tokens(asked(held)) == 200_000 + 10
