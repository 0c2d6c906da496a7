"""Counts a conversation in the same way for every dialect, so that the same conversation gets the same answer.

Dialects cut one conversation differently: the results of two tools are two messages to ``openai.chat``, two items to
``openai.responses`` and one message to ``anthropic.messages``. Here what one side says in a row is one turn.

Tokens follow a rule simple enough to predict in a test: four characters make a token, rounded up for each turn and for
all instructions together, plus four for each of them, three for the request, 85 for each image, 300 for each document
and 50 for each sound; tools cost a quarter of the bytes of their names, descriptions and schemas. The text of a turn
includes tool results and the names and arguments of tool calls, but no reasoning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.testing.exchange import Prompt, Tool

__all__ = ["Transcript", "arguments_length", "text_tokens"]

IMAGE_TOKENS = 85
DOCUMENT_TOKENS = 300
AUDIO_TOKENS = 50
MESSAGE_TOKENS = 4
REQUEST_TOKENS = 3


def text_tokens(chars: int) -> int:
    """Input tokens of so many characters."""
    return (chars + 3) // 4


def arguments_length(arguments: Any) -> int:
    """Characters of a call's arguments, without white space between them; ``arguments`` is JSON text or decoded."""
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return len(arguments)
    return len(msgspec.json.encode(arguments))


class Transcript:
    """A conversation being read, side by side, into a :class:`~trimaran.testing.exchange.Prompt`."""

    __slots__ = ("_after_result", "_chars", "_own", "_prompt", "_side", "_system_chars", "_tokens")

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._side = ""
        self._chars = 0
        self._own: list[str] = []
        self._after_result = False
        self._system_chars = -1
        self._tokens = REQUEST_TOKENS

    def system(self, text: str) -> None:
        """Instructions, wherever they stand."""
        self._system_chars = max(self._system_chars, 0) + len(text)

    def turn(self, side: str) -> None:
        """What follows is said by ``user`` (who also delivers tool results) or ``assistant``."""
        if side == self._side:
            return
        if self._side:
            self._close()
        self._side = side
        self._prompt.turns += 1

    def text(self, text: str) -> None:
        """Words of the current side."""
        self._chars += len(text)
        if self._side == "user":
            self._own.append(text)

    def chars(self, count: int) -> None:
        """Text that is nobody's words, such as a tool's result."""
        self._chars += count

    def image(self) -> None:
        """An image anywhere."""
        self._prompt.images += 1
        self._tokens += IMAGE_TOKENS

    def document(self) -> None:
        """A document anywhere."""
        self._prompt.documents += 1
        self._tokens += DOCUMENT_TOKENS

    def audio(self) -> None:
        """A sound anywhere."""
        self._prompt.audios += 1
        self._tokens += AUDIO_TOKENS

    def tool_call(self, name: str, arguments: Any) -> None:
        """A call in the history; ``arguments`` is JSON text or decoded."""
        self._prompt.tool_calls += 1
        self._chars += len(name) + arguments_length(arguments)

    def tool_result(self) -> None:
        """A result; its content follows as :meth:`chars`, images and documents."""
        self._prompt.tool_results += 1
        self._after_result = True

    def reasoning(self) -> None:
        """Reasoning that was sent back."""
        self._prompt.reasonings += 1

    def offer(self, tools: tuple[Tool, ...]) -> None:
        """The tools that may be called."""
        self._prompt.tools = tools
        rows = [(tool.name, tool.description, tool.schema) for tool in tools]
        self._tokens += text_tokens(len(msgspec.json.encode(rows)))

    def finish(self) -> Prompt:
        """Write the totals down."""
        prompt = self._prompt
        if self._side:
            self._close()
        if self._system_chars >= 0:
            prompt.has_system = True
            self._tokens += MESSAGE_TOKENS + text_tokens(self._system_chars)
        prompt.after_tool_result = self._side == "user" and self._after_result
        prompt.input_tokens = self._tokens
        return prompt

    def _close(self) -> None:
        self._tokens += MESSAGE_TOKENS + (self._chars + 3) // 4
        self._chars = 0
        if self._side == "user":
            if self._own:
                self._prompt.last_text = self._own[0] if len(self._own) == 1 else "\n".join(self._own)
                self._own = []
        else:
            self._after_result = False
