"""Contents of a client's request, decoded.

A part is an object with one member that says its kind, and others about it. Kinds that only this API has (code that it
ran, a video, a call of a server's tool) are refused by name, and so is every member that has no neutral place.
Consecutive turns of the model are one: a stream that was kept piece by piece comes back as many. Thoughts that come in
pieces are one thought, which the signature ends.

Calls need no id here, and responses mostly have none even where the call has one: they belong together by name and
order. A call without an id gets one that says so, and that no target of this dialect is ever sent.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Audio, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from trimaran.wire.fields import filled_text, optional_flag, optional_text, refuse_rest, required_text
from trimaran.wire.gemini_generate.names import Names, members, spellings, standard_base64, word_of
from trimaran.wire.gemini_generate.signatures import EMPTY_TEXT, ON_TEXT, is_dummy, on_call, wrapped
from trimaran.wire.gemini_generate.usage import ORIGIN
from trimaran.wire.media import is_web_url
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import lost_its_text, unwrap_state

__all__ = ["AUDIO_FORMATS", "FILES", "MADE_ID", "decode_contents", "decode_instruction", "image_type"]

MADE_ID = "gcall_"
"""What the id of a call begins with that had none."""
FILES = "https://generativelanguage.googleapis.com/"
"""Under which files stand that the Gemini API keeps."""
AUDIO_FORMATS = {
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "mp3": "audio/mp3",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}
_FORMATS = {type: format for format, type in AUDIO_FORMATS.items()} | {
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "audio/x-aiff": "aiff",
    "audio/opus": "opus",
    "audio/webm": "webm",
    "audio/m4a": "m4a",
    "audio/mp4": "m4a",
}
_ENDINGS = {
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "png": "image/png",
    "webp": "image/webp",
}
_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high", "MEDIA_RESOLUTION_ULTRA_HIGH": "original"}

_CONTENT = spellings("role", "parts")
_PART = spellings(
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "thought",
    "thoughtSignature",
    "mediaResolution",
    "partMetadata",
    "videoMetadata",
)
_KINDS = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_BLOB = spellings("data", "mimeType", "displayName")
_FILE = spellings("fileUri", "mimeType", "displayName")
_CALL = spellings("id", "name", "args", "partialArgs", "willContinue")
_RESPONSE = spellings("id", "name", "response", "parts", "scheduling", "willContinue")
_RESPONSE_PART = spellings("inlineData", "fileData")
_LEVEL = spellings("level", "numTokens")
_ROLES = {"": "user", "user": "user", "function": "user", "model": "assistant"}


def image_type(url: str) -> str:
    """The type of the picture behind ``url``, by its ending; JPEG where that says nothing."""
    return _ENDINGS.get(url.partition("?")[0].rpartition(".")[2].lower(), "image/jpeg")


def decode_contents(value: Any, refusals: Refusals) -> list[Message]:
    """The turns. Raises :class:`InvalidRequest`."""
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'contents' must be a list with at least one content", field="contents")
    return _Reader(refusals).messages(value)


def decode_instruction(value: Any, refusals: Refusals) -> list[Part]:
    """``systemInstruction``, which is text."""
    path = "systemInstruction"
    content = members(value, _CONTENT, path)
    refuse_rest(content, {"role", "parts"}, path, refusals)
    parts: list[Part] = []
    for place, item in enumerate(_parts_of(content, path)):
        where = f"{path}.parts[{place}]"
        part = members(item, _PART, where)
        refuse_rest(part, {"text"}, where, refusals)
        if "text" in part:
            parts.append(Text(required_text(part, "text", where)))
    return parts


def _parts_of(content: dict[str, Any], path: str) -> list[Any]:
    parts = content.get("parts")
    if not isinstance(parts, list):
        raise InvalidRequest(f"'{path}.parts' must be a list of parts", field=f"{path}.parts")
    return parts


class _Reader:
    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._open: list[tuple[str, str]] = []
        """Calls that have no response yet: id and name."""
        self._calls = 0
        self._thinking: Reasoning | None = None
        """A thought whose signature may still come, and the pieces of its text."""
        self._pieces: list[str] = []
        self._continued: set[int] = set()
        """Texts that go on with the one before, by their identity: a stream that was kept in pieces."""

    def messages(self, items: list[Any]) -> list[Message]:
        messages: list[Message] = []
        for place, item in enumerate(items):
            path = f"contents[{place}]"
            content = members(item, _CONTENT, path)
            refuse_rest(content, {"role", "parts"}, path, self._refusals)
            role = _ROLES.get(optional_text(content, "role", path))
            if role is None:
                raise InvalidRequest(f"'{path}.role' must be user or model", field=f"{path}.role")
            last = messages[-1] if messages else None
            if role == "assistant" and last is not None and last.role == "assistant":
                joined = len(last.parts)
                self._content(content, role, path, last.parts)
                if joined < len(last.parts):
                    self._continued.add(id(last.parts[joined]))
                continue
            self._end_thought()
            message = Message(role, [], path)  # type: ignore[arg-type]
            messages.append(message)
            self._content(content, role, path, message.parts)
        self._end_thought()
        for message in messages:
            message.parts = self._settled(message)
        return messages

    def _settled(self, message: Message) -> list[Part]:
        """Results first, texts in one piece, and no empty one beside something else."""
        parts: list[Part] = []
        pieces: list[str] = []
        for part in message.parts:
            if isinstance(part, Text) and pieces and id(part) in self._continued:
                pieces.append(part.text)
                continue
            _finish_text(parts, pieces)
            pieces = [part.text] if isinstance(part, Text) else []
            parts.append(part)
        _finish_text(parts, pieces)
        parts = [part for part in parts if not isinstance(part, Text) or part.text] or parts[:1]
        return sorted(parts, key=lambda part: not isinstance(part, ToolResult)) if message.role == "user" else parts

    def _content(self, content: dict[str, Any], role: str, path: str, parts: list[Part]) -> None:
        for place, item in enumerate(_parts_of(content, path)):
            self._part(item, role, f"{path}.parts[{place}]", parts)

    def _part(self, item: Any, role: str, path: str, parts: list[Part]) -> None:
        part = members(item, _PART, path)
        known = {kind for kind in _KINDS if kind in part}
        if len(known) > 1:
            first, second = sorted(known)[:2]
            raise InvalidRequest(f"{path!r} holds {first!r} and {second!r}; it can be only one of them", field=path)
        kind = next(iter(known), "")
        takes = {kind, "partMetadata", "thought"}
        if part.get("partMetadata"):
            self._refusals.omit("partMetadata")
        if role == "assistant":
            takes.add("thoughtSignature")
        if kind in ("inlineData", "fileData"):
            takes.add("mediaResolution")
        refuse_rest(part, takes, path, self._refusals, {"thought": (False,), "videoMetadata": ({},)})
        thought = optional_flag(part, "thought", path)
        signature = optional_text(part, "thoughtSignature", path)
        if is_dummy(signature):
            signature = ""
        if role == "assistant" and kind in ("text", "") and (thought or signature):
            text = optional_text(part, "text", path)
            self._thought(text, signature, parts) if thought else self._signed_text(text, signature, parts)
            return
        self._end_thought()
        if kind == "text":
            parts.append(Text(required_text(part, "text", path)))
        elif kind == "functionCall":
            self._only("assistant", role, kind, path)
            self._call(part[kind], signature, f"{path}.{kind}", parts)
        elif kind == "functionResponse":
            self._only("user", role, kind, path)
            parts.append(self._response(part[kind], f"{path}.{kind}"))
        elif kind and (media := self._media(part, kind, path)) is not None:
            parts.append(media)

    def _only(self, wanted: str, role: str, kind: str, path: str) -> None:
        if role != wanted:
            whose = "the model's" if wanted == "assistant" else "the user's"
            raise InvalidRequest(f"{path!r}: a {kind} stands in a turn of {whose} only", field=path)

    # Thoughts and signatures

    def _thought(self, text: str, signature: str, parts: list[Part]) -> None:
        begun = self._thinking
        if begun is not None:
            self._pieces.append(text)
        elif text and not signature:
            self._thinking, self._pieces = Reasoning("", "", ORIGIN), [text]
            parts.append(self._thinking)
        if not signature:
            return
        if begun is not None:
            self._end_thought()
            text = begun.text
            parts.pop()
        self._state(signature, text, "", parts)

    def _end_thought(self) -> None:
        if self._thinking is not None:
            self._thinking.text = "".join(self._pieces)
            self._thinking = None

    def _signed_text(self, text: str, signature: str, parts: list[Part]) -> None:
        self._end_thought()
        if text:
            parts.append(Text(text))
        self._state(signature, "", ON_TEXT if text else EMPTY_TEXT, parts)

    def _state(self, signature: str, text: str, place: str, parts: list[Part]) -> None:
        """Add the reasoning that ``signature`` is the state of."""
        foreign = wrapped(signature)
        if not foreign:
            parts.append(Reasoning(text, signature, ORIGIN, place, hidden=not text))
            return
        part = unwrap_state(foreign, text)
        if part is None or lost_its_text(foreign, part):
            self._refusals.omit("reasoning")
        else:
            parts.append(part)

    # Functions

    def _call(self, value: Any, signature: str, path: str, parts: list[Part]) -> None:
        call = members(value, _CALL, path)
        refuse_rest(call, {"id", "name", "args"}, path, self._refusals, {"willContinue": (False,)})
        name = filled_text(call, "name", path)
        arguments = call.get("args", {})
        if not isinstance(arguments, dict):
            raise InvalidRequest(f"'{path}.args' must be an object", field=f"{path}.args")
        id = optional_text(call, "id", path) or f"{MADE_ID}{self._calls}"
        self._calls += 1
        self._open.append((id, name))
        if signature:
            self._state(signature, "", on_call(id), parts)
        parts.append(ToolCall(id, name, msgspec.json.encode(arguments).decode()))

    def _response(self, value: Any, path: str) -> ToolResult:
        response = members(value, _RESPONSE, path)
        neutral: dict[str, tuple[Any, ...]] = {
            "willContinue": (False,),
            "scheduling": ("SCHEDULING_UNSPECIFIED", "WHEN_IDLE"),
        }
        refuse_rest(response, {"id", "name", "response", "parts"}, path, self._refusals, neutral)
        id = self._answered(response, path)
        said = response.get("response", {})
        if not isinstance(said, dict):
            raise InvalidRequest(f"'{path}.response' must be an object", field=f"{path}.response")
        failed = said.keys() == {"error"}
        if failed or said.keys() == {"output"}:
            (said,) = said.values()
        text = said if isinstance(said, str) else msgspec.json.encode(said).decode() if said != {} else ""
        held: list[Part] = [Text(text)] if text else []
        inner = response.get("parts", [])
        if not isinstance(inner, list):
            raise InvalidRequest(f"'{path}.parts' must be a list", field=f"{path}.parts")
        for place, item in enumerate(inner):
            where = f"{path}.parts[{place}]"
            part = members(item, _RESPONSE_PART, where)
            refuse_rest(part, {"inlineData", "fileData"}, where, self._refusals)
            for kind in ("inlineData", "fileData"):
                if kind in part and (media := self._media(part, kind, where)) is not None:
                    held.append(media)
        return ToolResult(id, held, failed)

    def _answered(self, response: dict[str, Any], path: str) -> str:
        """The id of the call that ``response`` answers."""
        name, id = optional_text(response, "name", path), optional_text(response, "id", path)
        for place, (called, function) in enumerate(self._open):
            if called == id or (not id and function == name):
                del self._open[place]
                return called
        if id:
            return id
        raise InvalidRequest(
            f"{path!r} is the response of the function {name!r}, which no earlier turn called, or which has its response "
            "already",
            field=path,
        )

    # Media

    def _media(self, part: dict[str, Any], kind: str, path: str) -> Part | None:
        where = f"{path}.{kind}"
        names: Names = _BLOB if kind == "inlineData" else _FILE
        value = members(part[kind], names, where)
        refuse_rest(value, set(names.values()), where, self._refusals)
        type = optional_text(value, "mimeType", where).lower().partition(";")[0].strip()
        name = optional_text(value, "displayName", where)
        detail = self._detail(part.get("mediaResolution"), f"{path}.mediaResolution")
        if kind == "fileData":
            return self._file(required_text(value, "fileUri", where), type, name, detail, where)
        data = standard_base64(value.get("data"), f"{where}.data")
        if type.startswith("image/"):
            return Image(type, data, detail=detail)
        if type.startswith("text/"):
            if (text := _text_of(data)) is not None:
                return Document("text/plain", text=text, name=name)
        elif type.startswith("audio/"):
            return Audio(_FORMATS.get(type, type.removeprefix("audio/")), data)
        elif type.startswith("application/"):
            return Document(type, data, name=name)
        self._refusals.add(where, f"content of type {type!r}" if type else "content without a type")
        return None

    def _file(self, uri: str, type: str, name: str, detail: str, path: str) -> Part | None:
        if uri.startswith(FILES):
            self._refusals.add(path, "a file that the Gemini API keeps; send it inline")
        elif not is_web_url(uri):
            self._refusals.add(path, "a file that only Google can read; send it inline, or by an https URL")
        elif type.startswith("image/"):
            return Image("" if type == image_type(uri) else type, url=uri, detail=detail)
        elif type == "application/pdf":
            return Document(type, url=uri, name=name)
        else:
            self._refusals.add(path, f"a file of type {type!r}" if type else "a file without its type")
        return None

    def _detail(self, value: Any, path: str) -> str:
        if value is None:
            return ""
        resolution = members(value, _LEVEL, path)
        refuse_rest(resolution, {"level"}, path, self._refusals)
        level = word_of(resolution, "level", path)
        if level and level not in _DETAILS:
            self._refusals.omit("mediaResolution")
        return _DETAILS.get(level, "")


def _text_of(data: str) -> str | None:
    try:
        return base64.b64decode(data).decode() or None
    except UnicodeDecodeError:
        return None


def _finish_text(parts: list[Part], pieces: list[str]) -> None:
    """Give the last part its text, where it is one of several pieces."""
    if len(pieces) > 1:
        parts[-1] = Text("".join(pieces))
