"""Claude on Vertex AI: Anthropic's messages behind ``publishers/anthropic/models/{model}:rawPredict`` and ``:streamRawPredict``.

The model stands in the path and not in the body, the version in the body and not in a header; everything else is Anthropic's own
reader and writer. What Google refuses is worded by Google, what the model refuses by Anthropic. The model's id in the path has its
date behind an ``@``, in the answer behind a ``-``. A body whose ``stream`` does not fit the method is refused here; clients never
send one. Source: docs.claude.com, "Claude on Vertex AI"; words of refusals as quoted in public issue threads (2024 to 2026);
read 2026-11-30.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trimaran.testing.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import AnswerWriter, HeadWriter, Request
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.gemini_generate import Place, publisher_place, unknown_publisher_model
from trimaran.testing.google import GoogleCloud
from trimaran.testing.google_errors import VERTEX_SERVICE, GoogleHead, GoogleRefusal, error_body, google_fault

__all__ = ["VertexClaude"]

_VERSIONS = {"vertex-2023-10-16": b"2023-06-01", "2026-10-21": b"2026-10-21"}
"""What a body may say, and the API's version that it means. The documentation shows the first, ``anthropic`` 2.13 sends the second."""
_COUNT = "count-tokens"
_METHODS = ("rawPredict", "streamRawPredict")
_RPC = "google.cloud.aiplatform.v1.PredictionService."
_BY_GOOGLE = frozenset({401, 403, 404, 429, 499, 503, 504})


class VertexClaude:
    """``counting`` serves ``count-tokens:rawPredict`` and nothing else."""

    path = b""

    def __init__(self, cloud: GoogleCloud, *, counting: bool = False) -> None:
        self.name = "vertex.claude_count_tokens" if counting else "vertex.claude"
        self.head: HeadWriter = GoogleHead(self.name)
        self._cloud = cloud
        self._counting = counting
        self._messages = AnthropicMessages()
        self._count = AnthropicCountTokens()

    def serves(self, method: bytes, path: bytes) -> bool:
        """By publisher, model and method."""
        place = publisher_place(path)
        if method != b"POST" or place is None or place.publisher != "anthropic" or place.method not in _METHODS:
            return False
        return (place.model == _COUNT) == self._counting

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """An access token, and a role in the project."""
        place = _place(request)
        method = "RawPredict" if place.method == "rawPredict" else "StreamRawPredict"
        self._cloud.admit(request, VERTEX_SERVICE, _RPC + method, keys, key_ok=False)
        self._cloud.allow("aiplatform.endpoints.predict", place.project, place.location, place.rest)

    def read(self, request: Request) -> Prompt:
        """A message request without a model."""
        place = _place(request)
        fields = _fields(request.body)
        if not self._counting and "model" in fields:
            raise Refusal(400, "", "model: Extra inputs are not permitted")
        version = fields.pop("anthropic_version", None)
        if version not in _VERSIONS:
            words = "Field required" if version is None else f"Input should be {' or '.join(map(repr, _VERSIONS))}"
            raise Refusal(400, "", f"anthropic_version: {words}")
        fields.pop("anthropic_beta", None)
        if self._counting and not isinstance(fields.get("model"), str):
            raise Refusal(400, "", "model: Field required")
        model = fields["model"] if self._counting else place.model
        reader = self._count if self._counting else self._messages
        version_line = (b"anthropic-version", _VERSIONS[version])
        inner = request._replace(headers=[version_line], body=msgspec.json.encode({**fields, "model": model}))
        prompt = reader.read(inner)
        if not self._counting and prompt.stream != (place.method == "streamRawPredict"):
            raise Refusal(400, "", f"stream: Input does not fit the method {place.method}")
        prompt.request = place
        return prompt

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model, location and context length."""
        place: Place = prompt.request
        gone = prompt.model == "missing-model" or (models is not None and prompt.model not in models)
        if gone or not self._cloud.stands(prompt.model, place.location):
            raise unknown_publisher_model(place.project, place.location, "anthropic", prompt.model)
        self._messages.check(prompt, context_tokens, None)

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """As Anthropic's."""
        return (self._count if self._counting else self._messages).compose(prompt, behaviour, name)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """Anthropic's."""
        if self._counting:
            return self._count.writer(prompt, reply, serial)
        shown = msgspec.structs.replace(prompt, model=prompt.model.replace("@", "-"))
        return self._messages.writer(shown, reply, serial)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Google's words or Anthropic's."""
        if isinstance(refusal, GoogleRefusal):
            return error_body(refusal)
        return self._messages.refusal(refusal, request_id.replace("req_", "req_vrtx_"))

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """Statuses that Google's front end answers itself are worded by it."""
        if status not in _BY_GOOGLE:
            return self._messages.fault(status, code, message)
        if status == 429 and message is None:
            message = (
                "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: "
                "anthropic-claude. Please submit a quota increase request. "
                "https://cloud.google.com/vertex-ai/docs/generative-ai/quotas-genai."
            )
        return google_fault(status, code, message, vertex=True)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here."""
        return None


def _place(request: Request) -> Place:
    place = publisher_place(request.target.partition(b"?")[0])
    assert place is not None
    return place


def _fields(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Refusal(400, "", f"The request body is not valid JSON: {error}") from None
