"""A conversation written as contents.

Turns of one role are joined. Results of functions stand in a content of their own, right after the turn that called;
the user's words follow in the next one. Results of calls that have no id stand in the order of their calls. Empty text
says nothing, and the API refuses it.

A result is an object: text that is the JSON of one goes out as that object, any other as its ``output``, a failure as
its ``error``. Pictures and documents of a result stand in it for models that take them there; for others they follow in
the user's content, each with a line that says what it is, and the result says so.

A function call that no Gemini made has no signature. Where the model demands one, the first call of each step since the
user last spoke gets the documented stand-in.

Sources: ``Part``, ``FunctionResponse`` of google-genai 3.6.1; https://ai.google.dev/gemini-api/docs/generate-content/
thought-signatures, https://ai.google.dev/gemini-api/docs/image-understanding (formats), .../audio; all read 2026-11-30.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, TypeAlias

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.types import Target
from trimaran.wire.anthropic_messages.blocks import arguments_object
from trimaran.wire.conversation import (
    Audio,
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
from trimaran.wire.gemini_generate.content import AUDIO_FORMATS, MADE_ID, image_type
from trimaran.wire.gemini_generate.models import generation, is_vertex
from trimaran.wire.gemini_generate.signatures import DUMMY, placed
from trimaran.wire.gemini_generate.usage import ORIGIN
from trimaran.wire.refusals import Refusals

__all__ = ["Turns", "call_json", "signed"]

WirePart: TypeAlias = dict[str, Any]

_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_LEVELS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "original": "MEDIA_RESOLUTION_ULTRA_HIGH"}


def signed(part: WirePart, signature: str) -> WirePart:
    """``part`` with its signature, if it has one."""
    if signature:
        part["thoughtSignature"] = signature
    return part


def call_json(call: ToolCall, arguments: msgspec.Raw) -> dict[str, Any]:
    """``functionCall``; an id that was made here is none of the API's."""
    written: dict[str, Any] = {} if call.id.startswith(MADE_ID) else {"id": call.id}
    return written | {"name": call.name, "args": arguments}


