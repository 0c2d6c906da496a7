"""The contract of ``openai.responses`` and its token count, checked with the ``openai`` SDK.

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
from trimaran.testing.contract.openai_responses_session import (
    OPENAI_RESPONSES,
    ResponsesSession,
    message,
    streamed,
    unary,
)
from trimaran.testing.contract.suite import expect

__all__ = ["OPENAI_RESPONSES", "ResponsesSession", "check_openai_responses"]

_ANSWER = ("text", "finish", "input_tokens", "output_tokens")
_CALLS = (*_ANSWER, "tool_calls")
_IMAGE = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"}


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": description, "parameters": schema, "strict": False}


_WEATHER = _tool("get_weather", "The weather in a city.", WEATHER_SCHEMA)
_CALENDAR = _tool("get_calendar", "What is planned on a day.", CALENDAR_SCHEMA)


def check_openai_responses(
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
    with ResponsesSession(base_url, key, model=model, asynchronous=asynchronous, rename=rename) as session:
        return OPENAI_RESPONSES.run(session, simulated=simulated)


@OPENAI_RESPONSES.check(portable=True)
def text(session: ResponsesSession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = unary(session.create(input="Say hello."))
    expect(gist["text"] and gist["finish"] == "completed", "some text, finished", gist)
    return gist, whole


@OPENAI_RESPONSES.check(portable=True)
def system_prompt(session: ResponsesSession) -> Any:
    """Instructions are taken."""
    return unary(session.create(instructions="Answer in one word.", input="What is the colour of the sky?"))


@OPENAI_RESPONSES.check(portable=True)
def multi_turn(session: ResponsesSession) -> Any:
    """A conversation with several turns, content as string and as parts."""
    said = {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed"}
    said["content"] = [{"type": "output_text", "text": "Hello Ada.", "annotations": []}]  # type: ignore[assignment]
    items = [
        message("developer", "Be brief."),
        message("user", "My name is Ada."),
        said,
        {"role": "user", "content": [{"type": "input_text", "text": "What is my name?"}]},
    ]
    return unary(session.create(input=items))


@OPENAI_RESPONSES.check(portable=True)
def unicode(session: ResponsesSession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return unary(session.create(input='Grüße, 世界 🚢 "quoted" \\ \t tab'))


@OPENAI_RESPONSES.check(portable=True)
def stream_text(session: ResponsesSession) -> Any:
    """A stream holds the text in pieces between its events."""
    gist, whole = streamed(session.stream(input="Say hello."))
    expect(gist["text"] and gist["finish"] == "completed", "some text, finished", gist)
    return gist, whole


@OPENAI_RESPONSES.check(portable=True)
def max_tokens(session: ResponsesSession) -> Any:
    """A limit on output tokens leaves the response incomplete."""
    gist, whole = unary(session.create(input="Count to one hundred in words.", max_output_tokens=16))
    expect(gist["finish"] == "max_output_tokens" and gist["output_tokens"] <= 16, "stopped by the limit", gist)
    return gist, whole


@OPENAI_RESPONSES.check(portable=True)
def stream_max_tokens(session: ResponsesSession) -> Any:
    """The same for a stream."""
    gist, whole = streamed(session.stream(input="Count to one hundred in words.", max_output_tokens=16))
    expect(gist["finish"] == "max_output_tokens", "stopped by the limit", gist)
    return gist, whole


@OPENAI_RESPONSES.check(
    simulated=True,
    across=(*_ANSWER, "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    lost_in=["bedrock.converse", "gemini.generate"],
)
def usage_details(session: ResponsesSession) -> Any:
    """Cached and reasoning tokens are reported as parts of the totals."""
    answer = session.create(model=session.named("sim-usage"), input="Say hello.")
    usage = answer.usage
    expect(usage.input_tokens == 1_000, "all input tokens", usage)
    expect(usage.input_tokens_details.cached_tokens == 600, "the cached part", usage)
    expect(usage.output_tokens_details.reasoning_tokens == 50, "the hidden part", usage)
    gist, whole = unary(answer)
    gist["cached_tokens"] = usage.input_tokens_details.cached_tokens
    gist["cache_write_tokens"] = usage.input_tokens_details.cache_write_tokens
    gist["reasoning_tokens"] = usage.output_tokens_details.reasoning_tokens
    return gist, whole


@OPENAI_RESPONSES.check()
def echoes(session: ResponsesSession) -> Any:
    """A response repeats what it was asked for."""
    fields = {"metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9, "instructions": "Be brief.", "user": "someone"}
    answer = session.create(input="Say hello.", tools=[_WEATHER], parallel_tool_calls=False, **fields)
    for name, value in fields.items():
        expect(getattr(answer, name) == value, f"{name} is repeated", answer)
    expect(answer.tools[0].name == "get_weather" and answer.parallel_tool_calls is False, "the tools too", answer)
    return unary(answer)


@OPENAI_RESPONSES.check(across=_CALLS, needs=["tools"])
def tool_call(session: ResponsesSession) -> Any:
    """A forced tool is called with arguments that fit its schema."""
    choice = {"type": "function", "name": "get_weather"}
    answer = session.create(input="Weather in Paris?", tools=[_WEATHER, _CALENDAR], tool_choice=choice)
    gist, whole = unary(answer)
    calls = gist.get("tool_calls", [])
    expect([call["name"] for call in calls] == ["get_weather"], "the tool is called", calls)
    expect(set(calls[0]["arguments"]) >= {"city", "days"}, "arguments fit", calls)
    return gist, whole


@OPENAI_RESPONSES.check(across=_CALLS, needs=["tools"])
def stream_tool_call(session: ResponsesSession) -> Any:
    """The arguments of a streamed call arrive in pieces that join to JSON."""
    gist, whole = streamed(session.stream(input="Weather in Paris?", tools=[_WEATHER], tool_choice="required"))
    expect(set(gist["tool_calls"][0]["arguments"]) >= {"city", "days"}, "arguments fit", gist)
    return gist, whole


@OPENAI_RESPONSES.check(across=("text", "finish"), needs=["tools"])
def no_tool(session: ResponsesSession) -> Any:
    """``tool_choice: none`` answers in text."""
    gist, whole = unary(session.create(input="Hello.", tools=[_WEATHER], tool_choice="none"))
    expect(gist["text"], "some text", gist)
    return gist, whole


@OPENAI_RESPONSES.check(across=_ANSWER, needs=["tools"])
def tool_result(session: ResponsesSession) -> Any:
    """A tool's result goes back and is answered in text."""
    return _answered(session, "Sunny, 21 degrees.")


