"""From a provider's settings and the environment to who it acts as at Azure, and where. Asks nobody: nothing here does I/O.

A resource of Azure OpenAI is a host of its own, so somebody has to say which one: ``base_url``, ``resource``, or the variable
that OpenAI's own client reads. An online endpoint has a host of its own, too, named by itself and its region.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from trimaran.config import Config, ProviderConfig
from trimaran.errors import ConfigError
from trimaran.providers.azure.credentials import EntraIdentity, EntraSource
from trimaran.providers.azure.endpoint import OpenAIEndpoint, is_dated, openai_endpoint
from trimaran.types import Identity

__all__ = [
    "EVIDENCE",
    "KIND",
    "NO_ENDPOINT",
    "AzureAccess",
    "access_of",
    "azure_settings",
    "evident_here",
    "placed",
    "source",
]

KIND = "entra"
OPENAI, ML = "azure_openai", "azure_ml"
ENDPOINT_VARIABLE = "AZURE_OPENAI_ENDPOINT"
VERSION_VARIABLE = "OPENAI_API_VERSION"

EVIDENCE = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "managed identity",
    "az login",
)
"""Where a token is looked for."""
NO_ENDPOINT = "https://{endpoint}.invalid"
"""The URL of endpoints whose region nobody knows: a name that is never resolved (RFC 2606)."""

_SUFFIXES = {"public": "com", "government": "us", "china": "cn"}
_AUDIENCES = {OPENAI: "https://cognitiveservices.azure.{suffix}", ML: "https://ml.azure.{suffix}"}
"""Of tokens, by kind of provider (openai 3.57.0, ``examples/azure_ad.py``; azure-ai-ml, ``_azure_environments.py``)."""
_SETTINGS = ("tenant_id", "client_id", "cloud")
_VERSION = re.compile(r"20\d\d-\d\d-\d\d(?:-preview)?|v1|preview")
_ML_HOST = re.compile(r"(?P<endpoint>[^.]+)\.(?P<region>[^.]+)\.inference\.ml\.azure\.(?:com|us|cn)")


class AzureAccess(msgspec.Struct, frozen=True):
    """Who one provider acts as, and where."""

    identity: Identity
    evident: bool
    """Something in the configuration or the environment says that it is meant."""
    place: str
    """The region; empty: unknown, which is no problem."""
    facts: dict[str, str]
    kind: str
    url: str
    """With ``{endpoint}`` for the name of an online endpoint; empty: nobody said where."""
    regional: str = ""
    words: str = ""
    place_from: str = ""

    def base_url(self, template: str) -> str:
        """See :class:`~trimaran.providers.clouds.Access`."""
        return self.url

    def problem(self, name: str, where: str) -> ConfigError | None:
        """Why it cannot be used; ``None``: it can."""
        if not self.url and self.kind == OPENAI:
            return ConfigError(
                f"no endpoint is known for {name}; tried: providers.{name}.base_url, providers.{name}.resource, "
                f"{ENDPOINT_VARIABLE}",
                where=where,
                hint=f"write providers.{name}: {{resource: NAME}}, or export {ENDPOINT_VARIABLE}=https://NAME.openai.azure.com; "
                '`az cognitiveservices account list --query "[].properties.endpoint"` shows them',
            )
        if not self.url:
            return ConfigError(
                f"no online endpoint is known for {name}: neither a region nor a URL",
                where=where,
                hint=f"write providers.{name}: {{region: westeurope}}, or list them in online_endpoints with their URLs; "
                '`az ml online-endpoint list --query "[].scoring_uri"` shows them',
            )
        if self.regional:
            return ConfigError(
                f"{self.regional}.api.cognitive.microsoft.com is shared by all resources of the region, takes keys and no tokens of "
                "Entra ID",
                where=where,
                hint="write the resource's own endpoint, https://NAME.openai.azure.com, or its api_key",
            )
        return None


def azure_settings(settings: ProviderConfig) -> tuple[str, ...]:
    """The settings given that only Azure's providers have."""
    return tuple(field for field in _SETTINGS if getattr(settings, field))


