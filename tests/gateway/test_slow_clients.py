"""Clients that send a byte now and then, or never read: cut off by the server's limits, while others are served."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from trimaran.testing import Behaviour, SimulatedProvider

CONFIG = """\
models: {{chat: {{targets: [openai/gpt-4o-mini]}}}}
providers: {{openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}}}
server: {{receive: 1s, keep_alive: 1s}}
limits: {{deadline: 2s}}
ledger: {{dir: "{folder}"}}
"""
BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]}).encode()
STREAM = json.dumps({"model": "chat", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider().in_thread() as it:
        yield it


@pytest.fixture(scope="module")
def running(provider, launch, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("slow")
    return launch(CONFIG.format(address=provider.base_url, folder=folder)).ready()


def connect(running) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


def served(running) -> bool:
    request = urllib.request.Request(
        f"{running.address}/v1/chat/completions", BODY, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bool(json.load(answer)["choices"])


def test_a_request_that_trickles_in_is_given_up_and_holds_nobody_up(provider, running) -> None:
    clients = [connect(running) for _ in range(50)]
    request = HEAD % len(BODY) + BODY
    began = time.monotonic()
    for index in range(6):
        for client in clients:
            client.send(request[index : index + 1])
        time.sleep(0.1)
    assert served(running)
    answers = [client.recv(65536) for client in clients]
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    assert time.monotonic() - began < 5
    assert all(client.recv(1) == b"" for client in clients)
    for client in clients:
        client.close()


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from /proc")
def test_a_client_that_never_reads_is_cut_off_and_takes_no_memory(provider, running) -> None:
    assert served(running)
    (worker,) = running.state()["workers"]
    before = resident_mib(worker["pid"])
    # 80 MB for each of them, and the provider sends all of it as fast as it is taken.
    provider.behaviour = Behaviour(text="word " * 400_000)
    clients = [connect(running) for _ in range(5)]
    for client in clients:
        client.sendall(HEAD % len(STREAM) + STREAM)
    provider.wait_until(lambda p: sum(row.stream for row in p.log) == 5, timeout_s=15)
    most = before
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        most = max(most, resident_mib(worker["pid"]))
        time.sleep(0.05)
    assert most - before < 60, f"{before:.0f} MiB grew to {most:.0f} MiB"
    provider.behaviour = Behaviour()
    provider.wait_until(lambda p: p.connections <= 1, timeout_s=10)
    running.until(lambda: all(each["in_flight"] == 0 for each in running.state()["workers"]), "an idle worker", 10)
    assert served(running)
    for client in clients:
        client.close()
