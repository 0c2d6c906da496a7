"""Responses requests: what the road reads of them, and what they say in neutral terms."""

from __future__ import annotations

import base64
import json
import typing
from typing import Any

import pytest
from openai.types.responses import response_create_params, response_input_param

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Target, feature_mask
from trimaran.wire import DIALECTS
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningControl,
    Refusal,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimaran.wire.openai_responses import OpenAIResponses
from trimaran.wire.openai_responses.request import KNOWN
from trimaran.wire.openai_tools import strict_form
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import wrap_state

RESPONSES = DIALECTS["openai.responses"]
assert isinstance(RESPONSES, OpenAIResponses)
OTHER = Target(id="x/y", provider="x", upstream_model="y", dialects=("anthropic.messages",), base_url="http://t")
PNG = base64.b64encode(b"\x89PNG").decode()
PDF = base64.b64encode(b"%PDF").decode()
ABSENT = object()


def body(**fields: Any) -> bytes:
    given = {"model": "m", "input": "hi"} | fields
    return json.dumps({key: value for key, value in given.items() if value is not ABSENT}).encode()


def decode(**fields: Any) -> ChatRequest:
    refusals = Refusals("openai.responses", OTHER, RESPONSES.field_names)
    request = RESPONSES.decode_request(body(**fields), refusals)
    refusals.check()
    return request


def turns(*items: Any) -> list[tuple[str, list[Part]]]:
    return [(message.role, message.parts) for message in decode(input=list(items)).messages]


def refused(**fields: Any) -> str:
    with pytest.raises(UnsupportedFeature) as caught:
        decode(**fields)
    return str(caught.value)


def omitted(**fields: Any) -> list[str]:
    refusals = Refusals("openai.responses", OTHER)
    RESPONSES.decode_request(body(**fields), refusals)
    refusals.check()
    return refusals.omitted


# What the road reads


