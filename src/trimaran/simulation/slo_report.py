"""``python -m trimaran.simulation.slo_report``: what ``cheapest`` with an SLO keeps, and what it costs, as a table.

A cheap target, small and not fast, beside a dear one that is fast and large enough for everything (:func:`cheap_and_dear`). Asked is a first
token within 1 s at the 95th percentile. Traffic changes between 0.4 and 1.6 times what the cheap target can carry; in the second scenario it
also becomes three times slower for a third of the run, so that it keeps the SLO not even without load, and is then as before.

``always dear`` and ``always cheap`` are ``ordered``; ``cheapest`` without an SLO is the same as always cheap.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trimaran.catalog import price_from_usd, tokens_nanos
from trimaran.simulation.engine import Result, simulate
from trimaran.simulation.measure import percentile
from trimaran.simulation.policies import Routing
from trimaran.simulation.workload import Run, cheap_and_dear
from trimaran.types import Slo, Usage

__all__ = ["LIMIT_S", "QUANTILE", "SCENARIOS", "Kept", "kept", "main", "table"]

FIRST_SEED = 1000
QUANTILE, LIMIT_S = 0.95, 1.0
SCENARIOS = {"load": 1.0, "load and slowing": 3.0}
"""Name and by how much the cheap target slows down."""
PRICES = (
    price_from_usd(0.15, 0.6, source="simulation", as_of="2026-11-24"),
    price_from_usd(1.0, 4.0, source="simulation", as_of="2026-11-24"),
)
"""Of the cheap and the dear one: a small and a middling model of the public list."""
_NAMES = ["cheap", "dear"]
_POLICIES: dict[str, Callable[[int], Routing]] = {
    "always dear": lambda workers: Routing(_NAMES[::-1], workers, "ordered"),
    "always cheap": lambda workers: Routing(_NAMES, workers, "ordered"),
    "fastest": lambda workers: Routing(_NAMES, workers, "fastest"),
    "cheapest with slo": lambda workers: Routing(
        _NAMES, workers, "cheapest", prices=PRICES, slo=Slo(ttft=((QUANTILE, LIMIT_S),))
    ),
}


@dataclass(slots=True)
class Kept:
    """What one policy made of one scenario, one entry for each seed."""

    scenario: str
    policy: str
    shares: list[float] = field(default_factory=list)
    """Of requests with their first token within the limit."""
    costs: list[float] = field(default_factory=list)
    """Over that of always dear."""
    to_cheap: list[float] = field(default_factory=list)
    """Share of requests that the cheap target answered."""
    probing: list[float] = field(default_factory=list)
    """Share of all attempt time."""


class _Renamed(Routing):
    """Routing whose targets stand in another order than the run's."""

    def __init__(self, routing: Routing, run: Run) -> None:
        self.__dict__.update(routing.__dict__)
        self._index = {target.name: place for place, target in enumerate(run.targets)}


def kept(seeds: Sequence[int], scenario: str, *, workers: int = 1) -> list[Kept]:
    """Run all seeds of one scenario under every policy. Deterministic."""
    out = [Kept(scenario, policy) for policy in _POLICIES]
    for seed in seeds:
        run = cheap_and_dear(seed, slowed=SCENARIOS[scenario])
        dearest = 0
        for found, make in zip(out, _POLICIES.values(), strict=True):
            result = simulate(run, _Renamed(make(workers), run), workers)
            cost = _cost(result)
            dearest = dearest or cost
            found.shares.append(sum(ttft_s <= LIMIT_S for ttft_s in result.ttfts) / len(run.arrivals))
            found.costs.append(cost / dearest)
            found.to_cheap.append(sum(target == 0 for target, _ in result.answered_by) / len(run.arrivals))
            found.probing.append(result.probe_share)
    return out


def _cost(result: Result) -> int:
    return sum(
        tokens_nanos(PRICES[target], Usage(arrival.input_tokens, arrival.output_tokens))
        for target, arrival in result.answered_by
    )


_HEAD = "scenario           policy               kept: median    p5    cost: median   p95    to the cheap one   probing: median   max"


def table(rows: Sequence[Kept]) -> str:
    """As aligned text, one line for each policy."""
    lines = [_HEAD]
    lines += [
        f"{row.scenario:18s} {row.policy:20s} {percentile(row.shares, 0.5):12.1%} {percentile(row.shares, 0.05):6.1%} "
        f"{percentile(row.costs, 0.5):13.0%} {percentile(row.costs, 0.95):6.0%} {percentile(row.to_cheap, 0.5):18.0%} "
        f"{percentile(row.probing, 0.5):17.1%} {max(row.probing):6.1%}"
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trimaran.simulation.slo_report", description=(__doc__ or "").strip()
    )
    parser.add_argument("--seeds", type=int, default=50, help="runs of each scenario (50: about half a minute)")
    parser.add_argument("--workers", type=int, default=1, help="gateway workers that share each second")
    given = parser.parse_args(arguments)
    rows: list[Kept] = []
    for scenario in SCENARIOS:
        print(f"{scenario} …", file=sys.stderr, flush=True)
        rows += kept(range(FIRST_SEED, FIRST_SEED + given.seeds), scenario, workers=given.workers)
    print(f"{given.seeds} seeds, {given.workers} worker(s), first token within {LIMIT_S:g} s asked for {QUANTILE:.0%}")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
