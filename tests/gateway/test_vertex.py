"""Google behind the gateway, signed in by a service account's key file: three vendors' clients reach Gemini, Claude, open models and
endpoints of one's own; what goes wrong there; what is taken elsewhere; tokens that end while requests run."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest
from google import genai
from google.genai import errors, types

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.google_identity import IdentityFailure
from trimaran.testing.google_services import Google
from trimaran.testing.vertex_endpoints import DeployedModel, VertexEndpoint

TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
CONFIG = """\
models:
  gemini: {{targets: [vertex/gemini-2.5-flash]}}
  claude: {{targets: [vertex/claude-haiku-4-5@20251001]}}
  llama: {{targets: [vertex/meta/llama-3.3-70b-instruct-maas]}}
  own: {{targets: [vertex/my-llama]}}
  garden: {{targets: [vertex/my-garden]}}
  prompt: {{targets: [vertex/my-tgi]}}
  tensor: {{targets: [vertex/my-onnx]}}
  missing: {{targets: [vertex/missing-model]}}
  no-endpoint: {{targets: [vertex/endpoints/missing-1]}}
  run: {{targets: [service/llama-3.1-8b]}}
  key: {{targets: [gemini/gemini-2.5-flash]}}
  clouds: {{strategy: ordered, targets: [vertex/gemini-2.5-flash, openai/gpt-4o-mini]}}
providers:
  vertex:
    base_url: "{address}"
    location: us-central1
    endpoints:
      my-llama: {{endpoint: "123", container: vllm, base_model: llama-3.1-8b, model: served}}
      my-garden: {{endpoint: "124", container: garden, base_model: llama-3.1-8b}}
      my-onnx: {{endpoint: "126", container: tensor}}
      my-tgi: {{endpoint: "125", container: jumpstart, base_model: llama-3.1-8b}}
  service: {{kind: cloud_run, base_url: "{address}"}}
  gemini: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
keys:
  plain: {{key: "${{CLIENT_KEY}}"}}
ledger: {{dir: ./ledger}}
limits: {{deadline: 10s, max_attempts: 3}}
"""


@pytest.fixture
def google() -> Google:
    google = Google()
    google.endpoints.put(VertexEndpoint(id="125", deployed=(DeployedModel(container="tgi"),)))
    google.endpoints.put(VertexEndpoint(id="126", deployed=(DeployedModel(container="tensor"),)))
    return google


@pytest.fixture
def provider(google: Google) -> Iterator[SimulatedProvider]:
    with SimulatedProvider(google=google).in_thread() as simulated:
        simulated.behaviour = Behaviour(output_tokens=6)
        yield simulated


@pytest.fixture
def key_file(provider: SimulatedProvider, google: Google, tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(google.identity.new_service_account(provider.base_url)))
    return path


@pytest.fixture
def running(provider: SimulatedProvider, key_file: Path, start: Any) -> Any:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file)}
    return start(CONFIG.format(address=provider.base_url), environ=environ)


@pytest.fixture
def gateway(running: Any) -> Any:
    running.ready()
    return running


class Clients:
    """Three vendors' clients of one gateway."""

    def __init__(self, address: str, key: str) -> None:
        self.openai = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=address, api_key=key, max_retries=0)
        http = types.HttpOptions(base_url=address, retry_options=types.HttpRetryOptions(attempts=1))
        self.genai = genai.Client(api_key=key, http_options=http)

    def close(self) -> None:
        for each in (self.openai, self.anthropic, self.genai):
            each.close()

    def say(self, client: str, model: str, text: str = "hi") -> tuple[str, int, int]:
        """Text and tokens of a whole answer."""
        match client:
            case "openai":
                chat = self.openai.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": text}], max_tokens=20
                )
                assert chat.usage is not None
                return chat.choices[0].message.content or "", chat.usage.prompt_tokens, chat.usage.completion_tokens
            case "anthropic":
                message = self.anthropic.messages.create(
                    model=model, max_tokens=20, messages=[{"role": "user", "content": text}]
                )
                said = "".join(block.text for block in message.content if block.type == "text")
                return said, message.usage.input_tokens, message.usage.output_tokens
            case _:
                answer = self.genai.models.generate_content(
                    model=model, contents=text, config=types.GenerateContentConfig(max_output_tokens=20)
                )
                used = answer.usage_metadata
                assert used is not None
                return answer.text or "", used.prompt_token_count or 0, used.candidates_token_count or 0

    def stream(self, client: str, model: str) -> str:
        match client:
            case "openai":
                chunks = self.openai.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "hi"}], stream=True, max_tokens=20
                )
                return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            case "anthropic":
                with self.anthropic.messages.stream(
                    model=model, max_tokens=20, messages=[{"role": "user", "content": "hi"}]
                ) as events:
                    return "".join(events.text_stream)
            case _:
                parts = self.genai.models.generate_content_stream(model=model, contents="hi")
                return "".join(part.text or "" for part in parts)

    def call(self, client: str, model: str) -> tuple[str, Any]:
        """A tool call: name and arguments."""
        match client:
            case "openai":
                chat = self.openai.chat.completions.create(
                    model=model,
                    messages=[{"role": "user", "content": "weather?"}],
                    tools=[{"type": "function", "function": {"name": "weather", "parameters": TOOL}}],
                    tool_choice="required",
                    max_tokens=50,
                )
                calls = chat.choices[0].message.tool_calls
                assert calls
                return calls[0].function.name, json.loads(calls[0].function.arguments)
            case "anthropic":
                message = self.anthropic.messages.create(
                    model=model,
                    max_tokens=50,
                    messages=[{"role": "user", "content": "weather?"}],
                    tools=[{"name": "weather", "input_schema": TOOL}],
                    tool_choice={"type": "any"},
                )
                use = next(block for block in message.content if block.type == "tool_use")
                return use.name, use.input
            case _:
                declared = types.FunctionDeclaration(name="weather", parameters_json_schema=TOOL)
                config = types.GenerateContentConfig(
                    tools=[types.Tool(function_declarations=[declared])],
                    tool_config=types.ToolConfig(
                        function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
                    ),
                )
                answer = self.genai.models.generate_content(model=model, contents="weather?", config=config)
                assert answer.function_calls
                return answer.function_calls[0].name or "", answer.function_calls[0].args

    def told(self, client: str, model: str) -> tuple[int, str]:
        """Status and words of an error."""
        try:
            self.say(client, model)
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            return error.status_code, str(error)
        except errors.APIError as error:
            return error.code, str(error)
        raise AssertionError("answered")


