"""Valid requests, answers and streams, from which everything else is bent."""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.types import Capabilities, Target, Usage
from trimaran.wire import DIALECTS, ChatDialect
from trimaran.wire.conversation import Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import (
    Answer,
    ArgumentsDelta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    Started,
    TextDelta,
    UsageReport,
)

__all__ = ["ANSWERS", "CHAT", "EMBEDDING", "REQUESTS", "STREAMS", "TARGETS"]

CHAT = ("openai.chat", "openai.responses", "anthropic.messages")

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}

REQUESTS: dict[str, list[dict[str, Any]]] = {
    "openai.chat": [
        {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16},
        {
            "model": "chat",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.2,
            "messages": [
                {"role": "system", "content": "be brief"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is this?"},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}", "detail": "low"}},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": _SCHEMA, "strict": False}}],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
        },
        {
            "model": "chat",
            "messages": [{"role": "user", "content": "as JSON"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": _SCHEMA}},
            "reasoning_effort": "low",
            "n": 2,
            "stop": ["end"],
            "logprobs": True,
            "top_logprobs": 2,
            "seed": 7,
        },
    ],
    "openai.responses": [
        {"model": "chat", "input": "hello", "max_output_tokens": 16},
        {
            "model": "chat",
            "stream": True,
            "instructions": "be brief",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abcd"},
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            ],
            "tools": [{"type": "function", "name": "weather", "parameters": _SCHEMA, "strict": True}],
            "text": {"format": {"type": "json_schema", "name": "place", "schema": _SCHEMA}},
            "reasoning": {"effort": "low", "summary": "auto"},
        },
    ],
    "anthropic.messages": [
        {"model": "chat", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]},
        {
            "model": "chat",
            "max_tokens": 2048,
            "stream": True,
            "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is this?"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": _PIXEL},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]},
            ],
            "tools": [{"name": "weather", "input_schema": _SCHEMA}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
    ],
    "openai.embeddings": [
        {"model": "chat", "input": ["a", "b"], "encoding_format": "float"},
        {"model": "chat", "input": [[1, 2, 3]], "dimensions": 8, "user": "u"},
    ],
    "openai.input_tokens": [{"model": "chat", "input": "hello"}],
    "anthropic.count_tokens": [{"model": "chat", "messages": [{"role": "user", "content": "hello"}]}],
}
"""Bodies by dialect."""

EMBEDDING: dict[str, Any] = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}

_USAGE = Usage(input_tokens=12, output_tokens=9, cached_read_tokens=4, reasoning_tokens=2)

_EVENTS: tuple[tuple[Event, ...], ...] = (
    (
        Started("a1", "m"),
        PartStarted(0, Text("")),
        TextDelta("Hel", 0),
        TextDelta("lo", 0),
        PartEnded(0),
        UsageReport(_USAGE),
        Finished("stop"),
    ),
    (
        Started("a2", "m"),
        PartStarted(0, Reasoning(origin="anthropic.messages")),
        ReasoningDelta("think", 0),
        ReasoningState("c2ln", 0),
        PartEnded(0),
        PartStarted(1, ToolCall("call_1", "weather", "")),
        ArgumentsDelta('{"city":', 1),
        ArgumentsDelta('"Paris"}', 1),
        PartEnded(1),
        UsageReport(_USAGE),
        Finished("tool_calls"),
    ),
    (
        Started("a3", "m"),
        PartStarted(0, Refusal("")),
        TextDelta("no", 0),
        PartEnded(0),
        Finished("content_filter"),
        UsageReport(_USAGE, alone=True),
    ),
)

_ANSWERS = (
    Answer("a1", "m", [Text("Hello")], "stop", usage=_USAGE),
    Answer(
        "a2",
        "m",
        [Reasoning("think", "c2ln", "anthropic.messages"), ToolCall("call_1", "weather", '{"city":"Paris"}')],
        "tool_calls",
        usage=_USAGE,
    ),
)


def _dialect(name: str) -> ChatDialect:
    dialect = DIALECTS[name]
    assert isinstance(dialect, ChatDialect)
    return dialect


def _streams(name: str) -> list[bytes]:
    dialect = _dialect(name)
    envelope = dialect.read(msgspec.json.encode({**REQUESTS[name][0], "stream": True}))
    envelope.include_usage = True
    found = []
    for events in _EVENTS:
        encoder = dialect.stream_encoder(envelope, 1)
        found.append(b"".join(encoder.encode(event) for event in events) + encoder.end())
    return found


def _answers(name: str) -> list[Any]:
    dialect = _dialect(name)
    envelope = dialect.read(msgspec.json.encode(REQUESTS[name][0]))
    return [msgspec.json.decode(dialect.encode_answer(answer, 1, envelope)) for answer in _ANSWERS]


STREAMS = {name: _streams(name) for name in CHAT}
"""Whole streams by dialect."""

ANSWERS = {name: _answers(name) for name in CHAT}
"""Whole answers by dialect, decoded."""

TARGETS = [
    Target(f"t/{index}", "compatible", "m", dialects, "http://127.0.0.1:1", capabilities=known)
    for index, (dialects, known) in enumerate(
        (
            (("openai.chat", "openai.embeddings"), None),
            (("openai.responses", "openai.input_tokens"), None),
            (("anthropic.messages", "anthropic.count_tokens"), None),
            (
                ("anthropic.messages",),
                Capabilities(family="m", has=frozenset({"tools", "prefill"}), lacks=frozenset({"json_schema"})),
            ),
        )
    )
]
