"""Application Default Credentials: the places in which each of Google's tools looks, walked off the road.

A file (the provider's own, ``GOOGLE_APPLICATION_CREDENTIALS``, or what ``gcloud auth application-default login`` wrote) may hold a service
account's key, a person's login, or the way from another identity to Google's (workload identity federation). google-auth reads
all of them, and is imported when there is one. Without a file, the metadata service of GCE, GKE and Cloud Run is asked, for which
google-auth is not needed.

What comes of it is an access token, or for an audience an identity token. A service account may be acted as on top
(``impersonate``). A person's requests are charged to a project of theirs, which goes along as a header
(``x-goog-user-project``).

Each fetch begins anew with nothing remembered, so that a file or a role that has changed is seen.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from trimaran.errors import ConfigError
from trimaran.providers.google import metadata
from trimaran.providers.google.failures import Refused, explained, no_credentials, not_impersonated, wrong_kind
from trimaran.providers.google.place import adc_file, credentials_file
from trimaran.types import Credential

__all__ = ["CLOUD_PLATFORM", "MISSING_GOOGLE_AUTH", "GoogleIdentity", "GoogleSource", "transport"]

MISSING_GOOGLE_AUTH = "pip install 'trimaran[google]'"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
CALL_S = 8.0
"""For each call; two of them fit into the limit of one renewal."""
LIFE_S = 3600
"""Of the token of an impersonated account: the longest that needs no policy of the organisation."""
QUOTA_HEADER = "x-goog-user-project"

_IAM = "https://iamcredentials.googleapis.com"


class GoogleIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a provider acts as. All of it is optional: empty means as Google's own tools would."""

    file: str = ""
    impersonate: str = ""
    """The e-mail address of a service account that is acted as, with whatever the rest gives."""
    audience: str = ""
    """Whom an identity token is for; empty: an access token is wanted."""
    where: str = ""
    """What the provider's settings are called for people: ``providers.vertex``."""


class GoogleSource(msgspec.Struct, frozen=True):
    """Fetches the credential of one identity. A :class:`~trimaran.providers.upkeep.Source`."""

    identity: GoogleIdentity

    def fetch(self) -> Credential:
        """The credential as it is now; blocks for as long as Google takes. Raises :class:`ConfigError`."""
        identity, environ = self.identity, os.environ
        path = credentials_file(identity.file, environ)
        try:
            found = _from_file(path, identity) if path else _from_machine(identity, environ)
            return _impersonated(found, identity, environ) if found.acts_as else found.credential
        except ConfigError:
            raise
        except Exception as error:
            raise explained(error, path, identity.where) from error


class _Found(msgspec.Struct, frozen=True):
    """What a place gave; with ``acts_as`` it is only good for asking for the token of that account."""

    credential: Credential
    acts_as: str = ""


# Files


def _from_file(path: str, identity: GoogleIdentity) -> _Found:
    info = _read(path, identity.where)
    kind = info.get("type")
    request = transport(identity.where)
    acts_as = identity.impersonate
    if identity.audience and not acts_as:
        if kind == "service_account":
            return _Found(_own_id_token(info, path, identity, request))
        # The account that the file leads to is asked for its identity token in a second step.
        acts_as = _account_of(info)
        if not acts_as:
            raise wrong_kind(str(kind), path, identity.where)
        info = {key: value for key, value in info.items() if key != "service_account_impersonation_url"}
        if kind == "impersonated_service_account":
            info = dict(info["source_credentials"])
    loaded = _load(info, path, request)
    loaded.refresh(request)
    parts = [loaded.token]
    if project := getattr(loaded, "quota_project_id", None):
        parts += [QUOTA_HEADER, project]
    return _Found(Credential(tuple(parts), _expiry(loaded), _source(info, path)), acts_as)


