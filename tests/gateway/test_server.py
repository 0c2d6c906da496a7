"""The client's side of the road: what is refused, in which dialect, and what an answer's head says."""

from __future__ import annotations

import asyncio
import hashlib
import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from road import Road, chat_answer, chat_chunk

from trimaran.gateway.connection import Connection
from trimaran.gateway.server import HttpServer
from trimaran.ledger.ids import IdSource
from trimaran.types import KeyRecord, ModelPolicy, ServerLimits

BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hello"}]}).encode()


class Transport:
    def __init__(self) -> None:
        self.out = b""
        self.closed = False
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.out += data

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Client:
    """One connection to a server whose targets are on virtual ports."""

    def __init__(self, road: Road | None = None, **changes: object) -> None:
        self.road = road or Road()
        if changes:
            snapshot = msgspec.structs.replace(self.road.snapshot, **changes)
            self.road.dispatcher.apply(snapshot)
        self.refused: list[int] = []
        self.server = HttpServer(self.road.dispatcher, IdSource(0, 1), lambda error: self.refused.append(error.status))
        self.transport = Transport()
        self.connection: Connection = self.server()
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def post(self, body: bytes = BODY, path: bytes = b"/v1/chat/completions", **headers: str) -> None:
        lines = {"Host": "localhost:4000", "Content-Type": "application/json", **headers}
        head = b"".join(f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in lines.items())
        self.send(b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (path, head, len(body), body))

    @property
    def status(self) -> int:
        return int(self.transport.out.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.transport.out.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.transport.out.partition(b"\r\n\r\n")[2]

    @property
    def error(self) -> dict[str, object]:
        error: dict[str, object] = json.loads(self.body)["error"]
        return error


def test_an_answer_says_who_gave_it_and_what_it_cost() -> None:
    client = Client()
    client.post()
    client.road.sent().whole(
        chat_answer(),
        X_Request_Id="up-1",
        X_RateLimit_Remaining_Tokens="5",
        Set_Cookie="a=b",
        Server="x",
        Openai_Organization="o",
    )
    assert client.status == 200
    assert json.loads(client.body) == chat_answer()
    headers = client.headers
    assert headers["x-trimaran-target"] == "openai/a"
    assert headers["x-trimaran-attempts"] == "1"
    assert headers["x-trimaran-cost-usd"] == "0.000013000"
    assert headers["x-request-id"] == "up-1"
    assert headers["x-ratelimit-remaining-tokens"] == "5"
    assert len(headers["x-trimaran-request-id"]) == 32
    assert not {"set-cookie", "server", "openai-organization"} & set(headers)


def test_client_credentials_cookies_and_hop_by_hop_headers_never_travel() -> None:
    client = Client()
    client.post(
        Authorization="Bearer client-secret",
        X_Api_Key="client-secret",
        Cookie="c=client-secret",
        Openai_Organization="org-client",
        X_Forwarded_For="1.2.3.4",
        Openai_Beta="assistants=v2",
        Te="trailers",
    )
    payload = client.road.sent().payload
    assert b"client-secret" not in payload and b"org-client" not in payload and b"1.2.3.4" not in payload
    assert b"trailers" not in payload
    assert b"openai-beta: assistants=v2\r\n" in payload


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked, x\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\x00B: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_what_makes_smuggling_possible_is_refused_and_the_connection_closed(request_bytes: bytes) -> None:
    client = Client()
    client.send(request_bytes)
    assert client.status == 400
    assert client.transport.closed
    assert client.transport.out.count(b"HTTP/1.1 ") == 1
    client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.transport.out.count(b"HTTP/1.1 ") == 1


async def test_requests_in_one_piece_are_answered_one_after_the_other() -> None:
    import asyncio

    client = Client()
    one = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (
            len(BODY),
            BODY,
        )
    )
    client.send(one * 3)
    assert len(client.road.upstream.sent) == 1
    for number in range(3):
        client.road.sent(number).whole(chat_answer(f"answer {number}"))
        await asyncio.sleep(0)
    texts = [part.partition(b'"content": "')[2][:8] for part in client.transport.out.split(b"HTTP/1.1 200")[1:]]
    assert texts == [b"answer 0", b"answer 1", b"answer 2"]
    assert client.server.memory == 0


