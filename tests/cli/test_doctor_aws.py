"""What doctor finds out about AWS: a simulated account behind it, and everything that is usually wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimaran.cli.doctor import Finding, run
from trimaran.config import load_mapping
from trimaran.testing import SimulatedProvider
from trimaran.testing.aws import AwsAccount, AwsCredential
from trimaran.testing.aws_identity import AwsIdentityServer, Issued, Refused
from trimaran.testing.bedrock_models import BedrockModels
from trimaran.testing.sagemaker import Endpoint, SageMaker

LIMIT_S = 20.0
"""A busy machine is no finding."""
CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


class Stage:
    """An account, who hands out its credentials, and an environment that leads to both."""

    def __init__(
        self, provider: SimulatedProvider, identity: AwsIdentityServer, folder: Path, patch: pytest.MonkeyPatch
    ) -> None:
        self.provider, self.identity, self.folder, self._patch = provider, identity, folder, patch
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        self.set(**identity.environ("web_identity", folder))
        # Whatever else the environment serves is looked at, too: nothing leaves this machine.
        self.set(AWS_ENDPOINT_URL_BEDROCK=provider.base_url, AWS_ENDPOINT_URL_SAGEMAKER=provider.base_url)

    def set(self, **values: str) -> None:
        for name, value in values.items():
            self._patch.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self._patch.delenv(name)

    def finding(self, name: str = "bedrock", models: tuple[str, ...] = (), **settings: object) -> Finding:
        written: dict[str, object] = {"base_url": self.provider.base_url, **settings}
        config: dict[str, object] = {"providers": {name: written}}
        if models:
            config["models"] = {"chat": {"targets": [f"{name}/{model}" for model in models]}}
        environ = dict(os.environ)
        found = {each.provider: each for each in run(load_mapping(config, environ), environ, limit_s=LIMIT_S)}
        return found[name]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    account = AwsAccount(credentials=[])

    def know(issued: Issued) -> None:
        assert account.credentials is not None
        account.credentials.append(
            AwsCredential(access_key=issued.key_id, secret_key=issued.secret, session_token=issued.token)
        )

    fleet = SageMaker([Endpoint(name="llama"), Endpoint(name="broken", status="Failed", failure_reason="no capacity")])
    provider = SimulatedProvider(aws=account, bedrock=BedrockModels(), sagemaker=fleet)
    with AwsIdentityServer(on_issue=know) as identity, provider.in_thread() as running:
        yield Stage(running, identity, tmp_path, monkeypatch)


def test_bedrock_is_well_and_says_whose_it_is(stage: Stage) -> None:
    found = stage.finding(models=(CLAUDE,))
    assert found.state == "ok", found
    assert found.detail.startswith("us-east-1 (AWS_REGION); IRSA role arn:aws:iam::123456789012:role/simulated")
    assert "account 123456789012, assumed-role/simulated/trimaran" in found.credential
    assert f"granted: {CLAUDE}" in found.detail and not found.warnings
    assert "secret" not in repr(found)


def test_sagemaker_lists_its_endpoints(stage: Stage) -> None:
    found = stage.finding("sagemaker", models=("llama",))
    assert (
        found.state == "ok" and "2 endpoints: broken (Failed, vllm on ml.g5.2xlarge), llama (InService" in found.detail
    )
    assert not found.warnings


@pytest.mark.parametrize(
    ("model", "said", "mend"),
    [
        ("broken", "the endpoint broken is Failed", "delete it and deploy it again"),
        ("gone", "there is no endpoint gone in us-east-1", "aws sagemaker list-endpoints --region us-east-1"),
    ],
)
def test_an_endpoint_that_does_not_answer(stage: Stage, model: str, said: str, mend: str) -> None:
    found = stage.finding("sagemaker", models=(model,))
    assert any(said in warning for warning in found.warnings) and mend in found.todo


def test_a_model_that_is_not_granted(stage: Stage) -> None:
    stage.provider.bedrock.granted = set()
    found = stage.finding(models=(CLAUDE,))
    assert found.warnings == (f"access to {CLAUDE} has not been granted to this account",)
    assert "model-access.html" in found.todo


def test_a_model_that_needs_a_profile(stage: Stage) -> None:
    found = stage.finding(models=("anthropic.claude-haiku-4-5-20251001-v1:0",))
    assert "through an inference profile only" in found.warnings[0]
    assert found.todo.startswith("write ") and ".anthropic.claude-haiku-4-5-20251001-v1:0 instead" in found.todo


def test_a_profile_of_another_geography(stage: Stage) -> None:
    found = stage.finding(models=("eu.anthropic.claude-haiku-4-5-20251001-v1:0",))
    assert "no inference profile that can be asked in us-east-1" in found.warnings[0]
    assert "list-inference-profiles --region us-east-1" in found.todo


def test_a_list_that_may_not_be_seen_is_no_failure(stage: Stage) -> None:
    stage.provider.aws.denied |= {"bedrock:ListFoundationModels", "sagemaker:ListEndpoints"}
    found = stage.finding()
    assert found.ok and "AccessDeniedException" in found.warnings[0] and "bedrock:ListFoundationModels" in found.todo
    found = stage.finding("sagemaker")
    assert found.ok and "allow sagemaker:ListEndpoints" in found.todo


def test_no_region(stage: Stage) -> None:
    stage.unset("AWS_REGION")
    found = stage.finding()
    assert found.state == "misconfigured" and found.detail.startswith("no AWS region is known for bedrock")
    assert "AWS_REGION=us-east-1" in found.todo


def test_no_credential(stage: Stage) -> None:
    stage.unset("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
    found = stage.finding()
    assert found.state == "rejected" and found.detail.startswith("no AWS credentials were found; tried: environment")


def test_an_expired_sso_session(stage: Stage) -> None:
    stage.identity.write_profile(
        stage.folder,
        "[profile prod]\nsso_start_url = https://example.awsapps.com/never\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = models\n",
    )
    found = stage.finding(profile="prod")
    assert (found.state, found.todo) == ("rejected", "run `aws sso login --profile prod`")


def test_sts_refuses(stage: Stage) -> None:
    stage.identity.refusals["GetCallerIdentity"] = Refused(403, "InvalidClientTokenId", "The token is invalid")
    found = stage.finding()
    assert found.state == "rejected" and "does not know this access key" in found.detail


@pytest.mark.parametrize(("ahead_s", "side"), [(600.0, "behind"), (-600.0, "ahead of")])
def test_a_clock_that_is_wrong(stage: Stage, ahead_s: float, side: str) -> None:
    stage.identity.clock_ahead_s = ahead_s
    found = stage.finding()
    assert found.state == "misconfigured"
    assert f"10 minutes {side} AWS's" in found.detail and "timedatectl" in found.todo


def test_aws_is_away(stage: Stage) -> None:
    stage.set(AWS_ENDPOINT_URL_BEDROCK="http://127.0.0.1:9")
    found = stage.finding()
    assert found.state == "unreachable" and "AWS_ENDPOINT_URL_STS" in found.todo


def test_one_that_hangs_is_not_waited_for(stage: Stage) -> None:
    stage.identity.gate.clear()
    environ = dict(os.environ)
    config = load_mapping({"providers": {"bedrock": {"base_url": stage.provider.base_url}}}, environ)
    start = time.monotonic()
    found = next(each for each in run(config, environ, limit_s=0.2) if each.provider == "bedrock")
    assert found.state == "unreachable" and time.monotonic() - start < 5.0


def test_an_api_key_of_bedrock(stage: Stage) -> None:
    stage.provider.aws.api_keys = ["bedrock-key"]
    stage.unset("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
    stage.set(AWS_BEARER_TOKEN_BEDROCK="bedrock-key")
    found = stage.finding(models=(CLAUDE,))
    assert found.ok and found.credential == "API key in AWS_BEARER_TOKEN_BEDROCK"
    assert not stage.identity.asked


def test_what_nobody_configured_is_quiet(stage: Stage) -> None:
    stage.unset("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
    environ = dict(os.environ)
    found = {each.provider: each for each in run(load_mapping({}, environ), environ)}
    for name in ("bedrock", "sagemaker"):
        assert found[name].state == "not_configured" and "AWS_PROFILE" in found[name].todo
    assert not stage.identity.asked
