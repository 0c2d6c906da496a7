"""The journal as the road writes it: append is a few stores into mapped memory, and no system call.

One writer belongs to one process and one thread. Its owner calls :meth:`JournalWriter.prepare` on a coarse timer (about
once a second): there the next segment is made ahead of need, finished ones are closed, and memory is given back. An
append that outruns the timer makes its segment itself.

One segment always stands ready, so that a full disk (or a folder that is gone) shows while there is still room for the
requests that run: ``healthy`` turns false, ``problem`` says why, and every ``prepare`` tries again. When the room is
used up, records wait in memory, in order and within a bound; they are written first when there is a segment again, and
only the death of the process can lose them. Beyond the bound they are lost, and ``lost`` counts them. Whether requests
are served or refused meanwhile is the owner's policy, not decided here.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections import deque
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

_BACKLOG_BYTES = 64 * 1024 * 1024
"""About 200,000 attempts: minutes of a busy worker, and no more memory than a worker can spare."""

_CATCH_UP_BYTES = 1024 * 1024
"""Of what waits, written by one ``prepare``: some thousand records, which hold up the road for tens of milliseconds."""

_CATCH_UP_FACTOR = 4
"""So many times its own size is written by each append behind which others wait: the queue shrinks under any load."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a full disk, a quota or a limit on files says."""


