"""Gemini as a simulated provider speaks it, on the Gemini API and on Vertex AI; ``google-genai`` is its judge.

``gemini.generate`` answers ``POST /v1beta/models/{model}:generateContent`` and ``:streamGenerateContent`` (server-sent events with
``alt=sse``, else a JSON array), ``vertex.generate`` the same under ``/v1/projects/{p}/locations/{l}/publishers/google``. The
sections beside them count tokens. Reading is strict: what the real APIs refuse is refused here.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import unquote

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose, reported_usage
from trimaran.testing.dialect import AnswerWriter, HeadWriter, Request, header
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply
from trimaran.testing.gemini_fields import count_message, generate_message
from trimaran.testing.gemini_models import gemini_model
from trimaran.testing.gemini_request import offers_search, read_prompt
from trimaran.testing.gemini_writer import Asked, GeminiWriter, modalities
from trimaran.testing.google import GoogleCloud, query_value
from trimaran.testing.google_errors import (
    GEMINI_SERVICE,
    VERTEX_SERVICE,
    GoogleHead,
    GoogleRefusal,
    error_body,
    google_fault,
)
from trimaran.testing.proto_json import Message, read_message
from trimaran.testing.whole import WholeWriter

__all__ = ["GeminiCountTokens", "GeminiGenerate", "Place", "publisher_place", "unknown_publisher_model"]

_GEMINI = re.compile(rb"/(?P<version>v1|v1beta|v1alpha)/(?:models|tunedModels)/(?P<model>[^/:]+):(?P<method>\w+)\Z")
_PUBLISHED = re.compile(
    rb"/(?P<version>v1|v1beta1)/(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?publishers/"
    rb"(?P<publisher>[^/]+)/models/(?P<model>[^/:]+):(?P<method>\w+)\Z"
)
_METHODS = (b"generateContent", b"streamGenerateContent")
_VERTEX_RPC = "google.cloud.aiplatform.v1.PredictionService."
_GEMINI_RPC = "google.ai.generativelanguage.v1beta.GenerativeService."
_PREDICT = "aiplatform.endpoints.predict"


class Place:
    """Where a path points to."""

    __slots__ = ("location", "method", "model", "project", "publisher", "version")

    def __init__(self, found: re.Match[bytes]) -> None:
        groups = {name: unquote((value or b"").decode("latin-1")) for name, value in found.groupdict().items()}
        self.version = groups["version"]
        self.model = groups["model"]
        self.method = groups["method"]
        self.project = groups.get("project", "")
        self.location = groups.get("location", "") or "global"
        self.publisher = groups.get("publisher", "google")

    @property
    def rest(self) -> str:
        """The model as a part of a resource name."""
        return f"publishers/{self.publisher}/models/{self.model}"


def publisher_place(path: bytes) -> Place | None:
    """What a path of Vertex AI's publisher models points to."""
    found = _PUBLISHED.match(path)
    return Place(found) if found else None


class _GeminiDialect(ABC):
    """What generating and counting share."""

    path = b""
    methods: tuple[bytes, ...] = ()
    suffix = ""

    def __init__(self, cloud: GoogleCloud, *, vertex: bool = False) -> None:
        self.name = f"{'vertex' if vertex else 'gemini'}.{self.suffix}"
        self.head: HeadWriter = GoogleHead(self.name)
        self._cloud = cloud
        self._vertex = vertex
        self._pattern = _PUBLISHED if vertex else _GEMINI
        self._message = self.message()

    def message(self) -> Message:
        """The request's table of fields."""
        return generate_message(vertex=self._vertex)

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path's end."""
        found = self._pattern.match(path)
        if method != b"POST" or found is None or found["method"] not in self.methods:
            return False
        return not self._vertex or found["publisher"] == b"google"

    def place(self, request: Request) -> Place:
        """Where a request that it serves points to."""
        found = self._pattern.match(request.target.partition(b"?")[0])
        assert found is not None
        return Place(found)

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """Credentials; on Vertex AI also project, location and role."""
        place = self.place(request)
        method = place.method[0].upper() + place.method[1:]
        try:
            if not self._vertex:
                self._cloud.admit(request, GEMINI_SERVICE, _GEMINI_RPC + method, keys, key_ok=True)
                return
            self._cloud.admit(request, VERTEX_SERVICE, _VERTEX_RPC + method, keys, key_ok=not place.project)
            if place.project:
                self._cloud.allow(_PREDICT, place.project, place.location, place.rest)
        except GoogleRefusal as refusal:
            raise _placed(refusal, request, place) from None

    def read(self, request: Request) -> Prompt:
        """See :class:`~trimaran.testing.dialect.Dialect`."""
        place = self.place(request)
        try:
            return self.prompt(request, place)
        except GoogleRefusal as refusal:
            raise _placed(refusal, request, place) from None

    @abstractmethod
    def prompt(self, request: Request, place: Place) -> Prompt:
        """Read the body."""

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Model, location and context length."""
        asked: Asked = prompt.request
        gone = prompt.model == "missing-model" or (models is not None and prompt.model not in models)
        if gone or not self._cloud.stands(prompt.model, asked.location):
            if self._vertex:
                raise unknown_publisher_model(asked.project, asked.location, "google", prompt.model)
            raise GoogleRefusal(
                404,
                f"models/{prompt.model} is not found for API version v1beta, or is not supported for generateContent. Call "
                "ListModels to see the list of available models and their supported methods.",
            )
        if prompt.input_tokens > context_tokens:
            words = (
                f"The input token count ({prompt.input_tokens}) exceeds the maximum number of tokens allowed "
                f"({context_tokens})."
            )
            raise GoogleRefusal(400, words)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"error": {code, message, status, details}}``."""
        return error_body(refusal, listed=isinstance(refusal, _Listed))

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual error of a status."""
        return google_fault(status, code, message, vertex=self._vertex)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here; see :mod:`~trimaran.testing.google_models`."""
        return None


