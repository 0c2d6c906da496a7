"""Endpoints of one's own on Vertex AI: ``:predict``, ``:rawPredict`` and ``:streamRawPredict``.

``predict`` takes instances and gives as many predictions; what an instance is, is the container's affair. ``rawPredict`` hands the
body to the container as it is. vLLM and TGI answer as Model Garden deploys them: an instance of vLLM is a prompt, or a chat request
marked ``"@requestFormat": "chatCompletions"``, and a prediction repeats the prompt unless ``raw_response`` is true. Sources, read
2026-11-30: cloud.google.com, "PredictionService" and "Get online inferences", the Model Garden notebooks of
``GoogleCloudPlatform/vertex-ai-samples``.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from trimaran.testing.behaviour import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.dialect import AnswerWriter, HeadWriter, Request, header
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply, Usage
from trimaran.testing.google import GoogleCloud
from trimaran.testing.google_errors import VERTEX_SERVICE, GoogleHead, error_body, google_fault, invalid
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.prompt_text import read_prompt
from trimaran.testing.sagemaker import Container
from trimaran.testing.sagemaker_chat import ChatServer
from trimaran.testing.sagemaker_containers import Call, ContainerServer
from trimaran.testing.sagemaker_tensor import AnyServer
from trimaran.testing.sagemaker_text import TGIServer
from trimaran.testing.transcript import Transcript
from trimaran.testing.vertex_endpoints import DeployedModel, VertexContainer, VertexEndpoint, VertexEndpoints
from trimaran.testing.whole import WholeWriter

__all__ = ["VertexPredict", "VertexRawPredict"]

_PATH = re.compile(
    rb"/v1(?:beta1)?/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/endpoints/(?P<endpoint>[^/:]+)"
    rb":(?P<method>predict|rawPredict|streamRawPredict)\Z"
)
_RPC = "google.cloud.aiplatform.v1.PredictionService."
_SERVERS: dict[VertexContainer, ContainerServer] = {"vllm": ChatServer(), "tgi": TGIServer(), "tensor": AnyServer()}
_KINDS: dict[VertexContainer, Container] = {
    "vllm": Container(kind="vllm"),
    "tgi": Container(kind="tgi"),
    "tensor": Container(kind="tensor"),
}
_chat = OpenAIChat()


class _Place(NamedTuple):
    project: str
    location: str
    endpoint: str
    method: str


class _Instance(NamedTuple):
    """One instance: what the container understood."""

    prompt: Prompt
    chat: bool = False
    raw: bool = False
    """The prediction does not repeat the prompt."""
    text: str = ""


class _Prediction(NamedTuple):
    endpoint: VertexEndpoint
    model: DeployedModel
    instances: list[_Instance]
    replies: list[Reply]
    inner: Prompt | None = None
    """Of a raw request."""


class _Endpoint:
    """What the methods share."""

    path = b""
    name = ""
    methods: tuple[bytes, ...] = ()

    def __init__(self, cloud: GoogleCloud, endpoints: VertexEndpoints) -> None:
        self.head: HeadWriter = GoogleHead(self.name)
        self._cloud = cloud
        self._endpoints = endpoints

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path's end."""
        found = _PATH.match(path)
        return method == b"POST" and found is not None and found["method"] in self.methods

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """An access token, and a role in the project."""
        place = _place(request)
        method = place.method[0].upper() + place.method[1:]
        self._cloud.admit(request, VERTEX_SERVICE, _RPC + method, keys, key_ok=False)
        rest = f"endpoints/{place.endpoint}"
        self._cloud.allow("aiplatform.endpoints.predict", place.project, place.location, rest)

    def answering(self, request: Request) -> tuple[_Place, VertexEndpoint, DeployedModel]:
        """Who answers. Raises :class:`~trimaran.testing.google_errors.GoogleRefusal`."""
        place = _place(request)
        endpoint, model = self._endpoints.answering(place.project, place.location, place.endpoint)
        host = (header(request.headers, b"host") or b"").decode("latin-1")
        if endpoint.dedicated and host.endswith("googleapis.com"):
            words = (
                "Dedicated Endpoint cannot be accessed through the shared Vertex AI domain aiplatform.googleapis.com. Please "
                f"access the endpoint using its dedicated dns name '{endpoint.dedicated_dns}'"
            )
            raise invalid(words)
        return place, endpoint, model

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """The container's context length."""
        if prompt.input_tokens > context_tokens:
            raise invalid(
                f"This model's maximum context length is {context_tokens} tokens. However, your request has "
                f"{prompt.input_tokens} input tokens. Please reduce the length of the input messages."
            )

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"error": {code, message, status}}``."""
        return error_body(refusal)

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual error of a status."""
        return google_fault(status, code, message, vertex=True)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here."""
        return None


class VertexPredict(_Endpoint):
    """``:predict``. ``prompt.model`` is the endpoint's id, so behaviours can be set by endpoint."""

    name = "vertex.predict"
    methods = (b"predict",)

    def read(self, request: Request) -> Prompt:
        """``{"instances": […], "parameters": {…}}``."""
        place, endpoint, model = self.answering(request)
        try:
            fields = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        for name in fields.keys() - {"instances", "parameters", "labels"}:
            raise invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
        instances = fields.get("instances")
        if not isinstance(instances, list) or not instances:
            raise invalid("The request must have a non-empty list of instances.")
        parameters = fields.get("parameters") or {}
        read = [_instance(model.container, one, parameters, endpoint.id) for one in instances]
        prompt = Prompt(place.endpoint, input_tokens=sum(one.prompt.input_tokens for one in read))
        prompt.request = _Prediction(endpoint, model, read, [])
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """All predictions, one after the other."""
        asked: _Prediction = prompt.request
        asked.replies[:] = [compose(one.prompt, behaviour, name) for one in asked.instances]
        usages = [reply.usage for reply in asked.replies]
        usage = Usage(sum(one.input for one in usages), sum(one.output for one in usages))
        parts: list[Part] = [part for reply in asked.replies for part in reply.parts]
        return Reply(parts, "stop", usage)

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """``{"predictions": […], "deployedModelId", …}``."""
        asked: _Prediction = prompt.request
        rows = [
            _predicted(asked.model.container, one, part, serial)
            for one, part in zip(asked.instances, asked.replies, strict=True)
        ]
        # A container that answers a chat request gives one object, and not a list of one.
        chat = len(rows) == 1 and asked.instances[0].chat
        body = {
            "predictions": rows[0] if chat else rows,
            "deployedModelId": asked.model.id,
            "model": asked.endpoint.model_name(asked.model),
            "modelDisplayName": asked.model.display_name,
            "modelVersionId": "1",
        }
        return WholeWriter(msgspec.json.encode(body), self, serial)


