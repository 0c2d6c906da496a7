"""The simulated SageMaker's runtime: boto3 judges its bytes."""

from __future__ import annotations

import json

import pytest

from trimaran.testing import Behaviour, SageMaker, SimulatedProvider
from trimaran.testing.aws import AwsAccount, AwsCredential
from trimaran.testing.contract import (
    SAGEMAKER_RUNTIME,
    SIMULATED_ENDPOINT_BEHAVIOURS,
    SIMULATED_ENDPOINTS,
    SIMULATED_MODELS,
    ContractError,
    SageMakerSession,
    differences,
)
from trimaran.testing.contract.sagemaker_session import chat
from trimaran.testing.sagemaker import Container, Endpoint

pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'trimaran[aws]'")

KEY = "AKIARIGHT"
TEMPLATE = Endpoint(name="any")


@pytest.fixture(scope="module")
def provider():
    fleet = SageMaker(SIMULATED_ENDPOINTS, template=TEMPLATE)
    behaviours = SIMULATED_MODELS | SIMULATED_ENDPOINT_BEHAVIOURS
    with SimulatedProvider(behaviours=behaviours, keys=[KEY], sagemaker=fleet).in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def session(provider):
    with SageMakerSession(provider.base_url, KEY) as made:
        yield made


@pytest.mark.parametrize("check", SAGEMAKER_RUNTIME, ids=repr)
def test_the_simulated_sagemaker_keeps_it(session, check):
    assert set(check(session)) == {"gist", "whole"}


def test_results_repeat(session):
    for check in SAGEMAKER_RUNTIME:
        if check.name not in ("disconnect", "timeout"):
            assert differences(check, check(session), check(session), same_dialect=True) == {}


@pytest.mark.parametrize("fault", ["cut", "malformed_chunk", "status", "in_band_error", "missing_end_marker"])
def test_the_suite_notices_a_broken_service(fault):
    with (
        SimulatedProvider(Behaviour(fault=fault)).in_thread() as broken,
        SageMakerSession(broken.base_url, KEY) as session,
        pytest.raises(Exception, match=r"\S"),
    ):
        SAGEMAKER_RUNTIME["stream_text"](session)


def test_the_suite_notices_an_endpoint_that_should_not_answer():
    with (
        SimulatedProvider(sagemaker=SageMaker(template=TEMPLATE)).in_thread() as lenient,
        SageMakerSession(lenient.base_url, KEY) as session,
        pytest.raises(ContractError, match="an error was due"),
    ):
        SAGEMAKER_RUNTIME["closed"](session)


def test_a_client_that_leaves_is_in_the_log(provider, session):
    SAGEMAKER_RUNTIME["disconnect"](session)
    provider.wait_until(lambda p: p.log[-1].outcome == "cancelled")
    assert (provider.log[-1].dialect, provider.log[-1].model) == ("sagemaker.invoke_stream", "sim-endless")


