"""What a client may ask beyond the body: bounds of its own, and from where it may call.

Clients may tighten the limits of their request and never loosen them.
"""

from __future__ import annotations

import ipaddress
from decimal import Decimal, InvalidOperation

from trimaran.dispatch.dispatcher import tighten
from trimaran.errors import InvalidRequest, PermissionDenied
from trimaran.types import Limits

__all__ = [
    "OtherStatus",
    "check_content_encoding",
    "check_content_type",
    "check_origin",
    "check_page",
    "client_limits",
]

_DEADLINE = b"x-trimaran-deadline-s"
_ATTEMPTS = b"x-trimaran-max-attempts"
_COST = b"x-trimaran-max-cost-usd"
_TTFT = b"x-trimaran-ttft-s"
_ALL = frozenset((_DEADLINE, _ATTEMPTS, _COST, _TTFT))

_known_hosts: set[bytes] = {b"localhost", b"127.0.0.1"}


class OtherStatus(InvalidRequest):
    """An invalid request with a status of its own."""

    def __init__(self, message: str, status: int, *, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.status = status


def check_content_type(headers: dict[bytes, bytes]) -> None:
    """Refuse what is not sent as JSON. Also what keeps a web page from posting here without the browser asking first."""
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        raise OtherStatus("send 'Content-Type: application/json'", 415, field="Content-Type")


def check_content_encoding(headers: dict[bytes, bytes]) -> None:
    """Refuse what is compressed."""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise OtherStatus("compressed bodies are not accepted; send the JSON as it is", 415, field="Content-Encoding")


def client_limits(limits: Limits, headers: dict[bytes, bytes]) -> Limits:
    """``limits``, tightened by the request's ``x-trimaran-…`` headers where it has any."""
    if _ALL.isdisjoint(headers):
        return limits
    deadline = _number(headers, _DEADLINE)
    attempts = _number(headers, _ATTEMPTS)
    cost = _number(headers, _COST)
    ttft = _number(headers, _TTFT)
    return tighten(
        limits,
        deadline_s=None if deadline is None else float(deadline),
        max_attempts=None if attempts is None else max(1, int(attempts)),
        max_cost_nanos=None if cost is None else int(cost * 1_000_000_000),
        ttft_s=None if ttft is None else float(ttft),
    )


def check_origin(headers: dict[bytes, bytes]) -> None:
    """Where no key is needed, refuse a Host that is a name other than localhost.

    A web page can make its own name resolve to 127.0.0.1 and then call a server there as if it were its own; the browser
    still sends the page's name as Host.
    """
    host = headers.get(b"host", b"localhost")
    if host in _known_hosts:
        return
    name = host.decode("latin-1").strip()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name.lower() != "localhost":
        try:
            ipaddress.ip_address(name)
        except ValueError:
            raise PermissionDenied(
                f"without client keys only localhost and IP addresses are answered, not {name[:100]!r}; "
                "set keys: in the configuration",
                field="Host",
            ) from None
    if len(_known_hosts) < 256:
        _known_hosts.add(host)


def check_page(headers: dict[bytes, bytes]) -> None:
    """Where no key is needed and a body may be of any type, refuse a request without a header for a credential.

    A web page can send such a body anywhere without the browser asking first, but not with such a header. AWS's clients
    always send one.
    """
    if headers.keys().isdisjoint((b"authorization", b"x-api-key")):
        raise PermissionDenied(
            "without client keys this path wants a header that no web page can send unasked: send 'Authorization', as AWS's "
            "clients do, or 'x-api-key', with any value",
            field="Authorization",
        )


def _number(headers: dict[bytes, bytes], name: bytes) -> Decimal | None:
    raw = headers.get(name)
    if raw is None:
        return None
    try:
        value = Decimal(raw.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        value = Decimal(-1)
    if not value.is_finite() or value <= 0 or value > 1_000_000_000:
        raise InvalidRequest(f"{name.decode()} must be a positive number", field=name.decode())
    return value
