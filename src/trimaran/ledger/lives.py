"""What a worker's life truly used, read from the ledger after its death.

A life is named by its first request id: every later id of it is greater and holds the same lane (see :mod:`.ids`).
Its attempts are complete in the ledger when none of its journal's segments is left and none was set aside as damaged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trimaran.ledger.leases import AccountRow
from trimaran.ledger.records import decode_tags
from trimaran.wire import DIALECTS

if TYPE_CHECKING:
    from trimaran.ledger.store import Store

__all__ = ["is_taken_in", "used_by"]

_BY_SCOPE = {"key": "key_id = :name", "tenant": "tenant = :name", "tag": "tags <> ''"}

_UNSEEN = "(estimated = 1 AND status <> 'ok' AND ttft_us IS NULL)"
"""Given up before anything was seen of an answer: what the target did for it is not known, and the estimate of its cost is
no bound. As ``dispatch`` charges it in the worker."""

_MONEY = (
    f"CASE WHEN settled_ns IS NOT NULL AND cost_nanos IS NOT NULL AND NOT {_UNSEEN} THEN cost_nanos ELSE bound_nanos END",
    f"CASE WHEN bound_nanos IS NULL AND (cost_nanos IS NULL OR {_UNSEEN}) THEN 1 ELSE 0 END",
)
_TOKENS = (
    "CASE WHEN input_tokens IS NULL THEN 0 ELSE input_tokens + output_tokens END",
    f"CASE WHEN settled_ns IS NULL OR {_UNSEEN} THEN 1 ELSE 0 END",
)
_REQUESTS = ("CASE WHEN attempt = 1 THEN 1 ELSE 0 END", "0")
_BY_UNIT = {"usd": _MONEY, "tokens": _TOKENS, "requests": _REQUESTS}
"""By unit: what an attempt used, and whether that is not known."""


def is_taken_in(journal_dir: Path, journal: str) -> bool:
    """Whether the ledger has all records of the journal ``journal`` (``worker-0.<boot>``)."""
    return not any(path.suffix in (".seg", ".damaged") for path in journal_dir.glob(f"{journal}.*"))


def used_by(store: Store, life: str, account: AccountRow) -> int | None:
    """What the attempts of ``life`` used of ``account``, in its unit: those that were begun in its window.

    Settled ones at their cost; open ones, those of unknown cost and those given up unseen at their bound. ``None``: it is not known, because an
    attempt has no bound. Raises :class:`~trimaran.errors.LedgerError`.
    """
    amount, unknown = _BY_UNIT[account.unit]
    parameters: dict[str, object] = {
        "life": life,
        "lane": life[12:24],
        "start": account.start_ns,
        "end": account.end_ns,
    }
    if account.scope != "tag":
        parameters["name"] = account.name
    with store.errors():
        rows = store.connection.execute(
            f"SELECT dialect_out, tags, SUM({amount}), SUM({unknown}) FROM attempts "
            "WHERE request_id > :life AND SUBSTR(request_id, 13, 12) = :lane "
            f"AND started_ns >= :start AND started_ns < :end AND {_BY_SCOPE[account.scope]} GROUP BY dialect_out, tags",
            parameters,
        ).fetchall()
    used = 0
    for dialect, tags, total, unknowns in rows:
        if dialect in DIALECTS and DIALECTS[dialect].free:
            continue
        if account.scope == "tag":
            label, _, value = account.name.partition("=")
            if decode_tags(tags).get(label) != value:
                continue
        if unknowns:
            return None
        used += int(total)
    return used
