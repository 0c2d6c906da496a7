"""The clauses by which a table's row says which model names it means.

A clause is one character and a text, in lower case: ``=`` the whole name, ``^`` its beginning, ``$`` its end, ``*`` a
part of it, ``~`` a regular expression found in it, ``@`` a family. A list combines clauses: ``["&", …]`` all of them,
``["|", …]`` any.

``@gpt-5`` is the name itself or the name and further words, unless the next word is a version number: ``gpt-5-mini`` and
``gpt-5-2025-08-07`` belong to the family, ``gpt-5-1`` and ``gpt-50`` do not. A new version is a new model, of which an
older row knows nothing.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Clause", "matches"]

Clause = str | list[Any]

_LONGEST_VERSION = 2
"""Digits. Longer numbers are dates and sizes: ``0613``, ``20250929``."""


def matches(clause: Clause, name: str) -> bool:
    """Whether the clause means the name, which must be in lower case."""
    if isinstance(clause, list):
        parts = (matches(part, name) for part in clause[1:])
        return all(parts) if clause[0] == "&" else any(parts)
    operator, text = clause[0], clause[1:]
    match operator:
        case "=":
            return name == text
        case "^":
            return name.startswith(text)
        case "$":
            return name.endswith(text)
        case "*":
            return text in name
        case "@":
            return _is_of_family(text, name)
        case _:
            return re.search(text, name) is not None


def _is_of_family(family: str, name: str) -> bool:
    if not name.startswith(family):
        return False
    rest = name[len(family) :]
    if not rest.startswith("-"):
        return not rest
    word = rest[1:].partition("-")[0]
    return not (word.isdigit() and len(word) <= _LONGEST_VERSION)
