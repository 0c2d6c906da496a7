"""A minimal JSON instance of a JSON schema: what a simulated model answers to structured output and forced tool calls.

It covers what the vendors accept (types, enum, const, required, items, anyOf, local ``$ref``, bounds, common formats).
It promises the right shape; a ``pattern`` is beyond it. The result depends on the schema alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["instance_of"]

_MAX_DEPTH = 24
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance_of(schema: Any) -> Any:
    """A JSON value that fits ``schema`` (a decoded JSON schema); ``None`` for one too deep or without sense."""
    try:
        return _instance(schema, schema, 0)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None


def _instance(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        return _instance(_resolve(reference, root), root, depth + 1)
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("enum", "examples"):
        if isinstance(values := schema.get(keyword), list) and values:
            return values[0]
    for keyword in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(keyword), list) and options:
            return _instance(options[0], root, depth + 1)
    if isinstance(parts := schema.get("allOf"), list) and parts:
        return _instance(_merged(schema, parts, root), root, depth + 1)
    return _of_type(_type(schema), schema, root, depth)


def _resolve(reference: str, root: Any) -> Any:
    node = root
    for name in reference.removeprefix("#").split("/")[1:]:
        if not isinstance(node, Mapping):
            return None
        node = node.get(name.replace("~1", "/").replace("~0", "~"))
    return node


def _merged(schema: Mapping[str, Any], parts: list[Any], root: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        if isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
            part = _resolve(part["$ref"], root)
        if not isinstance(part, Mapping):
            continue
        for key, value in part.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged.setdefault(key, value)
    return merged


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((name for name in named if name != "null"), "null")
    if isinstance(named, str):
        return named
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _of_type(name: str, schema: Mapping[str, Any], root: Any, depth: int) -> Any:
    if name == "object":
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        wanted = schema.get("required", list(properties))
        return {key: _instance(properties.get(key, {}), root, depth + 1) for key in wanted}
    if name == "array":
        count = schema.get("minItems", 0)
        return [_instance(schema.get("items", {}), root, depth + 1) for _ in range(min(int(count), 100))]
    if name == "string":
        text = _FORMATS.get(str(schema.get("format")), "simulated")
        text += "." * (int(schema.get("minLength", 0)) - len(text))
        return text[: int(schema["maxLength"])] if "maxLength" in schema else text
    if name in ("integer", "number"):
        return _number(schema, whole=name == "integer")
    return False if name == "boolean" else None


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf", 1 if whole else 0.5)
    if "minimum" in schema:
        low = schema["minimum"]
    elif "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    else:
        low = min(0, schema.get("maximum", schema.get("exclusiveMaximum", step) - step))
    return int(-(-low // step) * step) if whole else low
