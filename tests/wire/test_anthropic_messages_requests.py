"""Requests of ``anthropic.messages``: what is decoded, refused by name, and written for a target."""

from __future__ import annotations

import base64
import json
import typing
from typing import Any

import anthropic.types as sdk
import pytest
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_params

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Capabilities, Target
from trimaran.wire import DIALECTS
from trimaran.wire.anthropic_messages import DEFAULT_MAX_TOKENS, AnthropicMessages
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
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
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import wrap_state

MESSAGES = AnthropicMessages()
ORIGIN = "anthropic.messages"
HELLO = [{"role": "user", "content": "Hello"}]
PNG = base64.b64encode(b"\x89PNG").decode()
MARK = {"type": "ephemeral"}


def target(**capabilities: Any) -> Target:
    known = Capabilities(family="c", **capabilities) if capabilities else None
    return Target(
        id="anthropic/claude",
        provider="anthropic",
        upstream_model="claude",
        dialects=("anthropic.messages",),
        base_url="http://t",
        capabilities=known,
    )


CLAUDE = target()


def decode(**fields: Any) -> ChatRequest:
    refusals = Refusals(MESSAGES.name, CLAUDE, MESSAGES.field_names)
    body = json.dumps({"model": "chat", "max_tokens": 64, "messages": HELLO} | fields).encode()
    request = MESSAGES.decode_request(body, refusals)
    refusals.check()
    return request


def encode(
    request: ChatRequest, to: Target = CLAUDE, source: str = "openai.chat", names: Any = None
) -> tuple[dict[str, Any], Notes]:
    refusals, notes = Refusals(source, to, names), Notes()
    body = MESSAGES.encode_request(request, to, refusals, notes)
    refusals.check()
    return json.loads(body), notes


def said(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="chat", messages=list(messages) or [Message("user", [Text("Hello")])], **fields)


def user(*parts: Any) -> Message:
    return Message("user", list(parts), "messages[0]")


def assistant(*parts: Any) -> Message:
    return Message("assistant", list(parts), "messages[1]")


CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


# Decoding


def test_a_whole_request() -> None:
    request = decode(
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Look", "cache_control": MARK, "citations": None}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "d1"},
                    {"type": "text", "text": "I call."},
                    CALL | {"caller": {"type": "direct"}, "cache_control": MARK},
                ],
            },
            {
                "role": "user",
                "content": [
                    RESULT | {"is_error": True, "content": [{"type": "text", "text": "no"}], "cache_control": MARK},
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
        tools=[
            TOOL
            | {
                "type": "custom",
                "description": "F",
                "strict": True,
                "cache_control": MARK,
                "defer_loading": False,
                "allowed_callers": ["direct"],
                "input_examples": [],
                "eager_input_streaming": True,
            }
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        service_tier="standard_only",
        cache_control=MARK,
        stream=True,
    )
    assert request == ChatRequest(
        model="chat",
        system=[Text("Be kind.", "1h")],
        messages=[
            Message("user", [Text("Look", "5m")], "messages[0]"),
            Message(
                "assistant",
                [
                    Reasoning("Hm.", "s1", ORIGIN),
                    Reasoning("", "d1", ORIGIN, hidden=True),
                    Text("I call."),
                    ToolCall("toolu_1", "f", '{"a":1}', "5m"),
                ],
                "messages[1]",
            ),
            Message("user", [ToolResult("toolu_1", [Text("no")], True, "5m"), Text("Well?")], "messages[2]"),
        ],
        max_output_tokens=64,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=["END"],
        tools=[Tool("f", "F", {"type": "object"}, True, "5m")],
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", schema={"type": "object"}, strict=True),
        reasoning=ReasoningControl("low", 2000, False, "none"),
        service_tier="standard",
        user="u",
        cache="5m",
        stream=True,
    )


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            Image("image/png", PNG),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "transformations": {}},
            Image(url="https://x/y.png"),
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
                "title": "T",
                "citations": {"enabled": False},
                "context": None,
            },
            Document("application/pdf", PNG, name="T"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "cache_control": MARK},
            Document(url="https://x/y.pdf", cache="5m"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Words"}},
            Document("text/plain", text="Words"),
        ),
    ],
)
def test_images_and_documents(block: dict[str, Any], part: Any) -> None:
    assert decode(messages=[{"role": "user", "content": [block]}]).messages[0].parts == [part]
    inside = RESULT | {"content": [block]}
    turns = [*HELLO, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [inside]}]
    assert decode(messages=turns).messages[2].parts == [ToolResult("toolu_1", [part])]


