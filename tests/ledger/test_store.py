"""The store: every journalled record becomes part of exactly one row, whatever dies or repeats, in either database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_samples import (
    BEGUN,
    CAPACITY,
    ENDED,
    IDS,
    NOW_NS,
    PRICE,
    REQUEST,
    ROW,
    UNCOUNTED_AUDIO,
    UNCOUNTED_SEARCHES,
    Ledger,
    pair,
)

from trimaran.errors import LedgerError
from trimaran.ledger import FAILED, OPEN, IdSource, JournalWriter, PriceUsed, Record, encode_tags, explain
from trimaran.ledger.records import CapacityUsed
from trimaran.ledger.segments import Segment, segment_paths
from trimaran.ledger.writers import DIED
from trimaran.types import PriceTier, Usage

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
    ledger.write(short_start, short_end)
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

BEFORE_SEARCHES = (
    "dc001501d920303161306334353036633030303030303030303030303030303030303030303001cf18d75b8423f30000a461636d65a6746561"
    "6d2d61b47b22636f73745f63656e746572223a223432227da463686174b26f70656e61692f6770742d346f2d6d696e69a66f70656e6169ab67"
    "70742d346f2d6d696e69b2616e7468726f7069632e6d65737361676573ab6f70656e61692e63686174c3c3ce00025990cd015ecd0100b96661"
    "73746573743a20343132206d73207072656469637465640703",
    "dc001002d920303161306334353036633030303030303030303030303030303030303030303001cf18d75b845997e900a461636d65a26f6bcc"
    "c8a0a473746f70a27631c3a8636f6d706c657465ce00064960ce000dbba09806050403020109087b",
    "9303b26f70656e61692f6770742d346f2d6d696e6985a776657273696f6ea27631a6736f75726365a9736f6d657768657265a561735f6f66aa"
    "323032362d30312d3331a57469657273919900ce000249f0ce000927c0ce000124f8c0c0c0c0c0a77265717565737400",
)
"""The same from the version that counted audio, and no searches, tiers and fallback models."""


@pytest.mark.parametrize(
    ("records", "unknown"), [(BEFORE_AUDIO, UNCOUNTED_AUDIO), (BEFORE_SEARCHES, UNCOUNTED_SEARCHES)]
)
def test_an_older_journal_is_taken_in_undamaged(
    ledger: Ledger, records: tuple[str, ...], unknown: dict[str, Any]
) -> None:
    ledger.write(*(msgspec.Raw(bytes.fromhex(record)) for record in records))
    result = ledger.store.ingest(ledger.journal)
    assert (result.records, result.damaged, result.removed) == (3, 0, 1)
    assert ledger.rows() == [ROW | unknown]
    price = explain(ledger.store, REQUEST)[0].price
    assert price is not None
    assert price.tiers == (PriceTier(0, 150_000, 600_000, 75_000),)


@pytest.mark.parametrize(
    ("records", "usage"), [(BEFORE_AUDIO, Usage(6, 5, 4, 3, 2, 1)), (BEFORE_SEARCHES, Usage(6, 5, 4, 3, 2, 1, 9, 8))]
)
def test_older_records_decode_to_their_types(records: tuple[str, ...], usage: Usage) -> None:
    begun, ended, _ = (msgspec.msgpack.decode(bytes.fromhex(record), type=Record) for record in records)
    assert begun == msgspec.structs.replace(BEGUN, fallback_model="")
    assert ended == msgspec.structs.replace(ENDED, usage=usage, service_tier="")


def test_a_newer_writer_s_longer_records_are_taken_as_far_as_known(ledger: Ledger) -> None:
    for record, usage_at in ((BEGUN, None), (ENDED, 14)):
        fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record))
        if usage_at:
            fields[usage_at].append(99)
        ledger.write([*fields, "new", 1], name=f"w{usage_at}")
    ledger.store.ingest(ledger.journal)
    assert ledger.rows() == [ROW]


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
    ledger.write(*pair(other), bad, BEGUN, ENDED)
    result = ledger.store.ingest(ledger.journal)
    assert (result.damaged, result.removed) == (1, 1)
    assert {row["request_id"]: row["cost_nanos"] for row in ledger.rows()} == {REQUEST: 123, other: 123}
    assert [path.suffix for path in ledger.journal.iterdir() if path.suffix] == [".damaged"]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def quick(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for all examples of a property; it does not wait for the disk."""
    if request.param == "postgres":
        made = Ledger(tmp_path_factory.mktemp("quick"), request.getfixturevalue("postgres").url)
    else:
        made = Ledger(tmp_path_factory.mktemp("quick"))
        made.store.connection.execute("PRAGMA synchronous = OFF")
    yield made
    made.store.close()


