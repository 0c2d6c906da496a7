"""Reasoning state of one provider in the hands of another one's client.

A provider signs or encrypts what its model thought and wants it back unchanged in the next request. When the client
speaks another dialect, the state travels in that dialect's own field, wrapped: a mark, the dialect that issued it, its
id there, the state. On its way back it is unwrapped for a target that speaks the issuing dialect. Any other target could
not read it, so there the reasoning is left out and noted.

A request that passes untouched may hold wrapped state, too, when the conversation moved to another provider. The mark at
the beginning of a JSON string is what the road looks for, a search of the body that costs next to nothing.
"""

from __future__ import annotations

from trimaran.wire.conversation import Reasoning

__all__ = ["STATE_MARK", "is_wrapped", "unwrap_state", "wrap_state"]

_MARK = "tmrn1:"
STATE_MARK = b'"tmrn1:'
"""What the JSON string of a wrapped state begins with."""


def wrap_state(reasoning: Reasoning) -> str:
    """The state of ``reasoning`` for a field of another dialect. Never empty."""
    return f"{_MARK}{reasoning.origin}:{reasoning.id}:{reasoning.state}"


def is_wrapped(text: object) -> bool:
    """Whether a field holds a wrapped state."""
    return isinstance(text, str) and text.startswith(_MARK)


def unwrap_state(text: str) -> tuple[str, str, str] | None:
    """Origin, id and state, or ``None`` for a state that was never wrapped."""
    if not text.startswith(_MARK):
        return None
    origin, _, rest = text[len(_MARK) :].partition(":")
    id, _, state = rest.partition(":")
    return origin, id, state
