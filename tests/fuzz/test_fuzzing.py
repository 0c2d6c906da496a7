"""A slice of ``make fuzz`` that is the same each time, and that a planted mistake is found by it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from fuzz.__main__ import SHARES, fuzz, one, runs
from trimaran.dispatch.dispatcher import Dispatcher
from trimaran.wire.relay import StreamRelay


@pytest.mark.parametrize("kind", SHARES)
def test_nothing_breaks(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    broken = fuzz(30 if kind == "settings" else 1500, 7, [kind])
    assert broken == 0, capsys.readouterr().err


def many(run: Callable[[Random], str], inputs: int) -> None:
    for number in range(inputs):
        run(Random(number))


def test_an_input_can_be_had_again() -> None:
    for kind in ("streams", "bodies", "clients"):
        first, second = (one(runs()[kind], kind, 7, 11) for _ in range(2))
        assert first == second


def test_a_mistake_in_a_relay_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    admit = StreamRelay._admit

    def careless(relay: StreamRelay, block: bytes) -> bytes:
        if b'"type": "unknown"' in block:
            raise KeyError("unknown")
        return admit(relay, block)

    monkeypatch.setattr(StreamRelay, "_admit", careless)
    with pytest.raises(KeyError):
        many(runs()["streams"], 3000)


def test_a_mistake_on_the_road_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(dispatcher: Dispatcher, model: str) -> object:
        raise LookupError(model)

    monkeypatch.setattr(Dispatcher, "route", careless)
    with pytest.raises(AssertionError, match="500"):
        many(runs()["clients"], 50)
