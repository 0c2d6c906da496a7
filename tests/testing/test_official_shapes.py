"""Every body and event against the SDKs' own models, checked strictly: the clients themselves build without checking."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from trimaran.testing import Behaviour, SimulatedProvider

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OFFERS = {
    "openai.chat": {"tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]},
    "openai.responses": {"tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]},
    "anthropic.messages": {"tools": [{"name": "look", "input_schema": SCHEMA}]},
}
WANTS = {
    "openai.chat": {"logprobs": True, "top_logprobs": 2, "stream_options": {"include_usage": True}},
    "openai.responses": {
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "top_logprobs": 2,
        "reasoning": {"effort": "low", "summary": "auto"},
        "service_tier": "flex",
    },
    "anthropic.messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
}
BEHAVIOURS = {
    "text": Behaviour(text="one two three"),
    "nothing": Behaviour(text=""),
    "tools": Behaviour(call_tools=True, tool_calls=2, text_before_tools="Let me see."),
    "only tools": Behaviour(call_tools=True),
    "reasoning": Behaviour(reasoning_text="I think.", redacted_reasoning=True, text="So it is."),
    "refusal": Behaviour(refusal="No, never."),
    "searched": Behaviour(web_searches=2, file_searches=1),
    "usage": Behaviour(input_tokens=100, cached_read_tokens=50, cache_write_tokens=20, audio_input_tokens=3),
}


def model(dialect, stream):
    if dialect == "openai.chat":
        from openai.types.chat import ChatCompletion, ChatCompletionChunk

        return ChatCompletionChunk if stream else ChatCompletion
    if dialect == "openai.responses":
        from openai.types.responses import Response, ResponseStreamEvent

        return ResponseStreamEvent if stream else Response
    from anthropic.types import Message, RawMessageStreamEvent

    return RawMessageStreamEvent if stream else Message


@pytest.mark.parametrize("dialect", OFFERS)
@pytest.mark.parametrize("name", BEHAVIOURS)
@pytest.mark.parametrize("wants", [False, True], ids=["plain", "all"])
async def test_an_answer_is_what_the_vendor_describes(ask, dialect, name, wants):
    fields = {**OFFERS[dialect], **(WANTS[dialect] if wants else {})}
    async with SimulatedProvider(BEHAVIOURS[name]) as provider:
        options = {key: value for key, value in fields.items() if key != "stream_options"}
        whole = await ask(provider, dialect, **options)
        streamed = await ask(provider, dialect, stream=True, **fields)
    assert (whole.status, streamed.status) == (200, 200)
    TypeAdapter(model(dialect, False)).validate_json(whole.body, strict=False)
    events = [data for name, data in streamed.events() if data != "[DONE]" and name != "ping"]
    adapter = TypeAdapter(model(dialect, True))
    for event in events:
        adapter.validate_json(event)
        assert json.loads(event).get("type") is not None or dialect == "openai.chat"


@pytest.mark.parametrize("bare", [False, True])
async def test_failures_inside_a_stream_of_responses_too(ask, bare):
    from openai.types.responses import Response

    async with SimulatedProvider(Behaviour(fault="in_band_error", bare_error_event=bare)) as provider:
        raw = await ask(provider, "openai.responses", stream=True)
        whole = await ask(provider, "openai.responses")
    for _, event in raw.events():
        TypeAdapter(model("openai.responses", True)).validate_json(event)
    assert TypeAdapter(Response).validate_json(whole.body).status == "failed"


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_vectors_and_counts(ask, encoding):
    from anthropic.types import MessageTokensCount
    from openai.types import CreateEmbeddingResponse
    from openai.types.responses.input_token_count_response import InputTokenCountResponse

    async with SimulatedProvider() as provider:
        vectors = await ask(provider, "openai.embeddings", input=["a", "b"], encoding_format=encoding)
        counted = await ask(provider, "openai.input_tokens")
        other = await ask(provider, "anthropic.count_tokens")
    if encoding == "float":
        assert len(TypeAdapter(CreateEmbeddingResponse).validate_json(vectors.body).data) == 2
    else:
        assert all(isinstance(row["embedding"], str) for row in vectors.json()["data"])
    assert TypeAdapter(InputTokenCountResponse).validate_json(counted.body).input_tokens
    assert TypeAdapter(MessageTokensCount).validate_json(other.body).input_tokens
