"""How a setting is declared, and how each kind of value is read, described and shown.

A setting is one annotation on one field of a struct in :mod:`trimaran.config.settings`::

    port: Annotated[int, Setting(kind=PORT, what="...", why="...", reason="...")] = 4000

Its name is the field's without the unit (``deadline_s`` is written ``deadline: 30s``), its default the field's default.
The YAML reader, the environment and command-line overrides, the JSON schema and the reference page all walk these
annotations; nothing about a setting is said anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, Protocol, get_args, get_origin, get_type_hints

import msgspec

from trimaran.config.interpolation import MissingVariable
from trimaran.config.masking import may_be_credential
from trimaran.config.reading import Path, Reader, Skip, dotted
from trimaran.config.source import LIST, MAPPING, NOTHING, TEXT, Node
from trimaran.types import Secret

__all__ = [
    "Field",
    "Group",
    "Kind",
    "Listing",
    "Refused",
    "Scalar",
    "SecretText",
    "Setting",
    "Table",
    "fields_of",
]

_UNITS = ("_s", "_ns", "_bytes", "_nanos", "_picos")
_SECRET_HINT = "write a reference to it: ${NAME} for a variable, ${file:/run/secrets/name} for a file"
_REFERENCE_SCHEMA = {"type": "string", "pattern": r"\$\{"}
_CREDENTIAL_WORDS = ("auth", "cookie", "credential", "key", "pass", "secret", "session", "signature", "token")
"""Parts of the names of headers whose values nobody else may know."""


class Kind(Protocol):
    """One kind of value."""

    expected: str
    """What a value must be, after "expected"."""
    example: str

    def read(self, node: Node, path: Path, reader: Reader) -> Any:
        """The value. Raises :class:`Skip`."""

    def schema(self) -> dict[str, Any]:
        """JSON schema of what may be written."""

    def show(self, value: Any) -> str:
        """The value as a user would write it."""


class Scalar:
    """A value on one line. ``parse`` raises :class:`ValueError` with what it expected."""

    def __init__(
        self,
        parse: Callable[[str], Any],
        *,
        expected: str,
        example: str,
        schema: dict[str, Any],
        show: Callable[[Any], str] = str,
        files: bool = False,
    ) -> None:
        self.expected = expected
        self.example = example
        self.parse = parse
        self._schema = schema
        self._show = show
        self._files = files

    def read(self, node: Node, path: Path, reader: Reader) -> Any:
        text, _ = self.text(node, path, reader)
        try:
            return self.parse(text)
        except ValueError as error:
            reader.fail(node, path, f"expected {error}", f"for example: {self.example}")

    def text(self, node: Node, path: Path, reader: Reader) -> tuple[str, tuple[str, ...]]:
        """The text with its references resolved, and what it referred to."""
        if node.kind == NOTHING:
            reader.fail(node, path, f"has no value; expected {self.expected}", f"for example: {self.example}")
        if node.kind != TEXT:
            reader.fail(node, path, f"expected {self.expected}, found {_found(node)}", f"for example: {self.example}")
        if node.literal:
            return node.text, ()
        try:
            return reader.resolve(node.text, files=self._files)
        except MissingVariable as missing:
            reader.fail(node, path, missing.message, missing.hint)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self._schema, _REFERENCE_SCHEMA]}

    def show(self, value: Any) -> str:
        return self._show(value)


class SecretText(Scalar):
    """A credential: wrapped at once, never shown, and never written into the file itself."""

    def __init__(self, *, expected: str, example: str) -> None:
        super().__init__(Secret, expected=expected, example=example, schema=_REFERENCE_SCHEMA, files=True)

    def read(self, node: Node, path: Path, reader: Reader) -> Secret:
        text, used = self.text(node, path, reader)
        if not used and not node.literal and not self.harmless(path, text):
            reader.fail(node, path, "a credential must not stand in the file", _SECRET_HINT)
        if text != text.strip():
            reader.warn(f"{dotted(path)}: spaces around the credential were removed")
            text = text.strip()
        if not text:
            reader.fail(node, path, "the credential is empty", _SECRET_HINT)
        if not text.isascii() or not text.isprintable():
            # A line break would end the header that carries it and begin another one.
            reader.fail(
                node, path, "the credential holds a line break or a character that is not ASCII", "copy it again"
            )
        return Secret(text)

    def harmless(self, path: Path, text: str) -> bool:
        """Whether ``text``, which stands in the file at ``path``, is surely no credential."""
        return False

    def schema(self) -> dict[str, Any]:
        return _REFERENCE_SCHEMA


class HeaderText(SecretText):
    """A header's value: a credential unless its name says otherwise and nothing about it looks like one."""

    def harmless(self, path: Path, text: str) -> bool:
        name = str(path[-1]).lower()
        return not any(word in name for word in _CREDENTIAL_WORDS) and not may_be_credential(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


class Listing:
    """A list of values of one kind, without repetition. With ``single``, one value may be written without the list."""

    def __init__(self, item: Kind, *, expected: str, example: str, least: int = 0, single: bool = False) -> None:
        self.item = item
        self.expected = expected
        self.example = example
        self._least = least
        self._single = single

    def read(self, node: Node, path: Path, reader: Reader) -> tuple[Any, ...]:
        if self._single and node.kind == (MAPPING if isinstance(self.item, Group) else TEXT):
            return (self.item.read(node, path, reader),)
        if node.kind != LIST:
            reader.fail(node, path, f"expected {self.expected}, found {_found(node)}", f"for example: {self.example}")
        values: list[Any] = []
        for index, item in enumerate(node.items):
            here = (*path, index)
            reader.seen(here, item.place)
            try:
                value = self.item.read(item, here, reader)
                if value in values:
                    reader.fail(item, here, "is listed twice", "keep one of them")
                values.append(value)
            except Skip:
                continue
        if len(node.items) < self._least:
            reader.fail(node, path, f"expected {self.expected}, found an empty list", f"for example: {self.example}")
        return tuple(values)

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "array", "items": self.item.schema(), "uniqueItems": True}
        found |= {"minItems": self._least} if self._least else {}
        return {"anyOf": [self.item.schema(), found]} if self._single else found

    def show(self, value: Any) -> str:
        return "[" + ", ".join(self.item.show(item) for item in value) + "]"


