"""What ``trimaran doctor`` finds out about a provider of Azure's: which credential, of which tenant and identity; of Azure OpenAI which
deployments are there and whether a role is missing, of Azure Machine Learning whether the online endpoints let us in. Each problem
comes with what mends it.

It fetches the token as the gateway would, and asks for what costs nothing: a conversation without a turn is refused by whatever would
have answered it, once the credential, the role and the deployment have been looked at. That a list is refused does not mean that
requests will be: it is told and is no failure.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from trimaran.cli.finding import Finding, judged
from trimaran.errors import AttemptError, CredentialRejected, RateLimited, Rejected, TargetNotFound
from trimaran.providers import Endpoint, Vault, door_of, kind_of, signer
from trimaran.providers.azure.access import source
from trimaran.providers.azure.endpoint import is_dated
from trimaran.types import Credential, Target

__all__ = ["check_azure", "not_configured"]

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_SHOWN = 8
_LISTING_VERSION = "2022-12-01"
"""The last versions of the data plane that list deployments; newer ones leave that to the Resource Manager."""
_PROBING_VERSION = "2024-10-21"
"""A version that every resource has."""
_NETWORK = "check the network, the firewall, private endpoints and base_url"


def not_configured(found: Endpoint) -> Finding:
    """Nothing says that Azure is meant."""
    learning = found.row is not None and found.row.name == "azure_ml"
    todo = (
        f"write providers.{found.name}: {{region: westeurope}}, or list online_endpoints with their URLs"
        if learning
        else f"export AZURE_OPENAI_ENDPOINT=https://NAME.openai.azure.com, or write providers.{found.name}: {{resource: NAME}}"
    )
    return Finding(
        provider=found.name,
        state="not_configured",
        detail="no endpoint",
        todo=f"{todo}; then an API key, or `az login`",
        tried=found.tried,
        base_url=found.base_url,
    )


def check_azure(found: Endpoint, wanted: set[str], environ: Mapping[str, str], limit_s: float) -> Finding:
    """One provider of Azure's, within ``limit_s`` in all. ``wanted``: the deployments or endpoints that the configuration names."""
    check = _Check(found, wanted, limit_s)
    return judged(found, check, lambda error: ("unreachable", _fault(error, check.host)))


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def rows(self) -> list[Any]:
        """Of a list."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return []
        rows = value.get("data") if isinstance(value, dict) else None
        return rows if isinstance(rows, list) else []


class _Check:
    """One check under way."""

    def __init__(self, found: Endpoint, wanted: set[str], limit_s: float) -> None:
        self._found = found
        assert found.row is not None
        self._kind = kind_of(found.row.name)
        self._end = time.monotonic() + limit_s
        self._vault = Vault()
        template = Target(
            f"{found.name}/*",
            found.name,
            "*",
            found.dialects,
            found.base_url,
            credential=found.name,
            kind=found.row.name,
            door=found.row.door,
            facts=found.facts,
        )
        self._template = template
        self._listed = {each.upstream_model: each for each in self._kind.listed(template, found.config, None)}
        self._secrets = {name: each.reveal() for name, each in self._kind.secrets(found.name, found.config).items()}
        if found.secret is not None:
            self._secrets[found.name] = found.secret.reveal()
        self._wanted = sorted(wanted | self._listed.keys())
        self.host = urlsplit(found.base_url).hostname or ""
        self.credential = "none"
        self.warnings: list[str] = []
        self._todo = ""

    def run(self) -> tuple[str, str, str]:
        """State, detail and what to do. Raises :class:`ConfigError`, and what a connection raises."""
        found = self._found
        if found.secret is not None:
            self.credential = f"API key in {found.secret_from}"
        elif found.access is not None and self._needs_token():
            credential = source(found.access.identity, found.access.words).fetch()
            self._vault.put(found.name, credential)
            self.credential = f"{credential.source}{_who(credential)}"
        elif self._secrets:
            self.credential = "keys of the endpoints"
        assert found.row is not None
        if found.row.name == "azure_ml":
            return self._endpoints()
        return self._resource()

    def _needs_token(self) -> bool:
        """Whether anything asks with the provider's own credential."""
        targets = [self._target(name) for name in self._wanted] or [self._template]
        return any(target.credential == self._found.name for target in targets)

    def _note(self, error: AttemptError) -> None:
        """A problem that does not keep the provider from being used."""
        message, _, mend = error.message.partition("; ")
        self.warnings.append(message)
        self._todo = self._todo or mend

    # Azure OpenAI

    def _resource(self) -> tuple[str, str, str]:
        told = [self.credential]
        version = self._found.facts.get("api_version", "")
        path = f"/openai/models?api-version={version}" if is_dated(version) else "/openai/v1/models"
        answer = self._call(self._template, "GET", path)
        refused = self._refusal(self._template, answer)
        if isinstance(refused, CredentialRejected) and not (refused.lasting and self._wanted and _is_role(refused)):
            return "rejected", *_split(refused)
        if isinstance(refused, TargetNotFound):
            return "misconfigured", *_split(refused)
        if refused is not None and not isinstance(refused, RateLimited | CredentialRejected):
            return "unclear", f"reachable, but it answered with status {answer.status}", "see https://status.azure.com"
        told.append("reachable, the credential works" if refused is None else "reachable")
        told += self._deployments()
        problems = [problem for name in self._wanted if (problem := self._probed(name)) is not None]
        return self._judged(told, problems)

    def _deployments(self) -> Iterator[str]:
        """Those that there are, as far as this API lists them."""
        answer = self._call(self._template, "GET", f"/openai/deployments?api-version={_LISTING_VERSION}")
        if answer.status != 200:
            return
        names = [str(row.get("id", "")) for row in answer.rows() if isinstance(row, dict)]
        yield f"{len(names)} deployments" + (f": {_shown(names)}" if names else "")

    # Azure Machine Learning

    def _endpoints(self) -> tuple[str, str, str]:
        if not self._wanted:
            return "ok", f"{self.credential}; no online endpoint is named, so none was asked", ""
        problems = [problem for name in self._wanted if (problem := self._probed(name)) is not None]
        return self._judged([self.credential], problems)

    # Both

    def _judged(self, told: list[str], problems: list[AttemptError]) -> tuple[str, str, str]:
        for problem in problems:
            self._note(problem)
        good = len(self._wanted) - len(problems)
        if self._wanted and good:
            told.append(f"{good} of {len(self._wanted)} can be asked")
        if not self._wanted or good:
            return "ok", "; ".join(told), self._todo
        # Nothing that the configuration names can be asked.
        self.warnings.pop(0)
        state = "rejected" if all(isinstance(each, CredentialRejected) for each in problems) else "misconfigured"
        return state, *_split(problems[0])

    def _target(self, name: str) -> Target:
        return self._listed.get(name) or self._kind.target(self._template, name, None)

    def _probed(self, name: str) -> AttemptError | None:
        """What keeps one of the configured names from being asked; ``None``: nothing."""
        target = self._target(name)
        dialect = target.dialects[0]
        if (
            dialect == "openai.chat"
            and target.kind == "azure_openai"
            and not is_dated(target.facts.get("api_version", ""))
        ):
            # Where the path names the deployment it is looked at first; v1 may read the conversation before.
            target = msgspec.structs.replace(target, facts=target.facts | {"api_version": _PROBING_VERSION})
        door = door_of(target, dialect)
        asked = {"model": name, "messages": []} if dialect == "openai.chat" else {}
        body, _ = door.request(json.dumps(asked).encode(), False, b"")
        answer = self._call(target, "POST", door.path(False).decode(), body, door.lines(False))
        refused = self._refusal(target, answer)
        if isinstance(refused, CredentialRejected):
            return refused
        if isinstance(refused, TargetNotFound) and answer.status == 404:
            return refused
        return None

    def _refusal(self, target: Target, answer: _Answer) -> AttemptError | None:
        if answer.status < 300:
            return None
        refused = door_of(target, target.dialects[0]).refusal(answer.status, answer.headers, answer.body)
        return None if isinstance(refused, Rejected) else refused

    def _call(self, target: Target, method: str, path: str, body: bytes = b"", lines: bytes = b"") -> _Answer:
        parts = urlsplit(target.base_url)
        self.host = parts.hostname or ""
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, parts.port, timeout=left_s)
        given = [(name, value.reveal()) for name, value in self._found.config.headers.items()]
        secret = self._secrets.get(target.credential, "")
        sign = signer(target, secret, given, vault=self._vault).entrance(method.encode(), path.encode(), b"")
        headers = {"user-agent": "trimaran", "content-type": "application/json"}
        for line in (lines + sign(body)).decode("ascii").split("\r\n"):
            name, found, value = line.partition(": ")
            headers |= {name: value} if found else {}
        try:
            connection.request(method, parts.path.rstrip("/") + path, body or None, headers)
            response = connection.getresponse()
            told = {name.lower().encode(): value.encode("latin-1") for name, value in response.getheaders()}
            return _Answer(response.status, told, response.read(_MAX_ANSWER_BYTES))
        finally:
            connection.close()


