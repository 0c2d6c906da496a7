"""The contract of ``openai.chat``, checked with the ``openai`` SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.suite import Session, Suite, expect

__all__ = ["OPENAI_CHAT", "OpenAISession", "check_openai_chat"]

OPENAI_CHAT: Suite[OpenAISession] = Suite()
"""All checks of the dialect."""

_PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}


class OpenAISession(Session):
    """An ``openai`` client. ``base_url`` ends with ``/v1``; the SDK's own retries are off."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "gpt-4o-mini",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
    ) -> None:
        import openai

        build = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        super().__init__(
            build,
            model=model,
            asynchronous=asynchronous,
            rename=rename,
            base_url=base_url,
            api_key=key,
            max_retries=0,
            timeout=20.0,
        )

    def create(self, **fields: Any) -> Any:
        """One unary chat completion."""
        return self.call(self.client.chat.completions.create, **{"model": self.model, **fields})

    def stream(self, **fields: Any) -> list[Any]:
        """All chunks of a streamed one."""
        return self.collect(self.client.chat.completions.create, **{"model": self.model, "stream": True, **fields})

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: class and status, for a 4xx also the code."""
        method = (client or self.client).chat.completions.create
        error = self.failure(method, **{"model": self.model, "messages": user("Hello"), **fields})
        seen: dict[str, Any] = {"class": type(error).__name__}
        if (status := getattr(error, "status_code", None)) is not None and status < 500:
            seen |= {"status": status, "code": getattr(error, "code", None)}
        return seen, None


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


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def _unary(answer: Any) -> tuple[Any, Any]:
    expect(answer.object == "chat.completion", "object is chat.completion", answer.object)
    expect(len(answer.choices) == 1, "one choice", answer.choices)
    usage = answer.usage
    expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "total is the sum", usage)
    choice = answer.choices[0]
    gist = {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
    }
    return gist, answer


def _streamed(chunks: list[Any]) -> tuple[Any, Any]:
    expect(len({chunk.id for chunk in chunks}) == 1, "all chunks share one id", [chunk.id for chunk in chunks])
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    expect(choices[0].delta.role == "assistant", "the first delta names the role", choices[0])
    finishes = [choice.finish_reason for choice in choices if choice.finish_reason]
    expect(len(finishes) == 1 and choices[-1].finish_reason, "one finish reason, in the last choice", finishes)
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    gist: dict[str, Any] = {
        "text": "".join(choice.delta.content or "" for choice in choices),
        "finish": finishes[0],
    }
    if usages:
        expect(len(usages) == 1 and not chunks[-1].choices, "usage once, in a last chunk without choices", chunks[-1])
        gist |= {"input_tokens": usages[0].prompt_tokens, "output_tokens": usages[0].completion_tokens}
    return gist, chunks


@OPENAI_CHAT.check(portable=True)
def text(session: OpenAISession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = _unary(session.create(messages=user("Say hello.")))
    expect(gist["text"] and gist["finish"] == "stop", "some text, finished", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def system_prompt(session: OpenAISession) -> Any:
    """System messages are taken."""
    messages = [{"role": "system", "content": "Answer in one word."}, *user("What is the colour of the sky?")]
    return _unary(session.create(messages=messages))


@OPENAI_CHAT.check(portable=True)
def multi_turn(session: OpenAISession) -> Any:
    """A conversation with several turns."""
    messages = [*user("My name is Ada."), {"role": "assistant", "content": "Hello Ada."}, *user("What is my name?")]
    return _unary(session.create(messages=messages))


@OPENAI_CHAT.check()
def content_parts(session: OpenAISession) -> Any:
    """Content as a list of text parts."""
    parts = [{"type": "text", "text": "First part."}, {"type": "text", "text": "Second part."}]
    return _unary(session.create(messages=[{"role": "user", "content": parts}]))


@OPENAI_CHAT.check(portable=True)
def unicode(session: OpenAISession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return _unary(session.create(messages=user('Grüße, 世界 🚢 "quoted" \\ \t tab')))


@OPENAI_CHAT.check(portable=True)
def stream_text(session: OpenAISession) -> Any:
    """A stream holds the text in pieces, and no usage that was not asked for."""
    gist, whole = _streamed(session.stream(messages=user("Say hello.")))
    expect("input_tokens" not in gist, "no usage unless asked for", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def stream_usage(session: OpenAISession) -> Any:
    """``stream_options.include_usage`` adds one chunk with the usage."""
    gist, whole = _streamed(session.stream(messages=user("Say hello."), stream_options={"include_usage": True}))
    expect("input_tokens" in gist, "usage was asked for", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def max_tokens(session: OpenAISession) -> Any:
    """A limit on output tokens ends the answer with ``length``."""
    gist, whole = _unary(session.create(messages=user("Count to one hundred in words."), max_completion_tokens=5))
    expect(gist["finish"] == "length" and gist["output_tokens"] <= 5, "stopped by the limit", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True)
def stream_max_tokens(session: OpenAISession) -> Any:
    """The same for a stream."""
    gist, whole = _streamed(session.stream(messages=user("Count to one hundred in words."), max_tokens=5))
    expect(gist["finish"] == "length", "stopped by the limit", gist)
    return gist, whole


@OPENAI_CHAT.check(portable=True, simulated=True)
def stop_sequence(session: OpenAISession) -> Any:
    """A stop sequence ends the answer before it and is not part of it."""
    gist, whole = _unary(session.create(messages=user("Say hello."), stop=[" message"]))
    expect(gist["finish"] == "stop" and " message" not in gist["text"], "cut before the sequence", gist)
    return gist, whole


@OPENAI_CHAT.check(simulated=True)
def usage_details(session: OpenAISession) -> Any:
    """Cached and reasoning tokens are reported as parts of the totals."""
    answer = session.create(model=session.named("sim-usage"), messages=user("Say hello."))
    usage = answer.usage
    expect(usage.prompt_tokens == 1_000, "all input tokens", usage)
    expect(usage.prompt_tokens_details.cached_tokens == 600, "the cached part", usage)
    expect(usage.completion_tokens_details.reasoning_tokens == 50, "the hidden part", usage)
    return _unary(answer)


@OPENAI_CHAT.check()
def tool_call(session: OpenAISession) -> Any:
    """A forced tool is called with arguments that fit its schema."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    answer = session.create(messages=user("Weather in Paris?"), tools=[_WEATHER], tool_choice=choice)
    calls = answer.choices[0].message.tool_calls
    expect(calls and calls[0].function.name == "get_weather", "the tool is called", calls)
    expect(set(_json(calls[0].function.arguments)) >= {"city", "days"}, "arguments fit", calls)
    return _unary(answer)


