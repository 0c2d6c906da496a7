"""Journal segments: fixed-size files that survive the death of the process that writes them.

    header    64 bytes   magic, then zeros
    record    8 + n      u32 length, u32 checksum, n bytes of payload, padded to 4
    ...
    end       4 bytes    0xFFFFFFFF: the writer moved on to its next segment
    (zeros to the end of the file)

All words are aligned and in the machine's byte order. A record exists once its length is not zero; the writer stores
payload and checksum first and the length last, in one store. The file is mapped shared, so what was stored belongs to
the kernel: SIGKILL loses nothing, and no record costs a system call. (Power loss can lose what is neither in the store
nor synced by :func:`sync_segments` yet: the last second.) The checksum covers the length.

The writer holds an exclusive ``flock`` on each file it may still append to. Whoever gets a shared one knows that the
writer has moved on or is dead, and that nothing will be added: the segment is *sealed*.

A new file is made under a temporary name, allocated in full (a full disk is an ``OSError`` here, and not SIGBUS on the
road), locked, and then renamed. Names are never used twice: ``<name>.<boot>.<number>.seg``.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from zlib import crc32

__all__ = [
    "HEADER_BYTES",
    "MAX_RECORD_BYTES",
    "SUFFIX",
    "Segment",
    "SegmentReader",
    "remove_unborn",
    "segment_paths",
    "sync_segments",
]

MAGIC = b"TRIMJNL\x01"
HEADER_BYTES = 64
WORD = 4
END = 0xFFFFFFFF
MAX_RECORD_BYTES = 256 * 1024
SUFFIX = ".seg"
_UNBORN = ".tmp"
_UNBORN_S = 600
_READ_BYTES = 1024 * 1024
_RELEASE_BYTES = 1024 * 1024


class Segment:
    """A segment being written: the mapped file, and where the next record goes. One owner, one thread."""

    __slots__ = ("_fd", "_map", "_released", "data", "limit", "path", "position", "words")

    def __init__(self, path: Path, size: int) -> None:
        """Create the file. Raises ``OSError`` (disk full, no permission) and leaves nothing behind."""
        temporary = path.with_suffix(_UNBORN)
        self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(self._fd, size)
            self._map = mmap.mmap(self._fd, size)
            self._map[: len(MAGIC)] = MAGIC
            os.rename(temporary, path)
        except BaseException:
            os.close(self._fd)
            with suppress(OSError):
                os.unlink(temporary)
            raise
        self.path = path
        self.position = HEADER_BYTES
        self.limit = size - WORD
        self.data = memoryview(self._map)
        self.words = self.data.cast("I")
        self._released = 0

    def finish(self) -> None:
        """Mark the end. Nothing may be appended after this."""
        self.words[self.position // WORD] = END
        self.limit = 0

    def release(self) -> None:
        """Give pages that are full back to the kernel, so that the journal does not count as this process's memory."""
        upto = self.position & -mmap.PAGESIZE
        if upto - self._released >= _RELEASE_BYTES:
            self._map.madvise(mmap.MADV_DONTNEED, self._released, upto - self._released)
            self._released = upto

    def close(self) -> None:
        """Unmap, cut off the unused rest, and let go of the lock."""
        self.words.release()
        self.data.release()
        self._map.close()
        with suppress(OSError):
            os.ftruncate(self._fd, self.position + WORD)
        os.close(self._fd)


