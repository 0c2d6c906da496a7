"""Online endpoints of Azure Machine Learning behind the gateway: every client reaches containers of every kind.

The endpoints and their containers are simulated; the clients are real.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.azure import AzureCloud
from trimaran.testing.azure_ml import AzureML, OnlineDeployment, OnlineEndpoint
from trimaran.testing.azure_services import Azure
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.entra import IDENTITY_HEADER

genai = pytest.importorskip("google.genai")

LLAMA_KEY, OTHER_KEY = "llama-key-0123456789abcdef", "other-key-0123456789abcdef"
CONFIG = """\
models:
  vllm: {{targets: [azure_ml/vllm]}}
  green: {{targets: [azure_ml/green]}}
  served: {{targets: [azure_ml/served]}}
  score: {{targets: [azure_ml/score]}}
  text: {{targets: [azure_ml/text]}}
  hugging: {{targets: [azure_ml/hugging]}}
  tgi: {{targets: [azure_ml/tgi]}}
  entra: {{targets: [azure_ml/entra]}}
  triton: {{targets: [azure_ml/triton]}}
  idle: {{targets: [azure_ml/idle]}}
  full: {{targets: [azure_ml/full]}}
  cold: {{targets: [azure_ml/cold]}}
  stranger: {{targets: [azure_ml/stranger]}}
  broken: {{targets: [azure_ml/broken]}}
  failover: {{strategy: ordered, targets: [azure_ml/full, azure_ml/vllm]}}
providers:
  azure_ml:
    region: westeurope
    api_key: "${{ML_KEY}}"
    online_endpoints:
      vllm: {{url: "{at}/vllm/v1/chat/completions", deployment: blue, capacity: {{instance_type: Standard_NC24ads_A100_v4, hourly: 3.67 USD}}}}
      green: {{url: "{at}/vllm/score", deployment: green}}
      served: {{url: "{at}/vllm/v1/chat/completions", model: meta-llama/Llama-3.1-8B-Instruct}}
      score: {{url: "{at}/score/score", container: score, api_key: "${{LLAMA_KEY}}"}}
      text: {{url: "{at}/text/score", container: score_prompt, base_model: llama-3-8b}}
      hugging: {{url: "{at}/hugging/score", container: huggingface, base_model: mistral-7b}}
      tgi: {{url: "{at}/tgi/generate", container: huggingface, base_model: qwen2-7b}}
      triton: {{url: "{at}/triton/score", container: triton}}
      idle: {{url: "{at}/idle/score"}}
      full: {{url: "{at}/full/v1/chat/completions"}}
      cold: {{url: "{at}/cold/v1/chat/completions"}}
      stranger: {{url: "{at}/score/score", container: score}}
      broken: {{url: "{at}/broken/v1/chat/completions"}}
  entra:
    kind: azure_ml
    online_endpoints: {{llama: {{url: "{at}/entra/v1/chat/completions"}}}}
