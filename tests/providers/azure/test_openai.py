"""Azure OpenAI: from settings and environment to targets, the paths under which they are asked, and what refusals mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from trimaran.config import load
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import (
    AttemptError,
    ConfigError,
    ContentRefused,
    ContextTooLong,
    CredentialRejected,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
)
from trimaran.providers import discover, door_of
from trimaran.providers.azure.endpoint import openai_endpoint
from trimaran.providers.azure.openai_refusals import RefusalReader, retry_after
from trimaran.types import Snapshot, Target
from trimaran.wire import DIALECTS

KEY = "azure-key-0123456789abcdef"
ENV = {"HOME": "/nowhere", "KEY": KEY}


def snapshot(text: str, folder: Path, **environ: str) -> Snapshot:
    file = folder / "trimaran.yaml"
    file.write_text(text)
    return build_snapshot(load(str(file), ENV | environ), ENV | environ, 1)


def problem(text: str, folder: Path, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        snapshot(text, folder, **environ)
    return str(caught.value)


# Endpoints


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://contoso.openai.azure.com", "https://contoso.openai.azure.com"),
        ("https://contoso.openai.azure.com/openai", "https://contoso.openai.azure.com"),
        ("https://contoso.openai.azure.com/openai/v1", "https://contoso.openai.azure.com"),
        ("https://contoso.openai.azure.com/openai/v1/chat/completions", "https://contoso.openai.azure.com"),
        ("https://contoso.openai.azure.com/openai/responses", "https://contoso.openai.azure.com"),
        ("https://contoso.openai.azure.com/openai/deployments", "https://contoso.openai.azure.com"),
        (
            "https://contoso.cognitiveservices.azure.com/openai/deployments/gpt-4o/chat/completions",
            "https://contoso.cognitiveservices.azure.com",
        ),
        ("https://contoso.services.ai.azure.com/models", "https://contoso.services.ai.azure.com"),
        ("https://eastus.api.cognitive.microsoft.com", "https://eastus.api.cognitive.microsoft.com"),
        ("https://api.contoso.com/ai/openai/v1", "https://api.contoso.com/ai"),
        ("https://api.contoso.com/ai", "https://api.contoso.com/ai"),
    ],
)
def test_endpoints_in_the_forms_that_are_shown(url: str, found: str) -> None:
    assert openai_endpoint(url).url == found
    assert openai_endpoint(url).problem is None


def test_a_deployment_and_a_region_in_the_url_are_noticed() -> None:
    found = openai_endpoint("https://contoso.openai.azure.com/openai/deployments/gpt-4o/chat/completions")
    assert found.deployment == "gpt-4o"
    assert openai_endpoint("https://eastus.api.cognitive.microsoft.com").regional == "eastus"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("base_url: https://portal.azure.com/resource/x, api_key: '${KEY}'", "is a page for people"),
        ("base_url: https://ai.azure.com/x", "https://<resource>.openai.azure.com"),
        (
            "base_url: https://c.services.ai.azure.com/api/projects/p",
            "write the resource's own: https://c.services.ai.azure.com",
        ),
        ("region: eastus", "no endpoint is known for azure_openai; tried: providers.azure_openai.base_url"),
        (
            "base_url: https://eastus.api.cognitive.microsoft.com",
            "is shared by all resources of the region, takes keys and no tokens",
        ),
        ("resource: contoso, base_url: https://contoso.openai.azure.com", "base_url is given, too"),
        ("base_url: https://contoso.openai.azure.us, cloud: china", "write cloud: government"),
        (
            "base_url: 'https://c.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01-preview'",
            "write https://c.openai.azure.com/openai/deployments/d/chat/completions, and api_version: 2025-01-01-preview beside it",
        ),
        ("resource: contoso, api_version: 2024-13", "expected a version of Azure's API"),
        ("resource: contoso, client_id: someone", "expected the client id of an identity"),
        ("resource: contoso, profile: prod", "only providers of AWS have it"),
        ("resource: contoso, base_models: {a: b}", "only bedrock has it"),
        ("resource: contoso, deployments: {chat: {capacity: {ptu: 0}}}", "ptu"),
        ("resource: contoso, deployments: {chat: {sku: Standard, capacity: {ptu: 1}}}", "is paid by tokens"),
        ("resource: contoso, deployments: {chat: {capacity: {amortised_hourly: 2 USD}}}", "is more than hourly"),
        ("resource: contoso, deployments: {chat: {}}, capacity: {replicas: 2}", "has no replicas"),
        ("resource: contoso, deployments: {'a b': {}}", "a name as Azure takes it"),
    ],
)
def test_wrong_settings_are_named_with_their_line(settings: str, words: str, tmp_path: Path) -> None:
    text = f"providers:\n  azure_openai: {{{settings}}}\nmodels:\n  a: {{targets: [azure_openai/chat]}}\n"
    told = problem(text, tmp_path)
    assert words in told
    assert "trimaran.yaml:" in told


def test_settings_of_azure_are_refused_elsewhere(tmp_path: Path) -> None:
    text = "providers: {openai: {api_key: '${KEY}', tenant_id: contoso.com}}\nmodels: {a: {targets: [openai/x]}}"
    told = problem(text, tmp_path)
    assert "only providers of Azure have it" in told
    assert "azure_openai, azure_ml" in told
    told = problem(
        "providers: {openai: {api_key: '${KEY}', deployments: {a: {}}}}\nmodels: {a: {targets: [openai/x]}}", tmp_path
    )
    assert "only azure_openai has it" in told


def test_a_bad_endpoint_in_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    told = problem("models: {a: {targets: [azure_openai/x]}}", tmp_path, AZURE_OPENAI_ENDPOINT="https://ai.azure.com/x")
    assert told.startswith("AZURE_OPENAI_ENDPOINT")
    environ = {"AZURE_OPENAI_ENDPOINT": "https://c.openai.azure.com", "OPENAI_API_VERSION": "latest!"}
    told = problem("models: {a: {targets: [azure_openai/x]}}", tmp_path, **environ)
    assert told.startswith("OPENAI_API_VERSION is no version") or "OPENAI_API_VERSION" in told


# Targets


def test_what_the_environment_alone_serves(tmp_path: Path) -> None:
    environ = {"AZURE_OPENAI_ENDPOINT": "https://contoso.openai.azure.com/", "AZURE_OPENAI_API_KEY": KEY}
    assert [row.name for row in discover(environ)] == ["azure_openai"]
    made = snapshot("", tmp_path, **environ)
    _, [target] = resolve(made, "azure_openai/gpt-4o-mini")
    assert (target.base_url, target.credential) == ("https://contoso.openai.azure.com", "azure_openai")
    # A model's own name finds the deployment that is called like it.
    assert resolve(made, "gpt-4o-mini")[1] == [target]
    # Without a key, a token.
    made = snapshot("", tmp_path, AZURE_OPENAI_ENDPOINT="https://contoso.openai.azure.com/")
    assert made.identities["azure_openai"].settings["scope"] == "https://cognitiveservices.azure.com/.default"
    assert [*made.secrets] == []


def test_a_key_without_an_endpoint_is_told(tmp_path: Path) -> None:
    made = snapshot("", tmp_path, AZURE_OPENAI_API_KEY=KEY)
    assert not made.wildcards
    assert any("azure_openai is not served: no endpoint is known" in each for each in made.warnings)


def test_identities_by_cloud(tmp_path: Path) -> None:
    text = """
