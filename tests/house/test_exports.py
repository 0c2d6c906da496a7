"""What is public is said, once, in ``__all__``: readers and ``import *`` see the same list, and it cannot rot."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


def public_modules() -> list[str]:
    names = []
    for file in sorted((SOURCE / "trimaran").rglob("*.py")):
        parts = list(file.relative_to(SOURCE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_says_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    assert exported is not None, f"{name} has no __all__: list its public names, or start its file name with _"
    assert len(set(exported)) == len(exported), f"{name}.__all__ names something twice"
    missing = [entry for entry in exported if not hasattr(module, entry)]
    assert not missing, f"{name}.__all__ promises {missing}, and they do not exist"


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_explains_itself(name: str) -> None:
    documentation = importlib.import_module(name).__doc__
    assert documentation, f"{name} has no docstring: a module's docstring is its design note"


def test_every_folder_of_code_is_a_package() -> None:
    # A folder without __init__.py imports as a namespace package: it has no docstring, no __all__, and layers miss it.
    bare = [
        str(folder.relative_to(ROOT))
        for folder in (SOURCE / "trimaran").rglob("*")
        if folder.is_dir() and any(folder.glob("*.py")) and not (folder / "__init__.py").exists()
    ]
    assert not bare, f"no __init__.py in {bare}"
