"""Mistral's newer body through InvokeModel: turns and tools, answered by ``choices``.

Its answers name the reason ``stop_reason``, and their streams have whole messages where OpenAI has deltas; Pixtral's look
like OpenAI's and count their tokens. Sources: AWS's guide, "Mistral AI chat completion", "Mistral AI Large (24.07)
parameters and inference" and "Pixtral Large (25.02) parameters and inference", read 2026-11-30. The guide shows no stream;
its form here follows the whole answer's. Roles follow Mistral's own validation (mistral-common).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trimaran.testing.bedrock_dialect import decode_body, malformed
from trimaran.testing.bedrock_models import Served
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Tool
from trimaran.testing.part_writer import PartWriter
from trimaran.testing.transcript import Transcript

__all__ = ["TurnsBody"]

_encode = msgspec.json.encode
_FINISH = {"stop": "stop", "length": "length", "stop_sequence": "stop", "tool_calls": "tool_calls", "refusal": "stop"}
_LIKE_OPENAI = "mistral.pixtral"
_Share = Annotated[float, Meta(ge=0, le=1)]


class _Function(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    function: _Function
    type: Literal["function"] = "function"


class _ImageUrl(msgspec.Struct):
    url: str


class _Piece(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: str | _ImageUrl | None = None


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Piece] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Offered(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any]
    description: str | None = None


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: _Offered


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "any", "none"] = "auto"
    max_tokens: Annotated[int, Meta(ge=1, le=8192)] = 8192
    temperature: _Share = 0.7
    top_p: _Share = 1.0


_decoder = msgspec.json.Decoder(_Request)


class TurnsBody:
    """See :class:`~trimaran.testing.bedrock_invoke.BedrockInvoke`."""

    def read(self, body: bytes, model_id: str, served: Served) -> Prompt:
        """Raises a ``ValidationException``."""
        asked = decode_body(body, _decoder)
        prompt = Prompt(model_id, max_output_tokens=asked.max_tokens, reasoning="off", request="turns")
        transcript = Transcript(prompt)
        _History(transcript, served.base.startswith(_LIKE_OPENAI)).read(asked.messages)
        if asked.tools:
            transcript.offer(
                tuple(
                    Tool(tool.function.name, tool.function.parameters, tool.function.description or "")
                    for tool in asked.tools
                )
            )
        if asked.tool_choice == "any":
            if not asked.tools:
                raise malformed("#/tool_choice: any needs tools")
            prompt.forced_tool = ""
        transcript.finish()
        if asked.tool_choice == "none":
            prompt.tools = ()
        return prompt

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> TurnsWriter:
        """``choices``."""
        return TurnsWriter(reply, serial, prompt.request.served.base.startswith(_LIKE_OPENAI))


class _History:
    """Who may speak, and which calls wait for their results."""

    def __init__(self, transcript: Transcript, sees: bool) -> None:
        self._transcript = transcript
        self._sees = sees
        self._waiting: list[str] = []

    def read(self, messages: list[_Message]) -> None:
        """All of them."""
        before = ""
        for place, message in enumerate(messages):
            where = f"#/messages/{place}"
            if message.role == "system":
                if before not in ("", "system"):
                    raise malformed(f"{where}: a system message comes before the others")
                self._transcript.system(self._said(message, where))
            elif message.role == "tool":
                self._result(message, where)
            else:
                self._turn(message, before, where)
            before = message.role
        if before not in ("user", "tool"):
            raise malformed("#/messages: the last message must be of the user or of a tool")
        self._settle("#/messages")

    def _turn(self, message: _Message, before: str, where: str) -> None:
        allowed = {"user": ("", "system", "user", "assistant", "tool"), "assistant": ("user", "tool")}[message.role]
        if before not in allowed:
            raise malformed(f"{where}: the role {message.role} cannot follow {before or 'nothing'}")
        self._settle(where)
        self._transcript.turn(message.role)
        text = self._said(message, where)
        if text:
            self._transcript.text(text)
        if message.tool_calls and message.role == "user":
            raise malformed(f"{where}: a user makes no calls")
        if not text and not message.tool_calls and message.role == "assistant":
            raise malformed(f"{where}: an assistant's message has content or calls")
        for call in message.tool_calls or ():
            self._waiting.append(call.id)
            self._transcript.tool_call(call.function.name, call.function.arguments)

    def _result(self, message: _Message, where: str) -> None:
        if message.tool_call_id not in self._waiting:
            raise malformed(f"{where}: no call waits for the result of {message.tool_call_id!r}")
        self._waiting.remove(message.tool_call_id)
        self._transcript.turn("user")
        self._transcript.tool_result()
        self._transcript.chars(len(message.content) if isinstance(message.content, str) else 0)

    def _settle(self, where: str) -> None:
        if self._waiting:
            raise malformed(f"{where}: there are {len(self._waiting)} calls without a result")

    def _said(self, message: _Message, where: str) -> str:
        if message.content is None or isinstance(message.content, str):
            if not message.content and message.role in ("user", "system"):
                raise malformed(f"{where}/content: expected a text")
            return message.content or ""
        for piece in message.content:
            if piece.type == "image_url":
                if not self._sees:
                    raise malformed(f"{where}/content: this model takes no images")
                self._transcript.image()
        return "\n".join(piece.text or "" for piece in message.content if piece.type == "text")


class TurnsWriter(PartWriter):
    """``{"choices": [{"index", "message", "stop_reason"}]}``, or as OpenAI has it."""

    def __init__(self, reply: Reply, serial: int, like_openai: bool) -> None:
        super().__init__(reply)
        self._serial = serial
        self._like_openai = like_openai

    def unary(self) -> bytes:
        """The answer."""
        text = "".join(part.text for part in self._reply.parts if part.kind in ("text", "refusal"))
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls := [self._call(part) for part in self._reply.parts if part.tool_call is not None]:
            message["tool_calls"] = calls
        return _encode(self._choices(message, _FINISH[self._reply.finish], whole=True))

    def unary_error(self, refusal: Refusal) -> bytes:
        """Written by Bedrock."""
        return b""

    def opening(self) -> bytes:
        """A message without content."""
        return _document(self._choices({"role": "assistant", "content": ""}, None)) + self.advance()

    def open_part(self, part: Part) -> bytes:
        """A call comes whole."""
        if part.tool_call is None:
            return b""
        return _document(self._choices({"role": "assistant", "content": "", "tool_calls": [self._call(part)]}, None))

    def delta(self, piece: str) -> bytes:
        """A token of a text; those of a call are sent already."""
        if self.part.tool_call is not None:
            return b""
        return _document(self._choices({"role": "assistant", "content": piece}, None))

    def close_part(self, part: Part) -> bytes:
        """No event."""
        return b""

    def closing(self, *, end_marker: bool) -> bytes:
        """An empty message with the reason."""
        message = {"role": "assistant", "content": ""}
        last = self._choices(message, _FINISH[self._reply.finish], usage=True)
        return self.advance() + _document(last)

    def malformed(self) -> bytes:
        """Written by Bedrock."""
        return b""

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """Written by Bedrock."""
        return b""

    def _choices(
        self, message: dict[str, Any], reason: str | None, *, whole: bool = False, usage: bool = False
    ) -> dict[str, Any]:
        if not self._like_openai:
            return {"choices": [{"index": 0, "message": message, "stop_reason": reason}]}
        kind = "message" if whole else "delta"
        answer: dict[str, Any] = {
            "id": f"cmpl_simulated{self._serial:08d}",
            "object": "chat.completion" if whole else "chat.completion.chunk",
            "choices": [{"index": 0, kind: message, "finish_reason": reason}],
        }
        if whole or usage:
            counts = self._reply.usage
            answer["usage"] = {
                "prompt_tokens": counts.input,
                "completion_tokens": counts.output,
                "total_tokens": counts.input + counts.output,
            }
        return answer

    def _call(self, part: Part) -> dict[str, Any]:
        call = part.tool_call
        assert call is not None
        function = {"name": call.name, "arguments": part.text}
        return {"id": f"sim{self._serial % 10_000:04d}{call.index:02d}", "function": function, "type": "function"}


def _document(fields: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(fields)
