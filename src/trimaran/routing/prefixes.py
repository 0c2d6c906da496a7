"""What of a prompt a target's cache could hold: hashes of its beginnings, and the table of those sent lately.

Providers keep the beginnings of prompts for some minutes and read them again at a fraction of the price. A prompt is hashed at growing lengths,
each hash over all bytes from the start, so that two prompts share a hash exactly as far as they share their bytes. Each
target's :class:`Table` says when a beginning was last answered there. Half of the lengths are powers of two, the others lie
between, so at least two thirds of a shared beginning are found.

What is counted is bytes of the request, not tokens, and a provider may have dropped an entry early or want it marked by the client. All
of that goes into one learned share, see :data:`PRIOR_SHARE`.
"""

from __future__ import annotations

from zlib import crc32

__all__ = [
    "BYTES_PER_TOKEN",
    "CACHE_TTL_S",
    "LENGTHS",
    "MAX_ENTRIES",
    "PRIOR_SHARE",
    "SHARE_CAP",
    "SHARE_MEMORY",
    "Table",
    "prefix_hashes",
]

BYTES_PER_TOKEN = 4
"""Of a body, as in the estimate of its input tokens."""
_KIB = 1024
LENGTHS = tuple(length for power in range(11) for length in (4 * _KIB << power, 6 * _KIB << power))
"""Bytes: 4, 6, 8, 12, 16 KiB and so on up to 6 MiB. The first is 1024 tokens, below which no known provider caches; the
last is a context of a million and a half."""
CACHE_TTL_S = 300.0
"""Anthropic keeps a prefix for 5 minutes after its last use, OpenAI for 5 to 10 of inactivity (their pages on prompt caching,
read 2026-11-24)."""
MAX_ENTRIES = 16384
"""Beginnings remembered of one target: some 1,500 conversations of 50 KB, in at most 2 MB."""
PRIOR_SHARE = 0.5
"""Share of a predicted hit that is expected to be reported, before the first was seen. OpenAI caches unasked, Anthropic only what the
client marks."""
SHARE_MEMORY = 10.0
"""Predicted hits that the share remembers: clients that mark their prompts and such as do not take turns."""
SHARE_CAP = 1.5
"""The longest known beginning may fall short of what is cached by a third, so more than all may be reported."""


def prefix_hashes(body: bytes, start: int = 0, end: int | None = None, *, seed: int = 0) -> tuple[int, ...]:
    """Hashes of ``body[start:end]`` at each of :data:`LENGTHS` that it reaches, shortest first; empty below 4 KiB.

    ``start`` and ``end`` are the span of the member that holds the conversation (``messages``, ``input``), because members before it,
    such as ``model`` and ``stream``, may differ where the prompt does not. ``seed`` stands for what the provider puts before the
    conversation: a hash of ``tools`` and ``system``, where they are members of their own, and of nothing else.
    """
    last = len(body) if end is None else end
    if last - start < LENGTHS[0]:
        return ()
    view = memoryview(body)
    found = []
    at = start
    value = seed
    for length in LENGTHS:
        until = start + length
        if until > last:
            break
        value = crc32(view[at:until], value)
        found.append(value)
        at = until
    return tuple(found)


class Table:
    """When each beginning was last answered by one target. Two generations, so that forgetting costs nothing: when the younger one is
    full, it becomes the older, whose entries are gone."""

    __slots__ = ("_older", "_younger")

    def __init__(self) -> None:
        self._younger: dict[int, float] = {}
        self._older: dict[int, float] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self._younger, self._older) == (other._younger, other._older)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._younger) + len(self._older)

    def note(self, prefixes: tuple[int, ...], now: float) -> None:
        """They were answered at ``now``."""
        younger = self._younger
        if len(younger) + len(prefixes) > MAX_ENTRIES // 2:
            self._older = younger
            self._younger = younger = {}
        for prefix in prefixes:
            younger[prefix] = now

    def tokens(self, prefixes: tuple[int, ...], now: float) -> int:
        """Tokens of the longest of ``prefixes`` that may still be in the cache; 0 when none is."""
        since = now - CACHE_TTL_S
        for place in range(len(prefixes) - 1, -1, -1):
            prefix = prefixes[place]
            at = self._younger.get(prefix) or self._older.get(prefix)
            if at is not None and at >= since:
                return LENGTHS[place] // BYTES_PER_TOKEN
        return 0
