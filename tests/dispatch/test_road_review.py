"""Turns of the road that are easily missed: stale choices, slow clients, repeated targets, waits without end."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress

import msgspec
import pytest
from road import Road, chat_answer, chat_chunk

from trimaran.dispatch.http1 import HttpUpstream
from trimaran.dispatch.library import _listed
from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    DeadlineExceeded,
    RateLimited,
    StreamCut,
    UnsupportedFeature,
)
from trimaran.types import Capabilities, Limits, ModelPolicy

BUSY = {"error": {"message": "slow down"}}
TOO_LONG = {"error": {"message": "maximum context length is 8", "code": "context_length_exceeded"}}


def with_models(road: Road, **models: ModelPolicy) -> Road:
    road.snapshot = msgspec.structs.replace(road.snapshot, models=models)
    road.dispatcher.apply(road.snapshot)
    return road


def with_targets(road: Road, **changes: dict[str, object]) -> Road:
    """``changes`` by the targets' letters."""
    targets = {
        name: msgspec.structs.replace(target, **changes.get(name[-1], {}))
        for name, target in road.snapshot.targets.items()
    }
    road.snapshot = msgspec.structs.replace(road.snapshot, targets=targets)
    road.dispatcher.apply(road.snapshot)
    return road


def test_a_second_try_is_not_sent_to_a_target_whose_circuit_opened_meanwhile() -> None:
    road = Road(targets=2)
    for _ in range(3):
        road.ask()
    first = list(road.upstream.sent)
    assert road.tried == ["a", "a", "a"]
    for each in first:
        each.whole(BUSY, 500)
    assert road.dispatcher.state.targets["openai/a"].breaker.circuit.name == "OPEN"
    road.after(0.3)
    assert road.tried[3:] == ["b", "b", "b"]
    assert road.dispatcher.state.targets["openai/a"].breaker.circuit.name == "OPEN"


def test_a_larger_fallback_is_found_from_another_fallback() -> None:
    road = with_targets(
        Road(targets=3),
        b={"capabilities": Capabilities(family="b", context_tokens=8_000)},
        c={"capabilities": Capabilities(family="c", context_tokens=200_000)},
    )
    with_models(
        road,
        chat=ModelPolicy("chat", "ordered", ("openai/a",), fallbacks=("small", "large")),
        small=ModelPolicy("small", "ordered", ("openai/b",)),
        large=ModelPolicy("large", "ordered", ("openai/c",)),
    )
    _, sink = road.ask()
    road.sent().whole(BUSY, 503)
    road.sent().whole(TOO_LONG, 400)
    assert road.tried == ["a", "b", "c"]
    road.sent().whole(chat_answer())
    assert sink.log == ["answer"]


def test_what_no_target_can_take_is_the_clients_matter_though_a_fallback_names_a_target_again() -> None:
    road = Road(targets=2, dialect="anthropic.messages")
    with_models(
        road,
        chat=ModelPolicy("chat", "ordered", ("openai/a",), fallbacks=("spare",)),
        spare=ModelPolicy("spare", "ordered", ("openai/a", "openai/b")),
    )
    _, sink = road.ask(seed=7)
    assert isinstance(sink.error, UnsupportedFeature)


def test_what_a_provider_stored_is_not_asked_for_at_a_fallback_elsewhere() -> None:
    road = Road(targets=3, dialect="openai.responses")
    with_targets(road, b={"base_url": "http://127.0.0.1:2"})
    with_models(
        road,
        chat=ModelPolicy("chat", "ordered", ("openai/a",), fallbacks=("away", "near")),
        away=ModelPolicy("away", "ordered", ("openai/b",)),
        near=ModelPolicy("near", "ordered", ("openai/c",)),
    )
    _, sink = road.ask(dialect="openai.responses", input="go on", previous_response_id="resp_1")
    road.sent().whole(BUSY, 503)
    assert road.tried == ["a", "c"]
    road.sent().whole(BUSY, 503)
    assert sink.error is not None and sink.error.status == 503


def test_waits_have_an_end_though_each_is_short() -> None:
    road = Road(targets=1)
    _, sink = road.ask()
    asked = road.clock.now
    breaker = road.dispatcher.state.targets["openai/a"].breaker
    # Others use up whatever becomes free.
    for _ in range(600):
        breaker.rest_until = road.clock.now + 1.0
        if len(road.upstream.sent) == 1 and not road.sent().exchange.ended:
            road.sent().whole(BUSY, 429)
        road.after(0.1)
        if sink.log:
            break
    assert isinstance(sink.error, RateLimited)
    assert road.clock.now - asked <= 21.0


# The seam of a slow client


