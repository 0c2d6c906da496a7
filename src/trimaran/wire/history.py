"""Whether the tool calls of a conversation and their results fit together, before it is translated.

Every provider demands the same: each call has an id of its own; right after the turn that called comes the user's turn,
with one result for each call before anything else. A conversation that breaks this would be refused elsewhere with a
message about a body that the client never wrote, so it is refused here, in the client's own terms.
"""

from __future__ import annotations

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Message, ToolCall, ToolResult

__all__ = ["check_history"]


def check_history(messages: list[Message]) -> None:
    """Raises :class:`InvalidRequest` for a result without the call it answers, a second one for the same call, an id
    that stands twice, and calls whose results do not come right after the turn that called. Consecutive messages of one
    role are one turn."""
    called: set[str] = set()
    open_calls: dict[str, str] = {}
    results_over = True
    previous = ""
    for message in messages:
        new_turn = message.role != previous
        if new_turn and message.role != "user":
            _all_answered(open_calls, message.path)
        if new_turn:
            results_over = previous != "assistant"
        previous = message.role
        for part in message.parts:
            if isinstance(part, ToolResult):
                _answer(part, called, open_calls, results_over, message.path)
                continue
            if message.role == "user":
                _all_answered(open_calls, message.path)
                results_over = True
            if isinstance(part, ToolCall):
                _call(part, called, open_calls, message.path)
    _all_answered(open_calls, "")


def _call(call: ToolCall, called: set[str], open_calls: dict[str, str], path: str) -> None:
    if call.id in called:
        raise InvalidRequest(f"{path!r}: the tool call id {call.id!r} stands twice in the conversation", field=path)
    called.add(call.id)
    open_calls[call.id] = path


def _answer(result: ToolResult, called: set[str], open_calls: dict[str, str], late: bool, path: str) -> None:
    if not late and open_calls.pop(result.call_id, None) is not None:
        return
    if result.call_id not in called:
        why = "which no earlier turn made"
    elif late:
        why = "and must stand right after the turn that made it, before anything else"
    else:
        why = "which has its result already"
    raise InvalidRequest(f"{path!r} is the result of the tool call {result.call_id!r}, {why}", field=path)


def _all_answered(open_calls: dict[str, str], path: str) -> None:
    if open_calls:
        id, called_at = next(iter(open_calls.items()))
        where = f"before {path!r}" if path else "before the conversation ends"
        raise InvalidRequest(
            f"{called_at!r} calls a tool, and the result of the call {id!r} is missing {where}", field=called_at
        )
