"""The windows of wall time in which budgets and limits are counted: pure arithmetic on UTC.

A window is half open: its end is the start of the next one. Days have 86,400 seconds and weeks begin on Monday, as UTC in
POSIX time has it. ``total`` is one window that never ends.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from trimaran.types import PERIODS

__all__ = ["FOREVER_NS", "window", "window_id", "window_time"]

FOREVER_NS = 2**63 - 1
"""Where ``total`` ends: the largest wall time there is."""

_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_LENGTH_NS = {"minute": 60 * _SECOND_NS, "hour": 3600 * _SECOND_NS, "day": _DAY_NS}
_EPOCH = date(1970, 1, 1)
_THURSDAY = 3
"""Days from a Monday to 1970-01-01."""


def window(period: str, wall_ns: int) -> tuple[int, int]:
    """Start and end of the window of ``period`` (one of ``types.PERIODS``) that holds ``wall_ns``, in nanoseconds since 1970."""
    length = _LENGTH_NS.get(period)
    if length is not None:
        start = wall_ns - wall_ns % length
        return start, start + length
    if period == "week":
        since_monday = (wall_ns + _THURSDAY * _DAY_NS) % (7 * _DAY_NS)
        return wall_ns - since_monday, wall_ns - since_monday + 7 * _DAY_NS
    if period == "month":
        first = (_EPOCH + timedelta(days=wall_ns // _DAY_NS)).replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        return (first - _EPOCH).days * _DAY_NS, (following - _EPOCH).days * _DAY_NS
    if period == "total":
        return 0, FOREVER_NS
    raise ValueError(f"a period is one of {', '.join(PERIODS)}, not {period!r}")


def window_id(period: str, start_ns: int) -> str:
    """Name of the window that begins at ``start_ns``: ``2026-11``, ``2026-W48``, ``2026-11-24``, ``2026-11-24T10``,
    ``2026-11-24T10:31``, ``total``."""
    if period == "total":
        return period
    at = datetime.fromtimestamp(start_ns // _SECOND_NS, UTC)
    if period == "week":
        year, week, _ = at.isocalendar()
        return f"{year}-W{week:02d}"
    return at.strftime({"minute": "%Y-%m-%dT%H:%M", "hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}[period])


def window_time(wall_ns: int) -> str:
    """The border of a window for people: ``2026-12-01`` at midnight, else ``2026-11-24 10:31 UTC``."""
    at = datetime.fromtimestamp(wall_ns // _SECOND_NS, UTC)
    return at.strftime("%Y-%m-%d" if wall_ns % _DAY_NS == 0 else "%Y-%m-%d %H:%M UTC")
