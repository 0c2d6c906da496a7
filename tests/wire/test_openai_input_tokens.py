"""Counting the tokens of a Responses request: as it stands, and for a provider of another dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import input_token_count_params

from trimaran.errors import InvalidRequest, MalformedAnswer, UnsupportedFeature
from trimaran.types import Target, feature_mask
from trimaran.wire import DIALECTS, translate
from trimaran.wire.conversation import Reasoning
from trimaran.wire.openai_responses import OpenAIInputTokens
from trimaran.wire.openai_responses.request import KNOWN
from trimaran.wire.state import wrap_state

COUNT = DIALECTS["openai.input_tokens"]
assert isinstance(COUNT, OpenAIInputTokens)
CLAUDE = Target(
    id="a/c",
    provider="anthropic",
    upstream_model="claude",
    dialects=("anthropic.messages", "anthropic.count_tokens"),
    base_url="http://t",
)
GPT = Target(
    id="o/g",
    provider="openai",
    upstream_model="gpt",
    dialects=("openai.responses", "openai.input_tokens"),
    base_url="http://t",
)
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
FIELDS: dict[str, Any] = {
    "model": "m",
    "instructions": "be kind",
    "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"}]}],
    "tools": [TOOL],
    "tool_choice": "auto",
    "truncation": "disabled",
}


def body(**fields: Any) -> bytes:
    return json.dumps(FIELDS | fields).encode()


def test_what_is_read() -> None:
    envelope = COUNT.read(body())
    assert (envelope.dialect, envelope.model, envelope.stream) == ("openai.input_tokens", "m", False)
    assert (envelope.max_output_tokens, envelope.stateful) == (0, False)
    assert envelope.needs == feature_mask("chat", "tools", "vision")
    asked = {
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "n"}},
    }
    assert COUNT.read(body(**asked)).needs == envelope.needs
    assert COUNT.free
    assert COUNT.operation == "count"
    assert COUNT.read(body(previous_response_id="r")).stateful
    with pytest.raises(InvalidRequest, match="model"):
        COUNT.read(b'{"input":"hi"}')


def test_the_same_dialect_passes() -> None:
    sent = body()
    translation = translate(COUNT, COUNT.read(sent), GPT)
    assert json.loads(translation.body) == json.loads(sent) | {"model": "gpt"}
    answer = b'{"object":"response.input_tokens","input_tokens":12}'
    assert translation.answer(answer) == (answer, None, "", "")


def test_counted_by_another_provider(openai_sdk: Any) -> None:
    translation = translate(COUNT, COUNT.read(body()), CLAUDE)
    told = json.loads(translation.body)
    assert (told["model"], told["system"]) == ("claude", "be kind")
    assert told["tools"][0]["name"] == "f"
    assert told["messages"][0]["content"][0]["type"] == "image"
    answer, *rest = translation.answer(b'{"input_tokens":345}')
    assert rest == [None, "", ""]
    assert openai_sdk(answer).responses.input_tokens.count(model="m", input="hi").input_tokens == 345


def test_counting_for_a_client_of_another_dialect() -> None:
    client = DIALECTS["anthropic.count_tokens"]
    sent = json.dumps({"model": "m", "system": "be kind", "messages": [{"role": "user", "content": "hi"}]}).encode()
    translation = translate(client, client.read(sent), GPT)
    # Nothing but what is counted, and no word of a store: this call knows none.
    assert json.loads(translation.body) == {
        "model": "gpt",
        "instructions": "be kind",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
    }
    answer = translation.answer(b'{"object":"response.input_tokens","input_tokens":7}')[0]
    assert json.loads(answer)["input_tokens"] == 7


def test_every_member_that_the_vendor_knows_is_known_here() -> None:
    assert set(input_token_count_params.InputTokenCountParams.__annotations__) <= KNOWN


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"previous_response_id": "r"}, "'previous_response_id'"),
        ({"conversation": "c"}, "'conversation'"),
        ({"personality": "friendly"}, "'personality'"),
        ({"truncation": "auto"}, "'truncation'"),
        ({"temperature": 1.0}, "'temperature'"),
        ({"tools": [{"type": "web_search"}]}, "'tools[0]'"),
    ],
)
def test_what_cannot_be_counted_elsewhere(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(UnsupportedFeature, match="translated") as caught:
        translate(COUNT, COUNT.read(body(**fields)), CLAUDE)
    assert told in str(caught.value)


def test_a_count_is_never_asked_as_a_conversation() -> None:
    target = Target(id="x", provider="x", upstream_model="u", dialects=("openai.chat",), base_url="http://t")
    with pytest.raises(UnsupportedFeature, match="counting"):
        translate(COUNT, COUNT.read(body()), target)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"input_tokens":"x"}', b'{"input_tokens":10000000000000}'])
def test_malformed_counts(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        COUNT.inspect(answer)


def test_wrapped_reasoning_is_not_counted() -> None:
    foreign = {"type": "reasoning", "id": "r", "summary": []}
    foreign["encrypted_content"] = wrap_state(Reasoning("t", "s", "anthropic.messages"))
    sent = body(input=[foreign, {"role": "user", "content": "x"}])
    translation = translate(COUNT, COUNT.read(sent), GPT)
    assert json.loads(translation.body)["input"] == [{"role": "user", "content": "x"}]
    assert translation.notes is not None
    assert translation.notes.omitted == ["reasoning"]
