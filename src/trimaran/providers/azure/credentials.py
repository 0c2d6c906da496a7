"""Where tokens of Entra ID come from. Off the road: it runs where renewing blocks nobody.

The chain is the one that Azure's own tools walk, and every link is azure-identity's. It is walked here, because what is said
of a failure has to be about the link that was meant: a service principal of the environment (secret or certificate), the
federated token of a pod, a managed identity, the Azure CLI. A link that the environment sets up is the one that is meant: if
it fails, no other is tried, for another one is somebody else. A managed identity that nobody names is looked for, and the
CLI comes after it. An identity that the configuration names (``client_id``) is never replaced by another one.

Each fetch makes its credential object anew: azure-identity keeps tokens in memory and gives the same one until shortly
before its end, which is after we ask ahead of it.

Sources: azure-identity 1.27.0 (``environment.py``, ``workload_identity.py``, ``managed_identity.py``, ``azure_cli.py``), 2026-11-30.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from trimaran.errors import ConfigError
from trimaran.providers.azure.failures import MISSING_PACKAGE, explained
from trimaran.types import Credential

__all__ = ["CLOUDS", "EntraIdentity", "EntraSource", "link_of"]

CONNECT_S, READ_S = 3, 8
CLI_S = 20
"""``az`` takes seconds to start. All of it within the limit of one job of the upkeep's (30 s)."""

CLOUDS: dict[str, str] = {
    "public": "login.microsoftonline.com",
    "government": "login.microsoftonline.us",
    "china": "login.chinacloudapi.cn",
}
"""Sovereign clouds, with the host that gives their tokens (azure-identity 1.27.0, ``AzureAuthorityHosts``)."""

_SECRET = "AZURE_CLIENT_SECRET"
_CERTIFICATE = "AZURE_CLIENT_CERTIFICATE_PATH"
_FEDERATED = "AZURE_FEDERATED_TOKEN_FILE"
_HOSTED = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")
"""Set where App Service, Container Apps, Arc, Azure ML or the Cloud Shell give a managed identity."""


class EntraIdentity(msgspec.Struct, frozen=True):
    """Whose token, and for what."""

    scope: str
    """``https://cognitiveservices.azure.com/.default``."""
    tenant_id: str = ""
    client_id: str = ""
    cloud: str = ""
    """A name in :data:`CLOUDS`; empty: as AZURE_AUTHORITY_HOST says, else the public one."""
    where: str = ""
    """For messages: ``providers.azure_openai``."""


class EntraSource(msgspec.Struct, frozen=True):
    """Fetches the token of one identity. Equal where the identity is."""

    identity: EntraIdentity

    def fetch(self) -> Credential:
        """Blocks. Raises :class:`ConfigError`."""
        identity, environ = self.identity, os.environ
        link = link_of(identity, environ)
        azure = _azure_identity(identity)
        with _quiet():
            if link:
                return self._asked(link, azure, environ)
            try:
                # In a chain of azure-identity's, it asks first whether there is a metadata service at all.
                return self._asked("managed identity", azure, environ, probing=True)
            except _Unavailable as nobody:
                why = explained(nobody.error, identity, "managed identity", environ)
                if identity.client_id:
                    raise why from nobody
                half = nobody.answered
            try:
                return self._asked("Azure CLI", azure, environ)
            except ConfigError:
                if half:
                    # There is a metadata service, so what it says is nearer to what was meant than a CLI that is not there.
                    raise why from None
                raise

    def _asked(self, link: str, azure: Any, environ: Mapping[str, str], *, probing: bool = False) -> Credential:
        try:
            made = _LINKS[link](self.identity, azure, environ)
            token = (azure.ChainedTokenCredential(made) if probing else made).get_token(self.identity.scope)
        except Exception as error:
            if probing and _is_unavailable(error):
                raise _Unavailable(error) from error
            raise explained(error, self.identity, link, environ) from error
        parts = (_clean(token.token, self.identity),)
        return Credential(parts, int(token.expires_on) * 10**9, _source(link, self.identity, environ))


