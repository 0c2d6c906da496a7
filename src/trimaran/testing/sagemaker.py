"""The state of a simulated SageMaker: endpoints, their variants and inference components, models, endpoint configurations.

Tests and ``/_simulate`` write it (:meth:`SageMaker.put`, :meth:`SageMaker.change`), the runtime and the control plane read
it. Everything in it is a frozen value that is replaced whole; names of fields that AWS has too are AWS's, in snake case.
Nothing here moves by itself: an endpoint stays ``Creating`` until somebody says otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import msgspec

__all__ = [
    "ACCOUNT",
    "CONTAINERS",
    "Container",
    "ContainerKind",
    "Endpoint",
    "EndpointStatus",
    "InferenceComponent",
    "SageMaker",
    "Variant",
]

ACCOUNT = "123456789012"
"""The account of everything simulated."""

ContainerKind = Literal["vllm", "lmi", "tgi", "neuron", "jumpstart", "triton", "tensor"]
"""What answers behind an endpoint. ``neuron`` is vLLM built for Inferentia and Trainium; it answers as ``vllm`` does."""
CONTAINERS: tuple[ContainerKind, ...] = get_args(ContainerKind)

EndpointStatus = Literal[
    "OutOfService",
    "Creating",
    "Updating",
    "SystemUpdating",
    "RollingBack",
    "InService",
    "Deleting",
    "Failed",
    "UpdateRollbackFailed",
]
ComponentStatus = Literal["InService", "Creating", "Updating", "Failed", "Deleting"]

_REGISTRY = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com"
_IMAGES: dict[ContainerKind, str] = {
    "vllm": f"{_REGISTRY}/vllm:0.11-gpu-py312-cu128-ubuntu22.04-sagemaker",
    "lmi": f"{_REGISTRY}/djl-inference:0.34.0-lmi16.0.0-cu128",
    "tgi": f"{_REGISTRY}/huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6-gpu-py311-cu124-ubuntu22.04",
    "neuron": f"{_REGISTRY}/djl-inference:0.34.0-neuronx-sdk2.25.0",
    "jumpstart": f"{_REGISTRY}/huggingface-pytorch-tgi-inference:2.4.0-tgi2.4.0-gpu-py311-cu124-ubuntu22.04",
    "triton": f"{_REGISTRY}/sagemaker-tritonserver:25.04-py3",
    "tensor": f"{_REGISTRY}/pytorch-inference:2.6.0-gpu-py312-cu124-ubuntu22.04-sagemaker",
}
_CREATED = datetime(2026, 11, 30, tzinfo=UTC)


class Container(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What answers, and how its stream is cut."""

    kind: ContainerKind = "vllm"
    image: str | None = None
    """By default one whose name says what it is; the account in it is not the one AWS publishes from."""
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """``OPTION_OUTPUT_FORMATTER=sse`` makes an ``lmi`` container stream server-sent events instead of JSON lines."""
    served_model: str | None = None
    """The only ``model`` an OpenAI-shaped request may name; ``None``: it may name any. It may always leave it out."""
    requires_eula: bool = False
    """Refuse what does not say ``accept_eula=true`` in its custom attributes, as JumpStart's Llama 2 does."""
    part_bytes: int | None = None
    """``None``: a part of the stream holds what the container wrote at once. A number: parts of 1 to so many bytes, cut
    without regard to events, lines and characters."""

    def __post_init__(self) -> None:
        if self.part_bytes is not None and self.part_bytes < 1:
            raise ValueError(f"part_bytes: {self.part_bytes} must be 1 or more")

    @property
    def uri(self) -> str:
        """The image in force."""
        return self.image or _IMAGES[self.kind]


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A production variant. With ``current_instance_count`` 0 it has nothing to answer with."""

    variant_name: str = "AllTraffic"
    instance_type: str = "ml.g5.2xlarge"
    current_instance_count: int = 1
    desired_instance_count: int | None = None
    """By default the current count."""
    weight: float = 1.0
    model_name: str | None = None
    """By default named like the endpoint, unless that hosts inference components."""
    scaling: tuple[int, int] | None = None
    """``ManagedInstanceScaling``: smallest and largest instance count."""
    serverless: bool = False
    container: Container | None = None
    """By default the endpoint's."""


