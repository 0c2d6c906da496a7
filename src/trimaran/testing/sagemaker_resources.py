"""The shapes in which SageMaker's control plane describes what there is; field names are those of botocore's model.

An endpoint that was declared and not created has a configuration and models all the same: they are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from trimaran.testing.sagemaker import ACCOUNT, Container, Endpoint, InferenceComponent, SageMaker, Variant

__all__ = [
    "component_row",
    "component_summary",
    "config_rows",
    "endpoint_row",
    "endpoint_summary",
    "model_rows",
]

_EMPTY = frozenset({"Creating", "Failed"})
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/simulated"


def endpoint_summary(fleet: SageMaker, endpoint: Endpoint) -> dict[str, Any]:
    """``EndpointSummary``."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": fleet.arn("endpoint", endpoint.name),
        "CreationTime": _time(endpoint.created),
        "LastModifiedTime": _time(fleet.modified(endpoint)),
        "EndpointStatus": endpoint.status,
    }


def endpoint_row(fleet: SageMaker, endpoint: Endpoint) -> dict[str, Any]:
    """``DescribeEndpointOutput``. Instance types are in the configuration, not here."""
    row = endpoint_summary(fleet, endpoint)
    row["EndpointConfigName"] = endpoint.config_name or endpoint.name
    row["ProductionVariants"] = [_variant_summary(endpoint, variant) for variant in endpoint.variants]
    if endpoint.failure_reason is not None:
        row["FailureReason"] = endpoint.failure_reason
    return row


def _variant_summary(endpoint: Endpoint, variant: Variant) -> dict[str, Any]:
    """``ProductionVariantSummary``. Nothing runs yet where the endpoint is being created."""
    running = 0 if endpoint.status in _EMPTY else variant.current_instance_count
    row: dict[str, Any] = {
        "VariantName": variant.variant_name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
    }
    if variant.serverless:
        row["CurrentServerlessConfig"] = row["DesiredServerlessConfig"] = _SERVERLESS
    else:
        row["CurrentInstanceCount"] = running
        row["DesiredInstanceCount"] = _either(variant.desired_instance_count, variant.current_instance_count)
    if endpoint.inference_components is None:
        row["DeployedImages"] = [_image(variant.container or endpoint.container, endpoint.created)]
    if variant.scaling is not None:
        row["ManagedInstanceScaling"] = _scaling(variant.scaling)
    return row


def config_rows(fleet: SageMaker, undeclared: str = "") -> dict[str, dict[str, Any]]:
    """All endpoint configurations by name, as ``DescribeEndpointConfigOutput``; with that of an endpoint called
    ``undeclared``, if the fleet answers for it."""
    derived = {(one.config_name or one.name): _derived_config(fleet, one) for one in _endpoints(fleet, undeclared)}
    return derived | {name: _created_config(fleet, name) for name in fleet.configs}


def _endpoints(fleet: SageMaker, undeclared: str) -> list[Endpoint]:
    other = fleet.find(undeclared) if undeclared else None
    return [*fleet.endpoints, *([other] if other is not None and other not in fleet.endpoints else [])]


def _created_config(fleet: SageMaker, name: str) -> dict[str, Any]:
    config = {
        "EndpointConfigName": name,
        "EndpointConfigArn": fleet.arn("endpoint-config", name),
        **fleet.configs[name],
    }
    config.setdefault("EnableNetworkIsolation", False)
    config.pop("Tags", None)
    return config


def _derived_config(fleet: SageMaker, endpoint: Endpoint) -> dict[str, Any]:
    name = endpoint.config_name or endpoint.name
    row: dict[str, Any] = {
        "EndpointConfigName": name,
        "EndpointConfigArn": fleet.arn("endpoint-config", name),
        "ProductionVariants": [_variant_config(endpoint, variant) for variant in endpoint.variants],
        "CreationTime": _time(endpoint.created),
        "EnableNetworkIsolation": False,
    }
    if endpoint.inference_components is not None:
        row["ExecutionRoleArn"] = _ROLE
    return row