@pytest.fixture
def clients(gateway: Any, client_key: str) -> Iterator[Clients]:
    with closing(Clients(gateway.address, client_key)) as opened:
        yield opened


def paths(provider: SimulatedProvider) -> list[str]:
    """Of the requests for an answer, without their queries."""
    return [each.path.partition("?")[0] for each in provider.log if each.dialect and not each.path.endswith("/token")]


EVERYBODY = ("openai", "anthropic", "genai")
ROOT = "/v1/projects/simulated-project/locations/us-central1"
MODELS = {
    "gemini": f"{ROOT}/publishers/google/models/gemini-2.5-flash:generateContent",
    "claude": f"{ROOT}/publishers/anthropic/models/claude-haiku-4-5@20251001:rawPredict",
    "llama": f"{ROOT}/endpoints/openapi/chat/completions",
    "own": f"{ROOT}/endpoints/123:rawPredict",
    "garden": f"{ROOT}/endpoints/124/chat/completions",
    "run": "/v1/chat/completions",
    "key": "/v1beta/models/gemini-2.5-flash:generateContent",
}


def test_every_client_reaches_every_kind_of_model(clients: Clients, provider: SimulatedProvider) -> None:
    for model, path in MODELS.items():
        for client in EVERYBODY:
            said, tokens_in, tokens_out = clients.say(client, model)
            assert said, (client, model)
            assert tokens_in > 0 and tokens_out == 6, (client, model)
            assert paths(provider)[-1] == path
            assert clients.stream(client, model), (client, model)


def test_every_client_calls_tools_and_goes_on(clients: Clients) -> None:
    for model in ("gemini", "claude", "llama", "key"):
        for client in EVERYBODY:
            assert clients.call(client, model)[0] == "weather", (client, model)


