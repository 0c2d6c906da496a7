"""Google's front door as simulated services have it: who may call what, in which project and where.

The Gemini API takes an API key (``x-goog-api-key``, ``?key=``) or an access token; Vertex AI takes access tokens, and API keys
only on paths without a project. A :class:`GoogleCloud` holds what the simulated Google knows; it may be changed while the
provider runs: let a token expire, switch a service off, take a permission away. Words of refusals follow answers that are
quoted in public issue threads (2022 to 2026, read 2026-11-30).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec

from trimaran.testing.dialect import Request, bearer, header
from trimaran.testing.google_errors import (
    GEMINI_SERVICE,
    VERTEX_SERVICE,
    GoogleRefusal,
    error_info,
    help_links,
    localized,
)

__all__ = ["CLOUD_PLATFORM", "PROJECT", "PROJECT_NUMBER", "GoogleCloud", "GoogleToken", "query_value"]

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
PROJECT = "simulated-project"
PROJECT_NUMBER = "123456789012"
_SCOPES = {
    VERTEX_SERVICE: (CLOUD_PLATFORM, f"{CLOUD_PLATFORM}.read-only"),
    GEMINI_SERVICE: (CLOUD_PLATFORM, "https://www.googleapis.com/auth/generative-language"),
    "iamcredentials.googleapis.com": (CLOUD_PLATFORM, "https://www.googleapis.com/auth/iam"),
}
_TITLES = {VERTEX_SERVICE: "Vertex AI API", GEMINI_SERVICE: "Generative Language API"}
_CREDENTIALS = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of "
    "API consumer identity to call this API."
)
_CHALLENGE = b'\r\nwww-authenticate: Bearer realm="https://accounts.google.com/"'


class GoogleToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token that Google knows. ``expires_at_s``: seconds since the epoch, by the server's clock."""

    value: str
    email: str = f"simulated@{PROJECT}.iam.gserviceaccount.com"
    scopes: tuple[str, ...] = (CLOUD_PLATFORM,)
    expires_at_s: float | None = None

    def __repr__(self) -> str:
        return f"GoogleToken(email={self.email!r}, expires_at_s={self.expires_at_s!r})"


