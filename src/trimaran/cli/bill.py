"""``trimaran spend`` and ``trimaran ledger``: what the ledger knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from trimaran.cli.output import next_step, note, print_json, print_table
from trimaran.cli.serve import ledger_paths
from trimaran.config import load
from trimaran.errors import ConfigError
from trimaran.ledger import Ingestor, Store, attempts_table, parse_when, spend_table, to_dict
from trimaran.ledger import explain as explain_request
from trimaran.ledger import spend as spend_rows

__all__ = ["explain", "opened", "spend"]


@contextmanager
def opened(path: str | None, overrides: Mapping[str, object]) -> Iterator[tuple[Store, Path]]:
    """The ledger with everything that the journal still holds taken in."""
    store_path, journal = ledger_paths(load(path, os.environ, overrides))
    if not store_path.exists() and not journal.exists():
        raise ConfigError(
            "there is no ledger yet",
            where=str(store_path.parent),
            hint="send a request through 'trimaran serve' or 'trimaran ask' first, or name another --ledger-dir",
        )
    ingestor = Ingestor(store_path, journal)
    ingestor.run_once()
    ingestor.close()
    if ingestor.problem:
        note(f"not everything is in the ledger yet: {ingestor.problem}")
    with Store(store_path, read_only=True) as store:
        yield store, store_path


def spend(
    path: str | None,
    overrides: Mapping[str, object],
    *,
    by: str,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> int:
    """Spend by group. Raises :class:`~trimaran.errors.ConfigError`, :class:`~trimaran.errors.LedgerError`."""
    now = datetime.now(UTC)
    bounds = [None if text is None else parse_when(text, now) for text in (since, until)]
    with opened(path, overrides) as (store, store_path):
        rows = spend_rows(store, by, *bounds)
    if as_json:
        print_json([to_dict(row) for row in rows])
        return 0
    if not rows:
        note("no attempt in this period" if since or until else "no attempt is recorded yet")
        next_step("leave out --since and --until" if since or until else "trimaran ask --mock 'What is 42 * 37?'")
        return 0
    print_table(*spend_table(rows, by))
    next_step(f"trimaran spend --by day, or --by tag:NAME; the ledger is {store_path}")
    return 0


def explain(path: str | None, overrides: Mapping[str, object], request_id: str, *, as_json: bool) -> int:
    """One request's attempts. Raises :class:`~trimaran.errors.ConfigError` when the ledger does not know it."""
    with opened(path, overrides) as (store, store_path):
        rows = explain_request(store, request_id.partition("-")[0])
    if not rows:
        raise ConfigError(
            f"the ledger knows no request {request_id!r}",
            where=str(store_path),
            hint="give the value of the answer's x-trimaran-request-id header",
        )
    if as_json:
        print_json([to_dict(row) for row in rows])
        return 0
    print_table(*attempts_table(rows))
    if any(row.simulated for row in rows):
        note("note: simulated: nobody real answered; a cost is what a real answer would have cost")
    next_step("trimaran spend --by target")
    return 0
