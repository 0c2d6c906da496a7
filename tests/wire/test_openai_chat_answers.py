"""Answers of openai.chat, whole and streamed: the quirks of its servers, and what the vendor's SDK makes of what we write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.errors import MalformedAnswer, ServerFault
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS
from trimaran.wire.conversation import Part, Reasoning, Refusal, Text, ToolCall
from trimaran.wire.dialect import ChatDialect
from trimaran.wire.events import (
    Answer,
    ArgumentsDelta,
    Event,
    Finished,
    OtherDelta,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    ReasoningState,
    ServiceTier,
    Started,
    TextDelta,
    UsageReport,
)
from trimaran.wire.fold import fold
from trimaran.wire.refusals import Refusals
from trimaran.wire.state import wrap_state

CHAT = DIALECTS["openai.chat"]
assert isinstance(CHAT, ChatDialect)
OWN = "openai.chat"
SCORES = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]


def whole(message: Any, finish: str | None = "stop", **fields: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish} | fields.pop(
        "choice", {}
    )
    return CHAT.decode_answer(json.dumps({"id": "r1", "model": "m", "choices": [choice]} | fields).encode())


def call(id: Any = "c1", name: Any = "f", arguments: Any = '{"a":1}', **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}} | fields


@pytest.mark.parametrize(
    ("message", "finish", "parts", "reason"),
    [
        ({"content": "a"}, "stop", [Text("a")], "stop"),
        ({"content": ""}, "length", [], "length"),
        ({"content": None, "refusal": "No."}, "stop", [Refusal("No.")], "content_filter"),
        ({"content": None, "tool_calls": [call()]}, "tool_calls", [ToolCall("c1", "f", '{"a":1}')], "tool_calls"),
        ({"content": "a", "tool_calls": [call()]}, "stop", [Text("a"), ToolCall("c1", "f", '{"a":1}')], "tool_calls"),
        ({"tool_calls": [call(arguments="")]}, "tool_calls", [ToolCall("c1", "f", "{}")], "tool_calls"),
        ({"tool_calls": [call(arguments="")]}, "length", [ToolCall("c1", "f", "")], "length"),
        ({"tool_calls": [call(arguments={"a": 1})]}, "stop", [ToolCall("c1", "f", '{"a":1}')], "tool_calls"),
        ({"content": "a", "reasoning_content": "hm"}, "stop", [Reasoning("hm", origin=OWN), Text("a")], "stop"),
        ({"content": "a", "reasoning": "hm"}, None, [Reasoning("hm", origin=OWN), Text("a")], ""),
    ],
)
def test_what_an_answer_holds(message: Any, finish: str | None, parts: list[Part], reason: str) -> None:
    answer = whole(message, finish)
    assert (answer.parts, answer.finish_reason) == (parts, reason)


def test_the_rest_of_an_answer() -> None:
    scores = {"content": SCORES, "refusal": None}
    answer = whole({"content": "a"}, service_tier="default", choice={"logprobs": scores, "stop_reason": "END"})
    assert (answer.logprobs, answer.service_tier, answer.stop_sequence) == (SCORES, "standard", "END")
    assert answer.finish_reason == "stop_sequence"
    answer = whole({"refusal": "a"}, service_tier="auto", choice={"logprobs": {"content": None, "refusal": SCORES}})
    assert (answer.logprobs, answer.service_tier) == (SCORES, "")


def test_a_call_without_an_id_gets_one() -> None:
    first, second = (
        part.id for part in whole({"tool_calls": [call(None), call("")]}).parts if isinstance(part, ToolCall)
    )
    assert first != second
    assert first.startswith("call_")
    assert whole({"tool_calls": [call(None)]}).parts == whole({"tool_calls": [call(None)]}).parts


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
        {"tool_calls": [call(name="")]},
        {"tool_calls": [{"id": "c"}]},
        {"tool_calls": "x"},
        {"function_call": {"name": "f", "arguments": "{}"}},
        {"audio": {"id": "a", "data": ""}},
        {"content": [{"type": "text", "text": "a"}]},
    ],
)
def test_an_answer_that_cannot_be_carried(message: Any) -> None:
    with pytest.raises(MalformedAnswer):
        whole(message)


def test_several_choices_were_not_asked_for() -> None:
    with pytest.raises(MalformedAnswer, match="several choices"):
        CHAT.decode_answer(b'{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}}]}')


def test_the_sdk_reads_a_whole_answer(openai_sdk: Any) -> None:
    thought = Reasoning("hm", "sig", "anthropic.messages")
    answer = Answer(
        "r1",
        "m",
        [thought, Text("a"), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "{}")],
        "tool_calls",
        usage=Usage(9, 5, 3, 2, 1, 4, 1, 2),
        logprobs=SCORES,
        service_tier="standard",
    )
    read = openai_sdk(CHAT.encode_answer(answer, 5)).chat.completions.create(model="m", messages=[])
    choice = read.choices[0]
    assert (read.created, read.service_tier, choice.finish_reason) == (5, "default", "tool_calls")
    assert [(item.id, item.type, item.function.name) for item in choice.message.tool_calls] == [
        ("c1", "function", "f"),
        ("c2", "function", "g"),
    ]
    assert choice.message.reasoning_content == "hm"
    assert choice.message.reasoning_details == [
        {"type": "reasoning.text", "text": "hm", "signature": wrap_state(thought), "index": 0}
    ]
    assert choice.logprobs.content[0].token == "a"
    tokens = read.usage
    assert (tokens.prompt_tokens_details.audio_tokens, tokens.completion_tokens_details.audio_tokens) == (1, 2)
    # What the SDK echoes in the next request is what it got.
    echo = {"role": "assistant"} | choice.message.model_dump(exclude_none=True)
    results = [{"role": "tool", "tool_call_id": id, "content": "r"} for id in ("c1", "c2")]
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "?"}, echo, *results]}).encode()
    refusals = Refusals(OWN, Target("t", "p", "m", ("x",), "http://t"))
    assert CHAT.decode_request(body, refusals).messages[1].parts == answer.parts
    assert not refusals


def test_a_message_without_text_says_so() -> None:
    def message(*parts: Part) -> Any:
        return json.loads(CHAT.encode_answer(Answer("", "", list(parts), "stop"), 0))["choices"][0]["message"]

    assert message(ToolCall("c", "f", "{}"))["content"] is None
    assert message(Refusal("No."))["content"] is None
    assert message()["content"] == ""


# Streams


def chunk(delta: Any = None, finish: str | None = None, **fields: Any) -> bytes:
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish} | fields.pop("choice", {})]
    )
    return json.dumps({"id": "r1", "model": "m", "choices": choices} | fields).encode()


def streamed(*chunks: bytes) -> list[Event]:
    decoder = CHAT.stream_decoder()
    return [event for data in (*chunks, b"[DONE]") for event in decoder.decode(b"", data)]


def piece(index: Any = 0, arguments: str | None = None, **fields: Any) -> Any:
    function = {"arguments": arguments} if arguments is not None else {}
    if "name" in fields:
        function["name"] = fields.pop("name")
    return {"tool_calls": [({} if index is None else {"index": index}) | {"function": function} | fields]}


FINISH = chunk({}, "tool_calls")


def test_the_parts_of_a_stream() -> None:
    events = streamed(
        chunk({"role": "assistant", "content": ""}, service_tier="default"),
        chunk({"reasoning_content": "h"}, service_tier="default"),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "a"}, choice={"logprobs": {"content": SCORES}}),
        chunk({"content": "b"}),
        chunk(piece(0, "", id="c1", type="function", name="f")),
        chunk(piece(0, '{"a":')),
        chunk(piece(0, "1}")),
        chunk(piece(1, "{}", id="c2", type="function", name="g")),
        FINISH,
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 2}),
    )
    assert events == [
        Started("r1", "m"),
        ServiceTier("standard"),
        PartStarted(0, Reasoning(origin=OWN)),
        ReasoningDelta("h", 0),
        ReasoningDelta("m", 0),
        PartEnded(0),
        PartStarted(1, Text("")),
        TextDelta("a", 1, SCORES),
        TextDelta("b", 1),
        PartEnded(1),
        PartStarted(2, ToolCall("c1", "f", "")),
        ArgumentsDelta('{"a":', 2),
        ArgumentsDelta("1}", 2),
        PartEnded(2),
        PartStarted(3, ToolCall("c2", "g", "")),
        ArgumentsDelta("{}", 3),
        PartEnded(3),
        Finished("tool_calls"),
        UsageReport(Usage(3, 2), alone=True),
    ]


@pytest.mark.parametrize(
    "chunks",
    [
        # In turns
        [
            piece(0, "", id="c1", name="f"),
            piece(1, "", id="c2", name="g"),
            piece(0, '{"a":1}'),
            piece(1, '{"b":'),
            piece(1, "2}"),
        ],
        # Both at once, whole
        [
            {
                "tool_calls": piece(0, '{"a":1}', id="c1", name="f")["tool_calls"]
                + piece(1, '{"b":2}', id="c2", name="g")["tool_calls"]
            }
        ],
        # One index for all
        [piece(0, '{"a":1}', id="c1", name="f"), piece(0, '{"b":2}', id="c2", name="g")],
        # No index at all
        [piece(None, '{"a":', id="c1", name="f"), piece(None, "1}"), piece(None, '{"b":2}', id="c2", name="g")],
        # Id and name again in every piece
        [
            piece(0, '{"a":', id="c1", name="f"),
            piece(0, "1}", id="c1", name="f"),
            piece(1, '{"b":2}', id="c2", name="g"),
            piece(1, "", id="c2", name="g"),
        ],
        # The name after the id, and arguments before the name
        [piece(0, '{"a":', id="c1"), piece(0, "1}", name="f"), piece(1, None, id="c2"), piece(1, '{"b":2}', name="g")],
    ],
)
def test_how_servers_tell_calls_apart(chunks: list[Any]) -> None:
    answer = fold(streamed(*[chunk(delta) for delta in chunks], FINISH))
    assert answer.parts == [ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", '{"b":2}')]


def test_a_call_has_ended_when_the_next_begins_and_it_is_whole() -> None:
    decoder = CHAT.stream_decoder()
    decoder.decode(b"", chunk(piece(0, '{"a":1}', id="c1", name="f")))
    assert decoder.decode(b"", chunk(piece(1, "", id="c2", name="g")))[0] == PartEnded(0)
    decoder.decode(b"", chunk(piece(0, " ")))
    with pytest.raises(MalformedAnswer, match="goes on after its arguments were whole"):
        decoder.decode(b"", chunk(piece(0, "{}")))


def test_calls_without_id_or_arguments() -> None:
    answer = fold(streamed(chunk(piece(0, name="f")), FINISH))
    assert answer.parts == whole({"tool_calls": [call(None, arguments=None)]}, "tool_calls").parts
    answer = fold(streamed(chunk(piece(0, id="c1", name="f")), chunk({}, "length")))
    assert answer.parts == [ToolCall("c1", "f", "")]
    answer = fold(streamed(chunk(piece(0, "{}", id="c1", name="f"), "stop")))
    assert answer.finish_reason == "tool_calls"
    with pytest.raises(MalformedAnswer, match="without a name"):
        streamed(chunk(piece(0, "{}", id="c1")), FINISH)


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        ({"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "f"}}]}, "call of type 'custom'"),
        ({"function_call": {"name": "f"}}, "legacy function call"),
        ({"audio": {"data": ""}}, "sound"),
        ({"content": [{"type": "text"}]}, "list of content parts"),
    ],
)
def test_content_without_a_neutral_place(delta: Any, kind: str) -> None:
    assert OtherDelta(kind) in streamed(chunk(delta))


def test_a_refusal_is_a_part_and_a_reason() -> None:
    events = streamed(chunk({"refusal": "N"}), chunk({"refusal": "o."}), chunk({}, "stop"))
    answer = fold(events)
    assert (answer.parts, answer.finish_reason) == ([Refusal("No.")], "content_filter")


def test_a_text_is_read_in_full_where_a_chunk_holds_more() -> None:
    events = streamed(
        chunk({"content": "a"}),
        chunk({"content": "b", "refusal": "c"}),
        chunk({"content": "d"}, "length"),
        chunk({"content": ""}),
        chunk({"content": None}, "stop"),
    )
    answer = fold(events)
    assert [part.text for part in answer.parts if isinstance(part, Text | Refusal)] == ["ab", "c", "d"]
    assert answer.finish_reason == "length"
    assert fold(streamed(chunk({"content": "a"}), chunk({"content": "b"}, service_tier="flex"))).service_tier == "flex"
    with pytest.raises(ServerFault, match="broken"):
        streamed(chunk({"content": "a"}), chunk({"content": "b"}, error={"message": "broken"}))


def test_an_answer_ends_with_its_reason() -> None:
    with pytest.raises(MalformedAnswer, match="goes on after its finish reason"):
        streamed(chunk({"content": "a"}, "stop"), chunk({"content": "b"}))
    with pytest.raises(MalformedAnswer, match="goes on"):
        streamed(chunk(piece(0, "{}", id="c", name="f")), FINISH, chunk({"refusal": "b"}))


def test_a_stream_without_a_reason_ends_its_parts() -> None:
    events = streamed(chunk({"content": "a"}), chunk(piece(0, '{"a', id="c", name="f")))
    assert [event for event in events if isinstance(event, PartEnded)] == [PartEnded(0), PartEnded(1)]
    assert not any(isinstance(event, Finished) for event in events)


def test_reasoning_details_of_a_compatible_server_are_its_state() -> None:
    events = streamed(
        chunk({"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]}),
        chunk({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}, "noise"]}),
        chunk({"content": "a"}),
        chunk({}, "stop"),
    )
    details = [{"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}]
    thought, text = fold(events).parts
    assert isinstance(thought, Reasoning)
    assert (thought.text, json.loads(thought.state), thought.origin) == ("hm", details, OWN)
    assert text == Text("a")
    assert whole({"content": "a", "reasoning": "hm", "reasoning_details": details}).parts[0] == thought


def test_details_that_only_repeat_the_text_are_no_state() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "index": 0}]
    assert whole({"content": "a", "reasoning_details": details}).parts[0] == Reasoning("hm", origin=OWN)


def test_what_a_gateway_below_wrapped_goes_back_to_it_as_it_is() -> None:
    below = Reasoning("hm", "sig", "anthropic.messages")
    detail = {"type": "reasoning.text", "text": "hm", "signature": wrap_state(below), "index": 0}
    events = streamed(chunk({"reasoning_content": "hm"}), chunk({"reasoning_details": [detail]}), chunk({}, "stop"))
    (thought,) = fold(events).parts
    assert isinstance(thought, Reasoning)
    assert (thought.origin, json.loads(thought.state)) == (OWN, [detail])
    assert any(isinstance(event, ReasoningState) for event in events)
    assert whole({"content": None, "reasoning_content": "hm", "reasoning_details": [detail]}).parts == [thought]


def encoder() -> Any:
    body = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    return CHAT.stream_encoder(CHAT.read(body), 7)


def written(events: list[Event]) -> bytes:
    subject = encoder()
    return b"".join([subject.encode(event) for event in events]) + subject.end()


def test_the_sdk_puts_a_stream_together(openai_sdk: Any) -> None:
    body = written(
        [
            Started("r1", "m"),
            ServiceTier("priority"),
            PartStarted(0, Reasoning(origin="anthropic.messages")),
            ReasoningDelta("hm", 0),
            ReasoningState("si", 0),
            ReasoningState("g", 0),
            PartEnded(0),
            PartStarted(1, Text("")),
            TextDelta("a", 1, SCORES),
            TextDelta("b", 1),
            PartEnded(1),
            PartStarted(2, ToolCall("c1", "f", "")),
            PartStarted(3, ToolCall("c2", "g", "")),
            ArgumentsDelta('{"a"', 2),
            ArgumentsDelta("{}", 3),
            ArgumentsDelta(":1}", 2),
            PartEnded(2),
            PartEnded(3),
            Finished("tool_calls"),
            UsageReport(Usage(3, 2), alone=True),
        ]
    )
    with openai_sdk(body).chat.completions.stream(model="m", messages=[]) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    message = answer.choices[0].message
    assert [(item.id, item.function.name, item.function.arguments) for item in message.tool_calls] == [
        ("c1", "f", '{"a":1}'),
        ("c2", "g", "{}"),
    ]
    assert (message.content, message.reasoning_content, answer.service_tier) == ("ab", "hm", "priority")
    assert message.reasoning_details[0]["signature"] == "tmrn1:anthropic.messages::sig"
    assert message.reasoning_details[0]["text"] == "hm"
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].logprobs.content[0].token == "a"
    assert answer.usage.total_tokens == 5


def test_the_sdk_reads_a_refusal(openai_sdk: Any) -> None:
    events: list[Event] = [
        Started("r1", "m"),
        PartStarted(0, Refusal("")),
        TextDelta("No", 0),
        TextDelta(".", 0, SCORES),
    ]
    body = written([*events, PartEnded(0), Finished("content_filter")])
    chunks = list(openai_sdk(body).chat.completions.create(model="m", messages=[], stream=True))
    assert [item.choices[0].delta.refusal for item in chunks] == [None, "No", ".", None]
    assert chunks[2].choices[0].logprobs.refusal[0].token == "a"
    assert chunks[3].choices[0].finish_reason == "content_filter"


def test_a_stop_sequence_stands_beside_the_reason() -> None:
    last = written([Started("r", "m"), Finished("stop_sequence", "END")]).split(b"\n\n")[1]
    choice = json.loads(last.removeprefix(b"data: "))
    assert choice["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
        "stop_reason": "END",
    }


def test_nothing_is_written_for_what_waits() -> None:
    subject = encoder()
    silent: list[Event] = [Started("r", "m"), UsageReport(Usage(1)), ServiceTier("flex")]
    assert [subject.encode(event) for event in silent] == [b""] * len(silent)
    assert b'"service_tier":"flex"' in subject.encode(PartStarted(0, Reasoning(origin=OWN)))
    silent = [
        ReasoningDelta("", 0),
        PartEnded(0),
        PartStarted(1, Text("")),
        PartEnded(1),
        UsageReport(Usage()),
        ServiceTier("priority"),
    ]
    assert [subject.encode(event) for event in silent] == [b""] * len(silent)
    assert b'"service_tier":"priority"' in subject.encode(Finished("stop"))
