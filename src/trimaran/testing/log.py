"""What a simulated provider received, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, overload

import msgspec

from trimaran.testing.behaviour import Fault

__all__ = ["LoggedRequest", "Outcome", "RequestLog"]

Outcome = Literal["open", "completed", "refused", "faulted", "cancelled"]
"""``refused``: the request was wrong (401, 404, 400 …). ``faulted``: an injected fault ended it. ``cancelled``: the
client left first."""

_PRIVATE = frozenset({"body", "raw_headers"})
_SECRET = frozenset(
    {"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "proxy-authorization", "x-identity-header"}
)


class LoggedRequest(msgspec.Struct):
    """One request. The provider updates it until ``outcome`` is no longer ``open``. Times are the loop's monotonic
    seconds.

    ``raw_headers`` and ``body`` are what arrived, credentials included, so that a test can check them; ``repr`` and
    :meth:`public` show neither prompt nor secret.
    """

    n: int
    """From 1, in order of arrival."""
    method: str
    path: str
    dialect: str
    """Empty for a path that belongs to none."""
    raw_headers: list[tuple[bytes, bytes]]
    """Names in lower case, in order of arrival."""
    body: bytes
    received_at_s: float
    model: str = ""
    stream: bool = False
    status: int = 0
    """0 while nothing was answered."""
    fault: Fault = "none"
    outcome: Outcome = "open"
    input_tokens: int = 0
    tokens_sent: int = 0
    """Content tokens written to the client."""
    first_token_at_s: float | None = None
    ended_at_s: float | None = None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers as text."""
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw_headers)

    def header(self, name: str) -> str | None:
        """First value of a header, ``None`` when it was not sent. ``name`` in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)

    def public(self) -> dict[str, Any]:
        """Everything but the body, with credentials masked."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _PRIVATE}
        row["headers"] = {name: "***" if name in _SECRET else value for name, value in self.headers}
        row["body_bytes"] = len(self.body)
        return row

    def __repr__(self) -> str:
        return (
            f"LoggedRequest(n={self.n}, {self.method} {self.path}, model={self.model!r}, status={self.status}, "
            f"fault={self.fault!r}, outcome={self.outcome!r}, tokens_sent={self.tokens_sent})"
        )


class RequestLog(Sequence[LoggedRequest]):
    """The last ``limit`` requests, oldest first. ``total`` counts all of them."""

    def __init__(self, limit: int, changed: Callable[[], None]) -> None:
        self._limit = limit
        self._rows: list[LoggedRequest] = []
        self._changed = changed
        self.total = 0

    def append(self, row: LoggedRequest) -> None:
        """Keep a row, dropping the oldest tenth when full."""
        self.total += 1
        if len(self._rows) >= self._limit:
            del self._rows[: max(1, self._limit // 10)]
        self._rows.append(row)
        self._changed()

    def end(self, row: LoggedRequest, outcome: Outcome, now: float) -> None:
        """Write a row's outcome; the first one stands."""
        if row.outcome == "open":
            row.outcome = outcome
            row.ended_at_s = now
            self._changed()

    def clear(self) -> None:
        """Forget all rows. Numbering goes on."""
        self._rows = []

    @overload
    def __getitem__(self, index: int) -> LoggedRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[LoggedRequest]: ...
    def __getitem__(self, index: int | slice) -> LoggedRequest | list[LoggedRequest]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(list(self._rows))

    def __repr__(self) -> str:
        return f"RequestLog({self._rows!r})"
