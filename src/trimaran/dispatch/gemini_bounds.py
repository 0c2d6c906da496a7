"""Members of a request in ``gemini.generate`` that can change what it is billed. Google takes each name in two spellings.

A function is the client's own; every other tool is Google's: it searches, fetches or computes, at a price of its own. An
answer's limit holds for its thoughts, too (https://ai.google.dev/gemini-api/docs/thinking, read 2026-11-30), and what is
cached beforehand stands in the model's context.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.wire.members import BAD_JSON

__all__ = ["GEMINI_LOOKED_AT", "GEMINI_PLAIN", "gemini_is_bounded", "gemini_refers"]

GEMINI_PLAIN = frozenset(
    {
        "contents",
        "systemInstruction",
        "system_instruction",
        "safetySettings",
        "safety_settings",
        "labels",
        "cachedContent",
        "cached_content",
    }
)
"""They change nothing of what is billed, or the envelope tells."""

GEMINI_LOOKED_AT = frozenset(
    {"generationConfig", "generation_config", "toolConfig", "tool_config", "tools", "serviceTier", "service_tier"}
)
"""Converse has members of the same name that mean something else."""

_BOUNDED = frozenset({"toolConfig", "tool_config", "serviceTier", "service_tier"})
"""Which function is called, and at which of the known prices."""

_FUNCTIONS = frozenset({"functionDeclarations", "function_declarations"})
_MODALITIES = ("responseModalities", "response_modalities")

_decode_config = msgspec.json.Decoder(dict[str, Any] | None).decode
_decode_tools = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | dict[str, msgspec.Raw] | None).decode


_REFERS = re.compile(rb'"(?:fileData|file_data|fileUri|file_uri)"').search
_ESCAPED_NAME = re.compile(rb'\\u[0-9a-fA-F]{4}[^"]{0,80}"\s*:').search
"""A member's name may be written with escapes, and is the same name then."""


def gemini_refers(contents: bytes) -> bool:
    """Whether turns may refer to something whose length is not in them: a film on the web, a file of the client's. A hit too
    many only widens a bound."""
    return _REFERS(contents) is not None or (b"\\u" in contents and _ESCAPED_NAME(contents) is not None)


def gemini_is_bounded(name: str, raw: msgspec.Raw) -> bool:
    """Whether the member ``name``, one of :data:`GEMINI_LOOKED_AT`, leaves a bound to what is billed."""
    if name in _BOUNDED:
        return True
    try:
        if name == "tools":
            tools = _decode_tools(raw)
            listed = [tools] if isinstance(tools, dict) else tools or []
            return all(_FUNCTIONS.issuperset(tool) for tool in listed)
        config = _decode_config(raw) or {}
    except BAD_JSON:
        return False
    # Pictures and speech that a model makes have prices of their own.
    return all(_only_text(config.get(key)) for key in _MODALITIES)


def _only_text(modalities: Any) -> bool:
    if modalities is None:
        return True
    return isinstance(modalities, list) and all(str(each).upper() == "TEXT" for each in modalities)