class Turns:
    """Writes the turns of one request for ``target``."""

    def __init__(self, target: Target, refusals: Refusals, notes: Notes) -> None:
        self._native = refusals.source == ORIGIN
        self._modern = generation(target) >= 3
        self._titled = self._native or is_vertex(target)
        self._refusals = refusals
        self._notes = notes
        self._calls: dict[str, tuple[int, str]] = {}
        """By the id of a call: its place among all, and the function's name."""

    def system(self, request: ChatRequest) -> dict[str, Any] | None:
        """The instructions; ``None`` where they say nothing."""
        parts: list[WirePart] = []
        for part in request.system:
            self._unmarked(part)
            if not isinstance(part, Text):
                self._refusals.field("system", f"a {type(part).__name__.lower()} among the instructions")
            elif part.text:
                parts.append({"text": part.text})
        return {"parts": parts} if parts else None

    def contents(self, request: ChatRequest) -> list[dict[str, Any]]:
        """The turns. An answer begun is its own choice for a client of this dialect, or ours, for a model that goes on
        from it."""
        contents: list[dict[str, Any]] = []
        steps: list[int] = []
        for role, run in groupby(request.messages, lambda message: message.role):
            messages = list(run)
            path = messages[0].path
            parts = [part for message in messages for part in message.parts]
            if role == "system":
                why = "instructions inside the conversation; put them first"
                self._refusals.add(path or self._refusals.name("messages"), why)
            elif role == "assistant":
                if _add(contents, "model", self._said(parts, path)):
                    steps.append(len(contents) - 1)
            else:
                results, rest = self._asked(parts, path)
                if results:
                    contents.append({"role": "user", "parts": results})
                if rest:
                    steps.clear()
                    _add(contents, "user", rest)
        if self._modern:
            self._vouch([contents[place]["parts"] for place in steps])
        self._check_end(request.messages, contents, request.begun)
        return contents

    def _vouch(self, steps: list[list[WirePart]]) -> None:
        """Give each step of the turn under way a signature."""
        for parts in steps:
            first = next((part for part in parts if "functionCall" in part), None)
            if first is not None and "thoughtSignature" not in first:
                first["thoughtSignature"] = DUMMY

    def _check_end(self, messages: list[Message], contents: list[dict[str, Any]], begun: bool) -> None:
        if not contents:
            self._refusals.field("messages", "there is no turn besides the instructions")
        elif contents[-1]["role"] == "model" and not (self._native or begun):
            why = "the last turn is the assistant's, which this API would continue"
            if messages[-1].role != "assistant":
                why = "the last turn is empty"
            self._refusals.add(messages[-1].path or self._refusals.name("messages"), why)

    # What the model said

    def _said(self, parts: Sequence[Part], path: str) -> list[WirePart]:
        own = [part for part in parts if not self._is_foreign(part)]
        pairs, lost = placed(own)
        if lost:
            self._notes.omit("reasoning")
        written = [self._spoken(part, signature, path) for part, signature in pairs]
        return [part for part in written if part is not None]

    def _is_foreign(self, part: Part) -> bool:
        """Whether ``part`` is another provider's reasoning, which is left out."""
        if not isinstance(part, Reasoning) or part.origin == ORIGIN:
            return False
        if part.text or part.state:
            self._notes.omit("reasoning")
        return True

    def _spoken(self, part: Part, signature: str, path: str) -> WirePart | None:
        self._unmarked(part)
        if isinstance(part, Text):
            return signed({"text": part.text}, signature) if part.text or signature else None
        if isinstance(part, Refusal):
            self._notes.emulate("refusal")
            return {"text": part.text} if part.text else None
        if isinstance(part, Reasoning):
            if not part.text and not part.state:
                return None
            return signed({"text": part.text, "thought": True}, part.state)
        if isinstance(part, ToolCall):
            arguments = arguments_object(part.arguments)
            if arguments is None:
                raise InvalidRequest(f"{path!r}: the arguments of the call {part.id!r} are no JSON object", field=path)
            self._calls[part.id] = len(self._calls), part.name
            return signed({"functionCall": call_json(part, arguments)}, signature)
        return self._media(part, path)

    # What the user said

    def _asked(self, parts: Sequence[Part], path: str) -> tuple[list[WirePart], list[WirePart]]:
        """Results, and everything else."""
        results = [part for part in parts if isinstance(part, ToolResult)]
        if any(result.call_id.startswith(MADE_ID) for result in results):
            # Without an id the order tells which is whose.
            results.sort(key=lambda result: self._calls.get(result.call_id, (0, "")))
        shown: list[Part] = []
        places: dict[str, int] = {}
        written = [self._result(result, path, shown, places) for result in results]
        rest: list[Part] = [part for part in parts if not isinstance(part, ToolResult)]
        others = [self._part(part, path) for part in shown + rest]
        return written, [part for part in others if part is not None]

    def _part(self, part: Part, path: str) -> WirePart | None:
        self._unmarked(part)
        if isinstance(part, Text):
            return {"text": part.text} if part.text else None
        return self._media(part, path)

    def _result(self, result: ToolResult, path: str, shown: list[Part], places: dict[str, int]) -> WirePart:
        """One result. What it cannot hold goes to ``shown``; ``places`` counts it by kind."""
        self._unmarked(result)
        if result.call_id not in self._calls:
            raise InvalidRequest(f"{path!r} answers the call {result.call_id!r}, which no turn made", field=path)
        _, name = self._calls[result.call_id]
        texts: list[str] = []
        held: list[WirePart] = []
        for part in result.parts:
            self._unmarked(part)
            if isinstance(part, Text):
                texts.append(part.text)
            elif not (self._modern or self._native) and isinstance(part, Image | Document):
                what = "image" if isinstance(part, Image) else "document"
                places[what] = places.get(what, 0) + 1
                label = f"{what} {places[what]} of the tool results"
                texts.append(f"[{label} follows in the next message]")
                shown += (Text(f"[{label}]"), part)
                self._notes.emulate(path)
            elif (media := self._media(part, path, plain=True)) is not None:
                held.append(media)
                if not self._native:
                    # Beside the words, not among them.
                    self._notes.emulate(path)
        written: dict[str, Any] = {} if result.call_id.startswith(MADE_ID) else {"id": result.call_id}
        written |= {"name": name, "response": _response("".join(texts), result.is_error)}
        return {"functionResponse": written | ({"parts": held} if held else {})}

    # Media

    def _unmarked(self, part: Part) -> None:
        if getattr(part, "cache", ""):
            self._notes.omit(self._refusals.name("cache"))

    def _media(self, part: Part, path: str, *, plain: bool = False) -> WirePart | None:
        """A picture, a document or sound; ``plain``: without what only a part of a turn can have."""
        if isinstance(part, Image):
            return self._image(part, path, plain)
        if isinstance(part, Document):
            return self._document(part, path)
        if isinstance(part, Audio) and part.format in AUDIO_FORMATS:
            return {"inlineData": {"mimeType": AUDIO_FORMATS[part.format], "data": part.data}}
        what = f"audio of format {part.format!r}" if isinstance(part, Audio) else f"a {type(part).__name__.lower()}"
        self._refusals.add(path, f"{what} in this place")
        return None

    def _image(self, part: Image, path: str, plain: bool) -> WirePart | None:
        type = part.media_type or image_type(part.url)
        if type == "image/jpg":
            type = "image/jpeg"
        if type not in _IMAGES and not self._native:
            self._refusals.add(path, f"an image of type {type!r}; the API takes PNG, JPEG, WebP, HEIC and HEIF")
            return None
        written: WirePart
        if part.url:
            written = {"fileData": {"mimeType": type, "fileUri": part.url}}
        else:
            written = {"inlineData": {"mimeType": type, "data": part.data}}
        level = _LEVELS.get(part.detail)
        if level and (self._modern or self._native) and not plain:
            written["mediaResolution"] = {"level": level}
        elif part.detail not in ("", "auto"):
            self._notes.omit("detail")
        return written

    def _document(self, part: Document, path: str) -> WirePart | None:
        titled = {"displayName": part.name} if part.name and self._titled else {}
        if part.name and not titled:
            self._notes.omit("document.name")
        if part.url:
            return {"fileData": {"mimeType": part.media_type or "application/pdf", "fileUri": part.url} | titled}
        if not part.data:
            data = base64.b64encode(part.text.encode()).decode()
            return {"inlineData": {"mimeType": "text/plain", "data": data} | titled}
        if part.media_type != "application/pdf" and not part.media_type.startswith("text/") and not self._native:
            self._refusals.add(path, f"a document of type {part.media_type!r}; the API takes PDF and text")
            return None
        return {"inlineData": {"mimeType": part.media_type, "data": part.data} | titled}


def _add(contents: list[dict[str, Any]], role: str, parts: list[WirePart]) -> bool:
    """Add a turn, or its parts to the last one where that is of the same role: one between them was empty. Whether there
    is a new one."""
    last = contents[-1] if contents else None
    if last is not None and last["role"] == role and "functionResponse" not in last["parts"][0]:
        last["parts"] += parts
    elif parts:
        contents.append({"role": role, "parts": parts})
        return True
    return False


def _response(text: str, failed: bool) -> Any:
    if failed:
        return {"error": text}
    return msgspec.Raw(text.encode()) if _is_object(text) else {"output": text}


def _is_object(text: str) -> bool:
    """Whether a text is the JSON of an object, in one of the two usual styles, that the API would give back as it is."""
    if not text.startswith("{"):
        return False
    try:
        value = msgspec.json.decode(text)
        same = text in (msgspec.json.encode(value).decode(), json.dumps(value), json.dumps(value, ensure_ascii=False))
    except (msgspec.DecodeError, msgspec.EncodeError, UnicodeError, RecursionError, ValueError):
        return False
    return same and isinstance(value, dict) and value.keys() not in ({"output"}, {"error"}, set())
