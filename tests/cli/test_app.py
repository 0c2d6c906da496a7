"""The command line as people and scripts meet it: exit statuses, messages that say what to do, and no secret anywhere."""

from __future__ import annotations

import http.client
import inspect
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from trimaran.cli import app as command_line
from trimaran.cli import quick
from trimaran.cli.serve import command
from trimaran.cli.simulated import MockProcess

CANARY = "sk-canary-7d1f0b3a9c8e5f24"
ROOT = Path(__file__).parents[2]


class Place:
    """A folder to run commands in, with an environment that holds no credential unless one is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        self.environ = {**kept, "HOME": str(folder), "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "trimaran.cli", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, status: int = 0, **environ: str) -> tuple[str, str]:
        """Stdout and stderr of a command that ends with that status, and shows neither traceback nor canary."""
        process = self.start(*arguments, **environ)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == status, out + err
        assert "Traceback" not in out + err
        assert CANARY not in out + err
        return out, err


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def in_process(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Like :meth:`Place.run`, for commands that start nothing: without the cost of a process."""
    monkeypatch.chdir(place.folder)
    for name in list(os.environ):
        if name.startswith(("TRIMARAN_", "XDG_")) or name.endswith(("_API_KEY", "_BASE_URL", "_AUTH_TOKEN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(place.folder))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, status: int = 0, **environ: str) -> tuple[str, str]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["trimaran", *arguments])
        found = command_line.run()
        out, err = capsys.readouterr()
        assert found == status, out + err
        assert "Traceback" not in out + err
        assert CANARY not in out + err
        return out, err

    return run


def test_help_groups_the_commands_by_what_they_are_for(in_process) -> None:
    out, _ = in_process("--help")
    places = [out.index(f" {word} ") for word in ("Route", "serve", "Configure", "doctor", "Bill", "spend")]
    assert places == sorted(places)


def test_every_command_explains_itself(in_process) -> None:
    for name in ("serve", "ask", "demo", "mock", "doctor", "init", "env", "check", "spend", "ledger"):
        out, _ = in_process(name, "--help")
        assert f"Usage: trimaran {name}" in out
        assert "--with-parent" not in out


def test_version(in_process) -> None:
    from trimaran import __version__

    assert in_process("--version") == (f"trimaran {__version__}\n", "")


def test_without_a_command_it_shows_what_there_is(in_process) -> None:
    out, err = in_process(status=2)
    assert "Usage: trimaran" in out + err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["spend", "--bogus"], "--bogus"),
        (["nosuch"], "nosuch"),
        (["ask"], "prompt"),
        (["mock", "--port", "many"], "--port"),
        (["demo", "extra"], "extra"),
        (["mock", "--fault", "nope"], "missing_end_marker"),
        (["mock", "--ttft", "-1"], "ttft_s"),
        (["mock", "--port", "70000"], "--port"),
        (["ask", "--mock", "--max-tokens", "0", "hi"], "--max-tokens"),
        (["ask", ""], "empty"),
        (["ask", "hi"], "OPENAI_API_KEY"),
        (["check", "--config", "absent.yaml"], "absent.yaml: no such file"),
        (["init", "absent/trimaran.yaml"], "absent/trimaran.yaml"),
        (["spend"], "there is no ledger yet"),
        (["ledger", "explain", "0123"], "there is no ledger yet"),
        (["ledger", "status"], "there is no ledger yet"),
        (["spend", "--tag", "team"], "NAME=VALUE"),
        (["spend", "--json", "--csv"], "choose one"),
        (["spend", "--since", "soon"], "'soon'"),
    ],
)
def test_bad_input_ends_with_2_and_names_what_was_wrong(in_process, arguments: list[str], named: str) -> None:
    out, err = in_process(*arguments, status=2)
    assert named in err
    assert not out


BROKEN = {
    "not closed": ("models:\n  chat: {targets: [openai/gpt-4o-mini]\n", r"trimaran\.yaml:3:"),
    "unknown setting": ("models:\n  chat: {targets: [openai/gpt-4o-mini], stratgy: x}\n", r"trimaran\.yaml:2: .*strat"),
    "unknown provider": ("models:\n  chat: {targets: [opnai/gpt-4o-mini]}\n", r"trimaran\.yaml:2: .*opnai"),
    "missing variable": ("providers:\n  openai:\n    api_key: ${NOPE}\n", r"trimaran\.yaml:3: .*NOPE"),
    "secret in the file": (f"providers:\n  openai:\n    api_key: {CANARY}\n", r"trimaran\.yaml:3: "),
}


