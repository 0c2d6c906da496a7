"""Where one request has been, and where it may still go.

Routing orders the targets of a model by what is known of them; this says what of that order is left for *this* request.
A target is closed to it once it has failed for it, with three exceptions: a fault that may be a moment's (``Retry.HERE``)
gets a second try there at once; a target that asked for a pause may be asked again after it; and a prompt that is too long
for one base model closes all that hold no more. When nothing of a model is left, its fallback models are next, and after
those, once, the last resorts of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trimaran.errors import AttemptError, ContextTooLong, Rejected, Retry
from trimaran.routing import Choice
from trimaran.types import Target

if TYPE_CHECKING:
    from trimaran.dispatch.runtime import Route

__all__ = ["MAX_WAIT_S", "Itinerary"]

MAX_WAIT_S = 20.0
"""The longest that a request waits for targets that rest; beyond it the client is told instead."""

BACKOFF_S = 0.25
"""First wait before a target that gave no time is asked again, doubled each time, times 1 to 2."""


class Itinerary(msgspec.Struct, eq=False):
    """The way of one request through the targets of its route and of the routes it may fall back on."""

    route: Route
    """Whose targets are asked now."""
    asked: dict[str, int] = {}
    """How often each target was."""
    closed: set[str] = set()
    """Targets that are not asked again."""
    not_before: dict[str, float] = {}
    """Monotonic time from which a target that asked for a pause may be asked again by this request."""
    unfit: list[Target] = []
    """Those for which the prompt was too long."""
    stage: int = 0
    """0: the route itself; n: its n-th fallback."""
    passed: bool = False
    """A last resort was passed over."""
    resorts: bool = False
    """Nothing else is left: last resorts may be asked."""

    def open(self, choice: Choice, now: float) -> bool:
        """Whether this request may go there now. A last resort is passed over until :meth:`fall_back` comes to it."""
        target = choice.target
        if not choice.admitted or target in self.closed:
            return False
        if self.not_before and self.not_before.get(target, 0.0) > now:
            return False
        if self.unfit and not self._larger(self.route.targets[target].target):
            return False
        if choice.last_resort and not self.resorts:
            self.passed = True
            return False
        return True

    def waits_until(self, choices: list[Choice], now: float) -> float:
        """The earliest time at which one of ``choices`` may take the request that rests now; 0 when none will.

        What is broken is not waited for: when it comes back is a guess.
        """
        earliest = 0.0
        for choice in choices:
            target = choice.target
            if choice.unfit or choice.circuit != "closed" or target in self.closed:
                continue
            if self.unfit and not self._larger(self.route.targets[target].target):
                continue
            at = max(choice.retry_at, self.not_before.get(target, 0.0))
            if at > now and (not earliest or at < earliest):
                earliest = at
        return earliest

    def failed(self, target: str, error: AttemptError, now: float, u: float) -> bool:
        """An attempt failed. True: try once more there. ``u`` is uniform from 0 to 1."""
        times = self.asked.get(target, 0)
        if error.retry is Retry.HERE and times == 1:
            return True
        pause_s = _pause_s(error, times, u)
        if pause_s is None:
            self.closed.add(target)
        else:
            self.not_before[target] = now + pause_s
        return False

    def goes_on_after(self, target: str, error: Rejected, first: Route) -> bool:
        """Whether a refusal of the request itself is taken elsewhere, and if so, prepare for it. ``first``: the route itself."""
        self.closed.add(target)
        refusing = self.route.targets[target].target
        configured = error.code in self.route.failover_on
        if isinstance(error, ContextTooLong):
            self.unfit.append(refusing)
            return configured or any(self._larger(each) for each in self._ahead(first))
        return configured

    def fall_back(self, first: Route) -> bool:
        """Go on to the next fallback of ``first``, after the last one to what was passed over; False when nothing is left."""
        if self.stage >= len(first.fallbacks):
            if self.resorts or not self.passed:
                return False
            self.start_over(first)
            self.resorts = True
            return True
        self.route = first.fallbacks[self.stage]
        self.stage += 1
        return True

    def start_over(self, first: Route) -> None:
        """After a wait: what has been closed stays closed."""
        self.route = first
        self.stage = 0
        self.resorts = False

    def _ahead(self, first: Route) -> list[Target]:
        again = self.passed and not self.resorts
        routes = [first, *first.fallbacks] if again else [self.route, *first.fallbacks[self.stage :]]
        return [each.target for route in routes for name, each in route.targets.items() if name not in self.closed]

    def _larger(self, target: Target) -> bool:
        """Whether the prompt may fit there although it was too long for :attr:`unfit`."""
        holds = None if target.capabilities is None else target.capabilities.context_tokens
        for small in self.unfit:
            if target.upstream_model == small.upstream_model:
                return False
            known = None if small.capabilities is None else small.capabilities.context_tokens
            if holds is None:
                if "context_too_long" not in self.route.failover_on:
                    return False
            elif known is not None and holds <= known:
                return False
        return True


def _pause_s(error: AttemptError, times: int, u: float) -> float | None:
    """How long the target is left alone by this request; ``None``: for ever."""
    backoff_s = BACKOFF_S * 2.0 ** max(times - 1, 0) * (1.0 + u)
    if error.retry_after_s is not None:
        # A pause of nothing would be a loop.
        return max(error.retry_after_s, backoff_s)
    return backoff_s if error.status == 429 else None
