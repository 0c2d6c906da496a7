"""``anthropic.messages``: the Messages API, requests, whole answers and errors. Streams are in
``anthropic_messages_stream``.

Translating a request to here: the instructions become ``system``, where empty pieces are left out because the API
refuses them and they say nothing. Instructions in the middle of a conversation are refused, because only the newest
models take them and moving them would change their meaning. Consecutive turns of one role stay as they are; the API
joins them. ``temperature`` ends at 1 here. A token limit is demanded: without one from the client the target's own is
taken, or :data:`DEFAULT_MAX_TOKENS`.

Thinking that a model volunteers is left out of a translated answer; its tokens are counted.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Target, Usage
from trimaran.wire.anthropic_messages_stream import (
    END_MARKER,
    MessagesDecoder,
    MessagesEncoder,
    MessagesPassRelay,
    WireUsage,
    neutral_finish,
    neutral_usage,
    stop_reason,
    usage_json,
)
from trimaran.wire.dialect import (
    Dialect,
    Envelope,
    Refusals,
    decode_json,
    means_nothing,
    number,
    plain_members,
    text_parts,
)
from trimaran.wire.events import Answer, ChatRequest, Message, Part
from trimaran.wire.failures import client_status, original_body, reported
from trimaran.wire.members import count_member, flag_member, read_members, text_member
from trimaran.wire.relay import StreamRelay

__all__ = ["DEFAULT_MAX_TOKENS", "AnthropicMessages"]

DEFAULT_MAX_TOKENS = 4096
"""Every model of the API can generate this many; more has to be asked for, by the client or in the target."""

_READ = frozenset({"model", "messages", "max_tokens", "stream", "system"})
_TRANSLATED = frozenset({"temperature", "top_p", "stop_sequences", "metadata"})
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "mcp_servers": ([],),
    "output_config": ({},),
    "service_tier": ("auto",),
    "speed": ("standard",),
    "thinking": ({"type": "disabled"},),
    "tool_choice": ({"type": "auto"}, {"type": "none"}),
    "tools": ([],),
}
"""Values that say the same as the member's absence. What qualifies tools says nothing without tools."""
_KNOWN = _READ | _TRANSLATED | _NEUTRAL.keys()

_SILENT_BLOCKS = frozenset({"thinking", "redacted_thinking"})

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


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str | None = None


class _Answer(msgspec.Struct):
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None
    error: Any = None


class _BlockHead(msgspec.Struct, gc=False):
    """A block that nobody looks into."""


class _AnswerHead(msgspec.Struct):
    content: list[_BlockHead] | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    error: Any = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_head = msgspec.json.Decoder(_AnswerHead).decode