def test_what_is_read() -> None:
    sent = body(stream=True, max_output_tokens=30)
    envelope = RESPONSES.read(sent)
    assert (envelope.dialect, envelope.model, envelope.stream) == ("openai.responses", "m", True)
    assert (envelope.max_output_tokens, envelope.include_usage, envelope.stateful) == (30, True, False)
    assert envelope.needs == feature_mask("chat")
    assert json.loads(RESPONSES.rewrite(envelope, "gpt-9")) == json.loads(sent) | {"model": "gpt-9"}
    assert RESPONSES.rewrite(envelope, "m") is sent


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"tools": [{"type": "function", "name": "f"}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
        ({"reasoning": {"effort": "low"}}, {"reasoning"}),
        ({"reasoning": {"summary": "auto"}}, {"reasoning"}),
        ({"reasoning": {"effort": "none"}}, set()),
        ({"reasoning": {"effort": None}}, set()),
        ({"reasoning": None}, set()),
        ({"reasoning": 5}, {"reasoning"}),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, {"json_schema"}),
        ({"text": {"format": {"type": "json_object"}}}, set()),
        ({"text": {"verbosity": "json_schema"}}, set()),
        ({"text": None}, set()),
        ({"temperature": 0.3}, {"sampling"}),
        ({"temperature": 1}, set()),
        ({"top_p": 0.5, "temperature": None}, {"sampling"}),
        ({"top_p": 1.0}, set()),
        ({"top_logprobs": 3}, {"logprobs"}),
        ({"top_logprobs": 0}, set()),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs"}),
        ({"include": ["reasoning.encrypted_content"]}, set()),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x"}]}]}, {"vision"}),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, {"documents"}),
        ({"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, {"audio"}),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]},
            {"vision"},
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "input_image"}]}]}, set()),
        ({"input": [{"role": "user", "content": '"input_image"'}]}, set()),
        ({"input": "input_image"}, set()),
        ({"input": [{"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}]}, set()),
    ],
)
def test_what_an_answer_takes(fields: dict[str, Any], names: set[str]) -> None:
    for spaced in (False, True):
        sent = body(**fields)
        if not spaced:
            sent = json.dumps(json.loads(sent), separators=(",", ":")).encode()
        assert RESPONSES.read(sent).needs == feature_mask("chat", *names)


@pytest.mark.parametrize(
    ("fields", "stateful"),
    [
        ({"previous_response_id": "resp_1"}, True),
        ({"previous_response_id": None}, False),
        ({"conversation": "conv_1"}, True),
        ({"conversation": {"id": "conv_1"}}, True),
        ({"prompt": {"id": "pmpt_1"}}, True),
        ({"prompt": {"id": "pmpt_1"}, "input": ABSENT}, True),
        ({"previous_response_id": "resp_1", "input": ABSENT}, True),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, True),
        ({"input": [{"id": "msg_1"}]}, True),
        ({"input": [{"id": "msg_1", "type": None}]}, True),
        ({"input": [{"role": "user", "content": "item_reference"}]}, False),
        ({"input": [{"type": "message", "id": "msg_1", "role": "assistant", "content": "x"}]}, False),
    ],
)
def test_what_goes_on_from_something_stored(fields: dict[str, Any], stateful: bool) -> None:
    assert RESPONSES.read(body(**fields)).stateful is stateful


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": ABSENT}, "model"),
        ({"model": ABSENT, "prompt": {"id": "p"}}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"input": ABSENT}, "input"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"background": "yes"}, "background"),
    ],
)
def test_what_cannot_be_read(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        RESPONSES.read(body(**fields))
    assert caught.value.field == field


def test_background_answers_are_refused_at_once() -> None:
    with pytest.raises(UnsupportedFeature, match="fetched later") as caught:
        RESPONSES.read(body(background=True))
    assert caught.value.field == "background"
    assert RESPONSES.read(body(background=False)).model == "m"


def test_wrapped_reasoning_is_taken_out_of_a_body_that_passes() -> None:
    foreign = wrap_state(Reasoning("t", "sig", "anthropic.messages"))
    quoted = [{"type": "summary_text", "text": foreign}]
    own = {"type": "reasoning", "id": "rs_1", "summary": quoted, "encrypted_content": "own"}
    other = {"type": "compaction", "encrypted_content": foreign}
    items = [
        {"role": "user", "content": f'he said "{foreign}'},
        own,
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": foreign},
        {"role": "user", "content": "on"},
        other,
    ]
    sent = body(input=items)
    clean = json.loads(RESPONSES.without_foreign_state(sent))
    assert clean == {"model": "m", "input": [items[0], own, items[3], other]}
    for same in (body(input=[items[0], own]), body(input=foreign), body(input=[{"role": "user", "content": foreign}])):
        assert RESPONSES.without_foreign_state(same) is same


# The conversation


def test_a_text_is_a_user_turn() -> None:
    assert decode(input="hi").messages == [Message("user", [Text("hi")], "input")]


def test_a_whole_conversation() -> None:
    request = decode(
        instructions="be kind",
        input=[
            {"role": "developer", "content": "be brief"},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be exact"}]},
            {"role": "user", "content": "weather?"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "think"}],
                "encrypted_content": "e",
            },
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I look", "annotations": [], "logprobs": []}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "a",
                "name": "f",
                "arguments": '{"x":1}',
                "status": "completed",
            },
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "b", "output": "rain"},
            {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "sun"}]},
            {"role": "user", "content": "and now?"},
            {"role": "user", "content": "well?"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"role": "system", "content": "late"},
        ],
    )
    assert request.system == [Text("be kind"), Text("be brief"), Text("be exact")]
    assert [(message.role, message.parts, message.path) for message in request.messages] == [
        ("user", [Text("weather?")], "input[2]"),
        (
            "assistant",
            [
                Reasoning("think", "e", "openai.responses", "rs_1", summary=True),
                Text("I look"),
                ToolCall("a", "f", '{"x":1}'),
                ToolCall("b", "g", "{}"),
            ],
            "input[3]",
        ),
        (
            "user",
            [ToolResult("b", [Text("rain")]), ToolResult("a", [Text("sun")]), Text("and now?")],
            "input[7]",
        ),
        ("user", [Text("well?")], "input[10]"),
        ("assistant", [Refusal("no")], "input[11]"),
        ("system", [Text("late")], "input[12]"),
    ]