providers:
  azure_openai: {resource: contoso, cloud: government, tenant_id: contoso.com, client_id: 11111111-2222-3333-4444-555555555555}
  china: {kind: azure_openai, base_url: https://contoso.openai.azure.cn}
models: {a: {targets: [azure_openai/gpt-4o, china/gpt-4o]}}
"""
    made = snapshot(text, tmp_path)
    assert made.targets["azure_openai/gpt-4o"].base_url == "https://contoso.openai.azure.us"
    assert made.identities["azure_openai"].settings == {
        "scope": "https://cognitiveservices.azure.us/.default",
        "where": "providers.azure_openai",
        "tenant_id": "contoso.com",
        "client_id": "11111111-2222-3333-4444-555555555555",
        "cloud": "government",
    }
    assert made.identities["china"].settings["cloud"] == "china"


DEPLOYMENTS = """
providers:
  azure_openai:
    resource: contoso
    region: swedencentral
    deployments:
      chat: {model: gpt-4o-mini}
      zone: {model: gpt-4o-mini, sku: DataZoneStandard}
      ptu: {model: gpt-4o, capacity: {ptu: 100, hourly: 1 USD}}
      unpriced: {model: gpt-4o, capacity: {ptu: 100}}
      llama: {model: Llama-3.3-70B-Instruct}
      stated: {model: gpt-4o-mini, sku: Standard}
    prices: {stated: {input: 0.2 USD/1M, output: 0.8 USD/1M}}
models:
  a: {targets: [azure_openai/chat, azure_openai/gpt-4o, azure_openai/my-own, azure_openai/chatt]}
"""


def test_what_is_behind_a_deployment(tmp_path: Path) -> None:
    made = snapshot(DEPLOYMENTS, tmp_path)

    def priced(name: str) -> int | None:
        price = made.targets[f"azure_openai/{name}"].price
        return None if price is None else price.tiers[0].input

    assert {name: priced(name) for name in ("chat", "gpt-4o", "zone", "ptu", "unpriced", "my-own", "stated")} == {
        "chat": 150_000,
        # Called exactly like a model: taken to be it.
        "gpt-4o": 2_500_000,
        # What a data zone costs nobody knows here.
        "zone": None,
        # Its tokens cost nothing, as long as its hours have a price.
        "ptu": 0,
        "unpriced": None,
        "my-own": None,
        "stated": 200_000,
    }
    assert made.targets["azure_openai/chat"].capabilities.family == "gpt-4o-mini"  # type: ignore[union-attr]
    assert made.targets["azure_openai/chat"].region == "swedencentral"
    assert made.targets["azure_openai/my-own"].capabilities is None
    # Responses are for OpenAI's own models.
    assert made.targets["azure_openai/llama"].dialects == ("openai.chat", "openai.embeddings")
    told = "\n".join(made.warnings)
    assert "nobody knows which model is behind azure_openai/my-own" in told
    assert "azure_openai/chatt is not listed in providers.azure_openai.deployments; did you mean chat?" in told
    assert "azure_openai/gpt-4o" not in told


def made(version: str = "", **facts: str) -> Target:
    known = {"resource": "contoso", "listed": "chat", **({"api_version": version} if version else {})}
    dialects = ("openai.chat", "openai.responses", "openai.embeddings")
    return Target(
        "azure_openai/chat", "azure_openai", "my chat", dialects, "https://x", facts=known | facts, door="azure_openai"
    )


@pytest.mark.parametrize(
    ("version", "dialect", "path"),
    [
        ("", "openai.chat", b"/openai/v1/chat/completions"),
        ("", "openai.responses", b"/openai/v1/responses"),
        ("", "openai.embeddings", b"/openai/v1/embeddings"),
        ("preview", "openai.chat", b"/openai/v1/chat/completions?api-version=preview"),
        ("2024-10-21", "openai.chat", b"/openai/deployments/my%20chat/chat/completions?api-version=2024-10-21"),
        ("2024-10-21", "openai.embeddings", b"/openai/deployments/my%20chat/embeddings?api-version=2024-10-21"),
        ("2025-04-01-preview", "openai.responses", b"/openai/responses?api-version=2025-04-01-preview"),
    ],
)
def test_paths(version: str, dialect: str, path: bytes) -> None:
    door = door_of(made(version), dialect)
    assert door.path(True) == door.path(False) == path


def test_dated_versions_before_responses_have_none(tmp_path: Path) -> None:
    text = "providers: {azure_openai: {resource: c, api_version: 2024-10-21}}\nmodels: {a: {targets: [azure_openai/gpt-4o]}}"
    assert snapshot(text, tmp_path).targets["azure_openai/gpt-4o"].dialects == ("openai.chat", "openai.embeddings")
    newer = text.replace("2024-10-21", "2025-04-01-preview")
    assert "openai.responses" in snapshot(newer, tmp_path).targets["azure_openai/gpt-4o"].dialects
    # The variable of OpenAI's own client counts where no setting does.
    told = snapshot(text.replace(", api_version: 2024-10-21", ""), tmp_path, OPENAI_API_VERSION="2024-10-21")
    assert told.targets["azure_openai/gpt-4o"].facts["api_version"] == "2024-10-21"


# Refusals


def read(
    status: int, body: Any, *, dialect: str = "openai.chat", headers: dict[bytes, bytes] | None = None, **facts: str
) -> AttemptError:
    given = {b"content-type": b"application/json", **(headers or {})}
    text = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return RefusalReader(made(**facts), DIALECTS[dialect]).read(status, given, text)


def error(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


_NO_TOKEN = "Unauthorized. Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have expired."
_FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            404,
            error("DeploymentNotFound", "The API deployment for this resource does not exist."),
            TargetNotFound,
            "az cognitiveservices account deployment list --name contoso",
        ),
        (
            404,
            error("404", "Resource not found"),
            TargetNotFound,
            "write providers.azure_openai.api_version: 2024-10-21",
        ),
        (400, error("BadRequest", "API version not supported"), TargetNotFound, "does not take the API version v1"),
        (
            401,
            error("401", "Access denied due to invalid subscription key or wrong API endpoint."),
            CredentialRejected,
            "az cognitiveservices account keys list --name contoso",
        ),
        (401, {"statusCode": 401, "message": _NO_TOKEN}, CredentialRejected, "audience"),
        (
            401,
            error("PermissionDenied", "The principal `p` lacks the required data action `x` to perform `y` operation."),
            CredentialRejected,
            'az role assignment create --role "Cognitive Services OpenAI User"',
        ),
        (
            401,
            error("PermissionDenied", "Principal does not have access to API/Operation."),
            CredentialRejected,
            "lacks the role",
        ),
        (
            403,
            error("AuthenticationTypeDisabled", "Key based authentication is disabled for this resource."),
            CredentialRejected,
            "unset AZURE_OPENAI_API_KEY",
        ),
        (
            403,
            error("AccessDenied", "Access denied due to Virtual Network/Firewall rules."),
            CredentialRejected,
            "network-rule add",
        ),
        (
            400,
            error(
                "BadRequest",
                "Please provide a custom subdomain for token authentication, otherwise API key is required.",
            ),
            CredentialRejected,
            "--custom-domain",
        ),
        (400, error("BadRequest", "Token tenant a does not match resource tenant."), CredentialRejected, "tenant_id"),
        (
            400,
            error("OperationNotSupported", "The chatCompletion operation does not work with the specified model."),
            TargetNotFound,
            "name the deployment of a model for it",
        ),
        (
            429,
            error("429", "Requests to the ChatCompletions_Create Operation have exceeded token rate limit."),
            RateLimited,
            "https://aka.ms/oai/quotaincrease",
        ),
        (429, error("429", "The system is currently experiencing high demand."), Overloaded, "has no capacity now"),
        (
            400,
            error("content_filter", _FILTERED, innererror={"code": "ResponsibleAIPolicyViolation"}),
            ContentRefused,
            "filtered",
        ),
        (
            400,
            error("context_length_exceeded", "This model's maximum context length is 8192 tokens."),
            ContextTooLong,
            "maximum",
        ),
        (400, error("invalid_value", "'messages' is bad"), Rejected, "is bad"),
        (500, error("InternalServerError", "Internal server error"), ServerFault, "Internal"),
        (503, b"<html>busy</html>", Overloaded, "503"),
        (408, error("Timeout", "The operation was timeout."), ServerFault, "timeout"),
    ],
)
def test_what_refusals_mean(status: int, body: Any, kind: type[AttemptError], words: str) -> None:
    told = read(status, body)
    assert type(told) is kind
    assert words in told.message
    assert told.upstream_status == status


def test_only_a_token_is_worth_another_one() -> None:
    lasting = {
        "PermissionDenied": True,
        "AuthenticationTypeDisabled": True,
        "401": True,
    }
    for code, expected in lasting.items():
        told = read(401, error(code, "Access denied due to invalid subscription key"))
        assert isinstance(told, CredentialRejected)
        assert told.lasting is expected, code
    told = read(
        401, {"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, audience is incorrect."}
    )
    assert isinstance(told, CredentialRejected)
    assert told.lasting is False


def test_a_client_of_the_dialect_gets_what_the_filter_said() -> None:
    body = msgspec.json.encode(error("content_filter", "filtered", innererror={"content_filter_result": {}}))
    told = read(400, body)
    assert (told.body, told.dialect, told.content_type) == (body, "openai.chat", "application/json")


def test_provisioned_throughput_that_is_used_up() -> None:
    told = read(429, error("429", "used up"), headers={b"retry-after-ms": b"1500", b"retry-after": b"2"}, ptu="100")
    assert isinstance(told, RateLimited)
    assert told.retry_after_s == 1.5
    assert "give it more PTU" in told.message


def test_waits() -> None:
    assert retry_after({b"retry-after-ms": b"250"}) == 0.25
    assert retry_after({b"retry-after": b"7"}) == 7.0
    assert retry_after({b"retry-after-ms": b"soon", b"retry-after": b"7"}) == 7.0
    assert retry_after({b"retry-after-ms": b"-1"}) is None
    assert retry_after({}) is None


def test_a_dated_version_is_named_with_what_to_write() -> None:
    told = read(404, error("404", "Resource not found"), version="2023-01-01")
    assert "leave providers.azure_openai.api_version out for the v1 API" in told.message