def access_of(
    kind: str, name: str, settings: ProviderConfig, config: Config, environ: Mapping[str, str], url: str
) -> AzureAccess:
    """See :attr:`~trimaran.providers.clouds.Cloud.access`. Raises :class:`ConfigError` for a URL that cannot be meant."""
    meant = name in config.providers or evident_here(kind, environ)
    if kind == OPENAI:
        found, cloud = _resource(name, settings, config, environ, url)
        facts = {
            "api_version": _api_version(settings, environ),
            "listed": ", ".join(settings.deployments),
            "resource": (urlsplit(found.url).hostname or "").partition(".")[0],
        }
        region = settings.region or found.regional
        identity = _identity(kind, name, settings, cloud)
        given = {fact: value for fact, value in facts.items() if value}
        return AzureAccess(identity, meant, region, given, kind, found.url, found.regional)
    cloud = settings.cloud or _cloud_of(url) or "public"
    base, path = _online(settings, url, cloud)
    facts = {"path": path} if path else {}
    known = _ML_HOST.fullmatch(urlsplit(base).hostname or "")
    region = settings.region or (known["region"] if known and "{" not in base else "")
    return AzureAccess(_identity(kind, name, settings, cloud), meant, region, facts, kind, base)


def _identity(kind: str, name: str, settings: ProviderConfig, cloud: str) -> Identity:
    told = {
        "scope": _AUDIENCES[kind].format(suffix=_SUFFIXES[cloud]) + "/.default",
        "where": f"providers.{name}",
        "tenant_id": settings.tenant_id,
        "client_id": settings.client_id,
        # The public cloud is what AZURE_AUTHORITY_HOST may name another host for.
        "cloud": cloud if settings.cloud or cloud != "public" else "",
    }
    return Identity(KIND, {field: value for field, value in told.items() if value})


def source(identity: Identity, words: str) -> EntraSource:
    """What fetches the token of an identity; it has no secret words."""
    return EntraSource(EntraIdentity(**identity.settings))


def evident_here(kind: str, environ: Mapping[str, str]) -> bool:
    """Whether the environment says that this known provider is meant: a resource is somebody's own, so naming it is enough,
    and a machine's identity shows nowhere before it is asked."""
    return kind == OPENAI and bool(environ.get(ENDPOINT_VARIABLE, "").strip())


def placed(kind: str, environ: Mapping[str, str]) -> bool:
    """See :attr:`~trimaran.providers.clouds.Cloud.placed`."""
    return evident_here(kind, environ)


# Where


def _resource(
    name: str, settings: ProviderConfig, config: Config, environ: Mapping[str, str], url: str
) -> tuple[OpenAIEndpoint, str]:
    """The resource, and the cloud that it is in."""
    where = config.where("providers", name, "base_url") if settings.base_url else ENDPOINT_VARIABLE
    if settings.resource:
        if settings.base_url:
            raise ConfigError(
                f"providers.{name}.resource: base_url is given, too",
                where=config.where("providers", name, "resource"),
                hint="write one of them",
            )
        cloud = settings.cloud or "public"
        return openai_endpoint(f"https://{settings.resource}.openai.azure.{_SUFFIXES[cloud]}"), cloud
    if "{" in url:
        return OpenAIEndpoint(""), settings.cloud or "public"
    found = openai_endpoint(url)
    if found.problem is not None:
        message, hint = found.problem
        raise ConfigError(f"the endpoint of {name}: {message}", where=where, hint=hint)
    told = _cloud_of(found.url)
    if settings.cloud and told and told != settings.cloud:
        raise ConfigError(
            f"providers.{name}.cloud: {settings.cloud}, but the endpoint is in the cloud {told}",
            where=config.where("providers", name, "cloud"),
            hint=f"write cloud: {told}, or leave it out",
        )
    return found, settings.cloud or told or "public"


def _cloud_of(url: str) -> str:
    """The cloud that a host of Microsoft's is in; empty: it is another host."""
    host = urlsplit(url).hostname or ""
    for cloud, suffix in _SUFFIXES.items():
        if host.endswith((f".azure.{suffix}", ".api.cognitive.microsoft.com" if cloud == "public" else ".invalid.")):
            return cloud
    return ""


def _online(settings: ProviderConfig, url: str, cloud: str) -> tuple[str, str]:
    """URL and path of online endpoints that are not listed with a URL of their own."""
    if "{" not in url:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    if settings.region:
        return f"https://{{endpoint}}.{settings.region}.inference.ml.azure.{_SUFFIXES[cloud]}", ""
    return (NO_ENDPOINT if settings.online_endpoints else ""), ""


def _api_version(settings: ProviderConfig, environ: Mapping[str, str]) -> str:
    """The version, empty for v1."""
    text = settings.api_version
    if not text:
        text = environ.get(VERSION_VARIABLE, "").strip()
        if text and _VERSION.fullmatch(text) is None:
            raise ConfigError(
                f"{VERSION_VARIABLE} is no version of Azure's API",
                where=VERSION_VARIABLE,
                hint="for example: 2024-10-21; or unset it for the v1 API, which needs none",
            )
    return text if is_dated(text) or text == "preview" else ""
