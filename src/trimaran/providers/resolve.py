"""From rows, configuration and environment to what is reachable: URL, dialect and credential of each provider.

Precedence: configuration, then the variables that the vendor's own clients read, then the row. A provider without a
credential is not an error here; whoever needs it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from trimaran.config import Config, ProviderConfig, is_loopback
from trimaran.errors import ConfigError
from trimaran.providers.rows import PROVIDERS, ProviderRow
from trimaran.providers.signing import clean_secret
from trimaran.types import Secret

__all__ = ["Endpoint", "base_url_of", "discover", "endpoint"]

_DEFAULT_DIALECTS = ("openai.chat", "openai.embeddings")
_CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key"})


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

    @property
    def tried(self) -> tuple[str, ...]:
        """Where a credential was or would have been looked for, in order."""
        return (f"providers.{self.name}.api_key", *(self.row.key_env if self.row else ()))

    @property
    def usable(self) -> bool:
        """Whether it can be called. A URL of the operator's own may need no credential; a vendor's always does."""
        return self.secret is not None or bool(self.config.base_url) or _authenticates(self.config)


def base_url_of(url: str) -> str:
    """A base URL as vendors' clients write it, reduced to what stands before ``/v1``."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def discover(environ: Mapping[str, str]) -> list[ProviderRow]:
    """The known providers whose credential is in the environment, in order of preference."""
    return [row for row in PROVIDERS.values() if any(environ.get(name, "").strip() for name in row.key_env)]


def endpoint(name: str, config: Config, environ: Mapping[str, str]) -> Endpoint:
    """One known or configured provider. Raises :class:`ConfigError`; ``KeyError`` for a name that is neither."""
    row = PROVIDERS.get(name)
    given = config.providers.get(name)
    if row is None and given is None:
        raise KeyError(name)
    settings = given or ProviderConfig()
    base_url, url_from = _base_url(name, row, settings, config, environ)
    secret, secret_from, warnings = _secret(name, row, settings, environ)
    parts = urlsplit(base_url)
    if parts.scheme == "http" and (secret or settings.headers) and not is_loopback(parts.hostname or ""):
        warnings = (*warnings, f"{url_from}: the credential of {name} travels unencrypted; use https://")
    return Endpoint(
        name=name,
        row=row,
        config=settings,
        dialects=settings.dialects or (row.dialects if row else _DEFAULT_DIALECTS),
        base_url=base_url,
        secret=secret,
        secret_from=secret_from,
        warnings=warnings,
    )


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
