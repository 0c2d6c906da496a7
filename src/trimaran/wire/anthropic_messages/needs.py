"""What a request in this dialect asks of a target, read without decoding it.

One search of the raw messages comes first and settles the common case: an image, a document and an uploaded file all
have a ``source``, and an answer begun is the assistant's. A quotation mark inside a JSON string is escaped, so
``"source"`` with its marks never lies inside a text that merely mentions it; where it is found, only roles and types are
decoded to tell. An answer that was begun and holds the word ``"user"`` all the same, in the arguments of a server's
tool, is the provider's own pause and no prefill. A member of a wrong type asks for nothing here: the body passes, and
the provider refuses it.
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
_VISION = feature_mask("vision")

_NULL = b"null"


class _Source(msgspec.Struct, gc=False):
    type: Any = None


class _Block(msgspec.Struct, gc=False):
    type: Any = None
    source: _Source | None = None
    content: str | list[_Block] | dict[str, msgspec.Raw] | None = None


class _Turn(msgspec.Struct, gc=False):
    role: Any = None
    content: str | list[_Block] | None = None


class _Role(msgspec.Struct, gc=False):
    role: Any = None


_search = re.compile(rb'"(?:source|assistant)"').search
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_roles = msgspec.json.Decoder(list[_Role]).decode
_decode = msgspec.json.decode


def needs_of(raw: RawMembers) -> tuple[int, bool]:
    """A mask of :data:`trimaran.types.FEATURES`, and whether the request goes on from something that the provider keeps:
    a container, a thread, an uploaded file."""
    messages = bytes(raw["messages"])
    needs, stateful = 0, False
    found = _search(messages)
    if found is not None:
        if found[0] == b'"source"' or messages.find(b'"source"', found.end()) >= 0:
            needs, stateful = _in_turns(messages)
        elif messages.find(b'"assistant"', messages.rfind(b'"user"') + 1) >= 0 and _last_role(messages) == "assistant":
            needs = _PREFILL
    if "container" in raw or "thread" in raw:
        stateful = stateful or any(bytes(raw.get(key, _NULL)) != _NULL for key in ("container", "thread"))
    return needs | _in_members(raw), stateful


def _in_members(raw: RawMembers) -> int:
    needs = _CHAT
    if "tools" in raw and (tools := bytes(raw["tools"])) != _NULL and tools[1:-1].strip():
        needs |= _TOOLS
    if "thinking" in raw and _member(raw, "thinking", "type") in ("enabled", "adaptive"):
        needs |= _REASONING
    if "output_config" in raw:
        if _member(raw, "output_config", "effort") is not None:
            needs |= _REASONING
        if _member(raw, "output_config", "format") is not None:
            needs |= _JSON_SCHEMA
    if "output_format" in raw and bytes(raw["output_format"]) != _NULL:
        needs |= _JSON_SCHEMA
    if _sampled(raw):
        needs |= _SAMPLING
    return needs


def _in_turns(messages: bytes) -> tuple[int, bool]:
    try:
        turns = _decode_turns(messages)
    except BAD_JSON:
        return 0, False
    needs = _PREFILL if turns and turns[-1].role == "assistant" else 0
    stateful = False
    for block in _blocks(turns):
        source = block.source.type if block.source is not None else None
        stateful = stateful or source == "file"
        if block.type == "image":
            needs |= _VISION
        elif block.type == "document" and source != "text":
            needs |= _DOCUMENTS
    return needs, stateful


def _blocks(turns: list[_Turn]) -> list[_Block]:
    """Every block of a turn or of a tool's result in it."""
    found = [block for turn in turns if isinstance(turn.content, list) for block in turn.content]
    for block in found[:]:
        if isinstance(block.content, list):
            found += block.content
    return found


def _last_role(messages: bytes) -> Any:
    try:
        turns = _decode_roles(messages)
    except BAD_JSON:
        return None
    return turns[-1].role if turns else None


def _member(raw: RawMembers, key: str, name: str) -> Any:
    try:
        value = _decode(raw[key])
    except BAD_JSON:
        return None
    return value.get(name) if isinstance(value, dict) else None


def _sampled(raw: RawMembers) -> bool:
    if "temperature" in raw and _is_set(bytes(raw["temperature"])):
        return True
    if "top_p" in raw and _is_set(bytes(raw["top_p"])):
        return True
    return "top_k" in raw and bytes(raw["top_k"]) != _NULL


def _is_set(value: bytes) -> bool:
    """Whether a setting is a number other than its default, 1."""
    try:
        return float(value) != 1
    except ValueError:
        return False
