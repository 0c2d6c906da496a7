"""Writes an answer in ``openai.responses``, whole or as the official sequence of events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Usage
from trimaran.testing.openai_chat_writer import call_id, token_logprobs
from trimaran.testing.openai_common import encode, error_body, service_tier
from trimaran.testing.part_writer import PartWriter
from trimaran.testing.signing import sign

__all__ = ["ResponsesWriter"]

_DELTAS = {
    "text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "tool_call": "response.function_call_arguments.delta",
    "reasoning": "response.reasoning_summary_text.delta",
}
_CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_PREFIXES = {"text": "msg", "refusal": "msg", "tool_call": "fc", "reasoning": "rs"}


class ResponsesWriter(PartWriter):
    """See :class:`~trimaran.testing.dialect.AnswerWriter`. Each part is an output item; a text without words is none.

    ``keep`` is called with id and output once the whole response is written.
    """

    __slots__ = (
        "_created",
        "_encrypted",
        "_id",
        "_index",
        "_keep",
        "_members",
        "_prompt",
        "_searches",
        "_sequence",
        "_serial",
        "_tail",
    )

    def __init__(
        self,
        prompt: Prompt,
        reply: Reply,
        serial: int,
        members: dict[str, Any],
        *,
        encrypted: bool,
        keep: Callable[[str, list[dict[str, Any]]], None] | None,
    ) -> None:
        super().__init__(reply)
        self._prompt = prompt
        self._serial = serial
        self._members = members
        self._encrypted = encrypted
        self._keep = keep
        self._id = f"resp_simulated{serial:08d}"
        self._created = int(time.time())
        self._searches = _searches(reply.usage, serial)
        self._index = len(self._searches) - 1
        self._sequence = -1
        self._tail = b""

    # Whole

    def unary(self) -> bytes:
        """A whole response."""
        return encode(self._final())

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 that holds a failed response."""
        return encode(self._response("failed", [], error=_failure(refusal)))

    def _final(self) -> dict[str, Any]:
        shown = [part for part in self._reply.parts if _shown(part)]
        first = len(self._searches)
        output = [*self._searches, *(self._item(part, first + place, done=True) for place, part in enumerate(shown))]
        if self._keep is not None:
            self._keep(self._id, output)
        status = "incomplete" if self._reply.finish in _CUT_SHORT else "completed"
        return self._response(status, output)

    def _response(
        self, status: str, output: list[dict[str, Any]], *, error: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        done = status in ("completed", "incomplete")
        tier = self._prompt.service_tier or "auto"
        whole: dict[str, Any] = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": _CUT_SHORT[self._reply.finish]} if status == "incomplete" else None,
            "model": self._prompt.model,
            "output": output,
            "service_tier": service_tier(tier, self._reply.service_tier) if done else tier,
            "usage": _usage(self._reply.usage) if done else None,
            **self._members,
        }
        if status == "completed":
            whole["completed_at"] = self._created
        return whole

    def _item(self, part: Part, index: int, *, done: bool) -> dict[str, Any]:
        """An output item, as it begins or as it ends."""
        identity = self._item_id(part, index)
        status = "completed" if done else "in_progress"
        if done and self._reply.finish in _CUT_SHORT and part is self._reply.parts[-1]:
            status = "incomplete"
        if part.kind == "reasoning":
            summary = [{"type": "summary_text", "text": part.text}] if done and part.pieces else []
            item: dict[str, Any] = {"id": identity, "type": "reasoning", "summary": summary}
            if self._encrypted:
                # Bound to the item's id, as the real one is.
                text = f"{identity}\n{part.hidden_text or part.text}"
                item["encrypted_content"] = sign("encrypted", text) if done else ""
            return item
        if part.tool_call is not None:
            return {
                "id": identity,
                "type": "function_call",
                "status": status,
                "call_id": call_id(self._serial, part.tool_call.index),
                "name": part.tool_call.name,
                "arguments": part.text if done else "",
            }
        content = [self._content(part, part.pieces)] if done else []
        return {"id": identity, "type": "message", "status": status, "role": "assistant", "content": content}

    def _content(self, part: Part, pieces: list[str]) -> dict[str, Any]:
        text = "".join(pieces)
        if part.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self._logprobs(pieces)}

    def _logprobs(self, pieces: list[str]) -> list[dict[str, Any]]:
        alternatives = self._prompt.logprobs
        return [] if alternatives is None else token_logprobs(pieces, alternatives)

    def _item_id(self, part: Part, index: int) -> str:
        return f"{_PREFIXES[part.kind]}_simulated{self._serial:08d}_{index}"

    # Streamed

    def opening(self) -> bytes:
        """The response is created, and its first item begins."""
        events = b"".join(
            self._event(name, response=self._response("in_progress", []))
            for name in ("response.created", "response.in_progress")
        )
        for index, item in enumerate(self._searches):
            begun = item | {"status": "in_progress"}
            events += self._event("response.output_item.added", output_index=index, item=begun)
            events += self._event("response.output_item.done", output_index=index, item=item)
        return events + self.advance()

    def open_part(self, part: Part) -> bytes:
        """An item and its part begin."""
        if not _shown(part):
            self._tail = b""
            return b""
        self._index += 1
        at = self._at(part)
        item = self._item(part, self._index, done=False)
        events = self._event("response.output_item.added", output_index=self._index, item=item)
        if part.kind == "reasoning":
            if part.pieces:
                empty = {"type": "summary_text", "text": ""}
                events += self._event("response.reasoning_summary_part.added", **at, part=empty)
        elif part.tool_call is None:
            events += self._event("response.content_part.added", **at, part=self._content(part, []))
        self._tail = encode(at)[1:-1]
        return events

    def delta(self, piece: str) -> bytes:
        """One token."""
        if not self._tail:
            return b""
        self._sequence += 1
        name = _DELTAS[self.part.kind].encode()
        extra = b',"logprobs":%b' % encode(self._logprobs([piece])) if self.part.kind == "text" else b""
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b,"delta":%b%b}\n\n' % (
            name,
            name,
            self._sequence,
            self._tail,
            encode(piece),
            extra,
        )

    def close_part(self, part: Part) -> bytes:
        """A part and its item end."""
        if not _shown(part):
            return b""
        at, text = self._at(part), part.text
        events = b""
        if part.tool_call is not None:
            events = self._event("response.function_call_arguments.done", **at, arguments=text)
        elif part.kind == "reasoning":
            if part.pieces:
                summary = {"type": "summary_text", "text": text}
                events = self._event("response.reasoning_summary_text.done", **at, text=text)
                events += self._event("response.reasoning_summary_part.done", **at, part=summary)
        else:
            if part.kind == "text":
                events = self._event("response.output_text.done", **at, text=text, logprobs=self._logprobs(part.pieces))
            else:
                events = self._event("response.refusal.done", **at, refusal=text)
            events += self._event("response.content_part.done", **at, part=self._content(part, part.pieces))
        item = self._item(part, self._index, done=True)
        return events + self._event("response.output_item.done", output_index=self._index, item=item)

    def closing(self, *, end_marker: bool) -> bytes:
        """The last item ends, and so does the response."""
        events = self.advance()
        final = self._final()
        return events + self._event(f"response.{final['status']}", response=final) if end_marker else events

    def malformed(self) -> bytes:
        """An event cut short."""
        name = b"response.output_text.delta"
        return b'event: %b\ndata: {"type":"%b","delta":"broken\n\n' % (name, name)

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """``response.failed``, or an ``error`` event."""
        if bare:
            error = error_body(refusal)
            code = error["code"] or error["type"]
            return self._event("error", code=code, message=refusal.message, param=refusal.param)
        return self._event("response.failed", response=self._response("failed", [], error=_failure(refusal)))

    def _at(self, part: Part) -> dict[str, Any]:
        """Where an event belongs."""
        at: dict[str, Any] = {"item_id": self._item_id(part, self._index), "output_index": self._index}
        if part.kind == "reasoning":
            return at | {"summary_index": 0}
        return at if part.tool_call is not None else at | {"content_index": 0}

    def _event(self, name: str, **members: Any) -> bytes:
        self._sequence += 1
        data = {"type": name, "sequence_number": self._sequence, **members}
        return b"event: %b\ndata: %b\n\n" % (name.encode(), encode(data))


def _shown(part: Part) -> bool:
    """Whether a part is an output item."""
    return part.kind != "redacted" and (part.kind != "text" or bool(part.pieces))


def _searches(usage: Usage, serial: int) -> list[dict[str, Any]]:
    """The items of searches that the provider ran before it answered. A page that is opened is charged with its search."""
    items: list[dict[str, Any]] = []
    for number in range(usage.web_searches):
        query = {"type": "search", "query": f"simulated {number}"}
        opened = {"type": "open_page", "url": f"https://example.com/{number}"}
        for action in (query, opened):
            id = f"ws_simulated{serial:08d}_{len(items)}"
            items.append({"id": id, "type": "web_search_call", "status": "completed", "action": action})
    for number in range(usage.file_searches):
        id = f"fs_simulated{serial:08d}_{len(items)}"
        queries = [f"simulated {number}"]
        items.append({"id": id, "type": "file_search_call", "status": "completed", "queries": queries, "results": None})
    return items


def _failure(refusal: Refusal) -> dict[str, Any]:
    error = error_body(refusal)
    return {"code": error["code"] or error["type"], "message": refusal.message}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
