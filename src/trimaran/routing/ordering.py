"""Filter, score and order: the strategies ``fastest`` and ``ordered``, and what the others share with them. Pure: nothing here writes.

Filter: :func:`trimaran.routing.circuit.admission` gives each target a verdict and a reason.
Score: seconds the request is expected to take there, plus the share of failures times what a failure costs; from 0 up.
Order: ready targets by score, then those that ramp up, then trials as a last resort, then the rejected by when to ask again.

Then one target may be moved to the front in order to learn about it: a trial of a half-open circuit, a target never seen, one not heard from
lately that could be the fastest, or, seldom, any not heard from. All of it is charged in full to one account, the time that
attempts took in all: routine looks may use :data:`PROBE_SHARE` of it, those with a reason :data:`RESERVE_SHARE`. Only a target's very first
look and the first trials of an outage may overdraw it; what they overdraw is paid back before the next routine look.
"""

from __future__ import annotations

from math import exp, inf, log, log1p, sqrt
from operator import attrgetter

from trimaran.routing.ceiling import ceiling_reason, free_at
from trimaran.routing.circuit import OPEN_BASE_S, OPEN_CAP_S, QUIET_RATE, TURN_S, Circuit, Verdict, admission, held_back
from trimaran.routing.events import Choice, RouteRequest
from trimaran.routing.model import BEYOND, GROWTH_PER_S, VARIANCE_CAP
from trimaran.routing.policy import Policy
from trimaran.routing.sharing import PEER_FRESH_S
from trimaran.routing.state import (
    BUCKET,
    LOAD_PRIOR,
    MAX_IN_FLIGHT,
    PRIOR_OUTPUT_TOKENS,
    SIZE_SCALE,
    State,
    TargetState,
)

__all__ = [
    "DEAREST",
    "DOUBT",
    "NEAR",
    "OUTPUT_VARIANCE",
    "PROBES_AT_ONCE",
    "PROBE_CHANCE",
    "PROBE_GAP_S",
    "PROBE_SHARE",
    "PROMISE_SHARE",
    "RESERVE_SHARE",
    "Tiers",
    "assess",
    "behind",
    "failing",
    "fastest",
    "ordered",
    "trial_allowed",
]

PROBE_SHARE = 0.012
"""Share of all time for routine looks. The promise is 3 % with everything; at a target ten times slower this is one request in 800."""
RESERVE_SHARE = 0.025
"""Share up to which there may be a look at a target that could be the fastest, when something has changed or the two are near. Here the
time beyond that of the best target is what must fit: the rest would have been spent anyway."""
PROMISE_SHARE = 0.03
"""Share that no look may be expected to pass."""
PROBE_CHANCE = 0.1
"""Share of requests that may become routine looks: breaks step with periodic traffic and among workers."""
COLD_CHANCE = 0.25
"""Share of requests that may become the first look at a target never seen: soon, but not all workers at once."""
PROBES_AT_ONCE = 2
"""Probes in flight in one worker: the account is charged when they end."""
PROBE_GAP_S = 1.0
"""A target heard from within this time needs no look: bounds probes at high rates."""
DOUBT = 2.0
"""A target could be the fastest if it would be with its level this many deviations lower."""
DEAREST = 8.0
"""A look is booked in advance with at most this many times the best target's time, or one that seemed very slow would never
be looked at again; what it then takes is charged in full."""
NEAR = 1.2
"""Near: predicted within this ratio of the best. A look costs little more than none."""
NEWS_S = 10.0
"""How long a detected slowing of any target is a reason to look at the others."""
OVERDUE = 5.0
"""First tokens are overdue when the mean age of those waiting is beyond the prediction by this many noise variances over their number: 2.2
deviations. One request is often late; many together are evidence."""
OUTPUT_VARIANCE = 0.3
"""Variance of the log time of an answer that comes whole, for its length that nobody knows."""
COMMON = 0.7
"""Power of the factor by which first tokens are overdue that is taken to slow the other tokens too."""
FAILURE_FLOOR_S = 0.1
"""Least cost of a failure beside the request's time elsewhere: a connection, a journal line, a bill."""
FAILURE_AGE_S = 30.0
"""The failure rate of a target that this worker does not send to counts half after this long."""
FREE_TRIALS = 3
"""Trials of one outage that the account does not limit: after 2, 5 and 8 s. A short outage ends at once even in thin traffic."""
PATIENCE_FLOOR_S = 1.0
PATIENCE_RATIO = 4.0
PATIENCE_OWN = 2.0
PATIENCE_CAP_S = 15.0
"""A trial may wait for its first token four times as long as the best target is expected to take: a client should not pay much for our
curiosity. Or twice as long as the target itself used to take, up to the cap, or a slow target would never pass its trial."""

