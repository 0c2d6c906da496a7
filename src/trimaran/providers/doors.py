"""Every door by its name: ``Target.door`` says which one leads to a target."""

from __future__ import annotations

from collections.abc import Callable

from trimaran.providers.aws.bedrock import bedrock_door
from trimaran.providers.aws.sagemaker import SageMakerDoor
from trimaran.providers.azure.ml import OnlineEndpointDoor
from trimaran.providers.azure.openai import AzureOpenAIDoor
from trimaran.providers.door import Door
from trimaran.providers.google.cloud_run import CloudRunDoor
from trimaran.providers.google.doors import vertex_door
from trimaran.types import Target
from trimaran.wire import DIALECTS, Dialect

__all__ = ["DOORS", "door_of"]

DOORS: dict[str, Callable[[Target, Dialect], Door]] = {
    "": Door,
    "azure_ml": OnlineEndpointDoor,
    "azure_openai": AzureOpenAIDoor,
    "bedrock": bedrock_door,
    "sagemaker": SageMakerDoor,
    "vertex": vertex_door,
    "cloud_run": CloudRunDoor,
}
"""By :attr:`~trimaran.types.Target.door`. Each is called once for each dialect of a target."""


def door_of(target: Target, dialect: str) -> Door:
    """The way to ``target`` in this dialect."""
    return DOORS[target.door](target, DIALECTS[dialect])
