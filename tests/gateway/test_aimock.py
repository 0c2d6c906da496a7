"""The real SDKs, the real gateway, and behind it a mock of the providers that nobody here wrote.

Our simulated providers and our codecs could share an error; aimock shares none of ours. It also answers with less than a
provider does (no token details, responses without most of their members), which a gateway must bear. Each conversation is
held in every dialect with every provider, unary and streamed: same texts, same calls, same reason to stop, same usage.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from trimaran.errors import LedgerError
from trimaran.ledger import AttemptRow, Store, explain

sys.path.insert(0, str(Path(__file__).parent))
from aimock import Aimock, why_not

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

QUESTION = "What is 42 * 37?"
ANSWER = "42 * 37 is 1554. Multiplication is commutative, so 37 * 42 is 1554, too: «quarante-deux fois trente-sept»."
TALK = "How is the weather in Lisbon and in Porto?"
CALLS = [("get_weather", {"city": "Lisbon", "days": 2}), ("get_weather", {"city": "Porto", "days": 1})]
RESULTS = ("18 degrees", "16 degrees")
VERDICT = "Lisbon has 18 degrees, Porto 16."
USAGE = {"input_tokens": 21, "output_tokens": 9}
VECTOR = [0.25, -0.5, 1.0]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
MODELS = [
    "openai/gpt-4o-mini",
    "anthropic/claude-haiku-4-5-20251001",
    "gemini/gemini-2.5-flash",
    "vertex/gemini-2.5-flash",
    "azure_openai/gpt-4o-mini",
]
FIXTURES: list[dict[str, Any]] = [
    {"match": {"toolResultContains": RESULTS[1]}, "response": {"content": VERDICT, "usage": USAGE}},
    {
        "match": {"userMessage": TALK, "hasToolResult": False},
        "response": {"toolCalls": [{"name": name, "arguments": given} for name, given in CALLS], "usage": USAGE},
    },
    {"match": {"userMessage": QUESTION}, "response": {"content": ANSWER, "usage": USAGE}},
    {
        "match": {"userMessage": "Think first."},
        "response": {"content": "Thought.", "reasoning": "First this, then that.", "usage": USAGE},
    },
    {
        "match": {"userMessage": "Refuse."},
        "response": {"error": {"message": "that is not allowed", "type": "invalid_request_error"}, "status": 400},
    },
    {"match": {"inputText": "three hulls"}, "response": {"embedding": VECTOR}},
]
CONFIG = """\
providers:
  openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  anthropic: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  gemini: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  azure_openai: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}"}}
  vertex:
    base_url: "{address}"
    project: my-project
    location: us-central1
    headers: {{authorization: "${{BEARER}}"}}
keys:
  team-a: {{key: "${{CLIENT_KEY}}"}}
