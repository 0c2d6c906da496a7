"""The contract of ``bedrock.converse``, checked with ``boto3``: Converse and ConverseStream.

One flat list of short promises, in the order: texts, usage, tools, media, structure, reasoning, errors.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from trimaran.testing.contract.bedrock_session import BEDROCK_CONVERSE, BedrockSession, streamed, unary, user
from trimaran.testing.contract.failures import add_failures
from trimaran.testing.contract.material import (
    CALENDAR_SCHEMA,
    PDF,
    PIXEL,
    RESULTS,
    THING_SCHEMA,
    WEATHER_SCHEMA,
    decoded,
)
from trimaran.testing.contract.suite import expect

__all__ = ["BEDROCK_CONVERSE", "BedrockSession", "check_bedrock_converse"]


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "description": description, "inputSchema": {"json": schema}}}


_WEATHER = _tool("get_weather", "The weather in a city.", WEATHER_SCHEMA)
_CALENDAR = _tool("get_calendar", "What is planned on a day.", CALENDAR_SCHEMA)
_BOTH = {"tools": [_WEATHER, _CALENDAR]}
_IMAGE = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}}
_DOCUMENT = {"document": {"format": "pdf", "name": "page", "source": {"bytes": base64.b64decode(PDF)}}}
_CACHE_POINT = {"cachePoint": {"type": "default"}}
_SYSTEM = [{"text": "Answer in one word."}]
_LIMIT = {"maxTokens": 200}
_THINKING: dict[str, Any] = {
    "inferenceConfig": {"maxTokens": 3_000},
    "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
}
_WANTED = {
    "textFormat": {
        "type": "json_schema",
        "structure": {"jsonSchema": {"name": "thing", "schema": msgspec.json.encode(THING_SCHEMA).decode()}},
    }
}
_UNKNOWN = ((400, "ValidationException"), (404, "ResourceNotFoundException"))
_ANSWER = ("text", "finish", "input_tokens", "output_tokens")
_CALLS = (*_ANSWER, "tool_calls")


def check_bedrock_converse(
    base_url: str,
    key: str,
    *,
    model: str = "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    simulated: bool = True,
    rename: Callable[[str], str] = str,
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`.

    ``key`` is the access key id; ``options`` (``aws_secret_access_key``, ``region_name``, …) go to the client.
    ``simulated`` False leaves out the checks that need failures on demand, and makes the suite fit for a real provider.
    """
    with BedrockSession(base_url, key, model=model, rename=rename, **options) as session:
        return BEDROCK_CONVERSE.run(session, simulated=simulated)


