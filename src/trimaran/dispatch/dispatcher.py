"""The dispatcher of one worker: the snapshot it serves, the state it learns, the calls under way.

Everything happens on one event loop thread. The owner calls :meth:`Dispatcher.tick` about ten times a second while
``active`` or ``lingering`` is not empty; no call has a task or a timer of its own.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable

from trimaran.dispatch.attempt import Attempt
from trimaran.dispatch.call import Call
from trimaran.dispatch.inbound import Inbound
from trimaran.dispatch.itinerary import Itinerary
from trimaran.dispatch.ports import Clock, Journal, Metrics, Sink, Upstream
from trimaran.dispatch.purse import Purse
from trimaran.dispatch.renewals import Renewals
from trimaran.dispatch.runtime import Route, Routes
from trimaran.errors import TrimaranError
from trimaran.providers import Vault
from trimaran.routing import Choice, RouteRequest, State, appraise, order
from trimaran.types import Limits, Snapshot

__all__ = ["Dispatcher", "SystemClock", "tighten"]

TICK_S = 0.1
"""Resolution of all limits. Finer buys nothing a user can notice; coarser would show in failover times."""


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    wall_ns = staticmethod(time.time_ns)


class Dispatcher:
    """Takes requests, drives their attempts, learns from them."""

    __slots__ = (
        "active",
        "clock",
        "journal",
        "lingering",
        "metrics",
        "now",
        "purse",
        "random",
        "renewals",
        "routes",
        "snapshot",
        "state",
        "upstream",
        "vault",
        "worker",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        upstream: Upstream,
        journal: Journal,
        metrics: Metrics,
        clock: Clock | None = None,
        random: Callable[[], float] = _random.random,
        worker: int = 0,
        purse: Purse | None = None,
        renew: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``renew`` has a credential renewed, by its name; :attr:`renewals` is told when that is done."""
        self.worker = worker
        self.clock = clock or SystemClock()
        self.purse = purse or Purse(self.clock.wall_ns)
        self.now = self.clock.monotonic
        self.upstream = upstream
        self.journal = journal
        self.metrics = metrics
        self.random = random
        self.state = State(worker)
        self.vault = Vault()
        self.renewals = Renewals(self.vault, self.state, renew)
        self.active: set[Call] = set()
        self.lingering: dict[Attempt, float] = {}
        self.apply(snapshot)

    def apply(self, snapshot: Snapshot) -> None:
        """Serve this snapshot from the next request on. Calls under way finish under theirs."""
        self.routes = Routes(snapshot, self.vault, self.clock.wall_ns)
        self.purse.apply(snapshot.allowances)
        self.renewals.apply(snapshot, self.now())
        self.snapshot = snapshot

    def route(self, model: str) -> Route:
        """The route of a public model. Raises :class:`~trimaran.errors.UnknownModel`."""
        return self.routes.find(model)

    def submit(self, inbound: Inbound, sink: Sink) -> Call:
        """Start a request. The sink may be called before this returns, when no target can take the request."""
        call = Call(self, inbound, sink, self.now(), Itinerary(inbound.route))
        self.active.add(call)
        try:
            call.start()
        except BaseException:
            call.cancel()
            raise
        return call

    def explain(self, model: str, input_tokens: int, max_output_tokens: int | None) -> list[Choice]:
        """The order in which a request of this size would be tried now. Nothing is sent and nothing is learnt."""
        request = RouteRequest(input_tokens, max_output_tokens, True)
        policy, state, now = self.route(model).policy, self.state, self.now()
        return appraise(order(request, policy, state, now, self.random()), request, policy, state, now)

    def tick(self) -> None:
        """Check the limits of every call under way."""
        now = self.now()
        self.renewals.tick(now)
        for call in tuple(self.active):
            call.tick(now)
        if self.lingering:
            for attempt, until in tuple(self.lingering.items()):
                if now >= until:
                    attempt.call.release(attempt)
                    if attempt.handle is not None:
                        attempt.handle.abort()

    def abort(self, error: TrimaranError | None = None) -> None:
        """Drop every call under way, as if each client had left; with an ``error``, tell each sink of it."""
        for call in tuple(self.active):
            call.cancel()
            if error is not None:
                call.sink.fail(call, error)


def tighten(
    limits: Limits,
    *,
    deadline_s: float | None = None,
    max_attempts: int | None = None,
    max_cost_nanos: int | None = None,
    ttft_s: float | None = None,
) -> Limits:
    """``limits`` with the client's own bounds applied where they are stricter; a looser one changes nothing."""
    cap = limits.max_cost_nanos
    if max_cost_nanos is not None:
        cap = max_cost_nanos if cap is None else min(cap, max_cost_nanos)
    return Limits(
        deadline_s=limits.deadline_s if deadline_s is None else min(limits.deadline_s, deadline_s),
        connect_s=limits.connect_s,
        ttft_s=limits.ttft_s if ttft_s is None else min(limits.ttft_s, ttft_s),
        idle_s=limits.idle_s,
        max_attempts=limits.max_attempts if max_attempts is None else min(limits.max_attempts, max_attempts),
        max_cost_nanos=cap,
    )
