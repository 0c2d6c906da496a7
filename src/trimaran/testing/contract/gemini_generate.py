"""The contract of ``gemini.generate``, checked with ``google-genai``.

One flat list of short promises, in the order: texts, usage, tools, media, structure, endings, errors; thoughts have a module of
their own. The same suite judges Vertex AI's Gemini (:class:`GeminiSession` with ``vertexai=True``).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.failures import add_failures
from trimaran.testing.contract.gemini_session import (
    ONE_TOOL,
    TOOLS,
    GeminiSession,
    content,
    results,
    streamed,
    unary,
)
from trimaran.testing.contract.gemini_thinking import GEMINI_GENERATE
from trimaran.testing.contract.material import PDF, PIXEL, RESULTS, THING_SCHEMA, decoded
from trimaran.testing.contract.suite import expect

__all__ = ["GEMINI_GENERATE", "GeminiSession", "check_gemini_generate"]

_IMAGE = {"inline_data": {"mime_type": "image/png", "data": base64.b64decode(PIXEL)}}
_DOCUMENT = {"inline_data": {"mime_type": "application/pdf", "data": base64.b64decode(PDF)}}
_JSON: dict[str, Any] = {"response_mime_type": "application/json", "response_json_schema": THING_SCHEMA}
_ANSWER = ("text", "finish", "input_tokens", "output_tokens")
_CALLS = (*_ANSWER, "tool_calls")


def check_gemini_generate(
    base_url: str,
    key: str,
    *,
    model: str = "gemini-2.5-flash",
    asynchronous: bool = False,
    simulated: bool = True,
    rename: Callable[[str], str] = str,
) -> dict[str, dict[str, Any]]:
    """Run the whole suite; results by check. Raises :class:`~trimaran.testing.contract.ContractError`.

    ``simulated`` False leaves out the checks that need failures on demand, and makes the suite fit for a real provider.
    """
    with GeminiSession(base_url, key, model=model, asynchronous=asynchronous, rename=rename) as session:
        return GEMINI_GENERATE.run(session, simulated=simulated)


def _mode(mode: str, *names: str) -> dict[str, Any]:
    calling: dict[str, Any] = {"mode": mode}
    return {"function_calling_config": calling | ({"allowed_function_names": list(names)} if names else {})}


@GEMINI_GENERATE.check(portable=True)
def text(session: GeminiSession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = unary(session.create("Say hello."))
    expect(gist["text"] and gist["finish"] == "STOP", "some text, finished", gist)
    return gist, whole


@GEMINI_GENERATE.check(portable=True)
def system_prompt(session: GeminiSession) -> Any:
    """A system instruction."""
    return unary(session.create("What is the colour of the sky?", system_instruction="Answer in one word."))


@GEMINI_GENERATE.check(portable=True)
def multi_turn(session: GeminiSession) -> Any:
    """A conversation with several turns."""
    contents = [content("user", "My name is Ada."), content("model", "Hello Ada."), content("user", "What is my name?")]
    return unary(session.create(contents))


@GEMINI_GENERATE.check(across=("text", "finish"))
def several_parts(session: GeminiSession) -> Any:
    """Several texts in one content, and two contents of one side."""
    return unary(session.create([content("user", "One.", "Two."), content("user", "Three.")]))


@GEMINI_GENERATE.check(portable=True)
def unicode(session: GeminiSession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return unary(session.create('Grüße, 世界 🚢 "quoted" \\ \t tab'))


@GEMINI_GENERATE.check(portable=True)
def stream_text(session: GeminiSession) -> Any:
    """A stream holds the text in pieces."""
    gist, whole = streamed(session.stream("Say hello."))
    expect(gist["text"] and gist["finish"] == "STOP", "some text, finished", gist)
    return gist, whole


@GEMINI_GENERATE.check(portable=True)
def max_tokens(session: GeminiSession) -> Any:
    """The limit on output tokens ends the answer."""
    gist, whole = unary(session.create("Count to one hundred in words.", max_output_tokens=16))
    expect(gist["finish"] == "MAX_TOKENS" and gist["output_tokens"] <= 16, "stopped by the limit", gist)
    return gist, whole


@GEMINI_GENERATE.check(portable=True)
def stream_max_tokens(session: GeminiSession) -> Any:
    """The same for a stream."""
    gist, whole = streamed(session.stream("Count to one hundred in words.", max_output_tokens=16))
    expect(gist["finish"] == "MAX_TOKENS", "stopped by the limit", gist)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, across=["text", "output_tokens"], lost_in=["openai.responses"])
def stop_sequence_cuts(session: GeminiSession) -> Any:
    """The text ends before a stop sequence; nothing says that one ended it."""
    gist, whole = unary(session.create("Say hello.", stop_sequences=[" message"]))
    expect(gist["text"] and " message" not in gist["text"], "cut before the sequence", gist)
    expect(gist["finish"] == "STOP", "an ordinary end", gist)
    return gist, whole


@GEMINI_GENERATE.check()
def sampling(session: GeminiSession) -> Any:
    """Sampling parameters are taken."""
    return unary(session.create("Say hello.", temperature=0.5, top_p=0.9, top_k=20, seed=7))


@GEMINI_GENERATE.check(
    simulated=True, across=(*_ANSWER, "cached_tokens", "reasoning_tokens"), lost_in=["bedrock.converse"]
)
def usage_details(session: GeminiSession) -> Any:
    """Cached tokens are a part of the prompt's, thoughts stand beside the answer's."""
    answer = session.create("Say hello.", model=session.named("sim-usage"))
    usage = answer.usage_metadata
    expect(usage.prompt_token_count == 1_000, "all input", usage)
    expect(usage.cached_content_token_count == 600, "read from the cache", usage)
    expect(usage.thoughts_token_count == 50, "the hidden part", usage)
    gist, whole = unary(answer)
    gist["cached_tokens"], gist["reasoning_tokens"] = usage.cached_content_token_count, usage.thoughts_token_count
    return gist, whole


@GEMINI_GENERATE.check(
    simulated=True, across=(*_ANSWER, "cached_tokens", "reasoning_tokens"), lost_in=["bedrock.converse"]
)
def stream_usage_details(session: GeminiSession) -> Any:
    """The same streamed."""
    chunks = session.stream("Say hello.", model=session.named("sim-usage"))
    usage = chunks[-1].usage_metadata
    expect(usage.cached_content_token_count == 600 and usage.thoughts_token_count == 50, "the parts", usage)
    gist, whole = streamed(chunks)
    gist["cached_tokens"], gist["reasoning_tokens"] = usage.cached_content_token_count, usage.thoughts_token_count
    return gist, whole


@GEMINI_GENERATE.check(simulated=True)
def searches(session: GeminiSession) -> Any:
    """What the model searched on the web is told."""
    answer = session.create("Say hello.", model=session.named("sim-searched"), tools=[{"google_search": {}}])
    grounding = answer.candidates[0].grounding_metadata
    expect(len(grounding.web_search_queries) == 2, "two searches", grounding)
    return unary(answer)


@GEMINI_GENERATE.check(across=_CALLS, needs=["tools"])
def tool_use(session: GeminiSession) -> Any:
    """A function that must be called is called with arguments that fit its schema."""
    wanted = _mode("ANY", "get_weather")
    gist, whole = unary(session.create("Weather in Paris?", tools=TOOLS, tool_config=wanted))
    calls = gist.get("tool_calls", [])
    expect([call["name"] for call in calls] == ["get_weather"], "the function is called", gist)
    expect(set(calls[0]["arguments"]) >= {"city", "days"}, "arguments fit", calls)
    expect(gist["finish"] == "STOP", "calls end an answer ordinarily", gist)
    return gist, whole


@GEMINI_GENERATE.check(across=_CALLS, needs=["tools"])
def tool_use_openapi(session: GeminiSession) -> Any:
    """Parameters in OpenAPI's words, in place of a JSON schema."""
    properties = {"city": {"type": "STRING"}, "days": {"type": "INTEGER", "minimum": 1}}
    schema = {"type": "OBJECT", "properties": properties, "required": ["city", "days"]}
    tools = [{"function_declarations": [{"name": "get_weather", "description": "Weather.", "parameters": schema}]}]
    gist, whole = unary(session.create("Weather in Paris?", tools=tools, tool_config=_mode("ANY")))
    expect(set(gist["tool_calls"][0]["arguments"]) >= {"city", "days"}, "arguments fit", gist)
    return gist, whole


