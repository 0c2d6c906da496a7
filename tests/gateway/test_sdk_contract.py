"""The vendors' SDKs through the gateway: they parse the same objects as straight from the provider.

Same dialect on both sides: equal in every field but ids and times. Different dialects: each check says what of it must
be the same, and which dialects have no words for it.
"""

from __future__ import annotations

import pytest

from trimaran.testing.contract import (
    ANTHROPIC_MESSAGES,
    BEDROCK_CONVERSE,
    GEMINI_GENERATE,
    OPENAI_CHAT,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    AnthropicBedrockSession,
    AnthropicSession,
    BedrockSession,
    EmbeddingsSession,
    GeminiSession,
    OpenAISession,
    ResponsesSession,
    differences,
)

CLIENTS = {
    "openai.chat": (OPENAI_CHAT, OpenAISession),
    "openai.responses": (OPENAI_RESPONSES, ResponsesSession),
    "openai.embeddings": (OPENAI_EMBEDDINGS, EmbeddingsSession),
    "anthropic.messages": (ANTHROPIC_MESSAGES, AnthropicSession),
    "bedrock.converse": (BEDROCK_CONVERSE, BedrockSession),
    "gemini.generate": (GEMINI_GENERATE, GeminiSession),
}
PROVIDERS = {
    "only-chat": ("openai.chat", "openai.embeddings"),
    "only-responses": ("openai.responses", "openai.input_tokens"),
    "only-messages": ("anthropic.messages", "anthropic.count_tokens"),
    "openai": ("openai.chat", "openai.responses", "openai.embeddings", "openai.input_tokens"),
    "anthropic": ("anthropic.messages", "anthropic.count_tokens"),
    "bedrock": ("bedrock.converse", "anthropic.messages", "anthropic.count_tokens"),
    "gemini": ("gemini.generate", "gemini.count_tokens"),
}
"""The name of each in the gateway's configuration, and what it speaks."""
STRAIGHT = {("anthropic.messages", "bedrock"): AnthropicBedrockSession}
"""Where the vendor has another client for the same dialect at that provider: it is the one that asks there straight."""
NOT_THERE = {
    ("anthropic.messages", "bedrock"): {"count_tokens", "list_models", "image_address"},
    ("gemini.generate", "gemini"): {"wrong_key"},
    # Of a model that Bedrock does not have nobody knows how it calls one tool at a time, which stands for the schema.
    ("gemini.generate", "bedrock"): {"json_schema", "json_schema_openapi", "stream_json_schema"},
}
"""What that provider does not have, so that there is nothing to compare with; or what the gateway tells in another way on
purpose: Google calls a key that it does not know a bad request."""
PAIRS = [
    (client, provider)
    for client in CLIENTS
    for provider, dialects in PROVIDERS.items()
    if client != "openai.embeddings" or client in dialects
]
REFUSALS = {
    "foreign_signature", "wrong_key", "unknown_model", "invalid_request", "orphan_tool_result", "missing_tool_result",
    "unknown_content", "context_too_long", "rate_limited", "rate_limited_stream",
}  # fmt: skip
"""The gateway tells them in the dialect's own words, also where the provider behind it has others: as the vendor itself does."""
CHECKS = [
    (client, provider, check)
    for client, provider in PAIRS
    for check in CLIENTS[client][0]
    if check.name not in NOT_THERE.get((client, provider), ())
]


@pytest.fixture(scope="module", params=[False, True], ids=["sync", "async"])
def asynchronous(request):
    return request.param


@pytest.fixture(autouse=True)
def once(request, asynchronous):
    """What a gateway answers does not depend on how a client waits: asynchronous clients are judged in their own dialect."""
    chosen = request.node.callspec.params
    client, provider = chosen.get("client"), chosen.get("provider")
    if asynchronous and client == "bedrock.converse":
        pytest.skip("boto3 has no asynchronous client")
    if asynchronous and client not in PROVIDERS[provider]:
        pytest.skip("judged with the synchronous client")


@pytest.fixture(scope="module")
def sessions(simulated, gateway, upstream_key, client_key, asynchronous):
    """Opens each once: ``sessions(client, provider)`` through the gateway, ``sessions(client, provider, straight=True)``."""
    opened = {}

    def session(client, provider, *, straight=False):
        through = not straight
        build = CLIENTS[client][1] if through else STRAIGHT.get((client, provider), CLIENTS[client][1])
        known = (client, provider) if through else build
        if known not in opened:
            side, key = (gateway, client_key) if through else (simulated, upstream_key)
            address = side.openai_base_url
            if not client.startswith("openai"):
                address = gateway.address if through else simulated.anthropic_base_url
            rename = (lambda model: f"{provider}/{model}") if through else (lambda model: model)
            opened[known] = build(address, key, asynchronous=asynchronous, rename=rename)
        return opened[known]

    yield session
    for each in opened.values():
        each.close()


@pytest.mark.parametrize(
    ("client", "provider", "check"), CHECKS, ids=[f"{c} at {p}: {check.name}" for c, p, check in CHECKS]
)
def test_the_same_objects(client, provider, check, sessions):
    dialects = PROVIDERS[provider]
    same_dialect = client in dialects
    if not same_dialect and (not check.portable or dialects[0] in check.lost_in):
        pytest.skip("not a promise across dialects")
    home = "anthropic" if (client, provider) in STRAIGHT and check.name in REFUSALS else provider
    straight, through = sessions(client, home, straight=True), sessions(client, provider)
    assert differences(check, check(straight), check(through), same_dialect=same_dialect) == {}


@pytest.mark.parametrize("client", [client for client in CLIENTS if client != "openai.embeddings"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_client_that_leaves_cancels_upstream(simulated, sessions, client, provider):
    suite = CLIENTS[client][0]
    suite["disconnect"](sessions(client, provider))
    simulated.wait_until(lambda p: p.log[-1].model == "sim-endless" and p.log[-1].outcome == "cancelled")


@pytest.mark.parametrize(("client", "provider"), PAIRS)
def test_no_client_credential_reaches_the_provider(simulated, client_key, sessions, client, provider):
    suite = CLIENTS[client][0]
    check = next(iter(suite))
    check(sessions(client, provider))
    assert all(client_key not in value for _, value in simulated.log[-1].headers)
