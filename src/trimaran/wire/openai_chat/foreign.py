"""Reasoning of other dialects, taken out of a body that otherwise passes.

Only messages in which a wrapped state stands are read; everything else keeps its bytes.
"""

from __future__ import annotations

import msgspec

from trimaran.wire.members import BAD_JSON
from trimaran.wire.openai_chat.reasoning import foreign_reasoning
from trimaran.wire.state import STATE_MARK

__all__ = ["without_foreign_state"]

_decode_body = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_details = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.decode

_TEXTS = ("reasoning_content", "reasoning")
_SAYS = ("content", "tool_calls", "refusal", "function_call", "audio", *_TEXTS, "reasoning_details")


def without_foreign_state(body: bytes) -> bytes:
    """See :meth:`trimaran.wire.dialect.Dialect.without_foreign_state`. The text of such reasoning, which repeats what the
    details say, goes with it, and so does a message that said nothing else."""
    try:
        members = _decode_body(body)
        messages = _decode_messages(members["messages"])
    except (KeyError, *BAD_JSON):
        return body
    kept: list[msgspec.Raw] = []
    changed = False
    for message in messages:
        clean = _clean(message) if bytes(message).find(STATE_MARK) >= 0 else message
        changed = changed or clean is not message
        if clean is not None:
            kept.append(clean)
    if not changed:
        return body
    members["messages"] = msgspec.Raw(msgspec.json.encode(kept))
    return msgspec.json.encode(members)


def _clean(message: msgspec.Raw) -> msgspec.Raw | None:
    try:
        members = _decode_body(message)
        details = _decode_details(members["reasoning_details"])
    except (KeyError, *BAD_JSON):
        return message
    kept = [detail for detail in details if not _is_foreign(detail)]
    if len(kept) == len(details):
        return message
    for key in _TEXTS:
        if not kept:
            members.pop(key, None)
    if kept:
        members["reasoning_details"] = msgspec.Raw(msgspec.json.encode(kept))
    else:
        del members["reasoning_details"]
    if all(bytes(members.get(key, b"null")) in (b"null", b"[]") for key in _SAYS):
        return None
    return msgspec.Raw(msgspec.json.encode(members))


def _is_foreign(detail: msgspec.Raw) -> bool:
    value = _decode(detail)
    return isinstance(value, dict) and foreign_reasoning(value) is not None