Tiers = list[list[Choice]]
"""The choices of each :class:`Verdict`, by its number."""
_by_score = attrgetter("score")
_by_retry = attrgetter("retry_at")
_NEXT = "next fastest"
_CONFIGURED = "as configured"
_OVERDUE = "its first tokens are overdue"
_NO_TARGET = TargetState()
"""What a target looks like that was never heard of. Read only."""


def ordered(request: RouteRequest, policy: Policy, state: State, now: float, u: float) -> list[Choice]:
    """As written in the policy; what is broken, resting or recovering steps back. A target never seen does not: it was
    written first."""
    ready, others, _ = assess(request, policy, state, now, u)
    if others is not None:
        ready += others[Verdict.COLD]
        trials = others[Verdict.TRIAL]
        if ready and trials and trial_allowed(trials[0], ready, request, state, now):
            ready.append(trials.pop(0))
        ready.sort(key=lambda choice: policy.targets.index(choice.target))
    for choice in ready:
        if others is None or not choice.probe:
            choice.reason = _CONFIGURED
    return ready if others is None else ready + behind(others, others[Verdict.RAMPING], ready, state, now, u)


def fastest(request: RouteRequest, policy: Policy, state: State, now: float, u: float) -> list[Choice]:
    """By the seconds this request is expected to take, with a budgeted part of the traffic spent on finding out."""
    ready, others, _ = assess(request, policy, state, now, u)
    if len(ready) > 1:
        if len(ready) > 2:
            ready.sort(key=_by_score)
        elif ready[1].score < ready[0].score:
            # By far the most frequent case, at a tenth of the cost of a sort.
            ready.reverse()
        news = now - state.changed_at < NEWS_S or ready[0].reason is _OVERDUE
        if (
            # Most requests have no reason to look at another target.
            (u < PROBE_CHANCE or news or others is not None or ready[1].score < NEAR * ready[0].score)
            and state.probing < PROBES_AT_ONCE
        ):
            _probe(ready, request, state, now, u, news)
    if ready:
        first = ready[0]
        if first.reason is _NEXT:
            first.reason = "fastest"
    if others is None:
        return ready
    trials = others[Verdict.TRIAL]
    if ready and trials and trial_allowed(trials[0], ready, request, state, now):
        ready.insert(0, trials.pop(0))
    ramping = sorted(others[Verdict.RAMPING] + others[Verdict.COLD], key=_by_score)
    return ready + behind(others, ramping, ready, state, now, u)


def assess(
    request: RouteRequest, policy: Policy, state: State, now: float, u: float
) -> tuple[list[Choice], Tiers | None, float]:
    """Filter and score. Returns the ready targets and, where there are any, the others in a list for each :class:`Verdict`;
    all in the policy's order; and the output tokens after the first that were reckoned with, which is the mean of what the policy's targets
    gave, within the client's limit. One long function, because it runs for each request."""
    ready: list[Choice] = []
    others: Tiers | None = None
    known = state.targets
    targets = policy.targets
    total = 0.0
    count = 0
    for name in targets:
        tokens = known.get(name, _NO_TARGET).output_tokens
        if tokens:
            total += tokens
            count += 1
    outputs = total / count if count else PRIOR_OUTPUT_TOKENS
    limit = request.max_output_tokens
    if limit is not None and limit < outputs:
        outputs = limit
    outputs = outputs - 1.0 if outputs > 1.0 else 0.0
    size = log1p(request.input_tokens * SIZE_SCALE)
    crowded = now - state.heard_at < PEER_FRESH_S
    for name in targets:
        target = known.get(name, _NO_TARGET)
        in_flight = target.in_flight + target.others if crowded else target.in_flight
        bucket = BUCKET[in_flight if in_flight < MAX_IN_FLIGHT else MAX_IN_FLIGHT]
        crowd = LOAD_PRIOR[bucket]
        top = target.load_top
        load = target.load[bucket] if bucket <= top else target.load[top] + BEYOND * (crowd - LOAD_PRIOR[top])
        ttft_s = exp(target.level + 0.5 * target.noise + target.size * size + load)
        tpot_s = exp(target.tpot_level + 0.5 * target.tpot_noise + target.tpot_load * crowd)
        reason = _NEXT
        waiting = target.waiting
        if waiting and now - target.waiting_since / waiting > ttft_s:
            late = _lateness(target, ttft_s, ttft_s + outputs * tpot_s, now)
            if late > 1.0:
                ttft_s *= late
                tpot_s *= late**COMMON
                reason = _OVERDUE
        total_s = ttft_s + outputs * tpot_s
        choice = Choice(
            name, ttft_s, total_s, total_s, False, reason, True, tpot_s, in_flight, "closed", target.samples
        )
        if target.breaker.quiet:
            ready.append(choice)
            continue
        if others is None:
            others = [ready, [], [], [], [], []]
        _admit(choice, target, state, now, u, others)
    if others is not None:
        _predict_cold(others, known, outputs, size)
    return ready, others, outputs


