"""A configuration's text as a tree of nodes that know where they stand.

YAML is composed, never constructed: no tag is obeyed, no type guessed (``no`` stays text until a setting asks for a
flag), and each node keeps its line. What YAML lets pass and people regret is refused here: a key written twice, an
alias that contains itself, a key that is not plain text. Texts of YAML errors are our own, because a parser's message
may carry a piece of the file, and a piece of the file may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from trimaran.config.masking import quote
from trimaran.errors import ConfigError

__all__ = ["LIST", "MAPPING", "NOTHING", "TEXT", "Entry", "Node", "from_value", "parse_yaml", "read_text"]

TEXT = "text"
LIST = "list"
MAPPING = "mapping"
NOTHING = "nothing"

MAX_FILE_BYTES = 1024 * 1024
"""A file of 10,000 keys takes about half of it; a larger one is a mistake (a log, a disk image) and is not read."""

_MAX_DEPTH = 32
"""The deepest setting stands at six; anything deeper is refused later with a better message, unless it is a bomb."""

_YAML_FAULTS = (
    ("mapping values are not allowed", "a second ': ' on one line", "put text that contains ': ' in quotes"),
    (
        "cannot start any token",
        "a character that cannot start a value",
        "YAML indents with spaces, not tabs; text that starts with @ or ` needs quotes",
    ),
    ("could not find expected ':'", "a name without ':'", "each setting is written as name: value"),
    ("did not find expected key", "wrong indentation", "settings of one section start in the same column"),
    ("block sequence entries", "a list inside a line", "start the list on its own line, or write [a, b]"),
    ("found undefined alias", "an alias without its anchor", "text that starts with * needs quotes"),
    ("found duplicate anchor", "an anchor defined twice", "text that starts with & needs quotes"),
    ("unexpected end of stream", "a quote that is never closed", "close it"),
    (
        "did not find expected node content",
        "a bracket that is never closed, or no value",
        "close it, or write the value",
    ),
    (
        "did not find expected ',' or",
        "a bracket that is never closed, or a missing comma",
        "close it, or add the comma",
    ),
    ("found another document", "a second document", "remove the second ---"),
    ("maximum nesting depth", "nested too deeply", "no setting is nested that deeply"),
    ("escape", "an unknown escape in double quotes", "use single quotes, or double the backslash"),
)


_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value")
)
"""What a plain document is resolved to; anything else was written as a tag."""


class Node:
    """One value: ``text``, a list of nodes, a mapping of entries, or nothing.

    ``place`` is for people: ``trimaran.yaml:5``, ``--port``, or empty where only the path tells. ``literal`` text is
    taken as it is, without ``${...}``.
    """

    __slots__ = ("entries", "items", "kind", "literal", "place", "text")

    def __init__(self, kind: str, place: str, *, text: str = "", literal: bool = False) -> None:
        self.kind = kind
        self.place = place
        self.text = text
        self.literal = literal
        self.items: list[Node] = []
        self.entries: dict[str, Entry] = {}


class Entry:
    """A mapping's value and where its key stands."""

    __slots__ = ("place", "value")

    def __init__(self, place: str, value: Node) -> None:
        self.place = place
        self.value = value


