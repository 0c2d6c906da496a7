"""How a simulated provider behaves: one frozen value, replaced whole.

A :class:`Behaviour` says how fast an answer comes, what it holds, what the usage report claims, and which fault, if
any, is injected. It is data: the provider that holds it draws the jitter and the fault of its n-th request from a
generator seeded by (seed, scope, n), so the same requests in the same order meet the same fate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

__all__ = ["FAULTS", "Behaviour", "Fault"]

Fault = Literal[
    "none",
    "status",
    "reset",
    "silence",
    "headers_then_silence",
    "slow_first_token",
    "cut",
    "stall",
    "malformed_chunk",
    "missing_end_marker",
    "open_end",
    "in_band_error",
]
"""What can go wrong. ``docs/simulated-providers.md`` shows what each one looks like on the wire, streamed and not."""

FAULTS: tuple[Fault, ...] = get_args(Fault)

_SLOW_FIRST_TOKEN_S = 30.0


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Speed, content, reported usage and fault. Every duration is in seconds. A bad value is a ``ValueError``."""

    ttft_s: float = 0.0
    """Time to the first content token (unary: the part of the answer time that does not depend on its length)."""
    tpot_s: float = 0.0
    """Time for each further token."""
    jitter: float = 0.0
    """Sigma of the lognormal factor on ``ttft_s`` and on each ``tpot_s``. The median of the factor is 1."""

    output_tokens: int = 24
    """Length of the default text. Ignored where ``text`` is set or the request asks for a tool call or for JSON."""
    text: str | None = None
    """A fixed reply. By default the reply is derived from the prompt and says that it is simulated."""
    call_tools: bool = False
    """Call tools although the request leaves it to the model, unless the last turn holds a tool's result."""
    tool_calls: int = 1
    """How many calls an answer makes at once, of the offered tools in turn; one where the request allows no more or
    names a tool."""
    text_before_tools: str | None = None
    """Said before the calls of an answer that calls tools."""
    reasoning_text: str | None = None
    """Visible reasoning before the answer, where the request does not turn it off: signed thinking on Anthropic (if
    asked for), a reasoning item on OpenAI's responses, ``reasoning_content`` in chat."""
    redacted_reasoning: bool = False
    """A block of reasoning that nobody may read as well (Anthropic only)."""
    refusal: str | None = None
    """Refuse to answer, in these words."""
    blocked_prompt: str | None = None
    """Refuse the prompt itself, for this reason: Gemini's ``promptFeedback.blockReason``, a category of Azure's
    content filter (Gemini and Azure OpenAI only)."""
    finish_reason: str | None = None
    """Reported instead of why the answer ends, such as ``RECITATION`` (Gemini), or ``content_filter`` and nothing
    else (Azure OpenAI)."""
    service_tier: str | None = None
    """Reported instead of the tier that the request leads to; ``default`` and ``standard`` are one tier."""
    embedding_dimensions: int = 1_536
    """Length of a vector; a request may ask for a shorter one."""
    context_tokens: int = 128_000
    """Longest prompt; a longer one is refused the way the vendor refuses it."""

    input_tokens: int | None = None
    """Reported instead of the count."""
    cached_read_tokens: int = 0
    """Reported part of the input that came from the cache; never more than the input."""
    cache_write_tokens: int = 0
    """Reported part of the input that was written to the cache, one-hour writes included."""
    cache_write_1h_tokens: int = 0
    """Part of ``cache_write_tokens`` with a lifetime of one hour (Anthropic only)."""
    reasoning_tokens: int = 0
    """Generated, billed and not shown; at least the length of a ``reasoning_text``."""
    audio_input_tokens: int = 0
    """Reported part of the input (OpenAI's chat only)."""
    audio_output_tokens: int = 0
    """Reported part of the output (OpenAI's chat only)."""
    web_searches: int = 0
    """Reported searches on the web: counted in Anthropic's usage, an output item each on OpenAI's responses."""
    file_searches: int = 0
    """Reported searches in stored files (OpenAI's responses only)."""

    fault: Fault = "none"
    fault_probability: float = 1.0
    fault_count: int | None = None
    """Only the first so many requests since this behaviour was set can be hit; then it heals. ``None``: it stays."""
    after_tokens: int = 3
    """Content tokens sent before a ``cut``, ``stall``, ``malformed_chunk`` or ``in_band_error`` of a stream."""
    cut_inside: bool = False
    """A ``cut`` of a stream comes in the middle of the next event, not before it."""
    fault_delay_s: float | None = None
    """Wait before a ``status`` or ``reset``, and the extra wait of ``slow_first_token`` (there 30 s by default)."""
    status: int = 503
    """HTTP status of the ``status`` fault, 400 to 599."""
    retry_after_s: float | None = None
    """Value of the Retry-After header of the ``status`` fault, or of Google's RetryInfo; ``None`` sends none."""
    error_code: str | None = None
    """The dialect's machine-readable reason in an error: OpenAI's ``error.code``, Anthropic's ``error.type``, AWS's
    error type (``ModelNotReadyException``), Google's status word (``FAILED_PRECONDITION``)."""
    error_message: str | None = None
    bare_error_event: bool = False
    """An ``in_band_error`` of a stream is an ``error`` event and not ``response.failed`` (OpenAI's responses), a
    message of type ``error`` and not ``exception`` (AWS), or bare JSON between the events (Gemini)."""

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"fault: {self.fault!r} is not known; use one of {', '.join(FAULTS)}")
        for field in _NOT_NEGATIVE:
            value = getattr(self, field)
            if value is not None and not value >= 0:
                raise ValueError(f"{field}: {value!r} must be 0 or more")
        if not 0 <= self.fault_probability <= 1:
            raise ValueError(f"fault_probability: {self.fault_probability!r} must be between 0 and 1")
        if not 400 <= self.status <= 599:
            raise ValueError(f"status: {self.status!r} must be between 400 and 599")
        for field in ("tool_calls", "embedding_dimensions"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: {getattr(self, field)!r} must be 1 or more")
        if self.cache_write_1h_tokens > self.cache_write_tokens:
            raise ValueError("cache_write_1h_tokens: is a part of cache_write_tokens and cannot be more")

    @property
    def delay_s(self) -> float:
        """Effective ``fault_delay_s``, before jitter."""
        if self.fault_delay_s is not None:
            return self.fault_delay_s
        return _SLOW_FIRST_TOKEN_S if self.fault == "slow_first_token" else 0.0

    def but(self, **changes: object) -> Behaviour:
        """The same behaviour with some fields changed, checked like JSON from outside.

        Raises ``ValueError`` on an unknown field, a wrong type or a value out of range.
        """
        return self.merged(changes)

    def merged(self, changes: Mapping[str, object]) -> Behaviour:
        """Like :meth:`but`, from a mapping."""
        whole = {**msgspec.to_builtins(self), **changes}
        return msgspec.convert(whole, Behaviour)


_NOT_NEGATIVE = (
    "ttft_s",
    "tpot_s",
    "jitter",
    "output_tokens",
    "context_tokens",
    "input_tokens",
    "cached_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "web_searches",
    "file_searches",
    "fault_count",
    "after_tokens",
    "fault_delay_s",
    "retry_after_s",
)