def _lateness(target: TargetState, ttft_s: float, total_s: float, now: float) -> float:
    """The factor by which answers are overdue, weighted by how many of them are; 1 where that may be chance.

    An answer that is not streamed shows nothing until it is whole. Which of those waiting are not is estimated from their share among the
    target's answers and from how long each kind waits.
    """
    waiting = target.waiting
    noise = target.noise
    expected_s = ttft_s
    if target.whole:
        share = target.whole * total_s / (target.whole * total_s + (1.0 - target.whole) * ttft_s)
        expected_s += share * (total_s - ttft_s)
        noise += share * OUTPUT_VARIANCE
    late = (now - target.waiting_since / waiting) / expected_s
    if late <= 1.0:
        return 1.0
    surprise = log(late)
    if surprise * surprise * waiting > OVERDUE * noise:
        return late * (1.0 + 0.5 * waiting * (late - 1.0))
    return 1.0


def _admit(choice: Choice, target: TargetState, state: State, now: float, u: float, tiers: Tiers) -> None:
    """Look closely at a target that is new, was broken or failed lately."""
    breaker = target.breaker
    turn = (state.turn + breaker.openings) % state.workers
    verdict, reason, retry_at = admission(breaker, choice.in_flight, now, turn)
    if breaker.limited and target.ceiling is not None and verdict <= Verdict.RAMPING:
        free = free_at(target.ceiling, now, u)
        if free:
            verdict, reason, retry_at = Verdict.REJECTED, ceiling_reason(target.ceiling, now), free
    tiers[verdict].append(choice)
    if breaker.rate >= QUIET_RATE:
        choice.score = _with_failures(target, choice.predicted_total_s, now)
    if verdict == Verdict.READY:
        return
    choice.reason = reason
    choice.circuit = breaker.circuit.name.lower()
    if verdict == Verdict.REJECTED:
        choice.admitted = False
        choice.retry_at = retry_at
        choice.score = inf


def failing(target: TargetState, now: float) -> float:
    """The share of attempts that fail there, as far as it is still known."""
    age_s = now - target.breaker.outcome_at
    share = target.breaker.rate
    if age_s > 0.0:
        share *= FAILURE_AGE_S / (FAILURE_AGE_S + age_s)
    return share


def _with_failures(target: TargetState, total_s: float, now: float) -> float:
    """Score with failures: their share times the time until one shows and the request's time elsewhere, taken as equal."""
    return total_s + failing(target, now) * (total_s + target.failed_s + FAILURE_FLOOR_S)


def _predict_cold(tiers: Tiers, known: dict[str, TargetState], outputs: float, size: float) -> None:
    """A target never seen is taken to be like its siblings (their geometric mean, unloaded); with none, the prior stands."""
    choices = [choice for tier in tiers for choice in tier]
    if all(choice.samples for choice in choices):
        return
    warm = [known[choice.target] for choice in choices if choice.samples]
    if not warm:
        return
    ttft_s = exp(sum(t.level + 0.5 * t.noise + t.size * size + t.load[0] for t in warm) / len(warm))
    tpot_s = exp(sum(t.tpot_level + 0.5 * t.tpot_noise for t in warm) / len(warm))
    for choice in choices:
        if not choice.samples:
            choice.predicted_ttft_s = ttft_s * (1.0 + choice.in_flight / 16.0)
            choice.predicted_tpot_s = tpot_s
            choice.predicted_total_s = choice.predicted_ttft_s + outputs * tpot_s
            if choice.admitted:
                choice.score = choice.predicted_total_s


