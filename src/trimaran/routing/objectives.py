"""Whether a target is predicted to keep the percentiles that a model's ``slo`` states, for this request under the present load.

The model of a target's times is lognormal, so a percentile is ``exp(m + z · s)``: ``m`` the log of the median, ``s²`` the noise of one
observation plus the variance of what is believed of the level, ``z`` the percentile's place in a normal distribution. If each request
goes where its own chance to be late is below the stated one, so is the share of late requests in all.

A whole answer is a first token and a number of others, a sum of lognormals that is taken as one with the same mean and variance.
"""

from __future__ import annotations

from math import exp, log, sqrt

from trimaran.routing.events import Choice
from trimaran.routing.model import BEYOND, LOAD_FLOOR
from trimaran.routing.ordering import OUTPUT_VARIANCE
from trimaran.routing.policy import Objective, Policy
from trimaran.routing.state import BUCKET, LOAD_PRIOR, MAX_IN_FLIGHT, State, TargetState

__all__ = ["predict_slo", "worst"]


def predict_slo(choices: list[Choice], policy: Policy, state: State, outputs: float) -> None:
    """Writes ``meets_slo`` into the choices. It stays ``None`` for a target that was never seen, and without an SLO."""
    if not policy.objectives:
        return
    for choice in choices:
        if choice.samples and not choice.unfit:
            excess, _ = worst(choice, state.targets[choice.target], policy, outputs)
            choice.meets_slo = excess <= 0.0


def worst(choice: Choice, target: TargetState, policy: Policy, outputs: float) -> tuple[float, Objective]:
    """The objective that is missed by the largest factor (or met by the smallest), and the log of that factor: 0 is just met."""
    found: tuple[float, Objective] | None = None
    for objective in policy.objectives:
        excess = _log_percentile(choice, target, objective, outputs) - objective.log_limit
        if found is None or excess > found[0]:
            found = excess, objective
    assert found is not None
    return found


def _log_percentile(choice: Choice, target: TargetState, objective: Objective, outputs: float) -> float:
    if objective.measure == "ttft":
        middle = log(choice.predicted_ttft_s) - 0.5 * target.noise - _benefit(choice, target)
        return middle + objective.z * sqrt(target.noise + target.variance)
    if objective.measure == "tpot":
        middle = log(choice.predicted_tpot_s) - 0.5 * target.tpot_noise
        return middle + objective.z * sqrt(target.tpot_noise + target.tpot_variance)
    start_s = choice.predicted_ttft_s * exp(-_benefit(choice, target))
    rest_s = outputs * choice.predicted_tpot_s
    total_s = start_s + rest_s
    spread = start_s * start_s * (exp(target.noise + target.variance) - 1.0)
    spread += rest_s * rest_s * (exp(target.tpot_noise + target.tpot_variance + OUTPUT_VARIANCE) - 1.0)
    square = log(1.0 + spread / (total_s * total_s))
    return log(total_s) - 0.5 * square + objective.z * sqrt(square)


def _benefit(choice: Choice, target: TargetState) -> float:
    """By how much the log TTFT is lowered because the present load was seen there seldom or never.

    One deviation of what is known of the time at that load, which shrinks with each first token seen at it. Without it a load that once
    looked slow, or that the prediction only fears, would never be tried again. The first load above the highest seen is judged like that one;
    still higher ones are not tried before it was.
    """
    bucket = BUCKET[min(choice.in_flight, MAX_IN_FLIGHT)]
    top = target.load_top
    if bucket <= top:
        return sqrt(max(0.0, target.load_spread[bucket] - LOAD_FLOOR))
    return BEYOND * (LOAD_PRIOR[bucket] - LOAD_PRIOR[top]) if bucket == top + 1 else 0.0
