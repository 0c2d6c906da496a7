"""The simulated SageMaker against moto, call by call, through boto3.

Where moto does as AWS documents, both answer with the same status, the same error code and the same members. Where it does not,
the difference is named here with its reason, and a test says so when it is gone. ``docs/simulated-sagemaker.md`` lists them too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from trimaran.testing import SageMaker, SimulatedProvider

pytestmark = pytest.mark.filterwarnings("ignore")

ROLE = "arn:aws:iam::123456789012:role/test"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6"
BODY = {"Body": b'{"inputs": "Hi"}', "ContentType": "application/json"}


class Seen(NamedTuple):
    status: int
    code: str | None
    answer: dict[str, Any]


def variant(**fields):
    row = {"VariantName": "V", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    return [{**row, "InitialVariantWeight": 1.0, **fields}]


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("model", "create_model", {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}),
    (
        "model in vain",
        "create_endpoint_config",
        {"EndpointConfigName": "x", "ProductionVariants": variant(ModelName="none")},
    ),
    ("config", "create_endpoint_config", {"EndpointConfigName": "c", "ProductionVariants": variant()}),
    ("config in vain", "create_endpoint", {"EndpointName": "x", "EndpointConfigName": "none"}),
    ("endpoint", "create_endpoint", {"EndpointName": "e", "EndpointConfigName": "c"}),
    ("ready", "", {}),
    ("describe endpoint", "describe_endpoint", {"EndpointName": "e"}),
    ("describe config", "describe_endpoint_config", {"EndpointConfigName": "c"}),
    ("describe model", "describe_model", {"ModelName": "m"}),
    ("no endpoint", "describe_endpoint", {"EndpointName": "none"}),
    ("no config", "describe_endpoint_config", {"EndpointConfigName": "none"}),
    ("no model", "describe_model", {"ModelName": "none"}),
    ("list endpoints", "list_endpoints", {"StatusEquals": "InService", "NameContains": "e", "SortBy": "Name"}),
    ("list none", "list_endpoints", {"StatusEquals": "Failed"}),
    ("list configs", "list_endpoint_configs", {"MaxResults": 1}),
    ("list models", "list_models", {"NameContains": "m"}),
    ("invoke", "invoke_endpoint", {"EndpointName": "e", "CustomAttributes": "a=b", **BODY}),
    (
        "scale",
        "update_endpoint_weights_and_capacities",
        {"EndpointName": "e", "DesiredWeightsAndCapacities": [{"VariantName": "V", "DesiredInstanceCount": 3}]},
    ),
    (
        "scale nobody",
        "update_endpoint_weights_and_capacities",
        {"EndpointName": "e", "DesiredWeightsAndCapacities": [{"VariantName": "X", "DesiredInstanceCount": 3}]},
    ),
    ("delete endpoint", "delete_endpoint", {"EndpointName": "e"}),
    ("delete endpoint again", "delete_endpoint", {"EndpointName": "e"}),
    ("delete config", "delete_endpoint_config", {"EndpointConfigName": "c"}),
    ("delete model", "delete_model", {"ModelName": "m"}),
    ("delete model again", "delete_model", {"ModelName": "m"}),
]
"""What both are asked, in this order. ``ready``: ours is told that the endpoint is in service."""

ONLY_OURS = {
    "describe endpoint": {
        "ProductionVariants[].DeployedImages",
        "ProductionVariants[].DeployedImages[].ResolutionTime",
        "ProductionVariants[].DeployedImages[].ResolvedImage",
        "ProductionVariants[].DeployedImages[].SpecifiedImage",
    },
    "describe config": {"EnableNetworkIsolation"},
}
"""Members that AWS sends and moto leaves out: the image that a variant runs, network isolation."""
ONLY_MOTO = {
    "describe endpoint": {"DataCaptureConfig"},
    "describe config": {"DataCaptureConfig"},
    "describe model": {"Containers", "VpcConfig"},
}
"""Members that moto sends empty and AWS leaves out when they were never set."""

DIFFERENT: list[tuple[str, str, dict[str, Any], tuple[int, str | None], str]] = [
    (
        "create_model",
        "a name that is taken is refused (CreateModel: names are unique); moto replaces the model",
        {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}},
        (200, None),
        "ValidationException",
    ),
    (
        "create_endpoint_config",
        "the same for a configuration",
        {"EndpointConfigName": "c", "ProductionVariants": variant()},
        (200, None),
        "ValidationException",
    ),
    (
        "create_endpoint",
        "the same for an endpoint",
        {"EndpointName": "e", "EndpointConfigName": "c"},
        (200, None),
        "ValidationException",
    ),
    (
        "create_endpoint_config",
        "ml.inf2 is an instance type of botocore's model; moto's list ends before it",
        {"EndpointConfigName": "inf2", "ProductionVariants": variant(InstanceType="ml.inf2.xlarge")},
        (400, "ValidationException"),
        "",
    ),
    (
        "create_endpoint_config",
        "a variant without a model hosts inference components; moto fails with 500",
        {
            "EndpointConfigName": "hosting",
            "ExecutionRoleArn": ROLE,
            "ProductionVariants": [{"VariantName": "V", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}],
        },
        (500, "500"),
        "",
    ),
    ("list_inference_components", "moto has no inference components", {}, (500, "500"), ""),
    (
        "describe_inference_component",
        "moto has no inference components",
        {"InferenceComponentName": "none"},
        (500, "500"),
        "ValidationException",
    ),
    (
        "list_endpoints",
        "a bad token is a ValidationException, like every bad member of the JSON 1.1 services",
        {"NextToken": "bad"},
        (400, "InvalidToken"),
        "ValidationException",
    ),
    (
        "invoke_endpoint",
        "an unknown endpoint is a ValidationError; moto answers for every name",
        {"EndpointName": "none", **BODY},
        (200, None),
        "ValidationError",
    ),
    (
        "invoke_endpoint_with_response_stream",
        "moto does not know the operation",
        {"EndpointName": "e", **BODY},
        (404, "404"),
        "",
    ),
]
"""Operation, reason, arguments, what moto answers, the error code of ours (empty: it answers)."""


class Service:
    """boto3's two clients on one address."""

    def __init__(self, url):
        import boto3
        from botocore.config import Config

        options = {
            "region_name": "us-east-1",
            "endpoint_url": url,
            "aws_access_key_id": "AKIATEST",
            "aws_secret_access_key": "test",
            "config": Config(retries={"total_max_attempts": 1}),
        }
        self.clients = [boto3.client(name, **options) for name in ("sagemaker", "sagemaker-runtime")]

    def ask(self, operation, **fields) -> Seen:
        from botocore.exceptions import ClientError

        client = next(client for client in self.clients if hasattr(client, operation))
        try:
            answer = getattr(client, operation)(**fields)
        except ClientError as error:
            return Seen(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"], {})
        status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
        if "Body" in answer:
            answer.pop("Body").close()
        return Seen(status, None, answer)

    def close(self):
        for client in self.clients:
            client.close()


@pytest.fixture(scope="module")
def moto():
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server,sagemaker]'")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    service = Service(f"http://{host}:{port}")
    yield service
    service.close()
    running.stop()


