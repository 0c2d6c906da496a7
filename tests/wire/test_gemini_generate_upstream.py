"""What goes to a Gemini: google-genai's own types judge its form, and each rule of the API is one test."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Capabilities, Target
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
from trimaran.wire.gemini_generate import GeminiGenerate
from trimaran.wire.gemini_generate.signatures import DUMMY, EMPTY_TEXT, ON_TEXT, on_call
from trimaran.wire.refusals import Refusals

sys.path.insert(0, str(Path(__file__).parent))
from conversations import chat_requests

GEMINI = GeminiGenerate()
OWN = GEMINI.name
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
CALL = ToolCall("c1", "f", '{"a":1}')


def at(model: str = "gemini-3.8-flash", **fields: Any) -> Target:
    return Target("g/m", "gemini", model, (OWN,), "https://g.example", **fields)


def wrote(
    request: ChatRequest, target: Target | None = None, source: str = "openai.chat"
) -> tuple[Any, Notes, Refusals]:
    target = target or at()
    refusals, notes = Refusals(source, target), Notes()
    body = GEMINI.encode_request(request, target, refusals, notes)
    return json.loads(body), notes, refusals


def asked(*turns: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=list(turns) or [Message("user", [Text("hi")])], **fields)


def sent(request: ChatRequest, target: Target | None = None, source: str = "openai.chat") -> Any:
    body, _, refusals = wrote(request, target, source)
    refusals.check()
    return body


def config(request: ChatRequest, target: Target | None = None) -> Any:
    return sent(request, target).get("generationConfig", {})


def judged(body: dict[str, Any]) -> None:
    """Google's own types take the body."""
    for content in body["contents"]:
        types.Content.model_validate(content)
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    if "toolConfig" in body:
        types.ToolConfig.model_validate(body["toolConfig"])
    config = dict(body.get("generationConfig", {}))
    # The SDK has it in its own config only.
    types.ThinkingConfig.model_validate(config.pop("thinkingConfig", {}))
    types.GenerationConfig.model_validate(config)
    known = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels", "serviceTier"}
    assert body.keys() <= known


@given(chat_requests(), st.sampled_from(["gemini-3.8-flash", "gemini-2.5-pro", "m"]))
def test_googles_types_take_every_request(request: ChatRequest, model: str) -> None:
    target = at(model)
    refusals, notes = Refusals("openai.chat", target), Notes()
    try:
        body = GEMINI.encode_request(request, target, refusals, notes)
        refusals.check()
    except (UnsupportedFeature, InvalidRequest):
        return
    judged(json.loads(body))


# Signatures


def step(*parts: Part, call: ToolCall = CALL) -> list[Message]:
    return [Message("assistant", [*parts, call]), Message("user", [ToolResult(call.id, [Text("ok")])])]


def signatures(body: Any) -> list[str | None]:
    return [
        part.get("thoughtSignature")
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


def test_a_signature_comes_home_on_its_call() -> None:
    state = Reasoning("", "c2ln", OWN, on_call("c2"), hidden=True)
    second = ToolCall("c2", "g", "{}")
    turns = [
        Message("user", [Text("hi")]),
        Message("assistant", [state, Text("Let me see."), CALL, second]),
        Message("user", [ToolResult("c1", [Text("1")]), ToolResult("c2", [Text("2")])]),
    ]
    body = sent(asked(*turns), at("gemini-2.5-pro"))
    assert body["contents"][1]["parts"] == [
        {"text": "Let me see."},
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"id": "c2", "name": "g", "args": {}}, "thoughtSignature": "c2ln"},
    ]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([Text("a"), Reasoning("", "cw==", OWN, ON_TEXT, hidden=True)], [{"text": "a", "thoughtSignature": "cw=="}]),
        # Another dialect puts reasoning first.
        ([Reasoning("", "cw==", OWN, ON_TEXT, hidden=True), Text("a")], [{"text": "a", "thoughtSignature": "cw=="}]),
        (
            [Text("a"), Reasoning("", "cw==", OWN, EMPTY_TEXT, hidden=True)],
            [{"text": "a"}, {"text": "", "thoughtSignature": "cw=="}],
        ),
        ([Reasoning("", "cw==", OWN, ON_TEXT, hidden=True)], [{"text": "", "thoughtSignature": "cw=="}]),
        ([Reasoning("hm", "cw==", OWN)], [{"text": "hm", "thought": True, "thoughtSignature": "cw=="}]),
        ([Reasoning("hm", "", OWN), Text("a")], [{"text": "hm", "thought": True}, {"text": "a"}]),
    ],
)
def test_a_signature_comes_home_on_its_text_or_thought(parts: list[Part], wanted: list[Any]) -> None:
    body = sent(asked(Message("user", [Text("hi")]), Message("assistant", parts), Message("user", [Text("and?")])))
    assert body["contents"][1]["parts"] == wanted


