"""Thought signatures: where they stand here, and where they are in the neutral model.

This API signs parts: a function call, a text, a thought, or an empty text that follows. The neutral model has
reasoning, whose state is the signature, and whose ``id`` says what it stood on, because other dialects put reasoning
where they have a place for it: ``c-`` and the id of the call, ``t`` for the text before it, ``e`` for an empty text of
its own, nothing for a thought. So a signature comes home on the part that it came on, whichever client carried it
meanwhile. Where the text is gone it gets an empty one, which is the form that the API itself uses at the end of a
stream.

A call that no Gemini made goes to a client with the documented stand-in for a signature, on the first one of an answer:
the conversation may come to a model that demands one, and pass.

Reasoning of other dialects goes to a client as a thought whose signature is the wrapped state
(:mod:`trimaran.wire.state`) in base64, which begins with :data:`STATE_MARK`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from trimaran.wire.call_ids import fitting_id
from trimaran.wire.conversation import Part, Reasoning, Text, ToolCall
from trimaran.wire.gemini_generate.usage import ORIGIN
from trimaran.wire.state import is_wrapped, wrap_state

__all__ = [
    "DUMMY",
    "EMPTY_TEXT",
    "ON_TEXT",
    "STATE_MARK",
    "is_dummy",
    "is_placed",
    "on_call",
    "placed",
    "thought_signature",
    "vouched",
    "wrapped",
]

STATE_MARK = b'"dG1ybjE6'
"""What the JSON string of another dialect's state begins with."""
DUMMY = "skip_thought_signature_validator"
"""For a function call that no Gemini made, at a model that demands a signature.
https://ai.google.dev/gemini-api/docs/thought-signatures (FAQ, read 2026-11-30)."""

_PLAIN = (DUMMY, "context_engineering_is_the_way_to_go")
_DUMMIES = frozenset({*_PLAIN, *(base64.b64encode(text.encode()).decode().rstrip("=") for text in _PLAIN)})
"""As the documentation writes them, and as they arrive from a client whose library encodes bytes."""

ON_TEXT = "t"
EMPTY_TEXT = "e"
_ON_CALL = "c-"
_LONGEST = 40
"""The least that any dialect leaves of the id of a call."""


def on_call(id: str) -> str:
    """The ``id`` of reasoning whose signature stands on the call ``id``."""
    return _ON_CALL + fitting_id(id, _LONGEST)


def is_placed(part: Part) -> bool:
    """Whether ``part`` is the signature of something else than a thought."""
    return (
        isinstance(part, Reasoning)
        and part.origin == ORIGIN
        and (part.id in (ON_TEXT, EMPTY_TEXT) or part.id.startswith(_ON_CALL))
    )


def is_dummy(signature: str) -> bool:
    """Whether a signature is one of the documented stand-ins, which say nothing."""
    return signature.rstrip("=") in _DUMMIES


def placed(parts: Sequence[Part]) -> tuple[list[tuple[Part, str]], bool]:
    """The parts of a turn, each with the signature that stands on it, and whether a signature is left over because its
    call is gone."""
    calls = {part.id: part.state for part in parts if isinstance(part, Reasoning) and is_placed(part)}
    out: list[tuple[Part, str]] = []
    late: list[str] = []
    for part in parts:
        if isinstance(part, Reasoning) and is_placed(part):
            if part.id == EMPTY_TEXT:
                out.append((Text(""), part.state))
            elif part.id == ON_TEXT and out and _unsigned(out[-1]):
                out[-1] = (out[-1][0], part.state)
            elif part.id == ON_TEXT:
                late.append(part.state)
        elif isinstance(part, ToolCall):
            out.append((part, calls.pop(on_call(part.id), "")))
        else:
            out.append((part, ""))
    at = len(out) - 1
    for state in late:
        while at >= 0 and not _unsigned(out[at]):
            at -= 1
        if at < 0:
            out.append((Text(""), state))
        else:
            out[at] = (out[at][0], state)
    return out, any(id.startswith(_ON_CALL) for id in calls)


def vouched(pairs: Sequence[tuple[Part, str]]) -> list[tuple[Part, str]]:
    """The parts of an answer for a client, as :func:`placed` gives them, with the stand-in where no call is signed and none
    of this API's thoughts are among them."""
    if any(state or (isinstance(part, Reasoning) and part.origin == ORIGIN) for part, state in pairs):
        return [*pairs]
    first = next((place for place, (part, _) in enumerate(pairs) if isinstance(part, ToolCall)), None)
    return [(part, DUMMY if place == first else state) for place, (part, state) in enumerate(pairs)]


def _unsigned(pair: tuple[Part, str]) -> bool:
    part, state = pair
    return isinstance(part, Text) and bool(part.text) and not state


def thought_signature(part: Reasoning) -> str:
    """The signature of a thought for a client."""
    if part.origin == ORIGIN:
        return part.state
    return base64.b64encode(wrap_state(part).encode("utf-8", "surrogatepass")).decode()


def wrapped(signature: str) -> str:
    """The wrapped state that a signature is; empty for one of this API."""
    if not signature.startswith(STATE_MARK[1:].decode()):
        return ""
    try:
        data = base64.urlsafe_b64decode(signature.replace("+", "-").replace("/", "_") + "=" * (-len(signature) % 4))
        state = data.decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return state if is_wrapped(state) else ""
