"""What a kind of provider knows of its own targets: from a name to what is spoken there, what it costs, and what is wrong.

Most providers need nothing of this: what follows their name in a target is a model's name, and the catalogue knows the rest.
A cloud's names say more (a geography, an account's own profile) or less (an endpoint's name says nothing of its model), and
the configuration may list what only the operator knows. A kind is a class here, found by :attr:`~trimaran.types.Target.kind`;
whoever builds a snapshot asks it, and knows no vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from trimaran.catalog import capabilities, token_price
from trimaran.config import Config, ProviderConfig, dotted
from trimaran.errors import ConfigError
from trimaran.providers.aws.bedrock_target import bedrock_problems, bedrock_target, check_bedrock_target
from trimaran.providers.aws.sagemaker_endpoints import endpoint_target, near_endpoint, prompt_problem
from trimaran.providers.rows import PROVIDERS, output_limit
from trimaran.types import Target

__all__ = ["KINDS", "Kind", "kind_of"]


class Kind:
    """A provider whose names are models' names."""

    def target(self, template: Target, upstream: str, day: str | None) -> Target:
        """The target of one name behind ``template``, a target of the provider with ``*`` for its model. ``day`` is an ISO
        date, for the price. Never raises: a client may name what there is not, and the provider says so."""
        row = PROVIDERS.get(template.kind)
        known = capabilities(upstream) if row is None or row.names_models else None
        return msgspec.structs.replace(
            template,
            id=f"{template.provider}/{upstream}",
            upstream_model=upstream,
            # A provider of one's own may be called like a vendor and cost something else: unknown.
            price=token_price(row.price_provider, upstream, day) if row is not None else None,
            max_output_tokens=template.max_output_tokens or output_limit(template.dialects, known),
            capabilities=known,
        )

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        """Warnings about a name that the configuration gives at ``where``. Raises :class:`ConfigError` for one that cannot
        be right."""
        return ()

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterable[Target]:
        """Targets that the provider's settings say more of than their names do."""
        return ()

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterable[ConfigError]:
        """What is wrong with the settings of the provider called ``name``."""
        for field in sorted(_OWN_SETTINGS):
            if getattr(settings, field) and type(self) is not _OWN_SETTINGS[field]:
                owner = next(kind for kind, each in KINDS.items() if type(each) is _OWN_SETTINGS[field])
                yield ConfigError(
                    f"providers.{name}.{field}: only {owner} has it",
                    where=config.where("providers", name, field),
                    hint=f"remove it, or write kind: {owner}",
                )

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterable[str]:
        """Warnings about all of its targets, once they are known."""
        return ()


class _Bedrock(Kind):
    """Amazon Bedrock: see :mod:`trimaran.providers.aws.bedrock_target`."""

    def target(self, template: Target, upstream: str, day: str | None) -> Target:
        return bedrock_target(template, upstream, day=day)

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        return check_bedrock_target(template, upstream, settings, where)

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterator[Target]:
        for upstream, base in settings.base_models.items():
            yield bedrock_target(template, upstream, base_model=base, day=day)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
        yield from super().problems(name, settings, config)
        yield from bedrock_problems(name, settings, config)


class _SageMaker(Kind):
    """Amazon SageMaker: see :mod:`trimaran.providers.aws.sagemaker_endpoints`."""

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterator[Target]:
        for endpoint, written in settings.endpoints.items():
            yield endpoint_target(self.target(template, endpoint, day), written)

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterator[ConfigError]:
        yield from super().problems(name, settings, config)
        for endpoint, written in settings.endpoints.items():
            problem = prompt_problem(written)
            if problem is not None:
                path = ("providers", name, "endpoints", endpoint)
                yield ConfigError(f"{dotted(path)}: {problem[0]}", where=config.where(*path), hint=problem[1])

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterator[str]:
        for target in targets.values() if settings.endpoints else ():
            near = near_endpoint(target.upstream_model, settings.endpoints) if target.provider == name else ""
            if near:
                yield (
                    f"{target.id} is no endpoint listed in {dotted(('providers', name, 'endpoints'))}, so it is taken to "
                    f"answer in OpenAI's form; did you mean {near}?"
                )


KINDS: dict[str, Kind] = {"bedrock": _Bedrock(), "sagemaker": _SageMaker()}
"""By :attr:`~trimaran.types.Target.kind`; all others are plain."""

_OWN_SETTINGS: dict[str, type[Kind]] = {"api": _Bedrock, "base_models": _Bedrock, "endpoints": _SageMaker}
"""Settings that only one kind has."""

_PLAIN = Kind()


def kind_of(kind: str) -> Kind:
    """What is known of the targets of a provider of this kind; empty: of one's own."""
    return KINDS.get(kind, _PLAIN)