class VertexRawPredict(_Endpoint):
    """``:rawPredict`` and ``:streamRawPredict``."""

    name = "vertex.raw_predict"
    methods = (b"rawPredict", b"streamRawPredict")

    def read(self, request: Request) -> Prompt:
        """Whatever the container reads."""
        place, endpoint, model = self.answering(request)
        kind = (header(request.headers, b"content-type") or b"").decode("latin-1")
        server = _SERVERS[model.container]
        try:
            inner = server.read(Call(request.body, kind, "", "", _KINDS[model.container]))
        except Refusal as refusal:
            raise invalid(server.error(refusal).body.decode()) from None
        if inner.stream and place.method == "rawPredict":
            raise invalid("rawPredict does not stream; use streamRawPredict.")
        prompt = Prompt(place.endpoint, stream=inner.stream, input_tokens=inner.input_tokens)
        prompt.request = _Prediction(endpoint, model, [], [], inner)
        return prompt

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """The container's answer."""
        asked: _Prediction = prompt.request
        assert asked.inner is not None
        server = _SERVERS[asked.model.container]
        try:
            return server.compose(asked.inner, behaviour, name)
        except Refusal as refusal:
            raise invalid(server.error(refusal).body.decode()) from None

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """The container's."""
        asked: _Prediction = prompt.request
        assert asked.inner is not None
        return _SERVERS[asked.model.container].writer(asked.inner, reply, serial)


def _place(request: Request) -> _Place:
    found = _PATH.match(request.target.partition(b"?")[0])
    assert found is not None
    return _Place(*(unquote(value.decode("latin-1")) for value in found.groups()))


def _instance(kind: VertexContainer, instance: Any, parameters: Any, endpoint: str) -> _Instance:
    if kind == "tensor":
        return _Instance(Prompt(endpoint, json_schema=True))
    if not isinstance(instance, dict):
        raise invalid(f"Invalid instance: expected an object, got {msgspec.json.encode(instance).decode()[:80]}")
    if instance.get("@requestFormat") == "chatCompletions":
        fields = {"model": endpoint, **{key: value for key, value in instance.items() if key != "@requestFormat"}}
        try:
            return _Instance(_chat.read(Request(b"POST", b"", [], msgspec.json.encode(fields), True)), chat=True)
        except Refusal as refusal:
            raise invalid(refusal.message) from None
    name, settings = ("inputs", instance.get("parameters") or parameters) if kind == "tgi" else ("prompt", instance)
    text = instance.get(name)
    if not isinstance(text, str):
        raise invalid(f"Invalid instance: `{name}` is missing.")
    limit = settings.get("max_new_tokens" if kind == "tgi" else "max_tokens", 16)
    if not isinstance(limit, int) or limit < 1:
        raise invalid("Invalid instance: the limit on output tokens must be a positive integer.")
    stop = settings.get("stop") or []
    prompt = Prompt(endpoint, max_output_tokens=limit, stop=(stop,) if isinstance(stop, str) else tuple(stop))
    transcript = Transcript(prompt)
    read_prompt(text, transcript)
    return _Instance(transcript.finish(), raw=kind == "tgi" or bool(instance.get("raw_response")), text=text)


def _predicted(kind: VertexContainer, instance: _Instance, reply: Reply, serial: int) -> Any:
    if kind == "tensor":
        return [0.1, 0.9]
    if instance.chat:
        return msgspec.json.decode(_chat.writer(instance.prompt, reply, serial).unary())
    said = reply.text()
    return said if instance.raw else f"Prompt:\n{instance.text}\nOutput:\n{said}"
