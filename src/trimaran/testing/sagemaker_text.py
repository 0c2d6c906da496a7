"""Containers that complete a text: TGI's own API, DJL LMI's, and the JumpStart models built on them.

The request is ``{"inputs": text, "parameters": {…}, "stream": bool}``. Schemas, read 2026-11-30: TGI's ``router/src/lib.rs``,
``router/src/server.rs`` (``compat_generate``) and ``router/src/sagemaker.rs``; djl-serving's
``djl_python/lmi_vllm/request_response_utils.py`` and ``serving/docs/lmi/user_guides/lmi_input_output_schema.md``. TGI answers a
list with one member, LMI an object; TGI streams server-sent events, LMI JSON lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose, logprob
from trimaran.testing.dialect import AnswerWriter
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.openai_common import encode
from trimaran.testing.prompt_text import read_prompt
from trimaran.testing.sagemaker_chat import ChatServer, LinesWriter, lines_type, read_chat
from trimaran.testing.sagemaker_containers import JSON, SSE, Call, ContainerError, json_object, mend_numbers
from trimaran.testing.transcript import Transcript

__all__ = ["JumpStartServer", "LMIServer", "TGIServer"]

_FINISH = {"length": "length", "stop_sequence": "stop_sequence"}
_EULA = (
    "Need to pass custom_attributes='accept_eula=true' as part of header. This means you have read and accept the "
    "end-user license agreement (EULA) of the model."
)


class _Parameters(msgspec.Struct):
    """Further ones are ignored, as the servers do."""

    max_new_tokens: int | None = None
    stop: str | list[str] | None = None
    stop_sequences: list[str] | None = None
    details: bool | None = None
    return_full_text: bool | None = None
    temperature: float | None = None
    top_p: float | None = None


class _Request(msgspec.Struct):
    inputs: str
    parameters: _Parameters | None = None
    stream: bool | None = None


class _Wanted(msgspec.Struct):
    """What the writer needs of the request."""

    inputs: str
    details: bool
    full_text: bool
    framed: bool
    """Server-sent events and not lines."""
    listed: bool
    """A list with one answer and not the answer."""


def _read(fields: dict[str, Any], *, limit: int, framed: bool, listed: bool) -> Prompt:
    parameters = fields.get("parameters")
    if isinstance(parameters, dict):
        mend_numbers(parameters, "max_new_tokens")
    asked = msgspec.convert(fields, _Request)
    wanted = asked.parameters or _Parameters()
    prompt = Prompt("", stream=bool(asked.stream), reasoning="off")
    if wanted.max_new_tokens is not None and wanted.max_new_tokens < 1:
        raise Refusal(422, "invalid", "Input validation error: `max_new_tokens` must be strictly positive")
    prompt.max_output_tokens = limit if wanted.max_new_tokens is None else wanted.max_new_tokens
    stops = [wanted.stop] if isinstance(wanted.stop, str) else wanted.stop
    prompt.stop = tuple(stops or wanted.stop_sequences or ())
    prompt.request = _Wanted(asked.inputs, bool(wanted.details), bool(wanted.return_full_text), framed, listed)
    transcript = Transcript(prompt)
    read_prompt(asked.inputs, transcript)
    return transcript.finish()


class _TextServer:
    """What the kinds share."""

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """As everywhere."""
        return compose(prompt, behaviour, name)


class TGIServer(_TextServer):
    """Text Generation Inference: ``inputs``, else ``messages``."""

    limit = 100
    """Tokens of an answer unless the request says otherwise."""

    def read(self, call: Call) -> Prompt:
        """Either API, told apart by the body."""
        _check_eula(call)
        try:
            fields = json_object(call.body)
            if "inputs" in fields or "messages" not in fields:
                return _read(fields, limit=self.limit, framed=True, listed=True)
        except msgspec.MsgspecError as error:
            raise Refusal(422, "body", f"Failed to deserialize the JSON body into the target type: {error}") from None
        return read_chat(call, fields, "tgi")

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """Of the API that was asked."""
        if isinstance(prompt.request, _Wanted):
            return TextWriter(prompt, reply, prompt.request)
        return ChatServer().writer(prompt, reply, serial)

    def stream_type(self, prompt: Prompt) -> bytes:
        """Server-sent events."""
        return SSE

    def error(self, refusal: Refusal) -> ContainerError:
        """``{"error", "error_type"}``; a body that is not understood is answered in plain text."""
        if refusal.kind == "body":
            return ContainerError(422, refusal.message.encode())
        status = 422 if refusal.status in (400, 404) else refusal.status
        kind = {422: "validation", 429: "overloaded"}.get(status, "generation")
        message = refusal.message
        if kind == "validation" and not message.startswith("Input validation error"):
            message = f"Input validation error: {message}"
        return ContainerError(status, encode({"error": message, "error_type": kind}))


class JumpStartServer(TGIServer):
    """A JumpStart text model: ``inputs`` alone."""

    limit = 30

    def read(self, call: Call) -> Prompt:
        """A text."""
        _check_eula(call)
        try:
            return _read(json_object(call.body), limit=self.limit, framed=True, listed=True)
        except msgspec.MsgspecError as error:
            raise Refusal(422, "body", f"Failed to deserialize the JSON body into the target type: {error}") from None


class LMIServer(_TextServer):
    """DJL LMI over vLLM: ``inputs``, else ``messages``."""

    def read(self, call: Call) -> Prompt:
        """Either API, told apart by the body."""
        _check_eula(call)
        try:
            fields = json_object(call.body)
        except msgspec.MsgspecError as error:
            raise _unparsed(str(error)) from None
        framed = call.container.environment.get("OPTION_OUTPUT_FORMATTER") == "sse"
        if "inputs" in fields:
            try:
                return _read(fields, limit=30, framed=framed, listed=False)
            except msgspec.ValidationError as error:
                raise _unparsed(str(error)) from None
        if "messages" not in fields:
            raise _unparsed("invalid payload. must contain prompt, inputs, or messages")
        prompt = read_chat(call, fields, "lmi")
        prompt.request = framed
        return prompt

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """Of the API that was asked."""
        if isinstance(prompt.request, _Wanted):
            return TextWriter(prompt, reply, prompt.request)
        chat = ChatServer().writer(prompt, reply, serial)
        return chat if prompt.request else LinesWriter(chat)

    def stream_type(self, prompt: Prompt) -> bytes:
        """JSON lines, unless the container was told otherwise."""
        framed = prompt.request.framed if isinstance(prompt.request, _Wanted) else prompt.request
        return SSE if framed else lines_type()

    def error(self, refusal: Refusal) -> ContainerError:
        """``{"error", "code"}``: 424 for what it could not parse, else the engine's status."""
        status = 424 if refusal.kind == "body" else refusal.status
        return ContainerError(status, encode({"error": refusal.message, "code": status}))


