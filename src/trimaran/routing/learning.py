"""``learn``: the only writer of :class:`~trimaran.routing.state.State`. Here events become counts, circuits and observations.

Timeouts, failures and abandoned attempts are censored: they say that the time is longer than what passed, so they only ever raise
the level. A fast failure says nothing about speed, and counts in the failure rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trimaran.routing.ceiling import hit, spend
from trimaran.routing.circuit import (
    Circuit,
    absolved,
    began,
    ended,
    failed,
    refused,
    rest,
    trial_lost,
    trial_sent,
    verdict_of,
)
from trimaran.routing.conditions import note_condition
from trimaran.routing.events import Abandoned, Completed, Condition, Event, Failed, FirstToken, Replaced, Sent, Shared
from trimaran.routing.model import observe_tpot, observe_ttft, observe_whole, recovered, ttft_s_of
from trimaran.routing.prefixes import SHARE_CAP, SHARE_MEMORY, Table
from trimaran.routing.sharing import PEER_FRESH_S, hear
from trimaran.routing.state import MAX_TARGETS, PRIOR_OUTPUT_TOKENS, State, TargetState

__all__ = ["learn"]

SPENT_DECAY = 1.0 - 1.0 / 8192.0
"""Memory of the probing account: some eight thousand attempts."""
FAILED_GAIN = 0.2
"""Memory of how long a failure takes: some five failures."""
OUTPUT_GAIN = 0.05
"""Memory of the mean output length: some twenty answers."""
WHOLE_GAIN = 0.2
"""Memory of whether answers are streamed: some five of them. Clients rarely mix."""
_EPSILON_S = 1e-6
"""A moment that was computed back from a duration is the moment itself, but for rounding."""


def learn(state: State, event: Event, now: float) -> None:
    """Write what ``event`` says into ``state``. ``now`` is the monotonic time at which it happened, in seconds."""
    _HANDLERS[type(event)](state, event, now)


def _target(state: State, name: str) -> TargetState:
    target = state.targets.get(name)
    if target is None:
        if len(state.targets) >= MAX_TARGETS:
            _evict(state)
        target = state.targets[name] = TargetState()
    return target


def _evict(state: State) -> None:
    """Forget the eighth of the idle targets that was silent for longest."""
    idle = [name for name, target in state.targets.items() if not target.in_flight]
    idle.sort(key=lambda name: state.targets[name].seen_at)
    for name in idle[: MAX_TARGETS // 8]:
        del state.targets[name]


def _sent(state: State, event: Sent, now: float) -> None:
    target = state.targets.get(event.target) or _target(state, event.target)
    target.in_flight += 1
    target.waiting += 1
    target.waiting_since += now
    if event.probe:
        state.probing += 1
    meter = target.meter
    if now >= meter.until:
        meter.roll(now)
    tokens = event.input_tokens + (target.output_tokens or PRIOR_OUTPUT_TOKENS)
    meter.requests += 1.0
    meter.tokens += tokens
    breaker = target.breaker
    if breaker.quiet:
        return
    if breaker.limited and target.ceiling is not None:
        others = now - state.heard_at < PEER_FRESH_S
        breaker.limited = spend(target.ceiling, meter, tokens, now, state.workers if others else 1, others)
    if breaker.circuit is not Circuit.CLOSED:
        trial_sent(breaker, now)


def _first_token(state: State, event: FirstToken, now: float) -> None:
    target = state.targets.get(event.target) or _target(state, event.target)
    ttft_s = event.ttft_s
    target.waiting -= 1
    target.waiting_since = target.waiting_since - (now - ttft_s) if target.waiting > 0 else 0.0
    if not target.breaker.quiet:
        _taken(target, now - ttft_s)
        if began(target.breaker, now - ttft_s, now):
            recovered(state, target, now)
    observe_ttft(state, target, ttft_s, event.input_tokens, event.in_flight, now)


def _taken(target: TargetState, sent_at: float) -> None:
    """The target took what was sent then: the next 429 says something new."""
    if target.ceiling is not None and sent_at > target.ceiling.answered_at:
        target.ceiling.answered_at = sent_at


def _completed(state: State, event: Completed, now: float) -> None:
    target = state.targets.get(event.target) or _target(state, event.target)
    total_s = event.total_s
    in_flight = target.in_flight - 1
    target.in_flight = in_flight if in_flight > 0 else 0
    state.spent_s = state.spent_s * SPENT_DECAY + total_s
    state.probed_s *= SPENT_DECAY
    if event.probe:
        state.probing -= 1
        state.probed_s += total_s
    breaker = target.breaker
    tokens = event.output_tokens
    if event.ttft_s is None:
        target.waiting -= 1
        target.waiting_since = target.waiting_since - (now - total_s) if target.waiting > 0 else 0.0
        if not breaker.quiet:
            _taken(target, now - total_s)
            if began(breaker, now - total_s, now):
                recovered(state, target, now)
        target.whole += WHOLE_GAIN * (1.0 - target.whole)
        observe_whole(state, target, total_s, tokens, event.input_tokens, event.in_flight, now)
    else:
        if target.whole:
            target.whole = target.whole - WHOLE_GAIN * target.whole if target.whole > WHOLE_GAIN / 8.0 else 0.0
        if tokens > 3 and total_s > event.ttft_s and now - total_s >= target.changed_at - _EPSILON_S:
            observe_tpot(state, target, (total_s - event.ttft_s) / (tokens - 1), event.in_flight, now)
    if not breaker.quiet:
        ended(breaker, now - total_s, now)
    if tokens:
        mean = target.output_tokens
        target.output_tokens = mean + OUTPUT_GAIN * (tokens - mean) if mean else float(tokens)
    if event.prefixes:
        _cached(target, event, now)


def _cached(target: TargetState, event: Completed, now: float) -> None:
    """Its beginnings are in the target's cache from now on, and a predicted hit has come true or not."""
    if target.prefixes is None:
        target.prefixes = Table()
    target.prefixes.note(event.prefixes, now)
    predicted = event.predicted_cached_tokens
    if predicted > 0 and event.cached_read_tokens is not None:
        target.cache_n += 1
        share = min(event.cached_read_tokens / predicted, SHARE_CAP)
        target.cache_share += (share - target.cache_share) / min(target.cache_n, SHARE_MEMORY)


