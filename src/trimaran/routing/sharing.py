"""What workers tell each other, at most a second old: loads, circuits, and their own fresh observations.

Loads add up; each message replaces its sender's earlier one. Circuits join (:func:`trimaran.routing.circuit.merge`).
Estimates are not averaged, which would echo hearsay: each worker exports the count and sum of what *it* observed over
its life, and the receiver takes the difference since the last message as that many new samples with their mean. They
also end a ramp, and answers and failures move the rate here, as own ones do: without that, a worker would wait for
ever behind the others' requests in flight at a target that has recovered.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.routing.ceiling import FLOOR, Bucket, Ceiling, drain, join, share
from trimaran.routing.circuit import RAMP_DONE, Breaker, Circuit, heard, merge
from trimaran.routing.events import Shared, SharedCeiling, SharedTarget
from trimaran.routing.model import hear_tpot, hear_ttft, recovered
from trimaran.routing.state import MAX_TARGETS, NO_SUMS, PeerView, State, Sums, TargetState

__all__ = ["PEER_FRESH_S", "export_shared", "hear"]

PEER_FRESH_S = 5.0
"""A worker not heard for this long is gone: its load no longer counts and it has no turn at trials."""


def export_shared(state: State, now: float) -> dict[str, Any]:
    """This worker's view for the others: built-in types only, ready for msgpack. Writes nothing.

    Targets without anything to tell (never seen, nothing in flight, circuit untouched) are left out.
    """
    targets = {}
    for name, target in state.targets.items():
        breaker = target.breaker
        if not (
            target.ttft_n
            or target.in_flight
            or breaker.epoch
            or breaker.failures
            or breaker.rest_until > now
            or target.ceiling is not None
        ):
            continue
        _, requests, tokens = target.meter.taken(now)
        shared = SharedTarget(
            in_flight=target.in_flight,
            circuit=int(breaker.circuit),
            epoch=breaker.epoch,
            open_s=max(0.0, breaker.until - now),
            openings=breaker.openings,
            trial=breaker.own_trial and breaker.trial_until > now,
            rest_s=max(0.0, breaker.rest_until - now),
            seen_s=now - target.seen_at if target.samples else -1.0,
            ttft_n=target.ttft_n,
            ttft_sum=target.ttft_sum,
            tpot_n=target.tpot_n,
            tpot_sum=target.tpot_sum,
            failed_n=breaker.failures,
            requests_per_s=requests,
            tokens_per_s=tokens,
            ramp=breaker.ramp,
            rests=breaker.rests,
            ceiling=_export_ceiling(target.ceiling, now) if target.ceiling is not None else None,
        )
        targets[name] = msgspec.to_builtins(shared)
    return {"worker": state.worker, "targets": targets}


def hear(state: State, event: Shared, now: float) -> None:
    """Take in another worker's view."""
    if event.worker == state.worker:
        return
    view = state.peers.get(event.worker)
    unheard = None if view is None else NO_SUMS
    if view is None:
        view = state.peers[event.worker] = PeerView(heard_at=now)
    view.heard_at = state.heard_at = now
    _replace_loads(state, view, {name: target.in_flight for name, target in event.targets.items()})
    _replace_rates(
        state,
        view,
        {name: (each.requests_per_s, each.tokens_per_s) for name, each in event.targets.items() if each.requests_per_s},
    )
    for name, shared in event.targets.items():
        target = state.targets.get(name)
        if target is None:
            if len(state.targets) >= MAX_TARGETS:
                continue
            target = state.targets[name] = TargetState(others=shared.in_flight)
            target.meter.others_requests, target.meter.others_tokens = shared.requests_per_s, shared.tokens_per_s
        if _merge_breaker(target.breaker, shared, now):
            # Before the samples: the answer that closed the circuit is among them, and must count in full.
            recovered(state, target, now)
        _merge_samples(target, shared, view.sums.get(name, unheard), now)
        view.sums[name] = (
            shared.ttft_n,
            shared.ttft_sum,
            shared.tpot_n,
            shared.tpot_sum,
            shared.failed_n,
        )
    _count_peers(state, now)
    for name, shared in event.targets.items():
        target = state.targets.get(name)
        if target is not None and shared.ceiling is not None:
            _merge_ceiling(target, shared.ceiling, state.turn, state.workers, now)


def _replace_loads(state: State, view: PeerView, loads: dict[str, int]) -> None:
    for name, in_flight in view.in_flight.items():
        target = state.targets.get(name)
        if target is not None:
            target.others = max(0, target.others - in_flight)
    for name, in_flight in loads.items():
        target = state.targets.get(name)
        if target is not None:
            target.others += in_flight
    view.in_flight = loads


