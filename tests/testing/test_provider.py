"""The server around the answers: connections, credentials, behaviours by scope, log, life cycle."""

from __future__ import annotations

import asyncio
import json

import pytest

from trimaran.testing import Behaviour, SimulatedProvider

DIALECTS = ("openai.chat", "anthropic.messages")
both_dialects = pytest.mark.parametrize("dialect", DIALECTS)


def wire(dialect, **fields):
    """The bytes of one request."""
    fields = {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello"}], **fields}
    body = json.dumps(fields)
    path = "/v1/messages" if dialect == "anthropic.messages" else "/v1/chat/completions"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nanthropic-version: 2023-06-01\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


@both_dialects
async def test_about_twenty_headers_say_who_answers_and_that_it_is_simulated(ask, dialect):
    async with SimulatedProvider() as provider:
        raw = await ask(provider, dialect)
    assert raw.header("x-simulated") == f"trimaran {dialect}"
    assert raw.header("x-request-id" if dialect == "openai.chat" else "request-id").startswith("req_simulated")
    assert 18 <= len(raw.headers) <= 24
    assert raw.header("set-cookie")


@both_dialects
async def test_a_stream_is_chunked_and_says_so(ask, dialect):
    async with SimulatedProvider() as provider:
        raw = await ask(provider, dialect, stream=True)
    assert raw.header("transfer-encoding") == "chunked"
    assert raw.header("content-type").startswith("text/event-stream")
    assert raw.header("content-length") is None


@pytest.mark.parametrize(
    ("dialect", "headers", "status"),
    [
        ("openai.chat", {}, 401),
        ("openai.chat", {"x-api-key": "good"}, 401),
        ("openai.chat", {"authorization": "Basic good"}, 401),
        ("openai.chat", {"authorization": "Bearer bad"}, 401),
        ("openai.chat", {"authorization": "Bearer good"}, 200),
        ("anthropic.messages", {"anthropic-version": "2023-06-01"}, 401),
        ("anthropic.messages", {"x-api-key": "bad", "anthropic-version": "2023-06-01"}, 401),
        ("anthropic.messages", {"x-api-key": "good"}, 400),
        ("anthropic.messages", {"x-api-key": "good", "anthropic-version": "2023-06-01"}, 200),
        ("anthropic.messages", {"authorization": "Bearer good", "anthropic-version": "2026-10-21"}, 200),
    ],
)
async def test_credentials(ask, dialect, headers, status):
    async with SimulatedProvider(keys=["good"]) as provider:
        raw = await ask(provider, dialect, headers=headers)
        assert raw.status == status
        assert provider.log[-1].outcome == ("completed" if status == 200 else "refused")
    if status != 200:
        assert set(raw.json()) >= ({"error"} if dialect == "openai.chat" else {"type", "error", "request_id"})
        assert "good" not in raw.body.decode()


@both_dialects
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"body": b"{"}, 400),
        ({"body": b"[]"}, 400),
        ({"messages": []}, 400),
        ({"messages": "Hello"}, 400),
        ({"messages": [{"role": "pirate", "content": "x"}]}, 400),
        ({"model": "missing-model"}, 404),
        ({"path": "/v1/nothing"}, 404),
        ({"method": "GET"}, 404),
    ],
)
async def test_what_is_wrong_is_refused_in_the_dialect(ask, dialect, fields, status):
    async with SimulatedProvider() as provider:
        raw = await ask(provider, dialect, **fields)
        assert (raw.status, raw.end, provider.log[-1].outcome) == (status, "complete", "refused")
        assert raw.json()["error"]["message"]


async def test_what_only_one_dialect_wants(ask):
    async with SimulatedProvider() as provider:
        assert (await ask(provider, "openai.chat", n=2)).json()["error"]["param"] == "n"
        no_limit = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        raw = await ask(provider, "anthropic.messages", body=json.dumps(no_limit).encode())
        assert raw.json()["error"] == {"type": "invalid_request_error", "message": "max_tokens: Field required"}
        assert (await ask(provider, "anthropic.messages", max_tokens=0)).status == 400


