"""Azure's front door as simulated services have it: tokens of Entra ID, and how Azure words what it refuses.

A :class:`AzureCloud` holds what the simulated Azure knows of tokens and roles; it may be changed while the provider runs: let a token
expire, take an action away. The token services (:mod:`~trimaran.testing.entra`) add to it. What a service accepts beside tokens
(keys), and which audience it wants, is the service's own affair.

Errors are ``{"error": {"code": …, "message": …}}``, but for refused tokens of Cognitive Services, which say
``{"statusCode": 401, "message": …}``. Words follow answers that are quoted in public issue threads and posts (2023 to 2026, read
2026-11-30); others are worded alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from trimaran.testing.dialect import HeadWriter, Request, bearer
from trimaran.testing.exchange import Refusal

__all__ = [
    "ARM",
    "COGNITIVE_SERVICES",
    "FOUNDRY",
    "MACHINE_LEARNING",
    "SUBSCRIPTION",
    "TENANT",
    "AzureCloud",
    "AzureHead",
    "AzureRefusal",
    "EntraToken",
    "error_body",
    "query_value",
    "wait_lines",
]

TENANT = "11111111-1111-4111-8111-111111111111"
SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"
ARM = "https://management.azure.com"
COGNITIVE_SERVICES = "https://cognitiveservices.azure.com"
FOUNDRY = "https://ai.azure.com"
MACHINE_LEARNING = "https://ml.azure.com"


class EntraToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token that Azure knows. ``expires_at_s``: seconds since the epoch, by the server's clock."""

    value: str
    principal: str = "33333333-3333-4333-8333-333333333333"
    """Object id of who holds it."""
    client_id: str = "44444444-4444-4444-8444-444444444444"
    audience: str = ""
    """Which service takes it, such as ``https://ml.azure.com``; empty: every one."""
    expires_at_s: float | None = None

    def __repr__(self) -> str:
        return (
            f"EntraToken(principal={self.principal!r}, audience={self.audience!r}, expires_at_s={self.expires_at_s!r})"
        )


class AzureCloud(msgspec.Struct, kw_only=True):
    """What the simulated Azure knows of callers."""

    tokens: list[EntraToken] | None = None
    """Access tokens that are good beside the issued ones. ``None``: with ``keys`` of the provider none, without them any."""
    issued: dict[str, EntraToken] = msgspec.field(default_factory=dict)
    denied: set[str] = msgspec.field(default_factory=set)
    """Actions that no role grants to anybody, such as ``Microsoft.CognitiveServices/accounts/deployments/read``."""
    denied_to: dict[str, set[str]] = msgspec.field(default_factory=dict)
    """The same by principal."""
    subscription: str | None = None
    """The only subscription; ``None``: any exists."""
    resource_group: str | None = None
    """The only resource group; ``None``: any exists."""
    clock_ahead_s: float = 0.0
    """How far the server's clock is ahead of the client's."""
    clock: Callable[[], float] = time.time

    def now(self) -> float:
        """Seconds since the epoch, as the server sees it."""
        return self.clock() + self.clock_ahead_s

    def holder(self, request: Request, audiences: Iterable[str], keys: frozenset[str] | None) -> EntraToken | None:
        """Who the request's bearer token stands for; ``None`` for no token, a stranger's, an expired one and one for another
        audience."""
        value = bearer(request.headers)
        token = self.known((value or b"").decode("latin-1"), keys)
        if token is None or self.expired(token) or token.audience not in ("", *audiences):
            return None
        return token

    def known(self, value: str, keys: frozenset[str] | None) -> EntraToken | None:
        """What is known of a token."""
        if (issued := self.issued.get(value)) is not None:
            return issued
        if self.tokens is not None:
            return next((one for one in self.tokens if one.value == value), None)
        return EntraToken(value=value) if value and keys is None else None

    def expired(self, token: EntraToken) -> bool:
        """Whether a token's time is over."""
        return token.expires_at_s is not None and self.now() >= token.expires_at_s

    def allows(self, principal: str, action: str) -> bool:
        """Whether a role grants an action."""
        return action not in self.denied and action not in self.denied_to.get(principal, ())


class AzureRefusal(Refusal):
    """A refusal with Azure's code. ``members`` stand beside it in ``error``; ``bare``: see the module."""

    def __init__(self, status: int, code: str, message: str, /, *, bare: bool = False, **members: Any) -> None:
        super().__init__(status, code, message)
        self.bare = bare
        self.members = members


def error_body(refusal: Refusal) -> bytes:
    """``{"error": {code, message}}``."""
    if isinstance(refusal, AzureRefusal) and refusal.bare:
        return msgspec.json.encode({"statusCode": refusal.status, "message": refusal.message})
    members = refusal.members if isinstance(refusal, AzureRefusal) else {}
    return msgspec.json.encode({"error": {"code": refusal.kind, "message": refusal.message, **members}})


class AzureHead(HeadWriter):
    """Heads in Azure's style. Where a client is to wait, ``retry-after-ms`` says so beside ``retry-after``, which has whole seconds.
    ``further`` gives header lines that may change while the provider runs, each begun by CRLF."""

    def __init__(
        self,
        dialect: str,
        lines: str,
        *,
        id_header: str = "apim-request-id",
        further: Callable[[], bytes] = bytes,
        content_type: bytes = b"application/json",
    ) -> None:
        super().__init__(dialect, id_header, None, lines, identify=_uuid)
        self._further = further
        self._type = content_type

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
        lines = self._further() + lines
        if retry_after_s is not None:
            lines += wait_lines(retry_after_s)
        return super().write(
            status,
            request_id,
            length=length,
            stream=stream,
            content_type=content_type or self._type,
            lines=lines,
        )


def wait_lines(seconds: float) -> bytes:
    """The header lines that tell a client to wait."""
    return b"\r\nretry-after: %d\r\nretry-after-ms: %d" % (math.ceil(seconds), round(seconds * 1_000))


def _uuid(request_id: str) -> str:
    """A request's number in the form of Azure's request ids."""
    return str(UUID(int=int("0" + "".join(filter(str.isdigit, request_id)))))


def query_value(target: bytes, name: str) -> str | None:
    """The first value of a query parameter."""
    values = parse_qs(target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True).get(name)
    return values[0] if values else None
