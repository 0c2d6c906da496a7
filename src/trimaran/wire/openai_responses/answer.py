"""Whole answers of the Responses API, read and written.

Each neutral part is one output item, whole and streamed alike: a message with one text or one refusal, a reasoning
item, a call. Their ids are made from the answer's id and their place. A Response repeats the settings of its request;
they are copied from the client's body as they stand there.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.types import Usage
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import Envelope
from trimaran.wire.events import Answer
from trimaran.wire.members import BAD_JSON
from trimaran.wire.openai_responses.items import ORIGIN, reasoning_of
from trimaran.wire.openai_responses.usage import WireUsage, neutral_tier, neutral_usage, tier_word, usage_json
from trimaran.wire.state import wrap_state

__all__ = [
    "OutputItem",
    "ResponseWriter",
    "WireHead",
    "WireResponse",
    "base_id",
    "billed",
    "encoded_answer",
    "finish_of",
    "in_summary",
    "item_id",
    "output_item",
    "parts_of",
    "reasoning_item",
    "status_of",
    "whole",
]

_CLIENT_CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "mcp_approval_request",
    }
)
"""After these it is the client's turn."""
_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
_INCOMPLETE = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    # It was not finished by the model, and this API has no other word for that.
    "pause_turn": "max_output_tokens",
    "content_filter": "content_filter",
}
_PREFIX = re.compile(r"^(?:resp|chatcmpl|msg|cmpl)[_-]")
_LONGEST_BASE = 48
_TOLD_AT_THE_END = frozenset({"status", "incomplete_details", "output", "service_tier", "usage"})
_NULL = msgspec.Raw(b"null")


class _Echoed(msgspec.Struct):
    """What a Response repeats of its request."""

    instructions: msgspec.Raw = _NULL
    max_output_tokens: msgspec.Raw = _NULL
    max_tool_calls: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL
    parallel_tool_calls: msgspec.Raw = _NULL
    prompt_cache_key: msgspec.Raw = _NULL
    reasoning: msgspec.Raw = _NULL
    safety_identifier: msgspec.Raw = _NULL
    temperature: msgspec.Raw = _NULL
    text: msgspec.Raw = _NULL
    tool_choice: msgspec.Raw = _NULL
    tools: msgspec.Raw = _NULL
    top_logprobs: msgspec.Raw = _NULL
    top_p: msgspec.Raw = _NULL
    truncation: msgspec.Raw = _NULL
    user: msgspec.Raw = _NULL


_UNSAID = {
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "truncation": b'"disabled"',
}
"""What a Response says where its request said nothing; null for all the others."""
_ECHOES = tuple((name, b',"%b":' % name.encode(), _UNSAID.get(name, b"null")) for name in _Echoed.__struct_fields__)
_decode_echoed = msgspec.json.Decoder(_Echoed).decode
_encode = msgspec.json.encode


