"""What the life of a request makes of translation: whom it asks, what it refuses, what it learns and what it costs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from road import Road, chat_answer

from trimaran.dispatch.dispatcher import Dispatcher
from trimaran.dispatch.memory import NoMetrics
from trimaran.errors import ContextTooLong, InvalidRequest, Unavailable, UnsupportedFeature
from trimaran.types import Capabilities
from trimaran.wire import DIALECTS, client_status

PICTURE = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def road(*targets: dict[str, Any], strategy: str = "ordered") -> Road:
    """A road whose targets ``a``, ``b``, … differ as given."""
    made = Road(targets=len(targets))
    changed = {}
    for (name, target), changes in zip(made.snapshot.targets.items(), targets, strict=True):
        changed[name] = msgspec.structs.replace(target, **changes)
    policy = msgspec.structs.replace(made.snapshot.models["chat"], strategy=strategy)
    made.snapshot = msgspec.structs.replace(made.snapshot, targets=changed, models={"chat": policy})
    made.dispatcher = Dispatcher(
        made.snapshot, upstream=made.upstream, journal=made.journal, metrics=NoMetrics(), clock=made.clock,
        random=lambda: 0.5,
    )  # fmt: skip
    return made


def lacking(*features: str, **limits: int) -> dict[str, Any]:
    return {"capabilities": Capabilities(family="old", lacks=frozenset(features), **limits)}


CHAT: dict[str, Any] = {"dialects": ("openai.chat",)}
MESSAGES: dict[str, Any] = {"dialects": ("anthropic.messages", "anthropic.count_tokens")}
MESSAGES_ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3},
}  # fmt: skip


def test_a_target_that_cannot_carry_the_request_is_passed_over() -> None:
    it = road(MESSAGES, CHAT)
    _, sink = it.ask(seed=7)
    assert it.tried == ["b"]
    it.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_a_refusal_names_what_each_target_cannot_carry() -> None:
    it = road(MESSAGES, MESSAGES)
    _, sink = it.ask(seed=7, n=2)
    assert it.upstream.sent == []
    assert isinstance(sink.error, UnsupportedFeature)
    for words in ("openai/a", "openai/b", "'seed'", "'n'"):
        assert words in sink.error.message
    assert sink.error.field in ("n", "seed")


def test_a_target_whose_model_cannot_see_is_not_asked() -> None:
    it = road(CHAT | lacking("vision"), CHAT)
    it.ask(messages=[PICTURE])
    assert it.tried == ["b"]


def test_when_no_model_can_the_refusal_says_what_each_lacks() -> None:
    it = road(CHAT | lacking("vision"), MESSAGES | lacking("vision", "tools"))
    _, sink = it.ask(messages=[PICTURE], tools=[TOOL])
    assert it.upstream.sent == []
    assert isinstance(sink.error, UnsupportedFeature)
    assert "openai/a lacks images" in sink.error.message
    assert "tool calls" in sink.error.message.partition("openai/b")[2]


def test_words_about_pictures_are_no_picture() -> None:
    it = road(CHAT | lacking("vision"), CHAT)
    it.ask(messages=[{"role": "user", "content": 'what is {"type": "image_url"}?'}])
    assert it.tried == ["a"]


def test_an_unfit_and_a_broken_target_are_a_matter_of_time() -> None:
    it = road(CHAT | lacking("vision"), CHAT)
    for _ in range(8):
        it.ask(messages=[PICTURE])
        it.sent().head(503)
        it.sent().exchange.on_end()
    sent = len(it.upstream.sent)
    _, sink = it.ask(messages=[PICTURE])
    assert len(it.upstream.sent) == sent
    assert isinstance(sink.error, Unavailable)
    assert sink.error.retry_after_s is not None


@pytest.mark.parametrize(("context", "tried"), [(1000, ["b"]), (100_000, ["a"])])
def test_a_prompt_that_surely_does_not_fit_goes_elsewhere(context: int, tried: list[str]) -> None:
    it = road(CHAT | lacking(context_tokens=context), CHAT)
    it.ask(messages=[{"role": "user", "content": "long words " * 4000}])
    assert it.tried == tried


def test_an_answer_longer_than_the_model_gives_is_asked_elsewhere() -> None:
    it = road(CHAT | lacking(max_output_tokens=4096), CHAT)
    it.ask(max_tokens=8000)
    assert it.tried == ["b"]


def test_a_schema_is_emulated_where_the_model_knows_tools_only() -> None:
    it = road(CHAT | lacking("json_schema"))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    call, sink = it.ask(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    body = json.loads(it.sent().payload.partition(b"\r\n\r\n")[2])
    assert "response_format" not in body
    name = body["tools"][0]["function"]["name"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": name}}
    answer = chat_answer()
    answer["choices"] = [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": '{"a":1}'}}],
            },
            "finish_reason": "tool_calls",
        }
    ]
    it.sent().whole(answer)
    choice = json.loads(sink.body)["choices"][0]
    assert choice["message"]["content"] == '{"a":1}'
    assert not choice["message"].get("tool_calls")
    assert choice["finish_reason"] == "stop"
    assert call.attempt is not None
    assert call.attempt.translation.notes is not None
    assert call.attempt.translation.notes.emulated == ["response_format"]


def test_what_a_request_that_no_provider_could_take_hears() -> None:
    it = road(MESSAGES)
    orphan = [{"role": "user", "content": "hi"}, {"role": "tool", "tool_call_id": "x", "content": "1"}]
    _, sink = it.ask(messages=orphan)
    assert isinstance(sink.error, InvalidRequest)
    assert "messages[1]" in sink.error.message


# State that a provider keeps


def stored(it: Road) -> Any:
    body = {"model": "chat", "input": "go on", "previous_response_id": "resp_1", "max_output_tokens": 10}
    return it.ask(dialect="openai.responses", **body)


def test_stored_state_goes_where_it_can_be() -> None:
    it = road(MESSAGES, {"dialects": ("openai.responses",)})
    stored(it)
    assert it.tried == ["b"]
    assert b'"previous_response_id":' in it.sent().payload


def test_stored_state_that_several_accounts_could_hold_is_refused() -> None:
    other = {"dialects": ("openai.responses",), "base_url": "http://127.0.0.1:2"}
    it = road({"dialects": ("openai.responses",)}, other)
    _, sink = stored(it)
    assert it.upstream.sent == []
    assert isinstance(sink.error, UnsupportedFeature)
    assert "several providers" in sink.error.message


def test_stored_state_means_nothing_to_another_dialect() -> None:
    it = road(MESSAGES)
    _, sink = stored(it)
    assert isinstance(sink.error, UnsupportedFeature)
    assert "'previous_response_id'" in sink.error.message


# Counting


def test_counting_is_free_and_kept_apart() -> None:
    it = road(MESSAGES)
    route = it.dispatcher.route("chat").of_operation("count")
    assert it.dispatcher.route("chat").of_operation("count") is route
    assert it.dispatcher.route("chat").of_operation("chat") is it.dispatcher.route("chat")
    call, sink = it.ask(dialect="anthropic.count_tokens", route=route)
    assert it.sent().payload.startswith(b"POST /v1/messages/count_tokens ")
    it.sent().whole({"input_tokens": 42})
    assert json.loads(sink.body) == {"input_tokens": 42}
    (started,), (settled,) = it.journal.started, it.journal.settled
    assert (started.target, started.bound_nanos, started.dialect_out) == ("openai/a", 0, "anthropic.count_tokens")
    assert (settled.cost_nanos, settled.usage) == (0, None)
    assert call.cost_nanos == 0
    # What an answer's speed would be is still unknown.
    assert "openai/a" not in it.dispatcher.state.targets


def test_counting_for_one_dialect_by_another() -> None:
    it = road({"dialects": ("openai.chat", "openai.input_tokens")})
    _, sink = it.ask(dialect="anthropic.count_tokens", route=it.dispatcher.route("chat").of_operation("count"))
    assert it.sent().payload.startswith(b"POST /v1/responses/input_tokens ")
    it.sent().whole({"object": "response.input_tokens", "input_tokens": 9})
    assert json.loads(sink.body) == {"input_tokens": 9}


def test_who_cannot_count_is_not_asked() -> None:
    it = road(CHAT)
    _, sink = it.ask(dialect="anthropic.count_tokens", route=it.dispatcher.route("chat").of_operation("count"))
    assert it.upstream.sent == []
    assert isinstance(sink.error, UnsupportedFeature)
    assert "counting of tokens" in sink.error.message


# Embeddings


def test_embeddings_go_to_who_embeds() -> None:
    it = road(CHAT, {"dialects": ("openai.chat", "openai.embeddings")})
    _, sink = it.ask(dialect="openai.embeddings", input=["a", "b"])
    assert it.tried == ["b"]
    assert it.sent().payload.startswith(b"POST /v1/embeddings ")
    answer = {"object": "list", "data": [{"embedding": [0.5]}] * 2, "model": "m", "usage": {"prompt_tokens": 4}}
    it.sent().whole(answer)
    assert json.loads(sink.body) == answer
    assert it.journal.settled[0].usage is not None
    assert it.journal.settled[0].usage.input_tokens == 4


def test_a_model_that_converses_does_not_embed() -> None:
    it = road({"dialects": ("openai.chat", "openai.embeddings")} | lacking("embeddings"))
    _, sink = it.ask(dialect="openai.embeddings", input="a")
    assert isinstance(sink.error, UnsupportedFeature)
    assert "embeddings" in sink.error.message


# Reasoning that another provider signed


def test_foreign_reasoning_is_taken_out_of_a_request_that_passes() -> None:
    it = road(MESSAGES)
    thought = {"type": "thinking", "thinking": "hm", "signature": "tmrn1:openai.responses:rs_1:abc"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "hello"}]},
        {"role": "user", "content": "go on"},
    ]
    call, _ = it.ask(dialect="anthropic.messages", messages=turns)
    assert b"tmrn1" not in it.sent().payload
    assert b'"hello"' in it.sent().payload
    assert call.attempt is not None
    assert call.attempt.translation.notes is not None
    assert call.attempt.translation.notes.omitted == ["reasoning"]


def test_what_passes_passes_byte_for_byte() -> None:
    it = road(MESSAGES)
    call, _ = it.ask(dialect="anthropic.messages", model="chat", zz=[1.0, 2])
    assert call.attempt is not None
    assert call.attempt.translation.notes is None
    assert it.sent().payload.endswith(call.inbound.envelope.body.replace(b'"chat"', b'"a"'))


def test_the_dialect_that_leaves_less_out_is_taken() -> None:
    both = {"dialects": ("openai.chat", "openai.responses")}
    it = road(both)
    shown = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]
    turns = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": shown}]},
    ]
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    it.ask(dialect="anthropic.messages", messages=turns, tools=tools)
    assert it.sent().payload.startswith(b"POST /v1/responses ")
    assert it.journal.started[0].dialect_out == "openai.responses"


def test_an_answer_that_cannot_be_carried_is_paid_for() -> None:
    it = road(MESSAGES, CHAT)
    it.ask()
    cited = {"type": "text", "text": "hi", "citations": [{"type": "char_location"}]}
    it.sent().whole(MESSAGES_ANSWER | {"content": [cited]})
    first = it.journal.settled[0]
    assert first.status == "failed" and first.usage is not None and first.cost_nanos
    assert (first.usage.input_tokens, first.usage.output_tokens) == (7, 3)
    it.sent().whole(chat_answer())
    call_cost = it.journal.settled[1].cost_nanos
    assert call_cost


def test_base64_of_an_unknown_kind_is_no_long_prompt() -> None:
    it = road(CHAT | lacking(context_tokens=1000), CHAT)
    film = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + "AAAA" * 30_000}}
    it.ask(messages=[{"role": "user", "content": [film]}])
    assert it.tried == ["a"]


# What clients look for


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ("openai.chat", '"code":"context_length_exceeded"'),
        ("openai.responses", '"code":"context_length_exceeded"'),
        ("anthropic.messages", "prompt is too long"),
    ],
)
def test_a_prompt_too_long_for_all_is_said_as_providers_say_it(dialect: str, words: str) -> None:
    it = road(CHAT | lacking(context_tokens=1000), MESSAGES | lacking(context_tokens=2000))
    long = "long words " * 4000
    members = {"input": long} if dialect == "openai.responses" else {"messages": [{"role": "user", "content": long}]}
    _, sink = it.ask(dialect=dialect, **members)
    assert it.upstream.sent == []
    assert isinstance(sink.error, ContextTooLong)
    assert "2000" in sink.error.message
    assert words in DIALECTS[dialect].write_error(sink.error, "r").decode()
    assert client_status(sink.error) == 400


def test_too_long_and_something_else_is_more_than_too_long() -> None:
    it = road(CHAT | lacking("tools", context_tokens=1000))
    _, sink = it.ask(messages=[{"role": "user", "content": "long words " * 4000}], tools=[TOOL])
    assert type(sink.error) is UnsupportedFeature


def test_a_count_is_not_refused_for_its_length() -> None:
    it = road(MESSAGES | lacking(context_tokens=1000))
    route = it.dispatcher.route("chat").of_operation("count")
    turns = [{"role": "user", "content": "long words " * 4000}]
    it.ask(dialect="anthropic.count_tokens", route=route, messages=turns)
    assert it.tried == ["a"]


def test_hidden_thoughts_do_not_commit() -> None:
    it = road({"dialects": ("openai.responses",)}, CHAT)
    _, sink = it.ask(stream=True)
    for event in (
        {"type": "response.created", "response": {"id": "r", "model": "m", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
        },
    ):
        if event["type"] == "response.created":
            it.sent().head()
        it.sent().event(event)
    assert sink.log == []
    it.sent().event({"type": "error", "code": "server_error", "message": "no", "param": None})
    it.after(1)
    it.sent().head(503)
    it.sent().exchange.on_end()
    it.after(1)
    assert it.tried[-1] == "b"
    assert sink.log == []


def test_a_mistake_of_ours_while_reading_an_answer_costs_that_attempt_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    it = road(MESSAGES, CHAT)
    _, sink = it.ask()

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("trimaran.wire.translation._ChatTranslation.answer", broken)
    it.sent().whole(MESSAGES_ANSWER)
    it.after(1)
    assert it.tried[-1] == "b"
    it.sent().whole(chat_answer())
    assert sink.log == ["answer"]
    assert "could not be read" in caplog.text
