"""What a kind of provider knows of its own targets: from a name to what is spoken there, what it costs, and what is wrong.

Most providers need nothing of this: what follows their name in a target is a model's name, and the catalogue knows the rest.
A cloud's names say more (a geography, an account's own profile) or less (an endpoint's name says nothing of its model), and
the configuration may list what only the operator knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from trimaran.catalog import capabilities, token_price
from trimaran.config import Config, ProviderConfig
from trimaran.errors import ConfigError
from trimaran.providers.rows import PROVIDERS, output_limit
from trimaran.types import Secret, Target

__all__ = ["Kind"]


class Kind:
    """A provider whose names are models' names."""

    own_settings: ClassVar[frozenset[str]] = frozenset()
    """Settings of a provider that this kind has and most others have not."""

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

    def sells(self, model: str) -> bool:
        """Whether a model's bare name may be meant of this provider, where its price table has it."""
        return True

    def check(self, template: Target, upstream: str, settings: ProviderConfig, where: str) -> Iterable[str]:
        """Warnings about a name that the configuration gives at ``where``. Raises :class:`ConfigError` for one that cannot
        be right."""
        return ()

    def listed(self, template: Target, settings: ProviderConfig, day: str | None) -> Iterable[Target]:
        """Targets that the provider's settings say more of than their names do."""
        return ()

    def secrets(self, name: str, settings: ProviderConfig) -> Mapping[str, Secret]:
        """Credentials that its targets have of their own, by the name that they give in ``credential``."""
        return {}

    def problems(self, name: str, settings: ProviderConfig, config: Config) -> Iterable[ConfigError]:
        """What is wrong with the settings of the provider called ``name``."""
        return ()

    def doubts(self, name: str, settings: ProviderConfig, targets: Mapping[str, Target]) -> Iterable[str]:
        """Warnings about all of its targets, once they are known."""
        return ()
