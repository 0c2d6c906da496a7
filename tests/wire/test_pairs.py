"""What one dialect says survives to another one and back, or is refused, or is named as left out or done otherwise.

For each pair of dialects: a request of a client, translated for a target of the other dialect, read there, translated
back and read again, is the same request. What may differ is stated in :class:`Told`, with the reason; everything else
has to be in the notes. Answers go the same way, whole and as streams.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest, MalformedAnswer, UnsupportedFeature
from trimaran.types import Target
from trimaran.wire import DIALECTS, ChatDialect, Envelope, translate
from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import (
    ChatRequest,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from trimaran.wire.events import Answer
from trimaran.wire.fold import fold
from trimaran.wire.gemini_generate.signatures import wrapped
from trimaran.wire.json_tool import JSON_TOOL
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import is_wrapped, unwrap_state

sys.path.insert(0, str(Path(__file__).parent))
from conversations import answers, blocks_of, chat_requests, events_of, read_request, usages

CHAT = [dialect for dialect in DIALECTS.values() if isinstance(dialect, ChatDialect) and dialect.shown_path]
PAIRS = [(client, target) for client in CHAT for target in CHAT if client is not target]
PROVIDERS = {"openai.responses": "openai", "anthropic.messages": "anthropic", "bedrock.converse": "bedrock"}
MODELS = {"bedrock.converse": "anthropic.claude-m", "gemini.generate": "gemini-3.8-flash"}
"""Bedrock has one dialect for all families; this one can do most. So can Gemini from its third generation on."""
pairs = pytest.mark.parametrize(("client", "other"), PAIRS, ids=[f"{c.name} to {t.name}" for c, t in PAIRS])


def at(dialect: ChatDialect) -> Target:
    """A target that speaks one dialect and is nobody in particular."""
    provider = PROVIDERS.get(dialect.name, "compatible")
    return Target("t/m", provider, MODELS.get(dialect.name, "m"), (dialect.name,), "https://t.example")


def written(dialect: ChatDialect, request: ChatRequest) -> bytes:
    """``request`` as a client of ``dialect`` would write it, without what it has no words for."""
    plain = ChatRequest(model="m", messages=[Message("user", [Text("hi")])])
    for field in ("", *request.__struct_fields__):
        if field in ("model", "messages", "stream"):
            continue
        if field and getattr(request, field) == getattr(plain, field):
            continue
        trial = request if not field else msgspec.structs.replace(plain, **{field: getattr(request, field)})
        if field == "tool_choice" or field == "parallel_tool_calls":
            trial.tools = request.tools
        if _body(dialect, trial) is None:
            if not field:
                continue
            request = msgspec.structs.replace(request, **{field: getattr(plain, field)})
        elif not field:
            break
    if not request.tools:
        request = msgspec.structs.replace(request, tool_choice=None, parallel_tool_calls=None)
    body = _body(dialect, request)
    if body is None:
        request = msgspec.structs.replace(request, messages=[_sayable(message) for message in request.messages])
        body = _body(dialect, request)
    if body is None:
        request = msgspec.structs.replace(request, messages=plain.messages, reasoning=None)
        body = _body(dialect, request)
    if body is None:
        body = _body(dialect, plain)
    assert body is not None
    return body


def _sayable(message: Message) -> Message:
    """Without what not every dialect takes."""
    kept = [part for part in message.parts if isinstance(part, Text | ToolCall)]
    kept += [
        ToolResult(part.call_id, [held for held in part.parts if isinstance(held, Text)])
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    role = "user" if message.role == "system" else message.role
    results = sorted(kept, key=lambda part: not isinstance(part, ToolResult))
    return Message(role, results or [Text("hm")])


def _body(dialect: ChatDialect, request: ChatRequest) -> bytes | None:
    target = at(dialect)
    refusals, notes = Refusals(dialect.name, target, dialect.field_names), Notes()
    if request.response_format is not None and not dialect.takes_format(request.response_format, target):
        return None
    try:
        body = dialect.encode_request(request, target, refusals, notes)
        refusals.check()
        dialect.decode_request(body, Refusals(dialect.name, target, dialect.field_names))
    except (UnsupportedFeature, InvalidRequest):
        return None
    return body


def heard(dialect: ChatDialect, envelope: Envelope) -> ChatRequest:
    """What a request says; a codec understands what it wrote itself."""
    refusals = Refusals(dialect.name, at(dialect), dialect.field_names)
    request = dialect.decode_request(envelope.body, refusals)
    refusals.check()
    return msgspec.structs.replace(request, stream=envelope.stream)


class Told:
    """A request in the form in which two of them are compared, given what was noted on the way."""

    def __init__(self, client: ChatDialect, notes: list[Notes]) -> None:
        said = {name for each in notes for name in (*each.omitted, *each.emulated)}
        self._said = said
        names = client.field_names
        self._fields = {field for field in ChatRequest.__struct_fields__ if names.get(field, field) in said}
        self._cached = names.get("cache", "cache") not in said and not said & {"cache_control", "cachePoint"}
        self._places = any(list_ in name for name in said for list_ in ("messages[", "input[", "contents["))

    def form(self, request: ChatRequest) -> dict[str, Any]:
        """By field; what was noted is not in it."""
        out: dict[str, Any] = {}
        for field in request.__struct_fields__:
            if field not in self._fields and field not in ("model", "messages", "system"):
                out[field] = getattr(request, field)
        out["turns"] = self._turns(request)
        self._defaults(out, request)
        return out

    def _defaults(self, out: dict[str, Any], request: ChatRequest) -> None:
        # Anthropic demands a limit; without one from the client there is one of ours.
        out.pop("max_output_tokens", None)
        if request.max_output_tokens is not None and request.max_output_tokens != 4096:
            out["max_output_tokens"] = request.max_output_tokens
        if out.get("user") == "":
            # Nobody.
            out["user"] = None
        # ``auto`` is what everybody does who is told nothing; without tools there is nothing to choose.
        if out.get("service_tier") == "auto":
            out["service_tier"] = ""
        if out.get("verbosity") == "medium":
            out["verbosity"] = ""
        choice = request.tool_choice
        if "tool_choice" in out and (not request.tools or (choice is not None and choice.mode == "auto")):
            out["tool_choice"] = None
        if out.get("parallel_tool_calls") is not False or (choice is not None and choice.mode == "none"):
            # Parallel calls are the default everywhere, and where no tool may be called there are none.
            out["parallel_tool_calls"] = None
        if not request.tools:
            out["parallel_tool_calls"] = None
        if "tools" not in out:
            # Those that the history calls are named again, and shut off.
            out.pop("tool_choice", None)
        else:
            out["tools"] = [
                self._tool(tool, place) for place, tool in enumerate(request.tools) if tool.name != JSON_TOOL
            ]
        if "response_format" in self._fields:
            # A tool stands for it, which has to be called.
            out.pop("tool_choice", None)
            out.pop("parallel_tool_calls", None)
        for share in ("temperature", "top_p"):
            # The default everywhere; newer Anthropic models refuse even that.
            if out.get(share) == 1:
                out[share] = None
        for penalty in ("frequency_penalty", "presence_penalty"):
            if out.get(penalty) == 0:
                out[penalty] = None
        control = out.get("reasoning")
        if control is not None and (control.show == "auto" or control.effort == "none"):
            # Chat servers show what the model thinks unasked; who does not think has nothing to show.
            out["reasoning"] = control = msgspec.structs.replace(control, show="")
        if control is not None and not (control.effort or control.budget_tokens or control.adaptive or control.show):
            out["reasoning"] = None
        wanted = out.get("response_format")
        if wanted is not None:
            # A label, and Anthropic always holds to the schema.
            out["response_format"] = (wanted.kind, wanted.schema)

    def _tool(self, tool: Tool, place: int) -> Any:
        schema = tool.parameters if tool.parameters is not None else {}
        if isinstance(schema, dict):
            schema = {"type": "object", "properties": {}} | schema
        # Not strict is what no word about it means, but in Responses, where it has to be said.
        strict = bool(tool.strict) and f"tools[{place}].strict" not in self._said
        return (tool.name, tool.description, schema, strict, self._cache(tool.cache))

    def _cache(self, mark: str) -> str:
        return mark if self._cached else ""

    def _turns(self, request: ChatRequest) -> list[Any]:
        turns: list[tuple[str, list[Any]]] = []
        leading = True
        for message in [Message("system", request.system), *request.messages]:
            # Instructions before the first turn are the system's, wherever they were written.
            leading = leading and message.role == "system"
            parts = self._joined([shown for part in message.parts for shown in self._part(part)])
            if not parts:
                continue
            if turns and turns[-1][0] == message.role:
                turns[-1][1].extend(parts)
            else:
                turns.append((message.role, parts))
        if self._places:
            # Documents and pictures were put elsewhere or into words. Calls and results are where they were.
            return [part[:2] for _, parts in turns for part in parts if part[0] in ("call", "result")]
        return [(role, self._joined(parts)) for role, parts in turns]

    def _joined(self, parts: list[Any]) -> list[Any]:
        """Neighbouring texts mean the same as one. One that is empty says nothing, and Anthropic refuses it; nor does white
        space where nothing else stands with it, and Bedrock refuses that."""
        out: list[Any] = []
        for part in parts:
            if out and part[0] == "text" == out[-1][0] and not out[-1][2]:
                out[-1] = ("text", out[-1][1] + part[1], part[2])
            else:
                out.append(part)
        return [part for part in out if part[0] != "text" or part[1].strip()]

    def _part(self, part: Part) -> list[Any]:
        if isinstance(part, Text):
            return [("text", part.text, self._cache(part.cache))] if part.text else []
        if isinstance(part, Refusal):
            # Words of the assistant; Anthropic has no other part for them.
            return [("text", part.text, "")] if part.text else []
        if isinstance(part, Image):
            detail = "" if "detail" in self._said or part.detail == "auto" else part.detail
            return [("image", part.media_type, part.data, part.url, detail, self._cache(part.cache))]
        if isinstance(part, Document):
            return [("document", part.data, part.text, part.url, self._cache(part.cache))]
        if isinstance(part, Reasoning):
            return [] if "reasoning" in self._said else [("reasoning", part.text, part.state, part.origin)]
        if isinstance(part, ToolCall):
            arguments = json.loads(part.arguments) if part.arguments.strip() else {}
            return [("call", fitting_id(part.id, 40), part.name, arguments, self._cache(part.cache))]
        if isinstance(part, ToolResult):
            held = self._joined([shown for each in part.parts for shown in self._part(each)])
            failed = False if "is_error" in self._said else part.is_error
            return [("result", fitting_id(part.call_id, 40), held, failed, self._cache(part.cache))]
        return [("audio", part.format, part.data)]


@pairs
@given(data=st.data())
def test_requests(client: ChatDialect, other: ChatDialect, data: st.DataObject) -> None:
    request = data.draw(chat_requests())
    envelope = read_request(client, written(client, request), stream=request.stream)
    try:
        there = translate(client, envelope, at(other))
    except (UnsupportedFeature, InvalidRequest) as error:
        # Invalid: arguments of a call that are no object, a history without words. No provider could take it.
        named(error)
        return
    asked = heard(client, envelope)
    arrived = read_request(other, there.body, stream=asked.stream)
    seen = heard(other, arrived)
    notes = [there.notes or Notes()]
    told = Told(client, notes)
    first, second = told.form(asked), told.form(seen)
    lost = {field: (first[field], second[field]) for field in first if first[field] != second[field]}
    assert lost == {}, there.body
    try:
        back = translate(other, arrived, at(client))
    except UnsupportedFeature:
        return
    told = Told(client, [*notes, _renamed(back.notes or Notes(), other, client)])
    first, second = told.form(asked), told.form(heard(client, read_request(client, back.body, stream=asked.stream)))
    lost = {
        field: (first[field], second[field]) for field in first if field in second and first[field] != second[field]
    }
    assert lost == {}, back.body


def named(error: UnsupportedFeature | InvalidRequest) -> None:
    """A refusal says which field it is about."""
    assert error.field
    assert error.field in error.message


def _renamed(notes: Notes, source: ChatDialect, client: ChatDialect) -> Notes:
    """Notes in the words of the other dialect, in those of the client's."""
    neutral = {name: field for field, name in source.field_names.items()}

    def own(name: str) -> str:
        field = neutral.get(name, name)
        return client.field_names.get(field, field)

    return Notes([own(name) for name in notes.emulated], [own(name) for name in notes.omitted])


