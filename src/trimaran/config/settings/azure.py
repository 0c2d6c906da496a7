"""Who the gateway acts as at Azure, and what only Azure's providers have: deployments of Azure OpenAI, online endpoints of
Azure Machine Learning. Sign-in settings are optional; left out, tokens are looked for where Azure's own tools look:
environment, workload identity, managed identity, Azure CLI.

Names follow Azure's own rules, so that a name that Azure would refuse is refused here, with its line.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from trimaran.config.kinds import SECRET, URL, OneOf, count, name, text
from trimaran.config.setting import Group, Setting, Table
from trimaran.config.settings.capacity import HourlyConfig
from trimaran.types import Secret

__all__ = [
    "ApiVersion",
    "AzureClientId",
    "AzureCloud",
    "DeploymentConfig",
    "Deployments",
    "OnlineEndpointConfig",
    "OnlineEndpoints",
    "Resource",
    "TenantId",
]

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
DEPLOYMENT_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules, 2026-11-30: 2 to 64 characters."""
ONLINE_NAME = r"[a-zA-Z](?:-*[a-zA-Z0-9]){0,31}"
"""Of endpoints and deployments of Azure Machine Learning: up to 32 characters
(https://learn.microsoft.com/azure/machine-learning/concept-endpoints-online, 2026-11-30)."""
SKUS = ("GlobalStandard", "DataZoneStandard", "Standard")
CONTAINERS = ("openai", "score", "score_prompt", "huggingface", "triton")

TenantId: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(
            rf"{_GUID}|[a-z0-9][a-z0-9.-]{{0,253}}\.[a-z]{{2,}}",
            expected="the id or a domain of a tenant",
            example="contoso.onmicrosoft.com",
        ),
        what="The tenant of Entra ID whose tokens are asked for (Azure only).",
        why="People and applications are in several tenants, and a resource takes the tokens of its own.",
        reason="most have one tenant",
        default="AZURE_TENANT_ID, else the Azure CLI's",
    ),
]
AzureClientId: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(_GUID, expected="the client id of an identity", example="11111111-2222-3333-4444-555555555555"),
        what="The user-assigned managed identity, or the application of a workload identity, that the gateway acts as "
        "(Azure only).",
        why="A machine may have several identities.",
        reason="a machine has one identity of its own",
        default="AZURE_CLIENT_ID, else the system-assigned one",
    ),
]
AzureCloud: TypeAlias = Annotated[
    str,
    Setting(
        kind=OneOf(("public", "government", "china"), what="cloud of Microsoft's", example="government"),
        what="Which of Microsoft's clouds it is in (Azure only).",
        why="Each has hosts, tokens and audiences of its own.",
        reason="most resources are in the public one",
        default="what the endpoint's name ends with, else the public one",
    ),
]
Resource: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(r"[a-z0-9][a-z0-9-]{0,62}", expected="the name of a resource", example="contoso-eu"),
        what="Azure OpenAI: the resource's name, as a short form of its `base_url`.",
        why="The endpoint's URL is its name and always the same rest.",
        reason="base_url says it whole",
        default="none",
    ),
]
ApiVersion: TypeAlias = Annotated[
    str,
    Setting(
        kind=name(
            r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(?:-preview)?|v1|preview",
            expected="a version of Azure's API: 2024-10-21, v1 or preview",
            example="2024-10-21",
        ),
        what="Azure OpenAI: the version of its API. A date asks deployments under their own paths; `v1` and `preview` are the "
        "newer form without dates.",
        why="A resource behind an older gateway knows only dated versions.",
        reason="v1 needs no date that ends some day",
        default="OPENAI_API_VERSION, else v1",
    ),
]


class DeploymentCapacityConfig(HourlyConfig, frozen=True, kw_only=True):
    """Provisioned throughput behind a deployment, which costs by the hour whether it is asked or not."""

    ptu: Annotated[
        int,
        Setting(
            kind=count(1, 1_000_000, example="100"),
            what="How many provisioned throughput units it has.",
            why="They cost by the hour, busy or idle; `hourly` is the price of one.",
            reason="it is the smallest number there is",
        ),
    ] = 1


class DeploymentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment of Azure OpenAI."""

    model: Annotated[
        str,
        Setting(
            kind=name(
                r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}", expected="the name of a base model", example="gpt-4o-mini"
            ),
            what="The base model that is deployed.",
            why="It says what the deployment can do and what its tokens cost.",
            reason="a deployment's name says nothing for certain",
            default="the deployment's name, where a model is called so",
        ),
    ] = ""
    sku: Annotated[
        str,
        Setting(
            kind=OneOf(SKUS, what="type of deployment", example="DataZoneStandard"),
            what="The type of deployment that tokens are paid for.",
            why="Data zones and single regions cost more than `GlobalStandard`, whose prices the catalogue knows; for the others "
            "state `prices`, or their cost is unknown.",
            reason="most deployments are global",
        ),
    ] = "GlobalStandard"
    capacity: Annotated[
        DeploymentCapacityConfig | None,
        Setting(
            kind=Group(
                DeploymentCapacityConfig,
                expected="provisioned throughput",
                example="capacity: {ptu: 100, hourly: 1 USD}",
            ),
            what="That it is provisioned throughput (PTU), and what it costs by the hour.",
            why="Its tokens cost nothing; `trimaran spend` divides the hours among the requests, and shows what was idle.",
            reason="most deployments are paid by tokens",
            default="none: it is paid by tokens",
        ),
    ] = None


class OnlineCapacityConfig(HourlyConfig, frozen=True, kw_only=True):
    """The instances behind an online endpoint, which cost by the hour whether it is asked or not."""

    instance_type: Annotated[
        str,
        Setting(
            kind=name(
                r"[A-Za-z][A-Za-z0-9_-]{0,63}", expected="a VM size of Azure's", example="Standard_NC24ads_A100_v4"
            ),
            what="What one instance is.",
            why="It is written to the ledger with the price.",
            reason="the price is that of an instance, whichever it is",
            default="none",
        ),
    ] = ""
    instances: Annotated[
        int,
        Setting(
            kind=count(0, 100_000, example="2"),
            what="How many instances stand behind it. Change it when they change; the file is read again.",
            why="They cost by the hour, busy or idle.",
            reason="one instance is the least that answers",
        ),
    ] = 1


class OnlineEndpointConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One online endpoint of Azure Machine Learning, or one deployment on it."""

    url: Annotated[
        str,
        Setting(
            kind=URL,
            what="Where it is reached: the scoring URI that Azure shows.",
            why="Its host names the endpoint and its region, and its path is that of the container.",
            unit="URL",
            reason="name and region say it, where the provider has a region",
            default="https://NAME.REGION.inference.ml.azure.com",
        ),
    ] = ""
    api_key: Annotated[
        Secret | None,
        Setting(
            kind=SECRET,
            what="This endpoint's own key, as a reference: `${LLAMA_KEY}`.",
            why="Each online endpoint has keys of its own.",
            reason="a token of Entra ID is good for all endpoints",
            default="the provider's key, else a token",
        ),
    ] = None
    deployment: Annotated[
        str,
        Setting(
            kind=name(ONLINE_NAME, expected="the name of a deployment", example="blue"),
            what="The deployment that answers (header `azureml-model-deployment`).",
            why="A new deployment can be compared with an old one as a target of its own.",
            reason="Azure divides the traffic as the endpoint says",
            default="by the endpoint's traffic",
        ),
    ] = ""
    container: Annotated[
        str,
        Setting(
            kind=OneOf(CONTAINERS, what="container", example="score"),
            what="What answers: `openai` takes conversations in OpenAI's form, `score` turns in the form of Azure's model "
            "catalogue, `score_prompt` one prompt in that form, `huggingface` one prompt (`inputs`), `triton` tensors in "
            "KServe's form (ONNX, classifiers).",
            why="It decides what is sent and how the answer is read.",
            reason="most language models are served in OpenAI's form",
        ),
    ] = "openai"
    model: Annotated[
        str,
        Setting(
            kind=name(
                r"[A-Za-z0-9/@][A-Za-z0-9._:/@+-]{0,199}",
                expected="the name under which the container serves the model",
                example="meta-llama/Llama-3.1-8B-Instruct",
            ),
            what="The model's name that the body (or the path of tensors) must carry.",
            why="Some containers refuse a request with another name than theirs, or without one.",
            reason="a container with one model takes a request without a name",
            default="left out of the body",
        ),
    ] = ""
    base_model: Annotated[
        str,
        Setting(
            kind=text(200, expected="the name of a base model", example="llama-3.1-8b"),
            what="The network itself.",
            why="It says what the model can do; for `huggingface` and `score_prompt` also how turns are told apart in a prompt.",
            reason="an endpoint's name says nothing about its model",
            default="unknown",
        ),
    ] = ""
    capacity: Annotated[
        OnlineCapacityConfig | None,
        Setting(
            kind=Group(
                OnlineCapacityConfig,
                expected="the instances of an endpoint",
                example="capacity: {instance_type: Standard_NC24ads_A100_v4, instances: 2, hourly: 3.67 USD}",
            ),
            what="What stands behind it and costs by the hour.",
            why="`trimaran spend` then divides the cost among the requests, and shows what was idle.",
            reason="a price is never guessed; without it the cost of its requests is unknown, not free",
            default="none: the cost is unknown",
        ),
    ] = None


Deployments: TypeAlias = Annotated[
    dict[str, DeploymentConfig],
    Setting(
        kind=Table(
            Group(DeploymentConfig, expected="a deployment", example="chat: {model: gpt-4o-mini}"),
            key=DEPLOYMENT_NAME,
            key_expected="a name as Azure takes it: up to 64 letters, digits and . _ -",
            expected="deployments by name",
            example="deployments: {chat: {model: gpt-4o-mini}}",
        ),
        what="Azure OpenAI: its deployments, each a target `azure_openai/<name>`.",
        why="Which model is behind a deployment, and how it is paid, its name does not say.",
        reason="a deployment that is called like a model is taken to be that model",
        default="none",
    ),
]
OnlineEndpoints: TypeAlias = Annotated[
    dict[str, OnlineEndpointConfig],
    Setting(
        kind=Table(
            Group(
                OnlineEndpointConfig,
                expected="an online endpoint",
                example="my-llama: {url: https://my-llama.westeurope.inference.ml.azure.com/score, container: score}",
            ),
            key=ONLINE_NAME,
            key_expected="a name as Azure takes it: up to 32 letters and digits, with - between them",
            expected="online endpoints by name",
            example="online_endpoints: {my-llama: {url: https://my-llama.westeurope.inference.ml.azure.com/score, container: score}}",
        ),
        what="Azure Machine Learning: its online endpoints, each a target `azure_ml/<name>`.",
        why="What an endpoint takes, and what it costs, Azure does not say.",
        reason="an endpoint that is not listed is taken to answer in OpenAI's form",
        default="none",
    ),
]
