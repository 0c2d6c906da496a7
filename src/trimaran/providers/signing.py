"""Header lines that authenticate us.

A signer is made for each target. What it can know before a request it works out once, in :meth:`Signer.entrance`: static
credentials are ready to be written then, and of a signature that depends on the request all that does not. Nothing here
does I/O. A credential that could end its header line and begin another one is refused, never escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from trimaran.errors import ConfigError
from trimaran.providers.rows import ANTHROPIC_VERSION, PROVIDERS
from trimaran.types import Target

__all__ = ["Sign", "Signer", "StaticSigner", "clean_secret", "default_headers", "split_lines", "static_signer"]

Sign: TypeAlias = Callable[[bytes], bytes]
"""From the body of one request to the header lines that authenticate it, each ended by CRLF."""


class Signer(Protocol):
    """Authenticates the requests to one target."""

    def entrance(self, method: bytes, path: bytes, lines: bytes) -> Sign:
        """What signs requests to ``path`` (as it stands in the request line). ``lines`` are header lines that all of them
        have, ``host`` among them, each ended by CRLF."""

    def scrub(self, body: bytes) -> bytes:
        """``body`` without our credential, should the provider repeat it there."""


class StaticSigner:
    """Authenticates requests with lines that are the same for all of them."""

    __slots__ = ("_lines", "_secret")

    def __init__(self, lines: bytes, secret: str = "") -> None:
        self._lines = lines
        self._secret = secret.strip().encode()

    def entrance(self, method: bytes, path: bytes, lines: bytes) -> Sign:
        """See :meth:`Signer.entrance`."""
        return lambda body: self._lines

    def scrub(self, body: bytes) -> bytes:
        """See :meth:`Signer.scrub`."""
        return body.replace(self._secret, b"***") if self._secret else body

    def __repr__(self) -> str:
        return "StaticSigner(***)"


def split_lines(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Header lines, each ended by CRLF, as names and values."""
    pairs = []
    for line in lines.split(b"\r\n"):
        name, found, value = line.partition(b":")
        if found:
            pairs.append((name, value.strip()))
    return pairs


def static_signer(target: Target, secret: str, headers: Iterable[tuple[str, str]] = ()) -> StaticSigner:
    """What authenticates requests to a target: its credential, and the headers its provider was configured with.

    Raises :class:`ConfigError` for a value that cannot stand in a header.
    """
    lines = []
    if secret:
        text, _ = clean_secret(secret, target.credential or target.provider)
        row = PROVIDERS.get(target.kind)
        auth = row.auth if row is not None else "x-api-key" if target.dialects[0].startswith("anthropic.") else "bearer"
        lines.append(f"authorization: Bearer {text}" if auth == "bearer" else f"{auth}: {text}")
    for name, value in headers:
        text, _ = clean_secret(value, f"{target.provider}, header {name}")
        lines.append(f"{name.lower()}: {text}")
    return StaticSigner(header_lines(lines), secret)


def header_lines(lines: Iterable[str]) -> bytes:
    """``name: value`` lines as they stand in a request's head."""
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


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
