"""The few sums behind the table, pure, so that tests can hold them to account."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Limit", "Verdict", "cpu_per_answer_us", "judge", "median_of", "percentile", "ratio", "spread"]


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value with at least ``percent`` of all at or below it. 0.0 when there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def median_of(values: Iterable[float | None]) -> float | None:
    """Median of the values that are there; None when none is."""
    present = [value for value in values if value is not None]
    return median(present) if present else None


def spread(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Smallest and largest of the values that are there."""
    present = [value for value in values if value is not None]
    return (min(present), max(present)) if present else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """``ours / theirs``; None when either is missing or theirs is nothing."""
    if ours is None or not theirs:
        return None
    return ours / theirs


def cpu_per_answer_us(cpu_ns: int, correct: int) -> float | None:
    """Microseconds of CPU for each correct answer; None when no answer was correct."""
    return cpu_ns / correct / 1000 if correct else None


@dataclass(frozen=True)
class Limit:
    """A promise about one figure: ``measured <= bound``, where measured may be a ratio to ``against``."""

    scenario: str
    bound: float
    unit: str
    """``"x"`` for a ratio, else the unit of the figure."""
    against: str = ""
    of: str = ""
    """Whose figure it is about; empty: the subject's."""


@dataclass(frozen=True)
class Verdict:
    """``measured`` None means that it could not be judged, and ``reason`` says why."""

    limit: Limit
    measured: float | None
    reason: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.measured is None else self.measured <= self.limit.bound

    @property
    def text(self) -> str:
        """``met``, ``missed by 12.0 %`` or ``not judged: reason``."""
        if self.measured is None:
            return f"not judged: {self.reason}"
        if self.measured <= self.limit.bound:
            return "met"
        return f"missed by {(self.measured / self.limit.bound - 1) * 100:.1f} %"


def judge(limit: Limit, figures: dict[str, dict[str, float | None]], subject: str) -> Verdict:
    """Hold ``figures[scenario][server]`` of ``subject`` against the limit."""
    row = figures.get(limit.scenario, {})
    whose = limit.of or subject
    ours = row.get(whose)
    if ours is None:
        return Verdict(limit, None, f"no figure of {whose}")
    if not limit.against:
        return Verdict(limit, ours)
    measured = ratio(ours, row.get(limit.against))
    return Verdict(limit, measured, "" if measured is not None else f"no figure of {limit.against}")
