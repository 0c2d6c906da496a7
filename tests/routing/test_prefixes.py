"""Beginnings of prompts: hashes that agree exactly as far as the bytes do, and a table that forgets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.routing import Completed, Sent, State, learn, prefix_hashes
from trimaran.routing.prefixes import CACHE_TTL_S, LENGTHS, MAX_ENTRIES, PRIOR_SHARE, Table

KIB = 1024


@given(st.integers(0, 70 * KIB), st.integers(0, 70 * KIB), st.binary(min_size=1, max_size=8))
def test_two_prompts_share_hashes_exactly_as_far_as_their_bytes(common: int, rest: int, pattern: bytes) -> None:
    one = (pattern * (common // len(pattern) + 1))[:common] + b"\x00" * rest
    two = one[:common] + b"\x01" * rest
    found, other = prefix_hashes(one), prefix_hashes(two)
    assert len(found) == len(other) == sum(length <= common + rest for length in LENGTHS)
    same = sum(length <= common for length in LENGTHS) if rest else len(found)
    assert found[:same] == other[:same]
    assert not set(found[same:]) & set(other[same:])


def test_lengths_grow_so_that_two_thirds_of_a_shared_beginning_are_found() -> None:
    assert LENGTHS[:5] == (4 * KIB, 6 * KIB, 8 * KIB, 12 * KIB, 16 * KIB)
    assert all(1.3 < later / length < 1.51 for length, later in pairwise(LENGTHS))
    assert LENGTHS[-1] == 6 * KIB * KIB


def test_a_short_prompt_has_none() -> None:
    assert prefix_hashes(b"x" * (4 * KIB - 1)) == ()
    assert len(prefix_hashes(b"x" * (4 * KIB))) == 1
    assert prefix_hashes(b"") == ()


def test_only_the_span_counts_and_the_seed_stands_for_what_comes_before_it() -> None:
    messages = bytes(range(256)) * 64
    plain = prefix_hashes(messages)
    begin = b'{"model":"a","stream":true,"messages":'
    assert prefix_hashes(begin + messages + b"}", len(begin), len(begin) + len(messages)) == plain
    assert prefix_hashes(begin + messages, len(begin)) == plain
    assert not set(prefix_hashes(messages, seed=7)) & set(plain)


def test_a_table_knows_the_longest_and_forgets_after_its_time() -> None:
    table = Table()
    table.note((11, 12), 100.0)
    assert table.tokens((11, 12, 13), 100.0) == LENGTHS[1] // 4
    assert table.tokens((11, 99), 100.0) == LENGTHS[0] // 4
    assert table.tokens((99, 12), 100.0) == LENGTHS[1] // 4
    assert table.tokens((), 100.0) == table.tokens((99,), 100.0) == 0
    table.note((11,), 200.0)
    assert table.tokens((11, 12), 101.0 + CACHE_TTL_S) == LENGTHS[0] // 4
    assert table.tokens((11, 12), 201.0 + CACHE_TTL_S) == 0


def test_a_table_is_bounded_and_keeps_the_younger_half() -> None:
    table = Table()
    for number in range(1, 5 * MAX_ENTRIES):
        table.note((number,), 1.0)
        assert len(table) <= MAX_ENTRIES
    newest = 5 * MAX_ENTRIES - 1
    assert all(table.tokens((n,), 1.0) for n in range(newest - MAX_ENTRIES // 2 + 1, newest + 1))
    assert not table.tokens((1,), 1.0)


def answered(state: State, now: float, reported: int | None, predicted: int) -> None:
    learn(state, Sent("a"), now)
    learn(state, Completed("a", None, 1.0, 10, 0, 0, False, reported, predicted, (1, 2)), now)


def test_the_share_of_a_predicted_hit_is_learnt() -> None:
    state = State()
    answered(state, 1.0, 0, 0)
    target = state.targets["a"]
    assert (target.cache_share, target.cache_n) == (PRIOR_SHARE, 0), "nothing was predicted"
    answered(state, 2.0, None, 1000)
    assert target.cache_n == 0, "the provider did not say"
    answered(state, 3.0, 900, 1000)
    assert target.cache_share == pytest.approx(0.9), "the first hit decides"
    for _ in range(40):
        answered(state, 4.0, 100, 1000)
    assert target.cache_share == pytest.approx(0.1, abs=0.02)
    answered(state, 5.0, 10**9, 1)
    assert target.cache_share < 0.3, "one odd report is no revolution"


def test_what_failed_is_not_taken_to_be_cached(world: Callable) -> None:
    w = world("a")
    w.fail("a")
    assert w.target("a").prefixes is None
