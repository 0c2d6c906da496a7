"""Simulated InvokeModel: each family's own body, read strictly and answered in its own shape; boto3 takes the frames apart."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from anthropic import Anthropic
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract import SIMULATED_MODELS, BedrockSession
from trimaran.testing.contract.material import PDF, PIXEL, WEATHER_SCHEMA

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
LLAMA3, LLAMA4 = "us.meta.llama3-3-70b-instruct-v1:0", "us.meta.llama4-maverick-17b-instruct-v1:0"
PROMPTED, EITHER, TURNS = (
    "mistral.mistral-7b-instruct-v0:2",
    "mistral.mistral-large-2402-v1:0",
    "mistral.mistral-large-2407-v1:0",
)
PIXTRAL = "mistral.pixtral-large-2502-v1:0"
METRICS = "amazon-bedrock-invocationMetrics"
HELLO = {"role": "user", "content": "Hello"}
ASKED = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [HELLO]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA}}


def llama3(*turns, last="<|start_header_id|>assistant<|end_header_id|>\n\n"):
    said = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{said}{last}"


def llama4(*turns):
    said = "".join(f"<|header_start|>{role}<|header_end|>\n\n{text}<|eot|>" for role, text in turns)
    return f"<|begin_of_text|>{said}<|header_start|>assistant<|header_end|>\n\n"


@pytest.fixture(scope="module")
def provider():
    failing = {"anthropic.sim-refusal": SIMULATED_MODELS["sim-refusal"]}
    with SimulatedProvider(behaviours=SIMULATED_MODELS | failing).in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def session(provider):
    with BedrockSession(provider.base_url, "any", region_name="us-west-2") as opened:
        yield opened


@pytest.fixture
def invoke(session):
    """The answer and the header lines."""

    def call(model, body, **more):
        answer = session.client.invoke_model(modelId=model, body=json.dumps(body), **more)
        with answer["body"] as stream:
            return json.loads(stream.read()), answer["ResponseMetadata"]["HTTPHeaders"]

    return call


@pytest.fixture
def stream(session):
    """The documents of a stream."""

    def call(model, body, **more):
        answer = session.client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body), **more)
        assert answer["contentType"] == "application/json"
        with closing(answer["body"]) as events:
            return [json.loads(event["chunk"]["bytes"]) for event in events]

    return call


def counts(headers):
    return {name: int(headers[f"x-amzn-bedrock-{name}-token-count"]) for name in ("input", "output")}


def test_claude(invoke, stream):
    answer, headers = invoke(CLAUDE, ASKED)
    assert (answer["type"], answer["model"], answer["stop_reason"]) == (
        "message",
        "claude-haiku-4-5-20251001",
        "end_turn",
    )
    usage = answer["usage"]
    assert counts(headers) == {"input": usage["input_tokens"], "output": usage["output_tokens"]}
    assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0
    events = stream(CLAUDE, ASKED)
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    assert "ping" not in [event["type"] for event in events]
    said = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    assert said == answer["content"][0]["text"]
    assert events[-1][METRICS]["inputTokenCount"] == usage["input_tokens"]
    assert events[-1][METRICS]["outputTokenCount"] == usage["output_tokens"]


def test_claude_says_the_same_as_anthropic(provider, invoke):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    ]
    fields = {"max_tokens": 100, "messages": [{"role": "user", "content": content}], "system": "Be brief."}
    with Anthropic(base_url=provider.base_url, api_key="any", max_retries=0) as client:
        straight = client.messages.create(model="claude-haiku-4-5-20251001", **fields)
    answer, _ = invoke(CLAUDE, {**fields, "anthropic_version": "bedrock-2023-05-31"})
    assert answer["content"] == [block.model_dump(exclude_none=True) for block in straight.content]
    assert answer["usage"]["input_tokens"] == straight.usage.input_tokens


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "claude"}, "model: Extra inputs are not permitted"),
        ({"stream": True}, "stream: Extra inputs are not permitted"),
        ({"service_tier": "auto"}, "service_tier: Extra inputs are not permitted"),
        ({"anthropic_version": None}, "anthropic_version: Field required"),
        ({"anthropic_version": "2023-06-01"}, "Invalid API version"),
        ({"anthropic_beta": "x"}, "anthropic_beta"),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "at least one message is required"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a"}}],
                    }
                ]
            },
            r"messages.0.content.0.image.source.type: Input should be 'base64'",
        ),
    ],
)
def test_what_claude_refuses(invoke, changes, words):
    body = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    with pytest.raises(ClientError, match=words) as caught:
        invoke(CLAUDE, body)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_llama(invoke, stream):
    body = {"prompt": llama3(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Why?"))}
    answer, headers = invoke(LLAMA3, body)
    assert '(3 messages, system prompt) to "Why?"' in answer["generation"]
    assert answer["stop_reason"] == "stop"
    assert counts(headers) == {"input": answer["prompt_token_count"], "output": answer["generation_token_count"]}
    documents = stream(LLAMA3, body)
    assert "".join(document["generation"] for document in documents) == answer["generation"]
    assert [document["prompt_token_count"] for document in documents].count(answer["prompt_token_count"]) == 1
    assert documents[-1]["stop_reason"] == "stop"
    assert documents[-1][METRICS]["outputTokenCount"] == answer["generation_token_count"]
    assert invoke(LLAMA3, {**body, "max_gen_len": 3})[0]["stop_reason"] == "length"
    other, _ = invoke(
        LLAMA4, {"prompt": llama4(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Why?"))}
    )
    assert other["generation"] == answer["generation"]


def test_llama_with_a_plain_prompt_an_image_and_a_tools_answer(invoke):
    assert '(1 message) to "Hi there"' in invoke(LLAMA3, {"prompt": "Hi there"})[0]["generation"]
    body = {"prompt": llama4(("user", "<|image|>What is this?")), "images": [PIXEL]}
    assert "1 image" in invoke(LLAMA4, body)[0]["generation"]
    told = llama3(("user", "Weather?"), ("assistant", "{}"), ("ipython", "Sunny."))
    assert "1 tool result" in invoke(LLAMA3, {"prompt": told})[0]["generation"]
    begun = llama3(("user", "Hi"), last="<|start_header_id|>assistant<|end_header_id|>\n\nIt is")
    assert "2 messages" in invoke(LLAMA3, {"prompt": begun})[0]["generation"]


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (LLAMA3, {}, r"#: required key \[prompt\] not found"),
        (LLAMA3, {"prompt": "x", "stop": []}, r"#: extraneous key \[stop\] is not permitted"),
        (LLAMA3, {"prompt": "x", "temperature": 2}, "#/temperature"),
        (LLAMA3, {"prompt": ""}, "minLength"),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "x", "max_gen_len": 4_096}, "not less or equal to 2048"),
        (LLAMA3, {"prompt": llama4(("user", "Hi"))}, "expected the header of a turn"),
        (LLAMA4, {"prompt": llama3(("user", "Hi"))}, "expected the header of a turn"),
        (LLAMA3, {"prompt": llama3(("user", "Hi")).removeprefix("<|begin_of_text|>")}, "begins with"),
        (LLAMA3, {"prompt": llama3(("user", "Hi"), last="")}, "ends with the assistant"),
        (
            LLAMA3,
            {"prompt": llama3(last="<|start_header_id|>user<|end_header_id|>\n\nHi")},
            "the user's and has no end",
        ),
        (LLAMA3, {"prompt": llama3(("user", "a <|eom_id|> b"))}, "not allowed inside a turn"),
        (LLAMA3, {"prompt": llama3(("robot", "a"))}, "no role 'robot'"),
        (LLAMA3, {"prompt": "<|image|>x"}, "1 image tokens and the request 0 images"),
        (PROMPTED, {"prompt": "<s>[INST] Hi"}, r"expected \[INST\]"),
        (PROMPTED, {"prompt": "[INST] Hi [/INST]"}, "begins with <s>"),
        (PROMPTED, {"prompt": "<s>[INST] a [INST] b [/INST]"}, "not allowed inside a turn"),
        (PROMPTED, {"prompt": "<s>[INST] a [/INST] b</s>"}, r"expected \[INST\]"),
        (PROMPTED, {"messages": [HELLO]}, r"extraneous key \[messages\]|required key \[prompt\]"),
        (TURNS, {"prompt": "<s>[INST] Hi [/INST]"}, r"extraneous key \[prompt\]|required key \[messages\]"),
        (EITHER, {"messages": []}, "#/messages"),
        (EITHER, {"messages": [HELLO, {"role": "assistant", "content": "a"}]}, "last message must be of the user"),
        (EITHER, {"messages": [{"role": "tool", "tool_call_id": "x", "content": "a"}]}, "no call waits"),
        (EITHER, {"messages": [HELLO], "stop": ["x"]}, r"extraneous key \[stop\]"),
        (EITHER, {"messages": [HELLO], "tool_choice": "any"}, "any needs tools"),
        (EITHER, {"messages": [HELLO], "tool_choice": {"type": "function"}}, "#/tool_choice"),
        (EITHER, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}, "no images"),
    ],
)
def test_what_a_body_may_not_hold(invoke, model, body, words):
    with pytest.raises(ClientError, match=words) as caught:
        invoke(model, body)
    assert "Malformed input request: " in str(caught.value)


def test_mistral_with_a_prompt(invoke, stream):
    body = {"prompt": "<s>[INST] Hi [/INST] Hello.</s>[INST] Why? [/INST]", "max_tokens": 50}
    answer, headers = invoke(PROMPTED, body)
    (output,) = answer["outputs"]
    assert '(3 messages) to "Why?"' in output["text"] and output["stop_reason"] == "stop"
    assert counts(headers)["output"] == 24
    documents = stream(PROMPTED, body)
    assert "".join(document["outputs"][0]["text"] for document in documents) == output["text"]
    assert documents[-1]["outputs"][0]["stop_reason"] == "stop" and METRICS in documents[-1]
    stopped, _ = invoke(PROMPTED, {**body, "stop": [" messages"]})
    assert stopped["outputs"][0]["text"].endswith("(3")


def test_mistral_with_turns_and_tools(invoke, stream):
    body = {"messages": [{"role": "system", "content": "Be brief."}, HELLO], "tools": [TOOL], "tool_choice": "any"}
    answer, _ = invoke(EITHER, body)
    (choice,) = answer["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert choice["stop_reason"] == "tool_calls" and call["function"]["name"] == "get_weather"
    assert set(json.loads(call["function"]["arguments"])) == {"city", "days"}
    documents = stream(EITHER, body)
    calls = [found for document in documents for found in document["choices"][0]["message"].get("tool_calls", [])]
    assert [found["function"] for found in calls] == [call["function"]]
    assert documents[-1]["choices"][0]["stop_reason"] == "tool_calls"
    turns = [*body["messages"], choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": "Sunny."}]
    then, _ = invoke(EITHER, {"messages": turns, "tools": [TOOL]})
    assert "1 tool call, 1 tool result" in then["choices"][0]["message"]["content"]
    none, _ = invoke(TURNS, {**body, "tool_choice": "none"})
    assert none["choices"][0]["stop_reason"] == "stop"


def test_pixtral_looks_like_openai(invoke, stream):
    pieces = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}},
    ]
    body = {"messages": [{"role": "user", "content": pieces}]}
    answer, _ = invoke(PIXTRAL, body)
    assert answer["choices"][0]["finish_reason"] == "stop" and "1 image" in answer["choices"][0]["message"]["content"]
    documents = stream(PIXTRAL, body)
    assert (
        "".join(document["choices"][0]["delta"]["content"] for document in documents)
        == answer["choices"][0]["message"]["content"]
    )
    assert documents[-1]["usage"] == answer["usage"]


@pytest.mark.parametrize(
    ("body", "member"),
    [
        (ASKED, "content"),
        ({"prompt": "<s>[INST] Hi [/INST]"}, "outputs"),
        ({"prompt": "Hi", "max_gen_len": 9}, "generation"),
    ],
)
def test_a_name_of_no_family_is_known_by_its_body(invoke, body, member):
    assert member in invoke("sim-any", body)[0]


def test_a_guardrail_says_what_it_did(invoke, stream):
    guardrail = {"guardrailIdentifier": "gr1", "guardrailVersion": "1"}
    answer, _ = invoke("anthropic.sim-refusal", ASKED, **guardrail)
    assert answer["amazon-bedrock-guardrailAction"] == "INTERVENED"
    assert invoke(CLAUDE, ASKED, **guardrail)[0]["amazon-bedrock-guardrailAction"] == "NONE"
    assert stream(CLAUDE, ASKED, **guardrail)[-1]["amazon-bedrock-guardrailAction"] == "NONE"


def test_the_tier_is_told(session):
    answer = session.client.invoke_model(modelId=CLAUDE, body=json.dumps(ASKED), serviceTier="flex")
    answer["body"].close()
    assert answer["serviceTier"] == "flex"


def test_cached_tokens_are_told_apart(provider, invoke, stream):
    provider.set_behaviour(SIMULATED_MODELS["sim-usage"], CLAUDE)
    _, headers = invoke(CLAUDE, ASKED)
    metrics = stream(CLAUDE, ASKED)[-1][METRICS]
    provider.set_behaviour(Behaviour(), CLAUDE)
    assert headers["x-amzn-bedrock-cache-read-input-token-count"] == "600"
    assert headers["x-amzn-bedrock-cache-write-input-token-count"] == "100"
    assert (counts(headers)["input"], metrics["inputTokenCount"]) == (300, 300)
    assert (metrics["cacheReadInputTokenCount"], metrics["cacheWriteInputTokenCount"]) == (600, 100)


def test_what_goes_wrong_in_a_stream(provider, stream):
    body = {"prompt": "Hi"}
    kind = "ModelTimeoutException"
    provider.set_behaviour(Behaviour(fault="in_band_error", error_code=kind), LLAMA3)
    with pytest.raises(EventStreamError) as caught:
        stream(LLAMA3, body)
    assert caught.value.response["Error"]["Code"] == "modelTimeoutException"
    provider.set_behaviour(Behaviour(fault="malformed_chunk"), LLAMA3)
    with pytest.raises(ChecksumMismatch):
        stream(LLAMA3, body)
    provider.set_behaviour(Behaviour(fault="missing_end_marker"), LLAMA3)
    assert METRICS not in stream(LLAMA3, body)[-1]
    provider.set_behaviour(Behaviour(fault="status", status=424), LLAMA3)
    with pytest.raises(ClientError) as failed:
        stream(LLAMA3, body)
    provider.set_behaviour(Behaviour(), LLAMA3)
    assert failed.value.response["Error"]["Code"] == "ModelErrorException"
