"""The gateway as a process: several workers, reload, graceful end, clients that leave, and what the ledger knows of it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from trimaran.ledger import Store, spend
from trimaran.testing import Behaviour, SimulatedProvider

CONFIG = """\
models:
  chat: {{strategy: {strategy}, targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5-20251001]}}
providers:
  openai: {{base_url: "{openai}", api_key: "${{SIMULATED_KEY}}"}}
  anthropic: {{base_url: "{anthropic}", api_key: "${{SIMULATED_KEY}}"}}
limits: {{deadline: 20s, ttft: 5s}}
ledger: {{dir: LEDGER}}
"""


@pytest.fixture
def openai():
    with SimulatedProvider(Behaviour(ttft_s=0.005, output_tokens=5)).in_thread() as provider:
        yield provider


@pytest.fixture
def anthropic():
    with SimulatedProvider(Behaviour(ttft_s=0.02, output_tokens=5)).in_thread() as provider:
        yield provider


@pytest.fixture
def config(openai, anthropic):
    return CONFIG.format(strategy="fastest", openai=openai.base_url, anthropic=anthropic.base_url)


def ask(address: str, **members: object) -> tuple[int, dict[str, str], bytes]:
    """One chat request on a connection of its own."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50, **members}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def test_four_workers_agree_on_circuits_and_their_metrics_are_one(start, config, openai, anthropic) -> None:
    running = start(config, "--workers=4").ready()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: ask(running.address)[0], range(80)))
        assert statuses == [200] * 80
        workers = running.state()["workers"]
        assert isinstance(workers, list)
        assert len({each["pid"] for each in workers}) == 4
        openai.behaviour = Behaviour(fault="status", status=503)
        began = time.monotonic()
        assert [status for status, _, _ in pool.map(lambda _: ask(running.address), range(40))] == [200] * 40
        running.until(lambda: running.state()["circuits"]["openai/gpt-4o-mini"] != "closed", "the circuit opening")
        # One second on, every worker knows: the broken target sees trials only, whichever worker a client meets.
        time.sleep(max(0.0, 1.0 - (time.monotonic() - began)) + 0.25)
        seen = len(openai.log)
        assert [status for status, _, _ in pool.map(lambda _: ask(running.address), range(40))] == [200] * 40
        assert len(openai.log) - seen <= 2
    running.until(lambda: counted(running.metrics()) == 160, "160 requests in the merged metrics")
    assert running.stop() == 0
    with Store(running.folder / "ledger" / "ledger.sqlite3") as store:
        rows = spend(store, "provider")
        assert sum(row.requests for row in spend(store, "model")) == 160
    assert sum(row.attempts for row in rows) == len(openai.log) + len(anthropic.log)


def counted(page: str) -> int:
    return sum(int(float(value)) for value in re.findall(r"^trimaran_requests_total\{[^}]*\} (\S+)", page, re.M))


def test_a_worker_that_is_killed_is_replaced_and_nothing_it_wrote_is_lost(start, config, openai) -> None:
    running = start(config).ready()
    assert all(ask(running.address)[0] == 200 for _ in range(20))
    (worker,) = running.state()["workers"]
    subprocess.run(["kill", "-9", str(worker["pid"])], check=True)
    running.until(lambda: running.state()["workers"][0]["pid"] not in (None, worker["pid"]), "a new worker")
    running.until(lambda: ask(running.address)[0] == 200, "an answer from it")
    assert running.stop() == 0
    with Store(running.folder / "ledger" / "ledger.sqlite3") as store:
        assert sum(row.requests for row in spend(store, "model")) == 21


def test_a_reload_keeps_the_last_good_configuration(start, config, openai, anthropic) -> None:
    running = start(config.replace("fastest", "ordered")).ready()
    assert ask(running.address)[1]["x-trimaran-target"] == "openai/gpt-4o-mini"
    running.config.write_text(running.config.read_text().replace("models:", "modles:"))
    running.until(lambda: running.state()["last_reload_error"], "a refused reload")
    assert "trimaran.yaml:1" in str(running.state()["last_reload_error"])
    assert "models" in running.log()
    assert ask(running.address)[0] == 200
    good = running.config.read_text().replace("modles:", "models:")
    running.config.write_text(good.replace("openai/gpt-4o-mini, ", ""))
    running.process.send_signal(signal.SIGHUP)
    running.until(lambda: running.state()["snapshot_version"] > 1, "the new configuration")
    running.until(
        lambda: ask(running.address)[1]["x-trimaran-target"] == "anthropic/claude-haiku-4-5-20251001", "its target"
    )
    assert running.state()["last_reload_error"] is None


