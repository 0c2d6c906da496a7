"""Every link of the chain, walked by azure-identity against simulated services; and what is said when a link is broken."""

from __future__ import annotations

import builtins
import datetime
import logging
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trimaran.errors import ConfigError
from trimaran.providers.azure import credentials
from trimaran.providers.azure.credentials import EntraIdentity, EntraSource
from trimaran.testing import SimulatedProvider
from trimaran.testing.azure import TENANT, AzureCloud
from trimaran.testing.azure_services import Azure
from trimaran.testing.entra import (
    IDENTITY_HEADER,
    EntraApp,
    EntraFailure,
    FederatedCredential,
    ManagedIdentity,
)
from trimaran.testing.entra import (
    EntraIdentity as Entra,
)
from trimaran.testing.entra_transport import entra_transport
from trimaran.types import Credential

pytest.importorskip("azure.identity")

SCOPE = "https://cognitiveservices.azure.com/.default"
CLIENT = EntraApp().client_id
USER = ManagedIdentity(
    client_id="77777777-7777-4777-8777-777777777777", object_id="88888888-8888-4888-8888-888888888888"
)
ISSUER = "https://oidc.example.com/"
SUBJECT = "system:serviceaccount:default:gateway"


class Stage:
    """One environment around one simulated Entra ID."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        cloud = AzureCloud()
        app = EntraApp(
            secrets={"right-secret": None, "old-secret": time.time() - 60},
            federated=(FederatedCredential(issuer=ISSUER, subject=SUBJECT),),
        )
        self.entra = Entra(cloud, apps=[app], tenants=[TENANT], user_assigned=[USER])
        self.provider = SimulatedProvider(azure=Azure(cloud, identity=self.entra))
        for name in [name for name in os.environ if name.startswith(("AZURE_", "IDENTITY_", "MSI_"))]:
            patch.delenv(name)
        # No CLI of the machine's own, and no metadata service.
        patch.setenv("PATH", str(folder))
        patch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")

    def env(self, **variables: str) -> None:
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def principal(self, secret: str = "right-secret", **further: str) -> None:
        known = {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_SECRET": secret}
        self.env(**(known | further))

    def pod(self, subject: str = SUBJECT, life_s: int = 3600) -> None:
        file = self.folder / "token"
        file.write_text(self.entra.new_federated_token(subject, ISSUER, life_s=life_s))
        self.env(AZURE_CLIENT_ID=CLIENT, AZURE_TENANT_ID=TENANT, AZURE_FEDERATED_TOKEN_FILE=str(file))

    def hosted(self) -> None:
        self.env(IDENTITY_ENDPOINT=f"{self.provider.base_url}/msi/token", IDENTITY_HEADER=IDENTITY_HEADER)

    def imds(self) -> None:
        self.env(AZURE_POD_IDENTITY_AUTHORITY_HOST=self.provider.base_url)

    def cli(self, script: str) -> None:
        file = self.folder / "az"
        file.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IEXEC)

    def fetch(self, **identity: Any) -> Credential:
        return EntraSource(EntraIdentity(**{"scope": SCOPE, "where": "providers.azure_openai", **identity})).fetch()

    def problem(self, **identity: Any) -> tuple[str, str]:
        with pytest.raises(ConfigError) as caught:
            self.fetch(**identity)
        assert "right-secret" not in str(caught.value)
        assert "\n" not in caught.value.message
        return caught.value.message, caught.value.hint


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path, monkeypatch)
    with made.provider.in_thread():
        options = credentials._options
        # azure-identity takes no authority without https; what it sends is what it would send.
        monkeypatch.setattr(
            credentials,
            "_options",
            lambda identity, environ: {
                **options(identity, environ),
                "transport": entra_transport(made.provider.base_url),
            },
        )
        yield made


def is_of(credential: Credential, stage: Stage, link: str, principal: str) -> bool:
    last = stage.entra.issued[-1]
    known = stage.entra.cloud.issued[last[2]]
    close = abs(credential.expires_ns / 1e9 - known.expires_at_s) < 5  # type: ignore[operator]
    return credential.parts == (last[2],) and close and last[:2] == (link, principal)


# Links


def test_a_service_principal_with_a_secret(stage: Stage) -> None:
    stage.principal()
    found = stage.fetch()
    assert is_of(found, stage, "client_secret", EntraApp().object_id)
    assert found.source == f"service principal {CLIENT} (secret)"
    assert stage.entra.cloud.issued[found.parts[0]].audience == "https://cognitiveservices.azure.com"


def test_the_scope_decides_the_audience(stage: Stage) -> None:
    stage.principal()
    found = stage.fetch(scope="https://ml.azure.com/.default")
    assert stage.entra.cloud.issued[found.parts[0]].audience == "https://ml.azure.com"


def test_each_fetch_brings_another_token(stage: Stage) -> None:
    # azure-identity would give the same from its memory.
    stage.principal()
    assert stage.fetch().parts != stage.fetch().parts


def test_a_service_principal_with_a_certificate(stage: Stage) -> None:
    certificate = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = certificate.Name([certificate.NameAttribute(certificate.NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        certificate.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = stage.folder / "certificate.pem"
    file.write_bytes(private + pem)
    assert stage.entra.apps is not None
    stage.entra.apps[CLIENT] = EntraApp(certificates=(pem.decode(),))
    stage.env(AZURE_CLIENT_ID=CLIENT, AZURE_TENANT_ID=TENANT, AZURE_CLIENT_CERTIFICATE_PATH=str(file))
    found = stage.fetch()
    assert is_of(found, stage, "client_certificate", EntraApp().object_id)
    assert found.source == f"service principal {CLIENT} (certificate)"
    stage.entra.apps[CLIENT] = EntraApp()
    assert "the certificate is not one of the application's" in stage.problem()[0]
    file.unlink()
    message, hint = stage.problem()
    assert "certificate.pem cannot be read" in message
    assert "AZURE_CLIENT_CERTIFICATE_PATH" in hint


def test_workload_identity(stage: Stage) -> None:
    stage.pod()
    found = stage.fetch()
    assert is_of(found, stage, "federated", EntraApp().object_id)
    assert found.source == f"workload identity {CLIENT}"


def test_managed_identity_where_azure_hosts_it(stage: Stage) -> None:
    stage.hosted()
    found = stage.fetch()
    assert is_of(found, stage, "app_service", ManagedIdentity().object_id)
    assert found.source == "managed identity (system-assigned)"


def test_managed_identity_of_a_machine(stage: Stage) -> None:
    stage.imds()
    assert is_of(stage.fetch(), stage, "imds", ManagedIdentity().object_id)
    found = stage.fetch(client_id=USER.client_id)
    assert is_of(found, stage, "imds", USER.object_id)
    assert found.source == f"managed identity {USER.client_id}"


def test_azure_client_id_alone_names_a_managed_identity(stage: Stage) -> None:
    stage.imds()
    stage.env(AZURE_CLIENT_ID=USER.client_id)
    assert is_of(stage.fetch(), stage, "imds", USER.object_id)


def test_the_cli_comes_last(stage: Stage) -> None:
    expires = int(time.time()) + 1800
    stage.cli(f'print(\'{{"accessToken": "cli-token", "expires_on": {expires}}}\')')
    found = stage.fetch()
    assert found == Credential(("cli-token",), expires * 10**9, "Azure CLI")


def test_an_identity_of_the_configuration_is_not_the_environments(stage: Stage) -> None:
    stage.principal()
    stage.imds()
    assert is_of(stage.fetch(client_id=USER.client_id), stage, "imds", USER.object_id)
    assert is_of(stage.fetch(client_id=CLIENT), stage, "client_secret", EntraApp().object_id)


# What is said


@pytest.mark.parametrize(
    ("secret", "words", "mend"),
    [
        ("wrong-secret", "is wrong: AADSTS7000215", "take the secret's value, not its id"),
        ("old-secret", "has expired: AADSTS7000222", f"az ad app credential reset --id {CLIENT}"),
    ],
)
def test_a_bad_secret(stage: Stage, secret: str, words: str, mend: str) -> None:
    stage.principal(secret)
    message, hint = stage.problem()
    assert words in message
    assert mend in hint
    assert secret not in message + hint
    assert "Trace ID" not in message


def test_an_unknown_application_and_tenant(stage: Stage) -> None:
    stage.principal()
    stage.env(AZURE_CLIENT_ID="99999999-9999-4999-8999-999999999999")
    message, hint = stage.problem()
    assert "the application 99999999-9999-4999-8999-999999999999 is not in the tenant" in message
    assert "az ad sp show" in hint
    stage.principal(AZURE_TENANT_ID="99999999-9999-4999-8999-999999999999")
    message, hint = stage.problem()
    assert "there is no tenant 99999999" in message
    assert "az account list" in hint


def test_half_of_a_service_principal(stage: Stage) -> None:
    stage.env(AZURE_CLIENT_SECRET="right-secret", AZURE_TENANT_ID=TENANT)
    message, hint = stage.problem()
    assert message == "AZURE_CLIENT_SECRET is set, but AZURE_CLIENT_ID is not"
    assert "unset AZURE_CLIENT_SECRET" in hint


def test_a_pod_that_nobody_expects(stage: Stage) -> None:
    stage.pod(subject="system:serviceaccount:default:other")
    message, hint = stage.problem()
    assert "no federated identity credential of the application matches the pod's token" in message
    assert "az identity federated-credential list" in hint
    (stage.folder / "token").unlink()
    assert "token cannot be read" in stage.problem()[0]


def test_an_identity_that_the_machine_does_not_have(stage: Stage) -> None:
    stage.imds()
    message, hint = stage.problem(client_id="99999999-9999-4999-8999-999999999999")
    assert "has no managed identity 99999999-9999-4999-8999-999999999999" in message
    assert "az vm identity assign" in hint


def test_a_machine_with_several_identities_of_which_none_is_named(stage: Stage) -> None:
    stage.imds()
    stage.entra.system = None
    stage.entra.user_assigned = (USER, ManagedIdentity())
    message, hint = stage.problem()
    assert "this machine has several managed identities" in message
    assert "client_id: ..." in hint


def test_a_named_identity_where_there_is_none_is_not_replaced(stage: Stage) -> None:
    stage.cli('print(\'{"accessToken": "cli-token", "expires_on": 4000000000}\')')
    message, hint = stage.problem(client_id=USER.client_id)
    assert f"there is no managed identity {USER.client_id} here" in message
    assert "leave client_id out" in hint


def test_nothing_at_all(stage: Stage) -> None:
    message, hint = stage.problem()
    assert "no credential of Azure was found" in message
    assert "AZURE_CLIENT_SECRET" in hint


def test_nobody_is_logged_in(stage: Stage) -> None:
    stage.cli("sys.stderr.write(\"ERROR: Please run 'az login' to setup account.\"); sys.exit(1)")
    message, hint = stage.problem()
    assert "nobody is logged in to the Azure CLI" in message
    assert hint == "run `az login`"
    assert stage.problem(tenant_id="contoso.com")[1] == "run `az login --tenant contoso.com`"


def test_a_login_that_has_expired(stage: Stage) -> None:
    words = "AADSTS700082: The refresh token has expired due to inactivity. Trace ID: 1 Correlation ID: 2"
    stage.cli(f"sys.stderr.write('ERROR: {words}'); sys.exit(1)")
    message, hint = stage.problem()
    assert message.startswith("the login has expired: AADSTS700082")
    assert "Trace ID" not in message
    assert hint == "run `az login`"


def test_a_service_that_is_down(stage: Stage) -> None:
    stage.principal()
    stage.entra.failures["client_secret"] = EntraFailure()
    message, hint = stage.problem()
    assert "Entra ID gave no token (environment)" in message
    assert "az account get-access-token --scope" in hint


def test_without_the_package(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **named: Any) -> Any:
        if name.startswith("azure"):
            raise ImportError(name)
        return real(name, *args, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(sys.modules, "azure.identity", raising=False)
    message, hint = stage.problem()
    assert "azure-identity, which is not installed" in message
    assert hint == "pip install 'trimaran[azure]', or use an API key"


def test_what_the_package_logs_is_dropped(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    # It is told as an error already, and comes with a traceback there.
    stage.problem()
    stage.imds()
    stage.problem(client_id="99999999-9999-4999-8999-999999999999")
    stage.cli("sys.stderr.write(\"Please run 'az login'\"); sys.exit(1)")
    stage.principal("wrong-secret")
    stage.problem()
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_sources_are_equal_where_their_identities_are() -> None:
    # The upkeep does not fetch again for an equal one.
    one = EntraSource(EntraIdentity(scope=SCOPE, client_id=CLIENT))
    assert one == EntraSource(EntraIdentity(scope=SCOPE, client_id=CLIENT))
    assert one != EntraSource(EntraIdentity(scope=SCOPE, client_id=USER.client_id))
