"""The store: every journalled record becomes part of exactly one row, whatever dies or repeats."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import LedgerError
from trimaran.ledger import (
    FAILED,
    OPEN,
    IdSource,
    JournalWriter,
    PriceUsed,
    Record,
    Settled,
    Started,
    Store,
    encode_tags,
    explain,
    spend,
)
from trimaran.ledger.schema import MIGRATIONS
from trimaran.ledger.segments import Segment, segment_paths
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
    usage=Usage(6, 5, 4, 3, 2, 1, 9, 8),
    cost_nanos=123,
)
ROW = {
    "request_id": REQUEST,
    "attempt": 1,
    "tenant": "acme",
    "key_id": "team-a",
    "tags": '{"cost_center":"42"}',
    "model": "chat",
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
    "cost_nanos": 123,
    "price_version": "v1",
    "estimated": 1,
}


def pair(request_id: str, attempt: int = 1, **settled: Any) -> list[Record]:
    return [
        msgspec.structs.replace(BEGUN, request_id=request_id, attempt=attempt),
        msgspec.structs.replace(ENDED, request_id=request_id, attempt=attempt, **settled),
    ]


class Ledger:
    """A journal and a store in one folder."""

    def __init__(self, directory: Path) -> None:
        self.journal = directory / "journal"
        self.path = directory / "ledger.db"
        self.store = Store(self.path)

    def write(self, *records: Record, name: str = "w", close: bool = True) -> JournalWriter:
        writer = JournalWriter(self.journal, name, 65536)
        for record in records:
            assert writer.append(record)
        if close:
            writer.close()
        return writer

    def take_in(self, *records: Record) -> None:
        self.write(*records)
        self.store.ingest(self.journal)

    def rows(self) -> list[dict[str, Any]]:
        cursor = self.store.connection.execute("SELECT * FROM attempts ORDER BY request_id, attempt")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path)
    yield made
    made.store.close()


# --- rows -----------------------------------------------------------------------------------------------------------


def test_every_field_reaches_its_column(ledger: Ledger) -> None:
    ledger.take_in(BEGUN, ENDED)
    assert ledger.rows() == [ROW]


def test_an_attempt_that_is_not_settled_is_open(ledger: Ledger) -> None:
    ledger.take_in(BEGUN)
    (row,) = ledger.rows()
    assert (row["status"], row["settled_ns"], row["cost_nanos"], row["bound_nanos"]) == (OPEN, None, None, 154_000)
    assert explain(ledger.store, REQUEST)[0].status == OPEN


@pytest.mark.parametrize(
    "batches",
    [
        [[BEGUN], [ENDED]],
        [[ENDED], [BEGUN]],
        [[BEGUN, ENDED], [BEGUN, ENDED]],
        [[BEGUN, BEGUN], [ENDED, ENDED]],
        [[ENDED, BEGUN]],
        [[BEGUN, ENDED], [BEGUN]],
        [[BEGUN, ENDED], [ENDED]],
    ],
)
def test_order_batches_and_repeats_do_not_matter(ledger: Ledger, batches: list[list[Record]]) -> None:
    for batch in batches:
        ledger.take_in(*batch)
    assert ledger.rows() == [ROW]


def test_a_settlement_whose_start_was_lost_keeps_tenant_cost_and_time(ledger: Ledger) -> None:
    ledger.take_in(ENDED)
    (row,) = ledger.rows()
    assert (row["tenant"], row["cost_nanos"], row["started_ns"]) == ("acme", 123, NOW_NS)
    assert (row["model"], row["target"]) == ("", "")


def test_attempts_of_one_request_are_rows_of_their_own(ledger: Ledger) -> None:
    ledger.take_in(*pair(REQUEST, 1, status=FAILED), *pair(REQUEST, 2))
    assert [(row["attempt"], row["status"]) for row in ledger.rows()] == [(1, "failed"), (2, "ok")]


def test_an_older_writer_s_shorter_records_get_defaults(ledger: Ledger) -> None:
    short_start = [1, REQUEST, 1, NOW_NS, "acme", "k"]
    short_end = [2, REQUEST, 1, NOW_NS + 5, "acme", "ok", 200, "", "stop", "v1", False, "", 10, 20, [7, 8]]
    raw(ledger, short_start, short_end)
    ledger.store.ingest(ledger.journal)
    (row,) = ledger.rows()
    assert (row["key_id"], row["model"], row["snapshot"], row["bound_nanos"]) == ("k", "", 0, None)
    assert (row["input_tokens"], row["output_tokens"], row["cost_nanos"]) == (7, 8, None)
    assert row["reasoning_tokens"] is None, "not counted, which is not none"


BEFORE_AUDIO = (
    "dc001501d920303161306334353036633030303030303030303030303030303030303030303001cf18d75b8423f30000a461636d65a6746561"
    "6d2d61b47b22636f73745f63656e746572223a223432227da463686174b26f70656e61692f6770742d346f2d6d696e69a66f70656e6169ab67"
    "70742d346f2d6d696e69b2616e7468726f7069632e6d65737361676573ab6f70656e61692e63686174c3c3ce00025990cd015ecd0100b96661"
    "73746573743a20343132206d73207072656469637465640703",
    "dc001002d920303161306334353036633030303030303030303030303030303030303030303001cf18d75b845997e900a461636d65a26f6bcc"
    "c8a0a473746f70a27631c3a8636f6d706c657465ce00064960ce000dbba0960605040302017b",
    "9303b26f70656e61692f6770742d346f2d6d696e6985a776657273696f6ea27631a6736f75726365a9736f6d657768657265a561735f6f66aa"
    "323032362d30312d3031a57469657273919700ce000249f0ce000927c0ce000124f8c0c0c0a77265717565737400",
)
"""``BEGUN``, ``ENDED`` and a price, as the version that did not count audio wrote them: byte for byte."""
UNCOUNTED = {"audio_input_tokens": None, "audio_output_tokens": None}


def test_a_journal_from_before_audio_was_counted_is_taken_in_undamaged(ledger: Ledger) -> None:
    raw(ledger, *(msgspec.Raw(bytes.fromhex(record)) for record in BEFORE_AUDIO))
    result = ledger.store.ingest(ledger.journal)
    assert (result.records, result.damaged, result.removed) == (3, 0, 1)
    assert ledger.rows() == [ROW | UNCOUNTED]
    price = explain(ledger.store, REQUEST)[0].price
    assert price is not None
    assert price.tiers == (PriceTier(0, 150_000, 600_000, 75_000),)


def test_records_from_before_audio_was_counted_decode_to_their_types() -> None:
    begun, ended, _ = (msgspec.msgpack.decode(bytes.fromhex(record), type=Record) for record in BEFORE_AUDIO)
    assert begun == BEGUN
    assert ended == msgspec.structs.replace(ENDED, usage=Usage(6, 5, 4, 3, 2, 1))


def test_a_newer_writer_s_longer_records_are_taken_as_far_as_known(ledger: Ledger) -> None:
    for record, usage_at in ((BEGUN, None), (ENDED, 14)):
        fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record))
        if usage_at:
            fields[usage_at].append(99)
        raw(ledger, [*fields, "new", 1], name=f"w{usage_at}")
    ledger.store.ingest(ledger.journal)
    assert ledger.rows() == [ROW]


def raw(ledger: Ledger, *records: Any, name: str = "w") -> None:
    """Journal anything, past the types."""
    writer = JournalWriter(ledger.journal, name, 65536)
    for record in records:
        assert writer.append(record)
    writer.close()


@pytest.mark.parametrize(
    "bad",
    [
        [9, "a record kind of the future"],
        [2, REQUEST, 1, NOW_NS, "acme", "ok", 200, "", "stop", "v1", False, "", 0.5, 1, None, 1],
        [2, REQUEST, 1, NOW_NS, "acme", "ok", 200, "", "stop", "v1", False, "", 1, 1, None, 2**63],
        [2, REQUEST, 1, NOW_NS, None, "ok", 200, "", "stop", "v1", False, "", 1, 1, None, 1],
        [2, REQUEST, 1, NOW_NS, "acme", ["ok"], 200, "", "stop", "v1", False, "", 1, 1, None, 1],
        [1],
        [],
        7,
        "text",
        [3, "target", {"version": 1}],
    ],
)
def test_a_record_that_makes_no_sense_holds_up_no_other_and_is_kept(ledger: Ledger, bad: Any) -> None:
    other = IDS.next(NOW_NS // 10**6)
    raw(ledger, *pair(other), bad, BEGUN, ENDED)
    result = ledger.store.ingest(ledger.journal)
    assert (result.damaged, result.removed) == (1, 1)
    assert {row["request_id"]: row["cost_nanos"] for row in ledger.rows()} == {REQUEST: 123, other: 123}
    assert [path.suffix for path in ledger.journal.iterdir()] == [".damaged"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for all examples of a property; it does not wait for the disk."""
    made = Ledger(tmp_path_factory.mktemp("quick"))
    made.store.connection.execute("PRAGMA synchronous = OFF")
    yield made
    made.store.close()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.booleans()), max_size=30), st.integers(1, 7))
