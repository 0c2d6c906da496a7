"""The event loop: a heap of things to come and a virtual clock. One run with one policy is one call of :func:`simulate`."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from trimaran.errors import ConnectFailed, NoFirstToken, RateLimited, ServerFault, TrimaranError
from trimaran.routing import Choice, Completed, Failed, FirstToken, Sent
from trimaran.simulation.limits import Gate
from trimaran.simulation.policies import MeanOfLast, Oracle, Plan, Policy, RandomChoice, RoundRobin, Routing
from trimaran.simulation.workload import Arrival, Run, TargetModel

__all__ = ["POLICIES", "Decision", "Result", "simulate"]

EXCHANGE_S = 1.0
GOLDEN = 0.6180339887
"""Added to a request's uniform number each time that it is ordered again: evenly spread, and drawn without drawing."""
BACKOFF_S = 0.25
"""Until a request that met a 429 looks again where it may go, when nobody else is left."""


@dataclass(slots=True)
class Decision:
    """One first attempt, with what it was expected to take by the true state of the run at that moment."""

    at: float
    target: int
    best: int
    excess: float
    """True expected time there over the best target's, minus 1."""
    first_tokens: int
    """First tokens observed in the run so far."""
    probe: bool


@dataclass(slots=True)
class Result:
    """What a policy made of a run. Times in seconds."""

    latencies: list[float] = field(default_factory=list)
    """Of answered requests, from arrival to the end of the answer."""
    ttfts: list[float] = field(default_factory=list)
    """Of the same, from arrival to first token."""
    answered_by: list[tuple[int, Arrival]] = field(default_factory=list)
    """Of the same: the target that answered, and the request."""
    unanswered: int = 0
    attempt_s: float = 0.0
    """Time of all attempts."""
    probe_s: float = 0.0
    """Time of attempts that were probes or trials."""
    probes: int = 0
    attempts: int = 0
    failures: int = 0
    decisions: list[Decision] = field(default_factory=list)
    sent_to: list[tuple[float, int, int]] = field(default_factory=list)
    """(time, target, worker) of each attempt."""
    limited: list[tuple[float, int]] = field(default_factory=list)
    """(time, target) of each 429."""
    answered_at: list[tuple[float, int]] = field(default_factory=list)
    """(time of sending, target) of each answer."""

    @property
    def mean_s(self) -> float:
        """Mean latency."""
        return sum(self.latencies) / len(self.latencies) if self.latencies else inf

    @property
    def probe_share(self) -> float:
        """Share of all attempt time that went into probes."""
        return self.probe_s / self.attempt_s if self.attempt_s else 0.0


class _Server:
    """The slots of one target. A slot is the time at which it gets free."""

    def __init__(self, model: TargetModel, mean_output: float) -> None:
        self.model = model
        self.free = [0.0] * model.slots
        self.gate = Gate(model.limits) if model.limits else None
        self._decode_tokens = mean_output - 1.0

    def expected_s(self, input_tokens: int, now: float) -> float:
        model = self.model
        wait_s = self.free[0] - now
        if model.batch_slope:
            busy = sum(1 for at in self.free if at > max(now, self.free[0]))
            decode_s = model.tpot_s * (1.0 + model.batch_slope * busy)
        else:
            decode_s = model.tpot_s
        service_s = model.ttft_s + model.ttft_per_token_s * input_tokens + self._decode_tokens * decode_s
        return model.speed(now) * service_s + (wait_s if wait_s > 0.0 else 0.0)

    def serve(self, arrival: Arrival, draw: tuple[float, float, float], now: float) -> tuple[float, float]:
        """Takes the next free slot. Returns the times of the first token and of the end."""
        model = self.model
        start = self.free[0] if self.free[0] > now else now
        decode_s = model.tpot_s
        if model.batch_slope:
            decode_s *= 1.0 + model.batch_slope * sum(1 for at in self.free if at > start)
        speed = model.speed(start)
        first = start + speed * draw[0] * (model.ttft_s + model.ttft_per_token_s * arrival.input_tokens)
        end = first + speed * draw[1] * decode_s * (arrival.output_tokens - 1)
        heapq.heapreplace(self.free, end)
        return first, end


class _Attempt:
    """One request on its way through its plan."""

    __slots__ = ("arrival", "choice", "closed", "first_at", "place", "plan", "refused_s", "sent_at", "target", "worker")

    def __init__(self, arrival: Arrival, plan: Plan, worker: int) -> None:
        self.arrival = arrival
        self.plan = plan
        self.worker = worker
        self.place = -1
        self.target = -1
        self.sent_at = 0.0
        self.first_at: float | None = None
        self.choice: Choice | None = None
        self.refused_s: float | None = None
        """The Retry-After it will meet."""
        self.closed: set[int] = set()
        """Targets that failed for this request: they are not asked again."""


