"""``openai.chat``: the Chat Completions API, requests, whole answers and errors. Streams are in ``openai_chat_stream``.

Read with tolerance, because many servers speak this dialect: members that are missing or null are taken as absent, and
unknown ones pass. Usage counts cached prompt tokens inside ``prompt_tokens`` and reasoning inside
``completion_tokens``, as :class:`trimaran.types.Usage` does.

Translating a request away from here: leading ``system`` and ``developer`` messages become the neutral instructions,
later ones stay where they are. A conversation that ends with an assistant's turn is refused, because one dialect
continues such a turn and the other one answers it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.errors import ContentRefused, ContextTooLong, InvalidRequest, MalformedAnswer, RateLimited, TrimaranError
from trimaran.types import Target, Usage
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
from trimaran.wire.members import RawMembers, count_member, flag_member, plain, read_members, text_member
from trimaran.wire.openai_chat_stream import (
    END_MARKER,
    ChatDecoder,
    ChatEncoder,
    ChatPassRelay,
    WireUsage,
    finish_word,
    neutral_finish,
    neutral_usage,
    usage_json,
)
from trimaran.wire.relay import StreamRelay

__all__ = ["OpenAIChat"]

_READ = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"})
_TRANSLATED = frozenset({"temperature", "top_p", "stop", "user", "safety_identifier"})
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
}
"""Values that say the same as the member's absence. What qualifies tools says nothing without tools."""
_KNOWN = _READ | _TRANSLATED | _NEUTRAL.keys()
_MESSAGE_NEUTRAL: dict[str, tuple[Any, ...]] = {"tool_calls": ([],), "annotations": ([],)}
_INSTRUCTIONS = ("system", "developer")
_ROLES = ("system", "developer", "user", "assistant")

_MAX_STOP = 4
_OWN_PROVIDERS = frozenset({"openai", "azure_openai"})
"""Their reasoning models refuse ``max_tokens``; many compatible servers know nothing else."""

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES: tuple[tuple[type[TrimaranError], str], ...] = (
    (ContextTooLong, "context_length_exceeded"),
    (ContentRefused, "content_policy_violation"),
    (RateLimited, "rate_limit_exceeded"),
)
"""Codes that clients of this API branch on."""


