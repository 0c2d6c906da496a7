"""The ``bedrock.invoke`` wire format: a model's own body through InvokeModel and InvokeModelWithResponseStream.

Which form a model takes follows from its id, or, for a name of no known family, from the body. Whatever it is, Bedrock puts
the same around it: header lines with the tokens of a whole answer, and ``chunk`` events whose payload holds the model's next
JSON document in base64; the last one has the metrics of the invocation.

Sources: botocore 1.44.8; AWS's guide, "Inference request parameters and response fields for foundation models", read
2026-11-30; header lines as quoted in public issue threads (2024 to 2026).
"""

from __future__ import annotations

import base64
from typing import Any, ClassVar, Protocol

import msgspec

from trimaran.testing.bedrock_converse import Asked
from trimaran.testing.bedrock_converse_writer import in_stream
from trimaran.testing.bedrock_dialect import BedrockDialect, violation
from trimaran.testing.bedrock_invoke_claude import ClaudeBody
from trimaran.testing.bedrock_invoke_text import LlamaBody, MistralBody
from trimaran.testing.bedrock_models import Served, refused
from trimaran.testing.dialect import AnswerWriter, Request, header
from trimaran.testing.event_stream import broken, event
from trimaran.testing.exchange import Prompt, Refusal, Reply

__all__ = ["BedrockInvoke"]

_encode = msgspec.json.encode
_METRICS = "amazon-bedrock-invocationMetrics"
_ACTION = "amazon-bedrock-guardrailAction"
_TIERS = ("priority", "default", "flex", "reserved")
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Body(Protocol):
    """A model's own form."""

    def read(self, body: bytes, model_id: str, served: Served) -> Prompt:
        """Raises :class:`~trimaran.testing.exchange.Refusal` (400)."""

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """Its events are server-sent ones, one JSON document each."""


class BedrockInvoke(BedrockDialect):
    """``POST /model/{id}/invoke`` and ``POST /model/{id}/invoke-with-response-stream``."""

    name = "bedrock.invoke"
    operations: ClassVar[dict[bytes, bool]] = {b"invoke": False, b"invoke-with-response-stream": True}
    _bodies: ClassVar[dict[str, _Body]] = {"claude": ClaudeBody(), "llama": LlamaBody(), "mistral": MistralBody()}

    def read(self, request: Request) -> Prompt:
        """Reads a body of any family."""
        model_id, streams, served = self.model(request)
        served = served._replace(family=served.family or _family(request.body))
        prompt = self._bodies[served.family].read(request.body, model_id, served)
        prompt.stream = streams
        guardrail = _text(request, b"x-amzn-bedrock-guardrailidentifier")
        tier = _text(request, b"x-amzn-bedrock-service-tier")
        if tier and tier not in _TIERS:
            raise violation("serviceTier", f"satisfy enum value set: [{', '.join(_TIERS)}]", f"'{tier}'")
        prompt.service_tier = tier or None
        prompt.request = Asked(served, guardrail, form=prompt.request or "")
        return prompt

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> InvokeWriter:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        own = self._bodies[prompt.request.served.family].writer(prompt, reply, serial)
        return InvokeWriter(own, prompt, reply)


class InvokeWriter:
    """See :class:`~trimaran.testing.dialect.AnswerWriter`. ``own`` writes the model's documents."""

    content_type = b"application/json"
    __slots__ = ("_own", "_prompt", "_reply", "_took_ms")

    def __init__(self, own: AnswerWriter, prompt: Prompt, reply: Reply) -> None:
        self._own = own
        self._prompt = prompt
        self._reply = reply
        self._took_ms = 0

    def lines(self, took_ms: int) -> bytes:
        """Tokens and latency of a whole answer; the documents' type of a stream."""
        self._took_ms = took_ms
        tier = self._reply.service_tier or self._prompt.service_tier
        lines = f"\r\nX-Amzn-Bedrock-Service-Tier: {tier}" if tier else ""
        if self._prompt.stream:
            return f"{lines}\r\nX-Amzn-Bedrock-Content-Type: application/json".encode()
        usage = self._reply.usage
        counts = {
            "input-token-count": usage.input - usage.cached_read - usage.cache_write,
            "output-token-count": usage.output,
            "cache-read-input-token-count": usage.cached_read,
            "cache-write-input-token-count": usage.cache_write,
            "invocation-latency": took_ms,
        }
        return (lines + "".join(f"\r\nX-Amzn-Bedrock-{name}: {count}" for name, count in counts.items())).encode()

    def unary(self) -> bytes:
        """The model's answer."""
        return self._guarded(self._own.unary())

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return _encode({"message": refusal.message, "__type": refusal.kind})

    def opening(self) -> bytes:
        """The documents before the first content."""
        return _chunks(self._own.opening())

    def piece(self, piece: str) -> bytes:
        """The document of one token."""
        return _chunks(self._own.piece(piece))

    def closing(self, *, end_marker: bool) -> bytes:
        """The last documents; with the end marker the very last has the metrics."""
        documents = _documents(self._own.closing(end_marker=end_marker))
        if not end_marker or not documents:
            return b"".join(map(_chunk, documents))
        last = {**msgspec.json.decode(self._guarded(documents[-1])), _METRICS: self._metrics()}
        return b"".join(map(_chunk, documents[:-1])) + _chunk(_encode(last))

    def malformed(self) -> bytes:
        """A chunk with a wrong checksum."""
        return broken(_chunk(b"{}"))

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An exception, or an error that the service's model does not know."""
        return in_stream(refusal, bare=bare)

    def _guarded(self, document: bytes) -> bytes:
        """What a guardrail did, where the request names one."""
        if not self._prompt.request.guardrail:
            return document
        action = "INTERVENED" if self._reply.finish == "refusal" else "NONE"
        return _encode({**msgspec.json.decode(document), _ACTION: action})

    def _metrics(self) -> dict[str, int]:
        usage = self._reply.usage
        counts = {
            "inputTokenCount": usage.input - usage.cached_read - usage.cache_write,
            "outputTokenCount": usage.output,
            "invocationLatency": self._took_ms + 10 * len(self._reply.pieces),
            "firstByteLatency": self._took_ms,
        }
        if usage.cached_read or usage.cache_write:
            counts["cacheReadInputTokenCount"] = usage.cached_read
            counts["cacheWriteInputTokenCount"] = usage.cache_write
        return counts


def _documents(events: bytes) -> list[bytes]:
    """The JSON documents of server-sent events; Bedrock sends no ``ping``."""
    found = [block.partition(b"data: ")[2] for block in events.split(b"\n\n") if block]
    return [document for document in found if document != b'{"type":"ping"}']


def _chunks(events: bytes) -> bytes:
    return b"".join(map(_chunk, _documents(events)))


def _chunk(document: bytes) -> bytes:
    data = base64.b64encode(document).decode()
    return event("chunk", _encode({"bytes": data, "p": _PADDING[: 4 + len(data) % 40]}))


def _family(body: bytes) -> str:
    """Whose form a body has."""
    try:
        members: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        members = None
    if not isinstance(members, dict):
        raise refused("Malformed input request, please reformat your input and try again.")
    if "anthropic_version" in members or "prompt" not in members:
        return "claude"
    return "mistral" if "[INST]" in str(members["prompt"]) or "max_gen_len" not in members else "llama"


def _text(request: Request, name: bytes) -> str:
    return (header(request.headers, name) or b"").decode("latin-1")
