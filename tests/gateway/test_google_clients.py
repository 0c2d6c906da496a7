"""Every client reaches every kind of model at Google: a conversation with a picture and tools gives the same calls, texts, reasons and
usage as it does with the provider itself."""

from __future__ import annotations

import json

import pytest
from clients import CLIENTS, RESULTS, SCHEMAS, converse

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.google_services import Google

CONFIG = """\
models:
  gemini: {{targets: [vertex/gemini-2.5-flash]}}
  claude: {{targets: ["vertex/claude-haiku-4-5@20251001"]}}
  llama: {{targets: [vertex/meta/llama-4-maverick-17b-128e-instruct-maas]}}
  own: {{targets: [vertex/my-llama]}}
  service: {{targets: [service/llama-4-scout]}}
  key: {{targets: [gemini/gemini-2.5-flash]}}
providers:
  vertex:
    base_url: "{address}"
    location: us-central1
    endpoints: {{my-llama: {{endpoint: "123", base_model: llama-4-scout}}}}
  service: {{kind: cloud_run, base_url: "{address}"}}
  gemini: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
ledger: {{dir: ./ledger}}
"""


@pytest.fixture(scope="module")
def google():
    return Google()


@pytest.fixture(scope="module")
def provider(google):
    behaviour = Behaviour(call_tools=True, tool_calls=2, output_tokens=40)
    with SimulatedProvider(behaviour, google=google).in_thread() as simulated:
        yield simulated


@pytest.fixture(scope="module")
def address(provider, google, launch, tmp_path_factory):
    key = tmp_path_factory.mktemp("key") / "key.json"
    key.write_text(json.dumps(google.identity.new_service_account(provider.base_url)))
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    return launch(CONFIG.format(address=provider.base_url), environ=environ).ready().address


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["gemini", "claude", "llama", "own", "service", "key"])
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
    straight = converse(client, provider.base_url, "any", "sim-tools", stream=stream)
    assert [first, second] == straight
