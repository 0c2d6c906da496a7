"""The dialect itself: paths, what passes between speakers of it, and errors.

A request passes byte for byte: the model stands in the path. The one exception is reasoning of another provider that a
client brings along from an earlier answer, whose signature this API would refuse.

Errors of a client are shapes of the service's own, each with the status that it has in botocore's model; a client finds the
shape in ``x-amzn-errortype``. Inside a stream there are five.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from trimaran.errors import AttemptError, InvalidRequest, TrimaranError
from trimaran.types import Target, Usage
from trimaran.wire.aws_failures import aws_error
from trimaran.wire.bedrock_converse.answer import decode_answer, encode_answer, inspect_answer, wants_stop_sequence
from trimaran.wire.bedrock_converse.decoder import ConverseDecoder
from trimaran.wire.bedrock_converse.encoder import ConverseEncoder, ConversePassRelay
from trimaran.wire.bedrock_converse.needs import needs_of
from trimaran.wire.bedrock_converse.paths import PREFIX, model_and_stream, path_of, serves
from trimaran.wire.bedrock_converse.position import ConversePosition
from trimaran.wire.bedrock_converse.request import decode_request
from trimaran.wire.bedrock_converse.upstream import encode_request, takes_format
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat
from trimaran.wire.dialect import ChatDialect, Envelope
from trimaran.wire.event_stream import EVENT_STREAM, exception
from trimaran.wire.events import Answer
from trimaran.wire.failures import client_status, original_body, reported
from trimaran.wire.framing import Framing
from trimaran.wire.members import BAD_JSON, MAX_COUNT, RawMembers, read_members
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay
from trimaran.wire.state import STATE_MARK, is_wrapped

__all__ = ["BedrockConverse"]

_READ = frozenset({"messages", "inferenceConfig"})

_SHAPES = {
    401: ("UnrecognizedClientException", 403),
    402: ("ServiceQuotaExceededException", 400),
    403: ("AccessDeniedException", 403),
    404: ("ResourceNotFoundException", 404),
    408: ("ModelTimeoutException", 408),
    429: ("ThrottlingException", 429),
    503: ("ServiceUnavailableException", 503),
    504: ("ModelTimeoutException", 408),
    529: ("ServiceUnavailableException", 503),
}
"""By what any client would get: the shape, and the status that it has."""
_STREAM_EXCEPTIONS = frozenset({"ThrottlingException", "ServiceUnavailableException", "ValidationException"})


class _Limit(msgspec.Struct, gc=False):
    maxTokens: int | None = None


_decode_limit = msgspec.json.Decoder(_Limit | None).decode
_decode_turns = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_blocks = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class BedrockConverse(ChatDialect):
    """Amazon Bedrock's Converse API."""

    name = "bedrock.converse"
    path = PREFIX
    home = path
    framing: ClassVar[Framing] = EVENT_STREAM
    field_names: ClassVar[Mapping[str, str]] = {
        "cache": "cachePoint",
        "max_output_tokens": "inferenceConfig.maxTokens",
        "metadata": "requestMetadata",
        "parallel_tool_calls": "additionalModelRequestFields.tool_choice.disable_parallel_tool_use",
        "reasoning": "additionalModelRequestFields.thinking",
        "response_format": "outputConfig.textFormat",
        "service_tier": "serviceTier",
        "stop": "inferenceConfig.stopSequences",
        "temperature": "inferenceConfig.temperature",
        "tool_choice": "toolConfig.toolChoice",
        "tools": "toolConfig.tools",
        "tools[].name": "toolConfig.tools[].toolSpec.name",
        "top_k": "additionalModelRequestFields.top_k",
        "top_p": "inferenceConfig.topP",
    }

    def serves(self, path: bytes) -> bool:
        return serves(path)

    @property
    def shown_path(self) -> str:
        return "/model/{model}/converse"

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return path_of(model, stream)

    # The same dialect on both sides

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        model, stream = model_and_stream(path)
        raw, spans = read_members(body, _READ)
        if "messages" not in raw and "promptVariables" not in raw:
            raise InvalidRequest("'messages' is missing; send a list of messages", field="messages")
        return Envelope(
            self.name,
            model,
            stream,
            _limit(raw),
            True,
            len(body) // 4 + 1,
            body,
            needs=needs_of(raw),
            prompt_span=spans.get("messages", (0, 0)),
            members=raw,
        )

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        return envelope.body

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        return inspect_answer(body)

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return ConversePassRelay(self)

    def without_foreign_state(self, body: bytes) -> bytes:
        if body.find(STATE_MARK) < 0:
            return body
        raw, spans = read_members(body, _READ)
        try:
            turns = _decode_turns(raw["messages"])
            kept = [kept for turn in turns if (kept := _own_thoughts(turn)) is not None]
        except (KeyError, *BAD_JSON):
            return body
        if len(kept) == len(turns) and all(now is turn for now, turn in zip(kept, turns, strict=True)):
            return body
        start, end = spans["messages"]
        return b"%b%b%b" % (body[:start], _encode(kept), body[end:])

    # Translation

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        return decode_request(body, refusals)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_request(request, target, refusals, notes)

    def takes_format(self, wanted: ResponseFormat, target: Target) -> bool:
        return takes_format(wanted, target)

    def decode_answer(self, body: bytes) -> Answer:
        return decode_answer(body)

    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        return encode_answer(answer, envelope)

    def stream_decoder(self) -> ConverseDecoder:
        return ConverseDecoder()

    def stream_encoder(self, envelope: Envelope, created_s: int) -> ConverseEncoder:
        return ConverseEncoder(names_stop=wants_stop_sequence(envelope))

    def stream_position(self, envelope: Envelope) -> ConversePosition:
        return ConversePosition(names_stop=wants_stop_sequence(envelope))

    def answer_head(self, request_id: str) -> bytes:
        return f"x-amzn-requestid: {request_id}\r\n".encode()

    # Errors

    def read_error(
        self,
        status: int,
        retry_after: bytes | None,
        content_type: str,
        body: bytes,
        *,
        now_s: float | None = None,
        error_type: str = "",
    ) -> AttemptError:
        return aws_error(
            error_type,
            body,
            status,
            dialect=self.name,
            retry_after=retry_after,
            content_type=content_type,
            now_s=now_s,
        )

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or _encode({"message": reported(error).message})

    def error_head(self, error: TrimaranError) -> bytes:
        return f"x-amzn-errortype: {_shape(error)[0]}\r\n".encode()

    def error_status(self, error: TrimaranError) -> int:
        return _shape(error)[1]

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        error = reported(error)
        shape, _ = _shape(error)
        told: dict[str, Any] = {"message": error.message}
        if shape not in _STREAM_EXCEPTIONS:
            shape = "InternalServerException"
            if isinstance(error, AttemptError):
                shape = "ModelStreamErrorException"
                told["originalMessage"] = error.message
                if 100 <= error.upstream_status < 600:
                    told["originalStatusCode"] = error.upstream_status
        return exception(shape[0].lower() + shape[1:], _encode(told))


