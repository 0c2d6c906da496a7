"""Reasoning state of one provider in the hands of another one's client.

A provider signs or encrypts what its model thought and wants it back unchanged in the next request. When the client
speaks another dialect, the state travels in that dialect's own field, wrapped: a mark, the dialect that issued it, its
id there, the state. Signs after the dialect say what its text was: ``*`` for hidden reasoning, ``+`` for a summary, and
``-`` for thoughts that are shown and have no text. A client may lose the text and keep the state; without a sign, some
text belongs to it. On its way back it is unwrapped for a target that speaks the issuing dialect. Any other target could
not read it, so there the reasoning is left out and noted.

A request that passes untouched may hold wrapped state, too, when the conversation moved to another provider. The mark at
the beginning of a JSON string is what the road looks for, a search of the body that costs next to nothing.
"""

from __future__ import annotations

from trimaran.wire.conversation import Reasoning

__all__ = ["STATE_MARK", "is_wrapped", "lost_its_text", "unwrap_state", "wrap_state"]

_MARK = "tmrn1:"
_HIDDEN, _SUMMARY, _EMPTY = "*", "+", "-"
_SIGNS = _HIDDEN + _SUMMARY + _EMPTY
_SIGNED_WITH_TEXT = frozenset({"anthropic.messages", "bedrock.converse"})
"""Whose state is a signature of the text."""
STATE_MARK = b'"tmrn1:'
"""What the JSON string of a wrapped state begins with."""


def wrap_state(reasoning: Reasoning) -> str:
    """The state of ``reasoning`` for a field of another dialect. Never empty."""
    signs = _HIDDEN if reasoning.hidden else _SUMMARY if reasoning.summary else ""
    if not (reasoning.text or reasoning.hidden) and reasoning.origin in _SIGNED_WITH_TEXT:
        signs += _EMPTY
    return f"{_MARK}{reasoning.origin}{signs}:{reasoning.id}:{reasoning.state}"


def is_wrapped(text: object) -> bool:
    """Whether a field holds a wrapped state."""
    return isinstance(text, str) and text.startswith(_MARK)


def unwrap_state(wrapped: str, text: str = "", *, summary: bool = False, hidden: bool = False) -> Reasoning | None:
    """The reasoning that ``wrapped`` is the state of and ``text`` the words, or ``None`` for a state that was never
    wrapped. ``summary`` and ``hidden`` are what the client's own form says beside the signs."""
    if not wrapped.startswith(_MARK):
        return None
    head, _, rest = wrapped[len(_MARK) :].partition(":")
    id, _, state = rest.partition(":")
    origin = head.rstrip(_SIGNS)
    signs = head[len(origin) :]
    return Reasoning(
        "" if _EMPTY in signs else text,
        state,
        origin,
        id,
        summary=summary or _SUMMARY in signs,
        hidden=hidden or _HIDDEN in signs,
    )


def lost_its_text(wrapped: str, reasoning: Reasoning) -> bool:
    """Whether ``reasoning``, unwrapped from ``wrapped``, came without the text that its state holds for. Its issuer would
    refuse the state alone."""
    if reasoning.text or reasoning.hidden or reasoning.origin not in _SIGNED_WITH_TEXT:
        return False
    return _EMPTY not in wrapped[len(_MARK) :].partition(":")[0]
