"""Relays: what reaches the client, when, and what a stream's end means. The SDKs read what we write."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import (
    AttemptError,
    ContextTooLong,
    CredentialRejected,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
    TrimaranError,
)
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS, StreamRelay, translate
from trimaran.wire.conversation import Text
from trimaran.wire.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReport
from trimaran.wire.fold import fold
from trimaran.wire.relay import MAX_HELD_BYTES
from trimaran.wire.sse import EventFramer, parse_event

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
GPT = Target(id="openai/gpt", provider="openai", upstream_model="gpt", dialects=("openai.chat",), base_url="http://t")
CLAUDE = Target(
    id="a/c", provider="anthropic", upstream_model="c", dialects=("anthropic.messages",), base_url="http://t"
)

DONE = b"data: [DONE]\n\n"
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def relay(client: Any, target: Target, *, include_usage: bool = False) -> StreamRelay:
    request: dict[str, Any] = {
        "model": "chat",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    if include_usage and client is CHAT:
        request["stream_options"] = {"include_usage": True}
    return translate(client, client.read(json.dumps(request).encode()), target).relay(created_s=1700000000)


def chunk(delta: Any = None, finish: str | None = None, index: int = 0, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-2024",
        "choices": choices,
    }
    return b"data: %b\n\n" % json.dumps(body | {"usage": None} | fields).encode()


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind} | fields).encode())


CHAT_USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 4,
    "total_tokens": 34,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
HELLO, THERE = chunk({"content": "Hello "}), chunk({"content": "there"})
STOP = chunk({}, "stop")
USAGE = chunk(None, usage=CHAT_USAGE)
CHAT_STREAM = [ROLE, HELLO, THERE, STOP, USAGE, DONE]

START = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-2025",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_read_input_tokens": 8,
            "cache_creation_input_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 1,
        },
    },
)
PING = event("ping")
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
A_HELLO = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello "})
A_THERE = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "there"})
BLOCK_STOP = event("content_block_stop", index=0)
A_STOP = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 4})
MESSAGES_STREAM = [START, PING, BLOCK, A_HELLO, A_THERE, BLOCK_STOP, A_STOP, MESSAGE_STOP]

SOURCES = {GPT.dialects[0]: CHAT_STREAM, CLAUDE.dialects[0]: MESSAGES_STREAM}
PAIRS = [(client, target) for client in (CHAT, MESSAGES) for target in (GPT, CLAUDE)]


def run(subject: StreamRelay, pieces: Iterable[bytes]) -> bytes:
    return b"".join([subject.feed(piece) for piece in pieces]) + subject.finish()


# The same dialect


def test_chunks_pass_as_they_are() -> None:
    subject = relay(CHAT, GPT, include_usage=True)
    assert subject.feed(ROLE) == b""
    assert not subject.content_seen
    assert subject.feed(HELLO) == ROLE + HELLO
    assert subject.content_seen
    assert subject.feed(THERE) is THERE
    assert subject.feed(STOP) == STOP
    assert (subject.finish_reason, subject.usage, subject.complete) == ("stop", None, False)
    assert subject.feed(USAGE) == USAGE
    assert subject.usage == Usage(30, 4, 8, 0, 0, 1)
    assert subject.feed(DONE) == DONE
    assert (subject.complete, subject.content_events) == (True, 2)
    assert subject.feed(HELLO) == subject.finish() == b""


def test_usage_that_the_client_did_not_ask_for_is_removed() -> None:
    subject = relay(CHAT, GPT)
    assert run(subject, CHAT_STREAM) == b"".join([ROLE, HELLO, THERE, STOP, DONE])
    assert subject.usage == Usage(30, 4, 8, 0, 0, 1)


def test_usage_beside_other_things_stays() -> None:
    last = chunk({}, "stop", usage=CHAT_USAGE)
    running = chunk({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
    filters = chunk(None, prompt_filter_results=[])
    subject = relay(CHAT, GPT)
    assert run(subject, [filters, HELLO, running, last, DONE]) == b"".join([filters, HELLO, running, last, DONE])
    assert subject.usage == Usage(30, 4, 8, 0, 0, 1)
    assert subject.content_events == 2


def test_events_of_anthropic_pass_as_they_are() -> None:
    subject = relay(MESSAGES, CLAUDE)
    assert subject.feed(START + PING) == subject.feed(BLOCK) == b""
    assert subject.usage == Usage(30, 1, 8, 2, 2)
    assert not subject.content_seen
    assert subject.feed(A_HELLO) == START + PING + BLOCK + A_HELLO
    assert subject.feed(A_THERE) is A_THERE
    assert subject.feed(PING) == PING
    assert subject.feed(BLOCK_STOP + A_STOP) == BLOCK_STOP + A_STOP
    assert (subject.finish_reason, subject.usage) == ("stop", Usage(30, 4, 8, 2, 2))
    assert subject.feed(MESSAGE_STOP + b": bye\n\n") == MESSAGE_STOP
    assert (subject.complete, subject.content_events) == (True, 2)


def test_a_later_usage_overwrites_what_it_repeats() -> None:
    late = event(
        "message_delta",
        delta={"stop_reason": "max_tokens"},
        usage={"input_tokens": 50, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}},
    )
    subject = relay(MESSAGES, CLAUDE)
    run(subject, [START, A_HELLO, late, MESSAGE_STOP])
    assert subject.usage == Usage(60, 9, 8, 2, 2, 5)
    assert subject.finish_reason == "length"


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f"}},
        {"refusal": "no"},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"audio": {"id": "a"}},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_what_is_content_in_a_chunk(delta: Any) -> None:
    subject = relay(CHAT, GPT)
    first = chunk(delta)
    assert subject.feed(ROLE) == b""
    assert subject.feed(first) == ROLE + first
    assert (subject.content_seen, subject.content_events) == (True, 1)


@pytest.mark.parametrize(
    "piece",
    [
        chunk({"role": "assistant"}),
        chunk({"content": ""}),
        chunk({"content": None, "tool_calls": None, "reasoning_content": ""}),
        chunk({"tool_calls": []}),
        chunk(None, prompt_filter_results=[]),
        chunk({}, ""),
        b": keep-alive\n\n",
        b"event: other\n\n",
        b'data: {"choices":null}\n\n',
        b'data: {"choices":[{"delta":null}]}\n\n',
        b"\n",
    ],
)
def test_what_is_no_content_in_a_chunk(piece: bytes) -> None:
    subject = relay(CHAT, GPT)
    assert subject.feed(piece) == b""
    assert (subject.content_seen, subject.content_events) == (False, 0)
    assert subject.feed(HELLO) == piece + HELLO


def test_a_finish_reason_commits() -> None:
    subject = relay(CHAT, GPT)
    assert subject.feed(STOP) == STOP
    assert (subject.content_seen, subject.content_events) == (True, 0)
    subject = relay(MESSAGES, CLAUDE)
    assert subject.feed(START + A_STOP) == START + A_STOP
    assert (subject.content_seen, subject.content_events) == (True, 0)


def test_a_signature_alone_is_no_content() -> None:
    piece = event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "abc"})
    subject = relay(MESSAGES, CLAUDE)
    assert subject.feed(START + piece) == b""
    assert not subject.content_seen
    assert subject.feed(A_HELLO) == START + piece + A_HELLO


@pytest.mark.parametrize("kind", ["text_delta", "input_json_delta", "thinking_delta", "new_delta"])
def test_every_other_block_delta_of_anthropic_is_content(kind: str) -> None:
    piece = event("content_block_delta", index=0, delta={"type": kind})
    subject = relay(MESSAGES, CLAUDE)
    assert subject.feed(START) == b""
    assert subject.feed(piece) == START + piece
    assert subject.feed(piece) is piece
    assert subject.content_events == 2


def test_unknown_events_of_anthropic_pass() -> None:
    new = event("brand_new", data=[1])
    subject = relay(MESSAGES, CLAUDE)
    assert run(subject, [START, new, A_HELLO, new, A_STOP, MESSAGE_STOP]) == b"".join(
        [START, new, A_HELLO, new, A_STOP, MESSAGE_STOP]
    )


def test_a_name_stands_in_for_a_missing_type() -> None:
    bare = b'event: content_block_delta\ndata: {"delta":{"type":"text_delta","text":"x"}}\n\n'
    subject = relay(MESSAGES, CLAUDE)
    assert subject.feed(START + bare) == START + bare


def test_several_events_at_once() -> None:
    subject = relay(CHAT, GPT)
    subject.feed(ROLE + HELLO)
    many = THERE * 5
    assert subject.feed(many) is many
    assert subject.content_events == 6
    assert subject.feed(THERE + STOP + USAGE + DONE) == THERE + STOP + DONE
    assert (subject.content_events, subject.complete) == (7, True)
    subject = relay(MESSAGES, CLAUDE)
    subject.feed(START + A_HELLO)
    many = A_THERE * 5
    assert subject.feed(many) is many
    assert subject.content_events == 6


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize(("client", "target"), [(CHAT, GPT), (MESSAGES, CLAUDE)])
def test_other_line_ends_pass(client: Any, target: Target, end: bytes) -> None:
    pieces = [piece.replace(b"\n", end) for piece in SOURCES[target.dialects[0]] if piece is not USAGE]
    # The blank line of the very last event may be written anew, because a lone carriage return waits for what follows.
    assert run(relay(client, target), pieces).rstrip() == b"".join(pieces).rstrip()


def test_pieces_of_a_split_event_wait_for_its_end() -> None:
    subject = relay(CHAT, GPT)
    subject.feed(HELLO)
    assert subject.feed(THERE[:30]) == b""
    assert subject.feed(THERE[30:-1]) == b""
    assert subject.feed(THERE[-1:] + STOP) == THERE + STOP


def test_several_choices_are_whole_when_each_has_finished() -> None:
    first, second = chunk({"content": "a"}), chunk({"content": "b"}, index=1)
    subject = relay(CHAT, GPT)
    subject.feed(first + second + STOP)
    with pytest.raises(StreamCut):
        subject.finish()
    subject = relay(CHAT, GPT)
    subject.feed(first)
    subject.feed(second)
    assert subject.content_events == 2
    subject.feed(STOP + chunk({}, "length", index=1))
    assert subject.finish() == DONE
    assert subject.finish_reason == "stop"


# Once content flows, plain text takes a short cut. What is more than plain text must not.


def flowing(client: Any, target: Target) -> StreamRelay:
    subject = relay(client, target)
    subject.feed(HELLO if target is GPT else START + A_HELLO)
    return subject


@pytest.mark.parametrize(
    "piece",
    [
        chunk({"content": "x"}, index=1),
        chunk(choices=[{"index": 0, "delta": {"content": "x"}}, {"index": 1, "delta": {"content": "y"}}]),
    ],
)
def test_a_further_choice_is_noticed(piece: bytes) -> None:
    subject = flowing(CHAT, GPT)
    assert subject.feed(piece) == piece
    subject.feed(STOP)
    with pytest.raises(StreamCut):
        subject.finish()


def test_a_finish_reason_beside_text_is_noticed() -> None:
    subject = flowing(CHAT, GPT)
    subject.feed(chunk({"content": "x"}, "length"))
    assert (subject.finish_reason, subject.content_events, subject.finish()) == ("length", 2, DONE)


def test_usage_beside_text_is_noticed() -> None:
    subject = flowing(CHAT, GPT)
    subject.feed(chunk({"content": "x"}, usage=CHAT_USAGE))
    assert subject.usage == Usage(30, 4, 8, 0, 0, 1)


def test_an_error_beside_text_is_noticed() -> None:
    with pytest.raises(ServerFault, match="broken"):
        flowing(CHAT, GPT).feed(chunk({"content": "x"}, error={"message": "broken"}))


def test_a_late_update_does_not_open_a_finished_choice_again() -> None:
    subject = flowing(CHAT, GPT)
    subject.feed(STOP + chunk({"audio": {"expires_at": 1}}))
    assert subject.finish() == DONE


def test_the_type_counts_and_not_the_name() -> None:
    subject = flowing(MESSAGES, CLAUDE)
    subject.feed(A_STOP.replace(b"event: message_delta", b"event: content_block_delta"))
    assert subject.finish_reason == "stop"


@pytest.mark.parametrize(("client", "target", "piece"), [(CHAT, GPT, THERE), (MESSAGES, CLAUDE, A_THERE)])
def test_framing_is_respected(client: Any, target: Target, piece: bytes) -> None:
    subject = flowing(client, target)
    more = piece[:-1] + b"id: 5\n\n"
    assert subject.feed(more) == more
    assert subject.content_events == 2
    # A comment has begun, and what follows belongs to its line.
    assert subject.feed(b": note") == b""
    line = piece.rpartition(b"data: ")[2]
    assert subject.feed(line) == b": note" + line
    assert subject.feed(b": note ") == b""
    joined = b": note " + piece
    assert subject.feed(piece) == joined
    assert subject.content_events == (2 if client is CHAT else 3)
    with pytest.raises(MalformedAnswer):
        subject.feed(piece[:-3] + b"\r" + piece[-3:])


# How a stream ends


def test_a_missing_end_marker_is_supplied() -> None:
    subject = relay(CHAT, GPT)
    subject.feed(ROLE + HELLO + STOP)
    assert not subject.complete
    assert subject.finish() == DONE
    assert subject.complete
    subject = relay(MESSAGES, CLAUDE)
    subject.feed(START + A_HELLO + BLOCK_STOP + A_STOP)
    assert subject.finish() == MESSAGE_STOP
    assert subject.complete


@pytest.mark.parametrize(("client", "target"), PAIRS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_stream_that_ends_early_is_cut(client: Any, target: Target, count: int) -> None:
    subject = relay(client, target)
    subject.feed(b"".join(SOURCES[target.dialects[0]][:count]))
    with pytest.raises(StreamCut):
        subject.finish()
    assert not subject.complete


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_a_stream_that_ends_inside_an_event_is_cut(client: Any, target: Target) -> None:
    subject = relay(client, target)
    whole = b"".join(SOURCES[target.dialects[0]][:5])
    subject.feed(whole[:-20])
    with pytest.raises(StreamCut, match="in the middle of an event"):
        subject.finish()


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n\r", b"data:[DONE]"])
def test_an_end_marker_without_its_blank_line_counts(last: bytes) -> None:
    subject = relay(CHAT, GPT)
    subject.feed(HELLO + STOP + last)
    assert subject.finish().rstrip() == last.rstrip()
    assert subject.complete


def test_a_last_event_without_its_blank_line_counts() -> None:
    subject = relay(CHAT, GPT)
    subject.feed(HELLO + STOP[:-2])
    assert subject.finish() == STOP + DONE
    assert subject.finish_reason == "stop"


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_an_end_without_content_is_malformed(client: Any, target: Target) -> None:
    subject = relay(client, target)
    pieces = [ROLE, DONE] if target is GPT else [START, MESSAGE_STOP]
    with pytest.raises(MalformedAnswer, match="without any content"):
        subject.feed(b"".join(pieces))


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_a_json_body_in_place_of_a_stream_is_malformed(client: Any, target: Target) -> None:
    subject = relay(client, target)
    assert subject.feed(b'{"id": "x",\n "choices": []}') == b""
    with pytest.raises(MalformedAnswer, match="a JSON body where a stream"):
        subject.finish()


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_endless_preliminaries_are_malformed(client: Any, target: Target) -> None:
    subject = relay(client, target)
    piece = b"data: %b\n\n" % json.dumps({"type": "ping", "x": "y" * 60_000}).encode()
    if client.name not in target.dialects:
        # Nothing is held of what is not translated.
        for _ in range(30):
            assert subject.feed(piece) == b""
        return
    for _ in range(MAX_HELD_BYTES // len(piece)):
        assert subject.feed(piece) == b""
    with pytest.raises(MalformedAnswer, match="before any content"):
        subject.feed(piece)


@pytest.mark.parametrize(("client", "target"), PAIRS)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        b"data: {broken\n\n",
        b"data: []\n\n",
        b"data: 5\n\n",
        b"data: \xff\n\n",
        b'data: {"type":5,"choices":5}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","choices":[5]\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_malformed_events(client: Any, target: Target, late: bool, bad: bytes) -> None:
    subject = relay(client, target)
    if late:
        subject.feed(b"".join(SOURCES[target.dialects[0]][:4]))
        assert subject.content_seen
    with pytest.raises(MalformedAnswer):
        subject.feed(bad)


def test_content_before_the_start_is_malformed_in_anthropic() -> None:
    with pytest.raises(MalformedAnswer, match="before its message_start"):
        relay(MESSAGES, CLAUDE).feed(A_HELLO)


# Errors in the stream


@pytest.mark.parametrize("client", [CHAT, MESSAGES])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "type": "server_error", "code": None}, ServerFault),
        ({"message": "m", "type": "requests", "code": "rate_limit_exceeded"}, RateLimited),
        ({"message": "m", "code": 502}, ServerFault),
        ({"message": "m", "code": 503}, Overloaded),
        ({"message": "m", "code": 401}, CredentialRejected),
        ({"message": "m", "type": "invalid_request_error"}, Rejected),
        ({"message": "m", "type": "invalid_request_error", "code": "context_length_exceeded"}, ContextTooLong),
        ({}, ServerFault),
        ("m", ServerFault),
        (["m"], ServerFault),
    ],
)
def test_error_chunks(client: Any, late: bool, error: Any, kind: type[AttemptError]) -> None:
    subject = relay(client, GPT)
    if late:
        subject.feed(ROLE + HELLO)
    with pytest.raises(kind) as caught:
        subject.feed(chunk(error=error))
    assert type(caught.value) is kind


@pytest.mark.parametrize("client", [CHAT, MESSAGES])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", Overloaded),
        ("api_error", ServerFault),
        ("timeout_error", ServerFault),
        ("rate_limit_error", RateLimited),
        ("invalid_request_error", Rejected),
        ("authentication_error", CredentialRejected),
        ("a_new_error", ServerFault),
    ],
)
def test_error_events(client: Any, late: bool, kind: str, expected: type[AttemptError]) -> None:
    subject = relay(client, CLAUDE)
    if late:
        subject.feed(START + A_HELLO)
    with pytest.raises(expected) as caught:
        subject.feed(event("error", error={"type": kind, "message": "Overloaded"}))
    assert type(caught.value) is expected
    assert "Overloaded" in caught.value.message or expected is CredentialRejected


# Translation


def test_an_openai_client_reads_an_anthropic_stream(openai_sdk: Any) -> None:
    subject = relay(CHAT, CLAUDE, include_usage=True)
    body = run(subject, MESSAGES_STREAM)
    assert (subject.usage, subject.finish_reason) == (Usage(30, 4, 8, 2, 2), "stop")
    assert (subject.content_events, subject.complete) == (2, True)
    chunks = list(openai_sdk(body).chat.completions.create(model="chat", messages=[], stream=True))
    for item in chunks:
        assert (item.id, item.object, item.created, item.model) == (
            "msg_1",
            "chat.completion.chunk",
            1700000000,
            "claude-2025",
        )
    assert [[choice.index for choice in item.choices] for item in chunks] == [[0], [0], [0], [0], []]
    assert (chunks[0].choices[0].delta.role, chunks[0].choices[0].delta.content) == ("assistant", "")
    assert [item.choices[0].delta.content for item in chunks[:4]] == ["", "Hello ", "there", None]
    assert [item.choices[0].finish_reason for item in chunks[:4]] == [None, None, None, "stop"]
    assert [item.usage for item in chunks[:4]] == [None] * 4
    tokens = chunks[4].usage
    assert (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens) == (30, 4, 34)
    assert (tokens.prompt_tokens_details.cached_tokens, tokens.prompt_tokens_details.cache_write_tokens) == (8, 2)
    assert body.endswith(DONE)


def test_an_openai_client_that_did_not_ask_gets_no_usage() -> None:
    body = run(relay(CHAT, CLAUDE), MESSAGES_STREAM)
    assert b'"usage"' not in body
    assert body.endswith(DONE)


def test_an_anthropic_client_reads_an_openai_stream(anthropic_sdk: Any) -> None:
    subject = relay(MESSAGES, GPT)
    body = run(subject, CHAT_STREAM)
    assert (subject.usage, subject.finish_reason, subject.content_events) == (Usage(30, 4, 8, 0, 0, 1), "stop", 2)
    with anthropic_sdk(body).messages.stream(model="chat", max_tokens=9, messages=[]) as stream:
        assert "".join(stream.text_stream) == "Hello there"
        message = stream.get_final_message()
    assert (message.id, message.model, message.role, message.type) == ("chatcmpl-1", "gpt-2024", "assistant", "message")
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    tokens = message.usage
    assert (tokens.input_tokens, tokens.output_tokens, tokens.cache_read_input_tokens) == (22, 4, 8)
    assert tokens.output_tokens_details.thinking_tokens == 1
    names = [parse_event(block)[0].decode() for block in EventFramer().push(body)]
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(("client", "target"), [(CHAT, CLAUDE), (MESSAGES, GPT)])
def test_a_translated_start_is_held(client: Any, target: Target) -> None:
    subject = relay(client, target)
    source = SOURCES[target.dialects[0]]
    first = 3 if target is CLAUDE else 1
    assert [subject.feed(piece) for piece in source[:first]] == [b""] * first
    assert not subject.content_seen
    assert len(EventFramer().push(subject.feed(source[first]))) == (2 if target is CLAUDE else 3)
    assert subject.content_seen


def test_a_missing_end_marker_is_supplied_in_translation(anthropic_sdk: Any) -> None:
    subject = relay(MESSAGES, GPT)
    body = b"".join([subject.feed(piece) for piece in (HELLO, chunk({}, "length"))])
    assert b"message_delta" not in body
    body += subject.finish()
    with anthropic_sdk(body).messages.stream(model="chat", max_tokens=9, messages=[]) as stream:
        assert stream.get_final_message().stop_reason == "max_tokens"
    subject = relay(CHAT, CLAUDE)
    assert run(subject, [START, A_HELLO, A_STOP]).endswith(DONE)


def test_an_empty_answer_has_no_block(anthropic_sdk: Any) -> None:
    body = run(relay(MESSAGES, GPT), [ROLE, chunk({}, "content_filter"), DONE])
    with anthropic_sdk(body).messages.stream(model="chat", max_tokens=9, messages=[]) as stream:
        message = stream.get_final_message()
    assert (message.content, message.stop_reason) == ([], "refusal")


def test_a_stop_sequence_is_told_where_the_server_tells_it(anthropic_sdk: Any) -> None:
    last = chunk({}, "stop").replace(b'"logprobs"', b'"stop_reason": "END", "logprobs"')
    body = run(relay(MESSAGES, GPT), [HELLO, last, DONE])
    with anthropic_sdk(body).messages.stream(model="chat", max_tokens=9, messages=[]) as stream:
        message = stream.get_final_message()
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize("thought", [{"reasoning_content": "hm"}, {"reasoning": "hm"}])
def test_thinking_commits_and_is_translated(thought: Any) -> None:
    subject = relay(MESSAGES, GPT)
    out = subject.feed(ROLE + chunk(thought))
    assert subject.content_seen
    assert b'"hm"' in out
    subject = relay(CHAT, CLAUDE)
    block = event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""})
    out = subject.feed(
        START + block + event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
    )
    assert subject.content_seen
    assert b'"hm"' in out


@pytest.mark.parametrize(
    ("client", "target", "piece", "kind"),
    [
        (MESSAGES, GPT, chunk({"audio": {"id": "a"}}), "sound"),
        (MESSAGES, GPT, chunk({"content": [{"type": "text"}]}), "content parts"),
        (MESSAGES, GPT, chunk({"function_call": {"name": "f"}}), "function call"),
        (MESSAGES, GPT, chunk({"tool_calls": [{"index": 0, "type": "custom", "custom": {}}]}), "custom"),
        (MESSAGES, GPT, chunk({"content": "x"}, index=1), "second choice"),
    ],
)
def test_content_that_another_dialect_cannot_carry(client: Any, target: Target, piece: bytes, kind: str) -> None:
    with pytest.raises(MalformedAnswer, match=kind):
        relay(client, target).feed(piece)


def test_a_call_without_a_name_is_malformed_in_translation() -> None:
    block = event("content_block_start", index=0, content_block={"type": "tool_use", "id": "t", "input": {}})
    with pytest.raises(MalformedAnswer, match="without a name"):
        relay(CHAT, CLAUDE).feed(START + block)
    assert relay(MESSAGES, CLAUDE).feed(START + block) == START + block


def test_the_clock_is_asked_when_nobody_says_the_time() -> None:
    envelope = CHAT.read(b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}')
    before = int(time.time())
    out = translate(CHAT, envelope, CLAUDE).relay().feed(START + BLOCK + A_HELLO)
    assert before <= json.loads(out[6 : out.index(b"\n\n")])["created"] <= time.time()


# Properties

SECOND = [chunk({"content": "x"}, index=1), chunk({}, "stop", index=1)]
OTHERS = [chunk({"reasoning_content": "hm"}), chunk({"content": "\u00e9\u2028"}), b": note\n\n", b"\n"]
ALPHABET = {
    GPT.dialects[0]: [*CHAT_STREAM, *SECOND, *OTHERS],
    CLAUDE.dialects[0]: [*MESSAGES_STREAM, event("new"), b": note\n\n", b"\n"],
}
ENDS = [b"\n", b"\r\n", b"\r"]
both = st.sampled_from(PAIRS)


@st.composite
def scripts(draw: st.DrawFn, dialect: str) -> bytes:
    """A stream, sensible or not, with one kind of line end."""
    pieces = draw(st.lists(st.sampled_from(ALPHABET[dialect]), max_size=8) | st.just(SOURCES[dialect]))
    end = draw(st.sampled_from(ENDS))
    return b"".join(pieces).replace(b"\n", end)


def outcome(subject: StreamRelay, pieces: Iterable[bytes]) -> tuple[bytes, Any]:
    """What the client got, and how it ended."""
    out = b""
    try:
        for piece in pieces:
            out += subject.feed(piece)
        out += subject.finish()
    except AttemptError as error:
        return out, type(error)
    return out, (subject.finish_reason, subject.usage, subject.content_events, subject.content_seen, subject.complete)


@given(st.data(), both, st.booleans(), st.lists(st.integers(0, 10_000), max_size=6))
def test_where_bytes_are_split_makes_no_difference(
    data: st.DataObject, pair: tuple[Any, Target], include_usage: bool, places: list[int]
) -> None:
    client, target = pair
    stream = data.draw(scripts(target.dialects[0]))
    whole = outcome(relay(client, target, include_usage=include_usage), [stream])
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    cut = [stream[start:end] for start, end in itertools.pairwise(edges)]
    split = outcome(relay(client, target, include_usage=include_usage), cut)
    assert split[1] == whole[1]
    # The bytes of a call that fails are lost, so that an error leaves fewer of them in one piece than in many.
    assert split[0] == whole[0] or (isinstance(split[1], type) and split[0].startswith(whole[0]))
    slow = outcome(relay(client, target, include_usage=include_usage), [bytes([byte]) for byte in stream])
    assert slow[1] == whole[1]


@given(st.data(), st.sampled_from([(CHAT, GPT), (MESSAGES, CLAUDE)]))
def test_what_a_same_dialect_client_gets_is_what_the_target_sent(data: st.DataObject, pair: tuple[Any, Target]) -> None:
    client, target = pair
    stream = data.draw(scripts(target.dialects[0]))
    out, _ = outcome(relay(client, target, include_usage=True), [stream])
    assert stream.startswith(out) or out.startswith(stream) or out.rstrip(b"\r\n").startswith(stream.rstrip(b"\r\n"))


texts = st.text(st.characters(codec="utf-8"), max_size=20)
counts = st.integers(0, 10**6)


@st.composite
def plain_streams(draw: st.DrawFn) -> list[Event]:
    """A text in neutral events, with usage in the place that both dialects know: after the reason to finish."""
    read, output = draw(counts), draw(counts)
    usage = Usage(read + draw(counts), output, read, 0, 0, draw(st.integers(0, output)))
    said = [TextDelta(text) for text in draw(st.lists(texts.filter(bool), min_size=1, max_size=4))]
    finished = Finished(draw(st.sampled_from(["stop", "length", "content_filter"])))
    start = [Started(draw(texts), draw(texts)), PartStarted(0, Text(""))]
    return [*start, *said, PartEnded(0), finished, UsageReport(usage, alone=True)]


def through(dialect: Any, events: list[Event]) -> list[Event]:
    envelope = CHAT.read(b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}')
    encoder, decoder = dialect.stream_encoder(envelope, 0), dialect.stream_decoder()
    body = b"".join([encoder.encode(item) for item in events]) + encoder.end()
    out: list[Event] = []
    for block in EventFramer().push(body):
        name, data = parse_event(block)
        assert data is not None
        out += decoder.decode(name, data)
    assert decoder.complete
    assert decoder.may_end
    return out


@given(plain_streams(), st.sampled_from([CHAT, MESSAGES]))
def test_plain_streams_survive_a_round_trip(events: list[Event], dialect: Any) -> None:
    out = through(dialect, events)
    assert [item for item in out if isinstance(item, TextDelta)] == [
        item for item in events if isinstance(item, TextDelta)
    ]
    assert fold(out) == fold(events)


noise = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([piece for pieces in ALPHABET.values() for piece in pieces]),
    st.sampled_from(
        [b"data: ", b"event: content_block_delta\n", b'{"choices":[', b"[DONE]", b"\n\n", b"\r", b"}", b"5"]
    ),
)


@given(both, st.lists(noise, max_size=12))
def test_noise_ends_in_an_answer_or_an_error_of_the_tree(pair: tuple[Any, Target], pieces: list[bytes]) -> None:
    subject = relay(*pair)
    try:
        run(subject, pieces)
    except TrimaranError:
        return
    assert subject.complete
