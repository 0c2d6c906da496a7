"""The state of a simulated Vertex AI: endpoints of one's own and the models deployed to them.

Tests write it (:meth:`VertexEndpoints.put`), prediction and control plane read it. Everything in it is a frozen value that is
replaced whole; names of fields are Google's, in snake case. Nothing here moves by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from trimaran.testing.google import PROJECT, PROJECT_NUMBER
from trimaran.testing.google_errors import GoogleRefusal

__all__ = ["DeployedModel", "VertexContainer", "VertexEndpoint", "VertexEndpoints"]

VertexContainer = Literal["vllm", "tgi", "tensor"]
"""What answers: vLLM or TGI as Model Garden deploys them, or a server of tensors."""
_CREATED = "2026-11-30T00:00:00.000000Z"


class DeployedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model on an endpoint's machines. With ``min_replica_count`` 0 it scales to zero."""

    id: str = "1111111111111111111"
    model_id: str = "simulated-model"
    display_name: str = "simulated-model"
    machine_type: str = "g2-standard-12"
    accelerator_type: str = "NVIDIA_L4"
    accelerator_count: int = 1
    min_replica_count: int = 1
    max_replica_count: int = 1
    available_replica_count: int = 1
    container: VertexContainer = "vllm"


class VertexEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint, by its number or a name of one's own."""

    id: str
    display_name: str = "simulated-endpoint"
    project: str = PROJECT
    location: str = "us-central1"
    deployed: tuple[DeployedModel, ...] = (DeployedModel(),)
    traffic_split: dict[str, int] | None = None
    """Percent by id of the deployed model; ``None``: all to the first."""
    dedicated: bool = False
    """Reached by a DNS name of its own and not through ``aiplatform.googleapis.com``."""

    @property
    def dedicated_dns(self) -> str:
        """The name, if it is dedicated."""
        return f"{self.id}.{self.location}-{PROJECT_NUMBER}.prediction.vertexai.goog" if self.dedicated else ""

    @property
    def name(self) -> str:
        """The full resource name."""
        return f"projects/{PROJECT_NUMBER}/locations/{self.location}/endpoints/{self.id}"

    def row(self) -> dict[str, Any]:
        """``Endpoint`` as the control plane shows it. Members without a value are left out, as ProtoJSON does."""
        row: dict[str, Any] = {"name": self.name, "displayName": self.display_name}
        if self.deployed:
            row["deployedModels"] = [self._deployed(model) for model in self.deployed]
            row["trafficSplit"] = self.traffic_split or {self.deployed[0].id: 100}
        row |= {"etag": "simulated", "createTime": _CREATED, "updateTime": _CREATED}
        if self.dedicated:
            row |= {"dedicatedEndpointEnabled": True, "dedicatedEndpointDns": self.dedicated_dns}
        return row

    def _deployed(self, model: DeployedModel) -> dict[str, Any]:
        machine = {
            "machineType": model.machine_type,
            "acceleratorType": model.accelerator_type,
            "acceleratorCount": model.accelerator_count,
        }
        resources = {"machineSpec": machine, "maxReplicaCount": model.max_replica_count}
        if model.min_replica_count:
            resources["minReplicaCount"] = model.min_replica_count
        row: dict[str, Any] = {
            "id": model.id,
            "model": self.model_name(model),
            "displayName": model.display_name,
            "createTime": _CREATED,
            "modelVersionId": "1",
            "dedicatedResources": resources,
        }
        if model.available_replica_count:
            row["status"] = {"availableReplicaCount": model.available_replica_count}
        return row

    def model_name(self, model: DeployedModel) -> str:
        """The full name of a deployed model."""
        return f"projects/{PROJECT_NUMBER}/locations/{self.location}/models/{model.model_id}"


class VertexEndpoints:
    """All endpoints. ``template``: what any other id means; ``None``: there is no other."""

    def __init__(self, endpoints: Iterable[VertexEndpoint] = (), *, template: VertexEndpoint | None = None) -> None:
        self._lock = threading.Lock()
        self._by_id = {endpoint.id: endpoint for endpoint in endpoints}
        self.template = template

    def put(self, endpoint: VertexEndpoint) -> None:
        """Add or replace one."""
        with self._lock:
            self._by_id = {**self._by_id, endpoint.id: endpoint}

    def remove(self, endpoint_id: str) -> None:
        """Delete one."""
        with self._lock:
            self._by_id = {key: value for key, value in self._by_id.items() if key != endpoint_id}

    def __iter__(self) -> Any:
        return iter(self._by_id.values())

    def find(self, location: str, endpoint_id: str) -> VertexEndpoint | None:
        """One of a location."""
        found = self._by_id.get(endpoint_id)
        if found is not None:
            return found if found.location == location else None
        if self.template is None or endpoint_id.startswith("missing"):
            return None
        return msgspec.structs.replace(self.template, id=endpoint_id, location=location)

    def described(self, project: str, location: str, endpoint_id: str) -> VertexEndpoint:
        """One of them. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (404)."""
        found = self.find(location, endpoint_id)
        if found is None:
            name = f"projects/{project}/locations/{location}/endpoints/{endpoint_id}"
            raise GoogleRefusal(404, f"Endpoint `{name}` not found.")
        return found

    def answering(self, project: str, location: str, endpoint_id: str) -> tuple[VertexEndpoint, DeployedModel]:
        """An endpoint and who answers there. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal` (400, 404, 503)."""
        endpoint = self.described(project, location, endpoint_id)
        if not endpoint.deployed:
            words = f"Endpoint {endpoint.name} does not have any deployed models. Deploy a model to it, then retry."
            raise GoogleRefusal(400, words, status="FAILED_PRECONDITION")
        split = endpoint.traffic_split or {}
        model = max(endpoint.deployed, key=lambda one: split.get(one.id, 0))
        if not model.available_replica_count:
            words = "The model is scaled to zero and starting. Please retry later."
            raise GoogleRefusal(429 if not model.min_replica_count else 503, words)
        return endpoint, model
