"""Whole Responses: what is read of them, and what the vendor's SDK reads of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    ContentRefused,
    InvalidRequest,
    MalformedAnswer,
    RateLimited,
    Rejected,
    ServerFault,
)
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS
from trimaran.wire.conversation import Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import Answer
from trimaran.wire.openai_responses import OpenAIResponses
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import wrap_state

RESPONSES = DIALECTS["openai.responses"]
assert isinstance(RESPONSES, OpenAIResponses)

LOGPROB = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
WIRE_USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 3},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 39,
}
USAGE = Usage(30, 9, 8, 3, 0, 4)


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": list(content),
    } | fields


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": [], "logprobs": []} | fields


CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c",
    "name": "f",
    "arguments": '{"x":1}',
}


def response(*output: Any, **fields: Any) -> bytes:
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-2026",
        "output": list(output),
        "usage": WIRE_USAGE,
        "service_tier": "default",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    return json.dumps(body | fields).encode()


# Reading


def test_every_part_of_an_answer() -> None:
    body = response(
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": t} for t in ("a", "b")],
            "encrypted_content": "e",
        },
        {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "e2"},
        {"id": "rs_3", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
        {"id": "rs_4", "type": "reasoning", "summary": []},
        message(text("Hi", logprobs=[LOGPROB]), {"type": "refusal", "refusal": "no"}),
        CALL,
    )
    assert RESPONSES.decode_answer(body) == Answer(
        id="resp_1",
        model="gpt-2026",
        parts=[
            Reasoning("a\n\nb", "e", "openai.responses", "rs_1", summary=True),
            Reasoning("", "e2", "openai.responses", "rs_2", hidden=True),
            Reasoning("t", "", "openai.responses", "rs_3"),
            Text("Hi"),
            Refusal("no"),
            ToolCall("c", "f", '{"x":1}'),
        ],
        finish_reason="tool_calls",
        usage=USAGE,
        logprobs=[LOGPROB],
        service_tier="standard",
    )
    assert RESPONSES.inspect(body) == (USAGE, "tool_calls", "standard")


@pytest.mark.parametrize(
    ("output", "fields", "reason"),
    [
        ([message(text("x"))], {}, "stop"),
        ([message(text("x"))], {"status": None}, "stop"),
        ([], {}, "stop"),
        ([{"type": "custom_tool_call", "name": "c", "input": "x"}], {}, "tool_calls"),
        ([{"type": "web_search_call", "id": "w"}, message(text("x"))], {}, "stop"),
        (
            [message(text("x"))],
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
        ),
        ([CALL], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "steered"),
        ([], {"status": "incomplete"}, "length"),
    ],
)
def test_finish_reasons(output: list[Any], fields: dict[str, Any], reason: str) -> None:
    usage, found, _ = RESPONSES.inspect(response(*output, **fields))
    assert usage is not None
    usage.web_searches = 0
    assert (usage, found) == (USAGE, reason)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({}, Usage()),
        ({"input_tokens": 5, "output_tokens": None}, Usage(5)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 6,
                "input_tokens_details": {"audio_tokens": 2, "cache_write_tokens_details": {"ttl_30m_tokens": 1}},
                "output_tokens_details": {"audio_tokens": 3},
            },
            Usage(5, 6, audio_input_tokens=2, audio_output_tokens=3),
        ),
        ({"input_tokens": -5, "input_tokens_details": None}, Usage()),
    ],
)
def test_usage_is_read_with_tolerance(usage: Any, read: Usage | None) -> None:
    assert RESPONSES.inspect(response(usage=usage))[0] == read


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error", "message": "broken"}, ServerFault),
        ({"code": "rate_limit_exceeded", "message": "broken"}, RateLimited),
        ({"code": "invalid_prompt", "message": "broken"}, Rejected),
        ({"code": "image_too_large", "message": "broken"}, Rejected),
        ({"code": "image_content_policy_violation", "message": "broken"}, ContentRefused),
        ({"code": "bio_policy", "message": "broken"}, ContentRefused),
        ({"code": "vector_store_timeout", "message": "broken"}, ServerFault),
        ({"message": "broken"}, ServerFault),
    ],
)
@pytest.mark.parametrize("read", [RESPONSES.inspect, RESPONSES.decode_answer])
def test_a_failed_response_is_its_error(read: Any, error: Any, kind: type[AttemptError]) -> None:
    for body in (response(status="failed", error=error), json.dumps({"error": error}).encode()):
        with pytest.raises(kind, match="broken") as caught:
            read(body)
        assert type(caught.value) is kind
    with pytest.raises(ServerFault):
        read(response(status="failed"))


@pytest.mark.parametrize("read", [RESPONSES.inspect, RESPONSES.decode_answer])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output":5}',
        b'{"output":[5]}',
        b"\xff",
        response(status="in_progress"),
        response(status="queued"),
        response(status="cancelled"),
        response(usage={"input_tokens": 10**13}),
    ],
)
def test_malformed_answers(read: Any, body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read(body)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"type": "web_search_call", "id": "w"}, "a web_search_call"),
        ({"type": "custom_tool_call", "name": "c", "input": "x"}, "a custom_tool_call"),
        ({"type": ""}, "a nameless item"),
        (message(text("x", annotations=[{"type": "url_citation"}])), "a citation"),
        (message({"type": "output_audio"}), "a part of type 'output_audio'"),
        (CALL | {"arguments": {}}, "not what the dialect promises"),
        (message(5), "not what the dialect promises"),
    ],
)
def test_what_no_other_dialect_carries(item: Any, told: str) -> None:
    with pytest.raises(MalformedAnswer, match=told):
        RESPONSES.decode_answer(response(item))


# Writing

ANSWER = Answer(
    id="chatcmpl-abc",
    model="claude-2026",
    parts=[
        Reasoning("why", "sig", "anthropic.messages"),
        Reasoning("", "blob", "anthropic.messages", hidden=True),
        Reasoning("short", "", "openai.chat", summary=True),
        Text("Hello"),
        Refusal("no"),
        ToolCall("toolu_1", "f", '{"x": 1}'),
        ToolCall("toolu_2", "g", ""),
    ],
    finish_reason="tool_calls",
    usage=Usage(30, 9, 8, 3, 3, 4, 2, 1),
    logprobs=[LOGPROB],
    service_tier="standard",
)
REQUEST = {
    "model": "m",
    "input": "hi",
    "instructions": "be kind",
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "function", "name": "f"},
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": None,
    "metadata": {"a": "b"},
    "max_output_tokens": 99,
    "reasoning": {"effort": "low"},
    "text": {"verbosity": "low"},
    "store": False,
}


def test_the_sdk_reads_an_answer(openai_sdk: Any) -> None:
    # Pretty-printed, because the settings are copied as they stand there.
    envelope = RESPONSES.read(json.dumps(REQUEST, indent=2).encode())
    body = RESPONSES.encode_answer(ANSWER, 1700000000, envelope)
    read = openai_sdk(body).responses.create(model="m", input="hi")
    assert (read.id, read.object, read.created_at, read.status) == ("resp_abc", "response", 1700000000, "completed")
    assert (read.model, read.output_text, read.error, read.incomplete_details) == ("claude-2026", "Hello", None, None)
    assert read.store is False
    assert read.service_tier == "default"
    thought, hidden, summary, said, refusal, call, bare = read.output
    # Clients of this API show summaries and nothing else.
    assert (thought.type, thought.id, thought.summary[0].text) == ("reasoning", "rs_abc_0", "why")
    assert thought.content is None
    assert thought.encrypted_content == "tmrn1:anthropic.messages::sig"
    assert (hidden.summary, hidden.content, hidden.encrypted_content) == ([], None, "tmrn1:anthropic.messages*::blob")
    assert (summary.summary[0].text, summary.encrypted_content) == ("short", "tmrn1:openai.chat+::")
    assert (said.type, said.id, said.role, said.status) == ("message", "msg_abc_3", "assistant", "completed")
    assert said.content[0].logprobs[0].token == "Hi"
    assert refusal.content[0].refusal == "no"
    assert (call.type, call.id, call.call_id, call.name) == ("function_call", "fc_abc_5", "toolu_1", "f")
    assert (call.arguments, bare.arguments) == ('{"x": 1}', "{}")
    assert read.usage.to_dict() == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 3, "audio_tokens": 2},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 1},
        "total_tokens": 39,
    }
    assert (read.instructions, read.temperature, read.top_p) == ("be kind", 0.5, None)
    assert (read.metadata, read.max_output_tokens, read.parallel_tool_calls) == ({"a": "b"}, 99, False)
    assert (read.tools[0].name, read.tool_choice.name, read.reasoning.effort) == ("f", "f", "low")
    assert read.text.verbosity == "low"


def test_what_an_answer_says_where_the_request_said_nothing(openai_sdk: Any) -> None:
    answer = Answer(id="", model="x", parts=[], finish_reason="stop")
    for envelope in (None, RESPONSES.read(b'{"model":"m","input":"hi","tools":null}')):
        read = openai_sdk(RESPONSES.encode_answer(answer, 5, envelope)).responses.create(model="m", input="hi")
        assert read.id.startswith("resp_")
        assert len(read.id) > 20
        assert (read.output, read.tools, read.tool_choice, read.parallel_tool_calls) == ([], [], "auto", True)
        assert (read.metadata, read.truncation, read.text.format.type) == ({}, "disabled", "text")
        assert read.usage is None


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_window", "incomplete", "max_output_tokens"),
        ("pause_turn", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_statuses(reason: str, status: str, why: str | None, openai_sdk: Any) -> None:
    answer = Answer(id="x", model="y", parts=[Text("a"), ToolCall("c", "f", "")], finish_reason=reason)
    read = openai_sdk(RESPONSES.encode_answer(answer, 0)).responses.create(model="m", input="hi")
    assert (read.status, read.incomplete_details and read.incomplete_details.reason) == (status, why)
    assert [item.status for item in read.output] == ["completed", status]
    # What was cut off is not made whole.
    assert read.output[1].arguments == ("{}" if status == "completed" else "")


def test_log_probabilities_go_to_the_text_they_belong_to() -> None:
    entries = [{"token": token} for token in ("He", "llo", "wor", "ld")]
    answer = Answer("x", "y", [Text("Hello"), ToolCall("c", "f", "{}"), Text("world")], "stop", logprobs=entries)
    output = json.loads(RESPONSES.encode_answer(answer, 0))["output"]
    assert output[0]["content"][0]["logprobs"] == entries[:2]
    assert output[2]["content"][0]["logprobs"] == entries[2:]


def test_reasoning_of_its_own_keeps_id_and_state() -> None:
    own = Reasoning("s", "enc", "openai.responses", "rs_77", summary=True)
    output = json.loads(RESPONSES.encode_answer(Answer("x", "y", [own], "stop"), 0))["output"]
    assert output[0] == {
        "id": "rs_77",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "s"}],
        "encrypted_content": "enc",
    }


def test_wrapped_reasoning_comes_back_as_what_it_was() -> None:
    thoughts = [part for part in ANSWER.parts if isinstance(part, Reasoning)]
    thoughts += [
        Reasoning("", "sig", "anthropic.messages"),
        Reasoning("short", "", "openai.chat"),
    ]
    output = json.loads(RESPONSES.encode_answer(Answer("x", "y", list(thoughts), "stop"), 0))["output"]
    assert output[0]["encrypted_content"] == wrap_state(thoughts[0])
    target = Target(id="t", provider="p", upstream_model="u", dialects=("anthropic.messages",), base_url="http://t")
    body = json.dumps({"model": "m", "input": output}).encode()
    request = RESPONSES.decode_request(body, Refusals("openai.responses", target))
    assert request.messages[0].parts == thoughts
    # A client may keep the state alone.
    bare = [{"type": "reasoning", "summary": [], "encrypted_content": item["encrypted_content"]} for item in output]
    refusals = Refusals("openai.responses", target)
    request = RESPONSES.decode_request(json.dumps({"model": "m", "input": bare}).encode(), refusals)
    assert [(part.state, part.hidden) for part in request.messages[0].parts if isinstance(part, Reasoning)] == [
        ("blob", True),
        ("", False),
        ("sig", False),
        ("", False),
    ]
    assert refusals.omitted == ["reasoning"]


# Errors


def test_errors_in_the_clients_own_words() -> None:
    error = InvalidRequest("'input' must be a string", field="input")
    assert json.loads(RESPONSES.write_error(error, "r")) == {
        "error": {
            "message": "'input' must be a string",
            "type": "invalid_request_error",
            "param": "input",
            "code": "invalid_request",
        }
    }


def test_a_refusal_of_the_same_dialect_passes() -> None:
    body = b'{"error":{"message":"no","type":"invalid_request_error","param":"x","code":"y"}}'
    error = RESPONSES.read_error(400, None, "application/json", body)
    assert isinstance(error, Rejected)
    assert RESPONSES.write_error(error, "r") == body
    assert RESPONSES.write_error(AllAttemptsFailed([("t", error)]), "r") == body
