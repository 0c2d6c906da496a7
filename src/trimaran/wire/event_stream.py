"""AWS's event stream, ``application/vnd.amazon.eventstream``: framing only.

A message is a prelude (its whole length, the length of its headers, and a checksum of these two), headers, a payload,
and a checksum of all before it. Numbers are big-endian, checksums CRC-32. Headers have a name, a type and a value;
services send strings, so a message that is written here has no others, and of those read only strings are kept. What a
message is stands in ``:message-type``: an ``event`` (named by ``:event-type``), an ``exception`` (``:exception-type``,
with a payload like an event's) or an ``error`` (``:error-code`` and ``:error-message``, no payload). Names of events and
exceptions never meet, so one name tells a dialect which of them a block is; an ``error`` is given the form of an exception.

Source: the Smithy specification, "Amazon Event Stream" (https://smithy.io/2.0/aws/amazon-eventstream.html), and
botocore 1.44.8, ``eventstream.py``, read 2026-11-30.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from trimaran.errors import MalformedAnswer, StreamCut
from trimaran.wire.framing import MAX_EVENT_BYTES, Framing

__all__ = [
    "EVENT_STREAM",
    "EventStream",
    "EventStreamFramer",
    "event",
    "exception",
    "headers_of",
    "message",
    "payload_of",
]

_PRELUDE = struct.Struct(">III")
_WORD = struct.Struct(">I")
_SHORT = struct.Struct(">H")
_OVERHEAD = 16
"""The prelude and the last checksum: no message is shorter."""

MAX_HEADER_BYTES = 128 * 1024
"""The specification's own limit."""

_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a value by its type, where that is fixed: booleans, integers, a timestamp, a UUID."""
_BYTES, _STRING = 6, 7


class EventStreamFramer:
    """Cuts a byte stream into messages and checks both sums of each."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a message has begun that is not yet whole."""
        return bool(self._buffer)

    def push(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises :class:`MalformedAnswer` for what is none."""
        buffer = self._buffer
        buffer += data
        blocks: list[bytes] = []
        start, held = 0, len(buffer)
        while held - start >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(buffer, start)
            if crc32(buffer[start : start + 8]) != checksum:
                raise MalformedAnswer("the stream is no AWS event stream: the checksum of a message's prelude is wrong")
            if total < _OVERHEAD or headers > min(total - _OVERHEAD, MAX_HEADER_BYTES):
                raise MalformedAnswer("the stream holds a message whose lengths contradict each other")
            if total > MAX_EVENT_BYTES:
                raise MalformedAnswer(f"an event of the stream is larger than {MAX_EVENT_BYTES // 2**20} MiB")
            end = start + total
            if held < end:
                break
            block = bytes(buffer[start:end])
            if crc32(block[:-4]) != _WORD.unpack_from(block, total - 4)[0]:
                raise MalformedAnswer("the checksum of a message in the stream is wrong")
            blocks.append(block)
            start = end
        if start:
            del buffer[:start]
        return blocks

    def rest(self) -> bytes:
        """What has arrived of a message that is not whole; the framer is empty afterwards."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


class EventStream(Framing):
    """The framing of Bedrock's and SageMaker's streams."""

    content_type: ClassVar[bytes] = b"application/vnd.amazon.eventstream"

    def framer(self) -> EventStreamFramer:
        return EventStreamFramer()

    def parse(self, block: bytes) -> tuple[bytes, bytes | None]:
        headers = headers_of(block)
        kind = headers.get(":message-type", "event")
        if kind == "event":
            return headers.get(":event-type", "").encode(), payload_of(block)
        if kind == "exception":
            return headers.get(":exception-type", "").encode(), payload_of(block)
        if kind == "error":
            words = {"message": headers.get(":error-message", "")}
            return headers.get(":error-code", "").encode(), msgspec.json.encode(words)
        return b"", None

    def last(self, rest: bytes) -> bytes:
        if rest:
            raise StreamCut("the stream ended in the middle of an event")
        return b""


EVENT_STREAM = EventStream()


def headers_of(block: bytes) -> dict[str, str]:
    """The headers of one whole message that are strings. Raises :class:`MalformedAnswer`."""
    at, end = _PRELUDE.size, _PRELUDE.size + _WORD.unpack_from(block, 4)[0]
    headers: dict[str, str] = {}
    try:
        while at < end:
            name_end = at + 1 + block[at]
            name, kind = block[at + 1 : name_end], block[name_end]
            at = name_end + 1
            size = _SIZES.get(kind)
            if size is None:
                if kind not in (_BYTES, _STRING):
                    raise MalformedAnswer(f"a message in the stream has a header of the unknown type {kind}")
                size = _SHORT.unpack_from(block, at)[0]
                at += 2
            if at + size > end:
                raise MalformedAnswer("a message in the stream has a header that does not end")
            if kind == _STRING:
                headers[name.decode()] = block[at : at + size].decode()
            at += size
    except (UnicodeDecodeError, IndexError, struct.error) as error:
        raise MalformedAnswer("a message in the stream has a header that cannot be read") from error
    return headers


def payload_of(block: bytes) -> bytes:
    """The payload of one whole message."""
    return block[_PRELUDE.size + _WORD.unpack_from(block, 4)[0] : -4]


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Raises ``ValueError`` for a name above 255 or a value above 65,535 bytes, which no header can hold."""
    head = bytearray()
    for name, value in headers.items():
        key, text = name.encode(), value.encode()
        if len(key) > 255 or len(text) > 65_535:
            raise ValueError(f"the header {name[:40]!r} is too long for an event stream")
        head += bytes((len(key),)) + key + b"\x07" + _SHORT.pack(len(text)) + text
    total = _OVERHEAD + len(head) + len(payload)
    prelude = struct.pack(">II", total, len(head))
    body = b"%b%b%b%b" % (prelude, _WORD.pack(crc32(prelude)), bytes(head), payload)
    return body + _WORD.pack(crc32(body))


def event(name: str, payload: bytes) -> bytes:
    """An event whose payload is a JSON document."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception whose payload is a JSON document. Nothing follows it."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, payload)
