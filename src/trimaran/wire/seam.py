"""Where a continuation meets the answer that broke off: its events, written as the rest of the client's stream.

A relay takes a :class:`Seam` for the client's encoder. What it leaves out, joins and numbers anew is stated in
:mod:`trimaran.wire.continuation`.
"""

from __future__ import annotations

import msgspec

from trimaran.types import Usage
from trimaran.wire.conversation import Reasoning, Text
from trimaran.wire.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.streams import Resumed, StreamEncoder

__all__ = ["Seam", "added"]

_GENERATED = ("output_tokens", "reasoning_tokens", "audio_output_tokens", "web_searches", "file_searches")


class Seam(StreamEncoder):
    """Writes the events of a continuation as the rest of the answer that the client has begun to read."""

    __slots__ = (
        "_before",
        "_encoder",
        "_first",
        "_next",
        "_open",
        "_parts",
        "_space",
        "_spoke",
        "_tokens",
    )

    def __init__(self, place: Resumed, dropped: str, before: Usage | None, tokens: int) -> None:
        self._encoder = place.encoder
        self._open = place.open
        """The client's open text part, until it is taken over."""
        self._next = place.next
        self._first = place.first
        self._space = dropped
        self._before = before
        self._tokens = tokens
        """Output before the seam."""
        self._parts: dict[int, int] = {}
        """The continuation's parts: their numbers at the client; -1 for those that are left out."""
        self._spoke = False

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Started | ServiceTier):
            return b""
        if isinstance(event, UsageReport):
            self._encoder.encode(UsageReport(self._total(event.usage)))
            return b""
        if isinstance(event, PartStarted):
            return self._start(event)
        if isinstance(event, Finished):
            return self._closed() + self._encoder.encode(event)
        return self._part(event)

    def end(self) -> bytes:
        return self._opening() + self._encoder.end()

    def _opening(self) -> bytes:
        first, self._first = self._first, b""
        return first

    def _closed(self) -> bytes:
        """The end of the client's open part, where nothing was added to it."""
        out = self._opening()
        if self._open is not None:
            out += self._encoder.encode(PartEnded(self._open))
            self._open = None
        return out

    def _start(self, event: PartStarted) -> bytes:
        if isinstance(event.part, Reasoning) and not self._spoke:
            self._parts[event.index] = -1
            return b""
        spoke, self._spoke = self._spoke, True
        if isinstance(event.part, Text) and self._open is not None and not spoke:
            self._parts[event.index], self._open = self._open, None
            return self._opening()
        out = self._closed()
        self._parts[event.index] = self._next
        self._next += 1
        return out + self._encoder.encode(PartStarted(self._parts[event.index], event.part))

    def _part(self, event: Event) -> bytes:
        """A delta or an end: the same of the part that it is at the client."""
        index = self._parts[event.index]  # type: ignore[union-attr]
        if index < 0:
            return b""
        if isinstance(event, TextDelta):
            text = self._unrepeated(event.text) if self._space else event.text
            return self._encoder.encode(TextDelta(text, index, event.logprobs)) if text else b""
        if isinstance(event, ArgumentsDelta):
            return self._encoder.encode(ArgumentsDelta(event.json, index))
        if isinstance(event, ReasoningDelta):
            return self._encoder.encode(ReasoningDelta(event.text, index))
        if isinstance(event, ReasoningState):
            return self._encoder.encode(ReasoningState(event.state, index))
        return self._encoder.encode(PartEnded(index))

    def _unrepeated(self, text: str) -> str:
        """``text`` without the white space that the client has already."""
        space, at = self._space, 0
        while at < len(space) and text[at : at + 1] == space[at]:
            at += 1
        self._space = space[at:] if at == len(text) else ""
        return text[at:]

    def _total(self, usage: Usage) -> Usage:
        whole = added(self._before, usage)
        whole.output_tokens = self._tokens + usage.output_tokens
        return whole


def added(before: Usage | None, usage: Usage) -> Usage:
    """Both together, as one answer to the first one's prompt. No prompt is empty: an input of none was not told."""
    whole = msgspec.structs.replace(usage if before is None or not before.input_tokens else before)
    for name in _GENERATED if before is not None else ():
        setattr(whole, name, getattr(before, name) + getattr(usage, name))
    return whole