class _Engine:
    def __init__(self, run: Run, workers: int) -> None:
        self.run = run
        self.workers = workers
        self.servers = [_Server(target, run.mean_output) for target in run.targets]
        self.policy: Policy = RoundRobin(1)
        self.result = Result()
        self.first_tokens = 0
        self._heap: list[tuple[float, int, Callable[[_Attempt, float], None], _Attempt]] = []
        self._sequence = 0

    def expected(self, arrival: Arrival, now: float) -> list[float]:
        """True expected total of a request at each target, by the present state of the run."""
        return [
            inf if server.model.faults and server.model.fault(now) else server.expected_s(arrival.input_tokens, now)
            for server in self.servers
        ]

    def go(self, policy: Policy) -> Result:
        self.policy = policy
        heap = self._heap
        exchange_at = EXCHANGE_S
        for arrival in self.run.arrivals:
            while (heap and heap[0][0] <= arrival.at) or exchange_at <= arrival.at:
                if heap and heap[0][0] <= exchange_at:
                    at, _, act, attempt = heapq.heappop(heap)
                    act(attempt, at)
                else:
                    policy.exchange(exchange_at)
                    exchange_at += EXCHANGE_S
            self._arrive(arrival)
        while heap:
            at, _, act, attempt = heapq.heappop(heap)
            act(attempt, at)
        return self.result

    def _later(self, at: float, act: Callable[[_Attempt, float], None], attempt: _Attempt) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, act, attempt))

    def _arrive(self, arrival: Arrival) -> None:
        now = arrival.at
        worker = int(arrival.worker * self.workers)
        plan = self.policy.plan(arrival, worker, now)
        if not plan.targets:
            self._wait(_Attempt(arrival, plan, worker), now)
            return
        target = plan.targets[0]
        expected = self.expected(arrival, now)
        best = min(range(len(expected)), key=expected.__getitem__)
        excess = expected[target] / expected[best] - 1.0 if expected[best] < inf else 0.0
        probe = plan.choices is not None and plan.choices[0].probe
        self.result.decisions.append(Decision(now, target, best, excess, self.first_tokens, probe))
        self._try_next(_Attempt(arrival, plan, worker), now)

    def _wait(self, attempt: _Attempt, now: float) -> None:
        """Nobody may be asked now. Come back when somebody may, if that is soon enough."""
        later = [at for at, target in attempt.plan.later if target not in attempt.closed]
        at = max(min(later, default=inf), now)
        if at < attempt.arrival.at + self.run.wait_s:
            self._later(at, self._again, attempt)
        else:
            self.result.unanswered += 1

    def _again(self, attempt: _Attempt, now: float) -> None:
        arrival = attempt.arrival
        attempt.arrival = replace(arrival, u=(arrival.u + GOLDEN) % 1.0)
        attempt.plan = self.policy.plan(attempt.arrival, attempt.worker, now)
        attempt.place = -1
        self._try_next(attempt, now)

    def _try_next(self, attempt: _Attempt, now: float) -> None:
        targets = attempt.plan.targets
        attempt.place += 1
        while attempt.closed and attempt.place < len(targets) and targets[attempt.place] in attempt.closed:
            attempt.place += 1
        if attempt.place >= len(targets):
            self._wait(attempt, now)
            return
        target = attempt.target = attempt.plan.targets[attempt.place]
        choices = attempt.plan.choices
        choice = attempt.choice = choices[attempt.place] if choices is not None else None
        attempt.sent_at = now
        attempt.first_at = None
        arrival = attempt.arrival
        model = self.run.targets[target]
        self.result.attempts += 1
        self.result.sent_to.append((now, target, attempt.worker))
        probe = choice is not None and choice.probe
        if probe:
            self.result.probes += 1
        self.policy.tell(Sent(model.name, arrival.input_tokens, probe), target, attempt.worker, now)
        limit_s = self.run.ttft_limit_s
        if choice is not None and choice.patience_s is not None:
            limit_s = min(limit_s, choice.patience_s)
        draw = arrival.draws[target]
        fault = model.fault(now) if model.faults else None
        if fault is not None and draw[2] < fault.probability:
            self._later(now + min(_FAULT_S[fault.kind], limit_s), _FAULT_ACTS[fault.kind].__get__(self), attempt)
            return
        server = self.servers[target]
        if server.gate is not None:
            refused_s = server.gate.refuses(arrival.input_tokens + arrival.output_tokens, now)
            if refused_s is not None:
                limit = server.gate.in_force(now)
                attempt.refused_s = refused_s if limit is not None and limit.retry_after else None
                self._later(now + _FAULT_S["limit"], self._over, attempt)
                return
        first, end = server.serve(arrival, draw, now)
        if first - now > limit_s:
            self._later(now + limit_s, self._silent, attempt)
            return
        self._later(first, self._first_token, attempt)
        self._later(end, self._complete, attempt)

    def _first_token(self, attempt: _Attempt, now: float) -> None:
        attempt.first_at = now
        self.first_tokens += 1
        choice = attempt.choice
        event = FirstToken(
            self.run.targets[attempt.target].name,
            now - attempt.sent_at,
            attempt.arrival.input_tokens,
            choice.in_flight if choice is not None else 0,
            choice is not None and choice.probe,
        )
        self.policy.tell(event, attempt.target, attempt.worker, now)

    def _complete(self, attempt: _Attempt, now: float) -> None:
        choice = attempt.choice
        probe = choice is not None and choice.probe
        first_at = attempt.first_at
        event = Completed(
            self.run.targets[attempt.target].name,
            None if first_at is None else first_at - attempt.sent_at,
            now - attempt.sent_at,
            attempt.arrival.output_tokens,
            attempt.arrival.input_tokens,
            choice.in_flight if choice is not None else 0,
            probe,
        )
        self.policy.tell(event, attempt.target, attempt.worker, now)
        self._account(attempt, now, probe)
        self.result.latencies.append(now - attempt.arrival.at)
        self.result.ttfts.append((now if first_at is None else first_at) - attempt.arrival.at)
        self.result.answered_by.append((attempt.target, attempt.arrival))
        self.result.answered_at.append((attempt.sent_at, attempt.target))

    def _account(self, attempt: _Attempt, now: float, probe: bool) -> None:
        self.result.attempt_s += now - attempt.sent_at
        if probe:
            self.result.probe_s += now - attempt.sent_at

    def _fail(
        self, attempt: _Attempt, now: float, error: type[TrimaranError], retry_after_s: float | None = None
    ) -> None:
        choice = attempt.choice
        probe = choice is not None and choice.probe
        event = Failed(
            self.run.targets[attempt.target].name,
            error,
            now - attempt.sent_at,
            retry_after_s,
            None,
            attempt.arrival.input_tokens,
            choice.in_flight if choice is not None else 0,
            probe,
            attempt.arrival.u,
        )
        self.result.failures += 1
        self.policy.tell(event, attempt.target, attempt.worker, now)
        self._account(attempt, now, probe)
        if error is RateLimited:
            self.result.limited.append((now, attempt.target))
            if self.run.wait_s and attempt.place + 1 >= len(attempt.plan.targets):
                self._later(now + BACKOFF_S, self._again, attempt)
                return
        else:
            attempt.closed.add(attempt.target)
        self._try_next(attempt, now)

    def _error(self, attempt: _Attempt, now: float) -> None:
        self._fail(attempt, now, ServerFault)

    def _refuse(self, attempt: _Attempt, now: float) -> None:
        self._fail(attempt, now, ConnectFailed)

    def _silent(self, attempt: _Attempt, now: float) -> None:
        self._fail(attempt, now, NoFirstToken)

    def _limit(self, attempt: _Attempt, now: float) -> None:
        fault = self.run.targets[attempt.target].fault(attempt.sent_at)
        self._fail(attempt, now, RateLimited, fault.retry_after_s if fault is not None else None)

    def _over(self, attempt: _Attempt, now: float) -> None:
        self._fail(attempt, now, RateLimited, attempt.refused_s)


