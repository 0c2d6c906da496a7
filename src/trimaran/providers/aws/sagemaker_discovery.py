"""Which endpoints an account has, in which state, and what their containers probably are: for ``trimaran doctor``.

A container is guessed by the name of its image, which AWS publishes under few names; a guess is called one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from trimaran.providers.aws.failures import code_of

__all__ = ["FoundEndpoint", "guess_container", "look_at"]

_IMAGES = (
    (r"tritonserver", "triton"),
    (r"neuronx?", "neuron"),
    (r"djl-(?:inference|serving)|(?:^|[-/])lmi", "lmi"),
    (r"vllm|sglang", "vllm"),
    (r"jumpstart", "jumpstart"),
    (r"(?:^|[-/])tgi|text-generation-inference", "tgi"),
    (r"inference|serving", "tensor"),
)
"""A pattern of an image's name, and the container; the first that is found counts. A guess is only ever shown to people."""

_Describe = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class FoundEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of the account."""

    name: str
    status: str
    container: str = ""
    """A guess; empty: none."""
    image: str = ""
    instance_types: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    note: str = ""
    """Why less is known of it."""

    def __str__(self) -> str:
        """``my-llama (InService, vllm on ml.g5.xlarge)``."""
        on = " on ".join(filter(None, (self.container, ", ".join(self.instance_types))))
        held = f"components {', '.join(self.components)}" if self.components else ""
        return f"{self.name} ({', '.join(filter(None, (self.status, on, held, self.note)))})"


def guess_container(image: str, environment: Mapping[str, str] | None = None) -> str:
    """The ``container`` that an image's name stands for; empty: it says nothing."""
    name = image.rpartition("/")[2].lower()
    if any(key.startswith("SAGEMAKER_JUMPSTART") for key in environment or {}) and "tgi" in name:
        # JumpStart's models that TGI serves are asked with inputs; newer ones take both.
        return "jumpstart"
    return next((container for pattern, container in _IMAGES if re.search(pattern, name)), "")


def look_at(name: str, status: str, describe: _Describe) -> FoundEndpoint:
    """What is behind an endpoint. ``describe`` calls an operation of SageMaker's control plane with its parameters; what it
    raises with a ``code`` of AWS's is noted, anything else goes on."""
    try:
        config = str(describe("DescribeEndpoint", {"EndpointName": name}).get("EndpointConfigName", ""))
        variants = describe("DescribeEndpointConfig", {"EndpointConfigName": config}).get("ProductionVariants", ())
        types = tuple(dict.fromkeys(str(each["InstanceType"]) for each in variants if each.get("InstanceType")))
        models = [str(each["ModelName"]) for each in variants if each.get("ModelName")]
        components: tuple[str, ...] = ()
        containers: list[Mapping[str, Any]] = []
        if models:
            containers = list(_containers(describe("DescribeModel", {"ModelName": models[0]})))
        else:
            listed = describe("ListInferenceComponents", {"EndpointNameEquals": name}).get("InferenceComponents", ())
            components = tuple(str(each.get("InferenceComponentName", "")) for each in listed)
            containers = [*_component_containers(components[:1], describe)]
    except Exception as error:
        code = code_of(error) or getattr(error, "code", "")
        if not code:
            raise
        return FoundEndpoint(name=name, status=status, note=f"not to be seen ({code})")
    image = str(containers[0].get("Image", "")) if containers else ""
    guess = guess_container(image, containers[0].get("Environment") if containers else None)
    return FoundEndpoint(
        name=name, status=status, container=guess, image=image, instance_types=types, components=components
    )


def _containers(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    primary = model.get("PrimaryContainer")
    if isinstance(primary, Mapping):
        yield primary
    yield from model.get("Containers") or ()


def _component_containers(names: tuple[str, ...], describe: _Describe) -> Iterator[Mapping[str, Any]]:
    for name in names:
        found = describe("DescribeInferenceComponent", {"InferenceComponentName": name}).get("Specification") or {}
        if found.get("ModelName"):
            yield from _containers(describe("DescribeModel", {"ModelName": found["ModelName"]}))
            continue
        container = found.get("Container") or {}
        image = (container.get("DeployedImage") or {}).get("SpecifiedImage", "")
        yield {"Image": image, "Environment": container.get("Environment") or {}}
