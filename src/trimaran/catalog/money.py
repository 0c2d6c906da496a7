"""The arithmetic of one attempt's cost: integers only, rounded up once.

A tier is chosen by the whole prompt's length and holds for every token of the attempt, input and output: crossing the
limit reprices all of it (that is how the providers bill, and how genai-prices computes; no tier is marginal).

An audio token may have been read from the cache, too, and no dialect says how many were. Where a tier has a price of
audio, audio tokens are charged at it in full, and the cached ones are taken for text as far as there is text. That is
what a provider bills that gives no discount on cached audio, and never less than what others bill; where they do, the
table's row carries the caveat ``cache_audio_read_mtok``.

``Decimal`` appears only in :func:`price_from_usd`, which runs when a configuration is read.
"""

from __future__ import annotations

import hashlib
from decimal import ROUND_CEILING, Decimal, InvalidOperation

import msgspec

from trimaran.errors import ConfigError
from trimaran.types import PriceTier, TokenPrice, Usage

__all__ = ["bound_nanos", "cost_nanos", "format_usd", "price_from_usd"]

_PICO_PER_NANO = 1000
_PICO_PER_USD = 10**12
_TOKENS_PER_PRICE = 10**6
_DEAREST_USD = 10**6
"""Highest price taken for meant, in dollars per million tokens or per request: it catches a slipped unit."""

Usd = str | int | float | Decimal


