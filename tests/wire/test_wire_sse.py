"""Framing of server-sent events."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import MalformedAnswer
from trimaran.wire.framing import MAX_EVENT_BYTES
from trimaran.wire.sse import EventFramer, parse_event

pieces = st.sampled_from([b"data: x", b"data:", b": hi", b"event: e", b"\n", b"\r", b"\r\n", b"id: 1", b"y", b" "])
streams = st.lists(pieces, max_size=30).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(streams, st.lists(st.integers(0, 10_000), max_size=8))
def test_blocks_do_not_depend_on_where_bytes_were_split(stream: bytes, places: list[int]) -> None:
    whole = EventFramer()
    blocks = whole.push(stream)
    split = EventFramer()
    assert [block for data in cut(stream, places) for block in split.push(data)] == blocks
    rest = whole.rest()
    assert split.rest() == rest
    assert b"".join(blocks) + rest == stream
    assert not whole.pending


@given(streams)
def test_one_byte_at_a_time(stream: bytes) -> None:
    whole, slow = EventFramer(), EventFramer()
    assert [block for byte in stream for block in slow.push(bytes([byte]))] == whole.push(stream)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
def test_every_line_end_of_the_standard(end: bytes) -> None:
    framer = EventFramer()
    assert framer.push(b"data: 1" + end + b"data: 2") == [b"data: 1" + end]
    assert framer.rest() == b"data: 2"


def test_line_ends_may_change_on_the_way() -> None:
    assert EventFramer().push(b"data: 1\r\rdata: 2\n\n") == [b"data: 1\r\r", b"data: 2\n\n"]


def test_a_carriage_return_at_the_end_waits_for_what_follows() -> None:
    framer = EventFramer()
    assert framer.push(b"data: 1\r\n\r") == []
    assert framer.push(b"\ndata: 2") == [b"data: 1\r\n\r\n"]


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b"data: x\n\n", (b"", b"x")),
        (b"data:x\n\n", (b"", b"x")),
        (b"data:  x\n\n", (b"", b" x")),
        (b"data\n\n", (b"", b"")),
        (b"event: e\ndata: x\n\n", (b"e", b"x")),
        (b"event:e\r\ndata: x\r\n\r\n", (b"e", b"x")),
        (b"data: a\rdata: b\r\r", (b"", b"a\nb")),
        (b"data: a\n: note\ndata: b\n\n", (b"", b"a\nb")),
        (b": note\n\n", (b"", None)),
        (b"\n\n", (b"", None)),
        (b"event: e\nid: 3\nretry: 5\n\n", (b"e", None)),
        (b"\ndata: x\n\n", (b"", b"x")),
    ],
)
def test_parse_event(block: bytes, event: tuple[bytes, bytes | None]) -> None:
    assert parse_event(block) == event


def test_an_event_that_grows_too_large_is_refused() -> None:
    framer = EventFramer()
    framer.push(b"data: " + b"x" * (MAX_EVENT_BYTES - 6))
    with pytest.raises(MalformedAnswer, match="larger than 4 MiB"):
        framer.push(b"x")
