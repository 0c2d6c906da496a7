"""``cheapest``: by the predicted cost of this very request, among the targets predicted to keep the model's SLO.

The order among ready targets has three groups: those that are predicted to meet the SLO (all, where there is none) by cost, the faster
first where costs are equal; those of unknown price likewise, by time; those predicted to miss it, nearest to it first. With nobody in the first
two, that is the fastest by the measure that is missed.

Cost needs no exploring, it is known. Speed does: a cheaper target that was slow is looked at again on the account that ``fastest`` uses,
or it would be passed over for ever. A target never seen is taken to keep the SLO, with as many requests in flight as its ramp allows.

A failure's cost is its share times what the request costs elsewhere: a stream that is cut is billed, a refusal is not, and providers do not say
which they bill, so all are counted as billed.
"""

from __future__ import annotations

from math import exp, log, sqrt

from trimaran.routing.circuit import QUIET_RATE, Verdict
from trimaran.routing.costs import predict_costs
from trimaran.routing.events import Choice, RouteRequest
from trimaran.routing.model import GROWTH_PER_S, VARIANCE_CAP
from trimaran.routing.objectives import worst
from trimaran.routing.ordering import (
    DEAREST,
    DOUBT,
    NEAR,
    PROBE_CHANCE,
    PROBE_GAP_S,
    PROBE_SHARE,
    PROBES_AT_ONCE,
    PROMISE_SHARE,
    RESERVE_SHARE,
    assess,
    behind,
    failing,
    trial_allowed,
)
from trimaran.routing.policy import Objective, Policy
from trimaran.routing.state import State

__all__ = ["cheapest"]

_MEETS, _UNPRICED, _MISSES = 0, 1, 2
"""The groups, in order."""
_LOG_NEAR = log(NEAR)
"""A target that misses the SLO by less may have been misjudged."""


class _Ranked:
    """A choice with what it is sorted by."""

    __slots__ = ("choice", "excess", "group", "key", "objective")

    def __init__(self, choice: Choice, group: int, amount: float, excess: float, objective: Objective | None) -> None:
        self.choice = choice
        self.group = group
        self.key = (group, amount, choice.score)
        self.excess = excess
        self.objective = objective


def cheapest(request: RouteRequest, policy: Policy, state: State, now: float, u: float) -> list[Choice]:
    """By predicted cost, within the SLO."""
    ready, others, outputs = assess(request, policy, state, now, u)
    choices = ready if others is None else [choice for tier in others for choice in tier]
    predict_costs(choices, request, policy, state, now, outputs)
    if others is not None and not policy.objectives:
        # What it costs is known; how fast it is does not matter.
        ready += others[Verdict.COLD]
        others[Verdict.COLD] = []
    ranked = _rank(ready, policy, state, now, outputs)
    if policy.objectives and len(ranked) > 1 and state.probing < PROBES_AT_ONCE:
        _look_again(ranked, state, now, u)
    _explain(ranked, policy)
    ready = [each.choice for each in ranked]
    if others is None:
        return ready
    trials = others[Verdict.TRIAL]
    if ranked and trials:
        _try_first(ranked[0], trials, ready, request, state, now)
    ramping = _rank(others[Verdict.RAMPING] + others[Verdict.COLD], policy, state, now, outputs)
    return ready + behind(others, [each.choice for each in ramping], ready, state, now, u)


def _rank(choices: list[Choice], policy: Policy, state: State, now: float, outputs: float) -> list[_Ranked]:
    ranked = []
    for choice in choices:
        target = state.targets.get(choice.target)
        excess, objective = 0.0, None
        if policy.objectives and target is not None and choice.samples:
            excess, objective = worst(choice, target, policy, outputs)
            choice.meets_slo = excess <= 0.0
        cost = choice.predicted_cost_nanos
        if excess > 0.0:
            ranked.append(_Ranked(choice, _MISSES, excess, excess, objective))
        elif cost is None:
            ranked.append(_Ranked(choice, _UNPRICED, 0.0, excess, objective))
        else:
            amount = float(cost)
            if target is not None and target.breaker.rate >= QUIET_RATE:
                amount += failing(target, now) * _elsewhere(choice, choices)
            ranked.append(_Ranked(choice, _MEETS, amount, excess, objective))
    ranked.sort(key=lambda each: each.key)
    return ranked