@pytest.mark.parametrize(
    ("part", "neutral"),
    [
        ({"type": "input_text", "text": "x"}, Text("x")),
        ({"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("x", "1h")),
        ({"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"}, Image(url="https://x/y.png")),
        (
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "high", "file_id": None},
            Image("image/png", PNG, detail="high"),
        ),
        ({"type": "input_file", "file_url": "https://x/y.pdf"}, Document(url="https://x/y.pdf")),
        (
            {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"},
            Document("application/pdf", PDF, name="a.pdf"),
        ),
        ({"type": "input_file", "file_data": PDF, "filename": "a.PDF"}, Document("application/pdf", PDF, name="a.PDF")),
        (
            {"type": "input_file", "file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"},
            Document("text/plain", text="hi", name="a.txt"),
        ),
        (
            {"type": "input_file", "file_data": "aGk=", "filename": "a.txt"},
            Document("text/plain", text="hi", name="a.txt"),
        ),
        (
            {"type": "input_file", "file_data": "data:text/plain;base64,/w==", "filename": "a"},
            Document("text/plain", "/w==", name="a"),
        ),
        ({"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}, Audio("wav", PNG)),
    ],
)
def test_parts(part: dict[str, Any], neutral: Part) -> None:
    assert turns({"role": "user", "content": [part]}) == [("user", [neutral])]


def test_pictures_and_documents_in_the_output_of_a_tool() -> None:
    assert turns(
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://x/y", "detail": "low"},
                {"type": "input_file", "file_url": "https://x/z"},
            ],
        },
    )[1] == (
        "user",
        [ToolResult("a", [Text("see"), Image(url="https://x/y", detail="low"), Document(url="https://x/z")])],
    )


@pytest.mark.parametrize(
    ("item", "part"),
    [
        (
            {
                "id": "rs",
                "summary": [{"type": "summary_text", "text": t} for t in ("a", "b")],
                "encrypted_content": "e",
            },
            Reasoning("a\n\nb", "e", "openai.responses", "rs", summary=True),
        ),
        (
            {"id": "rs", "summary": [], "encrypted_content": "e"},
            Reasoning("", "e", "openai.responses", "rs", hidden=True),
        ),
        (
            {
                "id": "rs",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "full"}],
                "encrypted_content": None,
            },
            Reasoning("full", "", "openai.responses", "rs"),
        ),
        (
            {
                "id": "rs_x_0",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "t"}],
                "encrypted_content": wrap_state(Reasoning("t", "sig:1", "anthropic.messages", "i")),
            },
            Reasoning("t", "sig:1", "anthropic.messages", "i"),
        ),
        (
            {"id": "rs", "summary": [], "encrypted_content": wrap_state(Reasoning("", "s", "anthropic.messages"))},
            Reasoning("", "s", "anthropic.messages"),
        ),
        (
            {"id": "rs", "summary": [], "encrypted_content": "tmrn1:anthropic.messages*::s"},
            Reasoning("", "s", "anthropic.messages", hidden=True),
        ),
        (
            {"summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "tmrn1:anthropic.messages::s"},
            Reasoning("t", "s", "anthropic.messages"),
        ),
        (
            {"summary": [], "encrypted_content": "tmrn1:openai.chat::s"},
            Reasoning("", "s", "openai.chat"),
        ),
    ],
)
def test_reasoning_items(item: dict[str, Any], part: Reasoning) -> None:
    assert turns({"type": "reasoning"} | item) == [("assistant", [part])]


