"""What a request in this dialect asks of a target, read without decoding it.

One search of the raw contents comes first and settles the common case. A quotation mark inside a JSON string is
escaped, so ``"inlineData"`` with its marks never lies inside a text that merely mentions it; where a kind is found,
types and roles are decoded to tell. A member of a wrong type asks for nothing here: the body passes, and the provider
refuses it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from trimaran.types import feature_mask
from trimaran.wire.gemini_generate.content import FILES
from trimaran.wire.gemini_generate.names import snake
from trimaran.wire.members import BAD_JSON, RawMembers

__all__ = ["config_of", "needs_of", "raw_member"]

_CHAT = feature_mask("chat")
_DOCUMENTS = feature_mask("documents")
_JSON_SCHEMA = feature_mask("json_schema")
_LOGPROBS = feature_mask("logprobs")
_PREFILL = feature_mask("prefill")
_REASONING = feature_mask("reasoning")
_SAMPLING = feature_mask("sampling")
_TOOLS = feature_mask("tools")
_BY_TYPE = {"image": feature_mask("vision"), "video": feature_mask("vision"), "audio": feature_mask("audio")}
_FILES = b'"' + FILES.encode()


class _Media(msgspec.Struct, gc=False):
    mimeType: Any = None
    mime_type: Any = None


class _Result(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Part(msgspec.Struct, gc=False):
    inlineData: _Media | None = None
    inline_data: _Media | None = None
    fileData: _Media | None = None
    file_data: _Media | None = None
    functionResponse: _Result | None = None
    function_response: _Result | None = None


class _Content(msgspec.Struct, gc=False):
    role: Any = None
    parts: list[_Part] | None = None


_search = re.compile(rb'"(?:inlineData|inline_data|fileData|file_data|model)"').search
_decode_contents = msgspec.json.Decoder(list[_Content]).decode
_decode = msgspec.json.decode


def raw_member(raw: RawMembers, name: str) -> bytes:
    """A top-level member as it is written, under either spelling; empty where it is not there."""
    found = raw.get(name)
    return bytes(found if found is not None else raw.get(snake(name), b""))


def config_of(raw: RawMembers) -> dict[str, Any]:
    """``generationConfig`` by the names that its members have; empty where it is none."""
    return _object(raw_member(raw, "generationConfig"))


def needs_of(raw: RawMembers, config: Mapping[str, Any]) -> tuple[int, bool]:
    """A mask of :data:`trimaran.types.FEATURES`, and whether the request refers to something that the provider keeps."""
    contents = raw_member(raw, "contents")
    needs = _CHAT | _in_config(config)
    if raw_member(raw, "tools")[1:-1].strip() not in (b"", b"ul"):
        needs |= _TOOLS
    cached = raw_member(raw, "cachedContent") not in (b"", b"null", b'""')
    stateful = cached or contents.find(_FILES) >= 0
    if _search(contents) is not None:
        with contextlib.suppress(*BAD_JSON):
            needs |= _in_contents(_decode_contents(contents))
    return needs, stateful


def _in_contents(contents: list[_Content]) -> int:
    needs = _PREFILL if contents and contents[-1].role == "model" else 0
    for content in contents:
        for part in content.parts or ():
            needs |= _in_part(part)
            result = part.functionResponse or part.function_response
            for inner in (result.parts or ()) if result is not None else ():
                needs |= _in_part(inner)
    return needs


def _in_part(part: _Part) -> int:
    media = part.inlineData or part.inline_data or part.fileData or part.file_data
    if media is None:
        return 0
    type = str(media.mimeType or media.mime_type or "").lower().partition("/")[0]
    return _BY_TYPE.get(type, 0 if type in ("", "text") else _DOCUMENTS)


def _in_config(config: Mapping[str, Any]) -> int:
    needs = 0
    if any(config.get(key) is not None for key in ("responseSchema", "responseJsonSchema", "_responseJsonSchema")):
        needs |= _JSON_SCHEMA
    if config.get("responseLogprobs") is True:
        needs |= _LOGPROBS
    thinking = config.get("thinkingConfig")
    if isinstance(thinking, dict):
        told = {snake(key): value for key, value in thinking.items()}
        if told.get("thinking_level") is not None or told.get("thinking_budget") not in (None, 0):
            needs |= _REASONING
    if any(config.get(key) not in (None, 1) for key in ("temperature", "topP")) or config.get("topK") is not None:
        needs |= _SAMPLING
    if any(config.get(key) not in (None, 0) for key in ("frequencyPenalty", "presencePenalty")):
        needs |= _SAMPLING
    return needs


_HUMPS = re.compile(r"(?<!^)_([a-z])")


def _object(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        value = _decode(raw)
    except BAD_JSON:
        return {}
    if not isinstance(value, dict):
        return {}
    return {_HUMPS.sub(lambda found: found[1].upper(), key): inner for key, inner in value.items()}
