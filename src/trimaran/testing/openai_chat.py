"""The ``openai.chat`` wire format as a simulated provider speaks it; the ``openai`` SDK is its judge."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from trimaran.testing.dialect import Headers, HeadWriter, Request, bearer
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

__all__ = ["OpenAIChat"]

_FINGERPRINT = "fp_simulated"
_encode = msgspec.json.encode

_HEADERS = """\
server: simulated
access-control-expose-headers: X-Request-ID
openai-organization: org-simulated
openai-project: proj_simulated
openai-version: 2020-10-01
x-ratelimit-limit-requests: 10000
x-ratelimit-limit-tokens: 2000000
x-ratelimit-remaining-requests: 9999
x-ratelimit-remaining-tokens: 1999000
x-ratelimit-reset-requests: 6ms
x-ratelimit-reset-tokens: 30ms
strict-transport-security: max-age=31536000; includeSubDomains; preload
x-content-type-options: nosniff
cf-cache-status: DYNAMIC
cf-ray: 0000000000000000-SIM
set-cookie: __cf_bm=simulated; path=/; HttpOnly"""


class _Part(msgspec.Struct):
    type: str = "text"
    text: str = ""
    refusal: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: msgspec.Raw = msgspec.Raw()


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str = ""
    parameters: Any = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function = msgspec.field(default_factory=_Function)


class _JsonSchema(msgspec.Struct):
    schema: Any = True


class _ResponseFormat(msgspec.Struct):
    type: str = "text"
    json_schema: _JsonSchema | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Tool | None = None
    response_format: _ResponseFormat | None = None


_decode = msgspec.json.Decoder(_Request).decode
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_ERROR_TYPES = {
    "rate_limit": ("requests", "rate_limit_exceeded"),
    "server": ("server_error", None),
    "bad_key": ("invalid_request_error", "invalid_api_key"),
    "unknown_model": ("invalid_request_error", "model_not_found"),
    "context": ("invalid_request_error", "context_length_exceeded"),
}


class OpenAIChat:
    """``POST /v1/chat/completions``."""

    name = "openai.chat"
    path = b"/v1/chat/completions"

    def __init__(self) -> None:
        self.head = HeadWriter(self.name, "x-request-id", "openai-processing-ms", _HEADERS)

    def authenticate(self, headers: Headers, keys: frozenset[str] | None) -> None:
        """A bearer token, as OpenAI wants it."""
        value = bearer(headers)
        if not value:
            raise Refusal(401, "no_key", "No API key was sent. Put it in the header Authorization: Bearer KEY.")
        if keys is not None and value.decode("latin-1") not in keys:
            raise Refusal(401, "bad_key", "The API key is not correct.")

    def read(self, request: Request) -> Prompt:
        """Reads a chat completion request; unknown fields are ignored."""
        try:
            chat = _decode(request.body)
        except msgspec.ValidationError as error:
            raise Refusal(400, "invalid", f"Invalid request: {error}", param=_field(error)) from None
        except msgspec.DecodeError as error:
            raise Refusal(400, "invalid", f"The body is not valid JSON: {error}") from None
        if not chat.messages:
            raise Refusal(400, "invalid", "messages: must not be empty.", param="messages")
        if chat.n not in (None, 1):
            raise Refusal(400, "invalid", "n: only 1 is simulated.", param="n")
        return _prompt(chat)

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model and context length."""
        if prompt.model == "missing-model" or (models is not None and prompt.model not in models):
            message = f"The model `{prompt.model}` does not exist or you do not have access to it."
            raise Refusal(404, "unknown_model", message)
        if prompt.input_tokens > context_tokens:
            message = (
                f"This model's maximum context length is {context_tokens} tokens. However, your messages resulted in "
                f"{prompt.input_tokens} tokens."
            )
            raise Refusal(400, "context", message, param="messages")

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"error": {message, type, param, code}}``."""
        return _encode({"error": _error(refusal)})

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual body of a status."""
        kind = {401: "bad_key", 404: "unknown_model", 429: "rate_limit"}.get(status, "invalid")
        refusal = Refusal(status, "server" if status >= 500 else kind, message or f"Simulated failure: {status}.")
        if code is not None:
            refusal.kind = f"{_ERROR_TYPES.get(refusal.kind, ('invalid_request_error', None))[0]}/{code}"
        return refusal

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> _Writer:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return _Writer(prompt, reply, serial)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """``GET /v1/models`` and ``GET /v1/models/{id}``."""
        rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulated"} for name in names]
        if one is None:
            return _encode({"object": "list", "data": rows})
        return next((_encode(row) for row in rows if row["id"] == one), None)


