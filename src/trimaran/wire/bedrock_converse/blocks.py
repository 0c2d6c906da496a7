"""A conversation written as turns of Converse.

Turns alternate and the first one is the user's; turns of one role are joined, with results first. No text may be blank:
white space between two texts goes into one of them, any other is left out, because it says nothing. A document wants a text
beside it. Content is in the request itself: what stands under a URL is refused. A cache marker is a block that follows what
it marks.

``status`` of a tool's result and cache points are known to Claude and Nova; a failure says ``error`` where it has no word,
because theirs must not be empty. Llama and Mistral take nothing beside calls and results in one turn: what the user says
after a result goes into it, and what the assistant said before a call is left out.

Sources: botocore 1.44.8 (``Message``, ``ToolResultBlock``); reports of the API's answers in
https://github.com/NousResearch/hermes-agent/issues/55092 (no blank text), https://github.com/aws-samples/
sample-multi-agent-orchestration-chat-on-agentcore/issues/15 (results), https://github.com/strands-agents/harness-sdk/
issues/150 (``status``); all read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, TypeAlias

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.types import Target
from trimaran.wire.bedrock_converse.documents import IMAGE_FORMATS, DocumentNames, payload_of
from trimaran.wire.bedrock_converse.extra import family_has
from trimaran.wire.bedrock_converse.usage import ORIGIN
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from trimaran.wire.refusals import Refusals

__all__ = ["Turns", "arguments_object", "cache_point", "called_tools"]

Block: TypeAlias = dict[str, Any]
Group: TypeAlias = list[Block]
"""One part: its block, and its cache point if it has one."""

_CALL, _RESULT = "toolUse", "toolResult"
_AUDIO = frozenset(
    {"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "m4a", "mpeg", "mpga", "pcm", "webm"}
)
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def cache_point(lifetime: str) -> Block:
    """The block after what is cached."""
    return {"cachePoint": {"type": "default"} if lifetime == "5m" else {"type": "default", "ttl": lifetime}}


def arguments_object(arguments: str) -> msgspec.Raw | None:
    """A call's arguments as they are, ``{}`` for none; ``None`` where they are no JSON object."""
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    try:
        _decode_object(arguments)
        return msgspec.Raw(arguments.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


class Turns:
    """Writes the turns of one request for ``target``."""

    def __init__(self, target: Target, refusals: Refusals, notes: Notes) -> None:
        self._native = refusals.source == ORIGIN
        self._refusals = refusals
        self._notes = notes
        self._names = DocumentNames()
        known = target.capabilities
        lacks = known is not None and "caching" in known.lacks
        caches = family_has(target, "claude", "nova") or (known is not None and "caching" in known.has)
        self.marks = self._native or (caches and not lacks)
        """Whether cache points may be written: a model that has none refuses the request."""
        self._status = self._native or family_has(target, "claude", "nova")
        self._mixes = self._native or not family_has(target, "llama", "mistral", "pixtral")

    def system(self, request: ChatRequest) -> list[Block]:
        """The instructions."""
        return _flat(self._groups(request.system, self._refusals.name("system")))

    def messages(self, request: ChatRequest) -> list[Block]:
        """The turns. A client of this dialect chose its own instructions in the middle and its answer begun; so is an
        answer begun that we give to a model to be gone on with."""
        turns: list[tuple[str, list[Group], str]] = []
        for message in request.messages:
            if message.role == "system" and not self._native:
                why = "instructions inside the conversation; put them first"
                self._refusals.add(message.path or self._refusals.name("messages"), why)
                continue
            groups = self._groups(message.parts, message.path, filled=False)
            if any(group[0].get("text", "-").strip() for group in groups):
                turns.append((message.role, groups, message.path))
            else:
                # Not a turn: what is left of it are the notes.
                self._filled(groups)
        written = [self._turn(list(run)) for _, run in groupby(turns, lambda turn: turn[0])]
        self._check(request, written)
        return written

    def _turn(self, run: list[tuple[str, list[Group], str]]) -> Block:
        """Turns of one role as one."""
        role, _, path = run[0]
        groups = [group for _, each, _ in run for group in each]
        groups.sort(key=lambda group: _RESULT not in group[0])
        groups = self._filled(groups)
        kinds = {key for group in groups for key in group[0]}
        if not self._mixes and not kinds.isdisjoint((_CALL, _RESULT)):
            return {"role": role, "content": self._unmixed(groups, kinds, path)}
        if "document" in kinds and "text" not in kinds:
            self._notes.emulate(path or self._refusals.name("messages"))
            name = next(group[0]["document"]["name"] for group in groups if "document" in group[0])
            groups.append([{"text": name}])
        return {"role": role, "content": _flat(groups)}

    def _unmixed(self, groups: list[Group], kinds: set[str], path: str) -> list[Block]:
        """Calls or results, and nothing else."""
        kind = _RESULT if _RESULT in kinds else _CALL
        kept = [group for group in groups if kind in group[0]]
        others = [group[0] for group in groups if kind not in group[0]]
        if others and kind == _CALL:
            self._notes.omit(f"{path or self._refusals.name('messages')} (text)")
        elif others:
            self._notes.emulate(path or self._refusals.name("messages"))
            if any("audio" in block for block in others):
                self._refusals.add(path, "audio beside a tool's result")
            kept[-1][0][_RESULT]["content"] += others
        return _flat(kept)

    def _check(self, request: ChatRequest, turns: list[Block]) -> None:
        messages = self._refusals.name("messages")
        if not turns:
            self._refusals.field("messages", "there is no turn besides the instructions")
            return
        first = next((turn for turn in turns if turn["role"] != "system"), turns[0])
        if first["role"] == "assistant":
            path = request.messages[0].path or messages
            self._refusals.add(path, "the conversation begins with the assistant's turn, and Bedrock wants the user's")
        if turns[-1]["role"] == "assistant" and not (self._native or request.begun):
            why = "the last turn is the assistant's, which this API would continue"
            if request.messages[-1].role != "assistant":
                why = "the last turn is empty"
            self._refusals.add(request.messages[-1].path or messages, why)

    # Parts

    def _groups(self, parts: Sequence[Part], path: str, *, filled: bool = True) -> list[Group]:
        groups: list[Group] = []
        for part in parts:
            block = self._block(part, path)
            if block is not None:
                groups.append([block])
                if cache := getattr(part, "cache", ""):
                    self._mark(groups[-1], cache)
        return self._filled(groups) if filled else groups

    def _mark(self, group: Group, cache: str) -> None:
        if self.marks:
            group.append(cache_point(cache))
        else:
            self._notes.omit(self._refusals.name("cache"))

    def _filled(self, groups: list[Group]) -> list[Group]:
        """Without blank texts."""
        out: list[Group] = []
        pieces: list[list[str]] = []
        """Of each group in ``out`` that is a text."""
        held: list[str] = []
        for group in groups:
            text = group[0].get("text")
            if text is None or text.strip():
                out.append(group)
                pieces.append([] if text is None else [*held, text])
                held = []
            elif out and pieces[-1] and len(out[-1]) == 1:
                pieces[-1].append(text)
                out[-1] += group[1:]
            elif len(group) > 1:
                self._notes.omit(self._refusals.name("cache"))
            else:
                held.append(text)
        for group, said in zip(out, pieces, strict=True):
            if said:
                group[0]["text"] = "".join(said)
        return out

    def _block(self, part: Part, path: str) -> Block | None:
        if isinstance(part, Text):
            return {"text": part.text}
        if isinstance(part, Image):
            return self._image(part, path)
        if isinstance(part, Document):
            return self._document(part, path)
        if isinstance(part, Audio):
            return self._audio(part, path)
        if isinstance(part, ToolCall):
            return self._tool_use(part, path)
        if isinstance(part, ToolResult):
            return self._tool_result(part, path)
        if isinstance(part, Reasoning):
            return self._reasoning(part)
        self._notes.emulate("refusal")
        return {"text": part.text}

    def _image(self, part: Image, path: str) -> Block | None:
        if part.detail and part.detail != "auto":
            self._notes.omit("detail")
        if part.url:
            self._refusals.add(path, "a picture by its URL; Bedrock takes the picture itself, in base64")
            return None
        format = "jpeg" if part.media_type == "image/jpg" else part.media_type.removeprefix("image/")
        if format not in IMAGE_FORMATS:
            self._refusals.add(path, f"an image of type {part.media_type!r}; the API takes JPEG, PNG, GIF and WebP")
            return None
        return {"image": {"format": format, "source": {"bytes": part.data}}}

    def _document(self, part: Document, path: str) -> Block | None:
        if part.url:
            self._refusals.add(path, "a document by its URL; Bedrock takes the document itself, in base64")
            return None
        format, data = payload_of(part)
        if not format:
            self._refusals.add(path, f"a document of type {part.media_type!r}, which this API does not take")
            return None
        name, changed = self._names.name(part.name, format)
        if changed:
            self._notes.emulate("document.name")
        return {"document": {"format": format, "name": name, "source": {"bytes": data}}}

    def _audio(self, part: Audio, path: str) -> Block | None:
        if part.format not in _AUDIO:
            self._refusals.add(path, f"audio of format {part.format!r}, which this API does not take")
            return None
        return {"audio": {"format": part.format, "source": {"bytes": part.data}}}

    def _tool_use(self, part: ToolCall, path: str) -> Block:
        value = arguments_object(part.arguments)
        if value is None:
            raise InvalidRequest(f"{path!r}: the arguments of the call {part.id!r} are no JSON object", field=path)
        return {"toolUse": {"toolUseId": fitting_id(part.id), "name": part.name, "input": value}}

    def _tool_result(self, part: ToolResult, path: str) -> Block:
        groups = self._groups(part.parts, path)
        if any(len(group) > 1 for group in groups):
            # A cache point may follow a result, and not stand in it.
            self._notes.omit(self._refusals.name("cache"))
        content = [group[0] for group in groups]
        if any("audio" in block for block in content):
            self._refusals.add(path, "audio in a tool's result")
        result: Block = {"toolUseId": fitting_id(part.call_id), "content": content}
        if part.is_error and not content:
            self._notes.emulate(path or "is_error")
            content.append({"text": "error"})
        if part.is_error and self._status:
            result["status"] = "error"
        elif part.is_error:
            self._notes.omit("is_error")
        return {_RESULT: result}

    def _reasoning(self, part: Reasoning) -> Block | None:
        """Only what this API signed goes back to it, and that exactly."""
        if part.origin != ORIGIN or not part.state:
            if part.text or part.state:
                self._notes.omit("reasoning")
            return None
        if part.hidden:
            return {"reasoningContent": {"redactedContent": part.state}}
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.state}}}


def _flat(groups: list[Group]) -> list[Block]:
    return [block for group in groups for block in group]


def called_tools(messages: Sequence[Message]) -> list[str]:
    """The names of the tools that the history calls, each once."""
    parts = (part for message in messages for part in message.parts)
    return list(dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall)))