_FAULT_S = {"error": 0.05, "refuse": 0.002, "silent": inf, "limit": 0.03}
_FAULT_ACTS: dict[str, Callable[[_Engine, _Attempt, float], None]] = {
    "error": _Engine._error,
    "refuse": _Engine._refuse,
    "silent": _Engine._silent,
    "limit": _Engine._limit,
}

POLICIES = ("fastest", "fastest-whole", "oracle", "mean-of-5", "round-robin", "random")
"""Names that :func:`simulate` knows. ``fastest-whole``: the same traffic, not streamed."""


def simulate(run: Run, policy: str | Policy, workers: int = 1) -> Result:
    """Give ``run`` to a policy: one of :data:`POLICIES`, or an object of the caller's. Deterministic."""
    engine = _Engine(run, workers)
    count = len(run.targets)
    if not isinstance(policy, str):
        return engine.go(policy)
    made: dict[str, Callable[[], Policy]] = {
        "fastest": lambda: Routing([target.name for target in run.targets], workers),
        "fastest-whole": lambda: Routing([target.name for target in run.targets], workers, stream=False),
        "oracle": lambda: Oracle(engine.expected),
        "mean-of-5": lambda: MeanOfLast(count),
        "round-robin": lambda: RoundRobin(count),
        "random": lambda: RandomChoice(count),
    }
    return engine.go(made[policy]())
