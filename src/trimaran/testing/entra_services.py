"""The HTTP side of :mod:`~trimaran.testing.entra`: paths, headers, and how each service words a refusal."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec

from trimaran.testing.azure import TENANT, AzureHead, query_value
from trimaran.testing.dialect import HeadWriter, LookUp, Request, header
from trimaran.testing.entra import EntraError, EntraIdentity
from trimaran.testing.exchange import Refusal

__all__ = ["IDENTITY_PATH", "entra_services"]

IDENTITY_PATH = "/msi/token"
"""What ``IDENTITY_ENDPOINT`` points at."""

_TOKEN = re.compile(r"/(?P<tenant>[^/]+)/oauth2/v2\.0/token\Z")
_CONFIGURATION = re.compile(r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration\Z")
_DISCOVERY = "/common/discovery/instance"
_IMDS = "/metadata/identity/oauth2/token"
_HEADERS = """\
cache-control: no-store, no-cache
pragma: no-cache
p3p: CP="DSP CUR OTPi IND OTRi ONL FIN"
x-ms-ests-server: 2.1.0 - SIMULATED ProdSlices
strict-transport-security: max-age=31536000; includeSubDomains
x-content-type-options: nosniff
set-cookie: fpc=simulated; path=/; HttpOnly"""
_MACHINE_HEADERS = """\
server: IMDS/150.870.65.1324"""
_NAMES = {
    "client_id": "client_id",
    "object_id": "object_id",
    "principal_id": "object_id",
    "mi_res_id": "resource_id",
    "msi_res_id": "resource_id",
}


def entra_services(identity: EntraIdentity) -> list[LookUp]:
    """What answers."""
    return [_Authority(identity), _Imds(identity), _AppService(identity)]


class _Service:
    """What they share."""

    name = ""
    headers = _HEADERS

    def __init__(self, identity: EntraIdentity) -> None:
        self.head: HeadWriter = AzureHead(self.name, self.headers, id_header="x-ms-request-id")
        self.identity = identity

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """Nobody has to have a token to get one."""


class _Failed(Refusal):
    """What :class:`~trimaran.testing.entra.EntraError` is to a provider."""

    def __init__(self, error: EntraError) -> None:
        super().__init__(error.status, error.error, error.words)
        self.code = error.code


class _Authority(_Service):
    """Tokens, and what a client asks before it wants one."""

    name = "entra.token"

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        name = path.decode("latin-1")
        if method == b"POST":
            return _TOKEN.match(name) is not None
        return method == b"GET" and (name == _DISCOVERY or _CONFIGURATION.match(name) is not None)

    def look_up(self, request: Request) -> bytes:
        """A token, the tenant's configuration, or the clouds there are."""
        path = request.target.partition(b"?")[0].decode("latin-1")
        host = (header(request.headers, b"host") or b"localhost").decode("latin-1")
        try:
            if (found := _TOKEN.match(path)) is not None:
                return msgspec.json.encode(self.identity.grant(unquote(found["tenant"]), request.body))
            if (found := _CONFIGURATION.match(path)) is not None:
                self.identity.check_tenant(unquote(found["tenant"]))
                return msgspec.json.encode(_configuration(host, found["tenant"]))
        except EntraError as error:
            raise _Failed(error) from None
        return msgspec.json.encode(_clouds(host))

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """OAuth's two members, and Entra's own."""
        code = refusal.code if isinstance(refusal, _Failed) else 0
        trace = str(UUID(int=int("0" + "".join(filter(str.isdigit, request_id)))))
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self.identity.cloud.now()))
        words = (
            f"AADSTS{code}: {refusal.message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {stamp}"
            if code
            else refusal.message
        )
        body: dict[str, Any] = {"error": refusal.kind, "error_description": words}
        if code:
            body |= {"error_codes": [code], "timestamp": stamp, "trace_id": trace, "correlation_id": trace}
            body["error_uri"] = f"https://login.microsoftonline.com/error?code={code}"
        return msgspec.json.encode(body)


