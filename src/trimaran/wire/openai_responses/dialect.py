"""``openai.responses``: the Responses API, and ``openai.input_tokens``, which counts for it.

Bytes pass as they are where the target speaks this dialect, what refers to the provider's store included
(:attr:`Envelope.stateful`). Background answers are refused: they are fetched later by another request, which is not
served here.
"""

from __future__ import annotations

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, TrimaranError, UnsupportedFeature
from trimaran.types import Target, Usage
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat
from trimaran.wire.dialect import UNCOUNTED, ChatDialect, CountDialect, Envelope, TokenCount, decode_json
from trimaran.wire.events import Answer
from trimaran.wire.members import (
    BAD_JSON,
    RawMembers,
    Span,
    count_member,
    flag_member,
    read_members,
    text_member,
)
from trimaran.wire.openai_errors import openai_error, openai_error_body
from trimaran.wire.openai_responses.answer import (
    WireHead,
    WireResponse,
    billed,
    encoded_answer,
    finish_of,
    whole,
)
from trimaran.wire.openai_responses.passing import ResponsesPassRelay
from trimaran.wire.openai_responses.position import ResponsesPosition
from trimaran.wire.openai_responses.reading import needs_of, refers_to_stored
from trimaran.wire.openai_responses.request import decode_members
from trimaran.wire.openai_responses.stream import ResponsesDecoder
from trimaran.wire.openai_responses.stream_writer import ResponsesEncoder
from trimaran.wire.openai_responses.upstream import encode_members
from trimaran.wire.openai_responses.usage import neutral_tier
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay
from trimaran.wire.state import STATE_MARK, is_wrapped

__all__ = ["OpenAIInputTokens", "OpenAIResponses"]

_READ = frozenset({"model", "input", "stream", "max_output_tokens", "background"})
_NAMES = {
    "messages": "input",
    "system": "instructions",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "logprobs": "top_logprobs",
    "cache": "prompt_cache_breakpoint",
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
}


class _InputItem(msgspec.Struct, gc=False):
    type: str | None = None
    encrypted_content: str | None = None


class _Count(msgspec.Struct, gc=False):
    input_tokens: TokenCount


_decode_head = msgspec.json.Decoder(WireHead).decode
_decode_response = msgspec.json.Decoder(WireResponse).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item = msgspec.json.Decoder(_InputItem).decode
_decode_count = msgspec.json.Decoder(_Count).decode


class OpenAIResponses(ChatDialect):
    """OpenAI's Responses API."""

    name = "openai.responses"
    path = b"/v1/responses"
    field_names = _NAMES

    # The same dialect on both sides

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raw, spans = read_members(body, _READ)
        model = _model(raw)
        if "background" in raw and flag_member(raw, "background"):
            raise UnsupportedFeature(
                "'background' cannot be true: the answer would have to be fetched later, which is not served here; leave "
                "it out, and stream a long answer",
                field="background",
            )
        needs, stateful = _asked(raw, body, spans)
        return Envelope(
            self.name,
            model,
            "stream" in raw and flag_member(raw, "stream"),
            count_member(raw, "max_output_tokens") if "max_output_tokens" in raw else None,
            True,
            len(body) // 4 + 1,
            body,
            spans["model"],
            needs=needs,
            stateful=stateful,
            prompt_span=spans.get("input", (0, 0)),
            members=raw,
        )

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        head = decode_json(_decode_head, body, "the answer")
        self._check(head)
        return billed(head), finish_of(head), neutral_tier(head.service_tier)

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return ResponsesPassRelay(self)

    def without_foreign_state(self, body: bytes) -> bytes:
        return _without_foreign_state(body)

    # Translation

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        return decode_members(body, refusals)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_members(request, target, refusals, notes)

    def takes_format(self, wanted: ResponseFormat, target: Target) -> bool:
        return target.capabilities is None or "json_schema" not in target.capabilities.lacks

    def decode_answer(self, body: bytes) -> Answer:
        response = decode_json(_decode_response, body, "the answer")
        self._check(response)
        answer: Answer = decode_json(whole, response, "the answer")
        return answer

    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        return encoded_answer(answer, created_s, envelope)

    def stream_decoder(self) -> ResponsesDecoder:
        return ResponsesDecoder(self)

    def stream_encoder(self, envelope: Envelope, created_s: int) -> ResponsesEncoder:
        return ResponsesEncoder(envelope, created_s)

    def stream_position(self, envelope: Envelope) -> ResponsesPosition:
        return ResponsesPosition(envelope)

    def _check(self, response: WireHead | WireResponse) -> None:
        if response.error is not None or response.status == "failed":
            raise self.error_in_answer(response.error)
        if response.output is None:
            raise MalformedAnswer("the answer has no output")

    # Errors

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return openai_error_body(error, self.name)

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        # Flat, as the API's own event is; the nested copy is what makes the vendor's clients raise.
        told = openai_error(error)
        event = {"type": "error", "sequence_number": 0, **{key: told[key] for key in ("code", "message", "param")}}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event | {"error": told})


class OpenAIInputTokens(CountDialect):
    """Counts the input tokens of a Responses request."""

    name = "openai.input_tokens"
    path = b"/v1/responses/input_tokens"
    field_names = _NAMES

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raw, spans = read_members(body, _READ)
        model = _model(raw)
        needs, stateful = _asked(raw, body, spans)
        needs &= ~UNCOUNTED
        return Envelope(
            self.name, model, False, 0, False, len(body) // 4 + 1, body, spans["model"], needs=needs, stateful=stateful
        )

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        self.decode_count(body)
        return None, "", ""

    def without_foreign_state(self, body: bytes) -> bytes:
        return _without_foreign_state(body)

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        return decode_members(body, refusals, counting=True)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_members(request, target, refusals, notes, counting=True)

    def decode_count(self, body: bytes) -> int:
        tokens: int = decode_json(_decode_count, body, "the answer").input_tokens
        return tokens

    def encode_count(self, tokens: int) -> bytes:
        return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return openai_error_body(error, self.name)


def _model(raw: RawMembers) -> str:
    if "model" not in raw and "prompt" in raw:
        raise InvalidRequest(
            "'model' must be given also beside a prompt template, because it decides who answers", field="model"
        )
    return text_member(raw, "model")


def _asked(raw: RawMembers, body: bytes, spans: dict[str, Span]) -> tuple[int, bool]:
    """What the answer takes, and whether it goes on from something stored."""
    stored = refers_to_stored(raw)
    if "input" not in raw and not stored:
        raise InvalidRequest("'input' is missing; send a text or a list of items", field="input")
    needs, refers = needs_of(raw, body, spans.get("input", (0, 0)))
    return needs, stored or refers


def _without_foreign_state(body: bytes) -> bytes:
    raw, spans = read_members(body, _READ)
    if "input" not in raw or body[spans["input"][0]] != ord("["):
        return body
    items = _decode_items(raw["input"])
    kept = [item for item in items if bytes(item).find(STATE_MARK) < 0 or not _foreign(item)]
    if len(kept) == len(items):
        return body
    start, end = spans["input"]
    return b"%b%b%b" % (body[:start], msgspec.json.encode(kept), body[end:])


def _foreign(item: msgspec.Raw) -> bool:
    try:
        read = _decode_item(item)
    except BAD_JSON:
        return False
    return read.type == "reasoning" and is_wrapped(read.encrypted_content)