@GEMINI_GENERATE.check(across=("text", "finish", "tool_calls"), needs=["tools"])
def stream_tool_use(session: GeminiSession) -> Any:
    """A streamed call arrives whole, in one chunk."""
    gist, whole = streamed(session.stream("Weather in Paris?", tools=ONE_TOOL, tool_config=_mode("ANY")))
    expect(set(gist["tool_calls"][0]["arguments"]) >= {"city", "days"}, "arguments fit", gist)
    return gist, whole


@GEMINI_GENERATE.check(across=("text", "finish"), needs=["tools"])
def no_tool(session: GeminiSession) -> Any:
    """Mode ``NONE`` answers in text."""
    gist, whole = unary(session.create("Hello.", tools=ONE_TOOL, tool_config=_mode("NONE")))
    expect(gist["text"] and gist["finish"] == "STOP", "some text", gist)
    return gist, whole


@GEMINI_GENERATE.check(across=("text", "finish"), needs=["tools"])
def tool_result(session: GeminiSession) -> Any:
    """A function's result goes back and is answered in text."""
    return _answered(session, {"response": {"result": RESULTS[0]}})


@GEMINI_GENERATE.check(across=("finish", "saw_image"), needs=["tools", "vision"])
def tool_result_image(session: GeminiSession) -> Any:
    """A function's result may hold an image."""
    gist, whole = _answered(session, {"response": {"result": "The sky:"}, "parts": [_IMAGE]})
    return gist | {"saw_image": "1 image" in gist["text"]}, whole


