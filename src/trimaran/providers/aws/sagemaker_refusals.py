"""What a refusal of SageMaker's runtime means, and the sentence that an operator can act on.

Two parties refuse. The service refuses with a type in ``x-amzn-errortype``: then it is a name, a permission or a state, which
is the operator's to mend, or a matter of time. It tells most of them as a ``ValidationError``, apart only by the sentence. The
container refuses inside a ``ModelError`` (424), which holds the container's own status and words: those mean what they mean
in the container's dialect, and a client that speaks it gets them untouched. Who called, and in which account, is nobody's
business but the operator's, and is taken out of what the service says.

Sources: botocore 1.44.8, ``data/sagemaker-runtime/2017-05-13/service-2.json``; read 2026-11-30. The
sentences by which a ``ValidationError`` is told apart are those of public issue threads, as the simulated service gives them;
none was seen from the real one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from trimaran.errors import (
    AttemptError,
    BodyTooLarge,
    CredentialRejected,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
)
from trimaran.providers.door import Headers
from trimaran.types import Target
from trimaran.wire import Dialect
from trimaran.wire.aws_failures import anonymous, aws_error, error_name
from trimaran.wire.failures import MAX_MESSAGE, Complaint, attempt_error, retry_after_s
from trimaran.wire.members import BAD_JSON
from trimaran.wire.sagemaker_invocations import SageMakerInvocations

__all__ = ["RefusalReader"]


class _Meaning(NamedTuple):
    """``message`` and ``mend`` are filled in with what is known of the target; ``{said}`` is the service's sentence."""

    error: type[AttemptError]
    message: str
    mend: str = ""


_STATE = "its state: aws sagemaker describe-endpoint --endpoint-name {name}{region}"
_SETTING = "providers.{provider}.endpoints.{listed}.inference_component"

_BY_NAME = {
    "InternalDependencyException": _Meaning(ServerFault, "SageMaker failed ({kind}): {said}"),
    "InternalFailure": _Meaning(ServerFault, "SageMaker failed ({kind}): {said}"),
    "ModelNotReadyException": _Meaning(Overloaded, "the endpoint {name} is still loading its model: {said}", _STATE),
    "ServiceUnavailable": _Meaning(Overloaded, "SageMaker is unavailable: {said}", _STATE),
    "ThrottlingException": _Meaning(
        RateLimited,
        "SageMaker limits the calls of this account: {said}",
        "raise the quota: aws service-quotas list-service-quotas --service-code sagemaker{region}",
    ),
}
_BY_NAME["ServiceUnavailableException"] = _BY_NAME["ServiceUnavailable"]
_BY_NAME["TooManyRequestsException"] = _BY_NAME["ThrottlingException"]

_BY_SENTENCE: tuple[tuple[tuple[str, ...], _Meaning], ...] = (
    (
        ("component", "no capacity"),
        _Meaning(
            Overloaded,
            "nothing answers behind {name} now: {said}",
            "its state: aws sagemaker describe-inference-component --inference-component-name {component}{region}",
        ),
    ),
    (("capacity",), _Meaning(Overloaded, "nothing answers behind {name} now: {said}", _STATE)),
    (
        ("component", "header is required"),
        _Meaning(
            TargetNotFound,
            "the endpoint {name} hosts inference components, and none is named",
            f"write {_SETTING}; they are listed by aws sagemaker list-inference-components --endpoint-name-equals {{name}}"
            "{region}",
        ),
    ),
    (
        ("component", "header is not allowed"),
        _Meaning(
            TargetNotFound,
            "the endpoint {name} hosts no inference components, and one is named",
            f"remove {_SETTING}",
        ),
    ),
    (
        ("not found",),
        _Meaning(
            TargetNotFound,
            "SageMaker does not find it in {place}: {said}",
            "compare aws sagemaker list-endpoints{region}; an endpoint that is being created is not found either",
        ),
    ),
    (("in service",), _Meaning(Overloaded, "the endpoint {name} is not in service: {said}", _STATE)),
    (("inservice",), _Meaning(Overloaded, "the endpoint {name} is not in service: {said}", _STATE)),
)
"""Of a ``ValidationError``: all these words in its sentence, in lower case. The first that are found count."""
_UNKNOWN = _Meaning(TargetNotFound, "SageMaker refused the call ({kind}): {said}", _STATE)
_SERVER = _Meaning(ServerFault, "SageMaker failed ({kind}): {said}")
_TOO_LARGE = ("too large", "less than or equal to", "payload size", "body size")

_CREDENTIAL_NAMES = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)


