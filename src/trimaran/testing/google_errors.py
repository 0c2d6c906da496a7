"""Errors as Google's APIs word them: ``google.rpc.Status`` in JSON, with typed details.

``{"error": {"code": 429, "message": …, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": …}]}}``. Where a client asked for
a stream without ``alt=sse``, and on the OpenAI-shaped endpoint, the real services put that object into an array of one; the
dialects here do too. There is no Retry-After: how long to wait is a ``RetryInfo`` among the details. Codes and status words
are those of ``google/rpc/code.proto``; words of messages follow answers that are quoted in public issue threads (2022 to
2026), all read 2026-11-30; others are worded alike.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.testing.dialect import HeadWriter
from trimaran.testing.exchange import Refusal

__all__ = [
    "GEMINI_SERVICE",
    "VERTEX_SERVICE",
    "GoogleHead",
    "GoogleRefusal",
    "bad_request",
    "error_body",
    "error_info",
    "google_fault",
    "help_links",
    "invalid",
    "retry_info",
]

GEMINI_SERVICE = "generativelanguage.googleapis.com"
VERTEX_SERVICE = "aiplatform.googleapis.com"
JSON = b"application/json; charset=UTF-8"

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPES = "type.googleapis.com/google.rpc."
_LIMITS = "https://ai.google.dev/gemini-api/docs/rate-limits"
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, head "
    f"to: {_LIMITS}. To monitor your current usage, head to: https://ai.dev/rate-limit. \n* Quota exceeded for metric: "
    f"{GEMINI_SERVICE}/generate_content_paid_tier_input_token_count, limit: 1000000, model: simulated"
)
_SAID = {
    500: "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
    503: "The model is overloaded. Please try again later.",
    504: "Deadline expired before operation could complete.",
}
_SAID_VERTEX = {
    429: "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
    500: "Internal error encountered.",
    503: "The service is currently unavailable.",
    504: "Deadline expired before operation could complete.",
}
_HEADERS = """\
vary: Origin
vary: X-Origin
vary: Referer
server: scaffolding on HTTPServer2
x-xss-protection: 0
x-frame-options: SAMEORIGIN
x-content-type-options: nosniff
server-timing: gfet4t7; dur=1
cache-control: private
alt-svc: h3=":443"; ma=2592000,h3-29=":443"; ma=2592000
set-cookie: NID=simulated; path=/; HttpOnly"""


class GoogleRefusal(Refusal):
    """A refusal with a status word and details; ``kind`` is the status word."""

    def __init__(self, code: int, message: str, *details: dict[str, Any], status: str | None = None) -> None:
        super().__init__(code, status or _STATUS.get(code, "UNKNOWN"), message)
        self.details = list(details)


class GoogleHead(HeadWriter):
    """Heads in Google's style: there is no Retry-After, and a stream is of server-sent events unless its writer says more than
    ``application/json``."""

    def __init__(self, dialect: str, lines: str = _HEADERS, content_type: bytes = JSON) -> None:
        super().__init__(dialect, "x-simulated-request", None, lines)
        self._type = content_type

    def write(
        self,
        status: int,
        request_id: str,
        *,
        length: int | None,
        stream: bool = False,
        processing_ms: int = 0,
        retry_after_s: float | None = None,
        content_type: bytes | None = None,
        lines: bytes = b"",
    ) -> bytes:
        """See :class:`~trimaran.testing.dialect.HeadWriter`."""
        kind = content_type or self._type
        if stream and kind == b"application/json":
            kind = b"text/event-stream"
        return super().write(status, request_id, length=length, content_type=kind, lines=lines)


def error_body(refusal: Refusal, *, listed: bool = False) -> bytes:
    """``{"error": …}``, in an array of one if ``listed``."""
    error: dict[str, Any] = {"code": refusal.status, "message": refusal.message}
    error["status"] = refusal.kind or _STATUS.get(refusal.status, "UNKNOWN")
    details = list(refusal.details) if isinstance(refusal, GoogleRefusal) else []
    if refusal.retry_after_s is not None:
        details.append(retry_info(refusal.retry_after_s))
    if details:
        error["details"] = details
    body: Any = {"error": error}
    return msgspec.json.format(msgspec.json.encode([body] if listed else body), indent=2) + b"\n"


def google_fault(status: int, code: str | None, message: str | None, *, vertex: bool) -> GoogleRefusal:
    """What an injected status stands for; ``code`` instead of the usual status word."""
    words = (_SAID_VERTEX if vertex else _SAID).get(status, f"Simulated failure: {status}.")
    details: list[dict[str, Any]] = []
    if status == 429 and not vertex:
        words = _QUOTA
        details = [help_links(("Learn more about Gemini API quotas", _LIMITS)), _quota_failure()]
    return GoogleRefusal(status, message or words, *details, status=code)


def invalid(message: str, *details: dict[str, Any]) -> GoogleRefusal:
    """A 400 with INVALID_ARGUMENT."""
    return GoogleRefusal(400, message, *details)


def error_info(reason: str, domain: str = "googleapis.com", **metadata: str) -> dict[str, Any]:
    """``google.rpc.ErrorInfo``: the reason that a machine can tell apart."""
    return {"@type": f"{_TYPES}ErrorInfo", "reason": reason, "domain": domain, "metadata": metadata}


def help_links(*links: tuple[str, str]) -> dict[str, Any]:
    """``google.rpc.Help``: descriptions and addresses."""
    return {"@type": f"{_TYPES}Help", "links": [{"description": words, "url": url} for words, url in links]}


def retry_info(seconds: float) -> dict[str, Any]:
    """``google.rpc.RetryInfo``: a duration as ``"26s"`` or ``"0.250s"``."""
    whole = f"{int(seconds)}s" if seconds == int(seconds) else f"{seconds:.3f}s"
    return {"@type": f"{_TYPES}RetryInfo", "retryDelay": whole}


def localized(message: str) -> dict[str, Any]:
    """``google.rpc.LocalizedMessage``."""
    return {"@type": f"{_TYPES}LocalizedMessage", "locale": "en-US", "message": message}


def bad_request(violations: list[tuple[str, str]]) -> dict[str, Any]:
    """``google.rpc.BadRequest``: fields and what is wrong with each."""
    rows = [{"field": field, "description": words} for field, words in violations]
    return {"@type": f"{_TYPES}BadRequest", "fieldViolations": rows}


def _quota_failure() -> dict[str, Any]:
    row = {
        "quotaMetric": f"{GEMINI_SERVICE}/generate_content_paid_tier_input_token_count",
        "quotaId": "GenerateContentPaidTierInputTokensPerModelPerMinute",
        "quotaDimensions": {"location": "global", "model": "simulated"},
        "quotaValue": "1000000",
    }
    return {"@type": f"{_TYPES}QuotaFailure", "violations": [row]}
