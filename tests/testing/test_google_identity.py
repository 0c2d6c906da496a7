"""Each link of Application Default Credentials, walked by ``google-auth`` against the simulated token services."""

from __future__ import annotations

import contextlib
import json
import time

import google.auth
import pytest
from google.auth import compute_engine, exceptions, identity_pool, impersonated_credentials
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from google.genai import errors
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from trimaran.testing import SimulatedProvider
from trimaran.testing.contract import GeminiSession
from trimaran.testing.google import CLOUD_PLATFORM, GoogleCloud
from trimaran.testing.google_identity import LINKS, GoogleIdentity, IdentityFailure
from trimaran.testing.google_services import Google

ACCOUNT = "simulated@simulated-project.iam.gserviceaccount.com"
OTHER = "other@simulated-project.iam.gserviceaccount.com"
POOL = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/p/providers/x"
SCOPES = [CLOUD_PLATFORM]


@pytest.fixture
def provider():
    """Nobody's token is good but those given out here."""
    with SimulatedProvider(google=Google(GoogleCloud(tokens=[]))).in_thread() as running:
        yield running


@pytest.fixture
def identity(provider) -> GoogleIdentity:
    return provider.google.identity


@pytest.fixture
def ask_google():
    with_session = Request()
    yield with_session
    with_session.session.close()


@pytest.fixture
def metadata(provider, monkeypatch):
    """``google-auth`` finds the metadata server on the provider's port."""
    host = f"127.0.0.1:{provider.port}"
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host, raising=False)
    for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"):
        monkeypatch.setenv(name, host)
    monkeypatch.setattr(_metadata, "_METADATA_ROOT", f"http://{host}/computeMetadata/v1/", raising=False)
    monkeypatch.setattr(_metadata, "_METADATA_IP_ROOT", f"http://{host}", raising=False)
    return host


def works(provider, token) -> bool:
    """Whether Vertex AI takes a token."""
    options = {"vertexai": True, "project": "simulated-project", "location": "us-central1"}
    with GeminiSession(provider.base_url, token, **options) as session:
        with contextlib.suppress(errors.ClientError):
            session.create("Hello")
        return provider.log[-1].status == 200


def test_a_service_account(provider, identity, ask_google):
    info = identity.new_service_account(provider.base_url)
    made = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    made.refresh(ask_google)
    assert identity.issued == [("service_account", ACCOUNT, made.token)]
    assert works(provider, made.token) and not works(provider, "ya29.stranger")


def test_a_service_account_by_default(provider, identity, ask_google, tmp_path, monkeypatch):
    file = tmp_path / "key.json"
    file.write_text(json.dumps(identity.new_service_account(provider.base_url)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    made, project = google.auth.default(scopes=SCOPES)
    made.refresh(ask_google)
    assert project == "simulated-project" and works(provider, made.token)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_email": "stranger@x.iam.gserviceaccount.com"}, "account not found"),
        ({"private_key_id": "other"}, "Invalid JWT Signature"),
        ({"private_key": None}, "Invalid JWT Signature"),
    ],
)
def test_a_wrong_service_account(provider, identity, ask_google, change, words):
    info = {**identity.new_service_account(provider.base_url), **change}
    if info["private_key"] is None:
        good = identity.accounts[ACCOUNT]
        info["private_key"] = identity.new_service_account(provider.base_url)["private_key"]
        identity.accounts[ACCOUNT] = good
    made = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    with pytest.raises(exceptions.RefreshError, match=words):
        made.refresh(ask_google)


def test_a_clock_that_is_wrong(provider, identity, ask_google):
    made = service_account.Credentials.from_service_account_info(
        identity.new_service_account(provider.base_url), scopes=SCOPES
    )
    provider.google.cloud.clock_ahead_s = 86_400
    with pytest.raises(exceptions.RefreshError, match="reasonable timeframe"):
        made.refresh(ask_google)


def test_an_identity_token_of_a_service_account(provider, identity, ask_google):
    info = identity.new_service_account(provider.base_url)
    made = service_account.IDTokenCredentials.from_service_account_info(info, target_audience="https://run.example")
    made.refresh(ask_google)
    assert identity.id_tokens[made.token]["aud"] == "https://run.example"


def test_a_user(provider, identity, ask_google):
    identity.refresh_tokens = {"1//good": "ada@example.com"}
    identity.clients = {"client": "secret"}

    def made(refresh_token, secret="secret"):
        return user_credentials.Credentials(
            None,
            refresh_token=refresh_token,
            token_uri=f"{provider.base_url}/token",
            client_id="client",
            client_secret=secret,
            scopes=SCOPES,
        )

    good = made("1//good")
    good.refresh(ask_google)
    assert works(provider, good.token) and identity.issued[0][:2] == ("user", "ada@example.com")
    with pytest.raises(exceptions.RefreshError, match="expired or revoked"):
        made("1//gone").refresh(ask_google)
    with pytest.raises(exceptions.RefreshError, match="invalid_client"):
        made("1//good", "wrong").refresh(ask_google)


def test_the_metadata_server(provider, identity, ask_google, metadata):
    made = compute_engine.Credentials()
    made.refresh(ask_google)
    assert works(provider, made.token) and made.service_account_email == ACCOUNT
    assert _metadata.get_project_id(ask_google) == "simulated-project"
    first = made.token
    made.refresh(ask_google)
    assert made.token == first
    provider.google.cloud.clock_ahead_s = 3_400
    made.refresh(ask_google)
    assert made.token != first


