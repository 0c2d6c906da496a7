"""One request in each dialect, and what it becomes for each other one: written down, so that a change is seen.

``GOLDEN=write pytest tests/wire/test_golden.py`` writes the snapshots again; read the difference before you keep it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from trimaran.errors import InvalidRequest, UnsupportedFeature
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS, ChatDialect, translate
from trimaran.wire.conversation import Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import Answer

sys.path.insert(0, str(Path(__file__).parent))
from conversations import read_request

HERE = Path(__file__).parent / "golden"
CHAT = sorted(name for name, dialect in DIALECTS.items() if isinstance(dialect, ChatDialect) and dialect.shown_path)
PAIRS = [(client, target) for client in CHAT for target in CHAT if client != target]
PROVIDERS = {
    "openai.chat": "compatible",
    "openai.responses": "openai",
    "anthropic.messages": "anthropic",
    "bedrock.converse": "bedrock",
    "gemini.generate": "gemini",
}
MODELS = {"bedrock.converse": "anthropic.claude-upstream-model", "gemini.generate": "gemini-3-upstream-model"}
UNTAKEN = {("bedrock.converse", "gemini.generate"): ("additionalModelRequestFields",)}
"""Members of a client's request that are refused: Gemini cannot be told to make one call at a time."""
PROBE = "zz_probe"

ANSWERS = {
    "text": Answer("a-1", "m", [Text("Hello.")], "stop", usage=Usage(30, 4, 10, 6, 2, 1), service_tier="priority"),
    "calls": Answer(
        "a-2",
        "m",
        [
            Text("I will look."),
            ToolCall("call_1", "look", '{"where":"picture"}'),
            ToolCall("call_2", "read", '{"name":"letter","page":1}'),
        ],
        "tool_calls",
        usage=Usage(30, 40),
    ),
    "thoughts": Answer(
        "a-3", "m", [Reasoning("It is a harbour.", "c3RhdGU=", "ORIGIN", "rs_1", True), Text("A harbour.")], "stop",
        usage=Usage(30, 40, reasoning_tokens=12),
    ),
    "refusal": Answer("a-4", "m", [Refusal("I cannot help with that.")], "content_filter", usage=Usage(30, 8)),
    "cut": Answer("a-5", "m", [Text("It begins")], "length", usage=Usage(30, 2)),
}  # fmt: skip


def target_of(dialect: str) -> Target:
    model = MODELS.get(dialect, "upstream-model")
    return Target("t/m", PROVIDERS[dialect], model, (dialect,), "https://t.example")


def request_of(client: str, target: str) -> dict[str, Any]:
    """What the client asks."""
    asked: dict[str, Any] = json.loads((HERE / f"{client}.json").read_bytes())
    for member in UNTAKEN.get((client, target), ()):
        del asked[member]
    return asked


def chat(name: str) -> ChatDialect:
    dialect = DIALECTS[name]
    assert isinstance(dialect, ChatDialect)
    return dialect


def held_to(name: str, value: Any) -> None:
    path = HERE / f"{name}.json"
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no snapshot {path.name}; GOLDEN=write writes it"
    assert text == path.read_text()


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_requests(client: str, target: str) -> None:
    body = json.dumps(request_of(client, target)).encode()
    made = translate(chat(client), read_request(chat(client), body), target_of(target))
    notes = made.notes
    held_to(
        f"requests/{client}-to-{target}",
        {
            "emulated": notes.emulated if notes else [],
            "omitted": notes.omitted if notes else [],
            "body": json.loads(made.body),
        },
    )


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_answers(client: str, target: str, name: str) -> None:
    answer = ANSWERS[name]
    for part in answer.parts:
        if isinstance(part, Reasoning):
            part.origin = target
    asked = request_of(client, target)
    for member in ("stream", "stream_options"):
        asked.pop(member, None)
    envelope = read_request(chat(client), json.dumps(asked).encode())
    body = chat(target).encode_answer(answer, 1700000000)
    out, *_ = translate(chat(client), envelope, target_of(target)).answer(body, created_s=1700000000)
    held_to(f"answers/{name}-{target}-to-{client}", {"provider": json.loads(body), "client": json.loads(out)})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where an object stands in ``value``."""
    found = [path] if isinstance(value, dict) else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def heard_of(client: str, target: str, body: bytes) -> str:
    """All that a translation lets one see: what it sends and notes, or its refusal."""
    try:
        made = translate(chat(client), read_request(chat(client), body), target_of(target))
    except (UnsupportedFeature, InvalidRequest) as error:
        return str(error)
    return f"{made.body!r} {made.notes}"


@pytest.mark.parametrize(("client", "target"), PAIRS)
def test_nothing_is_dropped_in_silence(client: str, target: str) -> None:
    """A member that nobody knows, put into each object of the request in turn, is refused by name or arrives."""
    whole = request_of(client, target)
    silent = []
    for path in places(whole):
        changed = json.loads(json.dumps(whole))
        inner = changed
        for key in path:
            inner = inner[key]
        inner[PROBE] = {"a": [1]}
        body = json.dumps(changed).encode()
        if PROBE not in heard_of(client, target, body):
            silent.append(path)
    assert silent == []
