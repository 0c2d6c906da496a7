"""The ledger: every attempt, with its tokens, its exact cost and its reason; never a prompt.

    road ──append──▶ journal segments ──ingest──▶ SQLite ──▶ spend, explain
    JournalWriter    mapped files, survive         Store      reports
                     the writer's death            Ingestor

The road writes to mapped memory and never waits for a disk or a database. Behind it, one ingestor moves committed
records into the store exactly once. Either side may be killed at any instant; losing the database costs reports, not
records.
"""

from __future__ import annotations

from trimaran.ledger.ids import IdSource, attempt_id
from trimaran.ledger.ingestor import Ingestor
from trimaran.ledger.journal import JournalWriter
from trimaran.ledger.records import (
    CANCELLED,
    FAILED,
    OK,
    OPEN,
    REJECTED,
    PriceUsed,
    Record,
    Settled,
    Started,
    decode_tags,
    encode_tags,
)
from trimaran.ledger.report import attempts_table, cost_text, spend_table, to_dict
from trimaran.ledger.spend import GROUPS, AttemptRow, SpendRow, explain, parse_when, spend
from trimaran.ledger.store import IngestResult, Store

__all__ = [
    "CANCELLED",
    "FAILED",
    "GROUPS",
    "OK",
    "OPEN",
    "REJECTED",
    "AttemptRow",
    "IdSource",
    "IngestResult",
    "Ingestor",
    "JournalWriter",
    "PriceUsed",
    "Record",
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
    "parse_when",
    "spend",
    "spend_table",
    "to_dict",
]
