"""The messages of a request as neutral turns.

Leading ``system`` and ``developer`` messages are the instructions; later ones stay where they are. Messages of role
``tool`` that follow each other become tool results at the start of one user's turn, and the user's message right after
them belongs to that turn.
"""

from __future__ import annotations

from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.wire.conversation import Message, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from trimaran.wire.fields import refuse_rest, required_object, required_text
from trimaran.wire.history import check_history
from trimaran.wire.openai_chat.parts import cache_mark, read_content
from trimaran.wire.openai_chat.reasoning import read_reasoning
from trimaran.wire.refusals import Refusals

__all__ = ["read_messages"]

_TEXT = frozenset({"text"})
_USER = frozenset({"text", "image_url", "input_audio", "file"})
_ASSISTANT = frozenset({"text", "refusal"})
_TOOL = frozenset({"text", "image_url", "file"})
_REASONING = frozenset({"reasoning", "reasoning_content", "reasoning_details"})
_ASSISTANT_MEMBERS = frozenset({"role", "content", "refusal", "tool_calls", "annotations"}) | _REASONING


def read_messages(value: Any, refusals: Refusals) -> tuple[list[Part], list[Message]]:
    """Instructions, and the turns after them. Raises :class:`InvalidRequest`."""
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'messages' must be a list with at least one message", field="messages")
    reader = _Reader(refusals)
    for place, item in enumerate(value):
        path = f"messages[{place}]"
        if not isinstance(item, dict) or not isinstance(role := item.get("role"), str):
            raise InvalidRequest(f"{path!r} must be an object with a role", field=path)
        if role == "function":
            reader.whole = False
            refusals.add(path, "role 'function'; use tools")
            continue
        read = _READERS.get(role)
        if read is None:
            raise InvalidRequest(f"{path!r} has the role {role!r}, which no provider knows", field=path)
        read(reader, item, path)
    if reader.whole:
        check_history(reader.messages)
    return reader.system, reader.messages


class _Reader:
    def __init__(self, refusals: Refusals) -> None:
        self.system: list[Part] = []
        self.messages: list[Message] = []
        self.whole = True
        """Nothing of the history was refused, so that it can be judged."""
        self._refusals = refusals
        self._names: dict[str, str] = {}
        self._after_results = False

    def instructions(self, item: dict[str, Any], path: str) -> None:
        refuse_rest(item, {"role", "content"}, path, self._refusals)
        parts = read_content(item.get("content"), f"{path}.content", _TEXT, self._refusals)
        if self.messages:
            self._add(Message("system", parts, path))
        else:
            self.system += parts

    def user(self, item: dict[str, Any], path: str) -> None:
        refuse_rest(item, {"role", "content"}, path, self._refusals)
        parts = read_content(item.get("content"), f"{path}.content", _USER, self._refusals)
        if self._after_results:
            self.messages[-1].parts += parts
            self._after_results = False
        else:
            self._add(Message("user", parts, path))

    def tool(self, item: dict[str, Any], path: str) -> None:
        call_id = required_text(item, "tool_call_id", path)
        known = {"role", "content", "tool_call_id", "cache_control"}
        if item.get("name") == self._names.get(call_id):
            # Older clients repeat the name of the function.
            known.add("name")
        refuse_rest(item, known, path, self._refusals)
        parts = read_content(item.get("content"), f"{path}.content", _TOOL, self._refusals)
        if parts == [Text("")]:
            parts = []
        result = ToolResult(call_id, parts, cache=cache_mark(item, path, self._refusals))
        if self._after_results:
            self.messages[-1].parts.append(result)
        else:
            self._add(Message("user", [result], path))
            self._after_results = True

    def assistant(self, item: dict[str, Any], path: str) -> None:
        refuse_rest(item, _ASSISTANT_MEMBERS, path, self._refusals)
        if item.get("annotations"):
            self._refusals.omit(f"{path}.annotations")
        parts: list[Part] = list(_reasoning(item, path, self._refusals))
        content = item.get("content")
        calls = self._calls(item.get("tool_calls"), path)
        spoken: list[Part] = []
        if content is not None:
            spoken = read_content(content, f"{path}.content", _ASSISTANT, self._refusals)
        if item.get("refusal") is not None:
            spoken.append(Refusal(required_text(item, "refusal", path)))
        others = bool(parts or calls)
        # An empty text beside something else says nothing.
        parts += [part for part in spoken if part != Text("")] or spoken[: not others]
        parts += calls
        if not parts:
            if item.get("tool_calls") or item.get("function_call") or item.get("audio") or content:
                self.whole = False
                return
            if item.get("reasoning_details"):
                # All it held was reasoning that had to be left out.
                return
            raise InvalidRequest(f"{path!r} says nothing: it has neither content nor tool calls", field=path)
        self._add(Message("assistant", parts, path))

    def _calls(self, value: Any, path: str) -> list[Part]:
        if value is None:
            return []
        here = f"{path}.tool_calls"
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise InvalidRequest(f"{here!r} must be a list of tool calls", field=here)
        calls: list[Part] = []
        for place, item in enumerate(value):
            at = f"{here}[{place}]"
            kind = item.get("type", "function")
            if kind != "function":
                self.whole = False
                self._refusals.add(at, f"a call of type {kind!r}")
                continue
            refuse_rest(item, {"id", "type", "function", "index"}, at, self._refusals)
            function = required_object(item, "function", at)
            refuse_rest(function, {"name", "arguments"}, f"{at}.function", self._refusals)
            id, name = required_text(item, "id", at), required_text(function, "name", f"{at}.function")
            if not id or not name:
                raise InvalidRequest(f"{at!r} needs an id and a name", field=at)
            self._names[id] = name
            arguments = required_text(function, "arguments", f"{at}.function")
            calls.append(ToolCall(id, name, arguments if arguments.strip() else "{}"))
        return calls

    def _add(self, message: Message) -> None:
        self.messages.append(message)
        self._after_results = False


def _reasoning(item: dict[str, Any], path: str, refusals: Refusals) -> list[Reasoning]:
    texts = []
    for key in ("reasoning_content", "reasoning"):
        if item.get(key) is not None:
            texts.append(required_text(item, key, path))
    details = item.get("reasoning_details") or []
    if not isinstance(details, list) or not all(isinstance(detail, dict) for detail in details):
        here = f"{path}.reasoning_details"
        raise InvalidRequest(f"{here!r} must be a list of objects", field=here)
    return read_reasoning(next((text for text in texts if text), ""), details, refusals)


_READERS = {
    "system": _Reader.instructions,
    "developer": _Reader.instructions,
    "user": _Reader.user,
    "tool": _Reader.tool,
    "assistant": _Reader.assistant,
}
