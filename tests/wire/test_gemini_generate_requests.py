"""What a request of google-genai, or of anybody who writes its JSON, means, and what of it is refused by name."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import FEATURES, Target
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
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
from trimaran.wire.gemini_generate.names import snake
from trimaran.wire.gemini_generate.schemas import json_schema
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import wrap_state

GoogleClient = Callable[..., genai.Client]
GEMINI = GeminiGenerate()
OTHER = Target("o/m", "openai", "m", ("openai.chat",), "https://o.example")
OK = json.dumps(
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}
).encode()
PIXEL = bytes([0xFF, 0xFE, 0xFD, 0xFA, 0x00])
HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def heard(body: dict[str, Any] | bytes) -> tuple[ChatRequest, Refusals]:
    refusals = Refusals(GEMINI.name, OTHER, GEMINI.field_names)
    raw = body if isinstance(body, bytes) else json.dumps({"contents": HI} | body).encode()
    return GEMINI.decode_request(raw, refusals), refusals


def said(body: dict[str, Any] | bytes) -> ChatRequest:
    request, refusals = heard(body)
    refusals.check()
    return request


def refused(body: dict[str, Any]) -> str:
    _, refusals = heard(body)
    with pytest.raises(UnsupportedFeature) as caught:
        refusals.check()
    return caught.value.message


def asked_by(sdk: GoogleClient, contents: Any, **config: Any) -> ChatRequest:
    """What the SDK's own request says."""
    seen: list[bytes] = []
    sdk(OK, seen=seen).models.generate_content(
        model="m", contents=contents, config=types.GenerateContentConfig(**config)
    )
    return said(seen[0])


