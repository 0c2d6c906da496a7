"""Endpoints of SageMaker in the configuration: what is taken, what is refused with its line, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from trimaran.config import Config, load_mapping, load_text
from trimaran.control.capacity import counted, stated_capacity
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import ConfigError
from trimaran.types import Snapshot, Target

ENV = {"HOME": "/h", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}


def loaded(endpoints: dict[str, Any], **more: Any) -> Config:
    return load_mapping({"providers": {"sagemaker": {"region": "us-east-1", "endpoints": endpoints} | more}}, ENV)


def targets(endpoints: dict[str, Any], *names: str) -> dict[str, Target]:
    models = {"m": {"targets": [f"sagemaker/{name}" for name in names or endpoints]}}
    config = load_mapping(
        {"models": models, "providers": {"sagemaker": {"region": "us-east-1", "endpoints": endpoints}}}, ENV
    )
    return build_snapshot(config, ENV, 1).targets


def refused(endpoints: dict[str, Any], **more: Any) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        loaded(endpoints, **more)
    return raised.value


@pytest.mark.parametrize(
    ("container", "dialects"),
    [
        ("vllm", ("openai.chat", "openai.embeddings", "sagemaker.invocations")),
        ("lmi", ("openai.chat", "openai.embeddings", "sagemaker.invocations")),
        ("neuron", ("openai.chat", "openai.embeddings", "sagemaker.invocations")),
        ("tgi", ("openai.chat", "sagemaker.invocations")),
        ("triton", ("kserve.v2", "sagemaker.invocations")),
        ("tensor", ("sagemaker.invocations",)),
    ],
)
def test_a_container_decides_the_dialects(container: str, dialects: tuple[str, ...]) -> None:
    (target,) = targets({"e": {"container": container}}).values()
    assert target.dialects == dialects
    assert (target.kind, target.door, target.base_url) == (
        "sagemaker",
        "sagemaker",
        "https://runtime.sagemaker.us-east-1.amazonaws.com",
    )


def test_jumpstart_needs_to_know_its_family() -> None:
    (target,) = targets({"e": {"container": "jumpstart", "base_model": "llama-3-8b"}}).values()
    assert target.dialects == ("huggingface.generate", "sagemaker.invocations")
    for written in ({}, {"base_model": "falcon-40b"}):
        with pytest.raises(ConfigError, match=r"tells? .*turns") as raised:
            targets({"e": {"container": "jumpstart"} | written})
        assert "llama3" in raised.value.hint
        assert "endpoints" in raised.value.where


def test_everything_an_endpoint_can_say_reaches_the_door() -> None:
    written = {
        "endpoint": "shared",
        "inference_component": "comp-1",
        "variant": "blue",
        "model": "/opt/ml/model",
        "base_model": "llama-3.1-70b",
    }
    (target,) = targets({"e": written}).values()
    assert target.facts == {
        "container": "vllm",
        "endpoint": "shared",
        "inference_component": "comp-1",
        "variant": "blue",
        "served_model": "/opt/ml/model",
        "base_model": "llama-3.1-70b",
    }
    assert target.capabilities is not None
    assert "tools" in target.capabilities.has


def test_an_endpoints_name_says_nothing_of_its_model() -> None:
    found = targets({}, "gpt-4o", "claude-3-haiku-20240307")
    assert all(target.capabilities is None and target.price is None for target in found.values())
    assert found["sagemaker/gpt-4o"].dialects == ("openai.chat", "openai.embeddings", "sagemaker.invocations")


def test_a_name_that_is_nearly_listed_is_asked_about() -> None:
    config = load_mapping(
        {
            "models": {"m": {"targets": ["sagemaker/my-lama", "sagemaker/quite-another"]}},
            "providers": {"sagemaker": {"endpoints": {"my-llama": {}}}},
        },
        ENV,
    )
    (warning,) = build_snapshot(config, ENV, 1).warnings
    assert "sagemaker/my-lama" in warning
    assert "did you mean my-llama?" in warning


def test_a_wildcard_finds_listed_endpoints_as_they_are_written() -> None:
    snapshot: Snapshot = build_snapshot(loaded({"t": {"container": "triton"}}), ENV, 1)
    assert resolve(snapshot, "sagemaker/t")[1][0].dialects == ("kserve.v2", "sagemaker.invocations")
    assert resolve(snapshot, "sagemaker/other")[1][0].dialects[0] == "openai.chat"


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ({"e": {"container": "vlm"}}, "did you mean vllm?"),
        ({"e": {"contianer": "vllm"}}, "did you mean container?"),
        ({"my_llama": {}}, "letters and digits, with -"),
        ({"-x": {}}, "letters and digits, with -"),
        ({"a" * 64: {}}, "letters and digits, with -"),
        ({"e": {"inference_component": "a_b"}}, "inference component"),
        ({"e": {"variant": "a b"}}, "production variant"),
        ({"e": {"target_model": " x"}}, "archive of a model"),
        ({"e": {"target_model": "a\nb"}}, "archive of a model"),
        ({"e": {"capacity": {"instance_type": "g5.12xlarge"}}}, "begins with ml."),
        ({"e": {"capacity": {"hourly": "7.09"}}}, "amount in USD"),
        ({"e": {"capacity": {"hourly": "1 USD", "amortised_hourly": "2 USD"}}}, "more than hourly"),
        ({"e": {"inference_component": "c", "target_model": "m.tar.gz"}}, "is one model already"),
        ({"e": {"container": "triton", "model": "bert"}}, "holds no model"),
        ({"a": {"endpoint": "s", "capacity": {}}, "b": {"endpoint": "s", "capacity": {}}}, "stated twice"),
    ],
)
def test_mistakes_are_named(endpoints: dict[str, Any], words: str) -> None:
    assert words in str(refused(endpoints))


def test_a_mistake_has_its_line() -> None:
    text = "providers:\n  sagemaker:\n    endpoints:\n      my-llama:\n        container: trition\n"
    with pytest.raises(ConfigError) as raised:
        load_text(text, "trimaran.yaml", ENV)
    assert raised.value.where == "trimaran.yaml:5"
    assert "did you mean triton?" in raised.value.hint


def test_endpoints_are_sagemakers_alone() -> None:
    with pytest.raises(ConfigError, match="only sagemaker and vertex have endpoints"):
        load_mapping({"providers": {"vllm": {"base_url": "http://x", "endpoints": {"e": {}}}}}, ENV)
    other = load_mapping(
        {"providers": {"sm-eu": {"kind": "sagemaker", "region": "eu-west-1", "endpoints": {"e": {}}}}}, ENV
    )
    assert (
        build_snapshot(other, ENV, 1).targets["sm-eu/e"].base_url == "https://runtime.sagemaker.eu-west-1.amazonaws.com"
    )
    assert "instances of its own" in str(refused({"e": {}}, capacity={"hourly": "1 USD"}))


def test_capacity_is_a_pool_by_the_targets_name() -> None:
    config = loaded(
        {
            "a": {
                "capacity": {
                    "instance_type": "ml.inf2.48xlarge",
                    "instances": 2,
                    "hourly": "15.58 USD",
                    "as_of": "2026-11-30",
                }
            },
            "b": {"capacity": {}},
            "c": {},
        }
    )
    a, b = stated_capacity(config)
    assert (a.pool, a.replicas, a.offer, a.platform, a.region) == (
        "sagemaker/a",
        2,
        "ml.inf2.48xlarge",
        "sagemaker",
        "us-east-1",
    )
    assert (a.hourly_nanos, a.as_of, a.purchase_option) == (15_580_000_000, "2026-11-30", "on_demand")
    # A price is never guessed: without one its cost is unknown.
    assert (b.pool, b.replicas, b.hourly_nanos) == ("sagemaker/b", 1, None)
    assert [pool.replicas for pool in counted([a, b], {"sagemaker/a": 5, "sagemaker/z": 9})] == [5, 1]
    assert [pool.replicas for pool in counted([a, b], {"sagemaker/a": 0})] == [0, 1]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/foo", "write sagemaker/foo"),
        ("my_llama", "did you mean sagemaker/my-llama?"),
        ("embedings_", "did you mean sagemaker/embeddings?"),
    ],
)
def test_a_name_that_aws_gives_no_endpoint_is_refused_with_its_line(name: str, instead: str) -> None:
    text = f'providers:\n  sagemaker: {{region: us-east-1, endpoints: {{embeddings: {{}}}}}}\nmodels:\n  m: {{targets: ["sagemaker/{name}"]}}\n'
    with pytest.raises(ConfigError) as raised:
        build_snapshot(load_text(text, "trimaran.yaml", ENV), ENV, 1)
    assert "trimaran.yaml:4" in str(raised.value) and instead in str(raised.value)


@pytest.mark.parametrize(
    ("other", "twice"), [("region: us-east-1", True), ("region: eu-west-1", False), ("profile: x", False)]
)
def test_instances_stated_by_two_providers_of_one_account(other: str, twice: bool) -> None:
    listed = "endpoints: {shared: {capacity: {hourly: 1 USD}}}"
    text = f"""models: {{a: {{targets: [sagemaker/shared]}}, b: {{targets: [again/shared]}}}}
providers:
  sagemaker: {{region: us-east-1, {listed}}}
  again: {{kind: sagemaker, {other}, {listed}}}
"""
    config = load_text(text, "trimaran.yaml", ENV)
    if not twice:
        build_snapshot(config, ENV, 1)
        return
    with pytest.raises(ConfigError) as raised:
        build_snapshot(config, ENV, 1)
    assert "trimaran.yaml:4" in str(raised.value) and "keep those of providers.sagemaker.endpoints.shared" in str(
        raised.value
    )
