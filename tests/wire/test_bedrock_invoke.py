"""Llama's and Mistral's own bodies through InvokeModel, as clients of other dialects reach them.

The judge of a request is the simulated Bedrock, which reads prompts back by the makers' templates; what streams hold is the
form of AWS's guide, framed by botocore's own rules.
"""

from __future__ import annotations

import base64
import http.client
import json
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.errors import AttemptError, MalformedAnswer, RateLimited, StreamCut, UnsupportedFeature
from trimaran.testing import Behaviour, SimulatedProvider
from trimaran.testing.bedrock_prompts import read_llama, read_mistral
from trimaran.testing.exchange import Prompt
from trimaran.testing.transcript import Transcript
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS, Translation, translate
from trimaran.wire.event_stream import event, exception

LLAMA = "meta.llama3-1-8b-instruct-v1:0"
LLAMA4 = "us.meta.llama4-scout-17b-instruct-v1:0"
MISTRAL_7B = "mistral.mistral-7b-instruct-v0:2"
MISTRAL_LARGE = "mistral.mistral-large-2407-v1:0"
CHAT = DIALECTS["openai.chat"]
CLAUDES = DIALECTS["anthropic.messages"]
METRICS = {"inputTokenCount": 26, "outputTokenCount": 7, "invocationLatency": 200, "firstByteLatency": 90}


def target(upstream: str = LLAMA, base_model: str = "") -> Target:
    dialect = "bedrock.mistral" if "mistral" in f"{upstream}{base_model}" else "bedrock.llama"
    facts = {"base_model": base_model} if base_model else {}
    return Target(
        f"bedrock/{upstream}", "bedrock", upstream, (dialect,), "https://b.example", kind="bedrock", facts=facts
    )


def asked(upstream: str = LLAMA, base_model: str = "", **members: Any) -> Translation:
    request = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32, **members}
    return translate(CHAT, CHAT.read(json.dumps(request).encode()), target(upstream, base_model))


def sent(upstream: str = LLAMA, base_model: str = "", **members: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked(upstream, base_model, **members).body)
    return found


def chunks(*documents: dict[str, Any]) -> bytes:
    return b"".join(
        event("chunk", json.dumps({"bytes": base64.b64encode(json.dumps(each).encode()).decode()}).encode())
        for each in documents
    )


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "How are you?"},
]


# Requests


def test_llama_is_asked_by_the_template_of_its_makers() -> None:
    body = sent(messages=CONVERSATION, temperature=0.5, top_p=0.9)
    assert body == {
        "prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHi.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHow are you?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "max_gen_len": 32,
        "temperature": 0.5,
        "top_p": 0.9,
    }


def test_llama_4_has_other_marks() -> None:
    assert sent(LLAMA4)["prompt"] == (
        "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHello<|eot|><|header_start|>assistant<|header_end|>\n\n"
    )


def test_an_older_mistral_is_asked_with_one_prompt() -> None:
    body = sent(MISTRAL_7B, messages=CONVERSATION[1:], stop=["END"], temperature=0.5)
    assert body == {
        "prompt": "<s>[INST] Hello [/INST] Hi.</s>[INST] How are you? [/INST]",
        "max_tokens": 32, "stop": ["END"], "temperature": 0.5,
    }  # fmt: skip


def test_a_newer_mistral_takes_turns_and_tools() -> None:
    tool = {
        "type": "function",
        "function": {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}},
    }
    call = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    turns = [
        CONVERSATION[0],
        CONVERSATION[1],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call00001", "content": "rain"},
    ]
    body = sent(MISTRAL_LARGE, messages=turns, tools=[tool], tool_choice="required")
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call00001", "content": "rain"},
    ]
    assert body["tools"] == [tool]
    assert body["tool_choice"] == "any"
    assert "prompt" not in body


def test_an_opaque_name_is_asked_as_its_base_model() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"
    assert sent(arn, LLAMA)["prompt"].startswith("<|begin_of_text|>")
    with pytest.raises(UnsupportedFeature, match="state its base model"):
        asked(arn)


