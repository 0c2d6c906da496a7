"""The simulated SageMaker's control plane: botocore's service model judges its members, boto3 its protocol."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from trimaran.testing import SageMaker, SimulatedProvider
from trimaran.testing.sagemaker import Container, Endpoint, InferenceComponent, Variant

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'trimaran[aws]'")

from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

ROLE = "arn:aws:iam::123456789012:role/test"
ENDPOINTS = (
    Endpoint(name="Chat", container=Container(kind="lmi", environment={"HF_MODEL_ID": "a/b"})),
    Endpoint(
        name="hosting",
        variants=(Variant(instance_type="ml.inf2.8xlarge", scaling=(0, 4)),),
        inference_components=(
            InferenceComponent(inference_component_name="one", model_name="first"),
            InferenceComponent(inference_component_name="two", current_copy_count=0, status="InService"),
            InferenceComponent(inference_component_name="three", status="Failed", failure_reason="no capacity"),
        ),
    ),
    Endpoint(name="broken", status="Failed", failure_reason="The image does not exist."),
    Endpoint(name="idle", variants=(Variant(serverless=True, current_instance_count=0),)),
)


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider(sagemaker=SageMaker(ENDPOINTS)).in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def client(provider):
    made = boto3.client(
        "sagemaker",
        region_name="us-east-1",
        endpoint_url=provider.base_url,
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


def faults(shape, value, path=""):
    """Where ``value`` is not what botocore's model says."""
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        found = [f"{path}.{name}: unknown" for name in value.keys() - shape.members.keys()]
        found += [f"{path}.{name}: missing" for name in set(shape.required_members) - value.keys()]
        for name in value.keys() & shape.members.keys():
            found += faults(shape.members[name], value[name], f"{path}.{name}")
        return found
    if shape.type_name == "list":
        return [fault for item in value for fault in faults(shape.member, item, f"{path}[]")]
    if shape.type_name == "map":
        return [fault for item in value.values() for fault in faults(shape.value, item, f"{path}{{}}")]
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        return [f"{path}: {value!r} is not one of {allowed[:3]}"]
    kinds = {"string": str, "integer": int, "long": int, "float": float, "timestamp": float, "boolean": bool}
    return [] if isinstance(value, kinds[shape.type_name]) else [f"{path}: {value!r} is no {shape.type_name}"]


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        *(("DescribeEndpoint", {"EndpointName": one.name}) for one in ENDPOINTS),
        *(("DescribeEndpointConfig", {"EndpointConfigName": one.name}) for one in ENDPOINTS),
        *(("DescribeInferenceComponent", {"InferenceComponentName": name}) for name in ("one", "two", "three")),
        *(("DescribeModel", {"ModelName": name}) for name in ("Chat", "first", "two")),
        ("ListEndpoints", {}),
        ("ListEndpointConfigs", {}),
        ("ListInferenceComponents", {"EndpointNameEquals": "hosting"}),
        ("ListModels", {"MaxResults": 2}),
    ],
    ids=str,
)
def test_every_answer_fits_the_service_model(client, operation, fields):
    raw = []
    client.meta.events.register_last(
        f"after-call.sagemaker.{operation}", lambda http_response, **_: raw.append(http_response)
    )
    client._make_api_call(operation, fields)
    answer = json.loads(raw[0].content)
    assert faults(client.meta.service_model.operation_model(operation).output_shape, answer) == []
    assert raw[0].headers["content-type"] == "application/x-amz-json-1.1"


def test_the_judge_of_members_can_find_fault(client):
    shape = client.meta.service_model.operation_model("DescribeEndpoint").output_shape
    wrong = {"EndpointName": 1, "EndpointStatus": "Asleep", "Colour": "red", "ProductionVariants": [{}]}
    assert len(faults(shape, wrong)) == 7


