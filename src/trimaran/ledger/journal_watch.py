"""Says once when a journal cannot be written, and once when it is over. For the owner's coarse timer."""

from __future__ import annotations

import logging

from trimaran.ledger.journal import JournalWriter

__all__ = ["JournalWatch"]

_LOG = logging.getLogger("trimaran.ledger")


class JournalWatch:
    """Prepares ``journal`` and logs what becomes of it."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._trouble = False
        self._lost = 0

    def prepare(self) -> None:
        """In place of :meth:`JournalWriter.prepare`."""
        journal = self._journal
        # Asked first: preparing may clear it.
        problem = journal.problem
        healthy = journal.prepare()
        if not healthy and not self._trouble:
            _LOG.error(
                "%s; trying again every second, records wait in memory when the room is used up", journal.problem
            )
        elif healthy and self._trouble:
            _LOG.warning("the journal can be written again; nothing waits in memory")
        self._trouble = not healthy
        if journal.lost and not self._lost:
            _LOG.error("records are lost, and counted from now on: %s", problem or journal.problem)
        elif healthy and journal.lost > self._lost:
            _LOG.error("%d records are lost so far", journal.lost)
        if healthy or not self._lost:
            self._lost = journal.lost
