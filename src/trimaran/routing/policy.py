"""What routing knows of a model's targets: facts that hold as long as their snapshot does, made ready for use once.

A :class:`~trimaran.types.ModelPolicy` says what the user wrote; a :class:`Policy` adds what the targets can do and cost. Nothing in it changes
while requests are ordered: what is learnt stands in :class:`~trimaran.routing.state.State`.

An unknown fact is never a reason to refuse: a target without capabilities lacks nothing, has no end of its context and any length of answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import log
from statistics import NormalDist

import msgspec

from trimaran.types import Capabilities, Limits, ModelPolicy, Slo, Target, TokenPrice, feature_mask

__all__ = ["NO_LIMIT", "Candidate", "Objective", "Policy", "build_policy"]

NO_LIMIT = sys.maxsize
"""Stands for an unknown limit: nothing is above it."""


class Candidate(msgspec.Struct, frozen=True):
    """One target of a model, as far as its facts decide."""

    target: str
    lacks: int = 0
    """What it cannot do: bit i stands for the i-th name of ``types.FEATURES``."""
    context_tokens: int | None = None
    """Input and output together; ``None`` is unknown."""
    max_output_tokens: int | None = None
    """Of one answer; ``None`` is unknown."""
    price: TokenPrice | None = None
    """``None`` is unknown, never free."""
    weight: float = 1.0
    """Share of the draw among the weights of all; 0: only when nobody else can answer."""
    share: str = ""
    """The weight in words: ``drawn: weight 3 of 4``."""
    cache_min_tokens: int | None = None
    """The shortest prefix that its prompt cache keeps."""
    alike: tuple[str, ...] = ()
    """The policy's targets with this very price, itself included. Mostly they are one model in several places, so they are taken
    to write answers of one length: chance in what was seen of each must not make a difference in cost."""
    account: str = ""
    """Key of the condition that it shares with others: ``credential:NAME``; empty: it shares none."""
    caches: bool = False
    """Tokens read from its cache have a price of their own."""


class Objective(msgspec.Struct, frozen=True):
    """One percentile that is to be met."""

    measure: str
    """``ttft``, ``tpot`` or ``e2e``."""
    z: float
    """The percentile's place in a normal distribution, in deviations."""
    log_limit: float
    """Natural logarithm of the limit in seconds."""
    words: str
    """``ttft p95 1 s``."""


class Policy(msgspec.Struct, frozen=True):
    """A model's policy with the facts of its targets, as :func:`build_policy` makes it."""

    name: str
    strategy: str
    targets: tuple[str, ...]
    candidates: dict[str, Candidate] = {}
    """By target, in the order of ``targets``."""
    limits: Limits = Limits()
    slo: Slo = Slo()
    objectives: tuple[Objective, ...] = ()
    lacks: int = 0
    """What at least one of them cannot do. A request that needs nothing of it need not be compared with each."""
    shortest_context: int = NO_LIMIT
    """Tokens; the smallest of the known ones."""
    shortest_answer: int = NO_LIMIT
    wants_prefixes: bool = False
    """Whether the order depends on ``RouteRequest.prefixes``."""


def build_policy(policy: ModelPolicy, targets: Sequence[Target]) -> Policy:
    """``policy`` with the facts of ``targets``, which may be in any order; a target that is not among them is unknown in everything."""
    facts = {target.id: target for target in targets}
    weights = policy.weights or (1.0,) * len(policy.targets)
    total = sum(weights)
    candidates = [
        _candidate(name, facts.get(name), weight, total) for name, weight in zip(policy.targets, weights, strict=True)
    ]
    candidates = [msgspec.structs.replace(each, alike=_alike(each, candidates)) for each in candidates]
    lacks = 0
    for candidate in candidates:
        lacks |= candidate.lacks
    return Policy(
        policy.name,
        policy.strategy,
        policy.targets,
        {candidate.target: candidate for candidate in candidates},
        policy.limits,
        policy.slo,
        _objectives(policy.slo),
        lacks,
        min((c.context_tokens for c in candidates if c.context_tokens is not None), default=NO_LIMIT),
        min((c.max_output_tokens for c in candidates if c.max_output_tokens is not None), default=NO_LIMIT),
        policy.strategy == "cheapest" and len(candidates) > 1 and any(c.caches for c in candidates),
    )


def _candidate(name: str, target: Target | None, weight: float, total: float) -> Candidate:
    share = f"drawn: weight {weight:g} of {total:g}" if weight else "weight 0: only where no other can answer"
    if target is None:
        return Candidate(name, weight=weight, share=share)
    price = target.price
    known = target.capabilities
    return Candidate(
        name,
        _lacks(known) if known is not None else 0,
        known.context_tokens if known is not None else None,
        # Not the target's own: where nothing is known of a model, that is a value that is safe to ask for, not its limit.
        known.max_output_tokens if known is not None else None,
        price,
        weight,
        share,
        known.cache_min_tokens if known is not None else None,
        account=f"credential:{target.credential}" if target.credential else "",
        caches=price is not None and any(tier.cached_read is not None for tier in price.tiers),
    )


def _lacks(known: Capabilities) -> int:
    """What it cannot do and nobody does for it: a tool stands for a JSON schema."""
    lacks = known.lacks if "tools" in known.lacks else known.lacks - {"json_schema"}
    return feature_mask(*lacks)


def _alike(candidate: Candidate, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    price = candidate.price
    return tuple(
        other.target
        for other in candidates
        if other is candidate
        or (price is not None and other.price is not None and _figures(other.price) == _figures(price))
    )


def _figures(price: TokenPrice) -> object:
    return price.tiers, price.request


def _objectives(slo: Slo) -> tuple[Objective, ...]:
    found = []
    for measure, limits in (("ttft", slo.ttft), ("tpot", slo.tpot), ("e2e", slo.e2e)):
        for quantile, limit_s in limits:
            words = f"{measure} p{quantile * 100:g} {limit_s:g} s"
            found.append(Objective(measure, NormalDist().inv_cdf(quantile), log(limit_s), words))
    return tuple(found)
