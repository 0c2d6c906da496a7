"""The ``openai.responses`` wire format as a simulated provider speaks it; the ``openai`` SDK is its judge.

Reading is strict, like that of ``openai.chat``. Answers are stored unless the request says ``store: false``, the last
thousand of them, so that ``previous_response_id`` works, and so do references to their items by id.
"""

from __future__ import annotations

from collections import ChainMap, OrderedDict
from collections.abc import Container
from typing import Any, Literal, TypeVar

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import reported_usage
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Part, Prompt, Reply, Tool
from trimaran.testing.openai_common import OpenAIDialect, check_names, check_range, decode, encode, invalid
from trimaran.testing.openai_responses_input import Item, read_items, resolved
from trimaran.testing.openai_responses_writer import ResponsesWriter
from trimaran.testing.strict_schema import strictness_fault
from trimaran.testing.transcript import Transcript
from trimaran.testing.whole import WholeWriter

__all__ = ["OpenAIInputTokens", "OpenAIResponses"]

_STORED = 1_000
_MIN_OUTPUT_TOKENS = 16
_INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_NOT_SIMULATED = ("conversation", "prompt", "context_management")


class _Tool(msgspec.Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str = ""
    mode: Literal["auto", "required"] = "auto"
    tools: list[_Tool] = msgspec.field(default_factory=list)


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema: Any = None
    strict: bool | None = None
    description: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: str | None = None
    mode: str | None = None


class _Input(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a request and a count share."""

    model: str = ""
    input: str | list[Item] | None = None
    instructions: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    truncation: Literal["auto", "disabled"] | None = None


class _CountRequest(_Input, kw_only=True, forbid_unknown_fields=True):
    personality: str | None = None


class _Request(_Input, kw_only=True, forbid_unknown_fields=True):
    model: str
    stream: bool | None = None
    stream_options: Any = None
    include: list[str] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    store: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Any = None
    background: bool | None = None
    background_options: Any = None
    access_programs: Any = None
    context_management: Any = None
    image: Any = None
    moderation: Any = None
    prompt: Any = None


_decoder = msgspec.json.Decoder(_Request)
_count_decoder = msgspec.json.Decoder(_CountRequest)
_R = TypeVar("_R", bound=_Input)


class _Stored(msgspec.Struct):
    items: list[Item]
    """The whole conversation, the answer included."""
    answer: list[Item]


class Echo(msgspec.Struct):
    """What the answer needs of the request."""

    members: dict[str, Any]
    """Members of the response that repeat the request."""
    items: list[Item]
    encrypted: bool
    store: bool


class OpenAIResponses(OpenAIDialect):
    """``POST /v1/responses``."""

    name = "openai.responses"
    path = b"/v1/responses"
    context_field = "input"

    def __init__(self) -> None:
        super().__init__()
        self._stored: OrderedDict[str, _Stored] = OrderedDict()
        self._items: dict[str, Item] = {}
        """The output items of all stored answers by their ids."""

    def read(self, request: Request) -> Prompt:
        """Reads a request for a response."""
        wanted = decode(request.body, _decoder)
        for name in _NOT_SIMULATED:
            if getattr(wanted, name) is not None:
                raise invalid(f"{name}: not simulated.", name)
        if wanted.background:
            raise invalid("background: not simulated.", "background")
        if wanted.input is None:
            message = "Missing required parameter: 'input'."
            raise invalid(message, "input", "missing_required_parameter")
        prompt, items = self.understand(wanted)
        prompt.stream = bool(wanted.stream)
        _limits(wanted, prompt)
        include = wanted.include or []
        for place, name in enumerate(include):
            if name not in _INCLUDABLE:
                supported = ", ".join(f"'{known}'" for known in _INCLUDABLE)
                message = f"Invalid value: '{name}'. Supported values are: {supported}."
                raise invalid(message, f"include[{place}]", "invalid_value")
        if "message.output_text.logprobs" in include:
            prompt.logprobs = wanted.top_logprobs or 0
        prompt.service_tier = wanted.service_tier
        store = wanted.store is not False
        prompt.request = Echo(_members(wanted, store), items, "reasoning.encrypted_content" in include, store)
        return prompt

    def understand(self, wanted: _Input) -> tuple[Prompt, list[Item]]:
        """The conversation and the tools; also the items of the whole conversation."""
        prompt = Prompt(wanted.model)
        transcript = Transcript(prompt)
        if wanted.instructions is not None:
            transcript.system(wanted.instructions)
        items, known = self._whole(wanted)
        mentions_json = read_items(items, transcript, known)
        if wanted.tools:
            _offer(wanted, wanted.tools, transcript, prompt)
        elif isinstance(wanted.tool_choice, _Choice) or wanted.tool_choice == "required":
            raise invalid("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice")
        if wanted.text is not None and wanted.text.format is not None and wanted.text.format.type != "text":
            prompt.json_schema = _wanted_json(wanted.text.format, mentions_json)
        reasoning = wanted.reasoning or _Reasoning()
        if reasoning.effort == "none":
            prompt.reasoning = "off"
        elif reasoning.summary is None and reasoning.generate_summary is None:
            prompt.reasoning = "hidden"
        return transcript.finish(), items

    def _whole(self, wanted: _Input) -> tuple[list[Item], Container[str]]:
        """All items of the conversation, and the ids of those that are stored."""
        own = wanted.input or []
        if isinstance(own, str):
            items = [Item(type="message", role="user", content=own)]
        else:
            items = [resolved(item, self._items) for item in own]
        if wanted.previous_response_id is None:
            return items, self._items
        earlier = self._stored.get(wanted.previous_response_id)
        if earlier is None:
            message = f"Previous response with id '{wanted.previous_response_id}' not found."
            raise invalid(message, "previous_response_id", "previous_response_not_found")
        return [*earlier.items, *items], ChainMap(self._items, {item.id or "": item for item in earlier.items})

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> ResponsesWriter:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        echo: Echo = prompt.request
        keep = None
        if echo.store:

            def keep(identity: str, output: list[dict[str, Any]]) -> None:
                self._keep(identity, echo.items, output)

        return ResponsesWriter(prompt, reply, serial, echo.members, encrypted=echo.encrypted, keep=keep)

    def _keep(self, identity: str, items: list[Item], output: list[dict[str, Any]]) -> None:
        answer = msgspec.convert(output, list[Item])
        self._stored[identity] = _Stored([*items, *answer], answer)
        self._items |= {item.id: item for item in answer if item.id is not None}
        if len(self._stored) > _STORED:
            for item in self._stored.popitem(last=False)[1].answer:
                self._items.pop(item.id or "", None)


class OpenAIInputTokens(OpenAIDialect):
    """``POST /v1/responses/input_tokens``; ``responses`` knows the stored ones."""

    name = "openai.input_tokens"
    path = b"/v1/responses/input_tokens"
    context_field = "input"

    def __init__(self, responses: OpenAIResponses) -> None:
        super().__init__()
        self._responses = responses

    def read(self, request: Request) -> Prompt:
        """Reads a request for a count; it is checked like one for a response."""
        wanted = decode(request.body, _count_decoder)
        if wanted.conversation is not None:
            raise invalid("conversation: not simulated.", "conversation")
        return self._responses.understand(wanted)[0]

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """A count and no text."""
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> WholeWriter:
        """``{"object": "response.input_tokens", "input_tokens": n}``."""
        body = encode({"object": "response.input_tokens", "input_tokens": reply.usage.input})
        return WholeWriter(body, self, serial)


def _limits(wanted: _Request, prompt: Prompt) -> None:
    check_range("temperature", wanted.temperature, 0, 2)
    check_range("top_p", wanted.top_p, 0, 1)
    check_range("top_logprobs", wanted.top_logprobs, 0, 20)
    limit = wanted.max_output_tokens
    if limit is not None and limit < _MIN_OUTPUT_TOKENS:
        check_range("max_output_tokens", limit, _MIN_OUTPUT_TOKENS, limit)
    prompt.max_output_tokens = limit
    if wanted.metadata is not None and len(wanted.metadata) > 16:
        message = "Invalid 'metadata': too many properties. Expected an object with at most 16 properties."
        raise invalid(message, "metadata", "object_above_max_properties")


def _offer(wanted: _Input, tools: list[_Tool], transcript: Transcript, prompt: Prompt) -> None:
    for place, tool in enumerate(tools):
        if tool.type != "function":
            message = f"Invalid value: '{tool.type}'. Only tools of type 'function' are simulated."
            raise invalid(message, f"tools[{place}].type", "invalid_value")
        if not tool.name:
            name = f"tools[{place}].name"
            raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
        if tool.strict and (fault := strictness_fault(tool.parameters)):
            message = f"Invalid schema for function '{tool.name}': {fault}"
            raise invalid(message, f"tools[{place}].parameters", "invalid_function_parameters")
    offered = [Tool(tool.name, tool.parameters, tool.description or "") for tool in tools]
    check_names(offered, "tools[{}].name")
    transcript.offer(tuple(offered))
    prompt.parallel_tools = wanted.parallel_tool_calls is not False
    choice = wanted.tool_choice
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
    if choice.type == "allowed_tools":
        allowed = {tool.name for tool in choice.tools}
        prompt.tools = tuple(tool for tool in prompt.tools if tool.name in allowed)
        prompt.forced_tool = "" if choice.mode == "required" else None
        return
    if choice.type != "function":
        message = f"Invalid value: '{choice.type}'. Only 'function' and 'allowed_tools' are simulated."
        raise invalid(message, "tool_choice.type", "invalid_value")
    prompt.forced_tool = choice.name
    if all(tool.name != choice.name for tool in prompt.tools):
        raise invalid(f"Tool choice '{choice.name}' not found in 'tools' parameter.", "tool_choice")


def _wanted_json(wanted: _Format, mentions_json: bool) -> Any:
    if wanted.type == "json_object":
        if not mentions_json:
            message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            raise invalid(f"{message}'json_object'.", "input")
        return True
    for name in ("name", "schema"):
        if not getattr(wanted, name):
            where = f"text.format.{name}"
            raise invalid(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    if wanted.strict and (fault := strictness_fault(wanted.schema)):
        message = f"Invalid schema for response_format '{wanted.name}': {fault}"
        raise invalid(message, "text.format.schema", "invalid_json_schema")
    return wanted.schema


def _members(wanted: _Request, store: bool) -> dict[str, Any]:
    """What a response repeats of its request, with the defaults that the API fills in."""
    text = wanted.text or _Text()
    reasoning = wanted.reasoning or _Reasoning()
    return {
        "background": False,
        "instructions": wanted.instructions,
        "max_output_tokens": wanted.max_output_tokens,
        "max_tool_calls": wanted.max_tool_calls,
        "metadata": wanted.metadata or {},
        "parallel_tool_calls": wanted.parallel_tool_calls is not False,
        "previous_response_id": wanted.previous_response_id,
        "prompt_cache_key": wanted.prompt_cache_key,
        "prompt_cache_retention": wanted.prompt_cache_retention,
        "reasoning": {"effort": reasoning.effort, "summary": reasoning.summary or reasoning.generate_summary},
        "safety_identifier": wanted.safety_identifier,
        "store": store,
        "temperature": 1.0 if wanted.temperature is None else wanted.temperature,
        "text": {"format": _format(text.format or _Format()), "verbosity": text.verbosity or "medium"},
        "tool_choice": _choice(wanted.tool_choice),
        "tools": [msgspec.to_builtins(tool) | {"strict": tool.strict is not False} for tool in wanted.tools or ()],
        "top_logprobs": wanted.top_logprobs or 0,
        "top_p": 1.0 if wanted.top_p is None else wanted.top_p,
        "truncation": wanted.truncation or "disabled",
        "user": wanted.user,
    }


def _format(wanted: _Format) -> dict[str, Any]:
    if wanted.type != "json_schema":
        return {"type": wanted.type}
    whole: dict[str, Any] = msgspec.to_builtins(wanted)
    return whole | {"strict": bool(wanted.strict)}


def _choice(wanted: str | _Choice | None) -> Any:
    if not isinstance(wanted, _Choice):
        return wanted or "auto"
    if wanted.type == "allowed_tools":
        tools = [{"type": tool.type, "name": tool.name} for tool in wanted.tools]
        return {"type": wanted.type, "mode": wanted.mode, "tools": tools}
    return {"type": wanted.type, "name": wanted.name}