def test_the_metadata_server_by_default(provider, identity, metadata, monkeypatch, tmp_path):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setattr(_metadata, "detect_gce_residency_linux", lambda: False, raising=False)
    made, project = google.auth.default(scopes=SCOPES)
    assert isinstance(made, compute_engine.Credentials) and project == "simulated-project"


def test_an_identity_token_of_the_metadata_server(provider, identity, ask_google, metadata):
    made = compute_engine.IDTokenCredentials(ask_google, "https://run.example", use_metadata_identity_endpoint=True)
    made.refresh(ask_google)
    assert identity.id_tokens[made.token]["aud"] == "https://run.example"


def test_the_metadata_server_wants_its_header(provider, ask_google):
    answer = ask_google(f"{provider.base_url}/computeMetadata/v1/instance/service-accounts/default/token", method="GET")
    assert answer.status == 403


def _federated(provider, file, **more):
    return {
        "type": "external_account",
        "audience": POOL,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{provider.base_url}/v1/token",
        "credential_source": {"file": str(file)},
        **more,
    }


def _load(info):
    # Not google.auth.default: that asks Google's resource manager for the name of the project.
    return identity_pool.Credentials.from_info(info, scopes=SCOPES)


def test_workload_identity_federation(provider, identity, ask_google, tmp_path):
    subject = tmp_path / "token"
    subject.write_text("from-another-cloud")
    identity.subjects, identity.audiences = {"from-another-cloud": "principal://x/subject/y"}, {POOL}
    made = _load(_federated(provider, subject))
    made.refresh(ask_google)
    assert works(provider, made.token) and identity.issued == [("federation", "principal://x/subject/y", made.token)]
    subject.write_text("stranger")
    with pytest.raises(exceptions.OAuthError, match="invalid_grant"):
        made.refresh(ask_google)
    identity.audiences = set()
    with pytest.raises(exceptions.OAuthError, match="invalid_target"):
        made.refresh(ask_google)


def test_federation_and_impersonation(provider, identity, ask_google, tmp_path):
    subject = tmp_path / "token"
    subject.write_text("from-another-cloud")
    address = f"{provider.base_url}/v1/projects/-/serviceAccounts/{OTHER}:generateAccessToken"
    made = _load(_federated(provider, subject, service_account_impersonation_url=address))
    made.refresh(ask_google)
    assert works(provider, made.token)
    assert [row[:2] for row in identity.issued] == [
        ("federation", "principal://simulated/subject"),
        ("impersonation", OTHER),
    ]
    provider.google.cloud.denied.add("iam.serviceAccounts.getAccessToken")
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        made.refresh(ask_google)


def test_impersonation(provider, identity, ask_google):
    source = service_account.Credentials.from_service_account_info(
        identity.new_service_account(provider.base_url), scopes=SCOPES
    )
    endpoint = f"{provider.base_url}/v1/projects/-/serviceAccounts/{{}}:generateAccessToken"
    made = impersonated_credentials.Credentials(
        source, OTHER, SCOPES, iam_endpoint_override=endpoint.format(OTHER), lifetime=600
    )
    made.refresh(ask_google)
    assert works(provider, made.token) and identity.issued[-1][:2] == ("impersonation", OTHER)
    life = provider.google.cloud.issued[made.token].expires_at_s - provider.google.cloud.now()
    assert 590 < life <= 600


def test_lifetimes(provider, identity, ask_google):
    identity.lifetimes_s["service_account"] = 60
    made = service_account.Credentials.from_service_account_info(
        identity.new_service_account(provider.base_url), scopes=SCOPES
    )
    made.refresh(ask_google)
    assert 50 < made.expiry.timestamp() - time.time() + _offset(made) <= 61
    provider.google.cloud.clock_ahead_s = 61
    assert not works(provider, made.token)


def _offset(made) -> float:
    """``expiry`` is a naive time in UTC."""
    return -time.timezone if made.expiry.tzinfo is None else 0.0


@pytest.mark.parametrize("link", [link for link in LINKS if link != "id_token"])
def test_every_link_can_fail_and_heal(identity, link):
    identity.failures[link] = IdentityFailure(status=500, error="server_error", description="Down.", count=1)
    with pytest.raises(Exception, match=r"Down\."):
        identity.give(link, ACCOUNT, (CLOUD_PLATFORM,))
    assert identity.give(link, ACCOUNT, (CLOUD_PLATFORM,)).email == ACCOUNT


def test_a_failure_reaches_the_client(provider, identity, ask_google):
    identity.failures["service_account"] = IdentityFailure(status=400, error="invalid_grant", description="Revoked.")
    made = service_account.Credentials.from_service_account_info(
        identity.new_service_account(provider.base_url), scopes=SCOPES
    )
    with pytest.raises(exceptions.RefreshError, match="Revoked"):
        made.refresh(ask_google)
    assert identity.issued == []


def test_an_identity_of_another_cloud():
    with pytest.raises(ValueError, match="belongs to another cloud"):
        Google(GoogleCloud(), identity=GoogleIdentity(GoogleCloud()))
