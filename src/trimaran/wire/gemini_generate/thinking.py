"""Control of reasoning: ``generationConfig.thinkingConfig``, decoded and written.

Models of the second generation want a budget of tokens, 0 turns thinking off and -1 leaves it to the model; later ones
want a level and cannot be stopped altogether. The API takes one of the two and shows thoughts only where
``includeThoughts`` asks for them; Anthropic's clients, and Bedrock's, expect them where they turned thinking on. What
becomes a budget, or a level, is noted as emulated.

Source: https://ai.google.dev/gemini-api/docs/thinking (read 2026-11-30).
"""

from __future__ import annotations

from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.types import Target
from trimaran.wire.conversation import Notes, ReasoningControl
from trimaran.wire.effort import budget_of, effort_of
from trimaran.wire.fields import optional_flag, refuse_rest
from trimaran.wire.gemini_generate.models import reasoning_way
from trimaran.wire.gemini_generate.names import members, spellings, word_of
from trimaran.wire.gemini_generate.usage import ORIGIN
from trimaran.wire.refusals import Refusals

__all__ = ["decode_thinking", "encode_thinking"]

_PATH = "generationConfig.thinkingConfig"
_NAMES = spellings("thinkingBudget", "thinkingLevel", "includeThoughts")
_KNOWN = frozenset(_NAMES.values())
_EFFORTS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh"}
_LEVELS = {effort: level for level, effort in _EFFORTS.items()}
_MOST = 10**6
_SHOW = ("anthropic.messages", "bedrock.converse")


def decode_thinking(value: Any, refusals: Refusals) -> ReasoningControl | None:
    """The control; ``None`` where nothing was said."""
    if value is None:
        return None
    config = members(value, _NAMES, _PATH)
    refuse_rest(config, _KNOWN, _PATH, refusals)
    show = "auto" if optional_flag(config, "includeThoughts", _PATH) else ""
    level = word_of(config, "thinkingLevel", _PATH)
    budget = config.get("thinkingBudget")
    if level and level not in _EFFORTS:
        refusals.add(f"{_PATH}.thinkingLevel", level)
        level = ""
    if level and budget is not None:
        raise InvalidRequest(f"{_PATH!r} has a budget and a level; the API takes one of them", field=_PATH)
    if budget is None:
        return ReasoningControl(_EFFORTS.get(level, ""), show=show) if level or show else None
    if type(budget) is not int or not -1 <= budget <= _MOST:
        where = f"{_PATH}.thinkingBudget"
        raise InvalidRequest(
            f"{where!r} must be a number of tokens, 0 for none or -1 for the model's choice", field=where
        )
    if budget == 0:
        return ReasoningControl("none", show=show)
    return ReasoningControl("", None if budget < 0 else budget, budget < 0, show)


def encode_thinking(
    control: ReasoningControl, target: Target, limit: int | None, refusals: Refusals, notes: Notes
) -> dict[str, Any]:
    """``thinkingConfig`` for ``target``, empty where nothing is to be said; ``limit`` bounds what is generated."""
    name = refusals.name("reasoning")
    way = reasoning_way(target)
    if way == "effort" or (not way and control.effort and control.effort != "none"):
        config = _level(control, refusals.source == ORIGIN, name, notes)
    else:
        config = _budget(control, limit, name, notes)
    off = control.effort == "none" and control.budget_tokens is None
    if control.show in ("concise", "detailed"):
        notes.emulate(name)
    if control.show not in ("", "none") or (not control.show and refusals.source in _SHOW and config and not off):
        config["includeThoughts"] = True
    return config


def _level(control: ReasoningControl, native: bool, name: str, notes: Notes) -> dict[str, Any]:
    effort = control.effort
    if control.budget_tokens is not None:
        notes.emulate(name)
        effort = effort or effort_of(control.budget_tokens)
    elif effort == "none":
        # The least there is.
        notes.emulate(name)
        effort = "minimal"
    if not effort:
        # The model decides when and how long; ``adaptive`` is what it does anyway.
        return {}
    if effort not in _LEVELS or (effort == "xhigh" and not native):
        notes.emulate(name)
        effort = "xhigh" if native else "high"
    return {"thinkingLevel": _LEVELS[effort]}


def _budget(control: ReasoningControl, limit: int | None, name: str, notes: Notes) -> dict[str, Any]:
    if control.budget_tokens is not None:
        if control.effort:
            notes.emulate(name)
        return {"thinkingBudget": control.budget_tokens}
    if control.effort == "none":
        return {"thinkingBudget": 0}
    if control.effort:
        notes.emulate(name)
        # Thoughts and answer share the limit; without room the model's own measure is the best.
        budget = budget_of(control.effort, limit)
        return {"thinkingBudget": -1 if budget is None else budget}
    return {"thinkingBudget": -1} if control.adaptive else {}
