"""The small ports through which the life of a request touches the world.

``dispatch`` decides and keeps state; whoever runs it hands in a clock, a way to reach targets, a journal and a sink for
the answer. Tests hand in virtual ones. All calls happen on one event loop thread; none of them blocks or awaits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trimaran.dispatch.call import Call
    from trimaran.dispatch.runtime import TargetRuntime
    from trimaran.errors import AttemptError, TrimaranError
    from trimaran.ledger.records import Record

__all__ = ["Clock", "Exchange", "Handle", "Journal", "Metrics", "Sink", "Upstream"]


class Clock(Protocol):
    """Where time comes from."""

    def monotonic(self) -> float:
        """Seconds; only differences mean anything. Every duration is measured with it."""

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch, UTC; for records and periods, never for durations."""


class Exchange(Protocol):
    """What an upstream connection reports about one attempt, in this order, each at most once but ``on_data``."""

    def on_sent(self) -> None:
        """A connection was available and the request was handed to it. (The connect limit ends here.)"""

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The answer's head. The dict belongs to the exchange; names keep the provider's spelling."""

    def on_data(self, data: bytes) -> None:
        """A piece of the answer's body, transfer coding removed."""

    def on_end(self) -> None:
        """The answer is complete by HTTP's own rules."""

    def on_error(self, error: AttemptError) -> None:
        """The exchange failed; nothing follows."""


class Handle(Protocol):
    """Control over one exchange under way."""

    def abort(self) -> None:
        """Drop the exchange and its connection at once. Idempotent; nothing is reported afterwards."""

    def pause(self) -> None:
        """Stop reading the answer (the client is slower than the target). Idempotent."""

    def resume(self) -> None:
        """Read on. Idempotent."""


class Upstream(Protocol):
    """Sends one request to one target."""

    def send(self, target: TargetRuntime, payload: bytes, exchange: Exchange, connect_s: float) -> Handle:
        """Start the exchange. Never raises for network trouble: that is reported through ``exchange.on_error``, never
        from inside this call."""


class Journal(Protocol):
    """The append-only record of attempts."""

    @property
    def healthy(self) -> bool:
        """Whether a record that is appended now is kept safe at once."""

    def append(self, record: Record) -> object:
        """Keep one record. Must not block; a record that cannot be kept is counted by the journal, not raised."""


class Metrics(Protocol):
    """Counters of the road. Each call is cheap and never fails."""

    def attempt(self, target: str, outcome: str) -> None:
        """One attempt ended."""

    def observe(
        self,
        model: str,
        target: str,
        status: str | int,
        stream: bool,
        ttft_s: float | None,
        latency_s: float,
        input_tokens: int,
        output_tokens: int,
        cost_nanos: int | None,
        attempts: int = 1,
    ) -> None:
        """One request ended."""


class Sink(Protocol):
    """Where the answer goes: an HTTP connection, or a waiting caller of the library.

    Either ``answer`` once; or ``begin``, ``data`` …, ``end``; ``fail`` may come instead of any of these, and after
    ``begin`` it means that the answer is broken off and must not look complete.
    """

    def answer(self, call: Call, body: bytes) -> None:
        """The whole answer to a request that is not streamed."""

    def begin(self, call: Call) -> None:
        """A streamed answer has its first content."""

    def data(self, data: bytes) -> None:
        """The next bytes of a streamed answer."""

    def end(self, call: Call) -> None:
        """The streamed answer is complete."""

    def fail(self, call: Call, error: TrimaranError) -> None:
        """The request failed for good."""
