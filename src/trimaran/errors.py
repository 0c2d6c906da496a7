"""One tree of errors; each says whose fault it is, whether a retry can help, and what HTTP status a client sees.

    TrimaranError
    ├── ConfigError                  operator   exit 2: what, where (file:line or field), what instead
    │   └── StartError               operator   exit 2: port in use, state folder not writable
    │       └── LedgerError          operator   the ledger's file cannot be used now
    ├── RequestError                 client     refused before anything was sent
    │   ├── InvalidRequest           400
    │   ├── UnsupportedFeature       400        the chosen targets cannot take a field of the request
    │   ├── AuthenticationFailed     401
    │   ├── BudgetExceeded           402
    │   ├── PermissionDenied         403
    │   ├── UnknownModel             404
    │   ├── BodyTooLarge             413
    │   ├── LimitExceeded            429        the gateway's own limits, or those of every target
    │   └── Unavailable              503        draining, or no target configured
    ├── AttemptError                 one try at one target went wrong
    │   ├── ConnectFailed            network    elsewhere     nothing was sent
    │   ├── ConnectionReset          network    here          something may have been processed
    │   ├── NoFirstToken             target     elsewhere     the TTFT limit passed (no answer, or headers only)
    │   ├── StreamStalled            target     elsewhere     the idle limit passed after the first content
    │   ├── StreamCut                target     here          ended without its end marker
    │   ├── MalformedAnswer          target     elsewhere
    │   ├── RateLimited              target     elsewhere     429, with Retry-After when given
    │   ├── Overloaded               target     elsewhere     503, 529
    │   ├── ServerFault              target     here          500, 502, 504 and other 5xx
    │   ├── CredentialRejected       operator   elsewhere     401, 403 from the target
    │   ├── TargetNotFound           operator   elsewhere     404: model or deployment unknown there
    │   └── Rejected                 client     never         400, 413, 422: the same request fails everywhere
    │       ├── ContextTooLong       client     never
    │       └── ContentRefused       client     never         content policy
    ├── DeadlineExceeded             504        the whole request's deadline
    ├── CostCapExceeded              402        no further attempt fits under the request's cost cap
    └── AllAttemptsFailed            502        also a RuntimeError; lists every attempt, and has their status if all have one

Not retryable unless the class says so. ``retry`` is a :class:`Retry`; ``sent`` tells whether the provider may have
processed (and billed) the request. A message says what was wrong, where, and what to do instead, and never holds a secret.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

__all__ = [
    "AllAttemptsFailed",
    "AttemptError",
    "AuthenticationFailed",
    "BodyTooLarge",
    "BudgetExceeded",
    "ConfigError",
    "ConnectFailed",
    "ConnectionReset",
    "ContentRefused",
    "ContextTooLong",
    "CostCapExceeded",
    "CredentialRejected",
    "DeadlineExceeded",
    "Fault",
    "InvalidRequest",
    "LedgerError",
    "LimitExceeded",
    "MalformedAnswer",
    "NoFirstToken",
    "Overloaded",
    "PermissionDenied",
    "RateLimited",
    "Rejected",
    "RequestError",
    "Retry",
    "ServerFault",
    "StartError",
    "StreamCut",
    "StreamStalled",
    "TargetNotFound",
    "TrimaranError",
    "Unavailable",
    "UnknownModel",
    "UnsupportedFeature",
]


class Fault(enum.Enum):
    """Who can mend it."""

    CLIENT = "client"
    OPERATOR = "operator"
    TARGET = "target"
    NETWORK = "network"
    TRIMARAN = "trimaran"


class Retry(enum.Enum):
    """Where a further attempt can help."""

    NEVER = "never"
    ELSEWHERE = "elsewhere"
    HERE = "here"
    """Once more at the same target, then elsewhere."""


class TrimaranError(Exception):
    """Root of the tree. ``code`` is stable and machine-readable; ``field`` names the offending input where there is one."""

    code = "error"
    fault = Fault.TRIMARAN
    retry = Retry.NEVER
    status = 500

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class ConfigError(TrimaranError):
    """The configuration cannot be used. ``where`` is ``file:line`` or a field path; ``hint`` says what to write instead.

    ``problems`` lists each one where several were found at once; ``str`` then shows them all.
    """

    code = "config_invalid"
    fault = Fault.OPERATOR

    def __init__(self, message: str, *, where: str = "", hint: str = "", problems: Sequence[ConfigError] = ()) -> None:
        super().__init__(message, field=where or None)
        self.where = where
        self.hint = hint
        self.problems = tuple(problems)

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        lines = [head, f"  {self.hint}"] if self.hint else [head]
        return "\n".join([*lines, *(str(problem) for problem in self.problems)])


class StartError(ConfigError):
    """The process cannot start here: port in use, folder not writable."""

    code = "cannot_start"


class LedgerError(StartError):
    """The ledger's file cannot be opened, read or written now. Records wait in the journal; none is lost by it."""

    code = "ledger_unavailable"


class RequestError(TrimaranError):
    """The client's request was refused before anything was sent to a target."""

    code = "invalid_request"
    fault = Fault.CLIENT
    status = 400


class InvalidRequest(RequestError):
    """Malformed JSON, a duplicate or ill-typed member, a missing field, a broken HTTP message."""


class UnsupportedFeature(RequestError):
    """The request is valid, but carries something that no target of the model can take."""

    code = "unsupported_feature"


