"""The demo, once, as a person runs it; and the judgement by which it calls an act done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trimaran.cli import demo, demo_traffic
from trimaran.cli.demo_traffic import Reply, require_sdks
from trimaran.cli.places import activation
from trimaran.errors import StartError

ROOT = Path(__file__).parents[2]


def environ(tmp_path: Path) -> dict[str, str]:
    """Real-looking keys and a proxy that answers nothing: neither may matter."""
    misleading = {
        "OPENAI_API_KEY": "sk-canary-00",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "TRIMARAN_SERVER_PORT": "9",
    }
    return {**os.environ, **misleading, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}


def start(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trimaran.cli", "demo", *options],
        cwd=tmp_path,
        env=environ(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_demo_shows_traffic_move_and_come_back(tmp_path: Path) -> None:
    process = start(tmp_path)
    began_s = time.monotonic()
    try:
        said, _ = process.communicate(timeout=45)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert time.monotonic() - began_s < 30

    acts = re.findall(r"^(\d)  .*openai +(\d+)%  anthropic +(\d+)%  p50 +\d+ ms  \(\d+ requests, ", said, re.M)
    assert [int(number) for number, _, _ in acts] == [1, 2, 3, 4, 5, 6], said
    leaders = ["openai" if int(first) > int(second) else "anthropic" for _, first, second in acts]
    assert leaders == ["openai", "anthropic", "openai", "openai", "anthropic", "openai"]

    table = re.findall(
        r"^ (openai|anthropic) \(simulated\) +([\d,]+) +([\d,]+) ms +([\d,]+) ms +(\d+) +\$0\.\d+", said, re.M
    )
    assert [row[0] for row in table] == ["openai", "anthropic"], said
    assert all(int(failures) > 0 for *_, failures in table)
    assert int(table[0][2]) < int(table[1][2])
    assert "no client saw a failure" in said
    assert re.search(r"  1\. .*; failed after .*\n  2\. .*; ok after", said)
    for command in ("trimaran demo --keep", "trimaran doctor", "trimaran serve", "OPENAI_API_KEY"):
        assert command in said.partition("Next:")[2]
    assert "sk-canary" not in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at the process table")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_demo_ends_what_it_started(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    try:
        while not (line := process.stdout.readline()).startswith("Gateway on"):
            assert line
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
        )
        started = [int(word) for word in found.stdout.split() if Path(f"/proc/{word}").exists()]
        assert len(started) == 3
        process.send_signal(number)
        said, _ = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []


def replies(text: str) -> list[Reply]:
    names = {"o": "openai", "a": "anthropic"}
    return [Reply(0.0, 0.1, "openai", names[letter], "", 1) for letter in text]


@pytest.mark.parametrize(
    ("text", "expected", "moved"),
    [
        ("o" * 20, "openai", 0),
        ("o" * 19, "openai", None),
        ("o" * 15 + "a" * 5, "openai", None),
        ("a" * 10 + "o" * 20, "openai", 9),
        ("o" * 20, "anthropic", None),
        ("o" * 20 + "a" * 20, "openai", None),
    ],
)
def test_traffic_has_moved_when_the_last_requests_went_there(text: str, expected: str, moved: int | None) -> None:
    assert demo._moved_after(replies(text), expected) == moved


def test_a_missing_sdk_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        demo_traffic.importlib.util, "find_spec", lambda name: None if name == "anthropic" else object()
    )
    with pytest.raises(StartError, match=r"anthropic cannot be imported(.|\n)*trimaran\[demo\]"):
        require_sdks()


def test_the_environment_to_activate_is_named_as_it_would_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert activation() == ". .venv/bin/activate"
    monkeypatch.setattr(sys, "prefix", "/opt/a b")
    assert activation() == ". '/opt/a b/bin/activate'"
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/a b")
    assert activation() == ""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert activation() == ""
