"""Requests that change their dialect: what is carried over, what is refused, and that nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Target
from trimaran.wire import DIALECTS, upstream_body
from trimaran.wire.anthropic_messages import DEFAULT_MAX_TOKENS
from trimaran.wire.events import ChatRequest, Message, Text

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
GPT = Target(
    id="openai/gpt-4o-mini",
    provider="openai",
    upstream_model="gpt-4o-mini",
    dialects=("openai.chat",),
    base_url="http://t",
)
VLLM = Target(id="pool/llama", provider="vllm", upstream_model="llama", dialects=("openai.chat",), base_url="http://t")
CLAUDE = Target(
    id="anthropic/haiku",
    provider="anthropic",
    upstream_model="claude-haiku-4-5",
    dialects=("anthropic.messages",),
    base_url="http://t",
)

HELLO = [{"role": "user", "content": "Hello"}]


def to_claude(target: Target = CLAUDE, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"model": "chat", "messages": HELLO} | fields).encode()
    return json.loads(upstream_body(CHAT, CHAT.read(body), target))


def to_gpt(target: Target = GPT, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"model": "chat", "max_tokens": 64, "messages": HELLO} | fields).encode()
    return json.loads(upstream_body(MESSAGES, MESSAGES.read(body), target))


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


# OpenAI to Anthropic


def test_a_conversation_for_anthropic() -> None:
    body = to_claude(
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "developer", "content": parts("Be brief.", "Be exact.")},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": parts("What is", "this?")},
        ],
        max_completion_tokens=99,
        temperature=0.5,
        top_p=0.9,
        stop="END",
        stream=True,
        user="u-1",
    )
    assert body == {
        "model": "claude-haiku-4-5",
        "max_tokens": 99,
        "system": parts("Be kind.", "Be brief.", "Be exact."),
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": parts("What is", "this?")},
        ],
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "metadata": {"user_id": "u-1"},
        "stream": True,
    }


def test_the_least_request_for_anthropic() -> None:
    assert to_claude() == {"model": "claude-haiku-4-5", "max_tokens": DEFAULT_MAX_TOKENS, "messages": HELLO}


def test_anthropic_gets_a_limit_from_the_client_or_the_target_or_the_default() -> None:
    limited = Target(
        id="a/b",
        provider="a",
        upstream_model="b",
        dialects=CLAUDE.dialects,
        base_url="http://t",
        max_output_tokens=1234,
    )
    assert to_claude(limited)["max_tokens"] == 1234
    assert to_claude(limited, max_tokens=7)["max_tokens"] == 7
    assert to_claude(max_tokens=7, max_completion_tokens=7)["max_tokens"] == 7


def test_an_empty_instruction_says_nothing() -> None:
    assert "system" not in to_claude(messages=[{"role": "system", "content": ""}, *HELLO])


def test_consecutive_turns_of_one_role_stay() -> None:
    turns = [*HELLO, {"role": "user", "content": "Again"}]
    assert to_claude(messages=turns)["messages"] == turns


NO_OPS: list[dict[str, Any]] = [
    {"n": 1},
    {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}},
    {"logprobs": False, "top_logprobs": None},
    {"store": False, "metadata": None},
    {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
    {"functions": [], "function_call": "none"},
    {"response_format": {"type": "text"}, "modalities": ["text"]},
    {"service_tier": "auto"},
    {"stream_options": {"include_usage": True}},
    {"stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"seed": None, "an_unknown_field": None},
]


@pytest.mark.parametrize("fields", NO_OPS)
def test_fields_that_mean_nothing_are_left_out(fields: dict[str, Any]) -> None:
    assert to_claude(**fields) == to_claude()


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"n": 2}, "n"),
    ({"seed": 1}, "seed"),
    ({"logprobs": True}, "logprobs"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"presence_penalty": -1}, "presence_penalty"),
    ({"logit_bias": {"1": 5}}, "logit_bias"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"store": True}, "store"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"prompt_cache_key": "k"}, "prompt_cache_key"),
    ({"an_unknown_field": 0}, "an_unknown_field"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"user": "a", "safety_identifier": "b"}, "safety_identifier"),
    ({"temperature": 1.5}, "temperature"),
    ({"messages": [{"role": "user", "content": "Hi", "name": "Bob"}]}, "messages[0].name"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[0].content[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
        "messages[0].content[0].cache_control",
    ),
    ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "1", "content": "x"}]}, "messages[1]"),
    (
        {"messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, *HELLO]},
        "messages[1].tool_calls",
    ),
    ({"messages": [{"role": "system", "content": "only"}]}, "messages"),
    ({"messages": [*HELLO, {"role": "system", "content": "now"}, *HELLO]}, "messages"),
    ({"messages": [*HELLO, {"role": "assistant", "content": "The best answer is ("}]}, "messages"),
]


@pytest.mark.parametrize(("fields", "field"), UNSUPPORTED)
def test_what_would_be_lost_for_anthropic_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        to_claude(**fields)
    assert caught.value.field == field
    message = caught.value.message
    assert repr(field) in message
    for part in (CLAUDE.id, "claude-haiku-4-5", "anthropic.messages", "a target that speaks openai.chat"):
        assert part in message


@pytest.mark.parametrize("fields", [fields for fields, _ in UNSUPPORTED])
def test_what_is_refused_in_translation_passes_in_its_own_dialect(fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": HELLO} | fields).encode()
    assert upstream_body(CHAT, CHAT.read(body), GPT) is body


def test_one_message_names_every_field() -> None:
    with pytest.raises(UnsupportedFeature, match=r"'seed', 'logprobs', 'n' \(more than one choice\)"):
        to_claude(seed=1, logprobs=True, n=4)
    with pytest.raises(UnsupportedFeature, match=r"'f9' and 5 more"):
        to_claude(**{f"f{number}": 1 for number in range(15)})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"content": "Hello"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": True}, "top_p"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"user": 5}, "user"),
    ],
)
def test_ill_typed_fields_are_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_claude(**fields)
    assert caught.value.field == field


def test_a_duplicate_that_passes_is_refused_when_it_would_be_translated() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0,"temperature":1}'
    envelope = CHAT.read(body)
    assert b'"temperature":0,"temperature":1' in upstream_body(CHAT, envelope, GPT)
    with pytest.raises(InvalidRequest, match="'temperature' stands more than once"):
        upstream_body(CHAT, envelope, CLAUDE)


# Anthropic to OpenAI


def test_a_conversation_for_openai() -> None:
    body = to_gpt(
        system=parts("Be kind.", "Be brief."),
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": parts("Hello!")},
            {"role": "system", "content": "From now on in French."},
            {"role": "user", "content": parts("What is", "this?")},
        ],
        temperature=1,
        top_p=0.9,
        stop_sequences=["END", "STOP"],
        stream=True,
        metadata={"user_id": "u-1"},
    )
    assert body == {
        "model": "gpt-4o-mini",
        "max_completion_tokens": 64,
        "messages": [
            {"role": "system", "content": parts("Be kind.", "Be brief.")},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "system", "content": "From now on in French."},
            {"role": "user", "content": parts("What is", "this?")},
        ],
        "temperature": 1,
        "top_p": 0.9,
        "stop": ["END", "STOP"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "u-1",
    }


def test_compatible_servers_get_the_older_name_of_the_limit() -> None:
    assert to_gpt(VLLM) == {"model": "llama", "max_tokens": 64, "messages": HELLO}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [], "tool_choice": {"type": "auto"}},
        {"thinking": {"type": "disabled"}},
        {"service_tier": "auto", "metadata": {"user_id": None}},
        {"stop_sequences": [], "top_k": None, "system": None},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": None}]}]},
    ],
)
def test_fields_that_mean_nothing_are_left_out_for_openai(fields: dict[str, Any]) -> None:
    assert to_gpt(**fields) == to_gpt()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"top_k": 5}, "top_k"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"metadata": {"user_id": "x", "team": "y"}}, "metadata.team"),
        ({"stop_sequences": ["1", "2", "3", "4", "5"]}, "stop_sequences"),
        (
            {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
            "system[0].cache_control",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": "x", "extra": 1}]}, "messages[0].extra"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "{"}]}, "messages"),
        ({"output_config": {"format": {}}}, "output_config"),
    ],
)
def test_what_would_be_lost_for_openai_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        to_gpt(**fields)
    assert caught.value.field == field
    assert "a target that speaks anthropic.messages" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"messages": [5]}, "messages[0]"),
        ({"system": 5}, "system"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ],
)
def test_ill_typed_fields_are_named_for_openai(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_gpt(**fields)
    assert caught.value.field == field


def test_the_same_dialect_changes_the_model_only() -> None:
    body = b'{"model":"chat","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"model":1}],"top_k":1}'
    out = upstream_body(MESSAGES, MESSAGES.read(body), CLAUDE)
    assert out == body.replace(b'"chat"', b'"claude-haiku-4-5"')


# Round trips

texts = st.text(st.characters(codec="utf-8"), max_size=20)
text_parts = st.lists(texts.map(Text), min_size=1, max_size=3)
full_parts = st.lists(texts.filter(bool).map(Text), max_size=3)
turns = st.lists(
    st.builds(Message, role=st.sampled_from(["user", "assistant"]), parts=text_parts), min_size=1, max_size=4
)
any_turns = st.tuples(
    turns, st.lists(st.builds(Message, role=st.sampled_from(["user", "system"]), parts=text_parts), max_size=2)
).map(lambda pair: pair[0] + pair[1])
floats = st.none() | st.floats(0, 1)


def requests(messages: st.SearchStrategy[list[Message]], most_stops: int, limit: Any) -> st.SearchStrategy[ChatRequest]:
    return st.builds(
        ChatRequest,
        model=st.just("gpt-4o-mini"),
        messages=messages,
        system=full_parts,
        max_output_tokens=limit,
        temperature=floats,
        top_p=floats,
        stop=st.lists(texts, max_size=most_stops),
        user=st.none() | texts,
        stream=st.booleans(),
    )


limits = st.integers(0, 10**9)


@given(requests(any_turns, 4, st.none() | limits), st.sampled_from([GPT, VLLM]))
def test_openai_requests_survive_a_round_trip(request_: ChatRequest, target: Target) -> None:
    request_.model = target.upstream_model
    body = CHAT.encode_request(request_, target, "test")
    assert CHAT.decode_request(body, target) == request_
    assert CHAT.read(body).stream is request_.stream


@given(requests(turns, 9, limits))
def test_anthropic_requests_survive_a_round_trip(request_: ChatRequest) -> None:
    request_.model = CLAUDE.upstream_model
    body = MESSAGES.encode_request(request_, CLAUDE, "test")
    assert MESSAGES.decode_request(body, CLAUDE) == request_
    assert MESSAGES.read(body).max_output_tokens == request_.max_output_tokens


@given(requests(turns, 4, limits))
def test_a_conversation_survives_the_way_to_the_other_dialect_and_back(request_: ChatRequest) -> None:
    request_.messages.append(Message("user", [Text("?")]))
    first = CHAT.encode_request(request_, GPT, "test")
    there = upstream_body(CHAT, CHAT.read(first), CLAUDE)
    back = upstream_body(MESSAGES, MESSAGES.read(there), GPT)
    assert json.loads(back) == json.loads(first)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "user_id", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)
member_names = st.sampled_from(
    [
        "system",
        "messages",
        "temperature",
        "top_p",
        "stop",
        "stop_sequences",
        "metadata",
        "user",
        "n",
        "stream_options",
        "tools",
    ]
)


@given(st.dictionaries(member_names, json_values, max_size=4))
def test_any_json_is_translated_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "chat", "max_tokens": 5, "messages": HELLO} | fields).encode()
    for dialect, target in ((CHAT, CLAUDE), (MESSAGES, GPT)):
        try:
            envelope = dialect.read(body)
            out = json.loads(upstream_body(dialect, envelope, target))
        except (InvalidRequest, UnsupportedFeature):
            continue
        assert out["model"] == target.upstream_model
