"""A Responses request as a neutral one.

What refers to a provider's store (an earlier response, a conversation, a prompt template) cannot be translated: only the
provider that holds it can go on. Nothing is stored here either, so ``store: true`` is refused, while its absence is
taken as consent to whatever the server does; the answer says ``store: false``.

``strict`` of a function tool. Left out, this API makes the schema strict where it can and takes it as it is where it
cannot; Chat Completions leaves it loose (https://developers.openai.com/api/docs/guides/function-calling, strict mode,
read 2026-11-24). No other API rewrites a schema, so a tool whose schema already has the strict form is strict, and any
other one is loose. Either is stated, for the other side's default may be another one.
"""

from __future__ import annotations

from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import (
    ChatRequest,
    Message,
    Part,
    ReasoningControl,
    ResponseFormat,
    Text,
    Tool,
    ToolChoice,
)
from trimaran.wire.dialect import means_nothing, number, plain_members
from trimaran.wire.effort import EFFORTS
from trimaran.wire.fields import (
    optional_flag,
    optional_text,
    refuse_rest,
    required_text,
    top_object,
    top_text,
    type_of,
)
from trimaran.wire.members import RawMembers, count_member, flag_member, read_members, text_member
from trimaran.wire.openai_responses.items import decode_input
from trimaran.wire.openai_tools import strict_form
from trimaran.wire.refusals import Refusals

__all__ = ["COUNTED", "KNOWN", "TIERS", "decode_members"]

COUNTED = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "truncation",
        "previous_response_id",
        "conversation",
    }
)
"""What the counting of tokens takes, too."""
_TRANSLATED = COUNTED | {
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "stream",
    "stream_options",
    "include",
    "store",
    "background",
    "prompt",
    "max_tool_calls",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "service_tier",
    "metadata",
}
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "access_programs": ({},),
    "background_options": ({}, {"completion_window": "soonest"}),
    "context_management": ([],),
    "image": ({}, {"context_compression": "auto"}),
    "moderation": (),
    "personality": (),
}
KNOWN = _TRANSLATED | _NEUTRAL.keys()

TIERS = {"auto": "auto", "default": "standard", "flex": "flex", "priority": "priority", "fast": "priority"}
"""Tiers a request may ask for, as neutral words. What ``fast`` asks for is served and billed as ``priority``."""
_STORED = {
    "previous_response_id": "only the provider that stored that response can go on from it; send the whole conversation",
    "conversation": "only the provider that keeps that conversation can go on with it; send its items",
    "prompt": "only the provider that keeps that prompt template can fill it in; send its text",
}
_INCLUDES = frozenset({"reasoning.encrypted_content", "message.output_text.logprobs"})
_CHOICES = frozenset({"auto", "none", "required"})
_VERBOSITIES = frozenset({"low", "medium", "high"})
_SHOWN = frozenset({"auto", "concise", "detailed"})
_TOOL_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "allowed_callers": (["direct"],),
    "async": (False,),
    "defer_loading": (False,),
}


def decode_members(body: bytes, refusals: Refusals, counting: bool = False) -> ChatRequest:
    """The neutral request. ``counting``: a request to count tokens, which takes fewer members."""
    raw, _ = read_members(body, KNOWN)
    fields = plain_members(raw)
    taken = COUNTED if counting else _TRANSLATED
    for key in fields:
        if key not in taken and not means_nothing(fields, _NEUTRAL, key):
            refusals.add(key)
    _refuse_what_others_lack(fields, refusals)
    system, messages = _conversation(fields, refusals)
    request = ChatRequest(model=text_member(raw, "model"), messages=messages, system=system)
    request.tools = _tools(fields.get("tools"), refusals)
    request.tool_choice = _tool_choice(fields.get("tool_choice"), refusals)
    if fields.get("parallel_tool_calls") is not None:
        request.parallel_tool_calls = flag_member(raw, "parallel_tool_calls")
    request.reasoning = _reasoning(fields.get("reasoning"), refusals)
    _text(fields.get("text"), request, refusals)
    if not counting:
        _settings(raw, fields, request, refusals)
    return request


def _settings(raw: RawMembers, fields: dict[str, Any], request: ChatRequest, refusals: Refusals) -> None:
    """What says how to answer and has no part in the conversation."""
    request.max_output_tokens = count_member(raw, "max_output_tokens")
    request.temperature = number(fields, "temperature")
    request.top_p = number(fields, "top_p")
    request.logprobs = _logprobs(raw, fields, refusals)
    request.user = _user(fields, refusals)
    request.metadata = _metadata(fields.get("metadata"))
    request.cache_key = top_text(fields, "prompt_cache_key")
    request.cache_retention = top_text(fields, "prompt_cache_retention")
    request.service_tier = _tier(fields, refusals)
    request.stream = flag_member(raw, "stream")


def _refuse_what_others_lack(fields: dict[str, Any], refusals: Refusals) -> None:
    for key, why in _STORED.items():
        if fields.get(key) is not None:
            refusals.add(key, why)
    if fields.get("store") not in (None, False):
        refusals.add("store", "nothing is stored here; send false, and the whole conversation each time")
    if fields.get("background") not in (None, False):
        refusals.add("background", "the answer could not be fetched later")
    if fields.get("truncation") not in (None, "disabled"):
        refusals.add("truncation", "nothing is cut from the conversation here")
    if fields.get("max_tool_calls") is not None:
        refusals.add("max_tool_calls", "tools are called by the client")
    options = top_object(fields, "stream_options")
    if options.get("include_obfuscation") is True:
        # Padding that clients throw away.
        refusals.omit("stream_options.include_obfuscation")
    refuse_rest(options, {"include_obfuscation"}, "stream_options", refusals)
    cache = top_object(fields, "prompt_cache_options")
    refuse_rest(
        cache,
        frozenset(),
        "prompt_cache_options",
        refusals,
        {"mode": ("implicit",), "ttl": ("30m",), "prewarm": (False,)},
    )