@settings(max_examples=40, deadline=None)
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
    ledger.take_in(PriceUsed("openai/gpt-4o-mini", PRICE), PriceUsed("openai/gpt-4o-mini", PRICE), BEGUN, ENDED)
    (row,) = explain(ledger.store, REQUEST)
    assert row.price == PRICE
    assert row.tags == {"cost_center": "42"}
    assert ledger.ask("SELECT version, as_of, valid_from FROM price_versions") == [("v1", "2026-01-01", "2026-02-01")]
    assert explain(ledger.store, "unknown") == []


def test_capacity_is_kept_once_with_every_field(ledger: Ledger) -> None:
    unknown = msgspec.structs.replace(CAPACITY, offer="g6.xlarge", hourly_nanos=None)
    elsewhere = msgspec.structs.replace(CAPACITY, platform="gcp")
    for _ in range(2):
        ledger.take_in(CAPACITY, unknown, elsewhere, CAPACITY)
    fields = CapacityUsed.__struct_fields__
    rows = ledger.ask(f"SELECT {', '.join(fields)} FROM capacity ORDER BY platform, hourly_nanos IS NULL")
    assert [dict(zip(fields, row, strict=True)) for row in rows] == [
        {**msgspec.structs.asdict(each), "simulated": 1} for each in (CAPACITY, unknown, elsewhere)
    ]


def test_a_tag_of_any_length_and_any_character_is_kept(ledger: Ledger) -> None:
    tags = encode_tags({f"label-{n}": "\x01 ' \" % ? :x é 🙂" * 20 for n in range(50)})
    ledger.take_in(*(msgspec.structs.replace(BEGUN, attempt=n, tags=tags, why="a\nb % ? :y") for n in (1, 2)))
    assert [(row["tags"], row["why"]) for row in ledger.rows()] == [(tags, "a\nb % ? :y")] * 2
    assert ledger.ask("SELECT count(*) FROM contexts") == [(1,)]


def test_parameters_by_name_and_by_place_and_whole_sums(ledger: Ledger) -> None:
    ledger.take_in(*pair("a"), *pair("b", cost_nanos=2**62))
    execute = ledger.store.connection.execute
    (row,) = execute(
        "SELECT '?', ':no', 5 % 3, SUM(cost_nanos), SUM(latency_us) / 7, COUNT(*) FROM attempts "
        "WHERE request_id >= :first AND tenant = :tenant -- why? :none",
        {"first": "a", "tenant": "acme"},
    ).fetchall()
    assert row == ("?", ":no", 2, 2**62 + 123, 1_800_000 // 7, 2)
    assert [type(value) for value in row[2:]] == [int] * 4
    assert execute("SELECT request_id FROM attempts WHERE request_id = ?", ("b",)).fetchone() == ("b",)
    assert execute("SELECT request_id FROM attempts WHERE request_id = ?", ("c",)).fetchone() is None


# --- who writes ------------------------------------------------------------------------------------------------------


def died(ledger: Ledger) -> list[str]:
    return [request for (request,) in ledger.ask(f"SELECT request_id FROM attempts WHERE {DIED} ORDER BY request_id")]


def test_what_is_open_has_died_when_its_writer_is_gone(ledger: Ledger) -> None:
    ids = [IdSource(worker).next(NOW_NS // 10**6) for worker in range(3)]
    begun = [msgspec.structs.replace(BEGUN, request_id=request) for request in ids]
    first = ledger.write(begun[0], name="worker-0", close=False)
    second = ledger.write(begun[1], name="worker-1", close=False)
    ledger.store.ingest(ledger.journal)
    assert died(ledger) == []
    first.close()
    ledger.store.ingest(ledger.journal)
    assert died(ledger) == [ids[0]]
    # The next life of the same worker has another lane.
    third = ledger.write(begun[2], name="worker-0", close=False)
    ledger.store.ingest(ledger.journal)
    assert died(ledger) == [ids[0]]
    second.append(msgspec.structs.replace(ENDED, request_id=ids[1]))
    second.close()
    third.close()
    ledger.store.ingest(ledger.journal)
    assert died(ledger) == sorted([ids[0], ids[2]])
    assert ledger.ask("SELECT * FROM writers") == []


def test_a_writer_that_moved_on_to_its_next_segment_still_lives(ledger: Ledger) -> None:
    writer = ledger.write(BEGUN, close=False)
    for number in range(600):
        writer.append(pair(f"{number:032x}")[1])
    writer.prepare()
    assert ledger.store.ingest(ledger.journal).removed >= 1
    assert REQUEST not in died(ledger)
    writer.close()
    ledger.store.ingest(ledger.journal)
    assert REQUEST in died(ledger)


# --- exactly once ---------------------------------------------------------------------------------------------------


def test_a_second_ingest_finds_nothing_and_finished_segments_go(ledger: Ledger) -> None:
    ledger.write(*pair("a"), *pair("b"))
    first, second = ledger.store.ingest(ledger.journal), ledger.store.ingest(ledger.journal)
    assert (first.records, first.removed, first.newest_ns) == (4, 1, ENDED.at_ns)
    assert (second.records, second.segments, second.newest_ns) == (0, 0, 0)
    assert segment_paths(ledger.journal) == []
    assert ledger.ask("SELECT count(*) FROM journal_offsets") == [(0,)]


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
            raise LedgerError("disk I/O error")

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


def test_killed_in_mid_ingest_nothing_is_lost_or_doubled(ledger: Ledger) -> None:
    count = 6_000
    writer = JournalWriter(ledger.journal, "w", 1 << 18)
    for number in range(count):
        for record in pair(f"{number:032x}"):
            writer.append(record)
    writer.close()
    chance = random.Random(1)
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(ledger.place), str(ledger.journal)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0, 0.008 if ledger.store.path else 0.2))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        done, settled, _ = ledger.totals()
        assert done - settled <= 1, "batches are whole; only the attempt astride the last one can be open"
    ledger.store.ingest(ledger.journal)
    assert ledger.totals() == (count, count, count * 123)
    assert segment_paths(ledger.journal) == []


def test_two_processes_may_take_in_the_same_journal(ledger: Ledger) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(ledger.place), str(ledger.journal)], stdout=subprocess.PIPE)
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
    assert ledger.totals() == (2_000, 2_000, 2_000 * 123)
    assert segment_paths(ledger.journal) == []


