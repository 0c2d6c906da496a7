"""What configuration and environment say about a provider of Google's: project, location, address, identity; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from trimaran.config import Config, load_mapping, load_text
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.providers import Endpoint, discover, endpoint, sources_of
from trimaran.providers.google.credentials import GoogleIdentity, GoogleSource
from trimaran.providers.google.place import service_host

PROJECT = {"GOOGLE_CLOUD_PROJECT": "my-project-1"}


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment without Google in it, and without this machine's files."""
    return {"HOME": str(tmp_path)}


def config_of(environ: Mapping[str, str], name: str = "vertex", **settings: object) -> Config:
    return load_mapping({"providers": {name: settings}} if settings else {}, environ)


def found(environ: Mapping[str, str], name: str = "vertex", **settings: object) -> Endpoint:
    return endpoint(name, config_of(environ, name, **settings), environ)


def problem(environ: Mapping[str, str], name: str = "vertex", **settings: object) -> str:
    made = found(environ, name, **settings)
    assert made.problem is not None and not made.usable
    return f"{made.problem.message}; {made.problem.hint}"


def refusal(environ: Mapping[str, str], name: str = "vertex", **settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        found(environ, name, **settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "environ", "project"),
    [
        ({"project": "written-1"}, PROJECT, "written-1"),
        ({}, PROJECT | {"GCLOUD_PROJECT": "other-1"}, "my-project-1"),
        ({}, {"CLOUDSDK_CORE_PROJECT": "core-project"}, "core-project"),
        ({}, {"ANTHROPIC_VERTEX_PROJECT_ID": "claude-project"}, "claude-project"),
        ({}, {}, "gcloud-project"),
    ],
)
def test_the_project_is_looked_for_where_googles_tools_look(
    nowhere: dict[str, str], settings: dict[str, object], environ: dict[str, str], project: str
) -> None:
    folder = Path(nowhere["HOME"]) / ".config" / "gcloud"
    (folder / "configurations").mkdir(parents=True)
    (folder / "active_config").write_text("work")
    (folder / "configurations" / "config_work").write_text(
        "[core]\nproject = gcloud-project\n[ai]\nregion = us-west1\n"
    )
    made = found(nowhere | environ, location="europe-west4", **settings)
    assert made.facts == {"project": project, "location": "europe-west4"}
    assert made.usable
    assert found(nowhere | environ, **(settings or {"kind": "vertex"})).config.region == "us-west1"


def test_a_key_file_tells_the_project_of_its_account(nowhere: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"type": "service_account", "project_id": "file-project"}))
    assert found(nowhere | {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}).facts["project"] == "file-project"
    assert found(nowhere, credentials_file=str(path)).facts["project"] == "file-project"
    # A provider's own file is another account than the environment's.
    elsewhere = nowhere | {"GOOGLE_CLOUD_PROJECT": "env-project"}
    assert found(elsewhere, credentials_file=str(path)).facts["project"] == "file-project"


@pytest.mark.parametrize(
    ("settings", "environ", "location"),
    [
        ({"location": "europe-west4"}, {"GOOGLE_CLOUD_LOCATION": "us-east5"}, "europe-west4"),
        ({"region": "europe-west4"}, {}, "europe-west4"),
        ({}, {"GOOGLE_CLOUD_LOCATION": "us-east5", "CLOUD_ML_REGION": "us-west1"}, "us-east5"),
        ({}, {"CLOUD_ML_REGION": "eu"}, "eu"),
        ({}, {}, "global"),
    ],
)
def test_the_location_decides_the_address(
    nowhere: dict[str, str], settings: dict[str, object], environ: dict[str, str], location: str
) -> None:
    made = found(nowhere | PROJECT | environ, **settings)
    assert made.base_url == f"https://{service_host(location)}"
    assert made.config.region == location
    hosts = {
        "global": "aiplatform.googleapis.com",
        "eu": "aiplatform.eu.rep.googleapis.com",
        "us-east5": "us-east5-aiplatform.googleapis.com",
        "europe-west4": "europe-west4-aiplatform.googleapis.com",
    }
    assert made.base_url == f"https://{hosts[location]}"


def test_what_is_missing_or_wrong_comes_with_its_mend(nowhere: dict[str, str]) -> None:
    assert "GOOGLE_CLOUD_PROJECT" in problem(nowhere, location="us-east5")
    assert "gcloud projects list" in problem(nowhere | {"GOOGLE_CLOUD_PROJECT": "My Project"})
    assert "without a zone" in problem(nowhere | PROJECT | {"GOOGLE_CLOUD_LOCATION": "us-central1-a"})
    assert "gcloud run services describe" in problem(nowhere, "cloud_run", region="europe-west4")


