"""Requests of openai.chat: what its members mean, how they are written, and what a request needs of its target."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Capabilities, Target, feature_mask
from trimaran.wire import DIALECTS, translate
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
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
from trimaran.wire.dialect import ChatDialect
from trimaran.wire.json_tool import with_json_tool
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import wrap_state

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
assert isinstance(CHAT, ChatDialect)


def target(provider: str = "vllm", *dialects: str, **known: Any) -> Target:
    return Target(
        id="t/m",
        provider=provider,
        upstream_model="m",
        dialects=dialects or ("openai.chat",),
        base_url="http://t",
        capabilities=Capabilities(family="f", **known) if known else None,
    )


GPT, VLLM = target("openai"), target()
CLAUDE = target("anthropic", "anthropic.messages")
PNG = base64.b64encode(b"png").decode()
PDF = base64.b64encode(b"pdf").decode()
HELLO = {"role": "user", "content": "Hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def decoded(**fields: Any) -> tuple[ChatRequest, Refusals]:
    refusals = Refusals(CHAT.name, CLAUDE, CHAT.field_names)
    body = json.dumps({"model": "m", "messages": [HELLO]} | fields).encode()
    return CHAT.decode_request(body, refusals), refusals


def decode(**fields: Any) -> ChatRequest:
    request, refusals = decoded(**fields)
    refusals.check()
    return request


def turn(*parts: Any) -> list[Any]:
    return decode(messages=[{"role": "user", "content": list(parts)}]).messages[0].parts


def encoded(
    to: Target, *turns: Message, source: str = "anthropic.messages", **fields: Any
) -> tuple[Any, Refusals, Notes]:
    refusals, notes = Refusals(source, to), Notes()
    request = ChatRequest(model="m", messages=list(turns) or [Message("user", [Text("Hi")])], **fields)
    return json.loads(CHAT.encode_request(request, to, refusals, notes)), refusals, notes


# Decoding


def test_every_kind_of_part() -> None:
    parts = turn(
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
    )
    assert parts == [
        Text("a"),
        Image("image/png", PNG),
        Image(url="https://example.com/a.png", detail="high"),
        Audio("wav", PNG),
        Document("application/pdf", PDF, name="a.pdf"),
    ]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url", "image_url": "https://x"}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "ftp://x/y.png"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,###"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "https://x", "detail": "best"}}, "image_url.detail"),
        ({"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}, "input_audio.data"),
        ({"type": "input_audio", "input_audio": {"data": PNG}}, "input_audio.format"),
        ({"type": "file", "file": {}}, "file.file_data"),
        ({"type": "file", "file": {"file_data": PDF}}, "file.file_data"),
        ({"type": "text", "text": 5}, "text"),
        ({"type": "text", "text": "x", "cache_control": 5}, "cache_control"),
    ],
)
def test_a_part_that_nobody_could_read(part: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        turn(part)
    assert caught.value.field == f"messages[0].content[0].{field}"


@pytest.mark.parametrize(
    ("marker", "lifetime"),
    [
        ({"cache_control": {"type": "ephemeral"}}, "5m"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "1h"),
        ({"cache_control": None}, ""),
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, "1h"),
        ({"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, "1h"),
    ],
)
def test_cache_markers(marker: Any, lifetime: str) -> None:
    assert turn({"type": "text", "text": "a"} | marker) == [Text("a", lifetime)]
    tool = {"type": "function", "function": {"name": "f"}} | marker
    assert decode(tools=[tool]).tools == [Tool("f", cache=lifetime)]


def test_what_only_steers_a_cache_is_left_out_and_noted() -> None:
    part = {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    _, refusals = decoded(messages=[{"role": "user", "content": [part]}], prompt_cache_options={"mode": "explicit"})
    refusals.check()
    assert set(refusals.omitted) == {"prompt_cache_options", "messages[0].content[0].prompt_cache_breakpoint.ttl"}


def test_tools_results_and_the_turn_after_them() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    other = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}
    request = decode(
        messages=[
            {"role": "developer", "content": "Be kind."},
            HELLO,
            {"role": "assistant", "content": "", "refusal": None, "annotations": [], "tool_calls": [call, other]},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}], "name": "g"},
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
                "cache_control": {"type": "ephemeral"},
            },
            {"role": "user", "content": "So?"},
            HELLO,
            {"role": "system", "content": "In French."},
            HELLO,
        ]
    )
    assert request.system == [Text("Be kind.")]
    assert request.messages == [
        Message("user", [Text("Hello")], "messages[1]"),
        Message("assistant", [ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "g", "{}")], "messages[2]"),
        Message(
            "user",
            [
                ToolResult("c2", [Text("two")]),
                ToolResult("c1", [Image("image/png", PNG)], cache="5m"),
                Text("So?"),
            ],
            "messages[3]",
        ),
        Message("user", [Text("Hello")], "messages[6]"),
        Message("system", [Text("In French.")], "messages[7]"),
        Message("user", [Text("Hello")], "messages[8]"),
    ]


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": None, "refusal": "No."}, [Refusal("No.")]),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "No."}]},
            [Text("a"), Refusal("No.")],
        ),
        ({"content": "a", "reasoning_content": "hm"}, [Reasoning("hm", origin="openai.chat"), Text("a")]),
        (
            {"content": "a", "reasoning": "hm", "reasoning_content": ""},
            [Reasoning("hm", origin="openai.chat"), Text("a")],
        ),
        ({"content": ""}, [Text("")]),
    ],
)
def test_what_an_assistant_said(message: Any, parts: list[Any]) -> None:
    assert decode(messages=[HELLO, {"role": "assistant"} | message, HELLO]).messages[1].parts == parts


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant"},
        {"role": "assistant", "content": []},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "", "function": {"name": "f", "arguments": ""}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
        {"role": "assistant", "content": None, "tool_calls": {"id": "c"}},
        {"role": "assistant", "content": "a", "reasoning_details": "x"},
        {"role": "tool", "content": "x"},
        {"role": "tool", "tool_call_id": "c", "content": None},
    ],
)
def test_messages_that_nobody_could_read(message: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"messages\[1\]"):
        decode(messages=[HELLO, message, HELLO])


def test_reasoning_of_another_dialect_is_unwrapped() -> None:
    thought = Reasoning("hm", "sig", "anthropic.messages")
    hidden = Reasoning("", "data", "anthropic.messages", hidden=True)
    summary = Reasoning("in short", "enc", "openai.responses", "rs_1", summary=True)
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": wrap_state(thought), "index": 0},
        {"type": "reasoning.encrypted", "data": wrap_state(hidden), "index": 1},
        {"type": "reasoning.summary", "summary": "in short", "signature": wrap_state(summary), "index": 2},
    ]
    message = {"role": "assistant", "content": "a", "reasoning_content": "hmin short", "reasoning_details": details}
    assert decode(messages=[HELLO, message, HELLO]).messages[1].parts == [thought, hidden, summary, Text("a")]


@pytest.mark.parametrize("content", ["a", None])
def test_a_signature_whose_text_was_lost_is_left_out(content: str | None) -> None:
    lost = {"type": "reasoning.text", "signature": wrap_state(Reasoning("hm", "sig", "anthropic.messages")), "index": 0}
    # Nothing was lost of these: a text that was empty, and one that the issuer does not check.
    bare = [
        Reasoning("", "sig", "anthropic.messages"),
        Reasoning("", "enc", "openai.responses", "rs_1", summary=True),
    ]
    kept = [{"type": "reasoning.text", "signature": wrap_state(part), "index": 1} for part in bare]
    refusals = Refusals("openai.chat", CLAUDE)

    def read(*details: Any) -> list[list[Any]]:
        message = {"role": "assistant", "content": content, "reasoning_details": details}
        sent = json.dumps({"model": "m", "messages": [HELLO, message, HELLO]}).encode()
        return [m.parts for m in CHAT.decode_request(sent, refusals).messages[1:-1]]

    said = [] if content is None else [Text(content)]
    assert read(*kept) == [[*bare, *said]]
    assert refusals.omitted == []
    assert read(lost, *kept) == [[*bare, *said]]
    assert read(lost) == ([said] if said else [])
    assert refusals.omitted == ["reasoning"]


def test_details_of_a_compatible_server_go_back_as_they_came() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "x", "index": 0}]
    message = {"role": "assistant", "content": "a", "reasoning": "hm", "reasoning_details": details}
    request = decode(messages=[HELLO, message, HELLO])
    body, _, notes = encoded(VLLM, *request.messages, source=CHAT.name)
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hm",
        "reasoning_details": details,
    }
    assert not notes.count
    body, _, notes = encoded(GPT, *request.messages, source=CHAT.name)
    assert body["messages"][1] == {"role": "assistant", "content": "a"}
    assert notes.omitted == ["reasoning"]


def test_members_of_the_request() -> None:
    request = decode(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
        ],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": False}},
        reasoning_effort="minimal",
        verbosity="high",
        seed=-7,
        top_k=40,
        logprobs=True,
        top_logprobs=3,
        logit_bias={"17": -100},
        frequency_penalty=0.5,
        presence_penalty=-1,
        service_tier="fast",
        metadata={"a": "b"},
        safety_identifier="u",
        prompt_cache_key="k",
        prompt_cache_retention="24h",
    )
    assert request == ChatRequest(
        model="m",
        messages=[Message("user", [Text("Hello")], "messages[0]")],
        tools=[Tool("f", "d", SCHEMA, True)],
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", "n", SCHEMA, False),
        reasoning=ReasoningControl("minimal"),
        verbosity="high",
        seed=-7,
        top_k=40,
        logprobs=3,
        logit_bias={"17": -100},
        frequency_penalty=0.5,
        presence_penalty=-1,
        service_tier="priority",
        metadata={"a": "b"},
        user="u",
        cache_key="k",
        cache_retention="24h",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False, "top_logprobs": 0},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": False},
        {"response_format": {"type": "text"}, "verbosity": "medium", "service_tier": "auto"},
        {"reasoning_effort": None, "metadata": {}, "prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
        {"store": False, "modalities": ["text"], "functions": [], "function_call": "auto", "audio": None},
    ],
)
def test_what_says_nothing(fields: Any) -> None:
    request, refusals = decoded(**fields)
    refusals.check()
    assert request == decode()
    assert not refusals.omitted


def test_what_is_said_of_tools_only_holds_with_tools() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert decode(tools=tools, tool_choice="none").tool_choice == ToolChoice("none")
    assert decode(tools=tools, tool_choice="auto", parallel_tool_calls=True).parallel_tool_calls is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": {}}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]}, "tools[0].function.strict"),
        ({"tool_choice": "any", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tool_choice"),
        (
            {"parallel_tool_calls": "no", "tools": [{"type": "function", "function": {"name": "f"}}]},
            "parallel_tool_calls",
        ),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"logit_bias": {"1": "x"}}, "logit_bias"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"reasoning_effort": 5}, "reasoning_effort"),
        ({"prompt_cache_key": 5}, "prompt_cache_key"),
    ],
)
def test_members_that_nobody_could_read(fields: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"reasoning_effort": "utmost"}, "reasoning_effort"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format"),
        ({"prompt_cache_retention": "forever"}, "prompt_cache_retention"),
        ({"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]}, "tools[0].function.x"),
        ({"tools": [{"type": "custom"}], "tool_choice": "required"}, "tools[0]"),
        ({"continue_final_message": True}, "continue_final_message"),
    ],
)
def test_members_without_a_neutral_place_are_refused_by_name(fields: Any, path: str) -> None:
    _, refusals = decoded(**fields)
    with pytest.raises(UnsupportedFeature, match="cannot carry") as caught:
        refusals.check()
    assert caught.value.field == path


# Encoding


@pytest.mark.parametrize("to", [GPT, VLLM, target("azure_openai")])
def test_members_for_openai_and_for_compatible_servers(to: Target) -> None:
    own = to is not VLLM
    body, refusals, notes = encoded(
        to,
        system=[Text("Be kind."), Text("Be brief.")],
        max_output_tokens=64,
        cache_key="k",
        cache_retention="24h",
        service_tier="standard",
        metadata={"a": "b"},
        reasoning=ReasoningControl("low"),
        verbosity="low",
        logprobs=0,
        tools=[Tool("f", parameters=SCHEMA, cache="5m")],
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        stream=True,
    )
    refusals.check()
    tool = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
    system = [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}]
    expected = {
        "model": "m",
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": "Hi"}],
        "max_completion_tokens" if own else "max_tokens": 64,
        "tools": [tool],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "verbosity": "low",
        "logprobs": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if own:
        expected |= {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "default"}
    assert body == expected
    names = {"metadata", "cache"} if own else {"metadata", "cache", "cache_key", "cache_retention", "service_tier"}
    assert set(notes.omitted) == names


def test_cache_markers_go_to_compatible_servers_that_are_known_to_cache() -> None:
    said = Message("user", [Text("a", "1h"), Image(url="https://x/y.png", cache="5m")])
    body, _, notes = encoded(target("openrouter", has=frozenset({"caching"})), said, tools=[Tool("f", cache="5m")])
    mark = {"type": "ephemeral"}
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "a", "cache_control": mark | {"ttl": "1h"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": mark},
    ]
    assert body["tools"][0]["cache_control"] == mark
    assert not notes.count
    for to in (GPT, VLLM, target("openai", has=frozenset({"caching"}))):
        body, _, notes = encoded(to, said)
        assert b"cache_control" not in json.dumps(body).encode()
        assert notes.omitted == ["cache"]


def test_pictures_in_a_tool_result_follow_it() -> None:
    body, refusals, notes = encoded(
        VLLM,
        Message("user", [Text("Look")]),
        Message("assistant", [ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")]),
        Message(
            "user",
            [
                ToolResult("c1", [Text("here"), Image("image/png", PNG), Document("application/pdf", PDF)], True),
                ToolResult("c2", [Image(url="https://x/y.png")]),
                Text("So?"),
            ],
            "messages[2]",
        ),
    )
    refusals.check()
    first, second, shown = body["messages"][2:]
    assert (first["role"], first["tool_call_id"], second["tool_call_id"]) == ("tool", "c1", "c2")
    assert [part["text"] for part in first["content"]] == [
        "here",
        "[image 1 of the tool results follows in the next message]",
        "[document 1 of the tool results follows in the next message]",
    ]
    assert second["content"] == "[image 2 of the tool results follows in the next message]"
    assert [part["type"] for part in shown["content"]] == [
        "text",
        "image_url",
        "text",
        "file",
        "text",
        "image_url",
        "text",
    ]
    assert shown["content"][0]["text"] == "[image 1 of the tool results, from the call c1]"
    assert shown["content"][-1]["text"] == "So?"
    assert (notes.emulated, notes.omitted) == (["messages[2]"], ["is_error"])


def test_ids_that_openai_would_refuse_are_rewritten_the_same_everywhere() -> None:
    long = "x" * 50
    body, _, _ = encoded(
        GPT,
        Message("user", [Text("?")]),
        Message("assistant", [ToolCall(long, "f", "{}")]),
        Message("user", [ToolResult(long, [Text("r")])]),
    )
    id = body["messages"][1]["tool_calls"][0]["id"]
    assert len(id) <= 40
    assert body["messages"][2]["tool_call_id"] == id


@pytest.mark.parametrize(
    ("control", "effort", "notes"),
    [
        (ReasoningControl("xhigh"), "xhigh", Notes()),
        (ReasoningControl(budget_tokens=8192), "medium", Notes(emulated=["reasoning"])),
        (ReasoningControl(budget_tokens=70_000), "high", Notes(emulated=["reasoning"])),
        (ReasoningControl(adaptive=True), None, Notes(omitted=["reasoning"])),
        (ReasoningControl("high", adaptive=True), "high", Notes()),
        (ReasoningControl("high", show="detailed"), "high", Notes(omitted=["reasoning"])),
    ],
)
def test_reasoning_control(control: ReasoningControl, effort: str | None, notes: Notes) -> None:
    body, _, told = encoded(GPT, reasoning=control)
    assert body.get("reasoning_effort") == effort
    assert told == notes


def test_no_effort_is_not_asked_of_a_model_that_never_thinks() -> None:
    for to, source in (
        (target("openai", lacks=frozenset({"reasoning"})), "openai.responses"),
        (GPT, "anthropic.messages"),
        (target("openai", has=frozenset({"reasoning"})), "anthropic.messages"),
    ):
        body, _, notes = encoded(to, source=source, reasoning=ReasoningControl("none"))
        assert "reasoning_effort" not in body
        assert notes == Notes(omitted=["reasoning"])
    body, _, notes = encoded(GPT, source="openai.responses", reasoning=ReasoningControl("none"))
    assert (body["reasoning_effort"], notes) == ("none", Notes())


CLOSED = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "source", "strict"),
    [
        (CLOSED, "anthropic.messages", True),
        (SCHEMA, "openai.responses", True),
        (SCHEMA, "anthropic.messages", False),
        (CLOSED | {"required": []}, "anthropic.messages", False),
    ],
)
def test_strict_is_said_where_openai_would_take_the_schema(schema: Any, source: str, strict: bool) -> None:
    body, refusals, notes = encoded(
        GPT,
        source=source,
        tools=[Tool("f", parameters={"type": "object"}), Tool("g", parameters=schema, strict=True)],
        response_format=ResponseFormat("json_schema", schema=schema, strict=True),
    )
    refusals.check()
    assert body["tools"][1]["function"] == {"name": "g", "parameters": schema, "strict": strict}
    assert body["response_format"]["json_schema"] == {"name": "output", "schema": schema, "strict": strict}
    assert notes == (Notes() if strict else Notes(emulated=["tools[1].strict", "response_format"]))


def test_a_tool_that_stands_for_a_schema_is_noted_as_the_schema() -> None:
    made = with_json_tool(
        ChatRequest(
            model="m",
            messages=[Message("user", [Text("Hi")])],
            response_format=ResponseFormat("json_schema", schema=SCHEMA, strict=True),
        )
    )
    assert made is not None
    body, _, notes = encoded(VLLM, tools=made.tools)
    assert body["tools"][0]["function"]["strict"] is False
    assert notes == Notes(emulated=["response_format"])


@pytest.mark.parametrize("parts", [[], [Text("")], [Text(" "), Text("", "5m")]])
def test_a_tool_that_failed_without_a_word_says_so(parts: list[Part]) -> None:
    turn = Message("user", [ToolResult("c", parts, True), ToolResult("d", parts)], "messages[2]")
    body, _, notes = encoded(VLLM, Message("user", [Text("Hi")]), turn)
    assert body["messages"][1] == {"role": "tool", "tool_call_id": "c", "content": "error"}
    assert "error" not in body["messages"][2]["content"]
    assert notes.emulated == ["messages[2]"]
    assert "is_error" not in notes.omitted


@pytest.mark.parametrize(("name", "fits"), [("a" * 64, True), ("a" * 65, False), ("a.b", False), ("a-b_C9", True)])
@pytest.mark.parametrize("provider", ["openai", "azure_openai", "vllm"])
def test_a_tool_s_name_that_openai_refuses_is_refused_by_its_field(name: str, fits: bool, provider: str) -> None:
    _, refusals, _ = encoded(target(provider), tools=[Tool("f"), Tool(name)])
    assert bool(refusals) is not (fits or provider == "vllm")
    if refusals:
        with pytest.raises(UnsupportedFeature, match="64 letters") as caught:
            refusals.check()
        assert caught.value.field == "tools[1].name"


def test_a_client_of_this_api_reads_its_own_name_of_a_tool_s_name() -> None:
    tool = {"type": "function", "function": {"name": "a" * 65}}
    body = json.dumps({"model": "m", "messages": [HELLO], "tools": [tool]}).encode()
    with pytest.raises(UnsupportedFeature) as caught:
        translate(CHAT, CHAT.read(body), target("openai", "openai.responses"))
    assert caught.value.field == "tools[0].function.name"


@pytest.mark.parametrize(
    ("turns", "fields", "path"),
    [
        ([Message("user", [Document(url="https://x/a.pdf")], "messages[0]")], {}, "messages[0]"),
        ([Message("assistant", [Image(url="https://x/a.png")], "messages[0]")], {}, "messages[0]"),
        ([Message("system", [Image(url="https://x/a.png")], "messages[0]")], {}, "messages[0]"),
        ([], {"stop": ["1", "2", "3", "4", "5"]}, "stop"),
        ([], {"top_k": 3}, "top_k"),
        ([], {"tool_choice": ToolChoice("required")}, "tool_choice"),
    ],
)
def test_what_cannot_be_said_is_refused(turns: list[Message], fields: Any, path: str) -> None:
    _, refusals, _ = encoded(GPT, *turns, **fields)
    with pytest.raises(UnsupportedFeature, match="cannot carry") as caught:
        refusals.check()
    assert caught.value.field == path


def test_a_schema_without_a_name_gets_one() -> None:
    body, _, _ = encoded(GPT, response_format=ResponseFormat("json_schema", schema=CLOSED, strict=True))
    wanted = {"name": "output", "schema": CLOSED, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}


def test_a_plain_text_document_is_written_as_text() -> None:
    body, _, notes = encoded(VLLM, Message("user", [Document("text/plain", text="words", name="a.txt")], "messages[0]"))
    assert body["messages"][0]["content"] == "[document a.txt]\nwords"
    assert notes.emulated == ["messages[0]"]


def test_a_schema_is_emulated_where_the_model_cannot_be_held_to_one() -> None:
    to = target("vllm", lacks=frozenset({"json_schema"}), has=frozenset({"tools"}))
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    body = json.dumps({"model": "m", "messages": [HELLO], "response_format": wanted}).encode()
    made = translate(CHAT, CHAT.read(body), to)
    sent = json.loads(made.body)
    assert "response_format" not in sent
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "json_answer"}}
    assert made.notes == Notes(emulated=["response_format"])
    assert CHAT.takes_format(ResponseFormat("json_object"), to)
    call = {"id": "c", "type": "function", "function": {"name": "json_answer", "arguments": '{"a":1}'}}
    answer = {"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    out, _, reason, _ = made.answer(json.dumps(answer).encode(), created_s=0)
    choice = json.loads(out)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"], reason) == ('{"a":1}', "stop", "stop")


# A turn that was begun


def test_an_answer_that_was_begun_is_continued_by_one_dialect_only() -> None:
    begun = {"model": "m", "max_tokens": 9, "messages": [HELLO, {"role": "assistant", "content": "The answer is ("}]}
    with pytest.raises(UnsupportedFeature, match="the last turn is the assistant's, which anthropic") as caught:
        translate(MESSAGES, MESSAGES.read(json.dumps(begun).encode()), VLLM)
    assert caught.value.field == "messages[1]"


# Reasoning of others in a body that passes


def wrapped(**fields: Any) -> dict[str, Any]:
    detail = {"type": "reasoning.text", "text": "hm", "signature": "tmrn1:anthropic.messages::sig", "index": 0}
    return {"role": "assistant", "content": "a", "reasoning_content": "hm", "reasoning_details": [detail]} | fields


def passed(*messages: Any, provider: str = "vllm") -> tuple[Any, Notes | None]:
    body = json.dumps({"model": "m", "big": 123456789012345678901234567890, "messages": list(messages)}).encode()
    made = translate(CHAT, CHAT.read(body), target(provider))
    return json.loads(made.body), made.notes


def test_reasoning_of_another_dialect_is_taken_out_of_a_body_that_passes() -> None:
    body, notes = passed(HELLO, wrapped(), HELLO)
    assert body["messages"] == [HELLO, {"role": "assistant", "content": "a"}, HELLO]
    assert body["big"] == 123456789012345678901234567890
    assert notes == Notes(omitted=["reasoning"])


def test_details_of_the_server_itself_stay() -> None:
    own = {"type": "reasoning.text", "text": "ho", "signature": "s"}
    mixed = wrapped()
    mixed["reasoning_details"].append(own)
    body, _ = passed(HELLO, mixed, HELLO)
    assert body["messages"][1]["reasoning_details"] == [own]
    assert body["messages"][1]["reasoning_content"] == "hm"


def test_a_message_that_was_nothing_but_such_reasoning_goes() -> None:
    body, _ = passed(HELLO, wrapped(content=None, tool_calls=[]), HELLO)
    assert body["messages"] == [HELLO, HELLO]


def test_a_text_that_looks_like_such_a_state_stays() -> None:
    said = {"role": "user", "content": "tmrn1:x"}
    body = json.dumps({"model": "m", "messages": [said]}).encode()
    made = translate(CHAT, CHAT.read(body), VLLM)
    assert made.body is body
    assert made.notes is None
    assert CHAT.without_foreign_state(b"not json") == b"not json"


# Needs


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, []),
        ({"temperature": 1, "top_p": 1.0, "frequency_penalty": 0, "logit_bias": {}}, []),
        ({"temperature": None, "tools": [], "reasoning_effort": "none", "logprobs": False}, []),
        ({"temperature": 0.2}, ["sampling"]),
        ({"top_p": 0.5}, ["sampling"]),
        ({"presence_penalty": 1}, ["sampling"]),
        ({"logit_bias": {"1": 1}}, ["sampling"]),
        ({"top_k": 5}, ["sampling"]),
        ({"tools": [{"type": "function"}]}, ["tools"]),
        ({"functions": [{"name": "f"}]}, ["tools"]),
        ({"reasoning_effort": "low"}, ["reasoning"]),
        ({"logprobs": True}, ["logprobs"]),
        ({"modalities": ["text", "audio"]}, ["audio"]),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, ["json_schema"]),
        ({"response_format": {"type": "json_object"}}, []),
        ({"temperature": "hot", "response_format": 5, "top_p": []}, []),
    ],
)
def test_needs_of_the_members(fields: Any, names: list[str]) -> None:
    for separators in ((",", ":"), (", ", ": "), (" , ", " : ")):
        body = json.dumps({"model": "m", "messages": [HELLO]} | fields, separators=separators).encode()
        assert CHAT.read(body).needs == feature_mask("chat", *names)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a", []),
        ('[{"type":"image_url"}]', []),
        ([{"type": "text", "text": '{"type":"image_url"} "file" "input_audio"'}], []),
        ([{"type": "text", "text": "x", "image_url": {}}], []),
        ([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "u"}}], ["vision"]),
        ([{"type": "file", "file": {}}], ["documents"]),
        ([{"type": "input_audio"}, {"type": "image_url"}], ["audio", "vision"]),
        ([{"type": "image_url"}, 5], []),
    ],
)
def test_needs_of_the_parts(content: Any, names: list[str]) -> None:
    messages = [{"role": "system", "content": "[brackets]"}, {"role": "user", "content": content}]
    body = msgspec.json.encode({"model": "m", "messages": messages})
    assert CHAT.read(body).needs == feature_mask("chat", *names)
