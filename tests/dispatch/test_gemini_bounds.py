"""A request of Google's client has a bound where everything it holds has one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.catalog import picture_tokens
from trimaran.dispatch.attachments import attachments
from trimaran.dispatch.bounds import TEMPLATE_TOKENS, TOOLS_TOKENS, Bounds
from trimaran.types import Capabilities, PriceTier, Target, TokenPrice
from trimaran.wire import DIALECTS, Envelope

TIERS = {"flex": (PriceTier(0, 500, 1_000),), "priority": (PriceTier(0, 3_000, 6_000),)}
PRICE = TokenPrice(version="v", source="s", as_of="2026-01-01", tiers=(PriceTier(0, 1_000, 2_000),), services=TIERS)
GEMINI = Capabilities(family="gemini-x", has=frozenset({"vision", "documents"}), context_tokens=1_000_000)
TARGET = Target("g/m", "g", "m", ("gemini.generate",), "https://g", capabilities=GEMINI, price=PRICE, kind="gemini")
BOUNDS = Bounds(TARGET)


def asked(*parts: Any, **members: Any) -> Envelope:
    turn = {"role": "user", "parts": [{"text": "hi"}, *parts]}
    body = {"contents": [turn], "generationConfig": {"maxOutputTokens": 10}, **members}
    return DIALECTS["gemini.generate"].read(json.dumps(body).encode(), b"/v1beta/models/chat:generateContent")


def nanos(envelope: Envelope) -> int | None:
    return BOUNDS.nanos(envelope, envelope.body)


def inputs(envelope: Envelope) -> int:
    return BOUNDS.tokens(envelope, envelope.body) - 10 - TEMPLATE_TOKENS


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"systemInstruction": {"parts": [{"text": "be brief"}]}, "safetySettings": [], "labels": {"a": "b"}},
        {"system_instruction": {"parts": [{"text": "be brief"}]}, "tool_config": {}},
        {"generationConfig": {"maxOutputTokens": 10, "thinkingConfig": {"thinkingBudget": 5}, "responseModalities": ["TEXT"]}},
    ],
)  # fmt: skip
def test_a_plain_request_costs_at_most_its_bytes_and_its_limit(members: dict[str, Any]) -> None:
    envelope = asked(**members)
    assert inputs(envelope) == len(envelope.body)
    assert nanos(envelope) is not None


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]},
        {"tools": [{"codeExecution": {}}]},
        {"tools": {"google_search": {}}},
        {"tools": "all"},
        {"generationConfig": {"maxOutputTokens": 10, "responseModalities": ["TEXT", "IMAGE"]}},
        {"serviceTier": "unheard-of"},
        {"unheardOf": 1},
    ],
)
def test_what_may_cost_more_than_anybody_knows_has_no_bound(members: dict[str, Any]) -> None:
    assert nanos(asked(**members)) is None


def test_functions_add_what_the_provider_says_of_them() -> None:
    envelope = asked(tools=[{"functionDeclarations": [{"name": "f"}]}])
    assert inputs(envelope) == len(envelope.body) + TOOLS_TOKENS


def test_a_tier_that_is_asked_for_is_the_one_that_counts() -> None:
    flex, priority = nanos(asked(serviceTier="flex")), nanos(asked(service_tier="priority"))
    assert flex is not None and priority is not None
    assert priority > 2.5 * flex


@pytest.mark.parametrize("spelling", [("inlineData", "mimeType"), ("inline_data", "mime_type")])
def test_pictures_count_by_themselves_and_their_bytes_do_not(spelling: tuple[str, str]) -> None:
    member, kind = spelling
    picture = {member: {kind: "image/png", "data": "QUJD" * 1000}}
    envelope = asked(picture, {"functionResponse": {"name": "f", "response": {}, "parts": [picture]}})
    found = attachments(envelope.body)
    assert (found.pictures, found.picture_bytes) == (2, 2 * 4002)
    assert inputs(envelope) == len(envelope.body) + 2 * picture_tokens("m") - 2 * 4002


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "QUJD"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://v.example/x"}},
        {"fileData": {"fileUri": "https://v.example/x"}},
        {"fileData": {"mimeType": "text/plain", "fileUri": "gs://b/x"}},
        {"file_data": {"mime_type": "audio/mp3", "file_uri": "gs://b/x"}},
    ],
)
def test_what_has_no_known_length_may_fill_the_context(part: dict[str, Any]) -> None:
    assert BOUNDS.tokens(asked(part), asked(part).body) == 1_000_000 + 10


def test_a_name_written_with_escapes_is_the_same_name() -> None:
    body = b'{"contents":[{"parts":[{"file\\u0044ata":{"fileUri":"gs://b/x"}}]}],"generationConfig":{"maxOutputTokens":10}}'
    envelope = DIALECTS["gemini.generate"].read(body, b"/v1beta/models/chat:generateContent")
    assert BOUNDS.tokens(envelope, body) == 1_000_000 + 10
    # Escapes in what is said are no names.
    plain = asked({"text": "\u00fcber alles"})
    assert inputs(plain) == len(plain.body)