@pytest.fixture(scope="module")
def ours():
    with SimulatedProvider(sagemaker=SageMaker()).in_thread() as provider:
        service = Service(provider.base_url)
        service.fleet = provider.sagemaker
        yield service
        service.close()


@pytest.fixture(scope="module")
def answers(moto, ours):
    """What both said to all calls."""
    seen = {}
    for name, operation, fields in CALLS:
        if name == "ready":
            assert ours.ask("describe_endpoint", EndpointName="e").answer["EndpointStatus"] == "Creating"
            ours.fleet.change("e", status="InService")
        else:
            seen[name] = (moto.ask(operation, **fields), ours.ask(operation, **fields))
    return seen


def members(value, path=""):
    """The paths of all members, whatever their values."""
    if isinstance(value, dict):
        own = {f"{path}.{name}".lstrip(".") for name in value}
        return own.union(*(members(item, f"{path}.{name}") for name, item in value.items()))
    if isinstance(value, list):
        return set().union(*(members(item, f"{path}[]") for item in value))
    return set()


@pytest.mark.parametrize("name", [name for name, *_ in CALLS if name != "ready"])
def test_both_answer_alike(answers, name):
    theirs, our = answers[name]
    assert (our.status, our.code) == (theirs.status, theirs.code)
    assert members(our.answer) - members(theirs.answer) == ONLY_OURS.get(name, set())
    assert members(theirs.answer) - members(our.answer) == ONLY_MOTO.get(name, set())


