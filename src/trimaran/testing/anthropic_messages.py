"""The ``anthropic.messages`` wire format as a simulated provider speaks it; the ``anthropic`` SDK is its judge.

Reading is strict: what the real API refuses is refused here, so that a translation into it is judged by a peer.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import msgspec

from trimaran.testing.anthropic_history import Block, Message, Thinking, read_messages, read_system
from trimaran.testing.anthropic_writer import MessagesWriter, error_body
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose, reported_usage
from trimaran.testing.dialect import HeadWriter, Request, bearer, header
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Tool
from trimaran.testing.transcript import Transcript
from trimaran.testing.whole import WholeWriter

__all__ = ["AnthropicCountTokens", "AnthropicMessages"]

_encode = msgspec.json.encode

_HEADERS = """\
server: simulated
anthropic-organization-id: 00000000-0000-4000-8000-000000000000
anthropic-ratelimit-requests-limit: 4000
anthropic-ratelimit-requests-remaining: 3999
anthropic-ratelimit-requests-reset: {reset}
anthropic-ratelimit-input-tokens-limit: 2000000
anthropic-ratelimit-input-tokens-remaining: 1999000
anthropic-ratelimit-input-tokens-reset: {reset}
anthropic-ratelimit-output-tokens-limit: 400000
anthropic-ratelimit-output-tokens-remaining: 399000
anthropic-ratelimit-output-tokens-reset: {reset}
strict-transport-security: max-age=31536000; includeSubDomains; preload
x-robots-tag: none
cf-cache-status: DYNAMIC
cf-ray: 0000000000000000-SIM
set-cookie: __cf_bm=simulated; path=/; HttpOnly"""


class _Tool(msgspec.Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: Any = msgspec.UNSET


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class _Format(msgspec.Struct):
    schema: Any
    type: Literal["json_schema"]


class _OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    format: _Format | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class _CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[Message]
    system: str | list[Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: _OutputConfig | None = None
    cache_control: Any = None
    context_management: Any = None
    mcp_servers: Any = None
    speed: Any = None


class _Request(_CountRequest, kw_only=True, forbid_unknown_fields=True):
    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    metadata: Any = None
    container: Any = None
    diagnostics: Any = None
    inference_geo: Any = None


_R = TypeVar("_R", bound=_CountRequest)
_decoder = msgspec.json.Decoder(_Request)
_count_decoder = msgspec.json.Decoder(_CountRequest)
_WITHOUT_SAMPLING = b"2026-10-21"
_MIN_BUDGET = 1_024
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")


class _Anthropic:
    """What both APIs share."""

    name = ""
    path = b""

    def __init__(self) -> None:
        self.head = HeadWriter(self.name, "request-id", None, _HEADERS)

    def serves(self, method: bytes, path: bytes) -> bool:
        """By its fixed path."""
        return method == b"POST" and path == self.path

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A key as a bearer token or in ``x-api-key`` (401), and a version (400)."""
        headers = request.headers
        value = bearer(headers) or header(headers, b"x-api-key")
        if not value:
            raise Refusal(401, "", "No API key was sent. Send Authorization: Bearer KEY, or x-api-key: KEY.")
        if keys is not None and value.decode("latin-1") not in keys:
            raise Refusal(401, "", "The API key is not correct.")
        if not header(headers, b"anthropic-version"):
            raise Refusal(400, "", "anthropic-version: header is required")

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model and context length."""
        if prompt.model == "missing-model" or (models is not None and prompt.model not in models):
            raise Refusal(404, "", f"model: {prompt.model}")
        if prompt.input_tokens > context_tokens:
            raise Refusal(400, "", f"prompt is too long: {prompt.input_tokens} tokens > {context_tokens} maximum")

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"type": "error", "error": {type, message}, "request_id": …}``."""
        return _encode({"type": "error", "error": error_body(refusal), "request_id": request_id})

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual body of a status."""
        return Refusal(status, code or "", message or f"Simulated failure: {status}.")

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """``GET /v1/models`` and ``GET /v1/models/{id}``."""
        rows = [_model(name) for name in names]
        if one is None:
            ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
            return _encode({"data": rows, "has_more": False, **ends})
        return next((_encode(row) for row in rows if row["id"] == one), None)


class AnthropicMessages(_Anthropic):
    """``POST /v1/messages``."""

    name = "anthropic.messages"
    path = b"/v1/messages"

    def read(self, request: Request) -> Prompt:
        """Reads a message request."""
        message = _decode(request.body, _decoder)
        _check_sampling(message, header(request.headers, b"anthropic-version") or b"")
        if message.max_tokens < 1:
            raise Refusal(400, "", "max_tokens: Input should be greater than or equal to 1")
        prompt = _prompt(message)
        prompt.stream = bool(message.stream)
        prompt.max_output_tokens = message.max_tokens
        for stop in message.stop_sequences or ():
            if not stop.strip():
                raise Refusal(400, "", "stop_sequences: each stop sequence must contain non-whitespace")
        prompt.stop = tuple(message.stop_sequences or ())
        if message.thinking is not None and message.thinking.type == "enabled":
            _check_budget(message)
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """See :class:`~trimaran.testing.dialect.Dialect`."""
        return compose(prompt, behaviour, name)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> MessagesWriter:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return MessagesWriter(prompt, reply, serial)


class AnthropicCountTokens(_Anthropic):
    """``POST /v1/messages/count_tokens``."""

    name = "anthropic.count_tokens"
    path = b"/v1/messages/count_tokens"

    def read(self, request: Request) -> Prompt:
        """Reads a request for a token count; it is checked like a message request."""
        return _prompt(_decode(request.body, _count_decoder))

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """A count and no text."""
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> WholeWriter:
        """``{"input_tokens": n}``."""
        return WholeWriter(_encode({"input_tokens": reply.usage.input}), self, serial)


def _decode(body: bytes, decoder: msgspec.json.Decoder[_R]) -> _R:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(400, "", _worded(str(error))) from None
    except msgspec.DecodeError as error:
        raise Refusal(400, "", f"The request body is not valid JSON: {error}") from None


def _worded(text: str) -> str:
    """msgspec's message in the API's words: the path with dots, then what is wrong."""
    what, _, where = text.partition(" - at `$.")
    path = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", where.rstrip("`"))
    if "missing required field `" in what:
        return f"{path}{'.' if path else ''}{what.split('`')[1]}: Field required"
    if "unknown field `" in what:
        return f"{path}{'.' if path else ''}{what.split('`')[1]}: Extra inputs are not permitted"
    return f"{path}: {what}" if path else what


def _check_sampling(request: _Request, version: bytes) -> None:
    """Limits; and API version 2026-10-21 removed the sampling parameters, which 2023-06-01 takes."""
    for name in ("temperature", "top_p", "top_k"):
        if (value := getattr(request, name)) is None:
            continue
        if version >= _WITHOUT_SAMPLING:
            raise Refusal(400, "", f"{name}: not accepted by API version {version.decode('latin-1')}")
        if name != "top_k" and not 0 <= value <= 1:
            raise Refusal(400, "", f"{name}: range: 0..1")
    thinking = request.thinking is not None and request.thinking.type == "enabled"
    if thinking and request.temperature not in (None, 1):
        raise Refusal(400, "", "`temperature` may only be set to 1 when thinking is enabled.")
    if thinking and request.top_k is not None:
        raise Refusal(400, "", "`top_k` must be unset when thinking is enabled.")


def _check_budget(request: _Request) -> None:
    budget = request.thinking.budget_tokens if request.thinking is not None else None
    if budget is None:
        raise Refusal(400, "", "thinking.enabled.budget_tokens: Field required")
    if budget < _MIN_BUDGET:
        message = f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_MIN_BUDGET}"
        raise Refusal(400, "", message)
    if budget >= request.max_tokens:
        raise Refusal(400, "", "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if request.tool_choice is not None and request.tool_choice.type in ("any", "tool"):
        raise Refusal(400, "", "Thinking may not be enabled when tool_choice forces tool use.")


def _prompt(request: _CountRequest) -> Prompt:
    if not request.messages:
        raise Refusal(400, "", "messages: at least one message is required")
    thinking = request.thinking
    prompt = Prompt(request.model, reasoning="off")
    if thinking is not None and thinking.type in ("enabled", "adaptive"):
        prompt.reasoning = "hidden" if thinking.display == "omitted" else "shown"
    transcript = Transcript(prompt)
    if request.system is not None:
        read_system(request.system, transcript)
    read_messages(request.messages, transcript, thinking)
    if request.tools:
        _offer(request.tools, transcript)
    if request.tool_choice is not None:
        _choose(request.tool_choice, prompt)
    if request.output_config is not None and request.output_config.format is not None:
        prompt.json_schema = request.output_config.format.schema
    return transcript.finish()


def _offer(tools: list[_Tool], transcript: Transcript) -> None:
    names: set[str] = set()
    for place, tool in enumerate(tools):
        where = f"tools.{place}.custom"
        if tool.type not in (None, "custom"):
            raise Refusal(400, "", f"tools.{place}: only tools of type 'custom' are simulated, not '{tool.type}'")
        if not _TOOL_NAME.match(tool.name):
            raise Refusal(400, "", f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool.name in names:
            raise Refusal(400, "", "tools: Tool names must be unique.")
        names.add(tool.name)
        if tool.input_schema is msgspec.UNSET:
            raise Refusal(400, "", f"{where}.input_schema: Field required")
        if not isinstance(tool.input_schema, dict):
            raise Refusal(400, "", f"{where}.input_schema: Input should be an object")
        if tool.input_schema.get("type") != "object":
            fault = "Input should be 'object'" if "type" in tool.input_schema else "Field required"
            raise Refusal(400, "", f"{where}.input_schema.type: {fault}")
    transcript.offer(tuple(Tool(tool.name, tool.input_schema, tool.description or "") for tool in tools))


def _choose(choice: _ToolChoice, prompt: Prompt) -> None:
    if not prompt.tools and choice.type != "none":
        raise Refusal(400, "", "tool_choice: tool_choice may only be specified while providing tools")
    prompt.parallel_tools = not choice.disable_parallel_tool_use
    if choice.type == "tool":
        if all(tool.name != choice.name for tool in prompt.tools):
            raise Refusal(400, "", f"tool_choice: Tool '{choice.name}' not found in provided tools")
        prompt.forced_tool = choice.name
    elif choice.type == "any":
        prompt.forced_tool = ""
    elif choice.type == "none":
        prompt.tools = ()


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": f"{name} (simulated)",
        "created_at": "2025-01-01T00:00:00Z",
        "lifecycle": "active",
    }
