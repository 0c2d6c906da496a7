"""Which headers may travel, in both directions, and how an answer's head is written.

Everything else stays behind: client credentials, cookies, hop-by-hop headers, whatever is unknown.

Clients and providers send the same names in the same order again and again. What is to be done with a sequence of names is
worked out once and kept, bounded, as a plan: which values to pick, and what to do with them. A message then costs one
lookup and one pick, however many headers it has.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from trimaran.wire import DIALECTS, Dialect

if TYPE_CHECKING:
    from trimaran.dispatch.call import Call
    from trimaran.wire import Notes

__all__ = ["MAX_FORWARDED_BYTES", "RARE", "forwarded", "plain_head", "read", "stream_head", "take_key", "unary_head"]

_READ = frozenset(name for dialect in DIALECTS.values() for name in (*dialect.carries, *dialect.refuses)) | frozenset(
    (
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"api-key",
        b"x-api-key",
        b"x-goog-api-key",
        b"anthropic-beta",
        b"anthropic-version",
        b"openai-beta",
        b"traceparent",
        b"tracestate",
        b"x-trimaran-deadline-s",
        b"x-trimaran-max-attempts",
        b"x-trimaran-max-cost-usd",
        b"x-trimaran-ttft-s",
    )
)
"""Request headers that are looked at at all."""

RARE = _READ - {
    b"accept",
    b"authorization",
    b"connection",
    b"content-length",
    b"content-type",
    b"host",
    b"api-key",
    b"x-api-key",
    b"x-goog-api-key",
}
"""Those that an ordinary request does not have: one test tells whether any of them needs a look."""

_FORWARDED = (b"anthropic-version", b"anthropic-beta", b"openai-beta", b"traceparent", b"tracestate")
"""Request headers that travel to a target of the same dialect. An organisation or project header does not: it belongs to
the client's account and would contradict the credential that is used."""

_RETURNED_EXACT = frozenset(
    (
        b"request-id",
        b"x-request-id",
        b"openai-processing-ms",
        b"openai-version",
        b"openai-model",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
        b"x-simulated",
    )
)
_RETURNED_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-")

_PLANS = 1024
"""Plans kept for each direction; clients can invent sequences of names without end."""

MAX_FORWARDED_BYTES = 8192
"""Bound on the forwarded header lines of one request."""

MAX_NOTED_BYTES = 1024
"""Bound on each of the lines that say what a translation did."""

_Pick = Callable[[dict[bytes, bytes]], tuple[bytes, ...]]

_read_plans: dict[tuple[bytes, ...], tuple[tuple[bytes, ...], _Pick]] = {}
_return_plans: dict[tuple[bytes, ...], tuple[bytes, _Pick]] = {}


def read(raw: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The request headers that matter, by lower-case name."""
    names = tuple(raw)
    plan = _read_plans.get(names)
    if plan is None:
        wanted = [name for name in names if name.lower() in _READ]
        plan = tuple(name.lower() for name in wanted), _picker(wanted)
        if len(_read_plans) < _PLANS:
            _read_plans[names] = plan
    lower, pick = plan
    return dict(zip(lower, pick(raw), strict=True))


def forwarded(headers: dict[bytes, bytes], dialect: Dialect) -> bytes:
    """The header lines that travel on, each ended by CRLF; ``b""`` for most requests."""
    lines = b""
    for name in (*_FORWARDED, *dialect.carries):
        value = headers.get(name)
        if value is not None and len(lines) + len(value) < MAX_FORWARDED_BYTES:
            lines += b"%b: %b\r\n" % (name, value)
    return lines


def take_key(headers: dict[bytes, bytes], query: bytes) -> None:
    """Let a client's key that stands in the query (Google's ``?key=``) count as its header does."""
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"key" and value:
            headers.setdefault(b"x-goog-api-key", unquote_to_bytes(value))


def _returned(raw: dict[bytes, bytes]) -> bytes:
    """The provider's header lines that travel back, each ended by CRLF."""
    names = tuple(raw)
    plan = _return_plans.get(names)
    if plan is None:
        wanted = [name for name in names if _may_return(name.lower())]
        template = b"".join(name.lower().replace(b"%", b"%%") + b": %b\r\n" for name in wanted)
        plan = template, _picker(wanted)
        if len(_return_plans) < _PLANS:
            _return_plans[names] = plan
    template, pick = plan
    return template % pick(raw)


