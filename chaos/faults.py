"""How a provider behaves next, drawn from a seeded generator. Pure."""

from __future__ import annotations

import random

from trimaran.testing import FAULTS, Behaviour

__all__ = ["draw_behaviour", "draw_pause_s", "healthy"]

_STATUSES: tuple[dict[str, object], ...] = (
    {"status": 429, "retry_after_s": 1},
    {"status": 429, "retry_after_s": 30},
    {"status": 429},
    {"status": 500},
    {"status": 502},
    {"status": 503},
    {"status": 503, "retry_after_s": 2},
    {"status": 529},
    {"status": 400, "error_message": "Output blocked by content filtering policy"},
)
_CHANCES = (0.02, 0.1, 0.1, 0.3, 0.3, 1.0)
"""That a request is hit: mostly some, at times all of them."""


def healthy(tokens: int) -> Behaviour:
    """A provider without a fault; its answer takes a few tenths of a second."""
    return Behaviour(ttft_s=0.02, tpot_s=0.004, jitter=0.4, output_tokens=tokens)


def draw_behaviour(generator: random.Random, tokens: int) -> Behaviour:
    """The next behaviour of a provider whose whole answer has so many tokens."""
    base = healthy(tokens)
    if generator.random() < 0.3:
        return base
    fault = generator.choice([name for name in FAULTS if name != "none"])
    more: dict[str, object] = {"after_tokens": generator.randrange(tokens)}
    if fault == "status":
        more |= generator.choice(_STATUSES)
    elif fault == "slow_first_token":
        more["fault_delay_s"] = generator.uniform(0.2, 3.0)
    return base.but(fault=fault, fault_probability=generator.choice(_CHANCES), **more)


def draw_pause_s(generator: random.Random) -> float:
    """How long it lasts."""
    return generator.uniform(0.5, 5.0)
