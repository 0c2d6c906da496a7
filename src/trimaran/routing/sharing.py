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

from trimaran.routing.circuit import RAMP_DONE, Breaker, Circuit, heard, merge
from trimaran.routing.events import Shared, SharedTarget
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
        if not (target.ttft_n or target.in_flight or breaker.epoch or breaker.failures or breaker.rest_until > now):
            continue
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
    for name, shared in event.targets.items():
        target = state.targets.get(name)
        if target is None:
            if len(state.targets) >= MAX_TARGETS:
                continue
            target = state.targets[name] = TargetState(others=shared.in_flight)
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
        _replace_loads(state, state.peers.pop(worker), {})
    state.turn = sum(1 for worker in state.peers if worker < state.worker)
    state.workers = 1 + len(state.peers)
