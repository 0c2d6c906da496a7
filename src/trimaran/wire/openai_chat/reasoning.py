"""What the model thought, in this API's extensions.

OpenAI's own API shows nothing of it. Compatible servers put the text into ``reasoning_content`` (DeepSeek, vLLM) or
``reasoning`` (OpenRouter, newer vLLM). What a provider needs to have back stands in ``reasoning_details``, whose shape is
OpenRouter's (https://openrouter.ai/docs/use-cases/reasoning-tokens, read 2026-11-24): a list of objects of type
``reasoning.text`` with a ``signature``, ``reasoning.summary``, or ``reasoning.encrypted`` with ``data``.

Reasoning of another dialect travels to a client as text and one detail for each part, with its wrapped state (see
:mod:`trimaran.wire.state`). Such a detail has the whole text of its part, also in a stream, because a signature holds
for exactly that text. In the client's next request it becomes that part again.

All other reasoning of one message is one part of this dialect, and its details are the state of it, as JSON; they go
back to their server as they came. So are all details of an answer, whatever they hold: the server below may be a gateway
itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.wire.conversation import Reasoning
from trimaran.wire.members import BAD_JSON
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import is_wrapped, lost_its_text, unwrap_state, wrap_state

__all__ = [
    "ORIGIN",
    "StreamedDetails",
    "details_of",
    "foreign_reasoning",
    "own_reasoning",
    "own_state",
    "read_reasoning",
    "reasoning_members",
    "wrapped_state",
]

ORIGIN = "openai.chat"

_STATES = ("signature", "data")
_TEXTS = ("text", "summary")
_PIECES = (*_TEXTS, "data")


def wrapped_state(detail: dict[str, Any]) -> str:
    """The wrapped state that a detail holds, or nothing."""
    return next((state for key in _STATES if isinstance(state := detail.get(key), str) and is_wrapped(state)), "")


def foreign_reasoning(detail: dict[str, Any]) -> Reasoning | None:
    """The part that a detail with a wrapped state stands for."""
    kind = detail.get("type")
    text = detail.get("summary" if kind == "reasoning.summary" else "text")
    return unwrap_state(
        wrapped_state(detail),
        text if isinstance(text, str) else "",
        summary=kind == "reasoning.summary",
        hidden=kind == "reasoning.encrypted",
    )


def read_reasoning(text: str, details: list[dict[str, Any]], refusals: Refusals) -> list[Reasoning]:
    """The reasoning of one message of a request from its text and its details. Whose text was lost is left out."""
    foreign: list[Reasoning] = []
    own: list[dict[str, Any]] = []
    for detail in details:
        part = foreign_reasoning(detail)
        if part is None:
            own.append(detail)
        elif lost_its_text(wrapped_state(detail), part):
            refusals.omit("reasoning")
        else:
            foreign.append(part)
    # The text repeats what the details say.
    return foreign + own_reasoning(text if len(own) == len(details) else "", own)


def own_reasoning(text: str, details: list[dict[str, Any]]) -> list[Reasoning]:
    """The reasoning of a server of this dialect: one part, or none."""
    state = own_state(details)
    text = text or "".join(piece for detail in details for key in _TEXTS if isinstance(piece := detail.get(key), str))
    return [Reasoning(text, state, ORIGIN, hidden=not text)] if text or state else []


def own_state(details: list[dict[str, Any]]) -> str:
    """The state that details of a server of this dialect are; empty where they only repeat the text."""
    if not any(detail.get(key) for detail in details for key in _STATES):
        return ""
    return msgspec.json.encode(details).decode()


class StreamedDetails:
    """The details of one reasoning part, as the chunks of a stream bring them: those of the same index and type continue
    each other."""

    def __init__(self) -> None:
        self._details: list[dict[str, Any]] = []
        self._known: dict[str, dict[str, Any]] = {}
        self._pieces: list[tuple[dict[str, Any], str, list[str]]] = []
        self._texts: dict[tuple[str, str], list[str]] = {}

    def add(self, pieces: list[Any]) -> None:
        """The details of one chunk."""
        for piece in pieces:
            if not isinstance(piece, dict):
                continue
            name = f"{piece['index']!r} {piece.get('type')!r}" if "index" in piece else ""
            known = self._known.get(name) if name else None
            if known is None:
                self._details.append(piece)
                if name:
                    self._known[name] = piece
                continue
            for key, value in piece.items():
                before = known.get(key)
                if key in _PIECES and isinstance(before, str) and isinstance(value, str):
                    self._more(known, name, key, before).append(value)
                elif value is not None:
                    known[key] = value

    def _more(self, known: dict[str, Any], name: str, key: str, first: str) -> list[str]:
        texts = self._texts.get((name, key))
        if texts is None:
            texts = self._texts[name, key] = [first]
            self._pieces.append((known, key, texts))
        return texts

    def whole(self) -> list[dict[str, Any]]:
        """All of them, put together."""
        for known, key, texts in self._pieces:
            known[key] = "".join(texts)
        return self._details


def details_of(part: Reasoning, index: int) -> list[dict[str, Any]]:
    """The details that carry ``part`` to a client, or back to its server; ``index`` counts those before."""
    if part.origin == ORIGIN:
        return _decoded(part.state)
    wrapped = wrap_state(part)
    if part.hidden:
        return [{"type": "reasoning.encrypted", "data": wrapped, "index": index}]
    if part.summary:
        return [{"type": "reasoning.summary", "summary": part.text, "signature": wrapped, "index": index}]
    return [{"type": "reasoning.text", "text": part.text, "signature": wrapped, "index": index}]


def _decoded(state: str) -> list[dict[str, Any]]:
    try:
        details = msgspec.json.decode(state) if state else []
    except BAD_JSON:
        return []
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def reasoning_members(parts: list[Reasoning]) -> dict[str, Any]:
    """The members of a message that hold ``parts``."""
    members: dict[str, Any] = {}
    details: list[dict[str, Any]] = []
    for part in parts:
        details += details_of(part, len(details))
    if text := "".join([part.text for part in parts]):
        members["reasoning_content"] = text
    if details:
        members["reasoning_details"] = details
    return members
