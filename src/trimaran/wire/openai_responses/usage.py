"""Token counts and service tiers as the Responses API writes them.

``input_tokens`` counts cached and written tokens too, and reasoning stands inside ``output_tokens``, as in
:class:`trimaran.types.Usage`. Cache writes are told by the lifetimes of OpenAI's own cache (30 minutes, 12 hours), which
are no kinds of the neutral count; only their sum is. Audio tokens stand in no documented member of this API; they are
read and written under the names that Chat Completions gives them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.dialect import TokenCount

__all__ = ["WireUsage", "neutral_tier", "neutral_usage", "tier_word", "usage_json"]


_NEUTRAL_TIERS = {"default": "standard", "fast": "priority"}


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: TokenCount | None = None
    cache_write_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


def neutral_usage(wire: WireUsage) -> Usage:
    """Usage by kind; what a server leaves out counts as none."""
    inputs = wire.input_tokens_details or _InputDetails()
    outputs = wire.output_tokens_details or _OutputDetails()
    return Usage(
        input_tokens=max(0, wire.input_tokens or 0),
        output_tokens=max(0, wire.output_tokens or 0),
        cached_read_tokens=max(0, inputs.cached_tokens or 0),
        cache_write_tokens=max(0, inputs.cache_write_tokens or 0),
        reasoning_tokens=max(0, outputs.reasoning_tokens or 0),
        audio_input_tokens=max(0, inputs.audio_tokens or 0),
        audio_output_tokens=max(0, outputs.audio_tokens or 0),
    )


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as this API writes it."""
    inputs = {"cached_tokens": usage.cached_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    outputs = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.audio_input_tokens:
        inputs["audio_tokens"] = usage.audio_input_tokens
    if usage.audio_output_tokens:
        outputs["audio_tokens"] = usage.audio_output_tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": inputs,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": outputs,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def neutral_tier(word: object) -> str:
    """The neutral word for the tier that served an answer; empty where none is told."""
    if not isinstance(word, str) or word == "auto":
        return ""
    return _NEUTRAL_TIERS.get(word, word)


def tier_word(tier: str) -> str:
    """This API's word for a neutral tier."""
    return "default" if tier in ("standard", "us") else tier
