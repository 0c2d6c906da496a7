"""The state of a simulated Azure OpenAI: an account (the resource with a host name of its own), and the deployments in it.

A deployment gives a model a name, and it is the name that requests carry: in the path, or as ``model`` where the path has none.
Everything in it is a frozen value that is replaced whole. Nothing here moves by itself: a full deployment stays full until somebody
says otherwise.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from trimaran.testing.azure import COGNITIVE_SERVICES, FOUNDRY, AzureCloud, AzureRefusal, query_value, wait_lines
from trimaran.testing.dialect import Request, bearer, header

__all__ = ["FILTERS", "AzureDeployment", "AzureOpenAIAccount", "AzureSku", "FilterCategory"]

AzureSku = Literal[
    "Standard",
    "GlobalStandard",
    "DataZoneStandard",
    "ProvisionedManaged",
    "GlobalProvisionedManaged",
    "DataZoneProvisionedManaged",
    "GlobalBatch",
]
FilterCategory = Literal["hate", "self_harm", "sexual", "violence", "jailbreak", "protected_material_text"]
FILTERS: tuple[FilterCategory, ...] = get_args(FilterCategory)

_AUDIENCES = (COGNITIVE_SERVICES, FOUNDRY)
_DATED = re.compile(r"20\d\d-\d\d-\d\d(-preview)?\Z")
_RESPONSES_SINCE = "2025-03-01-preview"
_V1_VERSIONS = ("v1", "preview", "latest")
_WRONG_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active "
    "subscription and use a correct regional API endpoint for your resource."
)
_WRONG_TOKEN = (
    "Unauthorized. Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have "
    "expired."
)
_NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please "
    "wait a moment and try again."
)


class AzureDeployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment. ``capacity`` is in provisioned units for a provisioned ``sku``, else in thousands of tokens a minute."""

    name: str
    model: str = ""
    """By default called like the deployment."""
    version: str = ""
    """Of the model; answers name model and version."""
    sku: AzureSku = "GlobalStandard"
    capacity: int = 100
    utilization: float = 0.0
    """Percent of a provisioned deployment in use; with 100 or more it takes nothing."""
    throttled_s: float | None = None
    """The quota is used up for so long."""
    filtering: Literal["default", "asynchronous"] = "default"
    """``asynchronous``: verdicts on the answer come in chunks of their own, later than the text."""
    succeeded: bool = True
    """Whether its provisioning is done; before that it does not exist for requests."""

    @property
    def base(self) -> str:
        """The model behind it."""
        return self.model or self.name

    @property
    def served(self) -> str:
        """The model as answers call it."""
        return f"{self.base}-{self.version}" if self.version else self.base

    @property
    def provisioned(self) -> bool:
        """Whether its capacity is in provisioned units."""
        return "Provisioned" in self.sku

    @property
    def embeds(self) -> bool:
        """Whether its model makes vectors and nothing else."""
        return self.base.startswith("text-embedding")