def test_any_order_cut_anywhere_gives_the_rows_of_the_records(
    quick: Ledger, events: list[tuple[int, int, bool]], cut: int
) -> None:
    ledger = quick
    ledger.store.connection.execute("DELETE FROM attempt_rows")
    wanted: dict[tuple[str, int], list[bool]] = {}
    for start in range(0, len(events), cut):
        batch = []
        for number, attempt, ends in events[start : start + cut]:
            batch.append(pair(f"{number:032x}", attempt)[ends])
            wanted.setdefault((f"{number:032x}", attempt), [False, False])[ends] = True
        ledger.take_in(*batch)
    found = {
        (row["request_id"], row["attempt"]): [row["model"] == "chat", row["status"] == "ok"] for row in ledger.rows()
    }
    assert found == wanted


def test_prices_are_kept_for_explaining(ledger: Ledger) -> None:
    price = TokenPrice("v1", "somewhere", "2026-01-01", (PriceTier(0, 150_000, 600_000, 75_000),))
    ledger.take_in(PriceUsed("openai/gpt-4o-mini", price), PriceUsed("openai/gpt-4o-mini", price), BEGUN, ENDED)
    (row,) = explain(ledger.store, REQUEST)
    assert row.price == price
    assert row.tags == {"cost_center": "42"}
    assert explain(ledger.store, "unknown") == []


