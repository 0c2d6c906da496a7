"""The contract of ``gemini.generate`` against the simulated Gemini API and the simulated Vertex AI: ``google-genai`` judges their
bytes."""

from __future__ import annotations

import pytest

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.contract import (
    GEMINI_GENERATE,
    SIMULATED_MODELS,
    ContractError,
    GeminiSession,
    check_gemini_generate,
    differences,
)
from trimaran.types import FEATURES

pytest.importorskip("google.genai", reason="google-genai is not installed: pip install google-genai")

KEY = "AIzaSimulated"
VERTEX = {"vertexai": True, "project": "simulated-project", "location": "us-central1"}


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider(behaviours=SIMULATED_MODELS, keys=[KEY]).in_thread() as running:
        yield running


@pytest.fixture(scope="module", params=["sync", "async", "vertex-sync", "vertex-async"])
def session(request, provider):
    options = VERTEX if request.param.startswith("vertex") else {}
    with GeminiSession(provider.base_url, KEY, asynchronous=request.param.endswith("async"), **options) as made:
        yield made


@pytest.mark.parametrize("check", GEMINI_GENERATE, ids=repr)
def test_the_simulated_provider_keeps_it(session, check):
    assert set(check(session)) == {"gist", "whole"}


def test_results_repeat(session):
    """Ids and times are left out, so two runs are equal; the server has answered others in between."""
    for check in GEMINI_GENERATE:
        if check.name not in ("disconnect", "timeout"):
            assert differences(check, check(session), check(session), same_dialect=True) == {}, check


def test_a_client_that_leaves_is_in_the_log(provider, session):
    GEMINI_GENERATE["disconnect"](session)
    provider.wait_until(lambda p: p.log[-1].outcome == "cancelled")
    assert provider.log[-1].tokens_sent < SIMULATED_MODELS["sim-endless"].output_tokens


@pytest.mark.parametrize("fault", ["cut", "malformed_chunk", "status", "in_band_error", "missing_end_marker"])
@pytest.mark.parametrize("options", [{}, VERTEX], ids=["gemini", "vertex"])
def test_the_suite_notices_a_broken_provider(fault, options):
    with (
        SimulatedProvider(Behaviour(fault=fault)).in_thread() as broken,
        GeminiSession(broken.base_url, KEY, **options) as session,
        pytest.raises(Exception, match=r"\S"),
    ):
        GEMINI_GENERATE["stream_text"](session)


def test_a_missing_end_is_a_broken_promise():
    with (
        SimulatedProvider(Behaviour(fault="missing_end_marker")).in_thread() as broken,
        GeminiSession(broken.base_url, KEY) as session,
        pytest.raises(ContractError, match="one finish reason, in the last chunk"),
    ):
        GEMINI_GENERATE["stream_text"](session)


def test_retries_of_the_sdk_are_off():
    with (
        SimulatedProvider(Behaviour(fault="status", status=503)).in_thread() as broken,
        GeminiSession(broken.base_url, KEY) as session,
    ):
        assert session.error()[0] == {"class": "5xx"}
        assert broken.log.total == 1


def test_the_whole_suite_runs_as_one_call(provider):
    results = check_gemini_generate(provider.base_url, KEY)
    assert set(results) == {check.name for check in GEMINI_GENERATE}


def test_what_a_check_says_of_other_dialects_exists():
    for check in GEMINI_GENERATE:
        assert check.needs <= set(FEATURES), check
        assert check.portable or not check.lost_in, check