class Table:
    """A mapping from names that the user chooses to values of one kind."""

    def __init__(self, value: Kind, *, key: str, key_expected: str, expected: str, example: str) -> None:
        self.value = value
        self.expected = expected
        self.example = example
        self.key_pattern = key
        self._key = re.compile(key)
        self._key_expected = key_expected

    def read(self, node: Node, path: Path, reader: Reader) -> dict[str, Any]:
        if node.kind not in (MAPPING, NOTHING):
            reader.fail(node, path, f"expected {self.expected}, found {_found(node)}", f"for example: {self.example}")
        values: dict[str, Any] = {}
        for name, entry in node.entries.items():
            here = (*path, name)
            reader.seen(here, entry.place)
            if self._key.fullmatch(name) is None:
                reader.note(entry.place, here, f"this name cannot be used; expected {self._key_expected}")
                continue
            try:
                values[name] = self.value.read(entry.value, here, reader)
            except Skip:
                continue
        return values

    def schema(self) -> dict[str, Any]:
        return {
            "type": ["object", "null"],
            "patternProperties": {f"^(?:{self.key_pattern})$": self.value.schema()},
            "additionalProperties": False,
        }

    def show(self, value: Any) -> str:
        return "{" + ", ".join(f"{name}: {self.value.show(inner)}" for name, inner in value.items()) + "}"


