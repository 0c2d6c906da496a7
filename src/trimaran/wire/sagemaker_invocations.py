"""``sagemaker.invocations``: what boto3's ``invoke_endpoint`` and ``invoke_endpoint_with_response_stream`` say. Raw: any
body of any content type goes to a SageMaker endpoint and back, untouched and unread.

The endpoint's name in the path is the public model's. Nothing is known of the body, so nothing is translated, no tokens are
counted (the cost is that of the endpoint's capacity), and only targets at SageMaker can answer. What ``Target-Model``,
``Inference-Component`` and their like say travels as header lines; those that the configuration fixes are not the client's
to choose.

A stream is an AWS event stream of ``PayloadPart`` events. It has no end marker: it is whole when the body ends by HTTP's own
rules, and never assumed to be whole before, however long the container is silent.

Source: botocore 1.44.8, ``data/sagemaker-runtime/2017-05-13/service-2.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes

import msgspec

from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    InvalidRequest,
    Overloaded,
    ServerFault,
    StreamCut,
    TrimaranError,
)
from trimaran.types import Usage
from trimaran.wire.aws_failures import anonymous
from trimaran.wire.dialect import Envelope, Streaming
from trimaran.wire.event_stream import EVENT_STREAM, exception
from trimaran.wire.events import Event, OtherDelta
from trimaran.wire.failures import MAX_MESSAGE, client_status, reported
from trimaran.wire.framing import Framing
from trimaran.wire.members import BAD_JSON
from trimaran.wire.relay import StreamRelay
from trimaran.wire.streams import StreamDecoder

__all__ = ["SageMakerInvocations", "stream_failure"]

_PATH = re.compile(rb"/endpoints/(.{1,600})/invocations(-response-stream)?")

_TYPES = {
    400: "ValidationError",
    401: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ValidationError",
    413: "ValidationError",
    424: "ModelError",
    429: "ThrottlingException",
    503: "ServiceUnavailable",
}
"""AWS's word for a status; any other one is its own failure."""
_STATUSES = {401: 403, 404: 400, 413: 400}
"""Statuses for which AWS has another one: a client that looks for an unknown endpoint looks for 400."""

_PREFIX = "x-amzn-sagemaker-"
_CARRIED = tuple(
    f"{_PREFIX}{name}".encode()
    for name in (
        "accept",
        "custom-attributes",
        "enable-explanations",
        "inference-component",
        "inference-id",
        "prefix-aware-id",
        "session-id",
        "target-container-hostname",
        "target-model",
        "target-variant",
    )
)
_RETURNED = frozenset(
    {b"x-amzn-invoked-production-variant"}
    | {
        f"{_PREFIX}{name}".encode()
        for name in ("closed-session-id", "content-type", "custom-attributes", "new-session-id")
    }
)


