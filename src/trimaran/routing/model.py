"""The estimates: how an observed time moves a target's levels and shapes, and what they predict.

A first token moves the target's level by a Kalman gain: the level's variance over itself plus the noise. The gain settles near 0.12 under
steady traffic, so a level remembers about eight answers; after silence the variance has grown and the first answers count for more.

A *change* is told from noise in two ways. A mean of the last two or three surprises that leaves its band says that the speed has changed:
the level moves there at once and becomes uncertain again. And an answer far faster than believed is taken at its word at
once, because nothing makes a slow target answer fast, while a slow answer of a fast target is everyday. A change of TTFT moves TPOT
by most of the same factor until its own observations come in: they arrive later, and speed is mostly common to both.
"""

from __future__ import annotations

from math import exp, log, log1p

from trimaran.routing.state import BUCKET, LOAD_PRIOR, LOAD_VARIANCE, MAX_IN_FLIGHT, SIZE_SCALE, State, TargetState

__all__ = ["hear_tpot", "hear_ttft", "observe_tpot", "observe_ttft", "observe_whole", "recovered", "ttft_s_of"]

STEP = 0.02
"""Growth of a level's variance at each sample, in units of the noise: steady gain 0.13, a memory of about eight answers."""
GROWTH_PER_S = 0.0007
"""Growth of a level's variance with time: after a minute without news, speed may be off by 20 % (one deviation)."""
VARIANCE_CAP = 1.0
"""A level is never more uncertain than a factor e (one deviation)."""
DRIFT_GAIN = 0.4
"""Memory of the change detector: two to three surprises."""
DRIFT_SCALE = 1.5
"""A drift of two surprises has seen 64 % of a change; never beyond the last surprise, though."""
DRIFT_UP = 1.9
"""Band of the detector in noise variances, upward: 2.8 deviations of the drift (whose own is half the noise's)."""
DRIFT_DOWN = 1.5
"""The same downward, 2.4 deviations: tighter, because fast answers are not luck."""
PROOF = 9.0
"""An answer faster than believed by more than three deviations is believed at once."""
COMMON = 0.9
"""Share of a detected change of TTFT that TPOT is taken to have made too."""
LOAD_FLOOR = LOAD_VARIANCE / 64.0
"""An entry's variance shrinks no further: its steady gain is then about 0.04."""
NOISE_FLOOR = 1e-4
"""Added at each sample: a target that never varies is still believed to vary by 5 %, or each breath of air would be news."""
NOISE_CAP = 1.0
"""A factor e (one deviation). Beyond it the mean of a lognormal is ruled by answers that never come."""
SLOPE_CAP = 1.5
"""TTFT in proportion to the input, and half as much again."""
TTFT_MIN_S = 1e-4
TPOT_MIN_S = 1e-6
"""Shorter times are the clock's resolution, or a whole answer in one piece."""
BEYOND = 3.0
"""Slope over load beyond the highest load seen, in units of the prior's: a load that was never tried is entered with care."""
SHAPE_GAIN = 0.04
"""Steady gain of the size slope and of TPOT's slope over load."""


def ttft_s_of(target: TargetState, input_tokens: int, in_flight: int) -> float:
    """Expected TTFT in seconds of a request of that size with that many others in flight."""
    bucket = BUCKET[in_flight if in_flight < MAX_IN_FLIGHT else MAX_IN_FLIGHT]
    top = target.load_top
    crowd = target.load[bucket] if bucket <= top else target.load[top] + BEYOND * (LOAD_PRIOR[bucket] - LOAD_PRIOR[top])
    return exp(target.level + 0.5 * target.noise + target.size * log1p(input_tokens * SIZE_SCALE) + crowd)


def observe_ttft(
    state: State, target: TargetState, ttft_s: float, input_tokens: int, in_flight: int, now: float
) -> None:
    """A first token came ``ttft_s`` after sending, with ``in_flight`` others there."""
    size = log1p(input_tokens * SIZE_SCALE)
    bucket = BUCKET[in_flight if in_flight < MAX_IN_FLIGHT else MAX_IN_FLIGHT]
    if bucket > target.load_top:
        _extend(target, bucket)
    flat = log(ttft_s if ttft_s > TTFT_MIN_S else TTFT_MIN_S) - target.size * size - target.load[bucket]
    _move_ttft(state, target, flat, size, bucket, now, now - ttft_s)


