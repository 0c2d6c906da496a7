"""Whole answers: usage, finish reasons, translation, and the SDKs' own reading of what we write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import (
    AttemptError,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    ServerFault,
    TrimaranError,
)
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS, translate

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
GPT = Target(id="openai/gpt", provider="openai", upstream_model="gpt", dialects=("openai.chat",), base_url="http://t")
CLAUDE = Target(
    id="a/c", provider="anthropic", upstream_model="c", dialects=("anthropic.messages",), base_url="http://t"
)


REQUEST = b'{"model":"chat","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}'


def unary_answer(
    client: Any, target: Target, body: bytes, *, created_s: int | None = None
) -> tuple[bytes, Usage | None, str]:
    """Body, usage and finish reason."""
    return translate(client, client.read(REQUEST), target).answer(body, created_s=created_s)[:3]


def chat_answer(**fields: Any) -> bytes:
    message = {"role": "assistant", "content": "Hello there", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"} | fields.pop("choice", {})
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-2024",
        "choices": [choice],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
    }
    return json.dumps(answer | fields).encode()


def messages_answer(**fields: Any) -> bytes:
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-2025",
        "content": [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 26,
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 10,
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 8},
        },
    }
    return json.dumps(answer | fields).encode()


# The same dialect


def test_an_answer_passes_as_it_is() -> None:
    for dialect, target, body, hour in ((CHAT, GPT, chat_answer(), 0), (MESSAGES, CLAUDE, messages_answer(), 3)):
        out, usage, reason = unary_answer(dialect, target, body)
        assert out is body
        assert usage == Usage(100, 20, 64, 10, hour, 8)
        assert reason == "stop"


def test_a_tool_call_passes_in_its_own_dialect() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = chat_answer(choice={"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"})
    assert unary_answer(CHAT, GPT, body)[::2] == (body, "tool_calls")
    body = messages_answer(content=[{"type": "tool_use", "id": "t", "name": "f", "input": {}}], stop_reason="tool_use")
    assert unary_answer(MESSAGES, CLAUDE, body)[::2] == (body, "tool_calls")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, Usage()),
        ({"prompt_tokens": 5}, Usage(5)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(5, 2)),
        ({"prompt_tokens": -5, "completion_tokens": -1}, Usage()),
        (
            {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": None, "audio_tokens": 3}},
            Usage(5, audio_input_tokens=3),
        ),
        ({"prompt_tokens": 5, "completion_tokens_details": {"audio_tokens": 2}}, Usage(5, audio_output_tokens=2)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 1}, Usage(5, 0, 4)),
    ],
)
def test_usage_that_is_partly_missing(usage: Any, expected: Usage | None) -> None:
    assert unary_answer(CHAT, GPT, chat_answer(usage=usage))[1] == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        ({"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": None}, Usage(8, 0, 3)),
        ({"input_tokens": 5, "cache_creation_input_tokens": 4}, Usage(9, 0, 0, 4)),
        ({"input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 4}}, Usage(9, 0, 0, 4, 4)),
    ],
)
def test_cached_tokens_are_part_of_the_input(usage: Any, expected: Usage) -> None:
    assert unary_answer(MESSAGES, CLAUDE, messages_answer(usage=usage))[1] == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"id":"x"}',
        b'{"choices":null}',
        b'{"choices":[]}',
        b'{"choices":[5]}',
        b'{"choices":{}}',
        b'{"choices":[{"finish_reason":5}]}',
        b'{"choices":[{"message":{}}],"usage":{"prompt_tokens":"many"}}',
        b'{"choices":[{"message":{}}],"usage":{"prompt_tokens":1000000000001}}',
        b'{"choices":[{"message":{}}]',
        b'{"content":5}',
        b'{"content":["x"]}',
        b'{"content":[],"stop_reason":7}',
        b'{"content":[],"usage":{"output_tokens":123456789012345678901234567890}}',
        b'{"content":[],"stop_reason":"\xff"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("client", [CHAT, MESSAGES])
@pytest.mark.parametrize("target", [GPT, CLAUDE])
def test_a_malformed_answer_is_the_targets_fault(client: Any, target: Target, body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        unary_answer(client, target, body)


def test_a_call_without_a_name_is_malformed_in_translation() -> None:
    body = messages_answer(content=[{"type": "tool_use", "id": "t", "name": "", "input": {}}])
    with pytest.raises(MalformedAnswer, match="without a name"):
        unary_answer(CHAT, CLAUDE, body)
    assert unary_answer(MESSAGES, CLAUDE, body)[0] == body


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "code": 429}, RateLimited),
        ({"message": "busy", "type": "overloaded_error"}, Overloaded),
        ({"message": "x", "type": "nobody_knows"}, ServerFault),
        ("out of order", ServerFault),
    ],
)
@pytest.mark.parametrize("client", [CHAT, MESSAGES])
@pytest.mark.parametrize("target", [GPT, CLAUDE])
def test_an_error_with_status_200_is_an_error(
    client: Any, target: Target, error: Any, kind: type[AttemptError]
) -> None:
    with pytest.raises(kind) as caught:
        unary_answer(client, target, json.dumps({"error": error}).encode())
    assert caught.value.message in (error, error["message"] if isinstance(error, dict) else "")


# Translation


def test_an_anthropic_answer_for_an_openai_client(openai_sdk: Any) -> None:
    body, usage, reason = unary_answer(CHAT, CLAUDE, messages_answer(), created_s=1700000000)
    assert (usage, reason) == (Usage(100, 20, 64, 10, 3, 8), "stop")
    answer = openai_sdk(body).chat.completions.create(model="chat", messages=[])
    assert (answer.id, answer.object, answer.created, answer.model) == (
        "msg_1",
        "chat.completion",
        1700000000,
        "claude-2025",
    )
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (choice.message.role, choice.message.content, choice.message.refusal) == ("assistant", "Hello there", None)
    tokens = answer.usage
    assert (tokens.prompt_tokens, tokens.completion_tokens, tokens.total_tokens) == (100, 20, 120)
    assert tokens.prompt_tokens_details.cached_tokens == 64
    assert tokens.prompt_tokens_details.cache_write_tokens == 10
    assert tokens.completion_tokens_details.reasoning_tokens == 8


def test_an_openai_answer_for_an_anthropic_client(anthropic_sdk: Any) -> None:
    body, usage, reason = unary_answer(MESSAGES, GPT, chat_answer())
    assert (usage, reason) == (Usage(100, 20, 64, 10, 0, 8), "stop")
    answer = anthropic_sdk(body).messages.create(model="chat", max_tokens=9, messages=[])
    assert (answer.id, answer.type, answer.role, answer.model) == ("chatcmpl-1", "message", "assistant", "gpt-2024")
    assert [(block.type, block.text) for block in answer.content] == [("text", "Hello there")]
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    tokens = answer.usage
    assert (tokens.input_tokens, tokens.output_tokens) == (26, 20)
    assert (tokens.cache_read_input_tokens, tokens.cache_creation_input_tokens) == (64, 10)
    assert (tokens.cache_creation.ephemeral_5m_input_tokens, tokens.cache_creation.ephemeral_1h_input_tokens) == (10, 0)
    assert tokens.output_tokens_details.thinking_tokens == 8


@pytest.mark.parametrize(
    ("stop_reason", "neutral", "finish_reason"),
    [
        ("end_turn", "stop", "stop"),
        ("max_tokens", "length", "length"),
        ("model_context_window_exceeded", "context_window", "length"),
        ("stop_sequence", "stop_sequence", "stop"),
        ("refusal", "content_filter", "content_filter"),
        ("tool_use", "tool_calls", "tool_calls"),
        ("pause_turn", "pause_turn", "length"),
        ("something_new", "something_new", "stop"),
    ],
)
def test_stop_reasons_for_openai(stop_reason: str, neutral: str, finish_reason: str) -> None:
    body, _, reason = unary_answer(CHAT, CLAUDE, messages_answer(stop_reason=stop_reason))
    assert reason == neutral
    assert json.loads(body)["choices"][0]["finish_reason"] == finish_reason


@pytest.mark.parametrize(
    ("choice", "neutral", "stop_reason", "stop_sequence"),
    [
        ({"finish_reason": "stop"}, "stop", "end_turn", None),
        ({"finish_reason": "stop", "stop_reason": "END"}, "stop_sequence", "stop_sequence", "END"),
        ({"finish_reason": "stop", "stop_reason": 128001}, "stop", "end_turn", None),
        ({"finish_reason": "length"}, "length", "max_tokens", None),
        ({"finish_reason": "content_filter"}, "content_filter", "refusal", None),
        ({"finish_reason": "something_new"}, "something_new", "end_turn", None),
        ({"finish_reason": None}, "", "end_turn", None),
    ],
)
def test_finish_reasons_for_anthropic(choice: Any, neutral: str, stop_reason: str, stop_sequence: str | None) -> None:
    body, _, reason = unary_answer(MESSAGES, GPT, chat_answer(choice=choice))
    assert reason == neutral
    answer = json.loads(body)
    assert (answer["stop_reason"], answer["stop_sequence"]) == (stop_reason, stop_sequence)


def test_a_refusal_of_the_model_is_text_and_a_reason() -> None:
    choice = {"message": {"content": None, "refusal": "I will not."}}
    body, _, reason = unary_answer(MESSAGES, GPT, chat_answer(choice=choice))
    assert reason == "content_filter"
    answer = json.loads(body)
    assert (answer["content"], answer["stop_reason"]) == ([{"type": "text", "text": "I will not."}], "refusal")


def test_volunteered_thinking_is_translated_and_empty_answers_are_empty() -> None:
    thinking = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]
    body, _, _ = unary_answer(CHAT, CLAUDE, messages_answer(content=[*thinking, {"type": "text", "text": "42"}]))
    message = json.loads(body)["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("42", "hm")
    assert [detail["type"] for detail in message["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]
    body, _, _ = unary_answer(MESSAGES, GPT, chat_answer(choice={"message": {"content": ""}}))
    assert json.loads(body)["content"] == []


@pytest.mark.parametrize(
    ("client", "target", "body"),
    [
        (MESSAGES, GPT, chat_answer(choice={"message": {"tool_calls": [{"id": "1"}]}})),
        (MESSAGES, GPT, chat_answer(choice={"message": {"function_call": {"name": "f"}}})),
        (MESSAGES, GPT, chat_answer(choice={"message": None})),
        (MESSAGES, GPT, chat_answer(choice={"message": {"content": [{"type": "text", "text": "x"}]}})),
    ],
)
def test_an_answer_that_another_dialect_cannot_carry(client: Any, target: Target, body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        unary_answer(client, target, body)


def test_an_answer_without_usage_is_translated() -> None:
    body, usage, _ = unary_answer(CHAT, CLAUDE, messages_answer(usage=None))
    assert usage is None
    assert "usage" not in json.loads(body)
    body, usage, _ = unary_answer(MESSAGES, GPT, chat_answer(usage=None))
    assert usage is None
    assert json.loads(body)["usage"]["output_tokens"] == 0


# Properties

texts = st.text(st.characters(codec="utf-8"), max_size=30)


MEMBERS = ["id", "model", "choices", "message", "content", "usage", "finish_reason", "error", "type", "text", "code"]
COUNTS = ["stop_reason", "prompt_tokens", "input_tokens", "cache_creation", "refusal", "tool_calls", "status"]
words = st.sampled_from([*MEMBERS, *COUNTS])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_any_answer_is_read_or_refused(body: bytes) -> None:
    for client in (CHAT, MESSAGES):
        for target in (GPT, CLAUDE):
            try:
                out, _, _ = unary_answer(client, target, body, created_s=0)
            except TrimaranError:
                continue
            assert json.loads(out)
