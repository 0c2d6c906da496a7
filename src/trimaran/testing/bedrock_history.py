"""Reads system prompt, messages and tools of a Converse request, and refuses what Bedrock refuses.

Errors about roles, empty contents, tool histories, documents and signatures follow answers quoted in public issue
threads (2024 to 2026, read 2026-11-30); the others are worded alike.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.testing.aws import AwsRefusal
from trimaran.testing.bedrock_blocks import (
    Block,
    Document,
    GuardContent,
    Image,
    Message,
    Reasoning,
    ResultBlock,
    SystemBlock,
    ToolConfig,
    ToolResult,
    ToolUse,
    chosen,
)
from trimaran.testing.bedrock_dialect import blank, decode_base64, model_error
from trimaran.testing.bedrock_models import SOURCE, Features, Served, not_supported, refused
from trimaran.testing.exchange import Prompt, Tool
from trimaran.testing.signing import signed_text
from trimaran.testing.transcript import Transcript

__all__ = ["History", "check_thinking_kept", "offer"]

_MAX_IMAGES = 20
_MAX_DOCUMENTS = 5
_MAX_CACHE_POINTS = 4
_DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9\s\-()\[\]]+\Z")
_NOT_IN_ASSISTANT = frozenset({"image", "document", "audio", "searchResult", "toolResult"})
_NOT_IN_USER = frozenset({"toolUse", "reasoningContent", "citationsContent"})


class History:
    """Who may speak, which tool uses wait for their results, and what was named or counted so far."""

    def __init__(self, transcript: Transcript, served: Served) -> None:
        self._transcript = transcript
        self._features: Features = served.features
        self._claude = served.family in ("claude", "")
        self._waiting: list[str] = []
        """Tool uses of the last assistant message."""
        self._documents: set[str] = set()
        self._cache_points = 0
        self.tool_blocks = False
        """Some block is about a tool."""

    def system(self, blocks: list[SystemBlock]) -> None:
        """Instructions."""
        if blocks and not self._features.system:
            words = "Try again without a system message or use a model that supports system messages."
            raise refused(f"This model doesn't support system messages. {words}")
        for place, block in enumerate(blocks):
            kind, value = chosen(block, f"system.{place}")
            if kind == "cachePoint":
                self.cache_point()
            elif kind == "guardContent":
                self._guarded(value, f"system.{place}")
            elif blank(value):
                words = "is blank. Add text to the text field, and try again."
                raise refused(f"The text field in the SystemContentBlock object at system.{place} {words}")
            else:
                self._transcript.system(value)

    def messages(self, messages: list[Message]) -> None:
        """All of them. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400)."""
        side = ""
        for place, message in enumerate(messages):
            if not message.content:
                words = "is empty. Add a ContentBlock object to the content field and try again."
                raise refused(f"The content field in the Message object at messages.{place} {words}")
            if message.role == "system":
                self._instructions(message, place)
                continue
            self._alternate(side, message.role)
            side = message.role
            self._transcript.turn(side)
            self._message(message, place)
        if not side:
            self._alternate("", "assistant")
        if self._waiting:
            self._settle([], len(messages))
        if side == "assistant" and self._claude and _last_text(messages[-1])[-1:].isspace():
            raise model_error("messages: final assistant content cannot end with trailing whitespace")

    def _alternate(self, side: str, role: str) -> None:
        if not side and role == "assistant":
            words = "Try again with a conversation that starts with a user message."
            raise refused(f"A conversation must start with a user message. {words}")
        if side == role:
            raise refused(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )

    def _instructions(self, message: Message, place: int) -> None:
        for at, block in enumerate(message.content):
            kind, value = chosen(block, f"messages.{place}.content.{at}")
            if kind != "text":
                raise refused(f"The {kind} field at messages.{place}.content.{at} is not allowed in a system message.")
            self._transcript.system(_text(value, f"messages.{place}.content.{at}"))

    def _message(self, message: Message, place: int) -> None:
        where = f"messages.{place}.content"
        blocks = [(*chosen(block, f"{where}.{at}"), f"{where}.{at}") for at, block in enumerate(message.content)]
        kinds = [kind for kind, _, _ in blocks]
        if message.role == "user":
            self._settle([value for kind, value, _ in blocks if kind == "toolResult"], place)
        else:
            self._waiting = _unique(
                [value.toolUseId for kind, value, _ in blocks if kind == "toolUse"], where, "toolUse"
            )
        self._check_kinds(kinds, where)
        for kind, value, at in blocks:
            if kind in (_NOT_IN_USER if message.role == "user" else _NOT_IN_ASSISTANT):
                raise refused(f"The {kind} field at {at} is not allowed in a message of the {message.role} role.")
            self._block(kind, value, at)

    def _settle(self, results: list[ToolResult], place: int) -> None:
        """The results of a user message answer the uses before it, each once and all of them."""
        where = f"messages.{place}.content"
        if len(results) > len(self._waiting):
            words = f"The number of toolResult blocks at {where} exceeds the number of toolUse blocks of previous turn."
            raise refused(words)
        given = _unique([result.toolUseId for result in results], where, "toolResult")
        missing = [name for name in self._waiting if name not in given]
        if missing:
            raise refused(f"Expected toolResult blocks at {where} for the following Ids: {', '.join(missing)}")
        self._waiting = []

    def _check_kinds(self, kinds: list[str], where: str) -> None:
        if "document" in kinds and "text" not in kinds:
            raise refused("A text block must be included when using documents.")
        for kind, limit in (("image", _MAX_IMAGES), ("document", _MAX_DOCUMENTS)):
            if kinds.count(kind) > limit:
                raise refused(f"{where}: too many {kind} blocks: {kinds.count(kind)}. At most {limit} are allowed.")
        if self._features.mixed_turns:
            return
        for kind, words in (("toolUse", "tool use"), ("toolResult", "tool result")):
            if kind in kinds and any(other not in (kind, "cachePoint") for other in kinds):
                raise refused(f"{where}: Conversation blocks and {words} blocks cannot be provided in the same turn.")

    def _block(self, kind: str, value: Any, where: str) -> None:
        """One content block."""
        transcript = self._transcript
        if kind == "text":
            transcript.text(_text(value, where))
        elif kind == "image":
            self._image(value, where)
        elif kind == "document":
            self._document(value, where)
        elif kind == "toolUse":
            self._use(value, where)
        elif kind == "toolResult":
            self._result(value, where)
        elif kind == "reasoningContent":
            self._reasoning(value, where)
        elif kind == "cachePoint":
            self.cache_point()
        elif kind == "guardContent":
            self._guarded(value, where)
        elif kind == "citationsContent":
            for part in value.content or ():
                transcript.text(part.text)
        elif kind == "searchResult":
            transcript.document()
        elif kind == "audio" and not self._claude:
            transcript.audio()
        else:
            raise not_supported(kind)

    def cache_point(self) -> None:
        """A mark of what to keep, wherever it stands."""
        if not self._features.caching:
            words = (
                "You invoked an unsupported model or your request did not allow prompt caching. See the documentation"
            )
            raise AwsRefusal(403, "AccessDeniedException", f"{words} for more information.", source=SOURCE)
        self._cache_points += 1
        if self._cache_points > _MAX_CACHE_POINTS:
            words = f"A maximum of {_MAX_CACHE_POINTS} blocks with cache_control may be provided."
            raise model_error(f"{words} Found {self._cache_points}.")

    def _use(self, use: ToolUse, where: str) -> None:
        self.tool_blocks = True
        if not isinstance(use.input, dict):
            raise _no_object(f"{where}.toolUse.input")
        self._transcript.tool_call(use.name, use.input)

    def _result(self, result: ToolResult, where: str) -> None:
        self.tool_blocks = True
        if not result.content and result.status == "error":
            words = "cannot be empty when status value is error."
            raise refused(f"The content field at {where}.toolResult {words}")
        self._transcript.tool_result()
        for at, block in enumerate(result.content):
            self._result_block(block, f"{where}.toolResult.content.{at}")

    def _result_block(self, block: ResultBlock, where: str) -> None:
        kind, value = chosen(block, where)
        if kind == "text":
            if not value:
                raise model_error("messages: text content blocks must be non-empty")
            self._transcript.chars(len(value))
        elif kind == "json":
            if not isinstance(value, dict):
                raise _no_object(f"{where}.json")
            self._transcript.chars(len(msgspec.json.encode(value)))
        elif kind == "image":
            self._image(value, where)
        elif kind == "document":
            self._document(value, where)
        elif kind == "searchResult":
            self._transcript.document()
        else:
            raise not_supported(kind)

    def _image(self, image: Image, where: str) -> None:
        if not self._features.images:
            raise not_supported("image")
        kind, value = chosen(image.source, f"{where}.image.source")
        if kind == "bytes":
            decode_base64(value, f"{where}.image.source.bytes")
        self._transcript.image()

    def _document(self, document: Document, where: str) -> None:
        name = document.name
        if not _DOCUMENT_NAME.match(name) or re.search(r"\s\s", name):
            raise refused(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
                "parentheses, and square brackets. The name can't contain more than one consecutive whitespace character."
            )
        if name in self._documents:
            raise refused(
                f"Messages contain several documents of the name '{name}'. Names of documents must be unique."
            )
        self._documents.add(name)
        kind, value = chosen(document.source, f"{where}.document.source")
        if kind == "bytes":
            decode_base64(value, f"{where}.document.source.bytes")
        if kind in ("bytes", "s3Location") and not document.format:
            raise refused(f"The format field at {where}.document is required for a source of this kind.")
        self._transcript.document()

    def _guarded(self, content: GuardContent, where: str) -> None:
        kind, value = chosen(content, f"{where}.guardContent")
        if kind == "image":
            self._transcript.image()
        elif where.startswith("system"):
            self._transcript.system(_text(value.text, where))
        else:
            self._transcript.text(_text(value.text, where))

    def _reasoning(self, reasoning: Reasoning, where: str) -> None:
        if not self._features.reasoning:
            raise not_supported("reasoningContent")
        kind, value = chosen(reasoning, f"{where}.reasoningContent")
        if kind == "redactedContent":
            raw = decode_base64(value, f"{where}.reasoningContent.redactedContent").decode("utf-8", "replace")
            if signed_text("redacted", raw) is None:
                raise model_error(f"{where}: Invalid `data` in `redacted_thinking` block")
        else:
            if not value.signature:
                raise model_error(f"{where}.thinking.signature: Field required")
            text = signed_text("thinking", value.signature)
            if text is None or (value.text and value.text != text):
                raise model_error(f"{where}: Invalid `signature` in `thinking` block")
        self._transcript.reasoning()


def offer(config: ToolConfig, history: History, prompt: Prompt, transcript: Transcript, features: Features) -> None:
    """The tools and which of them must be called."""
    if not features.tools:
        raise refused("This model doesn't support tool use.")
    tools: dict[str, Tool] = {}
    for place, item in enumerate(config.tools):
        where = f"toolConfig.tools.{place}"
        kind, value = chosen(item, where)
        if kind == "cachePoint":
            history.cache_point()
        elif kind == "systemTool":
            raise not_supported("systemTool")
        else:
            schema = chosen(value.inputSchema, f"{where}.toolSpec.inputSchema")[1]
            if not isinstance(schema, dict):
                raise _no_object(f"{where}.toolSpec.inputSchema.json")
            if schema.get("type") != "object":
                place_of = f"{where}.toolSpec.inputSchema.json.type"
                raise refused(f"The value at {place_of} must be one of the following: object.")
            if value.name in tools:
                raise model_error("tools: Tool names must be unique.")
            tools[value.name] = Tool(value.name, schema, value.description or "")
    transcript.offer(tuple(tools.values()))
    if config.toolChoice is not msgspec.UNSET:
        kind, value = chosen(config.toolChoice, "toolConfig.toolChoice")
        if (kind == "any" and not features.any_tool) or (kind == "tool" and not features.named_tool):
            raise not_supported(f"toolConfig.toolChoice.{kind}")
        if kind == "tool" and value.name not in tools:
            raise model_error(f"tool_choice: Tool '{value.name}' not found in provided tools")
        prompt.forced_tool = {"auto": None, "any": ""}.get(kind, value.name if kind == "tool" else None)


def check_thinking_kept(messages: list[Message]) -> None:
    """With thinking on, the last turn that used tools must begin with its thinking."""
    turns = [(place, message) for place, message in enumerate(messages) if message.role == "assistant"]
    if not turns:
        return
    place, message = turns[-1]
    kinds = [chosen(block, "")[0] for block in message.content]
    if "toolUse" in kinds and kinds[0] != "reasoningContent":
        found = {"toolUse": "tool_use"}.get(kinds[0], kinds[0])
        raise model_error(
            f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks)."
        )


def _text(value: str, where: str) -> str:
    if blank(value):
        words = "is blank. Add text to the text field, and try again."
        raise refused(f"The text field in the ContentBlock object at {where} {words}")
    return value


def _last_text(message: Message) -> str:
    last: Block = message.content[-1]
    return last.text if isinstance(last.text, str) else ""


def _unique(names: list[str], where: str, kind: str) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise refused(f"The {kind} blocks at {where} contain duplicate Ids: {', '.join(repeated)}")
    return names


def _no_object(where: str) -> AwsRefusal:
    return refused(f"The format of the value at {where} is invalid. Provide a json object for the field and try again.")
