"""The journal: what was appended is read back after any death, and nothing else ever is."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import StartError
from trimaran.ledger import JournalWriter, PriceUsed, Record, Settled, Started, decode_tags, encode_tags
from trimaran.ledger.journal_watch import JournalWatch
from trimaran.ledger.records import CapacityUsed
from trimaran.ledger.segments import HEADER_BYTES, SegmentReader, segment_paths
from trimaran.types import PriceTier, TokenPrice, Usage

SMALL = 4096

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
counts = st.integers(0, 2**53)
usages = st.builds(Usage, *[counts] * len(Usage.__struct_fields__))
maybe = st.none() | counts
started = st.builds(
    Started, text, st.integers(1, 99), counts, text, text, text, text, text, text, text, text, text,
    st.booleans(), st.booleans(), maybe, counts, maybe, text, counts, counts, text,
)  # fmt: skip
settled = st.builds(
    Settled, text, st.integers(1, 99), counts, text, text, counts, text, text, text, st.booleans(), text, maybe, counts,
    st.none() | usages, maybe, text,
)  # fmt: skip
tiers = st.builds(PriceTier, counts, counts, counts, maybe, maybe, maybe, maybe)
prices = st.builds(TokenPrice, text, text, text, st.tuples(tiers), counts)
capacity = st.builds(
    CapacityUsed, text, counts, counts, counts, text, text, text, text, maybe, counts, text, text, st.booleans()
)
records = st.lists(started | settled | st.builds(PriceUsed, text, prices) | capacity, max_size=40)


def read(directory: Path) -> list[Record]:
    """Everything that is committed, from all segments in order."""
    found: list[Record] = []
    for path in segment_paths(directory):
        with SegmentReader(path) as reader:
            offset = 0
            while True:
                payloads, offset = reader.read(offset)
                found += [msgspec.msgpack.decode(payload, type=Record) for payload in payloads]
                if not payloads:
                    break
    return found


def settlement(number: int, reason: str = "") -> Settled:
    return Settled(f"{number:032x}", 1, number, reason=reason)


@given(records)
def test_records_come_back_whole_and_in_order_across_segments(
    tmp_path_factory: pytest.TempPathFactory, batch: list[Record]
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    writer = JournalWriter(directory, "w", SMALL)
    assert all(writer.append(record) for record in batch)
    assert read(directory) == batch
    writer.close()
    assert read(directory) == batch
    assert (writer.written, writer.lost) == (len(batch), 0)


def test_a_full_segment_is_followed_by_the_next_and_unlocked(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    batch = [settlement(n) for n in range(200)]
    for record in batch:
        writer.append(record)
    writer.prepare()
    paths = segment_paths(tmp_path)
    assert len(paths) > 2
    states = []
    for path in paths:
        with SegmentReader(path) as reader:
            states.append(reader.sealed)
    assert states[0]
    assert not states[-1]
    assert read(tmp_path) == batch


def test_one_segment_always_stands_ready_and_append_then_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    assert len(segment_paths(tmp_path)) == 1, "the start is not held up for it"
    assert writer.prepare()
    assert len(segment_paths(tmp_path)) == 2
    fill_disk(monkeypatch)
    count = 0
    while len(segment_paths(tmp_path)) == 2 and writer._next is not None:
        assert writer.append(settlement(count))
        count += 1
    assert len(read(tmp_path)) == count


def test_a_record_that_is_not_committed_is_not_seen(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    writer.append(settlement(1))
    writer.append(settlement(2))
    with SegmentReader(segment_paths(tmp_path)[0]) as reader:
        payloads, end = reader.read(0)
        assert len(payloads) == 2
        assert reader.read(end) == ([], end)
        writer.append(settlement(3))
        payloads, later = reader.read(end)
        assert len(payloads) == 1
        # Take back the commit word: the record is there, but it is not committed.
        poke(segment_paths(tmp_path)[0], end, b"\0\0\0\0")
        assert reader.read(end) == ([], end)
        assert later > end


def test_every_committed_record_survives_sigkill(tmp_path: Path) -> None:
    code = f"""
import os, signal
from trimaran.ledger import JournalWriter, Settled
writer = JournalWriter({str(tmp_path)!r}, "w", 65536)
for number in range(5000):
    assert writer.append(Settled(f"{{number:032x}}", 1, number))
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code])
    assert run.returncode == -signal.SIGKILL
    assert [record.at_ns for record in read(tmp_path) if isinstance(record, Settled)] == list(range(5000))


