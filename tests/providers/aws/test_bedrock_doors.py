"""Bedrock's doors. The judges are Anthropic's own client for Bedrock (what it sends, and how it reads the event stream) and
a simulated Bedrock that is as strict as AWS."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimaran.errors import (
    AttemptError,
    CredentialRejected,
    MalformedAnswer,
    RateLimited,
    Rejected,
    StreamCut,
    TargetNotFound,
    UnsupportedFeature,
)
from trimaran.providers.aws.bedrock import BedrockCount, BedrockDoor, BedrockMessages, bedrock_door
from trimaran.providers.aws.bedrock_target import CONVERSE, bedrock_target
from trimaran.providers.doors import door_of
from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS
from trimaran.wire.aws_failures import aws_error
from trimaran.wire.event_stream import event, exception
from trimaran.wire.sse import SSE

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
PROFILE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MESSAGES = DIALECTS["anthropic.messages"]


def target(upstream: str = PROFILE, dialects: tuple[str, ...] = ("anthropic.messages",)) -> Target:
    return Target(
        f"bedrock/{upstream}", "bedrock", upstream, dialects, "https://bedrock-runtime.us-east-1.amazonaws.com",
        door="bedrock", kind="bedrock", region="us-east-1",
    )  # fmt: skip


def messages(upstream: str = PROFILE) -> BedrockMessages:
    door = door_of(target(upstream), "anthropic.messages")
    assert isinstance(door, BedrockMessages)
    return door


def body(**more: Any) -> bytes:
    asked = {"model": PROFILE, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}], **more}
    return json.dumps(asked, separators=(",", ":")).encode()


# Requests

_names = st.sampled_from(
    ["system", "temperature", "top_k", "metadata", "tools", "stop_sequences", "thinking", "über", 'a"b']
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(_names, _values, max_size=6), st.booleans(), st.booleans())
def test_a_request_becomes_what_anthropics_own_client_sends(more: dict[str, Any], stream: bool, compact: bool) -> None:
    from anthropic._models import FinalRequestOptions
    from anthropic.lib.bedrock._client import _prepare_options

    asked = {
        "model": PROFILE,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": stream,
        **more,
    }
    written = json.dumps(asked, separators=(",", ":") if compact else None, ensure_ascii=compact).encode()
    options = FinalRequestOptions(method="post", url="/v1/messages", json_data=dict(asked))
    theirs = _prepare_options(options, {})
    ours, forwarded = messages().request(written, stream, b"")
    assert json.loads(ours) == theirs.json_data | {"anthropic_version": "bedrock-2023-05-31"}
    assert forwarded == b""
    # Theirs leaves the colon of a version as it is; boto3 encodes it, and AWS takes both.
    assert messages().path(stream).decode() == theirs.url.replace(":", "%3A")


def test_values_keep_their_bytes() -> None:
    written = (
        b'{"model": "x", "messages":[ {"role":"user","content":"\\u00e9 1.0e2"} ], "temperature":1.00, "max_tokens":5}'
    )
    out, _ = messages().request(written, False, b"")
    assert b'[ {"role":"user","content":"\\u00e9 1.0e2"} ]' in out
    assert b'"temperature":1.00' in out


def test_beta_flags_move_into_the_body_and_anthropics_lines_go() -> None:
    forwarded = (
        b"anthropic-version: 2023-06-01\r\nanthropic-beta: context-1m-2025-08-07, claude-code-20250219\r\n"
        b"traceparent: 00-ab-cd-01\r\nanthropic-beta: effort-2025-11-24\r\n"
    )
    out, lines = messages().request(body(), False, forwarded)
    assert json.loads(out)["anthropic_beta"] == ["context-1m-2025-08-07", "effort-2025-11-24"]
    assert lines == b"traceparent: 00-ab-cd-01\r\n"
    out, _ = messages().request(body(), False, b"anthropic-beta: claude-code-20250219\r\n")
    assert "anthropic_beta" not in json.loads(out)


@pytest.mark.parametrize(("tier", "kept"), [("auto", False), ("standard_only", False), (None, False), ("flex", True)])
def test_a_tier_that_is_the_standard_one_goes_and_another_stays_to_be_refused(tier: str | None, kept: bool) -> None:
    out, _ = messages().request(body(service_tier=tier), False, b"")
    assert ("service_tier" in json.loads(out)) == kept


def test_an_arn_is_encoded_in_the_path() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"
    expected = b"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabcdefghijkl/"
    assert messages(arn).path(False) == expected + b"invoke"
    assert messages(arn).path(True) == expected + b"invoke-with-response-stream"


# Streams


def chunk(document: dict[str, Any] | bytes) -> bytes:
    written = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return event("chunk", json.dumps({"bytes": base64.b64encode(written).decode(), "p": "abc"}).encode())


METRICS = {"inputTokenCount": 9, "outputTokenCount": 3, "invocationLatency": 100, "firstByteLatency": 50}
DOCUMENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé \n llo"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
]  # fmt: skip


def unwrapped(data: bytes, size: int = 7) -> bytes:
    unwrapper = messages().unwrap()
    assert unwrapper is not None
    out = b"".join(unwrapper.feed(data[at : at + size]) for at in range(0, len(data), size))
    return out + unwrapper.finish()


def events(out: bytes) -> list[tuple[bytes, Any]]:
    framer = SSE.framer()
    return [(name, json.loads(data or b"null")) for name, data in map(SSE.parse, framer.push(out))]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_becomes_anthropics_own_events(size: int) -> None:
    out = events(unwrapped(b"".join(map(chunk, DOCUMENTS)), size))
    assert [name.decode() for name, _ in out] == [document["type"] for document in DOCUMENTS]
    assert [data for _, data in out] == [*DOCUMENTS[:-1], {"type": "message_stop"}]


def test_anthropics_own_client_reads_the_same_events() -> None:
    from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder

    data = b"".join(map(chunk, DOCUMENTS))
    theirs = [(sse.event, json.loads(sse.data)) for sse in AWSEventStreamDecoder().iter_bytes(iter([data]))]
    for _, document in theirs:
        document.pop("amazon-bedrock-invocationMetrics", None)
    assert [(name.decode(), document) for name, document in events(unwrapped(data))] == theirs


def test_the_relay_takes_it_for_a_whole_answer() -> None:
    envelope = MESSAGES.read(body(stream=True))
    relay = MESSAGES.pass_relay(envelope)  # type: ignore[attr-defined]
    out = relay.feed(unwrapped(b"".join(map(chunk, DOCUMENTS)))) + relay.finish()
    assert relay.complete
    assert relay.usage == Usage(9, 3)
    assert relay.finish_reason == "stop"
    assert b"amazon-bedrock" not in out


def test_a_document_on_several_lines_is_still_one_event() -> None:
    out = unwrapped(chunk(b'{\n  "type": "ping"\r\n}'))
    assert events(out) == [(b"ping", {"type": "ping"})]


def test_an_exception_in_a_stream_is_the_error_that_it_names() -> None:
    data = chunk(DOCUMENTS[0]) + exception("throttlingException", b'{"message":"Too many tokens, please wait."}')
    with pytest.raises(RateLimited, match="Too many tokens"):
        unwrapped(data, 100_000)


def test_an_event_of_a_kind_that_is_not_known_is_passed_over() -> None:
    assert (
        unwrapped(event("somethingNew", b'{"a":1}') + chunk({"type": "ping"}))
        == b'event: ping\ndata: {"type":"ping"}\n\n'
    )


@pytest.mark.parametrize(
    "data",
    [
        event("chunk", b'{"bytes":"!!!"}'),
        event("chunk", b"{}"),
        event("chunk", b"nonsense"),
        chunk(b"[1]"),
        chunk(b"not json"),
        chunk({"no": "type"}),
        chunk({"type": "a\nb"}),
        b"\x00" * 64,
    ],
)
def test_what_is_no_event_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        unwrapped(data, 100_000)


def test_a_stream_that_ends_inside_a_message_is_cut() -> None:
    with pytest.raises(StreamCut):
        unwrapped(chunk(DOCUMENTS[0])[:-1])


@given(st.binary(max_size=300))
def test_any_bytes_are_events_or_an_error_of_ours(data: bytes) -> None:
    with suppress(AttemptError):
        unwrapped(chunk(data) + data, 50)


# Refusals and counts


@pytest.mark.parametrize("dialect", ["anthropic.messages", "bedrock.llama", "bedrock.mistral"])
def test_retry_after_of_an_invocation_is_kept(dialect: str) -> None:
    told = {b"x-amzn-errortype": b"ThrottlingException", b"retry-after": b"4"}
    said = b'{"message":"Too many tokens"}'
    error = door_of(target(dialects=(dialect,)), dialect).refusal(429, told, said)
    if error is None:
        error = DIALECTS[dialect].read_error(429, b"4", "application/json", said, error_type="ThrottlingException")
    assert (type(error), error.retry_after_s) == (RateLimited, 4)


@pytest.mark.parametrize(
    "words",
    [
        "User: arn:aws:sts::123456789012:assumed-role/ours/i-0abc is not authorized to perform: aws-marketplace:Subscribe",
        "Model access is denied due to IAM user or service role arn:aws:iam::123456789012:role/ours is not authorized",
        "KMS key arn:aws:kms:us-east-1:123456789012:key/abc is disabled",
    ],
)
def test_who_called_and_in_which_account_is_not_told(words: str) -> None:
    error = aws_error("ValidationException", json.dumps({"message": words}).encode(), 400, dialect="bedrock.converse")
    for said in (error.message, error.body.decode()):
        assert "123456789012" not in said and "ours" not in said


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("The provisioned model is in status Creating.", "get-provisioned-model-throughput"),
        ("KMS key arn:aws:kms:us-east-1:123456789012:key/abc is disabled", "aws kms describe-key"),
    ],
)
def test_what_is_wrong_with_the_operators_own_is_no_fault_of_the_request(words: str, mend: str) -> None:
    error = aws_error("ValidationException", json.dumps({"message": words}).encode(), 400)
    assert type(error) is TargetNotFound
    assert mend in error.message
    assert type(aws_error("ValidationException", b'{"message":"maxTokens is too large"}', 400)) is Rejected


@pytest.mark.parametrize(
    ("header", "told", "tier"),
    [(b"priority", "", "priority"), (b"default", "", "standard"), (b"flex", "standard", "flex"), (None, "flex", "flex"),
     (b"default", "optimized", "optimized")],
)  # fmt: skip
def test_the_tier_that_answered_stands_in_a_header(header: bytes | None, told: str, tier: str) -> None:
    headers = {} if header is None else {b"x-amzn-bedrock-service-tier": header}
    assert messages().tier(headers, told) == tier


def test_a_refusal_is_read_as_bedrock_means_it() -> None:
    words = f"Invocation of model ID {HAIKU} with on-demand throughput isn\u2019t supported."
    error = messages().refusal(
        400, {b"x-amzn-errortype": b"ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"},
        json.dumps({"message": words}).encode(),
    )  # fmt: skip
    assert isinstance(error, TargetNotFound)
    assert "list-inference-profiles" in error.message
    error = messages().refusal(403, {b"x-amzn-errortype": b"UnrecognizedClientException"}, b'{"message":"no"}')
    assert isinstance(error, CredentialRejected)


def test_tokens_in_header_lines_count_where_the_body_tells_none() -> None:
    headers = {
        b"x-amzn-bedrock-input-token-count": b"10", b"x-amzn-bedrock-output-token-count": b"5",
        b"x-amzn-bedrock-cache-read-input-token-count": b"4", b"x-amzn-bedrock-cache-write-input-token-count": b"2",
    }  # fmt: skip
    door = door_of(target("meta.llama3-8b-instruct-v1:0", ("bedrock.llama",)), "bedrock.llama")
    assert type(door) is BedrockDoor
    assert door.usage(headers, None) == Usage(16, 5, cached_read_tokens=4, cache_write_tokens=2)
    assert door.usage(headers, Usage(1, 1)) == Usage(1, 1)
    assert door.usage({}, None) is None
    assert door.usage({b"x-amzn-bedrock-input-token-count": b"9" * 30}, None) is None


def test_tokens_that_only_header_lines_tell_reach_the_client() -> None:
    door = door_of(target("mistral.mistral-7b-instruct-v0:2", ("bedrock.mistral",)), "bedrock.mistral")
    dialect = DIALECTS["bedrock.mistral"]
    headers = {b"x-amzn-bedrock-input-token-count": b"10", b"x-amzn-bedrock-output-token-count": b"5"}
    told = door.answer(headers, b'{"outputs":[{"text":"Hi","stop_reason":"stop"}]}\n')
    assert dialect.inspect(told) == (Usage(10, 5), "stop", "")
    for body in (b"", b"[]", b"{}", b'{"outputs":[]}'):
        assert door.answer({}, body) is body
        json.loads(door.answer(headers, body) or b"0")


def test_a_count_asks_for_the_foundation_model_with_claudes_body_inside() -> None:
    made = bedrock_target(target("*", CONVERSE), PROFILE)
    door = door_of(made, "anthropic.count_tokens")
    assert isinstance(door, BedrockCount)
    assert door.path(False) == b"/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"
    written = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    out, _ = door.request(written, False, b"anthropic-version: 2023-06-01\r\n")
    inner = json.loads(base64.b64decode(json.loads(out)["input"]["invokeModel"]["body"]))
    assert inner == {
        "anthropic_version": "bedrock-2023-05-31", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 64000,
    }  # fmt: skip
    assert DIALECTS["anthropic.count_tokens"].inspect(door.answer({}, b'{"inputTokens":12}')) == (None, "", "")
    with pytest.raises(MalformedAnswer):
        door.answer({}, b'{"tokens":12}')


# The simulated Bedrock


@pytest.fixture(scope="module")
def bedrock() -> Iterator[SimulatedProvider]:
    with SimulatedProvider(Behaviour()).in_thread() as provider:
        yield provider


def ask(provider: SimulatedProvider, path: bytes, sent: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    headers = {"content-type": "application/json", "authorization": "Bearer key"}
    with closing(http.client.HTTPConnection(provider.host, provider.port, timeout=10)) as connection:
        connection.request("POST", path.decode(), sent, headers)
        answer = connection.getresponse()
        found = {name.lower().encode(): value.encode() for name, value in answer.getheaders()}
        return answer.status, found, answer.read()


def test_a_whole_answer_through_invoke_is_one_of_anthropics(bedrock: SimulatedProvider) -> None:
    door = messages(HAIKU)
    sent, _ = door.request(body(service_tier="auto"), False, b"anthropic-beta: effort-2025-11-24\r\n")
    status, headers, answer = ask(bedrock, door.path(False), sent)
    assert status == 200, answer
    usage, reason, _ = MESSAGES.inspect(door.answer(headers, answer))
    assert reason == "stop"
    assert usage is not None
    assert usage.output_tokens > 0
    assert door.usage(headers, None) == usage


def test_a_stream_through_invoke_is_one_of_anthropics(bedrock: SimulatedProvider) -> None:
    door = messages(HAIKU)
    sent, _ = door.request(body(stream=True), True, b"")
    status, _, answer = ask(bedrock, door.path(True), sent)
    assert status == 200
    relay = MESSAGES.pass_relay(MESSAGES.read(body(stream=True)))  # type: ignore[attr-defined]
    relay.feed(unwrapped(answer))
    relay.finish()
    assert relay.complete
    assert relay.usage is not None
    assert relay.finish_reason == "stop"


def test_without_the_door_bedrock_refuses_the_body(bedrock: SimulatedProvider) -> None:
    door = messages(HAIKU)
    status, headers, answer = ask(bedrock, door.path(False), body())
    assert status == 400
    error = door.refusal(status, headers, answer)
    assert error is not None
    assert "model" in error.message


def test_a_count_is_anthropics(bedrock: SimulatedProvider) -> None:
    door = bedrock_door(target(HAIKU, ("anthropic.count_tokens",)), DIALECTS["anthropic.count_tokens"])
    sent, _ = door.request(body(), False, b"")
    status, headers, answer = ask(bedrock, door.path(False), sent)
    assert status == 200, answer
    assert json.loads(door.answer(headers, answer))["input_tokens"] > 0


def test_a_model_that_needs_a_profile_says_so(bedrock: SimulatedProvider) -> None:
    door = messages("anthropic.claude-sonnet-4-5-20250929-v1:0")
    sent, _ = door.request(body(), False, b"")
    status, headers, answer = ask(bedrock, door.path(False), sent)
    assert isinstance(door.refusal(status, headers, answer), TargetNotFound)


@pytest.mark.parametrize(
    ("member", "value", "idle"),
    [
        ("mcp_servers", [{"type": "url", "url": "https://x.example", "name": "x"}], []),
        ("container", "c_1", None),
        ("speed", "fast", "standard"),
        ("inference_geo", "us", "global"),
        ("service_tier", "priority", "auto"),
    ],
)
def test_what_bedrock_lacks_is_refused_by_name_and_what_asks_for_nothing_is_dropped(
    member: str, value: object, idle: object
) -> None:
    asked = messages()
    with pytest.raises(UnsupportedFeature, match=member) as told:
        asked.admit(MESSAGES.read(body(**{member: value})), b"")
    assert told.value.field == member
    envelope = MESSAGES.read(body(**{member: idle}))
    assert asked.admit(envelope, b"") == []
    assert member not in json.loads(asked.request(envelope.body, False, b"")[0])


def test_tools_that_bedrock_does_not_run_are_refused_by_their_type() -> None:
    asked = messages()
    search = {"type": "web_search_20250305", "name": "web_search"}
    shell = {"type": "bash_20250124", "name": "bash"}
    with pytest.raises(UnsupportedFeature, match="web_search_20250305"):
        asked.admit(MESSAGES.read(body(tools=[shell, search])), b"")
    assert asked.admit(MESSAGES.read(body(tools=[shell])), b"") == []


def test_flags_that_bedrock_does_not_take_are_told() -> None:
    asked = messages()
    envelope = MESSAGES.read(body())
    left = asked.admit(envelope, b"anthropic-beta: context-1m-2025-08-07,unheard-of-2026\r\n")
    assert left == ["anthropic-beta: unheard-of-2026"]
