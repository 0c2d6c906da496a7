"""One try of one request at one target: what has arrived of its answer, and which limit it has overrun.

An attempt hears from its upstream connection and tells its :class:`~trimaran.dispatch.call.Call`, which alone decides
what comes next.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from trimaran.errors import (
    AttemptError,
    ConnectFailed,
    ConnectionReset,
    MalformedAnswer,
    NoFirstToken,
    StreamCut,
    StreamStalled,
)
from trimaran.providers import Door, Unwrapper
from trimaran.types import Limits, Usage
from trimaran.wire import StreamRelay, Translation

if TYPE_CHECKING:
    from trimaran.dispatch.call import Call
    from trimaran.dispatch.ports import Handle
    from trimaran.dispatch.purse import Hold
    from trimaran.dispatch.runtime import TargetRuntime
    from trimaran.routing import Choice

__all__ = ["REASONING_PATIENCE", "Attempt"]

_LOG = logging.getLogger("trimaran.dispatch")

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The largest answer that is held whole (unary, or an error's body). Images in base64 stay well below it."""

REASONING_PATIENCE = 4.0
"""A model that may think before it speaks gets this many times the TTFT limit and the idle limit: most providers show
nothing of it."""

END_GRACE_S = 1.0
"""How long a stream whose answer is whole may keep back its end marker before it is finished without. Where its usage is
still to come, too, the idle limit holds."""


