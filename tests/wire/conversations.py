"""Conversations, answers and streams out of nothing, for the round-trip properties of every codec.

All of it is valid: tool calls are answered right after the turn that made them, identifiers are unlike, states belong to
an origin. What a dialect cannot say is in here too; its property states what becomes of that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from trimaran.types import Usage
from trimaran.wire import Dialect, Envelope
from trimaran.wire.conversation import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
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
from trimaran.wire.effort import EFFORTS
from trimaran.wire.events import (
    Answer,
    ArgumentsDelta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)

__all__ = [
    "ORIGINS",
    "answers",
    "audios",
    "bare",
    "base64s",
    "blocks_of",
    "chat_requests",
    "documents",
    "events_of",
    "identifiers",
    "images",
    "json_objects",
    "messages",
    "read_request",
    "reasonings",
    "schemas",
    "texts",
    "tools",
    "usages",
]

ORIGINS = ("openai.chat", "openai.responses", "anthropic.messages", "bedrock.converse", "gemini.generate")

texts = st.text(st.characters(codec="utf-8"), max_size=12)
identifiers = st.text("abcXYZ019_-", min_size=1, max_size=10)
caches = st.sampled_from(["", "", "", "5m", "1h"])
base64s = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())
_scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
json_objects = st.dictionaries(texts, _scalars | st.lists(_scalars, max_size=2), max_size=3)
schemas = st.dictionaries(identifiers, st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=3).map(
    lambda properties: {"type": "object", "properties": properties, "required": sorted(properties)}
)
_urls = identifiers.map(lambda name: f"https://example.com/{name}.png")
_details = st.sampled_from(["", "low", "high"])

images = st.builds(
    Image,
    media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp", "image/gif"]),
    data=base64s,
    detail=_details,
    cache=caches,
) | st.builds(Image, url=_urls, detail=_details, cache=caches)
documents = (
    st.builds(Document, st.just("application/pdf"), base64s, name=st.just("") | identifiers, cache=caches)
    | st.builds(Document, st.just("text/plain"), text=texts.filter(bool), name=st.just("") | identifiers, cache=caches)
    | st.builds(Document, url=_urls, cache=caches)
)
audios = st.builds(Audio, st.sampled_from(["wav", "mp3"]), base64s)
_text_parts = st.builds(Text, texts, caches)
_user_parts = st.lists(_text_parts | _text_parts | images | documents | audios, min_size=1, max_size=3)


def _own_details(state: str) -> str:
    return json.dumps([{"type": "reasoning.encrypted", "data": state}], separators=(",", ":"), ensure_ascii=False)


@st.composite
def reasonings(draw: st.DrawFn, origin: str) -> Reasoning:
    """One part of reasoning as the dialect ``origin`` gives it: text, with or without a state, or a state alone."""
    text, state, id = draw(texts.filter(bool)), draw(texts.filter(bool)), ""
    if origin == "openai.responses":
        id = draw(identifiers)
    elif origin == "openai.chat":
        state = draw(st.sampled_from(["", _own_details(state)]))
    elif origin == "gemini.generate":
        # A blob.
        state = draw(base64s)
    if state and draw(st.booleans()):
        if origin == "bedrock.converse":
            # A blob, and JSON has it in base64.
            state = draw(base64s)
        return Reasoning("", state, origin, id, hidden=True)
    return Reasoning(text, state, origin, id, summary=origin == "openai.responses")


tools = st.lists(
    st.builds(Tool, identifiers, texts, st.none() | schemas, st.sampled_from([None, None, True, False]), caches),
    max_size=3,
    unique_by=lambda tool: tool.name,
)


@st.composite
def _results(draw: st.DrawFn, call_ids: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    for id in draw(st.permutations(call_ids)):
        held = draw(st.lists(_text_parts | _text_parts | images | documents, max_size=2))
        parts.append(ToolResult(id, held, draw(st.booleans()), draw(caches)))
    return parts


@st.composite
def _assistant(draw: st.DrawFn, place: int) -> list[Part]:
    origin = draw(st.sampled_from(ORIGINS))
    parts: list[Part] = list(draw(st.lists(reasonings(origin), max_size=2)))
    parts += draw(st.lists(_text_parts, max_size=2))
    if draw(st.integers(0, 9)) == 0:
        parts.append(Refusal(draw(texts.filter(bool))))
    for number in range(draw(st.sampled_from([0, 0, 1, 2]))):
        arguments = draw(json_objects.map(json.dumps) | st.just(""))
        parts.append(ToolCall(f"call_{place}_{number}", draw(identifiers), arguments, draw(caches)))
    return parts or [Text(draw(texts))]


@st.composite
def messages(draw: st.DrawFn) -> list[Message]:
    """Turns with a valid history of tool calls. The last one is the user's."""
    out: list[Message] = []
    calls: list[str] = []
    for place in range(draw(st.integers(1, 4))):
        # Anything may come before the results of calls, except that.
        if not calls and out and draw(st.integers(0, 9)) == 0:
            out.append(Message("system", draw(st.lists(_text_parts, min_size=1, max_size=2))))
        parts: list[Part] = draw(_results(calls))
        if not parts or draw(st.booleans()):
            parts += draw(_user_parts)
        out.append(Message("user", parts))
        said = draw(_assistant(place))
        calls = [part.id for part in said if isinstance(part, ToolCall)]
        out.append(Message("assistant", said))
    if not calls:
        return out[:-1]
    out.append(Message("user", draw(_results(calls))))
    return out


