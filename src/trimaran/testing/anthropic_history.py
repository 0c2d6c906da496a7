"""Reads system prompt and messages of ``anthropic.messages``, and refuses what the API refuses.

Errors about tool histories, signatures and kept thinking follow answers that are quoted in public issue threads (2025
and 2026); the others are worded alike.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Literal

import msgspec

from trimaran.testing.exchange import Refusal
from trimaran.testing.signing import signed_text
from trimaran.testing.transcript import Transcript

__all__ = ["Block", "Message", "Thinking", "read_messages", "read_system"]


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[Block] | None = None


class Block(msgspec.Struct):
    """A content block as it came, of any type."""

    type: str
    text: str | None = None
    source: _Source | None = None
    content: str | list[Block] | None = None
    """Of a tool result."""
    tool_use_id: str | None = None
    is_error: bool | None = None
    id: str | None = None
    name: str | None = None
    input: Any = msgspec.UNSET
    """Of a tool use."""
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    """Of redacted thinking."""


class Message(msgspec.Struct):
    """A message as it came."""

    role: str
    content: str | list[Block]


class Thinking(msgspec.Struct):
    """What the request wants of thinking."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


_ROLES = frozenset({"user", "assistant", "system"})
_ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
_PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_KNOWN = frozenset({"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"})
_IN_RESULT = frozenset({"text", "image", "document"})


def read_system(system: str | list[Block], transcript: Transcript) -> None:
    """Instructions: a text or text blocks."""
    if isinstance(system, str):
        transcript.system(system)
        return
    for place, block in enumerate(system):
        if block.type != "text":
            raise Refusal(400, "", f"system.{place}.type: Input should be 'text'")
        if not block.text:
            raise Refusal(400, "", "system: text content blocks must be non-empty")
        transcript.system(block.text)


def read_messages(messages: list[Message], transcript: Transcript, thinking: Thinking | None) -> None:
    """Read all of them. Raises :class:`~trimaran.testing.exchange.Refusal` (400)."""
    history = _History(transcript)
    last = len(messages) - 1
    for place, message in enumerate(messages):
        if message.role not in _ROLES:
            raise Refusal(400, "", f"messages.{place}.role: Input should be 'user' or 'assistant'")
        content = message.content
        if message.role == "system":
            read_system(content, transcript)
            continue
        if place != last or message.role == "user":
            _refuse_empty(content, place)
        history.turn(message.role, place)
        if isinstance(content, str):
            transcript.text(content)
            continue
        for at, block in enumerate(content):
            history.block(block, f"messages.{place}.content.{at}")
    history.end()
    if messages[-1].role == "assistant" and _last_text(messages[-1].content)[-1:].isspace():
        raise Refusal(400, "", "messages: final assistant content cannot end with trailing whitespace")
    if thinking is not None and thinking.type == "enabled":
        _check_thinking_kept(messages)


def _refuse_empty(content: str | list[Block], place: int) -> None:
    if not content:
        message = f"messages.{place}: all messages must have non-empty content except for the optional final assistant"
        raise Refusal(400, "", f"{message} message")
    if isinstance(content, str) and content.isspace():
        raise Refusal(400, "", "messages: text content blocks must contain non-whitespace text")


def _last_text(content: str | list[Block]) -> str:
    if isinstance(content, str):
        return content
    return (content[-1].text or "") if content and content[-1].type == "text" else ""


def _check_thinking_kept(messages: list[Message]) -> None:
    """With thinking on, the turn whose tools are being answered must begin with its thinking."""
    at = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=-1)
    if at < 0 or not isinstance(blocks := messages[at].content, list) or not blocks:
        return
    first = blocks[0].type
    if any(block.type == "tool_use" for block in blocks) and first not in ("thinking", "redacted_thinking"):
        message = (
            f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks)."
        )
        raise Refusal(400, "", message)


