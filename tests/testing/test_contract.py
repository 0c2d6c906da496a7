"""The contract suites against the simulated provider: the vendors' SDKs judge its bytes.

The same suites run through the gateway in ``tests/gateway``.
"""

from __future__ import annotations

import pytest

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    SIMULATED_MODELS,
    AnthropicSession,
    ContractError,
    OpenAISession,
)

KEY = "sk-right"


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider(behaviours=SIMULATED_MODELS, keys=[KEY]).in_thread() as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def openai(request, provider):
    with OpenAISession(provider.openai_base_url, KEY, asynchronous=request.param) as session:
        yield session


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def anthropic(request, provider):
    with AnthropicSession(provider.anthropic_base_url, KEY, asynchronous=request.param) as session:
        yield session


@pytest.mark.parametrize("check", OPENAI_CHAT, ids=repr)
def test_openai_chat(openai, check):
    assert set(check(openai)) == {"gist", "whole"}


@pytest.mark.parametrize("check", ANTHROPIC_MESSAGES, ids=repr)
def test_anthropic_messages(anthropic, check):
    assert set(check(anthropic)) == {"gist", "whole"}


def test_results_repeat(openai, anthropic):
    for suite, session in ((OPENAI_CHAT, openai), (ANTHROPIC_MESSAGES, anthropic)):
        for name in ("text", "stream_text", "tool_result", "wrong_key"):
            assert suite[name](session) == suite[name](session)


def test_a_client_that_leaves_is_in_the_log(provider, openai, anthropic):
    for suite, session in ((OPENAI_CHAT, openai), (ANTHROPIC_MESSAGES, anthropic)):
        suite["disconnect"](session)
        provider.wait_until(lambda p: p.log[-1].outcome == "cancelled")
        assert provider.log[-1].tokens_sent < SIMULATED_MODELS["sim-endless"].output_tokens


@pytest.mark.parametrize("fault", ["cut", "malformed_chunk", "status", "in_band_error"])
def test_the_suites_notice_a_broken_provider(fault):
    with SimulatedProvider(Behaviour(fault=fault)).in_thread() as broken:
        for suite, session in (
            (OPENAI_CHAT, OpenAISession(broken.openai_base_url, KEY)),
            (ANTHROPIC_MESSAGES, AnthropicSession(broken.base_url, KEY)),
        ):
            with session, pytest.raises(Exception, match=r"\S"):
                suite["stream_text"](session)


def test_the_suites_notice_a_missing_end():
    with (
        SimulatedProvider(Behaviour(fault="missing_end_marker")).in_thread() as broken,
        AnthropicSession(broken.base_url, KEY) as session,
        pytest.raises(ContractError, match="start and stop"),
    ):
        ANTHROPIC_MESSAGES["stream_text"](session)


def test_both_dialects_have_the_same_promises():
    named = {check.name for check in OPENAI_CHAT} & {check.name for check in ANTHROPIC_MESSAGES}
    assert named >= {
        "text",
        "system_prompt",
        "multi_turn",
        "stream_text",
        "image",
        "json_schema",
        "timeout",
        "disconnect",
    }
    assert named >= {"wrong_key", "unknown_model", "rate_limited", "server_error", "max_tokens", "stop_sequence"}
