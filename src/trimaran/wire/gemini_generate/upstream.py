"""Requests for a target of this dialect.

Schemas go out as JSON schemas, of functions and of the response. The API holds every response to its schema, and calls
that are forced; other calls only where all of them may be held (mode ``VALIDATED``). What it reads over in a response's
schema is noted. Before the third generation a model takes no functions beside a response format, and such a request is
refused with that reason instead of being sent to its certain 400.

``labels`` are Vertex AI's; the Gemini API is spared those of other clients. Only one call at a time cannot be asked
for.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.types import Target
from trimaran.wire.conversation import ChatRequest, Notes, ResponseFormat, Tool
from trimaran.wire.gemini_generate.models import generation, is_vertex
from trimaran.wire.gemini_generate.schemas import holds_all
from trimaran.wire.gemini_generate.thinking import encode_thinking
from trimaran.wire.gemini_generate.turns import Turns
from trimaran.wire.gemini_generate.usage import ORIGIN
from trimaran.wire.json_tool import JSON_TOOL
from trimaran.wire.refusals import Refusals, check_fields

__all__ = ["encode_request", "takes_format"]

_TAKES = frozenset(
    {
        "begun",
        "frequency_penalty",
        "logprobs",
        "max_output_tokens",
        "metadata",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning",
        "response_format",
        "seed",
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
_HINTS = frozenset({"cache", "cache_key", "cache_retention", "user"})
_MAX_STOP = 5
_MAX_LOGPROBS = 20
_MAX_LABELS = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_MODES = {"required": "ANY", "named": "ANY", "none": "NONE"}


def encode_request(request: ChatRequest, target: Target, refusals: Refusals, notes: Notes) -> bytes:
    """See :meth:`trimaran.wire.dialect.Conversational.encode_request`."""
    check_fields(request, _TAKES, _HINTS, refusals, notes)
    return msgspec.json.encode(_Writer(target, refusals, notes).body(request))


def takes_format(wanted: ResponseFormat, target: Target) -> bool:
    """Whether the model can be held to the format."""
    if target.capabilities is not None and "json_schema" in target.capabilities.lacks:
        return False
    return wanted.kind == "json_object" or wanted.schema is None or isinstance(wanted.schema, dict)


class _Writer:
    def __init__(self, target: Target, refusals: Refusals, notes: Notes) -> None:
        self._target = target
        self._native = refusals.source == ORIGIN
        self._refusals = refusals
        self._notes = notes

    def body(self, request: ChatRequest) -> dict[str, Any]:
        turns = Turns(self._target, self._refusals, self._notes)
        body: dict[str, Any] = {"contents": turns.contents(request)}
        if (system := turns.system(request)) is not None:
            body["systemInstruction"] = system
        self._tools(request, body)
        config = self._sampling(request)
        if request.response_format is not None:
            config |= self._format(request.response_format, bool(request.tools))
        if request.reasoning is not None:
            limit = request.max_output_tokens
            thinking = encode_thinking(request.reasoning, self._target, limit, self._refusals, self._notes)
            if thinking:
                config["thinkingConfig"] = thinking
        if config:
            body["generationConfig"] = config
        self._service(request, body)
        return body

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if request.max_output_tokens is not None:
            config["maxOutputTokens"] = request.max_output_tokens
        if request.temperature is not None and not 0 <= request.temperature <= 2:
            self._refusals.field("temperature", "the API takes 0 to 2")
        if request.seed is not None and not -(2**31) <= request.seed < 2**31:
            self._refusals.field("seed", "the API takes 32 bits")
        known = self._target.capabilities
        spared = known is not None and "sampling" in known.lacks
        for key, value in (("temperature", request.temperature), ("topP", request.top_p)):
            # Of newer models some take neither; 1 says the same as nothing.
            if value is not None and not (spared and value == 1):
                config[key] = value
        for key, value in (("topK", request.top_k), ("seed", request.seed)):
            if value is not None:
                config[key] = value
        if request.frequency_penalty:
            config["frequencyPenalty"] = request.frequency_penalty
        if request.presence_penalty:
            config["presencePenalty"] = request.presence_penalty
        if request.logprobs is not None:
            config["responseLogprobs"] = True
            if request.logprobs:
                config["logprobs"] = request.logprobs
            if request.logprobs > _MAX_LOGPROBS:
                self._refusals.field("logprobs", f"the API gives at most {_MAX_LOGPROBS} alternatives")
        if request.stop:
            config["stopSequences"] = request.stop
            if len(request.stop) > _MAX_STOP:
                self._refusals.field("stop", f"the API takes at most {_MAX_STOP}")
        return config

    # Tools

    def _tools(self, request: ChatRequest, body: dict[str, Any]) -> None:
        choice = request.tool_choice
        mode = choice.mode if choice is not None else ""
        if not request.tools:
            if mode in ("required", "named"):
                self._refusals.field("tool_choice", "there are no tools")
            return
        declared = [self._function(tool, place) for place, tool in enumerate(request.tools)]
        body["tools"] = [{"functionDeclarations": declared}]
        own = [tool for tool in request.tools if tool.name != JSON_TOOL]
        if request.parallel_tool_calls is False and mode != "none" and own:
            self._refusals.field("parallel_tool_calls", "the API has no word for one call at a time")
        calling: dict[str, Any] = {"mode": _MODES[mode]} if mode in _MODES else {}
        if mode == "named" and choice is not None:
            calling["allowedFunctionNames"] = [choice.name]
        strict = [tool.strict is True for tool in request.tools]
        if not calling and all(strict):
            calling["mode"] = "VALIDATED"
        elif any(strict):
            for place, each in enumerate(strict):
                if each:
                    self._notes.emulate(f"tools[{place}].strict")
        if calling:
            body["toolConfig"] = {"functionCallingConfig": calling}

    def _function(self, tool: Tool, place: int) -> dict[str, Any]:
        if not _NAME.fullmatch(tool.name):
            path = self._refusals.name("tools[].name").replace("[]", f"[{place}]")
            self._refusals.add(path, "Google takes up to 128 letters, digits, _, ., : and -, the first a letter or _")
        if tool.cache:
            self._notes.omit(self._refusals.name("cache"))
        written: dict[str, Any] = {"name": tool.name}
        if tool.description:
            written["description"] = tool.description
        schema = tool.parameters
        if schema is None:
            return written
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            self._refusals.field("tools", f"the arguments of {tool.name!r} are no object")
        elif not (schema.keys() <= {"type", "properties"} and not schema.get("properties")):
            written["parametersJsonSchema"] = {"type": "object"} | schema
        return written

    # The rest

    def _format(self, wanted: ResponseFormat, tools: bool) -> dict[str, Any]:
        if tools and not self._native and generation(self._target) in (1, 2):
            why = "together with tools, which Gemini takes from its third generation on"
            self._refusals.field("response_format", why)
        name = self._refusals.name("response_format")
        if wanted.description:
            self._notes.omit(f"{name}.description")
        config: dict[str, Any] = {"responseMimeType": "application/json"}
        if wanted.kind == "json_schema" and wanted.schema is not None:
            config["responseJsonSchema"] = wanted.schema
            if not self._native and not holds_all(wanted.schema):
                self._notes.emulate(name)
        return config

    def _service(self, request: ChatRequest, body: dict[str, Any]) -> None:
        tier = request.service_tier
        if tier in ("standard", "flex", "priority"):
            body["serviceTier"] = tier
        elif tier not in ("", "auto"):
            self._refusals.field("service_tier", f"{tier!r}")
        kept = request.metadata
        if not self._native:
            fit = {key: text for key, text in kept.items() if key and _LABEL.fullmatch(key) and _LABEL.fullmatch(text)}
            kept = dict(list(fit.items())[:_MAX_LABELS]) if is_vertex(self._target) else {}
        if kept:
            body["labels"] = kept
        if len(kept) < len(request.metadata):
            self._notes.omit(self._refusals.name("metadata"))
