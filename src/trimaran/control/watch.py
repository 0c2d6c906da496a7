"""Notices that a file changed, by polling: it costs one ``stat`` a look and works on every file system and mount.

A change is reported once the file has looked the same twice in a row, because editors and config maps write in steps.
Of an SQLite database its ``-wal`` is looked at, too: what was committed stands there first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["POLL_INTERVAL_S", "FileWatch"]

POLL_INTERVAL_S = 0.5
"""With the second look that confirms a change, a change is taken up within a second."""

_Signature = tuple[int, int, int] | None


class FileWatch:
    """Remembers what the files looked like when they were last used."""

    def __init__(self, paths: Sequence[str], databases: Sequence[str] = ()) -> None:
        """``databases`` may be missing: their coming and going is a change like any other."""
        self._paths = tuple(paths)
        self._databases = tuple(name for path in databases for name in (path, f"{path}-wal"))
        self._used = self._look()
        self._last = self._used

    def changed(self) -> bool:
        """Look once. True when the files differ from those last used and have come to rest; now they are used."""
        now = self._look()
        settled = now == self._last
        self._last = now
        # A missing file is most likely about to be replaced; the configuration in use stays.
        if not settled or now == self._used or None in now[: len(self._paths)]:
            return False
        self._used = now
        return True

    def take(self) -> None:
        """The files are about to be read for another reason: what they look like now is not a change."""
        self._used = self._last = self._look()

    def _look(self) -> tuple[_Signature, ...]:
        return tuple(_signature(path) for path in (*self._paths, *self._databases))


def _signature(path: str) -> _Signature:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
