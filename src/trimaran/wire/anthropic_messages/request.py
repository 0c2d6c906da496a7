"""Requests of clients, decoded.

Members that the neutral model has no place for are refused by name, unless their value says the same as their absence.
``system`` messages at the start of the conversation join the instructions; later ones stay where they are.
"""

from __future__ import annotations

from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.anthropic_messages.content import cache_of, decode_content, refuse_others
from trimaran.wire.anthropic_messages.thinking import decode_thinking
from trimaran.wire.conversation import ChatRequest, Message, Part, ResponseFormat, Tool, ToolChoice
from trimaran.wire.dialect import means_nothing, number, plain_members
from trimaran.wire.fields import filled_text, optional_flag, optional_text, required_text, top_object
from trimaran.wire.history import check_history
from trimaran.wire.members import count_member, flag_member, read_members, text_member
from trimaran.wire.refusals import Refusals

__all__ = ["decode_request"]

_TRANSLATED = frozenset(
    {
        "cache_control",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "betas": ([],),
    "container": ("", {}),
    "context_management": ({}, {"edits": []}),
    "diagnostics": ({}, {"previous_message_id": None}),
    "fallbacks": ([],),
    "mcp_servers": ([],),
    "speed": ("standard",),
}
"""Values that say the same as the member's absence."""
_KNOWN = _TRANSLATED | _NEUTRAL.keys()

_TOOL_MEMBERS: dict[str, tuple[Any, ...]] = {
    "type": ("custom",),
    "name": (),
    "description": (),
    "input_schema": (),
    "strict": (),
    "cache_control": (),
    "allowed_callers": (["direct"],),
    "defer_loading": (False,),
    "eager_input_streaming": (False, True),
    "input_examples": ([],),
}
"""Arguments that are streamed before they are whole (``eager_input_streaming``) are what every other API sends."""

_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}


def decode_request(body: bytes, refusals: Refusals) -> ChatRequest:
    """A request for a message, or for a count: that one has a part of the members."""
    raw, _ = read_members(body, _KNOWN)
    fields = plain_members(raw)
    for key in fields:
        if key in _TRANSLATED or means_nothing(fields, _NEUTRAL, key):
            continue
        if key == "context_management" and _clears_thoughts_only(fields[key]):
            refusals.omit(key)
        else:
            refusals.add(key)
    system, messages = _decode_messages(fields, refusals)
    check_history(messages)
    tools = _decode_tools(fields.get("tools"), refusals)
    choice, parallel = _decode_choice(fields.get("tool_choice"), bool(fields.get("tools")), refusals)
    config = top_object(fields, "output_config")
    refuse_others(config, {"effort": (), "format": ()}, "output_config", refusals)
    return ChatRequest(
        model=text_member(raw, "model"),
        messages=messages,
        system=system,
        max_output_tokens=count_member(raw, "max_tokens"),
        temperature=number(fields, "temperature"),
        top_p=number(fields, "top_p"),
        top_k=count_member(raw, "top_k"),
        stop=_stop_sequences(fields),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=_decode_format(config.get("format"), fields.get("output_format"), refusals),
        reasoning=decode_thinking(fields.get("thinking"), config.get("effort"), refusals),
        service_tier=_service_tier(fields.get("service_tier")),
        user=_user(fields, refusals),
        cache=cache_of(fields.get("cache_control"), "cache_control", refusals),
        stream=flag_member(raw, "stream"),
    )


def _clears_thoughts_only(value: Any) -> bool:
    """Whether all that is asked for is that earlier thinking be left out or kept: no other provider reads it anyway."""
    if not isinstance(value, dict) or value.keys() != {"edits"} or not isinstance(value["edits"], list):
        return False
    kinds = [edit.get("type") if isinstance(edit, dict) else None for edit in value["edits"]]
    return all(isinstance(kind, str) and kind.startswith("clear_thinking") for kind in kinds)


