"""Azure OpenAI as a simulated provider speaks it: OpenAI's APIs under deployments, with Azure's credentials, errors and verdicts.

``/openai/deployments/{name}/…?api-version=…`` ignores the body's ``model``; ``/openai/responses?api-version=…`` and everything under
``/openai/v1/`` name the deployment there. Reader and writer are those of the simulated OpenAI API; what they refuse is worded as
OpenAI words it, because on Azure, too, the model's server says it. Judges: ``openai.AzureOpenAI`` and ``openai.OpenAI`` with the base
URL ``…/openai/v1/``. Sources: learn.microsoft.com, "Azure OpenAI in Microsoft Foundry Models REST API reference", "v1 API", "Provisioned
throughput"; words of refusals as quoted in public issue threads (2023 to 2026); all read 2026-11-30.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from trimaran.testing.azure import AzureHead, AzureRefusal, error_body
from trimaran.testing.azure_filters import AnnotatedChat, AnnotatedResponse, RewritingWriter, prompt_refused
from trimaran.testing.azure_openai_account import FILTERS, AzureDeployment, AzureOpenAIAccount
from trimaran.testing.behaviour import Behaviour
from trimaran.testing.dialect import AnswerWriter, Dialect, HeadWriter, Request
from trimaran.testing.exchange import Part, Prompt, Refusal, Reply
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.openai_common import OpenAIDialect, encode
from trimaran.testing.openai_common import error_body as model_error
from trimaran.testing.openai_embeddings import OpenAIEmbeddings
from trimaran.testing.openai_responses import OpenAIInputTokens, OpenAIResponses

__all__ = ["AZURE_OPENAI_DIALECTS", "AZURE_OPENAI_HEADERS", "azure_openai_dialects"]

AZURE_OPENAI_DIALECTS = (
    "azure_openai.chat",
    "azure_openai.responses",
    "azure_openai.input_tokens",
    "azure_openai.embeddings",
)
AZURE_OPENAI_HEADERS = """\
strict-transport-security: max-age=31536000; includeSubDomains; preload
x-content-type-options: nosniff
x-ms-client-request-id: 00000000-0000-4000-8000-000000000000
x-request-id: 00000000-0000-4000-8000-000000000000
x-accel-buffering: no
azureml-model-session: simulated
set-cookie: ARRAffinity=simulated; path=/; HttpOnly"""
_ACTIONS = "Microsoft.CognitiveServices/accounts/OpenAI/"


class _Surface(NamedTuple):
    """One API: where it is, and what Azure calls it."""

    name: str
    path: str
    """After ``/openai/deployments/{name}/`` or ``/openai/v1/``."""
    deployed: bool
    """Whether the deployment is in the path."""
    action: str
    operation: str


_CHAT = _Surface(
    "azure_openai.chat", "chat/completions", True, "deployments/chat/completions/action", "ChatCompletions_Create"
)
_EMBEDDINGS = _Surface(
    "azure_openai.embeddings", "embeddings", True, "deployments/embeddings/action", "Embeddings_Create"
)
_RESPONSES = _Surface("azure_openai.responses", "responses", False, "responses/write", "Create_Response")
_COUNT = _Surface(
    "azure_openai.input_tokens", "responses/input_tokens", False, "responses/write", "Get_Response_Input_Tokens"
)


class _Call(NamedTuple):
    """What was asked of whom."""

    deployment: AzureDeployment
    version: str
    prompt: Prompt
    filtered: list[str]
    """The category that ends the answer, once it is known."""


def azure_openai_dialects(account: AzureOpenAIAccount) -> list[Dialect]:
    """What answers a POST to a deployment."""
    responses = OpenAIResponses()
    return [
        AzureOpenAIDialect(account, _CHAT, OpenAIChat()),
        AzureOpenAIDialect(account, _RESPONSES, responses),
        AzureOpenAIDialect(account, _COUNT, OpenAIInputTokens(responses)),
        AzureOpenAIDialect(account, _EMBEDDINGS, OpenAIEmbeddings()),
    ]


class AzureOpenAIDialect:
    """One of OpenAI's APIs on Azure. ``prompt.model`` is the deployment's name, so behaviours can be set by deployment."""

    path = b""

    def __init__(self, account: AzureOpenAIAccount, surface: _Surface, inner: OpenAIDialect) -> None:
        self.name = surface.name
        self._account = account
        self._surface = surface
        self._inner: Any = inner
        place = r"deployments/(?P<deployment>[^/]+)/" if surface.deployed else ""
        self._path = re.compile(rf"/openai/(?:(?P<v1>v1/)|{place}){re.escape(surface.path)}\Z".encode())
        self.head: HeadWriter = AzureHead(self.name, AZURE_OPENAI_HEADERS, further=self._region)

    def serves(self, method: bytes, path: bytes) -> bool:
        """By the path."""
        return method == b"POST" and self._path.match(path) is not None

    def authenticate(self, request: Request, keys: frozenset[str] | None) -> None:
        """A key, or a token and a role."""
        v1, deployment = self._place(request)
        shown = "deployments/{deployment-id}/" if deployment is not None else "v1/" if v1 else ""
        operation = f"POST /openai/{shown}{self._surface.path}"
        self._account.admit(request, _ACTIONS + self._surface.action, operation, keys, v1=v1)

    def read(self, request: Request) -> Prompt:
        """The request as OpenAI's API reads it, under the deployment's name."""
        v1, named = self._place(request)
        version = self._account.check_version(request, v1=v1, responses=not self._surface.deployed)
        if named is not None:
            # A deployment that is not there is told before the body is read.
            self._account.serving(named, None)
            request = request._replace(body=_renamed(request.body, named))
        inner: Prompt = self._inner.read(request)
        deployment = self._account.serving(inner.model, None)
        self._check_operation(deployment)
        outer = Prompt(inner.model, stream=inner.stream, input_tokens=inner.input_tokens)
        outer.request = _Call(deployment, version, inner, [])
        return outer

    def check(self, prompt: Prompt, context_tokens: int, models: frozenset[str] | None) -> None:
        """Which deployments there are, how full they are, and the model's context length."""
        call: _Call = prompt.request
        self._account.serving(prompt.model, models)
        self._account.check_load(call.deployment, self._surface.operation, call.version)
        self._inner.check(call.prompt, context_tokens, None)

    def compose(self, prompt: Prompt, behaviour: Behaviour, name: str) -> Reply:
        """As everywhere, unless the content filter steps in."""
        call: _Call = prompt.request
        account = self._account
        if behaviour.blocked_prompt is not None:
            category = behaviour.blocked_prompt if behaviour.blocked_prompt in FILTERS else account.filtered
            raise prompt_refused(category, account.severity, responses=not self._surface.deployed)
        reply: Reply = self._inner.compose(call.prompt, behaviour, name)
        if behaviour.finish_reason == "content_filter":
            call.filtered.append(account.filtered)
            _cut(reply, stream=prompt.stream)
        return reply

    def writer(self, prompt: Prompt, reply: Reply, serial: int) -> AnswerWriter:
        """OpenAI's, with the model behind the deployment, and with verdicts."""
        call: _Call = prompt.request
        shown = msgspec.structs.replace(call.prompt, model=call.deployment.served)
        writer: AnswerWriter = self._inner.writer(shown, reply, serial)
        filtered = call.filtered[0] if call.filtered else None
        lines = partial(_answer_lines, call.deployment, reply)
        severity = self._account.severity
        if self._surface is _CHAT:
            late = call.deployment.filtering == "asynchronous"
            return AnnotatedChat(writer, lines, filtered=filtered, severity=severity, asynchronous=late)
        if self._surface is _RESPONSES:
            return AnnotatedResponse(writer, lines, filtered=filtered, severity=severity)
        return RewritingWriter(writer, lines)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """Azure's words, or the model's server's."""
        return error_body(refusal) if isinstance(refusal, AzureRefusal) else encode({"error": model_error(refusal)})

    def fault(self, status: int, code: str | None, message: str | None) -> Refusal:
        """The usual error of a status; ``code`` instead of the usual one."""
        usual, words = _fault(status, self._surface.operation)
        return AzureRefusal(status, code or usual, words if message is None else message)

    def models(self, names: tuple[str, ...], one: str | None) -> bytes | None:
        """Not told here."""
        return None

    def _region(self) -> bytes:
        return f"\r\nx-ms-region: {self._account.region}".encode()

    def _place(self, request: Request) -> tuple[bool, str | None]:
        """Whether the path is a v1 path, and which deployment it names."""
        found = self._path.match(request.target.partition(b"?")[0])
        assert found is not None
        named = found["deployment"] if self._surface.deployed else None
        return found["v1"] is not None, None if named is None else unquote(named.decode("latin-1"))

    def _check_operation(self, deployment: AzureDeployment) -> None:
        if deployment.embeds == (self._surface is _EMBEDDINGS):
            return
        if self._surface is _EMBEDDINGS and not deployment.model:
            return
        operation = self._surface.operation.partition("_")[0].removesuffix("s")
        operation = operation[0].lower() + operation[1:]
        words = (
            f"The {operation} operation does not work with the specified model, {deployment.base}. Please choose different model "
            "and try again. You can learn more about which models can be used with each operation here: "
            "https://go.microsoft.com/fwlink/?linkid=2197993."
        )
        raise AzureRefusal(400, "OperationNotSupported", words)


