"""Counting of tokens: google-genai asks and hears, other counters are asked, and each target gets its own form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google import genai

from trimaran.errors import InvalidRequest, MalformedAnswer, RateLimited
from trimaran.types import Target, feature_mask
from trimaran.wire import DIALECTS, surface, translate
from trimaran.wire.dialect import Envelope
from trimaran.wire.gemini_generate import GeminiCountTokens

GoogleClient = Callable[..., genai.Client]
COUNT = DIALECTS["gemini.count_tokens"]
assert isinstance(COUNT, GeminiCountTokens)
PATH = b"/v1beta/models/public:countTokens"
HI = [{"role": "user", "parts": [{"text": "hi"}]}]
WHOLE = {
    "model": "models/public",
    "contents": HI,
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "f"}]}],
    "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9},
}


def at(dialect: str, provider: str = "gemini", model: str = "gemini-3.8-flash") -> Target:
    return Target("t/m", provider, model, (dialect,), "https://t.example")


def read(body: dict[str, Any]) -> Envelope:
    return COUNT.read(json.dumps(body).encode(), PATH)


def test_it_has_its_own_path() -> None:
    assert surface(PATH) is COUNT
    assert surface(b"/v1beta/models/public:generateContent") is DIALECTS["gemini.generate"]
    assert COUNT.upstream_path("m", False) == b"/v1beta/models/m:countTokens"


def test_the_sdk_asks_and_hears(google_sdk: GoogleClient) -> None:
    seen: list[bytes] = []
    client = google_sdk(COUNT.encode_count(7), seen=seen)
    assert client.models.count_tokens(model="public", contents="hi").total_tokens == 7
    envelope = COUNT.read(seen[0], PATH)
    assert (envelope.model, envelope.needs) == ("public", feature_mask("chat"))


def test_what_passes() -> None:
    plain = read({"contents": HI})
    assert COUNT.rewrite(plain, "gemini-3.8-flash") is plain.body
    whole = read({"generateContentRequest": WHOLE})
    assert whole.needs == feature_mask("chat", "tools")
    changed = json.loads(COUNT.rewrite(whole, "gemini-3.8-flash"))
    assert changed == {"generateContentRequest": WHOLE | {"model": "models/gemini-3.8-flash"}}


@pytest.mark.parametrize(
    "body", [{"generateContentRequest": WHOLE}, {key: WHOLE[key] for key in WHOLE if key != "model"}]
)
def test_another_counter_is_asked(body: dict[str, Any]) -> None:
    made = translate(COUNT, read(body), at("anthropic.count_tokens", "anthropic", "claude"))
    asked = json.loads(made.body)
    assert asked["model"] == "claude"
    assert asked["system"] == "Be brief."
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert [tool["name"] for tool in asked["tools"]] == ["f"]
    assert json.loads(made.answer(b'{"input_tokens": 12}')[0]) == {"totalTokens": 12}


def test_each_target_gets_its_own_form() -> None:
    client = DIALECTS["anthropic.count_tokens"]
    asked = {"model": "m", "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]}
    envelope = client.read(json.dumps(asked).encode())
    inner = {"contents": HI, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    body = json.loads(translate(client, envelope, at(COUNT.name)).body)
    assert body == {"generateContentRequest": {"model": "models/gemini-3.8-flash"} | inner}
    made = translate(client, envelope, at(COUNT.name, "vertex"))
    assert json.loads(made.body) == inner
    assert json.loads(made.answer(b'{"totalTokens": 12, "totalBillableCharacters": 3}')[0]) == {"input_tokens": 12}


def test_bad_input_is_named() -> None:
    for body, name in (({}, "contents"), ({"generateContentRequest": 5}, "generateContentRequest")):
        with pytest.raises(InvalidRequest, match=name):
            read(body)
    with pytest.raises(InvalidRequest, match="exclude each other"):
        read({"contents": HI, "generateContentRequest": WHOLE})


def test_what_is_no_count() -> None:
    with pytest.raises(MalformedAnswer):
        COUNT.decode_count(b"{}")
    with pytest.raises(RateLimited):
        COUNT.inspect(b'{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}')
    assert type(COUNT.read_error(429, None, "application/json", b"{}")) is RateLimited
