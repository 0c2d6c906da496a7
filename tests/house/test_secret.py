"""A credential must not be printable by accident: every ordinary way of showing a value is tried."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint

import msgspec
import pytest

from trimaran.types import Secret, Snapshot

TEXT = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: "{}".format(secret),  # noqa: UP032
        lambda secret: pprint.pformat({"key": [secret]}),
        lambda secret: str(ValueError(secret)),
        lambda secret: logging.makeLogRecord({"msg": "key %s", "args": (secret,)}).getMessage(),
    ],
)
def test_shown_as_stars(show: object) -> None:
    shown = show(Secret(TEXT))  # type: ignore[operator]
    assert TEXT not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "serialise", [json.dumps, msgspec.json.encode, msgspec.msgpack.encode, pickle.dumps, copy.deepcopy]
)
def test_never_serialised(serialise: object) -> None:
    with pytest.raises(TypeError) as caught:
        serialise(Secret(TEXT))  # type: ignore[operator]
    assert TEXT not in str(caught.value)


def test_no_attribute_dictionary_to_walk() -> None:
    assert not hasattr(Secret(TEXT), "__dict__")


def test_equal_and_true_by_its_text() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != TEXT
    assert Secret(TEXT).reveal() == TEXT
    assert not Secret("")


def test_a_snapshot_shows_counts_only() -> None:
    assert TEXT not in repr(Snapshot(version=3, secrets={"openai": TEXT}))
