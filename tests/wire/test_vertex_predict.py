"""Instances and predictions: what is read of them, and how errors look."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, InvalidRequest, MalformedAnswer, TrimaranError, UnknownModel
from trimaran.wire import DIALECTS

PREDICT = DIALECTS["vertex.predict"]
PATH = b"/v1/projects/p/locations/us-central1/endpoints/my%2Fonnx:predict"


def test_the_model_stands_in_the_path_and_the_body_passes() -> None:
    body = b'{ "instances": [1], "labels": {"a": "b"} }'
    envelope = PREDICT.read(body, PATH)
    assert (envelope.model, envelope.stream) == ("my/onnx", False)
    assert PREDICT.rewrite(envelope, "other") is body


@pytest.mark.parametrize(
    "path", [b"/v1/projects/p/locations/l/endpoints/x:rawPredict", b"/v1/endpoints/x:predict", b"/v1/models"]
)
def test_other_paths_are_others(path: bytes) -> None:
    assert not PREDICT.serves(path)


@pytest.mark.parametrize("body", [b"{}", b'{"instances": {}}', b'{"instances": null}', b"[]", b"", b"\xff"])
def test_what_is_no_prediction_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        PREDICT.read(body, PATH)


def test_an_answer_has_predictions_or_says_what_is_wrong() -> None:
    assert PREDICT.inspect(b'{"predictions": [[0.1]], "model": "x"}') == (None, "", "")
    with pytest.raises(MalformedAnswer):
        PREDICT.inspect(b'{"outputs": []}')
    with pytest.raises(AttemptError, match="too long"):
        PREDICT.inspect(b'{"error": {"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"}}')


def test_an_error_is_written_as_googles_clients_read_it() -> None:
    told = msgspec.json.decode(PREDICT.write_error(UnknownModel("there is none"), "r1"))
    assert told["error"]["code"] == 404 and told["error"]["status"] == "NOT_FOUND"


@given(st.binary(max_size=100))
def test_no_bytes_break_the_reading(body: bytes) -> None:
    for read in (lambda: PREDICT.read(body, PATH), lambda: PREDICT.inspect(body)):
        with contextlib.suppress(TrimaranError):
            read()
