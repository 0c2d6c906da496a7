"""The JSON schemas that this API can hold an answer or a tool call to.

Every object is closed, and limits of size and number are unknown to it. Sources:
https://platform.claude.com/docs/en/build-with-claude/structured-outputs (read 2026-11-24), and what the ``anthropic``
SDK 2.13 moves out of a schema before it sends it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["can_hold"]

_UNKNOWN = frozenset(
    {
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
    }
)
_LITERALS = frozenset({"const", "default", "enum", "examples", "required"})
"""Their values are no schemas."""
_NAMED = frozenset({"$defs", "definitions", "properties"})
"""Their values hold schemas by name."""


def can_hold(schema: Any) -> bool:
    """Whether ``schema`` stays within what the API knows."""
    if isinstance(schema, list):
        return all(can_hold(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if not _UNKNOWN.isdisjoint(schema) or schema.get("minItems", 0) not in (0, 1) or schema.get("$ref") == "#":
        return False
    if ("properties" in schema or schema.get("type") == "object") and schema.get("additionalProperties") is not False:
        return False
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            if not all(can_hold(inner) for inner in value.values()):
                return False
        elif key not in _LITERALS and not can_hold(value):
            return False
    return True
