"""Streams of the Responses API, read.

An event names its item by ``output_index``, and within a message its part by ``content_index``; each such part, each
reasoning item and each call is one neutral part. Whether a reasoning item tells a summary, its thoughts or nothing is
known only when it says something or ends, so its part starts then. What a server tells only in an event that ends
something is taken from there.

The answer is whole with ``response.completed`` or ``response.incomplete``, which bring the usage. There is no end marker;
one that a server writes all the same is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.errors import AttemptError, MalformedAnswer
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import decode_json
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
from trimaran.wire.failures import attempt_error, read_complaint
from trimaran.wire.openai_responses.answer import OutputItem, WireHead, WireResponse, billed, finish_of, parts_of
from trimaran.wire.openai_responses.items import ORIGIN
from trimaran.wire.openai_responses.usage import neutral_tier
from trimaran.wire.streams import StreamDecoder

if TYPE_CHECKING:
    from trimaran.wire.openai_responses.dialect import OpenAIResponses

__all__ = ["ADDED", "ENDS", "FAILURES", "PICTURE", "WHAT", "ResponsesDecoder", "failure_of"]

ENDS = frozenset({"response.completed", "response.incomplete"})
FAILURES = frozenset({"response.failed", "error"})
ADDED = "response.output_item.added"
PICTURE = "response.image_generation_call.partial_image"
WHAT = "an event of the stream"
_ABSENT = msgspec.Raw(b"{}")


class _ContentPart(msgspec.Struct):
    type: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    logprobs: list[Any] | None = None
    item: OutputItem | None = None
    part: _ContentPart | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    response: msgspec.Raw = _ABSENT


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_head = msgspec.json.Decoder(WireHead).decode
_decode_response = msgspec.json.Decoder(WireResponse).decode


class _Open:
    """A part that has started."""

    __slots__ = ("ended", "index", "place", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.said = False
        self.ended = False
        self.place = -1
        """Which summary or content of a reasoning item spoke last."""


class ResponsesDecoder(StreamDecoder):
    """Events to neutral events."""

    def __init__(self, dialect: OpenAIResponses) -> None:
        self._dialect = dialect
        self._started = False
        self._parts: dict[tuple[int, int], _Open] = {}
        self._ids: dict[int, str] = {}
        self._calls = False

    def decode(self, name: bytes, data: bytes) -> Sequence[Event]:
        if not data.startswith(b"{") and data.strip() == b"[DONE]":
            return ()
        event = decode_json(_decode_event, data, WHAT)
        kind = event.type = event.type or name.decode("utf-8", "replace")
        if kind == "response.output_text.delta" and self._started:
            known = self._parts.get((event.output_index, event.content_index))
            if known is not None and type(event.delta) is str:
                known.said = True
                return (TextDelta(event.delta, known.index, event.logprobs or None),)
        if kind in FAILURES:
            raise failure_of(self._dialect, data)
        handle = _HANDLERS.get(kind)
        if handle is None:
            return (OtherDelta(kind),) if kind.endswith(".delta") or kind == PICTURE else ()
        out: list[Event] = []
        if not self._started:
            self._start(event, out)
        out += handle(self, event)
        if kind in ENDS:
            self.complete = True
        return out

    def _start(self, event: _Event, out: list[Event]) -> None:
        self._started = True
        head = decode_json(_decode_head, event.response, WHAT)
        out.append(Started(head.id or "", head.model or ""))

    # Parts

    def _open(self, event: _Event, part: Part, content_index: int = -1) -> Iterator[Event]:
        """Start the part at this event's place, unless it has started."""
        key = (event.output_index, content_index)
        if key not in self._parts:
            opened = self._parts[key] = _Open(len(self._parts))
            yield PartStarted(opened.index, part)

    def _end(self, key: tuple[int, int]) -> Iterator[Event]:
        opened = self._parts[key]
        if not opened.ended:
            opened.ended = True
            yield PartEnded(opened.index)

    def _say(self, event: _Event, part: Part, text: str) -> Iterator[Event]:
        """Text of a message."""
        yield from self._open(event, part, event.content_index)
        opened = self._parts[event.output_index, event.content_index]
        opened.said = True
        yield TextDelta(text, opened.index, event.logprobs or None)

    def _rest(self, event: _Event, part: Part, text: str | None) -> Iterator[Event]:
        """The text that an event repeats at the end, where nothing of it was heard before."""
        opened = self._parts.get((event.output_index, event.content_index))
        if text and (opened is None or not opened.said):
            yield from self._say(event, part, text)

    def _think(self, event: _Event, text: str, *, summary: bool, place: int) -> Iterator[Event]:
        id = self._ids.get(event.output_index, "")
        yield from self._open(event, Reasoning(origin=ORIGIN, id=id, summary=summary))
        opened = self._parts[event.output_index, -1]
        if text:
            gap = "\n\n" if opened.said and place != opened.place else ""
            opened.place, opened.said = place, True
            yield ReasoningDelta(gap + text, opened.index)

    # Events

    def _nothing(self, event: _Event) -> Iterator[Event]:
        return iter(())

    def _item_added(self, event: _Event) -> Iterator[Event]:
        item = event.item
        if item is None or item.type == "message":
            return
        if item.type == "reasoning":
            self._ids[event.output_index] = item.id or ""
        elif item.type == "function_call":
            if not item.name:
                raise MalformedAnswer("the answer calls a tool without a name")
            self._calls = True
            yield from self._open(event, ToolCall(item.call_id or item.id or "", item.name, ""))
        else:
            yield OtherDelta(item.type or "item without a type")

    def _part_added(self, event: _Event) -> Iterator[Event]:
        kind = event.part.type if event.part is not None else ""
        if kind in ("output_text", "refusal"):
            yield from self._open(event, Text("") if kind == "output_text" else Refusal(""), event.content_index)
        elif kind == "reasoning_text":
            yield from self._think(event, "", summary=False, place=event.content_index)

    def _text(self, event: _Event) -> Iterator[Event]:
        return self._say(event, Text(""), _words(event))

    def _refusal(self, event: _Event) -> Iterator[Event]:
        return self._say(event, Refusal(""), _words(event))

    def _text_done(self, event: _Event) -> Iterator[Event]:
        return self._rest(event, Text(""), event.text)

    def _refusal_done(self, event: _Event) -> Iterator[Event]:
        return self._rest(event, Refusal(""), event.refusal)

    def _part_done(self, event: _Event) -> Iterator[Event]:
        key = (event.output_index, event.content_index)
        return self._end(key) if key in self._parts else iter(())

    def _summary(self, event: _Event) -> Iterator[Event]:
        return self._think(event, _words(event), summary=True, place=event.summary_index)

    def _thoughts(self, event: _Event) -> Iterator[Event]:
        return self._think(event, _words(event), summary=False, place=event.content_index)

    def _arguments(self, event: _Event) -> Iterator[Event]:
        opened = self._parts.get((event.output_index, -1))
        if opened is None:
            raise MalformedAnswer("the stream has arguments of a call that has not begun")
        opened.said = True
        yield ArgumentsDelta(_words(event), opened.index)

    def _arguments_done(self, event: _Event) -> Iterator[Event]:
        opened = self._parts.get((event.output_index, -1))
        if opened is not None and not opened.said and event.arguments:
            opened.said = True
            yield ArgumentsDelta(event.arguments, opened.index)

    def _citation(self, event: _Event) -> Iterator[Event]:
        yield OtherDelta("citation")

    def _item_done(self, event: _Event) -> Iterator[Event]:
        item = event.item
        if item is None or item.type not in ("message", "reasoning", "function_call"):
            return
        logprobs: list[Any] = []
        parts: list[Part] = decode_json(lambda data: parts_of(data, logprobs), item, WHAT)  # type: ignore[arg-type]
        if item.type == "message":
            for place, part in enumerate(parts):
                event.content_index = place
                empty = Text("") if isinstance(part, Text) else Refusal("")
                yield from self._rest(event, empty, part.text)  # type: ignore[union-attr]
            for key in [key for key in self._parts if key[0] == event.output_index]:
                yield from self._end(key)
        elif item.type == "function_call":
            yield from self._item_added(event)
            event.arguments = parts[0].arguments  # type: ignore[union-attr]
            yield from self._arguments_done(event)
            yield from self._end((event.output_index, -1))
        else:
            yield from self._reasoning_done(event, parts)

    def _reasoning_done(self, event: _Event, parts: list[Part]) -> Iterator[Event]:
        key = (event.output_index, -1)
        if parts and isinstance(part := parts[0], Reasoning):
            text, state = part.text, part.state
            part.text = part.state = ""
            yield from self._open(event, part)
            opened = self._parts[key]
            if text and not opened.said:
                yield ReasoningDelta(text, opened.index)
            if state:
                yield ReasoningState(state, opened.index)
        if key in self._parts:
            yield from self._end(key)

    def _finish(self, event: _Event) -> Iterator[Event]:
        response = decode_json(_decode_head if self._parts else _decode_response, event.response, WHAT)
        if response.error is not None:
            raise self._dialect.error_in_answer(response.error)
        if not self._parts:
            for place, item in enumerate(response.output or ()):
                yield from self._item_done(_Event(item=item, output_index=place))
        for key in list(self._parts):
            yield from self._end(key)
        response.status = event.type.rpartition(".")[2]
        usage = billed(response)
        if usage is not None:
            yield UsageReport(usage)
        tier = neutral_tier(response.service_tier)
        if tier:
            yield ServiceTier(tier)
        reason = finish_of(response)
        yield Finished("tool_calls" if reason == "stop" and self._calls else reason)


