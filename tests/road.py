"""A dispatcher on virtual ports: time stands still until told otherwise, targets say what the test tells them to."""

from __future__ import annotations

import json

from trimaran.dispatch.call import Call
from trimaran.dispatch.dispatcher import Dispatcher
from trimaran.dispatch.inbound import Inbound
from trimaran.dispatch.memory import NoMetrics
from trimaran.dispatch.ports import Exchange
from trimaran.dispatch.runtime import Route, TargetRuntime
from trimaran.errors import TrimaranError
from trimaran.ledger.records import Settled, Started
from trimaran.types import Limits, ModelPolicy, PriceTier, Snapshot, Target, TokenPrice
from trimaran.wire import DIALECTS

PRICE = TokenPrice("test@2026-01-01", "test", "2026-01-01", (PriceTier(0, 1_000_000, 2_000_000),))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ns(self) -> int:
        return int(self.now * 1e9)


class Sent:
    """One exchange as the target's side sees it."""

    def __init__(self, target: TargetRuntime, payload: bytes, exchange: Exchange) -> None:
        self.target = target.id
        self.payload = payload
        self.exchange = exchange
        self.aborted = False
        self.paused = False

    def abort(self) -> None:
        self.aborted = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def head(self, status: int = 200, **headers: str) -> None:
        pairs = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        self.exchange.on_head(status, pairs)

    def whole(self, body: object, status: int = 200, **headers: str) -> None:
        self.head(status, **headers)
        self.exchange.on_data(json.dumps(body).encode())
        self.exchange.on_end()

    def event(self, body: object) -> None:
        self.exchange.on_data(b"data: " + json.dumps(body).encode() + b"\n\n")


class Upstream:
    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, target: TargetRuntime, payload: bytes, exchange: Exchange, connect_s: float) -> Sent:
        sent = Sent(target, payload, exchange)
        self.sent.append(sent)
        exchange.on_sent()
        return sent


class Journal:
    healthy = True

    def __init__(self) -> None:
        self.records: list[object] = []

    def append(self, record: object) -> None:
        self.records.append(record)

    @property
    def started(self) -> list[Started]:
        return [record for record in self.records if isinstance(record, Started)]

    @property
    def settled(self) -> list[Settled]:
        return [record for record in self.records if isinstance(record, Settled)]


class Sink:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.body = b""
        self.error: TrimaranError | None = None

    def answer(self, call: Call, body: bytes) -> None:
        self.log.append("answer")
        self.body = body

    def begin(self, call: Call) -> None:
        self.log.append("begin")

    def data(self, data: bytes) -> None:
        self.body += data

    def end(self, call: Call) -> None:
        self.log.append("end")

    def fail(self, call: Call, error: TrimaranError) -> None:
        self.log.append("fail")
        self.error = error


class Road:
    """A dispatcher with targets ``a``, ``b``, … tried in this order."""

    def __init__(self, targets: int = 2, price: TokenPrice | None = PRICE, dialect: str = "openai.chat") -> None:
        self.clock = Clock()
        self.upstream = Upstream()
        self.journal = Journal()
        names = [f"openai/{letter}" for letter in "abcdef"[:targets]]
        self.snapshot = Snapshot(
            version=1,
            targets={
                name: Target(
                    id=name,
                    provider="openai",
                    upstream_model=name[-1],
                    dialects=(dialect,),
                    base_url="http://127.0.0.1:1",
                    price=price,
                )
                for name in names
            },
            models={"chat": ModelPolicy("chat", "ordered", tuple(names))},
        )
        self.dispatcher = Dispatcher(
            self.snapshot,
            upstream=self.upstream,
            journal=self.journal,
            metrics=NoMetrics(),
            clock=self.clock,
            random=lambda: 0.5,
        )

    def ask(
        self,
        *,
        limits: Limits | None = None,
        dialect: str = "openai.chat",
        route: Route | None = None,
        allowances: tuple[str, ...] = (),
        **members: object,
    ) -> tuple[Call, Sink]:
        surface = DIALECTS[dialect]
        body: dict[str, object] = {"model": "chat"}
        if "input" not in members:
            body |= {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}
        envelope = surface.read(json.dumps(body | members).encode())
        route = route or self.dispatcher.route("chat")
        inbound = Inbound("r1", surface, envelope, route, limits or Limits(), "default", allowances=allowances)
        sink = Sink()
        return self.dispatcher.submit(inbound, sink), sink

    def sent(self, number: int = -1) -> Sent:
        return self.upstream.sent[number]

    @property
    def tried(self) -> list[str]:
        return [each.target[-1] for each in self.upstream.sent]

    def after(self, seconds: float) -> None:
        """Let time pass and the tick see it."""
        self.clock.now += seconds
        self.dispatcher.tick()


def chat_answer(text: str = "hi", prompt: int = 7, completion: int = 3) -> dict[str, object]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "a",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def chat_chunk(delta: dict[str, object] | None, finish: str | None = None, usage: object = None) -> dict[str, object]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk: dict[str, object] = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "a",
        "choices": choices,
    }
    return chunk if usage is None else {**chunk, "usage": usage}
