"""The demo's stage: two simulated providers and a gateway, each a process with a port of its own, and a real file."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from trimaran.cli.children import START_S, Child
from trimaran.cli.simulated import MOCK_KEY, MockProcess
from trimaran.errors import StartError

__all__ = ["ANTHROPIC", "MODEL", "OPENAI", "Stage", "stage"]

MODEL = "chat"
OPENAI = "openai"
ANTHROPIC = "anthropic"

_CONFIG = """\
# Written by `trimaran demo`. The providers are simulated; everything else is as in a real configuration.
models:
  chat:
    strategy: fastest
    targets: [openai/gpt-4o-mini, anthropic/claude-haiku-4-5-20251001]
    limits: {{deadline: 10s}}
providers:
  openai: {{base_url: {openai}/v1, api_key: "${{OPENAI_API_KEY}}", simulated: true}}
  anthropic: {{base_url: {anthropic}, api_key: "${{ANTHROPIC_API_KEY}}", simulated: true}}
"""


class Stage:
    """What runs, and how to change it."""

    def __init__(self, folder: Path, mocks: dict[str, MockProcess]) -> None:
        self.mocks = mocks
        self.config = folder / "trimaran.yaml"
        self.ledger_dir = folder / "ledger"
        self.log = folder / "gateway.log"
        self.gateway: Child
        self.url = ""
        self.admin_url = ""

    def simulate(self, provider: str, **changes: object) -> None:
        """Change how a simulated provider behaves."""
        status, body = _exchange("POST", f"{self.mocks[provider].base_url}/_simulate", json.dumps(changes))
        if status != 200:
            raise StartError(f"the simulated {provider} did not take {changes}: {body}")

    def circuits(self) -> dict[str, str]:
        """State of each target's circuit, by target; empty while the admin page cannot be read."""
        try:
            found: dict[str, str] = json.loads(_exchange("GET", f"{self.admin_url}/admin/state")[1])["circuits"]
        except OSError:
            return {}
        return found


@contextmanager
def stage() -> Iterator[Stage]:
    """Set up, and at the end take down: no process and no file stays."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="trimaran-demo-")))
        mocks = {name: stack.enter_context(MockProcess(f"--seed={n}")) for n, name in enumerate((OPENAI, ANTHROPIC))}
        built = Stage(folder, mocks)
        built.config.write_text(_CONFIG.format(**{name: mock.base_url for name, mock in mocks.items()}), "utf-8")
        arguments = ("serve", f"--config={built.config}", "--port=0", "--admin-port=0")
        built.gateway = stack.enter_context(
            Child(
                *arguments,
                f"--ledger-dir={built.ledger_dir}",
                what="the gateway",
                environ=_environ(),
                log=built.log,
            )
        )
        built.url, metrics = built.gateway.addresses()[:2]
        built.admin_url = metrics.removesuffix("/metrics")
        _wait_until_ready(built)
        yield built


def _environ() -> dict[str, str]:
    """The gateway's: no real credential and nothing that would change the configuration."""
    dropped = ("TRIMARAN_", "OPENAI_", "ANTHROPIC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "OPENAI_API_KEY": MOCK_KEY, "ANTHROPIC_API_KEY": MOCK_KEY}


def _wait_until_ready(built: Stage) -> None:
    deadline = time.monotonic() + START_S
    answer = "no answer"
    while built.gateway.running and time.monotonic() < deadline:
        try:
            status, answer = _exchange("GET", f"{built.url}/readyz")
        except OSError as error:
            answer = str(error)
        else:
            if status == 200:
                return
        time.sleep(0.02)
    raise StartError(f"the gateway is not ready: {answer}")


def _exchange(method: str, url: str, body: str | None = None) -> tuple[int, str]:
    """One request on loopback, whatever proxy the environment names."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=5.0)
    try:
        connection.request(method, place.path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from error
    finally:
        connection.close()
