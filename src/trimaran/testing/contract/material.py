"""What the contract suites say and show: the same conversation in each dialect's words."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

__all__ = [
    "CALENDAR_SCHEMA",
    "PDF",
    "PIXEL",
    "RESULTS",
    "THING_SCHEMA",
    "WEATHER_SCHEMA",
    "call_gist",
    "decoded",
]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
"""A PNG of one pixel, in base64."""

_PAGE = b"""\
%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""
PDF = base64.b64encode(_PAGE).decode()
"""A PDF of one empty page, in base64."""

WEATHER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
}
CALENDAR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"date": {"type": "string", "format": "date"}},
    "required": ["date"],
}
THING_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}
RESULTS = ("Sunny, 21 degrees.", "Nothing planned.")
"""What the two tools answer."""


def decoded(text: str) -> Any:
    """A JSON text as data. Raises ``msgspec.DecodeError``, which breaks a promise too."""
    return msgspec.json.decode(text)


def call_gist(name: str, arguments: Any) -> dict[str, Any]:
    """A tool call as data, alike in all dialects."""
    return {"name": name, "arguments": decoded(arguments) if isinstance(arguments, str) else arguments}