WRITER = """
import sys, time
from trimaran.ledger import IdSource, JournalWriter, Settled, Started
writer, ids, number = JournalWriter(sys.argv[1], sys.argv[2], 1 << 16), IdSource(int(sys.argv[2][-1])), 0
while True:
    request = ids.next(number)
    writer.append(Started(request, 1, number, bound_nanos=1))
    writer.append(Settled(request, 1, number, cost_nanos=1))
    number += 1
    if number % 200 == 0:
        writer.prepare()
        print(request, number, flush=True)
        time.sleep(0.005)
"""


def test_writers_and_readers_killed_at_random_keep_every_record_once(ledger: Ledger) -> None:
    chance = random.Random(7)
    told: dict[str, int] = {}
    for _ in range(3):
        reader = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(ledger.place), str(ledger.journal)], stdout=subprocess.PIPE, text=True
        )
        assert reader.stdout is not None
        reader.stdout.readline()
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(ledger.journal), f"worker-{n}"], stdout=subprocess.PIPE, text=True
            )
            for n in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(chance.randint(1, 6))]
            time.sleep(chance.uniform(0, 0.005))
            writer.kill()
            lines += list(writer.stdout)
            writer.stdout.close()
            writer.wait()
            request, number = lines[-1].split()
            told[request[12:24]] = int(number)
        time.sleep(chance.uniform(0, 0.05))
        reader.kill()
        reader.wait()
        reader.stdout.close()
    ledger.store.ingest(ledger.journal)
    found = {
        lane: (count, settled, cost, last + 1)
        for lane, count, settled, cost, last in ledger.ask(
            "SELECT SUBSTR(request_id, 13, 12), COUNT(*), COUNT(cost_nanos), SUM(cost_nanos), MAX(started_ns) "
            "FROM attempts GROUP BY SUBSTR(request_id, 13, 12)"
        )
    }
    assert found.keys() == told.keys()
    for lane, (count, settled, cost, numbers) in found.items():
        assert count == numbers >= told[lane], "what was written before the death is there, without a gap"
        assert settled == cost >= count - 1, "at most the attempt that death cut off is open"
    assert len(ledger.ask(f"SELECT 1 FROM attempts WHERE {DIED}")) == sum(n - s for n, s, _, _ in found.values())
    assert segment_paths(ledger.journal) == []
    assert ledger.ask("SELECT count(*) FROM writers") == [(0,)]


def test_damage_seen_before_a_crash_still_keeps_the_segment(ledger: Ledger) -> None:
    ledger.write([9, "future"], BEGUN)
    (path,) = segment_paths(ledger.journal)
    # As after a crash between the commit of the last batch and the removal of the file.
    ledger.store.connection.execute("INSERT INTO journal_offsets VALUES (?, ?, 1)", (path.name, path.stat().st_size))
    ledger.store.ingest(ledger.journal)
    assert [path.suffix for path in ledger.journal.iterdir() if path.suffix] == [".damaged"]


def test_an_empty_or_missing_journal_is_nothing_to_do(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.store.ingest(tmp_path / "nowhere").segments == 0


def test_a_writer_killed_before_its_first_record_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.journal.mkdir()
    segment = Segment(ledger.journal / "w.1.000000.seg", 65536)
    abandon(segment)
    assert ledger.store.ingest(ledger.journal).removed == 1
    assert segment_paths(ledger.journal) == []


def abandon(segment: Segment) -> None:
    """As the death of its process does."""
    segment.data.release()
    segment.words.release()
    segment._map.close()
    os.close(segment._fd)
