"""``trimaran spend`` and ``trimaran ledger``: what the ledger knows."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from trimaran.cli.output import next_step, note, print_json, print_table
from trimaran.cli.serve import ledger_paths
from trimaran.config import load
from trimaran.errors import ConfigError, LedgerError
from trimaran.ledger import (
    Filters,
    LedgerStatus,
    SpendRow,
    Store,
    explanation,
    explanation_text,
    focus_rows,
    journal_status,
    ledger_status,
    parse_when,
    report_dict,
    spend_csv,
    spend_report,
    spend_table,
    to_dict,
    utc_text,
)
from trimaran.ledger.database import check_driver, described

__all__ = ["explain", "opened", "spend", "status"]


@contextmanager
def opened(path: str | None, overrides: Mapping[str, object]) -> Iterator[tuple[Store, str]]:
    """The ledger with everything that the journal here still holds taken in, and where it is."""
    place, journal = ledger_paths(load(path, os.environ, overrides))
    if isinstance(place, Path) and not place.exists() and not journal.exists():
        raise ConfigError(
            "there is no ledger yet",
            where=str(place.parent),
            hint="send a request through 'trimaran serve' or 'trimaran ask' first, or name another --ledger-dir",
        )
    check_driver(place)
    problem = ""
    try:
        with Store(place) as store:
            damaged = store.ingest(journal).damaged
        if damaged:
            problem = f"{damaged} places of the journal could not be read; see {journal}/*.damaged"
    except LedgerError as error:
        problem = str(error)
    # Where reading fails, too, that is the error to show.
    with Store(place, read_only=True) as store:
        if problem:
            note(f"not everything is in the ledger yet: {problem}")
        yield store, store.where


def spend(
    path: str | None,
    overrides: Mapping[str, object],
    *,
    by: str,
    since: str | None,
    until: str | None,
    tenant: str | None = None,
    key: str | None = None,
    model: str | None = None,
    tags: Sequence[str] = (),
    form: str = "table",
    simulated: bool = False,
) -> int:
    """Spend by group; ``form`` is ``table``, ``json``, ``csv`` or ``focus``.

    Raises :class:`~trimaran.errors.ConfigError`, :class:`~trimaran.errors.LedgerError`.
    """
    now = datetime.now(UTC)
    since_ns, until_ns = (None if text is None else parse_when(text, now) for text in (since, until))
    filters = Filters(tenant=tenant, key=key, model=model, tags=tuple(map(_tag, tags)))
    with opened(path, overrides) as (store, store_path):
        if form == "focus":
            _print_csv(focus_rows(store, since_ns, until_ns, filters, simulated=simulated))
            return 0
        report = spend_report(store, by, since_ns, until_ns, filters)
    if form == "json":
        print_json({"since_ns": since_ns, "until_ns": until_ns, **report_dict(report)})
    elif form == "csv":
        _print_csv(spend_csv(report))
    elif not report.rows:
        some = since or until or filters.any
        note("nothing is recorded of what was asked for" if some else "no attempt is recorded yet")
        next_step("leave out the filters" if some else "trimaran ask --mock 'What is 42 * 37?'")
    else:
        print_table(*spend_table(report))
        _say_what_is_unknown(report.totals)
        next_step(f"trimaran spend --by tenant,day, or --by tag:NAME; the ledger is {store_path}")
    return 0


def explain(path: str | None, overrides: Mapping[str, object], request_id: str, *, as_json: bool) -> int:
    """One request's attempts. Raises :class:`~trimaran.errors.ConfigError` when the ledger does not know it."""
    request, _, attempt = request_id.partition("-")
    with opened(path, overrides) as (store, store_path):
        found = explanation(store, request)
    if attempt:
        found = [each for each in found if str(each.attempt.attempt) == attempt]
    if not found:
        raise ConfigError(
            f"the ledger knows no {'attempt' if attempt else 'request'} {request_id!r}",
            where=str(store_path),
            hint="give the value of the answer's x-trimaran-request-id header",
        )
    if as_json:
        print_json([to_dict(each) for each in found])
        return 0
    print("\n".join(explanation_text(found)))
    if any(each.attempt.simulated for each in found):
        note("note: simulated: nobody real answered; a cost is what a real answer would have cost")
    next_step("trimaran spend --by target")
    return 0


def status(path: str | None, overrides: Mapping[str, object], *, as_json: bool) -> int:
    """How the ledger itself is; 1 when its store cannot be read. Raises :class:`~trimaran.errors.ConfigError`."""
    try:
        with opened(path, overrides) as (store, _):
            found = ledger_status(store, ledger_paths(load(path, os.environ, overrides))[1])
    except LedgerError as error:
        store_path, journal = ledger_paths(load(path, os.environ, overrides))
        found = journal_status(described(store_path), journal, str(error))
    if as_json:
        print_json(to_dict(found))
    else:
        print_table(["ledger", found.store], _status_rows(found))
        next_step("trimaran spend" if not found.problem else "mend the store; what waits in the journal is not lost")
    return 1 if found.problem else 0


def _status_rows(found: LedgerStatus) -> list[list[str]]:
    def count(number: int | None) -> str:
        return "unknown" if number is None else f"{number:,}"

    newest = "none" if found.newest_ns is None else utc_text(found.newest_ns)
    return [
        ["problem", found.problem or "none"],
        ["version", count(found.version)],
        ["size", "unknown" if found.size_bytes is None else f"{found.size_bytes / 2**20:.1f} MiB"],
        ["attempts", count(found.attempts)],
        [
            "open attempts",
            f"{count(found.open_attempts)}, of which cut off by a crash: {count(found.cut_off_attempts)}",
        ],
        ["capacity records", count(found.capacity_records)],
        ["newest attempt", "unknown" if found.problem else newest],
        ["journal segments", count(found.segments)],
        ["records waiting", count(found.waiting_records)],
        ["damaged segments", count(found.damaged_segments)],
    ]


def _say_what_is_unknown(totals: Iterable[SpendRow]) -> None:
    for row in totals:
        if row.cut_off_attempts:
            note(f"cut off: the process of {row.cut_off_attempts:,} attempts died; they cost their bound at most")
        if row.unknown_cost_attempts:
            note(f"unknown: {row.unknown_cost_attempts:,} attempts have no known price; they are not in the sums")
        if row.unpriced_replica_s:
            note("unknown: capacity without an hourly price stood; it is not in the sums")


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigError(f"{text!r} is no tag", where="--tag", hint="write NAME=VALUE, for example cost_center=42")
    return name, value


def _print_csv(rows: Iterable[Sequence[str]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
