"""From a configured online endpoint to a target: where it is, which dialects its container speaks, and what its door needs to
know. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from trimaran.catalog import capabilities
from trimaran.config import Config, OnlineEndpointConfig, ProviderConfig, closest, dotted, is_loopback, quote
from trimaran.errors import ConfigError
from trimaran.providers.azure.access import NO_ENDPOINT
from trimaran.types import Secret, Target
from trimaran.wire.chat_templates import TEMPLATES, template_of

__all__ = ["DIALECTS_OF", "endpoint_keys", "listed_endpoints", "online_doubts", "online_problems", "online_target"]

DIALECTS_OF: dict[str, tuple[str, ...]] = {
    "openai": ("openai.chat", "openai.embeddings"),
    "score": ("azure_ml.score",),
    "score_prompt": ("azure_ml.score",),
    "huggingface": ("huggingface.generate",),
    "triton": ("kserve.v2",),
}
"""By ``container``."""
_PROMPTED = ("score_prompt", "huggingface")
_NAMED = ("openai", "triton")
"""Containers whose bodies or paths name a model."""
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""One label of a host: a name with more in it would lead somewhere else, and the credential with it."""
_NOBODY = "no-such-endpoint.invalid"
_PAGES = ("ml.azure.com", "ai.azure.com", "portal.azure.com")


def online_target(template: Target, upstream: str, written: OnlineEndpointConfig | None = None) -> Target:
    """The target of one endpoint behind ``template``; ``written``: as it is listed."""
    target = msgspec.structs.replace(
        template,
        id=f"{template.provider}/{upstream}",
        upstream_model=upstream,
        base_url=template.base_url.replace("{endpoint}", upstream.lower() if _NAME.fullmatch(upstream) else _NOBODY),
    )
    if written is None:
        return target
    facts = {
        "container": written.container,
        "deployment": written.deployment,
        "served_model": written.model,
        "base_model": written.base_model,
    }
    if written.url:
        parts = urlsplit(written.url)
        labels = (parts.hostname or "").split(".")
        facts |= {"path": parts.path, "endpoint": labels[0] if _region(written.url) else ""}
    return msgspec.structs.replace(
        target,
        base_url=_origin(written.url) if written.url else target.base_url,
        dialects=DIALECTS_OF[written.container],
        capabilities=capabilities(written.base_model) if written.base_model else None,
        credential=target.id if written.api_key is not None else target.credential,
        region=_region(written.url) or target.region,
        facts=target.facts | {name: value for name, value in facts.items() if value},
    )


def listed_endpoints(template: Target, settings: ProviderConfig) -> Iterator[Target]:
    """Those that the configuration lists."""
    for name, written in settings.online_endpoints.items():
        yield online_target(template, name, written)


def endpoint_keys(provider: str, settings: ProviderConfig) -> dict[str, Secret]:
    """The keys that endpoints have of their own, by the name of the credential."""
    return {
        f"{provider}/{name}": written.api_key
        for name, written in settings.online_endpoints.items()
        if written.api_key is not None
    }


def online_problems(name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
    """What is wrong with the endpoints that the provider called ``name`` lists."""
    table = ("providers", name, "online_endpoints")
    for endpoint, written in settings.online_endpoints.items():
        for field, message, hint in _wrong(written, settings):
            path = (*table, endpoint, *field.split("."))
            yield ConfigError(f"{dotted(path)}: {message}", where=config.where(*path), hint=hint)
    if settings.online_endpoints and settings.capacity is not None:
        path = ("providers", name, "capacity")
        yield ConfigError(
            f"{dotted(path)}: an endpoint has instances of its own",
            where=config.where(*path),
            hint="state the capacity of each in online_endpoints",
        )


def _wrong(written: OnlineEndpointConfig, settings: ProviderConfig) -> Iterator[tuple[str, str, str]]:
    """Field, what is wrong with it, and what to write."""
    if not written.url and not settings.region and not settings.base_url:
        yield (
            "url",
            "nothing says where the endpoint is",
            "write the scoring URI that `az ml online-endpoint show --name NAME --query scoring_uri` shows, or the provider's region",
        )
    host = urlsplit(written.url).hostname or ""
    if host.endswith(_PAGES) and not host.endswith(".inference.ml.azure.com"):
        yield (
            "url",
            f"{host} is a page for people",
            "write the scoring URI: https://NAME.REGION.inference.ml.azure.com/score",
        )
    if written.model and written.container not in _NAMED:
        yield (
            "model",
            f"a body for the container {written.container} holds no model",
            f"remove it; it is for {', '.join(_NAMED)}",
        )
    if written.container in _PROMPTED and template_of(written.base_model) is None:
        families = ", ".join(TEMPLATES)
        if written.base_model:
            message = f"nobody knows how {quote(written.base_model)} tells the turns of a prompt apart"
            yield "base_model", message, f"known families: {families}; or container: score, if it takes turns"
        else:
            yield (
                "container",
                f"{written.container} is asked with one prompt, and nothing says how its model tells turns apart",
                f"write base_model: llama-3.1-8b, or the like; known families: {families}",
            )
    stated = written.capacity
    if stated is not None and stated.amortised_hourly_nanos > (stated.hourly_nanos or 0):
        yield (
            "capacity.amortised_hourly",
            "is more than hourly, which it is a part of",
            "write the whole price as hourly",
        )


def online_doubts(provider: str, settings: ProviderConfig, names: Iterator[str]) -> Iterator[str]:
    """Warnings about the targets of ``provider`` that are called ``names``, and about what is listed."""
    for endpoint, written in settings.online_endpoints.items():
        parts = urlsplit(written.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            where = dotted(("providers", provider, "online_endpoints", endpoint, "url"))
            yield f"{where}: the credential of {provider}/{endpoint} travels unencrypted; use https://"
    for name in names:
        if name in settings.online_endpoints:
            continue
        near = closest(name, settings.online_endpoints)
        if near:
            yield (
                f"{provider}/{name} is no endpoint listed in {dotted(('providers', provider, 'online_endpoints'))}, so it is taken "
                f"to answer in OpenAI's form; did you mean {near}?"
            )


def unplaced(target: Target) -> bool:
    """Whether nobody said where the endpoint is."""
    return target.base_url.endswith(NO_ENDPOINT.rpartition("}")[2])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _region(url: str) -> str | None:
    labels = (urlsplit(url).hostname or "").split(".")
    return labels[1] if labels[2:5] == ["inference", "ml", "azure"] else None
