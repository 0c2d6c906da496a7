"""Bedrock behind the gateway: what goes wrong there, as three vendors' clients hear it; what is taken elsewhere; what it costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.aws import AwsAccount, AwsCredential

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
POOR = "poor-client-key-0123456789"
KEYS = {"AWS_KEY": "AKIDEXAMPLE", "AWS_SECRET": "simulated-secret", "POOR_KEY": POOR}
CONFIG = """\
models:
  claude: {{targets: ["bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"]}}
  nova: {{targets: ["bedrock/us.amazon.nova-pro-v1:0"]}}
  llama: {{targets: ["bedrock/meta.llama3-3-70b-instruct-v1:0"]}}
  gone: {{targets: ["bedrock/meta.gone-v1:0"]}}
  clouds:
    strategy: ordered
    targets: ["bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", openai/gpt-4o-mini]
providers:
  bedrock: {{base_url: "{address}", region: us-east-1, access_key_id: "${{AWS_KEY}}", secret_access_key: "${{AWS_SECRET}}"}}
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
keys:
  plain: {{key: "${{CLIENT_KEY}}"}}
  poor: {{key: "${{POOR_KEY}}", budget: 0.000001 USD/day}}
ledger: {{dir: ./ledger}}
limits: {{deadline: 5s, max_attempts: 3}}
"""


@pytest.fixture(scope="module")
def account() -> AwsAccount:
    known = AwsCredential(access_key=KEYS["AWS_KEY"], secret_key=KEYS["AWS_SECRET"])
    return AwsAccount(credentials=[known])


@pytest.fixture(scope="module")
def provider(account: AwsAccount) -> Iterator[SimulatedProvider]:
    with SimulatedProvider(aws=account).in_thread() as simulated:
        yield simulated


@pytest.fixture(autouse=True)
def healthy(provider: SimulatedProvider, account: AwsAccount) -> None:
    provider.behaviour = Behaviour(output_tokens=6)
    account.clock_ahead_s = 0.0
    account.denied.clear()
    provider.bedrock.granted = None
    provider.bedrock.only_listed = False


@pytest.fixture
def gateway(provider: SimulatedProvider, start: Any) -> Any:
    """A new one for each test: what one test teaches about a target is no business of the next."""
    return start(CONFIG.format(address=provider.base_url), environ=KEYS).ready()


class Clients:
    """The three vendors' clients of one gateway. Each asks for one word, and tells what came of it."""

    def __init__(self, address: str, key: str) -> None:
        self._openai = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
        self._anthropic = anthropic.Anthropic(base_url=address, api_key=key, max_retries=0)
        config = Config(retries={"max_attempts": 0}, proxies={}, signature_version="v4")
        self._boto = boto3.client(
            "bedrock-runtime", endpoint_url=address, region_name="us-east-1", aws_access_key_id=key,
            aws_secret_access_key="any", config=config,
        )  # fmt: skip

    def close(self) -> None:
        for each in (self._openai, self._anthropic, self._boto):
            each.close()

    def openai(self, model: str) -> str:
        answer = self._openai.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
        return answer.choices[0].message.content or ""

    def anthropic(self, model: str) -> str:
        answer = self._anthropic.messages.create(
            model=model, max_tokens=20, messages=[{"role": "user", "content": "hi"}]
        )
        return "".join(block.text for block in answer.content if block.type == "text")

    def boto(self, model: str) -> str:
        answer = self._boto.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "hi"}]}])
        return "".join(block["text"] for block in answer["output"]["message"]["content"])

    def boto_stream(self, model: str) -> list[str]:
        messages = [{"role": "user", "content": [{"text": "hi"}]}]
        with closing(self._boto.converse_stream(modelId=model, messages=messages)["stream"]) as stream:
            return [next(iter(each)) for each in stream]

    def told(self, model: str) -> dict[str, tuple[int, str, str]]:
        """Status, kind and words of each client's error."""
        found = {}
        with pytest.raises(openai.APIStatusError) as said:
            self.openai(model)
        found["openai"] = said.value.status_code, type(said.value).__name__, str(said.value)
        with pytest.raises(anthropic.APIStatusError) as heard:
            self.anthropic(model)
        found["anthropic"] = heard.value.status_code, type(heard.value).__name__, str(heard.value)
        with pytest.raises(ClientError) as read:
            self.boto(model)
        response = read.value.response
        status = response["ResponseMetadata"]["HTTPStatusCode"]
        found["boto"] = status, response["Error"]["Code"], response["Error"]["Message"]
        return found


