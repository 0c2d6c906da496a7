"""Which tier served an attempt and what was searched for it reach the attempt: passed and translated, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from road import Road

from trimaran.types import Usage

HELLO: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [{"role": "user", "content": "hi"}]},
    "openai.responses": {"input": "hi"},
    "anthropic.messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
}
TOLD = {"openai.chat": "flex", "openai.responses": "flex", "anthropic.messages": "batch"}
"""What the target says."""


def chat(tier: str | None, model: str = "gpt") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "yo"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    } | ({} if tier is None else {"service_tier": tier})


def chat_stream(tier: str | None, model: str = "gpt") -> list[dict[str, Any]]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "service_tier": tier}
    said = [{"role": "assistant", "content": ""}, {"content": "yo"}]
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in said]
    chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [*chunks, head | {"choices": [], "usage": chat(tier)["usage"]}]


def response(tier: str | None, *searches: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": "yo", "annotations": []}]
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    return {
        "id": "r", "object": "response", "created_at": 1, "model": "gpt", "status": "completed", "error": None,
        "output": [*searches, message], "service_tier": tier, "usage": {"input_tokens": 7, "output_tokens": 3},
    }  # fmt: skip


def response_stream(whole: dict[str, Any]) -> list[dict[str, Any]]:
    started = whole | {"status": "in_progress", "output": [], "service_tier": "auto", "usage": None}
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    return [
        {"type": "response.created", "response": started},
        {"type": "response.output_text.delta", **at, "delta": "yo"},
        {"type": "response.completed", "response": whole},
    ]


def message(**usage: Any) -> dict[str, Any]:
    return {
        "id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "yo"}], "usage": {"input_tokens": 7, "output_tokens": 3} | usage,
    }  # fmt: skip


def message_stream(**usage: Any) -> list[dict[str, Any]]:
    begun = message(**usage) | {"content": [], "stop_reason": None}
    begun["usage"] = {key: value for key, value in begun["usage"].items() if key != "server_tool_use"}
    told = {"output_tokens": 3} | {key: value for key, value in usage.items() if key == "server_tool_use"}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "yo"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": told},
        {"type": "message_stop"},
    ]


WHOLE: dict[str, Any] = {
    "openai.chat": chat("flex"),
    "openai.responses": response("flex"),
    "anthropic.messages": message(service_tier="batch"),
}
STREAMED: dict[str, Any] = {
    "openai.chat": chat_stream("flex"),
    "openai.responses": response_stream(response("flex")),
    "anthropic.messages": message_stream(service_tier="batch"),
}


def answered(client: str, target: str, whole: Any = None, events: Any = None) -> Any:
    """The attempt, once the target has given this answer."""
    road = Road(1, dialect=target)
    call, sink = road.ask(dialect=client, stream=events is not None, **HELLO[client])
    sent = road.sent()
    if events is None:
        sent.whole(whole)
    else:
        sent.head(content_type="text/event-stream")
        for event in events:
            sent.event(event)
        if target == "openai.chat":
            sent.exchange.on_data(b"data: [DONE]\n\n")
        sent.exchange.on_end()
    assert sink.error is None
    assert call.attempt is not None
    return call.attempt


@pytest.mark.parametrize("target", HELLO)
@pytest.mark.parametrize("client", HELLO)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_tier_that_served_it_is_known(client: str, target: str, streamed: bool) -> None:
    attempt = answered(client, target, WHOLE[target], STREAMED[target] if streamed else None)
    assert attempt.service_tier == TOLD[target]
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (7, 3)


@pytest.mark.parametrize(
    ("told", "tier"), [("default", "standard"), ("auto", ""), ("fast", "priority"), ("scale", "scale"), (None, "")]
)
def test_openais_words_are_neutral_in_both_of_its_dialects(told: str | None, tier: str) -> None:
    for attempt in (
        answered("openai.chat", "openai.chat", chat(told)),
        answered("openai.chat", "openai.chat", events=chat_stream(told)),
        answered("openai.responses", "openai.responses", response(told)),
        answered("openai.responses", "openai.responses", events=response_stream(response(told))),
    ):
        assert attempt.service_tier == tier


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "standard", "speed": "standard"}, "standard"),
        ({"service_tier": "standard", "inference_geo": "us"}, "us"),
        ({"service_tier": "priority", "inference_geo": "not_available"}, "priority"),
        ({}, ""),
    ],
)
def test_fast_mode_and_places_have_words_of_their_own(usage: dict[str, Any], tier: str) -> None:
    for client in ("anthropic.messages", "openai.chat"):
        assert answered(client, "anthropic.messages", message(**usage)).service_tier == tier
        assert answered(client, "anthropic.messages", events=message_stream(**usage)).service_tier == tier


def test_a_word_that_the_clients_dialect_lacks_is_not_told() -> None:
    road = Road(1, dialect="anthropic.messages")
    _, sink = road.ask(dialect="openai.chat", **HELLO["openai.chat"])
    road.sent().whole(message(service_tier="standard", inference_geo="us"))
    assert json.loads(sink.body)["service_tier"] == "default"


SEARCHES = [
    {"type": "web_search_call", "id": "1", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "web_search_call", "id": "2", "status": "completed", "action": {"type": "open_page", "url": "u"}},
    {"type": "web_search_call", "id": "3", "status": "completed"},
    {"type": "file_search_call", "id": "4", "status": "completed", "queries": ["q"]},
    {"type": "computer_call", "id": "5", "status": "completed", "action": {"type": "click", "x": 1}},
]


def test_searches_are_counted() -> None:
    found = response("default", *SEARCHES)
    whole = answered("openai.responses", "openai.responses", found)
    streamed = answered("openai.responses", "openai.responses", events=response_stream(found))
    assert whole.usage == streamed.usage == Usage(7, 3, web_searches=2, file_searches=1)
    used = {"web_search_requests": 3, "web_fetch_requests": 1}
    whole = answered("anthropic.messages", "anthropic.messages", message(server_tool_use=used))
    streamed = answered("anthropic.messages", "anthropic.messages", events=message_stream(server_tool_use=used))
    assert whole.usage == streamed.usage == Usage(7, 3, web_searches=3)


@pytest.mark.parametrize("model", ["gpt-4o-search-preview-2025-03-11", "gpt-5-search-api"])
def test_a_model_that_always_searches_has_searched_once(model: str) -> None:
    for client in ("openai.chat", "anthropic.messages"):
        whole = answered(client, "openai.chat", chat("default", model))
        streamed = answered(client, "openai.chat", events=chat_stream("default", model))
        assert whole.usage == streamed.usage == Usage(7, 3, web_searches=1)
