"""What a target cannot take: collected while a request is decoded and encoded, and told in one message."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import msgspec

from trimaran.errors import UnsupportedFeature
from trimaran.types import Target
from trimaran.wire.conversation import ChatRequest, Notes, note

__all__ = ["Refusals", "check_fields"]


class Refusals:
    """Collects what a target cannot take, so that one message names all of it.

    ``names`` maps neutral field names to the client's own.
    """

    def __init__(self, source: str, target: Target, names: Mapping[str, str] | None = None) -> None:
        self.source = source
        self._target = target
        self._names = names or {}
        self._found: list[tuple[str, str]] = []
        self._dialect = ""
        self.omitted: list[str] = []
        """What the decoder left out because no other provider's answer depends on it; the translation notes it."""

    def omit(self, path: str) -> None:
        """Leave out what stands at ``path``, for :attr:`Notes.omitted`."""
        note(self.omitted, path)

    def add(self, path: str, why: str = "") -> None:
        """Refuse what stands at ``path`` in the client's body, such as ``messages[2].name``, with a reason where it is
        not plain that it as such is the problem."""
        self._found.append((path, why))

    def field(self, field: str, why: str = "") -> None:
        """Refuse a field of :class:`ChatRequest`."""
        self.add(self.name(field), why)

    def name(self, field: str) -> str:
        """The client's own name of a field of :class:`ChatRequest`."""
        return self._names.get(field, field)

    @property
    def from_openai(self) -> bool:
        """Whether the client speaks a dialect of OpenAI's, so that its words mean there what they say."""
        return self.source.startswith("openai.")

    def __bool__(self) -> bool:
        """Whether anything was refused."""
        return bool(self._found)

    def for_dialect(self, dialect: str) -> Refusals:
        """A copy for one try of a translation into ``dialect``."""
        copy = Refusals(self.source, self._target, self._names)
        copy._found = list(self._found)
        copy._dialect = dialect
        copy.omitted = self.omitted
        return copy

    def check(self) -> None:
        """Raises :class:`UnsupportedFeature` when anything was added."""
        if not self._found:
            return
        target = self._target
        shown = ", ".join(f"{path!r} ({why})" if why else repr(path) for path, why in self._found[:10])
        more = f" and {len(self._found) - 10} more" if len(self._found) > 10 else ""
        raise UnsupportedFeature(
            f"target {target.id!r} ({target.upstream_model}) speaks {self._dialect or ', '.join(target.dialects)}, and a "
            f"request in {self.source} translated for it cannot carry {shown}{more}; leave that out, or ask for a model "
            f"with a target that speaks {self.source}",
            field=self._found[0][0],
        )


_DEFAULTS: tuple[tuple[str, Any], ...] = tuple(
    (field.name, field.default_factory() if field.default is msgspec.NODEFAULT else field.default)
    for field in msgspec.structs.fields(ChatRequest)
    if not field.required
)


def check_fields(request: ChatRequest, takes: Set[str], hints: Set[str], refusals: Refusals, notes: Notes) -> None:
    """Hold an encoder to its word. Each field of ``request`` that is set and that the encoder does not write (``takes``)
    is noted as left out where it is one of its ``hints``, and refused otherwise."""
    for name, default in _DEFAULTS:
        if name not in takes and getattr(request, name) != default:
            if name in hints:
                notes.omit(refusals.name(name))
            else:
                refusals.field(name)
