from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.procfs import Memory
from bench.profiles import parse_import_times, parse_stacks
from bench.report import Report, render_table
from bench.scenarios import SCENARIOS, Figure
from bench.servers import PEERS, SglangRouter, Stage, Trimaran
from bench.wire import ANSWER_BYTES, answer_body, answer_head, sdk_headers


def figure(cpu_us: float | None, failed: int = 0, unsent: int = 0, latency_us: float = 100.0) -> Figure:
    latency = {"p50": latency_us, "p99": 2 * latency_us}
    return Figure(
        cpu_us, None, 0.9, 1000.0, 3000, failed, unsent, {"status 500": failed} if failed else {}, latency, latency
    )


def report() -> Report:
    made = Report("trimaran", ["trimaran", "nginx"], SCENARIOS, {"cpu": "some"})
    for ours, theirs in ((30.0, 20.0), (32.0, 19.0), (90.0, 21.0)):
        made.add("closed", "trimaran", figure(ours))
        made.add("closed", "nginx", figure(theirs))
    made.add("rate100", "direct", figure(None, latency_us=100.0))
    made.add("rate100", "nginx", figure(200.0, latency_us=130.0))
    made.add("burst", "nginx", figure(1.0, failed=2))
    made.add("rate100", "trimaran", figure(200.0, unsent=7))
    made.startup_s = {"trimaran": [0.6, 0.4, 0.5]}
    made.memory = {"trimaran": Memory(100_000_000, 80_000_000, 60_000_000, 2)}
    made.missing = {"litellm": "it could not be installed: no such version"}
    return made


def test_medians_over_rounds_and_verdicts_from_them() -> None:
    made = report()
    assert made.figures()["closed"] == {"trimaran": 32.0, "nginx": 20.0}
    verdicts = {(v.limit.scenario, v.limit.against): v for v in made.verdicts()}
    assert verdicts["closed", "nginx"].measured == 1.6
    assert verdicts["closed", "nginx"].met is True
    assert verdicts["closed", "sglang-router"].met is None
    assert verdicts["startup", ""].measured == 0.5
    assert verdicts["worker_rss", ""].measured == 60.0


def test_a_server_that_answered_wrongly_has_no_figure() -> None:
    made = report()
    assert made.cpu_us("burst", "nginx") is None
    assert made.wrong() == ["nginx, burst: 2 wrong answers, first status 500"]


def test_the_text_names_what_is_missing_and_what_is_wrong() -> None:
    text = report().text()
    assert "missing: litellm: it could not be installed" in text
    assert "WRONG: nginx, burst" in text
    assert "overloaded: trimaran, rate100: 7 requests" in text
    assert "32.0 ±94%" in text
    assert "1.60x" in text
    added = next(line for line in text.splitlines() if line.startswith("answer at 100 requests/s, p50"))
    assert added.split()[-3:] == ["100.0", "0.0", "30.0"]


def test_json_holds_each_round(tmp_path: Path) -> None:
    stored = json.loads(report().write(tmp_path / "new").read_text())
    assert [f["cpu_us"] for f in stored["rounds"]["closed"]["trimaran"]] == [30.0, 32.0, 90.0]
    assert stored["medians"]["closed"]["nginx"] == 20.0
    assert stored["missing"]["litellm"]


def test_table_columns_are_aligned() -> None:
    lines = render_table(["what", "a"], [["long name", 1.0], ["x", None], ["y", 12345.6]]).splitlines()
    assert lines[0] == "what            a"
    assert lines[2:] == ["long name     1.0", "x               -", "y          12,346"]


def test_the_answer_is_what_the_limits_are_about() -> None:
    assert len(answer_body()) == ANSWER_BYTES
    assert len(answer_head("application/json", 1).split(b"\r\n")) - 3 == 20
    headers, source = sdk_headers()
    assert len(headers) >= 14
    assert any(name.lower() == "authorization" for name, _ in headers)
    assert not {name.lower() for name, _ in headers} & {"host", "content-length"}
    assert source


def test_stacks_are_charged_to_the_innermost_room() -> None:
    text = (
        "run (uvloop/loop.pyx:9);feed (src/trimaran/gateway/server.py:12);order (src/trimaran/routing/a.py:3) 6\n"
        "run (uvloop/loop.pyx:9);feed (src/trimaran/gateway/server.py:40) 3\nrun (uvloop/loop.pyx:9) 1\n"
    )
    text = "".join(f"main (src/trimaran/gateway/worker.py:1);{line}\n" for line in text.splitlines())
    own, total, rooms = parse_stacks(text)
    assert rooms == {"routing": 6, "gateway": 3, "the loop and below": 1}
    assert own["feed (src/trimaran/gateway/server.py)"] == 3
    assert total["feed (src/trimaran/gateway/server.py)"] == 9


def test_import_times_are_read() -> None:
    text = (
        "import time: self [us] | cumulative | imported package\nimport time:       120 |       3400 |   trimaran.cli\n"
    )
    assert parse_import_times(text) == [(120, 3400, "trimaran.cli")]


def test_each_server_is_started_on_loopback_with_both_upstreams(tmp_path: Path) -> None:
    for kind in (Trimaran, *PEERS.values()):
        directory = tmp_path / kind.name
        directory.mkdir()
        launch = kind().launch(Stage(directory, (1111, 2222), 3333, 4444, True, tmp_path / "ca.pem"))
        written = " ".join(launch.argv) + "".join(file.read_text() for file in directory.iterdir())
        assert "1111" in written, kind.name
        assert "2222" in written, kind.name
        assert "3333" in written, kind.name
        assert "0.0.0.0" not in written


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--no-install-peers", "--scenarios", "nonsense"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "closed" in done.stderr


def test_a_peer_that_cannot_be_installed_is_missing_for_that_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMARAN_BENCH_HOME", str(tmp_path))
    peer = SglangRouter()
    assert "is not installed" in peer.missing()
    failed = subprocess.CompletedProcess([], 1, "", "warning\nERROR: no such version\n")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: failed)
    assert peer.install() == "it could not be installed: ERROR: no such version"
    assert peer.missing() == peer.install()