class GeminiGenerate(_GeminiDialect):
    """``…:generateContent`` and ``…:streamGenerateContent``."""

    suffix = "generate"
    methods = _METHODS

    def prompt(self, request: Request, place: Place) -> Prompt:
        """Reads a ``GenerateContentRequest``."""
        model = gemini_model(place.model, vertex=self._vertex)
        fields = read_message(request.body, self._message)
        prompt = read_prompt(fields, model)
        prompt.stream = place.method == "streamGenerateContent"
        listed = prompt.stream and query_value(request.target, "alt") != "sse"
        cached = self._cached(fields, place)
        prompt.input_tokens += cached
        tier = (header(request.headers, b"x-vertex-ai-llm-shared-request-type") or b"").decode("latin-1")
        tier = tier or fields.get("service_tier", "").lower()
        prompt.request = Asked(model, listed, cached, offers_search(fields), tier, place.project, place.location)
        return prompt

    def _cached(self, fields: dict[str, Any], place: Place) -> int:
        """Tokens of the cached content that is named."""
        name = fields.get("cached_content")
        if not name:
            return 0
        if {"system_instruction", "tools", "tool_config"} & fields.keys():
            raise GoogleRefusal(
                400,
                "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config."
                "\n\nProposed fix: move those values to CachedContent from GenerateContent request.",
            )
        if (tokens := self._cloud.cached_contents.get(name)) is None:
            raise GoogleRefusal(403, "CachedContent not found (or permission denied)")
        return tokens

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """As everywhere; and what only Gemini says of an end."""
        asked: Asked = prompt.request
        if behaviour.blocked_prompt is not None:
            return Reply([], f"blocked:{behaviour.blocked_prompt}", reported_usage(prompt, behaviour, 0))
        if asked.cached_tokens:
            behaviour = behaviour.but(cached_read_tokens=behaviour.cached_read_tokens + asked.cached_tokens)
        reply = compose(prompt, behaviour, name)
        if behaviour.finish_reason is not None:
            reply.finish = behaviour.finish_reason
        return reply

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """See :class:`~trimaran.testing.dialect.AnswerWriter`."""
        return GeminiWriter(prompt, reply, serial)


class GeminiCountTokens(_GeminiDialect):
    """``…:countTokens``."""

    suffix = "count_tokens"
    methods = (b"countTokens",)

    def message(self) -> Message:
        """See :func:`~trimaran.testing.gemini_fields.count_message`."""
        return count_message(vertex=self._vertex)

    def prompt(self, request: Request, place: Place) -> Prompt:
        """Reads a ``CountTokensRequest``."""
        model = gemini_model(place.model, vertex=self._vertex)
        fields = read_message(request.body, self._message)
        whole = fields.get("generate_content_request")
        if whole is not None and "contents" in fields:
            raise GoogleRefusal(400, "Only one of contents and generate_content_request may be set.")
        prompt = read_prompt(whole if whole is not None else fields, model)
        prompt.request = Asked(model, project=place.project, location=place.location)
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """A count and no text."""
        return Reply([Part("text", [])], "stop", reported_usage(prompt, behaviour, 0))

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """``{"totalTokens", "promptTokensDetails"}``."""
        usage = reply.usage
        counted = {"totalTokens": usage.input, "promptTokensDetails": modalities(prompt, usage)}
        return WholeWriter(msgspec.json.encode(counted), self, serial)


class _Listed(GoogleRefusal):
    """A refusal that is written as the only element of an array."""


def _placed(refusal: GoogleRefusal, request: Request, place: Place) -> GoogleRefusal:
    """The refusal in the form that the request asked for."""
    if place.method != "streamGenerateContent" or query_value(request.target, "alt") == "sse":
        return refusal
    listed = _Listed(refusal.status, refusal.message, *refusal.details, status=refusal.kind)
    listed.lines = refusal.lines
    return listed


def unknown_publisher_model(project: str, location: str, publisher: str, model: str) -> GoogleRefusal:
    """Vertex AI's 404."""
    return GoogleRefusal(
        404,
        f"Publisher Model `projects/{project}/locations/{location}/publishers/{publisher}/models/{model}` was not found or your "
        "project does not have access to it. Please ensure you are using a valid model version. For more information, see: "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
    )
