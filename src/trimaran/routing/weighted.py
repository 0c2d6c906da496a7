"""``weighted``: a draw by the weights that the user wrote, and what is left of it where the first fails.

The ready targets are drawn one after the other without putting back, each with its share of the weights that are left. So a failing
target's traffic goes to the others in proportion. One random number is enough for all of it: what is left of it after a draw, stretched
to the whole interval again, is as random as it was and independent of the draw.
"""

from __future__ import annotations

from trimaran.routing.circuit import Verdict
from trimaran.routing.events import Choice, RouteRequest
from trimaran.routing.ordering import assess, behind, trial_allowed
from trimaran.routing.policy import Policy
from trimaran.routing.state import State

__all__ = ["weighted"]


def weighted(request: RouteRequest, policy: Policy, state: State, now: float, u: float) -> list[Choice]:
    """By a draw with the policy's weights; what is broken, resting or recovering steps back, as in ``ordered``."""
    ready, others, _ = assess(request, policy, state, now, u)
    if others is not None:
        ready += others[Verdict.COLD]
        trials = others[Verdict.TRIAL]
        if ready and trials and trial_allowed(trials[0], ready, request, state, now):
            ready.append(trials.pop(0))
    drawn = _draw(ready, policy, u)
    return drawn if others is None else drawn + behind(others, others[Verdict.RAMPING], drawn, state, now, u)


def _draw(ready: list[Choice], policy: Policy, u: float) -> list[Choice]:
    """All of ``ready``: in the order drawn, then those of weight 0 in the policy's."""
    weights: list[float] = []
    pool: list[Choice] = []
    last: list[Choice] = []
    for choice in ready:
        candidate = policy.candidates[choice.target]
        if not choice.probe:
            choice.reason = candidate.share
        if candidate.weight > 0.0:
            weights.append(candidate.weight)
            pool.append(choice)
        else:
            last.append(choice)
    if len(last) > 1:
        last.sort(key=lambda choice: policy.targets.index(choice.target))
    drawn: list[Choice] = []
    while len(pool) > 1:
        point = u * sum(weights)
        place = 0
        while place < len(pool) - 1 and point >= weights[place]:
            point -= weights[place]
            place += 1
        u = min(max(point / weights.pop(place), 0.0), 1.0)
        drawn.append(pool.pop(place))
    return drawn + pool + last