def test_one_prompt_is_asked_through_predict(clients: Clients, provider: SimulatedProvider) -> None:
    # predict tells no tokens.
    answer = clients.openai.chat.completions.create(model="prompt", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content
    assert paths(provider)[-1] == f"{ROOT}/endpoints/125:predict"
    with pytest.raises(openai.BadRequestError, match="does not stream"):
        clients.stream("openai", "prompt")


def test_instances_pass_to_a_container_of_ones_own(gateway: Any, client_key: str, provider: SimulatedProvider) -> None:
    def ask(model: str, body: bytes) -> tuple[int, Any]:
        url = f"{gateway.address}/v1/projects/any/locations/any/endpoints/{model}:predict"
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {client_key}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    status, answer = ask("tensor", b'{"instances": [[1.0, 2.0]], "parameters": {"top": 1}}')
    assert (status, answer["predictions"]) == (200, [[0.1, 0.9]])
    assert paths(provider)[-1] == f"{ROOT}/endpoints/126:predict"
    assert provider.log[-1].body == b'{"instances": [[1.0, 2.0]], "parameters": {"top": 1}}'
    status, answer = ask("tensor", b'{"inputs": []}')
    assert (
        status == 400 and answer["error"]["status"] == "INVALID_ARGUMENT" and "instances" in answer["error"]["message"]
    )
    assert ask("gemini", b'{"instances": [1]}')[0] == 400
    assert ask("nobody", b'{"instances": [1]}')[0] == 404


def test_tokens_are_counted_before_they_are_used(clients: Clients) -> None:
    counted = clients.anthropic.messages.count_tokens(
        model="claude", messages=[{"role": "user", "content": "hello there"}]
    )
    assert counted.input_tokens > 0
    assert (clients.genai.models.count_tokens(model="gemini", contents="hello there").total_tokens or 0) > 0


def test_what_claude_lacks_on_vertex_is_refused_by_name(clients: Clients, provider: SimulatedProvider) -> None:
    with pytest.raises(anthropic.BadRequestError, match="Vertex AI runs no code"):
        clients.anthropic.beta.messages.create(
            model="claude",
            max_tokens=20,
            messages=[{"role": "user", "content": "hi"}],
            tools=[{"type": "code_execution_20250825", "name": "code_execution"}],
        )
    assert paths(provider) == []


@pytest.mark.parametrize("client", EVERYBODY)
def test_what_is_wrong_at_google_is_said_with_its_mend(clients: Clients, google: Google, client: str) -> None:
    status, words = clients.told(client, "missing")
    assert "missing-model" in words and "simulated-project" in words and "us-central1" in words, words
    assert status in (404, 502)
    _, words = clients.told(client, "no-endpoint")
    assert "gcloud ai endpoints list" in words, words


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        (lambda cloud: cloud.denied.add("aiplatform.endpoints.predict"), "roles/aiplatform.user"),
        (
            lambda cloud: cloud.disabled.add("aiplatform.googleapis.com"),
            "gcloud services enable aiplatform.googleapis.com",
        ),
        (lambda cloud: setattr(cloud, "projects", {"other": "1"}), "gcloud projects list"),
        (lambda cloud: setattr(cloud, "locations", ("europe-west4",)), "there is no location us-central1"),
    ],
)
def test_a_missing_grant_is_named(clients: Clients, google: Google, gateway: Any, change: Any, mend: str) -> None:
    change(google.cloud)
    clients.told("openai", "gemini")
    told = gateway.until(
        lambda: mend in json.dumps(gateway.state()) or mend in gateway.log() or ledger_says(gateway, mend), mend
    )
    assert told


def ledger_says(gateway: Any, words: str) -> bool:
    with closing(sqlite3.connect(gateway.folder / "ledger" / "ledger.sqlite3")) as base:
        dumped = "\n".join(base.iterdump())
    return words in dumped


def test_a_cloud_that_is_down_is_left_for_another(clients: Clients, provider: SimulatedProvider) -> None:
    provider.behaviours["vertex.generate"] = Behaviour(fault="status", status=503)
    for client in EVERYBODY:
        assert clients.say(client, "clouds")[0]
    assert "/v1/chat/completions" in paths(provider)


def test_a_login_that_fails_is_told_and_another_cloud_answers(
    provider: SimulatedProvider, google: Google, running: Any, client_key: str
) -> None:
    google.identity.failures["service_account"] = IdentityFailure(400, "invalid_grant", "Invalid JWT Signature.")
    running.ready()
    with closing(Clients(running.address, client_key)) as clients:
        running.until(lambda: "Google does not know this key any more" in running.log(), "the reason in the log")
        assert clients.say("openai", "clouds")[0]
        assert clients.told("openai", "gemini")[0] in (502, 503)


def test_tokens_that_end_are_renewed_and_no_request_fails(
    provider: SimulatedProvider, google: Google, running: Any, client_key: str
) -> None:
    google.identity.lifetimes_s["service_account"] = 3.0
    running.ready()
    with closing(Clients(running.address, client_key)) as clients:
        end = time.monotonic() + 30
        asked = 0
        while len([each for each in google.identity.issued if each[0] == "service_account"]) < 3:
            assert time.monotonic() < end, google.identity.issued
            assert clients.say("openai", "gemini")[0]
            asked += 1
    assert asked > 10
    signed = {dict(each.raw_headers)[b"authorization"] for each in provider.log if "generateContent" in each.path}
    assert len(signed) >= 2


def test_a_token_that_is_refused_is_fetched_anew(clients: Clients, google: Google) -> None:
    assert clients.say("openai", "gemini")[0]
    for value, token in list(google.cloud.issued.items()):
        google.cloud.issued[value] = msgspec.structs.replace(token, expires_at_s=1.0)
    assert clients.say("openai", "gemini")[0]
    assert clients.say("anthropic", "claude")[0]
