"""Every client reaches every provider's dialect: the same conversation gives the same calls, texts, reasons and usage."""

from __future__ import annotations

import pytest
from clients import CLIENTS, RESULTS, SCHEMAS, converse

from trimaran.testing import Behaviour, SimulatedProvider

KEY = "sk-upstream"
SECRET = "simulated-secret"
CONFIG = """\
models:
  chat: {{targets: [chat/sim-tools]}}
  responses: {{targets: [responses/sim-tools]}}
  messages: {{targets: [messages/sim-tools]}}
  converse: {{targets: [bedrock/us.amazon.nova-pro-v1:0]}}
  claude: {{targets: ["bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"]}}
  container: {{targets: [sagemaker/vllm-endpoint]}}
providers:
  chat: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: [openai.chat]}}
  responses: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: [openai.responses]}}
  messages: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: [anthropic.messages]}}
  bedrock:
    {{base_url: "{address}", region: us-east-1, access_key_id: "${{SIMULATED_KEY}}", secret_access_key: "${{SECRET}}"}}
  sagemaker:
    {{base_url: "{address}", region: us-east-1, access_key_id: "${{SIMULATED_KEY}}", secret_access_key: "${{SECRET}}"}}
ledger: {{dir: ./ledger}}
"""


@pytest.fixture(scope="module")
def provider():
    with SimulatedProvider(Behaviour(call_tools=True, tool_calls=2, output_tokens=40)).in_thread() as simulated:
        yield simulated


@pytest.fixture(scope="module")
def address(provider, launch):
    return launch(CONFIG.format(address=provider.base_url), environ={"SECRET": SECRET}).ready().address


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["chat", "responses", "messages", "converse", "claude", "container"])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_same_conversation(address, provider, client, model, stream):
    first, second = converse(client, address, "any", model, stream=stream)
    assert sorted(name for name, _ in first.calls) == sorted(SCHEMAS)
    assert dict(first.calls) == {"weather": {"city": "Paris"}, "clock": {"zone": "CET"}}
    assert first.stop == "tool_calls"
    assert second.calls == []
    assert second.stop == "stop"
    # The provider names what reached it.
    assert "system prompt" in second.text
    assert "1 image" in second.text
    assert f"{len(RESULTS)} tool results" in second.text
    straight = converse(client, *_straight(client, provider), stream=stream)
    assert [first, second] == straight
    assert [told.usage for told in (first, second)] == [told.usage for told in straight]


def _straight(client: str, provider: SimulatedProvider) -> tuple[str, str, str]:
    return provider.base_url, KEY, "sim-tools"
