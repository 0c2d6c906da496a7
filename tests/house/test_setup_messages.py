"""The first thing a newcomer meets must say what is missing and what to do. Interpreters are shell stubs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Answers the three questions that scripts/setup asks: its version, whether that is new enough, whether it has venv.
STUB = """#!/bin/sh
case "$2" in
    *print*) echo {version} ;;
    *version_info*) exit {too_old} ;;
    *ensurepip*) exit {no_venv} ;;
esac
"""


def stub(path: Path, version: str, *, too_old: bool = False, no_venv: bool = False) -> Path:
    path.write_text(STUB.format(version=version, too_old=int(too_old), no_venv=int(no_venv)), encoding="utf-8")
    path.chmod(0o755)
    return path


def setup(folder: Path, python: str, path: str | None = None) -> str:
    """What it printed; it must have failed and made nothing."""
    venv = folder / "venv"
    environ = os.environ | ({"PATH": path} if path is not None else {})
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts/setup"), str(venv), python], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert not venv.exists()
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_old_python_is_named(tmp_path: Path) -> None:
    said = setup(tmp_path, str(stub(tmp_path / "python3", "3.9", too_old=True)))
    assert "Python 3.11 or newer is needed" in said
    assert "python3 is 3.9" in said
    assert "make PYTHON=" in said


def test_a_python_that_does_not_run_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}/nowhere does not run" in setup(tmp_path, f"{tmp_path}/nowhere")


def test_a_missing_venv_module_is_named_with_its_package(tmp_path: Path) -> None:
    said = setup(tmp_path, str(stub(tmp_path / "python3", "3.12", no_venv=True)))
    assert "(3.12) has no venv module" in said
    assert "apt install python3.12-venv" in said


def test_newer_interpreters_are_looked_for(tmp_path: Path) -> None:
    for tool in ("dirname",):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    stub(tmp_path / "python3", "3.9", too_old=True)
    stub(tmp_path / "python3.12", "3.12", no_venv=True)
    assert "python3.12 (3.12) has no venv module" in setup(tmp_path, "", path=str(tmp_path))
    (tmp_path / "python3.12").unlink()
    assert "none was found (python3 is 3.9)" in setup(tmp_path, "", path=str(tmp_path))
