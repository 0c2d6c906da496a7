"""Embeddings: read, pointed at the target's model, and passed."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from trimaran.errors import InvalidRequest, MalformedAnswer, RateLimited, Rejected, UnsupportedFeature
from trimaran.types import Target, Usage, feature_mask
from trimaran.wire import DIALECTS, Dialect, translate

EMBEDDINGS = DIALECTS["openai.embeddings"]
SMALL = Target(
    id="openai/small",
    provider="openai",
    upstream_model="text-embedding-3-small",
    dialects=("openai.chat", "openai.embeddings"),
    base_url="http://t",
)
BODY = b'{"input":["a","b"],"model":"embed","encoding_format":"base64","dimensions":256,"user":"u"}'


def answer(**fields: Any) -> bytes:
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    return json.dumps({"object": "list", "data": vectors, "model": "m", "usage": usage} | fields).encode()


def test_only_the_model_changes() -> None:
    envelope = EMBEDDINGS.read(BODY)
    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("embed", False, 0)
    assert envelope.needs == feature_mask("embeddings")
    assert envelope.input_tokens == len(BODY) // 4 + 1
    made = translate(EMBEDDINGS, envelope, SMALL)
    assert made.body == BODY.replace(b'"embed"', b'"text-embedding-3-small"')
    assert made.notes is None
    assert EMBEDDINGS.rewrite(envelope, "embed") is BODY
    assert (EMBEDDINGS.operation, EMBEDDINGS.free) == ("embeddings", False)


def test_an_answer_passes_and_its_usage_is_known(openai_sdk: Any) -> None:
    body = answer()
    out, usage, reason, _ = translate(EMBEDDINGS, EMBEDDINGS.read(BODY), SMALL).answer(body)
    assert out is body
    assert (usage, reason) == (Usage(8), "")
    read = openai_sdk(out).embeddings.create(model="embed", input="a", encoding_format="float")
    assert read.data[0].embedding == [0.5, -0.25]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, Usage()),
        ({"prompt_tokens": 3}, Usage(3)),
        ({"total_tokens": 4}, Usage(4)),
        ({"prompt_tokens": 0, "total_tokens": 4}, Usage(0)),
        ({"prompt_tokens": -1}, Usage(0)),
    ],
)
def test_usage_that_is_partly_missing(usage: Any, expected: Usage | None) -> None:
    assert EMBEDDINGS.inspect(answer(usage=usage))[0] == expected


def test_vectors_are_not_decoded() -> None:
    body = answer(data="VECTORS").replace(b'"VECTORS"', b"[" + b"[" * 400 + b"1e999999" + b"]" * 400 + b"]")
    assert EMBEDDINGS.inspect(body)[0] == Usage(8)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        answer(data=None),
        answer(data=[]),
        answer(data={"a": 1}),
        answer(usage={"prompt_tokens": "x"}),
    ],
)
def test_an_answer_without_vectors_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        EMBEDDINGS.inspect(body)


def test_an_error_with_status_200_is_an_error() -> None:
    with pytest.raises(RateLimited, match="slow down"):
        EMBEDDINGS.inspect(b'{"error":{"message":"slow down","code":429}}')


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":null}', "input"),
        (b'{"model":"m","input":""}', "input"),
        (b'{"model":"m","input":[]}', "input"),
        (b'{"input":"a"}', "model"),
        (b'{"model":"m","input":"a","input":"b"}', "input"),
    ],
)
def test_bad_requests_name_the_field(body: bytes, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        EMBEDDINGS.read(body)
    assert caught.value.field == field


@pytest.mark.parametrize("texts", [b'"a"', b"[1,2,3]", b"[[1],[2]]", b'["a"]'])
def test_every_form_of_input_is_read(texts: bytes) -> None:
    assert EMBEDDINGS.read(b'{"model":"m","input":%b}' % texts).model == "m"


@pytest.mark.parametrize("dialects", [("openai.chat",), ("anthropic.messages",)])
def test_a_target_without_them_is_no_target(dialects: tuple[str, ...]) -> None:
    target = Target(id="t/m", provider="t", upstream_model="m", dialects=dialects, base_url="http://t")
    with pytest.raises(UnsupportedFeature, match="embeddings cannot be asked of it"):
        translate(EMBEDDINGS, EMBEDDINGS.read(BODY), target)


def test_a_conversation_cannot_be_asked_of_an_embedding_target() -> None:
    chat: Dialect = DIALECTS["openai.chat"]
    target = Target(id="t/m", provider="t", upstream_model="m", dialects=("openai.embeddings",), base_url="http://t")
    with pytest.raises(UnsupportedFeature, match="conversations cannot be asked of it"):
        translate(chat, chat.read(b'{"model":"m","messages":[{"role":"user","content":"x"}]}'), target)


def test_errors_are_openais(openai_sdk: Any) -> None:
    own = b'{"error":{"message":"too many","type":"invalid_request_error","param":"input","code":null}}'
    error = EMBEDDINGS.read_error(400, None, "application/json", own)
    assert type(error) is Rejected
    assert EMBEDDINGS.write_error(error, "r") is own
    client = openai_sdk(EMBEDDINGS.write_error(InvalidRequest("no", field="input"), "r"), 400)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="m", input="")
    assert (caught.value.param, caught.value.code) == ("input", "invalid_request")
