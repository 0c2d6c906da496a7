"""The two records of an attempt, as the journal keeps them.

By position, in the order of the record: half the time of names. The order is part of the journal's format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.ledger.records import Settled, Started

if TYPE_CHECKING:
    from trimaran.dispatch.attempt import Attempt
    from trimaran.dispatch.call import Call

__all__ = ["settled", "started"]


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


def settled(
    call: Call,
    attempt: Attempt,
    now: float,
    status: str,
    http_status: int,
    code: str,
    reason: str,
    cost_nanos: int | None,
) -> Settled:
    """Written when the attempt has ended, however. ``now`` is monotonic; ``cost_nanos`` None is unknown."""
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
