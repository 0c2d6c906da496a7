"""Online endpoints: from settings to targets, the ways in, and what refusals mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimaran.config import load
from trimaran.control.capacity import stated_capacity
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.errors import (
    AttemptError,
    ConfigError,
    CredentialRejected,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
    TargetNotFound,
)
from trimaran.providers import door_of
from trimaran.providers.azure.ml import WholeAsStream
from trimaran.providers.azure.ml_refusals import RefusalReader
from trimaran.types import Snapshot, Target
from trimaran.wire import DIALECTS

ENV = {"HOME": "/nowhere", "KEY": "ml-key-0123456789abcdef", "OWN": "own-key-0123456789abcdef"}
URL = "https://llama.eastus.inference.ml.azure.com"


def snapshot(settings: str, folder: Path, targets: str = "azure_ml/llama") -> Snapshot:
    file = folder / "trimaran.yaml"
    file.write_text(f"providers:\n  azure_ml: {{{settings}}}\nmodels:\n  a: {{targets: [{targets}]}}\n")
    return build_snapshot(load(str(file), ENV), ENV, 1)


def test_endpoints_become_targets(tmp_path: Path) -> None:
    listed = f"llama: {{url: '{URL}/score', container: score, deployment: blue, base_model: llama-3.1-8b, api_key: '${{OWN}}'}}, plain: {{}}"
    made = snapshot(
        f"region: westeurope, online_endpoints: {{{listed}}}", tmp_path, "azure_ml/llama, azure_ml/plain, azure_ml/Free"
    )
    target = made.targets["azure_ml/llama"]
    assert (target.base_url, target.dialects, target.region) == (URL, ("azure_ml.score",), "eastus")
    assert target.capabilities is not None
    assert made.secrets[target.credential] == ENV["OWN"]
    plain = made.targets["azure_ml/plain"]
    assert plain.base_url == "https://plain.westeurope.inference.ml.azure.com"
    assert (plain.dialects, plain.credential) == (("openai.chat", "openai.embeddings"), "azure_ml")
    assert made.targets["azure_ml/Free"].base_url == "https://free.westeurope.inference.ml.azure.com"
    assert made.identities["azure_ml"].settings["scope"] == "https://ml.azure.com/.default"


def test_nobody_is_asked_for_a_token_where_all_have_keys(tmp_path: Path) -> None:
    made = snapshot(f"online_endpoints: {{llama: {{url: '{URL}/score', api_key: '${{OWN}}'}}}}", tmp_path)
    assert made.identities == {}
    made = snapshot(f"online_endpoints: {{llama: {{url: '{URL}/score'}}}}", tmp_path)
    assert [*made.identities] == ["azure_ml"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("api_key: '${KEY}'", "no online endpoint is known for azure_ml: neither a region nor a URL"),
        (f"online_endpoints: {{other: {{url: '{URL}'}}}}", "nothing says where the online endpoint azure_ml/llama is"),
        ("online_endpoints: {llama: {}}", "nothing says where the endpoint is"),
        ("online_endpoints: {llama: {url: 'https://ml.azure.com/endpoints/x'}}", "is a page for people"),
        (
            "region: eastus, online_endpoints: {llama: {container: huggingface}}",
            "nothing says how its model tells turns apart",
        ),
        ("region: eastus, online_endpoints: {llama: {container: score_prompt, base_model: bert}}", "nobody knows how"),
        ("region: eastus, online_endpoints: {llama: {container: score, model: x}}", "holds no model"),
        ("region: eastus, online_endpoints: {llama: {container: tensor}}", "container"),
        ("region: eastus, online_endpoints: {llama: {}}, capacity: {replicas: 1}", "has instances of its own"),
        ("region: eastus, deployments: {a: {}}", "only azure_openai has it"),
        (f"online_endpoints: {{llama: {{url: '{URL}/score?x=1'}}}}", f"write {URL}/score"),
    ],
)
def test_wrong_settings_are_named_with_their_line(settings: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        snapshot(settings, tmp_path)
    assert words in str(caught.value)
    assert "trimaran.yaml:" in str(caught.value)


def test_a_misspelt_endpoint_is_asked_about(tmp_path: Path) -> None:
    made = snapshot("region: eastus, online_endpoints: {my-llama: {}}", tmp_path, "azure_ml/my-lama")
    assert any("did you mean my-llama?" in each for each in made.warnings)


def test_hours_are_booked_by_target(tmp_path: Path) -> None:
    file = tmp_path / "trimaran.yaml"
    file.write_text(
        f"""