limits: {{deadline: 10s, ttft: 5s, max_attempts: 2}}
ledger: {{dir: ./ledger}}
"""


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory, upstream_key: str) -> Iterator[Aimock]:
    """It knows the gateway's credential only, so each answer shows that the client's stayed behind."""
    mock = Aimock(tmp_path_factory.mktemp("aimock"), FIXTURES, upstream_key)
    yield mock
    mock.stop()


@pytest.fixture(scope="module")
def served(aimock: Aimock, launch: Any, upstream_key: str) -> Any:
    """The gateway; its ledger is in ``folder / "ledger"``."""
    return launch(CONFIG.format(address=aimock.address), environ={"BEARER": f"Bearer {upstream_key}"}).ready()


@pytest.fixture(scope="module")
def chat(served: Any, client_key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.openai_base_url, api_key=client_key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def messages(served: Any, client_key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.address, api_key=client_key, max_retries=0, timeout=20) as client:
        yield client


model = pytest.mark.parametrize("model", MODELS, ids=[f"at {model.partition('/')[0]}" for model in MODELS])
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class Said:
    """An answer in no dialect: what every client must have understood."""

    def __init__(self, text: str, stop: str | None, calls: list[tuple[str, str, Any]], usage: Any) -> None:
        self.text = text
        self.stop = stop
        self.ids = [call[0] for call in calls]
        self.calls = [(name, json.loads(given) if isinstance(given, str) else given) for _, name, given in calls]
        self.usage = usage


# --- openai.chat ----------------------------------------------------------------------------------------------------

CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


def ask_chat(client: openai.OpenAI, model: str, history: list[Any], stream: bool, **more: Any) -> Said:
    if stream:
        more["stream_options"] = {"include_usage": True}
        with client.chat.completions.stream(model=model, messages=history, **more) as events:
            for _ in events:
                pass
            answer: Any = events.get_final_completion()
    else:
        answer = client.chat.completions.create(model=model, messages=history, **more)
    (choice,) = answer.choices
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or []]
    usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert answer.usage.total_tokens == sum(usage)
    return Said(choice.message.content or "", choice.finish_reason, calls, usage)


@model
@streamed
def test_chat_answers(chat: openai.OpenAI, model: str, stream: bool) -> None:
    said = ask_chat(chat, model, [{"role": "user", "content": QUESTION}], stream)
    assert (said.text, said.stop, said.calls, said.usage) == (ANSWER, "stop", [], (21, 9))


@model
@streamed
def test_chat_calls_tools_and_takes_their_results(chat: openai.OpenAI, model: str, stream: bool) -> None:
    history: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TALK}]
    said = ask_chat(chat, model, history, stream, tools=[CHAT_TOOL])
    assert (said.calls, said.stop, said.usage) == (CALLS, "tool_calls", (21, 9))
    calls = [
        {"id": key, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for key, (name, given) in zip(said.ids, said.calls, strict=True)
    ]
    history.append({"role": "assistant", "content": None, "tool_calls": calls})
    history += [
        {"role": "tool", "tool_call_id": key, "content": text} for key, text in zip(said.ids, RESULTS, strict=True)
    ]
    said = ask_chat(chat, model, history, stream, tools=[CHAT_TOOL])
    assert (said.text, said.stop) == (VERDICT, "stop")


@model
def test_a_chat_stream_has_usage_only_where_it_was_asked_for(chat: openai.OpenAI, model: str) -> None:
    question: list[Any] = [{"role": "user", "content": QUESTION}]
    with chat.chat.completions.create(model=model, messages=question, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert {chunk.usage for chunk in chunks} == {None}


# --- anthropic.messages ---------------------------------------------------------------------------------------------

MESSAGES_TOOL: Any = {"name": "get_weather", "input_schema": SCHEMA}


def ask_messages(client: anthropic.Anthropic, model: str, history: list[Any], stream: bool, **more: Any) -> Said:
    if stream:
        with client.messages.stream(model=model, max_tokens=100, messages=history, **more) as events:
            answer: Any = events.get_final_message()
    else:
        answer = client.messages.create(model=model, max_tokens=100, messages=history, **more)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
    return Said(text, answer.stop_reason, calls, (answer.usage.input_tokens, answer.usage.output_tokens))


@model
@streamed
def test_messages_answers(messages: anthropic.Anthropic, model: str, stream: bool) -> None:
    said = ask_messages(messages, model, [{"role": "user", "content": QUESTION}], stream)
    assert (said.text, said.stop, said.calls, said.usage) == (ANSWER, "end_turn", [], (21, 9))


@model
@streamed
def test_messages_calls_tools_and_takes_their_results(messages: anthropic.Anthropic, model: str, stream: bool) -> None:
    history: list[Any] = [{"role": "user", "content": TALK}]
    said = ask_messages(messages, model, history, stream, tools=[MESSAGES_TOOL], system="Be brief.")
    assert (said.calls, said.stop, said.usage) == (CALLS, "tool_use", (21, 9))
    uses = [
        {"type": "tool_use", "id": key, "name": name, "input": given}
        for key, (name, given) in zip(said.ids, said.calls, strict=True)
    ]
    results = [
        {"type": "tool_result", "tool_use_id": key, "content": text}
        for key, text in zip(said.ids, RESULTS, strict=True)
    ]
    history += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    said = ask_messages(messages, model, history, stream, tools=[MESSAGES_TOOL])
    assert (said.text, said.stop) == (VERDICT, "end_turn")


@streamed
def test_thinking_passes_with_its_signature(messages: anthropic.Anthropic, stream: bool) -> None:
    more: Any = {
        "model": MODELS[1],
        "max_tokens": 2_000,
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
        "messages": [{"role": "user", "content": "Think first."}],
    }
    if stream:
        with messages.messages.stream(**more) as events:
            answer: Any = events.get_final_message()
    else:
        answer = messages.messages.create(**more)
    thought, text = answer.content
    assert (thought.type, thought.thinking) == ("thinking", "First this, then that.")
    assert thought.signature == "aimock-placeholder-signature"
    assert text.text == "Thought."


# --- openai.responses -----------------------------------------------------------------------------------------------

RESPONSES_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}


def ask_responses(client: openai.OpenAI, model: str, given: Any, stream: bool, **more: Any) -> Said:
    if stream:
        with client.responses.create(model=model, input=given, stream=True, store=False, **more) as events:
            seen = list(events)
        (answer,) = [event.response for event in seen if event.type == "response.completed"]
        pieces = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
        assert pieces == answer.output_text
    else:
        answer = client.responses.create(model=model, input=given, store=False, **more)
    calls = [(item.call_id, item.name, item.arguments) for item in answer.output if item.type == "function_call"]
    assert answer.usage is not None
    return Said(answer.output_text, answer.status, calls, (answer.usage.input_tokens, answer.usage.output_tokens))


@model
@streamed
def test_responses_answers(chat: openai.OpenAI, model: str, stream: bool) -> None:
    said = ask_responses(chat, model, QUESTION, stream)
    assert (said.text, said.stop, said.calls, said.usage) == (ANSWER, "completed", [], (21, 9))


@model
@streamed
def test_responses_calls_tools_and_takes_their_results(chat: openai.OpenAI, model: str, stream: bool) -> None:
    given: list[Any] = [{"role": "user", "content": TALK}]
    said = ask_responses(chat, model, given, stream, tools=[RESPONSES_TOOL], instructions="Be brief.")
    assert (said.calls, said.stop, said.usage) == (CALLS, "completed", (21, 9))
    given += [
        {"type": "function_call", "call_id": key, "name": name, "arguments": json.dumps(arguments)}
        for key, (name, arguments) in zip(said.ids, said.calls, strict=True)
    ]
    given += [
        {"type": "function_call_output", "call_id": key, "output": text}
        for key, text in zip(said.ids, RESULTS, strict=True)
    ]
    said = ask_responses(chat, model, given, stream, tools=[RESPONSES_TOOL])
    assert (said.text, said.stop) == (VERDICT, "completed")


# --- openai.embeddings ----------------------------------------------------------------------------------------------


def test_embeddings_come_in_order(chat: openai.OpenAI) -> None:
    made = chat.embeddings.create(model="openai/text-embedding-3-small", input=["three hulls", "one craft"])
    assert [(entry.index, entry.embedding) for entry in made.data] == [(0, VECTOR), (1, VECTOR)]


# --- all of them ----------------------------------------------------------------------------------------------------


@model
def test_a_refusal_comes_in_the_clients_own_dialect(
    chat: openai.OpenAI, messages: anthropic.Anthropic, model: str
) -> None:
    refused: list[Any] = [{"role": "user", "content": "Refuse."}]
    with pytest.raises(openai.BadRequestError, match="that is not allowed"):
        ask_chat(chat, model, refused, stream=False)
    with pytest.raises(anthropic.BadRequestError, match="that is not allowed"):
        ask_messages(messages, model, refused, stream=True)


@model
@streamed
def test_the_ledger_has_what_the_mock_reported(served: Any, chat: openai.OpenAI, model: str, stream: bool) -> None:
    question: list[Any] = [{"role": "user", "content": QUESTION}]
    raw = chat.chat.completions.with_raw_response.create(model=model, messages=question, stream=stream)
    answer = raw.parse()
    if stream:
        for _ in answer:
            pass
    request_id = raw.headers["x-trimaran-request-id"]

    def settled() -> AttemptRow | None:
        try:
            with Store(served.folder / "ledger" / "ledger.sqlite3", read_only=True) as store:
                rows = explain(store, request_id)
        except LedgerError:
            # The supervisor makes it beside serving, not before.
            return None
        return rows[0] if rows and rows[0].settled_ns else None

    row = served.until(settled, "the attempt in the ledger")
    assert (row.target, row.key_id, row.status, row.estimated) == (model, "team-a", "ok", False)
    assert (row.input_tokens, row.output_tokens, row.audio_input_tokens) == (21, 9, 0)
    assert row.cost_nanos > 0


def test_no_credential_and_no_name_of_the_clients_reaches_the_mock(
    aimock: Aimock, chat: openai.OpenAI, client_key: str
) -> None:
    ask_chat(chat, MODELS[0], [{"role": "user", "content": QUESTION}], stream=False)
    last = aimock.journal()[-1]
    assert last["body"]["model"] == "gpt-4o-mini"
    assert client_key not in json.dumps(last)
