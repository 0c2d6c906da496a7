"""The contract of ``openai.chat``, checked with the ``openai`` SDK.

One flat list of short promises, in the order: texts, usage, tools, media, structure, reasoning, errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from trimaran.testing.contract.openai_chat_session import OPENAI_CHAT, OpenAISession, streamed, unary, user
from trimaran.testing.contract.suite import expect

__all__ = ["OPENAI_CHAT", "OpenAISession", "check_openai_chat"]

_PIXEL_URL = f"data:image/png;base64,{PIXEL}"
_ANSWER = ("text", "finish", "input_tokens", "output_tokens")
_CALLS = (*_ANSWER, "tool_calls")


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


_WEATHER = _tool("get_weather", "The weather in a city.", WEATHER_SCHEMA)
_CALENDAR = _tool("get_calendar", "What is planned on a day.", CALENDAR_SCHEMA)


def check_openai_chat(
    base_url: str,
    key: str,
    *,
    model: str = "gpt-4o-mini",
    asynchronous: bool = False,
    simulated: bool = True,
    rename: Callable[[str], str] = str,
) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`.

    ``simulated`` False leaves out the checks that need failures on demand, and makes the suite fit for a real provider.
    """
    with OpenAISession(base_url, key, model=model, asynchronous=asynchronous, rename=rename) as session:
        return OPENAI_CHAT.run(session, simulated=simulated)


