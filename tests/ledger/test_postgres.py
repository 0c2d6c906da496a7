"""The ledger in PostgreSQL: what differs from a file, and a server that is away, restarts or crashes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledger_samples import BEGUN, ENDED, ROW, Ledger, pair

from trimaran.errors import ConfigError, LedgerError
from trimaran.ledger import IdSource, Ingestor, JournalWriter, Store
from trimaran.ledger.database import check_driver, described, open_database
from trimaran.ledger.postgres import PostgresLedger
from trimaran.ledger.schema import MIGRATIONS, POSTGRES_MIGRATIONS
from trimaran.ledger.segments import segment_paths
from trimaran.ledger.writers import DIED
from trimaran.types import Secret

AWAY = "postgresql://someone:very-secret@127.0.0.1:1/ledger?sslpassword=secret-too"


@pytest.fixture
def ledger(postgres_url: str, tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path, postgres_url)
    yield made
    made.store.close()


# --- the schema -----------------------------------------------------------------------------------------------------


def test_tables_and_view_are_those_of_a_file(ledger: Ledger) -> None:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for table, *column in ledger.ask(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'trimaran' ORDER BY table_name, column_name"
    ):
        found.setdefault(table, []).append(tuple(column))
    del found["ledger_version"]
    types = {"INTEGER": "bigint", "TEXT": "text"}
    with Store(ledger.path) as file:
        names = [name for (name,) in file.connection.execute("SELECT name FROM sqlite_master WHERE type <> 'index'")]
        assert sorted(names) == sorted(found)
        for table in names:
            columns = file.connection.execute(f"PRAGMA table_info({table})").fetchall()
            ours = {name: (kind, not_null or key) for name, kind, not_null, key in found_in(columns)}
            theirs = {name: (kind, nullable == "NO") for name, kind, nullable in found[table] if name != "digest"}
            assert sorted(ours) == sorted(theirs), table
            if table != "attempts":
                wanted = {name: (types[kind], bool(required)) for name, (kind, required) in ours.items()}
                assert theirs == wanted, table
            else:
                assert {kind for kind, _ in theirs.values()} == {"bigint", "text"}


def found_in(columns: list[Any]) -> list[tuple[str, str, int, int]]:
    return [(name, kind, not_null, key) for _, name, kind, not_null, _, key in columns]


def test_both_have_the_same_version() -> None:
    assert max(POSTGRES_MIGRATIONS) == len(MIGRATIONS)


def test_a_ledger_is_opened_again_and_not_made_twice(ledger: Ledger) -> None:
    ledger.take_in(BEGUN, ENDED)
    with Store(ledger.place) as again:
        assert again.connection.execute("SELECT version FROM ledger_version").fetchall() == [(len(MIGRATIONS),)]
    assert ledger.rows() == [ROW]


def test_a_newer_version_is_refused_and_left_alone(ledger: Ledger) -> None:
    ledger.store.connection.execute("INSERT INTO ledger_version VALUES (99)")
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=rf"version 99.*up to {len(MIGRATIONS)}") as caught:
            Store(ledger.place, read_only=read_only)
        assert "newer Trimaran" in caught.value.hint
    assert ledger.ask("SELECT MAX(version) FROM ledger_version") == [(99,)]


def test_an_older_version_is_migrated_by_a_writer_only(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = len(MIGRATIONS) + 1
    extra = {newest: "CREATE TABLE extra (x BIGINT);"}
    monkeypatch.setattr("trimaran.ledger.postgres.POSTGRES_MIGRATIONS", {**POSTGRES_MIGRATIONS, **extra})
    monkeypatch.setattr("trimaran.ledger.postgres._NEWEST", newest)
    with pytest.raises(LedgerError, match=f"brought to {newest} first"):
        Store(ledger.place, read_only=True)
    with Store(ledger.place) as store:
        assert store.connection.execute("SELECT count(*) FROM extra").fetchone() == (0,)
        assert store.connection.execute("SELECT MAX(version) FROM ledger_version").fetchone() == (newest,)


def test_a_migration_that_fails_leaves_nothing(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {3: POSTGRES_MIGRATIONS[3] + "\nNONSENSE;"}
    monkeypatch.setattr("trimaran.ledger.postgres.POSTGRES_MIGRATIONS", broken)
    with pytest.raises(LedgerError, match="syntax error"):
        Store(postgres_url)
    monkeypatch.undo()
    with pytest.raises(LedgerError, match="no ledger in this database"):
        Store(postgres_url, read_only=True)
    Store(postgres_url).close()


def test_a_schema_of_somebody_else_is_refused(ledger: Ledger) -> None:
    ledger.store.connection.execute("DROP TABLE ledger_version")
    with pytest.raises(LedgerError, match="holds something else"):
        Store(ledger.place)


def test_two_programs_may_make_it_at_once(postgres_url: str) -> None:
    problems: list[Exception] = []

    def make() -> None:
        try:
            Store(postgres_url).close()
        except LedgerError as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


# --- values ---------------------------------------------------------------------------------------------------------


def test_a_character_that_it_cannot_keep_costs_no_record(ledger: Ledger) -> None:
    ledger.take_in(msgspec.structs.replace(BEGUN, why="a\0b"), ENDED)
    assert ledger.rows() == [ROW | {"why": "a\ufffdb"}]


def test_a_reader_cannot_write_and_sees_one_moment(ledger: Ledger) -> None:
    ledger.take_in(*pair("a"))
    with Store(ledger.place, read_only=True) as reader:
        with pytest.raises(LedgerError), reader.errors():
            reader.connection.execute("DELETE FROM attempt_rows")
        ask = reader.connection.execute
        ask("BEGIN")
        assert ask("SELECT count(*) FROM attempts").fetchone() == (1,)
        ledger.take_in(*pair("b"))
        assert ask("SELECT count(*) FROM attempts").fetchone() == (1,)
        ask("COMMIT")
        assert ask("SELECT count(*) FROM attempts").fetchone() == (2,)


def test_a_commit_is_on_disk_even_where_the_server_would_not_wait(ledger: Ledger) -> None:
    database = ledger.store._database
    for server, ours in (("off", "on"), ("remote_apply", "remote_apply")):
        database.connection.execute(f"SET synchronous_commit = {server}")
        with database.transaction():
            assert ledger.ask("SHOW synchronous_commit") == [(ours,)]
        assert ledger.ask("SHOW synchronous_commit") == [(server,)]


# --- several installations ------------------------------------------------------------------------------------------


def test_two_installations_share_a_database_and_judge_their_own_writers(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "other", ledger.place)
    ids = [IdSource(0).next(1) for _ in range(2)]
    writers = [
        each.write(msgspec.structs.replace(BEGUN, request_id=request), name="worker-0", close=False)
        for each, request in zip((ledger, other), ids, strict=True)
    ]
    for each in (ledger, other, ledger):
        each.store.ingest(each.journal)
    died = f"SELECT request_id FROM attempts WHERE {DIED}"
    assert len(ledger.rows()) == 2
    assert ledger.ask(died) == []
    writers[1].close()
    ledger.store.ingest(ledger.journal)
    assert ledger.ask(died) == [], "nobody but the other knows"
    other.store.ingest(other.journal)
    assert ledger.ask(died) == [(ids[1],)]
    writers[0].close()
    other.store.close()


# --- trouble --------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_said_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError, match="cannot be used now") as caught:
        Store(Secret(AWAY))
    assert "wait in the journal" in caught.value.hint
    assert caught.value.where == described(Secret(AWAY)) == "postgresql://someone@127.0.0.1:1/ledger"
    assert "secret" not in f"{caught.value} {caught.value.hint} {caught.value.where}"


def test_a_url_that_the_driver_cannot_read_is_not_shown() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match="cannot read this URL") as caught:
        Store(Secret("postgresql://someone:very%zzsecret@host/ledger"))
    assert "very" not in f"{caught.value} {caught.value.hint} {caught.value.where} {caught.value.__cause__}"


def test_a_missing_driver_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for call in (check_driver, Store):
        with pytest.raises(ConfigError, match="driver for it is not installed") as caught:
            call(AWAY)
        assert caught.value.hint == 'pip install "trimaran[postgres]"'
        assert not isinstance(caught.value, LedgerError)
    check_driver("/some/file")


def test_a_database_that_does_not_exist_is_said_plainly(postgres: Any) -> None:
    with pytest.raises(LedgerError, match=r'cannot be used now: .*database "nothing" does not exist'):
        Store(postgres.url.replace("/postgres?", "/nothing?"))


def test_a_writer_waits_for_its_turn_and_gives_up_in_the_end(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.write(*pair("a"))
    other = open_database(ledger.place)
    assert isinstance(other, PostgresLedger)
    with other.transaction():
        ledger.store.connection.execute("SET lock_timeout = 50")
        with pytest.raises(LedgerError, match="locked by another process"):
            ledger.store.ingest(ledger.journal)
    other.close()
    assert ledger.store.ingest(ledger.journal).records == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_stops_in_mid_ingest_loses_and_doubles_nothing(
    ledger: Ledger,
    postgres: Any,
    how: signal.Signals,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 6_000
    writer = JournalWriter(ledger.journal, "w", 1 << 18)
    for number in range(count):
        for record in pair(f"{number:032x}"):
            writer.append(record)
    writer.close()
    ingestor = Ingestor(ledger.place, ledger.journal)
    remove, removed = Store._remove, []

    def stop_after_two(store: Store, path: Path, *args: Any, **named: Any) -> None:
        remove(store, path, *args, **named)
        removed.append(path)
        if len(removed) == 2:
            postgres.stop(how)

    monkeypatch.setattr(Store, "_remove", stop_after_two)
    assert ingestor.run_once() is None, "it stopped in the middle"
    assert len(removed) == 2 and segment_paths(ledger.journal)
    again = ingestor.run_once()
    assert again is None
    assert ingestor.journal_bytes > 0
    before = len(caplog.records)
    postgres.start()
    assert ingestor.run_once() is not None
    assert ingestor.problem == ""
    assert "works again" in caplog.messages[-1]
    assert len(caplog.records) == before + 1
    ingestor.close()
    with Store(ledger.place) as store:
        found = store.connection.execute("SELECT count(*), count(cost_nanos), SUM(cost_nanos) FROM attempts").fetchone()
    assert found == (count, count, count * 123)
    assert segment_paths(ledger.journal) == []
