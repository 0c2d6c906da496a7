"""The members of a Converse request, as botocore's service model (1.44.8, ``bedrock-runtime`` 2023-09-30) names them.

A union is a struct of which exactly one member is set; :func:`chosen` says which.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trimaran.testing.bedrock_models import refused

__all__ = [
    "Block",
    "Document",
    "GuardContent",
    "Image",
    "Message",
    "Reasoning",
    "ResultBlock",
    "SystemBlock",
    "ToolConfig",
    "ToolResult",
    "ToolUse",
    "chosen",
]

_ToolUseId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_.:-]+$")]
_ToolName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
_S3Uri = Annotated[str, Meta(max_length=1024, pattern=r"^s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](/.*)?$")]
_AccountId = Annotated[str, Meta(pattern=r"^[0-9]{12}$")]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Members that the service does not know are refused."""


class S3Location(_Strict):
    uri: _S3Uri
    bucketOwner: _AccountId | UnsetType = UNSET


class Source(_Strict):
    """Of an image, a video or a sound: a union."""

    bytes: str | UnsetType = UNSET
    s3Location: S3Location | UnsetType = UNSET


class TextOnly(_Strict):
    text: str


class DocumentSource(_Strict):
    """A union."""

    bytes: str | UnsetType = UNSET
    s3Location: S3Location | UnsetType = UNSET
    text: str | UnsetType = UNSET
    content: list[TextOnly] | UnsetType = UNSET


class Image(_Strict):
    format: Literal["png", "jpeg", "gif", "webp"]
    source: Source
    error: Any = UNSET


class Citations(_Strict):
    enabled: bool


class Document(_Strict):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    source: DocumentSource
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"] | UnsetType = UNSET
    context: str | UnsetType = UNSET
    citations: Citations | UnsetType = UNSET


class Video(_Strict):
    format: Literal["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"]
    source: Source


class Audio(_Strict):
    format: str
    source: Source
    error: Any = UNSET


class ToolUse(_Strict):
    toolUseId: _ToolUseId
    name: _ToolName
    input: Any
    type: Literal["server_tool_use"] | UnsetType = UNSET


class SearchResult(_Strict):
    source: str
    title: str
    content: list[TextOnly]
    citations: Citations | UnsetType = UNSET


class ResultBlock(_Strict):
    """A union."""

    json: Any = UNSET
    text: str | UnsetType = UNSET
    image: Image | UnsetType = UNSET
    document: Document | UnsetType = UNSET
    video: Video | UnsetType = UNSET
    searchResult: SearchResult | UnsetType = UNSET


class ToolResult(_Strict):
    toolUseId: _ToolUseId
    content: list[ResultBlock]
    status: Literal["success", "error"] | UnsetType = UNSET
    type: str | UnsetType = UNSET


class GuardText(_Strict):
    text: str
    qualifiers: list[Literal["grounding_source", "query", "guard_content"]] | UnsetType = UNSET


class GuardImage(_Strict):
    format: Literal["png", "jpeg"]
    source: Source


class GuardContent(_Strict):
    """A union."""

    text: GuardText | UnsetType = UNSET
    image: GuardImage | UnsetType = UNSET


class CachePoint(_Strict):
    type: Literal["default"]
    ttl: Literal["5m", "1h"] | UnsetType = UNSET


class ReasoningText(_Strict):
    text: str
    signature: str | UnsetType = UNSET


class Reasoning(_Strict):
    """A union."""

    reasoningText: ReasoningText | UnsetType = UNSET
    redactedContent: str | UnsetType = UNSET


class CitationsContent(_Strict):
    content: list[TextOnly] | UnsetType = UNSET
    citations: list[Any] | UnsetType = UNSET


class Block(_Strict):
    """A content block: a union."""

    text: str | UnsetType = UNSET
    image: Image | UnsetType = UNSET
    document: Document | UnsetType = UNSET
    video: Video | UnsetType = UNSET
    audio: Audio | UnsetType = UNSET
    toolUse: ToolUse | UnsetType = UNSET
    toolResult: ToolResult | UnsetType = UNSET
    guardContent: GuardContent | UnsetType = UNSET
    cachePoint: CachePoint | UnsetType = UNSET
    reasoningContent: Reasoning | UnsetType = UNSET
    citationsContent: CitationsContent | UnsetType = UNSET
    searchResult: SearchResult | UnsetType = UNSET
    toolAddition: Any = UNSET
    toolRemoval: Any = UNSET


class Message(_Strict):
    role: Literal["user", "assistant", "system"]
    content: list[Block]


class SystemBlock(_Strict):
    """A union."""

    text: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    guardContent: GuardContent | UnsetType = UNSET
    cachePoint: CachePoint | UnsetType = UNSET


class InputSchema(_Strict):
    json: Any = UNSET


class ToolSpec(_Strict):
    name: _ToolName
    inputSchema: InputSchema
    description: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Named(_Strict):
    name: _ToolName


class ToolItem(_Strict):
    """A union."""

    toolSpec: ToolSpec | UnsetType = UNSET
    systemTool: Named | UnsetType = UNSET
    cachePoint: CachePoint | UnsetType = UNSET


class Empty(_Strict):
    pass


class ToolChoice(_Strict):
    """A union."""

    auto: Empty | UnsetType = UNSET
    any: Empty | UnsetType = UNSET
    tool: Named | UnsetType = UNSET


class ToolConfig(_Strict):
    tools: Annotated[list[ToolItem], Meta(min_length=1)]
    toolChoice: ToolChoice | UnsetType = UNSET


def chosen(union: msgspec.Struct, where: str) -> tuple[str, Any]:
    """Name and value of a union's only member. Raises :class:`~trimaran.testing.aws.AwsRefusal` (400) for none or
    several."""
    found = [(name, value) for name in union.__struct_fields__ if (value := getattr(union, name)) is not UNSET]
    if len(found) != 1:
        names = ", ".join(name for name, _ in found) or "none"
        raise refused(f"The value at {where} must have exactly one member set; found: {names}.")
    return found[0]
