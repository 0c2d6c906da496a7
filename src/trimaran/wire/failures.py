"""What a provider's refusal means, and what a client is told about any error.

Providers say the same things in different words: a status, a type, a code, a sentence. This table of meanings is shared
by all dialects, because OpenAI-compatible servers borrow each other's words freely. A refusal inside a stream, or in a
body whose status was 200, has no status of its own; its code or type gives one. AWS's words say more than its statuses,
so they come first; what else is known of them is in :mod:`trimaran.wire.aws_failures`.

A provider's sentence reaches the client, except where our credential was refused: such a sentence may quote a part of
it.
"""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    ContentRefused,
    ContextTooLong,
    CredentialRejected,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
    TrimaranError,
)
from trimaran.wire.members import BAD_JSON

__all__ = [
    "Complaint",
    "attempt_error",
    "client_status",
    "original_body",
    "read_complaint",
    "reported",
    "retry_after_s",
]

MAX_MESSAGE = 2000
"""Characters of a provider's sentence that are kept."""

_STATUS_OF = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_prompt": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "data_residency_mismatch": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "invalid_image_mode": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "image_content_policy_violation": 400,
    "image_file_too_large": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_file_not_found": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "requests": 429,
    "tokens": 429,
    "api_error": 500,
    "server_error": 500,
    "service_unavailable": 503,
    "timeout_error": 504,
    "vector_store_timeout": 504,
    "overloaded_error": 529,
}
"""For a refusal without a status, by its code or type; anything else is the target's own fault."""

_KIND_OF: dict[str, type[AttemptError]] = {
    "AccessDeniedException": CredentialRejected,
    "ExpiredToken": CredentialRejected,
    "ExpiredTokenException": CredentialRejected,
    "IncompleteSignature": CredentialRejected,
    "IncompleteSignatureException": CredentialRejected,
    "InvalidClientTokenId": CredentialRejected,
    "InvalidSignatureException": CredentialRejected,
    "MissingAuthenticationToken": CredentialRejected,
    "MissingAuthenticationTokenException": CredentialRejected,
    "NotAuthorized": CredentialRejected,
    "OptInRequired": CredentialRejected,
    "RequestExpired": CredentialRejected,
    "SignatureDoesNotMatch": CredentialRejected,
    "UnrecognizedClientException": CredentialRejected,
    "FTUFormNotFilled": TargetNotFound,
    "ResourceNotFound": TargetNotFound,
    "ResourceNotFoundException": TargetNotFound,
    "LimitExceededException": RateLimited,
    "ServiceQuotaExceededException": RateLimited,
    "Throttling": RateLimited,
    "ThrottlingException": RateLimited,
    "TooManyRequestsException": RateLimited,
    "ModelNotReadyException": Overloaded,
    "ServiceUnavailable": Overloaded,
    "ServiceUnavailableException": Overloaded,
    "InternalDependencyException": ServerFault,
    "InternalFailure": ServerFault,
    "InternalServerException": ServerFault,
    "ModelTimeoutException": ServerFault,
}
"""By code or type, whatever the status. AWS's words: the errors of botocore 1.44.8's Bedrock and SageMaker runtimes, and
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, read 2026-11-30."""

_TOO_LONG = (
    "prompt is too long",
    "input is too long for requested model",
    "input tokens exceeded",
    "maximum context length",
    "exceed context limit",
    "exceeds the context window",
    "context_length_exceeded",
)
_REFUSED = (
    "content filtering policy",
    "content management policy",
    "content_policy_violation",
    "content_filter",
    "bio_policy",
    "misalignment_policy_violation",
    "blocked by our content filters",
    "guardrail_intervened",
)
_NOT_STORED = ("previous_response_not_found", "previous response with id", "response with id", "item with id")
"""What a request went on from is not there: a mistake of the client's, where a missing model is one of the operator's."""
_NO_CREDIT = ("credit balance is too low",)
_TRY_AGAIN = frozenset({408, 409, 425})
"""A timeout, a lock or a replay guard of the provider: the vendors' SDKs try these again, and so do we."""

_SECONDS = re.compile(rb"\s*(\d{1,9}(?:\.\d{1,9})?)\s*")


class Complaint(NamedTuple):
    """A provider's own words. ``status`` is the one that its code or type stands for, 0 when there was no JSON."""

    message: str
    code: str = ""
    type: str = ""
    status: int = 0


