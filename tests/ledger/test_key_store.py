"""The store of client keys: one current secret for each name, a history that stays, and files that are not what they should be."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from trimaran.errors import ConfigError, LedgerError
from trimaran.ledger.keys import MIGRATIONS, KeyRow, KeyStore, read_keys

NOW_NS = 1_790_000_000 * 10**9
SECOND_NS = 10**9


def row(name: str = "team-a", secret: bytes = b"1", **more: Any) -> KeyRow:
    values: dict[str, Any] = {"tenant": "acme", "created_ns": NOW_NS, "created_by": "ops", **more}
    return KeyRow(name=name, digest=secret * 32, prefix=f"tk-{secret.decode()}", **values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "keys.sqlite3"


def test_what_is_kept_comes_back(path: Path) -> None:
    made = row(
        tags={"b": "ü", "a": "1"}, models=("chat",), budget=("500 USD/month",), rpm=5, tpm=6, expires_ns=NOW_NS + 1
    )
    with KeyStore(path) as store:
        store.create(made)
    (found,) = read_keys(path)
    assert found == KeyRow(**{**{name: getattr(made, name) for name in KeyRow.__struct_fields__}, "number": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # Nothing but the one file: what watches it needs to look at no other one once nobody writes.
    assert os.listdir(path.parent) == ["keys.sqlite3"]
    assert "1111" not in repr(found)


def test_no_file_is_no_key(path: Path) -> None:
    assert read_keys(path) == ()
    assert not path.parent.exists()


def test_one_current_secret_of_a_name(path: Path) -> None:
    with KeyStore(path) as store:
        store.create(row())
        with pytest.raises(ConfigError, match="there is a key team-a already"):
            store.create(row(secret=b"2"))
        # Not by the program's care only.
        with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError):
            raw.execute(
                "INSERT INTO keys SELECT 9, name, x'02', prefix, tenant, tags, models, budget, rpm, tpm, "
                "expires_ns, created_ns, created_by, NULL, NULL, NULL, NULL, NULL FROM keys"
            )
        store.rotate("team-a", row(secret=b"2"), NOW_NS)
        with pytest.raises(ConfigError, match="there is a key team-a already"):
            store.create(row(secret=b"3"))
        store.revoke("team-a", NOW_NS, "ops")
        store.create(row(secret=b"3"))
        assert [each.state(NOW_NS) for each in store.rows("team-a")] == ["revoked", "revoked", "active"]


def test_a_name_is_not_given_to_another_tenant(path: Path) -> None:
    with KeyStore(path) as store:
        store.create(row())
        store.revoke("team-a", NOW_NS, "ops")
        with pytest.raises(ConfigError, match="was given to the tenant acme"):
            store.create(row(secret=b"2", tenant="other"))
        assert len(store.rows()) == 1


def test_the_old_secret_lives_on_for_its_grace_time(path: Path) -> None:
    with KeyStore(path) as store:
        store.create(row(rpm=5))
        new = store.rotate("team-a", row(secret=b"2", created_ns=NOW_NS + 1), NOW_NS + 10)
        assert (new.tenant, new.rpm, new.prefix) == ("acme", 5, "tk-2")
        old, current = store.rows()
        assert (old.rotated_ns, old.rotated_by, old.ends_ns) == (NOW_NS + 1, "ops", NOW_NS + 10)
        assert [old.state(NOW_NS + 9), old.state(NOW_NS + 10)] == ["grace", "rotated"]
        assert (current.state(NOW_NS + 10), current.ends_ns) == ("active", None)


def test_a_later_rotation_cuts_the_grace_of_all_before_it(path: Path) -> None:
    # Whoever rotates without grace does it because a secret is out, and does not know which.
    with KeyStore(path) as store:
        store.create(row())
        store.rotate("team-a", row(secret=b"2", created_ns=NOW_NS + 1), NOW_NS + 100)
        store.rotate("team-a", row(secret=b"3", created_ns=NOW_NS + 2), NOW_NS + 2)
        assert [each.state(NOW_NS + 2) for each in store.rows()] == ["rotated", "rotated", "active"]
        assert [each.rotated_ns for each in store.rows()] == [NOW_NS + 1, NOW_NS + 2, None]
        store.rotate("team-a", row(secret=b"4", created_ns=NOW_NS + 3), NOW_NS + 500)
        # Nor does a longer one bring them back.
        assert [each.state(NOW_NS + 3) for each in store.rows()] == ["rotated", "rotated", "grace", "active"]


def test_grace_ends_with_the_key(path: Path) -> None:
    with KeyStore(path) as store:
        store.create(row(expires_ns=NOW_NS + 5))
        store.rotate("team-a", row(secret=b"2", created_ns=NOW_NS + 1), NOW_NS + 100)
        assert [each.ends_ns for each in store.rows()] == [NOW_NS + 5, NOW_NS + 5]
        with pytest.raises(ConfigError, match="has expired") as caught:
            store.rotate("team-a", row(secret=b"3", created_ns=NOW_NS + 5), NOW_NS + 5)
        assert "--expires 90d" in caught.value.hint
        store.rotate("team-a", row(secret=b"3", created_ns=NOW_NS + 5, expires_ns=NOW_NS + 50), NOW_NS + 5)
        assert [each.state(NOW_NS + 6) for each in store.rows()] == ["expired", "expired", "active"]


def test_what_is_not_there_or_over(path: Path) -> None:
    with KeyStore(path) as store:
        for change in (lambda: store.revoke("x", NOW_NS, "ops"), lambda: store.rotate("x", row("x"), NOW_NS)):
            with pytest.raises(ConfigError, match="there is no key x"):
                change()
        store.create(row())
        store.revoke("team-a", NOW_NS, "ops")
        with pytest.raises(ConfigError, match="the key team-a is revoked"):
            store.revoke("team-a", NOW_NS + 1, "somebody else")
        (kept,) = store.rows()
        assert (kept.revoked_ns, kept.revoked_by) == (NOW_NS, "ops")


def test_a_newer_version_is_refused_and_untouched(path: Path) -> None:
    KeyStore(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="have version 2; this program knows versions up to 1"):
        read_keys(path)
    assert path.read_bytes() == before


def test_what_is_no_file_of_keys(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"x" * 8192)
    with pytest.raises(LedgerError, match="no SQLite database") as caught:
        read_keys(path)
    assert "put a copy" in caught.value.hint
    path.unlink()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE t (x)")
    with pytest.raises(LedgerError, match="this is not a file of keys"):
        read_keys(path)
    # It may have held keys, so it is not the same as none.
    path.write_bytes(b"")
    with pytest.raises(LedgerError, match="is empty"):
        read_keys(path)
    with KeyStore(path) as store:
        store.create(row())
    assert len(read_keys(path)) == 1


def test_a_damaged_page_is_said_plainly(path: Path) -> None:
    with KeyStore(path) as store:
        for number in range(100):
            store.create(row(f"k{number}", secret=bytes([number])))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(LedgerError, match="the file of keys is corrupt"):
        read_keys(path)


def test_a_row_that_means_nothing(path: Path) -> None:
    with KeyStore(path) as store:
        store.create(row())
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE keys SET tags = '['")
        raw.commit()
    with pytest.raises(LedgerError, match="a row that means nothing"):
        read_keys(path)


KILLED = """
import os, signal, sys
from trimaran.ledger.keys import KeyRow, KeyStore
store = KeyStore(sys.argv[1])
print("open", flush=True)
number = 0
while True:
    number += 1
    digest = number.to_bytes(32, "big")
    store.create(KeyRow(name=f"k{number}", digest=digest, prefix="tk-", tenant="t", created_ns=1, created_by="x"))
    print(number, flush=True)
    if number == 5:
        store._connection.execute("BEGIN IMMEDIATE")
        store._connection.execute("DELETE FROM keys")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_said_survives_a_kill_and_what_was_not_done_does_not(path: Path) -> None:
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split()[-1] == "5"
    assert [each.name for each in read_keys(path)] == ["k1", "k2", "k3", "k4", "k5"]
