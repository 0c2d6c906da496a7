"""Folders that only their owner can read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["make_private"]


def make_private(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, each with mode 0700; what exists keeps its mode.

    Not ``mkdir(mode=…, parents=True)``: that gives the mode to the last folder only. Raises ``OSError``.
    """
    for each in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        each.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
