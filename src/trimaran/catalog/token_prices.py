"""Token prices of the public providers: which row of the shipped table a model name means.

The table is derived from genai-prices (MIT) by ``scripts/derive_token_prices.py``; this module never imports it. A name
is resolved as genai-prices resolves it: case does not matter, the first model in the table's order that matches wins,
then the providers whose models this one resells (Azure: OpenAI's), then the same again with a compact date written out
(``-20251211`` as ``-2025-12-11``). Unlike there, a provider's name must be exactly a known one: a self-hosted
``my-openai-proxy`` has no price here, because *unknown* must not become OpenAI's price.

A row without tiers matches and has no price: *unknown*. A row without an output price belongs to a model that answers
with no tokens (embeddings, rerankers); its ``output`` is 0.

Prices are dated. A row holds the price of the table's own day and announced changes; :func:`token_price` takes a day, and
:func:`next_price_change` says when to ask again.

Nothing is read before the first question; then the file's outline (under 1 ms), and each provider when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from trimaran.catalog.clauses import Clause, matches
from trimaran.types import PriceTier, TokenPrice

__all__ = [
    "ModelFacts",
    "known_providers_of",
    "model_facts",
    "next_price_change",
    "price_table_version",
    "token_price",
]

_ALIASES = {
    "amazon": "aws",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "copilot": "github-copilot",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "vertex": "google",
    "vertex_ai": "google",
    "xai": "x-ai",
}
_LONGEST_NAME = 256
"""Names come from clients; no priced model's name is longer than 100 characters."""

Tier = list[int | None]


class ModelFacts(msgspec.Struct, frozen=True):
    """What the table knows about a model besides its price."""

    provider: str
    """Whose row it is: for a reseller's fallback, the original provider."""
    id: str
    context_tokens: int | None
    max_output_tokens: int | None
    """``None``: the table does not know it."""
    caveats: tuple[str, ...]
    """What can make the true price differ: ``time_of_day`` (the dearest hour is in the table), ``rounded``, a variant that
    it has no word for (``by_route``), or a billed unit that it has no column for (``audio_hours``;
    ``cache_audio_read_mtok``: cached audio is billed at less than it is charged here)."""


class _Extras(msgspec.Struct, frozen=True, rename={"since": "from"}):
    """What few prices have."""

    services: dict[str, list[Tier]] = {}
    web_search: int | None = None
    file_search: int | None = None
    since: str = ""


_NO_EXTRAS = _Extras()


class _Change(msgspec.Struct, array_like=True):
    start: str
    tiers: list[Tier] | None
    request: int
    extras: _Extras = _NO_EXTRAS


class _Row(msgspec.Struct, array_like=True):
    id: str
    match: list[Clause]
    tiers: list[Tier] | None
    request: int = 0
    context_tokens: int = 0
    caveats: list[str] = []
    later: list[_Change] = []
    extras: _Extras = _NO_EXTRAS


class _Provider(msgspec.Struct):
    source: str
    home: list[Clause]
    fallbacks: list[str]
    models: list[_Row]
    exact: dict[str, int] = {}
    """Name to position, for the clauses that are a whole name."""
    patterns: list[tuple[int, Clause]] = []
    """Position and clause, in order, for all others."""

    def find(self, name: str) -> _Row | None:
        """The first model in order that matches the lower-case ``name``."""
        best = self.exact.get(name, len(self.models))
        for position, clause in self.patterns:
            if position >= best:
                break
            if matches(clause, name):
                best = position
                break
        return self.models[best] if best < len(self.models) else None


class _File(msgspec.Struct):
    table: str
    as_of: str
    changes: list[str]
    """Days on which any price changes, later than ``as_of``."""
    providers: dict[str, msgspec.Raw]


def price_table_version() -> str:
    """Name, version and date of the shipped table: ``genai-prices-0.2.3@2026-11-24``."""
    file = _file()
    return f"{file.table}@{file.as_of}"


