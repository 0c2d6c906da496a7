"""The contract of ``anthropic.messages``, checked with the ``anthropic`` SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.testing.contract.suite import Session, Suite, expect

__all__ = ["ANTHROPIC_MESSAGES", "AnthropicSession", "check_anthropic_messages"]

ANTHROPIC_MESSAGES: Suite[AnthropicSession] = Suite()
"""All checks of the dialect."""

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
_WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}


class AnthropicSession(Session):
    """An ``anthropic`` client. ``base_url`` has no ``/v1``; the SDK's own retries are off."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        model: str = "claude-haiku-4-5-20251001",
        asynchronous: bool = False,
        rename: Callable[[str], str] = str,
    ) -> None:
        import anthropic

        build = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
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
        """One unary message."""
        return self.call(self.client.messages.create, **{"model": self.model, "max_tokens": 200, **fields})

    def stream(self, **fields: Any) -> list[Any]:
        """All raw events of a streamed one."""
        fields = {"model": self.model, "max_tokens": 200, "stream": True, **fields}
        return self.collect(self.client.messages.create, **fields)

    def error(self, client: Any = None, **fields: Any) -> tuple[Any, None]:
        """What a failing call raised, as data: for a 4xx class, status and type; for a 5xx only that."""
        method = (client or self.client).messages.create
        error = self.failure(method, **{"model": self.model, "max_tokens": 200, "messages": user("Hello"), **fields})
        status = getattr(error, "status_code", None)
        if status is None:
            return {"class": type(error).__name__}, None
        if status >= 500:
            return {"class": "5xx"}, None
        return {"class": type(error).__name__, "status": status, "type": getattr(error, "type", None)}, None


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


