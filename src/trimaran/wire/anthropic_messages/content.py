"""Content blocks of a client's request, decoded.

Which block may stand where is the API's rule: tool calls and thinking in the assistant's turns, tool results in the
user's. A block of a kind that only this API knows (a server tool's, a search result) is refused by its kind, and so is
every member of a block that has no neutral place, unless its value says the same as its absence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.wire.anthropic_messages.usage import ORIGIN
from trimaran.wire.conversation import Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from trimaran.wire.fields import (
    filled_text,
    optional_flag,
    optional_text,
    required_object,
    required_text,
    type_of,
)
from trimaran.wire.media import checked_base64, is_web_url
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import lost_its_text, unwrap_state

__all__ = ["cache_of", "decode_content", "refuse_others"]

Block: TypeAlias = dict[str, Any]

_DIRECT = {"type": "direct"}
_UNSCALED = {"oversized_image": "downsize"}


def decode_content(value: Any, role: str, path: str, refusals: Refusals) -> list[Part]:
    """A message's ``content``: a string or a list of blocks. ``role`` is the message's, ``result`` for a tool's."""
    if isinstance(value, str):
        return [Text(value)]
    if not isinstance(value, list):
        raise InvalidRequest(f"{path!r} must be a string or a list of content blocks", field=path)
    parts = [_decode_block(block, role, f"{path}[{place}]", refusals) for place, block in enumerate(value)]
    return [part for part in parts if part is not None]


def _decode_block(block: Any, role: str, path: str, refusals: Refusals) -> Part | None:
    kind = type_of(block, path)
    known = _BLOCKS.get(kind)
    if known is None:
        refusals.add(path, f"a block of type {kind!r}")
        return None
    decode, roles, members = known
    if role not in roles:
        where = "a tool's result" if role == "result" else f"a message of role {role!r}"
        raise InvalidRequest(f"{path!r}: a block of type {kind!r} cannot stand in {where}", field=path)
    refuse_others(block, members, path, refusals)
    return decode(block, path, refusals)


def refuse_others(
    block: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]], path: str, refusals: Refusals
) -> None:
    """Refuse each member of ``block`` that is not ``known``. One that is known with values is meaningless with these
    and refused with any other; one that is known without is the caller's."""
    for key, value in block.items():
        if value is None:
            continue
        neutral = known.get(key)
        if neutral is None or (neutral and value not in neutral):
            refusals.add(f"{path}.{key}")


def cache_of(value: Any, path: str, refusals: Refusals) -> str:
    """The lifetime that a ``cache_control`` asks for, ``""`` without one."""
    if value is None:
        return ""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise InvalidRequest(f"{path!r} must be an object such as {{'type': 'ephemeral'}}", field=path)
    refuse_others(value, _members("type", "ttl", "scope"), path, refusals)
    if value.get("scope") is not None:
        # Whom the provider shares its cache with; the answer is the same.
        refusals.omit("cache_control.scope")
    lifetime = value.get("ttl")
    if value["type"] != "ephemeral" or lifetime not in (None, "5m", "1h"):
        refusals.add(path)
        return ""
    return lifetime or "5m"


def _cache(block: Block, path: str, refusals: Refusals) -> str:
    return cache_of(block.get("cache_control"), f"{path}.cache_control", refusals)


def _text(block: Block, path: str, refusals: Refusals) -> Part:
    return Text(required_text(block, "text", path), _cache(block, path, refusals))


def _source(block: Block, path: str) -> tuple[Block, str]:
    source: Any = block.get("source")
    where = f"{path}.source"
    type_of(source, where)
    return source, where


def _image(block: Block, path: str, refusals: Refusals) -> Part | None:
    cache = _cache(block, path, refusals)
    source, where = _source(block, path)
    if source["type"] == "url":
        refuse_others(source, _members("type", "url"), where, refusals)
        return Image(url=_url(source, where), cache=cache)
    if source["type"] != "base64":
        refusals.add(where, f"a source of type {source['type']!r}")
        return None
    refuse_others(source, _members("type", "media_type", "data"), where, refusals)
    media_type = required_text(source, "media_type", where)
    if not media_type.startswith("image/"):
        raise InvalidRequest(f"'{where}.media_type' must be one of an image", field=f"{where}.media_type")
    return Image(media_type, checked_base64(required_text(source, "data", where), f"{where}.data"), cache=cache)


