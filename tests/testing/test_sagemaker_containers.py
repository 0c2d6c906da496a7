"""Simulated containers: what they take and refuse, how streams are cut, and how a prompt's marks become turns."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.testing import Behaviour
from trimaran.testing.compose import compose
from trimaran.testing.exchange import Prompt, Refusal
from trimaran.testing.prompt_text import read_prompt
from trimaran.testing.sagemaker import Container
from trimaran.testing.sagemaker_chat import ChatServer
from trimaran.testing.sagemaker_containers import Call
from trimaran.testing.sagemaker_payload import PayloadWriter
from trimaran.testing.sagemaker_tensor import AnyServer, TritonServer
from trimaran.testing.sagemaker_text import LMIServer, TGIServer
from trimaran.testing.transcript import Transcript

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)


def call(body, *, content_type="application/json", **container):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(raw, content_type, "", "", Container(**container))


def refusal(server, body, **fields):
    with pytest.raises(Refusal) as caught:
        server.read(call(body, **fields))
    return server.error(caught.value)


def answer(server, body, behaviour=Behaviour(), **fields):  # noqa: B008
    prompt = server.read(call(body, **fields))
    reply = server.compose(prompt, behaviour, "simulated")
    return server.writer(prompt, reply, 1).unary()


def streamed(server, body, behaviour, part_bytes):
    """The payload of all parts of a streamed answer, and the sizes of the parts."""
    prompt = server.read(call(body))
    reply = server.compose(prompt, behaviour, "simulated")
    writer = PayloadWriter(
        server.writer(prompt, reply, 1),
        reply,
        7,
        container_streams=prompt.stream,
        container_type=server.stream_type(prompt),
        streamed=True,
        part_bytes=part_bytes,
        lines=b"",
    )
    data = writer.opening() + b"".join(writer.piece(piece) for piece in reply.pieces) + writer.closing(end_marker=True)
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    buffer.add_data(data)
    payloads = []
    for message in buffer:
        assert message.headers == {
            ":event-type": "PayloadPart",
            ":content-type": "application/octet-stream",
            ":message-type": "event",
        }
        payloads.append(message.payload)
    return b"".join(payloads), [len(payload) for payload in payloads]


@given(text=_text, part_bytes=st.one_of(st.none(), st.integers(1, 400)), shape=st.sampled_from(["vllm", "lmi", "tgi"]))
def test_wherever_parts_are_cut_they_hold_the_containers_bytes(text, part_bytes, shape):
    pytest.importorskip("botocore", reason="botocore is not installed: pip install 'trimaran[aws]'")
    server = {"vllm": ChatServer(), "lmi": LMIServer(), "tgi": TGIServer()}[shape]
    body = {"inputs": "Hi", "stream": True} if shape == "tgi" else {**CHAT, "stream": True}
    behaviour = Behaviour(text=text)
    uncut, _ = streamed(server, body, behaviour, None)
    cut, sizes = streamed(server, body, behaviour, part_bytes)
    assert _without_time(cut) == _without_time(uncut)
    assert all(sizes) and (part_bytes is None or max(sizes) <= part_bytes)


def _without_time(data: bytes) -> bytes:
    """A second may pass between two answers."""
    return b'"created":0'.join(part.lstrip(b"0123456789") for part in data.split(b'"created":'))


@given(
    turns=st.lists(
        _text.filter(lambda t: t.strip() and "<" not in t and "[" not in t and "|" not in t), min_size=1, max_size=5
    )
)
def test_turns_with_marks_are_the_turns_of_a_chat(turns):
    """Three families' marks, read back, count what the chat's turns count."""
    turns = [turn.strip() for turn in turns]
    turns = turns if len(turns) % 2 else turns[:-1] or turns
    roles = ["user", "assistant"] * len(turns)
    expected = Transcript(wanted := Prompt(""))
    for role, turn in zip(roles, turns, strict=False):
        expected.turn(role)
        expected.text(turn)
    expected.finish()
    pairs = list(zip(roles, turns, strict=False))
    llama3 = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{turn}<|eot_id|>" for role, turn in pairs)
    chatml = "".join(f"<|im_start|>{role}\n{turn}<|im_end|>\n" for role, turn in pairs)
    mistral = "<s>" + "".join(f"[INST] {turn} [/INST]" if role == "user" else f" {turn}</s>" for role, turn in pairs)
    ends = ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|im_start|>assistant\n", "")
    for text in (marked + end for marked, end in zip((llama3, chatml, mistral), ends, strict=True)):
        seen = Prompt("")
        transcript = Transcript(seen)
        read_prompt(text, transcript)
        transcript.finish()
        assert (seen.turns, seen.last_text, seen.input_tokens) == (wanted.turns, wanted.last_text, wanted.input_tokens)


@pytest.mark.parametrize(
    "text",
    [
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST]",
        "<|begin_of_text|><|header_start|>system<|header_end|>\n\nBe brief.<|eot|><|header_start|>user<|header_end|>\n\nHi<|eot|>",
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n",
    ],
)
def test_instructions_are_told_from_turns(text):
    transcript = Transcript(prompt := Prompt(""))
    read_prompt(text, transcript)
    transcript.finish()
    assert (prompt.has_system, prompt.turns, prompt.last_text) == (True, 1, "Hi")


def test_a_text_without_marks_is_one_turn():
    transcript = Transcript(prompt := Prompt(""))
    read_prompt("Once upon a time", transcript)
    transcript.finish()
    assert (prompt.turns, prompt.last_text, prompt.has_system) == (1, "Once upon a time", False)


@pytest.mark.parametrize(
    ("server", "body", "status", "words"),
    [
        (ChatServer(), b"{", 400, "JSON decode error"),
        (ChatServer(), {"inputs": "Hi"}, 400, "Cannot find suitable handler"),
        (ChatServer(), {**CHAT, "temperature": 3}, 400, "temperature"),
        (ChatServer(), {**CHAT, "colour": "red"}, 400, "colour"),
        (TGIServer(), {"question": "?"}, 422, "missing required field `inputs`"),
        (TGIServer(), {"inputs": 1}, 422, "inputs"),
        (TGIServer(), {"inputs": "Hi", "parameters": {"max_new_tokens": 0}}, 422, "strictly positive"),
        (LMIServer(), {"question": "?"}, 424, "must contain prompt, inputs, or messages"),
        (LMIServer(), {"inputs": ["Hi"]}, 424, "Input parsing failed"),
        (LMIServer(), {**CHAT, "stop": list("abcde")}, 400, "stop"),
        (TritonServer(), {"inputs": []}, 400, "at least 1 input"),
        (TritonServer(), {"inputs": [{"name": "x", "shape": [2], "datatype": "FP8", "data": [1, 2]}]}, 400, "FP8"),
        (TritonServer(), {"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2]}]}, 400, "Shape"),
        (TritonServer(), {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, 400, "has none"),
        (AnyServer(), b"", 400, "empty"),
    ],
)
def test_what_a_container_does_not_take(server, body, status, words):
    error = refusal(server, body)
    assert error.status == status
    assert words in error.body.decode()


@pytest.mark.parametrize("field", ["top_k", "repetition_penalty", "chat_template_kwargs", "ignore_eos", "min_p"])
def test_an_engines_own_parameters_are_taken(field):
    assert ChatServer().read(call({**CHAT, field: 1})).turns == 1


def test_the_model_is_what_the_client_says_or_the_container_serves():
    assert ChatServer().read(call(CHAT)).model == "/opt/ml/model"
    assert ChatServer().read(call({**CHAT, "model": "mine"})).model == "mine"
    assert LMIServer().read(call(CHAT)).model == "lmi"
    assert TGIServer().read(call(CHAT)).model == "tgi"
    served = {"served_model": "llama"}
    assert ChatServer().read(call(CHAT, **served)).model == "llama"
    assert refusal(ChatServer(), {**CHAT, "model": "mine"}, **served).status == 404


def test_limits_and_stops_of_texts():
    body = {"inputs": "Hi", "parameters": {"max_new_tokens": 3.0, "details": True}}
    row = msgspec.json.decode(answer(LMIServer(), body))
    assert row["generated_text"] == "Simulated reply from" and row["details"]["finish_reason"] == "length"
    body = {"inputs": "Hi", "parameters": {"stop": [" from"], "details": True}}
    (row,) = msgspec.json.decode(answer(TGIServer(), body))
    assert row["generated_text"] == "Simulated reply" and row["details"]["finish_reason"] == "stop_sequence"
    body = {"inputs": "Hi", "parameters": {"return_full_text": True, "max_new_tokens": 1}}
    assert msgspec.json.decode(answer(LMIServer(), body)) == {"generated_text": "HiSimulated"}


def test_an_empty_text_still_ends_its_stream():
    data, _ = streamed(TGIServer(), {"inputs": "Hi", "stream": True}, Behaviour(text=""), None)
    row = json.loads(data.removeprefix(b"data:"))
    assert row["token"]["special"] and row["generated_text"] == ""


def test_only_the_header_of_binary_tensors_is_read():
    head = json.dumps(
        {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]}
    )
    kind = f"application/vnd.sagemaker-triton.binary+json;json-header-size={len(head)}"
    body = answer(TritonServer(), head.encode() + b"\0" * 8, content_type=kind)
    assert msgspec.json.decode(body)["outputs"][0]["shape"] == [1]


@given(rows=st.lists(st.lists(st.integers(-1000, 1000), max_size=5), max_size=5))
def test_predictions_are_sums(rows):
    body = answer(AnyServer(), {"instances": rows})
    assert msgspec.json.decode(body) == {"predictions": [float(sum(row)) for row in rows]}


def test_a_fixed_text_is_any_containers_answer():
    assert answer(AnyServer(), b"\1\2", Behaviour(text="[1, 2]"), content_type="application/x-npy") == b"[1, 2]"


def test_a_chat_and_a_text_compose_the_same_reply():
    chat = ChatServer().read(call(CHAT))
    text = TGIServer().read(call({"inputs": "Hi"}))
    behaviour = Behaviour()
    assert compose(chat, behaviour, "x").pieces == compose(text, behaviour, "x").pieces
    assert chat.input_tokens == text.input_tokens
