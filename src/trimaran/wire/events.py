"""The neutral answer: whole, and as a stream of events. Requests are in :mod:`trimaran.wire.conversation`.

A stream::

    Started ─► (PartStarted ─► deltas ─► PartEnded)* ─► Finished,   UsageReport and ServiceTier anywhere after Started

Parts are numbered from 0 in order of their start, and a decoder gives every part its start and its end, also where its
dialect does not say them. Parts may overlap (two tool calls that arrive in turns); an encoder whose dialect knows no
overlap keeps the later one back until the earlier one has ended. ``TextDelta`` belongs to a ``Text`` or ``Refusal`` part.

Finish reasons are neutral words: ``stop``, ``length``, ``context_window``, ``stop_sequence``, ``tool_calls``,
``content_filter``. A provider's word outside that list keeps its own spelling; empty means that none was given. Token
counts follow :class:`trimaran.types.Usage`. Log-probabilities are a list of entries for the answer's text, each with
``token``, ``logprob``, ``bytes`` and ``top_logprobs``, in the form that both of OpenAI's dialects share.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from trimaran.types import Usage
from trimaran.wire.conversation import Part, Refusal, Text

__all__ = [
    "Answer",
    "ArgumentsDelta",
    "Event",
    "Finished",
    "OtherDelta",
    "PartEnded",
    "PartStarted",
    "ReasoningDelta",
    "ReasoningState",
    "ServiceTier",
    "Started",
    "TextDelta",
    "UsageReport",
]


class Started(msgspec.Struct, gc=False):
    """The provider has begun an answer. It is no content: nothing of it reaches the client until content follows."""

    id: str
    model: str


class PartStarted(msgspec.Struct, gc=False):
    """A part begins; ``part`` holds what is known of it so far, its text and arguments empty. The start of a tool call
    is content, because its name is."""

    index: int
    part: Part


class TextDelta(msgspec.Struct, gc=False):
    """More text."""

    text: str
    index: int = 0
    logprobs: list[Any] | None = None


class ReasoningDelta(msgspec.Struct, gc=False):
    """More of what the model thinks. It commits an answer like text does."""

    text: str = ""
    index: int = 0


class ReasoningState(msgspec.Struct, gc=False):
    """The next piece of a reasoning part's ``state``."""

    state: str
    index: int = 0


class ArgumentsDelta(msgspec.Struct, gc=False):
    """The next piece of a tool call's JSON arguments."""

    json: str
    index: int = 0


class PartEnded(msgspec.Struct, gc=False):
    """Nothing more will come of this part."""

    index: int


class OtherDelta(msgspec.Struct, gc=False):
    """Content that only its own dialect can carry: audio, a citation, another choice. ``kind`` names it for a message."""

    kind: str


class UsageReport(msgspec.Struct, gc=False):
    """Tokens so far, in total. ``alone``: it came in an event that carries nothing else."""

    usage: Usage
    alone: bool = False


class ServiceTier(msgspec.Struct, gc=False):
    """The tier that served the answer: ``standard``, ``flex``, ``priority``, ``batch``, ``fast`` (Anthropic's fast mode);
    ``us``: standard, computed in one country for a surcharge."""

    tier: str


class Finished(msgspec.Struct, gc=False):
    """The provider ended the answer for this reason. Usage and the end marker may still follow."""

    reason: str
    stop_sequence: str | None = None


Event: TypeAlias = (
    Started
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | ReasoningState
    | ArgumentsDelta
    | PartEnded
    | OtherDelta
    | UsageReport
    | ServiceTier
    | Finished
)


class Answer(msgspec.Struct):
    """A whole answer that was not streamed. ``parts`` are texts, refusals, reasoning and tool calls, in order."""

    id: str
    model: str
    parts: list[Part]
    finish_reason: str
    stop_sequence: str | None = None
    usage: Usage | None = None
    logprobs: list[Any] | None = None
    service_tier: str = ""

    @property
    def text(self) -> str:
        """What the answer says, refusals included, reasoning and tool calls not."""
        return "".join(part.text for part in self.parts if isinstance(part, Text | Refusal))
