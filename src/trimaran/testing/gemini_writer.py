"""Writes an answer as Gemini does: whole, as server-sent events, or as the elements of a JSON array.

A stream has no end marker: it is complete when the HTTP body ends after a chunk with a finish reason. A function call is one chunk,
however long its arguments are. The Gemini API counts in every chunk, Vertex AI in the last one. Function calls of models from
generation 3 on are signed (the first of an answer) and have ids; text after thoughts is signed in the last chunk. Earlier models
sign the first function call after thoughts. Shapes: ai.google.dev, "Generating content", "Thought signatures" (read 2026-11-30).
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import msgspec

from trimaran.testing.compose import logprob
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, ToolCall, Usage
from trimaran.testing.gemini_history import call_signature, text_signature
from trimaran.testing.gemini_models import GeminiModel
from trimaran.testing.google_errors import error_body
from trimaran.testing.part_writer import PartWriter
from trimaran.testing.transcript import AUDIO_TOKENS, DOCUMENT_TOKENS, IMAGE_TOKENS

__all__ = ["Asked", "GeminiWriter", "modalities"]

_encode = msgspec.json.encode
_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "refusal": "SAFETY",
}
_TRAFFIC = {
    "provisioned": "PROVISIONED_THROUGHPUT",
    "priority": "ON_DEMAND_PRIORITY",
    "flex": "ON_DEMAND_FLEX",
}
_EVENTS = b"text/event-stream"
_ARRAY = b"application/json; charset=UTF-8"


class Asked(NamedTuple):
    """What of a request decides how it is answered."""

    model: GeminiModel
    listed: bool = False
    """A stream is an array, not server-sent events."""
    cached_tokens: int = 0
    """Of the cached content that the request names."""
    grounded: bool = False
    """A search tool was offered."""
    tier: str = ""
    """Of Vertex's request headers, or the request's ``serviceTier``."""
    project: str = ""
    location: str = ""


class GeminiWriter(PartWriter):
    """See :class:`~trimaran.testing.dialect.AnswerWriter`."""

    __slots__ = ("_asked", "_blocked", "_chunks", "_prompt", "_said", "_serial", "_signed", "content_type")

    content_type: bytes

    def __init__(self, prompt: Prompt, reply: Reply, serial: int) -> None:
        super().__init__(reply)
        self._prompt = prompt
        self._asked: Asked = prompt.request
        self._serial = serial
        self._blocked = reply.finish.removeprefix("blocked:") if reply.finish.startswith("blocked:") else None
        self._signed = False
        self._chunks = 0
        self._said = 0
        self.content_type = _EVENTS if prompt.stream and not self._asked.listed else _ARRAY

    def lines(self, took_ms: int) -> bytes:
        """The Gemini API names the tier."""
        if self._asked.model.vertex:
            return b""
        tier = self._reply.service_tier or self._asked.tier or "standard"
        return f"\r\nx-gemini-service-tier: {tier.lower()}".encode()

    # Whole

    def unary(self) -> bytes:
        """A ``GenerateContentResponse``."""
        if self._blocked is not None:
            return _encode(self._feedback())
        parts = [shown for part in self._reply.parts if (shown := self._whole(part)) is not None]
        if (signature := self._text_signature()) is not None and parts and "text" in parts[-1]:
            parts[-1]["thoughtSignature"] = signature
        candidate: dict[str, Any] = {}
        if parts:
            candidate["content"] = {"parts": parts, "role": "model"}
        elif self._reply.finish != "refusal":
            candidate["content"] = {"role": "model"}
        candidate |= self._ending()
        if self._prompt.logprobs is not None:
            candidate |= self._logprobs([piece for part in self._reply.of("text") for piece in part.pieces])
        return _encode(self._answer([candidate], self._usage()))

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return error_body(refusal)

    def _whole(self, part: Part) -> dict[str, Any] | None:
        if part.tool_call is not None:
            return self._call(part.tool_call)
        if part.kind == "reasoning" and part.pieces:
            return {"text": part.text, "thought": True}
        if part.kind == "text" and part.pieces:
            return {"text": part.text}
        return None

    # Streamed

    def opening(self) -> bytes:
        """Nothing: the array begins with its first element."""
        return b""

    def open_part(self, part: Part) -> bytes:
        """Nothing."""
        return b""

    def delta(self, piece: str) -> bytes:
        """A chunk with one token of a text, or none: a call is written when it is whole."""
        part = self.part
        if part.kind != "reasoning":
            self._said += 1
        if part.kind not in ("text", "reasoning"):
            return b""
        shown: dict[str, Any] = {"text": piece}
        if part.kind == "reasoning":
            shown["thought"] = True
        candidate: dict[str, Any] = {"content": {"parts": [shown], "role": "model"}, "index": 0}
        if self._prompt.logprobs is not None and part.kind == "text":
            candidate |= self._logprobs([piece])
        return self._chunk(self._answer([candidate], self._running()))

    def close_part(self, part: Part) -> bytes:
        """The chunk of a call."""
        if part.tool_call is None:
            return b""
        candidate = {"content": {"parts": [self._call(part.tool_call)], "role": "model"}, "index": 0}
        return self._chunk(self._answer([candidate], self._running()))

    def closing(self, *, end_marker: bool) -> bytes:
        """The rest of the parts, then the chunk with finish reason and usage."""
        events = self.advance()
        if not end_marker:
            return events
        if self._blocked is not None:
            return self._chunk(self._feedback()) + self._end()
        candidate: dict[str, Any] = {}
        if self._reply.finish != "refusal":
            last: dict[str, Any] = {"text": ""}
            if (signature := self._text_signature()) is not None:
                last["thoughtSignature"] = signature
            candidate["content"] = {"parts": [last], "role": "model"}
        candidate |= self._ending()
        return events + self._chunk(self._answer([candidate], self._usage())) + self._end()

    def malformed(self) -> bytes:
        """A chunk cut short."""
        text = b'{"candidates":[{"content":{"parts":[{"te'
        return text if self._asked.listed else b"data: " + text + b"\r\n\r\n"

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An error as a chunk, the last of an array; ``bare``: as JSON between the events."""
        body = error_body(refusal)
        if self._asked.listed:
            return (b",\r\n" if self._chunks else b"[") + body + b"]"
        return body if bare else b"data: " + _encode(msgspec.json.decode(body)) + b"\r\n\r\n"

    def _chunk(self, answer: dict[str, Any]) -> bytes:
        self._chunks += 1
        if not self._asked.listed:
            return b"data: " + _encode(answer) + b"\r\n\r\n"
        return (b"[" if self._chunks == 1 else b",\r\n") + _encode(answer) + b"\n"

    def _end(self) -> bytes:
        return b"]" if self._asked.listed else b""

    # Members

    def _answer(self, candidates: list[Any], usage: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"candidates": candidates} if candidates else {}
        answer |= {"usageMetadata": usage, "modelVersion": self._asked.model.name}
        if self._asked.model.vertex:
            answer["createTime"] = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        answer["responseId"] = f"simulated{self._serial:08d}"
        return answer

    def _feedback(self) -> dict[str, Any]:
        """A prompt that was blocked."""
        usage = self._usage()
        for name in ("candidatesTokenCount", "thoughtsTokenCount", "candidatesTokensDetails"):
            usage.pop(name, None)
        usage["totalTokenCount"] = usage["promptTokenCount"]
        feedback: dict[str, Any] = {"blockReason": self._blocked}
        if self._asked.model.vertex:
            feedback["blockReasonMessage"] = "The prompt could not be submitted."
        return {"promptFeedback": feedback} | self._answer([], usage)

    def _ending(self) -> dict[str, Any]:
        reply = self._reply
        ending: dict[str, Any] = {"finishReason": _FINISH.get(reply.finish, reply.finish), "index": 0}
        if reply.finish == "refusal":
            rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
            ending |= {"safetyRatings": [rating], "finishMessage": reply.text("refusal")}
        if reply.usage.web_searches and self._asked.grounded:
            queries = [f"simulated query {n}" for n in range(1, reply.usage.web_searches + 1)]
            source = {"web": {"uri": "https://example.com/", "title": "example.com"}}
            ending["groundingMetadata"] = {"webSearchQueries": queries, "groundingChunks": [source]}
        return ending

    def _call(self, call: ToolCall) -> dict[str, Any]:
        function: dict[str, Any] = {"name": call.name, "args": call.arguments}
        shown: dict[str, Any] = {"functionCall": function}
        model = self._asked.model
        if model.signs_calls:
            function["id"] = f"call_simulated{self._serial:08d}_{call.index}"
        if not self._signed and (model.signs_calls or self._reply.of("reasoning")):
            self._signed = True
            shown["thoughtSignature"] = call_signature(call.name, call.arguments)
        return shown

    def _text_signature(self) -> str | None:
        thoughts = self._reply.of("reasoning")
        if not self._asked.model.signs_calls or not thoughts or self._reply.of("tool_call"):
            return None
        return text_signature(thoughts[0].hidden_text or thoughts[0].text)

    def _logprobs(self, pieces: list[str]) -> dict[str, Any]:
        rows = [(piece, *logprob(piece, self._prompt.logprobs or 0)) for piece in pieces]
        chosen = [{"token": piece, "logProbability": own} for piece, own, _ in rows]
        top = [
            {"candidates": [{"token": token, "logProbability": value} for token, value in others]}
            for _, _, others in rows
        ]
        average = sum(own for _, own, _ in rows) / len(rows) if rows else 0.0
        return {"avgLogprobs": average, "logprobsResult": {"topCandidates": top, "chosenCandidates": chosen}}

    # Usage

    def _running(self) -> dict[str, Any]:
        """The counts of a chunk that is not the last."""
        if self._asked.model.vertex:
            return {"trafficType": self._traffic()}
        prompt, thoughts = self._reply.usage.input, self._reply.usage.reasoning
        usage: dict[str, Any] = {"promptTokenCount": prompt}
        if self._said:
            usage["candidatesTokenCount"] = self._said
        usage["totalTokenCount"] = prompt + self._said + thoughts
        usage["promptTokensDetails"] = modalities(self._prompt, self._reply.usage)
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        return usage

    def _usage(self) -> dict[str, Any]:
        usage = self._reply.usage
        said = usage.output - usage.reasoning
        found: dict[str, Any] = {"promptTokenCount": usage.input}
        if said:
            found["candidatesTokenCount"] = said
        found["totalTokenCount"] = usage.input + usage.output
        if usage.cached_read:
            found["cachedContentTokenCount"] = usage.cached_read
            found["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cached_read}]
        found["promptTokensDetails"] = modalities(self._prompt, usage)
        if usage.audio_output or self._asked.model.vertex:
            rows = {"TEXT": said - usage.audio_output, "AUDIO": usage.audio_output}
            found["candidatesTokensDetails"] = _details(rows)
        if usage.reasoning:
            found["thoughtsTokenCount"] = usage.reasoning
        if self._asked.model.vertex:
            found["trafficType"] = self._traffic()
        return found

    def _traffic(self) -> str:
        return _TRAFFIC.get(self._reply.service_tier or self._asked.tier, "ON_DEMAND")


def modalities(prompt: Prompt, usage: Usage) -> list[dict[str, Any]]:
    """The input by modality."""
    rows = {
        "IMAGE": prompt.images * IMAGE_TOKENS,
        "DOCUMENT": prompt.documents * DOCUMENT_TOKENS,
        "AUDIO": usage.audio_input or prompt.audios * AUDIO_TOKENS,
    }
    left = usage.input
    for name, count in rows.items():
        rows[name] = min(count, left)
        left -= rows[name]
    return _details({"TEXT": left, **rows})


def _details(rows: dict[str, int]) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in rows.items() if count]