def observe_whole(
    state: State, target: TargetState, total_s: float, tokens: int, input_tokens: int, in_flight: int, now: float
) -> None:
    """An answer of ``tokens`` came in one piece. Which part of its time was spent where does not show, so the first token and each other are
    taken to be late, or early, by the same factor."""
    size = log1p(input_tokens * SIZE_SCALE)
    bucket = BUCKET[in_flight if in_flight < MAX_IN_FLIGHT else MAX_IN_FLIGHT]
    if bucket > target.load_top:
        _extend(target, bucket)
    level = target.level + 0.5 * target.noise
    tpot_level = target.tpot_level + 0.5 * target.tpot_noise
    expected_s = exp(level + target.size * size + target.load[bucket])
    if tokens > 1:
        expected_s += (tokens - 1) * exp(tpot_level + target.tpot_load * LOAD_PRIOR[bucket])
    factor = log((total_s if total_s > TTFT_MIN_S else TTFT_MIN_S) / expected_s)
    _move_ttft(state, target, level + factor, size, bucket, now, now - total_s)
    if tokens > 3:
        _move_tpot(state, target, tpot_level + factor, LOAD_PRIOR[bucket], now)


def _move_ttft(
    state: State, target: TargetState, flat: float, size: float, bucket: int, now: float, sent_at: float
) -> None:
    """``flat``: log TTFT with size and load taken out. Longer than most functions: it runs for each request."""
    surprise = flat - target.level
    target.ttft_n += 1
    target.ttft_sum += flat
    noise = target.noise
    samples = target.samples
    target.samples = samples + 1
    variance = target.variance + STEP * noise
    if samples:
        variance += GROWTH_PER_S * (now - target.seen_at)
        if variance > VARIANCE_CAP:
            variance = VARIANCE_CAP
    target.seen_at = now
    spread = target.load_spread[bucket]
    total = variance + spread + noise
    square = surprise * surprise
    drift = target.drift
    drift += DRIFT_GAIN * (surprise - surprise * spread / total - drift)
    if samples > 2 and (
        drift * drift > (DRIFT_UP if drift > 0.0 else DRIFT_DOWN) * noise or (surprise < 0.0 and square > PROOF * total)
    ):
        shift, variance = _changed(state, target, surprise, drift, variance + noise, now, sent_at)
        surprise -= shift
        drift = 0.0
        total = variance + spread + noise
    share = surprise / total
    gain = variance * share
    target.level += gain
    target.variance = variance - variance * variance / total
    target.drift = drift
    if target.tpot_follows:
        target.tpot_level += COMMON * gain
    if spread:
        load = target.load
        entry = load[bucket]
        target.load_spread[bucket] = (
            spread * LOAD_VARIANCE / (spread + LOAD_VARIANCE) if spread > LOAD_FLOOR else spread
        )
        entry += spread * share
        if entry > load[bucket - 1] and (bucket == target.load_top or entry < load[bucket + 1]):
            load[bucket] = entry
        else:
            _shape_load(target, bucket, entry)
    if square < 9.0 * noise:
        offset = size - target.size_mean
        target.size_mean += 0.05 * offset
        slope = target.size + SHAPE_GAIN * noise * share * offset
        target.size = slope if 0.0 < slope < SLOPE_CAP else min(max(slope, 0.0), SLOPE_CAP)
        target.noise = noise + 0.04 * (square - noise) + NOISE_FLOOR
    else:
        target.noise = min(1.32 * noise, NOISE_CAP)


def _extend(target: TargetState, bucket: int) -> None:
    """The load has never been this high: continue the table from its top with the prior's slope."""
    load = target.load
    top = target.load_top
    for higher in range(top + 1, bucket + 1):
        load[higher] = load[top] + BEYOND * (LOAD_PRIOR[higher] - LOAD_PRIOR[top])
    target.load_top = bucket


def _shape_load(target: TargetState, bucket: int, entry: float) -> None:
    """Set one entry of the load table; its neighbours follow where the table would fall."""
    load = target.load
    load[bucket] = entry = entry if entry > 0.0 else 0.0
    lower = bucket - 1
    while lower > 0 and load[lower] > entry:
        load[lower] = entry
        lower -= 1
    higher = bucket + 1
    while higher <= target.load_top and load[higher] < entry:
        load[higher] = entry
        higher += 1