# Answers


told_usages = usages().filter(lambda usage: usage.input_tokens > 0)
"""No prompt is empty; what was not told is estimated."""


def said(answer: Answer) -> dict[str, Any]:
    """An answer in the form in which two of them are compared."""
    parts: list[Any] = []
    for part in answer.parts:
        if isinstance(part, Reasoning):
            parts += _thoughts(part)
        elif isinstance(part, ToolCall):
            parts.append(("call", part.id, part.name, json.loads(part.arguments or "{}")))
        elif isinstance(part, Text | Refusal) and part.text:
            if parts and parts[-1][0] == "text":
                parts[-1] = ("text", parts[-1][1] + part.text)
            else:
                parts.append(("text", part.text))
    return {"parts": parts, "reason": answer.finish_reason, "usage": answer.usage}


@pairs
@given(data=st.data())
def test_streams(client: ChatDialect, other: ChatDialect, data: st.DataObject) -> None:
    answer = data.draw(answers(usage=told_usages))
    answer.parts = given_by(other, answer.parts)
    asked = written(client, ChatRequest(model="m", messages=[Message("user", [Text("hi")])], stream=True))
    if client.name == "openai.chat":
        asked = msgspec.json.encode(msgspec.json.decode(asked) | {"stream_options": {"include_usage": True}})
    envelope = read_request(client, asked, stream=True)
    made = translate(client, envelope, at(other))
    stream = b"".join(encoded(other, envelope, data.draw(events_of(answer))))
    relay = made.relay(created_s=0)
    cut = data.draw(st.integers(0, len(stream)))
    try:
        streamed = relay.feed(stream[:cut]) + relay.feed(stream[cut:]) + relay.finish()
    except MalformedAnswer:
        # An answer without any content is none; whole, the client may decide.
        assert not any(part != Text("") for part in answer.parts) or not relay.content_seen
        return
    seen = said(folded(client, streamed))
    source = said(folded(other, stream))
    assert seen["parts"] == source["parts"]
    assert seen["usage"] == _counted(client, source["usage"])
    assert _known(client, seen["reason"]) == _known(client, source["reason"])


