"""Whatever arrives is read or refused: nothing else may come out of a dialect."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Behaviour
from trimaran.testing.anthropic_messages import AnthropicMessages
from trimaran.testing.dialect import Request
from trimaran.testing.exchange import Prompt, Refusal, compose
from trimaran.testing.openai_chat import OpenAIChat

KEYS = [(b"authorization", b"Bearer k"), (b"anthropic-version", b"2026-10-21")]
DIALECTS = [OpenAIChat(), AnthropicMessages()]

WORDS = """
model messages role user content text type stream max_tokens stop tools function name parameters
input_schema tool_choice any required image_url image tool_result response_format json_schema schema
output_config format minItems properties array items
"""
words = st.sampled_from(WORDS.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)
likely = st.fixed_dictionaries(
    {"model": st.just("m"), "max_tokens": st.integers(1, 9)},
    optional={
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
    refused = None
    try:
        prompt = dialect.read(Request(b"POST", dialect.path, KEYS, body, True))
    except Refusal as refusal:
        refused = refusal
    if refused is not None:
        assert refused.status == 400
        assert json.loads(dialect.refusal(refused, "req"))["error"]["message"]
        return
    assert isinstance(prompt, Prompt)
    writer = dialect.writer(prompt, reply := compose(prompt, Behaviour(), "sim"), 1)
    assert json.loads(writer.unary())
    assert writer.opening() + b"".join(map(writer.piece, reply.pieces)) + writer.closing(end_marker=True)