@BEDROCK_CONVERSE.check(portable=True)
def text(session: BedrockSession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = unary(session.converse(messages=user("Say hello."), inferenceConfig=_LIMIT))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text, finished", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(portable=True)
def no_limit(session: BedrockSession) -> Any:
    """A request needs no limit on its output."""
    return unary(session.converse(messages=user("Say hello.")))


@BEDROCK_CONVERSE.check(portable=True)
def system_prompt(session: BedrockSession) -> Any:
    """A system prompt."""
    question = user("What is the colour of the sky?")
    return unary(session.converse(system=_SYSTEM, messages=question, inferenceConfig=_LIMIT))


@BEDROCK_CONVERSE.check(across=("text", "finish"))
def system_blocks(session: BedrockSession) -> Any:
    """A system prompt with a cache point behind it."""
    question = user("What is the colour of the sky?")
    return unary(session.converse(system=[*_SYSTEM, _CACHE_POINT], messages=question, inferenceConfig=_LIMIT))


@BEDROCK_CONVERSE.check(across=("text", "finish"))
def cache_points(session: BedrockSession) -> Any:
    """Cache points in a message and behind the tools."""
    content = [{"text": "What is the colour of the sky?"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    tools = {"tools": [_WEATHER, _CACHE_POINT]}
    return unary(
        session.converse(messages=[{"role": "user", "content": content}], toolConfig=tools, inferenceConfig=_LIMIT)
    )


@BEDROCK_CONVERSE.check(portable=True)
def multi_turn(session: BedrockSession) -> Any:
    """A conversation with several turns."""
    messages = [
        *user("My name is Ada."),
        {"role": "assistant", "content": [{"text": "Hello Ada."}]},
        *user("What is my name?"),
    ]
    return unary(session.converse(messages=messages, inferenceConfig=_LIMIT))


@BEDROCK_CONVERSE.check(portable=True)
def unicode(session: BedrockSession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return unary(session.converse(messages=user('Grüße, 世界 🚢 "quoted" \\ \t tab'), inferenceConfig=_LIMIT))


@BEDROCK_CONVERSE.check(portable=True)
def sampling(session: BedrockSession) -> Any:
    """Temperature beside the limit."""
    return unary(session.converse(messages=user("Say hello."), inferenceConfig={**_LIMIT, "temperature": 0.5}))


@BEDROCK_CONVERSE.check(portable=True)
def stream_text(session: BedrockSession) -> Any:
    """A stream holds the text in pieces between its events."""
    gist, whole = streamed(session.stream(messages=user("Say hello."), inferenceConfig=_LIMIT))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text, finished", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(portable=True)
def max_tokens(session: BedrockSession) -> Any:
    """The limit on output tokens ends the answer."""
    question = user("Count to one hundred in words.")
    gist, whole = unary(session.converse(messages=question, inferenceConfig={"maxTokens": 16}))
    expect(gist["finish"] == "max_tokens" and gist["output_tokens"] <= 16, "stopped by the limit", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(portable=True)
def stream_max_tokens(session: BedrockSession) -> Any:
    """The same for a stream."""
    question = user("Count to one hundred in words.")
    gist, whole = streamed(session.stream(messages=question, inferenceConfig={"maxTokens": 16}))
    expect(gist["finish"] == "max_tokens", "stopped by the limit", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(simulated=True)
def stop_sequence(session: BedrockSession) -> Any:
    """A stop sequence ends the answer before it and is named where its name is asked for."""
    answer = session.converse(
        messages=user("Say hello."),
        inferenceConfig={**_LIMIT, "stopSequences": [" message"]},
        additionalModelResponseFieldPaths=["/stop_sequence"],
    )
    expect(answer["stopReason"] == "stop_sequence", "the reason", answer)
    expect(answer["additionalModelResponseFields"] == {"stop_sequence": " message"}, "named", answer)
    return unary(answer)


@BEDROCK_CONVERSE.check(simulated=True, across=["text", "output_tokens"], lost_in=["openai.responses"])
def stop_sequence_cuts(session: BedrockSession) -> Any:
    """The text ends before it, whether or not the other side can name it."""
    limits = {**_LIMIT, "stopSequences": [" message"]}
    gist, whole = unary(session.converse(messages=user("Say hello."), inferenceConfig=limits))
    expect(gist["text"] and " message" not in gist["text"], "cut before the sequence", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(
    simulated=True, across=(*_ANSWER, "cached_tokens", "cache_write_tokens"), lost_in=["gemini.generate"]
)
def usage_details(session: BedrockSession) -> Any:
    """Cached tokens are reported beside the other input tokens, and what was written by its lifetime."""
    return _usage(unary(session.converse(modelId=session.named("sim-usage"), messages=user("Say hello."))), 0)


@BEDROCK_CONVERSE.check(
    simulated=True, across=(*_ANSWER, "cached_tokens", "cache_write_tokens"), lost_in=["gemini.generate"]
)
def stream_usage_details(session: BedrockSession) -> Any:
    """The same at the end of a stream."""
    return _usage(streamed(session.stream(modelId=session.named("sim-usage"), messages=user("Say hello."))), -1)


def _usage(seen: tuple[Any, Any], place: int) -> tuple[Any, Any]:
    gist, whole = seen
    usage = whole["usage"] if isinstance(whole, dict) else whole[place]["metadata"]["usage"]
    expect(usage["cacheReadInputTokens"] == 600, "read from the cache", usage)
    expect(usage["cacheWriteInputTokens"] == 100, "written to the cache", usage)
    expect(usage["inputTokens"] == 300, "the rest", usage)
    gist["cached_tokens"] = usage["cacheReadInputTokens"]
    gist["cache_write_tokens"] = usage["cacheWriteInputTokens"]
    return gist, whole


@BEDROCK_CONVERSE.check()
def service_tier(session: BedrockSession) -> Any:
    """The answer names the tier it was asked for."""
    answer = session.converse(messages=user("Say hello."), serviceTier={"type": "priority"}, inferenceConfig=_LIMIT)
    expect(answer["serviceTier"] == {"type": "priority"}, "the tier", answer)
    return unary(answer)


@BEDROCK_CONVERSE.check()
def performance(session: BedrockSession) -> Any:
    """The answer names the latency it was asked for."""
    asked = {"latency": "optimized"}
    answer = session.converse(messages=user("Say hello."), performanceConfig=asked, inferenceConfig=_LIMIT)
    expect(answer["performanceConfig"] == asked, "the latency", answer)
    return unary(answer)


@BEDROCK_CONVERSE.check(across=_CALLS, needs=["tools"])
def tool_use(session: BedrockSession) -> Any:
    """A forced tool is called with input that fits its schema."""
    config = {**_BOTH, "toolChoice": {"tool": {"name": "get_weather"}}}
    gist, whole = unary(session.converse(messages=user("Weather in Paris?"), toolConfig=config, inferenceConfig=_LIMIT))
    calls = gist.get("tool_calls", [])
    expect(gist["finish"] == "tool_use", "the tool is used", gist)
    expect([call["name"] for call in calls] == ["get_weather"], "the tool is used", calls)
    expect(set(calls[0]["arguments"]) >= {"city", "days"}, "input fits", calls)
    return gist, whole


@BEDROCK_CONVERSE.check(across=_CALLS, needs=["tools"])
def stream_tool_use(session: BedrockSession) -> Any:
    """The input of a streamed tool use arrives in pieces that join to JSON."""
    config = {"tools": [_WEATHER], "toolChoice": {"any": {}}}
    events = session.stream(messages=user("Weather in Paris?"), toolConfig=config, inferenceConfig=_LIMIT)
    gist, whole = streamed(events)
    expect(set(gist["tool_calls"][0]["arguments"]) >= {"city", "days"}, "input fits", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(across=_ANSWER, needs=["tools"])
def auto_tool(session: BedrockSession) -> Any:
    """Tools may be offered without being called."""
    config = {"tools": [_WEATHER], "toolChoice": {"auto": {}}}
    gist, whole = unary(session.converse(messages=user("Hello."), toolConfig=config, inferenceConfig=_LIMIT))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(across=_ANSWER, needs=["tools"])
def tool_result(session: BedrockSession) -> Any:
    """A tool's result goes back and is answered in text."""
    return _answered(session, [{"text": "Sunny, 21 degrees."}])


@BEDROCK_CONVERSE.check(across=("finish", "saw_result"), needs=["tools"])
def tool_result_json(session: BedrockSession) -> Any:
    """A result may be JSON."""
    gist, whole = _answered(session, [{"json": {"sky": "clear", "degrees": 21}}])
    return gist | {"saw_result": "1 tool result" in gist["text"]}, whole


@BEDROCK_CONVERSE.check(across=("finish", "saw_result"), needs=["tools"])
def tool_result_error(session: BedrockSession) -> Any:
    """A tool may fail."""
    gist, whole = _answered(session, [{"text": "No such city."}], status="error")
    return gist | {"saw_result": "1 tool result" in gist["text"]}, whole


@BEDROCK_CONVERSE.check(across=("finish", "saw_image"), needs=["tools", "vision"])
def tool_result_image(session: BedrockSession) -> Any:
    """A tool's result may hold an image. Where it must move out of the result, the prompt's wording changes."""
    gist, whole = _answered(session, [{"text": "The sky:"}, _IMAGE])
    return gist | {"saw_image": "1 image" in gist["text"]}, whole


def _answered(session: BedrockSession, content: list[Any], **more: Any) -> tuple[Any, Any]:
    use = {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather", "input": {"city": "Paris", "days": 1}}}
    result = {"toolResult": {"toolUseId": "tooluse_1", "content": content, **more}}
    messages = [
        *user("Weather in Paris?"),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    gist, whole = unary(session.converse(messages=messages, toolConfig={"tools": [_WEATHER]}, inferenceConfig=_LIMIT))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(simulated=True, across=(*_CALLS, "then"), needs=["tools"])
def parallel_tools(session: BedrockSession) -> Any:
    """Two tools are used at once, and their results answered in a second turn."""
    fields: dict[str, Any] = {"modelId": session.named("sim-parallel"), "toolConfig": _BOTH, "inferenceConfig": _LIMIT}
    question = user("Weather and plans for Paris?")
    first = session.converse(messages=question, **fields)
    gist, _ = unary(first)
    said = first["output"]["message"]
    uses = [block["toolUse"] for block in said["content"] if "toolUse" in block]
    expect([use["name"] for use in uses] == ["get_weather", "get_calendar"], "two tools are used", gist)
    results = [
        {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": result}]}}
        for use, result in zip(uses, RESULTS, strict=True)
    ]
    second = session.converse(messages=[*question, said, {"role": "user", "content": results}], **fields)
    gist["then"], _ = unary(second)
    expect(gist["then"]["text"] and gist["then"]["finish"] == "end_turn", "the results are answered", gist["then"])
    return gist, [first, second]


@BEDROCK_CONVERSE.check(simulated=True, across=("text", "finish", "tool_calls"), needs=["tools"])
def stream_parallel_tools(session: BedrockSession) -> Any:
    """The same streamed, with some text before the uses."""
    model = session.named("sim-talkative")
    gist, whole = streamed(session.stream(modelId=model, messages=user("Weather and plans?"), toolConfig=_BOTH))
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"] and gist["text"], "text, then two uses", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(across=_ANSWER, needs=["vision"])
def image(session: BedrockSession) -> Any:
    """An image beside a text."""
    content = [_IMAGE, {"text": "What is this?"}]
    return unary(session.converse(messages=[{"role": "user", "content": content}], inferenceConfig=_LIMIT))


@BEDROCK_CONVERSE.check(across=_ANSWER, needs=["documents"])
def document(session: BedrockSession) -> Any:
    """A document beside a text."""
    content = [_DOCUMENT, {"text": "What does it say?"}]
    return unary(session.converse(messages=[{"role": "user", "content": content}], inferenceConfig=_LIMIT))


@BEDROCK_CONVERSE.check(across=("text", "finish"), needs=["json_schema"])
def json_schema(session: BedrockSession) -> Any:
    """Structured output fits its schema."""
    question = user("Describe a boat as JSON.")
    return _structured(unary(session.converse(messages=question, outputConfig=_WANTED, inferenceConfig=_LIMIT)))


@BEDROCK_CONVERSE.check(across=("text", "finish"), needs=["json_schema"])
def stream_json_schema(session: BedrockSession) -> Any:
    """The same streamed."""
    question = user("Describe a boat as JSON.")
    return _structured(streamed(session.stream(messages=question, outputConfig=_WANTED, inferenceConfig=_LIMIT)))


def _structured(seen: tuple[Any, Any]) -> tuple[Any, Any]:
    value = decoded(seen[0]["text"])
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return seen


@BEDROCK_CONVERSE.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def reasoning(session: BedrockSession) -> Any:
    """Reasoning comes first, and is signed."""
    answer = session.converse(modelId=session.named("sim-reasoning"), messages=user("Think."), **_THINKING)
    gist, whole = unary(answer)
    first = answer["output"]["message"]["content"][0]
    expect(gist.get("reasoning") == "First I think, then I answer.", "the reasoning", gist)
    expect(first["reasoningContent"]["reasoningText"].get("signature"), "signed", first)
    return gist, whole


@BEDROCK_CONVERSE.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def stream_reasoning(session: BedrockSession) -> Any:
    """The same streamed; the signature comes at the block's end."""
    events = session.stream(modelId=session.named("sim-reasoning"), messages=user("Think."), **_THINKING)
    gist, whole = streamed(events)
    expect(gist.get("reasoning") == "First I think, then I answer.", "the reasoning", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(
    simulated=True, across=("text", "finish"), needs=["reasoning", "tools"], lost_in=["openai.chat", "gemini.generate"]
)
def reasoning_sent_back(session: BedrockSession) -> Any:
    """Reasoning goes back as it came before the tool's result, and the provider knows it."""
    fields: dict[str, Any] = {
        "modelId": session.named("sim-reasoning-tools"),
        "toolConfig": {"tools": [_WEATHER]},
        **_THINKING,
    }
    question = user("Weather in Paris?")
    first = session.converse(messages=question, **fields)
    said = first["output"]["message"]
    kinds = [next(iter(block)) for block in said["content"]]
    expect(kinds == ["reasoningContent", "toolUse"], "reasoning, then a use", first)
    use = said["content"][-1]["toolUse"]
    result = {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": RESULTS[0]}]}}
    messages = [*question, said, {"role": "user", "content": [result]}]
    gist, second = unary(session.converse(messages=messages, **fields))
    expect("1 reasoning block" in gist["text"], "the provider saw its reasoning", gist)
    return gist, [first, second]


@BEDROCK_CONVERSE.check(simulated=True, needs=["reasoning"])
def redacted_reasoning(session: BedrockSession) -> Any:
    """A block that nobody may read goes back as it came."""
    fields: dict[str, Any] = {"modelId": session.named("sim-redacted"), **_THINKING}
    first = session.converse(messages=user("Think."), **fields)
    said = first["output"]["message"]
    kinds = [next(iter(block["reasoningContent"])) for block in said["content"][:2]]
    expect(kinds == ["reasoningText", "redactedContent"], "both kinds", first)
    gist, second = unary(session.converse(messages=[*user("Think."), said, *user("Again.")], **fields))
    expect("2 reasoning blocks" in gist["text"], "the provider saw both", gist)
    return gist, [first, second]


@BEDROCK_CONVERSE.check(simulated=True, needs=["reasoning"])
def stream_redacted_reasoning(session: BedrockSession) -> Any:
    """The same streamed."""
    return streamed(session.stream(modelId=session.named("sim-redacted"), messages=user("Think."), **_THINKING))


@BEDROCK_CONVERSE.check(simulated=True, needs=["reasoning"])
def foreign_signature(session: BedrockSession) -> Any:
    """Reasoning with a signature that is not the provider's is a 400."""
    thought = {"reasoningText": {"text": "I was not here.", "signature": "Zm9yZWlnbg=="}}
    said = {"role": "assistant", "content": [{"reasoningContent": thought}, {"text": "So."}]}
    return session.error(messages=[*user("Think."), said, *user("Again.")], **_THINKING)


@BEDROCK_CONVERSE.check(simulated=True, across=["text"], lost_in=["gemini.generate"])
def refusal(session: BedrockSession) -> Any:
    """An answer that the model's filter stopped."""
    gist, whole = unary(session.converse(modelId=session.named("sim-refusal"), messages=user("Say it.")))
    expect(gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(simulated=True, across=["text"], lost_in=["gemini.generate"])
def stream_refusal(session: BedrockSession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream(modelId=session.named("sim-refusal"), messages=user("Say it.")))
    expect(gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@BEDROCK_CONVERSE.check(simulated=True)
def guardrail(session: BedrockSession) -> Any:
    """A guardrail that intervened is the stop reason, and told in the trace, whole and streamed."""
    config = {"guardrailIdentifier": "gr12345", "guardrailVersion": "1", "trace": "enabled"}
    fields: dict[str, Any] = {
        "modelId": session.named("sim-refusal"),
        "messages": user("Say it."),
        "guardrailConfig": config,
    }
    gist, whole = unary(session.converse(**fields))
    expect(gist["finish"] == "guardrail_intervened", "the reason", gist)
    filters = whole["trace"]["guardrail"]["inputAssessment"]["gr12345"]["contentPolicy"]["filters"]
    expect(filters[0]["action"] == "BLOCKED", "the trace", whole)
    told, events = streamed(session.stream(**fields))
    expect(told["finish"] == "guardrail_intervened" and "trace" in events[-1]["metadata"], "streamed", events)
    return gist, [whole, events]


@BEDROCK_CONVERSE.check()
def wrong_key(session: BedrockSession) -> Any:
    """An unknown access key is a 403."""
    with session.with_key("sk-wrong") as client:
        return session.error(client)


@BEDROCK_CONVERSE.check()
def unknown_model(session: BedrockSession) -> Any:
    """An unknown model is an error of the request: Bedrock calls its id invalid, others say that it is not there."""
    error, _ = session.error(modelId="missing-model")
    expect((error["status"], error["code"]) in _UNKNOWN, "a model that does not exist", error)
    return {"unknown": True}, None


@BEDROCK_CONVERSE.check()
def invalid_request(session: BedrockSession) -> Any:
    """A conversation without messages is a 400."""
    return session.error(messages=[])


@BEDROCK_CONVERSE.check()
def first_turn(session: BedrockSession) -> Any:
    """A conversation begins with the user."""
    return session.error(messages=[{"role": "assistant", "content": [{"text": "Hello."}]}])


@BEDROCK_CONVERSE.check()
def alternation(session: BedrockSession) -> Any:
    """Roles alternate."""
    return session.error(messages=[*user("One."), *user("Two.")])


@BEDROCK_CONVERSE.check()
def blank_text(session: BedrockSession) -> Any:
    """A text is not blank."""
    return session.error(messages=user(" "))


@BEDROCK_CONVERSE.check()
def tools_missing(session: BedrockSession) -> Any:
    """A history with tool blocks needs the tools."""
    use = {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather", "input": {}}}
    result = {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "Sunny."}]}}
    turns = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return session.error(messages=[*user("Weather?"), *turns])


@BEDROCK_CONVERSE.check(portable=True)
def orphan_tool_result(session: BedrockSession) -> Any:
    """A tool's result without a use is a 400."""
    result = {"toolResult": {"toolUseId": "tooluse_9", "content": [{"text": "Sunny."}]}}
    return session.error(messages=[{"role": "user", "content": [result]}], toolConfig=_BOTH)


@BEDROCK_CONVERSE.check(portable=True)
def missing_tool_result(session: BedrockSession) -> Any:
    """A use without its result is a 400."""
    use = {"toolUse": {"toolUseId": "tooluse_1", "name": "get_weather", "input": {}}}
    said = {"role": "assistant", "content": [use]}
    return session.error(messages=[*user("Weather?"), said, *user("Well?")], toolConfig=_BOTH)


@BEDROCK_CONVERSE.check(portable=True)
def unknown_content(session: BedrockSession) -> Any:
    """A block of a kind that does not exist is a 400; the SDK's own check is off."""
    with session.unchecked() as client:
        return session.error(client, messages=[{"role": "user", "content": [{}]}])


@BEDROCK_CONVERSE.check(simulated=True, portable=True)
def context_too_long(session: BedrockSession) -> Any:
    """A prompt over the context is a 400."""
    return session.error(model=session.named("sim-small-context"), messages=user("too long " * 100))


add_failures(BEDROCK_CONVERSE, BedrockSession.error)


@BEDROCK_CONVERSE.check(simulated=True, portable=True)
def disconnect(session: BedrockSession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    return len(session.stream(at_most=6, modelId=session.named("sim-endless"), messages=user("Talk."))), None
