"""boto3's raw calls: any body passes; boto3's own parser judges what goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.errors import (
    AllAttemptsFailed,
    AuthenticationFailed,
    InvalidRequest,
    LimitExceeded,
    MalformedAnswer,
    Overloaded,
    Rejected,
    ServerFault,
    StreamCut,
    TrimaranError,
    Unavailable,
    UnknownModel,
    UnsupportedFeature,
)
from trimaran.testing.event_stream import event, exception
from trimaran.types import Target
from trimaran.wire import DIALECTS, Streaming, surface, translate
from trimaran.wire.sagemaker_invocations import SageMakerInvocations

RAW = SageMakerInvocations()
TARGET = Target("sagemaker/bert", "sagemaker", "bert", ("sagemaker.invocations",), "http://t")
PATH = b"/endpoints/bert/invocations"
MODEL_ERROR = json.dumps(
    {"Message": "Received client error (400)", "OriginalStatusCode": 400, "OriginalMessage": "no"}
).encode()


@pytest.mark.parametrize(
    ("path", "name", "stream"),
    [
        (PATH, "bert", False),
        (b"/endpoints/bert/invocations-response-stream", "bert", True),
        (b"/endpoints/sagemaker%2Fbert/invocations", "sagemaker/bert", False),
        (b"/endpoints/sagemaker/bert/invocations", "sagemaker/bert", False),
    ],
)
def test_the_path_names_the_endpoint(path: bytes, name: str, stream: bool) -> None:
    assert type(surface(path)) is SageMakerInvocations
    envelope = RAW.read(b"\x00\xff", path)
    assert (envelope.model, envelope.stream, envelope.body, envelope.needs) == (name, stream, b"\x00\xff", 0)


@pytest.mark.parametrize(
    "path", [b"/endpoints/x/async-invocations", b"/endpoints//invocations", b"/endpoints/x/invocations/"]
)
def test_other_paths_are_not_served(path: bytes) -> None:
    assert surface(path) is None


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        RAW.read(b"", PATH)


def test_everything_passes() -> None:
    envelope = RAW.read(b"\x93NUMPY", PATH)
    made = translate(RAW, envelope, TARGET)
    assert made.body is envelope.body
    assert made.answer(b"\x00") == (b"\x00", None, "", "")
    assert RAW.answer_type({b"Content-Type": b"application/x-npy"}) == b"application/x-npy"
    assert RAW.answer_type({}) == b"application/octet-stream"
    assert RAW.any_content
    assert b"x-amzn-sagemaker-target-model" in RAW.carries
    assert b"x-amzn-invoked-production-variant" in RAW.returns


def test_nothing_else_is_asked_raw() -> None:
    openai = Target("openai/x", "openai", "x", ("openai.chat",), "http://t")
    with pytest.raises(UnsupportedFeature, match="raw invocations cannot be asked of it"):
        translate(RAW, RAW.read(b"x", PATH), openai)


def part(payload: bytes) -> bytes:
    return event("PayloadPart", payload, content_type="application/octet-stream")


def relay() -> Any:
    envelope = RAW.read(b"x", PATH + b"-response-stream")
    assert isinstance(RAW, Streaming)
    return translate(RAW, envelope, TARGET).relay()


def test_a_stream_passes_and_ends_with_its_body_alone() -> None:
    stream = part(b"a") + part(b"b")
    passing = relay()
    out = passing.feed(stream[:10]) + passing.feed(stream[10:])
    assert out == stream
    assert passing.content_seen
    # A container may be silent for as long as it likes: silence is no end.
    assert not passing.may_end
    assert not passing.complete
    assert passing.finish() == b""
    assert passing.complete


def test_a_stream_without_content() -> None:
    passing = relay()
    assert passing.feed(part(b"")) == b""
    assert passing.finish() == part(b"")


def test_a_stream_that_is_cut() -> None:
    passing = relay()
    passing.feed(part(b"a") + part(b"b")[:-3])
    with pytest.raises(StreamCut):
        passing.finish()


@pytest.mark.parametrize(
    ("name", "words", "kind"),
    [
        ("ModelStreamError", {"Message": "gone", "ErrorCode": "ModelInvocationTimeExceeded"}, ServerFault),
        ("InternalStreamFailure", {"Message": "oops"}, ServerFault),
        ("ServiceUnavailable", {"Message": "busy"}, Overloaded),
        ("InternalStreamFailure", {}, ServerFault),
    ],
)
def test_exceptions_in_a_stream(name: str, words: dict[str, str], kind: type[Exception]) -> None:
    passing = relay()
    with pytest.raises(kind, match=words.get("Message", "does not say why")):
        passing.feed(part(b"a") + exception(name, json.dumps(words).encode()))


def test_what_is_no_event_stream() -> None:
    with pytest.raises(MalformedAnswer):
        relay().feed(b'{"message": "this is JSON and no stream"}')


# boto3 is the judge of errors


def boto_error(error: TrimaranError) -> tuple[str, int, dict[str, Any]]:
    """What botocore's parser makes of the answer with ``error``."""
    parsers = pytest.importorskip("botocore.parsers")
    session = pytest.importorskip("botocore.session")
    model = session.get_session().get_service_model("sagemaker-runtime").operation_model("InvokeEndpoint")
    head = RAW.error_head(error).decode().strip().split(": ")
    answer = {
        "status_code": RAW.error_status(error),
        "headers": {head[0]: head[1]},
        "body": RAW.write_error(error, "r"),
    }
    parsed = parsers.create_parser("rest-json").parse(answer, model.output_shape)
    return parsed["Error"]["Code"], answer["status_code"], parsed


def container_said(kind: type[Any], status: int) -> Any:
    return kind("no", upstream_status=status, body=MODEL_ERROR, content_type="application/json", dialect=RAW.name)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (UnknownModel("no such endpoint"), "ValidationError", 400),
        (InvalidRequest("bad"), "ValidationError", 400),
        (AuthenticationFailed("who"), "AccessDeniedException", 403),
        (LimitExceeded("slowly"), "ThrottlingException", 429),
        (Unavailable("draining"), "ServiceUnavailable", 503),
        (ServerFault("oops"), "InternalFailure", 502),
        (container_said(Rejected, 424), "ModelError", 424),
        (AllAttemptsFailed([("sagemaker/x", container_said(ServerFault, 424))]), "ModelError", 424),
        (AllAttemptsFailed([("a", ServerFault("x")), ("b", Overloaded("y"))]), "InternalFailure", 502),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_boto3_reads_our_errors(error: TrimaranError, code: str, status: int) -> None:
    read, answered, parsed = boto_error(error)
    assert (read, answered) == (code, status)
    assert parsed["Error"]["Message"]
    if code == "ModelError":
        assert RAW.write_error(error, "r") == MODEL_ERROR


def test_boto3_reads_our_errors_in_a_stream() -> None:
    streams = pytest.importorskip("botocore.eventstream")
    for error, name in ((StreamCut("cut"), "ModelStreamError"), (TrimaranError("late"), "InternalStreamFailure")):
        buffer = streams.EventStreamBuffer()
        buffer.add_data(RAW.write_stream_error(error, "r"))
        (message,) = list(buffer)
        assert message.headers[":exception-type"] == name
        assert json.loads(message.payload)["Message"] == error.message


def test_it_is_registered() -> None:
    assert type(DIALECTS[RAW.name]) is SageMakerInvocations
    assert RAW.shown_path == "/endpoints/{endpoint}/invocations"
    assert RAW.answer_head("r1") == b"x-amzn-requestid: r1\r\n"
