"""The life of one request: attempts in order until one answers, within one deadline, attempt budget and cost cap.

A :class:`Call` owns the decision what to do next; an :class:`~trimaran.dispatch.attempt.Attempt` is one exchange with
one target and knows what has arrived. Neither awaits anything: they are driven by callbacks from the upstream
connection, by the dispatcher's coarse tick and by the client's side (``cancel``, ``pause``, ``resume``).

What commits an answer is its first *content* event (or, when it is not streamed, the whole body). Until then a failed
attempt is invisible to the client and the next one may be tried; afterwards there is only finishing or reporting
truthfully. Two policies move that border. ``restart`` holds an answer back until it is whole or larger than a bound, so
that a cut is still invisible. ``continue`` asks another target to go on from what was said.

Between attempts a call is *parked*: until a pause is over, or until a budget has room for it.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

import msgspec

from trimaran.dispatch import lessons
from trimaran.dispatch.accounts import NOBODY, settle
from trimaran.dispatch.attempt import Attempt
from trimaran.dispatch.features import route_request
from trimaran.dispatch.inbound import Inbound
from trimaran.dispatch.itinerary import MAX_WAIT_S, Itinerary
from trimaran.dispatch.launch import launch
from trimaran.dispatch.refusal import no_target
from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    DeadlineExceeded,
    Rejected,
    RequestError,
    Retry,
    TrimaranError,
    UnsupportedFeature,
)
from trimaran.ledger.records import CANCELLED, FAILED, OK, REJECTED
from trimaran.routing import Choice, RouteRequest, order
from trimaran.wire import ChatDialect
from trimaran.wire.continuation import Transcript

if TYPE_CHECKING:
    from trimaran.dispatch.dispatcher import Dispatcher
    from trimaran.dispatch.ports import Sink
    from trimaran.dispatch.runtime import Route

__all__ = ["Call"]

_LOG = logging.getLogger("trimaran.dispatch")

UNARY_S_PER_TOKEN = 0.05
"""An answer that is not streamed shows nothing until it is complete, so its limit is the TTFT limit plus this for each
output token it may have: 20 tokens/s is slower than any target a person would wait for."""

DEFAULT_OUTPUT_TOKENS = 1024
"""Assumed where neither client nor target names a limit."""

PAUSE_HERE_S = 0.1
"""Wait before the same target is asked again after a server fault, times 1 to 2."""

LINGER_S = 1.0
"""How long a connection may take to finish its body after the end marker before it is dropped."""


class Call(msgspec.Struct, eq=False):
    """One request through all of its attempts."""

    dispatcher: Dispatcher
    inbound: Inbound
    sink: Sink
    started_s: float
    way: Itinerary
    attempt: Attempt | None = None
    """The one under way, or the last one."""
    attempts: int = 0
    routed: RouteRequest | None = None
    """The request as routing sees it."""
    choices: list[Choice] = []
    committed: bool = False
    """The client has something of the answer."""
    held: list[bytes] | None = None
    """What of a stream is held back, so that it can still be asked for again elsewhere."""
    held_bytes: int = 0
    transcript: Transcript | None = None
    """What the client was told, where another target may go on from it."""
    cut: AttemptError | None = None
    """Why the answer broke first, after the client had seen a part of it."""
    done: bool = False
    paused: bool = False
    cost_nanos: int | None = None
    """The answering attempt's cost once it is settled; ``None`` is unknown."""
    errors: list[tuple[str, TrimaranError]] = []
    refused: list[tuple[str, RequestError]] = []
    """Targets whose dialect cannot carry the request, with the reason. Nothing was sent there."""
    unaffordable: TrimaranError | None = None
    """Why the first target that a cap, a budget or a limit forbade was not asked."""
    about_request: Rejected | None = None
    """The first refusal of the request itself that was taken elsewhere: it is what the client hears if that fails."""
    spent_nanos: int = 0
    resume_at: float = 0.0
    """When a parked call goes on; 0: it is not parked."""
    resume_target: str = ""
    """Where it goes on, if it still may by then; empty: wherever it may."""
    resting_since: float = 0.0
    """Since when nothing was sent because every target rests; 0: something was."""

    # the client's side

    def cancel(self) -> None:
        """The client is gone: drop the exchange under way and settle what is known. Idempotent."""
        if self.done:
            return
        attempt = self.attempt
        self._close()
        if attempt is None or attempt.ended:
            return
        self._end(attempt)
        now = self.now()
        attempt.settle_usage()
        lessons.abandoned(self, attempt, now)
        settle(self, attempt, now, CANCELLED, 499, "client_disconnected")

    def pause(self) -> None:
        """The client reads too slowly; stop reading from the target."""
        self.paused = True
        if self.attempt is not None and self.attempt.handle is not None:
            self.attempt.handle.pause()

    def resume(self) -> None:
        """The client has caught up."""
        self.paused = False
        if self.attempt is not None and self.attempt.handle is not None:
            self.attempt.handle.resume()

    @property
    def route(self) -> Route:
        """Of the public model that is tried now: the one asked for, or a fallback of it."""
        return self.way.route

    # the dispatcher's side

    def now(self) -> float:
        """Monotonic seconds of the dispatcher's clock."""
        return self.dispatcher.now()

    def start(self) -> None:
        """Order the targets and send the first attempt."""
        inbound = self.inbound
        if inbound.envelope.stateful and inbound.route.ambiguous(inbound.dialect):
            self._fail(
                UnsupportedFeature(
                    f"the request goes on from something that a provider stored, and several providers of "
                    f"{inbound.envelope.model!r} could be the one; send the whole conversation, or ask for a model with one "
                    "such target"
                )
            )
            return
        self._next(self.started_s)

    def unary_limit_s(self) -> float:
        """How long an answer that is not streamed may take."""
        tokens = self.inbound.envelope.max_output_tokens
        if tokens is None:
            tokens = DEFAULT_OUTPUT_TOKENS
        return self.inbound.limits.ttft_s + UNARY_S_PER_TOKEN * tokens

    def tick(self, now: float) -> None:
        """Check every limit. Called a few times a second for each call under way."""
        if self.done:
            return
        attempt = self.attempt
        if now >= self.started_s + self.inbound.limits.deadline_s:
            if self.resting_since and self.resume_at:
                # It waited for targets that rest, and they still do: that is what the client should hear.
                self._rested_out(now)
            elif attempt is None or not attempt.finish_now():
                self._overdue()
        elif self.resume_at:
            if now >= self.resume_at:
                self._go_on(now)
        elif attempt is not None:
            error = attempt.check(now, self.inbound.limits)
            if error is not None:
                self.attempt_failed(attempt, error)

    def release(self, attempt: Attempt) -> None:
        """A finished attempt's connection has become free (or is gone)."""
        self.dispatcher.lingering.pop(attempt, None)
        attempt.call = NOBODY

    # attempts

    def attempt_first(self, attempt: Attempt) -> None:
        """First content has arrived: this attempt answers, unless what it says is held back."""
        attempt.first_s = attempt.runtime.answered_s = now = self.now()
        lessons.first_token(self, attempt, now)
        if self.committed:
            if self.paused and attempt.handle is not None:
                # It goes on for a client that is still behind. Paused before this, it would have seemed silent.
                attempt.handle.pause()
            return
        if self.route.on_cut == "restart":
            self.held, self.held_bytes = [], 0
            return
        dialect = self.inbound.dialect
        if self.route.on_cut == "continue" and isinstance(dialect, ChatDialect):
            self.transcript = Transcript(dialect, self.inbound.envelope)
        self.committed = True
        self.sink.begin(self)

    def hold(self, data: bytes) -> None:
        """Keep the next bytes of a stream that is held back; too many of them let go of all."""
        assert self.held is not None
        self.held.append(data)
        self.held_bytes += len(data)
        if self.held_bytes > self.route.hold_bytes:
            self._let_go()

    def attempt_done(self, attempt: Attempt, body: bytes) -> None:
        """The attempt's answer is complete; ``body`` is all of it, or what is left of a stream."""
        attempt.ended = True
        attempt.runtime.answered_s = now = self.now()
        attempt.settle_usage()
        lessons.completed(self, attempt, now)
        settle(self, attempt, now, OK, attempt.status, "")
        self._close()
        if attempt.relay is None:
            self.sink.answer(self, body)
            attempt.call = NOBODY
            return
        self.dispatcher.lingering[attempt] = now + LINGER_S
        if not self.committed:
            self._let_go()
        if body:
            self.sink.data(body)
        self.sink.end(self)

    def attempt_failed(self, attempt: Attempt, error: AttemptError) -> None:
        """The attempt is over without an answer."""
        if attempt.ended:
            return
        self._end(attempt)
        now = self.now()
        renewed = self.dispatcher.renewals.refused(attempt, error, now)
        if renewed:
            # It says nothing about the target: the next credential is another one.
            lessons.abandoned(self, attempt, now)
        else:
            lessons.failed(self, attempt, error, now)
        attempt.settle_failed(error)
        status = REJECTED if isinstance(error, Rejected) else FAILED
        settle(self, attempt, now, status, error.upstream_status, error.code, error.message)
        self.errors.append((attempt.runtime.id, error))
        self.held = None
        try:
            if self.committed:
                self._broke(attempt, error, now)
            elif error.retry is Retry.NEVER and not self._is_taken_elsewhere(attempt, error):
                self._fail(error)
            elif now >= self.started_s + self.inbound.limits.deadline_s:
                self._overdue()
            elif renewed and self.attempts < self.inbound.limits.max_attempts:
                self._next(now)
            else:
                self._again(attempt, error, now)
        except Exception:
            self._mistaken()

    # deciding

    def _again(self, attempt: Attempt, error: AttemptError, now: float) -> None:
        """Decide on the next attempt after a failure that another attempt may mend."""
        if self.attempts >= self.inbound.limits.max_attempts:
            self._give_up()
            return
        target = attempt.choice.target
        if self.way.failed(target, error, now, self.dispatcher.random()):
            choice = self._admitted(target, now)
            if choice is not None and error.upstream_status:
                self.park(now + PAUSE_HERE_S * (1.0 + self.dispatcher.random()), target)
                return
            if choice is not None and launch(self, choice, now):
                return
        self._next(now)

    def _broke(self, attempt: Attempt, error: AttemptError, now: float) -> None:
        """The client has a part of the answer: let another target go on from it where that is wanted and possible."""
        self.cut = self.cut or error
        transcript = self.transcript
        if transcript is None:
            self._fail(error)
            return
        if attempt.relay is not None:
            transcript.cut(attempt.relay.usage)
        if not transcript.possible:
            self._fail(self.cut)
        elif error.retry is Retry.NEVER:
            # The beginning of an answer is ours and not the client's: who rejects it says nothing about the request.
            self.way.closed.add(attempt.choice.target)
            if self.attempts < self.inbound.limits.max_attempts:
                self._next(now)
            else:
                self._fail(self.cut)
        else:
            self._again(attempt, error, now)

    def _is_taken_elsewhere(self, attempt: Attempt, error: AttemptError) -> bool:
        if not isinstance(error, Rejected):
            return False
        if not self.way.goes_on_after(attempt.choice.target, error, self.inbound.route):
            return False
        self.about_request = self.about_request or error
        return True

    def _order(self, now: float) -> None:
        dispatcher, policy = self.dispatcher, self.way.route.policy
        request = self.routed
        if request is None or (policy.wants_prefixes and not request.prefixes):
            request = self.routed = route_request(self.inbound.envelope, self.inbound.dialect, policy.wants_prefixes)
        self.choices = order(request, policy, dispatcher.state, now, dispatcher.random())

    def _admitted(self, target: str, now: float) -> Choice | None:
        """``target`` as routing sees it now; ``None`` when this request may not go there."""
        self._order(now)
        return next((each for each in self.choices if each.target == target and self.way.open(each, now)), None)

    def _fall_back(self) -> bool:
        """Go on to the next fallback; not to one at another provider than the one that stored what this goes on from."""
        first, dialect = self.inbound.route, self.inbound.dialect
        while self.way.fall_back(first):
            if not self.inbound.envelope.stateful or len(first.holders(dialect) | self.route.holders(dialect)) <= 1:
                return True
        return False

    def _next(self, now: float) -> None:
        """Send to the best target that may be asked now; else wait for one that rests; else give up."""
        way = self.way
        seen: dict[str, Choice] = {}
        wait_until = 0.0
        while True:
            self._order(now)
            for choice in self.choices:
                if way.open(choice, now) and launch(self, choice, now):
                    return
            at = way.waits_until(self.choices, now)
            wait_until = at if not wait_until else min(at or inf, wait_until)
            for choice in self.choices:
                seen.setdefault(choice.target, choice)
            if not self._fall_back():
                break
        since = self.resting_since or now
        if (
            wait_until
            and wait_until <= since + MAX_WAIT_S
            and wait_until < self.started_s + self.inbound.limits.deadline_s
        ):
            way.start_over(self.inbound.route)
            self.resting_since = since
            self.park(wait_until, "")
        elif self.errors:
            self._give_up()
        else:
            self._fail(self.unaffordable or no_target(self.inbound.envelope.model, [*seen.values()], self.refused, now))

    def park(self, until: float, target: str) -> None:
        """Do nothing until then."""
        self.attempt = None
        self.resume_at = until
        self.resume_target = target

    def _go_on(self, now: float) -> None:
        """A parked call's time has come."""
        target, self.resume_target, self.resume_at = self.resume_target, "", 0.0
        try:
            choice = self._admitted(target, now) if target else None
            if choice is None or not launch(self, choice, now):
                self._next(now)
        except Exception:
            self._mistaken()

    def funded(self) -> None:
        """A budget may have room by now."""
        if self.resume_at == inf and not self.done:
            self._go_on(self.now())

    # ends

    def _let_go(self) -> None:
        """Begin the answer with all that was held back."""
        held, self.held = self.held, None
        self.committed = True
        self.sink.begin(self)
        if held:
            self.sink.data(b"".join(held))

    def _overdue(self) -> None:
        limit = self.inbound.limits.deadline_s
        self._stop(DeadlineExceeded(f"no complete answer within the deadline of {limit:g} s"))

    def _mistaken(self) -> None:
        """A mistake of ours must cost this request only, and not leave its client waiting until the deadline."""
        _LOG.exception("a request could not go on")
        if not self.done:
            self._stop(TrimaranError("something went wrong inside the gateway; its log has the details"))

    def _stop(self, error: TrimaranError) -> None:
        """Fail, and drop the exchange under way: by a fault that is not its target's."""
        attempt = self.attempt
        if attempt is not None and not attempt.ended:
            self._end(attempt)
            now = self.now()
            # The deadline is the client's patience, not a limit the target broke: a long answer is no failure of it.
            lessons.abandoned(self, attempt, now)
            attempt.settle_usage()
            settle(self, attempt, now, FAILED, 0, error.code, error.message)
        self._fail(error)

    def _rested_out(self, now: float) -> None:
        if self.errors:
            self._give_up()
        else:
            self._fail(self.unaffordable or no_target(self.inbound.envelope.model, self.choices, self.refused, now))

    def _give_up(self) -> None:
        if self.cut is not None:
            # What became of going on is no news to a client whose answer broke.
            self._fail(self.cut)
        elif self.about_request is not None:
            self._fail(self.about_request)
        elif self.unaffordable is not None and self.attempts < self.inbound.limits.max_attempts:
            self._fail(self.unaffordable)
        elif len({target for target, _ in self.errors}) == 1:
            # The last word of the only target that was asked says more than a list of its words.
            self._fail(self.errors[-1][1])
        else:
            self._fail(AllAttemptsFailed(self.errors))

    def _fail(self, error: TrimaranError) -> None:
        self._close()
        attempt = self.attempt
        usage = attempt.usage if attempt is not None and self.committed else None
        self.dispatcher.metrics.observe(
            self.inbound.route.policy.name,
            attempt.runtime.id if attempt is not None else "",
            error.status,
            self.inbound.envelope.stream,
            None,
            self.now() - self.started_s,
            usage.input_tokens if usage is not None else 0,
            usage.output_tokens if usage is not None else 0,
            self.spent_nanos,
            self.attempts,
        )
        self.sink.fail(self, error)

    def _close(self) -> None:
        self.done = True
        self.dispatcher.active.discard(self)

    def _end(self, attempt: Attempt) -> None:
        attempt.ended = True
        if attempt.handle is not None:
            attempt.handle.abort()
