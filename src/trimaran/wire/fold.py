"""A stream of events as the whole answer that they tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import (
    Answer,
    ArgumentsDelta,
    Event,
    Finished,
    OtherDelta,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)

__all__ = ["fold"]


def fold(events: Iterable[Event]) -> Answer:
    """The answer, its parts in the order of their indices. Raises ``ValueError`` for events out of order: a delta outside
    its part, a part that starts twice or has no end when the answer finishes."""
    answer = Answer("", "", [], "")
    parts: dict[int, Part] = {}
    ended: set[int] = set()
    logprobs: list[Any] = []
    for event in events:
        if isinstance(event, Started):
            answer.id, answer.model = event.id, event.model
        elif isinstance(event, PartStarted):
            if event.index in parts:
                raise ValueError(f"part {event.index} starts twice")
            parts[event.index] = msgspec.structs.replace(event.part)
        elif isinstance(event, PartEnded):
            _open(parts, ended, event.index)
            ended.add(event.index)
        elif isinstance(event, UsageReport):
            answer.usage = event.usage
        elif isinstance(event, ServiceTier):
            answer.service_tier = event.tier
        elif isinstance(event, Finished):
            if parts.keys() != ended:
                raise ValueError(f"the answer finishes before its parts {sorted(parts.keys() - ended)}")
            answer.finish_reason, answer.stop_sequence = event.reason, event.stop_sequence
        elif isinstance(event, OtherDelta):
            raise ValueError(f"an answer cannot hold a {event.kind}")
        else:
            _add(event, _open(parts, ended, event.index), logprobs)
    answer.parts = [parts[index] for index in sorted(parts)]
    answer.logprobs = logprobs or None
    return answer


def _open(parts: dict[int, Part], ended: set[int], index: int) -> Part:
    if index not in parts or index in ended:
        raise ValueError(f"part {index} is not open")
    return parts[index]


def _add(event: Event, part: Part, logprobs: list[Any]) -> None:
    if isinstance(event, TextDelta) and isinstance(part, Text | Refusal):
        part.text += event.text
        logprobs += event.logprobs or ()
    elif isinstance(event, ReasoningDelta) and isinstance(part, Reasoning):
        part.text += event.text
    elif isinstance(event, ReasoningState) and isinstance(part, Reasoning):
        part.state += event.state
    elif isinstance(event, ArgumentsDelta) and isinstance(part, ToolCall):
        part.arguments += event.json
    else:
        raise ValueError(f"{type(event).__name__} in a {type(part).__name__}")