class _AnswerMessage(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None


class _AnswerChoice(msgspec.Struct):
    message: _AnswerMessage | None = None
    finish_reason: str | None = None
    stop_reason: Any = None


class _Answer(msgspec.Struct):
    id: str = ""
    model: str = ""
    choices: list[_AnswerChoice] | None = None
    usage: WireUsage | None = None
    error: Any = None


class _HeadChoice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    stop_reason: Any = None


class _AnswerHead(msgspec.Struct):
    choices: list[_HeadChoice] | None = None
    usage: WireUsage | None = None
    error: Any = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_head = msgspec.json.Decoder(_AnswerHead).decode


class OpenAIChat(Dialect):
    """OpenAI's Chat Completions API."""

    name = "openai.chat"
    path = b"/v1/chat/completions"
    end_marker = END_MARKER

    # The same dialect on both sides

    def read(self, body: bytes) -> Envelope:
        raw, spans = read_members(body, _READ)
        model = text_member(raw, "model")
        if "messages" not in raw:
            raise InvalidRequest("'messages' is missing; send a list of messages", field="messages")
        limit = count_member(raw, "max_completion_tokens") if "max_completion_tokens" in raw else None
        if "max_tokens" in raw and (other := count_member(raw, "max_tokens")) is not None:
            limit = other if limit is None else max(limit, other)
        if "n" in raw and limit is not None:
            limit *= count_member(raw, "n") or 1
        stream = "stream" in raw and flag_member(raw, "stream")
        options = "stream_options" in raw and _options(raw).get("include_usage") is True
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
        )

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        body = envelope.body
        changes: list[tuple[int, int, bytes]] = []
        if upstream_model != envelope.model:
            start, end = envelope.model_span
            changes.append((start, end, msgspec.json.encode(upstream_model)))
        if envelope.stream and not envelope.include_usage:
            changes.append(_ask_usage(envelope))
        if len(changes) == 2:
            changes.sort()
        for start, end, text in reversed(changes):
            body = b"%b%b%b" % (body[:start], text, body[end:])
        return body

    def inspect(self, body: bytes) -> tuple[Usage | None, str]:
        head = decode_json(_decode_head, body, "the answer")
        if head.error is not None:
            raise self.error_in_answer(head.error)
        if not head.choices:
            raise MalformedAnswer("the answer has no choices")
        choice = head.choices[0]
        reason, _ = neutral_finish(choice.finish_reason or "", choice.stop_reason)
        return (None if head.usage is None else neutral_usage(head.usage)), reason

    def pass_relay(self, envelope: Envelope) -> StreamRelay:
        return ChatPassRelay(self, drop_usage=not envelope.include_usage)

    # Translation

    def decode_request(self, body: bytes, target: Target) -> ChatRequest:
        raw, _ = read_members(body, _KNOWN)
        fields = plain_members(raw)
        refusals = Refusals(self.name, target)
        for key in fields:
            if key not in _READ and key not in _TRANSLATED and not means_nothing(fields, _NEUTRAL, key):
                refusals.add(key)
        if count_member(raw, "n") not in (None, 1):
            refusals.add("n", "more than one choice")
        for key, value in _options(raw).items():
            if key != "include_usage" and value not in (None, False):
                refusals.add(f"stream_options.{key}")
        system, messages = _decode_messages(fields.get("messages"), refusals)
        request = ChatRequest(
            model=text_member(raw, "model"),
            messages=messages,
            system=system,
            max_output_tokens=_limit(raw, refusals),
            temperature=number(fields, "temperature"),
            top_p=number(fields, "top_p"),
            stop=_stop(fields),
            user=_user(fields, refusals),
            stream=flag_member(raw, "stream"),
        )
        refusals.check()
        return request

    def encode_request(self, request: ChatRequest, target: Target, source: str) -> bytes:
        refusals = Refusals(source, target)
        if len(request.stop) > _MAX_STOP:
            refusals.add("stop_sequences", f"{self.name} takes at most {_MAX_STOP}")
        refusals.check()
        messages = [_message(message.role, message.parts) for message in request.messages]
        if request.system:
            messages.insert(0, _message("system", request.system))
        body: dict[str, Any] = {"model": target.upstream_model, "messages": messages}
        if request.max_output_tokens is not None:
            key = "max_completion_tokens" if target.provider in _OWN_PROVIDERS else "max_tokens"
            body[key] = request.max_output_tokens
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.stop:
            body["stop"] = request.stop
        if request.user is not None:
            body["user"] = request.user
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(body)

    def decode_answer(self, body: bytes) -> Answer:
        wire = decode_json(_decode_answer, body, "the answer")
        if wire.error is not None:
            raise self.error_in_answer(wire.error)
        message = wire.choices[0].message if wire.choices else None
        if message is None:
            raise MalformedAnswer("the answer has no message")
        if message.tool_calls or message.function_call:
            raise MalformedAnswer("the answer calls a tool, and the request offered none")
        reason, stop_sequence = neutral_finish(wire.choices[0].finish_reason or "", wire.choices[0].stop_reason)
        if message.refusal:
            reason = "content_filter"
        return Answer(
            id=wire.id,
            model=wire.model,
            text=(message.content or "") + (message.refusal or ""),
            finish_reason=reason,
            stop_sequence=stop_sequence,
            usage=None if wire.usage is None else neutral_usage(wire.usage),
        )

    def encode_answer(self, answer: Answer, created_s: int) -> bytes:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": None,
            "finish_reason": finish_word(answer.finish_reason),
        }
        body: dict[str, Any] = {
            "id": answer.id,
            "object": "chat.completion",
            "created": created_s,
            "model": answer.model,
            "choices": [choice],
        }
        if answer.usage is not None:
            body["usage"] = usage_json(answer.usage)
        return msgspec.json.encode(body)

    def stream_decoder(self) -> ChatDecoder:
        return ChatDecoder(self)

    def stream_encoder(self, envelope: Envelope, created_s: int) -> ChatEncoder:
        return ChatEncoder(created_s, include_usage=envelope.include_usage)

    # Errors

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or msgspec.json.encode({"error": _error(error)})

    def write_stream_error(self, error: TrimaranError, request_id: str) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode({"error": _error(error)})


