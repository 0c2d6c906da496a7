"""One worker's routing on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trimaran.errors import ServerFault, TrimaranError
from trimaran.routing import (
    Abandoned,
    Choice,
    Completed,
    Failed,
    FirstToken,
    RouteRequest,
    Sent,
    State,
    build_policy,
    learn,
    order,
)
from trimaran.routing.state import TargetState
from trimaran.types import Capabilities, ModelPolicy, PriceTier, Slo, Target, TokenPrice


def price(input_usd: float, output_usd: float, cached_usd: float | None = None, request: int = 0) -> TokenPrice:
    """In dollars for a million tokens, ``request`` in pico-dollars."""
    cached = None if cached_usd is None else int(cached_usd * 1e6)
    tier = PriceTier(0, int(input_usd * 1e6), int(output_usd * 1e6), cached)
    return TokenPrice("v", "s", "2026-11-24", (tier,), request)


class World:
    """A state, a policy over ``names`` and the time. Each attempt is told to ``learn`` as dispatch tells it."""

    def __init__(
        self,
        *names: str,
        strategy: str = "fastest",
        worker: int = 0,
        prices: dict[str, TokenPrice] | None = None,
        capabilities: dict[str, Capabilities] | None = None,
        weights: tuple[float, ...] = (),
        slo: Slo | None = None,
    ) -> None:
        prices, capabilities = prices or {}, capabilities or {}
        targets = [
            Target(
                name,
                "p",
                name,
                ("openai.chat",),
                "http://p",
                price=prices.get(name),
                capabilities=capabilities.get(name),
            )
            for name in names
        ]
        self.policy = build_policy(ModelPolicy("m", strategy, names, weights=weights, slo=slo or Slo()), targets)
        self.state = State(worker)
        self.now = 1000.0

    def order(self, u: float = 0.5, **request: object) -> list[Choice]:
        return order(RouteRequest(**{"input_tokens": 500, **request}), self.policy, self.state, self.now, u)

    def first(self, u: float = 0.5, **request: object) -> Choice:
        return self.order(u, **request)[0]

    def choice(self, name: str, **request: object) -> Choice:
        return next(choice for choice in self.order(**request) if choice.target == name)

    def target(self, name: str) -> TargetState:
        return self.state.targets[name]

    def send(self, name: str, *, probe: bool = False) -> None:
        learn(self.state, Sent(name, 500, probe), self.now)

    def answer(
        self,
        name: str,
        ttft_s: float = 0.3,
        total_s: float = 1.3,
        *,
        tokens: int = 101,
        input_tokens: int = 500,
        probe: bool = False,
        sent: bool = False,
        in_flight: int = 0,
        **cache: object,
    ) -> None:
        """A whole streamed attempt; ``sent``: it was sent before, at this very moment."""
        if not sent:
            learn(self.state, Sent(name, input_tokens, probe), self.now)
        self.now += ttft_s
        learn(self.state, FirstToken(name, ttft_s, input_tokens, in_flight, probe), self.now)
        self.now += total_s - ttft_s
        learn(self.state, Completed(name, ttft_s, total_s, tokens, input_tokens, in_flight, probe, **cache), self.now)

    def answer_whole(self, name: str, total_s: float, *, tokens: int = 101, input_tokens: int = 500) -> None:
        """An attempt that is not streamed."""
        learn(self.state, Sent(name, input_tokens), self.now)
        self.now += total_s
        learn(self.state, Completed(name, None, total_s, tokens, input_tokens), self.now)

    def fail(
        self,
        name: str,
        error: type[TrimaranError] = ServerFault,
        elapsed_s: float = 0.05,
        *,
        retry_after_s: float | None = None,
        ttft_s: float | None = None,
        sent: bool = False,
        probe: bool = False,
    ) -> None:
        if not sent:
            learn(self.state, Sent(name, 500, probe), self.now)
        self.now += elapsed_s
        learn(self.state, Failed(name, error, elapsed_s, retry_after_s, ttft_s, 500, 0, probe), self.now)

    def abandon(self, name: str, elapsed_s: float) -> None:
        learn(self.state, Sent(name, 500), self.now)
        self.now += elapsed_s
        learn(self.state, Abandoned(name, elapsed_s, None, 500), self.now)

    def warm(self, speeds: dict[str, float], rounds: int = 12) -> None:
        """Alternating answers, so that each is known well and its ramp is over. ``speeds``: seconds of TTFT; TPOT is 10 ms."""
        for _ in range(rounds):
            for name, ttft_s in speeds.items():
                self.answer(name, ttft_s, ttft_s + 1.0)

    def without_probes(self) -> World:
        """The account for probes is empty from here on: the order is by expectation alone."""
        self.state.probed_s = self.state.spent_s = 1e9
        return self

    def break_down(self, name: str, error: type[TrimaranError] = ServerFault) -> None:
        """Failures in a row until the circuit opens."""
        while self.target(name).breaker.circuit.name == "CLOSED":
            self.fail(name, error)


@pytest.fixture
def usd() -> Callable[..., TokenPrice]:
    return price


@pytest.fixture
def world() -> Callable[..., World]:
    return World