class AzureOpenAIAccount:
    """An account and its deployments. Safe to use from any thread.

    ``deployments`` are declared. Any other name is answered as ``template`` says, unless that is ``None`` or the name begins with
    ``missing``; declared ones alone are listed. ``keys``: its two keys (``None``: the provider's ``keys``, or any); with
    ``keys_disabled`` it takes tokens only. ``versions`` limits the values of ``api-version`` (``None``: any that looks like one).
    ``filtered`` and ``severity``: what the content filter says when a behaviour makes it act. ``firewall``: it refuses this client.
    """

    def __init__(
        self,
        cloud: AzureCloud | None = None,
        deployments: Iterable[AzureDeployment] = (),
        *,
        template: AzureDeployment | None = None,
        name: str = "simulated",
        region: str = "East US",
        keys: Iterable[str] | None = None,
        versions: Iterable[str] | None = None,
    ) -> None:
        self.cloud = cloud or AzureCloud()
        self.template = template
        self.name = name
        self.region = region
        self.keys = frozenset(keys) if keys is not None else None
        self.versions = frozenset(versions) if versions is not None else None
        self.keys_disabled = False
        self.firewall = False
        self.filtered: FilterCategory = "violence"
        self.severity = "medium"
        self._lock = threading.Lock()
        self._by_name = {deployment.name: deployment for deployment in deployments}

    # Deployments

    @property
    def deployments(self) -> tuple[AzureDeployment, ...]:
        """The declared ones."""
        return tuple(self._by_name.values())

    def put(self, deployment: AzureDeployment) -> None:
        """Add or replace one."""
        with self._lock:
            self._by_name = {**self._by_name, deployment.name: deployment}

    def remove(self, name: str) -> None:
        """Delete one."""
        with self._lock:
            self._by_name = {key: value for key, value in self._by_name.items() if key != name}

    def find(self, name: str) -> AzureDeployment | None:
        """A deployment, declared or not; ``None`` when there is none."""
        found = self._by_name.get(name)
        if found is not None:
            return found if found.succeeded else None
        if self.template is None or name.startswith("missing"):
            return None
        return msgspec.structs.replace(self.template, name=name)

    def serving(self, name: str, models: frozenset[str] | None) -> AzureDeployment:
        """A deployment that requests may name; ``models``: the provider's. Raises
        :class:`~trimaran.testing.azure.AzureRefusal` (404)."""
        found = self.find(name)
        if found is None or (models is not None and name not in models and name not in self._by_name):
            raise AzureRefusal(404, "DeploymentNotFound", _NO_DEPLOYMENT)
        return found

    # Who may call

    def admit(self, request: Request, action: str, operation: str, keys: frozenset[str] | None, *, v1: bool) -> None:
        """Check credentials. ``action`` is what a role must grant, ``operation`` how a refusal calls the request. A key comes in
        ``api-key``, on v1 paths also as a bearer. Raises :class:`~trimaran.testing.azure.AzureRefusal` (401, 403)."""
        if self.firewall:
            raise AzureRefusal(403, "AccessDenied", "Access denied due to Virtual Network/Firewall rules.")
        known = self.keys if self.keys is not None else keys
        key = (header(request.headers, b"api-key") or b"").decode("latin-1")
        token = (bearer(request.headers) or b"").decode("latin-1")
        if not key and v1 and known is not None and token in known:
            key = token
        if key:
            self._admit_key(key, known)
            return
        if not token:
            raise AzureRefusal(401, "401", _WRONG_KEY)
        holder = self.cloud.holder(request, _AUDIENCES, known)
        if holder is None:
            raise AzureRefusal(401, "Unauthorized", _WRONG_TOKEN, bare=not v1)
        if not self.cloud.allows(holder.principal, action):
            words = (
                f"The principal `{holder.principal}` lacks the required data action `{action}` to perform `{operation}` "
                "operation."
            )
            raise AzureRefusal(401, "PermissionDenied", words)

    def _admit_key(self, key: str, known: frozenset[str] | None) -> None:
        if self.keys_disabled:
            words = "Key based authentication is disabled for this resource."
            raise AzureRefusal(403, "AuthenticationTypeDisabled", words)
        if known is not None and key not in known:
            raise AzureRefusal(401, "401", _WRONG_KEY)

    def check_version(self, request: Request, *, v1: bool, responses: bool = False) -> str:
        """The API's version. Raises :class:`~trimaran.testing.azure.AzureRefusal` (400, 404)."""
        version = query_value(request.target, "api-version")
        if v1:
            if version is not None and version not in _V1_VERSIONS:
                words = "api-version query parameter is not allowed when using /v1 path"
                raise AzureRefusal(400, "BadRequest", words)
            return "v1"
        known = version in self.versions if self.versions is not None else _DATED.match(version or "")
        if not version or not known:
            raise AzureRefusal(404, "404", "Resource not found")
        if responses and version < _RESPONSES_SINCE:
            words = f"Azure OpenAI Responses API is enabled only for api-version {_RESPONSES_SINCE} and later"
            raise AzureRefusal(400, "BadRequest", words)
        return version

    def check_load(self, deployment: AzureDeployment, operation: str, version: str) -> None:
        """Raises :class:`~trimaran.testing.azure.AzureRefusal` (429) when a deployment takes nothing more."""
        if deployment.provisioned and deployment.utilization >= 100:
            raise throttled(self, operation, version, 0.25, provisioned=True)
        if deployment.throttled_s is not None:
            raise throttled(self, operation, version, deployment.throttled_s)


def throttled(
    account: AzureOpenAIAccount, operation: str, version: str, retry_after_s: float, *, provisioned: bool = False
) -> AzureRefusal:
    """A 429 for quota, or for a provisioned deployment at its limit."""
    limit = "provisioned throughput limit" if provisioned else "token rate limit"
    words = (
        f"Requests to the {operation} Operation under Azure OpenAI API version {version} have exceeded {limit} of your current "
        f"OpenAI S0 pricing tier. Please retry after {max(1, round(retry_after_s))} seconds. Please contact Azure support "
        "service if you would like to further increase the default rate limit."
    )
    if provisioned:
        words = (
            "The provisioned throughput of this deployment is fully utilized. Please retry your request after the time in the "
            "retry-after-ms header, or send it to another deployment."
        )
    refusal = AzureRefusal(429, "429", words)
    refusal.lines = wait_lines(retry_after_s)
    return refusal
