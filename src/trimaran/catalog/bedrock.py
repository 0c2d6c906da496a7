"""What Bedrock's names mean: which base model, by which road, computed where.

Bedrock is asked for a *base model* (``anthropic.claude-3-haiku-20240307-v1:0``: computed in the Region asked), for an
*inference profile* (``eu.…``, ``global.…``: computed anywhere in that geography), or for an ARN. Some ARNs say nothing
of a model: an application's own profile, provisioned throughput, an imported or trained model. Whoever made those knows
what is behind them and says so in the configuration; nothing is guessed here.

The facts are data with their source (``bedrock.json``): which models AWS serves through profiles only, which Regions
belong to a geography, and what Bedrock lacks of what a model can do elsewhere. Profiles are known as far as the table of
prices knows them; an unknown one may exist, and is never a reason to refuse.

Sources: the pattern of ``modelId`` in botocore 1.44.8 (bedrock-runtime), and those named in the data, read 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from trimaran.catalog.capabilities import capabilities
from trimaran.catalog.clauses import Clause, matches
from trimaran.types import Capabilities

__all__ = [
    "BedrockName",
    "bedrock_capabilities",
    "bedrock_name",
    "betas_taken",
    "cut_from_messages",
    "geographies_of",
    "known_profiles",
    "known_regions",
    "needs_profile",
    "takes_instructions",
]

GLOBAL = "global"

_KINDS = {
    "foundation-model": "model",
    "inference-profile": "profile",
    "application-inference-profile": "application profile",
    "provisioned-model": "provisioned throughput",
    "custom-model": "custom model",
    "custom-model-deployment": "deployment of a custom model",
    "imported-model": "imported model",
    "prompt": "prompt",
    "prompt-router": "prompt router",
    "default-prompt-router": "prompt router",
}
"""By the word in an ARN."""
_ENDPOINT = "marketplace endpoint"

_ARN = re.compile(r"arn:(aws[a-z-]*):(bedrock|sagemaker):([a-z0-9-]+):([0-9]{12})?:([a-z-]+)/(.+)")
_ID = re.compile(r"[a-z0-9-]{1,63}\.[a-z0-9][a-z0-9.:_-]{0,190}")
_PREFIX = re.compile(r"([a-z]{2}(?:-gov|-[a-z]+)?|apac|global)\.(?=[a-z0-9]+\.[a-z0-9])")
"""A geography before ``vendor.model``. A model's name may hold dots of its own (``moonshotai.kimi-k2.5``), but no vendor has
a name of two letters."""


class BedrockName(msgspec.Struct, frozen=True, kw_only=True):
    """One name by which Bedrock is asked for something."""

    text: str
    kind: str
    """``model``, ``profile``, ``application profile``, ``provisioned throughput``, ``custom model``, …"""
    model: str = ""
    """The base model's id, with its vendor and without a geography; empty where the name does not tell it."""
    geography: str = ""
    """Of an inference profile: ``us``, ``eu``, ``global``."""
    region: str = ""
    """The Region that an ARN names."""

    @property
    def vendor(self) -> str:
        """``anthropic``, ``meta``; empty where no model is told."""
        return self.model.partition(".")[0]

    @property
    def base(self) -> str:
        """The model's name without its vendor."""
        return self.model.partition(".")[2]

    @property
    def profile(self) -> str:
        """The id by which a profile or a model is called without an ARN."""
        return f"{self.geography}.{self.model}" if self.geography else self.model

    @property
    def opaque(self) -> bool:
        """Whether only its maker knows which model is behind it."""
        return not self.model


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    match: list[Clause]
    source: str
    lacks: str = ""

    def means(self, model: str) -> bool:
        return any(matches(clause, model) for clause in self.match)


class _Cut(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    members: dict[str, str]
    tools: dict[str, str]


class _Betas(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    passes: frozenset[str]
    renamed: dict[str, str]


class _Facts(msgspec.Struct, forbid_unknown_fields=True):
    as_of: str
    sources: dict[str, str]
    profile_only: list[_Rule]
    lacks: list[_Rule]
    no_system: list[Clause]
    messages: _Cut
    betas: _Betas
    known_regions: str
    geographies: dict[str, str]


class _Profiles(msgspec.Struct):
    profiles: dict[str, list[str]]


@lru_cache(maxsize=1024)
def bedrock_name(text: str) -> BedrockName:
    """What ``text`` names. Raises ``ValueError`` for what Bedrock cannot be asked for, with what it can."""
    if not text.startswith("arn:"):
        return _plain(text, text)
    found = _ARN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:100]!r} is no ARN of Bedrock's; they look like {_EXAMPLE}")
    _, service, region, _, word, rest = found.groups()
    if service == "sagemaker":
        if word != "endpoint":
            raise ValueError(f"{text[:100]!r} is no endpoint; of SageMaker's ARNs Bedrock takes endpoints only")
        return BedrockName(text=text, kind=_ENDPOINT, region=region)
    kind = _KINDS.get(word)
    if kind is None:
        raise ValueError(f"Bedrock runs no {word!r}; its ARNs look like {_EXAMPLE}")
    if kind in ("model", "profile"):
        return msgspec.structs.replace(_plain(rest, text), kind=kind, region=region)
    model = rest.rpartition("/")[0] if kind == "custom model" else ""
    return BedrockName(text=text, kind=kind, model=model, region=region)


