"""The simulated Entra ID and the machines' identity services, with ``azure-identity`` as the judge."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import openai
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
    get_bearer_token_provider,
)
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential

from trimaran.testing import (
    Azure,
    AzureCloud,
    EntraApp,
    EntraFailure,
    EntraIdentity,
    FederatedCredential,
    ManagedIdentity,
    SimulatedProvider,
    async_entra_transport,
    entra_transport,
)
from trimaran.testing.azure import COGNITIVE_SERVICES, FOUNDRY, MACHINE_LEARNING, TENANT
from trimaran.testing.entra import ENTRA_LINKS, EXCHANGE_AUDIENCE, IDENTITY_HEADER, EntraError
from trimaran.testing.entra_services import IDENTITY_PATH
from trimaran.testing.jwt import read_jwt
from trimaran.testing.tls import encrypted, self_signed

CLIENT = "44444444-4444-4444-8444-444444444444"
SCOPE = f"{COGNITIVE_SERVICES}/.default"
ISSUER, SUBJECT = "https://oidc.example.com/cluster/", "system:serviceaccount:gateway:default"
HI = [{"role": "user", "content": "Hello"}]
FIRST, SECOND = (
    ManagedIdentity(client_id=f"{n}7777777-7777-4777-8777-777777777777", object_id=f"{n}8888888") for n in "12"
)


@pytest.fixture
def entra():
    """Strict: one app with one secret and one federated credential."""
    federated = (FederatedCredential(issuer=ISSUER, subject=SUBJECT),)
    app = EntraApp(client_id=CLIENT, secrets={"right": None, "old": 1_000.0}, federated=federated)
    return EntraIdentity(AzureCloud(), apps=[app], tenants=[TENANT])


@pytest.fixture
def provider(entra):
    """No token is good but those that are issued."""
    with SimulatedProvider(azure=Azure(identity=entra), keys=["key"]).in_thread() as running:
        yield running


@pytest.fixture
def transport(provider):
    with entra_transport(provider.base_url) as made:
        yield made


@pytest.fixture
def machine(provider, monkeypatch):
    """This process runs on a virtual machine of Azure's."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", provider.base_url)


def say_hello(provider, token, **fields):
    options = {"azure_endpoint": provider.base_url, "api_version": "2024-10-21", "max_retries": 0, **fields}
    with openai.AzureOpenAI(azure_ad_token=token, **options) as client:
        return client.chat.completions.create(model="gpt-4o", messages=HI)


def secret(transport, value="right", **fields):
    return ClientSecretCredential(fields.pop("tenant", TENANT), CLIENT, value, transport=transport, **fields)


# Service principals


def test_a_secret_gives_a_token_that_the_service_takes(provider, entra, transport):
    with secret(transport) as credential:
        token = credential.get_token(SCOPE)
        assert credential.get_token(SCOPE).token == token.token
    assert say_hello(provider, token.token).model == "gpt-4o"
    claims = read_jwt(token.token).claims
    assert (claims["aud"], claims["oid"], claims["appid"]) == (COGNITIVE_SERVICES, EntraApp().object_id, CLIENT)
    assert [link for link, _, _ in entra.issued] == ["client_secret"]


def test_the_sdks_own_token_provider_works(provider, transport):
    with secret(transport) as credential:
        options = {"azure_endpoint": provider.base_url, "api_version": "2024-10-21", "max_retries": 0}
        give = get_bearer_token_provider(credential, SCOPE)
        with openai.AzureOpenAI(azure_ad_token_provider=give, **options) as client:
            assert client.chat.completions.create(model="gpt-4o", messages=HI).choices


async def test_the_asynchronous_client_works(provider):
    transport = async_entra_transport(provider.base_url)
    async with AsyncClientSecretCredential(TENANT, CLIENT, "right", transport=transport) as credential:
        assert (await credential.get_token(SCOPE)).expires_on


def test_a_certificate_proves_who_signs(provider, entra, transport, tmp_path):
    certificate, key = self_signed(tmp_path)
    both = certificate.read_bytes() + key.read_bytes()
    with CertificateCredential(TENANT, CLIENT, certificate_data=both, transport=transport) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
            credential.get_token(SCOPE)
        entra.apps[CLIENT] = EntraApp(client_id=CLIENT, certificates=(certificate.read_text(),))
        assert say_hello(provider, credential.get_token(SCOPE).token).choices
    assert entra.issued[-1][0] == "client_certificate"


def test_another_key_than_the_registered_one_is_refused(entra, transport, tmp_path):
    folders = [tmp_path / name for name in ("registered", "other")]
    for folder in folders:
        folder.mkdir()
    (registered, _), (other, key) = (self_signed(folder) for folder in folders)
    entra.apps[CLIENT] = EntraApp(client_id=CLIENT, certificates=(registered.read_text(),))
    both = other.read_bytes() + key.read_bytes()
    with (
        CertificateCredential(TENANT, CLIENT, certificate_data=both, transport=transport) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
    ):
        credential.get_token(SCOPE)


