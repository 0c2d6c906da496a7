"""From a deployment's name to a target: which model is behind it, in which APIs it is asked, and what it costs.

Azure's names are the operator's own. What the configuration lists counts. A deployment that is not listed and is called
exactly like a model with a price is taken to be that model, because the portal proposes that name; of any other nothing is known.

The catalogue's prices are those of Global Standard deployments, which are the models' makers' own. Data zones and regions cost
more, by how much differs from model to model: their price is unknown until it is stated. Provisioned throughput is paid by the
hour, and its tokens cost nothing.

Sources: https://azure.microsoft.com/pricing/details/cognitive-services/openai-service/ and
https://learn.microsoft.com/azure/ai-foundry/openai/how-to/deployment-types, 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from trimaran.catalog import capabilities, known_providers_of, stated_price, token_price
from trimaran.config import Config, DeploymentConfig, ProviderConfig, closest, dotted, quote
from trimaran.errors import ConfigError
from trimaran.providers.azure.endpoint import is_dated
from trimaran.types import PriceTier, Target, TokenPrice

__all__ = ["check_deployment", "deployment_problems", "deployment_target", "listed_deployments"]

RESPONSES_SINCE = "2025-03-01-preview"
"""The first dated version that has the Responses API."""
_OPENAIS_OWN = re.compile(r"(?:gpt|o[1-9]|chatgpt|codex|computer-use|text-embedding|model-router)\b", re.IGNORECASE)


def deployment_target(
    template: Target, upstream: str, day: str | None, written: DeploymentConfig | None = None
) -> Target:
    """The target of one deployment behind ``template``; ``written``: as it is listed."""
    model = (written.model if written is not None else "") or upstream
    known = capabilities(model)
    price = token_price("azure", model, day) if model == upstream or written is not None else None
    facts = template.facts
    if written is not None:
        facts = facts | {"base_model": model}
        if written.sku != "GlobalStandard":
            price = None
        if written.capacity is not None:
            facts = facts | {"ptu": str(written.capacity.ptu)}
            price = _paid_by_the_hour(written)
    return msgspec.structs.replace(
        template,
        id=f"{template.provider}/{upstream}",
        upstream_model=upstream,
        dialects=_dialects(template, model),
        price=price,
        capabilities=known,
        facts=facts,
    )


def listed_deployments(template: Target, settings: ProviderConfig, day: str | None) -> Iterator[Target]:
    """Those that the configuration lists."""
    for name, written in settings.deployments.items():
        yield deployment_target(template, name, day, written)


def check_deployment(template: Target, upstream: str, settings: ProviderConfig) -> Iterator[str]:
    """Warnings about a deployment that a model names."""
    if upstream in settings.deployments:
        return
    table = dotted(("providers", template.provider, "deployments"))
    near = closest(upstream, settings.deployments)
    if near:
        yield f"{template.provider}/{upstream} is not listed in {table}; did you mean {near}?"
    elif token_price("azure", upstream) is None:
        yield (
            f"nobody knows which model is behind {template.provider}/{upstream}, so what it can do and what it costs is unknown; "
            f"write {table}: {{{upstream}: {{model: gpt-4o-mini}}}}, or whichever it is"
        )


def deployment_problems(name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
    """What is wrong with the settings of the provider called ``name``."""
    for deployment, written in settings.deployments.items():
        path = ("providers", name, "deployments", deployment)
        stated = written.capacity
        if stated is not None and stated.amortised_hourly_nanos > (stated.hourly_nanos or 0):
            here: tuple[str, ...] = (*path, "capacity", "amortised_hourly")
            yield ConfigError(
                f"{dotted(here)}: is more than hourly, which it is a part of",
                where=config.where(*here),
                hint="write the whole price as hourly",
            )
        if stated is not None and written.sku != "GlobalStandard":
            here = (*path, "sku")
            yield ConfigError(
                f"{dotted(here)}: {quote(written.sku)} is paid by tokens, and capacity says that it is paid by the hour",
                where=config.where(*here),
                hint="keep one of them; provisioned throughput has no sku here, wherever it is",
            )
    if settings.deployments and settings.capacity is not None:
        here = ("providers", name, "capacity")
        yield ConfigError(
            f"{dotted(here)}: a resource of Azure OpenAI has no replicas",
            where=config.where(*here),
            hint="state provisioned throughput with its deployment: deployments: {NAME: {capacity: {ptu: 100, hourly: 1 USD}}}",
        )


def _dialects(template: Target, model: str) -> tuple[str, ...]:
    """The APIs that a model is asked in: Responses are a matter of OpenAI's own models, and of the API's version."""
    version = template.facts.get("api_version", "")
    old = is_dated(version) and version < RESPONSES_SINCE
    foreign = bool(known_providers_of(model) or capabilities(model)) and _OPENAIS_OWN.match(model) is None
    if not (old or foreign):
        return template.dialects
    return tuple(name for name in template.dialects if name != "openai.responses") or template.dialects


def _paid_by_the_hour(written: DeploymentConfig) -> TokenPrice | None:
    """Nothing for tokens, where the hours have a price; else unknown, because nothing pays for it."""
    stated = written.capacity
    if stated is None or stated.hourly_nanos is None:
        return None
    return stated_price(
        PriceTier(0, 0, 0), source="provisioned throughput: paid by the hour", as_of=stated.as_of or "capacity"
    )
