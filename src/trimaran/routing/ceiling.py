"""The rate a target bears, learnt from its 429s: what was sent lately, the ceiling under which the next requests are kept, and its growth.

Providers limit requests and tokens per minute, and say neither how much is left nor, mostly, what the limit is. A 429 says that it was hit at
the present rate. From then on a *ceiling* holds, for requests/s and for tokens/s, each with a small bucket. Over the time for which it
holds traffic back it follows a cubic curve around its *peak*, the rate at which it was last hit::

    ceiling = peak * (1 - (1 - CUT) * (1 - t / span)**3)     up to span
    ceiling = peak * (1 + RISE * (t / span - 1)**3)          from there on

So it is soon near the peak again, stays there for most of the time, and looks for more at a growing pace when the limit was raised. A
straight line would hit the limit several times as often for the same mean rate. Where a look costs more (few requests a minute, long
rests) the span is longer.

At a hit the kind nearer to its own ceiling is cut. If it was the wrong one, it holds traffic below the limit, so it grows, and the next
hit finds the other one nearer.

Several workers are under one ceiling. It joins as circuits do: the later hit wins, on a tie the lower peak and the longer growth. A worker
may send its equal share, or what the others leave, whichever is more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

__all__ = ["Bucket", "Ceiling", "Meter", "ceiling_reason", "drain", "free_at", "hit", "join", "share", "spend"]

WINDOW_S = 20.0
"""What was sent is counted over the present window and what it leaves of the one before: long enough for a rate, short beside a limit's
minute."""
LEAST = 3.0
"""Requests that were taken lately, below which a 429 is not about their rate: an account without credit, a limit on somebody else."""
UNEVEN = 1.5
"""Standard deviation of a request's tokens over their mean, about. The first ceiling for tokens is higher by the error of its measurement: too
high is found at the next hit, too low in minutes."""
CUT = 0.9
"""Share of the peak to begin with again. TCP's cubic takes 0.7; here a limit is a stated number, and nobody's queue has to drain."""
RISE = 0.3
"""The ceiling doubles 1.5 spans beyond the peak: a limit that was doubled is found in two and a half minutes."""
SPAN_S = 60.0
"""Time held back until the peak is reached again: the window of most limits."""
SPAN_REQUESTS = 120.0
"""At least so many requests in a span: one hit in each is below 1 %."""
SPAN_RESTS = 12.0
"""A span is at least so many times the rest that a hit costs."""
SPAN_CAP_S = 300.0
"""A raised limit is to be found in minutes even where a look is dear."""
EARLY = 0.25
"""A hit before this share of the span says that bursts may be too large."""
BURST_LEAST = 0.25
"""Bursts are halved down to this share by early hits, and by those that came while no ceiling held traffic back; for good, since small
ones cost little."""
SAME_S = 2.0
"""Workers that run into one limit do so within an exchange or two. It is one hit."""
BINDING = 0.8
"""A kind that ran at less than this share of its ceiling when a 429 came was not held back by it: the limit is where the traffic was."""
BURST_S = 0.5
"""Requests saved up while fewer come: a tick of the dispatcher must not lose a slot, and a limit per second must not be passed."""
BURST_TOKENS_S = 4.0
"""The same for tokens, whose limits are per minute and whose portions are uneven."""
FORGET_S = 180.0
"""Below half of the ceiling for this long, it is forgotten: nobody knows what has changed since."""
SMOOTH_S = 60.0
"""Memory of the mean that this is judged by: in thin traffic a few requests at once are no busy time."""
LOOK_S = 5.0
"""How often that is looked at."""
FLOOR = 1.0 / 60.0
"""A request a minute: no limit is below."""
SOON_S = 0.05
SPREAD_S = 0.2
"""Requests that wait for a free slot come back this much later, spread: a thousand waiting must not all ask at each slot."""
_SLACK = 1e-6
"""A moment that was computed from a level is the moment itself, but for rounding."""


@dataclass(slots=True)
class Meter:
    """What one worker sent to one target lately, less what met a 429; and what the others said they sent."""

    until: float = float("-inf")
    """End of the present window."""
    requests: float = 0.0
    tokens: float = 0.0
    last_requests: float = 0.0
    last_tokens: float = 0.0
    last_s: float = 0.0
    """Length of the window before; 0 when nothing was sent in it."""
    others_requests: float = 0.0
    others_tokens: float = 0.0
    """Requests/s and tokens/s of the other workers together."""

    def roll(self, now: float) -> None:
        """A new window begins."""
        if now < self.until + WINDOW_S:
            self.last_requests, self.last_tokens, self.last_s = self.requests, self.tokens, WINDOW_S
            self.until += WINDOW_S
        else:
            self.last_requests = self.last_tokens = self.last_s = 0.0
            self.until = now + WINDOW_S
        self.requests = self.tokens = 0.0

    def refused(self, tokens: float) -> None:
        """An attempt that was counted met a 429: the target has not taken it."""
        self.requests -= 1.0
        self.tokens -= tokens

    def taken(self, now: float, least_s: float = WINDOW_S / 4.0) -> tuple[float, float, float]:
        """Requests that the target took lately; requests/s; tokens/s: of this worker, over at least ``least_s``."""
        if now >= self.until + WINDOW_S:
            return 0.0, 0.0, 0.0
        if now >= self.until:
            kept = 1.0 - (now - self.until) / WINDOW_S
            count, tokens = kept * self.requests, kept * self.tokens
            span_s = WINDOW_S
        else:
            elapsed_s = now - (self.until - WINDOW_S)
            kept = 1.0 - elapsed_s / WINDOW_S
            count = self.requests + kept * self.last_requests
            tokens = self.tokens + kept * self.last_tokens
            span_s = max(least_s, elapsed_s + kept * self.last_s)
        return max(0.0, count), max(0.0, count) / span_s, max(0.0, tokens) / span_s


@dataclass(slots=True)
class Bucket:
    """The ceiling for one kind. Rates are units/s."""

    peak: float
    """Of all workers together, when it was last hit."""
    grown_s: float = 0.0
    """Time since then for which it held traffic back."""
    rate: float = 0.0
    """The ceiling of all workers now."""
    own: float = 0.0
    """This worker's part of it."""
    level: float = 0.0
    """Units that it may send at once, as of :attr:`Ceiling.at`; negative: a debt."""

    def grow(self, span_s: float) -> None:
        """Set the ceiling for the time it has held back."""
        x = self.grown_s / span_s - 1.0
        self.rate = self.peak * (1.0 + (1.0 - CUT if x < 0.0 else RISE) * x * x * x)


