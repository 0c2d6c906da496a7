"""Simulated Vertex AI: who may call, Claude, the OpenAI-shaped endpoint, endpoints of one's own, and the control plane.

``anthropic``'s Vertex client and ``openai`` judge what is served in their dialects.
"""

from __future__ import annotations

import json

import anthropic
import openai
import pytest

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract import ANTHROPIC_MESSAGES, SIMULATED_MODELS, AnthropicSession
from trimaran.testing.google import CLOUD_PLATFORM, GoogleCloud, GoogleToken
from trimaran.testing.google_services import Google
from trimaran.testing.vertex_endpoints import DeployedModel, VertexEndpoint, VertexEndpoints

TOKEN = "ya29.right"
PROJECT = "simulated-project"
MODEL = "claude-haiku-4-5@20251001"
HERE = f"/v1/projects/{PROJECT}/locations/us-central1"
HELLO = {"contents": [{"parts": [{"text": "Hello"}]}]}
QUESTION = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def call(ask):
    """``await call(provider, path, body, token=, **headers)``; without a body a GET."""

    async def send(provider, path, body=None, *, token=TOKEN, **headers):
        method = "GET" if body is None else "POST"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        raw_body = b"" if body is None else json.dumps(body).encode()
        return await ask(provider, path=path, method=method, headers=sent, body=raw_body)

    return send


def details(raw) -> dict[str, dict]:
    return {row["@type"].rpartition(".")[2]: row for row in raw.json()["error"].get("details", ())}


# Who may call

GENERATE = f"{HERE}/publishers/google/models/gemini-2.5-flash:generateContent"


async def test_tokens(call):
    cloud = GoogleCloud(
        tokens=[
            GoogleToken(value=TOKEN),
            GoogleToken(value="old", expires_at_s=1.0),
            GoogleToken(value="narrow", scopes=("https://www.googleapis.com/auth/devstorage.read_only",)),
        ]
    )
    async with SimulatedProvider(google=Google(cloud)) as provider:
        assert (await call(provider, GENERATE, HELLO)).status == 200
        for token, status, reason in (
            ("", 401, "CREDENTIALS_MISSING"),
            ("stranger", 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
            ("old", 401, "ACCESS_TOKEN_EXPIRED"),
            ("narrow", 403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        ):
            raw = await call(provider, GENERATE, HELLO, token=token)
            assert (raw.status, details(raw)["ErrorInfo"]["reason"]) == (status, reason)
            assert (raw.header("www-authenticate") is not None) == (status == 401)
        raw = await call(provider, GENERATE, HELLO, token="", x_goog_api_key="AIza")
        assert raw.status == 401 and raw.json()["error"]["message"].startswith("API keys are not supported by this API")


async def test_a_key_is_enough_without_a_project(call):
    path = "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent"
    async with SimulatedProvider(keys=["AIza"]) as provider:
        assert (await call(provider, path, HELLO, token="", x_goog_api_key="AIza")).status == 200
        assert (await call(provider, f"{path}?key=AIza", HELLO, token="")).status == 200
        raw = await call(provider, path, HELLO, token="", x_goog_api_key="other")
        assert raw.status == 400 and details(raw)["ErrorInfo"]["reason"] == "API_KEY_INVALID"
        assert details(raw)["LocalizedMessage"]["message"] == "API key not valid. Please pass a valid API key."


async def test_the_gemini_api_wants_some_caller(call):
    async with SimulatedProvider() as provider:
        raw = await call(provider, "/v1beta/models/m:generateContent", HELLO, token="")
        assert raw.status == 403 and "unregistered callers" in raw.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "status", "reason", "words"),
    [
        ({"projects": {"other": "1"}}, 403, "CONSUMER_INVALID", f"Permission denied on resource project {PROJECT}."),
        (
            {"locations": ("europe-west4",)},
            403,
            None,
            "Permission denied on 'locations/us-central1' (or it may not exist).",
        ),
        (
            {"disabled": {"aiplatform.googleapis.com"}},
            403,
            "SERVICE_DISABLED",
            "Vertex AI API has not been used in project",
        ),
        (
            {"denied": {"aiplatform.endpoints.predict"}},
            403,
            "IAM_PERMISSION_DENIED",
            "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/",
        ),
    ],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/publishers/google/models/gemini-2.5-flash:generateContent", HELLO),
        (f"/publishers/anthropic/models/{MODEL}:rawPredict", {}),
        ("/endpoints/openapi/chat/completions", {}),
        ("/endpoints/1234567890:predict", {}),
        ("/endpoints/1234567890:rawPredict", {}),
    ],
    ids=["gemini", "claude", "openai", "predict", "raw"],
)
async def test_what_is_not_there_or_not_allowed(call, change, status, reason, words, path, body):
    async with SimulatedProvider(google=Google(GoogleCloud(**change))) as provider:
        raw = await call(provider, HERE + path, body)
        answer = raw.json()
        error = (answer[0] if isinstance(answer, list) else answer)["error"]
        assert raw.status == status and error["message"].startswith(words) and error["status"] == "PERMISSION_DENIED"
        found = [row for row in error.get("details", ()) if row["@type"].endswith("ErrorInfo")]
        assert [row["reason"] for row in found] == ([reason] if reason else [])
        if reason == "SERVICE_DISABLED":
            assert found[0]["metadata"]["activationUrl"].endswith(f"overview?project={PROJECT}")


