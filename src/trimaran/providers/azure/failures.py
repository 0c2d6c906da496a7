"""What goes wrong on the way to a token of Entra ID, in one sentence each with what mends it.

Entra ID names its refusals by a number (``AADSTS7000222``), azure-identity by a class and a text for programmers. Classes are
told apart by name: the package may be missing. What Entra ID itself says is repeated, cut and on one line: it names tenants,
applications and users, never secrets.

Sources: azure-identity 1.27.0; https://learn.microsoft.com/entra/identity-platform/reference-error-codes, 2026-11-30.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trimaran.errors import ConfigError

if TYPE_CHECKING:
    from trimaran.providers.azure.credentials import EntraIdentity

__all__ = ["LOGIN", "MISSING_PACKAGE", "explained"]

MISSING_PACKAGE = "pip install 'trimaran[azure]'"
LOGIN = "az login"
_CODE = re.compile(r"AADSTS(\d{5,8})")
_END = re.compile(
    r"\s*(?:Trace ID:|Timestamp:|Correlation ID:|To re-authenticate|Interactive authentication is needed)"
)
_MOST = 300

_SECRET = "make another one: `az ad app credential reset --id {client}`, and export AZURE_CLIENT_SECRET=..."
_BY_CODE: dict[str, tuple[str, str]] = {
    "50034": ("the user does not exist in this tenant", "run `{login}` with an account of the tenant"),
    "50057": ("the account is disabled", "enable it in Entra ID, or use another one"),
    "50076": ("the tenant asks for another factor, which nobody can give here", "run `{login}`"),
    "50079": ("the tenant asks for another factor, which nobody can give here", "run `{login}`"),
    "50173": ("the login is no longer valid", "run `{login}`"),
    "53003": ("a Conditional Access policy keeps the token back", "ask whoever keeps the tenant's policies"),
    "65001": ("nobody has consented to this use of the application", "grant admin consent to it in Entra ID"),
    "70021": (
        "no federated identity credential of the application matches the pod's token",
        "compare `az identity federated-credential list` with the service account's namespace and name, and the cluster's issuer",
    ),
    "70043": ("the login has expired", "run `{login}`"),
    "90002": (
        "there is no tenant {tenant}",
        "write its id as tenant_id, or export AZURE_TENANT_ID; `az account list` shows it",
    ),
    "500011": (
        "the tenant does not know the resource {scope}",
        "write the cloud the resource is in: cloud: government",
    ),
    "500200": ("a personal Microsoft account cannot have this token", "run `{login}` with an account of the tenant"),
    "700016": (
        "the application {client} is not in the tenant {tenant}",
        "check client_id and tenant_id; `az ad sp show --id {client}` shows it",
    ),
    "700024": ("the pod's token is not valid now", "check the clock, and whether the token's file is kept fresh"),
    "700027": (
        "the certificate is not one of the application's",
        "add it: `az ad app credential reset --id {client} --cert @FILE`",
    ),
    "700082": ("the login has expired", "run `{login}`"),
    "900023": ("{tenant} is no tenant's id", "write the id or a domain of the tenant as tenant_id"),
    "7000112": ("the application {client} is disabled", "enable it in Entra ID, or use another one"),
    "7000215": (
        "the secret of the service principal {client} is wrong",
        f"take the secret's value, not its id, or {_SECRET}",
    ),
    "7000222": ("the secret of the service principal {client} has expired", _SECRET),
    "7000229": (
        "the application {client} has no service principal in the tenant",
        "make one: `az ad sp create --id {client}`",
    ),
}
_BY_CODE["500114"] = _BY_CODE["700211"] = _BY_CODE["700213"] = _BY_CODE["70021"]
"""By the number of Entra ID's error: what it means, and what mends it."""