@OPENAI_CHAT.check()
def stream_tool_call(session: OpenAISession) -> Any:
    """The arguments of a streamed call arrive in pieces that join to JSON."""
    chunks = session.stream(messages=user("Weather in Paris?"), tools=[_WEATHER], tool_choice="required")
    deltas = [call for chunk in chunks for c in chunk.choices for call in c.delta.tool_calls or ()]
    expect(deltas[0].id and deltas[0].function.name == "get_weather", "the first delta names the call", deltas[0])
    arguments = "".join(delta.function.arguments or "" for delta in deltas)
    expect(set(_json(arguments)) >= {"city", "days"}, "arguments fit", arguments)
    return _streamed(chunks)


@OPENAI_CHAT.check()
def tool_result(session: OpenAISession) -> Any:
    """A tool's result goes back and is answered in text."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    messages = [
        *user("Weather in Paris?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 21 degrees."},
    ]
    gist, whole = _unary(session.create(messages=messages, tools=[_WEATHER]))
    expect(gist["text"] and gist["finish"] == "stop", "some text", gist)
    return gist, whole


@OPENAI_CHAT.check()
def image(session: OpenAISession) -> Any:
    """An image beside a text."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": _PIXEL}}]
    return _unary(session.create(messages=[{"role": "user", "content": parts}]))


@OPENAI_CHAT.check()
def json_schema(session: OpenAISession) -> Any:
    """Structured output fits its schema."""
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": _SCHEMA}}
    answer = session.create(messages=user("Describe a boat as JSON."), response_format=wanted)
    value = _json(answer.choices[0].message.content)
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return _unary(answer)


@OPENAI_CHAT.check()
def json_object(session: OpenAISession) -> Any:
    """JSON mode gives one JSON object."""
    answer = session.create(messages=user("Describe a boat as JSON."), response_format={"type": "json_object"})
    expect(isinstance(_json(answer.choices[0].message.content), dict), "an object", answer)
    return _unary(answer)


@OPENAI_CHAT.check()
def unknown_field(session: OpenAISession) -> Any:
    """Metadata and other fields that the other side may not know do no harm."""
    fields = {"user": "someone", "metadata": {"a": "b"}, "store": False}
    return _unary(session.create(messages=user("Say hello."), **fields))


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


@OPENAI_CHAT.check(simulated=True, portable=True)
def context_too_long(session: OpenAISession) -> Any:
    """A prompt over the context is a 400 with its own code."""
    return session.error(model=session.named("sim-small-context"), messages=user("too long " * 100))


@OPENAI_CHAT.check(simulated=True, portable=True)
def rate_limited(session: OpenAISession) -> Any:
    """429 stays 429."""
    return session.error(model=session.named("sim-rate-limited"))


@OPENAI_CHAT.check(simulated=True, portable=True)
def rate_limited_stream(session: OpenAISession) -> Any:
    """429 before a stream starts is an ordinary 429."""
    return session.error(model=session.named("sim-rate-limited"), stream=True)


@OPENAI_CHAT.check(simulated=True, portable=True)
def server_error(session: OpenAISession) -> Any:
    """5xx stays in its class."""
    return session.error(model=session.named("sim-server-error"))


@OPENAI_CHAT.check(simulated=True, portable=True)
def overloaded(session: OpenAISession) -> Any:
    """503 stays in its class."""
    return session.error(model=session.named("sim-overloaded"))


@OPENAI_CHAT.check(simulated=True, portable=True)
def timeout(session: OpenAISession) -> Any:
    """The client's own timeout works."""
    with session.impatient() as client:
        return session.error(client, model=session.named("sim-silent"))


@OPENAI_CHAT.check(simulated=True, portable=True)
def disconnect(session: OpenAISession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    method = session.client.chat.completions.create
    fields = {"model": session.named("sim-endless"), "messages": user("Talk."), "stream": True}
    chunks = session.collect(method, at_most=4, **fields)
    return len(chunks), None


def _json(text: str) -> Any:
    import msgspec

    return msgspec.json.decode(text)
