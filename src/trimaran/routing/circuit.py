"""When a target may be sent to: its circuit, its own Retry-After, and the ramp after a cold start or a recovery.

The circuit's transitions are one table, :data:`TRANSITIONS`. An attempt is evidence only about the state it was sent in: what
was sent before the circuit last opened or closed says nothing (each function that brings evidence takes ``sent_at``),
so that stragglers neither close an open circuit nor reopen a recovered one.

- It opens after :data:`TRIP_CONSECUTIVE` failures in a row, or when the decayed failure rate reaches :data:`TRIP_RATE`; at once when
  the target refuses our credential or does not know the model, because nothing but an operator mends that.
- It stays open for :data:`OPEN_BASE_S`, doubled at each reopening up to a cap, and never shorter than a Retry-After. Nor is it open for longer
  than :data:`OUTAGE_SHARE` of the outage so far (or :data:`OPEN_SHORT_S`): a target that comes and goes is back soon after it comes.
- Where it opened because the credential was refused, it closes when another credential has come: what was known is of the old one.
- When that time has passed, one trial is admitted. The time passing is no event: :func:`admission` reads it from the clock,
  and sending the trial makes it so.
- A 429 is no breakage: the target rests for its Retry-After and the circuit stays as it was.
- A target that is new or has just closed may have one request in flight; each answer doubles that (:data:`RAMP_DONE` ends it). What is
  beyond it goes elsewhere. Where there is no elsewhere, a new target takes it all the same; one that has rested or recovered does not
  (:func:`held_back`), or all that waited for it would be sent at one instant.

Workers agree through :func:`merge`: the later ``epoch`` wins, on a tie the more cautious view. That is a join, so the order
and the repetition of exchanges do not matter. Workers take turns at the trial (``turn``), so that N of them do not send N.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trimaran.errors import CredentialRejected, RateLimited, Rejected, TargetNotFound, TrimaranError

__all__ = [
    "OPEN_BASE_S",
    "OPEN_CAP_S",
    "OPEN_SHORT_S",
    "OPERATOR_BASE_S",
    "OPERATOR_CAP_S",
    "QUIET_RATE",
    "RAMP_DONE",
    "REST_BASE_S",
    "TRANSITIONS",
    "TRIP_CONSECUTIVE",
    "TRIP_RATE",
    "TURN_S",
    "Admission",
    "Breaker",
    "Circuit",
    "Signal",
    "Verdict",
    "absolved",
    "admission",
    "began",
    "ended",
    "failed",
    "heard",
    "held_back",
    "merge",
    "refused",
    "rest",
    "trial_lost",
    "trial_sent",
    "verdict_of",
]

TRIP_CONSECUTIVE = 3
"""Failures in a row. Three, because one or two are what a single dropped connection pool or deploy costs."""
TRIP_RATE = 0.5
"""Decayed share of failures. At one half, a retry elsewhere is as likely needed as not."""
TRIP_RATE_EVENTS = 10
"""Outcomes needed before the rate counts."""
RATE_GAIN = 0.1
"""Weight of one outcome in the failure rate: a memory of about ten."""
RECOVERED_RATE = 0.2
"""Failure rate assumed at most when a circuit closes: the trial counts for more than what came before it."""
QUIET_RATE = 0.005
"""Below this the failure rate no longer moves a decision."""
OPEN_BASE_S = 2.0
"""First open time: longer than a reconnect, shorter than anybody's patience with an idle target."""
OPEN_CAP_S = 60.0
"""Longest open time of a failing target; bounds how late a recovery is seen."""
OPEN_SHORT_S = 3.0
OUTAGE_SHARE = 0.25
OUTAGE_SHORT_S = 10.0
HELD_S = 12.0
"""Open for no longer than the first, or this share of the outage beyond its first ten seconds: after a short outage a recovery is seen within
5 s, the turn and the trial included, later in proportion to the outage. It costs a few trials more in the first minutes. What did not hold
for :data:`HELD_S` is the same outage: a target that fails half of the time is to be left alone for long."""
OPERATOR_BASE_S = 30.0
OPERATOR_CAP_S = 600.0
"""The same where an operator must act: keys and deployments change in minutes, not in seconds."""
REST_BASE_S = 1.0
REST_CAP_S = 30.0
"""Rest after a 429 that names no time: doubled at each one in a row."""
RETRY_AFTER_CAP_S = 3600.0
"""No target silences itself for longer than this."""
RAMP_STEP_S = 2.0
"""A lone target's ramp doubles with this time, too: long answers must not hold back what waits."""
RAMP_WAIT_S = 0.1
"""Held back by a ramp: asked again after one to three times this. A first token takes about as long."""
RAMP_DONE = 64
"""In flight at which the ramp ends: six answers, each doubling."""
FORGET_S = 60.0
"""Closed for this long, a target has lived down its earlier openings."""
TURN_S = 1.25
"""Distance of the workers' turns at a trial: the exchange period of one second, with a margin."""
REST_NEWS_S = 0.5
"""Another worker's rest is a new one if it ends this much later than the one that is known: what passes on the way is less."""
TRIAL_LOST_S = 120.0
"""A trial whose end was never reported stops blocking the next one."""
PEER_TRIAL_S = 2.5
"""How long another worker's word that a trial is under way holds: two exchanges."""
_EPSILON_S = 1e-6
"""A moment that was computed back from a duration is the moment itself, but for rounding."""


