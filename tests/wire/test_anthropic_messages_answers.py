"""Whole answers of ``anthropic.messages``, and counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from trimaran.errors import MalformedAnswer, Overloaded
from trimaran.types import Target, Usage
from trimaran.wire.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from trimaran.wire.conversation import (
    ChatRequest,
    Message,
    Notes,
    Reasoning,
    Refusal,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
)
from trimaran.wire.events import Answer
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import unwrap_state, wrap_state

MESSAGES = AnthropicMessages()
COUNT = AnthropicCountTokens()
ORIGIN = "anthropic.messages"
SDK = Callable[..., anthropic.Anthropic]


def wire(*blocks: Any, **members: Any) -> bytes:
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(blocks),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }
    return json.dumps(whole | members).encode()


def encoded(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(MESSAGES.encode_answer(answer, 0))
    return body


def answer(*parts: Any, reason: str = "stop", **fields: Any) -> Answer:
    return Answer("id", "gpt", list(parts), reason, **fields)


# Decoding


def test_every_kind_of_block_is_decoded() -> None:
    body = wire(
        {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d1"},
        {"type": "text", "text": "I call.", "citations": None},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.50, "b": []}, "caller": {"type": "direct"}},
        stop_reason="tool_use",
        usage={
            "input_tokens": 10,
            "output_tokens": 20,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 2},
            "output_tokens_details": {"thinking_tokens": 4},
            "service_tier": "priority",
        },
    )
    assert MESSAGES.decode_answer(body) == Answer(
        "msg_1",
        "claude",
        [
            Reasoning("Hm.", "s1", ORIGIN),
            Reasoning("", "d1", ORIGIN, hidden=True),
            Text("I call."),
            ToolCall("t1", "f", '{"a": 1.5, "b": []}'),
        ],
        "tool_calls",
        None,
        Usage(20, 20, 3, 7, 2, 4),
        service_tier="priority",
    )
    assert MESSAGES.inspect(body) == (Usage(20, 20, 3, 7, 2, 4), "tool_calls", "priority")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "context_window"),
        ("pause_turn", "pause_turn"),
        ("a_new_one", "a_new_one"),
        (None, ""),
    ],
)
def test_stop_reasons(word: str | None, reason: str) -> None:
    assert MESSAGES.decode_answer(wire(stop_reason=word)).finish_reason == reason


def test_a_refusal_is_explained_by_a_part() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    decoded = MESSAGES.decode_answer(wire(stop_reason="refusal", stop_details=details))
    assert decoded.parts == [Refusal("Not that.")]
    assert decoded.finish_reason == "content_filter"
    said = {"type": "text", "text": "So far"}
    decoded = MESSAGES.decode_answer(wire(said, stop_reason="refusal", stop_details=details))
    assert decoded.parts == [Text("So far"), Refusal("Not that.")]
    assert MESSAGES.decode_answer(wire(stop_reason="refusal", stop_details={"type": "refusal"})).parts == []


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "a_new_one"},
        {"type": "text", "text": "x", "citations": [{"type": "char_location"}]},
        {"type": "text"},
        {"type": "tool_use", "id": "t"},
        {"type": "thinking", "thinking": 5},
        {"text": "x"},
        "x",
    ],
)
def test_blocks_that_were_not_asked_for_or_are_none_are_malformed(block: Any) -> None:
    with pytest.raises(MalformedAnswer):
        MESSAGES.decode_answer(wire(block))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"content":{}}', b'{"content":"x"}', b"\xff"])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        MESSAGES.decode_answer(body)
    with pytest.raises(MalformedAnswer):
        MESSAGES.inspect(body)


def test_an_error_in_place_of_an_answer_means_what_it_says() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    for read in (MESSAGES.decode_answer, MESSAGES.inspect, COUNT.decode_count, COUNT.inspect):
        with pytest.raises(Overloaded):
            read(body)


# Encoding


def test_the_sdk_reads_every_kind_of_block(anthropic_sdk: SDK) -> None:
    foreign = Reasoning("Hm.", "enc", "openai.responses", "rs_1")
    hidden = Reasoning("", "enc", "openai.responses", "rs_2", hidden=True)
    body = MESSAGES.encode_answer(
        answer(
            Reasoning("Mine.", "s1", ORIGIN),
            foreign,
            hidden,
            Text(""),
            Text("I call."),
            ToolCall("call|1", "f", '{"a": 1}'),
            ToolCall("call_2", "g", ""),
            reason="tool_calls",
            usage=Usage(20, 20, 3, 7, 2, 4),
            service_tier="priority",
        ),
        0,
    )
    message = anthropic_sdk(body).messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "thinking", "redacted_thinking", "text", "tool_use", "tool_use"]
    mine, theirs, secret, text, first, second = message.content
    assert isinstance(mine, anthropic.types.ThinkingBlock)
    assert (mine.thinking, mine.signature) == ("Mine.", "s1")
    assert isinstance(theirs, anthropic.types.ThinkingBlock)
    assert (theirs.thinking, theirs.signature) == ("Hm.", wrap_state(foreign))
    assert isinstance(secret, anthropic.types.RedactedThinkingBlock)
    assert secret.data == wrap_state(hidden)
    assert isinstance(text, anthropic.types.TextBlock)
    assert text.text == "I call."
    assert isinstance(first, anthropic.types.ToolUseBlock)
    assert isinstance(second, anthropic.types.ToolUseBlock)
    assert (first.name, first.input, second.input) == ("f", {"a": 1}, {})
    assert "|" not in first.id
    assert second.id == "call_2"
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (10, 20)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 7)
    assert usage.cache_creation is not None
    assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (5, 2)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 4
    assert usage.service_tier == "priority"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("context_window", "model_context_window_exceeded"),
        ("stop_sequence", "stop_sequence"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("pause_turn", "pause_turn"),
        ("eos", "end_turn"),
        ("", "end_turn"),
    ],
)
def test_stop_reasons_are_written_in_the_words_of_the_api(reason: str, word: str) -> None:
    assert encoded(answer(Text("x"), reason=reason))["stop_reason"] == word


def test_a_call_is_a_reason_to_stop() -> None:
    call = ToolCall("1", "f", "{}")
    assert encoded(answer(call, reason="stop"))["stop_reason"] == "tool_use"
    assert encoded(answer(call, reason="length"))["stop_reason"] == "max_tokens"


def test_a_refusal_is_text_and_a_stop_reason() -> None:
    body = encoded(answer(Refusal("No."), reason="stop"))
    assert body["content"] == [{"type": "text", "text": "No."}]
    assert body["stop_reason"] == "refusal"
    assert body["stop_details"] == {"type": "refusal", "category": None, "explanation": "No."}


@pytest.mark.parametrize("arguments", ["{", "[]", "null", '{"a":'])
def test_a_call_cut_short_is_left_out_and_any_other_is_malformed(arguments: str) -> None:
    whole, cut = ToolCall("1", "f", "{}"), ToolCall("2", "f", arguments)
    for reason in ("length", "context_window"):
        body = encoded(answer(whole, cut, reason=reason))
        assert [block["id"] for block in body["content"]] == ["1"]
    with pytest.raises(MalformedAnswer, match="JSON object"):
        encoded(answer(whole, cut, reason="tool_calls"))


def test_thoughts_without_anything_in_them_are_left_out() -> None:
    assert encoded(answer(Reasoning(origin="openai.chat"), Text("x")))["content"] == [{"type": "text", "text": "x"}]


def test_thoughts_without_a_state_still_carry_a_signature() -> None:
    block = encoded(answer(Reasoning("Hm.", origin="openai.chat")))["content"][0]
    assert unwrap_state(block["signature"]) == Reasoning(origin="openai.chat")


def test_an_answer_comes_back_as_it_was() -> None:
    given = answer(
        Reasoning("Hm.", "s", ORIGIN),
        Reasoning("", "d", ORIGIN, hidden=True),
        Text("x"),
        ToolCall("1", "f", '{"a":[1.0]}'),
        reason="tool_calls",
        usage=Usage(9, 8, 3, 2, 1, 4),
        service_tier="batch",
    )
    assert MESSAGES.decode_answer(MESSAGES.encode_answer(given, 0)) == given
    refused = answer(Refusal("No."), reason="content_filter", usage=Usage())
    assert MESSAGES.decode_answer(MESSAGES.encode_answer(refused, 0)) == refused


# Counts


def test_the_sdk_reads_a_count(anthropic_sdk: SDK) -> None:
    seen: list[bytes] = []
    client = anthropic_sdk(COUNT.encode_count(42), seen=seen)
    counted = client.messages.count_tokens(
        model="m", messages=[{"role": "user", "content": "x"}], system="Be kind.", thinking={"type": "adaptive"}
    )
    assert counted.input_tokens == 42
    envelope = COUNT.read(seen[0])
    assert (envelope.model, envelope.stream, envelope.dialect) == ("m", False, COUNT.name)
    target = Target("t", "anthropic", "claude", (COUNT.name,), "http://t")
    refusals = Refusals(COUNT.name, target)
    request = COUNT.decode_request(seen[0], refusals)
    refusals.check()
    assert request.system == [Text("Be kind.")]
    sent = json.loads(COUNT.rewrite(envelope, "claude"))
    assert sent == json.loads(seen[0]) | {"model": "claude"}


def test_a_count_is_made_of_what_the_model_reads() -> None:
    target = Target("t", "anthropic", "claude", (COUNT.name,), "http://t")
    refusals, notes = Refusals("openai.input_tokens", target), Notes()
    turns = [Message("user", [Text("x")]), Message("assistant", [Text("y")])]
    request = ChatRequest(
        model="m", messages=turns, tools=[Tool("f")], temperature=2.0, max_output_tokens=5, user="u", seed=1
    )
    body = json.loads(COUNT.encode_request(request, target, refusals, notes))
    refusals.check()
    assert body == {
        "model": "claude",
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
    }
    assert set(notes.omitted) == {"temperature", "max_output_tokens", "user", "seed"}


def test_a_format_that_cannot_be_held_is_left_out_of_a_count() -> None:
    target = Target("t", "anthropic", "claude", (COUNT.name,), "http://t")
    refusals, notes = Refusals("openai.input_tokens", target), Notes()
    request = ChatRequest(
        model="m", messages=[Message("user", [Text("x")])], response_format=ResponseFormat("json_object")
    )
    assert "output_config" not in json.loads(COUNT.encode_request(request, target, refusals, notes))
    assert not refusals
    assert notes.omitted == ["response_format"]


def test_counts_are_read() -> None:
    assert COUNT.decode_count(b'{"input_tokens":7,"context_management":null}') == 7
    assert COUNT.inspect(b'{"input_tokens":7}') == (None, "", "")
    for body in (b"{}", b'{"input_tokens":"7"}', b"[]", b'{"input_tokens":null}'):
        with pytest.raises(MalformedAnswer):
            COUNT.decode_count(body)


def test_a_count_costs_nothing_and_is_no_chat() -> None:
    assert COUNT.free
    assert COUNT.operation == "count"
    assert COUNT.path == b"/v1/messages/count_tokens"
