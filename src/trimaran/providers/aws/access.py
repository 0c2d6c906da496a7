"""From a provider's settings and the environment to who it acts as at AWS, and where. Asks nobody: nothing here does I/O but
read the profile's region from the AWS CLI's own file.

Static keys that the configuration refers to are secrets and travel apart from the identity, which anybody may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from trimaran.catalog import known_regions
from trimaran.config import Config, ProviderConfig, closest
from trimaran.errors import ConfigError
from trimaran.providers.aws.credentials import AwsIdentity, AwsSource
from trimaran.providers.aws.region import REGION_HINT, Region, region_of
from trimaran.types import Identity, Secret

__all__ = [
    "EVIDENCE",
    "KIND",
    "AwsAccess",
    "access",
    "access_of",
    "at_region",
    "aws_settings",
    "doubts",
    "evident",
    "evident_here",
    "placed",
    "source",
]

KIND = "aws"

EVIDENCE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that say that AWS is meant, so that it is served without a configuration. An instance's role says nothing before it
is asked, and a file of profiles lies on many machines that mean something else: those are used where AWS is configured."""

_SETTINGS = ("profile", "role_arn", "external_id", "role_session_name")
_SECRETS = ("access_key_id", "secret_access_key", "session_token")
_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn")
_SERVICES = ("bedrock", "runtime", "sagemaker")


class AwsAccess(msgspec.Struct, frozen=True):
    """Who one provider acts as."""

    region: Region
    identity: Identity
    words: str = ""
    """The static keys that the configuration refers to, one a line: a secret."""
    evident: bool = False
    """Something in the configuration or the environment says that AWS is meant."""

    @property
    def place(self) -> str:
        """The region's name."""
        return self.region.name

    @property
    def place_from(self) -> str:
        """Where the region was read."""
        return self.region.source

    @property
    def facts(self) -> dict[str, str]:
        """AWS's doors need none."""
        return {}

    def base_url(self, template: str) -> str:
        """A URL with the region in it."""
        return at_region(template, self.region.name)

    def problem(self, name: str, where: str) -> ConfigError | None:
        """Why it cannot be used; ``None``: it can."""
        if not self.region.name:
            tried = ", ".join(self.region.tried)
            return ConfigError(f"no AWS region is known for {name}; tried: {tried}", where=where, hint=REGION_HINT)
        if not self.region.plausible:
            return ConfigError(
                f"{self.region.source}: this is no AWS region",
                where=where,
                hint="a region is written like us-east-1; https://docs.aws.amazon.com/bedrock/latest/userguide/"
                "models-regions.html lists those of each model",
            )
        return None


def aws_settings(settings: ProviderConfig) -> tuple[str, ...]:
    """The settings given that only AWS's providers have."""
    return tuple(field for field in (*_SETTINGS, *_SECRETS) if getattr(settings, field))


def access(name: str, settings: ProviderConfig, config: Config, environ: Mapping[str, str]) -> AwsAccess:
    """Raises :class:`ConfigError` for settings that contradict each other."""
    _check(name, settings, config)
    region = region_of(
        settings.region or "", settings.profile, environ, setting=config.where("providers", name, "region")
    )
    words = [secret.reveal() if secret is not None else "" for secret in _keys(settings)]
    told = {
        "region": region.name,
        "where": f"providers.{name}",
        **{field: value for field in _SETTINGS if (value := getattr(settings, field))},
    }
    meant = name in config.providers or evident(environ)
    return AwsAccess(region, Identity(KIND, told), "\n".join(words) if any(words) else "", meant)


def access_of(
    kind: str, name: str, settings: ProviderConfig, config: Config, environ: Mapping[str, str], url: str
) -> AwsAccess:
    """See :attr:`~trimaran.providers.clouds.Cloud.access`. Raises :class:`ConfigError` also for an address of another
    region than the one that is signed for, and for a key where there is none."""
    found = access(name, settings, config, environ)
    if kind == "sagemaker" and settings.api_key is not None:
        raise ConfigError(
            f"providers.{name}.api_key: SageMaker has no API keys",
            where=config.where("providers", name, "api_key"),
            hint="remove it: AWS's own credentials sign (access_key_id and secret_access_key, profile, role_arn, or the "
            "environment's)",
        )
    there = _region_of_host(urlsplit(url).hostname or "") if "{" not in url else ""
    if there and found.region.name and there != found.region.name:
        place = ("providers", name, "base_url")
        raise ConfigError(
            f"providers.{name}.base_url is in {there}, and {found.region.name} is signed for ({found.region.source})",
            where=config.where(*place) if settings.base_url else "the environment's endpoint URL (AWS_ENDPOINT_URL_…)",
            hint=f"write region: {there}, or leave base_url out: it follows from the region",
        )
    return found