class SegmentReader:
    """Reads the committed records of one segment, while its writer lives or after.

    While the writer lives, reading stops at the first thing that is not a whole record: it may be in the making. In a
    sealed segment whatever is not a record is skipped, and counted in ``damaged`` when it is damage: a bad checksum or
    length, or a hole with records behind it. The remains of an append cut short by death are no damage; they were never
    committed.
    """

    def __init__(self, path: Path) -> None:
        """Raises ``FileNotFoundError`` when another reader has removed the file."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.damaged = 0
        try:
            # Asked before anything is read: what is then read to its end is complete.
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self.sealed = True
        except BlockingIOError:
            self.sealed = False

    def __enter__(self) -> SegmentReader:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def read(self, offset: int) -> tuple[list[bytes], int]:
        """Payloads of the records from ``offset`` on (0 is the start), about 1 MiB of them, and the next offset.

        An empty list means that there is no more now; in a sealed segment, ever.
        """
        start = max(offset, HEADER_BYTES)
        head = os.pread(self._fd, WORD, start)
        if offset == 0 and self.sealed and os.pread(self._fd, len(MAGIC), 0) != MAGIC:
            self.damaged += 1
        if not self.sealed and not any(head):
            return [], start
        payloads, used, done = _parse(os.pread(self._fd, _READ_BYTES, start))
        if payloads or done or not self.sealed:
            return payloads, start + used
        return self._skip(start)

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return os.fstat(self._fd).st_size

    def sync(self) -> None:
        """Have the kernel write to disk what was stored so far, by whichever process. Blocks."""
        os.fsync(self._fd)

    def _skip(self, start: int) -> tuple[list[bytes], int]:
        """Go on behind something that is not a record; in a sealed segment only."""
        rest = os.pread(self._fd, os.fstat(self._fd).st_size, start)
        words = memoryview(rest)[: len(rest) & -WORD].cast("I")
        cut_short = not words or words[0] == 0
        for index in range(1, len(rest.rstrip(b"\0")) // WORD + 1):
            if index + 1 < len(words) and 0 < words[index] <= MAX_RECORD_BYTES:
                payloads, used, _ = _parse(rest[index * WORD : index * WORD + _READ_BYTES])
                if payloads:
                    self.damaged += 1
                    return payloads, start + index * WORD + used
        self.damaged += not cut_short
        return [], start + len(rest)


def segment_paths(directory: Path) -> list[Path]:
    """All segments, oldest life first, in the order they were written."""
    return sorted(directory.glob("*" + SUFFIX))


def sync_segments(directory: Path, done: set[str]) -> int:
    """Have the kernel write all segments to disk, from whichever process; how many bytes they take. Blocks.

    ``done`` is the caller's memory between calls: names that were sealed when they were synced, and so stay as they are.
    """
    names = {path.name for path in segment_paths(directory)}
    done &= names
    total = 0
    for name in sorted(names):
        with suppress(OSError), SegmentReader(directory / name) as reader:
            total += reader.size
            if name not in done:
                reader.sync()
                if reader.sealed:
                    done.add(name)
    if names:
        with suppress(OSError):
            _sync_folder(directory)
    return total


def remove_unborn(directory: Path, now_s: float) -> None:
    """Delete files whose maker died before it could name them. ``now_s`` is the wall clock, as in file times."""
    for path in directory.glob("*" + _UNBORN):
        with suppress(OSError):
            if now_s - path.stat().st_mtime > _UNBORN_S:
                path.unlink()


def _parse(chunk: bytes) -> tuple[list[bytes], int, bool]:
    """Whole records at the start of ``chunk``, the bytes they take, and whether the end mark follows."""
    payloads: list[bytes] = []
    words = memoryview(chunk)[: len(chunk) & -WORD].cast("I")
    index, last = 0, len(words) - 1
    while index < last:
        length = words[index]
        if not 0 < length <= MAX_RECORD_BYTES:
            break
        start = index * WORD + 8
        payload = chunk[start : start + length]
        if crc32(payload, length) != words[index + 1]:
            break
        payloads.append(payload)
        index += 2 + (length + WORD - 1) // WORD
    return payloads, index * WORD, index <= last and words[index] == END


def _allocate(fd: int, size: int) -> None:
    """Give the file its blocks now. Writes zeros where the system has no call for it."""
    try:
        os.posix_fallocate(fd, 0, size)
    except AttributeError:
        zeros = bytes(_READ_BYTES)
        for offset in range(0, size, _READ_BYTES):
            os.pwrite(fd, zeros[: size - offset], offset)


def _sync_folder(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
