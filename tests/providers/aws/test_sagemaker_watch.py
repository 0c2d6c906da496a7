"""States of endpoints: what is made of them, and how they are looked at through botocore."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trimaran.errors import ConfigError
from trimaran.providers.aws.sagemaker_discovery import guess_container, look_at
from trimaran.providers.aws.sagemaker_state import Asked, State, component_state, endpoint_state, missing_state, worse
from trimaran.providers.aws.sagemaker_watch import (
    PATIENCE_S,
    SageMakerWatch,
    SageMakerWatches,
    control_client,
    sagemaker_watches,
)
from trimaran.testing import SimulatedProvider
from trimaran.testing.sagemaker import Container, Endpoint, InferenceComponent, SageMaker, Variant
from trimaran.types import Credential, Snapshot, Target

KEYS = Credential(("AKIDEXAMPLE", "secret", ""))
ASKED = Asked("sagemaker/e", "e", "", "", "eu-west-1")


def described(status: str = "InService", *counts: int | None, **more: Any) -> dict[str, Any]:
    variants = [
        {"VariantName": f"v{place}"} | ({} if count is None else {"CurrentInstanceCount": count})
        for place, count in enumerate(counts or (1,))
    ]
    return {"EndpointStatus": status, "ProductionVariants": variants, **more}


@pytest.mark.parametrize("status", ["InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"])
def test_what_goes_on_answering_is_up(status: str) -> None:
    assert endpoint_state(ASKED, described(status, 2, 1)) == State("up", "", 3)


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        ("Creating", "aws sagemaker wait endpoint-in-service --endpoint-name e --region eu-west-1"),
        ("Failed", "aws sagemaker describe-endpoint --endpoint-name e --region eu-west-1"),
        ("OutOfService", "aws sagemaker update-endpoint --endpoint-name e"),
        ("Deleting", "create it anew"),
        ("Hibernating", "aws sagemaker describe-endpoint"),
    ],
)
def test_what_cannot_answer_is_down_with_reason_and_mend(status: str, mend: str) -> None:
    state = endpoint_state(ASKED, described(status, 0, FailureReason="The container did not\n pass."))
    assert (state.level, state.instances) == ("down", 0)
    assert f"is {status}: The container did not pass; " in state.reason
    assert mend in state.reason


def test_scaled_to_zero_is_a_last_resort() -> None:
    state = endpoint_state(ASKED, described("InService", 0))
    assert (state.level, state.instances) == ("last_resort", 0)
    assert "scaled to zero: the first request starts it, expect minutes" in state.reason
    # A serverless variant has no instances that are counted, and answers.
    assert endpoint_state(ASKED, described("InService", None)) == State("up", "", None)


def test_one_variant_may_be_meant() -> None:
    asked = ASKED._replace(variant="v1")
    assert endpoint_state(asked, described("InService", 4, 0)).level == "last_resort"
    assert endpoint_state(asked, described("InService", 0, 2)) == State("up", "", 2)
    missing = endpoint_state(ASKED._replace(variant="v7"), described("InService", 1, 1))
    assert missing.level == "down"
    assert "no variant v7, but v0, v1" in missing.reason


def component(status: str = "InService", copies: int | None = 1, **more: Any) -> dict[str, Any]:
    return {
        "InferenceComponentStatus": status,
        "EndpointName": "e",
        "RuntimeConfig": {"CurrentCopyCount": copies},
    } | more


def test_components_have_states_of_their_own() -> None:
    asked = ASKED._replace(component="c")
    assert component_state(asked, component()).level == "up"
    assert component_state(asked, component("Updating")).level == "up"
    assert component_state(asked, component(copies=0)).level == "last_resort"
    failed = component_state(asked, component("Failed", 0, FailureReason="no memory"))
    assert failed.level == "down"
    assert "no memory" in failed.reason
    elsewhere = component_state(asked, component(EndpointName="other"))
    assert "is on the endpoint other, not e" in elsewhere.reason
    up, asleep = State("up", "", 3), State("last_resort", "x")
    assert worse(up, asleep) == State("last_resort", "x", 3)
    assert worse(State("down", "y", 3), asleep) == State("down", "y", 3)
    assert "list-inference-components" in missing_state(asked, component=True).reason


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class ControlPlane:
    """Answers from a table; an exception stands for what botocore raises."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, str]] = []
        self.credentials: list[Credential | None] = []

    def client(self, credential: Credential | None, region: str, url: str) -> Callable[..., Any]:
        self.credentials.append(credential)
        return self.describe

    def describe(self, operation: str, parameters: dict[str, str]) -> Any:
        (name,) = parameters.values()
        self.calls.append((operation, name))
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


class ClientError(Exception):
    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": message}}


NOT_FOUND = ClientError("ValidationException", 'Could not find endpoint "arn:aws:sagemaker:x".')
DENIED = ClientError("AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized")


def watch(plane: ControlPlane, *asked: Asked, clock: Clock | None = None) -> SageMakerWatch:
    return SageMakerWatch(
        "sagemaker", "sagemaker", asked, region="eu-west-1", client=plane.client, clock=clock or Clock()
    )