@OPENAI_RESPONSES.check(across=("finish", "saw_image"), needs=["tools", "vision"])
def tool_result_image(session: ResponsesSession) -> Any:
    """A tool's result may hold an image. Where it must move out of the result, the prompt's wording changes."""
    gist, whole = _answered(session, [{"type": "input_text", "text": "The sky:"}, _IMAGE])
    return gist | {"saw_image": "1 image" in gist["text"]}, whole


def _answered(session: ResponsesSession, output: Any) -> tuple[Any, Any]:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
    result = {"type": "function_call_output", "call_id": "call_1", "output": output}
    gist, whole = unary(session.create(input=[message("user", "Weather?"), call, result], tools=[_WEATHER]))
    expect(gist["text"] and gist["finish"] == "completed", "some text", gist)
    return gist, whole


@OPENAI_RESPONSES.check(simulated=True, across=(*_CALLS, "then"), needs=["tools"])
def parallel_tools(session: ResponsesSession) -> Any:
    """Two tools are called at once, and their results answered in a second turn."""
    fields = {"model": session.named("sim-parallel"), "tools": [_WEATHER, _CALENDAR]}
    question = message("user", "Weather and plans for Paris?")
    first = session.create(input=[question], **fields)
    gist, _ = unary(first)
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"], "two calls", gist)
    second = session.create(input=[question, *_sent_back(first), *_results(first)], **fields)
    gist["then"], _ = unary(second)
    expect(gist["then"]["text"], "the results are answered", gist["then"])
    return gist, [first, second]


def _sent_back(answer: Any) -> list[dict[str, Any]]:
    return [item.model_dump(exclude_none=True) for item in answer.output]


def _results(answer: Any) -> list[dict[str, Any]]:
    calls = [item for item in answer.output if item.type == "function_call"]
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": result}
        for call, result in zip(calls, RESULTS, strict=False)
    ]


