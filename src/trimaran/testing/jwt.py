"""JSON Web Tokens, as far as simulated token services need them: to read them, to check a key's signature, to write unsigned ones.

A token that the simulation gives out has a signature of one byte: whoever checks it must see that it is worth nothing.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple, cast

import msgspec

from trimaran.testing.proto_json import decode_bytes

__all__ = ["Jwt", "read_jwt", "unsigned_jwt", "verified"]

_decoder = msgspec.json.Decoder(dict[str, Any])


class Jwt(NamedTuple):
    """A token in its parts; ``signed`` is what the signature is of."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signature: bytes
    signed: bytes


def read_jwt(text: str) -> Jwt:
    """Take a token apart. Raises ``ValueError``."""
    parts = [decode_bytes(part) for part in text.split(".")]
    if len(parts) != 3 or any(part is None for part in parts):
        raise ValueError("not a JWT")
    head, claims, signature = cast("list[bytes]", parts)
    try:
        return Jwt(_decoder.decode(head), _decoder.decode(claims), signature, text.rpartition(".")[0].encode())
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def unsigned_jwt(claims: dict[str, Any]) -> str:
    """A token with these claims that nobody signed."""
    header = {"alg": "RS256", "kid": "simulated", "typ": "JWT"}
    return ".".join((_segment(msgspec.json.encode(header)), _segment(msgspec.json.encode(claims)), _segment(b"-")))


def verified(public_key: str, token: Jwt) -> bool:
    """Whether the owner of ``public_key`` (PEM, a key or a certificate) signed, with RS256 or PS256. Needs ``cryptography``."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    pem = public_key.encode()
    if b"BEGIN CERTIFICATE" in pem:
        key = x509.load_pem_x509_certificate(pem).public_key()
    else:
        key = cast("Any", serialization.load_pem_public_key(pem))
    assert isinstance(key, rsa.RSAPublicKey)
    digest = hashes.SHA256()
    kinds: dict[str, padding.AsymmetricPadding] = {
        "RS256": padding.PKCS1v15(),
        "PS256": padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH),
    }
    wanted = kinds.get(str(token.header.get("alg")))
    if wanted is None:
        return False
    try:
        key.verify(token.signature, token.signed, wanted, digest)
    except InvalidSignature:
        return False
    return True


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
