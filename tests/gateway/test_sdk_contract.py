"""The vendors' SDKs through the gateway: they parse the same objects as straight from the provider.

Same dialect on both sides: equal in every field but ids and times. Different dialects: the portable promises hold, and
text, finish reason and token counts are equal.
"""

from __future__ import annotations

import pytest

from trimaran.testing.contract import ANTHROPIC_MESSAGES, OPENAI_CHAT, AnthropicSession, OpenAISession


def through(provider):
    """The public name of an upstream model of a provider."""
    return lambda model: f"{provider}/{model}"


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def asynchronous(request):
    return request.param


@pytest.fixture(scope="module")
def openai_straight(simulated, upstream_key, asynchronous):
    with OpenAISession(simulated.openai_base_url, upstream_key, asynchronous=asynchronous) as session:
        yield session


@pytest.fixture(scope="module")
def anthropic_straight(simulated, upstream_key, asynchronous):
    with AnthropicSession(simulated.anthropic_base_url, upstream_key, asynchronous=asynchronous) as session:
        yield session


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def openai_through(gateway, client_key, asynchronous, request):
    address, rename = gateway.openai_base_url, through(request.param)
    with OpenAISession(address, client_key, asynchronous=asynchronous, rename=rename) as session:
        session.provider = request.param
        yield session


@pytest.fixture(scope="module", params=["anthropic", "openai"])
def anthropic_through(gateway, client_key, asynchronous, request):
    rename = through(request.param)
    with AnthropicSession(gateway.address, client_key, asynchronous=asynchronous, rename=rename) as session:
        session.provider = request.param
        yield session


def compare(check, straight, through, *, same_dialect):
    """Runs a check on both sides. Across dialects an error keeps its class and status, an answer its gist."""
    if not same_dialect and not check.portable:
        pytest.skip("not a promise across dialects")
    expected, seen = check(straight), check(through)
    if same_dialect:
        assert seen == expected
        return
    wanted, got = expected["gist"], seen["gist"]
    if isinstance(wanted, dict) and "class" in wanted:
        wanted, got = ({key: gist.get(key) for key in ("class", "status")} for gist in (wanted, got))
    assert got == wanted


@pytest.mark.parametrize("check", OPENAI_CHAT, ids=repr)
def test_openai_chat(check, openai_straight, openai_through):
    compare(check, openai_straight, openai_through, same_dialect=openai_through.provider == "openai")


@pytest.mark.parametrize("check", ANTHROPIC_MESSAGES, ids=repr)
def test_anthropic_messages(check, anthropic_straight, anthropic_through):
    compare(check, anthropic_straight, anthropic_through, same_dialect=anthropic_through.provider == "anthropic")


def test_a_client_that_leaves_cancels_upstream(simulated, openai_through, anthropic_through):
    for suite, session in ((OPENAI_CHAT, openai_through), (ANTHROPIC_MESSAGES, anthropic_through)):
        suite["disconnect"](session)
        simulated.wait_until(lambda p: p.log[-1].model == "sim-endless" and p.log[-1].outcome == "cancelled")


def test_no_client_credential_reaches_the_provider(simulated, client_key, openai_through, anthropic_through):
    for suite, session in ((OPENAI_CHAT, openai_through), (ANTHROPIC_MESSAGES, anthropic_through)):
        suite["text"](session)
        assert all(client_key not in value for _, value in simulated.log[-1].headers)
