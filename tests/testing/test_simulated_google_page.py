"""The examples of ``docs/simulated-google.md`` run, and its tables hold what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trimaran.testing import GoogleCloud
from trimaran.testing.google_identity import LINKS
from trimaran.testing.google_services import GOOGLE_DIALECTS, Google

pytest.importorskip("google.genai", reason="google-genai is not installed: pip install google-genai")

PAGE = Path(__file__).parents[2] / "docs/simulated-google.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs(code):
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})


def test_there_are_examples():
    assert len(BLOCKS) == 3


def test_the_tables_are_whole():
    assert [dialect.name for dialect in Google().dialects()] == list(GOOGLE_DIALECTS)
    for name in (*GOOGLE_DIALECTS, *LINKS):
        assert f"\n| `{name}` |" in TEXT, name
    for name in GoogleCloud.__struct_fields__:
        assert name in ("issued", "clock") or f"`{name}`" in TEXT, name
