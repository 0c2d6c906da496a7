"""Schemas: the API's own kind, which is OpenAPI's, as JSON schema.

``parametersJsonSchema`` and ``responseJsonSchema`` are JSON schemas and pass as they are, in both directions.
``parameters`` and ``responseSchema`` are OpenAPI 3.0 with the API's additions: types in capitals, ``nullable``, numbers
as strings, an order of properties beside them. That order is kept by the order of the properties themselves. Members
that are not known are JSON schema's, and stay.

Of a response's schema the API holds an answer to a part of the keywords and reads over the others
(https://ai.google.dev/gemini-api/docs/structured-output, read 2026-11-30).
"""

from __future__ import annotations

from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.gemini_generate.names import members, spellings

__all__ = ["holds_all", "json_schema"]

_NAMES = spellings(
    "additionalProperties",
    "anyOf",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "propertyOrdering",
)
_COUNTS = ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties")
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_DEEPEST = 64

_HELD = frozenset(
    {
        "$anchor",
        "$defs",
        "$id",
        "$ref",
        "additionalProperties",
        "anyOf",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "oneOf",
        "prefixItems",
        "properties",
        "propertyOrdering",
        "required",
        "title",
        "type",
    }
)
_SAYS_NOTHING = frozenset({"$schema", "$comment", "default", "examples", "example"})
_NAMED = ("properties", "$defs")
_LISTED = ("anyOf", "oneOf", "prefixItems")


def json_schema(value: Any, path: str, depth: int = 0) -> dict[str, Any]:
    """A schema of the API's own kind as JSON schema. Raises :class:`InvalidRequest`."""
    if depth > _DEEPEST:
        raise InvalidRequest(f"{path!r} is nested too deeply", field=path)
    schema = members(value, _NAMES, path)
    nullable = schema.pop("nullable", False)
    order = schema.pop("propertyOrdering", None)
    if isinstance(kind := schema.get("type"), str):
        word = kind.lower()
        if word == "type_unspecified":
            del schema["type"]
        elif word in _TYPES:
            schema["type"] = [word, "null"] if nullable and word != "null" else word
    for key in _COUNTS:
        if isinstance(count := schema.get(key), str) and count.isdecimal() and len(count) < 20:
            schema[key] = int(count)
    if "example" in schema:
        schema["examples"] = [schema.pop("example")]
    _within(schema, path, depth)
    if isinstance(order, list) and isinstance(properties := schema.get("properties"), dict):
        first = {name: properties[name] for name in order if isinstance(name, str) and name in properties}
        schema["properties"] = first | properties
    if nullable and isinstance(choices := schema.get("anyOf"), list) and "type" not in schema:
        schema["anyOf"] = [*choices, {"type": "null"}]
    if nullable and isinstance(enum := schema.get("enum"), list) and None not in enum:
        schema["enum"] = [*enum, None]
    return schema


def _within(schema: dict[str, Any], path: str, depth: int) -> None:
    """Convert the schemas that ``schema`` holds."""
    if "items" in schema:
        schema["items"] = json_schema(schema["items"], f"{path}.items", depth + 1)
    if isinstance(choices := schema.get("anyOf"), list):
        schema["anyOf"] = [
            json_schema(choice, f"{path}.anyOf[{place}]", depth + 1) for place, choice in enumerate(choices)
        ]
    for key, name in (("properties", "properties"), ("defs", "$defs"), ("$defs", "$defs")):
        if isinstance(held := schema.get(key), dict):
            del schema[key]
            schema[name] = {
                inner: json_schema(each, f"{path}.{key}.{inner}", depth + 1) for inner, each in held.items()
            }
    if isinstance(ref := schema.pop("ref", None), str):
        schema["$ref"] = ref
    if isinstance(extra := schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = json_schema(extra, f"{path}.additionalProperties", depth + 1)


def holds_all(schema: Any) -> bool:
    """Whether the API holds an answer to everything that a JSON schema says."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    if not schema.keys() <= _HELD | _SAYS_NOTHING:
        return False
    inner = [schema[key] for key in ("items", "additionalProperties") if key in schema]
    for key in _NAMED:
        if isinstance(held := schema.get(key), dict):
            inner += held.values()
    for key in _LISTED:
        if isinstance(listed := schema.get(key), list):
            inner += listed
    return all(map(holds_all, inner))