def test_instructions_in_messages() -> None:
    request = decode(
        system="A",
        messages=[
            {"role": "system", "content": "B"},
            *HELLO,
            {"role": "system", "content": [{"type": "text", "text": "C"}]},
        ],
    )
    assert request.system == [Text("A"), Text("B")]
    assert [message.role for message in request.messages] == ["user", "system"]
    assert request.messages[1] == Message("system", [Text("C")], "messages[2]")


def test_reasoning_of_another_provider_finds_its_origin_again() -> None:
    foreign = Reasoning("Hm.", "enc", "openai.responses", "rs_1")
    hidden = Reasoning("", "enc", "openai.responses", "rs_2", hidden=True)
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": wrap_state(foreign)},
        {"type": "redacted_thinking", "data": wrap_state(hidden)},
        {"type": "text", "text": "So."},
    ]
    request = decode(messages=[*HELLO, {"role": "assistant", "content": blocks}, *HELLO])
    assert request.messages[1].parts == [foreign, hidden, Text("So.")]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"tool_choice": {"type": "none"}},
        {"service_tier": "auto", "metadata": {"user_id": None}, "metadata_": None},
        {"stop_sequences": [], "top_k": None, "system": None, "thinking": None, "output_config": {}},
        {"output_config": {"effort": None, "format": None}, "cache_control": None},
        {"container": None, "context_management": {"edits": []}, "mcp_servers": [], "speed": "standard"},
        {"diagnostics": {"previous_message_id": None}, "inference_geo": None, "betas": [], "thread": None},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": None}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "citations": []}]}]},
    ],
)
def test_what_says_nothing_leaves_no_trace(fields: dict[str, Any]) -> None:
    assert decode(**fields) == decode()


@pytest.mark.parametrize(
    ("fields", "control"),
    [
        ({"thinking": {"type": "adaptive"}}, ReasoningControl(adaptive=True)),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}},
            ReasoningControl("max", adaptive=True, show="auto"),
        ),
        ({"thinking": {"type": "disabled"}}, ReasoningControl("none")),
        ({"output_config": {"effort": "medium"}}, ReasoningControl("medium")),
    ],
)
def test_control_of_thinking(fields: dict[str, Any], control: ReasoningControl) -> None:
    assert decode(**fields).reasoning == control


def test_the_older_name_of_the_format() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    assert decode(output_format=wanted) == decode(output_config={"format": wanted})
    with pytest.raises(InvalidRequest, match="output_format"):
        decode(output_format=wanted, output_config={"format": wanted})


def test_what_asks_for_no_other_answer_is_left_out() -> None:
    refusals = Refusals(MESSAGES.name, CLAUDE, MESSAGES.field_names)
    mark = MARK | {"scope": "global"}
    fields = {
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "system": [{"type": "text", "text": "x", "cache_control": mark | {"ttl": "1h"}}],
        "tools": [TOOL | {"cache_control": mark}],
    }
    body = json.dumps({"model": "chat", "max_tokens": 64, "messages": HELLO} | fields).encode()
    request = MESSAGES.decode_request(body, refusals)
    refusals.check()
    assert refusals.omitted == ["context_management", "cache_control.scope"]
    assert (request.system[0], request.tools[0].cache) == (Text("x", "1h"), "5m")


def in_turn(block: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [block]}]}


def in_result(block: Any) -> dict[str, Any]:
    return {
        "messages": [
            *HELLO,
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [RESULT | {"content": [block]}]},
        ]
    }


