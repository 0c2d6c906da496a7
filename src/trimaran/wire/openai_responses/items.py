"""The input of a Responses request as neutral turns.

Input is a flat list of items; a neutral turn is what one side said before the other did. Consecutive items of the
assistant (reasoning, messages, calls) are one turn, and so are the outputs of its calls with the user's message right
after them. Leading system and developer messages are instructions.

An item's ``id`` and ``status`` say something about the answer it once was, and nothing about the conversation. The
``phase`` of a message is a hint for the model that wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Message, Part, Reasoning, Text, ToolCall, ToolResult
from trimaran.wire.fields import filled_text, optional_text, refuse_rest, required_text
from trimaran.wire.history import check_history
from trimaran.wire.openai_responses.content import ASSISTANT, SYSTEM, TOOL_OUTPUT, USER, content_parts
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import lost_its_text, unwrap_state

__all__ = ["ORIGIN", "decode_input", "reasoning_of"]

ORIGIN = "openai.responses"
_ROLES = {"user": USER, "assistant": ASSISTANT, "system": SYSTEM, "developer": SYSTEM}
_LABELS = {"type", "id", "status"}
_DIRECT: dict[str, tuple[Any, ...]] = {"caller": ({"type": "direct"},), "async": (False,), "namespace": ("",)}


def decode_input(value: Any, refusals: Refusals) -> tuple[list[Part], list[Message]]:
    """Leading instructions, and the turns after them. Raises :class:`InvalidRequest`."""
    if isinstance(value, str):
        return [], [Message("user", [Text(value)], "input")]
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'input' must be a string or a list with at least one item", field="input")
    messages = [
        message
        for place, item in enumerate(value)
        if (message := _message(item, f"input[{place}]", refusals)) is not None
    ]
    start = next((place for place, message in enumerate(messages) if message.role != "system"), len(messages))
    system = [part for message in messages[:start] for part in message.parts]
    if not refusals:
        # Before the turns are put together, because each item still has a path of its own. What was refused may be what
        # a tool's output answers.
        check_history(messages[start:])
    return system, _turns(messages[start:])


def _turns(messages: list[Message]) -> list[Message]:
    turns: list[Message] = []
    # Whether the turn under way takes more: what the assistant says, or a user's turn of nothing but results so far.
    open = False
    for message in messages:
        last = turns[-1] if turns else None
        if open and last is not None and last.role == message.role:
            last.parts += message.parts
        else:
            turns.append(message)
        open = message.role == "assistant" or (
            message.role == "user" and all(isinstance(part, ToolResult) for part in message.parts)
        )
    return turns


def _message(item: Any, path: str, refusals: Refusals) -> Message | None:
    if not isinstance(item, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    kind = item.get("type")
    if kind is None:
        kind = "message" if "role" in item else "item_reference"
    if not isinstance(kind, str):
        raise InvalidRequest(f"'{path}.type' must be a string", field=f"{path}.type")
    decode = _DECODE.get(kind)
    if decode is not None:
        return decode(item, path, refusals)
    if kind == "item_reference":
        required_text(item, "id", path)
        refusals.add(path, "a reference to an item: only the provider that stored it can go on from it")
    else:
        refusals.add(path, f"an item of type {kind!r}")
    return None


def _plain_message(item: dict[str, Any], path: str, refusals: Refusals) -> Message:
    role = item.get("role")
    takes = _ROLES.get(role) if isinstance(role, str) else None
    if takes is None:
        raise InvalidRequest(f"'{path}.role' must be user, assistant, system or developer", field=f"{path}.role")
    if "content" not in item or item["content"] in ([], None):
        raise InvalidRequest(f"'{path}.content' must not be empty", field=f"{path}.content")
    refuse_rest(item, {*_LABELS, "role", "content", "phase"}, path, refusals)
    if item.get("phase") is not None:
        refusals.omit(f"{path}.phase")
    parts = content_parts(item["content"], f"{path}.content", takes, refusals)
    return Message("system" if takes is SYSTEM else role, parts, path)  # type: ignore[arg-type]


def _call(item: dict[str, Any], path: str, refusals: Refusals) -> Message:
    refuse_rest(item, {*_LABELS, "call_id", "name", "arguments"}, path, refusals, _DIRECT)
    call = ToolCall(
        filled_text(item, "call_id", path), required_text(item, "name", path), required_text(item, "arguments", path)
    )
    return Message("assistant", [call], path)


def _result(item: dict[str, Any], path: str, refusals: Refusals) -> Message:
    # A name here repeats what the call says.
    refuse_rest(item, {*_LABELS, "call_id", "output", "name"}, path, refusals, _DIRECT)
    output = item.get("output")
    if output is None:
        raise InvalidRequest(f"'{path}.output' must be a string or a list of content parts", field=f"{path}.output")
    parts = content_parts(output, f"{path}.output", TOOL_OUTPUT, refusals)
    return Message("user", [ToolResult(filled_text(item, "call_id", path), parts)], path)


def _reasoning(item: dict[str, Any], path: str, refusals: Refusals) -> Message | None:
    refuse_rest(item, {*_LABELS, "summary", "content", "encrypted_content"}, path, refusals)
    texts = {
        key: _texts(item.get(key), kind, f"{path}.{key}")
        for key, kind in (("summary", "summary_text"), ("content", "reasoning_text"))
    }
    if texts["content"] and texts["summary"]:
        refusals.omit(f"{path}.summary")
    state = optional_text(item, "encrypted_content", path)
    part = reasoning_of(optional_text(item, "id", path), texts["summary"], texts["content"], state)
    unwrapped = unwrap_state(state, part.text)
    # Nor is there anything in an item whose state and text only the provider has.
    if not (part.text or state) or (unwrapped is not None and lost_its_text(state, unwrapped)):
        refusals.omit("reasoning")
        return None
    return Message("assistant", [unwrapped or part], path)


def reasoning_of(id: str, summary: list[str], content: list[str], state: str) -> Reasoning:
    """A reasoning item. What it says in full goes before a summary of it."""
    text = "\n\n".join(content or summary)
    return Reasoning(text, state, ORIGIN, id, summary=bool(summary) and not content, hidden=not summary and not content)


def _texts(value: Any, kind: str, path: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, dict) and part.get("type") == kind for part in value):
        raise InvalidRequest(f"{path!r} must be a list of parts of type {kind}", field=path)
    return [required_text(part, "text", f"{path}[{place}]") for place, part in enumerate(value)]


_DECODE: dict[str, Callable[[dict[str, Any], str, Refusals], Message | None]] = {
    "message": _plain_message,
    "function_call": _call,
    "function_call_output": _result,
    "reasoning": _reasoning,
}