def _answered(session: GeminiSession, result: dict[str, Any]) -> tuple[Any, Any]:
    call = {"function_call": {"name": "get_weather", "args": {"city": "Paris", "days": 1}}}
    response = {"function_response": {"name": "get_weather", **result}}
    contents = [content("user", "Weather in Paris?"), content("model", call), content("user", response)]
    gist, whole = unary(session.create(contents, tools=ONE_TOOL))
    expect(gist["text"] and gist["finish"] == "STOP", "some text", gist)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True, across=(*_CALLS, "then"), needs=["tools"])
def parallel_tools(session: GeminiSession) -> Any:
    """Two functions are called at once, and their results answered in a second turn."""
    fields: dict[str, Any] = {"model": session.named("sim-parallel"), "tools": TOOLS}
    question = content("user", "Weather and plans for Paris?")
    first = session.create([question], **fields)
    gist, _ = unary(first)
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"], "two functions are called", gist)
    second = session.create([question, first.candidates[0].content, content("user", *results(first))], **fields)
    gist["then"], _ = unary(second)
    # What a result of several members costs in another dialect is that one's to say.
    gist["then"].pop("input_tokens")
    expect(gist["then"]["text"] and gist["then"]["finish"] == "STOP", "the results are answered", gist["then"])
    return gist, [first, second]


@GEMINI_GENERATE.check(simulated=True, across=("text", "finish", "tool_calls"), needs=["tools"])
def stream_parallel_tools(session: GeminiSession) -> Any:
    """The same streamed, with some text before the calls."""
    gist, whole = streamed(session.stream("Weather and plans?", model=session.named("sim-talkative"), tools=TOOLS))
    names = [call["name"] for call in gist.get("tool_calls", [])]
    expect(names == ["get_weather", "get_calendar"] and gist["text"], "text, then two calls", gist)
    return gist, whole


@GEMINI_GENERATE.check(across=_ANSWER, needs=["vision"])
def image(session: GeminiSession) -> Any:
    """An image beside a text."""
    return unary(session.create([content("user", _IMAGE, "What is this?")]))