def _conversation(fields: dict[str, Any], refusals: Refusals) -> tuple[list[Part], list[Message]]:
    system: list[Part] = []
    instructions = top_text(fields, "instructions")
    if instructions:
        system.append(Text(instructions))
    if fields.get("input") is None and refusals:
        return system, []
    leading, messages = decode_input(fields.get("input"), refusals)
    return system + leading, messages


def _tools(value: Any, refusals: Refusals) -> list[Tool]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest("'tools' must be a list", field="tools")
    tools: list[Tool] = []
    for place, tool in enumerate(value):
        path = f"tools[{place}]"
        kind = type_of(tool, path)
        if kind != "function":
            refusals.add(path, f"a tool of type {kind!r}")
            continue
        known = {"type", "name", "description", "parameters", "strict"}
        refuse_rest(tool, known, path, refusals, _TOOL_NEUTRAL)
        parameters = tool.get("parameters")
        if not isinstance(parameters, dict | None):
            raise InvalidRequest(f"'{path}.parameters' must be a JSON schema", field=f"{path}.parameters")
        strict = optional_flag(tool, "strict", path)
        strict = strict_form(parameters) if strict is None else strict
        tools.append(
            Tool(required_text(tool, "name", path), optional_text(tool, "description", path), parameters, strict)
        )
    return tools


def _tool_choice(value: Any, refusals: Refusals) -> ToolChoice | None:
    if value is None:
        return None
    if isinstance(value, str) and value in _CHOICES:
        return ToolChoice(value)
    if not isinstance(value, dict) or not isinstance(kind := value.get("type"), str):
        raise InvalidRequest(
            "'tool_choice' must be none, auto, required, or an object with a type", field="tool_choice"
        )
    if kind != "function":
        refusals.add("tool_choice", f"a choice of type {kind!r}")
        return None
    refuse_rest(value, {"type", "name"}, "tool_choice", refusals)
    return ToolChoice("named", required_text(value, "name", "tool_choice"))


def _reasoning(value: Any, refusals: Refusals) -> ReasoningControl | None:
    fields = top_object({"reasoning": value}, "reasoning")
    neutral = {"context": ("auto",), "mode": ("standard",)}
    refuse_rest(fields, {"effort", "summary", "generate_summary"}, "reasoning", refusals, neutral)
    effort = optional_text(fields, "effort", "reasoning")
    if effort and effort not in EFFORTS:
        refusals.add("reasoning.effort", f"an effort of {effort!r}")
    new, old = (optional_text(fields, key, "reasoning") for key in ("summary", "generate_summary"))
    if new and old and new != old:
        refusals.add("reasoning.generate_summary", "summary says otherwise")
    show = new or old
    if show and show not in _SHOWN:
        refusals.add("reasoning.summary", f"a summary of kind {show!r}")
    return ReasoningControl(effort=effort, show=show) if effort or show else None


def _text(value: Any, request: ChatRequest, refusals: Refusals) -> None:
    fields = top_object({"text": value}, "text")
    refuse_rest(fields, {"format", "verbosity"}, "text", refusals)
    verbosity = optional_text(fields, "verbosity", "text")
    if verbosity and verbosity not in _VERBOSITIES:
        refusals.add("text.verbosity", f"a verbosity of {verbosity!r}")
    request.verbosity = verbosity
    wanted = fields.get("format")
    if wanted is None:
        return
    path = "text.format"
    if not isinstance(wanted, dict):
        raise InvalidRequest(f"{path!r} must be an object with a type", field=path)
    kind = required_text(wanted, "type", path)
    if kind in ("text", "json_object"):
        refuse_rest(wanted, {"type"}, path, refusals)
        request.response_format = ResponseFormat("json_object") if kind == "json_object" else None
    elif kind == "json_schema":
        request.response_format = _schema(wanted, path, refusals)
    else:
        refusals.add(path, f"a format of type {kind!r}")


def _schema(wanted: dict[str, Any], path: str, refusals: Refusals) -> ResponseFormat:
    refuse_rest(wanted, {"type", "name", "schema", "strict", "description"}, path, refusals)
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise InvalidRequest(f"'{path}.schema' must be a JSON schema", field=f"{path}.schema")
    strict = optional_flag(wanted, "strict", path)
    name, description = required_text(wanted, "name", path), optional_text(wanted, "description", path)
    return ResponseFormat("json_schema", name, schema, strict, description)


def _logprobs(raw: RawMembers, fields: dict[str, Any], refusals: Refusals) -> int | None:
    include = fields.get("include")
    if not isinstance(include, list | None) or not all(isinstance(name, str) for name in include or ()):
        raise InvalidRequest("'include' must be a list of strings", field="include")
    for name in include or ():
        if name not in _INCLUDES:
            refusals.add("include", f"{name!r}")
    count = count_member(raw, "top_logprobs")
    return (count or 0) if count or "message.output_text.logprobs" in (include or ()) else None


def _user(fields: dict[str, Any], refusals: Refusals) -> str | None:
    """``safety_identifier`` took the place of ``user``; both may stand when they agree."""
    old, new = top_text(fields, "user"), top_text(fields, "safety_identifier")
    if old and new and old != new:
        refusals.add("safety_identifier", "user says otherwise")
    return new or old or None


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidRequest("'metadata' must be an object whose values are strings", field="metadata")
    return value


def _tier(fields: dict[str, Any], refusals: Refusals) -> str:
    word = top_text(fields, "service_tier")
    if word and word not in TIERS:
        refusals.add("service_tier", f"the tier {word!r}")
    return TIERS.get(word, "")
