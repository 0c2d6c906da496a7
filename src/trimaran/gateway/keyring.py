"""Who is calling: client keys checked against digests.

Keys are known as SHA-256 digests only. A bounded memo of header values spares the digest for keys seen before; it is
dropped with its snapshot, so a revoked key is gone as soon as the next snapshot arrives. A key that expires is held against
the wall clock at each request; one that does not costs no look at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from trimaran.errors import AuthenticationFailed
from trimaran.ledger.records import encode_tags
from trimaran.types import KeyRecord, Snapshot

__all__ = ["Identity", "Keyring"]

_MEMO_LIMIT = 4096

_AWS = b"AWS4-HMAC-SHA256 "
"""What a signed ``Authorization`` begins with. It is another one for each request, so none of them is remembered."""


class Identity:
    """Who a request is from, as its records name it."""

    __slots__ = ("allowances", "anonymous", "expires_ns", "key_id", "models", "tags", "tenant")

    def __init__(self, record: KeyRecord) -> None:
        self.anonymous = not record.digest
        """No key was asked for."""
        self.key_id = record.id
        self.tenant = record.tenant
        self.tags = encode_tags(record.tags)
        self.models = frozenset(record.models)
        """Models it may call; empty means all."""
        self.allowances = record.allowances
        """Ids of the budgets and limits that bind it."""
        self.expires_ns = record.expires_ns
        """Wall clock; from then on it is refused. ``None``: never."""


class Keyring:
    """The keys of one snapshot."""

    __slots__ = ("_anonymous", "_by_digest", "_memo", "_wall_ns", "required")

    def __init__(self, snapshot: Snapshot, wall_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._by_digest = {record.digest: Identity(record) for record in snapshot.keys}
        self._memo: dict[bytes, Identity] = {}
        self.required = snapshot.require_key
        self._anonymous = Identity(KeyRecord(id="", digest=b"", allowances=snapshot.anonymous_allowances))

    def check(self, headers: dict[bytes, bytes]) -> Identity:
        """The holder of the key in ``Authorization: Bearer …``, ``x-api-key``, ``x-goog-api-key`` or ``api-key``, or of the one that
        stands where AWS's clients write an access key id. Their signature is not checked: a key is a secret by itself, and
        only its digest is kept here.

        Without required keys everybody is the default tenant. Raises :class:`AuthenticationFailed` when there is none, it
        is unknown or it has expired; the message never holds the key.
        """
        if not self.required:
            return self._anonymous
        given = (
            headers.get(b"authorization")
            or headers.get(b"x-api-key")
            or headers.get(b"x-goog-api-key")
            or headers.get(b"api-key")
        )
        if not given or given.strip().lower() == b"bearer":
            raise AuthenticationFailed(
                "no API key: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'", field="Authorization"
            )
        record = self._memo.get(given)
        if record is None:
            record = self._by_digest.get(hashlib.sha256(_key_in(given)).digest())
            if record is None:
                raise AuthenticationFailed("this API key is not known here", field="Authorization")
            if len(self._memo) < _MEMO_LIMIT and not given.startswith(_AWS):
                self._memo[given] = record
        if record.expires_ns is not None and self._wall_ns() >= record.expires_ns:
            at = datetime.fromtimestamp(record.expires_ns // 10**9, UTC)
            raise AuthenticationFailed(f"this API key expired at {at:%Y-%m-%d %H:%M:%S} UTC", field="Authorization")
        return record


def _key_in(given: bytes) -> bytes:
    """The key in one header's value."""
    if given.startswith(_AWS):
        return given.partition(b"Credential=")[2].partition(b"/")[0]
    return given[7:].strip() if given[:7].lower() == b"bearer " else given