def test_an_endpoint_says_how_much_of_it_runs(client):
    (variant,) = client.describe_endpoint(EndpointName="Chat")["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"], variant["CurrentWeight"]) == (1, 1, 1.0)
    assert "djl-inference" in variant["DeployedImages"][0]["SpecifiedImage"]
    (hosting,) = client.describe_endpoint(EndpointName="hosting")["ProductionVariants"]
    assert hosting["ManagedInstanceScaling"] == {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 4}
    failed = client.describe_endpoint(EndpointName="broken")
    assert (failed["EndpointStatus"], failed["FailureReason"]) == ("Failed", "The image does not exist.")
    assert failed["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    assert isinstance(failed["CreationTime"], datetime)


def test_the_instance_type_is_in_the_configuration(client):
    config = client.describe_endpoint_config(EndpointConfigName="hosting")
    (variant,) = config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.inf2.8xlarge"
    assert "ModelName" not in variant and config["ExecutionRoleArn"]
    (serverless,) = client.describe_endpoint_config(EndpointConfigName="idle")["ProductionVariants"]
    assert "InstanceType" not in serverless and serverless["ServerlessConfig"]["MaxConcurrency"] == 5


def test_a_component_says_how_many_copies_it_has(client):
    asleep = client.describe_inference_component(InferenceComponentName="two")
    assert asleep["RuntimeConfig"] == {"DesiredCopyCount": 0, "CurrentCopyCount": 0}
    assert (asleep["EndpointName"], asleep["VariantName"], asleep["InferenceComponentStatus"]) == (
        "hosting",
        "AllTraffic",
        "InService",
    )
    assert client.describe_inference_component(InferenceComponentName="three")["FailureReason"] == "no capacity"


def test_a_model_names_its_container(client):
    primary = client.describe_model(ModelName="Chat")["PrimaryContainer"]
    assert "lmi" in primary["Image"] and primary["Environment"] == {"HF_MODEL_ID": "a/b"}


def test_pages_hold_everything_once(client):
    pages = list(client.get_paginator("list_endpoints").paginate(PaginationConfig={"PageSize": 2}))
    names = [row["EndpointName"] for page in pages for row in page["Endpoints"]]
    assert len(pages) == 2 and sorted(names) == sorted(one.name for one in ENDPOINTS)
    assert "NextToken" not in pages[-1]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"StatusEquals": "Failed"}, ["broken"]),
        ({"NameContains": "HOST"}, ["hosting"]),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, ["Chat", "broken", "hosting", "idle"]),
        ({"SortBy": "Status", "SortOrder": "Ascending", "MaxResults": 1}, ["broken"]),
        ({"CreationTimeAfter": datetime(2030, 1, 1)}, []),
    ],
)
def test_lists_are_filtered_and_sorted(client, fields, names):
    assert [row["EndpointName"] for row in client.list_endpoints(**fields)["Endpoints"]] == names


def test_components_are_listed_by_endpoint_and_status(client):
    def listed(**fields):
        return {
            row["InferenceComponentName"] for row in client.list_inference_components(**fields)["InferenceComponents"]
        }

    assert listed() == {"one", "two", "three"}
    assert listed(EndpointNameEquals="hosting", StatusEquals="InService") == {"one", "two"}
    assert listed(EndpointNameEquals="Chat") == set()


