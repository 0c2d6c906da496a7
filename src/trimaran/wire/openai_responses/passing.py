"""A stream of this API that goes to a client of this API: looked at, and passed on as it is.

Every delta is content, and so are a picture that is under way and the start of a call; the start of a message or of
reasoning says nothing yet. Events must be JSON; beyond that only the one that ends the answer is read closely, for its
usage and finish reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trimaran.errors import MalformedAnswer
from trimaran.wire.dialect import decode_json
from trimaran.wire.members import BAD_JSON
from trimaran.wire.openai_responses.answer import WireHead, billed, finish_of
from trimaran.wire.openai_responses.stream import ADDED, ENDS, FAILURES, PICTURE, WHAT, failure_of
from trimaran.wire.openai_responses.usage import neutral_tier
from trimaran.wire.relay import PassRelay

if TYPE_CHECKING:
    from trimaran.wire.openai_responses.dialect import OpenAIResponses

__all__ = ["ResponsesPassRelay"]

_SILENT_ITEMS = frozenset({"message", "reasoning", ""})
"""Their start is no content: nothing is said yet. That of a call, ours or one of the provider's tools, is."""


class _SeenItem(msgspec.Struct, gc=False):
    type: str = ""


class _Seen(msgspec.Struct):
    """What has to be seen of an event that passes."""

    type: str = ""
    item: _SeenItem | None = None
    response: msgspec.Raw = msgspec.Raw(b"{}")


class _Type(msgspec.Struct, gc=False):
    type: str = ""


_decode_seen = msgspec.json.Decoder(_Seen).decode
_decode_type = msgspec.json.Decoder(_Type).decode
_decode_head = msgspec.json.Decoder(WireHead).decode


class ResponsesPassRelay(PassRelay):
    """Passes events on, unknown ones too."""

    __slots__ = ("_dialect",)

    def __init__(self, dialect: OpenAIResponses) -> None:
        super().__init__(dialect)
        self._dialect = dialect

    def feed(self, data: bytes) -> bytes:
        # Whole events that are all content: look, count, pass the same bytes.
        if self._plain and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            events = data[:-2].split(b"\n\n")
            for event in events:
                start = event.find(b"\n") + 1 if event.startswith(b"event: ") else 0
                if not event.startswith(b"data: {", start) or event.find(b"\n", start) >= 0:
                    break
                try:
                    kind = _decode_type(event[start + 6 :]).type
                except BAD_JSON as error:
                    raise MalformedAnswer(f"{WHAT} is not what the dialect promises: {error}") from error
                if not kind.endswith(".delta"):
                    break
            else:
                self.content_events += len(events)
                return data
        return super().feed(data)

    def _take(self, block: bytes) -> bytes:
        name, data = self._parse(block)
        if data is None or (not data.startswith(b"{") and data.strip() == b"[DONE]"):
            return block
        event = decode_json(_decode_seen, data, WHAT)
        kind = event.type or name.decode("utf-8", "replace")
        if kind in FAILURES:
            raise failure_of(self._dialect, data)
        if kind.endswith(".delta") or kind == PICTURE or (kind == ADDED and _begins_call(event.item)):
            self.content_seen = True
            self.content_events += 1
        elif kind in ENDS:
            self._close(kind, event.response)
        return block

    def _close(self, kind: str, raw: msgspec.Raw) -> None:
        response = decode_json(_decode_head, raw, WHAT)
        response.status = kind.rpartition(".")[2]
        self.usage = billed(response)
        self.service_tier = neutral_tier(response.service_tier)
        self.finish_reason = finish_of(response)
        self.content_seen = True
        self.complete = True


def _begins_call(item: _SeenItem | None) -> bool:
    return item is not None and item.type not in _SILENT_ITEMS
