"""What no provider could take, over one real connection: refused clearly in the client's dialect, and the connection is
used again."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from trimaran.testing import Behaviour, SimulatedProvider

CONFIG = """\
models:
  chat: {{targets: [chat/m]}}
  responses: {{targets: [responses/m]}}
  messages: {{targets: [messages/m]}}
providers:
  chat: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: openai.chat}}
  responses: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: openai.responses}}
  messages: {{base_url: "{address}", api_key: "${{SIMULATED_KEY}}", dialects: anthropic.messages}}
ledger: {{dir: ./ledger}}
"""
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}


def image(data: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data}}]}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), "max_tokens": 20, **more}


def messages(*turns: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(turns), "max_tokens": 20, **more}


BAD: dict[str, tuple[str, str, Any, str]] = {
    "chat: content that is a number": (CHAT, "messages", chat({"role": "user", "content": 5}), "messages[0].content"),
    "chat: text and a nameless part": (
        CHAT, "messages", chat({"role": "user", "content": [{"type": "text", "text": "a"}, {}]}), "messages[0].content[1]",
    ),
    "chat: a part that is a string among objects": (
        CHAT, "messages", chat({"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}), "messages[0].content[1]",
    ),
    "chat: a part of an unknown kind": (
        CHAT, "messages", chat({"role": "user", "content": [{"type": "smell", "smell": "x"}]}), "smell",
    ),
    "chat: an orphan tool result": (
        CHAT, "messages", chat(HI, {"role": "tool", "tool_call_id": "c9", "content": "1"}), "messages[1]",
    ),
    "chat: a call without its result": (
        CHAT, "messages", chat(HI, {"role": "assistant", "tool_calls": [CALL]}, HI, tools=[TOOL]), "c1",
    ),
    "chat: an id that stands twice": (
        CHAT, "messages", chat(HI, {"role": "assistant", "tool_calls": [CALL, CALL]}, tools=[TOOL]), "c1",
    ),
    "chat: an unknown role": (CHAT, "messages", chat({"role": "wizard", "content": "hi"}), "messages[0]"),
    "chat: no message": (CHAT, "messages", chat(), "messages"),
    "chat: base64 that is none": (CHAT, "messages", chat(image("data:image/png;base64,@@@")), "base64"),
    "chat: a data URL that is none": (CHAT, "responses", chat(image("data:image/png,abc")), "data"),
    "messages: an orphan result": (MESSAGES, "chat", messages({"role": "user", "content": [RESULT]}), "messages[0]"),
    "messages: a call without its result": (
        MESSAGES, "chat", messages(HI, {"role": "assistant", "content": [USE]}, HI), "t1",
    ),
    "messages: words before a result": (
        MESSAGES, "responses",
        messages(HI, {"role": "assistant", "content": [USE]},
                 {"role": "user", "content": [{"type": "text", "text": "so:"}, RESULT]}), "messages[2]",
    ),
    "messages: input that is no object": (
        MESSAGES, "chat",
        messages(HI, {"role": "assistant", "content": [USE | {"input": 5}]}, {"role": "user", "content": [RESULT]}),
        "input",
    ),
    "messages: mixed content": (MESSAGES, "chat", messages({"role": "user", "content": ["a", {"type": "text"}]}), "content"),
    "responses: an orphan output": (
        RESPONSES, "messages", {"input": [HI, {"type": "function_call_output", "call_id": "c1", "output": "1"}]}, "input[1]",
    ),
    "responses: an unknown item": (RESPONSES, "chat", {"input": [{"type": "smell"}]}, "input[0]"),
    "responses: input that is a number": (RESPONSES, "chat", {"input": 5}, "input"),
    "responses: stored state elsewhere": (
        RESPONSES, "chat", {"input": "hi", "previous_response_id": "resp_1"}, "previous_response_id",
    ),
    "responses: to be fetched later": (RESPONSES, "chat", {"input": "hi", "background": True}, "background"),
}  # fmt: skip


@pytest.fixture(scope="module")
def address(launch: Any) -> Iterator[str]:
    with SimulatedProvider(Behaviour(output_tokens=12)).in_thread() as simulated:
        yield launch(CONFIG.format(address=simulated.base_url)).ready().address


@pytest.fixture(scope="module")
def connection(address: str) -> Iterator[http.client.HTTPConnection]:
    made = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    yield made
    made.close()


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, Any]:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def good(connection: http.client.HTTPConnection) -> None:
    socket = connection.sock
    status, answer = post(connection, CHAT, json.dumps(chat(HI, model="messages")).encode())
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"].startswith("Simulated reply")
    assert connection.sock is socket


@pytest.mark.parametrize("name", BAD)
def test_refused_in_the_clients_dialect(connection: http.client.HTTPConnection, name: str) -> None:
    path, model, body, words = BAD[name]
    status, answer = post(connection, path, json.dumps({"model": model} | body).encode())
    assert status == 400, answer
    error = answer["error"]
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert (answer.get("type") == "error") == (path == MESSAGES)
    good(connection)


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, "/v1/embeddings", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"chat","messages":[{"role":"user","content":"\xff\xfe"}],"max_tokens":1,"input":"a"}',
        b"{",
        b"[]",
        b"5",
    ],
    ids=["invalid UTF-8", "cut", "a list", "a number"],
)
def test_bodies_that_are_no_json_object(connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
    status, answer = post(connection, path, body)
    assert status in (400, 404), answer
    assert answer["error"]["message"]
    good(connection)


@pytest.mark.parametrize(("path", "model"), [(CHAT, "messages"), (CHAT, "responses"), (MESSAGES, "chat")])
def test_a_huge_picture_arrives(connection: http.client.HTTPConnection, path: str, model: str) -> None:
    data = base64.b64encode(bytes(6_000_000)).decode()
    if path == CHAT:
        body = chat(image(f"data:image/png;base64,{data}"))
    else:
        source = {"type": "base64", "media_type": "image/png", "data": data}
        body = messages({"role": "user", "content": [{"type": "image", "source": source}]})
    status, answer = post(connection, path, json.dumps({"model": model} | body).encode())
    assert status == 200, answer
    assert "1 image" in json.dumps(answer)
    good(connection)
