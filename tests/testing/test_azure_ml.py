"""The simulated online endpoints of Azure Machine Learning: who answers, what containers say, how the platform refuses."""

from __future__ import annotations

import json

import openai
import pytest

from trimaran.testing import (
    Azure,
    AzureCloud,
    AzureML,
    Behaviour,
    EntraToken,
    OnlineDeployment,
    OnlineEndpoint,
    SimulatedProvider,
)
from trimaran.testing.azure import COGNITIVE_SERVICES, MACHINE_LEARNING
from trimaran.testing.azure_ml import ML_CONTAINERS
from trimaran.testing.azure_ml_scoring import ML_PREFIX

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}
ROWS = {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, 4.5]]}


def slug(container):
    return container.replace("_", "-")


ALL = OnlineEndpoint(
    name="all", deployments=tuple(OnlineDeployment(name=slug(kind), container=kind) for kind in ML_CONTAINERS)
)


@pytest.fixture
def workspace():
    return AzureML(AzureCloud(), [ALL, OnlineEndpoint(name="one")])


@pytest.fixture
async def provider(workspace):
    behaviour = Behaviour(text="one two three four")
    async with SimulatedProvider(behaviour, azure=Azure(ml=workspace), keys=["right"]) as running:
        yield running


@pytest.fixture
def score(ask, provider):
    """``await score(body, endpoint, deployment, route)``."""

    async def send(body, endpoint="all", deployment=None, route="/score", **headers):
        headers = {"authorization": "Bearer right", "content-type": "application/json", **headers}
        if deployment is not None:
            headers["azureml-model-deployment"] = deployment
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await ask(provider, path=f"{ML_PREFIX}{endpoint}{route}", headers=headers, body=data)

    return send


# Containers


@pytest.mark.parametrize(
    ("deployment", "route", "body", "answer"),
    [
        ("catalog-chat", "/score", {"input_data": {"input_string": TURNS}}, {"output": "one two three four"}),
        (
            "catalog-chat",
            "/score",
            {"input_data": {"input_string": TURNS, "parameters": {"max_new_tokens": 2, "temperature": 0.2}}},
            {"output": "one two"},
        ),
        (
            "catalog-text",
            "/score",
            {"input_data": {"input_string": ["a", "b"], "parameters": {"max_new_tokens": 1}}},
            [{"0": "one"}, {"0": "one"}],
        ),
        (
            "catalog-text",
            "/score",
            {"input_data": ["a"], "params": {"stop": [" three"]}},
            [{"0": "one two"}],
        ),
        ("huggingface", "/score", {"inputs": "a"}, [{"generated_text": "one two three four"}]),
        (
            "huggingface",
            "/score",
            {"inputs": ["a", "b"], "parameters": {"max_new_tokens": 1}},
            [[{"generated_text": "one"}], [{"generated_text": "one"}]],
        ),
        (
            "tgi",
            "/generate",
            {"inputs": "a", "parameters": {"max_new_tokens": 3}},
            [{"generated_text": "one two three"}],
        ),
        ("mlflow", "/score", {"input_data": ROWS}, [3.0, 7.5]),
        ("mlflow", "/invocations", {"input_data": [[1, 1], [2, 2]]}, [2.0, 4.0]),
        ("mlflow", "/score", {"input_data": {"a": [1, 2], "b": [3, 4]}}, [4.0, 6.0]),
    ],
)
async def test_scoring_shapes(score, deployment, route, body, answer):
    raw = await score(body, deployment=deployment, route=route)
    assert (raw.status, raw.json()) == (200, answer)
    assert raw.header("azureml-model-deployment") == deployment
    assert raw.header("content-type") == "application/json"


async def test_triton_speaks_kserve(score):
    raw = await score({"inputs": [TENSOR]}, deployment="triton", route="/v2/models/any/infer")
    assert raw.json()["outputs"] == [{"name": "OUTPUT0", "datatype": "FP32", "shape": [1], "data": [3.0]}]
    assert (await score({"inputs": [TENSOR]}, deployment="triton")).status == 424


@pytest.mark.parametrize(("task", "member"), [("text-classification", "label"), ("feature-extraction", None)])
async def test_hugging_faces_pipelines(score, workspace, task, member):
    workspace.change("all", "huggingface", task=task)
    alone = (await score({"inputs": "good"}, deployment="huggingface")).json()
    several = (await score({"inputs": ["good", "bad"]}, deployment="huggingface")).json()
    assert several[0] == alone
    assert (alone[0][member] in ("POSITIVE", "NEGATIVE")) if member else len(alone[0]) == 8


