"""Which targets can answer a request at all: a filter on facts, apart from what their circuits say now.

A target is *unfit* when it is known to lack what the request needs: a feature, room for the prompt, or length of the answer. It is
rejected for this request only, its circuit is not asked and not touched, and there is no time from which to ask again.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf

import msgspec

from trimaran.routing.circuit import Circuit
from trimaran.routing.events import Choice, RouteRequest
from trimaran.routing.policy import Candidate, Policy
from trimaran.routing.state import State
from trimaran.types import FEATURES

__all__ = ["TOO_LONG", "divide"]

TOO_LONG = "context"
"""What the reason begins with where only the prompt's length is in the way."""

_WORDS = tuple(FEATURES.values())


def divide(request: RouteRequest, policy: Policy, state: State) -> tuple[Policy, list[Choice]]:
    """The policy with the fit targets alone, and a rejected :class:`Choice` for each of the others, in the policy's order."""
    unfit: list[Choice] = []
    fit: dict[str, Candidate] = {}
    for name, candidate in policy.candidates.items():
        reason = _reason(request, candidate)
        if reason:
            unfit.append(_rejected(name, reason, state))
        else:
            fit[name] = candidate
    if unfit:
        policy = msgspec.structs.replace(policy, targets=tuple(fit), candidates=fit)
    return policy, unfit


def _reason(request: RouteRequest, candidate: Candidate) -> str:
    """Everything that it lacks for this request, in words; empty when it is fit."""
    found = []
    missing = request.needs & candidate.lacks
    if missing:
        found.append(_lacking(missing))
    context = candidate.context_tokens
    if context is not None and request.certain_input_tokens > context:
        found.append(f"{TOO_LONG} {context} tokens, at least {request.certain_input_tokens} sent")
    limit = request.max_output_tokens
    if limit is not None and candidate.max_output_tokens is not None:
        asked = limit // request.answers
        if asked > candidate.max_output_tokens:
            found.append(f"longest answer {candidate.max_output_tokens} tokens, {asked} asked for")
    return "; ".join(found)


@lru_cache(maxsize=256)
def _lacking(mask: int) -> str:
    """``lacks tool calls and images as input``. Kept, because a conversation asks for the same at each of its turns."""
    words = [word for bit, word in enumerate(_WORDS) if mask >> bit & 1]
    return "lacks " + (", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0])


def _rejected(name: str, reason: str, state: State) -> Choice:
    target = state.targets.get(name)
    circuit = target.breaker.circuit if target is not None else Circuit.CLOSED
    return Choice(
        name,
        0.0,
        0.0,
        inf,
        False,
        reason,
        False,
        in_flight=target.in_flight + target.others if target is not None else 0,
        circuit=circuit.name.lower(),
        samples=target.samples if target is not None else 0,
        unfit=True,
    )