class _Writer:
    __slots__ = ("_created", "_id", "_model", "_prefix", "_prompt", "_reply", "_serial", "_suffix")

    def __init__(self, prompt: Prompt, reply: Reply, serial: int) -> None:
        self._prompt = prompt
        self._reply = reply
        self._serial = serial
        self._id = f"chatcmpl-simulated{serial:08d}"
        self._created = int(time.time())
        self._prefix = b""
        self._suffix = b""

    def unary(self) -> bytes:
        reply = self._reply
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        if reply.tool_call is None:
            message["content"] = "".join(reply.pieces)
        else:
            function = {"name": reply.tool_call.name, "arguments": "".join(reply.pieces)}
            message["tool_calls"] = [{"id": self._call_id(), "type": "function", "function": function}]
        return _encode(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._prompt.model,
                "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish()}],
                "usage": _usage(reply.usage),
                "service_tier": "default",
                "system_fingerprint": _FINGERPRINT,
            }
        )

    def opening(self) -> bytes:
        self._prefix = (
            b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,"service_tier":"default",'
            b'"system_fingerprint":"%b","choices":['
            % (self._id.encode(), self._created, _encode(self._prompt.model), _FINGERPRINT.encode())
        )
        self._suffix = b'],"usage":null}\n\n' if self._prompt.include_usage else b"]}\n\n"
        call = self._reply.tool_call
        if call is None:
            return self._chunk({"role": "assistant", "content": "", "refusal": None})
        start = {
            "index": 0,
            "id": self._call_id(),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        return self._chunk({"role": "assistant", "content": None, "tool_calls": [start], "refusal": None})

    def piece(self, piece: str) -> bytes:
        text = _encode(piece)
        if self._reply.tool_call is None:
            delta = b'{"content":%b}' % text
        else:
            delta = b'{"tool_calls":[{"index":0,"function":{"arguments":%b}}]}' % text
        return b'%b{"index":0,"delta":%b,"logprobs":null,"finish_reason":null}%b' % (self._prefix, delta, self._suffix)

    def closing(self, *, end_marker: bool) -> bytes:
        events = self._chunk({}, self._finish())
        if self._prompt.include_usage:
            events += b'%b],"usage":%b}\n\n' % (self._prefix, _encode(_usage(self._reply.usage)))
        return events + b"data: [DONE]\n\n" if end_marker else events

    def malformed(self) -> bytes:
        return self._prefix + b'{"index":0,"delta":{"content":"broken\n\n'

    def error(self, refusal: Refusal) -> bytes:
        return b"data: %b\n\n" % _encode({"error": _error(refusal)})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._prefix + _encode(choice) + self._suffix

    def _finish(self) -> str:
        return "stop" if self._reply.finish == "stop_sequence" else self._reply.finish

    def _call_id(self) -> str:
        return f"call_simulated{self._serial:08d}"


def _prompt(request: _Request) -> Prompt:
    prompt = Prompt(request.model, stream=bool(request.stream), input_tokens=REQUEST_TOKENS)
    for message in request.messages:
        _add(message, prompt)
    prompt.include_usage = bool(request.stream_options and request.stream_options.include_usage)
    limit = request.max_completion_tokens
    prompt.max_output_tokens = request.max_tokens if limit is None else limit
    if request.stop is not None:
        prompt.stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop)
    if request.tools:
        _offer(request, prompt)
    if request.response_format is not None and request.response_format.type != "text":
        schema = request.response_format.json_schema
        prompt.json_schema = True if schema is None else schema.schema
    return prompt


def _add(message: _Message, prompt: Prompt) -> None:
    if message.role not in _ROLES:
        raise Refusal(400, "invalid", f"messages: {message.role!r} is not a role.", param="messages")
    content = message.content or ""
    if not isinstance(content, str):
        texts = [part.text or part.refusal for part in content]
        images = sum(part.type == "image_url" for part in content)
        prompt.images += images
        prompt.input_tokens += images * IMAGE_TOKENS
        content = "\n".join(text for text in texts if text)
    prompt.input_tokens += MESSAGE_TOKENS + text_tokens(content) + (len(message.tool_calls) + 3) // 4
    if message.role in ("system", "developer"):
        prompt.has_system = True
        return
    prompt.turns += 1
    prompt.after_tool_result = message.role == "tool"
    if message.role == "user":
        prompt.last_text = content


def _offer(request: _Request, prompt: Prompt) -> None:
    tools = request.tools or []
    prompt.tools = tuple(Tool(tool.function.name, tool.function.parameters) for tool in tools)
    prompt.input_tokens += (len(_encode(tools)) + 3) // 4
    choice = request.tool_choice
    if isinstance(choice, _Tool):
        prompt.forced_tool = choice.function.name
        if all(tool.name != prompt.forced_tool for tool in prompt.tools):
            message = f"tool_choice: no tool is called {prompt.forced_tool!r}."
            raise Refusal(400, "invalid", message, param="tool_choice")
    elif choice == "required":
        prompt.forced_tool = ""
    elif choice == "none":
        prompt.tools = ()


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _error(refusal: Refusal) -> dict[str, Any]:
    kind, _, code = refusal.kind.partition("/")
    row = (kind, code) if code else _ERROR_TYPES.get(refusal.kind, ("invalid_request_error", None))
    return {"message": refusal.message, "type": row[0], "param": refusal.param, "code": row[1]}


def _field(error: msgspec.ValidationError) -> str | None:
    """The top-level field that msgspec's message points at: ``... - at `$.messages[0].role` ``, ``field `model` ``."""
    text = str(error)
    if "`$." in text:
        return text.rpartition("`$.")[2].rstrip("`").split(".")[0].split("[")[0]
    return text.split("`")[1] if "missing required field `" in text else None
