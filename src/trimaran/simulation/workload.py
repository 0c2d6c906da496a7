"""What happens in a simulated run before any decision: targets, arrivals, and every random draw.

A :class:`Run` is drawn once from a seed and then given to each policy, so that all policies meet the same arrivals and, for each pair of
request and target, the same service draws (common random numbers). What differs between two results is then the policy alone.

Assumptions, chosen to be plain rather than kind:

- Arrivals are Poisson. Input and output lengths are lognormal (medians 500 and 100 tokens, sigma 1.0 and 0.6). The output length is a
  property of the request and is known to no policy in advance.
- A target has ``slots`` servers and one first-come queue without limit. A request waits for a slot, then takes
  ``speed * (ttft_s + ttft_per_token_s * input)`` to the first token and ``speed * tpot_s`` for each further one, both times a
  lognormal factor of mean 1 (sigma 0.4 and 0.2), drawn when service begins. The slot is held to the end.
- With ``batch_slope`` > 0, decoding slows down by that share for each other busy slot, as in continuous batching.
- The waiting is part of the observed TTFT. Policies see sendings, first tokens and ends at the times they happen, nothing else: not the
  queue, the speed or the number of slots.
- ``load`` is the arrival rate over the capacity of *all* targets together at the speeds of the start. At load 0.7 the
  fastest target alone cannot carry the traffic if the ratio of speeds is below 2.3.
- Speeds change at one instant and without announcement; requests in service keep the speed they began with.
- Where a run lets requests wait, one that no target may take comes back when routing said that one may, as long as it is younger than
  that time; otherwise it ends without an answer.
- A cancelled attempt still holds its slot to the end that was drawn for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from random import Random

from trimaran.simulation.limits import RateLimit

__all__ = ["Arrival", "Fault", "Run", "TargetModel", "cheap_and_dear", "steady", "two_targets"]

SIGMA_TTFT = 0.4
SIGMA_TPOT = 0.2


@dataclass(slots=True, frozen=True)
class Fault:
    """From ``start_s`` to ``end_s``, the share ``probability`` of attempts fails: ``error`` (500 after 50 ms), ``refuse`` (nothing
    is sent), ``silent`` (no answer ever), ``limit`` (429 with Retry-After)."""

    start_s: float
    end_s: float
    kind: str
    probability: float = 1.0
    retry_after_s: float | None = None


@dataclass(slots=True)
class TargetModel:
    """How one simulated target behaves. ``speeds`` are (from time, factor on all times), the first from 0."""

    name: str
    speeds: list[tuple[float, float]]
    ttft_s: float = 0.25
    ttft_per_token_s: float = 0.0001
    tpot_s: float = 0.01
    slots: int = 8
    batch_slope: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    limits: list[RateLimit] = field(default_factory=list)
    """By time, each in force until the next."""

    def speed(self, now: float) -> float:
        """The factor in force at ``now``."""
        factor = self.speeds[0][1]
        for since, value in self.speeds:
            if since > now:
                break
            factor = value
        return factor

    def fault(self, now: float) -> Fault | None:
        """The fault in force at ``now``, if any."""
        for fault in self.faults:
            if fault.start_s <= now < fault.end_s:
                return fault
        return None


@dataclass(slots=True)
class Arrival:
    """One request, with what it will draw at each target: TTFT factor, TPOT factor, and a uniform for faults."""

    at: float
    input_tokens: int
    output_tokens: int
    draws: list[tuple[float, float, float]]
    u: float
    worker: float


@dataclass(slots=True)
class Run:
    """Targets, arrivals and the times at which the world changes."""

    targets: list[TargetModel]
    arrivals: list[Arrival]
    mean_output: float
    changes: list[float] = field(default_factory=list)
    ttft_limit_s: float = 60.0
    wait_s: float = 0.0
    """How long after its arrival a request may still be waiting for a target that rests; 0: it does not wait."""


def two_targets(
    seed: int,
    ratio: float,
    load: float,
    *,
    requests: int = 2100,
    swaps: int = 2,
    slots: int = 8,
    batch_slope: float = 0.0,
    count: int = 2,
) -> Run:
    """One fast target, the others ``ratio`` times slower; the fast place moves on ``swaps`` times, at equal distances.

    The seed also decides which target is fast first.
    """
    random = Random(seed)
    sizes = _sizes(random, requests)
    mean_input = sum(size[0] for size in sizes) / requests
    mean_output = sum(size[1] for size in sizes) / requests
    first = random.randrange(count)
    targets = [TargetModel(f"t{i}", [], slots=slots, batch_slope=batch_slope) for i in range(count)]
    model = targets[0]
    crowd = 1.0 + batch_slope * (slots - 1)
    unit_s = model.ttft_s + model.ttft_per_token_s * mean_input + (mean_output - 1) * model.tpot_s * crowd
    rate = load * slots / unit_s * (1.0 + (count - 1) / ratio)
    changes = [requests / rate * (i + 1) / (swaps + 1) for i in range(swaps)]
    for i, target in enumerate(targets):
        for k, since in enumerate([0.0, *changes]):
            target.speeds.append((since, 1.0 if (first + k) % count == i else ratio))
    arrivals = []
    now = 0.0
    for input_tokens, output_tokens in sizes:
        now += random.expovariate(rate)
        arrivals.append(_arrival(random, now, input_tokens, output_tokens, count))
    return Run(targets, arrivals, mean_output, changes)


def cheap_and_dear(
    seed: int,
    *,
    requests: int = 1500,
    slots: int = 8,
    quiet: float = 0.4,
    busy: float = 1.6,
    slowed: float = 1.0,
) -> Run:
    """A target that is cheap, not fast and small, and one that is fast and large enough for everything.

    Arrivals change between ``quiet`` and ``busy``, shares of the *cheap* target's capacity, three times each, for equal numbers of requests. In
    the middle third of the run the cheap one is ``slowed`` times slower.
    """
    random = Random(seed)
    sizes = _sizes(random, requests)
    mean_input = sum(size[0] for size in sizes) / requests
    mean_output = sum(size[1] for size in sizes) / requests
    cheap = TargetModel("cheap", [], ttft_s=0.35, tpot_s=0.012, slots=slots)
    dear = TargetModel("dear", [(0.0, 1.0)], ttft_s=0.2, tpot_s=0.006, slots=16 * slots)
    unit_s = cheap.ttft_s + cheap.ttft_per_token_s * mean_input + (mean_output - 1) * cheap.tpot_s
    arrivals = []
    now = 0.0
    phase = requests / 6
    for number, (input_tokens, output_tokens) in enumerate(sizes):
        now += random.expovariate((busy if int(number / phase) % 2 else quiet) * slots / unit_s)
        arrivals.append(_arrival(random, now, input_tokens, output_tokens, 2))
    changes = [arrivals[requests // 3].at, arrivals[2 * requests // 3].at] if slowed != 1.0 else []
    cheap.speeds = [(since, slowed if place == 1 else 1.0) for place, since in enumerate([0.0, *changes])]
    return Run([cheap, dear], arrivals, mean_output, changes)


def steady(
    seed: int,
    targets: list[TargetModel],
    phases: Sequence[tuple[float, float]],
    *,
    wait_s: float = 0.0,
    ttft_limit_s: float = 10.0,
) -> Run:
    """Arrivals at ``targets`` as given. ``phases``: (seconds, requests/s), one after the other; at 0 requests/s nothing comes."""
    random = Random(seed)
    times: list[float] = []
    begin = 0.0
    for length_s, rate in phases:
        now = begin
        while rate > 0.0:
            now += random.expovariate(rate)
            if now >= begin + length_s:
                break
            times.append(now)
        begin += length_s
    sizes = _sizes(random, len(times))
    count = len(targets)
    arrivals = [_arrival(random, at, *size, count) for at, size in zip(times, sizes, strict=True)]
    mean_output = sum(size[1] for size in sizes) / len(sizes)
    return Run(targets, arrivals, mean_output, ttft_limit_s=ttft_limit_s, wait_s=wait_s)


def _sizes(random: Random, requests: int) -> list[tuple[int, int]]:
    """Input and output tokens of each request."""
    return [
        (
            min(32000, max(10, int(500 * random.lognormvariate(0.0, 1.0)))),
            min(2000, max(1, int(100 * random.lognormvariate(0.0, 0.6)))),
        )
        for _ in range(requests)
    ]


def _arrival(random: Random, now: float, input_tokens: int, output_tokens: int, count: int) -> Arrival:
    draws = [
        (
            exp(random.gauss(0.0, SIGMA_TTFT) - SIGMA_TTFT**2 / 2),
            exp(random.gauss(0.0, SIGMA_TPOT) - SIGMA_TPOT**2 / 2),
            random.random(),
        )
        for _ in range(count)
    ]
    return Arrival(now, input_tokens, output_tokens, draws, random.random(), random.random())
