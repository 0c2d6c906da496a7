"""From a name of Vertex AI's to a target: who made the model, what it speaks there, what it can do and costs.

A model has a publisher, and the publisher decides in which API it is asked: Google's own models in generateContent, Claude in
Anthropic's Messages, Mistral's in its own chat API (which is OpenAI's), all others in OpenAI's. The publisher stands before
the name (``meta/llama-3.3-70b-instruct-maas``); where it is left out, the name tells it. ``endpoints/<id>`` is an endpoint of one's own.

Prices are those of the table's ``google`` row. Claude from 4.5 on costs a tenth more at a regional or multi-regional endpoint than at the
global one; Google's own models and open ones cost the same everywhere. What a publisher charges whose row the table lacks is unknown.

Sources: cloud.google.com/vertex-ai, "Partner models" and "Open models as MaaS"; https://platform.claude.com/docs/en/about-claude/pricing
("Third-party platform pricing"); docs.mistral.ai, "Vertex AI"; all read 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from trimaran.catalog import capabilities, token_price
from trimaran.config import ProviderConfig, quote
from trimaran.errors import ConfigError
from trimaran.providers.rows import output_limit
from trimaran.types import PriceTier, Target, TokenPrice

__all__ = ["CLAUDE", "ENDPOINT", "GEMINI", "OPEN", "check_vertex_target", "published", "vertex_price", "vertex_target"]

GEMINI = ("gemini.generate", "gemini.count_tokens")
CLAUDE = ("anthropic.messages", "anthropic.count_tokens")
OPEN = ("openai.chat",)

ENDPOINT = re.compile(r"endpoints/(?P<id>[A-Za-z0-9][A-Za-z0-9-]{0,62})")

_PUBLISHERS = (
    ("claude", "anthropic"),
    ("llama", "meta"),
    ("mistral", "mistralai"),
    ("codestral", "mistralai"),
    ("ministral", "mistralai"),
    ("jamba", "ai21"),
    ("deepseek", "deepseek-ai"),
    ("qwen", "qwen"),
    ("gpt-oss", "openai"),
    ("kimi", "moonshotai"),
    ("minimax", "minimaxai"),
    ("glm", "zai-org"),
    ("grok", "xai"),
)
"""How a model's name begins, and who publishes it on Vertex AI. What is in none of them is Google's."""
_PREMIUM_FROM = re.compile(r"claude-(?:[a-z]+-)?(?P<major>\d+)(?:-(?P<minor>\d{1,2})(?!\d))?")


def published(upstream: str) -> tuple[str, str]:
    """Publisher and model of a name."""
    publisher, slash, model = upstream.rpartition("/")
    if slash:
        return publisher, model
    lower = model.lower()
    return next((owner for beginning, owner in _PUBLISHERS if lower.startswith(beginning)), "google"), model


def vertex_target(template: Target, upstream: str, *, day: str | None = None) -> Target:
    """The target of a name behind ``template``, a target of the provider with ``*`` for its model. Never raises."""
    named = msgspec.structs.replace(template, id=f"{template.provider}/{upstream}", upstream_model=upstream)
    found = ENDPOINT.fullmatch(upstream)
    if found is not None:
        # Nothing is known of what answers there but that most of it takes OpenAI's form.
        facts = template.facts | {"endpoint": found["id"]}
        return msgspec.structs.replace(
            named, dialects=(*OPEN, "vertex.predict"), price=None, capabilities=None, facts=facts
        )
    publisher, model = published(upstream)
    dialects = GEMINI if publisher == "google" else CLAUDE if publisher == "anthropic" else OPEN
    known = capabilities(model)
    return msgspec.structs.replace(
        named,
        upstream_model=f"{publisher}/{model}" if dialects is OPEN else model,
        dialects=dialects,
        price=vertex_price(publisher, model, template.facts.get("location", ""), day),
        max_output_tokens=template.max_output_tokens or output_limit(dialects, known),
        capabilities=known,
        facts=template.facts | {"publisher": publisher},
    )


def vertex_price(publisher: str, model: str, location: str, day: str | None) -> TokenPrice | None:
    """What a model costs at a location; ``None``: unknown."""
    if publisher not in ("google", "anthropic"):
        return None
    price = token_price("google", model, day)
    if price is None or publisher == "google":
        return price
    if not price.source.startswith("google/"):
        # A row of Anthropic's own: nobody has written down what Google takes for this model.
        return None
    if location == "global" or not _has_premium(model):
        return price
    # Rounded up: a price that is not whole pico-dollars must not become cheaper.
    return msgspec.structs.replace(
        price,
        source=f"{price.source}; 10 % more outside of the global endpoint",
        tiers=tuple(_dearer(tier) for tier in price.tiers),
    )


def _has_premium(model: str) -> bool:
    found = _PREMIUM_FROM.match(model.lower())
    if found is None:
        return False
    return (int(found["major"]), int(found["minor"] or 0)) >= (4, 5)


def _dearer(tier: PriceTier) -> PriceTier:
    def more(price: int | None) -> int | None:
        return None if price is None else -(-price * 11 // 10)

    return PriceTier(
        tier.above_input_tokens,
        more(tier.input) or 0,
        more(tier.output) or 0,
        more(tier.cached_read),
        more(tier.cache_write),
        more(tier.cache_write_1h),
        more(tier.reasoning),
        more(tier.audio_input),
        more(tier.audio_output),
    )


def check_vertex_target(template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterator[str]:
    """Warnings about a name that the configuration gives at ``where``. Raises :class:`ConfigError` for one that cannot be right."""
    name = f"{template.provider}/{upstream}"
    location = template.facts.get("location", "")
    if upstream in settings.endpoints:
        if location in ("global", "us", "eu"):
            raise _no_region(name, location, where)
        return
    if ENDPOINT.fullmatch(upstream) is not None:
        if location in ("global", "us", "eu"):
            raise _no_region(name, location, where)
        yield (
            f"{where}: nothing is known of what answers behind {name}; it is asked in OpenAI's form. List it in "
            f"providers.{template.provider}.endpoints to say what it is"
        )
        return
    publisher, _ = published(upstream)
    if upstream.count("/") > 1:
        raise ConfigError(
            f"{quote(name)} is no name of Vertex AI's",
            where=where,
            hint="a model is written publisher/model, such as meta/llama-3.3-70b-instruct-maas, an endpoint of your own "
            "endpoints/1234567890123456789",
        )
    if publisher == "anthropic" and (dated := re.fullmatch(r"(.*)-(20\d{6})", upstream)):
        raise ConfigError(
            f"{quote(name)} is how Anthropic names it; Vertex AI has the date behind an @",
            where=where,
            hint=f"write {template.provider}/{dated[1]}@{dated[2]}",
        )
    if re.match(r"(?:[a-z]+\.)?anthropic\.|.*-v\d+:\d+$", upstream):
        raise ConfigError(
            f"{quote(name)} is how Bedrock names it",
            where=where,
            hint="Vertex AI's names are like claude-sonnet-4-5@20250929; "
            "https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai lists them",
        )


def _no_region(name: str, location: str, where: str) -> ConfigError:
    return ConfigError(
        f"{name} is an endpoint of your own, and the location is {location}: endpoints stand in a region",
        where=where,
        hint="write location: us-central1 (where it was deployed); `gcloud ai endpoints list --region=...` shows them",
    )
