"""What bedrock.converse says comes back the same; the strict peer of the test suite takes what is written for a target."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, InvalidRequest
from trimaran.testing.aws import AwsAccount
from trimaran.testing.bedrock_converse import BedrockConverse as Peer
from trimaran.testing.bedrock_models import BedrockModels
from trimaran.testing.dialect import Request
from trimaran.types import Capabilities, Target
from trimaran.wire.bedrock_converse import BedrockConverse
from trimaran.wire.conversation import ChatRequest, Document, Image, Notes, Part, Reasoning, ToolCall, ToolResult
from trimaran.wire.refusals import Refusals

sys.path.insert(0, str(Path(__file__).parent))
from conversations import chat_requests

CONVERSE = BedrockConverse()


def target(model: str, way: str = "", lacks: str = "") -> Target:
    known = Capabilities(family="m", reasoning_control=way, lacks=frozenset(lacks.split()))
    return Target("b/m", "bedrock", model, (CONVERSE.name,), "https://b.example", capabilities=known)


OLDER, NEWER = target("anthropic.claude-m", "budget"), target("anthropic.claude-m", "adaptive")
LLAMA = target("meta.llama4-scout-17b-instruct-v1:0", lacks="json_schema")
NOVA = target("amazon.nova-pro-v1:0")


def encoded(request: ChatRequest, at: Target, source: str) -> tuple[bytes, Refusals, Notes]:
    refusals, notes = Refusals(source, at), Notes()
    return CONVERSE.encode_request(request, at, refusals, notes), refusals, notes


@given(chat_requests(), st.sampled_from([OLDER, NEWER, LLAMA, NOVA]))
def test_what_was_written_once_is_written_the_same_again(request: ChatRequest, at: Target) -> None:
    try:
        first, refusals, _ = encoded(request, at, "openai.chat")
    except InvalidRequest:
        return
    if refusals:
        return
    back = CONVERSE.decode_request(first, again := Refusals(CONVERSE.name, at))
    assert not again
    second, refusals, notes = encoded(back, at, "openai.chat")
    assert not refusals
    assert json.loads(second) == json.loads(first)
    # A form that was made up for the model is one that it knows.
    assert set(notes.emulated) <= {"tools"}
    assert notes.omitted == []


def judged(request: ChatRequest, at: Target) -> ChatRequest:
    """Without what the peer holds against a client and not against its translator: signatures that it never gave, budgets
    beyond the limit, too many documents and cache points."""
    seen = 0

    def fit(parts: list[Part]) -> list[Part]:
        nonlocal seen
        kept = []
        for part in parts:
            if isinstance(part, Reasoning):
                continue
            if isinstance(part, Document | Image):
                seen += 1
                if seen > 3 or (isinstance(part, Image) and at is LLAMA):
                    continue
            if isinstance(part, ToolResult):
                part.parts = fit(part.parts)
            if hasattr(part, "cache"):
                part.cache = ""
            if isinstance(part, ToolCall):
                part.cache = ""
            kept.append(part)
        return kept

    for message in request.messages:
        message.parts = fit(message.parts)
    request.system = fit(request.system)
    for tool in request.tools:
        tool.cache = ""
    request.cache, request.reasoning, request.response_format = "", None, None
    if request.max_output_tokens is not None:
        request.max_output_tokens = max(1, request.max_output_tokens)
    return request


PEER = Peer(AwsAccount(), BedrockModels())


@pytest.mark.parametrize("at", [OLDER, LLAMA, NOVA], ids=["claude", "llama", "nova"])
@given(request=chat_requests())
def test_the_peer_takes_what_is_written(at: Target, request: ChatRequest) -> None:
    request = judged(request, at)
    try:
        body, refusals, _ = encoded(request, at, "openai.chat")
    except InvalidRequest:
        return
    choice = request.tool_choice.mode if request.tool_choice is not None else ""
    if refusals or b'"audio"' in body or (at is LLAMA and choice in ("required", "named")):
        return
    path = CONVERSE.upstream_path(at.upstream_model, request.stream)
    prompt = PEER.read(Request(b"POST", path, [], body, True))
    assert prompt.stream is request.stream
    assert prompt.max_output_tokens == request.max_output_tokens


# Whatever comes in

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "user", "YQ=="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "source", "bytes", "format", "name", "input", "toolUseId", "content", "json", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
kinds = st.sampled_from(
    [
        "text",
        "image",
        "document",
        "audio",
        "toolUse",
        "toolResult",
        "reasoningContent",
        "citationsContent",
        "cachePoint",
    ]
)
blocks = st.dictionaries(kinds, junk, max_size=2)
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": junk | st.lists(blocks, max_size=3)}
    ),
    max_size=3,
)
members = st.dictionaries(
    st.sampled_from(
        [
            "system",
            "toolConfig",
            "inferenceConfig",
            "outputConfig",
            "additionalModelRequestFields",
            "requestMetadata",
            "serviceTier",
            "performanceConfig",
            "x",
        ]
    ),
    junk,
    max_size=3,
)


@given(turns, members)
def test_a_request_is_read_or_refused_and_nothing_else(messages: list[Any], fields: dict[str, Any]) -> None:
    body = json.dumps({"messages": messages} | fields).encode()
    refusals = Refusals(CONVERSE.name, OLDER)
    try:
        CONVERSE.read(body, b"/model/m/converse")
        request = CONVERSE.decode_request(body, refusals)
        CONVERSE.encode_request(request, OLDER, refusals, Notes())
    except InvalidRequest as error:
        named = error.field
    else:
        named = "nothing"
    assert named


@given(junk, st.lists(junk | blocks, max_size=3))
def test_an_answer_is_read_or_malformed_and_nothing_else(whole: Any, content: list[Any]) -> None:
    answer = {"output": {"message": {"content": content}}, "usage": whole, "stopReason": "end_turn"}
    for body in (json.dumps(whole).encode(), json.dumps(answer).encode()):
        for look in (CONVERSE.decode_answer, CONVERSE.inspect):
            try:
                look(body)
            except AttemptError:
                continue
