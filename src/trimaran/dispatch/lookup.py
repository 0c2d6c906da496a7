"""From a public model's name to what stands behind it in a snapshot, wildcards included. The only reader of both."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from trimaran.catalog import known_providers_of
from trimaran.config import ServerConfig, is_loopback, quote
from trimaran.errors import ConfigError, UnknownModel
from trimaran.providers import PROVIDERS, kind_of
from trimaran.types import ModelPolicy, Snapshot, Target

__all__ = ["concrete", "refuse_loop", "resolve"]

_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}")
"""What a client may ask for behind a wildcard: as strict as a configured target's name, so that a log can hold it."""

_NAMES_SHOWN = 20


def resolve(snapshot: Snapshot, model: str) -> tuple[ModelPolicy, list[Target]]:
    """How a public model is served, and its targets in the user's order. Raises :class:`UnknownModel`."""
    policy = snapshot.models.get(model)
    if policy is not None:
        return policy, [snapshot.targets[name] for name in policy.targets]
    target = _behind_wildcard(snapshot, model)
    if target is None:
        raise UnknownModel(f"model {quote(model)} is not served here; {_served(snapshot)}", field="model")
    return ModelPolicy(model, "fastest", (target.id,), snapshot.default_limits), [target]


def refuse_loop(snapshot: Snapshot, server: ServerConfig) -> None:
    """Raise :class:`ConfigError` when a target is this gateway itself, as ``trimaran env`` in the same shell causes."""
    own = f":{server.port}"
    for target in (*snapshot.targets.values(), *snapshot.wildcards.values()):
        host, separator, port = target.base_url.partition("://")[2].partition("/")[0].rpartition(":")
        if separator and f":{port}" == own and (is_loopback(host.strip("[]")) or host == server.host):
            raise ConfigError(
                f"{target.provider} is reached at {target.base_url}, which is this gateway itself",
                where=f"{target.provider.upper()}_BASE_URL or providers.{target.provider}.base_url",
                hint="unset the variable in the shell that runs the gateway",
            )


def _behind_wildcard(snapshot: Snapshot, model: str) -> Target | None:
    prefix, separator, upstream = model.partition("/")
    template = snapshot.wildcards.get(prefix) if separator else None
    if template is None and snapshot.bare_names and len(model) <= 200:
        template, upstream = _home_of(snapshot, model), model
    if template is None or _UPSTREAM_NAME.fullmatch(upstream) is None:
        return None
    configured = snapshot.targets.get(f"{template.provider}/{upstream}")
    if configured is None and "{" in urlsplit(template.base_url).netloc:
        # The name would become a part of the host: only the operator's own say where a credential is sent.
        return None
    return configured or concrete(template, upstream, snapshot.day)


def _home_of(snapshot: Snapshot, model: str) -> Target | None:
    for price_provider in known_providers_of(model):
        for template in snapshot.wildcards.values():
            row = PROVIDERS.get(template.kind)
            if row is not None and row.price_provider == price_provider and kind_of(row.name).sells(model):
                return template
    return None


def concrete(template: Target, upstream: str, day: str) -> Target:
    """The target of one model behind a template, with what is known of it."""
    return kind_of(template.kind).target(template, upstream, day or None)


def _served(snapshot: Snapshot) -> str:
    names = sorted([*snapshot.models, *(f"{prefix}/<model>" for prefix in snapshot.wildcards)])
    if not names:
        return "no model is: no provider's credential was found"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return "served: " + ", ".join(names[:_NAMES_SHOWN]) + more