def test_every_shape_says_the_same_to_the_same_words(session):
    """A text with marks of turns, a chat, and a tensor are one conversation."""
    words = session.invoke(chat("Say hello."))["Body"]["choices"][0]["message"]["content"]
    tensor = {"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["Say hello."]}
    body = {"inputs": "Say hello.", "parameters": {"max_new_tokens": 64}}
    said = {
        "lmi": session.invoke(body, EndpointName="sim-lmi")["Body"]["generated_text"],
        "tgi": session.invoke(body, EndpointName="sim-tgi")["Body"][0]["generated_text"],
        "jumpstart": session.invoke(body, EndpointName="sim-jumpstart")["Body"][0]["generated_text"],
        "triton": session.invoke({"inputs": [tensor]}, EndpointName="sim-triton")["Body"]["outputs"][0]["data"][0],
    }
    assert said == dict.fromkeys(said, words)


def test_parts_are_cut_inside_of_events(session):
    whole = session.stream(chat("Hi", stream=True))
    cut = session.stream(chat("Hi", stream=True), EndpointName="sim-vllm-cut")
    assert all(part.endswith(b"\n\n") for part in whole.parts)
    assert max(len(part) for part in cut.parts) <= 9
    assert sum(not part.endswith(b"\n") for part in cut.parts) > len(cut.parts) // 2


def test_a_secret_that_is_wrong_is_refused():
    account = AwsAccount(credentials=[AwsCredential(access_key=KEY, secret_key="right")])
    with SimulatedProvider(aws=account).in_thread() as provider:
        with SageMakerSession(provider.base_url, KEY, secret="right") as right:
            assert right.invoke(chat("Hi"))["Body"]["object"] == "chat.completion"
        with SageMakerSession(provider.base_url, KEY, secret="wrong") as wrong:
            seen, whole = wrong.error()
    assert (seen["status"], seen["code"]) == (403, "InvalidSignatureException"), whole


def test_what_no_policy_allows_is_refused(provider, session):
    provider.aws.denied.add("sagemaker:InvokeEndpoint")
    try:
        seen, whole = session.error()
        assert session.stream(chat("Hi", stream=True)).parts
    finally:
        provider.aws.denied.clear()
    assert (seen["status"], seen["code"]) == (403, "AccessDeniedException")
    assert "endpoint/sim-vllm" in whole["Error"]["Message"]


def test_an_error_has_the_bytes_of_the_real_service(provider, session):
    """botocore drops ``ErrorCode``; a client without it sees the body."""
    seen = []
    session.client.meta.events.register(
        "after-call.sagemaker-runtime", lambda http_response, **_: seen.append(http_response)
    )
    session.error(EndpointName="missing-one")
    session.error(body=b"{}")
    missing, failed = (json.loads(answer.content) for answer in seen)
    assert missing == {
        "ErrorCode": "NO_SUCH_ENDPOINT",
        "Message": "Endpoint missing-one of account 123456789012 not found.",
    }
    assert set(failed) == {"ErrorCode", "LogStreamArn", "Message", "OriginalMessage", "OriginalStatusCode"}
    assert failed["ErrorCode"] == "CLIENT_ERROR_FROM_MODEL"
    assert failed["Message"].startswith("Received client error (400) from primary with message")
    assert [answer.headers["x-amzn-errortype"] for answer in seen] == ["ValidationError", "ModelError"]


def test_traffic_is_shared_by_weight():
    fleet = SageMaker()
    variants = [{"variant_name": "a", "weight": 3.0}, {"variant_name": "b", "weight": 1.0}]
    fleet.put(Endpoint(name="one"))
    fleet.change("one", variants=variants, container=Container(kind="tensor"))
    with (
        SimulatedProvider(sagemaker=fleet).in_thread() as provider,
        SageMakerSession(provider.base_url, KEY) as session,
    ):
        seen = [
            session.invoke(b"1", EndpointName="one", ContentType="text/csv")["InvokedProductionVariant"]
            for _ in range(80)
        ]
    assert 45 < seen.count("a") < 75


def test_a_state_that_changes_takes_effect_with_the_next_request(provider, session):
    provider.sagemaker.put(Endpoint(name="changing", status="Creating"))
    assert session.error(EndpointName="changing")[0]["code"] == "ValidationError"
    provider.sagemaker.change("changing", status="InService")
    assert session.invoke(chat("Hi"), EndpointName="changing")["Body"]
    provider.sagemaker.scale("changing", 0)
    assert session.error(EndpointName="changing")[0]["code"] == "ServiceUnavailable"
    provider.sagemaker.remove("changing")


def test_components_scale(provider, session):
    fields = {"EndpointName": "sim-hosting", "InferenceComponentName": "sim-awake"}
    provider.sagemaker.change_component("sim-awake", current_copy_count=0)
    try:
        _, whole = session.error(**fields)
        assert "has no capacity" in whole["Message"]
    finally:
        provider.sagemaker.change_component("sim-awake", current_copy_count=1)
    assert session.invoke(chat("Hi"), **fields)["Body"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "Sleeping"}, "Sleeping"),
        ({"variants": []}, "at least one"),
        ({"inference_components": [{"inference_component_name": "x", "variant_name": "green"}]}, "no variant 'green'"),
        ({"container": {"part_bytes": 0}}, "1 or more"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(fields, words):
    fleet = SageMaker([Endpoint(name="one")])
    with pytest.raises(ValueError, match=words):
        fleet.change("one", **fields)
    assert fleet.find("one") == Endpoint(name="one")


def test_a_components_name_belongs_to_one_endpoint():
    component = {"inference_component_name": "c"}
    fleet = SageMaker([Endpoint(name="one"), Endpoint(name="two")])
    fleet.change("one", inference_components=[component])
    with pytest.raises(ValueError, match="exists on 'one'"):
        fleet.change("two", inference_components=[component])


async def test_endpoints_are_controlled_over_http(ask):
    async def change(method, body=b""):
        return await ask(provider, path="/_simulate/sagemaker", method=method, headers={}, body=body)

    async with SimulatedProvider() as provider:
        assert (await change("POST", b'{"name": "a", "container": {"kind": "tgi"}}')).status == 200
        assert (await change("POST", b'{"name": "a", "status": "Updating"}')).status == 200
        assert provider.sagemaker.find("a") == Endpoint(name="a", status="Updating", container=Container(kind="tgi"))
        wrong = await change("POST", b'{"name": "a", "status": "Asleep"}')
        assert wrong.status == 400 and "status" in wrong.json()["error"]
        assert (await change("POST", b"{}")).status == 400
        assert (await change("GET")).json()["endpoints"][0]["container"]["kind"] == "tgi"
