"""Pictures and documents that stand in a request: how many there are, and how many bytes of the body are theirs.

A picture's tokens have nothing to do with the bytes of its base64, so whoever counts the picture leaves the bytes out. That is
safe only for what stands where a provider looks for a picture: a text that holds a data URL, or a tool's arguments that look
like a picture, are text and are billed as text. So the conversation is decoded, without its texts, in the form of any of the
dialects that have any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trimaran.wire.members import BAD_JSON

__all__ = ["Attachments", "attachments"]

_PICTURES = frozenset({"image_url", "input_image", "image", "computer_screenshot"})
_DOCUMENTS = frozenset({"file", "input_file", "document"})
_ABSENT = msgspec.Raw(b"")
_DATA_URL = "data:"
_BASE64 = "base64"


class Attachments(msgspec.Struct, frozen=True):
    """What of a request is no text."""

    pictures: int
    picture_bytes: int = 0
    """Of the body, in base64."""
    document_bytes: int = 0
    videos: int = 0


class _Source(msgspec.Struct):
    type: Any = None
    data: msgspec.Raw = _ABSENT
    bytes: msgspec.Raw = _ABSENT
    """In Converse."""


class _Media(msgspec.Struct):
    """A picture or a document in Converse: it stands under the name of its kind, and has no type."""

    source: _Source | None = None


class _Url(msgspec.Struct):
    url: msgspec.Raw = _ABSENT


class _File(msgspec.Struct):
    file_data: msgspec.Raw = _ABSENT


class _Data(msgspec.Struct):
    """What a part of Gemini's holds: its kind stands in a media type."""

    mimeType: Any = None
    mime_type: Any = None
    data: msgspec.Raw = _ABSENT

    @property
    def kind(self) -> str:
        """``image``, ``application``, ``video``."""
        return str(self.mimeType or self.mime_type or "").partition("/")[0].lower()


class _Part(msgspec.Struct):
    """A part of a turn, or a turn."""

    type: Any = None
    image_url: _Url | str | None = None
    """An object in Chat Completions, a string in Responses."""
    source: _Source | str | None = None
    file: _File | str | None = None
    file_data: msgspec.Raw = _ABSENT
    content: list[_Part] | str | dict[str, msgspec.Raw] | None = None
    output: list[_Part] | str | _Part | None = None
    """What a tool gave, in Responses."""
    toolResult: _Part | None = None
    """The same in Converse."""
    image: msgspec.Raw = _ABSENT
    document: msgspec.Raw = _ABSENT
    video: msgspec.Raw = _ABSENT
    parts: list[_Part] | None = None
    """Of a turn of Gemini's, or of what a function gave."""
    inlineData: _Data | None = None
    inline_data: _Data | None = None
    fileData: _Data | None = None
    functionResponse: _Part | None = None
    function_response: _Part | None = None


class _Body(msgspec.Struct):
    messages: list[_Part] | None = None
    input: list[_Part] | str | None = None
    contents: list[_Part] | None = None


_decode = msgspec.json.Decoder(_Body).decode
_decode_media = msgspec.json.Decoder(_Media).decode


def attachments(body: bytes) -> Attachments:
    """What is attached to the request ``body``. At least as many pictures as there are where its form is unknown."""
    try:
        read = _decode(body)
    except BAD_JSON:
        return Attachments(_mentioned(body))
    turns = read.messages or read.contents or (read.input if isinstance(read.input, list) else [])
    pictures = picture_bytes = document_bytes = videos = 0
    for part in _parts(turns):
        if part.type in _PICTURES:
            pictures += 1
            picture_bytes += _inline(part)
        elif part.type in _DOCUMENTS:
            document_bytes += _inline(part)
        if part.image:
            pictures += 1
            picture_bytes += _held(part.image)
        if part.document:
            document_bytes += _held(part.document)
        videos += bool(part.video)
        held = part.inlineData or part.inline_data
        if held is not None:
            pictures += held.kind == "image"
            picture_bytes += len(held.data) if held.kind == "image" else 0
            document_bytes += len(held.data) if held.kind == "application" else 0
        # Of what is only referred to nobody knows the length; other dialects' ``file_data`` is text of its own.
        videos += (held is not None and held.kind == "video") or part.fileData is not None
    return Attachments(pictures, picture_bytes, document_bytes, videos)


def _held(raw: msgspec.Raw) -> int:
    """Bytes of base64 in a picture or document of Converse's."""
    try:
        media = _decode_media(raw)
    except BAD_JSON:
        return 0
    return len(media.source.bytes) if media.source is not None else 0


def _parts(turns: list[_Part]) -> Iterator[_Part]:
    """Every part, also of what a tool gave."""
    for part in turns:
        yield part
        if isinstance(part.content, list):
            yield from _parts(part.content)
        if part.toolResult is not None:
            yield from _parts([part.toolResult])
        if part.parts is not None:
            yield from _parts(part.parts)
        given = part.functionResponse or part.function_response
        if given is not None:
            yield from _parts([given])
        if isinstance(part.output, list):
            yield from _parts(part.output)
        elif isinstance(part.output, _Part):
            yield part.output


def _inline(part: _Part) -> int:
    """Bytes of base64 in the part."""
    if isinstance(part.source, _Source):
        return len(part.source.data) if part.source.type == _BASE64 else 0
    if isinstance(part.image_url, str):
        return len(part.image_url) if part.image_url.startswith(_DATA_URL) else 0
    if isinstance(part.image_url, _Url):
        return _url_bytes(part.image_url.url)
    return _url_bytes(part.file.file_data if isinstance(part.file, _File) else part.file_data)


def _url_bytes(raw: msgspec.Raw) -> int:
    """Of a data URL, written as a JSON string; 0 for any other."""
    return len(raw) if bytes(memoryview(raw)[:6]) == b'"data:' else 0


def _mentioned(body: bytes) -> int:
    """A quotation mark inside a text is escaped, so a text that speaks of pictures does not count. Chat Completions says
    ``image_url`` twice of each, as type and as member; the others have a type of their own."""
    return (body.count(b'"image_url"') + 1) // 2 + body.count(b'"input_image"') + body.count(b'"image"')
