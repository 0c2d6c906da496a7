"""The examples of ``docs/simulated-sagemaker.md`` run, and its tables hold what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from trimaran.testing.sagemaker import CONTAINERS, EndpointStatus

pytest.importorskip("boto3", reason="boto3 is not installed: pip install 'trimaran[aws]'")

PAGE = Path(__file__).parents[2] / "docs/simulated-sagemaker.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs(code):
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})


def test_there_are_examples():
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("word", [*CONTAINERS, *get_args(EndpointStatus)])
def test_every_container_and_state_is_on_the_page(word):
    assert f"`{word}`" in TEXT