def test_too_many_waiting_requests_are_refused() -> None:
    client = Client()
    one = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (
            len(BODY),
            BODY,
        )
    )
    client.send(one * 40)
    assert len(client.road.upstream.sent) == 1
    assert client.refused == [429]
    client.road.sent().whole(chat_answer())
    assert client.transport.closed
    client.connection.connection_lost(None)
    assert client.server.memory == 0


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    client = Client(server=ServerLimits(max_body_bytes=100))
    client.send(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101\r\n\r\n")
    assert client.status == 413
    assert client.error["type"] == "request_too_large"
    assert client.transport.closed


def test_a_chunked_body_over_the_limit_is_refused_while_it_arrives() -> None:
    client = Client(server=ServerLimits(max_body_bytes=100, max_header_bytes=200))
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send((b"32\r\n" + b"x" * 50 + b"\r\n") * 20)
    assert client.status == 413 and client.transport.closed


def test_a_head_over_the_limit_is_refused_while_it_arrives() -> None:
    client = Client(server=ServerLimits(max_header_bytes=1000))
    client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
    for _ in range(30):
        if not client.transport.closed:
            client.send(b"X-Pad: " + b"a" * 50 + b"\r\n")
    assert client.status == 431 and client.transport.closed


def test_a_slow_request_is_given_up() -> None:
    client = Client(server=ServerLimits(receive_s=5))
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
    for _ in range(5):
        client.server.second()
    assert not client.transport.closed
    client.server.second()
    assert client.status == 408 and client.transport.closed


def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    client = Client(server=ServerLimits(keep_alive_s=5))
    client.post()
    for _ in range(10):
        client.server.second()
    assert not client.transport.closed
    client.road.sent().whole(chat_answer())
    for _ in range(6):
        client.server.second()
    assert client.transport.closed


KEYS = (
    KeyRecord("team-a", hashlib.sha256(b"sk-a").digest(), tenant="acme", tags=(("cost_center", "42"),)),
    KeyRecord("team-b", hashlib.sha256(b"sk-b").digest(), models=("other",)),
)


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer sk-a"}, {"X_Api_Key": "sk-a"}])
def test_a_known_key_is_recorded_with_tenant_and_tags(headers: dict[str, str]) -> None:
    client = Client(keys=KEYS, require_key=True)
    for _ in range(2):
        client.post(**headers)
        client.road.sent().whole(chat_answer())
    started = client.road.journal.started
    assert {(each.key_id, each.tenant, each.tags) for each in started} == {("team-a", "acme", '{"cost_center":"42"}')}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-x"}, {"Authorization": "sk"}, {"X_Api_Key": ""}])
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/messages"])
def test_an_unknown_key_is_refused_in_the_clients_dialect(headers: dict[str, str], path: bytes) -> None:
    client = Client(keys=KEYS, require_key=True)
    client.post(path=path, **headers)
    assert client.status == 401
    assert client.error["type"] in ("authentication_error", "invalid_request_error")
    assert ("type" in json.loads(client.body)) == (path == b"/v1/messages")
    assert b"sk-x" not in client.transport.out
    assert client.road.upstream.sent == []


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": ""}, {"x-api-key": ""}])
def test_a_client_without_a_key_is_told_to_send_one(headers: dict[str, str]) -> None:
    client = Client(keys=KEYS, require_key=True)
    client.post(**headers)
    assert client.status == 401
    assert "no API key" in str(client.error["message"])


def test_a_key_reaches_only_its_models() -> None:
    client = Client(keys=KEYS, require_key=True)
    client.post(Authorization="Bearer sk-b")
    assert client.status == 403


def test_a_revoked_key_is_gone_with_the_next_snapshot() -> None:
    client = Client(keys=KEYS, require_key=True)
    client.post(Authorization="Bearer sk-a")
    client.road.sent().whole(chat_answer())
    client.server.apply(msgspec.structs.replace(client.road.dispatcher.snapshot, keys=KEYS[1:]))
    client.transport.out = b""
    client.post(Authorization="Bearer sk-a")
    assert client.status == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4000", "localhost.evil.example", ""])
def test_a_web_page_under_its_own_name_is_refused_where_no_key_is_needed(host: str) -> None:
    client = Client()
    client.post(Host=host)
    assert client.status == 403
    assert client.road.upstream.sent == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4000", "127.0.0.1:4000", "[::1]:4000", "10.0.0.7"])
def test_localhost_and_addresses_are_answered(host: str) -> None:
    client = Client()
    client.post(Host=host)
    assert len(client.road.upstream.sent) == 1


def test_a_form_is_not_json() -> None:
    client = Client()
    client.post(Content_Type="text/plain")
    assert client.status == 415


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"X_Trimaran_Deadline_S": "nan"}, "x-trimaran-deadline-s"),
        ({"X_Trimaran_Max_Attempts": "-1"}, "x-trimaran-max-attempts"),
        ({"X_Trimaran_Max_Cost_Usd": "free"}, "x-trimaran-max-cost-usd"),
    ],
)
def test_a_senseless_limit_is_named(headers: dict[str, str], field: str) -> None:
    client = Client()
    client.post(**headers)
    assert client.status == 400 and field in str(client.error["message"])