class Circuit(enum.IntEnum):
    """Ordered by caution."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Signal(enum.Enum):
    """What can happen to a circuit."""

    ANSWERED = "answered"
    FAILED = "failed"
    TRIPPED = "tripped"
    """A failure that reached a threshold, or that only an operator mends."""
    TRIAL_SENT = "trial sent"
    ABSOLVED = "absolved"
    """What it was opened for is gone."""


TRANSITIONS: dict[tuple[Circuit, Signal], Circuit] = {
    (Circuit.CLOSED, Signal.ANSWERED): Circuit.CLOSED,
    (Circuit.CLOSED, Signal.FAILED): Circuit.CLOSED,
    (Circuit.CLOSED, Signal.TRIPPED): Circuit.OPEN,
    (Circuit.CLOSED, Signal.TRIAL_SENT): Circuit.CLOSED,
    (Circuit.CLOSED, Signal.ABSOLVED): Circuit.CLOSED,
    (Circuit.OPEN, Signal.ANSWERED): Circuit.CLOSED,
    (Circuit.OPEN, Signal.FAILED): Circuit.OPEN,
    (Circuit.OPEN, Signal.TRIPPED): Circuit.OPEN,
    (Circuit.OPEN, Signal.TRIAL_SENT): Circuit.HALF_OPEN,
    (Circuit.OPEN, Signal.ABSOLVED): Circuit.CLOSED,
    (Circuit.HALF_OPEN, Signal.ANSWERED): Circuit.CLOSED,
    (Circuit.HALF_OPEN, Signal.FAILED): Circuit.OPEN,
    (Circuit.HALF_OPEN, Signal.TRIPPED): Circuit.OPEN,
    (Circuit.HALF_OPEN, Signal.TRIAL_SENT): Circuit.HALF_OPEN,
    (Circuit.HALF_OPEN, Signal.ABSOLVED): Circuit.CLOSED,
}


@dataclass(slots=True)
class Breaker:
    """The state of one target's admission in one worker."""

    circuit: Circuit = Circuit.CLOSED
    epoch: int = 0
    """Counts openings and closings; the larger is the later knowledge among workers."""
    changed_at: float = float("-inf")
    until: float = 0.0
    """Monotonic time from which a trial is due while open."""
    down_at: float = float("-inf")
    """When the present outage began, or the last one."""
    account: str = ""
    """Whose credential was refused when it opened; empty: it opened for something else."""
    openings: int = 0
    """In a row, without :data:`FORGET_S` of being closed between them."""
    consecutive: int = 0
    rate: float = 0.0
    """Decayed share of failures, 0 to 1."""
    outcomes: int = 0
    failures: int = 0
    """This worker's over its life; what is shared with others."""
    outcome_at: float = float("-inf")
    """When one was last seen, here or by another worker."""
    trial_until: float = 0.0
    """A trial, ours or another worker's, is under way until then at the latest."""
    own_trial: bool = False
    rest_until: float = 0.0
    rested_at: float = float("-inf")
    """When the last rest was asked for."""
    rests: int = 0
    """429s in a row that named no time."""
    ramp: int = 1
    """Requests that may be in flight before others go elsewhere."""
    limited: bool = False
    """A learned ceiling holds."""
    quiet: bool = False
    """Closed, no recent failure, no rest, no ceiling, ramp over: nothing here needs a look."""