def _thoughts(part: Reasoning) -> list[tuple[str, str, str, str]]:
    """Each piece of reasoning with its origin and state, wherever a dialect wraps it."""
    if part.origin == "openai.chat" and part.state.startswith("["):
        # A stream's decoder leaves the details as they stand; who reads the request they come back in unwraps them.
        details = json.loads(part.state)
        states = [detail.get("signature") or detail.get("data") or "" for detail in details]
        if all(map(is_wrapped, states)):
            words = [detail.get("text") or detail.get("summary") or "" for detail in details]
            return [_thought(text, state) for text, state in zip(words, states, strict=True)]
    state = wrapped(part.state) or part.state
    if is_wrapped(state):
        return [_thought(part.text, state)]
    return [("reasoning", part.text, part.origin, part.state)]


def _thought(text: str, wrapped: str) -> tuple[str, str, str, str]:
    part = unwrap_state(wrapped, text)
    assert part is not None
    return "reasoning", part.text, part.origin, part.state


def given_by(provider: ChatDialect, parts: list[Part]) -> list[Part]:
    """What a provider says: no other one's reasoning, and no calls together with a refusal."""
    refuses = any(isinstance(part, Refusal) for part in parts)
    return [
        part
        for part in parts
        if not (isinstance(part, Reasoning) and part.origin != provider.name)
        and not (isinstance(part, ToolCall) and refuses)
    ]


