"""No attempt costs more than its bound: what is billed and does not stand in the body, and limits that nobody gave."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.catalog import families
from trimaran.dispatch.bounds import DEFAULT_OUTPUT_TOKENS, PICTURE_TOKENS, TOOLS_TOKENS, input_bound, output_bound
from trimaran.types import Capabilities, Target
from trimaran.wire import DIALECTS, Envelope, translate

PICTURE = {"type": "image_url", "image_url": {"url": "https://p.example/a.png"}}
KNOWN = Capabilities(family="f", max_output_tokens=64_000, context_tokens=200_000)
MINI = Capabilities(family="gpt-4o-mini")


def target(dialect: str = "openai.chat", known: Capabilities | None = None, limit: int | None = None) -> Target:
    return Target("t/m", "t", "m", (dialect,), "https://t", max_output_tokens=limit, capabilities=known)


def read(dialect: str, **fields: Any) -> Envelope:
    return DIALECTS[dialect].read(json.dumps({"model": "chat", **fields}).encode())


def chat(*content: Any, **fields: Any) -> Envelope:
    return read("openai.chat", messages=[{"role": "user", "content": list(content) or "hi"}], **fields)


@pytest.mark.parametrize(
    ("at", "tokens"),
    [
        (target(), DEFAULT_OUTPUT_TOKENS),
        (target(known=KNOWN), 64_000),
        (target(known=KNOWN, limit=9), 9),
    ],
)
def test_an_answer_without_a_limit_is_as_long_as_the_model_gives(at: Target, tokens: int) -> None:
    assert output_bound(chat(), at) == tokens
    assert output_bound(chat(n=3), at) == 3 * tokens


def test_the_clients_limit_is_over_all_answers() -> None:
    assert output_bound(chat(n=3, max_tokens=5), target()) == 15


def test_no_family_gives_more_than_the_default_without_saying_so() -> None:
    longer = [known.family for known in families() if (known.max_output_tokens or 0) > DEFAULT_OUTPUT_TOKENS]
    assert longer == ["gpt-5-pro"]


@pytest.mark.parametrize("effort", ["low", "high", "max"])
def test_what_a_translation_asks_for_is_within_the_bound(effort: str) -> None:
    asked, at = chat(reasoning_effort=effort), target("anthropic.messages")
    body = json.loads(translate(DIALECTS["openai.chat"], asked, at).body)
    assert body["max_tokens"] <= output_bound(asked, at)


def test_a_longer_translation_counts() -> None:
    assert input_bound(chat(), b"x" * 5000, target()) == 5000


def test_tools_are_explained_to_the_model() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = chat(tools=tools)
    assert input_bound(asked, asked.body, target()) == len(asked.body) + TOOLS_TOKENS


def test_each_picture_counts() -> None:
    asked = chat(PICTURE, {"type": "text", "text": 'no "image_url"'}, PICTURE)
    assert input_bound(asked, asked.body, target()) == len(asked.body) + 2 * PICTURE_TOKENS
    # 85 tokens of text and the eight tiles of a large picture, as OpenAI bills them for this model.
    assert input_bound(asked, asked.body, target(known=MINI)) > 2 * (2833 + 8 * 5667)


@pytest.mark.parametrize(
    "asked",
    [
        read("openai.responses", input=[{"role": "user", "content": [{"type": "input_image", "image_url": "https://p"}]}]),
        read(
            "anthropic.messages", max_tokens=1,
            messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://p"}}]}],
        ),
    ],
    ids=lambda asked: asked.dialect,
)  # fmt: skip
def test_pictures_count_in_every_dialect(asked: Envelope) -> None:
    assert input_bound(asked, asked.body, target()) >= len(asked.body) + PICTURE_TOKENS


def test_what_is_only_referred_to_may_fill_the_context() -> None:
    asked = read("openai.responses", input="go on", previous_response_id="resp_1")
    assert input_bound(asked, asked.body, target(known=KNOWN)) >= 200_000
    assert input_bound(asked, asked.body, target()) >= 1_000_000
