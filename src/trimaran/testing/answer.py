"""Plays one reply against the clock, and lets the injected fault happen at its moment.

A callback state machine: one timer at a time, no task. All content that is due goes out in one write, so a late loop
catches up instead of drifting: the n-th token's time is fixed when the answer starts.

Before the first content a stream sends its head and its pre-content events at once, as Anthropic does. A fault that is
placed ``after_tokens`` happens when the next token would be due.
"""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import msgspec

from trimaran.testing.behaviour import Behaviour, Fault
from trimaran.testing.connection import Connection
from trimaran.testing.dialect import AnswerWriter, Dialect, frame
from trimaran.testing.exchange import Refusal, Reply
from trimaran.testing.log import LoggedRequest, Outcome, RequestLog

__all__ = ["Answer", "Fate", "draw"]

_LAST_CHUNK = b"0\r\n\r\n"
_EARLY_S = 0.001
"""Timers of a loop have millisecond resolution: a token this close is due."""
_Step = Literal["later", "held", "cut", "completed", "faulted"]
_PLACED: tuple[Fault, ...] = ("cut", "stall", "malformed_chunk", "in_band_error")


class Fate(msgspec.Struct):
    """What chance decided for one request."""

    fault: Fault
    generator: random.Random | None
    """``None`` without jitter."""
    sigma: float

    def factor(self) -> float:
        """The next lognormal factor."""
        return 1.0 if self.generator is None else self.generator.lognormvariate(0.0, self.sigma)


def draw(behaviour: Behaviour, seed: int, scope: str, n: int, since_set: int) -> Fate:
    """The fate of a scope's ``n``-th request, the ``since_set``-th (from 0) under this behaviour."""
    fault = behaviour.fault
    if behaviour.fault_count is not None and since_set >= behaviour.fault_count:
        fault = "none"
    chance = fault != "none" and behaviour.fault_probability < 1
    if not chance and not behaviour.jitter:
        return Fate(fault, None, 0.0)
    generator = random.Random(f"{seed}/{scope}/{n}")
    if chance and generator.random() >= behaviour.fault_probability:
        fault = "none"
    return Fate(fault, generator if behaviour.jitter else None, behaviour.jitter)