async def test_the_quota_project(call):
    async with SimulatedProvider(google=Google(GoogleCloud(projects={PROJECT: "123456789012"}))) as provider:
        assert (await call(provider, GENERATE, HELLO, x_goog_user_project=PROJECT)).status == 200
        raw = await call(provider, GENERATE, HELLO, x_goog_user_project="other")
        assert raw.status == 403 and details(raw)["ErrorInfo"]["reason"] == "USER_PROJECT_DENIED"


# Claude


class _VertexSession(AnthropicSession):
    """The checks of Anthropic's messages, asked through Vertex AI's client."""

    def __init__(self, base_url: str, *, asynchronous: bool = False) -> None:
        build = anthropic.AsyncAnthropicVertex if asynchronous else anthropic.AnthropicVertex

        def made(*, api_key: str, **options):
            return build(access_token=api_key, region="us-east5", project_id=PROJECT, **options)

        options = {"base_url": f"{base_url}/v1", "api_key": TOKEN, "max_retries": 0, "timeout": 20.0}
        super(AnthropicSession, self).__init__(made, model=MODEL, asynchronous=asynchronous, rename=str, **options)


@pytest.fixture(scope="module")
def provider():
    llama = {f"meta/{name}": behaviour for name, behaviour in SIMULATED_MODELS.items()}
    with SimulatedProvider(behaviours={**SIMULATED_MODELS, **llama}, keys=[TOKEN]).in_thread() as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def claude(request, provider):
    with _VertexSession(provider.base_url, asynchronous=request.param) as session:
        yield session


@pytest.mark.parametrize("check", ANTHROPIC_MESSAGES, ids=repr)
def test_claude_on_vertex_keeps_anthropics_contract(claude, check):
    assert set(check(claude)) == {"gist", "whole"}


def test_claude_is_named_as_anthropic_names_it(claude, provider):
    assert claude.create(messages=QUESTION).model == "claude-haiku-4-5-20251001"
    assert provider.log[-1].dialect == "vertex.claude" and provider.log[-1].model == MODEL


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("rawPredict", {"model": "x"}, "model: Extra inputs are not permitted"),
        ("rawPredict", {}, "anthropic_version: Field required"),
        ("rawPredict", {"anthropic_version": "2023-06-01"}, "anthropic_version: Input should be 'vertex-2023-10-16'"),
        ("rawPredict", {"anthropic_version": "vertex-2023-10-16"}, "max_tokens: Field required"),
        ("streamRawPredict", {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9}, "stream: "),
        ("rawPredict", {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "stream": True}, "stream: "),
    ],
)
async def test_what_anthropic_refuses_on_vertex(call, method, body, words):
    async with SimulatedProvider() as provider:
        path = f"{HERE}/publishers/anthropic/models/{MODEL}:{method}"
        raw = await call(provider, path, {"messages": QUESTION, **body})
        answer = raw.json()
        assert raw.status == 400 and answer["error"]["type"] == "invalid_request_error"
        assert answer["error"]["message"].startswith(words)
        assert answer["request_id"].startswith("req_vrtx_")


