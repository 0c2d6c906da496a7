"""The simulated Resource Manager: accounts and deployments, workspaces and endpoints, who may read them, and pages."""

from __future__ import annotations

import json

import pytest

from trimaran.testing import (
    Azure,
    AzureCloud,
    AzureDeployment,
    AzureML,
    AzureOpenAIAccount,
    EntraToken,
    OnlineDeployment,
    OnlineEndpoint,
    SimulatedProvider,
)
from trimaran.testing.azure import ARM, COGNITIVE_SERVICES

GROUP = "/subscriptions/s/resourceGroups/g/providers"
ACCOUNTS = f"{GROUP}/Microsoft.CognitiveServices/accounts"
WORKSPACES = f"{GROUP}/Microsoft.MachineLearningServices/workspaces"
VERSION = "?api-version=2024-10-01"


@pytest.fixture
def azure():
    cloud = AzureCloud(tokens=[EntraToken(value="good", principal="me", audience=ARM)])
    deployments = [
        AzureDeployment(name="chat", model="gpt-4o", version="2024-11-20", capacity=30),
        AzureDeployment(name="ptu", model="gpt-4o", sku="ProvisionedManaged", capacity=50, succeeded=False),
        AzureDeployment(name="vectors", model="text-embedding-3-small"),
    ]
    endpoint = OnlineEndpoint(
        name="llama",
        auth_mode="AADToken",
        deployments=(OnlineDeployment(instance_count=3), OnlineDeployment(name="green")),
        traffic={"blue": 90, "green": 10},
    )
    return Azure(cloud, openai=AzureOpenAIAccount(cloud, deployments), ml=AzureML(cloud, [endpoint]))


@pytest.fixture
async def provider(azure):
    async with SimulatedProvider(azure=azure, keys=["key"]) as running:
        yield running


@pytest.fixture
def get(ask, provider):
    async def send(path, token="good"):
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await ask(provider, method="GET", path=path, headers=headers, body=b"")

    return send


async def test_deployments_of_an_account(get):
    rows = {row["name"]: row for row in (await get(f"{ACCOUNTS}/simulated/deployments{VERSION}")).json()["value"]}
    assert rows["chat"]["sku"] == {"name": "GlobalStandard", "capacity": 30}
    chat = rows["chat"]["properties"]
    assert chat["model"] == {"format": "OpenAI", "name": "gpt-4o", "version": "2024-11-20"}
    assert {limit["key"]: limit["count"] for limit in chat["rateLimits"]} == {"request": 30, "token": 30_000}
    assert rows["ptu"]["sku"] == {"name": "ProvisionedManaged", "capacity": 50}
    assert rows["ptu"]["properties"]["provisioningState"] == "Creating"
    assert "rateLimits" not in rows["ptu"]["properties"]
    assert rows["vectors"]["properties"]["capabilities"] == {"embeddings": "true"}
    one = await get(f"{ACCOUNTS}/simulated/deployments/chat{VERSION}")
    assert one.json() == rows["chat"]
    assert one.json()["id"] == f"{ACCOUNTS}/simulated/deployments/chat"


async def test_accounts(get, azure):
    (row,) = (await get(f"{ACCOUNTS}{VERSION}")).json()["value"]
    assert (row["name"], row["location"], row["properties"]["disableLocalAuth"]) == ("simulated", "eastus", False)
    azure.openai.keys_disabled = True
    assert (await get(f"{ACCOUNTS}/Simulated{VERSION}")).json()["properties"]["disableLocalAuth"] is True
    everywhere = await get(f"/subscriptions/s/providers/Microsoft.CognitiveServices/accounts{VERSION}")
    assert [row["name"] for row in everywhere.json()["value"]] == ["simulated"]


async def test_endpoints_of_a_workspace(get, provider):
    (row,) = (await get(f"{WORKSPACES}/simulated/onlineEndpoints{VERSION}")).json()["value"]
    properties = row["properties"]
    assert (row["name"], properties["authMode"], properties["traffic"]) == (
        "llama",
        "AADToken",
        {"blue": 90, "green": 10},
    )
    assert properties["scoringUri"] == "http://x/azureml/llama/score"
    assert (await get(f"{WORKSPACES}/simulated/onlineEndpoints/llama{VERSION}")).json() == row
    path = f"{WORKSPACES}/simulated/onlineEndpoints/llama/deployments"
    rows = {row["name"]: row for row in (await get(path + VERSION)).json()["value"]}
    assert rows["blue"]["sku"]["capacity"] == 3
    assert (await get(f"{path}/green{VERSION}")).json() == rows["green"]
    assert [row["name"] for row in (await get(WORKSPACES + VERSION)).json()["value"]] == ["simulated"]


