"""The budgets' file: what was written survives a kill, and one process at a time has it."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trimaran.errors import LedgerError
from trimaran.ledger.leases import AccountRow, LeaseRow, LeaseStore

ACCOUNT = AccountRow("key:a:usd/day", 0, 86_400, "key", "a", "usd", "day", 7, 50)
LEASE = LeaseRow("key:a:usd/day", 0, "life", "worker-0.boot", 100, 3)

WRITER = """
import os, signal, sys
from trimaran.ledger.leases import AccountRow, LeaseRow, LeaseStore
store = LeaseStore(sys.argv[1])
store.write([AccountRow("key:a:usd/day", 0, 86_400, "key", "a", "usd", "day", 7, 50)],
            [LeaseRow("key:a:usd/day", 0, "life", "worker-0.boot", 100, 3)])
print("written", flush=True)
sys.stdin.read()
"""


def test_rows_are_replaced_closed_and_forgotten_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "budgets.sqlite3"
    store = LeaseStore(path)
    assert store.load() == ([], [])
    for _ in range(2):
        store.write([ACCOUNT], [LEASE])
        assert store.load() == ([ACCOUNT], [LEASE])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.write([], [], [("key:a:usd/day", 0, "life")], [("key:a:usd/day", 0)])
    assert store.load() == ([], [])
    store.close()


def test_a_batch_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = LeaseStore(tmp_path / "budgets.sqlite3")
    bad = LeaseRow("key:a:usd/day", 0, "life", "worker-0.boot", "much", 0)  # type: ignore[arg-type]
    with pytest.raises(LedgerError):
        store.write([ACCOUNT], [bad])
    assert store.load() == ([], [])
    store.close()


def test_what_was_written_survives_a_kill_and_is_held_until_then(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite3"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        with pytest.raises(LedgerError, match="another gateway keeps its budgets"):
            LeaseStore(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    store = LeaseStore(path)
    assert store.load() == ([ACCOUNT], [LEASE])
    store.close()


def test_a_file_that_cannot_be_used_is_said_plainly_and_left_alone(tmp_path: Path) -> None:
    noise = tmp_path / "noise.sqlite3"
    noise.write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerError, match="no SQLite database"):
        LeaseStore(noise)
    other = tmp_path / "other.sqlite3"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(LedgerError, match="not a file of budgets"):
        LeaseStore(other)
    newer = tmp_path / "newer.sqlite3"
    LeaseStore(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(LedgerError, match="version 9; this program knows versions up to 1"):
        LeaseStore(newer)
