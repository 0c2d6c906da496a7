"""Two promises: nothing but ConfigError comes out of the loader, and no credential comes out of anything."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.config import Config, load_mapping, load_text, quote
from trimaran.config.reference import walk
from trimaran.config.source import MAX_FILE_BYTES
from trimaran.errors import ConfigError

CANARIES = (
    "sk-canary-4f9d2c1b7a6e5d4c3b2a",
    "canary4f9d2c1b7a6e5d4c3b2a1f0e",
    "8d3c2b1a-4f9d-4c1b-9a6e-5d4c3b2a1f0e",
    "https://user:canary@host.example",
    "Bearer canary",
    "canary" * 6,
)


def nested(path: str, value: object) -> dict[str, object]:
    """``models.<name>.strategy`` with a value, as the mapping it stands for."""
    for part in reversed(path.split(".")):
        value = {"x" if part == "<name>" else part: value}
    assert isinstance(value, dict)
    return value


def places(canary: str) -> Iterator[tuple[str, dict[str, object]]]:
    """A mapping with the canary as each setting's value, inside a list, as a mapping's value and as a name."""
    for path, _ in walk():
        for value in (canary, [canary], {"a": canary}, {canary: "a"}, f"${{{canary}}}", f"${{{canary}", "*" + canary):
            yield path, nested(path, value)
        yield path, nested(path + "x", canary)
        above, _, _ = path.rpartition(".")
        yield path, nested(f"{above}.{canary}" if above else canary, {})


@pytest.mark.parametrize("canary", CANARIES)
def test_no_credential_in_any_error_or_repr(canary: str) -> None:
    wrong = 0
    for path, data in places(canary):
        for text in (None, json.dumps(data)):
            try:
                shown = repr(load_mapping(data, ENV) if text is None else load_text(text, "t.yaml", ENV))
            except ConfigError as error:
                wrong += 1
                shown = f"{error} {error!r} {''.join(traceback.format_exception(error))}"
            assert canary not in shown, path
    assert wrong > 100


@pytest.mark.parametrize("canary", CANARIES)
def test_no_credential_in_any_error_where_it_comes_by_reference(canary: str) -> None:
    # Wherever the variable is used, the message may name the variable only.
    for path, _ in walk():
        for value in ("${CANARY}", "x${CANARY}y", ["${CANARY}"], {"a": "${CANARY}"}, "${CANARY:-b}"):
            try:
                config = load_mapping(nested(path, value), {**ENV, "CANARY": canary})
                shown = f"{config!r} {config.warnings}"
                if path.endswith((".api_key", ".headers", ".key")):
                    shown += repr((config.providers, config.keys))
            except ConfigError as error:
                shown = f"{error} {''.join(traceback.format_exception(error))}"
            assert canary not in shown, path


@pytest.mark.parametrize("canary", CANARIES)
def test_no_credential_in_what_broken_yaml_says(canary: str) -> None:
    for text in (
        f"a: b: {canary}",
        f"a: *{canary}",
        f"a: '{canary}",
        f"a: [{canary}",
        f"a: !{canary} b",
        f"{canary}: 1\n" * 2,
    ):
        with pytest.raises(ConfigError) as caught:
            load_text(text, "t.yaml", ENV)
        shown = "".join(traceback.format_exception(caught.value))
        assert canary not in shown


@pytest.mark.parametrize("canary", CANARIES)
def test_no_credential_from_the_environment_or_the_command_line(canary: str) -> None:
    environ = {**ENV, "TRIMARAN_SERVER_PORT": canary, "TRIMARAN_LIMITS_DEADLINE": canary}
    with pytest.raises(ConfigError) as caught:
        load_text("", "", environ, {"server.workers": canary, canary: 1})
    assert canary not in str(caught.value)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    "name", ["gpt-4o-mini", "claude-haiku-4-5-20251001", "openai/gpt-4o-mini", "max_attempts", "ttftt"]
)
def test_ordinary_names_are_shown(name: str) -> None:
    assert quote(name) == repr(name)


ENV = {"HOME": "/users/someone"}

_WORDS = st.sampled_from(
    (
        *("models", "chat", "targets", "limits", "deadline", "server", "port", "keys", "providers", "prices", "input"),
        *(
            "openai/x",
            "*",
            "&a",
            "*a",
            "<<",
            "!!int",
            "${",
            "${HOME}",
            "30s",
            "5 USD",
            "~",
            "null",
            "-",
            "\t",
            "\x00",
            "'",
        ),
    )
)
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def _survives(load: Callable[[], Config]) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(), Config)


@given(st.text())
def test_any_text(text: str) -> None:
    _survives(lambda: load_text(text, "t.yaml", ENV))


@given(st.lists(st.tuples(_WORDS, st.sampled_from([": ", ":\n  ", "\n", " ", ", ", "{", "}", "[", "]", "- "]))))
def test_any_text_that_looks_like_a_configuration(parts: list[tuple[str, str]]) -> None:
    _survives(lambda: load_text("".join(word + after for word, after in parts), "t.yaml", ENV))


@given(_TREES)
def test_any_data(tree: object) -> None:
    _survives(lambda: load_text(json.dumps(tree), "t.yaml", ENV))
    if isinstance(tree, dict):
        _survives(lambda: load_mapping(tree, ENV))


def test_aliases_cannot_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    # A billion laughs: each level repeats the one before nine times.
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    with pytest.raises(ConfigError, match="20 problems"):
        load_text(text, "t.yaml", ENV)


def test_a_file_with_thousands_of_mistakes_is_read_in_time() -> None:
    text = "".join(f"model{number}: x\n" for number in range(MAX_FILE_BYTES // 80))
    with pytest.raises(ConfigError, match="the first 20 follow"):
        load_text(text, "t.yaml", ENV)
