"""Moments and periods as people write and read them. All in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trimaran.errors import ConfigError

__all__ = ["DAY_NS", "parse_when", "utc_text"]

DAY_NS = 86_400 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS = 2**63 - 1
"""What a column holds, in the year 2262. Later moments are this one."""
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_when(text: str, now: datetime) -> int:
    """A moment in nanoseconds since 1970 UTC: ``2026-11-24``, ``2026-11-24T12:30``, ``today``, ``yesterday``, or a time
    back from ``now``: ``90m``, ``24h``, ``7d``. What has no time zone is UTC.

    Raises:
        ConfigError: none of these.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    moment = words.get(text.strip().lower()) or _back_from(text, now)
    if moment is None:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ConfigError(
                f"{text!r} is no date or span", hint="write 2026-11-24, 2026-11-24T12:30, today, yesterday, 24h or 7d"
            ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - _EPOCH) // timedelta(microseconds=1), 0) * 1000, _LAST_NS)


def utc_text(wall_ns: int) -> str:
    """``2026-11-24 13:30:05.123 UTC``."""
    at = datetime.fromtimestamp(wall_ns // 10**9, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{wall_ns // 10**6 % 1000:03d} UTC"


def _back_from(text: str, now: datetime) -> datetime | None:
    number, unit = text.strip()[:-1], text.strip()[-1:]
    if unit not in _SPANS or not number.isascii() or not number.isdigit() or len(number) > 5:
        return None
    try:
        return now - timedelta(**{_SPANS[unit]: int(number)})
    except OverflowError:
        return _EPOCH