def test_a_client_that_fell_behind_is_not_overrun_by_the_continuation() -> None:
    road = Road(targets=2)
    able = Capabilities(family="c", has=frozenset({"prefill"}))
    with_targets(road, b={"capabilities": able, "dialects": ("anthropic.messages",)})
    with_models(road, chat=msgspec.structs.replace(road.snapshot.models["chat"], on_cut="continue"))
    call, _ = road.ask(stream=True)
    first = road.sent()
    first.head()
    first.event(chat_chunk({"content": "The sea"}))
    call.pause()
    # The rest came with the last bytes that were read: the body ends without an end marker.
    first.exchange.on_end()
    assert road.tried == ["a", "b"]
    going_on = road.sent()
    # Paused before its first content, it would seem silent.
    assert not going_on.paused
    going_on.head()
    message = {"id": "m", "type": "message", "role": "assistant", "model": "b", "content": [], "usage": {}}
    going_on.event({"type": "message_start", "message": message})
    going_on.event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    going_on.event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " is"}})
    assert going_on.paused
    call.resume()
    assert not going_on.paused
    call.cancel()


# What is left behind


def test_a_stream_whose_connection_lingers_is_freed_without_the_garbage_collector() -> None:
    road = Road()
    call, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "hi"}, "stop"))
    sent.exchange.on_data(b"data: [DONE]\n\n")
    assert sink.log == ["begin", "end"]
    road.after(2.0)
    assert sent.aborted and not road.dispatcher.lingering
    assert call.attempt is not None and call.attempt.call is not call


# A mistake of ours


def test_a_mistake_in_one_request_leaves_the_limits_of_the_others_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    road = Road(targets=2)
    limits = Limits(ttft_s=1.0)
    asked = [road.ask(stream=True, limits=limits) for _ in range(3)]
    runtime = road.dispatcher.route("chat").targets["openai/b"]
    calls = iter(range(9))

    def payload(*_: object) -> bytes:
        if next(calls) == 0:
            raise RuntimeError("a mistake")
        return b""

    monkeypatch.setattr(type(runtime), "payload", payload)
    road.after(1.1)
    assert road.tried == ["a", "a", "a", "b", "b"]
    failed = [sink for _, sink in asked if sink.log]
    assert len(failed) == 1 and failed[0].log == ["fail"]


# Ends


def test_a_whole_stream_is_finished_though_its_connection_breaks_before_the_end_marker() -> None:
    road = Road()
    _, sink = road.ask(stream=True)
    sent = road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "hi"}, "stop"))
    sent.exchange.on_error(StreamCut("closed"))
    assert sink.log == ["begin", "end"] and sink.body.endswith(b"data: [DONE]\n\n")
    assert [each.status for each in road.journal.settled] == ["ok"]
    assert not road.dispatcher.lingering


def test_a_caller_of_the_library_hears_of_every_attempt_though_the_last_word_came_in_a_pause() -> None:
    road = Road(targets=1)
    call, sink = road.ask(limits=Limits(deadline_s=1.0))
    road.sent().whole(BUSY, 429, retry_after="0")
    assert call.attempt is None
    road.dispatcher.state.targets["openai/a"].breaker.rest_until = road.clock.now + 9.0
    road.after(0.5)
    assert isinstance(sink.error, RateLimited)
    listed = _listed(call, sink.error)
    assert isinstance(listed, AllAttemptsFailed) and listed.attempts == (("openai/a", sink.error),)
    late = _listed(call, DeadlineExceeded("late"))
    assert isinstance(late, AllAttemptsFailed) and [name for name, _ in late.attempts] == ["openai/a"] * 2


class Holder:
    """An exchange that keeps its handle, as attempts do."""

    handle: object = None

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def on_sent(self) -> None: ...

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None:
        self.over.set()

    def on_error(self, error: AttemptError) -> None:
        self.over.set()


def test_an_exchange_on_a_new_connection_is_freed_without_the_garbage_collector() -> None:
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    async def scenario() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        road = with_targets(Road(targets=1), a={"base_url": f"http://127.0.0.1:{port}"})
        upstream = HttpUpstream(asyncio.get_running_loop().time)
        runtime = road.dispatcher.route("chat").targets["openai/a"]
        gc.disable()
        try:
            exchange = Holder()
            exchange.handle = upstream.send(runtime, b"POST / HTTP/1.1\r\n\r\n", exchange, 5.0)
            await asyncio.wait_for(exchange.over.wait(), 5.0)
            freed = weakref.ref(exchange)
            del exchange
            await asyncio.sleep(0)
            assert freed() is None
        finally:
            gc.enable()
            upstream.close()
            server.close()
            await server.wait_closed()
            # The server's own side of the connection hears of its end.
            await asyncio.wait_for(over.wait(), 5.0)

    asyncio.run(scenario())