class _Machine(_Service, ABC):
    """What the two kinds of managed identity share."""

    headers = _MACHINE_HEADERS

    def present(self) -> bool:
        """Whether this machine has an identity at all."""
        return self.identity.system is not None or bool(self.identity.user_assigned)

    def look_up(self, request: Request) -> bytes:
        """A token."""
        try:
            return msgspec.json.encode(self.token(request))
        except EntraError as error:
            raise _Failed(error) from None

    @abstractmethod
    def token(self, request: Request) -> dict[str, str]:
        """The answer. Raises :class:`~trimaran.testing.entra.EntraError`."""

    def wanted(self, request: Request) -> dict[str, str]:
        """Which identity is asked for."""
        named = {name: query_value(request.target, name) for name in _NAMES}
        return {_NAMES[name]: value for name, value in named.items() if value is not None}

    def audience(self, request: Request) -> str:
        """Which resource is asked for."""
        resource = query_value(request.target, "resource")
        if not resource:
            raise EntraError(400, "invalid_request", 0, "Required query variable 'resource' is missing")
        return self.identity.resource(resource, TENANT)


class _Imds(_Machine):
    """The metadata server."""

    name = "entra.imds"

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"GET" and path == _IMDS.encode() and self.present()

    def token(self, request: Request) -> dict[str, str]:
        """All numbers are texts, as the metadata server writes them."""
        identity = self.identity
        if (header(request.headers, b"metadata") or b"").lower() != b"true":
            raise EntraError(400, "invalid_request", 0, "Required metadata header not specified")
        if not query_value(request.target, "api-version"):
            raise EntraError(400, "invalid_request", 0, "Required query variable 'api-version' is missing")
        audience = self.audience(request)
        token = identity.machine_token("imds", identity.machine(self.wanted(request)), audience)
        left = identity.left_s(token)
        ends = int(token.expires_at_s or 0)
        return {
            "access_token": token.value,
            "client_id": token.client_id,
            "expires_in": str(left),
            "expires_on": str(ends),
            "ext_expires_in": str(left),
            "not_before": str(int(identity.cloud.now())),
            "resource": query_value(request.target, "resource") or audience,
            "token_type": "Bearer",
        }

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """OAuth's two members."""
        return msgspec.json.encode({"error": refusal.kind, "error_description": refusal.message})


class _AppService(_Machine):
    """App Service, Functions, Container Apps."""

    name = "entra.app_service"

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"GET" and path == IDENTITY_PATH.encode() and self.present()

    def token(self, request: Request) -> dict[str, str]:
        """``expires_on`` counts from the epoch; there is no ``expires_in``."""
        identity = self.identity
        secret = (header(request.headers, b"x-identity-header") or b"").decode("latin-1")
        if secret != identity.identity_header:
            raise EntraError(
                401, "Unauthorized", 0, "The value of the X-IDENTITY-HEADER header is not the expected one."
            )
        audience = self.audience(request)
        token = identity.machine_token("app_service", identity.machine(self.wanted(request)), audience)
        return {
            "access_token": token.value,
            "client_id": token.client_id,
            "expires_on": str(int(token.expires_at_s or 0)),
            "resource": query_value(request.target, "resource") or audience,
            "token_type": "Bearer",
        }

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{statusCode, message}``."""
        return msgspec.json.encode({"statusCode": refusal.status, "message": refusal.message})


def _configuration(host: str, tenant: str) -> dict[str, Any]:
    """What of the OpenID configuration clients read. All addresses have ``https``: clients take no other."""
    base = f"https://{host}/{tenant}"
    return {
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "issuer": f"{base}/v2.0",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "code id_token", "token id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "WW",
        "cloud_instance_name": "microsoftonline.com",
    }


def _clouds(host: str) -> dict[str, Any]:
    """Instance discovery: this host is a cloud, as is the public one."""
    names = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    return {
        "tenant_discovery_endpoint": f"https://{host}/{TENANT}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [
            {"preferred_network": names[0], "preferred_cache": names[1], "aliases": names},
            {"preferred_network": host, "preferred_cache": host, "aliases": [host]},
        ],
    }