@OPENAI_RESPONSES.check(simulated=True, across=("text", "finish", "tool_calls"), needs=["tools"])
def stream_parallel_tools(session: ResponsesSession) -> Any:
    """The same streamed, with some text before the calls."""
    events = session.stream(
        model=session.named("sim-talkative"), input="Weather and plans?", tools=[_WEATHER, _CALENDAR]
    )
    gist, whole = streamed(events)
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"] and gist["text"], "text, then two calls", gist)
    return gist, whole


@OPENAI_RESPONSES.check(simulated=True, across=_CALLS, needs=["tools"], lost_in=["gemini.generate"])
def one_tool_at_a_time(session: ResponsesSession) -> Any:
    """``parallel_tool_calls: false`` allows one call."""
    fields = {"tools": [_WEATHER, _CALENDAR], "parallel_tool_calls": False}
    gist, whole = unary(session.create(model=session.named("sim-parallel"), input="Weather and plans?", **fields))
    expect(len(gist.get("tool_calls", [])) == 1, "one call", gist)
    return gist, whole


@OPENAI_RESPONSES.check(across=_ANSWER, needs=["vision"])
def image(session: ResponsesSession) -> Any:
    """An image beside a text."""
    content = [{"type": "input_text", "text": "What is this?"}, _IMAGE]
    return unary(session.create(input=[{"role": "user", "content": content}]))


@OPENAI_RESPONSES.check(across=_ANSWER, needs=["vision"], lost_in=["bedrock.converse"])
def image_address(session: ResponsesSession) -> Any:
    """An image that the provider would fetch."""
    picture = {"type": "input_image", "detail": "auto", "image_url": "https://example.com/picture.png"}
    content = [{"type": "input_text", "text": "What is this?"}, picture]
    return unary(session.create(input=[{"role": "user", "content": content}]))


