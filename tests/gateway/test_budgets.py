"""Hard budgets and limits through a real gateway: two workers, concurrent clients, and a worker that is killed."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from trimaran.ledger import Store
from trimaran.testing import Behaviour, SimulatedProvider

CONFIG = """\
models:
  chat: {{targets: [openai/gpt-4o-mini]}}
providers:
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
keys:
  spender: {{key: "${{KEY_SPENDER}}", budget: 0.004 USD/day}}
  fast: {{key: "${{KEY_FAST}}", rpm: 5}}
  wordy: {{key: "${{KEY_WORDY}}", tpm: 3000}}
  free: {{key: "${{KEY_FREE}}"}}
ledger: {{dir: LEDGER}}
"""
LIMIT = 4_000_000
BOUND = 430_000
"""More than any request of these tests may cost, in nano-dollars."""
KEYS = {
    "spender": "sk-test-spender-0123456789",
    "fast": "sk-test-fast-0123456789ab",
    "wordy": "sk-test-wordy-0123456789a",
    "free": "sk-test-free-0123456789ab",
}
ENVIRON = {f"KEY_{name.upper()}": key for name, key in KEYS.items()}


@pytest.fixture
def provider():
    with SimulatedProvider(Behaviour(ttft_s=0.03, output_tokens=200)).in_thread() as provider:
        yield provider


@pytest.fixture
def gateway(start, provider):
    return start(CONFIG.format(address=provider.base_url), "--workers=2", environ=ENVIRON).ready()


def ask(gateway: Any, key: str, max_tokens: int = 400, path: str = "/v1/chat/completions") -> tuple[int, Any, Any]:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": max_tokens}
    request = urllib.request.Request(
        f"{gateway.address}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEYS[key]}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def account(gateway: Any, name: str) -> dict[str, Any]:
    return next((each for each in gateway.state()["budgets"]["accounts"] if each["name"] == name), {})


def spent(gateway: Any, key: str) -> int:
    """What the ledger has, open attempts at their bound."""
    with Store(gateway.folder / "ledger" / "ledger.sqlite3") as store:
        store.ingest(gateway.folder / "ledger" / "journal")
        rows = store.connection.execute(
            "SELECT cost_nanos, bound_nanos, started_ns FROM attempts WHERE key_id = :key", {"key": key}
        ).fetchall()
    return sum(bound if cost is None else cost for cost, bound, _ in rows)


def test_a_budget_is_never_passed_whatever_happens(gateway, provider) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "spender"), range(24)))
        assert {status for status, _, _ in answers} <= {200, 402}
        killed = gateway.state()["workers"][0]["pid"]
        provider.behaviour = Behaviour(ttft_s=0.5, output_tokens=200)
        running = [pool.submit(ask, gateway, "spender") for _ in range(6)]
        time.sleep(0.2)
        os.kill(killed, signal.SIGKILL)
        for each in running:
            assert each.exception() is not None or each.result()[0] in (200, 402)
        provider.behaviour = Behaviour(ttft_s=0.01, output_tokens=200)
        gateway.until(lambda: gateway.state()["workers"][0]["pid"] not in (None, killed), "a new worker")
        gateway.until(lambda: is_exact(gateway, "spender"), "the dead worker's lease being reconciled", 10)
        answers = list(pool.map(lambda _: ask(gateway, "spender"), range(60)))
    assert {status for status, _, _ in answers} == {200, 402}
    body = next(body for status, _, body in answers if status == 402)
    assert body["error"]["code"] == "budget_exceeded"
    assert "the budget key spender of $0.004 a day has $0.000" in body["error"]["message"]
    use_up(gateway)
    status, _, body = ask(gateway, "spender", path="/v1/messages")
    assert (status, body["type"]) == (402, "error")
    assert ask(gateway, "free")[0] == 200
    assert gateway.stop() == 0
    total = spent(gateway, "spender")
    assert LIMIT - BOUND < total <= LIMIT, "nearly all of it could be used, and not a nano-dollar more"


def is_exact(gateway: Any, name: str) -> bool:
    """Whether the budgets and the ledger say the same, to the nano-dollar."""
    found = account(gateway, name)
    return bool(found) and found["used"] == spent(gateway, name)


def use_up(gateway: Any) -> None:
    """One request at a time until none fits any more; a refusal is remembered for a moment."""
    for _ in range(40):
        if ask(gateway, "spender")[0] != 200:
            time.sleep(0.6)
            if ask(gateway, "spender")[0] != 200:
                return
    pytest.fail("it never ends")


def test_a_restart_keeps_what_was_used(start, provider) -> None:
    config = CONFIG.format(address=provider.base_url)
    first = start(config, "--workers=2", environ=ENVIRON).ready()
    with ThreadPoolExecutor(8) as pool:
        assert {status for status, _, _ in pool.map(lambda _: ask(first, "spender"), range(12))} == {200}
    first.process.kill()
    first.process.wait()
    again = start(config, "--workers=2", environ=ENVIRON).ready()
    again.until(lambda: account(again, "spender")["leased"] == 0, "the first gateway's leases being reconciled", 15)
    assert is_exact(again, "spender")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(again, "spender"), range(40)))
    assert {status for status, _, _ in answers} == {200, 402}
    use_up(again)
    assert again.stop() == 0
    assert LIMIT - BOUND < spent(again, "spender") <= LIMIT


def test_limits_on_requests_and_tokens_say_when_to_come_again(gateway) -> None:
    if time.time() % 60 > 50:
        time.sleep(60 - time.time() % 60)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "fast"), range(12)))
    assert sorted(status for status, _, _ in answers) == [200] * 5 + [429] * 7
    _, headers, body = next(each for each in answers if each[0] == 429)
    assert 0 < int(headers["retry-after"]) <= 60
    assert "of 5 requests a minute has 0 requests left" in body["error"]["message"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "wordy"), range(24)))
    assert 5 <= [status for status, _, _ in answers].count(200) <= 14
    status, headers, body = ask(gateway, "wordy", max_tokens=3001)
    assert status == 429 and headers["retry-after"] is None
    assert "more than the whole limit key wordy of 3,000 tokens a minute" in body["error"]["message"]
    found = account(gateway, "wordy")
    assert found["used"] + found["leased"] <= 3000
