"""Which models a simulated Bedrock serves, to whom and how, and what it tells of them; boto3 reads both."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from trimaran.testing import AwsAccount, BedrockModel, BedrockModels, SimulatedProvider
from trimaran.testing.contract import BedrockSession
from trimaran.testing.contract.bedrock_session import user
from trimaran.testing.contract.boto_session import BotoSession

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
OLD = "anthropic.claude-3-haiku-20240307-v1:0"
WEST = "mistral.mistral-large-2407-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us." + HAIKU
APPLICATION = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
FOUNDATION = "arn:aws:bedrock:us-east-1::foundation-model/"
INVALID = "The provided model identifier is invalid."
BY_PROFILE = "with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile"  # noqa: RUF001


class ControlSession(BotoSession):
    service = "bedrock"


@pytest.fixture
def provider():
    with SimulatedProvider().in_thread() as running:
        yield running


@pytest.fixture
def session(provider):
    with BedrockSession(provider.base_url, "any") as opened:
        yield opened


@pytest.fixture
def control(provider):
    with ControlSession(provider.base_url, "any") as opened:
        yield opened.client


def refusal(session, model, **fields):
    with pytest.raises(ClientError) as caught:
        session.client.converse(modelId=model, messages=user("Hi"), **fields)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    "model", [f"us.{HAIKU}", f"global.{HAIKU}", PROFILE, OLD, f"us.{OLD}", FOUNDATION + OLD, "sim-any"]
)
def test_ids_profiles_and_arns_are_served(session, model):
    assert session.converse(modelId=model, messages=user("Hi"))["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("missing-model", INVALID),
        (f"eu.{HAIKU}", INVALID),
        (PROFILE.replace("us-east-1", "us-west-2"), INVALID),
        (APPLICATION, INVALID),
        (WEST, INVALID),
        ("apac.meta.llama3-3-70b-instruct-v1:0", INVALID),
        ("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ", INVALID),
        (HAIKU, BY_PROFILE),
        (FOUNDATION + HAIKU, BY_PROFILE),
    ],
)
def test_ids_that_lead_nowhere(session, model, words):
    code, message = refusal(session, model)
    assert code == "ValidationException" and words in message


def test_regions_profiles_and_grants_are_settings(provider, session):
    provider.aws.region = "us-west-2"
    with BedrockSession(provider.base_url, "any", region_name="us-west-2") as west:
        assert west.converse(modelId=WEST, messages=user("Hi"))["stopReason"] == "end_turn"
    provider.aws.region = None
    provider.bedrock.application_profiles["a1b2c3d4e5f6"] = HAIKU
    session.converse(modelId=APPLICATION, messages=user("Hi"))
    provider.bedrock.granted = {OLD}
    session.converse(modelId=OLD, messages=user("Hi"))
    code, message = refusal(session, f"us.{HAIKU}")
    assert code == "AccessDeniedException"
    assert message == "You don't have access to the model with the specified model ID."
    provider.bedrock.granted, provider.bedrock.only_listed = None, True
    assert refusal(session, "sim-any")[1] == INVALID


def test_models_of_the_provider_limit_bedrock_too():
    with (
        SimulatedProvider(models=["sim-one", OLD]).in_thread() as provider,
        BedrockSession(provider.base_url, "any") as session,
    ):
        session.converse(modelId="sim-one", messages=user("Hi"))
        session.converse(modelId=f"us.{OLD}", messages=user("Hi"))
        assert refusal(session, "sim-two")[1] == INVALID


def test_the_list_of_models(provider, control):
    rows = {row["modelId"]: row for row in control.list_foundation_models()["modelSummaries"]}
    assert rows[HAIKU]["inferenceTypesSupported"] == ["INFERENCE_PROFILE"]
    assert rows[OLD]["inferenceTypesSupported"] == ["ON_DEMAND", "INFERENCE_PROFILE"]
    assert rows[HAIKU]["modelArn"] == FOUNDATION + HAIKU and WEST not in rows
    assert rows[HAIKU]["providerName"] == "Anthropic" and rows[HAIKU]["modelLifecycle"] == {"status": "ACTIVE"}
    meta = control.list_foundation_models(byProvider="Meta", byInferenceType="ON_DEMAND")["modelSummaries"]
    assert [row["modelId"] for row in meta] == ["meta.llama3-8b-instruct-v1:0"]
    assert provider.log[-1].dialect == "bedrock.control"


def test_the_list_of_profiles(provider, control):
    provider.bedrock.application_profiles["a1b2c3d4e5f6"] = HAIKU
    rows = {row["inferenceProfileId"]: row for row in control.list_inference_profiles()["inferenceProfileSummaries"]}
    assert rows[f"us.{HAIKU}"]["inferenceProfileArn"] == PROFILE
    assert f"global.{HAIKU}" in rows and f"eu.{HAIKU}" not in rows
    assert rows["a1b2c3d4e5f6"]["models"] == [{"modelArn": FOUNDATION + HAIKU}]
    own = control.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    assert [row["inferenceProfileArn"] for row in own] == [APPLICATION]


def test_availability(provider, control):
    provider.bedrock.granted = {OLD}
    assert control.get_foundation_model_availability(modelId=OLD)["entitlementAvailability"] == "AVAILABLE"
    other = control.get_foundation_model_availability(modelId=HAIKU)
    assert (other["entitlementAvailability"], other["agreementAvailability"]) == (
        "NOT_AVAILABLE",
        {"status": "NOT_AVAILABLE"},
    )
    assert control.get_foundation_model_availability(modelId=WEST)["regionAvailability"] == "NOT_AVAILABLE"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        control.get_foundation_model_availability(modelId="anthropic.none-v1:0")


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("bedrock:ListFoundationModels", lambda client: client.list_foundation_models()),
        ("bedrock:ListInferenceProfiles", lambda client: client.list_inference_profiles()),
        (
            "bedrock:GetFoundationModelAvailability",
            lambda client: client.get_foundation_model_availability(modelId=OLD),
        ),
    ],
)
def test_what_no_policy_allows(provider, control, action, call):
    call(control)
    provider.aws.denied = {action}
    with pytest.raises(ClientError, match=f"is not authorized to perform: {action}"):
        call(control)


def test_listed_models_are_a_setting():
    models = BedrockModels(listed=(BedrockModel(id="acme.boat-v1:0", name="Boat", provider="Acme"),))
    with (
        SimulatedProvider(bedrock=models, aws=AwsAccount(region="eu-west-1")).in_thread() as provider,
        ControlSession(provider.base_url, "any", region_name="eu-west-1") as session,
    ):
        (row,) = session.client.list_foundation_models()["modelSummaries"]
        assert row["modelArn"] == "arn:aws:bedrock:eu-west-1::foundation-model/acme.boat-v1:0"


def test_tokens_are_counted_as_they_are_billed(session):
    fields = {"messages": user("Say hello."), "system": [{"text": "Be brief."}]}
    billed = session.converse(**fields)["usage"]["inputTokens"]
    counted = session.client.count_tokens(modelId=session.model, input={"converse": fields})
    assert counted["inputTokens"] == billed
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    own = session.client.count_tokens(
        modelId=session.model, input={"invokeModel": {"body": json.dumps({**body, "system": "Be brief."})}}
    )
    assert own["inputTokens"] == billed


@pytest.mark.parametrize(
    ("model", "asked", "words"),
    [
        (f"us.{HAIKU}", {"converse": {"messages": []}}, "must start with a user message"),
        (f"us.{HAIKU}", {"invokeModel": {"body": b"{}"}}, "anthropic_version: Field required"),
        ("meta.llama3-8b-instruct-v1:0", {"converse": {"messages": user("Hi")}}, "doesn't support counting tokens"),
        ("missing-model", {"converse": {"messages": user("Hi")}}, INVALID),
    ],
)
def test_what_cannot_be_counted(session, model, asked, words):
    with pytest.raises(ClientError, match=words):
        session.client.count_tokens(modelId=model, input=asked)
