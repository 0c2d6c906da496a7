"""From a name of Bedrock's and the operator's settings to a target: what it speaks, can do and costs, and what is wrong with
it.

What is asked in which dialect goes by the base model. Claude speaks Converse and, through InvokeModel, Anthropic's own API;
every other model speaks Converse, unless the operator wants the model's own body (``api: invoke``), which Claude, Llama and
Mistral have. An opaque name (an application's profile, provisioned throughput, an imported model) is what the operator says
it is (``base_models``).

A name is wrong for certain when it is no name of Bedrock's, belongs to another Region, or is a profile of another part of the
world: those are refused with what to write. A model that AWS is known to serve through profiles only is warned of, because
AWS changes that without a word, and Bedrock's own answer says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from trimaran.catalog import (
    BedrockName,
    bedrock_capabilities,
    bedrock_name,
    bedrock_price,
    geographies_of,
    known_profiles,
    needs_profile,
)
from trimaran.config import Config, ProviderConfig, closest, quote
from trimaran.errors import ConfigError
from trimaran.providers.rows import output_limit
from trimaran.types import Target
from trimaran.wire import DIALECTS

__all__ = [
    "BEDROCK",
    "CONVERSE",
    "bedrock_dialects",
    "bedrock_doubts",
    "bedrock_problems",
    "bedrock_target",
    "check_bedrock_target",
]

BEDROCK = "bedrock"

CONVERSE = ("bedrock.converse",)
_CLAUDE = ("anthropic.messages", "anthropic.count_tokens")
_OWN_BODIES = {"anthropic": _CLAUDE, "meta": ("bedrock.llama",), "mistral": ("bedrock.mistral",)}
"""By vendor: what a model is spoken to in through InvokeModel."""
_SPOKEN = (*CONVERSE, *(dialect for dialects in _OWN_BODIES.values() for dialect in dialects))

_LIST = "`aws bedrock list-inference-profiles --region {region}` shows those that there are"
_OPAQUE_PRICED = "application profile"


def bedrock_dialects(model: str, api: str) -> tuple[str, ...]:
    """What is spoken to a base model (an id with its vendor, or empty: unknown). ``api`` is the operator's wish:
    ``converse``, ``invoke``, or empty."""
    vendor = model.partition(".")[0]
    if api == "invoke":
        return _OWN_BODIES.get(vendor, CONVERSE)
    if vendor == "anthropic" and api != "converse":
        return CONVERSE + _CLAUDE
    return CONVERSE


def bedrock_target(template: Target, upstream: str, *, base_model: str = "", day: str | None = None) -> Target:
    """The target of one model behind ``template``, a target of the provider whose ``region`` is the one asked and whose fact
    ``api`` is the operator's wish. ``day`` is an ISO date, for the price. Never raises: what a client may name behind a
    wildcard may be nothing that there is, and Bedrock says so."""
    name = _name(upstream)
    told = base_model if (name is None or name.opaque) and _model_of(base_model) else ""
    model = _model_of(told) if told else name.model if name is not None else ""
    known = bedrock_capabilities(upstream, told) if name is not None and model else None
    price = bedrock_price(upstream, template.region or "", told, day) if name is not None else None
    facts = dict(template.facts)
    api = facts.pop("api", "")
    if model:
        facts["base_model"] = model
    # What the operator wrote for the provider holds for each of its models.
    dialects = template.dialects if template.dialects != CONVERSE else bedrock_dialects(model, api)
    return msgspec.structs.replace(
        template,
        id=f"{template.provider}/{upstream}",
        upstream_model=upstream,
        dialects=dialects,
        price=price,
        capabilities=known,
        max_output_tokens=template.max_output_tokens or output_limit(dialects, known),
        facts=facts,
    )


def bedrock_problems(name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
    """What is wrong with the settings that only Bedrock has, and with dialects that it does not speak."""
    for dialect in settings.dialects:
        if dialect in DIALECTS and dialect not in _SPOKEN:
            yield ConfigError(
                f"providers.{name}.dialects: Bedrock does not speak {dialect}",
                where=config.where("providers", name, "dialects"),
                hint=f"leave dialects out: each model is asked in what it has, of {', '.join(_SPOKEN)}",
            )
    for upstream, base in settings.base_models.items():
        yield from _wrong_key(name, upstream, config)
        if not _model_of(base):
            yield ConfigError(
                f"providers.{name}.base_models: {quote(base)} names no model of Bedrock's",
                where=config.where("providers", name, "base_models", upstream),
                hint="write the id of the foundation model, or of the profile that yours was made from, for example "
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            )


def _wrong_key(name: str, upstream: str, config: Config) -> Iterator[ConfigError]:
    try:
        bedrock_name(upstream)
    except ValueError as error:
        if upstream.startswith("arn:"):
            where = config.where("providers", name, "base_models", upstream)
            yield ConfigError(f"providers.{name}.base_models: {error}", where=where)


def bedrock_doubts(name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterator[str]:
    """Warnings about ``base_models`` of names that tell their model or are none of Bedrock's, and of one that is nearly that of
    a target of which nothing is said."""
    asked = [target.upstream_model for target in targets.values() if target.provider == name]
    unsaid = [model for model in asked if model not in settings.base_models and _opaque(model)]
    for upstream in settings.base_models:
        found = _name(upstream)
        if found is None:
            yield f"providers.{name}.base_models: {quote(upstream)} is no name of Bedrock's, so nothing there answers to it"
        elif not found.opaque:
            yield (
                f"providers.{name}.base_models: {quote(upstream)} tells its model itself, so what is written there is not "
                "used; it is for application profiles, provisioned throughput, imported and trained models"
            )
        near = closest(upstream, unsaid, cutoff=0.9)
        if near:
            yield f"providers.{name}.base_models: nothing is said of {near}, which is nearly {upstream}; is that meant?"


def _opaque(text: str) -> bool:
    found = _name(text)
    return found is not None and found.opaque


def check_bedrock_target(
    template: Target, upstream: str, settings: ProviderConfig | None = None, where: str = ""
) -> tuple[str, ...]:
    """Warnings about one configured target, each with what to write instead. Raises :class:`ConfigError` for a name that
    cannot be right in the Region of ``template``; ``where`` is ``file:line``."""
    region, provider = template.region or "", template.provider
    try:
        name = bedrock_name(upstream)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from None
    if name.region and region and name.region != region:
        raise ConfigError(
            f"{quote(upstream)} is of {name.region}, and {provider} asks in {region}",
            where=where,
            hint=f"give {name.region} a provider of its own: providers: {{{provider}-{name.region}: {{kind: {BEDROCK}, "
            f"region: {name.region}}}}}",
        )
    _check_geography(name, region, where)
    settings = settings or ProviderConfig()
    found = _warnings(name, region, settings.base_models.get(upstream, ""), settings.api, provider)
    return tuple(f"{where}: {warning}" if where else warning for warning in found)


def _check_geography(name: BedrockName, region: str, where: str) -> None:
    offered = geographies_of(region)
    if not region or not name.geography or name.geography in offered:
        return
    if offered and not _own(region) and name.geography != "us-gov":
        # South America, Africa, the Middle East: which of others' profiles they may use differs by model.
        return
    better = _profile_for(name.model, region)
    instead = f"write {better}, or choose a region of {name.geography}" if better else _LIST.format(region=region)
    raise ConfigError(
        f"{quote(name.text)} is a profile of {name.geography}, and cannot be asked for in {region}",
        where=where,
        hint=instead,
    )


def _warnings(name: BedrockName, region: str, base_model: str, api: str, provider: str) -> list[str]:
    found: list[str] = []
    source = needs_profile(name)
    if source:
        better = _profile_for(name.model, region)
        write = f"write {provider}/{better}" if better else _LIST.format(region=region)
        found.append(f"{name.text}: AWS serves this model through inference profiles only; {write}. Source: {source}")
    if name.opaque and not base_model:
        priced = ", its price" if name.kind == _OPAQUE_PRICED else ""
        found.append(
            f"{name.text}: an ARN of a {name.kind} does not tell its model, so what it can do{priced} and in which of its "
            f"own APIs it can be asked are unknown; say it: providers.{provider}.base_models: {{{name.text}: <id of the "
            "foundation model>}"
        )
    model = _model_of(base_model) if base_model else name.model
    if api == "invoke" and model and bedrock_dialects(model, api) == CONVERSE:
        found.append(
            f"{name.text}: api is invoke, and only Claude, Llama and Mistral have that; it is asked through Converse"
        )
    return found


def _profile_for(model: str, region: str) -> str:
    """The id of the profile of ``model`` to write in ``region``: the narrowest that is known; empty where none is."""
    known = known_profiles(model)
    return next((f"{each}.{model}" for each in geographies_of(region) if each in known), "")


def _own(region: str) -> bool:
    """Whether a Region belongs to a geography besides the whole world."""
    return any(each != "global" for each in geographies_of(region))


def _name(text: str) -> BedrockName | None:
    try:
        return bedrock_name(text)
    except ValueError:
        return None


def _model_of(text: str) -> str:
    """The base model of a name; empty where it tells none."""
    found = _name(text)
    return found.model if found is not None else ""