_HANDLERS: dict[str, Callable[[ResponsesDecoder, _Event], Iterator[Event]]] = {
    "response.created": ResponsesDecoder._nothing,
    "response.queued": ResponsesDecoder._nothing,
    "response.in_progress": ResponsesDecoder._nothing,
    ADDED: ResponsesDecoder._item_added,
    "response.output_item.done": ResponsesDecoder._item_done,
    "response.content_part.added": ResponsesDecoder._part_added,
    "response.content_part.done": ResponsesDecoder._part_done,
    "response.output_text.delta": ResponsesDecoder._text,
    "response.output_text.done": ResponsesDecoder._text_done,
    "response.output_text.annotation.added": ResponsesDecoder._citation,
    "response.refusal.delta": ResponsesDecoder._refusal,
    "response.refusal.done": ResponsesDecoder._refusal_done,
    "response.reasoning_summary_text.delta": ResponsesDecoder._summary,
    "response.reasoning_text.delta": ResponsesDecoder._thoughts,
    "response.function_call_arguments.delta": ResponsesDecoder._arguments,
    "response.function_call_arguments.done": ResponsesDecoder._arguments_done,
    "response.completed": ResponsesDecoder._finish,
    "response.incomplete": ResponsesDecoder._finish,
}


def _words(event: _Event) -> str:
    if not isinstance(event.delta, str):
        raise MalformedAnswer(f"{WHAT} has a delta that is no text")
    return event.delta


def failure_of(dialect: OpenAIResponses, data: bytes) -> AttemptError:
    """The error that a failed response, or an error event, stands for. Both its flat and its nested form are read."""
    value = decode_json(msgspec.json.decode, data, WHAT)
    response = value.get("response")
    holder = response if isinstance(response, dict) else value
    inner = holder.get("error") if isinstance(holder.get("error"), dict | str) else holder
    complaint = read_complaint({"error": inner})
    status = value.get("status")
    if type(status) is not int or not 400 <= status < 600:
        status = complaint.status
    return attempt_error(complaint, dialect=dialect.name, status=status)
