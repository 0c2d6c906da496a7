"""Header lines that authenticate us, computed once and ready to be written.

Static credentials only: a provider whose signature depends on the request gets a class of its own with the same method.
Nothing here does I/O. A credential that could end its header line and begin another one is refused, never escaped.
"""

from __future__ import annotations

from collections.abc import Iterable

from trimaran.errors import ConfigError
from trimaran.providers.rows import ANTHROPIC_VERSION, PROVIDERS
from trimaran.types import Target

__all__ = ["Signer", "clean_secret", "default_headers", "signer"]


class Signer:
    """Authenticates requests with lines that are the same for all of them."""

    __slots__ = ("_lines",)

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def sign(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """Header lines for one request, each ended by CRLF; empty where the target asks for none."""
        return self._lines

    def __repr__(self) -> str:
        return "Signer(***)"


def signer(target: Target, secret: str, headers: Iterable[tuple[str, str]] = ()) -> Signer:
    """What authenticates requests to a target: its credential, and the headers its provider was configured with.

    Raises :class:`ConfigError` for a value that cannot stand in a header.
    """
    lines = []
    if secret:
        text, _ = clean_secret(secret, target.credential or target.provider)
        row = PROVIDERS.get(target.provider)
        auth = row.auth if row is not None else "x-api-key" if target.dialects[0].startswith("anthropic.") else "bearer"
        lines.append(f"x-api-key: {text}" if auth == "x-api-key" else f"authorization: Bearer {text}")
    for name, value in headers:
        text, _ = clean_secret(value, f"{target.provider}, header {name}")
        lines.append(f"{name.lower()}: {text}")
    return Signer("".join(f"{line}\r\n" for line in lines).encode("ascii"))


def clean_secret(text: str, subject: str, where: str = "") -> tuple[str, str]:
    """A credential without the spaces around it, and a warning where there were any.

    Raises :class:`ConfigError`, which names ``subject`` and never the text: a line break, or anything that is not
    printable ASCII.
    """
    stripped = text.strip()
    if not stripped.isascii() or not stripped.isprintable():
        raise ConfigError(
            f"the credential of {subject} holds a line break or a character that is not ASCII",
            where=where,
            hint="copy it again; it is one line of plain letters, digits and signs",
        )
    return stripped, "" if stripped == text else f"the credential of {subject} has spaces around it; they are ignored"


def default_headers(dialect: str) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that a dialect demands and a client may set itself: send those that the client did not.

    Names are lower-case. ``anthropic-version`` may only stand once in a request.
    """
    if dialect.startswith("anthropic."):
        return ((b"anthropic-version", ANTHROPIC_VERSION.encode("ascii")),)
    return ()
