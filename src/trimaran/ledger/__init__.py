"""The ledger: every attempt, with its tokens, its exact cost and its reason; never a prompt.

    road ──append──▶ journal segments ──ingest──▶ SQLite ──▶ spend, explain
    JournalWriter    mapped files, survive         Store      reports
                     the writer's death            Ingestor

The road writes to mapped memory and never waits for a disk or a database. Behind it, one ingestor moves committed
records into the store exactly once. Either side may be killed at any instant; losing the database costs reports, not
records.
"""

from __future__ import annotations

from trimaran.ledger.dimensions import GROUPS, Filters
from trimaran.ledger.explanation import AttemptRow, Explanation, explain, explanation
from trimaran.ledger.explanation_text import attempts_table, explanation_text
from trimaran.ledger.focus import focus_rows
from trimaran.ledger.focus_columns import FOCUS_COLUMNS, FOCUS_VERSION
from trimaran.ledger.ids import IdSource, attempt_id
from trimaran.ledger.ingestor import Ingestor
from trimaran.ledger.journal import JournalWriter
from trimaran.ledger.moments import parse_when, utc_text
from trimaran.ledger.records import (
    CANCELLED,
    FAILED,
    OK,
    OPEN,
    REJECTED,
    CapacityUsed,
    PriceUsed,
    Record,
    Settled,
    Started,
    decode_tags,
    encode_tags,
)
from trimaran.ledger.report import cost_text, report_dict, spend_csv, spend_table, to_dict
from trimaran.ledger.spend import spend, spend_report
from trimaran.ledger.spend_rows import Report, SpendRow
from trimaran.ledger.status import LedgerStatus, journal_status, ledger_status
from trimaran.ledger.store import IngestResult, Store

__all__ = [
    "CANCELLED",
    "FAILED",
    "FOCUS_COLUMNS",
    "FOCUS_VERSION",
    "GROUPS",
    "OK",
    "OPEN",
    "REJECTED",
    "AttemptRow",
    "CapacityUsed",
    "Explanation",
    "Filters",
    "IdSource",
    "IngestResult",
    "Ingestor",
    "JournalWriter",
    "LedgerStatus",
    "PriceUsed",
    "Record",
    "Report",
    "Settled",
    "SpendRow",
    "Started",
    "Store",
    "attempt_id",
    "attempts_table",
    "cost_text",
    "decode_tags",
    "encode_tags",
    "explain",
    "explanation",
    "explanation_text",
    "focus_rows",
    "journal_status",
    "ledger_status",
    "parse_when",
    "report_dict",
    "spend",
    "spend_csv",
    "spend_report",
    "spend_table",
    "to_dict",
    "utc_text",
]
