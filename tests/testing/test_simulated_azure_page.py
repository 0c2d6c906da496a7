"""The examples of ``docs/simulated-azure.md`` run, and its tables hold what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trimaran.testing import Azure, AzureCloud
from trimaran.testing.azure_ml import ML_CONTAINERS
from trimaran.testing.azure_openai_account import FILTERS
from trimaran.testing.azure_services import AZURE_DIALECTS
from trimaran.testing.entra import ENTRA_LINKS, IDENTITY_HEADER
from trimaran.testing.entra_services import IDENTITY_PATH

PAGE = Path(__file__).parents[2] / "docs/simulated-azure.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs(code):
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})


def test_there_are_examples():
    assert len(BLOCKS) == 4


def test_the_tables_are_whole():
    assert [dialect.name for dialect in Azure().dialects()] == list(AZURE_DIALECTS)
    for name in (*AZURE_DIALECTS, *ENTRA_LINKS, *ML_CONTAINERS):
        assert f"\n| `{name}` |" in TEXT, name
    for name in (*FILTERS, IDENTITY_HEADER, IDENTITY_PATH):
        assert name in TEXT, name
    for name in AzureCloud.__struct_fields__:
        assert name in ("issued", "clock") or f"`{name}`" in TEXT, name
