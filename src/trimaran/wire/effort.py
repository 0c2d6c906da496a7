"""How much a model thinks, in the two currencies that providers use: a word, or a budget in tokens.

Neither converts exactly. A word becomes the budget that stands beside it, at most what the answer's limit leaves; a
budget becomes the smallest word whose budget holds it, at most ``high``: most models refuse the words beyond it. A word
up to that one that went out as a budget comes back as the same word.
The figures are ours: powers of two from the least that Anthropic accepts (1024 tokens,
https://platform.claude.com/docs/en/build-with-claude/extended-thinking, read 2026-11-24).
"""

from __future__ import annotations

__all__ = ["EFFORTS", "MIN_BUDGET_TOKENS", "budget_of", "effort_of"]

MIN_BUDGET_TOKENS = 1024

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 65536}
EFFORTS = ("none", *_BUDGETS)
"""All words, from the least to the most."""
_MOST = "high"


def budget_of(effort: str, max_output_tokens: int | None = None) -> int | None:
    """The thinking budget for a word; below ``max_output_tokens``, which has to hold the answer too. ``None`` where that
    leaves less than the least budget."""
    budget = _BUDGETS.get(effort, _BUDGETS["medium"])
    if max_output_tokens is not None and budget >= max_output_tokens:
        budget = max_output_tokens - 1
    return budget if budget >= MIN_BUDGET_TOKENS else None


def effort_of(budget_tokens: int) -> str:
    """The word for a thinking budget."""
    return next((word for word, budget in _BUDGETS.items() if word == _MOST or budget_tokens <= budget), _MOST)
