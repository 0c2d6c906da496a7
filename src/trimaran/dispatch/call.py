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

from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.catalog import cost_nanos
from trimaran.dispatch import lessons
from trimaran.dispatch.accounts import settled, started
from trimaran.dispatch.attempt import Attempt
from trimaran.dispatch.features import route_request
from trimaran.dispatch.inbound import Inbound
from trimaran.dispatch.itinerary import MAX_WAIT_S, Itinerary
from trimaran.dispatch.refusal import no_target
from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    CostCapExceeded,
    DeadlineExceeded,
    Rejected,
    RequestError,
    Retry,
    TrimaranError,
    Unavailable,
    UnsupportedFeature,
)
from trimaran.ledger.records import CANCELLED, FAILED, OK, REJECTED, PriceUsed
from trimaran.routing import Choice, RouteRequest, Sent, learn, order
from trimaran.wire import DIALECTS, ChatDialect, Translation, translate
from trimaran.wire.continuation import Transcript, continue_translation

if TYPE_CHECKING:
    from trimaran.dispatch.dispatcher import Dispatcher
    from trimaran.dispatch.ports import Sink
    from trimaran.dispatch.purse import Hold
    from trimaran.dispatch.runtime import Route, TargetRuntime

__all__ = ["Call"]

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
    resume_choice: Choice | None = None
    """Where it goes on; ``None``: wherever it may by then."""

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
        self._record(attempt, now, CANCELLED, 499, "client_disconnected")

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
            self._overdue(attempt)
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
        attempt.call = _NOBODY

    # attempts

    def attempt_first(self, attempt: Attempt) -> None:
        """First content has arrived: this attempt answers, unless what it says is held back."""
        attempt.first_s = now = self.now()
        lessons.first_token(self, attempt, now)
        if self.committed:
            return
        if self.route.on_cut == "restart":
            self.held, self.held_bytes = [], 0
            return
        if self.route.on_cut == "continue":
            assert isinstance(self.inbound.dialect, ChatDialect)
            self.transcript = Transcript(self.inbound.dialect, self.inbound.envelope)
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
        now = self.now()
        attempt.settle_usage()
        lessons.completed(self, attempt, now)
        self._record(attempt, now, OK, attempt.status, "")
        self._close()
        if attempt.relay is None:
            self.sink.answer(self, body)
            attempt.call = _NOBODY
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
        lessons.failed(self, attempt, error, now)
        attempt.settle_failed(error)
        status = REJECTED if isinstance(error, Rejected) else FAILED
        self._record(attempt, now, status, error.upstream_status, error.code, error.message)
        self.errors.append((attempt.runtime.id, error))
        self.held = None
        if self.committed:
            self._broke(attempt, error, now)
        elif error.retry is Retry.NEVER and not self._is_taken_elsewhere(attempt, error):
            self._fail(error)
        elif now >= self.started_s + self.inbound.limits.deadline_s:
            self._overdue(None)
        else:
            self._again(attempt, error, now)

    # deciding

    def _again(self, attempt: Attempt, error: AttemptError, now: float) -> None:
        """Decide on the next attempt after a failure that another attempt may mend."""
        if self.attempts >= self.inbound.limits.max_attempts:
            self._give_up()
            return
        target = attempt.choice.target
        if self.way.failed(target, error, now, self.dispatcher.random()):
            self._order(now)
            if any(choice.admitted and choice.target == target for choice in self.choices):
                pause_s = PAUSE_HERE_S * (1.0 + self.dispatcher.random()) if error.upstream_status else 0.0
                self._park(now + pause_s, attempt.choice)
                if not pause_s:
                    self._go_on(now)
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
        if not isinstance(error, Rejected) or not self.way.goes_on_after(attempt.choice.target, error):
            return False
        self.about_request = self.about_request or error
        return True

    def _order(self, now: float) -> None:
        dispatcher, policy = self.dispatcher, self.way.route.policy
        request = self.routed
        if request is None or (policy.wants_prefixes and not request.prefixes):
            request = self.routed = route_request(self.inbound.envelope, self.inbound.dialect, policy.wants_prefixes)
        self.choices = order(request, policy, dispatcher.state, now, dispatcher.random())

    def _next(self, now: float) -> None:
        """Send to the best target that may be asked now; else wait for one that rests; else give up."""
        way = self.way
        seen: list[Choice] = []
        wait_until = 0.0
        while True:
            self._order(now)
            for choice in self.choices:
                if way.open(choice, now) and self._launch(choice, now):
                    return
            at = way.waits_until(self.choices, now)
            wait_until = at if not wait_until else min(at or inf, wait_until)
            seen += self.choices
            if not way.fall_back(self.inbound.route):
                break
        if (
            wait_until
            and wait_until <= now + MAX_WAIT_S
            and wait_until < self.started_s + self.inbound.limits.deadline_s
        ):
            way.start_over(self.inbound.route)
            self._park(wait_until, None)
        elif self.errors:
            self._give_up()
        else:
            self._fail(self.unaffordable or no_target(self.inbound.envelope.model, seen, self.refused, now))

    def _park(self, until: float, choice: Choice | None) -> None:
        """Do nothing until then."""
        self.attempt = None
        self.resume_at = until
        self.resume_choice = choice

    def _go_on(self, now: float) -> None:
        """A parked call's time has come."""
        choice, self.resume_choice, self.resume_at = self.resume_choice, None, 0.0
        if choice is None or not self._launch(choice, now):
            self._next(now)

    def _funded(self) -> None:
        """A budget may have room by now."""
        if self.resume_at == inf and not self.done:
            self._go_on(self.now())

    # sending

    def _launch(self, choice: Choice, now: float) -> bool:
        """Reserve, record and send, or park until a budget has room. False when this target cannot take the request."""
        inbound = self.inbound
        runtime = self.way.route.targets[choice.target]
        try:
            if self.committed:
                translation = self._continuation(runtime)
            else:
                translation = translate(inbound.dialect, inbound.envelope, runtime.target)
        except RequestError as error:
            self.refused.append((choice.target, error))
            self.way.closed.add(choice.target)
            return False
        return self._send(choice, runtime, translation, now)

    def _continuation(self, runtime: TargetRuntime) -> Translation:
        """The request to go on from what the client has. Raises :class:`RequestError` where this target cannot."""
        dialect, transcript = self.inbound.dialect, self.transcript
        assert isinstance(dialect, ChatDialect)
        assert transcript is not None
        return continue_translation(dialect, self.inbound.envelope, runtime.target, transcript, DIALECTS)

    def _send(self, choice: Choice, runtime: TargetRuntime, translation: Translation, now: float) -> bool:
        inbound, dispatcher, target = self.inbound, self.dispatcher, choice.target
        dialect = translation.dialect
        bound = 0 if dialect.free else runtime.bound_nanos(inbound.envelope, translation.body)
        cap = inbound.limits.max_cost_nanos
        hold = None
        try:
            if cap is not None:
                self._check_cap(runtime, bound, cap)
            if not dispatcher.journal.healthy and dispatcher.snapshot.on_ledger_failure == "refuse":
                raise Unavailable("attempts cannot be recorded now, and what is not recorded is not sent here")
            if inbound.allowances and not dialect.free:
                hold = self._reserve(choice, runtime, translation, bound)
                if hold is None:
                    return True
        except (RequestError, CostCapExceeded) as error:
            self.unaffordable = self.unaffordable or error
            self.way.closed.add(target)
            return False
        self.attempts = number = self.attempts + 1
        asked = self.way.asked
        asked[target] = asked.get(target, 0) + 1
        self.attempt = attempt = Attempt(self, number, runtime, choice, now, bound, translation, hold)
        if not runtime.price_noted:
            runtime.price_noted = True
            if runtime.price is not None:
                dispatcher.journal.append(PriceUsed(runtime.id, runtime.price))
        dispatcher.journal.append(started(self, attempt))
        learn(dispatcher.state, Sent(target, inbound.envelope.input_tokens, choice.probe), now)
        forwarded = inbound.forwarded if dialect is inbound.dialect else b""
        payload = runtime.payload(dialect, forwarded, translation.body)
        attempt.handle = dispatcher.upstream.send(runtime, payload, attempt, inbound.limits.connect_s)
        return True

    def _reserve(
        self, choice: Choice, runtime: TargetRuntime, translation: Translation, bound: int | None
    ) -> Hold | None:
        """Room for this attempt in every budget that binds the request. ``None``: the call is parked until there may be."""
        tokens = runtime.bound_tokens(self.inbound.envelope, translation.body)
        requests = 0 if self.attempts else 1
        hold = self.dispatcher.purse.reserve(self.inbound.allowances, bound, tokens, requests, self._funded)
        if hold is None:
            self._park(inf, choice)
        return hold

    def _check_cap(self, runtime: TargetRuntime, bound: int | None, cap: int) -> None:
        """Raises when one more attempt does not fit under the request's cost cap."""
        if bound is not None and self.spent_nanos + bound <= cap:
            return
        if bound is None:
            unknown = (
                "its price is unknown" if runtime.price is None else "what the provider may run for it has no limit"
            )
            why = f"{unknown}, so it cannot be kept under a cost cap"
        else:
            why = f"it may cost up to {bound / 1e9:.6f} USD, {self.spent_nanos / 1e9:.6f} USD are spent"
        raise CostCapExceeded(f"{runtime.id} was not asked: {why}; the cap is {cap / 1e9:.6f} USD")

    # ends

    def _let_go(self) -> None:
        """Begin the answer with all that was held back."""
        held, self.held = self.held, None
        self.committed = True
        self.sink.begin(self)
        if held:
            self.sink.data(b"".join(held))

    def _overdue(self, attempt: Attempt | None) -> None:
        limit = self.inbound.limits.deadline_s
        error = DeadlineExceeded(f"no complete answer within the deadline of {limit:g} s")
        if attempt is not None and not attempt.ended:
            self._end(attempt)
            now = self.now()
            # The deadline is the client's patience, not a limit the target broke: a long answer is no failure of it.
            lessons.abandoned(self, attempt, now)
            attempt.settle_usage()
            self._record(attempt, now, FAILED, 0, error.code, error.message)
        self._fail(error)

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
        self.resume_choice = None
        self.dispatcher.active.discard(self)

    def _end(self, attempt: Attempt) -> None:
        attempt.ended = True
        if attempt.handle is not None:
            attempt.handle.abort()

    # records

    def _record(self, attempt: Attempt, now: float, status: str, http_status: int, code: str, reason: str = "") -> None:
        """Journal the attempt's end and count it; sets the call's cost when it is the answer."""
        price = attempt.runtime.price
        usage = attempt.usage
        cost: int | None = 0
        if usage is not None:
            cost = cost_nanos(price, usage, attempt.service_tier) if price is not None else None
            # Under a cap, what is unknown counts as the most that it can be.
            self.spent_nanos += cost if cost is not None else attempt.bound or 0
        ttft_s = attempt.ttft_s
        dispatcher = self.dispatcher
        if attempt.hold is not None:
            used = 0 if usage is None else usage.input_tokens + usage.output_tokens
            dispatcher.purse.settle(attempt.hold, cost, used)
        dispatcher.journal.append(settled(self, attempt, now, status, http_status, code, reason, cost))
        dispatcher.metrics.attempt(attempt.runtime.id, code or status)
        if status != OK:
            attempt.call = _NOBODY
        if status in (FAILED, REJECTED):
            return
        self.cost_nanos = cost
        inbound = self.inbound
        dispatcher.metrics.observe(
            inbound.route.policy.name,
            attempt.runtime.id,
            http_status,
            inbound.envelope.stream,
            ttft_s,
            now - self.started_s,
            usage.input_tokens if usage is not None else 0,
            usage.output_tokens if usage is not None else 0,
            cost,
            self.attempts,
        )


class _Nobody:
    """Stands for the call of an attempt that is over: it breaks the circle of the two, so that both are freed at once
    and memory is used again while it is still in the cache, instead of waiting for the garbage collector."""

    def release(self, attempt: Attempt) -> None:
        """Nothing is held any more."""


_NOBODY: Any = _Nobody()
