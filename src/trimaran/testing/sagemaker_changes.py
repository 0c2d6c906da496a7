"""The calls of SageMaker's control plane that create, scale and delete, and how it words what it cannot do.

A request is checked as far as a test of a caller needs it: names that are taken, names that do not exist, members without
which nothing can be made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from trimaran.testing.aws import AwsRefusal
from trimaran.testing.sagemaker import Container, ContainerKind, Endpoint, InferenceComponent, SageMaker, Variant
from trimaran.testing.sagemaker_resources import config_rows, model_rows

__all__ = ["CHANGES", "Fields", "container_of", "missing", "named", "text"]

Fields = dict[str, Any]
_NOUNS = {
    "endpoint": "endpoint",
    "endpoint-config": "endpoint configuration",
    "inference-component": "inference component",
    "model": "model",
}
_KINDS: tuple[tuple[str, ContainerKind], ...] = (
    ("tritonserver", "triton"),
    ("tgi-inference", "tgi"),
    ("neuronx", "neuron"),
    ("djl-inference", "lmi"),
    ("vllm", "vllm"),
)
"""What an image's name tells of its container, the first that fits; else it takes any bytes."""


def missing(fleet: SageMaker, kind: str, name: str) -> AwsRefusal:
    """Nothing has this name."""
    return _invalid(f'Could not find {_NOUNS[kind]} "{fleet.arn(kind, name)}".')


def text(fields: Fields, name: str) -> str:
    """A member without which nothing can be done. Raises :class:`~trimaran.testing.aws.AwsRefusal`."""
    value = fields.get(name)
    if isinstance(value, str) and value:
        return value
    where = name[:1].lower() + name[1:]
    raise _invalid(
        f"1 validation error detected: Value null at '{where}' failed to satisfy constraint: Member must not be null"
    )


def named(fleet: SageMaker, name: str) -> tuple[Endpoint, InferenceComponent]:
    """An inference component and its host. Raises :class:`~trimaran.testing.aws.AwsRefusal`."""
    for endpoint, row in fleet.components():
        if row.inference_component_name == name:
            return endpoint, row
    raise missing(fleet, "inference-component", name)


def container_of(image: str, environment: dict[str, str]) -> Container:
    """What an image is likely to answer."""
    kind: ContainerKind = next((kind for part, kind in _KINDS if part in image), "tensor")
    return Container(kind=kind, image=image, environment=environment)


def _create_model(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "ModelName")
    if name in model_rows(fleet):
        raise _taken(fleet, "model", name)
    fleet.models[name] = {**fields, "CreationTime": time.time()}
    return {"ModelArn": fleet.arn("model", name)}


def _create_config(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "EndpointConfigName")
    if name in config_rows(fleet):
        raise _taken(fleet, "endpoint-config", name)
    models = model_rows(fleet)
    for variant in fields.get("ProductionVariants") or ():
        model = variant.get("ModelName")
        if model is not None and model not in models:
            raise missing(fleet, "model", model)
        if model is None and "ExecutionRoleArn" not in fields:
            raise _invalid(
                "ExecutionRoleArn is required for endpoints to which you plan to deploy inference components."
            )
    fleet.configs[name] = {**fields, "CreationTime": time.time()}
    return {"EndpointConfigArn": fleet.arn("endpoint-config", name)}


def _create_endpoint(fleet: SageMaker, fields: Fields) -> Any:
    name, config = text(fields, "EndpointName"), text(fields, "EndpointConfigName")
    if any(endpoint.name == name for endpoint in fleet.endpoints):
        raise _taken(fleet, "endpoint", name)
    row = config_rows(fleet).get(config)
    if row is None:
        raise missing(fleet, "endpoint-config", config)
    variants = tuple(_variant(fleet, variant) for variant in row["ProductionVariants"])
    hosts = all("ModelName" not in variant for variant in row["ProductionVariants"])
    made = datetime.fromtimestamp(time.time(), UTC)
    fleet.put(
        Endpoint(
            name=name,
            status="Creating",
            variants=variants,
            inference_components=() if hosts else None,
            config_name=config,
            created=made,
        )
    )
    return {"EndpointArn": fleet.arn("endpoint", name)}


