"""``bedrock.mistral``: Mistral's models through InvokeModel, in the form that each takes. Spoken to targets only.

The older ones (7B, 8x7B, Large and Small of February 2024) take one prompt: ``{"prompt", "max_tokens", "stop",
"temperature", "top_p", "top_k"}``, answered by ``{"outputs": [{"text", "stop_reason"}]}``. The prompt is that of the family
(:mod:`trimaran.wire.chat_templates`, which also says what becomes of control tokens in a client's words). The newer ones
take turns: ``{"messages", "tools", "tool_choice", "max_tokens", "temperature", "top_p"}``, answered by ``{"choices":
[{"message", "stop_reason"}]}``. There tools can be said, and be forced by ``any``, but not by name, and neither stop
sequences nor pictures can. What cannot be said is refused by name; Converse carries more and is what a Mistral target is
asked in by default.

Documents of a stream have the members of an answer; some models write ``delta`` and ``finish_reason`` as OpenAI does, and
both are read. A call of a tool comes whole, or in pieces told apart by an index.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html and
…-chat-completion.html, read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Target, Usage
from trimaran.wire.bedrock_invoke import METRICS, InvokeDialect, Metrics, document_of, settled
from trimaran.wire.chat_templates import is_end, prompt, template_of, without_end
from trimaran.wire.conversation import ChatRequest, Message, Notes, Part, Reasoning, Text, Tool, ToolCall, ToolResult
from trimaran.wire.dialect import TokenCount, decode_json
from trimaran.wire.events import (
    Answer,
    ArgumentsDelta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.refusals import Refusals, check_fields
from trimaran.wire.streams import StreamDecoder

__all__ = ["BedrockMistral"]

_PROMPTED = {"mistral-7b": 8192, "mixtral-8x7b": 4096, "mistral-large-2402": 8192, "mistral-small-2402": 8192}
"""Models that take one prompt, and the longest answer that each can be asked for, in tokens."""
_BOTH = frozenset({"model", "messages", "system", "max_output_tokens", "temperature", "top_p", "stream"})
_TAKES_PROMPT = _BOTH | {"top_k", "stop", "begun"}
_TAKES_TURNS = _BOTH | {"tools", "tool_choice"}
_HINTS = frozenset({"cache", "cache_key", "cache_retention", "metadata", "user"})
_REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "model_length": "context_window"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    id: str | None = None
    index: int | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None
    stop_reason: str | None = None
    finish_reason: str | None = None


class _Output(msgspec.Struct, gc=False):
    text: str | None = None
    stop_reason: str | None = None


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None


class _Document(msgspec.Struct):
    outputs: list[_Output] | None = None
    choices: list[_Choice] | None = None
    usage: _Counts | None = None
    metrics: Metrics | None = msgspec.field(default=None, name=METRICS)


_decode = msgspec.json.Decoder(_Document).decode


class BedrockMistral(InvokeDialect):
    """Mistral's own bodies."""

    name = "bedrock.mistral"

    def encode_request(self, request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
        request = settled(request)
        base_model = target.facts.get("base_model", "") or target.upstream_model
        longest = next((most for name, most in _PROMPTED.items() if name in base_model), None)
        if longest is None:
            body = _turns(request, refusals, notes)
        else:
            body = _prompted(request, base_model, refusals, notes)
        limit = request.max_output_tokens
        if limit is None and (limit := target.max_output_tokens or longest) is not None:
            notes.emulate(refusals.name("max_output_tokens"))
        if limit is not None:
            body["max_tokens"] = limit
        for name in ("temperature", "top_p", "top_k"):
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
        parts: list[Part] = []
        if found.outputs:
            text, word = without_end(found.outputs[0].text or ""), found.outputs[0].stop_reason
        elif found.choices:
            choice = found.choices[0]
            message = choice.message or choice.delta or _Message()
            text, word = message.content or "", choice.stop_reason or choice.finish_reason
            parts = [_call(call, place) for place, call in enumerate(message.tool_calls or ())]
        else:
            raise MalformedAnswer("the answer has neither outputs nor choices")
        if text:
            parts.insert(0, Text(text))
        return Answer("", "", parts, _REASONS.get(word or "", word or ""), usage=_usage(found))

    def stream_decoder(self) -> StreamDecoder:
        return _Decoder()


# Requests


def _prompted(request: ChatRequest, base_model: str, refusals: Refusals, notes: Notes) -> dict[str, Any]:
    check_fields(request, _TAKES_PROMPT, _HINTS, refusals, notes)
    template = template_of(base_model)
    if template is None or not template.name.startswith("mistral"):
        why = f"{base_model!r} is no Mistral whose prompt is known; state its base model, or ask it through Converse"
        refusals.add(refusals.name("messages"), why)
        return {}
    body: dict[str, Any] = {"prompt": prompt(request, template, refusals, notes)}
    if request.stop:
        body["stop"] = request.stop
    return body


def _turns(request: ChatRequest, refusals: Refusals, notes: Notes) -> dict[str, Any]:
    check_fields(request, _TAKES_TURNS, _HINTS, refusals, notes)
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": _text(request.system, refusals.name("system"), refusals, notes)})
    for message in request.messages:
        messages += _messages(message, refusals, notes)
    if not messages:
        refusals.field("messages", "there is no turn")
    body: dict[str, Any] = {"messages": messages}
    if request.tools:
        body["tools"] = [_tool(tool, refusals) for tool in request.tools]
    choice = request.tool_choice
    if choice is not None:
        if choice.mode == "named":
            refusals.field("tool_choice", "the model can be made to call a tool, but not which one")
        elif choice.mode == "required" and not request.tools:
            refusals.field("tool_choice", "there are no tools")
        body["tool_choice"] = _CHOICES.get(choice.mode, "auto")
    return body


def _messages(message: Message, refusals: Refusals, notes: Notes) -> list[dict[str, Any]]:
    """A turn; a user's with results is one message for each result and one for the rest."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    rest = [part for part in message.parts if not isinstance(part, ToolResult | ToolCall)]
    found: list[dict[str, Any]] = []
    for result in results:
        text = _text(result.parts, message.path, refusals, notes)
        if result.is_error:
            notes.emulate(message.path)
            text = f"Error: {text}" if text else "Error"
        found.append({"role": "tool", "tool_call_id": result.call_id, "content": text})
    if calls:
        written = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in calls
        ]
        found.append(
            {"role": "assistant", "content": _text(rest, message.path, refusals, notes), "tool_calls": written}
        )
    elif rest or not results:
        found.append({"role": message.role, "content": _text(rest, message.path, refusals, notes)})
    return found


def _text(parts: Sequence[Part], path: str, refusals: Refusals, notes: Notes) -> str:
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            if part.cache:
                notes.omit(refusals.name("cache"))
            pieces.append(part.text)
        elif isinstance(part, Reasoning):
            notes.omit("reasoning")
        else:
            refusals.add(path, f"a {type(part).__name__.lower()}; this model is asked with text")
    return "\n\n".join(piece for piece in pieces if piece)


def _tool(tool: Tool, refusals: Refusals) -> dict[str, Any]:
    if tool.strict:
        refusals.field("tools", f"{tool.name!r} is strict, and the model cannot be held to its schema")
    schema = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    function = {"name": tool.name, "description": tool.description, "parameters": schema}
    return {"type": "function", "function": function}


# Answers


def _call(call: _Call, place: int) -> ToolCall:
    function = call.function or _Function()
    return ToolCall(call.id or f"call_{place}", function.name or "", _arguments(function.arguments) or "{}")


def _arguments(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _usage(found: _Document) -> Usage | None:
    if found.metrics is not None and (usage := found.metrics.usage()) is not None:
        return usage
    counts = found.usage
    if counts is None or (counts.prompt_tokens is None and counts.completion_tokens is None):
        return None
    return Usage(max(0, counts.prompt_tokens or 0), max(0, counts.completion_tokens or 0))


class _Decoder(StreamDecoder):
    """Chunks to neutral events. A part ends where another begins."""

    def __init__(self) -> None:
        self._started = False
        self._next = 0
        self._open: int | None = None
        self._calls: dict[int, int] = {}
        """Parts of calls, by the index that the model gives."""
        self._text = False
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
        if found.outputs:
            self._say(found.outputs[0].text, found.outputs[0].stop_reason, events)
        elif found.choices:
            choice = found.choices[0]
            message = choice.message or choice.delta or _Message()
            self._say(message.content, None, events)
            for place, call in enumerate(message.tool_calls or ()):
                self._tool(call, place, events)
            self._end(choice.stop_reason or choice.finish_reason, events)
        usage = _usage(found)
        if usage is not None:
            events.append(UsageReport(usage))
        if self._reason and found.metrics is not None:
            self.complete = True
        self.may_end = bool(self._reason)
        return events

    def _say(self, text: str | None, reason: str | None, events: list[Event]) -> None:
        if text and not is_end(text):
            if not self._text:
                self._begin(Text(""), events)
                self._text = True
            assert self._open is not None
            events.append(TextDelta(text, self._open))
        self._end(reason, events)

    def _tool(self, call: _Call, place: int, events: list[Event]) -> None:
        index = place if call.index is None else call.index
        function = call.function or _Function()
        if index not in self._calls or (function.name and call.id and self._calls[index] != self._open):
            made = _call(call, self._next)
            self._begin(ToolCall(made.id, made.name, ""), events)
            assert self._open is not None
            self._calls[index] = self._open
        arguments = _arguments(function.arguments)
        if arguments:
            events.append(ArgumentsDelta(arguments, self._calls[index]))

    def _begin(self, part: Part, events: list[Event]) -> None:
        self._close(events)
        self._open = self._next
        self._next += 1
        events.append(PartStarted(self._open, part))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartEnded(self._open))
        self._open, self._text = None, False

    def _end(self, reason: str | None, events: list[Event]) -> None:
        if reason and not self._reason:
            self._close(events)
            self._reason = _REASONS.get(reason, reason)
            events.append(Finished(self._reason))