def _elsewhere(choice: Choice, choices: list[Choice]) -> int:
    """What the request costs at the cheapest other target; at this one again, where no other has a price."""
    costs = [
        other.predicted_cost_nanos
        for other in choices
        if other is not choice and other.predicted_cost_nanos is not None
    ]
    return min(costs) if costs else choice.predicted_cost_nanos or 0


def _explain(ranked: list[_Ranked], policy: Policy) -> None:
    """Reasons in words, for those that have none yet."""
    for place, each in enumerate(ranked):
        choice = each.choice
        if choice.probe:
            continue
        if each.group == _MISSES:
            choice.reason = f"predicted to miss {_missed(each)}"
            if place == 0:
                choice.reason = f"nobody is predicted to meet the SLO, this is the fastest: {_missed(each)}"
        elif each.group == _UNPRICED:
            choice.reason = "price unknown: after every known one"
        elif place:
            choice.reason = "next cheapest"
        elif not policy.objectives:
            choice.reason = "cheapest"
        elif choice.samples:
            choice.reason = "cheapest that is predicted to meet the SLO"
        else:
            choice.reason = "cheapest, and too new to say whether it meets the SLO"


def _missed(each: _Ranked) -> str:
    """``ttft p95 1 s (1.8 s)``."""
    assert each.objective is not None
    return f"{each.objective.words} ({exp(each.objective.log_limit + each.excess):.3g} s)"


def _look_again(ranked: list[_Ranked], state: State, now: float, u: float) -> None:
    """Move a cheaper target that misses the SLO to the front, if it could have become fast and the account allows it."""
    best = ranked[0]
    limit = best.choice.predicted_cost_nanos
    routine = u < PROBE_CHANCE
    picked: _Ranked | None = None
    picked_could = False
    for each in ranked[1:]:
        choice = each.choice
        cost = choice.predicted_cost_nanos
        if each.group != _MISSES or cost is None or (limit is not None and cost >= limit):
            continue
        target = state.targets[choice.target]
        age_s = now - target.seen_at
        if target.waiting or age_s < PROBE_GAP_S:
            continue
        doubt = sqrt(min(VARIANCE_CAP, target.variance + GROWTH_PER_S * age_s))
        could = each.excess < max(_LOG_NEAR, DOUBT * doubt)
        if (picked is None or (could and not picked_could)) and _affordable(choice, best.choice, could, routine, state):
            picked, picked_could = each, could
    if picked is not None:
        choice = picked.choice
        choice.probe = True
        why = "could meet the SLO again" if picked_could else "not heard from lately"
        choice.reason = f"probe: cheaper, {why}"
        ranked.remove(picked)
        ranked.insert(0, picked)


def _affordable(choice: Choice, best: Choice, could: bool, routine: bool, state: State) -> bool:
    """As for the looks of ``fastest``: routine ones from the small share, those at a target that could meet it from the reserve."""
    whole_s = state.probed_s + choice.predicted_total_s
    booked_s = state.probed_s + min(choice.predicted_total_s, DEAREST * best.predicted_total_s)
    if routine and booked_s <= PROBE_SHARE * state.spent_s:
        return True
    return (
        could
        and whole_s <= PROMISE_SHARE * state.spent_s
        and whole_s - best.predicted_total_s <= RESERVE_SHARE * state.spent_s
    )


def _try_first(
    first: _Ranked, trials: list[Choice], ready: list[Choice], request: RouteRequest, state: State, now: float
) -> None:
    """A broken target's trial goes first where it would stand first if it is well again: how slow it was while it broke does not count."""
    for place, each in enumerate(trials):
        cost = each.predicted_cost_nanos
        wanted = first.group == _MISSES or (
            cost is not None and (first.group == _UNPRICED or float(cost) <= first.key[1])
        )
        if wanted and trial_allowed(each, ready, request, state, now):
            ready.insert(0, trials.pop(place))
            return
