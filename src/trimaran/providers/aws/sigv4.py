"""AWS Signature Version 4: header lines that authenticate one request. No I/O, no clock, no vendor's package.

What is the same for all requests of one kind (method, path, query, header lines) is brought into canonical form once, by
:class:`SignedRequest`; a request then costs two SHA-256 and one HMAC. The key of the day is derived once for each
secret, region and service.

The rules are those of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html (read
2026-11-30) as botocore 1.44.8 applies them to every service but S3: the path is normalised and encoded once more, values
of a repeated header are joined, white space in values is reduced to single spaces, and headers that proxies may change
(``user-agent``, ``connection`` …) are not signed.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote_from_bytes

__all__ = ["UNSIGNED_HEADERS", "SignedRequest", "amz_date", "signing_key"]

UNSIGNED_HEADERS = frozenset(
    {
        b"baggage",
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"traceparent",
        b"tracestate",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"x-amzn-trace-id",
    }
)
"""What may change on the way (botocore 1.44.8, ``auth.SIGNED_HEADERS_BLACKLIST``)."""

_DATE = b"x-amz-date"
_TOKEN = b"x-amz-security-token"
_OURS = frozenset({b"authorization", b"date", _DATE, _TOKEN})

_WIRE_SAFE = "%!$&'()*+,-./:;=?@_~"
"""What may stand in a query as it is sent; anything else is sent, and signed, percent-encoded."""


class SignedRequest:
    """Requests to one path, ready to be signed: any number of them, each with its own body, moment and credential."""

    __slots__ = ("_after", "_before", "_between", "_names", "_names_token", "_region", "_scope", "_service", "_start")

    def __init__(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        region: str,
        service: str,
    ) -> None:
        """``path`` and ``query`` as they stand in the request line, percent-encoded, without the ``?``.

        ``headers`` are those that travel with the request, ``host`` among them; names in any case. Further headers may
        be sent without being signed. The date, the session token and the signature itself are added by :meth:`lines`.
        """
        self._region = region.encode("ascii")
        self._service = service.encode("ascii")
        self._scope = b"/%b/%b/aws4_request" % (self._region, self._service)
        self._start = b"%b\n%b\n%b\n" % (method.upper(), _canonical_path(path), _canonical_query(query))
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            lower = name.lower()
            if lower not in UNSIGNED_HEADERS and lower not in _OURS:
                values.setdefault(lower, []).append(b" ".join(value.split()))
        lines = {name: b"%b:%b\n" % (name, b",".join(found)) for name, found in sorted(values.items())}
        # Names are signed in order, and the two that are only known when a request is signed stand among them.
        self._before = b"".join(line for name, line in lines.items() if name < _DATE)
        self._between = b"".join(line for name, line in lines.items() if _DATE < name < _TOKEN)
        self._after = b"".join(line for name, line in lines.items() if name > _TOKEN)
        self._names = b";".join(sorted([*lines, _DATE]))
        self._names_token = b";".join(sorted([*lines, _DATE, _TOKEN]))

    def lines(self, key_id: str, secret: str, token: str, body: bytes, now_s: int) -> bytes:
        """The header lines ``x-amz-date``, ``x-amz-security-token`` (where there is a ``token``) and ``authorization``,
        each ended by CRLF. ``now_s`` is wall-clock time in whole seconds since 1970."""
        stamp = amz_date(now_s)
        day = stamp[:8]
        scope = day + self._scope
        if token:
            token_bytes = token.encode("ascii")
            middle = b"x-amz-date:%b\n%bx-amz-security-token:%b\n" % (stamp, self._between, token_bytes)
            names = self._names_token
            sent = b"x-amz-date: %b\r\nx-amz-security-token: %b\r\n" % (stamp, token_bytes)
        else:
            middle = b"x-amz-date:%b\n%b" % (stamp, self._between)
            names = self._names
            sent = b"x-amz-date: %b\r\n" % stamp
        canonical = b"%b%b%b%b\n%b\n%b" % (
            self._start,
            self._before,
            middle,
            self._after,
            names,
            sha256(body).hexdigest().encode("ascii"),
        )
        to_sign = b"AWS4-HMAC-SHA256\n%b\n%b\n%b" % (stamp, scope, sha256(canonical).hexdigest().encode("ascii"))
        signature = hmac.digest(signing_key(secret, day, self._region, self._service), to_sign, "sha256").hex()
        return b"%bauthorization: AWS4-HMAC-SHA256 Credential=%b/%b, SignedHeaders=%b, Signature=%b\r\n" % (
            sent,
            key_id.encode("ascii"),
            scope,
            names,
            signature.encode("ascii"),
        )

    def __repr__(self) -> str:
        return f"SignedRequest({self._service.decode()}, {self._region.decode()})"


@lru_cache(maxsize=8)
def amz_date(now_s: int) -> bytes:
    """``20150830T123600Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s)).encode("ascii")


@lru_cache(maxsize=64)
def signing_key(secret: str, day: bytes, region: bytes, service: bytes) -> bytes:
    """What signs the requests of one day (``20150830``) to one service in one region."""
    key = hmac.digest(b"AWS4" + secret.encode("utf-8"), day, "sha256")
    for step in (region, service, b"aws4_request"):
        key = hmac.digest(key, step, "sha256")
    return key


def _canonical_path(path: bytes) -> bytes:
    """Without dot segments and repeated slashes, then encoded: a ``%`` that was sent is signed as ``%25``."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment and segment != b".":
            kept.append(segment)
    last = b"/" if path.endswith(b"/") and kept else b""
    return quote_from_bytes(b"/" + b"/".join(kept) + last, safe="/~").encode("ascii")


def _canonical_query(query: bytes) -> bytes:
    """The pairs as they were sent, in order of name and value; one without ``=`` has an empty value."""
    if not query:
        return b""
    pairs = []
    for pair in quote_from_bytes(query, safe=_WIRE_SAFE).encode("ascii").split(b"&"):
        name, _, value = pair.partition(b"=")
        pairs.append((name, value))
    return b"&".join(b"%b=%b" % pair for pair in sorted(pairs))
