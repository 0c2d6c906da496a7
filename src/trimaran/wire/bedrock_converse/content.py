"""Content blocks of a client's request, decoded.

A block is an object with one member, which says its kind. Kinds that only this API has (a video, a search result, what a
guardrail shall look at, a file in S3) are refused by name, and so is every member that has no neutral place. A cache point
is a block here and a mark of the part before it in the neutral model; one that nothing precedes, or that follows what
cannot carry a mark, is left out and noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, TypeAlias

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.wire.bedrock_converse.documents import DOCUMENT_FORMATS, IMAGE_FORMATS, media_type_of, text_of
from trimaran.wire.bedrock_converse.usage import ORIGIN
from trimaran.wire.conversation import Audio, Document, Image, Part, Reasoning, Text, ToolCall, ToolResult
from trimaran.wire.fields import filled_text, optional_text, refuse_rest, required_object, required_text
from trimaran.wire.media import checked_base64
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import lost_its_text, unwrap_state

__all__ = ["cache_point", "decode_content", "one_of", "set_cache"]

Block: TypeAlias = dict[str, Any]
_CACHED = (Text, Image, Document, ToolCall, ToolResult)


def one_of(value: Any, known: Set[str], path: str, refusals: Refusals) -> tuple[str, Any]:
    """Kind and value of a union, which has one member. Two empty values where its member is not ``known``: it is refused
    by name. Raises :class:`InvalidRequest` for none or several."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path!r} must be an object with one member", field=path)
    given = [key for key in value if value[key] is not None]
    found = [key for key in given if key in known]
    for key in given:
        if key not in known:
            refusals.add(f"{path}.{key}")
    if len(found) > 1:
        raise InvalidRequest(f"{path!r} holds {found[0]!r} and {found[1]!r}; it can be only one of them", field=path)
    if not given:
        raise InvalidRequest(f"{path!r} is empty; it must have one member, such as {min(known)!r}", field=path)
    return (found[0], value[found[0]]) if found else ("", None)


def decode_content(value: Any, role: str, path: str, refusals: Refusals) -> list[Part]:
    """The blocks of a turn, of the instructions (``role`` is ``system``) or of a tool's result (``result``)."""
    if not isinstance(value, list):
        raise InvalidRequest(f"{path!r} must be a list of content blocks", field=path)
    parts: list[Part] = []
    for place, block in enumerate(value):
        where = f"{path}[{place}]"
        kind, inner = one_of(block, _ALL, where, refusals)
        if not kind:
            continue
        decode, roles = _BLOCKS[kind]
        if role not in roles:
            whose = "a tool's result" if role == "result" else f"a message of role {role!r}"
            raise InvalidRequest(f"{where!r}: a {kind} block cannot stand in {whose}", field=where)
        if kind == "cachePoint":
            set_cache(parts, cache_point(inner, f"{where}.cachePoint", refusals), refusals)
        elif (part := decode(inner, f"{where}.{kind}", refusals)) is not None:
            parts.append(part)
    return parts


def cache_point(value: Any, path: str, refusals: Refusals) -> str:
    """The lifetime that a cache point asks for."""
    value = _object(value, path)
    refuse_rest(value, {"type", "ttl"}, path, refusals)
    lifetime = value.get("ttl")
    if value.get("type") != "default" or lifetime not in (None, "5m", "1h"):
        refusals.add(path)
        return ""
    return lifetime or "5m"


def set_cache(parts: list[Part], lifetime: str, refusals: Refusals) -> None:
    """Mark the last of ``parts``."""
    if lifetime and parts and isinstance(last := parts[-1], _CACHED):
        last.cache = lifetime
    elif lifetime:
        refusals.omit("cachePoint")


def _object(value: Any, path: str) -> Block:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    return value


def _nothing(value: Any, path: str, refusals: Refusals) -> Part | None:
    return None


def _text(value: Any, path: str, refusals: Refusals) -> Part:
    if not isinstance(value, str):
        raise InvalidRequest(f"{path!r} must be a string", field=path)
    return Text(value)


def _bytes(block: Block, path: str, refusals: Refusals) -> str:
    """The base64 of a source; empty where it is elsewhere, which is refused."""
    where = f"{path}.source"
    kind, data = one_of(block.get("source"), {"bytes"}, where, refusals)
    if not kind:
        return ""
    if not isinstance(data, str):
        raise InvalidRequest(f"'{where}.bytes' must be base64", field=f"{where}.bytes")
    return checked_base64(data, f"{where}.bytes")


def _image(value: Any, path: str, refusals: Refusals) -> Part | None:
    block = _object(value, path)
    refuse_rest(block, {"format", "source"}, path, refusals)
    format = required_text(block, "format", path)
    if format not in IMAGE_FORMATS:
        raise InvalidRequest(f"'{path}.format' must be png, jpeg, gif or webp", field=f"{path}.format")
    data = _bytes(block, path, refusals)
    return Image(f"image/{format}", data) if data else None


def _audio(value: Any, path: str, refusals: Refusals) -> Part | None:
    block = _object(value, path)
    refuse_rest(block, {"format", "source"}, path, refusals)
    format, data = filled_text(block, "format", path), _bytes(block, path, refusals)
    return Audio(format, data) if data else None


