"""Streams of streamGenerateContent as neutral events.

Every chunk is an answer in itself: parts without a number, whole function calls, usage so far. Text, and thoughts, go
on until something else comes; a signature ends a thought, and stands as a part of its own behind a text. There is no
end marker: a stream that ends after a finish reason is whole. Since some servers repeat that reason in every chunk, the
answer is finished only when the stream ends.

A chunk without a candidate brings usage, or says that the prompt was blocked.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.wire.conversation import Part, Reasoning, Text
from trimaran.wire.dialect import Dialect, decode_json
from trimaran.wire.events import (
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
from trimaran.wire.gemini_generate.answer import (
    Candidate,
    Response,
    WirePart,
    blocked,
    broken,
    call_of,
    entries,
    foreign_kind,
    searches_of,
    signature_of,
)
from trimaran.wire.gemini_generate.signatures import EMPTY_TEXT, on_call
from trimaran.wire.gemini_generate.usage import BROKEN, ORIGIN, neutral_finish, neutral_tier, neutral_usage
from trimaran.wire.streams import StreamDecoder

__all__ = ["GeminiDecoder", "PassingDecoder"]

_decode_chunk = msgspec.json.Decoder(Response).decode
_decode_part = msgspec.json.Decoder(WirePart).decode
_WHAT = "an event of the stream"


class _Decoder(StreamDecoder):
    """What both decoders read of a chunk."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._started = False
        self._id = ""
        self._tier = ""
        self._searches = 0

    def _chunk(self, data: bytes) -> Response:
        chunk: Response = decode_json(_decode_chunk, data, _WHAT)
        if chunk.error is not None:
            raise self._dialect.error_in_answer(chunk.error)
        return chunk

    def _begun(self, chunk: Response, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            self._id = chunk.responseId or f"resp_{secrets.token_hex(12)}"
            events.append(Started(self._id, chunk.modelVersion or ""))

    def _report(self, chunk: Response, events: list[Event]) -> None:
        if (usage := chunk.usageMetadata) is None:
            return
        if (tier := neutral_tier(usage)) and tier != self._tier:
            self._tier = tier
            events.append(ServiceTier(tier))
        told = neutral_usage(usage)
        # The list of searches stands in one of the chunks, mostly the last.
        told.web_searches = self._searches = max(self._searches, searches_of(chunk))
        events.append(UsageReport(told, alone=not chunk.candidates))


class GeminiDecoder(_Decoder):
    """Chunks to neutral events, for an answer with one candidate."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._parts = 0
        self._calls = 0
        self._kind: type[Text | Reasoning] | None = None
        """What the open part is; ``_open`` is its index."""
        self._open = 0
        self._finish = ""

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        chunk = self._chunk(data)
        events: list[Event] = []
        self._begun(chunk, events)
        if not chunk.candidates and chunk.promptFeedback is not None and chunk.promptFeedback.blockReason:
            raise blocked(self._dialect, chunk.promptFeedback)
        for candidate in chunk.candidates or ():
            if candidate.index != 0:
                events.append(OtherDelta("second candidate"))
            else:
                self._candidate(candidate, events)
        self._report(chunk, events)
        return events

    def ended(self) -> Sequence[Event]:
        events: list[Event] = []
        self._end(events)
        return [*events, Finished(neutral_finish(self._finish, called=self._calls > 0))]

    def _candidate(self, candidate: Candidate, events: list[Event]) -> None:
        word = candidate.finishReason or ""
        if word in BROKEN:
            raise broken(candidate)
        scores = entries(candidate.logprobsResult)
        for raw in (candidate.content.parts or ()) if candidate.content is not None else ():
            scores = self._part(raw, scores, events)
        if scores:
            self._switch(Text, events)
            events.append(TextDelta("", self._open, scores))
        if word and word != "FINISH_REASON_UNSPECIFIED":
            self._finish = word
            self.may_end = True

    def _part(self, raw: msgspec.Raw, scores: list[Any] | None, events: list[Event]) -> list[Any] | None:
        """One part; the scores that are still to be told."""
        part: WirePart = decode_json(_decode_part, raw, _WHAT)
        state = signature_of(part)
        if part.functionCall is not None:
            self._call(part, state, events)
        elif kind := foreign_kind(raw):
            events.append(OtherDelta(f"part of kind {kind}"))
        elif part.thought:
            self._thought(part.text or "", state, events)
        else:
            if part.text:
                self._switch(Text, events)
                events.append(TextDelta(part.text, self._open, scores))
                scores = None
            if state:
                self._signature(state, EMPTY_TEXT, events)
        return scores

    def _thought(self, text: str, state: str, events: list[Event]) -> None:
        if not text and not state:
            return
        if self._kind is not Reasoning:
            self._end(events)
            self._start(Reasoning(origin=ORIGIN, hidden=not text), events)
            self._kind = Reasoning
        if text:
            events.append(ReasoningDelta(text, self._open))
        if state:
            events.append(ReasoningState(state, self._open))
            self._end(events)

    def _call(self, part: WirePart, state: str, events: list[Event]) -> None:
        assert part.functionCall is not None
        call, arguments = call_of(part.functionCall, self._id, self._calls)
        self._calls += 1
        if state:
            self._signature(state, on_call(call.id), events)
        self._end(events)
        self._start(call, events)
        events += (ArgumentsDelta(arguments, self._open), PartEnded(self._open))

    def _signature(self, state: str, place: str, events: list[Event]) -> None:
        self._end(events)
        self._start(Reasoning(origin=ORIGIN, id=place, hidden=True), events)
        events += (ReasoningState(state, self._open), PartEnded(self._open))

    def _switch(self, kind: type[Text], events: list[Event]) -> None:
        """Make a text the open part."""
        if self._kind is not kind:
            self._end(events)
            self._start(Text(""), events)
            self._kind = kind

    def _start(self, part: Part, events: list[Event]) -> None:
        self._open = self._parts
        self._parts += 1
        events.append(PartStarted(self._open, part))

    def _end(self, events: list[Event]) -> None:
        if self._kind is not None:
            self._kind = None
            events.append(PartEnded(self._open))


class PassingDecoder(_Decoder):
    """What the road has to know of a stream that passes. The events of several candidates are given in order of arrival;
    parts are not told apart."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._called = False
        self._going: set[int] = set()
        self._finished: set[int] = set()

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        chunk = self._chunk(data)
        events: list[Event] = []
        self._begun(chunk, events)
        if not chunk.candidates and chunk.promptFeedback is not None and chunk.promptFeedback.blockReason:
            self._finished.add(0)
            events.append(Finished("content_filter"))
        for candidate in chunk.candidates or ():
            self._candidate(candidate, events)
        self._report(chunk, events)
        self.may_end = bool(self._finished) and not self._going
        return events

    def _candidate(self, candidate: Candidate, events: list[Event]) -> None:
        if candidate.index not in self._finished:
            self._going.add(candidate.index)
        for raw in (candidate.content.parts or ()) if candidate.content is not None else ():
            part: WirePart = decode_json(_decode_part, raw, _WHAT)
            if part.functionCall is not None:
                self._called = True
                events.append(OtherDelta("function call"))
            elif part.text and part.thought:
                events.append(ReasoningDelta(part.text))
            elif part.text:
                events.append(TextDelta(part.text))
            elif kind := foreign_kind(raw):
                events.append(OtherDelta(kind))
        if (word := candidate.finishReason or "") and word != "FINISH_REASON_UNSPECIFIED":
            self._going.discard(candidate.index)
            if candidate.index not in self._finished:
                self._finished.add(candidate.index)
                events.append(Finished(neutral_finish(word, called=self._called)))
