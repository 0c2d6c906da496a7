"""Tables fit where they are shown: in a narrow terminal a row becomes a paragraph, in a file it stays one line."""

from __future__ import annotations

import io
import sys

import pytest

from trimaran.cli.output import print_table

HEADERS = ["provider", "state", "to do"]
ROWS = [["openai", "not configured", "write " + "x" * 90], ["anthropic", "ok", ""]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, title: str = "") -> str:
    terminal = Terminal()
    for name, value in {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        print_table(HEADERS, ROWS, title=title)
    return terminal.getvalue()


def test_a_row_too_wide_for_the_terminal_becomes_a_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 80, title="Providers") == (
        "Providers\n"
        "\nprovider openai\n  state     not configured\n  to do     write " + "x" * 90 + "\n"
        "\nprovider anthropic\n  state     ok\n\n"
    )


def test_a_table_that_fits_stays_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 160).splitlines()
    assert any("openai" in line and ROWS[0][2] in line for line in lines)
    assert any(all(header in line for header in HEADERS) for line in lines)


def test_a_file_has_no_width(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table(HEADERS, [["openai", "ok", "y" * 500]])
    lines = capsys.readouterr().out.splitlines()
    assert any("openai" in line and "y" * 500 in line for line in lines)
    assert max(map(len, lines)) < 600
