"""A gateway whose ledger cannot be used: it serves and keeps the records, or does not start, as it was told."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from trimaran.ledger import Store, spend

CONFIG = """\
models: {{chat: {{targets: [openai/gpt-4o-mini]}}}}
providers: {{openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}}}
ledger: {{dir: LEDGER, on_failure: {policy}}}
"""


def ask(address: str) -> int:
    body = json.dumps({"model": "chat", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()
    request = urllib.request.Request(f"{address}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        status: int = answer.status
        return status


def newer_ledger(folder: Path) -> Path:
    path = folder / "ledger" / "ledger.sqlite3"
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    return path


def test_serve_goes_on_without_the_ledger_and_catches_up(start, simulated, tmp_path) -> None:
    path = newer_ledger(tmp_path)
    running = start(CONFIG.format(address=simulated.base_url, policy="serve"), "--workers=1").ready()
    assert ask(running.address) == 200
    running.until(lambda: running.state()["ledger_problem"], "the problem to show")
    assert "version 99" in str(running.state()["ledger_problem"])
    assert "trimaran_ledger_ok 0.0" in running.metrics()
    path.unlink()
    running.until(lambda: running.state()["ledger_problem"] is None, "the ledger to work again")
    assert "trimaran_ledger_ok 1.0" in running.metrics()
    assert running.stop() == 0
    assert running.log().count("the ledger cannot take in the journal") == 1
    assert running.log().count("the ledger works again") == 1
    with Store(path) as store:
        assert sum(row.attempts for row in spend(store, "total")) == 1


def test_refuse_does_not_start(start, simulated, tmp_path) -> None:
    newer_ledger(tmp_path)
    running = start(CONFIG.format(address=simulated.base_url, policy="refuse"), "--workers=1")
    assert running.process.wait(20) == 2
    assert "the ledger has version 99" in running.log()
    assert "run the newer Trimaran" in running.log()
    assert "Traceback" not in running.log()


def test_a_database_that_is_away_stops_nobody_and_its_password_is_not_shown(start, simulated) -> None:
    pytest.importorskip("psycopg")
    running = start(
        CONFIG.format(address=simulated.base_url, policy="serve"),
        "--workers=1",
        environ={"TRIMARAN_LEDGER_URL": "postgresql://someone:very-secret@127.0.0.1:1/ledger"},
    ).ready()
    assert ask(running.address) == 200
    running.until(lambda: running.state()["ledger_problem"], "the problem to show")
    assert "someone@127.0.0.1:1/ledger" in str(running.state()["ledger_problem"])
    assert running.stop() == 0
    assert "someone@127.0.0.1:1/ledger" in running.log()
    assert "very-secret" not in running.log()
    assert list((running.folder / "ledger" / "journal").glob("*.seg")), "the records wait"
    assert not (running.folder / "ledger" / "ledger.sqlite3").exists()
