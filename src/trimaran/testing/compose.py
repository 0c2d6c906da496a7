"""Decides what a simulated provider says: a function of prompt, behaviour and name, the same in every dialect.

Output tokens: a word with the white space before it is a token; JSON is cut every four characters.
"""

from __future__ import annotations

import re

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.exchange import Part, Prompt, Reply, ToolCall, Usage
from trimaran.testing.json_instance import instance_of

__all__ = ["compose", "logprob", "reported_usage"]

_JSON_TOKEN_CHARS = 4
_WORD = re.compile(r"\s*\S+|\s+$")
_FILLER_TEXT = (
    "No model computed this text; it only keeps the shape and the pace of a real answer, so that a client, a gateway "
    "or a test can read it, count it, time it and throw it away without having paid anything for it."
)
_FILLER = tuple(f" {word}" for word in _FILLER_TEXT.split())
_QUOTED_CHARS = 80
_REPORTED = (
    "cached_read_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "web_searches",
    "file_searches",
)
_SEEN = (
    ("images", "image"),
    ("documents", "document"),
    ("audios", "sound"),
    ("tool_calls", "tool call"),
    ("tool_results", "tool result"),
    ("reasonings", "reasoning block"),
)


def compose(prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
    """Decides the answer of the provider called ``name``. Depends on its arguments only."""
    thoughts: list[Part] = []
    hidden = behaviour.reasoning_tokens
    if behaviour.reasoning_text is not None or behaviour.redacted_reasoning:
        thoughts, hidden = _thoughts(prompt, behaviour)
    limit = prompt.max_output_tokens
    room = None if limit is None else max(0, limit - hidden)
    if behaviour.refusal is not None:
        parts, finish, stopped_by = [Part("refusal", _WORD.findall(behaviour.refusal))], "refusal", None
    elif prompt.tools and (calls := _tool_calls(prompt, behaviour)) and _fits(calls, room):
        parts, finish, stopped_by = calls, "tool_calls", None
    else:
        pieces, finish, stopped_by = _said(prompt, behaviour, name, room)
        parts = [Part("text", pieces)]
    shown = _length(parts)
    if thoughts:
        if room == 0:
            thoughts = _cut(thoughts, limit or 0)
            parts, shown = [], 0
        parts = thoughts + parts
    usage = reported_usage(prompt, behaviour, shown, hidden)
    return Reply(parts, finish, usage, stopped_by, behaviour.service_tier)


def _length(parts: list[Part]) -> int:
    return len(parts[0].pieces) if len(parts) == 1 else sum(len(part.pieces) for part in parts)


def _thoughts(prompt: Prompt, behaviour: Behaviour) -> tuple[list[Part], int]:
    """Parts of reasoning, and how many tokens of it are billed."""
    hidden = behaviour.reasoning_tokens
    if prompt.reasoning == "off":
        return [], hidden
    parts = []
    if behaviour.reasoning_text is not None:
        words = _WORD.findall(behaviour.reasoning_text)
        hidden = max(hidden, len(words))
        if prompt.reasoning == "shown":
            parts.append(Part("reasoning", words))
        else:
            parts.append(Part("reasoning", [], hidden_text=behaviour.reasoning_text))
    if behaviour.redacted_reasoning:
        parts.append(Part("redacted", [], hidden_text="redacted"))
    return parts, hidden


def _cut(thoughts: list[Part], limit: int) -> list[Part]:
    """Reasoning that used up the limit on output tokens."""
    return [Part(part.kind, part.pieces[:limit], hidden_text=part.hidden_text) for part in thoughts]


def _said(prompt: Prompt, behaviour: Behaviour, name: str, room: int | None) -> tuple[list[str], str, str | None]:
    """The pieces of a text, its finish and the stop sequence that ended it."""
    pieces = _content(prompt, behaviour, name)
    finish, stopped_by = "stop", None
    if prompt.stop:
        pieces, stopped_by = _stopped(pieces, prompt.stop)
        finish = "stop_sequence" if stopped_by else "stop"
    if room is not None and len(pieces) > room:
        pieces, finish, stopped_by = pieces[:room], "length", None
    return pieces, finish, stopped_by


def _tool_calls(prompt: Prompt, behaviour: Behaviour) -> list[Part]:
    """The text before the calls, and the calls; empty when no tool is called."""
    wanted = prompt.forced_tool
    if wanted is None and behaviour.call_tools and not prompt.after_tool_result:
        wanted = ""
    if wanted is None:
        return []
    parts = []
    if behaviour.text_before_tools:
        parts.append(Part("text", _WORD.findall(behaviour.text_before_tools)))
    named = next((tool for tool in prompt.tools if tool.name == wanted), None)
    count = behaviour.tool_calls if named is None and prompt.parallel_tools else 1
    for index in range(count):
        tool = named or prompt.tools[index % len(prompt.tools)]
        arguments = instance_of(tool.schema)
        call = ToolCall(tool.name, arguments if isinstance(arguments, dict) else {}, index)
        parts.append(Part("tool_call", _json_pieces(msgspec.json.encode(call.arguments).decode()), call))
    return parts


def _fits(parts: list[Part], room: int | None) -> bool:
    return room is None or _length(parts) <= room


def _content(prompt: Prompt, behaviour: Behaviour, name: str) -> list[str]:
    if behaviour.text is not None:
        return _WORD.findall(behaviour.text)
    if prompt.json_schema is True:
        return _json_pieces(msgspec.json.encode({"simulated": True, "reply": _headline(prompt, name)}).decode())
    if prompt.json_schema is not None:
        return _json_pieces(msgspec.json.encode(instance_of(prompt.json_schema)).decode())
    pieces: list[str] = _WORD.findall(_headline(prompt, name))
    missing = behaviour.output_tokens - len(pieces)
    if missing <= 0:
        return pieces[: behaviour.output_tokens]
    times, rest = divmod(missing, len(_FILLER))
    return [*pieces, *(_FILLER * times), *_FILLER[:rest]]


def _headline(prompt: Prompt, name: str) -> str:
    """Names what reached the provider, so that a test sees lost history, a lost system prompt or a lost image."""
    seen = f"{prompt.turns} message{'' if prompt.turns == 1 else 's'}"
    if prompt.has_system:
        seen += ", system prompt"
    if (
        prompt.images
        or prompt.documents
        or prompt.audios
        or prompt.tool_calls
        or prompt.tool_results
        or (prompt.reasonings)
    ):
        for field, word in _SEEN:
            if count := getattr(prompt, field):
                seen += f", {count} {word}{'' if count == 1 else 's'}"
    return f'Simulated reply from {name} ({seen}) to "{prompt.last_text[:_QUOTED_CHARS]}".'


def _json_pieces(text: str) -> list[str]:
    return [text[start : start + _JSON_TOKEN_CHARS] for start in range(0, len(text), _JSON_TOKEN_CHARS)]


def _stopped(pieces: list[str], stops: tuple[str, ...]) -> tuple[list[str], str | None]:
    text = "".join(pieces)
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return pieces, None
    end, stop = min(found)
    kept: list[str] = []
    for piece in pieces:
        if end <= 0:
            break
        kept.append(piece[:end])
        end -= len(piece)
    return kept, stop


def reported_usage(prompt: Prompt, behaviour: Behaviour, shown: int, reasoning: int = 0) -> Usage:
    """The usage of an answer with ``shown`` visible tokens and ``reasoning`` others."""
    total = prompt.input_tokens if behaviour.input_tokens is None else behaviour.input_tokens
    output = shown + reasoning
    if not any(getattr(behaviour, field) for field in _REPORTED):
        return Usage(total, output, reasoning=reasoning)
    read = min(behaviour.cached_read_tokens, total)
    write = min(behaviour.cache_write_tokens, total - read)
    return Usage(
        total,
        output,
        read,
        write,
        min(behaviour.cache_write_1h_tokens, write),
        reasoning,
        min(behaviour.audio_input_tokens, total),
        min(behaviour.audio_output_tokens, output),
        behaviour.web_searches,
        behaviour.file_searches,
    )


def logprob(token: str, alternatives: int) -> tuple[float, list[tuple[str, float]]]:
    """A token's log probability and its most likely alternatives, itself first. Derived from the token alone."""
    own = -0.0625 * (1 + len(token) % 4)
    rows: list[tuple[str, float]] = [(token, own)]
    rows += [(f"{token}~{n}", own - 1.5 * n) for n in range(1, alternatives)]
    return own, rows[:alternatives]