_fractions = st.none() | st.floats(0, 1)
_penalties = st.sampled_from([None, None, 0.0, 0.5, -1.0])
_controls = st.builds(
    ReasoningControl,
    effort=st.sampled_from(["", *EFFORTS]),
    show=st.sampled_from(["", "", "none", "auto", "concise", "detailed"]),
) | st.builds(ReasoningControl, budget_tokens=st.integers(1024, 70000), adaptive=st.just(False))
_formats = st.just(ResponseFormat("json_object")) | st.builds(
    ResponseFormat,
    kind=st.just("json_schema"),
    name=st.just("") | identifiers,
    schema=schemas,
    strict=st.sampled_from([None, True, False]),
    description=st.just("") | texts,
)


@st.composite
def chat_requests(draw: st.DrawFn, model: str = "m") -> ChatRequest:
    """A whole request. About half of them use little more than turns and a limit."""
    request = ChatRequest(
        model=model,
        messages=draw(messages()),
        system=draw(st.lists(_text_parts, max_size=2)),
        max_output_tokens=draw(st.none() | st.integers(1, 200_000)),
        temperature=draw(_fractions),
        stop=draw(st.lists(texts.filter(bool), max_size=2)),
        tools=draw(tools),
        stream=draw(st.booleans()),
    )
    if request.tools:
        names = st.sampled_from([tool.name for tool in request.tools])
        modes = st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")])
        request.tool_choice = draw(st.none() | modes | st.builds(ToolChoice, st.just("named"), names))
        request.parallel_tool_calls = draw(st.sampled_from([None, True, False]))
    if draw(st.booleans()):
        _add_rarer(draw, request)
    return request


def _add_rarer(draw: st.DrawFn, request: ChatRequest) -> None:
    rarer: dict[str, st.SearchStrategy[Any]] = {
        "top_p": _fractions,
        "top_k": st.none() | st.integers(1, 100),
        "seed": st.none() | st.integers(-(2**53), 2**53),
        "frequency_penalty": _penalties,
        "presence_penalty": _penalties,
        "logit_bias": st.dictionaries(st.integers(0, 99999).map(str), st.integers(-100, 100), max_size=2),
        "logprobs": st.none() | st.integers(0, 5),
        "stop": st.lists(texts.filter(bool), max_size=5),
        "response_format": st.none() | _formats,
        "reasoning": st.none() | _controls,
        "verbosity": st.sampled_from(["", "low", "medium", "high"]),
        "service_tier": st.sampled_from(["", "auto", "standard", "flex", "priority"]),
        "user": st.none() | texts,
        "metadata": st.dictionaries(identifiers, texts, max_size=2),
        "cache": caches,
        "cache_key": st.just("") | identifiers,
        "cache_retention": st.sampled_from(["", "in_memory", "24h"]),
    }
    for name in draw(st.lists(st.sampled_from(sorted(rarer)), max_size=4, unique=True)):
        setattr(request, name, draw(rarer[name]))


def read_request(dialect: Dialect, body: bytes, *, stream: bool | None = None) -> Envelope:
    """``body`` as it is read where a client sends it. ``stream``: whether one is asked for, where the path says so; what
    the body says otherwise."""
    if stream is None:
        stream = bool(json.loads(body).get("stream"))
    return dialect.read(body, dialect.upstream_path("m", stream))


def blocks_of(dialect: Dialect, stream: bytes) -> list[tuple[bytes, bytes]]:
    """Names and data of the events of a stream; those without data are left out."""
    found = [dialect.framing.parse(block) for block in dialect.framing.framer().push(stream)]
    return [(name, data) for name, data in found if data is not None]


def bare(turns: list[Message]) -> list[Message]:
    """The same turns without where they came from."""
    return [msgspec.structs.replace(turn, path="") for turn in turns]


# Answers

_counts = st.integers(0, 10**6)


