"""Members of JSON that stands for protocol buffers: two spellings of every name, two alphabets of base64.

The API takes ``maxOutputTokens`` and ``max_output_tokens`` alike, and its own SDK writes both in one body. ``null`` is
the same as absence. Bytes may be in the standard or in the URL's alphabet, with or without padding
(https://protobuf.dev/programming-guides/json, read 2026-11-30). What is known by name is read in either spelling; a
name that is not known keeps its own, so that a message can say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.media import checked_base64

__all__ = ["Names", "count_of", "members", "snake", "spellings", "standard_base64", "texts_of", "word_of"]

Names = Mapping[str, str]
"""The name that a message of the API has for a member, by each of its spellings."""

MAX_COUNT = 1_000_000_000
_HUMP = re.compile(r"(?<!^)([A-Z])")
_TO_STANDARD = str.maketrans("-_", "+/")


def snake(name: str) -> str:
    """``max_output_tokens`` for ``maxOutputTokens``."""
    return _HUMP.sub(r"_\1", name).lower()


def spellings(*names: str) -> dict[str, str]:
    """Both spellings of ``names``."""
    return {spelling: name for name in names for spelling in (name, snake(name))}


def members(value: Any, names: Names, path: str) -> dict[str, Any]:
    """The members of what must be an object, by the names of ``names`` where they are among them. Raises
    :class:`InvalidRequest`, also for a member that stands there in both spellings."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if inner is None:
            continue
        name = names.get(key, key)
        if name in found:
            raise InvalidRequest(f"'{path}.{name}' stands twice, in two spellings; send one", field=f"{path}.{name}")
        found[name] = inner
    return found


def standard_base64(value: Any, path: str) -> str:
    """Base64 in the standard alphabet, padded. Raises :class:`InvalidRequest` for what is none, or empty."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{path!r} must be base64", field=path)
    plain = value.translate(_TO_STANDARD).rstrip("=")
    return checked_base64(plain + "=" * (-len(plain) % 4), path)


def count_of(fields: Mapping[str, Any], key: str, path: str) -> int | None:
    """A member that may be absent and is otherwise an integer, not negative. The SDK writes some as ``40.0``, and JSON
    for protocol buffers may write a long one as a string."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        where = f"{path}.{key}"
        raise InvalidRequest(f"{where!r} must be an integer from 0 to {MAX_COUNT}", field=where)
    return value


def word_of(fields: Mapping[str, Any], key: str, path: str) -> str:
    """A member that may be absent and is otherwise a word of an enumeration, which are all in capitals."""
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"'{path}.{key}' must be a string", field=f"{path}.{key}")
    word = value.upper()
    return "" if word.endswith("UNSPECIFIED") else word


def texts_of(fields: Mapping[str, Any], key: str, path: str) -> list[str]:
    """A member that may be absent and is otherwise a list of strings."""
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidRequest(f"'{path}.{key}' must be a list of strings", field=f"{path}.{key}")
    return value
