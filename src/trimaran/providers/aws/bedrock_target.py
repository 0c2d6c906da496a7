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

from collections.abc import Iterator

import msgspec

from trimaran.catalog import (
    BedrockName,
    bedrock_capabilities,
    bedrock_name,
    bedrock_price,
    geographies_of,
    known_profiles,
    known_regions,
    needs_profile,
)
from trimaran.config import Config, ProviderConfig, closest, quote
from trimaran.errors import ConfigError
from trimaran.providers.rows import output_limit
from trimaran.types import Target

__all__ = ["BEDROCK", "CONVERSE", "bedrock_dialects", "bedrock_problems", "bedrock_target", "check_bedrock_target"]

BEDROCK = "bedrock"

CONVERSE = ("bedrock.converse",)
_CLAUDE = ("anthropic.messages", "anthropic.count_tokens")
_OWN_BODIES = {"anthropic": _CLAUDE, "meta": ("bedrock.llama",), "mistral": ("bedrock.mistral",)}
"""By vendor: what a model is spoken to in through InvokeModel."""

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
    """What is wrong with the settings that only Bedrock has."""
    for upstream, base in settings.base_models.items():
        if not _model_of(base):
            yield ConfigError(
                f"providers.{name}.base_models: {quote(base)} names no model of Bedrock's",
                where=config.where("providers", name, "base_models", upstream),
                hint="write the id of the foundation model, or of the profile that yours was made from, for example "
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            )


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
    # Of the Region it is said once, whichever targets there are.
    return (*_region_warnings(region, provider), *(f"{where}: {warning}" if where else warning for warning in found))


def _region_warnings(region: str, provider: str) -> list[str]:
    if not region or region in known_regions():
        return []
    near = closest(region, known_regions())
    meant = f"; did you mean {near}?" if near else ""
    return [f"{provider}: {region} is no Region that this version knows{meant}"]


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