def _end_early(state: State, target: TargetState, event: Failed | Abandoned, now: float) -> None:
    """Bookkeeping of an attempt without an answer: counts, account, and what its silence says of the speed."""
    elapsed_s = event.elapsed_s
    in_flight = target.in_flight - 1
    target.in_flight = in_flight if in_flight > 0 else 0
    state.spent_s = state.spent_s * SPENT_DECAY + elapsed_s
    state.probed_s *= SPENT_DECAY
    if event.probe:
        state.probing -= 1
        state.probed_s += elapsed_s
    if event.ttft_s is None:
        target.waiting -= 1
        target.waiting_since = target.waiting_since - (now - elapsed_s) if target.waiting > 0 else 0.0


def _censor(state: State, target: TargetState, event: Failed | Abandoned, now: float) -> None:
    """No first token after ``elapsed_s``: an observation of at least that, if it is more than expected."""
    if event.ttft_s is not None:
        return
    expected_s = ttft_s_of(target, event.input_tokens, event.in_flight)
    if event.elapsed_s > expected_s:
        breaker = target.breaker
        if target.ttft_n and breaker.circuit is Circuit.CLOSED and not breaker.consecutive:
            target.usual_s = expected_s
        observe_ttft(state, target, event.elapsed_s, event.input_tokens, event.in_flight, now)


def _failed(state: State, event: Failed, now: float) -> None:
    target = state.targets.get(event.target) or _target(state, event.target)
    _end_early(state, target, event, now)
    breaker = target.breaker
    sent_at = now - event.elapsed_s
    kind = verdict_of(event.error)
    if kind == "client":
        if event.ttft_s is None and not breaker.quiet and began(breaker, sent_at, now):
            recovered(state, target, now)
        ended(breaker, sent_at, now)
        return
    if kind == "rest":
        _limited(state, target, event, now)
        trial_lost(breaker)
        return
    if event.retry_after_s is not None:
        rest(breaker, event.retry_after_s, target.in_flight, now)
    if kind == "operator":
        refused(breaker, sent_at, now, event.account)
        return
    _censor(state, target, event, now)
    target.failed_s += FAILED_GAIN * (event.elapsed_s - target.failed_s)
    failed(breaker, sent_at, now)


def _replaced(state: State, event: Replaced, now: float) -> None:
    for target in state.targets.values():
        if target.breaker.account == event.account:
            absolved(target.breaker, now)


def _limited(state: State, target: TargetState, event: Failed, now: float) -> None:
    """A 429: a rest, and a ceiling at what was sent when it came."""
    breaker, meter = target.breaker, target.meter
    others = now - state.heard_at < PEER_FRESH_S
    in_flight = target.in_flight + target.others if others else target.in_flight
    rest(breaker, event.retry_after_s, in_flight, now, event.u)
    if now >= meter.until:
        meter.roll(now)
    meter.refused(event.input_tokens + (target.output_tokens or PRIOR_OUTPUT_TOKENS))
    rest_s = max(0.0, breaker.rest_until - now)
    turn, workers = (state.turn, state.workers) if others else (0, 1)
    target.ceiling = hit(target.ceiling, meter, now - event.elapsed_s, rest_s, now, turn, workers, others)
    breaker.limited = target.ceiling is not None and target.ceiling.requests is not None


def _abandoned(state: State, event: Abandoned, now: float) -> None:
    target = state.targets.get(event.target) or _target(state, event.target)
    _end_early(state, target, event, now)
    _censor(state, target, event, now)
    if target.breaker.own_trial and event.ttft_s is None:
        trial_lost(target.breaker)


def _shared(state: State, event: Shared, now: float) -> None:
    hear(state, event, now)


_HANDLERS: dict[type, Callable[[State, Any, float], None]] = {
    Sent: _sent,
    FirstToken: _first_token,
    Completed: _completed,
    Failed: _failed,
    Abandoned: _abandoned,
    Shared: _shared,
    Condition: note_condition,
    Replaced: _replaced,
}
