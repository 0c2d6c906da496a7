"""Ids that another provider would refuse are rewritten, steadily and apart from each other."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.types import Target
from trimaran.wire import DIALECTS, translate
from trimaran.wire.call_ids import fitting_id, fitting_user


@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100))
def test_call_ids(one: str, other: str) -> None:
    fitted = fitting_id(one, 40)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", fitted)
    assert fitting_id(fitted, 40) == fitted
    assert (fitting_id(other, 40) == fitted) == (one == other)


@pytest.mark.parametrize("dialect", ["openai.chat", "openai.responses"])
@pytest.mark.parametrize(("user", "kept"), [("u" * 64, True), ("u" * 65, False), ('{"device_id":"é"}' * 10, False)])
def test_a_users_id_that_openai_would_refuse(dialect: str, user: str, kept: bool) -> None:
    messages = DIALECTS["anthropic.messages"]
    turns = [{"role": "user", "content": "hi"}]
    body = {"model": "m", "max_tokens": 20, "messages": turns, "metadata": {"user_id": user}}
    target = Target("o/m", "openai", "m", (dialect,), "https://o.example")
    made = translate(messages, messages.read(json.dumps(body).encode()), target)
    sent = json.loads(made.body)["user"]
    assert len(sent) <= 64
    assert (sent == user) is kept
    assert sent == fitting_user(user)
    assert (made.notes is None) is kept
