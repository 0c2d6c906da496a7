"""Facts, checked: what a token costs where and what a base model can do, with source and date.

Five subjects: the table of prices that ships (:mod:`.token_prices`: which row a model name means), the arithmetic of
money (:mod:`.money`: what an attempt cost, what it can cost at most, and prices that the operator states), the table of
capabilities (:mod:`.capabilities`), what a picture is at most (:mod:`.pictures`), and what the names of Amazon Bedrock mean and
cost (:mod:`.bedrock`, :mod:`.bedrock_prices`). Prices are integer pico-dollars
per token, amounts integer nano-dollars.
"""

from __future__ import annotations

from trimaran.catalog.bedrock import (
    BedrockName,
    bedrock_capabilities,
    bedrock_name,
    betas_taken,
    cut_from_messages,
    geographies_of,
    known_profiles,
    known_regions,
    needs_profile,
    takes_instructions,
)
from trimaran.catalog.bedrock_prices import bedrock_price
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
    "BedrockName",
    "ModelFacts",
    "Rates",
    "bedrock_capabilities",
    "bedrock_name",
    "bedrock_price",
    "betas_taken",
    "bound_nanos",
    "capabilities",
    "cost_nanos",
    "cut_from_messages",
    "dearest_rates",
    "families",
    "format_usd",
    "geographies_of",
    "known_profiles",
    "known_providers_of",
    "known_regions",
    "model_facts",
    "needs_profile",
    "next_price_change",
    "overridden",
    "picture_tokens",
    "price_from_usd",
    "price_table_version",
    "stated_price",
    "takes_instructions",
    "token_price",
    "tokens_nanos",
]
