"""Neutral requests for a target that speaks Responses: what is written, refused, or left out and said so."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trimaran.errors import UnsupportedFeature
from trimaran.types import Capabilities, Target
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
from trimaran.wire.openai_responses import OpenAIResponses
from trimaran.wire.refusals import Refusals

RESPONSES = DIALECTS["openai.responses"]
assert isinstance(RESPONSES, OpenAIResponses)
GPT = Target(
    id="openai/gpt", provider="openai", upstream_model="gpt", dialects=("openai.responses",), base_url="http://t"
)
VLLM = msgspec.structs.replace(GPT, id="vllm/x", provider="vllm")
USER = Message("user", [Text("hi")], "messages[0]")


def sent(
    *messages: Message, target: Target = GPT, notes: Notes | None = None, source: str = "openai.chat", **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(model="m", messages=list(messages or (USER,)), **fields)
    refusals = Refusals(source, target)
    body = RESPONSES.encode_request(request, target, refusals, Notes() if notes is None else notes)
    refusals.check()
    value: dict[str, Any] = json.loads(body)
    return value


def refused(*messages: Message, **fields: Any) -> str:
    with pytest.raises(UnsupportedFeature) as caught:
        sent(*messages, **fields)
    return str(caught.value)


def able(**sets: Any) -> Target:
    return msgspec.structs.replace(GPT, capabilities=Capabilities(family="f", **sets))


def test_the_least_request_stores_nothing() -> None:
    assert sent() == {
        "model": "gpt",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "store": False,
    }


def test_turns_become_items_in_order() -> None:
    notes = Notes()
    turns = [
        USER,
        Message(
            "assistant",
            [
                Reasoning("why", "enc", "openai.responses", "rs_1", summary=True),
                Text("I"),
                Text("look"),
                ToolCall("a", "f", '{"x":1}'),
                ToolCall("b", "g", ""),
                Text("so"),
                Refusal("no"),
            ],
        ),
        Message(
            "user", [ToolResult("a", [Text("sun")]), ToolResult("b", [Text("x"), Image(url="https://u")]), Text("?")]
        ),
        Message("assistant", [Text("plain")]),
        Message("system", [Text("late")]),
    ]
    body = sent(*turns, notes=notes)
    assert body["input"][1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "why"}],
            "encrypted_content": "enc",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "I", "annotations": []},
                {"type": "output_text", "text": "look", "annotations": []},
            ],
        },
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "so", "annotations": []}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call_output", "call_id": "a", "output": "sun"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": "https://u", "detail": "auto"},
            ],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "?"}]},
        {"role": "assistant", "content": "plain"},
        {"role": "system", "content": [{"type": "input_text", "text": "late"}]},
    ]
    # The model has reasoned, so it may do so again.
    assert body["include"] == ["reasoning.encrypted_content"]
    assert notes == Notes()


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (
            Image("image/png", "aGk=", detail="high"),
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "high"},
        ),
        (
            Document("application/pdf", "aGk="),
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,aGk="},
        ),
        (
            Document("text/plain", text="hi", name="n.txt"),
            {"type": "input_file", "filename": "n.txt", "file_data": "data:text/plain;base64,aGk="},
        ),
        (Document(url="https://u"), {"type": "input_file", "file_url": "https://u"}),
        (Document(url="https://u", name="n"), {"type": "input_file", "file_url": "https://u", "filename": "n"}),
    ],
)
def test_parts(part: Part, written: dict[str, Any]) -> None:
    assert sent(Message("user", [part]))["input"][0]["content"] == [written]


def test_instructions() -> None:
    assert sent(system=[Text("be kind")])["instructions"] == "be kind"
    several = sent(system=[Text("be kind"), Text("be brief")])
    assert "instructions" not in several
    assert several["input"][0] == {
        "role": "system",
        "content": [{"type": "input_text", "text": "be kind"}, {"type": "input_text", "text": "be brief"}],
    }


def test_instructions_that_ask_for_a_json_object_stand_where_the_api_looks_for_them() -> None:
    body = sent(system=[Text("Answer in JSON.")], response_format=ResponseFormat("json_object"))
    assert "instructions" not in body
    assert body["input"][0] == {"role": "system", "content": [{"type": "input_text", "text": "Answer in JSON."}]}
    held = ResponseFormat("json_schema", "x", {"type": "object"})
    assert sent(system=[Text("Be kind.")], response_format=held)["instructions"] == "Be kind."


def test_settings() -> None:
    body = sent(
        max_output_tokens=5,
        temperature=0.5,
        top_p=0.5,
        frequency_penalty=0.0,
        presence_penalty=0.0,
        logprobs=0,
        tools=[Tool("f"), Tool("g", "d", {"type": "object"}, True)],
        tool_choice=ToolChoice("named", "g"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", "", {"type": "object"}, True, "what"),
        reasoning=ReasoningControl(effort="low", show="auto"),
        verbosity="low",
        service_tier="standard",
        user="u",
        metadata={"a": "b"},
        cache_key="k",
        cache_retention="24h",
        stream=True,
    )
    del body["input"]
    assert body == {
        "model": "gpt",
        "max_output_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_logprobs": 0,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
        # Where nothing is said, this API would make a schema strict that its author left loose.
        "tools": [
            {"type": "function", "name": "f", "parameters": None, "strict": False},
            {"type": "function", "name": "g", "description": "d", "parameters": {"type": "object"}, "strict": True},
        ],
        "tool_choice": {"type": "function", "name": "g"},
        "parallel_tool_calls": False,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "output",
                "schema": {"type": "object"},
                "strict": True,
                "description": "what",
            },
            "verbosity": "low",
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "service_tier": "default",
        "user": "u",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "stream": True,
        "store": False,
    }


@pytest.mark.parametrize(
    ("control", "target", "asks"),
    [
        (None, GPT, False),
        (ReasoningControl(effort="low"), GPT, True),
        (ReasoningControl(effort="none"), GPT, False),
        (None, able(has=frozenset({"reasoning"})), True),
        (ReasoningControl(effort="low"), able(lacks=frozenset({"reasoning"})), False),
        (None, able(), False),
    ],
)
def test_encrypted_reasoning_is_asked_for_where_the_model_may_reason(
    control: ReasoningControl | None, target: Target, asks: bool
) -> None:
    assert ("include" in sent(reasoning=control, target=target)) is asks


@pytest.mark.parametrize(
    ("control", "written", "emulated"),
    [
        (ReasoningControl(budget_tokens=8000), {"effort": "medium", "summary": "auto"}, ["reasoning"]),
        (ReasoningControl(budget_tokens=70_000), {"effort": "high", "summary": "auto"}, ["reasoning"]),
        (ReasoningControl(effort="high", adaptive=True), {"effort": "high"}, []),
        (ReasoningControl(adaptive=True), None, []),
        (ReasoningControl(show="none"), None, []),
        (ReasoningControl(show="detailed"), {"summary": "detailed"}, []),
    ],
)
def test_reasoning_control(control: ReasoningControl, written: Any, emulated: list[str]) -> None:
    notes = Notes()
    assert sent(reasoning=control, notes=notes).get("reasoning") == written
    assert notes.emulated == emulated


def test_reasoning_of_others_is_left_out_and_said_so() -> None:
    foreign = Message("assistant", [Reasoning("t", "sig", "anthropic.messages"), Text("x")])
    notes = Notes()
    assert sent(foreign, notes=notes)["input"] == [{"role": "assistant", "content": "x"}]
    assert notes.omitted == ["reasoning"]


@pytest.mark.parametrize(
    ("part", "target", "item"),
    [
        (
            Reasoning("t", "", "openai.responses", "rs_1"),
            VLLM,
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
        ),
        # OpenAI reads an item without its state from its store, where there is nothing of it.
        (Reasoning("t", "", "openai.responses", "rs_1", summary=True), GPT, None),
        (
            Reasoning("", "enc", "openai.responses", "", hidden=True),
            GPT,
            {"type": "reasoning", "summary": [], "encrypted_content": "enc"},
        ),
        # A client kept the state and not the text.
        *(
            (
                Reasoning("", "enc", "openai.responses", "rs_1", summary=summary),
                GPT,
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc"},
            )
            for summary in (True, False)
        ),
    ],
)
def test_reasoning_of_its_own(part: Reasoning, target: Target, item: Any) -> None:
    notes = Notes()
    written = sent(USER, Message("assistant", [part]), USER, target=target, notes=notes)["input"]
    assert written[1:-1] == ([item] if item else [])
    assert notes.omitted == ([] if item else ["reasoning"])


def test_no_effort_is_not_asked_of_a_model_that_never_thinks() -> None:
    for target, source in (
        (able(lacks=frozenset({"reasoning"})), "openai.chat"),
        (GPT, "anthropic.messages"),
        (able(has=frozenset({"reasoning"})), "anthropic.messages"),
    ):
        notes = Notes()
        assert "reasoning" not in sent(
            target=target, notes=notes, source=source, reasoning=ReasoningControl("none", show="auto")
        )
        assert notes == Notes(omitted=["reasoning"])
    notes = Notes()
    assert sent(notes=notes, reasoning=ReasoningControl("none"))["reasoning"] == {"effort": "none"}
    assert notes == Notes()


CLOSED = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "source", "strict"),
    [
        (CLOSED, "anthropic.messages", True),
        (CLOSED | {"required": []}, "openai.chat", True),
        (CLOSED | {"required": []}, "anthropic.messages", False),
        ({"type": "object"}, "anthropic.messages", False),
    ],
)
def test_strict_is_said_where_openai_would_take_the_schema(schema: Any, source: str, strict: bool) -> None:
    notes = Notes()
    body = sent(
        notes=notes,
        source=source,
        tools=[Tool("f", parameters={"type": "object"}), Tool("g", parameters=schema, strict=True)],
        response_format=ResponseFormat("json_schema", schema=schema, strict=True),
    )
    assert [tool["strict"] for tool in body["tools"]] == [False, strict]
    assert body["text"]["format"]["strict"] is strict
    assert notes == (Notes() if strict else Notes(emulated=["tools[1].strict", "response_format"]))


@pytest.mark.parametrize("parts", [[], [Text("")], [Text(" "), Text("")]])
def test_a_tool_that_failed_without_a_word_says_so(parts: list[Part]) -> None:
    notes = Notes()
    turn = Message("user", [ToolResult("c", parts, is_error=True), ToolResult("d", [])], "messages[2]")
    failed, empty = sent(turn, notes=notes)["input"]
    assert (failed["output"], empty["output"]) == ("error", "")
    assert notes == Notes(emulated=["messages[2]"])


@pytest.mark.parametrize("name", ["a" * 65, "a.b"])
def test_a_tool_s_name_that_openai_refuses_is_refused_by_its_field(name: str) -> None:
    assert "'tools[1].name'" in refused(tools=[Tool("f"), Tool(name)])
    assert sent(target=VLLM, tools=[Tool(name)])["tools"][0]["name"] == name
    assert sent(tools=[Tool(name[:1] * 64)])["tools"]


def test_hints_are_left_out_and_said_so() -> None:
    notes = Notes()
    body = sent(
        Message("user", [Text("x", "5m"), Image(url="https://u", cache="1h"), Document(url="https://u", cache="1h")]),
        Message("assistant", [Text("x", "5m"), ToolCall("c", "f", "{}", "5m")]),
        Message("user", [ToolResult("c", [Text("x")], is_error=True, cache="5m")], "messages[2]"),
        system=[Text("s", "1h")],
        tools=[Tool("f", cache="1h")],
        cache="5m",
        notes=notes,
    )
    assert b"5m" not in json.dumps(body).encode()
    assert notes == Notes(omitted=["cache", "messages[2].is_error"])


def test_ids_that_openai_would_refuse_are_rewritten_alike() -> None:
    long = "toolu_" + "x" * 60
    body = sent(Message("assistant", [ToolCall(long, "f", "{}")]), Message("user", [ToolResult(long, [])]))
    call, result = body["input"]
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 40
    assert result["output"] == ""


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"stop": ["x"]}, "'stop'"),
        ({"top_k": 4}, "'top_k'"),
        ({"seed": 0}, "'seed'"),
        ({"frequency_penalty": 0.5}, "'frequency_penalty'"),
        ({"presence_penalty": -0.5}, "'presence_penalty'"),
        ({"logit_bias": {"5": 1.0}}, "'logit_bias'"),
    ],
)
def test_settings_that_are_refused(fields: dict[str, Any], told: str) -> None:
    assert told in refused(**fields)


@pytest.mark.parametrize(
    ("role", "part", "told"),
    [
        ("user", Audio("wav", "aGk="), "audio in this place"),
        ("user", Refusal("x"), "refusal in this place"),
        ("assistant", Image(url="https://u"), "image in the assistant's turn"),
        ("user", ToolResult("c", [Audio("wav", "aGk=")]), "audio in this place"),
    ],
)
def test_parts_that_are_refused(role: Any, part: Part, told: str) -> None:
    assert f"'messages[1]' ({told})" in refused(USER, Message(role, [part], "messages[1]"))


def test_a_schema_is_held_unless_the_model_is_known_not_to() -> None:
    wanted = ResponseFormat("json_schema", "n", {})
    assert RESPONSES.takes_format(wanted, GPT)
    assert RESPONSES.takes_format(wanted, able())
    assert not RESPONSES.takes_format(wanted, able(lacks=frozenset({"json_schema"})))


def test_a_schema_by_a_tool_in_the_same_dialect() -> None:
    wanted = {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {}}}
    body = json.dumps({"model": "m", "input": "hi", "text": {"format": wanted}}).encode()
    target = able(lacks=frozenset({"json_schema"}))
    translation = translate(RESPONSES, RESPONSES.read(body), target)
    told = json.loads(translation.body)
    assert told["tool_choice"] == {"type": "function", "name": "json_answer"}
    assert translation.notes == Notes(emulated=["text.format"])


def test_hints_of_the_client_reach_the_notes() -> None:
    body = json.dumps({"model": "m", "input": [{"role": "user", "content": "x", "phase": "commentary"}]}).encode()
    target = msgspec.structs.replace(GPT, provider="anthropic", dialects=("anthropic.messages",), max_output_tokens=9)
    assert translate(RESPONSES, RESPONSES.read(body), target).notes == Notes(omitted=["input[0].phase"])


def test_instructions_without_a_turn_are_the_input() -> None:
    messages = DIALECTS["anthropic.messages"]
    body = {"model": "m", "max_tokens": 20, "messages": [{"role": "system", "content": "Say hello."}]}
    target = Target("o/m", "openai", "m", ("openai.responses",), "https://o.example")
    made = translate(messages, messages.read(json.dumps(body).encode()), target)
    sent = json.loads(made.body)
    assert "instructions" not in sent
    assert sent["input"] == [{"role": "system", "content": [{"type": "input_text", "text": "Say hello."}]}]
