"""The ledger in a SQLite file: its schema, migrations, and every way in which a file can be unusable."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from ledger_samples import (
    BEGUN,
    ENDED,
    REQUEST,
    ROW,
    UNCOUNTED_AUDIO,
    UNCOUNTED_SEARCHES,
    Ledger,
    pair,
)

from trimaran.errors import LedgerError
from trimaran.ledger import OPEN, Settled, Started, Store, explain
from trimaran.ledger.schema import MIGRATIONS
from trimaran.ledger.segments import segment_paths
from trimaran.types import Usage


@pytest.fixture
def ledger(sqlite_ledger: Ledger) -> Ledger:
    return sqlite_ledger


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
        "trimaran.ledger.sqlite.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE extra (x INTEGER);\nNONSENSE;\n")
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
    monkeypatch.setattr("trimaran.ledger.sqlite.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE extra (x INTEGER);\n"))
    with pytest.raises(LedgerError, match=f"brought to {len(MIGRATIONS) + 1}"):
        Store(ledger.path, read_only=True)
    with Store(ledger.path) as store:
        assert store.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


@pytest.fixture(params=[1, 2])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> int:
    """Version of a ledger file that an older program made."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((Path(__file__).parent / f"store_v{request.param}.sql").read_text())
    version: int = request.param
    return version


def test_an_older_ledger_is_opened_and_goes_on(older: int, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=f"has version {older} and must be brought to"):
        Store(tmp_path / "ledger.db", read_only=True)
    ledger = Ledger(tmp_path)
    old = ledger.rows()
    assert old[0] == ROW | (UNCOUNTED_AUDIO if older == 1 else UNCOUNTED_SEARCHES)
    assert [(row["attempt"], row["status"]) for row in old[1:]] == [(1, "failed"), (2, OPEN)]
    assert ledger.ask("PRAGMA user_version") == [(len(MIGRATIONS),)]
    # The attempt that was open is settled by the new program; its context and outcome are found again, not doubled.
    ledger.take_in(msgspec.structs.replace(ENDED, request_id=old[2]["request_id"], attempt=2), *pair("f"))
    assert [row["web_searches"] for row in ledger.rows()] == [None, None, 7, 7]
    assert ledger.ask("SELECT count(*) FROM outcomes") == [(2,)]
    assert explain(ledger.store, REQUEST)[0].price is not None
    ledger.store.close()


def test_a_migrated_ledger_has_the_shape_of_a_new_one(older: int, tmp_path: Path) -> None:
    with Store(tmp_path / "ledger.db") as migrated, Store(tmp_path / "new" / "ledger.db") as new:
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
    monkeypatch.setattr("trimaran.ledger.sqlite._BUSY_S", 0.0)
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
