"""Writes an answer in ``anthropic.messages``, whole or as events."""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Usage
from trimaran.testing.part_writer import PartWriter
from trimaran.testing.signing import sign

__all__ = ["MessagesWriter", "error_body"]

_encode = msgspec.json.encode
_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "refusal",
}
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
_TIERS = {"default": "standard", None: "standard"}
_DELTAS = {
    "text": b'"type":"text_delta","text":',
    "reasoning": b'"type":"thinking_delta","thinking":',
    "tool_call": b'"type":"input_json_delta","partial_json":',
}


_CUMULATIVE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)
"""What ``message_delta`` reports: totals so far, the input's again."""


class MessagesWriter(PartWriter):
    """See :class:`~trimaran.testing.dialect.AnswerWriter`.

    A refusal has no block: its words are the explanation in ``stop_details``. A text without words has none either.
    """

    __slots__ = ("_block", "_prefix", "_prompt", "_serial")

    def __init__(self, prompt: Prompt, reply: Reply, serial: int) -> None:
        super().__init__(reply)
        self._prompt = prompt
        self._serial = serial
        self._block = -1
        self._prefix = b""

    def unary(self) -> bytes:
        """A whole message."""
        content = []
        for part in self._reply.parts:
            if _shown(part):
                block = self._start(part)
                if part.tool_call is not None:
                    block["input"] = part.tool_call.arguments
                elif part.kind == "text":
                    block["text"] = part.text
                elif part.kind == "reasoning":
                    block["thinking"], block["signature"] = part.text, _signature(part)
                content.append(block)
        return _encode(self._message(content, self._ending(), self._usage()))

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return _encode({"type": "error", "error": error_body(refusal), "request_id": self._request_id()})

    def opening(self) -> bytes:
        """The start of the message and of its first block."""
        usage = {**self._usage(), "output_tokens": 1}
        message = self._message([], {"stop_reason": None, "stop_sequence": None}, usage)
        return _event("message_start", {"message": message}) + self.advance() + _event("ping", {})

    def open_part(self, part: Part) -> bytes:
        """The start of a block."""
        if not _shown(part):
            self._prefix = b""
            return b""
        self._block += 1
        self._prefix = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{%b' % (
            self._block,
            _DELTAS.get(part.kind, b""),
        )
        return _event("content_block_start", {"index": self._block, "content_block": self._start(part)})

    def delta(self, piece: str) -> bytes:
        """One token of a block."""
        return b"%b%b}}\n\n" % (self._prefix, _encode(piece)) if self._prefix else b""

    def close_part(self, part: Part) -> bytes:
        """The end of a block; thinking is signed at its end."""
        if not _shown(part):
            return b""
        events = b""
        if part.kind == "reasoning":
            delta = {"type": "signature_delta", "signature": _signature(part)}
            events = _event("content_block_delta", {"index": self._block, "delta": delta})
        return events + _event("content_block_stop", {"index": self._block})

    def closing(self, *, end_marker: bool) -> bytes:
        """The stop reason, the final usage and the end of the message."""
        usage = {key: value for key, value in self._usage().items() if key in _CUMULATIVE}
        events = self.advance() + _event("message_delta", {"delta": self._ending(), "usage": usage})
        return events + _event("message_stop", {}) if end_marker else events

    def malformed(self) -> bytes:
        """An event cut short."""
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_de\n\n'

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An ``error`` event."""
        return _event("error", {"error": error_body(refusal), "request_id": self._request_id()})

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

    def _ending(self) -> dict[str, Any]:
        reply = self._reply
        ending: dict[str, Any] = {"stop_reason": _FINISH[reply.finish], "stop_sequence": reply.stop_sequence}
        if reply.finish == "refusal":
            ending["stop_details"] = {"type": "refusal", "category": None, "explanation": reply.text("refusal")}
        return ending

    def _start(self, part: Part) -> dict[str, Any]:
        """A block before its content."""
        if part.tool_call is not None:
            index = part.tool_call.index
            name = f"toolu_simulated{self._serial:08d}" + (f"_{index}" if index else "")
            return {"type": "tool_use", "id": name, "name": part.tool_call.name, "input": {}}
        if part.kind == "reasoning":
            return {"type": "thinking", "thinking": "", "signature": ""}
        if part.kind == "redacted":
            return {"type": "redacted_thinking", "data": sign("redacted", part.hidden_text)}
        return {"type": "text", "text": ""}

    def _usage(self) -> dict[str, Any]:
        tier = self._reply.service_tier
        return _usage(self._reply.usage) | {"service_tier": _TIERS.get(tier, tier)}

    def _request_id(self) -> str:
        return f"req_simulated{self._serial:08d}"


def error_body(refusal: Refusal) -> dict[str, str]:
    """The members of ``error``."""
    default = "api_error" if refusal.status >= 500 else "invalid_request_error"
    return {"type": refusal.kind or _ERROR_TYPES.get(refusal.status, default), "message": refusal.message}


def _shown(part: Part) -> bool:
    """Whether a part is a block."""
    return part.kind != "refusal" and (part.kind != "text" or bool(part.pieces))


def _signature(part: Part) -> str:
    return sign("thinking", part.hidden_text or part.text)


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
    }
    if usage.reasoning:
        row["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        row["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    return row


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **fields}))
