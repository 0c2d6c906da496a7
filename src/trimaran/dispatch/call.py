"""The life of one request: attempts in order until one answers, within one deadline, attempt budget and cost cap.

A :class:`Call` owns the decision what to do next; an :class:`~trimaran.dispatch.attempt.Attempt` is one exchange with
one target and knows what has arrived. Neither awaits anything: they are driven by callbacks from the upstream
connection, by the dispatcher's coarse tick and by the client's side (``cancel``, ``pause``, ``resume``).

What commits an answer is its first *content* event (or, when it is not streamed, the whole body). Until then a failed
attempt is invisible to the client and the next one may be tried; afterwards there is only finishing or reporting
truthfully.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trimaran.catalog import cost_nanos
from trimaran.dispatch.accounts import settled, started
from trimaran.dispatch.attempt import Attempt
from trimaran.dispatch.features import route_request
from trimaran.dispatch.refusal import no_target
from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    CostCapExceeded,
    DeadlineExceeded,
    RateLimited,
    Rejected,
    RequestError,
    Retry,
    TrimaranError,
    UnsupportedFeature,
)
from trimaran.ledger.records import CANCELLED, FAILED, OK, REJECTED, PriceUsed
from trimaran.routing import (
    Abandoned,
    Choice,
    Completed,
    Failed,
    FirstToken,
    RouteRequest,
    Sent,
    learn,
    order,
)
from trimaran.types import Limits
from trimaran.wire import Dialect, Envelope, translate

if TYPE_CHECKING:
    from trimaran.dispatch.dispatcher import Dispatcher
    from trimaran.dispatch.ports import Sink
    from trimaran.dispatch.runtime import Route, TargetRuntime

__all__ = ["Call", "Inbound"]

UNARY_S_PER_TOKEN = 0.05
"""An answer that is not streamed shows nothing until it is complete, so its limit is the TTFT limit plus this for each
output token it may have: 20 tokens/s is slower than any target a person would wait for."""

DEFAULT_OUTPUT_TOKENS = 1024
"""Assumed where neither client nor target names a limit."""

PAUSE_HERE_S = 0.1
"""Wait before the same target is asked again after a server fault, times 1 to 2."""

MAX_WAIT_S = 20.0
"""The longest that a request waits for a lone rate-limited target to reopen; beyond it the client is told instead."""

LINGER_S = 1.0
"""How long a connection may take to finish its body after the end marker before it is dropped."""


class Inbound(msgspec.Struct, eq=False):
    """A request as a shell hands it over: read just enough, authenticated, not yet tried anywhere."""

    request_id: str
    dialect: Dialect
    envelope: Envelope
    route: Route
    limits: Limits
    tenant: str
    key_id: str = ""
    tags: str = ""
    """As ``ledger.records.encode_tags`` gives them."""
    forwarded: bytes = b""
    """Header lines of the client that may travel, each ended by CRLF; only sent to targets of the same dialect."""


class Call(msgspec.Struct, eq=False):
    """One request through all of its attempts."""

    dispatcher: Dispatcher
    inbound: Inbound
    sink: Sink
    started_s: float
    attempt: Attempt | None = None
    """The one under way, or the last one."""
    attempts: int = 0
    routed: RouteRequest | None = None
    """The request as routing sees it."""
    choices: list[Choice] = []
    committed: bool = False
    done: bool = False
    paused: bool = False
    cost_nanos: int | None = None
    """The answering attempt's cost once it is settled; ``None`` is unknown."""
    tried: dict[str, int] = {}
    """How often each target was asked."""
    errors: list[tuple[str, TrimaranError]] = []
    refused: list[tuple[str, RequestError]] = []
    """Targets whose dialect cannot carry the request, with the reason. Nothing was sent there."""
    spent_nanos: int = 0
    resume_at: float = 0.0
    resume_choice: Choice | None = None

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
        self._learn_abandoned(attempt, now)
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
        self._order(self.started_s)
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
        elif attempt is not None:
            error = attempt.check(now, self.inbound.limits)
            if error is not None:
                self.attempt_failed(attempt, error)
        elif self.resume_choice is not None and now >= self.resume_at:
            choice, self.resume_choice = self.resume_choice, None
            self._launch(choice, now)

    def release(self, attempt: Attempt) -> None:
        """A finished attempt's connection has become free (or is gone)."""
        self.dispatcher.lingering.pop(attempt, None)
        attempt.call = _NOBODY

    # attempts

    def attempt_first(self, attempt: Attempt) -> None:
        """First content has arrived: this attempt answers."""
        attempt.first_s = now = self.now()
        self.committed = True
        choice = attempt.choice
        learn(
            self.dispatcher.state,
            FirstToken(
                choice.target,
                now - attempt.started_s,
                self.inbound.envelope.input_tokens,
                choice.in_flight,
                choice.probe,
            ),
            now,
        )
        self.sink.begin(self)

    def attempt_done(self, attempt: Attempt, body: bytes) -> None:
        """The attempt's answer is complete; ``body`` is all of it, or what is left of a stream."""
        attempt.ended = True
        now = self.now()
        attempt.settle_usage()
        usage = attempt.usage
        choice = attempt.choice
        routed = self.routed
        learn(
            self.dispatcher.state,
            Completed(
                choice.target,
                attempt.ttft_s,
                now - attempt.started_s,
                usage.output_tokens if usage is not None else 0,
                self.inbound.envelope.input_tokens,
                choice.in_flight,
                choice.probe,
                None if usage is None or attempt.estimated else usage.cached_read_tokens,
                choice.predicted_cached_tokens,
                routed.prefixes if routed is not None else (),
            ),
            now,
        )
        self._record(attempt, now, OK, attempt.status, "")
        self._close()
        if attempt.relay is None:
            self.sink.answer(self, body)
            attempt.call = _NOBODY
            return
        self.dispatcher.lingering[attempt] = now + LINGER_S
        if body:
            self.sink.data(body)
        self.sink.end(self)

    def attempt_failed(self, attempt: Attempt, error: AttemptError) -> None:
        """The attempt is over without an answer."""
        if attempt.ended:
            return
        self._end(attempt)
        now = self.now()
        self._learn_failed(attempt, type(error), error.retry_after_s, now)
        if self.committed:
            attempt.settle_usage()
        status = REJECTED if isinstance(error, Rejected) else FAILED
        self._record(attempt, now, status, error.upstream_status, error.code, error.message)
        self.errors.append((attempt.runtime.id, error))
        if self.committed or error.retry is Retry.NEVER:
            self._fail(error)
        elif now >= self.started_s + self.inbound.limits.deadline_s:
            self._overdue(None)
        else:
            self._again(attempt, error, now)

    # deciding

    def _order(self, now: float) -> None:
        dispatcher = self.dispatcher
        policy = self.inbound.route.policy
        request = self.routed
        if request is None:
            request = self.routed = route_request(self.inbound.envelope, self.inbound.dialect, policy.wants_prefixes)
        self.choices = order(request, policy, dispatcher.state, now, dispatcher.random())

    def _again(self, attempt: Attempt, error: AttemptError, now: float) -> None:
        """Decide on the next attempt after a failure that another attempt may mend."""
        if self.attempts >= self.inbound.limits.max_attempts:
            self._give_up()
            return
        self._order(now)
        target = attempt.choice.target
        here = error.retry is Retry.HERE and self.tried[target] == 1
        if here and any(choice.admitted and choice.target == target for choice in self.choices):
            pause_s = PAUSE_HERE_S * (1.0 + self.dispatcher.random()) if error.upstream_status else 0.0
            self._wait(attempt.choice, now, pause_s)
            return
        if self._next(now):
            return
        wait = error.retry_after_s if isinstance(error, RateLimited) else None
        if wait is not None and wait <= MAX_WAIT_S and now + wait < self.started_s + self.inbound.limits.deadline_s:
            self._wait(attempt.choice, now, wait)
        else:
            self._give_up()

    def _next(self, now: float) -> bool:
        """Send to the best admitted target not yet tried. False (on a retry) when there is none."""
        for choice in self.choices:
            if choice.admitted and choice.target not in self.tried and self._launch(choice, now):
                return True
        if self.errors:
            return False
        self._fail(no_target(self.inbound.envelope.model, self.choices, self.refused, now))
        return True

    def _wait(self, choice: Choice, now: float, pause_s: float) -> None:
        if pause_s <= 0.0:
            self._launch(choice, now)
            return
        self.attempt = None
        self.resume_choice = choice
        self.resume_at = now + pause_s

    def _launch(self, choice: Choice, now: float) -> bool:
        """Reserve, record and send. False when this target cannot take the request at all."""
        inbound = self.inbound
        target = choice.target
        runtime = inbound.route.targets[target]
        envelope = inbound.envelope
        try:
            translation = translate(inbound.dialect, envelope, runtime.target)
        except RequestError as error:
            self.refused = [*self.refused, (target, error)]
            self.tried[target] = 0
            return False
        dialect = translation.dialect
        bound = 0 if dialect.free else runtime.bound_nanos(envelope, translation.body)
        limits = inbound.limits
        if limits.max_cost_nanos is not None and not self._fits(runtime, bound, limits.max_cost_nanos):
            return True
        self.attempts = number = self.attempts + 1
        self.tried[target] = self.tried.get(target, 0) + 1
        self.attempt = attempt = Attempt(self, number, runtime, choice, now, bound, translation)
        dispatcher = self.dispatcher
        if not runtime.price_noted:
            runtime.price_noted = True
            if runtime.price is not None:
                dispatcher.journal.append(PriceUsed(runtime.id, runtime.price))
        dispatcher.journal.append(started(self, attempt))
        learn(dispatcher.state, Sent(target, envelope.input_tokens, choice.probe), now)
        forwarded = inbound.forwarded if dialect is inbound.dialect else b""
        payload = runtime.payload(dialect, forwarded, translation.body)
        attempt.handle = dispatcher.upstream.send(runtime, payload, attempt, limits.connect_s)
        return True

    def _fits(self, runtime: TargetRuntime, bound: int | None, cap: int) -> bool:
        """Whether one more attempt stays under the cost cap; fails the request when not."""
        if bound is not None and self.spent_nanos + bound <= cap:
            return True
        if bound is None:
            why = "its price is unknown, so it cannot be kept under a cost cap"
        else:
            why = f"it may cost up to {bound / 1e9:.6f} USD, {self.spent_nanos / 1e9:.6f} USD are spent"
        self._fail(CostCapExceeded(f"{runtime.id} was not asked: {why}; the cap is {cap / 1e9:.6f} USD"))
        return False

    # ends

    def _overdue(self, attempt: Attempt | None) -> None:
        limit = self.inbound.limits.deadline_s
        error = DeadlineExceeded(f"no complete answer within the deadline of {limit:g} s")
        if attempt is not None and not attempt.ended:
            self._end(attempt)
            now = self.now()
            # The deadline is the client's patience, not a limit the target broke: a long answer is no failure of it.
            self._learn_abandoned(attempt, now)
            attempt.settle_usage()
            self._record(attempt, now, FAILED, 0, error.code, error.message)
        self._fail(error)

    def _give_up(self) -> None:
        if len(self.errors) == 1:
            self._fail(self.errors[0][1])
        else:
            self._fail(AllAttemptsFailed(self.errors))

    def _fail(self, error: TrimaranError) -> None:
        self._close()
        attempt = self.attempt
        now = self.now()
        self.dispatcher.metrics.observe(
            self.inbound.route.policy.name,
            attempt.runtime.id if attempt is not None else "",
            error.status,
            self.inbound.envelope.stream,
            None,
            now - self.started_s,
            0,
            0,
            0,
            self.attempts,
        )
        self.sink.fail(self, error)

    def _close(self) -> None:
        self.done = True
        self.resume_choice = None
        self.dispatcher.active.discard(self)

    def _learn_abandoned(self, attempt: Attempt, now: float) -> None:
        choice = attempt.choice
        event = Abandoned(
            choice.target,
            now - attempt.started_s,
            attempt.ttft_s,
            self.inbound.envelope.input_tokens,
            choice.in_flight,
            choice.probe,
        )
        learn(self.dispatcher.state, event, now)

    def _learn_failed(
        self, attempt: Attempt, error: type[TrimaranError], retry_after_s: float | None, now: float
    ) -> None:
        choice = attempt.choice
        event = Failed(
            choice.target,
            error,
            now - attempt.started_s,
            retry_after_s,
            attempt.ttft_s,
            self.inbound.envelope.input_tokens,
            choice.in_flight,
            choice.probe,
        )
        learn(self.dispatcher.state, event, now)

    def _end(self, attempt: Attempt) -> None:
        attempt.ended = True
        if attempt.handle is not None:
            attempt.handle.abort()

    # records

    def _record(self, attempt: Attempt, now: float, status: str, http_status: int, code: str, reason: str = "") -> None:
        """Journal the attempt's end and count it; sets the call's cost when it is the answer."""
        inbound = self.inbound
        price = attempt.runtime.price
        usage = attempt.usage
        cost: int | None = 0
        if usage is not None:
            cost = cost_nanos(price, usage) if price is not None else None
            self.spent_nanos += cost or 0
        ttft_s = attempt.ttft_s
        dispatcher = self.dispatcher
        dispatcher.journal.append(settled(self, attempt, now, status, http_status, code, reason, cost))
        dispatcher.metrics.attempt(attempt.runtime.id, code or status)
        if status != OK:
            attempt.call = _NOBODY
        if status in (FAILED, REJECTED):
            return
        self.cost_nanos = cost
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
