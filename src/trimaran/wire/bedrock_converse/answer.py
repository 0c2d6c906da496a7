"""Whole answers, decoded and written.

What is decoded: text, reasoning with its signatures, tool calls. Anything else (citations, a picture) was never asked for
in a translated request, so an answer that holds it is malformed, and so is one whose model broke off in a malformed call.
An answer of this API has neither an id nor the model's name: the id is made from the body.

``metrics.latencyMs`` is demanded in an answer and nobody here has a clock, so it is 0. A stop sequence is told where the
client asked for it, in ``additionalModelResponseFields``.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.bedrock_converse.blocks import arguments_object
from trimaran.wire.bedrock_converse.request import STOP_SEQUENCE_PATH
from trimaran.wire.bedrock_converse.usage import (
    BROKEN,
    ORIGIN,
    WirePerformance,
    WireTier,
    WireUsage,
    neutral_finish,
    neutral_tier,
    neutral_usage,
    stop_word,
    tier_json,
    usage_json,
)
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import Envelope, decode_json
from trimaran.wire.events import Answer
from trimaran.wire.members import BAD_JSON
from trimaran.wire.state import wrap_state

__all__ = [
    "ExtraFields",
    "broken",
    "decode_answer",
    "encode_answer",
    "inspect_answer",
    "reasoning_json",
    "stop_fields",
    "stop_sequence",
    "wants_stop_sequence",
]

_CUT = ("length", "context_window")


class ExtraFields(msgspec.Struct, gc=False):
    """``additionalModelResponseFields``."""

    stop_sequence: Any = None


class _ReasoningText(msgspec.Struct, gc=False):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, gc=False):
    reasoningText: _ReasoningText | None = None
    redactedContent: str | None = None


class _ToolUse(msgspec.Struct, gc=False):
    toolUseId: str
    name: str
    input: msgspec.Raw
    type: str | None = None


class _Block(msgspec.Struct, gc=False):
    text: str | None = None
    reasoningContent: _Reasoning | None = None
    toolUse: _ToolUse | None = None


class _Message(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


class _Output(msgspec.Struct):
    message: _Message | None = None


class _Answer(msgspec.Struct):
    output: _Output | None = None
    stopReason: str | None = None
    usage: WireUsage | None = None
    serviceTier: WireTier | None = None
    performanceConfig: WirePerformance | None = None
    additionalModelResponseFields: msgspec.Raw = msgspec.Raw(b"null")


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_decode_kinds = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_fields = msgspec.json.Decoder(ExtraFields | None).decode
_decode_paths = msgspec.json.Decoder(list[str] | None).decode


def inspect_answer(body: bytes) -> tuple[Usage | None, str, str]:
    """Usage, neutral finish reason and neutral service tier of an answer that passes."""
    wire, _ = _read(body)
    usage = None if wire.usage is None else neutral_usage(wire.usage)
    return usage, neutral_finish(wire.stopReason or ""), neutral_tier(wire.serviceTier, wire.performanceConfig)


def decode_answer(body: bytes) -> Answer:
    """An answer as neutral values."""
    wire, content = _read(body)
    word = wire.stopReason or ""
    if word in BROKEN:
        raise broken(word)
    parts = [part for block in content if (part := _decode_part(block)) is not None]
    return Answer(
        id=f"msg_{hashlib.blake2b(body, digest_size=12).hexdigest()}",
        model="",
        parts=parts,
        finish_reason=neutral_finish(word),
        stop_sequence=stop_sequence(wire.additionalModelResponseFields),
        usage=None if wire.usage is None else neutral_usage(wire.usage),
        service_tier=neutral_tier(wire.serviceTier, wire.performanceConfig),
    )


def encode_answer(answer: Answer, envelope: Envelope | None) -> bytes:
    """An answer for a client. Raises :class:`MalformedAnswer` where a call's arguments are no JSON object, unless the
    answer was cut; then the call is left out, and the stop reason says why."""
    cut = answer.finish_reason in _CUT
    blocks = [block for part in answer.parts if (block := _encode_part(part, cut)) is not None]
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": stop_word(
            answer.finish_reason,
            called=any("toolUse" in block for block in blocks),
            refused=any(isinstance(part, Refusal) for part in answer.parts),
        ),
        "usage": usage_json(answer.usage or Usage()),
        "metrics": {"latencyMs": 0},
        **stop_fields(answer.stop_sequence, wants_stop_sequence(envelope)),
        **tier_json(answer.service_tier),
    }
    return msgspec.json.encode(body)


def wants_stop_sequence(envelope: Envelope | None) -> bool:
    """Whether the request asks to be told which stop sequence ended the answer; whoever has none of this dialect is told."""
    if envelope is None or envelope.dialect != ORIGIN:
        return True
    try:
        paths = _decode_paths(envelope.members.get("additionalModelResponseFieldPaths", b"null"))
    except BAD_JSON:
        return False
    return STOP_SEQUENCE_PATH in (paths or ())


def stop_fields(sequence: str | None, wanted: bool) -> dict[str, Any]:
    """The member of an answer, or of a stream's ``messageStop``, that names the stop sequence."""
    return {"additionalModelResponseFields": {"stop_sequence": sequence}} if wanted and sequence else {}


