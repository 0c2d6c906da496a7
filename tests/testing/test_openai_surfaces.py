"""Responses and embeddings beyond what the contract suites ask: the sequence of events, stored answers, vectors."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing import openai_responses as responses
from trimaran.testing.openai_embeddings import unit_vector

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


async def test_the_sequence_of_events_is_the_official_one(ask):
    behaviour = Behaviour(call_tools=True, text_before_tools="Well.", reasoning_text="I think.")
    fields = {"tools": [TOOL], "reasoning": {"effort": "low", "summary": "auto"}, "stream": True}
    async with SimulatedProvider(behaviour) as provider:
        raw = await ask(provider, "openai.responses", **fields)
    names = [name for name, _ in raw.events()]
    assert names == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    events = [json.loads(data) for _, data in raw.events()]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events] == names
    final = events[-1]["response"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call"]


async def test_reasoning_without_a_summary_is_an_item_without_words(ask):
    async with SimulatedProvider(Behaviour(reasoning_text="I think.", text="So.")) as provider:
        raw = await ask(provider, "openai.responses", stream=True)
        off = await ask(provider, "openai.responses", reasoning={"effort": "none"})
    final = json.loads(raw.events()[-1][1])["response"]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message"]
    assert final["output"][0]["summary"] == []
    assert "encrypted_content" not in final["output"][0]
    assert final["usage"]["output_tokens_details"]["reasoning_tokens"] == 2
    assert [item["type"] for item in off.json()["output"]] == ["message"]


async def test_stored_answers_are_bounded_and_only_those_that_may_be_kept(ask, monkeypatch):
    monkeypatch.setattr(responses, "_STORED", 2)
    async with SimulatedProvider() as provider:

        async def ids(**fields):
            return (await ask(provider, "openai.responses", **fields)).json()["id"]

        async def status(identity):
            return (await ask(provider, "openai.responses", previous_response_id=identity, store=False)).status

        first, private = await ids(), await ids(store=False)
        assert (await status(first), await status(private)) == (200, 400)
        second, third = await ids(), await ids(previous_response_id=first)
        assert [await status(identity) for identity in (first, second, third)] == [400, 200, 200]


async def test_items_of_stored_answers_are_found_by_their_ids(ask, monkeypatch):
    monkeypatch.setattr(responses, "_STORED", 2)
    async with SimulatedProvider(Behaviour(reasoning_text="I think.", output_tokens=40)) as provider:

        async def output(**fields):
            return (await ask(provider, "openai.responses", **fields)).json()["output"]

        async def then(*items):
            return await ask(
                provider, "openai.responses", input=[*items, {"role": "user", "content": "On."}], store=False
            )

        private = await output(store=False)
        thought, said = await output()
        referred = [{"type": "item_reference", "id": thought["id"]}, {"id": said["id"]}]
        for items in ([thought, said], referred):
            raw = await then(*items)
            assert "(2 messages, 1 reasoning block)" in raw.json()["output"][-1]["content"][0]["text"]
        alone = await then(referred[0])
        assert (alone.status, "required following item" in alone.json()["error"]["message"]) == (400, True)
        for items in (private, [{"type": "item_reference", "id": private[1]["id"]}], [{"id": private[1]["id"]}]):
            raw = await then(*items)
            assert (raw.status, "Items are not persisted" in raw.json()["error"]["message"]) == (404, True)
        await output()
        assert (await then(thought, said)).status == 200
        await output()
        assert (await then(thought, said)).status == 404
        assert (await then(*referred)).status == 404


async def test_a_stored_conversation_outlives_the_answers_it_began_with(ask, monkeypatch):
    monkeypatch.setattr(responses, "_STORED", 1)
    async with SimulatedProvider(Behaviour(reasoning_text="I think.")) as provider:
        first = (await ask(provider, "openai.responses")).json()["id"]
        second = (await ask(provider, "openai.responses", previous_response_id=first)).json()["id"]
        assert (await ask(provider, "openai.responses", previous_response_id=first)).status == 400
        assert (await ask(provider, "openai.responses", previous_response_id=second)).status == 200


async def test_a_streamed_answer_is_stored_with_its_whole_conversation(ask):
    behaviour = Behaviour(call_tools=True, reasoning_text="I think.", output_tokens=40)
    async with SimulatedProvider(behaviour) as provider:
        raw = await ask(provider, "openai.responses", stream=True, tools=[TOOL], instructions="Be brief.")
        answer = json.loads(raw.events()[-1][1])["response"]
        result = {"type": "function_call_output", "call_id": answer["output"][-1]["call_id"], "output": "ok"}
        fields = {"previous_response_id": answer["id"], "input": [result], "tools": [TOOL]}
        then = (await ask(provider, "openai.responses", **fields)).json()
    text = then["output"][-1]["content"][0]["text"]
    # Instructions are not carried over.
    assert "(3 messages, 1 tool call, 1 tool result, 1 reasoning block)" in text


@pytest.mark.parametrize(
    ("asked", "reported", "seen"),
    [
        (None, None, "default"),
        ("auto", None, "default"),
        ("fast", None, "priority"),
        ("flex", None, "flex"),
        ("flex", "standard", "default"),
        (None, "priority", "priority"),
    ],
)
async def test_service_tiers(ask, asked, reported, seen):
    async with SimulatedProvider(Behaviour(service_tier=reported)) as provider:
        for dialect in ("openai.chat", "openai.responses"):
            fields = {} if asked is None else {"service_tier": asked}
            assert (await ask(provider, dialect, **fields)).json()["service_tier"] == seen
        other = (await ask(provider, "anthropic.messages")).json()["usage"]["service_tier"]
    assert other == (reported or "standard")


@given(st.text(min_size=1) | st.lists(st.integers(0, 200_000), min_size=1), st.integers(1, 64))
def test_a_vector_has_length_one_and_begins_like_the_longer_one(item, length):
    vector, longer = unit_vector(item, length), unit_vector(item, 2 * length)
    assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-5)
    assert unit_vector(item, length) == vector
    scale = math.hypot(*longer[:length])
    assert all(math.isclose(a * scale, b, abs_tol=1e-5) for a, b in zip(vector, longer, strict=False))


def test_different_inputs_are_nearly_at_right_angles():
    one, two = unit_vector("a", 1_536), unit_vector("b", 1_536)
    assert abs(sum(a * b for a, b in zip(one, two, strict=True))) < 0.2
    assert unit_vector([1], 8) != unit_vector("1", 8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": []}, "empty array"),
        ({"input": [""]}, "empty string"),
        ({"input": [[]]}, "empty array"),
        ({"input": ["a", [1]]}, "mixture"),
        ({"input": ["a", 1]}, "mixture"),
        ({"input": [-1]}, "0 or more"),
        ({"input": "x" * 40_000}, "maximum context length is 8192"),
        ({"input": ["x" * 30_000] * 41}, "max 300000 tokens per request"),
        ({"dimensions": 0}, "1 or more"),
        ({"dimensions": 5_000}, "less than or equal to 1536"),
        ({"model": "text-embedding-ada-002", "dimensions": 5}, "does not support specifying dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"messages": []}, "Unknown parameter"),
    ],
)
async def test_embeddings_are_refused_as_the_vendor_does(ask, fields, message):
    async with SimulatedProvider() as provider:
        raw = await ask(provider, "openai.embeddings", **fields)
    assert (raw.status, raw.json()["error"]["type"]) == (400, "invalid_request_error")
    assert message in raw.json()["error"]["message"]


async def test_the_length_of_vectors_is_a_behaviour(ask):
    async with SimulatedProvider(Behaviour(embedding_dimensions=7)) as provider:
        raw = await ask(provider, "openai.embeddings", input=["a", "b", "a"])
    rows = [row["embedding"] for row in raw.json()["data"]]
    assert ([len(row) for row in rows], rows[0] == rows[2] != rows[1]) == ([7, 7, 7], True)
    assert raw.json()["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