@pytest.mark.parametrize("name", ["describe endpoint", "list endpoints"])
def test_both_say_the_same_of_an_endpoint(answers, name):
    theirs, our = ([one.answer, *one.answer.get("Endpoints", ())][-1] for one in answers[name])
    for member in ("EndpointName", "EndpointArn", "EndpointStatus"):
        assert our[member] == theirs[member]
    for variants in zip(our.get("ProductionVariants", ()), theirs.get("ProductionVariants", ()), strict=True):
        assert [(one["VariantName"], one["CurrentInstanceCount"], one["DesiredInstanceCount"]) for one in variants] == [
            ("V", 2, 2)
        ] * 2


@pytest.fixture
def prepared(moto, ours):
    for service in (moto, ours):
        service.ask("create_model", ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
        service.ask("create_endpoint_config", EndpointConfigName="c", ProductionVariants=variant())
        service.ask("create_endpoint", EndpointName="e", EndpointConfigName="c")
    ours.fleet.change("e", status="InService")
    return moto, ours


@pytest.mark.parametrize(
    ("operation", "reason", "fields", "theirs", "code"), DIFFERENT, ids=[row[1] for row in DIFFERENT]
)
def test_a_named_difference_is_still_there(prepared, operation, reason, fields, theirs, code):
    """When this fails, moto has learnt it: move the call to CALLS and take it off the page."""
    moto, ours = prepared
    seen = moto.ask(operation, **fields)
    assert (seen.status, seen.code) == theirs, reason
    our = ours.ask(operation, **fields)
    assert (our.status, our.code) == ((400, code) if code else (200, None))


def test_a_new_endpoint_is_being_created(prepared):
    """CreateEndpoint: the status is Creating until all is deployed. moto has it in service at once."""
    moto, ours = prepared
    states = []
    for service in (moto, ours):
        service.ask("create_endpoint", EndpointName="new", EndpointConfigName="c")
        states.append(service.ask("describe_endpoint", EndpointName="new").answer["EndpointStatus"])
        service.ask("delete_endpoint", EndpointName="new")
    assert states == ["InService", "Creating"]


def test_what_was_sent_comes_back(prepared):
    kept = []
    for service in prepared:
        container = {"Image": IMAGE, "Environment": {"HF_MODEL_ID": "m"}}
        service.ask("create_model", ModelName="env", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        service.ask(
            "create_endpoint_config", EndpointConfigName="weighed", ProductionVariants=variant(InitialVariantWeight=2.0)
        )
        model = service.ask("describe_model", ModelName="env").answer
        config = service.ask("describe_endpoint_config", EndpointConfigName="weighed").answer
        kept.append((model["PrimaryContainer"], config["ProductionVariants"]))
        service.ask("delete_model", ModelName="env")
        service.ask("delete_endpoint_config", EndpointConfigName="weighed")
    assert kept == [(container, variant(InitialVariantWeight=2.0))] * 2


def test_an_arn_is_in_lower_case(moto, ours):
    """AWS writes names into ARNs in lower case (public listings of 2018 to 2026); moto keeps the case."""
    arns = []
    for service in (moto, ours):
        made = service.ask("create_model", ModelName="Mixed", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
        arns.append(made.answer["ModelArn"].rpartition("/")[2])
        service.ask("delete_model", ModelName="Mixed")
    assert arns == ["Mixed", "mixed"]


def test_an_invocation_reaches_the_container(prepared):
    """moto answers ``body`` with the content type ``content_type``; ours asks the container."""
    moto, ours = prepared
    fields = {"EndpointName": "e", "CustomAttributes": "a=b", **BODY}
    seen = [service.ask("invoke_endpoint", **fields).answer for service in (moto, ours)]
    assert [answer["ContentType"] for answer in seen] == ["content_type", "application/json"]
    assert [answer["InvokedProductionVariant"] for answer in seen] == ["invoked_production_variant", "V"]