class SageMakerInvocations(Streaming):
    """SageMaker's runtime API, as boto3 speaks it."""

    name = "sagemaker.invocations"
    path = b"/endpoints/"
    home = path
    operation = "invoke"
    counts: ClassVar[bool] = False
    framing: ClassVar[Framing] = EVENT_STREAM
    any_content: ClassVar[bool] = True
    carries: ClassVar[tuple[bytes, ...]] = (b"content-type", b"accept", *_CARRIED)
    returns: ClassVar[frozenset[bytes]] = _RETURNED

    @property
    def shown_path(self) -> str:
        return "/endpoints/{endpoint}/invocations"

    def serves(self, path: bytes) -> bool:
        return _PATH.fullmatch(path) is not None

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return f"/endpoints/{quote(model, safe='')}/invocations{'-response-stream' if stream else ''}".encode()

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        found = _PATH.fullmatch(path)
        if found is None:
            raise InvalidRequest("the path must name the endpoint: /endpoints/<endpoint>/invocations", field="path")
        if not body:
            raise InvalidRequest("the body is empty; SageMaker takes none without", field="Body")
        name = unquote_to_bytes(found[1]).decode("utf-8", "replace")
        return Envelope(self.name, name, found[2] is not None, 0, True, len(body) // 4 + 1, body)

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        return envelope.body

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        return None, "", ""

    def answer_type(self, headers: Mapping[bytes, bytes]) -> bytes:
        found = next((value for name, value in headers.items() if name.lower() == b"content-type"), b"")
        return found or b"application/octet-stream"

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return _RawRelay(_Decoder(), self.framing)

    def answer_head(self, request_id: str) -> bytes:
        return b"x-amzn-requestid: %b\r\n" % request_id.encode()

    # Errors

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        failed = _of_model(error)
        return failed.body if failed is not None else msgspec.json.encode({"Message": reported(error).message})

    def error_head(self, error: TrimaranError) -> bytes:
        return b"x-amzn-errortype: %b\r\n" % _type_of(error).encode()

    def error_status(self, error: TrimaranError) -> int:
        if _of_model(error) is not None:
            return 424
        status = client_status(error)
        return _STATUSES.get(status, status)

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        error = reported(error)
        if isinstance(error, AttemptError):
            return exception(
                "ModelStreamError", msgspec.json.encode({"Message": error.message, "ErrorCode": error.code})
            )
        return exception("InternalStreamFailure", msgspec.json.encode({"Message": error.message}))


def _of_model(error: TrimaranError) -> AttemptError | None:
    """The container's own failure as the service told it, where that is what the client should hear of."""
    last = error.last if isinstance(error, AllAttemptsFailed) else error
    if not isinstance(last, AttemptError) or last.dialect != SageMakerInvocations.name:
        return None
    return last if b'"OriginalStatusCode"' in last.body else None


def _type_of(error: TrimaranError) -> str:
    if _of_model(error) is not None:
        return "ModelError"
    return _TYPES.get(client_status(error), "InternalFailure")


def stream_failure(name: bytes, data: bytes, dialect: str) -> AttemptError:
    """What an exception event of the runtime means: ``ModelStreamError`` is the container's, everything else the
    service's."""
    try:
        found: Any = msgspec.json.decode(anonymous(data))
    except BAD_JSON:
        found = None
    members: dict[str, Any] = found if isinstance(found, dict) else {}
    words = str(members.get("Message") or members.get("message") or "")[:MAX_MESSAGE]
    code = str(members.get("ErrorCode") or members.get("errorCode") or "")[:100]
    kind = name.decode("latin-1")[:100] or "error"
    if kind == "ModelStreamError":
        told = f" ({code})" if code else ""
        return ServerFault(
            f"the container broke off its stream{told}: {words or 'it does not say why'}", dialect=dialect
        )
    if kind in ("ServiceUnavailable", "ServiceUnavailableException", "ThrottlingException"):
        return Overloaded(f"SageMaker broke off the stream ({kind}): {words}", dialect=dialect)
    return ServerFault(f"SageMaker broke off the stream ({kind}): {words or 'it does not say why'}", dialect=dialect)


class _Decoder(StreamDecoder):
    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        if name == b"PayloadPart":
            return (OtherDelta("payload"),) if data else ()
        if name == b"initial-response":
            return ()
        raise stream_failure(name, data, SageMakerInvocations.name)


class _RawRelay(StreamRelay):
    """Passes blocks, and ends when the body does."""

    __slots__ = ()

    @property
    def may_end(self) -> bool:
        return False

    def finish(self) -> bytes:
        if self._framer.rest():
            raise StreamCut("the stream ended in the middle of an event")
        self.complete = True
        held, self._held = b"".join(self._held), []
        return held

    def _take(self, block: bytes) -> bytes:
        name, data = self._parse(block)
        if data is not None:
            content = [self._note(event) for event in self._decoder.decode(name, data)]
            self.content_events += any(content)
        return block

    def _end(self) -> bytes:
        return b""