def ask(name: str, component: str = "") -> Asked:
    return Asked(f"sagemaker/{component or name}", name, component, "", "eu-west-1")


def test_each_thing_is_asked_for_once() -> None:
    plane = ControlPlane(e=described("InService", 2), a=component(), b=component(copies=0))
    looking = watch(plane, ask("e", "a"), ask("e", "b"))
    found = looking.look(KEYS)
    assert [(key, level) for key, level, _ in found] == [("sagemaker/a", "up"), ("sagemaker/b", "last_resort")]
    assert plane.calls == [
        ("DescribeEndpoint", "e"),
        ("DescribeInferenceComponent", "a"),
        ("DescribeInferenceComponent", "b"),
    ]
    assert looking.instances == {"sagemaker/a": 2, "sagemaker/b": 2}


def test_what_is_not_there_is_down() -> None:
    ((_, level, reason),) = watch(ControlPlane(e=NOT_FOUND), ask("e")).look(KEYS)
    assert level == "down"
    assert "there is no endpoint e in eu-west-1" in reason


def test_who_may_not_look_assumes_nothing() -> None:
    with pytest.raises(ConfigError, match="AWS allows no look") as raised:
        watch(ControlPlane(e=DENIED), ask("e")).look(KEYS)
    assert "sagemaker:DescribeEndpoint" in raised.value.hint
    assert "123456789012" not in str(raised.value)
    both = watch(ControlPlane(e=DENIED, f=described()), ask("e"), ask("f"))
    assert both.look(KEYS) == [("sagemaker/f", "up", "")]
    assert "AWS allows no look" in both.problem


@pytest.mark.parametrize("error", [ClientError("ThrottlingException", "Rate exceeded"), TimeoutError()])
def test_what_cannot_be_seen_stays_as_it_was(error: Exception) -> None:
    plane = ControlPlane(e=described("Creating", 0), f=described())
    looking = watch(plane, ask("e"), ask("f"))
    before = looking.look(KEYS)
    plane.answers["e"] = error
    assert looking.look(KEYS) == before
    assert looking.problem
    plane.answers["f"] = error
    with pytest.raises(ConfigError, match=r"not known|cannot be reached"):
        looking.look(KEYS)
    assert looking.instances == {"sagemaker/e": 0, "sagemaker/f": 1}


def test_a_look_ends_in_time() -> None:
    clock = Clock()
    plane = ControlPlane(e=described(), f=described())
    looking = watch(plane, ask("e"), ask("f"), clock=clock)

    def slowly(operation: str, parameters: dict[str, str]) -> Any:
        clock.now += PATIENCE_S
        return described()

    looking._make_client = lambda *_: slowly
    assert [key for key, _, _ in looking.look(KEYS)] == ["sagemaker/e"]


def test_a_look_goes_on_where_the_last_one_stopped() -> None:
    clock, asked_for = Clock(), []

    def slowly(operation: str, parameters: dict[str, str]) -> Any:
        clock.now += 8
        asked_for.append(parameters["EndpointName"])
        return described()

    looking = watch(ControlPlane(), *(ask(name) for name in "abcdefg"), clock=clock)
    looking._make_client = lambda *_: slowly
    looking.look(KEYS)
    assert asked_for == ["a", "b", "c"]
    assert "4 of 7 targets could not be looked at within 20 s" in looking.problem
    looking.look(KEYS)
    looking.look(KEYS)
    assert asked_for == [*"abcdefgab"]


def test_a_new_credential_makes_a_new_client() -> None:
    plane = ControlPlane(e=described())
    looking = watch(plane, ask("e"))
    for credential in (KEYS, KEYS, Credential(("AKIDOTHER", "s", "t"))):
        looking.look(credential)
    assert len(plane.credentials) == 2


def test_without_botocore_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("botocore"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError) as raised:
        control_client(KEYS, "eu-west-1", "")
    assert "pip install 'trimaran[aws]'" in raised.value.hint


def a_target(name: str, base_url: str = "https://runtime.sagemaker.eu-west-1.amazonaws.com", **facts: str) -> Target:
    return Target(
        f"sagemaker/{name}", "sagemaker", name, ("openai.chat",), base_url, "sagemaker", "eu-west-1",
        kind="sagemaker", door="sagemaker", facts=facts,
    )  # fmt: skip


def snapshot(*targets: Target) -> Snapshot:
    return Snapshot(1, {target.id: target for target in targets})