class Verdict(enum.IntEnum):
    """What admission says, best first."""

    READY = 0
    COLD = 1
    """Never seen, with as much in flight as its ramp allows: admitted, after every ready target."""
    RAMPING = 2
    """The same after a recovery."""
    TRIAL = 3
    """Admitted as the one trial of a half-open circuit."""
    LATE_TRIAL = 4
    """A trial is due and another worker's turn comes first: admitted as a last resort."""
    REJECTED = 5


Admission = tuple[Verdict, str, float]
"""Verdict, reason (empty when ready), monotonic time from which to ask again (0 when admitted)."""
_READY: Admission = (Verdict.READY, "", 0.0)
_COLD: Admission = (Verdict.COLD, "new: ramping up", 0.0)
_RAMPING: Admission = (Verdict.RAMPING, "recovered: ramping up", 0.0)
_TRIAL: Admission = (Verdict.TRIAL, "circuit half open: this is the trial", 0.0)
_LATE: Admission = (Verdict.LATE_TRIAL, "circuit half open: another worker's turn to try", 0.0)


def admission(breaker: Breaker, in_flight: int, now: float, turn: int = 0) -> Admission:
    """Whether one more request may go there now. ``turn`` is this worker's place in the queue for the trial, from 0. Pure."""
    if breaker.rest_until > now:
        wait_s = breaker.rest_until - now
        return Verdict.REJECTED, f"resting for {wait_s:.1f} s, as the target asked", breaker.rest_until
    if breaker.circuit is Circuit.CLOSED:
        if in_flight < breaker.ramp or breaker.ramp >= RAMP_DONE:
            return _READY
        return _RAMPING if breaker.epoch or breaker.rest_until else _COLD
    if breaker.until > now:
        return Verdict.REJECTED, f"circuit open for {breaker.until - now:.1f} s", breaker.until
    if breaker.trial_until > now:
        return Verdict.REJECTED, "circuit half open: a trial is under way", min(breaker.trial_until, now + 1.0)
    return _TRIAL if now >= breaker.until + turn * TURN_S else _LATE


def held_back(breaker: Breaker, in_flight: int, now: float, u: float) -> float:
    """The time at which a lone target that ramps up may be asked again, by chance ``u``; 0: it takes one more now. Pure."""
    if not breaker.epoch and not breaker.rest_until:
        return 0.0
    since_s = now - max(breaker.changed_at, breaker.rest_until)
    if in_flight < breaker.ramp << max(0, min(int(since_s / RAMP_STEP_S), RAMP_DONE)):
        return 0.0
    return now + RAMP_WAIT_S * (1.0 + 2.0 * u)


def trial_sent(breaker: Breaker, now: float) -> None:
    """An attempt was sent while the circuit was not closed."""
    breaker.circuit = TRANSITIONS[breaker.circuit, Signal.TRIAL_SENT]
    breaker.trial_until = now + TRIAL_LOST_S
    breaker.own_trial = True


def trial_lost(breaker: Breaker) -> None:
    """The trial ended without saying anything: the next one may go."""
    breaker.trial_until = 0.0
    breaker.own_trial = False


