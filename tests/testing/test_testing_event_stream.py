"""Messages of the event stream, judged by botocore's own reader."""

from __future__ import annotations

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing.event_stream import broken, error, event, exception, message

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def read(data):
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.binary(max_size=200))
def test_botocore_reads_what_was_written(headers, payload):
    (found,) = read(message(headers, payload))
    assert (found.headers, found.payload) == (headers, payload)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_messages_follow_each_other(payloads):
    assert [found.payload for found in read(b"".join(event("chunk", one) for one in payloads))] == payloads


def test_what_each_kind_of_message_says():
    (told,) = read(exception("throttlingException", b'{"message":"Slow."}'))
    assert told.to_response_dict()["status_code"] == 400
    assert told.headers[":exception-type"] == "throttlingException"
    (bare,) = read(error("InternalFailure", "Broken."))
    assert (bare.headers[":message-type"], bare.headers[":error-code"]) == ("error", "InternalFailure")
    assert bare.headers[":error-message"] == "Broken."


def test_a_broken_message_has_a_wrong_checksum():
    with pytest.raises(ChecksumMismatch):
        read(broken(event("chunk", b"{}")))


@pytest.mark.parametrize("headers", [{"": "x"}, {"n" * 256: "x"}, {"n": "x" * 32_768}])
def test_what_a_header_cannot_hold(headers):
    with pytest.raises(ValueError, match="1 to 255"):
        message(headers, b"")
