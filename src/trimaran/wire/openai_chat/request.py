"""A request of this API as neutral values.

A member that says the same as its absence is taken as absent: the API's own defaults, and what qualifies tools where
there are none. Anything else that has no neutral place is refused by name: stored answers, predictions, audio out,
searches on the web, several choices, and every member that is not known here.
"""

from __future__ import annotations

from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import ChatRequest, ReasoningControl, ResponseFormat, Tool, ToolChoice
from trimaran.wire.dialect import means_nothing, number, plain_members
from trimaran.wire.effort import EFFORTS
from trimaran.wire.fields import (
    filled_text,
    optional_flag,
    optional_text,
    refuse_rest,
    required_object,
    required_text,
    top_text,
    type_of,
)
from trimaran.wire.members import RawMembers, count_member, flag_member, plain, read_members, text_member
from trimaran.wire.openai_chat.messages import read_messages
from trimaran.wire.openai_chat.parts import cache_mark
from trimaran.wire.openai_chat.usage import neutral_tier
from trimaran.wire.refusals import Refusals

__all__ = ["READ", "decode_request", "stream_options"]

READ = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"})
"""What the road reads of every request."""
_TRANSLATED = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "metadata",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "prompt_cache_options": ({}, {"mode": "implicit"}, {"ttl": "30m"}, {"mode": "implicit", "ttl": "30m"}),
    "store": (False,),
}
"""Values of other members that say the same as their absence."""
_HINTS = frozenset({"prompt_cache_options"})
_KNOWN = READ | _TRANSLATED | _NEUTRAL.keys()
_TIERS = ("auto", "default", "fast", "flex", "priority")
_TOOL_MODES = ("auto", "none", "required")


def decode_request(body: bytes, refusals: Refusals) -> ChatRequest:
    """See :meth:`trimaran.wire.dialect.Conversational.decode_request`."""
    raw, _ = read_members(body, _KNOWN)
    fields = plain_members(raw)
    for key in fields:
        if key in READ or key in _TRANSLATED or means_nothing(fields, _NEUTRAL, key):
            continue
        if key in _HINTS:
            refusals.omit(key)
        else:
            refusals.add(key)
    if count_member(raw, "n") not in (None, 1):
        refusals.add("n", "more than one choice")
    for key, value in stream_options(raw).items():
        if key != "include_usage" and value not in (None, False):
            refusals.add(f"stream_options.{key}")
    system, messages = read_messages(fields.get("messages"), refusals)
    tools = _tools(fields.get("tools"), refusals)
    return ChatRequest(
        model=text_member(raw, "model"),
        messages=messages,
        system=system,
        max_output_tokens=_limit(raw, refusals),
        temperature=number(fields, "temperature"),
        top_p=number(fields, "top_p"),
        top_k=count_member(raw, "top_k"),
        seed=_integer(fields, "seed"),
        frequency_penalty=number(fields, "frequency_penalty") or None,
        presence_penalty=number(fields, "presence_penalty") or None,
        logit_bias=_logit_bias(fields),
        logprobs=_logprobs(raw),
        stop=_stop(fields),
        tools=tools,
        tool_choice=_tool_choice(fields, tools, refusals),
        parallel_tool_calls=False if tools and not _parallel(raw) else None,
        response_format=_response_format(fields.get("response_format"), refusals),
        reasoning=_reasoning(fields, refusals),
        verbosity=_word(fields, "verbosity", ("low", "medium", "high"), refusals, default="medium"),
        service_tier=neutral_tier(_word(fields, "service_tier", _TIERS, refusals)),
        user=_user(fields, refusals),
        metadata=_metadata(fields),
        cache_key=top_text(fields, "prompt_cache_key"),
        cache_retention=_word(fields, "prompt_cache_retention", ("in_memory", "24h"), refusals),
        stream=flag_member(raw, "stream"),
    )


def stream_options(raw: RawMembers) -> dict[str, Any]:
    """The members of ``stream_options``. Raises :class:`InvalidRequest`."""
    value = raw.get("stream_options")
    options = None if value is None else plain("stream_options", value)
    if options is None:
        return {}
    if not isinstance(options, dict) or not isinstance(options.get("include_usage"), bool | None):
        raise InvalidRequest(
            "'stream_options' must be an object such as {\"include_usage\": true}", field="stream_options"
        )
    return options


def _limit(raw: RawMembers, refusals: Refusals) -> int | None:
    """``max_completion_tokens`` took the place of ``max_tokens``; both may stand when they agree."""
    old = count_member(raw, "max_tokens")
    new = count_member(raw, "max_completion_tokens")
    if old is not None and new is not None and old != new:
        refusals.add("max_tokens", "max_completion_tokens says otherwise")
    return old if new is None else new


