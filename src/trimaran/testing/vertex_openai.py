"""The OpenAI-shaped endpoint of Vertex AI, for models of other makers as a service: ``endpoints/openapi/chat/completions``.

Reader and writer are those of the simulated OpenAI API. ``model`` names publisher and model (``meta/llama-3.3-70b-instruct-maas``).
Errors are Google's, in an array of one, as the real endpoint gives them (quoted in public issue threads, 2024 to 2026). The path with
an endpoint's number serves a model of one's own; there ``model`` may be anything or missing. Source: cloud.google.com, "Call Vertex
AI models by using the OpenAI library" (read 2026-11-30).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import AnswerWriter, HeadWriter, Request
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.gemini_generate import unknown_publisher_model
from trimaran.testing.google import GoogleCloud
from trimaran.testing.google_errors import VERTEX_SERVICE, GoogleHead, GoogleRefusal, error_body, google_fault, invalid
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.vertex_endpoints import VertexEndpoints

__all__ = ["VertexOpenAI"]

_PATH = re.compile(
    rb"/v1(?:beta1)?/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/endpoints/(?P<endpoint>[^/]+)"
    rb"/chat/completions\Z"
)
_MODEL = re.compile(r"(?P<publisher>[a-z0-9-]+)/(?P<model>[^/]+)\Z")
_RPC = "google.cloud.aiplatform.v1.PredictionService.ChatCompletions"


class _Place(NamedTuple):
    project: str
    location: str
    endpoint: str


class VertexOpenAI:
    """See :class:`~trimaran.testing.dialect.Dialect`."""

    name = "vertex.openai"
    path = b""

    def __init__(self, cloud: GoogleCloud, endpoints: VertexEndpoints) -> None:
        self.head: HeadWriter = GoogleHead(self.name)
        self._cloud = cloud
        self._endpoints = endpoints
        self._chat = OpenAIChat()

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path's end."""
        return method == b"POST" and _PATH.match(path) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """An access token, and a role in the project."""
        place = _place(request)
        self._cloud.admit(request, VERTEX_SERVICE, _RPC, keys, key_ok=False)
        rest = f"endpoints/{place.endpoint}"
        self._cloud.allow("aiplatform.endpoints.predict", place.project, place.location, rest)

    def read(self, request: Request) -> Prompt:
        """A chat completion request, with what Google adds to it."""
        place = _place(request)
        fields = _fields(request.body)
        # Google's own parameters, for safety settings and thinking.
        for name in ("extra_body", "google"):
            fields.pop(name, None)
        if place.endpoint != "openapi":
            fields.setdefault("model", place.endpoint)
        try:
            prompt = self._chat.read(request._replace(body=msgspec.json.encode(fields)))
        except Refusal as refusal:
            raise invalid(refusal.message) from None
        prompt.request = place
        return prompt

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model, location and context length."""
        place: _Place = prompt.request
        if place.endpoint != "openapi":
            self._endpoints.answering(place.project, place.location, place.endpoint)
        else:
            self._check_model(prompt, models, place)
        if prompt.input_tokens > context_tokens:
            raise invalid(
                f"The input ({prompt.input_tokens} tokens) is longer than the model's context length ({context_tokens} tokens)."
            )

    def _check_model(self, prompt: Prompt, models: frozenset[str] | None, place: _Place) -> None:
        found = _MODEL.match(prompt.model)
        if found is None:
            if prompt.model == "missing-model":
                raise unknown_publisher_model(place.project, place.location, "meta", prompt.model)
            raise invalid("Malformed publisher model name: expected format '<publisher>/<model>'")
        known = models is None or prompt.model in models or found["model"] in models
        if found["model"] == "missing-model" or not known or not self._cloud.stands(prompt.model, place.location):
            raise unknown_publisher_model(place.project, place.location, found["publisher"], found["model"])

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """As everywhere."""
        return self._chat.compose(prompt, behaviour, name)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """OpenAI's. Usage closes every stream, asked for or not."""
        prompt.include_usage = True
        return self._chat.writer(prompt, reply, serial)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``[{"error": {code, message, status}}]``."""
        return error_body(refusal, listed=True)

    def fault(self, status: int, code: str | None, message: str | None) -> GoogleRefusal:
        """The usual error of a status."""
        return google_fault(status, code, message, vertex=True)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here."""
        return None


def _place(request: Request) -> _Place:
    found = _PATH.match(request.target.partition(b"?")[0])
    assert found is not None
    return _Place(*(unquote(value.decode("latin-1")) for value in found.groups()))


def _fields(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
