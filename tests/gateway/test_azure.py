"""Azure behind the gateway: OpenAI's, Anthropic's, AWS's and Google's own clients reach deployments of Azure OpenAI.

Azure, its tokens and its content filter are simulated; the clients and azure-identity are real.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.azure import AzureCloud
from trimaran.testing.azure_openai_account import AzureDeployment, AzureOpenAIAccount
from trimaran.testing.azure_services import Azure
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.entra import IDENTITY_HEADER

boto3 = pytest.importorskip("boto3")
genai = pytest.importorskip("google.genai")
botocore_config = pytest.importorskip("botocore.config")

KEY = "azure-key-0123456789abcdef"
CONFIG = """\
models:
  chat: {{targets: [azure_openai/chat]}}
  dated: {{targets: [dated/chat]}}
  ptu: {{targets: [azure_openai/full]}}
  late: {{targets: [azure_openai/late]}}
  blocked: {{targets: [azure_openai/blocked]}}
  filtered: {{targets: [azure_openai/filtered]}}
  vectors: {{targets: [azure_openai/vectors]}}
  dated-vectors: {{targets: [dated/vectors]}}
  missing: {{targets: [azure_openai/missing-chat]}}
  busy: {{targets: [azure_openai/busy]}}
  tools: {{targets: [azure_openai/tools]}}
  failover: {{strategy: ordered, targets: [azure_openai/full, azure-west/chat]}}
  regions: {{strategy: ordered, targets: [azure_openai/down, azure-west/chat]}}
  stranger: {{targets: [stranger/chat]}}
providers:
  azure_openai:
    base_url: "{address}"
    api_key: "${{AZURE_KEY}}"
    region: swedencentral
    deployments:
      chat: {{model: gpt-4o-mini}}
      tools: {{model: gpt-4o-mini}}
      full: {{model: gpt-4o, capacity: {{ptu: 50, hourly: 1 USD}}}}
      vectors: {{model: text-embedding-3-small}}
  azure-west: {{kind: azure_openai, base_url: "{address}/openai/v1", api_key: "${{AZURE_KEY}}", deployments: {{chat: {{model: gpt-4o-mini}}}}}}
  dated:
    kind: azure_openai
    base_url: "{address}/openai/deployments/chat/chat/completions"
    api_key: "${{AZURE_KEY}}"
    api_version: 2025-04-01-preview
    deployments: {{chat: {{model: gpt-4o-mini}}, vectors: {{model: text-embedding-3-small}}}}
  stranger: {{kind: azure_openai, base_url: "{address}", api_key: "${{WRONG_KEY}}"}}