def doubts(name: str, found: AwsAccess) -> tuple[str, ...]:
    """See :attr:`~trimaran.providers.clouds.Cloud.doubts`."""
    region = found.region
    if not region.plausible or region.name in known_regions():
        return ()
    near = _near_region(region.name)
    meant = f"; did you mean {near}?" if near else ""
    return (f"{region.source}: {name}: {region.name} is no Region that this version knows{meant}",)


def evident_here(kind: str, environ: Mapping[str, str]) -> bool:
    """See :attr:`~trimaran.providers.clouds.Cloud.evident`."""
    return evident(environ)


def placed(kind: str, environ: Mapping[str, str]) -> bool:
    """See :attr:`~trimaran.providers.clouds.Cloud.placed`."""
    return bool(region_of("", "", environ).name)


def evident(environ: Mapping[str, str]) -> bool:
    """Whether the environment says that AWS is meant."""
    return any(environ.get(variable, "").strip() for variable in EVIDENCE)


def at_region(base_url: str, region: str) -> str:
    """A row's URL with the region in it. In China, AWS has another domain."""
    url = base_url.replace("{region}", region)
    return url.replace(".amazonaws.com", ".amazonaws.com.cn") if region.startswith("cn-") else url


def source(identity: Identity, words: str) -> AwsSource:
    """What fetches the credential of an identity; ``words`` as :attr:`AwsAccess.words`."""
    settings = identity.settings
    return AwsSource(
        AwsIdentity(
            region=settings.get("region", ""),
            profile=settings.get("profile", ""),
            role_arn=settings.get("role_arn", ""),
            external_id=settings.get("external_id", ""),
            session_name=settings.get("role_session_name", ""),
            keys=tuple(words.split("\n")) if words else (),
            where=settings.get("where", ""),
        )
    )


def _near_region(name: str) -> str:
    """The region that is probably meant: first one of the same letters."""
    same = [known for known in known_regions() if sorted(known) == sorted(name)]
    return same[0] if len(same) == 1 else closest(name, known_regions()) or ""


def _region_of_host(host: str) -> str:
    """The region of one of AWS's own hosts that models are asked at; empty for any other."""
    if not host.endswith(_DOMAINS):
        return ""
    labels = host.split(".")
    if not any(label.startswith(_SERVICES) for label in labels):
        return ""
    return next((label for label in reversed(labels) if Region(label, "").plausible), "")


def _keys(settings: ProviderConfig) -> tuple[Secret | None, ...]:
    return settings.access_key_id, settings.secret_access_key, settings.session_token


def _check(name: str, settings: ProviderConfig, config: Config) -> None:
    def refuse(field: str, message: str, hint: str) -> ConfigError:
        return ConfigError(
            f"providers.{name}.{field}: {message}", where=config.where("providers", name, field), hint=hint
        )

    if (settings.access_key_id is None) != (settings.secret_access_key is None):
        given, missing = _SECRETS[:2] if settings.access_key_id is not None else reversed(_SECRETS[:2])
        raise refuse(given, f"{missing} is missing", f"write {missing}, too, or neither and use a profile")
    if settings.session_token is not None and settings.access_key_id is None:
        raise refuse("session_token", "access_key_id is missing", "a session token belongs to a pair of keys")
    if settings.profile and settings.access_key_id is not None:
        raise refuse("profile", "access_key_id is given, too", "write one of them")
    for field in ("external_id", "role_session_name"):
        if getattr(settings, field) and not settings.role_arn:
            raise refuse(field, "role_arn is missing", "it is only used when a role is assumed")
    if settings.api_key is not None and aws_settings(settings):
        raise refuse(
            aws_settings(settings)[0], "api_key is given, too", "an API key signs in by itself; write one of them"
        )