def _renamed(body: bytes, deployment: str) -> bytes:
    """The body with the deployment as its model; one that is no JSON object is left to the reader."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return body
    return encode({**fields, "model": deployment})


def _cut(reply: Reply, *, stream: bool) -> None:
    """End a reply as the filter does: a stream in the middle, a whole answer before it began."""
    parts: list[Part] = []
    for part in reply.parts:
        if part.kind == "text":
            pieces = part.pieces[: len(part.pieces) // 2] if stream else []
            parts.append(Part("text", pieces))
    reply.parts = parts
    reply.pieces = [piece for part in parts for piece in part.pieces]
    reply.usage.output = min(reply.usage.output, len(reply.pieces))
    reply.finish = "content_filter"


def _answer_lines(deployment: AzureDeployment, reply: Reply) -> bytes:
    used = reply.usage.input + reply.usage.output
    lines = f"\r\nx-ms-rai-invoked: true\r\nx-ms-deployment-name: {deployment.name}"
    if deployment.provisioned:
        lines += f"\r\nazure-openai-deployment-utilization: {deployment.utilization:g}%"
    else:
        limit = deployment.capacity * 1_000
        lines += f"\r\nx-ratelimit-limit-tokens: {limit}\r\nx-ratelimit-remaining-tokens: {max(0, limit - used)}"
        lines += f"\r\nx-ratelimit-limit-requests: {deployment.capacity}"
        lines += f"\r\nx-ratelimit-remaining-requests: {max(0, deployment.capacity - 1)}"
    return lines.encode("latin-1", "replace")


def _fault(status: int, operation: str) -> tuple[str, str]:
    if status == 429:
        words = (
            f"Requests to the {operation} Operation under Azure OpenAI API have exceeded call rate limit of your current OpenAI "
            "S0 pricing tier. Please contact Azure support service if you would like to further increase the default rate limit."
        )
        return "429", words
    known = {
        401: ("401", "Access denied due to invalid subscription key or wrong API endpoint."),
        403: ("AccessDenied", "Access denied due to Virtual Network/Firewall rules."),
        404: ("DeploymentNotFound", "The API deployment for this resource does not exist."),
        408: ("Timeout", "The operation was timeout."),
        500: ("InternalServerError", "Internal server error"),
        503: (
            "ServiceUnavailable",
            "The service is temporarily unable to process your request. Please try again later.",
        ),
    }
    return known.get(status, (str(status), f"Simulated failure: {status}."))
