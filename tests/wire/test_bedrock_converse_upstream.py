"""What is written for Bedrock: boto3 would send it, and the service's own rules are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Capabilities, Target
from trimaran.wire.bedrock_converse import BedrockConverse
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
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimaran.wire.refusals import Refusals

sys.path.insert(0, str(Path(__file__).parent))
from bedrock_judge import faults, serialized
from conversations import chat_requests

CONVERSE = BedrockConverse()
CLAUDE_ID = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PIXEL, PDF = "iVBORw0KGgo=", "JVBERi0xLjQ="
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}


def target(model: str = CLAUDE_ID, way: str = "", has: str = "", lacks: str = "", family: str = "m") -> Target:
    known = Capabilities(
        family=family, has=frozenset(has.split()), lacks=frozenset(lacks.split()), reasoning_control=way
    )
    return Target("b/m", "bedrock", model, (CONVERSE.name,), "https://b.example", capabilities=known)


CLAUDE = target()
LLAMA = target("meta.llama3-1-70b-instruct-v1:0")
targets = st.sampled_from([CLAUDE, LLAMA, target(way="adaptive", lacks="sampling"), target("amazon.nova-pro-v1:0")])


def asked(*turns: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=list(turns) or [Message("user", [Text("hi")])], **fields)


def user(*parts: Part) -> Message:
    return Message("user", list(parts), "messages[0]")


def encoded(request: ChatRequest, at: Target = CLAUDE, source: str = "openai.chat") -> tuple[Any, Notes]:
    refusals, notes = Refusals(source, at), Notes()
    body = CONVERSE.encode_request(request, at, refusals, notes)
    refusals.check()
    assert faults(body) == []
    return json.loads(body), notes


def refused(request: ChatRequest, at: Target = CLAUDE, source: str = "openai.chat") -> str:
    with pytest.raises(UnsupportedFeature) as caught:
        encoded(request, at, source)
    return str(caught.value)


def content(*turns: Message, at: Target = CLAUDE) -> Any:
    return encoded(asked(*turns), at)[0]["messages"][0]["content"]


# boto3 as the judge


@given(chat_requests(), targets)
def test_boto3_would_send_it(request: ChatRequest, at: Target) -> None:
    refusals, notes = Refusals("openai.chat", at), Notes()
    try:
        body = CONVERSE.encode_request(request, at, refusals, notes)
    except InvalidRequest:
        return
    if refusals:
        return
    assert faults(body, at.upstream_model, stream=request.stream) == []
    path, sent = serialized(body, at.upstream_model, stream=request.stream)
    assert path == CONVERSE.upstream_path(at.upstream_model, request.stream)
    assert sent == json.loads(body)


@given(chat_requests(), targets)
def test_the_rules_that_boto3_does_not_know(request: ChatRequest, at: Target) -> None:
    refusals, notes = Refusals("openai.chat", at), Notes()
    try:
        body = json.loads(CONVERSE.encode_request(request, at, refusals, notes))
    except InvalidRequest:
        return
    if refusals:
        return
    turns = body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    blocks = [block for turn in turns for block in turn["content"]]
    texts = [*blocks, *body.get("system", [])]
    texts += [inner for block in blocks if "toolResult" in block for inner in block["toolResult"]["content"]]
    assert all(block["text"].strip() for block in texts if "text" in block)
    names = [block["document"]["name"].casefold() for block in texts if "document" in block]
    assert len(names) == len(set(names))
    for turn in turns:
        kinds = [next(iter(block)) for block in turn["content"]]
        assert "document" not in kinds or "text" in kinds
        results = [place for place, kind in enumerate(kinds) if kind == "toolResult"]
        others = [place for place, kind in enumerate(kinds) if kind not in ("toolResult", "cachePoint")]
        assert not results or not others or max(results) < min(others)
    if any("toolUse" in block or "toolResult" in block for block in blocks):
        assert body["toolConfig"]["tools"]
    if at is not CLAUDE and "claude" not in at.upstream_model:
        assert "additionalModelRequestFields" not in body


# Turns


def test_turns_of_one_role_are_one() -> None:
    body, _ = encoded(asked(user(Text("a")), user(Text("b")), Message("assistant", [Text("c")]), user(Text("d"))))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == [{"text": "a"}, {"text": "b"}]


def test_a_turn_that_says_nothing_joins_its_neighbours() -> None:
    body, _ = encoded(asked(user(Text("a")), Message("assistant", [Text(" ")]), user(Text("b"))))
    assert body["messages"] == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]


def test_blank_text_goes_into_its_neighbour() -> None:
    assert content(user(Text("a"), Text("\n\n"), Text("b"))) == [{"text": "a\n\n"}, {"text": "b"}]
    assert content(user(Text("\n"), Text("b"))) == [{"text": "\nb"}]
    assert content(user(Text("a", "5m"), Text("\n"), Text("b"))) == [
        {"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "\nb"},
    ]  # fmt: skip


def test_the_user_begins() -> None:
    said = refused(asked(Message("assistant", [Text("a")], "messages[0]"), user(Text("b"))))
    assert "messages[0]" in said
    assert "begins" in said


def test_the_assistant_does_not_end_unless_it_was_begun_for_it() -> None:
    turns = (user(Text("a")), Message("assistant", [Text("b")], "messages[1]"))
    assert "would continue" in refused(asked(*turns))
    body, _ = encoded(asked(*turns, begun=True))
    assert body["messages"][-1] == {"role": "assistant", "content": [{"text": "b"}]}


def test_instructions_in_the_middle_are_only_its_own_clients() -> None:
    turns = (user(Text("a")), Message("system", [Text("b")], "messages[1]"), user(Text("c")))
    assert "put them first" in refused(asked(*turns))
    body, _ = encoded(asked(*turns), source=CONVERSE.name)
    assert [turn["role"] for turn in body["messages"]] == ["user", "system", "user"]


def test_nothing_to_say() -> None:
    assert "no turn" in refused(asked(user(Text(" "))))


# Content


def test_pictures_and_sound() -> None:
    assert content(user(Image("image/jpg", PIXEL), Audio("wav", "UklGRg=="))) == [
        {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}},
        {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}},
    ]
    assert "by its URL" in refused(asked(user(Image(url="https://e.example/a.png"))))
    assert "image/bmp" in refused(asked(user(Image("image/bmp", PIXEL))))
    assert "midi" in refused(asked(user(Audio("midi", "AAAA"))))


def test_documents_have_names_that_fit_and_differ() -> None:
    parts = [
        Text("Read these."),
        Document("application/pdf", PDF, name="Überblick_Q3.pdf"),
        Document("application/pdf", PDF, name="letter.pdf"),
        Document("text/plain", text="a", name="Letter.txt"),
        Document("text/csv", PDF),
        Document("text/markdown; charset=utf-8", PDF),
    ]
    body, notes = encoded(asked(user(*parts)))
    found = [block["document"] for block in body["messages"][0]["content"][1:]]
    assert [document["name"] for document in found] == [
        "-berblick-Q3", "letter", "Letter (2)", "document", "document (2)",
    ]  # fmt: skip
    assert [document["format"] for document in found] == ["pdf", "pdf", "txt", "csv", "md"]
    assert notes.emulated == ["document.name"]


def test_a_document_has_a_text_beside_it() -> None:
    body, notes = encoded(asked(user(Document("application/pdf", PDF, name="letter.pdf"))))
    assert body["messages"][0]["content"][-1] == {"text": "letter"}
    assert notes.emulated == ["messages[0]"]


@pytest.mark.parametrize("document", [Document(url="https://e.example/a.pdf"), Document("application/zip", PDF)])
def test_documents_that_are_not_taken(document: Document) -> None:
    assert "messages[0]" in refused(asked(user(document)))


def results(result: ToolResult, at: Target) -> tuple[Any, Notes]:
    call = Message("assistant", [ToolCall(result.call_id, "f", "")])
    body, notes = encoded(asked(user(Text("a")), call, user(result), tools=[Tool("f")]), at)
    return body["messages"][2]["content"][0]["toolResult"], notes


def test_a_failed_tool_where_status_is_known() -> None:
    result, notes = results(ToolResult("c1", [], True), CLAUDE)
    assert result == {"toolUseId": "c1", "content": [{"text": "error"}], "status": "error"}
    assert notes.emulated == ["messages[0]"]


def test_a_failed_tool_where_it_is_not() -> None:
    result, notes = results(ToolResult("c1", [Text("no network")], True), LLAMA)
    assert result == {"toolUseId": "c1", "content": [{"text": "no network"}]}
    assert notes.omitted == ["is_error"]


def test_llama_has_calls_and_results_in_turns_of_their_own() -> None:
    call = Message("assistant", [Text("I will look."), ToolCall("c", "f", "{}")], "messages[1]")
    body, notes = encoded(
        asked(user(Text("a")), call, user(ToolResult("c", [Text("r")]), Text("Go on.")), tools=[Tool("f")]), LLAMA
    )
    assert [next(iter(block)) for turn in body["messages"][1:] for block in turn["content"]] == [
        "toolUse",
        "toolResult",
    ]
    assert body["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "r"}, {"text": "Go on."}]
    assert notes.omitted == ["messages[1] (text)"]
    assert notes.emulated == ["messages[0]"]


def test_turns_that_meet_over_an_empty_one_are_judged_together() -> None:
    turns = (
        user(Text("a")),
        Message("assistant", [Text("b")]),
        user(Text(" ")),
        Message("assistant", [ToolCall("c", "f", "{}")]),
    )
    body, notes = encoded(asked(*turns, user(ToolResult("c", [Text("r")])), tools=[Tool("f")]), LLAMA)
    assert [list(block) for block in body["messages"][1]["content"]] == [["toolUse"]]
    assert notes.omitted == ["messages (text)"]


def test_odd_ids_are_made_to_fit_on_both_sides() -> None:
    call = Message("assistant", [ToolCall("call/1 ü", "f", "{}")])
    body, _ = encoded(asked(user(Text("a")), call, user(ToolResult("call/1 ü", [])), tools=[Tool("f")]))
    made = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert body["messages"][2]["content"][0]["toolResult"]["toolUseId"] == made


def test_only_its_own_thoughts_go_back() -> None:
    def turn(origin: str, hidden: bool = False) -> tuple[Any, Notes]:
        thought = Reasoning("" if hidden else "hm", "c2ln", origin, hidden=hidden)
        body, notes = encoded(asked(user(Text("a")), Message("assistant", [thought, Text("b")]), user(Text("c"))))
        return body["messages"][1]["content"], notes

    assert turn("bedrock.converse")[0][0] == {
        "reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}
    }
    assert turn("bedrock.converse", hidden=True)[0][0] == {"reasoningContent": {"redactedContent": "c2ln"}}
    blocks, notes = turn("anthropic.messages")
    assert blocks == [{"text": "b"}]
    assert notes.omitted == ["reasoning"]


# Cache points


def test_cache_points_follow_what_they_mark() -> None:
    body, notes = encoded(
        asked(user(Text("a", "1h")), system=[Text("s", "5m")], tools=[Tool("f", cache="5m")], cache="5m")
    )
    point = {"cachePoint": {"type": "default"}}
    assert body["system"] == [{"text": "s"}, point]
    assert body["messages"][0]["content"] == [{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert body["toolConfig"]["tools"][1] == point
    assert notes.emulated == ["cache"]


@pytest.mark.parametrize("at", [LLAMA, target(lacks="caching")])
def test_a_model_without_a_cache_gets_none(at: Target) -> None:
    body, notes = encoded(asked(user(Text("a", "1h")), system=[Text("s", "5m")], tools=[Tool("f", cache="5m")]), at)
    assert "cachePoint" not in json.dumps(body)
    assert notes.omitted == ["cache"]


# Tools


def test_how_a_call_is_forced() -> None:
    def config(choice: ToolChoice | None) -> Any:
        return encoded(asked(tools=[Tool("f")], tool_choice=choice))[0]["toolConfig"].get("toolChoice")

    assert config(None) is None
    assert config(ToolChoice("auto")) is None
    assert config(ToolChoice("required")) == {"any": {}}
    assert config(ToolChoice("named", "f")) == {"tool": {"name": "f"}}


def test_one_call_at_a_time() -> None:
    def extra(choice: ToolChoice | None) -> Any:
        request = asked(tools=[Tool("f")], tool_choice=choice, parallel_tool_calls=False)
        return encoded(request)[0]["additionalModelRequestFields"]

    # The service refuses a type that it has made itself, and wants one that it has not.
    assert extra(None) == {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert extra(ToolChoice("required")) == {"tool_choice": {"disable_parallel_tool_use": True}}
    assert "parallel_tool_calls" in refused(asked(tools=[Tool("f")], parallel_tool_calls=False), LLAMA)


HISTORY = (user(Text("a")), Message("assistant", [ToolCall("c", "f", "{}")]), user(ToolResult("c", [Text("r")])))


def test_tools_of_the_history_are_defined_and_shut_off() -> None:
    body, notes = encoded(asked(*HISTORY))
    assert body["toolConfig"] == {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    assert notes.emulated == ["tools"]
    body, notes = encoded(asked(*HISTORY), LLAMA)
    assert "do not call" in body["toolConfig"]["tools"][0]["toolSpec"]["description"]


def test_tools_forbidden() -> None:
    body, notes = encoded(asked(tools=[Tool("f")], tool_choice=ToolChoice("none")))
    assert body["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    assert not notes.count
    body, notes = encoded(asked(tools=[Tool("f")], tool_choice=ToolChoice("none")), LLAMA)
    assert "toolConfig" not in body
    assert notes.emulated == ["tool_choice"]
    assert "tool_choice" in refused(asked(*HISTORY, tools=[Tool("f")], tool_choice=ToolChoice("none")), LLAMA)


def test_a_name_that_bedrock_refuses() -> None:
    assert "64 letters" in refused(asked(tools=[Tool("a.b")]))


def test_strict_tools() -> None:
    spec = encoded(asked(tools=[Tool("f", parameters=SCHEMA, strict=True)]))[0]["toolConfig"]["tools"][0]["toolSpec"]
    assert spec["strict"] is True
    for tool, at in (
        (Tool("f", strict=True), CLAUDE),
        (Tool("f", parameters=SCHEMA, strict=True), target(lacks="json_schema")),
    ):
        body, notes = encoded(asked(tools=[tool]), at)
        assert "strict" not in body["toolConfig"]["tools"][0]["toolSpec"]
        assert notes.emulated == ["tools[0].strict"]


# The rest


def test_what_only_claude_knows() -> None:
    body, _ = encoded(asked(top_k=5, stop=["END"]))
    assert body["additionalModelRequestFields"] == {"top_k": 5}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert "top_k" in refused(asked(top_k=5), LLAMA)
    assert "additionalModelResponseFieldPaths" not in encoded(asked(stop=["END"]), LLAMA)[0]


def test_a_profile_of_ones_own_is_what_its_base_model_is() -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"
    body, _ = encoded(asked(top_k=5), target(profile, family="claude-sonnet-4-5"))
    assert body["additionalModelRequestFields"] == {"top_k": 5}


def test_thinking_in_each_generations_way() -> None:
    wanted = ReasoningControl("medium")
    body, notes = encoded(asked(reasoning=wanted), target(way="budget"))
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 8192}}
    assert notes.emulated == ["reasoning"]
    body, _ = encoded(asked(reasoning=wanted), target(way="adaptive"))
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert body["outputConfig"] == {"effort": "medium"}
    assert "reasoning" in refused(asked(reasoning=wanted), LLAMA)
    _, notes = encoded(asked(reasoning=ReasoningControl("none")), LLAMA)
    assert notes.omitted == ["reasoning"]


def test_thinking_waits_for_the_end_of_a_chain_without_thoughts() -> None:
    body, notes = encoded(asked(*HISTORY, tools=[Tool("f")], reasoning=ReasoningControl(budget_tokens=2048)))
    assert "additionalModelRequestFields" not in body
    assert notes.omitted == ["reasoning"]


def test_thinking_and_what_it_does_not_allow() -> None:
    said = refused(asked(reasoning=ReasoningControl(budget_tokens=2048), temperature=0.5, top_k=4))
    assert "temperature" in said
    assert "top_k" in said


def test_sampling() -> None:
    body, _ = encoded(asked(temperature=0.5, top_p=1, max_output_tokens=7, stop=["a"]))
    assert body["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 7, "stopSequences": ["a"]}
    assert "temperature" in refused(asked(temperature=1.5))
    assert "at least 1" in refused(asked(max_output_tokens=0))
    assert "white space" in refused(asked(stop=[" "]))
    body, _ = encoded(asked(temperature=1, top_p=1), target(lacks="sampling"))
    assert "inferenceConfig" not in body


def test_formats() -> None:
    wanted = ResponseFormat("json_schema", "out", SCHEMA, True, "what comes out")
    body, _ = encoded(asked(response_format=wanted))
    inner = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(inner.pop("schema")) == SCHEMA
    assert inner == {"name": "out", "description": "what comes out"}
    assert CONVERSE.takes_format(wanted, CLAUDE)
    assert not CONVERSE.takes_format(wanted, target(lacks="json_schema"))
    assert not CONVERSE.takes_format(ResponseFormat("json_object"), CLAUDE)


def test_labels_tiers_and_hints() -> None:
    body, notes = encoded(asked(metadata={"team": "a b", "odd": "ü"}, service_tier="standard", user="u", cache_key="k"))
    assert body["requestMetadata"] == {"team": "a b"}
    assert body["serviceTier"] == {"type": "default"}
    assert sorted(notes.omitted) == ["cache_key", "metadata", "user"]
    assert encoded(asked(service_tier="flex"))[0]["serviceTier"] == {"type": "flex"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 1), ("frequency_penalty", 0.5), ("presence_penalty", 0.5), ("logit_bias", {"1": 1.0}), ("logprobs", 1)],
)
def test_what_has_no_place(field: str, value: Any) -> None:
    assert field in refused(asked(**{field: value}))


def test_arguments_that_are_no_object() -> None:
    turns = (
        user(Text("a")),
        Message("assistant", [ToolCall("c", "f", "[1]")], "messages[1]"),
        user(ToolResult("c", [])),
    )
    with pytest.raises(InvalidRequest, match="no JSON object"):
        encoded(asked(*turns, tools=[Tool("f")]))