def _document(block: Block, path: str, refusals: Refusals) -> Part | None:
    cache, name = _cache(block, path, refusals), optional_text(block, "title", path)
    source, where = _source(block, path)
    kind = source["type"]
    if kind == "url":
        refuse_others(source, _members("type", "url"), where, refusals)
        return Document(url=_url(source, where), name=name, cache=cache)
    if kind not in ("base64", "text"):
        refusals.add(where, f"a source of type {kind!r}")
        return None
    refuse_others(source, _members("type", "media_type", "data"), where, refusals)
    media_type = required_text(source, "media_type", where)
    data = required_text(source, "data", where)
    wanted = "application/pdf" if kind == "base64" else "text/plain"
    if media_type != wanted:
        raise InvalidRequest(f"'{where}.media_type' must be {wanted!r}", field=f"{where}.media_type")
    if kind == "text":
        return Document(media_type, text=data, name=name, cache=cache)
    return Document(media_type, checked_base64(data, f"{where}.data"), name=name, cache=cache)


def _url(source: Block, path: str) -> str:
    url = required_text(source, "url", path)
    if not is_web_url(url):
        raise InvalidRequest(f"'{path}.url' must begin with https:// or http://", field=f"{path}.url")
    return url


def _tool_use(block: Block, path: str, refusals: Refusals) -> Part:
    arguments = msgspec.json.encode(required_object(block, "input", path)).decode()
    return ToolCall(
        filled_text(block, "id", path), filled_text(block, "name", path), arguments, _cache(block, path, refusals)
    )


def _tool_result(block: Block, path: str, refusals: Refusals) -> Part:
    is_error = optional_flag(block, "is_error", path)
    content = block.get("content")
    parts = [] if content is None else decode_content(content, "result", f"{path}.content", refusals)
    return ToolResult(filled_text(block, "tool_use_id", path), parts, bool(is_error), _cache(block, path, refusals))


def _thinking(block: Block, path: str, refusals: Refusals) -> Part | None:
    return _reasoning(required_text(block, "thinking", path), optional_text(block, "signature", path), False, refusals)


def _redacted(block: Block, path: str, refusals: Refusals) -> Part | None:
    return _reasoning("", required_text(block, "data", path), True, refusals)


def _reasoning(text: str, state: str, hidden: bool, refusals: Refusals) -> Reasoning | None:
    """Thinking, of this API or of another provider whose state travelled in its place."""
    unwrapped = unwrap_state(state, text, hidden=hidden)
    if unwrapped is None:
        return Reasoning(text, state, ORIGIN, hidden=hidden)
    if lost_its_text(state, unwrapped):
        refusals.omit("reasoning")
        return None
    return unwrapped


def _members(*keys: str, **neutral: tuple[Any, ...]) -> Mapping[str, tuple[Any, ...]]:
    return dict.fromkeys(keys, ()) | neutral


_Decode: TypeAlias = Callable[[Block, str, Refusals], Part | None]
_ANYWHERE = frozenset({"user", "assistant", "result"})
_BLOCKS: dict[str, tuple[_Decode, frozenset[str], Mapping[str, tuple[Any, ...]]]] = {
    "text": (_text, _ANYWHERE | {"system"}, _members("type", "text", "cache_control", citations=([],))),
    "image": (
        _image,
        _ANYWHERE,
        _members("type", "source", "cache_control", transformations=({}, _UNSCALED)),
    ),
    "document": (
        _document,
        _ANYWHERE,
        _members("type", "source", "title", "cache_control", context=("",), citations=({}, {"enabled": False})),
    ),
    "tool_use": (
        _tool_use,
        frozenset({"assistant"}),
        _members("type", "id", "name", "input", "cache_control", caller=(_DIRECT,)),
    ),
    "tool_result": (
        _tool_result,
        frozenset({"user"}),
        _members("type", "tool_use_id", "content", "is_error", "cache_control"),
    ),
    "thinking": (_thinking, frozenset({"assistant"}), _members("type", "thinking", "signature")),
    "redacted_thinking": (_redacted, frozenset({"assistant"}), _members("type", "data")),
}
"""By type: how it is decoded, where it may stand, its members."""