def began(breaker: Breaker, sent_at: float, now: float) -> bool:
    """The first content of an attempt sent at ``sent_at`` came. True when this closed the circuit.

    It closes and ramps up here rather than at the end, so that long answers do not hold back a recovery.
    """
    if sent_at < breaker.changed_at - _EPSILON_S:
        return False
    if breaker.ramp < RAMP_DONE:
        breaker.ramp *= 2
    was = breaker.circuit
    breaker.circuit = TRANSITIONS[was, Signal.ANSWERED]
    if was is Circuit.CLOSED:
        return False
    _changed(breaker, now)
    breaker.ramp = 2
    breaker.rate = min(breaker.rate, RECOVERED_RATE)
    return True


def ended(breaker: Breaker, sent_at: float, now: float) -> None:
    """An attempt sent at ``sent_at`` was answered whole. Only this ends a row of failures: a stream that begins may be cut."""
    if sent_at < breaker.changed_at - _EPSILON_S:
        return
    breaker.consecutive = 0
    if sent_at > breaker.rested_at:
        breaker.rests = 0
    breaker.outcomes += 1
    breaker.outcome_at = now
    breaker.rate *= 1.0 - RATE_GAIN
    if breaker.openings and now - breaker.changed_at > FORGET_S:
        breaker.openings = 0
    breaker.quiet = (
        breaker.circuit is Circuit.CLOSED
        and breaker.openings == 0
        and breaker.ramp >= RAMP_DONE
        and breaker.rest_until <= now
        and breaker.rate < QUIET_RATE
        and not breaker.limited
    )


def failed(breaker: Breaker, sent_at: float, now: float) -> None:
    """An attempt sent at ``sent_at`` failed by the target's or the network's fault."""
    if sent_at < breaker.changed_at - _EPSILON_S:
        return
    breaker.quiet = False
    breaker.consecutive += 1
    breaker.rate += RATE_GAIN * (1.0 - breaker.rate)
    breaker.failures += 1
    breaker.outcomes += 1
    breaker.outcome_at = now
    bad = breaker.consecutive >= TRIP_CONSECUTIVE or (
        breaker.rate >= TRIP_RATE and breaker.outcomes >= TRIP_RATE_EVENTS
    )
    _apply(breaker, Signal.TRIPPED if bad else Signal.FAILED, OPEN_BASE_S, OPEN_CAP_S, now)


def refused(breaker: Breaker, sent_at: float, now: float, account: str = "") -> None:
    """The target refused our credential, which is that of ``account``, or does not know the model: open at once, and for long."""
    if sent_at < breaker.changed_at - _EPSILON_S:
        return
    breaker.quiet = False
    breaker.consecutive += 1
    _apply(breaker, Signal.TRIPPED, OPERATOR_BASE_S, OPERATOR_CAP_S, now)
    breaker.account = account


def absolved(breaker: Breaker, now: float) -> None:
    """Another credential than the one that was refused is in use from now on."""
    breaker.circuit = TRANSITIONS[breaker.circuit, Signal.ABSOLVED]
    breaker.openings = 0
    breaker.ramp = 1
    _changed(breaker, now)