ledger: {{dir: "LEDGER"}}
limits: {{deadline: 10s, max_attempts: 3}}
"""
TEXT = "Grüße 👋 from Azure"
ASKED: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Why?"},
]


@pytest.fixture(scope="module")
def azure() -> Azure:
    cloud = AzureCloud()
    deployments = (
        AzureDeployment(name="chat", model="gpt-4o-mini", version="2024-07-18"),
        AzureDeployment(name="tools", model="gpt-4o-mini"),
        AzureDeployment(name="down", model="gpt-4o-mini"),
        AzureDeployment(name="full", model="gpt-4o", sku="ProvisionedManaged", utilization=100.0),
        AzureDeployment(name="late", model="gpt-4o-mini", filtering="asynchronous"),
        AzureDeployment(name="blocked", model="gpt-4o-mini"),
        AzureDeployment(name="filtered", model="gpt-4o-mini"),
        AzureDeployment(name="vectors", model="text-embedding-3-small"),
        AzureDeployment(name="busy", model="gpt-4o-mini", throttled_s=26.0),
    )
    return Azure(cloud, openai=AzureOpenAIAccount(cloud, deployments, keys=[KEY], region="Sweden Central"))


@pytest.fixture(scope="module")
def provider(azure: Azure) -> Iterator[SimulatedProvider]:
    behaviours = {
        "blocked": Behaviour(blocked_prompt="violence"),
        "filtered": Behaviour(text=TEXT, finish_reason="content_filter"),
        "tools": Behaviour(call_tools=True),
        "down": Behaviour(fault="status", status=503),
    }
    with SimulatedProvider(Behaviour(text=TEXT), behaviours=behaviours, azure=azure).in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: SimulatedProvider, launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("ledger")
    config = CONFIG.format(address=provider.base_url).replace("LEDGER", str(folder))
    return launch(config, environ={"AZURE_KEY": KEY, "WRONG_KEY": "wrong-key-0123456789abcdef"}).ready()


@pytest.fixture(scope="module")
def chat(gateway: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.openai_base_url, api_key="x", max_retries=0) as client:
        yield client


# OpenAI's client


@pytest.mark.parametrize("model", ["chat", "dated", "late"])
def test_openais_client(chat: openai.OpenAI, model: str) -> None:
    answer = chat.chat.completions.create(model=model, messages=ASKED, max_tokens=50)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    # Azure's verdicts are there for whoever reads them.
    told = answer.model_dump()
    assert told["prompt_filter_results"][0]["content_filter_results"]["violence"]["filtered"] is False
    assert "hate" in told["choices"][0]["content_filter_results"]
    stream = chat.chat.completions.create(
        model=model, messages=ASKED, max_tokens=50, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices and chunk.choices[0].delta)
        == TEXT
    )
    # The first chunk has no choice, only verdicts on the prompt.
    assert chunks[0].choices == []
    assert chunks[0].model_dump()["prompt_filter_results"]
    assert any(chunk.usage and chunk.usage.completion_tokens > 0 for chunk in chunks)


@pytest.mark.parametrize("model", ["chat", "dated"])
def test_responses(chat: openai.OpenAI, provider: SimulatedProvider, model: str) -> None:
    answer = chat.responses.create(model=model, input="Hi", max_output_tokens=50)
    assert answer.output_text == TEXT
    path = provider.log[-1].path
    assert path == ("/openai/v1/responses" if model == "chat" else "/openai/responses")
    with chat.responses.stream(model=model, input="Hi", max_output_tokens=50) as stream:
        assert stream.get_final_response().output_text == TEXT


@pytest.mark.parametrize(
    ("model", "path"),
    [("vectors", "/openai/v1/embeddings"), ("dated-vectors", "/openai/deployments/vectors/embeddings")],
)
def test_vectors(chat: openai.OpenAI, provider: SimulatedProvider, model: str, path: str) -> None:
    answer = chat.embeddings.create(model=model, input="Hi")
    assert len(answer.data[0].embedding) > 0
    assert provider.log[-1].path == path


def test_what_a_deployment_is_sent(chat: openai.OpenAI, provider: SimulatedProvider) -> None:
    chat.chat.completions.create(model="chat", messages=ASKED, max_tokens=5)
    sent = provider.log[-1]
    headers = dict(sent.headers)
    assert sent.path == "/openai/v1/chat/completions"
    assert headers["api-key"] == KEY
    assert "authorization" not in headers
    assert json.loads(sent.body or b"{}")["model"] == "chat"
    chat.chat.completions.create(model="dated", messages=ASKED, max_tokens=5)
    assert provider.log[-1].path == "/openai/deployments/chat/chat/completions"


def test_tools(chat: openai.OpenAI) -> None:
    function: Any = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    tools: Any = [{"type": "function", "function": function}]
    asked: Any = {"model": "tools", "messages": [{"role": "user", "content": "look"}], "tools": tools}
    answer = chat.chat.completions.create(**asked)
    calls = answer.choices[0].message.tool_calls
    assert calls and calls[0].type == "function"
    json.loads(calls[0].function.arguments)
    told = [
        {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]},
        *({"role": "tool", "tool_call_id": call.id, "content": "seen"} for call in calls),
    ]
    asked["messages"] += told
    assert chat.chat.completions.create(**asked).choices[0].message.content


# OpenAI's client for Azure


@pytest.fixture(scope="module")
def keyed(provider: SimulatedProvider, launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same gateway, for clients with a key."""
    config = CONFIG.format(address=provider.base_url).replace("LEDGER", str(tmp_path_factory.mktemp("ledger")))
    config += 'keys: {client: {key: "${CLIENT_KEY}"}}\n'
    return launch(config, environ={"AZURE_KEY": KEY, "WRONG_KEY": "wrong-key-0123456789abcdef"}).ready()


def test_openais_client_for_azure(keyed: Any, client_key: str, provider: SimulatedProvider) -> None:
    asked: Any = {"azure_endpoint": keyed.address, "api_version": "2024-10-21", "max_retries": 0}
    with openai.AzureOpenAI(api_key=client_key, **asked) as client:
        answer = client.chat.completions.create(model="chat", messages=ASKED, max_tokens=50)
        assert answer.choices[0].message.content == TEXT
        assert answer.model_dump()["prompt_filter_results"]
        chunks = client.chat.completions.create(model="dated", messages=ASKED, max_tokens=50, stream=True)
        assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == TEXT
        assert client.responses.create(model="chat", input="Hi").output_text == TEXT
        assert client.embeddings.create(model="vectors", input="Hi").data[0].embedding
    with openai.AzureOpenAI(azure_ad_token=client_key, azure_deployment="chat", **asked) as client:
        # The path says who is asked.
        answer = client.chat.completions.create(model="whatever", messages=ASKED, max_tokens=50)
        assert answer.choices[0].message.content == TEXT
        assert json.loads(provider.log[-1].body or b"{}")["model"] == "chat"
    with openai.AzureOpenAI(api_key="stranger", **asked) as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="chat", messages=ASKED)


