"""The library: one dispatch, on the caller's event loop. :mod:`.blocking` is its synchronous face.

It speaks ``openai.chat`` to the dispatcher, so that the library has exactly the gateway's translation, failover and
accounting.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trimaran.config import load
from trimaran.dispatch.call import Call
from trimaran.dispatch.dispatcher import TICK_S, Dispatcher, tighten
from trimaran.dispatch.http1 import HttpUpstream
from trimaran.dispatch.inbound import Inbound
from trimaran.dispatch.memory import MemoryJournal, NoMetrics
from trimaran.dispatch.result import Result
from trimaran.dispatch.snapshot import build_snapshot
from trimaran.dispatch.text import StreamText, answer_of
from trimaran.errors import (
    AllAttemptsFailed,
    AttemptError,
    DeadlineExceeded,
    InvalidRequest,
    TrimaranError,
    Unavailable,
)
from trimaran.ledger.ids import IdSource
from trimaran.ledger.ingestor import Ingestor
from trimaran.ledger.journal import JournalWriter
from trimaran.providers import Upkeep, sources_of, watches_of
from trimaran.routing import Choice, Condition
from trimaran.types import DEFAULT_TENANT, Credential, Secret, Snapshot, Usage
from trimaran.wire import DIALECTS
from trimaran.wire.events import Answer

__all__ = ["DEFAULT_MAX_TOKENS", "AsyncRouter", "Prompt", "RouterSettings", "settings_of"]

Prompt = str | Sequence[Mapping[str, Any]]
"""A question, or chat messages as ``{"role": …, "content": …}``."""

DEFAULT_MAX_TOKENS = 256
"""Enough for an answer to a question, and a bound on what a mistyped loop can cost."""

_DIALECT = DIALECTS["openai.chat"]
_T = TypeVar("_T")

MAX_BOUND = 1e9
"""The largest bound that a caller may state, in seconds or dollars; a larger one is a slip."""


class RouterSettings(msgspec.Struct, frozen=True):
    """What a router serves and whether it keeps a ledger. ``ledger`` is a folder; ``None`` keeps figures in memory only.
    ``database`` is the URL of a PostgreSQL database in place of the file in that folder."""

    snapshot: Snapshot
    ledger: Path | None = None
    database: Secret | None = None


class _Sink:
    """Collects an answer for a waiting coroutine; for streams it hands on each piece as it comes."""

    __slots__ = ("_wake", "body", "call", "error", "finished", "pieces")

    def __init__(self) -> None:
        self.body = b""
        self.pieces: list[bytes] = []
        self.error: TrimaranError | None = None
        self.finished = False
        self.call: Call | None = None
        self._wake: asyncio.Future[None] | None = None

    def answer(self, call: Call, body: bytes) -> None:
        self.body = body
        self._done(call)

    def begin(self, call: Call) -> None:
        self.call = call

    def data(self, data: bytes) -> None:
        self.pieces.append(data)
        self._signal()

    def end(self, call: Call) -> None:
        self._done(call)

    def fail(self, call: Call, error: TrimaranError) -> None:
        self.error = error
        self._done(call)

    async def wait(self) -> None:
        """Return when there is something new: a piece, the end or an error."""
        if self.pieces or self.finished:
            return
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake

    def _done(self, call: Call) -> None:
        self.call = call
        self.finished = True
        self._signal()

    def _signal(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class AsyncRouter:
    """Routes chat requests on the running event loop. Use as an async context manager, or call :meth:`close`."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings
        self._dispatcher: Dispatcher | None = None
        self._upstream: HttpUpstream | None = None
        self._writer: JournalWriter | None = None
        self._ingestor: Ingestor | None = None
        self._upkeep: Upkeep | None = None
        self._journal = MemoryJournal()
        self._ids = IdSource()
        self._beating: asyncio.TimerHandle | None = None
        """The next beat; ``None`` while nothing is under way."""

    @classmethod
    def from_config(cls, path: str | None = None, *, ledger: str | Path | None = None) -> AsyncRouter:
        """A router for a configuration file, or for the credentials in the environment when ``path`` is ``None``.

        Raises :class:`~trimaran.errors.ConfigError`.
        """
        return cls(settings_of(path, os.environ, ledger))

    async def __aenter__(self) -> AsyncRouter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def route(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        prefer_fast: bool = True,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        timeout_s: float | None = None,
        max_cost_usd: float | None = None,
        **options: Any,
    ) -> Result:
        """One whole answer.

        ``model`` is a public model; by default the only configured one, or ``auto``. ``options`` are further members of an
        OpenAI chat request (``temperature``, ``stop`` …). Raises :class:`~trimaran.errors.AllAttemptsFailed` (a
        ``RuntimeError``) when several targets failed, another :class:`~trimaran.errors.TrimaranError` otherwise.
        """
        body = self._body(prompt, model, max_tokens, stream=False, options=options)
        sink = _Sink()
        call = self._submit(body, prefer_fast, timeout_s, max_cost_usd, sink)
        try:
            await sink.wait()
        finally:
            call.cancel()
        if sink.error is not None:
            raise _listed(call, sink.error)
        return _result(call, answer_of(sink.body))

    async def stream(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        prefer_fast: bool = True,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        timeout_s: float | None = None,
        max_cost_usd: float | None = None,
        **options: Any,
    ) -> AsyncIterator[str]:
        """The answer's text piece by piece. Leaving the loop early cancels the request at the target."""
        body = self._body(prompt, model, max_tokens, stream=True, options=options)
        sink = _Sink()
        text = StreamText()
        call = self._submit(body, prefer_fast, timeout_s, max_cost_usd, sink)
        try:
            while True:
                await sink.wait()
                pieces, sink.pieces = sink.pieces, []
                for piece in pieces:
                    for delta in text.feed(piece):
                        yield delta
                if sink.error is not None:
                    raise _listed(call, sink.error)
                if sink.finished and not sink.pieces:
                    return
        finally:
            call.cancel()

    def explain(
        self, *, model: str | None = None, input_tokens: int = 100, max_tokens: int = DEFAULT_MAX_TOKENS
    ) -> list[Choice]:
        """The order in which a request of this size would be tried now, with the reasons."""
        return self._ready().explain(self._model(model), input_tokens, max_tokens)

    def stats(self) -> dict[str, dict[str, object]]:
        """Latencies (ms), errors and cost by provider, as this router has seen them."""
        return self._journal.stats()

    async def close(self) -> None:
        """Drop what is under way, close connections, finish the ledger. The router can be used again afterwards."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        if self._dispatcher is not None:
            self._dispatcher.abort(Unavailable("the router was closed before the answer was complete"))
        if self._upstream is not None:
            self._upstream.close()
        if self._writer is not None:
            self._writer.close()
        if self._upkeep is not None:
            self._upkeep.stop()
        if self._ingestor is not None:
            await _off_the_loop(self._ingestor.stop)
        self._dispatcher = self._upstream = self._writer = self._ingestor = self._upkeep = None
        await asyncio.sleep(0)

    # inside

    def _ready(self) -> Dispatcher:
        if self._dispatcher is None:
            loop = asyncio.get_running_loop()
            folder = self._settings.ledger
            if folder is not None:
                self._writer = JournalWriter(folder / "journal", f"library-{os.getpid()}")
                self._journal = MemoryJournal(self._writer)
                self._ingestor = Ingestor(self._settings.database or folder / "ledger.sqlite3", folder / "journal")
                self._ingestor.start()
            self._upstream = HttpUpstream(loop.time)
            self._dispatcher = Dispatcher(
                self._settings.snapshot,
                upstream=self._upstream,
                journal=self._journal,
                metrics=NoMetrics(),
                renew=self._renew,
            )
            self._keep_up(self._dispatcher, loop)
        return self._dispatcher

    def _keep_up(self, dispatcher: Dispatcher, loop: asyncio.AbstractEventLoop) -> None:
        """Credentials that expire are renewed on a thread of their own, which starts where there are any."""
        snapshot, renewals = self._settings.snapshot, dispatcher.renewals
        if not snapshot.identities:
            return
        watches = watches_of(snapshot)

        def on_credential(name: str, credential: Credential) -> None:
            loop.call_soon_threadsafe(lambda: renewals.on_credential(name, credential, dispatcher.now()))

        def on_condition(key: str, level: str, reason: str) -> None:
            condition = Condition(key, level, reason)
            loop.call_soon_threadsafe(lambda: renewals.on_condition(condition, dispatcher.now()))

        self._upkeep = Upkeep(on_credential, on_condition)
        self._upkeep.follow(sources_of(snapshot), watches)

    def _renew(self, name: str) -> None:
        if self._upkeep is not None:
            self._upkeep.renew(name)

    def _model(self, model: str | None) -> str:
        if model is not None:
            return model
        models, wildcards = self._settings.snapshot.models, self._settings.snapshot.wildcards
        if not models and wildcards:
            raise InvalidRequest(
                f"{' and '.join(wildcards)} can be asked, but without a default model; name one: "
                f"route(..., model='{next(iter(wildcards))}/...')",
                field="model",
            )
        return next(iter(models)) if len(models) == 1 else "auto"

    def _body(
        self, prompt: Prompt, model: str | None, max_tokens: int, *, stream: bool, options: Mapping[str, Any]
    ) -> bytes:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not messages:
            raise InvalidRequest("there is nothing to ask: give a prompt or at least one message", field="messages")
        if "stream" in options:
            raise InvalidRequest("call route() for a whole answer and stream() for its pieces", field="stream")
        limit = {} if "max_completion_tokens" in options else {"max_tokens": max_tokens}
        members = {"model": self._model(model), "messages": messages, "stream": stream, **limit, **options}
        try:
            return msgspec.json.encode(members)
        except TypeError as error:
            raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error

    def _submit(
        self, body: bytes, prefer_fast: bool, timeout_s: float | None, max_cost_usd: float | None, sink: _Sink
    ) -> Call:
        dispatcher = self._ready()
        envelope = _DIALECT.read(body)
        route = dispatcher.route(envelope.model)
        strategy = "fastest" if prefer_fast else "ordered"
        if route.policy.strategy == "fastest" and strategy != "fastest":
            route = route.by_strategy(strategy)
        cap = _positive("max_cost_usd", max_cost_usd)
        limits = tighten(
            route.limits,
            deadline_s=_positive("timeout_s", timeout_s),
            max_cost_nanos=None if cap is None else int(cap * 1e9),
        )
        request_id = self._ids.next(dispatcher.clock.wall_ns() // 1_000_000)
        call = dispatcher.submit(Inbound(request_id, _DIALECT, envelope, route, limits, DEFAULT_TENANT), sink)
        if self._beating is None:
            self._beating = asyncio.get_running_loop().call_later(TICK_S, self._beat)
        return call

    def _beat(self) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None or not (dispatcher.active or dispatcher.lingering):
            self._beating = None
            return
        dispatcher.tick()
        if self._upstream is not None:
            self._upstream.prune()
        if self._writer is not None:
            self._writer.prepare()
        self._beating = asyncio.get_running_loop().call_later(TICK_S, self._beat)


def _positive(name: str, value: object) -> float | None:
    """``value`` as a number above 0. Raises :class:`InvalidRequest`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_BOUND:
        raise InvalidRequest(f"{name} must be a positive number, not {value!r}", field=name)
    return float(value)


