"""Authenticates requests with the token that the vault holds now: ``Authorization: Bearer``.

Whose token it is and how it is renewed, the signer does not know. A cloud's credential may bring header lines of its own
along (the project that a person's requests are charged to): they stand behind the token in
:attr:`~trimaran.types.Credential.parts`, names and values in turn.
"""

from __future__ import annotations

from trimaran.providers.signing import Sign
from trimaran.providers.vault import Vault
from trimaran.types import Credential

__all__ = ["BearerSigner"]


class BearerSigner:
    """For one credential. Without one it signs nothing, and the provider says what it thinks of that: routing is told
    beforehand (:class:`~trimaran.routing.events.Condition`)."""

    __slots__ = ("_further", "_header", "_name", "_vault", "_written")

    def __init__(self, vault: Vault, name: str, further: bytes = b"", *, header: str = "authorization") -> None:
        """``further``: header lines of the operator's own. ``header``: where the token stands, in lower case."""
        self._vault = vault
        self._name = name
        self._further = further
        self._header = header
        self._written: tuple[Credential | None, bytes] = (None, further)
        """The credential that was written last, and its lines: they are the same for all requests until it is renewed."""

    def entrance(self, method: bytes, path: bytes, lines: bytes) -> Sign:
        """See :meth:`~trimaran.providers.signing.Signer.entrance`."""
        return self._sign

    def scrub(self, body: bytes) -> bytes:
        """See :meth:`~trimaran.providers.signing.Signer.scrub`."""
        credential = self._vault.get(self._name)
        token = credential.parts[0].encode() if credential is not None else b""
        return body.replace(token, b"***") if token else body

    def _sign(self, body: bytes) -> bytes:
        credential = self._vault.get(self._name)
        known, lines = self._written
        if credential is not known:
            lines = self._lines(credential)
            self._written = credential, lines
        return lines

    def _lines(self, credential: Credential | None) -> bytes:
        if credential is None:
            return self._further
        token, *rest = credential.parts
        lines = [f"{self._header}: Bearer {token}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in zip(rest[::2], rest[1::2], strict=True)]
        return "".join(lines).encode("ascii") + self._further

    def __repr__(self) -> str:
        return f"BearerSigner({self._name!r})"
