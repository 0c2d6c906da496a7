"""Facts, checked: what a token costs where and what a base model can do, with source and date.

Three subjects: the table of prices that ships (:mod:`.token_prices`: which row a model name means), the arithmetic of money
(:mod:`.money`: what an attempt cost, what it can cost at most, and prices that the operator states) and the table of
capabilities (:mod:`.capabilities`). Prices are integer pico-dollars per token, amounts integer nano-dollars.
"""

from __future__ import annotations

from trimaran.catalog.capabilities import capabilities, families, overridden
from trimaran.catalog.money import bound_nanos, cost_nanos, format_usd, price_from_usd
from trimaran.catalog.token_prices import (
    ModelFacts,
    known_providers_of,
    model_facts,
    price_table_version,
    token_price,
)

__all__ = [
    "ModelFacts",
    "bound_nanos",
    "capabilities",
    "cost_nanos",
    "families",
    "format_usd",
    "known_providers_of",
    "model_facts",
    "overridden",
    "price_from_usd",
    "price_table_version",
    "token_price",
]
