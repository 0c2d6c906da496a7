"""Entra ID and the identity services of Azure's machines as simulated ones, so that each way to a token can be walked on one port.

- ``POST /{tenant}/oauth2/v2.0/token``: client credentials: a secret, an assertion that a certificate's key signed, or the token of
  another issuer (workload identity federation, as on AKS).
- ``GET /metadata/identity/oauth2/token``: the metadata server's managed identity (IMDS). It gives the same token again for half of
  its life.
- ``GET /msi/token``: App Service's, Functions' and Container Apps' managed identity (``IDENTITY_ENDPOINT``, ``IDENTITY_HEADER``).

What is issued is known to the :class:`~trimaran.testing.azure.AzureCloud` at once. Lifetimes are settings, and every way can be made to
fail. Nothing here is a secret. ``azure-identity`` is the judge; it takes authorities with ``https`` only, so service principals need
:func:`~trimaran.testing.entra_transport.entra_transport`. Codes and words follow learn.microsoft.com ("Microsoft Entra authentication
and authorization error codes", "How to use managed identities on a VM to acquire a token", "REST endpoint reference" of App Service)
and answers quoted in public issue threads, read 2026-11-30.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable
from typing import Any, Literal, get_args
from urllib.parse import parse_qs

import msgspec

from trimaran.testing.azure import ARM, COGNITIVE_SERVICES, FOUNDRY, MACHINE_LEARNING, TENANT, AzureCloud, EntraToken
from trimaran.testing.jwt import Jwt, read_jwt, unsigned_jwt, verified

__all__ = [
    "ENTRA_LINKS",
    "IDENTITY_HEADER",
    "EntraApp",
    "EntraError",
    "EntraFailure",
    "EntraIdentity",
    "EntraLink",
    "FederatedCredential",
    "ManagedIdentity",
]

EntraLink = Literal["client_secret", "client_certificate", "federated", "imds", "app_service"]
"""Where a token comes from."""
ENTRA_LINKS: tuple[EntraLink, ...] = get_args(EntraLink)

IDENTITY_HEADER = "simulated-identity-header"
"""Of App Service by default."""
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_RESOURCES = (
    COGNITIVE_SERVICES,
    FOUNDRY,
    MACHINE_LEARNING,
    ARM,
    "https://graph.microsoft.com",
    "https://vault.azure.net",
)
_SKEW_S = 300


class EntraError(Exception):
    """A refusal: OAuth's ``error``, and Entra's number for it (0: none)."""

    def __init__(self, status: int, error: str, code: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.error = error
        self.code = code
        self.words = words


class EntraFailure(msgspec.Struct):
    """A way that fails: ``count`` times, or until it is taken away (``None``)."""

    status: int = 503
    error: str = "temporarily_unavailable"
    code: int = 90033
    words: str = "A transient error has occurred. Please try again."
    count: int | None = None


class FederatedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens stand for an app."""

    issuer: str
    subject: str
    audience: str = EXCHANGE_AUDIENCE


class EntraApp(msgspec.Struct, frozen=True, kw_only=True):
    """An app registration with its service principal."""

    client_id: str = "44444444-4444-4444-8444-444444444444"
    object_id: str = "33333333-3333-4333-8333-333333333333"
    secrets: dict[str, float | None] = msgspec.field(default_factory=dict)
    """Secrets and when they end (seconds since the epoch; ``None``: never)."""
    certificates: tuple[str, ...] = ()
    """PEM of public keys or certificates."""
    federated: tuple[FederatedCredential, ...] = ()


class ManagedIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """An identity that a machine has."""

    client_id: str = "55555555-5555-4555-8555-555555555555"
    object_id: str = "66666666-6666-4666-8666-666666666666"
    resource_id: str = ""


SYSTEM_ASSIGNED = ManagedIdentity()
"""Who a machine is by default."""


