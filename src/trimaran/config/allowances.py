"""How much in which period, as people write it: ``500 USD/month``, ``2M tokens/day``, ``10000 requests/hour``.

Parsing is exact: money becomes integer nano-dollars, and what is not a whole number of them, of tokens or of requests is
refused. Errors never repeat the text, which may be a misplaced secret.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from trimaran.config.setting import Scalar
from trimaran.config.units import NANOS_PER_USD, money_text
from trimaran.types import PERIODS

__all__ = ["BUDGET", "Budget", "parse_budget"]

_PERIODS = "|".join(PERIODS)
_PATTERN = (
    rf"(?:\$(?P<dollars>[0-9]{{1,9}}(?:\.[0-9]{{1,9}})?)|(?P<number>[0-9]{{1,16}}(?:\.[0-9]{{1,9}})?) ?(?P<scale>[kKMB])? ?"
    rf"(?P<unit>USD|tokens?|requests?)) ?/ ?(?P<period>{_PERIODS})"
)
_BUDGET = re.compile(_PATTERN)
_SCHEMA_PATTERN = re.sub(r"\?P<[a-z]+>", "", _PATTERN)
_SCALES = {None: 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}

MOST_USD = 10**8
"""Keeps every sum of amounts far below 2**63, the largest number that travels and is stored."""
MOST_COUNT = 10**15

_EXPECTED = f"an amount in a period: USD, tokens or requests, a slash, and one of {', '.join(PERIODS)}"


class Budget(msgspec.Struct, frozen=True):
    """What may be used in each period."""

    unit: str
    """One of ``types.UNITS``."""
    limit: int
    """Nano-dollars, tokens or requests; at least 1."""
    period: str
    """One of ``types.PERIODS``."""

    @property
    def text(self) -> str:
        """As :func:`parse_budget` reads it: ``500 USD/month``."""
        amount = f"{money_text(self.limit)} USD" if self.unit == "usd" else f"{self.limit} {self.unit}"
        return f"{amount}/{self.period}"


def parse_budget(text: str) -> Budget:
    """The budget in a text. Raises :class:`ValueError` with what was expected."""
    found = _BUDGET.fullmatch(text)
    if found is None:
        raise ValueError(_EXPECTED)
    period = found["period"]
    if found["dollars"] or found["unit"] == "USD":
        amount = Decimal(found["dollars"] or found["number"]) * _SCALES[found["scale"]]
        return Budget("usd", _whole(amount * NANOS_PER_USD, MOST_USD * NANOS_PER_USD, f"{MOST_USD} USD"), period)
    unit = f"{found['unit'].rstrip('s')}s"
    amount = Decimal(found["number"]) * _SCALES[found["scale"]]
    return Budget(unit, _whole(amount, MOST_COUNT, f"{MOST_COUNT} {unit}"), period)


def _whole(amount: Decimal, most: int, most_text: str) -> int:
    if amount != amount.to_integral_value():
        raise ValueError("a whole number of tokens or requests, or an amount of USD with at most nine decimals")
    if not 0 < amount <= most:
        # Nothing at all is not a budget: a key that may not be used is revoked.
        raise ValueError(f"an amount above 0 and of at most {most_text}")
    return int(amount)


def _schema() -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{_SCHEMA_PATTERN})$"}


BUDGET = Scalar(
    parse_budget,
    expected=_EXPECTED,
    example="500 USD/month",
    schema=_schema(),
    show=lambda budget: budget.text,
)
