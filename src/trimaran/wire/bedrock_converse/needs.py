"""What a request in this dialect asks of a target, read without decoding it.

One search of the raw messages comes first and settles the common case. A quotation mark inside a JSON string is escaped, so
``"image"`` with its marks never lies inside a text that merely mentions it; where a kind is found, the kinds of all blocks
are decoded to tell. A member of a wrong type asks for nothing here: the body passes, and the provider refuses it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.types import feature_mask
from trimaran.wire.members import BAD_JSON, RawMembers

__all__ = ["needs_of"]

_CHAT = feature_mask("chat")
_DOCUMENTS = feature_mask("documents")
_JSON_SCHEMA = feature_mask("json_schema")
_PREFILL = feature_mask("prefill")
_REASONING = feature_mask("reasoning")
_SAMPLING = feature_mask("sampling")
_TOOLS = feature_mask("tools")
_BY_KIND = {"image": feature_mask("vision"), "video": feature_mask("vision"), "audio": feature_mask("audio")}


class _Source(msgspec.Struct, gc=False):
    text: Any = None
    content: Any = None


class _Document(msgspec.Struct, gc=False):
    format: Any = None
    source: _Source | None = None


class _Result(msgspec.Struct, gc=False):
    content: list[_Block] | None = None


class _Block(msgspec.Struct, gc=False):
    image: Any = None
    video: Any = None
    audio: Any = None
    document: _Document | None = None
    toolResult: _Result | None = None


class _Turn(msgspec.Struct, gc=False):
    role: Any = None
    content: list[_Block] | None = None


_search = re.compile(rb'"(?:image|document|video|audio|assistant)"').search
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode = msgspec.json.decode


def needs_of(raw: RawMembers) -> int:
    """A mask of :data:`trimaran.types.FEATURES`."""
    messages = bytes(raw.get("messages", b"[]"))
    needs = _CHAT | _in_members(raw)
    if _search(messages) is not None:
        try:
            return needs | _in_turns(_decode_turns(messages))
        except BAD_JSON:
            pass
    return needs


def _in_turns(turns: list[_Turn]) -> int:
    needs = _PREFILL if turns and turns[-1].role == "assistant" else 0
    for turn in turns:
        for block in turn.content or ():
            needs |= _in_block(block)
            for inner in (block.toolResult.content or ()) if block.toolResult is not None else ():
                needs |= _in_block(inner)
    return needs


def _in_block(block: _Block) -> int:
    needs = 0
    for kind, mask in _BY_KIND.items():
        if getattr(block, kind) is not None:
            needs |= mask
    if block.document is not None and not _is_text(block.document):
        needs |= _DOCUMENTS
    return needs


def _is_text(document: _Document) -> bool:
    source = document.source or _Source()
    return document.format == "txt" or source.text is not None or source.content is not None


def _in_members(raw: RawMembers) -> int:
    needs = 0
    if "toolConfig" in raw and bytes(raw["toolConfig"]).find(b'"toolSpec"') >= 0:
        needs |= _TOOLS
    config, extra = _object(raw, "outputConfig"), _object(raw, "additionalModelRequestFields")
    if config.get("textFormat") is not None:
        needs |= _JSON_SCHEMA
    thinking, effort = extra.get("thinking"), extra.get("output_config")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
        needs |= _REASONING
    if config.get("effort") is not None or (isinstance(effort, dict) and effort.get("effort") is not None):
        needs |= _REASONING
    sampling = _object(raw, "inferenceConfig")
    if any(sampling.get(key) not in (None, 1) for key in ("temperature", "topP")) or extra.get("top_k") is not None:
        needs |= _SAMPLING
    return needs


def _object(raw: RawMembers, key: str) -> dict[str, Any]:
    if key not in raw:
        return {}
    try:
        value = _decode(raw[key])
    except BAD_JSON:
        return {}
    return value if isinstance(value, dict) else {}