def test_clients_tighten_limits_and_never_loosen_them() -> None:
    client = Client()
    client.post(X_Trimaran_Deadline_S="2", X_Trimaran_Max_Attempts="99")
    (call,) = client.road.dispatcher.active
    assert call.inbound.limits.deadline_s == 2
    assert call.inbound.limits.max_attempts == 4
    client.road.after(2.1)
    assert client.status == 504


def test_a_broken_stream_ends_with_an_error_event_and_no_end_marker() -> None:
    client = Client()
    client.post(json.dumps({**json.loads(BODY), "stream": True}).encode())
    sent = client.road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "ha"}))
    client.road.after(61)
    client.road.after(61)
    out = client.transport.out
    assert out.endswith(b"0\r\n\r\n") and b"[DONE]" not in out
    assert b'"error"' in out.rpartition(b"data: ")[2]
    assert client.transport.closed


def test_a_client_that_leaves_cancels_the_upstream() -> None:
    client = Client()
    client.post()
    client.connection.connection_lost(ConnectionResetError())
    assert client.road.sent().aborted
    assert client.road.journal.settled[0].status == "cancelled"
    assert client.server.memory == 0 and not client.server.connections


def test_unknown_paths_and_methods_say_what_there_is() -> None:
    client = Client()
    client.send(b"GET /v2/what HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.status == 404 and "/v1/chat/completions" in str(client.error["message"])
    client = Client()
    client.send(b"GET /v1/messages HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.status == 405
    assert json.loads(client.body)["type"] == "error"


def test_an_unknown_model_says_which_there_are() -> None:
    client = Client()
    client.post(BODY.replace(b'"chat"', b'"nope"'))
    assert client.status == 404
    assert "chat" in str(client.error["message"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"model": 3, "messages": []}',
        b'{"messages": []}',
        b'{"model": "chat", "model": "chat", "messages": []}',
        b'{"model": "chat", "m\\u006fdel": "chat", "messages": []}',
    ],
)
def test_malformed_bodies_are_the_clients_fault(body: bytes) -> None:
    client = Client()
    client.post(body)
    assert client.status == 400
    assert client.error["message"]
    assert not client.transport.closed


def test_ready_and_not_ready() -> None:
    client = Client()
    client.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.status == 200
    client = Client(models={}, targets={})
    client.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.status == 503 and b"OPENAI_API_KEY" in client.body


def test_draining_closes_idle_connections_and_finishes_the_busy_one() -> None:
    client = Client()
    client.post()
    idle = client.server()
    transport = Transport()
    idle.connection_made(transport)  # type: ignore[arg-type]
    client.server.drain()
    assert transport.closed and not client.transport.closed
    client.road.sent().whole(chat_answer())
    assert client.status == 200 and client.headers["connection"] == "close"
    assert client.transport.closed


def test_models_in_either_dialect() -> None:
    client = Client()
    client.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert [row["id"] for row in json.loads(client.body)["data"]] == ["chat"]
    client = Client()
    client.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nanthropic-version: 2023-06-01\r\n\r\n")
    assert json.loads(client.body)["data"][0]["type"] == "model"


WHOLE = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=8))
def test_any_split_of_a_request_is_the_same_request(cuts: list[int]) -> None:
    client = Client()
    edges = [0, *sorted(set(cuts)), len(WHOLE)]
    for start, end in pairwise(edges):
        assert client.road.upstream.sent == []
        client.send(WHOLE[start:end])
    assert client.road.sent().payload.endswith(BODY.replace(b'"chat"', b'"a"'))


def bent(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """``data`` with pieces replaced."""
    for at, length, piece in changes:
        at %= len(data) + 1
        data = data[:at] + piece + data[at + length :]
    return data


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 30), st.binary(max_size=20)), min_size=1, max_size=4))
def test_bent_requests_never_break_the_server(changes: list[tuple[int, int, bytes]]) -> None:
    client = Client()
    for piece in (bent(WHOLE, changes), WHOLE):
        if not client.transport.closed:
            client.send(piece)
    out = client.transport.out
    assert not out or out.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in out
    assert len(client.road.upstream.sent) <= 1
    client.connection.connection_lost(None)
    assert client.server.memory == 0
    assert not client.road.dispatcher.active


@given(st.binary(max_size=300))
def test_noise_never_breaks_the_server(noise: bytes) -> None:
    client = Client()
    client.send(noise)
    client.connection.connection_lost(None)
    assert client.server.memory == 0


def test_trailers_do_not_join_the_head_of_the_next_request() -> None:
    client = Client()
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nOpenAI-Beta: of-another\r\nx-trimaran-max-cost-usd: 0\r\n\r\n"
        % (len(BODY), BODY)
    )
    client.road.sent().whole(chat_answer())
    client.post()
    assert b"of-another" not in client.road.sent().payload
    assert len(client.road.upstream.sent) == 2


