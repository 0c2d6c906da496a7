"""The ingestor: it keeps on through trouble with the store, says so once, and drains at the end."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from trimaran.ledger import Ingestor, IngestResult, JournalWriter, Settled, Store

RECORDS = [Settled(f"{n:032x}", 1, n, cost_nanos=1) for n in range(10)]


def journal(directory: Path) -> JournalWriter:
    writer = JournalWriter(directory / "journal", "w", 65536)
    for record in RECORDS:
        writer.append(record)
    return writer


def count(directory: Path) -> int:
    with Store(directory / "ledger.db", read_only=True) as store:
        found: int = store.connection.execute("SELECT count(*) FROM attempts").fetchone()[0]
        return found


def test_the_thread_takes_in_everything_before_it_ends(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    ingestor = Ingestor(tmp_path / "ledger.db", tmp_path / "journal", interval_s=3_600)
    ingestor.start()
    ingestor.start()
    writer.close()
    ingestor.stop()
    ingestor.stop()
    assert count(tmp_path) == len(RECORDS)
    assert (ingestor.records, ingestor.newest_ns, ingestor.problem) == (10, 9, "")
    assert list((tmp_path / "journal").iterdir()) == []


def test_one_call_is_one_ingest(tmp_path: Path) -> None:
    writer = journal(tmp_path)
    ingestor = Ingestor(tmp_path / "ledger.db", tmp_path / "journal")
    first, second = ingestor.run_once(), ingestor.run_once()
    assert first is not None
    assert second is not None
    assert (first.records, second.records, ingestor.records) == (10, 0, 10)
    ingestor.close()
    writer.close()


def test_trouble_is_logged_once_and_nothing_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trimaran.ledger")
    journal(tmp_path).close()
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 500)
    ingestor = Ingestor(path, tmp_path / "journal")
    assert [ingestor.run_once() for _ in range(3)] == [None, None, None]
    assert "no SQLite database" in ingestor.problem
    assert ingestor.journal_bytes > 100
    assert "MB now" in caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    path.unlink()
    result = ingestor.run_once()
    assert result is not None
    assert result.records == 10
    assert (ingestor.problem, ingestor.journal_bytes) == ("", 0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    ingestor.close()
    assert count(tmp_path) == 10


def test_a_database_that_hangs_shows_as_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    ingestor = Ingestor(tmp_path / "ledger.db", tmp_path / "journal", monotonic=lambda: now[0])
    seen: list[str] = []

    def hang(store: Store, directory: object) -> IngestResult:
        for now[0] in (10.0, 31.0):
            seen.append(ingestor.problem)
        return IngestResult()

    monkeypatch.setattr(Store, "ingest", hang)
    ingestor.run_once()
    ingestor.close()
    assert seen[0] == ingestor.problem == ""
    assert "busy for 31 s" in seen[1]


def test_while_the_store_is_away_the_segments_are_synced_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = journal(tmp_path)
    JournalWriter(tmp_path / "journal", "other", 65536).close()
    synced: list[str] = []
    fsync = os.fsync

    def spy(fd: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", spy)
    (tmp_path / "ledger.db").mkdir()
    ingestor = Ingestor(tmp_path / "ledger.db", tmp_path / "journal")
    assert ingestor.run_once() is None
    living, finished = (path.name for path in sorted((tmp_path / "journal").iterdir(), reverse=True))
    assert synced == [finished, living, "journal"]
    assert ingestor.run_once() is None
    assert synced[3:] == [living, "journal"], "what is finished stays as it is"
    writer.close()
    (tmp_path / "ledger.db").rmdir()
    synced.clear()
    assert ingestor.run_once() is not None
    assert synced == [], "what is taken in is synced by the store"
    ingestor.close()


def test_damage_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "w.1.000000.seg").write_bytes(b"rubbish " * 99)
    ingestor = Ingestor(tmp_path / "ledger.db", tmp_path / "journal")
    ingestor.run_once()
    ingestor.close()
    assert ingestor.damaged > 0
    assert "could not be read" in caplog.text
