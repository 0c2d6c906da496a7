"""Requests that change their dialect: what is carried over, what is refused, and that nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Target
from trimaran.wire import DIALECTS, translate
from trimaran.wire.anthropic_messages import DEFAULT_MAX_TOKENS

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
    return json.loads(translate(CHAT, CHAT.read(body), target).body)


def to_gpt(target: Target = GPT, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"model": "chat", "max_tokens": 64, "messages": HELLO} | fields).encode()
    return json.loads(translate(MESSAGES, MESSAGES.read(body), target).body)


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


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"type": "function", "function": {"name": "f"}}
UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"n": 2}, "n"),
    ({"seed": 1}, "seed"),
    ({"logprobs": True}, "logprobs"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"presence_penalty": -1}, "presence_penalty"),
    ({"logit_bias": {"1": 5}}, "logit_bias"),
    ({"verbosity": "low"}, "verbosity"),
    ({"store": True}, "store"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
    ({"an_unknown_field": 0}, "an_unknown_field"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"user": "a", "safety_identifier": "b"}, "safety_identifier"),
    ({"temperature": 1.5}, "temperature"),
    ({"messages": [{"role": "user", "content": "Hi", "name": "Bob"}]}, "messages[0].name"),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        "messages[0].content[0].file.file_id",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]}, "messages[0].content[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
        "messages[0].content[0].cache_control",
    ),
    ({"messages": [*HELLO, {"role": "function", "name": "f", "content": "x"}]}, "messages[1]"),
    (
        {"messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "custom"}]}]},
        "messages[1].tool_calls[0]",
    ),
    ({"messages": [*HELLO, {"role": "assistant", "audio": {"id": "a"}}, *HELLO]}, "messages[1].audio"),
    ({"messages": [{"role": "system", "content": "only"}]}, "messages"),
    ({"messages": [*HELLO, {"role": "system", "content": "now"}, *HELLO]}, "messages[1]"),
    ({"messages": [*HELLO, {"role": "assistant", "content": "The best answer is ("}]}, "messages[1]"),
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
    assert translate(CHAT, CHAT.read(body), GPT).body is body


def test_one_message_names_every_field() -> None:
    with pytest.raises(UnsupportedFeature, match=r"'store', 'moderation', 'n' \(more than one choice\)"):
        to_claude(store=True, moderation={"model": "m"}, n=4)
    with pytest.raises(UnsupportedFeature, match=r"'seed'.*'logprobs'"):
        to_claude(seed=1, logprobs=True)
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
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "1", "content": "x"}]}, "messages[1]"),
        ({"messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}, *HELLO]}, "messages[1]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"top_logprobs": 2}, "top_logprobs"),
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
    assert b'"temperature":0,"temperature":1' in translate(CHAT, envelope, GPT).body
    with pytest.raises(InvalidRequest, match="'temperature' stands more than once"):
        translate(CHAT, envelope, CLAUDE)


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
        ({"top_k": 5}, "top_k"),
        ({"metadata": {"user_id": "x", "team": "y"}}, "metadata.team"),
        ({"stop_sequences": ["1", "2", "3", "4", "5"]}, "stop_sequences"),
        ({"messages": [{"role": "user", "content": "x", "extra": 1}]}, "messages[0].extra"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "{"}]}, "messages[1]"),
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
    out = translate(MESSAGES, MESSAGES.read(body), CLAUDE).body
    assert out == body.replace(b'"chat"', b'"claude-haiku-4-5"')


# Properties

texts = st.text(st.characters(codec="utf-8"), max_size=20)
said = texts.filter(str.strip)
turns = st.lists(st.tuples(said, said), max_size=3).flatmap(
    lambda pairs: st.just(
        [
            {"role": role, "content": text}
            for pair in pairs
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
    )
)
plain_requests = st.fixed_dictionaries(
    {"messages": turns.map(lambda before: [*before, *HELLO]), "max_completion_tokens": st.integers(1, 10**6)},
    optional={
        "temperature": st.floats(0, 1),
        "stop": st.lists(said, min_size=1, max_size=4),
        "user": texts,
    },
)


@given(plain_requests, st.none() | said)
def test_a_conversation_survives_the_way_to_the_other_dialect_and_back(request: Any, system: str | None) -> None:
    if system is not None:
        request["messages"].insert(0, {"role": "system", "content": system})
    first = json.dumps({"model": GPT.upstream_model} | request).encode()
    there = translate(CHAT, CHAT.read(first), CLAUDE)
    back = translate(MESSAGES, MESSAGES.read(there.body), GPT)
    assert json.loads(back.body) == json.loads(first)
    assert there.notes is None
    assert back.notes is None


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
            out = json.loads(translate(dialect, envelope, target).body)
        except (InvalidRequest, UnsupportedFeature):
            continue
        assert out["model"] == target.upstream_model