@st.composite
def usages(draw: st.DrawFn, *, hour: bool = False, audio: bool = False) -> Usage:
    """Tokens by kind, each part within its whole. ``hour``: cache writes that are kept for an hour are told apart."""
    read, written, output = draw(_counts), draw(_counts), draw(_counts)
    asked = read + written + draw(_counts)
    return Usage(
        input_tokens=asked,
        output_tokens=output,
        cached_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)) if hour else 0,
        reasoning_tokens=draw(st.integers(0, output)),
        audio_input_tokens=draw(st.integers(0, asked)) if audio else 0,
        audio_output_tokens=draw(st.integers(0, output)) if audio else 0,
    )


def _entry(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}


@st.composite
def answers(draw: st.DrawFn, *, logprobs: bool = False, usage: st.SearchStrategy[Any] | None = None) -> Answer:
    """A whole answer: reasoning of one origin, then text, a refusal or neither, then tool calls."""
    origin = draw(st.sampled_from(ORIGINS))
    parts: list[Part] = list(draw(st.lists(reasonings(origin), max_size=2)))
    said = draw(st.sampled_from(["text", "text", "nothing", "refusal"]))
    if said == "text":
        parts += draw(st.lists(st.builds(Text, texts), min_size=1, max_size=2))
    elif said == "refusal":
        parts.append(Refusal(draw(texts.filter(bool))))
    calls = draw(st.sampled_from([0, 0, 1, 2]))
    for place in range(calls):
        parts.append(ToolCall(f"call_{place}", draw(identifiers), draw(json_objects.map(json.dumps))))
    reason = draw(st.sampled_from(["stop", "length", "context_window", "stop_sequence"]))
    if said == "refusal":
        reason = "content_filter"
    elif calls:
        reason = "tool_calls"
    scored = logprobs and any(isinstance(part, Text) and part.text for part in parts)
    return Answer(
        id=draw(identifiers),
        model=draw(identifiers),
        parts=parts,
        finish_reason=reason,
        stop_sequence=draw(texts.filter(bool)) if reason == "stop_sequence" else None,
        usage=draw(usages() if usage is None else usage),
        logprobs=draw(st.none() | st.just([_entry("a"), _entry("é")])) if scored else None,
        service_tier=draw(st.sampled_from(["", "standard", "flex", "priority"])),
    )


@st.composite
def events_of(draw: st.DrawFn, answer: Answer) -> list[Event]:
    """``answer`` as a stream that folds to it: texts in pieces, and tool calls one after the other or in turns."""
    events: list[Event] = [Started(answer.id, answer.model)]
    if answer.service_tier:
        events.append(ServiceTier(answer.service_tier))
    calls: list[list[Event]] = []
    scores = answer.logprobs
    for index, part in enumerate(answer.parts):
        if isinstance(part, ToolCall):
            calls.append(_call_events(draw, index, part))
            continue
        start, *deltas = _spoken_events(draw, index, part)
        if scores and isinstance(part, Text) and part.text:
            deltas[0] = TextDelta(deltas[0].text, index, scores)  # type: ignore[union-attr]
            scores = None
        events += [start, *deltas, PartEnded(index)]
    if draw(st.booleans()):
        events += [event for call in calls for event in call]
    else:
        events += _in_turns(draw, calls)
    events.append(Finished(answer.finish_reason, answer.stop_sequence))
    if answer.usage is not None:
        events.append(UsageReport(answer.usage, alone=True))
    return events


def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    cut = draw(st.integers(0, len(text)))
    return [piece for piece in (text[:cut], text[cut:]) if piece]


def _spoken_events(draw: st.DrawFn, index: int, part: Part) -> list[Event]:
    if isinstance(part, Reasoning):
        head = msgspec.structs.replace(part, text="", state="")
        texts_: list[Event] = [ReasoningDelta(piece, index) for piece in _pieces(draw, part.text)]
        return [PartStarted(index, head), *texts_, *([ReasoningState(part.state, index)] if part.state else [])]
    assert isinstance(part, Text | Refusal)
    return [PartStarted(index, type(part)("")), *[TextDelta(piece, index) for piece in _pieces(draw, part.text)]]


def _call_events(draw: st.DrawFn, index: int, call: ToolCall) -> list[Event]:
    start = PartStarted(index, ToolCall(call.id, call.name, ""))
    return [start, *[ArgumentsDelta(piece, index) for piece in _pieces(draw, call.arguments)], PartEnded(index)]


def _in_turns(draw: st.DrawFn, calls: list[list[Event]]) -> list[Event]:
    """The events of several calls mixed. Calls start in their order; the first event of each is its start."""
    events: list[Event] = []
    waiting = [list(call) for call in calls]
    started = 0
    while any(waiting):
        ready = [place for place, call in enumerate(waiting) if call and place <= started]
        place = draw(st.sampled_from(ready))
        events.append(waiting[place].pop(0))
        started = max(started, place + 1)
    return events