class JournalWriter:
    """Appends records to mapped segments in ``directory``. See the module's note for who calls what."""

    __slots__ = (
        "_backlog",
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
        "_stuck",
        "_view",
        "_words",
        "backlog_bytes",
        "backlog_limit",
        "healthy",
        "lost",
        "problem",
        "written",
    )

    _segment: Segment | None
    """``None`` when it was full and none could be made."""
    _view: memoryview
    _words: memoryview
    _position: int
    _limit: int
    """Where the current segment ends; 0 where there is none or records wait before this one; negative once closed."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        name: str,
        segment_bytes: int = SEGMENT_BYTES,
        *,
        patient: bool = False,
    ) -> None:
        """Make the folder (mode 0700) and the first segment (mode 0600). ``name`` is the worker's, without dots.

        ``patient``: begin without a segment when the disk is full, as if it had filled up later. For a process that takes
        over from one that died.

        Raises:
            StartError: the folder cannot be made or written, or the disk is full and the writer not ``patient``.
        """
        if not name or "." in name or "/" in name:
            raise ValueError(f"a journal's name has no dot and no slash: {name!r}")
        self._directory = Path(directory)
        self._name = name
        self._boot = f"{time.time_ns():016x}{os.urandom(5).hex()}"
        self._number = 0
        self._segment_bytes = -(-segment_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._longest = min(self._segment_bytes - HEADER_BYTES - 4 * WORD, MAX_RECORD_BYTES)
        self._encode = msgspec.msgpack.Encoder().encode
        self._next: Segment | None = None
        self._retired: list[Segment] = []
        self._backlog: deque[bytes] = deque()
        self._stuck = False
        self.backlog_bytes = 0
        self.backlog_limit = _BACKLOG_BYTES
        self.healthy = True
        self.problem = ""
        self.lost = 0
        """Records that are nowhere: they could not be encoded, or came beyond the bound."""
        self.written = 0
        """Records of earlier segments and of this one."""
        try:
            make_private(self._directory)
            remove_unborn(self._directory, time.time())
            segment = self._create()
        except OSError as error:
            if patient and error.errno in _FULL:
                self._segment = None
                self._position = self._limit = 0
                self._stuck, self.healthy = True, False
                self.problem = self._said(error)
                return
            raise StartError(
                f"the journal cannot be written: {error.strerror or error}",
                where=str(self._directory),
                hint="free some disk space, make the folder writable, or set ledger.dir to another one",
            ) from error
        self._take(segment)

    @property
    def life(self) -> str:
        """Name of this writer's segments, up to their number: no other writer ever has it."""
        return f"{self._name}.{self._boot}"

    @property
    def backlog(self) -> int:
        """Records that wait in memory."""
        return len(self._backlog)

    def append(self, record: Record) -> bool:
        """Write one record; once this returns true, the death of the process does not lose it.

        False: it waits in memory (``backlog``) or is lost (``lost`` counts it, ``problem`` says why). It raises nothing:
        a record must not be able to break the request that it is about.
        """
        try:
            payload = self._encode(record)
        except (msgspec.MsgspecError, OverflowError, TypeError, ValueError) as error:
            return self._lose(f"a record cannot be encoded: {error}")
        size = len(payload)
        start = self._position
        end = start + 8 + ((size + 3) & -4)
        if end > self._limit:
            return self._append_in_next(payload)
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
        if self._segment is not None:
            self._segment.position = self._position
            self._segment.release()
        if self._next is None:
            self._make_next()
        if self._backlog:
            self._catch_up(_CATCH_UP_BYTES)
        self.healthy = self._next is not None and not self._backlog
        if self.healthy:
            self.problem = ""
        return self.healthy

    def close(self) -> None:
        """Write what waits, as far as there is room, and seal what is open; what cannot be written is lost and counted.
        The writer is not used after this; closing twice is harmless."""
        if self._limit < 0:
            return
        if self._backlog:
            if self._next is None:
                self._make_next()
            self._catch_up(self.backlog_bytes)
            self.lost += len(self._backlog)
            self._backlog.clear()
            self.backlog_bytes = 0
        self._retire()
        self._limit = -1
        if self._next is not None:
            self._next.finish()
            self._retired.append(self._next)
            self._next = None
        self._close_retired()

    def _append_in_next(self, payload: bytes) -> bool:
        """The current segment is full (or there is none): go on in the next one."""
        if self._limit < 0:
            return self._lose("the journal is closed")
        if len(payload) > self._longest:
            return self._lose(f"a record of {len(payload)} bytes is too long")
        if self._backlog or not self._advance():
            if not self._keep(payload):
                return False
            if not self._stuck:
                self._catch_up(_CATCH_UP_FACTOR * len(payload))
            return not self._backlog
        self._write(payload)
        return True

    def _advance(self) -> bool:
        """Leave the current segment for the next one; whether there is one."""
        # When it has failed only the timer tries again: the road must not pay a failing call for each record.
        if self._next is None and (self._stuck or not self._make_next()):
            self.healthy = False
            self._retire()
            self._limit = 0
            return False
        self._close_retired()
        self._take_next()
        return True

    def _write(self, payload: bytes) -> None:
        """As :meth:`append` does, in a segment that has room."""
        size, start = len(payload), self._position
        self._view[start + 8 : start + 8 + size] = payload
        self._words[(start >> 2) + 1] = crc32(payload, size)
        self._words[start >> 2] = size
        self._position = start + 8 + ((size + 3) & -4)
        self.written += 1

    def _keep(self, payload: bytes) -> bool:
        if self.backlog_bytes + len(payload) > self.backlog_limit:
            return self._lose(self.problem)
        self._backlog.append(payload)
        self.backlog_bytes += len(payload)
        return True

    def _catch_up(self, most: int) -> None:
        """Write about ``most`` bytes of what waits, oldest first, making segments as long as that works."""
        while self._backlog and most > 0:
            payload = self._backlog[0]
            if self._segment is None or self._position + len(payload) + 8 + WORD > self._segment.limit:
                if self._next is None and not self._make_next():
                    break
                self._take_next()
            self._write(payload)
            self._backlog.popleft()
            self.backlog_bytes -= len(payload)
            most -= len(payload)
        self._limit = 0 if self._backlog or self._segment is None else self._segment.limit

    def _lose(self, problem: str) -> bool:
        self.problem = problem
        self.lost += 1
        return False

    def _make_next(self) -> bool:
        try:
            self._next = self._create()
        except OSError as error:
            self.problem = self._said(error)
            self._stuck = True
            return False
        self._stuck = False
        return True

    def _said(self, error: OSError) -> str:
        return f"no journal segment can be made in {self._directory}: {error.strerror or error}"

    def _take_next(self) -> None:
        segment, self._next = self._next, None
        assert segment is not None
        self._retire()
        self._take(segment)

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
        if self._segment is not None:
            self._segment.position = self._position
            self._segment.finish()
            self._retired.append(self._segment)
            self._segment = None
