"""What a simulated provider says: a function of prompt, behaviour and name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Behaviour
from trimaran.testing.exchange import Prompt, Tool, compose

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


def test_tools_are_called_when_forced_and_on_wish():
    tools = (Tool("first", {"type": "object", "properties": {"a": {"const": 1}}}), Tool("second", {"type": "object"}))
    assert said(but(tools=tools)).tool_call is None
    assert said(but(tools=tools, forced_tool="")).tool_call.name == "first"
    assert said(but(tools=tools, forced_tool="second")).tool_call.name == "second"
    assert said(but(tools=tools), call_tools=True).tool_call.arguments == {"a": 1}
    assert said(but(tools=tools, after_tool_result=True), call_tools=True).tool_call is None


def test_a_tool_call_that_does_not_fit_is_a_text_cut_short():
    tools = (Tool("t", {"type": "object", "properties": {"long": {"const": "x" * 100}}}),)
    reply = said(but(tools=tools, forced_tool="", max_output_tokens=3))
    assert (reply.tool_call, reply.finish, len(reply.pieces)) == (None, "length", 3)