def _document(value: Any, path: str, refusals: Refusals) -> Part | None:
    block = _object(value, path)
    refuse_rest(block, {"format", "name", "source"}, path, refusals, _DOCUMENT_NEUTRAL)
    name = filled_text(block, "name", path)
    format = optional_text(block, "format", path) or "txt"
    if format not in DOCUMENT_FORMATS:
        shown = ", ".join(sorted(DOCUMENT_FORMATS))
        raise InvalidRequest(f"'{path}.format' must be one of {shown}", field=f"{path}.format")
    where = f"{path}.source"
    kind, inner = one_of(block.get("source"), {"bytes", "text", "content"}, where, refusals)
    if not kind:
        return None
    if kind == "bytes":
        data = _bytes(block, path, refusals)
        text = text_of(data) if format == "txt" else ""
        return (
            Document("text/plain", text=text, name=name) if text else Document(media_type_of(format), data, name=name)
        )
    text = inner if kind == "text" else _chunks(inner, f"{where}.content", refusals)
    if not isinstance(text, str) or not text:
        raise InvalidRequest(f"'{where}.{kind}' must hold a text", field=f"{where}.{kind}")
    return Document("text/plain", text=text, name=name)


def _chunks(value: Any, path: str, refusals: Refusals) -> str:
    """A document in pieces, which only citations tell apart."""
    if not isinstance(value, list):
        raise InvalidRequest(f"{path!r} must be a list of texts", field=path)
    found = [one_of(chunk, {"text"}, f"{path}[{place}]", refusals) for place, chunk in enumerate(value)]
    return "\n".join(text for _, text in found if isinstance(text, str))


def _tool_use(value: Any, path: str, refusals: Refusals) -> Part:
    block = _object(value, path)
    refuse_rest(block, {"toolUseId", "name", "input"}, path, refusals)
    arguments = msgspec.json.encode(required_object(block, "input", path)).decode()
    return ToolCall(filled_text(block, "toolUseId", path), filled_text(block, "name", path), arguments)


def _tool_result(value: Any, path: str, refusals: Refusals) -> Part:
    block = _object(value, path)
    refuse_rest(block, {"toolUseId", "content", "status"}, path, refusals)
    status = block.get("status")
    if status not in (None, "success", "error"):
        raise InvalidRequest(f"'{path}.status' must be success or error", field=f"{path}.status")
    parts = decode_content(block.get("content"), "result", f"{path}.content", refusals)
    return ToolResult(filled_text(block, "toolUseId", path), parts, status == "error")


def _json(value: Any, path: str, refusals: Refusals) -> Part:
    return Text(msgspec.json.encode(value).decode())


def _reasoning(value: Any, path: str, refusals: Refusals) -> Part | None:
    """Reasoning, of this API or of another provider whose state travelled in its place."""
    kind, inner = one_of(value, {"reasoningText", "redactedContent"}, path, refusals)
    if not kind:
        return None
    if kind == "redactedContent":
        if not isinstance(inner, str):
            raise InvalidRequest(f"'{path}.redactedContent' must be base64", field=f"{path}.redactedContent")
        return Reasoning("", checked_base64(inner, f"{path}.redactedContent"), ORIGIN, hidden=True)
    where = f"{path}.reasoningText"
    block = _object(inner, where)
    refuse_rest(block, {"text", "signature"}, where, refusals)
    text, state = required_text(block, "text", where), optional_text(block, "signature", where)
    unwrapped = unwrap_state(state, text)
    if unwrapped is None:
        return Reasoning(text, state, ORIGIN)
    if lost_its_text(state, unwrapped):
        refusals.omit("reasoning")
        return None
    return unwrapped


def _cited(value: Any, path: str, refusals: Refusals) -> Part | None:
    """What the assistant said with its sources; without any it is text."""
    block = _object(value, path)
    refuse_rest(block, {"content"}, path, refusals)
    content = block.get("content")
    return Text(_chunks(content, f"{path}.content", refusals)) if content else None


_DOCUMENT_NEUTRAL: Mapping[str, tuple[Any, ...]] = {"context": ("",), "citations": ({"enabled": False},)}

_Decode: TypeAlias = Callable[[Any, str, Refusals], Part | None]
_TURNS = frozenset({"user", "assistant"})
_ASKED = frozenset({"user", "result"})
_BLOCKS: dict[str, tuple[_Decode, frozenset[str]]] = {
    "text": (_text, _TURNS | {"system", "result"}),
    "cachePoint": (_nothing, _TURNS | {"system"}),
    "image": (_image, _ASKED),
    "document": (_document, _ASKED),
    "audio": (_audio, frozenset({"user"})),
    "toolUse": (_tool_use, frozenset({"assistant"})),
    "toolResult": (_tool_result, frozenset({"user"})),
    "json": (_json, frozenset({"result"})),
    "reasoningContent": (_reasoning, frozenset({"assistant"})),
    "citationsContent": (_cited, frozenset({"assistant"})),
}
"""By kind: how it is decoded, and where it may stand."""
_ALL = frozenset(_BLOCKS)
