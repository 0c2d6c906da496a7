"""Requests for a target of this dialect.

A token limit is demanded: without one from the client it is the target's own, that of its model, or
:data:`DEFAULT_MAX_TOKENS`. ``temperature`` ends at 1 here. Where the model thinks, the API takes no forced tool and no
sampling settings; such a request is refused with that reason instead of being sent to its certain 400. A model that
thinks within a budget also wants its thoughts back in the middle of a chain of tool calls; where they are missing, as a
client that knows no reasoning never returns them, thinking is left out until the chain has ended, and noted.

A target that takes no sampling settings is spared those of 1, which say the same as their absence; and since newer
models take ``temperature`` or ``top_p`` but not both, so is one that is given the other one, too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Target
from trimaran.wire.anthropic_messages.blocks import called_tools, encode_messages, encode_system, marked
from trimaran.wire.anthropic_messages.schemas import can_hold
from trimaran.wire.anthropic_messages.thinking import encode_thinking, refuse_with_thinking, thinking_is_on
from trimaran.wire.conversation import ChatRequest, Document, Image, Notes, ResponseFormat, Tool, ToolResult
from trimaran.wire.json_tool import JSON_TOOL
from trimaran.wire.refusals import Refusals, check_fields

__all__ = ["DEFAULT_MAX_TOKENS", "encode_count_request", "encode_request", "takes_format"]

DEFAULT_MAX_TOKENS = 4096
"""Every model of the API can generate this many; more has to be asked for, by the client or in the target."""

_PROMPT = frozenset(
    {"system", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning", "cache", "stream"}
)
"""The fields that a count is made of."""
_TAKES = _PROMPT | {"begun", "max_output_tokens", "temperature", "top_p", "top_k", "stop", "service_tier", "user"}
_HINTS = frozenset({"metadata", "cache_key", "cache_retention"})
_UNCOUNTED = frozenset(ChatRequest.__struct_fields__) - _PROMPT
"""What does not change how many tokens go in."""

_NATIVE = frozenset({"anthropic.messages", "anthropic.count_tokens"})
_CHOICES = {"auto": "auto", "required": "any", "none": "none", "named": "tool"}


def encode_request(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
    """A request for a message."""
    check_fields(request, _TAKES, _HINTS, refusals, notes)
    limit = request.max_output_tokens
    if limit is None:
        limit = target.max_output_tokens or (target.capabilities.max_output_tokens if target.capabilities else None)
    body, budget = _prompt(request, target, limit, refusals.source in _NATIVE, refusals, notes)
    body["max_tokens"] = limit if limit is not None else DEFAULT_MAX_TOKENS + budget
    _write_sampling(request, target, body, refusals)
    if request.stop:
        body["stop_sequences"] = request.stop
        if not all(text.strip() for text in request.stop):
            refusals.field("stop", "the API takes none of white space only")
    if request.service_tier not in ("", "auto", "standard"):
        refusals.field("service_tier", f"{request.service_tier!r}")
    if request.service_tier == "standard":
        body["service_tier"] = "standard_only"
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    return msgspec.json.encode(body)


def encode_count_request(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
    """A request for a count."""
    check_fields(request, _PROMPT, _UNCOUNTED, refusals, notes)
    if request.response_format is not None and not takes_format(request.response_format, target):
        notes.omit(refusals.name("response_format"))
        request = msgspec.structs.replace(request, response_format=None)
    body, _ = _prompt(request, target, None, True, refusals, notes)
    return msgspec.json.encode(body)


def takes_format(wanted: ResponseFormat, target: Target) -> bool:
    """Whether the model can be held to the format."""
    if target.capabilities is not None and "json_schema" in target.capabilities.lacks:
        return False
    return wanted.kind == "json_schema" and isinstance(wanted.schema, dict) and can_hold(wanted.schema)


def _prompt(
    request: ChatRequest, target: Target, limit: int | None, native: bool, refusals: Refusals, notes: Notes
) -> tuple[dict[str, Any], int]:
    """All that the model reads, and the budget of its thinking."""
    turns = encode_messages(request, native, refusals, notes)
    if target.kind == "bedrock":
        _refuse_urls(request, refusals)
    body: dict[str, Any] = {"model": target.upstream_model, "messages": turns}
    if system := encode_system(request, refusals, notes):
        body["system"] = system
    forced = _write_tools(request, body, refusals, notes)
    thinking, effort = encode_thinking(request, target, limit, refusals, notes)
    if thinking_is_on(thinking) and thinking is not None:
        if "budget_tokens" in thinking and _chain_without_thoughts(turns):
            notes.omit(refusals.name("reasoning"))
            thinking = None
        else:
            refuse_with_thinking(request, forced, refusals)
    if thinking is not None:
        body["thinking"] = thinking
    config: dict[str, Any] = {"effort": effort} if effort else {}
    if request.response_format is not None:
        if not isinstance(request.response_format.schema, dict):
            refusals.field("response_format", "the API holds an answer to a schema only")
        config["format"] = {"type": "json_schema", "schema": request.response_format.schema}
        if request.response_format.description:
            notes.omit(f"{refusals.name('response_format')}.description")
    if config:
        body["output_config"] = config
    marked(body, request.cache)
    return body, thinking.get("budget_tokens", 0) if thinking is not None else 0


def _refuse_urls(request: ChatRequest, refusals: Refusals) -> None:
    """Bedrock takes what stands in the request itself, and fetches nothing."""
    for message in request.messages:
        parts = [each for part in message.parts for each in (part.parts if isinstance(part, ToolResult) else [part])]
        for part in parts:
            if isinstance(part, Image | Document) and part.url:
                kind = "picture" if isinstance(part, Image) else "document"
                refusals.add(message.path, f"a {kind} by URL, which Bedrock does not fetch; send it inline")


def _write_sampling(request: ChatRequest, target: Target, body: dict[str, Any], refusals: Refusals) -> None:
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None and temperature > 1:
        refusals.field("temperature", "the API takes 0 to 1")
    spared = target.capabilities is not None and "sampling" in target.capabilities.lacks
    if temperature is not None and not (temperature == 1 and (spared or top_p not in (None, 1))):
        body["temperature"] = temperature
    if top_p is not None and not (top_p == 1 and (spared or temperature is not None)):
        body["top_p"] = top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k


def _write_tools(request: ChatRequest, body: dict[str, Any], refusals: Refusals, notes: Notes) -> str:
    """Write tools and choice; the field that forces a call, if one does."""
    mode = request.tool_choice.mode if request.tool_choice is not None else ""
    if not request.tools:
        if mode in ("required", "named"):
            refusals.field("tool_choice", "there are no tools")
        if names := called_tools(request.messages):
            notes.emulate(refusals.name("tools"))
            body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in names]
            body["tool_choice"] = {"type": "none"}
        return ""
    body["tools"] = [_tool(tool, refusals) for tool in request.tools]
    choice: dict[str, Any] = {"type": _CHOICES[mode or "auto"]}
    if mode == "named" and request.tool_choice is not None:
        choice["name"] = request.tool_choice.name
    if request.parallel_tool_calls is False and mode != "none":
        choice["disable_parallel_tool_use"] = True
    if choice != {"type": "auto"}:
        body["tool_choice"] = choice
    if mode not in ("required", "named"):
        return ""
    return "response_format" if any(tool.name == JSON_TOOL for tool in request.tools) else "tool_choice"


def _tool(tool: Tool, refusals: Refusals) -> dict[str, Any]:
    schema = {"properties": {}} if tool.parameters is None else tool.parameters
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        refusals.field("tools", f"the arguments of {tool.name!r} are no object")
        schema = {}
    if tool.strict and tool.name != JSON_TOOL and not can_hold(schema):
        refusals.field("tools", f"{tool.name!r} is strict, and the API cannot hold it to its schema")
    written: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object"} | schema}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None and (tool.name != JSON_TOOL or can_hold(schema)):
        written["strict"] = tool.strict
    return marked(written, tool.cache)


def _chain_without_thoughts(turns: list[dict[str, Any]]) -> bool:
    """Whether the last turn of the assistant called tools and does not begin with what it thought."""
    last = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), "")
    if isinstance(last, str) or not any(block["type"] == "tool_use" for block in last):
        return False
    return last[0]["type"] not in ("thinking", "redacted_thinking")
