"""What the vendors refuse is refused, in their words and shape, so that a translation is judged by a strict peer."""

from __future__ import annotations

import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.signing import sign, signed_text
from trimaran.testing.strict_schema import strictness_fault

USER = {"role": "user", "content": "Hello"}
PIXEL = "data:image/png;base64,aGVsbG8="
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}


def chat_call(identity="c1"):
    return {"id": identity, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def called(*calls):
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def answered(identity="c1", content="ok"):
    return {"role": "tool", "tool_call_id": identity, "content": content}


def chat_tool(**function):
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


def said(*parts):
    return [{"role": "user", "content": list(parts)}]


CHAT = [
    ({"messages": [USER, answered()]}, "must be a response to a preceeding message", "messages.[1].role"),
    ({"messages": [USER, called(chat_call()), USER]}, "did not have response messages: c1", "messages.[2].role"),
    ({"messages": [USER, called(chat_call())]}, "did not have response messages: c1", "messages.[2].role"),
    ({"messages": [USER, called(chat_call()), answered(), answered()]}, "preceeding message", "messages.[3].role"),
    ({"messages": [USER, called(chat_call(), chat_call())]}, "Duplicate", "messages[1].tool_calls[1].id"),
    ({"messages": [USER, called(chat_call("c" * 41))]}, "maximum length 40", "messages[1].tool_calls[0].id"),
    ({"messages": [USER, called()]}, "empty array", "messages[1].tool_calls"),
    ({"messages": [USER, {"role": "assistant", "content": None}]}, "got null", "messages.[1].content"),
    ({"messages": [USER, called(chat_call()), {"role": "tool", "content": "x"}]}, "tool_call_id", None),
    (
        {
            "messages": [
                USER,
                called(chat_call()),
                answered(content=[{"type": "image_url", "image_url": {"url": PIXEL}}]),
            ]
        },
        "Image URLs are only allowed for messages with role 'user'",
        "messages[2]",
    ),
    ({"messages": said({"type": "input_text", "text": "x"})}, "'input_text'", "messages[0].content[0].type"),
    ({"messages": said({"type": "image_url"})}, "Missing required", "messages[0].content[0].image_url"),
    ({"messages": said({"type": "image_url", "image_url": {"url": "ftp://x"}})}, "valid URL", None),
    ({"messages": said({"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}})}, "base64", None),
    ({"messages": said({"type": "file", "file": {"filename": "a"}})}, "file_data", None),
    ({"tools": []}, "empty array", "tools"),
    ({"tool_choice": "auto"}, "only allowed when 'tools' are specified", "tool_choice"),
    ({"parallel_tool_calls": True}, "only allowed when 'tools' are specified", "parallel_tool_calls"),
    (chat_tool(name="not a name"), "does not match pattern", "tools[0].function.name"),
    (chat_tool(parameters={"type": "string"}), "schema must be", "tools[0].function.parameters"),
    (chat_tool(parameters=OPEN, strict=True), "additionalProperties", "tools[0].function.parameters"),
    ({**chat_tool(), "tool_choice": "any"}, "'any'", "tool_choice"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "not supported", "max_tokens"),
    ({"max_tokens": 0}, "Expected a value >= 1", "max_tokens"),
    ({"stop": list("abcde")}, "maximum length 4", "stop"),
    ({"temperature": 2.5}, "Expected a value <= 2", "temperature"),
    ({"top_logprobs": 2}, "'logprobs' is enabled", "top_logprobs"),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", "messages"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": OPEN}}}, "name", None),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": OPEN, "strict": True}}},
        "additionalProperties",
        "response_format",
    ),
    ({"top_k": 5}, "Unknown parameter: 'top_k'", "top_k"),
]
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
OURS = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sign("encrypted", "rs_1\nx")}
RESPONSES = [
    ({"input": [USER, OUTPUT]}, "No tool call found for function call output with call_id c1", "input"),
    ({"input": [USER, CALL]}, "No tool output found for function call c1", "input"),
    ({"input": [USER, CALL, CALL, OUTPUT]}, "Duplicate", "input[2].call_id"),
    ({"input": [USER, CALL, OUTPUT, OUTPUT]}, "Duplicate", "input[3]"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "not found", "input"),
    ({"input": [{"type": "hologram"}]}, "'hologram'", "input[0].type"),
    ({"input": said({"type": "text", "text": "x"})}, "'text'", "input[0].content[0]"),
    ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, "'output_text'", None),
    ({"input": [{"role": "system", "content": [{"type": "input_image", "image_url": PIXEL}]}]}, "input_text", None),
    ({"input": [USER, {**OURS, "encrypted_content": "foreign"}, CALL, OUTPUT]}, "could not be verified", None),
    ({"input": [USER, {**OURS, "id": "rs_2"}, CALL, OUTPUT]}, "item_id did not match", None),
    ({"input": [USER, {**OURS, "encrypted_content": None}, CALL, OUTPUT]}, "Items are not persisted", "input"),
    ({"input": [USER, OURS]}, "without its required following item", "input"),
    ({"input": [USER, OURS, USER]}, "without its required following item", "input"),
    ({"previous_response_id": "resp_x"}, "Previous response with id 'resp_x' not found", "previous_response_id"),
    ({"max_output_tokens": 15}, "Expected a value >= 16", "max_output_tokens"),
    ({"include": ["everything"]}, "'everything'", "include[0]"),
    ({"tool_choice": "required"}, "'tools' parameter", "tool_choice"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name", "tools[0].name"),
    ({"tools": [{"type": "web_search"}]}, "web_search", "tools[0].type"),
    ({"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'", "input"),
    ({"text": {"format": {"type": "json_schema", "schema": OPEN}}}, "text.format.name", "text.format.name"),
    ({"metadata": {str(n): "" for n in range(17)}}, "16 properties", "metadata"),
    ({"background": True}, "not simulated", "background"),
    ({"conversation": "conv_1"}, "not simulated", "conversation"),
    ({"input": None}, "Missing required parameter: 'input'", "input"),
    ({"max_tokens": 5}, "Unknown parameter: 'max_tokens'", "max_tokens"),
]


def use(identity="t1"):
    return {"type": "tool_use", "id": identity, "name": "f", "input": {}}


def result(identity="t1", content="ok"):
    return {"type": "tool_result", "tool_use_id": identity, "content": content}


def turns(*contents):
    """Turns of user and assistant in alternation."""
    return {
        "messages": [
            {"role": "assistant" if place % 2 else "user", "content": content} for place, content in enumerate(contents)
        ]
    }


THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
THOUGHT = {"type": "thinking", "thinking": "x", "signature": sign("thinking", "x")}
TEXT = {"type": "text", "text": "So."}
ANTHROPIC = [
    (turns([result()]), "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1"),
    (
        turns("a", [use()], "b"),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1",
    ),
    (turns("a", [use()]), "messages.1: `tool_use` ids were found without"),
    (turns("a", [use(), use()], [result()]), "messages.1.content.1: `tool_use` ids must be unique"),
    (turns("a", [use()], [result(), result()]), "each tool_use must have a single result"),
    (turns("a", [use()], [result()], [use()], [result()]), "messages.3.content.0: `tool_use` ids must be unique"),
    (turns("a", [use()], [result()], "b", [result()]), "messages.4.content.0: unexpected `tool_use_id`"),
    (turns("a", [use("bad id")], [result("bad id")]), "messages.1.content.0.tool_use.id: String should match pattern"),
    (turns("a", [{**use(), "input": "{}"}]), "messages.1.content.0.tool_use.input: Input should be a valid dictionary"),
    (turns([use()]), "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages"),
    (turns([{"type": "input_text", "text": "x"}]), "messages.0.content.0: Input tag 'input_text' found using 'type'"),
    (turns([{"type": "text", "text": ""}]), "text content blocks must be non-empty"),
    (turns([{"type": "text", "text": " "}]), "must contain non-whitespace text"),
    (turns(""), "messages.0: all messages must have non-empty content"),
    (turns("a", "b "), "final assistant content cannot end with trailing whitespace"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be"),
    ({"system": [{"type": "text", "text": ""}]}, "system: text content blocks must be non-empty"),
    (turns([{"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "aGk="}}]), "media_type"),
    (
        turns([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "%"}}]),
        "invalid base64",
    ),
    (turns([{"type": "image", "source": {"type": "url", "url": PIXEL}}]), "Only HTTP and HTTPS URLs"),
    ({**THINKING, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
    ({**THINKING, "thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
    ({**THINKING, "thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({**THINKING, "temperature": 0.5}, "`temperature` may only be set to 1 when thinking is enabled"),
    (
        {**THINKING, "tools": [{"name": "f", "input_schema": OPEN}], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    (
        {**THINKING, **turns("a", [use()], [result()])},
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    (turns("a", [{"type": "thinking", "thinking": "x"}, TEXT], "b"), "thinking.signature: Field required"),
    (
        turns("a", [{**THOUGHT, "signature": "Zm9v"}, TEXT], "b"),
        "messages.1.content.0: Invalid `signature` in `thinking`",
    ),
    (turns("a", [{**THOUGHT, "thinking": "changed"}, TEXT], "b"), "Invalid `signature` in `thinking` block"),
    (turns("a", [{**THOUGHT, "signature": sign("encrypted", "x")}, TEXT], "b"), "Invalid `signature`"),
    (
        turns("a", [{"type": "redacted_thinking", "data": "x"}, TEXT], "b"),
        "Invalid `data` in `redacted_thinking` block",
    ),
    ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [{"name": "f", "input_schema": OPEN}] * 2}, "tools: Tool names must be unique"),
    ({"tools": [{"name": "a b", "input_schema": OPEN}]}, "tools.0.custom.name: String should match pattern"),
    ({"tool_choice": {"type": "any"}}, "may only be specified while providing tools"),
    ({"stop_sequences": ["\n"]}, "each stop sequence must contain non-whitespace"),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    ({"seed": 3}, "seed: Extra inputs are not permitted"),
    ({"messages": [{"content": "x"}]}, "messages.0.role: Field required"),
]


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider().in_thread() as running:
        yield running


@pytest.mark.parametrize(
    ("dialect", "fields", "message", "param"),
    [("openai.chat", *row) for row in CHAT] + [("openai.responses", *row) for row in RESPONSES],
)
async def test_openai_refuses(ask, provider, dialect, fields, message, param):
    raw = await ask(provider, dialect, **fields)
    error = raw.json()["error"]
    assert raw.status == (404 if "not found" in error["message"] and "Item" in error["message"] else 400)
    assert (error["type"], set(error)) == ("invalid_request_error", {"message", "type", "param", "code"})
    assert message in error["message"]
    assert param is None or error["param"] == param


@pytest.mark.parametrize(("fields", "message"), ANTHROPIC)
async def test_anthropic_refuses(ask, provider, fields, message):
    raw = await ask(provider, "anthropic.messages", **fields)
    assert (raw.status, raw.json()["error"]["type"]) == (400, "invalid_request_error")
    assert message in raw.json()["error"]["message"]


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (
            "openai.chat",
            {"messages": [USER, called(chat_call("a"), chat_call("b")), answered("b"), answered("a"), USER]},
        ),
        ("openai.chat", {"messages": [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}, USER]}),
        ("openai.chat", {"messages": [USER, {"role": "assistant", "content": None, "refusal": "no"}, USER]}),
        (
            "openai.chat",
            {"messages": [USER], "seed": 3, "user": "x", "metadata": {"a": "b"}, "reasoning_effort": "low"},
        ),
        ("openai.responses", {"input": [USER, CALL, OUTPUT, USER]}),
        ("openai.responses", {"input": [USER, OURS, CALL, OUTPUT]}),
        ("openai.responses", {"input": [USER, {**OURS, "id": None}, CALL, OUTPUT]}),
        ("openai.responses", {"input": [{"role": "developer", "content": "x"}, USER], "truncation": "auto"}),
        ("anthropic.messages", turns("a", [THOUGHT, use("x"), use("y")], [result("y"), result("x"), TEXT])),
        ("anthropic.messages", {**THINKING, **turns("a", [THOUGHT, use()], [result()])}),
        ("anthropic.messages", turns("a", [{**THOUGHT, "thinking": ""}, TEXT], "b")),
        ("anthropic.messages", {"messages": [USER, USER, {"role": "assistant", "content": ""}]}),
        ("anthropic.messages", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ],
)
async def test_what_is_right_is_answered(ask, provider, dialect, fields):
    raw = await ask(provider, dialect, **fields)
    assert raw.status == 200, raw.body


def test_signatures_know_their_purpose_and_their_text():
    for text in ("", "thought", "Grüße 🚢"):
        assert signed_text("thinking", sign("thinking", text)) == text
        assert signed_text("encrypted", sign("thinking", text)) is None
    signature = sign("thinking", "thought")
    assert signed_text("thinking", signature[:-4] + "AAAA") is None
    assert signed_text("thinking", "sim-thinking-%") is None


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "object", "properties": {}, "additionalProperties": False}, None),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, None),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, "additionalProperties"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, "Missing 'a'"),
        ({"type": "array", "items": OPEN}, "context=('items', '')"),
        ({"anyOf": [{"type": "string"}, OPEN]}, "context=('anyOf', '1')"),
        ({"$defs": {"x": OPEN}}, "context=('$defs', 'x')"),
    ],
)
def test_a_strict_schema_is_closed_and_requires_all(schema, fault):
    found = strictness_fault(schema)
    assert found is None if fault is None else fault in found