@pytest.mark.parametrize(
    "item",
    [
        # A client lost the text that the signature holds for.
        {"id": "rs", "summary": [], "encrypted_content": "tmrn1:anthropic.messages::s"},
        # Only the provider that stored it has the rest.
        {"id": "rs", "summary": []},
    ],
)
def test_reasoning_that_is_not_whole_is_left_out(item: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": "x"}
    assert turns({"type": "reasoning"} | item, said) == [("assistant", [Text("x")])]
    assert omitted(input=[{"type": "reasoning"} | item, said]) == ["reasoning"]


@pytest.mark.parametrize(
    ("item", "stateful"),
    [
        ({"id": "rs", "summary": []}, True),
        ({"id": "rs", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": None}, True),
        ({"id": "rs", "summary": [], "content": []}, True),
        ({"id": "rs", "summary": [], "encrypted_content": "e"}, False),
        ({"id": "rs", "summary": [], "encrypted_content": "tmrn1:openai.chat::"}, False),
        ({"summary": []}, False),
        # Compatible servers show all of it and keep nothing.
        ({"id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}, False),
    ],
)
def test_reasoning_by_its_id_alone_is_state_of_its_provider(item: dict[str, Any], stateful: bool) -> None:
    said = {"type": "message", "id": "msg_1", "role": "assistant", "content": "x"}
    assert RESPONSES.read(body(input=[{"type": "reasoning"} | item, said])).stateful is stateful


def test_hints_are_left_out_and_said_so() -> None:
    assert omitted(
        input=[
            {"role": "assistant", "content": "x", "phase": "commentary"},
            {
                "role": "user",
                "content": [
                    {"type": "input_file", "file_url": "https://x", "detail": "high"},
                    {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
                ],
            },
            {
                "type": "reasoning",
                "id": "r",
                "summary": [{"type": "summary_text", "text": "s"}],
                "content": [{"type": "reasoning_text", "text": "c"}],
            },
        ],
        stream_options={"include_obfuscation": True},
    ) == [
        "stream_options.include_obfuscation",
        "input[0].phase",
        "input[1].content[0].detail",
        "input[1].content[1].prompt_cache_breakpoint.ttl",
        "input[2].summary",
    ]


# Settings


def test_every_setting_with_a_neutral_name() -> None:
    request = decode(
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        stream=True,
        tools=[{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        reasoning={"effort": "low", "summary": "concise"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}, "verbosity": "high"},
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        top_logprobs=2,
        safety_identifier="u",
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        service_tier="flex",
        metadata={"a": "b"},
    )
    assert request == ChatRequest(
        model="m",
        messages=[Message("user", [Text("hi")], "input")],
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        stream=True,
        tools=[Tool("f", "d", {"type": "object"}, True)],
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        reasoning=ReasoningControl(effort="low", show="concise"),
        response_format=ResponseFormat("json_schema", "n", {"a": 1}, True),
        verbosity="high",
        logprobs=2,
        user="u",
        cache_key="k",
        cache_retention="24h",
        service_tier="flex",
        metadata={"a": "b"},
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"store": False},
        {"store": None},
        {"background": False},
        {"truncation": "disabled"},
        {"max_tool_calls": None},
        {"include": []},
        {"include": ["reasoning.encrypted_content"]},
        {"top_logprobs": 0},
        {"tools": []},
        {"tools": None},
        {"text": {}},
        {"text": {"format": {"type": "text"}, "verbosity": None}},
        {"reasoning": {}},
        {"reasoning": {"effort": None, "summary": None, "context": "auto", "mode": "standard"}},
        {"stream_options": None},
        {"stream_options": {"include_obfuscation": False}},
        {"prompt_cache_options": {"mode": "implicit", "ttl": "30m", "prewarm": False}},
        {"moderation": None, "context_management": [], "image": {"context_compression": "auto"}},
        {"background_options": {"completion_window": "soonest"}, "access_programs": {}},
        {"previous_response_id": None, "conversation": None, "prompt": None},
        {"user": None, "metadata": None, "service_tier": None, "instructions": None},
    ],
)
def test_what_says_the_same_as_nothing(fields: dict[str, Any]) -> None:
    assert decode(**fields) == decode()
    assert omitted(**fields) == []


@pytest.mark.parametrize(
    ("fields", "field", "neutral"),
    [
        ({"service_tier": "default"}, "service_tier", "standard"),
        ({"service_tier": "fast"}, "service_tier", "priority"),
        ({"user": "a", "safety_identifier": "a"}, "user", "a"),
        ({"user": "a"}, "user", "a"),
        ({"include": ["message.output_text.logprobs"]}, "logprobs", 0),
        ({"top_logprobs": 3}, "logprobs", 3),
        ({"reasoning": {"generate_summary": "auto"}}, "reasoning", ReasoningControl(show="auto")),
        ({"text": {"format": {"type": "json_object"}}}, "response_format", ResponseFormat("json_object")),
        ({"tool_choice": "required"}, "tool_choice", ToolChoice("required")),
    ],
)
def test_single_settings(fields: dict[str, Any], field: str, neutral: Any) -> None:
    assert getattr(decode(**fields), field) == neutral


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        (CLOSED, True),
        ({"type": "object", "properties": {}, "additionalProperties": False}, True),
        ({"type": "object", "properties": {"b": CLOSED}, "required": ["b"], "additionalProperties": False}, True),
        (CLOSED | {"additionalProperties": True}, False),
        (CLOSED | {"required": []}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        (
            {
                "type": "object",
                "properties": {"b": {"type": "object"}},
                "required": ["b"],
                "additionalProperties": False,
            },
            False,
        ),
        (CLOSED | {"properties": {"a": {"type": "array", "items": {"type": "object"}}}}, False),
        (CLOSED | {"properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        (CLOSED | {"properties": {"a": {"anyOf": [{"type": ["object", "null"]}]}}}, False),
        (CLOSED | {"$defs": {"d": {"type": "object"}}}, False),
        (CLOSED | {"allOf": [CLOSED]}, False),
        (CLOSED | {"properties": {"a": {"type": "integer", "default": 5}}}, False),
        (CLOSED | {"properties": {"a": {"type": "array", "prefixItems": [{"type": "object"}]}}}, False),
        (CLOSED | {"properties": 5}, False),
        (CLOSED | {"required": 5}, False),
        (CLOSED | {"anyOf": 5}, False),
        ({"type": "string"}, False),
        (None, False),
    ],
)
def test_a_tool_that_says_nothing_is_strict_where_its_schema_is(schema: Any, closed: bool) -> None:
    assert strict_form(schema) is closed
    for tool in ({}, {"strict": None}):
        given = {"type": "function", "name": "f", "parameters": schema} | tool
        assert decode(tools=[given]).tools[0].strict is closed
    assert (
        decode(tools=[{"type": "function", "name": "f", "parameters": schema, "strict": False}]).tools[0].strict
        is False
    )


# Refused by name


def test_every_member_that_the_vendor_knows_is_known_here() -> None:
    vendor = set(response_create_params.ResponseCreateParamsBase.__annotations__) | {"stream"}
    assert vendor <= KNOWN


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"previous_response_id": "r"}, "'previous_response_id' (only the provider that stored"),
        ({"conversation": "c"}, "'conversation' (only the provider that keeps"),
        ({"prompt": {"id": "p"}, "input": ABSENT}, "'prompt' (only the provider that keeps"),
        ({"store": True}, "'store' (nothing is stored here"),
        ({"background": True}, "'background'"),
        ({"truncation": "auto"}, "'truncation'"),
        ({"max_tool_calls": 3}, "'max_tool_calls'"),
        ({"include": ["file_search_call.results"]}, "'include' ('file_search_call.results')"),
        ({"moderation": {"model": "m"}}, "'moderation'"),
        ({"context_management": [{"type": "compaction"}]}, "'context_management'"),
        ({"image": {"context_compression": "enabled"}}, "'image'"),
        ({"access_programs": {"cyber": "standard"}}, "'access_programs'"),
        ({"background_options": {"completion_window": "8h"}}, "'background_options'"),
        ({"prompt_cache_options": {"mode": "explicit"}}, "'prompt_cache_options.mode'"),
        ({"prompt_cache_options": {"comparison_response_id": "r"}}, "'prompt_cache_options.comparison_response_id'"),
        ({"stream_options": {"new": 1}}, "'stream_options.new'"),
        ({"reasoning": {"context": "all_turns"}}, "'reasoning.context'"),
        ({"reasoning": {"mode": "pro"}}, "'reasoning.mode'"),
        ({"reasoning": {"effort": "giant"}}, "'reasoning.effort' (an effort of 'giant')"),
        ({"reasoning": {"summary": "long"}}, "'reasoning.summary'"),
        ({"reasoning": {"summary": "auto", "generate_summary": "concise"}}, "'reasoning.generate_summary'"),
        ({"text": {"verbosity": "some"}}, "'text.verbosity'"),
        ({"text": {"format": {"type": "grammar"}}}, "'text.format' (a format of type 'grammar')"),
        ({"text": {"new": 1}}, "'text.new'"),
        ({"service_tier": "ultrafast"}, "'service_tier' (the tier 'ultrafast')"),
        ({"user": "a", "safety_identifier": "b"}, "'safety_identifier' (user says otherwise)"),
        ({"tools": [{"type": "web_search"}]}, "'tools[0]' (a tool of type 'web_search')"),
        ({"tools": [{"type": "custom", "name": "c"}]}, "'tools[0]' (a tool of type 'custom')"),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]}, "'tools[0].defer_loading'"),
        ({"tools": [{"type": "function", "name": "f", "output_schema": {"a": 1}}]}, "'tools[0].output_schema'"),
        ({"tools": [{"type": "function", "name": "f", "async": True}]}, "'tools[0].async'"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
            "'tool_choice' (a choice of type 'allowed_tools')",
        ),
        ({"tool_choice": {"type": "web_search"}}, "'tool_choice'"),
        ({"seed": 5}, "'seed'"),
        ({"stop": ["x"]}, "'stop'"),
    ],
)
def test_settings_that_are_refused(fields: dict[str, Any], told: str) -> None:
    assert told in refused(**fields)