@pairs
@given(data=st.data())
def test_answers(client: ChatDialect, other: ChatDialect, data: st.DataObject) -> None:
    answer = data.draw(answers(usage=told_usages))
    answer.parts = given_by(other, answer.parts)
    asked = written(client, ChatRequest(model="m", messages=[Message("user", [Text("hi")])]))
    body = other.encode_answer(answer, 0)
    out, usage, reason, tier = translate(client, read_request(client, asked), at(other)).answer(body, created_s=0)
    source = other.decode_answer(body)
    assert tier == source.service_tier
    assert (usage, reason) == (source.usage, source.finish_reason)
    seen, wanted = said(client.decode_answer(out)), said(source)
    assert (seen["parts"], seen["usage"]) == (wanted["parts"], _counted(client, wanted["usage"]))
    assert _known(client, seen["reason"]) == _known(client, wanted["reason"])


def encoded(dialect: ChatDialect, envelope: Any, events: list[Any]) -> list[bytes]:
    encoder = dialect.stream_encoder(msgspec.structs.replace(envelope, include_usage=True), 0)
    return [*map(encoder.encode, events), encoder.end()]


def folded(dialect: ChatDialect, stream: bytes) -> Answer:
    decoder = dialect.stream_decoder()
    events: list[Any] = []
    for name, data in blocks_of(dialect, stream):
        events += decoder.decode(name, data)
    return fold([*events, *decoder.ended()])


def _counted(client: ChatDialect, usage: Any) -> Any:
    """Converse tells thoughts apart from nothing, and Gemini knows no writes of a cache."""
    if client.name == "bedrock.converse" and usage is not None:
        return msgspec.structs.replace(usage, reasoning_tokens=0)
    if client.name == "gemini.generate" and usage is not None:
        return msgspec.structs.replace(usage, cache_write_tokens=0, cache_write_1h_tokens=0)
    return usage


def _known(client: ChatDialect, reason: str) -> str:
    """Reasons that a dialect has no word for become its nearest one."""
    if client.name.startswith("openai.") or client.name == "gemini.generate":
        reason = {"context_window": "length"}.get(reason, reason)
    if client.name in ("openai.responses", "gemini.generate"):
        reason = {"stop_sequence": "stop"}.get(reason, reason)
    return reason