def stop_sequence(fields: msgspec.Raw) -> str | None:
    """The stop sequence in ``additionalModelResponseFields``, which may be anything."""
    try:
        found = _decode_fields(fields)
    except BAD_JSON:
        return None
    return found.stop_sequence if found is not None and isinstance(found.stop_sequence, str) else None


def reasoning_json(part: Reasoning) -> dict[str, Any] | None:
    """``reasoningContent`` for a client. The state of another provider travels as the signature, hidden or not: only what
    this API hid itself is redacted content."""
    if not part.text and not part.state:
        return None
    own = part.origin == ORIGIN
    if own and part.hidden:
        return {"redactedContent": part.state}
    signature = part.state if own else wrap_state(part)
    return {"reasoningText": {"text": part.text} | ({"signature": signature} if signature else {})}


def broken(word: str) -> MalformedAnswer:
    """What it means that the model's output was broken."""
    return MalformedAnswer(f"the model's output was broken: the answer ended with {word!r}")


def _read(body: bytes) -> tuple[_Answer, list[msgspec.Raw]]:
    wire: _Answer = decode_json(_decode_answer, body, "the answer")
    message = wire.output.message if wire.output is not None else None
    if message is None or message.content is None:
        raise MalformedAnswer("the answer has no output.message.content")
    return wire, message.content


def _decode_part(block: msgspec.Raw) -> Part | None:
    wire: _Block = decode_json(_decode_block, block, "a block of the answer")
    if wire.text is not None:
        return Text(wire.text) if wire.text else None
    if wire.toolUse is not None and wire.toolUse.type is None:
        call = wire.toolUse
        return ToolCall(call.toolUseId, call.name, decode_json(bytes.decode, bytes(call.input), "a tool call's input"))
    if (thought := wire.reasoningContent) is not None:
        if thought.redactedContent is not None:
            return Reasoning("", thought.redactedContent, ORIGIN, hidden=True)
        if (said := thought.reasoningText) is not None:
            return Reasoning(said.text, said.signature or "", ORIGIN)
    kinds = ", ".join(decode_json(_decode_kinds, block, "a block of the answer")) or "no kind"
    raise MalformedAnswer(f"the answer holds a block of {kinds}, and the request did not ask for one")


def _encode_part(part: Part, cut: bool) -> dict[str, Any] | None:
    if isinstance(part, Text | Refusal):
        return {"text": part.text} if part.text else None
    if isinstance(part, Reasoning):
        written = reasoning_json(part)
        return None if written is None else {"reasoningContent": written}
    if isinstance(part, ToolCall):
        value = arguments_object(part.arguments)
        if value is not None:
            return {"toolUse": {"toolUseId": fitting_id(part.id), "name": part.name, "input": value}}
        if cut:
            return None
        raise MalformedAnswer(f"the arguments of the call of {part.name!r} are no JSON object")
    raise MalformedAnswer(f"the answer holds a part of kind {type(part).__name__}, which this dialect cannot carry")
