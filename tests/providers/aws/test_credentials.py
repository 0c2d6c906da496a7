"""Every link of the chain, walked by botocore against simulated endpoints; and what is said when a link is broken."""

from __future__ import annotations

import builtins
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.tokens
import pytest

from trimaran.errors import ConfigError
from trimaran.providers.aws.credentials import AwsIdentity, AwsSource
from trimaran.testing.aws_identity import POD_TOKEN, ROLE, AwsIdentityServer, Issued, Refused
from trimaran.types import Credential

START_URL = "https://example.awsapps.com/start"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+EXAMPLE"}


@pytest.fixture
def server() -> Iterator[AwsIdentityServer]:
    with AwsIdentityServer() as running:
        yield running


class Stage:
    """One environment around one identity server."""

    def __init__(self, server: AwsIdentityServer, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.server, self.folder, self._patch = server, folder, patch
        cache = str(folder / ".aws" / "sso" / "cache")
        # Computed from the home folder when botocore was imported.
        patch.setattr(botocore.credentials.SSOProvider, "_SSO_TOKEN_CACHE_DIR", cache)
        patch.setattr(botocore.tokens.SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", cache)
        self.cache = Path(cache)

    def use(self, link: str, further: Mapping[str, str] | None = None) -> None:
        import os

        for name in [name for name in os.environ if name.startswith("AWS_")]:
            self._patch.delenv(name)
        for name, value in (self.server.environ(link, self.folder) | dict(further or {})).items():
            self._patch.setenv(name, value)

    def fetch(self, **identity: Any) -> Credential:
        return AwsSource(AwsIdentity(where="providers.bedrock", **{"region": "us-east-1", **identity})).fetch()

    def problem(self, **identity: Any) -> tuple[str, str]:
        with pytest.raises(ConfigError) as caught:
            self.fetch(**identity)
        return caught.value.message, caught.value.hint


@pytest.fixture
def stage(server: AwsIdentityServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(server, tmp_path, monkeypatch)


def is_of(credential: Credential, issued: Issued) -> bool:
    expires_ns = int(issued.expires_s) * 10**9
    return credential.parts == (issued.key_id, issued.secret, issued.token) and credential.expires_ns == expires_ns


def test_environment_keys_need_no_botocore(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.use("profile", KEYS)
    without_botocore(monkeypatch)
    found = stage.fetch()
    assert found.parts == (*KEYS.values(), "")
    assert (found.expires_ns, found.source) == (None, "environment")


def test_a_session_token_of_the_environment_comes_along(stage: Stage) -> None:
    stage.use("profile", KEYS | {"AWS_SESSION_TOKEN": " token "})
    assert stage.fetch().parts == (*KEYS.values(), "token")


def test_keys_that_the_configuration_names_come_before_the_environments(stage: Stage) -> None:
    stage.use("profile", KEYS)
    found = stage.fetch(keys=("AKIAOTHER", "other", ""))
    assert (found.parts, found.source) == (("AKIAOTHER", "other", ""), "providers.bedrock.access_key_id")


def test_without_botocore_the_mend_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.use("instance")
    without_botocore(monkeypatch)
    message, hint = stage.problem()
    assert "botocore" in message and "pip install 'trimaran[aws]'" in hint


@pytest.mark.parametrize(
    ("link", "source", "by"),
    [
        ("instance", "instance role", "instance"),
        ("container", "container role", "container"),
        ("pod", "EKS Pod Identity", "container"),
        ("web_identity", f"IRSA role {ROLE}", "AssumeRoleWithWebIdentity"),
    ],
)
def test_a_link_gives_its_credential_and_a_new_one_each_time(stage: Stage, link: str, source: str, by: str) -> None:
    stage.use(link)
    first, second = stage.fetch(), stage.fetch()
    assert is_of(first, next(each for each in stage.server.issued if each.by == by))
    assert first.parts != second.parts
    assert first.source == source
    assert "secret" not in repr(first)


def test_a_pod_shows_its_token(stage: Stage) -> None:
    stage.use("pod")
    stage.fetch()
    assert stage.server.asked[0] == ("container", {"Authorization": POD_TOKEN})


def test_web_identity_shows_its_token_and_names_its_role(stage: Stage) -> None:
    stage.use("web_identity")
    stage.fetch()
    action, said = stage.server.asked[0]
    assert (action, said["RoleArn"], said["WebIdentityToken"]) == ("AssumeRoleWithWebIdentity", ROLE, POD_TOKEN)


def test_the_profiles_keys(stage: Stage) -> None:
    stage.use("profile", {"AWS_PROFILE": "prod"})
    stage.server.write_profile(stage.folder, "[profile prod]\naws_access_key_id = AKIAP\naws_secret_access_key = s\n")
    found = stage.fetch()
    assert (found.parts, found.source, found.expires_ns) == (("AKIAP", "s", ""), "profile prod (access keys)", None)


def test_a_profile_that_is_configured_comes_before_the_environments_keys(stage: Stage) -> None:
    stage.use("profile", KEYS)
    stage.server.write_profile(stage.folder, "[profile prod]\naws_access_key_id = AKIAP\naws_secret_access_key = s\n")
    assert stage.fetch(profile="prod").parts[0] == "AKIAP"


def test_sso(stage: Stage) -> None:
    stage.use("profile")
    sso_profile(stage)
    stage.server.log_in(stage.cache, START_URL)
    found = stage.fetch(profile="prod")
    assert is_of(found, stage.server.issued[-1]) and found.source == "profile prod (sso)"


def test_a_process(stage: Stage) -> None:
    script = stage.folder / "give.py"
    script.write_text(
        "import json\nprint(json.dumps({'Version': 1, 'AccessKeyId': 'AKIAX', 'SecretAccessKey': 'x', 'SessionToken': 't',"
        " 'Expiration': '2099-01-01T00:00:00Z'}))\n"
    )
    stage.use("profile")
    stage.server.write_profile(stage.folder, f"[profile prod]\ncredential_process = {sys.executable} {script}\n")
    found = stage.fetch(profile="prod")
    assert (found.parts, found.source) == (("AKIAX", "x", "t"), "profile prod (process)")
    assert found.expires_ns == 4_070_908_800 * 10**9


def test_a_role_of_a_profile_through_its_source_profile(stage: Stage) -> None:
    stage.use("profile")
    stage.server.write_profile(
        stage.folder,
        f"[profile prod]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = id-1\nrole_session_name = me\n"
        "[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n",
    )
    found = stage.fetch(profile="prod")
    action, said = stage.server.asked[0]
    assert is_of(found, stage.server.issued[-1]) and found.source == f"profile prod (role {ROLE})"
    assert (action, said["RoleArn"], said["ExternalId"], said["RoleSessionName"]) == ("AssumeRole", ROLE, "id-1", "me")
    assert "Credential=AKIABASE/" in said["Authorization"]


@pytest.mark.parametrize("link", ["profile", "instance"])
def test_a_role_that_the_configuration_names_is_assumed_with_what_is_found(stage: Stage, link: str) -> None:
    stage.use(link, KEYS if link == "profile" else {})
    found = stage.fetch(role_arn=ROLE, external_id="id-2", session_name="eu")
    _, said = stage.server.asked[-1]
    base = "environment" if link == "profile" else "instance role"
    assert is_of(found, stage.server.issued[-1]) and found.source == f"role {ROLE} through {base}"
    assert (said["ExternalId"], said["RoleSessionName"]) == ("id-2", "eu")
    key_id = KEYS["AWS_ACCESS_KEY_ID"] if link == "profile" else stage.server.issued[0].key_id
    assert f"Credential={key_id}/" in said["Authorization"]
    assert said["Token"] == ("" if link == "profile" else stage.server.issued[0].token)


# What is said when it cannot be had


def test_nothing_at_all(stage: Stage) -> None:
    stage.use("profile")
    message, hint = stage.problem()
    assert message.startswith("no AWS credentials were found; tried: environment, profile default, web identity")
    assert "AWS_ACCESS_KEY_ID" in hint


def test_half_of_the_keys(stage: Stage) -> None:
    stage.use("profile", {"AWS_ACCESS_KEY_ID": "AKIA"})
    message, hint = stage.problem()
    assert message == "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"
    assert hint.startswith("export AWS_SECRET_ACCESS_KEY=")


def test_a_key_with_a_line_break_is_not_shown(stage: Stage) -> None:
    stage.use("profile", KEYS | {"AWS_SECRET_ACCESS_KEY": "canary\nx-evil: 1"})
    message, hint = stage.problem()
    assert "line break" in message and "canary" not in message + hint


def test_no_such_profile(stage: Stage) -> None:
    stage.use("profile")
    message, hint = stage.problem(profile="gone")
    assert message == f"there is no profile gone in {stage.folder / 'config'}"
    assert "aws configure sso --profile gone" in hint


@pytest.mark.parametrize("age", ["never", "expired", "revoked"])
def test_an_sso_session_that_is_over(stage: Stage, age: str) -> None:
    stage.use("profile")
    sso_profile(stage)
    if age != "never":
        expires_s = time.time() - 60 if age == "expired" else None
        stage.server.log_in(stage.cache, START_URL, expires_s=expires_s)
    if age == "revoked":
        stage.server.log_in(stage.cache, START_URL)
        cached = next(stage.cache.iterdir())
        cached.write_text(cached.read_text().replace("simulated-sso-token", "another-token"))
    message, hint = stage.problem(profile="prod")
    assert "SSO session of profile prod" in message
    assert hint == "run `aws sso login --profile prod`"


def test_a_role_that_may_not_be_assumed(stage: Stage) -> None:
    stage.use("profile", KEYS)
    stage.server.refusals["AssumeRole"] = Refused(message="User: u is not authorized to perform: sts:AssumeRole")
    message, hint = stage.problem(role_arn=ROLE)
    assert f"the role {ROLE} may not be assumed" in message and "trust policy" in hint


def test_a_pods_role_that_does_not_trust_it(stage: Stage) -> None:
    stage.use("web_identity")
    refused = Refused(400, "InvalidIdentityToken", "No OpenIDConnect provider found")
    stage.server.refusals["AssumeRoleWithWebIdentity"] = refused
    message, hint = stage.problem()
    assert ROLE in message and "InvalidIdentityToken" in message
    assert "eks.amazonaws.com/role-arn" in hint


def test_a_pods_token_that_is_not_there(stage: Stage) -> None:
    stage.use("web_identity", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"})
    message, hint = stage.problem()
    assert "/nowhere/token" in message and "AWS_WEB_IDENTITY_TOKEN_FILE" in hint


def test_a_process_that_fails_does_not_have_its_words_repeated(stage: Stage) -> None:
    stage.use("profile")
    code = "import sys; sys.exit('canary')"
    stage.server.write_profile(stage.folder, f'[profile prod]\ncredential_process = {sys.executable} -c "{code}"\n')
    message, hint = stage.problem(profile="prod")
    assert "credential_process of profile prod" in message and "canary" not in message + hint
    assert "--profile prod" in hint


def test_a_process_that_prints_something_else(stage: Stage) -> None:
    stage.use("profile")
    stage.server.write_profile(stage.folder, f'[profile prod]\ncredential_process = {sys.executable} -c "print(1+)"\n')
    stage.problem(profile="prod")
    stage.server.write_profile(
        stage.folder, f"[profile prod]\ncredential_process = {sys.executable} -c \"print('hi')\"\n"
    )
    message, _ = stage.problem(profile="prod")
    assert "JSON" in message


def test_a_profile_that_asks_for_a_code(stage: Stage) -> None:
    stage.use("profile")
    stage.server.write_profile(
        stage.folder,
        f"[profile prod]\nrole_arn = {ROLE}\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = A\naws_secret_access_key = s\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n",
    )
    message, hint = stage.problem(profile="prod")
    assert "profile base asks for an MFA code" in message and "export-credentials" in hint


def test_a_role_without_its_source(stage: Stage) -> None:
    stage.use("profile")
    stage.server.write_profile(stage.folder, f"[profile prod]\nrole_arn = {ROLE}\n")
    message, _ = stage.problem(profile="prod")
    assert message == "source_profile or credential_source is missing in profile prod"


def test_a_file_that_is_none(stage: Stage) -> None:
    stage.use("profile")
    stage.server.write_profile(stage.folder, "no section\n")
    message, _ = stage.problem()
    assert "cannot be read as a configuration" in message


@pytest.mark.parametrize(
    ("code", "said", "mend"),
    [
        ("ExpiredToken", "has expired", "sso login"),
        ("InvalidClientTokenId", "does not know this access key", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "did not accept the signature", "clock"),
    ],
)
def test_what_sts_refuses(stage: Stage, code: str, said: str, mend: str) -> None:
    stage.use("profile", KEYS)
    stage.server.refusals["AssumeRole"] = Refused(403, code, "words of AWS")
    message, hint = stage.problem(role_arn=ROLE)
    assert said in message and "words of AWS" in message and mend in hint


def test_nobody_answers(stage: Stage) -> None:
    stage.use("profile", KEYS | {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"})
    message, hint = stage.problem(role_arn=ROLE)
    assert message == "http://127.0.0.1:9/ cannot be reached" and "network" in hint


def test_a_credential_that_has_expired_already(stage: Stage) -> None:
    stage.use("web_identity")
    stage.server.life_s = -60
    message, hint = stage.problem()
    assert "expired already" in message and "clock" in hint


def test_botocore_prints_no_traceback(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.use("web_identity")
    stage.server.refusals["AssumeRoleWithWebIdentity"] = Refused()
    with caplog.at_level(logging.WARNING):
        stage.problem()
    assert not caplog.records
    # Others keep what botocore tells them.
    logging.getLogger("botocore.credentials").warning("of somebody else")
    assert [record.message for record in caplog.records] == ["of somebody else"]


def test_sources_are_equal_where_identities_are() -> None:
    one, other = (AwsSource(AwsIdentity(profile="prod", keys=("a", "canary", ""))) for _ in range(2))
    assert one == other != AwsSource(AwsIdentity(profile="dev"))
    assert "canary" not in repr(one)


def sso_profile(stage: Stage) -> None:
    stage.server.write_profile(
        stage.folder,
        f"[profile prod]\nsso_start_url = {START_URL}\nsso_region = us-east-1\nsso_account_id = 123456789012\n"
        "sso_role_name = models\nregion = us-east-1\n",
    )


def without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "botocore":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
