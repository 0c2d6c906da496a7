"""Content parts of a message, as a client of this API writes them.

Beside OpenAI's own members a part may carry ``cache_control``, which compatible servers take for models that want their
cache markers placed; OpenAI's newer ``prompt_cache_breakpoint`` says the same for its own models. That one asks for 30
minutes at least, of which the nearest neutral lifetime is an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Audio, Document, Image, Part, Refusal, Text
from trimaran.wire.fields import optional_text, refuse_rest, required_object, required_text, type_of
from trimaran.wire.media import checked_base64, is_web_url, split_data_url
from trimaran.wire.refusals import Refusals

__all__ = ["cache_mark", "read_content"]

_MEMBERS = {
    "text": frozenset({"text"}),
    "image_url": frozenset({"image_url"}),
    "input_audio": frozenset({"input_audio"}),
    "file": frozenset({"file"}),
    "refusal": frozenset({"refusal"}),
}
_CACHE_MEMBERS = frozenset({"cache_control", "prompt_cache_breakpoint"})
_DETAILS = {"auto": "", "low": "low", "high": "high", "original": "original"}


def read_content(value: Any, path: str, kinds: Set[str], refusals: Refusals) -> list[Part]:
    """The parts of a message whose role takes ``kinds``. A text alone is one part."""
    if isinstance(value, str):
        return [Text(value)]
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{path!r} must be a string or a list of content parts", field=path)
    parts: list[Part] = []
    for place, item in enumerate(value):
        here = f"{path}[{place}]"
        kind = type_of(item, here)
        if kind not in kinds:
            refusals.add(here, f"a part of type {kind!r}")
            continue
        refuse_rest(item, {"type", *_MEMBERS[kind], *_CACHE_MEMBERS}, here, refusals)
        part = _READERS[kind](item, here, refusals)
        if part is not None:
            parts.append(part)
    return parts


def cache_mark(item: Mapping[str, Any], path: str, refusals: Refusals) -> str:
    """The lifetime that a cache marker on ``item`` asks for; empty for none."""
    own, other = item.get("prompt_cache_breakpoint"), item.get("cache_control")
    for key, value in (("prompt_cache_breakpoint", own), ("cache_control", other)):
        if value is not None and not isinstance(value, dict):
            raise InvalidRequest(f"'{path}.{key}' must be an object", field=f"{path}.{key}")
    if own is not None:
        if own.get("ttl", "30m") != "30m":
            refusals.omit(f"{path}.prompt_cache_breakpoint.ttl")
        return "1h"
    if other is None:
        return ""
    ttl = other.get("ttl") or "5m"
    if other.get("type") != "ephemeral" or ttl not in ("5m", "1h") or other.keys() - {"type", "ttl"}:
        refusals.add(f"{path}.cache_control")
        return ""
    return str(ttl)


def _text(item: Mapping[str, Any], path: str, refusals: Refusals) -> Part | None:
    return Text(required_text(item, "text", path), cache_mark(item, path, refusals))


def _image(item: Mapping[str, Any], path: str, refusals: Refusals) -> Part | None:
    here = f"{path}.image_url"
    value = required_object(item, "image_url", path)
    refuse_rest(value, {"url", "detail"}, here, refusals)
    url = required_text(value, "url", here)
    detail = value.get("detail") or "auto"
    if not isinstance(detail, str) or detail not in _DETAILS:
        raise InvalidRequest(f"'{here}.detail' must be one of {', '.join(_DETAILS)}", field=f"{here}.detail")
    cache = cache_mark(item, path, refusals)
    if is_web_url(url):
        return Image(url=url, detail=_DETAILS[detail], cache=cache)
    media_type, data = split_data_url(url, f"{here}.url")
    return Image(media_type, data, detail=_DETAILS[detail], cache=cache)


def _audio(item: Mapping[str, Any], path: str, refusals: Refusals) -> Part | None:
    here = f"{path}.input_audio"
    value = required_object(item, "input_audio", path)
    refuse_rest(value, {"data", "format"}, here, refusals)
    if cache_mark(item, path, refusals):
        refusals.add(path, "a cache marker on audio")
    return Audio(
        required_text(value, "format", here), checked_base64(required_text(value, "data", here), f"{here}.data")
    )


def _file(item: Mapping[str, Any], path: str, refusals: Refusals) -> Part | None:
    here = f"{path}.file"
    value = required_object(item, "file", path)
    refuse_rest(value, {"file_data", "filename"}, here, refusals)
    if value.get("file_data") is None and value.get("file_id") is not None:
        return None
    name = optional_text(value, "filename", here)
    media_type, data = split_data_url(required_text(value, "file_data", here), f"{here}.file_data")
    return Document(media_type, data, name=name, cache=cache_mark(item, path, refusals))


def _refusal(item: Mapping[str, Any], path: str, refusals: Refusals) -> Part | None:
    if cache_mark(item, path, refusals):
        refusals.add(path, "a cache marker on a refusal")
    return Refusal(required_text(item, "refusal", path))


_READERS = {"text": _text, "image_url": _image, "input_audio": _audio, "file": _file, "refusal": _refusal}
