"""Folders of journal and ledger are their owner's alone, those made above them included."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from trimaran.ledger import JournalWriter, Store
from trimaran.ledger.folders import make_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_folder_that_is_made_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        JournalWriter(tmp_path / "state" / "journal", "w").close()
        with Store(tmp_path / "other" / "ledger.sqlite3"):
            pass
    finally:
        os.umask(before)
    assert {mode(tmp_path / name) for name in ("state", "state/journal", "other")} == {0o700}


def test_what_exists_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    make_private(tmp_path / "open" / "inner")
    make_private(tmp_path / "open")
    assert (mode(tmp_path / "open"), mode(tmp_path / "open" / "inner")) == (0o755, 0o700)
