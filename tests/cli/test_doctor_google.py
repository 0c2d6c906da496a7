"""What doctor finds out about Google: a simulated cloud behind it, and everything that is usually wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimaran.cli.doctor import Finding, run
from trimaran.config import load_mapping
from trimaran.testing import SimulatedProvider
from trimaran.testing.google_identity import IdentityFailure
from trimaran.testing.google_services import Google
from trimaran.testing.vertex_endpoints import VertexEndpoint

LIMIT_S = 20.0
"""A busy machine is no finding."""


class Stage:
    """A cloud, and an environment that leads to it."""

    def __init__(self, google: Google, provider: SimulatedProvider, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.google, self.cloud, self.provider, self._patch = google, google.cloud, provider, patch
        for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_", "AZURE_"))]:
            patch.delenv(name)
        path = folder / "key.json"
        path.write_text(json.dumps(google.identity.new_service_account(provider.base_url)))
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        patch.setenv("CLOUDSDK_CONFIG", str(folder))
        patch.setenv("GCE_METADATA_HOST", provider.base_url.removeprefix("http://"))
        # Whatever else the environment serves is looked at, too: nothing leaves this machine.
        patch.setenv("GOOGLE_VERTEX_BASE_URL", provider.base_url)

    def set(self, **values: str) -> None:
        for name, value in values.items():
            self._patch.setenv(name, value)

    def finding(self, name: str = "vertex", models: tuple[str, ...] = (), **settings: object) -> Finding:
        written = {"base_url": self.provider.base_url, **settings}
        if name == "vertex":
            written = {"location": "us-central1", **written}
        config: dict[str, object] = {"providers": {name: written}}
        if models:
            config["models"] = {"chat": {"targets": [f"{name}/{model}" for model in models]}}
        environ = dict(os.environ)
        return {each.provider: each for each in run(load_mapping(config, environ), environ, limit_s=LIMIT_S)}[name]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    google = Google()
    with SimulatedProvider(google=google).in_thread() as provider:
        yield Stage(google, provider, tmp_path, monkeypatch)


def test_who_where_and_what_there_is(stage: Stage) -> None:
    stage.google.endpoints.put(VertexEndpoint(id="4711"))
    found = stage.finding(models=("gemini-2.5-flash", "claude-haiku-4-5@20251001", "endpoints/4711"))
    assert found.state == "ok", found
    assert "project simulated-project, location us-central1" in found.detail
    assert "service account simulated@" in found.credential
    assert "models of Google's are listed" in found.detail
    assert "endpoints: 4711" in found.detail
    assert found.todo == ""


def test_models_and_endpoints_that_are_not_there(stage: Stage) -> None:
    found = stage.finding(models=("gemini-2.5-flash", "missing-model", "endpoints/missing-1"))
    assert found.state == "ok"
    told = " ".join((found.todo, *found.warnings))
    assert "missing-model" in told and "gcloud ai endpoints list" in told


def test_a_model_that_stands_elsewhere(stage: Stage) -> None:
    stage.cloud.model_locations["claude-haiku-4-5@20251001"] = ("global",)
    found = stage.finding(models=("claude-haiku-4-5@20251001",))
    assert found.state == "misconfigured"
    assert "us-central1" in found.todo and "global" in found.todo


def test_a_role_that_is_missing(stage: Stage) -> None:
    stage.cloud.denied.add("aiplatform.endpoints.predict")
    found = stage.finding()
    assert found.state == "rejected"
    assert "roles/aiplatform.user" in found.todo


def test_an_api_that_is_not_enabled(stage: Stage) -> None:
    stage.cloud.disabled.add("aiplatform.googleapis.com")
    assert "gcloud services enable aiplatform.googleapis.com" in stage.finding().todo


def test_a_wrong_project_and_location(stage: Stage) -> None:
    stage.cloud.projects = {"other-project": "1"}
    assert "gcloud projects list" in stage.finding().todo
    stage.cloud.projects = None
    stage.cloud.locations = ("europe-west4",)
    assert "there is no location us-central1" in stage.finding().todo


def test_a_login_that_has_ended(stage: Stage) -> None:
    stage.google.identity.failures["service_account"] = IdentityFailure(400, "invalid_grant", "Invalid JWT Signature.")
    found = stage.finding()
    assert found.state == "rejected"
    assert "gcloud iam service-accounts keys create" in found.todo


def test_no_project_is_told(stage: Stage, tmp_path: Path) -> None:
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps({"type": "authorized_user"}))
    stage.set(GOOGLE_APPLICATION_CREDENTIALS=str(bare))
    found = stage.finding()
    assert found.state == "misconfigured"
    assert "GOOGLE_CLOUD_PROJECT" in found.todo


def test_cloud_run(stage: Stage) -> None:
    found = stage.finding("cloud_run")
    assert found.state == "ok", found
    assert f"audience {stage.provider.base_url}" in found.detail


def test_the_gemini_api(stage: Stage) -> None:
    stage.set(GEMINI_API_KEY="right")
    stage.cloud.api_keys = ["right"]
    found = stage.finding("gemini", models=("gemini-2.5-flash",))
    assert found.state == "ok" and "models" in found.detail, found
    assert "missing" in stage.finding("gemini", models=("missing",)).detail
    stage.set(GEMINI_API_KEY="wrong")
    found = stage.finding("gemini")
    assert found.state == "rejected"
    assert "GEMINI_API_KEY" in found.todo


def test_what_nobody_asked_for_is_not_configured(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    environ = dict(os.environ)
    found = {each.provider: each for each in run(load_mapping({}, environ), environ, limit_s=LIMIT_S)}
    assert found["vertex"].state == found["cloud_run"].state == "not_configured"
    assert "gcloud auth application-default login" in found["vertex"].todo
    assert "base_url" in found["cloud_run"].todo
