"""What an attempt teaches routing, as the events that :func:`trimaran.routing.learn` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimaran.errors import AttemptError, CredentialRejected
from trimaran.routing import Abandoned, Completed, Failed, FirstToken, learn

if TYPE_CHECKING:
    from trimaran.dispatch.attempt import Attempt
    from trimaran.dispatch.call import Call

__all__ = ["abandoned", "completed", "failed", "first_token"]


def first_token(call: Call, attempt: Attempt, now: float) -> None:
    """The first content of a stream is here."""
    choice = attempt.choice
    event = FirstToken(
        choice.target, now - attempt.started_s, call.inbound.envelope.input_tokens, choice.in_flight, choice.probe
    )
    learn(call.dispatcher.state, event, now)


def completed(call: Call, attempt: Attempt, now: float) -> None:
    """The answer is whole."""
    usage, choice, routed = attempt.usage, attempt.choice, call.routed
    event = Completed(
        choice.target,
        attempt.ttft_s,
        now - attempt.started_s,
        usage.output_tokens if usage is not None else 0,
        call.inbound.envelope.input_tokens,
        choice.in_flight,
        choice.probe,
        None if usage is None or attempt.estimated else usage.cached_read_tokens,
        choice.predicted_cached_tokens,
        routed.prefixes if routed is not None else (),
    )
    learn(call.dispatcher.state, event, now)


def failed(call: Call, attempt: Attempt, error: AttemptError, now: float) -> None:
    """The attempt ended without an answer."""
    choice = attempt.choice
    event = Failed(
        choice.target,
        type(error),
        now - attempt.started_s,
        error.retry_after_s,
        attempt.ttft_s,
        call.inbound.envelope.input_tokens,
        choice.in_flight,
        choice.probe,
        call.dispatcher.random(),
        f"credential:{attempt.runtime.target.credential}" if isinstance(error, CredentialRejected) else "",
    )
    learn(call.dispatcher.state, event, now)


def abandoned(call: Call, attempt: Attempt, now: float) -> None:
    """Nobody waits for it any more."""
    choice = attempt.choice
    event = Abandoned(
        choice.target,
        now - attempt.started_s,
        attempt.ttft_s,
        call.inbound.envelope.input_tokens,
        choice.in_flight,
        choice.probe,
    )
    learn(call.dispatcher.state, event, now)
