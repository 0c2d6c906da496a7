"""Where a client's stream of a Response stands.

The last event repeats the whole answer, so what has ended is kept as it stood on the wire, and of the message that is
open all that it said. The events that end a message come one by one where a provider wrote them: a message of which only
some of them have come is ended first, and what follows is another one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.wire.dialect import Envelope
from trimaran.wire.events import ServiceTier
from trimaran.wire.openai_responses.answer import ResponseWriter
from trimaran.wire.openai_responses.stream_writer import ResponsesEncoder
from trimaran.wire.streams import Resumed, StreamPosition

__all__ = ["ResponsesPosition"]

MAX_KEPT_BYTES = 2**20
"""Of the items that have ended. Hidden reasoning is the largest of them, with some 100 KiB."""


class _Item(msgspec.Struct, gc=False):
    type: str = ""
    id: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    sequence_number: int | None = None
    output_index: int = 0
    content_index: int = 0
    delta: Any = None
    logprobs: list[Any] | None = None
    item: msgspec.Raw = msgspec.Raw(b"{}")
    response: msgspec.Raw = msgspec.Raw(b"null")


class _Open:
    """An item that has not ended. ``at``: ``item`` (nothing of its content yet), ``content_part``, ``text.done``,
    ``content_part.done``."""

    __slots__ = ("at", "id", "kind", "logprobs", "pieces")

    def __init__(self, kind: str, id: str) -> None:
        self.kind = kind
        self.id = id
        self.at = "item"
        self.pieces: list[str] = []
        self.logprobs: list[Any] = []


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_response = msgspec.json.Decoder(dict[str, Any] | None).decode


class ResponsesPosition(StreamPosition):
    """Follows the items and the sequence."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._sequence = 0
        self._response: dict[str, Any] = {}
        self._items: dict[int, _Open] = {}
        self._done: dict[int, bytes] = {}
        self._kept = 0

    @property
    def why_not(self) -> str:
        if any(item.kind != "message" for item in self._items.values()):
            return self.impossible or "the model was not speaking"
        return self.impossible

    def see(self, name: bytes, data: bytes) -> None:
        if not data.startswith(b"{"):
            return
        event = _decode_event(data)
        kind = event.type or name.decode("utf-8", "replace")
        self._sequence = (self._sequence if event.sequence_number is None else event.sequence_number) + 1
        if kind in ("response.created", "response.in_progress"):
            self._response = _decode_response(event.response) or {}
        elif kind == "response.output_item.added":
            item = _decode_item(event.item)
            self._items[event.output_index] = _Open(item.type, item.id or "")
        elif kind == "response.output_item.done":
            self._end(event)
        elif kind.startswith(("response.output_text.", "response.content_part.")):
            self._content(kind, event)
        if len(self._items) > 1:
            self.impossible = "several parts of the answer are under way at once"

    def _end(self, event: _Event) -> None:
        self._items.pop(event.output_index, None)
        self._done[event.output_index] = done = bytes(event.item)
        self._kept += len(done)
        if self._kept > MAX_KEPT_BYTES:
            self.impossible = "the answer is too long to be continued"

    def _content(self, kind: str, event: _Event) -> None:
        item = self._items.get(event.output_index)
        if item is None:
            self.impossible = "an item of the answer was not announced"
        elif item.kind != "message":
            return
        elif event.content_index:
            self.impossible = "a message of the answer has several parts"
        elif kind == "response.output_text.delta":
            if item.at != "content_part":
                self.impossible = "a part of the answer was not announced"
            item.pieces.append(str(event.delta))
            item.logprobs += event.logprobs or ()
        elif kind == "response.content_part.added":
            item.at = "content_part"
        elif kind == "response.output_text.done":
            item.at = "text.done"
        elif kind == "response.content_part.done":
            item.at = "content_part.done"

    def resume(self, tier: str) -> Resumed:
        encoder = ResponsesEncoder(self._envelope, 0)
        encoder.go_on(ResponseWriter.of(self._response), self._sequence, dict(self._done))
        if tier:
            encoder.encode(ServiceTier(tier))
        following = max((*self._done, *self._items), default=-1) + 1
        for index, item in self._items.items():
            pieces, logprobs = list(item.pieces), list(item.logprobs)
            if item.at in ("item", "content_part"):
                first = encoder.take_over(index, item.id, pieces, logprobs, announced=item.at != "item")
                return Resumed(encoder, index, following, first)
            first = encoder.wind_up(index, item.id, pieces, logprobs, part_ended=item.at == "content_part.done")
            return Resumed(encoder, None, following, first)
        return Resumed(encoder, None, following)
