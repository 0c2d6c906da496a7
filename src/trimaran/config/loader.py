"""Reads a configuration from file, environment and command line, and reports everything wrong with it at once.

Later sources win: default, file, environment (``TRIMARAN_<SECTION>_<NAME>``), command line. A variable always names its
section, because a Kubernetes service called ``trimaran`` puts ``TRIMARAN_PORT`` and ``TRIMARAN_SERVICE_PORT`` with
other meanings into every container. Nothing but :class:`~trimaran.errors.ConfigError` leaves this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import NoReturn

import msgspec

from trimaran.config.checks import CLIENT_KEY_VARIABLE, Checker
from trimaran.config.interpolation import interpolate
from trimaran.config.masking import closest, quote
from trimaran.config.reading import Path, Skip, dotted
from trimaran.config.setting import Group, Scalar, fields_of
from trimaran.config.settings import Config, LimitsConfig
from trimaran.config.source import MAPPING, Node, from_value, parse_yaml, read_text
from trimaran.errors import ConfigError

__all__ = ["combined", "environment_name", "find_file", "load", "load_mapping", "load_text", "overridable"]

MAX_PROBLEMS = 20
"""Problems reported at once. More than that have one cause, and a screen holds no more."""

FILE_VARIABLE = "TRIMARAN_CONFIG"
_FILE_NAME = "trimaran.yaml"
_PREFIX = "TRIMARAN_"


def find_file(environ: Mapping[str, str], folder: str = ".") -> str | None:
    """The file to use when none is named: ``$TRIMARAN_CONFIG``, else ``trimaran.yaml`` in the folder, else none."""
    named = environ.get(FILE_VARIABLE)
    if named:
        return named
    beside = FilePath(folder) / _FILE_NAME
    return str(beside) if beside.is_file() else None


def load(path: str | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> Config:
    """The configuration in a file, or what the environment alone gives when there is none.

    ``overrides`` come from the command line, by dotted name: ``{"server.port": 5000}``; ``None`` means not given.
    Raises :class:`ConfigError` with every problem, each with ``file:line``.
    """
    if path is None:
        return _read(Node(MAPPING, ""), "", environ, overrides or {})
    return load_text(read_text(path), path, environ, overrides)


def load_text(
    text: str, origin: str, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Config:
    """The configuration in a YAML text; ``origin`` stands for the file's name. Raises :class:`ConfigError`."""
    return _read(parse_yaml(text, origin), origin, environ, overrides or {})


