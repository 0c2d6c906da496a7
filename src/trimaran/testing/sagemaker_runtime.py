"""``sagemaker-runtime`` as a simulated provider speaks it: InvokeEndpoint and InvokeEndpointWithResponseStream.

The service decides who answers (endpoint, variant, inference component), hands the body to the container and its answer back;
it knows nothing of what is in them. An answer that the container streams is whole in InvokeEndpoint's answer, and one that it
does not stream is one part of InvokeEndpointWithResponseStream's. boto3 is the judge; field names and statuses are those of
botocore's service model.

Words and ``ErrorCode`` of refusals are those that are quoted in public issue threads and posts (read 2026-11-30): an unknown
endpoint, a missing or needless component's name, no capacity, a target model on an endpoint without, an error of the
container. The others are worded here. AWS documents that an endpoint which is being created or deleted, or has failed, takes no
requests, not how it says so; here it says that there is no such endpoint.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple
from urllib.parse import unquote

from trimaran.testing.aws import AwsAccount, AwsRefusal, aws_head, error_body, signed_region
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import AnswerWriter, Dialect, Headers, Request, header
from trimaran.testing.exchange import Prompt, Refusal, Reply
from trimaran.testing.sagemaker import Container, ContainerKind, Endpoint, InferenceComponent, SageMaker, Variant
from trimaran.testing.sagemaker_chat import ChatServer
from trimaran.testing.sagemaker_containers import Call, ContainerServer
from trimaran.testing.sagemaker_payload import PayloadWriter
from trimaran.testing.sagemaker_tensor import AnyServer, TritonServer
from trimaran.testing.sagemaker_text import JumpStartServer, LMIServer, TGIServer

__all__ = ["SAGEMAKER_DIALECTS", "InvokeEndpoint", "sagemaker_dialects"]

SAGEMAKER_DIALECTS = ("sagemaker.invoke", "sagemaker.invoke_stream")

_PATH = re.compile(rb"/endpoints/([^/]+)/(invocations|invocations-response-stream)\Z")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}\Z")
_SERVERS: dict[ContainerKind, ContainerServer] = {
    "vllm": ChatServer(),
    "neuron": ChatServer(),
    "lmi": LMIServer(),
    "tgi": TGIServer(),
    "jumpstart": JumpStartServer(),
    "triton": TritonServer(),
    "tensor": AnyServer(),
}
_CLOSED = frozenset({"Creating", "Deleting", "Failed"})
_NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if configured) "
    "or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)
_COMPONENT_MISSING = (
    "Inference Component Name header is required for endpoints to which you plan to deploy inference components. Please "
    "include Inference Component Name header or consider using SageMaker models."
)
_COMPONENT_NEEDLESS = (
    "Inference Component Name header is not allowed for endpoints to which you dont plan to deploy inference components. "
    "Please remove the Inference Component Name header and try again."
)
_FAULTS = {
    400: ("ValidationError", "Simulated failure: 400."),
    403: ("AccessDeniedException", "Simulated failure: 403."),
    429: ("ThrottlingException", "Rate exceeded"),
    500: ("InternalFailure", "Simulated failure: 500."),
    503: ("ServiceUnavailable", "Simulated failure: 503."),
    530: ("InternalDependencyException", "Simulated failure: 530."),
}
_ACTIONS = {False: "sagemaker:InvokeEndpoint", True: "sagemaker:InvokeEndpointWithResponseStream"}


class _Invocation(NamedTuple):
    """Who answers, and what the container understood."""

    endpoint: Endpoint
    variant: Variant
    container: Container
    server: ContainerServer
    prompt: Prompt
    region: str
    lines: bytes
    """Header lines of the answer that the request asked for."""


def sagemaker_dialects(account: AwsAccount, fleet: SageMaker) -> list[Dialect]:
    """What answers on ``/endpoints/…``."""
    return [InvokeEndpoint(account, fleet, streamed=streamed) for streamed in (False, True)]


class InvokeEndpoint:
    """``POST /endpoints/{name}/invocations`` or, ``streamed``, ``…/invocations-response-stream``.

    ``prompt.model`` is the endpoint's name, so behaviours can be set by endpoint.
    """

    path = b""

    def __init__(self, account: AwsAccount, fleet: SageMaker, *, streamed: bool) -> None:
        self.name = SAGEMAKER_DIALECTS[streamed]
        self.head = aws_head(self.name)
        self._account = account
        self._fleet = fleet
        self._streamed = streamed
        self._asked = 0

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path's end."""
        found = _PATH.match(path)
        return method == b"POST" and found is not None and (found[2] != b"invocations") == self._streamed

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A signature for ``sagemaker``, and a policy that allows the action."""
        self._account.admit(request, "sagemaker", keys)
        self._account.allow(_ACTIONS[self._streamed], self._fleet.arn("endpoint", _endpoint_name(request)))

    def read(self, request: Request) -> Prompt:
        """Finds who answers, and lets the container read the body."""
        endpoint = self._open(_endpoint_name(request))
        headers = request.headers
        component = _component(endpoint, _text(headers, "inference-component"))
        variant = self._variant(endpoint, component, _text(headers, "target-variant"))
        _check_target_model(endpoint, _text(headers, "target-model"))
        container = (component.container if component else None) or variant.container or endpoint.container
        server = _SERVERS[container.kind]
        attributes = _text(headers, "custom-attributes") or ""
        accept = _text(headers, "accept") if self._streamed else _plain(headers, b"accept")
        call = Call(request.body, _plain(headers, b"content-type"), accept or "", attributes, container)
        region = signed_region(headers, self._account)
        try:
            inner = server.read(call)
        except Refusal as refusal:
            raise _model_error(endpoint.name, region, server, refusal) from None
        asked = _asked_lines(headers, variant, attributes)
        outer = Prompt(endpoint.name, stream=self._streamed, input_tokens=inner.input_tokens)
        outer.request = _Invocation(endpoint, variant, container, server, inner, region, asked)
        return outer

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Which endpoints there are, and the container's context length."""
        call: _Invocation = prompt.request
        if models is not None and prompt.model not in models:
            raise _not_found(prompt.model)
        if call.prompt.input_tokens > context_tokens:
            words = (
                f"This model's maximum context length is {context_tokens} tokens. However, your request has "
                f"{call.prompt.input_tokens} input tokens. Please reduce the length of the input messages."
            )
            raise _model_error(prompt.model, call.region, call.server, Refusal(400, "context", words))

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """The container's answer."""
        call: _Invocation = prompt.request
        try:
            return call.server.compose(call.prompt, behaviour, name)
        except Refusal as refusal:
            raise _model_error(prompt.model, call.region, call.server, refusal) from None

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """The container's, in parts if streamed."""
        call: _Invocation = prompt.request
        return PayloadWriter(
            call.server.writer(call.prompt, reply, serial),
            reply,
            serial,
            container_streams=call.prompt.stream,
            container_type=call.server.stream_type(call.prompt),
            streamed=self._streamed,
            part_bytes=call.container.part_bytes,
            lines=call.lines,
        )

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """``{"Message", …}``."""
        return error_body(refusal)

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The service's error of this status. 424, and any status with a number for a ``code``, is the container's error:
        ``code`` is its own status, ``message`` its own answer."""
        if (code is not None and code.isdigit()) or (status == 424 and code in (None, "ModelError")):
            original = int(code) if code is not None and code.isdigit() else 500
            refusal = Refusal(original, "server", f"Simulated failure: {original}.")
            region = self._account.region or self._fleet.region
            return _model_error("simulated", region, _SERVERS["vllm"], refusal, said=message, status=status)
        kind, words = _FAULTS.get(status, ("InternalFailure", f"Simulated failure: {status}."))
        return _refused(status, code or kind, words if message is None else message)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """None: the control plane lists endpoints."""
        return None

    def _open(self, name: str) -> Endpoint:
        if not _NAME.match(name):
            words = (
                f"1 validation error detected: Value '{name}' at 'endpointName' failed to satisfy constraint: Member must "
                "satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
            )
            raise _refused(400, "ValidationError", words)
        endpoint = self._fleet.find(name)
        if endpoint is None or endpoint.status in _CLOSED:
            raise _not_found(name)
        if endpoint.status == "OutOfService":
            raise _refused(503, "ServiceUnavailable", f"Endpoint {name} is not available to take incoming requests.")
        return endpoint

    def _variant(self, endpoint: Endpoint, component: InferenceComponent | None, wanted: str | None) -> Variant:
        wanted = component.variant_name if component is not None else wanted
        if wanted is None:
            self._asked += 1
            chance = random.Random(f"{endpoint.name}/{self._asked}")
            weights = [variant.weight for variant in endpoint.variants]
            some = sum(weights) > 0
            variant = chance.choices(endpoint.variants, weights if some else None)[0]
        else:
            named = [variant for variant in endpoint.variants if variant.variant_name == wanted]
            if not named:
                words = f"Variant {wanted} of endpoint {endpoint.name} not found."
                raise _refused(400, "ValidationError", words)
            variant = named[0]
        if variant.serverless and not variant.current_instance_count:
            raise _not_ready(f"Resources of variant {variant.variant_name} are still being provisioned.")
        if not variant.current_instance_count:
            if component is not None:
                raise _refused(400, "ValidationError", _NO_CAPACITY)
            words = f"Variant {variant.variant_name} of endpoint {endpoint.name} has no instances in service."
            raise _refused(503, "ServiceUnavailable", words)
        return variant


def _endpoint_name(request: Request) -> str:
    found = _PATH.match(request.target.partition(b"?")[0])
    return unquote(found[1].decode("latin-1")) if found else ""


def _component(endpoint: Endpoint, wanted: str | None) -> InferenceComponent | None:
    """The component that is to answer; ``None`` on an endpoint without."""
    if endpoint.inference_components is None:
        if wanted is not None:
            raise _refused(400, "ValidationError", _COMPONENT_NEEDLESS)
        return None
    if wanted is None:
        raise _refused(400, "ValidationError", _COMPONENT_MISSING, "INFERENCE_COMPONENT_NAME_MISSING")
    named = [row for row in endpoint.inference_components if row.inference_component_name == wanted]
    if not named:
        words = f"Inference Component {wanted} of endpoint {endpoint.name} not found."
        raise _refused(400, "ValidationError", words)
    if named[0].status not in ("InService", "Updating") or not named[0].current_copy_count:
        raise _refused(400, "ValidationError", _NO_CAPACITY)
    return named[0]


def _check_target_model(endpoint: Endpoint, wanted: str | None) -> None:
    if wanted is None:
        if endpoint.multi_model:
            words = f"Endpoint {endpoint.name} is a multi-model endpoint and requires a target model header."
            raise _refused(400, "ValidationError", words)
        return
    if not endpoint.multi_model:
        words = f"Endpoint {endpoint.name} is not a multi-model endpoint and does not support target model header."
        raise _refused(400, "ValidationError", words, "TARGET_MODEL_HEADER_NOT_SUPPORTED")
    if wanted in endpoint.unloaded_models:
        raise _not_ready(f"Model {wanted} is still being loaded.")


def _text(headers: Headers, name: str) -> str | None:
    value = header(headers, b"x-amzn-sagemaker-" + name.encode())
    return None if value is None else value.decode("latin-1")


def _plain(headers: Headers, name: bytes) -> str:
    return (header(headers, name) or b"").decode("latin-1")


def _asked_lines(headers: Headers, variant: Variant, attributes: str) -> bytes:
    lines = f"\r\nx-Amzn-Invoked-Production-Variant: {variant.variant_name}"
    if attributes:
        lines += f"\r\nX-Amzn-SageMaker-Custom-Attributes: {attributes}"
    if _text(headers, "session-id") == "NEW_SESSION":
        lines += "\r\nX-Amzn-SageMaker-New-Session-Id: simulated-session; Expires=2099-01-01T00:00:00Z"
    return lines.encode("latin-1")


def _model_error(
    endpoint: str, region: str, server: ContainerServer, refusal: Refusal, *, said: str | None = None, status: int = 424
) -> AwsRefusal:
    """The container's error in the service's words."""
    answer = server.error(refusal)
    text = said if said is not None else answer.body.decode()
    side = "client" if answer.status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    account = AwsAccount().number
    words = (
        f'Received {side} error ({answer.status}) from primary with message "{text}". See '
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} in account "
        f"{account} for more information."
    )
    members = {
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
        "LogStreamArn": f"arn:aws:logs:{region}:{account}:log-group:{group}",
        "OriginalMessage": text,
        "OriginalStatusCode": answer.status,
    }
    return AwsRefusal(status, "ModelError", words, members=members, message_key="Message")


def _refused(status: int, kind: str, words: str, code: str | None = None) -> AwsRefusal:
    members = {} if code is None else {"ErrorCode": code}
    return AwsRefusal(status, kind, words, members=members, message_key="Message")


def _not_found(name: str) -> AwsRefusal:
    words = f"Endpoint {name} of account {AwsAccount().number} not found."
    return _refused(400, "ValidationError", words, "NO_SUCH_ENDPOINT")


def _not_ready(words: str) -> AwsRefusal:
    return _refused(429, "ModelNotReadyException", words)
