"""What one worker knows about each target: one mutable table, written by :func:`trimaran.routing.learn` alone.

The model of a target's times, in logarithms because times are positive, skewed and change by factors::

    log TTFT = level + size * log(1 + input_tokens / 1024) + load[bucket(in flight)] + noise
    log TPOT = tpot_level + tpot_load * log(1 + in_flight / 16) + noise

``level`` follows the present speed quickly; ``size`` and ``load`` describe the shape of the target and move slowly. Levels carry
a variance: it shrinks with samples, grows with time, and sets both the weight of the next sample and how much benefit of doubt a target
gets. A prediction is the mean of a lognormal, ``exp(m + noise / 2)``, not its median, because latencies add up as means.

``load`` is a table over the number of requests in flight, non-decreasing, because the relation is a hinge where requests queue for slots and
a slope where they share a batch, and no single curve fits both. Beyond the highest load seen it continues with a gentle slope.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, log1p

from trimaran.routing.ceiling import Ceiling, Meter
from trimaran.routing.circuit import Breaker
from trimaran.routing.events import Condition
from trimaran.routing.prefixes import PRIOR_SHARE, Table

__all__ = [
    "BUCKET",
    "BUCKETS",
    "LOAD_PRIOR",
    "LOAD_VARIANCE",
    "MAX_IN_FLIGHT",
    "MAX_TARGETS",
    "NO_SUMS",
    "PRIOR_OUTPUT_TOKENS",
    "PRIOR_TPOT_S",
    "PRIOR_TTFT_S",
    "SIZE_SCALE",
    "PeerView",
    "State",
    "Sums",
    "TargetState",
]

PRIOR_TTFT_S = 0.6
"""TTFT of a target when nothing at all is known: the middle of public chat APIs' medians (0.3 to 1.2 s)."""
PRIOR_TPOT_S = 0.015
"""TPOT likewise: about 65 tokens/s."""
PRIOR_OUTPUT_TOKENS = 200.0
"""Output tokens of a request before the first answer was seen."""
SIZE_SCALE = 1.0 / 1024.0
"""Input tokens at which prefill starts to matter beside the fixed part of TTFT."""
MAX_TARGETS = 4096
"""Targets kept; wildcard models let clients name new ones without end."""
MAX_IN_FLIGHT = 4096
"""Loads above this count as this."""


def _bucket_starts() -> list[int]:
    """Exact while small, then steps of a quarter."""
    starts = [0]
    while starts[-1] < MAX_IN_FLIGHT:
        starts.append(starts[-1] + max(1, (starts[-1] + 1) // 4))
    return starts


_STARTS = _bucket_starts()
BUCKETS = len(_STARTS)
BUCKET = bytes(max(i for i, start in enumerate(_STARTS) if start <= m) for m in range(MAX_IN_FLIGHT + 1))
"""Requests in flight → index of its load bucket."""
LOAD_PRIOR = tuple(log1p(start / 16.0) for start in _STARTS)
"""Shape of TTFT over load before anything was seen: doubled at 16 in flight. Mild, so that a provider whose capacity we cannot
see is not avoided, yet rising, so that a burst spreads over equal targets."""
LOAD_VARIANCE = 0.5
"""Variance of an entry of the load table never seen: queueing may well double a time. A surprise is shared between level and
entry in the ratio of their variances, so that a queue at a load never seen before is not taken for a slower target."""


@dataclass(slots=True)
class TargetState:
    """One target as one worker sees it. Times in seconds, logs natural."""

    breaker: Breaker = field(default_factory=Breaker)
    meter: Meter = field(default_factory=Meter)
    ceiling: Ceiling | None = None
    """Learnt from its 429s; ``None`` until there was one. ``breaker.limited`` says whether it holds."""
    in_flight: int = 0
    others: int = 0
    """Requests of other workers in flight there, as last shared."""
    waiting: int = 0
    """Sent by us and still without a first token."""
    waiting_since: float = 0.0
    """Sum of the times at which those were sent: their mean age without a list."""
    samples: int = 0
    seen_at: float = float("-inf")
    """When a time of it was last observed, here or by another worker."""

    level: float = log(PRIOR_TTFT_S)
    variance: float = 4.0
    """Of the level. The first value is so wide that the first sample decides."""
    noise: float = 0.16
    """Variance of one observation around the prediction."""
    changed_at: float = float("-inf")
    """Since when its speed is the present one, as far as detected; what was sent before tells of another speed."""
    drift: float = 0.0
    """Short-memory mean of the surprises: what tells a change from noise."""
    size: float = 0.4
    size_mean: float = 0.4
    """Mean of ``log(1 + input/1024)`` seen, so that slope and level are told apart."""
    load: list[float] = field(default_factory=lambda: list(LOAD_PRIOR))
    load_spread: list[float] = field(default_factory=lambda: [0.0] + [LOAD_VARIANCE] * (BUCKETS - 1))
    """Variance of each entry; the first is fixed, so that level and table are told apart."""
    load_top: int = 0
    """Highest bucket seen."""

    tpot_level: float = log(PRIOR_TPOT_S)
    tpot_variance: float = 4.0
    tpot_noise: float = 0.04
    tpot_drift: float = 0.0
    tpot_load: float = 0.1
    tpot_load_mean: float = 0.1
    tpot_seen_at: float = 0.0
    tpot_follows: bool = False
    """Since a detected change of TTFT no TPOT was observed: it is taken to move along."""
    whole: float = 0.0
    """Decayed share of its answers that came whole, not streamed."""
    output_tokens: float = 0.0
    """Decayed mean of output tokens; 0 before the first answer."""
    usual_s: float = 0.0
    """TTFT that was expected of it before its present row of silent failures; 0: there was none yet."""
    failed_s: float = 0.0
    """Decayed mean time that a failed attempt took."""

    prefixes: Table | None = None
    """Beginnings of prompts that it answered lately; ``None`` until a policy asks for them."""
    cache_share: float = PRIOR_SHARE
    """Share of a predicted cache hit that was reported."""
    cache_n: int = 0
    """Predicted hits seen."""

    ttft_n: int = 0
    ttft_sum: float = 0.0
    tpot_n: int = 0
    tpot_sum: float = 0.0
    """Own observations over the worker's life, size and load taken out; what is shared with others."""


Sums = tuple[int, float, int, float, int]
"""TTFT count and sum, TPOT count and sum, failures: of one worker over its life, as last heard."""
NO_SUMS: Sums = (0, 0.0, 0, 0.0, 0)


@dataclass(slots=True)
class PeerView:
    """What another worker last said: enough to take differences and to replace its load."""

    heard_at: float
    in_flight: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Sums] = field(default_factory=dict)
    rates: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Requests/s and tokens/s that it sends, by target."""


@dataclass(slots=True)
class State:
    """Everything one worker knows. ``worker`` is its number among the workers of the process tree, from 0."""

    worker: int = 0
    targets: dict[str, TargetState] = field(default_factory=dict)
    peers: dict[int, PeerView] = field(default_factory=dict)
    heard_at: float = float("-inf")
    """When another worker was last heard; loads of others count only while that is fresh."""
    conditions: dict[str, Condition] = field(default_factory=dict)
    """By key; what is well has none."""
    turn: int = 0
    """Number of live workers with a lower number: this one's place in the queue for trials."""
    workers: int = 1
    spent_s: float = 0.0
    """Decayed sum of the time that attempts took."""
    probed_s: float = 0.0
    """The part of it that went into probes."""
    probing: int = 0
    """Probes in flight."""
    changed_at: float = float("-inf")
    """When a change of speed was last detected at any target."""