@OPENAI_RESPONSES.check(across=_ANSWER, needs=["documents"])
def document(session: ResponsesSession) -> Any:
    """A document beside a text."""
    file = {"type": "input_file", "filename": "page.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    content = [file, {"type": "input_text", "text": "What does it say?"}]
    return unary(session.create(input=[{"role": "user", "content": content}]))


@OPENAI_RESPONSES.check(across=("text", "finish"), needs=["json_schema"])
def json_schema(session: ResponsesSession) -> Any:
    """Structured output fits its schema."""
    return _structured(unary(session.create(input="Describe a boat as JSON.", text=_WANTED)))


@OPENAI_RESPONSES.check(across=("text", "finish"), needs=["json_schema"])
def stream_json_schema(session: ResponsesSession) -> Any:
    """The same streamed."""
    return _structured(streamed(session.stream(input="Describe a boat as JSON.", text=_WANTED)))


_WANTED = {"format": {"type": "json_schema", "name": "thing", "strict": True, "schema": THING_SCHEMA}}


def _structured(seen: tuple[Any, Any]) -> tuple[Any, Any]:
    value = decoded(seen[0]["text"])
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return seen


@OPENAI_RESPONSES.check()
def json_object(session: ResponsesSession) -> Any:
    """JSON mode gives one JSON object."""
    answer = session.create(input="Describe a boat as JSON.", text={"format": {"type": "json_object"}})
    expect(isinstance(decoded(answer.output_text), dict), "an object", answer)
    return unary(answer)


_REASONING = {"reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}


@OPENAI_RESPONSES.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def reasoning(session: ResponsesSession) -> Any:
    """A reasoning item comes first, with its words and its encrypted content."""
    answer = session.create(model=session.named("sim-reasoning"), input="Think.", **_REASONING)
    gist, whole = unary(answer)
    expect(gist.get("reasoning") == "First I think, then I answer.", "the words", gist)
    expect(answer.output[0].type == "reasoning" and answer.output[0].encrypted_content, "encrypted", answer)
    return gist, whole


@OPENAI_RESPONSES.check(simulated=True, across=("text", "finish", "reasoning"), needs=["reasoning"])
def stream_reasoning(session: ResponsesSession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream(model=session.named("sim-reasoning"), input="Think.", **_REASONING))
    expect(gist.get("reasoning") == "First I think, then I answer.", "the words", gist)
    return gist, whole


@OPENAI_RESPONSES.check(
    simulated=True, across=("text", "finish"), needs=["reasoning", "tools"], lost_in=["openai.chat", "gemini.generate"]
)
def reasoning_sent_back(session: ResponsesSession) -> Any:
    """The reasoning item goes back before the tool's result, and the provider knows it."""
    fields = {"model": session.named("sim-reasoning-tools"), "tools": [_WEATHER], **_REASONING}
    question = message("user", "Weather in Paris?")
    first = session.create(input=[question], **fields)
    kinds = [item.type for item in first.output]
    expect(kinds == ["reasoning", "function_call"], "reasoning, then a call", first)
    gist, second = unary(session.create(input=[question, *_sent_back(first), *_results(first)], **fields))
    expect("1 reasoning block" in gist["text"], "the provider saw its reasoning", gist)
    return gist, [first, second]


@OPENAI_RESPONSES.check(simulated=True, needs=["reasoning"])
def foreign_reasoning(session: ResponsesSession) -> Any:
    """A reasoning item whose content is not the provider's is a 400."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "Zm9yZWlnbg=="}
    items = [message("user", "Think."), item, message("assistant", "So."), message("user", "Again.")]
    return session.error(input=items)


@OPENAI_RESPONSES.check(
    across=("text", "finish", "logprobs"), needs=["logprobs"], lost_in=["anthropic.messages", "bedrock.converse"]
)
def logprobs(session: ResponsesSession) -> Any:
    """Each token has its log probability and the alternatives asked for."""
    fields = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    gist, whole = unary(session.create(input="Say hello.", **fields))
    _check_chances(gist)
    return gist, whole


@OPENAI_RESPONSES.check(
    across=("text", "finish", "logprobs"), needs=["logprobs"], lost_in=["anthropic.messages", "bedrock.converse"]
)
def stream_logprobs(session: ResponsesSession) -> Any:
    """The same streamed, beside each delta."""
    events = session.stream(input="Say hello.", include=["message.output_text.logprobs"], top_logprobs=2)
    gist, whole = streamed(events)
    _check_chances(gist)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    expect(all(event.logprobs for event in deltas), "each delta has its own", deltas[:1])
    return gist, whole


def _check_chances(gist: dict[str, Any]) -> None:
    rows = gist.get("logprobs") or []
    expect("".join(row[0] for row in rows) == gist["text"], "the tokens are the text", gist)
    expect(all(row[1] <= 0 and len(row[2]) == 2 for row in rows), "log probabilities, two alternatives", rows)


@OPENAI_RESPONSES.check(simulated=True, across=["refusal"], lost_in=["bedrock.converse", "gemini.generate"])
def refusal(session: ResponsesSession) -> Any:
    """A refusal is a content part of its own."""
    gist, whole = unary(session.create(model=session.named("sim-refusal"), input="Say it."))
    expect(gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@OPENAI_RESPONSES.check(simulated=True, across=["refusal"], lost_in=["bedrock.converse", "gemini.generate"])
def stream_refusal(session: ResponsesSession) -> Any:
    """The same streamed."""
    gist, whole = streamed(session.stream(model=session.named("sim-refusal"), input="Say it."))
    expect(gist.get("refusal") == "I will not answer that.", "the refusal", gist)
    return gist, whole


@OPENAI_RESPONSES.check(simulated=True)
def searches(session: ResponsesSession) -> Any:
    """Each search of the provider is an item of the output, whole and streamed."""
    answer = session.create(model=session.named("sim-searched"), input="Say hello.")
    kinds = [item.type for item in answer.output]
    expect(kinds.count("web_search_call") == 4 and kinds.count("file_search_call") == 1, "its searches", answer)
    events = session.stream(model=session.named("sim-searched"), input="Say hello.")
    done = [event.item.type for event in events if event.type == "response.output_item.done"]
    expect(done == kinds, "the same items streamed", done)
    return unary(answer)


@OPENAI_RESPONSES.check(simulated=True)
def service_tier(session: ResponsesSession) -> Any:
    """The answer names the tier that served it."""
    answer = session.create(input="Say hello.", service_tier="flex")
    expect(answer.service_tier == "flex", "the tier asked for", answer)
    return unary(answer)


@OPENAI_RESPONSES.check()
def previous_response(session: ResponsesSession) -> Any:
    """A stored response is continued."""
    first = session.create(input="My name is Ada.", store=True)
    second = session.create(input="What is my name?", previous_response_id=first.id)
    expect(second.previous_response_id == first.id, "the earlier one is named", second)
    alone, _ = unary(session.create(input="What is my name?"))
    gist, whole = unary(second)
    expect(gist["input_tokens"] > alone["input_tokens"], "the earlier turns count", (gist, alone))
    return gist, whole


@OPENAI_RESPONSES.check()
def unknown_previous_response(session: ResponsesSession) -> Any:
    """A response that was never stored cannot be continued."""
    return session.error(previous_response_id="resp_never_stored")


@OPENAI_RESPONSES.check()
def stream_helper(session: ResponsesSession) -> Any:
    """The SDK's own helper puts a stream together."""
    fields = {"model": session.model, "store": False, "tools": [_WEATHER], "tool_choice": "required"}
    helper = session.client.responses.stream
    return unary(session.assemble(helper, "get_final_response", input="Weather in Paris?", **fields))


@OPENAI_RESPONSES.check()
def count_tokens(session: ResponsesSession) -> Any:
    """A prompt is counted without an answer."""
    fields = {"model": session.model, "instructions": "Be brief.", "input": "Say hello.", "tools": [_WEATHER]}
    counted = session.call(session.client.responses.input_tokens.count, **fields)
    expect(counted.object == "response.input_tokens" and counted.input_tokens > 0, "some tokens", counted)
    return {"input_tokens": counted.input_tokens}, counted


@OPENAI_RESPONSES.check()
def wrong_key(session: ResponsesSession) -> Any:
    """A wrong key is a 401."""
    with session.with_key("sk-wrong") as client:
        return session.error(client)


@OPENAI_RESPONSES.check()
def unknown_model(session: ResponsesSession) -> Any:
    """An unknown model is a 404."""
    return session.error(model="missing-model")


@OPENAI_RESPONSES.check()
def invalid_request(session: ResponsesSession) -> Any:
    """A limit below the least is a 400."""
    return session.error(max_output_tokens=1)


@OPENAI_RESPONSES.check(portable=True)
def orphan_tool_result(session: ResponsesSession) -> Any:
    """A tool's result without a call is a 400."""
    result = {"type": "function_call_output", "call_id": "call_9", "output": "Sunny."}
    return session.error(input=[message("user", "Hello"), result])


@OPENAI_RESPONSES.check(portable=True)
def missing_tool_result(session: ResponsesSession) -> Any:
    """A call without its result is a 400."""
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    items = [message("user", "Weather?"), call, message("user", "Well?")]
    return session.error(input=items, tools=[_WEATHER])


@OPENAI_RESPONSES.check(portable=True)
def unknown_content(session: ResponsesSession) -> Any:
    """A part of a type that does not exist is a 400."""
    return session.error(input=[{"role": "user", "content": [{"type": "hologram", "text": "x"}]}])


@OPENAI_RESPONSES.check(portable=True)
def item_reference(session: ResponsesSession) -> Any:
    """A reference to an item that is not stored is refused."""
    kind = session.failure(
        session.client.responses.create,
        model=session.model,
        input=[{"type": "item_reference", "id": "msg_never_stored"}],
    )
    expect(400 <= getattr(kind, "status_code", 0) < 500, "refused", kind)
    return {"refused": True}, None


@OPENAI_RESPONSES.check(simulated=True, portable=True)
def context_too_long(session: ResponsesSession) -> Any:
    """A prompt over the context is a 400 with its own code."""
    return session.error(model=session.named("sim-small-context"), input="too long " * 100)


add_failures(OPENAI_RESPONSES, ResponsesSession.error)


@OPENAI_RESPONSES.check(simulated=True, portable=True)
def disconnect(session: ResponsesSession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    fields = {"model": session.named("sim-endless"), "input": "Talk.", "stream": True}
    return len(session.collect(session.client.responses.create, at_most=8, **fields)), None
