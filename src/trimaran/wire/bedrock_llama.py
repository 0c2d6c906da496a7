"""``bedrock.llama``: Meta's Llama models through InvokeModel, asked with one prompt. Spoken to targets only.

A request is ``{"prompt", "max_gen_len", "temperature", "top_p"}`` and nothing else, so tools, pictures, stop sequences and
every other setting are refused by name; Converse carries more and is what a Llama target is asked in by default. The prompt
is that of the model's family (:mod:`trimaran.wire.chat_templates`, which also says what becomes of control tokens in a
client's words).

An answer is ``{"generation", "prompt_token_count", "generation_token_count", "stop_reason"}``; each document of a stream has
the same members, the prompt's tokens in the first, a reason in the last.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html, read 2026-11-30. That page also says
that Llama 4 does not stream through InvokeModel; Bedrock itself is the judge of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Target, Usage
from trimaran.wire.bedrock_invoke import METRICS, InvokeDialect, Metrics, document_of, settled
from trimaran.wire.chat_templates import is_end, prompt, template_of, without_end
from trimaran.wire.conversation import ChatRequest, Notes, Part, Text
from trimaran.wire.dialect import TokenCount, decode_json
from trimaran.wire.events import Answer, Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReport
from trimaran.wire.refusals import Refusals, check_fields
from trimaran.wire.streams import StreamDecoder

__all__ = ["BedrockLlama"]

LONGEST_ANSWER = 2048
"""The most tokens that ``max_gen_len`` takes, asked for where nobody says how many; without it Bedrock stops at 512."""

_TAKES = frozenset({"model", "messages", "system", "max_output_tokens", "temperature", "top_p", "stream", "begun"})
_HINTS = frozenset({"cache", "cache_key", "cache_retention", "metadata", "user"})
_REASONS = {"stop": "stop", "length": "length"}


class _Document(msgspec.Struct, gc=False):
    generation: str | None = None
    prompt_token_count: TokenCount | None = None
    generation_token_count: TokenCount | None = None
    stop_reason: str | None = None
    metrics: Metrics | None = msgspec.field(default=None, name=METRICS)


_decode = msgspec.json.Decoder(_Document).decode


class BedrockLlama(InvokeDialect):
    """Llama's own body."""

    name = "bedrock.llama"

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        request = settled(request)
        check_fields(request, _TAKES, _HINTS, refusals, notes)
        base_model = target.facts.get("base_model", "") or target.upstream_model
        template = template_of(base_model)
        if template is None or not template.name.startswith("llama"):
            why = f"{base_model!r} is no Llama whose prompt is known; state its base model, or ask it through Converse"
            refusals.add(refusals.name("messages"), why)
            return b""
        body: dict[str, Any] = {"prompt": prompt(request, template, refusals, notes)}
        limit = request.max_output_tokens
        if limit is None:
            limit = target.max_output_tokens or LONGEST_ANSWER
            notes.emulate(refusals.name("max_output_tokens"))
        body["max_gen_len"] = limit
        for name in ("temperature", "top_p"):
            if (value := getattr(request, name)) is not None:
                body[name] = value
        if request.temperature is not None and request.temperature > 1:
            refusals.field("temperature", "the model takes 0 to 1")
        return msgspec.json.encode(body)

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        answer = self.decode_answer(body)
        return answer.usage, answer.finish_reason, ""

    def decode_answer(self, body: bytes) -> Answer:
        found = decode_json(_decode, body, "the answer")
        if found.generation is None:
            raise MalformedAnswer("the answer has no generation")
        text = without_end(found.generation)
        parts: list[Part] = [Text(text)] if text else []
        usage = None
        if found.prompt_token_count is not None or found.generation_token_count is not None:
            usage = Usage(max(0, found.prompt_token_count or 0), max(0, found.generation_token_count or 0))
        return Answer("", "", parts, _REASONS.get(found.stop_reason or "", found.stop_reason or ""), usage=usage)

    def stream_decoder(self) -> StreamDecoder:
        return _Decoder()


class _Decoder(StreamDecoder):
    """Chunks to neutral events."""

    def __init__(self) -> None:
        self._started = self._open = False
        self._inputs = self._outputs = 0
        self._reason = ""

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        document = document_of(name, data)
        if document is None:
            return ()
        found = decode_json(_decode, document, "a document of the stream")
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started("", ""))
        self._inputs = found.prompt_token_count or self._inputs
        self._outputs = found.generation_token_count or self._outputs
        text = found.generation or ""
        if text and not is_end(text):
            if not self._open:
                self._open = True
                events.append(PartStarted(0, Text("")))
            events.append(TextDelta(text))
        if found.stop_reason:
            self._reason = _REASONS.get(found.stop_reason, found.stop_reason)
        usage = found.metrics.usage() if found.metrics is not None else None
        if usage is not None:
            events += self._end(usage)
        self.may_end = bool(self._reason)
        return events

    def ended(self) -> Sequence[Event]:
        return self._end(Usage(self._inputs, self._outputs) if self._inputs or self._outputs else None)

    def _end(self, usage: Usage | None) -> list[Event]:
        events: list[Event] = [PartEnded(0)] if self._open else []
        self._open = False
        if usage is not None:
            events.append(UsageReport(usage))
        if self._reason:
            events.append(Finished(self._reason))
            self.complete = True
        return events