# --- the schema -----------------------------------------------------------------------------------------------------


def test_no_column_takes_a_float_and_every_row_has_a_tenant(ledger: Ledger) -> None:
    tables = ledger.store.connection.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"
    ).fetchall()
    ours = [name for name, strict in tables if not name.startswith("sqlite_") and name != "attempts"]
    assert {strict for name, strict in tables if name in ours} == {1}
    for table in ours:
        types = {row[2] for row in ledger.store.connection.execute(f"PRAGMA table_info({table})")}
        assert types <= {"INTEGER", "TEXT"}, table
    tenant = next(
        row for row in ledger.store.connection.execute("PRAGMA table_info(attempt_rows)") if row[1] == "tenant"
    )
    assert tenant[3] == 1, "NOT NULL"
    with pytest.raises(sqlite3.IntegrityError, match="REAL"):
        ledger.store.connection.execute("INSERT INTO journal_offsets VALUES ('s', 0.5, 0)")


def test_the_view_has_the_columns_of_both_records(ledger: Ledger) -> None:
    columns = {row[1] for row in ledger.store.connection.execute("PRAGMA table_info(attempts)")}
    fields = {*Started.__struct_fields__, *Settled.__struct_fields__, *Usage.__struct_fields__}
    assert columns == (fields - {"at_ns", "usage"}) | {"started_ns", "settled_ns"}


# --- exactly once ---------------------------------------------------------------------------------------------------


def test_a_second_ingest_finds_nothing_and_finished_segments_go(ledger: Ledger) -> None:
    ledger.write(*pair("a"), *pair("b"))
    first, second = ledger.store.ingest(ledger.journal), ledger.store.ingest(ledger.journal)
    assert (first.records, first.removed, first.newest_ns) == (4, 1, ENDED.at_ns)
    assert (second.records, second.segments, second.newest_ns) == (0, 0, 0)
    assert list(ledger.journal.iterdir()) == []
    assert ledger.store.connection.execute("SELECT count(*) FROM journal_offsets").fetchone() == (0,)


def test_a_living_writer_s_segment_stays_and_is_followed(ledger: Ledger) -> None:
    writer = ledger.write(*pair("a"), close=False)
    assert ledger.store.ingest(ledger.journal).records == 2
    assert ledger.store.ingest(ledger.journal).records == 0
    assert len(segment_paths(ledger.journal)) == 1
    for record in pair("b"):
        writer.append(record)
    assert ledger.store.ingest(ledger.journal).records == 2
    writer.close()
    assert ledger.store.ingest(ledger.journal).removed == 1
    assert len(ledger.rows()) == 2


def test_a_segment_that_was_made_ahead_is_not_removed_under_its_writer(ledger: Ledger) -> None:
    writer = JournalWriter(ledger.journal, "w", 4096)
    while writer._position < 3_200:
        writer.append(ENDED)
    writer.prepare()
    ledger.store.ingest(ledger.journal)
    assert len(segment_paths(ledger.journal)) == 2
    before = writer.written
    while writer.written < before + 32:
        writer.append(ENDED)
    writer.close()
    assert ledger.store.ingest(ledger.journal).records == 32


