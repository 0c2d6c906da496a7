"""What routing is told and what it answers: the request's size, the choices, and the events of an attempt.

The life of one attempt, as :func:`trimaran.routing.learn` must hear of it::

    Sent ──► FirstToken ──► Completed | Failed | Abandoned        streamed
    Sent ─────────────────► Completed | Failed | Abandoned        not streamed, or nothing came

Every ``Sent`` is followed by exactly one of the three endings, or the count of requests in flight drifts. ``ttft_s`` in an
ending says whether a ``FirstToken`` was reported before it (``None``: it was not). ``probe``, ``in_flight`` and
``predicted_cached_tokens`` are copied from the :class:`Choice` that was tried. Durations are seconds on the monotonic clock
from the moment of sending.

Structs here are built for every request, so they are mutable (freezing costs a call per field) and, as they
cannot be part of a cycle, invisible to the garbage collector.
"""

from __future__ import annotations

import msgspec

from trimaran.errors import TrimaranError

__all__ = [
    "Abandoned",
    "Choice",
    "Completed",
    "Condition",
    "Event",
    "Failed",
    "FirstToken",
    "Replaced",
    "RouteRequest",
    "Sent",
    "Shared",
    "SharedCeiling",
    "SharedTarget",
]


class RouteRequest(msgspec.Struct, gc=False):
    """The features of a request that decide where it goes: sizes, needs and hashes, never text."""

    input_tokens: int
    max_output_tokens: int | None = None
    """The client's limit; ``None`` when it gave none."""
    stream: bool = True
    needs: int = 0
    """What it cannot do without: bit i stands for the i-th name of ``types.FEATURES``."""
    certain_input_tokens: int = 0
    """The prompt has at least so many tokens. A bound where ``input_tokens`` is an estimate; 0 where nothing is certain."""
    answers: int = 1
    """How many are asked for at once; ``max_output_tokens`` is over all of them."""
    prefixes: tuple[int, ...] = ()
    """Hashes of the prompt's beginnings, as :func:`trimaran.routing.prefix_hashes` gives them. Only needed where
    ``Policy.wants_prefixes``."""


class Choice(msgspec.Struct, gc=False):
    """One target's place in the order, with the figures behind it."""

    target: str
    predicted_ttft_s: float
    predicted_total_s: float
    score: float
    """Seconds this request is expected to cost when sent there, failures included. Lower is better; ``inf`` if rejected."""
    probe: bool
    """It stands first in order to learn about it, not because it is expected to be the fastest."""
    reason: str
    admitted: bool
    """``False``: do not send. The reason says why and ``retry_at`` when to ask again."""
    predicted_tpot_s: float = 0.0
    in_flight: int = 0
    """Requests at the target as far as known, those of other workers included."""
    circuit: str = "closed"
    samples: int = 0
    """First tokens and answers seen from it by this worker."""
    retry_at: float = 0.0
    """Monotonic time from which a rejected target may be tried; 0 when admitted."""
    patience_s: float | None = None
    """Give up waiting for the first token after this long (a trial of a broken target); ``None``: the policy's limit."""
    unfit: bool = False
    """Rejected because it cannot answer this request ever, not because it cannot now: the reason names all that it lacks."""
    predicted_cost_nanos: int | None = None
    """Nano-dollars; ``None`` where the price is unknown, or where nobody asked what it costs."""
    predicted_cached_tokens: int = 0
    """Tokens of the prompt's longest beginning that was answered there lately: what its cache could hold."""
    meets_slo: bool | None = None
    """``None`` where the policy has none, or where nobody asked."""
    last_resort: bool = False
    """Admitted, but slow to answer: to be asked when nothing else is left, the model's fallbacks included."""


class Sent(msgspec.Struct, gc=False):
    """An attempt begins."""

    target: str
    input_tokens: int = 0
    probe: bool = False


class FirstToken(msgspec.Struct, gc=False):
    """The first content of a streamed answer arrived."""

    target: str
    ttft_s: float
    input_tokens: int = 0
    in_flight: int = 0
    """Requests at the target when this one was sent, itself not counted: ``Choice.in_flight``."""
    probe: bool = False


