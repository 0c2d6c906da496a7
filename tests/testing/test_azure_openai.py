"""The simulated Azure OpenAI beyond what its contract suites ask: paths, versions, credentials, lists, and how things are worded."""

from __future__ import annotations

import json

import openai
import pytest

from trimaran.testing import (
    Azure,
    AzureCloud,
    AzureDeployment,
    AzureOpenAIAccount,
    Behaviour,
    EntraToken,
    SimulatedProvider,
)
from trimaran.testing.azure import COGNITIVE_SERVICES
from trimaran.testing.azure_filters import verdicts
from trimaran.testing.azure_openai_account import FILTERS

CHAT = "/openai/deployments/chat/chat/completions?api-version=2024-10-21"
HI = {"messages": [{"role": "user", "content": "Hello"}]}
KEY = {"api-key": "right"}
DEPLOYMENTS = (
    AzureDeployment(name="chat", model="gpt-4o", version="2024-11-20"),
    AzureDeployment(name="vectors", model="text-embedding-3-large", version="1", sku="Standard"),
    AzureDeployment(name="slow", model="gpt-4o", succeeded=False),
)


@pytest.fixture
def account():
    return AzureOpenAIAccount(AzureCloud(), DEPLOYMENTS, keys=["right", "second"], region="Sweden Central")


@pytest.fixture
async def provider(account):
    async with SimulatedProvider(azure=Azure(openai=account)) as running:
        yield running


@pytest.fixture
def call(ask, provider):
    """``await call(path, body, **headers)``."""

    async def send(path=CHAT, body=HI, method="POST", headers=KEY):
        data = b"" if body is None else json.dumps(body).encode()
        return await ask(provider, method=method, path=path, headers=headers, body=data)

    return send


def code(raw):
    return raw.status, raw.json()["error"]["code"]


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        (CHAT, HI, "azure_openai.chat"),
        ("/openai/v1/chat/completions", {"model": "chat", **HI}, "azure_openai.chat"),
        ("/openai/v1/chat/completions?api-version=preview", {"model": "chat", **HI}, "azure_openai.chat"),
        (
            "/openai/responses?api-version=2025-04-01-preview",
            {"model": "chat", "input": "Hi"},
            "azure_openai.responses",
        ),
        ("/openai/v1/responses", {"model": "chat", "input": "Hi"}, "azure_openai.responses"),
        ("/openai/v1/responses/input_tokens", {"model": "chat", "input": "Hi"}, "azure_openai.input_tokens"),
        (
            "/openai/deployments/vectors/embeddings?api-version=2023-05-15",
            {"input": "Hi"},
            "azure_openai.embeddings",
        ),
        ("/openai/v1/embeddings", {"model": "vectors", "input": "Hi"}, "azure_openai.embeddings"),
    ],
)
async def test_every_path_answers(call, provider, path, body, dialect):
    raw = await call(path, body)
    assert raw.status == 200, raw.body
    row = provider.log[-1]
    assert (row.dialect, row.model) == (dialect, "vectors" if "embed" in path else "chat")
    assert raw.header("x-ms-region") == "Sweden Central"
    assert raw.header("apim-request-id").startswith("00000000-0000-")
    assert raw.header("x-ms-deployment-name") == row.model


async def test_the_log_and_behaviours_know_the_deployment_by_its_name(call, provider):
    provider.set_behaviour(Behaviour(text="Mine."), "chat")
    body = (await call()).json()
    assert (body["choices"][0]["message"]["content"], body["model"]) == ("Mine.", "gpt-4o-2024-11-20")


@pytest.mark.parametrize(
    ("path", "headers", "seen"),
    [
        (CHAT, {"api-key": "wrong"}, (401, "401")),
        (CHAT, {}, (401, "401")),
        (CHAT, {"api-key": "second"}, None),
        ("/openai/v1/chat/completions", {"authorization": "Bearer right"}, None),
        ("/openai/v1/chat/completions", {"authorization": "Bearer wrong"}, (401, "Unauthorized")),
    ],
)
async def test_keys(call, path, headers, seen):
    raw = await call(path, {"model": "chat", **HI}, headers=headers)
    assert (None if raw.status == 200 else code(raw)) == seen