async def test_who_words_a_failure(call):
    body = {"messages": QUESTION, "anthropic_version": "vertex-2023-10-16", "max_tokens": 9}
    path = f"{HERE}/publishers/anthropic/models/{MODEL}:rawPredict"
    async with SimulatedProvider() as provider:
        for status, by_google in ((429, True), (503, True), (500, False), (529, False)):
            provider.behaviour = Behaviour(fault="status", status=status, retry_after_s=2)
            answer = (await call(provider, path, body)).json()
            assert ("type" not in answer) == by_google
        provider.behaviour = Behaviour()
        raw = await call(provider, path.replace(MODEL, "missing-model"), body)
        assert raw.status == 404 and "publishers/anthropic/models/missing-model` was not found" in raw.body.decode()


# Models of other makers


def test_llama_answers_openais_client(provider):
    base_url = f"{provider.base_url}{HERE}/endpoints/openapi"
    with openai.OpenAI(base_url=base_url, api_key=TOKEN, max_retries=0) as client:
        fields = {"model": "meta/llama-3.3-70b-instruct-maas", "messages": QUESTION}
        answer = client.chat.completions.create(**fields)
        assert answer.model == fields["model"] and "(1 message)" in answer.choices[0].message.content
        chunks = list(client.chat.completions.create(**fields, stream=True))
        assert chunks[-1].usage.total_tokens == answer.usage.total_tokens
        for model, error in (
            ("llama", openai.BadRequestError),
            ("meta/missing-model", openai.NotFoundError),
            ("meta/sim-rate-limited", openai.RateLimitError),
        ):
            with pytest.raises(error) as caught:
                client.chat.completions.create(**{**fields, "model": model})
            assert isinstance(caught.value.response.json(), list)


async def test_errors_inside_a_stream(call):
    async with SimulatedProvider(Behaviour(fault="in_band_error", error_message="Gone.")) as provider:
        body = {"model": "meta/llama", "messages": QUESTION, "stream": True}
        raw = await call(provider, f"{HERE}/endpoints/openapi/chat/completions", body)
        last = json.loads(raw.events()[-1][1])
        assert last["error"]["message"] == "Gone." and last["error"]["type"] == "server_error"
        body = {"messages": QUESTION, "anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "stream": True}
        raw = await call(provider, f"{HERE}/publishers/anthropic/models/{MODEL}:streamRawPredict", body)
        event, data = raw.events()[-1]
        assert event == "error" and json.loads(data)["error"] == {"type": "api_error", "message": "Gone."}


# Endpoints of one's own

VLLM = VertexEndpoint(id="111", traffic_split={"9": 100}, deployed=(DeployedModel(id="8"), DeployedModel(id="9")))
TGI = VertexEndpoint(id="222", deployed=(DeployedModel(container="tgi"),))
TENSOR = VertexEndpoint(id="333", deployed=(DeployedModel(container="tensor"),))
EMPTY = VertexEndpoint(id="444", deployed=())
ASLEEP = VertexEndpoint(id="555", deployed=(DeployedModel(min_replica_count=0, available_replica_count=0),))
OWN = VertexEndpoint(id="666", dedicated=True)


def own() -> SimulatedProvider:
    google = Google(endpoints=VertexEndpoints([VLLM, TGI, TENSOR, EMPTY, ASLEEP, OWN]))
    return SimulatedProvider(Behaviour(text="Hi there."), google=google)


async def test_predictions(call):
    async with own() as provider:
        body = {"instances": [{"prompt": "A"}, {"prompt": "B", "raw_response": True}]}
        assert (await call(provider, f"{HERE}/endpoints/111:predict", body)).json() == {
            "predictions": ["Prompt:\nA\nOutput:\nHi there.", "Hi there."],
            "deployedModelId": "9",
            "model": "projects/123456789012/locations/us-central1/models/simulated-model",
            "modelDisplayName": "simulated-model",
            "modelVersionId": "1",
        }
        chat = {"instances": [{"@requestFormat": "chatCompletions", "messages": QUESTION}]}
        answer = (await call(provider, f"{HERE}/endpoints/111:predict", chat)).json()["predictions"]
        assert answer["choices"][0]["message"]["content"] == "Hi there."
        body = {"instances": [{"inputs": "A"}], "parameters": {"max_new_tokens": 1}}
        assert (await call(provider, f"{HERE}/endpoints/222:predict", body)).json()["predictions"] == ["Hi"]
        body = {"instances": [[1.0], [2.0]]}
        assert len((await call(provider, f"{HERE}/endpoints/333:predict", body)).json()["predictions"]) == 2


async def test_raw_predictions(call):
    async with own() as provider:
        raw = await call(provider, f"{HERE}/endpoints/111:rawPredict", {"messages": QUESTION})
        assert raw.json()["choices"][0]["message"]["content"] == "Hi there."
        raw = await call(provider, f"{HERE}/endpoints/111:streamRawPredict", {"messages": QUESTION, "stream": True})
        assert raw.header("content-type") == "text/event-stream" and raw.body.endswith(b"data: [DONE]\n\n")
        raw = await call(provider, f"{HERE}/endpoints/222:rawPredict", {"inputs": "A"})
        assert "Hi there." in raw.body.decode()
        raw = await call(provider, f"{HERE}/endpoints/111/chat/completions", {"messages": QUESTION})
        assert raw.json()["choices"][0]["message"]["content"] == "Hi there."


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (
            "999:predict",
            {"instances": [{}]},
            404,
            "Endpoint `projects/simulated-project/locations/us-central1/endpoints/999`",
        ),
        ("444:predict", {"instances": [{}]}, 400, "does not have any deployed models"),
        ("444:rawPredict", {"messages": QUESTION}, 400, "does not have any deployed models"),
        ("555:predict", {"instances": [{}]}, 429, "scaled to zero"),
        ("111:predict", {}, 400, "non-empty list of instances"),
        ("111:predict", {"instances": [{}]}, 400, "`prompt` is missing"),
        ("111:predict", {"instances": [{"prompt": "A"}], "x": 1}, 400, 'Unknown name "x"'),
        ("111:rawPredict", {}, 400, "Cannot find suitable handler"),
        ("111:rawPredict", {"messages": QUESTION, "stream": True}, 400, "use streamRawPredict"),
    ],
)
async def test_what_an_endpoint_refuses(call, path, body, status, words):
    async with own() as provider:
        raw = await call(provider, f"{HERE}/endpoints/{path}", body)
        assert raw.status == status and words in raw.json()["error"]["message"]