def _changed(
    state: State, target: TargetState, surprise: float, drift: float, spread: float, now: float, since: float
) -> tuple[float, float]:
    """The speed has changed: move the levels. Returns by how much, and the level's new variance."""
    noise = target.noise
    if surprise < 0.0 and surprise * surprise > PROOF * spread:
        shift = 0.8 * surprise
        variance = noise
    else:
        shift = DRIFT_SCALE * drift
        variance = 0.5 * noise
        if shift * shift > surprise * surprise:
            shift = surprise
    target.level += shift
    target.tpot_level += COMMON * shift
    target.tpot_variance = max(target.tpot_variance, 0.1 * shift * shift, target.tpot_noise)
    target.tpot_drift = 0.0
    target.tpot_follows = True
    target.changed_at = since
    if shift > 0.0:
        state.changed_at = now
    return shift, variance


def recovered(state: State, target: TargetState, now: float) -> None:
    """Its circuit has closed. What was known of its times is from before it broke; that it is back is news, worth a look by each worker."""
    state.changed_at = now
    target.variance = VARIANCE_CAP
    target.tpot_variance = VARIANCE_CAP
    target.drift = 0.0
    target.failed_s = 0.0


def observe_tpot(state: State, target: TargetState, tpot_s: float, in_flight: int, now: float) -> None:
    """An answer's tokens after the first came at ``tpot_s`` each, with ``in_flight`` others there when it was sent."""
    crowd = LOAD_PRIOR[BUCKET[in_flight if in_flight < MAX_IN_FLIGHT else MAX_IN_FLIGHT]]
    flat = log(tpot_s if tpot_s > TPOT_MIN_S else TPOT_MIN_S) - target.tpot_load * crowd
    _move_tpot(state, target, flat, crowd, now)


def _move_tpot(state: State, target: TargetState, flat: float, crowd: float, now: float) -> None:
    """``flat``: log TPOT with load taken out."""
    surprise = flat - target.tpot_level
    samples = target.tpot_n
    target.tpot_n = samples + 1
    target.tpot_sum += flat
    noise = target.tpot_noise
    variance = target.tpot_variance + STEP * noise
    if samples:
        variance += GROWTH_PER_S * (now - target.tpot_seen_at)
        if variance > VARIANCE_CAP:
            variance = VARIANCE_CAP
    target.tpot_seen_at = now
    target.tpot_follows = False
    square = surprise * surprise
    drift = target.tpot_drift
    drift += DRIFT_GAIN * (surprise - drift)
    if drift * drift > DRIFT_UP * noise and samples > 2:
        target.tpot_level += drift
        surprise -= drift
        if drift > 0.0:
            state.changed_at = now
        drift = 0.0
        variance = 0.5 * noise
    target.tpot_drift = drift
    share = surprise / (variance + noise)
    target.tpot_level += variance * share
    target.tpot_variance = variance * noise / (variance + noise)
    if square < 9.0 * noise:
        offset = crowd - target.tpot_load_mean
        target.tpot_load_mean += 0.05 * offset
        slope = target.tpot_load + SHAPE_GAIN * noise * share * offset
        target.tpot_load = slope if 0.0 < slope < SLOPE_CAP else min(max(slope, 0.0), SLOPE_CAP)
        target.tpot_noise = noise + 0.04 * (square - noise) + NOISE_FLOOR
    else:
        target.tpot_noise = min(1.32 * noise, NOISE_CAP)


def hear_ttft(target: TargetState, mean: float, count: int, seen_at: float) -> None:
    """Another worker observed ``count`` first tokens with that mean log (size and load taken out), the last at ``seen_at``."""
    noise = target.noise
    variance = target.variance
    if seen_at > target.seen_at:
        if target.samples:
            variance += GROWTH_PER_S * (seen_at - target.seen_at)
        target.seen_at = seen_at
    variance = min(VARIANCE_CAP if target.samples else variance, variance + STEP * noise * count)
    surprise = mean - target.level
    spread = noise / count
    if target.samples and surprise * surprise > 6.0 * (variance + spread) and (count > 1 or surprise < 0.0):
        variance = max(variance, surprise * surprise)
        target.tpot_level += COMMON * surprise
        target.tpot_variance = max(target.tpot_variance, 0.1 * surprise * surprise)
    gain = variance / (variance + spread)
    target.level += gain * surprise
    target.variance = max(variance - gain * variance, STEP * noise)
    target.samples += count


def hear_tpot(target: TargetState, mean: float, count: int) -> None:
    """The same for TPOT."""
    variance = target.tpot_variance + STEP * target.tpot_noise * count
    gain = variance / (variance + target.tpot_noise / count)
    target.tpot_level += gain * (mean - target.tpot_level)
    target.tpot_variance = max(variance - gain * variance, STEP * target.tpot_noise)
