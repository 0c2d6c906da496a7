"""Azure OpenAI's clients judge the simulated one: OpenAI's own suites on deployment paths and on v1 paths, and Azure's own checks."""

from __future__ import annotations

import pytest

from trimaran.testing import Azure, AzureCloud, AzureDeployment, AzureOpenAIAccount, Behaviour, SimulatedProvider
from trimaran.testing.contract import (
    AZURE_OPENAI,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    SIMULATED_DEPLOYMENTS,
    SIMULATED_FILTERS,
    SIMULATED_MODELS,
    AzureChatSession,
    AzureEmbeddingsSession,
    AzureResponsesSession,
    ContractError,
    OpenAISession,
    check_azure_openai,
    differences,
)

KEY = "right"
SESSIONS = {
    "openai.chat": AzureChatSession,
    "openai.responses": AzureResponsesSession,
    "openai.embeddings": AzureEmbeddingsSession,
}
SUITES = (OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_EMBEDDINGS)
CHECKS = [(suite, check) for suite in SUITES for check in suite]


def account(**fields):
    template = AzureDeployment(name="any")
    return AzureOpenAIAccount(AzureCloud(), SIMULATED_DEPLOYMENTS, template=template, **fields)


@pytest.fixture(scope="module")
def provider():
    behaviours = SIMULATED_MODELS | SIMULATED_FILTERS
    with SimulatedProvider(behaviours=behaviours, keys=[KEY], azure=Azure(openai=account())).in_thread() as running:
        yield running


@pytest.fixture(scope="module", params=[(False, False), (False, True), (True, False), (True, True)], ids=str)
def sessions(request, provider):
    """Deployment paths and v1 paths, with the SDK's client of either kind."""
    v1, asynchronous = request.param
    made = {
        dialect: build(provider.base_url, KEY, v1=v1, asynchronous=asynchronous) for dialect, build in SESSIONS.items()
    }
    yield made
    for session in made.values():
        session.close()


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def azure(request, provider):
    with AzureChatSession(provider.base_url, KEY, model="sim-chat", asynchronous=request.param) as session:
        yield session


@pytest.mark.parametrize(("suite", "check"), CHECKS, ids=[f"{suite.dialect}-{check}" for suite, check in CHECKS])
def test_openais_promises_hold_on_azure(sessions, suite, check):
    assert set(check(sessions[suite.dialect])) == {"gist", "whole"}


@pytest.mark.parametrize("check", AZURE_OPENAI, ids=repr)
def test_azures_own_promises(azure, check):
    first = check(azure)
    assert set(first) == {"gist", "whole"}
    assert differences(check, first, check(azure), same_dialect=True) == {}


def test_the_answers_are_openais(provider):
    """But for what Azure adds, and for how it words what it refuses itself, both say the same."""
    with (
        AzureChatSession(provider.base_url, KEY) as azure,
        OpenAISession(provider.openai_base_url, KEY) as openai,
    ):
        for name in ("text", "stream_text", "stream_parallel_tools", "json_schema", "usage_details", "max_tokens"):
            assert OPENAI_CHAT[name](azure)["gist"] == OPENAI_CHAT[name](openai)["gist"], name


def test_the_suite_runs_as_a_whole(provider):
    assert set(check_azure_openai(provider.base_url, KEY)) == {check.name for check in AZURE_OPENAI}


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("prompt_refused", {"behaviours": {}}),
        ("answer_filtered", {"behaviours": {}}),
        ("used_up", {"azure": Azure(openai=AzureOpenAIAccount(template=AzureDeployment(name="any")))}),
        ("verdicts", {"behaviour": Behaviour(fault="cut")}),
    ],
)
def test_the_suite_notices_what_is_not_so(name, broken):
    fields = {"behaviours": SIMULATED_FILTERS, "azure": Azure(openai=account()), **broken}
    with (
        SimulatedProvider(**fields).in_thread() as running,
        AzureChatSession(running.base_url, KEY) as session,
        pytest.raises(Exception, match=r"\S"),
    ):
        AZURE_OPENAI[name](session)


def test_the_session_notices_a_stream_without_the_first_chunk(provider):
    """Plain OpenAI's stream is not Azure's."""
    with (
        AzureChatSession(provider.base_url, KEY, v1=True, base_url=provider.openai_base_url) as session,
        pytest.raises((ContractError, TypeError)),
    ):
        session.stream(messages=[{"role": "user", "content": "Hello"}])