def test_killed_at_any_instant_the_journal_is_a_clean_prefix(tmp_path: Path) -> None:
    code = """
import sys
from trimaran.ledger import JournalWriter, Settled
writer = JournalWriter(sys.argv[1], "w", 65536)
number = 0
while True:
    writer.append(Settled(f"{number:032x}", 1, number))
    number += 1
    if number % 500 == 0:
        print(number, flush=True)
"""
    for seed in range(5):
        directory = tmp_path / str(seed)
        process = subprocess.Popen([sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        announced = [int(process.stdout.readline()) for _ in range(random.Random(seed).randint(1, 20))]
        process.kill()
        announced += [int(line) for line in process.stdout]
        process.stdout.close()
        process.wait()
        numbers = [record.at_ns for record in read(directory) if isinstance(record, Settled)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= announced[-1]
        assert damage(directory) == 0


def test_files_are_private(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "new" / "journal", "w", SMALL)
    (path,) = segment_paths(tmp_path / "new" / "journal")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_blocks * 512 >= SMALL, "a segment has its blocks from the start"
    writer.close()
    assert path.stat().st_size < 100, "a closed journal takes no more room than its records"


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)


def test_a_full_disk_at_start_is_said_plainly_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch)
    with pytest.raises(StartError, match="No space left on device") as caught:
        JournalWriter(tmp_path, "w", SMALL)
    assert caught.value.where == str(tmp_path)
    assert "ledger.dir" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be written"):
        JournalWriter(tmp_path / "file", "w", SMALL)


class Disk:
    """A disk that can be full. Counts how often somebody asked for room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = -1
        """Segments that still fit; negative: any number."""
        self.asked = 0
        self._allocate = os.posix_fallocate
        monkeypatch.setattr(os, "posix_fallocate", self)

    def __call__(self, fd: int, offset: int, length: int) -> None:
        self.asked += 1
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= 1
        self._allocate(fd, offset, length)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_full_disk_shows_while_there_is_still_room(tmp_path: Path, disk: Disk) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    disk.room = 0
    assert not writer.prepare()
    assert not writer.healthy
    assert "No space left on device" in writer.problem
    assert writer.append(settlement(0)), "what runs can still be written down"
    disk.room = -1
    assert writer.prepare()
    assert (writer.healthy, writer.problem, writer.backlog, writer.lost) == (True, "", 0, 0)
    assert read(tmp_path) == [settlement(0)]


def test_what_a_full_disk_does_not_take_waits_and_is_written_first(tmp_path: Path, disk: Disk) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    disk.room = 0
    disk.asked = 0
    written = [writer.append(settlement(n, "long" * (n % 30))) for n in range(100)]
    assert not writer.healthy
    assert disk.asked == 1, "the road pays for one attempt, the others wait for the timer"
    assert sorted(written, reverse=True) == written, "none overtakes those that wait"
    assert (writer.backlog, writer.lost, writer.written) == (written.count(False), 0, written.count(True))
    assert writer.backlog_bytes > 0
    assert not writer.prepare()
    disk.room = 1
    assert not writer.prepare(), "one segment holds only a part of it"
    assert 0 < writer.backlog < written.count(False)
    assert not writer.append(settlement(100)), "those that wait come first"
    disk.room = -1
    assert writer.prepare() or writer.prepare()
    assert (writer.healthy, writer.problem) == (True, "")
    assert (writer.backlog, writer.backlog_bytes, writer.lost) == (0, 0, 0)
    assert writer.append(settlement(101))
    writer.close()
    assert read(tmp_path) == [settlement(n, "long" * (n % 30)) for n in range(100)] + [settlement(100), settlement(101)]


def test_beyond_the_bound_records_are_lost_and_counted(tmp_path: Path, disk: Disk) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    writer.backlog_limit = 1_000
    disk.room = 0
    written = [writer.append(settlement(n)) for n in range(200)]
    assert 0 < writer.backlog_bytes <= 1_000
    assert writer.lost == written.count(False) - writer.backlog > 0
    assert "No space left" in writer.problem
    kept = written.count(True) + writer.backlog
    disk.room = -1
    writer.prepare()
    assert read(tmp_path) == [settlement(n) for n in range(kept)]


def test_a_long_backlog_does_not_hold_up_the_road_at_once(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimaran.ledger.journal._CATCH_UP_BYTES", 2_000)
    writer = JournalWriter(tmp_path, "w", SMALL)
    disk.room = 0
    for number in range(300):
        writer.append(settlement(number))
    disk.room = -1
    before, steps = writer.backlog_bytes, 0
    while not writer.prepare():
        assert 0 < before - writer.backlog_bytes < 2_100
        before, steps = writer.backlog_bytes, steps + 1
    assert steps > 3
    assert read(tmp_path) == [settlement(n) for n in range(300)]


def test_under_load_the_backlog_shrinks_between_beats(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimaran.ledger.journal._CATCH_UP_BYTES", 1)
    writer = JournalWriter(tmp_path, "w", SMALL)
    disk.room = 0
    written = [writer.append(settlement(n)) for n in range(400)]
    disk.room = -1
    waited, count = writer.backlog, 400
    assert waited > 300
    assert not writer.prepare(), "it finds that there is room again"
    while writer.backlog:
        written.append(writer.append(settlement(count)))
        count += 1
        assert count < 1_000
    assert count - 400 < waited / 2
    assert written[-1], "it was written with the last that waited"
    assert (read(tmp_path), writer.lost) == ([settlement(n) for n in range(count)], 0)


@pytest.mark.parametrize("room", [0, 1, -1])
def test_the_end_writes_what_waits_as_far_as_there_is_room(tmp_path: Path, disk: Disk, room: int) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    disk.room = 0
    for number in range(200):
        writer.append(settlement(number))
    disk.room = room
    writer.close()
    assert writer.backlog == writer.backlog_bytes == 0
    assert (writer.lost == 0) == (room == -1)
    assert read(tmp_path) == [settlement(n) for n in range(200 - writer.lost)]


def test_trouble_of_the_journal_is_said_once_and_so_is_its_end(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    writer.backlog_limit = 1_000
    watch = JournalWatch(writer)
    watch.prepare()
    assert caplog.messages == []
    disk.room = 0
    for number in range(100):
        writer.append(settlement(number))
        watch.prepare()
    assert writer.lost == 0 or "records are lost" in caplog.text
    for number in range(200):
        writer.append(settlement(number))
        watch.prepare()
    disk.room = -1
    watch.prepare()
    watch.prepare()
    begun, lost, over, total = caplog.messages
    assert "No space left on device" in begun
    assert "records are lost, and counted from now on: no journal segment" in lost
    assert "can be written again" in over
    assert f"{writer.lost} records are lost" in total


def test_a_record_that_cannot_be_written_is_lost_alone(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    assert not writer.append(settlement(1, reason="x" * SMALL))
    assert "too long" in writer.problem
    assert not writer.append(Settled("r", 1, 2**70))
    assert "cannot be encoded" in writer.problem
    assert writer.append(settlement(2))
    assert (writer.lost, writer.healthy) == (2, True)
    assert read(tmp_path) == [settlement(2)]


def test_after_close_records_are_counted_as_lost(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "w", SMALL)
    writer.close()
    writer.close()
    assert not writer.append(settlement(1))
    assert writer.prepare()
    assert (writer.lost, writer.problem) == (1, "the journal is closed")


def test_two_lives_of_one_name_share_no_file(tmp_path: Path) -> None:
    for number in range(3):
        writer = JournalWriter(tmp_path, "w", SMALL)
        writer.append(settlement(number))
        writer.close()
    assert [record.at_ns for record in read(tmp_path) if isinstance(record, Settled)] == [0, 1, 2]


@pytest.mark.parametrize("name", ["", "a.b", "a/b"])
def test_a_name_that_would_disturb_file_names_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no dot and no slash"):
        JournalWriter(tmp_path, name)


def test_files_that_were_never_born_are_cleared_away(tmp_path: Path) -> None:
    old, young = tmp_path / "w.1.000000.tmp", tmp_path / "w.2.000000.tmp"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    JournalWriter(tmp_path, "w", SMALL).close()
    assert not old.exists()
    assert young.exists()


# --- damage ---------------------------------------------------------------------------------------------------------


def poke(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def damage(directory: Path) -> int:
    total = 0
    for path in segment_paths(directory):
        with SegmentReader(path) as reader:
            offset, more = 0, True
            while more:
                payloads, offset = reader.read(offset)
                more = bool(payloads)
            total += reader.damaged
    return total


def sealed_segment(directory: Path, count: int) -> tuple[Path, list[int]]:
    """A finished segment of ``count`` records, and where each begins."""
    writer = JournalWriter(directory, "w", 65536)
    starts = []
    for number in range(count):
        starts.append(writer._position)
        writer.append(settlement(number))
    writer.close()
    return segment_paths(directory)[0], starts


def test_a_bad_checksum_costs_one_record(tmp_path: Path) -> None:
    path, starts = sealed_segment(tmp_path, 9)
    poke(path, starts[4] + 20, b"\xff\xff")
    assert read(tmp_path) == [settlement(n) for n in range(9) if n != 4]
    assert damage(tmp_path) == 1


def test_a_bad_length_costs_one_record(tmp_path: Path) -> None:
    path, starts = sealed_segment(tmp_path, 9)
    poke(path, starts[4], (77).to_bytes(4, sys.byteorder))
    poke(path, starts[6], (2**31).to_bytes(4, sys.byteorder))
    assert read(tmp_path) == [settlement(n) for n in range(9) if n not in (4, 6)]
    assert damage(tmp_path) == 2


def test_a_page_that_never_reached_the_disk_costs_its_records(tmp_path: Path) -> None:
    path, starts = sealed_segment(tmp_path, 9)
    poke(path, starts[3], bytes(starts[6] - starts[3]))
    assert read(tmp_path) == [settlement(n) for n in (0, 1, 2, 6, 7, 8)]
    assert damage(tmp_path) == 1


def test_an_append_cut_short_is_no_damage(tmp_path: Path) -> None:
    path, starts = sealed_segment(tmp_path, 9)
    poke(path, starts[8], bytes(4))
    assert read(tmp_path) == [settlement(n) for n in range(8)]
    assert damage(tmp_path) == 0


def test_damage_under_a_living_writer_waits_until_it_is_sealed(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "w", 65536)
    writer.append(settlement(0))
    second = writer._position
    writer.append(settlement(1))
    writer.append(settlement(2))
    poke(segment_paths(tmp_path)[0], second + 12, b"\xff\xff")
    assert read(tmp_path) == [settlement(0)]
    writer.close()
    assert read(tmp_path) == [settlement(0), settlement(2)]


@given(st.lists(st.tuples(st.integers(0, 2_000), st.binary(min_size=1, max_size=40)), min_size=1, max_size=5))
def test_no_damage_makes_up_a_record_or_stops_the_reader(
    tmp_path_factory: pytest.TempPathFactory, pokes: list[tuple[int, bytes]]
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    path, _ = sealed_segment(directory, 20)
    for offset, data in pokes:
        poke(path, offset, data)
    found = [record.at_ns for record in read(directory) if isinstance(record, Settled)]
    assert found == sorted(set(found))
    assert all(record == settlement(record.at_ns) for record in read(directory) if isinstance(record, Settled))


def test_a_file_that_is_no_journal_is_damage(tmp_path: Path) -> None:
    (tmp_path / "x.1.000000.seg").write_bytes(b"hello" * 100)
    (tmp_path / "y.1.000000.seg").write_bytes(b"")
    assert read(tmp_path) == []
    assert damage(tmp_path) >= 2


def test_header_and_first_record_do_not_overlap(tmp_path: Path) -> None:
    _, starts = sealed_segment(tmp_path, 1)
    assert starts == [HEADER_BYTES]


# --- tags -----------------------------------------------------------------------------------------------------------


@given(st.dictionaries(text, text))
def test_tags_survive_and_their_order_does_not_matter(tags: dict[str, str]) -> None:
    assert decode_tags(encode_tags(tags)) == tags
    assert encode_tags(tags) == encode_tags(reversed(list(tags.items())))


def test_a_patient_writer_begins_on_a_full_disk_and_loses_nothing(tmp_path: Path, disk: Disk) -> None:
    disk.room = 0
    writer = JournalWriter(tmp_path, "w", SMALL, patient=True)
    assert not writer.healthy and "No space left on device" in writer.problem
    assert [writer.append(settlement(n)) for n in range(3)] == [False] * 3
    assert not writer.prepare()
    disk.room = -1
    assert writer.prepare() or writer.prepare()
    assert (writer.healthy, writer.problem, writer.lost) == (True, "", 0)
    assert writer.append(settlement(3))
    writer.close()
    assert read(tmp_path) == [settlement(n) for n in range(4)]


def test_patience_is_for_full_disks_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError):
        JournalWriter(tmp_path / "file", "w", SMALL, patient=True)