def _item_types() -> list[str]:
    """Every type of an input item that the vendor knows."""
    kinds: set[str] = set()
    for item in typing.get_args(response_input_param.ResponseInputItemParam):
        hint = typing.get_type_hints(item).get("type")
        while hint is not None and typing.get_origin(hint) is not typing.Literal:
            args = [arg for arg in typing.get_args(hint) if arg is not type(None)]
            hint = args[0] if args else None
        kinds |= set(typing.get_args(hint))
    return sorted(kinds)


TAKEN = {"message", "function_call", "function_call_output", "reasoning"}


def test_the_vendor_knows_the_items_that_are_taken() -> None:
    assert set(_item_types()) > TAKEN


@pytest.mark.parametrize("kind", sorted(set(_item_types()) - TAKEN))
def test_every_other_item_is_refused_by_its_type(kind: str) -> None:
    told = refused(input=[{"role": "user", "content": "x"}, {"type": kind, "id": "i"}])
    assert "'input[1]'" in told
    assert kind.replace("item_reference", "reference to an item") in told


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"id": "msg_1"}, "'input[0]' (a reference to an item"),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
            "'input[0].content[0].file_id' (a file",
        ),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}, "'input[0].content[0].file_id'"),
        ({"role": "user", "content": [{"type": "input_text", "text": "x", "new": 1}]}, "'input[0].content[0].new'"),
        ({"role": "user", "content": [{"type": "input_video"}]}, "'input[0].content[0]' (a part of type 'input_video'"),
        ({"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}, "'input[0].content[0]'"),
        (
            {"role": "assistant", "content": [{"type": "input_image", "image_url": "https://x"}]},
            "'input[0].content[0]'",
        ),
        ({"role": "system", "content": [{"type": "input_image", "image_url": "https://x"}]}, "'input[0].content[0]'"),
        (
            {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x", "annotations": [{"type": "url_citation"}]}],
            },
            "'input[0].content[0].annotations'",
        ),
        ({"role": "user", "content": "x", "name": "n"}, "'input[0].name'"),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "namespace": "n"},
            "'input[0].namespace'",
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "caller": {"type": "program"}},
            "'input[0].caller'",
        ),
        ({"type": "reasoning", "id": "r", "summary": [], "new": 1}, "'input[0].new'"),
    ],
)
def test_items_and_parts_that_are_refused(item: dict[str, Any], told: str) -> None:
    assert told in refused(input=[item])


