"""The Gemini API and Vertex AI as kinds of provider: see :mod:`.vertex_target` and :mod:`.vertex_endpoints`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from trimaran.config import Config, ProviderConfig, dotted
from trimaran.errors import ConfigError
from trimaran.providers.google.vertex_endpoints import endpoint_problem, near_vertex_endpoint, vertex_endpoint
from trimaran.providers.google.vertex_target import ENDPOINT, check_vertex_target, published, vertex_target
from trimaran.providers.kind import Kind
from trimaran.types import Target

__all__ = ["Gemini", "Vertex"]


class Gemini(Kind):
    """The Gemini API, which shares Vertex AI's prices and has Google's own models only."""

    def sells(self, model: str) -> bool:
        return published(model)[0] == "google"


class Vertex(Kind):
    """Google's Vertex AI."""

    own_settings: ClassVar[frozenset[str]] = frozenset({"endpoints"})

    def target(self, template: Target, upstream: str, day: str | None) -> Target:
        return vertex_target(template, upstream, day=day)

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        return check_vertex_target(template, upstream, settings, where)

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterator[Target]:
        for name, written in settings.endpoints.items():
            yield vertex_endpoint(template, name, written)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
        for endpoint, written in settings.endpoints.items():
            problem = endpoint_problem(written)
            if problem is not None:
                field, message, hint = problem
                path = ("providers", name, "endpoints", endpoint, field)
                yield ConfigError(f"{dotted(path)}: {message}", where=config.where(*path), hint=hint)

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterator[str]:
        for target in targets.values() if settings.endpoints else ():
            upstream = target.id.partition("/")[2]
            if target.provider != name or ENDPOINT.fullmatch(upstream):
                continue
            near = near_vertex_endpoint(upstream, settings.endpoints)
            if near:
                yield (
                    f"{target.id} is no endpoint listed in {dotted(('providers', name, 'endpoints'))}, so it is taken to be a "
                    f"model of Google's; did you mean {near}?"
                )