@dataclass(slots=True)
class Ceiling:
    """What one worker knows about the limits of one target. Without buckets: it was forgotten, or never learnt."""

    epoch: int = 0
    """Counts hits and forgettings; the larger is the later knowledge among workers."""
    hit_at: float = float("-inf")
    answered_at: float = float("-inf")
    """When the latest of the attempts was sent that the target took."""
    busy_at: float = 0.0
    """When traffic was last above half of it."""
    looked_at: float = float("-inf")
    mean: float = 0.0
    tokens_mean: float = 0.0
    """Requests/s and tokens/s of all workers, smoothed."""
    span_s: float = SPAN_S
    burst: float = 1.0
    """Share of the usual bursts."""
    at: float = 0.0
    """Of the buckets' levels."""
    requests: Bucket | None = field(default=None)
    tokens: Bucket | None = field(default=None)


def hit(
    ceiling: Ceiling | None,
    meter: Meter,
    sent_at: float,
    rest_s: float,
    now: float,
    turn: int,
    workers: int,
    others: bool,
) -> Ceiling | None:
    """A 429 came for an attempt sent at ``sent_at``, and the target rests for ``rest_s``. The ceiling from now on.

    What was sent before the last hit, and what was refused before anything was taken again, are that hit once more.
    """
    if ceiling is not None and (
        sent_at <= ceiling.hit_at or ceiling.answered_at <= ceiling.hit_at or (others and now - ceiling.hit_at < SAME_S)
    ):
        drain(ceiling, now + rest_s, turn, workers)
        return ceiling
    count, requests, tokens = meter.taken(now, 1.0)
    if others:
        count += meter.others_requests * WINDOW_S
        requests += meter.others_requests
        tokens += meter.others_tokens
    if count < LEAST and (ceiling is None or ceiling.requests is None):
        return ceiling
    if ceiling is None:
        ceiling = Ceiling()
    if ceiling.requests is None or ceiling.tokens is None:
        ceiling.requests = Bucket(max(requests, FLOOR))
        ceiling.tokens = Bucket(max(tokens * (1.0 + UNEVEN / sqrt(max(count, 1.0))), FLOOR))
    else:
        _lower(ceiling, count, requests, tokens, now)
    ceiling.epoch += 1
    ceiling.hit_at = ceiling.busy_at = now
    ceiling.span_s = min(max(SPAN_S, SPAN_REQUESTS / max(requests, FLOOR), SPAN_RESTS * rest_s), SPAN_CAP_S)
    ceiling.requests.grow(ceiling.span_s)
    ceiling.tokens.grow(ceiling.span_s)
    share(ceiling, meter, workers, others)
    drain(ceiling, now + rest_s, turn, workers)
    return ceiling


