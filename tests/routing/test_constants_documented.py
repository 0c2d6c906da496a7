"""The routing page states what the code does, and every constant states its reason."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/routing.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)\.([A-Z_]+)` \| ([\d.]+) \| (.+) \|$", PAGE, re.MULTILINE)
ROOM = ROOT / "src/trimaran/routing"


@pytest.mark.parametrize(("module", "name", "value", "why"), ROWS, ids=[f"{row[0]}.{row[1]}" for row in ROWS])
def test_the_page_states_the_value_in_use(module: str, name: str, value: str, why: str) -> None:
    assert getattr(importlib.import_module(f"trimaran.routing.{module}"), name) == float(value)
    assert len(why) > 5


def test_the_page_has_its_table() -> None:
    assert len(ROWS) >= 30


@pytest.mark.parametrize("file", sorted(ROOM.glob("*.py")), ids=lambda file: file.stem)
def test_every_constant_has_a_reason(file: Path) -> None:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    bare = []
    for place, node in enumerate(body):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.BinOp)):
            continue
        assert isinstance(node.targets[0], ast.Name)
        # Constants that belong together share the reason that follows the last of them.
        after = next((each for each in body[place + 1 :] if not isinstance(each, ast.Assign)), None)
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)) and node.targets[0].id.isupper():
            bare.append(node.targets[0].id)
    assert not bare, f"say why {bare} have the values they have"
