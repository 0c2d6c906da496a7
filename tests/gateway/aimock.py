"""aimock as a process: a mock of the providers' APIs that nobody here wrote, so that it shares no error with this code.

It stands in ``.tools/aimock`` (``python3 scripts/install_aimock.py``; CI does so) and needs Node. Answers come from
fixtures: what a request must look like, and the text or the calls of the answer in every API's own form. It is right
about chat completions, responses, embeddings and messages, unary and streamed. Not to be taken for the real thing, as of
1.43: counting tokens (404), cached tokens (never reported), and whatever belongs to Bedrock and Vertex.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["Aimock", "why_not"]

CLI = Path(__file__).resolve().parents[2] / ".tools" / "aimock" / "dist" / "cli.js"
OLDEST_NODE = 20
START_S = 15.0
_LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")


def why_not() -> str:
    """Why it cannot be started here; empty where it can."""
    node = shutil.which("node")
    if node is None:
        return "aimock needs Node, and there is none"
    if not CLI.exists():
        return "aimock is not installed: python3 scripts/install_aimock.py"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=START_S).stdout.strip()
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < OLDEST_NODE:
        return f"aimock needs Node {OLDEST_NODE} or newer, and this is {version or 'none'}"
    return ""


class Aimock:
    """One process on a free loopback port. It accepts ``key`` and no other; what no fixture is about, it answers with 503."""

    def __init__(self, folder: Path, fixtures: list[dict[str, Any]], key: str) -> None:
        file = folder / "fixtures.json"
        file.write_text(json.dumps({"fixtures": fixtures}))
        self._output = folder / "aimock.txt"
        self._key = key
        node = shutil.which("node")
        assert node is not None
        command = [
            node,
            str(CLI),
            "--host=127.0.0.1",
            "--port=0",
            f"--fixtures={file}",
            "--strict",
            "--validate-on-load",
        ]
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                [*command, "--chunk-size=7"],
                env={**os.environ, "AIMOCK_API_KEYS": key},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
            )
        try:
            self.address = self._ready()
        except BaseException:
            self.stop()
            raise

    def journal(self) -> list[dict[str, Any]]:
        """The requests so far: ``path``, ``headers`` and ``body``, a conversation being put into chat's form."""
        request = urllib.request.Request(
            f"{self.address}/__aimock/journal", headers={"Authorization": f"Bearer {self._key}"}
        )
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            entries: list[dict[str, Any]] = json.load(answer)
        return entries

    def stop(self) -> None:
        """End the process, and no other."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> str:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            found = _LISTENING.search(self._output.read_text())
            if found:
                return found[1]
            time.sleep(0.02)
        raise RuntimeError(f"aimock did not start (exit {self._process.poll()}):\n{self._output.read_text()[-2000:]}")
