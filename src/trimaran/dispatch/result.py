"""What the library gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trimaran.types import Usage

__all__ = ["Result"]


class Result(Mapping[str, object]):
    """One answer: a read-only mapping whose entries are attributes as well.

    ``response`` text · ``provider``, ``target``, ``model`` who answered · ``latency_ms`` whole, ``ttft_ms`` to the first
    content (``None`` when not streamed) · ``input_tokens``, ``output_tokens`` · ``cost_nanos`` exact, ``cost_usd`` for
    reading, both ``None`` where the price is unknown · ``attempts`` how many targets were asked · ``finish_reason`` ·
    ``request_id`` as in the ledger · ``reason`` why this target.
    """

    __slots__ = (
        "attempts",
        "cost_nanos",
        "finish_reason",
        "latency_ms",
        "model",
        "provider",
        "reason",
        "request_id",
        "response",
        "target",
        "ttft_ms",
        "usage",
    )

    _KEYS = (
        "provider",
        "target",
        "model",
        "response",
        "finish_reason",
        "latency_ms",
        "ttft_ms",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "cost_nanos",
        "attempts",
        "request_id",
        "reason",
    )

    def __init__(
        self,
        *,
        request_id: str,
        model: str,
        provider: str,
        target: str,
        response: str,
        finish_reason: str,
        latency_ms: float,
        ttft_ms: float | None,
        usage: Usage,
        cost_nanos: int | None,
        attempts: int,
        reason: str,
    ) -> None:
        self.request_id = request_id
        self.model = model
        self.provider = provider
        self.target = target
        self.response = response
        self.finish_reason = finish_reason
        self.latency_ms = latency_ms
        self.ttft_ms = ttft_ms
        self.usage = usage
        self.cost_nanos = cost_nanos
        self.attempts = attempts
        self.reason = reason

    @property
    def cost_usd(self) -> float | None:
        """For reading only; sums are made from ``cost_nanos``."""
        return None if self.cost_nanos is None else self.cost_nanos / 1e9

    @property
    def input_tokens(self) -> int:
        """All prompt tokens, cached ones included."""
        return self.usage.input_tokens

    @property
    def output_tokens(self) -> int:
        """All generated tokens."""
        return self.usage.output_tokens

    def __getitem__(self, key: str) -> object:
        if key not in self._KEYS:
            raise KeyError(key)
        value: object = getattr(self, key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._KEYS)

    def __len__(self) -> int:
        return len(self._KEYS)

    def __repr__(self) -> str:
        return f"Result(provider={self.provider!r}, latency_ms={self.latency_ms}, response={self.response[:60]!r})"