class _Unavailable(Exception):
    """Nothing gives a managed identity here."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    @property
    def answered(self) -> bool:
        """There is a metadata service, and it has none for us."""
        return "Token request error" in str(self.error)


def link_of(identity: EntraIdentity, environ: Mapping[str, str]) -> str:
    """The link of the chain that settings and environment decide on; empty where it has to be looked for. Raises
    :class:`ConfigError` for a service principal of which something is missing."""
    given = [name for name in (_SECRET, _CERTIFICATE) if environ.get(name, "").strip()]
    own = environ.get("AZURE_CLIENT_ID", "").strip()
    if given and (not identity.client_id or identity.client_id == own):
        tenant = identity.tenant_id or environ.get("AZURE_TENANT_ID", "").strip()
        missing = [name for name, value in (("AZURE_CLIENT_ID", own), ("AZURE_TENANT_ID", tenant)) if not value]
        if missing:
            raise ConfigError(
                f"{given[0]} is set, but {missing[0]} is not",
                where="environment",
                hint=f"export {missing[0]}=..., or unset {given[0]}; `az ad sp list --display-name NAME --query "
                '"[].{client:appId,tenant:appOwnerOrganizationId}"` shows both',
            )
        return "environment"
    if environ.get(_FEDERATED, "").strip():
        return "workload identity"
    if any(environ.get(name, "").strip() for name in _HOSTED):
        return "managed identity"
    return ""


# The links


def _environment(identity: EntraIdentity, azure: Any, environ: Mapping[str, str]) -> Any:
    named: dict[str, Any] = {
        "tenant_id": identity.tenant_id or environ["AZURE_TENANT_ID"].strip(),
        "client_id": environ["AZURE_CLIENT_ID"].strip(),
        **_options(identity, environ),
    }
    secret = environ.get(_SECRET, "").strip()
    if secret:
        return azure.ClientSecretCredential(client_secret=secret, **named)
    chain = environ.get("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "").strip().lower() in ("1", "true")
    return azure.CertificateCredential(
        certificate_path=environ[_CERTIFICATE].strip(),
        password=environ.get("AZURE_CLIENT_CERTIFICATE_PASSWORD") or None,
        send_certificate_chain=chain,
        **named,
    )


def _workload(identity: EntraIdentity, azure: Any, environ: Mapping[str, str]) -> Any:
    return azure.WorkloadIdentityCredential(
        tenant_id=identity.tenant_id or None,
        client_id=identity.client_id or None,
        token_file_path=environ[_FEDERATED].strip(),
        **_options(identity, environ),
    )


def _managed(identity: EntraIdentity, azure: Any, environ: Mapping[str, str]) -> Any:
    # As azure-identity's default has it: AZURE_CLIENT_ID alone names a user-assigned identity.
    client_id = identity.client_id or environ.get("AZURE_CLIENT_ID", "").strip()
    return azure.ManagedIdentityCredential(client_id=client_id or None, retry_total=1, read_timeout=READ_S)


def _cli(identity: EntraIdentity, azure: Any, environ: Mapping[str, str]) -> Any:
    return azure.AzureCliCredential(tenant_id=identity.tenant_id, process_timeout=CLI_S)


_LINKS: dict[str, Callable[[EntraIdentity, Any, Mapping[str, str]], Any]] = {
    "environment": _environment,
    "workload identity": _workload,
    "managed identity": _managed,
    "Azure CLI": _cli,
}


def _options(identity: EntraIdentity, environ: Mapping[str, str]) -> dict[str, Any]:
    """Limits, and who gives the tokens. A host that none of Microsoft's clouds has is not looked up among them."""
    options: dict[str, Any] = {"retry_total": 1, "connection_timeout": CONNECT_S, "read_timeout": READ_S}
    if identity.cloud:
        options["authority"] = CLOUDS[identity.cloud]
    host = environ.get("AZURE_AUTHORITY_HOST", "").strip().removeprefix("https://").rstrip("/")
    if not identity.cloud and host and host not in CLOUDS.values():
        options["disable_instance_discovery"] = True
    return options


def _source(link: str, identity: EntraIdentity, environ: Mapping[str, str]) -> str:
    """The link for people, with what tells it from others of its kind."""
    own = environ.get("AZURE_CLIENT_ID", "").strip()
    client = own if link == "environment" else identity.client_id or own
    match link:
        case "environment":
            how = "secret" if environ.get(_SECRET, "").strip() else "certificate"
            return f"service principal {client} ({how})"
        case "workload identity":
            return f"workload identity {client}"
        case "managed identity":
            return f"managed identity {client}" if client else "managed identity (system-assigned)"
        case _:
            return "Azure CLI"


def _clean(token: str, identity: EntraIdentity) -> str:
    """The token as it may stand in a header."""
    text = token.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(
            "what was given as a token of Entra ID is none", where=identity.where, hint="run `az login` again"
        )
    return text


# azure-identity


def _azure_identity(identity: EntraIdentity) -> Any:
    try:
        import azure.identity
    except ImportError as error:
        raise ConfigError(
            "tokens of Entra ID need azure-identity, which is not installed",
            where=identity.where,
            hint=f"{MISSING_PACKAGE}, or use an API key",
        ) from error
    return azure.identity


def _is_unavailable(error: Exception) -> bool:
    """Its classes are told by name, because the package may be missing."""
    names = {kind.__name__ for kind in type(error).__mro__}
    # A chain whose links were all unavailable says so as a failed authentication, with the last link's error as its cause.
    inner = error.__cause__ or error.__context__
    return "CredentialUnavailableError" in names or (
        "ClientAuthenticationError" in names
        and (
            "unavailable" in str(error).lower()
            or (inner is not None and type(inner).__name__ == "CredentialUnavailableError")
        )
    )


class _Drop(logging.Filter):
    """Drops what azure-identity and its kin log on a thread that fetches: what went wrong is told as a :class:`ConfigError`
    anyway. Other users of the package in the process keep theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.here, "fetching", False)


_DROP = _Drop()
for _name in (
    "azure.identity._internal.decorators",
    "azure.identity._internal.get_token_mixin",
    "azure.identity._internal.msal_managed_identity_client",
    "azure.identity._credentials.chained",
    "azure.identity._credentials.environment",
    "azure.identity._credentials.imds",
    "azure.identity._credentials.managed_identity",
    "msal.application",
    "msal.managed_identity",
):
    logging.getLogger(_name).addFilter(_DROP)


@contextmanager
def _quiet() -> Iterator[None]:
    _DROP.here.fetching = True
    try:
        yield
    finally:
        _DROP.here.fetching = False
