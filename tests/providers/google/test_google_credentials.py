"""Every link of Application Default Credentials, walked by google-auth against the simulated token services; and what each failure says."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.oauth2 import credentials as user_credentials

from trimaran.errors import ConfigError
from trimaran.providers.google.credentials import GoogleIdentity, GoogleSource
from trimaran.providers.google.failures import Refused, not_impersonated
from trimaran.testing import SimulatedProvider
from trimaran.testing.google_identity import IdentityFailure
from trimaran.testing.google_services import Google
from trimaran.types import Credential

ROBOT = "robot@simulated-project.iam.gserviceaccount.com"
AUDIENCE = "https://llm.example.run.app"


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
def provider(google: Google) -> Iterator[SimulatedProvider]:
    with SimulatedProvider(google=google).in_thread() as simulated:
        yield simulated


class Place:
    """Where a test keeps its credentials."""

    def __init__(self, folder: Path, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.base_url, self.monkeypatch = folder, base_url, monkeypatch

    def write(self, info: dict[str, Any], *, default: bool = False) -> str:
        """A file of credentials; ``default``: where gcloud writes."""
        path = self.folder / ("application_default_credentials.json" if default else "credentials.json")
        path.write_text(json.dumps(info))
        return str(path)


@pytest.fixture
def place(tmp_path: Path, provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "K_SERVICE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_HOST", provider.base_url.removeprefix("http://"))
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", provider.base_url)
    # google-auth 2.63 does not heed the token_uri of a person's login.
    monkeypatch.setattr(user_credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{provider.base_url}/token")
    return Place(tmp_path, provider.base_url, monkeypatch)


def fetch(**identity: str) -> Credential:
    return GoogleSource(GoogleIdentity(where="providers.vertex", **identity)).fetch()


def failure(**identity: str) -> str:
    with pytest.raises(ConfigError) as caught:
        fetch(**identity)
    return f"{caught.value.message}; {caught.value.hint}"


def left_s(credential: Credential) -> float:
    assert credential.expires_ns is not None
    return credential.expires_ns / 1e9 - time.time()


def user(base_url: str) -> dict[str, Any]:
    return {
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "simulated",
        "refresh_token": "simulated-refresh",
        "quota_project_id": "paying-project",
        "token_uri": f"{base_url}/token",
    }


def federated(place: Place, source: dict[str, Any], account: str = "") -> dict[str, Any]:
    info: dict[str, Any] = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/oidc",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{place.base_url}/v1/token",
        "credential_source": source,
    }
    if account:
        info["service_account_impersonation_url"] = (
            f"{place.base_url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        )
    return info


def test_a_service_accounts_key(place: Place, google: Google) -> None:
    path = place.write(google.identity.new_service_account(place.base_url))
    made = fetch(file=path)
    assert google.identity.issued[-1][0] == "service_account"
    assert made.parts == (google.identity.issued[-1][2],)
    assert 3500 < left_s(made) < 3700
    assert made.source.startswith("service account simulated@") and path in made.source
    place.monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
    assert fetch().source == made.source


def test_a_persons_login_of_gcloud_pays_with_its_project(place: Place) -> None:
    place.write(user(place.base_url), default=True)
    made = fetch()
    assert made.parts[1:] == ("x-goog-user-project", "paying-project")
    assert made.source == "a person (gcloud's login)"


def test_the_metadata_service_of_a_machine(place: Place, google: Google) -> None:
    made = fetch()
    assert made.parts == (google.identity.issued[-1][2],)
    assert made.source == "service account simulated@simulated-project.iam.gserviceaccount.com (metadata)"
    place.monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert fetch().source.endswith("(GKE)")
    assert fetch().parts == made.parts
    run = fetch(audience=AUDIENCE)
    assert google.identity.id_tokens[run.parts[0]]["aud"] == AUDIENCE
    assert 3500 < left_s(run) < 3700


def test_workload_identity_federation_by_file_and_by_url(place: Place, google: Google) -> None:
    token = place.folder / "token"
    token.write_text("subject-token")
    google.identity.subjects = {"subject-token": "principal://pool/subject"}
    path = place.write(federated(place, {"file": str(token)}))
    assert fetch(file=path).source == "workload identity federation (global/workloadIdentityPools/pool/providers/oidc)"
    assert google.identity.issued[-1][0] == "federation"
    named = place.write(federated(place, {"file": str(token)}, ROBOT))
    assert fetch(file=named).source.startswith(f"workload identity federation as {ROBOT}")
    assert google.identity.issued[-1][:2] == ("impersonation", ROBOT)


def test_impersonation_of_any_of_them(place: Place, google: Google) -> None:
    key = place.write(google.identity.new_service_account(place.base_url))
    made = fetch(file=key, impersonate=ROBOT)
    assert google.identity.issued[-1][:2] == ("impersonation", ROBOT)
    assert made.source.startswith(f"service account {ROBOT} through service account simulated@")
    assert 3500 < left_s(made) < 3700
    # The project that a person pays with does not go along: the account's own does.
    place.write(user(place.base_url), default=True)
    assert fetch(impersonate=ROBOT).parts == (google.identity.issued[-1][2],)


def test_identity_tokens_of_every_link(place: Place, google: Google) -> None:
    token = place.folder / "token"
    token.write_text("subject-token")
    key = google.identity.new_service_account(place.base_url)
    for info, identity, who in (
        (key, {}, key["client_email"]),
        (key, {"impersonate": ROBOT}, ROBOT),
        (user(place.base_url), {"impersonate": ROBOT}, ROBOT),
        (federated(place, {"file": str(token)}, ROBOT), {}, ROBOT),
    ):
        made = fetch(file=place.write(info), audience=AUDIENCE, **identity)
        claims = google.identity.id_tokens[made.parts[0]]
        assert claims["aud"] == AUDIENCE
        assert claims["email"] == who
        # The account that a federated identity leads to is asked for one token and not for two.
        assert "impersonation" not in [link for link, *_ in google.identity.issued]
        assert 3500 < left_s(made) < 3700


def test_what_gives_no_identity_token_is_named(place: Place) -> None:
    told = failure(file=place.write(user(place.base_url)), audience=AUDIENCE)
    assert "a person's login" in told and "impersonate" in told and "roles/run.invoker" in told


def test_nothing_anywhere(place: Place, google: Google) -> None:
    google.identity.metadata_account = None
    told = failure()
    assert "gcloud auth application-default login" in told
    assert "application_default_credentials.json" in told
    # Nobody listens there.
    place.monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    assert "no Google credentials were found" in failure()


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        (None, "does not exist"),
        ("not json", "is no file of Google credentials"),
        ('{"type": "unknown"}', "no usable file"),
        ('{"type": "service_account"}', "no usable file"),
        ("[]", "is no file of Google credentials"),
    ],
)
def test_a_file_that_is_none(place: Place, text: str | None, mend: str) -> None:
    path = place.folder / "broken.json"
    if text is not None:
        path.write_text(text)
    told = failure(file=str(path))
    assert mend in told and "broken.json" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("link", "error", "mend"),
    [
        ("service_account", ("invalid_grant", "Invalid JWT Signature."), "gcloud iam service-accounts keys create"),
        ("service_account", ("invalid_grant", "Invalid grant: account not found"), "does not exist any more"),
        ("service_account", ("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)"), "clock"),
        ("user", ("invalid_grant", "Token has been expired or revoked."), "gcloud auth application-default login"),
        ("user", ("invalid_grant", "reauth related error (invalid_rapt)"), "gcloud auth application-default login"),
        ("federation", ("invalid_target", "The target service indicated is invalid"), "workload-identity-pools"),
        ("federation", ("unauthorized_client", "rejected by the attribute condition"), "attribute condition"),
        ("metadata", ("", "Unable to generate access token; IAM returned 403"), "roles/iam.workloadIdentityUser"),
    ],
)
def test_every_refusal_comes_with_its_mend(
    place: Place, google: Google, link: Any, error: tuple[str, str], mend: str
) -> None:
    token = place.folder / "token"
    token.write_text("subject-token")
    status = 403 if link == "metadata" else 400
    google.identity.failures[link] = IdentityFailure(status, *error)
    infos = {
        "service_account": google.identity.new_service_account(place.base_url),
        "user": user(place.base_url),
        "federation": federated(place, {"file": str(token)}),
    }
    identity = {"file": place.write(infos[link])} if link in infos else {}
    told = failure(**identity)
    assert mend in told, told
    assert "simulated-refresh" not in told and "PRIVATE KEY" not in told


def test_an_account_that_may_not_be_acted_as(place: Place, google: Google) -> None:
    path = place.write(google.identity.new_service_account(place.base_url))
    google.cloud.denied.add("iam.serviceAccounts.getAccessToken")
    told = failure(file=path, impersonate=ROBOT)
    assert ROBOT in told and "roles/iam.serviceAccountTokenCreator" in told
    body = {"error": {"code": 403, "message": "disabled", "details": [{"reason": "SERVICE_DISABLED"}]}}
    error = not_impersonated(Refused.read(403, body), ROBOT, "a person", "providers.vertex")
    assert "gcloud services enable iamcredentials.googleapis.com" in error.hint
    assert "gcloud iam service-accounts list" in not_impersonated(Refused.read(404, {}), ROBOT, "a person", "").hint


def test_a_subject_token_that_is_not_there(place: Place) -> None:
    told = failure(file=place.write(federated(place, {"file": str(place.folder / "gone")})))
    assert "credential_source" in told


def test_without_google_auth_a_machine_still_has_its_account(place: Place, google: Google) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("google.auth") or name == "google":
            raise ImportError(name)
        return real(name, *rest, **more)

    place.monkeypatch.setattr(builtins, "__import__", missing)
    assert fetch().parts
    told = failure(file=place.write({"type": "service_account"}))
    assert "pip install 'trimaran[google]'" in told


def test_a_credential_shows_nothing_of_itself(place: Place) -> None:
    made = fetch()
    assert made.parts[0] not in repr(made)