def test_calls_that_no_gemini_made_get_the_stand_in_in_the_turn_under_way() -> None:
    old, new, third = (ToolCall(f"c{number}", "f", "{}") for number in range(3))
    parallel = ToolCall("c9", "f", "{}")
    turns = [
        Message("user", [Text("hi")]),
        *step(call=old),
        Message("assistant", [Text("done")]),
        Message("user", [Text("more")]),
        *step(call=new),
        Message("assistant", [Reasoning("", "c2ln", OWN, on_call("c2"), hidden=True), third, parallel]),
        Message("user", [ToolResult("c2", []), ToolResult("c9", [])]),
    ]
    body, notes, _ = wrote(asked(*turns))
    assert signatures(body) == [None, DUMMY, "c2ln", None]
    assert notes == Notes()
    for model in ("gemini-2.5-flash", "gemma-4", "m"):
        assert signatures(sent(asked(*turns), at(model))) == [None, None, "c2ln", None]
    assert signatures(sent(asked(*turns), at("models/gemini-flash-latest"))) == [None, DUMMY, "c2ln", None]
    assert signatures(sent(asked(*turns), at("gemini-4-argon"))) == [None, DUMMY, "c2ln", None]


def test_reasoning_of_others_is_left_out_and_noted() -> None:
    foreign = Reasoning("hm", "sig", "anthropic.messages")
    body, notes, _ = wrote(asked(Message("user", [Text("hi")]), *step(foreign)))
    assert notes.omitted == ["reasoning"]
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]


def test_a_signature_without_its_call_is_noted() -> None:
    lost = Reasoning("", "c2ln", OWN, on_call("gone"), hidden=True)
    body, notes, _ = wrote(asked(Message("user", [Text("hi")]), *step(lost)))
    assert notes.omitted == ["reasoning"]
    assert signatures(body) == [DUMMY]


# Results


def result(*parts: Part, is_error: bool = False, model: str = "gemini-3.8-flash") -> tuple[Any, Notes]:
    turns = [Message("user", [Text("hi")]), Message("assistant", [CALL])]
    turns.append(Message("user", [ToolResult("c1", list(parts), is_error)], "messages[2]"))
    body, notes, refusals = wrote(asked(*turns), at(model))
    refusals.check()
    return body["contents"][2:], notes


def test_a_result_is_an_object() -> None:
    assert response(Text("rain")) == {"output": "rain"}
    assert response(Text("ra"), Text("in")) == {"output": "rain"}
    assert response(Text("no network"), is_error=True) == {"error": "no network"}
    assert response() == {"output": ""}
    assert response(Text('{"a": 1}')) == {"a": 1}
    assert response(Text('{"a":[1]}')) == {"a": [1]}
    # What would come back otherwise than it was said.
    for text in ('{ "a":1 }', '{"a":1,"a":2}', '{"output":1}', '{"error":"x"}', "{}", "[1]", "{"):
        assert response(Text(text)) == {"output": text}


def response(*parts: Part, is_error: bool = False) -> Any:
    contents, _ = result(*parts, is_error=is_error)
    assert contents[0]["parts"][0]["functionResponse"].keys() == {"id", "name", "response"}
    return contents[0]["parts"][0]["functionResponse"]["response"]


def test_a_picture_in_a_result() -> None:
    picture = Image("image/png", "AA==")
    contents, notes = result(Text("Look:"), picture)
    assert contents == [
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "c1",
                        "name": "f",
                        "response": {"output": "Look:"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
                    }
                }
            ],
        }
    ]
    assert notes.emulated == ["messages[2]"]
    contents, notes = result(picture, model="gemini-2.5-pro")
    assert contents[0]["parts"][0]["functionResponse"]["response"] == {
        "output": "[image 1 of the tool results follows in the next message]"
    }
    assert contents[1]["parts"] == [
        {"text": "[image 1 of the tool results]"},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    ]
    assert notes.emulated == ["messages[2]"]