def _may_return(lower: bytes) -> bool:
    return lower in _RETURNED_EXACT or lower.startswith(_RETURNED_PREFIXES)


def _picker(names: list[bytes]) -> _Pick:
    """``itemgetter`` gives no tuple for one name and takes none for no name."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda raw: tuple(raw[name] for name in names)


def _own(call: Call, upstream: dict[bytes, bytes]) -> bytes:
    """Trimaran's own header lines and the provider's allowed ones."""
    attempt = call.attempt
    assert attempt is not None
    notes = attempt.translation.notes
    dialect = call.inbound.dialect
    return b"x-trimaran-request-id: %b\r\nx-trimaran-target: %b\r\nx-trimaran-attempts: %d\r\n%b%b%b%b%b" % (
        call.inbound.request_id.encode(),
        attempt.runtime.id.encode("ascii", "replace"),
        call.attempts,
        b"" if call.route is call.inbound.route else _stood_in(call.route.policy.name),
        b"" if notes is None else _noted(notes),
        _returned(upstream),
        dialect.answer_head(call.inbound.request_id),
        _belonging(upstream, dialect) if dialect.returns and attempt.translation.dialect is dialect else b"",
    )


def _belonging(upstream: dict[bytes, bytes], dialect: Dialect) -> bytes:
    """The target's header lines that are a part of its answer."""
    return b"".join(
        b"%b: %b\r\n" % (name.lower(), value) for name, value in upstream.items() if name.lower() in dialect.returns
    )


def _stood_in(model: str) -> bytes:
    """The public model that answered in place of the one asked for."""
    return b"x-trimaran-model: %b\r\n" % model.encode("ascii", "replace")


def _noted(notes: Notes) -> bytes:
    """What a translation did in another way, and what it left out. Names come from the client's own body."""
    lines = b""
    for name, values in ((b"x-trimaran-emulated", notes.emulated), (b"x-trimaran-omitted", notes.omitted)):
        if values:
            text = ", ".join(values)[:MAX_NOTED_BYTES]
            clean = "".join(letter if letter.isprintable() else "?" for letter in text)
            lines += b"%b: %b\r\n" % (name, clean.encode("ascii", "replace"))
    return lines


def unary_head(call: Call, length: int, close: bool) -> bytes:
    """The head of a whole answer. The cost is exact, in USD; absent where the price is unknown."""
    attempt = call.attempt
    assert attempt is not None
    cost = call.cost_nanos
    dialect = call.inbound.dialect
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b%b\r\n" % (
        dialect.answer_type(attempt.headers) if dialect.any_content else b"application/json",
        length,
        _own(call, attempt.headers),
        b"" if cost is None else b"x-trimaran-cost-usd: %d.%09d\r\n" % divmod(cost, 1_000_000_000),
        b"Connection: close\r\n" if close else b"",
    )


def stream_head(call: Call, close: bool, chunked: bool = True) -> bytes:
    """The head of a streamed answer; its cost is known only at the end and stands in the ledger."""
    attempt = call.attempt
    assert attempt is not None
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nCache-Control: no-cache\r\n%b%b%b\r\n" % (
        call.inbound.dialect.framing.content_type,
        b"Transfer-Encoding: chunked\r\n" if chunked else b"",
        _own(call, attempt.headers),
        b"Connection: close\r\n" if close else b"",
    )


def plain_head(status: int, content_type: bytes, length: int, extra: bytes, close: bool) -> bytes:
    """The head of any other answer. ``extra`` holds header lines, each ended by CRLF."""
    try:
        phrase = HTTPStatus(status).phrase.encode()
    except ValueError:
        phrase = b"Error"
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n" % (
        status,
        phrase,
        content_type,
        length,
        extra,
        b"Connection: close\r\n" if close else b"",
    )
