"""The contract of ``anthropic.messages``, checked with the ``anthropic`` SDK.

One flat list of short promises, in the order: texts, usage, tools, media, structure, reasoning, errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.anthropic_session import ANTHROPIC_MESSAGES, AnthropicSession, streamed, unary, user
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

__all__ = ["ANTHROPIC_MESSAGES", "AnthropicSession", "check_anthropic_messages"]

_WEATHER = {"name": "get_weather", "description": "The weather in a city.", "input_schema": WEATHER_SCHEMA}
_CALENDAR = {"name": "get_calendar", "description": "What is planned on a day.", "input_schema": CALENDAR_SCHEMA}
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
_DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
_THINKING = {"max_tokens": 3_000, "thinking": {"type": "enabled", "budget_tokens": 2_000}}
_ANSWER = ("text", "finish", "input_tokens", "output_tokens")
_CALLS = (*_ANSWER, "tool_calls")


def check_anthropic_messages(
    base_url: str,
    key: str,
    *,
    model: str = "claude-haiku-4-5-20251001",
    asynchronous: bool = False,
    simulated: bool = True,
    rename: Callable[[str], str] = str,
) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`.

    ``simulated`` False leaves out the checks that need failures on demand, and makes the suite fit for a real provider.
    """
    with AnthropicSession(base_url, key, model=model, asynchronous=asynchronous, rename=rename) as session:
        return ANTHROPIC_MESSAGES.run(session, simulated=simulated)


