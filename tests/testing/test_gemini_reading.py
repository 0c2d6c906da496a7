"""What the simulated Gemini refuses, and in which words; and that it takes what the real one takes."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Refusal
from trimaran.testing.gemini_generate import GeminiCountTokens, GeminiGenerate
from trimaran.testing.google import GoogleCloud
from trimaran.testing.google_errors import GoogleRefusal
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.proto_json import Message, Repeated, read_message

HELLO = [{"role": "user", "parts": [{"text": "Hello"}]}]
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
RESPONSE = {"functionResponse": {"name": "f", "response": {"result": "x"}}}
PIXEL = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


def read(body, *, model="gemini-2.5-flash", vertex=False, method="generateContent", counting=False):
    prefix = "/v1/projects/p/locations/global/publishers/google" if vertex else "/v1beta"
    target = f"{prefix}/models/{model}:{'countTokens' if counting else method}".encode()
    dialect = (GeminiCountTokens if counting else GeminiGenerate)(GoogleCloud(), vertex=vertex)
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return dialect.read(Request(b"POST", target, [], body, True))


def refused(body, **where) -> GoogleRefusal:
    with pytest.raises(Refusal) as caught:
        read(body, **where)
    assert isinstance(caught.value, GoogleRefusal)
    assert caught.value.status == 400
    return caught.value


def asked(**fields):
    return {"contents": HELLO, **fields}


def settings(**fields):
    return asked(generationConfig=fields)


def tools(*declarations):
    return [{"functionDeclarations": list(declarations)}]


def test_both_ways_to_write_a_name():
    camel = {
        "contents": HELLO,
        "systemInstruction": {"parts": [{"text": "S"}]},
        "generationConfig": {"maxOutputTokens": 9},
    }
    snake = {
        "contents": HELLO,
        "system_instruction": {"parts": [{"text": "S"}]},
        "generation_config": {"max_output_tokens": "9"},
    }
    assert read(camel) == read(snake)
    assert read(camel).has_system and read(camel).max_output_tokens == 9


def test_one_element_may_stand_without_its_list():
    assert read({"contents": {"parts": {"text": "Hello"}}}).last_text == "Hello"


def test_a_conversation_is_counted_as_in_other_dialects():
    contents = [
        {"role": "user", "parts": [{"text": "Weather?"}, PIXEL]},
        {"role": "model", "parts": [CALL, CALL]},
        {"role": "user", "parts": [RESPONSE, RESPONSE]},
    ]
    prompt = read({"contents": contents, "tools": tools({"name": "f"})})
    assert (prompt.turns, prompt.images, prompt.tool_calls, prompt.tool_results) == (3, 1, 2, 2)
    assert prompt.after_tool_result


def test_the_same_conversation_gets_the_same_answer_as_from_openai():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    contents = [
        {"role": "user", "parts": [{"text": "Weather?"}, PIXEL]},
        {"role": "model", "parts": [CALL]},
        {"role": "user", "parts": [RESPONSE]},
        {"role": "model", "parts": [{"text": "Sunny."}]},
        {"role": "user", "parts": [{"text": "And tomorrow?"}]},
    ]
    declared = {"name": "f", "description": "d", "parametersJsonSchema": schema}
    ours = read(
        {"contents": contents, "systemInstruction": {"parts": [{"text": "Be brief."}]}, "tools": tools(declared)}
    )
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "And tomorrow?"},
    ]
    function = {"name": "f", "description": "d", "parameters": schema}
    body = {"model": "gemini-2.5-flash", "messages": messages, "tools": [{"type": "function", "function": function}]}
    theirs = OpenAIChat().read(Request(b"POST", b"", [], json.dumps(body).encode(), True))
    assert ours.input_tokens == theirs.input_tokens
    assert compose(ours, Behaviour(), "x").text() == compose(theirs, Behaviour(), "x").text()


@pytest.mark.parametrize(
    ("body", "words", "field"),
    [
        (asked(hologram=1), 'Unknown name "hologram": Cannot find field.', ""),
        (
            settings(maxTokens=1),
            "Unknown name \"maxTokens\" at 'generation_config': Cannot find field.",
            "generation_config",
        ),
        (settings(temperature="hot"), "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"", None),
        (
            settings(maxOutputTokens=1.5),
            "Invalid value at 'generation_config.max_output_tokens' (TYPE_INT32), 1.5",
            None,
        ),
        (settings(temperature=[1]), "Proto field is not repeating, cannot start list.", "generation_config"),
        (asked(toolConfig={"functionCallingConfig": {"mode": "SOME"}}), 'FunctionCallingConfig.Mode), "SOME"', None),
        (asked(labels={"a": "b"}), 'Unknown name "labels": Cannot find field.', ""),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "!"}}]}]},
            "Base64 decoding failed",
            None,
        ),
        (
            {"contents": [{"parts": [{"text": "a", "functionCall": {"name": "f"}}]}]},
            "oneof field 'data' is already set",
            None,
        ),
        (
            asked(tools=tools({"name": "f", "parameters": {"type": "OBJECT", "additionalProperties": False}})),
            "Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters'",
            "tools[0].function_declarations[0].parameters",
        ),
        (
            asked(tools=tools({"name": "f", "parameters": {"type": "OBJECT", "properties": {"x": {"const": 1}}}})),
            "Unknown name \"const\" at 'tools[0].function_declarations[0].parameters.properties[0].value'",
            "tools[0].function_declarations[0].parameters.properties[0].value",
        ),
    ],
)
def test_what_is_no_message(body, words, field):
    refusal = refused(body)
    assert words in refusal.message
    (details,) = refusal.details
    assert details["@type"].endswith("BadRequest")
    if field is not None:
        assert details["fieldViolations"][0]["field"] == field


def test_all_faults_are_told_at_once():
    refusal = refused(asked(hologram=1, phonograph=2))
    assert refusal.message.count("Unknown name") == 2


def test_no_json():
    assert "Invalid JSON payload received" in refused(b"{").message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "contents is not specified"),
        ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
        ({"contents": [{"role": "model", "parts": [{"text": "x"}]}]}, "single turn requests end with a user role"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "must have one initialized field"),
        ({"contents": [{"role": "user", "parts": [CALL]}]}, "function call turn comes immediately after a user turn"),
        ({"contents": [{"role": "user", "parts": [RESPONSE]}]}, "comes immediately after a function call turn"),
        (
            {"contents": [*HELLO, {"role": "model", "parts": [CALL, CALL]}, {"role": "user", "parts": [RESPONSE]}]},
            "number of function response parts is equal to the number of function call parts",
        ),
        (
            {"contents": [*HELLO, {"role": "model", "parts": [CALL]}, *HELLO]},
            "number of function response parts is equal to the number of function call parts",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/tiff", "data": "aGk="}}]}]},
            "Unsupported MIME type",
        ),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "ftp://x"}}]}]}, "unsupported file uri"),
        (settings(temperature=2.5), "temperature must be in the range [0, 2]"),
        (settings(topK=0), "top_k must be in the range"),
        (settings(candidateCount=2), "Multiple candidates is not enabled"),
        (settings(stopSequences=list("abcdef")), "at most 5 stop sequences"),
        (settings(responseSchema={"type": "OBJECT"}), "only allowed when response_mime_type is `application/json`"),
        (settings(responseMimeType="image/png"), "allowed mimetypes are"),
        (settings(logprobs=3), "only allowed when response_logprobs"),
        (settings(responseModalities=["IMAGE"]), "only supports text output"),
        (asked(tools=tools({"name": "1st"})), "Invalid function name"),
        (asked(tools=tools({"name": "f"}, {"name": "f"})), "Duplicate function declaration found: f"),
        (asked(tools=tools({"name": "f", "parameters": {"type": "STRING"}})), "must be of type OBJECT"),
        (asked(tools=tools({"name": "f", "parameters": {"type": "OBJECT", "properties": {}}})), "non-empty for OBJECT"),
        (
            asked(tools=tools({"name": "f", "parameters": {"type": "OBJECT", "required": ["x"]}})),
            "required[0]: property is not defined",
        ),
        (
            asked(tools=tools({"name": "f", "parameters": {"type": "OBJECT", "properties": {"x": {"type": "ARRAY"}}}})),
            "properties[x].items: missing field",
        ),
        (
            asked(
                tools=tools(
                    {
                        "name": "f",
                        "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING", "format": "date"}}},
                    }
                )
            ),
            "only 'enum' and 'date-time' are supported for STRING type",
        ),
        (asked(tools=[{"googleSearch": {}}, *tools({"name": "f"})]), "Tool use with function calling is unsupported"),
        (
            asked(tools=tools({"name": "f"}), generationConfig={"responseMimeType": "application/json"}),
            "Function calling with a response mime type: 'application/json' is unsupported",
        ),
        (
            asked(tools=tools({"name": "f"}), toolConfig={"functionCallingConfig": {"allowedFunctionNames": ["f"]}}),
            "should be set only when the mode is ANY",
        ),
        (
            asked(
                tools=tools({"name": "f"}),
                toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}},
            ),
            "g is not a declared function",
        ),
        (asked(cachedContent="cachedContents/none"), "CachedContent not found"),
    ],
)
def test_what_breaks_a_rule(body, words):
    with pytest.raises(GoogleRefusal) as caught:
        read(body)
    assert words in caught.value.message
    assert caught.value.status == (403 if "CachedContent" in words else 400)


def test_a_response_has_the_name_of_its_call():
    response = {"functionResponse": {"name": "g", "response": {"result": "x"}}}
    contents = [*HELLO, {"role": "model", "parts": [CALL]}, {"role": "user", "parts": [response]}]
    assert refused({"contents": contents}).message == "Request contains an invalid argument."


def test_top_k_was_limited_once():
    assert "[1, 40]" in refused(settings(topK=50), model="gemini-2.0-flash").message
    assert read(settings(topK=50), model="gemini-2.5-flash")


@pytest.mark.parametrize(
    ("model", "config", "words"),
    [
        ("gemini-2.5-flash", {"thinkingLevel": "LOW"}, "Thinking level is not supported for this model."),
        ("gemini-2.5-pro", {"thinkingBudget": 0}, "This model only works in thinking mode."),
        ("gemini-2.5-pro", {"thinkingBudget": 40_000}, "Please choose a value between 128 and 32768."),
        ("gemini-2.5-flash-lite", {"thinkingBudget": 100}, "between 512 and 24576"),
        ("gemini-2.0-flash", {"includeThoughts": True}, "Thinking is not enabled for models/gemini-2.0-flash"),
        ("gemini-3-pro-preview", {"thinkingLevel": "MINIMAL"}, "Thinking level MINIMAL is not supported"),
        ("gemini-3-pro-preview", {"thinkingLevel": "LOW", "thinkingBudget": 200}, "only one of thinking budget and"),
    ],
)
def test_thinking_that_a_model_does_not_do(model, config, words):
    assert words in refused(settings(thinkingConfig=config), model=model).message


@pytest.mark.parametrize(
    ("model", "config", "reasoning"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 0}, "off"),
        ("gemini-2.5-flash", {"thinkingBudget": -1, "includeThoughts": True}, "shown"),
        ("gemini-3-flash-preview", {"thinkingLevel": "MINIMAL"}, "hidden"),
        ("sim-anything", {"thinkingLevel": "LOW", "includeThoughts": True}, "shown"),
    ],
)
def test_thinking_that_a_model_does(model, config, reasoning):
    assert read(settings(thinkingConfig=config), model=model).reasoning == reasoning


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Unable to submit request because it must have contents. Learn more: https://"),
        ({"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "it contains an empty text parameter"),
        (settings(temperature=2.5), "it has a temperature value of 2.5 but the supported range is from 0 (inclusive)"),
        (settings(stopSequences=list("abcdef")), "it has 6 stopSequences but the supported range"),
        (asked(store=True), 'Unknown name "store": Cannot find field.'),
    ],
)
def test_vertex_words_it_differently(body, words):
    assert words in refused(body, vertex=True).message


def test_what_only_vertex_knows():
    assert read(asked(labels={"team": "a"}), vertex=True)
    assert read({"contents": [{"role": "user", "parts": [{"text": ""}, {"text": "x"}]}]})


def test_a_schema_becomes_a_json_schema():
    schema = {
        "type": "OBJECT",
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "s": {"type": "STRING", "nullable": True, "minLength": "2"},
        },
        "required": ["n"],
    }
    (tool,) = read(asked(tools=tools({"name": "f", "parameters": schema}))).tools
    assert tool.schema == {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1}, "s": {"type": ["string", "null"], "minLength": 2}},
        "required": ["n"],
    }


def test_counting_takes_contents_or_a_whole_request():
    bare = read({"contents": HELLO}, counting=True)
    whole = read(
        {"generateContentRequest": {"contents": HELLO, "systemInstruction": {"parts": [{"text": "S"}]}}}, counting=True
    )
    assert whole.input_tokens > bare.input_tokens
    assert "Only one of" in refused({"contents": HELLO, "generateContentRequest": {}}, counting=True).message


def test_errors_of_an_array_stream_are_an_array():
    refusal = refused(asked(hologram=1), method="streamGenerateContent")
    body = json.loads(GeminiGenerate(GoogleCloud()).refusal(refusal, "r"))
    assert isinstance(body, list) and body[0]["error"]["status"] == "INVALID_ARGUMENT"
    refusal = refused(asked(hologram=1), method="streamGenerateContent?alt=sse")
    assert "error" in json.loads(GeminiGenerate(GoogleCloud()).refusal(refusal, "r"))


def test_cached_content_counts():
    cloud = GoogleCloud(cached_contents={"cachedContents/a": 500})
    dialect = GeminiGenerate(cloud)
    body = json.dumps(asked(cachedContent="cachedContents/a")).encode()
    prompt = dialect.read(Request(b"POST", b"/v1beta/models/m:generateContent", [], body, True))
    reply = dialect.compose(prompt, Behaviour(), "x")
    assert reply.usage.cached_read == 500 and reply.usage.input > 500


# The reader of messages

NAMES = st.sampled_from(["display_name", "mime_type", "x", "a_b_c"])


@given(st.dictionaries(NAMES, st.text()), st.booleans())
def test_names_survive_in_either_case(fields, camel):
    message = Message("M", dict.fromkeys(("display_name", "mime_type", "x", "a_b_c"), "string"))
    sent = {_camel(name) if camel else name: value for name, value in fields.items()}
    assert read_message(json.dumps(sent).encode(), message) == fields


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(value):
    inner = Message("Inner", {"n": "int", "t": "string", "b": "bytes", "f": "float"})
    inner.add({"again": inner})
    message = Message("M", {"one": inner, "many": Repeated(inner), "free": "value", "object": "struct"})
    for body in (value, {"one": value}, {"many": value, "object": value}):
        with contextlib.suppress(GoogleRefusal):
            assert isinstance(read_message(json.dumps(body).encode(), message), dict)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
