"""Token counts, reasons to finish and service tiers, as this API spells them.

Usage counts cached prompt tokens inside ``prompt_tokens`` and reasoning inside ``completion_tokens``, as
:class:`trimaran.types.Usage` does. Cache writes are one number here, whatever their lifetime. DeepSeek's older servers
say ``prompt_cache_hit_tokens`` for cached ones (https://api-docs.deepseek.com/api/create-chat-completion, read
2026-11-24). OpenAI's search models (``gpt-4o-search-preview``, ``gpt-5-search-api``) look on the web before every answer
(https://platform.openai.com/docs/guides/tools-web-search, read 2026-11-24).
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.dialect import TokenCount

__all__ = ["WireUsage", "finish_word", "neutral_finish", "neutral_tier", "neutral_usage", "tier_word", "usage_json"]

_FINISH_WORDS = frozenset({"stop", "length", "tool_calls", "content_filter"})
_FINISH_WORD_OF = {
    # Neither was finished by the model, and this API has no other word for that.
    "context_window": "length",
    "pause_turn": "length",
}
_NEUTRAL_TIERS = {"auto": "", "default": "standard", "fast": "priority"}


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: TokenCount | None = None
    cache_write_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Usage as it stands on the wire."""

    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: TokenCount | None = None


_NO_PROMPT = _PromptDetails()
_NO_COMPLETION = _CompletionDetails()


def neutral_usage(wire: WireUsage, model: str | None = None) -> Usage:
    """Usage by kind; what a server leaves out counts as none. ``model`` is the one that answered: one that always searches
    the web is charged for one search an answer, which no member of the usage says."""
    prompt = wire.prompt_tokens_details or _NO_PROMPT
    completion = wire.completion_tokens_details or _NO_COMPLETION
    cached = wire.prompt_cache_hit_tokens if prompt.cached_tokens is None else prompt.cached_tokens
    return Usage(
        max(0, wire.prompt_tokens or 0),
        max(0, wire.completion_tokens or 0),
        max(0, cached or 0),
        max(0, prompt.cache_write_tokens or 0),
        0,
        max(0, completion.reasoning_tokens or 0),
        max(0, prompt.audio_tokens or 0),
        max(0, completion.audio_tokens or 0),
        1 if model and "-search-" in model else 0,
    )


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as this API writes it."""
    prompt = {"cached_tokens": usage.cached_read_tokens}
    completion = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    if usage.audio_input_tokens:
        prompt["audio_tokens"] = usage.audio_input_tokens
    if usage.audio_output_tokens:
        completion["audio_tokens"] = usage.audio_output_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }


def neutral_finish(word: str, stop_reason: Any) -> tuple[str, str | None]:
    """Neutral reason and stop sequence. vLLM and its kin name the sequence in ``stop_reason``; OpenAI does not."""
    if word == "stop" and isinstance(stop_reason, str) and stop_reason:
        return "stop_sequence", stop_reason
    return ("tool_calls" if word == "function_call" else word), None


def finish_word(reason: str) -> str:
    """The word of this API for a neutral reason."""
    return reason if reason in _FINISH_WORDS else _FINISH_WORD_OF.get(reason, "stop")


def neutral_tier(word: str) -> str:
    """The neutral tier; empty for ``auto``, which is what a request without one asks for."""
    return _NEUTRAL_TIERS.get(word, word)


def tier_word(tier: str) -> str:
    """The word of this API for a neutral tier."""
    return "default" if tier in ("standard", "us") else tier
