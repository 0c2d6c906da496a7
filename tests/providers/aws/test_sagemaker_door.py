"""The door to an endpoint: what is sent, what is taken off a stream, and what its refusals mean and say."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimaran.errors import (
    AttemptError,
    ContextTooLong,
    CredentialRejected,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
    TargetNotFound,
)
from trimaran.providers.aws.sagemaker import PartsUnwrapper, SageMakerDoor
from trimaran.providers.doors import door_of
from trimaran.testing.event_stream import event, exception
from trimaran.types import Target
from trimaran.wire import DIALECTS

ALL = ("openai.chat", "huggingface.generate", "kserve.v2", "sagemaker.invocations")


def target(**facts: str) -> Target:
    return Target(
        "sagemaker/my-llama",
        "sagemaker",
        "my-llama",
        ALL,
        "http://t",
        region="eu-west-1",
        door="sagemaker",
        facts=facts,
    )


def door(dialect: str = "openai.chat", **facts: str) -> SageMakerDoor:
    found = door_of(target(**facts), dialect)
    assert isinstance(found, SageMakerDoor)
    return found


@pytest.mark.parametrize("dialect", ALL)
def test_paths(dialect: str) -> None:
    assert door(dialect).path(False) == b"/endpoints/my-llama/invocations"
    assert door(dialect).path(True) == b"/endpoints/my-llama/invocations-response-stream"
    assert door(dialect, endpoint="shared").path(False) == b"/endpoints/shared/invocations"


def test_what_the_configuration_fixes_travels_as_header_lines() -> None:
    lines = door(inference_component="c-1", variant="blue", target_model="a/b.tar.gz").lines(True)
    assert lines == (
        b"x-amzn-sagemaker-inference-component: c-1\r\nx-amzn-sagemaker-target-variant: blue\r\n"
        b"x-amzn-sagemaker-target-model: a/b.tar.gz\r\n"
    )
    assert door().lines(True) == b""
    assert door("kserve.v2").lines(False) == b"accept: application/json\r\n"


def test_it_is_not_the_clients_to_choose() -> None:
    theirs = b"content-type: text/csv\r\nx-amzn-sagemaker-target-variant: green\r\nx-amzn-sagemaker-session-id: s\r\n"
    raw = door("sagemaker.invocations", variant="blue")
    assert raw.content_type == b""
    body = b"1,2"
    sent, forwarded = raw.request(body, False, theirs)
    assert sent is body
    assert forwarded == b"content-type: text/csv\r\nx-amzn-sagemaker-session-id: s\r\n"
    assert door("sagemaker.invocations").request(body, False, theirs)[1] is theirs


@pytest.mark.parametrize(
    ("body", "named", "without"),
    [
        (b'{"model":"my-llama","a":[1, 2.50]}', b'{"model":"llm","a":[1, 2.50]}', b'{"a":[1, 2.50]}'),
        (b'{"a": 1, "model": "my-llama"}', b'{"a": 1, "model": "llm"}', b'{"a":1}'),
        (b'{"a":1}', b'{"a":1}', b'{"a":1}'),
    ],
)
def test_the_body_names_the_containers_model_or_none(body: bytes, named: bytes, without: bytes) -> None:
    assert door(served_model="llm").request(body, False, b"")[0] == named
    assert door().request(body, False, b"")[0] == without
    assert door("huggingface.generate").request(body, False, b"")[0] is body


def part(payload: bytes) -> bytes:
    return event("PayloadPart", payload, content_type="application/octet-stream")


def unwrapped(stream: bytes, places: list[int], *, lines: bool = True) -> bytes:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    unwrapper = PartsUnwrapper("openai.chat", lines=lines)
    return b"".join(unwrapper.feed(stream[a:b]) for a, b in itertools.pairwise(edges)) + unwrapper.finish()


EVENTS = b'data: {"a":1}\n\ndata: {"b":"\xc3\xbc"}\n\ndata: [DONE]\n\n'
LINES = b'{"a":1}\n\n{"finish_reason": "eos_token"}\n'
cuts = st.lists(st.integers(0, 10_000), max_size=6)


@settings(max_examples=60)
@given(cuts, cuts)
def test_a_stream_is_the_containers_however_it_was_cut(outer: list[int], inner: list[int]) -> None:
    for content, expected in (
        (EVENTS, EVENTS),
        (LINES, b'data: {"a":1}\n\ndata: {"finish_reason": "stop"}\n\n'),
    ):
        edges = [0, *sorted(place % (len(content) + 1) for place in inner), len(content)]
        stream = b"".join(part(content[a:b]) for a, b in itertools.pairwise(edges))
        assert unwrapped(stream, outer) == expected
        assert unwrapped(stream, outer, lines=False) == content


def test_the_rest_of_a_line_counts() -> None:
    assert unwrapped(part(b'{"a":1}'), []) == b'data: {"a":1}\n\n'
    assert unwrapped(part(b""), []) == b""
    with pytest.raises(StreamCut, match="middle of a line"):
        unwrapped(part(b'{"a":1}\n{"a'), [])


@pytest.mark.parametrize(("reason", "whole"), [("null", False), ('"eos_token"', True)])
def test_lines_without_a_finish_reason_are_no_whole_answer(reason: str, whole: bool) -> None:
    line = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"l","choices":[{"index":0,"delta":{"content":"a"},'
    chat: Any = DIALECTS["openai.chat"]
    envelope = chat.read(b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}')
    relay = chat.pass_relay(envelope)
    relay.feed(unwrapped(part(f'{line}"finish_reason":{reason}}}]}}\n'.encode()), []))
    if whole:
        assert relay.finish() == b"data: [DONE]\n\n"
    else:
        with pytest.raises(StreamCut):
            relay.finish()


def test_a_line_with_a_code_is_the_containers_error() -> None:
    with pytest.raises(ServerFault, match=r"the container broke off its stream \(424\): CUDA OOM"):
        unwrapped(part(b'{"message":"CUDA OOM","type":"X","code":424}\n'), [])


def test_a_stream_that_is_cut_or_no_stream() -> None:
    unwrapper = PartsUnwrapper("openai.chat", lines=True)
    unwrapper.feed(part(b"data: x")[:-2])
    with pytest.raises(StreamCut):
        unwrapper.finish()
    with pytest.raises(MalformedAnswer, match="checksum"):
        PartsUnwrapper("openai.chat", lines=True).feed(b"data: this is no event stream at all\n\n")
    with pytest.raises(MalformedAnswer, match="no JSON object"):
        PartsUnwrapper("openai.chat", lines=True).feed(part(b'{"a":1}\noops\n'))


@pytest.mark.parametrize("name", ["ModelStreamError", "InternalStreamFailure", "somethingNew"])
def test_exceptions_in_a_stream(name: str) -> None:
    unwrapper = PartsUnwrapper("openai.chat", lines=True)
    with pytest.raises(ServerFault, match="it ran out"):
        unwrapper.feed(part(b"data: x\n\n") + exception(name, b'{"Message":"it ran out"}'))


def test_raw_streams_and_lmis_words() -> None:
    assert door("sagemaker.invocations").unwrap() is None
    assert door("huggingface.generate").unwrap() is not None
    answer = (
        b'{"choices":[{"message":{"content":"say \\"finish_reason\\": \\"eos_token\\""},"finish_reason":"eos_token"}]}'
    )
    assert door().answer({}, answer) == answer.replace(b'"finish_reason":"eos_token"', b'"finish_reason":"stop"')
    assert door("sagemaker.invocations").answer({}, answer) is answer


def refusal(
    kind: str, status: int, words: str, dialect: str = "openai.chat", facts: dict[str, str] | None = None, **more: Any
) -> AttemptError:
    headers = (
        {b"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazonaws.sagemaker/".encode()}
        if kind
        else {}
    )
    found = door(dialect, **(facts or {})).refusal(status, headers, json.dumps({"Message": words} | more).encode())
    assert found is not None
    return found


DESCRIBE = "aws sagemaker describe-endpoint --endpoint-name my-llama --region eu-west-1"


@pytest.mark.parametrize(
    ("kind", "status", "words", "error", "mend"),
    [
        ("ValidationError", 400, "Endpoint my-llama of account 123456789012 not found.", TargetNotFound, "list-endpoints"),
        ("ValidationError", 400, "Could not find variant with name blue", TargetNotFound, "list-endpoints"),
        ("ValidationError", 400, "Inference Component Name header is required for endpoints to which", TargetNotFound,
         "write providers.sagemaker.endpoints.my-llama.inference_component"),
        ("ValidationError", 400, "Inference Component Name header is not allowed for endpoints", TargetNotFound,
         "remove providers.sagemaker.endpoints.my-llama.inference_component"),
        ("ValidationError", 400, "Inference Component has no capacity to process this request.", Overloaded,
         "describe-inference-component --inference-component-name c-1 --region eu-west-1"),
        ("ValidationError", 400, "The endpoint is not in service", Overloaded, DESCRIBE),
        ("ValidationError", 400, "something else", TargetNotFound, DESCRIBE),
        ("ValidationError", 400, "1 validation error: Value at 'body' must have length less than or equal to 6291456", Rejected, ""),
        ("", 413, "", Rejected, ""),
        ("ThrottlingException", 400, "Rate exceeded", RateLimited, "service-quotas"),
        ("ModelNotReadyException", 429, "Model is not ready", Overloaded, DESCRIBE),
        ("ServiceUnavailable", 503, "busy", Overloaded, DESCRIBE),
        ("InternalDependencyException", 530, "x", ServerFault, ""),
        ("InternalFailure", 500, "x", ServerFault, ""),
        ("", 502, "", ServerFault, ""),
    ],
)  # fmt: skip
def test_what_the_service_refuses(kind: str, status: int, words: str, error: type[AttemptError], mend: str) -> None:
    found = refusal(kind, status, words, facts={"inference_component": "c-1"})
    assert type(found) is error
    assert mend in found.message
    assert found.upstream_status == (413 if error is Rejected else status)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sagemaker:InvokeEndpoint on resource: y",
        ),
        ("ExpiredTokenException", "The security token included in the request is expired"),
        ("InvalidSignatureException", "Signature expired: 20261130T000000Z is now earlier than 20261130T000500Z"),
        ("UnrecognizedClientException", "The security token included in the request is invalid."),
    ],
)
def test_a_credential_that_is_refused(kind: str, words: str) -> None:
    found = refusal(kind, 403, words)
    assert type(found) is CredentialRejected
    assert "123456789012" not in found.message


def container(status: int, said: str, dialect: str = "openai.chat", **more: Any) -> AttemptError:
    told = {"OriginalStatusCode": status, "OriginalMessage": said, "LogStreamArn": "arn:aws:logs:x"} | more
    return refusal("ModelError", 424, f"Received server error ({status})", dialect, **told)


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (400, '{"error":{"message":"bad tools","type":"BadRequestError","code":400}}', Rejected),
        (400, '{"object":"error","message":"maximum context length is 8192","code":400}', ContextTooLong),
        (422, "plain words", Rejected),
        (429, '{"error":{"message":"slowly"}}', RateLimited),
        (503, "busy", Overloaded),
        (500, '{"error":{"message":"CUDA"}}', ServerFault),
        (424, '{"error":"unknown","code":424}', ServerFault),
        (404, "no /invocations", TargetNotFound),
        (401, "who are you", TargetNotFound),
        (0, "", ServerFault),
    ],
)
def test_what_the_container_refuses(status: int, said: str, error: type[AttemptError]) -> None:
    found = container(status, said)
    assert type(found) is error
    assert found.upstream_status == (status or 424) or error is TargetNotFound
    log = "aws logs tail /aws/sagemaker/Endpoints/my-llama --since 10m --region eu-west-1"
    # A client is told what is wrong with its request, an operator where to look.
    assert (log in found.message) == (not isinstance(found, Rejected))
    assert not said or said.startswith("{") or said in found.message


def test_a_client_of_the_containers_dialect_gets_its_own_words() -> None:
    said = '{"error":{"message":"bad tools","type":"BadRequestError","code":400}}'
    error = container(400, said)
    assert DIALECTS["openai.chat"].write_error(error, "r") == said.encode()
    assert error.message == "bad tools"


def test_tgis_words_are_read_as_tgis() -> None:
    error = container(422, '{"error":"Input validation error: x","error_type":"validation"}', "huggingface.generate")
    assert type(error) is Rejected
    assert type(container(424, '{"error":"x","error_type":"generation"}', "huggingface.generate")) is ServerFault


def test_a_raw_client_gets_the_services_own_form() -> None:
    raw = DIALECTS["sagemaker.invocations"]
    for status in (400, 500):
        error = container(status, "no", "sagemaker.invocations")
        assert raw.error_status(error) == 424
        assert raw.error_head(error) == b"x-amzn-errortype: ModelError\r\n"
        assert json.loads(raw.write_error(error, "r"))["OriginalStatusCode"] == status


def test_a_container_that_was_too_slow() -> None:
    words = "Your invocation timed out while waiting for a response from container primary."
    found = refusal("ModelError", 424, words, OriginalStatusCode=400, OriginalMessage="")
    assert type(found) is ServerFault
    assert "timed out" in found.message


def test_who_called_and_in_which_account_is_not_told() -> None:
    words = "Endpoint e of account 123456789012 not found. User: arn:aws:sts::123456789012:assumed-role/ours/i-0 asked."
    for dialect in ("openai.chat", "sagemaker.invocations"):
        body = json.dumps({"Message": words}).encode()
        found = door(dialect).refusal(400, {b"x-amzn-errortype": b"ValidationError"}, body)
        assert found is not None
        assert "Endpoint e not found. User: the caller asked" in found.message
        assert b"123456789012" not in found.body


def test_retry_after_is_kept() -> None:
    found = door().refusal(503, {b"x-amzn-errortype": b"ServiceUnavailable", b"retry-after": b"7"}, b"{}")
    assert found is not None
    assert found.retry_after_s == 7