class Completed(msgspec.Struct, gc=False):
    """The answer is whole."""

    target: str
    ttft_s: float | None
    total_s: float
    output_tokens: int
    """0 when the provider did not say."""
    input_tokens: int = 0
    in_flight: int = 0
    probe: bool = False
    cached_read_tokens: int | None = None
    """As the provider reported them; ``None`` when it did not say."""
    predicted_cached_tokens: int = 0
    """``Choice.predicted_cached_tokens``."""
    prefixes: tuple[int, ...] = ()
    """``RouteRequest.prefixes``: from now on they are taken to be in its cache."""


class Failed(msgspec.Struct, gc=False):
    """The attempt failed with ``error`` (a class of the error tree; an instance's type)."""

    target: str
    error: type[TrimaranError]
    elapsed_s: float
    retry_after_s: float | None = None
    ttft_s: float | None = None
    input_tokens: int = 0
    in_flight: int = 0
    probe: bool = False
    u: float = 0.5
    """Uniform in [0, 1): spreads the rest after a 429 that names no time."""
    account: str = ""
    """``credential:NAME`` where a credential was refused that another one may replace."""


class Abandoned(msgspec.Struct, gc=False):
    """Nobody waits for it any more: the client left, the request's deadline passed, or a hedge lost.

    Says only that the answer takes longer than ``elapsed_s``.
    """

    target: str
    elapsed_s: float
    ttft_s: float | None = None
    input_tokens: int = 0
    in_flight: int = 0
    probe: bool = False


class Condition(msgspec.Struct, frozen=True):
    """What was found out about a target, or about an account that several share, without asking it for an answer: see
    :mod:`trimaran.routing.conditions`."""

    key: str
    """A target's id, or ``credential:NAME``."""
    level: str
    """``up``, ``last_resort`` (asked when nothing else is left: :attr:`Choice.last_resort`), ``pending`` (not asked yet, but soon),
    ``down`` (not asked)."""
    reason: str = ""
    """One sentence for people, with what mends it."""


class Replaced(msgspec.Struct, frozen=True):
    """Another credential is in use from now on: what refused the old one may take it."""

    account: str
    """``credential:NAME``."""


class SharedCeiling(msgspec.Struct, array_like=True, gc=False):
    """A learned ceiling as one worker knows it: :class:`trimaran.routing.ceiling.Ceiling`."""

    epoch: int
    hit_s: float
    """Since the last hit; negative: none is known."""
    span_s: float = 0.0
    requests_peak: float = 0.0
    """Requests/s of all workers; 0: the ceiling was forgotten."""
    requests_grown_s: float = 0.0
    tokens_peak: float = 0.0
    tokens_grown_s: float = 0.0
    burst: float = 1.0


class SharedTarget(msgspec.Struct, array_like=True, gc=False):
    """What one worker tells the others about one target. Times are relative, so clocks need not agree."""

    in_flight: int
    circuit: int
    """:class:`trimaran.routing.circuit.Circuit` as its number."""
    epoch: int
    """Counts the circuit's openings and closings. A higher epoch is later knowledge."""
    open_s: float
    """Until a trial is allowed."""
    openings: int
    trial: bool
    """A trial of the half-open target is under way."""
    rest_s: float
    """Until the target's own Retry-After has passed."""
    seen_s: float
    """Since its last answer was seen; negative: never."""
    ttft_n: int
    ttft_sum: float
    """Number and sum of log TTFT, with size and load taken out, over the worker's life. Differences between two exchanges
    are its fresh observations, and nothing of what it heard from others."""
    tpot_n: int
    tpot_sum: float
    failed_n: int = 0
    """Failures over the worker's life, to be taken as differences in the same way."""
    requests_per_s: float = 0.0
    tokens_per_s: float = 0.0
    """What it sent there lately and the target took."""
    ramp: int = 1
    """Requests that may be in flight after the rest."""
    rests: int = 0
    """429s in a row that named no time."""
    ceiling: SharedCeiling | None = None
    """``None``: there never was one."""


class Shared(msgspec.Struct):
    """Another worker's view: ``msgspec.convert(export_shared(...), Shared)``, or ``Shared(**mapping)`` after decoding."""

    worker: int
    targets: dict[str, SharedTarget]


Event = Sent | FirstToken | Completed | Failed | Abandoned | Shared | Condition | Replaced
