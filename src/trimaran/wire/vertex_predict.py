"""``vertex.predict``: instances in, predictions out, as endpoints of Vertex AI have it. For models that are no language models, and for
containers that take a body of their own.

It is not translated: what an instance is, is the container's affair. A request passes as it is, and an answer is not read beyond whether
it holds predictions. It has no tokens, so its cost is that of the capacity it ran on. The model stands in the path where Google's clients
have the endpoint; project and location, which stand there, too, are the gateway's to decide and are read over.

Source: cloud.google.com/vertex-ai, "Method: endpoints.predict", read 2026-11-30; held against the simulated service only.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import quote, unquote_to_bytes

import msgspec

from trimaran.errors import AttemptError, InvalidRequest, MalformedAnswer, TrimaranError
from trimaran.types import Usage
from trimaran.wire.dialect import Dialect, Envelope, decode_json
from trimaran.wire.failures import original_body
from trimaran.wire.google_failures import google_error, google_error_body
from trimaran.wire.members import read_members

__all__ = ["VertexPredict"]

_PATH = re.compile(rb"/v1(?:beta1)?/projects/[^/]{1,100}/locations/[^/]{1,100}/endpoints/([^:]{1,600}):predict")
_READ = frozenset({"instances", "parameters", "labels"})
_LIST = ord("[")


class _AnswerHead(msgspec.Struct):
    predictions: msgspec.Raw = msgspec.Raw(b"")
    error: Any = None


_decode_head = msgspec.json.Decoder(_AnswerHead).decode


class VertexPredict(Dialect):
    """The prediction call of Vertex AI's endpoints."""

    name = "vertex.predict"
    path = b"/v1/projects/-/locations/-/endpoints/"
    operation = "predict"
    counts: ClassVar[bool] = False

    @property
    def shown_path(self) -> str:
        return "/v1/projects/{project}/locations/{location}/endpoints/{model}:predict"

    def serves(self, path: bytes) -> bool:
        return _PATH.fullmatch(path) is not None

    def upstream_path(self, model: str, stream: bool) -> bytes:
        return b"%b%b:predict" % (self.path, quote(model, safe="").encode())

    def read(self, body: bytes, path: bytes = b"") -> Envelope:
        found = _PATH.fullmatch(path)
        if found is None:
            raise InvalidRequest(f"the path must name the model: {self.shown_path}", field="path")
        raw, _ = read_members(body, _READ)
        if "instances" not in raw or memoryview(raw["instances"])[0] != _LIST:
            raise InvalidRequest("'instances' is missing; send a list of instances", field="instances")
        model = unquote_to_bytes(found[1]).decode("utf-8", "replace")
        return Envelope(self.name, model, False, 0, True, len(body) // 4 + 1, body, members=raw)

    def rewrite(self, envelope: Envelope, upstream_model: str) -> bytes:
        return envelope.body

    def inspect(self, body: bytes) -> tuple[Usage | None, str, str]:
        head = decode_json(_decode_head, body, "the answer")
        if head.error is not None:
            raise self.error_in_answer(head.error)
        if not head.predictions:
            raise MalformedAnswer("the answer has no predictions")
        return None, "", ""

    # Errors

    def read_error(
        self,
        status: int,
        retry_after: bytes | None,
        content_type: str,
        body: bytes,
        *,
        now_s: float | None = None,
        error_type: str = "",
    ) -> AttemptError:
        return google_error(
            body, status, dialect=self.name, retry_after=retry_after, content_type=content_type, now_s=now_s
        )

    def error_in_answer(self, value: Any) -> AttemptError:
        return google_error(msgspec.json.encode({"error": value}), dialect=self.name)

    def write_error(self, error: TrimaranError, request_id: str) -> bytes:
        return original_body(error, self.name) or google_error_body(error, request_id)
