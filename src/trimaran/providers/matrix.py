"""What becomes of each feature on its way from a client's dialect to a provider: found out by doing it.

A request that uses one feature is written in the client's dialect, read as the road reads it, and translated for a
target of each provider. Answers go the other way: an answer with one feature is written in the target's dialect,
translated, and read again in the client's; a feature is carried when it comes out as it went in. Nothing here is a
claim: change a codec and the table changes, and ``docs/reference/matrix.md`` with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, UnsupportedFeature
from trimaran.providers.rows import PROVIDERS
from trimaran.types import Capabilities, Target, Usage
from trimaran.wire import DIALECTS, ChatDialect, Dialect, Envelope, translate
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    ReasoningControl,
    Refusal,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trimaran.wire.events import Answer
from trimaran.wire.gemini_generate.signatures import wrapped as wrapped_signature
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import unwrap_state

__all__ = ["ANSWER_FEATURES", "REQUEST_FEATURES", "Cell", "answer_matrix", "chat_dialects", "groups", "request_matrix"]

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_PDF = "JVBERi0xLjQKJUVPRgo="
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL = Tool("weather", "Tells the weather.", _SCHEMA, strict=True)
_CLOCK = Tool("clock", "Tells the time.", _SCHEMA, strict=True)
_CALL = ToolCall("call_1", "weather", '{"city":"Paris"}')
_REASONING = ("reasoning_content", "reasoning_details")
_CALLS = [_CALL, ToolCall("call_2", "clock", '{"city":"Paris"}')]


class Cell(msgspec.Struct, frozen=True):
    """One entry of the table."""

    verdict: str
    """``passes``, ``translated``, ``emulated``, ``left out``, ``refused``; for answers ``carried`` or ``lost``; empty where
    the feature cannot be said in the dialect it starts from."""
    detail: str = ""


def _base() -> ChatRequest:
    return ChatRequest(model="m", messages=[Message("user", [Text("What is the weather?")])], max_output_tokens=4096)


def _with(**fields: Any) -> ChatRequest:
    return msgspec.structs.replace(_base(), **fields)


def _user(*parts: Part) -> ChatRequest:
    return _with(messages=[Message("user", [Text("Look at this."), *parts])])


def _history(*turns: Message, **fields: Any) -> ChatRequest:
    return _with(messages=[Message("user", [Text("Hello")]), *turns], **fields)


def _results(*results: ToolResult) -> ChatRequest:
    calls = _CALLS[: len(results)]
    return _history(Message("assistant", [*calls]), Message("user", [*results]), tools=[_TOOL, _CLOCK])


def _thought(origin: str = "") -> Callable[[ChatDialect], bytes | None]:
    """A turn with reasoning of ``origin`` (empty: of the client's own dialect), as an answer gave it to the client."""

    def make(client: ChatDialect) -> bytes | None:
        if origin == client.name:
            return None
        thought = Reasoning("It rains.", "c3RhdGU=", origin or client.name, "rs_1", summary=True)
        answer = msgspec.json.decode(client.encode_answer(Answer("a", "m", [thought, Text("Rain.")], "stop"), 0))
        body = msgspec.json.decode(_written(client, _history()) or b"{}")
        next_turn: dict[str, Any] = {"role": "user", "content": "And now?"}
        if client.name == "gemini.generate":
            body["contents"] += [answer["candidates"][0]["content"], {"role": "user", "parts": [{"text": "And now?"}]}]
        elif client.name == "bedrock.converse":
            body["messages"] += [answer["output"]["message"], {"role": "user", "content": [{"text": "And now?"}]}]
        elif "output" in answer:
            body["input"] += [*answer["output"], next_turn]
        else:
            said = answer["choices"][0]["message"] if "choices" in answer else answer
            kept = {key: said[key] for key in ("role", "content", *_REASONING) if key in said}
            body["messages"] += [kept, next_turn]
        return msgspec.json.encode(body)

    return make


REQUEST_FEATURES: dict[str, ChatRequest | Callable[[ChatDialect], bytes | None]] = {
    "text": _with(),
    "instructions": _with(system=[Text("Be brief.")]),
    "several turns": _history(Message("assistant", [Text("Hi")]), Message("user", [Text("How are you?")])),
    "instructions midway": _history(
        Message("assistant", [Text("Hi")]), Message("system", [Text("Be brief.")]), Message("user", [Text("Go on")])
    ),
    "an assistant's turn to continue": _history(Message("assistant", [Text("The answer is")])),
    "image, inline": _user(Image("image/png", _PIXEL)),
    "image, by URL": _user(Image(url="https://example.com/a.png")),
    "image detail": _user(Image("image/png", _PIXEL, detail="low")),
    "PDF, inline": _user(Document("application/pdf", _PDF, name="a.pdf")),
    "PDF, by URL": _user(Document("application/pdf", url="https://example.com/a.pdf")),
    "text document": _user(Document("text/plain", text="A text.", name="a.txt")),
    "audio": _user(Audio("wav", "UklGRg==")),
    "tools": _with(tools=[_TOOL]),
    "a tool forced": _with(tools=[_TOOL], tool_choice=ToolChoice("named", "weather")),
    "any tool forced": _with(tools=[_TOOL], tool_choice=ToolChoice("required")),
    "tools forbidden": _with(tools=[_TOOL], tool_choice=ToolChoice("none")),
    "one tool call at a time": _with(tools=[_TOOL], parallel_tool_calls=False),
    "tool result": _results(ToolResult("call_1", [Text("rain")])),
    "parallel tool results": _results(ToolResult("call_1", [Text("rain")]), ToolResult("call_2", [Text("12:00")])),
    "failed tool": _results(ToolResult("call_1", [Text("no network")], is_error=True)),
    "failed tool, without a word": _results(ToolResult("call_1", [], is_error=True)),
    "picture as tool result": _results(ToolResult("call_1", [Image("image/png", _PIXEL)])),
    "JSON schema": _with(response_format=ResponseFormat("json_schema", "output", _SCHEMA, strict=True)),
    "JSON schema, a property optional": _with(
        response_format=ResponseFormat("json_schema", "output", _SCHEMA | {"required": []}, strict=True)
    ),
    "JSON object": _with(response_format=ResponseFormat("json_object")),
    "reasoning effort": _with(reasoning=ReasoningControl("medium"), max_output_tokens=16384),
    "reasoning budget": _with(reasoning=ReasoningControl(budget_tokens=8192), max_output_tokens=16384),
    "own reasoning returned": _thought(),
    "Anthropic's reasoning returned": _thought("anthropic.messages"),
    "OpenAI's reasoning returned": _thought("openai.responses"),
    "Bedrock's reasoning returned": _thought("bedrock.converse"),
    "Gemini's reasoning returned": _thought("gemini.generate"),
    "temperature, top_p": _with(temperature=0.5, top_p=0.9),
    "temperature above 1": _with(temperature=1.5),
    "top_k": _with(top_k=40),
    "seed": _with(seed=7),
    "penalties": _with(frequency_penalty=0.5, presence_penalty=0.5),
    "logit bias": _with(logit_bias={"100": -100.0}),
    "log-probabilities": _with(logprobs=2),
    "stop sequences": _with(stop=["END"]),
    "verbosity": _with(verbosity="low"),
    "service tier: priority": _with(service_tier="priority"),
    "service tier: standard": _with(service_tier="standard"),
    "cache markers, 5 minutes": _with(system=[Text("Be brief.", cache="5m")]),
    "cache markers, 1 hour": _with(system=[Text("Be brief.", cache="1h")]),
    "cache key": _with(cache_key="k"),
    "end user": _with(user="u-1"),
    "labels": _with(metadata={"team": "a"}),
    "streaming": _with(stream=True),
}
"""By name: a request that uses it, or how a client of a dialect writes one."""


def _said(*parts: Part, reason: str = "stop", **fields: Any) -> Callable[[str], Answer]:
    return lambda dialect: Answer("a1", "m", list(parts), reason, usage=Usage(10, 5), **fields)


def _used(usage: Usage) -> Callable[[str], Answer]:
    return lambda dialect: Answer("a1", "m", [Text("Hi")], "stop", usage=usage)


def _thinking(dialect: str) -> Answer:
    thought = Reasoning("It rains.", "c3RhdGU=", dialect, "rs_1", summary=True)
    return Answer("a1", "m", [thought, Text("Rain.")], "stop", usage=Usage(10, 5))


def _parts(kind: type) -> Callable[[Answer], Any]:
    return lambda answer: [part for part in answer.parts if isinstance(part, kind)]


def _reasoned(get: Callable[[Reasoning], Any]) -> Callable[[Answer], Any]:
    return lambda answer: [get(part) for part in answer.parts if isinstance(part, Reasoning)]


def _state(part: Reasoning) -> str:
    """The issuer's own, wherever a dialect wraps it."""
    state = part.state
    if state.startswith("["):
        # Chat Completions keeps it in a list of details.
        state = msgspec.json.decode(state)[0].get("signature", "")
    # Gemini keeps it in base64.
    wrapped = unwrap_state(wrapped_signature(state) or state)
    return part.state if wrapped is None else wrapped.state


def _calls(answer: Answer) -> Any:
    return [(part.name, msgspec.json.decode(part.arguments)) for part in answer.parts if isinstance(part, ToolCall)]


def _usage(field: str) -> Callable[[Answer], Any]:
    return lambda answer: getattr(answer.usage, field) if answer.usage is not None else None


_LOGPROBS = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]

