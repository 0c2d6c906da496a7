"""When a file counts as changed."""

from __future__ import annotations

from pathlib import Path

from trimaran.control.watch import FileWatch


def test_a_change_is_taken_once_it_has_come_to_rest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    watch = FileWatch([str(path)])
    assert not watch.changed()
    path.write_text("22")
    assert [watch.changed(), watch.changed(), watch.changed()] == [False, True, False]
    path.unlink()
    assert [watch.changed(), watch.changed()] == [False, False]


def test_a_database_may_come_and_go_and_its_log_counts(tmp_path: Path) -> None:
    path, log = tmp_path / "keys.sqlite3", tmp_path / "keys.sqlite3-wal"
    watch = FileWatch([], [str(path)])
    for change in (
        lambda: path.write_text("1"),
        lambda: log.write_text("1"),
        lambda: log.unlink(),
        lambda: path.unlink(),
    ):
        change()
        assert [watch.changed(), watch.changed(), watch.changed()] == [False, True, False]


def test_a_log_that_only_passes_by_is_no_change(tmp_path: Path) -> None:
    # Whoever reads an SQLite database makes one for as long as that takes.
    path, log = tmp_path / "keys.sqlite3", tmp_path / "keys.sqlite3-wal"
    path.write_text("1")
    watch = FileWatch([], [str(path)])
    log.write_text("")
    assert not watch.changed()
    log.unlink()
    assert [watch.changed(), watch.changed()] == [False, False]
