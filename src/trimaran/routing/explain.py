"""Why a request went where it went: the order as a table, for ``ask --explain`` and for traces."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trimaran.routing.events import Choice

__all__ = ["ExplainRow", "explain"]


class ExplainRow(msgspec.Struct, frozen=True):
    """One target's line. Durations in seconds, rounded to a tenth of a millisecond."""

    place: int
    """1 is tried first; 0: rejected."""
    target: str
    ttft_s: float
    tpot_s: float
    total_s: float
    in_flight: int
    circuit: str
    samples: int
    probe: bool
    reason: str
    cost_usd: float | None = None
    """Predicted; ``None`` is unknown."""
    meets_slo: bool | None = None
    """Whether it is predicted to; ``None``: there is no SLO, or the target was never seen."""


def explain(choices: Sequence[Choice]) -> list[ExplainRow]:
    """The order as rows, in order."""
    return [
        ExplainRow(
            place=place if choice.admitted else 0,
            target=choice.target,
            ttft_s=round(choice.predicted_ttft_s, 4),
            tpot_s=round(choice.predicted_tpot_s, 6),
            total_s=round(choice.predicted_total_s, 4),
            in_flight=choice.in_flight,
            circuit=choice.circuit,
            samples=choice.samples,
            probe=choice.probe,
            reason=choice.reason,
            cost_usd=None if choice.predicted_cost_nanos is None else choice.predicted_cost_nanos / 1e9,
            meets_slo=choice.meets_slo,
        )
        for place, choice in enumerate(choices, start=1)
    ]
