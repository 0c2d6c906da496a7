"""Where AWS credentials come from: the chain of places that every AWS tool looks in, walked off the road.

botocore walks it, because nobody else knows all of its links: environment, profile, SSO, web identity (IRSA), an assumed
role, a process, a container's and an instance's role. It is imported when it is needed and not before; access keys that stand
in the environment or are named in the configuration need no botocore at all.

Each fetch begins anew with nothing remembered, so that a file, a token or a role that has changed is seen. What cannot be had
is told in one sentence with the command that mends it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from trimaran.errors import ConfigError
from trimaran.providers.aws.failures import explained
from trimaran.providers.aws.region import profile_named
from trimaran.types import Credential

__all__ = ["MISSING_BOTOCORE", "AwsIdentity", "AwsSource", "botocore_session", "environment_keys"]

MISSING_BOTOCORE = "pip install 'trimaran[aws]'"
SESSION_NAME = "trimaran"
"""What AWS's own logs call a role that was assumed here, unless the configuration says otherwise."""

CONNECT_S = 3.0
READ_S = 10.0
"""For each call of the chain; two of them fit into the limit of one renewal, tried twice."""

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_POD_IDENTITY_HOSTS = ("169.254.170.23", "[fd00:ec2::23]")


class AwsIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a provider acts as. All of it is optional: empty means as AWS's own tools would."""

    region: str = ""
    profile: str = ""
    role_arn: str = ""
    """Assumed with whatever credential the rest of the chain gives."""
    external_id: str = ""
    session_name: str = ""
    keys: tuple[str, ...] = ()
    """Access key id, secret key and session token (or an empty one) that the configuration names; empty: it names none."""
    where: str = ""
    """What the provider's settings are called for people: ``providers.bedrock``."""

    def __repr__(self) -> str:
        return f"AwsIdentity(region={self.region!r}, profile={self.profile!r}, role_arn={self.role_arn!r})"


class AwsSource(msgspec.Struct, frozen=True):
    """Fetches the credential of one identity. A :class:`~trimaran.providers.upkeep.Source`."""

    identity: AwsIdentity

    @property
    def holder(self) -> AwsIdentity:
        """Who it is, wherever AWS is asked for the credential."""
        return msgspec.structs.replace(self.identity, region="", where="")

    def fetch(self) -> Credential:
        """The credential as it is now; blocks for as long as AWS takes. Raises :class:`ConfigError`."""
        identity = self.identity
        base = _named_keys(identity) or _environment(identity, os.environ)
        if base is not None and not identity.role_arn:
            return base
        with _quiet():
            try:
                if base is None:
                    base = _walked(identity)
                return _assumed(identity, base) if identity.role_arn else base
            except ConfigError:
                raise
            except Exception as error:
                raise explained(error, identity, os.environ) from error


def environment_keys(environ: Mapping[str, str]) -> bool:
    """Whether access keys stand in the environment."""
    return all(environ.get(name, "").strip() for name in _KEYS)


