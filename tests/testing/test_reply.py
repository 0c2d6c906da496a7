"""What a simulated provider says: a function of prompt, behaviour and name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.exchange import Prompt, Tool

PROMPT = Prompt("m", last_text="Hello there", turns=1, input_tokens=10)


def said(prompt=PROMPT, **behaviour):
    return compose(prompt, Behaviour(**behaviour), "sim")


def but(**changes):
    return Prompt(**{**{name: getattr(PROMPT, name) for name in PROMPT.__struct_fields__}, **changes})


def test_the_default_reply_says_that_it_is_simulated_and_quotes_the_prompt():
    text = "".join(said().pieces)
    assert text.startswith("Simulated reply from sim")
    assert "Hello there" in text


def test_the_default_reply_names_what_reached_the_provider():
    def headline(**changes):
        return "".join(said(but(**changes), output_tokens=40).pieces).split('"')[0]

    assert "(1 message)" in headline()
    assert "(3 messages, system prompt, 1 image)" in headline(turns=3, has_system=True, images=1)
    assert "2 images" in headline(images=2)
    everything = headline(documents=1, audios=1, tool_calls=2, tool_results=1, reasonings=2)
    assert "1 document, 1 sound, 2 tool calls, 1 tool result, 2 reasoning blocks" in everything


@given(st.integers(0, 300))
def test_the_default_reply_has_the_length_asked_for(tokens):
    reply = said(output_tokens=tokens)
    assert len(reply.pieces) == reply.usage.output == tokens


@given(st.text())
def test_a_fixed_text_comes_back_whole(text):
    assert "".join(said(text=text).pieces) == text


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_a_stop_sequence_cuts_at_its_first_place(text, stops):
    reply = said(but(stop=tuple(stops)), text=text)
    shown = "".join(reply.pieces)
    places = [text.find(stop) for stop in stops if stop in text]
    assert shown == (text[: min(places)] if places else text)
    assert (reply.finish == "stop_sequence") == bool(places)
    assert reply.stop_sequence is None or text.startswith(reply.stop_sequence, len(shown))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_max_tokens_is_never_exceeded_by_what_is_shown(limit, tokens, hidden):
    reply = said(but(max_output_tokens=limit), output_tokens=tokens, reasoning_tokens=hidden)
    assert len(reply.pieces) <= max(0, limit - hidden)
    assert (reply.finish == "length") == (tokens > max(0, limit - hidden))


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_cached_tokens_are_parts_of_the_input(total, read, write):
    usage = said(input_tokens=total, cached_read_tokens=read, cache_write_tokens=write).usage
    assert usage.cached_read + usage.cache_write <= usage.input == total


def called(reply):
    return [(part.tool_call.name, part.tool_call.arguments) for part in reply.of("tool_call")]


FIRST = Tool("first", {"type": "object", "properties": {"a": {"const": 1}}})
SECOND = Tool("second", {"type": "object"})
TOOLS = (FIRST, SECOND)


def test_tools_are_called_when_forced_and_on_wish():
    assert called(said(but(tools=TOOLS))) == []
    assert called(said(but(tools=TOOLS, forced_tool=""))) == [("first", {"a": 1})]
    assert called(said(but(tools=TOOLS, forced_tool="second"))) == [("second", {})]
    assert called(said(but(tools=TOOLS), call_tools=True)) == [("first", {"a": 1})]
    assert called(said(but(tools=TOOLS, after_tool_result=True), call_tools=True)) == []


def test_several_tools_are_called_at_once_where_the_request_allows_it():
    three = said(but(tools=TOOLS), call_tools=True, tool_calls=3, text_before_tools="Let me see.")
    assert [name for name, _ in called(three)] == ["first", "second", "first"]
    assert (three.text(), three.finish, three.parts[0].kind) == ("Let me see.", "tool_calls", "text")
    assert [part.tool_call.index for part in three.of("tool_call")] == [0, 1, 2]
    assert len(called(said(but(tools=TOOLS, parallel_tools=False), call_tools=True, tool_calls=3))) == 1
    assert called(said(but(tools=TOOLS, forced_tool="second"), tool_calls=3)) == [("second", {})]


def test_a_tool_call_that_does_not_fit_is_a_text_cut_short():
    tools = (Tool("t", {"type": "object", "properties": {"long": {"const": "x" * 100}}}),)
    reply = said(but(tools=tools, forced_tool="", max_output_tokens=3))
    assert (called(reply), reply.finish, len(reply.pieces)) == ([], "length", 3)


def test_reasoning_is_shown_hidden_or_off_as_the_request_wants():
    thought = "One two three."
    shown, hidden, off = (said(but(reasoning=r), reasoning_text=thought, text="x") for r in ("shown", "hidden", "off"))
    assert (shown.text("reasoning"), shown.usage.reasoning, shown.usage.output) == (thought, 3, 4)
    assert (hidden.text("reasoning"), hidden.of("reasoning")[0].hidden_text) == ("", thought)
    assert (hidden.usage.reasoning, off.usage.reasoning, off.of("reasoning")) == (3, 0, [])
    assert said(reasoning_text=thought, reasoning_tokens=50).usage.reasoning == 50


@given(st.integers(1, 12), st.sampled_from(["shown", "hidden"]))
def test_reasoning_counts_towards_the_limit(limit, kind):
    reply = said(but(max_output_tokens=limit, reasoning=kind), reasoning_text="a b c d", text="e f g h")
    assert len(reply.pieces) <= limit
    assert (reply.finish == "length") == (limit < 8)
    assert bool(reply.of("text")) == (limit > 4)


def test_a_refusal_is_all_that_is_said():
    reply = said(but(tools=TOOLS, forced_tool="", json_schema=True), refusal="No, I will not.")
    assert ([part.kind for part in reply.parts], reply.text("refusal"), reply.finish) == (
        ["refusal"],
        "No, I will not.",
        "refusal",
    )


def test_parts_of_the_usage_are_never_more_than_the_whole():
    usage = said(but(input_tokens=4), text="a b", audio_input_tokens=9, audio_output_tokens=9).usage
    assert (usage.audio_input, usage.audio_output) == (4, 2)
