"""The text of an answer in ``openai.chat``, for the library, which gives people text and not wire formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from trimaran.wire import DIALECTS, ChatDialect
from trimaran.wire.events import Answer, TextDelta
from trimaran.wire.sse import EventFramer, parse_event

__all__ = ["StreamText", "answer_of"]

_CHAT = cast(ChatDialect, DIALECTS["openai.chat"])


def answer_of(body: bytes) -> Answer:
    """A whole answer. Raises :class:`~trimaran.errors.MalformedAnswer`."""
    return _CHAT.decode_answer(body)


class StreamText:
    """The text pieces of one streamed answer."""

    __slots__ = ("_decoder", "_framer")

    def __init__(self) -> None:
        self._decoder = _CHAT.stream_decoder()
        self._framer = EventFramer()

    def feed(self, data: bytes) -> Iterator[str]:
        """The pieces in ``data``, in order."""
        for block in self._framer.push(data):
            name, payload = parse_event(block)
            if payload is None:
                continue
            for event in self._decoder.decode(name, payload):
                if isinstance(event, TextDelta):
                    yield event.text