@GEMINI_GENERATE.check(across=_ANSWER, needs=["vision"], lost_in=["bedrock.converse"])
def image_address(session: GeminiSession) -> Any:
    """An image that the provider would fetch."""
    file = {"file_data": {"file_uri": "https://example.com/picture.png", "mime_type": "image/png"}}
    return unary(session.create([content("user", file, "What is this?")]))


@GEMINI_GENERATE.check(across=_ANSWER, needs=["documents"])
def document(session: GeminiSession) -> Any:
    """A document beside a text."""
    return unary(session.create([content("user", _DOCUMENT, "What does it say?")]))


@GEMINI_GENERATE.check(across=("text", "finish"), needs=["json_schema"])
def json_schema(session: GeminiSession) -> Any:
    """Structured output fits its schema."""
    return _structured(unary(session.create("Describe a boat as JSON.", **_JSON)))


@GEMINI_GENERATE.check(across=("text", "finish"), needs=["json_schema"])
def json_schema_openapi(session: GeminiSession) -> Any:
    """A schema in OpenAPI's words."""
    tags = {"type": "ARRAY", "items": {"type": "STRING"}, "min_items": 1}
    schema: dict[str, Any] = {
        "type": "OBJECT",
        "properties": {"name": {"type": "STRING"}, "tags": tags},
        "required": ["name", "tags"],
    }
    fields: dict[str, Any] = {"response_mime_type": "application/json", "response_schema": schema}
    return _structured(unary(session.create("Describe a boat as JSON.", **fields)))


@GEMINI_GENERATE.check(across=("text", "finish"), needs=["json_schema"])
def stream_json_schema(session: GeminiSession) -> Any:
    """The same streamed."""
    return _structured(streamed(session.stream("Describe a boat as JSON.", **_JSON)))


def _structured(seen: tuple[Any, Any]) -> tuple[Any, Any]:
    value = decoded(seen[0]["text"])
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return seen


@GEMINI_GENERATE.check()
def json_object(session: GeminiSession) -> Any:
    """JSON without a schema is any JSON."""
    gist, whole = unary(session.create("Describe a boat as JSON.", response_mime_type="application/json"))
    expect(isinstance(decoded(gist["text"]), dict), "an object", gist)
    return gist, whole


@GEMINI_GENERATE.check(simulated=True)
def refusal(session: GeminiSession) -> Any:
    """A refusal is the finish reason ``SAFETY`` and no text. It is explained beside it (``google-genai`` 3.6.1 shows that for
    Vertex AI only)."""
    return _refused(unary(session.create("Say it.", model=session.named("sim-refusal"))))


@GEMINI_GENERATE.check(simulated=True)
def stream_refusal(session: GeminiSession) -> Any:
    """The same streamed."""
    return _refused(streamed(session.stream("Say it.", model=session.named("sim-refusal"))))


def _refused(seen: tuple[Any, Any]) -> tuple[Any, Any]:
    gist = seen[0]
    expect(gist["finish"] == "SAFETY" and not gist["text"], "no text", gist)
    expect(gist["refusal"] in (None, "I will not answer that."), "the words, if any", gist)
    return seen


@GEMINI_GENERATE.check(simulated=True)
def blocked_prompt(session: GeminiSession) -> Any:
    """A prompt that is blocked has no candidate, but a reason and a count."""
    return _blocked(session.create("Say it.", model=session.named("sim-blocked")))


@GEMINI_GENERATE.check(simulated=True)
def stream_blocked_prompt(session: GeminiSession) -> Any:
    """The same streamed."""
    chunks = session.stream("Say it.", model=session.named("sim-blocked"))
    expect(len(chunks) == 1, "one chunk", chunks)
    return _blocked(chunks[0])


def _blocked(answer: Any) -> tuple[Any, Any]:
    expect(not answer.candidates, "no candidate", answer)
    expect(answer.usage_metadata.prompt_token_count, "a count", answer)
    reason = answer.prompt_feedback.block_reason.value
    expect(reason == "PROHIBITED_CONTENT", "a reason", answer)
    return {"reason": reason, "input_tokens": answer.usage_metadata.prompt_token_count}, answer