@ANTHROPIC_MESSAGES.check(portable=True)
def text(session: AnthropicSession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = unary(session.create(messages=user("Say hello.")))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text, finished", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(portable=True)
def system_prompt(session: AnthropicSession) -> Any:
    """A system prompt as a string."""
    return unary(session.create(system="Answer in one word.", messages=user("What is the colour of the sky?")))


@ANTHROPIC_MESSAGES.check(across=("text", "finish"))
def system_blocks(session: AnthropicSession) -> Any:
    """A system prompt as blocks with a cache breakpoint."""
    block = {"type": "text", "text": "Answer in one word.", "cache_control": {"type": "ephemeral"}}
    return unary(session.create(system=[block], messages=user("What is the colour of the sky?")))


@ANTHROPIC_MESSAGES.check(portable=True)
def multi_turn(session: AnthropicSession) -> Any:
    """A conversation with several turns, content as string and as blocks."""
    messages = [
        *user("My name is Ada."),
        {"role": "assistant", "content": [{"type": "text", "text": "Hello Ada."}]},
        *user("What is my name?"),
    ]
    return unary(session.create(messages=messages))


@ANTHROPIC_MESSAGES.check(portable=True)
def unicode(session: AnthropicSession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return unary(session.create(messages=user('Grüße, 世界 🚢 "quoted" \\ \t tab')))


@ANTHROPIC_MESSAGES.check(portable=True)
def stream_text(session: AnthropicSession) -> Any:
    """A stream holds the text in pieces between its events."""
    gist, whole = streamed(session.stream(messages=user("Say hello.")))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text, finished", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(portable=True)
def max_tokens(session: AnthropicSession) -> Any:
    """The limit on output tokens ends the answer."""
    gist, whole = unary(session.create(messages=user("Count to one hundred in words."), max_tokens=16))
    expect(gist["finish"] == "max_tokens" and gist["output_tokens"] <= 16, "stopped by the limit", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(portable=True)
def stream_max_tokens(session: AnthropicSession) -> Any:
    """The same for a stream."""
    gist, whole = streamed(session.stream(messages=user("Count to one hundred in words."), max_tokens=16))
    expect(gist["finish"] == "max_tokens", "stopped by the limit", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True)
def stop_sequence(session: AnthropicSession) -> Any:
    """A stop sequence ends the answer before it and is named."""
    answer = session.create(messages=user("Say hello."), stop_sequences=[" message"])
    expect(answer.stop_reason == "stop_sequence" and answer.stop_sequence == " message", "named", answer)
    gist, whole = unary(answer)
    expect(" message" not in gist["text"], "cut before the sequence", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True, across=["text", "output_tokens"], lost_in=["openai.responses"])
def stop_sequence_cuts(session: AnthropicSession) -> Any:
    """The text ends before it, whether or not the other side can name it."""
    gist, whole = unary(session.create(messages=user("Say hello."), stop_sequences=[" message"]))
    expect(gist["text"] and " message" not in gist["text"], "cut before the sequence", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(
    simulated=True,
    across=(*_ANSWER, "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    lost_in=["bedrock.converse", "gemini.generate"],
)
def usage_details(session: AnthropicSession) -> Any:
    """Cached tokens are reported beside the other input tokens."""
    answer = session.create(model=session.named("sim-usage"), messages=user("Say hello."))
    usage = answer.usage
    expect(usage.cache_read_input_tokens == 600, "read from the cache", usage)
    expect(usage.cache_creation_input_tokens == 100, "written to the cache", usage)
    expect(usage.input_tokens == 300, "the rest", usage)
    expect(usage.output_tokens_details.thinking_tokens == 50, "the hidden part", usage)
    gist, whole = unary(answer)
    gist["cached_tokens"] = usage.cache_read_input_tokens
    gist["cache_write_tokens"] = usage.cache_creation_input_tokens
    gist["reasoning_tokens"] = usage.output_tokens_details.thinking_tokens
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True)
def searches(session: AnthropicSession) -> Any:
    """What the provider searched is counted, whole and streamed."""
    answer = session.create(model=session.named("sim-searched"), messages=user("Say hello."))
    expect(answer.usage.server_tool_use.web_search_requests == 2, "two searches", answer.usage)
    events = session.stream(model=session.named("sim-searched"), messages=user("Say hello."))
    ends = [event.usage for event in events if event.type == "message_delta"]
    expect(ends[-1].server_tool_use.web_search_requests == 2, "two searches at the end of the stream", ends)
    return unary(answer)


@ANTHROPIC_MESSAGES.check(across=_CALLS, needs=["tools"])
def tool_use(session: AnthropicSession) -> Any:
    """A forced tool is called with input that fits its schema."""
    choice = {"type": "tool", "name": "get_weather"}
    answer = session.create(messages=user("Weather in Paris?"), tools=[_WEATHER, _CALENDAR], tool_choice=choice)
    gist, whole = unary(answer)
    calls = gist.get("tool_calls", [])
    expect(gist["finish"] == "tool_use", "the tool is used", gist)
    expect([call["name"] for call in calls] == ["get_weather"], "the tool is used", calls)
    expect(set(calls[0]["arguments"]) >= {"city", "days"}, "input fits", calls)
    return gist, whole


@ANTHROPIC_MESSAGES.check(across=_CALLS, needs=["tools"])
def stream_tool_use(session: AnthropicSession) -> Any:
    """The input of a streamed tool use arrives in pieces that join to JSON."""
    events = session.stream(messages=user("Weather in Paris?"), tools=[_WEATHER], tool_choice={"type": "any"})
    gist, whole = streamed(events)
    expect(set(gist["tool_calls"][0]["arguments"]) >= {"city", "days"}, "input fits", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(across=("text", "finish"), needs=["tools"])
def no_tool(session: AnthropicSession) -> Any:
    """``tool_choice: none`` answers in text."""
    gist, whole = unary(session.create(messages=user("Hello."), tools=[_WEATHER], tool_choice={"type": "none"}))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(across=_ANSWER, needs=["tools"])
def tool_result(session: AnthropicSession) -> Any:
    """A tool's result goes back and is answered in text."""
    return _answered(session, "Sunny, 21 degrees.")


@ANTHROPIC_MESSAGES.check(across=("finish", "saw_image"), needs=["tools", "vision"])
def tool_result_image(session: AnthropicSession) -> Any:
    """A tool's result may hold an image. Where it must move out of the result, the prompt's wording changes."""
    gist, whole = _answered(session, [{"type": "text", "text": "The sky:"}, _IMAGE])
    return gist | {"saw_image": "1 image" in gist["text"]}, whole


def _answered(session: AnthropicSession, content: Any) -> tuple[Any, Any]:
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris", "days": 1}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    messages = [
        *user("Weather in Paris?"),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    gist, whole = unary(session.create(messages=messages, tools=[_WEATHER]))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True, across=(*_CALLS, "then"), needs=["tools"])
def parallel_tools(session: AnthropicSession) -> Any:
    """Two tools are used at once, and their results answered in a second turn."""
    fields = {"model": session.named("sim-parallel"), "tools": [_WEATHER, _CALENDAR]}
    question = user("Weather and plans for Paris?")
    first = session.create(messages=question, **fields)
    gist, _ = unary(first)
    uses = [block for block in first.content if block.type == "tool_use"]
    expect([use.name for use in uses] == ["get_weather", "get_calendar"], "two tools are used", gist)
    results = [
        {"type": "tool_result", "tool_use_id": use.id, "content": result}
        for use, result in zip(uses, RESULTS, strict=True)
    ]
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    second = session.create(messages=[*question, said, {"role": "user", "content": results}], **fields)
    gist["then"], _ = unary(second)
    expect(gist["then"]["text"] and gist["then"]["finish"] == "end_turn", "the results are answered", gist["then"])
    return gist, [first, second]


@ANTHROPIC_MESSAGES.check(simulated=True, across=("text", "finish", "tool_calls"), needs=["tools"])
def stream_parallel_tools(session: AnthropicSession) -> Any:
    """The same streamed, with some text before the uses."""
    events = session.stream(
        model=session.named("sim-talkative"), messages=user("Weather and plans?"), tools=[_WEATHER, _CALENDAR]
    )
    gist, whole = streamed(events)
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"] and gist["text"], "text, then two uses", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True, across=_CALLS, needs=["tools"], lost_in=["gemini.generate"])
def one_tool_at_a_time(session: AnthropicSession) -> Any:
    """``disable_parallel_tool_use`` allows one use."""
    fields = {"tools": [_WEATHER, _CALENDAR], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    answer = session.create(model=session.named("sim-parallel"), messages=user("Weather and plans?"), **fields)
    gist, whole = unary(answer)
    expect(len(gist.get("tool_calls", [])) == 1, "one use", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(across=_ANSWER, needs=["vision"])
def image(session: AnthropicSession) -> Any:
    """An image beside a text."""
    content = [_IMAGE, {"type": "text", "text": "What is this?"}]
    return unary(session.create(messages=[{"role": "user", "content": content}]))


@ANTHROPIC_MESSAGES.check(across=_ANSWER, needs=["vision"], lost_in=["bedrock.converse"])
def image_address(session: AnthropicSession) -> Any:
    """An image that the provider would fetch."""
    source = {"type": "url", "url": "https://example.com/picture.png"}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    return unary(session.create(messages=[{"role": "user", "content": content}]))


@ANTHROPIC_MESSAGES.check(across=_ANSWER, needs=["documents"])
def document(session: AnthropicSession) -> Any:
    """A document beside a text."""
    content = [_DOCUMENT, {"type": "text", "text": "What does it say?"}]
    return unary(session.create(messages=[{"role": "user", "content": content}]))


@ANTHROPIC_MESSAGES.check(across=("text", "finish"), needs=["json_schema"])
def json_schema(session: AnthropicSession) -> Any:
    """Structured output fits its schema."""
    return _structured(unary(session.create(messages=user("Describe a boat as JSON."), output_config=_WANTED)))


@ANTHROPIC_MESSAGES.check(across=("text", "finish"), needs=["json_schema"])
def stream_json_schema(session: AnthropicSession) -> Any:
    """The same streamed."""
    return _structured(streamed(session.stream(messages=user("Describe a boat as JSON."), output_config=_WANTED)))


_WANTED = {"format": {"type": "json_schema", "schema": THING_SCHEMA}}


def _structured(seen: tuple[Any, Any]) -> tuple[Any, Any]:
    value = decoded(seen[0]["text"])
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return seen


@ANTHROPIC_MESSAGES.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def reasoning(session: AnthropicSession) -> Any:
    """Thinking comes first, and is signed."""
    answer = session.create(model=session.named("sim-reasoning"), messages=user("Think."), **_THINKING)
    gist, whole = unary(answer)
    expect(gist.get("reasoning") == "First I think, then I answer.", "the thinking", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def stream_reasoning(session: AnthropicSession) -> Any:
    """The same streamed; the signature comes at the block's end."""
    events = session.stream(model=session.named("sim-reasoning"), messages=user("Think."), **_THINKING)
    gist, whole = streamed(events)
    expect(gist.get("reasoning") == "First I think, then I answer.", "the thinking", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(
    simulated=True, across=("text", "finish"), needs=["reasoning", "tools"], lost_in=["openai.chat", "gemini.generate"]
)
def reasoning_sent_back(session: AnthropicSession) -> Any:
    """Thinking, readable or not, goes back as it came before the tool's result, and the provider knows it."""
    fields = {"model": session.named("sim-reasoning-tools"), "tools": [_WEATHER], **_THINKING}
    question = user("Weather in Paris?")
    first = session.create(messages=question, **fields)
    use = first.content[-1]
    kinds = [block.type for block in first.content]
    expect(kinds in (["thinking", "tool_use"], ["redacted_thinking", "tool_use"]), "thinking, then a use", first)
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": RESULTS[0]}]}
    gist, second = unary(session.create(messages=[*question, said, result], **fields))
    expect("1 reasoning block" in gist["text"], "the provider saw its thinking", gist)
    return gist, [first, second]


@ANTHROPIC_MESSAGES.check(simulated=True, needs=["reasoning"])
def redacted_thinking(session: AnthropicSession) -> Any:
    """A block that nobody may read goes back as it came."""
    fields = {"model": session.named("sim-redacted"), **_THINKING}
    first = session.create(messages=user("Think."), **fields)
    expect([block.type for block in first.content[:2]] == ["thinking", "redacted_thinking"], "both kinds", first)
    said = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    gist, second = unary(session.create(messages=[*user("Think."), said, *user("Again.")], **fields))
    expect("2 reasoning blocks" in gist["text"], "the provider saw both", gist)
    return gist, [first, second]


@ANTHROPIC_MESSAGES.check(simulated=True, needs=["reasoning"])
def foreign_signature(session: AnthropicSession) -> Any:
    """Thinking with a signature that is not the provider's is a 400."""
    block = {"type": "thinking", "thinking": "I was not here.", "signature": "Zm9yZWlnbg=="}
    said = {"role": "assistant", "content": [block, {"type": "text", "text": "So."}]}
    return session.error(messages=[*user("Think."), said, *user("Again.")], **_THINKING)


@ANTHROPIC_MESSAGES.check(simulated=True, across=["refusal"], lost_in=["bedrock.converse", "gemini.generate"])
def refusal(session: AnthropicSession) -> Any:
    """A refusal is a stop reason, explained beside it."""
    gist, whole = unary(session.create(model=session.named("sim-refusal"), messages=user("Say it.")))
    expect(gist["finish"] == "refusal" and gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True, across=["refusal"], lost_in=["bedrock.converse", "gemini.generate"])
def stream_refusal(session: AnthropicSession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream(model=session.named("sim-refusal"), messages=user("Say it.")))
    expect(gist["finish"] == "refusal" and gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check()
def stream_helper(session: AnthropicSession) -> Any:
    """The SDK's own helper puts a stream together."""
    choice = {"type": "any"}
    fields = {"model": session.model, "max_tokens": 200, "tools": [_WEATHER], "tool_choice": choice}
    message = session.assemble(
        session.client.messages.stream, "get_final_message", messages=user("Weather in Paris?"), **fields
    )
    return unary(message)


@ANTHROPIC_MESSAGES.check()
def count_tokens(session: AnthropicSession) -> Any:
    """A prompt is counted without an answer."""
    fields = {"model": session.model, "system": "Be brief.", "messages": user("Say hello."), "tools": [_WEATHER]}
    counted = session.call(session.client.messages.count_tokens, **fields)
    expect(counted.input_tokens > 0, "some tokens", counted)
    return {"input_tokens": counted.input_tokens}, counted


@ANTHROPIC_MESSAGES.check()
def wrong_key(session: AnthropicSession) -> Any:
    """A wrong key is a 401."""
    with session.with_key("sk-wrong") as client:
        return session.error(client)


@ANTHROPIC_MESSAGES.check()
def unknown_model(session: AnthropicSession) -> Any:
    """An unknown model is a 404."""
    return session.error(model="missing-model")


@ANTHROPIC_MESSAGES.check()
def invalid_request(session: AnthropicSession) -> Any:
    """A conversation without messages is a 400."""
    return session.error(messages=[])


@ANTHROPIC_MESSAGES.check(portable=True)
def orphan_tool_result(session: AnthropicSession) -> Any:
    """A tool's result without a use is a 400."""
    result = {"type": "tool_result", "tool_use_id": "toolu_9", "content": "Sunny."}
    return session.error(messages=[{"role": "user", "content": [result]}])


@ANTHROPIC_MESSAGES.check(portable=True)
def missing_tool_result(session: AnthropicSession) -> Any:
    """A use without its result is a 400."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    said = {"role": "assistant", "content": [use]}
    return session.error(messages=[*user("Weather?"), said, *user("Well?")], tools=[_WEATHER])


@ANTHROPIC_MESSAGES.check(portable=True)
def unknown_content(session: AnthropicSession) -> Any:
    """A block of a type that does not exist is a 400."""
    return session.error(messages=[{"role": "user", "content": [{"type": "hologram", "text": "x"}]}])


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def context_too_long(session: AnthropicSession) -> Any:
    """A prompt over the context is a 400."""
    return session.error(model=session.named("sim-small-context"), messages=user("too long " * 100))


add_failures(ANTHROPIC_MESSAGES, AnthropicSession.error)


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def disconnect(session: AnthropicSession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    method = session.client.messages.create
    fields = {"model": session.named("sim-endless"), "max_tokens": 10_000, "messages": user("Talk."), "stream": True}
    return len(session.collect(method, at_most=6, **fields)), None