class Answer:
    """One request being answered."""

    __slots__ = (
        "_behaviour",
        "_connection",
        "_dialect",
        "_due",
        "_fate",
        "_keep_alive",
        "_log",
        "_loop",
        "_paused",
        "_reply",
        "_request_id",
        "_row",
        "_sent",
        "_timer",
        "_writer",
    )

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        dialect: Dialect,
        behaviour: Behaviour,
        fate: Fate,
        reply: Reply,
        writer: AnswerWriter,
        request_id: str,
        keep_alive: bool,
        row: LoggedRequest,
        log: RequestLog,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._dialect = dialect
        self._behaviour = behaviour
        self._fate = fate
        self._reply = reply
        self._writer = writer
        self._request_id = request_id
        self._keep_alive = keep_alive
        self._row = row
        self._log = log
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._sent = 0
        self._due = 0.0

    def start(self) -> None:
        """Begin; an answer without any wait is complete when this returns."""
        fault, behaviour = self._fate.fault, self._behaviour
        self._row.fault = fault
        if fault == "silence":
            return
        if fault in ("status", "reset"):
            act = self._fail if fault == "status" else self._reset
            if behaviour.delay_s:
                self._timer = self._loop.call_later(behaviour.delay_s, act)
            else:
                act()
            return
        wait = behaviour.ttft_s * self._fate.factor() if behaviour.ttft_s else 0.0
        if fault == "slow_first_token":
            wait += behaviour.delay_s
        if self._row.stream:
            self._start_stream(wait)
        else:
            self._start_unary(wait)

    # Exchange

    def client_left(self) -> None:
        """The client closed the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._log.end(self._row, "cancelled", self._loop.time())

    def pause(self) -> None:
        """Hold further content back."""
        self._paused = True

    def resume(self) -> None:
        """Send what became due meanwhile."""
        self._paused = False
        if self._row.stream and self._timer is None and self._due:
            self._tick()

    # Faults before any answer

    def _fail(self) -> None:
        behaviour = self._behaviour
        refusal = self._dialect.fault(behaviour.status, behaviour.error_code, behaviour.error_message)
        refusal.retry_after_s = behaviour.retry_after_s
        body = self._dialect.refusal(refusal, self._request_id)
        self._row.status = behaviour.status
        head = self._dialect.head.write(
            behaviour.status,
            self._request_id,
            length=len(body),
            retry_after_s=behaviour.retry_after_s,
            lines=refusal.lines,
        )
        self._connection.transport.write(head + body)
        self._end("faulted")

    def _reset(self) -> None:
        self._log.end(self._row, "faulted", self._loop.time())
        self._connection.reset()

    # Unary

    def _start_unary(self, wait: float) -> None:
        if self._fate.fault == "headers_then_silence":
            self._write_head(200, len(self._writer.unary()), 0)
            return
        tpot_s = self._behaviour.tpot_s
        if tpot_s and self._reply.pieces:
            further = len(self._reply.pieces) - 1
            if self._fate.generator is None:
                wait += tpot_s * further
            else:
                wait += sum(tpot_s * self._fate.factor() for _ in range(further))
        if wait > 0:
            self._timer = self._loop.call_later(wait, self._send_unary, wait)
        else:
            self._send_unary(0.0)

    def _send_unary(self, took_s: float) -> None:
        fault = self._fate.fault
        body = self._writer.unary()
        if fault == "in_band_error":
            body = self._writer.unary_error(self._in_band())
        elif fault == "malformed_chunk":
            body = body[: len(body) * 2 // 3]
        took_ms, writer = int(took_s * 1000), self._writer
        head = self._dialect.head.write(
            200,
            self._request_id,
            length=len(body),
            processing_ms=took_ms,
            content_type=writer.content_type,
            lines=writer.lines(took_ms),
        )
        row = self._row
        row.status = 200
        row.first_token_at_s = self._loop.time()
        if fault in ("cut", "stall"):
            self._connection.transport.write(head + body[: len(body) // 2])
            if fault == "cut":
                self._cut()
            return
        self._connection.transport.write(head + body)
        if fault != "in_band_error":
            row.tokens_sent = len(self._reply.pieces)
        self._end("faulted" if fault in ("in_band_error", "malformed_chunk") else "completed")

    # Stream

    def _start_stream(self, wait: float) -> None:
        self._write_head(200, None, int(wait * 1000))
        if self._fate.fault == "headers_then_silence":
            return
        if opening := self._writer.opening():
            self._connection.transport.write(frame(opening))
        self._due = self._loop.time() + wait
        if wait > 0:
            self._timer = self._loop.call_at(self._due, self._tick)
        else:
            self._tick()

    def _tick(self) -> None:
        """Send all that is due."""
        self._timer = None
        if self._paused:
            return
        parts: list[bytes] = []
        step = self._collect(parts, self._loop.time() + _EARLY_S)
        if parts:
            self._connection.transport.write(b"".join(parts))
        if step == "later":
            self._timer = self._loop.call_at(self._due, self._tick)
        elif step == "cut":
            self._cut()
        elif step != "held":
            self._end(step)

    def _collect(self, parts: list[bytes], now: float) -> _Step:
        """Gather what is due and say what comes after it."""
        pieces, tpot_s, fate = self._reply.pieces, self._behaviour.tpot_s, self._fate
        writer, row, sent = self._writer, self._row, self._sent
        count = len(pieces)
        stop_at = min(self._behaviour.after_tokens, count) if fate.fault in _PLACED else -1
        try:
            while True:
                if sent < count and self._due > now:
                    return "later"
                if sent == stop_at and fate.fault != "none" and (step := self._happen(parts, sent)) is not None:
                    return step
                if sent == count:
                    break
                if not sent:
                    row.first_token_at_s = self._loop.time()
                if data := writer.piece(pieces[sent]):
                    parts.append(frame(data))
                sent += 1
                self._due += tpot_s if fate.generator is None else tpot_s * fate.factor()
        finally:
            self._sent = row.tokens_sent = sent
        if closing := writer.closing(end_marker=fate.fault not in ("missing_end_marker", "open_end")):
            parts.append(frame(closing))
        if fate.fault == "open_end":
            return "held"
        parts.append(_LAST_CHUNK)
        return "faulted" if row.fault in ("missing_end_marker", "malformed_chunk") else "completed"

    def _happen(self, parts: list[bytes], sent: int) -> _Step | None:
        """The placed fault, after ``sent`` tokens. ``None`` when the stream goes on."""
        fault = self._fate.fault
        if fault == "stall":
            return "held"
        if fault == "cut":
            if self._behaviour.cut_inside:
                parts.append(self._half(sent))
            return "cut"
        if fault == "in_band_error":
            event = self._writer.error(self._in_band(), bare=self._behaviour.bare_error_event)
            parts += (frame(event), _LAST_CHUNK)
            return "faulted"
        parts.append(frame(self._writer.malformed()))
        self._fate.fault = "none"
        return None

    def _half(self, sent: int) -> bytes:
        """The first half of what comes next; the transfer coding promises all of it."""
        pieces = self._reply.pieces
        data = self._writer.piece(pieces[sent]) if sent < len(pieces) else self._writer.closing(end_marker=True)
        whole = frame(data)
        return whole[: len(whole) - len(data) // 2 - 2]

    def _in_band(self) -> Refusal:
        behaviour = self._behaviour
        status = 529 if self._dialect.name == "anthropic.messages" else 500
        return self._dialect.fault(status, behaviour.error_code, behaviour.error_message)

    # Endings

    def _write_head(self, status: int, length: int | None, processing_ms: int) -> None:
        self._row.status = status
        self._connection.transport.write(
            self._dialect.head.write(
                status,
                self._request_id,
                length=length,
                stream=length is None,
                processing_ms=processing_ms,
                content_type=self._writer.content_type,
                lines=self._writer.lines(processing_ms),
            )
        )

    def _cut(self) -> None:
        self._log.end(self._row, "faulted", self._loop.time())
        self._connection.cut()

    def _end(self, outcome: Outcome) -> None:
        self._log.end(self._row, outcome, self._loop.time())
        self._connection.done(self._keep_alive)
