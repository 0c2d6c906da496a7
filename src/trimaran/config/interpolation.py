"""``${NAME}``, ``${NAME:-default}`` and ``${file:/path}`` inside a value; ``$${`` stands for ``${`` itself.

It runs on values after YAML has been read, so what a variable holds can never change the document's structure. A
variable that is unset or empty counts as missing: an empty credential is a mistake better found here than there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from trimaran.config.masking import quote

__all__ = ["MissingVariable", "interpolate"]

MAX_SECRET_BYTES = 64 * 1024

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class MissingVariable(Exception):
    """A reference cannot be resolved. ``message`` says which and why, ``hint`` what to do; neither holds a value."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def interpolate(text: str, environ: Mapping[str, str], *, files: bool) -> tuple[str, tuple[str, ...]]:
    """The text with its references resolved, and what was referred to. Raises :class:`MissingVariable`.

    ``files`` allows ``${file:/path}``: only credentials are read from files, and only from an operator's configuration.
    """
    if "${" not in text:
        return text, ()
    used: list[str] = []

    def resolve(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        if found[1] is None:
            raise MissingVariable("a '${' without its '}'", "write ${NAME}, or $${ for the two characters themselves")
        used.append(found[1].partition(":")[0])
        return _file(found[1][5:], files) if found[1].startswith("file:") else _variable(found[1], environ)

    return _REFERENCE.sub(resolve, text), tuple(used)


def _variable(reference: str, environ: Mapping[str, str]) -> str:
    name, separator, default = reference.partition(":-")
    if _NAME.fullmatch(name) is None:
        raise MissingVariable(
            "not the name of an environment variable inside ${...}", "write ${NAME} or ${NAME:-default}"
        )
    value = environ.get(name, "")
    if value:
        return value
    if separator:
        return default
    state = "is empty" if name in environ else "is not set"
    # A credential may stand between the braces by mistake.
    shown = name if quote(name) == repr(name) else "***"
    raise MissingVariable(
        f"the environment variable {shown} {state}", f"export {shown}=..., or write ${{{shown}:-default}}"
    )


def _file(path: str, allowed: bool) -> str:
    if not allowed:
        raise MissingVariable("${file:...} is for credentials only", "write the value, or use ${NAME}")
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        text = raw.decode("utf-8").strip() if len(raw) <= MAX_SECRET_BYTES else ""
    except (OSError, ValueError):
        raise MissingVariable("the file named in ${file:...} cannot be read", "check its path and mode") from None
    if not text:
        raise MissingVariable("the file named in ${file:...} is empty, or too large for a credential", "check its path")
    return text
