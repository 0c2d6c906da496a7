"""AWS's front door as simulated services have it: who may call, and how a refusal looks.

A request carries a signature (Signature Version 4, in headers) or an API key as a bearer token. The signature is computed
again from what arrived; nothing here is shared with the product's signer, and botocore's signer is the judge of both.
Words and statuses of refusals follow answers that are quoted in public issue threads (2013 to 2026, read 2026-11-30).

An :class:`AwsAccount` holds what the simulated AWS knows. It may be changed while the provider runs: add a credential,
let one expire, move the server's clock.
"""

from __future__ import annotations

import hmac
import re
import time
from calendar import timegm
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from trimaran.testing.dialect import Headers, HeadWriter, Request, bearer, header
from trimaran.testing.exchange import Refusal

__all__ = ["AwsAccount", "AwsCredential", "AwsRefusal", "aws_fault", "aws_head", "error_body", "signed_region"]

ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
_SKEW_S = 300.0
_ALGORITHM = "AWS4-HMAC-SHA256"
_TIME = "%Y%m%dT%H%M%SZ"
_SCOPE = re.compile(r"(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_ERRORS = {
    400: "ValidationException",
    401: "UnauthorizedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "RequestEntityTooLargeException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "BadGatewayException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and "
    "signing method. Consult the service documentation for details."
)


class AwsRefusal(Refusal):
    """A refusal with AWS's error type (``ThrottlingException``), told in the header ``x-amzn-ErrorType``.

    ``members`` are further members of the JSON body; ``message_key`` is ``Message`` for the few that AWS writes so.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        source: str = "",
        members: dict[str, Any] | None = None,
        message_key: str = "message",
    ) -> None:
        super().__init__(status, error_type, message)
        self.members = members or {}
        self.message_key = message_key
        suffix = f":http://internal.amazon.com/coral/{source}/" if source else ""
        self.lines = f"\r\nx-amzn-ErrorType: {error_type}{suffix}".encode()


class AwsCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of keys that the account knows, temporary when it has a session token.

    ``expires_at_s``: seconds since the epoch, by the server's clock; ``None``: never.
    """

    access_key: str
    secret_key: str
    session_token: str | None = None
    expires_at_s: float | None = None

    def __repr__(self) -> str:
        return f"AwsCredential(access_key={self.access_key!r})"


