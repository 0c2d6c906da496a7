"""JSON output at a target that cannot be held to a schema: a tool whose arguments are the answer.

Neutral in, neutral out, so it serves every dialect. The request gets one more tool with the wanted schema, and must call
it, or one of its own tools where it brought some. In the answer the call becomes text again. Words around the call are
left out: an answer that is held to a schema is nothing but the JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimaran.wire.conversation import ChatRequest, Text, Tool, ToolCall, ToolChoice
from trimaran.wire.events import Answer, ArgumentsDelta, Event, Finished, PartEnded, PartStarted, TextDelta

__all__ = ["JSON_TOOL", "ToolToText", "with_json_tool"]

JSON_TOOL = "json_answer"
_PURPOSE = "Give the answer to the user by calling this; its arguments are the answer."


def with_json_tool(request: ChatRequest) -> ChatRequest | None:
    """The request with a tool in place of its response format; ``None`` where a tool cannot stand for it, because the
    schema's root is no object, the tool's name is taken, or the client forces or forbids tools itself."""
    wanted = request.response_format
    if wanted is None or any(tool.name == JSON_TOOL for tool in request.tools):
        return None
    schema: Any = {"type": "object"} if wanted.schema is None else wanted.schema
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return None
    choice = request.tool_choice.mode if request.tool_choice is not None else "auto"
    if request.tools and choice in ("required", "named", "none"):
        return None
    tool = Tool(JSON_TOOL, wanted.description or _PURPOSE, {"type": "object"} | schema, wanted.strict)
    forced = ToolChoice("required") if request.tools else ToolChoice("named", JSON_TOOL)
    return msgspec.structs.replace(
        request,
        tools=[*request.tools, tool],
        tool_choice=forced,
        parallel_tool_calls=request.parallel_tool_calls if request.tools else False,
        response_format=None,
    )


class ToolToText:
    """Turns the calls of the tool in one answer back into text. A model that answered in words all the same is heard."""

    def __init__(self) -> None:
        self._json: set[int] = set()
        self._words: dict[int, list[str]] = {}
        self._others = False

    def answer(self, answer: Answer) -> Answer:
        """A whole answer."""
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        if not calls:
            return answer
        others = any(call.name != JSON_TOOL for call in calls)
        parts = [
            Text(part.arguments) if isinstance(part, ToolCall) and part.name == JSON_TOOL else part
            for part in answer.parts
            if not isinstance(part, Text)
        ]
        return msgspec.structs.replace(answer, parts=parts, finish_reason=_reason(answer.finish_reason, others))

    def events(self, event: Event) -> Sequence[Event]:
        """What stands for an event of a stream. Words wait for the end, to be heard only if there was no call."""
        if isinstance(event, PartStarted):
            return self._start(event)
        if isinstance(event, ArgumentsDelta) and event.index in self._json:
            return (TextDelta(event.json, event.index),)
        if isinstance(event, TextDelta) and event.index in self._words:
            self._words[event.index].append(event.text)
            return ()
        if isinstance(event, PartEnded) and event.index in self._words:
            return ()
        if isinstance(event, Finished):
            finished = Finished(_reason(event.reason, self._others), event.stop_sequence)
            return (finished,) if self._json or self._others else (*self._spoken(), finished)
        return (event,)

    def _start(self, event: PartStarted) -> Sequence[Event]:
        part = event.part
        if isinstance(part, ToolCall):
            if part.name == JSON_TOOL:
                self._json.add(event.index)
                return (PartStarted(event.index, Text("")),)
            self._others = True
        elif isinstance(part, Text):
            self._words[event.index] = []
            return ()
        return (event,)

    def _spoken(self) -> list[Event]:
        out: list[Event] = []
        for index, pieces in self._words.items():
            out += (PartStarted(index, Text("")), TextDelta("".join(pieces), index), PartEnded(index))
        return out


def _reason(reason: str, others: bool) -> str:
    return "stop" if reason == "tool_calls" and not others else reason
