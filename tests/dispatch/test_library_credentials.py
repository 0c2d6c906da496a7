"""The library renews credentials in its own process, beside the caller's loop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from trimaran.dispatch.blocking import Router
from trimaran.dispatch.library import AsyncRouter
from trimaran.errors import TrimaranError
from trimaran.testing import SimulatedProvider
from trimaran.testing.aws import AwsAccount, AwsCredential
from trimaran.testing.aws_identity import AwsIdentityServer, Issued, Refused

SOURCE = str(Path(__file__).parents[2] / "src")


class Stage:
    def __init__(self, identity: AwsIdentityServer, account: AwsAccount, config: str) -> None:
        self.identity, self.account, self.config = identity, account, config


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    account = AwsAccount(credentials=[])

    def know(issued: Issued) -> None:
        assert account.credentials is not None
        account.credentials.append(
            AwsCredential(access_key=issued.key_id, secret_key=issued.secret, session_token=issued.token)
        )

    with AwsIdentityServer(on_issue=know) as identity, SimulatedProvider(aws=account).in_thread() as provider:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in identity.environ("web_identity", tmp_path).items():
            monkeypatch.setenv(name, value)
        config = tmp_path / "trimaran.yaml"
        config.write_text(
            "models: {chat: {targets: [sagemaker/any]}}\n"
            f'providers: {{sagemaker: {{base_url: "{provider.base_url}", region: us-east-1}}}}\n'
        )
        yield Stage(identity, account, str(config))


def test_the_first_request_waits_for_the_first_credential(stage: Stage) -> None:
    with Router.from_config(stage.config) as router:
        assert router.route("hello", model="chat")["provider"] == "sagemaker"
        assert any(thread.name == "trimaran-upkeep" for thread in threading.enumerate())
    assert not any(thread.name == "trimaran-upkeep" for thread in threading.enumerate())
    assert [each.by for each in stage.identity.issued] == ["AssumeRoleWithWebIdentity"]


async def test_a_credential_that_is_refused_is_renewed(stage: Stage) -> None:
    async with AsyncRouter.from_config(stage.config) as router:
        await router.route("hello", model="chat")
        assert stage.account.credentials is not None
        stage.account.credentials[:] = [
            msgspec.structs.replace(each, expires_at_s=0.0) for each in stage.account.credentials
        ]
        result = await router.route("hello", model="chat")
        assert result["attempts"] == 2 and len(stage.identity.issued) == 2


def test_what_cannot_be_had_is_told(stage: Stage) -> None:
    stage.identity.refusals["AssumeRoleWithWebIdentity"] = Refused(400, "InvalidIdentityToken", "No provider found")
    with (
        Router.from_config(stage.config) as router,
        pytest.raises(TrimaranError, match=r"eks\.amazonaws\.com/role-arn"),
    ):
        router.route("hello", model="chat")


def test_a_router_that_was_closed_can_wait_for_a_credential_again(stage: Stage) -> None:
    router = Router.from_config(stage.config)
    for _ in range(2):
        assert router.route("hello", model="chat", timeout_s=5)["provider"] == "sagemaker"
        router.close()


@pytest.mark.parametrize("ledger", ["None", "'ledger'"])
def test_a_router_that_nobody_closes_ends_with_the_program(stage: Stage, tmp_path: Path, ledger: str) -> None:
    program = (
        "from trimaran import Router\n"
        f"router = Router.from_config({stage.config!r}, ledger={ledger})\n"
        "print(router.route('hello', model='chat')['provider'])\n"
    )
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("sagemaker", "", 0)
