"""What doctor finds out about Azure: a simulated one behind it, and everything that is usually wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimaran.cli.doctor import Finding, run
from trimaran.config import load_mapping
from trimaran.testing import SimulatedProvider
from trimaran.testing.azure import TENANT, AzureCloud
from trimaran.testing.azure_ml import AzureML, OnlineDeployment, OnlineEndpoint
from trimaran.testing.azure_openai_account import AzureDeployment, AzureOpenAIAccount
from trimaran.testing.azure_services import Azure
from trimaran.testing.entra import IDENTITY_HEADER, ManagedIdentity

pytest.importorskip("azure.identity")

LIMIT_S = 20.0
"""A busy machine is no finding."""
KEY = "azure-key-0123456789abcdef"
CHAT = "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action"


class Stage:
    """A simulated Azure, and an environment that leads to it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.cloud = AzureCloud()
        deployments = (
            AzureDeployment(name="chat", model="gpt-4o-mini"),
            AzureDeployment(name="vectors", model="text-embedding-3-small"),
        )
        self.account = AzureOpenAIAccount(self.cloud, deployments, keys=[KEY])
        endpoints = (
            OnlineEndpoint(name="llama", keys=("llama-key-0123456789",), deployments=(OnlineDeployment(),)),
            OnlineEndpoint(name="entra", auth_mode="AADToken"),
            OnlineEndpoint(name="idle", auth_mode="AADToken", traffic={}),
        )
        self.provider = SimulatedProvider(
            azure=Azure(self.cloud, openai=self.account, ml=AzureML(self.cloud, endpoints)), keys=[KEY]
        )
        for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "OPENAI_"))]:
            patch.delenv(name)
        patch.setenv("PATH", str(folder))
        patch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")

    def machine(self) -> None:
        self._patch.setenv("IDENTITY_ENDPOINT", f"{self.provider.base_url}/msi/token")
        self._patch.setenv("IDENTITY_HEADER", IDENTITY_HEADER)

    def finding(self, name: str = "azure_openai", models: tuple[str, ...] = (), **settings: object) -> Finding:
        written: dict[str, object] = settings
        if name == "azure_openai":
            written = {"base_url": self.provider.base_url, **settings}
        config: dict[str, object] = {"providers": {name: written}} if settings or name == "azure_openai" else {}
        if models:
            config["models"] = {"chat": {"targets": [f"{name}/{model}" for model in models]}}
        environ = {**os.environ, "KEY": KEY, "LLAMA_KEY": "llama-key-0123456789", "BAD_KEY": "bad-key-0123456789"}
        found = {each.provider: each for each in run(load_mapping(config, environ), environ, limit_s=LIMIT_S)}
        assert KEY not in repr(found[name])
        return found[name]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path, monkeypatch)
    with made.provider.in_thread():
        yield made


def test_a_key_and_the_deployments_that_there_are(stage: Stage) -> None:
    found = stage.finding(models=("chat",), api_key="${KEY}")
    assert found.state == "ok", found
    assert "the credential works" in found.detail
    assert "2 deployments: chat, vectors" in found.detail
    assert "1 of 1 can be asked" in found.detail
    assert found.credential == "API key in providers.azure_openai.api_key"
    assert not found.warnings


def test_a_managed_identity_says_whose_it_is(stage: Stage) -> None:
    stage.machine()
    found = stage.finding(models=("chat",))
    assert found.state == "ok", found
    assert "managed identity (system-assigned)" in found.credential
    assert f"tenant {TENANT}, object id {ManagedIdentity().object_id}" in found.credential


def test_a_deployment_that_is_not_there(stage: Stage) -> None:
    found = stage.finding(models=("chat", "missing-one"), api_key="${KEY}")
    assert found.state == "ok"
    assert "has no deployment missing-one" in found.warnings[0]
    assert "az cognitiveservices account deployment list" in found.todo
    found = stage.finding(models=("missing-one",), api_key="${KEY}")
    assert found.state == "misconfigured"
    assert "has no deployment missing-one" in found.detail


def test_a_deployment_of_vectors_is_no_problem(stage: Stage) -> None:
    found = stage.finding(deployments={"vectors": {"model": "text-embedding-3-small"}}, api_key="${KEY}")
    assert (found.state, found.warnings) == ("ok", ())


def test_a_missing_role_is_named(stage: Stage) -> None:
    stage.machine()
    stage.cloud.denied.add(CHAT)
    found = stage.finding(models=("chat",))
    assert found.state == "rejected"
    assert "lacks the role Cognitive Services OpenAI User" in found.detail
    assert "az role assignment create" in found.todo


def test_a_wrong_key(stage: Stage) -> None:
    found = stage.finding(api_key="${BAD_KEY}")
    assert found.state == "rejected"
    assert "does not know the key" in found.detail
    assert "az cognitiveservices account keys list" in found.todo


def test_keys_that_are_turned_off_and_a_firewall(stage: Stage) -> None:
    stage.account.keys_disabled = True
    found = stage.finding(api_key="${KEY}")
    assert (found.state, "takes no keys" in found.detail) == ("rejected", True)
    stage.account.keys_disabled = False
    stage.account.firewall = True
    found = stage.finding(api_key="${KEY}")
    assert (found.state, "network rules" in found.detail) == ("rejected", True)


def test_nobody_is_logged_in(stage: Stage) -> None:
    found = stage.finding()
    assert found.state == "rejected"
    assert "no credential of Azure was found" in found.detail


def test_nothing_says_that_azure_is_meant(stage: Stage) -> None:
    found = stage.finding("azure_ml")
    assert (found.state, found.detail) == ("not_configured", "no endpoint")
    assert "region: westeurope" in found.todo


def test_an_endpoint_that_nobody_named(stage: Stage) -> None:
    found = stage.finding(base_url="https://portal.azure.com/x")
    assert found.state == "misconfigured"
    assert "is a page for people" in found.detail


def test_a_resource_that_cannot_be_reached(stage: Stage) -> None:
    found = stage.finding(base_url="http://127.0.0.1:9", api_key="${KEY}")
    assert (found.state, found.detail) == ("unreachable", "127.0.0.1 cannot be reached")


def test_online_endpoints(stage: Stage) -> None:
    stage.machine()
    url = f"{stage.provider.base_url}/azureml"
    listed = {
        "llama": {"url": f"{url}/llama/v1/chat/completions", "api_key": "${LLAMA_KEY}"},
        "entra": {"url": f"{url}/entra/score"},
    }
    found = stage.finding("azure_ml", online_endpoints=listed)
    assert (found.state, found.warnings) == ("ok", ()), found
    assert "2 of 2 can be asked" in found.detail
    listed["idle"] = {"url": f"{url}/idle/score"}
    listed["llama"]["api_key"] = "${BAD_KEY}"
    found = stage.finding("azure_ml", online_endpoints=listed)
    assert found.state == "ok"
    assert "no deployment that takes traffic" in found.warnings[0]
    assert "refused the key or token" in found.warnings[1]


def test_endpoints_with_keys_of_their_own_need_no_token(stage: Stage) -> None:
    url = f"{stage.provider.base_url}/azureml/llama/v1/chat/completions"
    began = time.monotonic()
    found = stage.finding("azure_ml", online_endpoints={"llama": {"url": url, "api_key": "${LLAMA_KEY}"}})
    assert (found.state, found.credential) == ("ok", "keys of the endpoints")
    assert time.monotonic() - began < LIMIT_S
