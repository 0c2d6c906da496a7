"""What the simulated Azure tells of itself: lists of Azure OpenAI's data plane, and the Resource Manager's.

- Data plane: ``GET /openai/deployments`` and ``/openai/models`` (old versions of the API list deployments, newer ones do not),
  ``GET /openai/v1/models``. The models are those an account could deploy; here they are the models of its deployments.
- Resource Manager: accounts of Cognitive Services and their deployments, workspaces of Machine Learning and their online endpoints and
  deployments, by subscription and resource group, in pages.

Shapes, read 2026-11-30: ``Azure/azure-rest-api-specs`` (``Microsoft.CognitiveServices`` and ``Microsoft.MachineLearningServices``,
2024-10-01; the data plane's ``authoring`` of 2022-12-01), learn.microsoft.com ("Common deployment errors").
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from trimaran.testing.azure import ARM, TENANT, AzureCloud, AzureHead, AzureRefusal, error_body, query_value
from trimaran.testing.azure_ml import AzureML, OnlineDeployment, OnlineEndpoint
from trimaran.testing.azure_ml_scoring import ML_PREFIX
from trimaran.testing.azure_openai import AZURE_OPENAI_HEADERS
from trimaran.testing.azure_openai_account import AzureDeployment, AzureOpenAIAccount
from trimaran.testing.dialect import HeadWriter, LookUp, Request, bearer, header
from trimaran.testing.exchange import Refusal

__all__ = ["azure_look_ups"]

_DATA = re.compile(
    r"/openai/(?P<v1>v1/)?(?P<what>deployments|models)(?:/(?P<one>[^/]+))?\Z",
)
_ARM = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+))?/providers/(?P<namespace>[^/]+)/(?P<rest>.+)\Z",
    re.IGNORECASE,
)
_LISTS_DEPLOYMENTS_UNTIL = "2023-06-01"
_PAGE = 50
_CREATED = 1_796_000_000
_STAMP = "2026-11-30T00:00:00.0000000Z"
_GROUP = "simulated-group"
_HEADERS = """\
cache-control: no-cache
pragma: no-cache
x-ms-ratelimit-remaining-subscription-reads: 11999
x-ms-correlation-request-id: 00000000-0000-4000-8000-000000000000
x-ms-routing-request-id: EASTUS:20261130T000000Z:00000000-0000-4000-8000-000000000000
strict-transport-security: max-age=31536000; includeSubDomains
x-content-type-options: nosniff"""
_COGNITIVE = "Microsoft.CognitiveServices"
_LEARNING = "Microsoft.MachineLearningServices"


def azure_look_ups(cloud: AzureCloud, account: AzureOpenAIAccount, workspace: AzureML) -> list[LookUp]:
    """What answers."""
    return [_DataPlane(account), _Manager(cloud, account, workspace)]


class _DataPlane:
    """Lists of Azure OpenAI. See :class:`~trimaran.testing.dialect.LookUp`."""

    name = "azure_openai.lists"

    def __init__(self, account: AzureOpenAIAccount) -> None:
        self.head: HeadWriter = AzureHead(self.name, AZURE_OPENAI_HEADERS)
        self._account = account

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"GET" and _DATA.match(path.decode("latin-1")) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """As for requests to a deployment."""
        found = _data(request)
        what = found["what"]
        operation = f"GET /openai/{found['v1'] or ''}{what}"
        action = f"Microsoft.CognitiveServices/accounts/OpenAI/{what}/read"
        self._account.admit(request, action, operation, keys, v1=found["v1"] is not None)

    def look_up(self, request: Request) -> bytes:
        """One, or all."""
        found = _data(request)
        v1 = found["v1"] is not None
        version = self._account.check_version(request, v1=v1)
        deployments = self._account.deployments
        if found["what"] == "deployments":
            if v1 or version > _LISTS_DEPLOYMENTS_UNTIL:
                raise AzureRefusal(404, "404", "Resource not found")
            rows = [_data_deployment(one) for one in deployments]
        else:
            models = {one.served: one for one in deployments}
            rows = [_data_model(name, one) for name, one in models.items()]
        if found["one"] is None:
            return msgspec.json.encode({"data": rows, "object": "list"})
        wanted = unquote(found["one"])
        row = next((row for row in rows if row["id"] == wanted), None)
        if row is None:
            kind = "DeploymentNotFound" if found["what"] == "deployments" else "ModelNotFound"
            raise AzureRefusal(404, kind, f"The {found['what'][:-1]} '{wanted}' could not be found.")
        return msgspec.json.encode(row)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Azure's."""
        return error_body(refusal)


