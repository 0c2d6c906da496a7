"""What the road reads of a Responses request before it is routed: what the answer takes, and whether it goes on from
something stored.

The input is searched for words first and decoded only where one of them stands, and then without its texts. A word
counts where it is the type of an item or a part, not where a text holds it.
"""

from __future__ import annotations

import msgspec

from trimaran.types import feature_mask
from trimaran.wire.members import BAD_JSON, RawMembers, Span

__all__ = ["needs_of", "refers_to_stored"]

_CHAT = feature_mask("chat")
_TOOLS = feature_mask("tools")
_SCHEMA = feature_mask("json_schema")
_REASONING = feature_mask("reasoning")
_SAMPLING = feature_mask("sampling")
_LOGPROBS = feature_mask("logprobs")
_PART_NEEDS = {
    "input_image": feature_mask("vision"),
    "input_file": feature_mask("documents"),
    "input_audio": feature_mask("audio"),
}
_PART_MARKS = tuple((b'"%b"' % kind.encode(), bit) for kind, bit in _PART_NEEDS.items())
_LIST = ord("[")
_STORED = ("previous_response_id", "conversation", "prompt")
_NOTHING = (b"null", b"[]", b"{}", b'""')


class _Part(msgspec.Struct, gc=False):
    type: str = ""


class _Item(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: list[_Part] | str | None = None
    encrypted_content: str | None = None
    output: list[_Part] | str | dict[str, msgspec.Raw] | None = None


class _Reasoning(msgspec.Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Format(msgspec.Struct, gc=False):
    type: str = ""


class _Text(msgspec.Struct, gc=False):
    format: _Format | None = None


_decode_input = msgspec.json.Decoder(list[_Item]).decode
_decode_reasoning = msgspec.json.Decoder(_Reasoning | None).decode
_decode_text = msgspec.json.Decoder(_Text | None).decode
_decode_number = msgspec.json.Decoder(float | None).decode


def needs_of(raw: RawMembers, body: bytes, span: Span) -> tuple[int, bool]:
    """What a target must be able to do, as a mask of :data:`trimaran.types.FEATURES`, and whether the input refers to a
    stored item. ``span``: where the input stands in ``body``. What cannot be read counts as asked for; the target says
    what is wrong with it."""
    needs = _CHAT
    if "tools" in raw and bytes(raw["tools"]) not in _NOTHING:
        needs |= _TOOLS
    if "reasoning" in raw and _reasons(raw["reasoning"]):
        needs |= _REASONING
    if "text" in raw and b"json_schema" in bytes(raw["text"]) and _holds_to_schema(raw["text"]):
        needs |= _SCHEMA
    if ("temperature" in raw and _shifts(raw["temperature"])) or ("top_p" in raw and _shifts(raw["top_p"])):
        needs |= _SAMPLING
    if "top_logprobs" in raw and bytes(raw["top_logprobs"]) not in (b"null", b"0"):
        needs |= _LOGPROBS
    if "include" in raw and b'"message.output_text.logprobs"' in bytes(raw["include"]):
        needs |= _LOGPROBS
    if "input" not in raw or body[span[0]] != _LIST:
        return needs, False
    part_needs, stored = _input(raw["input"], body, *span)
    return needs | part_needs, stored


def refers_to_stored(raw: RawMembers) -> bool:
    """Whether a member of the request names something that a provider has stored."""
    return any(key in raw and bytes(raw[key]) != b"null" for key in _STORED)


def _input(value: msgspec.Raw, body: bytes, start: int, end: int) -> tuple[int, bool]:
    found = 0
    if body.find(b'"input_', start, end) >= 0:
        for mark, bit in _PART_MARKS:
            if body.find(mark, start, end) >= 0:
                found |= bit
    if not found and body.find(b'"item_reference"', start, end) < 0 and body.find(b'"id"', start, end) < 0:
        return 0, False
    try:
        items = _decode_input(value)
    except BAD_JSON:
        return found, False
    needs = 0
    stored = False
    for item in items:
        stored = stored or _refers(item)
        if found:
            for content in (item.content, item.output):
                if isinstance(content, list):
                    for part in content:
                        needs |= _PART_NEEDS.get(part.type, 0)
    return needs, stored


def _refers(item: _Item) -> bool:
    """Whether only the provider that wrote this item has the whole of it: it is a reference, or reasoning without its
    state. Where reasoning shows all its text, as compatible servers do, nothing else is needed."""
    if item.type == "reasoning":
        return bool(item.id) and not item.encrypted_content and not item.content
    return item.type == "item_reference" or (item.type is None and item.role is None)


def _reasons(value: msgspec.Raw) -> bool:
    try:
        control = _decode_reasoning(value)
    except BAD_JSON:
        return True
    if control is None:
        return False
    return control.effort not in (None, "none") or bool(control.summary or control.generate_summary)


def _holds_to_schema(value: msgspec.Raw) -> bool:
    try:
        text = _decode_text(value)
    except BAD_JSON:
        return True
    return text is not None and text.format is not None and text.format.type == "json_schema"


def _shifts(value: msgspec.Raw) -> bool:
    try:
        return _decode_number(value) not in (None, 1.0)
    except BAD_JSON:
        return True
