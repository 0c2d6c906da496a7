"""Members of a client's request that must have a certain shape, and the refusal of those that are not known.

``path`` is where the holder stands in the client's body, such as ``messages[2]``; a message names the member by it. A
member of the body itself has no path, and its value is taken by its key alone. All raise :class:`InvalidRequest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.refusals import Refusals

__all__ = [
    "filled_text",
    "optional_flag",
    "optional_text",
    "refuse_rest",
    "required_object",
    "required_text",
    "top_object",
    "top_text",
    "type_of",
]


def refuse_rest(
    item: Mapping[str, Any],
    known: Set[str],
    path: str,
    refusals: Refusals,
    neutral: Mapping[str, tuple[Any, ...]] | None = None,
) -> None:
    """Refuse the members that are not ``known``, unless they are null, empty lists, or one of the values that
    ``neutral`` gives for the member: those say the same as its absence."""
    for key, value in item.items():
        if key in known or value is None or value == [] or (neutral and value in neutral.get(key, ())):
            continue
        refusals.add(f"{path}.{key}")


def type_of(value: Any, path: str) -> str:
    """The ``type`` of what must be an object that has one."""
    if not isinstance(value, dict) or not isinstance(kind := value.get("type"), str):
        raise InvalidRequest(f"{path!r} must be an object with a type", field=path)
    return kind


def required_text(item: Mapping[str, Any], key: str, path: str) -> str:
    """A member that must be a string."""
    value = item.get(key)
    if not isinstance(value, str):
        raise InvalidRequest(f"'{path}.{key}' must be a string", field=f"{path}.{key}")
    return value


def optional_text(item: Mapping[str, Any], key: str, path: str) -> str:
    """A member that may be absent or null and is otherwise a string."""
    return "" if item.get(key) is None else required_text(item, key, path)


def filled_text(item: Mapping[str, Any], key: str, path: str) -> str:
    """A member that must be a string, not an empty one."""
    value = required_text(item, key, path)
    if not value:
        raise InvalidRequest(f"'{path}.{key}' must not be empty", field=f"{path}.{key}")
    return value


def optional_flag(item: Mapping[str, Any], key: str, path: str) -> bool | None:
    """A member that may be absent or null and is otherwise a boolean."""
    value = item.get(key)
    if not isinstance(value, bool | None):
        raise InvalidRequest(f"'{path}.{key}' must be true or false", field=f"{path}.{key}")
    return value


def required_object(item: Mapping[str, Any], key: str, path: str) -> dict[str, Any]:
    """A member that must be an object."""
    value = item.get(key)
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{path}.{key}' must be an object", field=f"{path}.{key}")
    return value


def top_text(fields: Mapping[str, Any], key: str) -> str:
    """A member of the body that may be absent or null and is otherwise a string."""
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{key!r} must be a string", field=key)
    return value or ""


def top_object(fields: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A member of the body that may be absent or null and is otherwise an object."""
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{key!r} must be an object", field=key)
    return value
