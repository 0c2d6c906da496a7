"""What Google's refusals mean, and what ours say in their words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.errors import (
    AttemptError,
    AuthenticationFailed,
    BodyTooLarge,
    BudgetExceeded,
    ContextTooLong,
    CredentialRejected,
    DeadlineExceeded,
    InvalidRequest,
    LimitExceeded,
    Overloaded,
    PermissionDenied,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
    TrimaranError,
    Unavailable,
    UnknownModel,
)
from trimaran.wire import client_status
from trimaran.wire.gemini_generate import GeminiGenerate

GEMINI = GeminiGenerate()
RPC = "type.googleapis.com/google.rpc."


def body(code: int, status: str, message: str = "m", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def read(status: int, value: Any, retry_after: bytes | None = None) -> AttemptError:
    return GEMINI.read_error(status, retry_after, "application/json", json.dumps(value).encode())


KINDS: list[tuple[int, str, str, type[AttemptError]]] = [
    (400, "INVALID_ARGUMENT", "Request contains an invalid argument.", Rejected),
    (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", CredentialRejected),
    (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", TargetNotFound),
    (
        400,
        "FAILED_PRECONDITION",
        "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.",
        CredentialRejected,
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ContextTooLong,
    ),
    (401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", CredentialRejected),
    (403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied", CredentialRejected),
    (403, "PERMISSION_DENIED", "You do not have permission to access the File x or it may not exist.", Rejected),
    (403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)", Rejected),
    (404, "NOT_FOUND", "models/x is not found for API version v1beta", TargetNotFound),
    (
        404,
        "NOT_FOUND",
        "Publisher Model `projects/p/locations/l/publishers/google/models/x` was not found",
        TargetNotFound,
    ),
    (400, "INVALID_ARGUMENT", "Publisher Model does not take this", Rejected),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing account",
        RateLimited,
    ),
    (499, "CANCELLED", "The operation was cancelled.", ServerFault),
    (500, "INTERNAL", "An internal error has occurred.", ServerFault),
    (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", Overloaded),
    (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", ServerFault),
]


@pytest.mark.parametrize(("status", "word", "message", "kind"), KINDS)
def test_a_refusal_means(status: int, word: str, message: str, kind: type[AttemptError]) -> None:
    error = read(status, body(status, word, message))
    assert type(error) is kind
    assert error.upstream_status == status
    assert type(GEMINI.error_in_answer(body(status, word, message)["error"])) is kind
    # As a stream has it that was not asked for as events.
    assert type(read(status, [body(status, word, message)])) is kind


def test_the_reason_counts_more_than_the_sentence() -> None:
    info = {"@type": RPC + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    error = read(400, body(400, "INVALID_ARGUMENT", "key abc123 is bad", info))
    assert isinstance(error, CredentialRejected)
    assert "API_KEY_INVALID" in error.message
    assert "aistudio" in error.message
    assert "abc123" not in error.message
    disabled = {"@type": RPC + "ErrorInfo", "reason": "SERVICE_DISABLED"}
    assert "gcloud services enable" in read(403, body(403, "PERMISSION_DENIED", "m", disabled)).message


def test_a_place_that_is_not_served_says_what_to_do() -> None:
    error = read(400, body(400, "FAILED_PRECONDITION", "User location is not supported for the API use."))
    assert "User location is not supported" in error.message
    assert "Vertex AI" in error.message


def test_how_long_to_wait() -> None:
    info = {"@type": RPC + "RetryInfo", "retryDelay": "17.5s"}
    quota = {"@type": RPC + "QuotaFailure", "violations": [{"quotaId": "x"}]}
    assert read(429, body(429, "RESOURCE_EXHAUSTED", "m", quota, info)).retry_after_s == 17.5
    assert read(429, body(429, "RESOURCE_EXHAUSTED", "m", info), b"3").retry_after_s == 3
    assert read(429, body(429, "RESOURCE_EXHAUSTED", "m", info | {"retryDelay": "soon"})).retry_after_s is None


def test_bodies_of_any_form() -> None:
    for value in ([], {}, None, "x", {"error": "x"}, {"error": {"details": {"a": 1}}}, {"error": {"details": [None]}}):
        assert type(read(503, value)) is Overloaded
    assert type(GEMINI.read_error(502, None, "text/html", b"<html>")) is ServerFault
    assert type(GEMINI.error_in_answer("x")) is ServerFault


def test_the_providers_own_body_passes() -> None:
    raw = json.dumps(body(400, "INVALID_ARGUMENT", "bad")).encode()
    error = GEMINI.read_error(400, None, "application/json; charset=UTF-8", raw)
    assert GEMINI.write_error(error, "req_1") == raw


WORDS: list[tuple[TrimaranError, int, str]] = [
    (InvalidRequest("x", field="contents"), 400, "INVALID_ARGUMENT"),
    (AuthenticationFailed("x"), 401, "UNAUTHENTICATED"),
    (BudgetExceeded("x"), 402, "RESOURCE_EXHAUSTED"),
    (PermissionDenied("x"), 403, "PERMISSION_DENIED"),
    (UnknownModel("x"), 404, "NOT_FOUND"),
    (BodyTooLarge("x"), 413, "INVALID_ARGUMENT"),
    (LimitExceeded("x", retry_after_s=2.5), 429, "RESOURCE_EXHAUSTED"),
    (ServerFault("x"), 502, "INTERNAL"),
    (Unavailable("x"), 503, "UNAVAILABLE"),
    (DeadlineExceeded("x"), 504, "DEADLINE_EXCEEDED"),
]


@pytest.mark.parametrize(("error", "status", "word"), WORDS)
def test_our_errors_in_googles_words(error: TrimaranError, status: int, word: str) -> None:
    told = json.loads(GEMINI.write_error(error, "req_1"))["error"]
    assert (told["code"], told["status"], told["message"]) == (status, word, "x")
    assert client_status(error) == status
    details = {each["@type"].removeprefix(RPC): each for each in told["details"]}
    assert details["ErrorInfo"]["reason"] == error.code.upper()
    assert details["RequestInfo"]["requestId"] == "req_1"
    if error.field:
        assert details["BadRequest"]["fieldViolations"][0]["field"] == "contents"
    if isinstance(error, LimitExceeded):
        assert details["RetryInfo"]["retryDelay"] == "2.5s"
