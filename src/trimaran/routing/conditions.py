"""What somebody else found out about a target, off the road: its endpoint is being created, its credential has expired.

A condition is a fact and no experience: it is told (:class:`~trimaran.routing.events.Condition`), holds until something
else is told, and leaves circuits and times alone. Its key is a target's id, or an account that many targets share
(:attr:`~trimaran.routing.policy.Candidate.account`). A target whose condition is ``down`` is asked for nothing; one that is
a ``last_resort`` stands behind all others that may be asked: a request there is slow, and may be what wakes it. One that
is ``pending`` is not asked yet, and what it waits for comes soon: a request with nowhere else to go waits for it.
"""

from __future__ import annotations

from math import inf

import msgspec

from trimaran.routing.events import Choice, Condition
from trimaran.routing.policy import Candidate, Policy
from trimaran.routing.state import State

__all__ = ["MAX_CONDITIONS", "by_condition", "down", "note_condition"]

MAX_CONDITIONS = 4096
"""Told by the operator's own watches, one for each target or account: more is a mistake."""

DOWN = "down"
"""What a choice shows as its circuit: nothing about the target's answers opened one."""

PENDING_S = 0.2
"""How often a request that waits for a pending target looks again."""

_LEVELS = ("up", "last_resort", "pending", "down")


def note_condition(state: State, event: Condition, now: float) -> None:
    """Keep what was told. ``up`` is the absence of a condition, so that the road pays nothing for what is well."""
    if event.level not in _LEVELS:
        raise ValueError(f"level: {event.level!r} is none of {', '.join(_LEVELS)}")
    if event.level == "up":
        state.conditions.pop(event.key, None)
    elif event.key in state.conditions or len(state.conditions) < MAX_CONDITIONS:
        state.conditions[event.key] = event


def by_condition(policy: Policy, state: State) -> tuple[Policy, Policy | None, list[Condition | None]]:
    """The policy with the targets that are well, one with the last resorts (``None``: there is none), and for each of the
    policy's targets its condition."""
    found = [_condition_of(candidate, state) for candidate in policy.candidates.values()]
    if not any(found):
        return policy, None, found
    well: dict[str, Candidate] = {}
    last: dict[str, Candidate] = {}
    for candidate, condition in zip(policy.candidates.values(), found, strict=True):
        if condition is None:
            well[candidate.target] = candidate
        elif condition.level == "last_resort":
            last[candidate.target] = candidate
    return _with(policy, well), _with(policy, last) if last else None, found


def down(policy: Policy, state: State, conditions: list[Condition | None], now: float) -> list[Choice]:
    """A rejected choice for each target that is down or pending, in the policy's order."""
    return [
        _rejected(name, condition, state, now)
        for name, condition in zip(policy.candidates, conditions, strict=True)
        if condition is not None and condition.level != "last_resort"
    ]


def _condition_of(candidate: Candidate, state: State) -> Condition | None:
    """The worse of the two that may hold for a target."""
    own = state.conditions.get(candidate.target)
    shared = state.conditions.get(candidate.account) if candidate.account else None
    if own is None or shared is None:
        return own or shared
    return max(own, shared, key=lambda condition: _LEVELS.index(condition.level))


def _with(policy: Policy, candidates: dict[str, Candidate]) -> Policy:
    return msgspec.structs.replace(policy, targets=tuple(candidates), candidates=candidates)


def _rejected(name: str, condition: Condition, state: State, now: float) -> Choice:
    target = state.targets.get(name)
    pending = condition.level == "pending"
    return Choice(
        name,
        0.0,
        0.0,
        inf,
        False,
        condition.reason,
        False,
        in_flight=target.in_flight + target.others if target is not None else 0,
        circuit="closed" if pending else DOWN,
        samples=target.samples if target is not None else 0,
        retry_at=now + PENDING_S if pending else 0.0,
    )
