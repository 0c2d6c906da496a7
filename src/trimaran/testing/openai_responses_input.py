"""Reads the input items of ``openai.responses``, and refuses the histories and parts that the API refuses."""

from __future__ import annotations

from collections.abc import Container, Mapping

import msgspec

from trimaran.testing.exchange import Refusal
from trimaran.testing.openai_common import check_base64, check_image_url, invalid
from trimaran.testing.signing import signed_text
from trimaran.testing.transcript import Transcript

__all__ = ["Item", "read_items", "resolved"]


class _Content(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class Item(msgspec.Struct):
    """An input item as it came, of any type."""

    type: str | None = None
    role: str | None = None
    content: str | list[_Content] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[_Content] | None = None
    summary: list[_Content] | None = None
    encrypted_content: str | None = None


_ROLES = ("assistant", "system", "developer", "user")
_TYPES = "'message', 'function_call', 'function_call_output', 'reasoning', and 'item_reference'"
_INPUT = frozenset({"input_text", "input_image", "input_file"})
_AFTER_REASONING = frozenset({"message", "function_call", "reasoning"})


def resolved(item: Item, stored: Mapping[str, Item]) -> Item:
    """The stored item that ``item`` refers to, where it refers to one that is known; ``item`` otherwise."""
    refers = item.type == "item_reference" or (item.type is None and item.role is None and item.content is None)
    return stored.get(item.id or "", item) if refers else item


def read_items(items: list[Item], transcript: Transcript, known: Container[str]) -> bool:
    """Read all of them, references resolved; whether any text mentions JSON. ``known``: ids of items that are stored.

    Raises :class:`~trimaran.testing.exchange.Refusal` (400, 404).
    """
    reader = _Reader(transcript, known)
    for place, item in enumerate(items):
        following = items[place + 1] if place + 1 < len(items) else None
        reader.read(item, f"input[{place}]", following)
    for call_id, answered in reader.calls.items():
        if not answered:
            raise invalid(f"No tool output found for function call {call_id}.", "input")
    return reader.mentions_json


class _Reader:
    def __init__(self, transcript: Transcript, known: Container[str]) -> None:
        self._transcript = transcript
        self._known = known
        self.calls: dict[str, bool] = {}
        """Calls by id, and whether their output was seen."""
        self.mentions_json = False

    def read(self, item: Item, where: str, following: Item | None) -> None:
        kind = item.type or ("message" if item.role is not None else None)
        if kind == "message":
            self._message(item, where)
        elif kind == "function_call":
            self._call(item, where)
        elif kind == "function_call_output":
            self._output(item, where)
        elif kind == "reasoning":
            self._reasoning(item, where, following)
        elif kind == "item_reference" or (kind is None and item.id is not None and item.content is None):
            raise _not_found(item.id)
        elif kind is None:
            raise invalid(f"Missing required parameter: '{where}.type'.", f"{where}.type", "missing_required_parameter")
        else:
            message = f"Invalid value: '{kind}'. Supported values are: {_TYPES}."
            raise invalid(message, f"{where}.type", "invalid_value")

    def _message(self, item: Item, where: str) -> None:
        role, content = item.role, item.content
        if role not in _ROLES:
            message = f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
            raise invalid(message, f"{where}.role", "invalid_value")
        if content is None:
            name = f"{where}.content"
            raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
        if role in ("user", "assistant"):
            self._transcript.turn(role)
        if isinstance(content, str):
            self._say(role, content)
            return
        for at, part in enumerate(content):
            here = f"{where}.content[{at}]"
            if role == "assistant":
                self._say(role, _assistant_text(part, here))
            elif part.type == "input_text" and part.text is not None:
                self._say(role, part.text)
            elif role == "user":
                _media(part, here, self._transcript)
            else:
                raise _wrong_type(part, here, "'input_text'")

    def _say(self, role: str, text: str) -> None:
        self.mentions_json = self.mentions_json or "json" in text.lower()
        if role in ("user", "assistant"):
            self._transcript.text(text)
        else:
            self._transcript.system(text)

    def _call(self, item: Item, where: str) -> None:
        for name in ("call_id", "name", "arguments"):
            if getattr(item, name) is None:
                path = f"{where}.{name}"
                raise invalid(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
        if item.call_id in self.calls:
            raise invalid(f"Duplicate function call id '{item.call_id}'.", f"{where}.call_id", "invalid_value")
        self.calls[item.call_id or ""] = False
        self._transcript.turn("assistant")
        self._transcript.tool_call(item.name or "", item.arguments)

    def _output(self, item: Item, where: str) -> None:
        if item.call_id not in self.calls:
            raise invalid(f"No tool call found for function call output with call_id {item.call_id}.", "input")
        if self.calls[item.call_id]:
            raise invalid(f"Duplicate output for function call {item.call_id}.", where, "invalid_value")
        if item.output is None:
            name = f"{where}.output"
            raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
        self.calls[item.call_id] = True
        self._transcript.turn("user")
        self._transcript.tool_result()
        if isinstance(item.output, str):
            self._transcript.chars(len(item.output))
            return
        for at, part in enumerate(item.output):
            if part.type == "input_text" and part.text is not None:
                self._transcript.chars(len(part.text))
            else:
                _media(part, f"{where}.output[{at}]", self._transcript)

    def _reasoning(self, item: Item, where: str, following: Item | None) -> None:
        if item.encrypted_content is not None:
            _check_encrypted(item.encrypted_content, item.id)
        elif (item.id or "") not in self._known:
            raise _not_found(item.id)
        kind = None if following is None else following.type or "message"
        if kind not in _AFTER_REASONING or (kind == "message" and following and following.role != "assistant"):
            message = f"Item '{item.id}' of type 'reasoning' was provided without its required following item."
            raise invalid(message, "input")
        self._transcript.turn("assistant")
        self._transcript.reasoning()


def _check_encrypted(content: str, identity: str | None) -> None:
    """Ours, unchanged, and under the id it was made for (an item may come back without one)."""
    text = signed_text("encrypted", content)
    message = f"The encrypted content {content[:4]}...{content[-4:]} could not be verified."
    if text is None:
        raise invalid(message, None, "invalid_encrypted_content")
    if identity is not None and text.partition("\n")[0] != identity:
        reason = "Reason: Encrypted content item_id did not match the target item id."
        raise invalid(f"{message} {reason}", None, "invalid_encrypted_content")


def _not_found(identity: str | None) -> Refusal:
    message = (
        f"Item with id '{identity}' not found. Items are not persisted when `store` is set to false. Try again with "
        "`store` set to true, or remove this item from your input."
    )
    return Refusal(404, "invalid", message, param="input")


def _wrong_type(part: _Content, where: str, supported: str) -> Refusal:
    return invalid(f"Invalid value: '{part.type}'. Supported values are: {supported}.", where, "invalid_value")


def _assistant_text(part: _Content, where: str) -> str:
    text = part.text if part.type == "output_text" else part.refusal if part.type == "refusal" else None
    if text is None:
        raise _wrong_type(part, where, "'output_text' and 'refusal'")
    return text


def _media(part: _Content, where: str, transcript: Transcript) -> None:
    if part.type == "input_image":
        if part.file_id is None:
            check_image_url(part.image_url, f"{where}.image_url")
        transcript.image()
    elif part.type == "input_file":
        _file(part, where)
        transcript.document()
    elif part.type in _INPUT:
        name = f"{where}.text"
        raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    else:
        raise _wrong_type(part, where, "'input_text', 'input_image', and 'input_file'")


def _file(part: _Content, where: str) -> None:
    sources = [part.file_id, part.file_url, part.file_data]
    if sum(source is not None for source in sources) != 1:
        message = f"Invalid '{where}': exactly one of 'file_id', 'file_url' and 'file_data' is required."
        raise invalid(message, where, "invalid_value")
    if part.file_data is None:
        return
    if part.filename is None:
        name = f"{where}.filename"
        raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    head, _, data = part.file_data.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        name = f"{where}.file_data"
        raise invalid(f"Invalid '{name}'. Expected a base64-encoded data URL.", name, "invalid_value")
    check_base64(data, f"{where}.file_data")