@GEMINI_GENERATE.check(simulated=True)
def other_ending(session: GeminiSession) -> Any:
    """Other finish reasons arrive as they are."""
    gist, whole = unary(session.create("Say it.", model=session.named("sim-recitation")))
    expect(gist["finish"] == "RECITATION", "the reason", gist)
    return gist, whole


@GEMINI_GENERATE.check()
def chat_helper(session: GeminiSession) -> Any:
    """The SDK's own helper keeps a conversation."""
    chat = session.facade().chats.create(model=session.model)
    session.call(chat.send_message, message="My name is Ada.")
    return unary(session.call(chat.send_message, message="What is my name?"))


@GEMINI_GENERATE.check()
def count_tokens(session: GeminiSession) -> Any:
    """A prompt is counted without an answer."""
    counted = session.call(session.models().count_tokens, model=session.model, contents="Say hello.")
    expect(counted.total_tokens > 0, "some tokens", counted)
    return {"total_tokens": counted.total_tokens}, counted


@GEMINI_GENERATE.check()
def wrong_key(session: GeminiSession) -> Any:
    """A wrong key is refused: a 400 on the Gemini API, a 401 on Vertex AI."""
    with session.with_key("wrong") as client:
        return session.error(client)


@GEMINI_GENERATE.check()
def unknown_model(session: GeminiSession) -> Any:
    """An unknown model is a 404."""
    return session.error(model="missing-model")


@GEMINI_GENERATE.check()
def unknown_field(session: GeminiSession) -> Any:
    """A field that does not exist is a 400."""
    return session.error(http_options={"extra_body": {"hologram": True}})


@GEMINI_GENERATE.check()
def out_of_range(session: GeminiSession) -> Any:
    """A temperature beyond 2 is a 400."""
    return session.error(temperature=2.5)


@GEMINI_GENERATE.check()
def too_many_stop_sequences(session: GeminiSession) -> Any:
    """More than five stop sequences are a 400."""
    return session.error(stop_sequences=list("abcdef"))


@GEMINI_GENERATE.check()
def thinking_level(session: GeminiSession) -> Any:
    """A thinking level is a 400 before generation 3."""
    return session.error(thinking_config={"thinking_level": "LOW"})


@GEMINI_GENERATE.check()
def schema_without_json(session: GeminiSession) -> Any:
    """A response schema without its MIME type is a 400."""
    return session.error(response_json_schema=THING_SCHEMA)


@GEMINI_GENERATE.check(portable=True)
def orphan_tool_result(session: GeminiSession) -> Any:
    """A function's response without a call is a 400."""
    response = {"function_response": {"name": "get_weather", "response": {"result": "Sunny."}}}
    return session.error(contents=[content("user", response)])


@GEMINI_GENERATE.check(portable=True)
def missing_tool_result(session: GeminiSession) -> Any:
    """A call without its response is a 400."""
    call = {"function_call": {"name": "get_weather", "args": {"city": "Paris", "days": 1}}}
    contents = [content("user", "Weather?"), content("model", call), content("user", "Well?")]
    return session.error(contents=contents, tools=ONE_TOOL)


@GEMINI_GENERATE.check(portable=True)
def unknown_role(session: GeminiSession) -> Any:
    """A role that does not exist is a 400."""
    return session.error(contents=[content("hologram", "Hello."), content("user", "Hello.")])


@GEMINI_GENERATE.check(simulated=True, portable=True)
def context_too_long(session: GeminiSession) -> Any:
    """A prompt over the context is a 400."""
    return session.error(model=session.named("sim-small-context"), contents="too long " * 100)


add_failures(GEMINI_GENERATE, GeminiSession.error)


@GEMINI_GENERATE.check(simulated=True, portable=True)
def disconnect(session: GeminiSession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    return len(session.stream("Talk.", model=session.named("sim-endless"), max_output_tokens=10_000, at_most=6)), None
