"""Control of reasoning: ``thinking`` and ``output_config.effort``, decoded and written.

Two generations of models want it in two ways: older ones a budget of tokens, newer ones ``adaptive`` with an effort, and
the newest refuse a budget. The target's capabilities say which; a model that is unknown gets the older way, unless the
client itself spoke of ``adaptive``. What becomes a budget, or a word, is noted as emulated.

Sources: https://platform.claude.com/docs/en/build-with-claude/extended-thinking and .../adaptive-thinking (read
2026-11-24), and the types of the ``anthropic`` SDK 2.13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trimaran.errors import InvalidRequest
from trimaran.types import Target
from trimaran.wire.anthropic_messages.content import refuse_others
from trimaran.wire.conversation import ChatRequest, Notes, ReasoningControl
from trimaran.wire.effort import MIN_BUDGET_TOKENS, budget_of, effort_of
from trimaran.wire.fields import optional_text, required_text
from trimaran.wire.refusals import Refusals

__all__ = ["decode_thinking", "encode_thinking", "refuse_with_thinking", "thinking_is_on"]

_SHOWN = {"": "", "summarized": "auto", "omitted": "none"}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})


def decode_thinking(
    value: Any,
    effort: Any,
    refusals: Refusals,
    path: str = "thinking",
    effort_path: str = "output_config.effort",
) -> ReasoningControl | None:
    """The control that ``thinking`` and ``output_config.effort`` are, together; ``None`` for neither. The paths are where
    they stand in the client's body."""
    if effort is not None and not (isinstance(effort, str) and effort in _EFFORTS):
        refusals.add(effort_path)
        effort = None
    if value is None:
        return None if effort is None else ReasoningControl(effort)
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path!r} must be an object", field=path)
    kind = required_text(value, "type", path)
    if kind == "disabled":
        refuse_others(value, {"type": ()}, path, refusals)
        if effort is not None:
            refusals.add(effort_path, "thinking is disabled")
        return ReasoningControl("none")
    if kind not in ("enabled", "adaptive"):
        refusals.add(path, f"of type {kind!r}")
        return None
    known = {"type": (), "display": ()} | ({"budget_tokens": ()} if kind == "enabled" else {})
    refuse_others(value, known, path, refusals)
    shown = optional_text(value, "display", path)
    if shown not in _SHOWN:
        refusals.add(f"{path}.display", shown)
        shown = ""
    budget = None
    if kind == "enabled":
        budget = value.get("budget_tokens")
        if type(budget) is not int or budget < 1:
            where = f"{path}.budget_tokens"
            raise InvalidRequest(f"{where!r} must be a positive integer", field=where)
    return ReasoningControl(effort or "", budget, kind == "adaptive", _SHOWN[shown])


def encode_thinking(
    request: ChatRequest, target: Target, limit: int | None, refusals: Refusals, notes: Notes
) -> tuple[dict[str, Any] | None, str]:
    """``thinking`` and ``output_config.effort`` for ``target``; ``limit`` bounds what is generated, ``None`` for no
    bound."""
    control = request.reasoning
    if control is None:
        return None, ""
    name = refusals.name("reasoning")
    if control.effort == "none" and control.budget_tokens is None:
        return {"type": "disabled"}, ""
    way = target.capabilities.reasoning_control if target.capabilities is not None else ""
    if control.budget_tokens is None and not control.effort and not control.adaptive:
        notes.omit(name)
        return None, ""
    thinking: dict[str, Any]
    effort = control.effort
    if way == "effort" and effort:
        return None, _nearest(effort, name, notes)
    if way == "adaptive" or (control.adaptive and way != "budget"):
        thinking = {"type": "adaptive"}
        if control.budget_tokens is not None:
            notes.emulate(name)
            effort = effort or effort_of(control.budget_tokens)
        effort = _nearest(effort, name, notes)
    elif control.budget_tokens is not None:
        thinking = {"type": "enabled", "budget_tokens": control.budget_tokens}
        effort = _nearest(effort, name, notes)
    else:
        budget = budget_of(effort, limit)
        if budget is None:
            refusals.field(
                "reasoning", f"a limit of {limit} tokens leaves no room for the least budget, {MIN_BUDGET_TOKENS}"
            )
            return None, ""
        notes.emulate(name)
        thinking, effort = {"type": "enabled", "budget_tokens": budget}, ""
    if control.show:
        thinking["display"] = "omitted" if control.show == "none" else "summarized"
        if control.show in ("concise", "detailed"):
            notes.emulate(name)
    return thinking, effort


def _nearest(effort: str, name: str, notes: Notes) -> str:
    """The word of this API for an effort."""
    if effort in ("", *_EFFORTS):
        return effort
    notes.emulate(name)
    return "low"


def refuse_with_thinking(request: ChatRequest, forced: str, refusals: Refusals) -> None:
    """Refuse what the API does not take together with thinking. ``forced`` is the field that forces a tool, if one
    does."""
    why = "the model thinks, and Anthropic does not allow both"
    if forced:
        refusals.field(forced, why)
    if request.temperature not in (None, 1):
        refusals.field("temperature", why)
    if request.top_k is not None:
        refusals.field("top_k", why)
    if request.top_p is not None and request.top_p < 0.95:
        refusals.field("top_p", f"{why}, below 0.95")


def thinking_is_on(thinking: Mapping[str, Any] | None) -> bool:
    """Whether the model will think."""
    return thinking is not None and thinking["type"] != "disabled"