@pytest.mark.parametrize("deployment", ["vllm", "tgi", "catalog-chat"])
async def test_openai_shaped_routes(score, deployment):
    body = {"messages": TURNS, "stream": True, "stream_options": {"include_usage": True}}
    for route in ("/v1/chat/completions", "/chat/completions"):
        raw = await score(body, deployment=deployment, route=route)
        chunks = [json.loads(data) for _, data in raw.events() if data != "[DONE]"]
        text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
        assert text == "one two three four"
        assert raw.header("azureml-model-deployment") == deployment


def test_the_openai_client_takes_an_endpoint_as_its_base_url(workspace):
    with SimulatedProvider(azure=Azure(ml=workspace)).in_thread() as running:
        options = {"base_url": f"{running.base_url}{ML_PREFIX}one/v1", "api_key": "any", "max_retries": 0}
        with openai.OpenAI(**options) as client:
            answer = client.chat.completions.with_raw_response.create(model="any", messages=TURNS)
            assert answer.headers["azureml-model-deployment"] == "blue"
            assert answer.parse().choices[0].message.content


async def test_a_conversation_counts_alike_in_both_shapes(score, provider):
    await score({"input_data": {"input_string": TURNS}}, deployment="catalog-chat")
    await score({"messages": TURNS}, deployment="catalog-chat", route="/v1/chat/completions")
    first, second = provider.log[-2:]
    assert first.input_tokens == second.input_tokens > 0
    assert (first.model, first.dialect) == ("all", "azure_ml.score")


# Who answers


async def test_traffic_decides_and_the_header_overrules_it(score, workspace):
    rows = tuple(OnlineDeployment(name=name) for name in ("blue", "green"))
    workspace.put(
        OnlineEndpoint(
            name="split", deployments=(*rows, OnlineDeployment(name="new")), traffic={"blue": 50, "green": 50}
        )
    )
    body = {"messages": TURNS}
    seen = [
        (await score(body, "split", route="/v1/chat/completions")).header("azureml-model-deployment") for _ in range(20)
    ]
    assert set(seen) == {"blue", "green"}
    raw = await score(body, "split", "new", "/v1/chat/completions")
    assert (raw.status, raw.header("azureml-model-deployment")) == (200, "new")


@pytest.mark.parametrize(
    "endpoint",
    [
        OnlineEndpoint(name="e", traffic={}),
        OnlineEndpoint(name="e", deployments=()),
        OnlineEndpoint(name="e", deployments=(OnlineDeployment(provisioning_state="Creating"),)),
    ],
)
async def test_nobody_to_route_to(score, workspace, endpoint):
    workspace.put(endpoint)
    raw = await score({"messages": TURNS}, "e", route="/v1/chat/completions")
    assert (raw.status, raw.header("content-type")) == (404, "text/plain")
    assert b"No valid deployments to route to" in raw.body


async def test_unknown_names(score, workspace):
    assert b"No valid deployments" in (await score({}, "one", "nobody")).body
    assert (await score({}, "nobody")).status == 404
    workspace.remove("one")
    assert (await score({}, "one")).status == 404


def test_traffic_must_name_what_is_there():
    with pytest.raises(ValueError, match="traffic names 'green'; there are blue"):
        OnlineEndpoint(name="e", traffic={"green": 100})
    with pytest.raises(ValueError, match="names of their own"):
        OnlineEndpoint(name="e", deployments=(OnlineDeployment(), OnlineDeployment()))


# Refusals


async def test_keys(score, workspace):
    raw = await score({"messages": TURNS}, "one", route="/v1/chat/completions", authorization="Bearer wrong")
    assert (raw.status, raw.body) == (401, b"key_auth_access_denied")
    raw = await score({"messages": TURNS}, "one", route="/v1/chat/completions", authorization="right")
    assert (raw.status, raw.body) == (401, b"key_auth_bad_header_forbidden")
    workspace.change("one", keys=("own",))
    raw = await score({"messages": TURNS}, "one", route="/v1/chat/completions", authorization="Bearer own")
    assert raw.status == 200


