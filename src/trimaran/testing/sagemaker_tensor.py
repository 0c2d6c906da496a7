"""Containers that compute on numbers: Triton (KServe's inference protocol, version 2) and whatever takes any bytes.

Nothing is computed but a sum and a text: enough to see that the tensors arrived whole. Schemas, read 2026-11-30: KServe's "Open
Inference Protocol (V2), REST" (kserve.github.io), Triton's "Binary Tensor Data Extension" (docs.nvidia.com), TensorFlow Serving's
"RESTful API" (tensorflow.org).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose, reported_usage
from trimaran.testing.dialect import AnswerWriter
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply
from trimaran.testing.openai_common import encode
from trimaran.testing.sagemaker_containers import JSON, Call, ContainerError, json_object
from trimaran.testing.transcript import Transcript

__all__ = ["AnyServer", "TritonServer"]

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
_BINARY = re.compile(r"application/vnd\.sagemaker-triton\.binary\+json;json-header-size=(\d+)\Z")


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: Datatype
    data: Any = None
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] | None = None


class _Inference(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


class _Answer(msgspec.Struct):
    """What the writer writes."""

    body: bytes
    content_type: bytes = JSON


class TritonServer:
    """Triton Inference Server with a model of its own name."""

    model = "simulated"

    def read(self, call: Call) -> Prompt:
        """An inference request; of the binary extension only the JSON header is looked at."""
        body = call.body
        if (sized := _BINARY.match(call.content_type.replace(" ", ""))) is not None:
            body = body[: int(sized[1])]
        try:
            wanted = msgspec.json.decode(body, type=_Inference)
        except msgspec.MsgspecError as error:
            raise Refusal(400, "invalid", f"failed to parse the request JSON buffer: {error}") from None
        if not wanted.inputs:
            raise Refusal(400, "invalid", f"expected at least 1 inputs but got 0 inputs for model '{self.model}'")
        for tensor in wanted.inputs:
            _check(tensor, sized is not None)
        prompt = Prompt("", reasoning="off", request=wanted)
        transcript = Transcript(prompt)
        transcript.turn("user")
        for text in _texts(wanted.inputs):
            transcript.text(text)
        return transcript.finish()

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """A text for texts, sums for numbers."""
        wanted: _Inference = prompt.request
        if _texts(wanted.inputs):
            reply = compose(prompt, behaviour, name)
            output = {"datatype": "BYTES", "shape": [1], "data": ["".join(reply.pieces)]}
        else:
            sums = [float(sum(_numbers(tensor.data))) for tensor in wanted.inputs]
            reply = Reply([], "stop", reported_usage(prompt, behaviour, 0))
            output = {"datatype": "FP32", "shape": [len(sums)], "data": sums}
        asked = (
            wanted.outputs[0].name if wanted.outputs else "text_output" if output["datatype"] == "BYTES" else "OUTPUT0"
        )
        body: dict[str, Any] = {"model_name": self.model, "model_version": "1"}
        if wanted.id is not None:
            body["id"] = wanted.id
        body["outputs"] = [{"name": asked, **output}]
        prompt.request = _Answer(encode(body))
        return reply

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """The outputs at once."""
        return AtOnceWriter(prompt.request)

    def stream_type(self, prompt: Prompt) -> bytes:
        """It does not stream over HTTP."""
        return JSON

    def error(self, refusal: Refusal) -> ContainerError:
        """``{"error": …}``."""
        return ContainerError(refusal.status, encode({"error": refusal.message}))


class AnyServer:
    """Takes any bytes. JSON ``instances`` become ``predictions``, rows of CSV their sums, all else its SHA-256."""

    def read(self, call: Call) -> Prompt:
        """Only the input's size is looked at."""
        if not call.body:
            raise Refusal(400, "invalid", "the body is empty")
        prompt = Prompt("", reasoning="off", request=call)
        prompt.input_tokens = (len(call.body) + 3) // 4
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """Depends on the bytes alone, unless the behaviour has a text."""
        call: Call = prompt.request
        if behaviour.text is not None:
            answer = _Answer(behaviour.text.encode(), call.accept.encode() if _named(call.accept) else JSON)
        else:
            answer = _predicted(call)
        prompt.request = answer
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """The answer at once."""
        return AtOnceWriter(prompt.request)

    def stream_type(self, prompt: Prompt) -> bytes:
        """The answer's own."""
        return prompt.request.content_type if isinstance(prompt.request, _Answer) else JSON

    def error(self, refusal: Refusal) -> ContainerError:
        """As a small Flask server would."""
        return ContainerError(refusal.status, refusal.message.encode())


class AtOnceWriter:
    """An answer that is there or not, streamed or not."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer
        self.content_type = answer.content_type

    def lines(self, took_ms: int) -> bytes:
        """None."""
        return b""

    def unary(self) -> bytes:
        """All of it."""
        return self._answer.body

    def unary_error(self, refusal: Refusal) -> bytes:
        """A 200 whose body is an error."""
        return encode({"error": refusal.message})

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def piece(self, piece: str) -> bytes:
        """Nothing: the answer comes at the end."""
        return b""

    def closing(self, *, end_marker: bool) -> bytes:
        """All of it."""
        return self._answer.body

    def malformed(self) -> bytes:
        """Half of it."""
        return self._answer.body[: len(self._answer.body) // 2]

    def error(self, refusal: Refusal, *, bare: bool = False) -> bytes:
        """An error instead."""
        return encode({"error": refusal.message})


def _check(tensor: _Tensor, binary: bool) -> None:
    count = 1
    for size in tensor.shape:
        count *= size
    held = _flat(tensor.data)
    if tensor.data is None:
        if not binary:
            raise Refusal(400, "invalid", f"Unable to parse 'data': input '{tensor.name}' has none")
        return
    if len(held) != count:
        words = f"Unable to parse 'data': Shape does not match true shape of 'data' field (input '{tensor.name}')"
        raise Refusal(400, "invalid", words)


def _flat(data: Any) -> list[Any]:
    return [leaf for item in data for leaf in _flat(item)] if isinstance(data, list) else [data]


def _numbers(data: Any) -> list[float]:
    return [value for value in _flat(data) if isinstance(value, int | float)]


def _texts(tensors: list[_Tensor]) -> list[str]:
    return [str(leaf) for tensor in tensors if tensor.datatype == "BYTES" for leaf in _flat(tensor.data)]


def _named(content_type: str) -> bool:
    return bool(content_type) and "*" not in content_type


def _predicted(call: Call) -> _Answer:
    kind = call.content_type.partition(";")[0].strip().lower()
    if kind == "text/csv":
        rows = [line for line in call.body.decode("utf-8", "replace").splitlines() if line.strip()]
        return _Answer("".join(f"{_row_sum(row):g}\n" for row in rows).encode(), b"text/csv")
    if kind == "application/json":
        try:
            fields = json_object(call.body)
        except msgspec.MsgspecError:
            fields = {}
        if isinstance(instances := fields.get("instances"), list):
            return _Answer(encode({"predictions": [float(sum(_numbers(_values(row)))) for row in instances]}))
    digest = hashlib.sha256(call.body)
    if kind == "application/json":
        return _Answer(encode({"sha256": digest.hexdigest()}))
    return _Answer(digest.digest(), b"application/octet-stream")


def _values(row: Any) -> Any:
    return [_values(value) for value in row.values()] if isinstance(row, dict) else row


def _row_sum(row: str) -> float:
    total = 0.0
    for cell in row.split(","):
        try:
            total += float(cell)
        except ValueError:
            continue
    return total
