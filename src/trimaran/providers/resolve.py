"""From rows, configuration and environment to what is reachable: URL, dialect and credential of each provider.

Precedence: configuration, then the variables that the vendor's own clients read, then the row. A provider without a
credential is not an error here; whoever needs it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from trimaran.config import Config, ProviderConfig, closest, is_loopback, quote
from trimaran.errors import ConfigError
from trimaran.providers.clouds import CLOUDS, Access
from trimaran.providers.rows import PROVIDERS, ProviderRow
from trimaran.providers.signing import clean_secret
from trimaran.types import Secret

__all__ = ["Endpoint", "base_url_of", "discover", "endpoint"]

_DEFAULT_DIALECTS = ("openai.chat", "openai.embeddings")
_CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key"})


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as it will be called."""

    name: str
    row: ProviderRow | None
    """``None`` for a provider that only the configuration knows."""
    config: ProviderConfig
    dialects: tuple[str, ...]
    base_url: str
    """Without ``/v1`` and without a trailing slash. Never holds a credential."""
    secret: Secret | None
    secret_from: str
    """Where the credential came from: ``OPENAI_API_KEY``, ``providers.openai.api_key``; empty without one."""
    warnings: tuple[str, ...] = ()
    access: Access | None = None
    """Who it acts as, where an identity of its cloud authenticates it and no API key does."""
    facts: dict[str, str] = {}
    """What its doors need to know: see :attr:`~trimaran.types.Target.facts`."""
    problem: ConfigError | None = None
    """What keeps it from being called besides the credential: no region is known."""

    @property
    def tried(self) -> tuple[str, ...]:
        """Where a credential was or would have been looked for, in order."""
        cloud = CLOUDS.get(self.row.cloud) if self.row is not None else None
        signed = cloud.tried if cloud is not None else ()
        return (f"providers.{self.name}.api_key", *(self.row.key_env if self.row else ()), *signed)

    @property
    def evident(self) -> bool:
        """Whether something says that it is meant, so that it is served without a model that names it."""
        return self.access is None or self.access.evident

    @property
    def usable(self) -> bool:
        """Whether it can be called. A URL of the operator's own may need no credential; a vendor's always does."""
        if self.problem is not None:
            return False
        return (
            self.secret is not None
            or self.access is not None
            or bool(self.config.base_url)
            or _authenticates(self.config)
        )