async def test_a_refusal_between_two_answers_closes_the_connection() -> None:
    client = Client()
    client.post()
    client.post()
    client.road.sent().whole(chat_answer())
    client.send(b"\x00 is no request\r\n\r\n")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.transport.closed
    assert client.server.in_flight == 0
    assert client.server.memory == 0


def test_a_client_that_does_not_read_gets_no_further_request_in() -> None:
    client = Client()
    stream = json.dumps({**json.loads(BODY), "stream": True}).encode()
    client.post()
    client.connection.pause_writing()
    assert not client.transport.reading
    client.road.sent().whole(chat_answer())
    client.post(stream)
    sent = client.road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "hi"}))
    assert sent.paused
    client.connection.resume_writing()
    assert client.transport.reading and not sent.paused


def test_a_closed_connection_whose_last_answer_is_not_read_is_dropped() -> None:
    client = Client()
    client.send(b"\x00 is no request\r\n\r\n")
    assert client.transport.closed and not client.transport.aborted
    for _ in range(int(client.server.limits.keep_alive_s) + 2):
        client.server.second()
    assert client.transport.aborted


def test_bytes_of_bodies_that_are_still_arriving_count() -> None:
    client = Client(server=ServerLimits(max_memory_bytes=1000))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    client.send(head + b"x" * 500)
    assert client.server.memory == len(head) + 500
    client.send(b"x" * 500)
    assert client.status == 429
    client.connection.connection_lost(None)
    assert client.server.memory == 0


def test_a_request_in_pieces_is_counted_once() -> None:
    client = Client()
    for start in range(0, len(BODY), 10):
        if not start:
            client.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(BODY)
            )
        client.send(BODY[start : start + 10])
    assert client.server.memory > len(BODY)
    client.road.sent().whole(chat_answer())
    assert client.server.memory == 0


def test_a_mistake_of_ours_costs_one_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("trimaran.dispatch.launch.translate", broken)
        client.post()
    assert client.status == 500
    assert "ZeroDivisionError" not in client.transport.out.decode()
    assert not client.road.dispatcher.active
    client.transport.out = b""
    client.post()
    client.road.sent().whole(chat_answer())
    assert client.status == 200


@pytest.mark.parametrize("status", [400, 500])
def test_a_provider_that_repeats_our_key_does_not_give_it_away(status: int) -> None:
    road = Road(targets=1)
    target = msgspec.structs.replace(road.snapshot.targets["openai/a"], credential="key")
    client = Client(road, targets={"openai/a": target}, secrets={"key": "sk-canary-51"})
    client.post()
    for sent in (0, 1):
        client.road.sent().whole({"error": {"message": "bad request of sk-canary-51"}}, status)
        if status == 500 and not sent:
            client.road.after(0.3)
        else:
            break
    assert client.status >= 400
    assert b"sk-canary-51" not in client.transport.out
    assert "sk-canary-51" not in str(client.road.journal.settled)


@pytest.mark.parametrize("path", [b"/v1/responses/resp_1", b"/v1/chat/completions/c1", b"/v1/nothing"])
def test_what_is_not_served_is_no_missing_model(path: bytes) -> None:
    client = Client()
    client.send(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
    assert client.status == 404
    assert client.error["code"] != "model_not_found"
    assert ("stored" in str(client.error["message"])) == (path != b"/v1/nothing")


def test_a_client_of_http_1_0_gets_its_stream_without_chunks_and_closed_at_the_end() -> None:
    client = Client()
    body = b'{"model":"chat","messages":[{"role":"user","content":"hi"}],"stream":true}'
    head = b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
    client.send(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
    sent = client.road.sent()
    sent.head()
    sent.event(chat_chunk({"content": "hi"}, "stop"))
    sent.exchange.on_data(b"data: [DONE]\n\n")
    assert client.status == 200
    assert "transfer-encoding" not in client.headers and client.headers["connection"] == "close"
    assert client.body.startswith(b"data: ") and client.body.endswith(b"data: [DONE]\n\n")
    assert client.transport.closed


def test_the_model_that_stood_in_is_named() -> None:
    road = Road()
    models = {
        "chat": ModelPolicy("chat", "ordered", ("openai/a",), fallbacks=("spare",)),
        "spare": ModelPolicy("spare", "ordered", ("openai/b",)),
    }
    client = Client(road, models=models)
    client.post()
    road.sent().whole({"error": {"message": "busy"}}, 503)
    road.sent().whole(chat_answer())
    assert client.headers["x-trimaran-model"] == "spare"
    assert client.headers["x-trimaran-target"] == "openai/b"
    client = Client(Road(), models=models)
    client.post()
    client.road.sent().whole(chat_answer())
    assert "x-trimaran-model" not in client.headers
