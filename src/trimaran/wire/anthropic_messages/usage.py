"""Token counts and stop reasons of the Messages API, and their neutral counterparts.

This API counts cached tokens beside ``input_tokens``; the neutral count includes them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.dialect import TokenCount

__all__ = ["ORIGIN", "WireUsage", "neutral_finish", "neutral_tier", "neutral_usage", "stop_members", "usage_json"]

ORIGIN = "anthropic.messages"
"""The origin of reasoning that this API issued."""

_NEUTRAL_REASON = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "refusal": "content_filter",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
}
_STOP_REASON = {neutral: word for word, neutral in _NEUTRAL_REASON.items()} | {"pause_turn": "pause_turn"}
_TIERS = frozenset({"standard", "priority", "batch"})


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: TokenCount | None = None
    ephemeral_1h_input_tokens: TokenCount | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: TokenCount | None = None


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None
    cache_read_input_tokens: TokenCount | None = None
    cache_creation_input_tokens: TokenCount | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None
    server_tool_use: _ServerTools | None = None
    speed: str | None = None
    inference_geo: str | None = None


def neutral_tier(wire: WireUsage) -> str:
    """The neutral tier; empty where none is told. Fast mode and inference in the United States have prices of their own
    beside those of the tiers (https://platform.claude.com/docs/en/about-claude/pricing, read 2026-11-24)."""
    if wire.inference_geo == "us":
        return "us"
    if wire.speed == "fast":
        return "fast"
    return wire.service_tier or ""


def neutral_usage(wire: WireUsage) -> Usage:
    """Usage by kind."""
    read = max(0, wire.cache_read_input_tokens or 0)
    written = max(0, wire.cache_creation_input_tokens or 0)
    hour = 0
    if wire.cache_creation is not None:
        hour = max(0, wire.cache_creation.ephemeral_1h_input_tokens or 0)
        written = max(written, hour + max(0, wire.cache_creation.ephemeral_5m_input_tokens or 0))
    details = wire.output_tokens_details
    tools = wire.server_tool_use
    return Usage(
        max(0, wire.input_tokens or 0) + read + written,
        max(0, wire.output_tokens or 0),
        read,
        written,
        hour,
        max(0, details.thinking_tokens or 0) if details is not None else 0,
        0,
        0,
        max(0, tools.web_search_requests or 0) if tools is not None else 0,
    )


def usage_json(usage: Usage, tier: str = "") -> dict[str, Any]:
    """Usage as this API writes it, all kinds, in the form that whole answers and ``message_delta`` share. ``tier`` is
    neutral; one that this API has no word for is left out."""
    uncached = usage.input_tokens - usage.cached_read_tokens - usage.cache_write_tokens
    body: dict[str, Any] = {
        "input_tokens": max(0, uncached),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_read_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.cache_write_tokens:
        body["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, usage.cache_write_tokens - usage.cache_write_1h_tokens),
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        }
    if usage.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches:
        body["server_tool_use"] = {"web_search_requests": usage.web_searches}
    if tier in _TIERS:
        body["service_tier"] = tier
    return body


def neutral_finish(word: str) -> str:
    """The neutral reason for a stop reason of this API."""
    return _NEUTRAL_REASON.get(word, word)


def stop_members(reason: str, sequence: str | None, *, called: bool, refusal: str) -> dict[str, Any]:
    """Why an answer stopped, as whole answers and ``message_delta`` say it. Clients go by the reason: an answer that
    calls a tool (``called``) says so even where the provider merely stopped, as it does after a forced call, and one
    that holds a ``refusal`` says that."""
    if refusal and reason in ("", "stop", "content_filter"):
        details = {"type": "refusal", "category": None, "explanation": refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    if called and reason in ("", "stop"):
        return {"stop_reason": "tool_use", "stop_sequence": None}
    return {"stop_reason": _STOP_REASON.get(reason, "end_turn"), "stop_sequence": sequence}
