"""``order``: from a request and what is known to the order in which its targets are tried. Pure: it writes nothing.

First the filter on facts (:mod:`trimaran.routing.fitness`), which nearly always is a comparison with what *any* of the targets lacks;
then the policy's strategy over those that are fit.
"""

from __future__ import annotations

from collections.abc import Callable

from trimaran.routing.cheapest import cheapest
from trimaran.routing.conditions import by_condition, down
from trimaran.routing.costs import predict_costs
from trimaran.routing.events import Choice, RouteRequest
from trimaran.routing.fitness import divide
from trimaran.routing.objectives import predict_slo
from trimaran.routing.ordering import assess, fastest, ordered
from trimaran.routing.policy import Policy
from trimaran.routing.state import State
from trimaran.routing.weighted import weighted

__all__ = ["STRATEGIES", "Strategy", "appraise", "order"]

Strategy = Callable[[RouteRequest, Policy, State, float, float], list[Choice]]

STRATEGIES: dict[str, Strategy] = {
    "fastest": fastest,
    "ordered": ordered,
    "cheapest": cheapest,
    "weighted": weighted,
}
"""By the name used in configuration. Each may count on every target of its policy being fit."""


def order(request: RouteRequest, policy: Policy, state: State, now: float, u: float) -> list[Choice]:
    """The policy's targets in the order to try them; every one is in the answer, rejected ones after all others and those that
    cannot answer this request ever (``unfit``) at the end.

    ``now`` is the monotonic time in seconds, ``u`` a uniform random number in [0, 1): all the chance there is. Writes nothing.
    """
    if (
        request.needs & policy.lacks
        or request.certain_input_tokens > policy.shortest_context
        or (request.max_output_tokens or 0) > policy.shortest_answer
    ):
        policy, unfit = divide(request, policy, state)
        if not policy.targets:
            return unfit
        return _conditioned(request, policy, state, now, u) + unfit
    return _conditioned(request, policy, state, now, u)


def _conditioned(request: RouteRequest, policy: Policy, state: State, now: float, u: float) -> list[Choice]:
    """The strategy's order of those that are well, then of the last resorts; what is rejected, or down, behind both."""
    strategy = STRATEGIES[policy.strategy]
    if not state.conditions:
        return strategy(request, policy, state, now, u)
    well, last, conditions = by_condition(policy, state)
    if well is policy:
        return strategy(request, policy, state, now, u)
    choices = strategy(request, well, state, now, u) if well.targets else []
    if last is not None:
        reasons = {
            name: each.reason for name, each in zip(policy.candidates, conditions, strict=True) if each is not None
        }
        resorts = strategy(request, last, state, now, u)
        for choice in resorts:
            if choice.admitted:
                choice.reason, choice.probe, choice.last_resort = reasons[choice.target], False, True
        choices += resorts
        # A sort is stable: each half keeps its own order.
        choices.sort(key=lambda choice: not choice.admitted)
    return choices + down(policy, state, conditions, now)


def appraise(choices: list[Choice], request: RouteRequest, policy: Policy, state: State, now: float) -> list[Choice]:
    """The same choices with cost and SLO predicted, which only ``cheapest`` does by itself: for people, not for the road."""
    fit = [choice for choice in choices if not choice.unfit]
    _, _, outputs = assess(request, policy, state, now, 0.5)
    predict_costs(fit, request, policy, state, now, outputs)
    predict_slo(fit, policy, state, outputs)
    return choices
