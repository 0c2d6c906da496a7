"""Who decides in a simulated run: the real routing, and what it is compared with.

A policy sees a request and answers with target numbers in the order to try them; then it is told what happened. Only :class:`Oracle` may
look at the simulated targets themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from trimaran.routing import (
    Abandoned,
    Choice,
    Completed,
    Failed,
    FirstToken,
    RouteRequest,
    Sent,
    Shared,
    State,
    build_policy,
    export_shared,
    learn,
    order,
)
from trimaran.simulation.workload import Arrival
from trimaran.types import ModelPolicy, Slo, Target, TokenPrice

__all__ = ["MeanOfLast", "Oracle", "Plan", "Policy", "RandomChoice", "RoundRobin", "Routing"]

AttemptEvent = Sent | FirstToken | Completed | Failed | Abandoned


class Plan(msgspec.Struct):
    """Target numbers in the order to try them. ``choices`` are routing's own, where it decided."""

    targets: list[int]
    choices: list[Choice] | None = None
    later: list[tuple[float, int]] = []
    """Those that rest or are at their ceiling, with the time from which each may be asked."""


class Policy(Protocol):
    """What the engine asks of a policy."""

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        """The order for this request."""
        ...

    def tell(self, event: AttemptEvent, target: int, worker: int, now: float) -> None:
        """Something happened."""
        ...

    def exchange(self, now: float) -> None:
        """A second has passed: workers may exchange."""
        ...


class _Silent:
    def tell(self, event: AttemptEvent, target: int, worker: int, now: float) -> None:
        pass

    def exchange(self, now: float) -> None:
        pass


class Routing:
    """The real ``routing.order`` and ``routing.learn``, one :class:`State` for each worker.

    ``prices``: one for each target, where the strategy looks at them.
    """

    def __init__(
        self,
        names: list[str],
        workers: int = 1,
        strategy: str = "fastest",
        stream: bool = True,
        *,
        prices: Sequence[TokenPrice | None] = (),
        slo: Slo | None = None,
    ) -> None:
        targets = [
            Target(name, "simulated", name, ("openai.chat",), "", price=price, simulated=True)
            for name, price in zip(names, prices or [None] * len(names), strict=True)
        ]
        self.policy = build_policy(ModelPolicy("m", strategy, tuple(names), slo=slo or Slo()), targets)
        self.states = [State(worker=i) for i in range(workers)]
        self._stream = stream
        self._index = {name: i for i, name in enumerate(names)}

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        """As the gateway does; rejected targets are left out, unless all are: then nothing is sent."""
        request = RouteRequest(arrival.input_tokens, None, self._stream)
        choices = order(request, self.policy, self.states[worker], now, arrival.u)
        admitted = [choice for choice in choices if choice.admitted]
        plan = Plan([self._index[choice.target] for choice in admitted], admitted)
        if len(admitted) < len(choices):
            plan.later = [
                (choice.retry_at, self._index[choice.target])
                for choice in choices
                if not choice.admitted and choice.circuit == "closed"
            ]
        return plan

    def tell(self, event: AttemptEvent, target: int, worker: int, now: float) -> None:
        """Learn it. Where answers are not streamed, first tokens do not show."""
        if not self._stream:
            if isinstance(event, FirstToken):
                return
            if isinstance(event, Completed):
                event.ttft_s = None
        learn(self.states[worker], event, now)

    def exchange(self, now: float) -> None:
        """All export, then all hear; through the encoding that real workers use."""
        if len(self.states) < 2:
            return
        exports = [msgspec.convert(export_shared(state, now), Shared) for state in self.states]
        for state in self.states:
            for shared in exports:
                learn(state, shared, now)


class Oracle(_Silent):
    """Knows each target's speed, its slots' true times of getting free, and all means; not the draws to come.

    Takes the lowest expected total for the request at hand: greedy, as any router that answers one request at a time.
    """

    def __init__(self, expected: Callable[[Arrival, float], list[float]]) -> None:
        self._expected = expected

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        """By true expectation."""
        times = self._expected(arrival, now)
        return Plan(sorted(range(len(times)), key=times.__getitem__))


class MeanOfLast(_Silent):
    """The usual latency routing: greedy on the mean total of the last few answers; a target never seen counts as 0 s."""

    def __init__(self, count: int, memory: int = 5) -> None:
        self._last: list[deque[float]] = [deque(maxlen=memory) for _ in range(count)]

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        """By mean."""
        means = [sum(last) / len(last) if last else 0.0 for last in self._last]
        return Plan(sorted(range(len(means)), key=means.__getitem__))

    def tell(self, event: AttemptEvent, target: int, worker: int, now: float) -> None:
        """Remember whole answers."""
        if isinstance(event, Completed):
            self._last[target].append(event.total_s)


class RoundRobin(_Silent):
    """One after the other."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._next = 0

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        """The next, then those after it."""
        self._next += 1
        return Plan([(self._next + i) % self._count for i in range(self._count)])


class RandomChoice(_Silent):
    """Uniform, from the arrival's own draw."""

    def __init__(self, count: int) -> None:
        self._count = count

    def plan(self, arrival: Arrival, worker: int, now: float) -> Plan:
        """Any, then those after it."""
        first = int(arrival.u * self._count)
        return Plan([(first + i) % self._count for i in range(self._count)])