@pytest.mark.parametrize(("version", "status"), [("2023-06-01", 200), ("2026-10-21", 400)])
@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
async def test_sampling_parameters_depend_on_the_api_version(ask, version, status, field):
    headers = {"x-api-key": "k", "anthropic-version": version}
    async with SimulatedProvider() as provider:
        assert (await ask(provider, "anthropic.messages", headers=headers, **{field: 1})).status == status


async def test_a_prompt_over_the_context_is_refused_as_the_vendor_does(ask):
    async with SimulatedProvider(Behaviour(context_tokens=5)) as provider:
        openai = (await ask(provider, "openai.chat")).json()["error"]
        anthropic = (await ask(provider, "anthropic.messages")).json()["error"]
    assert openai["code"] == "context_length_exceeded"
    assert openai["message"].startswith("This model's maximum context length is 5 tokens")
    assert anthropic["message"].startswith("prompt is too long: ")


async def test_models_can_be_limited_and_listed(ask):
    async with SimulatedProvider(models=["a", "b"]) as provider:
        assert [(await ask(provider, model=name)).status for name in ("a", "c")] == [200, 404]
        raw = await ask(provider, method="GET", path="/v1/models", headers={"authorization": "Bearer k"})
        assert [row["id"] for row in raw.json()["data"]] == ["a", "b"]
        raw = await ask(provider, method="GET", path="/v1/models/b")
        assert (raw.json()["type"], raw.json()["id"]) == ("model", "b")
        assert (await ask(provider, method="GET", path="/v1/models/c")).status == 404


async def test_behaviours_go_by_model_then_dialect_then_default(ask):
    rows = {"openai.chat": Behaviour(text="by dialect"), "special": Behaviour(text="by model")}
    async with SimulatedProvider(Behaviour(text="default"), behaviours=rows) as provider:

        async def text(dialect, model="m"):
            answer = (await ask(provider, dialect, model=model)).json()
            return answer["choices"][0]["message"]["content"] if "choices" in answer else answer["content"][0]["text"]

        assert await text("openai.chat") == "by dialect"
        assert await text("anthropic.messages") == "default"
        assert await text("anthropic.messages", "special") == await text("openai.chat", "special") == "by model"
        provider.set_behaviour(Behaviour(text="changed"), "special")
        assert await text("openai.chat", "special") == "changed"
        provider.behaviour = Behaviour(text="all")
        assert {await text(dialect, "special") for dialect in DIALECTS} == {"all"}


async def test_one_connection_serves_many_requests_and_pipelined_ones_in_order(ask):
    async with SimulatedProvider(behaviours={"slow": Behaviour(ttft_s=0.005)}) as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        asked = ["slow", "a", "slow", "b", "c"]
        writer.write(b"".join(wire("openai.chat", model=model) for model in asked))
        models = []
        while len(models) < len(asked):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            models.append(json.loads(await reader.readexactly(length))["model"])
        assert models == asked
        assert (provider.connections, provider.connections_total) == (1, 1)
        writer.close()
        await provider.until(lambda p: p.connections == 0)