def test_calls_without_an_id_stay_without_and_their_results_keep_their_order() -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": name, "args": {}}} for name in "fgf"]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": name, "response": {"n": n}}} for n, name in enumerate("gff")],
            },
        ]
    }
    request = GEMINI.decode_request(json.dumps(body).encode(), Refusals(OWN, at()))
    contents = sent(request, at("gemini-2.5-pro"), OWN)["contents"]
    assert contents[1] == body["contents"][1]
    answers = [part["functionResponse"] for part in contents[2]["parts"]]
    assert answers == [
        {"name": "f", "response": {"n": 1}},
        {"name": "g", "response": {"n": 0}},
        {"name": "f", "response": {"n": 2}},
    ]


# The rest


def test_media() -> None:
    parts: list[Part] = [
        Image("image/jpg", "AA=="),
        Image(url="https://example.com/a.webp?x=1", detail="high"),
        Document("application/pdf", "AA==", name="a.pdf"),
        Document("text/plain", text="é"),
        Document(url="https://example.com/a"),
        Audio("mp3", "AA=="),
    ]
    body, notes, refusals = wrote(asked(Message("user", parts)))
    refusals.check()
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        {
            "fileData": {"mimeType": "image/webp", "fileUri": "https://example.com/a.webp?x=1"},
            "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
        },
        {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        {"inlineData": {"mimeType": "text/plain", "data": "w6k="}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AA=="}},
    ]
    assert notes.omitted == ["document.name"]


THINKING: list[tuple[str, ReasoningControl, Any, list[str]]] = [
    ("gemini-3.8-flash", ReasoningControl("low"), {"thinkingLevel": "LOW"}, []),
    ("gemini-3.8-flash", ReasoningControl("xhigh"), {"thinkingLevel": "HIGH"}, ["reasoning"]),
    ("gemini-3.8-flash", ReasoningControl("none"), {"thinkingLevel": "MINIMAL"}, ["reasoning"]),
    ("gemini-3.8-flash", ReasoningControl(budget_tokens=8192), {"thinkingLevel": "MEDIUM"}, ["reasoning"]),
    ("gemini-3.8-flash", ReasoningControl(adaptive=True), None, []),
    ("gemini-2.5-pro", ReasoningControl("low"), {"thinkingBudget": 2048}, ["reasoning"]),
    ("gemini-2.5-pro", ReasoningControl("none"), {"thinkingBudget": 0}, []),
    ("gemini-2.5-pro", ReasoningControl(adaptive=True), {"thinkingBudget": -1}, []),
    (
        "gemini-2.5-pro",
        ReasoningControl(budget_tokens=100, show="auto"),
        {"thinkingBudget": 100, "includeThoughts": True},
        [],
    ),
    (
        "m",
        ReasoningControl("medium", show="detailed"),
        {"thinkingLevel": "MEDIUM", "includeThoughts": True},
        ["reasoning"],
    ),
    ("m", ReasoningControl(budget_tokens=100), {"thinkingBudget": 100}, []),
]


@pytest.mark.parametrize(("model", "control", "wanted", "emulated"), THINKING)
def test_thinking(model: str, control: ReasoningControl, wanted: Any, emulated: list[str]) -> None:
    body, notes, refusals = wrote(asked(reasoning=control), at(model))
    refusals.check()
    assert body.get("generationConfig", {}).get("thinkingConfig") == wanted
    assert notes.emulated == emulated


def test_anthropics_clients_see_the_thoughts_that_they_turned_on() -> None:
    body = sent(asked(reasoning=ReasoningControl(budget_tokens=2048)), at("gemini-2.5-pro"), "anthropic.messages")
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 2048, "includeThoughts": True}
    off = sent(asked(reasoning=ReasoningControl("none")), at("gemini-2.5-pro"), "anthropic.messages")
    assert off["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}


def test_what_the_catalogue_knows_of_a_tuned_model_counts() -> None:
    known = Capabilities(family="gemini-2.5-flash", reasoning_control="budget")
    body = config(
        asked(reasoning=ReasoningControl("low")), at("projects/p/locations/l/endpoints/7", capabilities=known)
    )
    assert body["thinkingConfig"] == {"thinkingBudget": 2048}


TOOLS = [Tool("f", "Does it.", SCHEMA), Tool("g")]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, None),
        (ToolChoice("auto"), None),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tools(choice: ToolChoice | None, wanted: Any) -> None:
    body = sent(asked(tools=TOOLS, tool_choice=choice))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "Does it.", "parametersJsonSchema": SCHEMA},
                {"name": "g"},
            ]
        }
    ]
    assert body.get("toolConfig", {}).get("functionCallingConfig") == wanted