_BY_TEXT: tuple[tuple[str, str, str], ...] = (
    (
        "azure cli not found",
        "no credential of Azure was found: no service principal and no federated token in the environment, no managed identity, "
        "and the Azure CLI is not installed",
        "export AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, give this machine a managed identity, or use an API key",
    ),
    (
        "please run 'az login'",
        "nobody is logged in to the Azure CLI, and there is no other credential of Azure",
        "run `{login}`",
    ),
    (
        "unable to get authority configuration",
        "there is no tenant {tenant}, or who gives its tokens does not answer",
        "write its id as tenant_id, or export AZURE_TENANT_ID (`az account list` shows it); check AZURE_AUTHORITY_HOST and `cloud`",
    ),
    (
        "failed to invoke the azure cli",
        "the Azure CLI did not answer in time",
        "run `az account get-access-token` to see why",
    ),
    (
        "identity not found",
        "this machine has no managed identity {client}",
        "assign it: `az vm identity assign --identities ...`",
    ),
    (
        "multiple user assigned identities",
        "this machine has several managed identities, and none is named",
        "write the one that is meant: client_id: ... ; `az identity list` shows them",
    ),
    (
        "federated",
        "the pod's token cannot be used",
        "check the label azure.workload.identity/use and the service account's annotation azure.workload.identity/client-id",
    ),
)
"""By words in azure-identity's own text, in lower case."""

_HOPELESS = "run `az account get-access-token --scope {scope}`: it asks for the same token"


def explained(error: Exception, identity: EntraIdentity, link: str, environ: Mapping[str, str]) -> ConfigError:
    """What azure-identity raised while ``link`` was asked, as people should hear it."""
    names = {kind.__name__ for kind in type(error).__mro__}
    text = " ".join(str(error).split())
    words = _words(identity, environ)
    said = f": {_cut(text)}"
    for code in _CODE.findall(text):
        if code in _BY_CODE:
            message, hint = _BY_CODE[code]
            return _made(identity, message.format(**words) + said, hint.format(**words))
    if isinstance(error, OSError) and not {"HttpResponseError", "ServiceRequestError"} & names:
        name = getattr(error, "filename", "") or "a file of the chain"
        return _made(
            identity,
            f"{name} cannot be read: {getattr(error, 'strerror', '') or 'error'}",
            "check AZURE_FEDERATED_TOKEN_FILE and AZURE_CLIENT_CERTIFICATE_PATH",
        )
    lower = text.lower()
    for mark, message, hint in _BY_TEXT:
        if mark in lower:
            return _made(identity, message.format(**words).strip(), hint.format(**words))
    if "ServiceRequestError" in names or "ServiceResponseError" in names:
        return _made(
            identity,
            f"who gives tokens cannot be reached ({link})",
            "check the network, and AZURE_AUTHORITY_HOST and the proxies on the way",
        )
    if link == "managed identity":
        return _nobody(identity, text)
    if "ValueError" in names:
        # Its words may quote the environment; the link says enough.
        return _made(identity, f"the {link} of Azure is set up wrongly", _SETUP.get(link, _HOPELESS).format(**words))
    if "ClientAuthenticationError" in names or "HttpResponseError" in names:
        return _made(identity, f"Entra ID gave no token ({link}){said}", _HOPELESS.format(**words))
    return _made(identity, f"no token could be fetched ({link}, {type(error).__name__})", _HOPELESS.format(**words))


_SETUP = {
    "environment": "check AZURE_TENANT_ID (an id or a domain), AZURE_AUTHORITY_HOST (https) and the certificate's file (PEM or PKCS12)",
    "workload identity": "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE belong together: check the label "
    "azure.workload.identity/use on the pod and the annotation on its service account",
}


def _nobody(identity: EntraIdentity, text: str) -> ConfigError:
    """No managed identity."""
    named = f" {identity.client_id}" if identity.client_id else ""
    said = (
        "" if "no response from the IMDS endpoint" in text and "Token request error" not in text else f": {_cut(text)}"
    )
    return _made(
        identity,
        f"there is no managed identity{named} here{said}",
        "assign one to this machine (az vm identity assign, az webapp identity assign, az containerapp identity assign), "
        "or leave client_id out to use another credential",
    )


def _made(identity: EntraIdentity, message: str, hint: str) -> ConfigError:
    return ConfigError(message, where=identity.where, hint=hint)


def _words(identity: EntraIdentity, environ: Mapping[str, str]) -> dict[str, str]:
    tenant = identity.tenant_id or environ.get("AZURE_TENANT_ID", "").strip()
    return {
        "client": identity.client_id or environ.get("AZURE_CLIENT_ID", "").strip(),
        "tenant": tenant,
        "scope": identity.scope,
        "login": f"{LOGIN} --tenant {tenant}" if tenant else LOGIN,
    }


def _cut(text: str) -> str:
    """What Entra ID said, without the numbers for its own support."""
    start = text.find("AADSTS")
    text = text[max(start, 0) :]
    end = _END.search(text)
    text = text[: end.start()] if end else text
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