def botocore_session(identity: AwsIdentity) -> Any:
    """A botocore session for an identity, with short limits. Raises :class:`ConfigError` where there is no botocore."""
    try:
        import botocore.session
        from botocore.config import Config
    except ImportError as error:
        raise ConfigError(
            "AWS credentials other than access keys need botocore, which is not installed",
            where=identity.where,
            hint=f"{MISSING_BOTOCORE}, or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ) from error
    # The type that its stubs would give says less than Any does: the package has none of its own.
    session: Any = botocore.session.Session(profile=identity.profile or None)
    if identity.region:
        session.set_config_variable("region", identity.region)
    retries = {"total_max_attempts": 2, "mode": "standard"}
    session.set_default_client_config(Config(connect_timeout=CONNECT_S, read_timeout=READ_S, retries=retries))
    return session


# Keys that stand somewhere


def _named_keys(identity: AwsIdentity) -> Credential | None:
    if not identity.keys:
        return None
    return Credential(_clean(identity.keys, identity.where), source=f"{identity.where}.access_key_id".lstrip("."))


def _environment(identity: AwsIdentity, environ: Mapping[str, str]) -> Credential | None:
    """Access keys of the environment. A profile that the configuration names is meant instead of them, as botocore has it."""
    if identity.profile or not any(environ.get(name, "").strip() for name in _KEYS):
        return None
    missing = [name for name in _KEYS if not environ.get(name, "").strip()]
    if missing:
        other = _KEYS[0] if missing[0] == _KEYS[1] else _KEYS[1]
        raise ConfigError(
            f"{other} is set, but {missing[0]} is not",
            where="environment",
            hint=f"export {missing[0]}=..., or unset {other}",
        )
    # AWS_SECURITY_TOKEN is the older name (botocore 1.44.8, EnvProvider.TOKENS).
    token = environ.get("AWS_SESSION_TOKEN", "") or environ.get("AWS_SECURITY_TOKEN", "")
    keys = (environ[_KEYS[0]], environ[_KEYS[1]], token)
    return Credential(_clean(keys, "environment"), source="environment")


def _clean(parts: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The parts as they may stand in a header. Raises :class:`ConfigError`, which shows none of them."""
    stripped = tuple(part.strip() for part in parts)
    for part in stripped:
        if not part.isascii() or not part.isprintable() or " " in part:
            raise ConfigError(
                "an AWS access key holds a line break or a character that is not ASCII",
                where=where,
                hint="copy it again; it is one line of plain letters, digits and signs",
            )
    return stripped


# The chain


def _walked(identity: AwsIdentity) -> Credential:
    session = botocore_session(identity)
    profile = profile_named(identity.profile, os.environ)
    settings = _profile_of(session, profile)
    _refuse_mfa(session, profile)
    found = session.get_credentials()
    if found is None:
        raise ConfigError(
            f"no AWS credentials were found; tried: {', '.join(_tried(identity, profile))}",
            where=identity.where,
            hint="export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure sso`, or write a profile",
        )
    source = _source(found.method, profile, settings, os.environ, named=bool(identity.profile))
    return _credential(found, source, identity.where)


def _profile_of(session: Any, profile: str) -> Mapping[str, Any]:
    profiles: Mapping[str, Mapping[str, Any]] = session.full_config.get("profiles", {})
    return profiles.get(profile, {})


def _refuse_mfa(session: Any, profile: str) -> None:
    """A profile that asks for a code would be asked for on a terminal that nobody watches."""
    seen: set[str] = set()
    while profile and profile not in seen:
        seen.add(profile)
        settings = _profile_of(session, profile)
        if "mfa_serial" in settings:
            raise ConfigError(
                f"the profile {profile} asks for an MFA code, which nobody can type here",
                where=f"profile {profile}",
                hint="use a profile with `aws sso login`, or a role without mfa_serial; for a session by hand run "
                f"`aws configure export-credentials --profile {profile} --format env` and export what it prints",
            )
        profile = str(settings.get("source_profile", ""))


def _assumed(identity: AwsIdentity, base: Credential) -> Credential:
    """The role that the configuration names, assumed with ``base``."""
    session = botocore_session(identity)
    session.set_credentials(base.parts[0], base.parts[1], base.parts[2] or None)
    asked = {"RoleArn": identity.role_arn, "RoleSessionName": identity.session_name or SESSION_NAME}
    if identity.external_id:
        asked["ExternalId"] = identity.external_id
    found = session.create_client("sts").assume_role(**asked)["Credentials"]
    parts = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    source = f"role {identity.role_arn} through {base.source}"
    return Credential(_clean(parts, identity.where), _ns(found["Expiration"]), source)


def _credential(found: Any, source: str, where: str) -> Credential:
    frozen = found.get_frozen_credentials()
    parts = (frozen.access_key or "", frozen.secret_key or "", frozen.token or "")
    # No public attribute tells when it expires. Static ones have neither this nor an end.
    expires: datetime | None = getattr(found, "_expiry_time", None)
    return Credential(_clean(parts, where), None if expires is None else _ns(expires), source)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def _source(method: str, profile: str, settings: Mapping[str, Any], environ: Mapping[str, str], *, named: bool) -> str:
    """The link of the chain, for people."""
    match method:
        case "assume-role-with-web-identity":
            if not named and environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
                return f"IRSA role {environ.get('AWS_ROLE_ARN') or settings.get('role_arn', '')}"
            return f"profile {profile} (web identity, role {settings.get('role_arn', '')})"
        case "assume-role":
            return f"profile {profile} (role {settings.get('role_arn', '')})"
        case "container-role":
            uri = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
            pod = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") or any(h in uri for h in _POD_IDENTITY_HOSTS)
            return "EKS Pod Identity" if pod else "container role"
        case "iam-role":
            return "instance role"
        case "env":
            return "environment"
        case "sso" | "login":
            return f"profile {profile} ({method})"
        case "custom-process":
            return f"profile {profile} (process)"
        case "shared-credentials-file" | "config-file":
            return f"profile {profile} (access keys)"
        case _:
            return f"profile {profile} ({method})"


def _tried(identity: AwsIdentity, profile: str) -> Iterator[str]:
    if not identity.profile:
        yield "environment"
    yield f"profile {profile}"
    if not identity.profile:
        yield "web identity"
    yield "container role"
    yield "instance role"


# botocore's words


class _Drop(logging.Filter):
    """Drops what botocore logs on a thread that fetches: its warnings come with a traceback, and what went wrong is told as
    a :class:`ConfigError` anyway. Other users of botocore in the process keep theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.here, "fetching", False)


_DROP = _Drop()
for _name in ("botocore.credentials", "botocore.tokens", "botocore.utils"):
    logging.getLogger(_name).addFilter(_DROP)


@contextmanager
def _quiet() -> Iterator[None]:
    _DROP.here.fetching = True
    try:
        yield
    finally:
        _DROP.here.fetching = False
