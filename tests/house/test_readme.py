"""The README claims nothing that does not run: its examples are taken from the page and executed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trimaran.cli.app import app
from trimaran.config import load
from trimaran.dispatch.lookup import resolve
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.providers import PROVIDERS
from trimaran.testing import Behaviour, SimulatedProvider

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KEYS = {"OPENAI_API_KEY": "sk-simulated", "ANTHROPIC_API_KEY": "sk-ant-simulated"}


def example(language: str, containing: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if containing in block]
    assert len(found) == 1, f"one {language} example with {containing!r} is expected in the README, not {len(found)}"
    return found[0]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimulatedProvider]:
    """Both vendors, simulated, and an environment whose only keys lead there."""
    for row in PROVIDERS.values():
        for name in (*row.key_env, *row.base_url_env):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with SimulatedProvider(Behaviour(text="1554")).in_thread() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.openai_base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.anthropic_base_url)
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        yield running


def test_the_library_example_runs(provider: SimulatedProvider, capsys: pytest.CaptureFixture[str]) -> None:
    code = example("python", "MultiCloudRouter()")
    assert len([line for line in code.splitlines() if line]) <= 7
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    try:
        assert re.fullmatch(r"\[(openai|anthropic)\] [\d.]+ms: 1554\n", capsys.readouterr().out)
        assert len(provider.log) == 1
        stats = names["router"].stats()  # type: ignore[attr-defined]
        assert stats, "the README promises figures by provider"
    finally:
        names["router"].close()  # type: ignore[attr-defined]


def test_the_library_example_survives_a_provider(provider: SimulatedProvider) -> None:
    # "… and the other one if that fails": whichever is asked first, it answers with 503.
    from trimaran import MultiCloudRouter

    for broken, other in (("openai", "anthropic"), ("anthropic", "openai")):
        dialects = {"openai": "openai.chat", "anthropic": "anthropic.messages"}
        provider.set_behaviour(Behaviour(fault="status", status=503), dialects[broken])
        provider.set_behaviour(Behaviour(text="1554"), dialects[other])
        with MultiCloudRouter() as router:
            assert router.route("What is 42 * 37?")["provider"] == other


def test_when_all_fail_each_attempt_is_listed(provider: SimulatedProvider) -> None:
    from trimaran import MultiCloudRouter

    provider.behaviour = Behaviour(fault="status", status=503)
    with (
        MultiCloudRouter() as router,
        pytest.raises(RuntimeError, match=r"openai/gpt-4o-mini.*anthropic/claude|anthropic/claude.*openai/gpt"),
    ):
        router.route("What is 42 * 37?")


def test_the_configuration_example_is_one(tmp_path: Path) -> None:
    file = tmp_path / "trimaran.yaml"
    file.write_text(example("yaml", "strategy: fastest"), encoding="utf-8")
    snapshot = build_snapshot(load(str(file), KEYS), KEYS, version=1)
    policy, targets = resolve(snapshot, "chat")
    assert policy.strategy == "fastest"
    assert [target.provider for target in targets] == ["openai", "anthropic"]
    assert all(target.price is not None for target in targets), "the README promises exact costs"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `trimaran serve --mock`, run as the README says (but for the port)."""
    folder = tmp_path_factory.mktemp("readme")
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "trimaran.cli", "serve", "--mock", "--port", "0", "--ledger-dir", str(folder)]
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            while not (found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", said)):
                line = process.stdout.readline()
                assert line, f"it ended: {said}"
                said += line
            yield found[1]
        finally:
            process.terminate()
            process.stdout.read()


@pytest.mark.parametrize("sdk", ["from openai import", "from anthropic import"])
def test_the_sdk_examples_run(gateway: str, sdk: str) -> None:
    code = example("python", sdk)
    assert "http://127.0.0.1:4000" in code
    names: dict[str, object] = {}
    exec(compile(code.replace("http://127.0.0.1:4000", gateway), "README.md", "exec"), names)
    with names["client"]:  # type: ignore[attr-defined]
        answer = str(names["answer"])
    assert "simulated" in answer


def test_the_command_table_is_the_command_line() -> None:
    from typer.main import get_command

    commands = get_command(app).commands  # type: ignore[attr-defined]
    rows = dict(re.findall(r"^\| `trimaran (\w+)` \| (.*) \|$", README, re.MULTILINE))
    assert set(rows) == {name for name, command in commands.items() if not command.hidden}
    shell = "".join(re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    shown = set(re.findall(r"(?:^|\(|`)trimaran ([a-z]+)", shell, re.MULTILINE)) | set(
        re.findall(r"`trimaran ([a-z]+)", README)
    )
    assert shown <= set(commands), f"the README shows {shown - set(commands)}, and there is no such command"
    for name, text in [*rows.items(), *re.findall(r"trimaran (\w+) (--.*)", README)]:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        missing = set(re.findall(r"--[a-z][a-z-]+", text)) - options
        assert not missing, f"trimaran {name} has no {missing}"


def test_make_targets_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        text = document.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
        assert named <= targets, f"{document.name} names {named - targets}"
