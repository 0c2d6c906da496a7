"""Requests of clients, decoded. The model and whether a stream is wanted stand in the path, which is not seen here.

Members that the neutral model has no place for (a guardrail, a stored prompt's variables, a latency class) are refused by
name, unless their value says the same as their absence. ``system`` turns at the start of the conversation join the
instructions; later ones stay where they are. What may be asked back of the model's own answer
(``additionalModelResponseFieldPaths``) is left out and noted but for the stop sequence: this API itself ignores what an
answer does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.wire.bedrock_converse.content import cache_point, decode_content, one_of
from trimaran.wire.bedrock_converse.extra import decode_extra
from trimaran.wire.conversation import ChatRequest, Message, Part, ResponseFormat, Tool, ToolChoice
from trimaran.wire.dialect import means_nothing, number, plain_members
from trimaran.wire.fields import filled_text, optional_flag, optional_text, refuse_rest, required_text, top_object
from trimaran.wire.history import check_history
from trimaran.wire.members import BAD_JSON, MAX_COUNT, read_members
from trimaran.wire.refusals import Refusals

__all__ = ["STOP_SEQUENCE_PATH", "decode_request"]

STOP_SEQUENCE_PATH = "/stop_sequence"
"""Where Claude says which stop sequence ended its answer."""

_TRANSLATED = frozenset(
    {
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "inferenceConfig",
        "messages",
        "outputConfig",
        "performanceConfig",
        "requestMetadata",
        "serviceTier",
        "system",
        "toolConfig",
    }
)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "guardrailConfig": ({},),
    "projectIdentifier": ("default",),
    "promptVariables": ({},),
}
"""Values that say the same as the member's absence."""
_KNOWN = _TRANSLATED | _NEUTRAL.keys()
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
_SAMPLING = frozenset({"maxTokens", "temperature", "topP", "stopSequences"})


def decode_request(body: bytes, refusals: Refusals) -> ChatRequest:
    """See :meth:`trimaran.wire.dialect.Conversational.decode_request`. The caller fills in ``model`` and ``stream``."""
    raw, _ = read_members(body, _KNOWN)
    fields = plain_members(raw)
    for key in fields:
        if key not in _TRANSLATED and not means_nothing(fields, _NEUTRAL, key):
            refusals.add(key)
    system, messages = _decode_messages(fields, refusals)
    check_history(messages)
    tools, choice = _decode_tools(top_object(fields, "toolConfig"), refusals)
    sampling = top_object(fields, "inferenceConfig")
    refuse_rest(sampling, _SAMPLING, "inferenceConfig", refusals)
    config = top_object(fields, "outputConfig")
    refuse_rest(config, {"textFormat", "effort"}, "outputConfig", refusals)
    extra = decode_extra(fields, config.get("effort"), choice, bool(tools), refusals)
    performance = top_object(fields, "performanceConfig")
    refuse_rest(performance, set(), "performanceConfig", refusals, {"latency": ("standard",)})
    _check_answer_paths(fields.get("additionalModelResponseFieldPaths"), refusals)
    return ChatRequest(
        model="",
        messages=messages,
        system=system,
        max_output_tokens=_count(sampling, "maxTokens"),
        temperature=number(sampling, "temperature"),
        top_p=number(sampling, "topP"),
        top_k=extra.top_k,
        stop=_stop_sequences(sampling.get("stopSequences")),
        tools=tools,
        tool_choice=extra.tool_choice,
        parallel_tool_calls=extra.parallel_tool_calls,
        response_format=_decode_format(config.get("textFormat"), refusals),
        reasoning=extra.reasoning,
        service_tier=_service_tier(fields, refusals),
        metadata=_labels(top_object(fields, "requestMetadata")),
    )


def _decode_messages(fields: Mapping[str, Any], refusals: Refusals) -> tuple[list[Part], list[Message]]:
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
        refuse_rest(item, {"role", "content"}, path, refusals)
        content = item.get("content")
        if content == []:
            raise InvalidRequest(f"'{path}.content' is empty", field=f"{path}.content")
        parts = decode_content(content, role, f"{path}.content", refusals)
        if role == "system" and not messages:
            system = system + parts
        else:
            messages.append(Message(role, parts, path))
    return system, messages


