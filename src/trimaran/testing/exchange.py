"""What a simulated provider understood and what it will say, in no dialect.

A dialect module reads bytes into a :class:`Prompt`; :func:`compose` decides the :class:`Reply`; the dialect writes it.
The wire formats of ``testing`` share no code with the product's own codecs: a codec must not be its own judge.

Tokens are counted by a rule simple enough to predict in a test. Input: four characters make a token, rounded up for
each message, plus four for each message, three for the request and 85 for each image. Output: a word with the white
space before it is a token; JSON is cut every four characters.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.json_instance import instance_of

__all__ = ["IMAGE_TOKENS", "Prompt", "Refusal", "Reply", "Tool", "ToolCall", "Usage", "compose", "text_tokens"]

IMAGE_TOKENS = 85
MESSAGE_TOKENS = 4
REQUEST_TOKENS = 3
_JSON_TOKEN_CHARS = 4

_WORD = re.compile(r"\s*\S+|\s+$")
_FILLER_TEXT = (
    "No model computed this text; it only keeps the shape and the pace of a real answer, so that a client, a gateway "
    "or a test can read it, count it, time it and throw it away without having paid anything for it."
)
_FILLER = tuple(f" {word}" for word in _FILLER_TEXT.split())
_QUOTED_CHARS = 80


class Tool(msgspec.Struct):
    """A tool the request offers."""

    name: str
    schema: Any


class Prompt(msgspec.Struct):
    """A request, as far as the simulation cares."""

    model: str
    stream: bool = False
    include_usage: bool = True
    """Whether a stream ends with a usage report (OpenAI leaves it to the client)."""
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    turns: int = 0
    """Messages that are not system messages."""
    has_system: bool = False
    images: int = 0
    last_text: str = ""
    after_tool_result: bool = False
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None
    """Name of the tool that must be called; empty string for any."""
    json_schema: Any = None
    """Schema of the demanded JSON answer; ``True`` for any JSON object."""
    input_tokens: int = 0


class ToolCall(msgspec.Struct):
    """A call the simulated model makes."""

    name: str
    arguments: dict[str, Any]


class Usage(msgspec.Struct):
    """The report. ``input`` holds all input tokens, ``output`` all generated ones."""

    input: int
    output: int
    cached_read: int
    cache_write: int
    cache_write_1h: int
    reasoning: int


class Reply(msgspec.Struct):
    """A whole answer: ``pieces`` are its content tokens in order, of text or of the tool call's JSON arguments."""

    pieces: list[str]
    finish: str
    """``stop``, ``length``, ``stop_sequence`` or ``tool_calls``."""
    usage: Usage
    stop_sequence: str | None = None
    tool_call: ToolCall | None = None


class Refusal(Exception):
    """The simulated provider refuses a request. ``kind`` is neutral; each dialect names it in its own way."""

    def __init__(self, status: int, kind: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param


def text_tokens(text: str) -> int:
    """Input tokens of a text."""
    return (len(text) + 3) // 4


def compose(prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
    """Decides the answer of the provider called ``name``. Depends on its arguments only."""
    hidden = behaviour.reasoning_tokens
    room = None if prompt.max_output_tokens is None else max(0, prompt.max_output_tokens - hidden)
    call = _tool_call(prompt, behaviour)
    if call is not None:
        pieces = _json_pieces(msgspec.json.encode(call.arguments).decode())
        if room is None or len(pieces) <= room:
            return Reply(pieces, "tool_calls", _usage(prompt, behaviour, len(pieces)), tool_call=call)
    pieces = _content(prompt, behaviour, name)
    finish, stopped_by = "stop", None
    if prompt.stop:
        pieces, stopped_by = _stopped(pieces, prompt.stop)
        finish = "stop_sequence" if stopped_by else "stop"
    if room is not None and len(pieces) > room:
        pieces, finish, stopped_by = pieces[:room], "length", None
    return Reply(pieces, finish, _usage(prompt, behaviour, len(pieces)), stop_sequence=stopped_by)


def _tool_call(prompt: Prompt, behaviour: Behaviour) -> ToolCall | None:
    wanted = prompt.forced_tool
    if wanted is None and behaviour.call_tools and not prompt.after_tool_result:
        wanted = ""
    if wanted is None or not prompt.tools:
        return None
    tool = next((tool for tool in prompt.tools if tool.name == wanted), prompt.tools[0])
    arguments = instance_of(tool.schema)
    return ToolCall(tool.name, arguments if isinstance(arguments, dict) else {})


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
    if prompt.images:
        seen += f", {prompt.images} image{'' if prompt.images == 1 else 's'}"
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


def _usage(prompt: Prompt, behaviour: Behaviour, shown: int) -> Usage:
    total = prompt.input_tokens if behaviour.input_tokens is None else behaviour.input_tokens
    read = min(behaviour.cached_read_tokens, total)
    write = min(behaviour.cache_write_tokens, total - read)
    return Usage(
        input=total,
        output=shown + behaviour.reasoning_tokens,
        cached_read=read,
        cache_write=write,
        cache_write_1h=min(behaviour.cache_write_1h_tokens, write),
        reasoning=behaviour.reasoning_tokens,
    )
