"""The contract suites against the simulated provider: the vendors' SDKs judge its bytes.

The same suites run through the gateway in ``tests/gateway``.
"""

from __future__ import annotations

import pytest

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract import (
    ANTHROPIC_MESSAGES,
    BEDROCK_CONVERSE,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    SIMULATED_MODELS,
    AnthropicSession,
    BedrockSession,
    ContractError,
    EmbeddingsSession,
    OpenAISession,
    ResponsesSession,
    differences,
)
from trimaran.types import FEATURES

KEY = "sk-right"
SESSIONS = {
    "openai.chat": OpenAISession,
    "openai.responses": ResponsesSession,
    "openai.embeddings": EmbeddingsSession,
    "anthropic.messages": AnthropicSession,
    "bedrock.converse": BedrockSession,
}
SUITES = (OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_EMBEDDINGS, ANTHROPIC_MESSAGES, BEDROCK_CONVERSE)
CHECKS = [(suite, check) for suite in SUITES for check in suite]


def address(provider, dialect):
    return provider.openai_base_url if dialect.startswith("openai.") else provider.base_url


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider(behaviours=SIMULATED_MODELS, keys=[KEY]).in_thread() as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def sessions(request, provider):
    made = {
        dialect: build(address(provider, dialect), KEY, asynchronous=request.param)
        for dialect, build in SESSIONS.items()
    }
    yield made
    for session in made.values():
        session.close()


@pytest.mark.parametrize(("suite", "check"), CHECKS, ids=[f"{suite.dialect}-{check}" for suite, check in CHECKS])
def test_the_simulated_provider_keeps_it(sessions, suite, check):
    assert set(check(sessions[suite.dialect])) == {"gist", "whole"}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.dialect)
def test_results_repeat(sessions, suite):
    """Ids and times are left out, so two runs are equal; the server has answered others in between."""
    session = sessions[suite.dialect]
    for check in suite:
        if check.name not in ("disconnect", "timeout"):
            assert differences(check, check(session), check(session), same_dialect=True) == {}


@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite is not OPENAI_EMBEDDINGS], ids=repr)
def test_a_client_that_leaves_is_in_the_log(provider, sessions, suite):
    suite["disconnect"](sessions[suite.dialect])
    provider.wait_until(lambda p: p.log[-1].outcome == "cancelled")
    assert provider.log[-1].tokens_sent < SIMULATED_MODELS["sim-endless"].output_tokens


@pytest.mark.parametrize("fault", ["cut", "malformed_chunk", "status", "in_band_error"])
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.dialect)
def test_the_suites_notice_a_broken_provider(fault, suite):
    name = "one_text" if suite is OPENAI_EMBEDDINGS else "stream_text"
    with (
        SimulatedProvider(Behaviour(fault=fault)).in_thread() as broken,
        SESSIONS[suite.dialect](address(broken, suite.dialect), KEY) as session,
        pytest.raises(Exception, match=r"\S"),
    ):
        suite[name](session)


@pytest.mark.parametrize(
    ("suite", "promise"),
    [
        (ANTHROPIC_MESSAGES, "start and stop"),
        (OPENAI_RESPONSES, "one end, at the end"),
        (BEDROCK_CONVERSE, "start, and metadata at the end"),
    ],
)
def test_the_suites_notice_a_missing_end(suite, promise):
    with (
        SimulatedProvider(Behaviour(fault="missing_end_marker")).in_thread() as broken,
        SESSIONS[suite.dialect](address(broken, suite.dialect), KEY) as session,
        pytest.raises(ContractError, match=promise),
    ):
        suite["stream_text"](session)


def test_a_difference_is_named_where_it_counts():
    check = OPENAI_CHAT["json_schema"]
    expected = {"gist": {"text": "a", "finish": "stop", "input_tokens": 3}, "whole": 1}
    other = {"gist": {"text": "b", "finish": "stop", "input_tokens": 9}, "whole": 2}
    assert differences(check, expected, other, same_dialect=False) == {"text": ("a", "b")}
    assert set(differences(check, expected, other, same_dialect=True)) == {"gist", "whole"}
    error = {"gist": {"class": "BadRequestError", "status": 400, "code": "x"}, "whole": None}
    elsewhere = {"gist": {"class": "BadRequestError", "status": 422, "code": None}, "whole": None}
    refused = OPENAI_CHAT["orphan_tool_result"]
    assert differences(refused, error, elsewhere, same_dialect=False) == {"status": (400, 422)}
    assert differences(OPENAI_CHAT["service_tier"], error, other, same_dialect=False) == {}


def test_what_a_check_says_of_other_dialects_exists():
    # Google's suite is run by its own test: it needs more of its session.
    dialects = {suite.dialect for suite in SUITES} | {"gemini.generate"}
    for suite in SUITES:
        for check in suite:
            assert check.needs <= set(FEATURES), check
            assert check.lost_in <= dialects - {suite.dialect}, check
            assert check.portable or not check.lost_in, check


def test_all_chat_dialects_have_the_same_promises():
    names = {suite.dialect: {check.name for check in suite} for suite in SUITES}
    chat = [names[dialect] for dialect in ("openai.chat", "openai.responses", "anthropic.messages")]
    shared = set.intersection(*chat)
    assert shared >= {"text", "system_prompt", "multi_turn", "unicode", "stream_text", "max_tokens", "usage_details"}
    assert shared >= {
        "image",
        "image_address",
        "document",
        "json_schema",
        "stream_json_schema",
        "tool_result",
        "no_tool",
    }
    assert shared >= {"parallel_tools", "stream_parallel_tools", "one_tool_at_a_time", "reasoning", "stream_reasoning"}
    assert shared >= {"refusal", "stream_refusal", "orphan_tool_result", "missing_tool_result", "unknown_content"}
    assert shared >= {"wrong_key", "unknown_model", "rate_limited", "server_error", "timeout", "disconnect"}
    # Converse has no way to forbid tools or to allow one at a time, and nothing under an address.
    assert shared - names["bedrock.converse"] == {"image_address", "no_tool", "one_tool_at_a_time"}