class _History:
    """Who may speak, and which tool uses wait for their results."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._side = ""
        self._place = 0
        self._used: set[str] = set()
        self._waiting: list[str] = []
        """Tool uses of the last assistant turn."""
        self._answered: set[str] = set()

    def turn(self, role: str, place: int) -> None:
        """A message of a role begins; messages in a row are one turn."""
        if not self._side and role == "assistant":
            raise Refusal(400, "", 'messages: first message must use the "user" role')
        if role != self._side:
            if self._side == "user":
                self._settle()
            self._side = role
        if role == "assistant":
            self._place = place
        self._transcript.turn(role)

    def end(self) -> None:
        """No message is left."""
        self._settle()

    def _settle(self) -> None:
        missing = [name for name in self._waiting if name not in self._answered]
        if missing:
            message = (
                f"messages.{self._place}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
                "message."
            )
            raise Refusal(400, "", message)
        self._waiting, self._answered = [], set()

    def block(self, block: Block, where: str) -> None:
        """One content block of the current role."""
        kind = block.type
        if kind not in _KNOWN:
            tags = ", ".join(f"'{name}'" for name in sorted(_KNOWN))
            message = f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
            raise Refusal(400, "", message)
        if kind == "text":
            self._transcript.text(_text(block, where))
        elif kind in ("image", "document"):
            if self._side == "assistant":
                raise Refusal(400, "", f"{where}: `{kind}` blocks are not allowed in `assistant` messages")
            _media(block, where, self._transcript)
        elif kind == "tool_result":
            self._result(block, where)
        elif self._side == "user":
            raise Refusal(400, "", f"{where}: `{kind}` blocks can only be in `assistant` messages")
        elif kind == "tool_use":
            self._use(block, where)
        else:
            _check_thinking(block, where)
            self._transcript.reasoning()

    def _use(self, block: Block, where: str) -> None:
        for name in ("id", "name"):
            if getattr(block, name) is None:
                raise Refusal(400, "", f"{where}.tool_use.{name}: Field required")
        identity = block.id or ""
        if not _ID.match(identity):
            raise Refusal(400, "", f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if not isinstance(block.input, dict):
            fault = "Field required" if block.input is msgspec.UNSET else "Input should be a valid dictionary"
            raise Refusal(400, "", f"{where}.tool_use.input: {fault}")
        if identity in self._used:
            raise Refusal(400, "", f"{where}: `tool_use` ids must be unique")
        self._used.add(identity)
        self._waiting.append(identity)
        self._transcript.tool_call(block.name or "", block.input)

    def _result(self, block: Block, where: str) -> None:
        if self._side != "user":
            raise Refusal(400, "", f"{where}: `tool_result` blocks can only be in `user` messages")
        identity = block.tool_use_id
        if identity is None:
            raise Refusal(400, "", f"{where}.tool_result.tool_use_id: Field required")
        if identity not in self._waiting:
            message = (
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {identity}. Each `tool_result` block "
                "must have a corresponding `tool_use` block in the previous message."
            )
            raise Refusal(400, "", message)
        if identity in self._answered:
            message = "each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
            raise Refusal(400, "", f"{where}: {message}{identity}")
        self._answered.add(identity)
        self._transcript.tool_result()
        if isinstance(block.content, str):
            self._transcript.chars(len(block.content))
        for at, part in enumerate(block.content if isinstance(block.content, list) else ()):
            inner = f"{where}.tool_result.content.{at}"
            if part.type not in _IN_RESULT:
                message = f"{inner}: Input tag '{part.type}' found using 'type' does not match any of the expected tags"
                raise Refusal(400, "", message)
            if part.type == "text":
                self._transcript.chars(len(_text(part, inner)))
            else:
                _media(part, inner, self._transcript)


def _text(block: Block, where: str) -> str:
    if block.text is None:
        raise Refusal(400, "", f"{where}.text.text: Field required")
    if not block.text:
        raise Refusal(400, "", "messages: text content blocks must be non-empty")
    if block.text.isspace():
        raise Refusal(400, "", "messages: text content blocks must contain non-whitespace text")
    return block.text


def _check_thinking(block: Block, where: str) -> None:
    if block.type == "redacted_thinking":
        if signed_text("redacted", block.data or "") is None:
            raise Refusal(400, "", f"{where}: Invalid `data` in `redacted_thinking` block")
        return
    for name in ("thinking", "signature"):
        if getattr(block, name) is None:
            raise Refusal(400, "", f"{where}.thinking.{name}: Field required")
    text = signed_text("thinking", block.signature or "")
    if text is None or (block.thinking and block.thinking != text):
        raise Refusal(400, "", f"{where}: Invalid `signature` in `thinking` block")


def _media(block: Block, where: str, transcript: Transcript) -> None:
    source, kind = block.source, block.type
    if source is None:
        raise Refusal(400, "", f"{where}.{kind}.source: Field required")
    inside = f"{where}.{kind}.source.{source.type}"
    if source.type == "base64":
        allowed = _PICTURES if kind == "image" else ("application/pdf",)
        if source.media_type not in allowed:
            names = " or ".join(f"'{name}'" for name in allowed)
            raise Refusal(400, "", f"{inside}.media_type: Input should be {names}")
        _check_base64(source.data, inside)
    elif source.type == "url":
        if not (source.url or "").startswith(("http://", "https://")):
            raise Refusal(400, "", f"{inside}.url: Only HTTP and HTTPS URLs are supported.")
    elif source.type == "file":
        if not source.file_id:
            raise Refusal(400, "", f"{inside}.file_id: Field required")
    elif kind == "document" and source.type == "text":
        if source.media_type != "text/plain" or not source.data:
            raise Refusal(400, "", f"{inside}.media_type: Input should be 'text/plain'")
    elif kind != "document" or source.type != "content" or source.content is None:
        raise Refusal(
            400, "", f"{where}.{kind}.source: Input tag '{source.type}' does not match any of the expected tags"
        )
    if kind == "image":
        transcript.image()
    else:
        transcript.document()


def _check_base64(data: str | None, where: str) -> None:
    try:
        if data and base64.b64decode(data, validate=True):
            return
    except (binascii.Error, ValueError):
        pass
    raise Refusal(400, "", f"{where}.data: invalid base64 data")
