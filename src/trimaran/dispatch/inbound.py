"""A request as a shell hands it over: read just enough, authenticated, not yet tried anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trimaran.types import Limits
from trimaran.wire import Dialect, Envelope

if TYPE_CHECKING:
    from trimaran.dispatch.runtime import Route

__all__ = ["Inbound"]


class Inbound(msgspec.Struct, eq=False):
    """One request. Built for each, so it is not frozen; nothing writes to it."""

    request_id: str
    dialect: Dialect
    envelope: Envelope
    route: Route
    limits: Limits
    tenant: str
    key_id: str = ""
    tags: str = ""
    """As ``ledger.records.encode_tags`` gives them."""
    forwarded: bytes = b""
    """Header lines of the client that may travel, each ended by CRLF; only sent to targets of the same dialect."""
    allowances: tuple[str, ...] = ()
    """Ids of the budgets and limits that bind it."""
