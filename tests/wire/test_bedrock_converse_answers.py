"""Answers of Converse, whole: boto3 reads what is written, and what Bedrock writes is understood. Errors are there too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

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
    ServerFault,
    StreamCut,
    TargetNotFound,
    TrimaranError,
    Unavailable,
    UnknownModel,
)
from trimaran.types import Usage
from trimaran.wire.aws_failures import aws_error
from trimaran.wire.bedrock_converse import BedrockConverse
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import Answer
from trimaran.wire.state import unwrap_state, wrap_state

sys.path.insert(0, str(Path(__file__).parent))
from bedrock_judge import parsed, parsed_error
from conversations import answers, usages

CONVERSE = BedrockConverse()
ORIGIN = CONVERSE.name
HI = b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]%b}'


def answer(*blocks: Any, reason: str = "end_turn", **members: Any) -> bytes:
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    return json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": list(blocks)}},
            "stopReason": reason,
            "usage": usage,
            "metrics": {"latencyMs": 12},
        }
        | members
    ).encode()


# Read


def test_an_answer() -> None:
    body = answer(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
        {"text": "So."},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
        reason="tool_use",
        usage={
            "inputTokens": 3, "outputTokens": 4, "totalTokens": 27, "cacheReadInputTokens": 8, "cacheWriteInputTokens": 12,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 5}, {"ttl": "5m", "inputTokens": 7}],
        },
        serviceTier={"type": "default"},
        trace={"guardrail": {}},
    )  # fmt: skip
    found = CONVERSE.decode_answer(body)
    assert found.parts == [
        Reasoning("hm", "s", ORIGIN),
        Reasoning("", "c2VjcmV0", ORIGIN, hidden=True),
        Text("So."),
        ToolCall("t", "f", '{"a": 1}'),
    ]
    # Cache reads and writes are counted beside the input.
    assert found.usage == Usage(23, 4, 8, 12, 5)
    assert (found.finish_reason, found.service_tier, found.model) == ("tool_calls", "standard", "")
    assert CONVERSE.inspect(body) == (found.usage, "tool_calls", "standard")


def test_an_answer_has_an_id_of_its_own() -> None:
    first, second = answer({"text": "a"}), answer({"text": "b"})
    assert CONVERSE.decode_answer(first).id == CONVERSE.decode_answer(first).id != CONVERSE.decode_answer(second).id


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "context_window"),
        ("later", "later"),
    ],
)
def test_stop_reasons(word: str, reason: str) -> None:
    assert CONVERSE.decode_answer(answer({"text": "a"}, reason=word)).finish_reason == reason


@pytest.mark.parametrize("word", ["malformed_model_output", "malformed_tool_use"])
def test_a_broken_answer_passes_and_is_not_translated(word: str) -> None:
    body = answer({"text": "a"}, reason=word)
    assert CONVERSE.inspect(body)[1] == word
    with pytest.raises(MalformedAnswer, match=word):
        CONVERSE.decode_answer(body)


def test_the_stop_sequence() -> None:
    body = answer({"text": "a"}, reason="stop_sequence", additionalModelResponseFields={"stop_sequence": "END", "x": 1})
    assert CONVERSE.decode_answer(body).stop_sequence == "END"
    for odd in (None, [], {"stop_sequence": 3}, "text"):
        assert CONVERSE.decode_answer(answer({"text": "a"}, additionalModelResponseFields=odd)).stop_sequence is None


def test_latency_that_was_optimised_is_a_tier_of_its_own() -> None:
    assert CONVERSE.inspect(answer({"text": "a"}, performanceConfig={"latency": "optimized"}))[2] == "optimized"
    assert CONVERSE.inspect(answer({"text": "a"}, performanceConfig={"latency": "standard"}))[2] == ""


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"nothing",
        b'{"message":"no"}',
        answer({"citationsContent": {}}),
        answer({"image": {"format": "png"}}),
        answer({"toolUse": {"toolUseId": "a", "name": "f", "input": {}, "type": "server_tool_use"}}),
        answer({}),
        answer({"text": 3}),
        answer("text"),
        answer({"text": "a"}, usage={"inputTokens": 10**13}),
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        CONVERSE.decode_answer(body)


# Written


def normal(given_: Answer) -> Answer:
    """Foreign reasoning is this API's now, with its state in the signature; empty text is nothing; names are lost, and
    kinds of usage that Converse does not tell apart."""
    parts: list[Part] = []
    for part in given_.parts:
        if isinstance(part, Reasoning) and part.origin != ORIGIN:
            part = Reasoning(part.text, wrap_state(part), ORIGIN)
        elif isinstance(part, Refusal):
            part = Text(part.text)
        elif isinstance(part, ToolCall):
            part = ToolCall(part.id, part.name, part.arguments)
        if not (isinstance(part, Text) and not part.text):
            parts.append(part)
    reason = given_.finish_reason
    usage = given_.usage
    assert usage is not None
    usage = msgspec.structs.replace(usage, reasoning_tokens=0)
    return Answer("", "", parts, reason, given_.stop_sequence, usage, service_tier=given_.service_tier)


@given(answers(usage=usages(hour=True)))
def test_answers_come_back_in_their_normal_form(answer: Answer) -> None:
    body = CONVERSE.encode_answer(answer, 0)
    back = CONVERSE.decode_answer(body)
    assert msgspec.structs.replace(back, id="") == normal(answer)
    assert CONVERSE.inspect(body) == (back.usage, back.finish_reason, back.service_tier)


@given(answers(usage=usages(hour=True)))
def test_boto3_reads_it(answer: Answer) -> None:
    body = CONVERSE.encode_answer(answer, 0)
    seen = parsed(body)
    seen.pop("ResponseMetadata")
    raw = json.loads(body)
    for block, written in zip(seen["output"]["message"]["content"], raw["output"]["message"]["content"], strict=True):
        # A blob is bytes there.
        if "redactedContent" in block.get("reasoningContent", {}):
            del block["reasoningContent"], written["reasoningContent"]
    assert seen == raw
    usage = seen["usage"]
    parts = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    assert usage["totalTokens"] == sum(usage[name] for name in parts)


def test_who_asks_is_told_the_stop_sequence() -> None:
    stopped = Answer("i", "m", [Text("a")], "stop_sequence", "END", Usage(1, 1))
    asking = CONVERSE.read(HI % b',"additionalModelResponseFieldPaths":["/stop_sequence"]', b"/model/m/converse")
    silent = CONVERSE.read(HI % b"", b"/model/m/converse")
    told = json.loads(CONVERSE.encode_answer(stopped, 0, asking))
    assert told["additionalModelResponseFields"] == {"stop_sequence": "END"}
    assert "additionalModelResponseFields" not in json.loads(CONVERSE.encode_answer(stopped, 0, silent))


def test_a_cut_call_is_left_out() -> None:
    cut = Answer("i", "m", [Text("a"), ToolCall("t", "f", '{"a":')], "length", usage=Usage(1, 1))
    written = json.loads(CONVERSE.encode_answer(cut, 0))
    assert written["output"]["message"]["content"] == [{"text": "a"}]
    assert written["stopReason"] == "max_tokens"
    with pytest.raises(MalformedAnswer, match="no JSON object"):
        CONVERSE.encode_answer(msgspec.structs.replace(cut, finish_reason="tool_calls"), 0)


def test_reasons_that_a_client_acts_on() -> None:
    def reason(*parts: Part, given_: str = "stop") -> str:
        return json.loads(CONVERSE.encode_answer(Answer("i", "m", list(parts), given_), 0))["stopReason"]

    assert reason(ToolCall("t", "f", "{}")) == "tool_use"
    assert reason(Refusal("no")) == "content_filtered"
    assert reason(Text("a"), given_="context_window") == "model_context_window_exceeded"
    assert reason(Text("a"), given_="pause_turn") == "max_tokens"
    assert reason(Text("a"), given_="whatever") == "end_turn"


def test_hidden_thoughts_of_others_come_back_hidden() -> None:
    hidden = Reasoning("", "enc", "openai.responses", "rs_1", hidden=True)
    body = json.loads(CONVERSE.encode_answer(Answer("i", "m", [hidden], "stop"), 0))
    said = body["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]
    assert unwrap_state(said["signature"], said["text"]) == hidden


# Errors that clients get

ERRORS: list[tuple[TrimaranError, str, int]] = [
    (InvalidRequest("no", field="a"), "ValidationException", 400),
    (BodyTooLarge("no"), "ValidationException", 400),
    (AuthenticationFailed("no"), "UnrecognizedClientException", 403),
    (BudgetExceeded("no"), "ServiceQuotaExceededException", 400),
    (PermissionDenied("no"), "AccessDeniedException", 403),
    (UnknownModel("no"), "ResourceNotFoundException", 404),
    (LimitExceeded("no"), "ThrottlingException", 429),
    (RateLimited("no", upstream_status=429), "ThrottlingException", 429),
    (Unavailable("no"), "ServiceUnavailableException", 503),
    (Overloaded("no", upstream_status=529), "ServiceUnavailableException", 503),
    (DeadlineExceeded("no"), "ModelTimeoutException", 408),
    (Rejected("no", upstream_status=422), "ValidationException", 400),
    (StreamCut("no"), "InternalServerException", 500),
]


@pytest.mark.parametrize(("error", "shape", "status"), ERRORS)
def test_errors_are_shapes_of_the_service(error: TrimaranError, shape: str, status: int) -> None:
    for each in (error, AllAttemptsFailed([("b/m", error)])):
        head, body = CONVERSE.error_head(each), CONVERSE.write_error(each, "r")
        assert CONVERSE.error_status(each) == status
        code, message = parsed_error(status, head, body)
        assert code == shape
        assert "no" in message


def test_its_own_refusal_passes() -> None:
    body = b'{"message":"The model does not like it."}'
    error = CONVERSE.read_error(400, None, "application/json", body, error_type="ValidationException")
    assert CONVERSE.write_error(error, "r") == body
    other = msgspec.json.decode(CONVERSE.write_error(Rejected("no", dialect="openai.chat", body=b'{"error":1}'), "r"))
    assert other == {"message": "no"}


def test_every_answer_names_the_request() -> None:
    assert CONVERSE.answer_head("r-1") == b"x-amzn-requestid: r-1\r\n"


# Errors of Bedrock

ON_DEMAND = (
    "Invocation of model ID anthropic.x with on-demand throughput isn\N{RIGHT SINGLE QUOTATION MARK}t supported. Retry your "
    "request with the ID or ARN of an inference profile that contains this model."
)
NOT_ALLOWED = (
    "User: arn:aws:sts::123456789012:assumed-role/road/i is not authorized to perform: bedrock:InvokeModel on resource: "
    "arn:aws:bedrock:us-east-1::foundation-model/x because no identity-based policy allows the bedrock:InvokeModel action"
)
MARKETPLACE = (
    "Model access is denied due to User: arn:aws:sts::123456789012:assumed-role/road/i is not authorized to perform: "
    "aws-marketplace:ViewSubscriptions"
)


@pytest.mark.parametrize(
    ("status", "name", "sentence", "kind", "mend"),
    [
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimited, ""),
        (400, "ThrottlingException", "Rate exceeded", RateLimited, ""),
        (400, "ServiceQuotaExceededException", "Too many.", RateLimited, ""),
        (429, "ModelNotReadyException", "Not yet.", Overloaded, ""),
        (503, "ServiceUnavailableException", "Later.", Overloaded, ""),
        (408, "ModelTimeoutException", "Too slow.", ServerFault, ""),
        (500, "InternalServerException", "Oh.", ServerFault, ""),
        (424, "ModelErrorException", "Oh.", ServerFault, ""),
        (400, "ValidationException", "Input is too long for requested model.", ContextTooLong, ""),
        (400, "ValidationException", "prompt is too long: 210000 tokens > 200000 maximum", ContextTooLong, ""),
        (400, "ValidationException", "This was blocked by our content filters.", ContentRefused, ""),
        (400, "ValidationException", "The text field is blank.", Rejected, ""),
        (
            400, "ValidationException",
            ON_DEMAND, TargetNotFound, "aws bedrock list-inference-profiles",
        ),
        (400, "ValidationException", "The provided model identifier is invalid.", TargetNotFound, "list-foundation-models"),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life.", TargetNotFound, "list-"),
        (
            403, "AccessDeniedException", "You don't have access to the model with the specified model ID.",
            TargetNotFound, "get-foundation-model-availability",
        ),
        (403, "AccessDeniedException", MARKETPLACE, TargetNotFound, "aws-marketplace:Subscribe"),
        (404, "FTUFormNotFilled", "Fill out the form.", TargetNotFound, "put-use-case-for-model-access"),
        (400, "ValidationException", "Operation not allowed", TargetNotFound, "AWS Support"),
        (403, "AccessDeniedException", NOT_ALLOWED, CredentialRejected, "allow bedrock:InvokeModel"),
        (
            403, "AccessDeniedException", "x with an explicit deny in a service control policy", CredentialRejected,
            "get-inference-profile",
        ),
        (403, "ExpiredTokenException", "The security token included in the request is expired", CredentialRejected, "aws sso"),
        (403, "UnrecognizedClientException", "The security token included in the request is invalid.", CredentialRejected, "sts"),
        (
            403, "InvalidSignatureException",
            "Signature expired: 20261130T000000Z is now earlier than 20261130T010000Z (20261130T010500Z - 5 min.)",
            CredentialRejected, "clock is wrong",
        ),
        (403, "InvalidSignatureException", "Signature not yet current: a is still later than b", CredentialRejected, "clock"),
        (403, "InvalidSignatureException", "The request signature we calculated does not match", CredentialRejected, "secret"),
        (403, "MissingAuthenticationTokenException", "Missing Authentication Token", CredentialRejected, "trimaran doctor"),
        (400, "IncompleteSignature", "x", CredentialRejected, ""),
        (400, "ValidationError", "Endpoint llama of account 123456789012 not found.", TargetNotFound, "list-endpoints"),
    ],
)  # fmt: skip
def test_what_bedrock_says_and_what_mends_it(
    status: int, name: str, sentence: str, kind: type[AttemptError], mend: str
) -> None:
    body = json.dumps({"message": sentence}).encode()
    error = CONVERSE.read_error(
        status, b"3", "application/json", body, error_type=f"{name}:http://internal.amazon.com/"
    )
    assert type(error) is kind
    assert mend in error.message
    assert (error.upstream_status, error.retry_after_s, error.dialect) == (status, 3.0, "bedrock.converse")
    if kind is CredentialRejected:
        assert "arn:aws" not in error.message
    elif not mend:
        assert error.message.startswith(sentence.rstrip("."))


@pytest.mark.parametrize("body", [b'{"__type":"com.amazon.coral.service#ExpiredTokenException","Message":"x"}'])
def test_the_name_may_stand_in_the_body(body: bytes) -> None:
    assert type(CONVERSE.read_error(403, None, "application/x-amz-json-1.1", body)) is CredentialRejected


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (422, Rejected), (429, RateLimited), (503, Overloaded), (500, ServerFault), (0, ServerFault)],
)
def test_a_fault_of_the_model_has_its_own_status(status: int, kind: type[AttemptError]) -> None:
    members = {
        "message": "Received an error from the model.",
        "originalMessage": "too odd",
        "originalStatusCode": status,
    }
    error = aws_error("modelStreamErrorException", json.dumps(members).encode())
    assert type(error) is kind
    assert "too odd" in error.message
    assert error.upstream_status == 424


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message":3}'])
def test_bodies_that_say_nothing(body: bytes) -> None:
    assert type(CONVERSE.read_error(502, None, "text/html", body)) is ServerFault
    assert type(CONVERSE.read_error(403, None, "text/html", body)) is CredentialRejected