def test_without_a_limit_the_longest_answer_is_asked_for_and_the_client_is_told() -> None:
    made = translate(CHAT, CHAT.read(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'), target())
    assert json.loads(made.body)["max_gen_len"] == 2048
    assert made.notes is not None
    assert "max_completion_tokens" in made.notes.emulated


_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
_PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]


@pytest.mark.parametrize(
    ("upstream", "members", "field"),
    [
        (LLAMA, {"tools": [_TOOL]}, "tools"),
        (LLAMA, {"stop": ["END"]}, "stop"),
        (LLAMA, {"seed": 7}, "seed"),
        (LLAMA, {"response_format": {"type": "json_object"}}, "response_format"),
        (LLAMA, {"frequency_penalty": 0.5}, "frequency_penalty"),
        (LLAMA, {"messages": _PICTURE}, "messages[0]"),
        (LLAMA, {"temperature": 1.5}, "temperature"),
        (LLAMA, {"service_tier": "flex"}, "service_tier"),
        (LLAMA, {"reasoning_effort": "high"}, "reasoning_effort"),
        (MISTRAL_7B, {"tools": [_TOOL]}, "tools"),
        (MISTRAL_7B, {"messages": _PICTURE}, "messages[0]"),
        (MISTRAL_LARGE, {"stop": ["END"]}, "stop"),
        (MISTRAL_LARGE, {"messages": _PICTURE}, "messages[0]"),
        (
            MISTRAL_LARGE,
            {"tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
        ),
        (MISTRAL_LARGE, {"tools": [_TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(upstream: str, members: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        asked(upstream, **members)
    assert caught.value.field == field


def test_what_says_nothing_is_no_reason_to_refuse() -> None:
    assert "tools" not in sent(tool_choice="none", service_tier="auto", parallel_tool_calls=None, n=1)


TOKENS = ["<|eot_id|>", "<|start_header_id|>", "<|eot|>", "[INST]", "[/INST]", "</s>", "<s>", "<|begin_of_text|>"]


@given(
    st.lists(st.sampled_from([*TOKENS, "<", "|", "[", "/", "x", " ", "\n"]), max_size=12),
    st.sampled_from([LLAMA, LLAMA4, MISTRAL_7B]),
)
def test_no_client_writes_a_control_token(pieces: list[str], upstream: str) -> None:
    """Whatever stands in a turn, the prompt has the turns that were sent, and no other."""
    words = "a" + "".join(pieces) + "z"
    body = sent(upstream, messages=[{"role": "user", "content": words}])
    prompt = Prompt("m")
    transcript = Transcript(prompt)
    if upstream == MISTRAL_7B:
        read_mistral(body["prompt"], transcript)
        assert body["prompt"].count("[INST]") == body["prompt"].count("[/INST]") == 1
    else:
        read_llama(body["prompt"], 4 if upstream == LLAMA4 else 3, 0, transcript)
        assert body["prompt"].count("assistant") == 1 + words.count("assistant")


# Answers

LLAMA_ANSWER = {"generation": "\n\nHi!", "prompt_token_count": 26, "generation_token_count": 7, "stop_reason": "stop"}


def test_llamas_answer() -> None:
    out, usage, reason, _ = asked().answer(json.dumps(LLAMA_ANSWER).encode(), created_s=1)
    answer = json.loads(out)
    assert answer["choices"][0]["message"]["content"] == "\n\nHi!"
    assert (usage, reason) == (Usage(26, 7), "stop")
    cut = LLAMA_ANSWER | {"stop_reason": "length", "generation": "Hi<|eot_id|>"}
    out, _, reason, _ = asked().answer(json.dumps(cut).encode(), created_s=1)
    assert (json.loads(out)["choices"][0]["message"]["content"], reason) == ("Hi", "length")


def test_mistrals_answers() -> None:
    prompted = {"outputs": [{"text": " Hi!</s>", "stop_reason": "stop"}]}
    out, usage, reason, _ = asked(MISTRAL_7B).answer(json.dumps(prompted).encode(), created_s=1)
    assert json.loads(out)["choices"][0]["message"]["content"] == " Hi!"
    assert (usage, reason) == (None, "stop")
    call = {"id": "abc", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    turned = {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "", "tool_calls": [call]},
                "stop_reason": "tool_calls",
            }
        ]
    }
    out, _, reason, _ = asked(MISTRAL_LARGE).answer(json.dumps(turned).encode(), created_s=1)
    (found,) = json.loads(out)["choices"][0]["message"]["tool_calls"]
    assert (found["id"], found["function"], reason) == ("abc", call["function"], "tool_calls")
    like_openai = {
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
    _, usage, reason, _ = asked(MISTRAL_LARGE).answer(json.dumps(like_openai).encode(), created_s=1)
    assert (usage, reason) == (Usage(3, 1), "length")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"generation":1}', b'{"outputs":[]}', b'{"message":"oops"}'])
def test_another_answer_is_malformed(body: bytes) -> None:
    for upstream in (LLAMA, MISTRAL_7B):
        with pytest.raises(MalformedAnswer):
            asked(upstream).answer(body)


# Streams


def streamed(translation: Translation, data: bytes, size: int = 11) -> tuple[str, Any]:
    relay = translation.relay(created_s=1)
    out = b"".join(relay.feed(data[at : at + size]) for at in range(0, len(data), size)) + relay.finish()
    deltas = [json.loads(line[6:]) for line in out.split(b"\n\n") if line.startswith(b"data: {")]
    text = "".join(each["choices"][0]["delta"].get("content") or "" for each in deltas if each["choices"])
    return text, relay


LLAMA_STREAM = (
    {"generation": "", "prompt_token_count": 26, "generation_token_count": 1, "stop_reason": None},
    {"generation": "Hi", "prompt_token_count": None, "generation_token_count": 2, "stop_reason": None},
    {"generation": "!", "prompt_token_count": None, "generation_token_count": 3, "stop_reason": None},
    {"generation": "<|eot_id|>", "prompt_token_count": None, "generation_token_count": 4, "stop_reason": None},
)
LAST = {
    "generation": "", "prompt_token_count": None, "generation_token_count": 7, "stop_reason": "stop",
    "amazon-bedrock-invocationMetrics": METRICS,
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 11, 10_000])
def test_llamas_stream(size: int) -> None:
    text, relay = streamed(asked(stream=True), chunks(*LLAMA_STREAM, LAST), size)
    assert (text, relay.usage, relay.finish_reason, relay.complete) == ("Hi!", Usage(26, 7), "stop", True)


def test_a_stream_without_metrics_counts_what_its_documents_told() -> None:
    last = {key: value for key, value in LAST.items() if key != "amazon-bedrock-invocationMetrics"}
    text, relay = streamed(asked(stream=True), chunks(*LLAMA_STREAM, last))
    assert (text, relay.usage, relay.complete) == ("Hi!", Usage(26, 7), True)


def test_a_stream_without_a_reason_is_cut() -> None:
    with pytest.raises(StreamCut):
        streamed(asked(stream=True), chunks(*LLAMA_STREAM))


def test_an_exception_in_a_stream_is_told() -> None:
    data = chunks(*LLAMA_STREAM[:1]) + exception("throttlingException", b'{"message":"slow down"}')
    with pytest.raises(RateLimited, match="slow down"):
        streamed(asked(stream=True), data, 10_000)


def test_mistrals_prompted_stream() -> None:
    documents = (
        {"outputs": [{"text": "Hi", "stop_reason": None}]},
        {"outputs": [{"text": "!", "stop_reason": None}]},
        {"outputs": [{"text": "", "stop_reason": "length"}], "amazon-bedrock-invocationMetrics": METRICS},
    )
    text, relay = streamed(asked(MISTRAL_7B, stream=True), chunks(*documents))
    assert (text, relay.usage, relay.finish_reason, relay.complete) == ("Hi!", Usage(26, 7), "length", True)


@pytest.mark.parametrize(("kind", "word"), [("message", "stop_reason"), ("delta", "finish_reason")])
def test_mistrals_stream_with_calls(kind: str, word: str) -> None:
    calls = [
        {"id": "a", "index": 0, "function": {"name": "one", "arguments": '{"x":'}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"id": "b", "index": 1, "function": {"name": "two", "arguments": "{}"}},
    ]
    documents = [
        {"choices": [{"index": 0, kind: {"role": "assistant", "content": "Let me see."}, word: None}]},
        *({"choices": [{"index": 0, kind: {"tool_calls": [call]}, word: None}]} for call in calls),
        {
            "choices": [{"index": 0, kind: {"content": ""}, word: "tool_calls"}],
            "amazon-bedrock-invocationMetrics": METRICS,
        },
    ]
    translation = asked(MISTRAL_LARGE, stream=True, tools=[_TOOL])
    relay = translation.relay(created_s=1)
    out = relay.feed(chunks(*documents)) + relay.finish()
    found: dict[int, dict[str, str]] = {}
    for line in out.split(b"\n\n"):
        for choice in json.loads(line[6:]).get("choices", ()) if line.startswith(b"data: {") else ():
            for call in choice["delta"].get("tool_calls") or ():
                entry = found.setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
                entry["id"] += call.get("id") or ""
                entry["name"] += call["function"].get("name") or ""
                entry["arguments"] += call["function"].get("arguments") or ""
    assert found == {
        0: {"id": "a", "name": "one", "arguments": '{"x":1}'},
        1: {"id": "b", "name": "two", "arguments": "{}"},
    }
    assert (relay.usage, relay.finish_reason) == (Usage(26, 7), "tool_calls")


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={
                "generation": st.text(max_size=4) | st.none() | st.integers(), "stop_reason": st.sampled_from([None, "stop", 1]),
                "outputs": st.lists(st.fixed_dictionaries({}, optional={"text": st.text(max_size=3), "stop_reason": st.none()})),
                "choices": st.lists(st.fixed_dictionaries({}, optional={"message": st.none(), "delta": st.just({"tool_calls": [{}]})})),
                "amazon-bedrock-invocationMetrics": st.just(METRICS) | st.none(),
            },
        ),
        max_size=5,
    ),
    st.sampled_from([LLAMA, MISTRAL_7B, MISTRAL_LARGE]),
    st.booleans(),
)  # fmt: skip
def test_any_stream_is_an_answer_or_an_error_of_ours(
    documents: list[dict[str, Any]], upstream: str, claude: bool
) -> None:
    translation = asked(upstream, stream=True)
    if claude:
        body = b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}'
        translation = translate(CLAUDES, CLAUDES.read(body), target(upstream))
    relay = translation.relay(created_s=1)
    try:
        relay.feed(chunks(*documents))
        relay.finish()
    except AttemptError:
        return
    assert relay.complete


# The simulated Bedrock, which is as strict as AWS


@pytest.mark.parametrize("upstream", [LLAMA, LLAMA4, MISTRAL_7B, MISTRAL_LARGE])
@pytest.mark.parametrize("stream", [False, True])
def test_the_simulated_bedrock_takes_it_and_its_answer_is_read(upstream: str, stream: bool) -> None:
    translation = asked(upstream, messages=CONVERSATION, stream=stream)
    path = translation.dialect.upstream_path(upstream, stream).decode()
    with (
        SimulatedProvider(Behaviour()).in_thread() as provider,
        closing(http.client.HTTPConnection(provider.host, provider.port, timeout=10)) as connection,
    ):
        headers = {"content-type": "application/json", "authorization": "Bearer key"}
        # Where this version of the model stands.
        provider.aws.region = "us-west-2"
        connection.request("POST", path, translation.body, headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
    if stream:
        text, relay = streamed(translation, body)
        assert text
        assert relay.complete
        assert relay.usage is not None
    else:
        out, _, reason, _ = translation.answer(body, created_s=1)
        assert json.loads(out)["choices"][0]["message"]["content"]
        assert reason == "stop"
