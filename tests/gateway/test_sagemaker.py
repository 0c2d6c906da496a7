"""SageMaker behind the gateway: OpenAI's, Anthropic's and AWS's own clients reach endpoints of every kind.

The containers, the event streams and the control plane are simulated; the clients and boto3 are real.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.contract.sagemaker_session import SIMULATED_ENDPOINT_BEHAVIOURS, SIMULATED_ENDPOINTS
from trimaran.testing.sagemaker import Endpoint, SageMaker

boto3 = pytest.importorskip("boto3")
botocore_config = pytest.importorskip("botocore.config")
exceptions = pytest.importorskip("botocore.exceptions")

KEYS = {"SM_KEY": "AKIDEXAMPLE", "SM_SECRET": "secret"}
CONFIG = """\
models:
  vllm: {{targets: [sagemaker/sim-vllm-cut]}}
  served: {{targets: [sagemaker/sim-served]}}
  lmi: {{targets: [sagemaker/sim-lmi-cut]}}
  tgi: {{targets: [sagemaker/sim-tgi-cut]}}
  neuron: {{targets: [sagemaker/sim-neuron]}}
  jumpstart: {{targets: [sagemaker/sim-jumpstart]}}
  generate-tgi: {{targets: [sagemaker/generate-tgi]}}
  generate-lmi: {{targets: [sagemaker/generate-lmi]}}
  triton: {{targets: [sagemaker/sim-triton]}}
  tensor: {{targets: [sagemaker/sim-tensor]}}
  component: {{targets: [sagemaker/awake]}}
  asleep: {{targets: [sagemaker/asleep]}}
  creating: {{targets: [sagemaker/sim-creating]}}
  busy: {{targets: [sagemaker/sim-container-busy]}}
  failover: {{strategy: ordered, targets: [sagemaker/sim-failed, sagemaker/sim-container-busy, openai/gpt-4o-mini]}}
providers:
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  sagemaker:
    region: us-east-1
    base_url: "{address}"
    access_key_id: "${{SM_KEY}}"
    secret_access_key: "${{SM_SECRET}}"
    endpoints:
      sim-vllm-cut: {{capacity: {{instance_type: ml.g5.2xlarge, instances: 7, hourly: 3600 USD}}}}
      sim-served: {{model: llama}}
      sim-lmi-cut: {{container: lmi}}
      sim-tgi-cut: {{container: tgi}}
      sim-neuron: {{container: neuron}}
      sim-jumpstart: {{container: jumpstart, base_model: llama-3-8b}}
      generate-tgi: {{endpoint: sim-tgi-cut, container: jumpstart, base_model: mistral-7b}}
      generate-lmi: {{endpoint: sim-lmi-cut, container: jumpstart, base_model: qwen2-7b}}
      sim-triton: {{container: triton}}
      sim-tensor: {{container: tensor}}
      awake: {{endpoint: sim-hosting, inference_component: sim-awake}}
      asleep: {{endpoint: sim-hosting, inference_component: sim-asleep}}
