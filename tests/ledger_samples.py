"""One attempt with every field set, its row, and a journal with a store behind it: for the tests of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from trimaran.ledger import IdSource, JournalWriter, Record, Settled, Started, Store, encode_tags
from trimaran.ledger.database import Place
from trimaran.ledger.records import CapacityUsed
from trimaran.types import PriceTier, TokenPrice, Usage

NOW_NS = 1_790_000_000 * 10**9
IDS = IdSource(0, entropy=0)
REQUEST = IDS.next(NOW_NS // 10**6)

BEGUN = Started(
    request_id=REQUEST,
    attempt=1,
    at_ns=NOW_NS,
    tenant="acme",
    key_id="team-a",
    tags=encode_tags({"cost_center": "42"}),
    model="chat",
    target="openai/gpt-4o-mini",
    provider="openai",
    upstream_model="gpt-4o-mini",
    dialect_in="anthropic.messages",
    dialect_out="openai.chat",
    stream=True,
    simulated=True,
    bound_nanos=154_000,
    input_tokens_estimate=350,
    max_output_tokens=256,
    why="fastest: 412 ms predicted",
    snapshot=7,
    worker=3,
    fallback_model="chat-small",
)
ENDED = Settled(
    request_id=REQUEST,
    attempt=1,
    at_ns=NOW_NS + 900_000_000,
    tenant="acme",
    status="ok",
    http_status=200,
    error_code="",
    finish_reason="stop",
    price_version="v1",
    estimated=True,
    reason="complete",
    ttft_us=412_000,
    latency_us=900_000,
    usage=Usage(6, 5, 4, 3, 2, 1, 9, 8, 7, 10),
    cost_nanos=123,
    service_tier="priority",
)
ROW = {
    "request_id": REQUEST,
    "attempt": 1,
    "tenant": "acme",
    "key_id": "team-a",
    "tags": '{"cost_center":"42"}',
    "model": "chat",
    "fallback_model": "chat-small",
    "target": "openai/gpt-4o-mini",
    "provider": "openai",
    "upstream_model": "gpt-4o-mini",
    "dialect_in": "anthropic.messages",
    "dialect_out": "openai.chat",
    "stream": 1,
    "simulated": 1,
    "started_ns": NOW_NS,
    "settled_ns": NOW_NS + 900_000_000,
    "snapshot": 7,
    "worker": 3,
    "why": "fastest: 412 ms predicted",
    "bound_nanos": 154_000,
    "input_tokens_estimate": 350,
    "max_output_tokens": 256,
    "status": "ok",
    "http_status": 200,
    "error_code": "",
    "finish_reason": "stop",
    "reason": "complete",
    "ttft_us": 412_000,
    "latency_us": 900_000,
    "input_tokens": 6,
    "output_tokens": 5,
    "cached_read_tokens": 4,
    "cache_write_tokens": 3,
    "cache_write_1h_tokens": 2,
    "reasoning_tokens": 1,
    "audio_input_tokens": 9,
    "audio_output_tokens": 8,
    "web_searches": 7,
    "file_searches": 10,
    "service_tier": "priority",
    "cost_nanos": 123,
    "price_version": "v1",
    "estimated": 1,
}
UNCOUNTED_SEARCHES = {"web_searches": None, "file_searches": None, "service_tier": "", "fallback_model": ""}
UNCOUNTED_AUDIO = {"audio_input_tokens": None, "audio_output_tokens": None, **UNCOUNTED_SEARCHES}
"""What rows from before these were counted hold instead."""

PRICE = TokenPrice("v1", "somewhere", "2026-01-01", (PriceTier(0, 150_000, 600_000, 75_000),), valid_from="2026-02-01")
CAPACITY = CapacityUsed(
    pool="own",
    from_ns=NOW_NS,
    until_ns=NOW_NS + 60 * 10**9,
    replicas=4,
    offer="p5.48xlarge",
    platform="aws",
    region="eu-central-1",
    purchase_option="committed_1y",
    hourly_nanos=31_464_000_000,
    amortised_hourly_nanos=1_200_000_000,
    source="contract",
    as_of="2026-01-31",
    simulated=True,
)


def pair(request_id: str, attempt: int = 1, **settled: Any) -> list[Record]:
    """Begin and end of one attempt."""
    return [
        msgspec.structs.replace(BEGUN, request_id=request_id, attempt=attempt),
        msgspec.structs.replace(ENDED, request_id=request_id, attempt=attempt, **settled),
    ]


class Ledger:
    """A journal in ``directory``, and a store at ``place``: a file beside it, or a database's URL."""

    def __init__(self, directory: Path, place: Place | None = None) -> None:
        self.journal = directory / "journal"
        self.path = directory / "ledger.db"
        self.place: Place = self.path if place is None else place
        self.store = Store(self.place)

    def write(self, *records: Any, name: str = "w", close: bool = True) -> JournalWriter:
        """Journal ``records``, which may be anything that MessagePack can say."""
        writer = JournalWriter(self.journal, name, 65536)
        for record in records:
            assert writer.append(record)
        if close:
            writer.close()
        return writer

    def take_in(self, *records: Any) -> None:
        self.write(*records)
        self.store.ingest(self.journal)

    def ask(self, sql: str, *parameters: Any) -> list[Any]:
        return self.store.connection.execute(sql, parameters).fetchall()

    def rows(self) -> list[dict[str, Any]]:
        cursor = self.store.connection.execute("SELECT * FROM attempts ORDER BY request_id, attempt")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor]

    def totals(self) -> tuple[int, int, int]:
        """Attempts, those with a cost, and the sum of costs."""
        (found,) = self.ask("SELECT count(*), count(cost_nanos), COALESCE(SUM(cost_nanos), 0) FROM attempts")
        return tuple(found)
