"""Framing of AWS's event stream; botocore's own buffer is the judge of both directions."""

from __future__ import annotations

import itertools
import json

import pytest
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, MessagePrelude
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import MalformedAnswer, StreamCut
from trimaran.wire.event_stream import (
    EVENT_STREAM,
    EventStreamFramer,
    event,
    exception,
    headers_of,
    message,
    payload_of,
)
from trimaran.wire.framing import MAX_EVENT_BYTES

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
headers = st.dictionaries(names, st.text(max_size=60), max_size=5)
payloads = st.binary(max_size=400)
messages = st.lists(st.tuples(headers, payloads), min_size=1, max_size=6)


def botocores(data: bytes) -> list[EventStreamMessage]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(messages)
def test_botocore_reads_what_is_written(given: list[tuple[dict[str, str], bytes]]) -> None:
    read = botocores(b"".join(message(*each) for each in given))
    assert [(each.headers, each.payload) for each in read] == given


@given(messages, st.lists(st.integers(0, 10_000), max_size=8))
def test_blocks_do_not_depend_on_where_bytes_were_split(
    given: list[tuple[dict[str, str], bytes]], places: list[int]
) -> None:
    stream = b"".join(message(*each) for each in given)
    framer = EventStreamFramer()
    blocks = [block for data in cut(stream, places) for block in framer.push(data)]
    assert b"".join(blocks) == stream
    assert not framer.pending
    assert [(headers_of(block), payload_of(block)) for block in blocks] == given


def test_one_byte_at_a_time() -> None:
    stream = event("messageStart", b'{"role":"assistant"}') + exception("throttlingException", b"{}")
    framer = EventStreamFramer()
    found = [block for byte in stream for block in framer.push(bytes([byte]))]
    assert [EVENT_STREAM.parse(block) for block in found] == [
        (b"messageStart", b'{"role":"assistant"}'),
        (b"throttlingException", b"{}"),
    ]


_TYPED = {
    "true": b"\x00",
    "false": b"\x01",
    "byte": b"\x02\xff",
    "short": b"\x03\x01\x02",
    "integer": b"\x04\x00\x00\x00\x07",
    "long": b"\x05" + bytes(8),
    "bytes": b"\x06\x00\x02hi",
    "timestamp": b"\x08" + bytes(7) + b"\x01",
    "uuid": b"\x09" + bytes(16),
}


@pytest.mark.parametrize("kind", _TYPED)
def test_headers_of_every_type_are_stepped_over(kind: str) -> None:
    name = kind.encode()
    odd = bytes((len(name),)) + name + _TYPED[kind]
    whole = message({":event-type": "chunk"}, b"{}")
    size = int.from_bytes(whole[4:8]) + len(odd)
    block = _summed(16 + size + 2, size, odd + whole[12 : -4 - 2], b"{}")
    (read,) = botocores(block)
    assert kind in read.headers
    assert EventStreamFramer().push(block) == [block]
    assert EVENT_STREAM.parse(block) == (b"chunk", b"{}")


def _summed(total: int, size: int, head: bytes, payload: bytes) -> bytes:
    from binascii import crc32

    prelude = total.to_bytes(4) + size.to_bytes(4)
    body = prelude + crc32(prelude).to_bytes(4) + head + payload
    return body + crc32(body).to_bytes(4)


def test_an_error_of_the_framing_reads_like_an_exception() -> None:
    head = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "it broke"}
    name, data = EVENT_STREAM.parse(message(head, b""))
    assert name == b"InternalFailure"
    assert json.loads(data or b"") == {"message": "it broke"}


def test_a_message_of_an_unknown_kind_says_nothing() -> None:
    assert EVENT_STREAM.parse(message({":message-type": "initial"}, b"x"))[1] is None


@given(messages, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(given: list[tuple[dict[str, str], bytes]], place: int, flip: int) -> None:
    stream = bytearray(b"".join(message(*each) for each in given))
    stream[place % len(stream)] ^= flip
    framer = EventStreamFramer()
    with pytest.raises(MalformedAnswer, match="checksum"):
        framer.push(bytes(stream))


def test_an_honest_prelude_with_impossible_lengths() -> None:
    with pytest.raises(MalformedAnswer, match="contradict"):
        EventStreamFramer().push(_summed(15, 0, b"", b""))
    with pytest.raises(MalformedAnswer, match="contradict"):
        EventStreamFramer().push(_summed(40, 25, b"", b""))
    with pytest.raises(MalformedAnswer, match="larger than 4 MiB"):
        EventStreamFramer().push(_summed(MAX_EVENT_BYTES + 1, 0, b"", b""))


@given(st.binary(max_size=60))
def test_headers_of_any_bytes_are_read_or_refused(head: bytes) -> None:
    block = _summed(16 + len(head), len(head), head, b"")
    (block,) = EventStreamFramer().push(block)
    try:
        read = headers_of(block)
    except MalformedAnswer:
        return
    assert all(isinstance(each, str) for pair in read.items() for each in pair)


def test_a_stream_may_not_end_inside_a_message() -> None:
    framer = EventStreamFramer()
    assert framer.push(event("messageStop", b"{}")[:-1]) == []
    assert framer.pending
    with pytest.raises(StreamCut):
        EVENT_STREAM.last(framer.rest())
    assert EVENT_STREAM.last(b"") == b""


def test_what_no_header_can_hold() -> None:
    with pytest.raises(ValueError, match="too long"):
        message({"x" * 256: "1"}, b"")
    with pytest.raises(ValueError, match="too long"):
        message({"x": "1" * 65_536}, b"")


def test_the_judge_is_awake() -> None:
    (read,) = botocores(event("metadata", b"{}"))
    assert isinstance(read.prelude, MessagePrelude)
    assert read.to_response_dict()["status_code"] == 200
    (failed,) = botocores(exception("throttlingException", b"{}"))
    assert failed.to_response_dict()["status_code"] == 400
