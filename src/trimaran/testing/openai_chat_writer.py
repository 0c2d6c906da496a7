"""Writes an answer in ``openai.chat``, whole or as chunks."""

from __future__ import annotations

import time
from typing import Any

from trimaran.testing.compose import logprob
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Usage
from trimaran.testing.openai_common import FINGERPRINT, encode, error_body, service_tier
from trimaran.testing.part_writer import PartWriter

__all__ = ["ChatWriter", "call_id", "token_logprobs"]

_FIELDS = {"refusal": b"refusal", "reasoning": b"reasoning_content"}
_FINISH = {"stop_sequence": "stop", "refusal": "stop"}


class ChatWriter(PartWriter):
    """See :class:`~trimaran.testing.dialect.AnswerWriter`."""

    __slots__ = ("_created", "_head", "_id", "_prefix", "_prompt", "_role_sent", "_serial", "_suffix", "_tail")

    def __init__(self, prompt: Prompt, reply: Reply, serial: int) -> None:
        super().__init__(reply)
        self._prompt = prompt
        self._serial = serial
        self._id = f"chatcmpl-simulated{serial:08d}"
        self._created = int(time.time())
        self._prefix = b""
        self._suffix = b""
        self._head = b""
        self._tail = b""
        self._role_sent = False

    def unary(self) -> bytes:
        """A whole completion."""
        reply = self._reply
        return encode(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._prompt.model,
                "choices": [
                    {
                        "index": 0,
                        "message": self._message(),
                        "logprobs": self._logprobs(),
                        "finish_reason": _FINISH.get(reply.finish, reply.finish),
                    }
                ],
                "usage": _usage(reply.usage),
                "service_tier": service_tier(self._prompt.service_tier, reply.service_tier),
                "system_fingerprint": FINGERPRINT,
            }
        )

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        for part in self._reply.parts:
            if part.kind == "text":
                message["content"] = part.text
            elif part.tool_call is not None:
                function = {"name": part.tool_call.name, "arguments": part.text}
                call = {"id": call_id(self._serial, part.tool_call.index), "type": "function", "function": function}
                message.setdefault("tool_calls", []).append(call)
            elif part.kind == "refusal":
                message["refusal"] = part.text
            elif part.kind == "reasoning" and part.pieces:
                message["reasoning_content"] = part.text
        if message["content"] is None and message["refusal"] is None and "tool_calls" not in message:
            message["content"] = ""
        return message

    def _logprobs(self) -> dict[str, Any] | None:
        if self._prompt.logprobs is None:
            return None
        pieces = [piece for part in self._reply.of("text") for piece in part.pieces]
        return {"content": token_logprobs(pieces, self._prompt.logprobs), "refusal": None}

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return encode({"error": error_body(refusal)})

    def opening(self) -> bytes:
        """The chunk that names the role."""
        tier = service_tier(self._prompt.service_tier, self._reply.service_tier)
        self._prefix = (
            b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,"service_tier":%b,'
            b'"system_fingerprint":"%b","choices":['
            % (self._id.encode(), self._created, encode(self._prompt.model), encode(tier), FINGERPRINT.encode())
        )
        self._suffix = b'],"usage":null}\n\n' if self._prompt.include_usage else b"]}\n\n"
        return self.advance()

    def open_part(self, part: Part) -> bytes:
        """A chunk where a call begins or nothing was sent yet."""
        kind = part.kind
        delta: dict[str, Any] = {}
        if not self._role_sent:
            self._role_sent = True
            delta = {"role": "assistant", "content": "" if kind == "text" else None, "refusal": None}
        if part.tool_call is not None:
            call = part.tool_call
            start = {"index": call.index, "id": call_id(self._serial, call.index), "type": "function"}
            delta["tool_calls"] = [start | {"function": {"name": call.name, "arguments": ""}}]
            opened = b'"tool_calls":[{"index":%d,"function":{"arguments":' % call.index
            closed = b"}}]"
        else:
            opened, closed = b'"%b":' % _FIELDS.get(kind, b"content"), b""
        self._head = b'%b{"index":0,"delta":{%b' % (self._prefix, opened)
        self._tail = b'%b},"logprobs":null,"finish_reason":null}%b' % (closed, self._suffix)
        return self._chunk(delta) if delta else b""

    def piece(self, piece: str) -> bytes:
        """A chunk with one token."""
        if not self._left:
            return super().piece(piece)
        self._left -= 1
        if self._prompt.logprobs is None:
            return self._head + encode(piece) + self._tail
        return self.delta(piece)

    def delta(self, piece: str) -> bytes:
        """A chunk with one token of the open part."""
        if self._prompt.logprobs is None or self.part.kind != "text":
            return self._head + encode(piece) + self._tail
        chances = encode({"content": token_logprobs([piece], self._prompt.logprobs), "refusal": None})
        return b'%b%b},"logprobs":%b,"finish_reason":null}%b' % (self._head, encode(piece), chances, self._suffix)

    def close_part(self, part: Part) -> bytes:
        """Nothing."""
        return b""

    def closing(self, *, end_marker: bool) -> bytes:
        """The finish reason, the usage if wanted, and the end marker."""
        finish = self._reply.finish
        events = self.advance() + self._chunk({}, _FINISH.get(finish, finish))
        if self._prompt.include_usage:
            events += b'%b],"usage":%b}\n\n' % (self._prefix, encode(_usage(self._reply.usage)))
        return events + b"data: [DONE]\n\n" if end_marker else events

    def malformed(self) -> bytes:
        """A chunk cut short."""
        return self._prefix + b'{"index":0,"delta":{"content":"broken\n\n'

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An error instead of a chunk."""
        return b"data: %b\n\n" % encode({"error": error_body(refusal)})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._prefix + encode(choice) + self._suffix


def call_id(serial: int, index: int) -> str:
    """The id of one of an answer's tool calls."""
    return f"call_simulated{serial:08d}" if not index else f"call_simulated{serial:08d}_{index}"


def token_logprobs(pieces: list[str], alternatives: int) -> list[dict[str, Any]]:
    """Log probabilities of tokens, as chat and responses report them."""
    rows = []
    for piece in pieces:
        own, tops = logprob(piece, alternatives)
        top_rows = [_token(token, value) for token, value in tops]
        rows.append(_token(piece, own) | {"top_logprobs": top_rows})
    return rows


def _token(token: str, value: float) -> dict[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode())}


def _usage(usage: Usage) -> dict[str, Any]:
    prompt: dict[str, int] = {"cached_tokens": usage.cached_read, "audio_tokens": usage.audio_input}
    if usage.cache_write:
        prompt["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
