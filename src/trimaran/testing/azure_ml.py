"""The state of a simulated Azure Machine Learning workspace: online endpoints and the deployments behind them.

Tests write it (:meth:`AzureML.put`, :meth:`AzureML.change`), scoring and control plane read it. Everything in it is a frozen value that is
replaced whole. Nothing here moves by itself: an endpoint without traffic stays so until somebody says otherwise.

An endpoint has a host name of its own. Here it is a prefix of the path: ``http://host:port/azureml/{endpoint}`` stands for
``https://{endpoint}.{region}.inference.ml.azure.com``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from typing import Any, Literal, get_args

import msgspec

from trimaran.testing.azure import AzureCloud

__all__ = ["ML_CONTAINERS", "AzureML", "MLContainer", "OnlineDeployment", "OnlineEndpoint"]

MLContainer = Literal["vllm", "tgi", "catalog_chat", "catalog_text", "huggingface", "mlflow", "triton", "tensor"]
"""What answers. ``catalog_…``: the scoring script of Azure's own model catalog."""
ML_CONTAINERS: tuple[MLContainer, ...] = get_args(MLContainer)

HuggingFaceTask = Literal["text-generation", "text-classification", "feature-extraction"]


class OnlineDeployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment: a container on machines."""

    name: str = "blue"
    container: MLContainer = "vllm"
    task: HuggingFaceTask = "text-generation"
    """Of a ``huggingface`` container."""
    model: str = "azureml://registries/azureml/models/simulated/versions/1"
    instance_type: str = "Standard_NC24ads_A100_v4"
    instance_count: int = 1
    max_concurrent_requests_per_instance: int = 1
    provisioning_state: str = "Succeeded"
    ready: bool = True
    """Whether its probes succeed."""
    saturated: bool = False
    """More requests wait than may."""


class OnlineEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint. ``traffic``: percent by deployment; ``None``: all to the first."""

    name: str
    region: str = "eastus"
    auth_mode: Literal["Key", "AMLToken", "AADToken"] = "Key"
    keys: tuple[str, ...] | None = None
    """``None``: the provider's ``keys``, or any."""
    compute: Literal["Managed", "Kubernetes"] = "Managed"
    deployments: tuple[OnlineDeployment, ...] = (OnlineDeployment(),)
    traffic: dict[str, int] | None = None
    provisioning_state: str = "Succeeded"

    def __post_init__(self) -> None:
        names = {deployment.name for deployment in self.deployments}
        if len(names) != len(self.deployments):
            raise ValueError(f"endpoint {self.name!r}: deployments need names of their own")
        if self.traffic is not None and (strange := self.traffic.keys() - names):
            raise ValueError(
                f"endpoint {self.name!r}: traffic names {sorted(strange)[0]!r}; there are {', '.join(sorted(names))}"
            )

    @property
    def split(self) -> dict[str, int]:
        """The traffic in force."""
        if self.traffic is not None:
            return self.traffic
        return {self.deployments[0].name: 100} if self.deployments else {}


class AzureML:
    """All online endpoints of one workspace. Safe to use from any thread.

    ``endpoints`` are declared. Any other name is answered as ``template`` says, unless that is ``None`` or the name begins with
    ``missing``; declared ones alone are listed.
    """

    def __init__(
        self,
        cloud: AzureCloud | None = None,
        endpoints: Iterable[OnlineEndpoint] = (),
        *,
        template: OnlineEndpoint | None = None,
        workspace: str = "simulated",
    ) -> None:
        self.cloud = cloud or AzureCloud()
        self.template = template
        self.workspace = workspace
        self._lock = threading.Lock()
        self._asked = 0
        self._by_name = {endpoint.name: endpoint for endpoint in endpoints}

    @property
    def endpoints(self) -> tuple[OnlineEndpoint, ...]:
        """The declared ones."""
        return tuple(self._by_name.values())

    def put(self, endpoint: OnlineEndpoint) -> None:
        """Add or replace one."""
        with self._lock:
            self._by_name = {**self._by_name, endpoint.name: endpoint}

    def change(self, name: str, deployment: str | None = None, **fields: Any) -> None:
        """Replace some fields of a declared endpoint, or of one of its deployments. Raises ``KeyError``."""
        endpoint = self._by_name[name]
        if deployment is None:
            self.put(msgspec.structs.replace(endpoint, **fields))
            return
        rows = {row.name: row for row in endpoint.deployments}
        rows[deployment] = msgspec.structs.replace(rows[deployment], **fields)
        self.put(msgspec.structs.replace(endpoint, deployments=tuple(rows.values())))

    def remove(self, name: str) -> None:
        """Delete one."""
        with self._lock:
            self._by_name = {key: value for key, value in self._by_name.items() if key != name}

    def find(self, name: str) -> OnlineEndpoint | None:
        """An endpoint, declared or not; ``None`` when there is none."""
        found = self._by_name.get(name)
        if found is not None or self.template is None or name.startswith("missing"):
            return found
        return msgspec.structs.replace(self.template, name=name)

    def chosen(self, endpoint: OnlineEndpoint, wanted: str | None) -> OnlineDeployment | None:
        """Who answers: the deployment that the request names, else one by traffic; ``None`` when there is none."""
        rows = {row.name: row for row in endpoint.deployments if row.provisioning_state == "Succeeded"}
        if wanted is not None:
            return rows.get(wanted)
        weights = [max(0, endpoint.split.get(name, 0)) for name in rows]
        if not sum(weights):
            return None
        self._asked += 1
        return random.Random(f"{endpoint.name}/{self._asked}").choices(list(rows.values()), weights)[0]