def workload(entra, transport, tmp_path, subject=SUBJECT, issuer=ISSUER, **fields):
    file = tmp_path / "token"
    file.write_text(entra.new_federated_token(subject, issuer, **fields))
    options = {"tenant_id": TENANT, "client_id": CLIENT, "token_file_path": str(file)}
    return WorkloadIdentityCredential(transport=transport, **options)


def test_a_pods_token_is_exchanged(provider, entra, transport, tmp_path):
    with workload(entra, transport, tmp_path) as credential:
        assert say_hello(provider, credential.get_token(SCOPE).token).choices
    assert entra.issued[-1][0] == "federated"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"issuer": "https://other.example.com/"}, "AADSTS700211"),
        ({"subject": "system:serviceaccount:gateway:other"}, "AADSTS700213"),
        ({"audience": "sts.amazonaws.com"}, "AADSTS700212"),
        ({"life_s": -600}, "AADSTS700024"),
    ],
)
def test_a_pods_token_must_fit(entra, transport, tmp_path, fields, code):
    with (
        workload(entra, transport, tmp_path, **fields) as credential,
        pytest.raises(ClientAuthenticationError, match=code),
    ):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("fields", "scope", "code"),
    [
        ({"value": "wrong"}, SCOPE, "AADSTS7000215"),
        ({"value": "old"}, SCOPE, "AADSTS7000222"),
        ({}, "https://unknown.example.com/.default", "AADSTS500011"),
        ({}, COGNITIVE_SERVICES, "AADSTS1002012"),
    ],
)
def test_refusals_have_entras_codes(transport, fields, scope, code):
    with secret(transport, **fields) as credential, pytest.raises(ClientAuthenticationError, match=code):
        credential.get_token(scope)


def test_an_unknown_tenant_has_no_configuration(transport):
    unknown = secret(transport, tenant="99999999-9999-4999-8999-999999999999")
    with unknown, pytest.raises(ClientAuthenticationError, match="Unable to get authority configuration"):
        unknown.get_token(SCOPE)


def test_an_unknown_app(entra, transport):
    entra.apps.clear()
    with secret(transport) as credential, pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        credential.get_token(SCOPE)


def test_without_a_list_of_apps_anybody_is_let_in(provider, entra, transport):
    entra.apps = entra.tenants = None
    with secret(transport, "whatever", tenant="contoso.onmicrosoft.com") as credential:
        assert say_hello(provider, credential.get_token(SCOPE).token).choices


def test_other_addresses_stay_https_and_work_with_a_certificate(provider, entra, tmp_path, monkeypatch):
    """Without a transport of ours: what a gateway in another process can be given."""
    with encrypted(provider, tmp_path) as door:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(door.ca_file))
        options = {"authority": door.url, "disable_instance_discovery": True}
        with ClientSecretCredential(TENANT, CLIENT, "right", **options) as credential:
            assert credential.get_token(SCOPE).token in entra.cloud.issued
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", door.url)
        with workload(entra, None, tmp_path) as credential:
            assert credential.get_token(SCOPE).token in entra.cloud.issued


# Machines


def test_the_metadata_server_gives_the_same_token_for_half_of_its_life(provider, entra, machine):
    def asked():
        with ManagedIdentityCredential() as credential:
            return credential.get_token(SCOPE).token

    first = asked()
    assert say_hello(provider, first).choices
    assert asked() == first
    entra.cloud.clock_ahead_s = entra.machine_lifetime_s * 0.51
    second = asked()
    assert second != first
    assert [link for link, _, _ in entra.issued] == ["imds", "imds"]