@OPENAI_CHAT.check(portable=True)
def text(session: OpenAISession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = unary(session.create(messages=user("Say hello.")))
    expect(gist["text"] and gist["finish"] == "stop", "some text, finished", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def system_prompt(session: OpenAISession) -> Any:
    """System messages are taken."""
    messages = [{"role": "system", "content": "Answer in one word."}, *user("What is the colour of the sky?")]
    return unary(session.create(messages=messages))


@OPENAI_CHAT.check(portable=True)
def multi_turn(session: OpenAISession) -> Any:
    """A conversation with several turns."""
    messages = [*user("My name is Ada."), {"role": "assistant", "content": "Hello Ada."}, *user("What is my name?")]
    return unary(session.create(messages=messages))


@OPENAI_CHAT.check()
def content_parts(session: OpenAISession) -> Any:
    """Content as a list of text parts."""
    parts = [{"type": "text", "text": "First part."}, {"type": "text", "text": "Second part."}]
    return unary(session.create(messages=[{"role": "user", "content": parts}]))


@OPENAI_CHAT.check(portable=True)
def unicode(session: OpenAISession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return unary(session.create(messages=user('Grüße, 世界 🚢 "quoted" \\ \t tab')))


@OPENAI_CHAT.check(portable=True)
def stream_text(session: OpenAISession) -> Any:
    """A stream holds the text in pieces, and no usage that was not asked for."""
    gist, whole = streamed(session.stream(messages=user("Say hello.")))
    expect("input_tokens" not in gist, "no usage unless asked for", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def stream_usage(session: OpenAISession) -> Any:
    """``stream_options.include_usage`` adds one chunk with the usage."""
    gist, whole = streamed(session.stream(messages=user("Say hello."), stream_options={"include_usage": True}))
    expect("input_tokens" in gist, "usage was asked for", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def max_tokens(session: OpenAISession) -> Any:
    """A limit on output tokens ends the answer with ``length``."""
    gist, whole = unary(session.create(messages=user("Count to one hundred in words."), max_completion_tokens=16))
    expect(gist["finish"] == "length" and gist["output_tokens"] <= 16, "stopped by the limit", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def stream_max_tokens(session: OpenAISession) -> Any:
    """The same for a stream."""
    gist, whole = streamed(session.stream(messages=user("Count to one hundred in words."), max_tokens=16))
    expect(gist["finish"] == "length", "stopped by the limit", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True, simulated=True, lost_in=["openai.responses"])
def stop_sequence(session: OpenAISession) -> Any:
    """A stop sequence ends the answer before it and is not part of it."""
    gist, whole = unary(session.create(messages=user("Say hello."), stop=[" message"]))
    expect(gist["finish"] == "stop" and " message" not in gist["text"], "cut before the sequence", gist)
    return gist, whole


@OPENAI_CHAT.check(
    simulated=True,
    across=(*_ANSWER, "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    lost_in=["bedrock.converse", "gemini.generate"],
)
def usage_details(session: OpenAISession) -> Any:
    """Cached and reasoning tokens are reported as parts of the totals."""
    answer = session.create(model=session.named("sim-usage"), messages=user("Say hello."))
    usage = answer.usage
    expect(usage.prompt_tokens == 1_000, "all input tokens", usage)
    expect(usage.prompt_tokens_details.cached_tokens == 600, "the cached part", usage)
    expect(usage.completion_tokens_details.reasoning_tokens == 50, "the hidden part", usage)
    gist, whole = unary(answer)
    gist["cached_tokens"] = usage.prompt_tokens_details.cached_tokens
    gist["cache_write_tokens"] = usage.prompt_tokens_details.cache_write_tokens
    gist["reasoning_tokens"] = usage.completion_tokens_details.reasoning_tokens
    return gist, whole


@OPENAI_CHAT.check(simulated=True, needs=["audio"])
def audio_usage(session: OpenAISession) -> Any:
    """Tokens of sound are parts of the totals."""
    answer = session.create(model=session.named("sim-audio"), messages=user("Say hello."))
    expect(answer.usage.prompt_tokens_details.audio_tokens == 5, "the sound in the input", answer.usage)
    expect(answer.usage.completion_tokens_details.audio_tokens == 7, "the sound in the output", answer.usage)
    return unary(answer)


@OPENAI_CHAT.check(across=_CALLS, needs=["tools"])
def tool_call(session: OpenAISession) -> Any:
    """A forced tool is called with arguments that fit its schema."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    answer = session.create(messages=user("Weather in Paris?"), tools=[_WEATHER, _CALENDAR], tool_choice=choice)
    gist, whole = unary(answer)
    calls = gist.get("tool_calls", [])
    expect([call["name"] for call in calls] == ["get_weather"], "the tool is called", calls)
    expect(set(calls[0]["arguments"]) >= {"city", "days"}, "arguments fit", calls)
    return gist, whole


@OPENAI_CHAT.check(across=("tool_calls", "finish"), needs=["tools"])
def stream_tool_call(session: OpenAISession) -> Any:
    """The arguments of a streamed call arrive in pieces that join to JSON."""
    chunks = session.stream(messages=user("Weather in Paris?"), tools=[_WEATHER], tool_choice="required")
    gist, whole = streamed(chunks)
    expect(set(gist["tool_calls"][0]["arguments"]) >= {"city", "days"}, "arguments fit", gist)
    return gist, whole


@OPENAI_CHAT.check(across=("text", "finish"), needs=["tools"])
def no_tool(session: OpenAISession) -> Any:
    """``tool_choice: none`` answers in text."""
    gist, whole = unary(session.create(messages=user("Hello."), tools=[_WEATHER], tool_choice="none"))
    expect(gist["text"] and gist["finish"] == "stop", "some text", gist)
    return gist, whole


@OPENAI_CHAT.check(across=_ANSWER, needs=["tools"])
def tool_result(session: OpenAISession) -> Any:
    """A tool's result goes back and is answered in text."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    messages = [
        *user("Weather in Paris?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 21 degrees."},
    ]
    gist, whole = unary(session.create(messages=messages, tools=[_WEATHER]))
    expect(gist["text"] and gist["finish"] == "stop", "some text", gist)
    return gist, whole


@OPENAI_CHAT.check(simulated=True, across=(*_CALLS, "then"), needs=["tools"])
def parallel_tools(session: OpenAISession) -> Any:
    """Two tools are called at once, and their results answered in a second turn."""
    fields = {"model": session.named("sim-parallel"), "tools": [_WEATHER, _CALENDAR]}
    question = user("Weather and plans for Paris?")
    first = session.create(messages=question, **fields)
    message = first.choices[0].message
    gist, _ = unary(first)
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"] and gist["finish"] == "tool_calls", "two calls", gist)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": result}
        for call, result in zip(message.tool_calls, RESULTS, strict=True)
    ]
    said = {"role": "assistant", "content": message.content, "tool_calls": [c.model_dump() for c in message.tool_calls]}
    second = session.create(messages=[*question, said, *results], **fields)
    gist["then"], _ = unary(second)
    expect(gist["then"]["text"] and gist["then"]["finish"] == "stop", "the results are answered", gist["then"])
    return gist, [first, second]


@OPENAI_CHAT.check(simulated=True, across=("text", "finish", "tool_calls"), needs=["tools"])
def stream_parallel_tools(session: OpenAISession) -> Any:
    """The same streamed, with some text before the calls."""
    chunks = session.stream(
        model=session.named("sim-talkative"), messages=user("Weather and plans?"), tools=[_WEATHER, _CALENDAR]
    )
    gist, whole = streamed(chunks)
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"] and gist["text"], "text, then two calls", gist)
    return gist, whole


@OPENAI_CHAT.check(simulated=True, across=_CALLS, needs=["tools"], lost_in=["gemini.generate"])
def one_tool_at_a_time(session: OpenAISession) -> Any:
    """``parallel_tool_calls: false`` allows one call."""
    fields = {"tools": [_WEATHER, _CALENDAR], "parallel_tool_calls": False}
    answer = session.create(model=session.named("sim-parallel"), messages=user("Weather and plans?"), **fields)
    gist, whole = unary(answer)
    expect(len(gist.get("tool_calls", [])) == 1, "one call", gist)
    return gist, whole


@OPENAI_CHAT.check(across=_ANSWER, needs=["vision"])
def image(session: OpenAISession) -> Any:
    """An image beside a text."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": _PIXEL_URL}}]
    return unary(session.create(messages=[{"role": "user", "content": parts}]))


@OPENAI_CHAT.check(across=_ANSWER, needs=["vision"], lost_in=["bedrock.converse"])
def image_address(session: OpenAISession) -> Any:
    """An image that the provider would fetch."""
    url = "https://example.com/picture.png"
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return unary(session.create(messages=[{"role": "user", "content": parts}]))


@OPENAI_CHAT.check(across=_ANSWER, needs=["documents"])
def document(session: OpenAISession) -> Any:
    """A document beside a text."""
    file = {"filename": "page.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    parts = [{"type": "file", "file": file}, {"type": "text", "text": "What does it say?"}]
    return unary(session.create(messages=[{"role": "user", "content": parts}]))


@OPENAI_CHAT.check(across=("text", "finish"), needs=["json_schema"])
def json_schema(session: OpenAISession) -> Any:
    """Structured output fits its schema."""
    return _structured(unary(session.create(messages=user("Describe a boat as JSON."), response_format=_WANTED)))


@OPENAI_CHAT.check(across=("text", "finish"), needs=["json_schema"])
def stream_json_schema(session: OpenAISession) -> Any:
    """The same streamed."""
    return _structured(streamed(session.stream(messages=user("Describe a boat as JSON."), response_format=_WANTED)))


_WANTED = {"type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": THING_SCHEMA}}


def _structured(seen: tuple[Any, Any]) -> tuple[Any, Any]:
    value = decoded(seen[0]["text"])
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return seen


@OPENAI_CHAT.check(
    simulated=True,
    across=("text", "finish", "reasoning"),
    needs=["reasoning"],
    lost_in=["openai.responses", "gemini.generate"],
)
def reasoning(session: OpenAISession) -> Any:
    """Visible reasoning comes beside the text, as vLLM and others send it."""
    fields = {"model": session.named("sim-reasoning"), "reasoning_effort": "medium"}
    gist, whole = unary(session.create(messages=user("Think."), **fields))
    expect(gist.get("reasoning") == "First I think, then I answer.", "the reasoning", gist)
    return gist, whole


@OPENAI_CHAT.check(
    simulated=True,
    across=("text", "finish", "reasoning"),
    needs=["reasoning"],
    lost_in=["openai.responses", "gemini.generate"],
)
def stream_reasoning(session: OpenAISession) -> Any:
    """The same streamed."""
    fields = {"model": session.named("sim-reasoning"), "reasoning_effort": "medium"}
    gist, whole = streamed(session.stream(messages=user("Think."), **fields))
    expect(gist.get("reasoning") == "First I think, then I answer.", "the reasoning", gist)
    return gist, whole


@OPENAI_CHAT.check(
    across=("text", "finish", "logprobs"), needs=["logprobs"], lost_in=["anthropic.messages", "bedrock.converse"]
)
def logprobs(session: OpenAISession) -> Any:
    """Each token has its log probability and the alternatives asked for."""
    gist, whole = unary(session.create(messages=user("Say hello."), logprobs=True, top_logprobs=2))
    _check_chances(gist)
    return gist, whole


@OPENAI_CHAT.check(
    across=("text", "finish", "logprobs"), needs=["logprobs"], lost_in=["anthropic.messages", "bedrock.converse"]
)
def stream_logprobs(session: OpenAISession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream(messages=user("Say hello."), logprobs=True, top_logprobs=2))
    _check_chances(gist)
    return gist, whole


def _check_chances(gist: dict[str, Any]) -> None:
    rows = gist.get("logprobs") or []
    expect("".join(row[0] for row in rows) == gist["text"], "the tokens are the text", gist)
    expect(all(row[1] <= 0 and len(row[2]) == 2 for row in rows), "log probabilities, two alternatives", rows)


@OPENAI_CHAT.check(simulated=True, across=["refusal"], lost_in=["bedrock.converse", "gemini.generate"])
def refusal(session: OpenAISession) -> Any:
    """A refusal stands in a member of its own."""
    gist, whole = unary(session.create(model=session.named("sim-refusal"), messages=user("Say it.")))
    expect(gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@OPENAI_CHAT.check(simulated=True, across=["refusal"], lost_in=["bedrock.converse", "gemini.generate"])
def stream_refusal(session: OpenAISession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream(model=session.named("sim-refusal"), messages=user("Say it.")))
    expect(gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@OPENAI_CHAT.check(simulated=True)
def service_tier(session: OpenAISession) -> Any:
    """The answer names the tier that served it."""
    answer = session.create(messages=user("Say hello."), service_tier="flex")
    expect(answer.service_tier == "flex", "the tier asked for", answer)
    return unary(answer)


@OPENAI_CHAT.check()
def json_object(session: OpenAISession) -> Any:
    """JSON mode gives one JSON object."""
    answer = session.create(messages=user("Describe a boat as JSON."), response_format={"type": "json_object"})
    expect(isinstance(decoded(answer.choices[0].message.content), dict), "an object", answer)
    return unary(answer)


@OPENAI_CHAT.check()
def unknown_field(session: OpenAISession) -> Any:
    """Metadata and other fields that the other side may not know do no harm."""
    fields = {"user": "someone", "metadata": {"a": "b"}, "store": False}
    return unary(session.create(messages=user("Say hello."), **fields))


@OPENAI_CHAT.check()
def wrong_key(session: OpenAISession) -> Any:
    """A wrong key is a 401."""
    with session.with_key("sk-wrong") as client:
        return session.error(client)


@OPENAI_CHAT.check()
def unknown_model(session: OpenAISession) -> Any:
    """An unknown model is a 404."""
    return session.error(model="missing-model")


@OPENAI_CHAT.check()
def invalid_request(session: OpenAISession) -> Any:
    """A message without a role is a 400."""
    return session.error(messages=[{"content": "Hello"}])


@OPENAI_CHAT.check(portable=True)
def orphan_tool_result(session: OpenAISession) -> Any:
    """A tool's result without a call is a 400."""
    return session.error(messages=[*user("Hello"), {"role": "tool", "tool_call_id": "call_9", "content": "Sunny."}])


@OPENAI_CHAT.check(portable=True)
def missing_tool_result(session: OpenAISession) -> Any:
    """A call without its result is a 400."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [*user("Weather?"), {"role": "assistant", "content": None, "tool_calls": [call]}, *user("Well?")]
    return session.error(messages=messages, tools=[_WEATHER])


@OPENAI_CHAT.check(portable=True)
def unknown_content(session: OpenAISession) -> Any:
    """A part of a type that does not exist is a 400."""
    return session.error(messages=[{"role": "user", "content": [{"type": "hologram", "text": "x"}]}])


@OPENAI_CHAT.check(simulated=True, portable=True)
def context_too_long(session: OpenAISession) -> Any:
    """A prompt over the context is a 400 with its own code."""
    return session.error(model=session.named("sim-small-context"), messages=user("too long " * 100))


add_failures(OPENAI_CHAT, OpenAISession.error)


@OPENAI_CHAT.check(simulated=True, portable=True)
def disconnect(session: OpenAISession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    method = session.client.chat.completions.create
    fields = {"model": session.named("sim-endless"), "messages": user("Talk."), "stream": True}
    chunks = session.collect(method, at_most=4, **fields)
    return len(chunks), None
