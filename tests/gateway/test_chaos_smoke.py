"""Twenty seconds of chaos: load, failing providers, killed processes, a full disk; then the books are checked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_twenty_seconds_of_chaos_break_no_promise(tmp_path):
    command = [sys.executable, "-m", "chaos", "--seconds=20", "--seed=11", "--clients=60", "--sqlite"]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    # It was no walk in the park, and somebody was served.
    assert "worker killed" in done.stdout and "supervisor killed" in done.stdout and "disk full" in done.stdout
    assert " whole" in done.stdout
