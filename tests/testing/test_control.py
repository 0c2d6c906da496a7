"""``/_simulate``: state, partial changes per scope, and nothing half-applied."""

from __future__ import annotations

import json

import pytest

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.control import answer_control
from trimaran.testing.dialect import Request

CONTROL = "/_simulate"


async def change(ask, provider, **body):
    return await ask(provider, path=CONTROL, headers={}, body=json.dumps(body).encode())


async def test_state_shows_behaviours_and_log_without_prompt_or_key(ask):
    async with SimulatedProvider(name="one", seed=3) as provider:
        await ask(provider, messages=[{"role": "user", "content": "a private thing"}])
        raw = await ask(provider, path=CONTROL, method="GET", headers={}, body=b"")
    state = raw.json()
    assert (state["simulated"], state["name"], state["seed"], state["requests"]) == (True, "one", 3, 1)
    assert state["log"][0]["outcome"] == "completed"
    assert state["behaviours"]["*"]["ttft_s"] == 0
    assert b"private" not in raw.body
    assert b"sk-test" not in raw.body


async def test_a_partial_changes_every_scope_or_one(ask):
    async with SimulatedProvider(behaviours={"openai.chat": Behaviour(tpot_s=1)}) as provider:
        assert (await change(ask, provider, ttft_s=2)).status == 200
        assert {scope: (b.ttft_s, b.tpot_s) for scope, b in provider.behaviours.items()} == {
            "*": (2, 0),
            "openai.chat": (2, 1),
        }
        assert (await change(ask, provider, scope="anthropic.messages", fault="cut")).status == 200
        assert provider.behaviours["anthropic.messages"] == Behaviour(ttft_s=2, fault="cut")
        assert provider.behaviours["openai.chat"].fault == "none"


@pytest.mark.parametrize("body", [{"ttft": 1}, {"fault": "gremlin"}, {"ttft_s": "x"}, {"scope": 4}])
async def test_a_wrong_partial_changes_nothing_and_lists_the_fields(ask, body):
    rows = {"openai.chat": Behaviour(tpot_s=1)}
    async with SimulatedProvider(behaviours=rows) as provider:
        before = provider.behaviours
        raw = await change(ask, provider, **body)
        assert (raw.status, provider.behaviours) == (400, before)
        assert "after_tokens" in raw.json()["error"]


async def test_the_log_can_be_forgotten_and_other_paths_do_not_exist(ask):
    async with SimulatedProvider() as provider:
        await ask(provider)
        assert (await ask(provider, path=f"{CONTROL}/log", method="DELETE", headers={}, body=b"")).status == 200
        assert len(provider.log) == 0
        assert (await ask(provider, path=f"{CONTROL}/log", method="GET", headers={}, body=b"")).status == 404
        assert (await ask(provider, path=f"{CONTROL}else", method="GET")).status == 404


def test_other_machines_are_refused():
    answer = answer_control(
        SimulatedProvider(), Request(b"GET", b"/_simulate", [], b"", True), b"/_simulate", loopback=False
    )
    assert answer.startswith(b"HTTP/1.1 403")
