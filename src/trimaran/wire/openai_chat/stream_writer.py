"""Streams of this API, written: one chunk for each neutral event that has something to say.

Tool calls carry their own number, so that calls which come in turns pass as they are. A reasoning part's details follow
its text when it ends, because they hold the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.conversation import Reasoning, Refusal, ToolCall
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
from trimaran.wire.openai_chat.reasoning import details_of
from trimaran.wire.openai_chat.usage import finish_word, tier_word, usage_json
from trimaran.wire.streams import StreamEncoder

__all__ = ["END_MARKER", "ChatEncoder"]

END_MARKER = b"data: [DONE]\n\n"

_encode = msgspec.json.encode


class ChatEncoder(StreamEncoder):
    """Neutral events to chunks. What every chunk repeats is encoded once. The first chunk waits for the first part,
    because clients look for the service tier in it, and the tier may be known a little later than the start."""

    def __init__(self, created_s: int, *, include_usage: bool) -> None:
        self._created_s = created_s
        self._include_usage = include_usage
        self._started = Started("", "")
        self._waits = False
        self._tier = ""
        self._head = b""
        self._text = b""
        self._end = b"}]%b}\n\n" % (b',"usage":null' if include_usage else b"")
        self._tail = b'},"logprobs":null,"finish_reason":null' + self._end
        self._usage: Usage | None = None
        self._refusals: set[int] = set()
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, tuple[Reasoning, list[str], list[str]]] = {}
        """Each reasoning part under way, with the pieces of its text and of its state."""
        self._details = 0

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            if event.logprobs is None and event.index not in self._refusals:
                return b"%b%b%b" % (self._text, _encode(event.text), self._tail)
            return self._scored(event)
        write = _WRITERS.get(type(event))
        return b"" if write is None else write(self, event)

    def end(self) -> bytes:
        first = self._first()
        if not self._include_usage or self._usage is None:
            return first + END_MARKER
        usage = _encode(usage_json(self._usage))
        return b'%b%b"choices":[],"usage":%b}\n\n%b' % (first, self._head, usage, END_MARKER)

    def _write_head(self) -> None:
        tier = b'"service_tier":%b,' % _encode(tier_word(self._tier)) if self._tier else b""
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,%b' % (
            _encode(self._started.id),
            self._created_s,
            _encode(self._started.model),
            tier,
        )
        self._text = self._head + b'"choices":[{"index":0,"delta":{"content":'

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return b'%b"choices":[{"index":0,"delta":%b%b' % (self._head, _encode(delta)[:-1], self._tail)

    def _begin(self, event: Started) -> bytes:
        self._started = event
        self._waits = True
        self._write_head()
        return b""

    def _first(self) -> bytes:
        if not self._waits:
            return b""
        self._waits = False
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _scored(self, event: TextDelta) -> bytes:
        key = "refusal" if event.index in self._refusals else "content"
        if event.logprobs is None:
            return self._chunk({key: event.text})
        logprobs = {"content": None, "refusal": None, key: event.logprobs}
        return b'%b"choices":[{"index":0,"delta":%b,"logprobs":%b,"finish_reason":null%b' % (
            self._head,
            _encode({key: event.text}),
            _encode(logprobs),
            self._end,
        )

    def _part(self, event: PartStarted) -> bytes:
        first = self._first()
        part = event.part
        if isinstance(part, ToolCall):
            place = self._calls[event.index] = len(self._calls)
            function = {"name": part.name, "arguments": part.arguments}
            call = {"index": place, "id": part.id, "type": "function", "function": function}
            return first + self._chunk({"tool_calls": [call]})
        if isinstance(part, Refusal):
            self._refusals.add(event.index)
        elif isinstance(part, Reasoning):
            self._thoughts[event.index] = msgspec.structs.replace(part), [part.text], [part.state]
        return first

    def _arguments(self, event: ArgumentsDelta) -> bytes:
        call = {"index": self._calls[event.index], "function": {"arguments": event.json}}
        return self._chunk({"tool_calls": [call]})

    def _thought(self, event: ReasoningDelta) -> bytes:
        if not event.text:
            return b""
        self._thoughts[event.index][1].append(event.text)
        return self._chunk({"reasoning_content": event.text})

    def _state(self, event: ReasoningState) -> bytes:
        self._thoughts[event.index][2].append(event.state)
        return b""

    def _part_end(self, event: PartEnded) -> bytes:
        thought = self._thoughts.pop(event.index, None)
        if thought is None:
            return b""
        part, texts, states = thought
        part.text, part.state = "".join(texts), "".join(states)
        details = details_of(part, self._details)
        self._details += len(details)
        return self._chunk({"reasoning_details": details}) if details else b""

    def _service(self, event: ServiceTier) -> bytes:
        self._tier = event.tier
        self._write_head()
        return b""

    def _report(self, event: UsageReport) -> bytes:
        self._usage = event.usage
        return b""

    def _finish(self, event: Finished) -> bytes:
        stop = b',"stop_reason":%b' % _encode(event.stop_sequence) if event.stop_sequence else b""
        return b'%b%b"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":%b%b%b' % (
            self._first(),
            self._head,
            _encode(finish_word(event.reason)),
            stop,
            self._end,
        )


_WRITERS: dict[type, Callable[[ChatEncoder, Any], bytes]] = {
    Started: ChatEncoder._begin,
    PartStarted: ChatEncoder._part,
    ArgumentsDelta: ChatEncoder._arguments,
    ReasoningDelta: ChatEncoder._thought,
    ReasoningState: ChatEncoder._state,
    PartEnded: ChatEncoder._part_end,
    ServiceTier: ChatEncoder._service,
    UsageReport: ChatEncoder._report,
    Finished: ChatEncoder._finish,
}
