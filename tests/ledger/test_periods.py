"""Windows of wall time: borders, leap days, weeks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.ledger.periods import FOREVER_NS, window, window_id, window_time
from trimaran.types import PERIODS


def ns(text: str) -> int:
    at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("period", "at", "start", "end", "name"),
    [
        ("minute", "2026-11-24T10:31:59.999999", "2026-11-24T10:31", "2026-11-24T10:32", "2026-11-24T10:31"),
        ("hour", "2026-11-24T10:31:00", "2026-11-24T10:00", "2026-11-24T11:00", "2026-11-24T10"),
        ("day", "2026-12-31T23:59:59.999999", "2026-12-31", "2027-01-01", "2026-12-31"),
        ("week", "2027-01-03T23:59:59.999999", "2026-12-28", "2027-01-04", "2026-W53"),
        ("week", "2027-01-04T00:00:00", "2027-01-04", "2027-01-11", "2027-W01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01", "2028-02"),
        ("month", "2027-02-28T23:59:59.999999", "2027-02-01", "2027-03-01", "2027-02"),
        ("month", "2026-12-31T00:00:00", "2026-12-01", "2027-01-01", "2026-12"),
    ],
)
def test_windows_at_their_borders(period: str, at: str, start: str, end: str, name: str) -> None:
    assert window(period, ns(at)) == (ns(start), ns(end))
    assert window_id(period, ns(start)) == name


def test_total_never_ends() -> None:
    assert window("total", ns("2026-11-24")) == (0, FOREVER_NS)
    assert window_id("total", 0) == "total"


def test_an_unknown_period_is_refused() -> None:
    with pytest.raises(ValueError, match="minute, hour, day, week, month, total"):
        window("fortnight", 0)


def test_a_border_is_a_date_or_a_time() -> None:
    assert window_time(ns("2026-12-01")) == "2026-12-01"
    assert window_time(ns("2026-11-24T10:31")) == "2026-11-24 10:31 UTC"


@given(st.sampled_from([each for each in PERIODS if each != "total"]), st.integers(0, ns("2199-12-31")))
def test_windows_cover_time_without_gap_or_overlap(period: str, at: int) -> None:
    start, end = window(period, at)
    assert start <= at < end
    assert window(period, start) == window(period, end - 1) == (start, end)
    assert window(period, end)[0] == end
    if period == "week":
        assert datetime.fromtimestamp(start // 10**9, UTC).weekday() == 0
