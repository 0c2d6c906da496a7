"""Requests of boto3's users: what is read of them, and what is refused by name."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Target, feature_mask
from trimaran.wire import DIALECTS, surface
from trimaran.wire.bedrock_converse import BedrockConverse
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
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
from trimaran.wire.state import wrap_state

CONVERSE = BedrockConverse()
PATH = b"/model/m/converse"
OTHER = Target("o/m", "openai", "m", ("openai.chat",), "https://o.example")
HI: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "hi"}]}]
PIXEL, PDF = "iVBORw0KGgo=", "JVBERi0xLjQ="


def body_of(*content: Any, **members: Any) -> bytes:
    messages = [{"role": "user", "content": list(content)}] if content else HI
    return json.dumps({"messages": messages} | members).encode()


def decoded(body: bytes) -> tuple[ChatRequest, Refusals]:
    refusals = Refusals(CONVERSE.name, OTHER, CONVERSE.field_names)
    request = CONVERSE.decode_request(body, refusals)
    refusals.check()
    return request, refusals


def parts(*content: Any) -> list[Part]:
    return decoded(body_of(*content))[0].messages[0].parts


def refused(body: bytes) -> str:
    with pytest.raises(UnsupportedFeature) as caught:
        decoded(body)
    return caught.value.field or ""


# Paths


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        "chat",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "ünüsual/näme",
    ],
)
def test_the_model_is_in_the_path(model: str, stream: bool) -> None:
    path = CONVERSE.upstream_path(model, stream)
    assert b":" not in path
    assert surface(path) is DIALECTS[CONVERSE.name]
    envelope = CONVERSE.read(body_of(), path)
    assert (envelope.model, envelope.stream) == (model, stream)
    assert CONVERSE.rewrite(envelope, "another") is envelope.body


def test_a_slash_that_is_not_encoded() -> None:
    assert CONVERSE.read(body_of(), b"/model/openai/gpt-4o-mini/converse").model == "openai/gpt-4o-mini"


@pytest.mark.parametrize("path", [b"/model/m/invoke", b"/model//converse-stream2", b"/model/converse", b"/v1/messages"])
def test_paths_of_others(path: bytes) -> None:
    assert not CONVERSE.serves(path)
    with pytest.raises(InvalidRequest, match="path"):
        CONVERSE.read(body_of(), path)


def test_a_path_that_is_not_utf8() -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        CONVERSE.read(body_of(), b"/model/%FF/converse")


# The envelope


def test_the_envelope() -> None:
    body = body_of(inferenceConfig={"maxTokens": 7})
    envelope = CONVERSE.read(body, PATH)
    assert (envelope.dialect, envelope.max_output_tokens, envelope.include_usage) == ("bedrock.converse", 7, True)
    assert body[slice(*envelope.prompt_span)] == json.dumps(HI).encode()


@pytest.mark.parametrize("limit", ["7", -1, 10**10, 1.5, True])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(InvalidRequest, match="inferenceConfig"):
        CONVERSE.read(body_of(inferenceConfig={"maxTokens": limit}), PATH)


def test_messages_may_come_from_a_stored_prompt_only() -> None:
    CONVERSE.read(b'{"promptVariables":{"a":{"text":"b"}}}', PATH)
    with pytest.raises(InvalidRequest, match="messages"):
        CONVERSE.read(b"{}", PATH)


def needs(*content: Any, **members: Any) -> set[str]:
    mask = CONVERSE.read(body_of(*content, **members), PATH).needs
    names = ("tools", "vision", "documents", "audio", "json_schema", "reasoning", "sampling", "prefill")
    return {name for name in names if mask & feature_mask(name)}


IMAGE = {"image": {"format": "png", "source": {"bytes": PIXEL}}}
DOCUMENT = {"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}}}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}


def test_needs() -> None:
    assert needs() == set()
    assert needs({"text": '"image" "assistant"'}) == set()
    assert needs({"text": "image"}) == set()
    assert needs({"text": "a"}, IMAGE) == {"vision"}
    assert needs({"toolResult": {"toolUseId": "a", "content": [IMAGE]}}) == {"vision"}
    assert needs(DOCUMENT) == {"documents"}
    assert needs({"document": {"format": "txt", "name": "a", "source": {"bytes": "YQ=="}}}) == set()
    assert needs({"document": {"name": "a", "source": {"text": "b"}}}) == set()
    assert needs({"audio": {"format": "wav", "source": {"bytes": PIXEL}}}) == {"audio"}
    assert needs(toolConfig=TOOLS) == {"tools"}
    assert needs(outputConfig={"textFormat": {"type": "json_schema"}}) == {"json_schema"}
    assert needs(outputConfig={"effort": "low"}) == {"reasoning"}
    assert needs(additionalModelRequestFields={"thinking": {"type": "enabled"}}) == {"reasoning"}
    assert needs(additionalModelRequestFields={"output_config": {"effort": "low"}}) == {"reasoning"}
    assert needs(additionalModelRequestFields={"thinking": {"type": "disabled"}, "top_k": 3}) == {"sampling"}
    assert needs(inferenceConfig={"temperature": 1, "topP": 0.5}) == {"sampling"}
    assert needs(inferenceConfig={"temperature": 1.0}) == set()
    assert needs(messages=[*HI, {"role": "assistant", "content": [{"text": "a"}]}]) == {"prefill"}
    assert needs(messages=[*HI, {"role": "assistant", "content": [{"text": "a"}]}, *HI]) == set()


# Content


def test_content_of_the_user() -> None:
    assert parts(
        {"text": "a"},
        IMAGE,
        DOCUMENT,
        {"document": {"format": "txt", "name": "b", "source": {"bytes": "w7w="}, "citations": {"enabled": False}}},
        {"document": {"format": "txt", "name": "c", "source": {"bytes": "/w=="}, "context": ""}},
        {"document": {"name": "d", "source": {"content": [{"text": "x"}, {"text": "y"}]}}},
        {"audio": {"format": "mp3", "source": {"bytes": PIXEL}}},
    ) == [
        Text("a"),
        Image("image/png", PIXEL),
        Document("application/pdf", PDF, name="a"),
        Document("text/plain", text="ü", name="b"),
        Document("text/plain", "/w==", name="c"),
        Document("text/plain", text="x\ny", name="d"),
        Audio("mp3", PIXEL),
    ]


def test_a_conversation_with_tools() -> None:
    call = {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}}
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}
    secret = {"reasoningContent": {"redactedContent": "c2VjcmV0"}}
    cited = {"citationsContent": {"content": [{"text": "so"}], "citations": []}}
    result = {
        "toolResult": {"toolUseId": "c1", "status": "error", "content": [{"json": {"b": [2]}}, {"text": "t"}, IMAGE]}
    }
    turns = [
        *HI,
        {"role": "assistant", "content": [thought, secret, cited, call]},
        {"role": "user", "content": [result]},
    ]
    request, _ = decoded(json.dumps({"messages": turns}).encode())
    assert request.messages[1] == Message(
        "assistant",
        [
            Reasoning("hm", "s", "bedrock.converse"),
            Reasoning("", "c2VjcmV0", "bedrock.converse", hidden=True),
            Text("so"),
            ToolCall("c1", "f", '{"a":1}'),
        ],
        "messages[1]",
    )
    assert request.messages[2].parts == [
        ToolResult("c1", [Text('{"b":[2]}'), Text("t"), Image("image/png", PIXEL)], is_error=True)
    ]


def test_cache_points_mark_what_is_before_them() -> None:
    point, hour = {"cachePoint": {"type": "default"}}, {"cachePoint": {"type": "default", "ttl": "1h"}}
    request, refusals = decoded(
        body_of(
            {"text": "a"},
            hour,
            IMAGE,
            point,
            system=[{"text": "s"}, point],
            toolConfig={"tools": [*TOOLS["tools"], hour]},
        )
    )
    assert request.messages[0].parts == [Text("a", "1h"), Image("image/png", PIXEL, cache="5m")]
    assert request.system == [Text("s", "5m")]
    assert request.tools[0].cache == "1h"
    assert refusals.omitted == []
    assert decoded(body_of(point, {"text": "a"}))[1].omitted == ["cachePoint"]


def test_instructions() -> None:
    begun = [{"role": "system", "content": [{"text": "b"}]}, *HI, {"role": "system", "content": [{"text": "c"}]}, *HI]
    request, _ = decoded(json.dumps({"messages": begun, "system": [{"text": "a"}]}).encode())
    assert request.system == [Text("a"), Text("b")]
    assert [turn.role for turn in request.messages] == ["user", "system", "user"]


# What is said around it


def test_everything_with_a_place() -> None:
    schema = {"type": "object", "properties": {}}
    request, refusals = decoded(
        body_of(
            inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
            toolConfig={
                "tools": [
                    {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}, "strict": True}}
                ],
                "toolChoice": {"tool": {"name": "f"}},
            },
            outputConfig={
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "n", "description": "e"}},
                },
                "effort": "high",
            },
            additionalModelRequestFields={
                "top_k": 4,
                "thinking": {"type": "adaptive", "display": "summarized"},
                "tool_choice": {"disable_parallel_tool_use": True},
            },
            additionalModelResponseFieldPaths=["/stop_sequence"],
            requestMetadata={"team": "a"},
            serviceTier={"type": "default"},
            performanceConfig={"latency": "standard"},
            guardrailConfig=None,
            projectIdentifier="default",
            promptVariables={},
        )
    )
    assert request == ChatRequest(
        model="",
        messages=[Message("user", [Text("hi")], "messages[0]")],
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop=["END"],
        tools=[Tool("f", "d", schema, True)],
        tool_choice=ToolChoice("named", "f"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", "n", schema, True, "e"),
        reasoning=ReasoningControl("high", adaptive=True, show="auto"),
        service_tier="standard",
        metadata={"team": "a"},
    )
    assert refusals.omitted == []


@pytest.mark.parametrize(
    ("choice", "extra", "wanted"),
    [
        ({"any": {}}, {}, ToolChoice("required")),
        ({"auto": {}}, {}, None),
        (None, {"type": "none"}, ToolChoice("none")),
        (None, {"type": "any"}, ToolChoice("required")),
        (None, {"type": "tool", "name": "f"}, ToolChoice("named", "f")),
        (None, {"type": "auto", "disable_parallel_tool_use": False}, None),
    ],
)
def test_choices_of_both_places(choice: Any, extra: Any, wanted: Any) -> None:
    config = TOOLS | ({"toolChoice": choice} if choice else {})
    request, _ = decoded(body_of(toolConfig=config, additionalModelRequestFields={"tool_choice": extra}))
    assert request.tool_choice == wanted
    assert request.parallel_tool_calls is None


def test_answers_fields_that_no_answer_elsewhere_has() -> None:
    _, refusals = decoded(body_of(additionalModelResponseFieldPaths=["/stop_sequence", "/other"]))
    assert refusals.omitted == ["additionalModelResponseFieldPaths"]


@pytest.mark.parametrize(
    ("content", "members", "field"),
    [
        ([{"video": {"format": "mp4", "source": {"bytes": PDF}}}], {}, "messages[0].content[0].video"),
        ([{"searchResult": {}}], {}, "messages[0].content[0].searchResult"),
        ([{"guardContent": {"text": {"text": "a"}}}], {}, "messages[0].content[0].guardContent"),
        (
            [{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}],
            {},
            "messages[0].content[0].image.source.s3Location",
        ),
        (
            [{"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}, "citations": {"enabled": True}}}],
            {},
            "messages[0].content[0].document.citations",
        ),
        (
            [{"toolResult": {"toolUseId": "a", "content": [{"video": {}}]}}],
            {},
            "messages[0].content[0].toolResult.content[0].video",
        ),
        ([], {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, "guardrailConfig"),
        ([], {"performanceConfig": {"latency": "optimized"}}, "performanceConfig.latency"),
        ([], {"projectIdentifier": "p"}, "projectIdentifier"),
        ([], {"promptVariables": {"a": {"text": "b"}}}, "promptVariables"),
        ([], {"serviceTier": {"type": "reserved"}}, "serviceTier.type"),
        (
            [],
            {"additionalModelRequestFields": {"anthropic_beta": ["b"]}},
            "additionalModelRequestFields.anthropic_beta",
        ),
        (
            [],
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "x"}}},
            "additionalModelRequestFields.thinking.display",
        ),
        ([], {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "toolConfig.tools[0].systemTool"),
        ([], {"inferenceConfig": {"topK": 4}}, "inferenceConfig.topK"),
        ([], {"system": [{"guardContent": {"text": {"text": "a"}}}]}, "system[0].guardContent"),
        ([], {"future": 1}, "future"),
    ],
)
def test_what_has_no_place_is_refused_by_name(content: list[Any], members: dict[str, Any], field: str) -> None:
    body = body_of(*content, **members)
    refusals = Refusals(CONVERSE.name, OTHER, CONVERSE.field_names)
    with suppress(InvalidRequest):
        CONVERSE.decode_request(body, refusals)
    with pytest.raises(UnsupportedFeature) as caught:
        refusals.check()
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("content", "members", "field"),
    [
        ("hi", {}, "messages[0].content"),
        ([{}], {}, "messages[0].content[0]"),
        ([{"text": "a", "image": {}}], {}, "messages[0].content[0]"),
        ([{"image": {"format": "bmp", "source": {"bytes": PIXEL}}}], {}, "messages[0].content[0].image.format"),
        ([{"image": {"format": "png", "source": {"bytes": "*"}}}], {}, "messages[0].content[0].image.source.bytes"),
        ([{"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}], {}, "messages[0].content[0]"),
        ([{"text": 3}], {}, "messages[0].content[0].text"),
        ([{"text": "a"}], {"toolConfig": {"tools": []}}, "toolConfig.tools"),
        ([{"text": "a"}], {"inferenceConfig": {"stopSequences": "a"}}, "inferenceConfig.stopSequences"),
        ([{"text": "a"}], {"requestMetadata": {"a": 1}}, "requestMetadata.a"),
        (
            [{"text": "a"}],
            {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "["}}}}},
            "outputConfig.textFormat.structure.jsonSchema",
        ),
        (
            [{"text": "a"}],
            {"outputConfig": {"effort": "low"}, "additionalModelRequestFields": {"output_config": {"effort": "low"}}},
            "additionalModelRequestFields.output_config.effort",
        ),
        (
            [{"text": "a"}],
            {
                "toolConfig": TOOLS | {"toolChoice": {"any": {}}},
                "additionalModelRequestFields": {"tool_choice": {"type": "none"}},
            },
            "additionalModelRequestFields.tool_choice",
        ),
    ],
)
def test_what_nobody_could_take(content: Any, members: dict[str, Any], field: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": content}]} | members).encode()
    with pytest.raises(InvalidRequest) as caught:
        decoded(body)
    assert caught.value.field == field
    assert field.partition(".")[0].partition("[")[0] in caught.value.message


def test_a_result_without_its_call() -> None:
    with pytest.raises(InvalidRequest, match="no earlier turn"):
        decoded(body_of({"toolResult": {"toolUseId": "a", "content": []}}))


# The state of others


def thought(reasoning: Reasoning) -> dict[str, Any]:
    return {"reasoningContent": {"reasoningText": {"text": reasoning.text, "signature": wrap_state(reasoning)}}}


FOREIGN = Reasoning("Hm.", "enc", "anthropic.messages", "")
HIDDEN = Reasoning("", "enc", "openai.responses", "rs_2", hidden=True)


def with_thoughts(*blocks: dict[str, Any]) -> bytes:
    return json.dumps({"messages": [*HI, {"role": "assistant", "content": [*blocks]}, *HI]}).encode()


def test_it_is_unwrapped() -> None:
    request, _ = decoded(with_thoughts(thought(FOREIGN), thought(HIDDEN), {"text": "a"}))
    assert request.messages[1].parts == [FOREIGN, HIDDEN, Text("a")]


def test_it_does_not_pass() -> None:
    own = {"reasoningContent": {"reasoningText": {"text": "b", "signature": "c2ln"}}}
    body = with_thoughts(thought(FOREIGN), own, thought(HIDDEN), {"text": '"tmrn1:'})
    clean = json.loads(CONVERSE.without_foreign_state(body))
    assert clean["messages"][1]["content"] == [own, {"text": '"tmrn1:'}]
    same = with_thoughts(own, {"text": '"tmrn1:'})
    assert CONVERSE.without_foreign_state(same) is same
    alone = json.loads(CONVERSE.without_foreign_state(with_thoughts(thought(FOREIGN))))
    assert [turn["role"] for turn in alone["messages"]] == ["user", "user"]