@pytest.mark.parametrize("junk", [b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\nhost x\r\n\r\n", b"\x16\x03\x01\x02\x00"])
async def test_junk_gets_a_400_and_the_door(junk):
    async with SimulatedProvider() as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(junk)
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_expect_100_continue_is_answered():
    async with SimulatedProvider() as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        head, body = wire("openai.chat").split(b"\r\n\r\n")
        writer.write(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


@both_dialects
async def test_a_client_that_leaves_is_seen_at_once(dialect):
    async with SimulatedProvider(Behaviour(output_tokens=10_000, tpot_s=0.002)) as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(wire(dialect, stream=True, max_tokens=20_000))
        await provider.until(lambda p: len(p.log) == 1)
        while provider.log[0].tokens_sent < 3:
            assert await reader.read(1000)
        writer.close()
        await provider.until(lambda p: p.log[0].outcome == "cancelled")
        row = provider.log[0]
        assert 3 <= row.tokens_sent < 1000
        assert row.first_token_at_s < row.ended_at_s


async def test_a_client_that_does_not_read_holds_the_answer_back(ask):
    async with SimulatedProvider(Behaviour(output_tokens=200_000, tpot_s=1e-6, text=None)) as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port, limit=1024)
        writer.write(wire("openai.chat", stream=True, max_tokens=None))
        await provider.until(lambda p: len(p.log) == 1)
        last, still = -1, 0
        while still < 20:
            await asyncio.sleep(0.001)
            still = still + 1 if provider.log[0].tokens_sent == last else 0
            last = provider.log[0].tokens_sent
        assert 0 < last < 200_000
        got = 0
        while provider.log[0].outcome == "open":
            got += len(await reader.read(1 << 20))
        assert provider.log[0].tokens_sent == 200_000
        writer.transport.abort()


async def test_the_log_keeps_what_arrived_and_shows_no_secret(ask):
    async with SimulatedProvider(log_limit=10) as provider:
        await ask(provider, metadata={"a": "b"})
        row = provider.log[-1]
        assert (row.json()["metadata"], row.header("authorization"), row.model) == ({"a": "b"}, "Bearer sk-test", "m")
        assert "sk-test" not in repr(row) + json.dumps(row.public()) + repr(provider.log)
        assert "Hello" not in repr(row) + json.dumps(row.public())
        for _ in range(15):
            await ask(provider)
        assert len(provider.log) <= 10
        assert (provider.log.total, provider.log[-1].n) == (16, 16)
        provider.log.clear()
        assert len(provider.log) == 0


async def test_bodies_need_not_be_kept(ask):
    async with SimulatedProvider(keep_bodies=False) as provider:
        assert (await ask(provider)).status == 200
        assert provider.log[-1].body == b""


async def test_it_can_go_away_and_come_back_on_its_port(ask):
    provider = SimulatedProvider()
    await provider.start()
    port = provider.port
    _, writer = await asyncio.open_connection(provider.host, port)
    await provider.until(lambda p: p.connections == 1)
    await provider.close()
    assert provider.connections == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(provider.host, port)
    writer.close()
    await provider.start()
    assert provider.port == port
    assert (await ask(provider)).status == 200
    await provider.close()
    await provider.close()


async def test_closing_with_grace_finishes_what_is_open(ask):
    provider = SimulatedProvider(Behaviour(ttft_s=0.02))
    await provider.start()
    asked = asyncio.ensure_future(ask(provider, patience_s=2))
    await provider.until(lambda p: p.open_requests == 1)
    await provider.close(grace_s=2)
    assert (await asked).status == 200


async def test_dropped_connections_are_open_ones_only():
    async with SimulatedProvider() as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        await provider.until(lambda p: p.connections == 1)
        provider.drop_connections()
        assert await reader.read() == b""
        assert provider.connections == 0
        writer.close()


def test_in_a_thread(ask):
    with SimulatedProvider(Behaviour(text="hi")).in_thread() as provider:
        assert asyncio.run(ask(provider)).json()["choices"][0]["message"]["content"] == "hi"
        provider.behaviour = Behaviour(fault="reset")
        assert asyncio.run(ask(provider)).end == "reset"
        provider.wait_until(lambda p: p.connections == 0)
        with pytest.raises(TimeoutError, match="last requests"):
            provider.wait_until(lambda p: False, timeout_s=0.01)
    with pytest.raises(ConnectionError):
        asyncio.run(ask(provider))


def test_a_taken_port_is_an_os_error():
    with SimulatedProvider().in_thread() as provider:
        second = SimulatedProvider(port=provider.port)
        with pytest.raises(OSError, match="in use"), second.in_thread():
            pass
