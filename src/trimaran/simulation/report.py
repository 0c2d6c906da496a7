"""``python -m trimaran.simulation.report``: the figures of merit of ``fastest`` as a table.

For each ratio of speeds and each load: many seeded runs of 2,100 requests over two targets whose speeds swap twice, each run given to the
routing, to the oracle and to "mean of the last five". Seeds start at 1000, apart from those that the constants were tried on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from trimaran.simulation.engine import simulate
from trimaran.simulation.measure import adaptation, percentile, regret
from trimaran.simulation.workload import two_targets

__all__ = ["Figures", "figures", "main", "table"]

FIRST_SEED = 1000
RATIOS = (1.5, 3.0, 10.0)
LOADS = (0.3, 0.7)


@dataclass(slots=True)
class Figures:
    """What one ratio and load came to, one entry for each seed (``adapted``: for each change)."""

    ratio: float
    load: float
    workers: int
    regrets: list[float] = field(default_factory=list)
    probe_shares: list[float] = field(default_factory=list)
    adapted: list[int | None] = field(default_factory=list)
    rival_regrets: list[float] = field(default_factory=list)
    wins: int = 0

    @property
    def adapted_counts(self) -> list[float]:
        """First tokens until adapted; never counts as infinitely many."""
        return [float("inf") if count is None else count for count in self.adapted]

    def adapted_within(self, first_tokens: int) -> float:
        """Share of changes adapted to within that many observed first tokens."""
        return sum(count <= first_tokens for count in self.adapted_counts) / len(self.adapted)


def figures(
    seeds: Sequence[int], ratio: float, load: float, *, workers: int = 1, batch_slope: float = 0.0, whole: bool = False
) -> Figures:
    """Run all seeds of one combination. Deterministic."""
    out = Figures(ratio, load, workers)
    for seed in seeds:
        run = two_targets(seed, ratio, load, batch_slope=batch_slope)
        oracle = simulate(run, "oracle")
        rival = simulate(run, "mean-of-5")
        result = simulate(run, "fastest-whole" if whole else "fastest", workers)
        out.regrets.append(regret(result, oracle))
        out.rival_regrets.append(regret(rival, oracle))
        out.wins += result.mean_s < rival.mean_s
        out.probe_shares.append(result.probe_share)
        out.adapted += adaptation(run, result)
    return out


_HEAD = (
    "ratio  load   regret: median    p95    max   probing: median   max   "
    "adapted, first tokens: median  p95  within 20   mean-of-5 regret: median   beaten in"
)


def table(rows: Sequence[Figures]) -> str:
    """The figures as aligned text, one line for each combination."""
    lines = [_HEAD]
    lines += [
        f"{row.ratio:5.1f}  {row.load:4.1f}   {percentile(row.regrets, 0.5):14.1%} {percentile(row.regrets, 0.95):6.1%} "
        f"{max(row.regrets):6.1%}   {percentile(row.probe_shares, 0.5):15.1%} {max(row.probe_shares):5.1%}   "
        f"{percentile(row.adapted_counts, 0.5):29.0f} {percentile(row.adapted_counts, 0.95):4.0f} "
        f"{row.adapted_within(20):10.0%}   {percentile(row.rival_regrets, 0.5):24.1%}   "
        f"{row.wins:4d}/{len(row.regrets)}"
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trimaran.simulation.report", description=(__doc__ or "").strip())
    parser.add_argument("--seeds", type=int, default=200, help="runs of each combination (200: about three minutes)")
    parser.add_argument("--workers", type=int, default=1, help="gateway workers that share each second")
    parser.add_argument("--batch-slope", type=float, default=0.0, help="slowing of decoding for each other busy slot")
    parser.add_argument("--whole", action="store_true", help="answers are not streamed")
    given = parser.parse_args(arguments)
    seeds = range(FIRST_SEED, FIRST_SEED + given.seeds)
    rows = []
    for ratio in RATIOS:
        for load in LOADS:
            print(f"ratio {ratio:g}, load {load:g} …", file=sys.stderr, flush=True)
            rows.append(
                figures(seeds, ratio, load, workers=given.workers, batch_slope=given.batch_slope, whole=given.whole)
            )
    kind = "not streamed" if given.whole else "streamed"
    print(f"{given.seeds} seeds, {given.workers} worker(s), batch slope {given.batch_slope:g}, {kind}")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
