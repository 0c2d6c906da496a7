"""One attempt's cost, line by line: each kind of token at its price, as the bill was made.

The lines follow the rules of :func:`trimaran.catalog.cost_nanos` and add up to it in pico-dollars before it rounds; a test
holds both together. A kind without a price of its own stands in the line of the kind that it is charged as.
"""

from __future__ import annotations

from typing import NamedTuple

from trimaran.catalog.money import STANDARD_TIERS
from trimaran.types import PriceTier, TokenPrice, Usage

__all__ = ["Charge", "charges"]

PICOS_PER_NANO = 1000


class Charge(NamedTuple):
    """``quantity`` units at ``picos`` pico-dollars each."""

    kind: str
    """``input``, ``cached_input``, ``cache_write``, ``cache_write_1h``, ``audio_input``, ``output``, ``reasoning``,
    ``audio_output``, ``web_search``, ``file_search``, ``request``."""
    quantity: int
    picos: int
    above_input_tokens: int = 0
    """The price's step: it holds for prompts longer than this."""

    @property
    def amount_picos(self) -> int:
        """Quantity times price."""
        return self.quantity * self.picos


def charges(price: TokenPrice, usage: Usage, service_tier: str = "") -> list[Charge]:
    """The lines with a quantity, in the order of their kinds; none for a tier or a search without a price of its own."""
    tiers = price.tiers if service_tier in STANDARD_TIERS else price.services.get(service_tier)
    if not tiers:
        return []
    tier = _tier(tiers, usage.input_tokens)
    cached, written, written_1h = usage.cached_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    whole = usage.input_tokens
    spoken_in = usage.audio_input_tokens if tier.audio_input is not None else 0
    if spoken_in:
        whole = max(usage.input_tokens - spoken_in, 0)
        if max(spoken_in, cached + max(written, written_1h)) <= usage.input_tokens:
            # Each fits into the prompt, so what is too much for both together is in both and charged as audio.
            written, written_1h = min(written, whole), min(written_1h, whole)
            cached = min(cached, whole - max(written, written_1h))
    if not written and not cached:
        # A part without its whole was not written.
        written_1h = 0
    write = tier.input if tier.cache_write is None else tier.cache_write
    quantities: list[tuple[str, int, int]] = [
        ("input", max(whole - cached - max(written, written_1h), 0), tier.input),
        ("cached_input", cached, tier.input if tier.cached_read is None else tier.cached_read),
        ("cache_write", max(written - written_1h, 0), write),
        ("cache_write_1h", written_1h, write if tier.cache_write_1h is None else tier.cache_write_1h),
        ("audio_input", spoken_in, tier.audio_input or 0),
        *_output(tier, usage),
        ("web_search", usage.web_searches if price.web_search is not None else 0, price.web_search or 0),
        ("file_search", usage.file_searches if price.file_search is not None else 0, price.file_search or 0),
        ("request", 1 if price.request else 0, price.request),
    ]
    return [Charge(kind, quantity, picos, tier.above_input_tokens) for kind, quantity, picos in quantities if quantity]


def _tier(tiers: tuple[PriceTier, ...], input_tokens: int) -> PriceTier:
    reached = [tier for tier in tiers if input_tokens > tier.above_input_tokens]
    return reached[-1] if reached else tiers[0]


def _output(tier: PriceTier, usage: Usage) -> list[tuple[str, int, int]]:
    thought = usage.reasoning_tokens if tier.reasoning is not None else 0
    spoken = usage.audio_output_tokens if tier.audio_output is not None else 0
    rest = max(max(usage.output_tokens - thought, 0) - spoken, 0)
    return [
        ("output", rest, tier.output),
        ("reasoning", thought, tier.reasoning or 0),
        ("audio_output", spoken, tier.audio_output or 0),
    ]
