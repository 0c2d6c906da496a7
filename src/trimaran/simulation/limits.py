"""A provider's limits on requests and tokens per minute, as providers keep them: a bucket that fills all the time, or windows of the clock.

Tokens are those of prompt and answer, taken when a request comes. What is refused is not counted. A ``Retry-After`` is true: after it, a
request of the same size would have been taken if nothing else had come.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

__all__ = ["Gate", "RateLimit"]

MINUTE_S = 60.0


@dataclass(slots=True, frozen=True)
class RateLimit:
    """In force from ``start_s`` until the next one begins. ``None``: no limit of that kind."""

    start_s: float = 0.0
    requests: float | None = None
    """Per minute."""
    tokens: float | None = None
    """Per minute."""
    burst_s: float = 10.0
    """How many seconds' worth may come at once, or the length of the windows."""
    windows: bool = False
    """The count begins again at each multiple of ``burst_s``, instead of filling all the time."""
    retry_after: bool = True
    """Whether a refusal says when to come again."""


class Gate:
    """One target's account of what it took."""

    def __init__(self, limits: list[RateLimit]) -> None:
        self.limits = limits
        self._now: RateLimit | None = None
        self._at = 0.0
        self._left = [0.0, 0.0]

    def in_force(self, now: float) -> RateLimit | None:
        """The limit at ``now``."""
        found = None
        for limit in self.limits:
            if limit.start_s <= now:
                found = limit
        return found

    def refuses(self, tokens: int, now: float) -> float | None:
        """Takes a request and returns ``None``, or the seconds until it would be taken."""
        limit = self.in_force(now)
        if limit is None:
            return None
        sizes = [None if each is None else each * limit.burst_s / MINUTE_S for each in (limit.requests, limit.tokens)]
        if limit is not self._now:
            self._now = limit
            self._left = [size or 0.0 for size in sizes]
        elif limit.windows:
            if floor(now / limit.burst_s) != floor(self._at / limit.burst_s):
                self._left = [size or 0.0 for size in sizes]
        else:
            passed = (now - self._at) / limit.burst_s
            self._left = [
                min(size or 0.0, left + passed * (size or 0.0)) for size, left in zip(sizes, self._left, strict=True)
            ]
        self._at = now
        wait_s = 0.0
        costs = (1.0, float(tokens))
        for size, left, cost in zip(sizes, self._left, costs, strict=True):
            if size is not None and left < min(cost, size):
                until_s = (floor(now / limit.burst_s) + 1) * limit.burst_s - now
                wait_s = max(wait_s, until_s if limit.windows else (min(cost, size) - left) / size * limit.burst_s)
        if wait_s > 0.0:
            return wait_s
        self._left = [left - cost for left, cost in zip(self._left, costs, strict=True)]
        return None
