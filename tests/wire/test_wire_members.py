"""The top level of a request body: positions, duplicates, and what is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trimaran.errors import InvalidRequest
from trimaran.types import Target
from trimaran.wire import DIALECTS, translate
from trimaran.wire.members import MAX_COUNT, read_members

CHAT = DIALECTS["openai.chat"]
MESSAGES = DIALECTS["anthropic.messages"]
KEYS = frozenset({"model", "messages", "n", "stream"})


def target(name: str) -> Target:
    return Target(id="t/x", provider="t", upstream_model=name, dialects=("openai.chat",), base_url="http://t")


texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(sorted(KEYS)), inner, max_size=3)
    ),
    max_leaves=8,
)
extras = st.dictionaries(texts.filter(lambda key: key not in CHAT_READ), values, max_size=5)
CHAT_READ = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"}
spaces = st.text(" \t\r\n", max_size=2)


@st.composite
def written(draw: st.DrawFn, members: list[tuple[str, Any]]) -> str:
    """``members`` as JSON text, in any of the styles that mean the same: spaces, escapes in keys and values."""
    style = draw(st.sampled_from(["compact", "python", "free"]))
    ascii_only = draw(st.booleans())

    def dump(value: Any) -> str:
        separators = (",", ":") if style == "compact" else None
        return json.dumps(value, ensure_ascii=ascii_only, separators=separators)

    if style != "free":
        comma, colon = (",", ":") if style == "compact" else (", ", ": ")
        return "{" + comma.join(f"{dump(key)}{colon}{dump(value)}" for key, value in members) + "}"
    parts = []
    for key, value in members:
        shown = dump(key)
        if key and draw(st.booleans()):
            shown = f'"\\u{ord(key[0]):04x}{dump(key[1:])[1:]}' if ord(key[0]) < 0x10000 else shown
        gaps = [draw(spaces) for _ in range(4)]
        parts.append(f"{gaps[0]}{shown}{gaps[1]}:{gaps[2]}{dump(value)}{gaps[3]}")
    return draw(spaces) + "{" + ",".join(parts) + "}" + draw(spaces)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, str]:
    """A valid request of ``openai.chat`` with arbitrary further members, and the model it names."""
    model = draw(texts.filter(bool))
    members = [("model", model), ("messages", draw(st.lists(values, max_size=2))), *draw(extras).items()]
    return draw(written(draw(st.permutations(members)))).encode(), model


@given(bodies(), texts.filter(bool))
def test_only_the_model_changes(body_and_model: tuple[bytes, str], upstream: str) -> None:
    body, model = body_and_model
    envelope = CHAT.read(body)
    assert envelope.model == model
    out = translate(CHAT, envelope, target(upstream)).body
    assert json.loads(out) == json.loads(body) | {"model": upstream}
    start, end = envelope.model_span
    assert json.loads(body[start:end]) == model
    assert out[:start] == body[:start]
    assert end == len(body) or out.endswith(body[end:])
    if upstream == model:
        assert out is body


@given(st.data(), st.sampled_from(sorted(KEYS)))
def test_duplicates_of_read_keys_are_refused(data: st.DataObject, key: str) -> None:
    first, second = data.draw(values), data.draw(values)
    others = [("model", "m"), ("messages", []), *data.draw(extras).items()]
    members = [(key, first), *((name, value) for name, value in others if name != key), (key, second)]
    body = data.draw(written(data.draw(st.permutations(members)))).encode()
    with pytest.raises(InvalidRequest, match=key) as caught:
        read_members(body, KEYS)
    assert caught.value.field == key


@given(st.data(), texts.filter(lambda key: key not in KEYS))
def test_duplicates_of_other_keys_pass(data: st.DataObject, key: str) -> None:
    members = [("model", "m"), ("messages", [1]), (key, data.draw(values)), (key, data.draw(values))]
    body = data.draw(written(data.draw(st.permutations(members)))).encode()
    _, spans = read_members(body, KEYS)
    assert {name: json.loads(body[start:end]) for name, (start, end) in spans.items()} == {
        "model": "m",
        "messages": [1],
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":1,"x":12,"model":"m","messages":[]}',
        b'{"x":12,"x":1,"model":"m","messages":[]}',
        b'{"x":' + b"9" * 6000 + b',"x":1,"model":"m","messages":[]}',
        b'{"x":1e400,"x":-1e-400,"model":"m","messages":[]}',
        b'{"model":"m","messages":[{"model":"inner","n":"two"}],"tools":{"model":{"stream":1}}}',
        b'{"messages":["\\"model\\":\\"no\\""],"model":"m"}',
        b'{ "\\u006dodel" :\t"m" ,\r\n"messages":[] }',
        b'{"x":9007199254740993.0,"model":"m","messages":[],"big":123456789012345678901234567890}',
    ],
)
def test_the_model_is_found_wherever_it_stands(body: bytes) -> None:
    start, end = CHAT.read(body).model_span
    assert body[start:end] == b'"m"'
    assert translate(CHAT, CHAT.read(body), target("other")).body == body[:start] + b'"other"' + body[end:]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"model":"m","messages":[]', "not JSON"),
        (b'{"model":"m","messages":[]}{}', "not JSON"),
        (b'{"model":"m","messages":[NaN]}', "not JSON"),
        (b'\xef\xbb\xbf{"model":"m","messages":[]}', "not JSON"),
        (b'{"model":"m","messages":["\xff"]}', "not UTF-8 at byte 26"),
        (b'{"model":"m\xff","messages":[]}', "not UTF-8"),
        (b'{"model":"\\ud800","messages":[]}', "not JSON"),
        (b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"messages":[]}', "'model' must be given"),
        (b'{"model":null,"messages":[]}', "'model' must be given"),
        (b'{"model":"","messages":[]}', "'model' must not be empty"),
        (b'{"model":"m"}', "'messages' is missing"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "'stream' must be true or false"),
        (b'{"model":"m","messages":[],"max_tokens":"5"}', "'max_tokens' must be an integer"),
        (b'{"model":"m","messages":[],"max_tokens":-1}', "'max_tokens' must be an integer"),
        (b'{"model":"m","messages":[],"max_tokens":1e400}', "'max_tokens' must be an integer"),
        (b'{"model":"m","messages":[],"max_completion_tokens":1000000001}', "must be an integer from 0 to 1000000000"),
        (b'{"model":"m","messages":[],"max_tokens":1,"n":0.5}', "'n' must be an integer"),
        (b'{"model":"m","messages":[],"stream_options":[]}', "'stream_options' must be an object"),
        (b'{"model":"m","messages":[],"stream_options":{"include_usage":1}}', "'stream_options' must be an object"),
    ],
)
def test_bad_bodies_name_the_problem(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        CHAT.read(body)


def test_anthropic_needs_max_tokens() -> None:
    with pytest.raises(InvalidRequest, match="max_tokens"):
        MESSAGES.read(b'{"model":"m","messages":[]}')
    assert MESSAGES.read(b'{"model":"m","messages":[],"max_tokens":0}').max_output_tokens == 0


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9}, 9),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"n": 3}, None),
        ({"max_tokens": MAX_COUNT}, MAX_COUNT),
    ],
)
def test_the_bound_of_the_output_covers_every_choice(fields: dict[str, Any], bound: int | None) -> None:
    body = json.dumps({"model": "m", "messages": []} | fields).encode()
    assert CHAT.read(body).max_output_tokens == bound


def test_the_envelope_says_what_the_road_needs() -> None:
    body = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true},"max_tokens":5}'
    envelope = CHAT.read(body)
    assert (envelope.dialect, envelope.model, envelope.stream, envelope.include_usage) == (
        "openai.chat",
        "m",
        True,
        True,
    )
    assert envelope.input_tokens == len(body) // 4 + 1
    assert envelope.body is body


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("absent", {"include_usage": True}),
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False, "include_usage": None}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,", ": ")])
def test_usage_is_asked_for_in_a_stream(options: Any, wanted: Any, order: int, separators: tuple[str, str]) -> None:
    request: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "é"}], "stream": True}
    if options != "absent":
        request["stream_options"] = options
    body = json.dumps(dict([*request.items()][::order]), separators=separators).encode()
    out = translate(CHAT, CHAT.read(body), target("up")).body
    assert json.loads(out) == request | {"model": "up", "stream_options": wanted}


def test_usage_that_the_client_asked_for_leaves_the_body_alone() -> None:
    body = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true,"x":1}}'
    assert translate(CHAT, CHAT.read(body), target("m")).body is body


@given(st.binary(max_size=200) | texts.map(str.encode))
@example(b'{"":0,"":1}')
@example(b'{"a":"\\')
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    for dialect in DIALECTS.values():
        try:
            envelope = dialect.read(body)
        except InvalidRequest:
            continue
        assert json.loads(body)["model"] == envelope.model


@given(st.data(), bodies())
def test_damaged_bodies_are_read_or_refused(data: st.DataObject, body_and_model: tuple[bytes, str]) -> None:
    body = bytearray(body_and_model[0])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"{"])
        )
        if not body:
            break
    try:
        envelope = CHAT.read(bytes(body))
    except InvalidRequest:
        return
    start, end = envelope.model_span
    assert json.loads(bytes(body[start:end])) == envelope.model
