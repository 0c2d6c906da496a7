"""Why no target was asked, in one error that names what each of them lacks or waits for."""

from __future__ import annotations

from collections.abc import Sequence

from trimaran.errors import (
    ContextTooLong,
    InvalidRequest,
    LimitExceeded,
    RequestError,
    TrimaranError,
    Unavailable,
    UnsupportedFeature,
)
from trimaran.routing import TOO_LONG, Choice

__all__ = ["no_target"]


def no_target(
    model: str, choices: Sequence[Choice], refused: Sequence[tuple[str, RequestError]], now: float
) -> TrimaranError:
    """The error for a request that was sent nowhere.

    ``refused`` holds the targets whose dialect could not carry the request, with the reason; ``choices`` is the order of
    all targets, the rejected ones with theirs. It is the client's matter only if no target could ever take it.
    """
    unfit = [choice for choice in choices if choice.unfit]
    if len(unfit) + len(refused) < len(choices) or not choices:
        return _not_now(model, choices, refused, now)
    if refused and not unfit:
        first = refused[0][1]
        if len(refused) == 1 or isinstance(first, InvalidRequest):
            return first
    if not refused and all(choice.reason.startswith(TOO_LONG) and ";" not in choice.reason for choice in unfit):
        limits = "; ".join(f"{choice.target}: {choice.reason}" for choice in unfit)
        # The words and the code that clients look for before they shorten a conversation.
        return ContextTooLong(f"prompt is too long for every target of {model!r} ({limits})", upstream_status=400)
    reasons = [f"{choice.target} {choice.reason}" for choice in unfit] + [error.message for _, error in refused]
    field = refused[0][1].field if refused else None
    return UnsupportedFeature(f"no target of {model!r} can take this request: {'; '.join(reasons)}", field=field)


def _not_now(
    model: str, choices: Sequence[Choice], refused: Sequence[tuple[str, RequestError]], now: float
) -> TrimaranError:
    said = dict(refused)
    reasons = "; ".join(
        f"{choice.target}: {said[choice.target].message if choice.target in said else choice.reason}"
        for choice in choices
    )
    message = f"no target of {model!r} can take a request now ({reasons})"
    waiting = [choice for choice in choices if not choice.unfit and choice.target not in said]
    again = min((choice.retry_at for choice in waiting if choice.retry_at), default=0.0)
    retry_after_s = max(0.0, again - now) if again else None
    # Healthy targets that asked for a pause are a matter of rate; with a broken one among them it is more than that.
    resting = waiting and all(choice.circuit == "closed" for choice in waiting)
    kind = LimitExceeded if resting else Unavailable
    return kind(message, retry_after_s=retry_after_s)
