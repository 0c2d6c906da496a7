"""Whom to call and how."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trimaran.config.kinds import FLAG, HEADER, NAME, SECRET, URL, count, duration, name
from trimaran.config.setting import Group, Listing, Setting, Table
from trimaran.config.settings.aws import (
    AccessKeyId,
    ExternalId,
    Profile,
    RoleArn,
    RoleSessionName,
    SecretAccessKey,
    SessionToken,
)
from trimaran.config.settings.azure import (
    ApiVersion,
    AzureClientId,
    AzureCloud,
    Deployments,
    OnlineEndpoints,
    Resource,
    TenantId,
)
from trimaran.config.settings.bedrock import BaseModels, BedrockApi
from trimaran.config.settings.capabilities import CapabilitiesConfig
from trimaran.config.settings.capacity import CapacityConfig
from trimaran.config.settings.google import Audience, CredentialsFile, Impersonate, Location, Project
from trimaran.config.settings.prices import PriceConfig
from trimaran.config.settings.sagemaker import ENDPOINT_NAME, EndpointConfig
from trimaran.types import Secret

__all__ = ["ProviderConfig"]

_HEADER_NAME = r"[A-Za-z][A-Za-z0-9-]{0,63}"
_UPSTREAM_NAME = r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}"


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A provider: a known one with something changed, or a new one that speaks a known dialect."""

    kind: Annotated[
        str,
        Setting(
            kind=name(r"[a-z][a-z0-9_]*", expected="a known provider", example="bedrock"),
            what="The known provider that it is another account or region of: it is asked, authenticated and priced as that one.",
            why="One company has several accounts, and one cloud many regions, each with limits and prices of its own.",
            reason="a provider called like a known one is that one",
            default="the known provider of the same name, if there is one",
        ),
    ] = ""
    dialects: Annotated[
        tuple[str, ...],
        Setting(
            kind=Listing(
                name(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*", expected="a dialect", example="openai.chat"),
                expected="a dialect or a list of dialects",
                example="[openai.chat, openai.embeddings]",
                least=1,
                single=True,
            ),
            what="The wire APIs it speaks. A request in one of them passes as it is; any other one is translated into the "
            "first that can carry it.",
            why="They decide what is sent and how the answer is read.",
            reason="most servers that are not a vendor's own speak openai.chat",
            default="the known provider's own, else openai.chat and openai.embeddings",
        ),
    ] = ()
    base_url: Annotated[
        str,
        Setting(
            kind=URL,
            what="Where it is reached, with or without the final `/v1`; `/v1/chat/completions` or `/v1/messages` is "
            "appended.",
            why="Proxies, regional endpoints and your own servers.",
            unit="URL",
            reason="each known provider has one; a new one must say it",
            default="the known provider's own",
        ),
    ] = ""
    api_key: Annotated[
        Secret | None,
        Setting(
            kind=SECRET,
            what="The credential, as a reference: `${MY_API_KEY}` or `${file:/run/secrets/key}`.",
            why="A file is copied, committed and mailed; a reference may be.",
            reason="known providers read the variable their own clients read; a new one gets no credential",
            default="the known provider's variable",
        ),
    ] = None
    headers: Annotated[
        dict[str, Secret],
        Setting(
            kind=Table(
                HEADER,
                key=_HEADER_NAME,
                key_expected="the name of an HTTP header",
                expected="header names with their values, or references to them",
                example='headers: {x-team-token: "${TEAM_TOKEN}"}',
            ),
            what="Further request headers. The values of those that hold credentials are given as references: `authorization`, "
            "`cookie`, and any whose name speaks of a key, a token, a password or the like.",
            why="Gateways and company proxies ask for headers of their own.",
            reason="no provider needs one",
            default="none",
        ),
    ] = {}
    region: Annotated[
        str | None,
        Setting(
            kind=name(NAME, expected="a region's name", example="eu-west-1"),
            what="Where it computes; written to the ledger. At AWS and on Vertex AI it is also where it is reached.",
            why="Spend and latency are compared by region.",
            reason="public endpoints do not say",
            default="unknown; at AWS: AWS_REGION, AWS_DEFAULT_REGION, the profile's",
        ),
    ] = None
    profile: Profile = ""
    role_arn: RoleArn = ""
    external_id: ExternalId = ""
    role_session_name: RoleSessionName = ""
    access_key_id: AccessKeyId = None
    secret_access_key: SecretAccessKey = None
    session_token: SessionToken = None
    project: Project = ""
    location: Location = ""
    impersonate: Impersonate = ""
    credentials_file: CredentialsFile = ""
    audience: Audience = ""
    api: BedrockApi = ""
    base_models: BaseModels = {}
    tenant_id: TenantId = ""
    client_id: AzureClientId = ""
    cloud: AzureCloud = ""
    resource: Resource = ""
    api_version: ApiVersion = ""
    deployments: Deployments = {}
    online_endpoints: OnlineEndpoints = {}
    default_model: Annotated[
        str,
        Setting(
            kind=name(_UPSTREAM_NAME, expected="a model's name at the provider", example="gpt-4o-mini"),
            what="The model that stands for it in `auto`, when no models are configured.",
            why="`auto` compares one model of each provider.",
            reason="each known provider has a small, fast one; a new one stays out of `auto`",
            default="the known provider's own",
        ),
    ] = ""
    max_output_tokens: Annotated[
        int | None,
        Setting(
            kind=count(1, 10_000_000, example="8192"),
            what="The longest answer it allows, used where its dialect demands a limit and the client gave none.",
            why="`anthropic.messages` refuses a request without one.",
            unit="tokens",
            reason="known models have theirs",
            default="what is known of the model",
        ),
    ] = None
    prices: Annotated[
        dict[str, tuple[PriceConfig, ...]],
        Setting(
            kind=Table(
                Listing(
                    Group(
                        PriceConfig,
                        expected="the prices of one model",
                        example="{input: 0.15 USD/1M, output: 0.60 USD/1M}",
                    ),
                    expected="the prices of one model, or a list of them with the days from which they hold",
                    example="{input: 0.15 USD/1M, output: 0.60 USD/1M}",
                    least=1,
                    single=True,
                ),
                key=_UPSTREAM_NAME,
                key_expected="a model's name at the provider",
                expected="model names with their prices",
                example="prices: {my-model: {input: 0.15 USD/1M, output: 0.60 USD/1M}}",
            ),
            what="Prices of its models, where they differ from the catalogue's or are missing there.",
            why="A target without a price is unknown, never free: it cannot be used under a cost limit.",
            reason="the catalogue knows the public list prices",
            default="the catalogue's",
        ),
    ] = {}
    capabilities: Annotated[
        dict[str, CapabilitiesConfig],
        Setting(
            kind=Table(
                Group(CapabilitiesConfig, expected="what one model can do", example="{has: [tools], lacks: [vision]}"),
                key=_UPSTREAM_NAME,
                key_expected="a model's name at the provider",
                expected="model names with what they can do",
                example="capabilities: {my-model: {has: [tools], lacks: [vision], context_tokens: 32768}}",
            ),
            what="What its models can do, where the catalogue does not know them or is wrong. Anything left out keeps the "
            "catalogue's value.",
            why="A request is sent only where it can be answered; a model of your own is known to you alone.",
            reason="the catalogue knows the public models; what it does not know is sent and tried",
            default="the catalogue's",
        ),
    ] = {}
    capacity: Annotated[
        CapacityConfig | None,
        Setting(
            kind=Group(
                CapacityConfig, expected="the capacity of a pool", example="capacity: {replicas: 2, hourly: 98.32 USD}"
            ),
            what="That it is a pool of your own servers, which cost by the hour and not by tokens.",
            why="`trimaran spend` then divides their cost among the requests, and shows what was idle.",
            reason="a server you already run has a price by the hour; providers charge by tokens",
            default="none: it charges by tokens",
        ),
    ] = None
    endpoints: Annotated[
        dict[str, EndpointConfig],
        Setting(
            kind=Table(
                Group(
                    EndpointConfig,
                    expected="an endpoint",
                    example="my-llama: {container: lmi, base_model: llama-3.1-70b}",
                ),
                key=ENDPOINT_NAME,
                key_expected="a name as SageMaker takes it: up to 63 letters and digits, with - between them",
                expected="endpoints by name",
                example="endpoints: {my-llama: {container: lmi, base_model: llama-3.1-70b}}",
            ),
            what="SageMaker: its endpoints, each a target `sagemaker/<name>`.",
            why="What an endpoint takes, and what it costs, SageMaker does not say.",
            reason="an endpoint that is not listed is taken to answer in OpenAI's form",
            default="none",
        ),
    ] = {}
    cold_start_s: Annotated[
        float | None,
        Setting(
            kind=duration(0, 3600, example="2m"),
            what="How much longer than `limits.ttft` a first token may take when nothing was answered there for a quarter of an "
            "hour: a server that had nothing to do may have been stopped, and must be started first. `0s`: it always runs.",
            why="A cold start is slow and no failure; without patience it would be broken off again and again.",
            unit="duration",
            reason="Cloud Run gives a container four minutes to start; other providers always run",
            default="4m for cloud_run, else 0s",
        ),
    ] = None
    simulated: Annotated[
        bool,
        Setting(
            kind=FLAG,
            what="Marks its answers as simulated in the ledger and in every table.",
            why="Rehearsals must never be mistaken for real traffic.",
            reason="almost every provider is real",
        ),
    ] = False