class _Manager:
    """The Resource Manager. See :class:`~trimaran.testing.dialect.LookUp`."""

    name = "azure.manager"

    def __init__(self, cloud: AzureCloud, account: AzureOpenAIAccount, workspace: AzureML) -> None:
        self.head: HeadWriter = AzureHead(self.name, _HEADERS, id_header="x-ms-request-id")
        self._cloud = cloud
        self._account = account
        self._workspace = workspace

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"GET" and _ARM.match(path.decode("latin-1")) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A token for the Resource Manager."""
        value = bearer(request.headers)
        if value is None:
            words = "Authentication failed. The 'Authorization' header is missing."
            raise AzureRefusal(401, "AuthenticationFailed", words)
        token = self._cloud.known(value.decode("latin-1"), keys)
        if token is None:
            raise AzureRefusal(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if self._cloud.expired(token):
            words = "The access token expiry UTC time is earlier than current UTC time."
            raise AzureRefusal(401, "ExpiredAuthenticationToken", words)
        if token.audience not in ("", ARM):
            words = (
                f"The access token has been obtained for wrong audience or resource '{token.audience}'. It should exactly match "
                f"with one of the allowed audiences 'https://management.core.windows.net/','https://management.azure.com'."
            )
            raise AzureRefusal(401, "InvalidAuthenticationTokenAudience", words)

    def look_up(self, request: Request) -> bytes:
        """A resource, or a page of them."""
        path = unquote(request.target.partition(b"?")[0].decode("latin-1"))
        found = _ARM.match(path)
        assert found is not None
        if not query_value(request.target, "api-version"):
            words = "The api-version query parameter (?api-version=) is required for all requests."
            raise AzureRefusal(400, "MissingApiVersionParameter", words)
        self._allow(request, path, found)
        parts = found["rest"].split("/")
        namespace = found["namespace"].lower()
        if namespace == _COGNITIVE.lower():
            answer = self._cognitive(path, found, parts)
        elif namespace == _LEARNING.lower():
            answer = self._learning(request, path, found, parts)
        else:
            answer = None
        if answer is None:
            words = f"The resource type '{parts[0]}' could not be found in the namespace '{found['namespace']}'."
            raise AzureRefusal(404, "InvalidResourceType", words)
        return msgspec.json.encode(_page(request, answer) if isinstance(answer, list) else answer)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Azure's."""
        return error_body(refusal)

    def _allow(self, request: Request, path: str, found: re.Match[str]) -> None:
        """Subscription and group exist, and a role lets the caller read."""
        cloud = self._cloud
        if cloud.subscription is not None and found["subscription"] != cloud.subscription:
            words = f"The subscription '{found['subscription']}' could not be found."
            raise AzureRefusal(404, "SubscriptionNotFound", words)
        parts = found["rest"].split("/")
        action = "/".join((found["namespace"], *parts[::2], "read"))
        token = cloud.known((bearer(request.headers) or b"").decode("latin-1"), None)
        assert token is not None
        if not cloud.allows(token.principal, action):
            words = (
                f"The client '{token.client_id}' with object id '{token.principal}' does not have authorization to perform action "
                f"'{action}' over scope '{path}' or the scope is invalid. If access was recently granted, please refresh your "
                "credentials."
            )
            raise AzureRefusal(403, "AuthorizationFailed", words)
        group = found["group"]
        if group is not None and cloud.resource_group is not None and group.lower() != cloud.resource_group.lower():
            raise AzureRefusal(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")

    def _cognitive(self, path: str, found: re.Match[str], parts: list[str]) -> Any:
        """``accounts``, ``accounts/{name}``, ``accounts/{name}/deployments``, and one of them."""
        account = self._account
        if parts[0].lower() != "accounts":
            return None
        root = f"/subscriptions/{found['subscription']}/resourceGroups/{found['group'] or _GROUP}/providers/{_COGNITIVE}/accounts"
        whole = _account(account, f"{root}/{account.name}")
        if len(parts) == 1:
            return [whole]
        if parts[1].lower() != account.name.lower():
            raise _not_found(f"{_COGNITIVE}/accounts/{parts[1]}", found["group"])
        if len(parts) == 2:
            return whole
        if parts[2].lower() != "deployments":
            return None
        rows = [_deployment(one, f"{root}/{account.name}/deployments/{one.name}") for one in account.deployments]
        return _one_of(rows, parts, 3, found["group"], _COGNITIVE)

    def _learning(self, request: Request, path: str, found: re.Match[str], parts: list[str]) -> Any:
        """``workspaces/{name}``, ``…/onlineEndpoints``, ``…/onlineEndpoints/{name}/deployments``, and one of them."""
        workspace = self._workspace
        if parts[0].lower() != "workspaces":
            return None
        root = (
            f"/subscriptions/{found['subscription']}/resourceGroups/{found['group'] or _GROUP}/providers/{_LEARNING}/workspaces/"
            f"{workspace.workspace}"
        )
        whole = {"id": root, "name": workspace.workspace, "type": f"{_LEARNING}/workspaces", "location": "eastus"}
        if len(parts) == 1:
            return [whole]
        if parts[1].lower() != workspace.workspace.lower():
            raise _not_found(f"{_LEARNING}/workspaces/{parts[1]}", found["group"])
        if len(parts) == 2:
            return whole
        if parts[2].lower() != "onlineendpoints":
            return None
        host = (header(request.headers, b"host") or b"localhost").decode("latin-1")
        rows = [_endpoint(one, f"{root}/onlineEndpoints/{one.name}", host) for one in workspace.endpoints]
        if len(parts) <= 4:
            return _one_of(rows, parts, 3, found["group"], _LEARNING)
        _one_of(rows, parts[:4], 3, found["group"], _LEARNING)
        endpoint = next(one for one in workspace.endpoints if one.name.lower() == parts[3].lower())
        if parts[4].lower() != "deployments":
            return None
        base = f"{root}/onlineEndpoints/{endpoint.name}/deployments"
        deployments = [_online_deployment(endpoint, one, f"{base}/{one.name}") for one in endpoint.deployments]
        return _one_of(deployments, parts, 5, found["group"], _LEARNING)


def _data(request: Request) -> re.Match[str]:
    found = _DATA.match(request.target.partition(b"?")[0].decode("latin-1"))
    assert found is not None
    return found


def _data_deployment(deployment: AzureDeployment) -> dict[str, Any]:
    return {
        "scale_settings": {"scale_type": "standard"},
        "model": deployment.served,
        "owner": "organization-owner",
        "id": deployment.name,
        "status": "succeeded" if deployment.succeeded else "running",
        "created_at": _CREATED,
        "updated_at": _CREATED,
        "object": "deployment",
    }


def _data_model(name: str, deployment: AzureDeployment) -> dict[str, Any]:
    able = {"inference": True, "embeddings": deployment.embeds, "chat_completion": not deployment.embeds}
    return {
        "status": "succeeded",
        "capabilities": {"fine_tune": False, "completion": False, **able},
        "lifecycle_status": "generally-available",
        "deprecation": {"inference": _CREATED + 31_536_000},
        "id": name,
        "created_at": _CREATED,
        "updated_at": _CREATED,
        "created": _CREATED,
        "owned_by": "system",
        "object": "model",
    }


def _account(account: AzureOpenAIAccount, path: str) -> dict[str, Any]:
    region = account.region.lower().replace(" ", "")
    return {
        "id": path,
        "name": account.name,
        "type": f"{_COGNITIVE}/accounts",
        "location": region,
        "sku": {"name": "S0"},
        "kind": "OpenAI",
        "etag": '"simulated"',
        "properties": {
            "endpoint": f"https://{account.name}.openai.azure.com/",
            "provisioningState": "Succeeded",
            "customSubDomainName": account.name,
            "disableLocalAuth": account.keys_disabled,
            "publicNetworkAccess": "Disabled" if account.firewall else "Enabled",
            "dateCreated": _STAMP,
        },
    }


def _deployment(deployment: AzureDeployment, path: str) -> dict[str, Any]:
    able = {"embeddings": "true"} if deployment.embeds else {"chatCompletion": "true", "responses": "true"}
    properties: dict[str, Any] = {
        "model": {"format": "OpenAI", "name": deployment.base, "version": deployment.version or "1"},
        "versionUpgradeOption": "OnceNewDefaultVersionAvailable",
        "currentCapacity": deployment.capacity,
        "capabilities": able,
        "raiPolicyName": "Microsoft.DefaultV2",
        "provisioningState": "Succeeded" if deployment.succeeded else "Creating",
    }
    if not deployment.provisioned:
        properties["rateLimits"] = [
            {"key": "request", "renewalPeriod": 60, "count": deployment.capacity},
            {"key": "token", "renewalPeriod": 60, "count": deployment.capacity * 1_000},
        ]
    return {
        "id": path,
        "type": f"{_COGNITIVE}/accounts/deployments",
        "name": deployment.name,
        "sku": {"name": deployment.sku, "capacity": deployment.capacity},
        "etag": '"simulated"',
        "properties": properties,
    }


def _endpoint(endpoint: OnlineEndpoint, path: str, host: str) -> dict[str, Any]:
    """The addresses are those of the simulation, not of the real service."""
    address = f"http://{host}{ML_PREFIX}{quote(endpoint.name)}"
    return {
        "id": path,
        "name": endpoint.name,
        "type": f"{_LEARNING}/workspaces/onlineEndpoints",
        "location": endpoint.region,
        "kind": endpoint.compute,
        "identity": {"type": "SystemAssigned", "tenantId": TENANT},
        "properties": {
            "authMode": endpoint.auth_mode,
            "traffic": endpoint.split,
            "mirrorTraffic": {},
            "publicNetworkAccess": "Enabled",
            "provisioningState": endpoint.provisioning_state,
            "scoringUri": f"{address}/score",
            "swaggerUri": f"{address}/swagger.json",
        },
    }


def _online_deployment(endpoint: OnlineEndpoint, deployment: OnlineDeployment, path: str) -> dict[str, Any]:
    concurrent = deployment.max_concurrent_requests_per_instance
    return {
        "id": path,
        "name": deployment.name,
        "type": f"{_LEARNING}/workspaces/onlineEndpoints/deployments",
        "location": endpoint.region,
        "kind": endpoint.compute,
        "sku": {"name": "Default", "capacity": deployment.instance_count},
        "properties": {
            "endpointComputeType": endpoint.compute,
            "model": deployment.model,
            "instanceType": deployment.instance_type,
            "provisioningState": deployment.provisioning_state,
            "requestSettings": {"maxConcurrentRequestsPerInstance": concurrent, "requestTimeout": "PT1M30S"},
            "scaleSettings": {"scaleType": "Default"},
        },
    }


def _one_of(rows: list[dict[str, Any]], parts: list[str], place: int, group: str | None, namespace: str) -> Any:
    """All of them, or the one that the path names."""
    if len(parts) == place:
        return rows
    row = next((row for row in rows if row["name"].lower() == parts[place].lower()), None)
    if row is None or len(parts) > place + 1:
        raise _not_found(f"{namespace}/" + "/".join(parts), group)
    return row


def _not_found(name: str, group: str | None) -> AzureRefusal:
    words = (
        f"The Resource '{name}' under resource group '{group or _GROUP}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix"
    )
    return AzureRefusal(404, "ResourceNotFound", words)


def _page(request: Request, rows: list[Any]) -> dict[str, Any]:
    """A page; its link names the place of the next row."""
    token = query_value(request.target, "$skipToken") or "0"
    start = int(token) if token.isdigit() else 0
    page: dict[str, Any] = {"value": rows[start : start + _PAGE]}
    if start + _PAGE < len(rows):
        host = (header(request.headers, b"host") or b"localhost").decode("latin-1")
        path = request.target.partition(b"?")[0].decode("latin-1")
        version = query_value(request.target, "api-version")
        page["nextLink"] = f"http://{host}{path}?api-version={version}&%24skipToken={start + _PAGE}"
    return page
