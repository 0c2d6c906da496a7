"""Where the supervisor's snapshots come from: what makes them worth reading anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimaran.cli.serve import Configuration
from trimaran.dispatch.prices import next_change_ns
from trimaran.errors import ConfigError

KEYS = {"OPENAI_API_KEY": "sk-" + "k" * 20, "HOME": "/nowhere"}
PRICED = "providers: {openai: {prices: {m: [{from: %s, input: 1 USD/1M, output: 1 USD/1M}]}}}\n"


def test_the_next_change_of_a_price_is_known_until_the_file_breaks(tmp_path: Path) -> None:
    file = tmp_path / "trimaran.yaml"
    source = Configuration(str(file), KEYS, {})
    assert source.next_change_ns is None
    file.write_text(PRICED % "2999-01-01")
    day = source.build(1).day
    assert source.next_change_ns == next_change_ns(source.load(), day) is not None
    # What cannot be read is not tried again every second.
    file.write_text("nonsense: 1")
    with pytest.raises(ConfigError):
        source.build(2)
    assert source.next_change_ns is None