def test_settings_that_contradict_each_other_are_refused(nowhere: dict[str, str]) -> None:
    environ = nowhere | PROJECT | {"K": "x"}
    assert "both mean the same" in refusal(environ, location="us-east5", region="us-west1")
    assert "takes no API key" in refusal(environ, api_key="${K}")
    assert "only cloud_run has it" in refusal(environ, audience="https://x")
    assert "only vertex has it" in refusal(environ, "cloud_run", base_url="https://x.run.app", project="my-project-1")
    told = refusal(environ, "openai", project="my-project-1")
    assert "only providers of Google Cloud have it" in told and "vertex" in told
    assert "only providers of AWS have it" in refusal(environ, profile="prod")


def test_a_wrong_setting_is_told_with_its_line() -> None:
    text = "providers:\n  vertex:\n    project: my-project-1\n    location: us-central1-a\n"
    with pytest.raises(ConfigError) as caught:
        load_text(text, "trimaran.yaml", {})
    assert caught.value.where == "trimaran.yaml:4"


def test_cloud_run_wants_a_token_for_its_own_url(nowhere: dict[str, str]) -> None:
    url = "https://llm-123456789012.europe-west4.run.app"
    made = found(nowhere, "cloud_run", base_url=f"{url}/v1")
    assert made.access is not None
    assert made.access.identity.settings["audience"] == url
    assert made.config.region == "europe-west4"
    other = found(nowhere, "cloud_run", base_url="https://llm.example.com", audience=url)
    assert other.access is not None and other.access.identity.settings["audience"] == url
    keyed = found(nowhere | {"K": "x"}, "cloud_run", base_url=url, api_key="${K}")
    assert keyed.access is None and keyed.usable


def test_a_token_that_would_travel_unencrypted_is_warned_of(nowhere: dict[str, str]) -> None:
    made = found(nowhere, "cloud_run", base_url="http://llm.example.com")
    assert any("travels unencrypted" in warning for warning in made.warnings)
    assert found(nowhere, "cloud_run", base_url="http://127.0.0.1:1").warnings == ()


def test_the_environment_alone_is_enough_only_where_it_says_vertex(nowhere: dict[str, str], tmp_path: Path) -> None:
    def names(environ: Mapping[str, str]) -> list[str]:
        return [row.name for row in discover(nowhere | environ)]

    assert names(PROJECT) == []
    assert names(PROJECT | {"GOOGLE_GENAI_USE_VERTEXAI": "true"}) == ["vertex"]
    assert names(PROJECT | {"GOOGLE_GENAI_USE_VERTEXAI": "false"}) == []
    assert names({"GOOGLE_GENAI_USE_VERTEXAI": "true"}) == []
    assert names({"ANTHROPIC_VERTEX_PROJECT_ID": "my-project-1"}) == ["vertex"]
    assert names({"GEMINI_API_KEY": "x"}) == ["gemini"]
    assert names({"GOOGLE_API_KEY": "x"}) == ["gemini"]
    served = build_snapshot(load_mapping({}, {}), nowhere | PROJECT | {"GOOGLE_GENAI_USE_VERTEXAI": "1"}, 1)
    assert list(served.wildcards) == ["vertex"]
    assert list(served.identities) == ["vertex"]


def test_a_snapshot_tells_whoever_renews_how(nowhere: dict[str, str]) -> None:
    config = load_mapping(
        {
            "models": {"m": {"targets": ["vertex/gemini-2.5-flash", "run/llama"]}},
            "providers": {
                "vertex": {"project": "my-project-1", "impersonate": "models@my-project-1.iam.gserviceaccount.com"},
                "run": {"kind": "cloud_run", "base_url": "https://x.run.app", "credentials_file": "/key.json"},
            },
        },
        nowhere,
    )
    snapshot = build_snapshot(config, nowhere, 1)
    assert snapshot.secrets == {}
    assert sources_of(snapshot) == {
        "vertex": GoogleSource(
            GoogleIdentity(impersonate="models@my-project-1.iam.gserviceaccount.com", where="providers.vertex")
        ),
        "run": GoogleSource(GoogleIdentity(file="/key.json", audience="https://x.run.app", where="providers.run")),
    }
    assert snapshot.targets["vertex/gemini-2.5-flash"].credential == "vertex"
