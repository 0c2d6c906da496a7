"""What a provider's refusal means, and what a client of either SDK makes of our errors."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran import errors
from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    AuthenticationFailed,
    BodyTooLarge,
    BudgetExceeded,
    ContentRefused,
    ContextTooLong,
    CredentialRejected,
    DeadlineExceeded,
    InvalidRequest,
    LimitExceeded,
    MalformedAnswer,
    Overloaded,
    PermissionDenied,
    RateLimited,
    Rejected,
    Retry,
    ServerFault,
    StreamCut,
    TargetNotFound,
    TrimaranError,
    Unavailable,
    UnknownModel,
    UnsupportedFeature,
)
from trimaran.wire import DIALECTS, client_status

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
BOTH = [CHAT, MESSAGES]


def chat_body(message: str = "m", **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "t", "param": None, "code": None} | fields}).encode()


def messages_body(message: str = "m", kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


def read(dialect: Any, status: int, body: bytes, retry_after: bytes | None = None) -> AttemptError:
    return dialect.read_error(status, retry_after, "application/json", body, now_s=784111777.0)


# Reading


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, CredentialRejected),
        (402, CredentialRejected),
        (403, CredentialRejected),
        (404, TargetNotFound),
        (408, ServerFault),
        (409, ServerFault),
        (413, Rejected),
        (415, Rejected),
        (422, Rejected),
        (425, ServerFault),
        (429, RateLimited),
        (500, ServerFault),
        (502, ServerFault),
        (503, Overloaded),
        (504, ServerFault),
        (520, ServerFault),
        (529, Overloaded),
        (302, TargetNotFound),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"5", chat_body(), messages_body()])
def test_statuses(dialect: Any, status: int, kind: type[AttemptError], body: bytes) -> None:
    error = read(dialect, status, body)
    assert type(error) is kind
    assert (error.upstream_status, error.body, error.content_type) == (status, body, "application/json")
    assert error.dialect == dialect.name
    assert error.sent
    assert "<" not in error.message


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, chat_body(code="context_length_exceeded"), ContextTooLong),
        (400, chat_body("This model's maximum context length is 8192 tokens. However, you ..."), ContextTooLong),
        (400, messages_body("prompt is too long: 209353 tokens > 199999 maximum"), ContextTooLong),
        (400, messages_body("input length and `max_tokens` exceed context limit: 1 + 2 > 3"), ContextTooLong),
        (413, messages_body("Prompt is too long"), ContextTooLong),
        (400, chat_body(code="content_policy_violation"), ContentRefused),
        (400, chat_body(code="content_filter", innererror={}), ContentRefused),
        (400, messages_body("Output blocked by content filtering policy"), ContentRefused),
        (400, messages_body("Your credit balance is too low to access the Anthropic API."), CredentialRejected),
        (429, chat_body(code="insufficient_quota"), RateLimited),
        (500, chat_body("maximum context length"), ServerFault),
    ],
)
def test_words_that_say_more_than_the_status(dialect: Any, status: int, body: bytes, kind: type[AttemptError]) -> None:
    assert type(read(dialect, status, body)) is kind


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (chat_body("Too hot"), "Too hot"),
        (messages_body("Too hot"), "Too hot"),
        (b'{"error":"Too hot"}', "Too hot"),
        (b'{"object":"error","message":"Too hot","code":400}', "Too hot"),
        (b'{"detail":"Too hot"}', "Too hot"),
        (b'{"detail":[{"loc":["body"]}]}', "the target answered 400"),
        (b'{"error":{"message":5}}', "the target answered 400"),
        (b'{"error":{}}', "the target answered 400"),
        (b"\xff\xfe", "the target answered 400"),
        (b"[" * 100_000, "the target answered 400"),
        (chat_body("x" * 5000), "x" * 2000),
    ],
)
def test_the_providers_words_are_kept(dialect: Any, body: bytes, message: str) -> None:
    assert read(dialect, 400, body).message == message


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize("status", [401, 403])
def test_words_about_a_credential_are_not_passed_on(dialect: Any, status: int) -> None:
    body = chat_body("Incorrect API key provided: sk-abc...xyz", code="invalid_api_key")
    error = read(dialect, status, body)
    assert error.message == f"the target refused the credential it was sent ({status}: invalid_api_key)"
    for client in BOTH:
        assert b"sk-abc" not in client.write_error(error, "r") + client.write_stream_error(error, "r")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"", None),
        (b"7", 7.0),
        (b" 0.5 ", 0.5),
        (b"0", 0.0),
        (b"-3", None),
        (b"nan", None),
        (b"inf", None),
        (b"1_0", None),
        (b"99999999999", None),
        (b"soon", None),
        (b"\xff", None),
        (b"Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        (b"Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        (b"Sun, 99 Nov 1994 08:00:00 GMT", None),
    ],
)
def test_retry_after(value: bytes | None, seconds: float | None) -> None:
    assert read(CHAT, 429, b"", value).retry_after_s == seconds


@given(st.integers(300, 599), st.binary(max_size=80), st.none() | st.binary(max_size=30), st.text(max_size=20))
def test_any_refusal_can_be_read(status: int, body: bytes, retry_after: bytes | None, content_type: str) -> None:
    for dialect in BOTH:
        error = dialect.read_error(status, retry_after, content_type, body)
        assert isinstance(error, AttemptError)
        for client in BOTH:
            assert json.loads(client.write_error(error, "r"))["error"]["message"]


# Writing

OURS: list[tuple[TrimaranError, str, str]] = [
    (InvalidRequest("m", field="n"), "invalid_request_error", "invalid_request_error"),
    (UnsupportedFeature("m"), "invalid_request_error", "invalid_request_error"),
    (AuthenticationFailed("m"), "authentication_error", "authentication_error"),
    (BudgetExceeded("m"), "insufficient_quota", "billing_error"),
    (PermissionDenied("m"), "permission_error", "permission_error"),
    (UnknownModel("m"), "not_found_error", "not_found_error"),
    (BodyTooLarge("m"), "invalid_request_error", "request_too_large"),
    (LimitExceeded("m"), "rate_limit_error", "rate_limit_error"),
    (Unavailable("m"), "server_error", "overloaded_error"),
    (RateLimited("m"), "rate_limit_error", "rate_limit_error"),
    (Overloaded("m"), "server_error", "overloaded_error"),
    (ServerFault("m"), "server_error", "api_error"),
    (CredentialRejected("m"), "server_error", "api_error"),
    (MalformedAnswer("m"), "server_error", "api_error"),
    (Rejected("m", upstream_status=422), "invalid_request_error", "invalid_request_error"),
    (DeadlineExceeded("m"), "server_error", "timeout_error"),
    (AllAttemptsFailed([("a", ServerFault("m")), ("b", Overloaded("m"))]), "server_error", "api_error"),
]

OPENAI_CLASSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}
ANTHROPIC_CLASSES = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    422: anthropic.UnprocessableEntityError,
    429: anthropic.RateLimitError,
}


@pytest.mark.parametrize(("error", "kind", "_"), OURS)
def test_openai_clients_understand_our_errors(openai_sdk: Any, error: TrimaranError, kind: str, _: str) -> None:
    status = client_status(error)
    client = openai_sdk(CHAT.write_error(error, "req_1"), status)
    default = openai.InternalServerError if status >= 500 else openai.APIStatusError
    with pytest.raises(OPENAI_CLASSES.get(status, default)) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert (caught.value.type, caught.value.param) == (kind, error.field)
    assert error.message in caught.value.message
    assert caught.value.code


@pytest.mark.parametrize(("error", "_", "kind"), OURS)
def test_anthropic_clients_understand_our_errors(anthropic_sdk: Any, error: TrimaranError, _: str, kind: str) -> None:
    status = client_status(error)
    client = anthropic_sdk(MESSAGES.write_error(error, "req_1"), status)
    default = anthropic.InternalServerError if status >= 500 else anthropic.APIStatusError
    with pytest.raises(ANTHROPIC_CLASSES.get(status, default)) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[])
    assert caught.value.body == {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": "req_1",
    }


def test_every_error_can_be_written() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, TrimaranError) and kind is not AllAttemptsFailed:
            for client in BOTH:
                assert json.loads(client.write_error(kind("m"), ""))["error"]["message"] == "m"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ContextTooLong, "context_length_exceeded"),
        (ContentRefused, "content_policy_violation"),
        (RateLimited, "rate_limit_exceeded"),
        (UnknownModel, "model_not_found"),
        (AuthenticationFailed, "invalid_api_key"),
    ],
)
def test_codes_that_openai_clients_branch_on(kind: type[TrimaranError], code: str) -> None:
    assert json.loads(CHAT.write_error(kind("m"), "r"))["error"]["code"] == code


@pytest.mark.parametrize(
    ("dialect", "other", "body"),
    [(CHAT, MESSAGES, chat_body("Bad  thing")), (MESSAGES, CHAT, messages_body("Bad  thing"))],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_providers_own_refusal_reaches_a_client_of_its_dialect(
    dialect: Any, other: Any, body: bytes, status: int
) -> None:
    error = read(dialect, status, body)
    assert error.retry is Retry.NEVER
    assert dialect.write_error(error, "r") is body
    assert client_status(error) == status
    translated = json.loads(other.write_error(error, "r"))
    assert translated["error"]["message"] == "Bad  thing"
    assert ("request_id" in translated) == (other is MESSAGES)
    assert ("code" in translated["error"]) == (other is CHAT)
    series = AllAttemptsFailed([("a", Overloaded("busy")), ("b", error)])
    assert dialect.write_error(series, "r") is body
    assert client_status(series) == status
    assert json.loads(other.write_error(series, "r")) == translated


@pytest.mark.parametrize(
    "error",
    [
        CHAT.read_error(429, None, "application/json", chat_body("m")),
        CHAT.read_error(500, None, "application/json", chat_body("m")),
        CHAT.read_error(400, None, "text/html", b"<html>"),
        CHAT.read_error(400, None, "application/json", b"<html>"),
        CHAT.read_error(400, None, "application/json", b""),
        CHAT.read_error(400, None, "application/json", b'{"error":{"message":"\xff"}} '),
    ],
)
def test_other_bodies_are_not_passed_on(error: AttemptError) -> None:
    out = CHAT.write_error(error, "r")
    assert out != error.body
    assert json.loads(out)["error"]["message"] == error.message


def test_openai_clients_see_a_stream_break(openai_sdk: Any) -> None:
    chunk = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    chunk += b'{"content":"x"},"finish_reason":null}]}\n\n'
    event = CHAT.write_stream_error(StreamCut("it broke"), "r")
    assert event.endswith(b"}\n\n")
    assert b"[DONE]" not in event
    stream = openai_sdk(chunk + event).chat.completions.create(model="m", messages=[], stream=True)
    assert next(stream).choices[0].delta.content == "x"
    with pytest.raises(openai.APIError, match="it broke") as caught:
        next(stream)
    assert caught.value.code == "stream_cut"


def test_anthropic_clients_see_a_stream_break(anthropic_sdk: Any) -> None:
    event = MESSAGES.write_stream_error(Overloaded("it broke"), "req_1")
    assert b"message_stop" not in event
    stream = anthropic_sdk(event).messages.create(model="m", max_tokens=1, messages=[], stream=True)
    with pytest.raises(anthropic.APIStatusError, match="it broke") as caught:
        next(stream)
    assert caught.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("dialect", BOTH)
def test_our_own_stream_errors_are_read_back(dialect: Any) -> None:
    envelope = dialect.read(b'{"model":"m","max_tokens":1,"messages":[],"stream":true}')
    with pytest.raises(Overloaded if dialect is MESSAGES else ServerFault, match="it broke"):
        dialect.pass_relay(envelope).feed(dialect.write_stream_error(Overloaded("it broke"), "r"))
