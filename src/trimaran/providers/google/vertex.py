"""The doors of Vertex AI: project and location stand in every path, and how a model is asked goes by its publisher.

``gemini.generate``, ``gemini.count_tokens``
    The Gemini API's own bodies under ``publishers/google/models/{model}``. Counting takes the plain form only.
``anthropic.messages``, ``anthropic.count_tokens``
    In :mod:`.vertex_claude`.
``openai.chat``
    One path for all models of a location, the model as ``publisher/model`` in the body. Mistral's and AI21's models are asked under
    their own path instead (``rawPredict``), with the bare name in the body.

Endpoints of one's own are in :mod:`.vertex_endpoints`, refusals in :mod:`.vertex_refusals`.

Sources: cloud.google.com/vertex-ai, "Generate content", "Call MaaS APIs for open models", "Mistral AI models"; google-genai 3.6.1; all
read 2026-11-30.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from trimaran.errors import AttemptError
from trimaran.providers.door import Door, Headers
from trimaran.providers.google.vertex_refusals import vertex_refusal
from trimaran.types import Target
from trimaran.wire import Dialect
from trimaran.wire.members import read_members

__all__ = ["VertexDoor", "VertexGemini", "VertexGeminiCount", "VertexOpenAI"]

_RAW_PUBLISHERS = ("mistralai", "ai21")
_MODEL = frozenset({"model"})
_WHOLE = ("generateContentRequest", "generate_content_request")
_COUNTED = ("contents", "systemInstruction", "system_instruction", "tools", "generationConfig", "generation_config")

_encode = msgspec.json.encode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class VertexDoor(Door):
    """What all of them share."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        super().__init__(target, dialect)
        facts = target.facts
        project, location = quote(facts.get("project", ""), safe=":"), quote(facts.get("location", ""), safe="")
        self.root = f"/v1/projects/{project}/locations/{location}"
        self.model = quote(target.upstream_model.rpartition("/")[2], safe="-._~@")

    def publisher_path(self, method: str, model: str = "") -> bytes:
        """The path of a method of a publisher's model: the target's, unless another is named."""
        publisher = self.target.facts.get("publisher", "google")
        return f"{self.root}/publishers/{publisher}/models/{model or self.model}:{method}".encode("ascii")

    def refusal(self, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        return vertex_refusal(self.target, self.dialect.name, status, headers, body)


class VertexGemini(VertexDoor):
    """generateContent."""

    def path(self, stream: bool) -> bytes:
        return self.publisher_path("streamGenerateContent?alt=sse" if stream else "generateContent")


class VertexGeminiCount(VertexDoor):
    """countTokens."""

    def path(self, stream: bool) -> bytes:
        return self.publisher_path("countTokens")

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        """A whole request, which only the Gemini API takes, becomes its parts that are counted."""
        raw, _ = read_members(body, frozenset())
        key = next((key for key in _WHOLE if key in raw), "")
        if not key:
            return body, forwarded
        inner = _decode_members(raw[key])
        return _encode({name: inner[name] for name in _COUNTED if name in inner}), forwarded


class VertexOpenAI(VertexDoor):
    """Chat completions of open models."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        super().__init__(target, dialect)
        self._raw = target.facts.get("publisher", "") in _RAW_PUBLISHERS

    def path(self, stream: bool) -> bytes:
        if self._raw:
            return self.publisher_path("streamRawPredict" if stream else "rawPredict")
        return f"{self.root}/endpoints/openapi/chat/completions".encode("ascii")

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        if not self._raw:
            return body, forwarded
        raw, spans = read_members(body, _MODEL)
        if "model" not in raw:
            return body, forwarded
        # The name in the body is the model's, without publisher and version.
        name = self.target.upstream_model.rpartition("/")[2].partition("@")[0]
        start, end = spans["model"]
        return b"%b%b%b" % (body[:start], _encode(name), body[end:]), forwarded
