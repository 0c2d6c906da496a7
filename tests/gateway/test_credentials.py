"""AWS credentials of a gateway as a user runs it: fetched, renewed while requests run, refused, restarted."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.aws import AwsAccount, AwsCredential
from trimaran.testing.aws_identity import ROLE, AwsIdentityServer, Issued, Refused

CONFIG = """\
models:
  chat: {{targets: [sagemaker/any]}}
providers:
  sagemaker: {{base_url: "{address}", region: us-east-1}}
limits: {{deadline: 15s}}
ledger: {{dir: "{folder}"}}
"""


class Aws:
    """A simulated account with its identity server: what the one gives out, the other one knows."""

    def __init__(self, identity: AwsIdentityServer, account: AwsAccount, provider: SimulatedProvider) -> None:
        self.identity, self.account, self.provider = identity, account, provider

    def expire(self) -> None:
        """All that was given out until now is expired."""
        assert self.account.credentials is not None
        self.account.credentials[:] = [
            msgspec.structs.replace(each, expires_at_s=time.time() - 1) for each in self.account.credentials
        ]

    @property
    def signed_with(self) -> list[str]:
        """The access key of each request that came, in order."""
        signed = [dict(each.headers)["authorization"] for each in self.provider.log]
        return [text.partition("Credential=")[2].partition("/")[0] for text in signed]


@pytest.fixture
def aws() -> Iterator[Aws]:
    account = AwsAccount(credentials=[])

    def know(issued: Issued) -> None:
        assert account.credentials is not None
        account.credentials.append(
            AwsCredential(
                access_key=issued.key_id,
                secret_key=issued.secret,
                session_token=issued.token,
                expires_at_s=issued.expires_s,
            )
        )

    with (
        AwsIdentityServer(on_issue=know) as identity,
        SimulatedProvider(aws=account).in_thread() as provider,
    ):
        yield Aws(identity, account, provider)


@pytest.fixture
def start(aws: Aws, launch, tmp_path: Path):
    """Starts a gateway that is a pod with a role."""

    def start(*options: str):
        config = CONFIG.format(address=aws.provider.base_url, folder=tmp_path / "ledger")
        return launch(config, *options, environ=aws.identity.environ("web_identity", tmp_path))

    return start


def ask(running) -> tuple[int, dict[str, object], dict[str, str]]:
    body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8})
    request = urllib.request.Request(
        f"{running.address}/v1/chat/completions", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), dict(error.headers)


def test_a_credential_is_renewed_before_it_expires_and_no_request_fails(aws: Aws, start) -> None:
    aws.identity.life_s = 3.0
    running = start("--workers=2").ready()
    asked = 0
    end = time.monotonic() + 30
    # As many as fit: several generations, the first of which has expired while requests ran.
    while len(aws.identity.issued) < 3 or time.time() < aws.identity.issued[0].expires_s:
        assert time.monotonic() < end, aws.identity.issued
        status, answer, headers = ask(running)
        assert status == 200, answer
        assert headers["x-trimaran-attempts"] == "1"
        asked += 1
    assert asked > 20
    assert len(set(aws.signed_with)) >= 2


def test_a_credential_that_expires_early_is_renewed_and_the_request_answered(aws: Aws, start) -> None:
    running = start().ready()
    assert ask(running)[0] == 200
    aws.expire()
    status, answer, headers = ask(running)
    assert status == 200, answer
    assert headers["x-trimaran-attempts"] == "2"
    first, second = dict.fromkeys(aws.signed_with)
    assert [each.key_id for each in aws.identity.issued] == [first, second]


def test_requests_that_come_before_the_first_credential_wait_for_it(aws: Aws, start) -> None:
    aws.identity.gate.clear()
    running = start().ready()
    shown = running.until(lambda: running.state()["upkeep"]["conditions"], "the upkeep")
    assert shown == {"credential:sagemaker": {"level": "pending", "reason": "credentials are being fetched"}}
    running.until(lambda: running.state()["ready"], "readiness")
    aws.identity.gate.set()
    assert ask(running)[0] == 200


def test_what_cannot_be_had_is_told_with_its_mend_and_comes_back(aws: Aws, start) -> None:
    aws.identity.refusals["AssumeRoleWithWebIdentity"] = Refused(400, "InvalidIdentityToken", "No provider found")
    running = start().ready()
    running.until(lambda: running.state()["upkeep"]["problems"], "the problem")
    status, answer, _ = ask(running)
    assert status == 503
    said = json.dumps(answer)
    assert ROLE in said and "eks.amazonaws.com/role-arn" in said
    assert "Traceback" not in running.log()
    aws.identity.refusals.clear()
    running.until(lambda: not running.state()["upkeep"]["problems"], "the credential")
    assert ask(running)[0] == 200


def test_a_worker_that_dies_gets_the_credential_again(aws: Aws, start) -> None:
    running = start().ready()
    assert ask(running)[0] == 200
    (worker,) = running.state()["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    running.until(lambda: running.state()["workers"][0]["restarts"] == 1 and running.state()["ready"], "the restart")
    assert ask(running)[0] == 200
    assert len(set(aws.signed_with)) == 1


def test_no_secret_is_shown(aws: Aws, start) -> None:
    running = start().ready()
    assert ask(running)[0] == 200
    state = running.state()["upkeep"]["credentials"]["sagemaker"]
    assert state["source"] == f"IRSA role {ROLE}" and state["expires"]
    aws.expire()
    aws.identity.refusals["AssumeRoleWithWebIdentity"] = Refused()
    ask(running)
    shown = running.log() + json.dumps(running.state()) + running.metrics()
    for issued in aws.identity.issued:
        assert issued.secret not in shown and issued.token not in shown
    running.stop()
    ledger = b"".join(path.read_bytes() for path in (running.folder).rglob("*") if path.is_file())
    for issued in aws.identity.issued:
        assert issued.secret.encode() not in ledger and issued.token.encode() not in ledger