@lru_cache(maxsize=1024)
def token_price(provider: str, upstream_model: str, on: str | None = None) -> TokenPrice | None:
    """What ``upstream_model`` costs at ``provider``, or ``None``: unknown, never free.

    ``provider`` is an id of the table (``openai``, ``anthropic``, ``aws``, ``google``, ``azure``, ``x-ai``) or another
    common name for it (``bedrock``, ``vertex``, ``azure_openai``, ``xai``). ``on`` is an ISO date: announced changes
    that have come into force by then are taken; left out, the price of the table's own date.
    """
    found = _find(provider, upstream_model)
    if found is None:
        return None
    owner, row = found
    now: _Row | _Change = row
    effective = _file().as_of
    for change in row.later:
        if on is not None and change.start <= on:
            now, effective = change, change.start
    if now.tiers is None:
        return None
    extras = now.extras
    # What a reseller asks for another service tier is its own affair; genai-prices says nothing of it, either.
    services = extras.services if owner == _ALIASES.get(provider, provider) else {}
    return TokenPrice(
        version=f"{_file().table}@{effective}",
        source=f"{owner}/{row.id}: {_provider(owner).source}",
        as_of=effective,
        tiers=_tiers(now.tiers),
        request=now.request,
        services={name: _tiers(table) for name, table in services.items()},
        web_search=extras.web_search,
        file_search=extras.file_search,
        valid_from=extras.since,
    )


def next_price_change(after: str) -> str | None:
    """The first day later than ``after`` (ISO dates) on which an announced change comes into force."""
    return next((day for day in _file().changes if day > after), None)


def model_facts(provider: str, upstream_model: str) -> ModelFacts | None:
    """Context length and the price's caveats, or ``None`` for a model that the table does not know."""
    found = _find(provider, upstream_model)
    if found is None:
        return None
    owner, row = found
    return ModelFacts(
        provider=owner,
        id=row.id,
        context_tokens=row.context_tokens or None,
        max_output_tokens=None,
        caveats=tuple(row.caveats),
    )


@lru_cache(maxsize=1024)
def known_providers_of(model: str) -> tuple[str, ...]:
    """Ids of the providers that sell ``model`` at a known price: its home first, then in the table's order."""
    name = model.lower()
    sellers = [provider for provider in _file().providers if token_price(provider, model) is not None]
    return tuple(sorted(sellers, key=lambda p: not any(matches(clause, name) for clause in _provider(p).home)))


@cache
def _file() -> _File:
    return msgspec.json.decode((files("trimaran.catalog") / "token_prices.json").read_bytes(), type=_File)


@cache
def _provider(provider: str) -> _Provider:
    table = msgspec.json.decode(_file().providers[provider], type=_Provider)
    exact: dict[str, int] = {}
    for position, row in enumerate(table.models):
        for clause in row.match:
            if isinstance(clause, str) and clause[0] == "=":
                exact.setdefault(clause[1:], position)
            else:
                table.patterns.append((position, clause))
    table.exact = exact
    return table


def _find(provider: str, model: str) -> tuple[str, _Row] | None:
    """The provider whose row it is, and the row."""
    provider = _ALIASES.get(provider, provider)
    if provider not in _file().providers or len(model) > _LONGEST_NAME:
        return None
    name = model.lower()
    for spelling in dict.fromkeys((name, _date_written_out(name))):
        for owner in _sellers(provider):
            row = _provider(owner).find(spelling)
            if row is not None:
                return owner, row
    return None


def _sellers(provider: str) -> Iterator[str]:
    yield provider
    yield from _provider(provider).fallbacks


def _tiers(table: list[Tier]) -> tuple[PriceTier, ...]:
    return tuple(_tier(cells) for cells in table)


def _tier(cells: Tier) -> PriceTier:
    above, input_price, output_price, *parts = [*cells, None] if len(cells) == 2 else cells
    return PriceTier(above or 0, input_price or 0, output_price or 0, *parts)


_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


def _date_written_out(name: str) -> str:
    def written_out(match: re.Match[str]) -> str:
        year, month, day = match.groups()
        try:
            return f"-{date(int(year), int(month), int(day)).isoformat()}"
        except ValueError:
            return match.group(0)

    return _COMPACT_DATE.sub(written_out, name)