def test_a_failed_transaction_takes_offset_and_rows_with_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.write(*pair("a"))
    with monkeypatch.context() as patch:

        def write_and_fail(payloads: list[bytes]) -> int:
            type(ledger.store._rows).write(rows, payloads)
            raise sqlite3.OperationalError("disk I/O error")

        rows = ledger.store._rows
        patch.setattr(ledger.store, "_rows", rows)
        patch.setattr(rows, "write", write_and_fail)
        with pytest.raises(LedgerError, match="disk I/O error"):
            ledger.store.ingest(ledger.journal)
    assert ledger.rows() == []
    assert ledger.store.ingest(ledger.journal).records == 2
    assert len(ledger.rows()) == 1


CHILD = """
import sys
from trimaran.ledger import Store
store = Store(sys.argv[1])
print("ready", flush=True)
while True:
    store.ingest(sys.argv[2])
"""


def test_killed_in_mid_ingest_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    count = 6_000
    writer = JournalWriter(ledger.journal, "w", 1 << 18)
    for number in range(count):
        for record in pair(f"{number:032x}"):
            writer.append(record)
    writer.close()
    chance = random.Random(1)
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(ledger.path), str(ledger.journal)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0, 0.008))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        done, settled = ledger.store.connection.execute("SELECT count(*), count(cost_nanos) FROM attempts").fetchone()
        assert done - settled <= 1, "batches are whole; only the attempt astride the last one can be open"
    ledger.store.ingest(ledger.journal)
    assert ledger.store.connection.execute("SELECT count(*), sum(cost_nanos) FROM attempts").fetchone() == (
        count,
        count * 123,
    )
    assert list(ledger.journal.iterdir()) == []
    ledger.store.close()


