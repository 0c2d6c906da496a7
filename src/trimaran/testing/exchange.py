"""What a simulated provider understood and what it will say, in no dialect.

A dialect module reads bytes into a :class:`Prompt`; :func:`~trimaran.testing.compose.compose` decides the
:class:`Reply`; the dialect writes it. The wire formats of ``testing`` share no code with the product's own codecs: a
codec must not be its own judge.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["Part", "PartKind", "Prompt", "Reasoning", "Refusal", "Reply", "Tool", "ToolCall", "Usage"]

PartKind = Literal["text", "reasoning", "redacted", "refusal", "tool_call"]
Reasoning = Literal["off", "hidden", "shown"]
"""What the request wants of reasoning: none, none of its text, or its text."""


class Tool(msgspec.Struct):
    """A tool the request offers."""

    name: str
    schema: Any
    description: str = ""


class Prompt(msgspec.Struct):
    """A request, as far as the simulation cares. The counts are of the whole conversation."""

    model: str
    stream: bool = False
    include_usage: bool = True
    """Whether a stream ends with a usage report (OpenAI's chat leaves it to the client)."""
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    turns: int = 0
    """Turns of the two sides; what one side says in a row is one turn, however many messages hold it."""
    has_system: bool = False
    images: int = 0
    documents: int = 0
    audios: int = 0
    tool_calls: int = 0
    tool_results: int = 0
    reasonings: int = 0
    """Blocks of reasoning that were sent back."""
    last_text: str = ""
    """What the user said last, without tool results."""
    after_tool_result: bool = False
    """The last turn holds a tool's result."""
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None
    """Name of the tool that must be called; empty string for any."""
    parallel_tools: bool = True
    json_schema: Any = None
    """Schema of the demanded JSON answer; ``True`` for any JSON object."""
    reasoning: Reasoning = "shown"
    logprobs: int | None = None
    """How many alternatives are wanted beside each token's log probability; ``None``: no log probabilities."""
    service_tier: str | None = None
    """The tier asked for, in the dialect's words."""
    input_tokens: int = 0
    request: Any = None
    """What the dialect needs of the request to answer it."""


class ToolCall(msgspec.Struct):
    """A call the simulated model makes."""

    name: str
    arguments: dict[str, Any]
    index: int = 0
    """Its place among the calls of one answer."""


class Usage(msgspec.Struct):
    """The report. ``input`` holds all input tokens, ``output`` all generated ones; the others are parts of them."""

    input: int
    output: int
    cached_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    web_searches: int = 0
    file_searches: int = 0


class Part(msgspec.Struct):
    """One part of an answer. ``pieces`` are its tokens, of text or of a call's JSON arguments; a part may have none."""

    kind: PartKind
    pieces: list[str]
    tool_call: ToolCall | None = None
    hidden_text: str = ""
    """Reasoning that was not asked for in words; what signs it covers it."""

    @property
    def text(self) -> str:
        """All pieces."""
        return "".join(self.pieces)


class Reply(msgspec.Struct):
    """A whole answer."""

    parts: list[Part]
    finish: str
    """``stop``, ``length``, ``stop_sequence``, ``tool_calls`` or ``refusal``."""
    usage: Usage
    stop_sequence: str | None = None
    service_tier: str | None = None
    """Reported instead of what the request leads to."""
    pieces: list[str] = msgspec.field(default_factory=list)
    """The tokens of all parts in order: what is paced, and what a fault is placed after."""

    def __post_init__(self) -> None:
        parts = self.parts
        self.pieces = parts[0].pieces if len(parts) == 1 else [piece for part in parts for piece in part.pieces]

    def of(self, kind: PartKind) -> list[Part]:
        """The parts of one kind."""
        return [part for part in self.parts if part.kind == kind]

    def text(self, kind: PartKind = "text") -> str:
        """All text of one kind."""
        return "".join(part.text for part in self.parts if part.kind == kind)


class Refusal(Exception):
    """The simulated provider refuses a request. ``kind`` is neutral; each dialect names it in its own way.

    ``lines``: further header lines of the answer, each begun by CRLF. ``retry_after_s``: how long to wait, for dialects that
    say it in the body.
    """

    lines = b""
    retry_after_s: float | None = None

    def __init__(self, status: int, kind: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param