@pytest.mark.parametrize(
    ("path", "token", "seen"),
    [
        (ACCOUNTS, "good", (400, "MissingApiVersionParameter")),
        (ACCOUNTS + VERSION, None, (401, "AuthenticationFailed")),
        (ACCOUNTS + VERSION, "stranger", (401, "InvalidAuthenticationToken")),
        (f"{ACCOUNTS}/other{VERSION}", "good", (404, "ResourceNotFound")),
        (f"{ACCOUNTS}/other/deployments{VERSION}", "good", (404, "ResourceNotFound")),
        (f"{ACCOUNTS}/simulated/deployments/nobody{VERSION}", "good", (404, "ResourceNotFound")),
        (f"{WORKSPACES}/other/onlineEndpoints{VERSION}", "good", (404, "ResourceNotFound")),
        (f"{WORKSPACES}/simulated/onlineEndpoints/nobody{VERSION}", "good", (404, "ResourceNotFound")),
        (f"{WORKSPACES}/simulated/onlineEndpoints/nobody/deployments{VERSION}", "good", (404, "ResourceNotFound")),
        (f"{GROUP}/Microsoft.Other/things{VERSION}", "good", (404, "InvalidResourceType")),
        (f"{ACCOUNTS}/simulated/other{VERSION}", "good", (404, "InvalidResourceType")),
    ],
)
async def test_refusals(get, path, token, seen):
    raw = await get(path, token)
    assert (raw.status, raw.json()["error"]["code"]) == seen


async def test_tokens_that_are_over_or_for_another_service(get, azure):
    azure.cloud.tokens = [
        EntraToken(value="over", audience=ARM, expires_at_s=1.0),
        EntraToken(value="other", audience=COGNITIVE_SERVICES),
    ]
    assert (await get(ACCOUNTS + VERSION, "over")).json()["error"]["code"] == "ExpiredAuthenticationToken"
    raw = await get(ACCOUNTS + VERSION, "other")
    assert raw.json()["error"]["code"] == "InvalidAuthenticationTokenAudience"
    assert "'https://cognitiveservices.azure.com'" in raw.json()["error"]["message"]


async def test_a_missing_role_names_the_action_and_the_scope(get, azure):
    azure.cloud.denied = {"Microsoft.CognitiveServices/accounts/deployments/read"}
    raw = await get(f"{ACCOUNTS}/simulated/deployments{VERSION}")
    assert (raw.status, raw.json()["error"]["code"]) == (403, "AuthorizationFailed")
    message = raw.json()["error"]["message"]
    assert "'Microsoft.CognitiveServices/accounts/deployments/read'" in message
    assert f"over scope '{ACCOUNTS}/simulated/deployments'" in message
    assert (await get(f"{ACCOUNTS}/simulated{VERSION}")).status == 200


async def test_subscription_and_group_may_be_limited(get, azure):
    azure.cloud.subscription = "other"
    assert (await get(ACCOUNTS + VERSION)).json()["error"]["code"] == "SubscriptionNotFound"
    azure.cloud.subscription, azure.cloud.resource_group = "s", "other"
    assert (await get(ACCOUNTS + VERSION)).json()["error"]["code"] == "ResourceGroupNotFound"
    azure.cloud.resource_group = "G"
    assert (await get(ACCOUNTS + VERSION)).status == 200


async def test_long_lists_come_in_pages(get, azure):
    for number in range(120):
        azure.openai.put(AzureDeployment(name=f"d{number:03}", model="gpt-4o"))
    names, path = [], f"{ACCOUNTS}/simulated/deployments{VERSION}"
    sizes = []
    while path:
        page = json.loads((await get(path)).body)
        sizes.append(len(page["value"]))
        names += [row["name"] for row in page["value"]]
        link = page.get("nextLink", "")
        path = link.removeprefix("http://x")
    assert sizes == [50, 50, 23]
    assert len(set(names)) == 123
