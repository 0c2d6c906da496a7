"""What is written down of an attempt: its two records in the journal, its charge to the budgets, the metrics.

Records are built by position, in the order of their fields: half the time of names. The order is part of the journal's
format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimaran.catalog import cost_nanos
from trimaran.ledger.records import FAILED, OK, REJECTED, Settled, Started

if TYPE_CHECKING:
    from trimaran.dispatch.attempt import Attempt
    from trimaran.dispatch.call import Call

__all__ = ["NOBODY", "settle", "started"]


def started(call: Call, attempt: Attempt) -> Started:
    """Written before anything is sent."""
    inbound = call.inbound
    dispatcher = call.dispatcher
    target = attempt.runtime.target
    envelope = inbound.envelope
    hold = attempt.hold
    return Started(
        inbound.request_id,
        attempt.number,
        # The moment that its budgets count it at, so that the ledger puts it into the same period.
        dispatcher.clock.wall_ns() if hold is None else hold.at_ns,
        inbound.tenant,
        inbound.key_id,
        inbound.tags,
        inbound.route.policy.name,
        target.id,
        target.provider,
        target.upstream_model,
        inbound.dialect.name,
        attempt.translation.dialect.name,
        envelope.stream,
        target.simulated,
        attempt.bound,
        envelope.input_tokens,
        envelope.max_output_tokens,
        attempt.choice.reason,
        dispatcher.snapshot.version,
        dispatcher.worker,
        "" if call.route is inbound.route else call.route.policy.name,
    )


def settle(
    call: Call, attempt: Attempt, now: float, status: str, http_status: int, code: str, reason: str = ""
) -> None:
    """The attempt has ended, however: charge it, write it down and count it. ``now`` is monotonic. Sets the call's cost
    when it is the answer."""
    usage = attempt.usage
    cost: int | None = 0
    if usage is not None:
        price = attempt.runtime.price
        cost = cost_nanos(price, usage, attempt.service_tier) if price is not None else None
        # Under a cap, what is unknown counts as the most that it can be.
        call.spent_nanos += cost if cost is not None else attempt.bound or 0
    elif attempt.uncounted:
        # What has a bound without a count costs just that.
        cost = attempt.bound
        call.spent_nanos += cost or 0
    if attempt.hold is not None:
        _charge(call, attempt, status, cost)
    dispatcher = call.dispatcher
    dispatcher.journal.append(_settled(call, attempt, now, status, http_status, code, reason, cost))
    dispatcher.metrics.attempt(attempt.runtime.id, code or status)
    if status != OK:
        attempt.call = NOBODY
    if status in (FAILED, REJECTED):
        return
    call.cost_nanos = cost
    inbound = call.inbound
    dispatcher.metrics.observe(
        inbound.route.policy.name,
        attempt.runtime.id,
        http_status,
        inbound.envelope.stream,
        attempt.ttft_s,
        now - call.started_s,
        usage.input_tokens if usage is not None else 0,
        usage.output_tokens if usage is not None else 0,
        cost,
        call.attempts,
    )


def _charge(call: Call, attempt: Attempt, status: str, cost: int | None) -> None:
    assert attempt.hold is not None
    purse, usage = call.dispatcher.purse, attempt.usage
    if attempt.estimated and status != OK and attempt.ttft_s is None:
        # Nobody knows what the target did for it: under a budget that is the most that it may have done.
        purse.settle(attempt.hold, None, None)
    else:
        tokens = None if attempt.uncounted else 0 if usage is None else usage.input_tokens + usage.output_tokens
        purse.settle(attempt.hold, cost, tokens)


def _settled(
    call: Call,
    attempt: Attempt,
    now: float,
    status: str,
    http_status: int,
    code: str,
    reason: str,
    cost_nanos: int | None,
) -> Settled:
    """Written when the attempt has ended. ``cost_nanos`` None is unknown."""
    price = attempt.runtime.price
    ttft_s = attempt.ttft_s
    return Settled(
        call.inbound.request_id,
        attempt.number,
        call.dispatcher.clock.wall_ns(),
        call.inbound.tenant,
        status,
        http_status,
        code,
        attempt.finish_reason,
        price.version if price is not None else "",
        attempt.estimated,
        reason,
        None if ttft_s is None else int(ttft_s * 1e6),
        int((now - attempt.started_s) * 1e6),
        attempt.usage,
        cost_nanos,
        attempt.service_tier,
    )


class _Nobody:
    """Stands for the call of an attempt that is over: it breaks the circle of the two, so that both are freed at once
    and memory is used again while it is still in the cache, instead of waiting for the garbage collector."""

    def release(self, attempt: Attempt) -> None:
        """Nothing is held any more."""


NOBODY: Any = _Nobody()