def _error(error: TrimaranError) -> dict[str, Any]:
    error = reported(error)
    status = client_status(error)
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    code = next((code for cls, code in _CODES if isinstance(error, cls)), error.code)
    return {"message": error.message, "type": kind, "param": error.field, "code": code}


def _ask_usage(envelope: Envelope) -> tuple[int, int, bytes]:
    """The change that makes a stream end with its usage: a new first member, or a new value of ``stream_options``."""
    body = envelope.body
    start, end = envelope.options_span
    if not end:
        at = body.index(b"{") + 1
        return at, at, b'"stream_options":{"include_usage":true},'
    options = msgspec.json.decode(body[start:end], type=dict[str, msgspec.Raw] | None) or {}
    return start, end, msgspec.json.encode(options | {"include_usage": msgspec.Raw(b"true")})


def _options(raw: RawMembers) -> dict[str, Any]:
    value = raw.get("stream_options")
    options = None if value is None else plain("stream_options", value)
    if options is None:
        return {}
    if not isinstance(options, dict) or not isinstance(options.get("include_usage"), bool | None):
        raise InvalidRequest(
            "'stream_options' must be an object such as {\"include_usage\": true}", field="stream_options"
        )
    return options


def _decode_messages(value: Any, refusals: Refusals) -> tuple[list[Part], list[Message]]:
    """Leading instructions, and the turns after them."""
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'messages' must be a list with at least one message", field="messages")
    system: list[Part] = []
    messages: list[Message] = []
    for place, item in enumerate(value):
        path = f"messages[{place}]"
        if not isinstance(item, dict) or not isinstance(role := item.get("role"), str):
            raise InvalidRequest(f"{path!r} must be an object with a role", field=path)
        if role not in _ROLES:
            refusals.add(path, f"role {role!r}")
            continue
        for key in item:
            if key not in ("role", "content") and not means_nothing(item, _MESSAGE_NEUTRAL, key):
                refusals.add(f"{path}.{key}")
        if item.get("content") is None and (item.get("tool_calls") or item.get("function_call")):
            continue
        parts = text_parts(item.get("content"), f"{path}.content", refusals)
        if role in _INSTRUCTIONS and not messages:
            system += parts
        else:
            messages.append(Message("system" if role == "developer" else role, parts))  # type: ignore[arg-type]
    return system, messages


def _message(role: str, parts: list[Part]) -> dict[str, Any]:
    if len(parts) == 1:
        return {"role": role, "content": parts[0].text}
    return {"role": role, "content": parts}


def _limit(raw: RawMembers, refusals: Refusals) -> int | None:
    """``max_completion_tokens`` took the place of ``max_tokens``; both may stand when they agree."""
    old = count_member(raw, "max_tokens")
    new = count_member(raw, "max_completion_tokens")
    if old is not None and new is not None and old != new:
        refusals.add("max_tokens", "max_completion_tokens says otherwise")
    return old if new is None else new


def _stop(fields: dict[str, Any]) -> list[str]:
    value = fields.get("stop")
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise InvalidRequest("'stop' must be a string or a list of strings", field="stop")
    return values


def _user(fields: dict[str, Any], refusals: Refusals) -> str | None:
    """``safety_identifier`` took the place of ``user``; both may stand when they agree."""
    old, new = fields.get("user"), fields.get("safety_identifier")
    for key, value in (("user", old), ("safety_identifier", new)):
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(f"{key!r} must be a string", field=key)
    if old is not None and new is not None and old != new:
        refusals.add("safety_identifier", "user says otherwise")
    return old if new is None else new
