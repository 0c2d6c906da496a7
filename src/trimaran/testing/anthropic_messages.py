"""The ``anthropic.messages`` wire format as a simulated provider speaks it; the ``anthropic`` SDK is its judge."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from trimaran.testing.dialect import Headers, HeadWriter, Request, bearer, header
from trimaran.testing.exchange import (
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    REQUEST_TOKENS,
    Prompt,
    Refusal,
    Reply,
    Tool,
    Usage,
    text_tokens,
)

__all__ = ["AnthropicMessages"]

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


class _Source(msgspec.Struct):
    type: str = ""


class _Block(msgspec.Struct):
    type: str = "text"
    text: str = ""
    source: _Source | None = None
    content: str | list[_Block] | None = None
    """Of a tool result."""
    input: msgspec.Raw = msgspec.Raw()
    """Of a tool use."""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    name: str = ""
    input_schema: Any = None


class _ToolChoice(msgspec.Struct):
    type: str = "auto"
    name: str = ""


class _Format(msgspec.Struct):
    type: str = "json_schema"
    schema: Any = None


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _CountRequest(msgspec.Struct):
    model: str
    messages: list[_Message]
    system: str | list[_Block] | None = None
    tools: list[_Tool] | None = None


class _Request(_CountRequest, kw_only=True):
    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    tool_choice: _ToolChoice | None = None
    output_config: _OutputConfig | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


_R = TypeVar("_R", bound=_CountRequest)
_decoder = msgspec.json.Decoder(_Request)
_count_decoder = msgspec.json.Decoder(_CountRequest)
_WITHOUT_SAMPLING = b"2026-10-21"
_ROLES = frozenset({"user", "assistant", "system"})
_FINISH = {"stop": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "tool_calls": "tool_use"}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

    name = "anthropic.messages"
    path = b"/v1/messages"
    count_path = b"/v1/messages/count_tokens"

    def __init__(self) -> None:
        self.head = HeadWriter(self.name, "request-id", None, _HEADERS)

    def authenticate(self, headers: Headers, keys: frozenset[str] | None) -> None:
        """A key as a bearer token or in ``x-api-key`` (401), and a version (400)."""
        value = bearer(headers) or header(headers, b"x-api-key")
        if not value:
            raise Refusal(401, "", "No API key was sent. Send Authorization: Bearer KEY, or x-api-key: KEY.")
        if keys is not None and value.decode("latin-1") not in keys:
            raise Refusal(401, "", "The API key is not correct.")
        if not header(headers, b"anthropic-version"):
            raise Refusal(400, "", "anthropic-version: header is required")

    def read(self, request: Request) -> Prompt:
        """Reads a message request; unknown fields are ignored."""
        message = _decode(request.body, _decoder)
        _refuse_sampling(message, header(request.headers, b"anthropic-version") or b"")
        return self._read(message)

    def _read(self, request: _Request) -> Prompt:
        if request.max_tokens < 1:
            raise Refusal(400, "", "max_tokens: must be 1 or more")
        prompt = _prompt(request)
        prompt.stream = bool(request.stream)
        prompt.max_output_tokens = request.max_tokens
        prompt.stop = tuple(request.stop_sequences or ())
        if request.output_config is not None and request.output_config.format is not None:
            prompt.json_schema = request.output_config.format.schema
        if request.tool_choice is not None:
            _choose(request.tool_choice, prompt)
        return prompt

    def read_count(self, body: bytes) -> Prompt:
        """Reads a request for a token count."""
        return _prompt(_decode(body, _count_decoder))

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model and context length."""
        if prompt.model == "missing-model" or (models is not None and prompt.model not in models):
            raise Refusal(404, "", f"model: {prompt.model}")
        if prompt.input_tokens > context_tokens:
            raise Refusal(400, "", f"prompt is too long: {prompt.input_tokens} tokens > {context_tokens} maximum")

    def count(self, prompt: Prompt) -> bytes:
        """``{"input_tokens": n}``."""
        return _encode({"input_tokens": prompt.input_tokens})

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"type": "error", "error": {type, message}, "request_id": …}``."""
        return _encode({"type": "error", "error": _error(refusal), "request_id": request_id})

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual body of a status."""
        return Refusal(status, code or "", message or f"Simulated failure: {status}.")

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> _Writer:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return _Writer(prompt, reply, serial)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """``GET /v1/models`` and ``GET /v1/models/{id}``."""
        rows = [_model(name) for name in names]
        if one is None:
            ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
            return _encode({"data": rows, "has_more": False, **ends})
        return next((_encode(row) for row in rows if row["id"] == one), None)