def _variant_config(endpoint: Endpoint, variant: Variant) -> dict[str, Any]:
    """``ProductionVariant``."""
    row: dict[str, Any] = {"VariantName": variant.variant_name}
    if endpoint.inference_components is None:
        row["ModelName"] = variant.model_name or endpoint.name
        row["InitialVariantWeight"] = variant.weight
    if variant.serverless:
        row["ServerlessConfig"] = _SERVERLESS
        return row
    row["InstanceType"] = variant.instance_type
    row["InitialInstanceCount"] = max(1, variant.current_instance_count)
    if variant.scaling is not None:
        row["ManagedInstanceScaling"] = _scaling(variant.scaling)
    return row


def component_summary(fleet: SageMaker, endpoint: Endpoint, component: InferenceComponent) -> dict[str, Any]:
    """``InferenceComponentSummary``."""
    name = component.inference_component_name
    return {
        "CreationTime": _time(endpoint.created),
        "LastModifiedTime": _time(fleet.modified(endpoint)),
        "InferenceComponentArn": fleet.arn("inference-component", name),
        "InferenceComponentName": name,
        "EndpointArn": fleet.arn("endpoint", endpoint.name),
        "EndpointName": endpoint.name,
        "VariantName": component.variant_name,
        "InferenceComponentStatus": component.status,
    }


def component_row(fleet: SageMaker, endpoint: Endpoint, component: InferenceComponent) -> dict[str, Any]:
    """``DescribeInferenceComponentOutput``."""
    row = component_summary(fleet, endpoint, component)
    container = component.container or endpoint.container
    row["Specification"] = {
        "ModelName": component.model_name or component.inference_component_name,
        "Container": {"DeployedImage": _image(container, endpoint.created), "Environment": dict(container.environment)},
        "ComputeResourceRequirements": {
            "NumberOfAcceleratorDevicesRequired": float(component.accelerators),
            "MinMemoryRequiredInMb": component.min_memory_mb,
        },
    }
    row["RuntimeConfig"] = {
        "DesiredCopyCount": _either(component.desired_copy_count, component.current_copy_count),
        "CurrentCopyCount": component.current_copy_count,
    }
    if component.failure_reason is not None:
        row["FailureReason"] = component.failure_reason
    return row


def model_rows(fleet: SageMaker, undeclared: str = "") -> dict[str, dict[str, Any]]:
    """All models by name, as ``DescribeModelOutput``; ``undeclared`` as in :func:`config_rows`."""
    endpoints = _endpoints(fleet, undeclared)
    rows = {name: _derived_model(fleet, name, container, made) for name, container, made in _models(endpoints)}
    return rows | {name: _created_model(fleet, name) for name in fleet.models}


def _created_model(fleet: SageMaker, name: str) -> dict[str, Any]:
    model = {"ModelName": name, "ModelArn": fleet.arn("model", name), "EnableNetworkIsolation": False}
    model |= fleet.models[name]
    model.pop("Tags", None)
    return model


def _derived_model(fleet: SageMaker, name: str, container: Container, made: datetime) -> dict[str, Any]:
    primary = {"Image": container.uri, "Mode": "SingleModel", "Environment": dict(container.environment)}
    return {
        "ModelName": name,
        "PrimaryContainer": primary,
        "ExecutionRoleArn": _ROLE,
        "CreationTime": _time(made),
        "ModelArn": fleet.arn("model", name),
        "EnableNetworkIsolation": False,
    }


def _models(endpoints: list[Endpoint]) -> Iterator[tuple[str, Container, datetime]]:
    for endpoint in endpoints:
        if endpoint.inference_components is None:
            for variant in endpoint.variants:
                yield variant.model_name or endpoint.name, variant.container or endpoint.container, endpoint.created
        for row in endpoint.inference_components or ():
            name = row.model_name or row.inference_component_name
            yield name, row.container or endpoint.container, endpoint.created


_SERVERLESS = {"MemorySizeInMB": 2_048, "MaxConcurrency": 5}


def _scaling(bounds: tuple[int, int]) -> dict[str, Any]:
    return {"Status": "ENABLED", "MinInstanceCount": bounds[0], "MaxInstanceCount": bounds[1]}


def _image(container: Container, resolved: datetime) -> dict[str, Any]:
    image = container.uri
    digest = f"{image.partition(':')[0]}@sha256:{'0' * 64}"
    return {"SpecifiedImage": image, "ResolvedImage": digest, "ResolutionTime": _time(resolved)}


def _either(value: int | None, default: int) -> int:
    return default if value is None else value


def _time(moment: datetime) -> float:
    """Seconds since the epoch, as the JSON 1.1 protocol writes times."""
    return moment.timestamp()
