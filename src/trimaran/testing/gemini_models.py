"""What each generation of Gemini can do, as far as it decides about a request; nothing here is a catalogue.

Ranges of thinking budgets, levels by model and what is refused: ai.google.dev, "Gemini thinking" and "Thought signatures"; words of
refusals as quoted in public issue threads (2025 and 2026); all read 2026-11-30. A name without a generation (``sim-usage``) is
taken to do everything, so that one provider serves tests of any kind.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from trimaran.testing.exchange import Reasoning
from trimaran.testing.google_errors import GoogleRefusal, invalid

__all__ = ["GeminiModel", "gemini_model", "refuse", "thinking"]

_NAME = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_LEARN = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"


class GeminiModel(NamedTuple):
    """A model's name and what follows from it."""

    name: str
    vertex: bool
    generation: tuple[int, int] | None
    """``(2, 5)``; ``None`` for a name that tells nothing."""

    @property
    def signs_calls(self) -> bool:
        """Whether the current turn's function calls must come back signed, and calls have ids."""
        return self.generation is not None and self.generation >= (3, 0)

    @property
    def old(self) -> bool:
        """Before generation 3: no tools beside JSON, no functions beside search."""
        return self.generation is not None and self.generation < (3, 0)

    def budgets(self) -> tuple[int, int, bool]:
        """Least and greatest thinking budget, and whether 0 turns thinking off."""
        if "flash-lite" in self.name:
            return 512, 24_576, True
        if "flash" in self.name:
            return 1, 24_576, True
        if "pro" in self.name:
            return 128, 32_768, False
        return 0, 65_536, True

    def levels(self) -> tuple[str, ...]:
        """Thinking levels."""
        if "pro" in self.name:
            return ("LOW", "HIGH") if self.generation == (3, 0) else ("LOW", "MEDIUM", "HIGH")
        return ("MINIMAL", "LOW", "MEDIUM", "HIGH")


def gemini_model(name: str, *, vertex: bool) -> GeminiModel:
    """Read a model's name."""
    found = _NAME.search(name)
    generation = (int(found[1]), int(found[2] or 0)) if found else None
    return GeminiModel(name, vertex, generation)


def refuse(model: GeminiModel, words: str, vertex_words: str | None = None) -> GoogleRefusal:
    """A 400 in the service's own style."""
    if model.vertex:
        return invalid(f"Unable to submit request because {vertex_words or words}. {_LEARN}")
    return invalid(words)


def thinking(config: dict[str, Any], model: GeminiModel) -> Reasoning:
    """What a ``thinkingConfig`` asks for. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (400)."""
    budget, level = config.get("thinking_budget"), config.get("thinking_level")
    shown = bool(config.get("include_thoughts"))
    generation = model.generation
    if generation is not None and generation < (2, 5) and (shown or budget):
        raise refuse(
            model,
            f"Thinking is not enabled for models/{model.name}",
            "Thinking_config.include_thoughts is only enabled when thinking is enabled.",
        )
    if budget is not None and level is not None:
        raise refuse(model, "You can only set only one of thinking budget and thinking level.")
    if level is not None:
        if generation is not None and generation < (3, 0):
            raise invalid("Thinking level is not supported for this model.")
        if level not in model.levels() and generation is not None:
            words = f"Thinking level {level} is not supported for this model. Please retry with other thinking level."
            raise invalid(words)
    if budget is not None:
        _check_budget(budget, model)
    if budget == 0:
        return "off"
    return "shown" if shown else "hidden"


def _check_budget(budget: int, model: GeminiModel) -> None:
    low, high, may_be_off = model.budgets()
    if budget == -1 or (budget == 0 and may_be_off) or low <= budget <= high:
        return
    if budget == 0:
        raise refuse(
            model,
            "Budget 0 is invalid. This model only works in thinking mode.",
            "Thinking can't be disabled for this model. Remove 'thinking_config.thinking_budget' from your request",
        )
    raise refuse(
        model,
        f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}.",
        f"thinking_budget is out of range; supported values are integers from {low} to {high}",
    )