def drain(ceiling: Ceiling, at: float, turn: int, workers: int) -> None:
    """One request at ``at``, the end of a rest, and nothing saved up: what waits goes at the ceiling's pace, one worker after the other."""
    if ceiling.requests is not None and ceiling.tokens is not None:
        ceiling.requests.level = 1.0 - turn / workers
        ceiling.tokens.level = min(ceiling.tokens.level, 0.0)
    ceiling.at = max(ceiling.at, at)


def _lower(ceiling: Ceiling, count: float, requests: float, tokens: float, now: float) -> None:
    """Cut the kind that was nearer to its ceiling; both where neither was near, for the limit has come down to the traffic."""
    by_count, by_tokens = ceiling.requests, ceiling.tokens
    assert by_count is not None and by_tokens is not None
    passed_s = now - ceiling.at
    used, tokens_used = requests / by_count.rate, tokens / by_tokens.rate
    held = by_count.level + passed_s * by_count.own < 0.5 * (1.0 + BURST_S * ceiling.burst * by_count.own)
    tokens_held = by_tokens.level + passed_s * by_tokens.own < 0.5 * BURST_TOKENS_S * ceiling.burst * by_tokens.own
    binding = held or tokens_held or max(used, tokens_used) >= BINDING
    nearer = by_count if (held, used) >= (tokens_held, tokens_used) else by_tokens
    bursts = ceiling.burst > BURST_LEAST
    if bursts and (not binding or nearer.grown_s < EARLY * ceiling.span_s):
        ceiling.burst *= 0.5
    if binding:
        # The earlier in the span it came, the further is the peak above the limit.
        _cut(nearer, nearer.rate * (CUT + (1.0 - CUT) * min(1.0, nearer.grown_s / ceiling.span_s)))
        unsure = UNEVEN / sqrt(max(count, 1.0))
        if nearer is by_tokens:
            _bring_near(by_count, requests * (1.0 + unsure), ceiling.span_s)
        else:
            _bring_near(by_tokens, tokens * (1.0 + unsure), ceiling.span_s)
    elif not bursts:
        # Not less than half: rests within the window make the rate look lower than it was.
        _cut(by_count, max(requests, 0.5 * by_count.rate))
        _cut(by_tokens, max(tokens, 0.5 * by_tokens.rate))


def _bring_near(bucket: Bucket, rate: float, span_s: float) -> None:
    """The kind that was not cut may be the cause all the same: it comes down towards ``rate``, at which it would hold nothing back."""
    lower = max(CUT * bucket.rate, rate, FLOOR)
    if lower < bucket.rate:
        bucket.peak = lower
        bucket.grown_s = span_s


def _cut(bucket: Bucket, peak: float) -> None:
    bucket.peak = max(peak, FLOOR)
    bucket.grown_s = 0.0


def share(ceiling: Ceiling, meter: Meter, workers: int, others: bool) -> None:
    """This worker's part: an equal share, or what the others leave."""
    requests, tokens = ceiling.requests, ceiling.tokens
    if requests is None or tokens is None:
        return
    if not others:
        requests.own, tokens.own = requests.rate, tokens.rate
        return
    requests.own = max(requests.rate / workers, requests.rate - meter.others_requests)
    tokens.own = max(tokens.rate / workers, tokens.rate - meter.others_tokens)