def test_two_processes_may_take_in_the_same_journal(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(ledger.path), str(ledger.journal)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    writer = JournalWriter(ledger.journal, "w", 1 << 16)
    for number in range(2_000):
        for record in pair(f"{number:032x}"):
            writer.append(record)
    writer.close()
    deadline = time.monotonic() + 20
    while segment_paths(ledger.journal) and time.monotonic() < deadline:
        ledger.store.ingest(ledger.journal)
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    ledger.store.ingest(ledger.journal)
    assert ledger.store.connection.execute("SELECT count(*), sum(cost_nanos) FROM attempts").fetchone() == (
        2_000,
        2_000 * 123,
    )
    assert list(ledger.journal.iterdir()) == []
    ledger.store.close()


def test_damage_seen_before_a_crash_still_keeps_the_segment(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    raw(ledger, [9, "future"], BEGUN)
    (path,) = segment_paths(ledger.journal)
    # As after a crash between the commit of the last batch and the removal of the file.
    ledger.store.connection.execute("INSERT INTO journal_offsets VALUES (?, ?, 1)", (path.name, path.stat().st_size))
    ledger.store.ingest(ledger.journal)
    assert [path.suffix for path in ledger.journal.iterdir()] == [".damaged"]
    ledger.store.close()


# --- opening --------------------------------------------------------------------------------------------------------


def test_files_are_private(ledger: Ledger) -> None:
    ledger.take_in(*pair("a"))
    for path in (ledger.path, Path(f"{ledger.path}-wal")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_ledger_is_opened_again_and_not_migrated_twice(ledger: Ledger) -> None:
    ledger.take_in(BEGUN, ENDED)
    with Store(ledger.path) as again:
        assert again.connection.execute("SELECT count(*) FROM attempts").fetchone() == (1,)
        assert again.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_migration_that_fails_leaves_no_half_made_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trimaran.ledger.store.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE extra (x INTEGER);\nNONSENSE;\n")
    )
    with pytest.raises(LedgerError, match="syntax error"):
        Store(tmp_path / "ledger.db")
    monkeypatch.undo()
    with Store(tmp_path / "ledger.db") as store:
        tables = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "attempt_rows" in tables
    assert "extra" not in tables


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(ledger: Ledger) -> None:
    ledger.store.connection.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=rf"version 99.*up to {len(MIGRATIONS)}") as caught:
            Store(ledger.path, read_only=read_only)
        assert caught.value.where == str(ledger.path)
        assert "newer Trimaran" in caught.value.hint
    assert ledger.store.connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_an_older_ledger_is_not_migrated_by_a_reader(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimaran.ledger.store.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE extra (x INTEGER);\n"))
    with pytest.raises(LedgerError, match=f"brought to {len(MIGRATIONS) + 1}"):
        Store(ledger.path, read_only=True)
    with Store(ledger.path) as store:
        assert store.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


@pytest.fixture
def first_schema(tmp_path: Path) -> Path:
    """A ledger file that a program made which knew only the first schema."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((Path(__file__).parent / "store_v1.sql").read_text())
    return path


def test_a_ledger_of_the_first_schema_is_opened_and_goes_on(first_schema: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="has version 1 and must be brought to"):
        Store(first_schema, read_only=True)
    ledger = Ledger(tmp_path)
    old = ledger.rows()
    assert old[0] == ROW | UNCOUNTED
    assert [(row["attempt"], row["status"]) for row in old[1:]] == [(1, "failed"), (2, OPEN)]
    assert ledger.store.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    # The attempt that was open is settled by the new program; its context and outcome are found again, not doubled.
    ledger.take_in(msgspec.structs.replace(ENDED, request_id=old[2]["request_id"], attempt=2), *pair("f"))
    assert [row["audio_input_tokens"] for row in ledger.rows()] == [None, None, 9, 9]
    assert ledger.store.connection.execute("SELECT count(*) FROM outcomes").fetchone() == (2,)
    assert explain(ledger.store, REQUEST)[0].price is not None
    (real, simulated) = spend(ledger.store, "total")
    assert (real.audio_input_tokens, simulated.audio_input_tokens, simulated.input_tokens) == (9, 9, 12)
    ledger.store.close()


def test_a_migrated_ledger_has_the_shape_of_a_new_one(first_schema: Path, tmp_path: Path) -> None:
    other = tmp_path / "new" / "ledger.db"
    with Store(first_schema) as migrated, Store(other) as new:
        shapes = [
            {
                table: store.connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
                for (table,) in store.connection.execute(
                    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
                )
            }
            for store in (migrated, new)
        ]
    assert shapes[0] == shapes[1]


def test_another_program_s_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="not a Trimaran ledger"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_said_plainly(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database, it is a note of some length" * 100)
    with pytest.raises(LedgerError, match="no SQLite database") as caught:
        Store(path)
    assert "move it away" in caught.value.hint


def test_a_corrupt_ledger_is_said_plainly(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(40):
        ledger.take_in(*pair(f"{number:032x}"))
    ledger.store.close()
    size = ledger.path.stat().st_size
    with ledger.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    ledger.write(*pair("new"))
    with pytest.raises(LedgerError, match="corrupt"), Store(ledger.path) as store:
        store.ingest(ledger.journal)
    assert len(segment_paths(ledger.journal)) == 1, "what could not be taken in stays in the journal"


def test_a_reader_does_not_make_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger here") as caught:
        Store(tmp_path / "ledger.db", read_only=True)
    assert "start the gateway once" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_a_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot be used: .*directory"):
        Store(tmp_path)


def test_a_reader_works_beside_a_writer(ledger: Ledger) -> None:
    ledger.take_in(BEGUN, ENDED)
    with Store(ledger.path, read_only=True) as reader:
        assert explain(reader, REQUEST)[0].cost_nanos == 123
        ledger.take_in(*pair(REQUEST, 2))
        assert len(explain(reader, REQUEST)) == 2


def test_a_locked_ledger_keeps_the_records_in_the_journal(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.write(*pair("a"))
    monkeypatch.setattr("trimaran.ledger.store._BUSY_S", 0.0)
    with Store(ledger.path) as impatient:
        ledger.store.connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked by another process"):
            impatient.ingest(ledger.journal)
        ledger.store.connection.execute("ROLLBACK")
        assert impatient.ingest(ledger.journal).records == 2


def test_a_full_disk_keeps_the_records_in_the_journal(ledger: Ledger) -> None:
    pages = ledger.store.connection.execute("PRAGMA page_count").fetchone()[0]
    for number in range(4):
        ledger.write(*(record for n in range(100) for record in pair(f"{number}{n:031x}")))
    ledger.store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(LedgerError, match="disk of the ledger is full") as caught:
        ledger.store.ingest(ledger.journal)
    assert "wait in the journal" in caught.value.hint
    ledger.store.connection.execute("PRAGMA max_page_count = 1000000")
    ledger.store.ingest(ledger.journal)
    assert ledger.store.connection.execute("SELECT count(*) FROM attempts").fetchone() == (400,)


def test_an_empty_or_missing_journal_is_nothing_to_do(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.store.ingest(tmp_path / "nowhere").segments == 0


def test_a_writer_killed_before_its_first_record_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.journal.mkdir()
    segment = Segment(ledger.journal / "w.1.000000.seg", 65536)
    segment.data.release()
    segment.words.release()
    segment._map.close()
    os.close(segment._fd)
    assert ledger.store.ingest(ledger.journal).removed == 1
    assert list(ledger.journal.iterdir()) == []
