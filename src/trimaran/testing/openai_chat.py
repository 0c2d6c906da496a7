"""The ``openai.chat`` wire format as a simulated provider speaks it; the ``openai`` SDK is its judge.

Reading is strict: what the real API refuses is refused here, so that a translation into it is judged by a peer.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Prompt, Reply, Tool
from trimaran.testing.openai_chat_history import Message, read_messages
from trimaran.testing.openai_chat_writer import ChatWriter
from trimaran.testing.openai_common import OpenAIDialect, check_names, check_range, decode, invalid
from trimaran.testing.strict_schema import strictness_fault
from trimaran.testing.transcript import Transcript

__all__ = ["OpenAIChat"]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str = ""
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function = msgspec.field(default_factory=_Function)


class _AllowedTools(msgspec.Struct):
    mode: Literal["auto", "required"] = "auto"
    tools: list[_Tool] = msgspec.field(default_factory=list)


class _Choice(_Tool):
    allowed_tools: _AllowedTools | None = None


class _JsonSchema(msgspec.Struct):
    name: str | None = None
    schema: Any = True
    strict: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: _JsonSchema | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    seed: int | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    audio: Any = None
    function_call: Any = None
    functions: Any = None
    logit_bias: Any = None
    modalities: Any = None
    moderation: Any = None
    prediction: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    verbosity: Any = None
    web_search_options: Any = None


_decoder = msgspec.json.Decoder(_Request)
_MAX_STOPS = 4


class OpenAIChat(OpenAIDialect):
    """``POST /v1/chat/completions``."""

    name = "openai.chat"
    path = b"/v1/chat/completions"

    def read(self, request: Request) -> Prompt:
        """Reads a chat completion request."""
        chat = decode(request.body, _decoder)
        if not chat.messages:
            message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
            raise invalid(message, "messages", "empty_array")
        if chat.n not in (None, 1):
            raise invalid("n: only 1 is simulated.", "n")
        return _prompt(chat)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> ChatWriter:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return ChatWriter(prompt, reply, serial)


def _prompt(request: _Request) -> Prompt:
    prompt = Prompt(request.model, stream=bool(request.stream))
    transcript = Transcript(prompt)
    mentions_json = read_messages(request.messages, transcript)
    prompt.include_usage = bool(request.stream_options and request.stream_options.include_usage)
    _limits(request, prompt)
    if request.stop is not None:
        prompt.stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
    if request.tools is not None:
        _offer(request, request.tools, transcript, prompt)
    elif request.tool_choice is not None or request.parallel_tool_calls is not None:
        name = "tool_choice" if request.tool_choice is not None else "parallel_tool_calls"
        raise invalid(f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name)
    if request.response_format is not None and request.response_format.type != "text":
        prompt.json_schema = _wanted_json(request.response_format, mentions_json)
    if request.reasoning_effort is not None and request.reasoning_effort == "none":
        prompt.reasoning = "off"
    prompt.service_tier = request.service_tier
    if request.logprobs:
        prompt.logprobs = request.top_logprobs or 0
    elif request.top_logprobs is not None:
        message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise invalid(message, "top_logprobs")
    return transcript.finish()


def _limits(request: _Request, prompt: Prompt) -> None:
    if request.temperature is not None:
        check_range("temperature", request.temperature, 0, 2)
    if request.top_p is not None:
        check_range("top_p", request.top_p, 0, 1)
    if request.frequency_penalty is not None:
        check_range("frequency_penalty", request.frequency_penalty, -2, 2)
    if request.presence_penalty is not None:
        check_range("presence_penalty", request.presence_penalty, -2, 2)
    if request.top_logprobs is not None:
        check_range("top_logprobs", request.top_logprobs, 0, 20)
    limit = request.max_completion_tokens
    if limit is None:
        limit = request.max_tokens
    elif request.max_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise invalid(message, "max_tokens", "invalid_parameter_combination")
    if limit is not None and limit < 1:
        check_range("max_tokens" if request.max_completion_tokens is None else "max_completion_tokens", limit, 1, limit)
    prompt.max_output_tokens = limit
    if isinstance(request.stop, list) and len(request.stop) > _MAX_STOPS:
        message = (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length "
        )
        raise invalid(f"{message}{len(request.stop)} instead.", "stop", "array_above_max_length")


def _offer(request: _Request, tools: list[_Tool], transcript: Transcript, prompt: Prompt) -> None:
    for place, tool in enumerate(tools):
        if tool.type != "function":
            message = f"Invalid value: '{tool.type}'. Only tools of type 'function' are simulated."
            raise invalid(message, f"tools[{place}].type", "invalid_value")
        if tool.function.strict and (fault := strictness_fault(tool.function.parameters)):
            message = f"Invalid schema for function '{tool.function.name}': {fault}"
            raise invalid(message, f"tools[{place}].function.parameters", "invalid_function_parameters")
    offered = [Tool(tool.function.name, tool.function.parameters, tool.function.description or "") for tool in tools]
    check_names(offered, "tools[{}].function.name")
    transcript.offer(tuple(offered))
    prompt.parallel_tools = request.parallel_tool_calls is not False
    choice = request.tool_choice
    if isinstance(choice, _Choice):
        _name(choice, prompt)
    elif choice == "required":
        prompt.forced_tool = ""
    elif choice == "none":
        prompt.tools = ()
    elif choice not in (None, "auto"):
        message = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        raise invalid(message, "tool_choice", "invalid_value")


def _name(choice: _Choice, prompt: Prompt) -> None:
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        allowed = {tool.function.name for tool in choice.allowed_tools.tools}
        prompt.tools = tuple(tool for tool in prompt.tools if tool.name in allowed)
        prompt.forced_tool = "" if choice.allowed_tools.mode == "required" else None
        return
    prompt.forced_tool = choice.function.name
    if all(tool.name != prompt.forced_tool for tool in prompt.tools):
        message = f"Tool choice 'function.name' '{prompt.forced_tool}' not found in 'tools' parameter."
        raise invalid(message, "tool_choice")


def _wanted_json(wanted: _ResponseFormat, mentions_json: bool) -> Any:
    if wanted.type == "json_object":
        if not mentions_json:
            message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
            raise invalid(f"{message}'json_object'.", "messages")
        return True
    schema = wanted.json_schema
    if schema is None or not schema.name:
        where = "response_format.json_schema" if schema is None else "response_format.json_schema.name"
        raise invalid(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    if schema.strict and (fault := strictness_fault(schema.schema)):
        message = f"Invalid schema for response_format '{schema.name}': {fault}"
        raise invalid(message, "response_format")
    return schema.schema