class InferenceComponent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model with copies of its own on a variant. Its name is unique in the account, not on the endpoint alone."""

    inference_component_name: str
    variant_name: str = "AllTraffic"
    status: ComponentStatus = "InService"
    current_copy_count: int = 1
    desired_copy_count: int | None = None
    """By default the current count."""
    accelerators: int = 1
    min_memory_mb: int = 1_024
    model_name: str | None = None
    failure_reason: str | None = None
    container: Container | None = None
    """By default the endpoint's."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint. ``inference_components`` that are not ``None`` make it one that hosts components and nothing else, even
    while it has none."""

    name: str
    status: EndpointStatus = "InService"
    container: Container = Container()
    variants: tuple[Variant, ...] = (Variant(),)
    inference_components: tuple[InferenceComponent, ...] | None = None
    failure_reason: str | None = None
    config_name: str | None = None
    """By default named like the endpoint."""
    multi_model: bool = False
    """Whether requests may name a model of a multi-model endpoint."""
    unloaded_models: tuple[str, ...] = ()
    """Of a multi-model endpoint: models that are still being fetched."""
    created: datetime = _CREATED

    def __post_init__(self) -> None:
        names = {variant.variant_name for variant in self.variants}
        if len(names) != len(self.variants) or not names:
            raise ValueError(f"endpoint {self.name!r}: variants need names of their own, and at least one")
        for component in self.inference_components or ():
            if component.variant_name not in names:
                raise ValueError(
                    f"inference component {component.inference_component_name!r}: no variant "
                    f"{component.variant_name!r}; there are {', '.join(sorted(names))}"
                )


class SageMaker:
    """All endpoints, models and endpoint configurations of one account and region. Safe to use from any thread.

    ``endpoints`` are declared. Any other name is answered as ``template`` says, unless that is ``None`` or the name begins
    with ``missing``; declared ones alone are listed.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint] = (),
        *,
        template: Endpoint | None = None,
        region: str = "us-east-1",
    ) -> None:
        self.region = region
        self.template = template
        self.models: dict[str, dict[str, Any]] = {}
        """What ``CreateModel`` was sent, by name."""
        self.configs: dict[str, dict[str, Any]] = {}
        """What ``CreateEndpointConfig`` was sent, by name."""
        self._endpoints: dict[str, Endpoint] = {}
        self._changed: dict[str, datetime] = {}
        self._lock = threading.Lock()
        for endpoint in endpoints:
            self.put(endpoint)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The declared ones, in order of declaration."""
        return tuple(self._endpoints.values())

    def find(self, name: str) -> Endpoint | None:
        """An endpoint, declared or not; ``None`` when there is none."""
        found = self._endpoints.get(name)
        if found is not None or self.template is None or name.startswith("missing"):
            return found
        return msgspec.structs.replace(self.template, name=name)

    def put(self, endpoint: Endpoint) -> None:
        """Declare an endpoint or replace it whole. Raises ``ValueError`` where a component's name is taken."""
        with self._lock:
            for component in endpoint.inference_components or ():
                owner = self._owner(component.inference_component_name)
                if owner is not None and owner.name != endpoint.name:
                    raise ValueError(
                        f"inference component {component.inference_component_name!r} exists on {owner.name!r}"
                    )
            if endpoint.name in self._endpoints:
                self._changed[endpoint.name] = datetime.now(UTC)
            self._endpoints[endpoint.name] = endpoint

    def change(self, name: str, **fields: Any) -> Endpoint:
        """Replace some fields of a declared endpoint, checked like JSON from outside.

        Raises ``KeyError`` for a name that is not declared, ``ValueError`` for fields that do not fit.
        """
        old = self._endpoints[name]
        new = msgspec.convert({**msgspec.to_builtins(old), **msgspec.to_builtins(fields)}, Endpoint)
        self.put(new)
        return new

    def change_component(self, name: str, **fields: Any) -> InferenceComponent:
        """The same for an inference component."""
        owner = self._owner(name)
        if owner is None:
            raise KeyError(name)
        rows = {row.inference_component_name: row for row in owner.inference_components or ()}
        whole = {**msgspec.to_builtins(rows[name]), **msgspec.to_builtins(fields)}
        rows[name] = msgspec.convert(whole, InferenceComponent)
        self.change(owner.name, inference_components=tuple(rows.values()))
        return rows[name]

    def scale(self, name: str, count: int) -> None:
        """Give an endpoint's variants ``count`` instances and its components ``count`` copies."""
        endpoint = self._endpoints[name]
        replace = msgspec.structs.replace
        counts = {"current_instance_count": count, "desired_instance_count": count}
        variants = tuple(replace(variant, **counts) for variant in endpoint.variants)
        components = endpoint.inference_components
        if components is not None:
            counts = {"current_copy_count": count, "desired_copy_count": count}
            components = tuple(replace(row, **counts) for row in components)
        self.put(replace(endpoint, variants=variants, inference_components=components))

    def remove(self, name: str) -> None:
        """Forget an endpoint. Raises ``KeyError``."""
        with self._lock:
            del self._endpoints[name]
            self._changed.pop(name, None)

    def components(self) -> list[tuple[Endpoint, InferenceComponent]]:
        """All inference components with the endpoints that host them."""
        return [(endpoint, row) for endpoint in self.endpoints for row in endpoint.inference_components or ()]

    def modified(self, endpoint: Endpoint) -> datetime:
        """When it was last replaced."""
        return self._changed.get(endpoint.name, endpoint.created)

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource, such as ``endpoint``. Names are in lower case there, as AWS writes them."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{kind}/{name.lower()}"

    def _owner(self, component: str) -> Endpoint | None:
        for endpoint in self._endpoints.values():
            if any(row.inference_component_name == component for row in endpoint.inference_components or ()):
                return endpoint
        return None