class _Content(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class OutputItem(msgspec.Struct):
    """An output item as it stands on the wire. What has another form in items of other types is kept raw."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: msgspec.Raw = _NULL
    content: msgspec.Raw = _NULL
    summary: msgspec.Raw = _NULL
    encrypted_content: str | None = None
    action: _Action | list[Any] | str | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Action(msgspec.Struct, gc=False):
    type: str | None = None


class _HeadItem(msgspec.Struct, gc=False):
    type: str = ""
    action: _Action | list[Any] | str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None


class WireHead(_Response):
    """A Response without the content of its items."""

    output: list[_HeadItem] | None = None


class WireResponse(_Response):
    """A whole Response."""

    output: list[OutputItem] | None = None


_decode_content = msgspec.json.Decoder(list[_Content] | None).decode
_decode_text = msgspec.json.Decoder(str | None).decode


def finish_of(response: WireHead | WireResponse) -> str:
    """The neutral finish reason of a Response that is neither failed nor under way. Raises :class:`MalformedAnswer`."""
    status = response.status or "completed"
    if status == "incomplete":
        details = response.incomplete_details
        word = (details.reason if details is not None else None) or "max_output_tokens"
        return _REASONS.get(word, word)
    if status != "completed":
        raise MalformedAnswer(f"the answer is not finished: its status is {status!r}")
    calls = any(item.type in _CLIENT_CALLS for item in response.output or ())
    return "tool_calls" if calls else "stop"


def billed(response: WireHead | WireResponse) -> Usage | None:
    """What a Response says it used, its searches counted; ``None`` where it says nothing.

    Of a web search only the action ``search`` is charged, not the pages that it opens then
    (https://platform.openai.com/docs/guides/tools-web-search, read 2026-11-24).
    """
    if response.usage is None:
        return None
    usage = neutral_usage(response.usage)
    for item in response.output or ():
        if item.type == "file_search_call":
            usage.file_searches += 1
        elif item.type == "web_search_call":
            action = item.action
            usage.web_searches += not isinstance(action, _Action) or action.type in (None, "search")
    return usage


def whole(response: WireResponse) -> Answer:
    """A Response as a neutral answer. Raises :class:`MalformedAnswer` for items that no other dialect has, and what
    msgspec does for ill-typed ones."""
    parts: list[Part] = []
    logprobs: list[Any] = []
    for item in response.output or ():
        parts += parts_of(item, logprobs)
    return Answer(
        id=response.id or "",
        model=response.model or "",
        parts=parts,
        finish_reason=finish_of(response),
        usage=billed(response),
        logprobs=logprobs or None,
        service_tier=neutral_tier(response.service_tier),
    )


def parts_of(item: OutputItem, logprobs: list[Any]) -> list[Part]:
    """The neutral parts of one output item; its log-probabilities are added to ``logprobs``."""
    if item.type == "message":
        return _message_parts(item, logprobs)
    if item.type == "function_call":
        return [ToolCall(item.call_id or item.id or "", item.name or "", _decode_text(item.arguments) or "")]
    if item.type == "reasoning":
        summary, content = (
            [part.text or "" for part in _decode_content(value) or ()] for value in (item.summary, item.content)
        )
        # Without a text and a state there is nothing that anybody could use.
        part = reasoning_of(item.id or "", summary, content, item.encrypted_content or "")
        return [part] if part.text or part.state else []
    raise MalformedAnswer(f"the answer holds a {item.type or 'nameless item'}, which the client's dialect cannot carry")


def _message_parts(item: OutputItem, logprobs: list[Any]) -> list[Part]:
    parts: list[Part] = []
    for content in _decode_content(item.content) or ():
        if content.annotations:
            raise MalformedAnswer("the answer holds a citation, which the client's dialect cannot carry")
        if content.type == "output_text":
            parts.append(Text(content.text or ""))
            logprobs += content.logprobs or ()
        elif content.type == "refusal":
            parts.append(Refusal(content.refusal or ""))
        else:
            raise MalformedAnswer(f"the answer holds a part of type {content.type!r}, which cannot be carried")
    return parts


# Writing


def base_id(id: str, seed: bytes) -> str:
    """What the ids of an answer have in common: its own without the prefix of its dialect. Where a server gave none, one
    is made from ``seed``."""
    base = _PREFIX.sub("", id, count=1)
    return fitting_id(base, _LONGEST_BASE) if base else hashlib.blake2b(seed, digest_size=24).hexdigest()


def item_id(part: Part, base: str, index: int) -> str:
    """The id of the output item for ``part``."""
    if isinstance(part, Reasoning):
        if part.origin == ORIGIN and part.id:
            return part.id
        return f"rs_{base}_{index}"
    return f"{'fc' if isinstance(part, ToolCall) else 'msg'}_{base}_{index}"


def status_of(reason: str) -> str:
    """The status of a Response, and of its last item, for a neutral finish reason."""
    return "incomplete" if reason in _INCOMPLETE else "completed"


def output_item(part: Part, id: str, status: str, logprobs: list[Any] | None = None) -> dict[str, Any]:
    """The output item for one part of an answer."""
    if isinstance(part, Reasoning):
        return reasoning_item(part, id)
    if isinstance(part, ToolCall):
        # No arguments are an empty object, unless they were cut off.
        arguments = part.arguments or ("{}" if status == "completed" else "")
        return {
            "id": id,
            "type": "function_call",
            "status": status,
            "arguments": arguments,
            "call_id": part.id,
            "name": part.name,
        }
    content: dict[str, Any]
    if isinstance(part, Refusal):
        content = {"type": "refusal", "refusal": part.text}
    elif isinstance(part, Text):
        content = {"type": "output_text", "annotations": [], "logprobs": logprobs or [], "text": part.text}
    else:
        raise MalformedAnswer(f"the answer holds a {type(part).__name__.lower()}, which this dialect cannot carry")
    return {"id": id, "type": "message", "status": status, "content": [content], "role": "assistant"}


def reasoning_item(part: Reasoning, id: str) -> dict[str, Any]:
    """The item for reasoning: its own state where this dialect issued it, a wrapped one otherwise."""
    item: dict[str, Any] = {"id": id, "type": "reasoning", "summary": []}
    if in_summary(part):
        # No text is no summary, unless this dialect's own provider wrote it so.
        said = part.text or part.origin == ORIGIN
        item["summary"] = [{"type": "summary_text", "text": part.text}] if said else []
    elif not part.hidden:
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    state = part.state if part.origin == ORIGIN else wrap_state(part)
    if state:
        item["encrypted_content"] = state
    return item


def in_summary(part: Reasoning) -> bool:
    """Whether the text of ``part`` is written as a summary. That is what clients of this API show, so the thoughts of
    other providers stand there, too; the wrapped state says what they are."""
    return part.summary or (part.origin != ORIGIN and not part.hidden)


class ResponseWriter:
    """Writes the Response of one answer, which a stream does three times. What stays the same is encoded once."""

    def __init__(self, envelope: Envelope | None, answer_id: str, model: str, created_s: int) -> None:
        self.base = base_id(answer_id, b"%d %b" % (created_s, b"" if envelope is None else envelope.body))
        self._head = (
            b'{"id":"resp_%b","object":"response","created_at":%d,"model":%b,"background":false,"error":null,'
            b'"previous_response_id":null,"store":false%b'
        ) % (self.base.encode(), created_s, _encode(model), _echo(envelope))

    @classmethod
    def of(cls, response: dict[str, Any]) -> ResponseWriter:
        """For a Response that is under way: everything in it stays but what its end tells."""
        writer = cls.__new__(cls)
        writer.base = base_id(str(response.get("id") or ""), _encode(response))
        kept = {name: value for name, value in response.items() if name not in _TOLD_AT_THE_END}
        writer._head = _encode({"id": f"resp_{writer.base}"} | kept)[:-1]
        return writer

    def under_way(self) -> bytes:
        """Before the first item."""
        return (
            self._head
            + b',"status":"in_progress","incomplete_details":null,"output":[],"service_tier":null,"usage":null}'
        )

    def ended(self, reason: str, items: list[bytes], usage: Usage | None, tier: str) -> bytes:
        """With everything that came. ``items`` are encoded."""
        why = _INCOMPLETE.get(reason)
        return b'%b,"status":"%b","incomplete_details":%b,"output":[%b],"service_tier":%b,"usage":%b}' % (
            self._head,
            status_of(reason).encode(),
            b"null" if why is None else b'{"reason":"%b"}' % why.encode(),
            b",".join(items),
            _encode(tier_word(tier)) if tier else b"null",
            b"null" if usage is None else _encode(usage_json(usage)),
        )


def _echo(envelope: Envelope | None) -> bytes:
    """The settings of the request, as they stand in its body."""
    if envelope is None:
        return b"".join([key + unsaid for _, key, unsaid in _ECHOES])
    try:
        echoed = _decode_echoed(envelope.body)
    except BAD_JSON:
        return _echo(None)
    out: list[bytes] = []
    for name, key, unsaid in _ECHOES:
        value = bytes(getattr(echoed, name))
        if value == b"null":
            value = unsaid
        elif value.find(b"\n") >= 0 or value.find(b"\r") >= 0:
            # A line end between two members would end an event of the stream.
            value = _encode(msgspec.json.decode(value))
        out.append(key + value)
    return b"".join(out)


def encoded_answer(answer: Answer, created_s: int, envelope: Envelope | None) -> bytes:
    """The whole Response for ``answer``."""
    writer = ResponseWriter(envelope, answer.id, answer.model, created_s)
    shared = _shared_out(answer)
    last = len(answer.parts) - 1
    status = status_of(answer.finish_reason)
    items = [
        _encode(
            output_item(
                part, item_id(part, writer.base, index), status if index == last else "completed", shared[index]
            )
        )
        for index, part in enumerate(answer.parts)
    ]
    return writer.ended(answer.finish_reason, items, answer.usage, answer.service_tier)


def _shared_out(answer: Answer) -> list[list[Any]]:
    """The log-probabilities of each part: as many tokens as its text is long."""
    if not answer.logprobs:
        return [[]] * len(answer.parts)
    entries = answer.logprobs
    shared: list[list[Any]] = []
    last = max((index for index, part in enumerate(answer.parts) if isinstance(part, Text)), default=-1)
    at = 0
    for index, part in enumerate(answer.parts):
        start, length = at, 0
        if isinstance(part, Text):
            while at < len(entries) and (index == last or length < len(part.text)):
                entry = entries[at]
                token = entry.get("token") if isinstance(entry, dict) else None
                length += len(token) if isinstance(token, str) else 1
                at += 1
        shared.append(entries[start:at])
    return shared
