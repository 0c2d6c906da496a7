"""What a refusal of Azure OpenAI means, and the sentence that an operator can act on.

The body is OpenAI's form, the codes are Azure's: a name, a number, or nothing. What concerns the request itself (a content
filter, too many tokens) is the dialect's own affair, and a client of it gets the body untouched. What concerns the resource is
told with the command that mends it: which deployments there are, which role is missing, which version of the API to write.

A role that is missing is refused with 401, as a token that has expired is: only the words tell them apart, and only a token is
worth fetching again.

Sources: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/{managed-identity,quota,provisioned-get-started} and reference;
microsoft/semantic-kernel#10020, MicrosoftDocs/azure-docs#114370 and #122587; read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from trimaran.errors import AttemptError, CredentialRejected, Overloaded, RateLimited, TargetNotFound
from trimaran.providers.azure.endpoint import is_dated
from trimaran.providers.door import Headers
from trimaran.types import Target
from trimaran.wire import Dialect
from trimaran.wire.failures import read_complaint, retry_after_s
from trimaran.wire.members import BAD_JSON

__all__ = ["ROLE", "RefusalReader", "retry_after"]

ROLE = "Cognitive Services OpenAI User"
"""What asking a deployment takes; of the general role "Cognitive Services User" all of it is a part, too."""

_ASSIGN = (
    'assign it: `az role assignment create --role "{role}" --assignee <object id of the identity> --scope $(az '
    "cognitiveservices account show --name {resource} --resource-group <group> --query id --output tsv)`; it takes effect within "
    "five minutes"
)


class _Meaning(NamedTuple):
    """``message`` and ``mend`` are filled in with what is known of the target; ``{said}`` is the service's sentence."""

    error: type[AttemptError]
    message: str
    mend: str = ""
    lasting: bool = False
    """Another token of the same identity would be refused as well."""


_NO_DEPLOYMENT = _Meaning(
    TargetNotFound,
    "the resource {resource} has no deployment {deployment}{listed}",
    "`az cognitiveservices account deployment list --name {resource} --resource-group <group> --output table` shows those that there "
    "are; a new one takes up to five minutes",
)
_NO_PATH = _Meaning(
    TargetNotFound,
    "{resource} does not know the path {path}: {said}",
    "{versions}",
)
_VERSION = _Meaning(TargetNotFound, "{resource} does not take the API version {version}: {said}", "{versions}")
_ROLE = _Meaning(
    CredentialRejected, f"the identity lacks the role {ROLE} at {{resource}}: {{said}}", _ASSIGN, lasting=True
)
_KEY = _Meaning(
    CredentialRejected,
    "{resource} does not know the key that it was sent, or is not where the key belongs",
    "`az cognitiveservices account keys list --name {resource} --resource-group <group>` shows the right ones",
    lasting=True,
)
_TOKEN = _Meaning(
    CredentialRejected,
    "{resource} refused the token: it is missing, has expired, or is meant for another audience",
    "the audience is https://cognitiveservices.azure.com, that of sovereign clouds follows `cloud`; `az account get-access-token "
    "--scope https://cognitiveservices.azure.com/.default` shows who the token is of",
)
_NO_KEYS = _Meaning(
    CredentialRejected,
    "{resource} takes no keys, only tokens of Entra ID",
    "leave api_key out and unset AZURE_OPENAI_API_KEY, so that a token is used",
    lasting=True,
)
_NETWORK = _Meaning(
    CredentialRejected,
    "the network rules of {resource} keep this machine out: {said}",
    "allow its address (`az cognitiveservices account network-rule add --name {resource} --resource-group <group> --ip-address ...`), "
    "or reach it by its private endpoint",
    lasting=True,
)
_TENANT = _Meaning(
    CredentialRejected,
    "the token is of another tenant than {resource}: {said}",
    "write the resource's tenant as tenant_id, or run `az login --tenant ...`",
    lasting=True,
)
_SUBDOMAIN = _Meaning(
    CredentialRejected,
    "{resource} has no name of its own, and takes no tokens without one",
    "`az cognitiveservices account update --name <resource> --resource-group <group> --custom-domain <resource>`, then write "
    "https://<resource>.openai.azure.com; or use a key",
    lasting=True,
)
_OPERATION = _Meaning(
    TargetNotFound,
    "the model behind {deployment} does not do what was asked of it: {said}",
    "name the deployment of a model for it, and write its base model in providers.{provider}.deployments",
)