class AwsAccount(msgspec.Struct, kw_only=True):
    """What the simulated AWS knows of its only account."""

    credentials: list[AwsCredential] | None = None
    """Who may sign. ``None``: any well-formed signature, of an access key among the provider's ``keys`` if it has some."""
    api_keys: list[str] | None = None
    """Accepted bearer tokens. ``None``: the provider's ``keys``, or any."""
    region: str | None = None
    """Where this endpoint stands; a signature for another region is refused. ``None``: wherever one signs for."""
    number: str = ACCOUNT
    clock_ahead_s: float = 0.0
    """How far the server's clock is ahead of this machine's."""
    denied: set[str] = msgspec.field(default_factory=set)
    """Actions that no policy allows, such as ``bedrock:ListFoundationModels``."""
    clock: Callable[[], float] = time.time

    def now(self) -> float:
        """Seconds since the epoch, as the server sees it."""
        return self.clock() + self.clock_ahead_s

    def admit(self, request: Request, service: str, keys: frozenset[str] | None) -> None:
        """Check a request's credentials. Raises :class:`AwsRefusal` (403)."""
        token = bearer(request.headers)
        if token is not None:
            self._admit_key(token.decode("latin-1"), keys)
            return
        signature = _signature(request.headers)
        known = self._known(signature, keys)
        if signature.service != service:
            raise _invalid(f"Credential should be scoped to correct service: '{service}'. ")
        if self.region is not None and signature.region != self.region:
            raise _invalid("Credential should be scoped to a valid region. ")
        self._check_time(signature)
        if known is not None:
            self._check(request, signature, known)

    def allow(self, action: str, resource: str = "*") -> None:
        """Check the policies. Raises :class:`AwsRefusal` (403) for one of :attr:`denied`."""
        if action in self.denied:
            words = (
                f"User: arn:aws:iam::{self.number}:user/simulated is not authorized to perform: {action} on resource: "
                f"{resource} because no identity-based policy allows the {action} action"
            )
            raise AwsRefusal(403, "AccessDeniedException", words, message_key="Message")

    def _admit_key(self, token: str, keys: frozenset[str] | None) -> None:
        known = self.api_keys if self.api_keys is not None else keys
        if not token or (known is not None and token not in known):
            words = "Authentication failed: Please make sure your API Key is valid."
            raise AwsRefusal(403, "AccessDeniedException", words, message_key="Message")

    def _known(self, signature: _Signature, keys: frozenset[str] | None) -> AwsCredential | None:
        """The credential of an access key; ``None`` when any signature will do."""
        if self.credentials is None:
            if keys is not None and signature.access_key not in keys:
                raise _unrecognized()
            return None
        known = next((one for one in self.credentials if one.access_key == signature.access_key), None)
        if known is None:
            raise _unrecognized()
        return known

    def _check_time(self, signature: _Signature) -> None:
        now, signed, stamp = self.now(), signature.signed_at_s, signature.stamp
        if signed < now - _SKEW_S:
            edge, seen = _stamp(now - _SKEW_S), _stamp(now)
            raise _invalid(f"Signature expired: {stamp} is now earlier than {edge} ({seen} - 5 min.)")
        if signed > now + _SKEW_S:
            edge, seen = _stamp(now + _SKEW_S), _stamp(now)
            raise _invalid(f"Signature not yet current: {stamp} is still later than {edge} ({seen} + 5 min.)")

    def _check(self, request: Request, signature: _Signature, known: AwsCredential) -> None:
        token = header(request.headers, b"x-amz-security-token")
        if (token.decode("latin-1") if token is not None else None) != known.session_token:
            raise _unrecognized()
        if known.expires_at_s is not None and self.now() >= known.expires_at_s:
            raise AwsRefusal(403, "ExpiredTokenException", "The security token included in the request is expired")
        if not hmac.compare_digest(_expected(request, signature, known.secret_key), signature.value):
            raise _invalid(_MISMATCH)


class _Signature(NamedTuple):
    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    stamp: str
    """``20260101T000000Z``."""
    signed_at_s: float

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def signed_region(headers: Headers, account: AwsAccount) -> str:
    """The region that a request is meant for: the account's, or the one it was signed for."""
    if account.region is not None:
        return account.region
    if bearer(headers) is not None or header(headers, b"authorization") is None:
        return DEFAULT_REGION
    return _signature(headers).region


def aws_head(dialect: str, stream_type: str = "application/vnd.amazon.eventstream") -> HeadWriter:
    """Response heads in AWS's style."""
    return HeadWriter(dialect, "x-amzn-RequestId", None, "", stream_type=stream_type, identify=_uuid)


def error_body(refusal: Refusal) -> bytes:
    """``{"message": …}`` and what else the error's type has."""
    key = refusal.message_key if isinstance(refusal, AwsRefusal) else "message"
    members = refusal.members if isinstance(refusal, AwsRefusal) else {}
    return msgspec.json.encode({key: refusal.message, **members})


def aws_fault(status: int, error_type: str | None, message: str | None, source: str = "") -> AwsRefusal:
    """What an injected status stands for; ``error_type`` instead of the usual one."""
    default = "InternalServerException" if status >= 500 else "ValidationException"
    kind = error_type or _ERRORS.get(status, default)
    return AwsRefusal(status, kind, message or f"Simulated failure: {status}.", source=source)