def test_the_snapshot_says_what_is_looked_at() -> None:
    (found,) = sagemaker_watches(
        snapshot(a_target("a", endpoint="shared", inference_component="c"), a_target("*"), a_target("b"))
    )
    assert found.name == "endpoints of sagemaker"
    assert (found.credential, found.interval_s) == ("sagemaker", 20.0)
    assert found._asked == (
        Asked("sagemaker/a", "shared", "c", "", "eu-west-1"),
        Asked("sagemaker/b", "b", "", "", "eu-west-1"),
    )
    assert found._endpoint_url == ""
    assert sagemaker_watches(snapshot()) == []
    (simulated,) = sagemaker_watches(snapshot(a_target("a", "http://127.0.0.1:8000")))
    assert simulated._endpoint_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("base_url", "control"),
    [
        ("http://models.example:8000", "http://models.example:8000"),
        ("https://localstack.example", "https://localstack.example"),
        ("https://vpce-0a-x.runtime.sagemaker.eu-west-1.vpce.amazonaws.com", ""),
        ("https://runtime.sagemaker.cn-north-1.amazonaws.com.cn", ""),
    ],
)
def test_a_stand_in_is_never_mixed_with_aws(base_url: str, control: str) -> None:
    (found,) = sagemaker_watches(snapshot(a_target("a", base_url)))
    assert found._endpoint_url == control


def test_a_reload_keeps_what_was_seen() -> None:
    watches = SageMakerWatches()
    (first,) = watches(snapshot(a_target("a")))
    first.instances = {"sagemaker/a": 3}
    assert watches(snapshot(a_target("a")))[0] is first
    assert watches.instances == {"sagemaker/a": 3}
    assert watches(snapshot(a_target("a"), a_target("b")))[0] is not first
    assert watches.instances == {}


# botocore against the simulated control plane

pytest.importorskip("botocore")
FLEET = (
    Endpoint(name="busy", variants=(Variant(instance_type="ml.inf2.8xlarge", current_instance_count=3),), container=Container(kind="neuron")),
    Endpoint(name="failed", status="Failed", failure_reason="no quota"),
    Endpoint(name="shared", container=Container(kind="lmi"), inference_components=(
        InferenceComponent(inference_component_name="awake"),
        InferenceComponent(inference_component_name="asleep", current_copy_count=0),
    )),
)  # fmt: skip


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    with SimulatedProvider(sagemaker=SageMaker(FLEET)).in_thread() as running:
        yield running


def test_through_botocore(provider: SimulatedProvider) -> None:
    asked = [ask("busy"), ask("failed"), ask("nowhere"), ask("shared", "asleep"), ask("shared", "gone")]
    looking = SageMakerWatch("sagemaker", "", asked, region="us-east-1", endpoint_url=provider.base_url)
    found = {key: (level, reason) for key, level, reason in looking.look(KEYS)}
    assert {key: level for key, (level, _) in found.items()} == {
        "sagemaker/busy": "up",
        "sagemaker/failed": "down",
        "sagemaker/nowhere": "down",
        "sagemaker/asleep": "last_resort",
        "sagemaker/gone": "down",
    }
    assert "no quota" in found["sagemaker/failed"][1]
    assert looking.instances["sagemaker/busy"] == 3
    assert looking.problem == ""
    provider.sagemaker.scale("busy", 0)
    assert ("sagemaker/busy", "last_resort") in [each[:2] for each in looking.look(KEYS)]
    assert looking.instances["sagemaker/busy"] == 0


def test_denied_through_botocore(provider: SimulatedProvider) -> None:
    provider.aws.denied.add("sagemaker:DescribeEndpoint")
    looking = SageMakerWatch("sagemaker", "", [ask("busy")], region="us-east-1", endpoint_url=provider.base_url)
    with pytest.raises(ConfigError, match="AWS allows no look"):
        looking.look(KEYS)


def test_discovery_looks_behind_endpoints_and_guesses_containers(provider: SimulatedProvider) -> None:
    describe = control_client(KEYS, "us-east-1", provider.base_url)
    busy, shared = look_at("busy", "InService", describe), look_at("shared", "InService", describe)
    assert (busy.container, busy.instance_types) == ("neuron", ("ml.inf2.8xlarge",))
    assert str(busy) == "busy (InService, neuron on ml.inf2.8xlarge)"
    assert shared.components == ("awake", "asleep")
    assert shared.container == "lmi"
    provider.aws.denied.add("sagemaker:DescribeEndpointConfig")
    assert str(look_at("busy", "InService", describe)) == "busy (InService, not to be seen (AccessDeniedException))"


@pytest.mark.parametrize(
    ("image", "container"),
    [
        ("1.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.34.0-lmi16.0.0-cu128", "lmi"),
        ("1.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.30.0-neuronx-sdk2.20.1", "neuron"),
        (
            "1.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.4-gpu-py311-cu124-ubuntu22.04",
            "tgi",
        ),
        ("1.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference-neuronx:2.1.2", "neuron"),
        ("1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tritonserver:25.04-py3", "triton"),
        ("1.dkr.ecr.us-east-1.amazonaws.com/vllm:0.11-gpu-py312", "vllm"),
        ("1.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-gpu", "tensor"),
        ("1.dkr.ecr.us-east-1.amazonaws.com/my-own:1", ""),
        ("", ""),
    ],
)
def test_containers_are_guessed_by_their_images(image: str, container: str) -> None:
    assert guess_container(image) == container


def test_a_model_of_jumpstart_that_tgi_serves() -> None:
    image = "1.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.4.0"
    assert guess_container(image, {"SAGEMAKER_JUMPSTART_X": "1"}) == "jumpstart"
