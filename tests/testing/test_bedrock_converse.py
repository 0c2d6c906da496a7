"""Simulated Converse: what it refuses, what goes wrong inside its streams, and what it tells besides the answer."""

from __future__ import annotations

import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract import SIMULATED_MODELS, BedrockSession
from trimaran.testing.contract.bedrock_session import streamed, unary, user

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2402-v1:0"
SCHEMA = {"json": {"type": "object", "properties": {}}}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": SCHEMA}}]}
USE = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"text": "ok"}]}}
POINT = {"cachePoint": {"type": "default"}}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
JSON = {"type": "object", "properties": {}, "additionalProperties": False}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def said(*blocks):
    return {"role": "user", "content": list(blocks)}


def pdf(name="a", **fields):
    return {"document": {"format": "pdf", "name": name, "source": {"bytes": b"%PDF"}, **fields}}


def png(source=None):
    return {"image": {"format": "png", "source": {"bytes": b"png"} if source is None else source}}


def wanted(schema):
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}}}


def tool(**spec):
    return {"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": SCHEMA, **spec}}]}}


def own_choice(**fields):
    """Claude's own choice of a tool."""
    return {"additionalModelRequestFields": {"tool_choice": fields}}


OWN_CHOICE = own_choice(type="auto", disable_parallel_tool_use=True)
REFUSED = [
    ({"messages": []}, "A conversation must start with a user message"),
    ({"messages": [assistant({"text": "Hi"})]}, "A conversation must start with a user message"),
    ({"messages": [*user("a"), *user("b")]}, "must alternate between user and assistant roles"),
    ({"messages": [said()]}, "The content field in the Message object at messages.0 is empty"),
    ({"messages": [said({"text": " "})]}, "The text field in the ContentBlock object at messages.0.content.0 is blank"),
    (
        {"messages": [{"role": "tool", "content": [{"text": "x"}]}]},
        "'messages.1.member.role' failed to satisfy constraint",
    ),
    ({"messages": [{"role": "user"}]}, "Value null at 'messages.1.member.content'"),
    ({"messages": [*user("a"), assistant({"text": "b "})]}, "cannot end with trailing whitespace"),
    ({"system": [{"text": " "}]}, "The text field in the SystemContentBlock object at system.0 is blank"),
    ({"system": [{"text": ""}]}, "Member must have length greater than or equal to 1"),
    ({"messages": [*user("a"), assistant(USE), said(RESULT)]}, "The toolConfig field must be defined"),
    ({"messages": [said(RESULT)], "toolConfig": TOOLS}, "exceeds the number of toolUse blocks of previous turn"),
    (
        {"messages": [*user("a"), assistant(USE), *user("b")], "toolConfig": TOOLS},
        "Expected toolResult blocks at messages.2",
    ),
    ({"messages": [*user("a"), assistant(USE)], "toolConfig": TOOLS}, "for the following Ids: t1"),
    ({"messages": [*user("a"), assistant(USE, USE)], "toolConfig": TOOLS}, "contain duplicate Ids: t1"),
    (
        {"messages": [*user("a"), assistant({"toolUse": {**USE["toolUse"], "toolUseId": "a b"}})], "toolConfig": TOOLS},
        "toolUse.toolUseId' failed to satisfy constraint: Member must satisfy regular expression pattern",
    ),
    (
        {"messages": [*user("a"), assistant({"toolUse": {**USE["toolUse"], "input": "{}"}})], "toolConfig": TOOLS},
        "Provide a json object for the field",
    ),
    (
        {
            "messages": [
                *user("a"),
                assistant(USE),
                said({"toolResult": {**RESULT["toolResult"], "content": [{"json": [1]}]}}),
            ],
            "toolConfig": TOOLS,
        },
        "toolResult.content.0.json is invalid",
    ),
    (
        {
            "messages": [
                *user("a"),
                assistant(USE),
                said({"toolResult": {"toolUseId": "t1", "content": [], "status": "error"}}),
            ],
            "toolConfig": TOOLS,
        },
        "cannot be empty when status value is error",
    ),
    ({"messages": [said(USE)], "toolConfig": TOOLS}, "is not allowed in a message of the user role"),
    ({"messages": [*user("a"), assistant(png())]}, "is not allowed in a message of the assistant role"),
    ({"messages": [said(pdf())]}, "A text block must be included when using documents"),
    ({"messages": [said({"text": "a"}, pdf("a.pdf"))]}, "can only contain alphanumeric characters"),
    ({"messages": [said({"text": "a"}, pdf("a  b"))]}, "more than one consecutive whitespace"),
    ({"messages": [said({"text": "a"}, pdf(), pdf())]}, "must be unique"),
    ({"messages": [said({"text": "a"}, *(pdf(str(n)) for n in range(6)))]}, "too many document blocks"),
    ({"messages": [said({"text": "a"}, *[png()] * 21)]}, "too many image blocks"),
    ({"messages": [said({"text": "a"}, png({"bytes": b""}))]}, "greater than or equal to 1"),
    ({"messages": [said({"text": "a"}, png({}))]}, "must have exactly one member set"),
    ({"messages": [said({"text": "a"}, {"image": {"format": "bmp", "source": {"bytes": b"x"}}})]}, "enum value set"),
    (
        {"messages": [said({"text": "a"}, {"video": {"format": "mp4", "source": {"bytes": b"x"}}})]},
        "doesn't support the video",
    ),
    ({"messages": [said({"text": "a"}, *[POINT] * 5)]}, "A maximum of 4 blocks with cache_control"),
    ({"messages": [said({"text": "a"}, {"text": "b", "toolUse": USE["toolUse"]})]}, "exactly one member"),
    (
        {"inferenceConfig": {"maxTokens": 0}},
        "'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value",
    ),
    ({"inferenceConfig": {"temperature": 1.5}}, "Member must have value less than or equal to 1"),
    ({"inferenceConfig": {"stopSequences": [""]}}, "Member must have length greater than or equal to 1"),
    ({"toolConfig": {"tools": []}}, "Member must have length greater than or equal to 1"),
    (tool(name="not a name"), "regular expression pattern"),
    (tool(inputSchema={"json": {"type": "string"}}), "must be one of the following: object"),
    (tool(inputSchema={"json": "x"}), "Provide a json object"),
    (tool(description=""), "Member must have length"),
    ({"toolConfig": {"tools": TOOLS["tools"] * 2}}, "Tool names must be unique"),
    ({"toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "g"}}}}, "Tool 'g' not found"),
    ({"toolConfig": {**TOOLS, "toolChoice": {}}}, "must have exactly one member set"),
    ({"additionalModelRequestFields": {"colour": "red"}}, "colour: Extra inputs are not permitted"),
    ({"additionalModelRequestFields": {"thinking": {"type": "enabled"}}}, "budget_tokens: Field required"),
    ({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 9}}}, "equal to 1024"),
    ({"additionalModelRequestFields": THINKING, "inferenceConfig": {"maxTokens": 100}}, "`max_tokens` must be greater"),
    ({"additionalModelRequestFields": THINKING, "inferenceConfig": {"temperature": 0.5}}, "may only be set to 1"),
    (
        {"additionalModelRequestFields": THINKING, "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}},
        "may not be enabled when tool_choice forces tool use",
    ),
    (
        {
            "additionalModelRequestFields": THINKING,
            "messages": [*user("a"), assistant(USE), said(RESULT)],
            "toolConfig": TOOLS,
        },
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    (
        {**OWN_CHOICE, "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}},
        "conflicts with the existing field toolConfig.toolChoice.any",
    ),
    ({**OWN_CHOICE}, "may only be specified while providing tools"),
    ({**own_choice(disable_parallel_tool_use=True), "toolConfig": TOOLS}, "tool_choice.type: Field required"),
    ({**own_choice(type="tool", name="g"), "toolConfig": TOOLS}, "Tool 'g' not found"),
    ({**own_choice(type="some"), "toolConfig": TOOLS}, "'some'"),
    (wanted("{"), "is not a JSON schema"),
    (wanted('{"type": "object"}'), "'additionalProperties' must be explicitly set to false"),
    ({"outputConfig": {"effort": "some"}}, "'outputConfig.effort' failed to satisfy constraint"),
    ({"serviceTier": {"type": "fast"}}, "enum value set"),
    ({"performanceConfig": {"latency": "fast"}}, "enum value set"),
    ({"requestMetadata": {"a": "b!"}}, "regular expression pattern"),
    ({"additionalModelResponseFieldPaths": ["a"]}, "JSON Pointer"),
    ({"guardrailConfig": {"guardrailIdentifier": "gr1"}}, "must be provided together"),
    (
        {"modelId": LLAMA, "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}},
        "doesn't support the toolConfig.toolChoice.any",
    ),
    (
        {"modelId": MISTRAL, "toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "f"}}}},
        "toolConfig.toolChoice.tool",
    ),
    (
        {
            "modelId": LLAMA,
            "messages": [*user("a"), assistant(USE), said(RESULT, {"text": "b"})],
            "toolConfig": TOOLS,
        },
        "Conversation blocks and tool result blocks cannot be provided in the same turn",
    ),
    ({"modelId": LLAMA, "messages": [said({"text": "a"}, png())]}, "doesn't support the image field"),
    ({"modelId": LLAMA, "additionalModelRequestFields": THINKING}, r"extraneous key \[thinking\]"),
    ({"modelId": "mistral.mistral-7b-instruct-v0:2", "system": [{"text": "a"}]}, "doesn't support system messages"),
    ({"modelId": "meta.llama3-8b-instruct-v1:0", "toolConfig": TOOLS}, "doesn't support tool use"),
]


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider(behaviours=SIMULATED_MODELS).in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def session(provider):
    with BedrockSession(provider.base_url, "any", model=HAIKU) as opened:
        yield opened


@pytest.fixture(scope="module")
def unchecked(session):
    """A client that sends what it is given."""
    with session.unchecked() as client:
        yield client


@pytest.mark.parametrize(("fields", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_bedrock_refuses_is_refused(unchecked, fields, words):
    asked = {"modelId": HAIKU, "messages": user("Hello"), **fields}
    with pytest.raises(ClientError, match=words) as caught:
        unchecked.converse(**asked)
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "AccessDeniedException")
    with pytest.raises(ClientError, match=words):
        unchecked.converse_stream(**asked)


ACCEPTED = [
    {"system": [{"text": "a"}, POINT], "toolConfig": {"tools": [*TOOLS["tools"], POINT], "toolChoice": {"auto": {}}}},
    {"messages": [said({"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}, pdf("Page (1) [a]-b"), png())]},
    {"messages": [said({"text": "a"}, png({"s3Location": {"uri": "s3://bucket/key.png"}}))]},
    {"messages": [said({"text": "a"}, {"document": {"name": "a", "source": {"text": "words"}}})]},
    {"messages": [said({"text": "a"}, pdf(context="c", citations={"enabled": True}))]},
    {"messages": [said({"guardContent": {"text": {"text": "a", "qualifiers": ["query"]}}})]},
    {"messages": [*user("a"), assistant({"text": "It is"})]},
    {"messages": [*user("a"), {"role": "system", "content": [{"text": "Be brief."}]}]},
    {"messages": [*user("a"), assistant(USE), said(RESULT, {"text": "b"})], "toolConfig": TOOLS},
    {"inferenceConfig": {"maxTokens": 1, "temperature": 1, "topP": 0.5, "stopSequences": ["x"]}},
    {"additionalModelRequestFields": {"top_k": 5, "anthropic_beta": ["x"]}, "requestMetadata": {"team": "a b"}},
    {"outputConfig": {"effort": "low"}, "performanceConfig": {"latency": "standard"}, "serviceTier": {"type": "flex"}},
    {"modelId": MISTRAL, "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}, "inferenceConfig": {"maxTokens": 9}},
    {"modelId": LLAMA, "messages": [*user("a"), assistant(USE), said(RESULT)], "toolConfig": TOOLS},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=range(len(ACCEPTED)))
def test_what_the_service_model_allows_is_taken(session, fields):
    asked = {"messages": user("Hello"), **fields}
    gist, _ = unary(session.converse(**asked))
    told, _ = streamed(session.stream(**asked))
    assert gist == told


def test_claudes_own_choice_of_a_tool(session):
    def calls(choice, **config):
        answer = session.converse(modelId="sim-parallel", messages=user("Hi"), toolConfig={**TOOLS, **config}, **choice)
        return len(unary(answer)[0].get("tool_calls", []))

    assert (calls({}), calls(OWN_CHOICE), calls(own_choice(type="any")), calls(own_choice(type="none"))) == (2, 1, 2, 0)
    assert calls(own_choice(disable_parallel_tool_use=True), toolChoice={"any": {}}) == 1


def test_members_that_the_service_model_lacks_are_named(provider, unchecked):
    def add(params, **_):
        params["body"] = params["body"].replace(b"{", b'{"colour":1,', 1)

    unchecked.meta.events.register("before-call.bedrock-runtime.Converse", add)
    with pytest.raises(ClientError, match="'colour' is not known"):
        unchecked.converse(modelId=HAIKU, messages=user("a"))
    unchecked.meta.events.unregister("before-call.bedrock-runtime.Converse", add)


STATUSES = [
    (400, "ServiceQuotaExceededException", "ServiceQuotaExceededException"),
    (400, None, "ValidationException"),
    (403, None, "AccessDeniedException"),
    (404, None, "ResourceNotFoundException"),
    (408, None, "ModelTimeoutException"),
    (424, None, "ModelErrorException"),
    (429, None, "ThrottlingException"),
    (429, "ModelNotReadyException", "ModelNotReadyException"),
    (500, None, "InternalServerException"),
    (503, None, "ServiceUnavailableException"),
]


@pytest.mark.parametrize(("status", "code", "expected"), STATUSES)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_a_status_has_its_exception(provider, session, operation, status, code, expected):
    provider.set_behaviour(Behaviour(fault="status", status=status, error_code=code, retry_after_s=2), "sim-failing")
    with pytest.raises(ClientError) as caught:
        getattr(session.client, operation)(modelId="sim-failing", messages=user("Hi"))
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, expected)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "2"


EXCEPTIONS = [
    "InternalServerException",
    "ModelStreamErrorException",
    "ValidationException",
    "ThrottlingException",
    "ServiceUnavailableException",
]


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_an_exception_inside_a_stream(provider, session, kind):
    provider.set_behaviour(Behaviour(fault="in_band_error", error_code=kind, error_message="Broken."), "sim-failing")
    error = session.broken(modelId="sim-failing", messages=user("Hi"))
    assert isinstance(error, EventStreamError)
    assert error.response["Error"]["Code"] == kind[0].lower() + kind[1:]
    assert error.response["Error"]["Message"] == "Broken."


def test_an_error_that_the_service_model_does_not_know(provider, session):
    provider.set_behaviour(
        Behaviour(fault="in_band_error", bare_error_event=True, error_code="InternalFailure"), "sim-failing"
    )
    error = session.broken(modelId="sim-failing", messages=user("Hi"))
    assert error.response["Error"]["Code"] == "InternalFailure"


@pytest.mark.parametrize(
    ("fault", "more", "expected"),
    [
        ("malformed_chunk", {}, ChecksumMismatch),
        ("cut", {}, Exception),
        ("cut", {"cut_inside": True}, Exception),
    ],
)
def test_a_damaged_stream(provider, session, fault, more, expected):
    provider.set_behaviour(Behaviour(fault=fault, **more), "sim-failing")
    assert isinstance(session.broken(modelId="sim-failing", messages=user("Hi")), expected)


def test_a_stream_without_metadata(provider, session):
    provider.set_behaviour(Behaviour(fault="missing_end_marker"), "sim-failing")
    kinds = [next(iter(event)) for event in session.stream(modelId="sim-failing", messages=user("Hi"))]
    assert kinds[-1] == "messageStop"


HEADERS = {"authorization": "Bearer any"}
BODY = b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}'


async def test_a_cut_comes_before_or_inside_a_message(ask):
    lengths = {}
    for inside in (False, True):
        behaviour = Behaviour(fault="cut", after_tokens=2, cut_inside=inside)
        async with SimulatedProvider(behaviour) as provider:
            raw = await ask(provider, path="/model/m/converse-stream", headers=HEADERS, body=BODY)
            assert raw.end == "cut"
            lengths[inside] = raw.body
    before, part = lengths[False], lengths[True][len(lengths[False]) :]
    assert lengths[True].startswith(before)
    size = int.from_bytes(part[:4], "big")
    assert 0 < len(part) < size


@pytest.mark.parametrize("fault", ["silence", "stall", "headers_then_silence"])
async def test_a_stream_that_hangs(ask, fault):
    async with SimulatedProvider(Behaviour(fault=fault)) as provider:
        raw = await ask(provider, path="/model/m/converse-stream", headers=HEADERS, body=BODY)
        assert raw.end == "open"
        assert (raw.status, bool(raw.body)) == {"silence": (0, False), "stall": (200, True)}.get(fault, (200, False))


async def test_what_a_stream_says_of_itself(ask):
    async with SimulatedProvider() as provider:
        raw = await ask(provider, path="/model/m/converse-stream", headers=HEADERS, body=BODY)
        assert raw.header("content-type") == "application/vnd.amazon.eventstream"
        assert raw.header("x-amzn-RequestId") and raw.header("x-simulated") == "trimaran bedrock.converse"
        row = provider.log[-1]
        assert (row.dialect, row.path, row.model, row.stream) == (
            "bedrock.converse",
            "/model/m/converse-stream",
            "m",
            True,
        )
        assert "***" in repr(row.public()["headers"])


def test_usage_by_lifetime_of_what_was_written(provider, session):
    behaviour = Behaviour(input_tokens=1_000, cache_write_tokens=100, cache_write_1h_tokens=40)
    provider.set_behaviour(behaviour, "sim-failing")
    usage = session.converse(modelId="sim-failing", messages=user("Hi"))["usage"]
    assert usage["cacheDetails"] == [{"ttl": "1h", "inputTokens": 40}, {"ttl": "5m", "inputTokens": 60}]
    assert (usage["inputTokens"], usage["cacheWriteInputTokens"]) == (900, 100)
    assert usage["totalTokens"] == 1_000 + usage["outputTokens"]


def test_a_guardrail_that_found_nothing_is_in_the_trace(session):
    config = {"guardrailIdentifier": "gr1", "guardrailVersion": "DRAFT", "trace": "enabled"}
    answer = session.converse(messages=user("Hi"), guardrailConfig=config)
    assert answer["stopReason"] == "end_turn"
    assert "contentPolicy" not in answer["trace"]["guardrail"]["inputAssessment"]["gr1"]
    silent = session.converse(messages=user("Hi"), guardrailConfig={**config, "trace": "disabled"})
    assert "trace" not in silent


def test_a_longer_prompt_than_the_model_takes(session):
    fields = {"messages": user("too long " * 100), "modelId": "sim-small-context"}
    with pytest.raises(ClientError, match=r"prompt is too long: \d+ tokens > 40 maximum"):
        session.converse(**fields)
