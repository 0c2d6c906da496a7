"""``additionalModelRequestFields``: what Converse itself has no field for, and one family of models knows.

Claude's are those of Anthropic's own API: ``top_k``, ``thinking``, ``tool_choice`` and ``output_config``. The service
merges them into what it makes of the other members and refuses one that is there already, so what is said elsewhere is
left out here: beside ``toolConfig.toolChoice`` only ``disable_parallel_tool_use`` may stand, and without it a ``type``
must (https://github.com/BerriAI/litellm/issues/36536 and .../pull/34347, read 2026-11-30). An effort has a member of
Converse's own, ``outputConfig.effort``, which is written; both are read. Fields of other families are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trimaran.errors import InvalidRequest
from trimaran.types import Target
from trimaran.wire.anthropic_messages.thinking import decode_thinking
from trimaran.wire.conversation import ReasoningControl, ToolChoice
from trimaran.wire.fields import filled_text, optional_flag, refuse_rest, required_text, top_object
from trimaran.wire.members import MAX_COUNT
from trimaran.wire.refusals import Refusals

__all__ = ["EXTRA", "Extra", "decode_extra", "family_has", "is_claude"]

EXTRA = "additionalModelRequestFields"
_FIELDS = frozenset({"output_config", "thinking", "tool_choice", "top_k"})
_CHOICES = {"auto": "", "any": "required", "none": "none", "tool": "named"}


class Extra(msgspec.Struct):
    """What of a request stands in these fields, or may."""

    top_k: int | None = None
    reasoning: ReasoningControl | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None


def is_claude(target: Target) -> bool:
    """Whether the model is one of Anthropic's. A profile of one's own says nothing in its id; what its base model is then
    stands in the target's capabilities."""
    return family_has(target, "claude")


def family_has(target: Target, *words: str) -> bool:
    """Whether one of ``words`` stands in the model's id or its family."""
    family = target.capabilities.family if target.capabilities is not None else ""
    names = f"{target.upstream_model} {family}".lower()
    return any(word in names for word in words)


def decode_extra(
    fields: Mapping[str, Any], effort: Any, choice: ToolChoice | None, tools: bool, refusals: Refusals
) -> Extra:
    """What the fields of a request say, together with ``outputConfig.effort`` and the ``choice`` of ``toolConfig``."""
    extra = top_object(fields, EXTRA)
    refuse_rest(extra, _FIELDS, EXTRA, refusals)
    config = _object(extra, "output_config")
    refuse_rest(config, {"effort"}, f"{EXTRA}.output_config", refusals)
    effort_path = "outputConfig.effort" if effort is not None else f"{EXTRA}.output_config.effort"
    if effort is None:
        effort = config.get("effort")
    elif config.get("effort") is not None:
        path = f"{EXTRA}.output_config.effort"
        raise InvalidRequest(f"{path!r} and 'outputConfig.effort' are the same; send one", field=path)
    reasoning = decode_thinking(extra.get("thinking"), effort, refusals, f"{EXTRA}.thinking", effort_path)
    choice, parallel = _choice(_object(extra, "tool_choice"), choice, refusals)
    if not tools:
        choice, parallel = None, None
    return Extra(_top_k(extra.get("top_k")), reasoning, choice, parallel)


def _object(extra: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = extra.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{EXTRA}.{key}' must be an object", field=f"{EXTRA}.{key}")
    return value


def _top_k(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_COUNT):
        raise InvalidRequest(f"'{EXTRA}.top_k' must be an integer", field=f"{EXTRA}.top_k")
    return value


def _choice(
    value: Mapping[str, Any], choice: ToolChoice | None, refusals: Refusals
) -> tuple[ToolChoice | None, bool | None]:
    """The choice that both places make, and whether calls may be parallel."""
    path = f"{EXTRA}.tool_choice"
    known = {"type", "disable_parallel_tool_use"}
    if value.get("type") is not None:
        kind = required_text(value, "type", path)
        mode = _CHOICES.get(kind)
        if mode is None:
            raise InvalidRequest(f"'{path}.type' must be auto, any, tool or none", field=f"{path}.type")
        if choice is not None:
            raise InvalidRequest(f"'{path}.type' and 'toolConfig.toolChoice' are the same; send one", field=path)
        if mode == "named":
            known = known | {"name"}
        choice = ToolChoice(mode, filled_text(value, "name", path) if mode == "named" else "") if mode else None
    refuse_rest(value, known, path, refusals)
    return choice, False if optional_flag(value, "disable_parallel_tool_use", path) else None