@pytest.mark.parametrize(
    ("name", "text"),
    [("check", text) for text in BROKEN]
    # Only what builds the targets can know every provider.
    + [(name, text) for name in ("doctor", "spend") for text in BROKEN if text != "unknown provider"],
)
def test_a_broken_file_is_refused_with_its_line(in_process, place: Place, name: str, text: str) -> None:
    content, expected = BROKEN[text]
    (place.folder / "trimaran.yaml").write_text(content)
    out, err = in_process(name, status=2)
    assert re.search(expected, err), err
    assert not out


def test_serve_refuses_a_broken_file_and_starts_nothing(place: Place) -> None:
    content, expected = BROKEN["unknown setting"]
    (place.folder / "trimaran.yaml").write_text(content)
    out, err = place.run("serve", "--port=0", status=2, OPENAI_API_KEY=CANARY)
    assert re.search(expected, err), err
    assert "listening" not in err and not out


def test_serve_leaves_mistakes_to_the_full_command_line(place: Place) -> None:
    _, err = place.run("serve", "--bogus", status=2)
    assert "No such option: --bogus" in err


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_in_use_names_the_option(place: Place, taken: int, option: str) -> None:
    ports = {"--port": "0", "--admin-port": "0", option: str(taken)}
    _, err = place.run("serve", *(f"{name}={port}" for name, port in ports.items()), status=2)
    assert err == f"trimaran: port {taken} is in use; choose another with {option}\n"


def test_a_mock_whose_port_is_in_use_says_so(place: Place, taken: int) -> None:
    _, err = place.run("mock", f"--port={taken}", status=2)
    assert "--port" in err and str(taken) in err


def test_serve_says_at_once_that_the_ledger_cannot_be_written(place: Place) -> None:
    (place.folder / "file").touch()
    _, err = place.run("serve", "--port=0", "--ledger-dir=./file", status=2)
    assert "file: the ledger's folder cannot be used" in err and "--ledger-dir" in err


def test_init_refuses_to_overwrite(in_process, place: Place) -> None:
    in_process("init", OPENAI_API_KEY=CANARY)
    file = place.folder / "trimaran.yaml"
    file.write_text(file.read_text() + "# mine\n")
    _, err = in_process("init", status=2)
    assert "--force" in err
    assert file.read_text().endswith("# mine\n")
    in_process("init", "--force")
    assert "# mine" not in file.read_text()
    assert CANARY not in file.read_text()
    out, _ = in_process("check")
    assert "openai/gpt-4o-mini" in out