AT = "messages[0].content[0]"
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x/y"}}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"container": "c"}, "container"),
    ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management"),
    (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]}},
        "context_management",
    ),
    ({"context_management": {"edits": [{"type": "clear_thinking_20251015"}], "x": 1}}, "context_management"),
    ({"context_management": {"edits": [5]}}, "context_management"),
    ({"context_management": "auto"}, "context_management"),
    ({"cache_control": MARK | {"scope": "global", "x": 1}}, "cache_control.x"),
    ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    ({"inference_geo": "us"}, "inference_geo"),
    ({"speed": "fast"}, "speed"),
    ({"diagnostics": {"previous_message_id": "m"}}, "diagnostics"),
    ({"user_profile_id": "u"}, "user_profile_id"),
    ({"workspace_id": "w"}, "workspace_id"),
    ({"fallbacks": "default"}, "fallbacks"),
    ({"metadata": {"user_id": "x", "team": "y"}}, "metadata.team"),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 1}}}, "output_config.task_budget"),
    ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format"),
    ({"thinking": {"type": "between_tools"}}, "thinking"),
    ({"thinking": {"type": "adaptive", "display": "updates"}}, "thinking.display"),
    ({"thinking": {"type": "adaptive", "block_binding": {}}}, "thinking.block_binding"),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "output_config.effort"),
    ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
    ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [TOOL | {"allowed_callers": ["code_execution_20260521"]}]}, "tools[0].allowed_callers"),
    ({"tools": [TOOL | {"input_examples": [{}]}]}, "tools[0].input_examples"),
    ({"tools": [TOOL], "tool_choice": {"type": "auto", "x": 1}}, "tool_choice.x"),
    ({"messages": [{"role": "user", "content": "x", "extra": 1}]}, "messages[0].extra"),
    ({"messages": [*HELLO, {"role": "system", "content": "x", "clear_at": "never"}]}, "messages[1].clear_at"),
    (in_turn({"type": "text", "text": "x", "citations": [{"type": "char_location"}]}), f"{AT}.citations"),
    (in_turn({"type": "image", "source": {"type": "file", "file_id": "f"}}), f"{AT}.source"),
    (in_turn(IMAGE | {"transformations": {"oversized_image": "error"}}), f"{AT}.transformations"),
    (in_turn({"type": "document", "source": {"type": "file", "file_id": "f"}}), f"{AT}.source"),
    (in_turn({"type": "document", "source": {"type": "content", "content": "x"}}), f"{AT}.source"),
    (in_turn({**IMAGE, "type": "document", "context": "c"}), f"{AT}.context"),
    (in_turn({**IMAGE, "type": "document", "citations": {"enabled": True}}), f"{AT}.citations"),
    (in_turn({"type": "search_result", "source": "s", "title": "t", "content": []}), AT),
    (in_turn({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, "assistant"), AT),
    (in_turn({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, "assistant"), AT),
    (in_turn({"type": "container_upload", "file_id": "f"}), AT),
    (in_result({"type": "tool_reference", "tool_name": "f"}), "messages[2].content[0].content[0]"),
    (in_result({"type": "search_result"}), "messages[2].content[0].content[0]"),
]


@pytest.mark.parametrize(("fields", "field"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_has_no_neutral_place_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        decode(**fields)
    assert caught.value.field == field


def test_members_of_a_call_that_say_more_are_refused() -> None:
    for member, value in (("caller", {"type": "code_execution_20260120", "tool_id": "x"}), ("toolset_name", "browser")):
        turns = [
            *HELLO,
            {"role": "assistant", "content": [CALL | {member: value}]},
            {"role": "user", "content": [RESULT]},
        ]
        with pytest.raises(UnsupportedFeature) as caught:
            decode(messages=turns)
        assert caught.value.field == f"messages[1].content[0].{member}"


TRANSLATED = {
    "max_tokens",
    "messages",
    "model",
    "cache_control",
    "metadata",
    "output_config",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
}


def test_every_member_that_the_sdk_knows_is_translated_or_refused() -> None:
    hints: set[str] = set()
    for params in (message_create_params, beta_params):
        hints |= typing.get_type_hints(params.MessageCreateParamsNonStreaming).keys()
    assert hints >= TRANSLATED
    for member in hints - TRANSLATED:
        with pytest.raises(UnsupportedFeature) as caught:
            decode(**{member: {"x": 1}})
        assert caught.value.field == member


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        (sdk.TextBlockParam, {"type": "text", "text": "x"}),
        (sdk.ImageBlockParam, IMAGE),
        (sdk.DocumentBlockParam, IMAGE | {"type": "document"}),
    ],
)
def test_every_member_of_a_block_that_the_sdk_knows_is_translated_or_refused(kind: Any, extra: dict[str, Any]) -> None:
    for member in typing.get_type_hints(kind).keys() - extra.keys() - {"cache_control", "title"}:
        with pytest.raises(UnsupportedFeature) as caught:
            decode(**in_turn(extra | {member: {"x": 1}}))
        assert caught.value.field == f"{AT}.{member}"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": [5]}, "messages[0]"),
    ({"messages": [{"content": "x"}]}, "messages[0]"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    (in_turn("text"), AT),
    (in_turn({"text": "x"}), AT),
    (in_turn({"type": "text"}), f"{AT}.text"),
    (in_turn({"type": "text", "text": "x", "cache_control": "5m"}), f"{AT}.cache_control"),
    (in_turn({"type": "text", "text": "x", "cache_control": {}}), f"{AT}.cache_control"),
    (in_turn({"type": "image"}), f"{AT}.source"),
    (in_turn({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}), f"{AT}.source.data"),
    (
        in_turn({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "a=b"}}),
        f"{AT}.source.data",
    ),
    (
        in_turn({"type": "image", "source": {"type": "base64", "media_type": "text/plain", "data": PNG}}),
        f"{AT}.source.media_type",
    ),
    (in_turn({"type": "image", "source": {"type": "url", "url": "data:image/png;base64,AA=="}}), f"{AT}.source.url"),
    (in_turn({"type": "document", "source": {"type": "url", "url": "file:///etc/passwd"}}), f"{AT}.source.url"),
    (
        in_turn({"type": "document", "source": {"type": "base64", "media_type": "text/html", "data": PNG}}),
        f"{AT}.source.media_type",
    ),
    (in_turn(CALL), AT),
    (in_turn({"type": "thinking", "thinking": "x", "signature": "s"}), AT),
    (in_turn(RESULT, "assistant"), AT),
    (in_turn(CALL | {"input": "x"}, "assistant"), f"{AT}.input"),
    (in_turn(CALL | {"id": ""}, "assistant"), f"{AT}.id"),
    (in_turn({"type": "thinking", "signature": "s"}, "assistant"), f"{AT}.thinking"),
    (in_turn({"type": "redacted_thinking"}, "assistant"), f"{AT}.data"),
    (in_result(CALL), "messages[2].content[0].content[0]"),
    ({"system": 5}, "system"),
    ({"system": [IMAGE]}, "system[0]"),
    ({"tools": {}}, "tools"),
    ({"tools": [5]}, "tools[0]"),
    ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{"name": "", "input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    ({"tools": [TOOL | {"strict": "yes"}]}, "tools[0].strict"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "some"}}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"thinking": True}, "thinking"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "adaptive", "display": 5}}, "thinking.display"),
    ({"output_config": []}, "output_config"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ({"stop_sequences": "x"}, "stop_sequences"),
    ({"metadata": "x"}, "metadata"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_k": -1}, "top_k"),
    ({"stream": "yes"}, "stream"),
]


@pytest.mark.parametrize(("fields", "field"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_what_no_provider_could_take_is_invalid(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize(
    "turns",
    [
        [*HELLO, {"role": "user", "content": [RESULT]}],
        [*HELLO, {"role": "assistant", "content": [CALL]}, *HELLO],
        [*HELLO, {"role": "assistant", "content": [CALL]}],
        [*HELLO, {"role": "assistant", "content": [CALL, CALL]}, {"role": "user", "content": [RESULT]}],
        [*HELLO, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT, RESULT]}],
        [
            *HELLO,
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [{"type": "text", "text": "wait"}, RESULT]},
        ],
    ],
    ids=["orphan", "unanswered", "open at the end", "twice called", "twice answered", "text first"],
)
def test_an_impossible_history_of_tools_is_invalid(turns: list[Any]) -> None:
    with pytest.raises(InvalidRequest):
        decode(messages=turns, tools=[TOOL])


def test_a_huge_picture_passes_whole() -> None:
    data = base64.b64encode(bytes(4 * 2**20)).decode()
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    request = decode(**in_turn(block))
    assert request.messages[0].parts == [Image("image/png", data)]
    body, _ = encode(request)
    assert body["messages"][0]["content"][0]["source"]["data"] == data


def test_invalid_utf8_is_invalid() -> None:
    refusals = Refusals(MESSAGES.name, CLAUDE)
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\xff"}]}'
    with pytest.raises(InvalidRequest, match="UTF-8"):
        MESSAGES.decode_request(body, refusals)
    with pytest.raises(InvalidRequest, match="UTF-8"):
        MESSAGES.read(body)


def test_a_member_that_stands_twice_is_invalid() -> None:
    refusals = Refusals(MESSAGES.name, CLAUDE)
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":[],"tools":[]}'
    with pytest.raises(InvalidRequest, match="tools"):
        MESSAGES.decode_request(body, refusals)


# Encoding


def test_the_least_request() -> None:
    body, notes = encode(said())
    assert body == {
        "model": "claude",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert notes.count == 0


def test_the_limit_is_the_clients_or_the_targets_or_the_models() -> None:
    assert encode(said(max_output_tokens=0))[0]["max_tokens"] == 0
    limited = target(max_output_tokens=500)
    assert encode(said(), limited)[0]["max_tokens"] == 500
    assert encode(said(max_output_tokens=7), limited)[0]["max_tokens"] == 7


def test_a_whole_request_is_written() -> None:
    request = said(
        user(Text("Look", "1h"), Image("image/jpg", PNG), Image(url="https://x/y")),
        assistant(
            Reasoning("Hm.", "s1", ORIGIN),
            Reasoning("", "d1", ORIGIN, hidden=True),
            Text("I call."),
            ToolCall("call|1", "f", '{"a": 1.50}', "5m"),
        ),
        user(ToolResult("call|1", [Text("no"), Document("application/pdf", PNG, name="T")], True, "5m"), Text("Well?")),
        system=[Text("Be kind.", "1h"), Text("")],
        max_output_tokens=9000,
        stop=["END"],
        tools=[Tool("f", "F"), Tool("g", parameters={"properties": {}}, cache="5m")],
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", "out", {"type": "object"}, description="D"),
        reasoning=ReasoningControl("low", show="none"),
        service_tier="standard",
        user="u",
        cache="1h",
        metadata={"a": "b"},
        cache_key="k",
        stream=True,
    )
    body, notes = encode(request)
    call_id = body["messages"][1]["content"][3]["id"]
    assert call_id != "call|1"
    assert body == {
        "model": "claude",
        "max_tokens": 9000,
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
                    {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "d1"},
                    {"type": "text", "text": "I call."},
                    {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": 1.5}, "cache_control": MARK},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": call_id,
                        "content": [
                            {"type": "text", "text": "no"},
                            {
                                "type": "document",
                                "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
                                "title": "T",
                            },
                        ],
                        "is_error": True,
                        "cache_control": MARK,
                    },
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
        "tools": [
            {"name": "f", "input_schema": {"type": "object", "properties": {}}, "description": "F"},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}, "cache_control": MARK},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "stop_sequences": ["END"],
        "service_tier": "standard_only",
        "metadata": {"user_id": "u"},
        "stream": True,
    }
    assert notes.omitted == ["metadata", "cache_key", "response_format.description"]
    assert notes.emulated == ["reasoning"]


def test_arguments_keep_their_bytes() -> None:
    request = said(user(Text("x")), assistant(ToolCall("1", "f", '{"a": 1.50}')), user(ToolResult("1", [])))
    request.tools = [Tool("f")]
    notes, refusals = Notes(), Refusals("openai.chat", CLAUDE)
    assert b'"input":{"a": 1.50}' in MESSAGES.encode_request(request, CLAUDE, refusals, notes)


@pytest.mark.parametrize(
    ("mode", "parallel", "choice"),
    [
        ("", None, None),
        ("", True, None),
        ("", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, None),
        ("none", False, {"type": "none"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("named", None, {"type": "tool", "name": "f"}),
    ],
)
def test_choice_of_tools(mode: str, parallel: bool | None, choice: Any) -> None:
    wanted = ToolChoice(mode, "f") if mode else None
    body, _ = encode(said(tools=[Tool("f")], tool_choice=wanted, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == choice
    if mode not in ("required", "named"):
        body, _ = encode(said(tool_choice=wanted, parallel_tool_calls=parallel))
        assert "tool_choice" not in body
        assert "tools" not in body


def test_tools_of_the_history_are_defined_and_shut_off() -> None:
    turns = (user(Text("x")), assistant(ToolCall("1", "f", "{}"), ToolCall("2", "g", "")))
    body, notes = encode(said(*turns, user(ToolResult("1", [Text("a")]), ToolResult("2", [Text("")]))))
    assert [tool["name"] for tool in body["tools"]] == ["f", "g"]
    assert body["tool_choice"] == {"type": "none"}
    assert body["messages"][2]["content"][1] == {"type": "tool_result", "tool_use_id": "2"}
    assert notes.emulated == ["tools"]


def test_turns_with_tools_are_joined_and_results_come_first() -> None:
    body, _ = encode(
        said(
            user(Text("x")),
            assistant(Text("One.")),
            assistant(Text("Two.")),
            assistant(ToolCall("1", "f", "{}")),
            assistant(ToolCall("2", "f", "{}")),
            user(ToolResult("1", [Text("a")]), Text("Go on.")),
            user(ToolResult("2", [Text("b")])),
            user(Text("Please.")),
            tools=[Tool("f")],
        )
    )
    turns = body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[1]["content"]] == ["text", "text", "tool_use", "tool_use"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text", "text"]


def test_turns_without_tools_stay() -> None:
    body, _ = encode(said(user(Text("a")), user(Text("b"))))
    assert [turn["content"] for turn in body["messages"]] == ["a", "b"]


def test_text_that_says_nothing_is_left_out() -> None:
    body, notes = encode(
        said(
            user(Text(""), Text("a")),
            assistant(Text("")),
            assistant(Text(" \n")),
            user(Image(url="https://x/y"), Text(" ")),
            user(Text(" "), Text("b")),
            system=[Text(""), Text("\n")],
        )
    )
    assert "system" not in body
    assert [turn["content"] for turn in body["messages"]] == [
        "a",
        [{"type": "image", "source": {"type": "url", "url": "https://x/y"}}],
        [{"type": "text", "text": " "}, {"type": "text", "text": "b"}],
    ]
    assert notes.count == 0


def test_reasoning_of_others_is_left_out_and_noted() -> None:
    foreign = Reasoning("Hm.", "enc", "openai.responses")
    unsigned = Reasoning("Hm.", "", ORIGIN)
    body, notes = encode(said(user(Text("x")), assistant(foreign, unsigned, Text("y")), user(Text("z"))))
    assert body["messages"][1]["content"] == "y"
    assert notes.omitted == ["reasoning"]


def test_a_refusal_is_said_as_text() -> None:
    body, notes = encode(said(user(Text("x")), assistant(Refusal("No.")), user(Text("z"))))
    assert body["messages"][1]["content"] == "No."
    assert notes.emulated == ["refusal"]


def test_documents_that_are_plain_text() -> None:
    data = base64.b64encode("Wörter".encode()).decode()
    body, _ = encode(said(user(Document("text/plain", data), Document("text/plain", text="More", name="N"))))
    assert body["messages"][0]["content"] == [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Wörter"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "More"}, "title": "N"},
    ]


def test_detail_of_an_image_is_noted() -> None:
    _, notes = encode(said(user(Image(url="https://x/y", detail="low"))))
    assert notes.omitted == ["detail"]


UNSAID: list[tuple[ChatRequest, str]] = [
    (said(seed=1), "seed"),
    (said(frequency_penalty=0.5), "frequency_penalty"),
    (said(presence_penalty=0.5), "presence_penalty"),
    (said(logit_bias={"1": 1}), "logit_bias"),
    (said(logprobs=0), "logprobs"),
    (said(verbosity="low"), "verbosity"),
    (said(service_tier="flex"), "service_tier"),
    (said(service_tier="priority"), "service_tier"),
    (said(temperature=1.5), "temperature"),
    (said(stop=["a", "\n"]), "stop"),
    (said(response_format=ResponseFormat("json_object")), "response_format"),
    (said(tool_choice=ToolChoice("required")), "tool_choice"),
    (said(tools=[Tool("f", parameters={"type": "string"})]), "tools"),
    (said(tools=[Tool("f", parameters={"type": "object", "properties": {"a": {"minimum": 1}}}, strict=True)]), "tools"),
    (said(user(Audio("wav", PNG))), "messages[0]"),
    (said(user(Image("image/bmp", PNG))), "messages[0]"),
    (said(user(Image(url="ftp://x/y"))), "messages[0]"),
    (said(user(Document("application/msword", PNG))), "messages[0]"),
    (said(user(Document("text/plain", base64.b64encode(b"\xff").decode()))), "messages[0]"),
    (said(user(Text("x")), Message("system", [Text("y")], "messages[1]"), user(Text("z"))), "messages[1]"),
    (said(user(Text("x")), assistant(Text("y"))), "messages[1]"),
    (said(user(Text("x")), assistant(Text("y")), Message("user", [Text(" ")], "messages[2]")), "messages[2]"),
    (said(user(Text(""))), "messages"),
    (said(reasoning=ReasoningControl("low"), max_output_tokens=1024), "reasoning"),
    (said(reasoning=ReasoningControl("low"), temperature=0.5, max_output_tokens=9000), "temperature"),
    (said(reasoning=ReasoningControl("low"), top_k=5), "top_k"),
    (said(reasoning=ReasoningControl("low"), top_p=0.5), "top_p"),
    (said(reasoning=ReasoningControl("low"), tools=[Tool("f")], tool_choice=ToolChoice("required")), "tool_choice"),
]


@pytest.mark.parametrize(("request_", "field"), UNSAID, ids=[field for _, field in UNSAID])
def test_what_cannot_be_said_is_refused_by_name(request_: ChatRequest, field: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        encode(request_)
    assert caught.value.field == field


def test_refusals_use_the_clients_names() -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        encode(said(stop=[" "]), names={"stop": "their_stop"})
    assert caught.value.field == "their_stop"


@pytest.mark.parametrize("arguments", ["[1]", "{", "null", '"x"', "{}{}"])
def test_arguments_that_are_no_object_are_invalid(arguments: str) -> None:
    with pytest.raises(InvalidRequest, match="no JSON object"):
        encode(said(user(Text("x")), assistant(ToolCall("1", "f", arguments)), user(ToolResult("1", []))))


def test_an_answer_begun_and_instructions_inside_are_the_own_clients_choice() -> None:
    turns = said(user(Text("x")), Message("system", [Text("y")]), assistant(Text("The answer is (")))
    body, _ = encode(turns, source="anthropic.messages")
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "assistant"]


@pytest.mark.parametrize(
    ("control", "way", "thinking", "effort", "emulated"),
    [
        (ReasoningControl("medium"), "budget", {"type": "enabled", "budget_tokens": 8192}, None, True),
        (ReasoningControl("medium"), "", {"type": "enabled", "budget_tokens": 8192}, None, True),
        (ReasoningControl("medium"), "adaptive", {"type": "adaptive"}, "medium", False),
        (ReasoningControl("minimal"), "adaptive", {"type": "adaptive"}, "low", True),
        (
            ReasoningControl("xhigh", show="auto"),
            "adaptive",
            {"type": "adaptive", "display": "summarized"},
            "xhigh",
            False,
        ),
        (
            ReasoningControl("low", show="detailed"),
            "adaptive",
            {"type": "adaptive", "display": "summarized"},
            "low",
            True,
        ),
        (ReasoningControl(budget_tokens=5000), "adaptive", {"type": "adaptive"}, "medium", True),
        (ReasoningControl(budget_tokens=5000), "budget", {"type": "enabled", "budget_tokens": 5000}, None, False),
        (ReasoningControl("high", 5000), "", {"type": "enabled", "budget_tokens": 5000}, "high", False),
        (ReasoningControl("high", adaptive=True), "", {"type": "adaptive"}, "high", False),
        (ReasoningControl(adaptive=True), "budget", {"type": "enabled", "budget_tokens": 8192}, None, True),
        (ReasoningControl("none"), "budget", {"type": "disabled"}, None, False),
        (ReasoningControl("high"), "effort", None, "high", False),
    ],
)
def test_thinking_is_asked_for_as_the_model_wants_it(
    control: ReasoningControl, way: str, thinking: Any, effort: str | None, emulated: bool
) -> None:
    to = target(reasoning_control=way) if way else CLAUDE
    body, notes = encode(said(reasoning=control, max_output_tokens=20000), to)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert notes.emulated == (["reasoning"] if emulated else [])


def test_what_is_shown_alone_is_noted() -> None:
    body, notes = encode(said(reasoning=ReasoningControl(show="auto")))
    assert "thinking" not in body
    assert notes.omitted == ["reasoning"]


def test_a_limit_of_ours_leaves_room_for_the_answer() -> None:
    body, _ = encode(said(reasoning=ReasoningControl("high")))
    assert body["max_tokens"] == body["thinking"]["budget_tokens"] + DEFAULT_MAX_TOKENS


@pytest.mark.parametrize("signed", [False, True])
def test_a_chain_of_calls_without_its_thoughts_goes_on_without_thinking(signed: bool) -> None:
    thoughts = [Reasoning("Hm.", "s1", ORIGIN)] if signed else []
    turns = (user(Text("x")), assistant(*thoughts, ToolCall("1", "f", "{}")), user(ToolResult("1", [Text("a")])))
    request = said(*turns, reasoning=ReasoningControl("low"), tools=[Tool("f")])
    body, notes = encode(request)
    assert ("thinking" in body) is signed
    assert notes.omitted == ([] if signed else ["reasoning"])
    assert body["max_tokens"] == (DEFAULT_MAX_TOKENS + 2048 if signed else DEFAULT_MAX_TOKENS)
    assert "thinking" in encode(request, target(reasoning_control="adaptive"))[0]
    request.messages += [assistant(Text("b")), user(Text("c"))]
    assert "thinking" in encode(request)[0]


def test_settings_of_one_are_spared_where_they_would_be_refused() -> None:
    fixed = target(lacks=frozenset({"sampling"}))
    body, _ = encode(said(temperature=1, top_p=1), fixed)
    assert not {"temperature", "top_p"} & body.keys()
    body, _ = encode(said(temperature=0.5, top_p=1))
    assert body["temperature"] == 0.5
    assert "top_p" not in body
    body, _ = encode(said(temperature=1, top_p=0.5))
    assert body["top_p"] == 0.5
    assert "temperature" not in body
    assert encode(said(temperature=1))[0]["temperature"] == 1
    assert encode(said(top_p=1))[0]["top_p"] == 1


CLOSED = {"type": "object", "properties": {"minimum": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (ResponseFormat("json_schema", schema=CLOSED), True),
        (ResponseFormat("json_schema", schema=CLOSED | {"properties": {"a": {"enum": [{"minimum": 1}]}}}), True),
        (ResponseFormat("json_schema", schema={"type": "array", "items": CLOSED}), True),
        (ResponseFormat("json_schema", schema={"type": "object"}), False),
        (
            ResponseFormat("json_schema", schema=CLOSED | {"properties": {"a": {"type": "integer", "minimum": 1}}}),
            False,
        ),
        (ResponseFormat("json_schema", schema=CLOSED | {"$defs": {"a": {"type": "object"}}}), False),
        (ResponseFormat("json_schema", schema={"type": "array", "minItems": 2}), False),
        (ResponseFormat("json_object"), False),
        (ResponseFormat("json_schema"), False),
    ],
)
def test_schemas_that_the_api_can_hold(wanted: ResponseFormat, takes: bool) -> None:
    assert MESSAGES.takes_format(wanted, CLAUDE) is takes
    assert not MESSAGES.takes_format(wanted, target(lacks=frozenset({"json_schema"})))


def test_both_dialects_are_registered() -> None:
    assert type(DIALECTS["anthropic.messages"]) is AnthropicMessages
    assert DIALECTS["anthropic.count_tokens"].operation == "count"
