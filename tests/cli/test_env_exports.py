"""A shell that evaluates the exports points the vendors' clients at the gateway."""

from __future__ import annotations

import subprocess

import anthropic
import openai
import pytest

from trimaran.cli.env import exports


def evaluated(lines: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    script = "\n".join(lines) + '\necho "$OPENAI_BASE_URL $OPENAI_API_KEY $ANTHROPIC_BASE_URL $ANTHROPIC_API_KEY"'
    return subprocess.run(["/bin/sh", "-c", script], env=environ, capture_output=True, text=True, check=False)


def test_the_clients_reach_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
    for name, value in zip(names, evaluated(exports(4321)).stdout.split(), strict=True):
        monkeypatch.setenv(name, value)
    assert str(openai.OpenAI().base_url) == "http://127.0.0.1:4321/v1/"
    assert str(anthropic.Anthropic().base_url).rstrip("/") == "http://127.0.0.1:4321"


def test_a_required_key_is_taken_from_its_variable() -> None:
    lines = exports(4000, keys=["team-a", "team-b"])
    assert "team-a, team-b" in lines[0]
    assert evaluated(lines, TRIMARAN_KEY="k y").stdout == "http://127.0.0.1:4000/v1 k y http://127.0.0.1:4000 k y\n"
    missing = evaluated(lines)
    assert missing.returncode != 0
    assert "put a key of the gateway into TRIMARAN_KEY first" in missing.stderr


def test_an_ipv6_address_is_bracketed() -> None:
    assert "export OPENAI_BASE_URL=http://[::1]:4000/v1" in exports(4000, host="::1")