class Attempt(msgspec.Struct, eq=False):
    """One try at one target. Implements :class:`~trimaran.dispatch.ports.Exchange`.

    A struct and not a class with ``__init__``, as is :class:`Call`: one is built for every attempt, in half the time.
    """

    call: Call
    number: int
    runtime: TargetRuntime
    choice: Choice
    started_s: float
    bound: int | None
    """The most it can cost, in nano-dollars; ``None`` is unknown."""
    translation: Translation
    hold: Hold | None = None
    """What is reserved for it in the budgets that bind the request."""
    sent_s: float = 0.0
    first_s: float = 0.0
    status: int = 0
    headers: dict[bytes, bytes] = {}
    """The answer's; valid until the exchange has ended."""
    handle: Handle | None = None
    relay: StreamRelay | None = None
    unwrapper: Unwrapper | None = None
    """Takes off what the provider wraps around the dialect's stream."""
    usage: Usage | None = None
    estimated: bool = False
    uncounted: bool = False
    """Something was used that nobody counts: tokens mean nothing in its dialect."""
    finish_reason: str = ""
    service_tier: str = ""
    """Neutral; the one that served it, as far as the target told it."""
    ended: bool = False
    body: bytes = b""
    """What has arrived of an answer that is not streamed."""
    rest: list[bytes] | None = None
    """The further pieces of a body that came in several."""
    size: int = 0
    fresh: bool = False
    """Something has arrived since the last check."""
    quiet_since: float = 0.0

    # Exchange

    def on_sent(self) -> None:
        self.sent_s = self.call.now()

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status = status
        self.headers = headers
        call = self.call
        if status == 200 and call.inbound.envelope.stream:
            self.relay = self.translation.relay()
            self.unwrapper = self.runtime.door(self.translation.dialect).unwrap()

    def on_data(self, data: bytes) -> None:
        if self.ended:
            return
        relay = self.relay
        if relay is None:
            self._collect(data)
            return
        self.fresh = True
        try:
            if self.unwrapper is not None:
                data = self.unwrapper.feed(data)
            out = relay.feed(data)
        except AttemptError as error:
            self.call.attempt_failed(self, self._scrubbed(error))
            return
        except Exception:
            self._unreadable()
            return
        call = self.call
        if not self.first_s and relay.content_seen:
            call.attempt_first(self)
        if out:
            if call.committed:
                call.sink.data(out)
                if call.transcript is not None:
                    call.transcript.hear(out)
            else:
                call.hold(out)
        if relay.complete:
            call.attempt_done(self, b"")

    def on_end(self) -> None:
        if self.ended:
            self.call.release(self)
            return
        relay = self.relay
        try:
            if relay is not None:
                tail = self._tail(relay)
                if not self.first_s:
                    self.call.attempt_first(self)
                call = self.call
                call.attempt_done(self, tail)
                # The connection is free from here on: by the time that a lingering one is dropped it has another request.
                call.release(self)
            elif self.status == 200:
                self._answer(self._whole())
            else:
                raise self._refusal(self._whole())
        except AttemptError as error:
            # Whatever the answer says, it has ended, and its connection can be used again.
            self.handle = None
            self.call.attempt_failed(self, self._scrubbed(error))
        except Exception:
            self._unreadable()

    def on_error(self, error: AttemptError) -> None:
        if self.ended:
            self.call.release(self)
        elif self.status >= 300 and not isinstance(error, NoFirstToken):
            # The refusal's head has arrived; a body that breaks off does not change what it says.
            self.call.attempt_failed(self, self._refusal(self._whole()))
        elif isinstance(error, StreamCut) and self.relay is not None and self.relay.may_end:
            # Nothing but the end is lost.
            call = self.call
            self._finish_without_end(self.relay)
            call.release(self)
        else:
            self.call.attempt_failed(self, error)

    # limits

    def check(self, now: float, limits: Limits) -> AttemptError | None:
        """The limit this attempt has overrun at ``now``, if any. Connecting is limited by the upstream itself."""
        if not self.sent_s:
            return None
        patience = REASONING_PATIENCE if self.runtime.reasons else 1.0
        if not self.first_s:
            limit = patience * (limits.ttft_s if self.call.inbound.envelope.stream else self.call.unary_limit_s())
            limit += self.runtime.cold_start_s(self.sent_s)
            if self.choice.patience_s is not None:
                limit = min(limit, self.choice.patience_s)
            if now - self.sent_s >= limit:
                seen = f"status {self.status} and then nothing" if self.status else "no answer"
                return NoFirstToken(f"{seen} within {limit:g} s")
            return None
        idle_s = limits.idle_s * patience
        quiet_s = now - self.quiet_since
        if self.fresh or self.call.paused:
            self.fresh = False
            self.quiet_since = now
        elif (relay := self.relay) is not None and relay.may_end:
            if quiet_s >= (limits.idle_s if relay.owes_usage else min(END_GRACE_S, limits.idle_s)):
                self._finish_without_end(relay)
        elif quiet_s >= idle_s:
            return StreamStalled(f"nothing more within {idle_s:g} s")
        return None

    def finish_now(self) -> bool:
        """Time is up: finish an answer of which nothing but its end is missing. False where more is."""
        if self.relay is None or not self.relay.may_end:
            return False
        self._finish_without_end(self.relay)
        return True

    def _finish_without_end(self, relay: StreamRelay) -> None:
        try:
            tail = relay.finish()
        except AttemptError as error:
            self.call.attempt_failed(self, self._scrubbed(error))
        else:
            self.call.attempt_done(self, tail)

    @property
    def ttft_s(self) -> float | None:
        """Seconds to the first content; ``None`` while there is none, or where the answer is not streamed."""
        return self.first_s - self.started_s if self.first_s else None

    def settle_usage(self) -> None:
        """Fix ``usage``: what the target reported, otherwise an estimate from what was seen, marked as such."""
        dialect = self.translation.dialect
        if self.usage is not None or not self.sent_s or dialect.free:
            # Known, or nothing has been sent, or nothing is charged: then there is nothing to pay.
            return
        if not dialect.counts:
            self.uncounted = True
            return
        relay = self.relay
        if relay is not None:
            self.finish_reason = relay.finish_reason
            self.service_tier = self._tier(relay.service_tier)
        if relay is not None and relay.usage is not None and relay.complete:
            self.usage = relay.usage
            return
        self.estimated = True
        seen = 0 if relay is None else relay.content_events
        reported = None if relay is None else relay.usage
        inputs = self.call.inbound.envelope.input_tokens
        if reported is None:
            self.usage = Usage(input_tokens=inputs, output_tokens=seen)
        else:
            reported.output_tokens = max(reported.output_tokens, seen)
            self.usage = reported

    def settle_failed(self, error: AttemptError) -> None:
        """Fix ``usage`` of an attempt that failed with ``error``: what providers bill without having answered.

        A refusal costs nothing, nor does what never arrived. What was begun is billed as far as it went; and a target that
        stayed silent has read the prompt.
        """
        if self.usage is not None or self.status >= 300 or isinstance(error, ConnectFailed | ConnectionReset):
            return
        relay = self.relay
        # A whole answer that was cut has been made, and is billed, although nothing of it can be used.
        silent = isinstance(error, NoFirstToken) or (relay is None and isinstance(error, StreamCut))
        if silent or (relay is not None and (relay.content_events or relay.usage is not None)):
            self.settle_usage()

    def _scrubbed(self, error: AttemptError) -> AttemptError:
        """``error`` without our credential, should the provider have repeated it in its words."""
        error.message = self.runtime.scrub(error.message.encode()).decode()
        error.body = self.runtime.scrub(error.body)
        return error

    def _unreadable(self) -> None:
        """A mistake of ours met this answer. It must not leave the client waiting, nor the next target unasked."""
        _LOG.exception("an answer could not be read")
        self.call.attempt_failed(
            self, MalformedAnswer("the answer could not be read; the gateway's log has the details")
        )

    def _collect(self, data: bytes) -> None:
        if not self.body:
            self.body = data
        elif self.rest is None:
            self.rest = [data]
        else:
            self.rest.append(data)
        self.size += len(data)
        if self.size > MAX_ANSWER_BYTES:
            self.call.attempt_failed(
                self, MalformedAnswer(f"the answer is larger than {MAX_ANSWER_BYTES // 2**20} MiB")
            )

    def _whole(self) -> bytes:
        return self.body if self.rest is None else b"".join((self.body, *self.rest))

    def _tail(self, relay: StreamRelay) -> bytes:
        """What is left of a stream whose body has ended."""
        out = b""
        if self.unwrapper is not None and not relay.complete:
            out = relay.feed(self.unwrapper.finish())
        return out + relay.finish()

    def _answer(self, body: bytes) -> None:
        call = self.call
        translation = self.translation
        door = self.runtime.door(translation.dialect)
        wrapped = type(door) is not Door
        if wrapped:
            body = door.answer(self._lower_headers(), body)
        try:
            out, self.usage, self.finish_reason, self.service_tier = translation.answer(body)
        except MalformedAnswer:
            # The target billed it all the same, if it says so: what cannot be carried to the client is still an answer.
            with suppress(AttemptError):
                self.usage, self.finish_reason, self.service_tier = translation.dialect.inspect(body)
            raise
        self.estimated = translation.estimated
        if wrapped:
            self.usage = door.usage(self._lower_headers(), self.usage)
            self.service_tier = self._tier(self.service_tier)
        call.attempt_done(self, out)

    def _tier(self, told: str) -> str:
        """The neutral service tier; ``told`` is what the answer's body said of it."""
        door = self.runtime.door(self.translation.dialect)
        return door.tier(self._lower_headers(), told) if door.tier_header else told

    def _lower_headers(self) -> dict[bytes, bytes]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _refusal(self, body: bytes) -> AttemptError:
        headers = self._lower_headers()
        if 200 <= self.status < 400:
            return MalformedAnswer(f"unexpected status {self.status}", upstream_status=self.status)
        body = self.runtime.scrub(body)
        dialect = self.translation.dialect
        refusal = self.runtime.door(dialect).refusal(self.status, headers, body)
        if refusal is not None:
            return refusal
        return dialect.read_error(
            self.status,
            headers.get(b"retry-after"),
            headers.get(b"content-type", b"").decode("latin-1"),
            body,
            error_type=headers.get(b"x-amzn-errortype", b"").partition(b":")[0].decode("latin-1"),
        )
