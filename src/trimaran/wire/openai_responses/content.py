"""Content parts of the Responses API as neutral parts, in messages and in the output of a tool.

A breakpoint of OpenAI's prompt cache asks for a lifetime of at least 30 minutes, so it becomes a marker of one hour, the
shortest neutral lifetime that holds it. Twelve hours are known nowhere else; there the marker's own lifetime is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Set
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Audio, Document, Image, Part, Refusal, Text
from trimaran.wire.fields import optional_text, refuse_rest, required_text, type_of
from trimaran.wire.media import checked_base64, is_web_url, split_data_url
from trimaran.wire.refusals import Refusals

__all__ = ["ASSISTANT", "SYSTEM", "TOOL_OUTPUT", "USER", "content_parts"]

USER = frozenset({"input_text", "input_image", "input_file", "input_audio"})
ASSISTANT = frozenset({"output_text", "refusal", "input_text"})
SYSTEM = frozenset({"input_text"})
TOOL_OUTPUT = frozenset({"input_text", "input_image", "input_file"})

_DETAILS = frozenset({"low", "high", "original"})
_STORED = "a file that one provider has stored; send its content"
_CACHE = "prompt_cache_breakpoint"
_MEDIA_TYPES = {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "json": "application/json"}
_PLAIN = "text/plain"


def content_parts(value: Any, path: str, takes: Set[str], refusals: Refusals) -> list[Part]:
    """A string, or a list of parts whose types are in ``takes``; any other one goes to ``refusals``."""
    if isinstance(value, str):
        return [Text(value)]
    if not isinstance(value, list):
        raise InvalidRequest(f"{path!r} must be a string or a list of content parts", field=path)
    parts: list[Part] = []
    for place, part in enumerate(value):
        here = f"{path}[{place}]"
        kind = type_of(part, here)
        if kind not in takes:
            refusals.add(here, f"a part of type {kind!r} in this place")
        elif (decoded := _DECODE[kind](part, here, refusals)) is not None:
            parts.append(decoded)
    return parts


def _text(part: dict[str, Any], path: str, refusals: Refusals) -> Part:
    refuse_rest(part, {"type", "text", _CACHE}, path, refusals)
    return Text(required_text(part, "text", path), _cache(part, path, refusals))


def _output_text(part: dict[str, Any], path: str, refusals: Refusals) -> Part:
    # The log-probabilities tell of an answer that was given; nobody reads them in a request.
    refuse_rest(part, {"type", "text", "logprobs"}, path, refusals)
    return Text(required_text(part, "text", path))


def _refusal(part: dict[str, Any], path: str, refusals: Refusals) -> Part:
    refuse_rest(part, {"type", "refusal"}, path, refusals)
    return Refusal(required_text(part, "refusal", path))


def _image(part: dict[str, Any], path: str, refusals: Refusals) -> Part | None:
    refuse_rest(part, {"type", "image_url", "detail", "file_id", _CACHE}, path, refusals)
    if part.get("file_id") is not None:
        refusals.add(f"{path}.file_id", _STORED)
        return None
    url = required_text(part, "image_url", path)
    detail = optional_text(part, "detail", path)
    if detail not in _DETAILS and detail not in ("", "auto"):
        raise InvalidRequest(f"'{path}.detail' must be low, high, original or auto", field=f"{path}.detail")
    image = Image(detail=detail if detail in _DETAILS else "", cache=_cache(part, path, refusals))
    image.media_type, image.data, image.url = _source(url, f"{path}.image_url")
    return image


def _file(part: dict[str, Any], path: str, refusals: Refusals) -> Part | None:
    known = {"type", "file_data", "file_url", "filename", "file_id", "detail", _CACHE}
    refuse_rest(part, known, path, refusals)
    if part.get("file_id") is not None:
        refusals.add(f"{path}.file_id", _STORED)
        return None
    if part.get("detail") not in (None, "auto"):
        refusals.omit(f"{path}.detail")
    name, cache = optional_text(part, "filename", path), _cache(part, path, refusals)
    if part.get("file_url") is not None:
        url = required_text(part, "file_url", path)
        if not is_web_url(url):
            raise InvalidRequest(f"'{path}.file_url' must be an https URL", field=f"{path}.file_url")
        return Document(url=url, name=name, cache=cache)
    where = f"{path}.file_data"
    data = required_text(part, "file_data", path)
    if data.startswith("data:"):
        media_type, data = split_data_url(data, where)
    else:
        media_type = _MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/pdf")
        checked_base64(data, where)
    if media_type == _PLAIN and (text := _plain(data)) is not None:
        return Document(media_type=_PLAIN, text=text, name=name, cache=cache)
    return Document(media_type=media_type, data=data, name=name, cache=cache)


def _audio(part: dict[str, Any], path: str, refusals: Refusals) -> Part:
    refuse_rest(part, {"type", "input_audio"}, path, refusals)
    sound = part.get("input_audio")
    where = f"{path}.input_audio"
    if not isinstance(sound, dict):
        raise InvalidRequest(f"{where!r} must be an object with data and format", field=where)
    refuse_rest(sound, {"data", "format"}, where, refusals)
    data = checked_base64(required_text(sound, "data", where), f"{where}.data")
    return Audio(required_text(sound, "format", where), data)


def _source(url: str, path: str) -> tuple[str, str, str]:
    """Media type and base64 of a data URL, or a URL that a provider may fetch."""
    if url.startswith("data:"):
        return *split_data_url(url, path), ""
    if is_web_url(url):
        return "", "", url
    raise InvalidRequest(f"{path!r} must be an https URL or a data URL such as data:image/png;base64,...", field=path)


def _plain(data: str) -> str | None:
    """The text that base64 ``data`` holds; ``None`` where it is not UTF-8, or is empty."""
    try:
        return base64.b64decode(data).decode() or None
    except UnicodeDecodeError:
        return None


def _cache(part: dict[str, Any], path: str, refusals: Refusals) -> str:
    mark = part.get(_CACHE)
    if mark is None:
        return ""
    where = f"{path}.{_CACHE}"
    if not isinstance(mark, dict) or mark.get("mode") != "explicit":
        raise InvalidRequest(f'{where!r} must be an object such as {{"mode": "explicit"}}', field=where)
    if mark.get("ttl") not in (None, "30m"):
        refusals.omit(f"{where}.ttl")
    refuse_rest(mark, {"mode", "ttl"}, where, refusals)
    return "1h"


_DECODE = {
    "input_text": _text,
    "output_text": _output_text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