async def test_a_key_is_no_token_on_deployment_paths(call):
    raw = await call(headers={"authorization": "Bearer right"})
    assert (raw.status, raw.json()["statusCode"]) == (401, 401)
    assert "audience is incorrect (https://cognitiveservices.azure.com)" in raw.json()["message"]


async def test_declared_tokens(call, account):
    account.cloud.tokens = [EntraToken(value="good"), EntraToken(value="over", expires_at_s=1.0)]
    assert (await call(headers={"authorization": "Bearer good"})).status == 200
    assert (await call(headers={"authorization": "Bearer over"})).status == 401
    account.keys_disabled = True
    assert (await call(headers={"authorization": "Bearer good"})).status == 200
    assert code(await call()) == (403, "AuthenticationTypeDisabled")
    account.firewall = True
    assert code(await call(headers={"authorization": "Bearer good"})) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/openai/deployments/chat/chat/completions", (404, "404")),
        ("/openai/deployments/chat/chat/completions?api-version=", (404, "404")),
        ("/openai/deployments/chat/chat/completions?api-version=2024", (404, "404")),
        ("/openai/deployments/nobody/chat/completions?api-version=2024-10-21", (404, "DeploymentNotFound")),
        ("/openai/deployments/slow/chat/completions?api-version=2024-10-21", (404, "DeploymentNotFound")),
        ("/openai/deployments/vectors/chat/completions?api-version=2024-10-21", (400, "OperationNotSupported")),
        ("/openai/deployments/chat/embeddings?api-version=2024-10-21", (400, "OperationNotSupported")),
        ("/openai/responses?api-version=2024-10-21", (400, "BadRequest")),
        ("/openai/v1/chat/completions?api-version=2024-10-21", (400, "BadRequest")),
    ],
)
async def test_wrong_addresses(call, path, seen):
    body = {"input": "Hi", "model": "chat"} if "completions" not in path else {"model": "chat", **HI}
    assert code(await call(path, body)) == seen


async def test_versions_may_be_limited(call, account):
    account.versions = frozenset({"2024-06-01"})
    assert code(await call()) == (404, "404")
    assert (await call(CHAT.replace("2024-10-21", "2024-06-01"))).status == 200


async def test_what_the_models_server_refuses_is_worded_as_openai_words_it(call, provider):
    raw = await call(body={"messages": []})
    assert (raw.status, raw.json()["error"]["type"]) == (400, "invalid_request_error")
    raw = await call(body=[1])
    assert (raw.status, raw.json()["error"]["type"]) == (400, "invalid_request_error")
    provider.set_behaviour(Behaviour(context_tokens=3), "chat")
    assert code(await call()) == (400, "context_length_exceeded")


async def test_a_status_on_demand_says_how_long_to_wait_in_two_units(call, provider):
    provider.behaviour = Behaviour(fault="status", status=429, retry_after_s=1.5)
    raw = await call()
    assert code(raw) == (429, "429")
    assert "ChatCompletions_Create Operation under Azure OpenAI API" in raw.json()["error"]["message"]
    assert (raw.header("retry-after"), raw.header("retry-after-ms")) == ("2", "1500")
    provider.behaviour = Behaviour(fault="status", status=503, error_code="Mine", error_message="Said.")
    raw = await call()
    assert (raw.status, raw.json()) == (503, {"error": {"code": "Mine", "message": "Said."}})
    assert raw.header("retry-after") is None


async def test_a_full_deployment_is_full_until_somebody_says_otherwise(call, account):
    full = AzureDeployment(name="chat", model="gpt-4o", sku="GlobalProvisionedManaged", utilization=104.5)
    account.put(full)
    raw = await call()
    assert (code(raw), raw.header("retry-after-ms")) == ((429, "429"), "250")
    account.put(AzureDeployment(name="chat", model="gpt-4o", sku="GlobalProvisionedManaged", utilization=99))
    assert (await call()).header("azure-openai-deployment-utilization") == "99%"
    account.remove("chat")
    assert code(await call()) == (404, "DeploymentNotFound")


