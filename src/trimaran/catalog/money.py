"""The arithmetic of one attempt's cost: integers only, rounded up once.

A tier is chosen by the whole prompt's length and holds for every token of the attempt, input and output: crossing the
limit reprices all of it (that is how the providers bill, and how genai-prices computes; no tier is marginal).

An audio token may have been read from the cache, too, and no dialect says how many were. Where a tier has a price of
audio, audio tokens are charged at it in full, and the cached ones are taken for text as far as there is text. That is
what a provider bills that gives no discount on cached audio, and never less than what others bill; where they do, the
table's row carries the caveat ``cache_audio_read_mtok``.

A service tier (flex, priority, batch, fast) has prices of its own, for the whole attempt. One that served an answer and
has no known price makes the cost *unknown*: the standard price would be too much for flex and too little for priority,
and a budget keeps what it has reserved. The same holds for a search whose fee is unknown.

``Decimal`` appears only in :func:`price_from_usd`, which runs when a configuration is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation

import msgspec

from trimaran.errors import ConfigError
from trimaran.types import PriceTier, TokenPrice, Usage

__all__ = [
    "STANDARD_TIERS",
    "Rates",
    "bound_nanos",
    "cost_nanos",
    "dearest_rates",
    "format_usd",
    "price_from_usd",
    "stated_price",
    "tokens_nanos",
]

STANDARD_TIERS = frozenset({"", "auto", "standard", "default", "on_demand"})
"""Words for the tier whose prices are a model's own. ``on_demand`` is Groq's (https://console.groq.com/docs/service-tiers)."""

Rates = tuple[tuple[int, int, int], ...]
"""``(above_input_tokens, input, output)``, by the first: the dearest price of any token once the prompt is longer."""

_PICO_PER_NANO = 1000
_PICO_PER_USD = 10**12
_TOKENS_PER_PRICE = 10**6
_DEAREST_USD = 10**6
"""Highest price taken for meant, in dollars per million tokens or per request: it catches a slipped unit."""

Usd = str | int | float | Decimal


def cost_nanos(price: TokenPrice, usage: Usage, service_tier: str = "") -> int | None:
    """What the attempt cost, in nano-dollars, rounded up once; ``None`` where that is unknown.

    ``service_tier`` is the one that served it, in neutral words. ``cache_write_1h_tokens`` are a part of
    ``cache_write_tokens``. Parts that add up to more than their whole (a provider that reports them apart) are each
    charged at their own price, and the rest of the whole is taken as zero. Audio that is cached is charged as audio, once:
    see the module's note.
    """
    tiers: tuple[PriceTier, ...] | None = price.tiers
    if service_tier and service_tier not in STANDARD_TIERS:
        tiers = price.services.get(service_tier)
        if tiers is None:
            return None
    pico = price.request
    if usage.web_searches:
        if price.web_search is None:
            return None
        pico += usage.web_searches * price.web_search
    if usage.file_searches:
        if price.file_search is None:
            return None
        pico += usage.file_searches * price.file_search
    assert tiers is not None
    return -(-(pico + _tokens_pico(tiers, usage)) // _PICO_PER_NANO)


def tokens_nanos(price: TokenPrice, usage: Usage) -> int:
    """What the tokens of an attempt and the request itself cost at the standard prices: what a cost is predicted from."""
    return -(-(price.request + _tokens_pico(price.tiers, usage)) // _PICO_PER_NANO)


def _tokens_pico(tiers: tuple[PriceTier, ...], usage: Usage) -> int:
    tier = tiers[0]
    input_tokens = usage.input_tokens
    if len(tiers) > 1:
        for candidate in tiers:
            if input_tokens > candidate.above_input_tokens:
                tier = candidate
    plain = tier.input
    pico = 0
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
    return pico + output_tokens * tier.output


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


def dearest_rates(price: TokenPrice, services: Iterable[str], *, audio: bool) -> Rates:
    """The dearest price of each token that the standard tier and ``services`` (those that are known) can charge, and with
    ``audio`` that of audio, too. Rows that a cheaper one can never exceed are left out."""
    found: dict[int, tuple[int, int]] = {}
    for table in (price.tiers, *(price.services[name] for name in services if name in price.services)):
        for tier in table:
            read = max(tier.input, tier.cached_read or 0, tier.cache_write or 0, tier.cache_write_1h or 0)
            written = max(tier.output, tier.reasoning or 0)
            if audio:
                read, written = max(read, tier.audio_input or 0), max(written, tier.audio_output or 0)
            before = found.get(tier.above_input_tokens, (0, 0))
            found[tier.above_input_tokens] = max(before[0], read), max(before[1], written)
    return tuple((above, *found[above]) for above in sorted(found))


def bound_nanos(
    price: TokenPrice,
    rates: Rates,
    input_tokens: int,
    max_output_tokens: int,
    web_searches: int = 0,
    file_searches: int = 0,
) -> int | None:
    """The most an attempt can cost, in nano-dollars: dearest reachable tier, dearest kind of each token; ``None`` where a
    fee is unknown.

    Holds for every usage whose ``input_tokens``, ``output_tokens`` and searches do not exceed the limits and whose parts do
    not exceed their whole (of the output: together), served by a tier that is in ``rates`` (:func:`dearest_rates`).
    ``input_tokens`` must itself be a bound (the bytes of the prompt are one), not an estimate.
    """
    dearest = 0
    for above, read, written in rates:
        if above and above >= input_tokens:
            break
        pico = input_tokens * read + max_output_tokens * written
        if pico > dearest:
            dearest = pico
    dearest += price.request
    if web_searches:
        if price.web_search is None:
            return None
        dearest += web_searches * price.web_search
    if file_searches:
        if price.file_search is None:
            return None
        dearest += file_searches * price.file_search
    return -(-dearest // _PICO_PER_NANO)


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

    ``source`` says where it is written (``trimaran.yaml:12``), ``as_of`` is the ISO date of that.

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
    return stated_price(tier, source=source, as_of=as_of, request=pico(usd_per_request, "usd_per_request", tokens=1))


def stated_price(
    tier: PriceTier,
    *,
    source: str,
    as_of: str,
    request: int = 0,
    services: Mapping[str, PriceTier] | None = None,
    web_search: int | None = None,
    file_search: int | None = None,
    valid_from: str = "",
) -> TokenPrice:
    """A price the operator states, in pico-dollars; ``services`` by neutral tier.

    The version carries a digest of the figures, so that a changed price is a new version in the ledger.
    """
    # Only what is stated counts: a kind that gets a field later must not give every price a new version.
    stated = [_said(tier), request]
    extras: list[object] = [(name, _said(each)) for name, each in sorted((services or {}).items())]
    extras += [(name, fee) for name, fee in (("web", web_search), ("file", file_search)) if fee is not None]
    if valid_from:
        extras.append(valid_from)
    digest = hashlib.sha256(repr((*stated, *extras)).encode()).hexdigest()[:8]
    return TokenPrice(
        version=f"stated@{as_of}#{digest}",
        source=source,
        as_of=as_of,
        tiers=(tier,),
        request=request,
        services={name: (each,) for name, each in (services or {}).items()},
        web_search=web_search,
        file_search=file_search,
        valid_from=valid_from,
    )


def _said(tier: PriceTier) -> list[tuple[str, int]]:
    return [(name, value) for name, value in msgspec.structs.asdict(tier).items() if value is not None]


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
