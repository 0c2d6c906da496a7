"""Writes an answer in ``bedrock.converse``, whole or as events.

As from the real service: a text has no ``contentBlockStart``, events carry a padding ``p``, and the usage has members
that botocore's model does not know (response bodies quoted in public issue threads, 2025 and 2026).
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trimaran.testing.aws import AwsRefusal
from trimaran.testing.event_stream import broken, error, event, exception
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Usage
from trimaran.testing.part_writer import PartWriter
from trimaran.testing.signing import sign

__all__ = ["ConverseWriter", "in_stream"]

_encode = msgspec.json.encode
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "content_filtered",
}
_TIERS = {"standard": "default", "auto": "default"}
_UNITS = (
    "topicPolicyUnits",
    "contentPolicyUnits",
    "wordPolicyUnits",
    "sensitiveInformationPolicyUnits",
    "sensitiveInformationPolicyFreeUnits",
    "contextualGroundingPolicyUnits",
)


class ConverseWriter(PartWriter):
    """See :class:`~trimaran.testing.dialect.AnswerWriter`.

    A refusal is a text with the stop reason ``content_filtered``, or ``guardrail_intervened`` where the request names a
    guardrail. A text without words has no block.
    """

    __slots__ = ("_block", "_prompt", "_serial")

    def __init__(self, prompt: Prompt, reply: Reply, serial: int) -> None:
        super().__init__(reply)
        self._prompt = prompt
        self._serial = serial
        self._block = -1

    def unary(self) -> bytes:
        """The whole answer."""
        content = [self._whole(part) for part in self._reply.parts if _shown(part)]
        return _encode(
            {
                "metrics": self._metrics(),
                "output": {"message": {"content": content, "role": "assistant"}},
                **self._ending(),
                "usage": _usage(self._reply.usage),
                **self._details(),
            }
        )

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return _encode({"message": refusal.message, "__type": refusal.kind})

    def opening(self) -> bytes:
        """The start of the message and of its first block."""
        return _event("messageStart", {"role": "assistant"}) + self.advance()

    def open_part(self, part: Part) -> bytes:
        """The start of a block; only that of a tool use is an event, and redacted reasoning is one delta."""
        if not _shown(part):
            return b""
        self._block += 1
        if part.tool_call is not None:
            use = {"toolUseId": self._tool_id(part.tool_call.index), "name": part.tool_call.name}
            return self._of_block("contentBlockStart", {"start": {"toolUse": use}})
        if part.kind == "redacted":
            return self._delta({"reasoningContent": {"redactedContent": _redacted(part)}})
        return b""

    def delta(self, piece: str) -> bytes:
        """One token of a block."""
        kind = self.part.kind
        if kind == "tool_call":
            return self._delta({"toolUse": {"input": piece}})
        if kind == "reasoning":
            return self._delta({"reasoningContent": {"text": piece}})
        return self._delta({"text": piece})

    def close_part(self, part: Part) -> bytes:
        """The end of a block; reasoning is signed at its end."""
        if not _shown(part):
            return b""
        signed = b""
        if part.kind == "reasoning":
            signed = self._delta({"reasoningContent": {"signature": _signature(part)}})
        return signed + self._of_block("contentBlockStop", {})

    def closing(self, *, end_marker: bool) -> bytes:
        """The stop reason, and the metadata as the last event of all."""
        events = self.advance() + _event("messageStop", self._ending())
        if not end_marker:
            return events
        metadata = {"usage": _usage(self._reply.usage), "metrics": self._metrics(), **self._details()}
        return events + _event("metadata", metadata)

    def malformed(self) -> bytes:
        """An event with a wrong checksum."""
        return broken(_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "?"}}))

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An exception, or an error that the service's model does not know."""
        return in_stream(refusal, bare=bare)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._of_block("contentBlockDelta", {"delta": delta})

    def _of_block(self, name: str, fields: dict[str, Any]) -> bytes:
        return _event(name, {"contentBlockIndex": self._block, **fields})

    def _whole(self, part: Part) -> dict[str, Any]:
        """A block with its content."""
        if part.tool_call is not None:
            call = part.tool_call
            return {"toolUse": {"toolUseId": self._tool_id(call.index), "name": call.name, "input": call.arguments}}
        if part.kind == "reasoning":
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": _signature(part)}}}
        if part.kind == "redacted":
            return {"reasoningContent": {"redactedContent": _redacted(part)}}
        return {"text": part.text}

    def _tool_id(self, index: int) -> str:
        return f"tooluse_simulated{self._serial:08d}" + (f"_{index}" if index else "")

    def _metrics(self) -> dict[str, int]:
        return {"latencyMs": 100 + 10 * len(self._reply.pieces)}

    def _ending(self) -> dict[str, Any]:
        """Stop reason, and the members of the model's own answer that were asked for."""
        reply = self._reply
        reason = _FINISH[reply.finish]
        if reply.finish == "refusal" and self._prompt.request.guardrail:
            reason = "guardrail_intervened"
        ending: dict[str, Any] = {"stopReason": reason}
        own = {"stop_sequence": reply.stop_sequence, "stop_reason": reason, "model": self._prompt.model}
        asked = {path[1:]: own[path[1:]] for path in self._prompt.request.paths if path[1:] in own}
        if asked:
            ending["additionalModelResponseFields"] = asked
        return ending

    def _details(self) -> dict[str, Any]:
        """Trace, latency and tier, where they were asked for."""
        asked = self._prompt.request
        details: dict[str, Any] = {}
        if asked.guardrail and asked.trace:
            details["trace"] = {"guardrail": self._trace(asked.guardrail)}
        if asked.latency:
            details["performanceConfig"] = {"latency": asked.latency}
        if tier := self._reply.service_tier or self._prompt.service_tier:
            details["serviceTier"] = {"type": _TIERS.get(tier, tier)}
        return details

    def _trace(self, guardrail: str) -> dict[str, Any]:
        metrics = {
            "guardrailProcessingLatency": 120,
            "usage": dict.fromkeys(_UNITS, 0) | {"contentPolicyUnits": 1},
            "guardrailCoverage": {"textCharacters": {"guarded": 1, "total": 1}},
        }
        if self._reply.finish != "refusal":
            return {"inputAssessment": {guardrail: {"invocationMetrics": metrics}}}
        hit = {"type": "MISCONDUCT", "confidence": "HIGH", "filterStrength": "HIGH", "action": "BLOCKED"}
        assessment = {"contentPolicy": {"filters": [hit]}, "invocationMetrics": metrics}
        return {"actionReason": "Guardrail blocked.", "inputAssessment": {guardrail: assessment}}


