"""Who is calling: client keys checked against digests.

Keys are known as SHA-256 digests only. A bounded memo of header values spares the digest for keys seen before; it is
dropped with its snapshot, so a revoked key is gone as soon as the next snapshot arrives.
"""

from __future__ import annotations

import hashlib

from trimaran.errors import AuthenticationFailed
from trimaran.ledger.records import encode_tags
from trimaran.types import KeyRecord, Snapshot

__all__ = ["Identity", "Keyring"]

_MEMO_LIMIT = 4096


class Identity:
    """Who a request is from, as its records name it."""

    __slots__ = ("anonymous", "key_id", "models", "tags", "tenant")

    def __init__(self, record: KeyRecord) -> None:
        self.anonymous = not record.digest
        """No key was asked for."""
        self.key_id = record.id
        self.tenant = record.tenant
        self.tags = encode_tags(record.tags)
        self.models = frozenset(record.models)
        """Models it may call; empty means all."""


_ANONYMOUS = Identity(KeyRecord(id="", digest=b""))


class Keyring:
    """The keys of one snapshot."""

    __slots__ = ("_by_digest", "_memo", "required")

    def __init__(self, snapshot: Snapshot) -> None:
        self._by_digest = {record.digest: Identity(record) for record in snapshot.keys}
        self._memo: dict[bytes, Identity] = {}
        self.required = snapshot.require_key

    def check(self, headers: dict[bytes, bytes]) -> Identity:
        """The holder of the key in ``Authorization: Bearer …`` or ``x-api-key``.

        Without required keys everybody is the default tenant. Raises :class:`AuthenticationFailed`; the message never
        holds the key.
        """
        if not self.required:
            return _ANONYMOUS
        given = headers.get(b"authorization") or headers.get(b"x-api-key")
        if given is None:
            raise AuthenticationFailed(
                "no API key: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'", field="Authorization"
            )
        record = self._memo.get(given)
        if record is None:
            key = given[7:].strip() if given[:7].lower() == b"bearer " else given
            record = self._by_digest.get(hashlib.sha256(key).digest())
            if record is None:
                raise AuthenticationFailed("this API key is not known here", field="Authorization")
            if len(self._memo) < _MEMO_LIMIT:
                self._memo[given] = record
        return record