def test_the_sdk_is_understood(google_sdk: GoogleClient) -> None:
    def weather(city: str, days: int = 3) -> str:
        """Tells the weather."""
        return city * days

    declared = types.FunctionDeclaration(
        name="clock",
        parameters=types.Schema(type=types.Type.OBJECT, properties={"zone": types.Schema(type=types.Type.STRING)}),
    )
    request = asked_by(
        google_sdk,
        [
            types.Content(
                role="user",
                parts=[
                    types.Part.from_bytes(data=PIXEL, mime_type="image/png"),
                    types.Part.from_bytes(data=b"%PDF", mime_type="application/pdf"),
                    types.Part.from_bytes(data=b"words", mime_type="text/plain"),
                    types.Part.from_bytes(data=b"RIFF", mime_type="audio/wav"),
                    types.Part.from_uri(file_uri="https://example.com/a.png", mime_type="image/png"),
                    types.Part(text="Look."),
                ],
            ),
            types.Content(
                role="model",
                parts=[
                    types.Part(text="I think", thought=True, thought_signature=b"\xff\xfe\xfa"),
                    types.Part(
                        function_call=types.FunctionCall(name="weather", args={"city": "P"}), thought_signature=b"s"
                    ),
                    types.Part(function_call=types.FunctionCall(name="clock", args={})),
                ],
            ),
            types.Content(
                role="user",
                parts=[
                    types.Part.from_function_response(name="clock", response={"output": "12:00"}),
                    types.Part.from_function_response(name="weather", response={"error": "no network"}),
                ],
            ),
        ],
        system_instruction="Be brief.",
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        seed=7,
        stop_sequences=["END"],
        presence_penalty=0.5,
        frequency_penalty=0.25,
        response_logprobs=True,
        logprobs=2,
        tools=[weather, types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
            )
        ),
        thinking_config=types.ThinkingConfig(thinking_budget=2048, include_thoughts=True),
        service_tier=types.ServiceTier.FLEX,
        labels={"team": "a"},
    )
    pixel = base64.b64encode(PIXEL).decode()
    assert request.system == [Text("Be brief.")]
    assert request.messages[0].parts == [
        Image("image/png", pixel),
        Document("application/pdf", "JVBERg=="),
        Document("text/plain", text="words"),
        Audio("wav", "UklGRg=="),
        Image(url="https://example.com/a.png"),
        Text("Look."),
    ]
    calls = [part for part in request.messages[1].parts if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == [("weather", '{"city":"P"}'), ("clock", "{}")]
    assert request.messages[2].parts == [
        ToolResult(calls[1].id, [Text("12:00")]),
        ToolResult(calls[0].id, [Text("no network")], is_error=True),
    ]
    thoughts = [part for part in request.messages[1].parts if isinstance(part, Reasoning)]
    assert [(part.text, part.origin, part.hidden) for part in thoughts] == [
        ("I think", GEMINI.name, False),
        ("", GEMINI.name, True),
    ]
    assert (request.max_output_tokens, request.temperature, request.top_p, request.top_k) == (100, 0.5, 0.9, 40)
    assert (request.seed, request.stop, request.logprobs) == (7, ["END"], 2)
    assert (request.presence_penalty, request.frequency_penalty) == (0.5, 0.25)
    assert request.tool_choice == ToolChoice("named", "weather")
    assert request.reasoning == ReasoningControl(budget_tokens=2048, show="auto")
    assert (request.service_tier, request.metadata) == ("flex", {"team": "a"})
    assert request.tools[0].description == "Tells the weather."
    assert request.tools[0].parameters["required"] == ["city"]
    assert request.tools[1] == Tool("clock", parameters={"type": "object", "properties": {"zone": {"type": "string"}}})


def test_a_pydantic_schema_of_the_sdk_is_a_json_schema(google_sdk: GoogleClient) -> None:
    class Recipe(genai._common.BaseModel):
        title: str
        minutes: int | None = None
        steps: list[str]

    request = asked_by(google_sdk, "hi", response_mime_type="application/json", response_schema=Recipe)
    wanted = request.response_format
    assert wanted is not None
    assert wanted.kind == "json_schema"
    assert list(wanted.schema["properties"]) == ["title", "minutes", "steps"]
    assert wanted.schema["properties"]["minutes"]["type"] == ["integer", "null"]
    assert wanted.schema["properties"]["steps"]["items"] == {"type": "string"}
    assert wanted.schema["required"] == ["title", "steps"]
    assert "propertyOrdering" not in wanted.schema


_words = st.text("abcXYZ_", min_size=1, max_size=6)


@st.composite
def sdk_schemas(draw: st.DrawFn, depth: int = 2) -> types.Schema:
    kinds = ["STRING", "INTEGER", "NUMBER", "BOOLEAN"] + (["OBJECT", "ARRAY"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    schema = types.Schema(type=types.Type(kind), title=draw(st.none() | _words), description=draw(st.none() | _words))
    if draw(st.booleans()):
        schema.nullable = True
    if kind == "STRING":
        schema.enum = (
            draw(st.none() | st.lists(_words, min_size=1, max_size=3, unique=True)) if not schema.nullable else None
        )
        schema.max_length = draw(st.none() | st.integers(0, 99))
    elif kind == "INTEGER":
        schema.minimum = draw(st.none() | st.integers(0, 99).map(float))
    elif kind == "ARRAY":
        schema.items = draw(sdk_schemas(depth - 1))
        schema.max_items = draw(st.none() | st.integers(0, 99))
    elif kind == "OBJECT":
        schema.properties = draw(st.dictionaries(_words, sdk_schemas(depth - 1), min_size=1, max_size=3))
        schema.required = sorted(schema.properties)
    return schema


@given(sdk_schemas())
def test_schemas_mean_what_the_sdk_says_they_mean(schema: types.Schema) -> None:
    written = schema.model_dump(mode="json", by_alias=True, exclude_none=True)
    judged = schema.json_schema.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert lowered(json_schema(written, "s")) == lowered(judged)


def lowered(value: Any) -> Any:
    """Without differences that mean nothing: a type alone or in a list, a float that is whole, names of keywords."""
    if isinstance(value, dict):
        inner = {key: lowered(each) for key, each in value.items()}
        if isinstance(inner.get("type"), list):
            inner["type"] = inner["type"][0] if len(inner["type"]) == 1 else sorted(inner["type"])
        return inner
    if isinstance(value, list):
        return [lowered(each) for each in value]
    return value


WHOLE: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAA="}}, {"text": "hi"}]},
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "f", "args": {"some_key": 1}}, "thoughtSignature": "AA=="}],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"some_key": 2}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "maxItems": 3}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "maxOutputTokens": 5,
        "topP": 0.5,
        "topK": 3,
        "stopSequences": ["a"],
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    },
    "serviceTier": "flex",
}