def _probe(ready: list[Choice], request: RouteRequest, state: State, now: float, u: float, news: bool) -> None:
    """Move one target to the front for the sake of knowledge, if there is one worth it and the account allows it."""
    best = ready[0]
    picked = None
    lowest = best.score
    oldest_s = PROBE_GAP_S
    routine = u < PROBE_CHANCE
    for choice in ready[1:]:
        if not choice.samples:
            if best.samples and not choice.in_flight and u < COLD_CHANCE:
                picked = choice
                picked.reason = "probe: never seen"
                break
            continue
        near = choice.score < NEAR * best.score
        known = state.targets[choice.target]
        if known.breaker.consecutive and not known.waiting and now - known.seen_at > OPEN_CAP_S:
            # Too few failures to open its circuit, and its silence made it seem slow: nobody would ask it again.
            picked = choice
            picked.reason = "probe: failed when last asked"
            picked.patience_s = _patience(choice, known, best, request)
            break
        if not (near or news or routine):
            continue
        target = state.targets[choice.target]
        age_s = now - target.seen_at
        if target.waiting or age_s < PROBE_GAP_S:
            continue
        doubt = sqrt(min(VARIANCE_CAP, target.variance + GROWTH_PER_S * age_s))
        hopeful = choice.score * exp(-DOUBT * doubt)
        cost_s = min(choice.predicted_total_s, DEAREST * best.predicted_total_s)
        affordable = routine and state.probed_s + cost_s <= PROBE_SHARE * state.spent_s
        urgent = news or near
        if urgent:
            whole_s = state.probed_s + choice.predicted_total_s
            urgent = (
                whole_s <= PROMISE_SHARE * state.spent_s
                and whole_s - best.predicted_total_s <= RESERVE_SHARE * state.spent_s
            )
        if hopeful < lowest and (affordable or urgent):
            picked = choice
            picked.reason = "probe: could be the fastest"
            lowest = hopeful
        elif affordable and age_s > oldest_s and lowest >= best.score:
            picked = choice
            picked.reason = "probe: not heard from lately"
            oldest_s = age_s
    if picked is not None:
        picked.probe = True
        ready.remove(picked)
        ready.insert(0, picked)
    elif not best.samples and any(choice.samples for choice in ready):
        best.probe = True
        best.reason = "probe: never seen"


def _patience(trial: Choice, target: TargetState, best: Choice, request: RouteRequest) -> float:
    expected_s, own_s = best.predicted_ttft_s, target.usual_s or trial.predicted_ttft_s
    if not request.stream:
        expected_s = best.predicted_total_s
        own_s *= trial.predicted_total_s / trial.predicted_ttft_s
    own_s = min(PATIENCE_OWN * own_s, PATIENCE_CAP_S)
    return max(PATIENCE_FLOOR_S, PATIENCE_RATIO * expected_s, own_s)


def trial_allowed(trial: Choice, ready: list[Choice], request: RouteRequest, state: State, now: float) -> bool:
    """Whether a broken target's trial goes first: the first few of an outage always, later ones from the probing account, and one when
    the last is :data:`OPEN_CAP_S` ago, or a debt would keep a recovery from being seen."""
    target = state.targets[trial.target]
    patience_s = _patience(trial, target, min(ready, key=_by_score), request)
    cost_s = min(patience_s, target.failed_s)
    if state.probing or (
        target.breaker.openings > FREE_TRIALS
        and now - target.breaker.changed_at < OPEN_CAP_S
        and state.probed_s + cost_s > RESERVE_SHARE * state.spent_s
    ):
        return False
    trial.patience_s = patience_s
    trial.probe = True
    return True


def behind(
    others: Tiers, ramping: list[Choice], ready: list[Choice], state: State, now: float, u: float
) -> list[Choice]:
    """What comes after the ready ones: ramping, trials, and the rejected by when to ask again."""
    if ramping and not ready:
        ramping = _hold_back(others, ramping, state, now, u)
    admitted = ramping + others[Verdict.TRIAL] + others[Verdict.LATE_TRIAL]
    rejected = others[Verdict.REJECTED]
    rejected.sort(key=_by_retry)
    if rejected and not ready and not admitted:
        _last_resort(rejected, state, now)
    return admitted + rejected


def _hold_back(others: Tiers, ramping: list[Choice], state: State, now: float, u: float) -> list[Choice]:
    """With no other target to go to, what is beyond a ramp waits. Those still admitted."""
    admitted = []
    for choice in ramping:
        at = held_back(state.targets[choice.target].breaker, choice.in_flight, now, u)
        if at:
            choice.admitted = False
            choice.retry_at = at
            choice.score = inf
            others[Verdict.REJECTED].append(choice)
        else:
            admitted.append(choice)
    return admitted


def _last_resort(rejected: list[Choice], state: State, now: float) -> None:
    """Nobody can answer. Circuits stay open for longer each time because others carry the traffic meanwhile; as there are none, a trial is
    due after :data:`OPEN_BASE_S`, and the one that has waited longest is admitted for it."""
    for choice in rejected:
        breaker = state.targets[choice.target].breaker
        if breaker.circuit is Circuit.CLOSED or max(breaker.trial_until, breaker.rest_until) > now:
            continue
        turn = (state.turn + breaker.openings) % state.workers
        due = breaker.changed_at + OPEN_BASE_S + turn * TURN_S
        if due < choice.retry_at:
            choice.retry_at = due
            choice.reason = f"circuit open, and no other target to go to: a trial in {max(0.0, due - now):.1f} s"
    rejected.sort(key=_by_retry)
    first = rejected[0]
    if first.retry_at <= now:
        first.admitted = True
        first.reason = "circuit open, and no other target to go to: this is the trial"
        first.score = first.predicted_total_s
        first.retry_at = 0.0
