"""``kserve.v2``: tensors in, tensors out, by KServe's open inference protocol in JSON. For models that are no language
models (classifiers, ONNX, BERT), at whatever serves them: Triton, KServe, Triton containers of SageMaker.

It is not translated: no other dialect says the same. A request passes as it is, and an answer is not read beyond whether it
holds outputs, because it is mostly numbers and may be large. It has no tokens, so its cost is that of the capacity it ran on.

Refused by name: the binary extension (the tensors after the JSON, whose length a header tells), because SageMaker says it in
another way than the protocol does and half of it would be lost; and a version of the model, because which one is served is
the target's business.

Source: the Open Inference Protocol v2, as KServe and Triton publish it; not yet held against a server of either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes

import msgspec

from trimaran.errors import InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Usage
from trimaran.wire.dialect import Dialect, Envelope, decode_json
from trimaran.wire.failures import original_body, reported
from trimaran.wire.members import BAD_JSON, RawMembers, read_members

__all__ = ["KServeV2"]

_PATH = re.compile(rb"/v2/models/(.{1,600}?)(/versions/[^/]*)?/infer")
_READ = frozenset({"inputs", "outputs", "parameters", "id"})
_LIST = ord("[")
_BINARY = b"binary_data"
_BINARY_WORDS = frozenset({"binary_data", "binary_data_size", "binary_data_output"})


class _AnswerHead(msgspec.Struct):
    outputs: msgspec.Raw = msgspec.Raw(b"")
    error: Any = None


class _Tensor(msgspec.Struct):
    parameters: dict[str, Any] | None = None


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_tensors = msgspec.json.Decoder(list[_Tensor]).decode
_decode_parameters = msgspec.json.Decoder(dict[str, Any] | None).decode
_decode_head = msgspec.json.Decoder(_AnswerHead).decode


class KServeV2(Dialect):
    """The inference call of KServe's open inference protocol."""

    name = "kserve.v2"
    path = b"/v2/models/"
    operation = "infer"
    counts: ClassVar[bool] = False
    refuses: ClassVar[Mapping[bytes, str]] = {
        b"inference-header-content-length": "the binary tensor extension is not served; send the tensors as JSON, in 'data'"
    }

    @property
    def shown_path(self) -> str:
        return "/v2/models/{model}/infer"

    def serves(self, path: bytes) -> bool:
        return _PATH.fullmatch(path) is not None

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return f"/v2/models/{quote(model, safe='')}/infer".encode()

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        found = _PATH.fullmatch(path)
        if found is None:
            raise InvalidRequest("the path must name the model: /v2/models/<model>/infer", field="path")
        if found[2] is not None:
            raise InvalidRequest(
                "a version of the model cannot be chosen here: leave out /versions/... and get the one that is served",
                field="path",
            )
        raw, _ = read_members(body, _READ)
        if not _decoded(_decode_list, raw, "inputs"):
            raise InvalidRequest(
                "'inputs' is missing; send a list of tensors, each with name, shape, datatype and data", field="inputs"
            )
        if _BINARY in body:
            _refuse_binary(raw)
        model = unquote_to_bytes(found[1]).decode("utf-8", "replace")
        return Envelope(self.name, model, False, 0, True, len(body) // 4 + 1, body, members=raw)

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        return envelope.body

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        head = decode_json(_decode_head, body, "the answer")
        if head.error is not None:
            raise self.error_in_answer(head.error)
        if not head.outputs or memoryview(head.outputs)[0] != _LIST:
            raise MalformedAnswer("the answer has no outputs")
        return None, "", ""

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or msgspec.json.encode({"error": reported(error).message})


def _decoded(decode: Callable[[msgspec.Raw], Any], raw: RawMembers, key: str) -> Any:
    """A member that may be absent. Raises :class:`InvalidRequest`."""
    if key not in raw:
        return None
    try:
        return decode(raw[key])
    except BAD_JSON as error:
        raise InvalidRequest(f"{key!r} cannot be read: {error}", field=key) from error


def _refuse_binary(raw: RawMembers) -> None:
    """Raises :class:`InvalidRequest` where tensors are to stand after the JSON, in the request or in its answer."""
    parameters: list[dict[str, Any] | None] = [_decoded(_decode_parameters, raw, "parameters")]
    for key in ("inputs", "outputs"):
        parameters += [tensor.parameters for tensor in _decoded(_decode_tensors, raw, key) or ()]
    for each in parameters:
        asked = [name for name in each or () if name in _BINARY_WORDS and each and each[name] not in (None, False)]
        if asked:
            raise InvalidRequest(
                f"{asked[0]!r} asks for tensors after the JSON, which are not served; send and take them as 'data'",
                field=asked[0],
            )
