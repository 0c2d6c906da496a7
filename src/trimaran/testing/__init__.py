"""Simulated providers, a virtual clock and contract suites: product code for testing a stack that calls language
models.

Nothing here is imported by the rest of the product but by ``cli``. A simulated provider says in every answer that it is
simulated. :mod:`trimaran.testing.contract` imports the vendors' SDKs when it is used, not before.
"""

from __future__ import annotations

from trimaran.testing.aws import AwsAccount, AwsCredential
from trimaran.testing.azure import AzureCloud, EntraToken
from trimaran.testing.azure_ml import AzureML, OnlineDeployment, OnlineEndpoint
from trimaran.testing.azure_openai_account import AzureDeployment, AzureOpenAIAccount
from trimaran.testing.azure_services import Azure
from trimaran.testing.bedrock_models import BedrockModel, BedrockModels
from trimaran.testing.behaviour import FAULTS, Behaviour, Fault
from trimaran.testing.clock import Deadlock, VirtualClock, VirtualTimeLoop, run_virtual
from trimaran.testing.entra import EntraApp, EntraFailure, EntraIdentity, FederatedCredential, ManagedIdentity
from trimaran.testing.entra_transport import async_entra_transport, entra_transport
from trimaran.testing.google import GoogleCloud, GoogleToken
from trimaran.testing.google_identity import GoogleIdentity, IdentityFailure
from trimaran.testing.google_services import Google
from trimaran.testing.log import LoggedRequest, Outcome, RequestLog
from trimaran.testing.provider import SimulatedProvider
from trimaran.testing.sagemaker import SageMaker
from trimaran.testing.vertex_endpoints import DeployedModel, VertexEndpoint, VertexEndpoints

__all__ = [
    "FAULTS",
    "AwsAccount",
    "AwsCredential",
    "Azure",
    "AzureCloud",
    "AzureDeployment",
    "AzureML",
    "AzureOpenAIAccount",
    "BedrockModel",
    "BedrockModels",
    "Behaviour",
    "Deadlock",
    "DeployedModel",
    "EntraApp",
    "EntraFailure",
    "EntraIdentity",
    "EntraToken",
    "Fault",
    "FederatedCredential",
    "Google",
    "GoogleCloud",
    "GoogleIdentity",
    "GoogleToken",
    "IdentityFailure",
    "LoggedRequest",
    "ManagedIdentity",
    "OnlineDeployment",
    "OnlineEndpoint",
    "Outcome",
    "RequestLog",
    "SageMaker",
    "SimulatedProvider",
    "VertexEndpoint",
    "VertexEndpoints",
    "VirtualClock",
    "VirtualTimeLoop",
    "async_entra_transport",
    "entra_transport",
    "run_virtual",
]
