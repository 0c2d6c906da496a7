"""A gateway as a user runs it, in a process of its own, in front of a simulated OpenAI and Anthropic."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.contract import SIMULATED_MODELS

SOURCE = str(Path(__file__).parents[2] / "src")
UPSTREAM_KEY = "sk-simulated-upstream"
CLIENT_KEY = "sk-contract-client-0123456789"
START_S = 10.0
NEEDED = ("trimaran.gateway", "trimaran.control", "trimaran.cli.__main__")
CONFIG = """\
providers:
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  anthropic: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
keys:
  contract: {{key: "${{CLIENT_KEY}}"}}
limits: {{deadline: 5s, ttft: 2s, max_attempts: 2}}
ledger: {{dir: "{folder}"}}
"""


@dataclass(frozen=True)
class Gateway:
    """Where it listens."""

    address: str

    @property
    def openai_base_url(self) -> str:
        return f"{self.address}/v1"


@pytest.fixture(scope="session")
def upstream_key():
    """What the provider accepts."""
    return UPSTREAM_KEY


@pytest.fixture(scope="session")
def client_key():
    """What the gateway accepts."""
    return CLIENT_KEY


@pytest.fixture(scope="session")
def simulated():
    """The provider behind the gateway; it accepts the gateway's credential and no client's."""
    with SimulatedProvider(behaviours=SIMULATED_MODELS, keys=[UPSTREAM_KEY]).in_thread() as provider:
        yield provider


@pytest.fixture(scope="session")
def gateway(simulated, tmp_path_factory):
    """``trimaran serve`` with one worker."""
    for module in NEEDED:
        if not _exists(module):
            pytest.skip(f"the gateway cannot be started yet: {module} does not exist")
    folder = tmp_path_factory.mktemp("gateway")
    config = folder / "trimaran.yaml"
    config.write_text(CONFIG.format(address=simulated.base_url, folder=folder / "ledger"))
    port = _free_port()
    command = [sys.executable, "-m", "trimaran.cli", "serve", "--config", str(config), "--port", str(port)]
    environ = {**os.environ, "PYTHONPATH": SOURCE, "SIMULATED_KEY": UPSTREAM_KEY, "CLIENT_KEY": CLIENT_KEY}
    with open(folder / "output.txt", "w+b") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
        try:
            _wait_ready(process, f"http://127.0.0.1:{port}/readyz", folder / "output.txt")
            yield Gateway(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.02)
    pytest.fail(f"the gateway did not become ready (exit {process.poll()}):\n{output.read_text()[-4000:]}")