class _Writer:
    __slots__ = ("_prompt", "_reply", "_serial")

    def __init__(self, prompt: Prompt, reply: Reply, serial: int) -> None:
        self._prompt = prompt
        self._reply = reply
        self._serial = serial

    def unary(self) -> bytes:
        reply = self._reply
        block: dict[str, Any]
        if reply.tool_call is None:
            block = {"type": "text", "text": "".join(reply.pieces)}
        else:
            block = {**self._tool_block(), "input": reply.tool_call.arguments}
        ending = {"stop_reason": _FINISH[reply.finish], "stop_sequence": reply.stop_sequence}
        return _encode(self._message([block], ending, _usage(reply.usage)))

    def opening(self) -> bytes:
        usage = {**_usage(self._reply.usage), "output_tokens": 1}
        message = self._message([], {"stop_reason": None, "stop_sequence": None}, usage)
        call = self._reply.tool_call
        block = {"type": "text", "text": ""} if call is None else {**self._tool_block(), "input": {}}
        return (
            _event("message_start", {"message": message})
            + _event("content_block_start", {"index": 0, "content_block": block})
            + _event("ping", {})
        )

    def piece(self, piece: str) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{%b%b}}\n\n' % (
            b'"type":"text_delta","text":'
            if self._reply.tool_call is None
            else b'"type":"input_json_delta","partial_json":',
            _encode(piece),
        )

    def closing(self, *, end_marker: bool) -> bytes:
        reply = self._reply
        usage: dict[str, Any] = {"output_tokens": reply.usage.output}
        if reply.usage.reasoning:
            usage["output_tokens_details"] = {"thinking_tokens": reply.usage.reasoning}
        delta = {"stop_reason": _FINISH[reply.finish], "stop_sequence": reply.stop_sequence}
        events = _event("content_block_stop", {"index": 0}) + _event("message_delta", {"delta": delta, "usage": usage})
        return events + _event("message_stop", {}) if end_marker else events

    def malformed(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_de\n\n'

    def error(self, refusal: Refusal) -> bytes:
        request_id = f"req_simulated{self._serial:08d}"
        return _event("error", {"error": _error(refusal), "request_id": request_id})

    def _message(self, content: list[Any], ending: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"msg_simulated{self._serial:08d}",
            "type": "message",
            "role": "assistant",
            "model": self._prompt.model,
            "content": content,
            **ending,
            "usage": usage,
        }

    def _tool_block(self) -> dict[str, Any]:
        call = self._reply.tool_call
        assert call is not None
        return {"type": "tool_use", "id": f"toolu_simulated{self._serial:08d}", "name": call.name}


def _decode(body: bytes, decoder: msgspec.json.Decoder[_R]) -> _R:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(400, "", _required(str(error))) from None
    except msgspec.DecodeError as error:
        raise Refusal(400, "", f"The request body is not valid JSON: {error}") from None


def _refuse_sampling(request: _Request, version: bytes) -> None:
    """API version 2026-10-21 removed the sampling parameters; 2023-06-01 takes them."""
    for name in ("temperature", "top_p", "top_k"):
        if version >= _WITHOUT_SAMPLING and getattr(request, name) is not None:
            raise Refusal(400, "", f"{name}: not accepted by API version {version.decode('latin-1')}")


def _required(text: str) -> str:
    return f"{text.split('`')[1]}: Field required" if "missing required field `" in text else text


def _prompt(request: _CountRequest) -> Prompt:
    if not request.messages:
        raise Refusal(400, "", "messages: at least one message is required")
    prompt = Prompt(request.model, input_tokens=REQUEST_TOKENS)
    if request.system is not None:
        prompt.has_system = True
        prompt.input_tokens += MESSAGE_TOKENS + text_tokens(_read_blocks(request.system, prompt))
    for message in request.messages:
        if message.role not in _ROLES:
            raise Refusal(400, "", f"messages: {message.role!r} is not a role")
        text = _read_blocks(message.content, prompt)
        prompt.input_tokens += MESSAGE_TOKENS + text_tokens(text)
        if message.role == "system":
            prompt.has_system = True
            continue
        prompt.turns += 1
        blocks = message.content if isinstance(message.content, list) else []
        prompt.after_tool_result = any(block.type == "tool_result" for block in blocks)
        if message.role == "user" and not prompt.after_tool_result:
            prompt.last_text = text
    if request.tools:
        prompt.tools = tuple(Tool(tool.name, tool.input_schema) for tool in request.tools)
        prompt.input_tokens += (len(_encode(request.tools)) + 3) // 4
    return prompt


def _read_blocks(content: str | list[_Block], prompt: Prompt) -> str:
    """The text of a message; images and tool uses in it are counted."""
    if isinstance(content, str):
        return content
    texts = []
    for block in content:
        if block.type == "image":
            prompt.images += 1
            prompt.input_tokens += IMAGE_TOKENS
        elif block.type == "tool_result" and block.content is not None:
            texts.append(_read_blocks(block.content, prompt))
        else:
            prompt.input_tokens += (len(block.input) + 3) // 4
            texts.append(block.text)
    return "\n".join(text for text in texts if text)


def _choose(choice: _ToolChoice, prompt: Prompt) -> None:
    if choice.type == "tool":
        if all(tool.name != choice.name for tool in prompt.tools):
            raise Refusal(400, "", f"tool_choice: Tool '{choice.name}' not found in provided tools")
        prompt.forced_tool = choice.name
    elif choice.type == "any":
        prompt.forced_tool = ""
    elif choice.type == "none":
        prompt.tools = ()


def _usage(usage: Usage) -> dict[str, Any]:
    row: dict[str, Any] = {
        "input_tokens": usage.input - usage.cached_read - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.cache_write_1h,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "service_tier": "standard",
    }
    if usage.reasoning:
        row["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return row


def _error(refusal: Refusal) -> dict[str, str]:
    default = "api_error" if refusal.status >= 500 else "invalid_request_error"
    return {"type": refusal.kind or _ERROR_TYPES.get(refusal.status, default), "message": refusal.message}


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **fields}))


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": f"{name} (simulated)",
        "created_at": "2025-01-01T00:00:00Z",
        "lifecycle": "active",
    }
