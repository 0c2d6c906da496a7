"""Answers of generateContent, whole and streamed: read as Google writes them, written so that google-genai reads them."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import ContentRefused, MalformedAnswer, RateLimited, StreamCut, UnknownModel
from trimaran.types import Usage
from trimaran.wire.conversation import Reasoning, Refusal, Text, ToolCall
from trimaran.wire.events import Answer, Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReport
from trimaran.wire.fold import fold
from trimaran.wire.gemini_generate import GeminiGenerate
from trimaran.wire.gemini_generate.signatures import DUMMY, EMPTY_TEXT, ON_TEXT, on_call, wrapped
from trimaran.wire.relay import TranslatingRelay
from trimaran.wire.state import wrap_state

sys.path.insert(0, str(Path(__file__).parent))
from conversations import answers, blocks_of, events_of, usages

GoogleClient = Callable[..., genai.Client]
GEMINI = GeminiGenerate()
OWN = GEMINI.name
ENVELOPE = GEMINI.read(b'{"contents":[{"parts":[{"text":"hi"}]}]}', b"/v1beta/models/m:streamGenerateContent")
USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 4,
    "toolUsePromptTokenCount": 3,
    "totalTokenCount": 25,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}, {"modality": "AUDIO", "tokenCount": 2}],
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
    "trafficType": "ON_DEMAND_PRIORITY",
}


def whole(*parts: Any, reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": "gemini-3.8-flash", "responseId": "r1"} | fields


def decoded(body: dict[str, Any]) -> Answer:
    return GEMINI.decode_answer(json.dumps(body).encode())


def stream(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks)


def events(data: bytes) -> list[Event]:
    decoder = GEMINI.stream_decoder()
    found = [event for name, value in blocks_of(GEMINI, data) for event in decoder.decode(name, value)]
    return [*found, *decoder.ended()]


def encoded(told: list[Event]) -> bytes:
    encoder = GEMINI.stream_encoder(ENVELOPE, 0)
    return b"".join([*map(encoder.encode, told), encoder.end()])


PARTS = [
    {"text": "I think", "thought": True},
    {"text": "Let me see.", "thoughtSignature": "dGV4dA=="},
    {"functionCall": {"name": "f", "args": {"a": 1.5}, "id": "c1"}, "thoughtSignature": "Y2FsbA=="},
    {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
]


def test_an_answer_is_read() -> None:
    answer = decoded(whole(*PARTS, usageMetadata=USAGE))
    assert answer.parts == [
        Reasoning("I think", "", OWN),
        Text("Let me see."),
        Reasoning("", "dGV4dA==", OWN, ON_TEXT, hidden=True),
        Reasoning("", "Y2FsbA==", OWN, on_call("c1"), hidden=True),
        ToolCall("c1", "f", '{"a": 1.5}'),
        ToolCall("c2", "g", "{}"),
    ]
    assert (answer.id, answer.model, answer.finish_reason, answer.service_tier) == (
        "r1",
        "gemini-3.8-flash",
        "tool_calls",
        "priority",
    )
    assert answer.usage == Usage(13, 12, 4, 0, 0, 7, 2, 1)


def test_signed_parts_come_back_as_they_were() -> None:
    body = json.loads(GEMINI.encode_answer(decoded(whole(*PARTS)), 0))
    assert body["candidates"][0]["content"]["parts"] == PARTS


def test_a_stream_is_read() -> None:
    data = stream(
        whole({"text": "I ", "thought": True}, reason=None, usageMetadata={"promptTokenCount": 10}),
        whole({"text": "think", "thought": True}, reason=None),
        whole({"text": "Hel"}, reason=None),
        whole({"text": "lo"}, reason=None),
        whole({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Y2FsbA=="}, reason=None),
        whole({"text": "", "thoughtSignature": "ZW5k"}, usageMetadata=USAGE),
    )
    answer = fold(events(data))
    call = answer.parts[3]
    assert isinstance(call, ToolCall)
    assert answer.parts == [
        Reasoning("I think", "", OWN),
        Text("Hello"),
        Reasoning("", "Y2FsbA==", OWN, on_call(call.id), hidden=True),
        ToolCall(call.id, "f", '{"a": 1}'),
        Reasoning("", "ZW5k", OWN, EMPTY_TEXT, hidden=True),
    ]
    assert (answer.finish_reason, answer.usage) == ("tool_calls", Usage(13, 12, 4, 0, 0, 7, 2, 1))


def test_a_finish_reason_in_every_chunk_ends_nothing() -> None:
    answer = fold(events(stream(whole({"text": "Hel"}), whole({"text": "lo"}))))
    assert (answer.text, answer.finish_reason) == ("Hello", "stop")


REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "BLOCKLIST": "content_filter",
    "SPII": "content_filter",
    "OTHER": "OTHER",
    "LANGUAGE": "LANGUAGE",
    "FINISH_REASON_UNSPECIFIED": "",
}


@pytest.mark.parametrize(("word", "reason"), REASONS.items())
def test_finish_reasons(word: str, reason: str) -> None:
    assert decoded(whole({"text": "a"}, reason=word)).finish_reason == reason
    assert GEMINI.inspect(json.dumps(whole({"text": "a"}, reason=word)).encode())[1] == reason


def test_every_word_of_googles_is_known_or_keeps_its_spelling() -> None:
    for word in types.FinishReason:
        if word.value.startswith(("MALFORMED", "UNEXPECTED", "TOO_MANY", "MISSING")):
            with pytest.raises(MalformedAnswer, match=word.value):
                decoded(whole({"text": "a"}, reason=word.value))
        else:
            answer = decoded(whole({"text": "a"}, reason=word.value))
            assert json.loads(GEMINI.encode_answer(answer, 0))["candidates"][0]["finishReason"] in {
                each.value for each in types.FinishReason
            }


MALFORMED: list[dict[str, Any]] = [
    {},
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "a"}]}}]},
    {"candidates": []},
    {"candidates": [whole()["candidates"][0], whole()["candidates"][0]]},
    whole({"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
    whole({"executableCode": {"code": "1"}}),
    whole({"someday": {}}),
    whole({"functionCall": {"name": "f", "partialArgs": []}}),
    {"candidates": 5},
]


@pytest.mark.parametrize("body", MALFORMED)
def test_what_was_not_asked_for_is_malformed(body: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        decoded(body)


BLOCKED = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}}


def test_a_blocked_prompt_is_refused_and_passes() -> None:
    with pytest.raises(ContentRefused, match="PROHIBITED_CONTENT"):
        decoded(BLOCKED)
    with pytest.raises(ContentRefused):
        events(stream(BLOCKED))
    assert GEMINI.inspect(json.dumps(BLOCKED).encode()) == (Usage(3), "content_filter", "")
    relay = GEMINI.pass_relay(ENVELOPE)
    data = stream(BLOCKED)
    assert relay.feed(data) + relay.finish() == data
    assert relay.finish_reason == "content_filter"


def test_an_error_in_the_place_of_an_answer() -> None:
    error = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    with pytest.raises(RateLimited, match="slow down"):
        decoded(error)
    with pytest.raises(RateLimited):
        events(stream(whole({"text": "a"}, reason=None), error))


def test_thoughts_alone_are_an_answer() -> None:
    answer = decoded({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]})
    assert (answer.parts, answer.finish_reason) == ([], "length")


def test_log_probabilities() -> None:
    scores = {
        "chosenCandidates": [{"token": "é", "tokenId": 7, "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e", "logProbability": -2.0}]}
        ],
    }
    body = whole({"text": "é"})
    body["candidates"][0]["logprobsResult"] = scores
    answer = decoded(body)
    assert answer.logprobs == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                {"token": "e", "logprob": -2.0, "bytes": [101]},
            ],
        }
    ]
    again = types.GenerateContentResponse.model_validate(json.loads(GEMINI.encode_answer(answer, 0)))
    assert again.candidates is not None
    result = again.candidates[0].logprobs_result
    assert result is not None
    assert result.top_candidates is not None
    assert fold(events(stream(body))).logprobs == answer.logprobs


# Passing


def test_a_stream_passes_byte_for_byte() -> None:
    data = stream(
        whole({"text": "I think", "thought": True}, reason=None),
        whole({"executableCode": {"code": "1", "language": "PYTHON"}}, reason=None),
        whole({"functionCall": {"name": "f", "args": {}}}, reason=None),
        whole({"text": ""}, usageMetadata=USAGE),
    )
    relay = GEMINI.pass_relay(ENVELOPE)
    out = b"".join(relay.feed(data[place : place + 7]) for place in range(0, len(data), 7)) + relay.finish()
    assert out == data
    assert (relay.finish_reason, relay.usage, relay.service_tier) == (
        "tool_calls",
        Usage(13, 12, 4, 0, 0, 7, 2, 1),
        "priority",
    )
    assert relay.complete


def test_a_stream_that_breaks_off_is_cut() -> None:
    relay = GEMINI.pass_relay(ENVELOPE)
    relay.feed(stream(whole({"text": "a"}, reason=None)))
    assert not relay.may_end
    with pytest.raises(StreamCut):
        relay.finish()
    two = whole({"text": "a"})
    two["candidates"].append({"content": {"parts": [{"text": "b"}]}, "index": 1})
    relay = GEMINI.pass_relay(ENVELOPE)
    relay.feed(stream(two))
    assert not relay.may_end


def foreign(part: Reasoning) -> str:
    return base64.b64encode(wrap_state(part).encode()).decode()


def test_thoughts_of_others_are_taken_out_of_what_passes() -> None:
    signature = foreign(Reasoning("I think", "sig", "anthropic.messages"))
    own = {"role": "model", "parts": [{"text": "own", "thought": True, "thoughtSignature": "AA=="}]}
    user = {"role": "user", "parts": [{"text": "a tmrn1: dG1ybjE6 b"}]}
    contents = [
        user,
        {"role": "model", "parts": [{"text": "I ", "thought": True}]},
        {
            "role": "model",
            "parts": [{"text": "think", "thought": True}, {"thought": True, "thought_signature": signature}],
        },
        {"role": "model", "parts": [{"text": "Hello"}]},
        own,
        user,
    ]
    body = json.dumps({"contents": contents, "labels": {}}).encode()
    clean = json.loads(GEMINI.without_foreign_state(body))
    assert clean == {"contents": [user, contents[3], own, user], "labels": {}}
    untouched = json.dumps({"contents": [user, own, user]}).encode()
    assert GEMINI.without_foreign_state(untouched) is untouched


# Writing


@given(answers(usage=usages(audio=True), logprobs=True))
def test_googles_types_take_every_answer(answer: Answer) -> None:
    body = json.loads(GEMINI.encode_answer(answer, 0))
    response = types.GenerateContentResponse.model_validate(body)
    assert response.candidates is not None
    content = response.candidates[0].content
    assert content is not None
    assert content.parts
    spoken = [part.text for part in content.parts if part.text and not part.thought]
    assert "".join(spoken) == answer.text
    assert [part.function_call.name for part in content.parts if part.function_call] == [
        part.name for part in answer.parts if isinstance(part, ToolCall)
    ]
    usage, told = response.usage_metadata, answer.usage
    assert usage is not None
    assert told is not None
    assert usage.total_token_count == told.input_tokens + told.output_tokens
    assert (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) == told.output_tokens


@given(st.data())
def test_googles_types_take_every_chunk(data: st.DataObject) -> None:
    answer = data.draw(answers(usage=usages(), logprobs=True))
    spoken: list[str] = []
    for _, value in blocks_of(GEMINI, encoded(data.draw(events_of(answer)))):
        response = types.GenerateContentResponse.model_validate(json.loads(value))
        assert response.candidates is not None
        content = response.candidates[0].content
        assert content is not None
        assert content.parts
        spoken += [part.text for part in content.parts if part.text and not part.thought]
    assert "".join(spoken) == answer.text


def test_the_sdk_reads_an_answer_and_brings_it_back(google_sdk: GoogleClient) -> None:
    thought = Reasoning("I think", "s\u00efg", "anthropic.messages")
    answer = Answer(
        "r1", "m", [thought, Text("Let me see."), ToolCall("c1", "f", '{"a":1}')], "tool_calls", usage=Usage(3, 4)
    )
    seen: list[bytes] = []
    chat = google_sdk(GEMINI.encode_answer(answer, 0), seen=seen).chats.create(model="m")
    response = chat.send_message("hi")
    assert response.text == "Let me see."
    assert response.function_calls is not None
    assert (response.function_calls[0].id, response.function_calls[0].args) == ("c1", {"a": 1})
    chat.send_message(types.Part.from_function_response(name="f", response={"output": "ok"}))
    model = json.loads(seen[1])["contents"][1]
    assert wrapped(model["parts"][0]["thoughtSignature"]) == wrap_state(thought)
    assert model["parts"][2]["thoughtSignature"] == DUMMY


def test_the_sdk_reads_a_stream_and_remembers_it(google_sdk: GoogleClient) -> None:
    told: list[Event] = [
        Started("r1", "m"),
        PartStarted(0, Text("")),
        TextDelta("Hel", 0),
        TextDelta("lo", 0),
        PartEnded(0),
        Finished("stop"),
        UsageReport(Usage(3, 4)),
    ]
    chat = google_sdk(encoded(told)).chats.create(model="m")
    chunks = list(chat.send_message_stream("hi"))
    assert "".join(chunk.text or "" for chunk in chunks) == "Hello"
    assert [chunk.model_version for chunk in chunks] == ["m"] * 3
    last = chunks[-1]
    assert last.usage_metadata is not None
    assert last.usage_metadata.total_token_count == 7
    assert last.candidates is not None
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert len(chat.get_history(curated=True)) == 4


def test_an_answer_without_a_word_is_remembered(google_sdk: GoogleClient) -> None:
    chat = google_sdk(GEMINI.encode_answer(Answer("r1", "m", [], "length"), 0)).chats.create(model="m")
    chat.send_message("hi")
    assert len(chat.get_history(curated=True)) == 2


def test_a_call_that_was_cut_off_is_left_out() -> None:
    cut = Answer("r", "m", [Text("a"), ToolCall("c", "f", '{"a":')], "length")
    assert json.loads(GEMINI.encode_answer(cut, 0))["candidates"][0]["content"]["parts"] == [{"text": "a"}]
    with pytest.raises(MalformedAnswer, match="'f'"):
        GEMINI.encode_answer(Answer("r", "m", cut.parts, "tool_calls"), 0)
    told: list[Event] = [Started("r", "m"), PartStarted(0, ToolCall("c", "f", '{"a":')), PartEnded(0), Finished("stop")]
    with pytest.raises(MalformedAnswer, match="'f'"):
        encoded(told)
    assert b"functionCall" not in encoded([*told[:-1], Finished("length")])


def test_calls_that_come_in_turns_keep_their_order() -> None:
    told: list[Event] = [
        Started("r", "m"),
        *(PartStarted(place, ToolCall(f"c{place}", "f", "{}")) for place in range(3)),
    ]
    told += [PartEnded(2), PartEnded(1), PartEnded(0), Finished("tool_calls")]
    calls = [part.id for part in fold(events(encoded(told))).parts if isinstance(part, ToolCall)]
    assert calls == ["c0", "c1", "c2"]


def test_a_refusal_is_told() -> None:
    body = json.loads(GEMINI.encode_answer(Answer("r", "m", [Refusal("No.")], "stop"), 0))
    assert body["candidates"][0]["finishReason"] == "SAFETY"
    told: list[Event] = [
        Started("r", "m"),
        PartStarted(0, Refusal("")),
        TextDelta("No.", 0),
        PartEnded(0),
        Finished("stop"),
    ]
    assert b'"finishReason":"SAFETY"' in encoded(told)


def test_a_stream_ends_when_only_the_end_was_missing() -> None:
    relay = TranslatingRelay(GEMINI, GEMINI.stream_encoder(ENVELOPE, 0))
    assert relay.feed(stream({"candidates": [{"finishReason": "STOP"}]})) == b""
    out = relay.finish()
    assert (relay.complete, relay.finish_reason) == (True, "stop")
    assert out.count(b"data: ") == 1


# Errors, as the SDK hears them


def test_the_sdk_hears_an_error(google_sdk: GoogleClient) -> None:
    error = UnknownModel("no model 'x'; there is 'y'", field="model")
    client = google_sdk(GEMINI.write_error(error, "req_1"), status=404)
    with pytest.raises(google_errors.ClientError) as caught:
        client.models.generate_content(model="x", contents="hi")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    assert caught.value.message == "no model 'x'; there is 'y'"


def test_the_sdk_hears_an_error_inside_a_stream(google_sdk: GoogleClient) -> None:
    told: list[Event] = [Started("r1", "m"), PartStarted(0, Text("")), TextDelta("Hel", 0)]
    encoder = GEMINI.stream_encoder(ENVELOPE, 0)
    data = b"".join(map(encoder.encode, told)) + GEMINI.write_stream_error(StreamCut("the stream broke off"), "req_1")
    chunks = google_sdk(data).models.generate_content_stream(model="m", contents="hi")
    assert next(chunks).text == "Hel"
    with pytest.raises(google_errors.ServerError) as caught:
        next(chunks)
    assert (caught.value.code, caught.value.status, caught.value.message) == (502, "INTERNAL", "the stream broke off")


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-flash", 1), ("gemini-3-pro-preview", 2), ("", 2)])
def test_searches_on_the_web_are_counted_as_they_are_charged(model: str, searches: int) -> None:
    answer = whole({"text": "a"}) | {"modelVersion": model}
    answer["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["x", "y"]}
    answer["usageMetadata"] = {"promptTokenCount": 5, "candidatesTokenCount": 3}
    assert decoded(answer).usage.web_searches == searches
    body = json.dumps(answer).encode()
    assert GEMINI.inspect(body)[0].web_searches == searches
    for decoder in (GEMINI.stream_decoder(), GEMINI.pass_relay(None)._decoder):
        reports = [event for event in decoder.decode(b"", body) if isinstance(event, UsageReport)]
        assert [report.usage.web_searches for report in reports] == [searches]
