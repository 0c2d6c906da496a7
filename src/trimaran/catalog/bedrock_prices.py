"""What a token costs on Bedrock, by where it is computed.

The general table (:mod:`.token_prices`) has Bedrock's prices of the United States, of ``global.`` profiles and of Claude in
its regional form, and takes a name from anywhere else for one of these. Elsewhere prices differ: an in-Region price in
London is up to 1.6 times that of Virginia, GovCloud's is 1.2 times. So a second table goes by *scope*: the geography of an
inference profile, or the Region in which a bare id is asked for (any commercial one of the United States counts as
``us``). It is asked first; the general one answers where what it says is known to hold:

* ``global.`` profiles, and anything in the commercial Regions of the United States;
* Claude in every other commercial scope, because Anthropic's models cost the same in all of them: a tenth above the
  global price from Claude 4.5 on, the same as it before (https://platform.claude.com/docs/en/about-claude/pricing, "Third
  party platform pricing", read 2026-11-30).

Anything else is *unknown*. Provisioned throughput is paid by the hour and trained models have prices of their own: unknown
by token, whatever the model. An opaque name (an application's profile) costs what the model behind it does, told by the
configuration.

Service tiers (``priority``, ``flex``, ``batch``) have their own published prices, model by model: about 1.75 and 0.5 times
the standard one, each rounded by AWS to whole cents, so no factor is applied where no price was published.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from trimaran.catalog.bedrock import GLOBAL, BedrockName, bedrock_name
from trimaran.catalog.token_prices import token_price
from trimaran.types import PriceTier, TokenPrice

__all__ = ["bedrock_price", "scope_of"]

_PROVIDER = "aws"
_BY_TOKEN = frozenset({"model", "profile", "application profile"})
_US = "us"


class _Row(msgspec.Struct, array_like=True):
    tiers: list[list[int | None]]
    services: dict[str, list[list[int | None]]] = {}


class _File(msgspec.Struct):
    table: str
    as_of: str
    source: str
    models: dict[str, dict[str, _Row]]
    """By model and scope."""


def scope_of(name: BedrockName, region: str) -> str:
    """Where ``name`` is computed when it is asked for in ``region``: a geography, or a Region outside the United States."""
    if name.geography:
        return name.geography
    place = name.region or region
    return _US if place.startswith("us-") and not place.startswith(("us-gov-", "us-iso")) else place


@lru_cache(maxsize=1024)
def bedrock_price(text: str, region: str, base_model: str = "", on: str | None = None) -> TokenPrice | None:
    """What a token costs when ``text`` is asked for in ``region``, or ``None``: unknown, never another model's price.

    ``base_model`` is what the operator says is behind an opaque name: a model's id, or a profile's where that is what it
    was made from. ``on`` is an ISO date, as for :func:`~trimaran.catalog.token_prices.token_price`. Raises ``ValueError``
    as :func:`~trimaran.catalog.bedrock.bedrock_name` does.
    """
    name = bedrock_name(text)
    if name.kind not in _BY_TOKEN:
        return None
    if name.opaque and base_model:
        name = msgspec.structs.replace(bedrock_name(base_model), region=name.region)
        if name.kind not in _BY_TOKEN:
            return None
    if name.opaque:
        return None
    scope = scope_of(name, region)
    return _stated(name, scope, region) or _general(name, scope, on)


def _stated(name: BedrockName, scope: str, region: str) -> TokenPrice | None:
    """From the table by scope."""
    scopes = _file().models.get(name.model, {})
    # A profile's own row; then the Region's, which a bare id in the United States may have beside that of all of them.
    own = scopes.get(name.geography) if name.geography else scopes.get(name.region or region) or scopes.get(scope)
    if own is None:
        return None
    table = _file()
    return TokenPrice(
        version=f"{table.table}@{table.as_of}",
        source=f"bedrock/{scope}/{name.model}: {table.source}",
        as_of=table.as_of,
        tiers=_tiers(own.tiers),
        services={service: _tiers(tiers) for service, tiers in own.services.items()},
    )


def _general(name: BedrockName, scope: str, on: str | None) -> TokenPrice | None:
    """From the general table, where its figures hold in ``scope``."""
    commercial = not scope.startswith(("us-gov", "us-iso", "eu-iso", "cn-", "eusc-")) and scope != ""
    if scope not in (GLOBAL, _US) and not (name.vendor == "anthropic" and commercial):
        return None
    return token_price(_PROVIDER, name.profile, on)


def _tiers(table: list[list[int | None]]) -> tuple[PriceTier, ...]:
    return tuple(PriceTier(row[0] or 0, row[1] or 0, row[2] or 0, *row[3:]) for row in table)


@cache
def _file() -> _File:
    return msgspec.json.decode((files("trimaran.catalog") / "bedrock_prices.json").read_bytes(), type=_File)
