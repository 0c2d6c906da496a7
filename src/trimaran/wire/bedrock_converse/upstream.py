"""Requests for a target of this dialect.

A limit of tokens is not demanded: without one the model's own holds. ``temperature`` ends at 1 here. What Converse has no
field for and Claude knows goes into ``additionalModelRequestFields`` where the model is a Claude; for any other model it is
refused by name. Claude's own rules hold there, too: where it thinks, it takes no forced tool and no sampling settings, and
within a budget it wants its thoughts back in the middle of a chain of tool calls (see
:mod:`trimaran.wire.anthropic_messages.upstream`).

``toolConfig`` is demanded where the history holds a call. Tools that the client no longer names are defined by their names
and shut off, which only Claude can be told; another model is told in their description. To forbid tools that are there
works the same way, and where no history needs them they are left out.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.types import Target
from trimaran.wire.anthropic_messages.schemas import can_hold
from trimaran.wire.anthropic_messages.thinking import encode_thinking, refuse_with_thinking, thinking_is_on
from trimaran.wire.bedrock_converse.blocks import Turns, cache_point, called_tools
from trimaran.wire.bedrock_converse.extra import EXTRA, is_claude
from trimaran.wire.bedrock_converse.request import STOP_SEQUENCE_PATH
from trimaran.wire.bedrock_converse.usage import tier_word
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat, Tool
from trimaran.wire.json_tool import JSON_TOOL
from trimaran.wire.refusals import Refusals, check_fields

__all__ = ["encode_request", "takes_format"]

_TAKES = frozenset(
    {
        "begun",
        "cache",
        "max_output_tokens",
        "metadata",
        "parallel_tool_calls",
        "reasoning",
        "response_format",
        "service_tier",
        "stop",
        "stream",
        "system",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_HINTS = frozenset({"cache_key", "cache_retention", "user"})

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LABEL = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}", re.ASCII)
_MAX_LABELS = 16
_GONE = "Not available any more; do not call it."


def encode_request(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
    """See :meth:`trimaran.wire.dialect.Conversational.encode_request`."""
    check_fields(request, _TAKES, _HINTS, refusals, notes)
    return msgspec.json.encode(_Writer(target, refusals, notes).body(request))


def takes_format(wanted: ResponseFormat, target: Target) -> bool:
    """Whether the model can be held to the format."""
    if target.capabilities is not None and "json_schema" in target.capabilities.lacks:
        return False
    return wanted.kind == "json_schema" and isinstance(wanted.schema, dict) and can_hold(wanted.schema)


class _Writer:
    def __init__(self, target: Target, refusals: Refusals, notes: Notes) -> None:
        self._target = target
        self._claude = is_claude(target)
        self._refusals = refusals
        self._notes = notes
        self._extra: dict[str, Any] = {}

    def body(self, request: ChatRequest) -> dict[str, Any]:
        turns = Turns(self._target, self._refusals, self._notes)
        messages = turns.messages(request)
        body: dict[str, Any] = {"messages": messages}
        if system := turns.system(request):
            body["system"] = system
        if sampling := self._sampling(request):
            body["inferenceConfig"] = sampling
        forced = self._tools(request, body, turns.marks)
        self._thinking(request, body, forced)
        if request.response_format is not None:
            body.setdefault("outputConfig", {})["textFormat"] = self._format(request.response_format)
        if request.cache:
            self._cache(request.cache, messages, turns.marks)
        if request.top_k is not None:
            self._only_claude("top_k", {"top_k": request.top_k})
        self._labels(request, body)
        if self._extra:
            body[EXTRA] = self._extra
        if request.stop and self._claude:
            body["additionalModelResponseFieldPaths"] = [STOP_SEQUENCE_PATH]
        return body

    def _only_claude(self, field: str, extra: dict[str, Any]) -> None:
        """Write what only Claude knows, or refuse it."""
        if self._claude:
            self._extra |= extra
        else:
            self._refusals.field(field, "Converse has no field for it that this model is known to take")

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        written: dict[str, Any] = {}
        temperature, top_p, limit = request.temperature, request.top_p, request.max_output_tokens
        if limit is not None:
            written["maxTokens"] = limit
            if limit < 1:
                self._refusals.field("max_output_tokens", "the API wants at least 1")
        for field, value in (("temperature", temperature), ("top_p", top_p)):
            if value is not None and not 0 <= value <= 1:
                self._refusals.field(field, "the API takes 0 to 1")
        known = self._target.capabilities
        spared = known is not None and "sampling" in known.lacks
        # Of newer models some take one of the two, and some none; 1 says the same as nothing.
        if temperature is not None and not (temperature == 1 and (spared or top_p not in (None, 1))):
            written["temperature"] = temperature
        if top_p is not None and not (top_p == 1 and (spared or temperature is not None)):
            written["topP"] = top_p
        if request.stop:
            written["stopSequences"] = request.stop
            if not all(text.strip() for text in request.stop):
                self._refusals.field("stop", "the API takes none of white space only")
        return written

    # Tools

    def _tools(self, request: ChatRequest, body: dict[str, Any], marks: bool) -> str:
        """Write tools and choice; the field that forces a call, if one does."""
        mode = request.tool_choice.mode if request.tool_choice is not None else ""
        called = called_tools(request.messages)
        if not request.tools:
            if mode in ("required", "named"):
                self._refusals.field("tool_choice", "there are no tools")
            if called:
                self._notes.emulate(self._refusals.name("tools"))
                body["toolConfig"] = {"tools": [self._shut_off(name) for name in called]}
                self._forbid()
            return ""
        if mode == "none" and not self._claude and not called:
            self._notes.emulate(self._refusals.name("tool_choice"))
            return ""
        written: list[dict[str, Any]] = []
        for place, tool in enumerate(request.tools):
            written.append({"toolSpec": self._tool(tool, place)})
            if tool.cache and marks:
                written.append(cache_point(tool.cache))
            elif tool.cache:
                self._notes.omit(self._refusals.name("cache"))
        body["toolConfig"] = {"tools": written}
        if mode == "none" and not self._forbid():
            self._refusals.field("tool_choice", "tools cannot be forbidden where the history holds their calls")
        return self._choose(request, mode, body["toolConfig"])

    def _choose(self, request: ChatRequest, mode: str, config: dict[str, Any]) -> str:
        if mode == "required":
            config["toolChoice"] = {"any": {}}
        elif mode == "named" and request.tool_choice is not None:
            config["toolChoice"] = {"tool": {"name": request.tool_choice.name}}
        if request.parallel_tool_calls is False and mode != "none":
            single: dict[str, Any] = {"disable_parallel_tool_use": True}
            if "toolChoice" not in config:
                single = {"type": "auto"} | single
            self._only_claude("parallel_tool_calls", {"tool_choice": single})
        if mode not in ("required", "named"):
            return ""
        return "response_format" if any(tool.name == JSON_TOOL for tool in request.tools) else "tool_choice"

    def _forbid(self) -> bool:
        """Shut the tools off, where that can be said."""
        if self._claude:
            self._extra["tool_choice"] = {"type": "none"}
        return self._claude

    def _shut_off(self, name: str) -> dict[str, Any]:
        spec: dict[str, Any] = {"name": name, "inputSchema": {"json": {"type": "object"}}}
        return {"toolSpec": spec if self._claude else spec | {"description": _GONE}}

    def _tool(self, tool: Tool, place: int) -> dict[str, Any]:
        schema = {"properties": {}} if tool.parameters is None else tool.parameters
        if not _TOOL_NAME.fullmatch(tool.name):
            path = self._refusals.name("tools[].name").replace("[]", f"[{place}]")
            self._refusals.add(path, "Bedrock takes up to 64 letters, digits, _ and -")
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            self._refusals.field("tools", f"the arguments of {tool.name!r} are no object")
            schema = {}
        written: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": {"type": "object"} | schema}}
        if tool.description:
            written["description"] = tool.description
        if tool.strict and can_hold(schema) and self._holds():
            written["strict"] = True
        elif tool.strict and tool.name != JSON_TOOL:
            self._notes.emulate(f"tools[{place}].strict")
        return written

    def _holds(self) -> bool:
        known = self._target.capabilities
        return known is None or "json_schema" not in known.lacks

    # The rest

    def _thinking(self, request: ChatRequest, body: dict[str, Any], forced: str) -> None:
        if request.reasoning is None:
            return
        if not self._claude:
            if request.reasoning.effort == "none" and request.reasoning.budget_tokens is None:
                self._notes.omit(self._refusals.name("reasoning"))
            else:
                self._only_claude("reasoning", {})
            return
        limit = request.max_output_tokens
        thinking, effort = encode_thinking(request, self._target, limit, self._refusals, self._notes)
        if thinking_is_on(thinking) and thinking is not None:
            if "budget_tokens" in thinking and _chain_without_thoughts(body["messages"]):
                self._notes.omit(self._refusals.name("reasoning"))
                thinking = None
            else:
                refuse_with_thinking(request, forced, self._refusals)
        if thinking is not None:
            self._extra["thinking"] = thinking
        if effort:
            body.setdefault("outputConfig", {})["effort"] = effort

    def _format(self, wanted: ResponseFormat) -> dict[str, Any]:
        if not isinstance(wanted.schema, dict):
            self._refusals.field("response_format", "the API holds an answer to a schema only")
        inner: dict[str, Any] = {"schema": msgspec.json.encode(wanted.schema).decode()}
        if wanted.name:
            inner["name"] = wanted.name
        if wanted.description:
            inner["description"] = wanted.description
        return {"type": "json_schema", "structure": {"jsonSchema": inner}}

    def _cache(self, cache: str, messages: list[dict[str, Any]], marks: bool) -> None:
        """The client leaves it to the provider where to cache; Bedrock looks back from one point at the end."""
        name = self._refusals.name("cache")
        if not marks:
            self._notes.omit(name)
            return
        self._notes.emulate(name)
        content = messages[-1]["content"] if messages else [{"cachePoint": {}}]
        if "cachePoint" not in content[-1]:
            content.append(cache_point(cache))

    def _labels(self, request: ChatRequest, body: dict[str, Any]) -> None:
        fit = {
            key: text
            for key, text in request.metadata.items()
            if key and _LABEL.fullmatch(key) and _LABEL.fullmatch(text)
        }
        kept = dict(list(fit.items())[:_MAX_LABELS])
        if kept:
            body["requestMetadata"] = kept
        if len(kept) < len(request.metadata):
            self._notes.omit(self._refusals.name("metadata"))
        if request.service_tier not in ("", "auto"):
            word = tier_word(request.service_tier)
            body["serviceTier"] = {"type": word}
            if not word:
                self._refusals.field("service_tier", f"{request.service_tier!r}")


def _chain_without_thoughts(turns: list[dict[str, Any]]) -> bool:
    """Whether the last turn of the assistant called tools and does not begin with what it thought."""
    last: list[dict[str, Any]] = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), [])
    return any("toolUse" in block for block in last) and "reasoningContent" not in last[0]
