"""The top level of a JSON object, read without touching the rest.

One pass of the decoder yields each top-level member as raw bytes. Where these bytes stand in the body follows from
their lengths: written compactly, a member takes its key, its value and four bytes of punctuation. If the sum is exactly
the length of the body, there can be no whitespace, no escape in a key and no second member of the same name, because
each of them would add bytes. Compact is how the SDKs write, so the common case costs one addition for each member.
Any other body is walked, member by member, which finds duplicates and the positions too; the style of Python's ``json``
has a short cut.

Values keep their bytes: a change is a splice between two positions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Annotated, Any, TypeAlias

import msgspec

from trimaran.errors import InvalidRequest

__all__ = ["BAD_JSON", "RawMembers", "Span", "count_member", "flag_member", "plain", "read_members", "text_member"]

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises on bytes that are not JSON, not UTF-8, or nested too deeply."""

MAX_COUNT = 1_000_000_000
"""Above any token limit in use, and small enough for every store that it reaches."""

RawMembers: TypeAlias = dict[str, msgspec.Raw]
"""Each top-level member's value, as it is written."""
Span: TypeAlias = tuple[int, int]
"""Start and end in the body."""

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool | None).decode
_decode_count = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] | None).decode
# From the opening brace, or the end of a value, to the start of the next value; group 1 is the key, absent at the end.
_NEXT = re.compile(
    rb'[ \t\r\n]*(?:[{,][ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*|\{?[ \t\r\n]*\})', re.DOTALL
)
# Numbers stay text: the interpreter refuses to convert very long ones.
_skip = json.JSONDecoder(parse_int=str, parse_float=str, strict=False).raw_decode


def read_members(body: bytes, keys: Set[str]) -> tuple[RawMembers, dict[str, Span]]:
    """The top-level members of ``body``, and where the values of ``keys`` stand.

    Raises :class:`InvalidRequest` unless the body is one JSON object in UTF-8 in which none of ``keys`` stands twice.
    """
    try:
        if not body.isascii():
            body.decode()
        raw = _decode_members(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest('the body must be a JSON object, such as {"model": ..., "messages": [...]}') from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 at byte {error.start}; send JSON encoded as UTF-8") from error
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error
    spans: dict[str, Span] = {}
    at = 1
    for key, value in raw.items():
        start = at + len(key) + 3
        at = start + len(value) + 1
        if key in keys:
            spans[key] = (start, at - 1)
    if at != len(body):
        spans = _spaced(body, raw, keys) or _walk(body, raw, keys)
    return raw, spans


def _spaced(body: bytes, raw: RawMembers, keys: Set[str]) -> dict[str, Span] | None:
    """Spans of ``keys`` in a body that has one space after each colon and comma, as Python's ``json`` writes it.

    Written again in that style it must be the same, which leaves no place for a duplicate.
    """
    if body[:1] != b"{" or body != b"{%b}" % b", ".join([b'"%b": %b' % (key.encode(), raw[key]) for key in raw]):
        return None
    spans: dict[str, Span] = {}
    at = 1
    for key, value in raw.items():
        start = at + len(key.encode()) + 4
        at = start + len(value) + 2
        if key in keys:
            spans[key] = (start, at - 2)
    return spans


def _walk(body: bytes, raw: RawMembers, keys: Set[str]) -> dict[str, Span]:
    """Spans of ``keys`` in a body that the decoder has accepted.

    ``raw`` has only the last value of a member that stands more than once; the end of an earlier one has to be found.
    """
    spans: dict[str, Span] = {}
    values: dict[str, bytes] = {}
    text = ""
    found = _NEXT.match(body)
    while found is not None and found[1] is not None:
        key = msgspec.json.decode(found[1], type=str) if b"\\" in found[1] else found[1][1:-1].decode()
        value = values.get(key)
        if value is None:
            value = values[key] = bytes(raw[key])
        start = found.end()
        end = start + len(value)
        found = _NEXT.match(body, end) if body.startswith(value, start) else None
        if key in spans:
            raise InvalidRequest(f"{key!r} stands more than once in the body; send it once", field=key)
        if found is None:
            text = text or body.decode("latin-1")
            end = _value_end(text, start)
            found = _NEXT.match(body, end)
        if key in keys:
            spans[key] = (start, end)
    return spans


def _value_end(text: str, start: int) -> int:
    """Where the value at ``start`` ends. ``text`` holds the body's bytes as Latin-1, so that positions are the same."""
    try:
        return _skip(text, start)[1]
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply") from error


def text_member(raw: RawMembers, key: str) -> str:
    """A member that must be a non-empty string."""
    try:
        value = _decode_text(raw[key])
    except (KeyError, *BAD_JSON) as error:
        raise InvalidRequest(f"{key!r} must be given, as a string", field=key) from error
    if not value:
        raise InvalidRequest(f"{key!r} must not be empty", field=key)
    return value


def count_member(raw: RawMembers, key: str) -> int | None:
    """A member that may be absent or null and is otherwise an integer, not negative."""
    value = raw.get(key)
    try:
        return None if value is None else _decode_count(value)
    except BAD_JSON as error:
        raise InvalidRequest(f"{key!r} must be an integer from 0 to {MAX_COUNT}", field=key) from error


def flag_member(raw: RawMembers, key: str) -> bool:
    """A member that may be absent or null (false) and is otherwise a boolean."""
    value = raw.get(key)
    try:
        return value is not None and _decode_flag(value) is True
    except BAD_JSON as error:
        raise InvalidRequest(f"{key!r} must be true or false", field=key) from error


def plain(key: str, value: msgspec.Raw) -> Any:
    """The value of member ``key``, whatever it is."""
    try:
        return msgspec.json.decode(value)
    except BAD_JSON as error:
        raise InvalidRequest(f"{key!r} cannot be read: {error}", field=key) from error