@pytest.fixture
def clients(gateway: Any, client_key: str) -> Iterator[Clients]:
    with closing(Clients(gateway.address, client_key)) as opened:
        yield opened


# What goes wrong, and what each client makes of it

_THROTTLED = ("RateLimitError", "RateLimitError", "ThrottlingException")
_SERVER = ("InternalServerError", "InternalServerError", "InternalServerException")
FAULTS = [
    (429, "ThrottlingException", 429, _THROTTLED),
    (400, "ServiceQuotaExceededException", 429, _THROTTLED),
    (503, "ServiceUnavailableException", 503, ("InternalServerError", "ServiceUnavailableError", "ServiceUnavailableException")),
    (400, "ValidationException", 400, ("BadRequestError", "BadRequestError", "ValidationException")),
    (500, "InternalServerException", 502, _SERVER),
    (424, "ModelErrorException", 502, _SERVER),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error_type", "told", "kinds"), FAULTS, ids=[each[1] for each in FAULTS])
def test_each_error_of_bedrocks_has_one_meaning_for_all_clients(
    clients: Clients, provider: SimulatedProvider, status: int, error_type: str, told: int, kinds: tuple[str, str, str]
) -> None:
    provider.behaviour = Behaviour(fault="status", status=status, error_code=error_type, error_message="said Bedrock")
    found = clients.told("nova")
    for client, kind in zip(("openai", "anthropic", "boto"), kinds, strict=True):
        seen_status, seen_kind, words = found[client]
        if "circuit" in words:
            # What the first two met has opened it, and the third is told that.
            kind, told = "ServiceUnavailableException", 503
        assert seen_kind == kind, (client, found[client])
        assert seen_status == told or client == "boto"
        assert "said Bedrock" in words or "resting" in words or "circuit" in words
    assert "said Bedrock" in found["openai"][2]


OPERATORS = [
    ("llama", {}, "list-inference-profiles"),
    ("gone", {"only_listed": True}, "list-foundation-models"),
    ("nova", {"granted": set()}, "model-access"),
    ("nova", {"clock_ahead_s": 900.0}, "clock"),
    ("nova", {"denied": {"bedrock:InvokeModel"}}, "bedrock:InvokeModel"),
]


@pytest.mark.parametrize(("model", "changes", "mend"), OPERATORS, ids=[each[2] for each in OPERATORS])
def test_what_an_operator_has_to_mend_is_told_with_how(
    clients: Clients, provider: SimulatedProvider, account: AwsAccount, model: str, changes: Any, mend: str
) -> None:
    if "granted" in changes:
        provider.bedrock.granted = changes["granted"]
    provider.bedrock.only_listed = "only_listed" in changes
    if "denied" in changes:
        account.denied |= changes["denied"]
    account.clock_ahead_s = changes.get("clock_ahead_s", 0.0)
    with pytest.raises(openai.APIStatusError) as said:
        clients.openai(model)
    assert said.value.status_code >= 500
    assert mend.lower() in str(said.value).lower()


@pytest.mark.parametrize("event", ["throttlingException", "modelStreamErrorException", "internalServerException"])
def test_an_exception_inside_a_stream_is_one_inside_the_clients(
    clients: Clients, provider: SimulatedProvider, event: str
) -> None:
    provider.behaviour = Behaviour(
        output_tokens=6,
        tpot_s=0.05,
        fault="in_band_error",
        error_code=event,
        error_message="said Bedrock",
        after_tokens=2,
    )
    with pytest.raises(EventStreamError, match="said Bedrock"):
        clients.boto_stream("nova")


# Elsewhere


@pytest.mark.parametrize("fault", ["status", "reset", "in_band_error"])
def test_another_cloud_answers(clients: Clients, provider: SimulatedProvider, gateway: Any, fault: str) -> None:
    broken = Behaviour(fault=fault, status=503, after_tokens=0, error_code="throttlingException")
    provider.set_behaviour(broken, CLAUDE)

    def answered(simulated: SimulatedProvider) -> int:
        return sum(each.model == "gpt-4o-mini" and each.outcome == "completed" for each in simulated.log)

    before = answered(provider)
    assert "Simulated" in clients.boto("clouds")
    events = clients.boto_stream("clouds")
    assert (events[0], events[-2:]) == ("messageStart", ["messageStop", "metadata"])
    assert "Simulated" in clients.anthropic("clouds")
    assert "Simulated" in clients.openai("clouds")
    provider.wait_until(lambda simulated: answered(simulated) == before + 4)


# Money


def test_every_attempt_is_priced_by_bedrocks_own_table(clients: Clients, gateway: Any) -> None:
    for ask in (clients.openai, clients.anthropic, clients.boto):
        ask("claude")
    path = gateway.folder / "ledger" / "ledger.sqlite3"

    def rows() -> list[tuple[Any, ...]]:
        if not path.exists():
            return []
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            found = ledger.execute(
                "SELECT target, input_tokens, output_tokens, cost_nanos FROM attempts WHERE status = 'ok'"
            ).fetchall()
            return found if len(found) == 3 else []
        # The gateway serves before its ledger's tables are there.
        return []

    # Claude Haiku 4.5 in a geography of Bedrock's: 1.10 and 5.50 USD for a million tokens.
    for target, inputs, outputs, cost in gateway.until(rows, "the three rows"):
        assert target == f"bedrock/{CLAUDE}"
        assert cost == inputs * 1_100 + outputs * 5_500


@pytest.mark.parametrize("stream", [False, True])
def test_a_tier_that_a_provider_asks_for_is_charged(start: Any, provider: SimulatedProvider, stream: bool) -> None:
    model = "mistral.ministral-3-8b-instruct"
    gateway = start(
        f"""models: {{m: {{targets: ["bedrock/{model}"]}}}}
providers:
  bedrock:
    api: invoke
    headers: {{X-Amzn-Bedrock-Service-Tier: priority}}
    base_url: "{provider.base_url}"
    region: us-east-1
    access_key_id: "${{AWS_KEY}}"
    secret_access_key: "${{AWS_SECRET}}"
ledger: {{dir: ./ledger}}
""",
        environ=KEYS,
    ).ready()
    with openai.OpenAI(base_url=f"{gateway.address}/v1", api_key="any", max_retries=0) as client:
        asked = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=stream)
        _ = list(asked) if stream else asked
    path = gateway.folder / "ledger" / "ledger.sqlite3"

    def row() -> Any:
        if not path.exists():
            return None
        with suppress(sqlite3.OperationalError), sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
            return ledger.execute("SELECT service_tier, cost_nanos, bound_nanos FROM attempts").fetchone()
        return None

    tier, cost, bound = gateway.until(row, "the row")
    assert tier == "priority"
    assert 0 < cost <= bound


