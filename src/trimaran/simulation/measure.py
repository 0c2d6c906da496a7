"""Figures of merit of a run: regret, probing, adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from trimaran.simulation.engine import Decision, Result
from trimaran.simulation.workload import Run

__all__ = ["adaptation", "good_share", "percentile", "regret"]

GOOD = 0.10
"""A decision is good if the true expected time of the target it took is within this of the best one's."""
WINDOW = 20
SHARE = 0.9


def regret(result: Result, oracle: Result) -> float:
    """Mean latency above the oracle's, as a share of it, on the same run. Negative if below."""
    return result.mean_s / oracle.mean_s - 1.0


def good_share(decisions: Sequence[Decision]) -> float:
    """Share of good decisions."""
    return sum(decision.excess <= GOOD for decision in decisions) / len(decisions) if decisions else 1.0


def adaptation(run: Run, result: Result) -> list[int | None]:
    """For each change of the world: first tokens observed from then until decisions are as good as before.

    As good: of the next :data:`WINDOW` decisions, probes left out, the good ones are at least 90 % of the share that the policy reached in
    the half of the time before the change. (Without queues that share is 0.98 and more. Where targets are nearly equal and queues decide,
    nobody without sight of the queues reaches it.) ``None`` if that does not come before the next change.
    """
    counts: list[int | None] = []
    edges = [0.0, *run.changes, inf]
    decisions = [decision for decision in result.decisions if not decision.probe]
    for before, since, until in zip(edges, edges[1:], edges[2:], strict=False):
        steady = good_share([d for d in decisions if (before + since) / 2 <= d.at < since])
        after = [d for d in decisions if since <= d.at < until]
        counts.append(_first_good(after, SHARE * steady))
    return counts


def _first_good(decisions: Sequence[Decision], wanted: float) -> int | None:
    for i in range(len(decisions) - WINDOW + 1):
        if decisions[i].excess <= GOOD and good_share(decisions[i : i + WINDOW]) >= wanted:
            return decisions[i].first_tokens - decisions[0].first_tokens
    return None


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