def settings_of(path: str | None, environ: Mapping[str, str], ledger: str | Path | None) -> RouterSettings:
    """What a router does by a configuration file, or by the environment alone. Raises :class:`ConfigError`."""
    config = load(path, environ)
    return RouterSettings(build_snapshot(config, environ, version=1), None if ledger is None else Path(ledger))


async def _off_the_loop(stop: Callable[[], None]) -> None:
    """Let it take its time; unless the program is ending: then no thread can be had any more, and nobody else waits."""
    try:
        await asyncio.to_thread(stop)
    except RuntimeError:
        stop()


def _listed(call: Call, error: TrimaranError) -> TrimaranError:
    """What ended attempts, as the list of all of them: callers see which targets it was, and one class for all failures."""
    attempts = [*call.errors]
    if not isinstance(error, AttemptError | DeadlineExceeded) or (call.attempt is None and not attempts):
        return error
    if not attempts or attempts[-1][1] is not error:
        # Without an attempt the request was waiting to ask the last one again.
        attempts.append((call.attempt.runtime.id if call.attempt is not None else attempts[-1][0], error))
    return AllAttemptsFailed(attempts)


def _result(call: Call, answer: Answer) -> Result:
    attempt = call.attempt
    assert attempt is not None
    ttft_s = attempt.ttft_s
    return Result(
        request_id=call.inbound.request_id,
        model=answer.model or attempt.runtime.target.upstream_model,
        provider=attempt.runtime.target.provider,
        target=attempt.runtime.id,
        response=answer.text,
        finish_reason=answer.finish_reason,
        latency_ms=round((call.now() - call.started_s) * 1000, 1),
        ttft_ms=None if ttft_s is None else round(ttft_s * 1000, 1),
        usage=attempt.usage or Usage(),
        cost_nanos=call.cost_nanos,
        attempts=call.attempts,
        reason=attempt.choice.reason,
    )
