"""Signs requests to AWS with the credential that the vault holds now."""

from __future__ import annotations

from collections.abc import Callable

from trimaran.providers.aws.sigv4 import SignedRequest
from trimaran.providers.signing import Sign, split_lines
from trimaran.providers.vault import Vault

__all__ = ["AwsSigner"]


class AwsSigner:
    """For one credential, region and service. Without a credential it signs nothing, and AWS says what it thinks of that:
    routing is told beforehand (:class:`~trimaran.routing.events.Condition`)."""

    __slots__ = ("_further", "_name", "_region", "_service", "_vault", "_wall_ns")

    def __init__(
        self, vault: Vault, name: str, region: str, service: str, wall_ns: Callable[[], int], further: bytes = b""
    ) -> None:
        """``further``: header lines of the operator's own, which are not signed."""
        self._vault = vault
        self._name = name
        self._region = region
        self._service = service
        self._wall_ns = wall_ns
        self._further = further

    def entrance(self, method: bytes, path: bytes, lines: bytes) -> Sign:
        """See :meth:`~trimaran.providers.signing.Signer.entrance`."""
        bare, _, query = path.partition(b"?")
        request = SignedRequest(method, bare, query, split_lines(lines), region=self._region, service=self._service)
        vault, name, wall_ns, further = self._vault, self._name, self._wall_ns, self._further

        def sign(body: bytes) -> bytes:
            credential = vault.get(name)
            if credential is None:
                return further
            key_id, secret, token = credential.parts
            return request.lines(key_id, secret, token, body, wall_ns() // 1_000_000_000) + further

        return sign

    def scrub(self, body: bytes) -> bytes:
        """See :meth:`~trimaran.providers.signing.Signer.scrub`: the session token is all that was sent in clear."""
        credential = self._vault.get(self._name)
        token = credential.parts[2].encode() if credential is not None else b""
        return body.replace(token, b"***") if token else body

    def __repr__(self) -> str:
        return f"AwsSigner({self._name!r}, {self._service}, {self._region})"
