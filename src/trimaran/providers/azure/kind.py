"""What the kinds of provider at Azure know of their targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from trimaran.config import Config, ProviderConfig
from trimaran.errors import ConfigError
from trimaran.providers.azure.ml_endpoints import (
    endpoint_keys,
    listed_endpoints,
    online_doubts,
    online_problems,
    online_target,
    unplaced,
)
from trimaran.providers.azure.openai_target import (
    check_deployment,
    deployment_problems,
    deployment_target,
    listed_deployments,
)
from trimaran.providers.kind import Kind
from trimaran.types import Secret, Target

__all__ = ["AzureML", "AzureOpenAI"]


class AzureOpenAI(Kind):
    """Azure OpenAI: see :mod:`trimaran.providers.azure.openai_target`."""

    own_settings: ClassVar[frozenset[str]] = frozenset({"api_version", "deployments", "resource"})

    def target(self, template: Target, upstream: str, day: str | None) -> Target:
        return deployment_target(template, upstream, day)

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        return check_deployment(template, upstream, settings)

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterable[Target]:
        return listed_deployments(template, settings, day)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterable[ConfigError]:
        return deployment_problems(name, settings, config)


class AzureML(Kind):
    """Azure Machine Learning: see :mod:`trimaran.providers.azure.ml_endpoints`."""

    own_settings: ClassVar[frozenset[str]] = frozenset({"online_endpoints"})

    def target(self, template: Target, upstream: str, day: str | None) -> Target:
        return online_target(template, upstream)

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        if upstream not in settings.online_endpoints and unplaced(online_target(template, upstream)):
            raise ConfigError(
                f"nothing says where the online endpoint {template.provider}/{upstream} is",
                where=where,
                hint=f"list it in providers.{template.provider}.online_endpoints with its url, or write the provider's region",
            )
        return ()

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterable[Target]:
        return listed_endpoints(template, settings)

    def secrets(self, name: str, settings: ProviderConfig) -> Mapping[str, Secret]:
        return endpoint_keys(name, settings)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterable[ConfigError]:
        return online_problems(name, settings, config)

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterable[str]:
        return online_doubts(
            name, settings, (each.upstream_model for each in targets.values() if each.provider == name)
        )
