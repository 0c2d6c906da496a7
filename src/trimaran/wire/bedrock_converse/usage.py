"""Token counts, stop reasons and service tiers of Converse, and their neutral counterparts.

``inputTokens`` counts neither cache reads nor cache writes, the neutral count includes both, and ``totalTokens`` is all of
them and the output (https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html, read 2026-11-30). Reasoning,
audio and searches are in these numbers and not told apart.

A guardrail that stepped in and the model's own filter are one neutral reason. Two further words say that the model's output
was broken; no other dialect has a word for that, so a translated answer that ends so is malformed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.dialect import TokenCount

__all__ = [
    "BROKEN",
    "ORIGIN",
    "WirePerformance",
    "WireTier",
    "WireUsage",
    "neutral_finish",
    "neutral_tier",
    "neutral_usage",
    "stop_word",
    "tier_json",
    "tier_word",
    "usage_json",
]

ORIGIN = "bedrock.converse"
"""The origin of reasoning that this API issued. Claude's signatures here are another account's than Anthropic's own."""

BROKEN = frozenset({"malformed_model_output", "malformed_tool_use"})

_NEUTRAL_REASON = {
    "content_filtered": "content_filter",
    "end_turn": "stop",
    "guardrail_intervened": "content_filter",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
}
_STOP_REASON = {
    "content_filter": "content_filtered",
    "context_window": "model_context_window_exceeded",
    "length": "max_tokens",
    # Not finished by the model, and this API has no other word for that.
    "pause_turn": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
} | {word: word for word in BROKEN}
_NEUTRAL_TIER = {"default": "standard"}
_TIER_WORD = {"standard": "default", "us": "default", "default": "default"}
_TIERS = frozenset({"priority", "default", "flex", "reserved"})


class _CacheDetail(msgspec.Struct, gc=False):
    ttl: str | None = None
    inputTokens: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    inputTokens: TokenCount | None = None
    outputTokens: TokenCount | None = None
    cacheReadInputTokens: TokenCount | None = None
    cacheWriteInputTokens: TokenCount | None = None
    cacheDetails: list[_CacheDetail] | None = None


class WireTier(msgspec.Struct, gc=False):
    """``serviceTier``."""

    type: str | None = None


class WirePerformance(msgspec.Struct, gc=False):
    """``performanceConfig``."""

    latency: str | None = None


def neutral_usage(wire: WireUsage) -> Usage:
    """Usage by kind. Where the writes by lifetime are more than their sum says, they count."""
    read = max(0, wire.cacheReadInputTokens or 0)
    details = wire.cacheDetails or ()
    hour = sum(max(0, each.inputTokens or 0) for each in details if each.ttl == "1h")
    written = max(wire.cacheWriteInputTokens or 0, sum(max(0, each.inputTokens or 0) for each in details), 0)
    return Usage(max(0, wire.inputTokens or 0) + read + written, max(0, wire.outputTokens or 0), read, written, hour)


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as this API writes it; writes by lifetime, the longer one first."""
    read, written, hour = usage.cached_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    body: dict[str, Any] = {
        "inputTokens": max(0, usage.input_tokens - read - written),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    if written:
        kept = (("1h", hour), ("5m", max(0, written - hour)))
        body["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in kept if tokens]
    return body


def neutral_tier(tier: WireTier | None, performance: WirePerformance | None) -> str:
    """The neutral tier; empty where none is told. Inference that is optimised for latency has prices of its own, as a tier
    has (https://aws.amazon.com/bedrock/pricing/, read 2026-11-30)."""
    if performance is not None and performance.latency == "optimized":
        return "optimized"
    word = (tier.type or "") if tier is not None else ""
    return _NEUTRAL_TIER.get(word, word)


def tier_word(tier: str) -> str:
    """The word of this API for a neutral tier; empty where it has none."""
    word = _TIER_WORD.get(tier, tier)
    return word if word in _TIERS else ""


def tier_json(tier: str) -> dict[str, Any]:
    """The members of an answer that say ``tier``, which is neutral; one that this API has no word for is left out."""
    if tier == "optimized":
        return {"performanceConfig": {"latency": "optimized"}}
    word = tier_word(tier)
    return {"serviceTier": {"type": word}} if word else {}


def neutral_finish(word: str) -> str:
    """The neutral reason for a stop reason of this API."""
    return _NEUTRAL_REASON.get(word, word)


def stop_word(reason: str, *, called: bool, refused: bool) -> str:
    """Why an answer stopped. Clients go by it: an answer that calls a tool says so even where the provider merely stopped,
    and one that holds a refusal says that."""
    if refused and reason in ("", "stop"):
        return "content_filtered"
    if called and reason in ("", "stop"):
        return "tool_use"
    return _STOP_REASON.get(reason, "end_turn")