def test_app_service_wants_its_header(provider, entra, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", provider.base_url + IDENTITY_PATH)
    monkeypatch.setenv("IDENTITY_HEADER", IDENTITY_HEADER)
    with ManagedIdentityCredential() as credential:
        assert say_hello(provider, credential.get_token(SCOPE).token).choices
    assert entra.issued[-1][0] == "app_service"
    monkeypatch.setenv("IDENTITY_HEADER", "other")
    with ManagedIdentityCredential() as credential, pytest.raises(ClientAuthenticationError, match="401"):
        credential.get_token(SCOPE)


def test_user_assigned_identities_are_chosen_by_client_id(entra, machine):
    entra.system, entra.user_assigned = None, (FIRST, SECOND)
    with ManagedIdentityCredential(client_id=SECOND.client_id) as credential:
        claims = read_jwt(credential.get_token(SCOPE).token).claims
    assert (claims["appid"], claims["oid"]) == (SECOND.client_id, SECOND.object_id)
    for fields, words in (({"client_id": "nobody"}, "Identity not found"), ({}, "Multiple user assigned identities")):
        with (
            ManagedIdentityCredential(**fields) as credential,
            pytest.raises(CredentialUnavailableError, match=words),
        ):
            credential.get_token(SCOPE)
    entra.user_assigned = (FIRST,)
    with ManagedIdentityCredential() as credential:
        assert read_jwt(credential.get_token(SCOPE).token).claims["appid"] == FIRST.client_id


def ask(provider, path, **headers):
    request = urllib.request.Request(provider.base_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        ("api-version=2018-02-01&resource=https://ml.azure.com", {}, "Required metadata header not specified"),
        ("resource=https://ml.azure.com", {"Metadata": "true"}, "'api-version' is missing"),
        ("api-version=2018-02-01", {"Metadata": "true"}, "'resource' is missing"),
    ],
)
def test_the_metadata_server_is_strict(provider, query, headers, words):
    status, body = ask(provider, f"/metadata/identity/oauth2/token?{query}", **headers)
    assert (status, body["error"]) == (400, "invalid_request")
    assert words in body["error_description"]


def test_the_metadata_server_writes_numbers_as_texts(provider):
    path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://ml.azure.com/"
    status, body = ask(provider, path, Metadata="true")
    assert status == 200
    assert body["expires_in"] in ("86399", "86398")
    assert body["resource"] == "https://ml.azure.com/"
    assert set(map(type, body.values())) == {str}


def test_a_machine_without_an_identity_has_no_metadata_server(provider, entra):
    entra.system = None
    path = "/metadata/identity/oauth2/token?api-version=2018-02-01"
    assert ask(provider, path, Metadata="true", Authorization="Bearer key")[0] == 404


# Tokens


def test_a_token_for_another_service_is_refused(provider, transport):
    with secret(transport) as credential:
        for audience, good in ((COGNITIVE_SERVICES, True), (FOUNDRY, True), (MACHINE_LEARNING, False)):
            token = credential.get_token(f"{audience}/.default").token
            if good:
                assert say_hello(provider, token).choices
            else:
                with pytest.raises(openai.AuthenticationError, match="audience is incorrect"):
                    say_hello(provider, token)


def test_a_token_ends(provider, entra, transport):
    entra.lifetimes_s["client_secret"] = 120.0
    with secret(transport) as credential:
        token = credential.get_token(SCOPE).token
    entra.cloud.clock_ahead_s = 119.0
    assert say_hello(provider, token).choices
    entra.cloud.clock_ahead_s = 121.0
    with pytest.raises(openai.AuthenticationError, match="have expired"):
        say_hello(provider, token)


def test_a_role_is_missing(provider, entra, transport):
    with secret(transport) as credential:
        token = credential.get_token(SCOPE).token
    action = "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action"
    entra.cloud.denied_to[EntraApp().object_id] = {action}
    with pytest.raises(openai.AuthenticationError) as caught:
        say_hello(provider, token)
    assert (caught.value.status_code, caught.value.code) == (401, "PermissionDenied")
    assert f"lacks the required data action `{action}`" in str(caught.value)
    assert "`POST /openai/deployments/{deployment-id}/chat/completions`" in str(caught.value)
    entra.cloud.denied_to.clear()
    assert say_hello(provider, token).choices


@pytest.mark.parametrize("link", ENTRA_LINKS)
def test_every_way_can_fail_and_heal(entra, link):
    entra.failures[link] = EntraFailure(count=1)
    with pytest.raises(EntraError, match="transient"):
        entra.give(link, "principal", CLIENT, COGNITIVE_SERVICES)
    assert entra.give(link, "principal", CLIENT, COGNITIVE_SERVICES).value in entra.cloud.issued


def test_a_failure_is_what_the_sdk_sees(provider, entra, transport):
    """The SDK remembers a failure for a minute, so that it takes a new credential to see that it is over."""
    entra.failures["client_secret"] = EntraFailure(count=1)
    with secret(transport, retry_total=0) as credential:
        for _ in range(2):
            with pytest.raises(ClientAuthenticationError, match="HTTP Error: 503"):
                credential.get_token(SCOPE)
    with secret(entra_transport(provider.base_url), retry_total=0) as credential:
        assert credential.get_token(SCOPE).token


def test_parts_of_two_clouds_do_not_fit_together(entra):
    with pytest.raises(ValueError, match="another cloud"):
        Azure(AzureCloud(), identity=entra)


def test_a_pods_token_is_for_the_exchange(entra):
    assert read_jwt(entra.new_federated_token(SUBJECT, ISSUER)).claims["aud"] == [EXCHANGE_AUDIENCE]