class AuthenticationFailed(RequestError):
    """Missing or unknown key."""

    code = "invalid_api_key"
    status = 401


class BudgetExceeded(RequestError):
    """The key, tenant or tag has no money left for this request."""

    code = "budget_exceeded"
    status = 402


class PermissionDenied(RequestError):
    """The key is known but may not call this model."""

    code = "permission_denied"
    status = 403


class UnknownModel(RequestError):
    """No model of that name is served here (or no such path)."""

    code = "model_not_found"
    status = 404


class BodyTooLarge(RequestError):
    """The body is over the limit."""

    code = "body_too_large"
    status = 413


class LimitExceeded(RequestError):
    """A request, token or memory limit: the gateway's own, or that of every target. ``retry_after_s`` when known."""

    code = "rate_limit_exceeded"
    status = 429

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, field=field)
        self.retry_after_s = retry_after_s


class Unavailable(RequestError):
    """Draining, starting, nothing configured, or no target can take a request now. ``retry_after_s`` when known."""

    code = "unavailable"
    fault = Fault.OPERATOR
    status = 503

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, field=field)
        self.retry_after_s = retry_after_s


class AttemptError(TrimaranError):
    """One attempt failed. ``upstream_status`` is what the target answered, 0 where it did not.

    ``body`` and ``content_type`` keep the provider's own answer, so that a client of the same ``dialect`` gets it
    untouched.
    """

    code = "attempt_failed"
    fault = Fault.TARGET
    retry = Retry.ELSEWHERE
    status = 502
    sent = True

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int = 0,
        retry_after_s: float | None = None,
        body: bytes = b"",
        content_type: str = "",
        dialect: str = "",
    ) -> None:
        super().__init__(message)
        self.upstream_status = upstream_status
        self.retry_after_s = retry_after_s
        self.body = body
        self.content_type = content_type
        self.dialect = dialect


class ConnectFailed(AttemptError):
    """Name resolution, TCP or TLS failed, or the connect limit passed. Nothing was sent."""

    code = "connect_failed"
    fault = Fault.NETWORK
    sent = False


class ConnectionReset(AttemptError):
    """The connection broke before a whole answer head."""

    code = "connection_reset"
    fault = Fault.NETWORK
    retry = Retry.HERE


class NoFirstToken(AttemptError):
    """The TTFT limit passed without content."""

    code = "no_first_token"
    status = 504


class StreamStalled(AttemptError):
    """The idle limit passed between two pieces of content."""

    code = "stream_stalled"
    status = 504


class StreamCut(AttemptError):
    """The answer ended before its end marker or its declared length."""

    code = "stream_cut"
    retry = Retry.HERE


class MalformedAnswer(AttemptError):
    """The answer is not what the dialect promises."""

    code = "malformed_answer"


class RateLimited(AttemptError):
    """The target's own 429."""

    code = "target_rate_limited"
    status = 429


class Overloaded(AttemptError):
    """503 or 529: the target has no capacity now."""

    code = "target_overloaded"
    status = 503


class ServerFault(AttemptError):
    """Any other 5xx."""

    code = "target_server_error"
    retry = Retry.HERE


class CredentialRejected(AttemptError):
    """The target refused our credential; the client's key was fine."""

    code = "target_credential_rejected"
    fault = Fault.OPERATOR
    lasting = False
    """Another credential of the same identity would be refused as well: a permission is missing."""
    stale = False
    """Another one may be accepted, in the provider's own word and whatever the status: this one has expired."""


class TargetNotFound(AttemptError):
    """The target does not know the upstream model or deployment."""

    code = "target_not_found"
    fault = Fault.OPERATOR


class Rejected(AttemptError):
    """The target says the request itself is wrong; it would be wrong elsewhere too."""

    code = "target_rejected"
    fault = Fault.CLIENT
    retry = Retry.NEVER
    status = 400


class ContextTooLong(Rejected):
    """More input than the base model takes."""

    code = "context_too_long"


class ContentRefused(Rejected):
    """The provider's content policy."""

    code = "content_refused"


class DeadlineExceeded(TrimaranError):
    """The whole request's deadline passed."""

    code = "deadline_exceeded"
    fault = Fault.TARGET
    status = 504


class CostCapExceeded(TrimaranError):
    """No further attempt fits under the request's cost cap, so none was sent."""

    code = "cost_cap_exceeded"
    fault = Fault.CLIENT
    status = 402


class AllAttemptsFailed(TrimaranError, RuntimeError):
    """Every attempt failed. ``attempts`` pairs each target's id with its error; ``last`` is the one to report."""

    code = "all_attempts_failed"
    fault = Fault.TARGET
    status = 502

    def __init__(self, attempts: Sequence[tuple[str, TrimaranError]]) -> None:
        lines = "; ".join(f"{target}: {error.message}" for target, error in attempts)
        count = "the only attempt" if len(attempts) == 1 else f"all {len(attempts)} attempts"
        super().__init__(f"{count} failed: {lines}")
        self.attempts = tuple(attempts)
        statuses = {error.status for _, error in attempts}
        if len(statuses) == 1:
            # Clients act on it: they wait after a 429, and try again after a 503.
            self.status = statuses.pop()
        self.retry_after_s: float | None = getattr(self.last, "retry_after_s", None)

    @property
    def last(self) -> TrimaranError:
        """The last attempt's error."""
        return self.attempts[-1][1]