ledger: {{dir: "LEDGER"}}
limits: {{deadline: 10s, max_attempts: 3}}
""".replace("azure_ml/entra", "entra/llama")
CONVERSATIONAL = ("vllm", "green", "served", "score", "text", "hugging", "tgi", "entra")
TEXT = "Grüße 👋 from the endpoint"
ASKED: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Why?"},
]


@pytest.fixture(scope="module")
def azure() -> Azure:
    cloud = AzureCloud()

    def endpoint(name: str, container: Any, **more: Any) -> OnlineEndpoint:
        return OnlineEndpoint(name=name, deployments=(OnlineDeployment(container=container),), **more)

    both = (OnlineDeployment(name="blue"), OnlineDeployment(name="green"))
    endpoints = (
        OnlineEndpoint(name="vllm", deployments=both),
        endpoint("score", "catalog_chat", keys=(LLAMA_KEY,)),
        endpoint("text", "catalog_text"),
        endpoint("hugging", "huggingface"),
        endpoint("tgi", "tgi"),
        endpoint("entra", "vllm", auth_mode="AADToken"),
        endpoint("triton", "triton"),
        endpoint("idle", "vllm", traffic={}),
        endpoint("broken", "vllm"),
        OnlineEndpoint(name="full", deployments=(OnlineDeployment(saturated=True),)),
        OnlineEndpoint(name="cold", deployments=(OnlineDeployment(ready=False),)),
    )
    return Azure(cloud, ml=AzureML(cloud, endpoints))


@pytest.fixture(scope="module")
def provider(azure: Azure) -> Iterator[SimulatedProvider]:
    behaviours = {"broken": Behaviour(fault="status", status=424, error_code="500", error_message="CUDA out of memory")}
    running = SimulatedProvider(Behaviour(text=TEXT), behaviours=behaviours, azure=azure, keys=[OTHER_KEY])
    with running.in_thread():
        yield running


@pytest.fixture(scope="module")
def gateway(provider: SimulatedProvider, launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = CONFIG.format(at=f"{provider.base_url}/azureml").replace("LEDGER", str(tmp_path_factory.mktemp("ledger")))
    environ = {
        "ML_KEY": OTHER_KEY,
        "LLAMA_KEY": LLAMA_KEY,
        "IDENTITY_ENDPOINT": f"{provider.base_url}/msi/token",
        "IDENTITY_HEADER": IDENTITY_HEADER,
    }
    return launch(config, environ=environ).ready()


@pytest.fixture(scope="module")
def chat(gateway: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.openai_base_url, api_key="x", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", CONVERSATIONAL)
def test_openais_client(chat: openai.OpenAI, model: str) -> None:
    answer = chat.chat.completions.create(model=model, messages=ASKED, max_tokens=50)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    if model != "hugging":
        # Hugging Face's toolkit tells no tokens.
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
    stream = chat.chat.completions.create(model=model, messages=ASKED, max_tokens=50, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


@pytest.mark.parametrize("model", ["vllm", "score", "hugging"])
def test_anthropics_and_googles_clients(gateway: Any, model: str) -> None:
    with anthropic.Anthropic(base_url=gateway.address, api_key="x", max_retries=0) as client:
        asked: Any = {"model": model, "max_tokens": 50, "system": "Be brief.", "messages": ASKED[1:]}
        answer = client.messages.create(**asked)
        assert [block.text for block in answer.content if block.type == "text"] == [TEXT]
        with client.messages.stream(**asked) as stream:
            assert stream.get_final_text() == TEXT
    google = genai.Client(api_key="x", http_options={"base_url": gateway.address})
    assert google.models.generate_content(model=model, contents="Hi").text == TEXT


def test_what_an_endpoint_is_sent(chat: openai.OpenAI, provider: SimulatedProvider) -> None:
    chat.chat.completions.create(model="green", messages=ASKED, max_tokens=5)
    sent = provider.log[-1]
    headers = dict(sent.headers)
    assert sent.path == "/azureml/vllm/v1/chat/completions"
    assert headers["azureml-model-deployment"] == "green"
    assert headers["authorization"] == f"Bearer {OTHER_KEY}"
    assert "model" not in json.loads(sent.body or b"{}")
    chat.chat.completions.create(model="served", messages=ASKED, max_tokens=5)
    assert json.loads(provider.log[-1].body or b"{}")["model"] == "meta-llama/Llama-3.1-8B-Instruct"


def test_a_key_of_the_endpoints_own(chat: openai.OpenAI, provider: SimulatedProvider) -> None:
    chat.chat.completions.create(model="score", messages=ASKED, max_tokens=5, temperature=0.5)
    sent = provider.log[-1]
    assert dict(sent.headers)["authorization"] == f"Bearer {LLAMA_KEY}"
    assert json.loads(sent.body or b"{}") == {
        "input_data": {
            "input_string": ASKED,
            "parameters": {"max_new_tokens": 5, "return_full_text": False, "do_sample": True, "temperature": 0.5},
        }
    }


def test_a_token_of_the_machine(chat: openai.OpenAI, azure: Azure, provider: SimulatedProvider) -> None:
    chat.chat.completions.create(model="entra", messages=ASKED, max_tokens=5)
    token = dict(provider.log[-1].headers)["authorization"].removeprefix("Bearer ")
    assert azure.cloud.issued[token].audience == "https://ml.azure.com"
    # The other provider has keys, so nobody asked for a token of it.
    assert {azure.cloud.issued[value].audience for _, _, value in azure.identity.issued} == {"https://ml.azure.com"}


def test_what_a_catalogue_model_cannot_take_is_refused_by_name(chat: openai.OpenAI) -> None:
    function: Any = {"name": "look", "parameters": {"type": "object"}}
    tools: Any = [{"type": "function", "function": function}]
    with pytest.raises(openai.BadRequestError, match="'tools'"):
        chat.chat.completions.create(model="score", messages=ASKED, tools=tools)
    with pytest.raises(openai.BadRequestError, match="'stop'"):
        chat.chat.completions.create(model="score", messages=ASKED, stop=["x"])


def test_tools_of_an_openai_container(chat: openai.OpenAI) -> None:
    function: Any = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    tools: Any = [{"type": "function", "function": function}]
    answer = chat.chat.completions.create(model="vllm", messages=ASKED, tools=tools, tool_choice="required")
    assert answer.choices[0].message.tool_calls


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("idle", 502, "no deployment that takes traffic.*az ml online-endpoint show --name idle"),
        ("full", 429, "has more requests than it takes at once: too_many_pending_request"),
        ("cold", 503, "no container behind cold is ready; its log: `az ml online-deployment get-logs"),
        ("stranger", 502, "refused the key or token it was sent.*get-credentials"),
        ("broken", 502, "CUDA out of memory; its log"),
    ],
)
def test_what_cannot_answer_says_why_and_what_mends_it(
    chat: openai.OpenAI, model: str, status: int, words: str
) -> None:
    with pytest.raises(openai.APIStatusError, match=words) as raised:
        chat.chat.completions.create(model=model, messages=ASKED, max_tokens=5)
    assert raised.value.status_code == status
    assert OTHER_KEY not in str(raised.value)


def test_a_containers_refusal_is_the_clients(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat.chat.completions.create(model="vllm", messages=3, max_tokens=5)  # type: ignore[arg-type]
    assert raised.value.status_code == 400
    assert "az ml" not in str(raised.value)


def test_failover_from_a_full_endpoint(chat: openai.OpenAI) -> None:
    answer = chat.chat.completions.with_raw_response.create(model="failover", messages=ASKED, max_tokens=50)
    assert answer.headers["x-trimaran-target"] == "azure_ml/vllm"


def test_tensors(gateway: Any, provider: SimulatedProvider) -> None:
    tensor = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}
    request = urllib.request.Request(
        f"{gateway.address}/v2/models/triton/infer",
        json.dumps({"inputs": [tensor]}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["outputs"][0]["data"] == [3.0]
    assert provider.log[-1].path == "/azureml/triton/v2/models/triton/infer"
