"""Facts, checked: what a token costs where and what a base model can do, with source and date.

Four subjects: the table of prices that ships (:mod:`.token_prices`: which row a model name means), the arithmetic of
money (:mod:`.money`: what an attempt cost, what it can cost at most, and prices that the operator states), the table of
capabilities (:mod:`.capabilities`) and what a picture is at most (:mod:`.pictures`). Prices are integer pico-dollars
per token, amounts integer nano-dollars.
"""

from __future__ import annotations

from trimaran.catalog.capabilities import capabilities, families, overridden
from trimaran.catalog.money import (
    STANDARD_TIERS,
    Rates,
    bound_nanos,
    cost_nanos,
    dearest_rates,
    format_usd,
    price_from_usd,
    stated_price,
    tokens_nanos,
)
from trimaran.catalog.pictures import picture_tokens
from trimaran.catalog.token_prices import (
    ModelFacts,
    known_providers_of,
    model_facts,
    next_price_change,
    price_table_version,
    token_price,
)

__all__ = [
    "STANDARD_TIERS",
    "ModelFacts",
    "Rates",
    "bound_nanos",
    "capabilities",
    "cost_nanos",
    "dearest_rates",
    "families",
    "format_usd",
    "known_providers_of",
    "model_facts",
    "next_price_change",
    "overridden",
    "picture_tokens",
    "price_from_usd",
    "price_table_version",
    "stated_price",
    "token_price",
    "tokens_nanos",
]
