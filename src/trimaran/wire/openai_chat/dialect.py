"""The dialect itself: what the road reads and changes where both sides speak it, and the doors to translation."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Target, Usage
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat
from trimaran.wire.dialect import ChatDialect, Envelope, decode_json
from trimaran.wire.events import Answer
from trimaran.wire.members import count_member, flag_member, read_members, text_member
from trimaran.wire.openai_chat.answer import decode_answer, encode_answer
from trimaran.wire.openai_chat.foreign import without_foreign_state
from trimaran.wire.openai_chat.needs import needs_of
from trimaran.wire.openai_chat.passing import ChatPassRelay
from trimaran.wire.openai_chat.position import ChatPosition
from trimaran.wire.openai_chat.request import READ, decode_request, stream_options
from trimaran.wire.openai_chat.stream import ChatDecoder
from trimaran.wire.openai_chat.stream_writer import END_MARKER, ChatEncoder
from trimaran.wire.openai_chat.upstream import encode_request
from trimaran.wire.openai_chat.usage import WireUsage, neutral_finish, neutral_tier, neutral_usage
from trimaran.wire.openai_errors import openai_error, openai_error_body
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay

__all__ = ["OpenAIChat"]


class _HeadChoice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    stop_reason: Any = None


class _AnswerHead(msgspec.Struct):
    choices: list[_HeadChoice] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    model: str | None = None
    error: Any = None


_decode_head = msgspec.json.Decoder(_AnswerHead).decode


class OpenAIChat(ChatDialect):
    """OpenAI's Chat Completions API."""

    name = "openai.chat"
    path = b"/v1/chat/completions"
    end_marker = END_MARKER
    field_names: ClassVar = {
        "cache": "cache_control",
        "cache_key": "prompt_cache_key",
        "cache_retention": "prompt_cache_retention",
        "max_output_tokens": "max_completion_tokens",
        "reasoning": "reasoning_effort",
        "system": "messages",
        "tools[].name": "tools[].function.name",
    }

    # The same dialect on both sides

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raw, spans = read_members(body, READ)
        model = text_member(raw, "model")
        if "messages" not in raw:
            raise InvalidRequest("'messages' is missing; send a list of messages", field="messages")
        limit = count_member(raw, "max_completion_tokens") if "max_completion_tokens" in raw else None
        if "max_tokens" in raw and (other := count_member(raw, "max_tokens")) is not None:
            limit = other if limit is None else max(limit, other)
        answers = 1
        if "n" in raw:
            answers = count_member(raw, "n") or 1
            if limit is not None:
                limit *= answers
        stream = "stream" in raw and flag_member(raw, "stream")
        options = "stream_options" in raw and stream_options(raw).get("include_usage") is True
        return Envelope(
            self.name,
            model,
            stream,
            limit,
            options,
            len(body) // 4 + 1,
            body,
            spans["model"],
            spans.get("stream_options", (0, 0)),
            needs_of(raw, body, spans["messages"]),
            False,
            answers,
            spans["messages"],
            raw,
        )

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        if not envelope.stream or envelope.include_usage:
            # Not by way of super(), which takes as long as the rest.
            return ChatDialect.rewrite(self, envelope, upstream_model)
        body = envelope.body
        start, end, text = change = _ask_usage(envelope)
        if upstream_model == envelope.model:
            return b"%b%b%b" % (body[:start], text, body[end:])
        # Both changes in one splice.
        name = (*envelope.model_span, msgspec.json.encode(upstream_model))
        (start, end, text), (next, until, last) = (name, change) if name < change else (change, name)
        return b"%b%b%b%b%b" % (body[:start], text, body[end:next], last, body[until:])

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        head = decode_json(_decode_head, body, "the answer")
        if head.error is not None:
            raise self.error_in_answer(head.error)
        if not head.choices:
            raise MalformedAnswer("the answer has no choices")
        choice = head.choices[0]
        reason, _ = neutral_finish(choice.finish_reason or "", choice.stop_reason)
        usage = None if head.usage is None else neutral_usage(head.usage, head.model)
        return usage, reason, neutral_tier(head.service_tier or "")

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return ChatPassRelay(self, drop_usage=not envelope.include_usage)

    def without_foreign_state(self, body: bytes) -> bytes:
        return without_foreign_state(body)

    # Translation

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        return decode_request(body, refusals)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_request(request, target, refusals, notes)

    def takes_format(self, wanted: ResponseFormat, target: Target) -> bool:
        known = target.capabilities
        return wanted.kind != "json_schema" or known is None or "json_schema" not in known.lacks

    def decode_answer(self, body: bytes) -> Answer:
        return decode_answer(body, self.error_in_answer)

    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        return encode_answer(answer, created_s)

    def stream_decoder(self) -> ChatDecoder:
        return ChatDecoder(self.error_in_answer)

    def stream_encoder(self, envelope: Envelope, created_s: int) -> ChatEncoder:
        return ChatEncoder(created_s, include_usage=envelope.include_usage)

    def stream_position(self, envelope: Envelope) -> ChatPosition:
        return ChatPosition(include_usage=envelope.include_usage)

    # Errors

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return openai_error_body(error, self.name)

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode({"error": openai_error(error)})


def _ask_usage(envelope: Envelope) -> tuple[int, int, bytes]:
    """The change that makes a stream end with its usage: a new first member, or a new value of ``stream_options``."""
    body = envelope.body
    start, end = envelope.options_span
    if not end:
        at = body.index(b"{") + 1
        return at, at, b'"stream_options":{"include_usage":true},'
    options = msgspec.json.decode(body[start:end], type=dict[str, msgspec.Raw] | None) or {}
    return start, end, msgspec.json.encode(options | {"include_usage": msgspec.Raw(b"true")})
