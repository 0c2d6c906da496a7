"""The neutral model that every dialect is translated through.

A dialect decodes into these values and encodes from them; no dialect knows another one. They carry text conversations:
a message is a list of parts, and :data:`Part` is the place where a further kind of content joins. What a request says
beyond this model is refused by name when it would have to be translated, and never enters here.

Finish reasons are neutral words: ``stop``, ``length``, ``context_window``, ``stop_sequence``, ``tool_calls``,
``content_filter``. A provider's word outside that list keeps its own spelling; empty means that none was given. Token
counts follow :class:`trimaran.types.Usage`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from trimaran.types import Usage

__all__ = [
    "Answer",
    "ChatRequest",
    "Event",
    "Finished",
    "Message",
    "OtherDelta",
    "Part",
    "ReasoningDelta",
    "Role",
    "Started",
    "Text",
    "TextDelta",
    "UsageReport",
]

Role: TypeAlias = Literal["system", "user", "assistant"]


class Text(msgspec.Struct, tag="text"):
    """A piece of text inside a message."""

    text: str


Part: TypeAlias = Text
"""What a message can hold."""


class Message(msgspec.Struct):
    """One turn. ``system`` stands here only where it came after the conversation had begun."""

    role: Role
    parts: list[Part]


class ChatRequest(msgspec.Struct, kw_only=True):
    """A text conversation and how to continue it. ``None`` means that the client left it to the provider."""

    model: str
    messages: list[Message]
    system: list[Part] = []
    """The instructions before the first turn."""
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    user: str | None = None
    """An opaque identifier of the end user, for the provider's abuse detection."""
    stream: bool = False


class Started(msgspec.Struct, gc=False):
    """The provider has begun an answer. It is no content: nothing of it reaches the client until content follows."""

    id: str
    model: str


class TextDelta(msgspec.Struct, gc=False):
    """More text of the answer."""

    text: str


class ReasoningDelta(msgspec.Struct, gc=False):
    """The provider is thinking, or says something else that a text answer can do without. It commits an answer like
    text does; its words are not translated."""


class OtherDelta(msgspec.Struct, gc=False):
    """Content that only its own dialect can carry: a part of a tool call, audio. ``kind`` names it for a message."""

    kind: str


class UsageReport(msgspec.Struct, gc=False):
    """Tokens so far, in total. ``alone``: it came in an event that carries nothing else."""

    usage: Usage
    alone: bool = False


class Finished(msgspec.Struct, gc=False):
    """The provider ended the answer for this reason. Usage and the end marker may still follow."""

    reason: str
    stop_sequence: str | None = None


Event: TypeAlias = Started | TextDelta | ReasoningDelta | OtherDelta | UsageReport | Finished


class Answer(msgspec.Struct):
    """A whole answer that was not streamed."""

    id: str
    model: str
    text: str
    finish_reason: str
    stop_sequence: str | None = None
    usage: Usage | None = None
