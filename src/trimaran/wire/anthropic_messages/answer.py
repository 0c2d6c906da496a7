"""Whole answers, decoded and written.

What is decoded: text, thinking with its signatures, tool calls. A citation or a block of a server tool was never asked
for in a translated request, so an answer that holds one is malformed. Why a request was refused stands beside the
content here, and is a part elsewhere; another provider's refusal is written as both, because most clients show only the
content.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.anthropic_messages.blocks import arguments_object
from trimaran.wire.anthropic_messages.usage import (
    ORIGIN,
    WireUsage,
    neutral_finish,
    neutral_tier,
    neutral_usage,
    stop_members,
    usage_json,
)
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import Dialect, TokenCount, decode_json
from trimaran.wire.events import Answer
from trimaran.wire.state import wrap_state

__all__ = [
    "StopDetails",
    "decode_answer",
    "decode_count",
    "encode_answer",
    "encode_count",
    "inspect_answer",
    "signature",
]

_CUT = ("length", "context_window")


class StopDetails(msgspec.Struct, gc=False):
    """Why a request was refused."""

    explanation: str | None = None


class _Answer(msgspec.Struct):
    id: str = ""
    model: str = ""
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: WireUsage | None = None
    error: Any = None


class _BlockHead(msgspec.Struct, gc=False):
    """A block that nobody looks into."""


class _AnswerHead(msgspec.Struct):
    content: list[_BlockHead] | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    error: Any = None


class _Count(msgspec.Struct):
    input_tokens: TokenCount | None = None
    error: Any = None


class _Kind(msgspec.Struct):
    type: str


class _Text(msgspec.Struct, tag="text"):
    text: str
    citations: list[Any] | None = None


class _Thinking(msgspec.Struct, tag="thinking"):
    thinking: str
    signature: str = ""


class _Redacted(msgspec.Struct, tag="redacted_thinking"):
    data: str


class _ToolUse(msgspec.Struct, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_head = msgspec.json.Decoder(_AnswerHead).decode
_decode_count = msgspec.json.Decoder(_Count).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_block = msgspec.json.Decoder(_Text | _Thinking | _Redacted | _ToolUse).decode
_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})


def inspect_answer(dialect: Dialect, body: bytes) -> tuple[Usage | None, str, str]:
    """Usage, neutral finish reason and neutral service tier of an answer that passes."""
    head = decode_json(_decode_head, body, "the answer")
    _check(dialect, head.error, head.content is not None)
    reason = neutral_finish(head.stop_reason or "")
    if head.usage is None:
        return None, reason, ""
    return neutral_usage(head.usage), reason, neutral_tier(head.usage)


def decode_answer(dialect: Dialect, body: bytes) -> Answer:
    """An answer as neutral values."""
    wire = decode_json(_decode_answer, body, "the answer")
    _check(dialect, wire.error, wire.content is not None)
    parts = [part for block in wire.content or () if (part := _decode_part(block)) is not None]
    if wire.stop_details is not None and (explanation := wire.stop_details.explanation):
        _explain(parts, explanation)
    usage = wire.usage
    return Answer(
        id=wire.id,
        model=wire.model,
        parts=parts,
        finish_reason=neutral_finish(wire.stop_reason or ""),
        stop_sequence=wire.stop_sequence,
        usage=None if usage is None else neutral_usage(usage),
        service_tier="" if usage is None else neutral_tier(usage),
    )


def decode_count(dialect: Dialect, body: bytes) -> int:
    """The tokens of a count."""
    wire: _Count = decode_json(_decode_count, body, "the count")
    _check(dialect, wire.error, True)
    if wire.input_tokens is None:
        raise MalformedAnswer("the count has no input_tokens")
    return max(0, wire.input_tokens)


def encode_count(tokens: int) -> bytes:
    """The body of a count."""
    return msgspec.json.encode({"input_tokens": tokens})


def encode_answer(answer: Answer) -> bytes:
    """An answer for a client. Raises :class:`MalformedAnswer` where a call's arguments are no JSON object, unless the
    answer was cut; then the call is left out, and the stop reason says why."""
    cut = answer.finish_reason in _CUT
    blocks = [block for part in answer.parts if (block := _encode_part(part, cut)) is not None]
    called = any(block["type"] == "tool_use" for block in blocks)
    refusal = "".join(part.text for part in answer.parts if isinstance(part, Refusal))
    body: dict[str, Any] = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": blocks,
        **stop_members(answer.finish_reason, answer.stop_sequence, called=called, refusal=refusal),
        "usage": usage_json(answer.usage or Usage(), answer.service_tier),
    }
    return msgspec.json.encode(body)


def signature(reasoning: Reasoning) -> str:
    """What goes where this API has its own signature or encrypted thinking."""
    return reasoning.state if reasoning.origin == ORIGIN else wrap_state(reasoning)


def _check(dialect: Dialect, error: Any, content: bool) -> None:
    if error is not None:
        found: AttemptError = dialect.error_in_answer(error)
        raise found
    if not content:
        raise MalformedAnswer("the answer has no content")


def _explain(parts: list[Part], explanation: str) -> None:
    """Tell the refusal once, where the content has said it, too."""
    if (said := Text(explanation)) in parts:
        parts[parts.index(said)] = Refusal(explanation)
    else:
        parts.append(Refusal(explanation))


def _decode_part(block: msgspec.Raw) -> Part | None:
    kind = decode_json(_decode_kind, block, "a block of the answer").type
    if kind not in _BLOCKS:
        raise MalformedAnswer(f"the answer holds a block of type {kind!r}, and the request did not ask for one")
    wire = decode_json(_decode_block, block, f"a {kind} block of the answer")
    if isinstance(wire, _Text):
        if wire.citations:
            raise MalformedAnswer("the answer holds citations, and the request did not ask for any")
        return Text(wire.text) if wire.text else None
    if isinstance(wire, _Thinking):
        return Reasoning(wire.thinking, wire.signature, ORIGIN)
    if isinstance(wire, _Redacted):
        return Reasoning("", wire.data, ORIGIN, hidden=True)
    return ToolCall(wire.id, wire.name, decode_json(bytes.decode, bytes(wire.input), "a tool call's input"))


def _encode_part(part: Part, cut: bool) -> dict[str, Any] | None:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, Reasoning):
        if not part.text and not part.state:
            return None
        if part.hidden:
            return {"type": "redacted_thinking", "data": signature(part)}
        return {"type": "thinking", "thinking": part.text, "signature": signature(part)}
    if isinstance(part, ToolCall):
        value = arguments_object(part.arguments)
        if value is not None:
            return {"type": "tool_use", "id": fitting_id(part.id), "name": part.name, "input": value}
        if cut:
            return None
        raise MalformedAnswer(f"the arguments of the call of {part.name!r} are no JSON object")
    raise MalformedAnswer(f"the answer holds a part of kind {type(part).__name__}, which this dialect cannot carry")
