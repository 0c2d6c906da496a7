"""The simulated provider as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from trimaran.errors import StartError
from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.serve import run_mock

SOURCE = str(Path(__file__).parents[2] / "src")
RUN = (
    "from trimaran.testing import Behaviour; from trimaran.testing.serve import run_mock; run_mock(0, {}, Behaviour())"
)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_stops_when_told(stop):
    code = RUN.format("Behaviour(text='from afar')")
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    ) as process:
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line).group()
        body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
        request = urllib.request.Request(f"{address}/v1/chat/completions", body, {"Authorization": "Bearer k"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert b"from afar" in answer.read()
        process.send_signal(stop)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    assert "nothing real" in line


def test_a_taken_port_is_told_with_the_way_out():
    with (
        SimulatedProvider().in_thread() as provider,
        pytest.raises(StartError, match=rf"cannot listen on 127.0.0.1:{provider.port}.*in use"),
    ):
        run_mock(provider.port, Behaviour(), Behaviour())