class TextWriter:
    """Writes a completed text. See :class:`~trimaran.testing.dialect.AnswerWriter`."""

    content_type = JSON

    def __init__(self, prompt: Prompt, reply: Reply, wanted: _Wanted) -> None:
        self._prompt = prompt
        self._reply = reply
        self._wanted = wanted
        self._sent = 0

    def lines(self, took_ms: int) -> bytes:
        """None."""
        return b""

    def unary(self) -> bytes:
        """The whole text."""
        answer: dict[str, Any] = {"generated_text": self._text()}
        if self._wanted.details:
            tokens = [_token(piece, place) for place, piece in enumerate(self._reply.pieces, 1)]
            answer["details"] = self._details() | {"prefill": [], "tokens": tokens}
        return encode([answer] if self._wanted.listed else answer)

    def unary_error(self, refusal: Refusal) -> bytes:
        """An answer that says 200 and means an error."""
        return encode({"error": refusal.message, "error_type": "generation"})

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def piece(self, piece: str) -> bytes:
        """One token; the last one brings the whole text."""
        self._sent += 1
        last = self._sent == len(self._reply.pieces)
        return self._event(_token(piece, self._sent), last=last)

    def closing(self, *, end_marker: bool) -> bytes:
        """Nothing more, but for an empty text. LMI ends with an empty line."""
        end = b"" if self._wanted.framed else b"\n"
        if self._reply.pieces:
            return end
        return self._event(_token("", 1) | {"special": True}, last=True) + end

    def malformed(self) -> bytes:
        """An event whose JSON is cut short."""
        return self._framed(b'{"index":1,"token":{"id":1,"text":"bro')

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An error instead of a token."""
        if self._wanted.listed:
            return self._framed(encode({"error": refusal.message, "error_type": "generation"}))
        return self._framed(encode({"error": refusal.message, "code": 424}))

    def _event(self, token: Mapping[str, Any], *, last: bool) -> bytes:
        text = self._text() if last else None
        details = self._details() | {"input_length": self._prompt.input_tokens} if self._wanted.details else None
        index = self._sent or 1
        row = {"index": index if self._wanted.listed else 0, "token": token, "generated_text": text}
        return self._framed(encode(row | {"details": details if last else None}))

    def _framed(self, data: bytes) -> bytes:
        return b"data:%b\n\n" % data if self._wanted.framed else data + b"\n"

    def _text(self) -> str:
        said = "".join(self._reply.pieces)
        return self._wanted.inputs + said if self._wanted.full_text else said

    def _details(self) -> dict[str, Any]:
        finish = _FINISH.get(self._reply.finish, "eos_token")
        return {"finish_reason": finish, "generated_tokens": self._reply.usage.output, "seed": None}


def _token(text: str, place: int) -> dict[str, Any]:
    own, _ = logprob(text, 0)
    return {"id": place, "text": text, "logprob": own, "special": False}


def _check_eula(call: Call) -> None:
    if call.container.requires_eula and "accept_eula=true" not in call.custom_attributes.replace(" ", ""):
        raise Refusal(424, "eula", _EULA)


def _unparsed(words: str) -> Refusal:
    return Refusal(424, "body", f"Input parsing failed: {words}")
