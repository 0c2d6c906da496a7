"""Error bodies of OpenAI's dialects, which all share one form: ``{"error": {message, type, param, code}}``.

Clients of these APIs branch on the status, then on ``code``. Where our own code has an older sister in OpenAI's API,
that one is written.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.errors import ContentRefused, ContextTooLong, RateLimited, TrimaranError
from trimaran.wire.failures import client_status, original_body, reported

__all__ = ["openai_error", "openai_error_body"]

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES: tuple[tuple[type[TrimaranError], str], ...] = (
    (ContextTooLong, "context_length_exceeded"),
    (ContentRefused, "content_policy_violation"),
    (RateLimited, "rate_limit_exceeded"),
)
"""Codes that clients of these APIs branch on."""


def openai_error(error: TrimaranError) -> dict[str, Any]:
    """``message``, ``type``, ``param`` and ``code`` of what a client should hear of."""
    error = reported(error)
    status = client_status(error)
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    code = next((code for cls, code in _CODES if isinstance(error, cls)), error.code)
    return {"message": error.message, "type": kind, "param": error.field, "code": code}


def openai_error_body(error: TrimaranError, dialect_name: str) -> bytes:
    """The JSON body for a client of ``dialect_name``: the provider's own where it refused the request in that dialect."""
    return original_body(error, dialect_name) or msgspec.json.encode({"error": openai_error(error)})
