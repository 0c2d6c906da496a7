"""Reads JSON as Google's front ends read it into protocol buffers: names in camel case or snake case, strict types.

A message is a table of fields. What comes out has snake-case names, enums as names, 64-bit numbers as numbers, and no nulls. All
faults are found at once and reported in one 400 with a ``BadRequest``, in the words that Google's API front end uses (quoted in
public issue threads, 2024 to 2026, read 2026-11-30). Rules: protobuf.dev, "ProtoJSON format".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from trimaran.testing.google_errors import bad_request, invalid

__all__ = ["Enum", "FieldType", "Map", "Message", "Repeated", "decode_bytes", "read_message"]

Scalar = Literal["string", "bytes", "bool", "int", "float", "struct", "value"]
"""``struct`` is a JSON object, ``value`` any JSON value."""


class Enum(NamedTuple):
    """Names in the order of their numbers."""

    name: str
    values: tuple[str, ...]


class Message:
    """A table of fields by snake-case name. ``oneof`` lists those of which one at most may be set."""

    __slots__ = ("fields", "name", "names", "oneof")

    def __init__(self, name: str, fields: Mapping[str, FieldType], oneof: Iterable[str] = ()) -> None:
        self.name = name
        self.fields: dict[str, FieldType] = {}
        self.names: dict[str, str] = {}
        self.oneof = frozenset(oneof)
        self.add(fields)

    def add(self, fields: Mapping[str, FieldType]) -> None:
        """Further fields, for a message that holds itself."""
        self.fields.update(fields)
        for name in fields:
            self.names[name] = self.names[_camel(name)] = name


class Repeated(NamedTuple):
    """A list; one element may stand without its brackets."""

    of: Scalar | Enum | Message


class Map(NamedTuple):
    """An object with free names."""

    of: Scalar | Enum | Message


FieldType: TypeAlias = Scalar | Enum | Message | Repeated | Map

_PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1beta."
_NUMBER = re.compile(r"-?\d+(\.0*)?\Z")
_PROTO = {
    "string": "TYPE_STRING",
    "bytes": "TYPE_BYTES",
    "bool": "TYPE_BOOL",
    "int": "TYPE_INT32",
    "float": "TYPE_FLOAT",
}


def read_message(body: bytes, message: Message) -> dict[str, Any]:
    """The body as a message. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (400)."""
    try:
        value = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    reader = _Reader()
    found = reader.message(value, message, "")
    if reader.faults:
        raise invalid("\n".join(words for _, words in reader.faults), bad_request(reader.faults))
    return found


class _Reader:
    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def message(self, value: Any, message: Message, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(path, _PACKAGE + message.name, value)
            return {}
        found: dict[str, Any] = {}
        chosen = ""
        for key, item in value.items():
            name = message.names.get(key)
            if name is None:
                self._unknown(path, key, "Cannot find field.")
                continue
            kind = message.fields[name]
            if item is None and kind != "value":
                continue
            if name in message.oneof:
                if chosen:
                    words = f"oneof field 'data' is already set. Cannot set '{_camel(name)}'"
                    self.faults.append((path, f"Invalid value at '{path}' (oneof), {words}"))
                chosen = name
            inner = f"{path}.{name}" if path else name
            if isinstance(item, list) and not isinstance(kind, Repeated) and kind not in ("value", "struct"):
                self._unknown(path, key, "Proto field is not repeating, cannot start list.")
                continue
            found[name] = self.field(item, kind, inner)
        return found

    def field(self, value: Any, kind: FieldType, path: str) -> Any:
        if isinstance(kind, Repeated):
            items = value if isinstance(value, list) else [value]
            bare = not isinstance(value, list)
            return [self.field(item, kind.of, path if bare else f"{path}[{at}]") for at, item in enumerate(items)]
        if isinstance(kind, Map):
            if not isinstance(value, dict):
                self._wrong(path, "Map", value)
                return {}
            rows = enumerate(value.items())
            return {name: self.field(item, kind.of, f"{path}[{at}].value") for at, (name, item) in rows}
        if isinstance(kind, Message):
            return self.message(value, kind, path)
        if isinstance(kind, Enum):
            return self._enum(value, kind, path)
        return self._scalar(value, kind, path)

    def _enum(self, value: Any, kind: Enum, path: str) -> Any:
        if isinstance(value, str) and value.upper() in kind.values:
            return value.upper()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(kind.values):
            return kind.values[value]
        self._wrong(path, _PACKAGE + kind.name, value)
        return kind.values[0]

    def _scalar(self, value: Any, kind: Scalar, path: str) -> Any:
        if kind == "value":
            return value
        if kind == "struct":
            if isinstance(value, dict):
                return value
            self._wrong(path, "type.googleapis.com/google.protobuf.Struct", value)
            return {}
        if kind == "bytes" and isinstance(value, str):
            if (raw := decode_bytes(value)) is not None:
                return raw
            shown = msgspec.json.encode(value[:60]).decode()
            words = f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {shown}"
            self.faults.append((path, words))
            return b""
        found = _converted(value, kind)
        if found is None:
            self._wrong(path, _PROTO[kind], value)
        return found

    def _unknown(self, path: str, key: str, what: str) -> None:
        at = f" at '{path}'" if path else ""
        self.faults.append((path, f'Invalid JSON payload received. Unknown name "{key}"{at}: {what}'))

    def _wrong(self, path: str, kind: str, value: Any) -> None:
        shown = msgspec.json.encode(value).decode()[:200]
        self.faults.append((path, f"Invalid value at '{path}' ({kind}), {shown}"))


def _converted(value: Any, kind: Scalar) -> Any:
    """A JSON value as a scalar; ``None`` when it is none."""
    if kind == "string":
        return value if isinstance(value, str) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if kind == "float":
            return value
        return int(value) if value == int(value) else None
    if isinstance(value, str) and kind in ("int", "float"):
        if kind == "int":
            return int(float(value)) if _NUMBER.match(value) else None
        try:
            return float(value)
        except ValueError:
            return None
    return None


def decode_bytes(text: str) -> bytes | None:
    """Base64, standard or for addresses, padded or not; ``None`` for something else."""
    padded = text.rstrip("=")
    try:
        raw = padded.replace("-", "+").replace("_", "/")
        return base64.b64decode(raw + "=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