async def test_an_error_inside_a_stream_is_openais(call, provider):
    provider.behaviour = Behaviour(fault="in_band_error")
    raw = await call(body={**HI, "stream": True})
    assert "error" in json.loads(raw.events()[-1][1])


@pytest.mark.parametrize("category", FILTERS)
async def test_every_category_stops_a_prompt(call, provider, category):
    provider.set_behaviour(Behaviour(blocked_prompt=category), "chat")
    error = (await call()).json()["error"]
    assert (error["code"], error["param"], error["innererror"]["code"]) == (
        "content_filter",
        "prompt",
        "ResponsibleAIPolicyViolation",
    )
    why = error["innererror"]["content_filter_result"]
    assert [name for name, said in why.items() if said["filtered"]] == [category]


async def test_the_account_says_what_is_filtered_where_the_behaviour_does_not(call, provider, account):
    account.filtered, account.severity = "hate", "high"
    provider.set_behaviour(Behaviour(finish_reason="content_filter"), "chat")
    choice = (await call()).json()["choices"][0]
    assert choice["content_filter_results"] == verdicts("hate", "high")
    assert ("content" in choice["message"], choice["finish_reason"]) == (False, "content_filter")
    raw = await call(body={**HI, "stream": True})
    last = json.loads(raw.events()[-2][1])["choices"][0]
    assert (last["finish_reason"], last["content_filter_results"]) == ("content_filter", verdicts("hate", "high"))


async def test_the_first_chunk_of_a_stream_has_neither_choices_nor_an_id(call):
    raw = await call(body={**HI, "stream": True})
    first, second = (json.loads(data) for _, data in raw.events()[:2])
    assert (first["id"], first["choices"], first["model"], first["object"]) == ("", [], "", "")
    assert first["prompt_filter_results"][0]["content_filter_results"]["jailbreak"]["detected"] is False
    assert second["choices"][0]["delta"]["role"] == "assistant"


async def test_old_versions_list_deployments_and_newer_ones_do_not(call):
    old = await call("/openai/deployments?api-version=2022-12-01", None, "GET")
    rows = {row["id"]: (row["model"], row["status"]) for row in old.json()["data"]}
    assert rows == {
        "chat": ("gpt-4o-2024-11-20", "succeeded"),
        "vectors": ("text-embedding-3-large-1", "succeeded"),
        "slow": ("gpt-4o", "running"),
    }
    one = await call("/openai/deployments/chat?api-version=2023-03-15-preview", None, "GET")
    assert one.json()["model"] == "gpt-4o-2024-11-20"
    assert code(await call("/openai/deployments/nobody?api-version=2022-12-01", None, "GET"))[0] == 404
    assert code(await call("/openai/deployments?api-version=2024-10-21", None, "GET")) == (404, "404")
    assert code(await call("/openai/deployments?api-version=2022-12-01", None, "GET", {"api-key": "x"}))[0] == 401


def test_the_sdk_lists_models(account):
    with SimulatedProvider(azure=Azure(openai=account)).in_thread() as running:
        options = {"api_key": "right", "max_retries": 0}
        with openai.OpenAI(base_url=f"{running.base_url}/openai/v1/", **options) as client:
            names = {model.id for model in client.models.list()}
        assert names == {"gpt-4o-2024-11-20", "text-embedding-3-large-1", "gpt-4o"}
        azure = {"azure_endpoint": running.base_url, "api_version": "2024-10-21", **options}
        with openai.AzureOpenAI(**azure) as client:
            assert {model.id for model in client.models.list()} == names
            with pytest.raises(openai.NotFoundError):
                client.models.retrieve("nobody")


def test_a_token_that_the_provider_does_not_know_is_good_only_where_any_is():
    cloud = AzureCloud()
    assert cloud.known("stranger", None) == EntraToken(value="stranger")
    assert cloud.known("stranger", frozenset({"key"})) is None
    cloud.tokens = [EntraToken(value="known", audience=COGNITIVE_SERVICES)]
    assert cloud.known("stranger", None) is None
    assert "known" not in repr(cloud.tokens[0])
