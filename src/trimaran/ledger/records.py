"""What the road writes down about an attempt: :class:`Started` before it is sent, :class:`Settled` when it has ended.

Records are arrays in MessagePack. The first element is the kind, the others are the fields in the order written here.
So fields may only ever be appended, with a default, and a kind never changes its number. A reader gives defaults to the
shorter arrays of an older writer and ignores what a newer one appended. In the store, a kind of token that an older
writer did not count is unknown.

Prompts and answers are not in here, and must not come in: sizes and reasons only.

Times are wall clock, in nanoseconds since 1970 UTC (they place an attempt in a period); durations are monotonic, in
microseconds. Money is integer nano-dollars; ``None`` is *unknown*, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from trimaran.types import DEFAULT_TENANT, TokenPrice, Usage

__all__ = [
    "CANCELLED",
    "FAILED",
    "OK",
    "OPEN",
    "REJECTED",
    "STATUSES",
    "CapacityUsed",
    "PriceUsed",
    "Record",
    "Settled",
    "Started",
    "decode_tags",
    "encode_tags",
]

OPEN = "open"
"""Started and not settled: under way, or the process died. Never in a record; the store shows it."""
OK = "ok"
FAILED = "failed"
"""The target or the network failed."""
CANCELLED = "cancelled"
"""The client left, or another attempt of the same request won."""
REJECTED = "rejected"
"""The target says that the request itself is wrong."""
STATUSES = (OPEN, OK, FAILED, CANCELLED, REJECTED)


class Started(msgspec.Struct, array_like=True, tag=1, gc=False):
    """An attempt is about to be sent. Not frozen, because one is built for every attempt on the road."""

    request_id: str
    attempt: int
    """1 for the first attempt of a request."""
    at_ns: int
    tenant: str = DEFAULT_TENANT
    key_id: str = ""
    tags: str = ""
    """From :func:`encode_tags`, made once for each key; empty when there are none."""
    model: str = ""
    target: str = ""
    provider: str = ""
    upstream_model: str = ""
    dialect_in: str = ""
    dialect_out: str = ""
    stream: bool = False
    simulated: bool = False
    bound_nanos: int | None = None
    """The most it can cost; ``None`` where the price or the output limit is unknown."""
    input_tokens_estimate: int = 0
    max_output_tokens: int | None = None
    why: str = ""
    """Why this target: the router's words."""
    snapshot: int = 0
    """Version of the configuration that decided."""
    worker: int = 0
    fallback_model: str = ""
    """The public model whose target this is, where it is not ``model`` itself that was tried."""


class Settled(msgspec.Struct, array_like=True, tag=2, gc=False):
    """An attempt ended, however it did. An attempt that certainly cost nothing has ``cost_nanos`` 0, priced or not."""

    request_id: str
    attempt: int
    at_ns: int
    tenant: str = DEFAULT_TENANT
    """Repeated from :class:`Started`, so that the row has its tenant even where that record was lost."""
    status: str = OK
    http_status: int = 0
    """What the target answered; 0 where it did not."""
    error_code: str = ""
    finish_reason: str = ""
    price_version: str = ""
    estimated: bool = False
    """The usage, and so the cost, is our count and not the provider's report."""
    reason: str = ""
    """Why it ended so, and what comes next."""
    ttft_us: int | None = None
    """From sending to the first content."""
    latency_us: int = 0
    """From sending to the end."""
    usage: Usage | None = None
    cost_nanos: int | None = None
    service_tier: str = ""
    """The tier that served it, in neutral words; empty: the standard one, or not told."""


class PriceUsed(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The price of a target in a snapshot: written once before its first attempt, so that a cost can be explained."""

    target: str
    price: TokenPrice


class CapacityUsed(msgspec.Struct, array_like=True, tag=4, gc=False):
    """Replicas of a pool stood ready for a time, whether asked or not: what own capacity costs, to be shared among the
    attempts that it answered. Written by whoever runs or adopts the pool, for each minute or change."""

    pool: str
    """Its provider's name in targets: attempts with this provider ran on it."""
    from_ns: int
    until_ns: int
    replicas: int
    offer: str = ""
    """What is rented for one replica: ``p5.48xlarge``."""
    platform: str = ""
    region: str = ""
    purchase_option: str = "on_demand"
    """``on_demand``, ``spot``, ``committed_1y``, ``committed_3y``."""
    hourly_nanos: int | None = None
    """Nano-dollars for one replica and hour; ``None`` is unknown, never free."""
    amortised_hourly_nanos: int = 0
    """The part of ``hourly_nanos`` that is an earlier payment spread over its term."""
    source: str = ""
    as_of: str = ""
    simulated: bool = False


Record = Started | Settled | PriceUsed | CapacityUsed


def encode_tags(tags: Iterable[tuple[str, str]] | Mapping[str, str]) -> str:
    """One JSON object with sorted names: the same tags are always the same text. Empty for no tags."""
    pairs = dict(tags)
    return msgspec.json.encode(dict(sorted(pairs.items()))).decode() if pairs else ""


def decode_tags(text: str) -> dict[str, str]:
    """The opposite of :func:`encode_tags`."""
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}