def test_strict_tools() -> None:
    strict = [msgspec.structs.replace(tool, strict=True) for tool in TOOLS]
    body, notes, _ = wrote(asked(tools=strict))
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "VALIDATED"}
    assert notes == Notes()
    body, notes, _ = wrote(asked(tools=[strict[0], TOOLS[1]]))
    assert "toolConfig" not in body
    assert notes.emulated == ["tools[0].strict"]


def test_formats() -> None:
    wanted = ResponseFormat("json_schema", "x", SCHEMA, True)
    assert config(asked(response_format=wanted)) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert config(asked(response_format=ResponseFormat("json_object"))) == {"responseMimeType": "application/json"}
    _, notes, _ = wrote(asked(response_format=wanted))
    assert notes == Notes()
    more = ResponseFormat("json_schema", "x", SCHEMA | {"properties": {"a": {"type": "string", "pattern": "x"}}}, True)
    _, notes, _ = wrote(asked(response_format=more))
    assert notes.emulated == ["response_format"]
    lacking = at(capabilities=Capabilities(family="", lacks=frozenset({"json_schema"})))
    assert not GEMINI.takes_format(wanted, lacking)


def refusal(request: ChatRequest, model: str = "gemini-3.8-flash") -> str:
    _, _, refusals = wrote(request, at(model))
    with pytest.raises(UnsupportedFeature) as caught:
        refusals.check()
    return caught.value.message


REFUSED: dict[str, ChatRequest] = {
    "temperature": asked(temperature=2.5),
    "seed": asked(seed=2**40),
    "logit_bias": asked(logit_bias={"1": 1}),
    "verbosity": asked(verbosity="low"),
    "stop": asked(stop=list("abcdef")),
    "logprobs": asked(logprobs=21),
    "parallel_tool_calls": asked(tools=TOOLS, parallel_tool_calls=False),
    "tool_choice": asked(tool_choice=ToolChoice("required")),
    "tools[].name": asked(tools=[Tool("1st")]),
    "image/gif": asked(Message("user", [Image("image/gif", "AA==")], "messages[0]")),
    "messages[0]": asked(Message("user", [Document("application/zip", "AA==")], "messages[0]")),
    "messages[1]": asked(Message("user", [Text("hi")]), Message("assistant", [Text("The")], "messages[1]")),
    "messages": asked(Message("user", [Text("")])),
    "service_tier": asked(service_tier="batch"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_gemini_cannot_take_is_refused_by_name(name: str) -> None:
    assert name.replace("[]", "[0]") in refusal(REFUSED[name]) or name in refusal(REFUSED[name])


def test_tools_beside_a_format_are_for_later_models() -> None:
    request = asked(tools=TOOLS, response_format=ResponseFormat("json_schema", "x", SCHEMA, True))
    assert "response_format" in refusal(request, "gemini-2.5-pro")
    assert "responseJsonSchema" in config(request)


def test_labels_are_vertex_ais() -> None:
    labels = {"team": "a", "Team": "B", "": "c"}
    body, notes, _ = wrote(asked(metadata=labels))
    assert "labels" not in body
    assert notes.omitted == ["metadata"]
    body, notes, _ = wrote(
        asked(metadata=labels), Target("v/m", "vertex", "gemini-3.8-flash", (OWN,), "https://v.example")
    )
    assert body["labels"] == {"team": "a"}
    assert notes.omitted == ["metadata"]


def test_hints_are_left_out_and_noted() -> None:
    request = asked(cache="5m", cache_key="k", user="u", system=[Text("Be brief.", "5m")])
    body, notes, refusals = wrote(request)
    refusals.check()
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert set(notes.omitted) == {"cache", "cache_key", "user"}


def test_an_answer_begun_is_gone_on_with() -> None:
    turns = [Message("user", [Text("hi")]), Message("assistant", [Text("The")])]
    assert sent(asked(*turns, begun=True))["contents"][-1] == {"role": "model", "parts": [{"text": "The"}]}


def test_arguments_that_are_no_object_are_named() -> None:
    turns = [Message("user", [Text("hi")]), Message("assistant", [ToolCall("c1", "f", "[1]")], "messages[1]")]
    with pytest.raises(InvalidRequest, match=r"messages\[1\]"):
        wrote(asked(*turns, Message("user", [ToolResult("c1", [])])))
