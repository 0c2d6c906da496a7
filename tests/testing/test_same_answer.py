"""The same conversation gets the same answer and costs the same in every dialect."""

from __future__ import annotations

import pytest

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract.material import PDF, PIXEL, WEATHER_SCHEMA

ARGUMENTS = {"city": "Paris", "days": 2}
TEXT = '{"city": "Paris", "days": 2}'
IMAGE_URL = f"data:image/png;base64,{PIXEL}"
CONVERSATIONS = {
    "openai.chat": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": IMAGE_URL}},
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": TEXT}},
                    {"id": "c2", "type": "function", "function": {"name": "get_weather", "arguments": TEXT}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Sunny."},
            {"role": "tool", "tool_call_id": "c2", "content": "Rain."},
            {"role": "user", "content": "And tomorrow?"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER_SCHEMA},
            }
        ],
    },
    "openai.responses": {
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": IMAGE_URL, "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
                ],
            },
            {"role": "assistant", "content": "Let me look."},
            {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": TEXT},
            {"type": "function_call", "call_id": "c2", "name": "get_weather", "arguments": TEXT},
            {"type": "function_call_output", "call_id": "c1", "output": "Sunny."},
            {"type": "function_call_output", "call_id": "c2", "output": "Rain."},
            {"role": "user", "content": "And tomorrow?"},
        ],
        "tools": [{"type": "function", "name": "get_weather", "description": "Weather.", "parameters": WEATHER_SCHEMA}],
    },
    "anthropic.messages": {
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    {"type": "tool_use", "id": "c1", "name": "get_weather", "input": ARGUMENTS},
                    {"type": "tool_use", "id": "c2", "name": "get_weather", "input": ARGUMENTS},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "Sunny."},
                    {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "Rain."}]},
                    {"type": "text", "text": "And tomorrow?"},
                ],
            },
        ],
        "tools": [{"name": "get_weather", "description": "Weather.", "input_schema": WEATHER_SCHEMA}],
    },
    "bedrock.converse": {
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "What is this?"},
                    {"image": {"format": "png", "source": {"bytes": PIXEL}}},
                    {"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"text": "Let me look."},
                    {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": ARGUMENTS}},
                    {"toolUse": {"toolUseId": "c2", "name": "get_weather", "input": ARGUMENTS}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": "Sunny."}]}},
                    {"toolResult": {"toolUseId": "c2", "content": [{"text": "Rain."}]}},
                    {"text": "And tomorrow?"},
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "get_weather",
                        "description": "Weather.",
                        "inputSchema": {"json": WEATHER_SCHEMA},
                    }
                }
            ]
        },
    },
}
SEEN = "(3 messages, system prompt, 1 image, 1 document, 2 tool calls, 2 tool results)"


def gist(dialect, answer):
    """Text, calls and tokens."""
    if dialect == "openai.chat":
        message, usage = answer["choices"][0]["message"], answer["usage"]
        calls = [call["function"]["name"] for call in message.get("tool_calls", ())]
        return message["content"], calls, usage["prompt_tokens"], usage["completion_tokens"]
    usage = answer["usage"]
    if dialect == "bedrock.converse":
        blocks = answer["output"]["message"]["content"]
        calls = [block["toolUse"]["name"] for block in blocks if "toolUse" in block]
        text = "".join(block["text"] for block in blocks if "text" in block)
        return text, calls, usage["inputTokens"], usage["outputTokens"]
    if dialect == "openai.responses":
        texts = [item["content"][0]["text"] for item in answer["output"] if item["type"] == "message"]
        calls = [item["name"] for item in answer["output"] if item["type"] == "function_call"]
    else:
        texts = [block["text"] for block in answer["content"] if block["type"] == "text"]
        calls = [block["name"] for block in answer["content"] if block["type"] == "tool_use"]
    return "".join(texts), calls, usage["input_tokens"], usage["output_tokens"]


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(output_tokens=40),
        Behaviour(text="Fixed."),
        Behaviour(reasoning_tokens=7),
        Behaviour(input_tokens=500),
    ],
)
async def test_a_conversation_is_answered_alike(ask, behaviour):
    async with SimulatedProvider(behaviour) as provider:
        seen = {
            dialect: gist(dialect, (await ask(provider, dialect, **fields)).json())
            for dialect, fields in CONVERSATIONS.items()
        }
    assert len(set(map(repr, seen.values()))) == 1, seen
    if behaviour.output_tokens == 40:
        text = seen["openai.chat"][0]
        assert SEEN in text
        assert 'to "And tomorrow?"' in text


async def test_tools_are_called_alike(ask):
    wants = {
        "openai.chat": {"tool_choice": "required"},
        "openai.responses": {"tool_choice": "required"},
        "anthropic.messages": {"tool_choice": {"type": "any"}},
        "bedrock.converse": {
            "toolConfig": {**CONVERSATIONS["bedrock.converse"]["toolConfig"], "toolChoice": {"any": {}}}
        },
    }
    behaviour = Behaviour(tool_calls=3, text_before_tools="I look.")
    async with SimulatedProvider(behaviour) as provider:
        seen = [
            gist(dialect, (await ask(provider, dialect, **{**fields, **wants[dialect]})).json())
            for dialect, fields in CONVERSATIONS.items()
        ]
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert seen[0][:2] == ("I look.", ["get_weather"] * 3)


async def test_counts_agree_with_answers(ask):
    pairs = {"openai.responses": "openai.input_tokens", "anthropic.messages": "anthropic.count_tokens"}
    async with SimulatedProvider() as provider:
        for dialect, counter in pairs.items():
            answer = (await ask(provider, dialect, **CONVERSATIONS[dialect])).json()
            counted = (await ask(provider, counter, **CONVERSATIONS[dialect])).json()
            assert counted["input_tokens"] == answer["usage"]["input_tokens"] > 0


@pytest.mark.parametrize(
    ("lost", "missing"),
    [
        (lambda c: c["messages"][1]["content"].pop(1), "1 image"),
        (lambda c: c["messages"][1]["content"].pop(2), "1 document"),
        (lambda c: c["messages"].pop(0), "system prompt"),
        (lambda c: c["messages"].__delitem__(slice(2, 5)), "2 tool results"),
    ],
)
async def test_a_lost_part_is_seen_in_text_and_tokens(ask, lost, missing):
    import copy

    whole = CONVERSATIONS["openai.chat"]
    less = copy.deepcopy(whole)
    lost(less)
    async with SimulatedProvider(Behaviour(output_tokens=40)) as provider:
        full = gist("openai.chat", (await ask(provider, **whole)).json())
        poor = gist("openai.chat", (await ask(provider, **less)).json())
    assert missing in full[0]
    assert missing not in poor[0]
    assert poor[2] < full[2]
