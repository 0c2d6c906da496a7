"""The examples of ``docs/simulated-providers.md`` run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/simulated-providers.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs(code, capsys):
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})
    said = capsys.readouterr().out
    if "429, 200]" in code:
        assert "[200, 429, 200]" in said


def test_there_are_examples():
    assert len(BLOCKS) == 4
