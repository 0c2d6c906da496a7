"""How Vertex AI is asked: paths, bodies and header lines of each door; what its refusals mean for a target."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, CredentialRejected, RateLimited, TargetNotFound, UnsupportedFeature
from trimaran.providers import door_of, kind_of
from trimaran.providers.door import Door
from trimaran.providers.google.vertex_refusals import vertex_refusal
from trimaran.types import Target
from trimaran.wire import DIALECTS

TEMPLATE = Target(
    "vertex/*",
    "vertex",
    "*",
    ("gemini.generate",),
    "https://us-east5-aiplatform.googleapis.com",
    kind="vertex",
    door="vertex",
    facts={"project": "my-project-1", "location": "us-east5"},
)
ROOT = "/v1/projects/my-project-1/locations/us-east5"


def target(name: str) -> Target:
    return kind_of("vertex").target(TEMPLATE, name, None)


def door(name: str, dialect: str = "") -> Door:
    made = target(name)
    return door_of(made, dialect or made.dialects[0])


@pytest.mark.parametrize(
    ("name", "dialect", "whole", "streamed"),
    [
        (
            "gemini-2.5-flash",
            "gemini.generate",
            "/publishers/google/models/gemini-2.5-flash:generateContent",
            "/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        (
            "google/gemini-2.5-flash",
            "gemini.count_tokens",
            "/publishers/google/models/gemini-2.5-flash:countTokens",
            "",
        ),
        (
            "claude-sonnet-4-5@20250929",
            "anthropic.messages",
            "/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict",
            "/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
        ),
        ("claude-opus-4-6", "anthropic.count_tokens", "/publishers/anthropic/models/count-tokens:rawPredict", ""),
        (
            "llama-3.3-70b-instruct-maas",
            "openai.chat",
            "/endpoints/openapi/chat/completions",
            "/endpoints/openapi/chat/completions",
        ),
        (
            "mistral-small-2503",
            "openai.chat",
            "/publishers/mistralai/models/mistral-small-2503:rawPredict",
            "/publishers/mistralai/models/mistral-small-2503:streamRawPredict",
        ),
        ("endpoints/123", "openai.chat", "/endpoints/123:rawPredict", "/endpoints/123:streamRawPredict"),
    ],
)
def test_paths(name: str, dialect: str, whole: str, streamed: str) -> None:
    made = door(name, dialect)
    assert made.path(False).decode() == ROOT + whole
    if streamed:
        assert made.path(True).decode() == ROOT + streamed


def test_an_open_model_is_named_with_its_publisher_and_mistrals_without() -> None:
    assert target("llama-3.3-70b-instruct-maas").upstream_model == "meta/llama-3.3-70b-instruct-maas"
    assert target("deepseek-ai/deepseek-v3.1-maas").upstream_model == "deepseek-ai/deepseek-v3.1-maas"
    body = b'{"model":"mistralai/mistral-large@2407","messages":[]}'
    assert door("mistral-large@2407").request(body, False, b"")[0] == b'{"model":"mistral-large","messages":[]}'


def test_claudes_body_loses_its_model_and_gains_a_version() -> None:
    made = door("claude-opus-4-6")
    body = b'{"model": "x", "max_tokens": 5, "messages": [{"role":"user","content":"\xc3\xa9"}], "stream": true}'
    forwarded = b"anthropic-version: 2023-06-01\r\nanthropic-beta: context-1m-2025-08-07,files-api-2025-04-14\r\n"
    sent, lines = made.request(body, True, forwarded)
    assert sent == (
        b'{"anthropic_version":"vertex-2023-10-16","max_tokens":5,"messages":[{"role":"user","content":"\xc3\xa9"}],"stream":true}'
    )
    assert lines == b"anthropic-beta: context-1m-2025-08-07\r\n"
    envelope = DIALECTS["anthropic.messages"].read(body)
    assert made.admit(envelope, forwarded) == ["anthropic-beta: files-api-2025-04-14"]


def test_the_counting_of_claude_names_the_model_and_knows_fewer_flags() -> None:
    made = door("claude-opus-4-6", "anthropic.count_tokens")
    sent, lines = made.request(b'{"model":"x","messages":[]}', False, b"anthropic-beta: web-search-2025-03-05\r\n")
    assert msgspec.json.decode(sent) == {"anthropic_version": "vertex-2023-10-16", "model": "x", "messages": []}
    assert lines == b""


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (b'"mcp_servers":[{}]', "MCP connector"),
        (b'"container":"c"', "no code"),
        (b'"speed":"fast"', "fast mode"),
        (b'"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]', "fetches no web pages"),
    ],
)
def test_what_vertex_lacks_is_refused_by_name(member: bytes, why: str) -> None:
    body = b'{"model":"claude-opus-4-6","max_tokens":5,"messages":[{"role":"user","content":"x"}],%b}' % member
    with pytest.raises(UnsupportedFeature, match=why):
        door("claude-opus-4-6").admit(DIALECTS["anthropic.messages"].read(body), b"")


def test_what_asks_for_nothing_is_left_out() -> None:
    body = b'{"model":"x","max_tokens":5,"messages":[],"service_tier":"auto","speed":"standard","container":null}'
    sent, _ = door("claude-opus-4-6").request(body, False, b"")
    assert msgspec.json.decode(sent) == {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "messages": []}


_NAMES = st.text(st.characters(codec="utf-8"), max_size=12).filter(
    lambda name: name not in ("model", "anthropic_version")
)
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.lists(st.integers(), max_size=3))


@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_members_pass_as_they_are(fields: dict[str, object]) -> None:
    fields = {name: value for name, value in fields.items() if name not in ("service_tier", "speed", "container")}
    body = msgspec.json.encode({"model": "x", **fields})
    sent, _ = door("claude-opus-4-6").request(body, False, b"")
    assert msgspec.json.decode(sent) == {"anthropic_version": "vertex-2023-10-16", **fields}


def test_a_whole_request_is_counted_by_its_parts() -> None:
    body = b'{"generateContentRequest":{"model":"models/x","contents":[1],"systemInstruction":2,"cachedContent":"c"}}'
    sent, _ = door("gemini-2.5-flash", "gemini.count_tokens").request(body, False, b"")
    assert msgspec.json.decode(sent) == {"contents": [1], "systemInstruction": 2}
    plain = b'{"contents":[1]}'
    assert door("gemini-2.5-flash", "gemini.count_tokens").request(plain, False, b"")[0] is plain


# Refusals


def refused(
    name: str, status: int, message: str, reason: str = "", dialect: str = "gemini.generate", **about: str
) -> AttemptError:
    details = (
        [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": about}] if reason else []
    )
    body = msgspec.json.encode({"error": {"code": status, "message": message, "status": "X", "details": details}})
    error = vertex_refusal(target(name), dialect, status, {}, body)
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("message", "reason", "about", "mend"),
    [
        (
            "Permission 'aiplatform.endpoints.predict' denied on resource",
            "IAM_PERMISSION_DENIED",
            {},
            "roles/aiplatform.user",
        ),
        ("disabled", "SERVICE_DISABLED", {"service": "aiplatform.googleapis.com"}, "gcloud services enable aiplatform"),
        ("no billing", "BILLING_DISABLED", {}, "gcloud billing projects link my-project-1"),
        ("no", "USER_PROJECT_DENIED", {"consumer": "projects/paying"}, "roles/serviceusage.serviceUsageConsumer"),
        ("scopes", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", {}, "--scopes=cloud-platform"),
        ("Permission denied on resource project x.", "CONSUMER_INVALID", {}, "gcloud projects list"),
        ("Permission denied on 'locations/us-east5' (or it may not exist).", "", {}, "there is no location us-east5"),
    ],
)
def test_a_refusal_of_the_credential_says_what_to_grant(
    message: str, reason: str, about: dict[str, str], mend: str
) -> None:
    error = refused("gemini-2.5-flash", 403, message, reason, **about)
    assert isinstance(error, CredentialRejected)
    assert mend in str(error)


def test_what_is_not_there_is_named() -> None:
    error = refused(
        "claude-opus-4-6", 404, "Publisher Model `projects/…/models/x` was not found", dialect="anthropic.messages"
    )
    assert isinstance(error, TargetNotFound)
    assert "claude-opus-4-6" in str(error) and "us-east5" in str(error) and "Model Garden" in str(error)
    # A client of Anthropic's is not shown Google's words as they are.
    assert error.dialect == ""
    assert "gcloud ai endpoints list" in str(
        refused("endpoints/1", 404, "Endpoint `x` not found.", dialect="openai.chat")
    )
    dedicated = refused(
        "endpoints/1", 400, "Please access it using its dedicated dns name '1.us.vertexai.goog'", dialect="openai.chat"
    )
    assert "dedicated_dns: 1.us.vertexai.goog" in str(dedicated)


def test_a_limit_stays_a_limit_and_anthropics_words_are_its_dialects() -> None:
    assert isinstance(refused("gemini-2.5-flash", 429, "Resource exhausted."), RateLimited)
    own = b'{"type":"error","error":{"type":"invalid_request_error","message":"x"}}'
    assert vertex_refusal(target("claude-opus-4-6"), "anthropic.messages", 400, {}, own) is None
    assert vertex_refusal(target("claude-opus-4-6"), "anthropic.messages", 502, {}, b"<html>") is None


@given(st.binary(max_size=200), st.sampled_from([400, 401, 403, 404, 429, 500, 503]))
def test_no_body_breaks_the_reading(body: bytes, status: int) -> None:
    error = vertex_refusal(target("gemini-2.5-flash"), "gemini.generate", status, {}, body)
    assert error is None or isinstance(error, AttemptError)