providers:
  azure_openai:
    resource: contoso
    region: swedencentral
    deployments: {{big: {{model: gpt-4o, capacity: {{ptu: 100, hourly: 1.5 USD, purchase_option: committed_1y}}}}, chat: {{}}}}
  azure_ml:
    online_endpoints:
      llama: {{url: "{URL}/score", capacity: {{instance_type: Standard_NC24ads_A100_v4, instances: 2, hourly: 3.67 USD}}}}
models: {{a: {{targets: [azure_openai/big]}}}}
"""
    )
    big, llama = stated_capacity(load(str(file), ENV))
    assert (big.pool, big.replicas, big.hourly_nanos, big.offer) == ("azure_openai/big", 100, 1_500_000_000, "PTU")
    assert (big.platform, big.region, big.purchase_option) == ("azure_openai", "swedencentral", "committed_1y")
    assert (llama.pool, llama.replicas, llama.offer) == ("azure_ml/llama", 2, "Standard_NC24ads_A100_v4")


def test_a_key_that_travels_unencrypted_is_warned_of(tmp_path: Path) -> None:
    made = snapshot("online_endpoints: {llama: {url: 'http://llama.example.com/score'}}", tmp_path)
    assert any("the credential of azure_ml/llama travels unencrypted" in each for each in made.warnings)
    made = snapshot("online_endpoints: {llama: {url: 'http://127.0.0.1:8000/score'}}", tmp_path)
    assert not made.warnings


# Doors


def target(dialect: str, **facts: str) -> Target:
    return Target("azure_ml/llama", "azure_ml", "llama", (dialect,), URL, facts=facts, door="azure_ml")


@pytest.mark.parametrize(
    ("dialect", "path", "whole", "streamed"),
    [
        ("openai.chat", "", b"/v1/chat/completions", b"/v1/chat/completions"),
        ("openai.chat", "/score", b"/v1/chat/completions", b"/v1/chat/completions"),
        ("openai.chat", "/api/v1/chat/completions", b"/api/v1/chat/completions", b"/api/v1/chat/completions"),
        ("openai.embeddings", "/v1/chat/completions", b"/v1/embeddings", b"/v1/embeddings"),
        ("azure_ml.score", "", b"/score", b"/score"),
        ("azure_ml.score", "/at/score", b"/at/score", b"/at/score"),
        ("huggingface.generate", "/score", b"/score", b"/score"),
        ("huggingface.generate", "/generate", b"/generate", b"/generate_stream"),
        ("kserve.v2", "/score", b"/v2/models/llama/infer", b"/v2/models/llama/infer"),
    ],
)
def test_paths(dialect: str, path: str, whole: bytes, streamed: bytes) -> None:
    door = door_of(target(dialect, **({"path": path} if path else {})), dialect)
    assert (door.path(False), door.path(True)) == (whole, streamed)


def test_header_lines_and_bodies() -> None:
    door = door_of(target("openai.chat", deployment="blue"), "openai.chat")
    assert door.lines(False) == b"azureml-model-deployment: blue\r\n"
    body, _ = door.request(b'{"model": "llama", "messages": []}', False, b"")
    assert json.loads(body) == {"messages": []}
    door = door_of(target("openai.chat", served_model="big"), "openai.chat")
    assert door.request(b'{"model": "llama", "messages": []}', False, b"")[0] == b'{"model": "big", "messages": []}'
    # Where nothing streams, nobody is asked to.
    door = door_of(target("huggingface.generate", path="/score"), "huggingface.generate")
    assert json.loads(door.request(b'{"inputs":"x","stream":true}', True, b"")[0]) == {"inputs": "x"}
    door = door_of(target("huggingface.generate", path="/generate"), "huggingface.generate")
    assert b"stream" in door.request(b'{"inputs":"x","stream":true}', True, b"")[0]
    assert door.unwrap() is None


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_whole_answer_as_a_stream(cut: int) -> None:
    answer = b'[ {"generated_text":\n "h\\u00fc"} ]'
    unwrapper = WholeAsStream()
    assert unwrapper.feed(answer[:cut]) == unwrapper.feed(answer[cut:]) == b""
    assert json.loads(unwrapper.finish()) == {"generated_text": "hü"}


def test_a_whole_answer_that_is_none() -> None:
    unwrapper = WholeAsStream()
    unwrapper.feed(b'{"output": "half')
    with pytest.raises(StreamCut):
        unwrapper.finish()
    unwrapper = WholeAsStream()
    unwrapper.feed(b"[1, 2]")
    with pytest.raises(MalformedAnswer):
        unwrapper.finish()


def test_a_container_that_streams_all_the_same_is_passed() -> None:
    unwrapper = WholeAsStream()
    assert unwrapper.feed(b"da") == b""
    assert unwrapper.feed(b'ta: {"token"') == b'data: {"token"'
    assert unwrapper.feed(b": 1}\n") == b": 1}\n"
    assert unwrapper.finish() == b""


# Refusals


def read(status: int, body: bytes = b"", dialect: str = "openai.chat", **headers: str) -> AttemptError:
    lines = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    reader = RefusalReader(target(dialect, deployment="blue"), DIALECTS[dialect])
    return reader.read(status, {b"content-type": b"application/json"} | lines, body)


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "words"),
    [
        (401, b"key_auth_access_denied", {}, CredentialRejected, "az ml online-endpoint get-credentials --name llama"),
        (403, b"The principal p lacks x", {}, CredentialRejected, 'assign the role "AzureML Data Scientist"'),
        (404, b"No valid deployments to route to.", {}, TargetNotFound, "has no deployment blue"),
        (408, b"upstream request timeout", {}, ServerFault, "request_timeout_ms"),
        (
            429,
            b"",
            {"ms_azureml_model_error_reason": "too_many_pending_request"},
            RateLimited,
            "too_many_pending_request",
        ),
        (503, b"no healthy upstream", {}, Overloaded, "no healthy upstream"),
        (500, b"oops", {}, ServerFault, "failed (500): oops"),
        (
            424,
            b"",
            {"ms_azureml_model_error_reason": "model_not_ready"},
            Overloaded,
            "get-logs --endpoint-name llama --name blue",
        ),
        (424, b"Traceback ...", {"ms_azureml_model_error_statuscode": "500"}, ServerFault, "Traceback"),
        (424, b'{"detail":"Not Found"}', {"ms_azureml_model_error_statuscode": "404"}, TargetNotFound, "Not Found"),
        (424, b'{"error":{"message":"bad"}}', {"ms_azureml_model_error_statuscode": "400"}, Rejected, "bad"),
        (
            424,
            b'{"error":{"message":"slow down"}}',
            {"ms_azureml_model_error_statuscode": "429"},
            RateLimited,
            "slow down",
        ),
    ],
)
def test_what_refusals_mean(
    status: int, body: bytes, headers: dict[str, Any], kind: type[AttemptError], words: str
) -> None:
    told = read(status, body, **headers)
    assert type(told) is kind
    assert words in told.message


def test_a_containers_refusal_reaches_its_client_untouched() -> None:
    body = b'{"error":{"message":"bad"}}'
    told = read(424, body, ms_azureml_model_error_statuscode="400")
    assert (told.body, told.dialect, told.upstream_status) == (body, "openai.chat", 400)
    assert "az ml" not in told.message


def test_only_a_token_is_worth_another_one() -> None:
    for status, body, lasting in ((401, b"token_auth_access_denied", False), (403, b"", True)):
        told = read(status, body)
        assert isinstance(told, CredentialRejected)
        assert told.lasting is lasting
