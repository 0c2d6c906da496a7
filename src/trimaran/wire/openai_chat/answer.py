"""Whole answers of this API.

Read with tolerance, because many servers speak this dialect: members that are missing or null are taken as absent, and
those that say something about the answer and nothing in it (a fingerprint, filter results) are left out of a translated
one. Content that no other dialect could carry (audio, further choices, calls of other kinds) is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import decode_json
from trimaran.wire.events import Answer
from trimaran.wire.openai_chat.reasoning import own_reasoning, reasoning_members
from trimaran.wire.openai_chat.usage import (
    WireUsage,
    finish_word,
    neutral_finish,
    neutral_tier,
    neutral_usage,
    tier_word,
    usage_json,
)

__all__ = ["WireCall", "arguments_text", "call_id", "decode_answer", "encode_answer", "entries", "settled_reason"]


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class WireCall(msgspec.Struct):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: Any = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[WireCall] | None = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    logprobs: Any = None


class _Answer(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def decode_answer(body: bytes, error_of: Callable[[Any], AttemptError]) -> Answer:
    """See :meth:`trimaran.wire.dialect.ChatDialect.decode_answer`; ``error_of`` says what an error in the body means."""
    wire = decode_json(_decode, body, "the answer")
    if wire.error is not None:
        raise error_of(wire.error)
    message = wire.choices[0].message if wire.choices else None
    if message is None:
        raise MalformedAnswer("the answer has no message")
    if len(wire.choices) > 1:
        raise MalformedAnswer("the answer has several choices, and one was asked for")
    choice = wire.choices[0]
    word, stop_sequence = neutral_finish(choice.finish_reason or "", choice.stop_reason)
    calls = _calls(message, wire.id or "", cut=word == "length")
    details = [detail for detail in message.reasoning_details or () if isinstance(detail, dict)]
    parts: list[Part] = list(own_reasoning(message.reasoning_content or message.reasoning or "", details))
    if message.content:
        parts.append(Text(message.content))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    parts += calls
    return Answer(
        id=wire.id or "",
        model=wire.model or "",
        parts=parts,
        finish_reason=settled_reason(word, refused=bool(message.refusal), called=bool(calls)),
        stop_sequence=stop_sequence,
        usage=None if wire.usage is None else neutral_usage(wire.usage, wire.model),
        logprobs=entries(choice.logprobs),
        service_tier=neutral_tier(wire.service_tier or ""),
    )


def settled_reason(word: str, *, refused: bool, called: bool) -> str:
    """The neutral reason. This API says ``stop`` also for a refusal and, where a tool was forced, for its call."""
    if word in ("stop", ""):
        return "content_filter" if refused else "tool_calls" if called else word
    return word


def call_id(answer_id: str, place: int) -> str:
    """The id of a call whose server gave it none."""
    digest = hashlib.blake2b(f"{answer_id}/{place}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"call_{digest}"


def arguments_text(value: Any) -> str:
    """Arguments as JSON text; some servers write the object itself."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def entries(logprobs: Any) -> list[Any] | None:
    """The log-probabilities of one choice; ``None`` where there are none."""
    if not isinstance(logprobs, dict):
        return None
    found = [item for key in ("content", "refusal") if isinstance(items := logprobs.get(key), list) for item in items]
    return found or None


def _calls(message: _Message, answer_id: str, *, cut: bool) -> list[Part]:
    if message.function_call or message.audio:
        kind = "a legacy function call" if message.function_call else "audio"
        raise MalformedAnswer(f"the answer holds {kind}, which was not asked for")
    calls: list[Part] = []
    for place, wire in enumerate(message.tool_calls or ()):
        if wire.custom is not None or wire.type not in (None, "function"):
            raise MalformedAnswer(f"the answer holds a call of type {wire.type!r}, and only functions were offered")
        if wire.function is None or not wire.function.name:
            raise MalformedAnswer("the answer holds a tool call without a name")
        arguments = arguments_text(wire.function.arguments)
        if not arguments.strip() and not cut:
            arguments = "{}"
        calls.append(ToolCall(wire.id or call_id(answer_id, place), wire.function.name, arguments))
    return calls


def encode_answer(answer: Answer, created_s: int) -> bytes:
    """See :meth:`trimaran.wire.dialect.ChatDialect.encode_answer`."""
    message, refused = _message(answer)
    logprobs = None
    if answer.logprobs is not None:
        logprobs = {"content": None if refused else answer.logprobs, "refusal": answer.logprobs if refused else None}
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": finish_word(answer.finish_reason),
    }
    if answer.stop_sequence:
        choice["stop_reason"] = answer.stop_sequence
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": created_s,
        "model": answer.model,
        "choices": [choice],
    }
    if answer.service_tier:
        body["service_tier"] = tier_word(answer.service_tier)
    if answer.usage is not None:
        body["usage"] = usage_json(answer.usage)
    return msgspec.json.encode(body)


def _message(answer: Answer) -> tuple[dict[str, Any], bool]:
    """The message, and whether it is nothing but a refusal."""
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[Reasoning] = []
    for part in answer.parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Refusal):
            refusals.append(part.text)
        elif isinstance(part, Reasoning):
            thoughts.append(part)
        elif isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments}
            calls.append({"id": part.id, "type": "function", "function": function})
        else:
            raise MalformedAnswer(f"the answer holds {type(part).__name__}, which this dialect cannot carry")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts or not (refusals or calls) else None,
        "refusal": "".join(refusals) or None,
    }
    if calls:
        message["tool_calls"] = calls
    return message | reasoning_members(thoughts), bool(refusals) and not texts