class AnthropicMessages(Dialect):
    """Anthropic's Messages API."""

    name = "anthropic.messages"
    path = b"/v1/messages"
    end_marker = END_MARKER

    # The same dialect on both sides

    def read(self, body: bytes) -> Envelope:
        raw, spans = read_members(body, _READ)
        model = text_member(raw, "model")
        if "messages" not in raw:
            raise InvalidRequest("'messages' is missing; send a list of messages", field="messages")
        limit = count_member(raw, "max_tokens")
        if limit is None:
            raise InvalidRequest("'max_tokens' is missing; say how much may be generated", field="max_tokens")
        stream = "stream" in raw and flag_member(raw, "stream")
        return Envelope(self.name, model, stream, limit, True, len(body) // 4 + 1, body, spans["model"])

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        body = envelope.body
        if upstream_model == envelope.model:
            return body
        start, end = envelope.model_span
        return b"%b%b%b" % (body[:start], msgspec.json.encode(upstream_model), body[end:])

    def inspect(self, body: bytes) -> tuple[Usage | None, str]:
        head = decode_json(_decode_head, body, "the answer")
        if head.error is not None:
            raise self.error_in_answer(head.error)
        if head.content is None:
            raise MalformedAnswer("the answer has no content")
        reason = neutral_finish(head.stop_reason or "")
        return (None if head.usage is None else neutral_usage(head.usage)), reason

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return MessagesPassRelay(self)

    # Translation

    def decode_request(self, body: bytes, target: Target) -> ChatRequest:
        raw, _ = read_members(body, _KNOWN)
        fields = plain_members(raw)
        refusals = Refusals(self.name, target)
        for key in fields:
            if key not in _READ and key not in _TRANSLATED and not means_nothing(fields, _NEUTRAL, key):
                refusals.add(key)
        system, messages = _decode_messages(fields, refusals)
        request = ChatRequest(
            model=text_member(raw, "model"),
            messages=messages,
            system=system,
            max_output_tokens=count_member(raw, "max_tokens"),
            temperature=number(fields, "temperature"),
            top_p=number(fields, "top_p"),
            stop=_stop_sequences(fields),
            user=_user(fields, refusals),
            stream=flag_member(raw, "stream"),
        )
        refusals.check()
        return request

    def encode_request(self, request: ChatRequest, target: Target, source: str) -> bytes:
        refusals = Refusals(source, target)
        if request.temperature is not None and request.temperature > 1:
            refusals.add("temperature", f"{self.name} takes 0 to 1")
        if not request.messages:
            refusals.add("messages", "there is no turn besides the instructions")
        for place, message in enumerate(request.messages):
            if message.role == "system":
                refusals.add("messages", f"instructions after turn {place}; put them first")
        refusals.check()
        limit = request.max_output_tokens
        if limit is None:
            limit = target.max_output_tokens or DEFAULT_MAX_TOKENS
        body: dict[str, Any] = {
            "model": target.upstream_model,
            "max_tokens": limit,
            "messages": [{"role": message.role, "content": _content(message.parts)} for message in request.messages],
        }
        if system := [part for part in request.system if part.text]:
            body["system"] = _content(system)
        if request.stop:
            body["stop_sequences"] = request.stop
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.user is not None:
            body["metadata"] = {"user_id": request.user}
        if request.stream:
            body["stream"] = True
        return msgspec.json.encode(body)

    def decode_answer(self, body: bytes) -> Answer:
        wire = decode_json(_decode_answer, body, "the answer")
        if wire.error is not None:
            raise self.error_in_answer(wire.error)
        if wire.content is None:
            raise MalformedAnswer("the answer has no content")
        text: list[str] = []
        for block in wire.content:
            if block.type == "text":
                text.append(block.text or "")
            elif block.type not in _SILENT_BLOCKS:
                raise MalformedAnswer(f"the answer holds a {block.type} block, and the request asked for text")
        return Answer(
            id=wire.id,
            model=wire.model,
            text="".join(text),
            finish_reason=neutral_finish(wire.stop_reason or ""),
            stop_sequence=wire.stop_sequence,
            usage=None if wire.usage is None else neutral_usage(wire.usage),
        )

    def encode_answer(self, answer: Answer, created_s: int) -> bytes:
        usage = answer.usage or Usage()
        counts = usage_json(usage)
        if usage.cache_write_tokens:
            counts["cache_creation"] = {
                "ephemeral_5m_input_tokens": max(0, usage.cache_write_tokens - usage.cache_write_1h_tokens),
                "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
            }
        return msgspec.json.encode(
            {
                "id": answer.id,
                "type": "message",
                "role": "assistant",
                "model": answer.model,
                "content": [{"type": "text", "text": answer.text}] if answer.text else [],
                "stop_reason": stop_reason(answer.finish_reason),
                "stop_sequence": answer.stop_sequence,
                "usage": counts,
            }
        )

    def stream_decoder(self) -> MessagesDecoder:
        return MessagesDecoder(self)

    def stream_encoder(self, envelope: Envelope, created_s: int) -> MessagesEncoder:
        return MessagesEncoder()

    # Errors

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or _error(error, request_id)

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        return b"event: error\ndata: %b\n\n" % _error(error, request_id)


def _error(error: TrimaranError, request_id: str) -> bytes:
    status = client_status(error)
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": reported(error).message}, "request_id": request_id or None}
    )


def _content(parts: list[Part]) -> str | list[Part]:
    return parts[0].text if len(parts) == 1 else parts


def _decode_messages(fields: dict[str, Any], refusals: Refusals) -> tuple[list[Part], list[Message]]:
    """Instructions, and the turns."""
    items = fields.get("messages")
    if not isinstance(items, list) or not items:
        raise InvalidRequest("'messages' must be a list with at least one message", field="messages")
    system: list[Part] = []
    if fields.get("system") is not None:
        system = text_parts(fields["system"], "system", refusals)
    messages: list[Message] = []
    for place, item in enumerate(items):
        path = f"messages[{place}]"
        role = item.get("role") if isinstance(item, dict) else None
        if role not in ("user", "assistant", "system"):
            raise InvalidRequest(f"{path!r} must be an object with role user or assistant", field=path)
        for key in item:
            if key not in ("role", "content") and item[key] is not None:
                refusals.add(f"{path}.{key}")
        parts = text_parts(item.get("content"), f"{path}.content", refusals)
        if role == "system" and not messages:
            system += parts
        else:
            messages.append(Message(role, parts))
    return system, messages


def _stop_sequences(fields: dict[str, Any]) -> list[str]:
    value = fields.get("stop_sequences")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidRequest("'stop_sequences' must be a list of strings", field="stop_sequences")
    return value


def _user(fields: dict[str, Any], refusals: Refusals) -> str | None:
    metadata = fields.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise InvalidRequest("'metadata' must be an object", field="metadata")
    user = metadata.get("user_id")
    if user is not None and not isinstance(user, str):
        raise InvalidRequest("'metadata.user_id' must be a string", field="metadata.user_id")
    for key, value in metadata.items():
        if key != "user_id" and value is not None:
            refusals.add(f"metadata.{key}")
    return user