def _is_role(error: AttemptError) -> bool:
    """A role may allow answers and no lists."""
    return "lacks the role" in error.message


def _split(error: AttemptError) -> tuple[str, str]:
    message, _, mend = error.message.partition("; ")
    return message, mend


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _who(credential: Credential) -> str:
    """Tenant and identity, as the token says it: what roles are assigned to. Nothing here is checked; the service does that."""
    try:
        payload = credential.parts[0].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        told = [(word, str(claims.get(claim, ""))) for word, claim in (("tenant", "tid"), ("object id", "oid"))]
    except (IndexError, ValueError, binascii.Error, AttributeError):
        return ""
    return "".join(f", {word} {value}" for word, value in told if value.isascii() and 0 < len(value) <= 64)


def _fault(error: Exception, host: str) -> tuple[str, str]:
    match error:
        case socket.gaierror():
            return f"the name {host} cannot be resolved", "check the resource's or endpoint's name and region, and DNS"
        case ssl.SSLCertVerificationError():
            return f"the certificate of {host} is not trusted: {error.verify_message}", (
                "if a company proxy intercepts TLS, point SSL_CERT_FILE at its certificate"
            )
        case TimeoutError():
            return f"{host} did not answer in time", _NETWORK
        case OSError() | http.client.HTTPException():
            return f"{host} cannot be reached", _NETWORK
        case _:
            return f"the check failed ({type(error).__name__})", "try again"