def test_all_refusals_come_at_once() -> None:
    told = refused(input=[{"type": "mcp_call", "id": "i"}], store=True, seed=1)
    assert "'store'" in told
    assert "'seed'" in told
    assert "'input[0]'" in told


def test_a_result_is_no_orphan_where_its_call_may_be_stored() -> None:
    told = refused(previous_response_id="r", input=[{"type": "function_call_output", "call_id": "c", "output": "x"}])
    assert "'previous_response_id'" in told


# Bad input

CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "x"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": []}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,@@"}]}
                ]
            },
            "input[0].content[0].image_url",
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "https://x", "detail": "?"}]}
                ]
            },
            "input[0].content[0].detail",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "@@"}]}]},
            "input[0].content[0].file_data",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "file:///etc"}]}]},
            "input[0].content[0].file_url",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input[0].content[0].input_audio"),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "x", "prompt_cache_breakpoint": 5}]}
                ]
            },
            "input[0].content[0].prompt_cache_breakpoint",
        ),
        ({"input": [CALL | {"name": 5}, RESULT]}, "input[0].name"),
        ({"input": [CALL | {"arguments": {}}, RESULT]}, "input[0].arguments"),
        ({"input": [CALL | {"call_id": ""}, RESULT]}, "input[0].call_id"),
        ({"input": [CALL, RESULT | {"output": None}]}, "input[1].output"),
        ({"input": [CALL, RESULT | {"call_id": None}]}, "input[1].call_id"),
        ({"input": [{"type": "reasoning", "summary": "x"}]}, "input[0].summary"),
        ({"input": [{"type": "reasoning", "summary": [], "encrypted_content": 5}]}, "input[0].encrypted_content"),
        ({"input": [RESULT]}, "input[0]"),
        ({"input": [{"role": "user", "content": "x"}, CALL, CALL]}, "input[2]"),
        ({"input": [CALL, RESULT, RESULT]}, "input[2]"),
        ({"input": [CALL]}, "input[0]"),
        ({"input": [CALL, {"role": "user", "content": "x"}, RESULT]}, "input[0]"),
        ({"instructions": 5}, "instructions"),
        ({"tools": 5}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{"type": "function", "name": "f", "strict": "yes"}]}, "tools[0].strict"),
        ({"tool_choice": "f"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"reasoning": "low"}, "reasoning"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"text": "json"}, "text"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": 1}}}, "text.format.strict"),
        ({"include": "x"}, "include"),
        ({"top_logprobs": 1.5}, "top_logprobs"),
        ({"temperature": "hot"}, "temperature"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"user": 5}, "user"),
        ({"service_tier": 5}, "service_tier"),
        ({"stream_options": 5}, "stream_options"),
        ({"prompt_cache_key": 5}, "prompt_cache_key"),
    ],
)
def test_bad_input_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "sent", [b"", b"[]", b"{", b'{"model":"m","input":"\xff"}', b'{"model":"m","model":"n","input":"x"}']
)
def test_bodies_that_are_no_request(sent: bytes) -> None:
    with pytest.raises(InvalidRequest):
        RESPONSES.read(sent)
    with pytest.raises(InvalidRequest):
        RESPONSES.decode_request(sent, Refusals("openai.responses", OTHER))
