"""The fault matrix as a table: what the first target does, and what must become of the request.

What happens is written as a path, one word for each attempt: ``a!target_overloaded b`` is an attempt at the first target
that fails with that code, then an answer from the second. A path that ends in ``=503`` gives the client that status, one
that ends in ``=cut`` a stream that visibly breaks. ``a!target_rate_limited*`` stands for two to four such attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trimaran.testing import Behaviour

TEXT = "one two three four five six"
"""What the first target would say."""
SAID = "one two three"
"""What it has said when a fault comes after content."""
HEALTHY = Behaviour(text="the answer from behind")
BEGUN = {"after_tokens": 3, "tpot_s": 0.05, "text": TEXT}
"""The client, or whoever holds back for it, has seen three tokens."""
DIALECTS = ("openai.chat", "anthropic.messages")
DEADLINE_S = 6.0
TTFT_S = 1.2
IDLE_S = 1.2
"""Targets and clients share a process and two cores: a healthy target may be late by half a second."""
MAX_TOKENS = 20
UNARY_S = TTFT_S + 0.05 * MAX_TOKENS
"""How long an answer that is not streamed may take."""

Path = str | Mapping[str, str]
"""One for all, or by the dialect of the first target, or by ``stream`` and ``unary``."""


@dataclass(frozen=True, eq=False)
class Line:
    """One fault."""

    name: str
    fault: Behaviour
    first: Path | None
    """The path when healthy targets stand behind the faulty one; ``None``: not asked."""
    lone: Path | None
    """The path when there is no other."""
    streams: tuple[bool, ...] = (False, True)
    behind: Mapping[str, Behaviour] = field(default_factory=lambda: {"b": HEALTHY})
    setting: str = ""
    """More of the public model, in YAML's flow style."""
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline_s: Mapping[bool, float] = field(default_factory=dict)
    """A deadline of the client's, by ``stream``."""
    capabilities: Mapping[str, str] = field(default_factory=dict)
    """By target."""
    upstream: Mapping[str, str] = field(default_factory=dict)
    """Upstream model by target."""
    keys: tuple[str, ...] | None = None
    """What the first target accepts."""
    models: tuple[str, ...] | None = None
    """What the first target knows."""
    dear: tuple[str, ...] = ()
    """Targets at a thousand times the price."""
    speaks: Mapping[str, str] = field(default_factory=dict)
    """Dialect of a target, where it matters."""
    fallbacks: bool = False
    """Each target behind is that of a fallback model of its own."""
    closed: bool = False
    """Nobody listens at the first target."""
    waits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and most seconds between two attempts, by the targets that they go to: ``aa``, ``ab``."""
    text: str = ""
    """Of the answer, where it is not one target's alone."""
    retry_after_s: float | None = None
    """Of the error of a lone target."""
    says: str = ""
    """In the message of the error."""


def _status(status: int, **more: object) -> Behaviour:
    return Behaviour(fault="status", status=status, text=TEXT, **more)  # type: ignore[arg-type]


def _fault(name: str, **more: object) -> Behaviour:
    return Behaviour(fault=name, **({"text": TEXT} | more))  # type: ignore[arg-type]


AT_ONCE = (0.0, 0.5)
TWICE = {"aa": (0.09, 0.8), "ab": AT_ONCE}
"""A pause of 0.1 to 0.2 s, seen by a tick of 0.1 s, then elsewhere at once."""
IN_BAND = {
    "openai.chat": (
        "a!target_server_error a!target_server_error b",
        "a!target_server_error a!target_server_error =502",
    ),
    "anthropic.messages": ("a!target_overloaded b", "a!target_overloaded =503"),
}
IN_BAND_FIRST = {dialect: paths[0] for dialect, paths in IN_BAND.items()}
IN_BAND_LONE = {dialect: paths[1] for dialect, paths in IN_BAND.items()}
IN_BAND_CUT = {"openai.chat": "a!target_server_error =cut", "anthropic.messages": "a!target_overloaded =cut"}
BROKEN = "a!stream_cut a!stream_cut b"
REFUSED = "Output blocked by content filtering policy: lantern"

