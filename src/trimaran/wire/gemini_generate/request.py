"""Requests of clients, decoded. The model and whether a stream is wanted stand in the path, which is not seen here.

Members that the neutral model has no place for (cached content, tools that Google runs, speech, several candidates) are
refused by name, unless their value says the same as their absence. A safety setting that turns a filter down is left
out and noted, because other providers have no such filter; one that turns it up is refused, because nobody else would
hold to it.

Function calling in mode ``VALIDATED`` holds calls to their schemas: the tools are strict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import ChatRequest, ResponseFormat, Tool, ToolChoice
from trimaran.wire.dialect import number, plain_members
from trimaran.wire.fields import filled_text, optional_flag, optional_text, refuse_rest
from trimaran.wire.gemini_generate.content import decode_contents, decode_instruction
from trimaran.wire.gemini_generate.names import count_of, members, spellings, texts_of, word_of
from trimaran.wire.gemini_generate.schemas import json_schema
from trimaran.wire.gemini_generate.thinking import decode_thinking
from trimaran.wire.history import check_history
from trimaran.wire.members import read_members
from trimaran.wire.refusals import Refusals

__all__ = ["TOP", "decode_request"]

TOP = spellings(
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "serviceTier",
    "store",
)
"""The members of a request."""
_READ = frozenset(TOP.values()) - {"cachedContent", "store"}
_NEUTRAL: dict[str, tuple[Any, ...]] = {"cachedContent": ("",), "store": (False,), "modelArmorConfig": ({},)}

_CONFIG = spellings(
    "audioTimestamp",
    "candidateCount",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "presencePenalty",
    "responseFormat",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
) | {"_responseJsonSchema": "responseJsonSchema"}
_CONFIG_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audioTimestamp": (False,),
    "candidateCount": (1, 1.0),
    "enableEnhancedCivicAnswers": (False,),
    "responseModalities": (["TEXT"], ["text"]),
    "speechConfig": ({},),
}
_CONFIG_READ = frozenset(_CONFIG.values()) - _CONFIG_NEUTRAL.keys() - {"responseFormat"}
_PATH = "generationConfig"

_TOOL = spellings("functionDeclarations", "googleSearch", "codeExecution", "urlContext", "googleSearchRetrieval")
_FUNCTION = spellings(
    "name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior"
)
_FUNCTION_READ = frozenset(_FUNCTION.values()) - {"behavior"}
_TOOL_CONFIG = spellings("functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations")
_CALLING = spellings("mode", "allowedFunctionNames", "streamFunctionCallArguments")
_CALLING_PATH = "toolConfig.functionCallingConfig"
_SAFETY = spellings("category", "threshold", "method")
_OPEN = frozenset({"", "BLOCK_NONE", "OFF"})
_TIERS = {"STANDARD": "standard", "FLEX": "flex", "PRIORITY": "priority"}


def decode_request(body: bytes, refusals: Refusals) -> ChatRequest:
    """See :meth:`trimaran.wire.dialect.Conversational.decode_request`. The caller fills in ``stream``; the model is of no
    matter here."""
    raw, _ = read_members(body, TOP.keys())
    fields = members(plain_members(raw), TOP, "the body")
    for key, value in fields.items():
        if key not in _READ and value not in _NEUTRAL.get(key, ()) and value != []:
            refusals.add(key)
    instruction = fields.get("systemInstruction")
    system = decode_instruction(instruction, refusals) if instruction is not None else []
    messages = decode_contents(fields.get("contents"), refusals)
    check_history(messages)
    tools = _tools(fields.get("tools"), refusals)
    choice = _choice(fields.get("toolConfig"), tools, bool(fields.get("tools")), refusals)
    _safety(fields.get("safetySettings"), refusals)
    config = members(fields.get("generationConfig", {}), _CONFIG, _PATH)
    refuse_rest(config, _CONFIG_READ, _PATH, refusals, _CONFIG_NEUTRAL)
    if word_of(config, "mediaResolution", _PATH):
        refusals.omit(f"{_PATH}.mediaResolution")
    return ChatRequest(
        model="",
        messages=messages,
        system=system,
        max_output_tokens=count_of(config, "maxOutputTokens", _PATH),
        temperature=number(config, "temperature"),
        top_p=number(config, "topP"),
        top_k=count_of(config, "topK", _PATH),
        seed=_seed(config),
        frequency_penalty=number(config, "frequencyPenalty") or None,
        presence_penalty=number(config, "presencePenalty") or None,
        logprobs=_logprobs(config),
        stop=texts_of(config, "stopSequences", _PATH),
        tools=tools,
        tool_choice=choice,
        response_format=_format(config, refusals),
        reasoning=decode_thinking(config.get("thinkingConfig"), refusals),
        service_tier=_tier(fields, refusals),
        metadata=_labels(fields.get("labels", {})),
    )


def _seed(config: Mapping[str, Any]) -> int | None:
    value = config.get("seed")
    if value is not None and (type(value) is not int or abs(value) >= 2**63):
        raise InvalidRequest(f"'{_PATH}.seed' must be an integer", field=f"{_PATH}.seed")
    return value


def _logprobs(config: Mapping[str, Any]) -> int | None:
    alternatives = count_of(config, "logprobs", _PATH)
    if optional_flag(config, "responseLogprobs", _PATH):
        return alternatives or 0
    if alternatives:
        raise InvalidRequest(f"'{_PATH}.logprobs' needs 'responseLogprobs': true", field=f"{_PATH}.logprobs")
    return None


def _format(config: Mapping[str, Any], refusals: Refusals) -> ResponseFormat | None:
    type = optional_text(config, "responseMimeType", _PATH)
    own, plain = config.get("responseSchema"), config.get("responseJsonSchema")
    if type in ("", "text/plain"):
        if own is not None or plain is not None:
            where = f"{_PATH}.responseMimeType"
            raise InvalidRequest(f"{where!r} must be application/json where there is a schema", field=where)
        return None
    if type != "application/json":
        refusals.add(f"{_PATH}.responseMimeType", type)
        return None
    if own is not None and plain is not None:
        where = f"{_PATH}.responseSchema"
        raise InvalidRequest(f"{where!r} and 'responseJsonSchema' are the same; send one", field=where)
    if own is not None:
        return ResponseFormat("json_schema", schema=json_schema(own, f"{_PATH}.responseSchema"), strict=True)
    if plain is None:
        return ResponseFormat("json_object")
    if not isinstance(plain, dict):
        where = f"{_PATH}.responseJsonSchema"
        raise InvalidRequest(f"{where!r} must be a JSON schema, an object", field=where)
    return ResponseFormat("json_schema", schema=plain, strict=True)


def _tools(value: Any, refusals: Refusals) -> list[Tool]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest("'tools' must be a list of tools", field="tools")
    tools: list[Tool] = []
    for place, item in enumerate(value):
        path = f"tools[{place}]"
        tool = members(item, _TOOL, path)
        refuse_rest(tool, {"functionDeclarations"}, path, refusals)
        declared = tool.get("functionDeclarations", [])
        if not isinstance(declared, list):
            where = f"{path}.functionDeclarations"
            raise InvalidRequest(f"{where!r} must be a list of functions", field=where)
        tools += [
            _function(each, f"{path}.functionDeclarations[{number}]", refusals) for number, each in enumerate(declared)
        ]
    return tools


def _function(value: Any, path: str, refusals: Refusals) -> Tool:
    item = members(value, _FUNCTION, path)
    refuse_rest(item, _FUNCTION_READ, path, refusals, {"behavior": ("UNSPECIFIED", "BLOCKING")})
    for key in ("response", "responseJsonSchema"):
        if item.get(key):
            # What the function gives back; the model sees it when it does.
            refusals.omit(f"tools.functionDeclarations.{key}")
    own, plain = item.get("parameters"), item.get("parametersJsonSchema")
    if own is not None and plain is not None:
        where = f"{path}.parameters"
        raise InvalidRequest(f"{where!r} and 'parametersJsonSchema' are the same; send one", field=where)
    if plain is not None and not isinstance(plain, dict):
        where = f"{path}.parametersJsonSchema"
        raise InvalidRequest(f"{where!r} must be a JSON schema, an object", field=where)
    schema = plain if own is None else json_schema(own, f"{path}.parameters")
    return Tool(filled_text(item, "name", path), optional_text(item, "description", path), schema)


def _choice(value: Any, tools: list[Tool], offered: bool, refusals: Refusals) -> ToolChoice | None:
    """The choice; in mode ``VALIDATED`` the tools become strict."""
    if value is None:
        return None
    outer = members(value, _TOOL_CONFIG, "toolConfig")
    refuse_rest(
        outer,
        {"functionCallingConfig"},
        "toolConfig",
        refusals,
        {"retrievalConfig": ({},), "includeServerSideToolInvocations": (False,)},
    )
    config = members(outer.get("functionCallingConfig", {}), _CALLING, _CALLING_PATH)
    neutral: dict[str, tuple[Any, ...]] = {"streamFunctionCallArguments": (False,)}
    refuse_rest(config, {"mode", "allowedFunctionNames"}, _CALLING_PATH, refusals, neutral)
    mode = word_of(config, "mode", _CALLING_PATH)
    allowed = texts_of(config, "allowedFunctionNames", _CALLING_PATH)
    where = f"{_CALLING_PATH}.mode"
    if mode not in ("", "AUTO", "ANY", "NONE", "VALIDATED"):
        raise InvalidRequest(f"{where!r} must be AUTO, ANY, NONE or VALIDATED", field=where)
    if not tools:
        if mode == "ANY" and not offered:
            raise InvalidRequest(f"{where!r} forces a function, and 'tools' has none", field=where)
        return None
    names = {tool.name for tool in tools}
    if allowed and mode != "ANY" and set(allowed) != names:
        refusals.add(f"{_CALLING_PATH}.allowedFunctionNames", "without a function being forced")
    if mode == "VALIDATED":
        for tool in tools:
            tool.strict = True
    if mode == "NONE":
        return ToolChoice("none")
    if mode != "ANY":
        return None
    return _forced(allowed, names, refusals)


def _forced(allowed: list[str], names: set[str], refusals: Refusals) -> ToolChoice | None:
    path = f"{_CALLING_PATH}.allowedFunctionNames"
    for name in allowed:
        if name not in names:
            raise InvalidRequest(f"{path!r} names {name!r}, which is not among 'tools'", field=path)
    if len(set(allowed)) == 1:
        return ToolChoice("named", allowed[0])
    if allowed and set(allowed) != names:
        refusals.add(path, "several of the functions; name one, or all")
        return None
    return ToolChoice("required")


def _safety(value: Any, refusals: Refusals) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        raise InvalidRequest("'safetySettings' must be a list of settings", field="safetySettings")
    for place, item in enumerate(value):
        path = f"safetySettings[{place}]"
        setting = members(item, _SAFETY, path)
        refuse_rest(setting, {"category", "threshold", "method"}, path, refusals)
        if word_of(setting, "threshold", path) in _OPEN:
            refusals.omit("safetySettings")
        else:
            refusals.add(path, "a filter that only Google has")


def _tier(fields: Mapping[str, Any], refusals: Refusals) -> str:
    value = fields.get("serviceTier")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest("'serviceTier' must be a string", field="serviceTier")
    word = value.upper().removeprefix("SERVICE_TIER_")
    if word and word != "UNSPECIFIED" and word not in _TIERS:
        refusals.add("serviceTier", value)
    return _TIERS.get(word, "")


def _labels(value: Any) -> dict[str, str]:
    labels = members(value, {}, "labels")
    for key, text in labels.items():
        if not isinstance(text, str):
            raise InvalidRequest(f"'labels.{key}' must be a string", field=f"labels.{key}")
    return labels