def _decode_tools(config: Mapping[str, Any], refusals: Refusals) -> tuple[list[Tool], ToolChoice | None]:
    refuse_rest(config, {"tools", "toolChoice"}, "toolConfig", refusals)
    if not config:
        return [], None
    items = config.get("tools")
    if not isinstance(items, list) or not items:
        raise InvalidRequest("'toolConfig.tools' must be a list with at least one tool", field="toolConfig.tools")
    tools: list[Tool] = []
    for place, item in enumerate(items):
        path = f"toolConfig.tools[{place}]"
        kind, inner = one_of(item, {"toolSpec", "cachePoint"}, path, refusals)
        if kind == "toolSpec":
            tools.append(_decode_tool(inner, f"{path}.toolSpec", refusals))
        elif kind and (lifetime := cache_point(inner, f"{path}.cachePoint", refusals)):
            if tools:
                tools[-1].cache = lifetime
            else:
                refusals.omit("cachePoint")
    return tools, _decode_choice(config.get("toolChoice"), refusals)


def _decode_tool(item: Any, path: str, refusals: Refusals) -> Tool:
    if not isinstance(item, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    refuse_rest(item, {"name", "description", "inputSchema", "strict"}, path, refusals)
    where = f"{path}.inputSchema"
    kind, schema = one_of(item.get("inputSchema"), {"json"}, where, refusals)
    if kind and not isinstance(schema, dict):
        raise InvalidRequest(f"'{where}.json' must be a JSON schema, an object", field=f"{where}.json")
    name, strict = filled_text(item, "name", path), optional_flag(item, "strict", path)
    return Tool(name, optional_text(item, "description", path), schema, strict)


def _decode_choice(value: Any, refusals: Refusals) -> ToolChoice | None:
    if value is None:
        return None
    path = "toolConfig.toolChoice"
    kind, inner = one_of(value, {"auto", "any", "tool"}, path, refusals)
    if not kind:
        return None
    where = f"{path}.{kind}"
    if not isinstance(inner, dict):
        raise InvalidRequest(f"{where!r} must be an object", field=where)
    refuse_rest(inner, {"name"} if kind == "tool" else set(), where, refusals)
    if kind == "tool":
        return ToolChoice("named", filled_text(inner, "name", where))
    return ToolChoice("required") if kind == "any" else None


def _decode_format(value: Any, refusals: Refusals) -> ResponseFormat | None:
    path = "outputConfig.textFormat"
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    refuse_rest(value, {"type", "structure"}, path, refusals)
    if (kind := required_text(value, "type", path)) != "json_schema":
        refusals.add(path, f"of type {kind!r}")
        return None
    structure = f"{path}.structure"
    found, inner = one_of(value.get("structure"), {"jsonSchema"}, structure, refusals)
    if not found:
        return None
    where = f"{structure}.jsonSchema"
    if not isinstance(inner, dict):
        raise InvalidRequest(f"{where!r} must be an object", field=where)
    refuse_rest(inner, {"schema", "name", "description"}, where, refusals)
    try:
        schema = msgspec.json.decode(required_text(inner, "schema", where), type=dict[str, Any])
    except BAD_JSON as error:
        raise InvalidRequest(f"'{where}.schema' must be a JSON schema, written as text", field=where) from error
    name, description = optional_text(inner, "name", where), optional_text(inner, "description", where)
    return ResponseFormat("json_schema", name, schema, True, description)


def _count(fields: Mapping[str, Any], key: str) -> int | None:
    value = fields.get(key)
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_COUNT):
        path = f"inferenceConfig.{key}"
        raise InvalidRequest(f"{path!r} must be an integer from 0 to {MAX_COUNT}", field=path)
    return value


def _stop_sequences(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        path = "inferenceConfig.stopSequences"
        raise InvalidRequest(f"{path!r} must be a list of strings", field=path)
    return value


def _service_tier(fields: Mapping[str, Any], refusals: Refusals) -> str:
    tier = top_object(fields, "serviceTier")
    if not tier:
        return ""
    refuse_rest(tier, {"type"}, "serviceTier", refusals)
    word = required_text(tier, "type", "serviceTier")
    if word not in _TIERS:
        refusals.add("serviceTier.type", word)
    return _TIERS.get(word, "")


def _labels(value: Mapping[str, Any]) -> dict[str, str]:
    for key, text in value.items():
        if not isinstance(text, str):
            path = f"requestMetadata.{key}"
            raise InvalidRequest(f"{path!r} must be a string", field=path)
    return dict(value)


def _check_answer_paths(value: Any, refusals: Refusals) -> None:
    name = "additionalModelResponseFieldPaths"
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise InvalidRequest(f"{name!r} must be a list of JSON pointers, such as /stop_sequence", field=name)
    if any(path != STOP_SEQUENCE_PATH for path in value):
        refusals.omit(name)