@pytest.mark.parametrize(
    ("operation", "fields", "words"),
    [
        ("describe_endpoint", {"EndpointName": "None"}, 'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/none".'),
        ("describe_endpoint_config", {"EndpointConfigName": "x"}, "Could not find endpoint configuration"),
        ("describe_inference_component", {"InferenceComponentName": "x"}, "Could not find inference component"),
        ("describe_model", {"ModelName": "x"}, "Could not find model"),
        ("list_endpoints", {"NextToken": "bad"}, "NextToken"),
        ("create_endpoint", {"EndpointName": "e", "EndpointConfigName": "x"}, "Could not find endpoint configuration"),
        ("create_endpoint", {"EndpointName": "Chat", "EndpointConfigName": "Chat"}, "Cannot create already existing endpoint"),
        (
            "create_inference_component",
            {"InferenceComponentName": "c", "EndpointName": "Chat", "VariantName": "AllTraffic", "Specification": {}},
            "Inference Components are not supported in this Endpoint",
        ),
        (
            "create_inference_component",
            {
                "InferenceComponentName": "c",
                "EndpointName": "hosting",
                "VariantName": "AllTraffic",
                "RuntimeConfig": {"CopyCount": 0},
            },
            "copy count",
        ),
        (
            "create_inference_component",
            {"InferenceComponentName": "c", "EndpointName": "hosting", "VariantName": "green"},
            "no variant 'green'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_validation_exception(client, operation, fields, words):
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**fields)
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (400, "ValidationException")
    assert words in response["Error"]["Message"]


def test_an_operation_that_is_not_simulated_says_so(client):
    with pytest.raises(ClientError) as caught:
        client.list_training_jobs()
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"


def test_an_operation_that_no_policy_allows_says_which(provider, client):
    provider.aws.denied.add("sagemaker:ListEndpoints")
    try:
        with pytest.raises(ClientError) as caught:
            client.list_endpoints()
        assert client.describe_endpoint(EndpointName="Chat")
    finally:
        provider.aws.denied.clear()
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "sagemaker:ListEndpoints" in caught.value.response["Error"]["Message"]


def test_an_endpoint_is_created_scaled_and_deleted(provider, client):
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.7.0"
    client.create_model(ModelName="made", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image})
    row = {"VariantName": "V", "ModelName": "made", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName="made", ProductionVariants=[row])
    client.create_endpoint(EndpointName="made", EndpointConfigName="made")
    assert client.describe_endpoint(EndpointName="made")["EndpointStatus"] == "Creating"
    provider.sagemaker.change("made", status="InService")
    endpoint = provider.sagemaker.find("made")
    assert endpoint.variants[0].container.kind == "tgi"
    wanted = [{"VariantName": "V", "DesiredInstanceCount": 3, "DesiredWeight": 2.0}]
    client.update_endpoint_weights_and_capacities(EndpointName="made", DesiredWeightsAndCapacities=wanted)
    (variant,) = client.describe_endpoint(EndpointName="made")["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (3, 2.0)
    assert (
        client.describe_endpoint(EndpointName="made")["LastModifiedTime"]
        > client.describe_model(ModelName="made")["CreationTime"]
    )
    client.delete_endpoint(EndpointName="made")
    client.delete_endpoint_config(EndpointConfigName="made")
    client.delete_model(ModelName="made")
    assert provider.sagemaker.find("made") is None


def test_a_component_is_created_and_scaled_to_zero_and_back(provider, client):
    client.create_model(ModelName="part", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x/vllm:1"})
    client.create_inference_component(
        InferenceComponentName="part",
        EndpointName="hosting",
        VariantName="AllTraffic",
        Specification={"ModelName": "part"},
        RuntimeConfig={"CopyCount": 2},
    )
    assert client.describe_inference_component(InferenceComponentName="part")["InferenceComponentStatus"] == "Creating"
    provider.sagemaker.change_component("part", status="InService")
    for count in (0, 1):
        client.update_inference_component_runtime_config(
            InferenceComponentName="part", DesiredRuntimeConfig={"CopyCount": count}
        )
        seen = client.describe_inference_component(InferenceComponentName="part")["RuntimeConfig"]
        assert seen == {"DesiredCopyCount": count, "CurrentCopyCount": count}
    client.delete_inference_component(InferenceComponentName="part")
    client.delete_model(ModelName="part")


def test_an_endpoint_that_nobody_declared_is_described_like_the_template():
    fleet = SageMaker(template=Endpoint(name="any", container=Container(kind="triton")))
    with SimulatedProvider(sagemaker=fleet).in_thread() as provider:
        client = boto3.client(
            "sagemaker",
            region_name="us-east-1",
            endpoint_url=provider.base_url,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="test",
        )
        assert client.describe_endpoint(EndpointName="other")["EndpointStatus"] == "InService"
        (variant,) = client.describe_endpoint_config(EndpointConfigName="other")["ProductionVariants"]
        assert "triton" in client.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]["Image"]
        assert client.list_endpoints()["Endpoints"] == []
        client.close()