ledger: {{dir: "LEDGER"}}
limits: {{deadline: 10s, max_attempts: 3}}
"""
CONVERSATIONAL = ("vllm", "served", "lmi", "tgi", "neuron", "jumpstart", "generate-tgi", "generate-lmi", "component")
TEXT = "Grüße 👋 from the endpoint"


@pytest.fixture(scope="module")
def provider() -> Iterator[SimulatedProvider]:
    fleet = SageMaker(SIMULATED_ENDPOINTS, template=Endpoint(name="any"))
    behaviours = dict(SIMULATED_ENDPOINT_BEHAVIOURS)
    with SimulatedProvider(Behaviour(text=TEXT), behaviours=behaviours, sagemaker=fleet).in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: SimulatedProvider, launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("ledger")
    config = CONFIG.format(address=provider.base_url).replace("LEDGER", str(folder))
    running = launch(config, environ=KEYS).ready()
    # The endpoints have been looked at.
    running.until(lambda: "sagemaker/sim-failed" in running.state()["upkeep"]["conditions"], "a look at the endpoints")
    return running


@pytest.fixture(scope="module")
def chat(gateway: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.openai_base_url, api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def runtime(gateway: Any) -> Any:
    config = botocore_config.Config(retries={"total_max_attempts": 1})
    return boto3.client(
        "sagemaker-runtime",
        region_name="us-east-1",
        endpoint_url=gateway.address,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="anything",
        config=config,
    )


ASKED: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Why?"},
]


@pytest.mark.parametrize("model", CONVERSATIONAL)
def test_openais_client(chat: openai.OpenAI, model: str) -> None:
    answer = chat.chat.completions.create(model=model, messages=ASKED, max_tokens=50)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    stream = chat.chat.completions.create(
        model=model, messages=ASKED, max_tokens=50, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("model", ["vllm", "lmi", "jumpstart"])
def test_anthropics_client(gateway: Any, model: str) -> None:
    with anthropic.Anthropic(base_url=gateway.address, api_key="x", max_retries=0) as client:
        asked: Any = {"model": model, "max_tokens": 50, "system": "Be brief.", "messages": ASKED[1:]}
        answer = client.messages.create(**asked)
        assert [block.text for block in answer.content if block.type == "text"] == [TEXT]
        assert answer.stop_reason == "end_turn"
        with client.messages.stream(**asked) as stream:
            assert stream.get_final_text() == TEXT


def test_tools(chat: openai.OpenAI, provider: SimulatedProvider) -> None:
    function: Any = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    asked: Any = {
        "messages": [{"role": "user", "content": "look"}],
        "tools": [{"type": "function", "function": function}],
    }
    answer = chat.chat.completions.create(model="vllm", tool_choice="required", **asked)
    assert answer.choices[0].message.tool_calls
    with pytest.raises(openai.BadRequestError, match="'tools'"):
        chat.chat.completions.create(model="jumpstart", **asked)


def test_what_the_endpoint_is_sent(chat: openai.OpenAI, provider: SimulatedProvider) -> None:
    chat.chat.completions.create(model="component", messages=ASKED, max_tokens=5)
    sent = provider.log[-1]
    headers = dict(sent.headers)
    assert sent.path.partition("?")[0] == "/endpoints/sim-hosting/invocations"
    assert headers["x-amzn-sagemaker-inference-component"] == "sim-awake"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "x-amzn-sagemaker-inference-component" in headers["authorization"]
    assert "model" not in json.loads(sent.body or b"{}")
    chat.chat.completions.create(model="served", messages=ASKED, max_tokens=5)
    assert json.loads(provider.log[-1].body or b"{}")["model"] == "llama"


def test_failover_from_an_endpoint_that_cannot(chat: openai.OpenAI, provider: SimulatedProvider) -> None:
    answer = chat.chat.completions.with_raw_response.create(model="failover", messages=ASKED, max_tokens=50)
    assert answer.parse().choices[0].message.content == TEXT
    assert answer.headers["x-trimaran-target"] == "openai/gpt-4o-mini"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("creating", "the endpoint sim-creating is Creating; wait until it is in service: aws sagemaker wait"),
        ("asleep", "has no capacity"),
        ("busy", "busy; its log: aws logs tail /aws/sagemaker/Endpoints/sim-container-busy"),
        ("triton", "conversations cannot be asked of it"),
    ],
)
def test_what_cannot_answer_says_why_and_what_mends_it(chat: openai.OpenAI, model: str, words: str) -> None:
    with pytest.raises(openai.APIStatusError, match=words):
        chat.chat.completions.create(model=model, messages=ASKED, max_tokens=5)


def test_a_containers_refusal_is_the_clients(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat.chat.completions.create(model="vllm", messages=3, max_tokens=5)  # type: ignore[arg-type]
    assert raised.value.status_code == 400
    assert "aws" not in str(raised.value).lower()


# boto3


def test_boto3_sends_anything(runtime: Any, provider: SimulatedProvider) -> None:
    body = b"\x93NUMPY\x00\xff"
    answer = runtime.invoke_endpoint(
        EndpointName="tensor",
        Body=body,
        ContentType="application/x-npy",
        Accept="application/x-npy",
        CustomAttributes="trace=7",
        InferenceId="i-1",
    )
    assert len(answer["Body"].read()) > 0
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    headers = dict(provider.log[-1].headers)
    assert provider.log[-1].body == body
    assert headers["content-type"] == "application/x-npy"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"
    assert headers["x-amzn-sagemaker-inference-id"] == "i-1"
    # Its signature is ours, not the client's.
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]


def test_boto3_cannot_choose_what_the_configuration_fixes(runtime: Any, provider: SimulatedProvider) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}]})
    runtime.invoke_endpoint(
        EndpointName="component", Body=body, ContentType="application/json", InferenceComponentName="sim-asleep"
    )
    headers = [value for name, value in provider.log[-1].headers if name == "x-amzn-sagemaker-inference-component"]
    assert headers == ["sim-awake"]


def test_boto3_streams(runtime: Any) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="vllm", Body=body, ContentType="application/json"
    )
    assert answer["ContentType"].startswith("text/event-stream")
    content = b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"])
    assert content.endswith(b"data: [DONE]\n\n")


def test_boto3_reads_refusals(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        runtime.invoke_endpoint(EndpointName="vllm", Body=b'{"messages": 3}', ContentType="application/json")
    assert raised.value.response["OriginalStatusCode"] == 400
    with pytest.raises(exceptions.ClientError) as missing:
        runtime.invoke_endpoint(EndpointName="nowhere", Body=b"x")
    assert missing.value.response["Error"]["Code"] == "ValidationError"
    assert "nowhere" in missing.value.response["Error"]["Message"]
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        runtime.invoke_endpoint(EndpointName="creating", Body=b"x")


# Tensors


def posted(url: str, body: bytes, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""])
def test_a_web_page_cannot_invoke_an_endpoint(gateway: Any, provider: SimulatedProvider, content_type: str) -> None:
    """It can send any of these across origins without asking first; a header for a credential it cannot."""
    url, before = f"{gateway.address}/endpoints/vllm/invocations", provider.log.total
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    lines = {"Origin": "https://page.example", "Content-Type": content_type}
    status, answer = posted(url, body, **lines)
    assert (status, "'Authorization'" in answer["Message"]) == (403, True)
    assert provider.log.total == before
    assert posted(url, body, **lines, **{"x-api-key": "any"})[0] == 200


def test_tensors_in_kserves_form(gateway: Any) -> None:
    tensor = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}
    body = json.dumps({"inputs": [tensor]}).encode()
    url = f"{gateway.address}/v2/models/triton/infer"
    status, answer = posted(url, body)
    assert (status, answer["outputs"][0]["data"]) == (200, [3.0])
    status, answer = posted(url, body, **{"inference-header-content-length": "10"})
    assert (status, "the binary tensor extension is not served" in answer["error"]) == (400, True)
    status, answer = posted(url, b'{"inputs":[{"name":"x"}]}')
    assert status == 400
