"""What the road reads of a request of ``anthropic.messages``, and what it changes in one that passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimaran.errors import InvalidRequest
from trimaran.types import FEATURES, Target
from trimaran.wire import DIALECTS, translate
from trimaran.wire.anthropic_messages import AnthropicCountTokens, AnthropicMessages
from trimaran.wire.conversation import Reasoning
from trimaran.wire.state import wrap_state

MESSAGES = AnthropicMessages()
COUNT = AnthropicCountTokens()
HELLO = [{"role": "user", "content": "Hello"}]
CLAUDE = Target("a/b", "anthropic", "claude", ("anthropic.messages",), "http://t")


def body_of(**fields: Any) -> bytes:
    return json.dumps({"model": "chat", "max_tokens": 64, "messages": HELLO} | fields, separators=(",", ":")).encode()


def needs(**fields: Any) -> set[str]:
    styles = (body_of(**fields), json.dumps(json.loads(body_of(**fields)), indent=1).encode())
    read, counted = ({dialect.read(body).needs for body in styles} for dialect in (MESSAGES, COUNT))
    ((mask,), (less,)) = read, counted
    assert named(less) == named(mask) - {"reasoning", "sampling", "json_schema"}
    return named(mask) - {"chat"}


def named(mask: int) -> set[str]:
    return {name for bit, name in enumerate(FEATURES) if mask >> bit & 1}


def turn(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [*HELLO, {"role": role, "content": list(blocks)}, *HELLO]}


IMAGE = {"type": "image", "source": {"type": "url", "url": "https://x/y"}}
PDF = {"type": "document", "source": {"type": "url", "url": "https://x/y"}}
WORDS = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, set()),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
        ({"tools": [{"name": "f", "input_schema": {}}]}, {"tools"}),
        (turn(IMAGE), {"vision"}),
        (turn({"type": "tool_result", "tool_use_id": "1", "content": [IMAGE]}), {"vision"}),
        (turn(PDF), {"documents"}),
        (turn(WORDS), set()),
        (turn(IMAGE, PDF), {"vision", "documents"}),
        (turn({"type": "text", "text": 'an "image" with a "source"'}), set()),
        (turn({"type": "tool_use", "id": "1", "name": "f", "input": {"source": "image"}}, role="assistant"), set()),
        (turn({"type": "tool_use", "id": "1", "name": "f", "input": {"x": IMAGE}}, role="assistant"), set()),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning"}),
        ({"thinking": {"type": "adaptive"}}, {"reasoning"}),
        ({"thinking": {"type": "disabled"}}, set()),
        ({"thinking": None}, set()),
        ({"output_config": {"effort": "low"}}, {"reasoning"}),
        ({"output_config": {"format": {"type": "json_schema"}}}, {"json_schema"}),
        ({"output_config": {"format": None, "effort": None}}, set()),
        ({"output_format": {"type": "json_schema"}}, {"json_schema"}),
        ({"temperature": 0.5}, {"sampling"}),
        ({"temperature": 0}, {"sampling"}),
        ({"temperature": 1, "top_p": 1.0, "top_k": None}, set()),
        ({"top_p": 0.9}, {"sampling"}),
        ({"top_k": 5}, {"sampling"}),
        ({"messages": [*HELLO, {"role": "assistant", "content": "It is ("}]}, {"prefill"}),
        (
            {"messages": [{"role": "user", "content": [IMAGE]}, {"role": "assistant", "content": "("}]},
            {"vision", "prefill"},
        ),
        ({"messages": [*HELLO, {"role": "assistant", "content": "Hi"}, *HELLO]}, set()),
    ],
)
def test_needs(fields: dict[str, Any], wanted: set[str]) -> None:
    assert needs(**fields) == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": "hot", "tools": 5, "thinking": "x", "output_config": [], "top_p": None},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": "x"}]}]},
        {"messages": {"role": "assistant", "source": 1}},
        {"messages": ["assistant"]},
    ],
)
def test_members_of_a_wrong_type_pass(fields: dict[str, Any]) -> None:
    envelope = MESSAGES.read(body_of(**fields))
    assert MESSAGES.rewrite(envelope, "chat") is envelope.body


@pytest.mark.parametrize(
    ("fields", "stateful"),
    [
        ({}, False),
        ({"container": None}, False),
        ({"container": "c"}, True),
        ({"thread": {"type": "continue"}}, True),
        (turn({"type": "image", "source": {"type": "file", "file_id": "f"}}), True),
        (turn({"type": "text", "text": '{"source":{"type":"file"}}'}), False),
        (turn(IMAGE), False),
    ],
)
def test_state_that_the_provider_keeps(fields: dict[str, Any], stateful: bool) -> None:
    assert MESSAGES.read(body_of(**fields)).stateful is stateful
    assert COUNT.read(body_of(**fields)).stateful is stateful


def test_the_road_reads_the_rest() -> None:
    envelope = MESSAGES.read(body_of(stream=True))
    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("chat", True, 64)
    counted = COUNT.read(b'{"model":"chat","messages":[]}')
    assert (counted.model, counted.stream, counted.max_output_tokens) == ("chat", False, 0)
    with pytest.raises(InvalidRequest, match="max_tokens"):
        MESSAGES.read(b'{"model":"chat","messages":[]}')
    for dialect in (MESSAGES, COUNT):
        with pytest.raises(InvalidRequest, match="messages"):
            dialect.read(b'{"model":"chat","max_tokens":1}')


def test_only_the_model_changes() -> None:
    body = b'{"model":"chat","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"model":1}],"top_k":1}'
    for dialect in (MESSAGES, COUNT):
        assert dialect.rewrite(dialect.read(body), "claude") == body.replace(b'"chat"', b'"claude"')


FOREIGN = wrap_state(Reasoning("Hm.", "enc", "openai.responses", "rs_1"))
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": FOREIGN}
SECRET = {"type": "redacted_thinking", "data": FOREIGN}
OWN = {"type": "thinking", "thinking": "Mine.", "signature": "s"}


def test_thoughts_of_others_are_taken_out_of_what_passes() -> None:
    turns = [
        *HELLO,
        {"role": "assistant", "content": [OWN, THOUGHT, {"type": "text", "text": "x", "n": 1.50}]},
        *HELLO,
        {"role": "assistant", "content": [SECRET]},
        {"role": "user", "content": [{"type": "text", "text": "y"}]},
    ]
    body = b'{"max_tokens": 5, "messages": %b, "model": "m", "x": 1.50}' % json.dumps(turns).encode()
    clean = json.loads(MESSAGES.without_foreign_state(body))
    assert clean["messages"] == [
        *HELLO,
        {"role": "assistant", "content": [OWN, {"type": "text", "text": "x", "n": 1.50}]},
        *HELLO,
        {"role": "user", "content": [{"type": "text", "text": "y"}]},
    ]
    assert b'"x": 1.50}' in MESSAGES.without_foreign_state(body)


USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]}]
BUDGET = {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.parametrize("first", [THOUGHT, SECRET])
@pytest.mark.parametrize(
    ("thinking", "now"), [(BUDGET, {"type": "disabled"}), ({"type": "adaptive"}, None), (None, None)]
)
def test_thinking_is_off_where_the_thoughts_before_a_call_were_those_of_others(
    first: Any, thinking: Any, now: Any
) -> None:
    """Anthropic refuses a call that is being answered without its thinking, when thinking is on by a budget."""
    turns = [*HELLO, {"role": "assistant", "content": [first, USE]}, *RESULT]
    for body in (
        {"model": "m", "thinking": thinking, "messages": turns},
        {"model": "m", "messages": turns, "thinking": thinking, "x": 1.5},
    ):
        for compact in (None, (",", ":")):
            clean = json.loads(MESSAGES.without_foreign_state(json.dumps(body, separators=compact).encode()))
            assert clean["messages"][1]["content"] == [USE]
            assert clean == body | {"messages": clean["messages"], "thinking": now or thinking}


@pytest.mark.parametrize(
    "last",
    [[OWN, THOUGHT, USE], [THOUGHT, {"type": "text", "text": "x"}], [THOUGHT], [THOUGHT, USE, 5]],
    ids=["own", "no call", "nothing", "a number"],
)
def test_thinking_stays_on_where_no_call_lacks_its_thoughts(last: Any) -> None:
    turns = [*HELLO, {"role": "assistant", "content": last}, *RESULT]
    clean = json.loads(MESSAGES.without_foreign_state(body_of(messages=turns, thinking=BUDGET)))
    assert clean["thinking"] == BUDGET


@pytest.mark.parametrize(
    "turns",
    [
        HELLO,
        [*HELLO, {"role": "assistant", "content": [OWN]}],
        [{"role": "user", "content": FOREIGN}],
        [{"role": "user", "content": [{"type": "text", "text": FOREIGN}]}],
        [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"signature": FOREIGN}}],
            }
        ],
        {"role": FOREIGN},
        [FOREIGN],
        [{"role": "user", "content": [FOREIGN, 5]}],
    ],
)
def test_anything_else_passes_as_the_same_object(turns: Any) -> None:
    body = body_of(messages=turns)
    assert MESSAGES.without_foreign_state(body) is body
    assert COUNT.without_foreign_state(body) is body


def test_a_translation_says_that_it_took_thoughts_out() -> None:
    body = body_of(
        messages=[*HELLO, {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "x"}]}, *HELLO]
    )
    made = translate(MESSAGES, MESSAGES.read(body), CLAUDE)
    assert json.loads(made.body)["messages"][1]["content"] == [{"type": "text", "text": "x"}]
    assert made.notes is not None
    assert made.notes.omitted == ["reasoning"]
    assert translate(MESSAGES, MESSAGES.read(body_of()), CLAUDE).notes is None


def test_a_count_passes_and_comes_back() -> None:
    target = Target("a/b", "anthropic", "claude", ("anthropic.messages", "anthropic.count_tokens"), "http://t")
    count = DIALECTS["anthropic.count_tokens"]
    made = translate(count, count.read(body_of()), target)
    assert json.loads(made.body)["model"] == "claude"
    assert made.answer(b'{"input_tokens":7}') == (b'{"input_tokens":7}', None, "", "")
