"""One attempt on its way: translated, held against cap and budgets, written down, sent. In this order, or not at all."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from trimaran.dispatch.accounts import started
from trimaran.dispatch.attempt import Attempt
from trimaran.errors import CostCapExceeded, RequestError, Unavailable
from trimaran.ledger.records import PriceUsed
from trimaran.providers import Door
from trimaran.routing import Choice, Sent, learn
from trimaran.wire import DIALECTS, ChatDialect, Dialect, Notes, Translation, translate
from trimaran.wire.continuation import continue_translation

if TYPE_CHECKING:
    from trimaran.dispatch.call import Call
    from trimaran.dispatch.inbound import Inbound
    from trimaran.dispatch.purse import Hold
    from trimaran.dispatch.runtime import TargetRuntime

__all__ = ["launch"]


def launch(call: Call, choice: Choice, now: float) -> bool:
    """Send the next attempt of ``call`` to ``choice``, or park the call until a budget has room for it. False when this
    target cannot take the request; ``call`` then knows why."""
    inbound = call.inbound
    runtime = call.way.route.targets[choice.target]
    try:
        if call.committed:
            translation = _continuation(call, runtime)
        else:
            translation = translate(inbound.dialect, inbound.envelope, runtime.target)
        _admit(call, runtime, translation)
    except RequestError as error:
        call.refused.append((choice.target, error))
        call.way.closed.add(choice.target)
        return False
    bound = 0 if translation.dialect.free else runtime.bound_nanos(inbound.envelope, translation.body)
    hold = None
    try:
        _check(call, runtime, bound)
        if inbound.allowances and not translation.dialect.free:
            hold = _reserve(call, choice, runtime, translation, bound)
            if hold is None:
                return True
    except (RequestError, CostCapExceeded) as error:
        call.unaffordable = call.unaffordable or error
        call.way.closed.add(choice.target)
        return False
    call.resting_since = 0.0
    call.attempts = number = call.attempts + 1
    asked = call.way.asked
    asked[choice.target] = asked.get(choice.target, 0) + 1
    call.attempt = attempt = Attempt(call, number, runtime, choice, now, bound, translation, hold)
    _send(call, attempt, now)
    return True


def _send(call: Call, attempt: Attempt, now: float) -> None:
    inbound, dispatcher, runtime = call.inbound, call.dispatcher, attempt.runtime
    if not runtime.price_noted:
        runtime.price_noted = True
        if runtime.price is not None:
            dispatcher.journal.append(PriceUsed(runtime.id, runtime.price))
    dispatcher.journal.append(started(call, attempt))
    choice, dialect = attempt.choice, attempt.translation.dialect
    learn(dispatcher.state, Sent(choice.target, inbound.envelope.input_tokens, choice.probe), now)
    forwarded = _forwarded(inbound, dialect)
    payload = runtime.payload(dialect, inbound.envelope.stream, forwarded, attempt.translation.body)
    attempt.handle = dispatcher.upstream.send(runtime, payload, attempt, inbound.limits.connect_s)


def _admit(call: Call, runtime: TargetRuntime, translation: Translation) -> None:
    """Let the target's door look at the request. Raises :class:`RequestError` where it cannot pass."""
    door = runtime.door(translation.dialect)
    if type(door) is Door:
        return
    left_out = door.admit(call.inbound.envelope, _forwarded(call.inbound, translation.dialect))
    if left_out:
        translation.notes = translation.notes or Notes()
        for name in left_out:
            translation.notes.omit(name)


def _forwarded(inbound: Inbound, dialect: Dialect) -> bytes:
    """The client's header lines that mean something to a target spoken to in ``dialect``."""
    return inbound.forwarded if dialect is inbound.dialect else b""


def _continuation(call: Call, runtime: TargetRuntime) -> Translation:
    """The request to go on from what the client has. Raises :class:`RequestError` where this target cannot."""
    dialect, transcript = call.inbound.dialect, call.transcript
    assert isinstance(dialect, ChatDialect)
    assert transcript is not None
    return continue_translation(dialect, call.inbound.envelope, runtime.target, transcript, DIALECTS)


def _check(call: Call, runtime: TargetRuntime, bound: int | None) -> None:
    """Raises when one more attempt does not fit under the request's cost cap, or could not be written down."""
    cap = call.inbound.limits.max_cost_nanos
    if cap is not None and (bound is None or call.spent_nanos + bound > cap):
        if bound is None:
            unknown = (
                "its price is unknown" if runtime.price is None else "what the provider may run for it has no limit"
            )
            why = f"{unknown}, so it cannot be kept under a cost cap"
        else:
            why = f"it may cost up to {bound / 1e9:.6f} USD, {call.spent_nanos / 1e9:.6f} USD are spent"
        raise CostCapExceeded(f"{runtime.id} was not asked: {why}; the cap is {cap / 1e9:.6f} USD")
    dispatcher = call.dispatcher
    if not dispatcher.journal.healthy and dispatcher.snapshot.on_ledger_failure == "refuse":
        raise Unavailable("attempts cannot be recorded now, and what is not recorded is not sent here")


def _reserve(
    call: Call, choice: Choice, runtime: TargetRuntime, translation: Translation, bound: int | None
) -> Hold | None:
    """Room for this attempt in every budget that binds the request. ``None``: the call is parked until there may be."""
    tokens = runtime.bound_tokens(call.inbound.envelope, translation.body)
    requests = 0 if call.attempts else 1
    hold = call.dispatcher.purse.reserve(call.inbound.allowances, bound, tokens, requests, call.funded)
    if hold is None:
        call.park(inf, choice.target)
    return hold
