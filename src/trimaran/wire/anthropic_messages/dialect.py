"""The two dialects: what passes between speakers of the same one, and errors.

Requests pass byte for byte but for the model's name. The one exception is thinking of another provider that a client
brings along from an earlier answer: this API would refuse its signature, so it is taken out. Where that leaves a call of
the turn being answered without the thinking that this API demands before it, thinking is off until the chain has ended,
as it is in a request that is translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from trimaran.errors import InvalidRequest, TrimaranError
from trimaran.types import Target, Usage
from trimaran.wire.anthropic_messages.answer import (
    decode_answer,
    decode_count,
    encode_answer,
    encode_count,
    inspect_answer,
)
from trimaran.wire.anthropic_messages.decoder import MessagesDecoder
from trimaran.wire.anthropic_messages.encoder import END_MARKER, MessagesEncoder, MessagesPassRelay
from trimaran.wire.anthropic_messages.needs import needs_of
from trimaran.wire.anthropic_messages.position import MessagesPosition
from trimaran.wire.anthropic_messages.request import decode_request
from trimaran.wire.anthropic_messages.upstream import encode_count_request, encode_request, takes_format
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat
from trimaran.wire.dialect import UNCOUNTED, ChatDialect, Conversational, CountDialect, Envelope
from trimaran.wire.events import Answer
from trimaran.wire.failures import client_status, original_body, reported
from trimaran.wire.members import BAD_JSON, RawMembers, Span, count_member, flag_member, read_members, text_member
from trimaran.wire.refusals import Refusals
from trimaran.wire.relay import StreamRelay
from trimaran.wire.state import STATE_MARK, is_wrapped

__all__ = ["AnthropicCountTokens", "AnthropicMessages"]

_READ = frozenset({"model", "messages", "max_tokens", "stream", "system", "thinking"})

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_decode_turns = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_blocks = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class _Anthropic(Conversational):
    """What both operations share."""

    field_names: ClassVar[Mapping[str, str]] = {
        "cache": "cache_control",
        "max_output_tokens": "max_tokens",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "reasoning": "thinking",
        "response_format": "output_config.format",
        "stop": "stop_sequences",
        "user": "metadata.user_id",
    }

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
        changes = {"messages": _encode(kept)}
        if _has_budget(raw) and _chain_without_thoughts(kept):
            changes["thinking"] = b'{"type":"disabled"}'
        for key in sorted(changes, key=spans.__getitem__, reverse=True):
            start, end = spans[key]
            body = b"%b%b%b" % (body[:start], changes[key], body[end:])
        return body

    def decode_request(self, body: bytes, refusals: Refusals) -> ChatRequest:
        return decode_request(body, refusals)

    # Errors

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or _error(error, request_id)

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        return b"event: error\ndata: %b\n\n" % _error(error, request_id)


class AnthropicMessages(_Anthropic, ChatDialect):
    """Anthropic's Messages API."""

    name = "anthropic.messages"
    path = b"/v1/messages"
    end_marker = END_MARKER

    # The same dialect on both sides

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raw, spans, model = _read(body)
        limit = count_member(raw, "max_tokens")
        if limit is None:
            raise InvalidRequest("'max_tokens' is missing; say how much may be generated", field="max_tokens")
        stream = "stream" in raw and flag_member(raw, "stream")
        needs, stateful = needs_of(raw)
        tokens = len(body) // 4 + 1
        return Envelope(
            self.name, model, stream, limit, True, tokens, body, spans["model"], (0, 0), needs, stateful, 1,
            spans["messages"], raw,
        )  # fmt: skip

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        return inspect_answer(self, body)

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return MessagesPassRelay(self)

    # Translation

    def takes_format(self, wanted: ResponseFormat, target: Target) -> bool:
        return takes_format(wanted, target)

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_request(request, target, refusals, notes)

    def decode_answer(self, body: bytes) -> Answer:
        return decode_answer(self, body)

    def encode_answer(self, answer: Answer, created_s: int, envelope: Envelope | None = None) -> bytes:
        return encode_answer(answer)

    def stream_decoder(self) -> MessagesDecoder:
        return MessagesDecoder(self)

    def stream_encoder(self, envelope: Envelope, created_s: int) -> MessagesEncoder:
        return MessagesEncoder()

    def stream_position(self, envelope: Envelope) -> MessagesPosition:
        return MessagesPosition()


class AnthropicCountTokens(_Anthropic, CountDialect):
    """The Messages API's counting of a request's tokens."""

    name = "anthropic.count_tokens"
    path = b"/v1/messages/count_tokens"

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        raw, spans, model = _read(body)
        needs, stateful = needs_of(raw)
        needs &= ~UNCOUNTED
        tokens = len(body) // 4 + 1
        return Envelope(self.name, model, False, 0, True, tokens, body, spans["model"], needs=needs, stateful=stateful)

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        decode_count(self, body)
        return None, "", ""

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        return encode_count_request(request, target, refusals, notes)

    def decode_count(self, body: bytes) -> int:
        return decode_count(self, body)

    def encode_count(self, tokens: int) -> bytes:
        return encode_count(tokens)


def _read(body: bytes) -> tuple[RawMembers, dict[str, Span], str]:
    raw, spans = read_members(body, _READ)
    model = text_member(raw, "model")
    if "messages" not in raw:
        raise InvalidRequest("'messages' is missing; send a list of messages", field="messages")
    return raw, spans, model


def _own_thoughts(turn: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw] | None:
    """``turn`` without the thinking of others: itself where there is none, ``None`` where nothing else is in it."""
    content = turn.get("content")
    if content is None or STATE_MARK not in bytes(content) or bytes(content)[:1] != b"[":
        return turn
    blocks = _decode_blocks(content)
    kept = [block for block in blocks if not _is_foreign(block)]
    if len(kept) == len(blocks):
        return turn
    return turn | {"content": msgspec.Raw(_encode(kept))} if kept else None


def _is_foreign(block: msgspec.Raw) -> bool:
    if STATE_MARK not in bytes(block):
        return False
    value = _decode_object(block)
    if value.get("type") == "thinking":
        return is_wrapped(value.get("signature"))
    return value.get("type") == "redacted_thinking" and is_wrapped(value.get("data"))


def _has_budget(raw: RawMembers) -> bool:
    """Whether thinking is on in the way that demands the thinking before the calls of the turn being answered."""
    try:
        return bool(_decode_object(raw.get("thinking", b"{}")).get("type") == "enabled")
    except BAD_JSON:
        return False


def _chain_without_thoughts(turns: list[dict[str, msgspec.Raw]]) -> bool:
    """Whether the last turn of the assistant calls tools and does not begin with what it thought."""
    last = next((turn for turn in reversed(turns) if bytes(turn.get("role", b"")) == b'"assistant"'), {})
    content = bytes(last.get("content", b""))
    if content[:1] != b"[":
        return False
    try:
        kinds = [_decode_object(block).get("type") for block in _decode_blocks(content)]
    except BAD_JSON:
        return False
    return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")


def _error(error: TrimaranError, request_id: str) -> bytes:
    status = client_status(error)
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return _encode(
        {"type": "error", "error": {"type": kind, "message": reported(error).message}, "request_id": request_id or None}
    )