def rest(breaker: Breaker, retry_after_s: float | None, in_flight: int, now: float, u: float = 0.5) -> None:
    """The target asked for a pause. ``None``: it did not say how long; then it is half to one and a half times ours, by chance ``u``."""
    breaker.quiet = False
    if now - breaker.rested_at > FORGET_S:
        breaker.rests = 0
    breaker.rested_at = now
    if retry_after_s is None:
        retry_after_s = min(REST_BASE_S * 2.0**breaker.rests, REST_CAP_S) * (0.5 + u)
        breaker.rests = min(breaker.rests + 1, 16)
    breaker.rest_until = max(breaker.rest_until, now + min(max(retry_after_s, 0.0), RETRY_AFTER_CAP_S))
    breaker.ramp = max(1, min(breaker.ramp, in_flight // 2))


def _apply(breaker: Breaker, signal: Signal, base_s: float, cap_s: float, now: float) -> None:
    was = breaker.circuit
    breaker.circuit = TRANSITIONS[was, signal]
    if breaker.circuit is Circuit.OPEN and was is not Circuit.OPEN:
        if was is Circuit.CLOSED and now - breaker.changed_at > HELD_S:
            breaker.down_at = now
            if base_s <= OPEN_SHORT_S:
                breaker.openings = 0
        open_s = min(base_s * 2.0**breaker.openings, cap_s)
        if base_s <= OPEN_SHORT_S:
            open_s = min(open_s, max(OPEN_SHORT_S, OUTAGE_SHARE * (now - breaker.down_at - OUTAGE_SHORT_S)))
        breaker.until = max(now + open_s, breaker.rest_until)
        breaker.openings = min(breaker.openings + 1, 16)
        breaker.ramp = 1
        _changed(breaker, now)


def _changed(breaker: Breaker, now: float) -> None:
    breaker.epoch += 1
    breaker.changed_at = now
    breaker.trial_until = 0.0
    breaker.own_trial = False
    breaker.account = ""
    breaker.consecutive = 0
    breaker.quiet = False


def merge(breaker: Breaker, other: Breaker, now: float) -> bool:
    """Join another worker's view into ours. ``other`` needs circuit, epoch, until, openings, own_trial, rest_until, rests, ramp.

    True when this closed our circuit.
    """
    if other.rest_until > max(breaker.rest_until, now):
        if other.rest_until > breaker.rest_until + REST_NEWS_S:
            breaker.ramp = min(breaker.ramp, other.ramp)
            breaker.rests = max(breaker.rests, other.rests)
            breaker.rested_at = now
        breaker.rest_until = other.rest_until
        breaker.quiet = False
    if other.epoch < breaker.epoch:
        return False
    closes = False
    if other.epoch > breaker.epoch:
        closes = breaker.circuit is not Circuit.CLOSED and other.circuit is Circuit.CLOSED
        if breaker.circuit is Circuit.CLOSED and now - breaker.changed_at > HELD_S:
            breaker.down_at = now
        breaker.circuit = other.circuit
        breaker.until = other.until
        breaker.openings = other.openings
        breaker.ramp = 1
        if closes:
            breaker.rate = min(breaker.rate, RECOVERED_RATE)
        _changed(breaker, now)
        breaker.epoch = other.epoch
    elif breaker.circuit is not Circuit.CLOSED and other.circuit is not Circuit.CLOSED:
        if other.until > now:
            # A time that has passed is shared as now. Taking it over at each exchange would put off the later turns for ever.
            breaker.until = max(breaker.until, other.until)
        breaker.openings = max(breaker.openings, other.openings)
        if not breaker.own_trial:
            breaker.circuit = Circuit.HALF_OPEN if other.own_trial else breaker.circuit
    if other.own_trial and not breaker.own_trial:
        breaker.trial_until = max(breaker.trial_until, now + PEER_TRIAL_S)
    return closes


def heard(breaker: Breaker, answers: int, failures: int, now: float) -> None:
    """Another worker saw that many. They move the rate as our own would; rows of failures are each worker's own."""
    count = answers + failures
    kept = (1.0 - RATE_GAIN) ** count
    breaker.rate = breaker.rate * kept + (1.0 - kept) * failures / count
    breaker.outcome_at = now
    if failures:
        breaker.quiet = False


def verdict_of(error: type[TrimaranError]) -> str:
    """How the class of an error counts: ``client`` (not against the target), ``rest``, ``operator`` or ``failure``."""
    if issubclass(error, Rejected):
        return "client"
    if issubclass(error, RateLimited):
        return "rest"
    if issubclass(error, CredentialRejected | TargetNotFound):
        return "operator"
    return "failure"
