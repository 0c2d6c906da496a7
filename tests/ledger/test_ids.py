"""Request ids: sortable, unique without coordination, and the form of a trace id."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.ledger import IdSource, attempt_id

NOW_MS = 1_790_000_000_000


@given(st.lists(st.integers(-5, 5), max_size=50))
def test_ids_of_one_source_rise_even_when_the_clock_steps_back(steps: list[int]) -> None:
    source, now, ids = IdSource(1), NOW_MS, list[str]()
    for step in steps:
        now += step
        ids.append(source.next(now))
    assert ids == sorted(set(ids))


def test_an_id_is_32_hex_digits_that_begin_with_the_time() -> None:
    made = IdSource(worker=0xABC, entropy=5).next(NOW_MS)
    assert made == f"{NOW_MS:012x}abc00000000500000000"
    assert re.fullmatch("[0-9a-f]{32}", IdSource(4095).next(NOW_MS))


def test_workers_and_lives_of_one_worker_do_not_meet() -> None:
    sources = [IdSource(worker) for worker in range(4)] + [IdSource(0) for _ in range(4)]
    ids = [source.next(NOW_MS) for _ in range(1_000) for source in sources]
    assert len(set(ids)) == len(ids)


def test_later_ids_sort_behind_earlier_ones_of_other_workers() -> None:
    assert IdSource(4095).next(NOW_MS) < IdSource(0).next(NOW_MS + 1)


@pytest.mark.parametrize("worker", [-1, 4096])
def test_a_worker_number_out_of_range_is_refused(worker: int) -> None:
    with pytest.raises(ValueError, match="0 to 4095"):
        IdSource(worker)


def test_an_attempt_is_named_by_request_and_number() -> None:
    assert attempt_id("abc", 2) == "abc-2"