LINES = (
    Line("healthy", Behaviour(text=TEXT), "a", "a"),
    Line(
        "429-with-a-short-retry-after",
        _status(429, retry_after_s=1, fault_count=1),
        "a!target_rate_limited b",
        "a!target_rate_limited a",
        waits={"ab": AT_ONCE, "aa": (0.99, 2.0)},
    ),
    Line(
        "429-with-a-retry-after-beyond-the-deadline",
        _status(429, retry_after_s=30),
        "a!target_rate_limited b",
        "a!target_rate_limited =429",
        waits={"ab": AT_ONCE},
        retry_after_s=30,
    ),
    Line(
        "429-once-without-retry-after",
        _status(429, fault_count=1),
        "a!target_rate_limited b",
        "a!target_rate_limited a",
        waits={"ab": AT_ONCE, "aa": (0.2, 3.0)},
    ),
    Line(
        "429-always-without-retry-after",
        _status(429),
        "a!target_rate_limited b",
        "a!target_rate_limited* =429",
        waits={"ab": AT_ONCE, "aa": (0.2, DEADLINE_S)},
    ),
    Line(
        "500-once",
        _status(500, fault_count=1),
        "a!target_server_error a",
        "a!target_server_error a",
        waits=TWICE,
    ),
    Line(
        "500-always",
        _status(500),
        "a!target_server_error a!target_server_error b",
        "a!target_server_error a!target_server_error =502",
        waits=TWICE,
    ),
    Line("503", _status(503), "a!target_overloaded b", "a!target_overloaded =503", waits={"ab": AT_ONCE}),
    Line(
        "503-with-retry-after",
        _status(503, retry_after_s=1, fault_count=1),
        "a!target_overloaded b",
        "a!target_overloaded a",
        waits={"ab": AT_ONCE, "aa": (0.99, 2.0)},
    ),
    Line("connection-refused", Behaviour(), "a!connect_failed b", "a!connect_failed =502", closed=True),
    Line(
        "reset-before-headers",
        _fault("reset"),
        "a!connection_reset a!connection_reset b",
        "a!connection_reset a!connection_reset =502",
        waits={"ab": AT_ONCE},
    ),
    Line("reset-once", _fault("reset", fault_count=1), "a!connection_reset a", "a!connection_reset a"),
    Line("silence", _fault("silence"), "a!no_first_token b", "a!no_first_token =504", waits={"ab": (TTFT_S, 4.0)}),
    Line(
        "headers-then-silence",
        _fault("headers_then_silence"),
        "a!no_first_token b",
        "a!no_first_token =504",
        waits={"ab": (TTFT_S, 4.0)},
    ),
    Line("cut-before-content", _fault("cut", after_tokens=0), BROKEN, "a!stream_cut a!stream_cut =502"),
    Line("cut-before-content-once", _fault("cut", after_tokens=0, fault_count=1), "a!stream_cut a", "a!stream_cut a"),
    Line(
        "stall-before-content",
        _fault("stall", after_tokens=0),
        "a!no_first_token b",
        "a!no_first_token =504",
        waits={"ab": (TTFT_S, 4.0)},
    ),
    Line(
        "cut-after-content",
        _fault("cut", **BEGUN),
        {"stream": "a!stream_cut =cut", "unary": BROKEN},
        {"stream": "a!stream_cut =cut", "unary": "a!stream_cut a!stream_cut =502"},
    ),
    Line(
        "cut-after-content-restart",
        _fault("cut", **BEGUN),
        BROKEN,
        "a!stream_cut a!stream_cut =502",
        setting="on_cut: restart",
    ),
    Line(
        "cut-after-content-restart-once",
        _fault("cut", **BEGUN, fault_count=1),
        "a!stream_cut a",
        "a!stream_cut a",
        setting="on_cut: restart",
    ),
    Line(
        "cut-after-content-restart-beyond-hold",
        _fault("cut", **BEGUN | {"text": SAID + " and on" * 7, "after_tokens": 15, "tpot_s": 0.01}),
        "a!stream_cut =cut",
        "a!stream_cut =cut",
        streams=(True,),
        setting="on_cut: restart, hold: 1KiB",
    ),
    Line(
        "cut-after-content-continue",
        _fault("cut", **BEGUN),
        "a!stream_cut b",
        "a!stream_cut =cut",
        streams=(True,),
        behind={"b": Behaviour(text=" then b goes on")},
        setting="on_cut: continue",
        capabilities={"a": "{lacks: [prefill]}", "b": "{has: [prefill]}"},
        speaks={"b": "anthropic.messages"},
        text=f"{SAID} then b goes on",
    ),
    Line(
        "cut-after-content-continue-nobody-can",
        _fault("cut", **BEGUN),
        "a!stream_cut =cut",
        None,
        streams=(True,),
        setting="on_cut: continue",
        capabilities={"a": "{lacks: [prefill]}", "b": "{lacks: [prefill]}"},
    ),
    Line(
        "stall-after-content",
        _fault("stall", **BEGUN),
        {"stream": "a!stream_stalled =cut", "unary": "a!no_first_token b"},
        {"stream": "a!stream_stalled =cut", "unary": "a!no_first_token =504"},
    ),
    Line(
        "stall-after-content-restart",
        _fault("stall", **BEGUN),
        {"stream": "a!stream_stalled b", "unary": "a!no_first_token b"},
        {"stream": "a!stream_stalled =504", "unary": "a!no_first_token =504"},
        setting="on_cut: restart",
    ),
    Line(
        "stall-after-content-continue",
        _fault("stall", **BEGUN),
        "a!stream_stalled b",
        "a!stream_stalled =cut",
        streams=(True,),
        behind={"b": Behaviour(text=" then b goes on")},
        setting="on_cut: continue",
        capabilities={"a": "{lacks: [prefill]}", "b": "{has: [prefill]}"},
        speaks={"b": "anthropic.messages"},
        text=f"{SAID} then b goes on",
    ),
    Line(
        "malformed-before-content",
        _fault("malformed_chunk", after_tokens=0),
        "a!malformed_answer b",
        "a!malformed_answer =502",
    ),
    Line(
        "malformed-after-content",
        _fault("malformed_chunk", **BEGUN),
        {"stream": "a!malformed_answer =cut", "unary": "a!malformed_answer b"},
        {"stream": "a!malformed_answer =cut", "unary": "a!malformed_answer =502"},
    ),
    Line("missing-end-marker", _fault("missing_end_marker"), "a", "a", streams=(True,)),
    Line("missing-end-marker-and-open", _fault("open_end"), "a", "a", streams=(True,)),
    Line(
        "missing-end-marker-and-open-under-a-short-idle-limit",
        _fault("open_end"),
        "a",
        "a",
        streams=(True,),
        setting="limits: {idle: 600ms}",
    ),
    Line("error-in-band-before-content", _fault("in_band_error", after_tokens=0), IN_BAND_FIRST, IN_BAND_LONE),
    Line(
        "error-in-band-after-content",
        _fault("in_band_error", **BEGUN),
        IN_BAND_CUT,
        IN_BAND_CUT,
        streams=(True,),
    ),
    Line(
        "context-too-long",
        Behaviour(text=TEXT, context_tokens=5),
        "a!context_too_long c",
        "a!context_too_long =400",
        behind={"b": HEALTHY, "c": Behaviour(text="c holds more")},
        upstream={"b": "model-a"},
        capabilities={"c": "{context_tokens: 1000000}"},
        says="5",
    ),
    Line(
        "content-policy",
        _status(400, error_message=REFUSED),
        "a!content_refused =400",
        "a!content_refused =400",
        says=REFUSED,
    ),
    Line(
        "content-policy-taken-elsewhere",
        _status(400, error_message=REFUSED),
        "a!content_refused b",
        "a!content_refused =400",
        setting="failover_on: [content_refused]",
        says=REFUSED,
    ),
    Line(
        "wrong-credential",
        Behaviour(text=TEXT),
        "a!target_credential_rejected b",
        "a!target_credential_rejected =502",
        keys=("another",),
    ),
    Line("unknown-model", Behaviour(text=TEXT), "a!target_not_found b", "a!target_not_found =502", models=("another",)),
    Line(
        "bad-request",
        _status(400, error_message="max_tokens: wrong in every way"),
        "a!target_rejected =400",
        "a!target_rejected =400",
        says="wrong in every way",
    ),
    Line(
        "deadline-over-all-retries",
        _fault("silence"),
        "a!no_first_token b!deadline_exceeded =504",
        None,
        behind={"b": _fault("silence"), "c": HEALTHY},
        deadline_s={True: TTFT_S + 0.5, False: UNARY_S + 0.5},
    ),
    Line(
        "attempt-budget-at-one-target",
        _status(500),
        "a!target_server_error a!target_server_error =502",
        None,
        headers={"x-trimaran-max-attempts": "2"},
    ),
    Line(
        "attempt-budget-over-targets",
        _status(503),
        "a!target_overloaded b!target_overloaded =503",
        None,
        behind={"b": _status(503), "c": HEALTHY},
        headers={"x-trimaran-max-attempts": "2"},
    ),
    Line(
        "cost-cap",
        _status(503),
        "a!target_overloaded =402",
        None,
        headers={"x-trimaran-max-cost-usd": "0.01"},
        dear=("b",),
    ),
    Line(
        "chain-of-fallback-models",
        _status(503),
        "a!target_overloaded b!target_overloaded c",
        None,
        behind={"b": _status(503), "c": Behaviour(text="c stands in")},
        fallbacks=True,
    ),
)
