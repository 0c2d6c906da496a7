"""Files in Converse: their formats, and the names that they must have.

A format is the end of a file's name; the neutral model has media types. Plain text goes as bytes, which every model takes
that takes documents, and comes back as text. A name may have letters, digits, single spaces, hyphens, parentheses and
square brackets, and no two documents of a request may share one, whatever their case
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html, and reports of the API's answers:
https://github.com/aws-samples/generative-ai-use-cases/issues/1685; both read 2026-11-30). Names are made anew the same way
for the same conversation, so that a prompt that was cached stays the same.
"""

from __future__ import annotations

import base64
import binascii
import re

from trimaran.wire.conversation import Document

__all__ = ["DOCUMENT_FORMATS", "IMAGE_FORMATS", "DocumentNames", "format_of", "media_type_of", "payload_of", "text_of"]

IMAGE_FORMATS = frozenset({"png", "jpeg", "gif", "webp"})

_MEDIA_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
DOCUMENT_FORMATS = frozenset(_MEDIA_TYPES)
_FORMATS = {media_type: name for name, media_type in _MEDIA_TYPES.items()}

_LONGEST_NAME = 200
_UNNAMED = "document"
_UNFIT = re.compile(r"[^A-Za-z0-9()\[\]\s-]+")
_SPACES = re.compile(r"\s+")


def media_type_of(format: str) -> str:
    """The media type of a document's format."""
    return _MEDIA_TYPES[format]


def format_of(media_type: str) -> str:
    """The format of a media type, whatever its parameters; empty where this API has none."""
    return _FORMATS.get(media_type.partition(";")[0].strip().lower(), "")


def payload_of(document: Document) -> tuple[str, str]:
    """Format and base64 of what stands in ``document`` itself; two empty texts where this API takes no such file."""
    if document.data:
        return (name, document.data) if (name := format_of(document.media_type)) else ("", "")
    if document.text:
        return "txt", base64.b64encode(document.text.encode("utf-8", "replace")).decode()
    return "", ""


def text_of(data: str) -> str:
    """The text that base64 ``data`` is in UTF-8; empty where it is none."""
    try:
        return binascii.a2b_base64(data).decode()
    except ValueError:
        return ""


class DocumentNames:
    """Gives each document of one request a name that the API takes."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}
        """How often a name was wanted."""

    def name(self, wanted: str, format: str) -> tuple[str, bool]:
        """The name for a document that is called ``wanted``, and whether it lost more than the end that its format
        says."""
        plain = wanted.removesuffix(f".{format}")
        fit = _SPACES.sub(" ", _UNFIT.sub("-", plain)).strip()[:_LONGEST_NAME].strip()
        if not fit.strip("-"):
            fit = _UNNAMED
        name, count = fit, self._counts.get(fit.casefold(), 0)
        while not count or name.casefold() in self._used:
            count += 1
            end = f" ({count})" if count > 1 else ""
            name = fit[: _LONGEST_NAME - len(end)].rstrip() + end
        self._counts[fit.casefold()] = count
        self._used.add(name.casefold())
        return name, bool(wanted) and name != plain
