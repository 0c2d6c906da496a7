"""OpenAI's rules for a schema marked ``strict``: every object is closed, and every property of it is required."""

from __future__ import annotations

from typing import Any

__all__ = ["strictness_fault"]

_MAX_DEPTH = 24
_LISTS = ("anyOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")


def strictness_fault(schema: Any, context: tuple[str, ...] = ()) -> str | None:
    """What is wrong with it in OpenAI's words, or ``None``."""
    if not isinstance(schema, dict) or len(context) > _MAX_DEPTH:
        return None
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            return f"In context={context}, 'additionalProperties' is required to be supplied and to be false."
        names = set(properties) if isinstance(properties, dict) else set()
        required = schema.get("required")
        missing = (
            sorted(names - {name for name in required if isinstance(name, str)})
            if isinstance(required, list)
            else sorted(names)
        )
        if missing:
            return (
                f"In context={context}, 'required' is required to be supplied and to be an array including every key "
                f"in properties. Missing '{missing[0]}'."
            )
    return _below(schema, context)


def _below(schema: dict[str, Any], context: tuple[str, ...]) -> str | None:
    for key, place, child in _children(schema):
        if (fault := strictness_fault(child, (*context, key, place))) is not None:
            return fault
    return None


def _children(schema: dict[str, Any]) -> list[tuple[str, str, Any]]:
    found = []
    for key in _MAPS:
        if isinstance(value := schema.get(key), dict):
            found += [(key, str(name), child) for name, child in value.items()]
    for key in _LISTS:
        if isinstance(value := schema.get(key), list):
            found += [(key, str(place), child) for place, child in enumerate(value)]
    if "items" in schema:
        found.append(("items", "", schema["items"]))
    return found
