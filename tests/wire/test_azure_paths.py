"""The addresses that OpenAI's client for Azure sends the same bodies to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest
from trimaran.wire import named_body, surface
from trimaran.wire.azure_paths import plain_path


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/openai/deployments/gpt-4o/chat/completions", "openai.chat"),
        (b"/openai/deployments/my%20model/embeddings", "openai.embeddings"),
        (b"/openai/v1/chat/completions", "openai.chat"),
        (b"/openai/v1/embeddings", "openai.embeddings"),
        (b"/openai/v1/responses", "openai.responses"),
        (b"/openai/v1/responses/input_tokens", "openai.input_tokens"),
        (b"/openai/responses", "openai.responses"),
    ],
)
def test_paths_that_are_served(path: bytes, dialect: str) -> None:
    found = surface(path)
    assert found is not None
    assert found.name == dialect


@pytest.mark.parametrize(
    "path",
    [
        b"/openai",
        b"/openai/",
        b"/openai/chat/completions",
        b"/openai/v1/models",
        b"/openai/deployments/x/responses",
        b"/openai/deployments//chat/completions",
        b"/openai/deployments/a/b/chat/completions",
        b"/openai/v1/messages",
        b"/openai/../v1/chat/completions",
    ],
)
def test_paths_that_are_not(path: bytes) -> None:
    assert surface(path) is None
    assert plain_path(path) == b""


DEPLOYED = b"/openai/deployments/my%20model/chat/completions"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"model": "other", "messages": []}', {"model": "my model", "messages": []}),
        (b'{"messages": []}', {"model": "my model", "messages": []}),
        (b" { } ", {"model": "my model"}),
        (b'{"messages": [{"model": "inside"}]}', {"model": "my model", "messages": [{"model": "inside"}]}),
    ],
)
def test_the_path_names_the_model(body: bytes, named: dict[str, object]) -> None:
    assert json.loads(named_body(body, DEPLOYED)) == named


def test_a_body_that_needs_no_change_is_the_same_object() -> None:
    body = b'{"model":"my model","messages":[]}'
    assert named_body(body, DEPLOYED) is body
    assert named_body(body, b"/v1/chat/completions") is body


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": "a", "model": "b"}', b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        named_body(body, DEPLOYED)


@given(st.dictionaries(st.text(max_size=8), st.integers(), max_size=4))
def test_nothing_but_the_model_is_changed(members: dict[str, int]) -> None:
    named = json.loads(named_body(json.dumps(members).encode(), DEPLOYED))
    assert named == {**members, "model": "my model"}
