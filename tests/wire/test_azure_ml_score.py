"""``azure_ml.score``: what the catalogue's models are sent, what is read from their answers, and what is refused by name."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, MalformedAnswer, UnsupportedFeature
from trimaran.types import Target
from trimaran.wire import DIALECTS, translate
from trimaran.wire.azure_ml_score import DEFAULT_NEW_TOKENS, AzureMLScore
from trimaran.wire.conversation import Text
from trimaran.wire.events import Finished, TextDelta

DIALECT = AzureMLScore()
CHAT = DIALECTS["openai.chat"]


def target(**facts: str) -> Target:
    return Target("azure_ml/x", "azure_ml", "x", (DIALECT.name,), "http://t", facts=facts)


def sent(facts: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    body = json.dumps({"model": "x", "messages": [{"role": "user", "content": "Hi"}], **members}).encode()
    made = translate(CHAT, CHAT.read(body), target(**(facts or {"container": "score"})))
    return json.loads(made.body)["input_data"]  # type: ignore[no-any-return]


def test_turns() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Why?"},
    ]
    assert sent(messages=turns)["input_string"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi\n\nthere"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Why?"},
    ]


def test_one_prompt_by_the_models_template() -> None:
    facts = {"container": "score_prompt", "base_model": "mistral-7b"}
    [prompt] = sent(facts)["input_string"]
    assert prompt == "<s>[INST] Hi [/INST]"


@pytest.mark.parametrize(
    ("members", "parameters"),
    [
        ({}, {"max_new_tokens": DEFAULT_NEW_TOKENS, "do_sample": True}),
        (
            {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9},
            {"max_new_tokens": 7, "do_sample": True, "temperature": 0.5, "top_p": 0.9},
        ),
        ({"max_tokens": 7, "temperature": 0, "top_p": 0.9}, {"max_new_tokens": 7, "do_sample": False}),
        ({"max_tokens": 7, "user": "someone", "metadata": {"a": "b"}}, {"max_new_tokens": 7, "do_sample": True}),
    ],
)
def test_parameters(members: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert sent(**members)["parameters"] == {"return_full_text": False, **parameters}


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "'tools'"),
        ({"stop": ["x"]}, "'stop'"),
        ({"response_format": {"type": "json_object"}}, "'response_format'"),
        ({"seed": 7}, "'seed'"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}
                ]
            },
            "image",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(members: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedFeature, match=named):
        sent(**members)


@pytest.mark.parametrize(
    "body",
    [
        {"output": "hi"},
        {"output": ["hi"]},
        ["hi"],
        [{"0": "hi"}],
        [{"generated_text": "hi"}],
        {"result": "hi"},
        "hi",
        {"output": "hi<|eot_id|>"},
    ],
)
def test_answers_in_all_forms(body: Any) -> None:
    answer = DIALECT.decode_answer(json.dumps(body).encode())
    assert answer.parts == [Text("hi")]
    assert answer.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("body", [b"{", b"{}", b"[]", b"[1]", b'["a","b"]', b'{"output": 1}', b"null"])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        DIALECT.decode_answer(body)


def test_an_error_where_an_answer_was_expected() -> None:
    with pytest.raises(AttemptError, match="out of memory"):
        DIALECT.decode_answer(b'{"error": {"message": "out of memory"}}')


@given(st.text())
def test_any_text_comes_through_whole_and_streamed(text: str) -> None:
    body = json.dumps({"output": text}).encode()
    whole = "".join(part.text for part in DIALECT.decode_answer(body).parts if isinstance(part, Text))
    decoder = DIALECT.stream_decoder()
    events = decoder.decode(b"", body)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == whole
    assert isinstance(events[-1], Finished)
    assert decoder.complete


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_malformed(body: bytes) -> None:
    with contextlib.suppress(AttemptError):
        DIALECT.decode_answer(body)


def test_no_client_speaks_it() -> None:
    assert not DIALECT.serves(b"/score")