def spend(ceiling: Ceiling, meter: Meter, tokens: float, now: float, workers: int, others: bool) -> bool:
    """An attempt is sent that is expected to use ``tokens``. ``others``: other workers were heard lately.

    False when the ceiling was forgotten.
    """
    by_count, by_tokens = ceiling.requests, ceiling.tokens
    if by_count is None or by_tokens is None:
        return False
    if now - ceiling.looked_at >= LOOK_S:
        count, rate, tokens_rate = meter.taken(now)
        # Without the one that is being sent: one request after a long silence is no rate.
        earlier = max(0.0, count - 1.0) / max(count, 1.0)
        rate *= earlier
        tokens_rate *= earlier
        if others:
            rate += meter.others_requests
            tokens_rate += meter.others_tokens
        gain = min(1.0, (now - ceiling.looked_at) / SMOOTH_S)
        ceiling.looked_at = now
        ceiling.mean += gain * (rate - ceiling.mean)
        ceiling.tokens_mean += gain * (tokens_rate - ceiling.tokens_mean)
        if 2.0 * ceiling.mean >= by_count.rate or 2.0 * ceiling.tokens_mean >= by_tokens.rate:
            ceiling.busy_at = now
        elif now - ceiling.busy_at > FORGET_S:
            ceiling.requests = ceiling.tokens = None
            ceiling.epoch += 1
            return False
    passed_s = max(0.0, now - ceiling.at)
    ceiling.at = max(now, ceiling.at)
    _draw(by_count, 1.0, 1.0 + BURST_S * ceiling.burst * by_count.own, passed_s, ceiling.span_s)
    _draw(by_tokens, tokens, BURST_TOKENS_S * ceiling.burst * by_tokens.own, passed_s, ceiling.span_s)
    share(ceiling, meter, workers, others)
    return True


def _draw(bucket: Bucket, units: float, capacity: float, passed_s: float, span_s: float) -> None:
    level = bucket.level + passed_s * bucket.own
    if level < capacity:
        bucket.grown_s += passed_s
        bucket.grow(span_s)
        bucket.level = level - units
    else:
        bucket.level = capacity - units


def free_at(ceiling: Ceiling, now: float, u: float) -> float:
    """The time at which one more may be sent; 0: now. Later than the slot itself by chance ``u``, so that not all come back at once. Pure."""
    by_count, by_tokens = ceiling.requests, ceiling.tokens
    if by_count is None or by_tokens is None:
        return 0.0
    passed_s = now - ceiling.at
    missing = 1.0 - by_count.level - passed_s * by_count.own
    debt = -by_tokens.level - passed_s * by_tokens.own
    wait_s = max(missing / by_count.own, debt / by_tokens.own)
    return now + max(wait_s, SOON_S) + SPREAD_S * u if wait_s > _SLACK else 0.0


def ceiling_reason(ceiling: Ceiling, now: float) -> str:
    """``at its learned ceiling of 4.2 requests/s, hit 12 s ago``."""
    by_count, by_tokens = ceiling.requests, ceiling.tokens
    if by_count is None or by_tokens is None:
        return ""
    passed_s = now - ceiling.at
    ago = f"hit {now - ceiling.hit_at:.0f} s ago"
    if by_count.level + passed_s * by_count.own < 1.0 - _SLACK:
        return f"at its learned ceiling of {by_count.rate:.2g} requests/s, {ago}"
    return f"at its learned ceiling of {by_tokens.rate:.0f} tokens/s, {ago}"


def join(mine: Ceiling | None, other: Ceiling) -> Ceiling:
    """Take in another worker's view. ``other`` needs epoch, hit_at, span_s, and of its buckets peak and grown_s."""
    if mine is None:
        mine = Ceiling(busy_at=other.hit_at, at=other.at)
    if other.epoch < mine.epoch:
        return mine
    if other.epoch > mine.epoch:
        mine.epoch, mine.hit_at, mine.span_s, mine.burst = other.epoch, other.hit_at, other.span_s, other.burst
        mine.busy_at = max(mine.busy_at, other.at)
        mine.requests = _adopt(mine.requests, other.requests)
        mine.tokens = _adopt(mine.tokens, other.tokens)
    elif mine.requests is None or mine.tokens is None or other.requests is None or other.tokens is None:
        # On a tie between a hit and a forgetting the cautious view is the hit.
        mine.hit_at, mine.span_s = max(mine.hit_at, other.hit_at), max(mine.span_s, other.span_s)
        mine.requests = mine.requests or other.requests
        mine.tokens = mine.tokens or other.tokens
    else:
        mine.hit_at, mine.span_s = max(mine.hit_at, other.hit_at), max(mine.span_s, other.span_s)
        mine.burst = min(mine.burst, other.burst)
        _tie(mine.requests, other.requests)
        _tie(mine.tokens, other.tokens)
    for bucket in (mine.requests, mine.tokens):
        if bucket is not None:
            bucket.grow(mine.span_s)
    return mine


def _adopt(mine: Bucket | None, other: Bucket | None) -> Bucket | None:
    if other is not None and mine is not None:
        other.level = mine.level
    return other


def _tie(mine: Bucket, other: Bucket) -> None:
    mine.peak = min(mine.peak, other.peak)
    mine.grown_s = max(mine.grown_s, other.grown_s)