ANSWER_FEATURES: dict[str, tuple[Callable[[str], Answer], Callable[[Answer], Any], Any]] = {
    "text": (_said(Text("Hi")), lambda a: a.text, "Hi"),
    "tool call": (_said(_CALL, reason="tool_calls"), _calls, [("weather", {"city": "Paris"})]),
    "tool call ids": (_said(_CALL, reason="tool_calls"), lambda a: [p.id for p in _parts(ToolCall)(a)], ["call_1"]),
    "parallel tool calls": (_said(*_CALLS, reason="tool_calls"), lambda a: len(_calls(a)), 2),
    "text before a tool call": (_said(Text("Let me see."), _CALL, reason="tool_calls"), lambda a: a.text, "Let me see."),
    "reasoning": (_thinking, _reasoned(lambda part: part.text), ["It rains."]),
    "reasoning state": (_thinking, _reasoned(_state), ["c3RhdGU="]),
    "refusal": (_said(Refusal("No."), reason="content_filter"), lambda a: a.text, "No."),
    "stop reason: stop": (_said(Text("Hi")), lambda a: a.finish_reason, "stop"),
    "stop reason: length": (_said(Text("Hi"), reason="length"), lambda a: a.finish_reason, "length"),
    "stop reason: tool calls": (_said(_CALL, reason="tool_calls"), lambda a: a.finish_reason, "tool_calls"),
    "stop reason: refusal": (
        _said(Text("Hi"), reason="content_filter"), lambda a: a.finish_reason, "content_filter",
    ),
    "stop reason: stop sequence": (
        _said(Text("Hi"), reason="stop_sequence", stop_sequence="END"), lambda a: a.finish_reason, "stop_sequence",
    ),
    "stop reason: context full": (
        _said(Text("Hi"), reason="context_window"), lambda a: a.finish_reason, "context_window",
    ),
    "the stop sequence": (
        _said(Text("Hi"), reason="stop_sequence", stop_sequence="END"), lambda a: a.stop_sequence, "END",
    ),
    "input tokens": (_used(Usage(10, 5)), _usage("input_tokens"), 10),
    "output tokens": (_used(Usage(10, 5)), _usage("output_tokens"), 5),
    "cached tokens read": (_used(Usage(10, 5, cached_read_tokens=4)), _usage("cached_read_tokens"), 4),
    "cached tokens written": (_used(Usage(10, 5, cache_write_tokens=4)), _usage("cache_write_tokens"), 4),
    "cached tokens written for an hour": (
        _used(Usage(10, 5, cache_write_tokens=4, cache_write_1h_tokens=3)), _usage("cache_write_1h_tokens"), 3,
    ),
    "reasoning tokens": (_used(Usage(10, 5, reasoning_tokens=3)), _usage("reasoning_tokens"), 3),
    "audio tokens in": (_used(Usage(10, 5, audio_input_tokens=3)), _usage("audio_input_tokens"), 3),
    "audio tokens out": (_used(Usage(10, 5, audio_output_tokens=3)), _usage("audio_output_tokens"), 3),
    "service tier": (_said(Text("Hi"), service_tier="priority"), lambda a: a.service_tier, "priority"),
    "log-probabilities": (
        _said(Text("Hi"), logprobs=_LOGPROBS), lambda a: a.logprobs and a.logprobs[0]["logprob"], -0.5,
    ),
}  # fmt: skip
"""By name: an answer with it from a provider of the dialect given, how it shows, and as what."""


