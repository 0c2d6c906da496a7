"""Members of a request in ``bedrock.converse`` that can change what it is billed.

Most of what a Converse request holds is plain. Not so: a tool that Bedrock runs itself, guardrails (billed by themselves, in
units of text), a stored prompt (its text is not in the request), latency-optimised inference (with prices of its own), and
fields for a model that nobody here knows.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.wire.members import BAD_JSON, RawMembers

__all__ = ["CONVERSE_LOOKED_AT", "CONVERSE_PLAIN", "converse_is_bounded", "converse_tier"]

CONVERSE_PLAIN = frozenset({"inferenceConfig", "requestMetadata", "additionalModelResponseFieldPaths", "outputConfig"})
"""They change nothing of what is billed, or the envelope tells."""

CONVERSE_LOOKED_AT = frozenset(
    {
        "toolConfig",
        "additionalModelRequestFields",
        "performanceConfig",
        "serviceTier",
        "guardrailConfig",
        "promptVariables",
    }
)

_KNOWN_FIELDS = frozenset(
    {
        "anthropic_beta",
        "output_config",
        "reasoning_config",
        "reasoning_effort",
        "reasoningConfig",
        "stop_sequences",
        "thinking",
        "top_k",
        "topK",
        "top_p",
    }
)
"""Of ``additionalModelRequestFields``: how an answer is made, within the same limit. Claude's, Nova's and gpt-oss's."""


class _Tool(msgspec.Struct):
    systemTool: Any = None


class _ToolConfig(msgspec.Struct):
    tools: list[_Tool] | None = None


class _Fields(msgspec.Struct):
    latency: str | None = None
    type: str | None = None


_decode_tools = msgspec.json.Decoder(_ToolConfig | None).decode
_decode_fields = msgspec.json.Decoder(_Fields | None).decode
_decode_names = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


def converse_is_bounded(name: str, raw: msgspec.Raw) -> bool:
    """Whether the member ``name`` leaves a bound to what is billed."""
    try:
        if name == "toolConfig":
            config = _decode_tools(raw)
            return all(tool.systemTool is None for tool in (config.tools if config is not None else None) or ())
        if name == "additionalModelRequestFields":
            return _KNOWN_FIELDS.issuperset(_decode_names(raw) or ())
        if name == "performanceConfig":
            fields = _decode_fields(raw)
            return fields is None or fields.latency in (None, "standard")
        if name == "promptVariables":
            return not _decode_names(raw)
    except BAD_JSON:
        return False
    return name == "serviceTier"


def converse_tier(members: RawMembers) -> Any:
    """The service tier asked for, in Bedrock's word; ``None``: none. Raises what msgspec does."""
    raw = members.get("serviceTier")
    if raw is None:
        return None
    fields = _decode_fields(raw)
    return fields.type if fields is not None else None
