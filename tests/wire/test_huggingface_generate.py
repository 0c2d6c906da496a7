"""One prompt in, its continuation out: requests, whole answers, both kinds of streams, and refusals."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimaran.errors import (
    MalformedAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    StreamCut,
    UnsupportedFeature,
)
from trimaran.types import Target, Usage
from trimaran.wire import DIALECTS, Envelope, Translation, surface, translate
from trimaran.wire.conversation import Text
from trimaran.wire.fold import fold
from trimaran.wire.huggingface_generate import DEFAULT_NEW_TOKENS, HuggingFaceGenerate, JsonLines
from trimaran.wire.relay import StreamRelay

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
GENERATE = HuggingFaceGenerate()


def target(container: str = "jumpstart", base_model: str = "llama-3-8b", **more: Any) -> Target:
    facts = {"container": container} | ({"base_model": base_model} if base_model else {})
    return Target("sagemaker/js", "sagemaker", "js", ("huggingface.generate",), "http://t", facts=facts, **more)


def asked(at: Target | None = None, client: Any = CHAT, **members: Any) -> Translation:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    body |= {"max_tokens": 9} if "max_tokens" not in members and client is MESSAGES else {}
    return translate(client, client.read(json.dumps(body | members).encode()), at or target())


def test_a_request() -> None:
    made = asked(
        max_tokens=5, temperature=0.5, top_p=0.9, seed=3, stop=["END"], frequency_penalty=0.1, stream=True, user="u"
    )
    assert json.loads(made.body) == {
        "inputs": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "parameters": {
            "max_new_tokens": 5,
            "details": True,
            "return_full_text": False,
            "do_sample": True,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "frequency_penalty": 0.1,
            "stop": ["END", "<|eot_id|>"],
        },
        "stream": True,
    }
    assert made.notes is not None
    # TGI leaves the stop sequence at the end of the text.
    assert made.notes.emulated == ["stop"]
    assert made.notes.omitted == ["user"]


def test_what_tgi_refuses_is_said_by_its_absence() -> None:
    parameters = json.loads(asked(temperature=0, top_p=1.0, max_tokens=1).body)["parameters"]
    assert parameters.keys() == {"max_new_tokens", "details", "return_full_text", "do_sample", "stop"}
    assert parameters["do_sample"] is False


def test_lmi_has_words_of_its_own() -> None:
    made = asked(target("lmi"), max_tokens=5, presence_penalty=0.5, stop="END")
    parameters = json.loads(made.body)["parameters"]
    assert parameters["stop_sequences"] == ["END", "<|eot_id|>"]
    assert parameters["presence_penalty"] == 0.5
    assert made.notes is None


@pytest.mark.parametrize(("at", "limit"), [(target(), DEFAULT_NEW_TOKENS), (target(max_output_tokens=300), 300)])
def test_without_a_limit_the_containers_would_stop_after_a_sentence(at: Target, limit: int) -> None:
    made = asked(at)
    assert json.loads(made.body)["parameters"]["max_new_tokens"] == limit
    assert made.notes is not None
    assert made.notes.emulated == ["max_completion_tokens"]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"presence_penalty": 0.3}, "presence_penalty"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
    ],
)
def test_what_a_prompt_cannot_say_is_refused_by_name(members: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedFeature, match=named):
        asked(**members)


def test_a_choice_of_tools_without_tools_says_nothing() -> None:
    assert json.loads(asked(max_tokens=2, tool_choice="auto", parallel_tool_calls=True).body)["inputs"]


def test_an_unknown_family_is_refused_and_says_what_to_write() -> None:
    with pytest.raises(UnsupportedFeature, match="state its base_model"):
        asked(target(base_model=""))


@pytest.mark.parametrize(
    ("body", "text", "reason", "usage"),
    [
        ([{"generated_text": "Hi"}], "Hi", "", None),
        ({"generated_text": "Hi"}, "Hi", "", None),
        ([{"generation": {"role": "assistant", "content": "Hi"}}], "Hi", "", None),
        ([{"generation": " Hi"}], " Hi", "", None),
        ({"generated_text": "Hi<|eot_id|>", "details": {"finish_reason": "eos_token", "generated_tokens": 2}}, "Hi", "stop", Usage(0, 2)),
        (
            [{"generated_text": "Hi", "details": {"finish_reason": "length", "generated_tokens": 2, "prefill": [{"id": 1}] * 5}}],
            "Hi",
            "length",
            Usage(5, 2),
        ),
        (
            {"generated_text": "Hi", "details": {"finish reason": "stop_sequence", "generated_tokens": 1, "inputs": "12345678"}},
            "Hi",
            "stop_sequence",
            Usage(3, 1),
        ),
        ({"generated_text": "", "details": {"finish_reason": "eos_token", "generated_tokens": 1}}, "", "stop", Usage(0, 1)),
    ],
)  # fmt: skip
def test_whole_answers_in_every_form(body: Any, text: str, reason: str, usage: Usage | None) -> None:
    answer = GENERATE.decode_answer(json.dumps(body).encode())
    assert (answer.text, answer.finish_reason, answer.usage) == (text, reason, usage)
    assert GENERATE.inspect(json.dumps(body).encode()) == (usage, reason, "")


def test_a_prompt_that_was_not_counted_is_estimated_and_marked() -> None:
    made = asked(max_tokens=4)
    out, usage, _, _ = made.answer(
        b'[{"generated_text":"x","details":{"finish_reason":"length","generated_tokens":4}}]'
    )
    assert usage == Usage(made.envelope.input_tokens, 4)
    assert made.estimated
    assert json.loads(out)["usage"]["prompt_tokens"] == made.envelope.input_tokens


@pytest.mark.parametrize("body", [b"[]", b"{}", b'[{"a":1},{"a":2}]', b"nonsense", b'{"generated_text": 3}', b"\xff"])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        GENERATE.decode_answer(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "too many", "error_type": "overloaded"}, RateLimited),
        ({"error": "`max_new_tokens`", "error_type": "validation"}, Rejected),
        ({"error": "CUDA", "error_type": "generation"}, ServerFault),
        ({"generated_text": "", "details": {"finish_reason": "error", "generated_tokens": None}}, ServerFault),
    ],
)
def test_errors_in_place_of_an_answer(body: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        GENERATE.decode_answer(json.dumps(body).encode())
    with pytest.raises(kind):
        GENERATE.stream_decoder().decode(b"", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, {"error": "Input validation error: x", "error_type": "validation"}, Rejected),
        (424, {"error": "CUDA", "error_type": "generation"}, ServerFault),
        (424, {"error": "unknown", "code": 424}, ServerFault),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, RateLimited),
        (503, {"message": "warming up"}, Overloaded),
    ],
)
def test_refusals(status: int, body: dict[str, Any], kind: type[Exception]) -> None:
    error = GENERATE.read_error(status, None, "application/json", json.dumps(body).encode())
    assert type(error) is kind
    assert error.message in (body.get("error"), body.get("message"))


TGI = [
    {
        "index": 1,
        "token": {"id": 5, "text": "Hel", "logprob": -1.0, "special": False},
        "generated_text": None,
        "details": None,
    },
    {
        "index": 2,
        "token": {"id": 6, "text": "lo ü", "logprob": -1.0, "special": False},
        "generated_text": None,
        "details": None,
    },
    {
        "index": 3,
        "token": {"id": 2, "text": "<|eot_id|>", "logprob": -1.0, "special": True},
        "generated_text": "Hello ü",
        "details": {"finish_reason": "eos_token", "generated_tokens": 3, "input_length": 7, "seed": None},
    },
]
LMI = [
    {"token": {"id": 5, "text": "Hel", "log_prob": -1.0}},
    {"token": {"id": 6, "text": "lo ü", "log_prob": -1.0}},
    {
        "token": {"id": 2, "text": "</s>", "log_prob": -1.0, "special_token": True},
        "generated_text": "Hello ü",
        "details": {"finish_reason": "eos_token", "generated_tokens": 3, "inputs": "x" * 24},
    },
]
STREAMS = {
    "tgi": b"".join(b"data:%b\n\n" % json.dumps(event).encode() for event in TGI),
    "lmi": b"".join(b"%b\n" % json.dumps(event).encode() for event in LMI),
    "lmi over sse": b"".join(b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in LMI),
}


def relayed(made: Translation) -> tuple[StreamRelay, Envelope]:
    return made.relay(created_s=1), made.envelope


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@settings(max_examples=50)
@given(places=st.lists(st.integers(0, 10_000), max_size=8))
def test_a_stream_reads_the_same_wherever_it_was_cut(stream: bytes, places: list[int]) -> None:
    made = asked(stream=True, max_tokens=5)
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    relay, _ = relayed(made)
    out = b"".join(relay.feed(stream[start:end]) for start, end in itertools.pairwise(edges)) + relay.finish()
    whole, _ = relayed(made)
    assert out == whole.feed(stream) + whole.finish()
    assert (relay.usage, relay.finish_reason, relay.content_events) == (Usage(7, 3), "stop", 2)
    chunks = [json.loads(line[6:]) for line in out.split(b"\n\n") if line.startswith(b"data: {")]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Hello ü"
    assert out.endswith(b"data: [DONE]\n\n")


def test_the_events_are_those_of_the_whole_answer() -> None:
    decoder = GENERATE.stream_decoder()
    events = [event for line in TGI for event in decoder.decode(b"", json.dumps(line).encode())]
    answer = fold(events)
    assert answer.parts == [Text("Hello ü")]
    assert (answer.finish_reason, answer.usage) == ("stop", Usage(7, 3))


@pytest.mark.parametrize("mark", ["special", "special_token"])
def test_a_special_token_is_no_word(mark: str) -> None:
    decoder = GENERATE.stream_decoder()
    token = {"token": {"id": 1, "text": "<|python_tag|>", mark: True}}
    assert [type(event).__name__ for event in decoder.decode(b"", json.dumps(token).encode())] == ["Started"]


def test_a_stream_of_one_event() -> None:
    decoder = GENERATE.stream_decoder()
    assert (
        fold(
            decoder.decode(
                b"", json.dumps({"generated_text": "Hi</s>", "details": {"finish_reason": "length"}}).encode()
            )
        ).text
        == "Hi"
    )


def test_a_stream_that_breaks_off() -> None:
    relay, _ = relayed(asked(stream=True))
    relay.feed(STREAMS["tgi"][:-30])
    with pytest.raises(StreamCut):
        relay.finish()


def test_a_last_line_without_its_end_counts() -> None:
    relay, _ = relayed(asked(stream=True))
    relay.feed(STREAMS["lmi"][:-1])
    assert not relay.complete
    relay.finish()
    assert relay.complete


def test_an_event_that_grows_too_large_is_refused() -> None:
    framer = JsonLines().framer()
    with pytest.raises(MalformedAnswer, match="larger than 4 MiB"):
        framer.push(b"x" * (5 * 2**20))


def test_no_client_speaks_it() -> None:
    assert surface(b"") is None
    assert not GENERATE.serves(b"/generate")
    assert GENERATE.shown_path == ""
