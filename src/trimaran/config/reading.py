"""What a kind of value needs while it is read: somebody who notes problems and places, and knows the other sources."""

from __future__ import annotations

from typing import NoReturn, Protocol

import msgspec

from trimaran.config.masking import quote
from trimaran.config.source import Node

__all__ = ["Path", "Reader", "Skip", "dotted"]

Path = tuple[str | int, ...]
"""Where a value stands in the tree: ``("models", "chat", "targets", 0)``."""


class Skip(Exception):
    """A value is wrong, and the reader has noted why. Reading goes on elsewhere."""


class Reader(Protocol):
    """What a kind needs while it reads."""

    def fail(self, node: Node, path: Path, message: str, hint: str = "") -> NoReturn:
        """Note a problem and raise :class:`Skip`."""

    def note(self, place: str, path: Path, message: str, hint: str = "") -> None:
        """Note a problem and go on."""

    def warn(self, message: str) -> None:
        """Note something that works but is probably not meant."""

    def seen(self, path: Path, place: str) -> None:
        """Remember where a value stands, for errors that are found later."""

    def override(self, path: Path) -> Node | None:
        """What the environment or the command line says about this setting."""

    def inherited(self, struct: type[msgspec.Struct]) -> msgspec.Struct | None:
        """Values that stand in for what a group of this type leaves out."""

    def finished(self, path: Path, value: msgspec.Struct) -> None:
        """A group was read without a problem."""

    def resolve(self, text: str, *, files: bool) -> tuple[str, tuple[str, ...]]:
        """See :func:`~trimaran.config.interpolation.interpolate`."""

    def unknown(self, place: str, path: Path, known: tuple[str, ...]) -> None:
        """Note a name that no setting has."""


def dotted(path: Path) -> str:
    """``models.chat.targets[0]``, for people; a part that may be a credential is hidden."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if quote(part) == repr(part) else "***"
            text += f".{shown}" if text else shown
    return text
