"""Streams of the Responses API, written.

Every delta goes out at once. What the events that end a part repeat is kept as it went by. The end of an item waits for
the next event, because the last item of an answer that was cut off is not complete, and only what follows its end tells
that. Usage may come after the finish reason, so the last event, which holds the whole Response, is written at the end.

A client of this API tells the parts of an answer apart by their index, so parts may overlap.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Usage
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import Envelope
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
from trimaran.wire.openai_responses.answer import ResponseWriter, in_summary, item_id, output_item, status_of
from trimaran.wire.streams import StreamEncoder

__all__ = ["ResponsesEncoder"]

_encode = msgspec.json.encode
_NO_LOGPROBS = b',"logprobs":[]'


class _Written:
    """An item under way."""

    __slots__ = ("head", "id", "index", "logprobs", "part", "pieces", "prefix", "spoke", "state")

    def __init__(self, part: Part, id: str, index: int) -> None:
        self.part = part
        self.id = id
        self.index = index
        self.pieces: list[str] = []
        self.state: list[str] = []
        self.logprobs: list[Any] = []
        self.spoke = False
        """The summary of a reasoning item has begun."""
        self.prefix = b'"item_id":%b,"output_index":%d' % (_encode(id), index)
        self.head = b""
        """All of a delta event that comes before its text."""


class ResponsesEncoder(StreamEncoder):
    """Neutral events to events."""

    def __init__(self, envelope: Envelope, created_s: int) -> None:
        self._envelope = envelope
        self._created_s = created_s
        self._writer: ResponseWriter | None = None
        self._sequence = 0
        self._items: dict[int, _Written] = {}
        self._done: dict[int, bytes] = {}
        self._ending: _Written | None = None
        self._usage: Usage | None = None
        self._tier = ""
        self._reason = "stop"

    def encode(self, event: Event) -> bytes:
        if type(event) is TextDelta:
            item = self._items[event.index]
            item.pieces.append(event.text)
            logprobs = _NO_LOGPROBS
            if event.logprobs:
                item.logprobs += event.logprobs
                logprobs = b',"logprobs":%b' % _encode(event.logprobs)
            if type(item.part) is Refusal:
                logprobs = b""
            sequence = self._sequence
            self._sequence = sequence + 1
            out = b'%b%b%b,"sequence_number":%d}\n\n' % (item.head, _encode(event.text), logprobs, sequence)
            # The item's own end cannot wait here, so whatever waits is another item.
            return out if self._ending is None else self._flush("completed", before=out)
        if isinstance(event, UsageReport):
            self._usage = event.usage
            return b""
        if isinstance(event, ServiceTier):
            self._tier = event.tier
            return b""
        return self._structure(event)

    def _structure(self, event: Event) -> bytes:
        if isinstance(event, Started):
            return self._start(event)
        if isinstance(event, Finished):
            self._reason = event.reason
            return self._finish()
        out = self._flush("completed")
        if isinstance(event, PartStarted):
            return out + self._begin(event.index, event.part)
        item = self._items[event.index]  # type: ignore[union-attr]
        if isinstance(event, PartEnded):
            self._ending = item
        elif isinstance(event, ArgumentsDelta):
            out += self._arguments(item, event.json)
        elif isinstance(event, ReasoningDelta):
            out += self._think(item, event.text)
        elif isinstance(event, ReasoningState):
            item.state.append(event.state)
        return out

    def end(self) -> bytes:
        rest = self._finish()
        items = [self._done[index] for index in sorted(self._done)]
        response = self._response().ended(self._reason, items, self._usage, self._tier)
        kind = b"response.%b" % status_of(self._reason).encode()
        return rest + self._event(kind, b'"response":%b' % response)

    def _response(self) -> ResponseWriter:
        if self._writer is None:
            self._writer = ResponseWriter(self._envelope, "", "", self._created_s)
        return self._writer

    def go_on(self, writer: ResponseWriter, sequence: int, done: dict[int, bytes]) -> None:
        """Begin in the middle of an answer: the Response as it was begun, the next sequence number, and the items that
        have ended, as they stand on the wire."""
        self._writer, self._sequence, self._done = writer, sequence, done

    def take_over(self, index: int, id: str, pieces: list[str], logprobs: list[Any], *, announced: bool) -> bytes:
        """Make a message that is open at the client the item ``index``, with what it has said. ``announced``: its text
        was, too."""
        item = self._items[index] = _Written(Text(""), id, index)
        item.pieces, item.logprobs = pieces, logprobs
        item.head = _delta_head(b"response.output_text.delta", item.prefix + b',"content_index":0')
        return b"" if announced else self._content(item, output_item(Text(""), id, "completed")["content"][0])

    def wind_up(self, index: int, id: str, pieces: list[str], logprobs: list[Any], *, part_ended: bool) -> bytes:
        """End a message whose text has ended at the client, and, if ``part_ended``, its part."""
        item = _Written(Text(""), id, index)
        whole = output_item(Text("".join(pieces)), id, "completed", logprobs)
        out = b"" if part_ended else self._content(item, whole["content"][0], b"done")
        return out + self._item_done(item, whole)

    # Events

    def _event(self, kind: bytes, rest: bytes) -> bytes:
        sequence = self._sequence
        self._sequence = sequence + 1
        return b'event: %b\ndata: {"type":"%b",%b,"sequence_number":%d}\n\n' % (kind, kind, rest, sequence)

    def _start(self, event: Started) -> bytes:
        self._writer = ResponseWriter(self._envelope, event.id, event.model, self._created_s)
        response = b'"response":%b' % self._writer.under_way()
        return self._event(b"response.created", response) + self._event(b"response.in_progress", response)

    def _begin(self, index: int, part: Part) -> bytes:
        item = self._items[index] = _Written(part, item_id(part, self._response().base, index), index)
        if isinstance(part, ToolCall):
            item.head = _delta_head(b"response.function_call_arguments.delta", item.prefix)
            shown: dict[str, Any] = output_item(part, item.id, "in_progress")
        elif isinstance(part, Reasoning):
            shown = {"id": item.id, "type": "reasoning", "summary": []}
        else:
            shown = output_item(part, item.id, "in_progress") | {"content": []}
        out = self._event(b"response.output_item.added", b'"output_index":%d,"item":%b' % (index, _encode(shown)))
        if isinstance(part, Reasoning):
            return (
                out
                if in_summary(part) or part.hidden
                else out + self._content(item, {"type": "reasoning_text", "text": ""})
            )
        if isinstance(part, ToolCall):
            return out
        kind = b"response.refusal.delta" if isinstance(part, Refusal) else b"response.output_text.delta"
        item.head = _delta_head(kind, item.prefix + b',"content_index":0')
        return out + self._content(item, output_item(part, item.id, "completed")["content"][0])

    def _content(self, item: _Written, part: dict[str, Any], moment: bytes = b"added") -> bytes:
        rest = b'%b,"content_index":0,"part":%b' % (item.prefix, _encode(part))
        return self._event(b"response.content_part." + moment, rest)

    def _arguments(self, item: _Written, piece: str) -> bytes:
        item.pieces.append(piece)
        sequence = self._sequence
        self._sequence = sequence + 1
        return b'%b%b,"sequence_number":%d}\n\n' % (item.head, _encode(piece), sequence)

    def _think(self, item: _Written, text: str) -> bytes:
        part = item.part
        if not isinstance(part, Reasoning):
            raise LookupError("thoughts in a part that holds none")
        item.pieces.append(text)
        if not in_summary(part):
            rest = b'%b,"content_index":0,"delta":%b' % (item.prefix, _encode(text))
            return self._event(b"response.reasoning_text.delta", rest)
        if not text:
            return b""
        out = b""
        if not item.spoke:
            item.spoke = True
            out = self._summary(item, b"part.added", b'"part":{"type":"summary_text","text":""}')
        return out + self._summary(item, b"text.delta", b'"delta":%b' % _encode(text))

    def _summary(self, item: _Written, moment: bytes, rest: bytes) -> bytes:
        return self._event(b"response.reasoning_summary_" + moment, b'%b,"summary_index":0,%b' % (item.prefix, rest))

    def _flush(self, status: str, before: bytes = b"") -> bytes:
        """The events of the end that waited, if one did."""
        item, self._ending = self._ending, None
        return before if item is None else before + self._close(item, status)

    def _close(self, item: _Written, status: str) -> bytes:
        """All events of an item's end."""
        del self._items[item.index]
        text = "".join(item.pieces)
        part, out = item.part, b""
        if isinstance(part, Reasoning):
            part = Reasoning(text, "".join(item.state), part.origin, part.id, part.summary, part.hidden)
            whole = output_item(part, item.id, status)
            out = self._thought(item, whole)
        elif isinstance(part, ToolCall):
            whole = output_item(ToolCall(part.id, part.name, text), item.id, status)
            if not text and whole["arguments"]:
                out = self._arguments(item, whole["arguments"])
            rest = b'%b,"arguments":%b' % (item.prefix, _encode(whole["arguments"]))
            out += self._event(b"response.function_call_arguments.done", rest)
        else:
            said = Refusal(text) if isinstance(part, Refusal) else Text(text)
            whole = output_item(said, item.id, status, item.logprobs)
            out = self._spoken(item, whole["content"][0])
        return out + self._item_done(item, whole)

    def _item_done(self, item: _Written, whole: dict[str, Any]) -> bytes:
        done = self._done[item.index] = _encode(whole)
        return self._event(b"response.output_item.done", b'"output_index":%d,"item":%b' % (item.index, done))

    def _spoken(self, item: _Written, content: dict[str, Any]) -> bytes:
        rest = b'%b,"content_index":0' % item.prefix
        if content["type"] == "refusal":
            done = self._event(b"response.refusal.done", b'%b,"refusal":%b' % (rest, _encode(content["refusal"])))
        else:
            logprobs, text = _encode(content["logprobs"]), _encode(content["text"])
            done = self._event(b"response.output_text.done", b'%b,"text":%b,"logprobs":%b' % (rest, text, logprobs))
        return done + self._content(item, content, b"done")

    def _thought(self, item: _Written, whole: dict[str, Any]) -> bytes:
        for part in whole["summary"] if item.spoke else ():
            done = self._summary(item, b"text.done", b'"text":%b' % _encode(part["text"]))
            return done + self._summary(item, b"part.done", b'"part":%b' % _encode(part))
        for part in whole.get("content", ()):
            rest = b'%b,"content_index":0,"text":%b' % (item.prefix, _encode(part["text"]))
            return self._event(b"response.reasoning_text.done", rest) + self._content(item, part, b"done")
        return b""

    def _finish(self) -> bytes:
        """End whatever is still open. The last item is as complete as the answer."""
        status = status_of(self._reason)
        last = max(self._items, default=-1)
        ending = [self._ending] if self._ending is not None else []
        self._ending = None
        ending += [item for index, item in sorted(self._items.items()) if item not in ending]
        highest = max((*self._done, last), default=-1)
        return b"".join([self._close(item, status if item.index == highest else "completed") for item in ending])


def _delta_head(kind: bytes, prefix: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b",%b,"delta":' % (kind, kind, prefix)
