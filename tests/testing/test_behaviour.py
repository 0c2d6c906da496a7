"""A behaviour is checked when it is made and when it is merged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from trimaran.testing import FAULTS, Behaviour

DOCS = Path(__file__).parents[2] / "docs/simulated-providers.md"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fault": "gremlin"}, "fault"),
        ({"ttft_s": -1.0}, "ttft_s"),
        ({"tpot_s": float("nan")}, "tpot_s"),
        ({"fault_probability": 1.5}, "fault_probability"),
        ({"status": 200}, "status"),
        ({"fault_count": -1}, "fault_count"),
        ({"cache_write_1h_tokens": 2, "cache_write_tokens": 1}, "cache_write_1h_tokens"),
    ],
)
def test_a_bad_value_names_its_field(changes, named):
    with pytest.raises(ValueError, match=named):
        Behaviour(**changes)


@pytest.mark.parametrize("changes", [{"ttft": 1}, {"ttft_s": "soon"}, {"fault": "gremlin"}, {"status": 12}])
def test_merging_checks_like_making(changes):
    with pytest.raises((ValueError, msgspec.ValidationError)):
        Behaviour().merged(changes)


def test_but_changes_only_what_it_names():
    slow = Behaviour(ttft_s=2, text="x").but(fault="cut", after_tokens=1)
    assert slow == Behaviour(ttft_s=2, text="x", fault="cut", after_tokens=1)


def test_it_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        Behaviour().ttft_s = 1


def test_slow_first_token_waits_without_being_told_how_long():
    assert Behaviour(fault="slow_first_token").delay_s > 0
    assert Behaviour(fault="slow_first_token", fault_delay_s=0.5).delay_s == 0.5
    assert Behaviour(fault="status").delay_s == 0


def test_every_fault_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    missing = [fault for fault in FAULTS if f"`{fault}`" not in text]
    fields = [field for field in Behaviour.__struct_fields__ if f"`{field}`" not in text]
    assert (missing, fields) == ([], [])
