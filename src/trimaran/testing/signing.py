"""Signatures of simulated reasoning: recognisable, and checked when they come back.

A vendor signs reasoning so that only its own, unchanged, returns. The signature holds the text it covers, so it can be
checked against a block whose text was withheld from the client. Nothing here is a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

__all__ = ["sign", "signed_text"]

_DIGEST_BYTES = 12


def sign(purpose: str, text: str) -> str:
    """The signature of a text. ``purpose`` (``thinking``, ``redacted``, ``encrypted``) keeps vendors and kinds
    apart."""
    data = text.encode()
    return f"sim-{purpose}-{base64.b64encode(_digest(purpose, data) + data).decode()}"


def signed_text(purpose: str, signature: str) -> str | None:
    """The text that a signature covers; ``None`` for one that was not made here for this purpose."""
    prefix = f"sim-{purpose}-"
    if not signature.startswith(prefix):
        return None
    try:
        raw = base64.b64decode(signature[len(prefix) :], validate=True)
        digest, data = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        return data.decode() if digest == _digest(purpose, data) else None
    except (binascii.Error, ValueError):
        return None


def _digest(purpose: str, data: bytes) -> bytes:
    return hashlib.sha256(purpose.encode() + b"\0" + data).digest()[:_DIGEST_BYTES]