class EntraIdentity:
    """State of the token services. It may be changed while the provider runs.

    ``apps``: who there is (``None``: any client, whatever it proves itself with). ``tenants``: which exist (``None``: any).
    ``resources``: what tokens can be for. ``system`` and ``user_assigned``: who this machine is; with neither there is no metadata
    server. ``lifetimes_s`` by link; else ``lifetime_s`` for service principals and ``machine_lifetime_s`` for managed identities.
    ``failures`` by link.
    """

    def __init__(
        self,
        cloud: AzureCloud,
        *,
        apps: Iterable[EntraApp] | None = None,
        tenants: Iterable[str] | None = None,
        system: ManagedIdentity | None = SYSTEM_ASSIGNED,
        user_assigned: Iterable[ManagedIdentity] = (),
        lifetime_s: float = 3_599.0,
        machine_lifetime_s: float = 86_399.0,
    ) -> None:
        self.cloud = cloud
        self.apps = {app.client_id: app for app in apps} if apps is not None else None
        self.tenants = set(tenants) if tenants is not None else None
        self.resources = set(_RESOURCES)
        self.system = system
        self.user_assigned = tuple(user_assigned)
        self.identity_header = IDENTITY_HEADER
        self.lifetime_s = lifetime_s
        self.machine_lifetime_s = machine_lifetime_s
        self.lifetimes_s: dict[EntraLink, float] = {}
        self.failures: dict[EntraLink, EntraFailure] = {}
        self.issued: list[tuple[EntraLink, str, str]] = []
        """Link, principal and token, in order."""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._machine: dict[tuple[str, str], tuple[EntraToken, float]] = {}

    # Giving out

    def fail(self, link: EntraLink) -> None:
        """Raise what this way is made to fail with, if it is."""
        with self._lock:
            failure = self.failures.get(link)
            if failure is None or failure.count == 0:
                return
            if failure.count is not None:
                failure.count -= 1
        raise EntraError(failure.status, failure.error, failure.code, failure.words)

    def give(self, link: EntraLink, principal: str, client_id: str, audience: str) -> EntraToken:
        """A new access token: a JWT that nobody signed."""
        self.fail(link)
        machine = link in ("imds", "app_service")
        life = self.lifetimes_s.get(link, self.machine_lifetime_s if machine else self.lifetime_s)
        now = self.cloud.now()
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + life),
            "appid": client_id,
            "idtyp": "app",
            "oid": principal,
            "sub": principal,
            "tid": TENANT,
            "uti": f"simulated-{link}-{next(self._numbers)}",
            "ver": "1.0",
        }
        value = unsigned_jwt(claims)
        token = EntraToken(
            value=value, principal=principal, client_id=client_id, audience=audience, expires_at_s=now + life
        )
        self.cloud.issued[value] = token
        self.issued.append((link, principal, value))
        return token

    def left_s(self, token: EntraToken) -> int:
        """Seconds until a token ends."""
        return max(0, round((token.expires_at_s or 0.0) - self.cloud.now()))

    def new_federated_token(
        self, subject: str, issuer: str, *, audience: str = EXCHANGE_AUDIENCE, life_s: int = 3_600
    ) -> str:
        """The token of another issuer, as a pod's service account has it in ``AZURE_FEDERATED_TOKEN_FILE``."""
        now = int(self.cloud.now())
        return unsigned_jwt(
            {"iss": issuer, "sub": subject, "aud": [audience], "iat": now, "nbf": now, "exp": now + life_s}
        )

    # Service principals

    def grant(self, tenant: str, body: bytes) -> dict[str, Any]:
        """The answer of the token endpoint. Raises :class:`EntraError`."""
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        self.check_tenant(tenant)
        if form.get("grant_type") != "client_credentials":
            words = "The provided grant type is not supported; only 'client_credentials' is simulated."
            raise EntraError(400, "unsupported_grant_type", 70003, words)
        client_id = form.get("client_id", "")
        app = self._app(tenant, client_id)
        link = self._prove(app, client_id, form)
        audience = self._audience(form.get("scope", ""), tenant)
        principal = app.object_id if app is not None else EntraApp().object_id
        token = self.give(link, principal, client_id, audience)
        left = self.left_s(token)
        answer = {"token_type": "Bearer", "expires_in": left, "ext_expires_in": left, "access_token": token.value}
        if left >= 7_200:
            answer["refresh_in"] = left // 2
        return answer

    def check_tenant(self, tenant: str) -> None:
        """Whether a tenant exists. Raises :class:`EntraError`."""
        if self.tenants is not None and tenant not in self.tenants:
            words = (
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct "
                "cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the "
                "tenant."
            )
            raise EntraError(400, "invalid_request", 90002, words)

    def _app(self, tenant: str, client_id: str) -> EntraApp | None:
        if not client_id:
            words = "The request body must contain the following parameter: 'client_id'."
            raise EntraError(400, "invalid_request", 900144, words)
        if self.apps is None:
            return None
        if (app := self.apps.get(client_id)) is None:
            words = (
                f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the "
                "application has not been installed by the administrator of the tenant or consented to by any user in the "
                "tenant. You may have sent your authentication request to the wrong tenant."
            )
            raise EntraError(400, "unauthorized_client", 700016, words)
        return app

    def _prove(self, app: EntraApp | None, client_id: str, form: dict[str, str]) -> EntraLink:
        """Check that the client is who it says."""
        if secret := form.get("client_secret"):
            if app is not None:
                self._check_secret(app, secret)
            return "client_secret"
        assertion = form.get("client_assertion")
        if not assertion or form.get("client_assertion_type") != _ASSERTION:
            words = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise EntraError(401, "invalid_client", 7000218, words)
        try:
            token = read_jwt(assertion)
        except ValueError:
            raise EntraError(400, "invalid_request", 50027, "JWT token is invalid or malformed.") from None
        self._check_times(token)
        if token.claims.get("iss") == client_id:
            self._check_certificate(app, client_id, token)
            return "client_certificate"
        if app is not None:
            _check_federated(app, token)
        return "federated"

    def _check_secret(self, app: EntraApp, secret: str) -> None:
        if secret not in app.secrets:
            words = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the "
                f"client secret ID, for a secret added to app '{app.client_id}'."
            )
            raise EntraError(401, "invalid_client", 7000215, words)
        ends = app.secrets[secret]
        if ends is not None and self.cloud.now() >= ends:
            words = (
                f"The provided client secret keys for app '{app.client_id}' are expired. Visit the Azure portal to create new keys "
                "for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: "
                "https://aka.ms/certCreds."
            )
            raise EntraError(401, "invalid_client", 7000222, words)

    def _check_times(self, token: Jwt) -> None:
        begins, ends, now = token.claims.get("nbf", 0), token.claims.get("exp"), self.cloud.now()
        good = False
        if isinstance(ends, int | float) and isinstance(begins, int | float):
            good = begins - _SKEW_S <= now < ends + _SKEW_S
        if not good:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z", time.gmtime(now))
            words = (
                "Client assertion is not within its valid time range. Current time: "
                f"{stamp}. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials."
            )
            raise EntraError(401, "invalid_client", 700024, words)

    def _check_certificate(self, app: EntraApp | None, client_id: str, token: Jwt) -> None:
        audience = str(token.claims.get("aud", ""))
        if not audience.endswith(("/oauth2/v2.0/token", "/v2.0", "/")):
            words = f"The audience '{audience}' of the client assertion is not the token endpoint."
            raise EntraError(401, "invalid_client", 700023, words)
        if app is not None and not any(verified(known, token) for known in app.certificates):
            words = (
                "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The "
                f"key was not found., Please visit the Azure Portal and check the keys of app '{client_id}'.]"
            )
            raise EntraError(401, "invalid_client", 700027, words)

    def _audience(self, scope: str, tenant: str) -> str:
        """Which resource a scope means."""
        if not scope.endswith("/.default") or " " in scope:
            words = (
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default "
                "suffixed to the resource identifier (application ID URI)."
            )
            raise EntraError(400, "invalid_scope", 1002012, words)
        return self.resource(scope.removesuffix("/.default"), tenant)

    def resource(self, name: str, tenant: str) -> str:
        """A resource that tokens can be for. Raises :class:`EntraError`."""
        plain = name.rstrip("/")
        if plain not in self.resources:
            words = (
                f"The resource principal named {name} was not found in the tenant named {tenant}. This can happen if the "
                "application has not been installed by the administrator of the tenant or consented to by any user in the "
                "tenant. You might have sent your authentication request to the wrong tenant."
            )
            raise EntraError(400, "invalid_resource", 500011, words)
        return plain

    # Machines

    def machine(self, wanted: dict[str, str]) -> ManagedIdentity:
        """Which of this machine's identities is meant; ``wanted`` holds ``client_id``, ``object_id`` or ``resource_id``, or nothing.
        Raises :class:`EntraError`."""
        if wanted:
            known = (self.system, *self.user_assigned)
            for one in known:
                if one is not None and all(getattr(one, name) == value for name, value in wanted.items()):
                    return one
            raise EntraError(400, "invalid_request", 0, "Identity not found")
        if self.system is not None:
            return self.system
        if len(self.user_assigned) == 1:
            return self.user_assigned[0]
        words = "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
        raise EntraError(400, "invalid_request", 0, words)

    def machine_token(self, link: EntraLink, identity: ManagedIdentity, audience: str) -> EntraToken:
        """A managed identity's token: the old one for half of its life."""
        old = self._machine.get((identity.client_id, audience))
        if old is not None and self.cloud.now() < old[1]:
            self.fail(link)
            return old[0]
        token = self.give(link, identity.object_id, identity.client_id, audience)
        half = self.cloud.now() + self.left_s(token) / 2
        self._machine[identity.client_id, audience] = token, half
        return token


def _check_federated(app: EntraApp, token: Jwt) -> None:
    """Entra compares issuer, then subject, then audience, and says which of them fits nothing."""
    issuer, subject, audience = (token.claims.get(name) for name in ("iss", "sub", "aud"))
    audiences = audience if isinstance(audience, list) else [audience]
    hint = (
        "Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
    )
    link = f"{hint}https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    fitting = [known for known in app.federated if known.issuer == issuer]
    if not fitting:
        words = f"No matching federated identity record found for presented assertion issuer '{issuer}'. {link}"
        raise EntraError(401, "invalid_client", 700211, words)
    fitting = [known for known in fitting if known.subject == subject]
    if not fitting:
        words = (
            f"No matching federated identity record found for presented assertion subject '{subject}'. The subject is matched "
            f"case-sensitively. {link}"
        )
        raise EntraError(401, "invalid_client", 700213, words)
    if not any(known.audience in audiences for known in fitting):
        words = f"No matching federated identity record found for presented assertion audience '{audience}'. {link}"
        raise EntraError(401, "invalid_client", 700212, words)
