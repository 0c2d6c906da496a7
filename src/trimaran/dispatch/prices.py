"""Prices that the operator states, and the days on which prices change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from trimaran.catalog import next_price_change, stated_price
from trimaran.config import SERVICES, Config, PriceConfig, TokenPricesConfig
from trimaran.types import PriceTier, TokenPrice

__all__ = ["in_force", "next_change_ns", "today"]

_PICO_PER_NANO = 1000


def today() -> str:
    """The day by the wall clock, in UTC, as an ISO date."""
    return datetime.now(UTC).date().isoformat()


def in_force(versions: Sequence[PriceConfig], day: str, where: str) -> TokenPrice | None:
    """The version that holds on ``day``, as a price; ``None`` where each begins later. ``where``: ``file:line``."""
    begun = [version for version in versions if version.from_ <= day]
    return _price(max(begun, key=lambda version: version.from_), where) if begun else None


def next_change_ns(config: Config, day: str) -> int | None:
    """When the first price changes after ``day``, of those that the configuration states and those of the catalogue:
    midnight UTC, as wall-clock nanoseconds."""
    stated = (
        version.from_
        for provider in config.providers.values()
        for versions in provider.prices.values()
        for version in versions
    )
    days = [each for each in (*stated, next_price_change(day)) if each is not None and each > day]
    return int(datetime.fromisoformat(min(days)).replace(tzinfo=UTC).timestamp()) * 10**9 if days else None


def _price(stated: PriceConfig, where: str) -> TokenPrice:
    services = {name: getattr(stated, name) for name in SERVICES}
    return stated_price(
        _tier(stated),
        source=f"{stated.source} ({where})",
        as_of=stated.as_of or stated.from_ or "undated",
        request=stated.request_nanos * _PICO_PER_NANO,
        services={name: _tier(prices) for name, prices in services.items() if prices is not None},
        web_search=stated.web_search_picos,
        file_search=stated.file_search_picos,
        valid_from=stated.from_,
    )


def _tier(stated: TokenPricesConfig) -> PriceTier:
    return PriceTier(
        0,
        stated.input_picos,
        stated.output_picos,
        stated.cached_read_picos,
        stated.cache_write_picos,
        stated.cache_write_1h_picos,
        stated.reasoning_picos,
        stated.audio_input_picos,
        stated.audio_output_picos,
    )