# Other clients


@pytest.mark.parametrize("model", ["chat", "dated", "late"])
def test_anthropics_client(gateway: Any, model: str) -> None:
    with anthropic.Anthropic(base_url=gateway.address, api_key="x", max_retries=0) as client:
        asked: Any = {"model": model, "max_tokens": 50, "system": "Be brief.", "messages": ASKED[1:]}
        answer = client.messages.create(**asked)
        assert [block.text for block in answer.content if block.type == "text"] == [TEXT]
        with client.messages.stream(**asked) as stream:
            assert stream.get_final_text() == TEXT
            assert stream.get_final_message().usage.output_tokens > 0


def test_anthropics_client_and_tools(gateway: Any) -> None:
    with anthropic.Anthropic(base_url=gateway.address, api_key="x", max_retries=0) as client:
        tool: Any = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
        asked: Any = {
            "model": "tools",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "look"}],
            "tools": [tool],
        }
        answer = client.messages.create(**asked)
        assert answer.stop_reason == "tool_use"
        with client.messages.stream(**asked) as stream:
            assert [block.type for block in stream.get_final_message().content] == ["tool_use"]


def test_aws_client(gateway: Any) -> None:
    runtime = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=gateway.address,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="anything",
        config=botocore_config.Config(retries={"total_max_attempts": 1}),
    )
    asked: Any = {"modelId": "chat", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    answer = runtime.converse(**asked)
    assert answer["output"]["message"]["content"][0]["text"] == TEXT
    streamed = runtime.converse_stream(**asked)["stream"]
    assert (
        "".join(event["contentBlockDelta"]["delta"]["text"] for event in streamed if "contentBlockDelta" in event)
        == TEXT
    )


def test_googles_client(gateway: Any) -> None:
    client = genai.Client(api_key="x", http_options={"base_url": gateway.address})
    assert client.models.generate_content(model="chat", contents="Hi").text == TEXT
    streamed = client.models.generate_content_stream(model="chat", contents="Hi")
    assert "".join(chunk.text or "" for chunk in streamed) == TEXT


# The content filter


def test_a_prompt_that_the_filter_refuses(chat: openai.OpenAI, gateway: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat.chat.completions.create(model="blocked", messages=ASKED, max_tokens=5)
    assert raised.value.code == "content_filter"
    # As Azure wrote it.
    inner: Any = raised.value.body
    assert inner["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    assert inner["innererror"]["content_filter_result"]["violence"]["filtered"] is True
    with (
        anthropic.Anthropic(base_url=gateway.address, api_key="x", max_retries=0) as client,
        pytest.raises(anthropic.BadRequestError, match="content management policy"),
    ):
        client.messages.create(model="blocked", max_tokens=5, messages=ASKED[1:])


def test_an_answer_that_the_filter_cuts(chat: openai.OpenAI, gateway: Any) -> None:
    answer = chat.chat.completions.create(model="filtered", messages=ASKED, max_tokens=50)
    assert answer.choices[0].finish_reason == "content_filter"
    chunks = list(chat.chat.completions.create(model="filtered", messages=ASKED, max_tokens=50, stream=True))
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert "content_filter" in reasons
    with anthropic.Anthropic(base_url=gateway.address, api_key="x", max_retries=0) as client:
        translated = client.messages.create(model="filtered", max_tokens=5, messages=ASKED[1:])
        assert translated.stop_reason == "refusal"


# Refusals


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        (
            "missing",
            502,
            "has no deployment missing-chat \\(the configuration lists chat, tools, full, vectors\\); `az cognitiveservices",
        ),
        ("busy", 429, "the quota of the deployment busy is used up now"),
        ("ptu", 429, "the provisioned throughput of the deployment full is used up now"),
        ("stranger", 502, "does not know the key that it was sent"),
    ],
)
def test_what_is_wrong_at_azure_is_told(chat: openai.OpenAI, model: str, status: int, words: str) -> None:
    with pytest.raises(openai.APIStatusError, match=words) as raised:
        chat.chat.completions.create(model=model, messages=ASKED, max_tokens=5)
    assert raised.value.status_code == status
    assert KEY not in str(raised.value)


def test_a_wait_that_azure_asks_for_reaches_the_client(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        chat.chat.completions.create(model="busy", messages=ASKED, max_tokens=5)
    assert 0 < int(raised.value.response.headers["retry-after"]) <= 26


@pytest.mark.parametrize("model", ["failover", "regions"])
def test_another_region_takes_over(chat: openai.OpenAI, model: str) -> None:
    answer = chat.chat.completions.with_raw_response.create(model=model, messages=ASKED, max_tokens=50)
    assert answer.parse().choices[0].message.content == TEXT
    assert answer.headers["x-trimaran-target"] == "azure-west/chat"


def test_what_the_clients_request_gets_wrong_is_told_as_azure_tells_it(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat.chat.completions.create(model="chat", messages=3, max_tokens=5)  # type: ignore[arg-type]
    assert "az " not in str(raised.value)


# Tokens

TOKENS = """\
models:
  chat: {{targets: [azure_openai/chat]}}
providers:
  azure_openai: {{base_url: "{address}", deployments: {{chat: {{model: gpt-4o-mini}}}}}}
limits: {{deadline: 15s}}
ledger: {{dir: "LEDGER"}}
"""


@pytest.fixture
def entra() -> Iterator[tuple[Azure, SimulatedProvider]]:
    cloud = AzureCloud()
    account = AzureOpenAIAccount(cloud, (AzureDeployment(name="chat", model="gpt-4o-mini"),), keys=[KEY])
    azure = Azure(cloud, openai=account)
    with SimulatedProvider(Behaviour(text=TEXT), azure=azure, keys=[KEY]).in_thread() as running:
        yield azure, running


@pytest.fixture
def machine(entra: tuple[Azure, SimulatedProvider], start: Any) -> Any:
    """A gateway on a machine with a managed identity."""
    _, provider = entra
    environ = {"IDENTITY_ENDPOINT": f"{provider.base_url}/msi/token", "IDENTITY_HEADER": IDENTITY_HEADER}
    return lambda *options: start(TOKENS.format(address=provider.base_url), *options, environ=environ)


def _expire(azure: Azure) -> None:
    """All that was given out until now is expired."""
    for value, token in tuple(azure.cloud.issued.items()):
        azure.cloud.issued[value] = msgspec.structs.replace(token, expires_at_s=time.time() - 1)
    azure.identity._machine.clear()


def test_a_token_authenticates_and_one_that_expired_is_renewed(
    entra: tuple[Azure, SimulatedProvider], machine: Any
) -> None:
    azure, provider = entra
    running = machine("--workers=2").ready()
    with openai.OpenAI(base_url=running.openai_base_url, api_key="x", max_retries=0) as client:
        for _ in range(4):
            assert client.chat.completions.create(model="chat", messages=ASKED).choices[0].message.content == TEXT
        headers = dict(provider.log[-1].headers)
        assert headers["authorization"] == f"Bearer {azure.identity.issued[-1][2]}"
        assert "api-key" not in headers
        _expire(azure)
        # Nobody notices: the refused request waits for the new token.
        for _ in range(4):
            assert client.chat.completions.create(model="chat", messages=ASKED).choices[0].message.content == TEXT
    assert len(azure.identity.issued) >= 2
    assert "azure_openai" in running.state()["upkeep"]["credentials"]  # type: ignore[index]


def test_tokens_are_renewed_ahead_and_no_request_fails(entra: tuple[Azure, SimulatedProvider], machine: Any) -> None:
    azure, _ = entra
    azure.identity.lifetimes_s["app_service"] = 4.0
    running = machine().ready()
    end = time.monotonic() + 7.0
    asked = 0
    with openai.OpenAI(base_url=running.openai_base_url, api_key="x", max_retries=0) as client:
        while time.monotonic() < end:
            assert client.chat.completions.create(model="chat", messages=ASKED).choices[0].message.content == TEXT
            asked += 1
            time.sleep(0.05)
    assert asked > 50
    assert len(azure.identity.issued) >= 3


def test_a_missing_role_is_told_and_no_token_is_fetched_for_it(
    entra: tuple[Azure, SimulatedProvider], machine: Any
) -> None:
    azure, _ = entra
    azure.cloud.denied.add("Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action")
    running = machine().ready()
    with openai.OpenAI(base_url=running.openai_base_url, api_key="x", max_retries=0) as client:
        running.until(lambda: azure.identity.issued, "a token")
        before = len(azure.identity.issued)
        with pytest.raises(
            openai.APIStatusError, match=r"lacks the role Cognitive Services OpenAI User.*az role assign"
        ):
            client.chat.completions.create(model="chat", messages=ASKED)
        time.sleep(0.5)
    assert len(azure.identity.issued) == before
