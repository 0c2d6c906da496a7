"""Keys that are made, rotated and revoked while the gateway runs, budgets that they carry, and who is told."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trimaran.ledger.keys import KeyRow, KeyStore
from trimaran.testing import Behaviour, SimulatedProvider

SOURCE = str(Path(__file__).parents[2] / "src")
EFFECT_S = 5.0
CONFIG = """\
models:
  chat: {{targets: [openai/gpt-4o-mini]}}
providers:
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
limits: {{deadline: 20s, ttft: 5s}}
ledger: {{dir: LEDGER}}
"""


@pytest.fixture
def provider():
    with SimulatedProvider(Behaviour(ttft_s=0.001, output_tokens=5)).in_thread() as provider:
        yield provider


@pytest.fixture
def config(provider):
    return CONFIG.format(address=provider.base_url)


def ask(address: str, key: str | None = None, **members: object) -> tuple[int, str]:
    """Status and body of one chat request on a connection of its own."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, **members}
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    request = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def statuses(address: str, key: str | None, count: int = 8) -> set[int]:
    """Of requests on so many connections that both workers get some."""
    with ThreadPoolExecutor(4) as pool:
        return {status for status, _ in pool.map(lambda _: ask(address, key), range(count))}


def keys(running, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``trimaran keys …`` as another process beside the gateway."""
    return subprocess.run(
        [sys.executable, "-m", "trimaran.cli", "keys", *arguments, f"--config={running.config}"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": SOURCE, "SIMULATED_KEY": "x", "CLIENT_KEY": "y" * 20},
    )


def made(running, *arguments: str) -> str:
    done = keys(running, *arguments)
    assert done.returncode == 0, done.stderr
    (secret,) = done.stdout.splitlines()
    assert secret not in done.stderr
    return secret


def put(running, **more: object) -> str:
    """A key straight into the store, for tests that are not about the command, once the gateway knows it."""
    secret = f"tk-{uuid.uuid4()}"
    values = {"name": "team-a", "tenant": "acme", "created_ns": time.time_ns(), "created_by": "test", **more}
    with KeyStore(store_of(running)) as store:
        store.create(KeyRow(digest=hashlib.sha256(secret.encode()).digest(), prefix=secret[:8], **values))
    running.until(lambda: known_by_all(running), "the key being known", EFFECT_S)
    return secret


def known_by_all(running) -> bool:
    state = running.state()
    return state["snapshot_version"] == 2 and all(each["snapshot_version"] == 2 for each in state["workers"])


def revoke(running) -> None:
    with KeyStore(store_of(running)) as store:
        store.revoke("team-a", time.time_ns(), "test")


def store_of(running) -> Path:
    return running.folder / "ledger" / "keys.sqlite3"


def test_a_key_from_its_making_to_its_end(start, config) -> None:
    running = start(config, "--workers=2").ready()
    assert ask(running.address)[0] == 200
    secret = made(running, "create", "team-a", "--tenant", "acme", "--tag", "cost_center=42")
    running.until(lambda: statuses(running.address, secret) == {200}, "the key being known", EFFECT_S)
    # With the first key the door has a lock, at every worker.
    running.until(lambda: statuses(running.address, None) == {401}, "a key being required", EFFECT_S)

    second = made(running, "rotate", "team-a", "--grace", "1h")
    running.until(lambda: statuses(running.address, second) == {200}, "the new secret being known", EFFECT_S)
    assert statuses(running.address, secret) == {200}
    third = made(running, "rotate", "team-a")
    running.until(lambda: statuses(running.address, secret) == {401}, "the old secret being refused", EFFECT_S)
    assert (statuses(running.address, second), statuses(running.address, third)) == ({401}, {200})
    assert "expired" in ask(running.address, second)[1]

    assert keys(running, "revoke", "team-a").returncode == 0
    running.until(lambda: statuses(running.address, third) == {401}, "the key being refused", EFFECT_S)
    # It was the last one, and the door stays locked; also after a restart.
    assert statuses(running.address, None) == {401}
    assert running.stop() == 0
    again = start(config).ready()
    assert (ask(again.address)[0], ask(again.address, third)[0]) == (401, 401)
    assert secret not in running.log() + again.log()


def test_a_stream_goes_on_when_its_key_is_revoked(start, config, provider) -> None:
    running = start(config, "--workers=2").ready()
    secret = put(running)
    assert ask(running.address, secret)[0] == 200
    provider.behaviour = Behaviour(ttft_s=0.001, tpot_s=0.1, output_tokens=40)
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(ask, running.address, secret, stream=True, max_tokens=100)
        running.until(lambda: any(each["in_flight"] for each in running.state()["workers"]), "the stream", EFFECT_S)
        revoke(running)
        running.until(lambda: ask(running.address, secret)[0] == 401, "the key being refused", EFFECT_S)
        assert not stream.done()
        status, body = stream.result(20)
    assert (status, body.count("data: [DONE]")) == (200, 1)


def test_a_revocation_is_taken_up_although_the_configuration_is_broken(start, config) -> None:
    running = start(config).ready()
    secret = put(running)
    assert ask(running.address, secret)[0] == 200
    running.config.write_text("models: nonsense")
    running.until(lambda: "is not used" in running.log(), "the configuration being refused", EFFECT_S)
    revoke(running)
    running.until(lambda: ask(running.address, secret)[0] == 401, "the key being refused", EFFECT_S)
    assert "the keys are taken up all the same" in running.log()


@pytest.mark.parametrize("damage", ["corrupt", "gone"])
def test_a_store_that_cannot_be_read_opens_no_door(start, config, damage: str) -> None:
    running = start(config).ready()
    secret = put(running)
    store = store_of(running)
    assert ask(running.address, secret)[0] == 200
    kept = shutil.copy(store, running.folder / "copy")
    if damage == "gone":
        store.unlink()
    else:
        store.write_bytes(b"\xff" * 9000)
    running.until(lambda: "is not used" in running.log(), "the damage being said", EFFECT_S)
    assert (ask(running.address, secret)[0], ask(running.address)[0]) == (200, 401)
    assert running.state()["last_reload_error"]
    if damage != "gone":
        running.stop()
        refused = start(config)
        assert refused.process.wait(20) == 2
        assert "keys.sqlite3" in refused.log()
        return
    shutil.copy(kept, store)
    running.until(lambda: not running.state()["last_reload_error"], "the copy being taken up", EFFECT_S)


def test_a_budget_is_told_of_and_then_refused(start, config) -> None:
    seen: list[dict[str, object]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    alerts = f'alerts: {{webhook: "{url}", thresholds: [50%, 100%]}}\n'
    try:
        running = start(config + alerts, "--workers=2").ready()
        secret = put(running, budget=("4 requests/day",))
        found = [ask(running.address, secret)[0] for _ in range(6)]
        assert found == [200] * 4 + [429] * 2
        running.until(lambda: len(seen) == 2, "two alerts", EFFECT_S)
        facts = [(each["allowance"], each["percent"], each["used"], each["limit"]) for each in seen]
        assert [each[:2] for each in facts] == [("key:team-a:requests/day", 50), ("key:team-a:requests/day", 100)]
        assert all(each[3] == 4 for each in facts)
        assert running.stop() == 0
        again = start(config + alerts).ready()
        found = [ask(again.address, secret)[0]]
        again.until(lambda: found.append(ask(again.address, secret)[0]) or found[-1] == 429, "the refusal")
        assert 200 not in found
        time.sleep(0.3)
        assert len(seen) == 2
    finally:
        server.shutdown()
        server.server_close()