def read_text(path: str) -> str:
    """The file's text. Raises :class:`ConfigError` when it is missing, unreadable, too large or not UTF-8."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError("no such file", where=path, hint="`trimaran init` writes one to start from") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise ConfigError(f"cannot be read: {reason}", where=path) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"larger than {MAX_FILE_BYTES // 1024} KiB, so it cannot be a configuration", where=path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        # "from None": the exception holds the file's bytes, secrets included.
        raise ConfigError("not UTF-8 text", where=f"{path}:{line}", hint="save the file as UTF-8") from None


def parse_yaml(text: str, origin: str) -> Node:
    """The tree of a YAML document; an empty document is an empty mapping. Raises :class:`ConfigError`."""
    # Imported here: without a file (and in every worker) YAML is not needed.
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise _yaml_error(error, text, origin) from None
    except (ValueError, RecursionError):
        # Lone surrogates, which no UTF-8 file can hold, and nesting that the pure-Python loader cannot follow.
        raise ConfigError("not valid YAML", where=origin) from None
    if root is None:
        return Node(MAPPING, f"{origin}:1")
    return _Composer(origin).node(root, 0)


def _yaml_error(error: Exception, text: str, origin: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
        return ConfigError("not valid YAML: a control character", where=f"{origin}:{line}", hint="remove it")
    problem = str(getattr(error, "problem", "") or "")
    unknown = ("", "unexpected text", "see the line above, too: YAML often notices late")
    _, what, hint = next((fault for fault in _YAML_FAULTS if fault[0] in problem), unknown)
    return ConfigError(f"not valid YAML: {what}", where=f"{origin}:{mark.line + 1}:{mark.column + 1}", hint=hint)


class _Composer:
    """Turns YAML nodes into ours. An alias gives the same node again, so that nothing can grow by repetition."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._done: dict[int, Node] = {}
        self._open: set[int] = set()

    def node(self, raw: Any, depth: int) -> Node:
        place = self._place(raw)
        known = self._done.get(id(raw))
        if known is not None:
            return known
        if id(raw) in self._open:
            raise ConfigError("this alias contains itself", where=place)
        if depth > _MAX_DEPTH:
            raise ConfigError("nested too deeply", where=place, hint="no setting is nested that deeply")
        self._open.add(id(raw))
        made = self._made(raw, place, depth)
        self._open.discard(id(raw))
        self._done[id(raw)] = made
        return made

    def _made(self, raw: Any, place: str, depth: int) -> Node:
        kind: str = raw.id
        if raw.tag not in _TAGS:
            raise ConfigError(
                "YAML tags (!name) are not used here", where=place, hint="remove the tag, or quote the text"
            )
        if kind == "mapping":
            made = Node(MAPPING, place)
            for key, value in raw.value:
                self._add(made, key, value, depth)
            return made
        if kind == "sequence":
            made = Node(LIST, place)
            made.items = [self.node(item, depth + 1) for item in raw.value]
            return made
        if raw.tag == "tag:yaml.org,2002:null":
            return Node(NOTHING, place)
        return Node(TEXT, place, text=raw.value)

    def _add(self, made: Node, key: Any, value: Any, depth: int) -> None:
        place = self._place(key)
        if key.id != "scalar":
            raise ConfigError("a setting's name must be plain text", where=place)
        if key.tag == "tag:yaml.org,2002:merge":
            raise ConfigError("merge keys (<<) are not supported", where=place, hint="write the settings out")
        name: str = key.value
        if name in made.entries:
            first = made.entries[name].place
            raise ConfigError(
                f"{quote(name)} is written twice (first at {first})", where=place, hint="keep one of them"
            )
        made.entries[name] = Entry(place, self.node(value, depth + 1))

    def _place(self, raw: Any) -> str:
        return f"{self._origin}:{raw.start_mark.line + 1}"


def from_value(value: object, place: str = "", *, literal: bool = False, depth: int = 0) -> Node:
    """The tree of Python data: mappings, sequences, text, numbers, flags, ``None``. Raises :class:`ConfigError`."""
    if depth > _MAX_DEPTH:
        raise ConfigError("nested too deeply", where=place)
    if value is None:
        return Node(NOTHING, place)
    if isinstance(value, bool):
        return Node(TEXT, place, text="true" if value else "false", literal=literal)
    if isinstance(value, str | int | float | Path | date):
        return Node(TEXT, place, text=str(value), literal=literal)
    if isinstance(value, Mapping):
        made = Node(MAPPING, place)
        for key, inner in _pairs(value, place):
            made.entries[key] = Entry(place, from_value(inner, place, literal=literal, depth=depth + 1))
        return made
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        made = Node(LIST, place)
        made.items = [from_value(inner, place, literal=literal, depth=depth + 1) for inner in value]
        return made
    raise ConfigError(f"a {type(value).__name__} cannot be part of a configuration", where=place)


def _pairs(value: Mapping[Any, Any], place: str) -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if not isinstance(key, str):
            raise ConfigError("a setting's name must be text", where=place)
        yield key, inner
