"""A gateway as a user runs it, in a process of its own, in front of simulated providers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from trimaran.testing import SimulatedProvider
from trimaran.testing.contract import SIMULATED_MODELS
from trimaran.testing.contract.boto_session import SECRET_KEY

SOURCE = str(Path(__file__).parents[2] / "src")
UPSTREAM_KEY = "sk-simulated-upstream"
CLIENT_KEY = "sk-contract-client-0123456789"
START_S = 10.0
CLAUDE = "anthropic.claude-haiku-4-5-20251001-v1:0"
BASED = (
    "gpt-4o-mini",
    "claude-haiku-4-5-20251001",
    "gemini-2.5-flash",
    *(name for name in SIMULATED_MODELS if name.startswith("sim-")),
)
"""Models that only the simulation knows: on Bedrock they are as able as a Claude."""
CONFIG = """\
providers:
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  anthropic: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  only-chat: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: [openai.chat, openai.embeddings]}}
  only-responses: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: [openai.responses, openai.input_tokens]}}
  only-messages:
    base_url: "{address}"
    api_key: "${{SIMULATED_KEY}}"
    dialects: [anthropic.messages, anthropic.count_tokens]
  gemini: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  bedrock:
    base_url: "{address}"
    region: us-east-1
    access_key_id: "${{SIMULATED_KEY}}"
    secret_access_key: "${{SIMULATED_SECRET}}"
    base_models: {based}
keys:
  contract: {{key: "${{CLIENT_KEY}}"}}
limits: {{deadline: 5s, ttft: 2s, max_attempts: 2}}
ledger: {{dir: "{folder}"}}
"""


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


class Running:
    """A gateway process with a configuration that a test may rewrite."""

    def __init__(self, folder: Path, config: str, *options: str, environ: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "trimaran.yaml"
        self.config.write_text(config)
        self.port, self.admin_port = _free_port(), _free_port()
        self.output = folder / "output.txt"
        command = [sys.executable, "-m", "trimaran.cli", "serve", f"--config={self.config}", f"--port={self.port}"]
        command += [f"--admin-port={self.admin_port}", *options]
        ours = {"SIMULATED_KEY": UPSTREAM_KEY, "SIMULATED_SECRET": SECRET_KEY, "CLIENT_KEY": CLIENT_KEY}
        environ = {**os.environ, "PYTHONPATH": SOURCE, **ours, **(environ or {})}
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                command, env=environ, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder
            )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_base_url(self) -> str:
        return f"{self.address}/v1"

    def ready(self) -> Running:
        _wait_ready(self.process, f"{self.address}/readyz", self.output)
        return self

    def state(self) -> dict[str, object]:
        """What ``/admin/state`` says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/admin/state", timeout=5) as answer:
            return json.load(answer)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def log(self) -> str:
        return self.output.read_text()

    def until(self, condition, what: str, timeout_s: float = 5.0):
        """Poll until ``condition()`` is true; what it gave."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            try:
                if value := condition():
                    return value
            except OSError:
                pass
            time.sleep(0.02)
        return pytest.fail(f"{what} did not happen within {timeout_s} s:\n{self.log()[-3000:]}")

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@pytest.fixture(scope="session")
def gateway(simulated, tmp_path_factory):
    """``trimaran serve`` with one worker."""
    folder = tmp_path_factory.mktemp("gateway")
    running = Running(
        folder,
        CONFIG.format(
            address=simulated.base_url, folder=folder / "ledger", based=json.dumps(dict.fromkeys(BASED, CLAUDE))
        ),
    )
    try:
        yield running.ready()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Starts gateways that end with the module: ``launch(config, *options)``."""
    started = []

    def launch(config: str, *options: str, **more) -> Running:
        running = Running(tmp_path_factory.mktemp("served"), config, *options, **more)
        started.append(running)
        return running

    yield launch
    for running in started:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture
def start(tmp_path):
    """Starts gateways that end with the test: ``start(config, *options)``."""
    started = []

    def start(config: str, *options: str, **more) -> Running:
        running = Running(tmp_path, config.replace("LEDGER", str(tmp_path / "ledger")), *options, **more)
        started.append(running)
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()


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