_BY_CODE = {
    "deploymentnotfound": _NO_DEPLOYMENT,
    "permissiondenied": _ROLE,
    "authenticationtypedisabled": _NO_KEYS,
    "unsupportedapiversion": _VERSION,
    "invalidapiversion": _VERSION,
    "invalidapiversionparameter": _VERSION,
    "operationnotsupported": _OPERATION,
}
_BY_WORDS: tuple[tuple[str, _Meaning], ...] = (
    ("deployment for this resource does not exist", _NO_DEPLOYMENT),
    ("api version not supported", _VERSION),
    ("lacks the required data action", _ROLE),
    ("does not have access to api/operation", _ROLE),
    ("key based authentication is disabled", _NO_KEYS),
    ("virtual network", _NETWORK),
    ("firewall rules", _NETWORK),
    ("public access is disabled", _NETWORK),
    ("does not match resource tenant", _TENANT),
    ("tenant provided in token", _TENANT),
    ("custom subdomain", _SUBDOMAIN),
    ("invalid subscription key", _KEY),
    ("access token is missing, invalid, audience", _TOKEN),
    ("does not work with the specified model", _OPERATION),
)
"""By words in the sentence, in lower case. The first that are found count."""

_ABOUT_REQUEST = "invalid_request_error"

_QUOTA = (
    "raise the tokens per minute of the deployment (`az cognitiveservices account deployment list`), or ask for quota: "
    "https://aka.ms/oai/quotaincrease"
)
_THROUGHPUT = (
    "give it more PTU, or let the model have another target: a deployment that is paid by tokens takes what is too much"
)


class RefusalReader:
    """Reads the refusals of one target in one dialect."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        self._dialect = dialect
        self._provisioned = "ptu" in target.facts
        facts = target.facts
        version = facts.get("api_version", "")
        listed = facts.get("listed", "")
        self._words = {
            "deployment": target.upstream_model,
            "provider": target.provider,
            "resource": facts.get("resource", "") or target.provider,
            "listed": f" (the configuration lists {listed})" if listed else "",
            "version": version or "v1",
            "versions": _versions(version, target.provider, facts.get("version_from", "")),
            "role": ROLE,
        }

    def read(self, status: int, headers: Headers, body: bytes) -> AttemptError:
        """What the refusal means."""
        try:
            complaint = read_complaint(msgspec.json.decode(body))
        except BAD_JSON:
            complaint = read_complaint(None)
        waiting = retry_after(headers)
        if status == 429:
            return self._busy(complaint.message, waiting)
        meaning = self._meaning(status, complaint.code, complaint.type, complaint.message)
        if meaning is None:
            error = self._dialect.read_error(
                status,
                headers.get(b"retry-after"),
                headers.get(b"content-type", b"").decode("latin-1"),
                body,
            )
            if waiting is not None:
                error.retry_after_s = waiting
            return error
        said = " ".join(complaint.message.split()).rstrip(". ") or "it does not say why"
        words = self._words | {"said": said[:500], "path": "of this API"}
        error = meaning.error(
            f"{meaning.message.format(**words)}; {meaning.mend.format(**words)}",
            upstream_status=status,
            retry_after_s=waiting,
        )
        if isinstance(error, CredentialRejected):
            error.lasting = meaning.lasting
        return error

    def _meaning(self, status: int, code: str, kind: str, message: str) -> _Meaning | None:
        found = _BY_CODE.get(code.lower())
        if found is not None:
            return found
        words = message.lower()
        for mark, meaning in _BY_WORDS:
            # A refusal of the request quotes it: those may be a client's words, and would be held against the target.
            if mark in words and (kind != _ABOUT_REQUEST or status != 400 or meaning in (_VERSION, _OPERATION)):
                return meaning
        if status == 401:
            return _TOKEN if "token" in words else _KEY if "key" in words else None
        if status == 404 and (not message or code in ("404", "") or "resource not found" in words):
            return _NO_PATH if "not found" in words or not message else None
        return None

    def _busy(self, message: str, waiting: float | None) -> AttemptError:
        said = " ".join(message.split()).rstrip(". ")[:500] or "429"
        words = self._words
        if self._provisioned:
            text = f"the provisioned throughput of the deployment {words['deployment']} is used up now: {said}; {_THROUGHPUT}"
            return RateLimited(text, upstream_status=429, retry_after_s=waiting)
        if "high demand" in said.lower():
            return Overloaded(
                f"{words['resource']} has no capacity now: {said}", upstream_status=429, retry_after_s=waiting
            )
        text = f"the quota of the deployment {words['deployment']} is used up now: {said}; {_QUOTA}"
        return RateLimited(text, upstream_status=429, retry_after_s=waiting)


def retry_after(headers: Headers, now_s: Callable[[], float] | None = None) -> float | None:
    """Seconds to wait: Azure's own header in milliseconds is the finer one."""
    exact = headers.get(b"retry-after-ms", b"").strip()
    if exact.replace(b".", b"", 1).isdigit() and len(exact) < 16:
        return float(exact) / 1000
    return retry_after_s(headers.get(b"retry-after"), now_s() if now_s is not None else None)


def _versions(version: str, provider: str, given: str) -> str:
    """What to write instead of this version."""
    setting = f"providers.{provider}.api_version"
    if is_dated(version):
        where = given or setting
        return f"leave {where} out for the v1 API, or write the newest date of https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle"
    return (
        f"write {setting}: 2024-10-21 where the resource or a proxy in front of it has no v1 API, and check that base_url is the "
        "resource's endpoint without anything behind it"
    )
