"""What Google's APIs say when they refuse, what mends it, and how such an error is written.

An error is ``{"error": {code, message, status, details}}``, a ``google.rpc.Status``; a stream that was not asked for as
server-sent events has it in a list. ``details`` hold what a program should go by: ``RetryInfo`` how long to wait,
``ErrorInfo`` a reason, ``QuotaFailure`` which quota. Several refusals blame the request although the operator has
something to do: an API key that is not valid, and a place that is not served, are ``INVALID_ARGUMENT`` and
``FAILED_PRECONDITION``.

Sources, read 2026-11-30: https://cloud.google.com/apis/design/errors,
https://ai.google.dev/gemini-api/docs/troubleshooting,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.errors import (
    AttemptError,
    ContextTooLong,
    CredentialRejected,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
    TrimaranError,
)
from trimaran.wire.failures import Complaint, attempt_error, client_status, read_complaint, reported
from trimaran.wire.members import BAD_JSON

__all__ = ["google_error", "google_error_body", "status_word"]

_STATUS_OF = {
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "CANCELLED": 499,
    "DATA_LOSS": 500,
    "DEADLINE_EXCEEDED": 504,
    "FAILED_PRECONDITION": 400,
    "INTERNAL": 500,
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "OUT_OF_RANGE": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "UNAUTHENTICATED": 401,
    "UNAVAILABLE": 503,
    "UNIMPLEMENTED": 501,
    "UNKNOWN": 500,
}
_WORDS = {
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_TYPE = "type.googleapis.com/google.rpc."

_KEY = "make a key at https://aistudio.google.com/apikey and set it for the provider"
_PLACE = (
    "Google does not serve the Gemini API to the place that this gateway runs in: use Vertex AI in a region that it serves, or "
    "leave the target out"
)
_BILLING = "turn on billing for the project: https://aistudio.google.com/apikey shows which one the key belongs to"
_SERVICE = "turn on the API for the project: `gcloud services enable aiplatform.googleapis.com generativelanguage.googleapis.com`"
_MODEL = "see https://ai.google.dev/gemini-api/docs/models for the names, and for Vertex AI which region has the model"
_SCOPE = "the credential needs the scope https://www.googleapis.com/auth/cloud-platform"
_ROLE = "the credential needs the role roles/aiplatform.user in the project"

_BY_REASON: dict[str, tuple[type[AttemptError], str]] = {
    "ACCESS_TOKEN_EXPIRED": (CredentialRejected, ""),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": (CredentialRejected, _SCOPE),
    "API_KEY_EXPIRED": (CredentialRejected, _KEY),
    "API_KEY_INVALID": (CredentialRejected, _KEY),
    "API_KEY_SERVICE_BLOCKED": (CredentialRejected, "the key's restrictions do not allow this API"),
    "BILLING_DISABLED": (CredentialRejected, _BILLING),
    "CREDENTIALS_MISSING": (CredentialRejected, ""),
    "IAM_PERMISSION_DENIED": (CredentialRejected, _ROLE),
    "SERVICE_DISABLED": (CredentialRejected, _SERVICE),
}
"""By the reason of ``ErrorInfo``."""
_BY_SENTENCE: tuple[tuple[str, type[AttemptError], str], ...] = (
    ("api key not valid", CredentialRejected, _KEY),
    ("api key expired", CredentialRejected, _KEY),
    ("user location is not supported", TargetNotFound, _PLACE),
    ("free tier is not available in your country", CredentialRejected, _BILLING),
    ("billing account", CredentialRejected, _BILLING),
    ("exceeds the maximum number of tokens allowed", ContextTooLong, ""),
    ("exceeds the maximum number of input tokens", ContextTooLong, ""),
    ("input context is too long", ContextTooLong, ""),
    ("permission to access the file", Rejected, ""),
    ("cachedcontent not found", Rejected, ""),
    ("is not found for api version", TargetNotFound, _MODEL),
    ("publisher model", TargetNotFound, _MODEL),
)
"""By a part of the sentence, in lower case: what it means, and what mends it."""
_STALE = ("publisher model",)
"""Marks that count only beside a 404."""
_OPERATORS = (CredentialRejected, TargetNotFound)
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def google_error(
    body: bytes,
    status: int = 0,
    *,
    dialect: str = "",
    retry_after: bytes | None = None,
    content_type: str = "",
    now_s: float | None = None,
) -> AttemptError:
    """The error that a refusal of a Google API means. ``status`` is 0 where it stood inside an answer; the error itself
    says it then. ``dialect`` is the one whose clients may be shown the body as it is."""
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        value = None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    told = value.get("error") if isinstance(value, dict) else None
    told = told if isinstance(told, dict) else {}
    word = told.get("status")
    complaint = read_complaint(value)
    status = status or _STATUS_OF.get(str(word), complaint.status or 500)
    details = [each for each in _list(told.get("details")) if isinstance(each, dict)]
    reason = next((text for each in details if isinstance(text := each.get("reason"), str)), "")
    complaint = Complaint(complaint.message, reason[:100], str(word)[:100] if isinstance(word, str) else "", status)
    kind, hint = _meaning(complaint)
    if status == 499:
        kind = ServerFault
    wait = _delay(details)
    if wait and retry_after is None:
        retry_after = wait
    return attempt_error(
        complaint,
        dialect=dialect,
        status=status,
        retry_after=retry_after,
        content_type=content_type,
        body=body,
        now_s=now_s,
        kind=kind,
        hint=hint,
    )


def _meaning(complaint: Complaint) -> tuple[type[AttemptError] | None, str]:
    """What is known beyond the status, and what mends it."""
    if complaint.status == 429:
        return RateLimited, ""
    known = _BY_REASON.get(complaint.code)
    if known is not None and 400 <= complaint.status < 500:
        return known
    if not 400 <= complaint.status < 500:
        return None, ""
    sentence = complaint.message.lower()
    for mark, kind, hint in _BY_SENTENCE:
        at = sentence.find(mark)
        if at < 0 or (mark in _STALE and complaint.status != 404):
            continue
        if at > 0 and complaint.type == "INVALID_ARGUMENT" and kind in _OPERATORS:
            # Google quotes what it does not understand: those may be a client's words, and would be held against the target.
            continue
        return kind, hint
    return None, ""


def _delay(details: list[dict[str, Any]]) -> bytes | None:
    """Seconds to wait by ``RetryInfo``."""
    for each in details:
        delay = each.get("retryDelay")
        if isinstance(delay, str) and (found := _DELAY.fullmatch(delay)) is not None:
            return found[1].encode()
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def status_word(status: int) -> str:
    """The word of ``google.rpc.Code`` for an HTTP status."""
    return _WORDS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


def google_error_body(error: TrimaranError, request_id: str) -> bytes:
    """The JSON body of an error for a client."""
    error = reported(error)
    status = client_status(error)
    details: list[dict[str, Any]] = [
        {"@type": f"{_TYPE}ErrorInfo", "reason": error.code.upper(), "domain": "trimaran"},
    ]
    if error.field:
        violation = {"field": error.field, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    wait = getattr(error, "retry_after_s", None)
    if wait is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{wait:g}s"})
    if request_id:
        details.append({"@type": f"{_TYPE}RequestInfo", "requestId": request_id})
    told = {"code": status, "message": error.message, "status": status_word(status), "details": details}
    return msgspec.json.encode({"error": told})