def snaked(value: Any) -> Any:
    """The other spelling, but for what is not the API's: arguments, responses, schemas."""
    if isinstance(value, list):
        return [snaked(each) for each in value]
    if not isinstance(value, dict):
        return value
    own = ("args", "response", "parametersJsonSchema", "responseJsonSchema")
    return {snake(key): each if key in own else snaked(each) for key, each in value.items()}


def test_both_spellings_say_the_same() -> None:
    assert said(WHOLE) == said(snaked(WHOLE))


def test_a_member_in_both_spellings_is_named() -> None:
    config = {"topP": 1, "top_p": 1}
    with pytest.raises(InvalidRequest, match=r"generationConfig\.topP"):
        heard({"generationConfig": config})


REFUSED: dict[str, dict[str, Any]] = {
    "cachedContent": {"cachedContent": "cachedContents/1"},
    "store": {"store": True},
    "tools[0].googleSearch": {"tools": [{"googleSearch": {}}]},
    "tools[0].codeExecution": {"tools": [{"code_execution": {}}]},
    "tools[0].urlContext": {"tools": [{"urlContext": {}}]},
    "tools[0].computerUse": {"tools": [{"computerUse": {}}]},
    "tools[0].functionDeclarations[0].behavior": {
        "tools": [{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING"}]}]
    },
    "toolConfig.retrievalConfig": {"toolConfig": {"retrievalConfig": {"languageCode": "en"}}},
    "toolConfig.functionCallingConfig.allowedFunctionNames": {
        "tools": [{"functionDeclarations": [{"name": name} for name in "abc"]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}},
    },
    "generationConfig.candidateCount": {"generationConfig": {"candidateCount": 2}},
    "generationConfig.responseModalities": {"generationConfig": {"responseModalities": ["AUDIO"]}},
    "generationConfig.speechConfig": {"generationConfig": {"speechConfig": {"languageCode": "de"}}},
    "generationConfig.responseMimeType": {"generationConfig": {"responseMimeType": "text/x.enum"}},
    "generationConfig.imageConfig": {"generationConfig": {"imageConfig": {"aspectRatio": "1:1"}}},
    "generationConfig.thinkingConfig.thinkingLevel": {
        "generationConfig": {"thinkingConfig": {"thinkingLevel": "ULTRA"}}
    },
    "safetySettings[1]": {
        "safetySettings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
            {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_LOW_AND_ABOVE"},
        ]
    },
    "contents[0].parts[0].executableCode": {"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]},
    "contents[0].parts[0].videoMetadata": {"contents": [{"parts": [{"text": "a", "videoMetadata": {"fps": 1}}]}]},
    "contents[0].parts[0].inlineData": {
        "contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "AA=="}}]}]
    },
    "contents[0].parts[0].fileData": {
        "contents": [{"parts": [{"fileData": {"fileUri": "gs://b/o", "mimeType": "image/png"}}]}]
    },
    "a file that the Gemini API keeps": {
        "contents": [{"parts": [{"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}}]}]
    },
    "serviceTier": {"serviceTier": "express"},
    "zzProbe": {"zzProbe": 1},
    "generationConfig.zz_probe": {"generationConfig": {"zz_probe": 1}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_neutral_place_is_refused_by_name(name: str) -> None:
    assert name in refused(REFUSED[name])


NOTHING: list[dict[str, Any]] = [
    {"cachedContent": ""},
    {"store": False},
    {"tools": []},
    {"generationConfig": None},
    {"generationConfig": {"candidateCount": 1, "responseModalities": ["TEXT"], "audioTimestamp": False}},
    {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
    {"labels": {}},
    {"serviceTier": "unspecified"},
]


@pytest.mark.parametrize("body", NOTHING)
def test_what_says_nothing_is_taken_as_absent(body: dict[str, Any]) -> None:
    assert said(body) == said({})


def test_open_safety_settings_are_left_out_and_noted() -> None:
    _, refusals = heard({"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]})
    assert not refusals
    assert refusals.omitted == ["safetySettings"]


WRONG: dict[str, dict[str, Any]] = {
    "contents": {"contents": []},
    "contents[0].role": {"contents": [{"role": "assistant", "parts": []}]},
    "contents[0].parts": {"contents": [{"role": "user"}]},
    "contents[0].parts[0].inlineData.data": {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "!"}}]}]
    },
    "contents[0].parts[0].functionResponse": {
        "contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]
    },
    "contents[0].parts[0]": {"contents": [{"parts": [{"text": "a", "fileData": {"fileUri": "x"}}]}]},
    "generationConfig.maxOutputTokens": {"generationConfig": {"maxOutputTokens": -1}},
    "generationConfig.thinkingConfig": {
        "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5}}
    },
    "generationConfig.responseMimeType": {"generationConfig": {"responseSchema": {"type": "OBJECT"}}},
    "toolConfig.functionCallingConfig.mode": {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_provider_could_take_is_named(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        heard(WRONG[name])
    assert name in caught.value.message


THINKING: list[tuple[dict[str, Any], ReasoningControl | None]] = [
    ({}, None),
    ({"includeThoughts": False}, None),
    ({"thinkingBudget": 0}, ReasoningControl("none")),
    ({"thinkingBudget": -1}, ReasoningControl(adaptive=True)),
    ({"thinking_budget": 512, "include_thoughts": True}, ReasoningControl(budget_tokens=512, show="auto")),
    ({"thinkingLevel": "minimal"}, ReasoningControl("minimal")),
    ({"thinkingLevel": "HIGH"}, ReasoningControl("high")),
]


@pytest.mark.parametrize(("config", "control"), THINKING)
def test_thinking(config: dict[str, Any], control: ReasoningControl | None) -> None:
    assert said({"generationConfig": {"thinkingConfig": config}}).reasoning == control


def test_modes_of_function_calling() -> None:
    tools = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]

    def choice(**config: Any) -> ChatRequest:
        return said({"tools": tools, "toolConfig": {"functionCallingConfig": config}})

    assert choice(mode="ANY").tool_choice == ToolChoice("required")
    assert choice(mode="any", allowedFunctionNames=["b", "a"]).tool_choice == ToolChoice("required")
    assert choice(mode="ANY", allowedFunctionNames=["b"]).tool_choice == ToolChoice("named", "b")
    assert choice(mode="NONE").tool_choice == ToolChoice("none")
    held = choice(mode="VALIDATED")
    assert held.tool_choice is None
    assert [tool.strict for tool in held.tools] == [True, True]


def test_json_without_a_schema() -> None:
    config = {"responseMimeType": "application/json"}
    assert said({"generationConfig": config}).response_format == ResponseFormat("json_object")


def test_a_stream_kept_in_pieces_is_one_turn() -> None:
    foreign = base64.b64encode(wrap_state(Reasoning("I think", "sig", "anthropic.messages")).encode()).decode()
    pieces: list[dict[str, Any]] = [
        {"text": "I ", "thought": True},
        {"text": "think", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": foreign},
        {"text": "Hel"},
        {"text": "lo"},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"},
        {"text": ""},
    ]
    contents = [*HI, *({"role": "model", "parts": [piece]} for piece in pieces)]
    contents.append(
        {"role": "user", "parts": [{"text": "now"}, {"functionResponse": {"name": "f", "response": {"a": 1}}}]}
    )
    request = said({"contents": contents})
    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
    assert request.messages[1].parts == [
        Reasoning("I think", "sig", "anthropic.messages"),
        Text("Hello"),
        ToolCall("c1", "f", "{}"),
    ]
    assert request.messages[2].parts == [ToolResult("c1", [Text('{"a":1}')]), Text("now")]


NEEDS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"chat"}),
    (WHOLE, {"chat", "vision", "tools", "json_schema", "reasoning", "sampling"}),
    (snaked(WHOLE), {"chat", "vision", "tools", "json_schema", "reasoning", "sampling"}),
    ({"contents": [*HI, {"role": "model", "parts": [{"text": "The"}]}]}, {"chat", "prefill"}),
    ({"contents": [{"parts": [{"text": 'a "model" with "inlineData"'}]}]}, {"chat"}),
    ({"contents": [{"parts": [{"fileData": {"mimeType": "application/pdf", "fileUri": "u"}}]}]}, {"chat", "documents"}),
    ({"contents": [{"parts": [{"inline_data": {"mime_type": "audio/wav", "data": ""}}]}]}, {"chat", "audio"}),
    ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "temperature": 1}}, {"chat"}),
    ({"generationConfig": {"responseLogprobs": True}}, {"chat", "logprobs"}),
    ({"generationConfig": 5, "contents": 7}, {"chat"}),
]


def read(body: dict[str, Any], operation: str = "generateContent", model: str = "m") -> Any:
    raw = json.dumps({"contents": HI} | body).encode()
    return GEMINI.read(raw, f"/v1beta/models/{model}:{operation}".encode())


@pytest.mark.parametrize(("body", "needs"), NEEDS)
def test_needs(body: dict[str, Any], needs: set[str]) -> None:
    mask = read(body).needs
    assert {name for place, name in enumerate(FEATURES) if mask >> place & 1} == needs


def test_what_the_road_reads() -> None:
    envelope = read({"generationConfig": {"max_output_tokens": 10, "candidateCount": 3}}, "streamGenerateContent")
    assert (envelope.model, envelope.stream, envelope.max_output_tokens, envelope.answers) == ("m", True, 30, 3)
    start, end = envelope.prompt_span
    assert json.loads(envelope.body[start:end]) == HI
    assert not envelope.stateful
    assert read({"cached_content": "cachedContents/1"}).stateful
    kept = {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}}
    assert read({"contents": [{"parts": [kept]}]}).stateful
    assert GEMINI.rewrite(envelope, "other") is envelope.body


PATHS = [
    ("/v1beta/models/gemini-3.8-flash:generateContent", "gemini-3.8-flash", False),
    ("/v1/models/m:streamGenerateContent", "m", True),
    ("/v1beta/models/openai/gpt-4o-mini:generateContent", "openai/gpt-4o-mini", False),
    ("/v1beta/models/a%3Ab:generateContent", "a:b", False),
    ("/v1beta1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", "m", True),
    ("/v1beta1/publishers/google/models/m:generateContent", "m", False),
]


@pytest.mark.parametrize(("path", "model", "stream"), PATHS)
def test_paths(path: str, model: str, stream: bool) -> None:
    assert GEMINI.serves(path.encode())
    envelope = GEMINI.read(json.dumps({"contents": HI}).encode(), path.encode())
    assert (envelope.model, envelope.stream) == (model, stream)


def test_other_paths_are_not_served() -> None:
    for path in (
        b"/v1/chat/completions",
        b"/v1beta/models",
        b"/v1beta/models/m:embedContent",
        b"/v1beta/models/:generateContent",
    ):
        assert not GEMINI.serves(path)


def test_paths_of_targets() -> None:
    assert GEMINI.upstream_path("gemini-3.8-flash", False) == b"/v1beta/models/gemini-3.8-flash:generateContent"
    assert GEMINI.upstream_path("models/m", True) == b"/v1beta/models/m:streamGenerateContent?alt=sse"
    assert GEMINI.upstream_path("tunedModels/a b", False) == b"/v1beta/tunedModels/a%20b:generateContent"
