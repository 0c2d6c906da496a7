"""Online endpoints of Azure Machine Learning as a simulated provider answers for them.

The platform decides who answers (endpoint, header ``azureml-model-deployment``, traffic), hands the body to the container and its
answer back. What a container refuses is a 424 with the container's own body and, in headers, its own status. The platform's own
refusals are plain texts. Sources, read 2026-11-30: learn.microsoft.com, "Troubleshoot online endpoint deployment" (statuses and
headers), "Authenticate clients for online endpoints"; the platform's proxy configuration in ``Azure/azureml-assets`` (a 429 without a body,
``ms-azureml-model-error-reason``); texts of refused keys and missing traffic as quoted in public issue threads.
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote

from trimaran.testing.azure import MACHINE_LEARNING, AzureHead
from trimaran.testing.azure_filters import RewritingWriter
from trimaran.testing.azure_ml import AzureML, OnlineDeployment, OnlineEndpoint
from trimaran.testing.azure_ml_containers import routed
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import AnswerWriter, HeadWriter, Request, bearer, header
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.sagemaker import Container
from trimaran.testing.sagemaker_containers import Call, ContainerServer

__all__ = ["AZURE_ML_DIALECTS", "ML_PREFIX", "AzureMLScoring"]

AZURE_ML_DIALECTS = ("azure_ml.score",)
ML_PREFIX = "/azureml/"
_PATH = re.compile(rb"/azureml/(?P<endpoint>[^/]+)(?P<route>/.*)\Z")
_ACTION = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"
_NO_ROUTE = (
    "No valid deployments to route to. Please check that the endpoint has at least one deployment with positive weight values "
    "or use a deployment specific header to route."
)
_HEADERS = """\
x-ms-server-version: azureml.online-inferencing-frontend/simulated
x-ms-client-request-id: 00000000-0000-4000-8000-000000000000
server: azureml-frontend"""
_TEXT = b"text/plain"
_PLATFORM = frozenset({401, 403, 404, 408, 429})
"""Statuses that only the platform gives, as plain text: whatever a container says is a 424."""
_FAULTS = {
    401: "key_auth_access_denied",
    404: _NO_ROUTE,
    408: "upstream request timeout",
    429: "",
    500: "Internal server error",
    502: "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    503: "no healthy upstream",
}


class MLRefusal(Refusal):
    """A refusal with the body in force."""

    def __init__(self, status: int, body: bytes, *, reason: str = "", container_status: int | None = None) -> None:
        super().__init__(status, "", body.decode("utf-8", "replace"))
        self.body = body
        lines = f"\r\nms-azureml-model-error-reason: {reason}" if reason else ""
        if container_status is not None:
            lines += f"\r\nms-azureml-model-error-statuscode: {container_status}"
        self.lines = lines.encode()


class _Scoring(NamedTuple):
    """Who answers, and what the container understood."""

    deployment: OnlineDeployment
    server: ContainerServer
    prompt: Prompt


class _Head(AzureHead):
    """Plain text where the platform speaks."""

    def write(
        self,
        status: int,
        request_id: str,
        *,
        length: int | None,
        stream: bool = False,
        processing_ms: int = 0,
        retry_after_s: float | None = None,
        content_type: bytes | None = None,
        lines: bytes = b"",
    ) -> bytes:
        """See :class:`~trimaran.testing.dialect.HeadWriter`."""
        return super().write(
            status,
            request_id,
            length=length,
            stream=stream,
            retry_after_s=retry_after_s,
            content_type=_TEXT if status in _PLATFORM else content_type,
            lines=lines,
        )


class AzureMLScoring:
    """A POST to an endpoint. ``prompt.model`` is the endpoint's name, so behaviours can be set by endpoint."""

    name = AZURE_ML_DIALECTS[0]
    path = b""

    def __init__(self, workspace: AzureML) -> None:
        self.head: HeadWriter = _Head(self.name, _HEADERS, id_header="x-request-id")
        self._workspace = workspace

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the prefix."""
        return method == b"POST" and _PATH.match(path) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A key or a token, as the endpoint wants it."""
        endpoint = self._endpoint(request)
        value = bearer(request.headers)
        if header(request.headers, b"authorization") is None or value is None:
            raise MLRefusal(401, b"key_auth_bad_header_forbidden")
        if endpoint.auth_mode == "Key":
            known = frozenset(endpoint.keys) if endpoint.keys is not None else keys
            if known is not None and value.decode("latin-1") not in known:
                raise MLRefusal(401, b"key_auth_access_denied")
            return
        cloud = self._workspace.cloud
        holder = cloud.holder(request, (MACHINE_LEARNING,), keys)
        if holder is None:
            raise MLRefusal(401, b"token_auth_access_denied")
        if not cloud.allows(holder.principal, _ACTION):
            raise MLRefusal(403, f"The principal {holder.principal} lacks {_ACTION}".encode())

    def read(self, request: Request) -> Prompt:
        """Finds who answers, and lets the container read the body."""
        endpoint = self._endpoint(request)
        named = header(request.headers, b"azureml-model-deployment")
        deployment = self._workspace.chosen(endpoint, None if named is None else named.decode("latin-1"))
        if deployment is None:
            raise MLRefusal(404, _NO_ROUTE.encode())
        _check_state(endpoint, deployment)
        found = _PATH.match(request.target.partition(b"?")[0])
        assert found is not None
        route = found["route"].decode("latin-1")
        server = routed(deployment.container, deployment.task, route)
        if server is None:
            raise _model_error(404, b'{"detail":"Not Found"}')
        kind, accept = (
            (header(request.headers, name) or b"").decode("latin-1") for name in (b"content-type", b"accept")
        )
        try:
            inner = server.read(Call(request.body, kind, accept, "", Container()))
        except Refusal as refusal:
            raise _model_error(*server.error(refusal)) from None
        outer = Prompt(endpoint.name, stream=inner.stream, input_tokens=inner.input_tokens)
        outer.request = _Scoring(deployment, server, inner)
        return outer

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """The container's context length."""
        asked: _Scoring = prompt.request
        if prompt.input_tokens > context_tokens:
            words = (
                f"This model's maximum context length is {context_tokens} tokens. However, your request has "
                f"{prompt.input_tokens} input tokens. Please reduce the length of the input messages."
            )
            raise _model_error(*asked.server.error(Refusal(400, "context", words)))

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """The container's answer."""
        asked: _Scoring = prompt.request
        try:
            return asked.server.compose(asked.prompt, behaviour, name)
        except Refusal as refusal:
            raise _model_error(*asked.server.error(refusal)) from None

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """The container's, with the deployment's name in the head."""
        asked: _Scoring = prompt.request
        writer = asked.server.writer(asked.prompt, reply, serial)
        return _PassingWriter(writer, partial(_answer_lines, asked.deployment))

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Text, or the container's own body."""
        return refusal.body if isinstance(refusal, MLRefusal) else refusal.message.encode()

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The platform's refusal of this status. 424 is the container's: ``code`` is its own status, ``message`` its own answer."""
        if status == 424:
            own = int(code) if code is not None and code.isdigit() else 500
            said = message if message is not None else f'{{"message":"Simulated failure: {own}."}}'
            return _model_error(own, said.encode())
        words = _FAULTS.get(status, f"Simulated failure: {status}.") if message is None else message
        return MLRefusal(status, words.encode(), reason=code or ("too_many_pending_request" if status == 429 else ""))

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here."""
        return None

    def _endpoint(self, request: Request) -> OnlineEndpoint:
        found = _PATH.match(request.target.partition(b"?")[0])
        assert found is not None
        name = unquote(found["endpoint"].decode("latin-1"))
        endpoint = self._workspace.find(name)
        if endpoint is None or endpoint.provisioning_state != "Succeeded":
            # The real one has no address then.
            raise MLRefusal(404, f"There is no online endpoint {name}.".encode())
        return endpoint


class _PassingWriter(RewritingWriter):
    """Adds header lines and leaves the rest as it is, byte for byte."""

    def lines(self, took_ms: int) -> bytes:
        """What the container says, and who it was."""
        return super().lines(took_ms) + b"\r\nms-azureml-model-time: %d" % took_ms

    def unary(self) -> bytes:
        """As it was."""
        return self._inner.unary()

    def _events(self, events: bytes) -> bytes:
        return events


def _answer_lines(deployment: OnlineDeployment) -> bytes:
    return f"\r\nazureml-model-deployment: {deployment.name}".encode()


def _check_state(endpoint: OnlineEndpoint, deployment: OnlineDeployment) -> None:
    if deployment.saturated:
        raise MLRefusal(429, b"", reason="too_many_pending_request")
    if deployment.instance_count < 1 or not deployment.ready:
        if endpoint.compute == "Kubernetes":
            raise MLRefusal(503, b"no healthy upstream")
        raise MLRefusal(424, b"", reason="model_not_ready")


def _model_error(status: int, body: bytes) -> MLRefusal:
    return MLRefusal(424, body, reason="model_error", container_status=status)
