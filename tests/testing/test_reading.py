"""Whatever arrives is read or refused: nothing else may come out of a dialect."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Behaviour
from trimaran.testing.anthropic_messages import AnthropicMessages
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Prompt, Refusal
from trimaran.testing.openai_chat import OpenAIChat
from trimaran.testing.openai_embeddings import OpenAIEmbeddings
from trimaran.testing.openai_responses import OpenAIResponses

KEYS = [(b"authorization", b"Bearer k"), (b"anthropic-version", b"2026-10-21")]
DIALECTS = [OpenAIChat(), OpenAIResponses(), OpenAIEmbeddings(), AnthropicMessages()]

WORDS = """
model messages role user content text type stream max_tokens stop tools function name parameters
input_schema tool_choice any required image_url image tool_result response_format json_schema schema
output_config format minItems properties array items
input input_text input_image input_file function_call function_call_output reasoning call_id arguments output
assistant tool_calls tool_use tool_use_id thinking signature source base64 data document id summary
"""
words = st.sampled_from(WORDS.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)
likely = st.fixed_dictionaries(
    {"model": st.just("m")},
    optional={
        "max_tokens": st.integers(1, 9),
        "input": values | st.lists(st.dictionaries(words, values, max_size=5), max_size=3),
        "messages": st.lists(st.fixed_dictionaries({"role": words, "content": values}), min_size=1, max_size=3),
        "tools": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.just("t"),
                    "input_schema": values,
                    "function": st.fixed_dictionaries({"parameters": values}),
                }
            ),
            max_size=2,
        ),
        "tool_choice": st.sampled_from(["required", "none", {"type": "any"}, {"type": "tool", "name": "t"}]) | values,
        "response_format": st.fixed_dictionaries(
            {"type": words, "json_schema": st.fixed_dictionaries({"schema": values})}
        ),
        "output_config": st.fixed_dictionaries({"format": st.fixed_dictionaries({"schema": values})}),
    },
)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(body=st.binary(max_size=60) | values.map(json.dumps).map(str.encode) | likely.map(json.dumps).map(str.encode))
def test_a_body_is_read_and_answered_or_refused(dialect, body):
    behaviour = Behaviour(call_tools=True, tool_calls=2, reasoning_text="So.", text_before_tools="Well.")
    refused = None
    try:
        prompt = dialect.read(Request(b"POST", dialect.path, KEYS, body, True))
        reply = dialect.compose(prompt, behaviour, "sim")
    except Refusal as refusal:
        refused = refusal
    if refused is not None:
        assert refused.status in (400, 404)
        assert json.loads(dialect.refusal(refused, "req"))["error"]["message"]
        return
    assert isinstance(prompt, Prompt)
    writer = dialect.writer(prompt, reply, 1)
    assert json.loads(writer.unary())
    if dialect.name == "openai.embeddings":
        return
    assert writer.opening() + b"".join(map(writer.piece, reply.pieces)) + writer.closing(end_marker=True)