def test_env_prints_what_a_shell_can_evaluate(in_process) -> None:
    out, _ = in_process("env", "--port", "4999")
    said = subprocess.run(
        ["sh", "-c", f"{out}\necho $OPENAI_BASE_URL $ANTHROPIC_BASE_URL"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "http://127.0.0.1:4999/v1 http://127.0.0.1:4999\n"


@pytest.mark.parametrize(
    ("host", "place_of_clients"), [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("127.0.0.2", "127.0.0.2")]
)
def test_env_names_where_the_gateway_listens(in_process, place: Place, host: str, place_of_clients: str) -> None:
    (place.folder / "trimaran.yaml").write_text(f'server: {{host: "{host}"}}\nkeys: {{mine: {{key: "${{MINE}}"}}}}\n')
    out, _ = in_process("env", MINE=CANARY)
    assert f"export OPENAI_BASE_URL=http://{place_of_clients}:4000/v1\n" in out


def test_check_does_not_send_you_to_serve_nothing(in_process) -> None:
    out, err = in_process("check")
    assert "nothing is served yet" in out
    assert "OPENAI_API_KEY" in err and err.endswith("'trimaran serve --mock' needs nothing\n")


def test_doctor_does_not_ask_for_keys_that_are_there(in_process, place: Place) -> None:
    (place.folder / "trimaran.yaml").write_text('providers: {openai: {base_url: "http://127.0.0.1:1"}}\n')
    out, err = in_process("doctor", status=1, OPENAI_API_KEY=CANARY)
    assert "nothing listens at 127.0.0.1" in out
    assert "set one of the keys" not in err and "'to do'" in err


def test_ask_without_a_model_names_those_to_choose_from(in_process, place: Place) -> None:
    (place.folder / "trimaran.yaml").write_text(
        "models:\n  chat: {targets: [openai/gpt-4o-mini]}\n  fast: {targets: [openai/gpt-4o-mini]}\n"
    )
    _, err = in_process("ask", "hi", status=2, OPENAI_API_KEY=CANARY)
    assert "--model: chat, fast" in err


def test_ask_that_fails_points_to_doctor_and_keeps_its_ledger_private(in_process, place: Place) -> None:
    (place.folder / "trimaran.yaml").write_text('providers: {openai: {base_url: "http://127.0.0.1:1"}}\n')
    _, err = in_process("ask", "--ledger-dir=./kept/ledger", "hi", status=1, OPENAI_API_KEY=CANARY)
    assert "127.0.0.1:1" in err and "Next: trimaran doctor" in err
    assert (place.folder / "kept/ledger").stat().st_mode & 0o777 == 0o700


def test_doctor_without_credentials_ends_with_1_and_says_what_to_set(in_process) -> None:
    out, _ = in_process("doctor", status=1)
    assert "export OPENAI_API_KEY=..." in out


# Simulated answers


def test_ask_mock_as_json_and_then_the_bill(place: Place, in_process) -> None:
    # A real address and real keys in the file: with --mock nothing may go there, nor any of them anywhere.
    (place.folder / "trimaran.yaml").write_text(
        "models:\n  chat: {targets: [openai/gpt-4o-mini, groq/llama-3.1-8b-instant]}\n"
        'providers:\n  openai: {base_url: "http://127.0.0.1:9/v1", api_key: "${MINE}"}\n  groq: {api_key: "${MINE}"}\n'
    )
    out, err = place.run("ask", "--mock", "--json", "--explain", "What is 42 * 37?", MINE=CANARY)
    found = json.loads(out)
    assert "Simulated reply" in found["response"]
    assert found["attempts"] == 1 and found["cost_nanos"] > 0
    assert {row["target"] for row in found["decision"]} == {"openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"}
    assert "--mock" in err

    out, _ = in_process("spend", "--json", MINE=CANARY)
    report = json.loads(out)
    (row,) = report["rows"]
    assert row["simulated_attempts"] == row["attempts"] == 1
    assert row["cost_nanos"] == found["cost_nanos"] == report["totals"][0]["total_nanos"]
    out, _ = in_process("spend", "--by", "tenant,model", "--csv", MINE=CANARY)
    assert out.splitlines()[0].startswith("tenant,model,simulated,requests")
    out, _ = in_process("spend", "--focus", "--simulated", MINE=CANARY)
    assert out.startswith("BilledCost,") and f",{found['target']}\n" in out
    assert in_process("spend", "--focus", MINE=CANARY)[0].count("\n") == 1, "what is simulated is no charge"
    _, err = in_process("spend", "--tenant", "nobody", MINE=CANARY)
    assert "leave out the filters" in err
    for request in (found["request_id"], found["request_id"] + "-1"):
        out, err = in_process("ledger", "explain", request, MINE=CANARY)
        assert found["target"] in out and "simulated" in err and "input x $" in out
    out, _ = in_process("ledger", "explain", "--json", found["request_id"], MINE=CANARY)
    assert json.loads(out)[0]["attempt"]["cost_nanos"] == found["cost_nanos"]
    for request in ("f" * 32, found["request_id"] + "-2"):
        _, err = in_process("ledger", "explain", request, status=2, MINE=CANARY)
        assert "x-trimaran-request-id" in err
    out, _ = in_process("ledger", "status", "--json", MINE=CANARY)
    status = json.loads(out)
    assert (status["attempts"], status["open_attempts"], status["waiting_records"], status["problem"]) == (1, 0, 0, "")
    out, _ = in_process("ledger", "status", MINE=CANARY)
    assert "newest attempt" in out
    Path(status["store"]).write_bytes(b"no database" * 999)
    out, _ = in_process("ledger", "status", status=1, MINE=CANARY)
    assert "no SQLite database" in out
    kept = b"".join(file.read_bytes() for file in place.folder.rglob("*") if file.is_file())
    assert CANARY.encode() not in kept and b"42 * 37" not in kept


def test_ask_explain_shows_the_decision_before_the_answer(place: Place) -> None:
    out, err = place.run("ask", "--mock", "--explain", "hi")
    for words in (
        "How it is decided",
        "openai/gpt-4o-mini",
        "anthropic/claude-haiku-4-5-20251001",
        "closed",
        "fastest",
    ):
        assert words in out
    assert out.index("How it is decided") < out.index("Simulated reply")
    assert "Next: trimaran ledger" in err


def test_a_stream_that_breaks_off_ends_its_line(place: Place) -> None:
    with MockProcess("--fault=cut") as mock:
        (place.folder / "trimaran.yaml").write_text(
            "models: {chat: {targets: [sim/any]}}\n"
            f'providers: {{sim: {{base_url: "{mock.base_url}", api_key: "${{MINE}}", simulated: true}}}}\n'
        )
        out, err = place.run("ask", "--stream", "hi", status=1, MINE=CANARY)
    assert out.startswith("Simulated") and out.endswith("\n")
    assert "middle of its answer" in err and "Next: trimaran doctor" in err


def test_ask_for_an_unknown_model_lists_what_is_served(place: Place) -> None:
    _, err = place.run("ask", "--mock", "--model", "nope", "hi", status=2)
    assert "'nope'" in err and "auto" in err


# The gateway


@contextmanager
def serving(place: Place, *arguments: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``trimaran serve`` and its port, once it listens."""
    process = place.start("serve", "--port=0", "--admin-port=0", *arguments, **environ)
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", said)):
            ready, _, _ = select.select([process.stderr], [], [], 20)
            line = process.stderr.readline() if ready else ""
            assert line, said
            said += line
        yield process, int(found[1])
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=10)
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            process.wait()


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pids: Sequence[int]) -> list[int]:
    deadline = time.monotonic() + 10
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def test_serve_without_a_provider_starts_and_says_what_to_set(place: Place) -> None:
    with serving(place) as (process, port):
        assert get(port, "/healthz")[0] == 200
        status, body = get(port, "/readyz")
        assert status == 503
        assert "OPENAI_API_KEY" in body and "--mock" in body
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at the process table")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_serve_mock_leaves_no_process_behind(place: Place, number: signal.Signals) -> None:
    with serving(place, "--mock", OPENAI_API_KEY=CANARY) as (process, port):
        assert get(port, "/readyz")[0] == 200
        started = children(process.pid)
        assert len(started) == 2
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        assert wait_until_gone(started) == []
    assert process.returncode == (-number if number == signal.SIGKILL else 0)
    assert "Traceback" not in err and CANARY not in err


# The short way into serve


def test_the_short_way_knows_exactly_the_options_of_serve() -> None:
    declared = typer.main.get_command(command_line.app).commands["serve"].params
    options = {word: each.name for each in declared if not each.is_flag for word in each.opts}
    flags = {word: each.name for each in declared if each.is_flag for word in each.opts}
    assert {word: key for word, (key, _) in quick.OPTIONS.items()} == options
    assert flags == quick.FLAGS
    assert {each.name for each in declared} == set(inspect.signature(command).parameters)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve"], {}),
        (["serve", "--port=1", "-c", "a=b.yaml", "--mock"], {"port": 1, "config": "a=b.yaml", "mock": True}),
        (["serve", "--state", "./x", "--workers", "2"], {"ledger_dir": "./x", "workers": 2}),
        (["serve", "--port", "1", "--port", "2"], {"port": 2}),
        (["serve", "--help"], None),
        (["serve", "-h"], None),
        (["serve", "--port"], None),
        (["serve", "--port="], None),
        (["serve", "--port", "x"], None),
        (["serve", "--port", "--mock"], None),
        (["serve", "--mock=1"], None),
        (["serve", "extra"], None),
        (["serve", "--por", "1"], None),
        (["--version"], None),
        (["ask", "serve"], None),
        ([], None),
    ],
)
def test_the_short_way_takes_only_what_is_flawless(arguments: list[str], expected: dict[str, object] | None) -> None:
    assert quick.options(arguments) == expected


def test_serve_loads_no_command_line_library() -> None:
    # sqlite3 comes with the ledger's room, whose thread needs it soon after.
    heavy = {"typer", "click", "rich", "yaml", "uvicorn", "starlette", "trimaran.testing"}
    code = "import sys, trimaran.cli, trimaran.cli.quick, trimaran.cli.output, trimaran.cli.serve; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert heavy & set(said.split()) == set()