def _replace_rates(state: State, view: PeerView, rates: dict[str, tuple[float, float]]) -> None:
    for sign, those in ((-1.0, view.rates), (1.0, rates)):
        for name, (requests, tokens) in those.items():
            target = state.targets.get(name)
            if target is not None:
                meter = target.meter
                meter.others_requests = max(0.0, meter.others_requests + sign * requests)
                meter.others_tokens = max(0.0, meter.others_tokens + sign * tokens)
    view.rates = rates


def _export_ceiling(ceiling: Ceiling, now: float) -> SharedCeiling:
    hit_s = now - ceiling.hit_at if ceiling.epoch else -1.0
    if ceiling.requests is None or ceiling.tokens is None:
        return SharedCeiling(ceiling.epoch, hit_s)
    return SharedCeiling(
        ceiling.epoch,
        hit_s,
        ceiling.span_s,
        ceiling.requests.peak,
        ceiling.requests.grown_s,
        ceiling.tokens.peak,
        ceiling.tokens.grown_s,
        ceiling.burst,
    )


def _merge_ceiling(target: TargetState, shared: SharedCeiling, turn: int, workers: int, now: float) -> None:
    other = Ceiling(shared.epoch, at=now, hit_at=now - max(0.0, shared.hit_s))
    if shared.requests_peak > 0.0 and shared.tokens_peak > 0.0:
        other.span_s = max(1.0, shared.span_s)
        other.burst = shared.burst
        other.requests = Bucket(max(shared.requests_peak, FLOOR), max(0.0, shared.requests_grown_s))
        other.tokens = Bucket(max(shared.tokens_peak, FLOOR), max(0.0, shared.tokens_grown_s))
    news = target.ceiling is None or shared.epoch > target.ceiling.epoch
    target.ceiling = ceiling = join(target.ceiling, other)
    share(ceiling, target.meter, workers, True)
    breaker = target.breaker
    if news:
        drain(ceiling, max(now, breaker.rest_until), turn, workers)
    breaker.limited = ceiling.requests is not None
    if breaker.limited:
        breaker.quiet = False


def _merge_breaker(breaker: Breaker, shared: SharedTarget, now: float) -> bool:
    if not shared.epoch and not shared.rest_s:
        return False
    other = Breaker(
        circuit=Circuit(shared.circuit),
        epoch=shared.epoch,
        until=now + shared.open_s,
        openings=shared.openings,
        own_trial=shared.trial,
        rest_until=now + shared.rest_s,
        ramp=shared.ramp,
        rests=shared.rests,
    )
    return merge(breaker, other, now)


def _merge_samples(target: TargetState, shared: SharedTarget, before: Sums | None, now: float) -> None:
    if before is None:
        _first_heard(target, shared, now)
        return
    ttft_n, ttft_sum, tpot_n, tpot_sum, failed_n = before
    if shared.ttft_n < ttft_n or shared.failed_n < failed_n:
        # The worker has started again.
        ttft_n, ttft_sum, tpot_n, tpot_sum, failed_n = NO_SUMS
    breaker = target.breaker
    fresh = shared.ttft_n - ttft_n
    if fresh > 0:
        hear_ttft(target, (shared.ttft_sum - ttft_sum) / fresh, fresh, now - max(0.0, shared.seen_s))
        _ramp_up(breaker, shared, fresh)
    answers = shared.tpot_n - tpot_n
    if answers > 0:
        hear_tpot(target, (shared.tpot_sum - tpot_sum) / answers, answers)
    failures = shared.failed_n - failed_n
    if answers + failures > 0:
        heard(breaker, answers, failures, now)


def _first_heard(target: TargetState, shared: SharedTarget, now: float) -> None:
    """A worker that was not known, or was silent for long. What it saw over its life is old news, so it counts as one sample,
    and only where there is none yet."""
    if not target.samples and shared.ttft_n:
        hear_ttft(target, shared.ttft_sum / shared.ttft_n, 1, now - max(0.0, shared.seen_s))
        _ramp_up(target.breaker, shared, shared.ttft_n)
        if shared.tpot_n:
            hear_tpot(target, shared.tpot_sum / shared.tpot_n, 1)


def _ramp_up(breaker: Breaker, shared: SharedTarget, answers: int) -> None:
    if breaker.circuit is Circuit.CLOSED and breaker.epoch == shared.epoch:
        breaker.ramp = min(RAMP_DONE, breaker.ramp << min(answers, 6))


def _count_peers(state: State, now: float) -> None:
    """Drop workers that fell silent, and find this one's place in the queue for trials."""
    for worker in [w for w, view in state.peers.items() if now - view.heard_at > PEER_FRESH_S]:
        view = state.peers.pop(worker)
        _replace_loads(state, view, {})
        _replace_rates(state, view, {})
    state.turn = sum(1 for worker in state.peers if worker < state.worker)
    state.workers = 1 + len(state.peers)