def test_tokens_are_counted_for_a_model_that_runs_through_profiles_only(gateway: Any, client_key: str) -> None:
    with anthropic.Anthropic(base_url=gateway.address, api_key=client_key, max_retries=0) as client:
        counted = client.messages.count_tokens(model="claude", messages=[{"role": "user", "content": "hi"}])
    assert counted.input_tokens > 0


def test_a_budget_binds_boto3_as_it_does_everybody(gateway: Any, provider: SimulatedProvider) -> None:
    before = provider.log.total
    with closing(Clients(gateway.address, POOR)) as poor, pytest.raises(ClientError) as said:
        poor.boto("claude")
    assert "budget" in str(said.value)
    assert provider.log.total == before


def test_a_key_that_is_not_known_is_refused_in_aws_words(gateway: Any) -> None:
    with closing(Clients(gateway.address, "AKIASTRANGER")) as stranger, pytest.raises(ClientError) as said:
        stranger.boto("claude")
    assert said.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert said.value.response["Error"]["Code"] in ("UnrecognizedClientException", "AccessDeniedException")
    assert said.value.response["ResponseMetadata"]["RequestId"]


def test_invoke_model_is_not_a_surface_and_says_what_is(gateway: Any, client_key: str) -> None:
    client = boto3.client(
        "bedrock-runtime", endpoint_url=gateway.address, region_name="us-east-1", aws_access_key_id=client_key,
        aws_secret_access_key="any", config=Config(retries={"max_attempts": 0}, proxies={}, signature_version="v4"),
    )  # fmt: skip
    with closing(client), pytest.raises(ClientError, match="converse"):
        client.invoke_model(modelId="claude", body=b"{}")