def _decode_messages(fields: dict[str, Any], refusals: Refusals) -> tuple[list[Part], list[Message]]:
    """Instructions, and the turns."""
    items = fields.get("messages")
    if not isinstance(items, list) or not items:
        raise InvalidRequest("'messages' must be a list with at least one message", field="messages")
    system: list[Part] = []
    if fields.get("system") is not None:
        system = decode_content(fields["system"], "system", "system", refusals)
    messages: list[Message] = []
    for place, item in enumerate(items):
        path = f"messages[{place}]"
        role = item.get("role") if isinstance(item, dict) else None
        if role not in ("user", "assistant", "system"):
            raise InvalidRequest(f"{path!r} must be an object with role user, assistant or system", field=path)
        refuse_others(item, {"role": (), "content": ()}, path, refusals)
        content = item.get("content")
        if content == []:
            raise InvalidRequest(f"'{path}.content' is empty", field=f"{path}.content")
        parts = decode_content(content, role, f"{path}.content", refusals)
        if role == "system" and not messages:
            system = system + parts
        else:
            messages.append(Message(role, parts, path))
    return system, messages


def _decode_tools(value: Any, refusals: Refusals) -> list[Tool]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest("'tools' must be a list of tools", field="tools")
    tools: list[Tool] = []
    for place, item in enumerate(value):
        path = f"tools[{place}]"
        if not isinstance(item, dict):
            raise InvalidRequest(f"{path!r} must be an object", field=path)
        kind = item.get("type")
        if kind not in (None, "custom"):
            refusals.add(path, f"a tool of type {kind!r}")
            continue
        refuse_others(item, _TOOL_MEMBERS, path, refusals)
        tools.append(_decode_tool(item, path, refusals))
    return tools


def _decode_tool(item: dict[str, Any], path: str, refusals: Refusals) -> Tool:
    name, schema = filled_text(item, "name", path), item.get("input_schema")
    if not isinstance(schema, dict):
        raise InvalidRequest(f"'{path}.input_schema' must be a JSON schema, an object", field=f"{path}.input_schema")
    strict = optional_flag(item, "strict", path)
    cache = cache_of(item.get("cache_control"), f"{path}.cache_control", refusals)
    return Tool(name, optional_text(item, "description", path), schema, strict, cache)


def _decode_choice(value: Any, tools: bool, refusals: Refusals) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be parallel: ``None`` where nothing but the default was said."""
    if value is None:
        return None, None
    mode = _CHOICES.get(required_text(value, "type", "tool_choice")) if isinstance(value, dict) else None
    if mode is None:
        raise InvalidRequest("'tool_choice' must be an object of type auto, any, tool or none", field="tool_choice")
    known: dict[str, tuple[Any, ...]] = {"type": (), "disable_parallel_tool_use": ()}
    refuse_others(value, known | ({"name": ()} if mode == "named" else {}), "tool_choice", refusals)
    single = optional_flag(value, "disable_parallel_tool_use", "tool_choice")
    name = required_text(value, "name", "tool_choice") if mode == "named" else ""
    if not tools:
        if mode in ("auto", "none"):
            return None, None
        raise InvalidRequest("'tool_choice' forces a tool, and 'tools' has none", field="tool_choice")
    return (None if mode == "auto" else ToolChoice(mode, name)), (False if single else None)


def _decode_format(value: Any, older: Any, refusals: Refusals) -> ResponseFormat | None:
    """The format of the answer, under its present name or its older one."""
    path = "output_config.format" if older is None else "output_format"
    if value is not None and older is not None:
        raise InvalidRequest(f"{path!r} and 'output_config.format' are the same; send one", field=path)
    value = older if value is None else value
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    kind = required_text(value, "type", path)
    if kind != "json_schema":
        refusals.add(path, f"of type {kind!r}")
        return None
    refuse_others(value, {"type": (), "schema": ()}, path, refusals)
    schema = value.get("schema")
    if not isinstance(schema, dict):
        raise InvalidRequest(f"'{path}.schema' must be a JSON schema, an object", field=f"{path}.schema")
    return ResponseFormat("json_schema", schema=schema, strict=True)


def _stop_sequences(fields: dict[str, Any]) -> list[str]:
    value = fields.get("stop_sequences")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidRequest("'stop_sequences' must be a list of strings", field="stop_sequences")
    return value


def _service_tier(value: Any) -> str:
    """``auto`` is the default, so it says nothing."""
    if value in (None, "auto"):
        return ""
    if value != "standard_only":
        raise InvalidRequest("'service_tier' must be auto or standard_only", field="service_tier")
    return "standard"


def _user(fields: dict[str, Any], refusals: Refusals) -> str | None:
    metadata = top_object(fields, "metadata")
    refuse_others(metadata, {"user_id": ()}, "metadata", refusals)
    user = metadata.get("user_id")
    return None if user is None else required_text(metadata, "user_id", "metadata")