async def test_a_dedicated_endpoint_has_a_name_of_its_own(call):
    async with own() as provider:
        body = {"instances": [{"prompt": "A"}]}
        path = f"{HERE}/endpoints/666:predict"
        assert (await call(provider, path, body)).status == 200
        provider.google.endpoints.put(VertexEndpoint(id="666", dedicated=True, deployed=()))
        row = (await call(provider, f"{HERE}/endpoints/666")).json()
        assert row["dedicatedEndpointDns"] == "666.us-central1-123456789012.prediction.vertexai.goog"


async def test_the_control_plane(call):
    async with own() as provider:
        rows = (await call(provider, f"{HERE}/endpoints")).json()["endpoints"]
        assert [row["name"].rpartition("/")[2] for row in rows] == ["111", "222", "333", "444", "555", "666"]
        assert "deployedModels" not in rows[3]
        page = (await call(provider, f"{HERE}/endpoints?pageSize=4")).json()
        rest = (await call(provider, f"{HERE}/endpoints?pageSize=4&pageToken={page['nextPageToken']}")).json()
        assert len(rest["endpoints"]) == 2 and "nextPageToken" not in rest
        one = (await call(provider, f"{HERE}/endpoints/111")).json()
        assert one["trafficSplit"] == {"9": 100}
        assert one["deployedModels"][0]["dedicatedResources"]["machineSpec"]["acceleratorType"] == "NVIDIA_L4"
        assert (await call(provider, f"{HERE.replace('us-central1', 'europe-west4')}/endpoints/111")).status == 404
        models = (await call(provider, "/v1beta1/publishers/google/models")).json()["publisherModels"]
        assert models[0]["name"].startswith("publishers/google/models/gemini-")
        assert (await call(provider, "/v1/publishers/anthropic/models/claude-haiku-4-5")).status == 200
        assert (await call(provider, "/v1/publishers/google/models/gemini-9")).status == 404
        provider.google.cloud.denied.add("aiplatform.endpoints.list")
        assert (await call(provider, f"{HERE}/endpoints")).status == 403


def test_scopes_are_those_of_the_cloud():
    assert GoogleToken(value="x").scopes == (CLOUD_PLATFORM,)
