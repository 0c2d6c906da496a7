"""Tensors: read, passed, and refused by name where they would not arrive whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.errors import InvalidRequest, MalformedAnswer, Rejected, UnknownModel, UnsupportedFeature
from trimaran.types import Target
from trimaran.wire import DIALECTS, surface, translate

KSERVE = DIALECTS["kserve.v2"]
TRITON = Target("kserve/bert", "kserve", "bert", ("kserve.v2",), "http://t")
TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}
BODY = json.dumps({"inputs": [TENSOR], "id": "7"}).encode()
PATH = b"/v2/models/bert/infer"


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (PATH, "bert"),
        (b"/v2/models/sagemaker%2Fbert/infer", "sagemaker/bert"),
        (b"/v2/models/sagemaker/bert/infer", "sagemaker/bert"),
        (b"/v2/models/b%C3%A9/infer", "bé"),
    ],
)
def test_the_path_names_the_model(path: bytes, model: str) -> None:
    assert surface(path) is KSERVE
    envelope = KSERVE.read(BODY, path)
    assert (envelope.model, envelope.stream, envelope.needs) == (model, False, 0)
    assert envelope.input_tokens == len(BODY) // 4 + 1


@pytest.mark.parametrize(
    "path", [b"/v2/models/bert", b"/v2/health/live", b"/v2/models//infer", b"/v2/models/bert/infer/x"]
)
def test_other_paths_are_not_served(path: bytes) -> None:
    assert surface(path) is None


def test_both_bodies_pass() -> None:
    made = translate(KSERVE, KSERVE.read(BODY, PATH), TRITON)
    assert made.body is BODY
    answer = b'{"model_name":"bert","outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[3.0]}]}'
    assert made.answer(answer) == (answer, None, "", "")
    assert KSERVE.upstream_path("my bert/1", False) == b"/v2/models/my%20bert%2F1/infer"


@pytest.mark.parametrize("body", [{}, {"inputs": []}, {"inputs": None}, {"inputs": {"name": "x"}}, {"inputs": "x"}])
def test_no_tensor_is_no_request(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="'inputs'"):
        KSERVE.read(json.dumps(body).encode(), PATH)


@pytest.mark.parametrize(
    "more",
    [
        {"inputs": [TENSOR | {"parameters": {"binary_data_size": 8}}]},
        {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
        {"parameters": {"binary_data_output": True}},
    ],
)
def test_tensors_after_the_json_are_refused_by_name(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"binary_data.*send and take them as 'data'"):
        KSERVE.read(json.dumps({"inputs": [TENSOR]} | more).encode(), PATH)
    assert b"inference-header-content-length" in KSERVE.refuses


def test_the_word_alone_is_no_reason() -> None:
    tensor = {
        "name": "x",
        "shape": [1],
        "datatype": "BYTES",
        "data": ["binary_data_size"],
        "parameters": {"binary_data": False},
    }
    assert KSERVE.read(json.dumps({"inputs": [tensor]}).encode(), PATH).model == "bert"


def test_a_version_is_refused() -> None:
    path = b"/v2/models/bert/versions/3/infer"
    assert surface(path) is KSERVE
    with pytest.raises(InvalidRequest, match="leave out /versions"):
        KSERVE.read(BODY, path)


def test_it_is_not_translated() -> None:
    chat = Target("openai/x", "openai", "x", ("openai.chat",), "http://t")
    with pytest.raises(UnsupportedFeature, match="inference on tensors cannot be asked of it"):
        translate(KSERVE, KSERVE.read(BODY, PATH), chat)
    client = DIALECTS["openai.chat"]
    with pytest.raises(UnsupportedFeature, match="conversations cannot be asked of it"):
        translate(client, client.read(b'{"model":"m","messages":[]}'), TRITON)


@pytest.mark.parametrize("body", [b"{}", b'{"outputs": {}}', b"x", b'{"outputs": null}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        KSERVE.inspect(body)


def test_errors_both_ways() -> None:
    theirs = b'{"error":"unexpected shape for input"}'
    error = KSERVE.read_error(400, None, "application/json", theirs)
    assert isinstance(error, Rejected)
    assert error.message == "unexpected shape for input"
    assert KSERVE.write_error(error, "r") == theirs
    assert json.loads(KSERVE.write_error(UnknownModel("no such model"), "r")) == {"error": "no such model"}
    with pytest.raises(Exception, match="boom"):
        KSERVE.inspect(b'{"error":"boom"}')
