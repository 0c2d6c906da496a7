"""``additionalModelRequestFields``: what Claude takes in Converse beyond Converse's own members.

Bedrock merges these fields into the request that it makes of the other members, so one that is there already is refused;
``tool_choice`` needs a ``type`` unless ``toolConfig.toolChoice`` gives it. Words as quoted in public issue threads
(BerriAI/litellm 34347, 36536 and others, 2026). A name of no known family is read like Claude's; other families' own fields
are not looked at.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from trimaran.testing.anthropic_history import Thinking
from trimaran.testing.bedrock_dialect import model_error
from trimaran.testing.bedrock_models import Served, refused
from trimaran.testing.exchange import Prompt

__all__ = ["check_thinking", "forbids_tools", "own_fields", "read_choice", "read_thinking"]

_KNOWN = frozenset(
    {"thinking", "top_k", "anthropic_beta", "output_config", "context_management", "metadata", "tool_choice"}
)
_MIN_BUDGET = 1_024
_CHOICES = ("auto", "any", "tool", "none")


def own_fields(fields: Any, served: Served) -> dict[str, Any]:
    """The fields as an object; empty for a family whose fields are not simulated."""
    if fields is UNSET:
        return {}
    if not isinstance(fields, dict):
        words = "Provide a json object for the field and try again."
        raise refused(f"The format of the additionalModelRequestFields field is invalid. {words}")
    if served.family == "claude" and (unknown := sorted(fields.keys() - _KNOWN)):
        raise model_error(f"{unknown[0]}: Extra inputs are not permitted")
    if served.family in ("claude", ""):
        return fields
    if "thinking" in fields:
        raise model_error("extraneous key [thinking] is not permitted")
    return {}


def read_thinking(fields: dict[str, Any], served: Served, prompt: Prompt) -> Thinking | None:
    """What is wanted of thinking, noted in ``prompt``."""
    if (wanted := fields.get("thinking")) is None:
        return None
    try:
        thinking = msgspec.convert(wanted, Thinking)
    except msgspec.ValidationError as error:
        raise model_error(f"thinking: {error}") from None
    if thinking.type in ("enabled", "adaptive"):
        prompt.reasoning = "hidden" if thinking.display == "omitted" else "shown"
    return thinking


def check_thinking(fields: Any, temperature: Any, prompt: Prompt) -> None:
    """The limits of a thinking budget, and what does not go with it."""
    wanted = fields.get("thinking") if isinstance(fields, dict) else None
    if wanted is None or wanted.get("type") != "enabled":
        return
    budget = wanted.get("budget_tokens")
    if budget is None:
        raise model_error("thinking.enabled.budget_tokens: Field required")
    if budget < _MIN_BUDGET:
        words = f"Input should be greater than or equal to {_MIN_BUDGET}"
        raise model_error(f"thinking.enabled.budget_tokens: {words}")
    if prompt.max_output_tokens is not None and budget >= prompt.max_output_tokens:
        raise model_error("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if temperature not in (UNSET, 1):
        raise model_error("`temperature` may only be set to 1 when thinking is enabled.")
    if fields.get("top_k") is not None:
        raise model_error("`top_k` must be unset when thinking is enabled.")
    if prompt.forced_tool is not None:
        raise model_error("Thinking may not be enabled when tool_choice forces tool use.")


def read_choice(fields: dict[str, Any], chosen: str, prompt: Prompt) -> None:
    """Claude's own ``tool_choice``; ``chosen`` is what ``toolConfig.toolChoice`` says, empty for nothing."""
    if (choice := fields.get("tool_choice")) is None:
        return
    if not isinstance(choice, dict):
        raise model_error("tool_choice: Input should be an object")
    kind = choice.get("type")
    if kind is not None and chosen:
        path = "tool_choice/type"
        raise refused(
            f"The additional field {path} conflicts with the existing field toolConfig.toolChoice.{chosen}. Remove {path} and "
            "try again."
        )
    if kind is None and not chosen:
        raise model_error("tool_choice.type: Field required")
    if kind is not None and kind not in _CHOICES:
        raise model_error(f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    prompt.parallel_tools = not choice.get("disable_parallel_tool_use")
    if kind == "any":
        prompt.forced_tool = ""
    elif kind == "tool":
        name = choice.get("name")
        if all(tool.name != name for tool in prompt.tools):
            raise model_error(f"tool_choice: Tool '{name}' not found in provided tools")
        prompt.forced_tool = name


def forbids_tools(fields: dict[str, Any]) -> bool:
    """Whether the tools are only there for the history."""
    choice = fields.get("tool_choice")
    return isinstance(choice, dict) and choice.get("type") == "none"