_ANY = (("openai", "m", ""), ("compatible", "m", ""))
_OWN = {
    "bedrock.converse": (
        ("bedrock", "anthropic.claude-m", ""),
        ("bedrock", "anthropic.claude-m", "adaptive"),
    ),
    "gemini.generate": (
        ("vertex", "gemini-3-m", ""),
        ("vertex", "gemini-2-m", ""),
    ),
}
"""Who takes what a client of a dialect can say: provider, model, and how its reasoning is set."""
_MODELS = {"bedrock": "anthropic.claude-m", "gemini": "gemini-3-m", "vertex": "gemini-3-m"}
"""Where one dialect serves many families, or generations: the one that can do most."""


def chat_dialects() -> Iterator[ChatDialect]:
    """The dialects that answer, and that clients speak."""
    return (dialect for dialect in DIALECTS.values() if isinstance(dialect, ChatDialect) and dialect.shown_path)


def groups() -> dict[tuple[str, ...], Target]:
    """Providers that are spoken to alike, with a target that stands for them."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for row in PROVIDERS.values():
        own = row.name if row.name in ("openai", "anthropic") else ""
        found.setdefault((row.dialects, own), []).append(row.name)
    return {
        tuple(names): Target(
            f"{names[0]}/m", names[0], _MODELS.get(names[0], "m"), dialects, "https://provider.example"
        )
        for (dialects, _), names in found.items()
    }


def request_matrix(client: ChatDialect) -> dict[str, dict[tuple[str, ...], Cell]]:
    """By feature and group of providers."""
    return {
        name: {names: _request_cell(client, target, feature) for names, target in groups().items()}
        for name, feature in REQUEST_FEATURES.items()
    }


def answer_matrix(client: ChatDialect) -> dict[str, dict[str, Cell]]:
    """By feature and the dialect of the provider that answers."""
    return {
        name: {dialect.name: _answer_cell(client, dialect, *feature) for dialect in chat_dialects()}
        for name, feature in ANSWER_FEATURES.items()
    }


def _request_cell(
    client: ChatDialect, target: Target, feature: ChatRequest | Callable[[ChatDialect], bytes | None]
) -> Cell:
    asked = feature if isinstance(feature, ChatRequest) else _base()
    body = _written(client, feature) if isinstance(feature, ChatRequest) else feature(client)
    if body is None:
        return Cell("")
    try:
        made = translate(client, _read(client, body, asked.stream), target)
    except UnsupportedFeature as error:
        return Cell("refused", error.field or "")
    notes = made.notes
    if notes is not None and notes.emulated:
        return Cell("emulated", ", ".join(notes.emulated))
    if notes is not None and notes.omitted:
        return Cell("left out", ", ".join(notes.omitted))
    return Cell("passes" if made.dialect is client else "translated", made.dialect.name)


def _written(client: ChatDialect, request: ChatRequest) -> bytes | None:
    """The request in the client's dialect, as the vendor's own API or a compatible server takes it; ``None`` where it has
    no words for it."""
    wanted = request.response_format
    for provider, model, way in _OWN.get(client.name, _ANY):
        known = Capabilities(family=model, reasoning_control=way) if way else None
        target = Target("own/m", provider, model, (client.name,), "https://own.example", capabilities=known)
        refusals, notes = Refusals(client.name, target), Notes()
        if wanted is not None and not client.takes_format(wanted, target):
            return None
        try:
            body = client.encode_request(request, target, refusals, notes)
            refusals.check()
        except (UnsupportedFeature, InvalidRequest):
            continue
        if not notes.count:
            return body
    return None


def _answer_cell(
    client: ChatDialect,
    dialect: ChatDialect,
    make: Callable[[str], Answer],
    shows: Callable[[Answer], Any],
    wanted: Any,
) -> Cell:
    try:
        body = dialect.encode_answer(make(dialect.name), 0)
        if shows(dialect.decode_answer(body)) != wanted:
            return Cell("")
        out = body if dialect is client else _through(client, dialect, body)
        seen = shows(client.decode_answer(out))
    except MalformedAnswer as error:
        return Cell("lost", error.message)
    return Cell("carried") if seen == wanted else Cell("lost", f"{wanted!r} becomes {seen!r}")


def _through(client: ChatDialect, dialect: Dialect, body: bytes) -> bytes:
    asked = _written(client, _base())
    assert asked is not None
    target = Target("t/m", "compatible", "m", (dialect.name,), "https://t.example")
    return translate(client, _read(client, asked, False), target).answer(body, created_s=0)[0]


def _read(client: ChatDialect, body: bytes, stream: bool) -> Envelope:
    """As the road reads it; some dialects have the model, and whether it is a stream, in the path."""
    return client.read(body, client.upstream_path("m", stream))