def read_complaint(value: Any) -> Complaint:
    """The words in a decoded error answer, in whichever of the usual places they stand."""
    if not isinstance(value, dict):
        return Complaint("")
    inner = value.get("error")
    if isinstance(inner, str):
        inner = {"message": inner}
    if not isinstance(inner, dict):
        inner = value
    message = next((text for key in ("message", "detail", "Message") if isinstance(text := inner.get(key), str)), "")
    code, kind = inner.get("code"), inner.get("type") or inner.get("__type")
    if type(code) is int and 400 <= code < 600:
        status = code
    else:
        status = _STATUS_OF.get(str(code)) or _STATUS_OF.get(str(kind)) or 500
    return Complaint(message[:MAX_MESSAGE], _word(code), _word(kind), status)


def attempt_error(
    complaint: Complaint,
    *,
    dialect: str,
    status: int,
    retry_after: bytes | None = None,
    content_type: str = "",
    body: bytes = b"",
    now_s: float | None = None,
    kind: type[AttemptError] | None = None,
    hint: str = "",
) -> AttemptError:
    """The error that a refusal with this status and these words means. ``now_s`` is for :func:`retry_after_s`. ``kind`` is
    given where more is known than the table says; ``hint`` says what mends it."""
    kind = _kind(status, complaint) if kind is None else kind
    message = complaint.message or f"the target answered {status}"
    if kind is CredentialRejected:
        reason = complaint.code or complaint.type or "no reason given"
        message = f"the target refused the credential it was sent ({status}: {reason})"
    return kind(
        f"{message.rstrip('. ')}; {hint}" if hint else message,
        upstream_status=status,
        retry_after_s=retry_after_s(retry_after, now_s),
        body=body,
        content_type=content_type,
        dialect=dialect,
    )


def _kind(status: int, complaint: Complaint) -> type[AttemptError]:
    for word in (complaint.type, complaint.code):
        if (known := _KIND_OF.get(word)) is not None:
            return known
    if status == 429:
        return RateLimited
    if status in (503, 529):
        return Overloaded
    if status >= 500 or status in _TRY_AGAIN:
        return ServerFault
    if status in (401, 402, 403):
        return CredentialRejected
    words = f"{complaint.code} {complaint.type} {complaint.message}".lower()
    if status == 404 and any(mark in words for mark in _NOT_STORED):
        return Rejected
    if status == 404 or status < 400:
        # A redirect is never followed, so it is an address that the operator has to correct.
        return TargetNotFound
    if any(mark in words for mark in _NO_CREDIT):
        return CredentialRejected
    if any(mark in words for mark in _TOO_LONG):
        return ContextTooLong
    if any(mark in words for mark in _REFUSED):
        return ContentRefused
    return Rejected


def retry_after_s(value: bytes | None, now_s: float | None = None) -> float | None:
    """Seconds to wait by a Retry-After header: a number, or an HTTP date counted from ``now_s`` (Unix time; the clock's
    when left out). ``None`` for anything else."""
    if not value:
        return None
    match = _SECONDS.fullmatch(value)
    if match is not None:
        return float(match[1])
    try:
        at = parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    wait = at - (time.time() if now_s is None else now_s)
    return max(0.0, wait) if math.isfinite(wait) else None


def reported(error: TrimaranError) -> TrimaranError:
    """The error that a client should hear of: the provider's refusal of the request itself where that ended a series of
    attempts, otherwise ``error``."""
    if isinstance(error, AllAttemptsFailed) and isinstance(error.last, Rejected):
        return error.last
    return error


def client_status(error: TrimaranError) -> int:
    """The HTTP status a client gets. A provider's refusal of the request itself keeps the provider's status."""
    error = reported(error)
    if isinstance(error, Rejected) and 400 <= error.upstream_status < 500:
        return error.upstream_status
    return error.status


def original_body(error: TrimaranError, dialect: str) -> bytes:
    """The provider's own JSON body where a client of this dialect should get it untouched, otherwise ``b""``."""
    error = reported(error)
    if not isinstance(error, Rejected) or error.dialect != dialect or "json" not in error.content_type.lower():
        return b""
    try:
        msgspec.json.decode(error.body)
    except BAD_JSON:
        return b""
    return error.body


def _word(value: Any) -> str:
    return str(value)[:100] if isinstance(value, str | int) else ""