def cost_nanos(price: TokenPrice, usage: Usage) -> int:
    """What the attempt cost, in nano-dollars, rounded up once.

    ``cache_write_1h_tokens`` are a part of ``cache_write_tokens``. Parts that add up to more than their whole (a
    provider that reports them apart) are each charged at their own price, and the rest of the whole is taken as zero.
    Audio that is cached is charged as audio, once: see the module's note.
    """
    tiers = price.tiers
    tier = tiers[0]
    input_tokens = usage.input_tokens
    if len(tiers) > 1:
        for candidate in tiers:
            if input_tokens > candidate.above_input_tokens:
                tier = candidate
    plain = tier.input
    pico = price.request
    if usage.audio_input_tokens and tier.audio_input is not None:
        pico += usage.audio_input_tokens * tier.audio_input
        usage = _without_audio_input(usage)
        input_tokens = usage.input_tokens
    cached = usage.cached_read_tokens
    written = usage.cache_write_tokens
    if cached or written:
        rate = tier.cached_read
        pico += cached * (plain if rate is None else rate)
        write_rate = plain if tier.cache_write is None else tier.cache_write
        written_1h = usage.cache_write_1h_tokens
        if written_1h:
            rate = tier.cache_write_1h
            pico += written_1h * (write_rate if rate is None else rate)
        if written > written_1h:
            pico += (written - written_1h) * write_rate
        input_tokens -= cached + max(written, written_1h)
    if input_tokens > 0:
        pico += input_tokens * plain
    output_tokens = usage.output_tokens
    if tier.reasoning is not None:
        thought = usage.reasoning_tokens
        pico += thought * tier.reasoning
        output_tokens = max(output_tokens - thought, 0)
    if usage.audio_output_tokens and tier.audio_output is not None:
        spoken = usage.audio_output_tokens
        pico += spoken * tier.audio_output
        output_tokens = max(output_tokens - spoken, 0)
    pico += output_tokens * tier.output
    return -(-pico // _PICO_PER_NANO)


def _without_audio_input(usage: Usage) -> Usage:
    """What is left to charge: the text of the prompt, with as many cached tokens as it can hold."""
    text = max(usage.input_tokens - usage.audio_input_tokens, 0)
    cached, written, written_1h = usage.cached_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    if max(usage.audio_input_tokens, cached + max(written, written_1h)) <= usage.input_tokens:
        # Each fits into the prompt, so what is too much for both together is in both.
        written = min(written, text)
        written_1h = min(written_1h, text)
        cached = min(cached, text - max(written, written_1h))
    return Usage(
        text, usage.output_tokens, cached, written, written_1h, usage.reasoning_tokens, 0, usage.audio_output_tokens
    )


def bound_nanos(price: TokenPrice, input_tokens: int, max_output_tokens: int, *, audio: bool = True) -> int:
    """The most an attempt can cost, in nano-dollars: dearest reachable tier, dearest kind of each token.

    Holds for every usage whose ``input_tokens`` and ``output_tokens`` do not exceed the two limits and whose parts do
    not exceed their whole (of the output: together). ``input_tokens`` must itself be a bound (the bytes of the prompt
    are one), not an estimate. ``audio`` False: there is none, neither in the request nor in the answer.
    """
    dearest = 0
    for tier in price.tiers:
        if tier.above_input_tokens and tier.above_input_tokens >= input_tokens:
            break
        read = max(tier.input, tier.cached_read or 0, tier.cache_write or 0, tier.cache_write_1h or 0)
        written = max(tier.output, tier.reasoning or 0)
        if audio:
            read, written = max(read, tier.audio_input or 0), max(written, tier.audio_output or 0)
        dearest = max(dearest, input_tokens * read + max_output_tokens * written)
    return -(-(price.request + dearest) // _PICO_PER_NANO)


def price_from_usd(
    input_usd_per_mtok: Usd,
    output_usd_per_mtok: Usd,
    *,
    source: str,
    as_of: str,
    cached_read_usd_per_mtok: Usd | None = None,
    cache_write_usd_per_mtok: Usd | None = None,
    cache_write_1h_usd_per_mtok: Usd | None = None,
    reasoning_usd_per_mtok: Usd | None = None,
    audio_input_usd_per_mtok: Usd | None = None,
    audio_output_usd_per_mtok: Usd | None = None,
    usd_per_request: Usd = 0,
) -> TokenPrice:
    """A price the operator states, in dollars per million tokens. Exact to one pico-dollar per token, else rounded up.

    ``source`` says where it is written (``trimaran.yaml:12``), ``as_of`` is the ISO date from which it holds. The
    version carries a digest of the figures, so that a changed price is a new version in the ledger.

    Raises:
        ConfigError: a figure that is not a finite decimal number from 0 to 1,000,000.
    """

    def pico(usd: Usd, field: str, tokens: int = _TOKENS_PER_PRICE) -> int:
        return int((_decimal(usd, field, source) * _PICO_PER_USD / tokens).to_integral_value(ROUND_CEILING))

    def part(usd: Usd | None, field: str) -> int | None:
        return None if usd is None else pico(usd, field)

    tier = PriceTier(
        above_input_tokens=0,
        input=pico(input_usd_per_mtok, "input_usd_per_mtok"),
        output=pico(output_usd_per_mtok, "output_usd_per_mtok"),
        cached_read=part(cached_read_usd_per_mtok, "cached_read_usd_per_mtok"),
        cache_write=part(cache_write_usd_per_mtok, "cache_write_usd_per_mtok"),
        cache_write_1h=part(cache_write_1h_usd_per_mtok, "cache_write_1h_usd_per_mtok"),
        reasoning=part(reasoning_usd_per_mtok, "reasoning_usd_per_mtok"),
        audio_input=part(audio_input_usd_per_mtok, "audio_input_usd_per_mtok"),
        audio_output=part(audio_output_usd_per_mtok, "audio_output_usd_per_mtok"),
    )
    request = pico(usd_per_request, "usd_per_request", tokens=1)
    # Only what is stated counts: a kind that gets a field later must not give every price a new version.
    stated = [(name, value) for name, value in msgspec.structs.asdict(tier).items() if value is not None]
    digest = hashlib.sha256(repr((stated, request)).encode()).hexdigest()[:8]
    return TokenPrice(version=f"stated@{as_of}#{digest}", source=source, as_of=as_of, tiers=(tier,), request=request)


def format_usd(nanos: int) -> str:
    """Dollars in full, at least two decimals: ``$0.00000735``, ``$12.50``. Integer arithmetic, nothing is rounded."""
    whole, rest = divmod(abs(nanos), 10**9)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}${whole:,}.{decimals}"


def _decimal(usd: Usd, field: str, where: str) -> Decimal:
    hint = "write dollars per million tokens as a plain number, for example 0.15"
    if isinstance(usd, bool):
        raise ConfigError(f"{field} is {usd!r}, not a price", where=where, hint=hint)
    try:
        # A float came from a configuration file as the shortest text that means it; that text is the price.
        number = Decimal(str(usd) if isinstance(usd, float) else usd)
    except (InvalidOperation, ValueError, TypeError):
        raise ConfigError(f"{field} is {usd!r}, not a price", where=where, hint=hint) from None
    if not number.is_finite() or not 0 <= number <= _DEAREST_USD:
        raise ConfigError(f"{field} is {usd!r}; a price lies between 0 and {_DEAREST_USD}", where=where, hint=hint)
    return number