_EXAMPLE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"


def _plain(rest: str, text: str) -> BedrockName:
    found = _PREFIX.match(rest)
    geography = found[1] if found is not None else ""
    model = rest[len(geography) + 1 :] if geography else rest
    if _ID.fullmatch(model) is None:
        raise ValueError(
            f"{text[:100]!r} names no model of Bedrock's; an id looks like us.anthropic.claude-sonnet-4-5-20250929-v1:0 or "
            "meta.llama3-8b-instruct-v1:0 (`aws bedrock list-foundation-models` and `list-inference-profiles` have them)"
        )
    return BedrockName(text=text, kind="profile" if geography else "model", model=model, geography=geography)


def geographies_of(region: str) -> tuple[str, ...]:
    """The geographies whose profiles can be asked for in ``region``, the narrowest first: ``("jp", "apac", "global")``."""
    if region.startswith(("cn-", "us-iso", "eu-iso", "eusc-")):
        return ()
    if region.startswith("us-gov-"):
        return ("us-gov",)
    found = [
        (len(regions.split()), name)
        for name, regions in _facts().geographies.items()
        if name != "us-gov" and any(region.startswith(each) for each in regions.split())
    ]
    own = [name for _, name in sorted(found, key=lambda each: (each[1] == "apac", each))]
    if region.startswith("ca-"):
        own.append("us")
    return (*own, GLOBAL)


def known_regions() -> tuple[str, ...]:
    """AWS's Regions. A new one may be missing."""
    return tuple(_facts().known_regions.split())


def known_profiles(model: str) -> tuple[str, ...]:
    """The geographies for which a profile of ``model`` is known. There may be others."""
    return tuple(_profiles().get(model, ()))


def needs_profile(name: BedrockName) -> str:
    """Why ``name`` cannot be asked for as it is: where that AWS serves the model through profiles only was read. Empty where
    it can, or nobody knows."""
    if name.kind != "model" or name.opaque:
        return ""
    rule = next((rule for rule in _facts().profile_only if rule.means(name.model)), None)
    return f"{_source(rule.source)} ({_facts().as_of})" if rule is not None else ""


def takes_instructions(model: str) -> bool:
    """Whether Converse takes a system prompt for ``model``, as far as is known."""
    return not any(matches(clause, model) for clause in _facts().no_system)


def bedrock_capabilities(text: str, base_model: str = "") -> Capabilities | None:
    """What the model behind a name of Bedrock's can do there; ``None``: unknown.

    ``base_model`` is what the operator says is behind an opaque one. Raises ``ValueError`` as :func:`bedrock_name` does.
    """
    name = bedrock_name(text)
    if base_model:
        name = bedrock_name(base_model)
    known = capabilities(name.model) if name.model else None
    if known is None:
        return None
    cut = [(rule.lacks.split(), _source(rule.source)) for rule in _facts().lacks if rule.means(name.model)]
    if not cut:
        return known
    lacks = frozenset(feature for features, _ in cut for feature in features)
    source = "; ".join((known.source, *(where for _, where in cut)))
    return msgspec.structs.replace(known, has=known.has - lacks, lacks=known.lacks | lacks, source=source)


def cut_from_messages(members: Iterable[str], tool_types: Iterable[str]) -> list[tuple[str, str]]:
    """What of a request in ``anthropic.messages`` Bedrock does not have, though Anthropic's own API does: member (or a type
    of tool) and reason. ``tool_types`` are the types of its tools."""
    cut = _facts().messages
    found = [(name, cut.members[name]) for name in members if name in cut.members]
    for kind in tool_types:
        found += [(kind, why) for beginning, why in cut.tools.items() if kind.startswith(beginning)]
    return found


def betas_taken(flags: Iterable[str]) -> list[str]:
    """Those of Anthropic's beta flags that Bedrock takes, under its own names and each once. It refuses a request with any
    other; what such a flag unlocks has members of its own, which Bedrock refuses by name."""
    betas = _facts().betas
    found = (betas.renamed.get(flag, flag) for flag in flags)
    return list(dict.fromkeys(flag for flag in found if flag in betas.passes))


def _source(keys: str) -> str:
    """A rule's source in full: words that are keys of the table's sources are written out."""
    sources = _facts().sources
    parts = []
    for part in keys.split("; "):
        key, colon, more = part.partition(": ")
        written = sources.get(key)
        parts.append(part if written is None else f"{written}: {more}" if colon else written)
    return "; ".join(parts)


@cache
def _facts() -> _Facts:
    return msgspec.json.decode((files("trimaran.catalog") / "bedrock.json").read_bytes(), type=_Facts)


@cache
def _profiles() -> dict[str, list[str]]:
    data = (files("trimaran.catalog") / "bedrock_prices.json").read_bytes()
    return msgspec.json.decode(data, type=_Profiles).profiles
