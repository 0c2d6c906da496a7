"""Endpoints of one's own on Vertex AI: from how one is configured to a target, and the door to it.

An endpoint hands a body to a container. How it is asked goes by the container:

``vllm``, ``tgi`` with turns, any that takes OpenAI's form under its predict route
    ``rawPredict`` and ``streamRawPredict``: bodies are the container's own.
``garden``
    What Model Garden deploys: chat completions under the endpoint's own path.
``jumpstart``-like containers that take one prompt (``prompt``)
    ``predict`` with one instance; whole answers only, because ``predict`` does not stream.
``triton``
    KServe's tensors through ``rawPredict``.
``tensor``
    Whatever clients send as instances: ``predict``, which every other container's clients may use as well.

A dedicated endpoint answers under a DNS name of its own only, and shared ones under that of their region.

Sources: cloud.google.com/vertex-ai, "PredictionService", "Get online inferences", "Use dedicated public endpoints", "Chat completions for
self-deployed models"; huggingface/text-generation-inference, ``router/src/vertex.rs``; all read 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trimaran.catalog import capabilities
from trimaran.config import EndpointConfig, closest
from trimaran.errors import MalformedAnswer, UnsupportedFeature
from trimaran.providers.door import Headers
from trimaran.providers.google.vertex import VertexDoor
from trimaran.types import Target
from trimaran.wire import Dialect, Envelope
from trimaran.wire.chat_templates import TEMPLATES, template_of
from trimaran.wire.members import BAD_JSON, read_members

__all__ = ["VERTEX_CONTAINERS", "VertexEndpointDoor", "endpoint_problem", "near_vertex_endpoint", "vertex_endpoint"]

VERTEX_CONTAINERS: dict[str, tuple[str, ...]] = {
    "vllm": ("openai.chat", "vertex.predict"),
    "garden": ("openai.chat", "vertex.predict"),
    "tgi": ("openai.chat", "vertex.predict"),
    "jumpstart": ("huggingface.generate", "vertex.predict"),
    "triton": ("kserve.v2", "vertex.predict"),
    "tensor": ("vertex.predict",),
}
"""By ``container``: what is spoken there."""
_MODEL = frozenset({"model"})
_SAGEMAKER_ONLY = ("inference_component", "variant", "target_model")

_encode = msgspec.json.encode


def vertex_endpoint(target: Target, name: str, written: EndpointConfig) -> Target:
    """``target``, which is one of the provider's by its name alone, as the endpoint called ``name`` was configured."""
    facts = {
        "endpoint": written.endpoint or name,
        "container": written.container,
        "served_model": written.model,
        "base_model": written.base_model,
    }
    return msgspec.structs.replace(
        target,
        id=f"{target.provider}/{name}",
        upstream_model=name,
        dialects=VERTEX_CONTAINERS.get(written.container, ("openai.chat",)),
        base_url=f"https://{written.dedicated_dns}" if written.dedicated_dns else target.base_url,
        price=None,
        max_output_tokens=None,
        capabilities=capabilities(written.base_model) if written.base_model else None,
        facts=target.facts | {key: value for key, value in facts.items() if value},
    )


def endpoint_problem(written: EndpointConfig) -> tuple[str, str, str] | None:
    """A field of an endpoint that Vertex AI has no use for: its name, what is wrong, what to write instead."""
    for field in _SAGEMAKER_ONLY:
        if getattr(written, field):
            return field, "only SageMaker has it", "remove it"
    if written.container not in VERTEX_CONTAINERS:
        known = ", ".join(VERTEX_CONTAINERS)
        return "container", f"{written.container} is SageMaker's", f"known on Vertex AI: {known}"
    if written.container == "jumpstart" and template_of(written.base_model) is None:
        families = ", ".join(TEMPLATES)
        return (
            "base_model",
            "a container that takes one prompt needs it to tell turns apart",
            f"write base_model: llama-3.1-70b, or the like; known families: {families}",
        )
    return None


def near_vertex_endpoint(name: str, listed: dict[str, EndpointConfig]) -> str:
    """A listed endpoint that ``name`` may be a misspelling of; empty: none."""
    return (closest(name, listed) or "") if name not in listed else ""


class VertexEndpointDoor(VertexDoor):
    """The way to one endpoint in the dialect of its container."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        super().__init__(target, dialect)
        self._container = target.facts.get("container", "vllm")
        self._own = f"{self.root}/endpoints/{target.facts['endpoint']}"
        self._chat = dialect.name == "openai.chat"
        self._prompt = dialect.name == "huggingface.generate"
        self._predict = self._prompt or dialect.name == "vertex.predict"
        served = target.facts.get("served_model", "")
        self._served = _encode(served) if served else b""

    def path(self, stream: bool) -> bytes:
        if self._predict:
            return f"{self._own}:predict".encode()
        if self._chat and self._container == "garden":
            return f"{self._own}/chat/completions".encode()
        return f"{self._own}:{'streamRawPredict' if stream else 'rawPredict'}".encode()

    def admit(self, envelope: Envelope, forwarded: bytes) -> Sequence[str]:
        if self._prompt and envelope.stream:
            raise UnsupportedFeature(
                f"target {self.target.id!r} is asked through predict, which does not stream; leave 'stream' out",
                field="stream",
            )
        return ()

    def request(self, body: bytes, stream: bool, forwarded: bytes) -> tuple[bytes, bytes]:
        if self._prompt:
            return b'{"instances":[%b]}' % body, forwarded
        return (self._named(body) if self._chat else body), forwarded

    def _named(self, body: bytes) -> bytes:
        """The body with the model that the container serves, or without one: the endpoint's name means nothing there."""
        raw, spans = read_members(body, _MODEL)
        if "model" not in raw:
            return body
        start, end = spans["model"]
        if self._served:
            return b"%b%b%b" % (body[:start], self._served, body[end:])
        return _encode({key: value for key, value in raw.items() if key != "model"})

    def answer(self, headers: Headers, body: bytes) -> bytes:
        if not self._prompt:
            return body
        try:
            predictions = msgspec.json.decode(body, type=_Predictions).predictions
            if isinstance(predictions, list) and len(predictions) == 1:
                predictions = predictions[0]
            if isinstance(predictions, str):
                predictions = {"generated_text": predictions}
        except BAD_JSON as error:
            raise MalformedAnswer(f"the answer is not what predict promises: {error}") from error
        return _encode([predictions])


class _Predictions(msgspec.Struct):
    predictions: object