def user(text: str) -> list[dict[str, Any]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def _unary(answer: Any) -> tuple[Any, Any]:
    expect(answer.type == "message" and answer.role == "assistant", "a message of the assistant", answer)
    usage = answer.usage
    gist = {
        "text": "".join(block.text for block in answer.content if block.type == "text"),
        "finish": answer.stop_reason,
        "input_tokens": _input_tokens(usage),
        "output_tokens": usage.output_tokens,
    }
    return gist, answer


def _streamed(events: list[Any]) -> tuple[Any, Any]:
    kinds = [event.type for event in events]
    expect(kinds[0] == "message_start" and kinds[-1] == "message_stop", "start and stop", kinds)
    expect(kinds.count("message_start") == kinds.count("message_stop") == 1, "one start, one stop", kinds)
    starts, stops = kinds.count("content_block_start"), kinds.count("content_block_stop")
    expect(starts == stops and starts > 0, "each block starts and stops", kinds)
    deltas = [event for event in events if event.type == "message_delta"]
    expect(deltas and deltas[-1].delta.stop_reason, "a stop reason", deltas)
    pieces = [event.delta for event in events if event.type == "content_block_delta"]
    gist = {
        "text": "".join(piece.text for piece in pieces if piece.type == "text_delta"),
        "finish": deltas[-1].delta.stop_reason,
        # Usage is cumulative, so the last event to state the input is right; who translates learns it only at the end.
        "input_tokens": max(_input_tokens(events[0].message.usage), _input_tokens(deltas[-1].usage)),
        "output_tokens": deltas[-1].usage.output_tokens,
    }
    return gist, events


def _input_tokens(usage: Any) -> int:
    return int(
        (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    )


@ANTHROPIC_MESSAGES.check(portable=True)
def text(session: AnthropicSession) -> Any:
    """A question gets an answer that stops by itself."""
    gist, whole = _unary(session.create(messages=user("Say hello.")))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text, finished", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(portable=True)
def system_prompt(session: AnthropicSession) -> Any:
    """A system prompt as a string."""
    return _unary(session.create(system="Answer in one word.", messages=user("What is the colour of the sky?")))


@ANTHROPIC_MESSAGES.check()
def system_blocks(session: AnthropicSession) -> Any:
    """A system prompt as blocks with a cache breakpoint."""
    block = {"type": "text", "text": "Answer in one word.", "cache_control": {"type": "ephemeral"}}
    return _unary(session.create(system=[block], messages=user("What is the colour of the sky?")))


@ANTHROPIC_MESSAGES.check(portable=True)
def multi_turn(session: AnthropicSession) -> Any:
    """A conversation with several turns, content as string and as blocks."""
    messages = [
        *user("My name is Ada."),
        {"role": "assistant", "content": [{"type": "text", "text": "Hello Ada."}]},
        *user("What is my name?"),
    ]
    return _unary(session.create(messages=messages))


@ANTHROPIC_MESSAGES.check(portable=True)
def unicode(session: AnthropicSession) -> Any:
    """Text beyond ASCII and JSON's special characters survive."""
    return _unary(session.create(messages=user('Grüße, 世界 🚢 "quoted" \\ \t tab')))


@ANTHROPIC_MESSAGES.check(portable=True)
def stream_text(session: AnthropicSession) -> Any:
    """A stream holds the text in pieces between its events."""
    gist, whole = _streamed(session.stream(messages=user("Say hello.")))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text, finished", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(portable=True)
def max_tokens(session: AnthropicSession) -> Any:
    """The limit on output tokens ends the answer."""
    gist, whole = _unary(session.create(messages=user("Count to one hundred in words."), max_tokens=5))
    expect(gist["finish"] == "max_tokens" and gist["output_tokens"] <= 5, "stopped by the limit", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(portable=True)
def stream_max_tokens(session: AnthropicSession) -> Any:
    """The same for a stream."""
    gist, whole = _streamed(session.stream(messages=user("Count to one hundred in words."), max_tokens=5))
    expect(gist["finish"] == "max_tokens", "stopped by the limit", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True)
def stop_sequence(session: AnthropicSession) -> Any:
    """A stop sequence ends the answer before it and is named."""
    answer = session.create(messages=user("Say hello."), stop_sequences=[" message"])
    expect(answer.stop_reason == "stop_sequence" and answer.stop_sequence == " message", "named", answer)
    gist, whole = _unary(answer)
    expect(" message" not in gist["text"], "cut before the sequence", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check(simulated=True)
def usage_details(session: AnthropicSession) -> Any:
    """Cached tokens are reported beside the other input tokens."""
    answer = session.create(model=session.named("sim-usage"), messages=user("Say hello."))
    usage = answer.usage
    expect(usage.cache_read_input_tokens == 600, "read from the cache", usage)
    expect(usage.cache_creation_input_tokens == 100, "written to the cache", usage)
    expect(usage.input_tokens == 300, "the rest", usage)
    return _unary(answer)


@ANTHROPIC_MESSAGES.check()
def tool_use(session: AnthropicSession) -> Any:
    """A forced tool is called with input that fits its schema."""
    choice = {"type": "tool", "name": "get_weather"}
    answer = session.create(messages=user("Weather in Paris?"), tools=[_WEATHER], tool_choice=choice)
    uses = [block for block in answer.content if block.type == "tool_use"]
    expect(answer.stop_reason == "tool_use" and uses, "the tool is used", answer)
    expect(uses[0].name == "get_weather" and set(uses[0].input) >= {"city", "days"}, "input fits", uses)
    return _unary(answer)


@ANTHROPIC_MESSAGES.check()
def stream_tool_use(session: AnthropicSession) -> Any:
    """The input of a streamed tool use arrives in pieces that join to JSON."""
    events = session.stream(messages=user("Weather in Paris?"), tools=[_WEATHER], tool_choice={"type": "any"})
    pieces = [event.delta for event in events if event.type == "content_block_delta"]
    joined = "".join(piece.partial_json for piece in pieces if piece.type == "input_json_delta")
    expect(set(_json(joined)) >= {"city", "days"}, "input fits", joined)
    return _streamed(events)


@ANTHROPIC_MESSAGES.check()
def tool_result(session: AnthropicSession) -> Any:
    """A tool's result goes back and is answered in text."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris", "days": 1}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Sunny, 21 degrees."}
    messages = [
        *user("Weather in Paris?"),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    gist, whole = _unary(session.create(messages=messages, tools=[_WEATHER]))
    expect(gist["text"] and gist["finish"] == "end_turn", "some text", gist)
    return gist, whole


@ANTHROPIC_MESSAGES.check()
def image(session: AnthropicSession) -> Any:
    """An image beside a text."""
    source = {"type": "base64", "media_type": "image/png", "data": _PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    return _unary(session.create(messages=[{"role": "user", "content": content}]))


@ANTHROPIC_MESSAGES.check()
def json_schema(session: AnthropicSession) -> Any:
    """Structured output fits its schema."""
    config = {"format": {"type": "json_schema", "schema": _SCHEMA}}
    answer = session.create(messages=user("Describe a boat as JSON."), output_config=config)
    gist, whole = _unary(answer)
    value = _json(gist["text"])
    expect(isinstance(value["name"], str) and isinstance(value["tags"], list), "the schema", value)
    return gist, whole


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


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def context_too_long(session: AnthropicSession) -> Any:
    """A prompt over the context is a 400."""
    return session.error(model=session.named("sim-small-context"), messages=user("too long " * 100))


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def rate_limited(session: AnthropicSession) -> Any:
    """429 stays 429."""
    return session.error(model=session.named("sim-rate-limited"))


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def rate_limited_stream(session: AnthropicSession) -> Any:
    """429 before a stream starts is an ordinary 429."""
    return session.error(model=session.named("sim-rate-limited"), stream=True)


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def server_error(session: AnthropicSession) -> Any:
    """5xx stays 5xx."""
    return session.error(model=session.named("sim-server-error"))


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def overloaded(session: AnthropicSession) -> Any:
    """503 stays 5xx."""
    return session.error(model=session.named("sim-overloaded"))


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def timeout(session: AnthropicSession) -> Any:
    """The client's own timeout works."""
    with session.impatient() as client:
        return session.error(client, model=session.named("sim-silent"))


@ANTHROPIC_MESSAGES.check(simulated=True, portable=True)
def disconnect(session: AnthropicSession) -> Any:
    """A client may leave in the middle of a stream. Whoever runs this asks the provider's log whether it was told."""
    method = session.client.messages.create
    fields = {"model": session.named("sim-endless"), "max_tokens": 10_000, "messages": user("Talk."), "stream": True}
    return len(session.collect(method, at_most=6, **fields)), None


def _json(text: str) -> Any:
    import msgspec

    return msgspec.json.decode(text)
