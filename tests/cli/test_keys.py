"""``trimaran keys``: what it prints where, what it keeps, and what it says about mistakes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trimaran.cli import keys as commands
from trimaran.cli.app import run
from trimaran.ledger.keys import read_keys

SOURCE = str(Path(__file__).parents[2] / "src")
CONFIG = """\
models:
  chat: {targets: [openai/gpt-4o-mini]}
  o/*: {targets: [openai/*]}
keys:
  fixed: {key: "${FIXED_KEY}", budget: 5 USD/day, tenant: acme}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trimaran" / "keys.sqlite3"


@pytest.fixture
def keys(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``keys("create", "a")``: exit status, stdout and stderr of the command in this process."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TRIMARAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(store.parents[1]))
    monkeypatch.setenv("FIXED_KEY", "f" * 20)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trimaran", "keys", *arguments])
        status = run()
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


def test_the_secret_can_be_captured_and_is_kept_nowhere(store: Path) -> None:
    # As a script does it: SECRET=$(trimaran keys create team-a …)
    environ = {**os.environ, "PYTHONPATH": SOURCE, "XDG_STATE_HOME": str(store.parents[1])}
    settings = ["--tag", "cost_center=42", "--budget", "500 USD/month", "--budget", "2M tokens/day"]
    settings += ["--rpm", "60", "--expires", "90d"]
    done = subprocess.run(
        [*(sys.executable, "-m", "trimaran.cli", "keys", "create", "team-a", "--tenant", "acme"), *settings],
        capture_output=True,
        text=True,
        timeout=30,
        env=environ,
        cwd=store.parents[2],
    )
    assert done.returncode == 0, done.stderr
    secret = done.stdout.removesuffix("\n")
    assert re.fullmatch(r"tk-[A-Za-z0-9_-]{43}", secret)
    assert secret not in done.stderr
    assert "from now on every request needs a key" in done.stderr
    assert "Next: " in done.stderr
    (row,) = read_keys(store)
    assert row.digest == hashlib.sha256(secret.encode()).digest()
    assert (row.name, row.tenant, row.tags, row.prefix) == ("team-a", "acme", {"cost_center": "42"}, secret[:8])
    assert (row.budget, row.rpm, row.tpm) == (("500 USD/month", "2000000 tokens/day"), 60, None)
    assert row.expires_ns is not None and abs(row.expires_ns / 1e9 - time.time() - 90 * 86400) < 60
    assert row.created_by
    assert secret.encode() not in b"".join(path.read_bytes() for path in store.parent.iterdir())


def test_the_life_of_a_key(keys: Run, store: Path) -> None:
    first = keys("create", "team-a", "--tenant", "acme")[1].strip()
    status, second, said = keys("rotate", "team-a", "--grace", "24h")
    assert (status, second.count("\n")) == (0, 1)
    assert "The old one is valid until 20" in said
    assert [row.state(time.time_ns()) for row in read_keys(store)] == ["grace", "active"]
    assert "The old one is valid no longer" in keys("rotate", "team-a")[2]
    assert [row.state(time.time_ns()) for row in read_keys(store)] == ["rotated", "rotated", "active"]
    status, out, said = keys("revoke", "team-a")
    assert (status, out) == (0, "")
    assert "revoked" in said and "Next: trimaran keys list" in said
    status, out, _ = keys("show", "team-a")
    assert status == 0
    assert out.count("revoked_by") == 3
    assert first not in out
    status, out, said = keys("list")
    assert (status, out) == (0, "")
    assert "every key is revoked" in said
    assert keys("list", "--all")[1].count("team-a") == 3


def test_everything_as_json(keys: Run) -> None:
    made = json.loads(keys("create", "team-a", "--tag", "a=1", "--model", "x", "--json")[1])
    assert made["secret"].startswith(made["prefix"])
    assert (made["tenant"], made["tags"], made["models"], made["state"]) == ("default", {"a": "1"}, ["x"], "active")
    rotated = json.loads(keys("rotate", "team-a", "--grace", "1h", "--json")[1])
    assert rotated["secret"] != made["secret"]
    for command in (("list",), ("show", "team-a"), ("revoke", "team-a")):
        found = json.loads(keys(*command, "--json")[1])
        assert [each["name"] for each in found] == ["team-a", "team-a"]
        assert "secret" not in found[0]
    assert json.loads(keys("list", "--json")[1]) == []
    assert len(json.loads(keys("list", "--all", "--json")[1])) == 2


def test_configured_keys_are_shown_and_left_alone(keys: Run, tmp_path: Path) -> None:
    (tmp_path / "trimaran.yaml").write_text(CONFIG)
    keys("create", "team-a", "--model", "chat", "--model", "o/gpt-4o")
    out = keys("list")[1]
    assert re.search(r"fixed +acme +active +5 USD/day +all +trimaran.yaml:5", out), out
    assert "team-a" in out
    assert "5 USD/day" in keys("show", "fixed")[1]
    for command in (("create", "fixed"), ("rotate", "fixed"), ("revoke", "fixed")):
        status, out, said = keys(*command)
        assert (status, out) == (2, "")
        assert "trimaran.yaml:5" in said


def test_the_ledgers_folder_can_be_named(keys: Run, tmp_path: Path) -> None:
    keys("create", "team-a", "--ledger-dir", str(tmp_path / "other"))
    assert len(read_keys(tmp_path / "other" / "keys.sqlite3")) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "a b"), "NAME: this name cannot be used; expected letters, digits"),
        (("create", "default"), "the name default is that of the key in TRIMARAN_KEY"),
        (("create", "a", "--budget", "500 USD"), "--budget: expected an amount in a period"),
        (("create", "a", "--budget", "5 USD/day", "--budget", "6 USD/day"), "--budget[0] limits usd/day, too"),
        (("create", "a", "--budget", "5 requests/minute", "--rpm", "5"), "--rpm limits requests/minute, too"),
        (("create", "a", "--rpm", "0"), "--rpm: expected a whole number from 1"),
        (("create", "a", "--tag", "x"), "--tag: 'x' is no tag"),
        (("create", "a", "--tag", "x=1", "--tag", "x=2"), "--tag: 'x=2' is given twice"),
        (("create", "a", "--tag", "a b=1"), "--tag: this name cannot be used"),
        (("create", "a", "--tenant", "a b"), "--tenant: expected a tenant's name"),
        (("create", "a", "--model", "caht"), "did you mean chat? Known: chat, o/*"),
        (("create", "a", "--expires", "soon"), "--expires: expected a date"),
        (("create", "a", "--expires", "2020-01-01"), "--expires: this moment is over"),
        (("create", "taken"), "there is a key taken already"),
        (("rotate", "taken", "--grace", "1"), "--grace: expected a duration with its unit"),
        (("rotate", "nobody"), "there is no key 'nobody'"),
        (("revoke", "nobody"), "there is no key nobody"),
        (("show", "nobody"), "there is no key 'nobody'"),
    ],
)
def test_what_is_said_about_mistakes(
    keys: Run, tmp_path: Path, store: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "trimaran.yaml").write_text(CONFIG)
    if "taken" in arguments or arguments[0] == "revoke":
        keys("create", "taken")
    before = read_keys(store)
    status, out, shown = keys(*arguments)
    assert (status, out) == (2, "")
    assert said in shown
    assert "Traceback" not in shown
    assert read_keys(store) == before


def test_a_store_that_cannot_be_read_is_said(keys: Run, store: Path) -> None:
    store.parent.mkdir(parents=True)
    store.write_bytes(b"\xff" * 5000)
    for command in (("list",), ("create", "a"), ("revoke", "a")):
        status, out, said = keys(*command)
        assert (status, out) == (2, "")
        assert "no SQLite database" in said and "keys.sqlite3" in said


def test_no_two_secrets_are_the_same() -> None:
    assert len({commands._new_secret() for _ in range(1000)}) == 1000


def test_check_and_env_know_stored_keys(
    keys: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "trimaran.yaml").write_text("server: {host: 0.0.0.0}\n")
    monkeypatch.setattr(sys, "argv", ["trimaran", "check", "--json"])
    assert run() == 2
    assert "there is no key" in capsys.readouterr().err
    keys("create", "team-a")
    monkeypatch.setattr(sys, "argv", ["trimaran", "check", "--json"])
    assert run() == 0
    assert json.loads(capsys.readouterr().out)["keys"] == 1
    monkeypatch.setattr(sys, "argv", ["trimaran", "env"])
    assert run() == 0
    assert "asks for a key (team-a)" in capsys.readouterr().out