def load_mapping(
    data: Mapping[str, object], environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Config:
    """The configuration in Python data of the same shape as the file. Raises :class:`ConfigError`."""
    return _read(from_value(data), "", environ, overrides or {})


def overridable() -> dict[str, tuple[str, str]]:
    """Settings that the environment and the command line can override: dotted name → variable, option (or empty)."""
    found = {}
    for section in fields_of(Config):
        if not isinstance(section.setting.kind, Group):
            continue
        for field in fields_of(section.setting.kind.struct):
            if isinstance(field.setting.kind, Scalar):
                name = f"{section.name}.{field.name}"
                found[name] = (environment_name(name), field.setting.option)
    return found


def environment_name(name: str) -> str:
    """``server.admin_port`` → ``TRIMARAN_SERVER_ADMIN_PORT``."""
    return _PREFIX + name.replace(".", "_").upper()


def combined(problems: Iterable[ConfigError], origin: str) -> ConfigError:
    """One error that says everything: the problem itself when there is one, else a list of the first twenty."""
    found = list(problems)
    if len(found) == 1:
        return found[0]
    shown = found[:MAX_PROBLEMS]
    more = f" (the first {len(shown)} follow)" if len(found) > len(shown) else ""
    subject = origin or "the configuration"
    return ConfigError(f"{len(found)} problems in {subject}{more}", problems=tuple(shown))


def stray_variables(environ: Mapping[str, str], referenced: Iterable[str]) -> tuple[str, ...]:
    """Warnings about variables that look like a misspelt setting. Others with our prefix are the user's own."""
    known = {variable for variable, _ in overridable().values()} | {FILE_VARIABLE, CLIENT_KEY_VARIABLE}
    found = []
    for variable in sorted(set(environ) - known - set(referenced)):
        if not variable.startswith(_PREFIX) or "_SERVICE_" in variable or "_PORT_" in variable:
            # The last two are what Kubernetes and Docker links set for a service of our name.
            continue
        near = closest(variable, known, cutoff=0.85)
        if near:
            found.append(f"the environment variable {quote(variable)} is no setting; did you mean {near}?")
    return tuple(found)


def _read(root: Node, origin: str, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Config:
    reader = _Reader(environ)
    reader.take_overrides(overrides)
    try:
        config: Config = Group(Config, expected="sections", example="models: ...").read(root, (), reader)
    except Skip:
        raise combined(reader.problems, origin) from None
    if not reader.problems:
        checked = Checker(config, origin, environ, reader.places)
        config = checked.finish()
        reader.problems += checked.problems
        reader.warnings += checked.warnings
    if reader.problems:
        raise combined(reader.problems, origin)
    warnings = (*reader.warnings, *stray_variables(environ, reader.referenced))
    return msgspec.structs.replace(config, warnings=warnings)


class _Reader:
    """Implements :class:`~trimaran.config.reading.Reader`: collects problems, warnings and places."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[ConfigError] = []
        self.warnings: list[str] = []
        self.places: dict[Path, str] = {}
        self.referenced: set[str] = set()
        self._overrides: dict[Path, Node] = {}
        self._limits: LimitsConfig | None = None

    def take_overrides(self, overrides: Mapping[str, object]) -> None:
        known = overridable()
        for name, (variable, _) in known.items():
            text = self.environ.get(variable)
            if text:
                self._overrides[tuple(name.split("."))] = from_value(text, variable, literal=True)
        for name, value in overrides.items():
            if value is None:
                continue
            if name not in known:
                self.unknown("command line", (name,), tuple(known))
                continue
            place = known[name][1] or name
            self._overrides[tuple(name.split("."))] = from_value(value, place, literal=True)

    def fail(self, node: Node, path: Path, message: str, hint: str = "") -> NoReturn:
        self.note(node.place, path, message, hint)
        raise Skip

    def note(self, place: str, path: Path, message: str, hint: str = "") -> None:
        name = dotted(path)
        separator = ": " if not message.startswith(("is ", "has ")) else " "
        text = f"{name}{separator}{message}" if place and name else message
        self.problems.append(ConfigError(text, where=place or name, hint=hint))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def seen(self, path: Path, place: str) -> None:
        self.places[path] = place

    def override(self, path: Path) -> Node | None:
        return self._overrides.get(path)

    def inherited(self, struct: type[msgspec.Struct]) -> msgspec.Struct | None:
        return self._limits if struct is LimitsConfig else None

    def finished(self, path: Path, value: msgspec.Struct) -> None:
        if path == ("limits",) and isinstance(value, LimitsConfig):
            self._limits = value

    def resolve(self, text: str, *, files: bool) -> tuple[str, tuple[str, ...]]:
        resolved, used = interpolate(text, self.environ, files=files)
        self.referenced.update(used)
        return resolved, used

    def unknown(self, place: str, path: Path, known: tuple[str, ...]) -> None:
        name = str(path[-1])
        # Looking for the closest name is slow, and nobody sees more than the first problems.
        near = closest(name, known) if len(self.problems) < MAX_PROBLEMS else None
        meant = f"did you mean {near}? " if near else ""
        section = dotted(path[:-1])
        within = f" in {section}" if section else ""
        message = f"unknown setting {quote(name)}{within}"
        self.problems.append(
            ConfigError(message, where=place or dotted(path), hint=f"{meant}Known: {', '.join(known)}")
        )