def base_url_of(url: str) -> str:
    """A base URL as vendors' clients write it, reduced to what stands before ``/v1``."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def discover(environ: Mapping[str, str]) -> list[ProviderRow]:
    """The known providers whose credential is in the environment, in order of preference."""
    return [row for row in PROVIDERS.values() if _is_found(row, environ)]


def _is_found(row: ProviderRow, environ: Mapping[str, str]) -> bool:
    cloud = CLOUDS.get(row.cloud)
    if any(environ.get(name, "").strip() for name in row.key_env):
        return cloud is None or cloud.placed(row.name, environ)
    return cloud is not None and cloud.evident(row.name, environ) and cloud.placed(row.name, environ)


def endpoint(name: str, config: Config, environ: Mapping[str, str]) -> Endpoint:
    """One known or configured provider. Raises :class:`ConfigError`; ``KeyError`` for a name that is neither."""
    given = config.providers.get(name)
    settings = given or ProviderConfig()
    row = _row(name, settings, config)
    if row is None and given is None:
        raise KeyError(name)
    base_url, url_from = _base_url(name, row, settings, config, environ)
    secret, secret_from, warnings = _secret(name, row, settings, environ)
    access: Access | None = None
    facts: dict[str, str] = {}
    problem = None
    _refuse_foreign(name, row, settings, config)
    if row is not None and row.cloud:
        access = CLOUDS[row.cloud].access(row.name, name, settings, config, environ, base_url)
        if secret is None or "{" in base_url:
            problem = access.problem(name, config.where("providers", name))
        base_url = access.base_url(base_url) if problem is None else ""
        facts = access.facts
        settings = msgspec.structs.replace(settings, region=access.place or None)
        warnings = (*warnings, *CLOUDS[row.cloud].doubts(name, access))
        access = access if secret is None and not _authenticates(settings) else None
    parts = urlsplit(base_url)
    # A signature tells nobody the key; a token is all that is needed to be us.
    bare = secret or settings.headers or (access is not None and row is not None and row.token)
    if parts.scheme == "http" and bare and not is_loopback(parts.hostname or ""):
        warnings = (*warnings, f"{url_from}: the credential of {name} travels unencrypted; use https://")
    elif parts.scheme == "http" and access is not None and not is_loopback(parts.hostname or ""):
        warnings = (
            *warnings,
            f"{url_from}: what {name} is asked travels unencrypted, and a session token with it; use https://",
        )
    return Endpoint(
        name=name,
        row=row,
        config=settings,
        dialects=settings.dialects or (row.dialects if row else _DEFAULT_DIALECTS),
        base_url=base_url,
        secret=secret,
        secret_from=secret_from,
        warnings=warnings,
        access=access,
        facts=facts,
        problem=problem,
    )


def _refuse_foreign(name: str, row: ProviderRow | None, settings: ProviderConfig, config: Config) -> None:
    """Raises :class:`ConfigError` where a provider has settings of a cloud that it is not in."""
    for kind, cloud in CLOUDS.items():
        if row is not None and row.cloud == kind:
            continue
        for field in cloud.settings(settings):
            kinds = ", ".join(each.name for each in PROVIDERS.values() if each.cloud == kind)
            raise ConfigError(
                f"providers.{name}.{field}: only providers of {cloud.said} have it",
                where=config.where("providers", name, field),
                hint=f"remove it, or write which of them {name} is: kind: one of {kinds}",
            )


def _row(name: str, settings: ProviderConfig, config: Config) -> ProviderRow | None:
    """The known provider that it is, or is another account of."""
    row = PROVIDERS.get(settings.kind or name)
    if row is None and settings.kind:
        near = closest(settings.kind, PROVIDERS)
        meant = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"providers.{name}.kind: {quote(settings.kind)} is no known provider",
            where=config.where("providers", name, "kind"),
            hint=f"{meant}Known: {', '.join(PROVIDERS)}; leave kind out for a provider of your own",
        )
    return row


def _base_url(
    name: str, row: ProviderRow | None, settings: ProviderConfig, config: Config, environ: Mapping[str, str]
) -> tuple[str, str]:
    if settings.base_url:
        return base_url_of(settings.base_url), config.where("providers", name, "base_url")
    for variable in row.base_url_env if row else ():
        text = environ.get(variable, "").strip()
        if text:
            return base_url_of(_checked_url(text, variable)), variable
    if row is None:
        raise ConfigError(
            f"providers.{name}.base_url is missing",
            where=config.where("providers", name),
            hint="a provider that is not built in needs one, for example: base_url: https://llm.example.com",
        )
    return row.base_url, name


def _secret(
    name: str, row: ProviderRow | None, settings: ProviderConfig, environ: Mapping[str, str]
) -> tuple[Secret | None, str, tuple[str, ...]]:
    if settings.api_key is not None:
        return settings.api_key, f"providers.{name}.api_key", ()
    if _authenticates(settings):
        # The operator authenticates with a header; a credential of the environment would contradict it.
        return None, "", ()
    cloud = CLOUDS.get(row.cloud) if row is not None else None
    if cloud is not None and cloud.identified(settings):
        # It has been said whom it acts as; the key of the environment is another one's.
        return None, "", ()
    for variable in row.key_env if row else ():
        text = environ.get(variable, "")
        if text.strip():
            cleaned, warning = clean_secret(text, name, where=variable)
            return Secret(cleaned), variable, (warning,) if warning else ()
    return None, "", ()


def _authenticates(settings: ProviderConfig) -> bool:
    return not {header.lower() for header in settings.headers}.isdisjoint(_CREDENTIAL_HEADERS)


def _checked_url(text: str, variable: str) -> str:
    """A URL from the environment, held to the same rules as one in the file. Raises :class:`ConfigError`."""
    from trimaran.config.kinds import URL

    try:
        return str(URL.parse(text))
    except ValueError as error:
        raise ConfigError(f"expected {error}", where=variable, hint=f"for example: {URL.example}") from None
