"""A conversation written as messages of this API.

The API refuses empty text, so it is left out, and text of nothing but white space where a turn has no other: neither
says anything. It joins consecutive turns of one role; where tools are involved they are joined here, because each call
must find its result in the very next turn, before anything else. It demands the definition of every tool that the
history calls; tools that the client no longer names are defined by their names and shut off.

Sources: the types of the ``anthropic`` SDK 2.13; for text, reports of the API's answers
(https://github.com/LibreChat-AI/agents/pull/124, 2026-04-30).
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from itertools import groupby
from typing import Any, TypeAlias

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.wire.anthropic_messages.usage import ORIGIN
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import (
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from trimaran.wire.media import is_web_url
from trimaran.wire.refusals import Refusals

__all__ = ["arguments_object", "called_tools", "encode_messages", "encode_system", "marked"]

Block: TypeAlias = dict[str, Any]

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_RESULT = "tool_result"
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def marked(block: Block, cache: str) -> Block:
    """``block`` with its cache marker, if it has one."""
    if cache:
        block["cache_control"] = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
    return block


def encode_system(request: ChatRequest, refusals: Refusals, notes: Notes) -> str | list[Block]:
    """The instructions; empty where they say nothing."""
    return _content(_blocks(request.system, refusals.name("system"), refusals, notes))


def encode_messages(request: ChatRequest, native: bool, refusals: Refusals, notes: Notes) -> list[Block]:
    """The turns. ``native``: the client speaks this dialect, so that instructions in the middle and an answer begun are
    its own choice. So is an answer begun that we give to a model to be gone on with."""
    turns: list[Block] = []
    for message in request.messages:
        if message.role == "system" and not native:
            refusals.add(
                message.path or refusals.name("messages"), "instructions inside the conversation; put them first"
            )
            continue
        blocks = _blocks(message.parts, message.path, refusals, notes)
        if blocks:
            turns.append({"role": message.role, "content": blocks})
    turns = [turn for _, run in groupby(turns, lambda turn: turn["role"]) for turn in _joined(list(run))]
    for turn in turns:
        turn["content"] = _content(turn["content"])
    if not native and not request.begun:
        _check_end(request.messages, turns, refusals)
    return turns


def called_tools(messages: Sequence[Message]) -> list[str]:
    """The names of the tools that the history calls, each once."""
    parts = (part for message in messages for part in message.parts)
    return list(dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall)))


def arguments_object(arguments: str) -> msgspec.Raw | None:
    """A call's arguments as they are, ``{}`` for none; ``None`` where they are no JSON object."""
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    try:
        _decode_object(arguments)
        return msgspec.Raw(arguments.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def _check_end(messages: list[Message], turns: list[Block], refusals: Refusals) -> None:
    """This API continues an answer that was begun; the others answer after it."""
    if not turns:
        refusals.field("messages", "there is no turn besides the instructions")
    elif turns[-1]["role"] == "assistant":
        why = "the last turn is the assistant's, which this API would continue"
        if messages[-1].role != "assistant":
            why = "the last turn is empty"
        refusals.add(messages[-1].path or refusals.name("messages"), why)


def _joined(run: list[Block]) -> list[Block]:
    """Turns of one role: one, with results first, where tools are involved."""
    blocks = [block for turn in run for block in turn["content"]]
    if len(run) == 1 or not any(block["type"] in ("tool_use", _RESULT) for block in blocks):
        return run
    return [{"role": run[0]["role"], "content": sorted(blocks, key=lambda block: block["type"] != _RESULT)}]


def _content(blocks: list[Block]) -> str | list[Block]:
    """In the short form where that says all."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _blocks(parts: list[Part], path: str, refusals: Refusals, notes: Notes) -> list[Block]:
    blocks = [block for part in parts if (block := _block(part, path, refusals, notes)) is not None]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    if texts and not "".join(texts).strip():
        return [block for block in blocks if block["type"] != "text"]
    return blocks


def _block(part: Part, path: str, refusals: Refusals, notes: Notes) -> Block | None:
    if isinstance(part, Text):
        return marked({"type": "text", "text": part.text}, part.cache) if part.text else None
    if isinstance(part, Image):
        return _image(part, path, refusals, notes)
    if isinstance(part, Document):
        return _document(part, path, refusals)
    if isinstance(part, ToolCall):
        return _tool_use(part, path)
    if isinstance(part, ToolResult):
        return _tool_result(part, path, refusals, notes)
    if isinstance(part, Reasoning):
        return _thinking(part, notes)
    if isinstance(part, Refusal):
        notes.emulate("refusal")
        return {"type": "text", "text": part.text} if part.text else None
    refusals.add(path, "audio")
    return None


def _image(part: Image, path: str, refusals: Refusals, notes: Notes) -> Block | None:
    if part.detail:
        notes.omit("detail")
    if part.url:
        if not is_web_url(part.url):
            refusals.add(path, "an image under a URL that is none of the web")
            return None
        source = {"type": "url", "url": part.url}
    else:
        media_type = "image/jpeg" if part.media_type == "image/jpg" else part.media_type
        if media_type not in _IMAGES:
            refusals.add(path, f"an image of type {media_type!r}; the API takes JPEG, PNG, GIF and WebP")
            return None
        source = {"type": "base64", "media_type": media_type, "data": part.data}
    return marked({"type": "image", "source": source}, part.cache)


def _document(part: Document, path: str, refusals: Refusals) -> Block | None:
    text = part.text
    if part.url:
        if not is_web_url(part.url):
            refusals.add(path, "a document under a URL that is none of the web")
            return None
        source = {"type": "url", "url": part.url}
    elif part.data and part.media_type == "application/pdf":
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    else:
        if part.data and part.media_type.startswith("text/plain"):
            text = _plain(part.data)
        if not text:
            refusals.add(path, f"a document of type {part.media_type!r}; the API takes PDF and plain text in UTF-8")
            return None
        source = {"type": "text", "media_type": "text/plain", "data": text}
    block: Block = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name
    return marked(block, part.cache)


def _plain(data: str) -> str:
    try:
        return binascii.a2b_base64(data).decode()
    except ValueError:
        return ""


def _tool_use(part: ToolCall, path: str) -> Block:
    value = arguments_object(part.arguments)
    if value is None:
        raise InvalidRequest(f"{path!r}: the arguments of the call {part.id!r} are no JSON object", field=path)
    return marked({"type": "tool_use", "id": fitting_id(part.id), "name": part.name, "input": value}, part.cache)


def _tool_result(part: ToolResult, path: str, refusals: Refusals, notes: Notes) -> Block:
    block: Block = {"type": _RESULT, "tool_use_id": fitting_id(part.call_id)}
    if content := _content(_blocks(part.parts, path, refusals, notes)):
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return marked(block, part.cache)


def _thinking(part: Reasoning, notes: Notes) -> Block | None:
    """Only what this API signed goes back to it, and that exactly."""
    if part.origin != ORIGIN or not part.state:
        if part.text or part.state:
            notes.omit("reasoning")
        return None
    if part.hidden:
        return {"type": "redacted_thinking", "data": part.state}
    return {"type": "thinking", "thinking": part.text, "signature": part.state}
