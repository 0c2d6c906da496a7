"""Every kind of provider that knows more of its targets than their names say: a :class:`~trimaran.providers.kind.Kind`, found by
:attr:`~trimaran.types.Target.kind`. Whoever builds a snapshot asks it, and knows no vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from trimaran.config import Config, ProviderConfig, dotted
from trimaran.errors import ConfigError
from trimaran.providers.aws.bedrock_target import (
    bedrock_doubts,
    bedrock_problems,
    bedrock_target,
    check_bedrock_target,
)
from trimaran.providers.aws.sagemaker_endpoints import (
    check_endpoint_name,
    endpoint_target,
    near_endpoint,
    prompt_problem,
    stated_elsewhere,
)
from trimaran.providers.azure.kind import AzureML, AzureOpenAI
from trimaran.providers.google.kind import Gemini, Vertex
from trimaran.providers.kind import Kind
from trimaran.types import Target

__all__ = ["KINDS", "Kind", "kind_of", "problems_of"]


class _Bedrock(Kind):
    """Amazon Bedrock: see :mod:`trimaran.providers.aws.bedrock_target`."""

    own_settings: ClassVar[frozenset[str]] = frozenset({"api", "base_models"})

    def target(self, template: Target, upstream: str, day: str | None) -> Target:
        return bedrock_target(template, upstream, day=day)

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        return check_bedrock_target(template, upstream, settings, where)

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterator[Target]:
        for upstream, base in settings.base_models.items():
            yield bedrock_target(template, upstream, base_model=base, day=day)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
        yield from bedrock_problems(name, settings, config)

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterator[str]:
        yield from bedrock_doubts(name, settings, targets)


class _SageMaker(Kind):
    """Amazon SageMaker: see :mod:`trimaran.providers.aws.sagemaker_endpoints`."""

    own_settings: ClassVar[frozenset[str]] = frozenset({"endpoints"})

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        check_endpoint_name(upstream, template.provider, settings, where)
        return ()

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterator[Target]:
        for endpoint, written in settings.endpoints.items():
            yield endpoint_target(self.target(template, endpoint, day), written)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
        for endpoint, written in settings.endpoints.items():
            if written.container == "garden" or written.dedicated_dns:
                field = "dedicated_dns" if written.dedicated_dns else "container"
                here = ("providers", name, "endpoints", endpoint, field)
                yield ConfigError(f"{dotted(here)}: only Vertex AI has it", where=config.where(*here), hint="remove it")
            problem = prompt_problem(written)
            if problem is not None:
                path = ("providers", name, "endpoints", endpoint)
                yield ConfigError(f"{dotted(path)}: {problem[0]}", where=config.where(*path), hint=problem[1])
        yield from stated_elsewhere(name, settings, config)

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterator[str]:
        for target in targets.values() if settings.endpoints else ():
            near = near_endpoint(target.upstream_model, settings.endpoints) if target.provider == name else ""
            if near:
                yield (
                    f"{target.id} is no endpoint listed in {dotted(('providers', name, 'endpoints'))}, so it is taken to "
                    f"answer in OpenAI's form; did you mean {near}?"
                )


KINDS: dict[str, Kind] = {
    "azure_ml": AzureML(),
    "azure_openai": AzureOpenAI(),
    "bedrock": _Bedrock(),
    "sagemaker": _SageMaker(),
    "gemini": Gemini(),
    "vertex": Vertex(),
}
"""By :attr:`~trimaran.types.Target.kind`; all others are plain."""

_PLAIN = Kind()


def kind_of(kind: str) -> Kind:
    """What is known of the targets of a provider of this kind; empty: of one's own."""
    return KINDS.get(kind, _PLAIN)


def problems_of(kind: Kind, name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
    """What is wrong with the settings of the provider called ``name``: those that only other kinds have, and what its own kind
    finds."""
    for field in sorted(frozenset().union(*(each.own_settings for each in KINDS.values())) - kind.own_settings):
        if getattr(settings, field):
            owners = [known for known, each in KINDS.items() if field in each.own_settings]
            only = f"only {owners[0]} has it" if len(owners) == 1 else f"only {', '.join(owners)} have it"
            yield ConfigError(
                f"providers.{name}.{field}: {only}",
                where=config.where("providers", name, field),
                hint=f"remove it, or write kind: {owners[0]}",
            )
    yield from kind.problems(name, settings, config)
