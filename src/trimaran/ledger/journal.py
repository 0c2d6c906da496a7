"""The journal as the road writes it: append is a few stores into mapped memory, and no system call.

One writer belongs to one process and one thread. Its owner calls :meth:`JournalWriter.prepare` on a coarse timer (about
once a second): there the next segment is made ahead of need, finished ones are closed, and memory is given back. An
append that outruns the timer makes its segment itself.

When no segment can be made (disk full, folder gone) the road goes on: ``healthy`` turns false, each record that could
not be written is counted in ``lost``, ``problem`` says why, and every ``prepare`` tries again. Whether requests are
then served or refused is the owner's policy, not decided here.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from zlib import crc32

import msgspec

from trimaran.errors import StartError
from trimaran.ledger.folders import make_private
from trimaran.ledger.records import Record
from trimaran.ledger.segments import HEADER_BYTES, MAX_RECORD_BYTES, SUFFIX, WORD, Segment, remove_unborn

__all__ = ["SEGMENT_BYTES", "JournalWriter"]

SEGMENT_BYTES = 16 * 1024 * 1024
"""About 50,000 attempts."""

_AHEAD = 0.75
"""Share of a segment in use at which the next one is made."""


class JournalWriter:
    """Appends records to mapped segments in ``directory``. See the module's note for who calls what."""

    __slots__ = (
        "_ahead_at",
        "_boot",
        "_directory",
        "_encode",
        "_limit",
        "_longest",
        "_name",
        "_next",
        "_number",
        "_position",
        "_retired",
        "_segment",
        "_segment_bytes",
        "_view",
        "_words",
        "healthy",
        "lost",
        "problem",
        "written",
    )

    _segment: Segment
    _view: memoryview
    _words: memoryview
    _position: int
    _limit: int
    """Where the current segment ends; negative once the journal is closed."""

    def __init__(self, directory: str | os.PathLike[str], name: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Make the folder (mode 0700) and the first segment (mode 0600). ``name`` is the worker's, without dots.

        Raises:
            StartError: the folder cannot be made or written, or the disk is full.
        """
        if not name or "." in name or "/" in name:
            raise ValueError(f"a journal's name has no dot and no slash: {name!r}")
        self._directory = Path(directory)
        self._name = name
        self._boot = f"{time.time_ns():016x}{int.from_bytes(os.urandom(3), 'big'):06x}"
        self._number = 0
        self._segment_bytes = -(-segment_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._ahead_at = int(self._segment_bytes * _AHEAD)
        self._longest = min(self._segment_bytes - HEADER_BYTES - 4 * WORD, MAX_RECORD_BYTES)
        self._encode = msgspec.msgpack.Encoder().encode
        self._next: Segment | None = None
        self._retired: list[Segment] = []
        self.healthy = True
        self.problem = ""
        self.lost = 0
        self.written = 0
        """Records of earlier segments and of this one."""
        try:
            make_private(self._directory)
            remove_unborn(self._directory, time.time())
            segment = self._create()
        except OSError as error:
            raise StartError(
                f"the journal cannot be written: {error.strerror or error}",
                where=str(self._directory),
                hint="free some disk space, make the folder writable, or set ledger.dir to another one",
            ) from error
        self._take(segment)

    def append(self, record: Record) -> bool:
        """Write one record; once this returns true, the death of the process does not lose it.

        False: it could not be written, ``lost`` counts it and ``problem`` says why. It raises nothing: a record must
        not be able to break the request that it is about.
        """
        try:
            payload = self._encode(record)
        except (msgspec.MsgspecError, OverflowError, TypeError, ValueError) as error:
            return self._lose(f"a record cannot be encoded: {error}")
        size = len(payload)
        start = self._position
        end = start + 8 + ((size + 3) & -4)
        if end > self._limit:
            return self._append_in_next(record, size)
        self._view[start + 8 : start + 8 + size] = payload
        words = self._words
        word = start >> 2
        words[word + 1] = crc32(payload, size)
        # The length is the commit: it must be the last store.
        words[word] = size
        self._position = end
        self.written += 1
        return True

    def prepare(self) -> bool:
        """Housekeeping for a coarse timer: 3 ms when it makes a segment, else microseconds. Returns ``healthy``."""
        if self._limit < 0:
            return self.healthy
        self._close_retired()
        self._segment.position = self._position
        self._segment.release()
        if self._next is None and (self._position >= self._ahead_at or not self.healthy):
            self._make_next()
        return self.healthy

    def sync(self) -> None:
        """Ask the kernel to write the current segment to disk now. Blocks: for a thread that is not the road's."""
        self._segment.flush()

    def close(self) -> None:
        """Seal what is open. The writer is not used after this; closing twice is harmless."""
        if self._limit < 0:
            return
        self._retire()
        self._limit = -1
        if self._next is not None:
            self._next.finish()
            self._retired.append(self._next)
            self._next = None
        self._close_retired()

    def _append_in_next(self, record: Record, size: int) -> bool:
        """The current segment is full (or there is none): go on in the next one."""
        if self._limit < 0:
            return self._lose("the journal is closed")
        if size > self._longest:
            return self._lose(f"a record of {size} bytes is too long")
        # While it is unhealthy only the timer tries again: the road must not pay a failing call for each record.
        if self._next is None and not (self.healthy and self._make_next()):
            self.healthy = False
            return self._lose(self.problem)
        segment, self._next = self._next, None
        assert segment is not None
        self._close_retired()
        self._retire()
        self._take(segment)
        return self.append(record)

    def _lose(self, problem: str) -> bool:
        self.problem = problem
        self.lost += 1
        return False

    def _make_next(self) -> bool:
        try:
            self._next = self._create()
        except OSError as error:
            self.problem = f"no journal segment can be made in {self._directory}: {error.strerror or error}"
            return False
        self.healthy = True
        self.problem = ""
        return True

    def _create(self) -> Segment:
        path = self._directory / f"{self._name}.{self._boot}.{self._number:06d}{SUFFIX}"
        segment = Segment(path, self._segment_bytes)
        self._number += 1
        return segment

    def _take(self, segment: Segment) -> None:
        self._segment = segment
        self._view = segment.data
        self._words = segment.words
        self._position = segment.position
        self._limit = segment.limit

    def _close_retired(self) -> None:
        for segment in self._retired:
            segment.close()
        self._retired.clear()

    def _retire(self) -> None:
        self._segment.position = self._position
        self._segment.finish()
        self._retired.append(self._segment)
