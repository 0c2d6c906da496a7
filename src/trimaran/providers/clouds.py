"""Whom a provider acts as where no key authenticates it but an identity of its cloud: one line for each cloud.

A row says which cloud is asked (:attr:`~trimaran.providers.rows.ProviderRow.cloud`). What a cloud knows of it is an
:class:`Access`: the identity, whether anything says that it is meant, and what is missing. Nothing here asks anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from trimaran.config import Config, ProviderConfig
from trimaran.errors import ConfigError
from trimaran.providers.aws import access as aws
from trimaran.providers.azure import access as azure
from trimaran.providers.google import access as google
from trimaran.types import Identity

__all__ = ["CLOUDS", "Access", "Cloud"]


class Access(Protocol):
    """Who one provider acts as, and where."""

    @property
    def identity(self) -> Identity:
        """How its credential is come by."""

    @property
    def words(self) -> str:
        """The secret words that belong to the identity; empty: it has none."""

    @property
    def evident(self) -> bool:
        """Something in the configuration or the environment says that it is meant."""

    @property
    def place(self) -> str:
        """The region, in the cloud's own word; empty: none is known."""

    @property
    def place_from(self) -> str:
        """Where that was read: a setting, a variable, a file."""

    @property
    def facts(self) -> dict[str, str]:
        """What its doors need to know (:attr:`~trimaran.types.Target.facts`): a project."""

    def base_url(self, template: str) -> str:
        """A row's or the operator's URL with the place in it."""

    def problem(self, name: str, where: str) -> ConfigError | None:
        """What keeps it from being called; ``None``: nothing."""


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """How one cloud signs in."""

    said: str
    """Its name for people."""
    access: Callable[[str, str, ProviderConfig, Config, Mapping[str, str], str], Access]
    """Called with the known provider, what it is called here, its settings, the configuration, the environment, and the URL (a
    template). Raises :class:`ConfigError` for settings that contradict each other."""
    settings: Callable[[ProviderConfig], Sequence[str]]
    """Those of its own settings that are given: a provider of another cloud must not have them."""
    identified: Callable[[ProviderConfig], Sequence[str]] = lambda _: ()
    """Those of them that say who it acts as, so that a key of the environment is not meant for it."""
    doubts: Callable[[str, Any], Sequence[str]] = lambda name, access: ()
    """Warnings about where the provider of this name is, each with what is meant instead."""
    tried: tuple[str, ...]
    """Variables that say who is meant, as ``trimaran doctor`` lists them."""
    evident: Callable[[str, Mapping[str, str]], bool]
    """Whether the environment says that this known provider is meant."""
    placed: Callable[[str, Mapping[str, str]], bool]
    """Whether the environment says all that is needed besides to call it: a region, a project, a resource."""


CLOUDS: dict[str, Cloud] = {
    aws.KIND: Cloud(
        said="AWS",
        access=aws.access_of,
        settings=aws.aws_settings,
        identified=aws.aws_settings,
        doubts=aws.doubts,
        tried=aws.EVIDENCE,
        evident=aws.evident_here,
        placed=aws.placed,
    ),
    azure.KIND: Cloud(
        said="Azure",
        access=azure.access_of,
        settings=azure.azure_settings,
        identified=lambda settings: [name for name in ("tenant_id", "client_id") if getattr(settings, name)],
        tried=azure.EVIDENCE,
        evident=azure.evident_here,
        placed=azure.placed,
    ),
    google.KIND: Cloud(
        said="Google Cloud",
        access=google.access_of,
        settings=google.google_settings,
        tried=google.EVIDENCE,
        evident=google.evident_here,
        placed=google.placed,
    ),
}
"""By the kind of their identities."""
