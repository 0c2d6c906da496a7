"""From a provider's settings and the environment to who it acts as at Google, and where. Asks nobody: nothing here does I/O but
read files that Google's own tools keep.

Vertex AI wants an access token, Cloud Run an identity token for its own URL: the kind of provider decides. The Gemini API has
a key and nobody who acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from trimaran.config import Config, ProviderConfig, quote
from trimaran.errors import ConfigError
from trimaran.providers.google.credentials import GoogleIdentity, GoogleSource
from trimaran.providers.google.place import LOCATION, PROJECT, Named, location_of, project_of, service_host
from trimaran.types import Identity

__all__ = ["EVIDENCE", "KIND", "GoogleAccess", "access_of", "evident_here", "google_settings", "placed", "source"]

KIND = "google"

EVIDENCE = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "ANTHROPIC_VERTEX_PROJECT_ID",
)
"""Variables that say that Vertex AI is meant, so that it is served without a configuration. A login of gcloud's lies on many machines
that mean something else, and a machine's own account says nothing before it is asked: those are used where Vertex is configured."""

VERTEX, CLOUD_RUN = "vertex", "cloud_run"

_SETTINGS = ("project", "location", "impersonate", "credentials_file", "audience")
_NO = ("0", "false", "no", "off")


class GoogleAccess(msgspec.Struct, frozen=True):
    """Who one provider acts as."""

    kind: str
    project: Named
    location: Named
    identity: Identity
    url: str
    """Where it is reached, as the operator wrote it; a row's is a template."""
    evident: bool = False
    """Something in the configuration or the environment says that it is meant."""

    @property
    def words(self) -> str:
        """Google's credentials are files, and named by their path."""
        return ""

    @property
    def place(self) -> str:
        """The location; of Cloud Run it stands in the service's URL."""
        if self.kind == VERTEX:
            return self.location.name
        return self.location.name or _region_of_service(self.url)

    @property
    def place_from(self) -> str:
        """Where the location was read."""
        return self.location.source

    @property
    def facts(self) -> dict[str, str]:
        """What Vertex AI's doors put into the path."""
        if self.kind != VERTEX:
            return {}
        return {"project": self.project.name, "location": self.location.name}

    def base_url(self, template: str) -> str:
        """The URL of the location."""
        return template.replace("{host}", service_host(self.location.name))

    def problem(self, name: str, where: str) -> ConfigError | None:
        """Why it cannot be used; ``None``: it can."""
        if self.kind == CLOUD_RUN:
            return None if "{" not in self.url else _no_url(name, where)
        if not self.project.name:
            tried = ", ".join(self.project.tried)
            return ConfigError(
                f"no Google Cloud project is known for {name}; tried: {tried}",
                where=where,
                hint="export GOOGLE_CLOUD_PROJECT=my-project, or write project: my-project for the provider; "
                "`gcloud projects list` shows yours",
            )
        if PROJECT.fullmatch(self.project.name) is None:
            return ConfigError(
                f"{self.project.source}: {quote(self.project.name)} is no id of a Google Cloud project",
                where=where,
                hint="an id is written like my-project-123, in lower case; `gcloud projects list` shows yours",
            )
        if LOCATION.fullmatch(self.location.name) is None:
            return ConfigError(
                f"{self.location.source}: {quote(self.location.name)} is no location of Vertex AI",
                where=where,
                hint="a location is written like europe-west4, without a zone; us, eu and global are locations, too",
            )
        return None


def google_settings(settings: ProviderConfig) -> tuple[str, ...]:
    """The settings given that only Google's providers have."""
    return tuple(field for field in _SETTINGS if getattr(settings, field))


def access_of(
    kind: str, name: str, settings: ProviderConfig, config: Config, environ: Mapping[str, str], url: str
) -> GoogleAccess:
    """See :attr:`~trimaran.providers.clouds.Cloud.access`."""
    _check(kind, name, settings, config)

    def where(field: str) -> str:
        return config.where("providers", name, field)

    file = settings.credentials_file
    project = project_of(settings.project, file, environ, setting=where("project"))
    if kind == VERTEX:
        written = "location" if settings.location else "region"
        location = location_of(settings.location or settings.region or "", environ, setting=where(written))
    else:
        location = Named(settings.region or "", where("region"))
    told = {"where": f"providers.{name}", "impersonate": settings.impersonate, "file": file}
    if kind == CLOUD_RUN:
        told["audience"] = settings.audience or ("" if "{" in url else service_root(url))
    identity = Identity(KIND, {field: value for field, value in told.items() if value})
    meant = name in config.providers or evident_here(kind, environ)
    return GoogleAccess(kind, project, location, identity, url, meant)


def evident_here(kind: str, environ: Mapping[str, str]) -> bool:
    """See :attr:`~trimaran.providers.clouds.Cloud.evident`."""
    if kind != VERTEX:
        return False
    return any((text := environ.get(variable, "").strip()) and text.lower() not in _NO for variable in EVIDENCE)


def placed(kind: str, environ: Mapping[str, str]) -> bool:
    """See :attr:`~trimaran.providers.clouds.Cloud.placed`."""
    return bool(project_of("", "", environ).name)


def source(identity: Identity, words: str) -> GoogleSource:
    """What fetches the credential of an identity."""
    settings = identity.settings
    return GoogleSource(
        GoogleIdentity(
            file=settings.get("file", ""),
            impersonate=settings.get("impersonate", ""),
            audience=settings.get("audience", ""),
            where=settings.get("where", ""),
        )
    )


def service_root(url: str) -> str:
    """The audience of a service of Cloud Run: its URL without a path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _region_of_service(url: str) -> str:
    """``europe-west4`` of ``https://name-123456789012.europe-west4.run.app``; older URLs do not tell."""
    labels = (urlsplit(url).hostname or "").split(".")
    return labels[1] if labels[-2:] == ["run", "app"] and len(labels) == 4 and "-" in labels[1] else ""


def _no_url(name: str, where: str) -> ConfigError:
    return ConfigError(
        f"providers.{name}.base_url is missing: each service of Cloud Run has a URL of its own",
        where=where,
        hint="`gcloud run services describe SERVICE --region REGION --format 'value(status.url)'` shows it",
    )


def _check(kind: str, name: str, settings: ProviderConfig, config: Config) -> None:
    def refuse(field: str, message: str, hint: str) -> ConfigError:
        return ConfigError(
            f"providers.{name}.{field}: {message}", where=config.where("providers", name, field), hint=hint
        )

    if settings.audience and kind != CLOUD_RUN:
        raise refuse("audience", "only cloud_run has it", "remove it: Vertex AI takes access tokens, which have none")
    if kind == CLOUD_RUN:
        for field in ("project", "location"):
            if getattr(settings, field):
                raise refuse(field, "only vertex has it", "remove it: the service's URL (base_url) tells it")
    if settings.location and settings.region and settings.location != settings.region:
        raise refuse("location", f"region is {quote(settings.region)}", "both mean the same: write one of them")
    if settings.api_key is not None and kind == VERTEX:
        raise refuse(
            "api_key",
            "Vertex AI takes no API key for a project's models",
            "remove it and sign in: run `gcloud auth application-default login`, or write credentials_file; with a key, "
            "use the provider gemini",
        )
    if settings.api_key is not None and (given := google_settings(settings)):
        raise refuse(given[0], "api_key is given, too", "a key signs in by itself; write one of them")
