"""A neutral request for a target that speaks the Responses API.

Nothing may be left behind at the provider that the client did not ask for: ``store`` is false. Reasoning must survive
without a store, so its encrypted content is asked for wherever the model may reason; a model that never does refuses
that, hence not everywhere.

An assistant's turn becomes items in its order. Messages and calls need no id; a reasoning item keeps its own, without
which its content cannot be read. A turn that is one text is written as a string, the form that compatible servers
know best.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trimaran.types import Target
from trimaran.wire.call_ids import fitting_id, fitting_user
from trimaran.wire.conversation import (
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    ReasoningControl,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimaran.wire.effort import effort_of
from trimaran.wire.json_tool import JSON_TOOL
from trimaran.wire.media import data_url
from trimaran.wire.openai_responses.items import ORIGIN
from trimaran.wire.openai_tools import LONGEST_CALL_ID, OWN_PROVIDERS, check_tool_names, strictness
from trimaran.wire.refusals import Refusals, check_fields

__all__ = ["encode_members"]

_COUNTED = frozenset(
    {"system", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning", "verbosity"}
)
_TAKES = _COUNTED | {
    "max_output_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "service_tier",
    "user",
    "metadata",
    "cache_key",
    "cache_retention",
    "stream",
}
_HINTS = frozenset({"cache"})
_COUNT_HINTS = _HINTS | (_TAKES - _COUNTED)
"""None of them changes how many tokens there are."""
_NAMES = {"application/pdf": "document.pdf", "text/plain": "document.txt", "text/markdown": "document.md"}


def encode_members(
    request: ChatRequest, target: Target, refusals: Refusals, notes: Notes, counting: bool = False
) -> bytes:
    """The body. ``counting``: only what a count of tokens takes."""
    check_fields(request, _COUNTED if counting else _TAKES, _COUNT_HINTS if counting else _HINTS, refusals, notes)
    writer = _Writer(target, refusals, notes)
    body: dict[str, Any] = {"model": target.upstream_model, "input": writer.items(request.messages)}
    _instructions(request, body, writer)
    if not body["input"]:
        refusals.field("messages", "nothing is said in any turn")
    _tools(request, target, body, refusals, notes)
    _output(request, target, body, refusals, notes)
    if not counting:
        _settings(request, body, refusals, notes)
        body["store"] = False
        include = ["reasoning.encrypted_content"] if writer.reasons or _reasons(request.reasoning, target) else []
        if request.logprobs is not None:
            include.append("message.output_text.logprobs")
            body["top_logprobs"] = request.logprobs
        if include:
            body["include"] = include
    return msgspec.json.encode(body)


def _instructions(request: ChatRequest, body: dict[str, Any], writer: _Writer) -> None:
    """One text is ``instructions``; several keep apart in a first item. So does one that asks for a JSON object: the API
    looks for the word JSON in the input, and not in the instructions. And so do instructions without any turn: the input
    must not be empty."""
    if not request.system:
        return
    parts = writer.content(request.system, "instructions")
    wanted = request.response_format
    apart = not body["input"] or (wanted is not None and wanted.kind == "json_object")
    if len(parts) == 1 and parts[0]["type"] == "input_text" and not apart:
        body["instructions"] = parts[0]["text"]
    elif parts:
        body["input"].insert(0, {"role": "system", "content": parts})


def _tools(request: ChatRequest, target: Target, body: dict[str, Any], refusals: Refusals, notes: Notes) -> None:
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": tool.parameters,
                # Left out, it would not be false here.
                "strict": bool(_strictness(tool, place, refusals, notes)),
            }
            for place, tool in enumerate(request.tools)
        ]
        if target.provider in OWN_PROVIDERS:
            check_tool_names(request.tools, refusals)
        if any(tool.cache for tool in request.tools):
            notes.omit(refusals.name("cache"))
    choice = request.tool_choice
    if choice is not None:
        body["tool_choice"] = {"type": "function", "name": choice.name} if choice.mode == "named" else choice.mode
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _strictness(tool: Tool, place: int, refusals: Refusals, notes: Notes) -> bool | None:
    name = refusals.name("response_format") if tool.name == JSON_TOOL else f"tools[{place}].strict"
    return strictness(tool.strict, tool.parameters, name, refusals, notes)


def _output(request: ChatRequest, target: Target, body: dict[str, Any], refusals: Refusals, notes: Notes) -> None:
    """The form of the answer, and how much goes before it."""
    text: dict[str, Any] = {}
    wanted = request.response_format
    if wanted is not None and wanted.kind == "json_object":
        text["format"] = {"type": "json_object"}
    elif wanted is not None:
        text["format"] = {"type": "json_schema", "name": wanted.name or "output", "schema": wanted.schema}
        strict = strictness(wanted.strict, wanted.schema, refusals.name("response_format"), refusals, notes)
        if strict is not None:
            text["format"]["strict"] = strict
        if wanted.description:
            text["format"]["description"] = wanted.description
    if request.verbosity:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    if request.reasoning is not None:
        _reasoning(request.reasoning, target, body, refusals, notes)


def _reasoning(
    control: ReasoningControl, target: Target, body: dict[str, Any], refusals: Refusals, notes: Notes
) -> None:
    if control.effort == "none" and not (refusals.from_openai and _may_reason(target)):
        # Older models refuse the word.
        notes.omit(refusals.name("reasoning"))
        return
    reasoning: dict[str, Any] = {}
    if control.effort:
        reasoning["effort"] = control.effort
    elif control.budget_tokens is not None:
        reasoning["effort"] = effort_of(control.budget_tokens)
        notes.emulate(refusals.name("reasoning"))
    if control.show not in ("", "none"):
        reasoning["summary"] = control.show
    elif not control.show and control.budget_tokens is not None:
        # A client that sets a budget is one of a dialect that shows the thoughts unless it is told not to.
        reasoning["summary"] = "auto"
    if reasoning:
        body["reasoning"] = reasoning


def _settings(request: ChatRequest, body: dict[str, Any], refusals: Refusals, notes: Notes) -> None:
    for field in ("frequency_penalty", "presence_penalty"):
        if getattr(request, field):
            refusals.field(field)
    for field, key in (
        ("max_output_tokens", "max_output_tokens"),
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("metadata", "metadata"),
        ("cache_key", "prompt_cache_key"),
        ("cache_retention", "prompt_cache_retention"),
    ):
        value = getattr(request, field)
        if value is not None and value not in ("", {}):
            body[key] = value
    if request.user:
        body["user"] = fitting_user(request.user)
        if body["user"] != request.user:
            notes.emulate(refusals.name("user"))
    if request.service_tier:
        body["service_tier"] = "default" if request.service_tier == "standard" else request.service_tier
    if request.stream:
        body["stream"] = True


def _reasons(control: ReasoningControl | None, target: Target) -> bool:
    """Whether the model may reason. A model that is known not to is asked for nothing of it."""
    if target.capabilities is not None and "reasoning" in target.capabilities.has:
        return True
    return _may_reason(target) and control is not None and control.effort != "none"


def _may_reason(target: Target) -> bool:
    return target.capabilities is None or "reasoning" not in target.capabilities.lacks


class _Writer:
    """Turns to items; keeps what it learns on the way."""

    def __init__(self, target: Target, refusals: Refusals, notes: Notes) -> None:
        self._own = target.provider in OWN_PROVIDERS
        self._refusals = refusals
        self._notes = notes
        self.reasons = False
        """Reasoning of this dialect went in, so the model reasons."""

    def items(self, messages: list[Message]) -> list[dict[str, Any]]:
        """The input items of all turns."""
        items: list[dict[str, Any]] = []
        for message in messages:
            if message.role == "assistant":
                self._assistant(message, items)
            elif message.role == "user":
                self._user(message, items)
            else:
                items.append({"role": "system", "content": self.content(message.parts, message.path)})
        return items

    def content(self, parts: list[Part], path: str) -> list[dict[str, Any]]:
        """Texts, images and documents as content parts; any other part, audio among them, is refused."""
        content: list[dict[str, Any]] = []
        for part in parts:
            written = self._part(part)
            if written is None:
                self._refusals.add(path, f"{type(part).__name__.lower()} in this place")
            else:
                content.append(written)
        return content

    def _user(self, message: Message, items: list[dict[str, Any]]) -> None:
        rest: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._result(part, message.path, items)
            else:
                rest.append(part)
        if rest:
            items.append({"role": "user", "content": self.content(rest, message.path)})

    def _result(self, part: ToolResult, path: str, items: list[dict[str, Any]]) -> None:
        blank = part.is_error and part.is_blank
        if blank:
            self._notes.emulate(path)
        elif part.is_error:
            self._notes.omit(f"{path}.is_error")
        self._mark(part.cache)
        output: Any = self.content(part.parts, path)
        if blank:
            output = "error"
        elif not output:
            output = ""
        elif len(output) == 1 and output[0]["type"] == "input_text":
            output = output[0]["text"]
        call_id = fitting_id(part.call_id, LONGEST_CALL_ID)
        items.append({"type": "function_call_output", "call_id": call_id, "output": output})

    def _assistant(self, message: Message, items: list[dict[str, Any]]) -> None:
        said: list[dict[str, Any]] = []

        def speak() -> None:
            if len(said) == 1 and said[0]["type"] == "output_text":
                items.append({"role": "assistant", "content": said[0]["text"]})
            elif said:
                items.append({"type": "message", "role": "assistant", "content": list(said)})
            said.clear()

        for part in message.parts:
            if isinstance(part, Text):
                self._mark(part.cache)
                said.append({"type": "output_text", "text": part.text, "annotations": []})
            elif isinstance(part, Refusal):
                said.append({"type": "refusal", "refusal": part.text})
            elif isinstance(part, ToolCall):
                speak()
                self._mark(part.cache)
                call_id = fitting_id(part.id, LONGEST_CALL_ID)
                items.append(
                    {"type": "function_call", "call_id": call_id, "name": part.name, "arguments": part.arguments}
                )
            elif isinstance(part, Reasoning):
                item = self._reasoning(part)
                if item is not None:
                    speak()
                    items.append(item)
            else:
                self._refusals.add(message.path, f"{type(part).__name__.lower()} in the assistant's turn")
        speak()

    def _reasoning(self, part: Reasoning) -> dict[str, Any] | None:
        # OpenAI's own reasoning items mean nothing without the state.
        if part.origin != ORIGIN or (self._own and not part.state):
            self._notes.omit("reasoning")
            return None
        self.reasons = True
        item: dict[str, Any] = {"type": "reasoning", "summary": []}
        if part.id:
            item["id"] = part.id
        if part.text and part.summary:
            item["summary"] = [{"type": "summary_text", "text": part.text}]
        elif part.text:
            item["content"] = [{"type": "reasoning_text", "text": part.text}]
        if part.state:
            item["encrypted_content"] = part.state
        return item

    def _part(self, part: Part) -> dict[str, Any] | None:
        if isinstance(part, Text):
            self._mark(part.cache)
            return {"type": "input_text", "text": part.text}
        if isinstance(part, Image):
            self._mark(part.cache)
            url = part.url or data_url(part.media_type, part.data)
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        if isinstance(part, Document):
            self._mark(part.cache)
            return _file(part)
        return None

    def _mark(self, cache: str) -> None:
        """Breakpoints are known to few models, and the answer is the same without them."""
        if cache:
            self._notes.omit(self._refusals.name("cache"))


def _file(part: Document) -> dict[str, Any]:
    if part.url:
        return {"type": "input_file", "file_url": part.url, **({"filename": part.name} if part.name else {})}
    media_type = part.media_type or "text/plain"
    data = base64.b64encode(part.text.encode()).decode() if part.text else part.data
    # A name is demanded with data.
    name = part.name or _NAMES.get(media_type, "document")
    return {"type": "input_file", "filename": name, "file_data": data_url(media_type, data)}
