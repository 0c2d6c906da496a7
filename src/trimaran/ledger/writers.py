"""Who still writes: lanes of request ids whose journal has a segment that is being written.

An attempt that is open is under way as long as its lane is among them. When a life's last segment is taken in and gone,
its lane goes as well, and what is still open in it never ends: its process died. Registered in the same transaction as
the rows, so that no attempt under way is taken for dead.

Each installation judges its own journals only, because several may share one database.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from trimaran.ledger.database import Database

__all__ = ["DIED", "Writers", "installation"]

DIED = "status = 'open' AND SUBSTR(request_id, 13, 12) NOT IN (SELECT lane FROM writers)"
"""SQL condition on ``attempts``: never settled, and never will be. Its cost is at most ``bound_nanos``."""

_MARK = "installation"


class Writers:
    """The table ``writers``, as far as it is about one installation's journals."""

    def __init__(self, database: Database) -> None:
        self._connection = database.connection
        self._known: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._known.clear()

    def register(self, segment: str, lanes: Iterable[str], place: str) -> None:
        """Requests of ``lanes`` are in ``segment``. In the transaction that writes their rows."""
        life = life_of(segment)
        for lane in lanes:
            if (lane, life) not in self._known:
                self._connection.execute(
                    "INSERT INTO writers (lane, journal, place) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    (lane, life, place),
                )
                self._known.add((lane, life))

    def retire(self, directory: Path, place: str) -> None:
        """Forget those of ``place`` that have no segment left in ``directory``."""
        rows = self._connection.execute("SELECT DISTINCT journal FROM writers WHERE place = ?", (place,)).fetchall()
        if not rows:
            return
        # Looked up after the table: a life registered meanwhile is not among the rows.
        left = {life_of(name) for name in os.listdir(directory) if name.endswith(".seg")}
        for (life,) in rows:
            if life not in left:
                self._connection.execute("DELETE FROM writers WHERE journal = ? AND place = ?", (life, place))
                self._known = {known for known in self._known if known[1] != life}


def life_of(segment: str) -> str:
    """``worker-0.<boot>`` of ``worker-0.<boot>.000007.seg``."""
    return ".".join(segment.split(".")[:2])


def installation(directory: Path) -> str:
    """A name for the journals in ``directory``, made once and kept with them. Raises ``OSError``."""
    path = directory / _MARK
    with suppress(FileNotFoundError):
        if found := path.read_text().strip():
            return found
    made = os.urandom(8).hex()
    temporary = directory / f"{_MARK}.{made}"
    temporary.write_text(made + "\n")
    try:
        # Two may come at once; a link never replaces what is there.
        os.link(temporary, path)
    except FileExistsError:
        made = path.read_text().strip()
    finally:
        temporary.unlink()
    return made