class RefusalReader:
    """Reads the refusals of one target in one dialect."""

    def __init__(self, target: Target, dialect: Dialect, endpoint: str) -> None:
        self._dialect = dialect
        self._raw = dialect.name == SageMakerInvocations.name
        self._words = {
            "name": endpoint,
            "listed": target.upstream_model,
            "provider": target.provider,
            "component": target.facts.get("inference_component", "NAME"),
            "region": f" --region {target.region}" if target.region else "",
            "place": target.region or "this region",
        }

    def read(self, status: int, headers: Headers, body: bytes) -> AttemptError:
        """What the refusal means."""
        body = anonymous(body)
        said = _Said(status, headers, body)
        if said.kind == "ModelError":
            return self._of_container(said, body)
        if status in (401, 403) or said.kind in _CREDENTIAL_NAMES:
            return aws_error(said.name, body, status, retry_after=headers.get(b"retry-after"))
        if status == 413 or any(words in said.message.lower() for words in _TOO_LARGE):
            return self._too_large(said, body)
        return self._of_service(said, headers)

    # The container

    def _of_container(self, said: _Said, body: bytes) -> AttemptError:
        status, words = said.original_status, said.original_message or said.message
        if status < 400 or "invocation timed out" in said.message:
            error: AttemptError = ServerFault(f"the container failed: {words or 'it does not say why'}")
        else:
            error = self._in_its_words(status, words)
        error.upstream_status = status or said.status
        if not isinstance(error, Rejected):
            log = "its log: aws logs tail /aws/sagemaker/Endpoints/{name} --since 10m{region}"
            error.message = f"{error.message}; {log.format(**self._words)}"
        if self._raw:
            # The client knows this form: it is the service's own.
            error.body, error.content_type, error.dialect = body, "application/json", self._dialect.name
            error.upstream_status = said.status
        return error

    def _in_its_words(self, status: int, words: str) -> AttemptError:
        """What the container's own refusal means."""
        if _is_object(words):
            error = self._dialect.read_error(status, None, "application/json", words.encode())
        else:
            error = attempt_error(Complaint(words[:MAX_MESSAGE]), dialect=self._dialect.name, status=status)
        if status == 424 and isinstance(error, Rejected):
            # LMI says so of what it could not read and of what went wrong in it: which one, only another target can tell.
            return ServerFault(error.message)
        if isinstance(error, TargetNotFound | CredentialRejected):
            # Its paths and its keys are the operator's; nobody's credential was sent to it.
            return TargetNotFound(f"the container refused the call ({status}): {words[:MAX_MESSAGE]}")
        return error

    # The service

    def _of_service(self, said: _Said, headers: Headers) -> AttemptError:
        meaning = _meaning(said)
        words = self._words | {"said": said.message.strip().rstrip(".") or "no reason given", "kind": said.kind}
        message = meaning.message.format(**words)
        return meaning.error(
            f"{message}; {meaning.mend.format(**words)}" if meaning.mend else message,
            upstream_status=said.status,
            retry_after_s=retry_after_s(headers.get(b"retry-after")),
        )

    def _too_large(self, said: _Said, body: bytes) -> AttemptError:
        return Rejected(
            f"the body is larger than SageMaker takes: {said.message}",
            upstream_status=BodyTooLarge.status,
            body=body if self._raw else b"",
            content_type="application/json",
            dialect=self._dialect.name if self._raw else "",
        )


def _meaning(said: _Said) -> _Meaning:
    found = _BY_NAME.get(said.kind)
    if found is not None:
        return found
    if said.status == 503:
        return _BY_NAME["ServiceUnavailable"]
    if said.status >= 500:
        return _SERVER
    words = said.message.lower().replace("could not find", "not found").replace("does not exist", "not found")
    return next((meaning for marks, meaning in _BY_SENTENCE if all(mark in words for mark in marks)), _UNKNOWN)


class _Said:
    """What stands in a refusal of the runtime's."""

    __slots__ = ("kind", "message", "name", "original_message", "original_status", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        try:
            found: Any = msgspec.json.decode(body)
        except BAD_JSON:
            found = None
        members: dict[str, Any] = found if isinstance(found, dict) else {}
        self.status = status
        self.message = _text(members, "Message", "message")[:MAX_MESSAGE]
        self.original_message = _text(members, "OriginalMessage")
        given = members.get("OriginalStatusCode")
        self.original_status = given if type(given) is int and 100 <= given < 600 else 0
        told = headers.get(b"x-amzn-errortype", b"").decode("latin-1") or _text(members, "__type", "code")
        self.name = error_name(told)
        self.kind = self.name or ("ModelError" if self.original_status or status == 424 else f"status {status}")


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except BAD_JSON:
        return False


def _text(members: dict[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := members.get(name), str)), "")