def _limit(raw: RawMembers) -> int | None:
    if "inferenceConfig" not in raw:
        return None
    try:
        found = _decode_limit(raw["inferenceConfig"])
    except BAD_JSON as error:
        raise InvalidRequest(
            "'inferenceConfig' must be an object, and its 'maxTokens' an integer", field="inferenceConfig"
        ) from error
    limit = found.maxTokens if found is not None else None
    if limit is not None and not 0 <= limit <= MAX_COUNT:
        path = "inferenceConfig.maxTokens"
        raise InvalidRequest(f"{path!r} must be an integer from 1 to {MAX_COUNT}", field=path)
    return limit


def _shape(error: TrimaranError) -> tuple[str, int]:
    """The shape of an error, and its status."""
    status = client_status(error)
    other = ("InternalServerException", 500) if status >= 500 else ("ValidationException", 400)
    return _SHAPES.get(status, other)


def _own_thoughts(turn: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw] | None:
    """``turn`` without the reasoning of others: itself where there is none, ``None`` where nothing else is in it."""
    content = bytes(turn.get("content", b""))
    if STATE_MARK not in content or content[:1] != b"[":
        return turn
    blocks = _decode_blocks(content)
    kept = [block for block in blocks if not _is_foreign(block)]
    if len(kept) == len(blocks):
        return turn
    return turn | {"content": msgspec.Raw(_encode(kept))} if kept else None


def _is_foreign(block: msgspec.Raw) -> bool:
    if STATE_MARK not in bytes(block):
        return False
    thought = _decode_object(block).get("reasoningContent")
    said = thought.get("reasoningText") if isinstance(thought, dict) else None
    return isinstance(said, dict) and is_wrapped(said.get("signature"))