async def test_tokens_are_for_machine_learning(score, workspace):
    workspace.change("one", auth_mode="AADToken")
    workspace.cloud.tokens = [
        EntraToken(value="good", principal="me", audience=MACHINE_LEARNING),
        EntraToken(value="other", audience=COGNITIVE_SERVICES),
    ]
    sent = {"endpoint": "one", "route": "/v1/chat/completions"}
    statuses = [
        (await score({"messages": TURNS}, **sent, authorization=f"Bearer {value}")).status
        for value in ("good", "other", "right")
    ]
    assert statuses == [200, 401, 401]
    workspace.cloud.denied = {"Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"}
    assert (await score({"messages": TURNS}, **sent, authorization="Bearer good")).status == 403


@pytest.mark.parametrize(
    ("deployment", "body", "own", "words"),
    [
        ("vllm", {"messages": []}, "400", "empty array"),
        ("catalog-chat", {"inputs": "a"}, "400", "Expected input format"),
        ("catalog-chat", {"input_data": {"input_string": "a"}}, "400", "query is not a list"),
        ("catalog-chat", {"input_data": {"input_string": ["a"]}}, "400", "Expected input format"),
        ("catalog-text", {"input_data": "a"}, "400", "Invalid input data"),
        ("catalog-text", b"{", "400", "Failed to parse"),
        ("huggingface", {"text": "a"}, "400", "inputs key"),
        ("mlflow", {"inputs": [[1]]}, "500", "unexpected error occurred in scoring script"),
        ("mlflow", {"input_data": 1}, "500", "unexpected error occurred in scoring script"),
    ],
)
async def test_what_a_container_refuses_is_a_424_in_its_own_words(score, deployment, body, own, words):
    route = "/v1/chat/completions" if deployment == "vllm" else "/score"
    raw = await score(body, deployment=deployment, route=route)
    assert (raw.status, raw.header("ms-azureml-model-error-statuscode")) == (424, own)
    assert raw.header("ms-azureml-model-error-reason") == "model_error"
    assert words in raw.body.decode()


async def test_a_route_that_the_container_has_not(score):
    raw = await score({}, deployment="vllm", route="/v1/other")
    assert (raw.status, raw.header("ms-azureml-model-error-statuscode")) == (424, "404")


async def test_a_prompt_over_the_context_is_the_containers_affair(score, provider):
    provider.behaviour = Behaviour(context_tokens=3)
    raw = await score({"messages": TURNS}, deployment="vllm", route="/v1/chat/completions")
    assert (raw.status, raw.header("ms-azureml-model-error-statuscode")) == (424, "400")
    assert "maximum context length is 3 tokens" in raw.json()["error"]["message"]


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ({"saturated": True}, 429, "too_many_pending_request"),
        ({"ready": False}, 424, "model_not_ready"),
        ({"instance_count": 0}, 424, "model_not_ready"),
    ],
)
async def test_states_of_a_deployment(score, workspace, state, status, reason):
    workspace.change("one", "blue", **state)
    raw = await score({"messages": TURNS}, "one", route="/v1/chat/completions")
    assert (raw.status, raw.header("ms-azureml-model-error-reason"), raw.body) == (status, reason, b"")


async def test_kubernetes_says_503(score, workspace):
    workspace.change("one", compute="Kubernetes")
    workspace.change("one", "blue", ready=False)
    assert (await score({"messages": TURNS}, "one", route="/v1/chat/completions")).status == 503


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        (Behaviour(fault="status", status=429), (429, "too_many_pending_request", None, "")),
        (Behaviour(fault="status", status=408), (408, None, None, "upstream request timeout")),
        (Behaviour(fault="status", status=503), (503, None, None, "no healthy upstream")),
        (
            Behaviour(fault="status", status=424, error_code="503", error_message="busy"),
            (424, "model_error", "503", "busy"),
        ),
    ],
)
async def test_statuses_on_demand(score, provider, behaviour, seen):
    provider.set_behaviour(behaviour, "one")
    raw = await score({"messages": TURNS}, "one", route="/v1/chat/completions")
    names = ("ms-azureml-model-error-reason", "ms-azureml-model-error-statuscode")
    assert (raw.status, *(raw.header(name) for name in names), raw.body.decode()) == seen


async def test_by_default_every_endpoint_exists_and_answers_as_vllm_does(ask):
    async with SimulatedProvider() as running:
        body, headers = json.dumps({"messages": TURNS}).encode(), {"authorization": "Bearer any"}
        for name, status in (("whatever", 200), ("missing-one", 404)):
            raw = await ask(running, path=f"{ML_PREFIX}{name}/v1/chat/completions", headers=headers, body=body)
            assert raw.status == status
