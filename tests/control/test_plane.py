"""The plane's framing (any split, any damage) and its asyncio shell."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimaran.dispatch.plane import (
    Apply,
    Ask,
    Conditions,
    Denied,
    Drain,
    Drained,
    Framer,
    Grant,
    Hello,
    Message,
    PlaneError,
    PlaneProtocol,
    Ready,
    Recall,
    Refused,
    Renew,
    Renewed,
    Report,
    Returned,
    Shared,
    attach,
    encode,
)
from trimaran.routing import Condition
from trimaran.telemetry.metrics import RoadMetrics, Totals
from trimaran.types import Credential, KeyRecord, ModelPolicy, PriceTier, Snapshot, Target, TokenPrice

counts = st.integers(min_value=0, max_value=2**53)
payloads = st.dictionaries(st.text(max_size=8), st.integers(-(2**31), 2**31) | st.text(max_size=8), max_size=4)
totals = st.builds(
    Totals, st.just([]), st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), counts), max_size=3)
)
snapshots = st.builds(
    Snapshot,
    version=counts,
    targets=st.dictionaries(
        st.text(max_size=8),
        st.builds(
            Target,
            id=st.text(max_size=8),
            provider=st.text(max_size=8),
            upstream_model=st.text(max_size=8),
            dialects=st.just(("openai.chat",)),
            base_url=st.just("http://127.0.0.1:1"),
            price=st.none()
            | st.builds(
                TokenPrice,
                version=st.text(max_size=8),
                source=st.text(max_size=8),
                as_of=st.text(max_size=8),
                tiers=st.lists(st.builds(PriceTier, counts, counts, counts), max_size=2).map(tuple),
            ),
        ),
        max_size=2,
    ),
    models=st.dictionaries(
        st.text(max_size=8),
        st.builds(ModelPolicy, st.text(max_size=8), st.just("fastest"), st.lists(st.text(max_size=8)).map(tuple)),
        max_size=2,
    ),
    secrets=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=2),
    keys=st.lists(st.builds(KeyRecord, st.text(max_size=8), st.binary(min_size=32, max_size=32)), max_size=2).map(
        tuple
    ),
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, counts, counts, st.text(max_size=8), st.text(max_size=8)),
    st.builds(Renew, st.text(max_size=8)),
    st.builds(
        Renewed,
        st.text(max_size=8),
        st.builds(
            Credential,
            st.lists(st.text(max_size=8), max_size=3).map(tuple),
            st.none() | counts,
            st.text(max_size=8),
        ),
    ),
    st.builds(
        Conditions,
        st.lists(st.builds(Condition, st.text(max_size=8), st.text(max_size=8), st.text(max_size=8)), max_size=2),
    ),
    st.builds(Ask, st.text(max_size=8), counts, counts, counts),
    st.builds(Returned, st.text(max_size=8), counts, st.integers(-(2**53), 2**53), counts, counts),
    st.builds(Grant, st.text(max_size=8), counts, counts, counts),
    st.builds(Denied, st.text(max_size=8), counts, counts),
    st.builds(Recall, st.text(max_size=8), counts, counts),
    st.builds(Ready, counts),
    st.builds(Refused, counts, st.text(max_size=40)),
    st.builds(
        Report,
        counts,
        st.none() | totals,
        payloads,
        counts,
        st.lists(st.tuples(st.text(max_size=8), counts, counts), max_size=2),
    ),
    st.just(Drained()),
    st.builds(Apply, snapshots),
    st.builds(Shared, counts, payloads),
    st.builds(Drain, st.floats(0, 1e6)),
)


@given(st.lists(messages, max_size=5), st.randoms(use_true_random=False))
def test_any_messages_survive_any_split(sent: list[Message], random: object) -> None:
    stream = b"".join(encode(message) for message in sent)
    framer, received, start = Framer(), [], 0
    while start < len(stream):
        end = start + random.randint(1, 40)  # type: ignore[attr-defined]
        received += framer.feed(stream[start:end])
        start = end
    assert received == sent


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waits_and_nothing_else(noise: bytes) -> None:
    framer = Framer(max_frame_bytes=1000)
    try:
        assert all(isinstance(message, Message) for message in framer.feed(noise))
    except PlaneError as error:
        said = str(error)
    else:
        said = "not a message"
    assert "limit" in said or "not a message" in said


def test_a_frame_over_the_limit_is_refused_by_its_length_alone() -> None:
    with pytest.raises(PlaneError, match="over the limit"):
        Framer(max_frame_bytes=10).feed((11).to_bytes(4, "big"))


def test_a_message_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimaran.dispatch.plane.MAX_FRAME_BYTES", 10)
    with pytest.raises(PlaneError, match="Refused"):
        encode(Refused(1, "x" * 100))


def test_neither_repr_nor_error_shows_a_snapshots_secrets() -> None:
    apply = Apply(Snapshot(version=1, secrets={"openai": "sk-very-secret"}))
    assert "sk-very-secret" not in repr(apply)
    damaged = bytearray(encode(apply))
    damaged[damaged.index(b"sk-very-secret")] = 0xFF
    with pytest.raises(PlaneError) as caught:
        Framer().feed(bytes(damaged))
    assert "very-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def pair(
    on_message: Callable[[Message], None], on_closed: Callable[[Exception | None], None]
) -> tuple[PlaneProtocol, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    protocol = PlaneProtocol(on_message, on_closed)
    await attach(ours, protocol)
    theirs.setblocking(False)
    return protocol, theirs


async def test_both_directions_and_an_orderly_end() -> None:
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    plane, peer = await pair(inbox.put_nowait, closed.set_result)
    loop = asyncio.get_running_loop()
    with peer:
        await loop.sock_sendall(peer, encode(Hello(3, 99)) + encode(Ready(1)))
        assert [await inbox.get(), await inbox.get()] == [Hello(3, 99), Ready(1)]
        plane.send(Drain(2.5))
        assert Framer().feed(await loop.sock_recv(peer, 1000)) == [Drain(2.5)]
        assert plane.open
    assert await closed is None
    assert not plane.open
    plane.send(Drained())  # nobody there: no error


async def test_a_damaged_frame_closes_the_plane_with_the_reason() -> None:
    closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    _, peer = await pair(lambda _: None, closed.set_result)
    with peer:
        await asyncio.get_running_loop().sock_sendall(peer, b"\x00\x00\x00\x01\xc1")
        assert isinstance(await closed, PlaneError)


async def test_a_peer_that_does_not_read_shows_as_congestion() -> None:
    plane, peer = await pair(lambda _: None, lambda _: None)
    with peer:
        assert not plane.congested
        frame = encode(Shared(0, {"x": "y" * 500_000}))
        for _ in range(5):
            plane.send_frame(frame)
        assert plane.congested
        plane.close()


def test_a_report_carries_road_metrics() -> None:
    metrics = RoadMetrics(Snapshot(version=1))
    metrics.observe("", "", 401, False, None, 0.0, 0, 0, 0)
    (report,) = Framer().feed(encode(Report(0, metrics.export(), {}, 1)))
    assert isinstance(report, Report)
    assert report.metrics == metrics.export()
