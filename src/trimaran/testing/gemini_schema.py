"""The subset of OpenAPI's schema that Gemini takes, checked and turned into a JSON schema.

A ``Schema`` came through :mod:`~trimaran.testing.proto_json`, so unknown keywords are refused already. What is checked here are
the rules between keywords, in the words that public issue threads quote (2024 to 2026, read 2026-11-30).
"""

from __future__ import annotations

from typing import Any

from trimaran.testing.google_errors import invalid

__all__ = ["check_json_schema", "json_schema"]

_FORMATS = {
    "STRING": ("enum", "date-time"),
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
}
_NAMES = {
    "max_items": "maxItems",
    "min_items": "minItems",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "min_length": "minLength",
    "max_length": "maxLength",
}
_PLAIN = ("title", "description", "pattern", "minimum", "maximum", "default", "enum", "required")


def json_schema(schema: dict[str, Any], where: str, *, top: bool = False) -> dict[str, Any]:
    """The same in JSON schema's words. ``top``: parameters of a function, which are an object. Raises
    :class:`~trimaran.testing.google_errors.GoogleRefusal` (400)."""
    kind = schema.get("type", "TYPE_UNSPECIFIED")
    _check(schema, kind, where, top=top)
    found: dict[str, Any] = {name: schema[name] for name in _PLAIN if name in schema}
    found |= {theirs: schema[ours] for ours, theirs in _NAMES.items() if ours in schema}
    if kind != "TYPE_UNSPECIFIED":
        found["type"] = [kind.lower(), "null"] if schema.get("nullable") else kind.lower()
    if schema.get("format") in ("date-time",):
        found["format"] = schema["format"]
    if "properties" in schema:
        found["properties"] = {
            name: json_schema(inner, f"{where}.properties[{name}]") for name, inner in schema["properties"].items()
        }
    if "items" in schema:
        found["items"] = json_schema(schema["items"], f"{where}.items")
    if "any_of" in schema:
        found["anyOf"] = [json_schema(inner, f"{where}.any_of[{at}]") for at, inner in enumerate(schema["any_of"])]
    return found


def _check(schema: dict[str, Any], kind: str, where: str, *, top: bool) -> None:
    if kind == "TYPE_UNSPECIFIED" and not ({"any_of", "ref"} & schema.keys()):
        raise invalid(f"* GenerateContentRequest.{where}.type: must be specified\n")
    if top and kind != "OBJECT":
        raise invalid(f"* GenerateContentRequest.{where}.type: schema at top-level must be of type OBJECT\n")
    if kind == "OBJECT":
        properties = schema.get("properties")
        if properties is not None and not properties:
            raise invalid(f"* GenerateContentRequest.{where}.properties: should be non-empty for OBJECT type\n")
        for at, name in enumerate(schema.get("required", ())):
            if name not in (properties or {}):
                raise invalid(f"* GenerateContentRequest.{where}.required[{at}]: property is not defined\n")
    elif "properties" in schema:
        raise invalid(f"* GenerateContentRequest.{where}.properties: only allowed for OBJECT type\n")
    if kind == "ARRAY" and "items" not in schema:
        raise invalid(f"* GenerateContentRequest.{where}.items: missing field.\n")
    if "items" in schema and kind != "ARRAY":
        raise invalid(f"* GenerateContentRequest.{where}.items: field predicate failed: $type == Type.ARRAY\n")
    if "enum" in schema and kind != "STRING":
        raise invalid(f"* GenerateContentRequest.{where}.enum: only allowed for STRING type\n")
    if any(not value for value in schema.get("enum", ())):
        raise invalid(f"* GenerateContentRequest.{where}.enum: cannot be empty\n")
    allowed = _FORMATS.get(kind)
    if (named := schema.get("format")) and allowed is not None and named not in allowed:
        names = " and ".join(f"'{name}'" for name in allowed)
        words = f"only {names} are supported for {kind} type"
        raise invalid(f"* GenerateContentRequest.{where}.format: {words}\n")


def check_json_schema(schema: Any, where: str) -> Any:
    """A JSON schema as it came. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (400) for something else."""
    if not isinstance(schema, dict):
        raise invalid(f"* GenerateContentRequest.{where}: must be a JSON schema object\n")
    for name in schema.get("required", ()):
        if name not in schema.get("properties", {}):
            raise invalid(f"* GenerateContentRequest.{where}.required: property '{name}' is not defined\n")
    return schema