def _signature(headers: Headers) -> _Signature:
    """What the Authorization header says. Raises :class:`AwsRefusal` when it says nothing useful."""
    raw = header(headers, b"authorization")
    if raw is None:
        raise AwsRefusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    text = raw.decode("latin-1")
    algorithm, _, rest = text.partition(" ")
    if algorithm != _ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise _incomplete(f"Authorization header requires '{name}' parameter. Authorization={algorithm}")
    scope = _SCOPE.match(fields["Credential"])
    if scope is None:
        raise _incomplete(f"Credential must have exactly 5 slash-delimited elements, got '{fields['Credential']}'")
    if not _HEX.match(fields["Signature"]):
        raise _invalid(_MISMATCH)
    signed = tuple(fields["SignedHeaders"].split(";"))
    _check_signed(headers, signed)
    stamp, seconds = _signed_at(headers)
    if not stamp.startswith(scope["date"]):
        raise _invalid(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {stamp}")
    return _Signature(
        scope["key"], scope["date"], scope["region"], scope["service"], signed, fields["Signature"], stamp, seconds
    )


def _check_signed(headers: Headers, signed: tuple[str, ...]) -> None:
    """``host`` and every ``x-amz-…`` header must be covered."""
    names = {name.decode("latin-1") for name, _ in headers}
    for name in sorted({"host", *(name for name in names if name.startswith("x-amz-"))}):
        if name not in signed:
            raise _invalid(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    if list(signed) != sorted(signed):
        raise _invalid(_MISMATCH)


def _signed_at(headers: Headers) -> tuple[str, float]:
    """The moment of signing: its stamp and seconds since the epoch."""
    if (raw := header(headers, b"x-amz-date")) is not None:
        stamp = raw.decode("latin-1")
        try:
            return stamp, float(timegm(time.strptime(stamp, _TIME)))
        except ValueError:
            raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.") from None
    if (raw := header(headers, b"date")) is not None:
        try:
            seconds = parsedate_to_datetime(raw.decode("latin-1")).timestamp()
        except ValueError:
            raise _incomplete(f"Date header is not readable: '{raw.decode('latin-1')}'.") from None
        return _stamp(seconds), seconds
    raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")


def _expected(request: Request, signature: _Signature, secret: str) -> str:
    """The signature that the request should have."""
    whole = sha256(_canonical(request, signature).encode()).hexdigest()
    text = "\n".join((_ALGORITHM, signature.stamp, signature.scope, whole))
    key = f"AWS4{secret}".encode()
    for part in (signature.date, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(request: Request, signature: _Signature) -> str:
    path, _, query = request.target.decode("latin-1").partition("?")
    pairs = sorted((part.partition("=")[0], part.partition("=")[2]) for part in query.split("&") if part)
    lines = []
    for name in signature.signed_headers:
        values = [" ".join(value.decode("latin-1").split()) for key, value in request.headers if key == name.encode()]
        lines.append(f"{name}:{','.join(values)}")
    digest = header(request.headers, b"x-amz-content-sha256")
    return "\n".join(
        (
            request.method.decode("latin-1"),
            quote(_without_dots(path), safe="/~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            "\n".join(lines) + "\n",
            ";".join(signature.signed_headers),
            digest.decode("latin-1") if digest is not None else sha256(request.body).hexdigest(),
        )
    )


def _without_dots(path: str) -> str:
    """The path without empty, ``.`` and ``..`` segments."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + end


def _stamp(seconds: float) -> str:
    return time.strftime(_TIME, time.gmtime(seconds))


def _uuid(request_id: str) -> str:
    """AWS's request ids are UUIDs."""
    return f"00000000-0000-4000-8000-{int(request_id.removeprefix('req_simulated')):012d}"


def _unrecognized() -> AwsRefusal:
    return AwsRefusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")


def _invalid(message: str) -> AwsRefusal:
    return AwsRefusal(403, "InvalidSignatureException", message)


def _incomplete(message: str) -> AwsRefusal:
    return AwsRefusal(403, "IncompleteSignatureException", message)