def test_a_graceful_end_finishes_streams_and_takes_no_new_request(start, config, openai) -> None:
    openai.behaviour = Behaviour(ttft_s=0.01, tpot_s=0.02, output_tokens=50)
    running = start(config.replace("fastest", "ordered")).ready()
    answers: list[bytes] = []
    client = threading.Thread(target=lambda: answers.append(ask(running.address, stream=True)[2]))
    client.start()
    openai.wait_until(lambda provider: any(row.tokens_sent > 3 for row in provider.log))
    running.process.terminate()
    time.sleep(0.2)
    with pytest.raises(OSError, match=r"refused|reset"):
        ask(running.address)
    client.join(10)
    assert running.process.wait(10) == 0
    assert answers[0].endswith(b"data: [DONE]\n\n")
    assert answers[0].count(b'"content":') >= 50


def test_a_client_that_leaves_cancels_the_upstream(start, config, openai) -> None:
    openai.behaviour = Behaviour(ttft_s=0.01, tpot_s=0.01, output_tokens=5000)
    running = start(config.replace("fastest", "ordered")).ready()
    body = b'{"model":"chat","stream":true,"max_tokens":5000,"messages":[{"role":"user","content":"hi"}]}'
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert b"text/event-stream" in client.recv(4096)
    openai.wait_until(lambda provider: any(row.outcome == "cancelled" for row in provider.log))
    assert running.stop() == 0
    with Store(running.folder / "ledger" / "ledger.sqlite3") as store:
        ((status, estimated),) = store.connection.execute("SELECT status, estimated FROM attempts").fetchall()
    assert (status, estimated) == ("cancelled", 1)


def test_traffic_moves_when_the_fast_provider_slows_and_comes_back(start, config, openai, anthropic) -> None:
    running = start(config).ready()

    def share(requests: int) -> float:
        answers = [ask(running.address, stream=True)[1]["x-trimaran-target"] for _ in range(requests)]
        return sum(target.startswith("openai/") for target in answers) / requests

    share(10)
    assert share(30) > 0.7
    openai.behaviour = Behaviour(ttft_s=0.12, output_tokens=5)
    share(20)
    assert share(30) < 0.3
    openai.behaviour = Behaviour(ttft_s=0.002, output_tokens=5)
    for _ in range(20):
        if share(20) > 0.7:
            return
    pytest.fail("traffic did not come back")


def test_a_provider_that_resets_is_never_seen_by_clients(start, config, openai) -> None:
    openai.behaviour = Behaviour(fault="reset")
    running = start(config.replace("fastest", "ordered")).ready()
    answers = [ask(running.address) for _ in range(10)]
    assert [status for status, _, _ in answers] == [200] * 10
    assert answers[0][1]["x-trimaran-attempts"] == "3"
    assert {headers["x-trimaran-target"] for _, headers, _ in answers} == {"anthropic/claude-haiku-4-5-20251001"}


def test_a_second_gateway_on_the_port_is_refused(start, config) -> None:
    running = start(config).ready()
    second = subprocess.run(
        [sys.executable, "-m", "trimaran.cli", "serve", "--mock", f"--port={running.port}", "--admin-port=0"],
        capture_output=True,
        text=True,
        timeout=20,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "HOME": str(running.folder)},
    )
    assert second.returncode == 2
    assert f"port {running.port} is in use" in second.stderr
    assert "--port" in second.stderr
    assert "Traceback" not in second.stderr


def test_no_secret_stands_in_any_output(start, config) -> None:
    canary = "sk-canary-7f3a"
    running = start(config, environ={"SIMULATED_KEY": canary}).ready()
    ask(running.address)
    ask(running.address, model="nope")
    shown = running.log() + running.metrics() + json.dumps(running.state()) + str(ask(running.address))
    assert running.stop() == 0
    journal = b"".join(path.read_bytes() for path in (running.folder / "ledger").rglob("*") if path.is_file())
    assert canary not in shown + running.log()
    assert canary.encode() not in journal