class GoogleCloud(msgspec.Struct, kw_only=True):
    """What the simulated Google knows. The simulated token services (:mod:`~trimaran.testing.google_identity`) add to
    ``issued``."""

    tokens: list[GoogleToken] | None = None
    """Access tokens that are good beside the issued ones. ``None``: those among the provider's ``keys``, or any."""
    issued: dict[str, GoogleToken] = msgspec.field(default_factory=dict)
    api_keys: list[str] | None = None
    """``None``: the provider's ``keys``, or any."""
    projects: dict[str, str] | None = None
    """Project ids and their numbers; ``None``: any project exists."""
    locations: tuple[str, ...] | None = None
    """Which locations exist; ``None``: any."""
    model_locations: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Models that do not stand everywhere, and where they do."""
    disabled: set[str] = msgspec.field(default_factory=set)
    """Services that are not enabled, such as ``aiplatform.googleapis.com``."""
    denied: set[str] = msgspec.field(default_factory=set)
    """Permissions that no role grants, such as ``aiplatform.endpoints.predict``."""
    cached_contents: dict[str, int] = msgspec.field(default_factory=dict)
    """Cached contents by full resource name, and their tokens."""
    clock_ahead_s: float = 0.0
    """How far the server's clock is ahead of this machine's."""
    clock: Callable[[], float] = time.time

    def now(self) -> float:
        """Seconds since the epoch, as the server sees it."""
        return self.clock() + self.clock_ahead_s

    def number(self, project: str) -> str:
        """A project's number."""
        return (self.projects or {}).get(project, PROJECT_NUMBER)

    # Who calls

    def admit(self, request: Request, service: str, method: str, keys: frozenset[str] | None, *, key_ok: bool) -> None:
        """Check a request's credentials, and that the service is enabled. ``method`` is the RPC's full name, ``key_ok`` says
        whether an API key is enough. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (400, 401, 403)."""
        token = bearer(request.headers)
        key = header(request.headers, b"x-goog-api-key") or (query_value(request.target, "key") or "").encode()
        if token is not None:
            self._admit_token(token.decode("latin-1"), service, method, keys)
        elif key:
            if not key_ok:
                raise _unauthenticated(
                    "API keys are not supported by this API. Expected OAuth2 access token or other authentication "
                    "credentials that assert a principal. See https://cloud.google.com/docs/authentication",
                    "CREDENTIALS_MISSING",
                    service,
                    method,
                )
            self._admit_key(key.decode("latin-1"), service, keys)
        elif key_ok:
            raise GoogleRefusal(403, _UNREGISTERED)
        else:
            words = f"Request is missing required authentication credential. {_CREDENTIALS}"
            raise _unauthenticated(words, "CREDENTIALS_MISSING", service, method)
        self._check_quota_project(request, service)

    def _admit_key(self, key: str, service: str, keys: frozenset[str] | None) -> None:
        known = self.api_keys if self.api_keys is not None else keys
        if known is not None and key not in known:
            words = "API key not valid. Please pass a valid API key."
            raise GoogleRefusal(400, words, error_info("API_KEY_INVALID", service=service), localized(words))
        if service in self.disabled:
            raise _not_enabled(service, PROJECT_NUMBER)

    def _admit_token(self, value: str, service: str, method: str, keys: frozenset[str] | None) -> None:
        token = self._token(value, keys)
        if token is None:
            words = f"Request had invalid authentication credentials. {_CREDENTIALS}"
            raise _unauthenticated(words, "ACCESS_TOKEN_TYPE_UNSUPPORTED", service, method)
        if token.expires_at_s is not None and self.now() >= token.expires_at_s:
            words = f"Request had invalid authentication credentials. {_CREDENTIALS}"
            raise _unauthenticated(words, "ACCESS_TOKEN_EXPIRED", service, method)
        if not set(token.scopes) & set(_SCOPES.get(service, (CLOUD_PLATFORM,))):
            words = "Request had insufficient authentication scopes."
            raise GoogleRefusal(
                403, words, error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", method=method, service=service)
            )

    def _token(self, value: str, keys: frozenset[str] | None) -> GoogleToken | None:
        """What is known of a token; ``None`` for a stranger's."""
        if (issued := self.issued.get(value)) is not None:
            return issued
        if self.tokens is not None:
            return next((one for one in self.tokens if one.value == value), None)
        return GoogleToken(value=value) if value and (keys is None or value in keys) else None

    def _check_quota_project(self, request: Request, service: str) -> None:
        named = header(request.headers, b"x-goog-user-project")
        if named is None:
            return
        project = named.decode("latin-1")
        unknown = self.projects is not None and project not in self.projects
        if unknown or "serviceusage.services.use" in self.denied:
            words = (
                f"Caller does not have required permission to use project {project}. Grant the caller the "
                "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use "
                "permission, by visiting https://console.developers.google.com/iam-admin/iam/project?project="
                f"{project} and then retry. Propagation of the new permission may take a few minutes."
            )
            details = error_info("USER_PROJECT_DENIED", consumer=f"projects/{project}", service=service)
            raise GoogleRefusal(403, words, details)
        if service in self.disabled:
            raise _not_enabled(service, project)

    # What may be called

    def allow(self, permission: str, project: str, location: str, rest: str) -> None:
        """Check that project and location exist, that the service is enabled there, and that a role grants ``permission`` on
        ``projects/…/locations/…/{rest}``."""
        if self.projects is not None and project not in self.projects and project not in self.projects.values():
            words = f"Permission denied on resource project {project}."
            link = ("Google developers console", "https://console.developers.google.com")
            details = error_info("CONSUMER_INVALID", consumer=f"projects/{project}", service=VERTEX_SERVICE)
            raise GoogleRefusal(403, words, help_links(link), details)
        if VERTEX_SERVICE in self.disabled:
            raise _not_enabled(VERTEX_SERVICE, project)
        if self.locations is not None and location not in self.locations:
            words = f"Permission denied on 'locations/{location}' (or it may not exist)."
            raise GoogleRefusal(403, words)
        if permission in self.denied:
            resource = f"projects/{project}/locations/{location}" + (f"/{rest}" if rest else "")
            words = (
                f"Permission '{permission}' denied on resource '//{VERTEX_SERVICE}/{resource}' (or it may not exist)."
            )
            details = error_info("IAM_PERMISSION_DENIED", VERTEX_SERVICE, permission=permission, resource=resource)
            raise GoogleRefusal(403, words, details)

    def stands(self, model: str, location: str) -> bool:
        """Whether a model is served in a location."""
        return location in self.model_locations.get(model, (location,))


def query_value(target: bytes, name: str) -> str | None:
    """The first value of a query parameter."""
    values = parse_qs(target.partition(b"?")[2].decode("latin-1")).get(name)
    return values[0] if values else None


def _unauthenticated(words: str, reason: str, service: str, method: str) -> GoogleRefusal:
    refusal = GoogleRefusal(401, words, error_info(reason, service=service, method=method))
    refusal.lines = _CHALLENGE + (b"" if reason == "CREDENTIALS_MISSING" else b', error="invalid_token"')
    return refusal


def _not_enabled(service: str, project: str) -> GoogleRefusal:
    title = _TITLES.get(service, service)
    url = f"https://console.developers.google.com/apis/api/{service}/overview?project={project}"
    words = (
        f"{title} has not been used in project {project} before or it is disabled. Enable it by visiting {url} then retry. "
        "If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    details = error_info(
        "SERVICE_DISABLED",
        service=service,
        consumer=f"projects/{project}",
        serviceTitle=title,
        containerInfo=project,
        activationUrl=url,
    )
    links = help_links(("Google developers console API activation", url))
    return GoogleRefusal(403, words, details, localized(words), links)