def in_stream(refusal: Refusal, *, bare: bool = False) -> bytes:
    """An error inside a stream. Names of exceptions begin in lower case there."""
    if bare:
        return error(refusal.kind, refusal.message)
    name = refusal.kind[:1].lower() + refusal.kind[1:]
    members = refusal.members if isinstance(refusal, AwsRefusal) else {}
    if name == "modelErrorException":
        name = "modelStreamErrorException"
    if name == "modelStreamErrorException":
        members = {"originalStatusCode": refusal.status, "originalMessage": refusal.message, **members}
    return exception(name, _encode({"message": refusal.message, **members}))


def _event(name: str, fields: dict[str, Any]) -> bytes:
    payload = _encode(fields)
    padding = _PADDING[: 4 + len(payload) % 40]
    return event(name, b'%b,"p":"%b"}' % (payload[:-1], padding.encode()))


def _shown(part: Part) -> bool:
    """Whether a part is a block."""
    return part.kind not in ("text", "refusal") or bool(part.pieces)


def _signature(part: Part) -> str:
    return sign("thinking", part.hidden_text or part.text)


def _redacted(part: Part) -> str:
    """A blob, in base64."""
    return base64.b64encode(sign("redacted", part.hidden_text).encode()).decode()


def _usage(usage: Usage) -> dict[str, Any]:
    """Cached tokens are counted beside the other input; the total holds them all."""
    row: dict[str, Any] = {
        "inputTokens": usage.input - usage.cached_read - usage.cache_write,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "cacheReadInputTokens": usage.cached_read,
        "cacheReadInputTokenCount": usage.cached_read,
        "cacheWriteInputTokens": usage.cache_write,
        "cacheWriteInputTokenCount": usage.cache_write,
        "serverToolUsage": {},
    }
    by_ttl = (("1h", usage.cache_write_1h), ("5m", usage.cache_write - usage.cache_write_1h))
    if details := [{"ttl": ttl, "inputTokens": count} for ttl, count in by_ttl if count]:
        row["cacheDetails"] = details
    return row
