"""What a refusal of an online endpoint means, and the sentence that an operator can act on.

Two parties refuse. The front of the endpoint refuses with a status of its own: a key or a permission, no deployment that takes
traffic, too many requests at once, a container that took too long. The container refuses inside a 424, whose headers tell its own
status and reason; its body is the container's, means what it means in its dialect, and a client that speaks it gets it untouched.

Source: https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints, "HTTP status codes", 2026-11-30.
"""

from __future__ import annotations

import msgspec

from trimaran.errors import (
    AttemptError,
    CredentialRejected,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    TargetNotFound,
)
from trimaran.providers.azure.openai_refusals import retry_after
from trimaran.providers.door import Headers
from trimaran.types import Target
from trimaran.wire import Dialect
from trimaran.wire.failures import MAX_MESSAGE, Complaint, attempt_error, read_complaint
from trimaran.wire.members import BAD_JSON

__all__ = ["ROLE", "RefusalReader"]

ROLE = "AzureML Data Scientist"
_ACTION = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action"

_LOG = "its log: `az ml online-deployment get-logs --endpoint-name {name} --name {deployment} --lines 100`"
_ENDPOINTS = "`az ml online-endpoint show --name {name} --query traffic` and `az ml online-deployment list --endpoint-name {name}` show"
_PERMISSION = ("permission", "not authorized to perform", "does not have", "lacks", "forbidden", _ACTION.lower())
_STATUS = b"ms-azureml-model-error-statuscode"
_REASON = b"ms-azureml-model-error-reason"


class RefusalReader:
    """Reads the refusals of one target in one dialect."""

    def __init__(self, target: Target, dialect: Dialect) -> None:
        self._dialect = dialect
        self._deployment = target.facts.get("deployment", "")
        self._words = {
            "name": target.facts.get("endpoint", "") or target.upstream_model,
            "deployment": self._deployment or "DEPLOYMENT",
        }

    def read(self, status: int, headers: Headers, body: bytes) -> AttemptError:
        """What the refusal means."""
        told = headers.get(_STATUS, b"").strip()
        if status == 424 or told:
            return self._of_container(int(told) if told.isdigit() and len(told) == 3 else 0, headers, body)
        error = self._of_front(status, _sentence(body) or _reason(headers))
        error.upstream_status = status
        error.retry_after_s = retry_after(headers)
        return error

    # The container

    def _of_container(self, status: int, headers: Headers, body: bytes) -> AttemptError:
        reason = _reason(headers)
        if "not_ready" in reason:
            error: AttemptError = Overloaded(f"no container behind {self._words['name']} is ready")
        elif status < 400:
            failed = f"the container failed: {reason or _sentence(body) or 'it does not say why'}"
            error = ServerFault(failed)
        else:
            error = self._in_its_words(status, headers, body, reason)
        error.upstream_status = status or 424
        if not isinstance(error, Rejected):
            error.message = f"{error.message.rstrip('. ')}; {_LOG.format(**self._words)}"
        return error

    def _in_its_words(self, status: int, headers: Headers, body: bytes, reason: str) -> AttemptError:
        """What the container's own refusal means."""
        if _is_object(body):
            content_type = headers.get(b"content-type", b"application/json").decode("latin-1")
            error = self._dialect.read_error(status, headers.get(b"retry-after"), content_type, body)
        else:
            words = body.decode("utf-8", "replace").strip() or reason
            error = attempt_error(Complaint(words[:MAX_MESSAGE]), dialect=self._dialect.name, status=status)
        if isinstance(error, TargetNotFound | CredentialRejected):
            # Its paths and its keys are the operator's; nobody's credential was sent to it.
            words = _sentence(body) or reason
            return TargetNotFound(f"the container refused the call ({status}): {words}")
        return error

    # The front

    def _of_front(self, status: int, said: str) -> AttemptError:
        words = self._words
        name, tail = words["name"], f": {said}" if said else ""
        match status:
            case 401 | 403:
                return self._not_allowed(status, said)
            case 404:
                which = (
                    f"no deployment {self._deployment}"
                    if self._deployment
                    else "no deployment that takes traffic, or is not there"
                )
                return TargetNotFound(
                    f"the endpoint {name} has {which}{tail}; {_ENDPOINTS.format(**words)} what there is"
                )
            case 408:
                return ServerFault(
                    f"the model behind {name} took longer than its deployment allows{tail}; raise request_settings.request_timeout_ms "
                    "of the deployment"
                )
            case 409 | 503:
                return Overloaded(
                    f"the endpoint {name} cannot take requests now{tail}; {_ENDPOINTS.format(**words)} its state"
                )
            case 413:
                return Rejected(f"the body is larger than the endpoint {name} takes{tail}")
            case 429:
                return RateLimited(
                    f"the endpoint {name} has more requests than it takes at once{tail}; raise "
                    "request_settings.max_concurrent_requests_per_instance or the number of instances"
                )
        if status >= 500:
            return ServerFault(f"Azure Machine Learning failed ({status}){tail}")
        if status < 400:
            return TargetNotFound(
                f"the endpoint {name} redirects ({status}); write the address that Azure shows as its scoring URI"
            )
        return Rejected(f"the endpoint {name} refused the request ({status}){tail}")

    def _not_allowed(self, status: int, said: str) -> AttemptError:
        name = self._words["name"]
        lower = said.lower()
        lasting = status == 403 or any(mark in lower for mark in _PERMISSION)
        if lasting:
            message = (
                f'the identity may not ask the endpoint {name} ({status}): it lacks {_ACTION}; assign the role "{ROLE}" on the endpoint or '
                'its workspace: `az role assignment create --role "AzureML Data Scientist" --assignee <object id> --scope <endpoint id>`'
            )
        else:
            message = (
                f"the endpoint {name} refused the key or token it was sent ({status}); `az ml online-endpoint get-credentials --name {name}` "
                "shows its keys; a token of Entra ID needs an endpoint with auth_mode aad_token and the audience https://ml.azure.com"
            )
        error = CredentialRejected(message)
        error.lasting = lasting
        return error


def _reason(headers: Headers) -> str:
    return " ".join(headers.get(_REASON, b"").decode("latin-1").split())[:200]


def _sentence(body: bytes) -> str:
    """The refusal's own words, on one line."""
    try:
        words = read_complaint(msgspec.json.decode(body)).message
    except BAD_JSON:
        words = body.decode("utf-8", "replace")
    return " ".join(words.split()).rstrip(". ")[:500]


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except BAD_JSON:
        return False
