"""Token counts, finish reasons and service tiers of generateContent, and their neutral counterparts.

``promptTokenCount`` includes cached tokens and not those of a tool's results (``toolUsePromptTokenCount``);
``candidatesTokenCount`` does not include thoughts. Cache writes are no kind of their own here. A tier is told as
``trafficType``.

A stop sequence ends an answer with ``STOP``, as its natural end does, and so does a function call. Several words say
that the model's output was broken; no other dialect has one for that, so a translated answer that ends so is malformed,
and may be asked for elsewhere.

Source: ``GenerateContentResponseUsageMetadata``, ``FinishReason`` and ``TrafficType`` of google-genai 3.6.1.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.dialect import TokenCount

__all__ = [
    "BROKEN",
    "ORIGIN",
    "WireUsage",
    "finish_word",
    "neutral_finish",
    "neutral_tier",
    "neutral_usage",
    "usage_json",
]

ORIGIN = "gemini.generate"
"""The origin of reasoning that this API issued."""

BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
_NEUTRAL_REASON = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "BLOCKLIST",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_SAFETY",
            "MODEL_ARMOR",
            "PROHIBITED_CONTENT",
            "RECITATION",
            "SAFETY",
            "SPII",
        ),
        "content_filter",
    ),
}
_FINISH_WORD = {
    "content_filter": "SAFETY",
    # Not finished by the model, and this API has no other word for that.
    "context_window": "MAX_TOKENS",
    "length": "MAX_TOKENS",
    "pause_turn": "MAX_TOKENS",
}
_OWN = frozenset({*BROKEN, "CONTINUATION", "ESCALATION", "LANGUAGE", "OTHER", "PUP_LIMITED_DISABLED"})
"""Words that have no neutral counterpart and keep their spelling."""
_NEUTRAL_TIER = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_OFFPEAK": "offpeak",
    "PROVISIONED_THROUGHPUT": "provisioned",
}
_TRAFFIC = {neutral: word for word, neutral in _NEUTRAL_TIER.items()} | {"us": "ON_DEMAND"}


class _Modality(msgspec.Struct, gc=False):
    modality: str | None = None
    tokenCount: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    promptTokenCount: TokenCount | None = None
    candidatesTokenCount: TokenCount | None = None
    thoughtsTokenCount: TokenCount | None = None
    cachedContentTokenCount: TokenCount | None = None
    toolUsePromptTokenCount: TokenCount | None = None
    promptTokensDetails: list[_Modality] | None = None
    candidatesTokensDetails: list[_Modality] | None = None
    trafficType: str | None = None


def neutral_usage(wire: WireUsage) -> Usage:
    """Usage by kind; what is left out counts as none."""
    thoughts = max(0, wire.thoughtsTokenCount or 0)
    return Usage(
        max(0, wire.promptTokenCount or 0) + max(0, wire.toolUsePromptTokenCount or 0),
        max(0, wire.candidatesTokenCount or 0) + thoughts,
        max(0, wire.cachedContentTokenCount or 0),
        0,
        0,
        thoughts,
        _sound(wire.promptTokensDetails),
        _sound(wire.candidatesTokensDetails),
    )


def _sound(details: list[_Modality] | None) -> int:
    return sum(max(0, each.tokenCount or 0) for each in details or () if each.modality == "AUDIO")


def usage_json(usage: Usage, tier: str = "") -> dict[str, Any]:
    """Usage as this API writes it. ``tier`` is neutral; one that this API has no word for is left out."""
    said = max(0, usage.output_tokens - usage.reasoning_tokens)
    body: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": said,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.reasoning_tokens:
        body["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.cached_read_tokens:
        body["cachedContentTokenCount"] = usage.cached_read_tokens
    if usage.audio_input_tokens:
        body["promptTokensDetails"] = _details(usage.input_tokens, usage.audio_input_tokens)
    if usage.audio_output_tokens:
        body["candidatesTokensDetails"] = _details(said, usage.audio_output_tokens)
    if tier in _TRAFFIC:
        body["trafficType"] = _TRAFFIC[tier]
    return body


def _details(whole: int, sound: int) -> list[dict[str, Any]]:
    kinds = (("TEXT", max(0, whole - sound)), ("AUDIO", sound))
    return [{"modality": kind, "tokenCount": count} for kind, count in kinds if count]


def neutral_tier(wire: WireUsage | None) -> str:
    """The neutral tier; empty where none is told."""
    return _NEUTRAL_TIER.get(wire.trafficType or "", "") if wire is not None else ""


def neutral_finish(word: str, *, called: bool) -> str:
    """The neutral reason; ``called``: the answer calls a function. Empty where none was given."""
    if called and word in ("STOP", "FUNCTION_CALL"):
        # The second word is not Google's, but of servers that speak its API.
        return "tool_calls"
    return _NEUTRAL_REASON.get(word, "" if word == "FINISH_REASON_UNSPECIFIED" else word)


def finish_word(reason: str, *, refused: bool) -> str:
    """The word of this API for a neutral reason; ``refused``: the answer holds a refusal."""
    if refused and reason in ("", "stop"):
        return "SAFETY"
    return reason if reason in _OWN else _FINISH_WORD.get(reason, "STOP")