class Group:
    """A section: a mapping with the settings of one struct."""

    def __init__(self, struct: type[msgspec.Struct], *, expected: str, example: str) -> None:
        self.struct = struct
        self.expected = expected
        self.example = example

    def read(self, node: Node, path: Path, reader: Reader) -> Any:
        if node.kind not in (MAPPING, NOTHING):
            reader.fail(node, path, f"expected {self.expected}, found {_found(node)}", f"for example: {self.example}")
        fields = fields_of(self.struct)
        known = {field.name for field in fields}
        for name, entry in node.entries.items():
            if name not in known:
                reader.unknown(entry.place, (*path, name), tuple(f.name for f in fields if not f.refused))
        inherited = reader.inherited(self.struct)
        values: dict[str, Any] = {}
        complete = True
        for field in fields:
            try:
                found = self._field(field, node, path, reader)
            except Skip:
                complete = False
                continue
            if found is not _ABSENT:
                values[field.attribute] = found
            elif inherited is not None:
                values[field.attribute] = getattr(inherited, field.attribute)
        if not complete:
            raise Skip
        made = self.struct(**values)
        reader.finished(path, made)
        return made

    def _field(self, field: Field, node: Node, path: Path, reader: Reader) -> Any:
        here = (*path, field.name)
        override = reader.override(here)
        if override is not None:
            reader.seen(here, override.place)
            return field.setting.kind.read(override, here, reader)
        entry = node.entries.get(field.name)
        if entry is not None:
            reader.seen(here, entry.place)
            return field.setting.kind.read(entry.value, here, reader)
        if isinstance(field.setting.kind, Group) and (field.required or field.default is not None):
            # An absent section may still get values from the environment, or inherit them. One whose default is None is
            # a choice: it is there only where it is written.
            return field.setting.kind.read(Node(MAPPING, node.place), here, reader)
        if field.required:
            reader.note(node.place, here, "is missing", f"for example: {field.name}: {field.setting.kind.example}")
            raise Skip
        return _ABSENT

    def schema(self) -> dict[str, Any]:
        fields = [field for field in fields_of(self.struct) if not field.refused]
        properties = {}
        for field in fields:
            properties[field.name] = {"description": field.setting.what, **field.setting.kind.schema()}
        required = [field.name for field in fields if field.required]
        found = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
        return found | ({"required": required, "type": "object"} if required else {})

    def show(self, value: Any) -> str:
        return "see its settings"


class Refused:
    """A setting of the vocabulary that this version does not serve: named as such, never ignored."""

    def __init__(self, instead: str) -> None:
        self.expected = "nothing"
        self.example = ""
        self.instead = instead

    def read(self, node: Node, path: Path, reader: Reader) -> NoReturn:
        reader.fail(node, path, "is not part of this version", self.instead)

    def schema(self) -> dict[str, Any]:
        return {"not": {}}

    def show(self, value: Any) -> str:
        return ""


class Setting(msgspec.Struct, frozen=True):
    """What a setting is for. ``reason`` says why its default is what it is."""

    kind: Any
    what: str
    why: str
    reason: str
    unit: str = ""
    default: str = ""
    """How the default reads where it is computed from something else."""
    option: str = ""
    """The command-line option that overrides it: ``--port``."""


class Field(msgspec.Struct, frozen=True):
    """A setting with its names and its default."""

    attribute: str
    name: str
    setting: Setting
    default: Any
    required: bool

    @property
    def refused(self) -> bool:
        """Recognised, but not part of this version."""
        return isinstance(self.setting.kind, Refused)


_ABSENT = object()


@cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The settings declared on a struct, in order. Fields without a :class:`Setting` are not the user's."""
    hints = get_type_hints(struct, include_extras=True)
    found = []
    for field in msgspec.structs.fields(struct):
        setting = _setting(hints[field.name])
        if setting is None:
            continue
        required = field.required
        default = None if required else _default(field)
        found.append(Field(field.name, _written(field.name), setting, default, required))
    return tuple(found)


def _setting(hint: Any) -> Setting | None:
    if get_origin(hint) is None and not hasattr(hint, "__metadata__"):
        return None
    extras = get_args(hint)[1:] if hasattr(hint, "__metadata__") else ()
    return next((extra for extra in extras if isinstance(extra, Setting)), None)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _found(node: Node) -> str:
    return {TEXT: "text", NOTHING: "no value"}.get(node.kind, f"a {node.kind}")


def _written(attribute: str) -> str:
    # A word that Python keeps for itself has an underscore after it.
    attribute = attribute.removesuffix("_")
    for unit in _UNITS:
        if attribute.endswith(unit):
            return attribute.removesuffix(unit)
    return attribute