def _read(path: str, where: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            info = json.load(file)
    except FileNotFoundError:
        raise ConfigError(
            f"the credentials file {path} does not exist",
            where=where,
            hint="check credentials_file and GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the credentials file {path} cannot be read: {error.strerror}", where=where, hint="check its permissions"
        ) from None
    except ValueError:
        info = None
    if not isinstance(info, dict) or not isinstance(info.get("type"), str):
        raise ConfigError(
            f"{path} is no file of Google credentials",
            where=where,
            hint="it is JSON with a type: a service account's key, what `gcloud auth application-default login` writes, or what "
            "`gcloud iam workload-identity-pools create-cred-config` writes",
        )
    return info


def _load(info: dict[str, Any], path: str, request: Any) -> Any:
    """google-auth's credentials of a file."""
    import warnings

    from google.auth import exceptions, load_credentials_from_dict

    load: Any = load_credentials_from_dict
    loaded: Any
    try:
        if info["type"] == "external_account":
            # Not by way of load(), which asks Google for the project's name besides.
            return _federated(info)
        with warnings.catch_warnings():
            # It warns of files that come from somebody else. The operator wrote this one down, or gcloud did.
            warnings.simplefilter("ignore")
            loaded, _ = load(info, scopes=[CLOUD_PLATFORM], request=request)
    except (exceptions.DefaultCredentialsError, KeyError, ValueError) as error:
        raise explained(error, path, "") from error
    return loaded


def _federated(info: dict[str, Any]) -> Any:
    """Workload identity federation: from AWS, from a program, or from a file or URL (google-auth's three classes)."""
    from google.auth import aws, identity_pool, pluggable

    kind: Any = identity_pool.Credentials
    if info.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        kind = aws.Credentials
    elif "executable" in info.get("credential_source", {}):
        kind = pluggable.Credentials
    return kind.from_info(info, scopes=[CLOUD_PLATFORM])


def _own_id_token(info: dict[str, Any], path: str, identity: GoogleIdentity, request: Any) -> Credential:
    """A service account's identity token, with its own key."""
    from google.oauth2 import service_account

    kind: Any = service_account.IDTokenCredentials
    loaded = kind.from_service_account_info(info, target_audience=identity.audience)
    loaded.refresh(request)
    return Credential((loaded.token,), _expiry(loaded), _source(info, path))


def _account_of(info: Mapping[str, Any]) -> str:
    """The service account whose token a file leads to by impersonation; empty: it leads to none."""
    url = str(info.get("service_account_impersonation_url", ""))
    return url.rpartition("/")[2].partition(":")[0]


def _expiry(loaded: Any) -> int | None:
    """google-auth tells it in UTC, without saying so."""
    expiry: datetime | None = loaded.expiry
    return None if expiry is None else int(expiry.replace(tzinfo=UTC).timestamp()) * 10**9


def _source(info: Mapping[str, Any], path: str) -> str:
    kind = info.get("type")
    place = "gcloud's login" if path == adc_file(os.environ) else path
    match kind:
        case "service_account":
            return f"service account {info.get('client_email', '')} ({place})"
        case "authorized_user":
            who = info.get("account") or "a person"
            return f"{who} ({place})"
        case "external_account" | "external_account_authorized_user":
            pool = str(info.get("audience", "")).rpartition("/locations/")[2]
            account = _account_of(info)
            return f"workload identity federation{f' as {account}' if account else ''} ({pool or place})"
        case "impersonated_service_account":
            return f"service account {_account_of(info)} by impersonation ({place})"
        case _:
            return f"{kind} ({place})"


# Machines


def _from_machine(identity: GoogleIdentity, environ: Mapping[str, str]) -> _Found:
    try:
        if identity.audience and not identity.impersonate:
            token = metadata.identity_token(identity.audience, environ)
            return _Found(Credential((token,), _jwt_expiry(token), _machine(environ)))
        token, life_s = metadata.access_token(CLOUD_PLATFORM, environ)
    except metadata.Nowhere:
        raise no_credentials(identity.file, environ, identity.where) from None
    expires_ns = time.time_ns() + int(life_s) * 10**9
    return _Found(Credential((token,), expires_ns, _machine(environ)), identity.impersonate)


def _machine(environ: Mapping[str, str]) -> str:
    who = metadata.account(environ)
    place = "Cloud Run" if environ.get("K_SERVICE") else "GKE" if environ.get("KUBERNETES_SERVICE_HOST") else "metadata"
    return f"service account {who} ({place})" if who else f"the machine's account ({place})"


# Acting as another account


def _impersonated(found: _Found, identity: GoogleIdentity, environ: Mapping[str, str]) -> Credential:
    """The token of a service account, asked for with another one.

    Source: cloud.google.com, "Create short-lived credentials for a service account", read 2026-11-30."""
    email, base = found.acts_as, found.credential
    root = environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "").rstrip("/") or _IAM
    method = "generateIdToken" if identity.audience else "generateAccessToken"
    url = f"{root}/v1/projects/-/serviceAccounts/{email}:{method}"
    asked: dict[str, object] = (
        {"audience": identity.audience, "includeEmail": True}
        if identity.audience
        else {"scope": [CLOUD_PLATFORM], "lifetime": f"{LIFE_S}s"}
    )
    headers = {"authorization": f"Bearer {base.parts[0]}", "content-type": "application/json"}
    response = transport(identity.where)(url, method="POST", body=json.dumps(asked).encode(), headers=headers)
    source = f"service account {email} through {base.source}"
    try:
        told = json.loads(response.data)
        if response.status != 200:
            raise not_impersonated(Refused.read(response.status, told), email, base.source, identity.where)
        if identity.audience:
            return Credential((told["token"],), _jwt_expiry(told["token"]), source)
        ends = datetime.fromisoformat(str(told["expireTime"]).replace("Z", "+00:00"))
        return Credential((told["accessToken"],), int(ends.timestamp()) * 10**9, source)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{root} answered with something else than a token (status {response.status})",
            where=identity.where,
            hint="check the network: something on the way may answer in Google's name",
        ) from error


def _jwt_expiry(token: str) -> int | None:
    """When an identity token ends: it says so itself."""
    try:
        claims = token.split(".")[1]
        return int(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]) * 10**9
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def transport(where: str) -> Any:
    """google-auth's caller, with short limits. Raises :class:`ConfigError` where google-auth is not installed."""
    try:
        from google.auth.transport.requests import Request
    except ImportError as error:
        raise ConfigError(
            "Google credentials from a file, and impersonation, need google-auth, which is not installed",
            where=where,
            hint=f"{MISSING_GOOGLE_AUTH}; on GKE, GCE and Cloud Run it is not needed",
        ) from error
    call: Any = Request()

    def limited(
        url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: Any = None, **more: Any
    ) -> Any:
        return call(url, method=method, body=body, headers=headers, timeout=min(timeout or CALL_S, CALL_S), **more)

    return limited
