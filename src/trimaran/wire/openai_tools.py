"""What OpenAI's two chat APIs demand of tools, of their calls and of schemas, and who is OpenAI.

A schema that an answer or a call is strictly held to must have a form of its own there: every property required, no
other one allowed, and none of some keywords (https://developers.openai.com/api/docs/guides/structured-outputs, supported
schemas, read 2026-11-24). Anthropic holds to schemas of other forms, too, an optional property being the common one. Such
a schema goes out as one that the model is shown and not held to, and that is noted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trimaran.wire.conversation import Notes, Tool
from trimaran.wire.refusals import Refusals

__all__ = ["LONGEST_CALL_ID", "OWN_PROVIDERS", "check_tool_names", "strict_form", "strictness"]

OWN_PROVIDERS = frozenset({"openai", "azure_openai"})
"""Those that run OpenAI's own service; everybody else's is compatible with it, more or less."""
LONGEST_CALL_ID = 40
"""In characters: the longest id of a call that OpenAI takes."""

_FOREIGN_KEYWORDS = frozenset(
    {
        "allOf",
        "default",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "patternProperties",
        "prefixItems",
        "then",
    }
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def strictness(strict: bool | None, schema: Any, name: str, refusals: Refusals, notes: Notes) -> bool | None:
    """What to say of ``strict`` beside ``schema``; ``name`` is what a client calls it, for ``notes``. A client of these
    APIs knows their rules, so its word stands."""
    if not strict or refusals.from_openai or strict_form(schema):
        return strict
    notes.emulate(name)
    return False


def check_tool_names(tools: Sequence[Tool], refusals: Refusals) -> None:
    """Refuse each name that OpenAI would; it takes fewer and shorter ones than others do."""
    for place, tool in enumerate(tools):
        if not _NAME.fullmatch(tool.name):
            path = refusals.name("tools[].name").replace("[]", f"[{place}]")
            refusals.add(path, "OpenAI takes up to 64 letters, digits, _ and -")


def strict_form(schema: Any) -> bool:
    """Whether a schema already has the form that strict adherence demands: its root is an object, and in every object
    each property is required and no other one allowed."""
    return isinstance(schema, dict) and schema.get("type") == "object" and _closed(schema)


def _closed(schema: Any) -> bool:
    if not isinstance(schema, dict) or not _FOREIGN_KEYWORDS.isdisjoint(schema):
        return False
    kind = schema.get("type")
    if kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind):
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(properties, dict):
            return False
        if not isinstance(required, list) or sorted(properties) != sorted(map(str, required)):
            return False
    within = [*_values(schema, "properties"), *_values(schema, "$defs"), *_values(schema, "definitions")]
    if "items" in schema:
        within.append(schema["items"])
    choices = schema.get("anyOf", [])
    return isinstance(choices, list) and all(_closed(inner) for inner in [*within, *choices])


def _values(schema: dict[str, Any], key: str) -> list[Any]:
    value = schema.get(key, {})
    return list(value.values()) if isinstance(value, dict) else [None]