def _integer(fields: dict[str, Any], key: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if type(value) is not int or abs(value) >= 2**63:
        raise InvalidRequest(f"{key!r} must be an integer of 64 bits", field=key)
    return value


def _word(
    fields: dict[str, Any], key: str, words: tuple[str, ...], refusals: Refusals, default: str | None = None
) -> str:
    """A member that takes one of ``words``. Another one may be right at some server, and has no neutral meaning."""
    value = top_text(fields, key)
    if value and value not in words:
        refusals.add(key, f"the value {value!r}")
        return ""
    return "" if value == default else value


def _logit_bias(fields: dict[str, Any]) -> dict[str, float]:
    value = fields.get("logit_bias")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(type(bias) in (int, float) for bias in value.values()):
        raise InvalidRequest("'logit_bias' must be an object of numbers by token id", field="logit_bias")
    return value


def _logprobs(raw: RawMembers) -> int | None:
    alternatives = count_member(raw, "top_logprobs")
    if flag_member(raw, "logprobs"):
        return alternatives or 0
    if alternatives:
        raise InvalidRequest("'top_logprobs' needs 'logprobs': true", field="top_logprobs")
    return None


def _stop(fields: dict[str, Any]) -> list[str]:
    value = fields.get("stop")
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise InvalidRequest("'stop' must be a string or a list of strings", field="stop")
    return values


def _user(fields: dict[str, Any], refusals: Refusals) -> str | None:
    """``safety_identifier`` took the place of ``user``; both may stand when they agree."""
    old, new = fields.get("user"), fields.get("safety_identifier")
    for key, value in (("user", old), ("safety_identifier", new)):
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(f"{key!r} must be a string", field=key)
    if old is not None and new is not None and old != new:
        refusals.add("safety_identifier", "user says otherwise")
    return old if new is None else new


def _metadata(fields: dict[str, Any]) -> dict[str, str]:
    value = fields.get("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidRequest("'metadata' must be an object of strings", field="metadata")
    return value


def _reasoning(fields: dict[str, Any], refusals: Refusals) -> ReasoningControl | None:
    effort = _word(fields, "reasoning_effort", EFFORTS, refusals)
    return ReasoningControl(effort) if effort else None


def _tools(value: Any, refusals: Refusals) -> list[Tool]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest("'tools' must be a list of tools", field="tools")
    tools: list[Tool] = []
    for place, item in enumerate(value):
        path = f"tools[{place}]"
        kind = type_of(item, path)
        if kind != "function":
            refusals.add(path, f"a tool of type {kind!r}")
            continue
        tools.append(_tool(item, path, refusals))
    return tools


def _tool(item: dict[str, Any], path: str, refusals: Refusals) -> Tool:
    refuse_rest(item, {"type", "function", "cache_control", "prompt_cache_breakpoint"}, path, refusals)
    here = f"{path}.function"
    function = required_object(item, "function", path)
    refuse_rest(function, {"name", "description", "parameters", "strict"}, here, refusals)
    name = filled_text(function, "name", here)
    parameters = function.get("parameters")
    if not isinstance(parameters, dict | None):
        raise InvalidRequest(f"'{here}.parameters' must be a JSON schema, an object", field=f"{here}.parameters")
    strict = optional_flag(function, "strict", here)
    description = optional_text(function, "description", here)
    return Tool(name, description, parameters, strict, cache_mark(item, path, refusals))


def _tool_choice(fields: dict[str, Any], tools: list[Tool], refusals: Refusals) -> ToolChoice | None:
    value, offered = fields.get("tool_choice"), fields.get("tools") or []
    if value is None or value == "auto" or (value == "none" and not offered):
        return None
    if isinstance(value, dict):
        kind = value.get("type")
        if kind != "function":
            refusals.add("tool_choice", f"type {kind!r}")
            return None
        function = value.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        choice = ToolChoice("named", name) if isinstance(name, str) else None
    else:
        choice = ToolChoice(value) if value in _TOOL_MODES else None
    if choice is None:
        raise InvalidRequest("'tool_choice' must be auto, none, required or name a function", field="tool_choice")
    if not offered:
        raise InvalidRequest("'tool_choice' needs 'tools'", field="tool_choice")
    # A tool that was refused for its type could be the one.
    if choice.mode == "named" and len(tools) == len(offered) and all(tool.name != choice.name for tool in tools):
        raise InvalidRequest(f"'tool_choice' names {choice.name!r}, which is not among 'tools'", field="tool_choice")
    return choice


def _parallel(raw: RawMembers) -> bool:
    given = raw.get("parallel_tool_calls")
    return given is None or bytes(given) == b"null" or flag_member(raw, "parallel_tool_calls")


def _response_format(value: Any, refusals: Refusals) -> ResponseFormat | None:
    if value is None:
        return None
    kind = type_of(value, "response_format")
    if kind not in ("text", "json_object", "json_schema"):
        refusals.add("response_format", f"type {kind!r}")
        return None
    refuse_rest(value, {"type", "json_schema"}, "response_format", refusals)
    if kind != "json_schema":
        return None if kind == "text" else ResponseFormat(kind)
    path = "response_format.json_schema"
    wanted = required_object(value, "json_schema", "response_format")
    refuse_rest(wanted, {"name", "schema", "strict", "description"}, path, refusals)
    schema, strict = wanted.get("schema"), wanted.get("strict")
    if not isinstance(schema, dict | None) or not isinstance(strict, bool | None):
        raise InvalidRequest(f"'{path}.schema' must be an object and 'strict' true or false", field=f"{path}.schema")
    description = optional_text(wanted, "description", path)
    return ResponseFormat(kind, required_text(wanted, "name", path), schema, strict, description)