def _variant(fleet: SageMaker, row: Fields) -> Variant:
    model = row.get("ModelName")
    scaling = row.get("ManagedInstanceScaling")
    return Variant(
        variant_name=row["VariantName"],
        instance_type=row.get("InstanceType", "ml.m5.large"),
        current_instance_count=row.get("InitialInstanceCount", 1),
        weight=row.get("InitialVariantWeight", 1.0),
        model_name=model,
        serverless="ServerlessConfig" in row,
        scaling=(scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount", 1)) if scaling else None,
        container=_container(fleet, model) if model is not None else None,
    )


def _container(fleet: SageMaker, model: str) -> Container:
    row = model_rows(fleet).get(model)
    if row is None:
        raise missing(fleet, "model", model)
    primary = row.get("PrimaryContainer") or (row.get("Containers") or [{}])[0]
    return container_of(primary.get("Image", ""), primary.get("Environment") or {})


def _create_component(fleet: SageMaker, fields: Fields) -> Any:
    name, host = text(fields, "InferenceComponentName"), text(fields, "EndpointName")
    if any(row.inference_component_name == name for _, row in fleet.components()):
        raise _taken(fleet, "inference-component", name)
    endpoint = next((one for one in fleet.endpoints if one.name == host), None)
    if endpoint is None:
        raise missing(fleet, "endpoint", host)
    if endpoint.inference_components is None:
        raise _invalid(
            "Inference Components are not supported in this Endpoint. Please make sure this endpoint can deploy inference "
            "components."
        )
    model = (fields.get("Specification") or {}).get("ModelName")
    count = (fields.get("RuntimeConfig") or {}).get("CopyCount", 1)
    if count < 1:
        raise _invalid("Inference components copy count an integer larger than 0")
    component = InferenceComponent(
        inference_component_name=name,
        variant_name=text(fields, "VariantName"),
        status="Creating",
        current_copy_count=count,
        model_name=model,
        container=_container(fleet, model) if model is not None else None,
    )
    try:
        rows = (*endpoint.inference_components, component)
        fleet.put(msgspec.structs.replace(endpoint, inference_components=rows))
    except ValueError as error:
        raise _invalid(str(error)) from None
    return {"InferenceComponentArn": fleet.arn("inference-component", name)}


def _scale_component(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "InferenceComponentName")
    named(fleet, name)
    count = (fields.get("DesiredRuntimeConfig") or {}).get("CopyCount")
    fleet.change_component(name, desired_copy_count=count, current_copy_count=count)
    return {"InferenceComponentArn": fleet.arn("inference-component", name)}


def _scale_endpoint(fleet: SageMaker, fields: Fields) -> Any:
    name = text(fields, "EndpointName")
    endpoint = next((one for one in fleet.endpoints if one.name == name), None)
    if endpoint is None:
        raise missing(fleet, "endpoint", name)
    rows = {variant.variant_name: variant for variant in endpoint.variants}
    for wanted in fields.get("DesiredWeightsAndCapacities") or ():
        variant = rows.get(wanted.get("VariantName"))
        if variant is None:
            words = (
                f'The variant name(s) "{wanted.get("VariantName")}" is/are not present within endpoint configuration'
            )
            raise _invalid(f'{words} "{fleet.arn("endpoint-config", endpoint.config_name or name)}".')
        count = wanted.get("DesiredInstanceCount", variant.current_instance_count)
        rows[variant.variant_name] = msgspec.structs.replace(
            variant,
            weight=wanted.get("DesiredWeight", variant.weight),
            current_instance_count=count,
            desired_instance_count=count,
        )
    fleet.put(msgspec.structs.replace(endpoint, variants=tuple(rows.values())))
    return {"EndpointArn": fleet.arn("endpoint", name)}


def _delete_endpoint(fleet: SageMaker, fields: Fields) -> None:
    name = text(fields, "EndpointName")
    try:
        fleet.remove(name)
    except KeyError:
        raise missing(fleet, "endpoint", name) from None


def _delete_config(fleet: SageMaker, fields: Fields) -> None:
    name = text(fields, "EndpointConfigName")
    if fleet.configs.pop(name, None) is None:
        raise missing(fleet, "endpoint-config", name)


def _delete_model(fleet: SageMaker, fields: Fields) -> None:
    name = text(fields, "ModelName")
    if fleet.models.pop(name, None) is None:
        raise missing(fleet, "model", name)


def _delete_component(fleet: SageMaker, fields: Fields) -> None:
    endpoint, gone = named(fleet, text(fields, "InferenceComponentName"))
    rows = tuple(row for row in endpoint.inference_components or () if row is not gone)
    fleet.put(msgspec.structs.replace(endpoint, inference_components=rows))


CHANGES: dict[str, Callable[[SageMaker, Fields], Any]] = {
    "CreateModel": _create_model,
    "CreateEndpointConfig": _create_config,
    "CreateEndpoint": _create_endpoint,
    "CreateInferenceComponent": _create_component,
    "UpdateInferenceComponentRuntimeConfig": _scale_component,
    "UpdateEndpointWeightsAndCapacities": _scale_endpoint,
    "DeleteEndpoint": _delete_endpoint,
    "DeleteEndpointConfig": _delete_config,
    "DeleteModel": _delete_model,
    "DeleteInferenceComponent": _delete_component,
}


def _taken(fleet: SageMaker, kind: str, name: str) -> AwsRefusal:
    return _invalid(f'Cannot create already existing {_NOUNS[kind]} "{fleet.arn(kind, name)}".')


def _invalid(words: str) -> AwsRefusal:
    return AwsRefusal(400, "ValidationException", words)
